"""Pairs of seeds that are near in the metrics of their grains."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def _length(frame, d):
    total = 0.0
    for a in range(3):
        along = frame[a, 0] * d[0] + frame[a, 1] * d[1] + frame[a, 2] * d[2]
        total += along * along
    return np.sqrt(total)


@njit(cache=True)
def pairs_within(seeds, frames, order, starts, cells, n_cells, reach, distance):
    """Return the pairs (k, 2), the smaller number first, whose mean length is below `distance`.

    Seeds are sorted into cubic cells of an edge of `reach`, beyond which no pair is near: `cells` (n, 3) of each,
    `order` the seeds cell by cell, `starts` where the cells begin.
    """
    found = np.empty((max(16, 8 * len(seeds)), 2), np.int64)
    n = 0
    d = np.empty(3)
    for i in range(len(seeds)):
        a, b, c = cells[i]
        for z in range(max(a - 1, 0), min(a + 2, n_cells)):
            for y in range(max(b - 1, 0), min(b + 2, n_cells)):
                for x in range(max(c - 1, 0), min(c + 2, n_cells)):
                    cell = (z * n_cells + y) * n_cells + x
                    for at in range(starts[cell], starts[cell + 1]):
                        j = order[at]
                        if j <= i:
                            continue
                        for k in range(3):
                            d[k] = seeds[j, k] - seeds[i, k]
                        if d[0] * d[0] + d[1] * d[1] + d[2] * d[2] >= reach * reach:
                            continue
                        if _length(frames[i], d) + _length(frames[j], d) < 2 * distance:
                            if n == len(found):
                                larger = np.empty((2 * n, 2), np.int64)
                                larger[:n] = found
                                found = larger
                            found[n, 0] = i
                            found[n, 1] = j
                            n += 1
    return found[:n].copy()
