"""Values of one process variable into its columns of the code, and what a user gives into a value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._cells import number_of
from ..errors import InputError
from ._process_columns import is_missing, read_column

if TYPE_CHECKING:
    from .process_table import Variable


def by_column(rows: Any, names: Sequence[str]) -> dict[str, list[Any]]:
    """Return the values of each variable of a DataFrame or of mappings as a list; absent ones are None."""
    if hasattr(rows, "columns"):
        found = {name: rows[name].tolist() if name in rows.columns else [None] * len(rows) for name in names}
        known = any(name in rows.columns for name in names)
    else:
        found = {name: [row.get(name) for row in rows] for name in names}
        known = any(name in row for row in rows for name in names)
    if len(rows) and not known:
        raise InputError(f"the recipes have none of the process variables {', '.join(names)}.")
    return found


def encode_numbers(part: np.ndarray, v: Variable, values: list[Any]) -> None:
    """Fill in the scaled number and the flag, (n, 2), of a variable."""
    numbers = _floats(v.name, values)
    missing = np.isnan(numbers)
    low, high = v.low, v.high
    if v.log:
        _check_log(v, numbers)
        numbers = np.log(np.where(missing, low, numbers))
        low, high = np.log(low), np.log(high)
    part[:, 0] = np.where(missing, 0.0, 2.0 * (numbers - low) / (high - low) - 1.0)
    part[:, 1] = missing


def _floats(name, values):
    try:
        numbers = np.array([np.nan if is_missing(x) else x for x in values], float)
    except (TypeError, ValueError):
        numbers = np.array(read_column(values, name=name, kind="number"), float)
    if np.isinf(numbers).any():
        raise InputError(f"{name!r} must be a finite number, got {values[int(np.isinf(numbers).argmax())]!r}.")
    return numbers


def _check_log(v, numbers):
    if (numbers <= 0).any():
        raise InputError(
            f"{v.name!r} is scaled by its logarithm, as its training values reach from {v.low:g} to {v.high:g}; "
            f"it must be above 0, got {numbers[numbers <= 0][0]:g}."
        )


def encode_words(part: np.ndarray, v: Variable, values: list[Any]) -> None:
    """Fill in a column for each word and the flag of a category, (n, words + 1), which are zeros."""
    at = {word: i for i, word in enumerate(v.words)}
    missing = len(v.words)
    try:
        hot = [missing if is_missing(x) else at[x if isinstance(x, str) else str(x)] for x in values]
    except KeyError as error:
        raise _unknown_word(v, error.args[0]) from None
    part[np.arange(len(values)), hot] = 1.0


def _unknown_word(v, word):
    return InputError(f"{v.name!r} must be one of the trained words {', '.join(v.words)}; got {word!r}.")


def checked(v: Variable, value: Any) -> Any:
    """Return what a user gives as a number (NaN where missing) or a trained word (None where missing)."""
    if v.kind == "number":
        (number,) = read_column([value], name=v.name, kind="number")
        number = np.nan if number is None else float(number)
        if v.log:
            _check_log(v, np.array([number]))
        return number
    if is_missing(value):
        return None
    word = str(value).strip()
    if word in v.words:
        return word
    alike = [w for w in v.words if w.casefold() == word.casefold()]
    if len(alike) != 1:
        raise _unknown_word(v, word)
    return alike[0]


def same(only: Any, value: Any) -> bool:
    """Return whether a user's value is the one that a constant column had."""
    if isinstance(only, str):
        return str(value).strip().casefold() == only.casefold()
    number: Any = number_of(value) if isinstance(value, str) else value
    try:
        return bool(np.isclose(float(number), only, rtol=1e-9, atol=0))
    except (TypeError, ValueError):
        return False
