"""Touching particles in a volume: time, peak memory and recall, ours beside scikit-image and PoreSpy.

    python bench/bench_particles3d.py                  256^3 and 512^3, in memory and block by block
    python bench/bench_particles3d.py --sides 256      one size
    python bench/bench_particles3d.py --toy            the same in seconds, to see that it runs
    python bench/bench_particles3d.py --peer-python P  run PoreSpy with another interpreter, one that has it

Every method runs in a process of its own on the same array: seconds, and those of the processor for a machine with
other work, without imports and compilation; peak memory of the process, and how much of it came on top of the loaded
array. Specimens (`morpholith.specimens.electrode`): "easy", overlapping spheres; "hard", ellipsoids up to 1.9:1 with
lumps and a noisy surface; "cracked", half of the particles with a crack inside. Recall is over true particles of at
least a twentieth of the median volume.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).parent / "results"
BLOCKWISE = "morpholith, block by block"


def morpholith(solid, _folder):
    from morpholith.segment import separate_particles

    separate_particles(solid[:24, :20, :16], spacing=(1, 1, 1))  # compiled loops come from the cache
    return lambda: separate_particles(solid, spacing=(1, 1, 1))


def block_by_block(path, folder):
    import zarr

    from morpholith.segment import separate_blockwise

    source = zarr.open_array(path, mode="r")
    corner = np.asarray(source[:24, :20, :16])
    separate_blockwise(corner, spacing=(1, 1, 1), store=Path(folder) / "warm", chunks=16)
    chunks = max(32, min(192, source.shape[0] // 2))
    return lambda: separate_blockwise(source, spacing=(1, 1, 1), store=Path(folder) / "labels", chunks=chunks)


def scikit_image(solid, _folder):
    from scipy import ndimage as ndi
    from skimage.feature import peak_local_max
    from skimage.segmentation import watershed

    def run():
        height = ndi.gaussian_filter(ndi.distance_transform_edt(solid).astype(np.float32), 2)
        peaks = peak_local_max(height, min_distance=8, labels=solid.astype(int), exclude_border=False)
        seeds = np.zeros(solid.shape, np.int32)
        seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
        return watershed(-height, seeds, mask=solid)

    return run


def porespy(solid, _folder):
    import porespy

    porespy.settings.tqdm["disable"] = True

    def run():
        return (porespy.filters.snow_partitioning(solid, r_max=4, sigma=0.4).regions * solid).astype(np.int32)

    return run


METHODS = {"morpholith": morpholith, BLOCKWISE: block_by_block, "scikit-image": scikit_image, "PoreSpy": porespy}


def peak_mb() -> float:
    """Peak resident memory of this process; getrusage would count the one that started it."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmHWM in /proc/self/status")


def child(method: str, source: str, folder: str) -> None:
    """Run one method on one array, leave labels.npy, and print what it took."""
    data = source + ".zarr" if method == BLOCKWISE else np.load(source + ".npy")
    run = METHODS[method](data, folder)
    base, start, cpu = peak_mb(), time.perf_counter(), time.process_time()
    labels = run()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    spent = {"seconds": seconds, "cpu_seconds": cpu, "peak_mb": peak_mb(), "extra_mb": peak_mb() - base}
    np.save(Path(folder) / "labels.npy", np.asarray(labels[...], np.int32))
    print(json.dumps(spent))


def launch(method, source, python, threads) -> tuple[dict, np.ndarray] | None:
    """Start `child`; None where the peer is not installed."""
    names = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [python, __file__, "--child", method, str(source), folder],
            capture_output=True, text=True, check=False, env={**os.environ, **dict.fromkeys(names, str(threads))},
        )  # fmt: skip
        if done.returncode:
            if "ModuleNotFoundError" in done.stderr:
                return None
            raise RuntimeError(f"{method} failed:\n{done.stderr[-2000:]}")
        return json.loads(done.stdout.splitlines()[-1]), np.load(Path(folder) / "labels.npy")


