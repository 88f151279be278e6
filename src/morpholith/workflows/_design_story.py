"""What `sem design` tells: recipes with what they would make, whether the targets are reached, pictures and files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..image import Image, Quantity
from ..results import Result

if TYPE_CHECKING:
    import pandas as pd

    from ..design import Space
    from ..measure import PredictionError
    from .sem_design import Outcome, Plan

TOLD_ENOUGH = 8.0  # powders made after which the belief has learnt where the model is off


def story(plan: Plan, outcome: Outcome) -> Result:
    """Return the result of a design."""
    from ._design_cautions import cautions
    from ._design_pictures import figures

    errors = _errors(plan, outcome)
    places, plane = _places(plan, outcome.found.recipes)
    numbers = _numbers(outcome, errors)
    table = _recipes(plan, outcome, errors, numbers, places)
    tables = _tables(plan, outcome, table, numbers)
    return Result(
        title="Recipes for a wanted powder",
        summary=_summary(plan, outcome, table, numbers[0]),
        tables=tables,
        figures=figures(plan, outcome, table, numbers, plane, tables["drawn_again"]),
        files=_files(plan, outcome, table),
        warnings=cautions(plan, outcome, table, errors, tables["drawn_again"]),
        inputs=[path for path in plan.inputs if path.exists()],
        text=_text(plan, outcome, errors),
    )


# --- numbers -------------------------------------------------------------------------------------------------------


def _errors(plan: Plan, outcome: Outcome) -> dict[str, PredictionError]:
    """Return how far a powder lies from what the model says, as far as the belief does not know it.

    What the model is off by on conditions left out counts in full where no powder was told, and less with each one:
    the belief then learns the departure itself.
    """
    from .. import measure

    told = len(plan.trained) + sum(r.real for r in outcome.campaign.records)
    share = np.sqrt(max(0.0, 1 - told / TOLD_ENOUGH)) if outcome.found.model.real else 1.0
    errors = {d: measure.prediction_error(plan.model.left_out, d) for d in outcome.found.model.names}
    return {d: replace(e, sd=e.sd * share) for d, e in errors.items()}


def _numbers(outcome: Outcome, errors: Mapping[str, PredictionError]) -> list[dict[str, Quantity]]:
    """Return the predicted descriptors of each recipe, with the interval of a powder that is made."""
    from .. import measure

    found = outcome.found
    rows = []
    for _, row in found.recipes.iterrows():
        own = {}
        for d, error in errors.items():
            se = (row[f"{d}_high"] - row[f"{d}_low"]) / 3.92
            q = measure.predicted(d, row[d], se, found.calls, error=error, unit="um" if d.endswith("_um") else "")
            left = f" and error on {error.n} conditions left out {error.sd:.3g}" if np.isfinite(error.sd) else ""
            own[d] = replace(q, method=f"belief from {found.calls} calls of the model (its sd {se:.3g}){left}")
        rows.append(own)
    return rows


def _chance(plan: Plan, row, errors) -> float:
    """Return the probability that a powder made by a recipe has every target with a number within its tolerance."""
    from scipy.special import ndtr

    chance = 1.0
    for t in plan.targets:
        if t.endless:
            continue
        sd = np.hypot((row[f"{t.descriptor}_high"] - row[f"{t.descriptor}_low"]) / 3.92,
                      np.nan_to_num(errors[t.descriptor].sd))  # fmt: skip
        low, high = t.limits
        chance *= float(ndtr((high - row[t.descriptor]) / sd) - ndtr((low - row[t.descriptor]) / sd))
    return chance if any(not t.endless for t in plan.targets) else np.nan


def _recipes(plan: Plan, outcome: Outcome, errors, numbers, places) -> pd.DataFrame:
    """Return one row a recipe: conditions with windows, descriptors with intervals, objective, distance."""
    found = outcome.found.recipes
    table = found.copy()
    for k, own in zip(found.index, numbers, strict=True):
        for d, q in own.items():
            table.loc[k, [f"{d}_low", f"{d}_high"]] = [q.low, q.high]
    first = [c for c in found.columns if c not in ("p_within", "cost")]
    table = table[first]
    table["p_model"] = found["p_within"]
    table["p_made"] = [_chance(plan, row, errors) for _, row in found.iterrows()]
    if plan.space.cost is not None:
        table["cost"] = found["cost"]
    return table.join(places)


def _tables(plan: Plan, outcome: Outcome, table, numbers) -> dict[str, pd.DataFrame]:
    found = outcome.found
    tables = {
        "recipes": table,
        "targets": _targets(plan, numbers),
        "drawn_again": _drawn_again(outcome),
        "trajectory": found.trajectory.set_index("call"),
    }
    if len(found.pareto) > 1:
        tables["pareto"] = found.pareto.rename_axis("row")
    if len(found.region):
        tables["region"] = found.region.rename_axis("row")
    return tables


def _targets(plan: Plan, numbers) -> pd.DataFrame:
    """Return one row a target: what was wanted, and what the first recipe gives."""
    import pandas as pd

    rows = []
    for t in plan.targets:
        q = numbers[0][t.descriptor]
        within = "" if t.endless else bool(t.limits[0] <= q.value <= t.limits[1])
        rows.append(
            {"descriptor": t.descriptor, "direction": t.direction, "value": t.value, "tolerance": t.tolerance,
             "weight": t.weight, "predicted": q.value, "predicted_low": q.low, "predicted_high": q.high,
             "within": within}
        )  # fmt: skip
    return pd.DataFrame(rows).set_index("descriptor")


def _drawn_again(outcome: Outcome) -> pd.DataFrame:
    """Return what draws that the search did not see say of each recipe, in standard errors from the belief."""
    import pandas as pd

    rows = []
    for (k, row), (described, _) in zip(outcome.found.recipes.iterrows(), outcome.drawn, strict=True):
        for d in outcome.found.model.names:
            m = described.get(d)
            if m is None:
                continue
            width = np.hypot((row[f"{d}_high"] - row[f"{d}_low"]) / 3.92, m.se)
            apart = (m.mean - row[d]) / width if not outcome.found.model.real else np.nan
            rows.append({"recipe": k, "descriptor": d, "predicted": row[d], "drawn": m.mean, "drawn_se": m.se,
                         "n_images": m.n, "apart": apart})  # fmt: skip
    columns = ["recipe", "descriptor", "predicted", "drawn", "drawn_se", "n_images", "apart"]
    return pd.DataFrame(rows, columns=columns).set_index("recipe")


def _summary(plan: Plan, outcome: Outcome, table, best) -> dict[str, Quantity]:
    found, row = outcome.found, table.iloc[0]
    told = len(plan.trained) + sum(r.real for r in outcome.campaign.records)
    of = "powder as it is made" if found.model.real else "model"
    summary = dict(best)
    summary["objective"] = Quantity(
        float(row["objective"]), float(row["objective_low"]), float(row["objective_high"]), n=found.calls,
        method=f"F of paper 000, section 4.4, each term scaled by its tolerance; of the {of}",
    )  # fmt: skip
    chances = {
        "p_model": (row["p_model"], f"probability that recipe 1 has every target within tolerance, of the {of}"),
        "p_made": (
            row["p_made"],
            "the same of a powder that is made, the model's error on conditions left out counted",
        ),
        "p_reachable": (found.reach.p_reachable, f"probability that any allowed recipe has, of the {of}"),
    }
    for key, (value, method) in chances.items():
        if np.isfinite(value):
            summary[key] = Quantity(float(value), method=method)
    if np.isfinite(found.reach.shortfall.value):
        summary["shortfall"] = found.reach.shortfall
    summary["extrapolation"] = Quantity(
        float(row["extrapolation"]), n=len(plan.model.table.conditions),
        method="recipe 1: distance to the nearest trained condition over the usual one between them; above 1 "
               "extrapolates",
    )  # fmt: skip
    summary["n_recipes"] = Quantity(len(table), method="distinct recipes")
    summary["n_calls"] = Quantity(found.calls, method=f"calls of the model, {plan.images} images of each view in each")
    summary["n_told"] = Quantity(told, method="powders that were made and told")
    return summary


# --- where the recipes stand among the trained conditions ----------------------------------------------------------


def _places(plan: Plan, recipes: pd.DataFrame) -> tuple[pd.DataFrame, tuple[pd.DataFrame, pd.DataFrame, float]]:
    """Return the distances of recipes to the training, and both in the plane of the training's variance."""
    from .. import design

    space = _whole(plan)
    training = plan.model.table.conditions[list(space.conditions)].dropna()
    rows = recipes[list(space.conditions)]
    places = design.training_distance(rows, training, space=space)
    apart = space.distance(space.encode(rows), space.encode(training))
    places["nearest"] = np.asarray(training.index)[apart.argmin(axis=1)]
    return places, design.projection(rows, training, space=space)


