"""TIFF: pages, pixels and the scale written in tags."""

from __future__ import annotations

import logging
import math
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from . import vendors
from .files import text
from .scale import Header, length_um, number, plausible, unit_um

VENDOR_TAGS: dict[int, tuple[str, Callable[..., Header]]] = {
    34118: ("Zeiss tag 34118", vendors.zeiss),
    34680: ("Thermo/FEI tag 34680", vendors.thermo),
    34682: ("Thermo/FEI tag 34682", vendors.thermo),
    50431: ("TESCAN tag 50431", vendors.tescan),
}
PRIVATE_TAGS = 32768
TAG_BYTES = 4_000_000
MIN_IS_WHITE, MIN_IS_BLACK, RGB, PALETTE, YCBCR = 0, 1, 2, 3, 6


@dataclass(frozen=True)
class Page:
    """One image of a file: its number from 0, (rows, columns), and the type of its pixels."""

    index: int
    shape: tuple[int, int]
    dtype: str

    @property
    def size(self) -> int:
        """Number of pixels."""
        return self.shape[0] * self.shape[1]

    def __str__(self) -> str:
        return f"{self.index}: {self.shape[0]} x {self.shape[1]} px, {self.dtype}"


@dataclass(frozen=True)
class Decoded:
    """Pixels as stored, and what the file says about them.

    `array` is (y, x) or (y, x, samples); `headers` come in order of trust; `resolution` is a print resolution
    in words.
    """

    array: np.ndarray
    format: str
    headers: tuple[Header, ...] = ()
    resolution: str = ""
    warnings: tuple[str, ...] = ()


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a TIFF, turning any failure to parse it into a sentence; its log stays out of the terminal."""
    import tifffile

    log = logging.getLogger("tifffile")
    before, log.disabled = log.disabled, True
    try:
        with path.open("rb") as handle:  # ours to close, also when the parser gives up half-way
            try:
                file = tifffile.TiffFile(handle)
                shape = file.pages[0].shape
            except Exception as error:
                raise InputError(damaged(path, error)) from error
            if math.prod(shape) == 0:
                raise InputError(f"{path.name} holds an image of zero size, {shape}; export it again.")
            try:
                yield file
            except (tifffile.TiffFileError, struct.error) as error:  # a later page turned out to be damaged
                raise InputError(damaged(path, error)) from error
    finally:
        log.disabled = before


def pages(path: Path) -> list[Page]:
    """List the pages of a TIFF."""
    with opened(path) as file:
        return _pages(file)


def _pages(file):
    n = len(file.pages)
    stored = stack_length(file) or n
    listed = [file.pages[i if n > 1 else 0] for i in range(stored)]
    return [Page(i, _shape(p), str(p.dtype)) for i, p in enumerate(listed)]


def stack_length(file) -> int:
    """Return the number of images in an ImageJ stack that has a directory for its first image only."""
    if len(file.pages) > 1 or not file.is_imagej or file.pages[0].compression != 1:
        return 0
    count = (file.imagej_metadata or {}).get("images", 1)
    return count if isinstance(count, int) and count > 1 else 0


def _shape(page):
    return int(page.imagelength), int(page.imagewidth)


def decode(path: Path, *, page: int, max_bytes_check: Callable[[Page], None]) -> Decoded:
    """Read one page of a TIFF: its pixels as light (0 is dark), headers and print resolution.

    Parameters
    ----------
    path : Path
    page : int
        From 0.
    max_bytes_check : callable
        Called with the page before anything is decoded; raises if it is too large.

    Raises
    ------
    InputError
        If the file is damaged or cut off, the page a volume, or the colours neither grey, RGB nor palette.
    """
    with opened(path) as file:
        listed = _pages(file)
        max_bytes_check(listed[page])
        stack = stack_length(file)
        ifd = file.pages[0 if stack else page]
        complete(path, ifd, images=stack or 1)
        try:
            array = _stack_image(path, file.byteorder, ifd, page, stack) if stack else ifd.asarray()
        except Exception as error:
            raise InputError(damaged(path, error)) from error
        array = _as_light(path, array, ifd)
        return Decoded(
            array,
            format=f"TIFF, {compression(ifd)}, {ifd.dtype}",
            headers=tuple(headers(file, ifd)),
            resolution=resolution(ifd),
        )


def complete(path, ifd, *, images=1):
    """Check that every strip lies inside the file: decoders fill what is missing with black, silently."""
    size = path.stat().st_size
    ends = [o + n for o, n in zip(ifd.dataoffsets, ifd.databytecounts, strict=False)]
    short = not ends or max(ends) > size or min(ifd.databytecounts) == 0
    if ifd.compression == 1 and ifd.bitspersample in (8, 16, 32, 64):
        stored = sum(ifd.databytecounts)
        short = short or stored < ifd.nbytes or ifd.dataoffsets[0] + images * ifd.nbytes > size
    if short:
        raise InputError(f"{path.name} is cut off: some of its pixels are missing; copy or export it again.")


def _stack_image(path, byteorder, ifd, index, count):
    dtype = np.dtype(byteorder + ifd.dtype.char)
    stack = np.memmap(path, dtype, "r", ifd.dataoffsets[0], (count, *ifd.shape))
    return np.array(stack[index], dtype=ifd.dtype)


def _as_light(path, array, ifd):
    """Return (y, x) or (y, x, samples) with 0 as dark: palettes looked up, inverted greys turned round."""
    axes = ifd.axes if array.ndim == len(ifd.axes) else ""
    if axes == "SYX":
        array, axes = np.moveaxis(array, 0, -1), "YXS"
    if axes not in ("YX", "YXS"):
        raise InputError(f"{path.name} holds an array of shape {array.shape}, not an image (y, x).")
    photometric = int(ifd.photometric)
    if array.dtype == bool:
        array = array.astype(np.uint8) * np.uint8(255)
    if photometric == MIN_IS_WHITE and array.dtype.kind == "u":
        top = 255 if ifd.bitspersample == 1 else 2**ifd.bitspersample - 1
        array = (top - array).astype(array.dtype)
    elif photometric == PALETTE:
        table = np.moveaxis(np.asarray(ifd.colormap) >> 8, 0, -1).astype(np.uint8)  # 8 bits, stored in 16
        array = table[array]
    elif photometric == YCBCR and int(ifd.compression) not in (6, 7, 33007):  # JPEG comes out as RGB
        raise InputError(f"{path.name} stores colours as YCbCr without JPEG; export it as grey TIFF.")
    elif photometric not in (MIN_IS_WHITE, MIN_IS_BLACK, RGB, YCBCR):
        raise InputError(f"{path.name} stores colours as {ifd.photometric!s}; export it as grey TIFF.")
    return np.ascontiguousarray(array)


def headers(file, ifd) -> Iterator[Header]:
    """Yield what the tags say about the scale: the microscope's own, then OME, then ImageJ."""
    shape = _shape(ifd)
    for code, (source, parse) in VENDOR_TAGS.items():
        for raw in _raw(file, ifd, code):
            yield parse(text(raw) if code != 50431 else raw.decode("latin-1"), shape, source=source)
    for code, raw in _jeol_tags(file, ifd):
        yield vendors.jeol(raw, shape, source=f"JEOL tag {code}")
    description = str(ifd.description or "")
    if "<OME" in description or ":OME" in description[:500]:
        yield _ome(description)
    elif description.startswith("ImageJ="):
        yield _imagej(description, ifd)


