"""The ray caster behind `render3d`. Imported lazily (numba)."""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from scipy import ndimage as ndi

HALF = 128.0  # of the smoothed indicator, 0 .. 256
LAMP = (-0.45, 0.62, 0.64)  # towards the lamp: right, up, to the viewer


def cast(labels, voxel, seen, *, palette, background, coarse: int, walls: bool = True) -> np.ndarray:
    """Return the picture (rows, columns, 3) as float64 in 0 .. 1; arguments as `render3d.render` prepares them."""
    soft = np.empty(labels.shape, np.uint8)
    _smooth(labels, soft)
    cells, cell = _coarse(labels, voxel, seen.corner, coarse)
    towards = -seen.into
    lamp = np.array(LAMP) @ np.stack([seen.right, seen.up, towards])
    light = (palette, lamp / np.linalg.norm(lamp), towards)
    scene = (labels, soft, cells, voxel, cell, seen.size_um, seen.corner, *light, walls)
    frame = (seen.right * seen.pixel_um, -seen.up * seen.pixel_um, seen.into)
    rows, columns = seen.shape
    reach = np.linalg.norm(seen.size_um)
    start = 0.5 * seen.size_um - seen.into * reach - 0.5 * (columns - 1) * frame[0] - 0.5 * (rows - 1) * frame[1]
    picture, label, depth = np.empty((rows, columns, 3)), np.empty((rows, columns), np.int32), np.empty((rows, columns))
    _first(picture, label, depth, start, *frame, background, scene)
    jump = ndi.maximum_filter(depth, 3) - ndi.minimum_filter(depth, 3) > 6 * seen.pixel_um
    edge = (ndi.maximum_filter(label, 3) != ndi.minimum_filter(label, 3)) | jump
    _again(picture, edge, start, *frame, background, scene)
    return picture


def _coarse(labels, voxel, corner, cells: int):
    """Share of material in cells of a coarse grid of what is shown, and their edges in um."""
    step = np.maximum(np.round(np.array(labels.shape) * voxel / (max(np.array(labels.shape) * voxel) / cells)), 1)
    shape = np.minimum(step.astype(int), labels.shape)
    edges = [np.linspace(0, n, m + 1).astype(int) for n, m in zip(labels.shape, shape, strict=True)]
    total = (labels > 0).astype(np.float32)
    if (corner[1] > corner[0]).all():
        low, high = (np.round(c / voxel).astype(int) for c in corner)
        total[low[0] : high[0], low[1] : high[1], low[2] : high[2]] = 0
    for axis, edge in enumerate(edges):
        total = np.add.reduceat(total, edge[:-1], axis=axis)
    counts = [np.diff(e).astype(np.float32) for e in edges]
    total /= counts[0][:, None, None] * counts[1][:, None] * counts[2]
    smooth = ndi.gaussian_filter(total, 0.7, mode="constant")
    return np.ascontiguousarray(smooth), np.array(labels.shape) * voxel / shape


@njit(cache=True, parallel=True)
def _smooth(labels, soft):
    """Binomial mean of the indicator over 3 x 3 x 3 voxels, in 256ths but 255 at most; the faces are mirrors."""
    nz, ny, nx = labels.shape
    for layer in prange(nz):
        iz = np.int64(layer)
        column = np.zeros(nx, np.int32)
        for iy in range(ny):
            column[:] = 0
            for dz in range(-1, 2):
                for dy in range(-1, 2):
                    row = labels[min(max(iz + dz, 0), nz - 1), min(max(iy + dy, 0), ny - 1)]
                    weight = (2 - abs(dz)) * (2 - abs(dy))
                    for ix in range(nx):
                        column[ix] += weight * (row[ix] > 0)
            for ix in range(nx):
                mean = 4 * (column[max(ix - 1, 0)] + 2 * column[ix] + column[min(ix + 1, nx - 1)])
                soft[iz, iy, ix] = min(mean, 255)


@njit(cache=True, parallel=True)
def _first(picture, label, depth, start, across, down, into, background, scene):
    rows, columns = label.shape
    for row in prange(rows):
        for column in range(columns):
            eye = start + column * across + row * down
            r, g, b, found, t = _ray(eye, into, background, scene)
            picture[row, column, 0], picture[row, column, 1], picture[row, column, 2] = r, g, b
            label[row, column], depth[row, column] = found, t


@njit(cache=True, parallel=True)
def _again(picture, edge, start, across, down, into, background, scene):
    rows, columns = edge.shape
    for row in prange(rows):
        for column in range(columns):
            if not edge[row, column]:
                continue
            total_r, total_g, total_b = 0.0, 0.0, 0.0
            for k in range(4):
                # a turned square of points, so that edges along the pixels profit too
                du, dv = (0.125, 0.375, -0.125, -0.375)[k], (-0.375, 0.125, 0.375, -0.125)[k]
                eye = start + (column + du) * across + (row + dv) * down
                r, g, b, _, _ = _ray(eye, into, background, scene)
                total_r, total_g, total_b = total_r + r, total_g + g, total_b + b
            picture[row, column, 0] = total_r / 4
            picture[row, column, 1] = total_g / 4
            picture[row, column, 2] = total_b / 4


