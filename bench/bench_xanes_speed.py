"""How long a XANES stack takes from file to motion.csv, on two threads, each run in a process of its own.

    OMP_NUM_THREADS=2 NUMBA_NUM_THREADS=2 python bench/bench_xanes_speed.py [--toy]

The stack is `virtual scan --energies 100` (460 x 460, nine particles, typical), read from its HDF5 file of counts.
Seconds are those of the clock. "stages" are read, find, follow, join and the table of motion; "process" adds the
start of Python and what is imported and loaded; "command" is `morpholith xanes register` as a whole, with aligned
stacks, figures, film and report. The best of the repeats stands beside the median, and the least seconds of the
processor, which a busy machine disturbs less; `load` is that of the machine. The rivals see windows cut from frames
in memory, all particles, once.
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
from itertools import chain
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
    motion = track.motion_of(track.join([followed]), image.coordinates["e"])
    motion.to_csv(folder / "motion.csv", index=False)
    marks.append(time.perf_counter())
    print(json.dumps(dict(zip(("read", "find", "follow", "motion"), np.diff(marks).tolist(), strict=True))))


def timed(command):
    """Return seconds of the clock and of the processor of a process, and what it printed."""
    start, before = time.perf_counter(), os.times()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    clock, after = time.perf_counter() - start, os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return clock, used, done.stdout


def ours(folder, repeats):
    """Yield rows of the stages, the process and the whole command."""
    for name, find, n in (("morpholith", "pooled", repeats), ("paper 003", "cyclegan", 1)):
        runs = [timed([sys.executable, __file__, "--child", str(folder), "--find", find]) for _ in range(n)]
        stages = [json.loads(out.splitlines()[-1]) for *_, out in runs]
        totals = [sum(s.values()) for s in stages]
        yield row(name, "stages", totals) | stages[int(np.argmin(totals))]
        yield row(name, "process", [clock for clock, *_ in runs], min(used for _, used, _ in runs))
        if find == "pooled":
            given = [sys.executable, "-m", "morpholith.cli", "xanes", "register", str(folder / "scan.h5")]
            runs = [timed([*given, "--out", str(folder / f"out_{k}")]) for k in range(repeats)]
            yield row(name, "command", [clock for clock, *_ in runs], min(used for _, used, _ in runs))


def row(method, what, seconds, processor=None):
    median = float(np.median(seconds))
    return {"method": method, "what": what, "best_s": min(seconds), "median_s": median, "processor_s": processor}


def rivals(made):
    """Yield one row a rival, all particles of the same stack."""
    density, truth = made.optical_density()[0], made.truth
    places = [g[["y_px", "x_px"]].to_numpy() for _, g in truth.groupby("particle")]
    margin = int(np.ceil(max(np.abs(p - p[0]).max() for p in places))) + 3
    windows = windows_of(made, density, margin)
    for method in (*METHODS_TIMED, *GLOBAL):
        start, used = time.perf_counter(), time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if method in GLOBAL:
                whole(GLOBAL[method], density, windows, best_frame(made))
            else:
                for w in windows.values():
                    METHODS[method](w)
        yield row(method, "displacements", [time.perf_counter() - start], time.process_time() - used)


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
    options.results.mkdir(parents=True, exist_ok=True)
    threads, rows = os.environ.get("OMP_NUM_THREADS", "all"), []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "scan"
        results.write(virtual_scan(made), folder, command="virtual scan", options={})
        if options.toy:
            child(folder, "pooled")
        for one in chain([] if options.toy else ours(folder, options.repeats), rivals(made)):
            rows.append(one | {"threads": threads, "load": round(os.getloadavg()[0], 1), "machine": machine()})
            pd.DataFrame(rows).to_csv(options.results / "xanes_speed.csv", index=False, float_format="%.4g")
            print({k: v for k, v in rows[-1].items() if k != "machine"}, flush=True)
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
