"""What the conditions alone say of a descriptor, without any image: the yardstick of an image model.

A Gaussian process from the process variables to each descriptor is what a few dozen conditions support without a
network. An image model that predicts conditions it never saw worse than this has learnt pictures, not the process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..design import Inputs, Process, fit_process
from ..errors import InputError
from .process_table import ProcessTable
from .recipe_code import process_inputs

if TYPE_CHECKING:
    import pandas as pd

FEWEST = 5  # conditions with a value, for a process to be fitted


def baseline_left_out(
    table: ProcessTable,
    measured: pd.DataFrame,
    names: Sequence[str],
    *,
    conditions: Sequence[str] | None = None,
    on_step: Callable[[int, int], object] | None = None,
) -> pd.DataFrame:
    """Predict the descriptors of each condition from all the others.

    Parameters
    ----------
    table : ProcessTable
    measured : DataFrame
        Index `condition`, each one of the table's; columns of descriptors, with `<descriptor>_se` where known.
    names : sequence of str
        Descriptors.
    conditions : sequence of str, optional
        Those to leave out, one at a time; all of `measured` unless given.
    on_step : function, optional
        Called with how many fits are done and how many there are.

    Returns
    -------
    DataFrame
        Index `condition`; `<descriptor>_gp` and `<descriptor>_gp_sd`, the standard deviation of the expectation (what a
        lot scatters or a measurement errs comes on top). Every fit begins anew, length scales and noise too, so that
        nothing of the condition left out is in its prediction. NaN where fewer than 5 other conditions have a value.

    Raises
    ------
    InputError
        A descriptor that `measured` lacks, or a condition that it or the table lacks.
    """
    import pandas as pd

    _check(table, measured, names)
    wanted = list(measured.index if conditions is None else conditions)
    unknown = [name for name in wanted if name not in measured.index]
    if unknown:
        raise InputError(f"condition {unknown[0]!r} was not measured, so nothing can be compared with it.")
    out = pd.DataFrame(index=pd.Index(wanted, name=measured.index.name or "condition"))
    rows = table.conditions.loc[measured.index]
    inputs = baseline_inputs(table, rows, trained=rows)
    done, total = 0, len(names) * len(wanted)
    for name in names:
        found = np.full((len(wanted), 2), np.nan)
        for k, condition in enumerate(wanted):
            own = int(measured.index.get_loc(condition))
            others = np.arange(len(measured)) != own
            process = _fitted(inputs, measured, name, others)
            if process is not None:
                found[k] = predicted_by(process, inputs.take(np.array([own])))[0]
            done += 1
            if on_step is not None:
                on_step(done, total)
        out[f"{name}_gp"], out[f"{name}_gp_sd"] = found.T
    return out


def descriptor_baseline(
    table: ProcessTable,
    measured: pd.DataFrame,
    names: Sequence[str],
    rows: pd.DataFrame | Sequence[Mapping[str, Any]],
) -> pd.DataFrame:
    """Predict the descriptors of recipes from all measured conditions.

    Parameters
    ----------
    table, measured, names
        As for `baseline_left_out`.
    rows : DataFrame or sequence of mappings
        Recipes.

    Returns
    -------
    DataFrame
        One row a recipe, with the index of `rows` where it has one; `<descriptor>_gp` and `<descriptor>_gp_sd`.
    """
    import pandas as pd

    _check(table, measured, names)
    trained = table.conditions.loc[measured.index]
    inputs = baseline_inputs(table, trained, trained=trained)
    asked = baseline_inputs(table, rows, trained=trained)
    out = pd.DataFrame(index=rows.index if isinstance(rows, pd.DataFrame) else range(len(rows)))
    for name in names:
        process = _fitted(inputs, measured, name, np.ones(len(measured), bool))
        found = np.full((len(asked), 2), np.nan) if process is None else predicted_by(process, asked)
        out[f"{name}_gp"], out[f"{name}_gp_sd"] = found.T
    return out


def baseline_inputs(
    table: ProcessTable, rows: pd.DataFrame | Sequence[Mapping[str, Any]], *, trained: pd.DataFrame
) -> Inputs:
    """Return recipes as a process takes them, with one more category a number that some trained condition lacks."""
    plain = process_inputs(table, rows)
    gaps = [v.name for v in table.variables if v.kind == "number" and trained[v.name].isna().any()]
    if not gaps:
        return plain
    known = np.array([[_known(row.get(name)) for name in gaps] for row in _records(rows)], int).reshape(-1, len(gaps))
    return Inputs(plain.x, np.concatenate([plain.words, known], axis=1), plain.real)


def predicted_by(process: Process, inputs: Inputs) -> np.ndarray:
    """Return the median of a descriptor and half the width of its central 68 %, (n, 2)."""
    mean, sd = process.at(inputs)
    return np.stack([process.value(mean), (process.value(mean + sd) - process.value(mean - sd)) / 2], axis=1)


def _fitted(inputs, measured, name, rows):
    """The process of a descriptor over some rows; None where there is too little to fit."""
    values = measured[name].to_numpy(float)
    rows = rows & np.isfinite(values)
    if rows.sum() < FEWEST:
        return None
    se = measured[f"{name}_se"].to_numpy(float)[rows] if f"{name}_se" in measured else np.full(rows.sum(), np.nan)
    return fit_process(inputs.take(rows), values[rows], se**2)


def _records(rows):
    return rows.to_dict("records") if hasattr(rows, "to_dict") else list(rows)


def _known(value):
    return value is not None and value == value


def _check(table, measured, names):
    lacking = [name for name in names if name not in measured]
    if lacking:
        raise InputError(f"descriptor {lacking[0]!r} was not measured; there are {', '.join(map(str, measured))}.")
    unknown = [name for name in measured.index if name not in table.conditions.index]
    if unknown:
        raise InputError(f"condition {unknown[0]!r} was measured, but the table of conditions does not have it.")
