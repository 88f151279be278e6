"""Grains in several pieces: found, and given to their neighbours."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .. import _checks
from ..columns import LABEL
from ..errors import InputError
from .power_diagram import POWERS, checked_grains

if TYPE_CHECKING:
    import pandas as pd

ROUNDS = 8  # of voxel by voxel; what is loose after that goes to a neighbour whole


class Repaired(NamedTuple):
    """Labels without loose pieces, and what it took.

    Attributes
    ----------
    labels : (nz, ny, nx) int32 array
    pieces, voxels : int
        Loose pieces of the input that were given away, and voxels whose label changed.
    left : int
        Loose pieces that touch no other grain, and stay.
    """

    labels: np.ndarray
    pieces: int
    voxels: int
    left: int


def fragments(labels: np.ndarray) -> pd.DataFrame:
    """Count the connected pieces of each grain.

    Voxels of one label hang together through faces (6 neighbours).

    Parameters
    ----------
    labels : (nz, ny, nx) int array
        0 is outside.

    Returns
    -------
    DataFrame
        One row a label that occurs, index `label`: `voxels`, `pieces`, `loose_voxels` (all but the largest piece).
        Empty without labels.

    Raises
    ------
    InputError
        No integer volume.
    """
    import pandas as pd

    labels = _checks.labels(labels, ndim=(3,))
    piece, owner = _pieces(labels)
    size = np.bincount(piece.ravel(), minlength=len(owner))[1:]
    table = pd.DataFrame({LABEL: owner[1:], "voxels": size}).groupby(LABEL).voxels.agg(["sum", "size", "max"])
    table = table.rename(columns={"sum": "voxels", "size": "pieces", "max": "largest"}).astype(np.int64)
    table["loose_voxels"] = table.voxels - table.largest
    return table.drop(columns="largest")


def repaired(
    labels: np.ndarray,
    seeds: np.ndarray,
    matrices: np.ndarray,
    radii: np.ndarray,
    *,
    spacing: float | tuple[float, float, float] = 1.0,
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
    power: int = 1,
) -> Repaired:
    """Give the loose pieces of each grain, all but its largest, to the grains around them.

    A voxel of a loose piece goes to the best of the grains whose largest piece touches the loose one. Where that
    leaves loose pieces, they are dealt with in further rounds, the last of which gives pieces away whole, each to the
    grain it shares most faces with.

    Parameters
    ----------
    labels : (nz, ny, nx) int array
        What `label_grid` made of the other arguments; its zeros stay.
    seeds, matrices, radii, spacing, origin, power
        As in `label_grid`.

    Returns
    -------
    Repaired
        Every grain of the input keeps its largest piece, of equal ones the first in raster order.

    Raises
    ------
    InputError
        As `label_grid`, or labels beyond the number of seeds.
    """
    from ._power_kernels import label_all

    given = _checks.labels(labels, ndim=(3,))
    seeds, factor, radii = checked_grains(seeds, matrices, radii)
    edges = np.array(_checks.spacing(spacing, 3))
    _checks.choice(power, POWERS, name="power")
    if given.size and not 0 <= given.min() <= given.max() <= len(seeds):
        raise InputError(
            f"`labels` must lie between 0 and the number of seeds, {len(seeds)}; got {given.min()} to {given.max()}."
        )
    labels = given.copy()
    piece, owner = _pieces(labels)
    anchors = _largest(piece, owner)  # a voxel of the piece that each grain keeps
    loose = len(owner) - 1 - len(anchors)
    for turn in count():
        is_kept = np.zeros(len(owner), bool)
        is_kept[piece.ravel()[anchors]] = is_kept[0] = True
        voxels = np.flatnonzero(~is_kept[piece.ravel()])
        of = piece.ravel()[voxels]
        around = _neighbours(labels, piece, is_kept, voxels)
        if not around:
            break
        order = np.argsort(of, kind="stable")
        cuts = np.searchsorted(of[order], np.arange(len(owner) + 1))
        for k, (near, faces) in around.items():
            mine = voxels[order[cuts[k] : cuts[k + 1]]]
            if turn < ROUNDS:
                points = np.asarray(origin) + edges * np.stack(np.unravel_index(mine, labels.shape), 1)
                won = np.empty(len(points), np.int32)
                grains = near - 1
                label_all(points, seeds[grains], factor[grains], radii[grains], power, won, 0, len(points))
                labels.ravel()[mine] = near[won - 1]
            else:
                labels.ravel()[mine] = near[np.argmax(faces)]
        piece, owner = _pieces(labels)
    left = len(owner) - 1 - len(anchors)
    return Repaired(labels, loose - left, int((labels != given).sum()), left)


def _pieces(labels):
    """Number the connected pieces of all labels from 1; return the volume and the label of each, 0 for piece 0."""
    from skimage.measure import label

    if labels.size == 0:
        return labels, np.zeros(1, np.int32)
    piece, n = label(labels, background=0, connectivity=1, return_num=True)
    owner = np.zeros(n + 1, np.int32)
    owner[piece.ravel()] = labels.ravel()
    return np.ascontiguousarray(piece), owner


def _largest(piece, owner):
    """Return the first voxel, by raster index, of the largest piece of each label."""
    size = np.bincount(piece.ravel(), minlength=len(owner))
    first = np.zeros(len(owner), np.int64)
    first[piece.ravel()[::-1]] = np.arange(piece.size)[::-1]
    order = np.lexsort((np.arange(len(owner)), -size, owner))
    order = order[order > 0]
    _, of_each = np.unique(owner[order], return_index=True)
    return first[order[of_each]]


def _neighbours(labels, piece, is_kept, voxels):
    """Return, for each loose piece, the other grains whose kept piece touches it, ascending, and the shared faces."""
    z, y, x = np.unravel_index(voxels, labels.shape)
    met = []
    for axis in range(3):
        for way in (-1, 1):
            at = [z, y, x]
            at[axis] = at[axis] + way
            ok = (at[axis] >= 0) & (at[axis] < labels.shape[axis])
            place = tuple(a[ok] for a in at)
            other = labels[place]  # never the piece's own grain: they would be one piece
            good = (other > 0) & is_kept[piece[place]]
            met.append(np.stack([piece.ravel()[voxels[ok]][good], other[good]], 1))
    pairs, faces = np.unique(np.concatenate(met), axis=0, return_counts=True)
    loose, start = np.unique(pairs[:, 0], return_index=True)
    parts = zip(np.split(pairs[:, 1], start[1:]), np.split(faces, start[1:]), strict=True)
    return dict(zip(loose.tolist(), parts, strict=True)) if len(loose) else {}
