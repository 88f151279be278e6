"""A measured electrode as a BPX file: the battery parameter exchange format, version 1."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from . import _lgm50 as lg
from .electrode import ElectrodeModel

VERSION = "1.0.0"
AREA_M2 = 1e-4  # one square centimetre, so that currents and capacities read as areal ones


def bpx(model: ElectrodeModel, *, title: str | None = None) -> dict[str, Any]:
    """Write the measured positive electrode into a BPX parameter set of a full cell.

    Parameters
    ----------
    model : ElectrodeModel
    title : str, optional
        By default the electrode's name.

    Returns
    -------
    dict
        Plain data, JSON-ready; `bpx.parse_bpx_obj` accepts it as a DFN parameter set of a cell of 1 cm2.

    Notes
    -----
    Measured: thickness, porosity, transport efficiency (porosity over the tortuosity factor through the thickness),
    particle radius 3 eps_s / a and surface per volume a of the positive electrode; their product a R / 3 is the
    active fraction. All else is the LG M50 cell of Chen et al. (2020) with the electrolyte of Nyman et al. (2008).
    The thickness of its negative electrode is scaled so that the two electrodes stay balanced, which keeps the
    stoichiometry window. BPX has no place for intervals, size distributions or profiles: the ends of the
    intervals are in "User-defined", the rest goes to the PyBaMM file.
    """
    measured = (
        "Measured from the image: thickness, porosity, transport efficiency, particle radius (3 eps_s / a) and surface "
        "area per unit volume of the positive electrode. Taken over: everything else, from the LG M50 cell; the "
        "negative electrode's thickness is scaled to keep the balance of the electrodes. The cell is 1 cm2. "
        "User-defined holds the measured values and the ends of their 95 % intervals, lengths in um."
    )
    return {
        "Header": {
            "BPX": VERSION,
            "Title": title or model.name,
            "Description": " ".join([measured, *model.warnings]),
            "References": lg.CITATION,
            "Model": "DFN",
        },
        "Parameterisation": {
            "Cell": _cell(model),
            "Electrolyte": {
                "Cation transference number": lg.TRANSFERENCE,
                "Diffusivity [m2.s-1]": lg.ELECTROLYTE_DIFFUSIVITY,
                "Conductivity [S.m-1]": lg.ELECTROLYTE_CONDUCTIVITY,
            },
            "Negative electrode": _negative(model),
            "Separator": {
                "Thickness [m]": lg.SEPARATOR_THICKNESS_UM * 1e-6,
                "Porosity": lg.SEPARATOR_POROSITY,
                "Transport efficiency": lg.SEPARATOR_POROSITY**lg.BRUGGEMAN,
            },
            "Positive electrode": _positive(model),
            "User-defined": _user_defined(model),
        },
        "State": {
            "Initial conditions": {
                "Initial state-of-charge": 1.0,
                "Initial temperature [K]": lg.TEMPERATURE,
                "Initial electrolyte concentration [mol.m-3]": lg.INITIAL_ELECTROLYTE,
            },
            "Thermal environment": {"Ambient temperature [K]": lg.TEMPERATURE},
        },
    }


def write_bpx(path: str | Path, model: ElectrodeModel, *, title: str | None = None) -> Path:
    """Write `bpx` of the electrode to a JSON file, whole or not at all, and return its path."""
    return write_json(path, bpx(model, title=title))


def write_json(path: str | Path, data: dict[str, Any]) -> Path:
    """Write plain data as JSON; what is not finite is refused, and a killed run leaves no half file."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(path.name + ".part")
    half.write_text(json.dumps(data, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    half.replace(path)
    return path


def _cell(model):
    low, high = lg.WINDOW_V["graphite"]
    stack_um = model.thickness_um.value + lg.SEPARATOR_THICKNESS_UM + lg.negative_thickness_um(model)
    return {
        "Electrode area [m2]": AREA_M2,
        "External surface area [m2]": 2 * AREA_M2,
        "Volume [m3]": AREA_M2 * stack_um * 1e-6,
        "Number of electrode pairs connected in parallel to make a cell": 1,
        "Lower voltage cut-off [V]": low,
        "Upper voltage cut-off [V]": high,
        "Nominal cell capacity [A.h]": lg.areal_capacity(model, counter="graphite") * AREA_M2 * 10,
        "Reference temperature [K]": lg.TEMPERATURE,
    }


def _positive(model):
    return {
        "Thickness [m]": model.thickness_um.value * 1e-6,
        "Porosity": model.porosity.value,
        "Transport efficiency": model.transport_efficiency.value,
        "Particle radius [m]": model.radius_um.value * 1e-6,
        "Surface area per unit volume [m-1]": model.surface_per_um.value * 1e6,
        **_material("positive"),
    }


def _negative(model):
    return {
        "Thickness [m]": lg.negative_thickness_um(model) * 1e-6,
        "Porosity": lg.NEGATIVE_POROSITY,
        "Transport efficiency": lg.NEGATIVE_POROSITY**lg.BRUGGEMAN,
        "Particle radius [m]": lg.NEGATIVE_RADIUS_UM * 1e-6,
        "Surface area per unit volume [m-1]": 3 * lg.NEGATIVE_ACTIVE / (lg.NEGATIVE_RADIUS_UM * 1e-6),
        **_material("negative"),
    }


def _material(side):
    # BPX normalises the exchange current: j0 = F K sqrt(ce/ce0 cs/cmax (1 - cs/cmax))
    rate = lg.KINETIC[side] * lg.INITIAL_ELECTROLYTE**0.5 * lg.C_MAX[side] / lg.FARADAY
    ends = sorted((lg.FULL[side], lg.EMPTY[side]))
    return {
        "Minimum stoichiometry": ends[0],
        "Maximum stoichiometry": ends[1],
        "Maximum concentration [mol.m-3]": lg.C_MAX[side],
        "Diffusivity [m2.s-1]": lg.DIFFUSIVITY[side],
        "OCP [V]": lg.OCP[side],
        "Entropic change coefficient [V.K-1]": 0.0,
        "Reaction rate constant [mol.m-2.s-1]": rate,
        "Reaction rate constant activation energy [J.mol-1]": lg.KINETIC_ENERGY[side],
        "Conductivity [S.m-1]": lg.CONDUCTIVITY[side],
    }


def _user_defined(model):
    """Every measured number and the ends of its interval, under names no solver reads; and what PyBaMM misses."""
    low, high = lg.WINDOW_V["graphite"]
    # no "description" here: PyBaMM reads every entry as a number and stops at the words
    found: dict[str, Any] = {
        "Open-circuit voltage at 0% SOC [V]": low,
        "Open-circuit voltage at 100% SOC [V]": high,
    }
    for name, q in model.measured().items():
        for end in ("value", "low", "high"):
            if q[end] is not None:
                found[f"Measured {name} {end}"] = q[end]
    return found
