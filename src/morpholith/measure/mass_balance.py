"""What porosity the balance allows: loading, thickness and composition against the porosity of an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from .. import _checks
from ..errors import InputError
from ..image import Quantity

TOLERANCE = 0.03
"""Relative tolerance of a loading, thickness or density that comes without its own range."""

ASSUMED_HALF_WIDTH = 0.02
"""Half-width given to an image porosity that comes without an interval."""

WIDEST = 0.25
"""An image interval wider than this agrees with nearly every electrode, so it tells nothing."""

CARBON_BINDER = ("unknown", "solid", "pore")


@dataclass(frozen=True)
class Component:
    """A component of an electrode: its true (skeletal) density and whether it stores lithium.

    Parameters
    ----------
    density, low, high : float
        g/cm3, and the range that the literature and data sheets span.
    active : bool
    """

    density: float
    low: float
    high: float
    active: bool = False


# Layered oxides: X-ray density from the lattice parameters (R-3m, Z = 3), the low end what helium pycnometry gives for
# powders with closed pores. Carbon, polymers: the span of producers' data sheets and handbooks.
COMPONENTS: Mapping[str, Component] = MappingProxyType(
    {
        "NMC811": Component(4.77, 4.70, 4.80, True),
        "NMC622": Component(4.77, 4.65, 4.80, True),
        "NMC532": Component(4.77, 4.65, 4.80, True),
        "NMC111": Component(4.75, 4.60, 4.80, True),
        "NMC": Component(4.75, 4.60, 4.80, True),
        "NCA": Component(4.75, 4.60, 4.85, True),
        "LCO": Component(5.05, 4.90, 5.10, True),
        "LMO": Component(4.25, 4.05, 4.30, True),
        "LNMO": Component(4.45, 4.30, 4.47, True),
        "LFP": Component(3.60, 3.50, 3.62, True),
        "graphite": Component(2.25, 2.15, 2.27, True),
        "silicon": Component(2.33, 2.20, 2.34, True),
        "carbon": Component(1.95, 1.80, 2.10),
        "CNT": Component(2.0, 1.6, 2.2),
        "VGCF": Component(2.0, 1.9, 2.1),
        "PTFE": Component(2.2, 2.13, 2.30),
        "PVDF": Component(1.78, 1.74, 1.80),
        "SBR": Component(0.97, 0.93, 1.04),
        "CMC": Component(1.6, 1.5, 1.65),
        "PAA": Component(1.3, 1.15, 1.45),
    }
)

_ALIASES = {
    "carbonblack": "carbon",
    "cb": "carbon",
    "superp": "carbon",
    "superpc65": "carbon",
    "superc65": "carbon",
    "c65": "carbon",
    "c45": "carbon",
    "superc45": "carbon",
    "acetyleneblack": "carbon",
    "denka": "carbon",
    "ketjenblack": "carbon",
    "swcnt": "CNT",
    "mwcnt": "CNT",
    "cnts": "CNT",
    "pvdfhfp": "PVDF",
    "teflon": "PTFE",
    "nacmc": "CMC",
    "nmc333": "NMC111",
    "ncm811": "NMC811",
    "ncm622": "NMC622",
    "ncm523": "NMC532",
    "ncm532": "NMC532",
    "ncm111": "NMC111",
    "ncm": "NMC",
    "lini08mn01co01o2": "NMC811",
    "licoo2": "LCO",
    "lifepo4": "LFP",
}


@dataclass(frozen=True)
class MassBalance:
    """An image porosity held against what the balance allows.

    Attributes
    ----------
    verdict : {"agrees", "contradicts", "cannot tell"}
    sentence : str
        The verdict in words, with the numbers, and what to look at next.
    image : Quantity
        The porosity that was judged.
    expected : Quantity
        What an image that treats carbon and binder as stated should show.
    binder_as_solid, binder_as_pore : Quantity
        Porosity with every solid counted, and with carbon and binder counted as pore.
    density_g_cm3, solid_density_g_cm3 : Quantity
        Of the electrode coating, and of its solids without any pore.
    volume_fractions : mapping of str to float
        Share of the electrode volume that each component takes.
    active_fraction, binder_fraction : float
        Sums over the components that do and do not store lithium.
    warnings : tuple of str
    """

    verdict: str
    sentence: str
    image: Quantity
    expected: Quantity
    binder_as_solid: Quantity
    binder_as_pore: Quantity
    density_g_cm3: Quantity
    solid_density_g_cm3: Quantity
    volume_fractions: Mapping[str, float]
    active_fraction: float
    binder_fraction: float
    warnings: tuple[str, ...] = ()


def composition(text: str) -> dict[str, float]:
    """Read a composition such as ``"NMC811:94,carbon:2,PTFE:4"``.

    Parameters
    ----------
    text : str
        ``name:weight`` pairs separated by commas; ``=`` does for the colon, a percent sign is ignored. Weights are
        parts by weight: 94:2:4, 0.94:0.02:0.04 and 47:1:2 are the same.

    Returns
    -------
    dict of str to float
        As given, not normalised, in the order of the text.

    Raises
    ------
    InputError
        A part is no pair, a weight is no number or negative, or a component comes twice.
    """
    found: dict[str, float] = {}
    for part in filter(None, (p.strip() for p in str(text).split(","))):
        name, _, weight = part.replace("=", ":").partition(":")
        name, weight = name.strip(), weight.strip().rstrip("%").strip()
        try:
            value = float(weight)
        except ValueError:
            raise InputError(
                f"a composition is written like 'NMC811:94,carbon:2,PTFE:4' (parts by weight); got {part!r}."
            ) from None
        if not name or not (np.isfinite(value) and value >= 0):
            raise InputError(f"a composition needs a name and a weight of 0 or more; got {part!r}.")
        if name in found:
            raise InputError(f"the composition names {name!r} twice; add its weights up.")
        found[name] = value
    if not found:
        raise InputError("the composition is empty; write it like 'NMC811:94,carbon:2,PTFE:4' (parts by weight).")
    return found


def mass_balance(
    *,
    porosity: Quantity | float,
    composition: Mapping[str, float],
    density_g_cm3: Quantity | float | tuple[float, float] | None = None,
    loading_mg_cm2: Quantity | float | tuple[float, float] | None = None,
    thickness_um: Quantity | float | tuple[float, float] | None = None,
    densities: Mapping[str, float | tuple[float, float]] | None = None,
    carbon_binder: str = "unknown",
    tolerance: float = TOLERANCE,
) -> MassBalance:
    """Judge an image porosity by the mass and volume of the electrode it was taken from.

    Parameters
    ----------
    porosity : Quantity or float
        Porosity of the image. Without an interval +/-`ASSUMED_HALF_WIDTH` is taken, and said.
    composition : mapping of str to float
        Parts by weight of the dry electrode; normalised to one. A sum away from 1 and 100 by more than 2 % is
        said (a component may be missing) and normalised all the same. See `composition` for the text form.
    density_g_cm3 : float, (low, high) or Quantity, optional
        Of the coating, without current collector.
    loading_mg_cm2, thickness_um : float, (low, high) or Quantity, optional
        Areal mass and thickness of the coating, without current collector. Needed where no density is given;
        where all three are given they are held against each other, and the density decides.
    densities : mapping, optional
        True densities in g/cm3, a number (taken as +/-1 %) or a range, for components that are not in
        `COMPONENTS` or known better. One that is not in the table counts as active material above 3 g/cm3.
    carbon_binder : {"unknown", "solid", "pore"}
        What the image shows carbon and binder as. A grey tomogram thresholded at the active material shows
        them as pore; with "unknown" both readings are allowed.
    tolerance : float
        Relative tolerance of a loading, thickness or density given as a single number.

    Returns
    -------
    MassBalance
        "agrees": the image's interval meets the expected one. "contradicts": it does not. "cannot tell": the
        porosity is NaN, or its interval is wider than `WIDEST`.

    Raises
    ------
    InputError
        No density can be had from what is given, a component is unknown, no component is active material, or a
        number is not positive.

    Notes
    -----
    With density rho of the coating, weight fractions w_i and true densities rho_i the solids fill
    sum_i rho w_i / rho_i of the volume and the porosity is one minus that; leaving carbon and binder out of the
    sum gives the porosity of an image that does not see them. The bounds are corners: lowest electrode density
    with highest component densities and the reverse. The quantity is the porosity of the whole electrode;
    pores below the resolution (inside secondary particles, inside the carbon-binder) count as pore here and as
    solid in an image.
    """
    _checks.choice(carbon_binder, CARBON_BINDER, name="carbon_binder")
    image = porosity if isinstance(porosity, Quantity) else Quantity(float(porosity), method="given")
    weights, warnings = _weights(composition)
    parts = {name: _component(name, densities) for name in weights}
    if not any(p.active for p in parts.values()):
        known = ", ".join(n for n, c in COMPONENTS.items() if c.active)
        raise InputError(f"the composition {', '.join(parts)} holds no active material this program knows ({known}).")
    rho, said = _electrode_density(density_g_cm3, loading_mg_cm2, thickness_um, tolerance)
    warnings += said

    every, active = (_specific_volume(weights, parts, active_only=a) for a in (False, True))
    solid, pore = _porosity(rho, every, "carbon and binder as solid"), _porosity(rho, active, "... as pore")
    expected = {"solid": solid, "pore": pore, "unknown": _hull(solid, pore)}[carbon_binder]
    theoretical = Quantity(
        1 / every[1], 1 / every[2], 1 / every[0], unit="g/cm3", method="volumes of the components add"
    )
    warnings += _pressed_beyond(solid, rho, theoretical)
    verdict, sentence = _judge(image, expected, solid, pore, rho, carbon_binder)
    share = {name: rho.value * w / parts[name].density for name, w in weights.items()}
    return MassBalance(
        verdict=verdict,
        sentence=sentence,
        image=image,
        expected=expected,
        binder_as_solid=solid,
        binder_as_pore=pore,
        density_g_cm3=rho,
        solid_density_g_cm3=theoretical,
        volume_fractions=MappingProxyType(share),
        active_fraction=sum(v for n, v in share.items() if parts[n].active),
        binder_fraction=sum(v for n, v in share.items() if not parts[n].active),
        warnings=tuple(warnings),
    )


def _weights(composition):
    if not composition:
        raise InputError("`composition` is empty; give parts by weight, say {'NMC811': 94, 'carbon': 2, 'PTFE': 4}.")
    total = float(sum(composition.values()))
    if not np.isfinite(total) or total <= 0 or min(composition.values()) < 0:
        raise InputError(f"`composition` needs weights of 0 or more with a positive sum, got {dict(composition)!r}.")
    warnings = []
    if min(abs(total - 1), abs(total / 100 - 1)) > 0.02:
        warnings.append(
            f"The weights of the composition sum to {total:g}, neither 1 nor 100; they were normalised. "
            "If a component is missing, the expected porosity is wrong."
        )
    return {name: float(w) / total for name, w in composition.items()}, warnings


def _key(name):
    """One spelling of a component's name: aliases resolved, case and punctuation ignored."""
    short = "".join(c for c in name.lower() if c.isalnum())
    return _ALIASES.get(short, short).lower()


