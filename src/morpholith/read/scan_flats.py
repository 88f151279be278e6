"""Flats and darks a user names or holds in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from .beams import Flat, flats_of
from .density import Frame
from .frames import Part
from .lazy import Index
from .scan_files import gather

HELD = Path(__file__)  # stands for an array in memory: a path that exists, so that it has a stamp


def from_option(given, what, scans) -> list[list[Flat]]:
    """Return a user's flats or darks for each scan."""
    if isinstance(given, np.ndarray):
        part = _held(given, what)
        rows = _rows(part, len(scans))
        return [[Flat(frame) for frame in row] for row in rows]
    found = gather(given, dataset=None, what=what)
    parts = [part for series in found.series for part in series]
    if len(parts) == 1:
        energies = parts[0].energies
        rows = _rows(parts[0], len(scans))
        if len(rows) == len(scans) > 1 or energies is None:
            return [[Flat(frame) for frame in row] for row in (rows if len(rows) == len(scans) else rows * len(scans))]
    flats = [one for part in parts for one in flats_of(part)]
    return [flats] * len(scans)


def _rows(part: Part, n_scans: int) -> list[list[Frame]]:
    """Return the frames of a stack, a row for each scan where its slowest axis is as long as there are scans."""
    lengths = list(part.lengths)
    if len(lengths) == 2:
        rows = part.frames(slow=lengths[0])
        if len(rows) != n_scans:
            raise InputError(
                f"{part.path.name} holds flats of {len(rows)} scans, {n_scans} are read; give (energy, y, x), or a set "
                f"for each scan."
            )
        return rows
    return part.frames() * (1 if n_scans == 1 else n_scans)


@dataclass(frozen=True, eq=False)
class _Array:
    """Flats that a program holds in memory."""

    path: Path
    array: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return self.array.shape

    @property
    def dtype(self) -> np.dtype:
        """Its type."""
        return self.array.dtype

    def read(self, index: Index) -> np.ndarray:
        """Return a part."""
        return self.array[index]


def _held(array, what) -> Part:
    if not 2 <= array.ndim <= 4 or array.dtype.kind not in "buif":
        raise InputError(
            f"`{what}` must be pictures (y, x), (n, y, x) or (t, n, y, x), got {array.dtype} {array.shape}."
        )
    axes = "abyx"[-array.ndim :] if array.ndim > 2 else "yx"
    axes = "".join("o" if a in "ab" and n == 1 else a for a, n in zip(axes, array.shape, strict=True))
    return Part(HELD, _Array(HELD, array), axes, "array")
