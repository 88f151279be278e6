"""How well `xct measure` reads an electrode: every number of virtual electrodes against its truth.

    python bench/bench_electrode.py              30 electrodes of three difficulties; about half an hour
    python bench/bench_electrode.py --toy        the same in seconds, to see that it runs

For each number: mean error with its sign, and the share of intervals that cover the truth. The truth of porosity and
surface is that of the very volume; of the diameters that of the population it was drawn from; of tau that of the same
electrode on voxels half as large, extrapolated. Tables go to bench/results/ as CSV.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

RESULTS = Path(__file__).parent / "results"
UNSEEN = 70_000_000
DIFFICULTIES = ("easy", "typical", "hard")


def draw(rng, size):
    """Draw an electrode as mills make them, and the voxels of its scan."""
    from morpholith.specimens import Electrode

    voxel = rng.uniform(0.35, 0.55)
    spacing = (voxel * rng.uniform(0.9, 1.4), voxel, voxel)
    params = Electrode(
        size_um=(0.9 * size, size, 1.1 * size),
        solid=rng.uniform(0.4, 0.6),
        d50_um=rng.uniform(7, 10),
        geometric_sd=rng.uniform(1.15, 1.35),
        aspect=rng.uniform(1.0, 1.35),
        overlap=rng.uniform(0.0, 0.06),
        binder=0.0,
    )
    return params, spacing


def one(seed: int, difficulty: str, size: float) -> list[dict]:
    """Measure one electrode and hold every number against its truth."""
    from morpholith import measure
    from morpholith.image import Image
    from morpholith.specimens import Tomograph, electrode, tomogram
    from morpholith.workflows import xct

    rng = np.random.default_rng([UNSEEN, seed])
    params, spacing = draw(rng, size)
    packing = electrode(params, rng=rng)
    grey = tomogram(packing, Tomograph.of(difficulty, spacing=spacing), rng=rng)
    seen = xct.look(Image(grey, "zyx", spacing))
    numbers = measure.phase_numbers(seen.phases, seen.alternatives, spacing=spacing, blur_um=seen.estimate.blur_um)
    tables = [measure.solid_particles(a, spacing=spacing) for a in (seen.labels, *seen.alternative_labels)]
    frame = tuple(n * s for n, s in zip(seen.phases.shape, spacing, strict=True))
    numbers |= measure.particle_numbers(tables[0], tables[1:], frame_um=frame, rng=rng)
    pores = tuple(a == 0 for a in seen.alternatives)
    budget = measure.tortuosity_budget(
        seen.phases == 0, spacing=spacing, alternatives=pores or None, blur_um=seen.estimate.blur_um
    )
    numbers |= {"tau_z": budget.tau, "tau_extrapolated_z": measure.extrapolated(budget)}
    exact = dict(packing.exact(spacing)) | dict.fromkeys(("tau_z", "tau_extrapolated_z"), fine_tau(packing, spacing))
    rows = []
    for key in (
        "porosity",
        "active_fraction",
        "surface_um2_per_um3",
        "d50_um",
        "d50_volume_um",
        "tau_z",
        "tau_extrapolated_z",
    ):
        q = numbers[key]
        covered = q.low is not None and q.low <= exact[key] <= (np.inf if q.high is None else q.high)
        rows.append(
            {
                "difficulty": difficulty, "seed": seed, "number": key, "truth": exact[key], "value": q.value,
                "relative_error": q.value / exact[key] - 1, "covered": covered,
                "relative_width": ((np.inf if q.high is None else q.high) - q.low) / q.value,
            }
        )  # fmt: skip
    return rows


def fine_tau(packing, spacing) -> float:
    """tau of the true pores, extrapolated over voxels of a half and of the full edge."""
    from morpholith import measure

    tau = []
    for factor in (1.0, 0.5):
        voxel = tuple(factor * s for s in spacing)
        tau.append(measure.tortuosity_factor(packing.phases(voxel) == 0, axis=0, spacing=voxel).tau)
    return 2 * tau[1] - tau[0]


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """One row a number and difficulty: bias, its standard error, scatter, coverage."""
    groups = rows.groupby(["number", "difficulty"], sort=False)
    out = pd.DataFrame(
        {
            "n": groups.size(),
            "mean_error_percent": 100 * groups["relative_error"].mean(),
            "standard_error_percent": 100 * groups["relative_error"].std() / np.sqrt(groups.size()),
            "covered_percent": 100 * groups["covered"].mean(),
            "median_width_percent": 100 * groups["relative_width"].median(),
        }
    )
    return out.reset_index()


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--toy", action="store_true")
    parser.add_argument("--repeats", type=int, default=10, help="electrodes of each difficulty")
    parser.add_argument("--size", type=float, default=44.0, help="edge of the electrodes, um")
    parser.add_argument("--results", type=Path, default=RESULTS)
    args = parser.parse_args()
    repeats, size, which = (1, 24.0, ("easy",)) if args.toy else (args.repeats, args.size, DIFFICULTIES)
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in range(repeats):
            for difficulty in which:
                rows += one(seed, difficulty, size)
    table = pd.DataFrame(rows)
    args.results.mkdir(parents=True, exist_ok=True)
    table.to_csv(args.results / "electrode_repeats.csv", index=False, float_format="%.5g")
    summary = summarise(table)
    summary.to_csv(args.results / "electrode.csv", index=False, float_format="%.4g")
    print(summary.to_string(index=False, float_format=lambda v: f"{v:.2f}"))


if __name__ == "__main__":
    main()
