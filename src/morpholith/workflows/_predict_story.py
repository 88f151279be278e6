"""What `sem predict` tells: tables, numbers, warnings, pictures and files."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..image import Image, Quantity
from ..results import Result

if TYPE_CHECKING:
    import pandas as pd

    from ..checkpoint import Store
    from ..measure import PredictionError
    from .sem_predict import Plan

FIRST = ("texture_mean", "d50_um", "circularity_mean", "circularity_sd")


def told(plan: Plan, rows: pd.DataFrame, kept: Store, *, inputs: Sequence[Path]) -> Result:
    """Return the result of conditions that lie drawn and measured in `kept`."""
    from .. import measure
    from ._predict_cautions import cautions
    from ._predict_pictures import figures
    from .sem_predict import part_of

    parts = {name: part_of(row) for name, row in rows.iterrows()}
    errors = {d: measure.prediction_error(plan.model.left_out, d) for d in _descriptors(plan)}
    numbers = {name: _numbers(kept, part, errors) for name, part in parts.items()}
    places = _places(plan, rows)
    table = _predictions(plan, rows, kept, parts, numbers, errors, places)
    curves = {name: _size_curve(kept, part, plan.seed) for name, part in parts.items()}
    return Result(
        title="Micrographs predicted from their conditions",
        summary=_summary(plan, rows, numbers, places),
        tables=_tables(table, errors, curves),
        figures=figures(plan, table, kept, parts, numbers, places, curves),
        files=_files(plan, rows, kept, parts),
        warnings=cautions(plan, rows, kept, parts, numbers, places),
        text=_text(plan, errors),
        inputs=inputs,
    )


def _descriptors(plan: Plan) -> list[str]:
    """Return what is measured in the views drawn, those of the contract first."""
    there = [name for view in plan.views for name in view.measures]
    return [*(d for d in FIRST if d in there), *(d for d in dict.fromkeys(there) if d not in FIRST)]


def _numbers(kept: Store, part: str, errors: Mapping[str, PredictionError]) -> dict[str, Quantity]:
    from .. import measure

    values = kept.get(part, [f"value.{d}" for d in errors])
    out = {}
    for d, error in errors.items():
        mean, se, n, _ = values[f"value.{d}"]
        out[d] = measure.predicted(d, mean, se, int(n), error=error, unit="um" if d.endswith("_um") else "")
    return out


# --- where a recipe stands among the trained ones ----------------------------------------------------------------


def _places(plan: Plan, rows: pd.DataFrame) -> pd.DataFrame:
    """Return `design.training_distance` of each recipe over the variables that it has, and its nearest neighbour."""
    import pandas as pd

    from .. import design

    space, training = plan.model.table.space(), plan.model.table.conditions
    found = []
    for known, own in rows.groupby(rows.notna().apply(tuple, axis=1), sort=False):
        names = [name for name, there in zip(rows.columns, known, strict=True) if there and name in space.conditions]
        part = design.Space({name: space.conditions[name] for name in names})
        taught = training[names].dropna()
        place = design.training_distance(own[names], taught, space=part)
        apart = part.distance(part.encode(own[names]), part.encode(taught))
        found.append(place.assign(nearest=np.asarray(taught.index)[apart.argmin(axis=1)]))
    return pd.concat(found).loc[rows.index]


# --- tables and numbers ------------------------------------------------------------------------------------------


def _predictions(plan, rows, kept, parts, numbers, errors, places) -> pd.DataFrame:
    """Return one row a condition: recipe, descriptors with their intervals, and how far it is from the training."""
    import pandas as pd

    described = {}
    for name, part in parts.items():
        row: dict[str, Any] = {}
        values = kept.get(part, [f"value.{d}" for d in numbers[name]])
        for d, q in numbers[name].items():
            row |= {d: q.value, f"{d}_low": q.low, f"{d}_high": q.high, f"{d}_se": values[f"value.{d}"][1]}
            row |= {f"{d}_model_error": errors[d].sd, f"{d}_interval": _source(q, errors[d])}
        described[name] = row
    table = rows.join(pd.DataFrame.from_dict(described, orient="index")).join(places)
    return table.assign(n_images=plan.images).rename_axis("condition")


def _source(q: Quantity, error: PredictionError) -> str:
    if q.low is None:
        return "none"
    return "draws and error on conditions left out" if np.isfinite(error.sd) else "draws alone"


def _tables(table, errors, curves) -> dict[str, pd.DataFrame]:
    import pandas as pd

    tested = pd.DataFrame([{"descriptor": d, "error_sd": e.sd, "r2": e.r2, "n_left_out": e.n}
                           for d, e in errors.items()]).set_index("descriptor")  # fmt: skip
    tables = {"predictions": table, "model_error": tested}
    if any(len(curve) for curve in curves.values()):
        tables["size_distribution"] = pd.concat([curve.assign(condition=name) for name, curve in curves.items()
                                                 if len(curve)]).set_index("condition")  # fmt: skip
    return tables


def _size_curve(kept: Store, part: str, seed: int) -> pd.DataFrame:
    """Return the size distribution of drawn particles, moved as far as the model's bias in D50 moves that."""
    import pandas as pd

    from .. import measure

    found = kept.get(part, ["size_um", "size_weight", "size_image", "value.d50_um"])
    if not len(found.get("size_um", ())):
        return pd.DataFrame()
    mean, _, n, raw = found["value.d50_um"]
    several = found["size_image"] if n > 1 else None
    return measure.size_curve(
        found["size_um"] * (mean / raw), weights=found["size_weight"], groups=several, rng=seed, n_boot=200
    )