def _raw(file, ifd, code):
    """Yield the bytes of a tag; read directly, so that no parser's opinion of the text matters."""
    tag = ifd.tags.get(code)
    if tag is not None and 0 < tag.valuebytecount <= TAG_BYTES:
        file.filehandle.seek(tag.valueoffset)
        yield file.filehandle.read(tag.valuebytecount)


def _jeol_tags(file, ifd):
    for code in ifd.tags.keys():
        if code >= PRIVATE_TAGS and code not in VENDOR_TAGS:
            for raw in _raw(file, ifd, code):
                if b"$CM_" in raw or "$CM_".encode("utf-16-le") in raw:
                    found = text(raw)
                    yield code, found[found.find("$CM_") :]


def _ome(description):
    """Read PhysicalSizeX/Y of the first Pixels element; a missing unit means um, as the schema says."""
    attributes = ome_pixels(description)
    x = _ome_length(attributes, "X")
    spacing = plausible((_ome_length(attributes, "Y") or x, x))
    return Header("OME", spacing, "PhysicalSizeX", notes=_unless(spacing, "OME", "PhysicalSizeX"))


def ome_pixels(description: str) -> dict[str, str]:
    """Return the attributes of the first Pixels element of an OME header."""
    element = re.search(r"<(?:\w+:)?Pixels\b[^>]*>", description)
    return dict(re.findall(r'(\w+)\s*=\s*"([^"]*)"', element.group() if element else ""))


