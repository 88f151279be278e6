"""A folder with a file for each slice, as a volume."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ..errors import InputError
from . import files, raster, tiff
from .broken import MOST, cut_off, guarded
from .lazy import Found, Index
from .stack import believable, claim, directories, light, reduced
from .voxel import Claim

SHOWN = 3


@dataclass(frozen=True)
class Slices:
    """A folder with a file for each slice."""

    paths: tuple[Path, ...]
    kind: str
    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def path(self) -> Path:
        """The first file."""
        return self.paths[0]

    def read(self, index: Index) -> np.ndarray:
        """Decode the files asked for, and no others."""
        chosen = self.paths[index[0]]
        return np.stack([_slice(path, self.kind, self.shape[1:], self.dtype)[index[1:]] for path in chosen])


def natural(path: Path) -> list[tuple[int, str]]:
    """Return a key that sorts ``a2`` before ``a10``."""
    return [(int(p), "") if p.isdigit() else (-1, p) for p in re.split(r"(\d+)", path.name.casefold())]


def folder(path: Path) -> Found:
    """Open the images directly in a folder as slices, in the order of the numbers in their names.

    Raises
    ------
    InputError
        For a folder without images, with one image, with two series of names, or with a slice unlike the
        first in shape or type (it is named).
    """
    inside = [
        p for p in path.iterdir() if p.suffix.lower() in files.SUFFIXES and p.is_file() and not p.name.startswith(".")
    ]
    if not inside:
        raise InputError(
            f"{path} holds no slices; looked for {', '.join(files.SUFFIXES)} files (or a zarr.json) directly in it."
        )
    return slices(inside, name=path.name)


def slices(paths: Sequence[Path], *, name: str) -> Found:
    """Open image files as the slices of one volume; see `folder`."""
    if not paths:
        raise InputError(f"{name} names no file; check the pattern and the folder.")
    ordered = sorted(paths, key=natural)
    if len(ordered) == 1:
        raise InputError(
            f"{name} holds a single slice, {ordered[0].name}; a volume is needed: give all slices, or the file if "
            f"it is a stack."
        )
    warnings = _numbering(ordered, name)
    kind = files.kind(ordered[0])
    other = next((p for p in ordered if files.kind(p) != kind), None)
    if other is not None:
        raise InputError(
            f"{other.name} is {files.kind(other)}, {ordered[0].name} is {kind}; give slices of one format."
        )
    heads = [_head(path, kind) for path in ordered]
    _same(ordered, heads)
    shape, dtype, scale, form, top = heads[0] if kind == "TIFF" else _first_raster(ordered[0], kind)
    if scale.spacing == (None, None, None) and not scale.notes:
        scale = Claim(notes=(f"{kind} slices do not",))
    source = Slices(tuple(ordered), kind, (len(ordered), *shape), np.dtype(dtype))
    axes = "zyx" if len(shape) == 2 else "zyxs"
    provenance = (("slices", f"{ordered[0].name} to {ordered[-1].name}"),)
    return Found(source, axes, f"{len(ordered)} slices, {form}", scale, tuple(warnings), provenance, top)


def pattern(path: Path) -> Found:
    """Open the slices that a name with ``#`` (a number) or ``*`` (anything) stands for."""
    parts = {"#": r"\d+", "*": ".*"}
    name = re.compile("".join(parts.get(one, re.escape(one)) for one in path.name) + "$")
    inside = path.parent.iterdir() if path.parent.is_dir() else ()
    return slices([p for p in inside if name.match(p.name) and p.is_file()], name=path.name)


