"""How well and how fast planar diagrams meet sections: published maps, virtual sections, and PyAPD where it is there.

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python bench/bench_diagram_fit.py [--toy]

Accuracy is the share of labelled pixels that the diagram gives to their grain, grains of at least 10 pixels. "missing"
is the share of the left-out boundary pixels of virtual sections that get the true grain. Kernels are compiled before;
seconds are of the clock and of the processor. Fails below 95 % or above 30 s of the processor for the squared norm.
PyAPD 0.2 (MIT), `log_res` of degree 2 on the published maps: from its moments and, on small maps, after 100 steps of
its `fit_theta`; steps take seconds each on the larger ones.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd

from morpholith import generate, read, segment
from morpholith.segment import Section, filled_labels

RESULTS = Path(__file__).parent / "results"
DATA = Path(os.environ.get("MORPHOLITH_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
MOST = 12_000  # pixels of a map on which the rival may fit
MAPS = ("defdap/testDataEBSD.ctf", "mtex/twins.ctf", "mtex/DC06_2uniax.ang", "duplex_steel/sdss_ferrite_austenite.ang")


def virtual(size, radius, seed):
    """Return a section of a solid diagram of random metrics, norm not squared, and with 35 % of boundaries missing."""
    rng = np.random.default_rng(seed)
    low, high = np.array([-6.0, -3, -3]) * radius, np.array([6.0, size / radius + 3, size / radius + 3]) * radius
    n = rng.poisson(0.16 * np.prod((high - low) / radius))
    turns = np.linalg.qr(rng.normal(size=(n, 3, 3)))[0]
    matrices = turns @ (rng.uniform(1, 10, (n, 3, 1)) * 3.6 / radius**2 * turns.swapaxes(1, 2))
    matrices = (matrices + matrices.swapaxes(1, 2)) / 2
    labels = generate.label_section(
        rng.uniform(low, high, (n, 3)), matrices, rng.uniform(0, 2, n), corner=(0, 0, 0), axes=np.eye(3)[1:],
        shape=(size, size), power=1,
    )  # fmt: skip
    edge = np.zeros(labels.shape, bool)
    edge[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    edge[1:] |= labels[1:] != labels[:-1]
    return labels, np.where(edge & (rng.random(labels.shape) < 0.35), 0, labels).astype(np.int32)


def sources(toy):
    """Yield name, labels seen, true labels or None, and spacing."""
    for name in MAPS[-2:] if toy else MAPS:
        if (DATA / "ebsd" / name).is_file():
            one = read.orientations(DATA / "ebsd" / name)
            yield name, segment.grains(one, min_pixels=10).labels, None, one.spacing
    for size, radius in ((64, 5.0),) if toy else ((256, 5.0), (500, 7.0)):
        truth, seen = virtual(size, radius, 0)
        yield f"virtual {size}", seen, truth, (0.05, 0.05)


def row(name, method, labels, truth, drawn, clock, processor):
    """Return a row of the table."""
    known = labels > 0
    filled = np.nan if truth is None else float((drawn == truth)[~known].mean())
    accuracy = float((drawn == labels)[known].mean())
    n = len(np.unique(labels[known]))
    print(f"{name:40s} {method:28s} {n:5d} {accuracy:.4f} {filled:.3f} {clock:7.2f} {processor:7.2f}", flush=True)
    return {"map": name, "method": method, "pixels": labels.size, "grains": n, "accuracy": accuracy,
            "missing": filled, "clock_s": clock, "processor_s": processor}  # fmt: skip


def timed(function):
    """Return what a function returns, and its seconds of the clock and of the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    out = function()
    return out, time.perf_counter() - clock, time.process_time() - processor


def ours(name, labels, truth, spacing):
    """Return the rows of this package."""
    rows, fits = [], {}
    for power in (2, 1):
        fits[power], *seconds = timed(lambda p=power: generate.fit_diagram(labels, spacing=spacing, power=p))
        rows.append(row(name, f"fit, power {power}", labels, truth, fits[power].labels, *seconds))
        assert np.linalg.eigvalsh(fits[power].matrices).min() > 0
    form, *seconds = timed(lambda: generate.restricted(fits[2], labels))
    rows.append(row(name, "radial form, power 1", labels, truth, form.labels, *seconds))
    if truth is not None:
        section = Section(labels, np.ones(labels.shape, bool), spacing[0], (0.0, 0.0))
        near, *seconds = timed(lambda: filled_labels(section))
        rows.append(row(name, "nearest grain", labels, truth, near, *seconds))
    assert rows[0]["accuracy"] >= 0.95, rows[0]
    assert rows[0]["processor_s"] < 30, rows[0]
    return rows


def peer(name, labels):
    """Return the rows of PyAPD's polynomial diagrams; none where it is not installed."""
    try:
        import torch
        from PyAPD.log_res import min_diagram_system as Diagram
    except ImportError:
        return []
    grains, place = np.unique(labels, return_inverse=True)
    at = np.stack(np.nonzero(labels), 1)
    own = (place.reshape(labels.shape)[labels > 0] - (grains[0] == 0)).astype(np.int64)
    grains = grains[grains > 0]

    def drawn(one):
        out = np.zeros(labels.shape, np.int32)
        out[labels > 0] = grains[one.assemble_diagram().numpy()]
        return out

    def made(steps):
        one = Diagram(
            Y=torch.tensor(at, dtype=torch.float64), grain_map=torch.tensor(own), pixel_params=labels.shape,
            device="cpu",
        )  # fmt: skip
        if steps:
            one.fit_theta(verbose=False, solver="l-bfgs", max_iter=steps, gtol=1e-8, xtol=-1e-10, disp=0)
        return drawn(one)

    rows = []
    made(1)  # compiles
    for steps in (0, 100) if labels.size < MOST else (0,):
        out, *seconds = timed(lambda s=steps: made(s))
        rows.append(row(name, f"PyAPD log_res, {steps} steps", labels, None, out, *seconds))
    return rows


def main():
    """Print and write the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--toy", action="store_true")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    toy = options.toy
    small, _ = virtual(40, 5.0, 1)
    for power in (1, 2):
        generate.restricted(generate.fit_diagram(small, power=power))
    rows = []
    for name, labels, truth, spacing in sources(toy):
        rows += ours(name, labels, truth, spacing)
        if truth is None:
            rows += peer(name, labels)
    options.results.mkdir(parents=True, exist_ok=True)
    if rows:
        pd.DataFrame(rows).round(4).to_csv(options.results / "diagram_fit.csv", index=False)


if __name__ == "__main__":
    main()
