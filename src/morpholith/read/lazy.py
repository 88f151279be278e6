"""Volumes that stay on disk: a part of the file is read when that part is asked for, in whichever process asks."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..errors import InputError
from .broken import cut_off, guarded
from .voxel import Claim

Index = tuple[slice, ...]


class Source(Protocol):
    """An array of any dimension inside a file. It holds where, never a handle, so it can be sent to workers."""

    @property
    def path(self) -> Path: ...  # noqa: D102

    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102

    @property
    def dtype(self) -> np.dtype: ...  # noqa: D102

    def read(self, index: Index) -> np.ndarray:
        """Return the part within slices of positive step, one for each axis."""
        ...


@dataclass(frozen=True)
class Found:
    """What a file holds: `axes` names each axis of `source` (``"tczyxs"``, s for colours), `claim` its scale.

    `top` is the largest grey level where 0 is stored as white, `provenance` what to add to the image's.
    """

    source: Source
    axes: str
    format: str
    claim: Claim = field(default_factory=Claim)
    warnings: tuple[str, ...] = ()
    provenance: tuple[tuple[str, str], ...] = ()
    top: int | None = None


@dataclass(frozen=True)
class Mapped:
    """An uncompressed array in a file: element 0 lies at `offset`, one step along axis k is `strides[k]` bytes."""

    path: Path
    offset: int
    strides: tuple[int, ...]
    shape: tuple[int, ...]
    dtype: np.dtype

    def read(self, index: Index) -> np.ndarray:
        """Return a part, through the page cache of the operating system."""
        raw = np.memmap(self.path, np.uint8, "r")
        whole: np.ndarray = np.ndarray(self.shape, self.dtype, buffer=raw, offset=self.offset, strides=self.strides)
        return np.array(whole[index])


@dataclass(frozen=True)
class Whole:
    """An array that can only be decoded as a whole (gzip, run lengths, text): done once a process, and kept."""

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype
    decode: Callable[..., np.ndarray]
    arguments: tuple[Any, ...] = ()

    def read(self, index: Index) -> np.ndarray:
        """Return a part of the decoded array."""
        return np.array(_decoded(self, stamp(self.path))[index])


@lru_cache(maxsize=1)
def _decoded(whole: Whole, stamped: tuple[int, int]) -> np.ndarray:  # noqa: ARG001 (a file written anew is decoded anew)
    array = whole.decode(whole.path, *whole.arguments)
    if array.shape != whole.shape:
        raise InputError(f"{whole.path.name} holds {array.shape}, its header says {whole.shape}; export it again.")
    return array


def stamp(path: Path) -> tuple[int, int]:
    """Return what changes when a file is written anew: its size and time."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def packed(shape: tuple[int, ...], dtype: np.dtype, *, order: str = "C") -> tuple[int, ...]:
    """Return the strides of a dense array: the last axis runs fastest in order C, the first in order F."""
    sizes = shape[::-1] if order == "C" else shape
    strides = [int(dtype.itemsize) * math.prod(sizes[:k]) for k in range(len(sizes))]
    return tuple(strides[::-1] if order == "C" else strides)


def mapped(path: Path, shape, dtype, *, offset: int = 0, order: str = "C") -> Mapped:
    """Map a dense array, after checking that the file is long enough for it.

    Raises
    ------
    InputError
        When the file ends before the array does.
    """
    dtype, shape = np.dtype(dtype), tuple(int(n) for n in shape)
    needed, size = math.prod(shape) * dtype.itemsize, path.stat().st_size
    if size - offset < needed:
        raise cut_off(path, f"{shape} {dtype} needs {needed} bytes after its header, {max(size - offset, 0)} are there")
    return Mapped(path, int(offset), packed(shape, dtype, order=order), shape, dtype)


