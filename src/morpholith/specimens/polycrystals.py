"""A virtual particle of many grains: exact labels on any plane and in any volume, and the shapes of its grains."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from .. import _checks
from ..errors import InputError
from ._seeding import Grains, reach_um, seeded
from .architectures import Interior
from .crystals import NMC, Crystal, crystal_orientations
from .waves import Waves

if TYPE_CHECKING:
    import pandas as pd

    from .cuts import VirtualSection

LEVEL = 1.6  # values of the metrics that are looked at first; raised where a point is not yet decided
TRUTH_VOXELS = 9  # voxels along the diameter of a mean grain, for its truth


@dataclass(frozen=True)
class VirtualPolycrystal:
    """A particle of grains about the origin.

    Grains 1 to `n_grains` have their seeds inside the outline. With `surface` "grains" these are the particle; with
    "cut" others, of higher number, reach into it too.

    Parameters
    ----------
    params : Interior
    grains : Grains
        Generators, those with seeds inside the outline first.
    n_grains : int
    outline : Waves
        Departure of the radius from the sphere, a field on directions.
    wander : Waves
        Displacement of boundaries.
    quaternions : (n, 4) array
        Crystal orientation of all grains, turning crystal into particle directions, both as (x, y, z).
    crystal : Crystal
    """

    params: Interior
    grains: Grains
    n_grains: int
    outline: Waves
    wander: Waves
    quaternions: np.ndarray
    crystal: Crystal = NMC

    @cached_property
    def reach_um(self) -> float:
        """How far the particle reaches from its centre along any axis, safely."""
        rim = self._rim()
        return rim + reach_um(self.params) if self.params.surface == "grains" else rim

    def radius(self, directions: np.ndarray) -> np.ndarray:
        """Radius of the outline (...) along unit directions (..., 3), um."""
        return _radius(self.params, self.outline, directions)

    def labels(self, spacing: float) -> np.ndarray:
        """Label the volume on cubes of an edge of `spacing` um.

        Returns
        -------
        (z, y, x) int32 array
            The centre of the particle is the centre of the array, (n - 1) / 2 along each axis. 0 outside.
        """
        spacing = _checks.positive(spacing, name="spacing")
        volume = np.stack([plane for _, plane in self._planes(spacing)])
        if not volume.any():
            raise InputError(f"no voxel of {spacing:g} um lies in the particle; take smaller ones.")
        clear = min(int(np.argmax(there)) for there in _profiles(volume))
        n = len(volume)
        return volume[(slice(clear, n - clear),) * 3].copy()

    def _axis(self, spacing) -> np.ndarray:
        half = int(np.ceil(self.reach_um / spacing))
        return spacing * np.arange(-half, half + 1)

    def _planes(self, spacing):
        """Yield height and labels of the planes of a cube around the particle."""
        at = self._axis(spacing)
        raster = _Raster(self, np.eye(3))
        for z in at:
            yield z, raster.plane(float(z), at, at)

    @cached_property
    def truth(self) -> pd.DataFrame:
        """Shapes of all grains of the particle in 3D, one row a grain, on voxels of a ninth of a mean grain."""
        return self.shapes(self.params.size_um * (1 - abs(self.params.gradient)) / TRUTH_VOXELS)

    def shapes(self, spacing: float) -> pd.DataFrame:
        """Measure all grains in 3D on cubes of an edge of `spacing` um; see `grain_truth.shape_table`."""
        from ._grain_raster import add_moments
        from .grain_truth import shape_table

        n = len(self.grains.seeds)
        moments, bare = np.zeros((n + 1, 10)), np.zeros(n + 1, np.int64)
        at = self._axis(spacing)
        empty = np.zeros((len(at), len(at)), np.int32)
        below, plane, z = empty, empty, 0.0
        for z_above, above in itertools.chain(self._planes(spacing), [(0.0, empty)]):
            add_moments(plane, below, above, z, at, at, moments, bare)
            below, plane, z = plane, above, z_above
        return shape_table(self, moments, bare, spacing)

    def section(
        self,
        height_um: float = 0.0,
        step_um: float = 0.05,
        angle_deg: float = 0.0,
        *,
        normal: tuple[float, float, float] = (1.0, 0.0, 0.0),
        grid: str = "square",
        margin_um: tuple[float, float] = (0.4, 0.8),
        offset_px: tuple[float, float] = (0.0, 0.0),
    ) -> VirtualSection:
        """Cut the particle; see `cuts.cut`."""
        from .cuts import cut

        return cut(
            self, height_um, step_um, angle_deg, normal=normal, grid=grid, margin_um=margin_um, offset_px=offset_px
        )

    def _rim(self) -> float:
        from .cuts import spread_directions

        return float(self.radius(spread_directions(2000)).max()) * 1.005

    def raster(self, rotation: np.ndarray) -> _Raster:
        """Return what labels planes of a turned frame, in which a point p has the coordinates `rotation` @ p."""
        return _Raster(self, rotation)


def polycrystal(params: Interior, *, rng: np.random.Generator | int, crystal: Crystal = NMC) -> VirtualPolycrystal:
    """Draw a particle of grains.

    Parameters
    ----------
    params : Interior
    rng : Generator or int
    crystal : Crystal
        What the grains are.

    Returns
    -------
    VirtualPolycrystal
        Grain i wins the points x where |F_i (x + w(x) - s_i)|_p - r_i is least: s its seed, F its axes over their
        lengths, r its weight, p the squareness and w a smooth displacement. For p = 2 and no waviness this is a
        generalised balanced power diagram with unsquared norm (paper 001, Eq. 8).
    """
    rng = np.random.default_rng(rng)
    place, turn = rng.spawn(2)
    outline = Waves.drawn(1, 0.7, rng=place)  # on the unit sphere
    wander = Waves.drawn(3, params.waviness_um * params.size_um, rng=place)
    rim = 0.5 * params.diameter_um * (1 + 3.5 * params.lumpiness)
    around = 2 * reach_um(params) if params.surface == "grains" else reach_um(params)
    grains = seeded(params, rim + around, rng=place)
    inside = _inside(params, outline, grains.seeds)
    order = np.argsort(~inside, kind="stable")
    grains = Grains(*(a[order] for a in grains))
    n_seen = int(inside.sum()) if params.surface == "grains" else len(inside)
    q = crystal_orientations(grains, params, crystal, n_seen=n_seen, rng=turn)
    return VirtualPolycrystal(params, grains, int(inside.sum()), outline, wander, q, crystal)


def one_grain(
    diameter_um: float = 4.0, *, lumpiness: float = 0.05, rng: np.random.Generator | int = 0
) -> VirtualPolycrystal:
    """Return a particle that is a single crystal: what a study of grains must not be fooled by."""
    rng = np.random.default_rng(rng)
    params = Interior(
        diameter_um=diameter_um,
        lumpiness=lumpiness,
        size_um=diameter_um,
        surface="cut",
        waviness=0.0,
        aspect_spread=0.0,
    )
    outline, wander = Waves.drawn(1, 0.7, rng=rng), Waves.drawn(3, 1.0, rng=rng)
    grains = Grains(np.zeros((1, 3)), 2 / diameter_um * np.eye(3)[None], np.zeros(1))
    q = rng.standard_normal((1, 4))
    return VirtualPolycrystal(params, grains, 1, outline, wander, q / np.linalg.norm(q))


def _radius(params, outline, directions) -> np.ndarray:
    lump = np.clip(outline.at(directions)[..., 0], -3.5, 3.5)
    return 0.5 * params.diameter_um * (1 + params.lumpiness * lump)


def _inside(params, outline, points) -> np.ndarray:
    """Return which points (..., 3) lie inside the outline."""
    distance = np.linalg.norm(points, axis=-1)
    rim = 0.5 * params.diameter_um
    out = distance < rim * (1 - 3.5 * params.lumpiness)
    unsure = ~out & (distance < rim * (1 + 3.5 * params.lumpiness))
    if unsure.any():
        u = points[unsure] / np.maximum(distance[unsure], 1e-12)[:, None]
        out[unsure] = distance[unsure] < _radius(params, outline, u)
    return out


def _profiles(volume):
    """Return along each axis (and both ways) whether a plane holds any grain."""
    for axes in ((1, 2), (0, 2), (0, 1)):
        there = volume.any(axis=axes)
        yield there
        yield there[::-1]


class _Raster:
    """Labels planes of constant first coordinate of a turned frame."""

    def __init__(self, made: VirtualPolycrystal, rotation: np.ndarray):
        self.made, self.rotation = made, rotation
        g = made.grains
        self.seeds = np.ascontiguousarray(g.seeds @ rotation.T)
        self.frames = np.ascontiguousarray(g.frames @ rotation.T)
        self.weights = g.weights
        self.wander = made.wander.turned(rotation)
        amplitude = made.params.waviness * made.params.size_um
        lengths = 1 / np.linalg.norm(g.frames, axis=2)
        self.amplitude = amplitude
        # displacements are cut off at 4 standard deviations of their length
        self.pads = 4 * amplitude / lengths.min(1)
        self.long = lengths.max(1)
        self.level = LEVEL

    def plane(self, z: float, y: np.ndarray, x: np.ndarray, shift: np.ndarray | None = None) -> np.ndarray:
        """Label the points (ny, nx) at height z; `shift` (ny,) moves rows along x."""
        from ._grain_raster import paint

        made = self.made
        shift = np.zeros(len(y)) if shift is None else shift
        places = np.empty((len(y), len(x), 3))
        places[..., 0], places[..., 1] = z, y[:, None]
        places[..., 2] = x + shift[:, None]
        wanted = (places**2).sum(2) <= made.reach_um**2
        out = np.zeros(wanted.shape, np.int32)
        if not wanted.any():
            return out
        moved = places + self._displacements(z, y, x, shift) if self.amplitude else places
        step = (y[1] - y[0] if len(y) > 1 else 1.0), (x[1] - x[0] if len(x) > 1 else 1.0)
        while True:
            extent = 1.8 * (self.level + self.weights + self.pads) * self.long
            near = np.abs(self.seeds[:, 0] - z) <= extent
            best = np.full(wanted.shape, np.inf)
            winner = np.full(wanted.shape, -1, np.int32)
            paint(
                moved, z, y[0], x[0], shift, *step, self.seeds[near], self.frames[near], self.weights[near],
                self.pads[near], self.level, made.params.squareness, best, winner,
            )  # fmt: skip
            if best[wanted].max() <= self.level:
                break
            self.level *= 1.15
        out[wanted] = np.flatnonzero(near)[winner[wanted]] + 1
        if made.params.surface == "grains":
            out[out > made.n_grains] = 0
        else:
            out[~_inside(made.params, made.outline, places @ self.rotation)] = 0
        return out

    def _displacements(self, z, y, x, shift) -> np.ndarray:
        """Return the displacements (ny, nx, 3) in the turned frame."""
        found = np.empty((len(y), len(x), 3))
        for s in np.unique(shift):
            rows = shift == s
            found[rows] = self.wander.on_grid(z, y[rows], x + s)
        found *= self.amplitude
        length = np.linalg.norm(found, axis=2, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            found *= np.where(length > 4 * self.amplitude, 4 * self.amplitude / length, 1.0)
        return found @ self.rotation.T
