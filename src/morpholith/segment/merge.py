"""Join basins that are no particles of their own: shallow ones, those without a neck, specks and slivers."""

from __future__ import annotations

import numpy as np
from numba import njit

from .._union_find import root
from ._rules import Rules
from .adjacency import Graph, areas, collapse, numbered


def particles(basins: Graph, *, spacing: tuple[float, float, float], rules: Rules) -> np.ndarray:
    """Return the particle of every basin: merged, cleaned, and numbered in the order of their first voxels.

    Parameters
    ----------
    basins : Graph
    spacing : tuple of float
    rules : Rules

    Returns
    -------
    (n + 1,) int32 array
        0 for what is dropped.
    """
    joined = numbered(basins.first, merge(basins, rules=rules))
    kept = clean(collapse(basins, joined), spacing=spacing, rules=rules)
    return numbered(basins.first, kept[joined])


def merge(basins: Graph, *, rules: Rules) -> np.ndarray:
    """Return for every basin the basin it belongs to after merging, the one with the highest peak.

    In the order of falling saddles, two parts are joined where the lower of their peaks rises less than `depth_um`
    above the saddle (the h-maxima transform), or the saddle is higher than `neck` times the lower peak (a scale-free
    measure of a constriction). Of equal heights the basin that begins first in memory counts as higher.

    Parameters
    ----------
    basins : Graph
    rules : Rules

    Returns
    -------
    (n + 1,) int64 array
    """
    order = np.lexsort([basins.first[1:], -basins.peak[1:].astype(float)])
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    ends = np.sort(rank[basins.pair - 1], axis=1)
    turn = np.lexsort([ends[:, 1], ends[:, 0], -basins.saddle.astype(float)])
    parent = _merge(basins.peak[1:][order], ends[turn], basins.saddle[turn], rules.depth_um, rules.neck)
    return np.concatenate([[0], order[parent[rank]] + 1])


def clean(graph: Graph, *, spacing: tuple[float, float, float], rules: Rules) -> np.ndarray:
    """Return for every label the one it becomes when specks and slivers join a neighbour; 0 for what is dropped.

    A label under `min_voxels`, or of a sphericity under `min_sphericity`, joins the neighbour with which it shares the
    most boundary (paper 001, Methods), the smallest labels first; without a neighbour it is dropped if it is under
    `min_voxels`. Two kinds keep their low sphericity: labels cut by a face of the volume, whose shape is not known, and
    those larger than the neighbour they would join, which would swallow a particle instead of completing one. A label
    without a solid voxel joins a neighbour whatever its size.

    Parameters
    ----------
    graph : Graph
        Numbered in the order of first voxels.
    spacing : tuple of float
    rules : Rules
        Sphericity is Wadell's ``pi^(1/3) (6 V)^(2/3) / S``, the surface against pore and neighbours, by `areas`.

    Returns
    -------
    (n + 1,) int64 array
    """
    into = np.arange(graph.n + 1)
    voxels, real = graph.volume.tolist(), graph.real.tolist()
    voxel_um3 = float(np.prod(spacing))
    free = areas(graph.surface, spacing=spacing)
    contact = areas(graph.contact, spacing=spacing).tolist()
    beside: list[dict[int, float]] = [{} for _ in voxels]
    for (a, b), area in zip(graph.pair.tolist(), contact, strict=True):
        beside[a][b] = beside[b][a] = area

    def flawed(k):
        if voxels[k] < rules.min_voxels or not real[k]:
            return True
        surface = free[k] + sum(beside[k].values())
        round_ = np.pi ** (1 / 3) * (6 * voxels[k] * voxel_um3) ** (2 / 3)
        return not graph.cut[k] and round_ < rules.min_sphericity * surface

    waiting = sorted((k for k in range(1, graph.n + 1) if flawed(k)), key=lambda k: (voxels[k], k))
    for k in waiting:
        if not flawed(k):  # it has grown by a smaller one
            continue
        host = min(beside[k], key=lambda j: (-beside[k][j], j), default=0)
        if real[k] and voxels[k] >= rules.min_voxels and (host == 0 or voxels[host] < voxels[k]):
            continue
        into[k] = host
        if host:
            voxels[host] += voxels[k]
            real[host] |= real[k]
            free[host] += free[k]
            for other, area in beside[k].items():
                del beside[other][k]
                if other != host:
                    beside[other][host] = beside[host][other] = beside[host].get(other, 0.0) + area
        beside[k] = {}
    return _roots(into)


def _roots(into):
    while True:
        further = into[into]
        if (further == into).all():
            return into
        into = further


@njit(cache=True)
def _merge(peak, ends, saddle, depth, neck):
    parent = np.arange(peak.size)
    for k in range(saddle.size):
        a, b = root(parent, ends[k, 0]), root(parent, ends[k, 1])
        a, b = min(a, b), max(a, b)  # b has the lower peak
        if a != b and (peak[b] - saddle[k] < depth or saddle[k] > neck * peak[b]):
            parent[b] = a
    for i in range(parent.size):
        parent[i] = root(parent, i)
    return parent
