"""Pores that solid encloses on all sides: cracks and voids inside particles, which split no particle."""

from __future__ import annotations

import numpy as np

from ._threads import slabs


def filled(solid: np.ndarray) -> np.ndarray:
    """Return the solid with every enclosed pore filled: pore that no path over faces joins to the volume's outside.

    Parameters
    ----------
    solid : (z, y, x) bool array

    Returns
    -------
    (z, y, x) bool array
        `solid` itself where nothing is enclosed.
    """
    pores, n = pieces(solid)
    closed = np.ones(n + 1, bool)
    closed[touching(pores)] = False
    closed[0] = True  # what is solid stays so
    if not closed[1:].any():
        return solid
    out = np.empty(solid.shape, bool)

    def part(a, b):
        for z in range(a, b):
            out[z] = closed[pores[z]]

    slabs(part, len(out))
    return out


def pieces(solid: np.ndarray) -> tuple[np.ndarray, int]:
    """Label the pore, piece by piece (connected over faces); return the labels, 0 in solid, and their number."""
    from scipy import ndimage as ndi

    return ndi.label(~solid)


def touching(
    labels: np.ndarray, low: tuple[bool, ...] = (True,) * 3, high: tuple[bool, ...] = (True,) * 3
) -> np.ndarray:
    """Return the labels, 0 too, that touch those faces of the array which lie at the outside."""
    if labels.size == 0:
        return np.zeros(0, labels.dtype)
    sides = [(axis, at) for axis in range(3) for at, out in ((0, low[axis]), (-1, high[axis])) if out]
    faces = [np.unique(np.take(labels, at, axis=axis)) for axis, at in sides]
    return np.unique(np.concatenate([np.zeros(0, labels.dtype), *faces]))
