"""Labelled particles of a volume into the coefficients of their shells."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _checks, columns
from ..errors import InputError
from .harmonics import icosphere
from .shells import basis_on_icosphere, fit_shell, radius_function, random_rotations, rotated, shell_volume

if TYPE_CHECKING:
    import pandas as pd

CAPTURED, SHELL_VOLUME, RESIDUAL, N_VOXELS = "captured_share", "shell_volume_um3", "fit_residual", "n_voxels"
CUT, SMALL, OFF_CENTRE = "cut by a face of the volume", "too few voxels", "centre of mass outside the particle"
SLAB = 1 << 24  # voxels read at a time
WELL_CAPTURED = 0.9


@dataclass(frozen=True)
class VolumeShells:
    """Shells of the particles of a volume.

    Attributes
    ----------
    coefficients : (n, (L + 1)^2) array
        In um, turned at random.
    table : DataFrame
        One row a shell, index `label`: `z_um, y_um, x_um` (the star point: centre of mass), `n_voxels`, `volume_um3`
        (holes filled), `captured_share` (volume within the radius function over that of the particle),
        `shell_volume_um3` (of the harmonics), `fit_residual` (root mean square over the mean radius), `frame_weight`.
    rejected : DataFrame
        Index `label`, column `why`: particles that gave no shell.
    warnings : tuple of str
    """

    coefficients: np.ndarray
    table: pd.DataFrame
    rejected: pd.DataFrame
    warnings: tuple[str, ...] = ()


def shells_of_volume(
    labels: Any,
    *,
    spacing: float | tuple[float, float, float],
    rng: np.random.Generator | int,
    degree: int = 9,
    min_voxels: int = 10,
    keep_cut: bool = False,
) -> VolumeShells:
    """Describe every labelled particle by the spherical harmonics of its radius (paper 001, Eqs. 1 to 3).

    The radius function is taken about the centre of mass, at 642 directions; the fit is turned by a rotation drawn
    anew for each particle, so that voxels and segmentation leave no common direction. (Turning the directions before
    the fit, as printed, gives the same coefficients.)

    Parameters
    ----------
    labels : (z, y, x) array of int
        0 is background; a numpy array, or anything with `shape`, `dtype` and slices that give one (Zarr). It is read
        by slabs and then by the box of each particle. Of a label in several pieces the largest gives the shell.
    spacing : float or (z, y, x)
        In um.
    rng : Generator or int
        For the rotations, one for each shell in the order of the labels.
    degree : int
    min_voxels : int
        Fewer give no shell.
    keep_cut : bool
        Use particles that touch a face of the volume too, whose shape is that of the cut.

    Returns
    -------
    VolumeShells
        Empty where no particle is left; `warnings` says why.

    Raises
    ------
    InputError
        `labels` is no volume of whole numbers from 0 on.

    Notes
    -----
    `frame_weight` is the inverse share of the positions at which a box as large as the particle's would lie wholly in
    the volume (Miles and Lantuejoul): what undoes the loss of large particles at the border. The paper does not.
    """
    import pandas as pd

    edges = np.array(_checks.spacing(spacing, 3))
    boxes, counts = _boxes(labels)
    names: list[int] = []
    rows: list[tuple] = []
    radii: list[np.ndarray] = []
    rejected: dict[int, str] = {}
    for name in np.flatnonzero(counts[1:]) + 1:
        box = boxes[name]
        cut = (box[0] == 0).any() or (box[1] == labels.shape).any()
        found = CUT if cut and not keep_cut else _one(labels, int(name), box, edges, min_voxels)
        if isinstance(found, str):
            rejected[int(name)] = found
            continue
        row, r = found
        share = 1 - (box[1] - box[0]) / np.array(labels.shape)
        names.append(int(name))
        rows.append((*row, 0.0 if cut else 1 / share.prod()))
        radii.append(r)
    kept = ["z_um", "y_um", "x_um", N_VOXELS, columns.VOLUME, CAPTURED, columns.WEIGHT]
    table = pd.DataFrame(rows, columns=kept, index=pd.Index(names, name=columns.LABEL, dtype=np.int64)).astype(
        {c: np.int64 if c == N_VOXELS else np.float64 for c in kept}
    )
    r = np.reshape(radii, (len(radii), len(icosphere())))
    a = fit_shell(r, degree=degree)
    table[RESIDUAL] = np.sqrt(np.mean((a @ basis_on_icosphere(degree).T - r) ** 2, axis=1)) / r.mean(axis=1)
    table[SHELL_VOLUME] = shell_volume(a)
    a = rotated(a, random_rotations(len(a), rng=rng)) if len(a) else a
    lost = pd.DataFrame({"why": pd.Series(rejected, dtype=object)})
    lost.index = lost.index.astype(np.int64).rename(columns.LABEL)
    said = _words(table, lost)
    return VolumeShells(a, table, lost, tuple(said))


def _words(table, lost):
    said = []
    if not len(table):
        why = "; ".join(f"{n} {w}" for w, n in lost["why"].value_counts().items())
        said.append("no particle gives a shell" + (f": {why}." if why else ": the volume has no labels."))
    off = int((lost["why"] == OFF_CENTRE).sum())
    if off:
        said.append(f"{off} particle(s) have their centre of mass outside themselves and give no shell.")
    poor = int((table[CAPTURED] < WELL_CAPTURED).sum())
    if poor:
        said.append(
            f"{poor} of {len(table)} particles are not star-shaped about their centre: less than {WELL_CAPTURED:.0%} "
            "of their volume is within the radius function."
        )
    return said


def _boxes(labels):
    """Lowest and one past the highest voxel of every label, and how many voxels it has, reading slabs."""
    from scipy import ndimage as ndi

    if len(getattr(labels, "shape", ())) != 3 or np.dtype(labels.dtype).kind not in "bui":
        raise InputError(
            "`labels` must be a volume (z, y, x) of integer labels (0 is background), got "
            f"{getattr(labels, 'dtype', type(labels).__name__)} {getattr(labels, 'shape', '')}."
        )
    step = max(1, SLAB // max(1, labels.shape[1] * labels.shape[2]))
    low, high, counts = np.zeros((1, 3), np.int64), np.zeros((1, 3), np.int64), np.zeros(1, np.int64)
    for z in range(0, labels.shape[0], step):
        part = np.asarray(labels[z : z + step])
        if part.size and part.min() < 0:
            raise InputError(f"`labels` must be 0 or more, got {part.min()}.")
        top = int(part.max(initial=0))
        if top > 50_000_000:
            raise InputError(f"the greatest label is {top}; number the particles from 1 on without gaps.")
        more = top + 1 - len(counts)
        if more > 0:
            low = np.concatenate([low, np.full((more, 3), np.iinfo(np.int64).max)])
            high = np.concatenate([high, np.zeros((more, 3), np.int64)])
            counts = np.concatenate([counts, np.zeros(more, np.int64)])
        counts[: top + 1] += np.bincount(part.ravel(), minlength=top + 1)
        for k, box in enumerate(ndi.find_objects(part.astype(np.int32, copy=False)), 1):
            if box is not None:
                low[k] = np.minimum(low[k], [s.start + z * (a == 0) for a, s in enumerate(box)])
                high[k] = np.maximum(high[k], [s.stop + z * (a == 0) for a, s in enumerate(box)])
    return np.stack([low, high], 1), counts


def _one(labels, name, box, edges, min_voxels):
    """Return why there is no shell, or the row of the table and the radii."""
    from scipy import ndimage as ndi

    mask = ndi.binary_fill_holes(np.asarray(labels[tuple(slice(a, b) for a, b in box.T)]) == name)
    n = int(mask.sum())
    if n < min_voxels:
        return SMALL
    pieces, m = ndi.label(mask)
    if m > 1:
        mask = pieces == np.bincount(pieces.ravel())[1:].argmax() + 1
    mask = np.pad(mask, 1)
    middle = np.mean(np.nonzero(mask), axis=1) * edges
    try:
        radii = radius_function(mask, spacing=tuple(edges), centre=tuple(middle))
    except InputError:
        return OFF_CENTRE
    volume = n * float(np.prod(edges))
    captured = float(_solid_angles() @ radii**3 / 3 / volume)
    return (*(middle + (box[0] - 1) * edges), n, volume, captured), radii


@lru_cache(maxsize=1)
def _solid_angles():
    """Share of the sphere around each of the 642 directions, in steradian."""
    from scipy.spatial import SphericalVoronoi

    return SphericalVoronoi(icosphere()).calculate_areas()