def _whole(plan: Plan) -> Space:
    """Return the trained ranges and words of what recipes have, whatever the search was bound to.

    Variables that most conditions lack are left out until there are conditions that have the rest.
    """
    from .. import design

    table = plan.model.table
    names = [n for n in plan.space.conditions if n in table.names]
    lacking = table.conditions[names].isna().sum()
    while len(names) > 1 and len(table.conditions[names].dropna().drop_duplicates()) < 2:
        names.remove(lacking[names].idxmax())
    space = table.space()
    return design.Space({n: space.conditions[n] for n in names})


# --- text ----------------------------------------------------------------------------------------------------------


def _text(plan: Plan, outcome: Outcome, errors) -> dict[str, str]:
    found = outcome.found
    wanted = "; ".join(str(t) for t in plan.targets)
    tested = [e for e in errors.values() if np.isfinite(e.sd) and e.n]
    source = (
        f"what {found.calls} calls of the model leave uncertain, and how far the model was off on the {tested[0].n} "
        "conditions that were left out of its training"
        if tested
        else f"what {found.calls} calls of the model leave uncertain alone: how far the model is off is not in it"
    )
    by = {"bayesian": "Bayesian optimisation", "swarm": "a particle swarm"}[found.method]
    like = " (measured on the micrographs given)" if plan.reference is not None else ""
    return {
        "What was found": f"Wanted{like}: {wanted}.\n\n{found.reach.sentence}",
        "How it was done": f"{by[0].upper()}{by[1:]} asked the model {found.calls} times; each time it drew "
        f"{plan.images} micrographs in each of the views {', '.join(v.name for v in plan.model.views)}, which were "
        "measured as `morpholith sem measure` does. The interval of a condition is its window: the range in which all "
        "predicted targets stay within tolerance, the other conditions held. The interval of a descriptor is that of "
        f"a powder that would be made by the recipe and measured: it holds {source}.",
        "How to go on": "Make one or more recipes, measure them, fill in `to_make.csv` and tell it: "
        "`morpholith sem design` with the same targets, `--storage` and `--tell to_make.csv`. The next recipes then "
        "are for powders as they are made."
        + ("" if plan.storage else " Of this run `--storage` is `campaign.journal` among these results."),
    }


