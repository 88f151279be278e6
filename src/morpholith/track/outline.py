"""Where a particle ends: the level set of its template that runs where the template is steepest."""

from __future__ import annotations

import numpy as np

FOOT = 8  # pixels around a rough outline in which the particle ends


def outline(template: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the inside of a particle: the level set of its template that runs where the template is steepest.

    Parameters
    ----------
    template : (h, w) float
        1 on the plateau, about 0 around it.
    mask : (h, w) bool
        Roughly the inside.
    """
    from scipy import ndimage as ndi

    near = ndi.binary_dilation(mask, iterations=FOOT)
    smooth = ndi.gaussian_filter(template, 0.7)
    slope = np.hypot(*np.gradient(smooth))
    levels = np.linspace(0.15, 0.7, 12)
    steepness = []
    for level in levels:
        inside = smooth > level
        # the pixels on both sides of the contour
        rim = near & ndi.binary_dilation(inside) & ~ndi.binary_erosion(inside)
        steepness.append(slope[rim].mean() if rim.sum() > 8 else 0.0)
    inside = near & (smooth > levels[int(np.argmax(steepness))])
    whole = ndi.binary_fill_holes(_largest(inside, mask))
    # what hangs on by a neck is no part of the particle
    radius = max(1, round(0.2 * np.sqrt(whole.sum() / np.pi)))
    distance = ndi.distance_transform_edt(np.pad(whole, 1))[1:-1, 1:-1]
    core = distance > radius
    opened = whole & (ndi.distance_transform_edt(~core) <= radius + 0.5) if core.any() else whole
    return _largest(opened, mask)


def _largest(inside, mask) -> np.ndarray:
    """Return the largest piece; the mask where there is none."""
    from scipy import ndimage as ndi

    labels, n = ndi.label(inside)
    return labels == np.argmax(np.bincount(labels[labels > 0])) if n else mask
