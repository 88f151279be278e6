"""Oxidation states that the names of reference compounds stand for."""

from __future__ import annotations

import re

VALENCES: dict[str, dict[str, float]] = {
    "Ni": {"nio": 2, "nioh2": 2, "linio2": 3, "niooh": 3, "nio2": 4, "nis": 2, "nicl2": 2, "nino32": 2},
    "Co": {"coo": 2, "cooh2": 2, "licoo2": 3, "coooh": 3, "co3o4": 8 / 3, "coo2": 4},
    "Mn": {"mno": 2, "mn3o4": 8 / 3, "mn2o3": 3, "mno2": 4, "limn2o4": 3.5, "li2mno3": 4, "limno2": 3, "mnco3": 2},
    "Fe": {
        "feo": 2, "fe3o4": 8 / 3, "fe2o3": 3, "lifepo4": 2, "fepo4": 3, "lifeiipo4": 2, "feiiipo4": 3,
        "magnetite": 8 / 3, "maghemite": 3, "hematite": 3, "goethite": 3, "feooh": 3, "hfo": 3, "ferrihydrite": 3,
        "pyrite": 2, "fes2": 2, "siderite": 2, "feco3": 2, "vivianite": 2, "strengite": 3,
        "feiiisulfate": 3, "stainlesssteel": 0, "steel": 0,
    },
    "Cu": {"cuo": 2, "cu2o": 1},
    "V": {"vo2": 4, "v2o5": 5, "v2o3": 3},
    "Ti": {"tio2": 4, "ti2o3": 3},
    "Cr": {"cr2o3": 3},
    "Zn": {"zno": 2},
}  # fmt: skip
METAL = ("metal", "foil", "powder")
_TAIL = re.compile(r"(_?(rt|np|std|ref|mean|avg|cl|tr|fl|xtl|xanes|merge|scan)|_\d+)+$")


def valence(name: str, element: str) -> float:
    """Return the oxidation state of `element` in the compound that a reference spectrum is named after.

    Parameters
    ----------
    name : str
        As ``"ref_LiNiO2"``, ``"NiOH2_rt_01"``, ``"Fe(III)PO4"`` or ``"Ni foil"``.
    element : str
        Symbol.

    Returns
    -------
    float
        NaN where the name says nothing.
    """
    plain = re.sub(r"^(ref|std|lib)[_ -]+", "", name.strip().lower().replace(" ", "_"))
    plain = _TAIL.sub("", plain)
    letters = re.sub(r"[^a-z0-9]", "", plain)
    known = VALENCES.get(element, {})
    if letters in known:
        return float(known[letters])
    if (letters.startswith(element.lower()) and any(word in plain for word in METAL)) or letters == element.lower():
        return 0.0
    longest = sorted((k for k in known if len(k) > 5 and letters.startswith(k)), key=len)
    return float(known[longest[-1]]) if longest else float("nan")