def _component(name, densities):
    """Component of that name: the user's density first, then the table."""
    entry = next((c for n, c in COMPONENTS.items() if n.lower() == _key(name)), None)
    for given, value in (densities or {}).items():
        if _key(given) == _key(name):
            middle, low, high = _range(value, 0.01, f"density of {name}")
            # what this program does not know is taken as active if it is as dense as an oxide
            return Component(middle, low, high, entry.active if entry else middle > 3)
    if entry is None:
        raise InputError(
            f"no density is known for {name!r} (known: {', '.join(COMPONENTS)}); "
            f"give its true density in g/cm3, or its range."
        )
    return entry


def _range(value, tolerance, name):
    """Value, low and high of a number, a (low, high) pair or a Quantity."""
    if isinstance(value, Quantity):
        low, high = (value.low, value.high) if value.low is not None and value.high is not None else (None, None)
        middle = value.value
    elif isinstance(value, tuple | list):
        if len(value) != 2 or not value[0] <= value[1]:
            raise InputError(f"the range of `{name}` must be (low, high), got {value!r}.")
        low, high = map(float, value)
        middle = (low + high) / 2
    else:
        middle, low, high = float(value), None, None
    _checks.positive(middle, name=name)
    low, high = (middle * (1 - tolerance), middle * (1 + tolerance)) if low is None else (low, high)
    return middle, _checks.positive(low, name=name), high


