"""Recipes for wanted powders: Bayesian optimisation against the particle swarm, in calls and in result.

    python bench/bench_design.py                  20 reachable targets of two reactors, unreachable ones, Pareto fronts
    python bench/bench_design.py --toy            the same in seconds, to see that it runs
    python bench/bench_design.py --noise 3        with draws three times as noisy

The reactors are formulas (`specimens.recipe_problems`), so each recipe can be judged exactly. Reachable targets are the
powders of recipes drawn at random; a target is hit when every descriptor of the best recipe is truly within 3 %. Paper
000 uses a swarm of 40 particles and 50 iterations, one draw a call; here a call is the mean of 8 draws for all methods.
`swarm, own seeds` is that swarm with a new seed for each call, its result the call with the least F.
"""

from __future__ import annotations

import argparse
import platform
import time
import warnings
from pathlib import Path

import numpy as np

from morpholith import design
from morpholith.specimens.reactor import REACTOR_ATMOSPHERES, REACTOR_BOUNDS, reactor_truth
from morpholith.specimens.recipe_problems import RecipeProblem, diamond, precipitation, quarrel

RESULTS = Path(__file__).parent / "results"


def precipitation_space(problem):
    """Return the space of the co-precipitation: time on a log scale, whole stirring speeds, one constraint."""
    kinds = dict(problem.conditions)
    kinds["time_min"] = design.Continuous(*kinds["time_min"], log=True)
    kinds["stirring_rpm"] = design.Integer(*kinds["stirring_rpm"])
    return design.Space(kinds, constraints=["naoh + 0.3*nh4oh <= 0.35"])


def judged(problem, recipe, targets):
    """Return the largest relative error of a recipe's true descriptors."""
    truth = problem.truth(recipe)
    return max(abs(truth[n] / t - 1) for n, t in targets.items())


def covered(problem, found):
    """Return for every recipe and descriptor whether the 95 % interval holds the truth."""
    rows = found.recipes.to_dict("records")
    hits = []
    for row in rows:
        truth = problem.truth({name: row[name] for name in problem.conditions})
        hits += [row[f"{n}_low"] <= truth[n] <= row[f"{n}_high"] for n in truth]
    return hits


def virtual_reactor(*, draws, noise):
    """Return the reactor of the virtual campaign: four descriptors, six conditions, the noise of a draw even."""
    names = ("texture_mean", "d50_um", "circularity_mean", "circularity_sd")
    share = dict(zip(names, (0.04, 0.03, 0.005, 0.06), strict=True))

    def truth(conditions):
        return reactor_truth(conditions)[list(names)].iloc[0].to_dict()

    def spread(conditions):
        return {name: noise * share[name] * value for name, value in truth(conditions).items()}

    kinds = {**REACTOR_BOUNDS, "atmosphere": REACTOR_ATMOSPHERES}
    return RecipeProblem(truth, spread, kinds, draws)


def problems(options):
    """Return each reactor with its space."""
    formula = precipitation(draws=options.draws, noise=options.noise)
    virtual = virtual_reactor(draws=options.draws, noise=options.noise)
    kinds = dict(virtual.conditions)
    for name in ("naoh", "nh4oh", "time_min"):
        kinds[name] = design.Continuous(*kinds[name], log=True)
    return {"formula": (formula, precipitation_space(formula)), "virtual": (virtual, design.Space(kinds))}


def reachable(options) -> list[dict]:
    """Search for powders that exist, with each method."""
    swarm = 80 if options.toy else 2000
    calls = 24 if options.toy else 150
    methods = {
        "bayesian": {"calls": calls},
        "bayesian, all calls": {"calls": calls, "enough": None},
        "bayesian, common seeds": {"calls": calls, "common_seeds": True},
        "swarm, common seeds": {"method": "swarm", "calls": swarm},
        "swarm, own seeds": {"method": "swarm", "calls": swarm, "common_seeds": False},
    }
    rows = []
    for reactor, (problem, space) in problems(options).items():
        for name, how in methods.items():
            if options.methods not in name or options.reactor not in (None, reactor):
                continue
            rows.append({"reactor": reactor, "method": name, **searched(problem, space, how, options)})
            print(" ".join(f"{v:.3g}" if isinstance(v, float) else str(v) for v in rows[-1].values()), flush=True)
    return rows


