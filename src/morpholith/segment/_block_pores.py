"""Enclosed pores found block by block: pieces labelled in each block, joined across faces, filled."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ..blocks import Block, pieces
from . import fill as whole

ACTIVE = 1  # in a volume of phases


def label(source, solid, pores, block: Block) -> tuple[int, np.ndarray, bool, bool]:
    """Write the solid of a block and the pieces of its pore.

    Returns
    -------
    n : int
        Number of pieces.
    out : (m,) int array
        Pieces that touch a face of the volume.
    pore, mass : bool
        Whether there is any pore, and any solid.
    """
    here = np.asarray(source[block.slices])
    here = here if here.dtype == bool else here == ACTIVE
    solid[block.slices] = here
    if pores is None:
        return 0, np.zeros(0, np.int32), not here.all(), bool(here.any())
    labels, n = whole.pieces(here)
    pores[block.slices] = labels
    low = tuple(a == 0 for a in block.low)
    high = tuple(b == n for b, n in zip(block.high, solid.shape, strict=True))
    out = whole.touching(labels, low, high)
    return n, out[out > 0], n > 0, bool(here.any())


def links(pores, edges: tuple[int, ...], offset: np.ndarray, block: Block) -> np.ndarray:
    """Return the pairs of pieces that meet at the upper faces of a block, (m, 2), counted on over all blocks."""
    found = [np.zeros((0, 2), np.int64)]
    for axis in range(3):
        at = block.high[axis]
        if at == pores.shape[axis]:
            continue
        both = list(block.slices)
        both[axis] = slice(at - 1, at + 1)
        here, there = np.moveaxis(pores[tuple(both)].astype(np.int64), axis, 0)
        low, high = list(block.low), list(block.high)
        low[axis], high[axis] = at, at + 1
        (other,) = pieces(Block(0, tuple(low), tuple(high)), pores.shape, edges)
        meet = (here > 0) & (there > 0)
        pair = np.stack([here[meet] + offset[block.number], there[meet] + offset[other.number]], axis=1)
        found.append(np.unique(pair, axis=0))
    return np.concatenate(found)


def enclosed(offset: np.ndarray, out: list[np.ndarray], links: list[np.ndarray]) -> list[np.ndarray]:
    """Return for each block the table from piece to "is solid or enclosed"."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = int(offset[-1]) + 1
    pair = np.concatenate(links)
    _, group = connected_components(coo_array((np.ones(len(pair), bool), pair.T), (n, n)), directed=False)
    open_ = np.concatenate([piece + start for piece, start in zip(out, offset[:-1], strict=True)])
    closed = ~np.isin(group, group[open_])
    return [np.append(True, closed[a + 1 : b + 1]) for a, b in pairwise(offset)]


def fill(pores, filled, job: tuple[Block, np.ndarray]) -> None:
    """Write the solid of a block with its enclosed pores filled."""
    block, closed = job
    filled[block.slices] = closed[pores[block.slices]]
