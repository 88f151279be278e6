"""TIFF stacks: the pages of one file as a volume."""

from __future__ import annotations

import itertools
import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from . import tiff
from .broken import MOST, cut_off
from .lazy import Found, Index, Mapped, Source, packed
from .tiff import MIN_IS_WHITE, PALETTE
from .voxel import Claim


@dataclass(frozen=True)
class Pages:
    """A TIFF whose pages must be decoded; `offsets` are where their directories lie, so that none is searched for."""

    path: Path
    offsets: tuple[int, ...]
    shape: tuple[int, ...]
    dtype: np.dtype

    def read(self, index: Index) -> np.ndarray:
        """Decode the pages asked for, and no others."""
        with tiff.opened(self.path) as file:
            if len(self.offsets) == 1 and self.shape[0] > 1:
                return self._decoded(file, self.offsets[0])[index]
            chosen = range(self.shape[0])[index[0]]
            return np.stack([self._decoded(file, self.offsets[k])[index[1:]] for k in chosen])

    def _decoded(self, file, offset):
        page = _page(file, offset)
        tiff.complete(self.path, page)
        try:
            return page.asarray()
        except Exception as error:
            raise InputError(tiff.damaged(self.path, error)) from error


def tiff_stack(path: Path) -> Found:
    """Open a TIFF with a page for each slice, or one that ImageJ or a volumetric writer packed into one page.

    Uncompressed pages that follow one another are mapped; others are decoded as they are asked for.

    Raises
    ------
    InputError
        For a cut-off or damaged file, fewer pages than its header announces, or a page unlike the first.
    """
    with tiff.opened(path) as file:
        offsets = tuple(directories(path))
        pages = [_page(file, offset) for offset in offsets]
        kept = [k for k, page in enumerate(pages) if k == 0 or not reduced(page)]
        first, n = pages[0], tiff.stack_length(file) or len(kept)
        believable(path, first, n)
        _all_alike(path, [pages[k] for k in kept], kept)
        for page in pages:
            tiff.complete(path, page, images=n if len(pages) == 1 else 1)
        axes, sizes, notes = _announced(path, file, first, n)
        source = _uncompressed(path, [pages[k] for k in kept], sizes) or Pages(
            path, tuple(offsets[k] for k in kept), (*sizes, *first.shape) if n > 1 else first.shape, first.dtype
        )
        if len(source.shape) == len(axes) + len(first.shape):
            axes += first.axes.lower()
        else:
            axes = first.axes.lower()
        scale = claim(file, first)
        top, more = light(path, first)
        form = f"TIFF, {tiff.compression(first)}, {first.dtype}"
    if len(kept) < len(pages):
        notes.append(
            f"{path.name}: {len(pages) - len(kept)} reduced images beside the {len(kept)} slices were left out."
        )
    return Found(source, axes, form, scale, (*notes, *more), top=top)


def _page(file: Any, offset: int) -> Any:
    import tifffile

    file.filehandle.seek(offset)
    return tifffile.TiffPage(file, index=0)


