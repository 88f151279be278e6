"""From wanted descriptors to recipes, whatever computes the descriptors."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _checks
from ..errors import InputError, InputWarning
from .bayesian import search_bayesian
from .calls import Calls, Evaluate, Step
from .campaign import Campaign, campaign, measured_record, records_table
from .descriptor_model import FEWEST, DescriptorModel, fit_model
from .measured import Record
from .objective import Objective, Target, objective
from .pareto import pareto_table
from .proposals import propose
from .recipes import Reach, choose, reach, recipe_table, region
from .space import Space
from .swarm import search_swarm
from .training_distance import training_distance

if TYPE_CHECKING:
    import pandas as pd

METHODS = ("bayesian", "swarm")
CALLS = {"bayesian": 150, "swarm": 2000}
FEW = 5  # calls
MOST = 300  # records that a belief is fitted to


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes
    ----------
    recipes : DataFrame
        Distinct recipes, one a row, the best first: columns of `recipe_table` and, with training conditions, of
        `training_distance`.
    reach : Reach
        Whether the targets can be reached, in words and with its probability.
    pareto : DataFrame
        Recipes that none betters in every target (`pareto_table`).
    region : DataFrame
        Recipes more likely than not within every tolerance.
    trajectory : DataFrame
        One row a call: `call`, `batch`, `phase`, conditions, descriptors with `_se` and `_n`, `objective` (as it came,
        with its noise) and `best` (the least so far).
    model : DescriptorModel
        The belief, to predict with.
    calls : int
    method : str
    warnings : tuple of str
    """

    recipes: pd.DataFrame
    reach: Reach
    pareto: pd.DataFrame
    region: pd.DataFrame
    trajectory: pd.DataFrame
    model: DescriptorModel
    calls: int
    method: str
    warnings: tuple[str, ...]


def search(
    evaluate: Evaluate,
    space: Space,
    targets: Sequence[Target] | Mapping[str, float] | Objective,
    *,
    rng: np.random.Generator | int,
    method: str = "bayesian",
    calls: int | None = None,
    storage: str | Path | Campaign | None = None,
    on_step: Callable[[Step], object] | None = None,
    common_seeds: bool | None = None,
    batch: int = 4,
    recipes: int = 5,
    enough: float | None = 0.95,
    particles: int = 40,
    cost_weight: float | None = None,
    training: pd.DataFrame | None = None,
    told: Sequence[Record] = (),
) -> Found:
    """Search the recipes that give wanted descriptors.

    Parameters
    ----------
    evaluate : function
        ``evaluate(conditions, *, seed)``: conditions is a dict of every condition, fixed ones too; it returns for each
        descriptor (mean, standard error), its draws, or a number, as `read_results` tells. What it returns beside the
        targets is predicted too. Every call is one simulation, however many draws it makes.
    space : Space
    targets : sequence of Target, mapping of descriptor to number (3 % tolerance), or Objective
    rng : Generator or int
    method : {"bayesian", "swarm"}
        Bayesian optimisation on Gaussian processes of the descriptors, or paper 000's particle swarm.
    calls : int, optional
        At most, recorded ones counted; 150 for "bayesian" and 2000 for "swarm", paper 000's 40 x 50.
    storage : path, URL or Campaign, optional
        Where a campaign is kept (`campaign`), gone on with if it is there; powders told to it count as measured, and
        the recipes then are for powders as they are made. Several processes may search with one at the same time:
        they share the calls.
    on_step : function, optional
        Called with a `Step` after each call.
    common_seeds : bool, optional
        Whether every call has the same seed. By default so for the swarm, whose bests otherwise chase noise, and not
        for "bayesian", which knows the noise and averages it.
    batch : int
        Recipes proposed together by "bayesian".
    recipes : int
        Returned at most.
    enough : float or None
        "bayesian" ends when so many recipes are within tolerance with this probability and were called; None spends
        all calls. The shares of `calls` do not change.
    particles : int
        Of the swarm.
    cost_weight : float, optional
        What the full range of the space's cost adds to F, where a tolerance adds 1; 1 where the space has a cost.
    training : DataFrame, optional
        Conditions that the simulator was trained on: recipes away from them are flagged.
    told : sequence of Record
        Powders made and measured (`powder`), where there is no storage.

    Returns
    -------
    Found

    Raises
    ------
    InputError
        Fewer than 5 calls, an unknown method, targets that `evaluate` does not return, or a campaign that does not
        fit the space.
    """
    _checks.choice(method, METHODS, name="method")
    total = CALLS[method] if calls is None else int(calls)
    _check_counts(total, batch, recipes, particles, enough)
    goal = _with_cost(objective(targets), space, cost_weight)
    seed = int(np.random.default_rng(rng).integers(2**62))
    kept = storage if storage is None or isinstance(storage, Campaign) else campaign(storage, space=space, seed=seed)
    made = Calls(
        evaluate, space, goal, total, common=method == "swarm" if common_seeds is None else common_seeds,
        seed=kept.seed if kept else seed, campaign=kept, told=told, on_step=on_step,
    )  # fmt: skip
    if method == "swarm":
        search_swarm(made, particles=particles)
    else:
        search_bayesian(made, batch=batch, recipes=recipes, enough=enough)
    return conclude(
        made.records, space, goal, rng=made.rng(4), recipes=recipes, training=training, method=method,
        said=kept.warnings if kept else (),
    )  # fmt: skip


