"""Basins of a block, and the graph of all basins from those of the blocks."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..blocks import Block, pieces
from . import distance
from .adjacency import Graph, collapse, graph
from .basins import directions, follow
from .separate import relabel, shaped

HALO = 16  # voxels at first; then as many as the greatest distance asks for


@dataclass(frozen=True)
class Rise:
    """Writes the heights and basins of a block; returns what leaves it.

    A call returns the number of basins, which of them end outside the block, and the voxels (m, 3) where they go on.
    """

    solid: Any
    height: Any
    basins: Any
    spacing: tuple[float, float, float]
    smoothing_um: float
    bounded: bool

    def __call__(self, block: Block) -> tuple[int, np.ndarray, np.ndarray]:
        """Do one block."""
        shape = self.solid.shape
        rim = block.grown(1, shape)
        height = self._heights(rim)
        core = block.within(rim)
        low, high = tuple(c.start for c in core), tuple(c.stop for c in core)
        labels, roots = follow(directions(height, spacing=self.spacing), low, high)
        self.height[block.slices] = height[core]
        self.basins[block.slices] = labels[core]
        place = np.stack(np.unravel_index(roots[1:], height.shape), axis=-1)
        leaves = ((place < low) | (place >= high)).any(axis=1)
        return len(roots) - 1, np.flatnonzero(leaves) + 1, place[leaves] + rim.low

    def _heights(self, rim: Block) -> np.ndarray:
        """Return exactly what the whole volume has here."""
        reach = tuple(distance.kernel(self.smoothing_um / s).size - 1 for s in self.spacing)
        need = rim.grown(reach, self.solid.shape)
        height, solid = self._distances(need)
        shaped(height, solid, spacing=self.spacing, smoothing_um=self.smoothing_um)
        return np.ascontiguousarray(height[rim.within(need)])

    def _distances(self, need: Block) -> tuple[np.ndarray, np.ndarray]:
        shape = self.solid.shape
        if not self.bounded:
            return np.ones(need.shape, np.float32), self.solid[need.slices]
        halo: tuple[int, ...] = (HALO,) * 3
        while True:
            outer = need.grown(halo, shape)
            solid = self.solid[outer.slices]
            inner = need.within(outer)
            height = distance.distance(solid, spacing=self.spacing)[inner]
            top = float(height.max(initial=0))
            # a pore voxel that was not seen lies at least one voxel beyond the halo
            seen = [
                (h + 1) * s > top * (1 + 1e-6) or (a == 0 and b == n)
                for h, s, a, b, n in zip(halo, self.spacing, outer.low, outer.high, shape, strict=True)
            ]
            if all(seen):
                return np.ascontiguousarray(height), solid[inner]
            wider = [2 * h if math.isinf(top) else math.ceil(top / s) for h, s in zip(halo, self.spacing, strict=True)]
            halo = tuple(max(a, b) for a, b in zip(halo, wider, strict=True))


@dataclass(frozen=True)
class Join:
    """Measures the basins of a block and their contacts, those with the neighbouring blocks too.

    A call returns the names (labels counted on over all blocks) of the rows of a `Graph`, the graph, and pairs (m, 2)
    of names: a basin that leaves the block, and the one it runs into.
    """

    solid: Any
    height: Any
    basins: Any
    edges: tuple[int, ...]
    offset: np.ndarray

    def __call__(self, job: tuple[Block, np.ndarray, np.ndarray]) -> tuple[np.ndarray, Graph, np.ndarray]:
        """Do one block."""
        block, leaving, to = job
        shape = self.solid.shape
        rim = block.grown(1, shape)
        names, labels = self._labels(block, rim)
        core = block.within(rim)
        low, high = tuple(c.start for c in core), tuple(c.stop for c in core)
        height, solid = self.height[rim.slices], self.solid[rim.slices]
        part = graph(labels, height, solid, len(names) - 1, low=low, high=high)
        seen = part.volume > 0
        place = np.unravel_index(part.first[seen], rim.shape)
        first = np.full_like(part.first, np.iinfo(np.int64).max)
        first[seen] = np.ravel_multi_index([p + a for p, a in zip(place, rim.low, strict=True)], shape)
        target = names[labels[tuple((to - rim.low).T)]]
        return names, replace(part, first=first), np.stack([leaving + self.offset[block.number], target], axis=1)

    def _labels(self, block, rim):
        """Labels of the block as they are, 1..n; those of its neighbours, one voxel deep, from n + 1 on."""
        start, stop = self.offset[block.number : block.number + 2]
        labels = np.zeros(rim.shape, np.int32)
        names, n = [np.arange(start, stop + 1)], int(stop - start)
        names[0][0] = 0
        for part in pieces(rim, self.solid.shape, self.edges):
            local = self.basins[part.slices]
            if part.number != block.number:
                used, number = np.unique(local, return_inverse=True)
                new = np.where(used > 0, np.arange(len(used)) + n + (used[0] > 0), 0)
                local = new[number].reshape(local.shape)
                names.append(used[used > 0] + self.offset[part.number])
                n += len(names[-1])
            labels[part.within(rim)] = local
        return np.concatenate(names), labels


def joined(parts: list[tuple[np.ndarray, Graph, np.ndarray]], n: int) -> tuple[np.ndarray, Graph]:
    """Return the table from block labels to basins of the whole volume, (n + 1,), and the graph of these basins."""
    into = np.arange(n + 1)
    for _, _, ways in parts:
        into[ways[:, 0]] = ways[:, 1]
    while (into[into] != into).any():  # a way may lead through several blocks; it rises all along, so it ends
        into = into[into]
    into = np.unique(into, return_inverse=True)[1]  # label 0 stays 0
    start = np.cumsum([0, *(len(names) for names, _, _ in parts)])
    rows = {
        key: np.concatenate([getattr(part, key) for _, part, _ in parts])
        for key in ("volume", "first", "peak", "real", "cut", "surface", "saddle", "contact")
    }
    pair = np.concatenate([part.pair + s for (_, part, _), s in zip(parts, start[:-1], strict=True)])
    every = Graph(pair=pair, **rows)
    return into, collapse(every, into[np.concatenate([names for names, _, _ in parts])])


def name(basins, solid, labels, job: tuple[Block, np.ndarray]) -> None:
    """Write the particles of a block."""
    block, table = job
    labels[block.slices] = relabel(basins[block.slices], table, solid[block.slices])