# --- files ---------------------------------------------------------------------------------------------------------


def _files(plan: Plan, outcome: Outcome, table) -> dict[str, Callable[[Path], object]]:
    """Return the writers of the micrographs, of a table that `sem measure` reads, and of one to fill in."""
    import pandas as pd

    from ._predict_story import image_names

    files: dict[str, Callable[[Path], object]] = {}
    rows = []
    count = max((len(a) for _, drawn in outcome.drawn for a in drawn.values()), default=0)
    names = image_names([f"recipe{k}" for k in table.index], [v.name for v in plan.model.views], count)
    for k, (_, drawn) in zip(table.index, outcome.drawn, strict=True):
        for view in plan.model.views:
            for i, array in enumerate(drawn.get(view.name, ())):
                path = f"images/{names[f'recipe{k}', view.name, i]}"
                files[path] = partial(_write, array=array, pixel_um=view.pixel_um)
                rows.append({"image": path, "condition": f"recipe{k}", "magnification": view.name})
    recipes = table[list(plan.space.conditions)].set_axis([f"recipe{k}" for k in table.index])
    listed = pd.DataFrame(rows, columns=["image", "condition", "magnification"]).join(recipes, on="condition")
    files["campaign.csv"] = partial(_csv, table=listed)
    empty = recipes.rename_axis("condition").reset_index()
    files["to_make.csv"] = partial(_csv, table=empty.assign(**{d: "" for d in outcome.found.model.names}))
    if outcome.journal:
        files["campaign.journal"] = lambda path: path.write_bytes(outcome.journal)
    return files


def _csv(path: Path, *, table: pd.DataFrame) -> None:
    table.to_csv(path, index=False, encoding="utf-8", lineterminator="\n")


def _write(path: Path, *, array: Any, pixel_um: float) -> None:
    from ..read import write_tiff

    path.parent.mkdir(parents=True, exist_ok=True)
    write_tiff(path, Image(array, "yx", (pixel_um, pixel_um)))
