"""Kernels over the pixels of orientation maps: angles to neighbours, regions, mean orientations, holes."""

from __future__ import annotations

import numpy as np
from numba import njit

from .._union_find import root


@njit(cache=True)
def neighbour(k, row, column, hexagonal, shifted_row):
    """Return row and column of the k-th forward neighbour: right, below; or right, below left, below right."""
    if k == 0:
        return row, column + 1
    if not hexagonal:
        return row + 1, column
    right = 1 if row % 2 == shifted_row else 0
    return row + 1, column + right + k - 2


@njit(cache=True)
def _between(q, a, b):
    """Return conj(q[a]) q[b]."""
    aw, ax, ay, az = q[a, 0], -q[a, 1], -q[a, 2], -q[a, 3]
    bw, bx, by, bz = q[b, 0], q[b, 1], q[b, 2], q[b, 3]
    return (
        aw * bw - ax * bx - ay * by - az * bz,
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
    )


@njit(cache=True)
def _nearest(w, x, y, z, operators, n):
    """Return which operator s leaves s^-1 (w, x, y, z) the least angle."""
    best, at = -1.0, 0
    for k in range(n):
        value = abs(operators[k, 0] * w + operators[k, 1] * x + operators[k, 2] * y + operators[k, 3] * z)
        if value > best:
            best, at = value, k
    return at


@njit(cache=True)
def _angle(w, x, y, z, s):
    """Return the angle of s^-1 (w, x, y, z), exact near 0."""
    a, b, c, d = s[0], -s[1], -s[2], -s[3]
    real = a * w - b * x - c * y - d * z
    i = a * x + b * w + c * z - d * y
    j = a * y - b * z + c * w + d * x
    k = a * z + b * y - c * x + d * w
    return 2 * np.arctan2(np.sqrt(i * i + j * j + k * k), abs(real))


@njit(cache=True)
def angles(q, phase, operators, counts, hexagonal, shifted_row):
    """Disorientation in rad of each pixel to its forward neighbours of the same phase, NaN to others."""
    rows, columns = phase.shape
    out = np.full((3 if hexagonal else 2, rows, columns), np.nan, np.float32)
    for row in range(rows):
        for column in range(columns):
            p = phase[row, column]
            if p == 0:
                continue
            for k in range(out.shape[0]):
                r, c = neighbour(k, row, column, hexagonal, shifted_row)
                if r < rows and 0 <= c < columns and phase[r, c] == p:
                    w, x, y, z = _between(q, row * columns + column, r * columns + c)
                    at = _nearest(w, x, y, z, operators[p], counts[p])
                    out[k, row, column] = _angle(w, x, y, z, operators[p, at])
    return out


@njit(cache=True)
def regions(joined, mask, hexagonal, shifted_row):
    """Label regions of `mask` whose pixels `joined` (k, y, x) links, 1 upwards in the order of their first pixels."""
    rows, columns = mask.shape
    parent = np.arange(rows * columns)
    for row in range(rows):
        for column in range(columns):
            if not mask[row, column]:
                continue
            for k in range(joined.shape[0]):
                if not joined[k, row, column]:
                    continue
                r, c = neighbour(k, row, column, hexagonal, shifted_row)
                if r < rows and 0 <= c < columns and mask[r, c]:
                    a, b = root(parent, row * columns + column), root(parent, r * columns + c)
                    if a < b:
                        parent[b] = a
                    elif b < a:
                        parent[a] = b
    labels = np.zeros((rows, columns), np.int32)
    n = 0
    for at in range(rows * columns):
        row, column = at // columns, at % columns
        if mask[row, column]:
            first = root(parent, at)
            if first == at:
                n += 1
                labels[row, column] = n
            else:
                labels[row, column] = labels[first // columns, first % columns]
    return labels, n


@njit(cache=True)
def means(q, labels, n, phase, operators, counts):
    """Mean quaternion of each label (n + 1, 4), and the mean angle in rad of its pixels to it."""
    flat = labels.ravel()
    phases = phase.ravel()
    mean = np.zeros((n + 1, 4))
    for at in range(len(flat)):
        label = flat[at]
        if label and phases[at] and mean[label, 0] == 0 and mean[label, 1] == 0 and mean[label, 2] == 0:
            if mean[label, 3] == 0:
                mean[label] = q[at]
    both = np.zeros((2, 4))
    for _ in range(2):
        total = np.zeros((n + 1, 4))
        for at in range(len(flat)):
            label, p = flat[at], phases[at]
            if label == 0 or p == 0:
                continue
            both[0], both[1] = q[at], mean[label]
            w, x, y, z = _between(both, 0, 1)
            s = operators[p, _nearest(w, x, y, z, operators[p], counts[p])]
            both[0, 1:] *= -1
            both[1] = s
            w, x, y, z = _between(both, 0, 1)  # q s
            sign = (
                1.0 if w * mean[label, 0] + x * mean[label, 1] + y * mean[label, 2] + z * mean[label, 3] > 0 else -1.0
            )
            total[label, 0] += sign * w
            total[label, 1] += sign * x
            total[label, 2] += sign * y
            total[label, 3] += sign * z
        for label in range(1, n + 1):
            length = np.sqrt((total[label] ** 2).sum())
            if length > 0:
                mean[label] = total[label] / length
    spread = np.zeros(n + 1)
    seen = np.zeros(n + 1)
    for at in range(len(flat)):
        label, p = flat[at], phases[at]
        if label == 0 or p == 0:
            continue
        both[0], both[1] = q[at], mean[label]
        w, x, y, z = _between(both, 0, 1)
        k = _nearest(w, x, y, z, operators[p], counts[p])
        spread[label] += _angle(w, x, y, z, operators[p, k])
        seen[label] += 1
    return mean, spread / np.maximum(seen, 1)


@njit(cache=True)
def fill(labels, hole, hexagonal, shifted_row):
    """Give the pixels of `hole` the label most of their labelled neighbours have (the lower of two), layer by layer."""
    rows, columns = labels.shape
    todo = np.flatnonzero(hole)
    near = np.zeros(6, np.int32)
    while len(todo):
        given = np.zeros(len(todo), np.int32)
        for i in range(len(todo)):
            row, column = todo[i] // columns, todo[i] % columns
            found = 0
            right = 1 if row % 2 == shifted_row else 0
            for k in range(6 if hexagonal else 4):
                if k < 2:
                    r, c = row, column - 1 + 2 * k
                elif hexagonal:
                    r, c = row - 1 + 2 * (k // 4), column + right - 1 + k % 2
                else:
                    r, c = row - 5 + 2 * k, column
                if 0 <= r < rows and 0 <= c < columns and labels[r, c]:
                    near[found] = labels[r, c]
                    found += 1
            most = 0
            for a in range(found):
                times = 0
                for b in range(found):
                    times += near[b] == near[a]
                if times > most or (times == most and near[a] < given[i]):
                    most, given[i] = times, near[a]
        for i in range(len(todo)):
            labels[todo[i] // columns, todo[i] % columns] = given[i]
        left = todo[given == 0]
        if len(left) == len(todo):
            break
        todo = left
