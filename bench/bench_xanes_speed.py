"""How long a XANES stack takes from file to motion.csv, on two threads, each run in a process of its own.

    OMP_NUM_THREADS=2 NUMBA_NUM_THREADS=2 python bench/bench_xanes_speed.py [--toy]

The stack is `virtual scan --energies 100` (460 x 460, nine particles, typical), read from its HDF5 file of counts.
Seconds are those of the clock. "stages" are read, find, follow, join and the table of motion; "process" adds the
start of Python and what is imported and loaded; "command" is `morpholith xanes register` as a whole, with aligned
stacks, figures, film and report. The best of the repeats stands beside the median. The rivals see windows cut from
frames in memory, all particles, once.
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
import warnings
from pathlib import Path

import numpy as np
from bench_xanes import TOY
from xanes_rivals import GLOBAL, METHODS, best_frame, whole, windows_of

RESULTS = Path(__file__).parent / "results"
METHODS_TIMED = ("absolute template", "relative template", "phase correlation", "SIFT", "optical flow")


def child(folder, find):
    """Go from file to motion.csv by the stages of `xanes_register.register`; say how long each took."""
    from morpholith import read, segment, track

    marks = [time.perf_counter()]
    image = read.scan([folder / "scan.h5"])
    stack = np.asarray(image.array[...], np.float32)
    marks.append(time.perf_counter())
    labels = segment.find_particles(stack, method=find)
    marks.append(time.perf_counter())
    how = {} if find == "pooled" else {"align": "mask", "smooth": False}
    followed = track.follow(stack, labels, images=find != "pooled", **how)
    marks.append(time.perf_counter())
    motion = track.motion_of(track.join([followed], n_energies=len(stack)), image.coordinates["e"])
    motion.to_csv(folder / "motion.csv", index=False)
    marks.append(time.perf_counter())
    print(json.dumps(dict(zip(("read", "find", "follow", "motion"), np.diff(marks).tolist(), strict=True))))


def timed(command):
    """Return seconds of the clock of a process, and what it printed."""
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return time.perf_counter() - start, done.stdout


def ours(folder, repeats):
    """Return rows of the stages, the process and the whole command."""
    rows, me = [], [sys.executable, __file__]
    for name, find in (("morpholith", "pooled"), ("paper 003", "cyclegan")):
        runs = [timed([*me, "--child", str(folder), "--find", find]) for _ in range(repeats)]
        stages = [json.loads(out.splitlines()[-1]) for _, out in runs]
        totals = [sum(s.values()) for s in stages]
        best = stages[int(np.argmin(totals))]
        rows.append(row(name, "stages", totals) | {k: v for k, v in best.items()})
        rows.append(row(name, "process", [seconds for seconds, _ in runs]))
    whole_command = []
    for k in range(repeats):
        out = folder / f"out_{k}"
        command = [
            sys.executable,
            "-m",
            "morpholith.cli",
            "xanes",
            "register",
            str(folder / "scan.h5"),
            "--out",
            str(out),
        ]
        whole_command.append(timed(command)[0])
    rows.append(row("morpholith", "command", whole_command))
    return rows


def row(method, what, seconds):
    return {"method": method, "what": what, "best_s": min(seconds), "median_s": float(np.median(seconds))}


def rivals(made):
    """Return one row a rival, all particles of the same stack."""
    density, truth = made.optical_density()[0], made.truth
    places = [g[["y_px", "x_px"]].to_numpy() for _, g in truth.groupby("particle")]
    margin = int(np.ceil(max(np.abs(p - p[0]).max() for p in places))) + 3
    windows = windows_of(made, density, margin)
    rows = []
    for method in (*METHODS_TIMED, *GLOBAL):
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if method in GLOBAL:
                whole(GLOBAL[method], density, windows, best_frame(made))
            else:
                for w in windows.values():
                    METHODS[method](w)
        rows.append(row(method, "displacements", [time.perf_counter() - start]))
        print(method, round(rows[-1]["best_s"], 2), flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--toy", action="store_true", help="seconds' worth")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--find", default="pooled", help=argparse.SUPPRESS)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.find)
        return
    import pandas as pd

    from morpholith import results
    from morpholith.specimens import Scan, scan
    from morpholith.workflows.virtual_scan import virtual_scan

    made = scan(Scan.of("typical", **(TOY if options.toy else {"n_energies": 100})), rng=1201)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "scan"
        results.write(virtual_scan(made), folder, command="virtual scan", options={})
        rows = [] if options.toy else ours(folder, options.repeats)
        if options.toy:
            child(folder, "pooled")
    rows += rivals(made)
    table = pd.DataFrame(rows)
    table["threads"] = os.environ.get("OMP_NUM_THREADS", "all")
    table["load_before"], table["machine"] = load, machine()
    options.results.mkdir(parents=True, exist_ok=True)
    table.to_csv(options.results / "xanes_speed.csv", index=False, float_format="%.4g")
    print(table.drop(columns="machine").round(2).to_string(index=False))
    print(machine())


def machine():
    import scipy
    import skimage

    return (
        f"{os.cpu_count()} cores {platform.machine()}, python {platform.python_version()}, numpy {np.__version__}, "
        f"scipy {scipy.__version__}, scikit-image {skimage.__version__}"
    )


if __name__ == "__main__":
    main()
