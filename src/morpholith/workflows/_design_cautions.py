"""What `sem design` must say before any recipe: what is not reached, not known, or far from all that was trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from ..measure import PredictionError
    from .sem_design import Outcome, Plan

FAR = 3.5  # standard errors between the belief and draws that it did not see
MARGIN = 0.5  # of the trained range, beyond which a target is said to be far out


def cautions(
    plan: Plan, outcome: Outcome, table: pd.DataFrame, errors: Mapping[str, PredictionError], again: pd.DataFrame
) -> list[str]:
    """Return what a reader should know before making a recipe, the gravest first."""
    return [
        *_reach(outcome),
        *_beyond(plan),
        *_extrapolated(table),
        *_error(plan, errors, table),
        *_apart(again),
        *outcome.found.warnings,
    ]


def _reach(outcome) -> list[str]:
    reach = outcome.found.reach
    if reach.verdict not in ("unreachable", "undecided"):
        return []
    if reach.verdict == "undecided":
        return [reach.sentence]
    best = outcome.found.recipes.iloc[0]
    nearest = " ".join(
        f"{t.descriptor}={t.direction if t.endless else f'{best[t.descriptor]:.4g}'}"
        for t in outcome.found.model.objective.targets
    )  # fmt: skip
    return [f"{reach.sentence} Nearest target that can be reached: --target {nearest}."]


def _beyond(plan) -> list[str]:
    """Say which targets lie far outside all that was measured in the training."""
    from ._design_inputs import trained_ranges

    said = []
    ranges = trained_ranges(plan.model)
    for t in plan.targets:
        low, high = ranges[t.descriptor]
        if t.value is not None and high > low:
            room = MARGIN * (high - low)
            if not low - room <= t.value <= high + room:
                said.append(
                    f"The target {t} lies far outside what the training conditions have, {low:.4g} to {high:.4g}."
                )
    return said


def _extrapolated(table) -> list[str]:
    said = []
    for k, row in table[table["extrapolates"]].iterrows():
        why = (
            f"{row['beyond']} outside the trained range"
            if row["beyond"]
            else f"{row['extrapolation']:.2g} times as far from the nearest trained condition ({row['nearest']}) as "
            "trained conditions usually are from each other"
        )
        said.append(f"Recipe {k} extrapolates: {why}. The intervals do not hold there.")
    return said


def _error(plan, errors, table) -> list[str]:
    """Say where the model cannot promise the tolerance, however many calls are spent."""
    unknown = [t.descriptor for t in plan.targets if not np.isfinite(errors[t.descriptor].sd)]
    said = []
    if unknown:
        said.append(
            f"{', '.join(unknown)}: the model was not tested on conditions left out, so the intervals hold what its "
            "calls leave uncertain alone."
        )
    wide = [t for t in plan.targets if not t.endless and errors[t.descriptor].sd > t.tolerance]
    if wide:
        listed = ", ".join(f"{t.descriptor} ({errors[t.descriptor].sd:.3g} against {t.tolerance:.3g})" for t in wide)
        said.append(
            f"The model's error on conditions left out is larger than the tolerance of {listed}: a powder made by "
            f"recipe 1 has all targets within tolerance with probability {table['p_made'].iloc[0]:.2f}. Make several "
            "recipes and tell them."
        )
    return said


def _apart(again) -> list[str]:
    far = again[again["apart"].abs() > FAR]
    return [
        f"Recipe {k}: draws that the search did not see give {row['descriptor']} = {row['drawn']:.4g}, not "
        f"{row['predicted']:.4g}; more --calls or --images would tell."
        for k, row in far.iterrows()
    ]
