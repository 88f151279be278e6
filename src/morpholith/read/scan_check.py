"""What is wrong with the frames of a scan: dropped, saturated, darker than the dark; and what no scan can be."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..image import Image
from .density import Frame, OpticalDensity, dead

if TYPE_CHECKING:
    import pandas as pd

LOOKED_AT_BYTES = 2**28  # up to so many bytes of counts every frame is looked at, else SAMPLE of them
SAMPLE = 16
MOSTLY = 0.5
PLATEAU = 25  # pixels at the highest level, ...
ABOVE_BELOW = 10.0  # ... and so many times those at a level just below: a detector that clips below its type's end
LEVELS = 5
LOWEST_PLATEAU = 255
COUNTS = 10.0  # optical density whose transmission is 1 in 22 000: a median above it is in counts
LOST = 1e-3  # a share of pixels below this needs no sentence
TRANSMISSION = (0.8, 1.2)  # the background of I / I0
SHOWN = 4


def look(array: OpticalDensity, energies_ev: np.ndarray, *, name: str) -> tuple[OpticalDensity, tuple[str, ...]]:
    """Return a scan with its level of saturation, and warnings about its frames.

    All frames are looked at up to 256 MiB of counts, 16 of them in larger scans.

    Parameters
    ----------
    array : OpticalDensity
    energies_ev : (e,) array
    name : str

    Raises
    ------
    InputError
        For integers without flats, values without flats that are counts, or frames that are all empty.
    """
    places = _places(array)
    dtype = array.frames[0][0].source.dtype
    if array.beams is None and dtype.kind in "bui":
        raise InputError(
            f"{name} holds counts ({dtype}) and no flats are there: give the flats with --flat, or the optical density "
            f"as float."
        )
    array = replace(array, saturated=_saturation(array, places))
    notes = list(_flats(array, places, energies_ev, name))
    if array.beams is None:
        notes += _are_densities([array.frames[t][e] for t, e in places], name)
    found = {place: array.faults(*place) for place in places}
    n_all = sum(len(row) for row in array.frames)
    of = f"{len(places)} frames" if len(places) == n_all else f"the {len(places)} frames looked at (of {n_all})"
    gone = [place for place, one in found.items() if one.dead]
    if len(gone) == len(places):
        raise InputError(f"{name}: all of {of} are empty (one value everywhere); export the scan again.")
    if gone:
        where = _at(gone, energies_ev, array)
        notes.append(f"{name}: {len(gone)} of {of} are empty (dropped) and are left out: {where}.")
    seen = {place: one for place, one in found.items() if not one.dead}
    lost = "are not above the dark, or their flat is not" if array.beams is not None else "are no numbers"
    for shares, least, why in (
        ({place: one.saturated for place, one in seen.items()}, 0.0, "are saturated"),
        ({place: one.not_positive for place, one in seen.items()}, LOST, lost),
    ):
        worst = max(shares, key=lambda place: shares[place])
        if shares[worst] > least:
            mean, most = _share(float(np.mean(list(shares.values())))), _share(shares[worst])
            where = _at([worst], energies_ev, array)
            notes.append(f"{name}: {mean} of the pixels of {of} {why}, at most {most} ({where}); they are NaN.")
    return array, tuple(notes)


def frame_faults(image: Image) -> pd.DataFrame:
    """Return what is wrong with each frame of a scan; every frame is read.

    Parameters
    ----------
    image : Image
        From `scan`.

    Returns
    -------
    DataFrame
        One row a frame: scan, frame (``scan * n_energies + energy index``), energy_ev, dead, saturated,
        not_positive (the last two are shares of the pixels of the whole field).

    Raises
    ------
    InputError
        For an image that `scan` did not open.
    """
    import pandas as pd

    array = image.array
    if not isinstance(array, OpticalDensity):
        raise InputError("`image` must come from read.scan, whose frames are still on disk.")
    energies = image.coordinates["e"]
    rows = []
    for scan, row in enumerate(array.frames):
        for k in range(len(row)):
            one = array.faults(scan, k)
            rows.append((scan, scan * len(row) + k, energies[k], one.dead, one.saturated, one.not_positive))
    return pd.DataFrame(rows, columns=["scan", "frame", "energy_ev", "dead", "saturated", "not_positive"])


def _places(array: OpticalDensity) -> list[tuple[int, int]]:
    every = list(itertools.product(range(len(array.frames)), range(len(array.frames[0]))))
    one = array.frames[0][0]
    if len(every) * one.shape[0] * one.shape[1] * one.source.dtype.itemsize <= LOOKED_AT_BYTES or len(every) <= SAMPLE:
        return every
    return [every[k] for k in np.unique(np.linspace(0, len(every) - 1, SAMPLE).astype(int))]


def _saturation(array: OpticalDensity, places) -> float | None:
    """Return the level at which the detector clips: the end of the type, or a plateau below it."""
    if array.beams is None:
        return None
    dtype = array.frames[0][0].source.dtype
    end = float(np.iinfo(dtype).max) if dtype.kind in "ui" and dtype.itemsize <= 2 else None
    # flats are brighter than frames and clip first, but may have been averaged or exposed otherwise
    flats = dict.fromkeys(array.beams[t][e].frames[0] for t, e in places)
    for tops in ([_top(flat, made_up=MOSTLY) for flat in flats], [_top(array.frames[t][e]) for t, e in places]):
        highest = max((top[0] for top in tops), default=0.0)
        at = sum(n for level, n, _ in tops if level == highest)
        below = sum(b for level, _, b in tops if level == highest) / LEVELS
        if highest >= LOWEST_PLATEAU and at >= PLATEAU and at > ABOVE_BELOW * max(below, 1.0) and highest != end:
            return highest
    return end


def _top(frame: Frame, *, made_up: float = 0.98) -> tuple[float, int, int]:
    """Return the highest level of a frame, how many pixels have it, and how many one of the levels just below.

    A picture with a larger share than `made_up` at its highest level is none: a flat that somebody made up.
    """
    raw = frame.read()
    if dead(raw) or (raw == raw.max()).mean() > made_up:
        return 0.0, 0, 0
    high = raw[raw > np.nanmax(raw) - (LEVELS + 1)] if raw.dtype.kind == "f" else raw[raw > int(raw.max()) - LEVELS - 1]
    highest = high.max()
    return float(highest), int((high == highest).sum()), int((high < highest).sum())


def _are_densities(frames, name) -> list[str]:
    """Raise if values are counts; warn if they look like transmission: around 1, and what is not is below."""
    medians, looks = [], []
    for frame in frames:
        raw = frame.read()
        if not dead(raw):
            low, middle, high = np.percentile(raw[np.isfinite(raw)], (1, 50, 99.9))
            medians.append(middle)
            looks.append(high < TRANSMISSION[1] and middle > TRANSMISSION[0] and middle - low > 2 * (high - middle))
    if medians and np.median(medians) > COUNTS:
        raise InputError(
            f"{name} holds values around {np.median(medians):.4g}, which are counts and no optical densities: give the "
            f"flats with --flat."
        )
    if looks and np.mean(looks) > MOSTLY:
        said = f"{name}: its values lie around {np.median(medians):.2f} and fall from there, as transmission does"
        return [f"{said}; they are taken as optical densities: export -ln of them if they are transmission."]
    return []


def _flats(array: OpticalDensity, places, energies_ev, name) -> tuple[str, ...]:
    if array.beams is None:
        return ()
    empty, seen = [], {}
    for place in places:
        beam = array.beams[place[0]][place[1]]
        if beam.frames not in seen:
            seen[beam.frames] = not (beam.read() > 0).any()
        if seen[beam.frames]:
            empty.append(place)
    if len(empty) == len(places):
        raise InputError(f"{name}: its flats are empty (nothing above 0); give others with --flat.")
    if not empty:
        return ()
    return (f"{name}: the flats of {len(empty)} frames are empty; these are lost: {_at(empty, energies_ev, array)}.",)


def _at(places, energies_ev, array) -> str:
    """Return where frames are, in words."""
    said = [f"{energies_ev[e]:.1f} eV" + (f" of scan {t}" if len(array.frames) > 1 else "") for t, e in places[:SHOWN]]
    return ", ".join(said) + (", ..." if len(places) > SHOWN else "")


def _share(share: float) -> str:
    return f"{100 * share:.2g} %"
