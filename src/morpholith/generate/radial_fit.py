"""Fitted diagrams brought into the form of paper 001: matrices diagonal in the radial frame, norm not squared."""

from __future__ import annotations

from functools import partial

import numpy as np

from .. import _checks
from ..errors import InputError
from .architecture import GrainField
from .diagram_fit import DiagramFit, drawn, telling_pixels, together

NEAREST = 9  # rivals of a pixel's own grain that are looked at
LEAST, MOST = 0.01, 50.0  # entries of D in 1 / step^2; the paper's range begins with 0, which is no metric
RADII = (1.0, 10.0)
LEVEL = 4.0  # norm at the boundary of a grain at the start, in the middle of what the bounds allow
ROUNDS = ((False, 60), (False, 60), (True, 40), (True, 40))  # count errors instead; steps
STEEP = 2.0  # of the logits, which makes them move like the shifts
EDGE = 1e-3  # how near to a bound, as a share, the start may be
NEAREST_SEED = 1e-3  # steps from the centre within which a seed has the radius of the first axis


def restricted(
    fit: DiagramFit,
    labels: np.ndarray | None = None,
    *,
    step_um: float | None = None,
    diagonal: tuple[float, float] = (LEAST, MOST),
    radii: tuple[float, float] = RADII,
) -> DiagramFit:
    """Fit a diagram of paper 001's kind: M = Q' D Q in the radial frame of each seed, norm not squared.

    Parameters
    ----------
    fit : DiagramFit
        Of any kind; its drawn diagram, without missing pixels, is what is fitted.
    labels : (y, x) int array, optional
        The grains of the section, which `accuracy` then refers to; by default the diagram of `fit`.
    step_um : float, optional
        What the bounds are in units of; by default the root of the area of a pixel. Paper 001: 0.05 um.
    diagonal, radii : (float, float)
        Bounds of the entries of D, in 1 / step^2, and of r.

    Returns
    -------
    DiagramFit
        `power` 1, with `diagonal`. Its accuracy is lower than that of `fit`: a grain's axes are those of the radial
        frame, and a grain that lies askew is not of this kind.

    Raises
    ------
    InputError
        Bounds that are not increasing and positive, or labels of another shape.

    Notes
    -----
    The same likelihood as in `fit_diagram`, here over seeds and logits of ln D and r within their bounds, from the
    centroids of the grains and their extents along and across the radius. It is not concave: what is found is a local
    optimum. The bounds fix the scale of the scores, and with it how soft paper 001's Eq. 11 is.
    """
    for bounds, name in ((diagonal, "diagonal"), (radii, "radii")):
        if len(bounds) != 2 or not 0 < bounds[0] < bounds[1] < np.inf:
            raise InputError(f"`{name}` must be two increasing positive bounds, got {bounds!r}.")
    labels = fit.labels if labels is None else _checks.labels(labels)
    if labels.shape != fit.labels.shape:
        raise InputError(f"`labels` must have the shape of the fitted section {fit.labels.shape}, got {labels.shape}.")
    step = float(np.sqrt(np.prod(fit.spacing))) if step_um is None else _checks.positive(step_um, name="step_um")
    inside = fit.labels > 0
    row, column = np.nonzero(inside)
    points = (np.stack([row, column], 1) - np.array(fit.centre)) * np.array(fit.spacing) / step
    place = np.searchsorted(fit.grains, fit.labels[inside])
    start = _start(points, place, fit, step, diagonal, radii)
    chosen = telling_pixels(fit.labels, inside)
    grains = _optimum(points[chosen], place[chosen], start, diagonal, radii)
    seeds, entries, offsets = grains[:, :2] * step, grains[:, 2:4] / step**2, grains[:, 4].copy()
    matrices = planar_matrices(seeds, entries)
    return drawn(
        seeds, matrices, offsets, power=1, grains=fit.grains, labels=labels, inside=inside, spacing=fit.spacing,
        centre=fit.centre, diagonal=entries,
    )  # fmt: skip


def planar_matrices(seeds: np.ndarray, diagonal: np.ndarray) -> np.ndarray:
    """Return matrices (n, 2, 2) with the entries of D along the direction of each seed (y, x) and across it.

    A seed at the centre has the first axis for its radius.
    """
    seeds, diagonal = np.asarray(seeds, float), np.asarray(diagonal, float)
    away = np.linalg.norm(seeds, axis=1, keepdims=True)
    n = np.where(away > 0, seeds / np.where(away > 0, away, 1), [1.0, 0.0])
    p = np.stack([-n[:, 1], n[:, 0]], 1)
    m = diagonal[:, :1, None] * n[:, :, None] * n[:, None] + diagonal[:, 1:, None] * p[:, :, None] * p[:, None]
    return (m + m.swapaxes(1, 2)) / 2


