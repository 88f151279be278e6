"""Compiled loops of soft sections: probabilities of the grains at the pixels of small cutouts, and their gradient.

A grain is seen from the plane: at pixel (i, j) its coordinates in its own frame are y = axes @ (i, j) - offset, and
its value is g(sqrt(sum D y^2)) - r with g(t) = t or t^2. A block of pixels keeps those grains whose lower bound lies
within `cut` of the least upper bound; with cut = ln(n / eps) the others have less than eps of the probability at
any pixel.
"""

from __future__ import annotations

import numpy as np
from numba import njit

BLOCK = 4
COARSE = 16  # an edge of the blocks that hand their lists down


@njit(cache=True, nogil=True, inline="always")
def _square(axes, offset, d, u, v):
    y0 = axes[0, 0] * u + axes[0, 1] * v - offset[0]
    y1 = axes[1, 0] * u + axes[1, 1] * v - offset[1]
    y2 = axes[2, 0] * u + axes[2, 1] * v - offset[2]
    return d[0] * y0 * y0 + d[1] * y1 * y1 + d[2] * y2 * y2


@njit(cache=True, nogil=True)
def _reaches(axes, d, half, out):
    """Largest norm between the centre of a block of half-width `half` and its corners."""
    for i in range(len(axes)):
        squares = np.float32(0)
        for sign in (-1.0, 1.0):
            u, v = np.float32(half), np.float32(half * sign)
            y0 = axes[i, 0, 0] * u + axes[i, 0, 1] * v
            y1 = axes[i, 1, 0] * u + axes[i, 1, 1] * v
            y2 = axes[i, 2, 0] * u + axes[i, 2, 1] * v
            squares = max(squares, d[i, 0] * y0 * y0 + d[i, 1] * y1 * y1 + d[i, 2] * y2 * y2)
        out[i] = np.sqrt(squares)


@njit(cache=True, nogil=True)
def _cull(source, n, u, v, axes, offset, d, r, reach, power, cut, low, kept):
    """Copy to `kept` those of source[:n] that matter in the block centred at (u, v); return how many."""
    least = np.float32(np.inf)
    for k in range(n):
        i = source[k]
        far = np.sqrt(_square(axes[i], offset[i], d[i], u, v))
        inner, outer = max(np.float32(0), far - reach[i]), far + reach[i]
        if power == 2:
            inner, outer = inner * inner, outer * outer
        low[k] = inner - r[i]
        least = min(least, outer - r[i])
    m = 0
    limit = least + cut + np.float32(1e-4) * (np.float32(1) + abs(least))  # rounding in float32 costs nobody a place
    for k in range(n):
        if low[k] <= limit:
            kept[m] = source[k]
            m += 1
    return m


