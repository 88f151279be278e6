"""Numbers as people write them in tables: a Unicode minus is read, a decimal comma is refused with advice."""

from __future__ import annotations

import re

MINUSES = "\u2212\u2013\ufe63\uff0d"  # minus, en dash, small and full-width hyphen: what spreadsheets paste
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
COMMA = re.compile(r"[+-]?[0-9]+(,[0-9]+)+(\.[0-9]*)?([eE][+-]?[0-9]+)?")
ADVICE = "with a comma; write decimals with a point, as in 10.5, and thousands without a sign"


def plain(text: str) -> str:
    """Return a text without blanks at its ends, its sign, where it is a Unicode minus, as ``-``."""
    text = text.strip()
    return "-" + text[1:] if text and text[0] in MINUSES else text


def number_of(text: str) -> float | None:
    """Return the number that a text is, or None; infinity, ``1_000`` and ``0x1F`` are none."""
    found = plain(text)
    return float(found) if NUMBER.fullmatch(found) else None


def has_comma(text: str) -> bool:
    """Return whether a text is a number but for its commas."""
    return COMMA.fullmatch(plain(text)) is not None
