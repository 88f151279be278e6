"""How large a voxel is: what the user says, what the file says, and what to do when neither does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from .scale import MissingPixelSize, unit_um

LIMITS_UM = (1e-4, 1e4)  # 1 angstrom to 1 cm: no tomogram of an electrode lies outside
AGREE = 1e-3
HOW = "give --voxel-size UM or Z,Y,X (micrometres)"
WORDS = {
    "meter": 1e6,
    "metre": 1e6,
    "centimeter": 1e4,
    "centimetre": 1e4,
    "millimeter": 1e3,
    "millimetre": 1e3,
    "nanometre": 1e-3,
    "picometer": 1e-6,
    "picometre": 1e-6,
    "angstrom": 1e-4,
    "inch": 25400.0,
}


class MissingVoxelSize(MissingPixelSize):
    """The volume is fine but nothing says how large its voxels are."""


@dataclass(frozen=True)
class Claim:
    """What a file says about its voxels.

    Parameters
    ----------
    source : str
        Where: ``"OME PhysicalSizeZ, PhysicalSizeY, PhysicalSizeX"``.
    spacing : tuple of float or None
        (z, y, x) in um as written, believable or not; None where it says nothing.
    notes : tuple of str
        Why there is no spacing: "its ElementSpacing has no unit".
    warnings : tuple of str
        What a reader should know where the claim is used.
    """

    source: str = ""
    spacing: tuple[float | None, float | None, float | None] = (None, None, None)
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def length(unit: str | None) -> float | None:
    """Return a unit of length in um, abbreviated or written out; None if it is none."""
    word = (unit or "").strip().strip("\"'").lower()
    return WORDS.get(word, WORDS.get(word.removesuffix("s")) if len(word) > 2 else None) or unit_um(unit)


def option(voxel_size) -> tuple[float, float, float] | None:
    """Return a user's voxel size as (z, y, x) in um, or say what is wrong with it."""
    if voxel_size is None:
        return None
    try:
        three = tuple(float(v) for v in np.atleast_1d(voxel_size))
    except (TypeError, ValueError):
        three = ()
    three = three * 3 if len(three) == 1 else three
    if len(three) != 3 or not _believable(three):
        raise InputError(
            f"`voxel_size` (--voxel-size UM or Z,Y,X) must be one or three lengths of {LIMITS_UM[0]:g} to "
            f"{LIMITS_UM[1]:g} um; got {voxel_size!r}."
        )
    return three


def _believable(spacing: Sequence[float]) -> bool:
    return all(np.isfinite(v) and LIMITS_UM[0] <= v <= LIMITS_UM[1] for v in spacing)


def choose(
    given: tuple[float, float, float] | None, claim: Claim, *, name: str
) -> tuple[tuple[float, float, float], str, list[str]]:
    """Decide the voxel size: the user's first, then the file's.

    Parameters
    ----------
    given : tuple of float or None
        The user's (z, y, x) in um.
    claim : Claim
        The file's.
    name : str
        For messages.

    Returns
    -------
    spacing : tuple of float
        (z, y, x) in um.
    origin : str
        Which tag or option it came from.
    warnings : list of str
        Differences over 0.1 %, with both numbers.

    Raises
    ------
    MissingVoxelSize
        When an axis has no length. It is never guessed, also not z from x.
    InputError
        When the file says a length outside 0.0001 to 10 000 um.
    """
    known = {a: v for a, v in zip("zyx", claim.spacing, strict=True) if v is not None}
    if given is not None:
        asked = dict(zip("zyx", given, strict=True))
        if not any(not np.isfinite(v) or abs(asked[a] - v) > AGREE * abs(v) for a, v in known.items()):
            return given, "option", []
        said = f"{claim.source} says {show(claim.spacing)}"
        return given, "option", [f"{name}: the voxel size given, {show(given)}, is used; {said}."]
    why = "".join(f"; {note.rstrip('.')}" for note in claim.notes)
    if not known:
        raise MissingVoxelSize(f"{name} does not say how large its voxels are{why}: {HOW}.")
    if not _believable(list(known.values())):
        raise InputError(
            f"{name} says that a voxel is {show(claim.spacing)} ({claim.source}), outside {LIMITS_UM[0]:g} to "
            f"{LIMITS_UM[1]:g} um, which cannot be: {HOW}."
        )
    absent = [a for a in "zyx" if a not in known]
    if absent:
        raise MissingVoxelSize(
            f"{name} says how large its voxels are along {' and '.join(known)} ({show(claim.spacing)}, "
            f"{claim.source}) but not along {' and '.join(absent)}{why}: give --voxel-size Z,Y,X (micrometres)."
        )
    z, y, x = claim.spacing
    return (float(z or 0), float(y or 0), float(x or 0)), claim.source, [f"{name}: {note}" for note in claim.warnings]


def show(spacing: Sequence[float | None]) -> str:
    """Return a voxel size as a person reads it: one number when all three are the same."""
    if None not in spacing and len({f"{v:.5g}" for v in spacing}) == 1:
        return f"{spacing[0]:.5g} um"
    return " x ".join("?" if v is None else f"{v:.5g}" for v in spacing) + " um (z, y, x)"
