"""Tortuosity factors: seconds, peak memory and accuracy, ours beside TauFactor and PoreSpy, and growth with size.

    python bench/bench_tortuosity.py                    everything; hours, nearly all of them TauFactor's
    python bench/bench_tortuosity.py --sides 128,256    some sizes of the random medium
    python bench/bench_tortuosity.py --part reference   the published volumes: 500^3, and an electrode of 256^3
    python bench/bench_tortuosity.py --toy              the same in seconds, to see that it runs
    python bench/bench_tortuosity.py --peer-python P    run PoreSpy with another interpreter, one that has it
    python bench/bench_tortuosity.py --patience 1800    seconds after which a run of TauFactor is called off

Every run is a process of its own on the same array: seconds, and those of the processor for a machine with other
work, without imports and compilation; peak memory, and how much of it came on top of the loaded array. Threads:
NUMBA_NUM_THREADS (ours), OMP_NUM_THREADS (the others). "random" is a Gaussian field with standard deviation 4 voxels
cut at one half, "sparse" the same at 0.22, which barely percolates, "site" random voxels at 0.34.

Tolerances mean the same for ours and TauFactor: how far fluxes through slices differ. TauFactor stops on it every 100
iterations; where it no longer falls within 2000, it has stalled. The last column is tau over that of ours at 1e-8.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import warnings
import zipfile
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).parent / "results"
DATA = Path(os.environ.get("MORPHOLITH_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
PUBLISHED = {  # over-converged: taufactor reference volume and electrode
    "reference z": 4.2431, "reference y": 1.1513, "reference x": 1.3905, "electrode": 2.0776,
}  # fmt: skip
TOLERANCES = (1e-2, 1e-5, 1e-8)


# --- the structures --------------------------------------------------------------------------------------


def medium(name, side):
    from scipy import ndimage as ndi

    rng = np.random.default_rng(side)
    if name == "site":
        return rng.random((side,) * 3) < 0.34
    field = rng.standard_normal((side,) * 3, dtype=np.float32)
    field = ndi.gaussian_filter(field, 4, mode="wrap", truncate=3)
    return field <= np.quantile(field, {"random": 0.5, "sparse": 0.22}[name])


def reference(name, folder):
    """Return a published structure with its transport along axis 0, None where the file is absent."""
    import tifffile

    if name == "electrode":
        path = folder / "xct" / "taufactor_reference" / "electrode.tiff"
        return tifffile.imread(path) == 0 if path.exists() else None
    path = folder / "xct" / "taufactor_reference" / "TF-500.zip"
    if not path.exists():
        return None
    with zipfile.ZipFile(path) as archive:
        name_inside = next(n for n in archive.namelist() if n.startswith("TF-500"))
        white = tifffile.imread(io.BytesIO(archive.read(name_inside))) > 0
    return np.ascontiguousarray(np.moveaxis(white, "zyx".index(name[-1]), 0))


# --- the methods, each in a process of its own ---------------------------------------------------------------


def morpholith(mask, tolerance, _patience, device="cpu"):
    from morpholith.measure.tortuosity import tortuosity_factor

    for side in (20, 66):  # compiled loops come from the cache, for small levels and for large ones
        tortuosity_factor(np.random.default_rng(0).random((side,) * 3) < 0.8, spacing=1.0, device=device)

    def run():
        t = tortuosity_factor(mask, spacing=1.0, tolerance=tolerance, device=device)
        return t.tau, t.iterations, t.imbalance, "" if t.converged else "not converged"

    return run


def on_card(mask, tolerance, patience):
    return morpholith(mask, tolerance, patience, device="cuda")


def taufactor(mask, tolerance, patience):
    import taufactor as peer
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count())))

    def run():
        solver = peer.Solver(mask.astype(np.uint8), device="cpu")
        start, best, at, note = time.perf_counter(), np.inf, 0, ""
        while not solver.converged and not note:
            solver.solve(iter_limit=solver.iter + 100, verbose=False, conv_crit=tolerance)
            flux = solver.flux_1d
            spread = float((flux.max() - flux.min()) / flux.max())
            if spread < 0.95 * best:
                best, at = spread, solver.iter
            if solver.iter - at >= 2000:
                note = "stalled"
            elif time.perf_counter() - start > patience:
                note = "called off"
        return float(np.ravel(solver.tau)[0]), solver.iter, spread, note

    return run


def porespy(mask, _tolerance, _patience):
    from porespy.simulations import tortuosity_fd

    def run():
        return float(tortuosity_fd(mask, axis=0).tortuosity), 0, np.nan, "solver's own tolerance"

    return run


METHODS = {"morpholith": morpholith, "morpholith cuda": on_card, "taufactor": taufactor, "porespy": porespy}


def worker(method, path, tolerance, patience):
    """Run one method; print one line of JSON."""
    warnings.simplefilter("ignore")
    import resource

    mask = np.load(path)
    stdout, sys.stdout = sys.stdout, io.StringIO()  # peers print
    run = METHODS[method](mask, tolerance, patience)
    with open("/proc/self/statm") as f:
        before = int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    wall, cpu = time.perf_counter(), time.process_time()
    tau, iterations, imbalance, note = run()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    sys.stdout = stdout
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({
        "tau": tau, "iterations": iterations, "imbalance": imbalance, "seconds": wall, "cpu_seconds": cpu,
        "peak_mb": peak / 1e6, "on_top_mb": (peak - before) / 1e6, "note": note,
    }))  # fmt: skip


def measured(method, path, tolerance, options):
    python = options.peer_python if method == "porespy" else sys.executable
    command = [python, __file__, "--worker", method, str(path), str(tolerance), str(options.patience)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1]
        print(f"  {method:16s} {tolerance:7.0e}  not run: {reason[:90]}")
        return None
    return json.loads(done.stdout.splitlines()[-1])


# --- the tables ------------------------------------------------------------------------------------------


def compare(name, mask, methods, tolerances, options):
    """Run methods over tolerances on one structure; return rows."""
    print(f"\n{name}, {' x '.join(map(str, mask.shape))}, fraction {mask.mean():.3f}")
    print("  method           tolerance  seconds      CPU   peak MB  on top  iterations  imbalance       tau    ratio")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mask.npy"
        np.save(path, mask)
        best = measured("morpholith", path, 1e-8, options)
        for method in methods:
            for tolerance in tolerances:
                if method == "porespy" and tolerance != tolerances[0]:
                    continue
                again = method == "morpholith" and tolerance == 1e-8
                row = best if again else measured(method, path, tolerance, options)
                if row is None:
                    break
                row |= {"structure": name, "side": mask.shape[0], "voxels": mask.size, "method": method}
                row |= {"tolerance": tolerance, "ratio": row["tau"] / best["tau"]}
                rows.append(dict(row))
                print(
                    f"  {method:16s} {tolerance:9.0e} {row['seconds']:8.2f} {row['cpu_seconds']:8.2f}"
                    f" {row['peak_mb']:9.0f} {row['on_top_mb']:7.0f} {row['iterations']:11d} {row['imbalance']:10.1e}"
                    f" {row['tau']:9.5f} {row['ratio']:8.5f} {row['note']}",
                    flush=True,
                )
                if row["note"] in ("stalled", "called off"):
                    break  # a smaller tolerance would end the same
    if name in PUBLISHED and best:
        print(f"  published {PUBLISHED[name]}: ours is {best['tau'] / PUBLISHED[name] - 1:+.1e} off")
    return rows


def speedups(table):
    """Print how many times faster ours is where both reached a tolerance, or the peer's best."""
    if table.method.nunique() > 1:
        print("\nseconds of the others over ours, by structure, side and tolerance")
    for (name, side), part in table.groupby(["structure", "side"], sort=False):
        ours = part[part.method == "morpholith"].set_index("tolerance")
        for peer in part[part.method != "morpholith"].itertuples():
            mine = ours.loc[peer.tolerance]
            print(
                f"  {name} {side}: {peer.method} at {peer.tolerance:.0e} {peer.note}"
                f" {peer.seconds / mine.seconds:.0f}x, memory on top {peer.on_top_mb / mine.on_top_mb:.1f}x"
            )


