"""Real spherical harmonics, directions spread over the sphere, and exact sums over it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ..errors import InputError


def real_harmonics(directions: np.ndarray, *, degree: int = 9) -> np.ndarray:
    """Values of the real orthonormal spherical harmonics (paper 001, Eq. 2).

    The polar angle is taken from the first axis (z), the azimuth from x towards y. P_l^m carries the Condon-Shortley
    phase (-1)^m, as `scipy.special.sph_harm_y` does: Y_lm is sqrt(2) times the real part of the complex Y_l^m for
    m > 0 and sqrt(2) times the imaginary part of Y_l^|m| for m < 0.

    Parameters
    ----------
    directions : (k, 3) array
        In array order (z, y, x), of any length but 0.
    degree : int
        Largest degree L.

    Returns
    -------
    (k, (L + 1)^2) array
        Column l^2 + l + m. Orthonormal over the sphere. Empty without directions.

    Raises
    ------
    InputError
        A negative degree, or directions that are not finite (k, 3), or of length 0.
    """
    if int(degree) != degree or degree < 0:
        raise InputError(f"`degree` must be a whole number from 0, got {degree!r}.")
    u = np.asarray(directions, float)
    if u.ndim != 2 or u.shape[1] != 3:
        raise InputError(f"`directions` must have the shape (k, 3), got {u.shape}.")
    length = np.linalg.norm(u, axis=1, keepdims=True)
    if not (np.isfinite(length) & (length > 0)).all():
        raise InputError("`directions` must be finite and longer than 0.")
    z, y, x = (u / length).T
    out = np.empty((len(u), (degree + 1) ** 2))
    around, norm = np.ones(len(u), complex), np.sqrt(1 / (4 * np.pi))  # sin^m(theta) exp(i m phi): no poles
    for m in range(degree + 1):
        if m:
            around = around * (x + 1j * y)
            norm *= -np.sqrt((2 * m + 1) / (2 * m))
        before, now = np.zeros(len(u)), np.full(len(u), norm)
        for l in range(m, degree + 1):  # noqa: E741
            if l > m:
                a = np.sqrt((4 * l * l - 1) / (l * l - m * m))
                b = np.sqrt(((l - 1) ** 2 - m * m) / (4 * (l - 1) ** 2 - 1))
                before, now = now, a * (z * now - b * before)
            if m == 0:
                out[:, l * l + l] = now
            else:
                out[:, l * l + l + m] = np.sqrt(2) * now * around.real
                out[:, l * l + l - m] = np.sqrt(2) * now * around.imag
    return out


def degrees_of(degree: int) -> np.ndarray:
    """Return the degree l of each of the (degree + 1)^2 coefficients."""
    l = np.arange(degree + 1)  # noqa: E741
    return np.repeat(l, 2 * l + 1)


def degree_of(coefficients: np.ndarray) -> int:
    """Return the degree that (..., (L + 1)^2) coefficients belong to, or say that they belong to none."""
    n = np.shape(coefficients)[-1] if np.ndim(coefficients) else 0
    degree = int(np.sqrt(n)) - 1
    if degree < 0 or (degree + 1) ** 2 != n:
        raise InputError(f"coefficients must come as (L + 1)^2 in the last axis, got shape {np.shape(coefficients)}.")
    return degree


@lru_cache(maxsize=8)
def icosphere(subdivisions: int = 3) -> np.ndarray:
    """Directions at the corners of a subdivided icosahedron, 10 * 4^subdivisions + 2 of them (642).

    Distances of neighbours differ by up to 20 %. Each opposite of a direction is one, and the corners of coarser
    spheres come first. The array is read-only.
    """
    g = (1 + 5**0.5) / 2
    corners = [(0, a, b * g) for a in (-1, 1) for b in (-1, 1)]
    points = np.array([np.roll(c, k) for c in corners for k in range(3)])
    apart = np.linalg.norm(points[:, None] - points, axis=2)
    touch = np.abs(apart - 2) < 1e-9
    faces = np.array(
        [
            (i, j, k)
            for i in range(12)
            for j in range(i)
            for k in range(j)
            if touch[i, j] and touch[j, k] and touch[i, k]
        ]
    )
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    for _ in range(subdivisions):
        sides = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]], axis=2).reshape(-1, 2)
        edges, of = np.unique(sides, axis=0, return_inverse=True)
        middle = points[edges].sum(1)
        a, b, c = faces.T
        ab, bc, ca = (len(points) + of.reshape(-1, 3)).T
        points = np.concatenate([points, middle / np.linalg.norm(middle, axis=1, keepdims=True)])
        faces = np.concatenate([np.stack(t, 1) for t in ((a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca))])
    points.flags.writeable = False
    return points


@lru_cache(maxsize=8)
def sphere_rule(degree: int) -> tuple[np.ndarray, np.ndarray]:
    """Directions and weights whose sum is the integral over the sphere, exact for polynomials up to `degree`."""
    t, w = np.polynomial.legendre.leggauss(degree // 2 + 1)
    phi = 2 * np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1)
    t, phi = (a.ravel() for a in np.meshgrid(t, phi, indexing="ij"))
    s = np.sqrt(1 - t * t)
    u = np.stack([t, s * np.sin(phi), s * np.cos(phi)], 1)
    weights = np.repeat(w, degree + 1) * 2 * np.pi / (degree + 1)
    u.flags.writeable = weights.flags.writeable = False
    return u, weights
