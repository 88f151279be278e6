"""Compiled: corners of the lattice moved onto the boundaries next to them.

A corner of the lattice is known by ``kind * cells + place``, kind 0 for corners and 1 for centres of cells. It carries
the regions that meet in it: one, or more where it has been moved onto their boundary.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ._tet_field import excess, excess_slope
from ._tet_solve import project

NEIGHBOURS = 14
BOTTOM = np.sqrt(2) / 12  # volume of a regular tetrahedron of edge 1


@njit(cache=True, nogil=True)
def flat_place(shape, z, y, x):
    return (z * shape[1] + y) * shape[2] + x


@njit(cache=True, nogil=True)
def snap(regions, codes, kept, shape, around, points, sets, count, cell, reach):
    """Move corners that lie within `reach` cells of a boundary onto it, or onto the line or point where more meet.

    `codes` (2, nz, ny, nx) are the regions of the corners; `points` (n, 3) their places, `sets` (n, 4) and `count` (n,)
    the regions that meet there; all three are written.
    """
    cells = shape[0] * shape[1] * shape[2]
    near, far = np.empty(NEIGHBOURS, np.int32), np.empty(NEIGHBOURS)
    trial, x, g, start = np.empty(4, np.int32), np.empty(3), np.empty(3), np.empty(3)
    for v in range(2 * cells):
        kind, place = v // cells, v % cells
        z, y, x_ = place // (shape[1] * shape[2]), place // shape[2] % shape[1], place % shape[2]
        own = codes[kind, z, y, x_]
        sets[v, 0], count[v] = own, 1
        m, any_kept = 0, kept[own]
        for k in range(NEIGHBOURS):
            a, b, c = z + around[kind, k, 1], y + around[kind, k, 2], x_ + around[kind, k, 3]
            if 0 <= a < shape[0] and 0 <= b < shape[1] and 0 <= c < shape[2]:
                code = codes[around[kind, k, 0], a, b, c]
                known = code == own
                for j in range(m):
                    known = known or near[j] == code
                if not known:
                    near[m] = code
                    m += 1
                    any_kept = any_kept or kept[code]
        if m == 0 or not any_kept:
            continue
        start[:] = points[v]
        for j in range(m):
            excess_slope(regions, own, near[j], start, g)
            norm = np.sqrt(g[0] ** 2 + g[1] ** 2 + g[2] ** 2)
            far[j] = abs(excess(regions, own, near[j], start)) / norm if norm > 0 else np.inf
        for j in range(1, m):  # nearest first
            k = j
            while k > 0 and far[k] < far[k - 1]:
                far[k], far[k - 1] = far[k - 1], far[k]
                near[k], near[k - 1] = near[k - 1], near[k]
                k -= 1
        trial[0] = own
        for j in range(m):
            if count[v] == 4 or far[j] > 1.5 * reach * cell:
                break
            k = count[v]
            trial[:k] = sets[v, :k]
            trial[k] = near[j]
            if not project(regions, trial, k + 1, start, cell, x):
                continue
            if (x[0] - start[0]) ** 2 + (x[1] - start[1]) ** 2 + (x[2] - start[2]) ** 2 > (reach * cell) ** 2:
                continue
            # no other region may have the place
            free = True
            for i in range(m):
                taken = False
                for q in range(k + 1):
                    taken = taken or trial[q] == near[i]
                if not taken:
                    excess_slope(regions, own, near[i], x, g)
                    norm = np.sqrt(g[0] ** 2 + g[1] ** 2 + g[2] ** 2)
                    free = free and excess(regions, own, near[i], x) <= 1e-9 * cell * norm
            if free:
                sets[v, k] = near[j]
                count[v] = k + 1
                points[v] = x


@njit(cache=True, nogil=True)
def lattice_tets(sets, count, kept, shape, kind, place):
    """Return (m, 5): corners of the tetrahedra of the lattice that have a corner in a kept grain, and which they are.

    The last column is 12 times the cell plus the number in the cell.
    """
    cells = shape[0] * shape[1] * shape[2]
    out = np.empty((0, 5), np.int64)
    for write in range(2):
        m = 0
        for z in range(shape[0] - 1):
            for y in range(shape[1] - 1):
                for x in range(shape[2] - 1):
                    for t in range(12):
                        wanted = False
                        for c in range(4):
                            a, b, d = z + place[t, c, 0], y + place[t, c, 1], x + place[t, c, 2]
                            v = kind[t, c] * cells + flat_place(shape, a, b, d)
                            for k in range(count[v]):
                                wanted = wanted or kept[sets[v, k]]
                            if write:
                                out[m, c] = v
                        if wanted:
                            if write:
                                out[m, 4] = 12 * flat_place(shape, z, y, x) + t
                            m += 1
        if not write:
            out = np.empty((m, 5), np.int64)
    return out


@njit(cache=True, nogil=True)
def unsnap(tets, points, origin, sets, count, own, least):
    """Put back the corner moved farthest of each tetrahedron of the lattice whose shape has become too bad.

    Shape is volume over the cube of the root mean square edge, 1 when regular. Returns how many were put back.
    """
    back = 0
    for _ in range(20):
        now = 0
        for i in range(len(tets)):
            if shape_of(points, tets[i, 0], tets[i, 1], tets[i, 2], tets[i, 3]) >= least:
                continue
            worst, moved = -1, 0.0
            for c in range(4):
                v = tets[i, c]
                far = 0.0
                for a in range(3):
                    far += (points[v, a] - origin[v, a]) ** 2
                if count[v] > 1 and far > moved:
                    worst, moved = v, far
            if worst >= 0:
                points[worst] = origin[worst]
                sets[worst, 0], count[worst] = own[worst], 1
                now += 1
        back += now
        if now == 0:
            break
    return back


@njit(cache=True, nogil=True)
def shape_of(points, a, b, c, d):
    """Signed volume over that of the regular tetrahedron with the same root mean square edge; 1 at best."""
    p, q, r, s = points[a], points[b], points[c], points[d]
    total = 0.0
    for k in range(3):
        total += (p[k] - q[k]) ** 2 + (p[k] - r[k]) ** 2 + (p[k] - s[k]) ** 2
        total += (q[k] - r[k]) ** 2 + (q[k] - s[k]) ** 2 + (r[k] - s[k]) ** 2
    u0, u1, u2 = q[0] - p[0], q[1] - p[1], q[2] - p[2]
    v0, v1, v2 = r[0] - p[0], r[1] - p[1], r[2] - p[2]
    w0, w1, w2 = s[0] - p[0], s[1] - p[1], s[2] - p[2]
    six = u0 * (v1 * w2 - v2 * w1) - u1 * (v0 * w2 - v2 * w0) + u2 * (v0 * w1 - v1 * w0)
    edge = np.sqrt(total / 6)
    # places are (z, y, x): turned as a right-handed reader sees it, the determinant is negative
    return -six / 6 / (BOTTOM * edge**3) if edge > 0 else 0.0
