"""Runs of a phase along the last axis of a volume."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def runs(mask):
    """Runs by length in voxels: (3, n + 1), wholly seen, cut at one end, cut at both."""
    n = mask.shape[2]
    out = np.zeros((3, n + 1), np.int64)
    for z in range(mask.shape[0]):
        for y in range(mask.shape[1]):
            row = mask[z, y]
            start = -1
            for x in range(n):
                if row[x]:
                    if start < 0:
                        start = x
                elif start >= 0:
                    out[int(start == 0), x - start] += 1
                    start = -1
            if start >= 0:
                out[1 + int(start == 0), n - start] += 1
    return out
