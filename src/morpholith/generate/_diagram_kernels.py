"""Compiled loops of the fit of a planar diagram: likelihood of labels and its gradient, over lists of candidates.

A grain has nine fixed numbers, its centre and the matrix W that makes its pixels round, and six free ones
(log a, b, log c, t1, t2, r): with w = W (x - centre) and u = (a w1 + b w2 - t1, c w2 - t2) its score at x is
r - |u|^2 (power 2) or r - |u| (power 1), whatever the numbers a norm of a positive definite matrix.
"""

from __future__ import annotations

import numpy as np
from numba import njit

TINY = 1e-12  # where the norm has no slope
FAINT = -25.0  # logarithm of the share from which a grain does not count


@njit(cache=True, nogil=True, inline="always")
def _score(y, x, f, p, power):
    dy, dx = y - f[0], x - f[1]
    w1 = f[2] * dy + f[3] * dx
    w2 = f[3] * dy + f[4] * dx
    u1 = p[0] * w1 + p[1] * w2 - p[3]
    u2 = p[2] * w2 - p[4]
    q = u1 * u1 + u2 * u2
    return p[5] - (np.sqrt(q) if power == 1 else q), w1, w2, u1, u2


@njit(cache=True, nogil=True, inline="always")
def _plain(y, x, g, power):
    dy, dx = y - g[0], x - g[1]
    a, b = g[2] * dy + g[3] * dx, g[4] * dy + g[5] * dx
    q = a * a + b * b
    return g[6] - (np.sqrt(q) if power == 1 else q)


@njit(cache=True, nogil=True)
def _enter(score, lists, s, i):
    """Put a score where it belongs in a falling list of them whose first place is taken."""
    at = len(score) - 1
    while at > 1 and score[at - 1] < s:
        score[at] = score[at - 1]
        lists[at] = lists[at - 1]
        at -= 1
    score[at] = s
    lists[at] = i


@njit(cache=True, nogil=True)
def best_candidates(yx, own, starts, grains, power, lists):
    """Fill `lists` (m, k) with each point's own grain, then those of the highest scores, best first; -1 fills up.

    A grain (seed, matrix F row by row, r) scores r - g(|F (x - seed)|). Points ``starts[t]:starts[t + 1]`` lie close
    to each other: grains that bounds over their box leave no chance to be among the best are not looked at, and no
    other is left out. Returns how many points their own grain wins.
    """
    n, k = len(grains), lists.shape[1]
    score, upper, kept = np.empty(k), np.empty(n), np.empty(n, np.int64)
    best, unused = np.empty(k + 2), np.empty(k + 2, np.int64)
    right = 0
    for t in range(len(starts) - 1):
        y0, x0 = yx[starts[t]]
        y1, x1 = y0, x0
        for j in range(starts[t], starts[t + 1]):
            y0, y1 = min(y0, yx[j, 0]), max(y1, yx[j, 0])
            x0, x1 = min(x0, yx[j, 1]), max(x1, yx[j, 1])
        hy, hx = (y1 - y0) / 2, (x1 - x0) / 2
        best[:] = -np.inf
        for i in range(n):
            g = grains[i]
            away = -_plain((y0 + y1) / 2, (x0 + x1) / 2, g, 2) + g[6]
            away = np.sqrt(max(away, 0.0))
            reach = 0.0
            for sign in (-1.0, 1.0):
                a, b = g[2] * hy + sign * g[3] * hx, g[4] * hy + sign * g[5] * hx
                reach = max(reach, np.sqrt(a * a + b * b))
            reach = reach * (1 + 1e-9) + 1e-9 * away
            near, far = max(0.0, away - reach), away + reach
            upper[i] = g[6] - (near if power == 1 else near * near)
            low = g[6] - (far if power == 1 else far * far)
            if low > best[k + 1]:
                _enter(best, unused, low, i)
        m = 0
        for i in range(n):
            if upper[i] >= best[k]:  # one of them may be the point's own
                kept[m] = i
                m += 1
        for j in range(starts[t], starts[t + 1]):
            y, x = yx[j]
            score[:] = -np.inf
            lists[j] = -1
            lists[j, 0] = own[j]
            mine = _plain(y, x, grains[own[j]], power)
            for c in range(m):
                i = kept[c]
                if i == own[j]:
                    continue
                s = _plain(y, x, grains[i], power)
                if s > score[k - 1]:
                    _enter(score, lists[j], s, i)
            right += mine > score[1] if k > 1 else 1
    return right


@njit(cache=True, nogil=True)
def likelihood(yx, lists, frame, p, power, count_errors, gradient):
    """Return the loss of all points and add its slopes in (log a, b, log c, t1, t2, r) to `gradient`.

    The loss of a point is minus the logarithm of its own grain's softmax probability or, to `count_errors`, one minus
    the probability.
    """
    m, k = lists.shape
    score, w1, w2, u1, u2 = np.empty(k), np.empty(k), np.empty(k), np.empty(k), np.empty(k)
    total = 0.0
    for j in range(m):
        y, x = yx[j]
        best = -np.inf
        n = 0
        for c in range(k):
            i = lists[j, c]
            if i < 0:
                break
            score[c], w1[c], w2[c], u1[c], u2[c] = _score(y, x, frame[i], p[i], power)
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
            if power == 1:
                back = -slope / max(np.sqrt(u1[c] * u1[c] + u2[c] * u2[c]), TINY)
            else:
                back = -2 * slope
            g1, g2 = back * u1[c], back * u2[c]
            g = gradient[i]
            g[0] += g1 * p[i, 0] * w1[c]
            g[1] += g1 * w2[c]
            g[2] += g2 * p[i, 2] * w2[c]
            g[3] -= g1
            g[4] -= g2
            g[5] += slope
    return total
