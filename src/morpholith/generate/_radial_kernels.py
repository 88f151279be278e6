"""Compiled loops of the fit of a planar diagram whose matrices are diagonal in the radial frame, norm not squared.

A grain has the numbers (s1, s2, D1, D2, r): its seed seen from the centre, the entries of D along the radius and across
it, its offset. With n = s / |s| and p across it, the score at x is r - sqrt(D1 (x.n - |s|)^2 + D2 (x.p)^2).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ._diagram_kernels import FAINT, TINY
from .radial_fit import NEAREST_SEED


@njit(cache=True, nogil=True, inline="always")
def _score(y, x, g):
    rho = np.sqrt(g[0] * g[0] + g[1] * g[1])
    n1, n2 = (g[0] / rho, g[1] / rho) if rho > NEAREST_SEED else (1.0, 0.0)
    along = y * n1 + x * n2 - rho
    across = x * n1 - y * n2
    norm = np.sqrt(g[2] * along * along + g[3] * across * across)
    return g[4] - norm, along, across, norm


@njit(cache=True, nogil=True)
def radial_likelihood(yx, lists, grains, count_errors, gradient):
    """Return the loss of all points and add its slopes in (s1, s2, log D1, log D2, r) to `gradient`.

    The loss is that of `_diagram_kernels.likelihood`.
    """
    m, k = lists.shape
    score, along, across, norm = np.empty(k), np.empty(k), np.empty(k), np.empty(k)
    total = 0.0
    for j in range(m):
        y, x = yx[j]
        best = -np.inf
        n = 0
        for c in range(k):
            i = lists[j, c]
            if i < 0:
                break
            score[c], along[c], across[c], norm[c] = _score(y, x, grains[i])
            best = max(best, score[c])
            n += 1
        mine = score[0]
        away = 0.0
        for c in range(n):
            score[c] = np.exp(score[c] - best) if score[c] - best > FAINT else 0.0
            away += score[c]
        probability = score[0] / away
        scale = 1.0
        if count_errors:
            total += 1 - probability
            scale = probability
        else:
            total += np.log(away) + best - mine
        for c in range(n):
            slope = scale * (score[c] / away - (1.0 if c == 0 else 0.0))
            if abs(slope) < TINY:
                continue
            i = lists[j, c]
            g = grains[i]
            rho = np.sqrt(g[0] * g[0] + g[1] * g[1])
            n1, n2 = (g[0] / rho, g[1] / rho) if rho > NEAREST_SEED else (1.0, 0.0)
            back = -slope / max(norm[c], TINY)
            outward = -back * g[2] * along[c]
            turn = back * across[c] * (g[2] * along[c] - g[3] * (along[c] + rho)) / max(rho, NEAREST_SEED)
            out = gradient[i]
            out[0] += outward * n1 - turn * n2
            out[1] += outward * n2 + turn * n1
            out[2] += back * g[2] * along[c] * along[c] / 2
            out[3] += back * g[3] * across[c] * across[c] / 2
            out[4] += slope
    return total
