"""Chords: the lengths of the straight runs of a phase along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..image import Quantity
from . import _volumes
from .representative import Scatter, low_modes, mean_quantity, scatter_of

if TYPE_CHECKING:
    import pandas as pd

MOST_CUT = 0.5  # share of the chord length in cut chords above which the distribution is not resolved


@dataclass(frozen=True)
class Chords:
    """Chords of a phase along one axis.

    Parameters
    ----------
    axis : int
    table : DataFrame
        One row for each length that occurs: `length_um`, `n_whole` (seen wholly), `n_cut` (cut by a face),
        `share` (of all chords of the material, by number), `cumulative`.
    mean : Quantity
        Number-weighted mean length in um.
    cut_share : float
        Share of the seen chord length that belongs to cut chords.
    """

    axis: int
    table: pd.DataFrame
    mean: Quantity
    cut_share: float


def chord_lengths(
    mask: np.ndarray, *, spacing: Sequence[float] | float, axis: int | str, level: float = 0.95
) -> Chords:
    """Return the distribution of chord lengths of a phase along an axis, with the faces of the volume corrected for.

    Parameters
    ----------
    mask : (z, y, x) bool array
        True in the phase.
    spacing : (float, float, float)
        Voxel edges in um.
    axis : {0, 1, 2, "z", "y", "x"}
    level : float

    Returns
    -------
    Chords
        NaN mean and an empty table where there is no chord. Warnings: "not resolved" where cut chords hold more
        than half of the length.

    Notes
    -----
    Every line of voxels is used. A chord of l voxels is seen wholly, with both ends, in N - l - 1 positions on a
    line of N, so those seen weigh 1 / (N - l - 1) (Miles). The mean needs no such weights: it is the length of
    phase over the number of chords, twice which are the interfaces crossed, both unbiased at the faces; it is
    therefore right even if half of the chords are cut, and is 4 f / S_v of an isotropic phase. Chords shorter
    than a voxel are missed, which for spheres of radius r voxels lengthens the mean by 1 / (12 r^2).
    """
    import pandas as pd

    from . import _chords

    volume = _volumes.mask(mask)
    pixel = _volumes.spacing(spacing)
    along = _volumes.axis(axis)
    turned = np.ascontiguousarray(np.moveaxis(volume, along, 2))
    n = turned.shape[2]
    whole, one, both = _chords.runs(turned)
    seen = np.flatnonzero(whole + one + both)
    weight = np.where(whole > 0, whole / np.maximum(n - np.arange(n + 1) - 1, 1), 0.0)
    share = weight[seen] / weight.sum() if weight.any() else np.full(len(seen), np.nan)
    length = np.arange(n + 1)
    total = (length * (whole + one + both)).sum()
    cut = float((length * (one + both)).sum() / total) if total else float("nan")
    table = pd.DataFrame(
        {
            "length_um": seen * pixel[along],
            "n_whole": whole[seen],
            "n_cut": (one + both)[seen],
            "share": share,
            "cumulative": np.cumsum(share),
        }
    )
    return Chords(along, table, _mean(turned, pixel, along, cut, level), cut)


def _mean(turned, pixel, along, cut, level):
    """Length of phase over number of chords, and how far a finite window leaves that ratio uncertain."""
    method = "length of phase over chords begun; interval from the low spectrum of both"
    edges = [s for a, s in enumerate(pixel) if a != along] + [pixel[along]]
    nothing = Quantity(float("nan"), level=level, unit="um", method=method, warning="no chord begins or ends here")
    if turned.size == 0 or turned.shape[2] < 2:
        return nothing
    crossed = turned[:, :, 1:] != turned[:, :, :-1]
    fraction, density = float(turned.mean()), float(crossed.mean())
    if density == 0:
        return nothing
    phase = low_modes(turned) / fraction
    ends = low_modes(crossed)
    grown = np.zeros_like(phase)
    keep = tuple(slice(0, min(a, b)) for a, b in zip(phase.shape, ends.shape, strict=True))
    grown[keep] = ends[keep] / density
    scatter = scatter_of(phase - grown, window=turned.shape, spacing=edges)
    relative = Scatter(1.0, scatter.variance, scatter.dof, scatter.size)
    value = 2 * fraction / density * pixel[along]
    found = mean_quantity(relative, value=value, level=level, unit="um", method=method)
    if cut > MOST_CUT:
        why = f"the distribution is not resolved: {100 * cut:.0f} % of the chord length is cut by the faces"
        found = Quantity(
            found.value, found.low, found.high, level=level, unit="um", method=method, warning=found.warning or why
        )
    return found
