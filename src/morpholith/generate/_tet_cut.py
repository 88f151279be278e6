"""Compiled: the tetrahedra of the lattice divided, and the places of the new points.

An edge is cut where its ends have no region in common.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ._tet_snap import flat_place
from ._tet_solve import best_of, crossing, meeting


@njit(cache=True, nogil=True)
def _apart(sets, count, a, b):
    """Say whether two corners have no region in common."""
    for i in range(count[a]):
        for j in range(count[b]):
            if sets[a, i] == sets[b, j]:
                return False
    return True


PULL = 0.15  # share of the way from an edge or face into the triangle or tetrahedron


@njit(cache=True, nogil=True)
def divide(tets, sets, count, shape, edge, face, case_count, case_slots, case_owner, case_inner):
    """Divide every tetrahedron of the lattice; number the points that come in.

    Returns
    -------
    parts : (k, 4) int64 array
        By number of point: the corners of the lattice first, then cuts of edges, points of faces, points inside.
    owner : (k, 2) int64 array
        The corner a part lies around, and its row in `tets`.
    edges, faces, inner : (e, 2), (f, 6) and (i, 8) int64 arrays
        Corners of what the new points lie on, and the points on the edge or face opposite each corner.
    """
    cells = shape[0] * shape[1] * shape[2]
    on_edge, on_face = np.full(14 * cells, -1, np.int32), np.full(24 * cells, -1, np.int32)
    slot, rank = np.empty(15, np.int64), np.empty(4, np.int64)
    n_edges = n_faces = n_inner = n_parts = 0
    edges, faces, inner = np.empty((0, 2), np.int64), np.empty((0, 6), np.int64), np.empty((0, 8), np.int64)
    parts, owner = np.empty((0, 4), np.int64), np.empty((0, 2), np.int64)
    for write in range(2):
        if write:
            edges, faces = np.empty((n_edges, 2), np.int64), np.empty((n_faces, 6), np.int64)
            inner, parts = np.empty((n_inner, 8), np.int64), np.empty((n_parts, 4), np.int64)
            owner = np.empty((n_parts, 2), np.int64)
            n_inner = n_parts = 0
        for i in range(len(tets)):
            t, cell = tets[i, 4] % 12, tets[i, 4] // 12
            # corners in which more regions meet come first: what has no cut falls onto them
            for c in range(4):
                rank[c] = c
            swaps = 0
            for c in range(1, 4):
                k = c
                while k > 0 and _before(count, tets[i, rank[k]], tets[i, rank[k - 1]]):
                    rank[k], rank[k - 1] = rank[k - 1], rank[k]
                    k -= 1
                    swaps += 1
            pattern, e = 0, 0
            for a in range(4):
                slot[a] = tets[i, rank[a]]
                for b in range(a + 1, 4):
                    if _apart(sets, count, tets[i, rank[a]], tets[i, rank[b]]):
                        pattern |= 1 << e
                        base, way = edge[t, rank[a], rank[b], 0], edge[t, rank[a], rank[b], 1]
                        name = 7 * tets[i, base] + way
                        if on_edge[name] < 0:
                            on_edge[name] = n_edges
                            n_edges += 1
                        slot[4 + e] = 2 * cells + on_edge[name]
                        if write:
                            edges[on_edge[name], 0], edges[on_edge[name], 1] = tets[i, rank[a]], tets[i, rank[b]]
                    e += 1
            for k in range(4):
                if _three(pattern, k):
                    f = face[t, rank[k]]
                    name = 24 * (cell + flat_place(shape, f[0], f[1], f[2])) + f[3]
                    if on_face[name] < 0:
                        on_face[name] = n_faces
                        n_faces += 1
                    slot[10 + k] = 2 * cells + n_edges + on_face[name]
                    if write:
                        j = 0
                        for c in range(4):
                            if c != k:
                                faces[on_face[name], j] = slot[c]
                                faces[on_face[name], 3 + j] = slot[_opposite(k, c)]
                                j += 1
            if case_inner[pattern]:
                slot[14] = 2 * cells + n_edges + n_faces + n_inner
                if write:
                    inner[n_inner, :4], inner[n_inner, 4:] = slot[:4], slot[10:14]
                n_inner += 1
            for k in range(case_count[pattern]):
                if write:
                    for c in range(4):
                        parts[n_parts, c] = slot[case_slots[pattern, k, c]]
                    if swaps % 2:
                        parts[n_parts, 0], parts[n_parts, 1] = parts[n_parts, 1], parts[n_parts, 0]
                    owner[n_parts, 0], owner[n_parts, 1] = slot[case_owner[pattern, k]], i
                n_parts += 1
    return parts, owner, edges, faces, inner


@njit(cache=True, nogil=True)
def _before(count, a, b):
    return count[a] > count[b] or (count[a] == count[b] and a < b)


@njit(cache=True, nogil=True)
def _three(pattern, k):
    """Say whether the face opposite corner k has all its edges cut."""
    e = 0
    for a in range(4):
        for b in range(a + 1, 4):
            if a != k and b != k and not pattern >> e & 1:
                return False
            e += 1
    return True


@njit(cache=True, nogil=True)
def _opposite(k, c):
    """Return the slot of the cut of the edge that face k has opposite its corner c."""
    e = 4
    for a in range(4):
        for b in range(a + 1, 4):
            if a != k and b != k and a != c and b != c:
                return e
            e += 1
    return -1


@njit(cache=True, nogil=True)
def place(regions, kept, sets, count, edges, faces, inner, points, first, near, near_face):
    """Write the places of the new points, from row `first` on."""
    for i in range(len(edges)):
        a, b = edges[i]
        crossing(regions, sets[a], count[a], sets[b], count[b], points[a], points[b], near, points[first + i])
    first += len(edges)
    third, fourth = np.full(3, 1.0 / 3), np.full(4, 0.25)
    for m in range(3, 5):
        rows = faces if m == 3 else inner
        start = third if m == 3 else fourth
        for i in range(len(rows)):
            _meet(regions, kept, sets, count, rows[i], m, start, points, near_face, points[first + i])
        first += len(rows)


@njit(cache=True, nogil=True)
def _meet(regions, kept, sets, count, row, m, start, points, near, x):
    """Place a point where regions meet; where that lies outside, next to the edge or face that it lies beyond."""
    codes, at, middle = np.empty(4, np.int32), np.empty((4, 3)), np.zeros(3)
    for k in range(m):
        at[k] = points[row[k]]
        middle += at[k] / m
    for k in range(m):
        codes[k] = best_of(regions, sets[row[k]], count[row[k]], middle)
    beyond = meeting(regions, codes, m, at, start, near, x)
    if beyond < 0:
        return
    x[:] = 0.0
    if beyond == m:
        for k in range(m):
            x += points[row[m + k]] / m
        return
    # of the other points, those on the outer surface draw where this one lies on it
    surface = kept[codes[beyond]]
    drawn = 0
    for turn in range(2):
        for k in range(m):
            if k != beyond and (turn == 1 or (surface and m == 3 and kept[codes[k]])):
                x += points[row[m + k]]
                drawn += 1
        if drawn and (turn == 1 or drawn == 1):
            break
        x[:] = 0.0
        drawn = 0
    x[:] = (1 - PULL) * points[row[m + beyond]] + PULL * x / drawn


@njit(cache=True, nogil=True)
def regions_of(regions, tets, parts, owner, sets, count, points):
    """Return the region of each part: that of its own corner; where more meet there, that of its middle."""
    out = np.empty(len(parts), np.int32)
    codes, x = np.empty(16, np.int32), np.empty(3)
    for i in range(len(parts)):
        v = owner[i, 0]
        if count[v] == 1:
            out[i] = sets[v, 0]
            continue
        m = 0
        for c in range(4):
            w = tets[owner[i, 1], c]
            for k in range(count[w]):
                codes[m] = sets[w, k]
                m += 1
        x[:] = 0.0
        for c in range(4):
            x += points[parts[i, c]] / 4
        out[i] = best_of(regions, codes, m, x)
    return out
