"""How long an orientation map of a million points takes, on one thread: reading it, its grains, their shapes.

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python bench/bench_grains.py [--toy]

The map is a Voronoi diagram coloured with 40 orientations at least 12 degrees apart, half a degree of noise per axis,
every point written under a random operator of the Laue group. The grains found must be the connected pieces of equal
colour, pixel for pixel, or the bench fails.
The rival is the same idea in numpy and scipy: disorientations by arrays, one operator after the other, then
`scipy.sparse.csgraph.connected_components`. Best and median of the repeats; kernels are compiled before.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from morpholith import measure, read, segment

RESULTS = Path(__file__).parent / "results"
STEP = 0.05
TURN = np.deg2rad(0.5)


def cells(shape, grid, rng):
    """Return a Voronoi diagram of about one cell to 400 points, numbered from 1 without gaps."""
    y, x = np.indices(shape).astype(float)
    if grid == "hexagonal":
        x, y = x + 0.5 * (y % 2), y * np.sqrt(3) / 2
    seeds = rng.uniform(0, [y.max(), x.max()], (max(int(np.prod(shape)) // 400, 4), 2))
    nearest = cKDTree(seeds).query(np.stack([y.ravel(), x.ravel()], axis=1))[1]
    return np.unique(nearest, return_inverse=True)[1].reshape(shape).astype(np.int32) + 1


def product(a, b):
    """Multiply quaternions."""
    w = a[..., 0] * b[..., 0] - (a[..., 1:] * b[..., 1:]).sum(-1)
    v = a[..., :1] * b[..., 1:] + b[..., :1] * a[..., 1:] + np.cross(a[..., 1:], b[..., 1:])
    return np.concatenate([w[..., None], v], axis=-1)


def palette(laue, rng, n=40, least=12.0):
    """Return orientations of which none is nearer than `least` degrees to another."""
    kept = []
    while len(kept) < n:
        q = rng.normal(size=4)
        q /= np.linalg.norm(q)
        if not kept or segment.disorientation(np.array(kept), q, laue=laue).min() > least:
            kept.append(q)
    return np.array(kept)


def made(shape, laue, grid, rng):
    """Return an orientation map and which orientation each of its points was given."""
    colours = palette(laue, rng)
    diagram = cells(shape, grid, rng)
    truth = rng.integers(0, len(colours), int(diagram.max()) + 1)[diagram]
    noise = np.concatenate([np.ones((*shape, 1)), rng.normal(0, TURN / 2, (*shape, 3))], axis=-1)
    noise /= np.linalg.norm(noise, axis=-1, keepdims=True)
    operators = segment.laue_operators(laue)
    pixels = product(product(colours[truth], noise), operators[rng.integers(0, len(operators), shape)])
    rows = STEP * (np.sqrt(3) / 2 if grid == "hexagonal" else 1)
    phases = (read.CrystalPhase("made", laue),)
    euler = segment.euler_angles(pixels)
    return read.OrientationMap(euler, np.ones(shape, np.int32), (rows, STEP), grid, phases, np.ones(shape, bool)), truth


def rival(one, laue, threshold_deg=5.0):
    """Return labels by arrays and a sparse graph."""
    q = segment.quaternions(one.euler_rad).reshape(-1, 4)
    i, j = pairs(one.shape, one.grid)
    near = segment.disorientation(q[i], q[j], laue=laue) <= threshold_deg
    return components(i[near], j[near], one.shape)


def pairs(shape, grid):
    """Return the flat places of all neighbours, odd rows of a hexagonal grid half a step to the right."""
    number = np.arange(shape[0] * shape[1]).reshape(shape)
    sides = [(number[:, :-1], number[:, 1:]), (number[:-1], number[1:])]
    if grid == "hexagonal":
        upper, lower = number[:-1], number[1:]
        sides += [(upper[0::2, 1:], lower[0::2, :-1]), (upper[1::2, :-1], lower[1::2, 1:])]
    return tuple(np.concatenate([side[k].ravel() for side in sides]) for k in (0, 1))


def components(first, second, shape):
    """Return the connected components of a graph of places, 1 upwards in the order of rows."""
    graph = coo_matrix((np.ones(len(first), bool), (first, second)), shape=(shape[0] * shape[1],) * 2)
    found = connected_components(graph, directed=False)[1]
    where = np.unique(found, return_index=True)[1]
    return (where.argsort().argsort()[found] + 1).reshape(shape)


def pieces(truth, grid):
    """Return the connected pieces of equal orientation: what a perfect reconstruction finds."""
    i, j = pairs(truth.shape, grid)
    same = truth.ravel()[i] == truth.ravel()[j]
    return components(i[same], j[same], truth.shape)


def write_ang(path, one):
    """Write a square map as an .ang file."""
    rows, columns = one.shape
    y, x = np.indices(one.shape) * STEP
    head = ["# Phase 1", "# MaterialName made", "# Symmetry 32", "# GRID: SqrGrid", f"# XSTEP: {STEP}"]
    head += [f"# YSTEP: {STEP}", f"# NCOLS_ODD: {columns}", f"# NCOLS_EVEN: {columns}", f"# NROWS: {rows}"]
    ones = np.ones(one.phase.size)
    table = np.column_stack([one.euler_rad.reshape(-1, 3), x.ravel(), y.ravel(), 100 * ones, 0.5 * ones, ones])
    frame = pd.DataFrame(table)
    frame[7] = 1
    path.write_text("\n".join(head) + "\n" + frame.to_csv(sep=" ", header=False, index=False, float_format="%.5f"))


def timed(function, repeats):
    """Return the result, and best and median seconds."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        found = function()
        seconds.append(time.perf_counter() - start)
    return found, {"best_s": round(min(seconds), 4), "median_s": round(float(np.median(seconds)), 4)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--toy", action="store_true", help="seconds' worth")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    shape, repeats = ((60, 90), 1) if options.toy else ((800, 1250), options.repeats)
    rng, rows = np.random.default_rng(1), []
    for laue, grid in (("m-3m", "square"), ("-3m", "square"), ("6/mmm", "hexagonal")):
        one, truth = made(shape, laue, grid, rng)
        said = {"points": int(np.prod(shape)), "laue": laue, "grid": grid}
        segment.grains(one)
        found, seconds = timed(lambda one=one: segment.grains(one), repeats)
        expected = pieces(truth, grid)
        wrong = int((found.labels != expected).sum())
        rows.append(said | {"step": "grains", **seconds, "grains": len(found.table), "wrong_pixels": wrong})
        how = {"spacing": one.spacing, "grid": grid}
        shapes, seconds = timed(lambda f=found, h=how: measure.grain_shapes(f.labels, **h), repeats)
        rows.append(said | {"step": "shapes", **seconds, "grains": len(shapes)})
        labels, seconds = timed(lambda one=one, laue=laue: rival(one, laue), 1)
        wrong = int((labels != expected).sum())
        plain = {"step": "labels alone, numpy and scipy", **seconds, "grains": int(labels.max()), "wrong_pixels": wrong}
        rows.append(said | plain)
        if laue == "-3m":
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "map.ang"
                write_ang(path, one)
                again, seconds = timed(lambda path=path: read.orientations(path), min(repeats, 3))
            assert again.shape == shape
            rows.append(said | {"step": "read .ang", **seconds})
    table = pd.DataFrame(rows)
    options.results.mkdir(parents=True, exist_ok=True)
    table.to_csv(options.results / "grains.csv", index=False)
    print(table.to_string(index=False))
    if table["wrong_pixels"].max() > 0:
        raise SystemExit("the grains found are not those that were made")


if __name__ == "__main__":
    main()
