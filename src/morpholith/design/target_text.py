"""Targets as they are typed: ``d50_um=6``, ``texture_mean=0.6+-0.05``, ``circularity_mean=high``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ..errors import InputError
from .objective import Target

DIRECTIONS = ("high", "low")
HOW = "write NAME=6, NAME=6+-0.2, NAME=6+-5%, NAME=high, NAME=low or NAME=high:6"
STEP = 0.1  # of the range: what counts as one tolerance for a direction that has no number
SIGN = re.compile(r"\+-|\+/-|±")


def read_target(text: str, *, ranges: Mapping[str, tuple[float, float]], weight: float = 1.0) -> Target:
    """Read one target.

    Parameters
    ----------
    text : str
        ``NAME=NUMBER``, with 3 % tolerance; ``NAME=NUMBER+-TOLERANCE``, in the descriptor's unit or in per cent of
        the number; ``NAME=high`` or ``NAME=low``; ``NAME=high:NUMBER``, where more than the number is of no use.
        A tolerance may follow each.
    ranges : mapping of descriptor to (low, high)
        Every known descriptor, and its values in the training. A tenth of the range is the tolerance of a
        direction without a number, which only sets how it weighs against the others.
    weight : float

    Raises
    ------
    InputError
        It cannot be read, the descriptor is not known, or no powder can have the value. The message names the part.
    """
    name, equals, wish = (part.strip() for part in text.partition("="))
    if not equals or not name or not wish:
        raise InputError(f"target {text!r} has no {'value' if name and equals else 'NAME=VALUE'}; {HOW}.")
    if name not in ranges:
        raise InputError(f"target {text!r}: the model has no descriptor {name!r}; it has {', '.join(ranges)}.")
    value, *rest = SIGN.split(wish)
    if len(rest) > 1:
        raise InputError(f"target {text!r}: {wish!r} has more than one tolerance; {HOW}.")
    word, colon, number = (part.strip() for part in value.partition(":"))
    word = word.lower()
    if colon and word not in DIRECTIONS:
        raise InputError(f"target {text!r}: {word!r} is no direction, which is high or low; {HOW}.")
    if word in DIRECTIONS:
        known = _number(number, text, "number") if colon else None
    else:
        word, known = "at", _number(value.strip(), text, "value")
    if known is not None:
        _check_possible(name, known, text)
    tolerance = _tolerance(rest[0].strip(), known, text) if rest else _usual(name, known, ranges)
    return Target(name, known, tolerance, word, weight)


def read_targets(
    texts: Sequence[str],
    *,
    ranges: Mapping[str, tuple[float, float]],
    weights: Mapping[str, float] | None = None,
) -> list[Target]:
    """Read several targets (`read_target`), each of another descriptor.

    Raises
    ------
    InputError
        As `read_target`; a descriptor comes twice.
    """
    found: list[Target] = []
    for text in texts:
        name = text.partition("=")[0].strip()
        if name in [t.descriptor for t in found]:
            raise InputError(f"{name!r} has two targets; give it one.")
        found.append(read_target(text, ranges=ranges, weight=(weights or {}).get(name, 1.0)))
    return found


def _number(text, whole, what):
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) < float("inf"):
        other = "neither a number nor high or low" if what == "value" else "no number"
        raise InputError(f"target {whole!r}: the {what} {text!r} is {other}; {HOW}.")
    return value


def _tolerance(text, value, whole):
    share = text.endswith("%")
    tolerance = _number(text.removesuffix("%").strip(), whole, "tolerance")
    if share and value is None:
        raise InputError(f"target {whole!r}: there is no number to take {text} of; give the tolerance as a number.")
    if share and value is not None:
        tolerance *= abs(value) / 100
    if tolerance <= 0:
        raise InputError(f"target {whole!r}: the tolerance {text!r} must be above 0.")
    return tolerance


def _usual(name, value, ranges):
    """Return NaN where `Target` knows the tolerance, else a tenth of what the training spans."""
    low, high = ranges[name]
    if value or not high > low:
        return float("nan") if value else 1.0
    return STEP * (high - low)


def _check_possible(name, value, text):
    """Refuse what no powder has, whatever its recipe."""
    if name.startswith(("texture", "circularity", "anisotropy")) and not 0 <= value <= 1:
        raise InputError(f"target {text!r}: {name} lies between 0 and 1, so {value:g} is out of any bound.")
    if name.endswith(("_um", "_um2", "_sd")) and value <= 0:
        raise InputError(f"target {text!r}: {name} is above 0, so {value:g} is out of any bound.")
