"""Zeiss X-ray microscopes: .txm (reconstructed), .txrm and .xrm (projections), slices in an OLE container."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .broken import cut_off, damaged
from .lazy import Found, Index
from .voxel import Claim

TYPES = {3: "u1", 5: "u2", 10: "f4"}
FOLDER = 100  # images a folder of the container


@dataclass(frozen=True)
class Images:
    """The images of a container, read where they are asked for."""

    path: Path
    shape: tuple[int, int, int]
    dtype: np.dtype

    def read(self, index: Index) -> np.ndarray:
        """Return a part of the images asked for, and read no others."""
        with _opened(self.path) as ole:
            chosen = range(self.shape[0])[index[0]]
            return np.stack([self._image(ole, k)[index[1:]] for k in chosen])

    def _image(self, ole, k):
        raw = ole.openstream(_name(k)).read()
        needed = self.shape[1] * self.shape[2] * self.dtype.itemsize
        if len(raw) < needed:
            raise cut_off(self.path, f"image {k + 1} is incomplete")
        return np.frombuffer(raw, self.dtype, needed // self.dtype.itemsize).reshape(self.shape[1:])


def _name(k: int) -> str:
    return f"ImageData{k // FOLDER + 1}/Image{k + 1}"


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    import olefile

    try:
        with path.open("rb") as handle:
            ole = olefile.OleFileIO(handle, raise_defects=olefile.DEFECT_INCORRECT)
            yield ole
    except InputError:
        raise
    except (OSError, struct.error, ValueError, IndexError) as error:
        raise damaged(path, "Zeiss file", error) from error


def zeiss(path: Path) -> Found:
    """Open a Zeiss file; ``ImageInfo/PixelSize`` is in um, and voxels are cubes.

    Raises
    ------
    InputError
        For another kind of OLE file, a type of pixels not known, or images that are missing or cut off.
    """
    with _opened(path) as ole:
        return found_in(path, ole)


def found_in(path: Path, ole: Any) -> Found:
    """Return what an opened container holds; see `zeiss`."""
    width, height = (_number(path, ole, f"ImageInfo/Image{side}", "<i") for side in ("Width", "Height"))
    kind = TYPES.get(_number(path, ole, "ImageInfo/DataType", "<i"))
    n = _number(path, ole, "ImageInfo/NoOfImages", "<i") if ole.exists("ImageInfo/NoOfImages") else 1
    if ole.exists("ImageInfo/ImagesTaken"):
        n = min(n, _number(path, ole, "ImageInfo/ImagesTaken", "<i")) or n
    if kind is None or min(width, height, n) < 1:
        raise InputError(
            f"{path.name} holds images of {width} x {height}, type "
            f"{_number(path, ole, 'ImageInfo/DataType', '<i')}; expected 8 or 16 bits or float."
        )
    dtype = np.dtype("<" + kind)
    _all_there(path, ole, n, width * height * dtype.itemsize)
    warnings = _projections(path, ole, n)
    claim = _claim(ole)
    for k in {0, n - 1}:  # the first and the last can be read; the others when they are asked for
        ole.openstream(_name(k)).read()
    source = Images(path, (n, height, width), dtype)
    return Found(source, "zyx", f"Zeiss {path.suffix.lower().lstrip('.') or 'OLE'}, {dtype}", claim, warnings)


def lies_at(ole: Any, name: str) -> int | None:
    """Return where in the file a stream begins, if it lies there in one piece; None where it does not."""
    try:
        entry, size = ole.direntries[ole._find(name)], ole.get_size(name)
        n = -(-size // ole.sectorsize)
        chain = np.asarray(ole.fat[entry.isectStart : entry.isectStart + n - 1])
    except (AttributeError, TypeError, IndexError, OSError):
        return None
    whole = size >= ole.minisectorcutoff and len(chain) == n - 1
    if not whole or (chain != np.arange(entry.isectStart + 1, entry.isectStart + n)).any():
        return None
    return int(ole.sectorsize * (entry.isectStart + 1))


def _number(path, ole, name, form):
    if not ole.exists(name):
        raise InputError(f"{path.name} is no Zeiss tomogram: it has no {name}; export it as TIFF.")
    raw = ole.openstream(name).read(struct.calcsize(form))
    if len(raw) < struct.calcsize(form):
        raise cut_off(path, f"its {name} is incomplete")
    return struct.unpack(form, raw)[0]


def _all_there(path, ole, n, needed):
    for k in range(n):
        if not ole.exists(_name(k)):
            raise cut_off(path, f"image {k + 1} of {n} is missing")
        if ole.get_size(_name(k)) < needed:
            raise cut_off(path, f"image {k + 1} of {n} is incomplete")
    if path.stat().st_size < n * needed:
        raise cut_off(path, f"{n} images need {n * needed} bytes")


def _projections(path, ole, n) -> tuple[str, ...]:
    """Warn when the images were taken at several angles: they are projections, and no volume."""
    if not ole.exists("ImageInfo/Angles"):
        return ()
    raw = ole.openstream("ImageInfo/Angles").read()
    angles = np.frombuffer(raw[: len(raw) // 4 * 4], "<f4")[:n]
    if len(angles) < 2 or not np.ptp(angles) > 0.5:
        return ()
    return (
        f"{path.name} holds {len(angles)} projections at {angles.min():.4g} to {angles.max():.4g} degrees, not a "
        f"reconstructed volume: nothing measured in it means anything; give the .txm.",
    )


def _claim(ole) -> Claim:
    if not ole.exists("ImageInfo/PixelSize"):
        return Claim(notes=("it has no ImageInfo/PixelSize",))
    raw = ole.openstream("ImageInfo/PixelSize").read(8)
    if len(raw) < 4:
        return Claim(notes=("its ImageInfo/PixelSize is incomplete",))
    (edge,) = struct.unpack("<f", raw[:4])
    if edge == 0:
        return Claim(notes=("its ImageInfo/PixelSize is 0",))
    return Claim("Zeiss ImageInfo/PixelSize", (edge, edge, edge))
