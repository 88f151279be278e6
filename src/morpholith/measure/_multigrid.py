"""Kernels of the finest level: steady diffusion through the voxels of one phase, red and black.

Voxels form a chequerboard, red where z + y + x is even. A black voxel conducts to red ones only, so its equation gives
its potential at once, and the solver keeps red unknowns alone: the reduced system S = D - B D_b^-1 B^T, with D and D_b
the diagonals and B the conductances between the colours.

Colours are stored apart, voxel (z, y, x) at ``[z + 1, y + 1, x // 2 + 1]``, which makes every loop a plain one over
memory. The padding stays zero, and so does what lies outside the phase: sums over six neighbours need no branch. One
byte a voxel says how many neighbours of the phase it has along each axis, which fixes its diagonal.

Kernels run in parallel over slices and give the same bits for any number of threads: each slice has its own sum, which
the caller adds up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit, prange

FAST = {"contract", "reassoc", "nsz"}


@dataclass(frozen=True)
class Fine:
    """The finest level.

    Parameters
    ----------
    red, black : (nz + 2, ny + 2, nh + 2) uint8
        Neighbours by axis, ``z + 8 y + 32 x``; 0 outside the phase. A half-cell to an electrode counts twice.
    conductance : tuple of float
        Of a face across z, y and x: area over distance.
    diagonal, inverse : (128,) float64
        By code; 0 for code 0.
    shape : (nz, ny, nx)
    """

    red: np.ndarray
    black: np.ndarray
    conductance: tuple[float, float, float]
    diagonal: np.ndarray
    inverse: np.ndarray
    shape: tuple[int, int, int]

    def zeros(self, dtype) -> np.ndarray:
        """Return an array over the voxels of one colour."""
        return np.zeros(self.red.shape, dtype)


def fine_level(mask: np.ndarray, conductance: tuple[float, float, float]) -> Fine:
    """Return the finest level of a boolean phase that conducts along axis 0, between the faces of the array."""
    nz, ny, nx = mask.shape
    codes = np.zeros((2, nz + 2, ny + 2, (nx + 1) // 2 + 2), np.uint8)
    _codes(mask, codes)
    code = np.arange(128)
    gz, gy, gx = conductance
    diagonal = (code & 7) * gz + (code >> 3 & 3) * gy + (code >> 5) * gx
    inverse = np.divide(1, diagonal, out=np.zeros(128), where=diagonal > 0)
    return Fine(codes[0], codes[1], conductance, diagonal, inverse, mask.shape)


@njit(parallel=True, cache=True)
def _codes(mask, codes):
    nz, ny, nx = mask.shape
    for z in prange(nz):
        for y in range(ny):
            for x in range(nx):
                if not mask[z, y, x]:
                    continue
                cz = (2 if z == 0 else int(mask[z - 1, y, x])) + (2 if z == nz - 1 else int(mask[z + 1, y, x]))
                cy = (int(mask[z, y - 1, x]) if y > 0 else 0) + (int(mask[z, y + 1, x]) if y < ny - 1 else 0)
                cx = (int(mask[z, y, x - 1]) if x > 0 else 0) + (int(mask[z, y, x + 1]) if x < nx - 1 else 0)
                codes[(z + y + x) % 2, z + 1, y + 1, x // 2 + 1] = cz + 8 * cy + 32 * cx


def whole(red: np.ndarray, black: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Return an array over all voxels, in single precision, from its two colours."""
    nz = shape[0]
    out = np.empty(shape, np.float32)
    for odd in (0, 1):
        for z in range(nz):
            for colour, part in ((0, red), (1, black)):
                first = (odd + z + colour) % 2
                rows = out[z, odd::2, first::2]
                rows[:] = part[z + 1, odd + 1 : -1 : 2, 1 : 1 + rows.shape[1]]
    return out


# In the loops below ``side`` is where the second neighbour along x lies: rows of one colour start at x = 0 or at x = 1.


