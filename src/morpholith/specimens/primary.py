"""The relief that primary particles give to the surface of an agglomerate.

A tile is a periodic height map made of many overlapping crystals of one habit; where they overlap the highest
one is seen. Needles are rods lying on the surface, plates stand on their edges at random tilts, polyhedra are
intergrown convex crystals.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from scipy import ndimage as ndi

HABITS = ("needle", "plate", "polyhedral")


@dataclass(frozen=True)
class Habit:
    """Shape of the primary particles.

    Parameters
    ----------
    kind : {"needle", "plate", "polyhedral"}
    thickness_um : float
        Diameter of a needle, thickness of a plate, edge of a polyhedron's smallest facet.
    length_um : float
        Length of a needle, diameter of a plate or a polyhedron.
    rounding_um : float
        Standard deviation of a Gaussian that rounds edges and fills notches, as ripening does; 0 leaves them sharp.
    """

    kind: str = "plate"
    thickness_um: float = 0.12
    length_um: float = 0.6
    rounding_um: float = 0.0

    def __post_init__(self):
        if self.kind not in HABITS:
            raise ValueError(f"`kind` must be one of {HABITS}, got {self.kind!r}.")
        if not 0 < self.thickness_um <= self.length_um:
            raise ValueError(
                f"a crystal needs 0 < thickness <= length, got {self.thickness_um} and {self.length_um} um."
            )
        if not 0 <= self.rounding_um <= self.thickness_um:
            raise ValueError(f"`rounding_um` must lie between 0 and the thickness, got {self.rounding_um}.")


def relief(habit: Habit, *, spacing: float, size: int = 768, rng=0) -> np.ndarray:
    """Return a periodic height map in um of a surface covered with primary particles.

    Parameters
    ----------
    habit : Habit
    spacing : float
        Pixel size of the map in um.
    size : int
        Edge of the square map in pixels.
    rng : Generator or int

    Returns
    -------
    (size, size) float32 array
        Heights with zero mean.
    """
    rng = np.random.default_rng(rng)
    length, thick = habit.length_um / spacing, habit.thickness_um / spacing
    draw = {"needle": _needles, "plate": _plates, "polyhedral": _polyhedra}[habit.kind]
    height = np.full((size, size), -np.inf, np.float32)
    draw(height, length, max(thick, 1.2), rng)
    low = np.quantile(height[np.isfinite(height)], 0.02)
    height = np.maximum(height, low) * np.float32(spacing)
    if habit.rounding_um > 0:
        height = ndi.gaussian_filter(height, habit.rounding_um / spacing, mode="wrap", truncate=3)
    return height - height.mean()


def _sizes(n, typical, spread, rng):
    return (typical * np.exp(spread * rng.standard_normal(n))).astype(np.float32)


def _needles(height, length, thick, rng):
    n = int(7 * height.size / (length * thick)) + 8
    angle = rng.uniform(0, np.pi, n)
    _draw_laths(
        height,
        rng.uniform(0, height.shape[0], (n, 2)).astype(np.float32),
        angle.astype(np.float32),
        _sizes(n, length, 0.25, rng),
        _sizes(n, 0.5 * thick, 0.2, rng),
        rng.uniform(-1.2, 1.2, n).astype(np.float32) * thick,
        rng.normal(0, 0.22, n).astype(np.float32),
        np.zeros(n, np.float32),
        True,
    )


def _plates(height, length, thick, rng):
    tilt = np.deg2rad(rng.uniform(48, 86, size=int(9 * height.size / (length * (0.3 * length + thick))) + 8))
    n = tilt.size
    size = _sizes(n, length, 0.25, rng)
    _draw_laths(
        height,
        rng.uniform(0, height.shape[0], (n, 2)).astype(np.float32),
        rng.uniform(0, 2 * np.pi, n).astype(np.float32),
        size,
        (0.5 * size * np.cos(tilt) + 0.5 * thick).astype(np.float32),
        rng.uniform(-0.25, 0.25, n).astype(np.float32) * length,
        rng.normal(0, 0.08, n).astype(np.float32),
        np.tan(np.minimum(tilt, 1.25)).astype(np.float32),
        False,
    )


@njit(cache=True)
def _draw_laths(height, centre, angle, length, half_width, base, slope, face_slope, is_round):
    """Draw rods (`is_round`) or discs on edge: along a the length, along b the width, highest wins."""
    size = height.shape[0]
    for k in range(angle.size):
        c, s = np.cos(angle[k]), np.sin(angle[k])
        half, w = 0.5 * length[k], half_width[k]
        reach_y = int(abs(s) * half + abs(c) * w) + 2
        reach_x = int(abs(c) * half + abs(s) * w) + 2
        y0, x0 = int(centre[k, 0]), int(centre[k, 1])
        for y in range(y0 - reach_y, y0 + reach_y + 1):
            for x in range(x0 - reach_x, x0 + reach_x + 1):
                dy, dx = y - centre[k, 0], x - centre[k, 1]
                a, b = (c * dx + s * dy) / half, (-s * dx + c * dy) / w
                if abs(a) >= 1 or abs(b) >= 1:
                    continue
                if is_round:
                    end = min(1.0, 4.0 * (1 - abs(a)))  # blunt tips
                    z = base[k] + slope[k] * a * half + w * np.sqrt(1 - b * b) * end
                else:
                    rim = np.sqrt(1 - a * a)  # a round plate: its edge is an arc
                    if b > rim:
                        continue
                    z = base[k] + slope[k] * a * half + face_slope[k] * w * b
                yy, xx = y % size, x % size
                if z > height[yy, xx]:
                    height[yy, xx] = z


def _polyhedra(height, length, thick, rng):
    n = int(5 * height.size / length**2) + 6
    n_facets = 7
    azimuth = (rng.uniform(0, 2 * np.pi, (n, 1)) + np.arange(n_facets) * 2 * np.pi / n_facets).astype(np.float32)
    azimuth += rng.normal(0, 0.25, azimuth.shape).astype(np.float32)
    size = _sizes(n, 0.5 * length, 0.22, rng)
    _draw_polyhedra(
        height,
        rng.uniform(0, height.shape[0], (n, 2)).astype(np.float32),
        size,
        azimuth,
        rng.uniform(0.55, 1.0, azimuth.shape).astype(np.float32),
        np.tan(np.deg2rad(rng.uniform(38, 78, azimuth.shape))).astype(np.float32),
        rng.normal(0, 0.22, (n, 2)).astype(np.float32),
        (rng.uniform(-0.3, 0.3, n) * length).astype(np.float32),
        float(thick),
    )


@njit(cache=True)
def _draw_polyhedra(height, centre, size, azimuth, distance, steep, tilt, base, thick):
    """Draw convex crystals: a tilted top facet cut by side facets, highest wins."""
    n_pixels = height.shape[0]
    for k in range(size.size):
        reach = int(1.3 * size[k]) + 2
        y0, x0 = int(centre[k, 0]), int(centre[k, 1])
        for y in range(y0 - reach, y0 + reach + 1):
            for x in range(x0 - reach, x0 + reach + 1):
                dy, dx = y - centre[k, 0], x - centre[k, 1]
                z = base[k] + tilt[k, 0] * dy + tilt[k, 1] * dx
                lowest = z
                for f in range(azimuth.shape[1]):
                    out = np.cos(azimuth[k, f]) * dx + np.sin(azimuth[k, f]) * dy
                    side = base[k] + steep[k, f] * (distance[k, f] * size[k] - out)
                    lowest = min(lowest, side)
                if lowest < base[k] - max(0.8 * size[k], thick):
                    continue
                yy, xx = y % n_pixels, x % n_pixels
                if lowest > height[yy, xx]:
                    height[yy, xx] = lowest
