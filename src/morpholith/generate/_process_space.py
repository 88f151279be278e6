"""From the variables of a process to the space that a design searches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ._process_columns import is_missing

if TYPE_CHECKING:
    from ..design import Space
    from .process_table import ProcessTable, Variable


def space_of(
    table: ProcessTable, *, fixed: Mapping[str, Any], bounds: Mapping[str, Any], whole: Sequence[str],
    constraints: Sequence[Any], cost: Any,
) -> Space:  # fmt: skip
    """Return the space over the training ranges; see `ProcessTable.space`."""
    from ..design import Space

    _check_names(table, fixed, bounds, whole)
    kinds: dict[str, Any] = {}
    held: dict[str, Any] = {}
    for v in table.variables:
        if v.name in fixed and is_missing(fixed[v.name]):
            continue
        kind, value = (_words if v.kind == "category" else _numbers)(v, fixed, bounds, v.name in whole)
        kinds[v.name] = kind
        if value is not None:
            held[v.name] = value
    return Space(kinds, held, constraints, cost)


def _check_names(table, fixed, bounds, whole):
    for what, names in (("fixed", fixed), ("bounds", bounds), ("whole", whole)):
        for name in names:
            if name not in table.names:
                constant = (
                    f", which was {table.constants[name]} throughout training," if name in table.constants else ""
                )
                raise InputError(
                    f"`{what}` names {name!r}{constant}, but the model's variables are {', '.join(table.names)}."
                )
    both = [name for name in fixed if name in bounds]
    if both:
        raise InputError(f"{both[0]!r} is both fixed and bounded; give one of the two.")


def _words(v: Variable, fixed, bounds, whole):
    from ..design import Categorical

    if whole:
        raise InputError(f"{v.name!r} is one of the words {', '.join(v.words)} and cannot be a whole number.")
    given = bounds.get(v.name, v.words)
    allowed = (given,) if isinstance(given, str) else tuple(given)
    unknown = [w for w in (*allowed, fixed.get(v.name, v.words[0])) if w not in v.words]
    if unknown or not allowed:
        what = repr(unknown[0]) if unknown else "none"
        raise InputError(f"{v.name!r} must be one or more of the trained words {', '.join(v.words)}; got {what}.")
    if len(allowed) == 1 or v.name in fixed:
        # a category of one word is no range: all words stay and one is held
        return Categorical(v.words), fixed.get(v.name, allowed[0])
    return Categorical(allowed), None


def _numbers(v: Variable, fixed, bounds, whole):
    value = fixed.get(v.name)
    low, high = _pair(v, bounds[v.name]) if v.name in bounds else (v.low, v.high)
    if low == high:
        value, low, high = low, v.low, v.high
    if value is not None:
        value = _number(v, value)
        low, high = min(low, value), max(high, value)
    return _kind(v, low, high, whole), value


def _kind(v, low, high, whole):
    from ..design import Continuous, Integer

    if not whole:
        return Continuous(low, high, v.log)
    if low != int(low) or high != int(high):
        raise InputError(f"{v.name!r} reaches from {low:g} to {high:g}, no whole numbers; give bounds that are.")
    return Integer(int(low), int(high))


def _pair(v, given):
    if isinstance(given, str) or not hasattr(given, "__len__") or len(given) != 2:
        raise InputError(f"the bounds of {v.name!r} must be (low, high), got {given!r}.")
    return _number(v, given[0]), _number(v, given[1])


def _number(v, value):
    try:
        return float(value)
    except (TypeError, ValueError):
        raise InputError(f"{v.name!r} must be a number, got {value!r}.") from None
