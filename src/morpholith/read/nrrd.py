"""NRRD: .nrrd with its numbers inside, .nhdr with them beside it. The first axis runs fastest."""

from __future__ import annotations

import bz2
import math
import re
import zlib
from pathlib import Path

import numpy as np

from ..errors import InputError
from .broken import cut_off
from .decoding import beside, inflate, may_inflate, numbers_as_text
from .lazy import Found, Source, Whole, mapped
from .voxel import Claim, length

TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
COLOURS = ("rgb-color", "rgba-color", "3-color", "4-color")
OTHERS = (
    "vector",
    "list",
    "point",
    "complex",
    "2-vector",
    "3-vector",
    "covariant-vector",
    "normal",
    "3-normal",
    "time",
)
HEADER_BYTES = 1 << 20


def nrrd(path: Path) -> Found:
    """Open a NRRD: raw, gzip, bzip2 or text; its spacing counts only with ``space units`` or ``units``.

    Raises
    ------
    InputError
        For a header that lacks an entry or lies, a data file that is missing or cut off, or several of them.
    """
    header, offset = _header(path)
    sizes = _sizes(path, header)
    kind = next((k for k, names in TYPES.items() if header.get("type", "").lower() in names), None)
    if kind is None:
        raise InputError(f"{path.name} has type {header.get('type', 'none')!r}; expected uchar, ushort, float, ...")
    order = ">" if header.get("endian", "little").lower() == "big" else "<"
    dtype, shape = np.dtype(order + kind), sizes[::-1]
    axes = _axes(header, len(sizes))
    source, packing = _source(path, header, offset, shape, dtype)
    claim, warnings = _claim(header, axes[::-1], name=path.name)
    return Found(source, axes, f"NRRD, {packing}, {dtype.newbyteorder('=')}", claim, warnings)


def _header(path: Path) -> tuple[dict[str, str], int]:
    with path.open("rb") as file:
        raw = file.read(HEADER_BYTES)
    end = re.search(rb"\r?\n\r?\n", raw)
    text = raw[: end.start() if end else len(raw)].decode("latin-1")
    entries = {}
    for line in text.splitlines()[1:]:
        key, colon, value = line.partition(":")
        if colon and not line.startswith("#") and not value.startswith("="):
            entries[key.strip().lower()] = value.strip()
    if end is None and not _data_file(entries):
        raise cut_off(path, "its NRRD header does not end")
    return entries, end.end() if end else len(raw)


def _data_file(header) -> str | None:
    return header.get("data file", header.get("datafile"))


def _sizes(path, header) -> tuple[int, ...]:
    try:
        sizes = tuple(int(v) for v in header.get("sizes", "").split())
    except ValueError:
        sizes = ()
    if not 2 <= len(sizes) <= 5 or min(sizes) < 1:
        raise InputError(f"{path.name} has sizes {header.get('sizes', 'none')!r}; expected whole numbers (x, y, z).")
    return sizes


def _axes(header, ndim) -> str:
    """Return the letters in the order of the array (slowest first), from ``kinds`` where given."""
    kinds = [k.lower() for k in header.get("kinds", "").split()]
    spatial, letters = iter("xyz"), []
    for k in range(ndim):
        kind = kinds[k] if len(kinds) == ndim else "space"
        if kind in COLOURS:
            letters.append("s")
        elif kind in OTHERS and ndim > 3:
            letters.append("t" if kind == "time" else "c")
        else:
            letters.append(next(spatial, "tuvw"[k % 4]))
    return "".join(letters[::-1])


