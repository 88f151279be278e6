"""What the outline of a particle decides: which pixels surround it, and what its mean owes to where it is drawn."""

from __future__ import annotations

import numpy as np

GAP_PX = 3.0  # the foot of the particle's own edge
FEWEST = 50  # pixels


def without_surroundings(stack: np.ndarray, mask: np.ndarray, *, gap_px: float = GAP_PX) -> np.ndarray:
    """Take the median of what surrounds a particle off each frame.

    Parameters
    ----------
    stack : (..., y, x) float32
        Optical densities of an aligned region; NaN does not count.
    mask : (y, x) bool
        Inside the outline.
    gap_px : float
        Distance from the outline at which the surroundings begin.

    Returns
    -------
    (..., y, x) float32
        The stack itself where fewer than 50 pixels surround the particle. Frames of which none of them was seen keep
        the median level of the others, so that no frame stands out.
    """
    from scipy import ndimage as ndi

    around = ndi.distance_transform_edt(~np.asarray(mask, bool)) > gap_px
    if around.sum() < FEWEST or not np.any(mask):
        return stack
    pixels = stack[..., around]
    seen = np.isfinite(pixels).any(-1)
    level = np.full(pixels.shape[:-1], np.nan, np.float32)
    level[seen] = np.nanmedian(pixels[seen], axis=-1)
    if not seen.any():
        return stack
    return stack - np.where(seen, level, np.median(level[seen]))[..., None, None]


def change_with_depth(values: np.ndarray, inside: np.ndarray, deeper: np.ndarray) -> float:
    """Return by how much the mean of a map changes when the outline is drawn further in.

    Parameters
    ----------
    values : (y, x) float
        NaN does not count.
    inside, deeper : (y, x) bool
        Inside the one outline and the other.

    Returns
    -------
    float
        Not negative; 0 where either of them holds no value.
    """
    means = [values[m & np.isfinite(values)] for m in (inside, deeper)]
    return abs(float(means[0].mean() - means[1].mean())) if all(len(m) for m in means) else 0.0
