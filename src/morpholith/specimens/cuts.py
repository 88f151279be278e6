"""Plane sections of virtual particles, exact at every point of a map."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _checks
from ..errors import InputError
from .crystals import NMC, Crystal, bunge, from_matrix, product

if TYPE_CHECKING:
    from .polycrystals import VirtualPolycrystal

GRIDS = ("square", "hexagonal")
MOST_POINTS = 50_000_000


@dataclass(frozen=True)
class VirtualSection:
    """A map of a section: the truth at every point, and what is measured there.

    Has the names of `read.OrientationMap` too, so that a section can be given to whatever takes one.

    Parameters
    ----------
    labels : (y, x) int32 array
        True grains, numbered as in the truth of the particle; 0 outside.
    inside : (y, x) bool array
        True section of the particle.
    euler_rad : (y, x, 3) array
        Bunge angles in the frame of the map: x along rows, y down the columns, z = x cross y. NaN where not indexed.
    phase : (y, x) int32 array
        1 upwards; 0 where not indexed.
    confidence, quality : (y, x) float32 array
    spacing : (float, float)
        Distance of rows, and of points in a row, um.
    grid : {"square", "hexagonal"}
        Odd rows of a hexagonal grid lie half a step further along x; their last point is not there.
    centre_px : (float, float)
        Row and column (from 0, in units of `spacing`, the shift of odd rows left out) of the foot of the normal from
        the particle's centre.
    height_um : float
        Distance of the plane from the centre.
    angle_deg : float
        Turn of the map in its plane.
    phases : tuple of Crystal
    """

    labels: np.ndarray
    inside: np.ndarray
    euler_rad: np.ndarray
    phase: np.ndarray
    confidence: np.ndarray
    quality: np.ndarray
    spacing: tuple[float, float]
    grid: str
    centre_px: tuple[float, float]
    height_um: float
    angle_deg: float = 0.0
    phases: tuple[Crystal, ...] = (NMC,)
    shifted_row: int = 1
    provenance: dict = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.labels.shape[0], self.labels.shape[1]

    @property
    def step_um(self) -> float:
        """Distance of points in a row."""
        return self.spacing[1]

    @property
    def valid(self) -> np.ndarray:
        """True where a point is indexed."""
        return self.phase > 0

    @cached_property
    def regions(self) -> np.ndarray:
        """True connected regions, (y, x) int32 from 1: a grain may be cut more than once."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        flat, n = self.labels.ravel(), self.labels.size
        at = np.arange(n).reshape(self.shape)
        links = [(at[:, :-1], at[:, 1:]), (at[:-1], at[1:])]
        if self.grid == "hexagonal":
            odd = np.arange(1, self.shape[0], 2)
            below = odd[odd + 1 < self.shape[0]]
            links += [(at[odd, :-1], at[odd - 1, 1:]), (at[below, :-1], at[below + 1, 1:])]
        a, b = (np.concatenate([link[k].ravel() for link in links]) for k in (0, 1))
        same = (flat[a] == flat[b]) & (flat[a] > 0)
        graph = coo_array((np.ones(int(same.sum()), bool), (a[same], b[same])), shape=(n, n))
        found = connected_components(graph, directed=False)[1]
        found = np.where(flat > 0, found + 1, 0)
        numbers = np.unique(found[found > 0])
        return np.where(found > 0, np.searchsorted(numbers, found) + 1, 0).reshape(self.shape).astype(np.int32)

    @property
    def n_regions(self) -> int:
        """Number of true grain sections."""
        return int(self.regions.max(initial=0))


