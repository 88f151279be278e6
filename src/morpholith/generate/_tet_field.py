"""What bounds grains, as compiled functions of a point: by how much one region beats another, and where they meet.

Regions are numbered: grains 1..n, then the outside of the shell, n + 1, then the outsides of the six planes of the box.
A grain's value is that of the power diagram; an outside has a level, in um, that is positive there. An outside beats
all grains where its level is positive, and another outside where its level is the larger.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from ._power_kernels import _value


class Regions(NamedTuple):
    """Generators of the grains (as `checked_grains` returns them), shell and box."""

    seeds: np.ndarray
    factor: np.ndarray
    radii: np.ndarray
    power: int
    coefficients: np.ndarray  # (L + 1)^2 of the shell, or none
    recur: np.ndarray  # (2, L + 1, L + 1): the two factors of the recurrence of the harmonics
    first: np.ndarray  # (L + 1,): where it starts
    box: np.ndarray  # (2, 3): lowest and highest place


def recurrence(degree: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the factors with which `shell_level` computes the harmonics of `real_harmonics`."""
    recur, first = np.zeros((2, degree + 1, degree + 1)), np.empty(degree + 1)
    norm = np.sqrt(1 / (4 * np.pi))
    for m in range(degree + 1):
        norm *= -np.sqrt((2 * m + 1) / (2 * m)) if m else 1
        first[m] = norm
        for n in range(m + 1, degree + 1):
            recur[0, n, m] = np.sqrt((4 * n * n - 1) / (n * n - m * m))
            recur[1, n, m] = np.sqrt(((n - 1) ** 2 - m * m) / (4 * (n - 1) ** 2 - 1))
    return recur, first


@njit(cache=True, nogil=True)
def shell_level(regions, z, y, x):
    """Distance from the origin less the radius of the shell along it."""
    r = np.sqrt(z * z + y * y + x * x)
    c = regions.coefficients
    if r == 0.0:
        return -abs(c[0])
    z, y, x = z / r, y / r, x / r
    degree = len(regions.first) - 1
    re, im, total = 1.0, 0.0, 0.0
    for m in range(degree + 1):
        if m:
            re, im = re * x - im * y, re * y + im * x
        before, now = 0.0, regions.first[m]
        for l in range(m, degree + 1):  # noqa: E741
            if l > m:
                before, now = now, regions.recur[0, l, m] * (z * now - regions.recur[1, l, m] * before)
            if m == 0:
                total += c[l * l + l] * now
            else:
                total += np.sqrt(2.0) * now * (c[l * l + l + m] * re + c[l * l + l - m] * im)
    return r - total


@njit(cache=True, nogil=True)
def shell_levels(regions, points):
    """`shell_level` of many points."""
    out = np.empty(len(points))
    for i in range(len(points)):
        out[i] = shell_level(regions, points[i, 0], points[i, 1], points[i, 2])
    return out


@njit(cache=True, nogil=True)
def level(regions, code, p):
    """Value of a grain, or level of an outside, at a point."""
    n = len(regions.seeds)
    if code <= n:
        i = code - 1
        s = regions.seeds[i]
        return _value(p[0] - s[0], p[1] - s[1], p[2] - s[2], regions.factor[i], regions.radii[i], regions.power)
    if code == n + 1:
        return shell_level(regions, p[0], p[1], p[2])
    k = code - n - 2
    return regions.box[0, k // 2] - p[k // 2] if k % 2 == 0 else p[k // 2] - regions.box[1, k // 2]


@njit(cache=True, nogil=True)
def _slope(regions, code, p, g, weight):
    """Add the gradient of `level` to `g`, times `weight`."""
    n = len(regions.seeds)
    if code <= n:
        s, u = regions.seeds[code - 1], regions.factor[code - 1]
        dz, dy, dx = p[0] - s[0], p[1] - s[1], p[2] - s[2]
        a, b, c = u[0] * dz + u[1] * dy + u[2] * dx, u[3] * dy + u[4] * dx, u[5] * dx
        scale = 2.0
        if regions.power == 1:
            norm = np.sqrt(a * a + b * b + c * c)
            scale = 1.0 / norm if norm > 0 else 0.0
        g[0] += weight * scale * u[0] * a
        g[1] += weight * scale * (u[1] * a + u[3] * b)
        g[2] += weight * scale * (u[2] * a + u[4] * b + u[5] * c)
    elif code == n + 1:
        h = 1e-5 * (abs(p[0]) + abs(p[1]) + abs(p[2])) + 1e-12
        for k in range(3):
            d0, d1, d2 = h * (k == 0), h * (k == 1), h * (k == 2)
            up = shell_level(regions, p[0] + d0, p[1] + d1, p[2] + d2)
            g[k] += weight * (up - shell_level(regions, p[0] - d0, p[1] - d1, p[2] - d2)) / (2 * h)
    else:
        k = code - n - 2
        g[k // 2] += weight * (1.0 if k % 2 else -1.0)


@njit(cache=True, nogil=True)
def _sign(n, code, other, first):
    """Return the sign with which the level of `code` counts where it stands against `other`; 0: not at all."""
    if code <= n:
        return (1.0 if first else -1.0) if other <= n else 0.0
    return -1.0 if first else 1.0


@njit(cache=True, nogil=True)
def excess(regions, a, b, p):
    """Return by how much region `a` loses to region `b` at a point: 0 on their boundary, positive in `b`."""
    total = 0.0
    # one place to call from, for the sake of the compiler
    for k in range(2):
        code, other = (a, b) if k == 0 else (b, a)
        sign = _sign(len(regions.seeds), code, other, k == 0)
        if sign != 0.0:
            total += sign * level(regions, code, p)
    return total


@njit(cache=True, nogil=True)
def excess_slope(regions, a, b, p, g):
    """Write the gradient of `excess` into `g`."""
    g[:] = 0.0
    for k in range(2):
        code, other = (a, b) if k == 0 else (b, a)
        sign = _sign(len(regions.seeds), code, other, k == 0)
        if sign != 0.0:
            _slope(regions, code, p, g, sign)
