"""Largest spheres that fit in a phase, and the painting of a volume with them."""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

RIDGE = 0.4  # cap of a sphere, in smallest voxel edges, by which a neighbour's may miss it and still replace it
STEPS = 16  # of the search for a centre
FOOT = 0.3  # smallest edges by which the foot of the normal may lie nearer than the nearest outside voxel
MARGIN = 0.5  # voxel centres this far beyond a sphere, in smallest edges, still lie in it


@njit(cache=True)
def number(near):
    """Number the outside voxels that are nearest to something: rewrites `near`, returns their linear indices."""
    names = np.full(near.size, -1, np.int32)
    n = 0
    for p in range(near.size):
        if near[p] >= 0 and names[near[p]] < 0:
            names[near[p]] = n
            n += 1
    used = np.empty(n, np.int32)
    for p in range(near.size):
        if names[p] >= 0:
            used[names[p]] = p
    for p in range(near.size):
        if near[p] >= 0:
            near[p] = names[near[p]]
    return used


@njit(cache=True, parallel=True)
def rims(mask, used, offsets, weights, sigma, table, sz, sy, sx):
    """Interface beside each of these outside voxels: (n, 7), place in um, unit normal outwards, distance.

    The window is a Gaussian of `sigma` voxels along every axis. A plane at distance d leaves the share
    Phi(-d / (sigma w)) of the phase in it, w the width of a voxel across the plane; `table` inverts Phi at 257 even
    steps from 0 to 1. The first moment of the phase gives the normal. The part of the voxel itself that lies in the
    phase is estimated, as all of it counts outside.
    """
    nz, ny, nx = mask.shape
    out = np.zeros((len(used), 7), np.float32)
    for n in prange(len(used)):
        z, y, x = used[n] // (ny * nx), used[n] // nx % ny, used[n] % nx
        share, total, own, gz, gy, gx = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for m in range(len(offsets)):
            i, j, k = z + offsets[m, 0], y + offsets[m, 1], x + offsets[m, 2]
            if 0 <= i < nz and 0 <= j < ny and 0 <= k < nx:
                total += weights[m]
                if mask[i, j, k]:
                    share += weights[m]
                    gz -= weights[m] * offsets[m, 0] / sz
                    gy -= weights[m] * offsets[m, 1] / sy
                    gx -= weights[m] * offsets[m, 2] / sx
                elif i == z and j == y and k == x:
                    own = weights[m]
        length = max(math.sqrt(gz * gz + gy * gy + gx * gx), 1e-12)
        gz, gy, gx = gz / length, gy / length, gx / length
        width = math.sqrt((sz * gz) ** 2 + (sy * gy) ** 2 + (sx * gx) ** 2)  # of a voxel across the interface
        away = _invert(table, share / total)
        away = _invert(table, (share + own * max(0.5 - sigma * away, 0.0)) / total)
        out[n, 0], out[n, 1], out[n, 2] = z * sz, y * sy, x * sx
        out[n, 3], out[n, 4], out[n, 5] = gz, gy, gx
        out[n, 6] = sigma * width * away
    return out


@njit(cache=True)
def _invert(table, share):
    t = 256 * min(share, 0.5)
    b = min(int(t), 255)
    return table[b] + (t - b) * (table[b + 1] - table[b])


@njit(cache=True, parallel=True)
def ridge(mask, square, sz, sy, sx):
    """Voxels whose sphere no neighbour's holds, up to a cap of `RIDGE`: their linear indices."""
    nz, ny, nx = mask.shape
    found = np.zeros((nz, ny, nx), np.uint8)
    count = np.zeros(nz + 1, np.int64)
    slack = RIDGE * min(sz, sy, sx)
    for z in prange(nz):
        for y in range(ny):
            for x in range(nx):
                if mask[z, y, x]:
                    found[z, y, x] = _kept(mask, square, z, y, x, sz, sy, sx, slack)
                    count[z + 1] += found[z, y, x]
    start = np.cumsum(count)
    out = np.empty(start[-1], np.int32)
    for z in prange(nz):
        n = start[z]
        for y in range(ny):
            for x in range(nx):
                if found[z, y, x]:
                    out[n] = (z * ny + y) * nx + x
                    n += 1
    return out


@njit(cache=True)
def _kept(mask, square, z, y, x, sz, sy, sx, slack):
    here = math.sqrt(square[z, y, x])
    for dz in range(-1, 2):
        for dy in range(-1, 2):
            for dx in range(-1, 2):
                i, j, k = z + dz, y + dy, x + dx
                if 0 <= i < mask.shape[0] and 0 <= j < mask.shape[1] and 0 <= k < mask.shape[2] and mask[i, j, k]:
                    step = math.sqrt((dz * sz) ** 2 + (dy * sy) ** 2 + (dx * sx) ** 2)
                    if step > 0 and math.sqrt(square[i, j, k]) > here + step - slack:
                        return 0
    return 1