def _electrode_density(density, loading, thickness, tolerance):
    """Density of the coating, and what is wrong between it, loading and thickness."""
    computed = None
    if loading is not None and thickness is not None:
        mass = _range(loading, tolerance, "loading_mg_cm2")
        length = _range(thickness, tolerance, "thickness_um")
        value = 10 * mass[0] / length[0]  # mg/cm2 over um is 10 g/cm3
        # independent tolerances add in squares
        below = np.hypot(1 - mass[1] / mass[0], 1 - length[0] / length[2])
        above = np.hypot(mass[2] / mass[0] - 1, length[0] / length[1] - 1)
        computed = Quantity(
            value, value * (1 - below), value * (1 + above), unit="g/cm3", method="loading over thickness"
        )
    if density is None:
        if computed is None:
            missing = "thickness" if loading is not None else "loading" if thickness is not None else None
            raise InputError(
                "a mass balance needs the density of the coating, or its loading and thickness; "
                + (f"the {missing} is missing." if missing else "none of them was given.")
            )
        return computed, []
    middle, low, high = _range(density, tolerance, "density_g_cm3")
    given = Quantity(middle, low, high, unit="g/cm3", method="given")
    if computed is not None and (computed.high < low or computed.low > high):
        return given, [
            f"Loading and thickness make a density of {computed.value:.3g} g/cm3, but {middle:.3g} g/cm3 was given; "
            "one of the three is wrong (is the current collector in one and not in the other?). The given density "
            "was used."
        ]
    return given, []


