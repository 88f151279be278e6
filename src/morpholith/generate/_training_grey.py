"""Area averages of whole pixels, and one grey scale for the images of a campaign."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

TAIL = 0.1  # per cent of an image's pixels at either end that may be cut
ROWS = 256  # of blocks averaged at a time: a large image is never held as float64


@dataclass(frozen=True)
class GreyScale:
    """The stored grey levels that became 0 and 255."""

    low: float
    high: float


def binned(array: np.ndarray, factor: int) -> np.ndarray:
    """Return averages over `factor` x `factor` pixels; what is left over at the bottom and the right is cut.

    uint8 stays uint8, rounded to the nearest (halves to even); every other type becomes float32.
    """
    h, w = (n // factor for n in array.shape)
    kind = np.uint8 if array.dtype == np.uint8 else np.float32
    if factor == 1:
        return array.astype(kind)
    out = np.empty((h, w), kind)
    for start in range(0, h, ROWS):
        stop = min(start + ROWS, h)
        block = array[start * factor : stop * factor, : w * factor]
        mean = block.reshape(stop - start, factor, w, factor).mean(axis=(1, 3), dtype=float)
        out[start:stop] = np.rint(mean) if kind is np.uint8 else mean
    return out


def grey_scale(arrays: Sequence[np.ndarray]) -> GreyScale:
    """Return the scale of images of one type: 0 to 255 for uint8; else the darkest and the brightest 0.1 % of any."""
    if all(a.dtype == np.uint8 for a in arrays):
        return GreyScale(0.0, 255.0)
    ends = np.array([np.percentile(a, [TAIL, 100 - TAIL]) for a in arrays])
    low, high = float(ends[:, 0].min()), float(ends[:, 1].max())
    return GreyScale(low, high if high > low else low + 1.0)


def as_bytes(array: np.ndarray, scale: GreyScale) -> np.ndarray:
    """Return an image as uint8: linear between the ends of the scale, cut beyond."""
    if array.dtype == np.uint8:
        return array
    scaled = (array - scale.low) * (255.0 / (scale.high - scale.low))
    return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)
