"""Linear combination of reference spectra: every pixel at once, weights of at least zero, errors with them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ..errors import InputError

MOST_REFERENCES = 5  # of one fit; more are first narrowed down by `choose_references`
CONDITION = 1e10


@dataclass(frozen=True)
class Combination:
    """Weights of k references in n spectra.

    Parameters
    ----------
    weights : (n, k) array
        In units of the spectra: a reference normalised to a step of 1 has its edge step as weight.
    covariance : (n, k, k) array
        Of the weights, from the noise given; a weight held at zero has none.
    background : (n, order + 1) array
        Coefficients of the background in powers of the abscissa it was given.
    fit : (n, e) array
    r_factor : (n,) array
        Sum of squared residuals over sum of squares of the spectrum less its background.
    """

    weights: np.ndarray
    covariance: np.ndarray
    background: np.ndarray
    fit: np.ndarray
    r_factor: np.ndarray

    @property
    def fractions(self) -> np.ndarray:
        """(n, k) weights over their sum; NaN where the sum is not positive."""
        total = self.weights.sum(1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.weights / np.where(total > 0, total, np.nan)[:, None]

    def mean_of(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean of a property of the references, weighted with their fractions, and its standard error.

        Parameters
        ----------
        values : (k,) array
            As oxidation states; one-hot for the fraction of one reference.
        """
        total = self.weights.sum(1)
        values = np.asarray(values, float)
        with np.errstate(invalid="ignore", divide="ignore"):
            total = np.where(total > 0, total, np.nan)
            mean = self.weights @ values / total
            gradient = (values - mean[:, None]) / total[:, None]
        return mean, np.sqrt(np.maximum(np.einsum("ni,nij,nj->n", gradient, self.covariance, gradient), 0))


def combine(
    mu: np.ndarray,
    references: np.ndarray,
    *,
    background: np.ndarray | None = None,
    sum_to_one: bool = False,
    bounded: bool = True,
    sigma: np.ndarray | float = 0.0,
    profile: np.ndarray | None = None,
) -> Combination:
    """Fit spectra by a linear combination of references.

    Parameters
    ----------
    mu : (n, e) array
        Finite. Optical density (with `background`) or normalised absorption.
    references : (k, e) array
        Normalised spectra at the same energies, 1 to 5 of them.
    background : (e, b) array, optional
        Columns of a free background, as 1 and energy.
    sum_to_one : bool
        Hold the sum of the weights at 1, for normalised spectra.
    bounded : bool
        Weights of at least zero; else free, which leaves means over many noisy pixels unbiased.
    sigma : (n,) array or float
        Standard deviation of the noise.
    profile : (e,) array, optional
        Relative variance at each energy; the fit is weighted with its inverse.

    Returns
    -------
    Combination

    Raises
    ------
    InputError
        References that cannot be told apart at these energies, more than 5 of them, or fewer energies than unknowns.

    Notes
    -----
    One pseudo-inverse serves all spectra. Those with a negative weight are fitted again with every smaller set of
    references; the feasible set with the smallest sum of squares is the least-squares solution with weights of at
    least zero (the problem is convex and its solution has some set of positive weights).
    """
    mu, references = np.atleast_2d(np.asarray(mu, float)), np.atleast_2d(np.asarray(references, float))
    k, m = references.shape
    profile = np.ones(m) if profile is None else np.asarray(profile, float)
    columns = np.zeros((m, 0)) if background is None else np.asarray(background, float).reshape(m, -1)
    design = np.column_stack([references.T, columns])
    if k > MOST_REFERENCES:
        raise InputError(f"at most {MOST_REFERENCES} references can be fitted to every pixel, got {k}; choose some.")
    if m < design.shape[1] + 1 or k == 0:
        raise InputError(f"{m} energies do not determine {k} references and a background of {columns.shape[1]} terms.")
    sigma = np.broadcast_to(np.asarray(sigma, float), (len(mu),))
    whiten = 1 / np.sqrt(profile)
    scaled = design * whiten[:, None] / np.linalg.norm(design * whiten[:, None], axis=0)
    if np.linalg.cond(scaled) > CONDITION:
        raise InputError("the reference spectra cannot be told apart at these energies; leave out all but one.")
    everyone = tuple(range(k))
    gain, offset, cov = _solution(design, whiten, everyone, k, sum_to_one)
    solved = mu @ gain.T + offset
    covariance = (sigma**2)[:, None, None] * cov
    if (bounded and k > 1) or (bounded and not sum_to_one):
        wrong = np.flatnonzero((solved[:, :k] < 0).any(1))
        if len(wrong):
            solved[wrong], covariance[wrong] = _bounded(mu[wrong], design, whiten, k, sum_to_one, sigma[wrong])
    fit = solved @ design.T
    base = solved[:, k:] @ columns.T
    with np.errstate(invalid="ignore", divide="ignore"):
        r_factor = ((mu - fit) ** 2).sum(1) / ((mu - base) ** 2).sum(1)
    return Combination(solved[:, :k], covariance, solved[:, k:], fit, r_factor)


def _solution(design, whiten, chosen, k, sum_to_one):
    """The affine map c = gain mu + offset that fits the references `chosen`, and the covariance of their weights."""
    m, total = design.shape
    free = [*chosen, *range(k, total)]
    basis = np.zeros((total, len(free)))
    basis[free, range(len(free))] = 1
    start = np.zeros(total)
    if sum_to_one:  # the first takes what the others leave
        start[chosen[0]] = 1
        basis[chosen[0], 1 : len(chosen)] = -1
        basis = basis[:, 1:]
    if basis.shape[1]:
        inner = np.linalg.pinv((design @ basis) * whiten[:, None]) * whiten
        gain = basis @ inner
    else:
        gain = np.zeros((total, m))
    cov = (gain[:k] / whiten**2) @ gain[:k].T
    return gain, start - gain @ (design @ start), cov


def _bounded(mu, design, whiten, k, sum_to_one, sigma):
    """Weights of at least zero, by trying every set of references."""
    n = len(mu)
    best = np.full(n, np.inf)
    solved, covariance = np.zeros((n, design.shape[1])), np.zeros((n, k, k))
    for size in range(0 if not sum_to_one else 1, k + 1):
        for chosen in combinations(range(k), size):
            gain, offset, cov = _solution(design, whiten, chosen, k, sum_to_one)
            c = mu @ gain.T + offset
            c[:, [j for j in range(k) if j not in chosen]] = 0
            loss = (((mu - c @ design.T) * whiten) ** 2).sum(1)
            better = (c[:, :k] >= 0).all(1) & (loss < best)
            best[better], solved[better] = loss[better], c[better]
            covariance[better] = (sigma[better] ** 2)[:, None, None] * cov
    return solved, covariance
