"""Where to look next: expected improvement of F, several recipes at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .descriptor_model import DescriptorModel
from .space import Space

WIDTHS = (0.25, 0.1, 0.04, 0.015, 0.005)  # of the steps of the local search, of a range
DRAWN, KEPT, NEAR = 600, 10, 24
TWIN = 0.004  # distance below which two recipes are one


def searched(
    score: Callable[[np.ndarray], np.ndarray], space: Space, anchors: np.ndarray, *, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Minimise a score over a space: random recipes, then ever smaller steps around the best.

    Parameters
    ----------
    score : function
        Codes (n, d) to (n,).
    anchors : (m, d) array
        Recipes to begin with as well; those not allowed are left out.
    rng : Generator

    Returns
    -------
    codes, scores
        Of everything looked at, the best first.
    """
    pool = np.concatenate([anchors[space.holds(anchors)], space.draw_codes(DRAWN, rng=rng)])
    found = score(pool)
    for width in WIDTHS:
        best = pool[_apart(space, pool, found, KEPT, width)]
        near = stepped(space, np.repeat(best, NEAR, axis=0), width, rng=rng)
        pool, found = np.concatenate([pool, near]), np.concatenate([found, score(near)])
    order = np.argsort(found, kind="stable")
    return pool[order], found[order]


def stepped(space: Space, codes: np.ndarray, width: float, *, rng: np.random.Generator) -> np.ndarray:
    """Return allowed recipes a random step away: normal, `width` of each range, in about half of the conditions."""
    scaled = space.unit(codes)
    moves = rng.random(codes.shape) < np.maximum(0.5, 1 / codes.shape[1])
    step = rng.standard_normal(codes.shape) * width
    low, high = space.bounds.T
    whole = space.is_integer
    step[:, whole] = np.where(
        rng.random((len(codes), whole.sum())) < 0.5, step[:, whole], np.sign(step[:, whole]) / (high - low)[whole]
    )
    target = space.from_unit(scaled + moves * step)
    words = space.is_category
    swap = rng.random((len(codes), words.sum())) < 0.15
    target[:, words] = np.where(swap, np.floor(rng.random(swap.shape) * (high - low + 1)[words]), codes[:, words])
    return space.moved(codes, target)


def _apart(space, pool, found, n, width):
    """Return the numbers of the best of a pool, no two of them twins."""
    order = np.argsort(found, kind="stable")[: 20 * n]
    chosen: list[int] = []
    for i in order:
        if not chosen or space.distance(pool[[i]], pool[chosen]).min() > min(TWIN, width / 4):
            chosen.append(int(i))
        if len(chosen) == n:
            break
    return np.array(chosen)


def propose(
    model: DescriptorModel,
    known: np.ndarray,
    n: int,
    *,
    rng: np.random.Generator,
    conflict: bool = False,
    repeats: bool = True,
) -> np.ndarray:
    """Return the codes of `n` recipes to call next.

    Each maximises the expected improvement of F over the best recipe so far, by the belief of the descriptors, those
    before it in the batch counted as called. Where targets conflict, every second one improves instead the largest of
    the losses, weighted at random (augmented Chebyshev), so that the Pareto set is filled.

    Parameters
    ----------
    model : DescriptorModel
    known : (m, d) array
        Codes called already.
    n : int
    rng : Generator
    conflict : bool
    repeats : bool
        Whether calling a recipe again tells something new, as it does unless random numbers are common.
    """
    space = model.space
    chosen = np.empty((0, known.shape[1]))
    for i in range(n):
        wish = _chebyshev(model, known, rng) if conflict and i % 2 else model.objective.f
        hopeful = model.pending(chosen)
        allowed = known[space.holds(known)]
        asked = np.concatenate([allowed, chosen])
        best = _mean_wish(hopeful, wish, asked).min() if len(asked) else np.inf

        def score(codes, hopeful=hopeful, wish=wish, best=best):
            return _no_improvement(hopeful, wish, best, codes)

        pool, _ = searched(score, space, np.concatenate([_best_of(model, allowed), chosen]), rng=rng)
        new = pool[:1]
        if not repeats or (len(chosen) and space.distance(new, chosen).min() < TWIN):
            away = space.distance(pool, asked if not repeats else chosen).min(axis=1) >= TWIN
            new = pool[away][:1] if away.any() else new
        chosen = np.concatenate([chosen, new])
    return chosen


def _best_of(model, codes, n=8):
    return codes[np.argsort(model.expected_f(codes), kind="stable")[:n]] if len(codes) else codes


def _mean_wish(model, wish, codes):
    return wish(model.possible(codes), model.space.costs(codes)).mean(axis=0)


def _no_improvement(model, wish, best, codes):
    """Return minus the expected improvement; where there is none at all, how far the hopeful tail is from one."""
    f = wish(model.possible(codes), model.space.costs(codes))
    if not np.isfinite(best):
        return f.mean(axis=0)
    gain = np.maximum(best - f, 0.0).mean(axis=0)
    short = np.maximum(np.quantile(f, 0.05, axis=0) - best, 0.0)
    return -gain + 1e-9 * short


def _chebyshev(model, known, rng):
    """Return the largest weighted loss as a function of descriptors, for weights drawn at random."""
    weights = rng.dirichlet(np.ones(len(model.objective.targets))) * len(model.objective.targets)
    seen = model.objective.losses(model.median(known))
    low = np.where(model.objective.endless, seen.min(axis=0), 0.0)

    def wish(values, cost):
        losses = weights * (model.objective.losses(values) - low)
        low_cost, high_cost = model.objective.cost_range
        dear = model.objective.cost_weight * (cost - low_cost) / max(high_cost - low_cost, 1e-300)
        return losses.max(axis=-1) + 0.05 * losses.sum(axis=-1) + dear

    return wish
