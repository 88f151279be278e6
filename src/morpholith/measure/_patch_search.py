"""The nearest patch of every image of a collection, over all shifts, turns and reflections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

COARSE_PX, STEP_PX = 3.0, 6  # width of the blur and distance of samples when searching
PHASES = 2  # searched positions lie STEP_PX / PHASES apart
FINE_PX, FINE_STEP = 1.5, 2  # when comparing
REACH_PX = 2  # around a position that was found
SHADING_PX = 12.0
TURNS = 8  # four quarter turns, each also mirrored
AT_ONCE = 4096  # templates


class Place(NamedTuple):
    """Corner of a patch in an image of a sequence."""

    image: int
    row: int
    column: int


class Matches(NamedTuple):
    """Nearest patches of n patches in `count` images each, the nearest image first: (n, count) arrays.

    `distance` is sqrt(2 - 2 c) with c the mean correlation of grey and of edges; `row`, `column` are the corner in
    `image`, and `turn` is how the patch was turned (`turned`).
    """

    distance: np.ndarray
    image: np.ndarray
    row: np.ndarray
    column: np.ndarray
    turn: np.ndarray


def turned(patch: np.ndarray, turn: int) -> np.ndarray:
    """Return a patch after `turn` % 4 quarter turns, mirrored before them from 4 on; over its last two axes."""
    flipped = patch[..., ::-1] if turn >= 4 else patch
    return np.rot90(flipped, turn % 4, axes=(-2, -1))


def nearest_images(
    images: Sequence[np.ndarray], places: Sequence[Place], collection: Sequence[np.ndarray], *, patch_px: int,
    count: int, own: bool = False,
) -> Matches:  # fmt: skip
    """Find the images of a collection that hold patches nearest to given ones.

    Parameters
    ----------
    images : sequence of (h, w) arrays
    places : sequence of Place
        Patches of `images`.
    collection : sequence of (h, w) arrays
    patch_px : int
    count : int
        Images returned for each patch; fewer where the collection is smaller.
    own : bool
        The images are the collection: leave out the one that a patch is of.

    Notes
    -----
    A search at a coarse grid over all positions and turns names a position in each image; at the `count` best images
    the comparison is made again with finer features within 2 px.
    """
    count = min(count, len(collection) - int(own))
    if not places:
        return Matches(*(np.zeros((0, max(count, 1)), t) for t in (float, int, int, int, int)))
    coarse = _templates(images, places, patch_px, COARSE_PX, STEP_PX)
    best = np.stack([_searched(coarse, a, patch_px) for a in collection], axis=1)  # (n, images, 4)
    score = best[..., 0]
    if own:
        score[np.arange(len(places)), [p.image for p in places]] = -np.inf
    # one more than asked for, so that a true match is not lost to the coarse grid
    ranked = np.argsort(-score, axis=1, kind="stable")[:, : min(2 * count, len(collection) - int(own))]
    return _refined(images, places, collection, best, ranked, patch_px, count)


def _maps(image, blur):
    """Grey and edges of an image as two band-passed maps, (2, h, w) float32."""
    from scipy import ndimage as ndi

    smooth = ndi.gaussian_filter(np.asarray(image, np.float32), blur, mode="nearest")
    edges = np.hypot(ndi.sobel(smooth, 0, mode="nearest"), ndi.sobel(smooth, 1, mode="nearest"))
    both = np.stack([smooth, ndi.gaussian_filter(edges, blur / 2, mode="nearest")])
    return both - np.stack([ndi.gaussian_filter(m, SHADING_PX, mode="nearest") for m in both])


def _normalised(vectors):
    """Make each of the two channels of (..., 2, k) zero in mean; half of the square length each."""
    vectors = vectors - vectors.mean(axis=-1, keepdims=True)
    length = np.sqrt((vectors**2).sum(axis=-1, keepdims=True))
    return (vectors / np.maximum(length, 1e-6) / np.sqrt(2)).astype(np.float32)


def _templates(images, places, patch_px, blur, step):
    """Return the features of every patch in every turn, (n, turns, features)."""
    out: list[np.ndarray] = []
    kept, maps = -1, np.empty(0)
    for p in places:
        if p.image != kept:
            kept, maps = p.image, _maps(images[p.image], blur)
        patch = maps[:, p.row : p.row + patch_px, p.column : p.column + patch_px]
        every = np.stack([_sampled(turned(patch, t), step) for t in range(TURNS)])
        out.append(_normalised(every).reshape(TURNS, -1))
    return np.stack(out)


def _sampled(patch, step):
    """Return samples of (2, p, p) maps around the middle of the patch, (2, k): the same grid after any turn."""
    first = ((patch.shape[-1] - 1) % step) // 2
    grid = patch[:, first::step, first::step]
    return grid.reshape(2, -1)


def _searched(templates, image, patch_px):
    """Best score, turn, row and column of every template in one image, (n, 4)."""
    n = len(templates)
    maps = _maps(image, COARSE_PX)
    windows, corners = _windows(maps, patch_px)
    flat = templates.reshape(n * TURNS, -1)
    found, places = np.empty(len(flat), np.float32), np.empty(len(flat), int)
    for first in range(0, len(flat), AT_ONCE):
        part = slice(first, first + AT_ONCE)
        scores = flat[part] @ windows.T
        places[part] = scores.argmax(axis=1)
        found[part] = np.take_along_axis(scores, places[part, None], axis=1)[:, 0]
    best, at = found.reshape(n, TURNS), places.reshape(n, TURNS)
    turn = best.argmax(axis=1)
    where = corners[at[np.arange(n), turn]]
    return np.column_stack([best[np.arange(n), turn], turn, where])


def _windows(maps, patch_px):
    """Return the features of patches at all searched positions, (positions, features), and their corners."""
    first = ((patch_px - 1) % STEP_PX) // 2
    samples = len(range(first, patch_px, STEP_PX))
    rows, corners = [], []
    for dy in range(0, STEP_PX, STEP_PX // PHASES):
        for dx in range(0, STEP_PX, STEP_PX // PHASES):
            grid = maps[:, dy + first :: STEP_PX, dx + first :: STEP_PX]
            if min(grid.shape[1:]) < samples:
                continue
            view = np.lib.stride_tricks.sliding_window_view(grid, (samples, samples), axis=(1, 2))
            _, ny, nx = view.shape[:3]
            y, x = np.mgrid[0:ny, 0:nx] * STEP_PX
            y, x = y.ravel() + dy, x.ravel() + dx
            inside = (y + patch_px <= maps.shape[1]) & (x + patch_px <= maps.shape[2])
            found = view.transpose(1, 2, 0, 3, 4).reshape(ny * nx, 2, -1)[inside]
            rows.append(_normalised(found).reshape(len(found), -1))
            corners.append(np.column_stack([y, x])[inside])
    return np.concatenate(rows), np.concatenate(corners)


def _refined(images, places, collection, best, ranked, patch_px, count):
    """Compare again with fine features, around the positions found in the best images."""
    fine = _templates(images, places, patch_px, FINE_PX, FINE_STEP)
    n, many = ranked.shape
    found = np.full((n, many, 4), np.nan)  # distance, row, column, turn
    for j in np.unique(ranked):
        maps = _maps(collection[j], FINE_PX)
        for i, k in zip(*np.nonzero(ranked == j), strict=True):
            turn, row, column = best[i, j, 1:].astype(int)
            found[i, k] = (*_compared(fine[i, turn], maps, row, column, patch_px), turn)
    order = np.argsort(found[..., 0], axis=1, kind="stable")[:, :count]
    taken = np.take_along_axis(found, order[..., None], axis=1)
    image = np.take_along_axis(ranked, order, axis=1)
    return Matches(taken[..., 0], image, *(taken[..., c].astype(int) for c in (1, 2, 3)))


def _compared(template, maps, row, column, patch_px):
    """Distance of a template to the best patch within reach of a corner, and that corner."""
    y0, x0 = max(row - REACH_PX, 0), max(column - REACH_PX, 0)
    y1 = min(row + REACH_PX, maps.shape[1] - patch_px)
    x1 = min(column + REACH_PX, maps.shape[2] - patch_px)
    first = ((patch_px - 1) % FINE_STEP) // 2
    around = maps[:, y0 : y1 + patch_px, x0 : x1 + patch_px]
    view = np.lib.stride_tricks.sliding_window_view(around, (patch_px, patch_px), axis=(1, 2))
    samples = view[..., first::FINE_STEP, first::FINE_STEP]
    _, ny, nx = samples.shape[:3]
    vectors = _normalised(samples.transpose(1, 2, 0, 3, 4).reshape(ny * nx, 2, -1)).reshape(ny * nx, -1)
    scores = vectors @ template
    at = int(scores.argmax())
    return float(np.sqrt(max(2 - 2 * float(scores[at]), 0.0))), y0 + at // nx, x0 + at % nx
