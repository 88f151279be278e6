"""Which grain a point of a plane belongs to: every seed painted over the points it may win, the nearest kept."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def _norm(frame, dz, dy, dx, exponent):
    """Length of a difference in the metric of a grain: the p-norm of its coordinates along the grain's axes."""
    a = abs(frame[0, 0] * dz + frame[0, 1] * dy + frame[0, 2] * dx)
    b = abs(frame[1, 0] * dz + frame[1, 1] * dy + frame[1, 2] * dx)
    c = abs(frame[2, 0] * dz + frame[2, 1] * dy + frame[2, 2] * dx)
    if exponent == 2.0:
        return np.sqrt(a * a + b * b + c * c)
    return (a**exponent + b**exponent + c**exponent) ** (1.0 / exponent)


@njit(cache=True)
def _interval(square, half_linear, constant):
    """Roots of square t^2 + 2 half_linear t + constant <= 0; an empty interval where there are none."""
    inner = half_linear * half_linear - square * constant
    if inner < 0.0:
        return 1.0, -1.0
    root = np.sqrt(inner)
    return (-half_linear - root) / square, (-half_linear + root) / square


@njit(cache=True)
def paint(points, height, first_y, first_x, shift, dy, dx, seeds, frames, radii, pads, level, exponent, best, winner):
    """Paint all grains on a plane; `best` and `winner` (ny, nx) are changed in place.

    `points` (ny, nx, 3) are the places at which metrics are evaluated: those of the grid, moved by at most what `pads`
    allow (in the metric of each grain). A seed is looked at wherever its value, length less radius, may be below
    `level`; what is found is the least value of all seeds at every point whose `best` ends up at or below `level`.
    Of two equal values the seed that comes first wins. `shift` (ny,) moves rows along x.
    """
    ny, nx = best.shape
    wide = 3.0 ** max(0.0, 0.5 - 1.0 / exponent)  # a 2-norm is at most this times the p-norm, for p >= 2
    for i in range(len(seeds)):
        most = (level + radii[i]) * wide + pads[i]
        if most <= 0.0:
            continue
        f = frames[i]
        m00 = f[0, 0] * f[0, 0] + f[1, 0] * f[1, 0] + f[2, 0] * f[2, 0]
        m01 = f[0, 0] * f[0, 1] + f[1, 0] * f[1, 1] + f[2, 0] * f[2, 1]
        m02 = f[0, 0] * f[0, 2] + f[1, 0] * f[1, 2] + f[2, 0] * f[2, 2]
        m11 = f[0, 1] * f[0, 1] + f[1, 1] * f[1, 1] + f[2, 1] * f[2, 1]
        m12 = f[0, 1] * f[0, 2] + f[1, 1] * f[1, 2] + f[2, 1] * f[2, 2]
        m22 = f[0, 2] * f[0, 2] + f[1, 2] * f[1, 2] + f[2, 2] * f[2, 2]
        h = height - seeds[i, 0]
        low, high = _interval(
            m11 - m12 * m12 / m22, (m01 - m02 * m12 / m22) * h, (m00 - m02 * m02 / m22) * h * h - most * most
        )
        if low > high:
            continue
        from_row = max(0, int(np.ceil((seeds[i, 1] + low - first_y) / dy)))
        to_row = min(ny - 1, int(np.floor((seeds[i, 1] + high - first_y) / dy)))
        for row in range(from_row, to_row + 1):
            y = first_y + row * dy - seeds[i, 1]
            low, high = _interval(m22, m02 * h + m12 * y, m00 * h * h + 2 * m01 * h * y + m11 * y * y - most * most)
            if low > high:
                continue
            start = first_x + shift[row]
            from_column = max(0, int(np.ceil((seeds[i, 2] + low - start) / dx)))
            to_column = min(nx - 1, int(np.floor((seeds[i, 2] + high - start) / dx)))
            for column in range(from_column, to_column + 1):
                value = (
                    _norm(
                        f,
                        points[row, column, 0] - seeds[i, 0],
                        points[row, column, 1] - seeds[i, 1],
                        points[row, column, 2] - seeds[i, 2],
                        exponent,
                    )
                    - radii[i]
                )
                if value < best[row, column]:
                    best[row, column] = value
                    winner[row, column] = i


@njit(cache=True)
def add_moments(labels, below, above, z, y, x, moments, bare):
    """Add the points of a plane (ny, nx) to the sums of each label: n, z, y, x, zz, yy, xx, zy, zx, yx.

    `bare` counts the points of each label that have a neighbour of no grain, in the plane or in those `below` and
    `above`.
    """
    ny, nx = labels.shape
    for j in range(ny):
        for k in range(nx):
            g = labels[j, k]
            if g == 0:
                continue
            b, c = y[j], x[k]
            m = moments[g]
            m[0] += 1.0
            m[1] += z
            m[2] += b
            m[3] += c
            m[4] += z * z
            m[5] += b * b
            m[6] += c * c
            m[7] += z * b
            m[8] += z * c
            m[9] += b * c
            edge = j == 0 or k == 0 or j == ny - 1 or k == nx - 1
            if (
                edge
                or below[j, k] == 0
                or above[j, k] == 0
                or labels[j - 1, k] == 0
                or labels[j + 1, k] == 0
                or labels[j, k - 1] == 0
                or labels[j, k + 1] == 0
            ):
                bare[g] += 1


@njit(cache=True)
def sum_of_waves(cos_y, sin_y, cos_x, sin_x):
    """Return the sum over waves w of cos(y_w + x_w), (ny, nx), from the cosines and sines (n, w) of both parts."""
    ny, n = cos_y.shape
    nx = len(cos_x)
    out = np.empty((ny, nx))
    for j in range(ny):
        for k in range(nx):
            total = 0.0
            for w in range(n):
                total += cos_y[j, w] * cos_x[k, w] - sin_y[j, w] * sin_x[k, w]
            out[j, k] = total
    return out