@njit(cache=True)
def _span(eye, into, low, high):
    """Where a ray enters and leaves a box, and across which axis it enters and leaves."""
    t_in, t_out, axis_in, axis_out = -np.inf, np.inf, 0, 0
    for a in range(3):
        if abs(into[a]) < 1e-12:
            if eye[a] < low[a] or eye[a] > high[a]:
                return np.inf, -np.inf, 0, 0
            continue
        ta, tb = (low[a] - eye[a]) / into[a], (high[a] - eye[a]) / into[a]
        if ta > tb:
            ta, tb = tb, ta
        if ta > t_in:
            t_in, axis_in = ta, a
        if tb < t_out:
            t_out, axis_out = tb, a
    return t_in, t_out, axis_in, axis_out


@njit(cache=True)
def _sample(field, z, y, x):
    """Trilinear value at a position in voxels from the centre of the first, clamped to the volume."""
    nz, ny, nx = field.shape
    z, y, x = min(max(z, 0.0), nz - 1.0), min(max(y, 0.0), ny - 1.0), min(max(x, 0.0), nx - 1.0)
    iz, iy, ix = int(z), int(y), int(x)
    jz, jy, jx = min(iz + 1, nz - 1), min(iy + 1, ny - 1), min(ix + 1, nx - 1)
    fz, fy, fx = z - iz, y - iy, x - ix
    low = (field[iz, iy, ix] * (1 - fx) + field[iz, iy, jx] * fx) * (1 - fy)
    low += (field[iz, jy, ix] * (1 - fx) + field[iz, jy, jx] * fx) * fy
    high = (field[jz, iy, ix] * (1 - fx) + field[jz, iy, jx] * fx) * (1 - fy)
    high += (field[jz, jy, ix] * (1 - fx) + field[jz, jy, jx] * fx) * fy
    return low * (1 - fz) + high * fz


@njit(cache=True)
def _open(cells, z, y, x):
    """As `_sample`, but 0 outside the volume."""
    nz, ny, nx = cells.shape
    if z < -0.5 or y < -0.5 or x < -0.5 or z > nz - 0.5 or y > ny - 0.5 or x > nx - 0.5:
        return 0.0
    return _sample(cells, z, y, x)


@njit(cache=True)
def _ray(eye, into, background, scene):
    """Colour, label and distance of what one ray meets."""
    labels, soft, cells, voxel, cell, size, corner, palette, lamp, towards, walls = scene
    t, end, axis, wall = _span(eye, into, np.zeros(3), size)
    if not t < end:
        return background[0], background[1], background[2], 0, 0.0
    if corner[1, 0] > corner[0, 0] and corner[1, 1] > corner[0, 1] and corner[1, 2] > corner[0, 2]:
        a, b, _, leaving = _span(eye, into, corner[0], corner[1])
        if a < b and a <= t + 1e-6:
            t, axis = b, leaving
    # a hair inside, so that the face's own voxels are met
    t += 1e-4 * voxel.min()
    p = eye + t * into
    vz, vy, vx = into / voxel
    z, y, x = p / voxel - 0.5
    step = 0.45 * voxel.min()
    if t >= end:
        return background[0], background[1], background[2], 0, 0.0
    if _sample(soft, z, y, x) >= HALF:
        normal = np.zeros(3)
        normal[axis] = 1.0 if into[axis] < 0 else -1.0
        r, g, b, k = _shade(z, y, x, normal, True, labels, cells, voxel, cell, palette, lamp, towards)
        return r, g, b, k, t
    nz, ny, nx = soft.shape
    travelled, last = 0.0, end - t
    while travelled < last:
        # an empty voxel and empty neighbours: a longer stride
        stride = step
        if (
            soft[
                min(max(int(z + 0.5), 0), nz - 1), min(max(int(y + 0.5), 0), ny - 1), min(max(int(x + 0.5), 0), nx - 1)
            ]
            == 0
        ):
            stride = 2 * step
        travelled += stride
        z, y, x = z + vz * stride, y + vy * stride, x + vx * stride
        if travelled < last and _sample(soft, z, y, x) >= HALF:
            low, high = -stride, 0.0
            for _ in range(5):
                mid = 0.5 * (low + high)
                if _sample(soft, z + vz * mid, y + vy * mid, x + vx * mid) >= HALF:
                    high = mid
                else:
                    low = mid
            z, y, x = z + vz * high, y + vy * high, x + vx * high
            r, g, b, k = _shade(z, y, x, np.zeros(3), False, labels, cells, voxel, cell, palette, lamp, towards)
            return r, g, b, k, t + travelled + high
    bright = _wall(eye + end * into, wall, into, cells, cell) if walls else 1.0
    return bright * background[0], bright * background[1], bright * background[2], 0, end


@njit(cache=True)
def _wall(p, axis, into, cells, cell):
    """Brightness of the far walls of the box, seen through pores: a little darker where material stands close."""
    c = p / cell - 0.5
    inward = -1.0 if into[axis] > 0 else 1.0
    near = 0.0
    for far in (0.8, 2.0, 3.5):
        q = c.copy()
        q[axis] += inward * far
        near += _open(cells, q[0], q[1], q[2])
    return (0.93 if axis == 0 else 0.955) - 0.07 * near


