"""Grey values of all particles sorted by depth, in two passes."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def deepest(labels, square, n):
    """Largest squared distance of each label 0..n."""
    out = np.zeros(n + 1, np.float32)
    for z in range(labels.shape[0]):
        for y in range(labels.shape[1]):
            for x in range(labels.shape[2]):
                k = labels[z, y, x]
                if k > 0 and square[z, y, x] > out[k]:
                    out[k] = square[z, y, x]
    return out


@njit(cache=True)
def shells(grey, labels, square, depth, bins, offset):
    """Sums and counts of the finite grey values by label and share of its greatest depth: (n + 1, bins) each."""
    total, count = np.zeros((len(depth), bins)), np.zeros((len(depth), bins), np.int64)
    for z in range(labels.shape[0]):
        for y in range(labels.shape[1]):
            for x in range(labels.shape[2]):
                k = labels[z, y, x]
                if k == 0 or np.isnan(grey[z, y, x]):
                    continue
                # the offset is that of outermost voxels; it dwindles towards the deepest point
                share = (np.sqrt(square[z, y, x]) * (1 + offset / depth[k]) - offset) / depth[k]
                b = max(0, min(int(share * bins), bins - 1))
                total[k, b] += grey[z, y, x]
                count[k, b] += 1
    return total, count


@njit(cache=True)
def edges(labels, n):
    """Which labels 0..n have a voxel in an outermost layer."""
    nz, ny, nx = labels.shape
    out = np.zeros(n + 1, np.bool_)
    for z in range(nz):
        for y in range(ny):
            if z == 0 or y == 0 or z == nz - 1 or y == ny - 1:
                for x in range(nx):
                    out[labels[z, y, x]] = True
            else:
                out[labels[z, y, 0]] = True
                out[labels[z, y, nx - 1]] = True
    return out
