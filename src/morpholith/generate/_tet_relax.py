"""Compiled: better places for the points of a tetrahedral mesh."""

from __future__ import annotations

import numpy as np
from numba import njit

from ._tet_field import excess, excess_slope
from ._tet_snap import shape_of
from ._tet_solve import best_of, project


@njit(cache=True, nogil=True)
def stars(parts, n):
    """Return `start` (n + 1,) and `of`: ``of[start[p]:start[p + 1]]`` are the tetrahedra at point p."""
    start = np.zeros(n + 1, np.int64)
    for i in range(len(parts)):
        for c in range(4):
            start[parts[i, c] + 1] += 1
    for p in range(n):
        start[p + 1] += start[p]
    fill = start[:-1].copy()
    of = np.empty(4 * len(parts), np.int64)
    for i in range(len(parts)):
        for c in range(4):
            of[fill[parts[i, c]]] = i
            fill[parts[i, c]] += 1
    return start, of


@njit(cache=True, nogil=True)
def _worst(points, parts, wanted, of, first, last):
    """Least shape of the wanted tetrahedra of a star, and which it is."""
    least, which = np.inf, -1
    for k in range(first, last):
        i = of[k]
        if wanted[i]:
            q = shape_of(points, parts[i, 0], parts[i, 1], parts[i, 2], parts[i, 3])
            if q < least:
                least, which = q, i
    return least, which


@njit(cache=True, nogil=True)
def regions_at(code, start, of, n, most):
    """Return (n, most) regions that meet at each point, and how many; more than `most` count as ``most + 1``."""
    sets, count = np.zeros((n, most), np.int32), np.zeros(n, np.int32)
    for p in range(n):
        m = 0
        for k in range(start[p], start[p + 1]):
            c = code[of[k]]
            known = False
            for j in range(min(m, most)):
                known = known or sets[p, j] == c
            if not known:
                if m < most:
                    sets[p, m] = c
                m += 1
        count[p] = min(m, most + 1)
    return sets, count


@njit(cache=True, nogil=True)
def _shared(sets, count, a, b):
    """Say whether all regions that meet at `a` meet at `b` too."""
    for i in range(count[a]):
        here = False
        for j in range(min(count[b], sets.shape[1])):
            here = here or sets[a, i] == sets[b, j]
        if not here:
            return False
    return True


@njit(cache=True, nogil=True)
def _outer_pair(regions, kept, codes, m, p, pair):
    """Write into `pair` the outside in ``codes[:m]`` and the kept grain that has the point; say if there are both."""
    inside, outside = 0, 0
    for k in range(m):
        if not kept[codes[k]]:
            if outside == 0 or excess(regions, outside, codes[k], p) > 0:
                outside = codes[k]
        elif inside == 0 or excess(regions, inside, codes[k], p) > 0:
            inside = codes[k]
    pair[0], pair[1] = inside, outside
    return inside > 0 and outside > 0


@njit(cache=True, nogil=True)
def relax(regions, kept, points, parts, wanted, start, of, sets, count, cell, awake, good, sweeps, give, held):
    """Move points so that the worst tetrahedron round each becomes better; return how many moves were made.

    Points between grains move on their boundary, those on lines where three meet along the line; the others stay.
    Where `give` is above 0, all may leave their boundary by that many cells, or all but the outer surface where this is
    `held`. Tried are the middle of the neighbours on the same boundary, and the way off the face opposite in the worst
    tetrahedron. Only stars with a shape below `good` are touched, of points that are `awake`, and no move makes the
    worst of its star worse. A move wakes the points around for the next sweep; the others sleep.
    """
    made = 0
    home = points.copy() if give > 0 else points
    stirred = np.zeros(len(points), np.bool_)
    old, goal, x, best = np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    ways, pair = np.empty((2, 3)), np.empty(2, np.int32)
    for _ in range(sweeps):
        now = 0
        for p in range(len(points)):
            if not awake[p] or start[p] == start[p + 1] or (count[p] > 3 and give == 0):
                continue
            least, which = _worst(points, parts, wanted, of, start[p], start[p + 1])
            if which < 0 or least >= good:
                continue
            old[:] = points[p]
            _middle(points, parts, wanted, of, start[p], start[p + 1], sets, count, p, goal)
            for a in range(3):
                ways[0, a] = goal[a] - old[a]
            _off(points, parts[which], p, goal)
            ways[1] = goal
            top = least * (1 + 1e-2) + 1e-6
            found = False
            for way in range(2):
                for step in (1.0, 0.5, 0.25):
                    for a in range(3):
                        goal[a] = old[a] + step * ways[way, a]
                    if give > 0:
                        if held and count[p] > 1 and _outer_pair(regions, kept, sets[p], min(count[p], 4), goal, pair):
                            if not project(regions, pair, 2, goal, 0.5 * cell, x):
                                continue
                            goal[:] = x
                        if _far(goal, home[p]) > give * cell:
                            continue
                    elif count[p] > 1:
                        # first off the boundary, to see whether it is worth the projection
                        points[p] = goal
                        if _least_above(points, parts, wanted, of, start[p], start[p + 1], 0.5 * top) <= 0.5 * top:
                            continue
                        if not project(regions, sets[p], count[p], goal, 0.5 * cell, x):
                            continue
                        goal[:] = x
                    points[p] = goal
                    q = _least_above(points, parts, wanted, of, start[p], start[p + 1], top)
                    if q > top:
                        top, found = q, True
                        best[:] = goal
            points[p] = best if found else old
            if found:
                now += 1
                _stir(parts, of, start[p], start[p + 1], stirred)
        made += now
        awake[:] = stirred
        stirred[:] = False
    return made


