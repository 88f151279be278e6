"""Pictures of a registered series: who is who, how each particle moved, and whether the frames match now."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..results import ReportFigure
from . import _motion_curves as curves
from . import _motion_maps as maps
from ._motion_look import NAMED

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike


def overlay(frames: Mapping[str, tuple[ArrayLike, ArrayLike]], *, spacing: Any) -> ReportFigure:
    """Frames with the outline and number of each particle, for a person to check.

    Parameters
    ----------
    frames : mapping of str to (image, labels)
        Up to six, by their titles (``"8333.0 eV"``), across the edge; ``(y, x)`` each, labels are the numbers.
    spacing : float, (float, float) or None
        Pixel size in um, (y, x); None where it is not known.
    """
    return ReportFigure(
        lambda: maps.overlay(dict(itertools.islice(frames.items(), 6)), spacing),
        "Frames of the series with the outline and number of every particle: the same particle must carry the "
        "same number in all of them, and its outline must lie on its edge.",
        "Particles",
    )


def paths(
    motion: pd.DataFrame, path: pd.DataFrame, deformation: pd.DataFrame | None = None, *, many: int = NAMED
) -> ReportFigure:
    """Cumulative displacement of every particle and of the field as a whole (Fig. 3(c) of the paper).

    Parameters
    ----------
    motion, path : DataFrame
        As of `track.motion_table` and `track.path_table`; the latter given the deformation, there is a second panel.
    deformation : DataFrame, optional
        ``Deformation.frames``: the path of its shift is drawn black.
    many : int
        From here on particles are coloured along a scale instead of named.
    """
    return ReportFigure(
        lambda: curves.paths(motion, path, deformation, many),
        "Length of the path gone by each frame (band: one standard error); dotted, where it differs: with what noise "
        "adds. Left with the jitter of the stage, black: the field as a whole; right without its shift.",
        "Motion",
    )


def velocities(motion: pd.DataFrame, deformation: pd.DataFrame | None = None, *, many: int = NAMED) -> ReportFigure:
    """Horizontal and vertical velocity of every particle with bands (Fig. 3(d), (e) of the paper).

    Parameters as of `paths`. Above: as measured, with the velocity of the field black. Below: beyond that of
    the field, which is what deforms.
    """
    return ReportFigure(
        lambda: curves.velocities(motion, deformation, many),
        "Velocity of the particles across (left) and down the field (right), bands: one standard error. Above as "
        "measured, black: the field as a whole; below relative to the field.",
        "Motion",
    )


def similarity(before: Mapping[int, ArrayLike], after: Mapping[int, ArrayLike]) -> ReportFigure:
    """Distribution of the similarity of neighbouring frames before and after alignment (Fig. 3(f) of the paper).

    Parameters
    ----------
    before, after : mapping of particle to (n,) array
        As of `track.series_ssim`; NaN is left out.
    """
    return ReportFigure(
        lambda: curves.similarity(before, after),
        "Structural similarity of neighbouring frames within each particle before and after alignment. Left: all "
        "particles together; right: particle by particle, median and the middle 68 %.",
        "Alignment",
    )


def trajectories(
    motion: pd.DataFrame,
    deformation: pd.DataFrame | None = None,
    *,
    image: ArrayLike,
    spacing: Any,
    magnified: float | None = None,
) -> ReportFigure:
    """The way of each particle in the field, with one standard error as a disc at each place.

    Parameters
    ----------
    motion, deformation : DataFrame
        As of `track.motion_table`, ``Deformation.frames``: its shift is taken off in the right panel.
    image : (y, x) array
        A frame to draw on.
    spacing : float, (float, float) or None
        Pixel size in um, (y, x); None where it is not known.
    magnified : float, optional
        How much longer the ways are drawn than they are; a round factor that fits the spacing unless given.
    """
    return ReportFigure(
        lambda: maps.trajectories(motion, deformation, np.asarray(image, float), spacing, magnified),
        "The way of each particle from its first place (circle) to its last (dot), magnified as the title says. Left "
        "as measured, right without the motion of the field as a whole. Pale discs: one standard error.",
        "Motion",
    )


def differences(
    stacks: Mapping[int, tuple[ArrayLike, ArrayLike]], masks: Mapping[int, ArrayLike] | None = None
) -> ReportFigure:
    """Last frame minus first, before and after alignment (Fig. 3(b) of the paper).

    Parameters
    ----------
    stacks : mapping of particle to (before, after)
        (frame, y, x) each; the first and the last frame that were seen are taken, each scaled to mean 0 and standard
        deviation 1 within the mask.
    masks : mapping of particle to (y, x) bool array, optional
        Outline of each, drawn.
    """
    return ReportFigure(
        lambda: maps.differences(stacks, masks or {}),
        "Last frame minus first, each scaled to the same mean and contrast: before alignment (above) and after "
        "(below). A pair of a red and a blue rim is a shift that is left; what remains inside a particle is chemistry.",
        "Alignment",
    )


def strains(deformation: pd.DataFrame) -> ReportFigure:
    """Shift, strain, rotation and what is left over, frame by frame; as of ``Deformation.frames``."""
    return ReportFigure(
        lambda: curves.strains(deformation),
        "The field as a whole: shift, strain and rotation with their standard errors (bands), and the motion that is "
        "left to single particles (root mean square per axis). Frames that do not determine them are left out.",
        "Deformation",
    )


def residual_map(
    motion: pd.DataFrame,
    particles: pd.DataFrame,
    *,
    image: ArrayLike,
    spacing: Any,
    frames: Sequence[int] | None = None,
) -> ReportFigure:
    """What each particle did beyond shift, rotation and strain, as arrows in the field.

    Parameters
    ----------
    motion : DataFrame
        As of `track.motion_table`.
    particles : DataFrame
        ``Deformation.particles``.
    image : (y, x) array
        A frame to draw on.
    spacing : float, (float, float) or None
        Pixel size in um, (y, x); None where it is not known.
    frames : sequence of int, optional
        Averaged; the last tenth unless given.
    """
    return ReportFigure(
        lambda: maps.residual_map(motion, particles, np.asarray(image, float), spacing, frames),
        "Displacement of each particle beyond what shift, rotation and strain of the field explain: mean of the frames "
        "named, magnified as the title says; circles: two standard errors of that mean. The blue part is common to its "
        "neighbours.",
        "Deformation",
    )


def sigmas(motion: pd.DataFrame) -> ReportFigure:
    """Standard error of the positions against energy, refused frames marked."""
    return ReportFigure(
        lambda: curves.sigmas(motion),
        "Standard error of a position per axis against energy: each particle (thin), their median (black). Crosses: "
        "frames refused for weak evidence; the lower panel counts what was measured.",
        "Alignment",
    )