class OnDisk(ABC):
    """What arrays on disk have in common with NumPy's: they have a shape and a type, and are read where indexed."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""

    @property
    @abstractmethod
    def dtype(self) -> np.dtype:
        """Of what is read."""

    @abstractmethod
    def __getitem__(self, key) -> np.ndarray:
        """Read a part."""

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes it takes in memory."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        if copy is False:
            raise ValueError("an array on disk cannot become one in memory without a copy")
        return self[...].astype(dtype or self.dtype, copy=False)


@dataclass(frozen=True)
class Volume(OnDisk):
    """A (z, y, x) array on disk, read where it is indexed; ``numpy.asarray`` reads all of it.

    It is indexed as NumPy arrays are, with integers and slices of any step; what comes back is a NumPy array
    of its own. It can be pickled: it holds the place of the data, not the data, so that every process opens
    the file itself.

    Parameters
    ----------
    source : Source
        The array in the file.
    axes : str
        One letter for each axis of `source`: z, y, x, each once; s for colours that must be equal; any other
        has length 1.
    path : Path
        What the user named, for messages.
    top : int or None
        Largest grey level where the file stores 0 as white; the levels are turned round.
    """

    source: Source
    axes: str
    path: Path
    top: int | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along z, y, x."""
        z, y, x = (self.source.shape[self.axes.index(a)] for a in "zyx")
        return z, y, x

    @property
    def dtype(self) -> np.dtype:
        """Integers as stored, truth values as uint8, all others float32."""
        stored = self.source.dtype
        if stored.kind == "b":
            return np.dtype(np.uint8)
        return stored.newbyteorder("=") if stored.kind in "ui" else np.dtype(np.float32)

    def __getitem__(self, key) -> np.ndarray:
        slices, after = _basic(key, self.shape)
        if any(len(range(s.start, s.stop, s.step)) == 0 for s in slices):
            counts = [len(range(s.start, s.stop, s.step)) for s in slices]
            return np.zeros(counts, self.dtype)[after]
        asked = dict(zip("zyx", slices, strict=True))
        index = tuple(asked.get(a, slice(0, n, 1)) for a, n in zip(self.axes, self.source.shape, strict=True))
        with guarded(self.path, "volume"):
            block = self.source.read(index)
        if "s" in self.axes:
            block = self._grey(block)
        axes = self.axes.replace("s", "")
        order = [axes.index(a) for a in "zyx"] + [k for k, a in enumerate(axes) if a not in "zyx"]
        block = block.transpose(order).reshape([block.shape[k] for k in order[:3]])
        if self.top is not None:
            block = np.asarray(self.top - block, dtype=block.dtype) if block.dtype.kind != "b" else ~block
        return np.ascontiguousarray(block, dtype=self.dtype)[after]

    def _grey(self, block):
        colours = np.moveaxis(block, self.axes.index("s"), 0)
        if any((colours[0] != other).any() for other in colours[1:3]):
            raise InputError(f"{self.path.name} is a colour volume; tomograms are grey: export one channel, or grey.")
        return colours[0]

    def __dask_tokenize__(self):
        return (type(self).__name__, repr(self), stamp(self.source.path))


def _basic(key, shape) -> tuple[tuple[slice, ...], tuple]:
    """Return slices of positive step and what to apply to the part they give (integers, turns)."""
    keys = list(key) if isinstance(key, tuple) else [key]
    if sum(k is Ellipsis for k in keys) > 1 or len(keys) - (Ellipsis in [k for k in keys if k is Ellipsis]) > len(
        shape
    ):
        raise IndexError(f"too many indices for a volume of shape {shape}")
    at = next((i for i, k in enumerate(keys) if k is Ellipsis), len(keys))
    rest = keys[at + 1 :]
    keys = keys[:at] + [slice(None)] * (len(shape) - at - len(rest)) + rest
    slices: list[slice] = []
    after: list[slice | int] = []
    for one, n in zip(keys, shape, strict=True):
        if isinstance(one, slice):
            steps = range(*one.indices(n))
            forward = steps if steps.step > 0 else steps[::-1]
            slices.append(slice(forward.start, max(forward.stop, forward.start), forward.step))
            after.append(slice(None, None, 1 if steps.step > 0 else -1))
        elif isinstance(one, int | np.integer) and not isinstance(one, bool):
            if not -n <= one < n:
                raise IndexError(f"index {one} is out of bounds for an axis of {n}")
            start = int(one) % n
            slices.append(slice(start, start + 1, 1))
            after.append(0)
        else:
            raise TypeError("a volume on disk takes integers and slices; numpy.asarray(volume) loads all of it")
    return tuple(slices), tuple(after)
