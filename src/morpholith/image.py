"""The two things that cross the borders between stages: an image with its scale, a number with its story."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .errors import InputError

AXES = "tezyx"
SPATIAL = "zyx"


@dataclass(frozen=True)
class Image:
    """An array that knows its axes, its scale and where it came from.

    Parameters
    ----------
    array : ndarray
        One dimension per letter of `axes`.
    axes : str
        A subset of ``"tezyx"`` in that order: time, energy, z, y, x.
    spacing : tuple of float
        Edge length of a voxel in micrometres, one for each spatial axis, in array order.
    coordinates : mapping of str to 1D array
        Values along the other axes: ``"e"`` in eV, ``"t"`` in minutes.
    provenance : mapping of str to str
        Where it came from: ``"path"``, ``"pixel_size_from"`` (the tag or option that gave the scale), ...
    warnings : tuple of str
        Sentences a reader of the result should see.
    """

    array: np.ndarray
    axes: str
    spacing: tuple[float, ...]
    coordinates: Mapping[str, np.ndarray] = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __post_init__(self):
        if "".join(a for a in AXES if a in self.axes) != self.axes:
            raise InputError(f"`axes` must be a subset of {AXES!r} in that order, got {self.axes!r}.")
        if self.array.ndim != len(self.axes):
            raise InputError(f"`array` has {self.array.ndim} dimensions but `axes` is {self.axes!r}.")
        n_spatial = sum(a in SPATIAL for a in self.axes)
        if len(self.spacing) != n_spatial or not all(np.isfinite(s) and s > 0 for s in self.spacing):
            raise InputError(
                f"`spacing` must be {n_spatial} positive lengths in um for axes {self.axes!r}, got {self.spacing!r}."
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.array.shape

    def with_array(self, array: np.ndarray, *warnings: str) -> Image:
        """Return the same image with other values, and any further warnings."""
        return replace(self, array=array, warnings=(*self.warnings, *warnings))


@dataclass(frozen=True)
class Quantity:
    """A number with its interval, its count and the way it was obtained.

    Parameters
    ----------
    value : float
        NaN when it could not be determined; `warning` then says why.
    low, high : float or None
        Ends of the interval; None where no interval makes sense.
    level : float
        Coverage the interval claims.
    n : int or None
        Independent observations behind it.
    unit : str
        ``"um"``, ``"um2"``, ... or ``""`` for a ratio.
    method : str
        One line: estimator and origin of the interval.
    warning : str or None
        Why it is not resolved, not converged or not to be trusted.
    """

    value: float
    low: float | None = None
    high: float | None = None
    level: float = 0.95
    n: int | None = None
    unit: str = ""
    method: str = ""
    warning: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the object written to ``summary.json``; what is not finite becomes null."""

        def finite(x):
            return float(x) if x is not None and np.isfinite(x) else None

        return {
            "value": finite(self.value),
            "low": finite(self.low),
            "high": finite(self.high),
            "level": self.level,
            "n": None if self.n is None else int(self.n),
            "unit": self.unit,
            "method": self.method,
        }

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        if self.low is None or self.high is None:
            return f"{self.value:.4g}{unit}"
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]{unit}"
