"""Areas from counted crossings: the Cauchy-Crofton relation on an anisotropic voxel grid.

A surface of area S per volume V is met by straight lines of direction u on average I(u) times a length, and
S / V = 2 <I>, the mean over all directions (Crofton). On a grid the lines through voxel centres along the 13
neighbour steps d are at hand, I_d = crossings / (|d| * voxels). Three things spoil the plain sum, and are corrected:

* 13 directions are not all directions. The weights minimise the error for a plane of random direction, in least
  squares, which on cubic voxels are nearly the solid angles (Voronoi cells) of the directions and on long
  voxels do better. A plane of normal n is still seen as q(n) = 2 sum w_d |n.d| / |d| instead of 1, from 0.92 to
  1.02 on cubic voxels. The mean of q over the surface, with n from the first moment of the phase in a small
  Gaussian window, divides the sum.
* A chord shorter than a step may fall between two voxels. If chord lengths near zero have the density
  p0 + a c, of E0 missed, E1 one-voxel and E2 two-voxel chords, E0 = (5 E1 - 2 E2) / 6: a sixth of E1 on smooth
  surfaces (p0 = 0, curvature), half of it at sharp edges (a = 0).
* The frame is no surface: only steps between two voxels of the volume count.

Counts and weights are integers (weights in units of 2^-20), so sums over blocks, threads and orders are equal to
the bit.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numba import njit, prange

STEPS = np.array(
    [(z, y, x) for z in (-1, 0, 1) for y in (-1, 0, 1) for x in (-1, 0, 1) if (z, y, x) > (0, 0, 0)], np.int64
)
ONE = 1 << 20
WINDOW = 1.2  # SD of the window for normals, in voxels

# columns of a tally: voxels, first and second moments, crossings and short chords (weighted), orientation
COUNT, SZ, SY, SX, SZZ, SYY, SXX, SZY, SZX, SYX, CROSS, SINGLE, DOUBLE, PULL, PULL_Q = range(15)
BOX = 15  # six more: first and last index along z, y, x
N_TALLY = 21


@lru_cache(maxsize=32)
def directions(spacing: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit vectors (13, 3), weights summing to 1, and weights per step length in units of 2^-20."""
    from scipy.optimize import nnls

    steps = STEPS * np.array(spacing)
    length = np.linalg.norm(steps, axis=1)
    unit = steps / length[:, None]
    n = 8000  # Fibonacci points: an even cover of the half sphere
    k = np.arange(n) + 0.5
    z, turn = k / n, k * math.pi * (1 + math.sqrt(5))
    normals = np.column_stack([z, np.sqrt(1 - z * z) * np.cos(turn), np.sqrt(1 - z * z) * np.sin(turn)])
    seen = 2 * np.abs(normals @ unit.T) / math.sqrt(n)
    firm = 1e3
    system = np.vstack([seen, np.full(len(unit), firm)])
    weights, _ = nnls(system, np.append(np.full(n, 1 / math.sqrt(n)), firm))
    # the grid has as many symmetries as its voxel; the points have not
    for one in np.unique(np.abs(STEPS), axis=0):
        alike = (np.abs(STEPS) == one).all(axis=1)
        weights[alike] = weights[alike].mean()
    weights /= weights.sum()
    shortest = min(spacing)
    return unit, weights, np.rint(ONE * weights * shortest / length).astype(np.int64)


