"""One multigrid W-cycle over lumps of voxels.

Conductances between lumps are a half of what the sums over faces give (Galerkin's), which is right for smooth
potentials and overcorrects others at most twofold. With two rounds on every level the error of a level is multiplied
by a square, so the cycle stays positive definite: a preconditioner for conjugate gradients that cannot break down.

Kernels come twice, plain and parallel: small levels are done before threads have started. Either gives the same bits
for any number of threads.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from ._lumps import Level

FAST = {"contract", "reassoc", "nsz"}
PARALLEL_FROM = 30_000  # lumps; below that starting threads takes longer than the work


def _descend(x, b, reds, start, neighbour, weight, inverse, into, slabs, fresh, out):
    """Relax red (from zero if `fresh`; else red is relaxed already), then black; sum the residual over lumps."""
    n = len(inverse)
    out[:] = 0
    if fresh:
        for i in prange(reds):
            x[i] = b[i] * inverse[i]
    for i in prange(reds, n):
        s = b[i]
        for e in range(start[i], start[i + 1]):
            s += weight[e] * x[neighbour[e]]
        x[i] = s * inverse[i]
    for slab in prange(len(slabs) - 1):
        for i in range(slabs[slab], slabs[slab + 1]):
            if inverse[i] > 0:
                s = b[i] - x[i] / inverse[i]
                for e in range(start[i], start[i + 1]):
                    s += weight[e] * x[neighbour[e]]
                out[into[i]] += s


def _ascend(x, b, reds, start, neighbour, weight, inverse, into, coarse):
    """Add the correction of the level below to red; relax black, then red."""
    n = len(inverse)
    for i in prange(reds):
        x[i] += coarse[into[i]]
    for i in prange(reds, n):
        s = b[i]
        for e in range(start[i], start[i + 1]):
            s += weight[e] * x[neighbour[e]]
        x[i] = s * inverse[i]
    for i in prange(reds):
        s = b[i]
        for e in range(start[i], start[i + 1]):
            s += weight[e] * x[neighbour[e]]
        x[i] = s * inverse[i]


_kernels = [
    (njit(f, cache=True, fastmath=FAST), njit(f, cache=True, fastmath=FAST, parallel=True)) for f in (_descend, _ascend)
]


@njit(cache=True, fastmath=FAST)
def _multiply(matrix, b, x):
    for i in range(len(matrix)):
        s = np.float32(0)
        for j in range(len(matrix)):
            s += matrix[i, j] * b[j]
        x[i] = s


class Cycle:
    """Levels with room for a right-hand side ``b`` and a correction ``x`` each; the last entry is for no lump."""

    def __init__(self, levels: list[Level]):
        self.levels = levels
        self.b = [np.zeros(len(level) + 1, np.float32) for level in levels]
        self.x = [np.zeros(len(level) + 1, np.float32) for level in levels]
        self._bottom = _inverse_matrix(levels[-1])

    def solve(self, n: int = 0) -> None:
        """Write the correction for ``b[n]`` to ``x[n]``."""
        level, x, b = self.levels[n], self.x[n], self.b[n]
        if n == len(self.levels) - 1:
            if self._bottom is None:
                np.multiply(b[:-1], level.inverse, out=x[:-1])
            else:
                _multiply(self._bottom, b, x)
            return
        descend, ascend = (pair[len(level) > PARALLEL_FROM] for pair in _kernels)
        graph = level.reds, level.start, level.neighbour, level.conductance, level.inverse, level.into
        for fresh in (True, False):
            descend(x, b, *graph, level.slabs, fresh, self.b[n + 1])
            self.solve(n + 1)
            ascend(x, b, *graph, self.x[n + 1])


def _inverse_matrix(level: Level) -> np.ndarray | None:
    """Return the inverse of the last level's matrix, None where that is diagonal."""
    if len(level.neighbour) == 0:
        return None
    n = len(level)
    matrix = np.zeros((n, n))
    row = np.repeat(np.arange(n), np.diff(level.start))
    np.add.at(matrix, (row, level.neighbour), -level.conductance.astype(float))
    matrix[np.arange(n), np.arange(n)] = 1 / level.inverse.astype(float)
    return np.linalg.inv(matrix).astype(np.float32)
