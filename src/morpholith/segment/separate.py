"""Touching particles of a solid told apart, in memory."""

from __future__ import annotations

import warnings

import numpy as np

from .. import _checks
from ..errors import InputError, InputWarning
from ._rules import rules
from ._threads import slabs

Spacing = tuple[float, float, float]


def separate_particles(
    solid: np.ndarray,
    *,
    spacing: Spacing,
    smoothing_um: float | None = None,
    depth_um: float | None = None,
    neck: float = 0.95,
    min_voxels: int = 10,
    min_sphericity: float = 0.5,
    fill: bool = True,
    seeds: np.ndarray | None = None,
) -> np.ndarray:
    """Separate touching particles at their necks.

    Every solid voxel follows the steepest ascent of the (lightly smoothed) distance to the pore up to a peak; the
    basins of peaks that do not stand out are joined, and specks and slivers join a neighbour (the cleaning of paper
    001). All steps are exact and in a fixed order: `separate_blockwise` gives the same voxels.

    Parameters
    ----------
    solid : (z, y, x) bool array
        True in the material the particles are made of.
    spacing : tuple of float
        Voxel edge lengths in um, in array order.
    smoothing_um : float, optional
        Standard deviation of the Gaussian that smooths the distance map; default 0.9 mean voxel edges. 0 for none.
    depth_um : float, optional
        A peak that rises less above its highest pass to a higher one is no particle; default 0.2 mean voxel edges.
    neck : float
        Nor is one whose highest pass is above this part of its height: 1 splits at the slightest neck, 0 at none.
    min_voxels, min_sphericity :
        A particle under either joins the neighbour with which it shares most boundary; an isolated one under
        `min_voxels` is dropped. Sphericity is not asked of particles cut by a face of the volume.
    fill : bool
        Fill pores that solid encloses on all sides before the distances are taken: a crack inside a particle does not
        split it. They are 0 in the result all the same.
    seeds : (z, y, x) int array, optional
        One number a particle, 0 elsewhere, from a network or by hand: particles then grow from these, and `depth_um`
        and `neck` are not used. Pieces of solid that no seed touches become particles of their own.

    Returns
    -------
    (z, y, x) int32 array
        Particles 1..n in the order of their first voxels, 0 in pore. Particles cut by a face of the volume are kept;
        `cut_particles` names them. What lies beyond the faces counts as unknown, not as pore.

    Raises
    ------
    InputError
        `solid` is no boolean volume, `spacing` or a threshold makes no sense, or `seeds` do not fit.
    """
    from .adjacency import graph, numbered
    from .basins import directions, flood, follow
    from .fill import filled
    from .merge import clean, particles

    solid = boolean(solid)
    spacing = _checks.spacing(spacing, 3)
    limits = rules(spacing, smoothing_um, depth_um, neck, min_voxels, min_sphericity)
    given = None if seeds is None else _seeds(seeds, solid)
    if not solid.any():
        warnings.warn("there is no solid voxel, so there are no particles.", InputWarning, stacklevel=2)
        return np.zeros(solid.shape, np.int32)
    height = landscape(filled(solid) if fill else solid, spacing=spacing, smoothing_um=limits.smoothing_um)
    low, high = (0, 0, 0), solid.shape
    if given is None:
        labels, roots = follow(directions(height, spacing=spacing), low, high)
        basins = graph(labels, height, solid, len(roots) - 1, low=low, high=high)
        table = particles(basins, spacing=spacing, rules=limits)
    else:
        labels, n = flood(height, given)
        grown = graph(labels, height, solid, n, low=low, high=high)
        table = numbered(grown.first, clean(grown, spacing=spacing, rules=limits))
    return relabel(labels, table, solid)


def cut_particles(labels: np.ndarray) -> np.ndarray:
    """Return the labels that touch a face of the volume, sorted: cut particles, of unknown size and shape.

    Parameters
    ----------
    labels : (z, y, x) int array

    Returns
    -------
    (m,) int array
    """
    from .fill import touching

    found = touching(np.asarray(labels))
    return found[found > 0]


def landscape(solid: np.ndarray, *, spacing: Spacing, smoothing_um: float) -> np.ndarray:
    """Return the distance to the pore, smoothed, -1 in pore: the height map whose basins are the particles.

    Parameters
    ----------
    solid : (z, y, x) bool array
    spacing : tuple of float
    smoothing_um : float
        Standard deviation; 0 for none.

    Returns
    -------
    (z, y, x) float32 array
        In um; 1 throughout where there is no pore at all.
    """
    from .distance import distance

    height = distance(solid, spacing=spacing)
    if np.isinf(height.max(initial=0)):
        height[...] = 1
    return shaped(height, solid, spacing=spacing, smoothing_um=smoothing_um)


def shaped(height: np.ndarray, solid: np.ndarray, *, spacing: Spacing, smoothing_um: float) -> np.ndarray:
    """Smooth a distance map in place and sink the pore to -1."""
    from .distance import smooth

    smooth(height, sigma_um=smoothing_um, spacing=spacing)
    for plane, here in zip(height, solid, strict=True):
        plane[~here] = -1
    return height


def relabel(labels: np.ndarray, table: np.ndarray, solid: np.ndarray) -> np.ndarray:
    """Replace every label k by ``table[k]``, in place, and by 0 where there is no solid; return the labels."""

    def part(a, b):
        for z in range(a, b):
            labels[z] = table[labels[z]]
            labels[z] *= solid[z]

    slabs(part, len(labels))
    return labels


def boolean(solid: np.ndarray, *, name: str = "solid") -> np.ndarray:
    """Return a boolean volume, or say what came instead."""
    solid = np.asarray(solid)
    if solid.ndim != 3:
        raise InputError(f"`{name}` must be a volume (z, y, x), got shape {solid.shape}.")
    if solid.dtype != bool:
        raise InputError(
            f"`{name}` must be boolean, True in the active material; got {solid.dtype}. "
            "For a volume of phases pass `phases == 1`."
        )
    return solid


def _seeds(seeds, solid):
    seeds = np.asarray(seeds)
    if seeds.shape != solid.shape or seeds.dtype.kind not in "ui":
        raise InputError(
            f"`seeds` must be integer labels of the shape of `solid` {solid.shape}, got {seeds.dtype} {seeds.shape}."
        )
    if seeds.min(initial=0) < 0:
        raise InputError(f"`seeds` must be 0 or positive, got {seeds.min()}.")
    if seeds.max(initial=0) > seeds.size:
        seeds = np.unique(seeds, return_inverse=True)[1].reshape(seeds.shape) + int(seeds.all())
    return np.where(solid, seeds, 0).astype(np.int32)