def conclude(
    records: Sequence[Record],
    space: Space,
    targets: Sequence[Target] | Mapping[str, float] | Objective,
    *,
    rng: np.random.Generator,
    recipes: int = 5,
    training: pd.DataFrame | None = None,
    method: str = "bayesian",
    said: Sequence[str] = (),
) -> Found:
    """Return what records say: recipes, reach, Pareto set, region; other targets may be asked of the same records.

    Of more than 300 records the belief is fitted to the 150 with the least F and to a random choice of the others.
    """
    goal = targets if isinstance(targets, Objective) else objective(targets)
    chosen = _thinned(records, space, goal, rng)
    others = _others(chosen, goal)
    model = fit_model(space, goal, chosen, others=others)
    known = space.encode([r.conditions for r in chosen])
    best = choose(model, known, recipes, rng=rng)
    table = recipe_table(model, best)
    if training is not None:
        table = table.join(training_distance(table, training, space=space))
    warned = [*said, *_warnings(model, chosen, best, table, recipes)]
    simulated = [r for r in records if not r.real]
    return Found(
        table, reach(model, known, best[0], rng=rng), pareto_table(model, np.concatenate([best, known]), rng=rng),
        region(model, best, rng=rng), _trajectory(simulated, space, goal), model, len(simulated), method, tuple(warned),
    )  # fmt: skip


def suggest(
    records: Sequence[Record] | Campaign,
    space: Space,
    targets: Sequence[Target] | Mapping[str, float] | Objective,
    n: int,
    *,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Return `n` recipes to try next, without a simulator: make them, measure them, tell them, ask again.

    With fewer than eight records the space is filled evenly, beginning anew each time it is asked.
    """
    found = list(records.records if isinstance(records, Campaign) else records)
    goal = objective(targets)
    if len(found) < 2 * FEWEST + 2:
        return space.decode(space.spread_codes(n, rng=rng))
    model = fit_model(space, goal, found)
    known = space.encode([r.conditions for r in found])
    return space.decode(propose(model, known, n, rng=rng))


def powder(space: Space, conditions: Mapping[str, Any], results: Any, *, note: str = "") -> Record:
    """Return the record of a powder that was made and measured, to be told to a search without storage."""
    return measured_record(space, conditions, results, note=note)


def _check_counts(total, batch, recipes, particles, enough):
    if total < FEW:
        raise InputError(f"a search needs {FEW} calls or more, got {total}.")
    for value, name in ((batch, "batch"), (recipes, "recipes"), (particles, "particles")):
        if value < 1:
            raise InputError(f"`{name}` must be 1 or more, got {value}.")
    if enough is not None and not 0 < enough < 1:
        raise InputError(f"`enough` must be a probability between 0 and 1, or None; got {enough!r}.")


def _with_cost(goal, space, weight):
    """Return the objective with the range of the cost over the space."""
    weight = float(space.cost is not None) if weight is None else float(weight)
    if weight == 0:
        return replace(goal, cost_weight=0.0)
    if space.cost is None:
        raise InputError("`cost_weight` needs a space with a cost; give Space(..., cost=...).")
    costs = space.costs(space.spread_codes(256, rng=np.random.default_rng(0)))
    return replace(goal, cost_weight=weight, cost_range=(float(costs.min()), float(costs.max())))


def _thinned(records, space, goal, rng):
    simulated = [r for r in records if not r.real]
    if len(records) <= MOST:
        return list(records)
    helper = Calls(lambda *_, **__: {}, space, goal, 0, common=True, seed=0)
    order = np.argsort(np.nan_to_num(helper.f(simulated), nan=np.inf), kind="stable")
    half = MOST // 2
    rest = rng.choice(order[half:], min(half, len(order) - half), replace=False)
    rows = np.sort(np.r_[order[:half], rest])
    return [*(r for r in records if r.real), *(simulated[i] for i in rows)]


def _others(records, goal):
    """Return the descriptors without a target that enough records have."""
    names = dict.fromkeys(name for r in records for name in r.results if name not in goal.descriptors)
    return [
        n for n in names if sum(np.isfinite(r.results[n].mean) for r in records if n in r.results) > len(records) / 2
    ]  # fmt: skip


def _trajectory(records, space, goal):
    table = records_table(records)
    helper = Calls(lambda *_, **__: {}, space, goal, 0, common=True, seed=0)
    f = helper.f(records) if records else np.empty(0)
    table["objective"] = f
    table["best"] = np.fmin.accumulate(f) if len(f) else f
    return table


def _warnings(model, records, best, table, wanted):
    said = []
    if len(best) < wanted:
        said.append(f"only {len(best)} distinct recipes are as good as the best, not {wanted}.")
    failed = sum(not all(np.isfinite(r.results[n].mean) for n in model.names if n in r.results) for r in records)
    if failed:
        said.append(f"{failed} of {len(records)} calls gave a descriptor that is not finite; they were left out of it.")
    unknown = [n for n in model.names if not any(np.isfinite(r.results[n].se) for r in records if n in r.results)]
    if unknown:
        said.append(f"no standard error came with {', '.join(unknown)}; its noise was estimated from the scatter.")
    wide = [n for n, p in zip(model.names, model.processes, strict=True) if p.widen > 1.5]
    if wide:
        said.append(f"left-out calls show {', '.join(wide)} to be predicted worse than believed; intervals widened.")
    if "extrapolates" in table and table["extrapolates"].any():
        rows = ", ".join(str(i) for i in table.index[table["extrapolates"]])
        said.append(f"recipe {rows} extrapolates: it is away from every training condition.")
    for sentence in said:
        warnings.warn(sentence, InputWarning, stacklevel=4)
    return said
