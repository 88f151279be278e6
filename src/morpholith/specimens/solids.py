"""Spheroids with bumps and cracks: where they are, how large they are, and their surface, exactly.

A body is the set of points with F(p) <= 1, F(p) = |q| / (1 + h(q/|q|)) and q = diag(1/semi) R (p - centre). The bumps
h are a sum of Legendre polynomials of degree 2 to 6 about random directions; h = 0 for a smooth body. Volumes and
surfaces are closed forms for smooth bodies and a quadrature good to ten digits for bumpy ones. A crack is a
flat cylindrical gap that lies wholly within its body.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np

DEGREES = np.array([2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 6, 6])
HIGHEST_BUMP = 0.5


@dataclass(frozen=True)
class Bodies:
    """Any number of bodies, as arrays; lengths in um, directions and positions in (z, y, x).

    Attributes
    ----------
    centre : (n, 3) array
    semi : (n, 3) array
        Semi-axes of the ellipsoid that the bumps ride on: along the axis of symmetry, then twice across it.
    rotation : (n, 3, 3) array
        Rows are the directions of the semi-axes.
    bump : (n, 12) array
        Amplitudes of the bumps.
    lobe : (n, 12, 3) array
        Directions of the bumps in the frame of the semi-axes.
    swing : (n, 2) array
        Bounds on h from below and above, 0 for smooth bodies.
    crack : (n, 8) array
        Centre relative to the body's (3), unit normal (3), radius, width; width 0 is no crack.
    """

    centre: np.ndarray
    semi: np.ndarray
    rotation: np.ndarray
    bump: np.ndarray
    lobe: np.ndarray
    swing: np.ndarray
    crack: np.ndarray

    def __len__(self) -> int:
        return len(self.centre)

    def __getitem__(self, rows) -> Bodies:
        return Bodies(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def replace(self, **changes) -> Bodies:
        """Return the same bodies with other values of some arrays."""
        return Bodies(**{f.name: changes.get(f.name, getattr(self, f.name)) for f in fields(self)})

    @property
    def metric(self) -> np.ndarray:
        """(n, 3, 3) matrices M with |q|^2 = (p - c)^T M (p - c)."""
        return np.einsum("nki,nk,nkj->nij", self.rotation, self.semi**-2, self.rotation)

    @property
    def shape_matrix(self) -> np.ndarray:
        """(n, 3, 3) inverses of `metric`."""
        return np.einsum("nki,nk,nkj->nij", self.rotation, self.semi**2, self.rotation)

    @property
    def rise(self) -> np.ndarray:
        """(n,) bound on h from above."""
        return self.swing[:, 1]

    @property
    def reach(self) -> np.ndarray:
        """(n, 3) half extents of a box about the centre that holds the body; exact for smooth ones."""
        half = np.sqrt(np.einsum("nii->ni", self.shape_matrix))
        return half * (1 + self.rise[:, None])


def join(*parts: Bodies) -> Bodies:
    """Return the bodies of all parts, one after the other."""
    return Bodies(**{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Bodies)})


def spheroids(centre, diameter, aspect, axis, *, bump=None, lobe=None) -> Bodies:
    """Return spheroids of given volume.

    Parameters
    ----------
    centre : (n, 3) array
        um, (z, y, x).
    diameter : (n,) array
        Of the sphere of equal volume, um; bumps included.
    aspect : (n,) array
        Semi-axis along the axis of symmetry over the one across: above 1 elongated, below 1 flat.
    axis : (n, 3) array
        Direction of the axis of symmetry; need not be normalised.
    bump, lobe : arrays, optional
        As in `Bodies`.
    """
    centre = np.asarray(centre, float).reshape(-1, 3)
    n = len(centre)
    aspect = np.broadcast_to(np.asarray(aspect, float), n)
    across = 0.5 * np.broadcast_to(np.asarray(diameter, float), n) * aspect ** (-1 / 3)
    semi = np.stack([aspect * across, across, across], 1)
    bump = np.zeros((n, len(DEGREES))) if bump is None else np.asarray(bump, float)
    lobe = np.tile([1.0, 0, 0], (n, len(DEGREES), 1)) if lobe is None else np.asarray(lobe, float)
    rotation = frames(np.broadcast_to(np.asarray(axis, float), (n, 3)))
    made = Bodies(centre, semi, rotation, bump, lobe, _bounds(bump, lobe), np.zeros((n, 8)))
    swelling = (volume(made) / (np.pi / 6 * np.broadcast_to(np.asarray(diameter, float), n) ** 3)) ** (-1 / 3)
    return made.replace(semi=semi * swelling[:, None])


def _bounds(bump: np.ndarray, lobe: np.ndarray) -> np.ndarray:
    """Bounds on the bumps: their range over 2000 directions, and a margin for what lies between those."""
    n = fibonacci(2000)
    swing = np.zeros((len(bump), 2))
    for k in np.flatnonzero(bump.any(1)).tolist():
        h = _legendre(n @ lobe[k].T)[0] @ bump[k]
        margin = 0.05 * np.abs(h).max()
        swing[k] = h.min() - margin, h.max() + margin
    return swing


@lru_cache(maxsize=4)
def fibonacci(n: int) -> np.ndarray:
    """Return `n` directions spread evenly over the sphere along a spiral."""
    i = np.arange(n) + 0.5
    t, phi = 1 - 2 * i / n, np.pi * (1 + 5**0.5) * i
    s = np.sqrt(1 - t * t)
    return np.stack([t, s * np.cos(phi), s * np.sin(phi)], 1)


def frames(axis: np.ndarray) -> np.ndarray:
    """Return (n, 3, 3) rotations whose first row is the given direction."""
    axis = axis / np.linalg.norm(axis, axis=1, keepdims=True)
    helper = np.eye(3)[np.argmin(np.abs(axis), axis=1)]
    second = np.cross(axis, helper)
    second /= np.linalg.norm(second, axis=1, keepdims=True)
    return np.stack([axis, second, np.cross(axis, second)], 1)


def directions(n: int, rng) -> np.ndarray:
    """Return `n` random directions, uniform on the sphere."""
    v = rng.standard_normal((n, 3))
    return v / np.linalg.norm(v, axis=1, keepdims=True)


def bumps(n: int, roughness: float, rng) -> tuple[np.ndarray, np.ndarray]:
    """Draw bumps for `n` bodies whose radius departs from the smooth one by `roughness` (RMS, relative)."""
    lobe = directions(n * len(DEGREES), rng).reshape(n, -1, 3)
    bump = rng.standard_normal((n, len(DEGREES))) / DEGREES
    # the mean square of P_l over the sphere is 1 / (2 l + 1); lobes are independent
    rms = np.sqrt((bump**2 / (2 * DEGREES + 1)).sum(1, keepdims=True))
    bump *= roughness / rms
    total = np.abs(bump).sum(1, keepdims=True)
    return bump * np.minimum(1, HIGHEST_BUMP / np.maximum(total, 1e-12)), lobe


def volume(bodies: Bodies) -> np.ndarray:
    """Return (n,) volumes in um3, cracks not taken off: 4/3 pi a b c, times the mean of (1 + h)^3."""
    ellipsoid = 4 / 3 * np.pi * bodies.semi.prod(1)
    for k in np.flatnonzero(bodies.rise).tolist():
        n, weight = _sphere_rule()
        ellipsoid[k] *= ((1 + _heights(bodies, k, n)[0]) ** 3) @ weight
    return ellipsoid


def surface(bodies: Bodies) -> np.ndarray:
    """Return (n,) surfaces in um2, cracks not counted: the closed form of the spheroid, or quadrature with bumps."""
    along, across = bodies.semi[:, 0], bodies.semi[:, 1]
    ratio = along / across
    e = np.sqrt(np.abs(1 - np.minimum(ratio, 1 / ratio) ** 2))
    safe = np.where(e > 1e-4, e, 0.5)
    long = 1 + ratio * np.where(e > 1e-4, np.arcsin(safe) / safe, 1 + e**2 / 6)
    flat = 1 + (1 - e**2) * np.where(e > 1e-4, np.arctanh(safe) / safe, 1 + e**2 / 3)
    area = 2 * np.pi * across**2 * np.where(ratio >= 1, long, flat)
    for k in np.flatnonzero(bodies.rise).tolist():
        n, weight = _sphere_rule()
        area[k] = 4 * np.pi * np.linalg.norm(_area_vectors(bodies, k, n), axis=1) @ weight
    return area


def surface_points(bodies: Bodies, k: int, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the (m, 3) points of body `k` in the directions `n` of its own frame, and um2 per unit solid angle."""
    h, _ = _heights(bodies, k, n)
    points = ((1 + h)[:, None] * n * bodies.semi[k]) @ bodies.rotation[k] + bodies.centre[k]
    return points, np.linalg.norm(_area_vectors(bodies, k, n), axis=1)


