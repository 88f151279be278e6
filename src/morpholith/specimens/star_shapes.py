"""Star-shaped particles whose radius is a sum of real spherical harmonics with known coefficients."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .. import _checks
from ..errors import InputError
from .cuts import spread_directions

# scale of the coefficients of degree 1 .. 9 over that of degree 2, after Table 1 of paper 001 (degree 7 read as 0.21)
SCALES = (3.51, 2.79, 0.98, 0.56, 0.37, 0.28, 0.21, 0.17, 0.15)
DIRECTIONS = 2500
LEAST_RADIUS = 0.3  # of the mean radius: thinner shapes are drawn again
ROUNDS = 500


@dataclass(frozen=True)
class Shells:
    """Shapes of the particles of a virtual tomogram.

    Parameters
    ----------
    n_particles : int
    radius_um : float
        Median of the mean radius, whose logarithm is normal.
    geometric_sd : float
        1 for particles of one size.
    roughness : float
        Scales all coefficients of degree 2 and up; 1 has about the spread that paper 001 prints for NMC811.
    tails : float
        Degrees of freedom of Student's t that these are drawn from; 0 for normal ones.
    coupling : float
        0 for coefficients that do not depend on the size, as that paper has them; 1 for such that go with the radius.
    degree : int
        Largest degree L.
    """

    n_particles: int = 120
    radius_um: float = 1.5
    geometric_sd: float = 1.3
    roughness: float = 1.0
    tails: float = 4.0
    coupling: float = 0.0
    degree: int = 9

    def __post_init__(self):
        _checks.positive(self.radius_um, name="radius_um")
        if self.n_particles < 0 or not 0 <= self.degree <= len(SCALES):
            raise InputError(
                f"`n_particles` is at least 0 and `degree` 0 to {len(SCALES)}; got {self.n_particles!r} and "
                f"{self.degree!r}."
            )
        limits = {"geometric_sd": (1, 3), "roughness": (0, 3), "coupling": (0, 1)}
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise InputError(f"`{name}` must lie between {low:g} and {high:g}, got {getattr(self, name)!r}.")
        if self.tails and not self.tails >= 2:
            raise InputError(f"`tails` must be 0 (normal) or at least 2 degrees of freedom, got {self.tails!r}.")


def star_coefficients(params: Shells, *, rng: np.random.Generator | int) -> np.ndarray:
    """Draw the coefficients of particles, each about its own centroid.

    Returns
    -------
    (n, (L + 1)^2) array
        In um; column l^2 + l + m of the real orthonormal harmonics with Condon-Shortley phase. Degree 1 is what it must
        be for the centroid to be the origin: small, but not 0.
    """
    rng = np.random.default_rng(rng)
    found = np.empty((params.n_particles, (params.degree + 1) ** 2))
    for i in range(params.n_particles):
        found[i] = _one(params, rng)
    return found


def _one(params, rng) -> np.ndarray:
    voxel = 0.128  # um, of the print
    radius = params.radius_um * params.geometric_sd ** rng.standard_normal()
    scale = params.roughness * voxel * (radius / params.radius_um) ** params.coupling
    for _ in range(ROUNDS):
        a = np.zeros((params.degree + 1) ** 2)
        a[0] = radius * np.sqrt(4 * np.pi)
        for l in range(2, params.degree + 1):  # noqa: E741
            n = 2 * l + 1
            z = rng.standard_t(params.tails, n) if params.tails else rng.standard_normal(n)
            a[l * l : (l + 1) ** 2] = SCALES[l - 1] * scale * z
        r = a @ _spread(params.degree)[1].T
        if r.min() > LEAST_RADIUS * radius:
            a = _about_centroid(a)
            if star_radius(a, spread_directions(DIRECTIONS)).min() > 0.8 * LEAST_RADIUS * radius:
                return a
    raise InputError(f"`roughness` {params.roughness:g} leaves no shapes with radii above 0; ask for less.")


def _about_centroid(a: np.ndarray) -> np.ndarray:
    """Describe a shape about its centroid, by least squares: the shape becomes one of these harmonics."""
    u, basis = _spread(int(np.sqrt(len(a))) - 1)
    even, weights, _, _, even_basis = _quadrature(int(np.sqrt(len(a))) - 1)
    for _ in range(3):
        r = even_basis @ a
        centroid = (weights * r**4) @ even / 4 / (weights @ r**3 / 3)
        surface = (basis @ a)[:, None] * u - centroid
        length = np.linalg.norm(surface, axis=1)
        seen = harmonics(surface / length[:, None], int(np.sqrt(len(a))) - 1)
        a = np.linalg.solve(seen.T @ seen, seen.T @ length)  # directions all over the sphere: well conditioned
    return a


def harmonics(directions: np.ndarray, degree: int) -> np.ndarray:
    """Return real orthonormal spherical harmonics (k, (L + 1)^2) along unit directions (k, 3) in the order (z, y, x).

    Column l^2 + l + m, with the Condon-Shortley phase; sines for m < 0.
    """
    z, y, x = np.asarray(directions, float).T
    out = np.empty((len(z), (degree + 1) ** 2))
    cosine, sine = np.ones_like(z), np.zeros_like(z)  # of m phi, times sin^m theta
    start = np.full_like(z, np.sqrt(1 / (4 * np.pi)))
    for m in range(degree + 1):
        legendre = {m - 1: np.zeros_like(z), m: start}
        for l in range(m + 1, degree + 1):  # noqa: E741
            up = np.sqrt((4 * l * l - 1) / (l * l - m * m))
            back = np.sqrt(((l - 1) ** 2 - m * m) / (4 * (l - 1) ** 2 - 1))
            legendre[l] = up * (z * legendre[l - 1] - back * legendre[l - 2])
        twice = np.sqrt(2) if m else 1.0
        for l in range(m, degree + 1):  # noqa: E741
            if m:
                out[:, l * l + l - m] = twice * legendre[l] * sine
            out[:, l * l + l + m] = twice * legendre[l] * cosine
        cosine, sine = cosine * x - sine * y, sine * x + cosine * y
        start = -start * np.sqrt((2 * m + 3) / (2 * m + 2))
    return out


class RadiusTable:
    """Radii of one shape on a grid of angles, read off between its lines: to a thousandth, fast."""

    def __init__(self, coefficients: np.ndarray):
        u, self.shape = _grid_directions(int(np.sqrt(len(coefficients))) - 1)
        self.radii = (u @ coefficients).reshape(self.shape)

    def at(self, points: np.ndarray, length: np.ndarray) -> np.ndarray:
        """Radius along points (k, 3) of lengths (k,)."""
        rows, columns = self.shape[0] - 1, self.shape[1] - 1
        t = np.arccos(np.clip(points[:, 0] / length, -1, 1)) * (rows / np.pi)
        p = (np.arctan2(points[:, 1], points[:, 2]) / (2 * np.pi) % 1.0) * columns
        i, j = np.minimum(t.astype(int), rows - 1), np.minimum(p.astype(int), columns - 1)
        t, p, r = t - i, p - j, self.radii
        return (1 - t) * ((1 - p) * r[i, j] + p * r[i, j + 1]) + t * ((1 - p) * r[i + 1, j] + p * r[i + 1, j + 1])


@lru_cache(maxsize=2)
def _grid_directions(degree: int) -> tuple[np.ndarray, tuple[int, int]]:
    """Return the harmonics on a grid of angles 2.5 degrees apart."""
    t, p = np.linspace(0, np.pi, 73), np.linspace(0, 2 * np.pi, 145)
    theta, phi = (v.ravel() for v in np.meshgrid(t, p, indexing="ij"))
    s = np.sin(theta)
    u = np.stack([np.cos(theta), s * np.sin(phi), s * np.cos(phi)], 1)
    return harmonics(u, degree), (len(t), len(p))


def star_radius(coefficients: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Return the radius of one shape along unit directions (k, 3), um."""
    return harmonics(directions, int(np.sqrt(len(coefficients))) - 1) @ coefficients


