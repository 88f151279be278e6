"""Sizes, surfaces and contacts of the labels of a volume, in one pass; all of it adds up over blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from ._threads import slabs
from .basins import OFFSETS, Triple
from .fill import touching


@dataclass(frozen=True)
class Graph:
    """Labels of a volume, or of a block of one, and who touches whom.

    Parameters
    ----------
    volume : (n + 1,) int64 array
        Voxels of each label; the rows of label 0 mean nothing.
    first : (n + 1,) int64 array
        Position in memory of the first voxel of each label.
    peak : (n + 1,) float32 array
        Greatest height of each label.
    real : (n + 1,) bool array
        True for a label of which at least a voxel is solid, not filled pore.
    cut : (n + 1,) bool array
        True for a label that touches a face of the volume.
    surface : (n + 1, 13) int64 array
        Voxel pairs of the label and pore in each of the 13 directions.
    pair : (m, 2) int64 array
        Labels that touch, the smaller first; sorted.
    saddle : (m,) float32 array
        The highest pass between the two: greatest over touching voxels of the lower of the two heights.
    contact : (m, 13) int64 array
        Voxel pairs of the two labels in each of the 13 directions.
    """

    volume: np.ndarray
    first: np.ndarray
    peak: np.ndarray
    real: np.ndarray
    cut: np.ndarray
    surface: np.ndarray
    pair: np.ndarray
    saddle: np.ndarray
    contact: np.ndarray

    @property
    def n(self) -> int:
        """Number of labels."""
        return len(self.volume) - 1


def graph(labels: np.ndarray, height: np.ndarray, solid: np.ndarray, n: int, *, low: Triple, high: Triple) -> Graph:
    """Return sizes, surfaces and contacts of the labels in the box [low, high).

    Every pair of neighbouring voxels belongs to the block in which its first voxel (in memory) lies, so the box needs a
    margin of one voxel, but for the faces of the volume, for its pairs to be complete. A face of the box without a
    margin is taken for a face of the volume.

    Parameters
    ----------
    labels : (z, y, x) int32 array
        0..n.
    height : (z, y, x) float32 array
    solid : (z, y, x) bool array
        As it was before pores were filled.
    n : int
        Largest label.
    low, high : tuple of int
    """
    cut = np.zeros(n + 1, bool)
    ends = tuple(b == size for b, size in zip(high, labels.shape, strict=True))
    cut[touching(labels, tuple(a == 0 for a in low), ends)] = True

    def part(a, b):
        volume, first = np.zeros(n + 1, np.int64), np.full(n + 1, labels.size, np.int64)
        peak, surface = np.zeros(n + 1, np.float32), np.zeros((n + 1, 13), np.int64)
        real = np.zeros(n + 1, np.bool_)
        box = (low[0] + a, *low[1:]), (low[0] + b, *high[1:])
        key, saddle, contact = _graph(labels, height, solid, *box, OFFSETS[13:], volume, first, peak, real, surface)
        pair = np.stack([key >> 32, key & (2**32 - 1)], axis=-1)
        return Graph(volume, first, peak, real, cut, surface, pair, saddle, contact)

    parts = slabs(part, high[0] - low[0], least=16)
    return Graph(
        sum(p.volume for p in parts),
        np.minimum.reduce([p.first for p in parts]),
        np.maximum.reduce([p.peak for p in parts]),
        np.logical_or.reduce([p.real for p in parts]),
        cut,
        sum(p.surface for p in parts),
        *_once(*(np.concatenate([getattr(p, k) for p in parts]) for k in ("pair", "saddle", "contact"))),
    )


def collapse(graph: Graph, into: np.ndarray) -> Graph:
    """Return the graph after label k has become label ``into[k]``; contacts within one label are gone.

    Parameters
    ----------
    graph : Graph
    into : (n + 1,) int array
        New labels 0..m, each in use; ``into[0]`` is 0, and what becomes 0 is dropped.
    """
    n = int(into.max(initial=0))
    volume, surface = np.zeros(n + 1, np.int64), np.zeros((n + 1, 13), np.int64)
    first, peak = np.full(n + 1, np.iinfo(np.int64).max), np.zeros(n + 1, np.float32)
    real, cut = np.zeros(n + 1, bool), np.zeros(n + 1, bool)
    np.add.at(volume, into, graph.volume)
    np.add.at(surface, into, graph.surface)
    np.minimum.at(first, into, graph.first)
    np.maximum.at(peak, into, graph.peak)
    np.logical_or.at(real, into, graph.real)
    np.logical_or.at(cut, into, graph.cut)
    pair = into[graph.pair].astype(np.int64)
    apart = (pair[:, 0] != pair[:, 1]) & (pair > 0).all(axis=1)
    edges = _once(pair[apart], graph.saddle[apart], graph.contact[apart])
    return Graph(volume, first, peak, real, cut, surface, *edges)


def numbered(first: np.ndarray, into: np.ndarray) -> np.ndarray:
    """Return the table `into` with its labels counted anew, 1..m in the order of their first voxels.

    Parameters
    ----------
    first : (n + 1,) int64 array
        First voxel of each old label.
    into : (n + 1,) int array
        Any numbers that tell the new labels apart; 0 is dropped.
    """
    names, new = np.unique(into, return_inverse=True)
    place = np.full(len(names), np.iinfo(np.int64).max)
    np.minimum.at(place, new, first)
    if names[0] == 0:
        place[0] = -1
    rank = np.empty(len(names), np.int32)
    rank[np.argsort(place, kind="stable")] = np.arange(len(names)) + (names[0] != 0)
    return rank[new]


def areas(counts: np.ndarray, *, spacing: tuple[float, float, float]) -> np.ndarray:
    """Return areas in um2 from voxel pairs counted in 13 directions (discrete Cauchy-Crofton formula).

    ``S = 2 sum_k c_k N_k v / l_k`` with v the volume of a voxel, l_k the length of the step and c_k the share of the
    unit sphere that is nearest to the direction k; the shares follow the spacing, so that anisotropic grids carry no
    bias of their own.

    Parameters
    ----------
    counts : (..., 13) int array
    spacing : tuple of float
    """
    from scipy.spatial import SphericalVoronoi

    step = OFFSETS[13:] * np.asarray(spacing, float)
    length = np.linalg.norm(step, axis=1)
    unit = step / length[:, None]
    share = SphericalVoronoi(np.concatenate([unit, -unit])).calculate_areas()[:13] / (2 * np.pi)
    return (counts * (2 * share * np.prod(spacing) / length)).sum(axis=-1)


def _once(pair, saddle, contact):
    """Sort the pairs, the smaller label first, each once, with the highest saddle and the summed contact."""
    key = (pair.min(axis=1) << 32) | pair.max(axis=1) if len(pair) else np.zeros(0, np.int64)
    order = np.argsort(key, kind="stable")
    start = np.flatnonzero(np.diff(key[order], prepend=-1))
    key = key[order][start]
    if len(start):
        saddle = np.maximum.reduceat(saddle[order], start)
        contact = np.add.reduceat(contact[order], start, axis=0)
    return np.stack([key >> 32, key & (2**32 - 1)], axis=-1), saddle, contact


@njit(cache=True, nogil=True)
def _graph(labels, height, solid, low, high, offsets, volume, first, peak, real, surface):
    """Walk over all pairs of voxels; pairs of labels are kept in a hash table (open addressing, linear probing)."""
    nz, ny, nx = labels.shape
    key = np.full(1 << 12, -1, np.int64)
    saddle = np.zeros(key.size, np.float32)
    contact = np.zeros((key.size, 13), np.int64)
    used = 0
    last, slot = np.int64(-1), 0
    for z in range(low[0], high[0]):
        for y in range(low[1], high[1]):
            for x in range(low[2], high[2]):
                a = labels[z, y, x]
                if a:
                    volume[a] += 1
                    first[a] = min(first[a], (z * ny + y) * nx + x)
                    peak[a] = max(peak[a], height[z, y, x])
                    real[a] |= solid[z, y, x]
                for k in range(13):
                    z2, y2, x2 = z + offsets[k, 0], y + offsets[k, 1], x + offsets[k, 2]
                    if z2 >= nz or y2 < 0 or y2 >= ny or x2 < 0 or x2 >= nx:
                        continue
                    b = labels[z2, y2, x2]
                    if a == b:
                        continue
                    if a == 0 or b == 0:
                        surface[max(a, b), k] += 1
                        continue
                    this = (np.int64(min(a, b)) << 32) | np.int64(max(a, b))
                    if this != last:
                        last = this
                        slot = _find(key, this)
                        if key[slot] == -1:
                            key[slot] = this
                            used += 1
                            if 2 * used > key.size:
                                key, saddle, contact = _grown(key, saddle, contact)
                                slot = _find(key, this)
                    saddle[slot] = max(saddle[slot], min(height[z, y, x], height[z2, y2, x2]))
                    contact[slot, k] += 1
    full = np.flatnonzero(key >= 0)
    return key[full], saddle[full], contact[full]


@njit(cache=True, nogil=True)
def _find(key, this):
    slot = ((this * -7046029254386353131) >> 20) & (key.size - 1)
    while key[slot] != this and key[slot] != -1:
        slot = (slot + 1) & (key.size - 1)
    return slot


@njit(cache=True, nogil=True)
def _grown(key, saddle, contact):
    key2 = np.full(2 * key.size, -1, np.int64)
    saddle2 = np.zeros(key2.size, np.float32)
    contact2 = np.zeros((key2.size, 13), np.int64)
    for i in range(key.size):
        if key[i] >= 0:
            slot = _find(key2, key[i])
            key2[slot], saddle2[slot], contact2[slot] = key[i], saddle[i], contact[i]
    return key2, saddle2, contact2
