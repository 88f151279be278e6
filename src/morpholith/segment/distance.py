"""Exact Euclidean distance to the nearest pore voxel on anisotropic grids, and a light smoothing of it.

Both give the same bits for any number of threads and for any cut of the volume into blocks with a wide enough halo:
squared distances are sums of whole numbers below 2^53 and so exact in float64, and every sum runs in one fixed order.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ._threads import slabs

FULL = 2.0**28  # weight of the coarsest axis on an anisotropic grid: relative rounding of the others below 1e-7
WALK = 24  # steps along a line up to which trying all beats building the envelope
LANES = 16  # columns gathered at a time: one cache line of float32


def distance(solid: np.ndarray, *, spacing: tuple[float, float, float]) -> np.ndarray:
    """Return the distance of every solid voxel to the nearest pore voxel, centre to centre.

    Separable: along x by counting, along y and z the lower envelope of one parabola a voxel, within each run of solid
    (Felzenszwalb and Huttenlocher, Theory of Computing 8, 415 (2012)).

    Parameters
    ----------
    solid : (z, y, x) bool array
    spacing : tuple of float
        Voxel edge lengths in um, in array order.

    Returns
    -------
    (z, y, x) float32 array
        In um; 0 in pore. What lies outside the volume is not known and counts as no pore. Infinite throughout where
        there is no pore at all.
    """
    solid = np.ascontiguousarray(solid, dtype=np.bool_)
    out = np.empty(solid.shape, np.float32)
    if solid.size == 0:
        return out
    (wz, wy, wx), unit = weights(spacing)
    nz, ny, nx = solid.shape
    flat = out.reshape(-1)
    slabs(lambda a, b: _along_x(solid[a:b], wx, out[a:b]), nz)
    slabs(lambda a, b: _along_lines(flat, a, b, ny * nx, ny, nx, nx, wy), nz)
    slabs(lambda a, b: _along_lines(flat, a, b, nx, nz, ny * nx, nx, wz), ny)
    slabs(lambda a, b: _root(flat[a:b], unit), flat.size, least=2**16)
    return out


def weights(spacing: tuple[float, float, float]) -> tuple[np.ndarray, float]:
    """Return whole weights w with s_i^2 = w_i * unit, and the unit: 1 each on an isotropic grid."""
    square = np.square(np.asarray(spacing, float))
    if np.ptp(square) <= 1e-9 * square.max():
        return np.ones(3), float(square.mean())
    unit = square.max() / FULL
    return np.maximum(np.round(square / unit), 1.0), float(unit)


def smooth(field: np.ndarray, *, sigma_um: float, spacing: tuple[float, float, float]) -> np.ndarray:
    """Blur a volume with a Gaussian, in place, and return it; edges repeat their last voxel.

    Parameters
    ----------
    field : (z, y, x) float32 array
        C-contiguous; changed.
    sigma_um : float
        Standard deviation in um; an axis along which it is under a tenth of a voxel is left alone.
    spacing : tuple of float
    """
    if field.size == 0:
        return field
    kz, ky, kx = (kernel(sigma_um / s) for s in spacing)
    nz, ny, nx = field.shape
    flat = field.reshape(-1)
    if kx.size > 1:
        slabs(lambda a, b: _blur_rows(field[a:b], kx), nz)
    if ky.size > 1:
        slabs(lambda a, b: _blur_lines(flat, a, b, ny * nx, ny, nx, nx, ky), nz)
    if kz.size > 1:
        slabs(lambda a, b: _blur_lines(flat, a, b, nx, nz, ny * nx, nx, kz), ny)
    return field


def kernel(sigma: float) -> np.ndarray:
    """Return one half of a normalised Gaussian, from the middle outwards, cut at 3 sigma (in voxels)."""
    if sigma < 0.1:
        return np.ones(1, np.float32)
    half = np.exp(-0.5 * (np.arange(max(1, math.ceil(3 * sigma)) + 1) / sigma) ** 2)
    return (half / (half[0] + 2 * half[1:].sum())).astype(np.float32)


@njit(cache=True, nogil=True)
def _along_x(solid, w, out):
    nz, ny, nx = solid.shape
    for z in range(nz):
        for y in range(ny):
            row, into = solid[z, y], out[z, y]
            since = np.inf
            for x in range(nx):
                since = since + 1.0 if row[x] else 0.0
                into[x] = w * since * since
            until = np.inf
            for x in range(nx - 1, -1, -1):
                until = until + 1.0 if row[x] else 0.0
                into[x] = min(into[x], np.float32(w * until * until))


@njit(cache=True, nogil=True)
def _along_lines(flat, first, last, outer, n, inner, width, w):
    """Lines of `n` voxels, `inner` apart in memory; `width` of them side by side from each multiple of `outer`."""
    line, result = np.empty(n), np.empty(n)
    site, start = np.empty(n, np.int64), np.empty(n)
    columns = np.empty((LANES, n), np.float32)
    for o in range(first, last):
        for x0 in range(0, width, LANES):
            lanes = min(LANES, width - x0)
            for p in range(n):
                at = o * outer + p * inner + x0
                for i in range(lanes):
                    columns[i, p] = flat[at + i]
            for i in range(lanes):
                _line(columns[i], w, line, result, site, start)
            for p in range(n):
                at = o * outer + p * inner + x0
                for i in range(lanes):
                    flat[at + i] = columns[i, p]


@njit(cache=True, nogil=True)
def _line(values, w, line, result, site, start):
    """Squared distances of one line: each run of solid for itself, with the pore voxels at its ends."""
    n = values.size
    p = 0
    while p < n:
        if values[p] == 0.0:
            p += 1
            continue
        first = p
        top = 0.0
        while p < n and values[p] != 0.0:
            line[p] = values[p]
            top = max(top, line[p])
            p += 1
        low, high = first, p  # [low, high) with the pore voxel at either end
        if low > 0:
            low -= 1
            line[low] = 0.0
        if high < n:
            line[high] = 0.0
            high += 1
        if top <= w * WALK * WALK or high - low <= WALK:
            _walk(line, low, high, first, p, w, result)
        else:
            _envelope(line, low, high, first, p, w, result, site, start)
        for q in range(first, p):
            values[q] = result[q]


@njit(cache=True, nogil=True)
def _walk(line, low, high, first, last, w, result):
    for p in range(first, last):
        best = line[p]
        k = 1
        step = w
        while step < best and (p - k >= low or p + k < high):
            if p - k >= low:
                best = min(best, line[p - k] + step)
            if p + k < high:
                best = min(best, line[p + k] + step)
            k += 1
            step = w * k * k
        result[p] = best


@njit(cache=True, nogil=True)
def _envelope(line, low, high, first, last, w, result, site, start):
    top = -1
    for q in range(low, high):
        if line[q] == np.inf:
            continue
        begin = -np.inf
        while top >= 0:
            v = site[top]
            # above and below the bar are whole numbers under 2^53: the quotient never rounds across a whole number
            begin = ((line[q] - line[v]) + w * (q * q - v * v)) / (2.0 * w * (q - v))
            if begin > start[top]:
                break
            top -= 1
            begin = -np.inf
        top += 1
        site[top] = q
        start[top] = begin
    if top < 0:
        result[first:last] = np.inf
        return
    k = 0
    for p in range(first, last):
        while k < top and start[k + 1] < p:
            k += 1
        v = site[k]
        result[p] = line[v] + w * (p - v) * (p - v)


@njit(cache=True, nogil=True)
def _root(flat, unit):
    for i in range(flat.size):
        flat[i] = math.sqrt(flat[i] * unit)


@njit(cache=True, nogil=True)
def _blur_rows(field, kernel):
    nz, ny, nx = field.shape
    reach = kernel.size - 1
    line = np.empty(nx + 2 * reach, np.float32)
    for z in range(nz):
        for y in range(ny):
            row = field[z, y]
            for x in range(nx + 2 * reach):
                line[x] = row[min(max(x - reach, 0), nx - 1)]
            for x in range(nx):
                row[x] = kernel[0] * line[x + reach]
            for k in range(1, reach + 1):
                for x in range(nx):
                    row[x] += kernel[k] * (line[x + reach - k] + line[x + reach + k])


@njit(cache=True, nogil=True)
def _blur_lines(flat, first, last, outer, n, inner, width, kernel):
    """Lines of `n` voxels, `inner` apart in memory; `width` of them side by side from each multiple of `outer`."""
    reach = kernel.size - 1
    plane = np.empty((n, width), np.float32)
    for o in range(first, last):
        for p in range(n):
            plane[p] = flat[o * outer + p * inner : o * outer + p * inner + width]
        for p in range(n):
            row = flat[o * outer + p * inner : o * outer + p * inner + width]
            for x in range(width):
                row[x] = kernel[0] * plane[p, x]
            for k in range(1, reach + 1):
                above, below = plane[max(p - k, 0)], plane[min(p + k, n - 1)]
                for x in range(width):
                    row[x] += kernel[k] * (above[x] + below[x])
