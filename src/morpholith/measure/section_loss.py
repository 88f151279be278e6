"""What an instrument loses of a section, at boundaries and elsewhere, and the same done to a simulation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..segment import Section

DEEP_PX = 3.0  # pixels at least this far from a boundary tell how many are lost elsewhere


def loss_rates(section: Section) -> tuple[float, float]:
    """Return the share of pixels beside a boundary, and of the others, without a grain.

    Boundaries are those of the section with its missing pixels given to the nearest grain; the share there is what,
    with that of the others, makes up all that are missing. 0 and 0 for a section without grains.

    Parameters
    ----------
    section : Section
    """
    from scipy.ndimage import distance_transform_edt

    from ..segment import filled_labels

    inside, missing = section.inside, section.inside & (section.labels == 0)
    if not section.labels.any():
        return 0.0, 0.0
    beside = at_boundary(filled_labels(section)) & inside
    deep = inside & (distance_transform_edt(~beside) >= DEEP_PX)
    elsewhere = float(missing[deep].mean()) if deep.any() else 0.0
    n = int(beside.sum())
    lost = (missing.sum() - elsewhere * (inside.sum() - n)) / max(n, 1)
    return float(np.clip(lost, 0.0, 0.95)), elsewhere


def at_boundary(labels: np.ndarray) -> np.ndarray:
    """Mark the pixels with one of their four neighbours in another grain, or outside.

    Parameters
    ----------
    labels : (y, x) int array
        0 is outside.
    """
    marked = np.zeros(labels.shape, bool)
    for axis in (0, 1):
        differs = np.diff(labels, axis=axis) != 0
        ahead = [slice(None)] * 2
        behind = [slice(None)] * 2
        ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
        marked[tuple(ahead)] |= differs
        marked[tuple(behind)] |= differs
    return marked & (labels > 0)


def with_losses(
    labels: np.ndarray,
    inside: np.ndarray,
    *,
    boundary: float,
    elsewhere: float,
    min_pixels: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Lose pixels of a simulated section as an instrument does, and find its grains anew.

    Parameters
    ----------
    labels : (y, x) int array
    inside : (y, x) bool array
        The particle; labels outside do not count.
    boundary, elsewhere : float
        Shares that are lost: see `loss_rates`.
    min_pixels : int
        Connected pieces of grains that are smaller are lost as well.
    rng : Generator

    Returns
    -------
    (y, x) int array
        Pieces numbered from 1; 0 where nothing is seen.
    """
    from skimage.measure import label

    labels = np.where(inside, labels, 0)
    lost = rng.random(labels.shape) < np.where(at_boundary(labels), boundary, elsewhere)
    pieces = label(np.where(lost, 0, labels), background=0, connectivity=1)
    small = np.bincount(pieces.ravel()) < min_pixels
    return np.where(small[pieces], 0, pieces)
