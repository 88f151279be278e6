"""Basins of a block, and the graph of all basins from those of the blocks."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..blocks import Block
from . import distance
from .adjacency import Graph, collapse, graph
from .basins import directions, follow
from .separate import relabel, shaped

HALO = 16  # voxels at first; then as many as the greatest distance asks for


@dataclass(frozen=True)
class Rise:
    """Writes the heights and basins of a block, and to a file the voxels where ways leave it.

    In the block, basins whose peak lies inside count from 1, and those that lead out go on from there. A call returns
    how many there are of either kind.
    """

    solid: Any
    height: Any
    basins: Any
    folder: Path
    spacing: tuple[float, float, float]
    smoothing_um: float
    bounded: bool

    def __call__(self, block: Block) -> tuple[int, int]:
        """Do one block."""
        rim = block.grown(1, self.solid.shape)
        height = self._heights(rim)
        core = block.within(rim)
        low, high = _box(core)
        labels, roots = follow(directions(height, spacing=self.spacing), low, high)
        place = np.stack(np.unravel_index(roots[1:], height.shape), axis=-1)
        leaves = ((place < low) | (place >= high)).any(axis=1)
        order = np.argsort(leaves, kind="stable")
        table = np.zeros(len(roots), np.int32)
        table[order + 1] = np.arange(1, len(roots))
        self.height[block.slices] = height[core]
        self.basins[block.slices] = table[labels[core]]
        np.save(ways_of(self.folder, block), (place[leaves] + rim.low).astype(np.int32))
        return int((~leaves).sum()), int(leaves.sum())

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


def ways_of(folder: Path, block: Block) -> Path:
    """Return the file with the voxels (m, 3) to which the ways lead that leave a block."""
    return folder / f"ways_{block.number}.npy"


def table_of(folder: Path, block: Block) -> Path:
    """Return the file with the table from the basins of a block to those of the volume."""
    return folder / f"table_{block.number}.npy"


@dataclass(frozen=True)
class Trace:
    """Finds where the ways lead that leave a block.

    A call returns one number a way: k for basin k of the volume, -k for way k, counted on over all blocks.
    """

    basins: Any
    folder: Path
    edges: tuple[int, ...]
    peaks: np.ndarray  # offsets, as `blocks.offsets` gives them
    ways: np.ndarray

    def __call__(self, block: Block) -> np.ndarray:
        """Do one block."""
        to = np.load(ways_of(self.folder, block))
        rim = block.grown(1, self.basins.shape)
        label = self.basins[rim.slices][tuple((to - rim.low).T)].astype(np.int64)
        counts = [-(-n // e) for n, e in zip(self.basins.shape, self.edges, strict=True)]
        owner = np.ravel_multi_index(tuple((to // self.edges).T), counts)
        beyond = label - np.diff(self.peaks)[owner]
        return np.where(beyond > 0, -(self.ways[owner] + beyond), self.peaks[owner] + label)


def ends(traced: list[np.ndarray]) -> np.ndarray:
    """Return the basin in which every way ends, (m + 1,); a way may cross several blocks, but it rises all along."""
    way = np.concatenate([[0], *traced])
    while (on := np.flatnonzero(way < 0)).size:
        way[on] = way[-way[on]]
    return way.astype(np.int32)


def resolve(basins: Any, joined: Any, folder: Path, block: Block) -> None:
    """Write the basins of a block with their numbers in the volume."""
    joined[block.slices] = np.load(table_of(folder, block))[basins[block.slices]]


@dataclass(frozen=True)
class Measure:
    """Measures the basins of a block and their contacts, also with those of the neighbouring blocks.

    A call returns the numbers in the volume of the rows of a `Graph`, and the graph.
    """

    solid: Any
    height: Any
    basins: Any

    def __call__(self, block: Block) -> tuple[np.ndarray, Graph]:
        """Do one block."""
        shape = self.solid.shape
        rim = block.grown(1, shape)
        names, labels = _dense(self.basins[rim.slices])
        low, high = _box(block.within(rim))
        part = graph(labels, self.height[rim.slices], self.solid[rim.slices], len(names) - 1, low=low, high=high)
        seen = part.volume > 0
        place = np.unravel_index(part.first[seen], rim.shape)
        first = np.full_like(part.first, np.iinfo(np.int64).max)
        first[seen] = np.ravel_multi_index([p + a for p, a in zip(place, rim.low, strict=True)], shape)
        return names, replace(part, first=first)


def _dense(labels):
    """Return the numbers in use, with 0 first, and the labels counted 1..n in their order."""
    used = np.zeros(int(labels.max()) + 1, bool)
    used[labels] = True
    used[0] = True
    return np.flatnonzero(used), (np.cumsum(used, dtype=np.int32) - 1)[labels]


def _box(core):
    return tuple(c.start for c in core), tuple(c.stop for c in core)


def together(parts: list[tuple[np.ndarray, Graph]]) -> Graph:
    """Return the graph of the volume from those of its blocks."""
    start = np.cumsum([0, *(len(names) for names, _ in parts)])
    keys = ("volume", "first", "peak", "real", "cut", "surface", "saddle", "contact")
    rows = {key: np.concatenate([getattr(part, key) for _, part in parts]) for key in keys}
    pair = np.concatenate([part.pair + s for (_, part), s in zip(parts, start[:-1], strict=True)])
    return collapse(Graph(pair=pair, **rows), np.concatenate([names for names, _ in parts]))


def name(basins: Any, solid: Any, labels: Any, table: Path, block: Block) -> None:
    """Write the particles of a block; `table` is the file with the particle of every basin."""
    labels[block.slices] = relabel(basins[block.slices], np.load(table), solid[block.slices])
