"""The states of all particles as a few numbers with intervals."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from ..image import Quantity
from .motion_chemistry import motion_amplitude, rank_correlation

if TYPE_CHECKING:
    import pandas as pd

    from .chemistry import Chemistry

LEVEL = 0.95
VERDICTS = ("core-shell", "one-sided", "patchy", "uniform", "deactivated", "not resolved")


def state_numbers(states: pd.DataFrame, chemistry: Chemistry) -> dict[str, Quantity]:
    """Summarise the last scan over its particles.

    Parameters
    ----------
    states : DataFrame
        One row a particle and scan, as ``states.csv``.
    chemistry : Chemistry

    Returns
    -------
    dict of str to Quantity
        Means over particles have intervals from the particles' spread, none with fewer than three. Without references
        `state_mean` and its company are NaN with a warning.
    """
    last = states[states["scan"] == states["scan"].max()]
    found = {
        "n_particles": Quantity(last["particle"].nunique(), n=len(last), method="counted"),
        "n_scans": Quantity(states["scan"].nunique(), method="counted"),
        "state_mean": _mean(last["state_mean"], "mean over particles, last scan"),
        "state_sd_within": _mean(last["state_sd"], "spread over pixels, noise taken off; mean over particles"),
        "state_sd_between": Quantity(
            float(last["state_mean"].std()) if last["state_mean"].notna().sum() > 1 else float("nan"),
            n=int(last["state_mean"].notna().sum()), method="standard deviation over particles, last scan",
        ),
        "edge_ev": _mean(last["edge_ev"], "half height; mean over particles, last scan", unit="eV"),
        "derivative_ev": _mean(last["derivative_ev"], "steepest rise; mean over particles, last scan", unit="eV"),
        "white_line_ev": _mean(last["white_line_ev"], "vertex; mean over particles, last scan", unit="eV"),
        "e0_ev": Quantity(chemistry.ranges.e0_ev, unit="eV", method="steepest rise of the mean of all spectra"),
    }  # fmt: skip
    if not chemistry.references:
        why = "no oxidation state without reference spectra (--references)"
        for key in ("state_mean", "state_sd_within", "state_sd_between"):
            found[key] = Quantity(float("nan"), n=0, method=found[key].method, warning=why)
    else:
        found |= _reference_numbers(chemistry)
        for r in chemistry.references:
            key = "fraction_" + re.sub(r"[^0-9A-Za-z]+", "_", r.name).strip("_")
            found[key] = _share(last[f"fraction_{r.name}"], last["edge_step"] * last["n_px"])
    for name in VERDICTS[:5]:
        key = f"n_{name.replace('-', '_')}"
        found[key] = Quantity(int((last["verdict"] == name).sum()), n=len(last), method="particles, last scan")
    found["resolved_share"] = Quantity(
        float(last["resolved_share"].mean()), n=len(last), method="pixels whose edge stands out of the noise"
    )
    return found


def _reference_numbers(chemistry) -> dict[str, Quantity]:
    half = 1.96 * chemistry.shift_se
    known = np.isfinite(half)
    return {
        "energy_shift_ev": Quantity(
            chemistry.shift_ev,
            chemistry.shift_ev - half if known else None,
            chemistry.shift_ev + half if known else None,
            unit="eV",
            method="added to the energies; least squares of all references" if known else "given",
        ),
        "r_factor": Quantity(chemistry.r_factor, method="residual over signal of the mean spectra"),
    }


def _share(values: pd.Series, weight: pd.Series) -> Quantity:
    """Mean over particles weighted with their amount: edge step times area."""
    good = np.isfinite(values) & np.isfinite(weight) & (weight > 0)
    value = float(np.average(values[good], weights=weight[good])) if good.any() else float("nan")
    warning = None if good.any() else "not resolved in any particle"
    method = "of all absorbing atoms, mean spectra of the particles weighted with edge step and area, last scan"
    return Quantity(value, n=int(good.sum()), method=method, warning=warning)


def _mean(values: pd.Series, method: str, *, unit: str = "") -> Quantity:
    v = values.to_numpy(float)
    v = v[np.isfinite(v)]
    if len(v) == 0:
        return Quantity(float("nan"), n=0, unit=unit, method=method, warning="not resolved in any particle")
    if len(v) < 3:
        return Quantity(float(v.mean()), n=len(v), unit=unit, method=method)
    from scipy.stats import t

    half = float(t.ppf(0.5 + LEVEL / 2, len(v) - 1) * v.std(ddof=1) / np.sqrt(len(v)))
    return Quantity(float(v.mean()), float(v.mean() - half), float(v.mean() + half), n=len(v), unit=unit, method=method)


def motion_and_chemistry(
    particles: pd.DataFrame, motion: pd.DataFrame, *, rng: np.random.Generator
) -> tuple[pd.DataFrame, dict[str, Quantity]]:
    """Join how much particles move to their chemistry and correlate the two over particles.

    Parameters
    ----------
    particles : DataFrame
        One row a particle, with `state_mean`, `state_sd`, `white_line_ev`.
    motion : DataFrame
        ``motion.csv``.
    rng : Generator

    Returns
    -------
    DataFrame
        `particles` with `motion_rms_px` and `path_px`.
    dict of str to Quantity
        Rank correlation of `motion_rms_px` with the state (``"state"``), its spread (``"spread"``) and the white
        line (``"white_line"``).
    """
    amplitude = motion_amplitude(motion)[["motion_rms_px", "path_px"]]
    table = particles.join(amplitude, on="particle")
    of = {"state": "state_mean", "spread": "state_sd", "white_line": "white_line_ev"}
    moved = table["motion_rms_px"].to_numpy()
    return table, {n: rank_correlation(moved, table[c].to_numpy(), rng=rng) for n, c in of.items()}
