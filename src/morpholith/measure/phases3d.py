"""How a phase hangs together: what percolates, what ends blind, what is cut off."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import _volumes


@dataclass(frozen=True)
class Connectivity:
    """How a phase hangs together along one axis; shares of the phase that sum to 1.

    Parameters
    ----------
    percolating : float
        In pieces that touch both faces of the axis.
    dead_end : float
        In pieces that touch one of the two faces only.
    isolated : float
        In pieces that touch neither; they may leave the volume sideways.
    n_pieces : int
        Pieces connected through faces (6 neighbours).
    axis : int
    """

    percolating: float
    dead_end: float
    isolated: float
    n_pieces: int
    axis: int


def connectivity(mask: np.ndarray, *, axis: int | str) -> Connectivity:
    """Return the shares of a phase that percolate face to face, hang on one face, or are isolated.

    Parameters
    ----------
    mask : (z, y, x) bool array
        True in the phase.
    axis : {0, 1, 2, "z", "y", "x"}

    Returns
    -------
    Connectivity
        Neighbours share a face, as in transport. NaN shares where the phase is absent. A piece that percolates
        may still have dead branches without flux: they are counted as percolating here.
    """
    return connectivity_of_pieces(*pieces(mask), axis=axis)


def pieces(mask: np.ndarray) -> tuple[np.ndarray, int]:
    """Label the pieces of a phase that connect through faces: int32 volume and their number."""
    from scipy import ndimage

    volume = _volumes.mask(mask)
    if volume.size == 0:
        return np.zeros(volume.shape, np.int32), 0
    found = np.empty(volume.shape, np.int32)
    n = ndimage.label(volume, output=found)
    return found, int(n)


def connectivity_of_pieces(found: np.ndarray, n: int, *, axis: int | str) -> Connectivity:
    """Return the same from the labelled pieces, so that three axes need one labelling."""
    along = _volumes.axis(axis)
    size = np.bincount(found.ravel(), minlength=n + 1)[1:].astype(float)
    total = size.sum()
    if total == 0:
        return Connectivity(float("nan"), float("nan"), float("nan"), 0, along)
    first, last = np.zeros(n + 1, bool), np.zeros(n + 1, bool)
    first[np.take(found, 0, axis=along)] = True
    last[np.take(found, -1, axis=along)] = True
    both, none = (first & last)[1:], ~(first | last)[1:]
    through, alone = float(size[both].sum() / total), float(size[none].sum() / total)
    return Connectivity(through, float(size[~both & ~none].sum() / total), alone, n, along)


def percolating(mask: np.ndarray, *, axis: int | str) -> np.ndarray:
    """Return the part of a phase whose pieces touch both faces of an axis: bool (z, y, x)."""
    along = _volumes.axis(axis)
    found, n = pieces(mask)
    if n == 0:
        return np.zeros(found.shape, bool)
    first, last = np.zeros(n + 1, bool), np.zeros(n + 1, bool)
    first[np.take(found, 0, axis=along)] = True
    last[np.take(found, -1, axis=along)] = True
    keep = first & last
    keep[0] = False
    return keep[found]