@njit(cache=True, parallel=True)
def centres(mask, near, rim, where, sz, sy, sx):
    """Spheres about the voxels `where`: centre in um within the voxel, and radius; (n, 4)."""
    nz, ny, nx = mask.shape
    out = np.zeros((len(where), 4), np.float32)
    for n in prange(len(where)):
        z, y, x = where[n] // (ny * nx), where[n] // nx % ny, where[n] % nx
        seen = np.empty(27, np.int32)
        m = 0
        for i in range(max(z - 1, 0), min(z + 2, nz)):
            for j in range(max(y - 1, 0), min(y + 2, ny)):
                for k in range(max(x - 1, 0), min(x + 2, nx)):
                    f = near[(i * ny + j) * nx + k]
                    known = f < 0
                    for q in range(m):
                        known = known or seen[q] == f
                    if not known:
                        seen[m] = f
                        m += 1
        if m > 0:
            _climb(out[n], z * sz, y * sy, x * sx, rim, seen[:m], sz, sy, sx)
    return out


@njit(cache=True)
def _reach(cz, cy, cx, rim, seen, slack):
    """Radius of the largest sphere about a point, and which interface stops it."""
    best, stop = 1e30, 0
    for m in range(len(seen)):
        r = rim[seen[m]]
        dz, dy, dx = r[0] - cz, r[1] - cy, r[2] - cx
        d = dz * r[3] + dy * r[4] + dx * r[5]  # to the tangent plane: the voxel need not lie at its foot
        d = max(d, math.sqrt(dz * dz + dy * dy + dx * dx) - slack) - r[6]  # but a corner has no tangent plane
        if d < best:
            best, stop = d, m
    return best, seen[stop]


@njit(cache=True)
def _climb(row, z0, y0, x0, rim, seen, sz, sy, sx):
    """Move the centre away from what stops the sphere, in shrinking steps within the voxel; keep the best."""
    cz, cy, cx = z0, y0, x0
    for k in range(STEPS + 1):
        radius, f = _reach(cz, cy, cx, rim, seen, FOOT * min(sz, sy, sx))
        if radius > row[3]:
            row[0], row[1], row[2], row[3] = cz, cy, cx, radius
        az, ay, ax = cz - rim[f, 0], cy - rim[f, 1], cx - rim[f, 2]
        step = 0.5 * min(sz, sy, sx) / (k + 1) / max(math.sqrt(az * az + ay * ay + ax * ax), 1e-12)
        cz = min(max(cz + step * az, z0 - sz / 2), z0 + sz / 2)
        cy = min(max(cy + step * ay, y0 - sy / 2), y0 + sy / 2)
        cx = min(max(cx + step * ax, x0 - sx / 2), x0 + sx / 2)


@njit(cache=True)
def _next(onwards, p):
    """First place from p on in its row that has no colour yet (the row's end stands for none)."""
    last = p
    while onwards[last] != last:
        last = onwards[last]
    while onwards[p] != last:
        onwards[p], p = last, onwards[p]
    return last


@njit(cache=True)
def paint(mask, spheres, sz, sy, sx):
    """Give every voxel the diameter of the first sphere, largest first, that holds its centre; 0 where none does."""
    nz, ny, nx = mask.shape
    out = np.zeros((nz, ny, nx), np.float32)
    margin = MARGIN * min(sz, sy, sx)
    width = nx + 1  # one more place ends each row
    onwards = np.arange(nz * ny * width).astype(np.int32)
    for s in range(len(spheres)):
        cz, cy, cx = np.float64(spheres[s, 0]), np.float64(spheres[s, 1]), np.float64(spheres[s, 2])
        diameter = 2 * spheres[s, 3]
        r = spheres[s, 3] + margin
        for z in range(max(0, math.ceil((cz - r) / sz)), min(nz - 1, math.floor((cz + r) / sz)) + 1):
            left = r * r - (z * sz - cz) ** 2
            if left < 0:
                continue
            reach = math.sqrt(left)
            for y in range(max(0, math.ceil((cy - reach) / sy)), min(ny - 1, math.floor((cy + reach) / sy)) + 1):
                rest = left - (y * sy - cy) ** 2
                if rest < 0:
                    continue
                half = math.sqrt(rest)
                first, last = max(0, math.ceil((cx - half) / sx)), min(nx - 1, math.floor((cx + half) / sx))
                if first > last:
                    continue
                base = (z * ny + y) * width
                p = _next(onwards, base + first)
                while p <= base + last:
                    out[z, y, p - base] = diameter if mask[z, y, p - base] else np.float32(0)
                    onwards[p] = p + 1
                    p = _next(onwards, p + 1)
    return out


@njit(cache=True)
def fill(out, mask, near, rim, square):
    """Voxels at the surface that no sphere reached take the largest beside them, or else their own inscribed one."""
    nz, ny, nx = mask.shape
    left = np.flatnonzero((mask.ravel() != 0) & (out.ravel() == 0))
    found = np.zeros(len(left), np.float32)
    for n in range(len(left)):
        p = left[n]
        z, y, x = p // (ny * nx), p // nx % ny, p % nx
        for i in range(max(z - 1, 0), min(z + 2, nz)):
            for j in range(max(y - 1, 0), min(y + 2, ny)):
                for k in range(max(x - 1, 0), min(x + 2, nx)):
                    found[n] = max(found[n], out[i, j, k])
        if found[n] == 0 and near[p] >= 0:
            found[n] = 2 * max(math.sqrt(square[z, y, x]) - rim[near[p], 6], 0.0)
    for n in range(len(left)):
        p = left[n]
        out[p // (ny * nx), p // nx % ny, p % nx] = found[n]
