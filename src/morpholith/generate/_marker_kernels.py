"""Compiled loops of the marker network: nearest seeds, turned into the radial frame, and the matrices of the markers.

Seeds are sorted into cubic cells once; the nearest ones of a seed are looked for in the cells around its own, ring by
ring, until no cell left out can hold a nearer one.
"""

from __future__ import annotations

import numpy as np
from numba import njit

FIRST = 2  # rings of cells searched at once
CELL = 0.8  # edge of a cell in mean distances of seeds; two rings of it hold the 12 nearest as a rule


@njit(cache=True, nogil=True)
def in_cells(points, low, cell, grid):
    """Sort points into cells: (order, first of each cell)."""
    n = len(points)
    place = np.empty(n, np.int64)
    start = np.zeros(grid[0] * grid[1] * grid[2] + 1, np.int64)
    for i in range(n):
        c = 0
        for a in range(3):
            c = c * grid[a] + min(max(int((points[i, a] - low[a]) / cell), 0), grid[a] - 1)
        place[i] = c
        start[c + 1] += 1
    for c in range(len(start) - 1):
        start[c + 1] += start[c]
    at = start[:-1].copy()
    order = np.empty(n, np.int64)
    for i in range(n):
        order[at[place[i]]] = i
        at[place[i]] += 1
    return order, start


@njit(cache=True, nogil=True, inline="always")
def _frame(s0, s1, s2, gamma):
    """Axis of the half turn that takes the direction of a seed to e1, and the turn after it (`radial_frames`)."""
    length = np.sqrt(s0 * s0 + s1 * s1 + s2 * s2)
    if length > 0:
        s0, s1, s2 = s0 / length, s1 / length, s2 / length
    else:
        s0 = 1.0
    across = s1 * s1 + s2 * s2
    if across == 0:
        a0, a1, a2 = (1.0, 0.0, 0.0) if s0 > 0 else (0.0, 1.0, 0.0)
    else:
        a0, a1, a2 = (1 + s0 if s0 > 0 else across / (1 - s0)), s1, s2
        norm = np.sqrt(a0 * a0 + a1 * a1 + a2 * a2)
        a0, a1, a2 = a0 / norm, a1 / norm, a2 / norm
    return a0, a1, a2, np.cos(gamma), np.sin(gamma)


@njit(cache=True, nogil=True, inline="always")
def _turned(frame, v0, v1, v2):
    a0, a1, a2, c, s = frame
    along = 2 * (a0 * v0 + a1 * v1 + a2 * v2)
    v0, v1, v2 = along * a0 - v0, along * a1 - v1, along * a2 - v2
    return v0, c * v1 - s * v2, s * v1 + c * v2


@njit(cache=True, nogil=True)
def _search(i, points, order, start, low, cell, grid, near, distance):
    """Fill `near` with the nearest seeds of seed `i`, nearest first; return how many there are."""
    k, found = len(near), 0
    p0, p1, p2 = points[i, 0], points[i, 1], points[i, 2]
    c0 = min(max(int((p0 - low[0]) / cell), 0), grid[0] - 1)
    c1 = min(max(int((p1 - low[1]) / cell), 0), grid[1] - 1)
    c2 = min(max(int((p2 - low[2]) / cell), 0), grid[2] - 1)
    edge = np.inf  # from the seed to the nearest wall of its cell
    for at, c in ((p0 - low[0], c0), (p1 - low[1], c1), (p2 - low[2], c2)):
        edge = min(edge, at - c * cell, (c + 1) * cell - at)
    last = max(c0, grid[0] - 1 - c0, c1, grid[1] - 1 - c1, c2, grid[2] - 1 - c2)
    ring = FIRST
    while True:
        for d0 in range(max(-ring, -c0), min(ring, grid[0] - 1 - c0) + 1):
            for d1 in range(max(-ring, -c1), min(ring, grid[1] - 1 - c1) + 1):
                row = ((c0 + d0) * grid[1] + c1 + d1) * grid[2]
                whole = ring == FIRST or max(abs(d0), abs(d1)) == ring
                for side in range(1 if whole else 2):
                    if whole:
                        first, final = max(c2 - ring, 0), min(c2 + ring, grid[2] - 1)
                    else:
                        first = final = c2 - ring if side == 0 else c2 + ring
                        if first < 0 or first >= grid[2]:
                            continue
                    for at in range(start[row + first], start[row + final + 1]):
                        j = order[at]
                        if j == i:
                            continue
                        e0, e1, e2 = points[j, 0] - p0, points[j, 1] - p1, points[j, 2] - p2
                        d = e0 * e0 + e1 * e1 + e2 * e2
                        if found == k and d >= distance[k - 1]:
                            continue
                        m = found if found < k else k - 1
                        found = min(found + 1, k)
                        while m > 0 and distance[m - 1] > d:
                            distance[m], near[m] = distance[m - 1], near[m - 1]
                            m -= 1
                        distance[m], near[m] = d, j
        safe = edge + ring * cell
        if ring >= last or (found == k and safe > 0 and distance[k - 1] <= safe * safe):
            return found
        ring += 1


