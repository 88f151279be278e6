"""Noise of a grey volume, and its removal without moving an edge."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

SEARCH, PATCH = 2, 1  # half-widths in voxels
SLAB = 12  # planes a thread takes at a time


def noise(volume: np.ndarray) -> float:
    """Return the standard deviation of the voxel-to-voxel noise.

    Parameters
    ----------
    volume : (z, y, x) array
        Axes of length below 3 are passed over (a single slice is a 2D image).

    Returns
    -------
    float
        1.4826 times the median absolute value of the volume filtered by [1, -2, 1]/sqrt(6) along every axis: blind to
        planes and slow shading, and to edges while they fill less than half of the voxels. It sees white noise
        only; noise that neighbours share appears smaller than it is. NaN where no axis has three voxels.
    """
    high = np.asarray(volume, np.float32)
    axes = [a for a in range(high.ndim) if high.shape[a] >= 3]
    if not axes:
        return float("nan")
    for axis in axes:
        h = np.moveaxis(high, axis, 0)
        high = np.moveaxis((h[2:] - 2 * h[1:-1] + h[:-2]) * np.float32(1 / np.sqrt(6)), 0, axis)
    return float(1.4826 * np.median(np.abs(high)))


def halo(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return how far, in voxels of each axis, `nonlocal_means` looks."""
    return tuple(SEARCH + PATCH if n > 1 else 0 for n in shape)


def nonlocal_means(volume: np.ndarray, *, sd: float, strength: float = 1.0) -> np.ndarray:
    """Average each voxel with those nearby whose surroundings look the same.

    Parameters
    ----------
    volume : (z, y, x) array
    sd : float
        Noise, in grey levels.
    strength : float
        Patches count as the same up to a mean squared difference of about ``(1 + strength) 2 sd^2``.

    Returns
    -------
    (z, y, x) float32 array
        Non-local means (Buades, Coll, Morel 2005) with 3x3x3 patches in a 5x5x5 search window (5x5 and 3x3 in a
        single slice); the expected squared difference ``2 sd^2`` is taken off first, and the weight
        ``(1 - u)^4`` ends at ``u = 1``. Each voxel depends on those within 3 (`halo`) and on nothing else, so that
        blocks with that halo give the same bits. An even function of the grey levels: an edge stays where it is.
    """
    volume = np.ascontiguousarray(volume, np.float32)
    if not sd > 0:
        return volume.copy()
    flat = volume.shape[0] == 1
    pad = SEARCH + PATCH
    rz, pz = (0, 0) if flat else (SEARCH, PATCH)
    padded = np.pad(volume, ((rz + pz,) * 2, (pad, pad), (pad, pad)), mode="symmetric")
    out = np.empty_like(volume)
    _nlm(padded, out, rz, pz, SEARCH, np.float32(2 * sd * sd), np.float32(2 * sd * sd * strength))
    return out


@njit(cache=True, parallel=True)
def _nlm(padded, out, rz, pz, r, floor, scale):
    nz = out.shape[0]
    for slab in prange((nz + SLAB - 1) // SLAB):
        _nlm_slab(padded, out, slab * SLAB, min(nz, slab * SLAB + SLAB), rz, pz, r, floor, scale)


@njit(cache=True)
def _nlm_slab(padded, out, z0, z1, rz, pz, r, floor, scale):
    # Each pair of voxels (i, i + s) is weighed once, sources starting `dz` before the slab: every voxel kept gets the
    # same additions in the same order whichever slab or block it lies in.
    _, ny, nx = out.shape
    wy, wx = ny + 2 * r, nx + 2 * r
    total = np.zeros((z1 - z0 + 2 * rz, wy, wx), np.float32)
    weight = np.zeros((z1 - z0 + 2 * rz, wy, wx), np.float32)
    planes = np.empty((3, wy, wx), np.float32)
    rows = np.empty((3, wx), np.float32)
    w = np.empty(wx, np.float32)
    per_voxel = np.float32(1.0 / ((2 * pz + 1) * 9))
    for dz in range(rz + 1):
        for dy in range(-r, r + 1):
            for dx in range(-r, r + 1):
                if dz == 0 and (dy < 0 or (dy == 0 and dx <= 0)):
                    continue
                ys, ye = max(0, -dy), min(wy, wy - dy)
                xs, n = max(0, -dx), wx - abs(dx)
                done = z0 - dz - pz - 1
                for z in range(z0 - dz, z1):
                    while done < z + pz:
                        done += 1
                        near, far = padded[done + rz + pz], padded[done + rz + pz + dz]
                        plane = planes[(done + 9) % 3]
                        for y in range(ys, ye + 2):
                            _row_distance(near[y, xs:], far[y + dy, xs + dx :], rows[y % 3], n)
                            if y >= ys + 2:
                                _add3(rows[(y + 1) % 3], rows[(y + 2) % 3], rows[y % 3], plane[y - 2], n)
                    i, zi = z - z0 + rz, z + rz + pz
                    for y in range(ys, ye):
                        if pz == 0:
                            _weigh1(planes[(z + 9) % 3, y], w, n, per_voxel, floor, scale)
                        else:
                            below, here, above = planes[(z + 8) % 3, y], planes[(z + 9) % 3, y], planes[(z + 10) % 3, y]
                            _weigh3(below, here, above, w, n, per_voxel, floor, scale)
                        _accumulate(
                            total[i, y, xs:], weight[i, y, xs:], w, padded[zi + dz, y + 1 + dy, xs + dx + 1 :], n
                        )
                        _accumulate(
                            total[i + dz, y + dy, xs + dx :],
                            weight[i + dz, y + dy, xs + dx :],
                            w,
                            padded[zi, y + 1, xs + 1 :],
                            n,
                        )
    for z in range(z0, z1):
        for y in range(ny):
            for x in range(nx):
                t = total[z - z0 + rz, y + r, x + r] + padded[z + rz + pz, y + r + 1, x + r + 1]
                out[z, y, x] = t / (weight[z - z0 + rz, y + r, x + r] + np.float32(1))


@njit(cache=True)
def _row_distance(a, b, line, n):
    for x in range(n):
        d0, d1, d2 = a[x] - b[x], a[x + 1] - b[x + 1], a[x + 2] - b[x + 2]
        line[x] = d0 * d0 + d1 * d1 + d2 * d2


@njit(cache=True)
def _add3(a, b, c, out, n):
    for x in range(n):
        out[x] = a[x] + b[x] + c[x]


@njit(cache=True)
def _weigh1(a, w, n, per_voxel, floor, scale):
    for x in range(n):
        u = np.float32(1) - max(a[x] * per_voxel - floor, np.float32(0)) / scale
        u = max(u, np.float32(0))
        u = u * u
        w[x] = u * u


@njit(cache=True)
def _weigh3(a, b, c, w, n, per_voxel, floor, scale):
    for x in range(n):
        u = np.float32(1) - max((a[x] + b[x] + c[x]) * per_voxel - floor, np.float32(0)) / scale
        u = max(u, np.float32(0))
        u = u * u
        w[x] = u * u


@njit(cache=True)
def _accumulate(total, weight, w, grey, n):
    for x in range(n):
        total[x] += w[x] * grey[x]
        weight[x] += w[x]
