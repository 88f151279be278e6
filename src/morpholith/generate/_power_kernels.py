"""Compiled loops of the power diagram: who may win in a block of voxels, and who wins a voxel.

A grain `i` is a seed `s`, an upper triangular factor `U` of its matrix (M = U'U, six numbers, row by row) and an offset
`r`; its value at `x` is g(|U (x - s)|) - r, with g(t) = t or t^2. One expression, `_value`, serves every loop, so that
block by block and brute force give the same bits.
"""

from __future__ import annotations

import numpy as np
from numba import njit

LEAF = 4  # voxels along an edge of the smallest block
EDGES = (32, 16, 8, LEAF)
SLACK = 1e-12  # relative; what the bounds give way, far above rounding and far below any saving


@njit(cache=True, nogil=True, inline="always")
def _value(dz, dy, dx, u, r, power):
    a = u[0] * dz + u[1] * dy + u[2] * dx
    b = u[3] * dy + u[4] * dx
    c = u[5] * dx
    q = a * a + b * b + c * c
    return np.sqrt(q) - r if power == 1 else q - r


@njit(cache=True, nogil=True)
def reaches(factor, half):
    """Largest norm of (+-hz, +-hy, +-hx) for each grain: no voxel of a block is farther from its centre."""
    out = np.empty(len(factor))
    for i in range(len(factor)):
        u = factor[i]
        most = 0.0
        for corner in range(4):
            dy = half[1] if corner % 2 else -half[1]
            dx = half[2] if corner // 2 else -half[2]
            most = max(most, _value(half[0], dy, dx, u, 0.0, 1))
        out[i] = most
    return out


@njit(cache=True, nogil=True)
def _cull(centre, reach, seeds, factor, size, radii, power, source, n, low, kept):
    """Copy to `kept` those of ``source[:n]``, in their order, that may win somewhere in a block; return how many.

    `size` is the Frobenius norm of each factor, which bounds what rounding does to a norm; `low` is scratch.
    """
    least = np.inf
    for k in range(n):
        i = source[k]
        dz, dy, dx = centre[0] - seeds[i, 0], centre[1] - seeds[i, 1], centre[2] - seeds[i, 2]
        far = _value(dz, dy, dx, factor[i], 0.0, 1)
        scale = abs(centre[0]) + abs(centre[1]) + abs(centre[2]) + abs(dz) + abs(dy) + abs(dx)
        slack = SLACK * (size[i] * scale + reach[i])
        inner, outer = max(0.0, far - reach[i] - slack), far + reach[i] + slack
        if power == 2:
            inner, outer = inner * inner * (1 - SLACK), outer * outer * (1 + SLACK)
        low[k] = inner - radii[i] - SLACK * abs(radii[i])
        least = min(least, outer - radii[i] + SLACK * abs(radii[i]))
    m = 0
    for k in range(n):
        if low[k] <= least:
            kept[m] = source[k]
            m += 1
    return m


@njit(cache=True, nogil=True)
def candidates(centre, reach, seeds, factor, size, radii, power):
    """Return the grains that may win somewhere in one block, out of all."""
    n = len(seeds)
    kept = np.empty(n, np.int32)
    everyone = np.arange(n).astype(np.int32)
    m = _cull(centre, reach, seeds, factor, size, radii, power, everyone, n, np.empty(n), kept)
    return kept[:m].copy()


@njit(cache=True, nogil=True)
def _any(inside, z0, z1, y0, y1, x0, x1):
    for z in range(z0, z1):
        for y in range(y0, y1):
            for x in range(x0, x1):
                if inside[z, y, x]:
                    return True
    return False


@njit(cache=True, nogil=True)
def _leaf(zs, ys, xs, z0, z1, y0, y1, x0, x1, seeds, factor, radii, power, kept, m, best, won):
    """Write the winner of each voxel of a leaf into `won`; rows are always whole, their ends may lie outside."""
    best[:] = np.inf
    for k in range(m):
        i = kept[k]
        u, r = factor[i], radii[i]
        s0, s1, s2 = seeds[i, 0], seeds[i, 1], seeds[i, 2]
        for z in range(z0, z1):
            dz = zs[z] - s0
            for y in range(y0, y1):
                dy = ys[y] - s1
                row = ((z - z0) * LEAF + y - y0) * LEAF
                for x in range(x1 - x0 if x1 - x0 < LEAF else LEAF):
                    v = _value(dz, dy, xs[x0 + x] - s2, u, r, power)
                    if v < best[row + x]:  # equal values stay with the grain of the lower number
                        best[row + x] = v
                        won[row + x] = i