@njit(cache=True, nogil=True)
def describe(points, noise, gamma, wanted, order, start, low, cell, grid, k, own, scale, far, out, begin, end):
    """Write rows begin..end of the network's input: 12 times (displacement, noise), then own noise and distance.

    Rows are those of `wanted`, which runs through the seeds; neighbours that do not exist leave zeros.
    """
    near, distance = np.empty(k, np.int64), np.empty(k)
    for row in range(begin, end):
        i = wanted[row]
        found = _search(i, points, order, start, low, cell, grid, near, distance)
        frame = _frame(points[i, 0], points[i, 1], points[i, 2], gamma[i])
        for m in range(k):
            if m >= found:
                out[row, 5 * m : 5 * m + 5] = 0
                continue
            j = near[m]
            v0, v1, v2 = _turned(
                frame, points[j, 0] - points[i, 0], points[j, 1] - points[i, 1], points[j, 2] - points[i, 2]
            )
            out[row, 5 * m] = v0 / scale
            out[row, 5 * m + 1] = v1 / scale
            out[row, 5 * m + 2] = v2 / scale
            out[row, 5 * m + 3] = noise[j, 0]
            out[row, 5 * m + 4] = noise[j, 1]
        if own:
            out[row, 5 * k] = noise[i, 0]
            out[row, 5 * k + 1] = noise[i, 1]
            squares = points[i, 0] ** 2 + points[i, 1] ** 2 + points[i, 2] ** 2
            out[row, 5 * k + 2] = np.sqrt(squares) / far


@njit(cache=True, nogil=True)
def frames_of(points, gamma, out):
    """Write the rotations Q of `radial_frames`."""
    for i in range(len(points)):
        frame = _frame(points[i, 0], points[i, 1], points[i, 2], gamma[i])
        for c in range(3):
            column = _turned(frame, 1.0 if c == 0 else 0.0, 1.0 if c == 1 else 0.0, 1.0 if c == 2 else 0.0)
            for r in range(3):
                out[i, r, c] = column[r]


@njit(cache=True, nogil=True)
def metrics_of(points, gamma, diagonal, factor, out, begin, end):
    """Write M = factor Q' D Q of seeds begin..end, symmetric to the last bit."""
    q = np.empty((3, 3))
    for i in range(begin, end):
        frame = _frame(points[i, 0], points[i, 1], points[i, 2], gamma[i])
        for c in range(3):
            q[0, c], q[1, c], q[2, c] = _turned(
                frame, 1.0 if c == 0 else 0.0, 1.0 if c == 1 else 0.0, 1.0 if c == 2 else 0.0
            )
        for a in range(3):
            for b in range(a, 3):
                m = 0.0
                for c in range(3):
                    m += q[c, a] * diagonal[i, c] * q[c, b]
                out[i, a, b] = out[i, b, a] = factor * m
