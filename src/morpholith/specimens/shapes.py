"""Discs, ellipses and polygons on a pixel grid, each with its exact area and perimeter.

A pixel belongs to a shape when its centre, at ``index * spacing``, lies inside. Of the truth,
area, perimeter, diameter, circularity and centre are *analytic* (of the continuous shape, whole,
even where the frame or a later shape cuts it); `touches_edge`, `hidden_fraction` and the bounding
box are *counted* on the grid.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .. import _checks, columns
from ..errors import InputError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Specimen:
    """A label image, its scale, and what a perfect measurement of it would return.

    Parameters
    ----------
    labels : (y, x) int32 array
        0 is background; where shapes overlap the later one lies on top.
    spacing : (float, float)
        Edge lengths of a pixel in um, in array order.
    truth : DataFrame
        One row a shape, index `label`, columns of `morpholith.columns`.
    """

    labels: np.ndarray
    spacing: tuple[float, float]
    truth: pd.DataFrame


def discs(
    shape: tuple[int, int],
    *,
    spacing: Sequence[float] | float,
    centres_um: Iterable,
    radii_um: Iterable[float],
) -> Specimen:
    """Discs with their exact area and circumference.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the label image.
    spacing : (float, float)
        Pixel edges in um, in array order; they may differ.
    centres_um : (n, 2) array
        (y, x) of each centre; any real numbers, also outside the frame.
    radii_um : (n,) array

    Returns
    -------
    Specimen
    """
    radii = np.asarray(list(radii_um), float).reshape(-1)
    return ellipses(
        shape,
        spacing=spacing,
        centres_um=centres_um,
        semi_axes_um=np.stack([radii, radii], axis=-1),
        angles_deg=np.zeros(len(radii)),
    )


def ellipses(
    shape: tuple[int, int],
    *,
    spacing: Sequence[float] | float,
    centres_um: Iterable,
    semi_axes_um: Iterable,
    angles_deg: Iterable[float],
) -> Specimen:
    """Ellipses; the perimeter is the complete elliptic integral 4 a E(1 - b^2 / a^2).

    Parameters
    ----------
    shape : (int, int)
    spacing : (float, float)
    centres_um : (n, 2) array
        (y, x) of each centre.
    semi_axes_um : (n, 2) array
        The two semi-axes of each ellipse, in either order.
    angles_deg : (n,) array
        Direction of the first semi-axis, counter-clockwise from the x axis as the image is displayed
        (rows downwards).

    Returns
    -------
    Specimen
    """
    from scipy.special import ellipe

    pixel = _checks.spacing(spacing, 2)
    centres = _pairs(centres_um, name="centres_um")
    axes = _pairs(semi_axes_um, name="semi_axes_um")
    angles = np.deg2rad(np.asarray(list(angles_deg), float).reshape(-1))
    _same_length(centres_um=centres, semi_axes_um=axes, angles_deg=angles)
    if not (axes > 0).all():
        raise InputError("`semi_axes_um` must all be positive lengths in um.")

    def paint(k):
        (a, b), angle = axes[k], angles[k]
        reach = np.hypot([a * np.sin(angle), a * np.cos(angle)], [b * np.cos(angle), b * np.sin(angle)])

        def inside(y, x):
            along, across = x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)
            return (along / a) ** 2 + (across / b) ** 2 <= 1

        return centres[k], -reach, reach, inside

    large, small = axes.max(axis=1, initial=0.0), axes.min(axis=1, initial=np.inf)
    area = np.pi * axes[:, 0] * axes[:, 1]
    perimeter = 4 * large * ellipe(1 - (small / large) ** 2)
    return _specimen(shape, pixel, paint, centres, area, perimeter)


def polygons(
    shape: tuple[int, int], *, spacing: Sequence[float] | float, vertices_um: Iterable[np.ndarray]
) -> Specimen:
    """Simple polygons, convex or not, with area and centroid by the shoelace formula.

    Parameters
    ----------
    shape : (int, int)
    spacing : (float, float)
    vertices_um : sequence of (k, 2) arrays
        (y, x) of the corners in order, k >= 3; edges must not cross each other.

    Returns
    -------
    Specimen
    """
    pixel = _checks.spacing(spacing, 2)
    corners = [_pairs(v, name="vertices_um") for v in vertices_um]
    if any(len(v) < 3 for v in corners):
        raise InputError("`vertices_um` must hold at least three corners for each polygon.")
    facts = np.array([_polygon_facts(v) for v in corners]).reshape(-1, 4)

    def paint(k):
        centre = facts[k, 2:]
        around = corners[k] - centre
        return centre, around.min(axis=0), around.max(axis=0), lambda y, x: _inside_polygon(around, y, x)

    return _specimen(shape, pixel, paint, facts[:, 2:], facts[:, 0], facts[:, 1])


def regular_polygon(
    corners: int, *, radius_um: float, centre_um: Sequence[float] = (0.0, 0.0), angle_deg: float = 0.0
) -> np.ndarray:
    """Vertices (y, x) of a regular polygon of given circumradius, for `polygons`."""
    angle = np.deg2rad(angle_deg) + 2 * np.pi * np.arange(corners) / corners
    return np.asarray(centre_um, float) + radius_um * np.stack([-np.sin(angle), np.cos(angle)], axis=-1)


def rectangle(
    length_um: float, width_um: float, *, centre_um: Sequence[float] = (0.0, 0.0), angle_deg: float = 0.0
) -> np.ndarray:
    """Vertices (y, x) of a rectangle whose length points along `angle_deg`, for `polygons`."""
    t = np.deg2rad(angle_deg)
    along = 0.5 * length_um * np.array([-np.sin(t), np.cos(t)])
    across = 0.5 * width_um * np.array([np.cos(t), np.sin(t)])
    return np.asarray(centre_um, float) + np.array([along + across, along - across, -along - across, -along + across])


def _specimen(shape, pixel, paint, centres, area, perimeter):
    labels = np.zeros(shape, np.int32)
    drawn = np.zeros(len(area), int)
    box = np.zeros((len(area), 2), int)
    edge = np.zeros(len(area), bool)
    for k in range(len(area)):
        window, mask = _rasterise(shape, pixel, *paint(k))
        labels[window][mask] = k + 1
        drawn[k] = mask.sum()
        rows, cols = (np.flatnonzero(mask.any(axis=a)) for a in (1, 0))
        if drawn[k]:
            box[k] = np.ptp(rows) + 1, np.ptp(cols) + 1
            edge[k] = any(
                w.start + i[0] == 0 or w.start + i[-1] == n - 1
                for w, i, n in zip(window, (rows, cols), shape, strict=True)
            )
    seen = np.bincount(labels.ravel(), minlength=len(area) + 1)[1:]
    hidden = np.where(drawn > 0, 1 - seen / np.maximum(drawn, 1), 0.0)
    return Specimen(labels, pixel, _truth(centres, area, perimeter, edge, hidden, box))


def _rasterise(shape, pixel, centre, low, high, inside):
    """Window of the frame around a shape, and which of its pixel centres lie inside."""
    sides = list(zip(centre, low, high, pixel, shape, strict=True))
    first = [int(np.clip(np.floor((c + a) / s), 0, n)) for c, a, _, s, n in sides]
    last = [int(np.clip(np.ceil((c + b) / s) + 1, 0, n)) for c, _, b, s, n in sides]
    window = tuple(slice(a, max(a, b)) for a, b in zip(first, last, strict=True))
    y, x = (np.arange(w.start, w.stop) * s - c for w, s, c in zip(window, pixel, centre, strict=True))
    return window, np.broadcast_to(inside(y[:, None], x[None, :]), (len(y), len(x)))


def _truth(centres, area, perimeter, edge, hidden, box):
    import pandas as pd

    return pd.DataFrame(
        {
            columns.Y: centres[:, 0],
            columns.X: centres[:, 1],
            columns.AREA: area,
            columns.PERIMETER: perimeter,
            columns.DIAMETER: np.sqrt(4 * area / np.pi),
            columns.CIRCULARITY: 4 * np.pi * area / perimeter**2,
            columns.TOUCHES_EDGE: edge,
            columns.HIDDEN: hidden,
            columns.HEIGHT_PX: box[:, 0],
            columns.WIDTH_PX: box[:, 1],
        },
        index=pd.RangeIndex(1, len(area) + 1, name=columns.LABEL),
    )


def _polygon_facts(corners):
    """Area, perimeter and centroid (y, x) of a simple polygon."""
    nxt = np.roll(corners, -1, axis=0)
    cross = corners[:, 1] * nxt[:, 0] - nxt[:, 1] * corners[:, 0]
    twice = cross.sum()
    centroid = ((corners + nxt) * cross[:, None]).sum(axis=0) / (3 * twice)
    return abs(twice) / 2, np.hypot(*(nxt - corners).T).sum(), *centroid


def _inside_polygon(corners, y, x):
    """Even-odd rule: count the edges that a ray towards +x crosses."""
    inside = np.zeros(np.broadcast_shapes(y.shape, x.shape), bool)
    for (y0, x0), (y1, x1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y0 != y1:
            inside ^= ((y0 > y) != (y1 > y)) & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return inside


def _pairs(values, *, name):
    array = np.asarray(values if isinstance(values, np.ndarray) else list(values), float)
    array = array.reshape(-1, 2) if array.size == 0 else array
    if array.ndim != 2 or array.shape[1] != 2 or not np.isfinite(array).all():
        raise InputError(f"`{name}` must be finite (n, 2) pairs in array order (y, x), got shape {array.shape}.")
    return array


def _same_length(**named):
    lengths = {name: len(value) for name, value in named.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"one row for each shape is needed, got {lengths}.")
