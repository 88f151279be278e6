"""Sections of marker laws, in the outlines of observed ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import repeat
from multiprocessing import get_context

import numpy as np

from ..measure import SectionFrame, frame_statistics, with_losses
from ..progress import progress
from .marker_law import CLIP, MarkerLaw
from .marker_law import COVERED as REACHED
from .power_diagram import label_section

COVERED = 1.25  # as in marker_law, for one point in 3600: what more there is does not show in statistics
SCATTER = 2.0  # standard deviations of the scatter of axes that are looked for
MOST_DRAWN = 600_000  # seeds around a section beyond which a law is not tried: it has far too many grains


def law_section(law: MarkerLaw, frame: SectionFrame, height_um: float, rng: np.random.Generator) -> np.ndarray | None:
    """Label the pixels of a section of the law at a distance from the centre; None if its grains are far too many."""
    reach = law.reach_um * COVERED / REACHED
    corner = np.array([height_um, frame.y_um[0], frame.x_um[0]])
    opposite = np.array([height_um, frame.y_um[-1], frame.x_um[-1]])
    if law.intensity_per_um3 * np.prod(opposite - corner + 2 * reach) > MOST_DRAWN:
        return None
    # what a section can meet is far less than the box: grains across the radius are short where the plane is along it
    seeds, matrices, radii, _ = law.drawn(corner - reach, opposite + reach, rng, _near_plane(law, frame, height_um))
    if len(seeds) == 0:
        return None
    # norm of the nearest point of the plane: |z| over the root of the first entry of the inverse
    thick = np.sqrt((matrices[:, 1, 1] * matrices[:, 2, 2] - matrices[:, 1, 2] ** 2) / np.linalg.det(matrices))
    nearest = np.abs(seeds[:, 0] - height_um) / thick
    reaches = nearest**law.power - radii < COVERED**law.power
    if not reaches.any():
        return None
    return label_section(
        seeds[reaches], matrices[reaches], radii[reaches], corner=tuple(corner.tolist()), axes=np.eye(3)[1:],
        shape=frame.known.shape, spacing=frame.step_um, power=law.power, threads=1,
    )  # fmt: skip


def _near_plane(law, frame, height):
    """Return what tells which seeds can have a grain in the section."""
    offset = CLIP * law.size_spread
    norm = COVERED + offset if law.power == 1 else np.sqrt(COVERED**2 + offset)

    def near(points, margin):
        flat = np.hypot(points[:, 1], points[:, 2])
        distance = np.maximum(np.hypot(points[:, 0], flat), 1e-12)
        first, across = law.half_axes(distance)
        # where first axes scatter they may stand more upright than the radius
        upright = np.minimum(np.abs(points[:, 0]) / distance + SCATTER * law.disorder, 1.0) ** 2
        reach = norm * np.sqrt(np.where(first > across, upright * first**2 + (1 - upright) * across**2, across**2))
        beside = norm * np.maximum(first, across)
        return (np.abs(points[:, 0] - height) <= reach + margin) & (flat <= frame.rim_um + beside + margin)

    return near


def law_statistics(
    law: MarkerLaw, frames: Sequence[SectionFrame], heights: Sequence[float], each: bool, seed: Sequence[int]
) -> np.ndarray | None:
    """Draw one section in each outline and return their statistics; None if the law has far too many grains."""
    rng = np.random.default_rng(list(seed))
    labels = []
    for frame, height in zip(frames, heights, strict=True):
        one = law_section(law, frame, height, rng)
        if one is None:
            return None
        boundary, elsewhere = frame.losses
        labels.append(
            with_losses(one, frame.known, boundary=boundary, elsewhere=elsewhere, min_pixels=frame.min_pixels, rng=rng)
        )
    return frame_statistics(labels, frames, each=each)


@contextmanager
def processes(workers: int) -> Iterator[ProcessPoolExecutor | None]:
    """Provide processes for `simulate`; None for one alone."""
    if workers == 1:
        yield None
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield pool


def simulate(laws, heights, frames, *, each, seed, first, n_statistics, pool, label):
    """Return the statistics (n, k) of many laws, NaN rows for those of far too many grains."""
    seeds = [(seed, first + k) for k in range(len(laws))]
    work = (laws, repeat(frames), heights, repeat(each), seeds)
    results = map(law_statistics, *work) if pool is None else pool.map(law_statistics, *work, chunksize=10)
    found = list(progress(results, total=len(laws), label=label))
    return np.array([np.full(n_statistics, np.nan) if one is None else one for one in found])
