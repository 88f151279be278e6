"""Powders that were made, as `sem design --tell` is given them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ._design_inputs import descriptors_of, measured, seen
from ._pairs import meant

if TYPE_CHECKING:
    from ..design import Record, Space
    from ..generate import MicrographModel


def told_in(path: Path, model: MicrographModel, space: Space, *, pixel_size: float | None, device: str) -> list[Record]:
    """Return the powders of a table: their recipes, with descriptors as measured or images to measure.

    Raises
    ------
    InputError
        The table lacks a variable of the model, has neither descriptors nor images, or a value is none.
    """
    import pandas as pd

    try:
        table = pd.read_csv(path, skipinitialspace=True)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, OSError) as error:
        raise InputError(f"--tell {path} is not a readable CSV table ({error}).") from error
    table.columns = [str(c).strip() for c in table.columns]
    _check_variables(path, table.columns, space, model)
    if "image" in table:
        return _told_images(path, model, space, pixel_size=pixel_size, device=device)
    _checkdescriptors_of(path, table.columns, model)
    records = [_told(path, k + 2, row, model, space) for k, row in enumerate(table.to_dict("records"))]
    kept = [r for r in records if r is not None]
    if not kept:
        raise InputError(
            f"--tell {path} has no row with a measured descriptor; fill in {', '.join(descriptors_of(model))}."
        )
    return kept


def _check_variables(path, columns, space, model):
    missing = [n for n in space.names if n not in columns]
    if missing:
        near = next((meant(n, list(columns)) for n in missing if meant(n, list(columns))), "")
        raise InputError(
            f"--tell {path} lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}{near}: the model "
            f"was trained on {', '.join(model.table.names)}."
        )


def _checkdescriptors_of(path, columns, model):
    known = descriptors_of(model)
    if not any(name in columns for name in known):
        near = next((f"; its {c!r} is none{meant(c, known)}" for c in columns if meant(c, known)), "")
        raise InputError(
            f"--tell {path} has no measured descriptor{near}. Give a column {', '.join(known)}, or a column image."
        )


def _told(path, line, row: Mapping[str, Any], model, space) -> Record | None:
    """Return the record of one row; None where nothing was measured."""
    from .. import design

    results = {}
    for name in descriptors_of(model):
        value = _value(path, line, name, row.get(name))
        if value is None:
            continue
        results[name] = (value, _error(path, line, name, row))
    if not results:
        return None
    conditions = {n: row[n] for n in space.conditions if n in row and not _empty(row[n])}
    try:
        return design.powder(space, conditions, results, note=f"{path.name}, line {line}")
    except InputError as error:
        raise InputError(f"--tell {path}, line {line}: {error}") from error


def _error(path, line, name, row):
    """Return the standard error: as given, or from a 95 % interval as `sem measure` writes it."""
    given = _value(path, line, f"{name}_se", row.get(f"{name}_se"))
    if given is not None:
        return given
    low, high = (_value(path, line, f"{name}_{end}", row.get(f"{name}_{end}")) for end in ("low", "high"))
    return (high - low) / 3.92 if low is not None and high is not None and high > low else float("nan")


def _value(path, line, name, given):
    if _empty(given):
        return None
    try:
        return float(given)
    except (TypeError, ValueError):
        raise InputError(f"--tell {path}, line {line}: {name} must be a number, got {given!r}.") from None


def _empty(value):
    return value is None or (isinstance(value, float) and np.isnan(value)) or str(value).strip() == ""


def _told_images(path, model, space, *, pixel_size, device) -> list[Record]:
    """Measure the images of each recipe as those of the training were."""
    from .. import design, read

    campaign = read.campaign([path])
    records = []
    for name, recipe in campaign.recipes.iterrows():
        paths = list(campaign.images["path"][campaign.images["condition"] == name])
        numbers = measured(seen(paths, model, pixel_size=pixel_size), device)
        if not numbers:
            raise InputError(f"--tell {path}: no particle can be measured in the images of {name!r}; leave it out.")
        conditions = {n: recipe[n] for n in space.conditions if n in recipe and not _empty(recipe[n])}
        records.append(design.powder(space, conditions, numbers, note=f"{path.name}, {name}"))
    return records


def trained_powders(model: MicrographModel, space: Space) -> list[Record]:
    """Return the powders that the model was trained on, as they were measured: they were made, too.

    Left out are those whose recipe lacks a value, has a word that is not allowed, or differs from what is fixed.
    """
    from .. import design

    records = []
    for name, row in model.table.conditions.iterrows():
        conditions = {n: row[n] for n in space.conditions if n in row and not _empty(row[n])}
        others = any(not _same(row[n], value) for n, value in space.fixed.items() if n in row)
        if others or len(conditions) < len([n for n in space.conditions if n in row]):
            continue
        results = {
            d: (float(model.measured.loc[name, d]), float(model.measured.loc[name].get(f"{d}_se", np.nan)))
            for d in descriptors_of(model)
            if name in model.measured.index and np.isfinite(model.measured.loc[name, d])
        }
        if not results:
            continue
        try:
            records.append(design.powder(space, conditions, results, note=f"training, {name}"))
        except InputError:  # a word that the search may not take
            continue
    return records


def _same(one: Any, two: Any) -> bool:
    try:
        return bool(np.isclose(float(one), float(two), rtol=1e-6))
    except (TypeError, ValueError):
        return str(one) == str(two)
