"""The pictures of `sem predict`: which are drawn, and of which conditions."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ..report import prediction as pictures
from ..report import prediction_sheets as sheets
from ..results import ReportFigure

if TYPE_CHECKING:
    import pandas as pd

    from ..checkpoint import Store
    from .sem_predict import Plan

OVER = "Over the conditions"
SHOWN = 8  # conditions of a sheet
CURVES = 6  # size distributions in one picture


def figures(
    plan: Plan, table: pd.DataFrame, kept: Store, parts, numbers, places: pd.DataFrame, curves
) -> dict[str, ReportFigure]:
    """Return every figure of the report by file name."""
    shown = list(table.index) if len(table) <= SHOWN else [table.index[i] for i in pictures.spread(len(table), SHOWN)]
    some = "" if len(shown) == len(table) else f" {len(shown)} of {len(table)} conditions are shown."
    found = {}

    def images(name, view):
        return kept.get(parts[name], [f"image.{view}"])[f"image.{view}"]

    for view in plan.views:
        found[f"drawn_{view.name}"] = ReportFigure(
            partial(_sheet, plan, view, shown, table, numbers, places, images),
            f"Micrographs drawn at {view.name}, what is measured in them, and the nearest condition that was really "
            f"made, with what was measured of it.{some}",
            "Micrographs",
        )
    known = {name: curve for name, curve in curves.items() if len(curve)}
    if known:
        few = {name: known[name] for name in list(known)[:CURVES]}
        found["size_distribution"] = ReportFigure(
            lambda: pictures.sizes(few, {name: numbers[name]["d50_um"] for name in few}),
            "Sizes of the drawn particles, corrected for the frame and for the model's constant bias in D50. The band "
            "is that of the draws alone (95 % at each diameter; with more than three conditions it is in "
            "size_distribution.csv only); the upright line is D50 with its whole interval."
            + ("" if len(few) == len(known) else f" The first {len(few)} conditions."),
            "Sizes",
        )
    if len(table) > 1:
        found |= _over(plan, table, list(numbers[table.index[0]]), images)
    return found


def _sheet(plan, view, shown, table, numbers, places, images):
    entries = []
    for name in shown:
        nearest = places.loc[name, "nearest"]
        row = table.loc[name]
        entries.append(
            sheets.Entry(
                images=images(name, view.name),
                title=str(name) if len(table) > 1 else "Predicted",
                recipe={v: row[v] for v in plan.model.table.names},
                numbers=numbers[name],
                extrapolates=bool(places.loc[name, "extrapolates"]),
                nearest=str(nearest),
                nearest_recipe=plan.model.table.conditions.loc[nearest].to_dict(),
                nearest_numbers=_measured_of(plan, nearest, list(numbers[name])),
            )
        )
    return sheets.sheet(entries, pixel_um=view.pixel_um)


def _measured_of(plan, condition, names) -> dict[str, float]:
    measured = plan.model.measured
    if measured is None or condition not in measured.index:
        return {}
    return {d: float(measured.loc[condition, d]) for d in names if d in measured.columns}


def _over(plan, table, descriptors, images) -> dict[str, ReportFigure]:
    """Return curves over the variable that differs, a map over two, or the conditions side by side."""
    variables = {v.name: v for v in plan.model.table.variables}
    differ = [v for v in variables if table[v].nunique(dropna=False) > 1 and table[v].notna().all()]
    lacking = [v for v in variables if table[v].isna().any() and table[v].nunique(dropna=False) > 1]
    numeric = [v for v in differ if variables[v].kind == "number"]
    words = [v for v in differ if v not in numeric]
    if len(numeric) == 1 and not lacking:
        x = variables[numeric[0]]
        by = [" ".join(map(str, row)) for row in table[words].itertuples(index=False)] if words else None
        out = {
            "curves": ReportFigure(
                lambda: pictures.curves(table, x, descriptors, by=by),
                f"Predicted descriptors over {x.name}; bands are the 95 % intervals of a powder that would be made. "
                "Where the ground is grey the model extrapolates and they do not hold.",
                OVER,
            )
        }
        if not words:
            out |= _strips(plan, table, x.name, images)
        return out
    if len(numeric) == 2 and not words and not lacking:
        return _mapped(plan, table, variables[numeric[0]], variables[numeric[1]], descriptors, images)
    return {
        "conditions": ReportFigure(
            lambda: pictures.side_by_side(table, descriptors),
            "Predicted descriptors of each condition; bars are the 95 % intervals of a powder that would be made, "
            "hollow points extrapolate.",
            OVER,
        )
    }


def _mapped(plan, table, x, y, descriptors, images) -> dict[str, ReportFigure]:
    out = {
        "map": ReportFigure(
            lambda: pictures.maps(table, x, y, descriptors),
            f"Predicted descriptors over {x.name} and {y.name}; the broken frame is the trained range. Below, half the "
            "width of the 95 % interval.",
            OVER,
        )
    }
    for view in plan.views:
        out[f"grid_{view.name}"] = ReportFigure(
            partial(sheets.grid, table, x.name, y.name, images, view=view.name, pixel_um=view.pixel_um),
            f"The first micrograph of each condition at {view.name}, over {x.name} and {y.name}.",
            OVER,
        )
    return out


def _strips(plan, table, variable, images) -> dict[str, ReportFigure]:
    return {
        f"strip_{view.name}": ReportFigure(
            partial(sheets.strip, table, variable, images, view=view.name, pixel_um=view.pixel_um),
            f"The first micrograph of conditions along {variable} at {view.name}: all drawn from the same noise.",
            OVER,
        )
        for view in plan.views
    }
