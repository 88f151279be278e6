"""What `sem predict` must say before any number: extrapolation, missing values, poor descriptors, empty pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from ..checkpoint import Store
    from .sem_predict import Plan

NAMED = 4  # conditions that a warning names


def cautions(plan: Plan, rows: pd.DataFrame, kept: Store, parts, numbers, places: pd.DataFrame) -> list[str]:
    """Return what a reader should know before using the numbers, in sentences, the gravest first."""
    return [
        *_beyond(plan, rows, places),
        *_missing(rows),
        *_of_numbers(rows, numbers),
        *_empty(plan, kept, parts),
        *_cramped(plan, numbers),
    ]


def _beyond(plan, rows, places) -> list[str]:
    """Say which conditions extrapolate: each variable out of range with how far, then those that are merely lonely."""
    said, named = [], set()
    outside = {name: _outside(plan, row) for name, row in rows.iterrows()}
    for variable in plan.model.table.variables:
        own = {name: found[variable.name] for name, found in outside.items() if variable.name in found}
        if not own:
            continue
        named |= set(own)
        for side in (-1, 1):
            far = [name for name in own if side * own[name] > 0]
            if far:
                name = max(far, key=lambda k: abs(own[k]))
                said.append(
                    f"Extrapolated{_of(far, rows)}: {variable.name} = {rows.loc[name, variable.name]:g} is "
                    f"{_how_far(rows.loc[name, variable.name], own[name], variable)}. The intervals do not hold there."
                )
    lonely = [name for name in rows.index if places.loc[name, "extrapolates"] and name not in named]
    if lonely:
        far = places.loc[lonely, "extrapolation"].idxmax()
        word = str(places.loc[far, "beyond"])
        said.append(
            f"Extrapolated{_of(lonely, rows)}: "
            + (f"{word} was never trained so. " if word else "")
            + f"the nearest trained condition ({places.loc[far, 'nearest']}) is {places.loc[far, 'extrapolation']:.2g} "
            "times as far as trained conditions usually are from each other. The intervals do not hold there."
        )
    return said


def _how_far(value, excess, variable) -> str:
    side, span = ("above" if excess > 0 else "below"), f"the trained range {variable.low:g} to {variable.high:g}"
    if variable.log:
        ratio = value / variable.high if excess > 0 else variable.low / value
        return f"{side} {span} by a factor of {ratio:.3g}"
    return f"{abs(excess):.3g} {side} {span} ({abs(excess) / (variable.high - variable.low):.0%} of its width)"


def _of(names: Sequence[Any], rows: pd.DataFrame) -> str:
    """Return " (a, b)" or how many, nothing where there is one condition only."""
    if len(rows) == 1:
        return ""
    if len(names) <= NAMED:
        return f" ({', '.join(map(str, names))})"
    return f" ({len(names)} of {len(rows)} conditions, the farthest is named)"


def _missing(rows) -> list[str]:
    said = []
    for variable in rows.columns:
        lacking = list(rows.index[rows[variable].isna()])
        if lacking:
            said.append(
                f"{variable} was not given{_of(lacking, rows)}: each micrograph is drawn with a value of a trained "
                "condition, so that the numbers are an average over them. Give it where it is known."
            )
    return said


def _of_numbers(rows, numbers) -> list[str]:
    """What single quantities have to say; of one condition the summary says it."""
    if len(rows) == 1:
        return []
    about: dict[str, list[str]] = {}
    for own in numbers.values():
        for d, q in own.items():
            if q.warning and d not in about.setdefault(q.warning, []):
                about[q.warning].append(d)
    return [f"{', '.join(names)}: {text}" for text, names in about.items()]


def _empty(plan, kept, parts) -> list[str]:
    said = []
    for view in plan.views:
        none = {name: int((kept.get(part, [f"found.{view.name}"])[f"found.{view.name}"] == 0).sum())
                for name, part in parts.items()}  # fmt: skip
        some = {name: n for name, n in none.items() if n}
        if some:
            which = "" if len(parts) == 1 else f" ({len(some)} of {len(parts)} conditions, first {next(iter(some))})"
            said.append(
                f"No particle was found in {sum(some.values())} of {plan.images * len(parts)} micrographs drawn at "
                f"{view.name}{which}; look at them before the numbers are used."
            )
    return said


def _cramped(plan, numbers) -> list[str]:
    """Say where particles are large against what is drawn: then few are seen whole."""
    frames = [plan.size * v.pixel_um for v in plan.views if "d50_um" in v.measures]
    sizes = [q["d50_um"].value for q in numbers.values() if "d50_um" in q]
    sizes = [s for s in sizes if np.isfinite(s)]
    if not frames or not sizes or max(sizes) < 0.25 * max(frames):
        return []
    return [
        f"Drawn micrographs are {max(frames):.3g} um wide and particles up to {max(sizes):.3g} um in D50: few are seen "
        "whole, and sizes rest on those. Draw larger ones with --size."
    ]


def _outside(plan: Plan, row: pd.Series) -> dict[str, float]:
    """Return how far each number lies above (positive) or below the trained range, in the variable's unit."""
    out = {}
    for variable in plan.model.table.variables:
        value = row[variable.name]
        if variable.kind == "number" and value == value and value is not None:
            excess = max(value - variable.high, 0.0) + min(value - variable.low, 0.0)
            if abs(excess) > 1e-9 * (variable.high - variable.low):
                out[variable.name] = float(excess)
    return out
