"""Where targets conflict: the recipes that none betters in every target."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .descriptor_model import DescriptorModel
from .proposals import stepped

if TYPE_CHECKING:
    import pandas as pd

ROWS, ROUNDS, DRAWN = 24, 8, 1500


def is_pareto(losses: np.ndarray) -> np.ndarray:
    """Return which rows of losses (n, k) no other row betters: as small everywhere and smaller somewhere.

    Of equal rows the first stands for all. A row with NaN is none.
    """
    losses = np.asarray(losses, float)
    kept = np.zeros(len(losses), bool)
    good = np.flatnonzero(np.isfinite(losses).all(axis=1))
    # by the sum: what comes later cannot better what came before
    for i in good[np.argsort(losses[good].sum(axis=1), kind="stable")]:
        front = losses[kept]
        kept[i] = not (front <= losses[i]).all(axis=1).any()
    return kept


def hypervolume(losses: np.ndarray, reference: np.ndarray) -> float:
    """Return the volume between losses (n, k) and a reference point (k,) that is worse; exact, by slices.

    Rows that are not better than the reference in every loss count for nothing; no row gives 0.
    """
    losses, reference = np.asarray(losses, float), np.asarray(reference, float)
    losses = losses[(losses < reference).all(axis=1)] if len(losses) else losses
    if not len(losses):
        return 0.0
    losses = losses[is_pareto(losses)]
    if losses.shape[1] == 1:
        return float(reference[0] - losses.min())
    order = np.argsort(losses[:, -1], kind="stable")
    losses = losses[order]
    edges = np.r_[losses[:, -1], reference[-1]]
    return sum(
        (edges[i + 1] - edges[i]) * hypervolume(losses[: i + 1, :-1], reference[:-1])
        for i in range(len(losses)) if edges[i + 1] > edges[i]
    )  # fmt: skip


def pareto_table(model: DescriptorModel, known: np.ndarray, *, rng: np.random.Generator) -> pd.DataFrame:
    """Return up to 24 recipes that none betters by the prediction, spread over the trade-off.

    Losses are in tolerances, and a target within its tolerance is as good as one that is met: where all can be met
    together there is one row. A cost with a weight is one more loss.

    Returns
    -------
    DataFrame
        The conditions, every descriptor with `_low` and `_high`, `loss_<descriptor>`, and `cost`; the least sum of
        losses first.
    """
    space, goal = model.space, model.objective

    def losses_of(codes):
        losses = goal.losses(model.median(codes))
        losses = np.where(goal.endless, losses, np.maximum(losses, 1.0))
        return np.c_[losses, space.costs(codes)] if goal.cost_weight > 0 else losses

    codes = np.concatenate([known[space.holds(known)], space.draw_codes(DRAWN, rng=rng)])
    losses = losses_of(codes)
    for width in np.geomspace(0.2, 0.01, ROUNDS):
        front = is_pareto(losses)
        codes, losses = codes[front], losses[front]
        near = stepped(space, np.repeat(codes, max(1, 400 // len(codes)), axis=0)[:800], width, rng=rng)
        codes, losses = np.concatenate([codes, near]), np.concatenate([losses, losses_of(near)])
    front = is_pareto(losses)
    codes, losses = codes[front], losses[front]
    rows = _spread(losses, ROWS)
    rows = rows[np.argsort(losses[rows].sum(axis=1), kind="stable")]
    return _table(model, codes[rows], losses[rows])


def _spread(losses, n):
    """Return the numbers of `n` rows: the best in each loss, then always the one farthest from those there."""
    width = np.maximum(losses.max(axis=0) - losses.min(axis=0), 1e-12)
    scaled = losses / width
    chosen = list(dict.fromkeys([int(scaled.sum(axis=1).argmin()), *map(int, losses.argmin(axis=0))]))
    apart = np.min([((scaled - scaled[c]) ** 2).sum(axis=1) for c in chosen], axis=0)
    while len(chosen) < min(n, len(losses)):
        chosen.append(int(apart.argmax()))
        apart = np.minimum(apart, ((scaled - scaled[chosen[-1]]) ** 2).sum(axis=1))
    return np.array(chosen)


def _table(model, codes, losses):
    table = model.space.decode(codes)
    median, low, high = model.interval(codes)
    for k, name in enumerate(model.names):
        table[name], table[f"{name}_low"], table[f"{name}_high"] = median[:, k], low[:, k], high[:, k]
    for k, name in enumerate(model.objective.descriptors):
        table[f"loss_{name}"] = losses[:, k]
    table["cost"] = model.space.costs(codes)
    return table
