"""Compiled loop of the radius function: where rays first leave a mask."""

from __future__ import annotations

import numpy as np
from numba import njit

STEP = 0.25  # of the shortest edge of a voxel


@njit(cache=True, nogil=True)
def _inside(mask, z, y, x):
    """Trilinear interpolation of the mask between voxel centres; 0 beyond the array."""
    i, j, k = int(np.floor(z)), int(np.floor(y)), int(np.floor(x))
    total = 0.0
    for a in range(2):
        for b in range(2):
            for c in range(2):
                p, q, r = i + a, j + b, k + c
                if 0 <= p < mask.shape[0] and 0 <= q < mask.shape[1] and 0 <= r < mask.shape[2] and mask[p, q, r]:
                    total += abs(1 - a - (z - i)) * abs(1 - b - (y - j)) * abs(1 - c - (x - k))
    return total


@njit(cache=True, nogil=True)
def first_exits(mask, centre, directions, spacing):
    """Distance along each direction at which the mask, interpolated, first falls below one half."""
    out = np.empty(len(directions))
    step = STEP * min(spacing[0], spacing[1], spacing[2])
    z, y, x = centre[0] / spacing[0], centre[1] / spacing[1], centre[2] / spacing[2]
    for d in range(len(directions)):
        uz, uy, ux = directions[d, 0] / spacing[0], directions[d, 1] / spacing[1], directions[d, 2] / spacing[2]
        high = step
        while _inside(mask, z + high * uz, y + high * uy, x + high * ux) >= 0.5:
            high += step
        low = high - step
        for _ in range(30):
            middle = 0.5 * (low + high)
            if _inside(mask, z + middle * uz, y + middle * uy, x + middle * ux) >= 0.5:
                low = middle
            else:
                high = middle
        out[d] = 0.5 * (low + high)
    return out
