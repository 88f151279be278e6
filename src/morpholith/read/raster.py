"""PNG, JPEG and BMP through Pillow. Their resolution entries are for printers and are never believed."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np

from ..errors import InputError
from .tiff import Decoded, Page

READERS = {
    "PNG": ("PIL.PngImagePlugin", "PngImageFile"),
    "JPEG": ("PIL.JpegImagePlugin", "JpegImageFile"),
    "BMP": ("PIL.BmpImagePlugin", "BmpImageFile"),
}
GREY_MODES = {"L", "I;16", "I;16L", "I;16B", "I", "F"}


def pages(path: Path, kind: str) -> list[Page]:
    """List the one page of a PNG, JPEG or BMP."""
    with path.open("rb") as file:
        picture = _open(path, file, kind)
        return [_page(picture)]


def decode(path: Path, kind: str, *, max_bytes_check: Callable[[Page], None]) -> Decoded:
    """Read a PNG, JPEG or BMP: (y, x) for grey, (y, x, samples) for colour and palettes.

    Raises
    ------
    InputError
        If the file is damaged or cut off; half an image is never returned.
    """
    with path.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's remarks on palettes and broken side data
        picture = _open(path, file, kind)
        max_bytes_check(_page(picture))
        try:
            array = _pixels(picture)
        except Exception as error:
            raise InputError(_damaged(path, kind, error)) from error
        remarks = _depth_lost(path, kind, array)
        dpi = picture.info.get("dpi")
    resolution = f"{float(dpi[0]):g} px per inch" if isinstance(dpi, tuple) and dpi and dpi[0] else ""
    return Decoded(array, format=f"{kind}, {array.dtype}", resolution=resolution, warnings=tuple(remarks))


def _open(path, file, kind):
    """Parse the header only, by the format's own class: `PIL.Image.open` would warn or refuse by size."""
    module, name = READERS[kind]
    try:
        picture = getattr(import_module(module), name)(file)
    except Exception as error:
        raise InputError(_damaged(path, kind, error)) from error
    if 0 in picture.size:
        raise InputError(f"{path.name} holds an image of zero size, {picture.size[::-1]}; export it again.")
    return picture


def _page(picture):
    depth = {"I": "int32", "F": "float32"}.get(picture.mode, "uint16" if "16" in picture.mode else "uint8")
    return Page(0, (picture.height, picture.width), depth)


def _pixels(picture):
    picture.load()
    if picture.mode == "1":
        picture = picture.convert("L")
    elif picture.mode in ("P", "PA", "LA", "La"):
        opaque = picture.mode == "P" and "transparency" not in picture.info
        picture = picture.convert("RGB" if opaque else "RGBA")
    elif picture.mode not in GREY_MODES and picture.mode not in ("RGB", "RGBA"):
        picture = picture.convert("RGB")
    array = np.asarray(picture)
    if array.dtype == np.int32 and array.size and array.min() >= 0 and array.max() < 2**16:
        array = array.astype(np.uint16)  # a 16-bit PNG that Pillow widened
    return np.array(array, dtype=array.dtype.newbyteorder("="))


def _depth_lost(path, kind, array):
    """Say so when Pillow read a PNG of 16 bits a channel at 8: it has no such colour mode."""
    if kind == "PNG" and array.dtype == np.uint8:
        with path.open("rb") as file:
            if file.read(25)[24:25] == b"\x10":
                yield f"{path.name} has 16 bits a channel in colour, read at 8: export it as 16-bit grey."


def _damaged(path, kind, error):
    what = str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
    return f"{path.name} is a damaged or incomplete {kind} ({what}); copy or export it again."
