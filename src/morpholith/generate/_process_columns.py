"""One column of a user's table: numbers, words, or a cell that is neither."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._cells import ADVICE, has_comma, number_of
from ..errors import InputError

if TYPE_CHECKING:
    import pandas as pd


def is_missing(value: Any) -> bool:
    """Return whether a cell is empty: None, NaN, NA, NaT or blank text."""
    if value is None or isinstance(value, str):
        return value is None or not value.strip()
    if isinstance(value, float | np.floating):
        return math.isnan(value)
    return type(value).__name__ in ("NAType", "NaTType")


def shown(value: Any) -> str:
    """Return a value as a sentence shows it."""
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else repr(value)


def check_conditions(conditions: pd.DataFrame) -> None:
    """Refuse a table without columns or rows, or with a name that is there twice."""
    if conditions.shape[1] == 0:
        raise InputError(
            "the conditions have no process variable; give a campaign table image,condition,... with a column for each."
        )
    if len(conditions) == 0:
        raise InputError("the table of conditions is empty; a process table needs two or more.")
    for what, names in (("condition", conditions.index), ("column", conditions.columns)):
        if not names.is_unique:
            raise InputError(f"{what} {str(names[names.duplicated()][0])!r} is there twice; names must be different.")


def read_column(
    values: Sequence[Any], *, name: str, index: Sequence[Any] | None = None, kind: str | None = None
) -> list[Any]:
    """Return a column as floats or as words, None where a cell is empty.

    Parameters
    ----------
    values : sequence
        Numbers, booleans (words then), text, anything missing.
    name : str
        Of the column, for messages.
    index : sequence, optional
        Names of the conditions, for messages; given, a column of words has to repeat them.
    kind : {"number"}, optional
        Demands numbers.

    Raises
    ------
    InputError
        Most cells are numbers and one is not, a decimal comma, infinity, or words that do not repeat.
    """
    cells = [None if is_missing(x) else x for x in values]
    numbers = [_number(x) for x in cells]
    filled = [i for i, x in enumerate(cells) if x is not None]
    bad = [i for i in filled if numbers[i] is None]
    commas = [i for i in bad if has_comma(str(cells[i]))]
    if bad and (kind == "number" or len(filled) - len(bad) + len(commas) > len(filled) / 2):
        raise _bad_cell(name, index, (commas or bad)[0], cells)
    if not bad:
        infinite = [i for i in filled if not math.isfinite(numbers[i])]
        if infinite:
            raise _bad_cell(name, index, infinite[0], cells)
        return numbers
    words = [None if x is None else str(x).strip() for x in cells]
    if index is not None:
        _check_repeats(name, [w for w in words if w is not None])
    return words


def _number(cell):
    if cell is None or isinstance(cell, bool | np.bool_):
        return None
    if isinstance(cell, str):
        return number_of(cell)
    try:
        return float(cell)
    except (TypeError, ValueError):
        return None


def _bad_cell(name, index, i, cells):
    where = "" if index is None else f" of condition {str(index[i])!r}"
    text = str(cells[i])
    if has_comma(text):
        return InputError(f"{name!r}{where} is {text!r}, {ADVICE}.")
    others = " where most others are" if index is not None else ""
    return InputError(
        f"{name!r}{where} is {text!r}, which is no finite number{others}; correct it, or leave it empty if unknown."
    )


def _check_repeats(name, words):
    different = len(set(words))
    if different == len(words) > 1 or different > max(2, len(words) / 2):
        raise InputError(
            f"{name!r} has {different} different words in {len(words)} conditions (such as {words[0]!r}); a category "
            f"needs words that repeat: remove the column, group its words, or make it a number."
        )
