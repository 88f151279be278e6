"""Linear constraints over conditions, as they are written down."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import InputError


@dataclass(frozen=True)
class Linear:
    """A linear constraint: the sum of coefficient times condition is "<=" or "==" `bound`."""

    coefficients: Mapping[str, float]
    bound: float
    relation: str = "<="
    text: str = ""

    def __str__(self) -> str:
        terms = " + ".join(f"{value:g}*{name}" for name, value in self.coefficients.items())
        return self.text or f"{terms} {self.relation} {self.bound:g}"


def linear(text: str) -> Linear:
    """Read a constraint such as ``"NaOH + 2*NH4OH <= 1.5"``, with ``<=``, ``>=`` or ``==``.

    Terms are ``name``, ``number*name`` or ``number``, joined by + and -, on either side.

    Raises
    ------
    InputError
        It cannot be read.
    """
    parts = re.split(r"(<=|>=|==)", text)
    if len(parts) != 3:
        raise InputError(f"constraint {text!r} needs one of <=, >=, ==; write it like 'NaOH + 2*NH4OH <= 1.5'.")
    left, right = _terms(parts[0], text), _terms(parts[2], text)
    sign = -1.0 if parts[1] == ">=" else 1.0
    names = [name for name in dict.fromkeys([*left, *right]) if name]
    coefficients = {name: sign * (left.get(name, 0.0) - right.get(name, 0.0)) for name in names}
    bound = sign * (right.get("", 0.0) - left.get("", 0.0))
    return Linear(coefficients, bound, "==" if parts[1] == "==" else "<=", text.strip())


def _terms(side, text):
    """Return the coefficient of each name in one side of a constraint; that of the empty name is the constant."""
    number = r"\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?"
    term = re.compile(rf"\s*([+-]?)\s*(?:({number})\s*\*?\s*)?([A-Za-z_]\w*)?\s*")
    found: dict[str, float] = {}
    at = 0
    if not side.strip():
        raise InputError(f"constraint {text!r} has an empty side; write it like 'NaOH + 2*NH4OH <= 1.5'.")
    while at < len(side):
        match = term.match(side, at)
        if not match or match.end() == at or not (match[2] or match[3]) or (found and not match[1]):
            raise InputError(f"constraint {text!r} cannot be read at {side[at:].strip()!r}; write 'a + 2*b <= 1.5'.")
        value = float(match[2] or 1) * (-1 if match[1] == "-" else 1)
        found[match[3] or ""] = found.get(match[3] or "", 0.0) + value
        at = match.end()
    return found
