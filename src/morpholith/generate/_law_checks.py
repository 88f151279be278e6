"""Is what was learnt calibrated, and do the sections look like it?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from . import _law_regression as regression

LEVELS = (0.5, 0.8, 0.95)
SURE = 0.05  # no statistic is predicted better than this, in units of its width over simulations
WIDEST = 3.0  # most that intervals are widened to be calibrated


class Calibration(NamedTuple):
    """How often the truth of simulations like the data lay within its interval.

    Attributes
    ----------
    n : int
        Simulations tried, drawn from the posterior.
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
        Share of simulations at least as far from the others as the data are.
    distance : float
        Energy distance of the data to the simulations over the median of that of simulations.
    worst : tuple of (str, float)
        Statistics farther than three standard deviations off, and by how many.
    names, predicted, sd : arrays (k,)
        Of the statistics that were compared: what the posterior predicts, and its standard deviation.
    """

    p: float
    distance: float
    worst: tuple[tuple[str, float], ...]
    names: np.ndarray
    predicted: np.ndarray
    sd: np.ndarray


def calibrate(z, learnt, near, *, n, share, rng) -> Calibration:
    """Take `n` simulations near the data for the data in turn, drawn by their weights `near`.

    The prior is here the density that simulations were drawn from: what it is replaced by in the end is exact.
    """
    chosen = rng.choice(len(z), size=min(n, int((near > 0).sum())), replace=False, p=near)
    below, apart = [], []
    others = np.ones(len(z), bool)
    for i in chosen:
        others[i] = False
        draws = regression.shifted(
            z[others], learnt.of_simulations[others], learnt.of_simulations[i], learnt.spread, share=share
        )
        others[i] = True
        mean, spread = regression.moments(draws)
        below.append(draws.weights @ (draws.values < z[i]))
        apart.append(np.abs(z[i] - mean) / np.sqrt(np.diag(spread)))
    ranks, off = np.array(below), np.array(apart)
    covered = np.array([(np.abs(ranks - 0.5) <= level / 2).mean(0) for level in LEVELS])
    widen = np.clip(np.quantile(off, 0.95, axis=0) / 1.96, 1.0, WIDEST)
    return Calibration(len(chosen), covered, ranks, widen)


def misfit(statistics, observed, learnt, weights, names) -> Misfit:
    """Compare what the learnt numbers leave unexplained of the statistics, data against simulations."""
    near = weights > 0
    w = weights[near] / weights[near].sum()
    scale = regression.scale_of(statistics[near], observed)
    x = np.vstack([regression.standardised(statistics[near], scale), regression.standardised(observed[None], scale)])
    m = np.vstack([learnt.of_simulations[near], learnt.of_observed])
    design = np.hstack([np.ones((len(m), 1)), m - learnt.of_observed])
    root = np.sqrt(w)[:, None]
    slope = np.linalg.lstsq(root * design[:-1], root * x[:-1], rcond=None)[0]
    left = x - design @ slope
    covariance = (w[:, None] * left[:-1]).T @ left[:-1]
    sd = np.sqrt(np.diag(covariance) + SURE**2)
    off = left[-1] / sd
    values, axes = np.linalg.eigh(covariance)
    # directions in which statistics hardly vary are not blown up
    white = left @ axes / np.sqrt(np.maximum(values, 0.02 * values.max()))
    cloud, at = white[:-1], white[-1]
    mutual = _apart(cloud) @ w
    inner = w @ mutual
    own = 2 * mutual - inner
    distance = 2 * (np.linalg.norm(cloud - at, axis=1) @ w) - inner
    kept = np.array(names)[scale.kept]
    order = np.argsort(-np.abs(off))
    worst = tuple((str(kept[k]), float(off[k])) for k in order[:6] if abs(off[k]) > 3)
    p = (w @ (own >= distance) * len(w) + 1) / (len(w) + 1)
    predicted = scale.middle + scale.width * (x[-1] - left[-1])
    return Misfit(float(p), float(distance / np.median(own)), worst, kept, predicted, scale.width * sd)


def _apart(cloud):
    square = np.square(cloud).sum(1)
    return np.sqrt(np.maximum(square[:, None] + square - 2 * cloud @ cloud.T, 0))
