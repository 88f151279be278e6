"""The coarse levels of the diffusion solver: lumps of connected voxels, and their multigrid W-cycle.

A lump is what hangs together inside a block of 2 x 2 x 2 voxels; a lump of the next level is what hangs together of
lumps inside 2 x 2 x 2 blocks. Two channels with a wall between them thus stay two lumps on every level, however large
the blocks have become, and the last block of all holds one lump for each connected piece of the phase. This is what
keeps the count of iterations flat for phases that barely percolate.

Lumps of one block never touch and lumps of two blocks touch only across a face, so that the chequerboard of blocks
splits every level into two colours without conductances inside a colour. Lumps are numbered by colour, then by block in
raster order: each half of a relaxation is a plain loop, and slices of blocks are ranges of lumps, which threads share
without meeting. The results have the same bits for any number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numba import njit, prange

FAST = {"contract", "reassoc", "nsz"}
CORNERS = 8  # voxels of a block, numbered 4 z + 2 y + x


@dataclass
class Level:
    """A graph of lumps, symmetric, each edge stored in both directions.

    Parameters
    ----------
    reds : int
        Lumps of the first colour, which come first.
    start, neighbour, conductance : (n + 1), (edges), (edges) arrays
        Compressed rows.
    inverse : (n,) float32
        One over the diagonal: the conductances of the row and to the two electrodes.
    block : (n,) int64
        Raster index of the block in `grid`.
    grid : (bz, by, bx)
    into : (reds,) int32
        Lump of the next level that a red lump is part of. Black ones need not know: where it matters their residual is
        zero and their value about to be overwritten.
    slabs : (slices of blocks of the next level + 1,) int64
        Ranges of red lumps that go into the same slice.
    """

    reds: int
    start: np.ndarray
    neighbour: np.ndarray
    conductance: np.ndarray
    inverse: np.ndarray
    electrode: np.ndarray
    block: np.ndarray
    grid: tuple[int, int, int]
    into: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    slabs: np.ndarray = field(default_factory=lambda: np.zeros(1, np.int64))

    def __len__(self) -> int:
        return len(self.inverse)


def _pieces_of_blocks() -> tuple[np.ndarray, np.ndarray]:
    """Return, for each of the 256 fillings of a block, its pieces and the piece of each voxel."""
    count, piece = np.zeros(256, np.uint8), np.zeros((256, CORNERS), np.uint8)
    for bits in range(256):
        left = {c for c in range(CORNERS) if bits >> c & 1}
        while left:
            front = [min(left)]
            while front:
                c = front.pop()
                left.discard(c)
                piece[bits, c] = count[bits]
                front += [n for n in (c ^ 1, c ^ 2, c ^ 4) if n in left]
            count[bits] += 1
    return count, piece


PIECES, PIECE = _pieces_of_blocks()


# --- the first level, from voxels ------------------------------------------------------------------------


def lump_voxels(mask, conductance, factors) -> tuple[Level, np.ndarray]:
    """Return the first level, and the lump of each red voxel.

    Parameters
    ----------
    mask : (nz, ny, nx) bool array
    conductance : (gz, gy, gx)
    factors : (fz, fy, fx)
        Voxels of a block along each axis, 1 or 2.

    Returns
    -------
    level : Level
    into : (nz + 2, ny + 2, (nx + 1) // 2 + 2) int32 array
        By red voxel, as the fine level stores them; one past the last lump outside the phase.
    """
    grid = tuple(-(-n // f) for n, f in zip(mask.shape, factors, strict=True))
    bits = np.zeros(grid, np.uint8)
    counts = np.zeros((2, grid[0]), np.int64)
    _fill_blocks(mask, *factors, PIECES, bits, counts)
    ends = np.cumsum(counts.ravel())
    n, reds = int(ends[-1]), int(ends[grid[0] - 1])
    first = np.zeros(grid, np.int32)
    block = np.empty(n, np.int64)
    _number_blocks(bits, PIECES, (ends - counts.ravel()).reshape(2, -1), first, block)
    start = np.zeros(n + 1, np.int64)
    g = tuple(np.float32(a / f) for a, f in zip(conductance, factors, strict=True))
    none, nothing = np.zeros(0, np.int32), np.zeros(0, np.float32)
    electrode = np.zeros(n, np.float32)
    _connect_blocks(mask, bits, first, *factors, *g, PIECE, start, none, nothing, electrode)
    np.cumsum(start, out=start)
    neighbour, weight = np.empty(start[-1], np.int32), np.empty(start[-1], np.float32)
    _connect_blocks(mask, bits, first, *factors, *g, PIECE, start, neighbour, weight, electrode)
    inverse = np.zeros(n, np.float32)
    _invert(start, weight, electrode, inverse)
    into = np.full((mask.shape[0] + 2, mask.shape[1] + 2, (mask.shape[2] + 1) // 2 + 2), n, np.int32)
    _assign_voxels(mask, bits, first, *factors, PIECE, into)
    return Level(reds, start, neighbour, weight, inverse, electrode, block, grid), into


@njit(parallel=True, cache=True)
def _fill_blocks(mask, fz, fy, fx, pieces, bits, counts):
    nz, ny, nx = mask.shape
    for bz in prange(bits.shape[0]):
        for by in range(bits.shape[1]):
            for bx in range(bits.shape[2]):
                filled = 0
                for z in range(bz * fz, min(bz * fz + fz, nz)):
                    for y in range(by * fy, min(by * fy + fy, ny)):
                        for x in range(bx * fx, min(bx * fx + fx, nx)):
                            if mask[z, y, x]:
                                filled |= 1 << (4 * (z - bz * fz) + 2 * (y - by * fy) + x - bx * fx)
                bits[bz, by, bx] = filled
                counts[(bz + by + bx) % 2, bz] += pieces[filled]


@njit(parallel=True, cache=True)
def _number_blocks(bits, pieces, offset, first, block):
    _, by_, bx_ = bits.shape
    for bz in prange(bits.shape[0]):
        for by in range(by_):
            for bx in range(bx_):
                colour = (bz + by + bx) % 2
                n = offset[colour, bz]
                first[bz, by, bx] = n
                for k in range(pieces[bits[bz, by, bx]]):
                    block[n + k] = (bz * by_ + by) * bx_ + bx
                offset[colour, bz] += pieces[bits[bz, by, bx]]


@njit(parallel=True, cache=True)
def _assign_voxels(mask, bits, first, fz, fy, fx, piece, into):
    nz, ny, nx = mask.shape
    for z in prange(nz):
        for y in range(ny):
            for x in range((z + y) % 2, nx, 2):
                if mask[z, y, x]:
                    bz, by, bx = z // fz, y // fy, x // fx
                    corner = 4 * (z - bz * fz) + 2 * (y - by * fy) + x - bx * fx
                    into[z + 1, y + 1, x // 2 + 1] = first[bz, by, bx] + piece[bits[bz, by, bx], corner]


@njit(parallel=True, cache=True)
def _connect_blocks(mask, bits, first, fz, fy, fx, gz, gy, gx, piece, start, neighbour, weight, electrode):
    """Fill the rows of the first level; without room for them, count their entries into ``start[1:]``."""
    nz, ny, nx = mask.shape
    count = len(neighbour) == 0
    for bz in prange(bits.shape[0]):
        there = np.zeros((4, 24), np.int32)  # by piece: neighbours and conductances met so far
        g = np.zeros((4, 24), np.float32)
        met = np.zeros(4, np.int32)
        for by in range(bits.shape[1]):
            for bx in range(bits.shape[2]):
                filled = bits[bz, by, bx]
                if filled == 0:
                    continue
                met[:] = 0
                lump = first[bz, by, bx]
                for corner in range(8):
                    if not filled >> corner & 1:
                        continue
                    p = piece[filled, corner]
                    z, y, x = bz * fz + corner // 4, by * fy + corner // 2 % 2, bx * fx + corner % 2
                    if not count:
                        if z == 0:
                            electrode[lump + p] += 2 * gz
                        if z == nz - 1:
                            electrode[lump + p] += 2 * gz
                    for side in range(6):
                        dz = (side == 0) - (side == 1)
                        dy = (side == 2) - (side == 3)
                        dx = (side == 4) - (side == 5)
                        zz, yy, xx = z + dz, y + dy, x + dx
                        if zz < 0 or yy < 0 or xx < 0 or zz >= nz or yy >= ny or xx >= nx or not mask[zz, yy, xx]:
                            continue
                        cz, cy, cx = zz // fz, yy // fy, xx // fx
                        if cz == bz and cy == by and cx == bx:
                            continue
                        other = 4 * (zz - cz * fz) + 2 * (yy - cy * fy) + xx - cx * fx
                        n = first[cz, cy, cx] + piece[bits[cz, cy, cx], other]
                        k = 0
                        while k < met[p] and there[p, k] != n:
                            k += 1
                        if k == met[p]:
                            met[p] += 1
                            there[p, k] = n
                            g[p, k] = 0
                        g[p, k] += gz if side < 2 else (gy if side < 4 else gx)
                for p in range(4):
                    for k in range(met[p]):
                        if count:
                            start[lump + p + 1] += 1
                        else:
                            neighbour[start[lump + p] + k] = there[p, k]
                            weight[start[lump + p] + k] = g[p, k]


@njit(parallel=True, cache=True)
def _invert(start, weight, electrode, inverse):
    for i in prange(len(inverse)):
        d = electrode[i]
        for e in range(start[i], start[i + 1]):
            d += weight[e]
        inverse[i] = 1 / d if d > 0 else 0


# --- the levels below ------------------------------------------------------------------------------------


def lump(level: Level, factors) -> Level:
    """Return the next level, and tell `level` where its red lumps went."""
    bz, by, bx = level.grid
    fz, fy, fx = factors
    grid = (-(-bz // fz), -(-by // fy), -(-bx // fx))
    root = _unite(level.start, level.neighbour, level.block, level.grid, factors)
    roots = np.flatnonzero(root == np.arange(len(root)))
    z, y, x = np.unravel_index(level.block[roots], level.grid)
    z, y, x = z // fz, y // fy, x // fx
    block = np.ravel_multi_index((z, y, x), grid)
    colour = (z + y + x) % 2
    order = np.lexsort((block, colour))
    number = np.empty(len(root), np.int32)
    number[roots[order]] = np.arange(len(roots), dtype=np.int32)
    into = number[root]
    reds = int(np.count_nonzero(colour == 0))
    start, neighbour, weight, electrode = _merge(
        into, level.start, level.neighbour, level.conductance, level.electrode, level.block, level.grid,
        np.array(factors, np.float32), len(roots),
    )  # fmt: skip
    inverse = np.zeros(len(roots), np.float32)
    _invert(start, weight, electrode, inverse)
    level.into = into[: level.reds].copy()
    slices = level.block[: level.reds] // (by * bx) // fz
    level.slabs = np.searchsorted(slices, np.arange(grid[0] + 1))
    return Level(reds, start, neighbour, weight, inverse, electrode, block[order], grid)


@njit(cache=True)
def _root(root, i):
    while root[i] != i:
        root[i] = root[root[i]]
        i = root[i]
    return i


@njit(cache=True)
def _unite(start, neighbour, block, grid, factors):
    """Join lumps that touch inside a block of the next level; return for each the first of its piece."""
    n = len(block)
    root = np.arange(n).astype(np.int32)
    parent = np.empty(n, np.int32)
    ny, nx = -(-grid[1] // factors[1]), -(-grid[2] // factors[2])
    for i in range(n):
        b = block[i]
        z, y, x = b // (grid[1] * grid[2]), b // grid[2] % grid[1], b % grid[2]
        parent[i] = ((z // factors[0]) * ny + y // factors[1]) * nx + x // factors[2]
    for i in range(n):
        for e in range(start[i], start[i + 1]):
            j = neighbour[e]
            if j < i and parent[j] == parent[i]:
                a, b = _root(root, i), _root(root, j)
                if a < b:
                    root[b] = a
                else:
                    root[a] = b
    for i in range(n):
        root[i] = _root(root, i)
    return root


@njit(cache=True)
def _merge(into, start, neighbour, weight, electrode, block, grid, factors, n):
    """Sum the rows of lumps that become one, each conductance divided by the coarsening along its axis."""
    members = np.zeros(n + 1, np.int64)
    for i in range(len(into)):
        members[into[i] + 1] += 1
    for i in range(n):
        members[i + 1] += members[i]
    place = members.copy()
    order = np.empty(len(into), np.int32)
    for i in range(len(into)):
        order[place[into[i]]] = i
        place[into[i]] += 1
    new_start = np.zeros(n + 1, np.int64)
    new_electrode = np.zeros(n, np.float32)
    room = 0
    for i in range(len(into)):
        for e in range(start[i], start[i + 1]):
            if into[neighbour[e]] != into[i]:
                room += 1
    new_neighbour = np.empty(room, np.int32)
    new_weight = np.empty(room, np.float32)
    seen = np.full(n, -1, np.int64)  # place of a neighbour in the row being filled
    k = 0
    for a in range(n):
        for m in range(members[a], members[a + 1]):
            i = order[m]
            new_electrode[a] += electrode[i] / factors[0]
            for e in range(start[i], start[i + 1]):
                j = neighbour[e]
                b = into[j]
                if b == a:
                    continue
                d = abs(block[i] - block[j])
                axis = 2 if d == 1 and grid[2] > 1 else (1 if d == grid[2] and grid[1] > 1 else 0)
                g = weight[e] / factors[axis]
                if seen[b] >= new_start[a]:
                    new_weight[seen[b]] += g
                else:
                    seen[b] = k
                    new_neighbour[k] = b
                    new_weight[k] = g
                    k += 1
        new_start[a + 1] = k
    return new_start, new_neighbour[:k].copy(), new_weight[:k].copy(), new_electrode


# --- the cycle -------------------------------------------------------------------------------------------


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
PARALLEL_FROM = 30_000  # lumps; below that starting threads takes longer than the work


@njit(cache=True, fastmath=FAST)
def _multiply(matrix, b, x):
    for i in range(len(matrix)):
        s = np.float32(0)
        for j in range(len(matrix)):
            s += matrix[i, j] * b[j]
        x[i] = s


class Cycle:
    """One W-cycle over the lumps: two rounds on every level.

    Conductances are a half of what the sums over faces give (Galerkin's), which is right for smooth potentials and
    overcorrects others at most twofold. With two rounds the error of a level is then multiplied by a square, so the
    cycle stays positive definite: a preconditioner for conjugate gradients that cannot break down.
    """

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


def hierarchy(mask, conductance, *, smallest: int = 150) -> tuple[list[Level], np.ndarray]:
    """Return the levels, finest first, and the lump of each red voxel.

    Only axes along which voxels conduct best are lumped, so that flat voxels become cubes first.
    """
    levels: list[Level] = []
    shape = np.array(mask.shape)
    size = 1 / np.sqrt(conductance)
    into = np.zeros(0, np.int32)
    while not levels or (len(levels[-1]) > smallest and shape.max() > 1):
        long = shape > 1
        flat = size <= 1.5 * size[long].min() if long.any() else long
        factors = tuple(int(f) for f in np.where(flat & long, 2, 1))
        if levels:
            levels.append(lump(levels[-1], factors))
        else:
            level, into = lump_voxels(mask, conductance, factors)
            levels.append(level)
        size = size * factors
        shape = -(-shape // np.array(factors))
    return levels, into
