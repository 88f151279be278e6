"""From a workflow's signature to options, and from values back to the words one would type."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from cyclopts import Parameter

_POSITIONAL = inspect.Parameter.POSITIONAL_ONLY


def parameters(workflow: Callable) -> list[inspect.Parameter]:
    """Return the arguments of a workflow with their types resolved, and made strict where cyclopts is not."""
    hints = get_type_hints(workflow, include_extras=True)
    own = inspect.signature(workflow).parameters.values()
    return [p.replace(annotation=_strict(hints[p.name], many=p.kind is p.KEYWORD_ONLY)) for p in own]


def _strict(hint: Any, *, many: bool = False) -> Any:
    choices = set(_choices(hint))
    if many and any(get_origin(c) is list for c in choices):
        return Annotated[hint, Parameter(consume_multiple=True)]  # --sections a.ang b.ang
    if choices == {int}:
        return Annotated[hint, Parameter(converter=_whole)]
    if float in choices and any(get_origin(c) is tuple for c in choices):
        length = next(len(get_args(c)) for c in choices if get_origin(c) is tuple)
        shape = "FLOAT or " + ",".join(["FLOAT"] * length)
        return Annotated[hint, Parameter(converter=_one_or_each(length), metavar=shape)]
    return hint


def _choices(hint: Any) -> Iterator[Any]:
    """Yield the members of a union but None."""
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) in (Union, types.UnionType):
        yield from (c for c in get_args(hint) if c is not type(None))
    else:
        yield hint


def _whole(_, tokens: Sequence) -> int:
    """Read a whole number: 1000 and 1e3, but not 1.5."""
    text = tokens[0].value
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not number.is_integer():
        raise ValueError(f'must be a whole number, got "{text}".')
    return int(text) if text.lstrip("+-").isdigit() else int(number)


def _one_or_each(length: int) -> Callable[[Any, Sequence], float | tuple[float, ...]]:
    """Return a reader of ``0.5`` or of one number for each of `length` axes, ``1,0.5,0.5``."""

    def read(_, tokens):
        text = tokens[0].value
        try:
            numbers = tuple(float(part) for part in text.split(","))
        except ValueError:
            numbers = ()
        if len(numbers) not in (1, length):
            raise ValueError(f'must be one number or {length} with commas between them, got "{text}".')
        return numbers[0] if len(numbers) == 1 else numbers

    return read


def holds_paths(parameter: inspect.Parameter) -> bool:
    """Return whether an argument's type names Path anywhere."""

    def within(hint):
        return hint is Path or any(within(part) for part in get_args(hint))

    return within(parameter.annotation)


def words(own: Sequence[inspect.Parameter], values: Mapping[str, Any]) -> list[str]:
    """Return what one would type to give these values; None is what is not typed.

    Parameters
    ----------
    own : sequence of inspect.Parameter
        From `parameters`.
    values : mapping of str to value
        As Python has them or as a recipe holds them.
    """
    typed, after = [], []
    for parameter in own:
        value = values.get(parameter.name)
        if value is None:
            continue
        if parameter.kind is _POSITIONAL:
            after += _flat(value)
        else:
            typed += _option(parameter, value)
    dashed = any(word.startswith("-") for word in after)
    return [*typed, "--", *after] if dashed else [*after, *typed]


def _option(parameter: inspect.Parameter, value: Any) -> list[str]:
    name = parameter.name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    if isinstance(value, Mapping):
        return [f"--{name}.{key}={item}" for key, item in value.items()]
    if not isinstance(value, (list, tuple)):
        return _pair(name, value)
    kinds = {get_origin(choice) for choice in _choices(parameter.annotation)}
    if kinds == {None, tuple}:  # a number, or one for each axis
        return _pair(name, ",".join(_flat(value)))
    if tuple in kinds:
        return [f"--{name}", *_flat(value)]
    items = _flat(value)
    if not items or any(item.startswith("-") for item in items):
        return [word for item in items for word in _pair(name, item)]
    return [f"--{name}", *items]


def _pair(name: str, value: Any) -> list[str]:
    return [f"--{name}={value}"] if str(value).startswith("-") else [f"--{name}", str(value)]


def _flat(value: Any) -> list[str]:
    return [str(v) for v in value] if isinstance(value, (list, tuple)) else [str(value)]


def not_default(own: Sequence[inspect.Parameter], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that differ from the workflow's own."""
    defaults = {p.name: p.default for p in own}
    return {name: value for name, value in values.items() if value != defaults[name]}
