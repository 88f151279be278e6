"""Faces between the grains of a finished tetrahedral mesh, and how good its tetrahedra are."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def boundary_faces(tets, grain, n):
    """Return faces between grains and to the outside, turned out of the first grain, and the grains.

    Returns
    -------
    faces : (k, 3) int64 array
    sides : (k, 2) int32 array
        The grain with the lower number first; the grain and 0 at the outside.
    crowded : int
        Faces that more than two tetrahedra have; 0 in a conforming mesh.
    """
    corner = np.array([[1, 2, 3], [0, 3, 2], [0, 1, 3], [0, 2, 1]])  # turned outwards
    start = np.zeros(n + 1, np.int64)
    for i in range(len(tets)):
        for k in range(4):
            a, b, c = tets[i, corner[k, 0]], tets[i, corner[k, 1]], tets[i, corner[k, 2]]
            start[min(a, b, c) + 1] += 1
    for p in range(n):
        start[p + 1] += start[p]
    fill = start[:-1].copy()
    total = start[n]
    other, of = np.empty((total, 2), np.int64), np.empty(total, np.int64)
    for i in range(len(tets)):
        for k in range(4):
            a, b, c = tets[i, corner[k, 0]], tets[i, corner[k, 1]], tets[i, corner[k, 2]]
            low, high = min(a, b, c), max(a, b, c)
            j = fill[low]
            other[j, 0], other[j, 1], of[j] = a + b + c - low - high, high, 4 * i + k
            fill[low] += 1
    twin = np.full(total, -1, np.int64)
    crowded = 0
    for p in range(n):
        for j in range(start[p], start[p + 1]):
            for q in range(j + 1, start[p + 1]):
                if other[q, 0] == other[j, 0] and other[q, 1] == other[j, 1]:
                    if twin[j] >= 0 or twin[q] >= 0:
                        crowded += 1
                    twin[j], twin[q] = q, j
    faces, sides = np.empty((0, 3), np.int64), np.empty((0, 2), np.int32)
    for write in range(2):
        m = 0
        for j in range(total):
            i, k = of[j] // 4, of[j] % 4
            mine = grain[i]
            its = grain[of[twin[j]] // 4] if twin[j] >= 0 else 0
            if its == 0 or mine < its:
                if write:
                    for a in range(3):
                        faces[m, a] = tets[i, corner[k, a]]
                    sides[m, 0], sides[m, 1] = mine, its
                m += 1
        if not write:
            faces, sides = np.empty((m, 3), np.int64), np.empty((m, 2), np.int32)
    return faces, sides, crowded


def pinched_edges(faces: np.ndarray) -> int:
    """Count the edges of a closed surface that more than two of its faces share."""
    ends = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    _, count = np.unique(ends[:, 0] * (ends.max(initial=0) + 1) + ends[:, 1], return_counts=True)
    return int((count > 2).sum())


@njit(cache=True, nogil=True)
def angles_and_ratios(points, tets):
    """Return least and largest dihedral angle (degrees), radius ratio and volume of each tetrahedron."""
    out = np.empty((len(tets), 4))
    normal, area = np.empty((4, 3)), np.empty(4)
    corner = np.array([[1, 2, 3], [0, 3, 2], [0, 1, 3], [0, 2, 1]])
    for i in range(len(tets)):
        for k in range(4):
            p, q, r = points[tets[i, corner[k, 0]]], points[tets[i, corner[k, 1]]], points[tets[i, corner[k, 2]]]
            u0, u1, u2 = q[0] - p[0], q[1] - p[1], q[2] - p[2]
            v0, v1, v2 = r[0] - p[0], r[1] - p[1], r[2] - p[2]
            normal[k, 0] = u1 * v2 - u2 * v1
            normal[k, 1] = u2 * v0 - u0 * v2
            normal[k, 2] = u0 * v1 - u1 * v0
            area[k] = np.sqrt(normal[k, 0] ** 2 + normal[k, 1] ** 2 + normal[k, 2] ** 2)
        high, low = -1.0, 1.0
        for a in range(4):
            for b in range(a + 1, 4):
                d = normal[a, 0] * normal[b, 0] + normal[a, 1] * normal[b, 1] + normal[a, 2] * normal[b, 2]
                c = -d / (area[a] * area[b]) if area[a] > 0 and area[b] > 0 else 1.0
                high, low = max(high, c), min(low, c)
        p = points[tets[i, 0]]
        six = 0.0
        for a in range(3):
            six += normal[3, a] * (p[a] - points[tets[i, 3], a])
        out[i, 0] = np.degrees(np.arccos(min(1.0, high)))
        out[i, 1] = np.degrees(np.arccos(max(-1.0, low)))
        out[i, 2] = _radius_ratio(points, tets[i], six, area.sum() / 2)
        out[i, 3] = six / 6
    return out


@njit(cache=True, nogil=True)
def _radius_ratio(points, tet, six, surface):
    """Three times the inner over the outer radius: 1 for the regular tetrahedron, 0 for a flat one."""
    p = points[tet[0]]
    product = np.empty(3)
    for k in range(3):
        a = points[tet[k + 1]] - p
        q, r = points[tet[(k + 1) % 3 + 1]], points[tet[(k + 2) % 3 + 1]]
        d = q - r
        product[k] = np.sqrt((a * a).sum() * (d * d).sum())
    half = product.sum() / 2
    heron = half * (half - product[0]) * (half - product[1]) * (half - product[2])
    if not heron > 0 or not surface > 0:
        return 0.0
    return 3 * (abs(six) / 2 / surface) * abs(six) / np.sqrt(heron)
