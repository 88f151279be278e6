"""Kernels of the partial-volume sums: which voxels belong wholly, in part or not at all to a particle."""

from __future__ import annotations

import numpy as np
from numba import njit

CORE, SHELL, GREY = range(3)
N_SUMS = 3


def ball(reach_um: float, spacing) -> tuple[np.ndarray, np.ndarray]:
    """Offsets (n, 3) within `reach_um` of a voxel, nearest first, without the voxel itself; and their distances."""
    half = [int(reach_um / s) for s in spacing]
    grid = np.stack(np.meshgrid(*(np.arange(-h, h + 1) for h in half), indexing="ij"), -1).reshape(-1, 3)
    distance = np.sqrt(((grid * np.asarray(spacing)) ** 2).sum(1))
    keep = (distance <= reach_um) & (distance > 0)
    order = np.argsort(distance[keep], kind="stable")
    return grid[keep][order].astype(np.int64), distance[keep][order]


@njit(cache=True)
def zones(labels, grey, offsets, distance, n):
    """Sums for each label 0 .. n, and the zone of every voxel.

    Zones: -1 deep outside (no label within reach), +l rim or shell of label l, -(l + 1) core of label l. A voxel
    outside all labels belongs to the nearest one within reach; one as near to two is shared.
    """
    nz, ny, nx = labels.shape
    sums = np.zeros((n + 1, N_SUMS))
    zone = np.zeros(labels.shape, np.int32)
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                own = labels[z, y, x]
                value = grey[z, y, x]
                if own > 0:
                    core = True
                    for k in range(offsets.shape[0]):
                        i, j, m = z + offsets[k, 0], y + offsets[k, 1], x + offsets[k, 2]
                        if 0 <= i < nz and 0 <= j < ny and 0 <= m < nx and labels[i, j, m] != own:
                            core = False
                            break
                    if core:
                        sums[own, CORE] += 1
                        zone[z, y, x] = -(own + 1)
                    else:
                        sums[own, SHELL] += 1
                        sums[own, GREY] += value
                        zone[z, y, x] = own
                    continue
                found, tie, at = 0, 0, -1.0
                for k in range(offsets.shape[0]):
                    if at >= 0 and distance[k] > at + 1e-9:
                        break
                    i, j, m = z + offsets[k, 0], y + offsets[k, 1], x + offsets[k, 2]
                    if 0 <= i < nz and 0 <= j < ny and 0 <= m < nx and labels[i, j, m] > 0:
                        if found == 0:
                            found, at = labels[i, j, m], distance[k]
                        elif labels[i, j, m] != found:
                            tie = labels[i, j, m]
                            break
                zone[z, y, x] = found if found > 0 else -1
                if found > 0 and tie == 0:
                    sums[found, SHELL] += 1
                    sums[found, GREY] += value
                elif found > 0:
                    sums[found, SHELL] += 0.5
                    sums[found, GREY] += 0.5 * value
                    sums[tie, SHELL] += 0.5
                    sums[tie, GREY] += 0.5 * value
    return sums, zone


@njit(cache=True)
def moments(labels, n):
    """Voxel count, sums of the three indices, and whether it lies on a face, for each label 0 .. n."""
    nz, ny, nx = labels.shape
    found = np.zeros((n + 1, 5))
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                own = labels[z, y, x]
                if own > 0:
                    found[own, 0] += 1
                    found[own, 1] += z
                    found[own, 2] += y
                    found[own, 3] += x
                    if z == 0 or y == 0 or x == 0 or z == nz - 1 or y == ny - 1 or x == nx - 1:
                        found[own, 4] = 1
    return found


@njit(cache=True)
def neighbours_of_holes(labels, holes, n):
    """Smallest and largest label beside each hole 1 .. n; a hole at a face has 0 as its smallest."""
    low, high = np.full(n + 1, 2**31 - 1), np.zeros(n + 1, np.int64)
    nz, ny, nx = labels.shape
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                hole = holes[z, y, x]
                if hole == 0:
                    continue
                if z == 0 or y == 0 or x == 0 or z == nz - 1 or y == ny - 1 or x == nx - 1:
                    low[hole] = 0
                    continue
                for i, j, m in (
                    (z - 1, y, x),
                    (z + 1, y, x),
                    (z, y - 1, x),
                    (z, y + 1, x),
                    (z, y, x - 1),
                    (z, y, x + 1),
                ):
                    beside = labels[i, j, m]
                    if beside > 0:
                        low[hole], high[hole] = min(low[hole], beside), max(high[hole], beside)
    return low, high