def cut(
    made: VirtualPolycrystal,
    height_um: float = 0.0,
    step_um: float = 0.05,
    angle_deg: float = 0.0,
    *,
    normal: tuple[float, float, float] = (1.0, 0.0, 0.0),
    grid: str = "square",
    margin_um: tuple[float, float] = (0.4, 0.8),
    offset_px: tuple[float, float] = (0.0, 0.0),
) -> VirtualSection:
    """Cut a particle by a plane and look at it without error.

    Parameters
    ----------
    made : VirtualPolycrystal
    height_um : float
        Distance of the plane from the centre, along `normal`.
    step_um : float
        Distance of points in a row; rows lie as far apart, or sqrt(3)/2 of that on a hexagonal grid.
    angle_deg : float
        Turn of the map in its plane.
    normal : (z, y, x)
        Of the plane.
    grid : {"square", "hexagonal"}
    margin_um : (y, x)
        Clear space around the particle, below and beside it. Different, so that a map is never square.
    offset_px : (y, x)
        Shift of the particle in the map.

    Returns
    -------
    VirtualSection
        Without a point inside where the plane misses the particle.
    """
    _checks.choice(grid, GRIDS, name="grid")
    step = _checks.positive(step_um, name="step_um")
    rows = step * (np.sqrt(3) / 2 if grid == "hexagonal" else 1.0)
    rotation = rotation_to(normal, angle_deg)
    reach = made.reach_um
    y, x = (_axis(reach + m, d) for m, d in zip(margin_um, (rows, step), strict=True))
    if len(y) * len(x) > MOST_POINTS:
        raise InputError(f"a map of {len(y)} x {len(x)} points is too large; take a larger step.")
    y, x = y + offset_px[0] * rows, x + offset_px[1] * step
    shift = np.where(np.arange(len(y)) % 2 == 1, 0.5 * step, 0.0) if grid == "hexagonal" else np.zeros(len(y))
    labels = made.raster(rotation).plane(float(height_um), y, x, shift)
    margins = [int(np.ceil(m / d)) for m, d in zip(margin_um, (rows, step), strict=True)]
    kept_y = _kept(np.any(labels, axis=1), margins[0], even=grid == "hexagonal")
    kept_x = _kept(np.any(labels, axis=0), margins[1], even=False)
    labels, y, x = np.ascontiguousarray(labels[kept_y, kept_x]), y[kept_y], x[kept_x]
    if grid == "hexagonal":
        labels[1::2, -1] = 0
    angles = np.full((made.quaternions.shape[0] + 1, 3), np.nan)
    angles[1:] = bunge(product(from_matrix(rotation), made.quaternions))
    inside = labels > 0
    return VirtualSection(
        labels, inside, angles[labels], inside.astype(np.int32),
        np.where(inside, 1.0, 0.0).astype(np.float32), np.where(inside, 100.0, 20.0).astype(np.float32),
        (float(rows), float(step)), grid, (float(-y[0] / rows), float(-x[0] / step)), float(height_um),
        float(angle_deg), (made.crystal,),
    )  # fmt: skip


def rotation_to(normal: tuple[float, float, float], angle_deg: float = 0.0) -> np.ndarray:
    """Return the rotation (3, 3) on (z, y, x) that turns `normal` onto z, then the plane by an angle from y to x."""
    n = np.asarray(normal, float)
    if n.shape != (3,) or not np.isfinite(n).all() or not np.linalg.norm(n) > 0:
        raise InputError(f"`normal` must be a direction (z, y, x), got {normal!r}.")
    n = n / np.linalg.norm(n)
    aside = np.eye(3)[1] if abs(n[1]) < 0.9 else np.eye(3)[2]
    y = aside - (aside @ n) * n
    y /= np.linalg.norm(y)
    x = np.cross(n, y)  # det [n, y, x] = 1
    c, s = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ np.stack([n, y, x])


def spread_directions(n: int) -> np.ndarray:
    """Return n directions (n, 3), spread evenly over the sphere along a spiral."""
    t = 1 - (2 * np.arange(n) + 1) / n
    phi = np.pi * (1 + 5**0.5) * np.arange(n)
    s = np.sqrt(1 - t * t)
    return np.stack([t, s * np.sin(phi), s * np.cos(phi)], 1)


def _axis(half: float, step: float) -> np.ndarray:
    n = int(np.ceil(half / step))
    return step * np.arange(-n, n + 1)


def _kept(there: Any, margin: int, *, even: bool) -> slice:
    """Return the range of rows (or columns) that hold the particle, and a margin around it."""
    at = np.flatnonzero(there)
    if not len(at):
        middle = len(there) // 2
        return slice(middle - middle % 2, middle - middle % 2 + 2 * max(margin, 1))
    start = max(0, int(at[0]) - margin)
    return slice(start - start % 2 if even else start, int(at[-1]) + margin + 1)