@lru_cache(maxsize=4)
def _spread(degree: int) -> tuple[np.ndarray, np.ndarray]:
    u = spread_directions(DIRECTIONS)
    return u, harmonics(u, degree)


@lru_cache(maxsize=2)
def _quadrature(degree: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return directions, weights, polar and azimuthal angles of a rule on the sphere, and the harmonics there."""
    n = 4 * degree + 8
    t, w = np.polynomial.legendre.leggauss(n)
    phi = 2 * np.pi * np.arange(2 * n) / (2 * n)
    theta = np.repeat(np.arccos(t), 2 * n)
    around = np.tile(phi, n)
    s = np.sin(theta)
    u = np.stack([np.cos(theta), s * np.sin(around), s * np.cos(around)], 1)
    return u, np.repeat(w, 2 * n) * np.pi / n, theta, around, harmonics(u, degree)


def star_measures(coefficients: np.ndarray) -> dict[str, float]:
    """Return volume (um3), surface (um2), sphericity, and largest and smallest diameter through the centroid (um).

    Volume and surface are integrals over the sphere, the surface with numerical derivatives of the radius; the
    diameters (Eqs. 17 and 19 of paper 001) are over 2500 directions and their opposites.
    """
    degree = int(np.sqrt(len(coefficients))) - 1
    _, w, theta, around, basis = _quadrature(degree)
    r = basis @ coefficients
    h = 1e-5

    def moved(dt, dp):
        t, p = theta + dt, around + dp
        s = np.sin(t)
        return star_radius(coefficients, np.stack([np.cos(t), s * np.sin(p), s * np.cos(p)], 1))

    by_theta = (moved(h, 0) - moved(-h, 0)) / (2 * h)
    by_phi = (moved(0, h) - moved(0, -h)) / (2 * h) / np.sin(theta)
    volume = float(w @ r**3 / 3)
    surface = float(w @ (r * np.sqrt(r * r + by_theta**2 + by_phi**2)))
    v = spread_directions(DIRECTIONS)
    through = star_radius(coefficients, v) + star_radius(coefficients, -v)
    return {
        "volume_um3": volume,
        "surface_um2": surface,
        "sphericity": float(np.pi ** (1 / 3) * (6 * volume) ** (2 / 3) / surface),
        "d_max_um": float(through.max()),
        "d_min_um": float(through.min()),
    }
