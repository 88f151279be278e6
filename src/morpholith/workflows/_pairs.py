"""NAME=VALUE as typed, and names that were meant."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import InputError


def pairs(texts: Sequence[str], *, option: str) -> dict[str, str]:
    """Return NAME=VALUE texts as a mapping.

    Raises
    ------
    InputError
        A text has no ``=`` or no name, or a name comes twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not name:
            raise InputError(f"{option} takes NAME=VALUE, such as ph=10.5, with blanks between; got {text!r}.")
        if name in found:
            raise InputError(f"{option} gives {name!r} twice ({found[name]} and {value}); give it once.")
        found[name] = value
    return found


def one_of(name: str, known: Sequence[str], *, what: str) -> str:
    """Return `name` if it is known, else say which there are and which one may have been meant."""
    if name in known:
        return name
    raise InputError(f"there is no {what} {name!r}{meant(name, known)}; there are {', '.join(known)}.")


def meant(name: str, known: Sequence[str]) -> str:
    """Return " (did you mean ...?)" where a known name is near, else nothing."""
    from difflib import get_close_matches

    folded = {k.casefold(): k for k in known}
    near = get_close_matches(name.casefold(), list(folded), n=1, cutoff=0.6)
    return f" (did you mean {folded[near[0]]!r}?)" if near else ""
