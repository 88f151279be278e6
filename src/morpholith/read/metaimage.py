"""MetaImage: .mha with its numbers inside, .mhd with them beside it. x runs fastest."""

from __future__ import annotations

import math
import zlib
from pathlib import Path

import numpy as np

from ..errors import InputError
from .broken import cut_off
from .decoding import beside, inflate, may_inflate, numbers_as_text
from .lazy import Found, Source, Whole, mapped
from .voxel import Claim, length

TYPES = {
    "MET_UCHAR": "u1",
    "MET_CHAR": "i1",
    "MET_USHORT": "u2",
    "MET_SHORT": "i2",
    "MET_UINT": "u4",
    "MET_INT": "i4",
    "MET_ULONG": "u4",  # 32 bits in the files that are about, whatever the machine's long
    "MET_LONG": "i4",
    "MET_ULONG_LONG": "u8",
    "MET_LONG_LONG": "i8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
HEADER_BYTES = 65536


def metaimage(path: Path) -> Found:
    """Open a MetaImage, zlib or not; its spacing counts only with ``DistanceUnits``.

    Raises
    ------
    InputError
        For a header that lacks an entry or lies, a data file that is missing or cut off, or several of them.
    """
    header, offset = _header(path)
    sizes = _whole_numbers(path, header, "dimsize")[::-1]
    channels = int(header.get("elementnumberofchannels", "1") or 1)
    shape = (*sizes, channels) if channels > 1 else sizes
    told = header.get("elementtype", "none")
    kind = TYPES.get(told.upper().removesuffix("_ARRAY"))
    if kind is None:
        raise InputError(f"{path.name} has ElementType {told!r}; expected one of {', '.join(TYPES)}.")
    big = _true(header.get("binarydatabyteordermsb", header.get("elementbyteordermsb", "false")))
    dtype = np.dtype(kind).newbyteorder(">" if big else "<")
    axes = "uvwzyx"[6 - len(sizes) :] + ("s" if channels > 1 else "")
    source, packing = _source(path, header, offset, shape, dtype)
    warnings = []
    turn = header.get("transformmatrix", header.get("orientation", ""))
    if turn and any(abs(float(v) - k) > 1e-6 for v, k in zip(turn.split(), _identity(len(sizes)), strict=False)):
        warnings.append(f"{path.name} has a TransformMatrix; the voxels are used in the order they are stored in.")
    form = f"MetaImage, {packing}{dtype.newbyteorder('=')}"
    return Found(source, axes, form, _claim(header, len(sizes)), tuple(warnings))


def _identity(n):
    return [float(i == j) for i in range(n) for j in range(n)]


def _true(text: str) -> bool:
    return text.strip().lower() in ("true", "1", "yes")


def _header(path: Path) -> tuple[dict[str, str], int]:
    """Return the entries in lower case and where the numbers would start in this file."""
    with path.open("rb") as file:
        raw = file.read(HEADER_BYTES)
    entries: dict[str, str] = {}
    at = 0
    while at < len(raw) and "elementdatafile" not in entries:
        end = raw.find(b"\n", at)
        end = len(raw) if end < 0 else end
        key, _, value = raw[at:end].decode("latin-1").partition("=")
        entries[key.strip().lower()] = value.strip()
        at = end + 1
    if "elementdatafile" not in entries:
        raise cut_off(path, "its MetaImage header has no ElementDataFile")
    return entries, at


def _whole_numbers(path, header, key) -> tuple[int, ...]:
    try:
        numbers = tuple(int(v) for v in header.get(key, "").split())
    except ValueError:
        numbers = ()
    if not 2 <= len(numbers) <= 5 or min(numbers) < 1:
        raise InputError(f"{path.name} has DimSize {header.get(key, 'none')!r}; expected whole numbers (x, y, z).")
    return numbers


def _source(path, header, offset, shape, dtype) -> tuple[Source, str]:
    name = header["elementdatafile"]
    if name.upper() == "LIST" or "%" in name:
        raise InputError(f"{path.name} has its slices in several files; save it as one file (.mha).")
    local = name.upper() == "LOCAL"
    data = path if local else beside(path, name)
    start = offset if local else 0
    needed = math.prod(shape) * dtype.itemsize
    if not _true(header.get("binarydata", "true")):
        return Whole(data, shape, dtype, numbers_as_text, (start, shape, dtype.str)), "text, "
    if _true(header.get("compresseddata", "false")):
        packed = data.stat().st_size - start
        told = header.get("compresseddatasize", "")
        if told.isdigit() and int(told) > packed:
            raise cut_off(data, f"{told} compressed bytes announced, {packed} there")
        may_inflate(data, packed, needed)
        return Whole(data, shape, dtype, _inflated, (start, shape, dtype.str)), "zlib, "
    skip = int(header.get("headersize", "0") or 0)
    start = data.stat().st_size - needed if skip == -1 else start + max(skip, 0)
    if start < 0:
        start = 0  # shorter than the numbers: `mapped` says so
    return mapped(data, shape, dtype, offset=start), ""


def _inflated(path: Path, offset: int, shape, dtype: str) -> np.ndarray:
    return inflate(path, offset, shape, np.dtype(dtype), zlib.decompressobj(zlib.MAX_WBITS | 32))


def _claim(header, ndim) -> Claim:
    key = "elementspacing" if "elementspacing" in header else "elementsize"
    called = "ElementSpacing" if key == "elementspacing" else "ElementSize"
    try:
        x, y, z = [float(v) for v in header.get(key, "").split()][: min(ndim, 3)]
    except ValueError:
        return Claim(notes=("it has no ElementSpacing",))
    unit = header.get("distanceunits", "")
    factor = length(unit)
    if factor is None:
        shown = header[key]
        return Claim(notes=(f"its {called} ({shown}) has {f'the unit {unit!r}' if unit else 'no unit'}, mm or um",))
    return Claim(f"MetaImage {called}, DistanceUnits", (z * factor, y * factor, x * factor))
