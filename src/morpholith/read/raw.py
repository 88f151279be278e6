"""Arrays without a microscope around them: raw numbers with a shape told, and NumPy's npy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from tokenize import TokenError

import numpy as np

from ..errors import InputError
from .lazy import Found, Mapped, mapped
from .voxel import Claim

NO_SCALE = Claim(notes=("the format has no place for it",))


def raw(path: Path, *, shape: Sequence[int] | None, dtype: str | None) -> Found:
    """Open raw numbers of a told shape (z, y, x; x runs fastest) and type.

    Raises
    ------
    InputError
        When one of the two is missing or makes no sense, or the file is not exactly that long.
    """
    if shape is None or dtype is None:
        missing = "`shape` (z, y, x)" if shape is None else "`dtype` (uint8, uint16, float32, ...)"
        raise InputError(f"{path.name} is raw numbers: {missing} is needed too.")
    kind, size = _dtype(dtype), path.stat().st_size
    try:
        edges = tuple(int(n) for n in shape)
    except (TypeError, ValueError):
        edges = ()
    if len(edges) != 3 or min(edges) < 1:
        raise InputError(f"`shape` must be three positive whole numbers (z, y, x), got {shape!r}.")
    needed = math.prod(edges) * kind.itemsize
    if size != needed:
        more = f"; a header of {size - needed} bytes?" if 0 < size - needed <= 65536 else ""
        raise InputError(
            f"{path.name} has {size} bytes, `shape` {edges} of {kind} needs {needed}{more}: check shape and dtype."
        )
    return Found(mapped(path, edges, kind), "zyx", f"raw, {kind}", NO_SCALE)


def _dtype(dtype) -> np.dtype:
    try:
        kind = np.dtype(dtype)
    except TypeError:
        kind = np.dtype(object)
    if kind.kind not in "buif" or kind.names:
        raise InputError(f"`dtype` must be a type of numbers such as 'uint8', '>u2' or 'float32'; got {dtype!r}.")
    return kind


def npy(path: Path) -> Found:
    """Open a NumPy file: three axes are (z, y, x), a fourth of 3 or 4 is colours. Nothing is unpickled."""
    source = npy_array(path)
    return Found(source, named(source.shape, name=path.name), f"npy, {source.dtype}", NO_SCALE)


def npy_array(path: Path) -> Mapped:
    """Map the array of a NumPy file.

    Raises
    ------
    InputError
        For a damaged or cut-off file, or one that holds no numbers.
    """
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = reader(file)
            offset = file.tell()
    except (ValueError, OSError, SyntaxError, TokenError) as error:
        raise InputError(f"{path.name} is a damaged or incomplete npy file; save it again.") from error
    if dtype.kind not in "buifc":
        raise InputError(f"{path.name} holds {dtype}, not numbers; save it as a plain array.")
    return mapped(path, shape, dtype, offset=offset, order="F" if fortran else "C")


def named(shape: Sequence[int], *, name: str) -> str:
    """Name the axes of an array that says nothing about them: (z, y, x), axes of length 1 around, colours last."""
    longer = [k for k, n in enumerate(shape) if n > 1]
    colours = len(shape) > 3 and shape[-1] in (3, 4) and len(longer) == 4
    spatial = longer[:-1] if colours else longer
    if len(spatial) > 3:
        raise InputError(f"{name} holds an array of shape {tuple(shape)}; expected three axes (z, y, x).")
    if len(shape) == 3 and len(spatial) < 3:
        return "zyx"
    letters = ["o"] * len(shape)
    for axis, letter in zip(spatial, "zyx"[3 - len(spatial) :], strict=True):
        letters[axis] = letter
    if colours:
        letters[-1] = "s"
    return "".join(letters)
