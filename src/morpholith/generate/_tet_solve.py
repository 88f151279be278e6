"""Compiled: where regions meet, by Newton steps in space, along a line, in a triangle and in a tetrahedron."""

from __future__ import annotations

import numpy as np
from numba import njit

from ._tet_field import excess, excess_slope

ROUNDS = 12  # Newton steps; quadratic, so that what converges at all does in five or six
EXACT = 1e-10  # of a cell


@njit(cache=True, nogil=True)
def base_of(regions, codes, m):
    """Return which of ``codes[:m]`` the others are held against: a grain where there is one."""
    for k in range(m):
        if codes[k] <= len(regions.seeds):
            return k
    return 0


@njit(cache=True, nogil=True)
def solve(matrix, right, m, out):
    """Solve a system of up to three equations by elimination with pivots; say whether it could be done."""
    for i in range(m):
        best = i
        for k in range(i + 1, m):
            if abs(matrix[k, i]) > abs(matrix[best, i]):
                best = k
        if abs(matrix[best, i]) < 1e-280:
            return False
        if best != i:
            for k in range(m):
                matrix[i, k], matrix[best, k] = matrix[best, k], matrix[i, k]
            right[i], right[best] = right[best], right[i]
        for k in range(i + 1, m):
            f = matrix[k, i] / matrix[i, i]
            for j in range(i, m):
                matrix[k, j] -= f * matrix[i, j]
            right[k] -= f * right[i]
    for i in range(m - 1, -1, -1):
        total = right[i]
        for j in range(i + 1, m):
            total -= matrix[i, j] * out[j]
        out[i] = total / matrix[i, i]
    return True


@njit(cache=True, nogil=True)
def project(regions, codes, m, start, cell, x):
    """Write into `x` the place next to `start` where ``codes[:m]`` meet; say whether it was found within a cell."""
    b = base_of(regions, codes, m)
    jac, gram = np.empty((3, 3)), np.empty((3, 3))
    values, right, weight = np.empty(3), np.empty(3), np.empty(3)
    x[:] = start
    for _ in range(ROUNDS):
        i = 0
        for k in range(m):
            if k != b:
                excess_slope(regions, codes[b], codes[k], x, jac[i])
                norm = np.sqrt(jac[i, 0] ** 2 + jac[i, 1] ** 2 + jac[i, 2] ** 2)
                if norm == 0.0:
                    return False
                jac[i] /= norm
                values[i] = excess(regions, codes[b], codes[k], x) / norm
                i += 1
        for i in range(m - 1):
            right[i] = -values[i]
            for j in range(3):
                right[i] += jac[i, j] * (x[j] - start[j])
            for k in range(m - 1):
                gram[i, k] = jac[i, 0] * jac[k, 0] + jac[i, 1] * jac[k, 1] + jac[i, 2] * jac[k, 2]
        if not solve(gram, right, m - 1, weight):
            return False
        moved = far = 0.0
        for j in range(3):
            new = start[j]
            for i in range(m - 1):
                new += jac[i, j] * weight[i]
            moved = max(moved, abs(new - x[j]))
            far = max(far, abs(new - start[j]))
            x[j] = new
        if not far < cell:
            return False
        if moved < EXACT * cell:
            return True
    return False


@njit(cache=True, nogil=True)
def _lost(regions, own, k, others, m, p):
    """Return by how much the best of the regions `own` loses to the best of `others`."""
    worst = -np.inf
    for j in range(m):
        least = np.inf
        for i in range(k):
            least = min(least, excess(regions, own[i], others[j], p))
        worst = max(worst, least)
    return worst


@njit(cache=True, nogil=True)
def crossing(regions, own, k, others, m, p, q, near, x):
    """Write into `x` where the line from `p` (in `own`) to `q` (in `others`) changes regions, `near` its ends at least.

    Regula falsi with halved weights (Illinois); returns whether the place had to give way to `near`.
    """
    low, high = 0.0, 1.0
    f_low, f_high = _lost(regions, own, k, others, m, p), _lost(regions, own, k, others, m, q)
    t = 0.5
    if f_low < 0 < f_high:
        side = 0
        for _ in range(60):
            t = (low * f_high - high * f_low) / (f_high - f_low)
            if not low < t < high:
                t = 0.5 * (low + high)
            x[:] = p + t * (q - p)
            f = _lost(regions, own, k, others, m, x)
            if f == 0.0:
                break
            if f < 0:
                shift, low, f_low = t - low, t, f
                if side == -1:
                    f_high *= 0.5
                side = -1
            else:
                shift, high, f_high = high - t, t, f
                if side == 1:
                    f_low *= 0.5
                side = 1
            if high - low < EXACT or shift < 0.01 * EXACT:
                break
    elif f_low >= 0:
        t = 0.0
    else:
        t = 1.0
    held = min(max(t, near), 1 - near)
    x[:] = p + held * (q - p)
    return held != t


@njit(cache=True, nogil=True)
def best_of(regions, codes, m, p):
    """Return which of ``codes[:m]`` a point belongs to."""
    best = codes[0]
    for k in range(1, m):
        if excess(regions, best, codes[k], p) > 0:
            best = codes[k]
    return best


@njit(cache=True, nogil=True)
def meeting(regions, codes, m, corners, start, near, x):
    """Write into `x` where m = 3 or 4 regions meet in the plane of a triangle or in space, by Newton steps.

    Returns -1 if that lies within the triangle or tetrahedron with no barycentric coordinate below `near`, else the
    number of the corner with the least, or m where nothing was found.
    """
    d = m - 1
    b = base_of(regions, codes, m)
    at, step, right = np.empty(3), np.empty(3), np.empty(3)
    matrix, g = np.empty((3, 3)), np.empty(3)
    at[:d] = start[1 : d + 1]
    found = False
    for _ in range(ROUNDS):
        x[:] = corners[0]
        for k in range(d):
            x += at[k] * (corners[k + 1] - corners[0])
        i = 0
        for k in range(m):
            if k != b:
                excess_slope(regions, codes[b], codes[k], x, g)
                norm = np.sqrt(g[0] ** 2 + g[1] ** 2 + g[2] ** 2)
                if norm == 0.0:
                    norm = 1.0
                right[i] = -excess(regions, codes[b], codes[k], x) / norm
                for j in range(d):
                    matrix[i, j] = 0.0
                    for a in range(3):
                        matrix[i, j] += g[a] / norm * (corners[j + 1, a] - corners[0, a])
                i += 1
        if not solve(matrix, right, d, step):
            break
        size = 0.0
        for k in range(d):
            size = max(size, abs(step[k]))
        scale = 1.0 if size < 0.5 else 0.5 / size
        for k in range(d):
            at[k] += scale * step[k]
        if size < EXACT:
            found = True
            break
    weights = np.empty(m)
    weights[0] = 1.0
    for k in range(d):
        weights[k + 1] = at[k]
        weights[0] -= at[k]
    lowest = 0
    for k in range(m):
        if not found or not abs(weights[k]) < 1e3:
            return m
        if weights[k] < weights[lowest]:
            lowest = k
    x[:] = 0.0
    for k in range(m):
        x += weights[k] * corners[k]
    return -1 if weights[lowest] >= near else lowest