def augmented(fit: DiagramFit, *, rng: np.random.Generator, share: float = 0.2) -> GrainField:
    """Return a planar diagram like a fitted one: its sizes and offsets changed at random, its seeds kept.

    Parameters
    ----------
    fit : DiagramFit
    rng : Generator
    share : float
        Entries of D (of a diagram that is not restricted: the eigenvalues of the matrices) and offsets r are multiplied
        by numbers uniform within 1 +- share, each its own. Paper 001 has 0.2.

    Returns
    -------
    GrainField
        With planar seeds (n, 2) and matrices (n, 2, 2), in um.

    Raises
    ------
    InputError
        A share outside 0 to 1.
    """
    if not 0 <= share < 1:
        raise InputError(f"`share` must lie between 0 and 1, got {share!r}.")
    n = len(fit.seeds)
    entries, offsets = (rng.uniform(1 - share, 1 + share, size) for size in ((n, 2), n))
    if fit.diagonal is not None:
        matrices = planar_matrices(fit.seeds, fit.diagonal * entries)
    else:
        value, axes = np.linalg.eigh(fit.matrices)
        matrices = (axes * (value * entries)[:, None]) @ axes.swapaxes(1, 2)
        matrices = (matrices + matrices.swapaxes(1, 2)) / 2
    return GrainField(fit.seeds.copy(), matrices, fit.radii * offsets, fit.power)


def _start(points, place, fit, step, diagonal, radii) -> np.ndarray:
    """Numbers of each grain from its pixels: centroid, extents along and across the radius, offsets all alike."""
    n = len(fit.grains)
    count = np.maximum(np.bincount(place, minlength=n), 1)
    middle = np.stack([np.bincount(place, points[:, a], n) / count for a in (0, 1)], 1)
    absent = np.bincount(place, minlength=n) == 0
    middle[absent] = fit.seeds[absent] / step
    away = np.linalg.norm(middle, axis=1)
    out = middle / np.maximum(away, 1e-9)[:, None]
    out[away < 1e-9] = 1.0, 0.0
    d = points - middle[place]
    along = (d * out[place]).sum(1)
    across = d[:, 1] * out[place, 0] - d[:, 0] * out[place, 1]
    pixel = np.prod(fit.spacing) / step**2 / 12
    extent = np.stack([np.bincount(place, v * v, n) / count + pixel for v in (along, across)], 1)
    grains = np.empty((n, 5))
    grains[:, :2] = middle
    grains[:, 2:4] = np.clip(LEVEL**2 / (4 * extent), *diagonal)
    grains[:, 4] = np.mean(radii)
    return grains


def _optimum(points, place, grains, diagonal, radii) -> np.ndarray:
    """Numbers of each grain after all rounds; those that win most points."""
    from ._descent import descended
    from ._diagram_kernels import best_candidates
    from ._radial_kernels import radial_likelihood

    n = len(grains)
    order, starts = together(points)
    points, place = np.ascontiguousarray(points[order]), place[order].astype(np.int64)
    lists = np.empty((len(points), min(NEAREST, n - 1) + 1), np.int64)
    low = np.array([np.log(diagonal[0]), np.log(diagonal[0]), radii[0]])
    wide = np.array([np.log(diagonal[1]), np.log(diagonal[1]), radii[1]]) - low
    # shifts in units of a grain's size and logits within the bounds, so that all parameters move alike
    origin, size = grains[:, :2].copy(), LEVEL / np.sqrt(np.sqrt(grains[:, 2] * grains[:, 3]))[:, None]
    theta = np.zeros((n, 5))
    share = np.clip((np.column_stack([np.log(grains[:, 2:4]), grains[:, 4]]) - low) / wide, EDGE, 1 - EDGE)
    theta[:, 2:] = np.log(share / (1 - share)) / STEEP

    def numbers(now):
        share = 1 / (1 + np.exp(-STEEP * now[:, 2:]))
        inner = low + wide * share
        return np.column_stack([origin + now[:, :2] * size, np.exp(inner[:, :2]), inner[:, 2]]), share

    def loss(now, count_errors):
        p, share = numbers(now)
        gradient = np.zeros_like(now)
        total = radial_likelihood(points, lists, p, count_errors, gradient)
        gradient[:, :2] *= size
        gradient[:, 2:] *= STEEP * wide * share * (1 - share)
        return total, gradient

    best, most = theta, -1
    for count_errors, steps in (*ROUNDS, (False, 0)):
        now = numbers(theta)[0]
        right = best_candidates(points, place, starts, _as_factors(now), 1, lists)
        if right > most:
            best, most = theta, right
        if n > 1 and steps:
            theta = descended(partial(loss, count_errors=count_errors), theta, steps)
    return numbers(best)[0]


def _as_factors(grains) -> np.ndarray:
    """Return seed, factor F of M = F'F, and offset of each grain, as the search for candidates takes them."""
    away = np.linalg.norm(grains[:, :2], axis=1, keepdims=True)
    n = np.where(away > NEAREST_SEED, grains[:, :2] / np.maximum(away, NEAREST_SEED), [1.0, 0.0])
    root = np.sqrt(grains[:, 2:4])
    along, across = root[:, :1] * n, root[:, 1:] * np.stack([-n[:, 1], n[:, 0]], 1)
    return np.concatenate([grains[:, :2], along, across, grains[:, 4:]], 1)
