"""Points of an orientation map onto the grid that their coordinates span, checked against the header."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .. import _checks
from ..errors import InputError

if TYPE_CHECKING:
    from .ebsd import CrystalPhase

OFF_GRID = 0.25  # of a step
ROUNDED = 1e-4  # coordinates are written with five digits
SAME = 0.002  # relative difference of steps that is the rounding of a header
SPARSE = 20  # places on the grid for each point, above which the points are no map


@dataclass(frozen=True)
class Points:
    """What a file holds, point by point in its own order, and what its header says about the grid."""

    kind: str
    x: np.ndarray
    y: np.ndarray
    euler_rad: np.ndarray
    phase: np.ndarray
    quality: np.ndarray | None
    confidence: np.ndarray | None
    phases: tuple[CrystalPhase, ...]
    grid: str = ""  # "" where the header does not say
    step: tuple[float, float] | None = None  # y, x
    rows: int = 0  # 0 where the header does not say
    columns: tuple[int, int] = (0, 0)  # of the first, third, ... and of the second, fourth, ... row
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Placed:
    """Where each point goes."""

    row: np.ndarray
    column: np.ndarray
    shape: tuple[int, int]
    spacing: tuple[float, float]
    grid: str
    shifted_row: int
    step_from: str
    warnings: tuple[str, ...]


def place(points: Points, *, name: str, step_um) -> Placed:
    """Give every point its row and column.

    Where the file is in the order of its header and the coordinates agree within their rounding, order decides.
    Else rows are the levels of y, the step is the commonest distance within a row, and coordinates decide.
    """
    bad = int((~(np.isfinite(points.x) & np.isfinite(points.y))).sum())
    if bad:
        raise InputError(f"{name} has {bad} points without coordinates; export the map again.")
    told = None if step_um is None else _checks.spacing(step_um, 2, name="step_um")
    return _in_order(points, told) or _by_coordinates(points, told, name)


def _in_order(points: Points, told) -> Placed | None:
    """Place a square map that is what its header says, or return None."""
    n_rows, n_columns = points.rows, points.columns[0]
    if points.grid == "hexagonal" or points.step is None or n_rows < 2 or n_columns < 2:
        return None
    if points.columns[1] not in (0, n_columns) or n_rows * n_columns != len(points.x):
        return None
    row, column = np.divmod(np.arange(len(points.x)), n_columns)
    for values, place, step in ((points.y, row, points.step[0]), (points.x, column, points.step[1])):
        start = values.min()
        slack = 0.05 * step + ROUNDED * np.abs(values).max()
        if np.abs(values - start - place * step).max() > slack:
            return None
    where = "given" if told else "header and coordinates"
    return Placed(row, column, (n_rows, n_columns), told or points.step, "square", 1, where, ())


def _by_coordinates(points: Points, told, name) -> Placed:
    order, row, step_y = _rows(points, name)
    step_x = _step_in_rows(points, order, row, name)
    shift, grid = _shifts(points, row, step_x, name)
    place = (points.x - points.x.min()) / step_x - 0.5 * shift[row]
    column = np.rint(place).astype(np.int64)
    column -= column.min()
    off = int((np.abs(place - np.rint(place)) > OFF_GRID).sum())
    if off:
        raise InputError(f"{name} has {off} points off the grid of step {step_x:.4g}; a map on a grid was expected.")
    shape = (int(row.max()) + 1, int(column.max()) + 1)
    if shape[0] * shape[1] > SPARSE * len(row):
        raise InputError(
            f"{name} has {len(row)} points on a grid of {shape[0]} x {shape[1]}; its points are scattered."
        )
    flat = row * shape[1] + column
    twice = len(flat) - len(np.unique(flat))
    if twice:
        raise InputError(f"{name} has {twice} points at places that other points have; export the map again.")
    step = _one_step(points, (step_y, step_x), told, shape, name)
    shifted_row = int(shift[1]) if grid == "hexagonal" and len(shift) > 1 else 1
    warnings = _against_header(points, grid, shape, flat, name)
    where = "given" if told else "header and coordinates" if points.step else "coordinates"
    return Placed(row, column, shape, step, grid, shifted_row, where, tuple(warnings))


def _rows(points, name):
    """Return an order by row and x, the row of each point, and the distance of rows (0 for a single one)."""
    y = np.sort(points.y)
    far = np.diff(y)
    levels = y[np.concatenate([[True], far > _rounding(y)])]
    step = 0.0
    if len(levels) > 1:
        step = float(np.median(np.diff(levels)))
        step = float((levels[-1] - levels[0]) / max(np.rint((levels[-1] - levels[0]) / step), 1))
    _not_scattered(np.ptp(y), step, len(y), name)
    place = (points.y - y[0]) / step if step else np.zeros(len(y))
    row = np.rint(place).astype(np.int64)
    off = int((np.abs(place - row) > OFF_GRID).sum())
    if off:
        raise InputError(f"{name} has {off} points between rows {step:.4g} apart; a map on a grid was expected.")
    return np.lexsort((points.x, row)), row, step


def _rounding(values) -> float:
    """Return how far apart the same coordinate may be written; a wild one among them does not count."""
    return ROUNDED * float(np.quantile(np.abs(values), 0.9))


def _not_scattered(extent, step, n, name) -> None:
    if step and extent / step > SPARSE * n:
        raise InputError(f"{name} has {n} points over {extent / step:.3g} steps; its points are scattered.")


def _step_in_rows(points, order, row, name) -> float:
    """Return the commonest distance of neighbours in a row, refined over the longest row."""
    x, r = points.x[order], row[order]
    apart = np.diff(x)[np.diff(r) == 0]
    apart = apart[apart > _rounding(x)]
    if len(apart) == 0:
        raise InputError(f"{name} has no two points beside each other at different x; a map of rows was expected.")
    step = float(np.median(apart))
    starts = np.flatnonzero(np.concatenate([[True], np.diff(r) != 0]))
    ends = np.append(starts[1:], len(r)) - 1
    _not_scattered(np.ptp(x), step, len(x), name)
    longest = float((x[ends] - x[starts]).max())
    return longest / float(np.rint(longest / step))


def _shifts(points, row, step, name) -> tuple[np.ndarray, str]:
    """Return for each row whether it is shifted by half a step, and the kind of grid."""
    n = int(row.max()) + 1
    first = np.full(n, np.inf)
    np.minimum.at(first, row, points.x)
    there = np.isfinite(first)
    half = np.zeros(n, np.int64)
    half[there] = np.rint(2 * (first[there] - points.x.min()) / step).astype(np.int64) % 2
    if not half.any():
        return half, "square"
    alternating = np.arange(n) % 2
    odd = half[there & (alternating == 1)]
    even = half[there & (alternating == 0)]
    for parity, (shifted, straight) in enumerate(((even, odd), (odd, even))):
        if shifted.all() and not straight.any():
            return (alternating == parity).astype(np.int64), "hexagonal"
    raise InputError(
        f"{name} has rows shifted by half a step in no regular order; a square or hexagonal grid was expected."
    )


def _one_step(points, seen, told, shape, name) -> tuple[float, float]:
    """Return the step that header and coordinates agree on, or the one given."""
    if told is not None:
        return told
    if points.step is None:
        if shape[0] == 1:
            raise InputError(f"{name} has a single row and no step along y in its header; give `step_um`.")
        return seen
    for axis, said, found, largest in zip("yx", points.step, seen, (points.y, points.x), strict=True):
        slack = (0.05 * said + ROUNDED * np.abs(largest).max()) / max(shape["yx".index(axis)] - 1, 1)
        if found and abs(said - found) > min(max(slack, SAME * said), 0.05 * said):
            raise InputError(
                f"{name} says that its step along {axis} is {said:g} um, but its points lie {found:.5g} um apart; "
                f"give the true one as `step_um`."
            )
    return points.step


def _against_header(points, grid, shape, flat, name) -> list[str]:
    """Return sentences on what the header promises and the points do not keep."""
    found = []
    if points.grid and points.grid != grid and shape[0] > 1:
        found.append(f"{name}: the header says a {points.grid} grid, the coordinates are {grid}; they hold.")
    widest = max(points.columns)
    promised = -(-points.rows // 2) * points.columns[0] + points.rows // 2 * (points.columns[1] or points.columns[0])
    if promised and (points.rows, widest) != shape:
        found.append(
            f"{name}: the header says {points.rows} x {widest} points (y, x), the coordinates span "
            f"{shape[0]} x {shape[1]}; they hold."
        )
    if promised and len(flat) < promised:
        found.append(f"{name}: {len(flat)} of the {promised} points that the header promises are there.")
    elif not promised and grid == "square" and len(flat) < shape[0] * shape[1]:
        found.append(f"{name}: {shape[0] * shape[1] - len(flat)} places of the grid have no point.")
    if (np.diff(flat) < 0).any():
        found.append(f"{name}: the points are not in the order of rows; their coordinates placed them.")
    return found
