"""Statistics of the grains in sections of particles, that a model of the grains in 3D can be compared by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from .section_loss import loss_rates

if TYPE_CHECKING:
    import pandas as pd

    from ..segment import Section

FILLED_PX = 3.0  # pixels without grain this near to one are given to it: unindexed boundaries
INNER = 0.6  # inner ring of a section: up to this share of its radius
RINGS = ("inner", "outer")
ANGLES = ("along", "oblique", "across")  # lines at 0-30, 30-60 and 60-90 degrees to the radius
PAIRS = ((0, 1), (1, 0), (1, 1), (1, -1))  # neighbours of a pixel (rows, columns)
FEW = 6  # grains below which a ring has no statistics
OF_RING = (
    *(f"log_boundary_{a}" for a in ANGLES), "log_number", "log_area", "log_area_sd", "log_area_by_area",
    "log_axis_ratio", "log_axis_ratio_sd", "log_radial_ratio", "log_radial_ratio_sd", "order2", "order4",
    "area_and_axis_ratio", "area_and_radial_ratio", "nearest", "nearest_order",
)  # fmt: skip
SIZE_QUANTILES = (0.05, 0.25, 0.75, 0.95)
RATIO_QUANTILES = (0.1, 0.5, 0.9)
OF_ALL = (
    *(f"log_area_q{round(100 * q):02d}" for q in SIZE_QUANTILES),
    *(f"log_axis_ratio_q{round(100 * q):02d}" for q in RATIO_QUANTILES),
    *(f"log_radial_ratio_q{round(100 * q):02d}" for q in RATIO_QUANTILES),
)
OF_SECTION = ("order2_inner", "order2_outer", "log_radial_ratio_inner", "log_radial_ratio_outer", "log_boundary")


@dataclass(frozen=True)
class SectionFrame:
    """What does not depend on the grains of a section: its outline and where its pixels lie.

    Attributes
    ----------
    known : (y, x) bool array
        Pixels of the particle within 3 pixels of a grain: what is compared.
    step_um, radius_um : float
        Edge of a pixel; radius of the circle of the outline's area.
    rim_um : float
        Distance of the farthest known pixel from the centre.
    y_um, x_um : (rows,), (columns,) arrays
        Places of pixels, seen from the centre.
    pairs : tuple of (first, second) index arrays
        Neighbouring pixels, both known, for each of the four directions.
    classes : tuple of int arrays
        Ring times 3 plus class of the angle to the radius, of each pair.
    area_um2 : float
        Area that is known.
    min_pixels : int
        Smaller grains are given to their neighbours.
    losses : (float, float)
        Share of the pixels at boundaries, and of the others, that the measured section misses.
    """

    known: np.ndarray
    step_um: float
    radius_um: float
    rim_um: float
    y_um: np.ndarray
    x_um: np.ndarray
    pairs: tuple
    classes: tuple
    area_um2: float
    min_pixels: int
    losses: tuple[float, float] = (0.0, 0.0)


def section_frame(section: Section, *, min_pixels: int = 5) -> SectionFrame:
    """Prepare a section for `frame_statistics`: many simulated ones may then be measured in its outline.

    Parameters
    ----------
    section : Section
    min_pixels : int
        Grains of fewer pixels are not compared: an instrument loses them.

    Raises
    ------
    InputError
        A section without grains.
    """
    from scipy.ndimage import distance_transform_edt

    if section.n_grains == 0:
        raise InputError(f"section {section.name!r} has no grains: leave it out.")
    known = section.inside & (distance_transform_edt(section.labels == 0) <= FILLED_PX)
    step = section.step_um
    y, x = (step * (np.arange(n) - c) for n, c in zip(known.shape, section.centre_px, strict=True))
    number = np.arange(known.size).reshape(known.shape)
    pairs, classes = [], []
    for down, right in PAIRS:
        at = (slice(0, known.shape[0] - down), slice(max(0, -right), known.shape[1] - max(0, right)))
        to = (slice(down, None), slice(max(0, right), known.shape[1] + min(0, right)))
        both = known[at] & known[to]
        first, second = number[at][both], number[to][both]
        py = y[first // known.shape[1]] + step * down / 2
        px = x[first % known.shape[1]] + step * right / 2
        distance = np.hypot(py, px)
        cosine = np.abs(py * down + px * right) / np.maximum(distance * np.hypot(down, right), 1e-12)
        angle = np.minimum(np.rad2deg(np.arccos(np.minimum(cosine, 1))) // 30, 2).astype(np.int64)
        which = len(ANGLES) * (distance > INNER * section.radius_um) + angle
        pairs.append((first, second))
        classes.append(which)
    area = float(known.sum() * step**2)
    rim = float(np.hypot(y[:, None], x)[known].max())
    return SectionFrame(
        known, step, section.radius_um, rim, y, x, tuple(pairs), tuple(classes), area, int(min_pixels),
        loss_rates(section),
    )  # fmt: skip


def section_statistics(sections: Sequence[Section], *, min_pixels: int = 5, each: bool = False) -> pd.Series:
    """Describe the grains of sections, all together, by numbers that a simulation can be compared by.

    Parameters
    ----------
    sections : sequence of Section
    min_pixels : int
        Grains of fewer pixels are given to their neighbours.
    each : bool
        Add five numbers for each section, by which those far from the centre can be told.

    Returns
    -------
    Series
        By name; see `statistic_names`. NaN where a ring has fewer than six grains.

    Raises
    ------
    InputError
        No sections, or one without grains.
    """
    import pandas as pd

    if not sections:
        raise InputError("no sections: give at least one.")
    frames = [section_frame(s, min_pixels=min_pixels) for s in sections]
    values = frame_statistics([s.labels for s in sections], frames, each=each)
    return pd.Series(values, statistic_names(len(sections) if each else 0))


def statistic_names(n_each: int = 0) -> list[str]:
    """Return the names of the statistics, those of `n_each` single sections last.

    Of each ring (inner: up to 0.6 of the section's radius): boundaries met per um along lines at 0-30, 30-60 and 60-90
    degrees to the radius; whole grains per their area; mean and standard deviation of the logarithms of area, axis
    ratio and radial ratio (extent along over across the radius) of whole grains, mean log area also weighted by area;
    `order2`, `order4`: mean cosine of 2 and 4 alpha weighted by log axis ratio; correlations of log area with the two
    ratios; distance to the nearest centroid times the root of the number per area, and the mean cosine of twice its
    angle to the radius. Of all grains: quantiles.
    """
    names = [f"{name}_{ring}" for ring in RINGS for name in OF_RING] + list(OF_ALL)
    return names + [f"{name}_section{k + 1}" for k in range(n_each) for name in OF_SECTION]


def frame_statistics(labels: Sequence[np.ndarray], frames: Sequence[SectionFrame], *, each: bool = False) -> np.ndarray:
    """Return the statistics of label images in prepared outlines, in the order of `statistic_names`."""
    cleaned = [_cleaned(one, frame) for one, frame in zip(labels, frames, strict=True)]
    grains = [_grains(one, frame) for one, frame in zip(cleaned, frames, strict=True)]
    met = [_boundaries(one, frame) for one, frame in zip(cleaned, frames, strict=True)]
    pooled = np.concatenate(grains)
    with np.errstate(divide="ignore", invalid="ignore"):
        density = np.log(np.sum([m for m, _ in met], axis=0) / np.sum([m for _, m in met], axis=0)).reshape(
            len(RINGS), len(ANGLES)
        )
    values = []
    for ring in range(len(RINGS)):
        values += [*density[ring], *_of_ring(pooled[pooled[:, 0] == ring])]
    whole = pooled[pooled[:, 1] > 0]
    values += _of_all(whole)
    if each:
        for one, crossings in zip(grains, met, strict=True):
            values += _of_section(one[one[:, 1] > 0], crossings)
    found = np.array(values)
    return np.where(np.isfinite(found), found, np.nan)


def _cleaned(labels, frame):
    """Number the pieces of the grains, small ones given to what is nearest; 0 where nothing is known.

    Lost and mixed pixels make measured boundaries ragged, which simulated ones are not: both are smoothed first.
    """
    from skimage.measure import label

    from ._majority import majority

    labels = np.where(frame.known, labels, 0)
    labels = majority(np.ascontiguousarray(_filled(labels, frame.known), np.int32))
    pieces = label(labels, background=0, connectivity=1)
    size = np.bincount(pieces.ravel())
    small = size < frame.min_pixels
    small[0] = False
    if small.any() and not small[1:].all():
        pieces = _filled(np.where(small[pieces], 0, pieces), frame.known)
    return pieces


def _filled(labels, known):
    missing = known & (labels == 0)
    if not missing.any() or not labels.any():
        return labels
    from scipy.ndimage import distance_transform_edt

    near = distance_transform_edt(labels == 0, return_distances=False, return_indices=True)
    labels = labels.copy()
    labels[missing] = labels[near[0][missing], near[1][missing]]
    return labels


def _boundaries(pieces, frame):
    """Count the pairs of pixels with a boundary between them, of each class, and sum the length of all pairs.

    Pairs with a pixel of a grain that the outline cuts do not count: whether a surface cuts grains or is made of them
    must not matter.
    """
    flat = pieces.ravel()
    n = len(RINGS) * len(ANGLES)
    whole = np.ones(flat.max(initial=0) + 1, bool)
    whole[_cut(pieces)] = whole[0] = False
    met, length = np.zeros(n), np.zeros(n)
    for (first, second), which, (down, right) in zip(frame.pairs, frame.classes, PAIRS, strict=True):
        here, there = flat[first], flat[second]
        both = whole[here] & whole[there]
        met += np.bincount(which[both & (here != there)], minlength=n)
        length += np.bincount(which[both], minlength=n) * frame.step_um * np.hypot(down, right)
    return met, length


def _grains(pieces, frame):
    """One row a grain: ring, whole, log of area, axis ratio, radial ratio; cos 2 alpha, nearest, its cos 2 beta."""
    from scipy.spatial import cKDTree

    row, column = np.nonzero(pieces)
    number, which = np.unique(pieces[row, column], return_inverse=True)
    n = np.bincount(which).astype(float)
    y, x = frame.y_um[row], frame.x_um[column]
    cy, cx = np.bincount(which, y) / n, np.bincount(which, x) / n
    dy, dx = y - cy[which], x - cx[which]
    own = frame.step_um**2 / 12
    yy, xx = np.bincount(which, dy * dy) / n + own, np.bincount(which, dx * dx) / n + own
    xy = np.bincount(which, dx * dy) / n
    half, apart = (yy + xx) / 2, np.hypot((xx - yy) / 2, xy)
    distance = np.hypot(cy, cx)
    # a grain on the centre has no radius: any direction
    uy = np.where(distance > 0, cy / np.maximum(distance, 1e-300), 1.0)
    ux = np.where(distance > 0, cx / np.maximum(distance, 1e-300), 0.0)
    along = uy * uy * yy + ux * ux * xx + 2 * ux * uy * xy
    across = uy * uy * xx + ux * ux * yy - 2 * ux * uy * xy
    cos2 = (along - across) / np.maximum(2 * apart, 1e-300)  # of the long axis to the radius
    whole = np.ones(len(number), bool)
    whole[np.searchsorted(number, _cut(pieces))] = False
    near, beta = np.full(len(number), np.nan), np.full(len(number), np.nan)
    if len(number) > 1:
        gap, other = cKDTree(np.stack([cy, cx], 1)).query(np.stack([cy, cx], 1), k=2)
        near = gap[:, 1] * np.sqrt(len(number) / frame.area_um2)
        ty, tx = cy[other[:, 1]] - cy, cx[other[:, 1]] - cx
        beta = 2 * np.square((ty * uy + tx * ux) / np.maximum(gap[:, 1], 1e-12)) - 1
    ratio = 0.5 * np.log((half + apart) / (half - apart))
    ring = distance > INNER * frame.radius_um
    area = np.log(n * frame.step_um**2)
    return np.stack([ring, whole, area, ratio, 0.5 * np.log(along / across), np.clip(cos2, -1, 1), near, beta], 1)


def _cut(pieces):
    """Return the grains with a pixel beside nothing, or at the edge of the image."""
    padded = np.pad(pieces, 1)
    inner = (slice(1, -1), slice(1, -1))
    beside = np.zeros(pieces.shape, bool)
    for axis in (0, 1):
        for way in (-1, 1):
            beside |= np.roll(padded, way, axis)[inner] == 0
    return np.unique(pieces[beside & (pieces > 0)])


def _of_ring(grains):
    grains = grains[grains[:, 1] > 0]
    if len(grains) < FEW:
        return [np.nan] * (len(OF_RING) - len(ANGLES))
    _, _, size, ratio, radial, cos2, near, beta = grains.T
    weight = ratio + 1e-9
    order = [np.average(c, weights=weight) for c in (cos2, 2 * cos2**2 - 1)]
    return [
        -np.log(np.exp(size).mean()),
        size.mean(), size.std(), np.average(size, weights=np.exp(size)), ratio.mean(), ratio.std(),
        radial.mean(), radial.std(), *order, _correlation(size, ratio), _correlation(size, radial),
        near.mean(), beta.mean(),
    ]  # fmt: skip


def _of_all(grains):
    if len(grains) < FEW:
        return [np.nan] * len(OF_ALL)
    _, _, size, ratio, radial, *_ = grains.T
    spread = np.quantile(size, SIZE_QUANTILES) - size.mean()
    return [*spread, *np.quantile(ratio, RATIO_QUANTILES), *np.quantile(radial, RATIO_QUANTILES)]


def _of_section(grains, crossings):
    values = []
    for column in (5, 4):
        for ring in (0, 1):
            mine = grains[grains[:, 0] == ring]
            weight = mine[:, 3] + 1e-9 if column == 5 else np.ones(len(mine))
            values.append(np.average(mine[:, column], weights=weight) if len(mine) >= FEW else np.nan)
    total = crossings[0].sum() / max(crossings[1].sum(), 1e-12)
    return [*values, np.log(total) if total > 0 else np.nan]


def _correlation(a, b):
    a, b = a - a.mean(), b - b.mean()
    scale = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / scale) if scale > 0 else 0.0
