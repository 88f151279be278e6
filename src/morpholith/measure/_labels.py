"""Labels without gaps."""

from __future__ import annotations

import numpy as np

from ..errors import InputError


def compact(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels renumbered 1..n without gaps (background 0), and the original label of each."""
    if labels.size and labels.min() < 0:
        raise InputError("`labels` has negative values; 0 is background and particles count from 1.")
    top = int(labels.max(initial=0))
    if top > labels.size:  # a few huge numbers: no table of their length
        names, inverse = np.unique(labels, return_inverse=True)
        labels = (inverse.reshape(labels.shape) + (names[0] != 0)).astype(np.int32)
        return labels, names[names > 0]
    names = np.flatnonzero(np.bincount(labels.ravel(), minlength=top + 1)[1:]) + 1
    if len(names) < top:
        lookup = np.zeros(top + 1, np.int32)
        lookup[names] = np.arange(1, len(names) + 1)
        labels = lookup[labels]
    return np.ascontiguousarray(labels), names
