"""Phases by name, as users write them."""

from __future__ import annotations

from ..errors import InputError

PHASES = ("pore", "active", "binder")


def phases_of(text: str | None) -> dict[int, int] | None:
    """Return ``{0: 0, 85: 1, ...}``, grey value to phase, from ``0=pore,85=active,170=binder``."""
    if text is None:
        return None
    try:
        pairs = [part.split("=") for part in text.split(",")]
        return {int(value): PHASES.index(name.strip().lower()) for value, name in pairs}
    except ValueError:
        raise InputError(
            f"`--grey-values` is written as 0=pore,1=active,2=binder (whole numbers before the sign); got {text!r}."
        ) from None
