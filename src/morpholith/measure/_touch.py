"""Contacts of labels, and sums over them."""

from __future__ import annotations

import numpy as np
from numba import njit, prange


def contact_faces(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of labels that share voxel faces: label a < b and net faces along z, y, x from a to b, (n, 3)."""
    count = _count(labels)
    start = np.concatenate([[0], np.cumsum(count)])
    key, axis = np.empty(start[-1], np.int64), np.empty(start[-1], np.int8)
    _fill(labels, start, key, axis)
    pairs, row = np.unique(key, return_inverse=True)
    # the sign of `axis` says on which side the smaller label lies: staircases cancel
    faces = np.bincount(3 * row + np.abs(axis) - 1, np.sign(axis), minlength=3 * len(pairs)).reshape(-1, 3)
    return pairs >> 32, pairs & 0xFFFFFFFF, faces


@njit(cache=True, parallel=True)
def _count(labels):
    nz, ny, nx = labels.shape
    out = np.zeros(nz, np.int64)
    for z in prange(nz):
        n = 0
        for y in range(ny):
            for x in range(nx):
                k = labels[z, y, x]
                if k == 0:
                    continue
                if z + 1 < nz and labels[z + 1, y, x] != k and labels[z + 1, y, x] != 0:
                    n += 1
                if y + 1 < ny and labels[z, y + 1, x] != k and labels[z, y + 1, x] != 0:
                    n += 1
                if x + 1 < nx and labels[z, y, x + 1] != k and labels[z, y, x + 1] != 0:
                    n += 1
        out[z] = n
    return out


@njit(cache=True, parallel=True)
def _fill(labels, start, key, axis):
    nz, ny, nx = labels.shape
    for z in prange(nz):
        n = start[z]
        for y in range(ny):
            for x in range(nx):
                k = labels[z, y, x]
                if k == 0:
                    continue
                for a in range(3):
                    i, j, m = z + (a == 0), y + (a == 1), x + (a == 2)
                    if i == nz or j == ny or m == nx:
                        continue
                    other = labels[i, j, m]
                    if other == k or other == 0:
                        continue
                    low, high = min(k, other), max(k, other)
                    key[n] = (np.int64(low) << 32) | np.int64(high)
                    axis[n] = a + 1 if k < other else -(a + 1)
                    n += 1


@njit(cache=True)
def sums(labels, image, n):
    """Sum of the grey values and number of finite voxels of each label 0..n."""
    total, count = np.zeros(n + 1), np.zeros(n + 1, np.int64)
    for z in range(labels.shape[0]):
        for y in range(labels.shape[1]):
            for x in range(labels.shape[2]):
                v = image[z, y, x]
                if not np.isnan(v):
                    total[labels[z, y, x]] += v
                    count[labels[z, y, x]] += 1
    return total, count
