"""Sections of particles in orientation maps and label images: their grains, outline, step and centre."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .. import _checks
from ..errors import InputError
from ._section_outlines import cut_share, parted, regions, square_pixels

if TYPE_CHECKING:
    from ..read import OrientationMap

SECOND_PHASE = 0.05  # share of the indexed points from which a second phase is no longer an error of indexing
CUT = 0.02  # share of the outline at the edge of the map from which a section counts as cut


@dataclass(frozen=True)
class Section:
    """Grains of one particle in a plane.

    Parameters
    ----------
    labels : (y, x) int32 array
        Grains from 1; 0 outside the particle and where no grain is known.
    inside : (y, x) bool array
        The particle in this plane, pixels without grain included, pores not.
    step_um : float
        Edge of a pixel; pixels are square.
    centre_px : (float, float)
        Where the centre of the particle lies, or the point of the plane nearest to it: row and column, the middle of
        the first pixel at (0, 0).
    name : str
    height_um : float, optional
        Distance of the plane from the centre of the particle; 0 is a central section, None unknown.
    warnings : tuple of str
    corner_px : (int, int)
        Where the first pixel lies in the map it was cut from (after resampling to square pixels).
    cut_share : float
        Share of the outline that is the edge of the map: beyond it the centre is not that of the particle.
    """

    labels: np.ndarray
    inside: np.ndarray
    step_um: float
    centre_px: tuple[float, float]
    name: str = ""
    height_um: float | None = None
    warnings: tuple[str, ...] = ()
    corner_px: tuple[int, int] = (0, 0)
    cut_share: float = 0.0

    def __post_init__(self):
        if self.labels.ndim != 2 or self.labels.shape != self.inside.shape or self.inside.dtype != bool:
            raise InputError(
                f"a section needs labels (y, x) and a bool outline of the same shape, got {self.labels.shape} and "
                f"{self.inside.dtype} {self.inside.shape}."
            )
        _checks.positive(self.step_um, name="step_um")

    @property
    def n_grains(self) -> int:
        """Number of grains."""
        present = np.bincount(self.labels[self.labels > 0].ravel())
        return int((present > 0).sum())

    @property
    def radius_um(self) -> float:
        """Radius of the circle of the outline's area, NaN without one."""
        return float(np.sqrt(self.inside.sum() / np.pi) * self.step_um) if self.inside.any() else float("nan")

    @property
    def missing(self) -> float:
        """Share of the particle's pixels without a grain, NaN without pixels."""
        return float((self.labels[self.inside] == 0).mean()) if self.inside.any() else float("nan")


def sections(
    source: OrientationMap | np.ndarray,
    *,
    step_um: float | tuple[float, float] | None = None,
    name: str = "",
    threshold_deg: float = 5.0,
    min_pixels: int = 5,
    min_confidence: float | None = None,
    phase: int | None = None,
    laue: Mapping[int, str] | None = None,
    gap_pixels: int = 2,
    hole_pixels: int = 50,
    min_grains: int = 10,
    part: bool = True,
) -> list[Section]:
    """Find the sections of particles in an orientation map or a label image.

    Parameters
    ----------
    source : OrientationMap or (y, x) int array
        A map, whose grains are found by `grains`, or labels of grains (0 is no grain).
    step_um : float or (float, float), optional
        Edge of a pixel (y, x) of a label image; required there, refused for a map, which knows its own.
    name : str
        Of the map; sections of several particles are numbered.
    threshold_deg, min_confidence, laue
        As in `grains`.
    min_pixels : int
        Smaller grains count as missing pixels, in label images too.
    phase : int, optional
        The phase whose grains are wanted; pixels of others count as missing.
    gap_pixels : int
        Cracks and unindexed lines up to twice as wide belong to the particle; particles nearer than that are one.
    hole_pixels : int
        Larger holes are pores, outside the particle.
    min_grains : int
        Regions of fewer grains are debris.
    part : bool
        Part regions at necks whose half-width is below half the inscribed radius of the larger side: touching
        particles. Grains stay whole and go to the side most of them lies on.

    Returns
    -------
    list of Section
        Largest first, each cropped to its outline and one pixel around. The centre is the centroid of the outline,
        holes filled. A hexagonal grid and oblong pixels are resampled to square pixels of the same area by the nearest
        point. Warnings travel with the sections: outline cut by the edge of the map, particles parted at a neck, points
        of a second phase, confidence 0 everywhere, debris left out.

    Raises
    ------
    InputError
        No particle: nothing indexed, no grain large enough, or a single grain; two phases each with more than 5 % of
        the points while `phase` is not given; a step missing or given twice.
    """
    _checks.positive(min_pixels, name="min_pixels")
    if gap_pixels < 0 or hole_pixels < 0:
        raise InputError(f"`gap_pixels` and `hole_pixels` are 0 or more, got {gap_pixels!r} and {hole_pixels!r}.")
    warnings: list[str] = []
    if isinstance(source, np.ndarray):
        if step_um is None:
            raise InputError("a label image has no step of its own: give `step_um`, the edge of a pixel in um.")
        labels = _without_small(_checks.labels(source), min_pixels)
        labels, step = square_pixels(labels, _checks.spacing(step_um, 2, name="step_um"), None)
    else:
        if step_um is not None:
            raise InputError("an orientation map knows its step: give another one where the file is read.")
        labels, warnings = _grains(source, threshold_deg, min_pixels, min_confidence, phase, laue)
        shifted = source.shifted_row if source.grid == "hexagonal" else None
        labels, step = square_pixels(labels, source.spacing, shifted)
    if not labels.any():
        raise InputError(
            f"{name or 'the map'} shows no particle: no grain of at least {min_pixels} pixels is left"
            + (f" ({' '.join(warnings)})" if warnings else "; check threshold, step and confidence limits.")
        )
    parts = regions(labels, gap_pixels, hole_pixels)
    if part:
        parts, necks = parted(labels, parts, min_grains)
        if necks:
            warnings.append(f"{necks} regions were parted at a neck into touching particles: look at them.")
    counts = [len(np.unique(labels[at][part & (labels[at] > 0)])) for at, part in parts]
    kept = [i for i, n in enumerate(counts) if n >= min_grains]
    if not kept:
        most = max(counts)
        words = "a single grain" if most == 1 else f"{most} grains at most"
        raise InputError(
            f"{name or 'the map'} shows no particle of {min_grains} grains or more, but {words} in a connected region; "
            "raise `gap_pixels` if unindexed lines part the grains, or lower `min_grains`."
        )
    debris = len(counts) - len(kept)
    if debris:
        warnings.append(f"{debris} regions of fewer than {min_grains} grains were left out.")
    kept.sort(key=lambda i: -int(parts[i][1].sum()))
    found = [_section(labels, *parts[i], step, tuple(warnings)) for i in kept]
    return [replace(one, name=_numbered(name, k, len(found))) for k, one in enumerate(found, start=1)]