def _numbering(paths, name) -> list[str]:
    """Return warnings about gaps in the numbering; several series of names are an error."""
    parts = [_numbered(p) for p in paths]
    series = list(dict.fromkeys(stem for stem, _ in parts))
    if len(series) > 1:
        raise InputError(
            f"{name} holds {len(series)} series of images ({_shown(series)}), not one volume; choose one with a "
            f"pattern: {paths[0].parent.name}/{series[0]}."
        )
    numbers = [number for _, number in parts if number is not None]
    if len(set(numbers)) < len(numbers):
        raise InputError(f"{name} holds two slices of the same number; remove one.")
    missing = sorted(set(range(numbers[0], numbers[-1] + 1)) - set(numbers)) if numbers else []
    if not missing:
        return []
    steps = {b - a for a, b in itertools.pairwise(numbers)}
    if len(steps) == 1:
        step = f"its slices are numbered in steps of {steps.pop()}"
        return [f"{name}: {step}; check that the voxel size along z is the distance between them."]
    return [f"{name}: {len(missing)} slices are missing in the numbering ({_shown(missing)}); the others are stacked."]


def _shown(items):
    return ", ".join(map(str, items[:SHOWN])) + (", ..." if len(items) > SHOWN else "")


def _numbered(path) -> tuple[str, int | None]:
    """Return the name with its last number as ``#``, and that number."""
    match = re.search(r"(\d+)(?=\D*$)", path.stem)
    if match is None:
        return path.name, None
    return f"{path.stem[: match.start()]}#{path.stem[match.end() :]}{path.suffix}", int(match.group())


def _head(path, kind) -> tuple[tuple[int, ...], str, Claim, str, int | None]:
    """Return shape, type, claim, format and white level of one slice, without decoding it."""
    if kind != "TIFF":
        if kind == "PNG" and b"IEND" not in _tail(path):
            raise cut_off(path, "its end is missing")
        page = raster.pages(path, kind)[0]
        _fits(path, page)
        return page.shape, page.dtype, Claim(), kind, None
    with tiff.opened(path) as file:
        if len(list(directories(path))) > 1 and not reduced(file.pages[1]):
            raise InputError(f"{path.name} holds several images; a folder of slices needs one in each file.")
        first = file.pages[0]
        tiff.complete(path, first)
        believable(path, first, 1)
        top, _ = light(path, first)
        form = f"TIFF, {tiff.compression(first)}, {first.dtype}"
        return first.shape, str(first.dtype), claim(file, first), form, top


def _fits(path, page):
    """Check that so many pixels can come out of the file, before memory is taken for them."""
    if page.size > path.stat().st_size * MOST:
        raise cut_off(path, f"{page.shape[0]} x {page.shape[1]} pixels cannot come out of {path.stat().st_size} bytes")


def _tail(path):
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - 64, 0))
        return file.read()


def _first_raster(path, kind):
    """Return the same of the first PNG, JPEG or BMP; whether it has colours shows only in its pixels."""
    array = raster.decode(path, kind, max_bytes_check=partial(_fits, path)).array
    return array.shape, str(array.dtype), Claim(), f"{kind}, {array.dtype}", None


def _same(paths, heads):
    """Name the slice that is unlike most."""
    kinds = [head[:2] for head in heads]
    usual = Counter(kinds).most_common(1)[0][0]
    odd = [k for k, one in enumerate(kinds) if one != usual]
    if odd:
        more = f" (and {len(odd) - 1} more)" if len(odd) > 1 else ""
        raise InputError(
            f"{paths[odd[0]].name}{more} is {_size(kinds[odd[0]])}, the other slices are {_size(usual)}; "
            f"all slices of a volume must be alike: remove it or export it again."
        )


def _size(kind):
    return f"{' x '.join(map(str, kind[0]))} {kind[1]}"


def _slice(path, kind, shape, dtype) -> np.ndarray:
    with guarded(path, kind):
        if kind == "TIFF":
            with tiff.opened(path) as file:
                tiff.complete(path, file.pages[0])
                array = file.pages[0].asarray()
        else:
            array = raster.decode(path, kind, max_bytes_check=partial(_fits, path)).array
    if array.shape != shape or array.dtype != dtype:
        raise InputError(
            f"{path.name} is {_size((array.shape, array.dtype))}, the first slice is {_size((shape, dtype))}; "
            f"all slices of a volume must be alike: export it again."
        )
    return array
