"""Profiles of an electrode through its thickness."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .. import columns
from ..errors import InputError
from . import _volumes
from .representative import Scatter, fraction_quantity, low_modes, mean_quantity, scatter_of
from .surface3d import area_cells, areas_of_cells

if TYPE_CHECKING:
    import pandas as pd

PHASES = {"porosity": 0, "active_fraction": 1, "binder_fraction": 2}
N_LAYERS = 20
CELLS = 64  # of a layer along its longer edge


def through_thickness(
    phases: np.ndarray,
    *,
    spacing: Sequence[float] | float,
    axis: int | str = 0,
    n_layers: int | None = None,
    particles: pd.DataFrame | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Fractions, surface and particle size in layers across one axis, each with the interval of its layer.

    Parameters
    ----------
    phases : (z, y, x) int array
        0 pore, 1 active material, 2 carbon-binder.
    spacing : (float, float, float)
        Voxel edges in um.
    axis : {0, 1, 2, "z", "y", "x"}
        Across the layers; 0 is through the thickness of an electrode.
    n_layers : int, optional
        By default 20, or as many as there are voxels.
    particles : DataFrame, optional
        From `solid_particles` of the same volume: adds `diameter_um`.
    level : float

    Returns
    -------
    DataFrame
        One row a layer: `position_um` (its middle, from the outer face of the first voxel), `thickness_um`, and with
        `_low` and `_high` beside each: `porosity`, `active_fraction`, `binder_fraction`, `surface_um2_per_um3` (of
        the active material). `diameter_um` is the volume-weighted mean diameter of the particles whose centre lies
        in the layer, NaN without `particles` or where there is none. An empty volume gives no rows. Ends are NaN
        where a layer cannot tell.

    Notes
    -----
    A layer is averaged across, and the spectrum of the plane field that remains gives the interval, as for
    `phase_fraction`: it allows for the correlation within the layer. It is for an endlessly wide layer at this
    depth of this electrode. Neighbouring layers thinner than a particle are correlated.
    """
    import pandas as pd

    volume = np.asarray(phases)
    if volume.ndim != 3 or volume.dtype.kind not in "bui":
        raise InputError(f"`phases` must be a volume (z, y, x) of phase numbers, got {volume.dtype} {volume.shape}.")
    pixel = _volumes.spacing(spacing)
    along = _volumes.axis(axis)
    level = _volumes.level(level)
    volume = np.moveaxis(volume, along, 0)
    across = (pixel[along], *(s for a, s in enumerate(pixel) if a != along))
    if n_layers is not None and n_layers < 1:
        raise InputError(f"`n_layers` must be 1 or more, got {n_layers!r}.")
    count = min(N_LAYERS if n_layers is None else int(n_layers), volume.shape[0]) if volume.size else 0
    cuts = np.linspace(0, volume.shape[0], count + 1).round().astype(int)
    rows = _layers(volume, cuts, across, level) if count else []
    table = pd.DataFrame(rows, columns=_names())
    table[columns.DIAMETER] = _diameters(particles, along, cuts * pixel[along] - pixel[along] / 2, len(table))
    return table


def _names():
    quantities = [*PHASES, "surface_um2_per_um3"]
    return ["position_um", "thickness_um", *(f"{q}{end}" for q in quantities for end in ("", "_low", "_high"))]


def _layers(volume, cuts, across, level):
    active = np.ascontiguousarray(volume == PHASES["active_fraction"])
    cell = max(1, round(max(volume.shape[1:]) / CELLS))
    cells = area_cells(active, spacing=across, cell=(1, cell, cell))
    rows = []
    for low, high in itertools.pairwise(cuts):
        layer = volume[low:high]
        row = {"position_um": (low + high) / 2 * across[0], "thickness_um": (high - low) * across[0]}
        for name, phase in PHASES.items():
            field = (layer == phase).mean(axis=0, dtype=np.float64)
            scatter = scatter_of(low_modes(field), window=field.shape, spacing=across[1:])
            row |= _ends(name, fraction_quantity(scatter, level=level, method=""))
        row |= _ends("surface_um2_per_um3", _surface(cells[low:high], across, level))
        rows.append(row)
    return rows


def _surface(cells, across, level):
    """Area of the active material per volume of a layer."""
    voxels = float(cells[..., 5].sum())
    density = float(areas_of_cells(cells, spacing=across)) / (voxels * across[0] * across[1] * across[2])
    field = cells[..., 0].sum(axis=0) / np.maximum(cells[..., 5].sum(axis=0), 1)
    scatter = scatter_of(low_modes(field), window=field.shape, spacing=across[1:])
    if density == 0:
        scatter = Scatter(0.0, float("nan"), 0.0, 0)
    return mean_quantity(scatter, value=density, level=level, unit="1/um", method="")


def _ends(name, quantity):
    low, high = (float("nan") if end is None else end for end in (quantity.low, quantity.high))
    return {name: quantity.value, f"{name}_low": low, f"{name}_high": high}


def _diameters(particles, along, cuts_um, n):
    if particles is None or n == 0:
        return np.full(n, np.nan)
    position = particles[(columns.Z, columns.Y, columns.X)[along]].to_numpy(float)
    volume, diameter = (particles[c].to_numpy(float) for c in (columns.VOLUME, columns.DIAMETER))
    layer = np.clip(np.searchsorted(cuts_um, position, side="right") - 1, 0, n - 1)
    total = np.bincount(layer, volume, minlength=n)
    weighted = np.bincount(layer, volume * diameter, minlength=n)
    return np.where(total > 0, weighted / np.where(total > 0, total, 1), np.nan)
