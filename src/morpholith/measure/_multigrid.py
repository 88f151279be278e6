"""Multigrid kernels for diffusion through the voxels of one phase, and the levels they work on.

The finest level stores one byte a voxel: how many neighbours of the phase it has along each axis, which fixes its
diagonal; values outside the phase are kept at zero, so the seven-point sum needs no branch. Coarser levels lump 2 x 2 x 2
voxels and store one conductance a face: the sum of the fine faces between two lumps, divided by the coarsening along
the axis, which is what a finite volume of that size would have in a homogeneous phase. Two lumps between which no fine
face conducts stay apart, however close they are.

All arrays carry one layer of padding, which stays zero. Kernels run in parallel over slices and give the same bits for
any number of threads: sums are gathered slice by slice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit, prange

FACES = 5  # faces along the axis of transport: up to two neighbours, and two for each half-cell to a boundary


@dataclass(frozen=True)
class Fine:
    """The finest level.

    Parameters
    ----------
    code : (nz + 2, ny + 2, nx + 2) uint8
        Neighbours by axis, ``9 z + 3 y + x``; 0 outside the phase. A half-cell to the boundary counts twice.
    conductance : tuple of float
        Of a face across z, y and x: area over distance.
    diagonal : (45,) float64
        By code.
    """

    code: np.ndarray
    conductance: tuple[float, float, float]
    diagonal: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape with padding."""
        return self.code.shape


