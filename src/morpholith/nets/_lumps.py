"""The coarse levels of the diffusion solver in torch: lumps of connected voxels, see `measure._lumps`."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch

from ..measure.steady import CORNERS, SHRINK, coarsening, pieces_of_blocks

SMALLEST = 600  # lumps of the last level, which has a dense inverse


@dataclass
class Graph:
    """Lumps, red ones first, and the edges between red and black.

    Parameters
    ----------
    reds : int
    block : (n,) int64
        Raster index of the block in `grid`.
    grid : (bz, by, bx)
    red, black, axis, g : (edges,)
        Ends, counted within their colour, axis, and conductance.
    electrode : (n,) float64
    """

    reds: int
    block: torch.Tensor
    grid: tuple[int, int, int]
    red: torch.Tensor
    black: torch.Tensor
    axis: torch.Tensor
    g: torch.Tensor
    electrode: torch.Tensor

    def __len__(self) -> int:
        return len(self.block)

    def diagonal(self) -> torch.Tensor:
        """Return the sum of the conductances of each lump."""
        d = self.electrode.clone().index_add_(0, self.red, self.g)
        return d.index_add_(0, self.black + self.reds, self.g)


@dataclass
class Level:
    """What the cycle needs of a graph.

    Parameters
    ----------
    inverse : (n,) float32
        One over the diagonal.
    reds : int
    to_red, to_black : sparse (reds, blacks) and (blacks, reds) float32
        Conductances.
    into : (reds,) int64
        Lump of the next level.
    bottom : (n, n) float32 or None
        Inverse of the whole matrix, on the last level, unless that is diagonal.
    """

    inverse: torch.Tensor
    reds: int
    to_red: torch.Tensor | None = None
    to_black: torch.Tensor | None = None
    into: torch.Tensor | None = None
    bottom: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.inverse)


def hierarchy(mask: torch.Tensor, conductance) -> tuple[list[Level], torch.Tensor]:
    """Return the levels, finest first, and the lump of each voxel (0 outside the phase)."""
    steps = coarsening(tuple(mask.shape), conductance)
    graph, lumps = lump_voxels(mask, conductance, next(steps, (1, 1, 1)))
    levels = []
    while len(graph) > SMALLEST and max(graph.grid) > 1:
        below, into, done = graph, torch.arange(len(graph), device=mask.device), np.ones(3, int)
        while max(below.grid) > 1 and len(below) * SHRINK > len(graph):
            factors = next(steps)
            below, further = lump(below, factors, np.where(done == 1, factors, 1))
            into, done = further[into], done * factors
        levels.append(
            Level(
                (1 / graph.diagonal()).float(), graph.reds, _sparse(graph.red, graph.black, graph.g, graph, True),
                _sparse(graph.black, graph.red, graph.g, graph, False), into[: graph.reds],
            )
        )  # fmt: skip
        graph = below
    levels.append(Level((1 / graph.diagonal()).float(), graph.reds, bottom=_inverse_matrix(graph)))
    return levels, lumps


def lump_voxels(mask: torch.Tensor, conductance, factors) -> tuple[Graph, torch.Tensor]:
    """Return the first graph, and the lump of each voxel."""
    device, (fz, fy, fx) = mask.device, factors
    pieces, piece = (torch.as_tensor(a.astype(np.int64), device=device) for a in pieces_of_blocks())
    grid = tuple(-(-n // f) for n, f in zip(mask.shape, factors, strict=True))
    corners = [c for c in range(CORNERS) if c // 4 < fz and c // 2 % 2 < fy and c % 2 < fx]
    places = {c: np.s_[c // 4 :: fz, c // 2 % 2 :: fy, c % 2 :: fx] for c in corners}
    bits = torch.zeros(grid, dtype=torch.int64, device=device)
    for c, at in places.items():
        part = mask[at]
        bits[tuple(slice(n) for n in part.shape)] += part.long() << c
    z, y, x = (torch.arange(m, device=device) for m in grid)
    parity = ((z[:, None, None] + y[:, None] + x) % 2).reshape(-1)
    order = torch.argsort(parity, stable=True)
    counts = pieces[bits.reshape(-1)][order]
    first = torch.empty_like(counts)
    first[order] = counts.cumsum(0) - counts
    block = order.repeat_interleave(counts)
    reds = int(counts[parity[order] == 0].sum())
    lumps = torch.zeros(mask.shape, dtype=torch.int64, device=device)
    for c, at in places.items():
        part = mask[at]
        inside = tuple(slice(n) for n in part.shape)
        lumps[at] = torch.where(part, first.view(grid)[inside] + piece[bits[inside], c], 0)
    n, pairs = len(block), []
    for axis, f in enumerate(factors):
        low, up = lumps.movedim(axis, 0)[f - 1 : -1 : f], lumps.movedim(axis, 0)[f::f]
        both = mask.movedim(axis, 0)[f - 1 : -1 : f] & mask.movedim(axis, 0)[f::f]
        key, faces = torch.unique(low[both] * n + up[both], return_counts=True)
        pairs.append((key // n, key % n, torch.full_like(key, axis), faces.double() * conductance[axis] / f))
    electrode = torch.zeros(n, dtype=torch.float64, device=device)
    for k in (0, -1):
        at = lumps[k][mask[k]]
        electrode.index_add_(0, at, torch.full_like(at, 1, dtype=torch.float64) * 2 * conductance[0] / fz)
    a, b, axes, g = (torch.cat(p) for p in zip(*pairs, strict=True))
    red, black = torch.minimum(a, b), torch.maximum(a, b) - reds
    return Graph(reds, block, grid, red, black, axes, g, electrode), lumps


def lump(graph: Graph, factors, divisors) -> tuple[Graph, torch.Tensor]:
    """Return the next graph, and the lump there of each lump."""
    grid = tuple(-(-n // f) for n, f in zip(graph.grid, factors, strict=True))
    _, by, bx = graph.grid
    places = graph.block // (by * bx), graph.block // bx % by, graph.block % bx
    z, y, x = (p // f for p, f in zip(places, factors, strict=True))
    parent, colour = (z * grid[1] + y) * grid[2] + x, (z + y + x) % 2
    red, black = graph.red, graph.black + graph.reds
    within = parent[red] == parent[black]
    root = _components(len(graph), red[within], black[within])
    roots = torch.nonzero(root == torch.arange(len(root), device=root.device)).reshape(-1)
    roots = roots[torch.argsort(colour[roots] * (grid[0] * grid[1] * grid[2]) + parent[roots], stable=True)]
    number = torch.empty_like(root)
    number[roots] = torch.arange(len(roots), device=root.device)
    into = number[root]
    reds = int((colour[roots] == 0).sum())
    a, b = into[red[~within]], into[black[~within]]
    axis, g = graph.axis[~within], graph.g[~within]
    divide = torch.as_tensor(np.asarray(divisors, float), device=g.device)
    n = len(roots)
    key, edge = torch.unique(torch.minimum(a, b) * n + torch.maximum(a, b), return_inverse=True)
    new_axis = torch.zeros_like(key)
    new_axis[edge] = axis  # all edges between two blocks cross the same axis
    new_g = torch.zeros(len(key), dtype=g.dtype, device=g.device).index_add_(0, edge, g / divide[axis])
    electrode = torch.zeros(n, dtype=g.dtype, device=g.device).index_add_(0, into, graph.electrode / divide[0])
    return Graph(reds, parent[roots], grid, key // n, key % n - reds, new_axis, new_g, electrode), into


def _components(n: int, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return for each node the smallest node it hangs together with."""
    root = torch.arange(n, device=a.device)
    while True:
        smaller = torch.minimum(root[a], root[b])
        new = root.scatter_reduce(0, a, smaller, "amin").scatter_reduce(0, b, smaller, "amin")
        new = new[new]
        if torch.equal(new, root):
            return root
        root = new


def _sparse(rows, columns, values, graph: Graph, to_red: bool) -> torch.Tensor:
    """Return a matrix in compressed rows."""
    shape = (graph.reds, len(graph) - graph.reds)
    shape = shape if to_red else shape[::-1]
    order = torch.argsort(rows * max(shape[1], 1) + columns)
    start = torch.zeros(shape[0] + 1, dtype=torch.int64, device=rows.device)
    start[1:] = torch.bincount(rows, minlength=shape[0]).cumsum(0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(start, columns[order], values[order].float(), shape, check_invariants=False)


def _inverse_matrix(graph: Graph) -> torch.Tensor | None:
    if len(graph.g) == 0:
        return None
    matrix = torch.diag(graph.diagonal())
    black = graph.black + graph.reds
    matrix[graph.red, black] = -graph.g
    matrix[black, graph.red] = -graph.g
    return torch.linalg.inv(matrix).float()