@njit(cache=True, nogil=True)
def _stir(parts, of, first, last, awake):
    for k in range(first, last):
        for c in range(4):
            awake[parts[of[k], c]] = True


@njit(cache=True, nogil=True)
def _far(p, q):
    return np.sqrt((p[0] - q[0]) ** 2 + (p[1] - q[1]) ** 2 + (p[2] - q[2]) ** 2)


@njit(cache=True, nogil=True)
def settle(regions, kept, points, parts, wanted, start, of, sets, count, cell, awake, floor):
    """Put points onto their boundary where that leaves no tetrahedron below `floor`, nor makes one worse.

    Where more than two regions meet and their place cannot be taken, the outer surface is tried alone. Returns how many
    points were put.
    """
    old, x, pair = np.empty(3), np.empty(3), np.empty(2, np.int32)
    put = 0
    for p in range(len(points)):
        if count[p] < 2 or start[p] == start[p + 1]:
            continue
        least, which = _worst(points, parts, wanted, of, start[p], start[p + 1])
        if which < 0:
            continue
        old[:] = points[p]
        bound = min(floor, 0.999 * least)
        m = min(count[p], 4)
        for turn in range(2):
            if turn == 0:
                found = project(regions, sets[p], m, old, cell, x)
            else:
                found = m > 2 and _outer_pair(regions, kept, sets[p], m, old, pair)
                found = found and project(regions, pair, 2, old, cell, x)
            if found:
                points[p] = x
                if _least_above(points, parts, wanted, of, start[p], start[p + 1], bound) > bound:
                    put += 1
                    if _far(old, x) > 1e-9 * cell:
                        _stir(parts, of, start[p], start[p + 1], awake)
                    break
                points[p] = old
    return put


@njit(cache=True, nogil=True)
def _least_above(points, parts, wanted, of, first, last, floor):
    """Least shape of a star, or what first falls to `floor`."""
    least = np.inf
    for k in range(first, last):
        i = of[k]
        if wanted[i]:
            least = min(least, shape_of(points, parts[i, 0], parts[i, 1], parts[i, 2], parts[i, 3]))
            if least <= floor:
                break
    return least


@njit(cache=True, nogil=True)
def _middle(points, parts, wanted, of, first, last, sets, count, p, out):
    """Mean place of the neighbours that lie on the same boundary; for points inside a grain, of all."""
    out[:] = 0.0
    n = 0
    for k in range(first, last):
        i = of[k]
        if wanted[i]:
            for c in range(4):
                q = parts[i, c]
                if q != p and (count[p] == 1 or _shared(sets, count, p, q)):
                    for a in range(3):
                        out[a] += points[q, a]
                    n += 1
    for a in range(3):
        out[a] = out[a] / n if n else points[p, a]


@njit(cache=True, nogil=True)
def _off(points, tet, p, out):
    """Step that lifts `p` off the opposite face of a tetrahedron, to 0.8 of the root of twice the face's area."""
    a, b, c = -1, -1, -1
    for k in range(4):
        if tet[k] != p:
            a, b, c = b, c, tet[k]
    u, v = points[b] - points[a], points[c] - points[a]
    n0, n1, n2 = u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]
    size = np.sqrt(n0 * n0 + n1 * n1 + n2 * n2)
    if size == 0.0:
        out[:] = 0.0
        return
    w = points[p] - points[a]
    high = (w[0] * n0 + w[1] * n1 + w[2] * n2) / size
    lift = (0.8 * np.sqrt(size) - abs(high)) * (1.0 if high >= 0 else -1.0)
    if lift * high < 0:
        lift = 0.0
    out[0], out[1], out[2] = n0 / size * lift, n1 / size * lift, n2 / size * lift


@njit(cache=True, nogil=True)
def offsets(regions, points, sets, count, cell):
    """How far each point lies from the farthest of its regions, in cells and to first order."""
    off = np.zeros(len(points))
    g = np.empty(3)
    for p in range(len(points)):
        m = min(count[p], 4)
        if m < 2:
            continue
        best = best_of(regions, sets[p], m, points[p])
        for k in range(m):
            if sets[p, k] != best:
                excess_slope(regions, best, sets[p, k], points[p], g)
                norm = np.sqrt((g * g).sum())
                if norm > 0:
                    off[p] = max(off[p], abs(excess(regions, best, sets[p, k], points[p])) / norm / cell)
    return off
