"""Points that stand in the core of an earlier one."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def crowded(points, cell, start, members, reach, radius, edge, size_slope, log_ratio, ratio_slope, shrink, cap, far):
    """Tell which points have an earlier one nearer than `radius` in the mean metric of the place between them.

    `members[start[c]:start[c + 1]]` are the points of cell c, ascending; `cell` (n, 3) holds the cells of the points,
    their edges at least `reach`, with an empty layer
    before and two after them.
    """
    n = len(points)
    out = np.zeros(n, np.bool_)
    for i in range(n):
        for a in range(-1, 2):
            for b in range(-1, 2):
                z, y, x = cell[i, 0] + a, cell[i, 1] + b, cell[i, 2]
                # three cells in a row lie together
                for k in range(start[z, y, x - 1], start[z, y, x + 2]):
                    j = members[k]
                    if j >= i:
                        continue
                    d0 = points[i, 0] - points[j, 0]
                    d1 = points[i, 1] - points[j, 1]
                    d2 = points[i, 2] - points[j, 2]
                    square = d0 * d0 + d1 * d1 + d2 * d2
                    if square > reach * reach:
                        continue
                    m0 = (points[i, 0] + points[j, 0]) / 2
                    m1 = (points[i, 1] + points[j, 1]) / 2
                    m2 = (points[i, 2] + points[j, 2]) / 2
                    distance = np.sqrt(m0 * m0 + m1 * m1 + m2 * m2)
                    share = min(distance / far, 1.0) - 0.5
                    ratio = min(max((log_ratio + ratio_slope * share) * shrink, -cap), cap)
                    here = edge * np.exp(size_slope * share)
                    along = (d0 * m0 + d1 * m1 + d2 * m2) ** 2 / max(distance * distance, 1e-300)
                    across = max(square - along, 0.0)
                    norm = along * np.exp(-4 / 3 * ratio) + across * np.exp(2 / 3 * ratio)
                    if norm < (radius * here) ** 2:
                        out[i] = True
                        break
                if out[i]:
                    break
            if out[i]:
                break
    return out
