"""Carbon-binder between pore and active material: is it resolved, and which voxels are it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from ._two_phases import flat_values
from .levels import Mixture, histogram, mixture

DIP = 0.75  # a peak counts if the valley beside it is below this share of its height
LEAST, LEAST_END = 0.003, 0.01  # share of the flat voxels that a phase must have
TRUNCATE = 2.5
PASSES = 2
FLATNESS = (0.15, 0.3, 0.6, np.inf)  # of the steepest slope


def peaks(centres: np.ndarray, counts: np.ndarray, *, smooth: float) -> list[tuple[int, int, int]]:
    """Return the peaks of a histogram, darkest first: first bin, top, last bin.

    A peak counts if the valleys that part it from its neighbours are below 0.75 of its height by more than four
    standard errors of the counts, and if it holds enough voxels: 0.3 %, or 1 % for the darkest and the brightest, so
    that a few bright inclusions are no phase.
    """
    width = max(smooth / (centres[1] - centres[0]), 1.0)
    density = gaussian_filter1d(counts, width)
    tops = [i for i in range(1, len(density) - 1) if density[i - 1] < density[i] >= density[i + 1]]
    valleys = [int(a + np.argmin(density[a : b + 1])) for a, b in pairwise(tops)]
    while len(tops) > 1:
        ends = [0, *valleys, len(density)]
        scores = [_weakness(density, counts, ends, k, top, width) for k, top in enumerate(tops)]
        weakest = int(np.argmax(scores))
        if scores[weakest] <= 1:
            break
        # it joins the neighbour across the shallower valley
        around = [v for v in (weakest - 1, weakest) if 0 <= v < len(valleys)]
        across = max(around, key=lambda v: density[valleys[v]])
        del tops[weakest], valleys[across]
    ends = [0, *valleys, len(density)]
    return [(ends[k], top, ends[k + 1]) for k, top in enumerate(tops)]


def _weakness(density, counts, ends, k, top, width) -> float:
    """Return above 1 if peak `k` does not count, the more the less it does."""
    last = len(ends) - 2
    beside = [v for v in (ends[k], ends[k + 1]) if 0 < v < len(density)]
    valley = max(density[v] for v in beside)
    # a smoothed count has the variance of the sum over some 2 sqrt(pi) widths, over that squared
    error = 4 * float(np.sqrt(density[top] / (2 * np.sqrt(np.pi) * width)))
    held = counts[ends[k] : ends[k + 1]].sum() / counts.sum()
    least = LEAST_END if k in (0, last) else LEAST
    return max((valley + error) / (DIP * density[top] + 1e-300), least / max(held, 1e-12))


def three_levels(denoised: np.ndarray, slope: np.ndarray, *, noise: float, valid) -> tuple[Mixture, float] | None:
    """Return the three phases that the grey levels show, and how flat the voxels are that show them; or None.

    A blurred edge from pore to active passes through the grey of the binder, but most of its voxels are near either
    end: it makes a bridge, never a peak. The flattest voxels are asked first, as they show the purest levels.
    """
    for flat in FLATNESS:
        centres, counts = histogram(flat_values(denoised, slope, flat=flat, valid=valid))
        found = peaks(centres, counts, smooth=noise)
        if len(found) < 3:
            continue
        inner = max(found[1:-1], key=lambda peak, n=counts: n[peak[0] : peak[2]].sum())  # type: ignore[misc]
        fit = mixture(centres, counts, n=3, start=(float(centres[inner[0]]), float(centres[inner[2]])))
        if fit.separation > 2.5 and fit.shares.min() > LEAST / 2:
            return fit, flat
    return None


def halo(sigma: tuple[float, ...]) -> tuple[int, ...]:
    """Return how far `label_three` looks along each axis, in voxels."""
    return tuple(PASSES * (_radius(s) + _radius(1.5 * s)) if s > 0 else 0 for s in sigma)


def _radius(sigma):
    return int(TRUNCATE * sigma + 0.5)


def label_three(grey: np.ndarray, *, thresholds, levels, sigma: tuple[float, ...]) -> np.ndarray:
    """Return pore 0, active 1, binder 2 of a denoised block.

    Parameters
    ----------
    grey : (z, y, x) float32 array
    thresholds : (float, float)
        Pore to binder, and binder to active.
    levels : (float, float, float)
        Grey of pore, binder, active.
    sigma : tuple of float
        Blur in voxels of each axis.

    Returns
    -------
    (z, y, x) uint8 array
        The grey level beside active material is a blend. The share f of active in it is the blurred active mask; what
        is left, (g - f a) / (1 - f), says what the other material is. The threshold of active follows it: half-way
        between active and whatever lies there. Where f is too large to tell, the surroundings decide.
    """
    low, high = (float(t) for t in thresholds)
    pore, binder, active = levels
    bright = grey >= high
    wide = tuple(1.5 * s for s in sigma)
    rest = local = grey
    for _ in range(PASSES):
        share = gaussian_filter(bright.astype(np.float32), sigma, truncate=TRUNCATE)
        rest = np.clip((grey - share * np.float32(active)) / np.maximum(1 - share, 0.2), pore, binder)
        weight = np.square(np.clip(1 - share, 1e-3, 1))
        local = gaussian_filter(weight * rest, wide, truncate=TRUNCATE)
        local /= gaussian_filter(weight, wide, truncate=TRUNCATE)
        bright = grey >= high - (binder - local) / 2
    is_binder = np.where(share < 0.28, rest, local) >= low
    return np.where(bright, 1, np.where(is_binder, 2, 0)).astype(np.uint8)
