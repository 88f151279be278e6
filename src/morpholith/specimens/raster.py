"""Bodies on a voxel grid: who owns each voxel, what lies near two bodies at once. Imported lazily (numba)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from .solids import Bodies

ACTIVE, BINDER = 1, 2


def owners(bodies: Bodies, shape, *, spacing, origin=(0.0, 0.0, 0.0)) -> np.ndarray:
    """Return which body each voxel centre belongs to.

    Parameters
    ----------
    bodies : Bodies
    shape : (int, int, int)
    spacing : (float, float, float)
        Voxel edges in um, (z, y, x).
    origin : (float, float, float)
        Where the centre of voxel (0, 0, 0) lies, um.

    Returns
    -------
    (z, y, x) int32 array
        Row of the body + 1; 0 outside all; -(row + 1) in its crack. Where bodies overlap, the deepest wins: the
        least r^2 (F^2 - 1) with r the radius of equal volume, which for spheres is the radical plane.
    """
    owner = np.zeros(shape, np.int32)
    power = np.zeros(shape, np.float32)
    _fill(owner, power, np.array(spacing, float), np.array(origin, float), *_arrays(bodies))
    return owner


def bridges(bodies: Bodies, owner: np.ndarray, *, spacing, within_um: float, origin=(0.0, 0.0, 0.0)) -> np.ndarray:
    """Return d1 + d2, the distances to the nearest two bodies, for voxels outside all.

    Parameters
    ----------
    bodies : Bodies
    owner : (z, y, x) int32 array
        From `owners`, on the same grid.
    spacing, origin : (float, float, float)
    within_um : float
        Larger sums are not looked for.

    Returns
    -------
    (z, y, x) float32 array
        um; infinite beyond `within_um`, where fewer than two bodies are near, and where a body or its crack is.
        The distance is (F - 1) / |grad F|: exact for spheres, to first order for other bodies.
    """
    first = np.full(owner.shape, np.inf, np.float32)
    second = np.full(owner.shape, np.inf, np.float32)
    grid = np.array(spacing, float), np.array(origin, float)
    _two_nearest(first, second, owner, float(within_um), *grid, *_arrays(bodies)[:8])
    first += second
    first[~(first <= within_um)] = np.inf
    return first


def clearance(points: np.ndarray, own: np.ndarray, start: np.ndarray, neighbour: np.ndarray, bodies: Bodies,
              *, within_um: float) -> np.ndarray:  # fmt: skip
    """Return the distance from points on the surfaces of bodies to the nearest other body.

    Parameters
    ----------
    points : (m, 3) array
    own : (m,) int array
        The body each point belongs to.
    start, neighbour : int arrays
        Candidates of body k are ``neighbour[start[k]:start[k + 1]]``.
    bodies : Bodies
    within_um : float
        Bodies further away may be passed over.

    Returns
    -------
    (m,) array
        um, as in `bridges`; -1 within another body; infinite where none is near.
    """
    found = np.full(len(points), np.inf)
    arrays = _arrays(bodies)
    bound = arrays[6].max(1) + within_um
    _clearance(found, points, own, start, neighbour, bound, *arrays[:6])
    return found


def shares(phase: np.ndarray, factor: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the shares of active material and binder in blocks of `factor`^3 voxels, each (z, y, x) float32."""
    shape = tuple(n // factor for n in phase.shape)
    active, binder = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    _shares(phase, factor, active, binder)
    return active, binder


def _arrays(bodies: Bodies) -> Any:  # numba's signatures are not known to type checkers
    """What the kernels read, contiguous and of one type each."""
    m = bodies.metric
    six = np.stack([m[:, 0, 0], m[:, 1, 1], m[:, 2, 2], m[:, 0, 1], m[:, 0, 2], m[:, 1, 2]], 1)
    stretch = bodies.rotation / bodies.semi[:, :, None]
    parts = (bodies.centre, six, stretch, bodies.rise, bodies.bump, bodies.lobe, bodies.reach,
             bodies.semi, bodies.crack, bodies.swing[:, 0])  # fmt: skip
    return tuple(np.ascontiguousarray(p, dtype=np.float64) for p in parts)


@njit(cache=True)
def _height(stretch, bump, lobe, z, y, x):
    """Bump of one body in the direction of the offset (z, y, x) from its centre."""
    q0 = stretch[0, 0] * z + stretch[0, 1] * y + stretch[0, 2] * x
    q1 = stretch[1, 0] * z + stretch[1, 1] * y + stretch[1, 2] * x
    q2 = stretch[2, 0] * z + stretch[2, 1] * y + stretch[2, 2] * x
    length = np.sqrt(q0 * q0 + q1 * q1 + q2 * q2)
    if length == 0:
        return 0.0
    h = 0.0
    for k in range(bump.size):
        t = (q0 * lobe[k, 0] + q1 * lobe[k, 1] + q2 * lobe[k, 2]) / length
        t2 = t * t
        if k < 2:
            p = 0.5 * (3 * t2 - 1)
        elif k < 5:
            p = 0.5 * t * (5 * t2 - 3)
        elif k < 8:
            p = 0.125 * ((35 * t2 - 30) * t2 + 3)
        elif k < 10:
            p = 0.125 * t * ((63 * t2 - 70) * t2 + 15)
        else:
            p = 0.0625 * (((231 * t2 - 315) * t2 + 105) * t2 - 5)
        h += bump[k] * p
    return h


@njit(cache=True)
def _distance(z, y, x, six, stretch, rise, bump, lobe):
    """(F - 1) / |grad F| of one body at an offset from its centre: negative inside."""
    zz, yy, xx, zy, zx, yx = six
    gz, gy, gx = zz * z + zy * y + zx * x, zy * z + yy * y + yx * x, zx * z + yx * y + xx * x
    f = np.sqrt(max(z * gz + y * gy + x * gx, 0.0))
    h = 1.0
    if rise > 0:
        h += _height(stretch, bump, lobe, z, y, x)
    return (f - h) * f / max(np.sqrt(gz * gz + gy * gy + gx * gx), 1e-12)


@njit(cache=True)
def _window(centre, half, spacing, origin, n):
    """First and one past the last index whose centres lie within `half` of `centre`."""
    low = int(np.ceil((centre - half - origin) / spacing))
    high = int(np.floor((centre + half - origin) / spacing)) + 1
    return max(low, 0), min(high, n)


@njit(cache=True)
def _fill(owner, power, spacing, origin, centre, six, stretch, rise, bump, lobe, reach, semi, crack, sink):
    nz, ny, nx = owner.shape
    for k in range(len(centre)):
        cz, cy, cx = centre[k]
        zz, yy, xx, zy, zx, yx = six[k]
        top = (1 + rise[k]) ** 2
        core = (1 + sink[k]) ** 2
        r2 = (semi[k, 0] * semi[k, 1] * semi[k, 2]) ** (2 / 3)
        rough = rise[k] > 0
        turn, amplitude, direction = stretch[k], bump[k], lobe[k]
        z0, z1 = _window(cz, reach[k, 0], spacing[0], origin[0], nz)
        y0, y1 = _window(cy, reach[k, 1], spacing[1], origin[1], ny)
        for iz in range(z0, z1):
            z = origin[0] + iz * spacing[0] - cz
            for iy in range(y0, y1):
                y = origin[1] + iy * spacing[1] - cy
                b = zx * z + yx * y
                c = zz * z * z + 2 * zy * z * y + yy * y * y
                disc = b * b - xx * (c - top)
                if disc < 0:
                    continue
                x0, x1 = _window(cx - b / xx, np.sqrt(disc) / xx, spacing[2], origin[2], nx)
                for ix in range(x0, x1):
                    x = origin[2] + ix * spacing[2] - cx
                    f2 = c + x * (2 * b + xx * x)
                    # deep inside no bump reaches, and none counts
                    if rough and f2 > core:
                        f2 /= (1 + _height(turn, amplitude, direction, z, y, x)) ** 2
                        if f2 > 1:
                            continue
                    depth = r2 * (f2 - 1)
                    if owner[iz, iy, ix] == 0 or depth < power[iz, iy, ix]:
                        owner[iz, iy, ix] = k + 1
                        power[iz, iy, ix] = depth
    for k in range(len(centre)):
        if crack[k, 7] > 0:
            _carve(owner, k, centre[k], crack[k], spacing, origin)


@njit(cache=True)
def _carve(owner, k, centre, crack, spacing, origin):
    nz, ny, nx = owner.shape
    middle = centre + crack[:3]
    n = crack[3:6]
    half = crack[6] + crack[7]
    z0, z1 = _window(middle[0], half, spacing[0], origin[0], nz)
    y0, y1 = _window(middle[1], half, spacing[1], origin[1], ny)
    x0, x1 = _window(middle[2], half, spacing[2], origin[2], nx)
    for iz in range(z0, z1):
        z = origin[0] + iz * spacing[0] - middle[0]
        for iy in range(y0, y1):
            y = origin[1] + iy * spacing[1] - middle[1]
            for ix in range(x0, x1):
                x = origin[2] + ix * spacing[2] - middle[2]
                along = n[0] * z + n[1] * y + n[2] * x
                across2 = z * z + y * y + x * x - along * along
                if abs(along) < 0.5 * crack[7] and across2 < crack[6] ** 2 and owner[iz, iy, ix] == k + 1:
                    owner[iz, iy, ix] = -(k + 1)


@njit(cache=True)
def _two_nearest(first, second, owner, within, spacing, origin, centre, six, stretch, rise, bump, lobe, reach, semi):
    nz, ny, nx = owner.shape
    for k in range(len(centre)):
        cz, cy, cx = centre[k]
        zz, yy, xx, zy, zx, yx = six[k]
        grown = 1 + rise[k] + within / min(semi[k, 0], semi[k, 1])
        scale = grown / (1 + rise[k])
        top = grown**2
        rough = rise[k] > 0
        # views are made once a body: in the innermost loop they would cost more than the arithmetic
        turn, amplitude, direction = stretch[k], bump[k], lobe[k]
        z0, z1 = _window(cz, scale * reach[k, 0], spacing[0], origin[0], nz)
        y0, y1 = _window(cy, scale * reach[k, 1], spacing[1], origin[1], ny)
        for iz in range(z0, z1):
            z = origin[0] + iz * spacing[0] - cz
            for iy in range(y0, y1):
                y = origin[1] + iy * spacing[1] - cy
                b = zx * z + yx * y
                az, ay = zz * z + zy * y, zy * z + yy * y
                c = az * z + ay * y
                disc = b * b - xx * (c - top)
                if disc < 0:
                    continue
                x0, x1 = _window(cx - b / xx, np.sqrt(disc) / xx, spacing[2], origin[2], nx)
                for ix in range(x0, x1):
                    if owner[iz, iy, ix] != 0:
                        continue
                    x = origin[2] + ix * spacing[2] - cx
                    gz, gy, gx = az + zx * x, ay + yx * x, b + xx * x
                    f2 = max(c + x * (2 * b + xx * x), 0.0)
                    if rough:
                        size = np.sqrt(gz * gz + gy * gy + gx * gx)
                        if (np.sqrt(f2) - 1 - rise[k]) * np.sqrt(f2) > within * size:
                            continue
                        h = 1 + _height(turn, amplitude, direction, z, y, x)
                        d = np.float32((np.sqrt(f2) - h) * np.sqrt(f2) / size)
                    else:
                        # (F - 1) F / |g| with one root less
                        d = np.float32((f2 - np.sqrt(f2)) / np.sqrt(gz * gz + gy * gy + gx * gx))
                    if d < first[iz, iy, ix]:
                        second[iz, iy, ix] = first[iz, iy, ix]
                        first[iz, iy, ix] = d
                    elif d < second[iz, iy, ix]:
                        second[iz, iy, ix] = d


@njit(cache=True)
def _clearance(found, points, own, start, neighbour, bound, centre, six, stretch, rise, bump, lobe):
    for i in range(len(points)):
        for m in range(start[own[i]], start[own[i] + 1]):
            j = neighbour[m]
            z, y, x = points[i, 0] - centre[j, 0], points[i, 1] - centre[j, 1], points[i, 2] - centre[j, 2]
            if z * z + y * y + x * x > bound[j] * bound[j]:
                continue
            d = _distance(z, y, x, six[j], stretch[j], rise[j], bump[j], lobe[j])
            if d < 0:
                found[i] = -1.0
                break
            found[i] = min(found[i], d)


@njit(cache=True)
def _shares(phase, s, active, binder):
    nz, ny, nx = active.shape
    part = np.float32(1 / s**3)
    for iz in range(nz * s):
        for iy in range(ny * s):
            row, a, b = phase[iz, iy], active[iz // s, iy // s], binder[iz // s, iy // s]
            for ix in range(nx):
                for k in range(s):
                    if row[ix * s + k] == ACTIVE:
                        a[ix] += part
                    elif row[ix * s + k] == BINDER:
                        b[ix] += part
