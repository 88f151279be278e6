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
    architecture: Architecture, section: Section, *, rng: np.random.Generator, height_um: float | None = None
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

    Returns
    -------
    Section
        Pixels that miss a grain in the measured section miss one here too, so that both are measured alike.

    Raises
    ------
    InputError
        The architecture has no grain there.
    """
    from dataclasses import replace

    height = float(section.height_um or 0.0) if height_um is None else float(height_um)
    labels = _plane(architecture, section.labels.shape, section.step_um, section.centre_px, height, rng)
    known = section.inside & (section.labels > 0)
    return replace(section, labels=np.where(known, labels, 0).astype(np.int32), height_um=height)


def cut_ball(
    architecture: Architecture, *, radius_um: float, height_um: float, step_um: float, rng: np.random.Generator
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

    Returns
    -------
    Section
        A disc of radius sqrt(radius^2 - height^2), grains at its rim cut there.

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
    labels = _plane(architecture, shape, step_um, centre, height_um, rng)
    y, x = np.ogrid[-half : half + 1, -half : half + 1]
    inside = (y * y + x * x) * step_um**2 <= disc**2
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
