"""Two-point correlation: the chance that two points a distance apart both lie in the phase."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .. import _checks
from . import _volumes

if TYPE_CHECKING:
    import pandas as pd


def two_point_correlation(
    mask: np.ndarray, *, spacing: Sequence[float] | float, r_max_um: float | None = None
) -> pd.DataFrame:
    """Two-point probability S2(r), averaged over directions, without periodic boundaries.

    Parameters
    ----------
    mask : (z, y, x) bool array
        True in the phase.
    spacing : (float, float, float)
        Voxel edges in um; they may differ.
    r_max_um : float, optional
        Longest distance; by default a third of the longest edge, along which the shorter ones contribute as far as
        they go. No lag exceeds half of its edge.

    Returns
    -------
    DataFrame
        One row for each shell of distances, a voxel's smallest edge wide: `r_um` (mean distance of the lags in
        it, 0 first), `s2`, `sd` (standard deviation over the lags of the shell: direction dependence and noise),
        `n_lags`. S2(0) is the fraction f, S2 of far points f^2, and the slope at 0 is -(specific surface) / 4
        (Debye, Anderson and Brumberger 1957). An empty volume gives no rows.

    Notes
    -----
    The autocorrelation of the zero-padded volume by FFT in single precision, each lag divided by the exact number
    of pairs it has in the window.
    """
    import pandas as pd

    volume = _volumes.mask(mask)
    pixel = np.array(_volumes.spacing(spacing))
    if volume.size == 0:
        return pd.DataFrame({"r_um": np.empty(0), "s2": np.empty(0), "sd": np.empty(0), "n_lags": np.empty(0, int)})
    edges = np.array(volume.shape) * pixel
    r_max = edges.max() / 3 if r_max_um is None else _checks.positive(r_max_um, name="r_max_um")
    reach = np.minimum(np.floor(r_max / pixel + 1e-9), np.array(volume.shape) // 2).astype(int)
    probability, pairs = _lags(volume, reach)
    axes = [np.arange(-r, r + 1) * s for r, s in zip(reach[:2], pixel[:2], strict=True)]
    axes.append(np.arange(reach[2] + 1) * pixel[2])
    square = axes[0][:, None, None] ** 2 + axes[1][None, :, None] ** 2 + axes[2][None, None, :] ** 2
    distance = np.sqrt(square).ravel()
    shell = np.rint(distance / pixel.min()).astype(np.int64)
    shell[distance > r_max * (1 + 1e-9)] = 0
    # of two opposite lags one counts, also in the plane x = 0, which holds both
    once = np.ones([2 * reach[0] + 1, 2 * reach[1] + 1, reach[2] + 1], bool)
    once[:, : reach[1], 0] = False
    once[: reach[0], reach[1], 0] = False
    inside = ((shell > 0) | (distance == 0)) & once.ravel()
    shell, distance = shell[inside], distance[inside]
    value, weight = probability.ravel()[inside], pairs.ravel()[inside]
    total = np.bincount(shell, weight)
    here = total > 0
    mean = np.bincount(shell, weight * value)[here] / total[here]
    square_sum = np.bincount(shell, weight * value**2)[here] / total[here]
    return pd.DataFrame(
        {
            "r_um": np.bincount(shell, weight * distance)[here] / total[here],
            "s2": mean,
            "sd": np.sqrt(np.maximum(square_sum - mean**2, 0)),
            "n_lags": np.bincount(shell)[here],
        }
    )


def _lags(volume, reach):
    """Share of pairs with both ends in the phase, and the number of pairs, for lags -reach..reach (x: 0..)."""
    from scipy import fft

    shape = [fft.next_fast_len(int(n + r), real=True) for n, r in zip(volume.shape, reach, strict=True)]
    mean = float(volume.mean())
    # around the mean, so that single precision is spent on the correlation and not on f^2
    spectrum = fft.rfftn(volume - np.float32(mean), shape)
    power = spectrum.real**2 + spectrum.imag**2
    del spectrum
    raw = fft.irfftn(power, shape, overwrite_x=True)
    rows = [np.arange(-r, r + 1) for r in reach[:2]] + [np.arange(reach[2] + 1)]
    raw = raw[np.ix_(*rows)].astype(np.float64)
    counts = [n - np.abs(r) for n, r in zip(volume.shape, rows, strict=True)]
    pairs = counts[0][:, None, None] * counts[1][None, :, None] * counts[2][None, None, :].astype(float)
    # sum (m - f)(m' - f) = sum m m' - f (sum m + sum m' - f) over the overlap: needs the sums of its two ends
    ends = _overlap_sums(volume, rows)
    return (raw + mean * (ends - mean * pairs)) / pairs, pairs


def _overlap_sums(volume, rows):
    """Sum of the phase at the first and at the last points of all pairs of each lag."""
    total = np.zeros([n + 1 for n in volume.shape])
    total[1:, 1:, 1:] = volume
    for a in range(3):
        np.cumsum(total, axis=a, out=total)
    out = np.zeros([len(r) for r in rows])
    for sign in (1, -1):
        low = [np.maximum(-sign * r, 0) for r in rows]
        high = [n - np.maximum(sign * r, 0) for n, r in zip(volume.shape, rows, strict=True)]
        for corner in range(8):
            pick = [(high if corner >> a & 1 else low)[a] for a in range(3)]
            out = out + (1 if bin(corner).count("1") % 2 else -1) * total[np.ix_(*pick)]
    return out