@lru_cache(maxsize=32)
def window(spacing: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Offsets (m, 3) of the window for normals and their pulls, weight times offset over edge (m, 3)."""
    half = math.ceil(2 * WINDOW)
    offsets = np.stack(np.meshgrid(*[np.arange(-half, half + 1)] * 3, indexing="ij"), -1).reshape(-1, 3)
    reach = (offsets**2).sum(axis=1) / WINDOW**2
    offsets = offsets[(reach > 0) & (reach < 2.2**2)]
    # a Gaussian of WINDOW voxels along every axis has the first moment s^2 n of a plane: divide by s^2
    pulls = np.exp(-0.5 * (offsets**2).sum(axis=1) / WINDOW**2)[:, None] * offsets / np.array(spacing)
    return np.ascontiguousarray(offsets, np.int64), np.ascontiguousarray(pulls)


def area_of(cross, single, double, pull, pull_q, *, spacing):
    """Area in um2 from the sums of a tally (arrays or numbers); 0 where nothing was crossed."""
    cross, single, double, pull, pull_q = (np.asarray(a, float) for a in (cross, single, double, pull, pull_q))
    ends = np.clip(double, single, 2 * single)  # between sharp edges and smooth surfaces
    missed = (5 * single - 2 * ends) / 6
    q = np.where(pull > 0, pull_q / np.where(pull > 0, pull, 1), 1.0)
    q = np.where(q > 0, q, 1.0) / _calibration(spacing)
    volume = spacing[0] * spacing[1] * spacing[2]
    return volume / min(spacing) / ONE * (cross + 2 * missed) / q  # counted in halves


@lru_cache(maxsize=32)
def _calibration(spacing):
    """Mean of q over a large digitised ball, whose true mean is 1: normals lean to the grid a little."""
    s = np.array(spacing)
    radius = 20 * float(np.prod(s)) ** (1 / 3)
    half = np.ceil(radius / s).astype(int) + 3
    axes = [(np.arange(-h, h + 1) + shift) * edge for h, shift, edge in zip(half, (0.31, 0.47, 0.13), s, strict=True)]
    ball = (axes[0][:, None, None] ** 2 + axes[1][:, None] ** 2 + axes[2] ** 2 <= radius**2).astype(np.uint8)
    sums = tally_phase_of(ball, np.array(ball.shape), np.ones(3, np.int64), spacing)[0, 0, 0]
    return sums[4] / sums[3]


def tally_phase_of(mask, cell, cells, spacing, start=(0, 0, 0)):
    """`tally_phase` with the tables of this spacing."""
    unit, weights, rates = directions(spacing)
    offsets, pulls = window(spacing)
    scale = ONE / np.abs(pulls).sum()
    start = np.array(start, np.int64)
    return tally_phase(mask, start, cell, cells, STEPS, rates, offsets, pulls, unit, weights, scale)


def response(normals: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    """How much of a plane with this normal the plain sum sees: q(n), (n,)."""
    unit, weights, _ = directions(spacing)
    return 2 * np.abs(normals @ unit.T) @ weights


@njit(cache=True)
def _at(labels, z, y, x):
    """Label at a place, -1 outside of the volume."""
    if 0 <= z < labels.shape[0] and 0 <= y < labels.shape[1] and 0 <= x < labels.shape[2]:
        return np.int64(labels[z, y, x])
    return np.int64(-1)


@njit(cache=True)
def _inside(labels, z, y, x, k):
    """Whether all 26 neighbours exist and have the same label."""
    if z == 0 or y == 0 or x == 0 or z == labels.shape[0] - 1 or y == labels.shape[1] - 1:
        return False
    if x == labels.shape[2] - 1:
        return False
    for i in range(z - 1, z + 2):
        for j in range(y - 1, y + 2):
            if labels[i, j, x - 1] != k or labels[i, j, x] != k or labels[i, j, x + 1] != k:
                return False
    return True


@njit(cache=True)
def _on_a_face(labels, z, y, x, k):
    """Whether one of the six neighbours has another label."""
    for a in range(3):
        for s in range(-1, 2, 2):
            other = _at(labels, z + s * (a == 0), y + s * (a == 1), x + s * (a == 2))
            if other >= 0 and other != k:
                return True
    return False


@njit(cache=True)
def _drawn(z, y, x):
    """One voxel in four, scattered: enough to know how a whole interface is oriented."""
    return ((z * 73856093) ^ (y * 19349663) ^ (x * 83492791)) >> 4 & 3 == 0


@njit(cache=True)
def _orientation(labels, z, y, x, k, offsets, pulls, unit, weights):
    """Strength of the local normal and its response q; places beyond the frame repeat the outermost voxel."""
    gz, gy, gx = 0.0, 0.0, 0.0
    nz, ny, nx = labels.shape
    for m in range(len(offsets)):
        i = min(max(z + offsets[m, 0], 0), nz - 1)
        j = min(max(y + offsets[m, 1], 0), ny - 1)
        l = min(max(x + offsets[m, 2], 0), nx - 1)  # noqa: E741
        if labels[i, j, l] == k:
            gz, gy, gx = gz + pulls[m, 0], gy + pulls[m, 1], gx + pulls[m, 2]
    strength = math.sqrt(gz * gz + gy * gy + gx * gx)
    if strength < 1e-9:
        return 0.0, 0.0
    q = 0.0
    for d in range(len(unit)):
        q += 2 * weights[d] * abs(gz * unit[d, 0] + gy * unit[d, 1] + gx * unit[d, 2])
    return strength, q


@njit(cache=True)
def _chords(labels, z, y, x, k, step, rate, phase, row):
    """Add the crossings and short chords at one voxel along one step to `row`, in halves of `rate`.

    A crossing of an object counts once, on its own side. One of a phase counts half from either side, and whole
    from one where the step on the other side leaves the volume: each voxel speaks for both directions of a line.
    """
    dz, dy, dx = step[0], step[1], step[2]
    after, before = _at(labels, z + dz, y + dy, x + dx), _at(labels, z - dz, y - dy, x - dx)
    ahead, behind = after >= 0 and after != k, before >= 0 and before != k
    share = rate if phase and after >= 0 and before >= 0 else 2 * rate
    if ahead:
        row[CROSS] += share
    if behind:
        row[CROSS] += share
    if ahead and behind:
        row[SINGLE] += 2 * rate
    if behind and after == k:
        beyond = _at(labels, z + 2 * dz, y + 2 * dy, x + 2 * dx)
        if beyond >= 0 and beyond != k:
            row[DOUBLE] += 2 * rate


@njit(cache=True, parallel=True)
def tally_labels(labels, n, slabs, first, last, steps, rates, offsets, pulls, unit, weights, scale):
    """Sums of each label 1..n over the voxels first <= z < last: an int64 array (n + 1, N_TALLY)."""
    parts = np.zeros((slabs, n + 1, N_TALLY), np.int64)
    parts[:, :, BOX] = labels.shape[0]
    parts[:, :, BOX + 2] = labels.shape[1]
    parts[:, :, BOX + 4] = labels.shape[2]
    parts[:, :, BOX + 1] = -1
    parts[:, :, BOX + 3] = -1
    parts[:, :, BOX + 5] = -1
    for s in prange(slabs):
        low = first + (last - first) * s // slabs
        high = first + (last - first) * (s + 1) // slabs
        for z in range(low, high):
            for y in range(labels.shape[1]):
                for x in range(labels.shape[2]):
                    k = np.int64(labels[z, y, x])
                    if k == 0:
                        continue
                    row = parts[s, k]
                    _moments(row, z, y, x)
                    if _inside(labels, z, y, x, k):
                        continue
                    for d in range(len(steps)):
                        _chords(labels, z, y, x, k, steps[d], rates[d], False, row)
                    if _on_a_face(labels, z, y, x, k):
                        pull, q = _orientation(labels, z, y, x, k, offsets, pulls, unit, weights)
                        row[PULL] += np.int64(np.rint(pull * scale))
                        row[PULL_Q] += np.int64(np.rint(q * scale))
    return _merge(parts)


@njit(cache=True)
def _moments(row, z, y, x):
    row[COUNT] += 1
    row[SZ] += z
    row[SY] += y
    row[SX] += x
    row[SZZ] += z * z
    row[SYY] += y * y
    row[SXX] += x * x
    row[SZY] += z * y
    row[SZX] += z * x
    row[SYX] += y * x
    row[BOX] = min(row[BOX], z)
    row[BOX + 1] = max(row[BOX + 1], z)
    row[BOX + 2] = min(row[BOX + 2], y)
    row[BOX + 3] = max(row[BOX + 3], y)
    row[BOX + 4] = min(row[BOX + 4], x)
    row[BOX + 5] = max(row[BOX + 5], x)


@njit(cache=True)
def _merge(parts):
    out = parts[0].copy()
    for s in range(1, len(parts)):
        for k in range(parts.shape[1]):
            for c in range(BOX):
                out[k, c] += parts[s, k, c]
            for c in range(BOX, N_TALLY, 2):
                out[k, c] = min(out[k, c], parts[s, k, c])
                out[k, c + 1] = max(out[k, c + 1], parts[s, k, c + 1])
    return out


@njit(cache=True, parallel=True)
def tally_phase(mask, start, cell, cells, steps, rates, offsets, pulls, unit, weights, scale):
    """Sums of one interface in each cell of a coarse grid: int64 (cells z, y, x, 6): CROSS.. and the voxels."""
    out = np.zeros((cells[0], cells[1], cells[2], 6), np.int64)
    for i in prange(cells[0]):
        row = np.zeros(N_TALLY, np.int64)
        for z in range(i * cell[0], min((i + 1) * cell[0], mask.shape[0])):
            for y in range(mask.shape[1]):
                for x in range(mask.shape[2]):
                    at = out[i, y // cell[1], x // cell[2]]
                    at[5] += 1
                    k = np.int64(mask[z, y, x])
                    if _inside(mask, z, y, x, k):
                        continue
                    for c in range(CROSS, PULL_Q + 1):
                        row[c] = 0
                    for d in range(len(steps)):
                        _chords(mask, z, y, x, k, steps[d], rates[d], True, row)
                    if _drawn(z + start[0], y + start[1], x + start[2]) and _on_a_face(mask, z, y, x, k):
                        pull, q = _orientation(mask, z, y, x, k, offsets, pulls, unit, weights)
                        row[PULL], row[PULL_Q] = np.int64(np.rint(pull * scale)), np.int64(np.rint(q * scale))
                    for c in range(5):
                        at[c] += row[CROSS + c]
    return out