@dataclass(frozen=True)
class Coarse:
    """A lumped level: conductances of the faces towards higher z, y and x, and one over the diagonal."""

    gz: np.ndarray
    gy: np.ndarray
    gx: np.ndarray
    boundary: np.ndarray
    inverse: np.ndarray
    factors: tuple[int, int, int]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape with padding."""
        return self.inverse.shape


def fine_level(mask: np.ndarray, conductance: tuple[float, float, float]) -> Fine:
    """Return the finest level of a boolean phase that conducts along axis 0, between the faces of the array."""
    code = np.zeros(tuple(n + 2 for n in mask.shape), np.uint8)
    _codes(np.ascontiguousarray(mask), code)
    z, y, x = np.meshgrid(np.arange(FACES), np.arange(3), np.arange(3), indexing="ij")
    gz, gy, gx = conductance
    return Fine(code, conductance, (z * gz + y * gy + x * gx).ravel())


@njit(parallel=True, cache=True)
def _codes(mask, code):
    nz, ny, nx = mask.shape
    for z in prange(nz):
        for y in range(ny):
            for x in range(nx):
                if not mask[z, y, x]:
                    continue
                cz = (2 if z == 0 else int(mask[z - 1, y, x])) + (2 if z == nz - 1 else int(mask[z + 1, y, x]))
                cy = (int(mask[z, y - 1, x]) if y > 0 else 0) + (int(mask[z, y + 1, x]) if y < ny - 1 else 0)
                cx = (int(mask[z, y, x - 1]) if x > 0 else 0) + (int(mask[z, y, x + 1]) if x < nx - 1 else 0)
                code[z + 1, y + 1, x + 1] = 9 * cz + 3 * cy + cx


# --- the hierarchy ---------------------------------------------------------------------------------------


def hierarchy(fine: Fine, *, smallest: int = 400) -> list[Coarse]:
    """Return the coarse levels, finest first, down to `smallest` lumps.

    Only axes along which voxels conduct best are lumped, so that flat voxels become cubes first.
    """
    levels: list[Coarse] = []
    shape = np.array(fine.shape) - 2
    area = np.prod(fine.conductance) ** (2 / 3)
    size = np.sqrt(area / np.array(fine.conductance))
    while np.prod(shape) > smallest and shape.max() > 2:
        flat = size <= 1.5 * size[shape > 2].min()
        factors = np.where(flat & (shape > 2), 2, 1)
        above = levels[-1] if levels else fine
        levels.append(_lump(above, tuple(int(f) for f in factors)))
        size = size * factors
        shape = -(-shape // factors)
    return levels


def _lump(level: Fine | Coarse, factors: tuple[int, int, int]) -> Coarse:
    inner = [-(-(n - 2) // f) for n, f in zip(level.shape, factors, strict=True)]
    arrays = [np.zeros([n + 2 for n in inner], np.float32) for _ in range(5)]
    if isinstance(level, Fine):
        _lump_fine(level.code, *level.conductance, *factors, *arrays[:4])
    else:
        _lump_coarse(level.gz, level.gy, level.gx, level.boundary, *factors, *arrays[:4])
    _invert(*arrays)
    return Coarse(*arrays, factors=factors)


@njit(parallel=True, cache=True)
def _lump_fine(code, gz, gy, gx, fz, fy, fx, cz, cy, cx, cb):
    nz, ny, nx = code.shape[0] - 2, code.shape[1] - 2, code.shape[2] - 2
    for k in prange(1, cz.shape[0] - 1):
        for z in range((k - 1) * fz + 1, min(k * fz, nz) + 1):
            for y in range(1, ny + 1):
                j = (y - 1) // fy + 1
                for x in range(1, nx + 1):
                    if code[z, y, x] == 0:
                        continue
                    i = (x - 1) // fx + 1
                    if z % fz == 0 and code[z + 1, y, x]:
                        cz[k, j, i] += gz / fz
                    if y % fy == 0 and code[z, y + 1, x]:
                        cy[k, j, i] += gy / fy
                    if x % fx == 0 and code[z, y, x + 1]:
                        cx[k, j, i] += gx / fx
                    if z == 1:
                        cb[k, j, i] += 2 * gz / fz
                    if z == nz:
                        cb[k, j, i] += 2 * gz / fz


@njit(parallel=True, cache=True)
def _lump_coarse(gz, gy, gx, gb, fz, fy, fx, cz, cy, cx, cb):
    nz, ny, nx = gz.shape[0] - 2, gz.shape[1] - 2, gz.shape[2] - 2
    for k in prange(1, cz.shape[0] - 1):
        for z in range((k - 1) * fz + 1, min(k * fz, nz) + 1):
            for y in range(1, ny + 1):
                j = (y - 1) // fy + 1
                for x in range(1, nx + 1):
                    i = (x - 1) // fx + 1
                    if z % fz == 0:
                        cz[k, j, i] += gz[z, y, x] / fz
                    if y % fy == 0:
                        cy[k, j, i] += gy[z, y, x] / fy
                    if x % fx == 0:
                        cx[k, j, i] += gx[z, y, x] / fx
                    cb[k, j, i] += gb[z, y, x] / fz


@njit(parallel=True, cache=True)
def _invert(gz, gy, gx, gb, inverse):
    for z in prange(1, gz.shape[0] - 1):
        for y in range(1, gz.shape[1] - 1):
            for x in range(1, gz.shape[2] - 1):
                d = gz[z, y, x] + gz[z - 1, y, x] + gy[z, y, x] + gy[z, y - 1, x] + gx[z, y, x] + gx[z, y, x - 1]
                d += gb[z, y, x]
                if d > 0:
                    inverse[z, y, x] = 1 / d


# --- kernels of the finest level -------------------------------------------------------------------------


@njit(parallel=True, cache=True, fastmath={"contract", "reassoc", "nsz"})
def smooth_fine(x, b, code, inverse, gz, gy, gx, colour):
    """Relax the voxels of one colour of the chequerboard (Gauss-Seidel)."""
    for k in prange(1, x.shape[0] - 1):
        for j in range(1, x.shape[1] - 1):
            for i in range(1 + (k + j + colour) % 2, x.shape[2] - 1, 2):
                c = code[k, j, i]
                if c:
                    s = gz * (x[k - 1, j, i] + x[k + 1, j, i]) + gy * (x[k, j - 1, i] + x[k, j + 1, i])
                    s += gx * (x[k, j, i - 1] + x[k, j, i + 1])
                    x[k, j, i] = (b[k, j, i] + s) * inverse[c]


@njit(parallel=True, cache=True, fastmath={"contract", "reassoc", "nsz"})
def first_smooth_fine(x, b, code, inverse, gz, gy, gx):
    """Relax both colours once, starting from zero: the first colour sees zeros only."""
    for k in prange(1, x.shape[0] - 1):
        for j in range(1, x.shape[1] - 1):
            for i in range(1, x.shape[2] - 1):
                x[k, j, i] = b[k, j, i] * inverse[code[k, j, i]] if (k + j + i) % 2 == 1 else 0.0
    for k in prange(1, x.shape[0] - 1):
        for j in range(1, x.shape[1] - 1):
            for i in range(1 + (k + j + 1) % 2, x.shape[2] - 1, 2):
                c = code[k, j, i]
                if c:
                    s = gz * (x[k - 1, j, i] + x[k + 1, j, i]) + gy * (x[k, j - 1, i] + x[k, j + 1, i])
                    s += gx * (x[k, j, i - 1] + x[k, j, i + 1])
                    x[k, j, i] = (b[k, j, i] + s) * inverse[c]


@njit(parallel=True, cache=True, fastmath={"contract", "reassoc", "nsz"})
def restrict_fine(x, b, code, diagonal, gz, gy, gx, fz, fy, fx, out):
    """Sum the residual over lumps."""
    nz, ny, nx = x.shape[0] - 2, x.shape[1] - 2, x.shape[2] - 2
    for kk in prange(1, out.shape[0] - 1):
        out[kk] = 0
        for k in range((kk - 1) * fz + 1, min(kk * fz, nz) + 1):
            for j in range(1, ny + 1):
                jj = (j - 1) // fy + 1
                for i in range(1, nx + 1):
                    c = code[k, j, i]
                    if c:
                        s = gz * (x[k - 1, j, i] + x[k + 1, j, i]) + gy * (x[k, j - 1, i] + x[k, j + 1, i])
                        s += gx * (x[k, j, i - 1] + x[k, j, i + 1])
                        out[kk, jj, (i - 1) // fx + 1] += b[k, j, i] + s - diagonal[c] * x[k, j, i]


@njit(parallel=True, cache=True)
def prolong_fine(x, code, coarse, fz, fy, fx):
    """Add the correction of each lump to its voxels."""
    for k in prange(1, x.shape[0] - 1):
        kk = (k - 1) // fz + 1
        for j in range(1, x.shape[1] - 1):
            jj = (j - 1) // fy + 1
            for i in range(1, x.shape[2] - 1):
                if code[k, j, i]:
                    x[k, j, i] += coarse[kk, jj, (i - 1) // fx + 1]


@njit(parallel=True, cache=True, fastmath={"contract", "reassoc", "nsz"})
def apply_fine(p, code, diagonal, gz, gy, gx, out):
    """Write A p to `out` and return p . A p, summed in double precision."""
    sums = np.zeros(p.shape[0])
    for k in prange(1, p.shape[0] - 1):
        total = 0.0
        for j in range(1, p.shape[1] - 1):
            for i in range(1, p.shape[2] - 1):
                c = code[k, j, i]
                if c:
                    s = gz * (p[k - 1, j, i] + p[k + 1, j, i]) + gy * (p[k, j - 1, i] + p[k, j + 1, i])
                    s += gx * (p[k, j, i - 1] + p[k, j, i + 1])
                    value = diagonal[c] * p[k, j, i] - s
                    out[k, j, i] = value
                    total += float(p[k, j, i]) * float(value)
        sums[k] = total
    return sums.sum()


@njit(parallel=True, cache=True)
def step(x, r, p, q, alpha):
    """Move x along p and r against q = A p; return r . r of the new residual."""
    sums = np.zeros(x.shape[0])
    for k in prange(1, x.shape[0] - 1):
        total = 0.0
        for j in range(1, x.shape[1] - 1):
            for i in range(1, x.shape[2] - 1):
                x[k, j, i] += alpha * p[k, j, i]
                value = r[k, j, i] - alpha * q[k, j, i]
                r[k, j, i] = value
                total += value * value
        sums[k] = total
    return sums.sum()


@njit(parallel=True, cache=True)
def dot(a, b):
    """Return a . b, summed in double precision."""
    sums = np.zeros(a.shape[0])
    for k in prange(1, a.shape[0] - 1):
        total = 0.0
        for j in range(1, a.shape[1] - 1):
            for i in range(1, a.shape[2] - 1):
                total += float(a[k, j, i]) * float(b[k, j, i])
        sums[k] = total
    return sums.sum()


@njit(parallel=True, cache=True)
def combine(p, z, beta):
    """Make z + beta p the new p."""
    for k in prange(1, p.shape[0] - 1):
        for j in range(1, p.shape[1] - 1):
            for i in range(1, p.shape[2] - 1):
                p[k, j, i] = z[k, j, i] + beta * p[k, j, i]


@njit(parallel=True, cache=True)
def true_residual(x, code, diagonal, gz, gy, gx, low, high, out):
    """Write b - A x, in double precision, to `out`; the faces are held at `low` and `high`. Return its square."""
    nz = x.shape[0] - 2
    sums = np.zeros(x.shape[0])
    for k in prange(1, nz + 1):
        total = 0.0
        source = (2 * gz * low if k == 1 else 0.0) + (2 * gz * high if k == nz else 0.0)
        for j in range(1, x.shape[1] - 1):
            for i in range(1, x.shape[2] - 1):
                c = code[k, j, i]
                if c:
                    s = gz * (x[k - 1, j, i] + x[k + 1, j, i]) + gy * (x[k, j - 1, i] + x[k, j + 1, i])
                    s += gx * (x[k, j, i - 1] + x[k, j, i + 1])
                    value = source + s - diagonal[c] * x[k, j, i]
                    out[k, j, i] = value
                    total += value * value
        sums[k] = total
    return sums.sum()


@njit(parallel=True, cache=True)
def layer_fluxes(x, code, gz, low, high):
    """Return the flux through each plane between layers of axis 0, the two faces of the array included."""
    nz = x.shape[0] - 2
    flux = np.zeros(nz + 1)
    for k in prange(nz + 1):
        total = 0.0
        for j in range(1, x.shape[1] - 1):
            for i in range(1, x.shape[2] - 1):
                if k == 0:
                    if code[1, j, i]:
                        total += 2 * gz * (x[1, j, i] - low)
                elif k == nz:
                    if code[nz, j, i]:
                        total += 2 * gz * (high - x[nz, j, i])
                elif code[k, j, i] and code[k + 1, j, i]:
                    total += gz * (x[k + 1, j, i] - x[k, j, i])
        flux[k] = total
    return flux


@njit(parallel=True, cache=True)
def dissipation(x, code, gz, gy, gx, low, high):
    """Return the sum over faces of conductance times drop squared: an upper bound of the flux per unit drop squared."""
    nz = x.shape[0] - 2
    sums = np.zeros(nz + 2)
    for k in prange(1, nz + 1):
        total = 0.0
        for j in range(1, x.shape[1] - 1):
            for i in range(1, x.shape[2] - 1):
                if code[k, j, i] == 0:
                    continue
                v = x[k, j, i]
                if k == 1:
                    total += 2 * gz * (v - low) ** 2
                if k == nz:
                    total += 2 * gz * (v - high) ** 2
                if code[k + 1, j, i]:
                    total += gz * (v - x[k + 1, j, i]) ** 2
                if code[k, j + 1, i]:
                    total += gy * (v - x[k, j + 1, i]) ** 2
                if code[k, j, i + 1]:
                    total += gx * (v - x[k, j, i + 1]) ** 2
        sums[k] = total
    return sums.sum()


@njit(parallel=True, cache=True)
def conducting(x, code, gz, gy, gx, low, high, least):
    """Count the voxels through which more than `least` flows."""
    nz = x.shape[0] - 2
    counts = np.zeros(nz + 2, np.int64)
    for k in prange(1, nz + 1):
        for j in range(1, x.shape[1] - 1):
            for i in range(1, x.shape[2] - 1):
                if code[k, j, i] == 0:
                    continue
                v = x[k, j, i]
                flow = 0.0  # half the sum over faces of what goes through them, in and out
                for d in (-1, 1):
                    if code[k + d, j, i]:
                        flow += gz * abs(x[k + d, j, i] - v)
                    if code[k, j + d, i]:
                        flow += gy * abs(x[k, j + d, i] - v)
                    if code[k, j, i + d]:
                        flow += gx * abs(x[k, j, i + d] - v)
                if k == 1:
                    flow += 2 * gz * abs(v - low)
                if k == nz:
                    flow += 2 * gz * abs(high - v)
                if flow > 2 * least:
                    counts[k] += 1
    return counts.sum()


# --- kernels of the coarse levels ------------------------------------------------------------------------


@njit(parallel=True, cache=True, fastmath={"contract", "reassoc", "nsz"})
def smooth_coarse(x, b, gz, gy, gx, inverse, colour):
    """Relax the lumps of one colour of the chequerboard."""
    for k in prange(1, x.shape[0] - 1):
        for j in range(1, x.shape[1] - 1):
            for i in range(1 + (k + j + colour) % 2, x.shape[2] - 1, 2):
                s = gz[k - 1, j, i] * x[k - 1, j, i] + gz[k, j, i] * x[k + 1, j, i]
                s += gy[k, j - 1, i] * x[k, j - 1, i] + gy[k, j, i] * x[k, j + 1, i]
                s += gx[k, j, i - 1] * x[k, j, i - 1] + gx[k, j, i] * x[k, j, i + 1]
                x[k, j, i] = (b[k, j, i] + s) * inverse[k, j, i]


@njit(parallel=True, cache=True, fastmath={"contract", "reassoc", "nsz"})
def residual_coarse(x, b, gz, gy, gx, inverse, out):
    """Write b - A x of a lumped level."""
    for k in prange(1, x.shape[0] - 1):
        for j in range(1, x.shape[1] - 1):
            for i in range(1, x.shape[2] - 1):
                if inverse[k, j, i] > 0:
                    s = gz[k - 1, j, i] * x[k - 1, j, i] + gz[k, j, i] * x[k + 1, j, i]
                    s += gy[k, j - 1, i] * x[k, j - 1, i] + gy[k, j, i] * x[k, j + 1, i]
                    s += gx[k, j, i - 1] * x[k, j, i - 1] + gx[k, j, i] * x[k, j, i + 1]
                    out[k, j, i] = b[k, j, i] + s - x[k, j, i] / inverse[k, j, i]


@njit(parallel=True, cache=True)
def restrict_coarse(r, fz, fy, fx, out):
    """Sum a residual over lumps of lumps."""
    nz, ny, nx = r.shape[0] - 2, r.shape[1] - 2, r.shape[2] - 2
    for kk in prange(1, out.shape[0] - 1):
        out[kk] = 0
        for k in range((kk - 1) * fz + 1, min(kk * fz, nz) + 1):
            for j in range(1, ny + 1):
                for i in range(1, nx + 1):
                    out[kk, (j - 1) // fy + 1, (i - 1) // fx + 1] += r[k, j, i]


@njit(parallel=True, cache=True)
def prolong_coarse(x, inverse, coarse, fz, fy, fx):
    """Add the correction of each lump to what it was lumped from."""
    for k in prange(1, x.shape[0] - 1):
        for j in range(1, x.shape[1] - 1):
            for i in range(1, x.shape[2] - 1):
                if inverse[k, j, i] > 0:
                    x[k, j, i] += coarse[(k - 1) // fz + 1, (j - 1) // fy + 1, (i - 1) // fx + 1]
