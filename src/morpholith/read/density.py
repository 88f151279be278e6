"""Optical densities that stay on disk as counts: a frame is read and flat-fielded when it is asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from .broken import guarded
from .lazy import OnDisk, Source, _basic, stamp


@dataclass(frozen=True)
class Frame:
    """One picture inside a file.

    Parameters
    ----------
    source : Source
        The array in the file.
    axes : str
        A letter for each axis of it: y, x, and any others.
    index : tuple of int
        Where the picture lies along the others, in their order.
    top : int or None
        Largest level where 0 is stored as white.
    """

    source: Source
    axes: str
    index: tuple[int, ...] = ()
    top: int | None = None

    @property
    def path(self) -> Path:
        """The file."""
        return self.source.path

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        y, x = (self.source.shape[self.axes.index(a)] for a in "yx")
        return y, x

    def read(self) -> np.ndarray:
        """Return the (y, x) values as stored."""
        place = iter(self.index)
        index = tuple(
            slice(0, n) if a in "yx" else _one(next(place)) for a, n in zip(self.axes, self.source.shape, strict=True)
        )
        with guarded(self.path, "frame"):
            block = self.source.read(index)
            picture = block.reshape([n for a, n in zip(self.axes, block.shape, strict=True) if a in "yx"])
        if self.axes.index("y") > self.axes.index("x"):
            picture = picture.T
        return picture if self.top is None else np.asarray(self.top - picture, dtype=picture.dtype)


@dataclass(frozen=True)
class Beam:
    """The flats of one frame, averaged, and what their exposure is to be multiplied with (1 where it is the same)."""

    frames: tuple[Frame, ...]
    factor: float = 1.0

    def read(self) -> np.ndarray:
        """Return the mean (y, x), float32; NaN where one of them is not finite."""
        return _mean(self.frames)


@dataclass(frozen=True)
class Faults:
    """What is wrong with one frame: `dead` is one with no picture at all; the others are shares of its pixels.

    `saturated` counts those of its flat too.
    """

    dead: bool
    saturated: float
    not_positive: float


@dataclass(frozen=True)
class OpticalDensity(OnDisk):
    """An (e, y, x) or (t, e, y, x) stack of optical densities on disk, computed where it is indexed.

    It is indexed as NumPy arrays are, with integers and slices; what comes back is a float32 array of its own.
    A frame is read, corrected and let go before the next one is read. It can be pickled: it holds the places of
    the frames, not the frames. ``numpy.asarray`` computes all of it.

    With flats, a pixel is :math:`-\\ln[(I - D) / (f (F - D))]` with the counts I, the flat F, the dark D (0 where
    there is none) and the ratio f of the exposures; without, it is the value stored. NaN are pixels that
    are saturated in the frame or its flat, whose I - D or F - D is not positive, or that are not finite, and whole
    frames that hold a single value (dropped frames are zeros).

    Parameters
    ----------
    frames : tuple of tuple of Frame
        ``frames[scan][energy]``.
    beams : tuple of tuple of Beam, or None
        The flats of each frame; None where the values are optical densities as they are.
    dark : Beam or None
    saturated : float or None
        The level at and above which a pixel is saturated.
    window : tuple of int
        (y0, y1, x0, x1) of the part of the field that is kept.
    several : bool
        Whether it has an axis t.
    """

    frames: tuple[tuple[Frame, ...], ...]
    beams: tuple[tuple[Beam, ...], ...] | None
    dark: Beam | None
    saturated: float | None
    window: tuple[int, int, int, int]
    several: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """Scans (where there are several), energies, rows, columns."""
        y0, y1, x0, x1 = self.window
        whole = (len(self.frames), len(self.frames[0]), y1 - y0, x1 - x0)
        return whole if self.several else whole[1:]

    @property
    def dtype(self) -> np.dtype:
        """Always float32."""
        return np.dtype(np.float32)

    def __getitem__(self, key) -> np.ndarray:
        slices, after = _basic(key, self.shape)
        steps = [range(s.start, s.stop, s.step) for s in slices]
        out = np.empty([len(r) for r in steps], np.float32)
        if out.size:
            scans = steps[0] if self.several else range(1)
            chosen = out if self.several else out[None]
            for i, t in enumerate(scans):
                for j, e in enumerate(steps[-3]):
                    chosen[i, j] = self._density(t, e)[slices[-2], slices[-1]]
        return out[after]

    def __dask_tokenize__(self):
        paths = sorted({frame.path for scan in self.frames for frame in scan})
        told = hashlib.sha256(repr(self).encode()).hexdigest()
        return type(self).__name__, told, tuple(stamp(path) for path in paths)

    def faults(self, scan: int, energy: int) -> Faults:
        """Return what is wrong with one frame, from its counts (the whole field, not only `window`)."""
        raw = self.frames[scan][energy].read()
        if dead(raw):
            return Faults(True, 0.0, 0.0)
        saturated = np.zeros(raw.shape, bool) if self.saturated is None else raw >= self.saturated
        if self.beams is None:
            lost = ~np.isfinite(raw)
        else:
            above, beam = self._counts(raw, scan, energy, (0, raw.shape[0], 0, raw.shape[1]))
            saturated |= np.isnan(beam)
            lost = (~(above > 0) | ~(beam > 0)) & ~saturated
        return Faults(False, float(saturated.mean()), float(lost.mean()))

    def _counts(self, raw, t, e, window):
        """Return I - D and F - D within a window, float32; F is NaN where it is saturated."""
        assert self.beams is not None
        inside = (slice(window[0], window[1]), slice(window[2], window[3]))
        beam = self.beams[t][e].read()[inside]
        if self.saturated is not None:
            beam = np.where(beam >= self.saturated, np.float32(np.nan), beam)
        above = raw[inside].astype(np.float32)
        if self.dark is None:
            return above, beam
        dark = self.dark.read()[inside]
        return above - dark, beam - dark

    def _density(self, t, e) -> np.ndarray:
        raw = self.frames[t][e].read()
        y0, y1, x0, x1 = self.window
        if dead(raw):
            return np.full((y1 - y0, x1 - x0), np.nan, np.float32)
        kept = raw[y0:y1, x0:x1]
        if self.beams is None:
            out = kept.astype(np.float32)
            bad = ~np.isfinite(out)
        else:
            above, beam = self._counts(raw, t, e, self.window)
            bad = ~(above > 0) | ~(beam > 0)
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                out = np.log(beam / above * np.float32(self.beams[t][e].factor))
            bad |= ~np.isfinite(out)
        if self.saturated is not None:
            bad |= kept >= self.saturated
        out[bad] = np.nan
        return out


def dead(raw: np.ndarray) -> bool:
    """Return whether a frame holds no picture: one value everywhere, or none that is finite."""
    if raw.dtype.kind == "f":
        finite = raw[np.isfinite(raw)]
        return finite.size == 0 or bool(finite.min() == finite.max())
    return bool(raw.min() == raw.max())


def _one(k: int) -> slice:
    return slice(k, k + 1)


def _mean(frames: Sequence[Frame]) -> np.ndarray:
    if len(frames) == 1:  # each is used once: keeping it would only take memory
        return frames[0].read().astype(np.float32)
    return _kept(tuple(frames), tuple(stamp(path) for path in sorted({frame.path for frame in frames})))


@lru_cache(maxsize=2)
def _kept(frames: tuple[Frame, ...], stamped) -> np.ndarray:  # noqa: ARG001 (files written anew are read anew)
    total = np.zeros(frames[0].shape, np.float64)
    for frame in frames:
        total += frame.read()
    mean = (total / len(frames)).astype(np.float32)
    mean.setflags(write=False)
    return mean