def filled_labels(section: Section) -> np.ndarray:
    """Return the labels of a section with its missing pixels given to the nearest grain.

    The plain way; `generate.fit_diagram` fills them by the shapes of the grains around.

    Parameters
    ----------
    section : Section

    Returns
    -------
    (y, x) int32 array
        0 outside the particle only; unchanged where no grain is known at all.
    """
    from scipy import ndimage

    missing = section.inside & (section.labels == 0)
    if not missing.any() or not section.labels.any():
        return section.labels.copy()
    nearest = ndimage.distance_transform_edt(section.labels == 0, return_distances=False, return_indices=True)
    return np.where(missing, section.labels[tuple(nearest)], section.labels).astype(np.int32)


def _grains(orientations, threshold_deg, min_pixels, min_confidence, phase, laue) -> tuple[np.ndarray, list[str]]:
    """Labels of the grains of the wanted phase, and what deserves a word."""
    from ..read import OrientationMap
    from .grains import grains

    warnings = list(orientations.warnings)
    wanted = orientations.valid & (orientations.phase > 0)
    counts = np.bincount(orientations.phase[wanted], minlength=2)
    indexed = int(counts.sum())
    names = ["", *(one.name for one in orientations.phases)]
    if phase is not None and (phase < 1 or phase >= len(counts) or counts[phase] == 0):
        raise InputError(f"no point of the map has phase {phase}; it has {[int(k) for k in np.flatnonzero(counts)]}.")
    if phase is None and indexed:
        second = int(np.sort(counts)[-2])
        if second > SECOND_PHASE * indexed:
            shares = ", ".join(f"{k} ({names[k]}) {counts[k] / indexed:.0%}" for k in np.flatnonzero(counts))
            raise InputError(f"the map has two phases or more: {shares}; say which grains are meant with `phase`.")
        phase = int(np.argmax(counts))
        if second:
            warnings.append(f"{indexed - int(counts[phase])} points of other phases than {phase} count as missing.")
    confidence = orientations.confidence
    if confidence is not None and indexed and not np.nan_to_num(confidence[wanted]).any():
        if min_confidence is not None and min_confidence > 0:
            raise InputError("the confidence index is 0 at every point: leave `min_confidence` out, or index again.")
        warnings.append("the confidence index is 0 at every point, so that uncertain points cannot be told.")
    if phase is not None:
        only = wanted & (orientations.phase == phase)
        orientations = OrientationMap(
            orientations.euler_rad, np.where(only, phase, 0).astype(np.int32), orientations.spacing, orientations.grid,
            orientations.phases, only, orientations.quality, confidence, orientations.shifted_row,
        )  # fmt: skip
    found = grains(
        orientations, threshold_deg=threshold_deg, min_pixels=min_pixels, min_confidence=min_confidence, laue=laue
    )
    return found.labels, warnings + list(found.warnings)


def _without_small(labels, min_pixels) -> np.ndarray:
    """Return labels from 1 without gaps; grains below `min_pixels` and negative numbers become 0."""
    number, which, count = np.unique(np.maximum(labels, 0), return_inverse=True, return_counts=True)
    keep = (number > 0) & (count >= min_pixels)
    return (np.cumsum(keep) * keep)[which].reshape(labels.shape).astype(np.int32)


def _section(labels, at, part, step, warnings) -> Section:
    """Return one region as a section: cropped, numbered anew, with its centre and what is doubtful about it."""
    from scipy import ndimage

    words = list(warnings)
    share = cut_share(at, part, labels.shape)
    if share > CUT:
        words.append(
            f"{share:.0%} of the section's outline lie at the edge of the map: its centre is that of the part seen."
        )
    own = np.pad(np.where(part, labels[at], 0), 1)
    filled = ndimage.binary_fill_holes(np.pad(part, 1))
    y, x = np.nonzero(filled)
    return Section(
        labels=_without_small(own, 1),
        inside=np.pad(part, 1),
        step_um=step,
        centre_px=(float(y.mean()), float(x.mean())),
        warnings=tuple(words),
        corner_px=(at[0].start - 1, at[1].start - 1),
        cut_share=share,
    )


def _numbered(name, k, n) -> str:
    return name if n == 1 else f"{name} {k}".strip()
