"""Bayesian optimisation on the descriptors: few calls, noise known, recipes confirmed at the end."""

from __future__ import annotations

import numpy as np

from .calls import Calls
from .descriptor_model import DescriptorModel, fit_model
from .proposals import TWIN, propose
from .recipes import choose
from .space import Space

START = 3  # first calls for each free condition, words counted
CONFIRM = 2  # calls kept for each recipe that will be returned
LITTLE = 0.05  # probability of being within tolerance, below which targets seem to conflict


def search_bayesian(calls: Calls, *, batch: int, recipes: int, enough: float | None) -> None:
    """Spend the calls: an even start, expected improvement in batches, then the recipes themselves.

    A batch depends on the seed and on the calls before it alone, so that a search that was stopped goes on as if it
    had not been.

    Parameters
    ----------
    calls : Calls
    batch : int
        Recipes proposed together.
    recipes : int
        That will be returned.
    enough : float or None
        Probability of being within tolerance at which the search ends, once that many recipes have it and were
        called themselves. None spends all calls.
    """
    first = min(start_size(calls.space), max(calls.total // 2, 1))
    number = max((r.batch for r in calls.simulated), default=0)
    while calls.left:
        before = [r for r in calls.records if r.real or r.batch < number]
        codes, phase = _batch(calls, before, number, first, batch, recipes, enough)
        if codes is None:
            return
        calls.run(codes, phase=phase, batch=number)
        number += 1


def start_size(space: Space) -> int:
    """Return the number of first calls: 3 for each free condition (for each word but one), at least 8."""
    low, high = space.bounds.T
    return max(8, START * int(np.where(space.is_category, high - low, 1).sum()))


def _batch(calls, before, number, first, size, recipes, enough):
    """Return the codes of a batch and its phase; None where the search may end."""
    rng = calls.rng(2, number)
    simulated = [r for r in before if not r.real]
    if number == 0 or not simulated:
        return calls.space.spread_codes(first, rng=rng), "start"
    model = fit_model(calls.space, calls.goal, before)
    known = calls.space.encode([r.conditions for r in simulated])
    left = calls.total - len(simulated)
    kept = min(CONFIRM * recipes, calls.total // 4)
    best = choose(model, known, recipes, rng=rng)
    chance = model.p_within(best)
    hopeful = enough is not None and not calls.goal.endless.any() and chance[0] >= enough
    unconfirmed = best[_times(calls.space, best, known) == 0]
    if hopeful and not len(unconfirmed) and (chance >= enough).all():
        return None, "done"
    if (left <= kept or hopeful) and number % 2 and len(unconfirmed):
        return unconfirmed[:size], "confirm"
    new = propose(model, known, size, rng=rng, conflict=_conflict(calls, model, len(simulated), chance[0]),
                  repeats=not calls.common)  # fmt: skip
    return new, "search"


def _times(space, codes, known):
    """Return how often each recipe was called."""
    return (space.distance(codes, known) < 5 * TWIN).sum(axis=1)


def _conflict(calls: Calls, model: DescriptorModel, done: int, chance: float) -> bool:
    losses = len(model.objective.targets) + (calls.goal.cost_weight > 0)
    if losses < 2:
        return False
    return bool(calls.goal.endless.any()) or (chance < LITTLE and done > calls.total / 3)
