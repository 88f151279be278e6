"""Grains of an orientation map: pixels joined where the crystal turns less than a threshold between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from .crystal import LAUE_GROUPS, euler_angles, laue_operators, quaternions

if TYPE_CHECKING:
    import pandas as pd

    from ..read import OrientationMap

MOST_OPERATORS = 24


@dataclass(frozen=True)
class Grains:
    """Grains of an orientation map.

    Parameters
    ----------
    labels : (y, x) int32 array
        1 upwards in the order of the grains' first pixels; 0 where there is none.
    table : DataFrame
        One row a grain, index `label`: `phase`, `n_pixels`, `n_measured` (those not filled in), mean orientation as
        Bunge angles `phi1_deg`, `capital_phi_deg`, `phi2_deg` and as quaternion `q0` to `q3`, `spread_deg` (mean
        disorientation of the pixels to the mean), `confidence` (mean; NaN where the map has none).
    warnings : tuple of str
    """

    labels: np.ndarray
    table: pd.DataFrame
    warnings: tuple[str, ...] = ()


def grains(
    orientations: OrientationMap,
    *,
    threshold_deg: float = 5.0,
    min_pixels: int = 1,
    min_confidence: float | None = None,
    min_grain_confidence: float | None = None,
    fill_pixels: int = 0,
    laue: Mapping[int, str] | None = None,
) -> Grains:
    """Find the grains of an orientation map.

    Parameters
    ----------
    orientations : OrientationMap
    threshold_deg : float
        Neighbours of one phase (four on a square, six on a hexagonal grid) belong together up to this disorientation.
        A grain may turn by more in all.
    min_pixels : int
        Smaller grains are dropped.
    min_confidence : float, optional
        Pixels with a lower confidence index, or none, are left out before grains are joined.
    min_grain_confidence : float, optional
        Grains with a lower mean confidence index are dropped.
    fill_pixels : int
        Connected regions without grain of at most this many pixels, dropped grains among them, are given to the grains
        around, layer by layer: to the one most neighbours are of, of two to that with the lower number. Larger regions
        (the surroundings of a particle, pores) stay. 0 fills nothing.
    laue : mapping of int to str, optional
        Laue group of a phase by its number, where the file does not say it or is wrong.

    Returns
    -------
    Grains
        Empty with a warning where no pixel is left.

    Raises
    ------
    InputError
        For a phase of unknown Laue group, a confidence asked for where the map has none, or parameters out of range.
    """
    if not 0 < threshold_deg < 180:
        raise InputError(f"`threshold_deg` must lie between 0 and 180, got {threshold_deg!r}.")
    if min_pixels < 1 or fill_pixels < 0:
        raise InputError(f"`min_pixels` is at least 1 and `fill_pixels` 0; got {min_pixels!r} and {fill_pixels!r}.")
    from . import _disorientation as kernels

    asked = min_confidence is not None or min_grain_confidence is not None
    if asked and orientations.confidence is None:
        raise InputError("the map has no confidence index (Oxford's files have none): leave the confidence limits out.")
    how = orientations.grid == "hexagonal", orientations.shifted_row
    warnings: list[str] = []
    phase = _trusted(orientations, min_confidence, warnings)
    operators, counts = _operators(orientations, phase, laue)
    q = np.nan_to_num(quaternions(orientations.euler_rad)).reshape(-1, 4)
    with np.errstate(invalid="ignore"):
        joined = kernels.angles(q, phase, operators, counts, *how) <= np.float32(np.deg2rad(threshold_deg))
    labels, n = kernels.regions(joined, phase > 0, *how)
    labels, n = _drop(labels, n, orientations.confidence, min_pixels, min_grain_confidence)
    if n == 0 and not warnings:
        warnings.append("no grain is left: every one is smaller or less certain than asked.")
    measured = labels.copy()
    if fill_pixels and n:
        hole = (labels == 0) & _places(orientations)
        found, number = kernels.regions(np.ones_like(joined), hole, *how)
        small = np.bincount(found.ravel(), minlength=number + 1) <= fill_pixels
        small[0] = False
        kernels.fill(labels, small[found], *how)
    table = _table(orientations, labels, measured, n, q, phase, operators, counts)
    return Grains(labels, table, tuple(warnings))


def neighbour_angles(orientations: OrientationMap, *, laue: Mapping[int, str] | None = None) -> np.ndarray:
    """Return the disorientation of every pixel to its neighbours further on.

    Parameters
    ----------
    orientations : OrientationMap
    laue : mapping of int to str, optional
        As for `grains`.

    Returns
    -------
    (k, y, x) float32 array
        Degrees to the pixel on the right and the one below (square grid, k = 2), or to those on the right, below on the
        left and below on the right (hexagonal, k = 3). NaN at the edges, and where either is not indexed or of another
        phase.
    """
    from . import _disorientation as kernels

    phase = _trusted(orientations, None, [])
    operators, counts = _operators(orientations, phase, laue)
    q = np.nan_to_num(quaternions(orientations.euler_rad)).reshape(-1, 4)
    hexagonal = orientations.grid == "hexagonal"
    return np.rad2deg(kernels.angles(q, phase, operators, counts, hexagonal, orientations.shifted_row))


def _trusted(orientations, min_confidence, warnings) -> np.ndarray:
    """Return the phase of each pixel, 0 where it is not used."""
    phase = np.where(orientations.valid, orientations.phase, 0).astype(np.int32)
    if not phase.any():
        warnings.append("no point of the map is indexed; there are no grains.")
    elif min_confidence is not None:
        confidence = orientations.confidence
        phase[~(np.nan_to_num(confidence, nan=-np.inf) >= min_confidence)] = 0
        if not phase.any():
            warnings.append(
                f"no point has a confidence index of {min_confidence:g} or more (the highest is "
                f"{np.nanmax(confidence[orientations.valid]):g}); there are no grains."
            )
    return phase


def _operators(orientations, phase, laue) -> tuple[np.ndarray, np.ndarray]:
    """Return the operators of each phase, by its number, and how many there are."""
    given = dict(laue or {})
    n = max(len(orientations.phases), int(phase.max(initial=0)))
    operators = np.zeros((n + 1, MOST_OPERATORS, 4))
    counts = np.ones(n + 1, np.int64)
    operators[:, :, 0] = 1
    for number in np.flatnonzero(np.bincount(phase.ravel(), minlength=n + 1)[1:]) + 1:
        known = orientations.phases[number - 1] if number <= len(orientations.phases) else None
        group = given.get(int(number), known.laue if known else "")
        if group not in LAUE_GROUPS:
            name = known.name if known else "not in the header"
            said = group or (known.said if known else "")
            raise InputError(
                f"phase {number} ({name}) has no known Laue group ({said!r}); give it as `laue={{{number}: 'm-3m'}}`, "
                f"one of {', '.join(LAUE_GROUPS)}."
            )
        found = laue_operators(group, x_axis=known.x_axis if known else "a")
        operators[number, : len(found)] = found
        counts[number] = len(found)
    return operators, counts


def _drop(labels, n, confidence, min_pixels, min_grain_confidence) -> tuple[np.ndarray, int]:
    """Remove grains that are small or uncertain, and number the others anew."""
    flat = labels.ravel()
    size = np.bincount(flat, minlength=n + 1)
    keep = size >= min_pixels
    if min_grain_confidence is not None:
        total = np.bincount(flat, np.nan_to_num(confidence.ravel()), minlength=n + 1)
        keep &= total >= min_grain_confidence * size
    keep[0] = False
    number = np.cumsum(keep, dtype=np.int32) * keep
    return number[labels].astype(np.int32), int(keep.sum())


def _places(orientations) -> np.ndarray:
    """True where the grid has a place: not at the end of the shorter rows of a hexagonal grid."""
    places = np.ones(orientations.shape, bool)
    if orientations.grid == "hexagonal":
        short = orientations.phase[orientations.shifted_row :: 2, -1]
        if not short.any():
            places[orientations.shifted_row :: 2, -1] = False
    return places


def _table(orientations, labels, measured, n, q, phase, operators, counts) -> pd.DataFrame:
    import pandas as pd

    from . import _disorientation as kernels

    mean, spread = kernels.means(q, measured, n, phase, operators, counts)
    flat = measured.ravel()
    seen = np.bincount(flat, minlength=n + 1)[1:]
    first = np.zeros(n + 1, np.int64)
    at = np.flatnonzero(flat)[::-1]
    first[flat[at]] = at
    phases = phase.ravel()[first[1:]] if n else np.zeros(0, np.int32)
    for label in range(1, n + 1):
        mean[label] = _least_turned(mean[label], operators[phases[label - 1]][: counts[phases[label - 1]]])
    euler = np.rad2deg(euler_angles(mean[1:]))
    confidence = np.full(n, np.nan)
    if orientations.confidence is not None:
        confidence = np.bincount(flat, np.nan_to_num(orientations.confidence.ravel()), minlength=n + 1)[1:] / seen
    columns = {
        "phase": phases,
        "n_pixels": np.bincount(labels.ravel(), minlength=n + 1)[1:],
        "n_measured": seen,
        "phi1_deg": euler[:, 0],
        "capital_phi_deg": euler[:, 1],
        "phi2_deg": euler[:, 2],
        **{f"q{k}": mean[1:, k] for k in range(4)},
        "spread_deg": np.rad2deg(spread[1:]),
        "confidence": confidence,
    }
    return pd.DataFrame(columns, index=pd.RangeIndex(1, n + 1, name="label"))


def _least_turned(q, operators) -> np.ndarray:
    """Return the one of the equivalent q s with the largest scalar part, made positive: the same for all of them."""
    w, x, y, z = operators.T
    scalar = q[0] * w - q[1] * x - q[2] * y - q[3] * z
    s = operators[int(np.argmax(np.abs(scalar)))]
    a, b, c, d = q
    turned = np.array(
        [
            a * s[0] - b * s[1] - c * s[2] - d * s[3],
            a * s[1] + b * s[0] + c * s[3] - d * s[2],
            a * s[2] - b * s[3] + c * s[0] + d * s[1],
            a * s[3] + b * s[2] - c * s[1] + d * s[0],
        ]
    )
    return turned if turned[0] >= 0 else -turned
