"""Catchment basins of the peaks of a height map, by steepest ascent.

No queue: every solid voxel points to its steepest higher neighbour, and following the pointers ends in a peak. The
order of heights is made strict by position, so that the basins do not depend on how the volume is cut or walked
(watershed by the drop of water principle: Cousty et al., IEEE TPAMI 31, 1362 (2009)).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ._threads import slabs

#: The 26 neighbours in the order of their position in memory; the last 13 come after the voxel itself.
OFFSETS = np.array([(k // 9 - 1, k // 3 % 3 - 1, k % 3 - 1) for k in range(27) if k != 13], np.int64)
PEAK, PORE = 26, 27
FACES = OFFSETS[np.abs(OFFSETS).sum(axis=1) == 1]
LEVELS = 4096
Triple = tuple[int, int, int]


def directions(height: np.ndarray, *, spacing: tuple[float, float, float]) -> np.ndarray:
    """Return for every voxel the neighbour (index into `OFFSETS`) up the steepest slope, `PEAK` or `PORE`.

    Parameters
    ----------
    height : (z, y, x) float32 array
        Negative in pore. On level ground the last neighbour of the same height is taken, in the order of memory.
    spacing : tuple of float

    Returns
    -------
    (z, y, x) uint8 array
    """
    code = np.empty(height.shape, np.uint8)
    inverse = (1 / np.sqrt(((OFFSETS * np.asarray(spacing, float)) ** 2).sum(axis=1))).astype(np.float32)
    slabs(lambda a, b: _directions(height, a, b, OFFSETS, inverse, code), height.shape[0])
    return code


def follow(code: np.ndarray, low: Triple, high: Triple) -> tuple[np.ndarray, np.ndarray]:
    """Return the basin of every solid voxel of the box [low, high), and where the roots of the basins lie.

    A root is a peak, or a voxel outside the box to which the way leads.

    Parameters
    ----------
    code : (z, y, x) uint8 array
        As `directions` gives it; changed outside the box.
    low, high : tuple of int

    Returns
    -------
    labels : (z, y, x) int32 array
        1..n within the box; outside it 0 but for the roots.
    roots : (n + 1,) int64 array
        Position in memory of each root in `code`; -1 for label 0.
    """
    inside = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    if any(low) or high != code.shape:
        core = code[inside].copy()
        code[code < PEAK] = PEAK
        code[inside] = core
    labels = np.zeros(code.shape, np.int32)
    step = OFFSETS @ np.array([code.shape[1] * code.shape[2], code.shape[2], 1])
    return labels, _follow(code, code.reshape(-1), labels.reshape(-1), low, high, step)


def flood(height: np.ndarray, seeds: np.ndarray) -> tuple[np.ndarray, int]:
    """Let seeds grow downhill until they meet: the watershed by flooding, on `LEVELS` steps of height.

    Parameters
    ----------
    height : (z, y, x) float32 array
        Negative in pore.
    seeds : (z, y, x) int array
        1..n, 0 elsewhere; what lies in pore is ignored.

    Returns
    -------
    labels : (z, y, x) int32 array
        Solid that no seed reaches is labelled n + 1 and on, piece by piece (connected over faces).
    n : int
        Largest label.
    """
    level = np.where(height < 0, -1, height * ((LEVELS - 1) / height.max())).astype(np.int16)
    labels = np.where(level < 0, 0, seeds).astype(np.int32)
    n = int(labels.max(initial=0))
    after = np.full(level.size, -1, np.int32 if level.size < 2**31 else np.int64)
    return labels, _flood(labels.reshape(-1), level.reshape(-1), after, height.shape, FACES, LEVELS, n)


@njit(cache=True, nogil=True)
def _directions(height, first, last, offsets, inverse, code):
    nz, ny, nx = height.shape
    best, which = np.empty(nx, np.float32), np.empty(nx, np.int32)
    for z in range(first, last):
        for y in range(ny):
            row = height[z, y]
            best[:] = 0.0
            which[:] = PEAK
            for k in range(26):
                z2, y2, dx = z + offsets[k, 0], y + offsets[k, 1], offsets[k, 2]
                if 0 <= z2 < nz and 0 <= y2 < ny:
                    begin, end = max(0, -dx), nx - max(0, dx)
                    _steeper(row[begin:end], height[z2, y2, begin + dx : end + dx], inverse[k], k,
                             best[begin:end], which[begin:end])  # fmt: skip
            for x in range(nx):
                code[z, y, x] = which[x] if row[x] >= 0 else PORE


@njit(cache=True, nogil=True)
def _steeper(here, there, inverse, k, best, which):
    if k < 13:
        for x in range(here.size):
            slope = (there[x] - here[x]) * inverse
            if slope > best[x]:
                best[x] = slope
                which[x] = k
    else:
        for x in range(here.size):
            slope = (there[x] - here[x]) * inverse
            if slope > best[x] or (slope == 0 and best[x] == 0):
                best[x] = slope
                which[x] = k


@njit(cache=True, nogil=True)
def _follow(code, codes, labels, low, high, step):
    ny, nx = code.shape[1:]
    path = np.empty(1024, np.int64)
    roots = np.full(1024, -1, np.int64)
    n = 0
    for z in range(low[0], high[0]):
        for y in range(low[1], high[1]):
            for x in range(low[2], high[2]):
                at = (z * ny + y) * nx + x
                if labels[at] or codes[at] == PORE:
                    continue
                length = 0
                while labels[at] == 0 and codes[at] != PEAK:
                    if length == path.size:
                        path = np.append(path, np.empty(length, np.int64))
                    path[length] = at
                    length += 1
                    at += step[codes[at]]
                if labels[at] == 0:
                    n += 1
                    if n == roots.size:
                        roots = np.append(roots, np.full(n, -1, np.int64))
                    roots[n] = at
                    labels[at] = n
                for k in range(length):
                    labels[path[k]] = labels[at]
    return roots[: n + 1].copy()


@njit(cache=True, nogil=True)
def _flood(labels, level, after, shape, offsets, levels, n):
    """First in, first out within a level, from the highest down; pieces without a seed are found at the end."""
    head, tail = np.full(levels, -1, np.int64), np.full(levels, -1, np.int64)
    for at in range(labels.size):
        if labels[at]:
            _climb(labels, level, shape, offsets, at)
    for at in range(labels.size):
        if labels[at]:
            _push(head, tail, after, level[at], at)
    _pour(labels, level, after, shape, offsets, head, tail)
    for at in range(labels.size):
        if labels[at] == 0 and level[at] >= 0:
            n += 1
            labels[at] = n
            _push(head, tail, after, level[at], at)
            _pour(labels, level, after, shape, offsets, head, tail)
    return n


@njit(cache=True, nogil=True)
def _climb(labels, level, shape, offsets, at):
    """Extend a seed uphill, so that one on a flank does not have to wait until the flood from others has passed it."""
    nz, ny, nx = shape
    while True:
        z, rest = divmod(at, ny * nx)
        y, x = divmod(rest, nx)
        best = at
        for k in range(len(offsets)):
            z2, y2, x2 = z + offsets[k, 0], y + offsets[k, 1], x + offsets[k, 2]
            if 0 <= z2 < nz and 0 <= y2 < ny and 0 <= x2 < nx:
                there = (z2 * ny + y2) * nx + x2
                if level[there] > level[best]:
                    best = there
        if best == at or labels[best]:
            return
        labels[best] = labels[at]
        at = best


@njit(cache=True, nogil=True)
def _push(head, tail, after, bucket, at):
    after[at] = -1
    if head[bucket] < 0:
        head[bucket] = at
    else:
        after[tail[bucket]] = at
    tail[bucket] = at


@njit(cache=True, nogil=True)
def _pour(labels, level, after, shape, offsets, head, tail):
    nz, ny, nx = shape
    bucket = head.size - 1
    while bucket >= 0:
        at = head[bucket]
        if at < 0:
            bucket -= 1
            continue
        head[bucket] = after[at]
        z, rest = divmod(at, ny * nx)
        y, x = divmod(rest, nx)
        for k in range(len(offsets)):
            z2, y2, x2 = z + offsets[k, 0], y + offsets[k, 1], x + offsets[k, 2]
            if 0 <= z2 < nz and 0 <= y2 < ny and 0 <= x2 < nx:
                there = (z2 * ny + y2) * nx + x2
                if labels[there] == 0 and level[there] >= 0:
                    labels[there] = labels[at]
                    _push(head, tail, after, min(level[there], bucket), there)
