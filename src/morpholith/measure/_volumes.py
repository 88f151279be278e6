"""Checks of volumes, with messages built from the argument's name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import _checks
from ..errors import InputError

AXES = {"z": 0, "y": 1, "x": 2, 0: 0, 1: 1, 2: 2}


def mask(array: Any, *, name: str = "mask") -> np.ndarray:
    """Return a (z, y, x) volume as contiguous uint8 of 0 and 1, or say what came instead."""
    array = np.asarray(array)
    if array.ndim != 3:
        raise InputError(f"`{name}` must be a volume (z, y, x), got shape {array.shape}.")
    if array.dtype != bool:
        if array.dtype.kind not in "uif" or not _only_zero_and_one(array):
            raise InputError(
                f"`{name}` must be boolean (or hold only 0 and 1), got {array.dtype}; compare with the phase "
                "that is meant, as in `phases == 1`."
            )
        array = array != 0
    return np.ascontiguousarray(array).view(np.uint8)


def _only_zero_and_one(array):
    if array.size == 0:
        return True
    low, high = array.min(), array.max()
    return low >= 0 and high <= 1 and (array.dtype.kind != "f" or bool(np.isin(array, (0, 1)).all()))


def labels(array: Any, *, name: str = "labels") -> np.ndarray:
    """Return a (z, y, x) volume of labels as contiguous int32, or say what came instead."""
    array = np.asarray(array)
    if array.ndim != 3 or array.dtype.kind not in "bui":
        raise InputError(
            f"`{name}` must be a volume (z, y, x) of integer labels (0 is background), got {array.dtype} {array.shape}."
        )
    if array.size and (array.min() < 0 or array.max() > np.iinfo(np.int32).max):
        raise InputError(f"`{name}` must lie between 0 and 2^31 - 1, got {array.min()} to {array.max()}.")
    return np.ascontiguousarray(array, dtype=np.int32)


def grey(array: Any, shape: tuple[int, ...], *, name: str = "grey") -> np.ndarray:
    """Return a grey volume of the given shape as contiguous float32; NaN stays."""
    array = np.asarray(array)
    if array.shape != tuple(shape):
        raise InputError(f"`{name}` {array.shape} and the labels {tuple(shape)} must have the same shape.")
    if array.dtype.kind not in "buif":
        raise InputError(f"`{name}` must be numeric, got {array.dtype}.")
    return np.ascontiguousarray(array, dtype=np.float32)


def axis(value: Any, *, name: str = "axis") -> int:
    """Return 0, 1 or 2 for an axis given as a number or as a letter."""
    try:
        return AXES[value]
    except (KeyError, TypeError):
        raise InputError(f"`{name}` must be 0, 1, 2 or 'z', 'y', 'x'; got {value!r}.") from None


def spacing(value: Sequence[float] | float) -> tuple[float, float, float]:
    """Return three voxel edges in um."""
    z, y, x = _checks.spacing(value, 3)
    return z, y, x


def level(value: float) -> float:
    """Return a coverage between 0 and 1."""
    if not 0 < value < 1:
        raise InputError(f"`level` must lie between 0 and 1, got {value!r}.")
    return float(value)
