"""Likelihood of the statistics of sections, emulated from simulations, and draws of the posterior that it gives."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

CUT = 8.0  # standardised statistics are cut here
WORTH = 4.0  # simulations a term of the polynomial that local weights must leave
NEAR = (3.0, 0.35)  # standard deviations of the posterior, and share of the prior, that count as near it
SHRINK = 0.1  # of the covariance towards its diagonal
WALKERS, STEPS, BURN = 120, 300, 120
STRETCH = 2.0
TRIED = 8000


class Emulator(NamedTuple):
    """Mean and covariance of the statistics as functions of the parameters.

    Attributes
    ----------
    kept : (k,) bool array
        Statistics that enter.
    middle, width : (m,) arrays
        How the kept ones are standardised.
    coefficients : (p, m) array
        Of the polynomial in the quantiles of the prior.
    precision : (m, m) array
        Inverse covariance of a statistic about the polynomial, discrepancy included.
    sd : (m,) array
        Square root of the diagonal of that covariance.
    spread : (p, p) array
        Of the coefficients over that covariance: how much less sure the polynomial is away from simulations.
    residuals : (n, m) array
        Of the simulations, each about a polynomial that has not seen it.
    weights : (n,) array
        Of the simulations in the fit.
    """

    kept: np.ndarray
    middle: np.ndarray
    width: np.ndarray
    coefficients: np.ndarray
    precision: np.ndarray
    sd: np.ndarray
    spread: np.ndarray
    residuals: np.ndarray
    weights: np.ndarray

    @property
    def effective(self) -> float:
        """Number of equally weighted simulations that the fit is worth."""
        return float(self.weights.sum() ** 2 / np.square(self.weights).sum())

    def standardised(self, statistics: np.ndarray) -> np.ndarray:
        """Return the kept statistics around 0 with widths of 1; missing ones are 0."""
        return np.clip(np.nan_to_num((statistics[..., self.kept] - self.middle) / self.width), -CUT, CUT)

    def mean(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the expected standardised statistics (n, m), and the factor (n,) that the covariance grows by."""
        x = terms(z)
        return x @ self.coefficients, 1 + np.einsum("np,pq,nq->n", x, self.spread, x)

    def log_likelihood(self, z: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Log density (n,) of the standardised statistics `at` for parameters (n, d)."""
        mean, factor = self.mean(z)
        off = at - mean
        square = np.einsum("nm,mk,nk->n", off, self.precision, off)
        return -0.5 * square / factor - 0.5 * len(at) * np.log(factor)


def terms(z: np.ndarray) -> np.ndarray:
    """Polynomial of the quantiles of the prior: all products of two, and cubes."""
    from scipy.special import ndtr

    u = 2 * ndtr(z) - 1
    first, second = np.triu_indices(u.shape[1])
    return np.hstack([np.ones((len(u), 1)), u, u[:, first] * u[:, second], u**3])


def emulate(
    z: np.ndarray,
    statistics: np.ndarray,
    observed: np.ndarray,
    *,
    widths: np.ndarray,
    discrepancy: float,
    around: tuple[np.ndarray, np.ndarray] | None = None,
) -> Emulator:
    """Fit the polynomial, near a posterior where one is given.

    Parameters
    ----------
    z : (n, d) array
        Parameters, in the scale where the prior is standard normal.
    statistics : (n, k) array
        Of the simulations; NaN where one has none.
    observed : (k,) array
    widths : (k,) array
        Standard deviation of each statistic over the prior.
    discrepancy : float
        Share of `widths` by which sections of real grains may differ from those of any law.
    around : (mean, sd), optional
        Of the posterior so far, in the scale of z.
    """  # fmt: skip
    kept = (np.isfinite(statistics).mean(0) > 0.5) & np.isfinite(observed) & (widths > 1e-12)
    used = statistics[:, kept]
    middle, width = np.nanmedian(used, 0), widths[kept]
    y = np.clip(np.nan_to_num((used - middle) / width), -CUT, CUT)
    x = terms(z)
    w = _weights(z, around, x.shape[1])
    gram = x.T @ (w[:, None] * x)
    # a touch of ridge: cubes of what hardly varies
    gram += 1e-3 * np.trace(gram) / len(gram) * np.eye(len(gram)) * 0.1
    spread = np.linalg.inv(gram)
    coefficients = spread @ (x.T @ (w[:, None] * y))
    leverage = w * np.einsum("np,pq,nq->n", x, spread, x)
    # each simulation is judged by a polynomial that has not seen it
    left = (y - x @ coefficients) / np.maximum(1 - leverage, 0.2)[:, None]
    covariance = (w[:, None] * left).T @ left / w.sum()
    diagonal = np.diag(np.diag(covariance))
    covariance = (1 - SHRINK) * covariance + SHRINK * diagonal + discrepancy**2 * np.eye(len(covariance))
    return Emulator(
        kept, middle, width, coefficients, np.linalg.inv(covariance), np.sqrt(np.diag(covariance)), spread,
        left, w,
    )  # fmt: skip


def _weights(z, around, n_terms) -> np.ndarray:
    """Weights of the simulations by their nearness to the posterior, flattened until enough of them count."""
    from scipy.special import ndtr

    if around is None:
        return np.ones(len(z))
    mean, sd = around
    u, middle = ndtr(z), ndtr(mean)
    own = (ndtr(mean + sd) - ndtr(mean - sd)) / 2
    away = np.square((u - middle) / np.maximum(NEAR[0] * own, NEAR[1])).sum(1)
    power = 1.0
    while True:
        w = np.exp(-0.5 * power * (away - away.min()))
        if w.sum() ** 2 / np.square(w).sum() >= min(WORTH * n_terms, 0.8 * len(z)) or power < 1e-3:
            return w
        power *= 0.8


def sample(
    emulator: Emulator, at: np.ndarray, d: int, *, rng: np.random.Generator, start=None, short: bool = False
) -> np.ndarray:
    """Draw from the posterior (n, d) by walkers that stretch along each other (Goodman and Weare 2010).

    Parameters
    ----------
    emulator : Emulator
    at : (m,) array
        Standardised statistics of the data.
    d : int
        Number of parameters.
    rng : Generator
    start : (mean, sd), optional
        Where walkers begin; the prior by default.
    short : bool
        A third of the steps.
    """

    def log_density(z):
        return emulator.log_likelihood(z, at) - 0.5 * np.square(z).sum(1)

    z = _begin(log_density, d, start, rng)
    score = log_density(z)
    half = WALKERS // 2
    kept = []
    steps, burn = (STEPS // 3, BURN // 3) if short else (STEPS, BURN)
    for step in range(steps):
        for own, other in ((slice(0, half), slice(half, None)), (slice(half, None), slice(0, half))):
            stretch = (1 + (STRETCH - 1) * rng.random(half)) ** 2 / STRETCH
            partner = z[other][rng.integers(0, WALKERS - half, half)]
            new = partner + stretch[:, None] * (z[own] - partner)
            new_score = log_density(new)
            take = np.log(rng.random(half)) < (d - 1) * np.log(stretch) + new_score - score[own]
            z[own] = np.where(take[:, None], new, z[own])
            score[own] = np.where(take, new_score, score[own])
        if step >= burn and step % 3 == 0:
            kept.append(z.copy())
    return np.concatenate(kept)


def _begin(log_density, d, start, rng) -> np.ndarray:
    """Where walkers begin: draws of the prior, and of what is known, by their density, flattened so that many count.

    Walkers hardly find the way from one peak to another; each peak is given its share here.
    """
    tried = rng.standard_normal((TRIED, d))
    if start is not None:
        tried = np.vstack([tried, start[0] + 1.5 * start[1] * rng.standard_normal((TRIED, d))])
    score = log_density(tried)
    power = 1.0
    while True:
        w = np.exp(power * (score - score.max()))
        if w.sum() ** 2 / np.square(w).sum() >= WALKERS / 2:
            break
        power *= 0.8
    return tried[rng.choice(len(tried), size=WALKERS, p=w / w.sum())] + 1e-3 * rng.standard_normal((WALKERS, d))