def _summary(plan, rows, numbers, places) -> dict[str, Quantity]:
    if len(rows) == 1:
        found = dict(next(iter(numbers.values())))
        place = places.iloc[0]
        found["extrapolation"] = Quantity(
            float(place["extrapolation"]),
            n=len(plan.model.table.conditions),
            method="distance to the nearest trained condition over the usual one between them; above 1 extrapolates",
        )
    else:
        found = {}
        for d in next(iter(numbers.values())):
            values = np.array([q[d].value for q in numbers.values()])
            stem, unit = (d.removesuffix("_um"), "um") if d.endswith("_um") else (d, "")
            for end, pick in (("min", np.nanmin), ("max", np.nanmax)):
                value = float(pick(values)) if np.isfinite(values).any() else np.nan
                found[f"{stem}_{end}{'_um' * bool(unit)}"] = Quantity(
                    value, n=len(values), unit=unit, method="of the predictions over all conditions"
                )
        found["n_extrapolated"] = Quantity(int(places["extrapolates"].sum()), n=len(rows), method="conditions")
    found["n_conditions"] = Quantity(len(rows), method="recipes drawn")
    found["n_images"] = Quantity(
        len(rows) * len(plan.views) * plan.images, method=f"drawn, {plan.images} for each view and condition"
    )
    return found


# --- text -------------------------------------------------------------------------------------------------------


def _text(plan, errors) -> dict[str, str]:
    tested = [e for e in errors.values() if np.isfinite(e.sd)]
    where = (
        f"the standard error of the {plan.images} micrographs drawn of each view, and the error that the model had on "
        f"{tested[0].n} conditions that it had not been trained on (model_error.csv). It is the interval of a powder "
        "that would be made by this recipe and measured as the trained ones were"
        if tested
        else f"the standard error of the {plan.images} micrographs drawn of each view alone: how far the model is "
        "off is not in it"
    )
    return {
        "What was done": f"{plan.images} micrographs of {plan.size} x {plan.size} pixels were drawn in each of "
        "the views "
        + ", ".join(f"{v.name} (pixels of {v.pixel_um:g} um)" for v in plan.views)
        + f" with seed {plan.seed}, their particles found and measured as `morpholith sem measure` does, and the "
        f"model's constant bias taken off.\n\nThe intervals hold {where}.",
        "How to go on": "`morpholith sem measure campaign.csv` in this folder measures the drawn micrographs again, "
        "without taking the bias off. `morpholith sem design` goes the other way: from wanted numbers to recipes.",
    }


# --- files -------------------------------------------------------------------------------------------------------


def image_names(conditions: Sequence[Any], views: Sequence[str], n: int) -> dict[tuple[Any, str, int], str]:
    """Return a name for each image, ``<condition>_<view>_<k>.tif``, with characters that every system takes."""
    safe: dict[Any, str] = {}
    for condition in conditions:
        bare = re.sub(r"[^A-Za-z0-9._-]+", "_", str(condition)).strip("._") or "condition"
        taken = {s.casefold() for s in safe.values()}
        k = 1
        name = bare
        while name.casefold() in taken:
            k += 1
            name = f"{bare}-{k}"
        safe[condition] = name
    width = len(str(n))
    return {
        (condition, view, k): f"{safe[condition]}_{re.sub(r'[^A-Za-z0-9._-]+', '_', view)}_{k + 1:0{width}d}.tif"
        for condition in conditions
        for view in views
        for k in range(n)
    }


def _files(plan, rows, kept, parts) -> dict[str, Callable[[Path], object]]:
    """Return the writers of the images, and of a table that lets `sem measure` measure them."""
    import pandas as pd

    names = image_names(list(rows.index), [v.name for v in plan.views], plan.images)
    pixel = {v.name: v.pixel_um for v in plan.views}
    files: dict[str, Callable[[Path], object]] = {
        f"images/{file}": partial(_write, kept=kept, part=parts[name], view=view, k=k, pixel_um=pixel[view])
        for (name, view, k), file in names.items()
    }
    listed = pd.DataFrame(
        [{"image": f"images/{f}", "condition": name, "magnification": view} for (name, view, _), f in names.items()]
    ).join(rows, on="condition")
    files["campaign.csv"] = lambda path: listed.to_csv(path, index=False, encoding="utf-8", lineterminator="\n")
    return files


def _write(path: Path, *, kept: Store, part: str, view: str, k: int, pixel_um: float) -> None:
    from ..read import write_tiff

    path.parent.mkdir(parents=True, exist_ok=True)
    array = kept.get(part, [f"image.{view}"])[f"image.{view}"][k]
    write_tiff(path, Image(array, "yx", (pixel_um, pixel_um)))
