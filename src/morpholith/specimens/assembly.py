"""An electrode whose every body is known: its images on any grid, and its true numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from .. import _checks
from ..errors import InputError
from .solids import Bodies

if TYPE_CHECKING:
    import pandas as pd

    from .electrodes import Electrode

SLAB_VOXELS = 12_000_000  # of the fine grid in memory at a time


@dataclass(frozen=True)
class Packing:
    """An electrode whose every body is known.

    Attributes
    ----------
    params : Electrode
    bodies : Bodies
        Those that reach into the specimen, and some around it.
    label : (n,) int array
        Label of each body in images and tables; ascending.
    neck_um : float
        Binder is where the distances to the nearest two bodies add up to less than this; 0 for none.
    origin : (n,) int array
        Equal for periodic images of the same particle.
    excess : float
        Overlap beyond the allowed one that the packing could not resolve, as a share of the contact distance.
    growth : float
        Median factor by which diameters have grown since they were drawn; 1 before cycling.
    extra : mapping of str to (n,) array
        Further columns of `particles`: `expansion` and displacements after `cycled`.
    """

    params: Electrode
    bodies: Bodies
    label: np.ndarray
    neck_um: float
    origin: np.ndarray
    excess: float = 0.0
    growth: float = 1.0
    extra: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def size_um(self) -> tuple[float, float, float]:
        """Edges (z, y, x) of the specimen."""
        return self.params.size_um

    def shape(self, spacing) -> tuple[int, int, int]:
        """Return how many voxels of that size the specimen has along z, y, x (rounded)."""
        spacing = _checks.spacing(spacing, 3)
        nz, ny, nx = (round(s / v) for s, v in zip(self.size_um, spacing, strict=True))
        if min(nz, ny, nx) < 1:
            raise InputError(f"`spacing` {spacing} um is larger than the specimen of {self.size_um} um.")
        return nz, ny, nx

    def labels(self, spacing) -> np.ndarray:
        """Return the particle each voxel centre belongs to: (z, y, x) int32, 0 outside all and in cracks."""
        owner = self._owner(spacing)
        names = np.concatenate([[0], self.label]).astype(np.int32)
        return names[np.maximum(owner, 0)]

    def phases(self, spacing) -> np.ndarray:
        """Return the phase of each voxel centre: (z, y, x) uint8, 0 pore (and cracks), 1 active, 2 binder."""
        return self._phases(self._owner(spacing), spacing=_checks.spacing(spacing, 3))

    def occupancy(self, spacing, *, supersample: int = 3) -> tuple[np.ndarray, np.ndarray]:
        """Return the share of each voxel that is active, and that is binder.

        Parameters
        ----------
        spacing : (float, float, float)
            um.
        supersample : int
            Points along each edge of a voxel; shares come in steps of 1 / supersample^3.

        Returns
        -------
        active, binder : (z, y, x) float32 arrays
        """
        from .raster import shares

        spacing = np.array(_checks.spacing(spacing, 3))
        shape = self.shape(spacing)
        s = supersample
        fine = spacing / s
        active, binder = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        thick = max(1, SLAB_VOXELS // (shape[1] * shape[2] * s**3))
        for z in range(0, shape[0], thick):
            n = min(thick, shape[0] - z)
            origin = (np.array([z, 0, 0]) - 0.5) * spacing + 0.5 * fine
            grid = (n * s, shape[1] * s, shape[2] * s)
            phase = self._phases(self._owner(fine, grid, origin), spacing=fine, origin=origin)
            active[z : z + n], binder[z : z + n] = shares(phase, s)
        # sums of 1 / s^3 in float32 end a little beside the round numbers
        return np.minimum(active, 1), np.minimum(binder, 1)

    @cached_property
    def particles(self) -> pd.DataFrame:
        """One row a particle of the specimen, index `label`; see `table`."""
        return self.table()

    def table(self, spacing=None) -> pd.DataFrame:
        """Return the exact particles, those cut by the faces included.

        Parameters
        ----------
        spacing : (float, float, float), optional
            Judge what is cut by the voxel image's box instead of by the specimen's.

        Returns
        -------
        DataFrame
            Index `label`. Of the whole particle, analytic: ``z_um, y_um, x_um`` (centre of the spheroid),
            ``volume_um3`` and ``surface_um2`` (outer, crack not taken off), ``diameter_um`` (sphere of equal volume),
            ``sphericity`` (Wadell), ``semi_long_um, semi_mid_um, semi_short_um``, ``aspect`` (along the axis of
            symmetry over across), ``axis_z, axis_y, axis_x`` (axis of symmetry), ``crack_volume_um3``,
            ``crack_width_um``; ``touches_edge`` (a face of the box cuts it), ``inside_fraction`` (share of its volume
            within the box: sampled, 4096 points).
        """
        from .exact import particle_table

        return particle_table(self, *self.box(spacing))

    @cached_property
    def truth(self) -> dict[str, float]:
        """The true numbers of the specimen 0 .. size_um; see `exact`."""
        return self.exact()

    def exact(self, spacing=None) -> dict[str, float]:
        """Return the true numbers, each with its standard error where it is sampled; see `exact.truth`.

        Parameters
        ----------
        spacing : (float, float, float), optional
            Speak about the box that a voxel image covers, which lies half a voxel lower than the specimen.
        """
        from .exact import truth

        return truth(self, *self.box(spacing))

    def profile(self, n: int, *, axis: int = 0, spacing=None) -> pd.DataFrame:
        """Return the true fractions in `n` slabs across an axis; see `exact.profile`."""
        from .exact import profile

        return profile(self, *self.box(spacing), n=n, axis=axis)

    def contacts(self, spacing=None) -> pd.DataFrame:
        """Return the pairs of particles that overlap, with their necks; see `necks.necks`."""
        from .necks import necks

        return necks(self, *self.box(spacing))

    def box(self, spacing=None) -> tuple[np.ndarray, np.ndarray]:
        """Return the lower and upper corner of the specimen, or of its image on a grid, um."""
        if spacing is None:
            return np.zeros(3), np.array(self.size_um)
        spacing = np.array(_checks.spacing(spacing, 3))
        return -0.5 * spacing, (np.array(self.shape(spacing)) - 0.5) * spacing

    def _owner(self, spacing, shape=None, origin=(0.0, 0.0, 0.0)):
        from .raster import owners

        spacing = _checks.spacing(spacing, 3)
        return owners(self.bodies, shape or self.shape(spacing), spacing=spacing, origin=origin)

    def _phases(self, owner, *, spacing, origin=(0.0, 0.0, 0.0)):
        from .raster import bridges

        phase = (owner > 0).astype(np.uint8)
        if self.neck_um:
            near = bridges(self.bodies, owner, spacing=spacing, within_um=self.neck_um, origin=origin)
            phase[np.isfinite(near)] = 2
        return phase
