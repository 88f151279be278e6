"""Kernel that casts rays from the middle of a particle to its free surface, in units of its own contrast."""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange


@njit(cache=True)
def _value(volume, z, y, x):
    """Trilinear value at index coordinates inside the volume."""
    i = min(int(z), volume.shape[0] - 2)
    j = min(int(y), volume.shape[1] - 2)
    k = min(int(x), volume.shape[2] - 2)
    a, b, c = z - i, y - j, x - k
    p00 = volume[i, j, k] * (1 - c) + volume[i, j, k + 1] * c
    p01 = volume[i, j + 1, k] * (1 - c) + volume[i, j + 1, k + 1] * c
    p10 = volume[i + 1, j, k] * (1 - c) + volume[i + 1, j, k + 1] * c
    p11 = volume[i + 1, j + 1, k] * (1 - c) + volume[i + 1, j + 1, k + 1] * c
    return (p00 * (1 - b) + p01 * b) * (1 - a) + (p10 * (1 - b) + p11 * b) * a


@njit(cache=True)
def _radius(grey, labels, own, middle, way, spacing, half, step, reach, clear, longest):
    """Distance from the middle to the free surface along one ray; NaN where it meets another particle or a face."""
    nz, ny, nx = labels.shape
    last = -1.0  # farthest point on the ray that is the particle's own
    n = int(longest / step) + 1
    for k in range(n):
        z = (middle[0] + way[0] * step * k) / spacing[0]
        y = (middle[1] + way[1] * step * k) / spacing[1]
        x = (middle[2] + way[2] * step * k) / spacing[2]
        i, j, m = math.floor(z + 0.5), math.floor(y + 0.5), math.floor(x + 0.5)
        if i < 0 or j < 0 or m < 0 or i >= nz or j >= ny or m >= nx:
            break
        here = labels[i, j, m]
        if here == own:
            last = step * k
        elif here > 0 and last >= 0:
            if step * k - last <= reach:
                return np.nan
            break
        elif last >= 0 and step * k - last > reach:
            break
    if last < 0:
        return np.nan
    # the last fall through the half level within reach of the label's end
    found, before = np.nan, np.nan
    for k in range(int(-reach / step) - 1, int(reach / step) + 2):
        r = last + 0.5 * step + k * step
        if r < 0:
            continue
        z = (middle[0] + way[0] * r) / spacing[0]
        y = (middle[1] + way[1] * r) / spacing[1]
        x = (middle[2] + way[2] * r) / spacing[2]
        if z < 0 or y < 0 or x < 0 or z > nz - 1 or y > ny - 1 or x > nx - 1:
            return np.nan
        value = _value(grey, z, y, x) - half
        if before >= 0 > value:
            edge = r - step * value / (value - before)
            if np.isnan(found) or abs(edge - last) < abs(found - last):
                found = edge
        before = value
    if found != found or _another(labels, own, middle + way * found, spacing, clear):
        return np.nan
    return found


@njit(cache=True)
def _another(labels, own, place, spacing, clear):
    """Whether another particle has a voxel within `clear` of a place."""
    half = (int(clear / spacing[0]), int(clear / spacing[1]), int(clear / spacing[2]))
    at = (int(place[0] / spacing[0] + 0.5), int(place[1] / spacing[1] + 0.5), int(place[2] / spacing[2] + 0.5))
    for i in range(max(at[0] - half[0], 0), min(at[0] + half[0] + 1, labels.shape[0])):
        for j in range(max(at[1] - half[1], 0), min(at[1] + half[1] + 1, labels.shape[1])):
            for m in range(max(at[2] - half[2], 0), min(at[2] + half[2] + 1, labels.shape[2])):
                if labels[i, j, m] > 0 and labels[i, j, m] != own:
                    off = (i * spacing[0] - place[0], j * spacing[1] - place[1], m * spacing[2] - place[2])
                    if off[0] ** 2 + off[1] ** 2 + off[2] ** 2 < clear**2:
                        return True
    return False


@njit(cache=True, parallel=True)
def radii(grey, labels, own, middle, turn, ways, spacing, half, step, reach, clear, longest):
    """Radius of each particle along each direction, (particles, directions); any thread count, same bits.

    `turn` is the matrix that takes the directions into this volume, `half` the grey level halfway between pore and
    the particle, `longest` how far to look; `middle` in um.
    """
    found = np.empty((len(own), len(ways)))
    for p in prange(len(own)):
        for w in range(len(ways)):
            way = turn @ ways[w]
            found[p, w] = _radius(
                grey, labels, own[p], middle[p], way, spacing, half[p], step, reach, clear, longest[p]
            )
    return found
