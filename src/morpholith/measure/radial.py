"""Grey level against depth inside each particle, for all particles at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .. import columns
from ..errors import InputError
from . import _volumes
from ._labels import compact

if TYPE_CHECKING:
    import pandas as pd

OFFSET = 0.4  # smallest edges from an outermost voxel's nearest neighbour outside to the surface, on average
BEYOND = 0.3  # smallest edges from the deepest voxel to the deepest point, on average
DEEPEST = "depth_um"
GRADIENT = "grey_gradient"  # change of the mean grey value from surface to deepest point


def radial_profiles(
    grey: np.ndarray, labels: np.ndarray, *, spacing: Sequence[float] | float, bins: int = 10
) -> pd.DataFrame:
    """Mean grey level of every particle in shells from its surface to its deepest point.

    Parameters
    ----------
    grey : (z, y, x) array
        The tomogram; NaN voxels are left out.
    labels : (z, y, x) int array
        Particles; 0 is background.
    spacing : (float, float, float)
        Voxel edges in um; they may differ.
    bins : int
        Shells, of equal width in depth over greatest depth.

    Returns
    -------
    DataFrame
        Index `label`, ascending. `depth_um` (greatest distance from the surface), `touches_edge`, `n_voxels`,
        `grey_00`, `grey_10`, ... named by the percentage of the greatest depth at which the shell begins: the mean in
        it, NaN where it holds no voxel; and `grey_gradient`, the slope of grey level against relative depth (0
        surface, 1 deepest), least squares over voxels. No labels give an empty table with the same columns.

    Notes
    -----
    Depth is the exact Euclidean distance to the nearest voxel of another label or of background, all labels in one
    pass (`distance.depth`), less 0.4 voxel at the surface. Particles that touch the edge are
    deeper than can be seen; their rows are to be left out of means, as `mean_profile` does. Blur mixes the outermost
    shells with what lies outside.
    """
    import pandas as pd

    if not (isinstance(bins, int | np.integer) and 2 <= bins <= 100):
        raise InputError(f"`bins` must be a whole number from 2 to 100, got {bins!r}.")
    volume = _volumes.labels(labels)
    pixel = _volumes.spacing(spacing)
    image = _volumes.grey(grey, volume.shape)
    volume, names = compact(volume)
    volume = np.ascontiguousarray(volume, np.int32)
    total, count, depth, edge = _sums(image, volume, len(names), pixel, int(bins))
    with np.errstate(invalid="ignore"):
        mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    table = {DEEPEST: depth, columns.TOUCHES_EDGE: edge, "n_voxels": count.sum(axis=1)}
    table |= {name: mean[:, b] for b, name in enumerate(shell_names(int(bins)))}
    middle = (np.arange(bins) + 0.5) / bins
    weight = np.maximum(count.sum(axis=1), 1)
    centre = (count * middle).sum(axis=1) / weight
    spread = (count * (middle - centre[:, None]) ** 2).sum(axis=1)
    lean = (total * (middle - centre[:, None])).sum(axis=1)
    table[GRADIENT] = np.where(spread > 0, lean / np.where(spread > 0, spread, 1), np.nan)
    return pd.DataFrame(table, index=pd.Index(names, name=columns.LABEL, dtype=np.int64))


def _sums(image, volume, n, pixel, bins):
    from . import _edt, _shells

    square = _edt.squared(volume, pixel)
    depth = np.sqrt(_shells.deepest(volume, square, n)) + np.float32(BEYOND * min(pixel))
    offset = OFFSET * min(pixel)
    total, count = _shells.shells(image, volume, square, depth, bins, np.float32(offset))
    return total[1:], count[1:], depth[1:].astype(float), _shells.edges(volume, n)[1:]


def shell_names(bins: int) -> list[str]:
    """Return the columns of the shells of `radial_profiles`, from the surface inwards."""
    return [f"grey_{round(100 * b / bins):02d}" for b in range(bins)]


def mean_profile(profiles: pd.DataFrame, *, level: float = 0.95) -> pd.DataFrame:
    """Mean of the radial profiles of the whole particles, with pointwise intervals.

    Parameters
    ----------
    profiles : DataFrame
        From `radial_profiles`.
    level : float

    Returns
    -------
    DataFrame
        One row a shell: `depth` (0 surface, 1 deepest; middle of the shell), `grey`, `low`, `high` (Student, over
        particles), `n`. NaN ends for fewer than two particles.
    """
    import pandas as pd
    from scipy.special import stdtrit

    level = _volumes.level(level)
    names = [c for c in profiles.columns if c.startswith("grey_") and c[5:].isdigit()]
    values = profiles.loc[~profiles[columns.TOUCHES_EDGE].astype(bool), names].to_numpy(float)
    n = np.isfinite(values).sum(axis=0)
    few = np.where(n > 0, n, 1)
    mean = np.where(n > 0, np.nansum(values, axis=0) / few, np.nan)
    variance = np.nansum((values - mean) ** 2, axis=0) / np.maximum(n - 1, 1)
    half = stdtrit(np.maximum(n - 1, 1), 0.5 + level / 2) * np.sqrt(variance / few)
    half = np.where(n > 1, half, np.nan)
    middle = (np.arange(len(names)) + 0.5) / max(len(names), 1)
    return pd.DataFrame({"depth": middle, "grey": mean, "low": mean - half, "high": mean + half, "n": n})
