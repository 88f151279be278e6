"""What a marker network is shown: Poisson seeds, and each seed's nearest ones in its radial frame (paper 001)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

NEIGHBOURS = 12
LENGTH, DISTANCE = 8.0, 80.0  # steps; displacements and distances are handed to the network over these


def marker_inputs(neighbours: int = NEIGHBOURS, paper_inputs: bool = False) -> int:
    """Return how many numbers the network takes: five a neighbour, and three of the seed's own."""
    return 5 * neighbours + (0 if paper_inputs else 3)


def neighbour_distance(intensity: float, expected: float = NEIGHBOURS) -> float:
    """Return the radius of the ball in which `expected` seeds lie on average."""
    return (3 * expected / (4 * np.pi * intensity)) ** (1 / 3)


def poisson_seeds(low, high, intensity: float, *, rng: np.random.Generator):
    """Draw a homogeneous Poisson process in a box, each seed with noise in [0, 1]^2 and a turn in [0, pi].

    Parameters
    ----------
    low, high : (3,) arrays
        Corners of the box.
    intensity : float
        Seeds a unit of volume.

    Returns
    -------
    seeds (n, 3), noise (n, 2), gamma (n,)
        In the order they are drawn, which says nothing.
    """
    low, high = np.asarray(low, float), np.asarray(high, float)
    n = rng.poisson(intensity * np.prod(high - low))
    drawn = rng.random((n, 6))
    return low + (high - low) * drawn[:, :3], drawn[:, 3:5], np.pi * drawn[:, 5]


def surroundings(seeds, noise, gamma, wanted, network, *, threads: int = 1) -> np.ndarray:
    """Return what the network sees of each wanted seed (paper 001, Algorithm 1, lines 3 to 5).

    The displacements to the nearest seeds, nearest first, in the frame in which the seed's direction from the origin
    is e1, each with that neighbour's noise; then, unless `network.paper_inputs`, the own noise and the distance.

    Parameters
    ----------
    seeds : (n, 3) array
        Steps, from the centre of the particle.
    noise : (n, 2) array
    gamma : (n,) array
        Turns about the radial direction.
    wanted : (m,) int array
    network : has `intensity`, `neighbours` and `paper_inputs`

    Returns
    -------
    (m, n_in) float32 array
        Zeros for neighbours that do not exist.
    """
    seeds = np.ascontiguousarray(seeds, float)
    out = np.empty((len(wanted), marker_inputs(network.neighbours, network.paper_inputs)), np.float32)
    if len(wanted):
        cells = cells_of(seeds, network.intensity)
        describe_rows(seeds, noise, gamma, np.ascontiguousarray(wanted, np.int64), network, cells, out, threads)
    return out


class Cells(NamedTuple):
    """Seeds sorted into cubes: their order, where each cube begins in it, corner, edge and numbers of cubes."""

    order: np.ndarray
    start: np.ndarray
    low: np.ndarray
    cell: float
    grid: np.ndarray


def cells_of(seeds: np.ndarray, intensity: float) -> Cells:
    """Sort seeds (n, 3) into cubes whose edge suits the intensity."""
    from ._marker_kernels import CELL, in_cells

    if not len(seeds):
        return Cells(np.zeros(0, np.int64), np.zeros(2, np.int64), np.zeros(3), 1.0, np.ones(3, np.int64))
    low = seeds.min(0)
    wide = seeds.max(0) - low
    # a handful of seeds far apart would ask for cubes without end
    cell = max(CELL * intensity ** (-1 / 3), wide.max() / 1000, (wide.prod() / (100.0 * len(seeds))) ** (1 / 3))
    grid = np.maximum(1, np.ceil(wide / cell)).astype(np.int64)
    order, start = in_cells(seeds, low, cell, grid)
    return Cells(order, start, low, cell, grid)


def describe_rows(seeds, noise, gamma, wanted, network, cells, out, threads) -> None:
    """Write the rows of `surroundings`, given the seeds in their cubes."""
    from ._marker_kernels import describe

    kernel: Any = describe
    own = not network.paper_inputs
    scale, far = (LENGTH, DISTANCE) if own else (1.0, 1.0)

    def fill(begin, end):
        given: Any = (seeds, noise, gamma, wanted, *cells, network.neighbours, own, scale, far, out)
        kernel(*given, begin, end)

    in_parts(fill, len(wanted), threads)


def write_metrics(seeds, gamma, diagonal, factor, out, threads) -> None:
    """Write `factor` times Q' D Q of each seed, as `restricted_matrices` has it, to `out` (n, 3, 3)."""
    from ._marker_kernels import metrics_of

    in_parts(lambda begin, end: metrics_of(seeds, gamma, diagonal, factor, out, begin, end), len(seeds), threads)


def thread_count(threads: int | None) -> int:
    """Return how many threads to use: as many as numba would unless told."""
    import numba

    return max(1, int(threads)) if threads is not None else numba.get_num_threads()


def in_parts(function, n: int, threads: int) -> None:
    """Call ``function(begin, end)`` on even parts of 0..n, each in a thread of its own."""
    parts = max(1, min(threads, n // 256))
    cuts = [round(k * n / parts) for k in range(parts + 1)]
    if parts == 1:
        function(0, n)
        return
    with ThreadPoolExecutor(parts) as pool:
        list(pool.map(lambda k: function(cuts[k], cuts[k + 1]), range(parts)))
