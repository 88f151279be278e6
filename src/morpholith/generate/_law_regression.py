"""Ridge regression with the penalty of each target by cross-validation, and weighted quantiles."""

from __future__ import annotations

import numpy as np

PENALTIES = np.logspace(-3, 4, 22)


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
