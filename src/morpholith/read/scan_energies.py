"""The energies of the frames of a scan: the user's list, else what the files say; checked and put in order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import InputError
from .energies import check_order, in_ev, shown
from .energies import energies as read_energies
from .scan_files import Series

AGREE_EV = 1.0
SAME_SCAN_EV = 0.5  # between scans: monochromators repeat within this
LARGEST_STEP = 0.25  # ... or within this share of the smallest step


@dataclass(frozen=True)
class Energies:
    """The energies of one scan in the order of its frames, and where they came from."""

    ev: np.ndarray
    origin: str
    notes: tuple[str, ...] = ()


def given_energies(energies) -> Energies | None:
    """Return the energies a user gave, as a list or a file of one."""
    if energies is None:
        return None
    if isinstance(energies, str | Path):
        return Energies(*read_energies(energies))
    ev, unit = in_ev(energies, name="`energies`")
    check_order(ev, name="`energies`")
    return Energies(ev, f"option, {len(ev)} values in {unit}")


def decide(one: Series, given: Energies | None) -> Energies:
    """Return the energies of a scan in the order of its frames: the user's, else its own."""
    n = len(one.frames)
    if n < 2:
        raise InputError(
            f"{one.name} holds a single frame; a scan needs one at each energy: give all frames, as a folder, a list "
            f"or a stack."
        )
    own = None if one.energies is None else np.array(one.energies, float)
    if given is None:
        if own is None:
            raise InputError(f"{one.name} does not say at which energies its {n} frames were taken: {_hint(one)}.")
        if len(own) != n:
            raise InputError(
                f"{one.name} holds {n} frames and {len(own)} energies{_axis_hint(one, len(own))}; one each is needed."
            )
        check_order(own, name=f"{one.name} ({one.energies_from})")
        return Energies(own, one.energies_from, _turned(own, one.name))
    if len(given.ev) != n:
        raise InputError(
            f"{len(given.ev)} energies are given ({given.origin}) for the {n} frames of "
            f"{one.name}{_axis_hint(one, len(given.ev))}; one each is needed."
        )
    if one.sorted and given.ev[0] > given.ev[-1]:  # the files are in the order of their own energies, so is the list
        given = replace(given, ev=given.ev[::-1])
    notes = _turned(given.ev, one.name)
    if own is not None and len(own) == n and np.abs(own - given.ev).max() > AGREE_EV:
        k = int(np.argmax(np.abs(own - given.ev)))
        notes += (
            f"{one.name}: the energies given are used; {one.energies_from} says {own[k]:.1f} eV where they say "
            f"{given.ev[k]:.1f} eV.",
        )
    return replace(given, notes=notes)


def _turned(ev, name) -> tuple[str, ...]:
    if ev[0] < ev[-1]:
        return ()
    return (f"{name}: its energies fall, {ev[0]:.1f} to {ev[-1]:.1f} eV; frames and energies are turned round.",)


def _hint(one: Series) -> str:
    lists = sorted(
        p.name
        for p in one.folder.iterdir()
        if p.suffix.lower() in (".txt", ".csv", ".dat") and any(word in p.name.lower() for word in ("energ", "eng"))
    )
    beside = f" ({lists[0]} lies beside it)" if lists else ""
    return f"give --energies LIST, one a line in eV or keV{beside}"


def _axis_hint(one: Series, n: int) -> str:
    """Say so when the number of energies is the length of another axis."""
    shape = one.shape
    if len(shape) < 3 or n not in shape:
        return ""
    where = {len(shape) - 1: "last", len(shape) - 2: "last but one"}.get(shape.index(n), "")
    if not where:
        return ""
    return (
        f" (its {where} axis is {n} long: the axes of {shape} look like {_order(shape, n)}, save it as (energy, y, x))"
    )


def _order(shape, n) -> str:
    letters = ["y", "x"] if len(shape) == 3 else ["scan", "y", "x"]
    return "(" + ", ".join("energy" if k == shape.index(n) else letters.pop(0) for k in range(len(shape))) + ")"


def common(decided, scans, name) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the energies all scans share, rising."""
    each = [np.sort(one.ev) for one in decided]
    lengths = sorted({len(ev) for ev in each})
    if len(lengths) > 1:
        k = next(i for i, ev in enumerate(each) if len(ev) != len(each[0]))
        raise InputError(
            f"{scans[0].name} has {len(each[0])} energies, {scans[k].name} has {len(each[k])}; scans read together "
            f"need the same energies: read them one by one, or complete the shorter."
        )
    ev = np.median(each, axis=0)
    tolerance = max(SAME_SCAN_EV, LARGEST_STEP * float(np.diff(ev).min()))
    off = np.array([np.abs(one - ev).max() for one in each])
    if off.max() > tolerance:
        k = int(np.argmax(off))
        raise InputError(
            f"{scans[k].name} was taken at other energies than the other scans ({shown(each[k])} against {shown(ev)}; "
            f"up to {off[k]:.1f} eV apart): read it by itself."
        )
    if off.max() > 0.1:
        return ev, (
            f"{name}: the energies of its {len(each)} scans differ by up to {off.max():.2f} eV; their median is used.",
        )
    return ev, ()
