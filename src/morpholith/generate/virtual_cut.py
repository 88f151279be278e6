"""Sections that an architecture would show, in the outline of a measured one or through a ball."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import _checks
from ..errors import InputError
from .architecture import Architecture
from .power_diagram import label_section

if TYPE_CHECKING:
    from ..segment import Section


def cut_like(
    architecture: Architecture,
    section: Section,
    *,
    rng: np.random.Generator,
    height_um: float | None = None,
    whole: bool = False,
    min_pixels: int = 1,
) -> Section:
    """Draw a section of an architecture with the outline, step and centre of a measured one.

    Parameters
    ----------
    architecture : Architecture
    section : Section
    rng : Generator
        Each call draws another particle.
    height_um : float, optional
        Distance of the plane from the centre; that of the section by default, 0 where that is unknown.
    whole : bool
        Keep grains whole whose centroid in the plane lies within the outline, and leave the others out, as the surface
        of a particle is made of faces of grains: grains cut at an outline that is not theirs are smaller and lie along
        it. Pixels are then lost as often as in the measured section, at boundaries and within grains apart. Otherwise
        grains are cut at the outline, and the very pixels that miss a grain in the measured section miss one here.
    min_pixels : int
        With `whole`, smaller grains count as lost, as `segment.sections` has it.

    Returns
    -------
    Section
        To be measured as the measured one is; with `whole`, by its `segment.filled_labels`, since only those are alike.

    Raises
    ------
    InputError
        The architecture has no grain there.
    """
    from dataclasses import replace

    height = float(section.height_um or 0.0) if height_um is None else float(height_um)
    if whole:
        centre, labels = _whole(architecture, section.inside, section.step_um, section.centre_px, height, rng)
        kept = _seen(labels, _losses(section), min_pixels, rng)
        # outside are pixels of no grain, and the hull of a particle is not lost with its last pixels
        return replace(section, labels=kept, inside=labels > 0, centre_px=centre, height_um=height)
    labels = _plane(architecture, section.labels.shape, section.step_um, section.centre_px, height, rng)
    known = section.inside & (section.labels > 0)
    return replace(section, labels=np.where(known, labels, 0).astype(np.int32), height_um=height)


def cut_ball(
    architecture: Architecture,
    *,
    radius_um: float,
    height_um: float,
    step_um: float,
    rng: np.random.Generator,
    whole: bool = False,
) -> Section:
    """Draw a section of a ball filled by an architecture (paper 001, Fig. 11).

    Parameters
    ----------
    architecture : Architecture
    radius_um : float
        Of the ball.
    height_um : float
        Distance of the plane from its centre, below `radius_um`.
    step_um : float
    rng : Generator
    whole : bool
        Keep grains whole whose centroid in the plane lies within the ball, and leave the others out.

    Returns
    -------
    Section
        A disc of radius sqrt(radius^2 - height^2), grains at its rim cut there unless they are kept whole.

    Raises
    ------
    InputError
        The plane misses the ball, or the architecture has no grain there.
    """
    from ..segment import Section

    _checks.positive(radius_um, name="radius_um")
    if not 0 <= height_um < radius_um:
        raise InputError(f"`height_um` must lie from 0 to below the radius, {radius_um:g}; got {height_um!r}.")
    disc = float(np.sqrt(radius_um**2 - height_um**2))
    half = int(np.ceil(disc / step_um)) + 1
    shape, centre = (2 * half + 1, 2 * half + 1), (float(half), float(half))
    y, x = np.ogrid[-half : half + 1, -half : half + 1]
    inside = (y * y + x * x) * step_um**2 <= disc**2
    if whole:
        centre, labels = _whole(architecture, inside, step_um, centre, height_um, rng)
        return Section(labels, labels > 0, step_um, centre, height_um=height_um)
    labels = _plane(architecture, shape, step_um, centre, height_um, rng)
    return Section(np.where(inside, labels, 0).astype(np.int32), inside, step_um, centre, height_um=height_um)


def _plane(architecture, shape, step, centre, height, rng) -> np.ndarray:
    """Label a plane at a distance from the origin; `centre` is the pixel above it."""
    corner = np.array([height, -centre[0] * step, -centre[1] * step])
    opposite = corner + np.array([0.0, (shape[0] - 1) * step, (shape[1] - 1) * step])
    reach = architecture.reach_um
    field = architecture.draw(corner - reach, opposite + reach, rng=rng)
    if not len(field.seeds):
        raise InputError("the architecture has no grain in this section: its intensity is too low for it.")
    return label_section(
        *field[:3], corner=tuple(corner), axes=np.eye(3)[1:], shape=shape, spacing=step, power=field.power, threads=1
    )


def _whole(architecture, inside, step, centre, height, rng) -> tuple[tuple[float, float], np.ndarray]:
    """Label a plane around an outline and keep the grains with their centroid in it; the centre moves with the margin.

    Pieces of a grain that do not hang together in the plane are grains of their own, as an instrument sees them.
    """
    from scipy import ndimage
    from skimage.measure import label

    margin = int(np.ceil(architecture.reach_um / step))
    outline = np.pad(ndimage.binary_fill_holes(inside), margin)
    moved = (centre[0] + margin, centre[1] + margin)
    pieces = label(_plane(architecture, outline.shape, step, moved, height, rng) + 1, connectivity=1)
    count = np.bincount(pieces.ravel())
    middles = [np.bincount(pieces.ravel(), at.ravel()) / np.maximum(count, 1) for at in np.indices(pieces.shape)]
    kept = outline[tuple(np.rint(at).astype(int) for at in middles)]
    kept[0] = False
    found = np.where(kept[pieces], pieces, 0).astype(np.int32)
    rows, columns = (np.flatnonzero((found > 0).any(axis)) for axis in (1, 0))
    if len(rows) == 0:
        return moved, found
    top, left = max(rows[0] - 1, 0), max(columns[0] - 1, 0)
    return (float(moved[0] - top), float(moved[1] - left)), found[top : rows[-1] + 2, left : columns[-1] + 2]


def _losses(section: Section) -> tuple[float, float]:
    """Share of the pixels of a section that miss a grain, within grains and at their boundaries."""
    from ..segment import filled_labels

    filled = filled_labels(section)
    missing = section.inside & (section.labels == 0)
    edge = _edges(filled)
    within = section.inside & ~edge
    return float(missing[within].mean()) if within.any() else 0.0, float(missing[edge].mean()) if edge.any() else 0.0


def _edges(labels) -> np.ndarray:
    """Pixels of grains beside another grain."""
    edge = np.zeros(labels.shape, bool)
    for axis in (0, 1):
        first, second = np.moveaxis(labels, axis, 0)[:-1], np.moveaxis(labels, axis, 0)[1:]
        other = (first != second) & (first > 0) & (second > 0)
        np.moveaxis(edge, axis, 0)[:-1] |= other
        np.moveaxis(edge, axis, 0)[1:] |= other
    return edge


def _seen(labels, losses, min_pixels, rng) -> np.ndarray:
    """Lose pixels by chance, and grains of which too few are left."""
    within, edge = losses
    lost = rng.random(labels.shape) < np.where(_edges(labels), edge, within)
    kept = np.where(lost, 0, labels)
    few = np.bincount(kept.ravel(), minlength=int(labels.max(initial=0)) + 1) < min_pixels
    return np.where(few[kept], 0, kept).astype(np.int32)
