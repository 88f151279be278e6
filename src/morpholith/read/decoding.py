"""What formats share: data files beside a header, compressed streams that must not grow past the header's word."""

from __future__ import annotations

import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .broken import cut_off, damaged

MOST = {"deflate": 1040, "bzip2": 50_000}  # largest ratios of the formats: a header that asks for more lies
PIECE = 1 << 20


def beside(path: Path, name: str) -> Path:
    """Return the data file that a header names, in its own folder, or say that it is missing."""
    data = path.parent / name.strip().strip('"').replace("\\", "/")
    if not data.is_file():
        raise InputError(f"{path.name} keeps its voxels in {name}, which is not beside it; copy both files.")
    return data


def may_inflate(path: Path, packed: int, needed: int, *, method: str = "deflate") -> None:
    """Check that so many compressed bytes can hold the array at all, before memory is taken for it."""
    if packed <= 0 or needed > packed * MOST[method]:
        raise cut_off(path, f"{needed} bytes cannot come out of {max(packed, 0)} compressed ones")


def inflate(path: Path, offset: int, shape, dtype: np.dtype, decoder: Any) -> np.ndarray:
    """Decompress an array of known size; a stream that is shorter or damaged is an error, a longer one is cut.

    Parameters
    ----------
    path : Path
    offset : int
        Where the stream starts.
    shape : tuple of int
    dtype : dtype
    decoder : object
        With `decompress(bytes)`, as of zlib and bz2.
    """
    needed = math.prod(shape) * dtype.itemsize
    out, at = np.empty(needed, np.uint8), 0
    try:
        with path.open("rb") as file:
            file.seek(offset)
            while at < needed and (piece := file.read(PIECE)):
                part = np.frombuffer(decoder.decompress(piece), np.uint8)[: needed - at]
                out[at : at + len(part)] = part
                at += len(part)
    except (OSError, ValueError, EOFError, zlib.error) as error:
        raise damaged(path, "compressed file", error) from error
    if at < needed:
        raise cut_off(path, f"{needed} bytes expected, {at} came out")
    return out.view(dtype).reshape(shape)


def numbers_as_text(path: Path, offset: int, shape, dtype: str) -> np.ndarray:
    """Read numbers written as text, as many as the shape needs."""
    needed, kind = math.prod(shape), np.dtype(dtype).newbyteorder("=")
    if path.stat().st_size - offset < 2 * needed - 1:  # a digit and a space each
        raise cut_off(path, f"it is too short for {needed} numbers")
    with path.open("rb") as file:
        file.seek(offset)
        words = file.read().split(b"\n@")[0].split()
    try:
        numbers = np.array(words[:needed], dtype=np.float64 if kind.kind == "f" else np.int64)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{path.name} holds other text than numbers for its voxels; export it again.") from error
    if len(numbers) < needed:
        raise cut_off(path, f"{needed} numbers expected, {len(numbers)} there")
    return numbers.astype(kind).reshape(shape)
