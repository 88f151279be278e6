"""Power diagrams on a grid: time, beside brute force on some of the voxels.

    python bench/bench_power_diagram.py               10 000 grains at 200^3, powers 1 and 2, and in a ball
    python bench/bench_power_diagram.py --large       30 000 grains at 256^3 as well
    python bench/bench_power_diagram.py --peer PYTHON with PyAPD beside, in the interpreter that has it (power 2)
    python bench/bench_power_diagram.py --toy         the same in seconds, to see that it runs

Seeds are a binomial process, matrices of random orientation with axis ratios up to `ratio`, radii log-normal. Best of
the repeats, compiled loops from the cache. Brute force (`label_points`) labels `--sample` voxels drawn at random and
is scaled to the grid; the labels of those voxels must be equal. Seconds of the processor stand beside those of the
clock for a machine with other work.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from morpholith.generate import label_grid, label_points, work_per_voxel

RESULTS = Path(__file__).parent / "results"
MOST_PAIRS = 4e9  # of grains and voxels that PyAPD is asked for: it compares them all


def grains(n, side, ratio, rng):
    """Seeds, matrices with axis ratios up to `ratio`, and radii, in voxels."""
    rng = np.random.default_rng(rng)
    turn = np.linalg.qr(rng.standard_normal((n, 3, 3)))[0]
    m = turn * np.exp(rng.uniform(-1, 1, (n, 1, 3)) * np.log(ratio)) @ turn.swapaxes(1, 2)
    return rng.uniform(0, side, (n, 3)), (m + m.swapaxes(1, 2)) / 2, rng.lognormal(0, 0.3, n)


def timed(function, repeats):
    """Return the best seconds of the clock and of the processor, and the last result."""
    clock, cpu = [], []
    for _ in range(repeats):
        start, used = time.perf_counter(), time.process_time()
        made = function()
        clock.append(time.perf_counter() - start)
        cpu.append(time.process_time() - used)
    return min(clock), min(cpu), made


def compare(n, side, *, ratio, power, ball, options) -> dict:
    """Label one grid and, at random voxels of it, by brute force."""
    made, shape = grains(n, side, ratio, options.seed), (side,) * 3
    inside = None
    if ball:
        line = (np.arange(side) - (side - 1) / 2) ** 2
        inside = line[:, None, None] + line[:, None] + line < (0.4 * side) ** 2
    given = {"shape": shape, "power": power, "inside": inside}
    label_grid(*made, shape=(8, 8, 8), power=power)
    seconds, cpu, labels = timed(lambda: label_grid(*made, **given, threads=options.threads), options.repeats)
    place = np.random.default_rng(1).integers(0, side, (options.sample, 3))
    if inside is not None:
        place = place[inside[tuple(place.T)]]
    label_points(place[:64], *made, power=power)
    brute, brute_cpu, truth = timed(lambda: label_points(place, *made, power=power, threads=options.threads), 1)
    voxels = labels.size if inside is None else int(inside.sum())
    few = len(made[0]) * labels.size < MOST_PAIRS
    peer = pyapd(made, side, labels, options) if options.peer and few and power == 2 and inside is None else {}
    work = work_per_voxel(*made, **given)
    scale = voxels / len(place)
    return {
        "grains": n, "side": side, "voxels": voxels, "axis_ratio": ratio, "power": power, "ball": ball,
        "threads": options.threads, "seconds": seconds, "cpu_seconds": cpu, "brute_seconds": brute * scale,
        "brute_cpu_seconds": brute_cpu * scale, "times_faster_cpu": brute_cpu * scale / cpu,
        "values_per_voxel": work.values * labels.size / voxels, "bounds_per_voxel": work.bounds * labels.size / voxels,
        "compared": len(place), "equal": int((truth == labels[tuple(place.T)]).sum()),
        **peer,
    }  # fmt: skip


def pyapd(made, side, labels, options) -> dict:
    """Time PyAPD on the same grid, and count the voxels that it labels alike (it computes in single precision)."""
    with tempfile.TemporaryDirectory() as folder:
        case, out = Path(folder) / "case.npz", Path(folder) / "labels.npz"
        np.savez(case, seeds=made[0], matrices=made[1], radii=made[2], side=side)
        script = Path(__file__).with_name("peer_pyapd.py")
        subprocess.run([options.peer, script, case, out, "1"], check=True, capture_output=True)
        with np.load(out) as found:
            alike = float((found["labels"] == labels).mean())
            return {"pyapd_seconds": float(found["seconds"]), "pyapd_cpu_seconds": float(found["cpu_seconds"]),
                    "pyapd_alike": alike}  # fmt: skip


def main() -> None:
    """Run the cases asked for."""
    import pandas as pd

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--toy", action="store_true")
    parser.add_argument("--large", action="store_true", help="30 000 grains at 256^3 as well")
    parser.add_argument("--peer", help="a Python interpreter that has PyAPD")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sample", type=int, default=20_000, help="voxels that brute force labels")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    n, side = 10_000, 200
    if options.toy:
        n, side, options.sample, options.repeats = 300, 40, 2000, 1
    cases = [
        {"n": n, "side": side, "ratio": 1.8, "power": 1, "ball": False},
        {"n": n, "side": side, "ratio": 1.8, "power": 2, "ball": False},
        {"n": n, "side": side, "ratio": 4.5, "power": 1, "ball": False},
        {"n": n, "side": side, "ratio": 1.8, "power": 1, "ball": True},
    ]
    if options.peer:
        cases.insert(0, {"n": n // 10, "side": round(side * 0.46), "ratio": 1.8, "power": 2, "ball": False})
    if options.large:
        cases += [{"n": 30_000, "side": 256, "ratio": 1.8, "power": 1, "ball": b} for b in (False, True)]
    rows = []
    for case in cases:
        rows.append(compare(case.pop("n"), case.pop("side"), **case, options=options) | {"machine": platform.machine()})
        print("  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in rows[-1].items()))
        if rows[-1]["equal"] != rows[-1]["compared"]:
            raise SystemExit("brute force gave other labels")
    options.results.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(options.results / "power_diagram.csv", index=False, float_format="%.5g")


if __name__ == "__main__":
    main()
