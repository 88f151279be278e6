"""Rounds of simulation: parameters from the prior, then from where the posterior seems to lie."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ._law_likelihood import emulate, sample
from ._law_simulation import processes, simulate

FREEDOM = 10  # of the t distributions that later rounds draw from
WIDEN = 2.5  # their covariance over that of the posterior so far
NARROWEST = 1e-3  # variance of a proposal, where that of the prior is 1


class Proposal(NamedTuple):
    """A multivariate t distribution, or the prior where there is none."""

    mean: np.ndarray
    root: np.ndarray  # lower triangular

    def draw(self, n, rng):
        d = len(self.mean)
        scale = np.sqrt(FREEDOM / rng.chisquare(FREEDOM, n))
        return self.mean + scale[:, None] * (rng.standard_normal((n, d)) @ self.root.T)


class Simulations(NamedTuple):
    """What was simulated.

    Attributes
    ----------
    z : (n, d) array
        Parameters, in the scale where the prior is standard normal.
    statistics : (n, k) array
    widths : (k,) array
        Standard deviation of each statistic over the prior.
    too_many : int
        Laws with far too many grains, which were not tried.
    """

    z: np.ndarray
    statistics: np.ndarray
    widths: np.ndarray
    too_many: int


def run_rounds(prior, frames, height_of, observed, *, n_extra, rounds, discrepancy, rng, workers, each) -> Simulations:
    """Simulate in rounds of given numbers; the first draws from the prior, later ones from a widened posterior."""
    from scipy.special import ndtr

    n_parameters, n_statistics = len(prior.low), len(observed)
    d = n_parameters + n_extra
    seed = int(rng.integers(2**62))
    made = Simulations(np.zeros((0, d)), np.zeros((0, n_statistics)), np.zeros(n_statistics), 0)
    with processes(workers) as pool:
        for k, n in enumerate(rounds):
            z = _proposal(made, observed, discrepancy, rng).draw(n, rng) if k else rng.standard_normal((n, d))
            unit = np.clip(ndtr(z), 1e-9, 1 - 1e-9)
            statistics = simulate(
                prior.laws(unit[:, :n_parameters]), [height_of(u) for u in unit[:, n_parameters:]], frames,
                each=each, seed=seed, first=sum(rounds[:k]), n_statistics=n_statistics, pool=pool,
                label=f"simulating sections, round {k + 1} of {len(rounds)}",
            )  # fmt: skip
            good = np.isfinite(statistics).any(1)
            widths = made.widths if k else _widths(statistics[good])
            made = Simulations(
                np.vstack([made.z, z[good]]), np.vstack([made.statistics, statistics[good]]), widths,
                made.too_many + int((~good).sum()),
            )  # fmt: skip
    return made


def _widths(statistics) -> np.ndarray:
    """Standard deviations that outliers do not make; 0 where there is no number."""
    widths = np.zeros(statistics.shape[1])
    for k, column in enumerate(statistics.T):
        own = column[np.isfinite(column)]
        if len(own) > 2:
            widths[k] = np.subtract(*np.percentile(own, [84.0, 16.0])) / 2
    return widths


def drawn(made: Simulations, observed, discrepancy, rng, *, inflation: float = 1.0):
    """Emulate twice, the second time near the posterior of the first, and draw; return emulator, draws and weights."""
    around = None
    for _ in range(2):
        emulator = emulate(
            made.z, made.statistics, observed, widths=made.widths, discrepancy=discrepancy, around=around
        )
        emulator = emulator._replace(precision=emulator.precision / inflation)
        draws = sample(emulator, emulator.standardised(observed), made.z.shape[1], rng=rng, start=around)
        around = (draws.mean(0), draws.std(0))
    return emulator, draws


def _proposal(made, observed, discrepancy, rng):
    _, draws = drawn(made, observed, discrepancy, rng)
    # along what is not told the prior, whose variance is 1, is wide enough: wider would only cost simulations
    variance, axes = np.linalg.eigh(WIDEN * np.cov(draws.T))
    return Proposal(draws.mean(0), np.linalg.cholesky(axes * np.clip(variance, NARROWEST, 1.0) @ axes.T))