def _specific_volume(weights, parts, *, active_only):
    """Low, middle and high volume of solid in a gram of electrode, cm3/g."""
    rows = [(w, parts[n]) for n, w in weights.items() if parts[n].active or not active_only]
    return tuple(sum(w / getattr(p, end) for w, p in rows) for end in ("high", "density", "low"))


def _porosity(rho, volume, what):
    return Quantity(
        1 - rho.value * volume[1],
        1 - rho.high * volume[2],
        1 - rho.low * volume[0],
        unit="",
        method=f"mass balance, {what}; bounds from the ranges of the densities",
    )


def _hull(solid, pore):
    return Quantity(
        (solid.value + pore.value) / 2,
        solid.low,
        pore.high,
        method="mass balance, carbon and binder as solid to as pore; bounds from the ranges of the densities",
    )


def _pressed_beyond(solid, rho, theoretical):
    if solid.high is None or solid.high >= 0:
        return []
    return [
        f"The density of {rho.value:.3g} g/cm3 is above that of the pore-free solids "
        f"({theoretical.value:.3g} g/cm3): loading, thickness or composition is wrong."
    ]


def _judge(image, expected, solid, pore, rho, carbon_binder):
    allowed = {
        "unknown": f"{solid.value:.2f} (carbon and binder counted as solid) to {pore.value:.2f} (counted as pore)",
        "solid": f"{solid.value:.2f} with carbon and binder counted as solid",
        "pore": f"{pore.value:.2f} with carbon and binder counted as pore",
    }[carbon_binder]
    balance = f"a density of {rho.value:.3g} g/cm3 and this composition leave {allowed}"
    if not np.isfinite(image.value):
        return "cannot tell", f"The image gives no porosity; {balance}."
    assumed = image.low is None or image.high is None
    low = image.value - ASSUMED_HALF_WIDTH if assumed else image.low
    high = image.value + ASSUMED_HALF_WIDTH if assumed else image.high
    shown = f"The image shows a porosity of {image.value:.2f} [{low:.2f}, {high:.2f}]"
    if assumed:
        shown += " (interval assumed: none was given)"
    if high - low > WIDEST:
        return "cannot tell", f"{shown}, an interval too wide to be held against anything; {balance}."
    if high < expected.low:
        return "contradicts", (
            f"{shown}; {balance}. The image lacks pore: the threshold is too low, pores lie below the resolution, "
            "the region is denser than the electrode, or the thickness contains more than the coating."
        )
    if low > expected.high:
        return "contradicts", (
            f"{shown}; {balance}. The image has too much pore: solid below the threshold is counted as pore "
            "(carbon and binder, or active material lost to blur and noise), the region is more open than the "
            "electrode, or the loading contains more than the coating. Transport and surface from this "
            "segmentation are not those of the electrode."
        )
    return "agrees", f"{shown}; {balance}."
