"""Regression of parameters on statistics, and draws of a posterior from it, in the scale where the prior is normal."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

MOST_PRODUCTS = 10  # principal components whose products enter
BOUND = 6.0  # standardised statistics are cut here
PENALTIES = np.logspace(-3, 4, 22)
FOLDS = 5
MOST_WEIGHT = 50.0  # of a draw over the average


class Scale(NamedTuple):
    """How statistics are standardised."""

    middle: np.ndarray
    width: np.ndarray
    kept: np.ndarray
    axes: np.ndarray


class Learnt(NamedTuple):
    """Parameters predicted from statistics: for each simulation by models that have not seen it, and for the data."""

    of_simulations: np.ndarray
    of_observed: np.ndarray
    spread: np.ndarray  # covariance of what is left over


class Draws(NamedTuple):
    """Draws (n, d) with weights (n,) that sum to 1."""

    values: np.ndarray
    weights: np.ndarray


def scale_of(statistics: np.ndarray, observed: np.ndarray) -> Scale:
    """Return middles and widths of the statistics, those left out that most simulations or the data lack."""
    kept = (np.isfinite(statistics).mean(0) > 0.5) & np.isfinite(observed)
    used = statistics[:, kept]
    middle = np.nanmedian(used, 0)
    width = np.nanpercentile(used, 84, axis=0) - np.nanpercentile(used, 16, axis=0)
    width = np.where(width > 1e-12, width / 2, 1.0)
    plain = _standardised(used, middle, width)
    axes = np.linalg.svd(plain - plain.mean(0), full_matrices=False)[2][:MOST_PRODUCTS]
    return Scale(middle, width, kept, axes)


def standardised(statistics: np.ndarray, scale: Scale) -> np.ndarray:
    """Return the kept statistics around 0 with widths of 1, cut at 6; missing ones are 0."""
    return _standardised(statistics[:, scale.kept], scale.middle, scale.width)


def _standardised(used, middle, width):
    return np.clip(np.nan_to_num((used - middle) / width), -BOUND, BOUND)


def features(statistics: np.ndarray, scale: Scale) -> np.ndarray:
    """Return statistics, their squares, and products of their principal components."""
    plain = standardised(statistics, scale)
    along = plain @ scale.axes.T / np.sqrt(len(scale.axes))
    first, second = np.triu_indices(len(scale.axes), 1)
    return np.hstack([plain, plain**2 / 2, along[:, first] * along[:, second]])


def learn(statistics: np.ndarray, targets: np.ndarray, observed: np.ndarray) -> Learnt:
    """Learn targets (n, d) from statistics (n, k) by ridge regression, five times with a fifth left out."""
    scale = scale_of(statistics, observed)
    x, at = features(statistics, scale), features(observed[None], scale)
    predicted, of_observed = np.empty_like(targets), []
    for k in range(FOLDS):
        out = np.arange(len(x)) % FOLDS == k
        model = ridge(x[~out], targets[~out])
        predicted[out] = model(x[out])
        of_observed.append(model(at)[0])
    left = targets - predicted
    return Learnt(predicted, np.mean(of_observed, 0), left.T @ left / len(left) + 1e-9 * np.eye(targets.shape[1]))


def ridge(x: np.ndarray, y: np.ndarray):
    """Return a ridge regression of y (n, d) on x (n, k), the penalty of each target by generalised cross-validation."""
    mean_x, mean_y = x.mean(0), y.mean(0)
    u, s, vt = np.linalg.svd(x - mean_x, full_matrices=False)
    target = y - mean_y
    onto = u.T @ target
    beyond = np.square(target).sum(0) - np.square(onto).sum(0)
    filters = s[:, None] ** 2 / (s[:, None] ** 2 + PENALTIES)  # (rank, penalties)
    left = beyond[:, None] + np.einsum("rp,rd->dp", (1 - filters) ** 2, onto**2)
    score = left / np.square(np.maximum(len(x) - 1 - filters.sum(0), 1e-3))
    best = np.argmin(score, 1)
    coefficients = vt.T @ (filters[:, best] / np.where(s > 1e-12, s, np.inf)[:, None] * onto)
    return lambda new: mean_y + (new - mean_x) @ coefficients


def kernel(apart: np.ndarray, spread: np.ndarray, *, share: float) -> np.ndarray:
    """Return the weight (n,) of each simulation by its distance from the data (Epanechnikov); they sum to 1."""
    distance = np.sqrt(np.einsum("ni,ij,nj->n", apart, np.linalg.inv(spread), apart))
    n_near = max(8 * apart.shape[1], int(np.ceil(share * len(apart))))
    width = np.sort(distance)[min(n_near, len(distance)) - 1] * 1.0001 + 1e-12
    near = np.maximum(1 - (distance / width) ** 2, 0)
    return near / near.sum()


def shifted(targets: np.ndarray, learnt: np.ndarray, at: np.ndarray, spread: np.ndarray, *, share: float) -> Draws:
    """Return the targets of near simulations, moved along a linear regression to what was learnt of the data, `at`.

    Draws from the posterior that belongs to the density the simulations were drawn from (Beaumont et al. 2002).
    """
    w = kernel(learnt - at, spread, share=share)
    near = w > 0
    w = w[near]
    x, y = (learnt - at)[near], targets[near]
    mean_x, mean_y = w @ x, w @ y
    gram = (w[:, None] * (x - mean_x)).T @ (x - mean_x)
    gram += np.diag(1e-3 * np.diag(gram) + 1e-9)
    slope = np.linalg.solve(gram, (x - mean_x).T @ (w[:, None] * (y - mean_y)))
    return Draws(y - x @ slope, w)


def reweighted(draws: Draws, log_ratio: np.ndarray) -> Draws:
    """Multiply the weights of draws by exp(log_ratio), none above 50 times their mean."""
    w = draws.weights * np.exp(log_ratio - log_ratio.max())
    w = np.minimum(w, MOST_WEIGHT * w.mean())
    return Draws(draws.values, w / w.sum())


def moments(draws: Draws) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and covariance."""
    mean = draws.weights @ draws.values
    off = draws.values - mean
    return mean, (draws.weights[:, None] * off).T @ off


def weighted_quantile(values: np.ndarray, weights: np.ndarray, q) -> np.ndarray:
    """Return quantiles (len(q), ...) along the first axis of values, weights going with it."""
    values = np.asarray(values, float)
    flat = values.reshape(len(values), -1)
    found = np.empty((len(q), flat.shape[1]))
    for k in range(flat.shape[1]):
        order = np.argsort(flat[:, k])
        cumulated = np.cumsum(weights[order])
        found[:, k] = np.interp(q, (cumulated - weights[order] / 2) / cumulated[-1], flat[order, k])
    return found.reshape(len(q), *values.shape[1:])
