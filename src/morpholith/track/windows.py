"""Windows of frames around a particle, and cubic splines that bring them into one pose."""

from __future__ import annotations

import numpy as np


def windows_at(stack: np.ndarray, corner: np.ndarray, shape: tuple[int, ...], which: np.ndarray) -> np.ndarray:
    """Return windows of a stack, one a frame; NaN beyond its rim and in frames not asked for.

    Parameters
    ----------
    stack : (F, Y, X) float32
    corner : (F, 2) int
        Where pixel (0, 0) of each window lies; may be outside.
    shape : (int, int)
    which : (F,) bool

    Returns
    -------
    (F, h, w) float32
    """
    windows = np.full((len(stack), *shape), np.nan, np.float32)
    size = stack.shape[1:]
    for f in np.flatnonzero(which):
        low = np.clip(corner[f], 0, size)
        high = np.clip(corner[f] + shape, 0, size)
        if (low < high).all():
            (y0, x0), (y1, x1) = low - corner[f], high - corner[f]
            windows[f, y0:y1, x0:x1] = stack[f, low[0] : high[0], low[1] : high[1]]
    return windows


def in_pose(windows: np.ndarray, motion: np.ndarray, centre: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the windows of a particle brought into its reference pose by cubic splines, interpolated once.

    Parameters
    ----------
    windows : (F, H, W) float32
        NaN where nothing was seen.
    motion : (F, 4) float64
        Shift (y, x) in pixels, angle in radians, breathing.
    centre : (2,) float64
        Of the particle in the windows, before its shift, and in what is returned.
    shape : tuple of int

    Returns
    -------
    (F, h, w) float32
        NaN where a missing pixel has a share, and where a window does not reach.
    """
    coefficients, holes = _coefficients(windows)
    every = np.ones(shape, bool)
    out = posed(coefficients, motion, centre, every)
    if holes.any():
        out[posed(holes.astype(np.float32), motion, centre, every) > 0.01] = np.nan
    return out


def posed(coefficients, motion, centre, wanted) -> np.ndarray:
    """Return splines (F, H, W) evaluated in the reference pose at the pixels wanted; NaN where a coefficient is."""
    from ._template_fit import aligned

    out = np.empty((len(coefficients), *wanted.shape), np.float32)
    aligned(coefficients, centre, motion, wanted, out)
    return out


def _coefficients(windows) -> tuple[np.ndarray, np.ndarray]:
    """Return cubic spline coefficients of each window, and where values were missing."""
    from scipy import ndimage as ndi

    holes = ~np.isfinite(windows)
    if holes.any():
        level = np.nanmedian(windows, axis=(1, 2), keepdims=True)
        windows = np.where(holes, np.nan_to_num(level), windows)
        holes = ndi.binary_dilation(holes, np.ones((1, 3, 3), bool))
    out = ndi.spline_filter1d(windows, 3, axis=1, output=np.float32, mode="mirror")
    return ndi.spline_filter1d(out, 3, axis=2, output=np.float32, mode="mirror"), holes


def turned(offset: np.ndarray, angle_deg: np.ndarray, breathing: np.ndarray) -> np.ndarray:
    """Return where an offset (y, x) from a particle's centre lies once the particle has turned and grown, (F, 2).

    Parameters
    ----------
    offset : (2,) float64
    angle_deg, breathing : (F,) float64
        R turns (y, x) by [[cos, -sin], [sin, cos]]; lengths grow by 1 + breathing.
    """
    cos, sin = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    y, x = cos * offset[0] - sin * offset[1], sin * offset[0] + cos * offset[1]
    return np.stack([y, x], 1) * (1 + breathing)[:, None]
