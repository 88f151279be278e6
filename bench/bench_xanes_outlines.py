"""Particles in single frames of XANES scans, by every method of `find_particles`, against exact outlines.

    python bench/bench_xanes_outlines.py [--toy]

Each scan is 460 x 460 with nine particles and 143 energies; in every other one, and in all `hard` ones, a pair
touches. "pooled" sees the whole scan, the others the judged frame alone: three below the edge (8250, 8290, 8320 eV)
and three above it (8353, 8380, 8420 eV). A particle is found where its overlap with one that was found (IoU) exceeds
one half. iou and centre_px are the medians over those that were found, centre_px of the distance between centres of
mass. Seconds are those of the processor for a frame; those of "pooled" for a frame of the whole scan. No network has
seen these seeds.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from bench_xanes import TOY

RESULTS = Path(__file__).parent / "results"
METHODS = ("pooled", "classical", "cyclegan", "supervised")
SHOWN = {"below": (8250.0, 8290.0, 8320.0), "above": (8353.0, 8380.0, 8420.0)}


def overlaps(found, true):
    """Return intersection over union of every found with every true label of a frame."""
    n, m = int(found.max()), int(true.max())
    both = np.bincount(found.ravel().astype(np.int64) * (m + 1) + true.ravel(), minlength=(n + 1) * (m + 1))
    both = both.reshape(n + 1, m + 1)
    union = both.sum(1)[1:, None] + both.sum(0)[None, 1:] - both[1:, 1:]
    return both[1:, 1:] / np.maximum(union, 1)


def compare(found, true):
    """Return counts of a frame (true, found, matched), and overlap and distance of what matched."""
    from scipy import ndimage as ndi

    iou = overlaps(found, true)
    pairs = np.argwhere(iou > 0.5)  # above one half a partner is the only one
    there = [int((np.bincount(a.ravel())[1:] > 0).sum()) for a in (true, found)]
    away = [
        float(np.hypot(*np.subtract(ndi.center_of_mass(found == k + 1), ndi.center_of_mass(true == i + 1))))
        for k, i in pairs
    ]
    return [*there, len(pairs)], [float(iou[k, i]) for k, i in pairs], away


def one_scan(difficulty, seed, **changes):
    """Return one row a method and side of the edge."""
    from morpholith.segment import find_particles
    from morpholith.specimens import Scan, scan

    made = scan(Scan.of(difficulty, **changes), rng=seed)
    stack = made.optical_density()[0]
    seen = np.flatnonzero(np.isfinite(stack).all((1, 2)))
    shown = {
        side: np.unique([seen[np.abs(made.energies_ev[seen] - e).argmin()] for e in values])
        for side, values in SHOWN.items()
    }
    judged = np.unique(np.concatenate(list(shown.values())))
    true = {e: made.labels(0, int(e)) for e in judged}
    rows = []
    for method in METHODS:
        start = time.process_time()
        if method == "pooled":
            labels = dict(zip(judged, find_particles(stack, method=method)[judged], strict=True))
            seconds = (time.process_time() - start) / len(stack)
        else:
            labels = dict(zip(judged, find_particles(stack[judged], method=method), strict=True))
            seconds = (time.process_time() - start) / len(judged)
        for side, frames in shown.items():
            parts = [compare(labels[e], true[e]) for e in frames]
            counts = np.sum([p[0] for p in parts], axis=0)
            rows.append({
                "difficulty": difficulty, "seed": seed, "side": side, "method": method, "true": counts[0],
                "found": counts[1], "matched": counts[2], "iou": [v for p in parts for v in p[1]],
                "centre_px": [v for p in parts for v in p[2]], "seconds": seconds,
            })  # fmt: skip
    return rows


def summarised(rows):
    """Return the table: counts summed over scans, medians over all particles that were found."""
    import pandas as pd

    out = []
    for (difficulty, side, method), part in pd.DataFrame(rows).groupby(["difficulty", "side", "method"], sort=False):
        true, found, matched = part[["true", "found", "matched"]].sum()
        iou, centre = np.concatenate(part.iou.to_list()), np.concatenate(part.centre_px.to_list())
        out.append({
            "difficulty": difficulty, "side": side, "method": method, "scans": len(part), "particles": true,
            "recall": matched / true, "precision": matched / found if found else np.nan,
            "iou": np.median(iou) if len(iou) else np.nan,
            "centre_px": np.median(centre) if len(centre) else np.nan, "s_per_frame": part.seconds.median(),
        })  # fmt: skip
    return pd.DataFrame(out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--toy", action="store_true", help="seconds' worth")
    parser.add_argument("--difficulties", default="easy,typical,hard,faint")
    parser.add_argument("--seeds", default="1101,1102,1103,1104")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    options.results.mkdir(parents=True, exist_ok=True)
    rows = []
    if options.toy:
        rows = one_scan("typical", 1100, **TOY)
    else:
        for difficulty in options.difficulties.split(","):
            for seed in map(int, options.seeds.split(",")):
                touching = int(difficulty == "hard" or seed % 2 == 0)
                rows += one_scan(difficulty, seed, touching=touching)
                print(difficulty, seed, flush=True)
    table = summarised(rows)
    table.to_csv(options.results / "xanes_outlines.csv", index=False, float_format="%.4g")
    print(table.round(3).to_string(index=False))


if __name__ == "__main__":
    main()
