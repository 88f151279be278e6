"""Smoothed bootstrap of a sample of sizes, with weights, within and between images."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

AT_ONCE = 2_000_000  # values held in memory at a time


def bandwidth(logs: np.ndarray) -> float:
    """Silverman's rule for a kernel density of ln(size): 0.9 min(sd, IQR / 1.34) n^(-1/5)."""
    if len(logs) < 2:
        return 0.0
    iqr = float(np.subtract(*np.quantile(logs, [0.75, 0.25])))
    return 0.9 * min(float(logs.std(ddof=1)), iqr / 1.34 if iqr > 0 else np.inf) * len(logs) ** -0.2


def replicates(
    logs: np.ndarray,
    weights: np.ndarray,
    groups: np.ndarray | None,
    *,
    kernel: float,
    n_boot: int,
    rng: np.random.Generator,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield chunks of resamples: sorted ln(size) and weights, both (replicates, values).

    With `groups` (integers 0..m-1) first images are drawn with replacement, then particles within each;
    places that a smaller image leaves empty have weight 0. Every value is moved by a normal step of width
    `kernel`.
    """
    start, size = _layout(groups, len(logs))
    order = np.arange(len(logs)) if groups is None else np.argsort(groups, kind="stable")
    logs, weights = logs[order], weights[order]
    width = len(size) * int(size.max())
    step = max(1, AT_ONCE // width)
    for first in range(0, n_boot, step):
        b = min(step, n_boot - first)
        image = rng.integers(0, len(size), (b, len(size))) if len(size) > 1 else np.zeros((b, 1), int)
        n = size[image][:, :, None]
        pick = start[image][:, :, None] + (rng.random((b, len(size), int(size.max()))) * n).astype(int)
        there = np.arange(int(size.max())) < n
        pick, there = pick.reshape(b, width), there.reshape(b, width)
        value = logs[pick] + kernel * rng.standard_normal((b, width))
        value = np.where(there, value, value.max(axis=1, where=there, initial=-np.inf)[:, None])
        weight = np.where(there, weights[pick], 0.0)
        if np.ptp(weight) == 0:  # sorting alone is several times faster
            yield np.sort(value, axis=1), weight
        else:
            along = np.argsort(value, axis=1)
            yield np.take_along_axis(value, along, 1), np.take_along_axis(weight, along, 1)


def bootstrap(
    statistic: Callable[[np.ndarray, np.ndarray], np.ndarray],
    logs: np.ndarray,
    weights: np.ndarray,
    groups: np.ndarray | None,
    *,
    kernel: float,
    n_boot: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Statistic of every resample, (n_boot, k); `statistic` maps sorted ln(size) and weights to (rows, k)."""
    chunks = replicates(logs, weights, groups, kernel=kernel, n_boot=n_boot, rng=rng)
    return np.concatenate([statistic(value, weight) for value, weight in chunks])


def _layout(groups, n):
    """First index and count of every image, once its particles lie together."""
    if groups is None:
        return np.zeros(1, int), np.array([n])
    size = np.bincount(groups)
    return np.concatenate([[0], np.cumsum(size)[:-1]]), size
