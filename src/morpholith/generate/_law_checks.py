"""Do the intervals hold in simulations, and do the sections look like simulations at all?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ._law_likelihood import Emulator, emulate, sample

LEVELS = np.array([[0.5], [0.8], [0.95]])
WIDEST = 2.0  # factor that intervals are widened by at most
ODD = 3.0  # standard deviations that a statistic is named from


class Calibration(NamedTuple):
    """How often the truth of simulations like the data lay within its interval.

    Attributes
    ----------
    n : int
        Simulations tried, drawn from those near the posterior.
    covered : (3, d) array
        Share of them within intervals of 50, 80 and 95 %, as they come out.
    ranks : (n, d) array
        Share of the posterior below the truth: uniform where calibrated.
    widen : (d,) array
        Factor, 1 or more, by which intervals were widened so that 95 % of the tried ones are covered.
    """

    n: int
    covered: np.ndarray
    ranks: np.ndarray
    widen: np.ndarray


class Misfit(NamedTuple):
    """Do simulations of the posterior look like the data?

    Attributes
    ----------
    p : float
        Share of simulations at least as far as the data are from what the law nearest to them leads one to expect.
    distance : float
        Square of that distance (Mahalanobis) of the data over the median of simulations.
    worst : tuple of (str, float)
        Statistics farther than three standard deviations off, and by how many.
    names : (m,) array of str
    predicted, sd : (m,) arrays
        What the posterior expects of each statistic, and its standard deviation, discrepancy included.
    """

    p: float
    distance: float
    worst: tuple[tuple[str, float], ...]
    names: np.ndarray
    predicted: np.ndarray
    sd: np.ndarray


def calibrate(made, observed, *, around, n, rng) -> Calibration:
    """Take `n` simulations near the posterior for the data in turn; their sections are those of laws exactly."""
    emulator = emulate(made.z, made.statistics, observed, widths=made.widths, discrepancy=0.0, around=around)
    chosen = rng.choice(len(made.z), size=n, replace=False, p=_chances(emulator.weights, n))
    below, apart = [], []
    for i in chosen:
        at = emulator.standardised(made.statistics[i])
        draws = sample(emulator, at, made.z.shape[1], rng=rng, short=True)
        below.append((draws < made.z[i]).mean(0))
        apart.append(np.abs(made.z[i] - draws.mean(0)) / np.maximum(draws.std(0), 1e-9))
    ranks, off = np.array(below), np.array(apart)
    covered = np.array([(np.abs(ranks - 0.5) <= level / 2).mean(0) for level in LEVELS])
    widen = np.clip(np.quantile(off, 0.95, axis=0) / 1.96, 1.0, WIDEST)
    return Calibration(len(chosen), covered, ranks, widen)


def _chances(weights, n) -> np.ndarray:
    """Chances to be chosen by weight, flattened so that `n` can be had."""
    w = weights / weights.sum()
    while (w > 0).sum() < n or w.max() > 0.5:
        w = 0.5 * w + 0.5 / len(w)
    return w


def misfit(emulator: Emulator, draws: np.ndarray, observed: np.ndarray, names) -> Misfit:
    """Compare what the law nearest to the data leaves unexplained with what laws leave of their own sections."""
    at = emulator.standardised(observed)
    z = draws.mean(0)
    w = emulator.weights / emulator.weights.sum()
    covariance = (w[:, None] * emulator.residuals).T @ emulator.residuals
    # directions in which statistics hardly vary are not blown up
    values, axes = np.linalg.eigh(covariance)
    precision = axes / np.maximum(values, 0.02 * values.max()) @ axes.T
    slope = _slope(emulator, z)
    # what parameters could take up is taken up in simulations too
    gain = np.linalg.solve(slope @ precision @ slope.T + np.eye(len(z)), slope @ precision)
    own = at - emulator.mean(z[None])[0][0]
    off = np.vstack([emulator.residuals, own])
    off = off - off @ gain.T @ slope
    square = np.einsum("nm,mk,nk->n", off, precision, off)
    p = float((w @ (square[:-1] >= square[-1]) * len(w) + 1) / (len(w) + 1))
    order = np.argsort(square[:-1])
    median = float(square[:-1][order][min(np.searchsorted(np.cumsum(w[order]), 0.5), len(w) - 1)])
    kept = np.array(names)[emulator.kept]
    apart = own / emulator.sd
    far = np.argsort(-np.abs(apart))[:6]
    worst = tuple((str(kept[k]), float(apart[k])) for k in far if abs(apart[k]) > ODD)
    predicted = emulator.middle + emulator.width * emulator.mean(z[None])[0][0]
    return Misfit(p, float(square[-1] / median), worst, kept, predicted, emulator.width * emulator.sd)


def _slope(emulator, z) -> np.ndarray:
    """Derivatives (d, m) of the expected statistics."""
    step = 0.05
    ends = np.vstack([z + step * np.eye(len(z)), z - step * np.eye(len(z))])
    mean = emulator.mean(ends)[0]
    return (mean[: len(z)] - mean[len(z) :]) / (2 * step)