@njit(cache=True, nogil=True)
def label_blocks(
    zs, ys, xs, seeds, factor, size, radii, power, reach, edges, lists, start, grid, group, inside, masked, labels,
    first, step,
):  # fmt: skip
    """Fill the blocks `first`, ``first + step``, ... of `labels`; return numbers of values and of bounds computed.

    `reach` and `edges` belong to the levels of blocks, largest first; ``lists[start[g]:start[g + 1]]`` are the grains
    that may win in group `g` of ``group ** 3`` of the largest blocks, of which there are `grid`.
    """
    n = len(seeds)
    levels = len(edges)
    shape = np.array(labels.shape)
    groups = (grid + group - 1) // group
    kept = np.empty((levels + 1, n), np.int32)
    count = np.zeros(levels + 1, np.int64)
    low = np.empty(n)
    best, won = np.empty(LEAF**3), np.empty(LEAF**3, np.int32)
    stack = np.empty((8 * levels + 1, 4), np.int64)
    centre, stop = np.empty(3), np.empty(3, np.int64)
    values = bounds = 0
    for b in range(first, grid[0] * grid[1] * grid[2], step):
        bz, by, bx = b // (grid[1] * grid[2]), b // grid[2] % grid[1], b % grid[2]
        g = ((bz // group) * groups[1] + by // group) * groups[2] + bx // group
        count[0] = start[g + 1] - start[g]
        kept[0, : count[0]] = lists[start[g] : start[g + 1]]
        stack[0] = 0, bz * edges[0, 0], by * edges[0, 1], bx * edges[0, 2]
        top = 1
        while top:
            top -= 1
            level, z0, y0, x0 = stack[top]
            edge = edges[level]
            for a in range(3):
                stop[a] = min(stack[top, a + 1] + edge[a], shape[a])
            z1, y1, x1 = stop
            if masked and not _any(inside, z0, z1, y0, y1, x0, x1):
                continue
            centre[0] = 0.5 * (zs[z0] + zs[z0 + edge[0] - 1])
            centre[1] = 0.5 * (ys[y0] + ys[y0 + edge[1] - 1])
            centre[2] = 0.5 * (xs[x0] + xs[x0 + edge[2] - 1])
            bounds += count[level]
            m = _cull(
                centre, reach[level], seeds, factor, size, radii, power, kept[level], count[level], low, kept[level + 1]
            )
            count[level + 1] = m
            if m == 1:
                for z in range(z0, z1):
                    for y in range(y0, y1):
                        for x in range(x0, x1):
                            if not masked or inside[z, y, x]:
                                labels[z, y, x] = kept[level + 1, 0] + 1
            elif level == levels - 1:
                values += m * (z1 - z0) * (y1 - y0) * (x1 - x0)
                _leaf(zs, ys, xs, z0, z1, y0, y1, x0, x1, seeds, factor, radii, power, kept[levels], m, best, won)
                for z in range(z0, z1):
                    for y in range(y0, y1):
                        row = ((z - z0) * LEAF + y - y0) * LEAF
                        for x in range(x0, x1):
                            if not masked or inside[z, y, x]:
                                labels[z, y, x] = won[row + x - x0] + 1
            else:
                below = edges[level + 1]
                for z in range(z0, z1, below[0]):
                    for y in range(y0, y1, below[1]):
                        for x in range(x0, x1, below[2]):
                            stack[top] = level + 1, z, y, x
                            top += 1
    return values, bounds


@njit(cache=True, nogil=True)
def label_all(points, seeds, factor, radii, power, labels, first, last):
    """Winner of each of ``points[first:last]`` among all grains, 64 points at a time."""
    z, y, x = np.empty(64), np.empty(64), np.empty(64)
    best, won = np.empty(64), np.empty(64, np.int32)
    for p in range(first, last, 64):
        m = min(64, last - p)
        for k in range(m):
            z[k], y[k], x[k] = points[p + k]
            best[k], won[k] = np.inf, 0
        for i in range(len(seeds)):
            u, r = factor[i], radii[i]
            s0, s1, s2 = seeds[i, 0], seeds[i, 1], seeds[i, 2]
            for k in range(m):
                v = _value(z[k] - s0, y[k] - s1, x[k] - s2, u, r, power)
                if v < best[k]:
                    best[k] = v
                    won[k] = i
        for k in range(m):
            labels[p + k] = won[k] + 1
