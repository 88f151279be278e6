"""A simulated discharge, and the spread that the intervals of the measurement put on it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .. import _checks
from ..errors import InputError
from ..image import Quantity
from .electrode import ElectrodeModel
from .pybamm import COUNTERS, pybamm_parameters

if TYPE_CHECKING:
    import pandas as pd

MODELS = ("DFN", "SPMe", "SPM")
CAPACITY, VOLTAGE, TIME = "capacity_mah_cm2", "voltage_v", "time_s"
POINTS = 200
LEVEL = 0.95


@dataclass(frozen=True)
class Discharge:
    """A simulated discharge of the measured electrode.

    Attributes
    ----------
    curve : DataFrame
        ``time_s``, ``capacity_mah_cm2``, ``voltage_v`` of the measured values.
    samples : DataFrame
        One row a draw from the intervals: ``porosity``, ``active_fraction``, ``tau_z``, ``thickness_um``,
        ``surface_per_um``, and the ``capacity_mah_cm2`` it gave. Empty without samples.
    band : DataFrame
        ``capacity_mah_cm2``, ``low_v``, ``high_v``: lowest and highest voltage of the draws that come so far. Empty
        without samples.
    capacity_mah_cm2 : Quantity
        Down to the cut-off; its interval is that of the draws.
    energy_mwh_cm2 : Quantity
    nominal_mah_cm2 : float
        Capacity that defines 1C.
    c_rate : float
    warnings : tuple of str
    """

    curve: pd.DataFrame
    samples: pd.DataFrame
    band: pd.DataFrame
    capacity_mah_cm2: Quantity
    energy_mwh_cm2: Quantity
    nominal_mah_cm2: float
    c_rate: float
    warnings: tuple[str, ...] = ()


def discharge(
    model: ElectrodeModel,
    *,
    c_rate: float = 1.0,
    samples: int = 0,
    counter: str = "lithium",
    name: str = "DFN",
    graded: bool = False,
    rng: np.random.Generator | int = 0,
) -> Discharge:
    """Discharge the measured electrode with PyBaMM, and again with values drawn from their intervals.

    Parameters
    ----------
    model : ElectrodeModel
    c_rate : float
        1 empties the nominal capacity in an hour. The draws run at the same current, not the same rate.
    samples : int
        Draws; 8 to 16 give a band, 0 the curve alone.
    counter : {"lithium", "graphite"}
        See `pybamm_parameters`.
    name : {"DFN", "SPMe", "SPM"}
        PyBaMM's model.
    graded : bool
        Use the profiles through the thickness.
    rng : Generator or int

    Returns
    -------
    Discharge

    Raises
    ------
    InputError
        PyBaMM is not installed, the electrode has no profiles to grade with, or the solver gives up on the
        measured values. (A draw on which it gives up is left out, and said.)

    Notes
    -----
    Draws are normal, each interval as +/-1.96 standard deviations, the two sides apart. What moves the threshold
    or the place of the image moves porosity, active fraction and tortuosity together: porosity up, the other two
    down; they share one draw. Thickness and surface are drawn on their own.
    """
    _checks.choice(counter, COUNTERS, name="counter")
    _checks.choice(name, MODELS, name="name")
    _checks.positive(c_rate, name="c_rate")
    if samples < 0:
        raise InputError(f"`samples` must be 0 or more, got {samples!r}.")
    if graded and model.profiles is None:
        raise InputError("a graded discharge needs an electrode with profiles through the thickness.")
    _need_pybamm()
    data = pybamm_parameters(model, counter=counter)
    nominal = data["values"]["Nominal cell capacity [A.h]"] * 1000
    run = _Runner(counter, name, graded, c_rate, nominal)
    curve = run(model)
    if curve is None:
        raise InputError(
            f"PyBaMM could not discharge this electrode at {c_rate:g}C ({name}); try a lower rate. Porosity "
            f"{model.porosity}, tau {model.tau_pore['z']}, radius {model.radius_um}."
        )
    draws = _draws(model, samples, np.random.default_rng(rng))
    curves = [run(model.moved(**d)) for d in draws]
    failed = sum(c is None for c in curves)
    kept = [(d, c) for d, c in zip(draws, curves, strict=True) if c is not None]
    warnings = list(model.warnings)
    if failed:
        warnings.append(f"PyBaMM gave up on {failed} of {samples} draws; the band leaves them out.")
    if samples and not _any_interval(model):
        warnings.append("No measured value has an interval, so the draws do not spread.")
    return Discharge(
        curve=curve,
        samples=_table(kept),
        band=_band([c for _, c in kept]),
        capacity_mah_cm2=_quantity(curve, [c for _, c in kept], _capacity, "mAh/cm2"),
        energy_mwh_cm2=_quantity(curve, [c for _, c in kept], _energy, "mWh/cm2"),
        nominal_mah_cm2=nominal,
        c_rate=float(c_rate),
        warnings=tuple(warnings),
    )


def _need_pybamm():
    # PyBaMM asks on first import whether it may send usage data; a library must neither ask nor send
    os.environ.setdefault("PYBAMM_DISABLE_TELEMETRY", "true")
    try:
        import pybamm  # noqa: F401
    except ModuleNotFoundError:
        raise InputError("a discharge is simulated with PyBaMM: pip install 'morpholith[battery]'.") from None


@dataclass(frozen=True)
class _Runner:
    """Discharge at one current, whatever the electrode."""

    counter: str
    name: str
    graded: bool
    c_rate: float
    nominal: float  # mAh/cm2 of the measured electrode

    def __call__(self, model):
        import pandas as pd
        import pybamm

        from . import load_electrode

        data = pybamm_parameters(model, counter=self.counter)
        own = data["values"]["Nominal cell capacity [A.h]"] * 1000
        try:
            solution = load_electrode.discharge(
                data, self.c_rate * self.nominal / own, name=self.name, graded=self.graded
            )
        except pybamm.SolverError:
            return None
        time = np.linspace(0, solution.t[-1], POINTS)
        return pd.DataFrame(
            {
                TIME: time,
                CAPACITY: solution["Discharge capacity [A.h]"](time) * 1000,  # of a cell of 1 cm2
                VOLTAGE: solution["Voltage [V]"](time),
            }
        )


def _sides(q):
    """Standard deviations below and above the value; an interval of another level counts as one of 95 %."""
    if q.low is None or q.high is None or not (np.isfinite(q.low) and np.isfinite(q.high)):
        return 0.0, 0.0
    return max(q.value - q.low, 0) / 1.96, max(q.high - q.value, 0) / 1.96


def _any_interval(model):
    quantities = (model.porosity, model.active_fraction, model.tau_pore["z"], model.thickness_um, model.surface_per_um)
    return any(max(_sides(q)) > 0 for q in quantities)


def _draws(model, samples, rng):
    def moved(q, z):
        below, above = _sides(q)
        return q.value + z * (above if z > 0 else below)

    draws = []
    for shared, thickness, surface in rng.standard_normal((samples, 3)):
        porosity = float(np.clip(moved(model.porosity, shared), 0.01, 0.98))
        draws.append(
            {
                "porosity": porosity,
                "active_fraction": float(np.clip(moved(model.active_fraction, -shared), 0.01, 1 - porosity)),
                "tau_z": float(max(moved(model.tau_pore["z"], -shared), 1.0)),
                "thickness_um": float(max(moved(model.thickness_um, thickness), 0.1 * model.thickness_um.value)),
                "surface_per_um": float(max(moved(model.surface_per_um, surface), 0.1 * model.surface_per_um.value)),
            }
        )
    return draws


def _capacity(curve):
    return float(curve[CAPACITY].iloc[-1])


def _energy(curve):
    return float(np.trapezoid(curve[VOLTAGE], curve[CAPACITY]))


def _table(kept):
    import pandas as pd

    names = ["porosity", "active_fraction", "tau_z", "thickness_um", "surface_per_um"]
    rows = [{**d, CAPACITY: _capacity(c)} for d, c in kept]
    return pd.DataFrame(rows, columns=[*names, CAPACITY], dtype=float)


def _band(curves):
    import pandas as pd

    if not curves:
        return pd.DataFrame({n: np.zeros(0) for n in (CAPACITY, "low_v", "high_v")})
    grid = np.linspace(0, max(map(_capacity, curves)), POINTS)
    volts = np.array([np.interp(grid, c[CAPACITY], c[VOLTAGE], right=np.nan) for c in curves])
    return pd.DataFrame({CAPACITY: grid, "low_v": np.nanmin(volts, axis=0), "high_v": np.nanmax(volts, axis=0)})


def _quantity(curve, curves, what, unit):
    value = what(curve)
    method = "PyBaMM, measured values"
    if len(curves) < 2:
        return Quantity(value, level=LEVEL, n=len(curves), unit=unit, method=method)
    values = np.array([what(c) for c in curves])
    if len(values) >= 40:
        low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    else:
        half = 1.96 * values.std(ddof=1)  # too few draws for their own quantiles
        low, high = value - half, value + half
    method += f"; interval from {len(values)} draws of the measured intervals"
    return Quantity(value, float(low), float(high), level=LEVEL, n=len(values), unit=unit, method=method)
