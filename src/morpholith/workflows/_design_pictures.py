"""The pictures of `sem design`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..image import Quantity
from ..results import ReportFigure

if TYPE_CHECKING:
    import pandas as pd

    from ..report.recipes import Row
    from .sem_design import Outcome, Plan

COLOUR = "texture_mean"
SHEET = 8  # recipes on the sheet


def figures(
    plan: Plan,
    outcome: Outcome,
    table: pd.DataFrame,
    numbers: Sequence[Mapping[str, Quantity]],
    plane,
    again: pd.DataFrame,
) -> dict[str, ReportFigure]:
    """Return every figure of the report by file name."""
    from ..report import recipes as pictures

    found = outcome.found
    goal = found.model.objective
    shown = {
        "recipes": ReportFigure(
            lambda: pictures.sheet(_rows(plan, outcome, table, numbers), [v.name for v in plan.model.views]),
            "What the recipes would make: micrographs drawn with draws that the search did not see, conditions with "
            "their windows, and predicted numbers with the interval of a powder that is made."
            + (" The first row is what was given." if plan.reference is not None else ""),
            "Recipes",
        ),
        "targets": ReportFigure(
            lambda: pictures.predicted(goal.targets, numbers, found.recipes, plan.model.measured, again),
            "Each target (broken line, its tolerance as a band) and what every recipe is predicted to make: thick bars "
            "for the model's expectation, thin ones for a powder that is made. Crosses are draws that the search did "
            "not see. At the left edge what the training conditions measured: what can be expected at all.",
            "Recipes",
        ),
        "windows": ReportFigure(
            lambda: pictures.windows(table, plan.space, plan.model.table.conditions),
            "Conditions of the recipes with their windows (the other conditions held), within what was searched; ticks "
            "are the trained conditions. Words in pale would do as well.",
            "Recipes",
        ),
        "projection": ReportFigure(
            lambda: pictures.projection(*plane, extrapolates=table["extrapolates"].to_list()),
            "Recipes among the trained conditions, in the plane of these' first two principal components (as Fig. S9 "
            "of paper 000).",
            "How far from what was trained",
        ),
        "progress": ReportFigure(
            lambda: pictures.progress(found.trajectory, goal.limit if not goal.endless.any() else np.nan),
            "F of every call as it came, with the noise of its draws, and the least so far.",
            "The way there",
        ),
    }
    names = _axes(found.model.names)
    if len(names) > 2 and len(found.trajectory):
        best = {d: q.value for d, q in numbers[0].items()}
        wanted = {t.descriptor: t.value for t in goal.targets if t.value is not None}
        shown["trajectory"] = ReportFigure(
            lambda: pictures.way(found.trajectory, plan.model.measured, best, wanted, names),
            "The calls among the measured powders (as Fig. 4(a) of paper 000). Broken lines meet at the target, the "
            "star is the first recipe.",
            "The way there",
        )
    if len(found.pareto) > 2 and len(goal.targets) > 1:
        shown["pareto"] = ReportFigure(
            lambda: pictures.pareto(found.pareto, found.trajectory, table, goal.targets),
            "The targets cannot all be met together, or have no end: recipes that none betters in every target "
            "(pareto.csv), two targets at a time.",
            "What can be had together",
        )
    return shown


def _axes(names: Sequence[str]) -> list[str]:
    """Return the descriptor that is shown as colour, then up to three axes."""
    colour = COLOUR if COLOUR in names else names[0]
    return [colour, *[n for n in names if n != colour][:3]]


def _rows(plan: Plan, outcome: Outcome, table, numbers) -> list[Row]:
    from ..report.recipes import Row

    rows = []
    if plan.reference is not None:
        lines = [(d, f"{m.mean:.4g} ± {m.se:.2g}") for d, m in plan.reference.numbers.items()]
        rows.append(Row("wanted", lines, plan.reference.images))
    pixel = {v.name: v.pixel_um for v in plan.model.views}
    for (k, row), own, (_, drawn) in list(zip(table.iterrows(), numbers, outcome.drawn, strict=True))[:SHEET]:
        lines = [(name, _condition(row, name)) for name in plan.space.conditions]
        lines += [(d, _quantity(q)) for d, q in own.items()]
        if np.isfinite(row["p_made"]):
            lines.append(("all within", f"probability {row['p_made']:.2f}"))
        title = f"recipe {k}" + (" (extrapolates)" if row["extrapolates"] else "")
        rows.append(Row(title, lines, {view: [(a, pixel[view]) for a in drawn[view]] for view in drawn}))
    return rows


def _condition(row, name) -> str:
    value = row[name]
    if isinstance(value, str):
        also = str(row.get(f"{name}_also", "") or "")
        return f"{value}" + (f" (or {also})" if also else "")
    if f"{name}_low" not in row:
        return f"{value:.4g} (fixed)"
    return f"{value:.4g} [{row[f'{name}_low']:.4g}, {row[f'{name}_high']:.4g}]"


def _quantity(q: Quantity) -> str:
    if q.low is None or q.high is None:
        return f"{q.value:.3g}"
    return f"{q.value:.3g} [{q.low:.3g}, {q.high:.3g}]"
