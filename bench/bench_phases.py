"""Phases from grey volumes: porosity error and coverage on specimens, Dice on real slices, time.

python bench/bench_phases.py [--toy] [--data FOLDER]
"""

import argparse
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

from morpholith import specimens
from morpholith.segment import phases
from morpholith.segment._estimate import estimate
from morpholith.segment.denoise import nonlocal_means
from morpholith.segment.phases import _denoised, _label

DIFFICULTIES = ("easy", "typical", "hard")


def environment():
    names = ("numpy", "scipy", "numba", "morpholith")
    print(f"python {platform.python_version()}, {', '.join(f'{n} {version(n)}' for n in names)}")
    print(f"{platform.machine()}, {os.cpu_count()} cores, NUMBA_NUM_THREADS={os.environ.get('NUMBA_NUM_THREADS')}\n")


def drawn(seed, shape):
    """An electrode and its tomogram with voxel, aspect, particle size, solid and binder fraction drawn at random."""
    rng = np.random.default_rng(seed)
    voxel, aspect = rng.uniform(0.3, 0.8), rng.choice([1.0, 1.0, 1.5])
    spacing = (voxel * aspect, voxel, voxel)
    size = tuple(n * s for n, s in zip(shape, spacing, strict=True))
    packing = specimens.electrode(
        specimens.Electrode(
            size_um=size,
            d50_um=rng.uniform(10, 30) * voxel,
            solid=rng.uniform(0.3, 0.62),
            binder=rng.choice([0, 0.03, 0.06, 0.1]),
        ),
        rng=seed,
    )
    difficulty = str(rng.choice(DIFFICULTIES))
    instrument = specimens.Tomograph.of(difficulty, spacing=spacing)
    active, glue = packing.occupancy(spacing)
    return (
        specimens.tomogram(packing, instrument, rng=seed),
        spacing,
        float(active.mean()),
        float(glue.mean()),
        difficulty,
    )


def coverage(n, shape):
    print(f"porosity of {n} electrodes {shape}, binder 0 to 10 %, voxel aspect 1 or 1.5")
    print("difficulty   n  3 phases  covered  bias     rms error  median half-width  Otsu bias")
    rows = []
    for seed in range(n):
        grey, spacing, active, glue, difficulty = drawn(seed + 1000, shape)
        found = phases(grey, spacing=spacing)
        truth = 1 - active - (glue if found.resolved else 0)
        low, high = (float((labels == 0).mean()) for labels in found.ends())
        otsu = float((phases(grey, spacing=spacing, method="otsu", n_phases=2).labels == 0).mean()) - (1 - active)
        error = float((found.labels == 0).mean()) - truth
        rows.append((difficulty, found.resolved, low <= truth <= high, error, (high - low) / 2, otsu))
    for name in (*DIFFICULTIES, "all"):
        chosen = [r for r in rows if name in (r[0], "all")]
        if chosen:
            resolved, covered, error, half, otsu = (np.array(c, float) for c in list(zip(*chosen, strict=True))[1:])
            print(
                f"{name:10s} {len(chosen):3d}  {resolved.sum():8.0f}  {covered.mean():7.3f}  {error.mean():+.4f}  "
                f"{np.sqrt((error**2).mean()):.4f}     {np.median(half):.4f}             {otsu.mean():+.4f}"
            )


def edges(shape, noises):
    """Bias of the bright share of tilted blurred slabs after denoising: the edges must stay where they were."""
    from scipy.special import ndtr

    z, y, x = np.ogrid[: shape[0], : shape[1], : shape[2]]
    along = x + 0.2371 * (y - shape[1] / 2) + 0.1465 * (z - shape[0] / 2)
    a, b = 0.3 * shape[2], 0.62 * shape[2]
    print("\nshare of a bright slab above half-way, error after non-local means")
    for blur in (0.6, 1.2):
        clean = (ndtr((along - a) / blur) - ndtr((along - b) / blur)).astype(np.float32)
        for sd in noises:
            rng = np.random.default_rng(0)
            noisy = clean + rng.normal(0, sd, shape).astype(np.float32)
            smooth = nonlocal_means(noisy, sd=sd)
            left = smooth[clean < 1e-6].std()
            print(
                f"blur {blur} noise {sd:.2f}: {(smooth > 0.5).mean() - (b - a) / shape[2]:+.5f} (raw "
                f"{(noisy > 0.5).mean() - (b - a) / shape[2]:+.5f}), noise left {left / sd:.2f}"
            )


def real(folder):
    import tifffile

    print("\nDice of active material, real nano-CT slices with machine-like labels")
    for name in ("394", "470", "510", "546"):
        grey = tifffile.imread(folder / f"{name}.tif")[None]
        truth = tifffile.imread(folder / f"{name}_label.tif")[None] == 0
        for method in ("auto", "otsu"):
            found = estimate(
                grey, spacing=(1.0, 1.0, 1.0), n_phases=2, wanted=None, method=method, denoise="auto", phases_of=None
            )
            labels = _label(_denoised(grey, found, (0, 0, 0)), found, found.thresholds) == 1
            print(f"{name} {method:5s} {2 * labels[truth].sum() / (labels.sum() + truth.sum()):.4f}", end="   ")
        print()


def speed(sides):
    print("\ntime of phases, one volume after a warm-up, s (CPU of all threads)")
    grey, spacing, *_ = drawn(1003, (48, 52, 56))
    phases(grey, spacing=spacing)
    for side in sides:
        times = -(-side // 48)
        volume = np.ascontiguousarray(np.tile(grey, (times,) * 3)[:side, :side, :side])
        wall, cpu = time.perf_counter(), time.process_time()
        phases(volume, spacing=spacing)
        print(f"{side}^3: {time.perf_counter() - wall:.2f} ({time.process_time() - cpu:.2f})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--toy", action="store_true")
    parser.add_argument("--data", type=Path, default=None, help="folder with 394.tif, 394_label.tif, ...")
    options = parser.parse_args()
    environment()
    if options.toy:
        coverage(2, (32, 36, 40))
        edges((24, 26, 48), (0.1,))
        speed((48,))
    else:
        coverage(120, (64, 72, 80))
        edges((64, 64, 96), (0.05, 0.1, 0.2, 0.3))
        speed((128, 256))
    if options.data:
        real(options.data)