def searched(problem, space, how, options) -> dict:
    """Search for every target with one method."""
    errors, others, raw, calls, hits, verdicts, seconds = [], [], [], [], [], [], []
    for i in range(options.targets):
        rng = np.random.default_rng([options.seed, i])
        targets = problem.truth(space.draw(1, rng=rng).to_dict("records")[0])
        start = time.process_time()
        found = design.search(problem, space, targets, rng=rng, **how)
        seconds.append(time.process_time() - start)
        recipes = found.recipes[list(space.conditions)].to_dict("records")
        errors.append(judged(problem, recipes[0], targets))
        others += [judged(problem, r, targets) for r in recipes[1:]]
        least = found.trajectory.loc[found.trajectory["objective"].idxmin(), list(space.conditions)].to_dict()
        raw.append(judged(problem, least, targets))
        calls.append(found.calls)
        hits += covered(problem, found)
        verdicts.append(found.reach.verdict == "reached")
    return {
        "targets": options.targets, "calls": np.mean(calls), "calls_most": np.max(calls),
        "hit": np.mean(np.array(errors) <= 0.03), "error_median": np.median(errors), "error_most": np.max(errors),
        "others_hit": np.mean(np.array(others) <= 0.03) if others else np.nan, "others": len(others),
        "least_f_hit": np.mean(np.array(raw) <= 0.03), "least_f_error_median": np.median(raw),
        "called_reached": np.mean(verdicts), "intervals_hold": np.mean(hits), "cpu_seconds": np.mean(seconds),
    }  # fmt: skip


def unreachable(options) -> list[dict]:
    """Ask for powders outside the diamond, at known distances."""
    problem = diamond()
    space = design.Space(problem.conditions)
    rows = []
    for off in (0.0, 0.5, 1.0, 2.0, 4.0):  # tolerances by which the nearest misses, in the larger of a and b
        for i in range(max(1, options.targets // 2)):
            rng = np.random.default_rng([options.seed, i])
            along, tolerance = rng.uniform(0.2, 0.8), 0.06
            a, b = 3.0 + along, 2.0 + (1.0 - along)
            step = off * tolerance
            targets = [design.Target("a", a + step, tolerance), design.Target("b", b + step, tolerance)]
            found = design.search(problem, space, targets, rng=rng, calls=20 if options.toy else 60)
            truth = problem.truth(found.recipes.iloc[0])
            rows.append({
                "off": off, "verdict": found.reach.verdict, "shortfall": found.reach.shortfall.value,
                "low": found.reach.shortfall.low, "high": found.reach.shortfall.high, "calls": found.calls,
                "from_nearest": np.hypot(truth["a"] - a, truth["b"] - b) / tolerance,
            })  # fmt: skip
    return rows


def fronts(options) -> list[dict]:
    """Two descriptors that cannot both be high: how much of the true front's volume is found."""
    problem = quarrel()
    space = design.Space(problem.conditions)
    x = np.linspace(0, 1, 2001)
    reference = np.array([0.1, 0.1])
    best = design.hypervolume(np.c_[-x, x**2 - 1][::20], reference)
    rows = []
    for i in range(max(1, options.targets // 2)):
        targets = [design.Target(name, direction="high", tolerance=0.02) for name in "ab"]
        found = design.search(problem, space, targets, rng=np.random.default_rng([options.seed, i]),
                              calls=20 if options.toy else 60)  # fmt: skip
        truth = [problem.truth(r) for r in found.pareto[list(space.conditions)].to_dict("records")]
        losses = -np.array([[t["a"], t["b"]] for t in truth])
        # as many points of the true front, for a fair share
        fair = design.hypervolume(np.c_[-x, x**2 - 1][:: max(1, 2000 // len(losses))], reference)
        volume = design.hypervolume(losses, reference)
        shares = {"share": volume / best, "share_of_as_many": volume / fair}
        rows.append({"calls": found.calls, "rows": len(losses), **shares})
    return rows


def main() -> None:
    """Run all three."""
    import pandas as pd

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--toy", action="store_true")
    parser.add_argument("--targets", type=int, default=20)
    parser.add_argument("--draws", type=int, default=8, help="in a call")
    parser.add_argument("--noise", type=float, default=1.0, help="of a draw, as a multiple of the usual")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, help="folder to write the tables to")
    parser.add_argument("--only", choices=("reachable", "unreachable", "fronts"))
    parser.add_argument("--reactor", choices=("formula", "virtual"), help="one of the two")
    parser.add_argument("--methods", default="", help="those with this in their name")
    options = parser.parse_args()
    options.targets = 1 if options.toy else options.targets
    warnings.simplefilter("ignore")
    print(f"python {platform.python_version()}, numpy {np.__version__}")
    for part in (reachable, unreachable, fronts):
        if options.only in (None, part.__name__):
            table = pd.DataFrame(part(options))
            print(f"\n{part.__name__}\n{table.to_string(index=False)}", flush=True)
            if options.results:
                options.results.mkdir(parents=True, exist_ok=True)
                table.to_csv(options.results / f"design_{part.__name__}.csv", index=False)


if __name__ == "__main__":
    main()
