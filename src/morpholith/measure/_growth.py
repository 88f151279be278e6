"""Growth of one particle from its free surface, direction by direction."""

from __future__ import annotations

import numpy as np

from .. import columns
from .grey_volume import ACTIVE_LEVEL, PORE_LEVEL

DIRECTIONS = 320
LEAST_DIRECTIONS = 30  # a tenth of the surface must be free
CLEAR_VOXELS = 4.5  # from another particle, for a place of the surface to be free
SMOOTHING_VOXELS = 0.6
MIDDLE_OFF = 0.03
"""By which share of the radius the middle of a label is off against that of its counterpart."""

ERROR_FACTOR = 1.7
"""What the errors of single particles are short of on virtual electrodes (cracks, binder and borders are no noise)."""

GRID_ERROR = 0.003  # of a radius, in voxels, that the grid alone makes however many rays there are
RAYS_TOGETHER = 6.0  # neighbouring rays that see the same noise and roughness


def directions(n):
    """`n` directions spread evenly over the sphere (Fibonacci lattice), (z, y, x)."""
    k = np.arange(n) + 0.5
    z, turn = 1 - 2 * k / n, np.pi * (1 + 5**0.5) * k
    across = np.sqrt(1 - z * z)
    return np.stack([z, across * np.cos(turn), across * np.sin(turn)], 1)


def rotation_of(matrix):
    """Return the rotation in a linear map; none for None."""
    if matrix is None:
        return np.eye(3)
    u, _, vt = np.linalg.svd(np.asarray(matrix, float))
    return u @ vt


def radii(volume, table, turn, ways):
    """Radius of each particle of the table along each direction, `turn` taking directions into this volume."""
    from scipy import ndimage as ndi

    from . import _rays

    edge = float(np.prod(volume.spacing) ** (1 / 3))
    grey = ndi.gaussian_filter(np.nan_to_num(volume.grey), [SMOOTHING_VOXELS * edge / s for s in volume.spacing])
    half = (table[ACTIVE_LEVEL] + table[PORE_LEVEL]).to_numpy() / 2
    longest = 2 * np.cbrt(table[columns.VOLUME].to_numpy())
    return _rays.radii(
        grey,
        volume.labels,
        table.index.to_numpy().astype(np.int64),
        table[[columns.Z, columns.Y, columns.X]].to_numpy(),
        np.ascontiguousarray(turn, dtype=float),
        ways,
        np.array(volume.spacing),
        half,
        0.25 * edge,
        3.0 * edge,
        CLEAR_VOXELS * edge,
        longest,
    )


def growth(r0, r1, ways):
    """Growth in length, its error and how many rays it rests on; NaN where too few are free."""
    free = np.isfinite(r0) & np.isfinite(r1)
    n = int(free.sum())
    if n < LEAST_DIRECTIONS:
        return np.nan, np.nan, n
    # both radii are noisy, so neither is regressed on the other: their difference is, on their smoothed mean, else
    # noise of the regressor would pull the growth down
    middle, value, weight = _smooth((r0[free] + r1[free]) / 2, ways[free]), r1[free] - r0[free], np.ones(n)
    design = np.c_[middle, ways[free]]
    b = np.linalg.lstsq(design[:, :1], value, rcond=None)[0][0] * np.array([1.0, 0, 0, 0])
    for _ in range(20):
        # where one side alone is free, growth and a shift look alike: the middle is off by some per cent at most
        spread = 1.4826 * float(np.median(np.abs(value - design @ b))) + 1e-9
        hold = np.diag([0.0, 1, 1, 1]) * RAYS_TOGETHER * (spread / (MIDDLE_OFF * middle.mean())) ** 2
        normal = np.linalg.inv((design * weight[:, None]).T @ design + hold)
        b = normal @ (design.T @ (weight * value))
        off = value - design @ b
        weight = np.minimum(1, 1.345 * spread / np.maximum(np.abs(off), 1e-12))
    sector = (np.sign(np.where(np.abs(ways[free]) > 0.4, ways[free], 0)) @ [9, 3, 1] + 13).astype(int)
    scores = np.stack([np.bincount(sector, weight * off * design[:, k], minlength=27) for k in range(4)], 1)
    used = len(np.unique(sector))
    if used < 6:
        return np.nan, np.nan, n
    variance = float(((scores @ normal[0]) ** 2).sum()) * used / (used - 4)
    g, error = float(b[0]), ERROR_FACTOR * float(np.sqrt(variance))
    return (1 + g / 2) / (1 - g / 2), error / (1 - g / 2) ** 2, n


def _smooth(radius, ways):
    """Second-order surface over direction: the shape without the noise of single rays."""
    z, y, x = ways.T
    # z^2 + y^2 + x^2 is one, so one of the squares is left out
    design = np.stack([np.ones_like(z), z, y, x, z * z, y * y, z * y, z * x, y * x], 1)
    return design @ np.linalg.lstsq(design, radius, rcond=1e-6)[0]
