"""What stands out of a frame: background, binning, threshold, and where particles that touch are parted."""

from __future__ import annotations

import numpy as np

CLEAR = 4.0  # standard deviations of the smoothed background that a threshold must exceed


def background(frames: np.ndarray, min_diameter_px: float, *, block: int = 16) -> np.ndarray:
    """Return what lies under the particles: low percentiles of coarse pixels around, smoothed.

    Parameters
    ----------
    frames : (F, Y, X) float32
    min_diameter_px : float
    block : int
        Edge of a coarse pixel.

    Returns
    -------
    (F, Y, X) float32
    """
    from scipy import ndimage as ndi

    coarse = binned(frames, block)
    width = max(3, round(12 * min_diameter_px / block) | 1)
    out = np.empty_like(frames)
    grid = [(np.arange(n) + 0.5) / block - 0.5 for n in frames.shape[1:]]
    y, x = (np.clip(g, 0, n - 1) for g, n in zip(grid, coarse.shape[1:], strict=True))
    for f in range(len(frames)):
        good = np.isfinite(coarse[f])
        if not good.any():
            out[f] = 0
            continue
        picture = np.where(good, coarse[f], np.median(coarse[f][good]))
        low = ndi.percentile_filter(picture, 30, size=width, mode="nearest")
        low = ndi.gaussian_filter(low, width / 4, mode="nearest")
        out[f] = _bilinear(low, y, x)
    return out


def _bilinear(picture, y, x):
    iy, ix = (np.minimum(np.floor(v).astype(int), n - 2).clip(0) for v, n in zip((y, x), picture.shape, strict=True))
    picture = np.pad(picture, ((0, 1), (0, 1)), mode="edge")
    ty, tx = (y - iy)[:, None], (x - ix)[None]
    rows = picture[iy] * (1 - ty) + picture[iy + 1] * ty
    return rows[:, ix] * (1 - tx) + rows[:, ix + 1] * tx


def binned(frames, block) -> np.ndarray:
    """Return means over blocks; the last ones may be smaller. NaN does not count."""
    n_frames, height, width = frames.shape
    pad = [(0, 0), (0, -height % block), (0, -width % block)]
    good = np.isfinite(frames)
    gaps = not good.all()
    values = np.where(good, frames, 0) if gaps else frames
    values = np.pad(values, pad) if any(n for _, n in pad) else values
    shape = (n_frames, values.shape[1] // block, block, values.shape[2] // block, block)
    if gaps:
        count = np.pad(good, pad).reshape(shape).sum((2, 4), dtype=np.float32)
    else:
        rows, columns = (np.minimum(block, n - np.arange(0, n, block)) for n in (height, width))
        count = np.broadcast_to(np.outer(rows, columns).astype(np.float32), (n_frames, shape[1], shape[3]))
    total = values.reshape(shape).sum((2, 4), dtype=np.float32)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def bright(picture, min_diameter) -> np.ndarray | None:
    """Return what stands out of a smoothed, flattened picture; None where nothing does clearly."""
    from skimage.filters import threshold_otsu

    good = np.isfinite(picture)
    if good.mean() < 0.2:
        return None
    values = picture[good][::7]
    middle = np.median(values)
    below = values[values <= middle]
    noise = 1.4826 * np.median(middle - below) if len(below) else 0.0
    if not noise > 0 or not np.ptp(values) > 0:
        return None
    high = values[values > middle + 2 * noise]
    if len(high) < 0.002 * len(values):
        return None
    level = max(threshold_otsu(values), middle + CLEAR * noise)
    plateau = np.median(values[values > level]) if (values > level).any() else middle
    # Otsu lies between the means of both classes; the outline of a rounded body lies lower
    level = max(min(level, middle + 0.4 * (plateau - middle)), middle + CLEAR * noise)
    inside = np.where(good, picture, -np.inf) > level
    if inside.sum() < 0.5 * np.pi / 4 * min_diameter**2:
        return None
    return inside


def separated(inside: np.ndarray, min_diameter_px: float) -> np.ndarray:
    """Return particles of a mask, parted where they touch: watershed of the smoothed distance to the outside.

    Parameters
    ----------
    inside : (Y, X) bool
    min_diameter_px : float

    Returns
    -------
    (Y, X) uint16
    """
    from scipy import ndimage as ndi
    from skimage.morphology import h_maxima
    from skimage.segmentation import watershed

    inside = ndi.binary_fill_holes(ndi.binary_opening(inside, ndi.generate_binary_structure(2, 1), iterations=2))
    labels = ndi.label(inside)[0]
    least = np.pi / 4 * min_diameter_px**2
    out = np.zeros(inside.shape, np.uint16)
    count = 0
    for k, box in enumerate(ndi.find_objects(labels), start=1):
        one = labels[box] == k
        if one.sum() < 0.5 * least:
            continue
        distance = ndi.gaussian_filter(ndi.distance_transform_edt(np.pad(one, 1))[1:-1, 1:-1], 1.5)
        tops = h_maxima(distance, 0.08 * distance.max())
        markers = ndi.label(tops, np.ones((3, 3)))[0]
        parts = watershed(-distance, markers, mask=one) if markers.max() > 1 else one.astype(np.int32)
        for p in range(1, parts.max() + 1):
            if (parts == p).sum() >= least:
                count += 1
                out[box][parts == p] = count
    return out
