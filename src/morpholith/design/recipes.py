"""From the belief to recipes: distinct ones, their process windows, and whether the targets can be reached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..image import Quantity
from .descriptor_model import DescriptorModel
from .proposals import searched, stepped
from .space import Categorical, Integer

if TYPE_CHECKING:
    import pandas as pd

DISTANCES = (0.3, 0.2, 0.12, 0.08, 0.05)  # between distinct recipes, the largest first
ALMOST = 0.8  # of the best recipe's probability: as good as it
GROWTH, FRONTIER = (0.2, 0.1, 0.2, 0.1, 0.05), 40
STEPS = 101
REACHED, UNREACHABLE = 0.8, 0.05
FUNCTIONS, PLACES = 256, 220


@dataclass(frozen=True)
class Reach:
    """Whether the targets can be reached.

    Attributes
    ----------
    verdict : {"reached", "unreachable", "undecided", "no end"}
        "no end" where every target is a direction without a value.
    p_within : float
        Probability that the best recipe has every target within its tolerance.
    p_reachable : float
        Probability that any allowed recipe has.
    shortfall : Quantity
        The largest loss at the recipe that has the smallest, in tolerances; 1 or less is reached.
    sentence : str
    """

    verdict: str
    p_within: float
    p_reachable: float
    shortfall: Quantity
    sentence: str


def choose(model: DescriptorModel, known: np.ndarray, n: int, *, rng: np.random.Generator) -> np.ndarray:
    """Return the codes of up to `n` distinct recipes, the smallest expected F first.

    The others are as good as the first (0.8 of its probability of being within tolerance, or where that is small an
    expected F at most one tolerance more) and as far from each other as `n` of them can be, within 0.3 to 0.05 of the
    root mean square of the ranges.
    """
    pool, f = searched(model.expected_f, model.space, known, rng=rng)
    best = pool[:1]
    chance = model.p_within(best)[0]
    endless = model.objective.endless.all()

    def good(codes, f):
        return f <= f_best + 1.0 if endless or chance < 0.05 else model.p_within(codes) >= ALMOST * chance

    f_best = f[0]
    kept = good(pool, f)
    kept[0] = True
    pool, f = pool[kept], f[kept]
    if n > 1:
        pool, f = _grown(model, pool, f, good, rng)
    chosen: list[int] = []
    for distance in DISTANCES:
        chosen = _greedy(model.space, pool, n, distance)
        if len(chosen) >= n:
            break
    return pool[chosen]


def _grown(model, pool, f, good, rng):
    """Return recipes as good as the best, followed from those known through the space; the least F first."""
    for width in GROWTH:
        far = _greedy(model.space, pool, FRONTIER, 0.02)
        new = stepped(model.space, np.repeat(pool[far], max(1, 400 // len(far)), axis=0), width, rng=rng)
        new_f = model.expected_f(new)
        kept = good(new, new_f)
        pool, f = np.concatenate([pool, new[kept]]), np.concatenate([f, new_f[kept]])
        order = np.argsort(f, kind="stable")
        pool, f = pool[order], f[order]
    return pool, f


def _greedy(space, pool, n, distance):
    chosen = [0]
    nearest = space.distance(pool, pool[:1])[:, 0]
    while len(chosen) < n and (nearest >= distance).any():
        chosen.append(int((nearest >= distance).argmax()))
        nearest = np.minimum(nearest, space.distance(pool, pool[chosen[-1:]])[:, 0])
    return chosen


def recipe_table(model: DescriptorModel, codes: np.ndarray) -> pd.DataFrame:
    """Return one row a recipe.

    Columns: the conditions, each free one with `_low` and `_high`, its process window (for words `_also`, the others
    that would do); every descriptor with `_low` and `_high` (95 % of its expectation); `objective` with `_low`,
    `_high`; `p_within`; `cost`. The window is the range of one condition, the others held, around the recipe in which
    every predicted descriptor stays within tolerance; where the recipe itself is not, in which F grows by at most 1.
    """
    table = model.space.decode(codes)
    windows = [_windows(model, code) for code in codes]
    for name in model.space.names:
        if isinstance(model.space.conditions[name], Categorical):
            table[f"{name}_also"] = [w[name] for w in windows]
        else:
            table[f"{name}_low"] = [w[name][0] for w in windows]
            table[f"{name}_high"] = [w[name][1] for w in windows]
    median, low, high = model.interval(codes)
    for k, name in enumerate(model.names):
        table[name], table[f"{name}_low"], table[f"{name}_high"] = median[:, k], low[:, k], high[:, k]
    table["objective"] = model.expected_f(codes)
    table["objective_low"], table["objective_high"] = model.f_interval(codes)
    table["p_within"] = model.p_within(codes)
    table["cost"] = model.space.costs(codes)
    table.index = range(1, len(table) + 1)
    table.index.name = "recipe"
    return table


def _windows(model, code):
    space = model.space
    f0 = _plain_f(model, code[None])[0]
    inside = bool(model.objective.within(model.median(code[None]))[0]) and not model.objective.endless.all()
    found: dict[str, str | tuple[float, float]] = {}
    for j, (name, kind) in enumerate(zip(space.names, space.free, strict=True)):
        grid = _line(space, code, j, kind)
        good = model.objective.within(model.median(grid)) if inside else _plain_f(model, grid) <= f0 + 1.0
        good &= space.holds(grid)
        if isinstance(kind, Categorical):
            words = [kind.options[int(c)] for c, g in zip(grid[:, j], good, strict=True) if g and c != code[j]]
            found[name] = ", ".join(words)
            continue
        here = int(np.abs(grid[:, j] - code[j]).argmin())
        good[here] = True
        low = here - int(np.argmin(good[here::-1])) + 1 if not good[: here + 1].all() else 0
        high = here + int(np.argmin(good[here:])) - 1 if not good[here:].all() else len(grid) - 1
        found[name] = (float(grid[low, j]), float(grid[high, j]))
    return found


def _plain_f(model, codes):
    return model.objective.f(model.median(codes), model.space.costs(codes))


def _line(space, code, j, kind):
    """Return the recipe with one condition over its range, its own value among them."""
    low, high = space.bounds[j]
    if isinstance(kind, (Integer, Categorical)):
        values = np.arange(low, high + 1)
    else:
        scaled = np.tile(space.unit(code[None]), (STEPS, 1))
        scaled[:, j] = np.linspace(0, 1, STEPS)
        values = np.unique(np.r_[np.clip(space.from_unit(scaled)[:, j], low, high), code[j]])
    grid = np.tile(code, (len(values), 1))
    grid[:, j] = values
    return grid


def region(model: DescriptorModel, codes: np.ndarray, *, rng: np.random.Generator, n: int = 4000) -> pd.DataFrame:
    """Return allowed recipes that are more likely than not within every tolerance, with `p_within`.

    Of `n` at random over the space and as many around `codes`; empty where none is.
    """
    each = -(-n // (4 * max(len(codes), 1)))
    near = [stepped(model.space, np.repeat(codes, each, axis=0), w, rng=rng) for w in (0.2, 0.1, 0.05, 0.02)]
    pool = np.concatenate([codes, model.space.draw_codes(n, rng=rng), *near])
    chance = model.p_within(pool)
    table = model.space.decode(pool[chance >= 0.5])
    table["p_within"] = chance[chance >= 0.5]
    return table.sort_values("p_within", ascending=False, ignore_index=True)


def reach(model: DescriptorModel, known: np.ndarray, best: np.ndarray, *, rng: np.random.Generator) -> Reach:
    """Return whether the targets can be reached, from joint draws of the descriptors at the likeliest recipes.

    Parameters
    ----------
    model : DescriptorModel
    known : (m, d) array
        Codes called.
    best : (d,) array
        The best recipe.
    rng : Generator
    """
    bounded = ~model.objective.endless
    p_best = float(model.p_within(best[None])[0])
    if not bounded.any():
        nothing = Quantity(np.nan, method="no target has a value")
        sentence = "Every target is a direction without an end, so there is nothing to be reached."
        return Reach("no end", np.nan, np.nan, nothing, sentence)

    def gap(codes):
        return model.objective.losses(model.possible(codes))[..., bounded].max(axis=-1).mean(axis=0)

    pool, _ = searched(gap, model.space, np.concatenate([known, best[None]]), rng=rng)
    # the best third, and a spread of the rest where surprises may be
    pool = pool[: 5 * PLACES]
    rest = rng.choice(np.arange(PLACES // 2, len(pool)), PLACES - PLACES // 2, replace=False)
    places = np.concatenate([best[None], pool[: PLACES // 2], pool[np.sort(rest)]])
    losses = model.objective.losses(model.functions(places, FUNCTIONS, rng=rng))[..., bounded].max(axis=-1)
    least = losses.min(axis=1)
    p_any = max(float(np.mean(least <= 1.0)), p_best)
    low, middle, high = np.quantile(least, [0.025, 0.5, 0.975])
    shortfall = Quantity(
        float(middle), float(low), float(high), n=FUNCTIONS,
        method="largest loss in tolerances, least over the allowed recipes; joint draws of the belief",
    )  # fmt: skip
    verdict = "reached" if p_best >= REACHED else "unreachable" if p_any <= UNREACHABLE else "undecided"
    return Reach(verdict, p_best, p_any, shortfall, _sentence(model, best, verdict, p_best, p_any, shortfall))


def _sentence(model, best, verdict, p_best, p_any, shortfall):
    median, low, high = model.interval(best[None])
    numbers = ", ".join(
        f"{t.descriptor} {median[0, k]:.4g} [{low[0, k]:.4g}, {high[0, k]:.4g}] for {t}"
        for k, t in enumerate(model.objective.targets)
    )  # fmt: skip
    of = "powder as it is made" if model.real else "simulator"
    if verdict == "reached":
        return f"The targets are reached with probability {p_best:.2f} (of the {of}): {numbers}."
    if verdict == "unreachable":
        bound = "less than 0.01" if p_any < 0.01 else f"{p_any:.2f}"
        return (
            f"The targets cannot be reached within these bounds: the probability that any recipe does is {bound}. The "
            f"nearest that can be is {shortfall.value:.2g} [{shortfall.low:.2g}, {shortfall.high:.2g}] tolerances off: "
            f"{numbers}."
        )
    return (
        f"It is not decided whether the targets can be reached: the best recipe does with probability {p_best:.2f}, "
        f"any with {p_any:.2f}. The best has {numbers}. More calls, or more draws in each, would tell."
    )