def crack_volume(bodies: Bodies) -> np.ndarray:
    """Return (n,) volumes of the cracks in um3: pi r^2 w."""
    return np.pi * bodies.crack[:, 6] ** 2 * bodies.crack[:, 7]


def crack_surface(bodies: Bodies) -> np.ndarray:
    """Return (n,) surfaces of the cracks' walls in um2: 2 pi r (r + w), 0 where there is none."""
    r, w = bodies.crack[:, 6], bodies.crack[:, 7]
    return np.where(w > 0, 2 * np.pi * r * (r + w), 0.0)


def with_cracks(bodies: Bodies, rows, *, width_um: float, extent: float, rng) -> Bodies:
    """Return the bodies with a new flat crack through the middle of those in `rows`.

    The gap reaches out to `extent` of the largest ball that fits in the body, so it is wholly inside.
    """
    rng = np.random.default_rng(rng)
    crack = bodies.crack.copy()
    rows = np.asarray(rows, int)
    inner = (bodies.semi.min(1) * (1 + bodies.swing[:, 0]))[rows]
    crack[rows, :3] = 0.1 * inner[:, None] * directions(len(rows), rng)
    crack[rows, 3:6] = directions(len(rows), rng)
    width = np.minimum(width_um, 0.5 * inner)
    free = np.sqrt((0.9 * inner) ** 2 - (0.5 * width) ** 2)
    crack[rows, 6], crack[rows, 7] = extent * free, width
    return bodies.replace(crack=crack)


