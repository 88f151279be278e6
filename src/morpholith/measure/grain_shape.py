"""Shapes of grain sections: size, principal axes, elongation, direction towards the centre of the particle, chords."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .. import _checks, columns
from ..errors import InputError

if TYPE_CHECKING:
    import pandas as pd

GRIDS = ("square", "hexagonal")
ROUND = 1e-6  # relative difference of the variances below which a section has no long axis


def grain_shapes(
    labels: np.ndarray,
    *,
    spacing: Sequence[float] | float,
    grid: str = "square",
    shifted_row: int = 1,
    centre_um: tuple[float, float] | None = None,
    pixel_extent: bool = True,
) -> pd.DataFrame:
    """Measure the section of every grain.

    Parameters
    ----------
    labels : (y, x) int array
        Grains from 1; 0 is no grain. Numbers may be missing.
    spacing : (float, float)
        Distance of rows, and of points in a row, in um.
    grid : {"square", "hexagonal"}
        Rows of a hexagonal grid with number (from 0) of parity `shifted_row` lie half a step further along x.
    centre_um : (float, float), optional
        Centre of the particle (y, x) in um, the first pixel's centre at 0; by default the centroid of all grains.
    pixel_extent : bool
        Add the extent of a pixel to the variances (a square's step^2 / 12, a hexagon's 5 step^2 / 72), so that a single
        pixel is round and a row of pixels of finite elongation. False: the variances of the pixels' centres, as in
        paper 001; the elongation of a row of pixels is then infinite, that of a single pixel NaN.

    Returns
    -------
    DataFrame
        One row a grain, index `label`: `y_um`, `x_um` (centroid), `n_pixels`, `area_um2`, `diameter_um` (circle of
        equal area), `major_um`, `minor_um` (axes of the ellipse of equal second moments), `elongation` (Eq. 21, a ratio
        of variances), `axis_ratio` (its root, major over minor), `axis_deg` (first principal axis from +x
        towards +y, 0 to 180), `distance_um` (of the centroid from the centre), `alpha_deg` (Eq. 4: 0 for an axis that
        points to the centre, 90 for one across), `touches_edge`. Empty for no grain. `axis_deg` and `alpha_deg` are
        NaN for a section without a long axis, `alpha_deg` within half a step of the centre.

    Raises
    ------
    InputError
        For labels that are no 2D integer array, or a grid that is not known.

    Notes
    -----
    Eq. 4 of paper 001: alpha = arccos(|v1 . c| / (|v1| |c|)), v1 the first principal component of the pixel positions
    and c the centroid seen from the particle's centre. The direction of v1 of a small and nearly round section is
    mostly noise, which pulls the distribution of alpha towards uniform: weigh or filter by `axis_ratio`.
    """
    import pandas as pd

    labels = _checks.labels(labels)
    step = _checks.spacing(spacing, 2)
    _checks.choice(grid, GRIDS, name="grid")
    _checks.choice(shifted_row, (0, 1), name="shifted_row")
    row, column = np.nonzero(labels > 0)
    number, which = np.unique(labels[row, column], return_inverse=True)
    n = np.bincount(which, minlength=len(number)).astype(np.float64)
    shift = 0.5 * (row % 2 == shifted_row) if grid == "hexagonal" else 0.0
    y, x = row * step[0], (column + shift) * step[1]
    centre = (float(y.mean()), float(x.mean())) if centre_um is None and len(y) else centre_um or (np.nan, np.nan)
    y_um, x_um = np.bincount(which, y) / n, np.bincount(which, x) / n
    dy, dx = y - y_um[which], x - x_um[which]
    own = _extent(step, grid) if pixel_extent else (0.0, 0.0)
    yy = np.bincount(which, dy * dy) / n + own[0]
    xx = np.bincount(which, dx * dx) / n + own[1]
    xy = np.bincount(which, dx * dy) / n
    half, apart = (yy + xx) / 2, np.hypot((xx - yy) / 2, xy)
    large, small = half + apart, np.maximum(half - apart, 0.0)
    small[small < 1e-12 * large] = 0.0
    angle = np.where(apart > ROUND * half, 0.5 * np.arctan2(2 * xy, xx - yy), np.nan)
    away_y, away_x = y_um - centre[0], x_um - centre[1]
    distance = np.hypot(away_y, away_x)
    along = np.abs(away_x * np.cos(angle) + away_y * np.sin(angle))
    across = np.abs(away_x * np.sin(angle) - away_y * np.cos(angle))
    alpha = np.where(distance > 0.5 * min(step), np.arctan2(across, along), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        elongation = large / small
    area = n * step[0] * step[1]
    table = {
        columns.Y: y_um,
        columns.X: x_um,
        "n_pixels": n.astype(np.int64),
        columns.AREA: area,
        columns.DIAMETER: np.sqrt(4 * area / np.pi),
        "major_um": 4 * np.sqrt(large),
        "minor_um": 4 * np.sqrt(small),
        "elongation": elongation,
        "axis_ratio": np.sqrt(elongation),
        "axis_deg": np.rad2deg(angle) % 180.0,
        "distance_um": distance,
        "alpha_deg": np.rad2deg(alpha),
        columns.TOUCHES_EDGE: np.isin(number, _at_edge(labels, grid, shifted_row)),
    }
    return pd.DataFrame(table, index=pd.Index(number, name=columns.LABEL))


def grain_chords(
    labels: np.ndarray, *, spacing: Sequence[float] | float, axis: str, grid: str = "square"
) -> pd.DataFrame:
    """Return the chords of grain sections along rows or columns.

    Parameters
    ----------
    labels : (y, x) int array
        Grains from 1; 0 is no grain.
    spacing : (float, float)
        Distance of rows, and of points in a row, in um.
    axis : {"x", "y"}
        Along rows or along columns. A hexagonal grid has no columns: only "x".

    Returns
    -------
    DataFrame
        One row a chord, in the order of lines: `label`, `length_um`, `cut` (ends at the edge of the map, so that the
        grain's chord is at least this long). A chord is a run of pixels of one grain that cannot be made longer, as in
        paper 001. Empty for no grain.

    Raises
    ------
    InputError
        For labels that are no 2D integer array, or columns of a hexagonal grid.
    """
    import pandas as pd

    labels = _checks.labels(labels)
    step = _checks.spacing(spacing, 2)
    _checks.choice(axis, ("x", "y"), name="axis")
    _checks.choice(grid, GRIDS, name="grid")
    if grid == "hexagonal" and axis == "y":
        raise InputError("a hexagonal grid has no columns along y; take the chords along 'x'.")
    lines = labels if axis == "x" else labels.T
    n_lines, width = lines.shape
    starts = np.ones((n_lines, width), bool)
    starts[:, 1:] = lines[:, 1:] != lines[:, :-1]
    line, first = np.nonzero(starts)
    end = np.full(len(line), width)
    end[:-1] = np.where(line[1:] == line[:-1], first[1:], width)
    label = lines[line, first]
    there = label > 0
    table = {
        columns.LABEL: label[there],
        "length_um": (end - first)[there] * step[1 if axis == "x" else 0],
        "cut": ((first == 0) | (end == width))[there],
    }
    return pd.DataFrame(table)


def _extent(step, grid) -> tuple[float, float]:
    """Return the variance of a pixel's own area along y and x."""
    if grid == "square":
        return step[0] ** 2 / 12, step[1] ** 2 / 12
    # a regular hexagon of width s has 5 s^2 / 72 along both axes, its rows sqrt(3) / 2 s apart
    return 5 * (step[0] * 2 / np.sqrt(3)) ** 2 / 72, 5 * step[1] ** 2 / 72


def _at_edge(labels, grid, shifted_row) -> np.ndarray:
    """Return the labels with a pixel at the edge of the map."""
    if labels.size == 0:
        return np.zeros(0, np.int64)
    sides = [labels[0], labels[-1], labels[:, 0], labels[:, -1]]
    if grid == "hexagonal" and labels.shape[1] > 1 and not labels[shifted_row::2, -1].any():
        sides.append(labels[shifted_row::2, -2])  # the shorter rows end here
    return np.unique(np.concatenate(sides))
