"""The tortuosity solver against TauFactor and PoreSpy: seconds, peak memory and tau on one machine.

    python bench/bench_tortuosity.py                        128^3, 256^3, and 500^3 where the reference volume is
    python bench/bench_tortuosity.py --peer-python PATH     PoreSpy from another environment
    python bench/bench_tortuosity.py --toy                  the same in seconds, to see that it runs

Each solve is a process of its own; its time is that of the solve, without imports and compilation, which is done on
a small image before. Tables go to bench/results/ as CSV.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

RESULTS = Path(__file__).parent / "results"
DATA = Path(os.environ.get("MORPHOLITH_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))

OURS = """
import json, resource, sys, time, numpy as np
from morpholith.measure import tortuosity_factor
mask = np.load(sys.argv[1]); tolerance = float(sys.argv[2])
tortuosity_factor(mask[:24, :24, :24] | True, spacing=1.0); tortuosity_factor(mask[:32, :32, :32], spacing=1.0)
t = time.perf_counter(); found = tortuosity_factor(mask, spacing=1.0, tolerance=tolerance); t = time.perf_counter() - t
print(json.dumps(dict(seconds=t, tau=found.tau, iterations=found.iterations, reached=found.imbalance,
    peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)))
"""
TAUFACTOR = """
import contextlib, io, json, os, resource, sys, time, warnings, numpy as np, torch
warnings.simplefilter("ignore"); torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
import taufactor
mask = np.load(sys.argv[1]); tolerance = float(sys.argv[2])
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    solver = taufactor.Solver(mask, device="cpu")
    t = time.perf_counter(); tau = solver.solve(verbose=False, conv_crit=tolerance, iter_limit=int(sys.argv[3]))
    t = time.perf_counter() - t
reached = float(getattr(solver, "relative_error", getattr(solver, "conv_crit", float("nan"))))
print(json.dumps(dict(seconds=t, tau=float(np.ravel(solver.tau)[0]), iterations=int(solver.iter), reached=reached,
    peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)))
"""
PORESPY = """
import json, resource, sys, time, numpy as np, porespy as ps
mask = np.load(sys.argv[1])
t = time.perf_counter(); found = ps.simulations.tortuosity_fd(im=mask, axis=0); t = time.perf_counter() - t
print(json.dumps(dict(seconds=t, tau=float(found.tortuosity), iterations=-1, reached=float("nan"),
    peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)))
"""


def field(n: int, *, sigma: float = 4.0, fraction: float = 0.5) -> np.ndarray:
    """Return a thresholded Gaussian field, periodic."""
    from scipy import ndimage

    values = np.random.default_rng(0).standard_normal((n, n, n)).astype(np.float32)
    values = ndimage.gaussian_filter(values, sigma, mode="wrap")
    return values < np.quantile(values, fraction)


def reference() -> dict[str, np.ndarray]:
    """Return the phases of the 500^3 reference volume, by value, where it is."""
    import tifffile

    archive = DATA / "xct" / "taufactor_reference" / "TF-500.zip"
    if not archive.is_file():
        return {}
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(archive) as packed:
        name = next(n for n in packed.namelist() if n.lower().endswith((".tif", ".tiff")) and "MACOSX" not in n)
        volume = tifffile.imread(packed.extract(name, folder))
    return {f"500^3 reference, phase {v}": volume == v for v in np.unique(volume)}


def solve(program: str, mask: Path, *arguments: str, python: str = sys.executable, limit_s: float = 3600) -> dict:
    """Run one solve in a process of its own."""
    command = [python, "-c", program, str(mask), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=limit_s)
    except subprocess.TimeoutExpired:
        return {"seconds": limit_s, "note": "stopped at the limit of time"}
    if done.returncode:
        return {"note": (done.stderr.strip().splitlines() or ["failed"])[-1][:120]}
    return json.loads(done.stdout.strip().splitlines()[-1])


def rows_of(name: str, mask: np.ndarray, *, peers: bool, peer_python: str, limit_s: float) -> list[dict]:
    """Solve one image every way."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mask.npy"
        np.save(path, mask)
        runs = [("morpholith", t, solve(OURS, path, str(t))) for t in (1e-2, 1e-5, 1e-8)]
        if peers:
            for t, most in ((1e-2, 100_000), (1e-3, 100_000), (1e-5, 4_000)):
                runs.append(("TauFactor", t, solve(TAUFACTOR, path, str(t), str(most), limit_s=limit_s)))
            runs.append(("PoreSpy", np.nan, solve(PORESPY, path, python=peer_python, limit_s=limit_s)))
    return [{"image": name, "method": method, "tolerance": t, **found} for method, t, found in runs]


def growth(sizes: tuple[int, ...]) -> float:
    """Return the exponent of our time against the number of voxels."""
    seconds = []
    for n in sizes:
        with tempfile.TemporaryDirectory() as folder:
            np.save(Path(folder) / "mask.npy", field(n))
            seconds.append(solve(OURS, Path(folder) / "mask.npy", "1e-5")["seconds"])
    return float(np.polyfit(np.log([n**3 for n in sizes]), np.log(seconds), 1)[0])


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--toy", action="store_true")
    parser.add_argument("--peer-python", default=sys.executable)
    parser.add_argument("--limit", type=float, default=240, help="seconds a peer may take")
    parser.add_argument("--results", type=Path, default=RESULTS)
    args = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count()))
    how = {"peer_python": args.peer_python, "limit_s": args.limit}
    if args.toy:
        rows = rows_of("32^3", field(32), peers=True, **how)
        exponent = growth((24, 32))
    else:
        rows = rows_of("128^3, porosity 0.5", field(128), peers=True, **how)
        rows += rows_of("256^3, porosity 0.5", field(256), peers=True, **how)
        for name, mask in reference().items():
            rows += rows_of(name, mask, peers=False, **how)
        exponent = growth((64, 96, 128, 192, 256))
    table = pd.DataFrame(rows)
    at = table[(table.method == "morpholith") & (table.tolerance == 1e-5)].set_index("image")["seconds"]
    table["times_ours"] = table["seconds"] / table["image"].map(at)
    args.results.mkdir(parents=True, exist_ok=True)
    table.to_csv(args.results / "tortuosity.csv", index=False, float_format="%.6g")
    print(table.to_string(index=False))
    print(f"our time grows as voxels^{exponent:.2f}")


if __name__ == "__main__":
    main()
