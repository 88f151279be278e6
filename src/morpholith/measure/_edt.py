"""Distance of every voxel to the nearest voxel of another label, for all labels at once.

Separable and exact: along x from the ends of each run of one label, then along y and z the least of f(j) + w (p - j)^2
over the voxels j of the same run and over its two ends, searched outwards until w k^2 exceeds the best. What lies
outside the volume is not known and ends nothing.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

FAR = np.float32(1e30)  # farther than anything


def squared(labels, pixel, *, background=False, near=None, cap=FAR, threads=True):
    """Squared distance in um2, float32 (z, y, x).

    `background` false leaves label 0 at distance 0. `near`, int32 of one value a voxel and all -1, takes the linear
    index of the nearest other voxel. Beyond `cap` (um2) nothing is looked for, and it stands for all. Without
    `threads` a crop of few voxels does not wait for them.
    """
    wz, wy, wx = (s * s for s in pixel)
    near = np.empty(0, np.int32) if near is None else near
    run = _squared if threads else _squared_alone
    return run(labels, wz, wy, wx, background, near, np.float32(min(cap, FAR)))


@njit(cache=True, parallel=True)
def _squared(labels, wz, wy, wx, background, near, cap):
    out = np.empty(labels.shape, np.float32)
    for z in prange(labels.shape[0]):
        _plane(z, labels, wy, wx, background, near, cap, out)
    for y in prange(labels.shape[1]):
        _across(y, labels, wz, background, near, out)
    return out


@njit(cache=True)
def _squared_alone(labels, wz, wy, wx, background, near, cap):
    out = np.empty(labels.shape, np.float32)
    for z in range(labels.shape[0]):
        _plane(z, labels, wy, wx, background, near, cap, out)
    for y in range(labels.shape[1]):
        _across(y, labels, wz, background, near, out)
    return out


@njit(cache=True)
def _plane(z, labels, wy, wx, background, near, cap, out):
    """Distances within a plane z: along x, then along y."""
    _, ny, nx = labels.shape
    feature = near.size > 0
    for y in range(ny):
        _along_x(labels[z, y], wx, out[z, y], near, feature, (z * ny + y) * nx, background, cap)
    value, line = np.empty(ny, np.float32), np.empty(ny, labels.dtype)
    index, found = np.full(ny, -1, np.int32), np.empty(ny, np.int32)
    for x in range(nx):
        for y in range(ny):
            line[y], value[y] = labels[z, y, x], out[z, y, x]
            if feature:
                index[y] = near[(z * ny + y) * nx + x]
        _line(line, value, index, found, wy, out[z, :, x], (z * ny) * nx + x, nx, feature, background)
        if feature:
            for y in range(ny):
                near[(z * ny + y) * nx + x] = found[y]


@njit(cache=True)
def _across(y, labels, wz, background, near, out):
    """Distances along z, for all x of one y."""
    nz, ny, nx = labels.shape
    feature = near.size > 0
    value, line = np.empty(nz, np.float32), np.empty(nz, labels.dtype)
    index, found = np.full(nz, -1, np.int32), np.empty(nz, np.int32)
    for x in range(nx):
        for z in range(nz):
            line[z], value[z] = labels[z, y, x], out[z, y, x]
            if feature:
                index[z] = near[(z * ny + y) * nx + x]
        _line(line, value, index, found, wz, out[:, y, x], y * nx + x, ny * nx, feature, background)
        if feature:
            for z in range(nz):
                near[(z * ny + y) * nx + x] = found[z]


@njit(cache=True)
def _along_x(row, w, out, near, feature, base, background, cap):
    n = len(row)
    start = 0
    while start < n:
        k = row[start]
        stop = start + 1
        while stop < n and row[stop] == k:
            stop += 1
        for x in range(start, stop):
            if k == 0 and not background:
                out[x] = 0
                continue
            left = x - start + 1 if start > 0 else n + 1
            right = stop - x if stop < n else n + 1
            d = min(left, right)
            if d > n or w * d * d >= cap:
                out[x] = cap
                if feature:
                    near[base + x] = -1
                continue
            out[x] = np.float32(w * d * d)
            if feature:
                near[base + x] = base + (start - 1 if left <= right else stop)
        start = stop


@njit(cache=True)
def _line(line, value, index, found, w, out, base, stride, feature, background):
    n = len(line)
    start = 0
    while start < n:
        k = line[start]
        stop = start + 1
        while stop < n and line[stop] == k:
            stop += 1
        found[start:stop] = index[start:stop]
        if k == 0 and not background:
            start = stop
            continue
        for p in range(start, stop):
            best = value[p]
            j = 1
            low, high = True, True
            while low or high:
                step = np.float32(w * j * j)
                if step >= best:
                    break
                if low:
                    q = p - j
                    if q < start:
                        low = False
                        if start > 0:
                            best = step
                            if feature:
                                found[p] = base + q * stride
                            continue
                    elif value[q] + step < best:
                        best = value[q] + step
                        if feature:
                            found[p] = index[q]
                if high:
                    q = p + j
                    if q >= stop:
                        high = False
                        if stop < n and step < best:
                            best = step
                            if feature:
                                found[p] = base + q * stride
                    elif value[q] + step < best:
                        best = value[q] + step
                        if feature:
                            found[p] = index[q]
                j += 1
            out[p] = best
        start = stop
