"""A measured electrode as plain data for PyBaMM, beside the few lines that load it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .. import _checks
from . import _lgm50 as lg
from .bpx import AREA_M2, write_json
from .electrode import AREA_DENSITY, DEPTH, RADIUS, ElectrodeModel

FORMAT = "morpholith electrode for PyBaMM, version 1"
COUNTERS = ("lithium", "graphite")
LOADER = "load_electrode.py"

# Lithium metal of the half-cell, copied from the set "Xu2019" when the file is loaded (some are functions)
FROM_XU2019 = [
    "Negative electrode thickness [m]",
    "Negative electrode OCP [V]",
    "Negative electrode conductivity [S.m-1]",
    "Negative electrode OCP entropic change [V.K-1]",
    "Lithium metal partial molar volume [m3.mol-1]",
    "Exchange-current density for lithium metal electrode [A.m-2]",
    "Negative electrode charge transfer coefficient",
    "Negative electrode double-layer capacity [F.m-2]",
]


def pybamm_parameters(
    model: ElectrodeModel, *, counter: str = "lithium", solid_conductivity_s_m: float | None = None
) -> dict[str, Any]:
    """Gather the parameters of a measured electrode for PyBaMM as plain data.

    Parameters
    ----------
    model : ElectrodeModel
    counter : {"lithium", "graphite"}
        Half-cell against lithium metal, where the measured electrode alone decides; or full cell against the
        graphite electrode of the LG M50, its thickness scaled to keep the balance.
    solid_conductivity_s_m : float, optional
        Electronic conductivity of the solid itself. With it and `model.tau_solid` the electrode's conductivity is
        measured; without, the effective 0.18 S/m of Chen et al. is taken over.

    Returns
    -------
    dict
        JSON-ready. ``base`` names PyBaMM's parameter set, ``values`` what replaces its entries, ``options`` the
        model's options; ``graded`` and ``size_distribution`` are there when the model has them; ``measured`` has
        the intervals, ``taken_over`` says where the rest is from.

    Notes
    -----
    The tortuosity factor enters as such (option "transport efficiency": "tortuosity factor"), and also as the
    Bruggeman exponent ln(porosity / tau) / ln(porosity), so that a model with PyBaMM's default option transports
    the same. A graded electrode cannot use one tortuosity factor at all depths; there the exponent b is chosen
    so that the slabs in series, the harmonic mean of porosity(x)^b, transport what was measured.
    """
    _checks.choice(counter, COUNTERS, name="counter")
    data: dict[str, Any] = {
        "format": FORMAT,
        "name": model.name,
        "base": "Chen2020",
        "counter": counter,
        "options": {"transport efficiency": "tortuosity factor"},
        "values": _values(model, counter, solid_conductivity_s_m),
        "from": {"Xu2019": FROM_XU2019} if counter == "lithium" else {},
        "measured": model.measured(),
        "taken_over": lg.CITATION + (f"; {lg.LITHIUM_CITATION}" if counter == "lithium" else ""),
        "warnings": list(model.warnings),
    }
    if counter == "lithium":
        data["options"]["working electrode"] = "positive"
    if model.profiles is not None:
        data["graded"] = _graded(model)
    if model.sizes is not None:
        data["size_distribution"] = _sizes(model)
    return data


def write_pybamm(
    folder: str | Path,
    model: ElectrodeModel,
    *,
    counter: str = "lithium",
    solid_conductivity_s_m: float | None = None,
    stem: str = "electrode_pybamm",
) -> Path:
    """Write the JSON file and the script that loads it, and return the path of the first.

    The script needs PyBaMM alone: ``python load_electrode.py electrode_pybamm.json`` runs a discharge, and
    ``from load_electrode import read, model, parameter_values`` gives the parts to work with.
    """
    folder = Path(folder)
    data = pybamm_parameters(model, counter=counter, solid_conductivity_s_m=solid_conductivity_s_m)
    path = write_json(folder / f"{stem}.json", data)
    source = Path(__file__).with_name(LOADER).read_text(encoding="utf-8")
    (folder / LOADER).write_text(source, encoding="utf-8")
    return path


def _values(model, counter, solid_conductivity):
    low, high = lg.WINDOW_V[counter]
    capacity = lg.areal_capacity(model, counter=counter) * AREA_M2 * 10  # A h
    eps = model.porosity.value
    side = AREA_M2**0.5
    values = {
        "Positive electrode thickness [m]": model.thickness_um.value * 1e-6,
        "Positive electrode porosity": eps,
        "Positive electrode active material volume fraction": model.active_fraction.value,
        "Positive particle radius [m]": model.radius_um.value * 1e-6,
        "Positive electrode tortuosity factor (electrolyte)": model.tau_pore["z"].value,
        "Positive electrode Bruggeman coefficient (electrolyte)": model.bruggeman,
        "Separator tortuosity factor (electrolyte)": lg.SEPARATOR_POROSITY ** (1 - lg.BRUGGEMAN),
        "Initial concentration in positive electrode [mol.m-3]": lg.FULL["positive"] * lg.C_MAX["positive"],
        "Electrode height [m]": side,
        "Electrode width [m]": side,
        "Number of electrodes connected in parallel to make a cell": 1.0,
        "Nominal cell capacity [A.h]": capacity,
        "Current function [A]": capacity,
        "Lower voltage cut-off [V]": low,
        "Upper voltage cut-off [V]": high,
        **_electronic(model, eps, solid_conductivity),
    }
    if counter == "graphite":
        values |= {
            "Negative electrode thickness [m]": lg.negative_thickness_um(model) * 1e-6,
            "Negative electrode tortuosity factor (electrolyte)": lg.NEGATIVE_POROSITY ** (1 - lg.BRUGGEMAN),
            "Negative electrode tortuosity factor (electrode)": 1 - lg.NEGATIVE_POROSITY,
            "Initial concentration in negative electrode [mol.m-3]": lg.FULL["negative"] * lg.C_MAX["negative"],
        }
    return values


def _electronic(model, eps, solid_conductivity):
    """Conductivity and tortuosity factor of the solid; PyBaMM multiplies the two with (1 - porosity) / tau."""
    tau = model.tau_solid.get("z")
    if solid_conductivity is None or tau is None or not np.isfinite(tau.value):
        # an effective conductivity must not be reduced a second time: (1 - eps) / tau = 1
        return {
            "Positive electrode conductivity [S.m-1]": lg.CONDUCTIVITY["positive"],
            "Positive electrode tortuosity factor (electrode)": 1 - eps,
            "Positive electrode Bruggeman coefficient (electrode)": 0.0,
        }
    return {
        "Positive electrode conductivity [S.m-1]": _checks.positive(
            float(solid_conductivity), name="solid_conductivity_s_m"
        ),
        "Positive electrode tortuosity factor (electrode)": tau.value,
        "Positive electrode Bruggeman coefficient (electrode)": float(np.log((1 - eps) / tau.value) / np.log(1 - eps)),
    }


def _graded(model):
    """Profiles from the separator to the current collector, scaled to the measured means."""
    p = model.profiles
    depth, eps, active = (p[c].to_numpy(float) for c in (DEPTH, "porosity", "active_fraction"))
    if model.collector == "first":
        depth, eps, active = depth[-1] + depth[0] - depth[::-1], eps[::-1], active[::-1]
    # centres of the slabs run from half a slab to the thickness less half a slab
    edge = (depth[-1] - depth[0]) / (len(depth) - 1) / 2
    x = (depth - depth[0] + edge) / (depth[-1] - depth[0] + 2 * edge) * model.thickness_um.value
    eps = eps * (model.porosity.value / eps.mean())
    active = active * (model.active_fraction.value / active.mean())
    return {
        "x_from_separator_m": [float(v) for v in x * 1e-6],
        "porosity": [float(v) for v in np.clip(eps, 1e-3, 1)],
        "active_fraction": [float(v) for v in np.clip(active, 1e-3, 1)],
        "bruggeman": _series_exponent(np.clip(eps, 1e-3, 1), model.transport_efficiency.value),
    }


def _series_exponent(eps, efficiency):
    """Exponent b for which slabs of efficiency eps^b, one after the other, have the efficiency measured."""
    from scipy.optimize import brentq

    return float(brentq(lambda b: 1 / np.mean(eps**-b) - efficiency, 0.0, 50.0))


def _sizes(model):
    """Density over radii in metres, as measured; the many-particle model takes 3 eps_s over its mean as surface."""
    r = model.sizes[RADIUS].to_numpy(float)
    f = model.sizes[AREA_DENSITY].to_numpy(float)
    return {
        "radius_m": [float(v) for v in r * 1e-6],
        "area_density_per_m": [float(v) for v in f * 1e6],
        "mean_radius_m": float(np.trapezoid(f * r, r) / np.trapezoid(f, r) * 1e-6),
    }
