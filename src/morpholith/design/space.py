"""The conditions that a recipe may have: ranges, whole numbers, categories, fixed ones, constraints, cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from . import _polytope
from .constraints import Linear, linear

if TYPE_CHECKING:
    import pandas as pd

DECADE = 10.0


@dataclass(frozen=True)
class Continuous:
    """A condition between two bounds; on a log scale where ratios matter (times, concentrations)."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class Integer:
    """A condition of whole numbers between two bounds, both allowed."""

    low: int
    high: int


@dataclass(frozen=True)
class Categorical:
    """A condition that is one of several words."""

    options: tuple[str, ...]


@dataclass(frozen=True)
class Space:
    """The recipes that are allowed.

    Parameters
    ----------
    conditions : mapping of str to Continuous, Integer, Categorical, (low, high) or list of words
        Every condition that the process has, in the order in which tables show them. A pair of positive numbers a
        factor of 10 or more apart has a log scale; `Continuous` says it outright.
    fixed : mapping of str to value
        Conditions that are not to be searched, within their own bounds.
    constraints : sequence of Linear or str
        All must hold; over numeric conditions.
    cost : mapping or function, optional
        What a unit of a condition costs, for a category a mapping of word to cost; or ``cost(conditions) -> float``.

    Raises
    ------
    InputError
        Bounds that are no range, a fixed value or a constraint that names something unknown or lies outside, or
        constraints that contradict each other: the smallest such set is named.

    Notes
    -----
    Recipes are DataFrames with a column for each condition, fixed ones too. Inside they are *codes*: an (n, d) array
    over what is free, a category being the number of its word.
    """

    conditions: Mapping[str, Any]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    constraints: Sequence[Any] = ()
    cost: Mapping[str, Any] | Callable[[Mapping[str, Any]], float] | None = None

    def __post_init__(self):
        if not self.conditions:
            raise InputError("a space needs one condition or more, such as {'pH': (9.8, 11.0)}; got none.")
        kinds = {str(name): _kind(name, given) for name, given in self.conditions.items()}
        object.__setattr__(self, "conditions", kinds)
        for name, value in self.fixed.items():
            _check_value(kinds, name, value, "fixed condition")
        rules = tuple(linear(c) if isinstance(c, str) else c for c in self.constraints)
        for rule in rules:
            _check_rule(kinds, rule)
        object.__setattr__(self, "constraints", rules)
        if isinstance(self.cost, Mapping):
            _check_cost(kinds, self.cost)
        if not self.names:
            raise InputError("every condition is fixed; leave one or more free to search.")
        _polytope.contradiction(self)

    @property
    def names(self) -> tuple[str, ...]:
        """The free conditions."""
        return tuple(name for name in self.conditions if name not in self.fixed)

    @property
    def free(self) -> list[Continuous | Integer | Categorical]:
        """Their kinds."""
        return [self.conditions[name] for name in self.names]

    @property
    def is_category(self) -> np.ndarray:
        """Which free conditions are categories, (d,) bool."""
        return np.array([isinstance(k, Categorical) for k in self.free])

    @property
    def is_integer(self) -> np.ndarray:
        """Which free conditions are whole numbers, (d,) bool."""
        return np.array([isinstance(k, Integer) for k in self.free])

    @property
    def bounds(self) -> np.ndarray:
        """Lowest and highest code of each free condition, (d, 2)."""
        return np.array([(0, len(k.options) - 1) if isinstance(k, Categorical) else (k.low, k.high) for k in self.free])

    def rules(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return the constraints on codes: A, b with A x <= b, and E, e with E x = e, fixed conditions put in."""
        rows: dict[str, list] = {"<=": [], "==": []}
        for rule in self.constraints:
            row = [rule.coefficients.get(name, 0.0) for name in self.names]
            known = sum(value * float(self.fixed[n]) for n, value in rule.coefficients.items() if n in self.fixed)
            rows[rule.relation].append([*row, rule.bound - known])
        a = np.array(rows["<="]).reshape(-1, len(self.names) + 1)
        e = np.array(rows["=="]).reshape(-1, len(self.names) + 1)
        return a[:, :-1], a[:, -1], e[:, :-1], e[:, -1]

    def unit(self, codes: np.ndarray) -> np.ndarray:
        """Return codes with every numeric condition scaled to 0..1 between its bounds (log scale where it has one)."""
        scaled = np.array(codes, float)
        for j, kind in enumerate(self.free):
            if isinstance(kind, Continuous) and kind.log:
                ratio = np.log(kind.high / kind.low)
                scaled[:, j] = np.log(np.maximum(scaled[:, j], 1e-300) / kind.low) / ratio
            elif not isinstance(kind, Categorical):
                scaled[:, j] = (scaled[:, j] - kind.low) / (kind.high - kind.low)
        return scaled

    def from_unit(self, scaled: np.ndarray) -> np.ndarray:
        """Return the codes of scaled conditions; whole numbers are not rounded."""
        codes = np.array(scaled, float)
        for j, kind in enumerate(self.free):
            if isinstance(kind, Continuous) and kind.log:
                codes[:, j] = kind.low * (kind.high / kind.low) ** codes[:, j]
            elif not isinstance(kind, Categorical):
                codes[:, j] = kind.low + codes[:, j] * (kind.high - kind.low)
        return codes

    def encode(self, recipes: pd.DataFrame | Sequence[Mapping[str, Any]]) -> np.ndarray:
        """Return the codes (n, d) of recipes; bounds and constraints are not asked for.

        Raises
        ------
        InputError
            A condition is missing, is no number, or is a word that the category does not have.
        """
        rows = recipes.to_dict("records") if hasattr(recipes, "to_dict") else list(recipes)
        codes = np.empty((len(rows), len(self.names)))
        for i, row in enumerate(rows):
            for j, name in enumerate(self.names):
                if name not in row:
                    raise InputError(f"recipe {i + 1} lacks the condition {name!r}; it has {', '.join(map(str, row))}.")
                codes[i, j] = _code(self.conditions[name], name, row[name])
        return codes

    def decode(self, codes: np.ndarray) -> pd.DataFrame:
        """Return the recipes of codes, fixed conditions put in."""
        import pandas as pd

        codes = np.asarray(codes, float).reshape(-1, len(self.names))
        table: dict[str, Any] = {}
        for name, kind in self.conditions.items():
            if name in self.fixed:
                table[name] = [self.fixed[name]] * len(codes)
                continue
            column = codes[:, self.names.index(name)]
            if isinstance(kind, Categorical):
                table[name] = [kind.options[int(c)] for c in column]
            else:
                table[name] = column.round().astype(int) if isinstance(kind, Integer) else column
        return pd.DataFrame(table)

    def allows(self, recipes: pd.DataFrame | Sequence[Mapping[str, Any]]) -> np.ndarray:
        """Return which recipes keep every bound and constraint and the fixed values, (n,) bool."""
        rows = recipes.to_dict("records") if hasattr(recipes, "to_dict") else list(recipes)
        same = [all(row.get(name, value) == value for name, value in self.fixed.items()) for row in rows]
        return self.holds(self.encode(rows)) & np.array(same, bool)

    def holds(self, codes: np.ndarray) -> np.ndarray:
        """Return which codes keep every bound and constraint, (n,) bool; rounding of 1e-9 is forgiven."""
        return _polytope.holds(self, np.asarray(codes, float))

    def draw(self, n: int, *, rng: np.random.Generator) -> pd.DataFrame:
        """Return `n` allowed recipes at random, uniform over what is allowed."""
        return self.decode(self.draw_codes(n, rng=rng))

    def draw_codes(self, n: int, *, rng: np.random.Generator) -> np.ndarray:
        """Return the codes (n, d) of allowed recipes at random.

        Uniform between the bounds (on the log scale where there is one) by rejection; where fewer than 1 in 50 is
        allowed, or equalities are to be kept, uniform in the conditions themselves, by hit-and-run.
        """
        return _polytope.draw(self, n, rng)

    def spread_codes(self, n: int, *, rng: np.random.Generator) -> np.ndarray:
        """Return the codes (n, d) of allowed recipes that fill the space evenly (scrambled Sobol points)."""
        return _polytope.spread(self, n, rng)

    def moved(self, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        """Return for each pair of codes the last allowed recipe on the way from `start`, which is allowed, to `end`."""
        return _polytope.moved(self, np.asarray(start, float), np.asarray(end, float))

    def distance(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return the distances (n, m) between codes: root mean square over conditions, scaled to 0..1; words 0 or 1."""
        a, b, words = self.unit(a), self.unit(b), self.is_category
        apart = a[:, None] - b[None]
        apart[..., words] = apart[..., words] != 0
        return np.sqrt(np.mean(apart**2, axis=-1))

    def costs(self, codes: np.ndarray) -> np.ndarray:
        """Return the cost of each recipe, (n,); 0 without a cost."""
        if self.cost is None:
            return np.zeros(len(codes))
        rows = self.decode(codes).to_dict("records")
        if callable(self.cost):
            return np.array([float(self.cost(row)) for row in rows])
        return np.array([sum(_priced(self.cost[name], row[name]) for name in self.cost) for row in rows])

    def to_json(self) -> dict[str, Any]:
        """Return what a campaign's file says of the space; a cost that is a function is not kept."""
        kinds: dict[str, dict[str, Any]] = {}
        for name, kind in self.conditions.items():
            if isinstance(kind, Categorical):
                kinds[name] = {"options": list(kind.options)}
            else:
                log = isinstance(kind, Continuous) and kind.log
                kinds[name] = {"low": kind.low, "high": kind.high, "integer": isinstance(kind, Integer), "log": log}
        rules = [[dict(r.coefficients), r.bound, r.relation, r.text] for r in self.constraints]
        cost = dict(self.cost) if isinstance(self.cost, Mapping) else None
        return {"conditions": kinds, "fixed": dict(self.fixed), "constraints": rules, "cost": cost}


def space_from_json(given: Mapping[str, Any]) -> Space:
    """Return the space that `Space.to_json` wrote down."""
    kinds: dict[str, Any] = {}
    for name, kind in given["conditions"].items():
        if "options" in kind:
            kinds[name] = Categorical(tuple(kind["options"]))
        elif kind["integer"]:
            kinds[name] = Integer(kind["low"], kind["high"])
        else:
            kinds[name] = Continuous(kind["low"], kind["high"], kind["log"])
    rules = [Linear(c, bound, relation, text) for c, bound, relation, text in given["constraints"]]
    return Space(kinds, given["fixed"], rules, given["cost"])


def _kind(name, given):
    if isinstance(given, (Continuous, Integer)):
        low, high = given.low, given.high
        if not (np.isfinite(low) and np.isfinite(high) and low < high):
            raise InputError(f"condition {name!r} needs low < high, got {low} and {high}; a single value is fixed.")
        if isinstance(given, Integer) and (low != int(low) or high != int(high)):
            raise InputError(f"condition {name!r} is of whole numbers, but its bounds are {low} and {high}.")
        if isinstance(given, Continuous) and given.log and low <= 0:
            raise InputError(f"condition {name!r} has a log scale and needs a low above 0, got {low}.")
        return given
    words = given.options if isinstance(given, Categorical) else given
    if isinstance(words, (list, tuple)) and words and all(isinstance(w, str) for w in words):
        if len(set(words)) < len(words) or len(words) < 2:
            raise InputError(f"condition {name!r} needs two or more different words, got {list(words)}.")
        return Categorical(tuple(words))
    if isinstance(given, (list, tuple)) and len(given) == 2 and not any(isinstance(g, str) for g in given):
        low, high = float(given[0]), float(given[1])
        return _kind(name, Continuous(low, high, log=low > 0 and high >= DECADE * low))
    raise InputError(f"condition {name!r} must be (low, high), a list of words or a kind of condition; got {given!r}.")


def _code(kind, name, value):
    if isinstance(kind, Categorical):
        if value not in kind.options:
            raise InputError(f"condition {name!r} must be one of {', '.join(kind.options)}; got {value!r}.")
        return kind.options.index(value)
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not np.isfinite(number):
        raise InputError(f"condition {name!r} must be a number, got {value!r}.")
    if number <= 0 and isinstance(kind, Continuous) and kind.log:
        raise InputError(f"condition {name!r} has a log scale and must be above 0, got {value!r}.")
    return number


def _check_value(kinds, name, value, what):
    if name not in kinds:
        raise InputError(f"{what} {name!r} is no condition; there are {', '.join(kinds)}.")
    number, kind = _code(kinds[name], name, value), kinds[name]
    if not isinstance(kind, Categorical) and not kind.low <= number <= kind.high:
        raise InputError(f"{what} {name} = {value} lies outside its bounds {kind.low:g} to {kind.high:g}.")


def _check_rule(kinds, rule):
    if rule.relation not in ("<=", "=="):
        raise InputError(f"constraint {rule} needs the relation '<=' or '==', got {rule.relation!r}.")
    for name in rule.coefficients:
        if name not in kinds:
            raise InputError(
                f"constraint '{rule}' names {name!r}, which is no condition; there are {', '.join(kinds)}."
            )
        if isinstance(kinds[name], Categorical):
            raise InputError(f"constraint '{rule}' names {name!r}, whose values are words; constrain numbers only.")
    if not all(np.isfinite([*rule.coefficients.values(), rule.bound])):
        raise InputError(f"constraint '{rule}' has a coefficient that is not finite.")


def _check_cost(kinds, cost):
    for name, price in cost.items():
        if name not in kinds:
            raise InputError(f"the cost names {name!r}, which is no condition; there are {', '.join(kinds)}.")
        if isinstance(kinds[name], Categorical) != isinstance(price, Mapping):
            raise InputError(f"the cost of {name!r} must be a number a unit, or for words a mapping; got {price!r}.")
        missing = [w for w in getattr(kinds[name], "options", ()) if w not in price]
        if missing:
            raise InputError(f"the cost of {name!r} lacks {', '.join(missing)}; give one for each word.")


def _priced(price, value):
    return float(price[value]) if isinstance(price, Mapping) else float(price) * float(value)
