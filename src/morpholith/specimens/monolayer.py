"""Particles of a monolayer seen through: outline, thickness and chemical state, each a function that can be evaluated.

Lengths are pixels. A particle has a frame of reference of its own, in which offsets (v, u) along y and x are taken from
the centroid of its outline. It is never rendered once and then moved: every frame evaluates the functions where its
pixels lie in that frame of reference, so positions are exact however small the motion.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numba import njit

N_ANGLES = 2048
FINE_FROM = 0.9  # share of the radius from which a pixel is sampled more than once: the thickness falls steeply there
PATTERNS = ("uniform", "core-shell", "one-sided", "deactivated")
STATE_WIDTH = 0.12  # of the front between two states, in radii


@dataclass(frozen=True)
class Body:
    """One particle in its own frame of reference.

    Parameters
    ----------
    radius : (2048,) array
        Radius of the outline about `origin`, on angles from +y towards +x.
    origin : (float, float)
        Centroid of the outline less the point that the radii start from (y, x).
    peak : float
        Thickness at the centre, in units of the thickness whose optical density above the edge is one.
    exponent : float
        Thickness falls as (1 - rho^n)^(1/n) with the share rho of the way to the outline: 2 for a sphere, more for flat
        bodies with steep sides.
    lumps : (k, 4) array
        Waves of the thickness: amplitude (relative), wave numbers along y and x in 1/px, phase.
    pattern : str
        One of `PATTERNS`.
    direction : float
        Where a one-sided pattern points, radians from +y towards +x.
    """

    radius: np.ndarray
    origin: tuple[float, float]
    peak: float
    exponent: float = 2.0
    lumps: np.ndarray = field(default_factory=lambda: np.zeros((0, 4)))
    pattern: str = "uniform"
    direction: float = 0.0

    @property
    def area(self) -> float:
        """Area within the outline, px^2."""
        return float(np.pi * np.mean(self.radius**2))

    @property
    def diameter(self) -> float:
        """Diameter of the circle of equal area, px."""
        return 2 * float(np.sqrt(np.mean(self.radius**2)))

    @property
    def reach(self) -> float:
        """Largest distance of the outline from the centroid, px."""
        return float(np.hypot(*(self.outline().T)).max())

    def outline(self) -> np.ndarray:
        """Return the outline (2048, 2) as offsets (v, u) from the centroid."""
        angle = 2 * np.pi * np.arange(N_ANGLES) / N_ANGLES
        ray = np.stack([np.cos(angle), np.sin(angle)], 1)
        return self.radius[:, None] * ray - np.array(self.origin)

    def evaluate(self, v, u, state=(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)):
        """Return relative radius, thickness and state at offsets from the centroid.

        Parameters
        ----------
        v, u : array
            Offsets along y and x, px; of one shape.
        state : tuple
            From `state_of`.

        Returns
        -------
        rho, thickness, state : arrays of the shape of `v`
            The outline is where rho is 1; beyond it the thickness is 0. The state is given everywhere.
        """
        v, u = np.broadcast_arrays(np.asarray(v, float), np.asarray(u, float))
        flat = (np.ascontiguousarray(v).ravel(), np.ascontiguousarray(u).ravel())
        out = _evaluate(*flat, self.radius, *self.origin, self.peak, self.exponent, self.lumps, np.asarray(state))
        return tuple(part.reshape(v.shape) for part in out)


def draw_body(diameter: float, rng, *, peak: float, flat: bool = False, lumpiness: float = 1.0) -> Body:
    """Draw a particle: a slightly lumpy sphere, or a flatter one with a more angular outline.

    Parameters
    ----------
    diameter : float
        Of the circle of equal area, px; exact.
    rng : Generator
    peak : float
    flat : bool
        A single crystal: thickness with a plateau, outline with corners.
    lumpiness : float
        Scales the departures from a sphere.
    """
    angle = 2 * np.pi * np.arange(N_ANGLES) / N_ANGLES
    k = np.arange(2, 13)
    amplitude = lumpiness * 0.03 * rng.rayleigh(1.0, k.size) * (k / 2.0) ** -1.3
    if flat:
        amplitude[rng.integers(1, 4)] += 0.05 * lumpiness
    shape = 1 + amplitude @ np.cos(k[:, None] * angle + rng.uniform(0, 2 * np.pi, (k.size, 1)))
    shape = np.maximum(shape, 0.5)
    radius = 0.5 * diameter * shape / np.sqrt(np.mean(shape**2))
    # centroid of a star-shaped body: int r^3/3 (cos, sin) over int r^2/2
    weight = radius**3 / 3 / np.mean(radius**2 / 2)
    origin = (float(np.mean(weight * np.cos(angle))), float(np.mean(weight * np.sin(angle))))
    wave = rng.uniform(0, 2 * np.pi, 4)
    number = 2 * np.pi / (diameter * rng.uniform(0.15, 0.6, 4))
    strength = lumpiness * (0.01 if flat else 0.02) * rng.uniform(0.5, 1.5, 4)
    lumps = np.stack([strength, number * np.cos(wave), number * np.sin(wave), rng.uniform(0, 2 * np.pi, 4)], 1)
    exponent = rng.uniform(3.0, 4.5) if flat else rng.uniform(2.0, 2.3)
    return Body(radius, origin, peak, exponent, lumps, direction=rng.uniform(0, 2 * np.pi))


def state_of(body: Body, charge: float, *, low: float = 0.0, high: float = 1.0) -> tuple[float, ...]:
    """Return the chemical state of a particle at a charge as the numbers that `Body.evaluate` takes.

    The state is low + (high - low) / (1 + exp(-(g - f) / w)), with g = rho for a core and a shell and g = the offset
    along `direction` over the radius for a one-sided particle. The front f runs through the particle with the charge.

    Parameters
    ----------
    body : Body
    charge : float
        0 to 1.
    low, high : float
        State before and after the front has passed.

    Returns
    -------
    tuple
        low, high, share of rho in g, offset's weights along y and x, front.
    """
    if body.pattern == "core-shell":
        return (low, high, 1.0, 0.0, 0.0, 1.15 - 1.3 * charge)
    if body.pattern == "one-sided":
        scale = 2 / body.diameter
        return (low, high, 0.0, np.cos(body.direction) * scale, np.sin(body.direction) * scale, 1.2 - 2.4 * charge)
    level = low + (high - low) * charge * (0.12 if body.pattern == "deactivated" else 1.0)
    return (level, level, 0.0, 0.0, 0.0, 0.0)


@njit(cache=True, inline="always")
def _relative_radius(v, u, radius, origin_y, origin_x):
    y, x = v + origin_y, u + origin_x
    at = np.arctan2(x, y) * (radius.size / (2 * np.pi))
    if at < 0:
        at += radius.size
    i = int(at)
    part = at - i
    i = i % radius.size
    j = (i + 1) % radius.size
    return np.sqrt(y * y + x * x) / ((1 - part) * radius[i] + part * radius[j])


@njit(cache=True, inline="always")
def _profile(rho, exponent):
    return (1 - rho**exponent) ** (1 / exponent) if rho < 1 else 0.0


@njit(cache=True, inline="always")
def _lumpy(v, u, lumps):
    lumpy = 1.0
    for k in range(lumps.shape[0]):
        lumpy += lumps[k, 0] * np.cos(lumps[k, 1] * v + lumps[k, 2] * u + lumps[k, 3])
    return lumpy


@njit(cache=True, inline="always")
def _state(rho, v, u, state):
    if state[0] == state[1]:
        return state[0]
    g = state[2] * rho + state[3] * v + state[4] * u
    return state[0] + (state[1] - state[0]) / (1 + np.exp(-(g - state[5]) / STATE_WIDTH))


@njit(cache=True)
def _evaluate(v, u, radius, origin_y, origin_x, peak, exponent, lumps, state):
    rho, thickness, level = np.empty(v.size), np.empty(v.size), np.empty(v.size)
    for i in range(v.size):
        rho[i] = _relative_radius(v[i], u[i], radius, origin_y, origin_x)
        thickness[i] = peak * _profile(rho[i], exponent) * _lumpy(v[i], u[i], lumps)
        level[i] = _state(rho[i], v[i], u[i], state)
    return rho, thickness, level


@njit(cache=True)
def _add(total, charged, pose, reach, radius, origin_y, origin_x, peak, exponent, lumps, state, fine):
    """Add a particle's mean thickness in every pixel to `total`, and thickness x state to `charged`."""
    cy, cx, turn, scale = pose[0], pose[1], pose[2], 1 + pose[3]
    c, s = np.cos(turn) / scale, np.sin(turn) / scale
    far = reach * scale + 1
    for i in range(max(0, int(cy - far)), min(total.shape[0], int(cy + far) + 2)):
        for j in range(max(0, int(cx - far)), min(total.shape[1], int(cx + far) + 2)):
            dy, dx = i - cy, j - cx
            if dy * dy + dx * dx > far * far:
                continue
            v, u = c * dy + s * dx, c * dx - s * dy
            rho = _relative_radius(v, u, radius, origin_y, origin_x)
            if rho < FINE_FROM:
                profile = _profile(rho, exponent)
            else:
                profile = 0.0
                for a in range(fine):
                    for b in range(fine):
                        py, px = dy + (a + 0.5) / fine - 0.5, dx + (b + 0.5) / fine - 0.5
                        q = _relative_radius(c * py + s * px, c * px - s * py, radius, origin_y, origin_x)
                        profile += _profile(q, exponent)
                profile /= fine * fine
            if profile > 0:
                # lumps and state hardly change within a pixel: their value at its centre stands for all of it
                profile *= peak * _lumpy(v, u, lumps)
                total[i, j] += profile
                charged[i, j] += profile * _state(rho, v, u, state)


def add_body(total: np.ndarray, charged: np.ndarray, body: Body, pose, state, *, fine: int = 4) -> None:
    """Add a particle to a frame, in place.

    Parameters
    ----------
    total, charged : (y, x) float64 array
        Thickness, and thickness times state; means over each pixel.
    body : Body
    pose : (float, float, float, float)
        Centre y and x in px, turn in radians, breathing.
    state : tuple
        From `state_of`.
    fine : int
        Points along each edge of a pixel near the outline.
    """
    _add(
        total, charged, np.asarray(pose, float), body.reach, body.radius, *body.origin, body.peak, body.exponent,
        body.lumps, np.asarray(state, float), fine,
    )  # fmt: skip


def in_own_frame(pose, y, x):
    """Return the offsets (v, u) of pixels at y, x from the centroid of a particle, in its own frame of reference."""
    dy, dx = np.asarray(y, float) - pose[0], np.asarray(x, float) - pose[1]
    c, s = np.cos(pose[2]) / (1 + pose[3]), np.sin(pose[2]) / (1 + pose[3])
    return c * dy + s * dx, c * dx - s * dy
