"""Process conditions as numbers that a network can be conditioned on: ranges, log scales, words, missing values."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError, InputWarning
from ._process_codes import by_column, checked, encode_numbers, encode_words, same
from ._process_columns import check_conditions, is_missing, read_column, shown

if TYPE_CHECKING:
    import pandas as pd

    from ..design import Space
    from ..read import Campaign

NUMBER, CATEGORY = "number", "category"
LOG_RATIO = 8.0  # of the largest to the smallest training value, from which on a variable has a log scale


@dataclass(frozen=True)
class Variable:
    """One process variable and what training saw of it.

    Attributes
    ----------
    name : str
        As the user's table has it, units included.
    kind : {"number", "category"}
    log : bool
        Scaled by its logarithm: every training value is above 0 and the largest is 8 times the smallest or more.
    low, high : float
        Training range of a number; NaN for words.
    words : tuple of str
        Of a category, sorted; empty for a number.
    """

    name: str
    kind: str
    log: bool = False
    low: float = np.nan
    high: float = np.nan
    words: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Columns of the code: the scaled number or one a word, and the flag that says it is missing."""
        return (len(self.words) if self.kind == CATEGORY else 1) + 1

    def __str__(self) -> str:
        if self.kind == CATEGORY:
            return f"{self.name}: {', '.join(self.words)}"
        return f"{self.name}: {self.low:g} to {self.high:g}" + (" (log scale)" if self.log else "")


@dataclass(frozen=True)
class ProcessTable:
    """The process variables of a campaign, and how a recipe becomes a vector.

    Attributes
    ----------
    variables : tuple of Variable
        In the order of the user's table.
    conditions : DataFrame
        The training conditions: index `condition`, one column a variable (float64, NaN where missing; words as str,
        None where missing).
    constants : mapping of str to value
        Columns with one value in every condition. Nothing can be learnt of them, so they are no variables.
    notes : tuple of str
        A sentence for each column that was dropped.
    """

    variables: tuple[Variable, ...]
    conditions: pd.DataFrame
    constants: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The variables' names."""
        return tuple(v.name for v in self.variables)

    @property
    def width(self) -> int:
        """Columns of the code."""
        return sum(v.width for v in self.variables)

    @property
    def columns(self) -> tuple[str, ...]:
        """What each column of the code is, as in ``("ph", "ph missing", "atmosphere = N2", ...)``."""
        names: list[str] = []
        for v in self.variables:
            names += [f"{v.name} = {w}" for w in v.words] if v.kind == CATEGORY else [v.name]
            names.append(f"{v.name} missing")
        return tuple(names)

    def variable(self, name: str) -> Variable:
        """Return the variable of that name."""
        for v in self.variables:
            if v.name == name:
                return v
        raise InputError(f"{name!r} is no process variable of this model; it knows {', '.join(self.names)}.")

    def encode(self, rows: pd.DataFrame | Sequence[Mapping[str, Any]]) -> np.ndarray:
        """Return the codes of recipes, (n, width) float64.

        A number is scaled to -1..1 over its training range (of its logarithm where the variable has a log scale) and
        goes on beyond; a word is one-hot. Every variable has a flag after it: 1 where the value is missing, and its
        other columns are then 0. Columns or keys that are no variable are not looked at; an absent one is missing.

        Raises
        ------
        InputError
            Text or infinity for a number, a value that is not above 0 on a log scale, a word that was never trained,
            or rows that have none of the variables.
        """
        given = by_column(rows, self.names)
        codes = np.zeros((len(rows), self.width))
        at = 0
        for v in self.variables:
            part = codes[:, at : at + v.width]
            if v.kind == CATEGORY:
                encode_words(part, v, given[v.name])
            else:
                encode_numbers(part, v, given[v.name])
            at += v.width
        return codes

    def check(self, condition: Mapping[str, Any]) -> dict[str, Any]:
        """Return a recipe with every variable in it, as numbers and trained words.

        Parameters
        ----------
        condition : mapping of str to value
            Numbers may be text (``"10.5"``), words may differ in case. Values beyond the training range are allowed.

        Returns
        -------
        dict
            Each variable, in order; a missing number is NaN and a missing word None, which an InputWarning says.

        Raises
        ------
        InputError
            A name or word that was never trained, no number, 0 or less on a log scale, a value of a column that was
            constant in training and is another here, or a recipe with none of the variables.
        """
        known = {str(k): value for k, value in condition.items()}
        for name, value in known.items():
            self._check_name(name, value)
        found = {v.name: checked(v, known.get(v.name)) for v in self.variables}
        missing = [name for name, value in found.items() if is_missing(value)]
        if len(missing) == len(found):
            raise InputError(f"the condition has no process variable; give one or more of {', '.join(self.names)}.")
        if missing:
            warnings.warn(
                f"{', '.join(missing)} not given: the model takes {'it' if len(missing) == 1 else 'them'} as unknown.",
                InputWarning,
                stacklevel=2,
            )
        return found

    def _check_name(self, name, value):
        if name in self.names or is_missing(value):
            return
        if name not in self.constants:
            raise InputError(f"{name!r} is no process variable of this model; it knows {', '.join(self.names)}.")
        only = self.constants[name]
        if not same(only, value):
            raise InputError(
                f"{name} was {shown(only)} in every training condition, so the model does not know what {shown(value)} "
                f"does; leave it out, or train with several values of it."
            )

    def space(
        self, *, fixed: Mapping[str, Any] | None = None, bounds: Mapping[str, Any] | None = None,
        whole: Sequence[str] = (), constraints: Sequence[Any] = (), cost: Any = None,
    ) -> Space:  # fmt: skip
        """Return the recipes that a search may try: the training ranges and words, unless said otherwise.

        Parameters
        ----------
        fixed : mapping of str to value
            Variables held at a value, which may lie beyond the training range. None or NaN holds a variable at
            "missing": it is left out of the space, and so of its recipes.
        bounds : mapping of str to (low, high) or list of words
            Instead of the training range; equal bounds or one word fix the variable.
        whole : sequence of str
            Variables of whole numbers. They have no log scale.
        constraints, cost
            As `design.Space` takes them.

        Raises
        ------
        InputError
            An unknown name or word, a variable both fixed and bounded, or what `design.Space` refuses.
        """
        from ._process_space import space_of

        return space_of(
            self, fixed=dict(fixed or {}), bounds=dict(bounds or {}), whole=whole, constraints=constraints, cost=cost
        )

    def to_json(self) -> dict[str, Any]:
        """Return what a model's file says of the table; missing values are null. `process_table_from_json` reads it."""
        variables = [
            {"name": v.name, "kind": NUMBER, "log": v.log, "low": v.low, "high": v.high}
            if v.kind == NUMBER
            else {"name": v.name, "kind": CATEGORY, "words": list(v.words)}
            for v in self.variables
        ]
        values = {n: [None if is_missing(x) else x for x in self.conditions[n].tolist()] for n in self.names}
        return {
            "variables": variables,
            "conditions": [str(name) for name in self.conditions.index],
            "values": values,
            "constants": dict(self.constants),
            "notes": list(self.notes),
        }

    @cached_property
    def _text(self) -> str:
        return json.dumps(self.to_json(), sort_keys=True)

    def __eq__(self, other: object) -> bool:
        return self._text == other._text if isinstance(other, ProcessTable) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._text)