def growth(table):
    """Print the exponent of the seconds in the number of voxels."""
    print("\nseconds ~ voxels^a, and iterations by side")
    for (name, method, tolerance), part in table.groupby(["structure", "method", "tolerance"], sort=False):
        if part.side.nunique() > 1:
            a = np.polyfit(np.log(part.voxels), np.log(part.cpu_seconds), 1)[0]
            iterations = ", ".join(f"{s}: {i}" for s, i in zip(part.side, part.iterations, strict=True))
            print(f"  {name:8s} {method:16s} {tolerance:.0e}  a = {a:.2f}   iterations {iterations}")


def environment():
    from importlib.metadata import PackageNotFoundError, version

    def known(name):
        try:
            return f"{name} {version(name)}"
        except PackageNotFoundError:
            return f"no {name}"

    packages = ", ".join(known(n) for n in ("morpholith", "numpy", "numba", "torch", "taufactor"))
    print(f"python {platform.python_version()}, {packages}")
    threads = ", ".join(f"{n}={os.environ.get(n)}" for n in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"))
    print(f"{platform.machine()}, {os.cpu_count()} cores, {threads}, load {os.getloadavg()[0]:.1f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--toy", action="store_true", help="seconds' worth")
    parser.add_argument("--part", choices=("all", "media", "reference"), default="all")
    parser.add_argument("--sides", default="128,256", help="of the random medium, voxels")
    parser.add_argument("--methods", default="morpholith,taufactor,porespy", help=f"of {', '.join(METHODS)}")
    parser.add_argument("--patience", type=float, default=3600)
    parser.add_argument("--peer-python", default=sys.executable)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with xct/taufactor_reference")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        method, path, tolerance, patience = options.worker
        worker(method, path, float(tolerance), float(patience))
        return
    import pandas as pd

    environment()
    methods, rows = options.methods.split(","), []
    if options.toy:
        for side in (24, 32):
            rows += compare("random", medium("random", side), ["morpholith"], TOLERANCES[1:], options)
    else:
        if options.part != "reference":
            for side in map(int, options.sides.split(",")):
                # PoreSpy assembles the matrix: 9 GB at 256^3
                some = [m for m in methods if m != "porespy" or side <= 200]
                rows += compare("random", medium("random", side), some, TOLERANCES, options)
            for name in ("sparse", "site"):
                for side in (64, 128, 192):
                    rows += compare(name, medium(name, side), ["morpholith"], TOLERANCES, options)
        if options.part != "media":
            for name in PUBLISHED:
                mask = reference(name, options.data)
                if mask is None:
                    print(f"\n{name}: not in {options.data}")
                    continue
                some = [m for m in methods if m != "porespy"]
                rows += compare(name, mask, some, TOLERANCES, options)
    table = pd.DataFrame(rows)
    speedups(table)
    growth(table)
    if not options.toy:
        options.results.mkdir(parents=True, exist_ok=True)
        table.to_csv(options.results / "tortuosity.csv", index=False)


if __name__ == "__main__":
    main()