def directories(path: Path):
    """Yield where each directory of a TIFF lies; a chain that leaves the file is an error, not its end.

    A parser that stops at the first unreadable directory makes a cut-off stack look like a shorter one.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(16)
        order = "<" if head[:2] == b"II" else ">"
        big = head[2:4] in (b"+\0", b"\0+")
        entry, counts, links = (20, "Q", "Q") if big else (12, "H", "I")
        (at,) = struct.unpack_from(order + links, head, 8 if big else 4)
        seen: set[int] = set()
        while at:
            file.seek(at)
            raw = file.read(struct.calcsize(counts))
            n = struct.unpack(order + counts, raw)[0] if len(raw) == struct.calcsize(counts) else 0
            end = at + len(raw) + n * entry + struct.calcsize(links)
            if at in seen or n == 0 or end > size:
                raise cut_off(path, "some of its pages are missing")
            seen.add(at)
            yield at
            file.seek(end - struct.calcsize(links))
            (at,) = struct.unpack(order + links, file.read(struct.calcsize(links)))


def believable(path: Path, page: Any, n: int) -> None:
    """Check that the file can hold so many slices at all, before memory is taken for one."""
    size = path.stat().st_size
    if page.nbytes * n > size * MOST:
        raise cut_off(path, f"{n} slices of {_told(page)} cannot come out of {size} bytes")


def reduced(page) -> bool:
    """Return whether a page is a thumbnail or a mask of another."""
    tag = page.tags.get(254)
    return tag is not None and isinstance(tag.value, int) and bool(tag.value & 5)  # thumbnail, or mask


def _all_alike(path, pages, numbers):
    first = pages[0]
    for page, number in zip(pages[1:], numbers[1:], strict=True):
        if (page.shape, page.dtype, page.axes) != (first.shape, first.dtype, first.axes):
            raise InputError(
                f"{path.name} is no volume: page {number} is {_told(page)}, page 0 is {_told(first)}; "
                f"give a file whose slices are alike."
            )


def _told(page):
    return f"{' x '.join(map(str, page.shape))} {page.dtype}"


def _announced(path, file, first, n) -> tuple[str, tuple[int, ...], list[str]]:
    """Return the axes and lengths before those of a page, as the header announces them and the file holds them."""
    sizes = _sizes_told(first)
    told = math.prod(sizes.values()) if sizes else n
    if told > n:
        where = " (or it is one file of a set: give the folder)" if file.is_ome else ""
        raise cut_off(path, f"its header announces {told} images, it holds {n}{where}")
    if told < n:
        return "z", (n,), [f"{path.name}: its header announces {told} images, it holds {n}; all are read."]
    longer = {a: k for a, k in sizes.items() if k > 1}
    if len(longer) > 1:
        return "".join(longer), tuple(longer.values()), []
    return next(iter(longer), "z"), (n,), []


def _sizes_told(first) -> dict[str, int]:
    """Return what OME, ImageJ or tifffile wrote about the axes beside those of a page, slowest first."""
    description = str(first.description or "")
    if description.startswith("ImageJ="):
        entries = dict(line.split("=", 1) for line in description.splitlines() if "=" in line)
        told = {a: entries.get(k, "1") for a, k in (("t", "frames"), ("z", "slices"), ("c", "channels"))}
        sizes = {a: int(v) for a, v in told.items() if v.isdigit()}
        images = entries.get("images", "1")
        if images.isdigit() and int(images) > math.prod(sizes.values()):
            return {"z": int(images)}
        return sizes
    if "<OME" in description or ":OME" in description[:500]:
        found = tiff.ome_pixels(description)
        order = found.get("DimensionOrder", "XYZCT")[:1:-1].lower()  # the last letter is the slowest
        sizes = {a: int(found.get(f"Size{a.upper()}", "1")) for a in order if a in "zct"}
        return {**sizes, "c": 1} if "c" in sizes and first.axes.count("S") else sizes
    if description.startswith('{"shape"'):
        try:
            before = json.loads(description)["shape"][: -len(first.shape)]
        except (ValueError, KeyError, TypeError):
            return {}
        longer = [int(k) for k in before if k > 1]
        return dict(zip("uvwz"[4 - len(longer) :], longer, strict=True)) if 0 < len(longer) <= 4 else {}
    return {}


def _uncompressed(path, pages, sizes) -> Source | None:
    """Return a map of the file if its pages lie in it as numbers, at equal distances."""
    first = pages[0]
    plain = first.compression == 1 and first.bitspersample in (8, 16, 32, 64) and first.dtype.kind in "uif"
    if not plain or first.axes not in ("YX", "YXS") or any(not page.is_contiguous for page in pages):
        return None
    starts = [page.dataoffsets[0] for page in pages]
    dtype = np.dtype(first.dtype).newbyteorder(first.parent.byteorder)
    inner = packed(first.shape, dtype)
    step = first.nbytes if len(pages) == 1 else starts[1] - starts[0]
    if any(b - a != step for a, b in itertools.pairwise(starts)) or step <= 0:
        return None
    outer = [step * math.prod(sizes[k + 1 :]) for k in range(len(sizes))]
    return Mapped(path, starts[0], (*outer, *inner), (*sizes, *first.shape), dtype)


def light(path, first) -> tuple[int | None, list[str]]:
    """Return the largest level where 0 is white; say what is done with a colour table."""
    photometric = int(first.photometric)
    if photometric == PALETTE:
        return None, [f"{path.name} has a table of colours; the stored values are used (labels, or grey levels)."]
    if photometric == MIN_IS_WHITE and first.dtype.kind in "ub":
        return (1 if first.dtype.kind == "b" else 2**first.bitspersample - 1), []
    if photometric not in (0, 1, 2, 6) or (photometric == 6 and int(first.compression) not in (6, 7, 33007)):
        raise InputError(f"{path.name} stores colours as {first.photometric!s}; export it as grey TIFF.")
    return None, []


def claim(file, first) -> Claim:
    """Return what the tags say: y and x as for a micrograph, z from OME or ImageJ."""
    notes: list[str] = []
    resolution = tiff.resolution(first)
    y = x = None
    source, entry = "", ""
    for header in tiff.headers(file, first):
        if header.spacing is not None:
            (y, x), source, entry = header.spacing, header.source, header.spacing_from
            break
        notes += header.notes
    z, where, note = tiff.slice_distance(str(first.description or ""))
    if note:
        notes.append(note)
    if x is None and resolution:
        notes.append(f"its resolution tag ({resolution}) is for printing")
    if x is None and z is None:
        return Claim(notes=tuple(notes))
    source = ", ".join(part for part in (source, entry, where) if part)
    return Claim(source, (z, y, x), notes=tuple(notes))