@njit(cache=True, nogil=True)
def probabilities(axes, offset, d, r, power, size, cut):
    """Grains and probabilities of one cutout: (lists, first of each block, probabilities (pixel of block, entry))."""
    n = len(axes)
    blocks = -(-size // BLOCK)
    coarse, fine = np.empty(n, np.float32), np.empty(n, np.float32)
    _reaches(axes, d, (COARSE - 1) / 2, coarse)
    _reaches(axes, d, (BLOCK - 1) / 2, fine)
    everyone, some, few = np.arange(n), np.empty(n, np.int64), np.empty(n, np.int64)
    low, values = np.empty(n, np.float32), np.empty(n, np.float32)
    first = np.zeros(blocks * blocks + 1, np.int64)
    lists = np.empty(blocks * blocks * 16, np.int64)
    p = np.empty((BLOCK * BLOCK, len(lists)), np.float32)
    each, held, m, at = COARSE // BLOCK, -1, 0, 0
    for b0 in range(blocks):
        for c1 in range(-(-blocks // each)):
            held = -1
            for b1 in range(c1 * each, min((c1 + 1) * each, blocks)):
                b = b0 * blocks + b1
                if held < 0:
                    u = np.float32((b0 // each) * COARSE + (COARSE - 1) / 2)
                    v = np.float32(c1 * COARSE + (COARSE - 1) / 2)
                    held = _cull(everyone, n, u, v, axes, offset, d, r, coarse, power, cut, low, some)
                u = np.float32(b0 * BLOCK + (BLOCK - 1) / 2)
                v = np.float32(b1 * BLOCK + (BLOCK - 1) / 2)
                m = _cull(some, held, u, v, axes, offset, d, r, fine, power, cut, low, few)
                if at + m > len(lists):
                    longer, wider = np.empty(2 * len(lists) + m, np.int64), 2 * len(lists) + m
                    longer[:at] = lists[:at]
                    grown = np.empty((BLOCK * BLOCK, wider), np.float32)
                    grown[:, :at] = p[:, :at]
                    lists, p = longer, grown
                lists[at : at + m] = few[:m]
                for q in range(BLOCK * BLOCK):
                    pu, pv = np.float32(b0 * BLOCK + q // BLOCK), np.float32(b1 * BLOCK + q % BLOCK)
                    least = np.float32(np.inf)
                    for k in range(m):
                        i = few[k]
                        squares = _square(axes[i], offset[i], d[i], pu, pv)
                        value = (np.sqrt(squares) if power == 1 else squares) - r[i]
                        values[k] = value
                        least = min(least, value)
                    total = np.float32(0)
                    for k in range(m):
                        away = values[k] - least
                        share = np.exp(-away) if away <= cut else np.float32(0)
                        p[q, at + k] = share
                        total += share
                    for k in range(m):
                        p[q, at + k] /= total
                at += m
                first[b + 1] = at
    return lists, first, p


@njit(cache=True, nogil=True)
def forward(axes, offset, d, r, start, power, size, cut, round_off, images, chosen, grains, begin, end):
    """Write the images (cutout, channel, i, j) of cutouts begin..end, the seeds of the channels, and grain counts."""
    channels = images.shape[1]
    blocks = -(-size // BLOCK)
    for c in range(begin, end):
        a, z = start[c], start[c + 1]
        chosen[c] = -1
        images[c] = 0
        grains[c] = 0
        n = z - a
        if n == 0:
            continue
        lists, first, p = probabilities(axes[a:z], offset[a:z], d[a:z], r[a:z], power, size, np.float32(cut[c]))
        sums = np.zeros(n)
        wins = np.zeros(n, np.bool_)
        for b in range(blocks * blocks):
            for q in range(BLOCK * BLOCK):
                if (b // blocks) * BLOCK + q // BLOCK >= size or (b % blocks) * BLOCK + q % BLOCK >= size:
                    continue
                best, who = np.float32(-1), -1
                for k in range(first[b], first[b + 1]):
                    sums[lists[k]] += p[q, k]
                    if p[q, k] > best:
                        best, who = p[q, k], lists[k]
                wins[who] = True
        grains[c] = wins.sum()
        order = np.argsort(-sums, kind="mergesort")
        channel = np.full(n, -1, np.int64)
        for m in range(min(n, channels)):
            if sums[order[m]] > 0:
                channel[order[m]] = m
                chosen[c, m] = a + order[m]
        for b in range(blocks * blocks):
            for k in range(first[b], first[b + 1]):
                m = channel[lists[k]]
                if m < 0:
                    continue
                for q in range(BLOCK * BLOCK):
                    i, j = (b // blocks) * BLOCK + q // BLOCK, (b % blocks) * BLOCK + q % BLOCK
                    if i < size and j < size:
                        value = p[q, k]
                        images[c, m, i, j] = (np.float32(value > 0.5)) if round_off else value


@njit(cache=True, nogil=True)
def weights(axes, offset, d, r, start, power, size, cut, out):
    """Write the mean probability of each seed over the pixels of its cutout."""
    blocks = -(-size // BLOCK)
    out[:] = 0
    for c in range(len(start) - 1):
        a, z = start[c], start[c + 1]
        if z == a:
            continue
        lists, first, p = probabilities(axes[a:z], offset[a:z], d[a:z], r[a:z], power, size, np.float32(cut[c]))
        for b in range(blocks * blocks):
            for q in range(BLOCK * BLOCK):
                if (b // blocks) * BLOCK + q // BLOCK < size and (b % blocks) * BLOCK + q % BLOCK < size:
                    for k in range(first[b], first[b + 1]):
                        out[a + lists[k]] += p[q, k] / (size * size)


@njit(cache=True, nogil=True)
def backward(axes, offset, d, r, start, power, size, cut, chosen, slope, d_slope, r_slope, begin, end):
    """Add to `d_slope` and `r_slope` what the slopes of the images (cutout, channel, i, j) pass on."""
    blocks = -(-size // BLOCK)
    for c in range(begin, end):
        a, z = start[c], start[c + 1]
        if z == a:
            continue
        lists, first, p = probabilities(axes[a:z], offset[a:z], d[a:z], r[a:z], power, size, np.float32(cut[c]))
        channel = np.full(z - a, -1, np.int64)
        for m in range(chosen.shape[1]):
            if chosen[c, m] >= 0:
                channel[chosen[c, m] - a] = m
        for b in range(blocks * blocks):
            for q in range(BLOCK * BLOCK):
                i, j = (b // blocks) * BLOCK + q // BLOCK, (b % blocks) * BLOCK + q % BLOCK
                if i >= size or j >= size:
                    continue
                mean = np.float32(0)
                for k in range(first[b], first[b + 1]):
                    m = channel[lists[k]]
                    if m >= 0:
                        mean += p[q, k] * slope[c, m, i, j]
                for k in range(first[b], first[b + 1]):
                    if p[q, k] == 0:
                        continue
                    m = channel[lists[k]]
                    own = slope[c, m, i, j] if m >= 0 else np.float32(0)
                    g = p[q, k] * (own - mean)  # of the exponent -value
                    s = a + lists[k]
                    r_slope[s] += g
                    norm = np.float32(0.5)
                    y0 = axes[s, 0, 0] * i + axes[s, 0, 1] * j - offset[s, 0]
                    y1 = axes[s, 1, 0] * i + axes[s, 1, 1] * j - offset[s, 1]
                    y2 = axes[s, 2, 0] * i + axes[s, 2, 1] * j - offset[s, 2]
                    if power == 1:
                        norm = np.sqrt(d[s, 0] * y0 * y0 + d[s, 1] * y1 * y1 + d[s, 2] * y2 * y2)
                        if norm == 0:
                            continue
                    half = g / (2 * norm)
                    d_slope[s, 0] -= half * y0 * y0
                    d_slope[s, 1] -= half * y1 * y1
                    d_slope[s, 2] -= half * y2 * y2
