"""Checks of arguments, with messages built from the argument's name."""

from __future__ import annotations

import numpy as np

from .errors import InputError


def choice(value, options, *, name):
    """Return `value` if it is one of `options`, else say which there are."""
    if value not in options:
        raise InputError(f"`{name}` must be one of {', '.join(map(repr, options))}; got {value!r}.")
    return value


def per_frame(energies_ev, n_frames):
    """Return the energy of every frame, those of a scan repeated for each scan; NaN where none are given."""
    if energies_ev is None:
        return np.full(n_frames, np.nan)
    energies = np.asarray(energies_ev, float)
    if energies.ndim != 1 or len(energies) == 0 or n_frames % len(energies):
        raise InputError(f"{n_frames} frames are not a whole number of scans of {energies.size} energies.")
    return np.tile(energies, n_frames // len(energies))


def grey(array, *, name="image"):
    """Return a finite, two-dimensional float32 image, or say what is wrong with it."""
    array = np.asarray(array)
    if array.ndim != 2:
        raise InputError(f"`{name}` must be a 2D grey image (y, x), got shape {array.shape}.")
    if array.size == 0:
        raise InputError(f"`{name}` is empty (shape {array.shape}).")
    if array.dtype.kind not in "buif":
        raise InputError(f"`{name}` must be numeric, got {array.dtype}.")
    array = array.astype(np.float32)
    if not np.isfinite(array).all():
        bad = int(array.size - np.isfinite(array).sum())
        raise InputError(f"`{name}` has {bad} NaN or infinite pixels; fill or crop them first.")
    return array


def labels(array, *, name="labels", ndim=(2,)):
    """Return an integer label image (or volume, with 3 in `ndim`) as int32, or say what came instead."""
    array = np.asarray(array)
    if array.ndim not in ndim or array.dtype.kind not in "bui":
        kinds = " or ".join(f"{n}D" for n in ((array.ndim,) if array.ndim in ndim else ndim))
        raise InputError(
            f"`{name}` must be a {kinds} array of integer labels (0 is background), got {array.dtype} {array.shape}."
        )
    return array.astype(np.int32)


def spacing(value, ndim, *, name="spacing"):
    """Return `ndim` positive lengths in um; a single number means an isotropic grid."""
    value = (value,) * ndim if np.isscalar(value) else tuple(value)
    if len(value) != ndim or not all(np.isfinite(v) and v > 0 for v in value):
        raise InputError(f"`{name}` must be {ndim} positive lengths in um, got {value!r}.")
    return tuple(float(v) for v in value)


def positive(value, *, name):
    """Return a finite positive number, or say what came instead."""
    if not (np.isfinite(value) and value > 0):
        raise InputError(f"`{name}` must be a positive number, got {value!r}.")
    return value
