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

from .._union_find import root as root_of
from .steady import SHRINK, coarsening, pieces_of_blocks


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
        One over the diagonal: the conductances of the row and to the electrodes.
    electrode : (n,) float32
        Conductance to the two electrodes. This and the next are needed to build the next level, then dropped.
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


PIECES, PIECE = pieces_of_blocks()


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
    _fill_blocks(mask, factors, PIECES, bits, counts)
    ends = np.cumsum(counts.ravel())
    n, reds = int(ends[-1]), int(ends[grid[0] - 1])
    first = np.zeros(grid, np.int32)
    block = np.empty(n, np.int64)
    _number_blocks(bits, PIECES, (ends - counts.ravel()).reshape(2, -1), first, block)
    start = np.zeros(n + 1, np.int64)
    g = tuple(np.float32(a / f) for a, f in zip(conductance, factors, strict=True))
    last = (mask.shape[0] - 1) % factors[0]
    none, nothing = np.zeros(0, np.int32), np.zeros(0, np.float32)
    electrode = np.zeros(n, np.float32)
    _connect_blocks(bits, first, factors, g, last, PIECE, start, none, nothing, electrode)
    np.cumsum(start, out=start)
    neighbour, weight = np.empty(start[-1], np.int32), np.empty(start[-1], np.float32)
    _connect_blocks(bits, first, factors, g, last, PIECE, start, neighbour, weight, electrode)
    inverse = np.zeros(n, np.float32)
    _invert(start, weight, electrode, inverse)
    into = np.full((mask.shape[0] + 2, mask.shape[1] + 2, (mask.shape[2] + 1) // 2 + 2), n, np.int32)
    _assign_voxels(mask, bits, first, factors, PIECE, into)
    return Level(reds, start, neighbour, weight, inverse, electrode, block, grid), into


@njit(parallel=True, cache=True)
def _fill_blocks(mask, factors, pieces, bits, counts):
    fz, fy, fx = factors
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
def _assign_voxels(mask, bits, first, factors, piece, into):
    fz, fy, fx = factors
    nz, ny, nx = mask.shape
    for z in prange(nz):
        for y in range(ny):
            for x in range((z + y) % 2, nx, 2):
                if mask[z, y, x]:
                    bz, by, bx = z // fz, y // fy, x // fx
                    corner = 4 * (z - bz * fz) + 2 * (y - by * fy) + x - bx * fx
                    into[z + 1, y + 1, x // 2 + 1] = first[bz, by, bx] + piece[bits[bz, by, bx], corner]


@njit(parallel=True, cache=True)
def _connect_blocks(bits, first, f, g, last, piece, start, neighbour, weight, electrode):
    """Fill the rows of the first level; without room for them, count their entries into ``start[1:]``.

    `last` is where the last slice of voxels lies in the last slice of blocks.
    """
    count = len(neighbour) == 0
    n = bits.shape
    low = (0x0F, 0x33, 0x55)  # corners on the lower side of a block along z, y and x
    for bz in prange(n[0]):
        there = np.zeros((4, 24), np.int32)  # by piece: neighbours and conductances met so far
        through = np.zeros((4, 24), np.float32)
        met = np.zeros(4, np.int32)
        for by in range(n[1]):
            for bx in range(n[2]):
                filled = int(bits[bz, by, bx])
                if filled == 0:
                    continue
                lump = first[bz, by, bx]
                met[:] = 0
                for side in range(6):
                    axis, up = side // 2, side % 2
                    way = 2 * up - 1
                    cz, cy, cx = bz + way * (axis == 0), by + way * (axis == 1), bx + way * (axis == 2)
                    if min(cz, cy, cx) < 0 or cz == n[0] or cy == n[1] or cx == n[2]:
                        continue
                    other = int(bits[cz, cy, cx])
                    shift = (f[axis] - 1) * (4 >> axis)  # from a lower corner to the upper one opposite
                    faces = (filled >> shift) & other if up else (other >> shift) & filled
                    faces &= low[axis]
                    c = 0
                    while faces:
                        if faces & 1:
                            p = piece[filled, c + shift * up]
                            m = first[cz, cy, cx] + piece[other, c + shift * (1 - up)]
                            k = 0
                            while k < met[p] and there[p, k] != m:
                                k += 1
                            if k == met[p]:
                                met[p] += 1
                                there[p, k] = m
                                through[p, k] = 0
                            through[p, k] += g[axis]
                        faces >>= 1
                        c += 1
                for p in range(4):
                    if count:
                        if met[p]:
                            start[lump + p + 1] = met[p]
                        continue
                    for k in range(met[p]):
                        neighbour[start[lump + p] + k] = there[p, k]
                        weight[start[lump + p] + k] = through[p, k]
                if count:
                    continue
                for c in range(8):
                    if filled >> c & 1:
                        ends = (bz == 0 and c < 4) + (bz == n[0] - 1 and c // 4 == last)
                        electrode[lump + piece[filled, c]] += 2 * g[0] * ends


@njit(parallel=True, cache=True)
def _invert(start, weight, electrode, inverse):
    for i in prange(len(inverse)):
        d = electrode[i]
        for e in range(start[i], start[i + 1]):
            d += weight[e]
        inverse[i] = 1 / d if d > 0 else 0


# --- the levels below ------------------------------------------------------------------------------------


def lump(level: Level, factors, divisors) -> tuple[Level, np.ndarray]:
    """Return the next level, and the lump there of each lump of `level`.

    Parameters
    ----------
    level : Level
    factors, divisors : (z, y, x)
        Blocks that become one along each axis, and what the conductances along it are divided by.
    """
    grid = tuple(-(-n // f) for n, f in zip(level.grid, factors, strict=True))
    root = _unite(level.start, level.neighbour, level.block, level.grid, factors)
    roots = np.flatnonzero(root == np.arange(len(root)))
    places = [p // f for p, f in zip(np.unravel_index(level.block[roots], level.grid), factors, strict=True)]
    block, black = np.ravel_multi_index(places, grid), sum(places) % 2
    order = np.lexsort((block, black))
    number = np.empty(len(root), np.int32)
    number[roots[order]] = np.arange(len(roots), dtype=np.int32)
    into = number[root]
    start, neighbour, conductance, electrode = _merge(
        into, level.start, level.neighbour, level.conductance, level.electrode, level.block, level.grid,
        np.array(divisors, np.float32), len(roots),
    )  # fmt: skip
    inverse = np.zeros(len(roots), np.float32)
    _invert(start, conductance, electrode, inverse)
    reds = int(np.count_nonzero(black == 0))
    return Level(reds, start, neighbour, conductance, inverse, electrode, block[order], grid), into


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
                a, b = root_of(root, i), root_of(root, j)
                if a < b:
                    root[b] = a
                else:
                    root[a] = b
    for i in range(n):
        root[i] = root_of(root, i)
    return root


@njit(cache=True)
def _merge(into, start, neighbour, weight, electrode, block, grid, divisors, n):
    """Sum the rows of lumps that become one, conductances divided by the divisor of their axis."""
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
            new_electrode[a] += electrode[i] / divisors[0]
            for e in range(start[i], start[i + 1]):
                j = neighbour[e]
                b = into[j]
                if b == a:
                    continue
                d = abs(block[i] - block[j])
                axis = 2 if d == 1 and grid[2] > 1 else (1 if d == grid[2] and grid[1] > 1 else 0)
                g = weight[e] / divisors[axis]
                if seen[b] >= new_start[a]:
                    new_weight[seen[b]] += g
                else:
                    seen[b] = k
                    new_neighbour[k] = b
                    new_weight[k] = g
                    k += 1
        new_start[a + 1] = k
    return new_start, new_neighbour[:k].copy(), new_weight[:k].copy(), new_electrode


def hierarchy(mask, conductance, *, smallest: int = 150) -> tuple[list[Level], np.ndarray]:
    """Return the levels, finest first, and the lump of each red voxel.

    The last level has at most `smallest` lumps, or one for each connected piece of the phase.
    """
    steps = coarsening(mask.shape, conductance)
    level, voxels = lump_voxels(mask, conductance, next(steps, (1, 1, 1)))
    levels = [level]
    while len(level) > smallest and max(level.grid) > 1:
        below, into, done = level, np.arange(len(level), dtype=np.int32), np.ones(3, int)
        while max(below.grid) > 1 and len(below) * SHRINK > len(level):
            factors = next(steps)
            divisors = np.where(done == 1, factors, 1)  # 2 at most in all, see `Cycle`
            below, further = lump(below, factors, divisors)
            into, done = further[into], done * factors
        level.into = into[: level.reds].copy()
        slices = level.block[: level.reds] // (level.grid[1] * level.grid[2]) // done[0]
        level.slabs = np.searchsorted(slices, np.arange(below.grid[0] + 1))
        level.block, level.electrode = level.block[:0].copy(), level.electrode[:0].copy()  # no longer needed
        levels.append(below)
        level = below
    return levels, voxels
