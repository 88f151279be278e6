"""Grains in 3D learnt from sections alone, beside the hidden truth.

    python bench/bench_particles_truth.py                        three architectures, three seeds each
    python bench/bench_particles_truth.py --kinds needles --seeds 5 --budget 3000 --workers 2
    python bench/bench_particles_truth.py --exact                sections without the instrument's errors
    python bench/bench_particles_truth.py --toy                  the same in half a minute, to see that it runs

Virtual particles of `specimens` (equiaxed, needles, plates: not diagrams of the fitted family: wavy boundaries, sizes
that neighbours share, seeds that keep a distance) are cut through the centre and mapped by a virtual EBSD instrument.
The model sees nothing but the maps. The truth is every whole grain of the same particles in 3D. For every number of
`generate.describe_grains` the row says whether the truth lies within the 95 % interval. `--own` takes truths from the
fitted family instead, drawn from the prior: there 95 of 100 intervals must hold.
"""

from __future__ import annotations

import argparse
import platform
import time
from pathlib import Path

import numpy as np
import pandas as pd

from morpholith import generate, segment
from morpholith.specimens import EbsdScope, Interior, orientation_map, polycrystal

RESULTS = Path(__file__).parent / "results"
KINDS = ("equiaxed", "needles", "plates")


def hidden(kind, *, rng, n_particles, step_um, scope, **changes):
    """Return maps' sections of virtual particles, and the truth of their grains in 3D."""
    sections, truth = [], []
    for k in range(n_particles):
        particle = polycrystal(Interior.of(kind, **changes), rng=rng)
        cut = particle.section(0.0, step_um, normal=tuple(rng.standard_normal(3)))
        if scope is None:
            found = segment.sections(cut.labels, step_um=step_um, name=f"{kind} {k + 1}")
        else:
            found = segment.sections(orientation_map(cut, scope, rng=rng), name=f"{kind} {k + 1}")
        sections.append(found[0])
        truth.append(particle.truth)
    return sections, pd.concat(truth, ignore_index=True)


def own(*, rng, n_particles, step_um, diameter_um, size_um):
    """Return sections of a law drawn from the prior, and its grains in 3D."""
    prior = generate.wide_prior(1.458 / size_um**2, radius_um=diameter_um / 2, ranges=NARROWER)
    law = prior.laws(rng.uniform(size=(1, 9)))[0]
    cuts = [
        generate.cut_ball(law, radius_um=diameter_um / 2, height_um=0.0, step_um=step_um, rng=rng)
        for _ in range(n_particles)
    ]
    return cuts, generate.grains_of(law, radius_um=diameter_um / 2, rng=rng, n_grains=3000)


# sizes that the step resolves, and slopes that leave the centre its grains
NARROWER = {"intensity_per_um3": (5.0, 20.0), "size_slope": (-0.5, 0.5)}


def compare(sections, truth, *, rng, options, power=1) -> tuple[pd.DataFrame, dict]:
    """Learn from the sections, predict the grains and set the truth beside them."""
    start = time.perf_counter()
    learnt = generate.learn_law(sections, rng=rng, budget=options.budget, workers=options.workers, power=power)
    between = time.perf_counter()
    predicted = generate.predict_grains(
        learnt, rng=rng, n_draws=options.draws, n_prior=max(10, options.draws // 3), n_grains=options.grains
    )
    known = generate.describe_grains(truth)
    table = predicted.assign(truth=[known[name] for name in predicted.index])
    table["held"] = (table["low"] <= table["truth"]) & (table["truth"] <= table["high"])
    about = {
        "misfit_p": learnt.misfit.p, "effective": learnt.effective, "simulations": learnt.n_simulations,
        "s_learn": between - start, "s_predict": time.perf_counter() - between,
        "covered_95": float(learnt.calibration.covered[2].mean()), "warnings": list(learnt.warnings),
        "parameters": learnt.table.drop(columns="meaning").round(4).to_dict("index"),
    }  # fmt: skip
    return table, about


def run(options) -> tuple[pd.DataFrame, list[dict]]:
    """All architectures and seeds."""
    tables, runs = [], []
    kinds = ("own",) if options.own else options.kinds
    for kind in kinds:
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            rng = np.random.default_rng([seed, len(kind)])
            given = {"rng": rng, "n_particles": options.sections, "step_um": options.step}
            size = {"diameter_um": options.diameter, "size_um": options.size}
            scope = None if options.exact else EbsdScope.of("typical")
            sections, truth = own(**given, **size) if options.own else hidden(kind, scope=scope, **given, **size)
            table, about = compare(sections, truth, rng=rng, options=options)
            tables.append(table.reset_index().assign(kind=kind, seed=seed))
            runs.append({"kind": kind, "seed": seed, "held": float(table["held"].mean()), **about})
            print(
                f"{kind:9s} seed {seed}: {int(table['held'].sum())} of {len(table)} within, misfit p "
                f"{about['misfit_p']:.3f}, {about['effective']:.0f} effective, {about['s_learn']:.0f} s",
                flush=True,
            )
    return pd.concat(tables, ignore_index=True), runs


def arguments(given=None):
    """Options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", default=KINDS, choices=KINDS)
    parser.add_argument("--own", action="store_true", help="truths of the fitted family, from its prior")
    parser.add_argument("--exact", action="store_true", help="sections without the errors of an instrument")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--sections", type=int, default=3)
    parser.add_argument("--budget", type=int, default=2000)
    parser.add_argument("--draws", type=int, default=80)
    parser.add_argument("--grains", type=float, default=800)
    parser.add_argument("--diameter", type=float, default=8.0)
    parser.add_argument("--size", type=float, default=0.6)
    parser.add_argument("--step", type=float, default=0.05)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--toy", action="store_true")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(given)
    if options.toy:
        options.seeds, options.sections, options.budget, options.draws, options.grains = 1, 1, 120, 20, 100
        options.diameter, options.step = 4.0, 0.08
        options.kinds = ("needles",)
    return options


def main(given=None):
    """Run, print and save."""
    options = arguments(given)
    table, runs = run(options)
    pd.set_option("display.width", 200, "display.max_columns", 20, "display.max_rows", 200)
    for kind, part in table.groupby("kind", sort=False):
        columns = ["truth", "median", "low", "high", "identifiable", "held"]
        print(f"\n{kind}\n{part.set_index(['quantity', 'seed'])[columns].sort_index().round(3)}")
    print(f"\nwithin: {table.groupby('kind')['held'].mean().round(3).to_dict()}, all {table['held'].mean():.3f}")
    options.results.mkdir(parents=True, exist_ok=True)
    name = "particles_truth_own" if options.own else "particles_truth"
    table.round(5).to_csv(options.results / f"{name}.csv", index=False)
    plain = [{k: v for k, v in one.items() if k not in ("warnings", "parameters")} for one in runs]
    told = {"budget": options.budget, "sections": options.sections, "diameter_um": options.diameter,
            "size_um": options.size, "exact": options.exact, "machine": platform.machine()}  # fmt: skip
    pd.DataFrame(plain).assign(**told).round(4).to_csv(options.results / f"{name}_runs.csv", index=False)
    return table


if __name__ == "__main__":
    main()
