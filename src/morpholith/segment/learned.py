"""Particles found by the shipped network: it reads the micrograph, a watershed draws the outlines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numba import njit
from scipy import ndimage as ndi

from .masks import fill_holes, largest_pieces

WORKING_EDGE = 640  # the first look is at about this many pixels along the longer side
SMALL_PX, LARGE_PX, AIM_PX = 26, 190, 60  # particle diameters the network reads best, working pixels
SEED_DEPTH, SEED_PEAK = 0.15, 0.4
MIN_SCORE = 0.5
MIN_PIXELS = 12


def learned(array: np.ndarray, *, weights: Path | None = None, device: str = "cpu"):
    """Return labels, scores and the map of what dips under a neighbour.

    The network looks once at a coarse grid; if the particles it finds there are too small or too large for it,
    it looks again at a better one. Outlines are then drawn on the full grid.

    Parameters
    ----------
    array : (y, x) float array
    weights : Path, optional
        Other weights than the shipped ones.
    device : {"cpu", "cuda"}

    Returns
    -------
    labels : (y, x) int32 array
    score : (n + 1,) array
        How sure the network is of each label, 0 to 1.
    behind : (y, x) float32 array
        Near a contact: probability that this pixel's particle lies under the other one.
    """
    factor = max(1, round(max(array.shape) / WORKING_EDGE))
    seen = set()
    while True:
        seen.add(factor)
        maps = _look(array, factor, weights, device)
        labels = instances(maps)
        better = _better_factor(labels, factor)
        if better in seen:
            break
        factor = better
    labels, score = _keep_sure(labels, maps)
    full = largest_pieces(enlarge(labels, maps["particle"], factor, array.shape))
    return (
        full,
        score,
        np.kron(maps["behind"], np.ones((factor, factor), np.float32))[: array.shape[0], : array.shape[1]],
    )


def _look(array, factor, weights, device):
    from ..nets import particle_net

    return particle_net.predict(
        particle_net.reduce(array, factor), weights=weights or particle_net.WEIGHTS, device=device
    )


def _better_factor(labels, factor):
    """Choose the working grid on which most particles have a size the network was trained on."""
    area = np.bincount(labels.ravel())[1:]
    area = area[area >= MIN_PIXELS]
    if area.size == 0:
        return factor
    diameter = np.sqrt(4 / np.pi * np.sort(area))
    middle = np.median(diameter)
    share = np.cumsum(diameter**2) / np.sum(diameter**2)
    largest = diameter[np.searchsorted(share, 0.5)]  # half of the covered area is in larger ones
    if largest > LARGE_PX:
        return int(np.ceil(factor * largest / LARGE_PX))
    if middle < SMALL_PX and factor > 1:
        return max(1, round(factor * min(middle / AIM_PX, LARGE_PX / largest)))
    return factor


def instances(maps: dict[str, np.ndarray]) -> np.ndarray:
    """Return labels on the working grid: seeds where the depth is high and no border runs, then a watershed."""
    from skimage.segmentation import watershed

    depth = ndi.gaussian_filter(maps["depth"], 0.7)
    inside = maps["particle"] > 0.5
    inner = depth * (1 - maps["border"])
    seeds, n = ndi.label((inner > SEED_DEPTH) & inside)
    if n == 0:
        return np.zeros(inside.shape, np.int32)
    peak = ndi.maximum(inner, seeds, np.arange(n + 1))
    peak[0] = 0
    high = peak > SEED_PEAK
    seeds = np.where(high, np.cumsum(high), 0)[seeds]
    labels = watershed(maps["border"] - depth, seeds, mask=inside)
    return fill_holes(cut_tails(labels.astype(np.int32)))


def cut_tails(labels: np.ndarray, *, share: float = 0.15) -> np.ndarray:
    """Cut off what hangs on a particle by a neck, or is as thin as one: slivers of another that were taken along.

    Each mask is opened with a disc of `share` of its equivalent radius; of the pieces the largest stays.
    """
    out = labels.copy()
    for label, box in enumerate(ndi.find_objects(labels), start=1):
        if box is None:
            continue
        own = np.pad(labels[box] == label, 1, mode="edge")  # the frame is no outline
        radius = share * np.sqrt(own.sum() / np.pi)
        core = ndi.distance_transform_edt(np.pad(own, 1))[1:-1, 1:-1] > radius
        pieces, n = ndi.label(core)
        if n == 0:
            continue
        if n > 1:
            core = pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])
        body = own & (ndi.distance_transform_edt(~core) <= radius + 1)
        window = out[box]
        window[(own & ~body)[1:-1, 1:-1] & (window == label)] = 0
    return out


def _keep_sure(labels, maps):
    """Drop what is too small or unsure; number the rest from 1."""
    n = int(labels.max())
    index = np.arange(n + 1)
    area = np.bincount(labels.ravel(), minlength=n + 1)
    certain = ndi.mean(maps["particle"], labels, index)
    peak = ndi.maximum(maps["depth"], labels, index)
    score = np.nan_to_num(certain * np.minimum(peak / 0.9, 1))
    keep = (score > MIN_SCORE) & (area >= MIN_PIXELS)
    keep[0] = False
    number = np.zeros(n + 1, np.int32)
    number[keep] = np.arange(1, keep.sum() + 1)
    return number[labels], np.concatenate([[np.nan], score[keep]])


def enlarge(labels: np.ndarray, certain: np.ndarray, factor: int, shape: tuple[int, int]) -> np.ndarray:
    """Return labels on a grid `factor` times finer with smooth outlines.

    Every fine pixel asks the 4 x 4 coarse ones around it, with cubic B-spline weights: each speaks for its label
    as far as it is certain to be particle, and for the background otherwise.
    """
    if factor == 1:
        return labels[: shape[0], : shape[1]].astype(np.int32)
    out = np.zeros(shape, np.int32)
    _vote(labels.astype(np.int32), certain.astype(np.float32), factor, out)
    return out


@njit(cache=True)
def _vote(labels, certain, factor, out):
    ny, nx = labels.shape
    weight = np.empty((factor, 4), np.float32)
    for k in range(factor):
        t = (k + 0.5) / factor - 0.5
        f = t - np.floor(t)
        weight[k] = np.array([(1 - f) ** 3, 3 * f**3 - 6 * f**2 + 4, -3 * f**3 + 3 * f**2 + 3 * f + 1, f**3]) / 6
    name = np.empty(16, np.int32)
    vote = np.empty(16, np.float32)
    for y in range(out.shape[0]):
        by = int(np.floor((y % factor + 0.5) / factor - 0.5)) + y // factor - 1
        for x in range(out.shape[1]):
            bx = int(np.floor((x % factor + 0.5) / factor - 0.5)) + x // factor - 1
            n, ground = 0, np.float32(0)
            for j in range(4):
                cy = min(max(by + j, 0), ny - 1)
                for i in range(4):
                    cx = min(max(bx + i, 0), nx - 1)
                    w = weight[y % factor, j] * weight[x % factor, i]
                    label = labels[cy, cx]
                    if label == 0:
                        ground += w
                        continue
                    ground += w * (1 - certain[cy, cx])
                    for k in range(n + 1):
                        if k == n:
                            name[n], vote[n] = label, 0
                            n += 1
                        if name[k] == label:
                            vote[k] += w * certain[cy, cx]
                            break
            total, best, best_vote = np.float32(0), 0, np.float32(0)
            for k in range(n):
                total += vote[k]
                if vote[k] > best_vote:
                    best, best_vote = name[k], vote[k]
            if total > ground:
                out[y, x] = best
