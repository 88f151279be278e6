"""Which flat belongs to which frame of a scan."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from .density import Beam, Frame
from .frames import Part

SAME_EV = 1.0  # a monochromator returns to an energy within this


@dataclass(frozen=True)
class Flat:
    """One flat: its energy (eV) and exposure (s) where they are known, and the name of the series it belongs to."""

    frame: Frame
    energy: float | None = None
    exposure: float | None = None
    series: str = ""


def flats_of(part: Part, series: str = "") -> list[Flat]:
    """Return the pictures of a file as flats, in its order."""
    frames = [
        frame
        for row in part.frames(slow=next(iter(part.lengths), "") if len(part.lengths) > 1 else "")
        for frame in row
    ]
    energies: Sequence[float | None] = part.energies or ()
    exposures: Sequence[float | None] = part.exposure_s or ()
    energies = energies if len(energies) == len(frames) else [None] * len(frames)
    exposures = exposures if len(exposures) == len(frames) else [None] * len(frames)
    return [Flat(f, e, s, series) for f, e, s in zip(frames, energies, exposures, strict=True)]


def allot(
    flats: Sequence[Flat], energies_ev: np.ndarray, exposures: Sequence[float | None], *, name: str
) -> tuple[tuple[Beam, ...], str, tuple[str, ...]]:
    """Give each frame of a scan its flat.

    Flats with energies go to the frames of their energy (the nearest one where none is within 1 eV, with a
    warning); several of one energy are averaged. Without energies: one flat serves all frames, as many as frames
    are one each, a multiple of it are that many each in their order, and any other number are averaged, with a
    warning, because they then say nothing about how the beam changes with energy. A flat of another exposure is
    scaled to that of the frame where both are known.

    Parameters
    ----------
    flats : sequence of Flat
        Not empty.
    energies_ev : (e,) array
        In the order in which the flats without energies were taken.
    exposures : sequence of float or None
        Seconds, one a frame.
    name : str
        For messages.

    Returns
    -------
    beams : tuple of Beam
        One a frame.
    how : str
        For provenance.
    warnings : tuple of str
    """
    n, m = len(energies_ev), len(flats)
    known = [flat.energy for flat in flats]
    notes: tuple[str, ...] = ()
    if all(e is not None for e in known) and m > 1:
        own = np.array(known, float)
        nearest = [float(own[np.argmin(np.abs(own - e))]) for e in energies_ev]
        groups = [[f for f in flats if f.energy is not None and abs(f.energy - e) <= 1e-3] for e in nearest]
        off = np.abs(np.array(nearest) - energies_ev)
        if (off > SAME_EV).any():
            k = int(np.argmax(off))
            notes = (
                f"{name}: {int((off > SAME_EV).sum())} of {n} frames have no flat of their energy; the nearest is "
                f"used, at most {off[k]:.1f} eV away ({energies_ev[k]:.1f} eV).",
            )
        how = f"{m} flats by energy"
    elif m == 1:
        groups, how = [list(flats)] * n, "one flat for all frames"
        if n > 1:
            notes = (
                f"{name}: one flat serves all {n} frames; how the beam changes with energy stays in the optical "
                f"density.",
            )
    elif m % n == 0:
        each = m // n
        groups = [list(flats[k * each : (k + 1) * each]) for k in range(n)]
        how = "one flat a frame" if each == 1 else f"{each} flats a frame, in their order"
    else:
        groups, how = [list(flats)] * n, f"the mean of {m} flats"
        notes = (
            f"{name}: {m} flats for {n} frames; their mean serves all frames, and how the beam changes with energy "
            f"stays in the optical density.",
        )
    beams = tuple(_beam(group, exposure) for group, exposure in zip(groups, exposures, strict=True))
    if any(beam.factor != 1.0 for beam in beams):
        how += ", scaled by exposure"
    return beams, how, notes


def _beam(group, exposure) -> Beam:
    times = [flat.exposure for flat in group]
    factor = 1.0
    if exposure and all(times) and len(set(times)) == 1:
        factor = exposure / times[0]
    return Beam(tuple(flat.frame for flat in group), factor)


def same_size(frames: Sequence[Frame], size: tuple[int, int], *, what: str) -> None:
    """Raise unless flats or darks are of the size of the frames."""
    for frame in frames:
        if frame.shape != size:
            raise InputError(
                f"{frame.path.name}: the {what} is {frame.shape[0]} x {frame.shape[1]} pixels, the frames are "
                f"{size[0]} x {size[1]}; they must be taken with the same binning and crop."
            )


def alike(series: str, flats: Sequence[Flat]) -> list[Flat]:
    """Return the flats whose series has most words in common with that of the frames (xanes01 with xanes01)."""
    words = set(re.split(r"[_\W]+", series.lower()))
    scores = {one: len(words & set(re.split(r"[_\W]+", one.lower()))) for one in {flat.series for flat in flats}}
    best = max(scores.values(), default=0)
    return [flat for flat in flats if scores[flat.series] == best]