def process_table(conditions: pd.DataFrame | Campaign) -> ProcessTable:
    """Return the process variables that a table of conditions holds.

    Parameters
    ----------
    conditions : DataFrame or Campaign
        Index `condition`, one row a condition, one column a variable: numbers (whole ones and text that are numbers
        too), words or booleans (which become the words ``"False"`` and ``"True"``); missing values allowed. Of a
        campaign, its `recipes`.

    Returns
    -------
    ProcessTable
        A number has a log scale where all its values are above 0 and the largest is 8 times the smallest or more.
        Columns without any value or with the same one in every condition are dropped; an InputWarning and `notes`
        say so.

    Raises
    ------
    InputError
        No column that varies, a condition without any value, two conditions of one name, a column of numbers in
        which one value is none, infinity, or a column of words that do not repeat.
    """
    import pandas as pd

    conditions = conditions if isinstance(conditions, pd.DataFrame) else conditions.recipes
    check_conditions(conditions)
    read = {str(n): read_column(x.tolist(), name=str(n), index=conditions.index) for n, x in conditions.items()}
    useless = {name: _useless(name, values) for name, values in read.items()}
    variables = [_variable(name, values) for name, values in read.items() if not useless[name]]
    constants = {n: x[0] for n, x in read.items() if not is_missing(x[0]) and all(other == x[0] for other in x)}
    notes = [note for note in useless.values() if note]
    if not variables:
        raise InputError(
            f"no column varies from condition to condition (columns: {', '.join(map(str, conditions.columns))}); "
            f"a model of the process needs one or more that do."
        )
    table = _frame(variables, read, conditions.index.astype(str))
    empty = table.index[table.isna().all(axis=1)]
    if len(empty):
        raise InputError(
            f"condition {empty[0]!r} has no value of any process variable ({len(empty)} such); fill in or remove it."
        )
    for note in notes:
        warnings.warn(note, InputWarning, stacklevel=2)
    return ProcessTable(tuple(variables), table, constants, tuple(notes))


def process_table_from_json(given: Mapping[str, Any]) -> ProcessTable:
    """Return the table that `ProcessTable.to_json` wrote down, the same to the last bit."""
    variables = tuple(
        Variable(v["name"], NUMBER, bool(v["log"]), float(v["low"]), float(v["high"]))
        if v["kind"] == NUMBER
        else Variable(v["name"], CATEGORY, words=tuple(v["words"]))
        for v in given["variables"]
    )
    table = _frame(variables, given["values"], given["conditions"])
    return ProcessTable(variables, table, dict(given["constants"]), tuple(given["notes"]))


def _useless(name, values):
    """Say why nothing can be learnt of a column; an empty text where it can."""
    present = [x for x in values if not is_missing(x)]
    if not present:
        return f"{name!r} has no value in any condition and is left out."
    if any(x != present[0] for x in present):
        return ""
    where = "in every condition" if len(present) == len(values) else "wherever it is given"
    return f"{name!r} is {shown(present[0])} {where} and is left out: nothing can be learnt of it."


def _variable(name, values):
    present = [x for x in values if not is_missing(x)]
    if isinstance(present[0], str):
        return Variable(name, CATEGORY, words=tuple(sorted(set(present))))
    low, high = min(present), max(present)
    return Variable(name, NUMBER, low > 0 and high >= LOG_RATIO * low, low, high)


def _frame(variables, values, names):
    import pandas as pd

    index = pd.Index(list(names), name="condition", dtype=object)
    # dtypes are given, as pandas would else make strings of words and NaN of None
    kinds = {v.name: float if v.kind == NUMBER else object for v in variables}
    return pd.DataFrame({name: pd.Series(values[name], index, kind) for name, kind in kinds.items()}, index)
