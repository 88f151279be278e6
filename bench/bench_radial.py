"""Radial grey profiles and the table of 10 000 particles in 400^3 voxels: time, and error against a known gradient.

python bench/bench_radial.py [--toy]
"""

import argparse
import os
import platform
import time
from importlib.metadata import version

import numpy as np

from morpholith.measure import radial_profiles, solid_particles


def environment():
    names = ("numpy", "numba", "pandas", "morpholith")
    print(f"python {platform.python_version()}, {', '.join(f'{n} {version(n)}' for n in names)}")
    threads = os.environ.get("NUMBA_NUM_THREADS")
    print(f"{platform.machine()}, {os.cpu_count()} cores, NUMBA_NUM_THREADS={threads}\n")


def specimen(side, n, rng):
    """Balls on a jittered lattice, grey level 100 at the surface and 150 at the centre, with noise of 3."""
    cells = int(np.ceil(n ** (1 / 3)))
    pitch = side / cells
    labels, grey = np.zeros((side,) * 3, np.int32), np.full((side,) * 3, 40.0, np.float32)
    for k in range(n):
        r = rng.uniform(0.36, 0.48) * pitch
        centre = pitch * (np.array(np.unravel_index(k, (cells,) * 3)) + 0.5) + rng.uniform(-1, 1, 3) * (pitch / 2 - r)
        low = np.maximum(np.floor(centre - r).astype(int) - 1, 0)
        place = tuple(slice(a, min(side, a + int(2 * r) + 4)) for a in low)
        grid = np.ogrid[place]
        share = 1 - np.sqrt(sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True))) / r
        inside = share >= 0
        labels[place][inside] = k + 1
        grey[place][inside] = 100 + 50 * share[inside]
    grey += 3 * rng.standard_normal(grey.shape, dtype=np.float32)
    return labels, grey


def timed(run, repeats):
    run()  # compiles, or loads what was compiled
    best = (np.inf, np.inf)
    for _ in range(repeats):
        start, cpu = time.perf_counter(), time.process_time()
        found = run()
        best = min(best, (time.perf_counter() - start, time.process_time() - cpu))
    return found, best


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--toy", action="store_true", help="a second's worth")
    toy = parser.parse_args().toy
    environment()
    side, n = (60, 27) if toy else (400, 10_000)
    labels, grey = specimen(side, n, np.random.default_rng(0))
    print(f"{n} particles in {side}^3; aim for the profiles: 5 s (a per-particle transform: 60 s)")
    profiles, (wall, cpu) = timed(lambda: radial_profiles(grey, labels, spacing=1.0), 1 if toy else 3)
    print(f"  CPU time of radial_profiles   {cpu:7.2f} s, wall {wall:7.2f} s")
    table, (wall, cpu) = timed(lambda: solid_particles(labels, spacing=1.0, grey=grey), 1 if toy else 2)
    print(f"  CPU time of solid_particles   {cpu:7.2f} s, wall {wall:7.2f} s")
    whole = profiles[~profiles["touches_edge"]]
    print(f"  slope of the grey level       {whole['grey_gradient'].mean():.2f} (true 50)")
    print(
        f"  sphericity                    {table['sphericity'].mean():.4f} +- {table['sphericity'].std():.4f} (true 1)"
    )


if __name__ == "__main__":
    main()
