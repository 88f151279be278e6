"""Thresholds of a grey-level histogram by stated methods."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter1d

if TYPE_CHECKING:
    from .levels import Mixture


def otsu(centres: np.ndarray, counts: np.ndarray, *, n: int = 2) -> tuple[float, ...]:
    """Return the `n` - 1 thresholds of least variance within the classes (Otsu 1979).

    Parameters
    ----------
    centres, counts : (b,) arrays
        Equal bins in rising order.
    n : {2, 3}

    Returns
    -------
    tuple of float
        Biased towards the larger class when the shares are unequal, and unaware of partial volume.
    """
    p = counts / counts.sum()
    weight = np.concatenate([[0], np.cumsum(p)])
    moment = np.concatenate([[0], np.cumsum(p * centres)])
    half = (centres[1] - centres[0]) / 2

    def between(i, j):
        w = weight[j] - weight[i]
        return np.where(w > 0, (moment[j] - moment[i]) ** 2 / np.where(w > 0, w, 1), 0)

    b = len(centres)
    if n == 2:
        k = np.arange(1, b)
        best = int(k[np.argmax(between(0, k) + between(k, b))])
        return (float(centres[best] - half),)
    i, j = np.meshgrid(np.arange(1, b), np.arange(1, b), indexing="ij")
    score = np.where(i < j, between(0, i) + between(i, j) + between(j, b), -np.inf)
    first, second = np.unravel_index(np.argmax(score), score.shape)
    return float(centres[first + 1] - half), float(centres[second + 1] - half)


def minimum(centres: np.ndarray, counts: np.ndarray, *, low: float, high: float, smooth: float) -> float:
    """Return the emptiest grey level between `low` and `high` of a histogram smoothed by `smooth` grey levels."""
    step = centres[1] - centres[0]
    density = gaussian_filter1d(counts.astype(float), max(smooth / step, 1e-3))
    inside = (centres >= low) & (centres <= high)
    if not inside.any():
        return (low + high) / 2
    return float(centres[inside][np.argmin(density[inside])])


def equal_posterior(fit: Mixture) -> float:
    """Return the grey level between two Gaussian phases at which both are as probable; half-way if there is none."""
    x = np.linspace(fit.means[0], fit.means[1], 2001)[1:-1, None]
    density = fit.shares / fit.sds * np.exp(-0.5 * ((x - fit.means) / fit.sds) ** 2)
    bright = np.flatnonzero(density[:, 1] >= density[:, 0])
    return float(x[bright[0], 0]) if 0 < bright.size < len(x) else float(fit.means.mean())
