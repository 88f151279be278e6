"""From stored pixels to a grey micrograph: colours that are none, and pixels that carry no information."""

from __future__ import annotations

import numpy as np

from ..errors import InputError

NEARLY_EQUAL = 8 / 255  # channels of a grey image differ by this much after JPEG
COLOURED = 0.05  # share of coloured pixels that makes a photograph; less is an annotation
SATURATED_WARN, SATURATED = 0.25, 0.9
TWO_LEVELS, EITHER = 0.95, 0.02  # together and each: a thresholded image, not a saturated one


def to_grey(array: np.ndarray, *, name: str) -> tuple[np.ndarray, list[str]]:
    """Turn RGB, RGBA or grey with alpha into grey if its channels are equal.

    Parameters
    ----------
    array : (y, x) or (y, x, samples) array
    name : str
        For messages.

    Returns
    -------
    array : (y, x) array
        Of the input's type: the channel where all are equal, else their mean.
    notes : list of str
        What was done; a few coloured pixels (a drawn line) are reported.

    Raises
    ------
    InputError
        For a coloured photograph, transparent pixels, or a number of channels other than 1 to 4.
    """
    if array.ndim == 2:
        return array, []
    samples = array.shape[-1]
    if samples not in (1, 2, 3, 4):
        raise InputError(f"{name} has {samples} channels a pixel; expected 1 (grey) to 4 (RGB and alpha).")
    if samples in (2, 4):
        if (array[..., -1] != array[0, 0, -1]).any():
            raise InputError(f"{name} has transparent pixels; flatten it and save it as grey.")
        array = array[..., :-1]
    if array.shape[-1] == 1:
        return np.ascontiguousarray(array[..., 0]), []
    full = np.iinfo(array.dtype).max if array.dtype.kind in "iu" else max(float(np.nanmax(array)), 1e-30)
    spread = array.max(axis=-1).astype(np.float32) - array.min(axis=-1)
    coloured = float(np.mean(spread > NEARLY_EQUAL * full))
    if coloured > COLOURED:
        raise InputError(
            f"{name} is a colour image ({coloured:.0%} of its pixels are coloured); a micrograph is grey: "
            f"give the original, or convert it if the colours mean nothing."
        )
    said = f"{name} is stored in colour but is grey"
    if not spread.any():
        return np.ascontiguousarray(array[..., 0]), [f"{said}; one channel is used."]
    mean = array.mean(axis=-1)
    grey = np.rint(mean).astype(array.dtype) if array.dtype.kind in "iu" else mean.astype(array.dtype)
    extent = f" apart from {coloured:.2%} of the pixels (annotations?)" if coloured > 0 else " within noise"
    return grey, [f"{said}{extent}; the mean of the channels is used."]


def native(array: np.ndarray) -> np.ndarray:
    """Return uint8 and uint16 as they are, everything else as float32."""
    return array if array.dtype in (np.uint8, np.uint16) else array.astype(np.float32)


def check(array: np.ndarray, *, name: str) -> list[str]:
    """Refuse an image that carries no information; return warnings about one that has lost some.

    Parameters
    ----------
    array : (y, x) array
    name : str

    Returns
    -------
    list of str
        When over 25 % of the pixels are at the lowest or the highest level present, or nearly all at the two.

    Raises
    ------
    InputError
        For NaN or infinite pixels, one grey level only, or over 90 % of the pixels at one extreme level.
    """
    if array.dtype.kind == "f":
        bad = int(array.size - np.isfinite(array).sum())
        if bad:
            all_bad = "all" if bad == array.size else f"{bad} of {array.size}"
            raise InputError(f"{name}: {all_bad} pixels are NaN or infinite; crop or fill them first.")
    low, high = array.min(), array.max()
    if low == high:
        raise InputError(f"{name} is constant: every pixel is {low}; export it again, or choose another page.")
    at_low, at_high = float(np.mean(array == low)), float(np.mean(array == high))
    together = at_low + at_high
    if together == 1 or (together >= TWO_LEVELS and min(at_low, at_high) >= EITHER):
        levels = f"{together:.0%} of its pixels at two grey levels, {low} and {high}"
        return [f"{name} has {levels}: it looks like a mask, and texture means nothing in it."]
    share, level, end = max((at_low, low, "lowest"), (at_high, high, "highest"))
    if share > SATURATED:
        raise InputError(
            f"{name} is saturated: {share:.0%} of its pixels are at the {end} level ({level}); "
            f"take it again with another contrast and brightness."
        )
    if share > SATURATED_WARN:
        return [
            f"{name}: {share:.0%} of its pixels are at the {end} level ({level}); the detector was saturated "
            f"there, edges and texture are lost."
        ]
    return []
