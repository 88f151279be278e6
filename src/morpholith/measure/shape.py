"""Size and shape of labelled particles in a plane image."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .. import _checks, columns
from ..errors import InputError, InputWarning
from ._labels import compact

if TYPE_CHECKING:
    import pandas as pd

CIRCULARITY_SE = "circularity_se"
FERET_MAX, FERET_MIN = "feret_max_um", "feret_min_um"
ASPECT_RATIO = "aspect_ratio"  # long axis over short axis of the ellipse with the same second moments
SOLIDITY = "solidity"  # area over area of the convex hull
ORIENTATION = "orientation_deg"  # of the long axis, counter-clockwise from x as displayed, -90..90

MIN_PIXELS = 50
"""Below this (a radius of 4 px) an outline says nothing about shape: circularity and its like are NaN."""

MOST_CIRCULAR = 1.1
"""Beyond this, or below 0, the outline was too thin for the blur and tells nothing."""

LOST_PIECES = 0.05
"""Share of a label lying apart from its largest piece that is worth a warning."""

SE_RADIUS_PX = 0.1
"""Standard error of circularity times the radius in px; see `particles`."""


def particles(
    labels: np.ndarray,
    *,
    spacing: Sequence[float] | float,
    image: np.ndarray | None = None,
    smoothing_px: float | None = None,
) -> pd.DataFrame:
    """Measure every labelled particle: one row each.

    Parameters
    ----------
    labels : (y, x) int array
        0 is background. Of a label in several pieces the largest (8-connected) is measured, with a warning
        if the rest is more than 5 %; holes are filled, so every number is that of the outer contour.
    spacing : (float, float)
        Pixel edges in um, in array order. They may differ; up to 1:1.5 costs little accuracy.
    image : (y, x) array, optional
        The micrograph: adds `texture` and `anisotropy` (see `measure.texture`), which are NaN without it.
    smoothing_px : float, optional
        Width of the Gaussian that smooths the outline. By default 0.06 of the particle's radius, between
        1 and 2 px. A ragged segmentation calls for more, facets of few pixels for less.

    Returns
    -------
    DataFrame
        Index `label`, ascending. `y_um, x_um` (centroid), `area_um2` (pixels counted), `perimeter_um`,
        `diameter_um` (of the disc of equal area), `circularity` (4 pi A / P^2; the "sphericity" of paper
        000), `circularity_se`, `feret_max_um`, `feret_min_um`, `aspect_ratio`, `solidity`,
        `orientation_deg`, `texture`, `anisotropy`, `touches_edge` (has a pixel in the outermost row or
        column), `bbox_height_px`, `bbox_width_px`. No labels give an empty table with the same columns.
        Shape is NaN for particles below `MIN_PIXELS` or so thin that the blur wipes them out.

    Raises
    ------
    InputError
        `labels` is not a plane integer array or is negative somewhere; `image` has another shape.

    Notes
    -----
    Circularity is read from the half-height contour of the blurred mask at two widths of blur,
    extrapolated to none, with the mean lengthening by pixelation removed (`_outline` has the argument).
    Perimeter is then sqrt(4 pi A / circularity), so that the columns agree with each other. On discs at
    random sub-pixel centres the mean is within 0.002 of 1 from r = 4 px on. The estimate is not clipped:
    single discs scatter around 1. `circularity_se` is 0.1 / r (r in px, times the ratio of the pixel edges):
    what the root mean square error does not exceed on discs, ellipses up to 1.5:1 and smooth lumpy outlines.
    It is about pixels alone, not about a wrong segmentation. Where the outline bends within a few pixels a
    bias remains: squares +0.023 at r = 8 px and +0.006 at 20 px, pentagons +0.038 and +0.006, ellipses of 3:1
    -0.018 and -0.004; jagged hand-drawn polygons +0.01 to +0.02.
    """
    labels = _checks.labels(labels)
    pixel = _checks.spacing(spacing, 2)
    labels, names = compact(labels)
    box, raw = _outlines(labels, len(names), pixel, smoothing_px)
    table = _table(labels.shape, names, box, raw, pixel)
    if image is None:
        return table
    from .texture import texture

    if np.shape(image) != labels.shape:
        raise InputError(f"`image` {np.shape(image)} and `labels` {labels.shape} must have the same shape.")
    found = texture(image, labels, spacing=pixel)
    for name in (columns.TEXTURE, columns.ANISOTROPY):
        table[name] = found[name].to_numpy()
    return table


def _outlines(labels, n, pixel, smoothing_px):
    from . import _outline

    if smoothing_px is not None and not smoothing_px > 0:
        raise InputError(f"`smoothing_px` must be a positive width in px or None, got {smoothing_px!r}.")
    if n == 0:
        return np.empty((0, 4), np.int64), np.empty((0, _outline.N_COLUMNS))
    box = _outline.boxes(labels, n)
    raw = _outline.outlines(labels, np.arange(1, n + 1), box, pixel[0], pixel[1], float(smoothing_px or 0))
    lost = 1 - raw[:, _outline.PIXELS] / np.bincount(labels.ravel(), minlength=n + 1)[1:]
    broken = int(((raw[:, _outline.PIECES] > 1) & (lost > LOST_PIECES)).sum())
    if broken:
        warnings.warn(
            f"{broken} label(s) come in several pieces; the largest piece of each is measured.",
            InputWarning,
            stacklevel=3,
        )
    return box[1:], raw


def _table(shape, names, box, raw, pixel):
    import pandas as pd

    from . import _outline as o

    count = raw[:, o.PIXELS]
    area = count * pixel[0] * pixel[1]
    circularity = raw[:, o.CIRCULARITY]
    seen = (count >= MIN_PIXELS) & (circularity > 0) & (circularity < MOST_CIRCULAR)
    circularity = np.where(seen, circularity, np.nan)
    radius_px = np.sqrt(count / np.pi)
    aspect, angle = _ellipse(raw[:, o.YY], raw[:, o.XX], raw[:, o.YX])
    edge = (box[:, 0] == 0) | (box[:, 2] == 0) | (box[:, 1] == shape[0] - 1) | (box[:, 3] == shape[1] - 1)
    return pd.DataFrame(
        {
            columns.Y: raw[:, o.ROW] * pixel[0],
            columns.X: raw[:, o.COLUMN] * pixel[1],
            columns.AREA: area,
            columns.PERIMETER: np.sqrt(4 * np.pi * area / circularity),
            columns.DIAMETER: np.sqrt(4 * area / np.pi),
            columns.CIRCULARITY: circularity,
            CIRCULARITY_SE: np.where(seen, SE_RADIUS_PX / radius_px * max(pixel) / min(pixel), np.nan),
            FERET_MAX: np.where(seen, raw[:, o.FERET_MAX], np.nan),
            FERET_MIN: np.where(seen, raw[:, o.FERET_MIN], np.nan),
            ASPECT_RATIO: aspect,
            SOLIDITY: np.where(seen, raw[:, o.SOLIDITY], np.nan),
            ORIENTATION: angle,
            columns.TEXTURE: np.full(len(names), np.nan),
            columns.ANISOTROPY: np.full(len(names), np.nan),
            columns.TOUCHES_EDGE: edge,
            columns.HEIGHT_PX: box[:, 1] - box[:, 0] + 1,
            columns.WIDTH_PX: box[:, 3] - box[:, 2] + 1,
        },
        index=pd.Index(names, name=columns.LABEL, dtype=np.int64),
    )


def _ellipse(yy, xx, yx):
    """Axis ratio and direction (degrees, counter-clockwise as displayed) of second moments."""
    mean, spread = (yy + xx) / 2, np.hypot((xx - yy) / 2, yx)
    ratio = np.sqrt((mean + spread) / np.maximum(mean - spread, np.finfo(float).tiny))
    return ratio, np.rad2deg(0.5 * np.arctan2(-2 * yx, xx - yy))