@njit(cache=True)
def _nearest_label(labels, z, y, x):
    """The label with the largest trilinear weight, or the nearest one within a voxel."""
    nz, ny, nx = labels.shape
    best, weight = 0, -1.0
    for wide in range(2):
        for iz in range(int(np.floor(z)) - wide, int(np.floor(z)) + 2 + wide):
            for iy in range(int(np.floor(y)) - wide, int(np.floor(y)) + 2 + wide):
                for ix in range(int(np.floor(x)) - wide, int(np.floor(x)) + 2 + wide):
                    k = labels[min(max(iz, 0), nz - 1), min(max(iy, 0), ny - 1), min(max(ix, 0), nx - 1)]
                    if k == 0:
                        continue
                    w = max(1 + wide - abs(z - iz), 0.0) * max(1 + wide - abs(y - iy), 0.0)
                    w *= max(1 + wide - abs(x - ix), 0.0)
                    # weights of one label add up: count the other corners of the same cell
                    if k == best:
                        weight += w
                    elif w > weight:
                        best, weight = k, w
        if best:
            break
    return best


@njit(cache=True)
def _normal(labels, k, z, y, x, voxel):
    """Outward unit normal of one label: gradient of its indicator under a Gaussian of 1.3 voxels."""
    nz, ny, nx = labels.shape
    cz, cy, cx = int(np.floor(z + 0.5)), int(np.floor(y + 0.5)), int(np.floor(x + 0.5))
    wz, wy, wx = np.empty(7), np.empty(7), np.empty(7)
    for i in range(7):
        wz[i] = np.exp(-((cz + i - 3 - z) ** 2) / 3.4)
        wy[i] = np.exp(-((cy + i - 3 - y) ** 2) / 3.4)
        wx[i] = np.exp(-((cx + i - 3 - x) ** 2) / 3.4)
    gz, gy, gx = 0.0, 0.0, 0.0
    for i in range(7):
        iz = min(max(cz + i - 3, 0), nz - 1)
        for j in range(7):
            iy = min(max(cy + j - 3, 0), ny - 1)
            w = wz[i] * wy[j]
            for m in range(7):
                if labels[iz, iy, min(max(cx + m - 3, 0), nx - 1)] == k:
                    gz -= w * wx[m] * (cz + i - 3 - z)
                    gy -= w * wx[m] * (cy + j - 3 - y)
                    gx -= w * wx[m] * (cx + m - 3 - x)
    gz, gy, gx = gz / voxel[0], gy / voxel[1], gx / voxel[2]
    length = np.sqrt(gz * gz + gy * gy + gx * gx)
    normal = np.zeros(3)
    if length > 1e-9:
        normal[0], normal[1], normal[2] = gz / length, gy / length, gx / length
    return normal


@njit(cache=True)
def _shade(z, y, x, normal, flat, labels, cells, voxel, cell, palette, lamp, towards):
    k = _nearest_label(labels, z, y, x)
    if not flat:
        normal = _normal(labels, k, z, y, x, voxel)
    facing = max(normal @ towards, 0.0)
    light = max(normal @ lamp, 0.0)
    # positions in the coarse grid
    scale = voxel / cell
    cz, cy, cx = (z + 0.5) * scale[0] - 0.5, (y + 0.5) * scale[1] - 0.5, (x + 0.5) * scale[2] - 0.5
    near = 0.0
    for far in (1.2, 2.4):
        reach = far * cell.min() / cell
        near += _open(cells, cz + normal[0] * reach[0], cy + normal[1] * reach[1], cx + normal[2] * reach[2])
    sky = 1 - 0.62 * min(near / 1.1, 1.0)
    shade = 0.0
    step = 1.1 * cell.min() / cell
    sz, sy, sx = cz + 1.3 * normal[0] * step[0], cy + 1.3 * normal[1] * step[1], cx + 1.3 * normal[2] * step[2]
    for i in range(14):
        m = i + 0.6
        shade += _open(cells, sz + m * lamp[0] * step[0], sy + m * lamp[1] * step[1], sx + m * lamp[2] * step[2])
    lit = light * np.exp(-0.75 * shade)
    up = 0.5 + 0.5 * normal[0]
    if flat:
        bright = 0.74 + 0.2 * lit + 0.12 * up
        pale = 0.4
    else:
        bright = (0.34 + 0.16 * up + 0.12 * facing) * sky + 0.62 * lit
        pale = 0.0
    # a soft highlight from a lamp at the viewer's shoulder
    half = lamp + towards
    shine = 0.0 if flat else 0.16 * max(normal @ half / np.sqrt(half @ half), 0.0) ** 24 * np.exp(-0.75 * shade)
    r = min((palette[k, 0] * (1 - pale) + pale) * bright + shine, 1.0)
    g = min((palette[k, 1] * (1 - pale) + pale) * bright + shine, 1.0)
    b = min((palette[k, 2] * (1 - pale) + pale) * bright + shine, 1.0)
    return r, g, b, k
