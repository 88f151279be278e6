"""Rounds of simulation: parameters from the prior, then from where the posterior seems to lie."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from . import _law_regression as regression
from ._law_simulation import processes, simulate

FREEDOM = 10  # of the t distributions that later rounds draw from
WIDEN = 2.5  # their covariance over that of the posterior so far
NEAR = 0.5  # share of the simulations that the last regression takes


class Proposal(NamedTuple):
    """A multivariate t distribution, or the prior where there is none."""

    mean: np.ndarray
    root: np.ndarray  # lower triangular

    def draw(self, n, rng):
        d = len(self.mean)
        scale = np.sqrt(FREEDOM / rng.chisquare(FREEDOM, n))
        return self.mean + scale[:, None] * (rng.standard_normal((n, d)) @ self.root.T)

    def log_density(self, z):
        from scipy.special import gammaln

        d = len(self.mean)
        y = np.linalg.solve(self.root, (z - self.mean).T)
        constant = gammaln((FREEDOM + d) / 2) - gammaln(FREEDOM / 2) - d / 2 * np.log(FREEDOM * np.pi)
        size = np.log(np.diag(self.root)).sum()
        return constant - size - (FREEDOM + d) / 2 * np.log1p(np.square(y).sum(0) / FREEDOM)


class Simulations(NamedTuple):
    """What was simulated.

    Attributes
    ----------
    z : (n, d) array
        Parameters, in the scale where the prior is standard normal.
    statistics : (n, k) array
    asked : list of int
        Simulations of each round.
    proposals : list
        What each round drew from; None for the prior.
    too_many : int
        Laws with far too many grains, which were not tried.
    """

    z: np.ndarray
    statistics: np.ndarray
    asked: list
    proposals: list
    too_many: int

    def log_ratio(self, z):
        """Log density of the prior over that of the mixture that all rounds together drew from."""
        from scipy.special import logsumexp

        parts = zip(self.asked, self.proposals, strict=True)
        logs = [np.log(m / sum(self.asked)) + (p.log_density(z) if p else log_prior(z)) for m, p in parts]
        return log_prior(z) - logsumexp(logs, axis=0)


def log_prior(z: np.ndarray) -> np.ndarray:
    """Log density of the standard normal."""
    return -0.5 * np.square(z).sum(-1) - 0.5 * z.shape[-1] * np.log(2 * np.pi)


def run_rounds(prior, frames, height_of, observed, *, n_extra, rounds, rng, workers, each) -> Simulations:
    """Simulate in rounds of given numbers; the first draws from the prior, later ones from a widened posterior."""
    from scipy.special import ndtr

    n_parameters, n_statistics = len(prior.low), len(observed)
    d = n_parameters + n_extra
    seed = int(rng.integers(2**62))
    made = Simulations(np.zeros((0, d)), np.zeros((0, n_statistics)), [], [], 0)
    with processes(workers) as pool:
        for k, n in enumerate(rounds):
            proposal = _proposal(made, observed) if k else None
            z = proposal.draw(n, rng) if proposal else rng.standard_normal((n, d))
            unit = np.clip(ndtr(z), 1e-9, 1 - 1e-9)
            statistics = simulate(
                prior.laws(unit[:, :n_parameters]), [height_of(u) for u in unit[:, n_parameters:]], frames,
                each=each, seed=seed, first=sum(rounds[:k]), n_statistics=n_statistics, pool=pool,
                label=f"simulating sections, round {k + 1} of {len(rounds)}",
            )  # fmt: skip
            good = np.isfinite(statistics).any(1)
            made = Simulations(
                np.vstack([made.z, z[good]]), np.vstack([made.statistics, statistics[good]]), [*made.asked, n],
                [*made.proposals, proposal], made.too_many + int((~good).sum()),
            )  # fmt: skip
    return made


def posterior(made: Simulations, learnt: regression.Learnt) -> regression.Draws:
    """Return draws of the posterior."""
    draws = regression.shifted(made.z, learnt.of_simulations, learnt.of_observed, learnt.spread, share=NEAR)
    return regression.reweighted(draws, made.log_ratio(draws.values))


def _proposal(made, observed):
    learnt = regression.learn(made.statistics, made.z, observed)
    mean, spread = regression.moments(posterior(made, learnt))
    # along what is not told the prior, whose variance is 1, is wide enough: wider would only cost weight
    variance, axes = np.linalg.eigh(WIDEN * spread)
    return Proposal(mean, np.linalg.cholesky(axes * np.clip(variance, 1e-4, 1.0) @ axes.T))
