"""The energies of a scan: a list in a file, or a number in the name of each frame."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import InputError
from .files import text

KEV_BELOW = 120.0  # eV, keV: no scan lies below 120 eV, none above 120 keV
TOP_EV = 150_000.0
SHOWN = 4
HEAD_BYTES = 4_000_000
IN_NAME = (  # 8353_0eV, 8353.0 eV, 8353p0eV, 8353eV; 8.353keV, 8_353_keV
    (re.compile(r"(?<![\d.])(\d{1,3})[._p](\d{2,5})[ _-]?keV", re.IGNORECASE), 1000.0),
    (re.compile(r"(?<![\d.])(\d{1,3})[ _-]?keV", re.IGNORECASE), 1000.0),
    (re.compile(r"(?<![\d.])(\d{3,6})[._p](\d{1,3})[ _-]?eV", re.IGNORECASE), 1.0),
    (re.compile(r"(?<![\d.])(\d{3,6})[ _-]?eV", re.IGNORECASE), 1.0),
)


def energies(path: str | Path) -> tuple[np.ndarray, str]:
    """Read a list of energies: one a line, or the energy column of a table.

    Parameters
    ----------
    path : path
        Text with a number a line, or a table (commas, semicolons, tabs or spaces): its column called energy, else
        its first. Lines that start with ``#``, ``%`` or ``;`` and one line of column names are passed over. Or
        a one-dimensional ``.npy``. Whether it is eV or keV is told by the values: all below 120 is keV.

    Returns
    -------
    energies_ev : (e,) float64 array
        eV, in the order of the file: rising, or falling where a scan was taken downwards. `scan` turns a falling
        list round together with its frames.
    how : str
        Where they came from and in which unit, for provenance.

    Raises
    ------
    InputError
        For a file that is missing, holds no numbers, a value that is not a positive number, two that are equal,
        or an order that is neither rising nor falling (the line is named).
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} is not there; a list of energies, one a line in eV or keV, was expected.")
    if path.suffix.lower() == ".npy":
        values = _npy(path)
        lines = list(range(1, len(values) + 1))
    else:
        values, lines = _listed(path)
    if not values:
        raise InputError(f"{path.name} holds no number; a list of energies, one a line in eV or keV, was expected.")
    found, unit = in_ev(values, name=path.name, lines=lines)
    check_order(found, name=path.name, lines=lines)
    return found, f"{path.name}, {len(found)} values in {unit}"


def in_ev(
    values: Sequence[float] | np.ndarray, *, name: str, lines: Sequence[int] | None = None, unit: str = ""
) -> tuple[np.ndarray, str]:
    """Return energies in eV and the unit they were in, told by their size where `unit` does not say it.

    Raises
    ------
    InputError
        For values that are not positive numbers, or no energies of X-rays in either unit.
    """
    found = np.asarray(values, float).ravel()
    bad = np.flatnonzero(~np.isfinite(found) | (found <= 0))
    if bad.size:
        raise InputError(f"{name}: {_place(bad[0], lines)} is {found[bad[0]]:g}, which is no energy; remove it.")
    told = {"ev": "eV", "kev": "keV"}.get(unit.strip().lower().removeprefix("electronvolt") or "?", "")
    if not told:
        small = found < KEV_BELOW
        if small.any() and not small.all():
            odd = np.flatnonzero(small if small.sum() <= small.size / 2 else ~small)[0]
            raise InputError(
                f"{name} mixes units: {_place(odd, lines)} is {found[odd]:g}, others are {np.median(found):g}; give "
                f"all in eV or all in keV."
            )
        told = "keV" if small.all() else "eV"
    ev = found * (1000.0 if told == "keV" else 1.0)
    if ev.max() > TOP_EV or ev.min() < 10:
        worst = int(np.argmax(ev) if ev.max() > TOP_EV else np.argmin(ev))
        raise InputError(f"{name}: {_place(worst, lines)} is {found[worst]:g} {told}, which is no X-ray energy.")
    return ev, told


def check_order(energies_ev: np.ndarray, *, name: str, lines: Sequence[int] | None = None) -> None:
    """Raise unless energies rise, or fall, all the way."""
    steps = np.diff(energies_ev)
    if steps.size == 0:
        return
    equal = np.flatnonzero(steps == 0)
    if equal.size:
        k = int(equal[0])
        raise InputError(
            f"{name}: {_place(k, lines)} and {_place(k + 1, lines)} are both {energies_ev[k]:g} eV; each frame needs "
            f"an energy of its own."
        )
    rising = np.sum(steps > 0) >= steps.size / 2
    wrong = np.flatnonzero(steps < 0 if rising else steps > 0)
    if wrong.size:
        k = int(wrong[0])
        raise InputError(
            f"{name} is not in order: {_place(k + 1, lines)} ({energies_ev[k + 1]:g} eV) comes after "
            f"{energies_ev[k]:g} eV while the list {'rises' if rising else 'falls'}; give it in the order of the "
            f"frames."
        )


def in_name(name: str) -> tuple[float | None, str]:
    """Return the energy in eV in a file name (``_8353_0eV``, ``8.353keV``), and the name with ``#`` in its place."""
    for pattern, factor in IN_NAME:
        match = pattern.search(name)
        if match is not None:
            value = float(".".join(match.groups())) * factor
            return round(value, 6), name[: match.start()] + "#" + name[match.end() :]
    return None, name


def shown(energies_ev: Sequence[float] | np.ndarray) -> str:
    """Return a few energies in words."""
    found = [f"{e:.1f}" for e in np.asarray(energies_ev, float)]
    return ", ".join(found[:SHOWN]) + (", ..." if len(found) > SHOWN else "") + " eV"


def _place(k, lines) -> str:
    return f"value {int(k) + 1}" if lines is None else f"line {lines[int(k)]}"


def _npy(path) -> list[float]:
    try:
        found = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"{path.name} is a damaged npy file; save it again.") from error
    if found.ndim != 1 or found.dtype.kind not in "uif":
        raise InputError(f"{path.name} holds {found.dtype} of shape {found.shape}; a list of energies was expected.")
    return [float(v) for v in found]


def _listed(path) -> tuple[list[float], list[int]]:
    """Return the values and the number of the line each is on."""
    with path.open("rb") as file:
        raw = file.read(HEAD_BYTES)
    if b"\0" in raw[:2000] and not raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{path.name} is no text; a list of energies, one a line in eV or keV, was expected.")
    values: list[float] = []
    lines: list[int] = []
    column, named = 0, False
    for number, line in enumerate(text(raw).splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped[0] in "#%;":
            continue
        cells = _cells(stripped)
        value = _number(cells[column]) if column < len(cells) else None
        if value is None and not values and not named:
            column, named = _energy_column(cells), True
            continue
        if value is None:
            raise InputError(
                f"{path.name}: line {number} ({stripped[:30]!r}) is no number; expected energies, one a line."
            )
        values.append(value)
        lines.append(number)
    return values, lines


def _cells(line) -> list[str]:
    for mark in ("\t", ";", ","):
        if mark in line:
            return [cell.strip() for cell in next(csv.reader([line], delimiter=mark))]
    return line.split()


def _energy_column(cells) -> int:
    return next((k for k, cell in enumerate(cells) if cell.lower().startswith(("energy", "energies", "eng"))), 0)


def _number(cell) -> float | None:
    word = re.sub(r"\s*k?ev$", "", cell, flags=re.IGNORECASE)
    try:
        value = float(word)
    except ValueError:
        return None
    return value if not math.isinf(value) else math.nan