def specimen(kind: str, side: int, rng: int) -> np.ndarray:
    """Draw the true labels of about 300 particles, whatever the number of voxels; nothing else is solid."""
    from scipy import ndimage as ndi

    from morpholith.segment.distance import distance
    from morpholith.specimens import Electrode, electrode

    shape = {
        "easy": {"aspect": 1.0, "aspect_sd": 0.0, "overlap": 0.2},
        "hard": {"aspect": 1.4, "aspect_sd": 0.15, "overlap": 0.15, "roughness": 0.06},
        "cracked": {"aspect": 1.2, "aspect_sd": 0.1, "overlap": 0.1, "roughness": 0.04, "cracked": 0.5},
    }[kind]
    size = 56.0
    truth = electrode(Electrode(size_um=(size,) * 3, solid=0.54, d50_um=9, binder=0, **shape), rng=rng).labels(
        (size / side,) * 3
    )
    if kind != "hard":
        return truth
    noise = np.random.default_rng(rng).standard_normal(truth.shape, np.float32)
    ndi.gaussian_filter(noise, 1, output=noise)
    noise /= noise.std()
    solid = distance(truth > 0, spacing=(1, 1, 1)) + noise > distance(truth == 0, spacing=(1, 1, 1))
    for _ in range(4):  # a voxel of noise at the surface, on either side; what grows belongs to its neighbour
        np.copyto(truth, ndi.maximum_filter(truth, 3), where=truth == 0)
    return np.where(solid, truth, 0)


def score(truth: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Recall at two overlaps and the share of found particles that match none, both without crumbs."""
    from morpholith.segment.matching import iou_table

    sizes, found = np.bincount(truth.ravel()), np.bincount(labels.ravel())
    least = 0.05 * np.median(sizes[1:][sizes[1:] > 0])
    real = np.flatnonzero(sizes >= least)[1:]
    table = iou_table(truth, labels)
    best = table.groupby("truth").iou.max().reindex(real, fill_value=0.0)
    kept = np.flatnonzero(found >= least)[1:]
    other = table.groupby("label").iou.max().reindex(kept, fill_value=0.0)
    return {
        "true": len(real), "found": len(kept), "recall_50": float((best > 0.5).mean()),
        "recall_75": float((best > 0.75).mean()), "mean_iou": float(best.mean()),
        "false_share": float((other <= 0.5).mean()),
    }  # fmt: skip


def compare(kind, side, options) -> list[dict]:
    """Run every method on one specimen."""
    import zarr

    truth = specimen(kind, side, options.seed)
    rows, ours = [], None
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "solid"
        np.save(f"{source}.npy", truth > 0)
        zarr.create_array(f"{source}.zarr", data=truth > 0, chunks=(max(side // 4, 16),) * 3)
        for method in METHODS:
            if method in ("scikit-image", "PoreSpy") and side > options.peers_up_to:
                continue
            python = options.peer_python if method == "PoreSpy" else sys.executable
            done = launch(method, source, python, options.threads)
            if done is None:
                print(f"{method} is not installed for {python}: left out")
                continue
            spent, labels = done
            ours = labels if method == "morpholith" else ours
            row = {"specimen": kind, "side": side, "solid": float((truth > 0).mean()), "method": method}
            row |= {"threads": options.threads, **spent, **score(truth, labels)}
            rows.append(row | {"equals_ours": bool(ours is not None and np.array_equal(labels, ours))})
            print("  ".join(f"{v:.3f}" if isinstance(v, float) else f"{v}" for v in rows[-1].values()), flush=True)
    return rows


def main() -> None:
    """Run the sizes and specimens asked for."""
    import pandas as pd

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--toy", action="store_true")
    parser.add_argument("--sides", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--specimens", nargs="+", default=["easy", "hard", "cracked"])
    parser.add_argument("--peers-up-to", type=int, default=256, help="largest side at which the peers run")
    parser.add_argument("--peer-python", default=sys.executable)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    options.results.mkdir(parents=True, exist_ok=True)
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    sides, kinds = ([64], ["hard"]) if options.toy else (options.sides, options.specimens)
    rows = [row for side in sides for kind in kinds for row in compare(kind, side, options)]
    table = pd.DataFrame(rows)
    table.to_csv(options.results / "particles3d.csv", index=False)
    print(table.round(3).to_string(index=False))


if __name__ == "__main__":
    if len(sys.argv) > 2 and sys.argv[1] == "--child":
        child(*sys.argv[2:])
    else:
        main()