def _ome_length(attributes, axis):
    unit = attributes.get(f"PhysicalSize{axis}Unit", "um").replace("&#181;", "u")
    return length_um(f"{attributes.get(f'PhysicalSize{axis}')} {unit}")


def slice_distance(description: str) -> tuple[float | None, str, str]:
    """Return the distance of the slices in um, the entry that gave it, and a note where an entry is unusable.

    OME PhysicalSizeZ, or ImageJ spacing with its unit. ImageJ leaves the entry out when the distance is one
    unit, and when nobody set it: nothing is concluded from that.
    """
    if "<OME" in description or ":OME" in description[:500]:
        attributes = ome_pixels(description)
        z = _ome_length(attributes, "Z")
        unusable = "" if z or "PhysicalSizeZ" not in attributes else "OME has no usable PhysicalSizeZ"
        return z, "PhysicalSizeZ" if z else "", unusable
    if not description.startswith("ImageJ="):
        return None, "", ""
    entries = dict(line.split("=", 1) for line in description.splitlines() if "=" in line)
    unit = entries.get("zunit", entries.get("unit", "")).strip()
    factor, steps = unit_um(unit), number(entries.get("spacing"))
    if factor is None or not steps or steps < 0 or unit.lower() == "cm":
        return None, "", ""
    return steps * factor, "spacing", ""


def _imagej(description, ifd):
    """Read ImageJ's unit and pixels per unit; inch and cm are what it makes of a print resolution."""
    entries = dict(line.split("=", 1) for line in description.splitlines() if "=" in line)
    unit = entries.get("unit", "").strip()
    x, y, density = unit_um(unit), unit_um(entries.get("yunit", unit)), _density(ifd)
    if unit.lower() == "cm" or x is None or y is None or density is None:
        note = f"its ImageJ unit is {unit!r}" if unit else "its ImageJ scale is not set"
        return Header("ImageJ", notes=(note,))
    spacing = plausible((y / density[0], x / density[1]))
    return Header("ImageJ", spacing, f"unit={unit}, XResolution", notes=_unless(spacing, "ImageJ", "XResolution"))


def _unless(spacing, source, key):
    return () if spacing else (f"{source} has no usable {key}",)


def _density(ifd):
    """Return pixels per resolution unit along (y, x), or None."""
    found = []
    for code in (283, 282):
        tag = ifd.tags.get(code)
        try:
            top, bottom = tag.value
            found.append(top / bottom)
        except (AttributeError, TypeError, ValueError, ZeroDivisionError):
            return None
    return tuple(found) if min(found) > 0 else None


def resolution(ifd) -> str:
    """Return the print resolution in words, or nothing."""
    density = _density(ifd)
    tag = ifd.tags.get(296)
    unit = {2: "inch", 3: "cm"}.get(int(tag.value) if tag is not None else 2)
    return f"{density[1]:g} px per {unit}" if density and unit and density[1] > 1 else ""


def compression(ifd) -> str:
    """Return the name of the compression."""
    return "uncompressed" if ifd.compression == 1 else getattr(ifd.compression, "name", str(ifd.compression))


def damaged(path, error) -> str:
    """Return the sentence about a TIFF that cannot be decoded."""
    what = str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
    return f"{path.name} is a damaged or incomplete TIFF ({what}); copy or export it again."
