"""AmiraMesh lattices of one value a voxel: binary, text, run lengths, zlib. x runs fastest."""

from __future__ import annotations

import math
import re
import zlib
from pathlib import Path

import numpy as np

from ..errors import InputError
from .broken import cut_off
from .decoding import inflate, may_inflate, numbers_as_text
from .lazy import Found, Source, Whole, mapped
from .voxel import Claim, length

TYPES = {
    "byte": "u1",
    "short": "i2",
    "ushort": "u2",
    "int": "i4",
    "int32": "i4",
    "uint32": "u4",
    "float": "f4",
    "float32": "f4",
    "double": "f8",
}
HEADER_BYTES = 1 << 20
RUN = 127  # longest run a pair of bytes can stand for


def amira(path: Path) -> Found:
    """Open the lattice of an AmiraMesh file; its bounding box counts only with a unit of coordinates.

    The box spans the centres of the outer voxels, so a voxel is its width over the number of voxels less one.

    Raises
    ------
    InputError
        For a file that holds no lattice of one number a voxel, or is cut off.
    """
    with path.open("rb") as file:
        raw = file.read(HEADER_BYTES)
    first = raw.split(b"\n", 1)[0].decode("latin-1")
    data = re.search(rb"^@1[ \t]*\r?\n", raw, re.MULTILINE)
    if data is None:
        raise cut_off(path, "its AmiraMesh header does not lead to data")
    header = raw[: data.start()].decode("utf-8", "replace")
    sizes = re.search(r"define\s+Lattice\s+(\d+)\s+(\d+)\s+(\d+)", header)
    fields = re.findall(r"Lattice\s*\{\s*(\w+)(\[\d+\])?\s+(\w+)\s*\}\s*=?\s*@(\d+)(?:\((\w+),?\s*(\d*)\))?", header)
    field = next((f for f in fields if f[3] == "1"), None)
    if sizes is None or field is None:
        raise InputError(f"{path.name} holds no lattice (a surface, a graph?); export a volume.")
    kind, vector, _, _, packing, told = field
    if vector not in ("", "[1]") or kind not in TYPES:
        raise InputError(f"{path.name} holds {kind}{vector} a voxel; export one number a voxel.")
    shape = tuple(int(n) for n in sizes.groups())[::-1]
    if min(shape) < 1:
        raise InputError(f"{path.name} holds a lattice of zero size, {shape}; export it again.")
    dtype = np.dtype(TYPES[kind]).newbyteorder("<" if "LITTLE" in first.upper() else ">")
    source, form = _source(path, data.end(), shape, dtype, text="ASCII" in first.upper(), packing=packing, told=told)
    warnings = () if len(fields) == 1 else (f"{path.name} holds {len(fields)} arrays; the first, {field[2]}, is read.",)
    return Found(source, "zyx", f"AmiraMesh, {form}{dtype.newbyteorder('=')}", _claim(header, shape), warnings)


def _source(path, start, shape, dtype, *, text, packing, told) -> tuple[Source, str]:
    if text:
        return Whole(path, shape, dtype, numbers_as_text, (start, shape, dtype.str)), "text, "
    if not packing:
        return mapped(path, shape, dtype, offset=start), ""
    there, needed = path.stat().st_size - start, math.prod(shape) * dtype.itemsize
    packed = int(told) if told else there
    if packed > there:
        raise cut_off(path, f"{packed} compressed bytes announced, {there} there")
    if packing == "HxZip":
        may_inflate(path, packed, needed)
        return Whole(path, shape, dtype, _inflated, (start, shape, dtype.str)), "zlib, "
    if packing == "HxByteRLE" and dtype.itemsize == 1:
        if needed > packed * RUN:
            raise cut_off(path, f"{packed} bytes of runs cannot hold {needed} voxels")
        return Whole(path, shape, dtype, _run_lengths, (start, packed, shape)), "run lengths, "
    raise InputError(f"{path.name} is packed with {packing} ({dtype}); export it without compression.")


def _inflated(path: Path, offset: int, shape, dtype: str) -> np.ndarray:
    return inflate(path, offset, shape, np.dtype(dtype), zlib.decompressobj(zlib.MAX_WBITS | 32))


def _run_lengths(path: Path, offset: int, packed: int, shape) -> np.ndarray:
    """Expand HxByteRLE: a count and a value, or a count with its high bit set and so many values."""
    with path.open("rb") as file:
        file.seek(offset)
        raw = file.read(packed)
    needed, parts, n, at = math.prod(shape), [], 0, 0
    while n < needed and at + 1 < len(raw):
        count = raw[at] & 127
        if raw[at] & 128:
            parts.append(raw[at + 1 : at + 1 + count])
            at += 1 + count
        else:
            parts.append(raw[at + 1 : at + 2] * count)
            at += 2
        n += count
    whole = b"".join(parts)
    if len(whole) != needed:
        raise cut_off(path, f"{needed} voxels expected, {len(whole)} came out")
    return np.frombuffer(whole, np.uint8).reshape(shape)


def _claim(header, shape) -> Claim:
    box = re.search(r"BoundingBox\s+((?:[-+.\deE]+\s+){5}[-+.\deE]+)", header)
    if box is None:
        return Claim(notes=("it has no BoundingBox",))
    ends = [float(v) for v in box.group(1).split()]
    widths = [b - a for a, b in zip(ends[::2], ends[1::2], strict=True)]
    if min(shape) < 2:
        return Claim(notes=("its BoundingBox has no width",))
    z, y, x = (w / (n - 1) for w, n in zip(widths[::-1], shape, strict=True))
    unit = re.search(r'Units\s*\{[^}]*?Coordinates\s+"([^"]*)"', header)
    factor = length(unit.group(1)) if unit else None
    if factor is None:
        said = f"the unit {unit.group(1)!r}" if unit else "no unit"
        return Claim(notes=(f"its BoundingBox (voxels of {z:.5g} x {y:.5g} x {x:.5g}) has {said}, mm or um",))
    return Claim("AmiraMesh BoundingBox, Units", (z * factor, y * factor, x * factor))