@njit(parallel=True, cache=True, fastmath=FAST)
def descend(r, z, t, codes, inverse, g, into, out):
    """Relax red from zero to `z`, then black to `t`; sum the residual, which is left on red alone, over lumps."""
    (red, black), (gz, gy, gx) = codes, g
    nz, ny, nh = r.shape[0] - 2, r.shape[1] - 2, r.shape[2] - 2
    out[:] = 0
    for k in prange(1, nz + 1):
        for j in range(1, ny + 1):
            for h in range(1, nh + 1):
                z[k, j, h] = r[k, j, h] * inverse[red[k, j, h]]
    for k in prange(1, nz + 1):
        for j in range(1, ny + 1):
            side = 1 if (k + j) % 2 == 0 else -1
            for h in range(1, nh + 1):
                s = gz * (z[k - 1, j, h] + z[k + 1, j, h]) + gy * (z[k, j - 1, h] + z[k, j + 1, h])
                s += gx * (z[k, j, h] + z[k, j, h + side])
                t[k, j, h] = s * inverse[black[k, j, h]]
    # lumps reach over two slices at most, so that pairs of slices never meet
    for pair in prange((nz + 1) // 2):
        for k in range(2 * pair + 1, min(2 * pair + 2, nz) + 1):
            for j in range(1, ny + 1):
                side = -1 if (k + j) % 2 == 0 else 1
                for h in range(1, nh + 1):
                    if red[k, j, h]:
                        s = gz * (t[k - 1, j, h] + t[k + 1, j, h]) + gy * (t[k, j - 1, h] + t[k, j + 1, h])
                        s += gx * (t[k, j, h] + t[k, j, h + side])
                        out[into[k, j, h]] += s


@njit(parallel=True, cache=True, fastmath=FAST)
def ascend(r, z, t, codes, inverse, g, into, coarse):
    """Add the correction of the lumps to red, relax black, then red; return r . z by slices."""
    (red, black), (gz, gy, gx) = codes, g
    nz, ny, nh = r.shape[0] - 2, r.shape[1] - 2, r.shape[2] - 2
    for k in prange(1, nz + 1):
        for j in range(1, ny + 1):
            for h in range(1, nh + 1):
                z[k, j, h] += coarse[into[k, j, h]]
    for k in prange(1, nz + 1):
        for j in range(1, ny + 1):
            side = 1 if (k + j) % 2 == 0 else -1
            for h in range(1, nh + 1):
                s = gz * (z[k - 1, j, h] + z[k + 1, j, h]) + gy * (z[k, j - 1, h] + z[k, j + 1, h])
                s += gx * (z[k, j, h] + z[k, j, h + side])
                t[k, j, h] = s * inverse[black[k, j, h]]
    sums = np.zeros(nz)
    for k in prange(1, nz + 1):
        total = 0.0
        for j in range(1, ny + 1):
            side = -1 if (k + j) % 2 == 0 else 1
            for h in range(1, nh + 1):
                s = gz * (t[k - 1, j, h] + t[k + 1, j, h]) + gy * (t[k, j - 1, h] + t[k, j + 1, h])
                s += gx * (t[k, j, h] + t[k, j, h + side])
                value = (r[k, j, h] + s) * inverse[red[k, j, h]]
                z[k, j, h] = value
                total += float(value) * float(r[k, j, h])
        sums[k - 1] = total
    return sums


@njit(parallel=True, cache=True, fastmath=FAST)
def advance(p, z, beta, t, codes, tables, g):
    """Make z + beta p the new p and S p the new z; return p . S p by slices.

    `t` is double: what S makes of a smooth p is a small difference of large numbers, and in single precision the
    iterations would slow down for lack of digits.
    """
    (red, black), (diagonal, inverse), (gz, gy, gx) = codes, tables, g
    nz, ny, nh = p.shape[0] - 2, p.shape[1] - 2, p.shape[2] - 2
    for k in prange(1, nz + 1):
        for j in range(1, ny + 1):
            for h in range(1, nh + 1):
                p[k, j, h] = z[k, j, h] + beta * p[k, j, h]
    for k in prange(1, nz + 1):
        for j in range(1, ny + 1):
            side = 1 if (k + j) % 2 == 0 else -1
            for h in range(1, nh + 1):
                s = gz * (float(p[k - 1, j, h]) + float(p[k + 1, j, h]))
                s += gy * (float(p[k, j - 1, h]) + float(p[k, j + 1, h]))
                s += gx * (float(p[k, j, h]) + float(p[k, j, h + side]))
                t[k, j, h] = s * inverse[black[k, j, h]]
    sums = np.zeros(nz)
    for k in prange(1, nz + 1):
        total = 0.0
        for j in range(1, ny + 1):
            side = -1 if (k + j) % 2 == 0 else 1
            for h in range(1, nh + 1):
                s = gz * (t[k - 1, j, h] + t[k + 1, j, h]) + gy * (t[k, j - 1, h] + t[k, j + 1, h])
                s += gx * (t[k, j, h] + t[k, j, h + side])
                value = diagonal[red[k, j, h]] * float(p[k, j, h]) - s if red[k, j, h] else 0.0
                z[k, j, h] = value
                total += value * float(p[k, j, h])
        sums[k - 1] = total
    return sums


@njit(parallel=True, cache=True, fastmath=FAST)
def step(x, r, p, q, alpha):
    """Move x along p and r against q = S p; return the sums of the new r over slices."""
    nz, ny, nh = r.shape[0] - 2, r.shape[1] - 2, r.shape[2] - 2
    layers, a = np.zeros(nz), np.float32(alpha)
    for k in prange(1, nz + 1):
        total = 0.0
        for j in range(1, ny + 1):
            for h in range(1, nh + 1):
                x[k, j, h] += alpha * p[k, j, h]
                value = r[k, j, h] - a * q[k, j, h]
                r[k, j, h] = value
                total += value
        layers[k - 1] = total
    return layers


@njit(parallel=True, cache=True, fastmath=FAST)
def true_residual(x, y, codes, tables, g, ends, r):
    """Relax black, `y`; write the residual of red, `x`, to `r`, in double precision; return its sums over slices."""
    (red, black), (diagonal, inverse), (gz, gy, gx), (low, high) = codes, tables, g, ends
    nz, ny, nh = r.shape[0] - 2, r.shape[1] - 2, r.shape[2] - 2
    for k in prange(1, nz + 1):
        source = (2 * gz * low if k == 1 else 0.0) + (2 * gz * high if k == nz else 0.0)
        for j in range(1, ny + 1):
            side = 1 if (k + j) % 2 == 0 else -1
            for h in range(1, nh + 1):
                s = gz * (x[k - 1, j, h] + x[k + 1, j, h]) + gy * (x[k, j - 1, h] + x[k, j + 1, h])
                s += gx * (x[k, j, h] + x[k, j, h + side])
                y[k, j, h] = (source + s) * inverse[black[k, j, h]]
    layers = np.zeros(nz)
    for k in prange(1, nz + 1):
        source = (2 * gz * low if k == 1 else 0.0) + (2 * gz * high if k == nz else 0.0)
        total = 0.0
        for j in range(1, ny + 1):
            side = -1 if (k + j) % 2 == 0 else 1
            for h in range(1, nh + 1):
                c = red[k, j, h]
                s = gz * (y[k - 1, j, h] + y[k + 1, j, h]) + gy * (y[k, j - 1, h] + y[k, j + 1, h])
                s += gx * (y[k, j, h] + y[k, j, h + side])
                value = source + s - diagonal[c] * x[k, j, h] if c else 0.0
                r[k, j, h] = value
                total += value
        layers[k - 1] = total
    return layers


@njit(parallel=True, cache=True)
def dissipation(x, y, codes, g, ends):
    """Return the sum over faces of conductance times drop squared, by slices: an upper bound of the flux."""
    (red, black), (gz, gy, gx), (low, high) = codes, g, ends
    nz, ny, nh = x.shape[0] - 2, x.shape[1] - 2, x.shape[2] - 2
    sums = np.zeros(nz)
    for k in prange(1, nz + 1):
        total = 0.0
        for j in range(1, ny + 1):
            side = -1 if (k + j) % 2 == 0 else 1
            for h in range(1, nh + 1):
                if red[k, j, h]:  # faces between voxels: each has one red side
                    v = x[k, j, h]
                    for d in (-1, 1):
                        if black[k + d, j, h]:
                            total += gz * (v - y[k + d, j, h]) ** 2
                        if black[k, j + d, h]:
                            total += gy * (v - y[k, j + d, h]) ** 2
                    if black[k, j, h]:
                        total += gx * (v - y[k, j, h]) ** 2
                    if black[k, j, h + side]:
                        total += gx * (v - y[k, j, h + side]) ** 2
                for end, held in ((1, low), (nz, high)):
                    if k == end and red[k, j, h]:
                        total += 2 * gz * (x[k, j, h] - held) ** 2
                    if k == end and black[k, j, h]:
                        total += 2 * gz * (y[k, j, h] - held) ** 2
        sums[k - 1] = total
    return sums


@njit(parallel=True, cache=True)
def conducting(x, y, codes, first, g, ends, least):
    """Count, by slices, the voxels of one colour, potential `x`, that more than `least` flows through; `y` the other's.

    `codes` and `ends` are of this colour and of the other, of the first electrode and of the last;
    `first` is where rows of this colour start along x when z + y is even.
    """
    (code, other), (gz, gy, gx), (low, high) = codes, g, ends
    nz, ny, nh = x.shape[0] - 2, x.shape[1] - 2, x.shape[2] - 2
    counts = np.zeros(nz, np.int64)
    for k in prange(1, nz + 1):
        for j in range(1, ny + 1):
            side = -1 if (k + j + first) % 2 == 0 else 1
            for h in range(1, nh + 1):
                if code[k, j, h] == 0:
                    continue
                v = x[k, j, h]
                flow = 0.0  # half the sum over faces of what goes through them, in and out
                for d in (-1, 1):
                    if other[k + d, j, h]:
                        flow += gz * abs(y[k + d, j, h] - v)
                    if other[k, j + d, h]:
                        flow += gy * abs(y[k, j + d, h] - v)
                if other[k, j, h]:
                    flow += gx * abs(y[k, j, h] - v)
                if other[k, j, h + side]:
                    flow += gx * abs(y[k, j, h + side] - v)
                if k == 1:
                    flow += 2 * gz * abs(v - low)
                if k == nz:
                    flow += 2 * gz * abs(high - v)
                if flow > 2 * least:
                    counts[k - 1] += 1
    return counts
