"""The files of a scan: which are frames, flats and darks, and which frames make one scan."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import InputError
from .beams import Flat, alike, flats_of
from .density import Frame
from .frames import FORMATS, Part, open_part, series_name
from .scale import Header, show
from .slices import natural

SUFFIXES = (".xrm", ".txrm", ".tif", ".tiff", ".h5", ".hdf5", ".hdf", ".he5", ".nxs", ".npy", ".zarr")
EDGE = r"(?=[_\-. \d]|$)"
FLAT = re.compile(rf"(^|[_\-. ])(refs?|reference|flats?|flatfields?|white|bkg|background){EDGE}", re.IGNORECASE)
DARK = re.compile(rf"(^|[_\-. ])(darks?|darkfields?){EDGE}", re.IGNORECASE)
ZOOM = 5e-3  # a change of the pixel size over the energies that a person would see at the edge of the field


@dataclass
class Series:
    """The frames of one scan in the order of the files, and what these say about them."""

    name: str
    folder: Path
    frames: list[Frame]
    energies: tuple[float, ...] | None
    energies_from: str
    exposures: tuple[float, ...] = ()
    flats: list[Flat] = field(default_factory=list)
    darks: list[Flat] = field(default_factory=list)
    shape: tuple[int, ...] = ()
    sorted: bool = False  # by the energies of its files, not by the user


@dataclass(frozen=True)
class Gathered:
    """All that was found at the paths a user named: the parts of each series, and the flats and darks beside them."""

    name: str
    paths: tuple[str, ...]
    series: tuple[tuple[Part, ...], ...]
    flats: list[Flat]
    darks: list[Flat]
    warnings: tuple[str, ...]

    @property
    def format(self) -> str:
        """Format in words."""
        n = sum(len(one) for one in self.series)
        form = self.series[0][0].format
        return form if n == 1 else f"{n} files, {form}"

    @property
    def provenance(self) -> dict[str, str]:
        """What the first file adds."""
        return dict(self.series[0][0].provenance)

    @property
    def scales(self) -> list[Header]:
        """What the files say about the size of a pixel, the median where they say it more than once."""
        told = [part for one in self.series for part in one if part.pixel_um is not None]
        if not told:
            return []
        sizes = np.array([part.pixel_um for part in told], float)
        y, x = np.median(sizes, axis=0)
        low, high = sizes.min(axis=0), sizes.max(axis=0)
        notes: tuple[str, ...] = ()
        if (high / low - 1 > ZOOM).any():
            notes = (
                f"the pixel size changes over the frames, {show(low)} to {show(high)}; the median is used, and no "
                f"frame is rescaled.",
            )
        return [Header(told[0].pixel_from, (float(y), float(x)), told[0].path.name, notes=notes)]

    def flats_for(self, series: Series) -> list[Flat]:
        """Return the flats in the folder that belong to a scan."""
        return alike(series.name, self.flats)


def gather(paths, *, dataset: str | None, what: str = "frame") -> Gathered:
    """Open every file at the paths named and sort the parts into scans, flats and darks.

    Parameters
    ----------
    paths : path or sequence of paths
        Files, folders (their files; where there are none, the folders in them), zarr stores.
    dataset : str, optional
    what : str
        ``"frame"``; ``"flat"`` or ``"dark"`` when these were named by the user: then names decide nothing.

    Raises
    ------
    InputError
    """
    named = [Path(paths)] if isinstance(paths, str | Path) else [Path(p) for p in paths]
    if not named:
        raise InputError("no file was named; give the frames of a scan.")
    files = list(dict.fromkeys(one for path in named for one in _files(path)))
    lone = len(files) == 1
    roles = {path: "frame" if lone or what != "frame" else _role(path) for path in files}
    parts = {path: open_part(path, dataset=dataset) for path in files}
    name = named[0].name if len(named) == 1 else f"{named[0].name} and {len(named) - 1} more"
    frames = [parts[path] for path in files if roles[path] == "frame"]
    if not frames:
        raise InputError(
            f"{name} holds only flats and darks, by their names ({files[0].name}, ...); give the frames too."
        )
    groups = _grouped(frames, name)
    return Gathered(
        name,
        tuple(str(path) for path in named),
        tuple(groups),
        [one for path in files if roles[path] == "flat" for one in flats_of(parts[path], series_name(path))],
        [one for path in files if roles[path] == "dark" for one in flats_of(parts[path])],
        _notes(parts[path] for path in files),
    )


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise InputError(f"{path} does not exist; check the spelling and the folder.")
    if not path.is_dir() or _is_zarr(path):
        return [path]
    inside = _in_folder(path)
    if not inside:
        below = sorted((p for p in path.iterdir() if p.is_dir() and not p.name.startswith(".")), key=natural)
        inside = [one for folder in below for one in _in_folder(folder)]
    if not inside:
        raise InputError(f"{path} holds no frames; looked for {FORMATS} files in it and the folders in it.")
    kinds = {p.suffix.lower().replace("tiff", "tif").replace(".txrm", ".xrm") for p in inside}
    if len(kinds) > 1:
        raise InputError(f"{path} holds files of several kinds ({', '.join(sorted(kinds))}); name those of the scan.")
    return inside


def _in_folder(folder: Path) -> list[Path]:
    found = [p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")]
    return sorted((p for p in found if p.is_file() or _is_zarr(p)), key=natural)


def _is_zarr(path: Path) -> bool:
    from .volume import _folder_kind

    return path.is_dir() and _folder_kind(path) == "zarr"


def _role(path: Path) -> str:
    return "dark" if DARK.search(path.stem) else "flat" if FLAT.search(path.stem) else "frame"


def _grouped(parts: Sequence[Part], name: str) -> list[tuple[Part, ...]]:
    """Return the parts of each scan: a stack is one, or several; single pictures are put together by their names."""
    stacks: list[tuple[Part, ...]] = [(part,) for part in parts if part.n > 1]
    singles = [part for part in parts if part.n == 1]
    if stacks and singles:
        raise InputError(
            f"{name} mixes stacks ({stacks[0][0].path.name}) and single pictures ({singles[0].path.name}); name those "
            f"of the scan."
        )
    if stacks:
        return stacks
    groups: dict[tuple[Path, str], list[Part]] = {}
    for part in singles:
        groups.setdefault((part.path.parent, series_name(part.path)), []).append(part)
    found = list(groups.values())
    energies = [part.energies[0] if part.energies else None for part in singles]
    if len(found) > 1 and all(len(one) == 1 for one in found) and None not in energies:
        found = [list(singles)]  # a running number beside the energy in each name
    return [tuple(_in_order(one)) for one in found]


def _in_order(parts: list[Part]) -> list[Part]:
    """Return single pictures by energy, or by the number in their name where none has an energy."""
    unknown = [part for part in parts if part.energies is None]
    if len(unknown) == len(parts):
        return sorted(parts, key=lambda part: natural(part.path))
    if unknown:
        raise InputError(
            f"{unknown[0].path.name} has no energy in its header or name, {len(parts) - len(unknown)} others of the "
            f"series have; remove it, or give --energies LIST."
        )
    ordered = sorted(parts, key=_energy)
    for a, b in itertools.pairwise(ordered):
        if _energy(a) == _energy(b):
            raise InputError(
                f"{a.path.name} and {b.path.name} are both at {_energy(a):.1f} eV; remove one, or read them apart."
            )
    return ordered


def _energy(part: Part) -> float:
    return part.energies[0] if part.energies else float("nan")


def _notes(parts) -> tuple[str, ...]:
    """Return what the parts say, the first few of each kind: a series of hundreds says the same of every file."""
    notes = [note for part in parts for note in part.warnings]
    return tuple(notes) if len(notes) <= 3 else (*notes[:2], f"... and {len(notes) - 2} warnings of that kind.")


def pictures(parts: tuple[Part, ...], n_given: int | None) -> list[Series]:
    """Return the frames of a series; a stack of four axes is several scans.

    Parameters
    ----------
    parts : tuple of Part
        One stack, or one picture each.
    n_given : int or None
        Number of energies the user gave: it tells which axis is which.
    """
    first = parts[0]
    if first.n > 1:
        return _of_stack(first, n_given)
    single = Series(
        series_name(first.path) if len(parts) > 1 else first.path.name,
        first.path.parent,
        [frame for part in parts for row in part.frames() for frame in row],
        tuple(_energy(part) for part in parts) if first.energies else None,
        first.energies_from,
        tuple(part.exposure_s[0] for part in parts) if all(part.exposure_s for part in parts) else (),
        sorted=first.energies is not None,
    )
    single.flats = _inside(parts, "flats")
    single.darks = _inside(parts, "darks")
    return [single]


def _inside(parts, role) -> list[Flat]:
    """Return the flats inside the files of single pictures, one of each file, with the energy of its file."""
    found = []
    for part in parts:
        for one in getattr(part, role):
            for flat in flats_of(one):
                found.append(Flat(flat.frame, flat.energy or (part.energies or (None,))[0], flat.exposure))
    return found


def _of_stack(part: Part, n_given: int | None) -> list[Series]:
    slow = _slow(part, n_given)
    rows = part.frames(slow)
    found = []
    for k, row in enumerate(rows):
        name = part.path.name if len(rows) == 1 else f"{part.path.name}, scan {k}"
        one = Series(
            name, part.path.parent, row, part.energies, part.energies_from, part.exposure_s, shape=part.source.shape
        )
        one.flats = [flat for flats in part.flats for flat in _row_of(flats, k, len(rows), len(row))]
        one.darks = [flat for darks in part.darks for flat in flats_of(darks)]
        found.append(one)
    return found


def _row_of(flats: Part, k: int, n_scans: int, n_energies: int) -> list[Flat]:
    """Return the flats of one scan: its row where they have an axis of scans, else all."""
    lengths = flats.lengths
    if len(lengths) == 2 and next(iter(lengths.values())) == n_scans:
        n = list(lengths.values())[1]
        return flats_of(flats)[k * n : (k + 1) * n]
    every = flats_of(flats)
    if n_scans > 1 and len(every) == n_scans != n_energies:
        return every[k : k + 1]
    return every


def _slow(part: Part, n_given: int | None) -> str:
    """Return the letter of the axis of scans; empty where a stack is one scan."""
    lengths = part.lengths
    if len(lengths) < 2:
        return ""
    a, b = lengths
    if "e" in lengths:
        return a if b == "e" else b
    n = n_given if n_given is not None else len(part.energies or ())
    if lengths[a] == n != lengths[b]:
        return b
    return b if b == "t" and lengths[b] != n else a
