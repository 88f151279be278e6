"""Volume of each particle from its grey levels: voxels at its surface count with the share they are filled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .. import columns
from ..errors import InputError
from . import _volumes

if TYPE_CHECKING:
    import pandas as pd

REACH_VOXELS = 2.6
"""How far blur and partial volumes spread about a surface, in voxels (edge of the cube of equal volume)."""

SAMPLES = 60_000  # voxels of a phase that its grey level is read from
VOLUME_SE, VOLUME_VOXELS = "volume_se_um3", "volume_voxels_um3"
ACTIVE_LEVEL, PORE_LEVEL = "active_level", "pore_level"


def grey_volumes(
    grey: np.ndarray,
    labels: np.ndarray,
    *,
    spacing: Sequence[float],
    reach_um: float | None = None,
    levels: tuple[float, float] | None = None,
) -> pd.DataFrame:
    """Measure the volume of each particle with partial-volume correction.

    Parameters
    ----------
    grey : (z, y, x) array
        Before any threshold; denoised or not.
    labels : (z, y, x) int array
        Particles; 0 is outside. Holes inside a particle (cracks, pores) count as particle.
    spacing : (float, float, float)
        Voxel edges (z, y, x) in um.
    reach_um : float, optional
        How far a surface is smeared to both sides; by default 2.6 voxels.
    levels : (float, float), optional
        Grey levels of pore and of active material; by default read from the volume, each as a second-order surface
        over position, so that beam hardening and drift do no harm.

    Returns
    -------
    DataFrame
        Index `label`: ``z_um, y_um, x_um`` (centroid of the voxels), ``volume_um3``, ``volume_se_um3`` (from noise),
        ``volume_voxels_um3`` (voxels counted), ``active_level``, ``pore_level`` (at its place), ``touches_edge``.
        Empty where there are no labels.

    Raises
    ------
    InputError
        Shapes differ, the grey volume is not numeric, or active material is not brighter than pore.

    Notes
    -----
    V = voxel volume x (n_core + sum over rim and shell of (I - I_pore) / (I_active - I_pore)): voxels farther than
    the reach from the surface count whole, the others, to the reach outside the label, with the share their grey
    level says. A voxel between two particles goes to the nearer one. The sum does not depend, to first order, on
    where the threshold put the surface. Carbon and binder at the surface count with their grey level, some per
    cent of the volume; in a ratio of two volumes most of that cancels.
    """
    from . import _grey_volume as kernel

    labels = _volumes.labels(labels)
    voxel = _volumes.spacing(spacing)
    grey = _volumes.grey(grey, labels.shape)
    filled = fill_holes(labels)
    n = int(filled.max(initial=0))
    edge = float(np.prod(voxel) ** (1 / 3))
    reach = REACH_VOXELS * edge if reach_um is None else float(reach_um)
    if not reach >= max(voxel):
        raise InputError(f"`reach_um` must be a voxel at least ({max(voxel):g} um), got {reach:g}.")
    moments = kernel.moments(filled, n)
    names = np.flatnonzero(moments[:, 0] > 0)
    if len(names) == 0:
        return _table(names, np.zeros((0, 3)), *(np.zeros(0),) * 6)
    sums, zone = kernel.zones(filled, np.nan_to_num(grey), *kernel.ball(reach, voxel), n)
    centre = moments[names, 1:4] / moments[names, :1] * voxel
    active, pore, noise = _grey_levels(grey, zone, voxel, centre, levels)
    contrast = active - pore
    sums = sums[names]
    part = (sums[:, kernel.GREY] - sums[:, kernel.SHELL] * pore) / contrast
    unit = float(np.prod(voxel))
    return _table(
        names,
        centre,
        unit * (sums[:, kernel.CORE] + part),
        unit * np.sqrt(sums[:, kernel.SHELL]) * noise / contrast,
        unit * moments[names, 0],
        active,
        pore,
        moments[names, 4],
    )


def fill_holes(labels: np.ndarray) -> np.ndarray:
    """Return the labels with every hole that a single particle surrounds given to that particle."""
    from scipy import ndimage as ndi

    from . import _grey_volume as kernel

    holes, n = ndi.label(labels == 0)
    if n <= 1:
        return labels
    low, high = kernel.neighbours_of_holes(labels, holes, n)
    owner = np.where((low == high) & (high > 0), high, 0).astype(labels.dtype)
    return np.where(labels == 0, owner[holes], labels)


def _table(names, centre, volume, error, counted, active, pore, edge):
    import pandas as pd

    return pd.DataFrame(
        {
            columns.Z: centre[:, 0],
            columns.Y: centre[:, 1],
            columns.X: centre[:, 2],
            columns.VOLUME: volume,
            VOLUME_SE: error,
            VOLUME_VOXELS: counted,
            ACTIVE_LEVEL: active,
            PORE_LEVEL: pore,
            columns.TOUCHES_EDGE: np.asarray(edge, bool),
        },
        index=pd.Index(names, name=columns.LABEL, dtype=np.int64),
    )


def _grey_levels(grey, zone, voxel, centre, given):
    """Grey level of active material and pore at each centre, and the noise as it adds up in sums of voxels."""
    core, outside = zone < -1, zone == -1
    if given is None:
        active = _surface(grey, core, voxel, centre, mode=False)
        pore = _surface(grey, outside, voxel, centre, mode=True)
    else:
        pore, active = (np.full(len(centre), float(v)) for v in given)
    if np.isnan(active).any() or np.isnan(pore).any():
        raise InputError(
            "no voxel lies deep enough inside particles, or outside them, to read a grey level; give `levels`, or "
            "take a finer volume."
        )
    if not (active > pore).all():
        raise InputError(
            f"active material ({np.median(active):.4g}) must be brighter than pore ({np.median(pore):.4g}); "
            "invert the grey levels, or check that the labels belong to this volume."
        )
    return active, pore, _noise(grey, core if core.sum() > 1000 else outside)


def _surface(grey, where, voxel, centre, *, mode):
    """Second-order surface through the grey levels of some voxels, at the centres; NaN without voxels."""
    flat = np.flatnonzero(where.ravel() & np.isfinite(grey.ravel()))
    if len(flat) < 30:
        return np.full(len(centre), np.nan)
    flat = flat[:: max(1, len(flat) // SAMPLES)]
    place = np.stack(np.unravel_index(flat, grey.shape), 1) * np.asarray(voxel)
    value = grey.ravel()[flat].astype(float)
    middle, width = place.mean(0), place.std(0) + 1e-9
    design = _second_order((place - middle) / width)
    keep = np.ones(len(value), bool)
    for _ in range(12):
        b = np.linalg.lstsq(design[keep], value[keep], rcond=None)[0]
        off = value - design @ b
        # binder is brighter than pore: its spread is read from the dark side and the bright side is cut
        side = off[off < 0] if mode and (off < 0).any() else off
        spread = 1.4826 * np.median(np.abs(side)) + 1e-9
        new = np.abs(off) < (1.5 if mode else 3.0) * spread
        if (new == keep).all() or new.sum() < 20:
            break
        keep = new
    return _second_order((centre - middle) / width) @ b


def _second_order(p):
    z, y, x = p.T
    return np.stack([np.ones_like(z), z, y, x, z * z, y * y, x * x, z * y, z * x, y * x], 1)


def _noise(grey, where):
    """Standard deviation of one voxel times what neighbours' correlation makes of it in a sum."""
    if where.sum() < 100:
        return 0.0
    from scipy import ndimage as ndi

    level = float(np.median(grey[where]))
    spread = 1.4826 * float(np.median(np.abs(grey[where] - level)))
    off = np.where(where & (np.abs(grey - level) < 4 * spread), grey - level, 0).astype(np.float32)
    # shading is no noise
    off = np.where(off != 0, off - ndi.gaussian_filter(off, 6), 0)
    together = 1.0
    variance = float((off[off != 0] ** 2).mean()) if (off != 0).any() else 0.0
    for axis in range(3):
        total = 1.0
        for lag in (1, 2, 3):
            one = np.take(off, np.arange(lag, off.shape[axis]), axis)
            two = np.take(off, np.arange(0, off.shape[axis] - lag), axis)
            both = (one != 0) & (two != 0)
            if both.sum() > 100 and variance > 0:
                total += 2 * max(float((one[both] * two[both]).mean()) / variance, 0.0)
        together *= total
    return float(np.sqrt(variance * together))