_RULE: list[tuple[np.ndarray, np.ndarray]] = []


def _sphere_rule(order: int = 40):
    """Directions and weights (sum 1) that integrate polynomials of degree < 2 `order` over the sphere exactly."""
    if not _RULE:
        t, w = np.polynomial.legendre.leggauss(order)
        phi = 2 * np.pi * (np.arange(2 * order) + 0.5) / (2 * order)
        s = np.sqrt(1 - t * t)
        n = np.stack(np.broadcast_arrays(t[:, None], s[:, None] * np.cos(phi), s[:, None] * np.sin(phi)), -1)
        _RULE.append((n.reshape(-1, 3), np.repeat(w / (4 * order), 2 * order)))
    return _RULE[0]


def _heights(bodies: Bodies, k: int, n: np.ndarray):
    """Bumps h of body `k` in directions `n`, and their gradient on the unit sphere."""
    if not bodies.bump[k].any():
        return np.zeros(len(n)), np.zeros_like(n)
    lobe, amplitude = bodies.lobe[k], bodies.bump[k]
    t = n @ lobe.T
    p, slope = _legendre(t)
    along = amplitude * slope
    return p @ amplitude, along @ lobe - (along * t).sum(1, keepdims=True) * n


def _legendre(t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Legendre polynomials of `DEGREES`, one for each column of `t`, and their derivatives, by recurrence."""
    before, p, slope_before, slope = np.ones_like(t), t, np.zeros_like(t), np.ones_like(t)
    value, derivative = np.empty_like(t), np.empty_like(t)
    for degree in range(2, int(DEGREES.max()) + 1):
        before, p = p, ((2 * degree - 1) * t * p - (degree - 1) * before) / degree
        slope_before, slope = slope, slope_before + (2 * degree - 1) * before
        chosen = degree == DEGREES
        value[:, chosen], derivative[:, chosen] = p[:, chosen], slope[:, chosen]
    return value, derivative


def _area_vectors(bodies: Bodies, k: int, n: np.ndarray):
    """Surface element per unit solid angle in the body's frame: cofactor of the stretch times r (r n - grad r)."""
    h, gradient = _heights(bodies, k, n)
    r = (1 + h)[:, None]
    return bodies.semi[k].prod() / bodies.semi[k] * r * (r * n - gradient)
