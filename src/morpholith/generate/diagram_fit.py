"""Planar diagrams fitted to the grains of a section: they fill what is missing and are the basis of augmentation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .. import _checks
from ..errors import InputError
from .power_diagram import POWERS, label_grid

NEAREST = 9  # rivals of a pixel's own grain that are looked at
NEAR = 3.0  # pixels; all points this near to a boundary enter the fit, of the others every third row and column
SHARPNESS = 8.0  # of the start, as a softmax of 1 - x' (4 S)^-1 x
TIES = 0.1  # weight of the squared distance from the start, per grain: holds what the pixels do not decide
ROUNDS = ((False, 60), (False, 60), (False, 40), (True, 30), (True, 30))  # count errors instead; steps
TILE = 8.0  # pixels along a square whose candidates are bounded together
WIDEST = 6.0  # how far the logarithms of a and c may go from the start: keeps numbers finite


@dataclass(frozen=True)
class DiagramFit:
    """A planar diagram fitted to a section.

    Parameters
    ----------
    seeds : (n, 2) array
        In um (y, x), the centre of the particle at the origin.
    matrices : (n, 2, 2) array
        In 1 / um^2, symmetric and positive definite.
    radii : (n,) array
        Offsets r, without unit; they matter up to a common constant.
    power : int
        1 or 2, as in `label_grid`.
    grains : (n,) int array
        Labels of the grains that were fitted.
    labels : (y, x) int32 array
        The diagram drawn on the section: 0 outside, elsewhere one of `grains`.
    accuracy : float
        Share of the labelled pixels that the diagram gives to their grain.
    lost : tuple of int
        Grains that win no pixel.
    spacing : (float, float)
        Of the pixels, in um.
    centre : (float, float)
        Of the particle in pixels (y, x).
    diagonal : (n, 2) array or None
        Entries of D in 1 / um^2, along the radius and across it, where the matrices are restricted to the radial
        frame; None where they are not.
    """

    seeds: np.ndarray
    matrices: np.ndarray
    radii: np.ndarray
    power: int
    grains: np.ndarray
    labels: np.ndarray
    accuracy: float
    lost: tuple[int, ...]
    spacing: tuple[float, float]
    centre: tuple[float, float]
    diagonal: np.ndarray | None = None

    def filled(self, labels: np.ndarray) -> np.ndarray:
        """Return `labels` of the section with the pixels that miss a grain given to that of the diagram."""
        return np.where(labels > 0, labels, self.labels).astype(np.int32)


def fit_diagram(
    labels: np.ndarray,
    *,
    spacing: float | tuple[float, float] = 1.0,
    centre: tuple[float, float] | None = None,
    inside: np.ndarray | None = None,
    power: int = 2,
    progress: Callable[[float], None] | None = None,
) -> DiagramFit:
    """Fit a generalised balanced power diagram to the grains of a section.

    Parameters
    ----------
    labels : (y, x) int array
        Grains from 1; 0 is outside or missing and does not enter the fit. Numbers may be missing.
    spacing : float or (float, float)
        Of the pixels (y, x), in um.
    centre : (float, float), optional
        Of the particle, in pixels (y, x), as `Section.centre_px`; by default the centroid of the labelled pixels.
    inside : (y, x) bool array, optional
        The particle, within which missing pixels are filled; by default the whole image.
    power : {1, 2}
        2 is the literature's squared norm, with which the likelihood of a grain's parameters is concave but for
        positive definiteness; 1 that of paper 001.
    progress : callable, optional
        Called with the share done, 0 to 1.

    Returns
    -------
    DiagramFit

    Raises
    ------
    InputError
        No labelled pixel, or arrays that do not fit together.

    Notes
    -----
    The log-likelihood of the pixels' labels under a softmax of the scores r_i - |x - s_i|^power_M_i is maximised
    (L-BFGS), over Cholesky factors in a frame that makes each grain round, so that every matrix stays positive
    definite. It starts from the moments of the grains, M = S^-1 / 4 with S the covariance of a grain's pixels. Each
    pixel is compared with the grains of the highest scores, chosen anew in each round from all of them: a list of
    neighbours made once would let a cell grow over pixels that do not look at it. The last rounds minimise the expected
    number of wrong pixels instead. Pixels of one grain have equal weight.
    """
    labels = _checks.labels(labels)
    rows, columns = _checks.spacing(spacing, 2)
    _checks.choice(power, POWERS, name="power")
    inside = np.ones(labels.shape, bool) if inside is None else np.asarray(inside)
    if inside.shape != labels.shape or inside.dtype != bool:
        raise InputError(f"`inside` must be a bool array of shape {labels.shape}, got {inside.dtype} {inside.shape}.")
    known = inside & (labels > 0)
    if not known.any():
        raise InputError("the section has no labelled pixel: there is no grain to fit.")
    row, column = np.nonzero(known)
    grains, own = np.unique(labels[known], return_inverse=True)
    centre = (float(row.mean()), float(column.mean())) if centre is None else (float(centre[0]), float(centre[1]))
    step = float(np.sqrt(rows * columns))
    pixel = np.array([rows, columns]) / step
    points = (np.stack([row, column], 1) - np.array(centre)) * pixel
    middle, covariance = _moments(points, own, len(grains), pixel)
    seeds, matrices, radii = _optimum(points, own, middle, covariance, telling_pixels(labels, known), power, progress)
    return drawn(
        seeds * step, matrices / step**2, radii, power=power, grains=grains, labels=labels, inside=inside,
        spacing=(rows, columns), centre=centre,
    )  # fmt: skip


def drawn(seeds, matrices, radii, *, power, grains, labels, inside, spacing, centre, diagonal=None) -> DiagramFit:
    """Return a fit with its diagram drawn on the section, and how many pixels it meets."""
    origin = (0.0, -centre[0] * spacing[0], -centre[1] * spacing[1])
    place = draw_plane(seeds, matrices, radii, power, labels.shape, spacing, origin, inside)
    out = np.concatenate([[0], grains])[place].astype(np.int32)
    known = inside & (labels > 0)
    found = np.bincount(place[place > 0], minlength=len(grains) + 1)[1:]
    return DiagramFit(
        seeds, matrices, radii, power, grains, out, float((out[known] == labels[known]).mean()),
        tuple(int(g) for g in grains[found == 0]), spacing, centre, diagonal,
    )  # fmt: skip


def draw_plane(seeds, matrices, radii, power, shape, spacing, origin, inside=None) -> np.ndarray:
    """Return the planar diagram on a grid, 1..n, 0 outside: exact, by way of a solid diagram of one layer."""
    n = len(seeds)
    solid = np.zeros((n, 3, 3))
    solid[:, 1:, 1:] = matrices
    solid[:, 0, 0] = np.trace(matrices, axis1=1, axis2=2) / 2
    return label_grid(
        np.concatenate([np.zeros((n, 1)), seeds], 1), solid, radii, shape=(1, *shape), spacing=(1.0, *spacing),
        origin=origin, power=power, inside=None if inside is None else inside[None],
    )[0]  # fmt: skip


def _moments(points, own, n, pixel) -> tuple[np.ndarray, np.ndarray]:
    """Centroids and covariances of grains, the extent of a pixel included, so that one pixel has a shape."""
    count = np.bincount(own, minlength=n).astype(float)
    middle = np.stack([np.bincount(own, points[:, a], n) / count for a in (0, 1)], 1)
    away = points - middle[own]
    covariance = np.empty((n, 2, 2))
    for a, b in ((0, 0), (0, 1), (1, 1)):
        covariance[:, a, b] = covariance[:, b, a] = np.bincount(own, away[:, a] * away[:, b], n) / count
    covariance[:, (0, 1), (0, 1)] += pixel**2 / 12
    return middle, covariance


def telling_pixels(labels, known) -> np.ndarray:
    """Return which of the known pixels, in order, enter a fit: those near a boundary, and a lattice of the others."""
    from scipy import ndimage

    edge = np.zeros(labels.shape, bool)
    for axis in (0, 1):
        a, b = (np.take(labels, range(s, labels.shape[axis] - 1 + s), axis) for s in (0, 1))
        differ = (a != b) | (a == 0)
        edge |= np.pad(differ, [(0, int(d == axis)) for d in (0, 1)]) | np.pad(
            differ, [(int(d == axis), 0) for d in (0, 1)]
        )
    near = ndimage.distance_transform_edt(~edge) <= NEAR if edge.any() else edge
    near[::3, ::3] = True
    return near[known]


def together(points) -> tuple[np.ndarray, np.ndarray]:
    """Return an order in which points of a square of the plane follow each other, and where each square begins."""
    square = np.floor(points / TILE).astype(np.int64)
    square -= square.min(0)
    number = square[:, 0] * (square[:, 1].max() + 1) + square[:, 1]
    order = np.argsort(number, kind="stable")
    first = np.flatnonzero(np.diff(number[order], prepend=-1))
    return order, np.append(first, len(points))


def _optimum(points, own, middle, covariance, chosen, power, progress):
    """Seeds, matrices and radii of the fit, in pixels."""
    from ._diagram_kernels import best_candidates

    n = len(middle)
    value, axes = np.linalg.eigh(covariance)
    whiten = (axes / np.sqrt(4 * value)[:, None]) @ axes.swapaxes(1, 2)
    frame = np.concatenate([middle, whiten[:, (0, 0, 1), (0, 1, 1)]], 1)
    theta = np.zeros((n, 6))
    # the same slope of the scores at the grain's boundary for both powers
    theta[:, (0, 2)] = np.log(SHARPNESS) / 2 if power == 2 else np.log(2 * SHARPNESS)
    theta[:, 5] = SHARPNESS * 2 / power  # the level there, so that a share of r is a share of a size
    start = theta.copy()
    yx, mine = points[chosen], own[chosen]
    order, starts = together(yx)
    yx, mine = np.ascontiguousarray(yx[order]), mine[order].astype(np.int64)
    lists = np.empty((len(yx), min(NEAREST, n - 1) + 1), np.int64)
    best, most = theta, -1
    for k in range(len(ROUNDS) + 1):
        seeds, factor, radii = _generators(theta, middle, whiten)
        grains = np.concatenate([seeds, factor.reshape(n, 4), radii[:, None]], 1)
        right = best_candidates(yx, mine, starts, grains, power, lists)
        if right > most:
            best, most = theta, right
        if k < len(ROUNDS) and n > 1:
            theta = _descended(theta, start, yx, lists, frame, power, *ROUNDS[k])
        if progress is not None:
            progress(min(1.0, (k + 1) / len(ROUNDS)))
    seeds, factor, radii = _generators(best, middle, whiten)
    matrices = factor.swapaxes(1, 2) @ factor
    return seeds, (matrices + matrices.swapaxes(1, 2)) / 2, radii


def _generators(theta, middle, whiten) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Seeds, factors F of the matrices F'F, and radii."""
    upper = np.zeros((len(theta), 2, 2))
    upper[:, 0, 0], upper[:, 0, 1], upper[:, 1, 1] = np.exp(theta[:, 0]), theta[:, 1], np.exp(theta[:, 2])
    factor = upper @ whiten
    return middle + np.linalg.solve(factor, theta[:, 3:5, None])[:, :, 0], factor, theta[:, 5].copy()


def _descended(theta, start, yx, lists, frame, power, count_errors, steps) -> np.ndarray:
    """Return the parameters after some steps of L-BFGS."""
    from ._descent import descended
    from ._diagram_kernels import likelihood

    def loss(now):
        away = now - start
        if np.abs(away[:, (0, 2)]).max() > WIDEST:
            return np.inf, away
        p = now.copy()
        p[:, (0, 2)] = np.exp(p[:, (0, 2)])
        gradient = np.zeros_like(now)
        total = likelihood(yx, lists, frame, p, power, count_errors, gradient)
        return total + TIES * float((away * away).sum()), gradient + 2 * TIES * away

    return descended(loss, theta, steps)