def _source(path, header, offset, shape, dtype) -> tuple[Source, str]:
    name = _data_file(header)
    if name is not None and (name.upper().startswith("LIST") or "%" in name):
        raise InputError(f"{path.name} has its slices in several files; save it as one file (.nrrd).")
    data, start = (beside(path, name), 0) if name else (path, offset)
    start = _skip_lines(data, start, int(header.get("line skip", header.get("lineskip", "0"))))
    skip = int(header.get("byte skip", header.get("byteskip", "0")))
    needed, encoding = math.prod(shape) * dtype.itemsize, header.get("encoding", "raw").lower()
    size = data.stat().st_size
    if encoding == "raw":
        return mapped(data, shape, dtype, offset=max(size - needed, 0) if skip == -1 else start + skip), "raw"
    if encoding in ("ascii", "txt", "text"):
        return Whole(data, shape, dtype, numbers_as_text, (start + max(skip, 0), shape, dtype.str)), "text"
    if encoding in ("gzip", "gz", "bzip2", "bz2"):
        method = "deflate" if encoding.startswith("g") else "bzip2"
        may_inflate(data, size - start, needed, method=method)
        if method == "deflate" and skip <= 0:
            _gzip_whole(data, needed)
        return Whole(data, shape, dtype, _inflated, (start, max(skip, 0), shape, dtype.str, method)), encoding
    raise InputError(f"{path.name} has encoding {encoding!r}; expected raw, gzip, bzip2 or text.")


def _skip_lines(data, start, lines):
    with data.open("rb") as file:
        file.seek(start)
        for _ in range(lines):
            file.readline()
        return file.tell()


def _gzip_whole(path, needed):
    """Check the length that gzip writes at its end: a stream cut off has something else there."""
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - 4, 0))
        told = int.from_bytes(file.read(4), "little")
    if told != needed % 2**32:
        raise cut_off(path, "its gzip stream does not end with its length")


def _inflated(path: Path, offset: int, skip: int, shape, dtype: str, method: str) -> np.ndarray:
    decoder = zlib.decompressobj(zlib.MAX_WBITS | 32) if method == "deflate" else bz2.BZ2Decompressor()
    kind = np.dtype(dtype)
    whole = inflate(path, offset, (skip + math.prod(shape) * kind.itemsize,), np.dtype(np.uint8), decoder)
    return whole[skip:].view(kind).reshape(shape)


def _claim(header, axes, *, name) -> tuple[Claim, tuple[str, ...]]:
    """Return the scale; `axes` are letters in the order of the header, fastest first."""
    spatial = [k for k, a in enumerate(axes) if a in "xyz"]
    steps: list[float | None] = [None] * len(axes)
    warnings: tuple[str, ...] = ()
    if "space directions" in header:
        vectors = re.findall(r"none|\([^)]*\)", header["space directions"])
        if len(vectors) == len(axes):
            rows = [None if v == "none" else [float(n) for n in re.findall(r"[-+.\deEnai]+", v)] for v in vectors]
            steps = [None if r is None else math.sqrt(sum(v * v for v in r)) for r in rows]
            if any(r is not None and sum(abs(v) > 1e-9 * max(map(abs, r)) for v in r) > 1 for r in rows):
                warnings = (f"{name}: its axes are turned in space; the voxels are used as they are stored.",)
        called, units = "space directions", re.findall(r'"([^"]*)"', header.get("space units", ""))
        units = [u for u in units if u]
        each = dict(zip(spatial, units, strict=False))
    else:
        words = header.get("spacings", "").split()
        if len(words) == len(axes):
            steps = [float(w) for w in words]
        called, units = "spacings", re.findall(r'"([^"]*)"', header.get("units", header.get("space units", "")))
        each = dict(enumerate(units)) if len(units) == len(axes) else dict(zip(spatial, units, strict=False))
    if all(steps[k] is None or steps[k] != steps[k] for k in spatial):
        return Claim(notes=("it has no spacings and no space directions",)), warnings
    found: dict[str, float | None] = {}
    for k in spatial:
        factor, step = length(each.get(k)), steps[k]
        if factor is None:
            unit = f"the unit {each[k]!r}" if each.get(k) else "no unit"
            return Claim(notes=(f"its {called} ({header[called]}) have {unit}, mm or um",)), warnings
        found[axes[k]] = None if step is None else step * factor
    return Claim(f"NRRD {called}, units", (found.get("z"), found.get("y"), found.get("x"))), warnings
