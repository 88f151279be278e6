"""Learn the grains in 3D from sections alone: simulate, compare, and say how sure one can be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .. import _checks
from ..errors import InputError
from ..measure import frame_statistics, section_frame, statistic_names
from . import _law_regression as regression
from ._law_checks import Calibration, Misfit, calibrate, misfit
from ._law_rounds import Simulations, drawn, run_rounds
from .law_prior import PARAMETERS, WORDS, LawPrior, wide_prior
from .marker_law import MarkerLaw

if TYPE_CHECKING:
    import pandas as pd

    from ..segment import Section

HEIGHTS = ("central", "unknown")
SHARES = (0.4, 0.3, 0.3)  # of the simulations, in each round
DISCREPANCY = 0.2  # of a statistic's standard deviation over the prior: what no law of the family explains
MOST_INFLATED = 9.0  # of the covariance, where the sections fit no law
KEPT = 2000  # draws
ENOUGH = 3.0  # simulations a term of the polynomial
LEAST = 100  # simulations
FEWEST_GRAINS = 30
BEYOND = 1.3  # radius of the largest particle over that of the largest section, where heights are unknown
IDENTIFIED, WEAKLY = 0.5, 0.85  # width of the posterior over that of the prior


@dataclass(frozen=True)
class LawPosterior:
    """What sections say of a `MarkerLaw`.

    Attributes
    ----------
    prior : LawPrior
    unit : (n, 9) array
        Draws of the posterior, as quantiles of the prior, in the order of `PARAMETERS`.
    weights : (n,) array
        Of the draws; they sum to 1.
    table : DataFrame
        One row a parameter: `median`, `low`, `high` (95 %), `prior_low`, `prior_high`, `width` (of the posterior over
        that of the prior, 1 for nothing learnt), `identifiable` ("yes", "weakly", "no"), `covered_95` (share of
        simulations covered before widening), `widened` (factor), `meaning`.
    heights : DataFrame
        One row a section: `name`, `median_um`, `low_um`, `high_um`, `learnt`.
    calibration : Calibration
    misfit : Misfit
    statistics : DataFrame
        One row a statistic: `observed`, `predicted`, `low`, `high` (95 % of simulations of the posterior).
    n_simulations : int
        That entered.
    effective : float
        Number of equally weighted ones that the draws are worth.
    warnings : tuple of str
    """

    prior: LawPrior
    unit: np.ndarray
    weights: np.ndarray
    table: pd.DataFrame
    heights: pd.DataFrame
    calibration: Calibration
    misfit: Misfit
    statistics: pd.DataFrame
    n_simulations: int
    effective: float
    warnings: tuple[str, ...]

    @property
    def best(self) -> MarkerLaw:
        """The law of the posterior means (in the scale where the prior is normal)."""
        from scipy.special import ndtr, ndtri

        return self.prior.laws(ndtr(self.weights @ ndtri(self.unit)))[0]

    def draw(self, n: int, *, rng: np.random.Generator) -> list[MarkerLaw]:
        """Return `n` laws of the posterior, each an answer that the sections allow."""
        return self.prior.laws(self.unit[rng.choice(len(self.unit), size=n, p=self.weights)])


def learn_law(
    sections: Sequence[Section],
    *,
    rng: np.random.Generator,
    budget: int = 2000,
    heights: str = "central",
    particle_radius_um: float | None = None,
    ranges: Mapping[str, Sequence[float]] | None = None,
    power: int = 1,
    workers: int = 1,
    min_pixels: int = 5,
    n_calibration: int = 60,
) -> LawPosterior:
    """Learn a `MarkerLaw` from sections of particles by simulation.

    Laws are drawn from a wide prior, cut in the outlines of the observed sections, robbed of as many pixels as those
    miss at boundaries and elsewhere, and described by statistics (`measure.section_statistics`). Mean and covariance of
    the statistics are emulated by polynomials of the parameters (synthetic likelihood, Wood 2010); later rounds draw
    where the posterior seems to lie. Simulations then take the place of the data to see whether intervals hold; those
    that do not are widened. Sections of real grains differ from those of any law: 0.2 of each statistic's standard
    deviation over the prior is allowed for that, and more where the misfit asks for it.

    Parameters
    ----------
    sections : sequence of Section
        Of particles of one kind, each taken as a particle of its own. Steps may differ.
    rng : Generator
    budget : int
        Simulations of all sections, 100 or more; 1000 and more for results.
    heights : {"central", "unknown"}
        "central": planes lie at their `height_um`, through the centre where that is None. "unknown": those where it
        is None have a height that is learnt, uniform over what the section's radius allows.
    particle_radius_um : float, optional
        Radius of the (largest) particles: what slopes refer to and, for unknown heights, bounds them. By default the
        radius of the largest section, and 1.3 times it.
    ranges : mapping of str to (low, high), optional
        Bounds of the prior, as in `wide_prior`.
    power : {1, 2}
        Of the diagrams.
    workers : int
        Processes. The result does not depend on it.
    min_pixels : int
        Smaller grains are not compared.
    n_calibration : int
        Simulations that take the place of the data.

    Returns
    -------
    LawPosterior

    Raises
    ------
    InputError
        No sections, one without grains, fewer than 30 grains in all, or options out of range.

    Notes
    -----
    Intervals are those of the family of laws: `misfit` says whether the sections look like one of them at all.
    """
    _checked(sections, budget, heights, particle_radius_um, workers)
    frames = [section_frame(s, min_pixels=min_pixels) for s in sections]
    known = sum(f.known.sum() * f.step_um**2 for f in frames)
    largest = max(f.radius_um for f in frames)
    radius = particle_radius_um or largest
    prior = wide_prior(sum(s.n_grains for s in sections) / known, radius_um=radius, ranges=ranges, power=power)
    limits = _height_limits(sections, frames, heights, particle_radius_um or BEYOND * largest)
    free = limits > 0
    each = bool(free.any())

    def height_of(unit):
        height = np.array([0.0 if s.height_um is None else abs(s.height_um) for s in sections])
        height[free] = unit * limits[free]
        return height

    observed = frame_statistics([s.labels for s in sections], frames, each=each)
    rounds = [round(share * budget) for share in SHARES]
    made = run_rounds(
        prior, frames, height_of, observed,
        n_extra=int(free.sum()), rounds=rounds, discrepancy=DISCREPANCY, rng=rng, workers=workers, each=each,
    )  # fmt: skip
    names = statistic_names(len(frames) if each else 0)
    return _concluded(sections, prior, made, observed, names, limits, n_calibration, rng)


def _concluded(sections, prior, made: Simulations, observed, names, limits, n_calibration, rng) -> LawPosterior:
    """Posterior, checks and tables from the simulations."""
    from scipy.special import ndtr

    emulator, draws = drawn(made, observed, DISCREPANCY, rng)
    fit = misfit(emulator, draws, observed, names)
    inflation = float(np.clip(fit.distance, 1.0, MOST_INFLATED))
    if inflation > 1:
        # as a weighted mean is given the error that its scatter asks for (Birge 1932)
        emulator, draws = drawn(made, observed, DISCREPANCY, rng, inflation=inflation)
    around = (draws.mean(0), draws.std(0))
    checked = calibrate(made, observed, around=around, n=min(n_calibration, len(made.z) // 2), rng=rng)
    mean, width = around
    # no wider than the prior, whose standard deviation is 1
    widen = np.minimum(checked.widen, np.maximum(1.0, 1 / width))
    kept = draws[rng.choice(len(draws), size=min(KEPT, len(draws)), replace=False)]
    z = mean + widen * (kept - mean)
    n = len(PARAMETERS)
    unit, weights = np.clip(ndtr(z), 1e-9, 1 - 1e-9), np.full(len(z), 1 / len(z))
    table = _parameters(prior, unit[:, :n], weights, width * widen, checked, widen)
    return LawPosterior(
        prior, unit[:, :n], weights, table, _heights(sections, unit[:, n:], weights, limits),
        checked, fit, _statistics(names, observed, fit), len(made.z), emulator.effective,
        _warnings(table, fit, inflation, emulator, observed),
    )  # fmt: skip


def _parameters(prior, unit, weights, width, checked, widen):
    import pandas as pd

    numbers = prior.numbers(unit)
    low, median, high = regression.weighted_quantile(numbers, weights, (0.025, 0.5, 0.975))
    width = np.minimum(width[: len(PARAMETERS)], 1.0)
    words = np.where(width < IDENTIFIED, "yes", np.where(width < WEAKLY, "weakly", "no"))
    table = {
        "median": median, "low": low, "high": high, "prior_low": prior.low, "prior_high": prior.high, "width": width,
        "identifiable": words, "covered_95": checked.covered[2, : len(PARAMETERS)],
        "widened": widen[: len(PARAMETERS)], "meaning": list(WORDS.values()),
    }  # fmt: skip
    return pd.DataFrame(table, index=pd.Index(PARAMETERS, name="parameter"))


def _heights(sections, unit, weights, limits):
    import pandas as pd

    rows, k = [], 0
    for section, limit in zip(sections, limits, strict=True):
        if limit > 0:
            low, median, high = limit * regression.weighted_quantile(unit[:, k], weights, (0.025, 0.5, 0.975))
            k += 1
        else:
            low = median = high = 0.0 if section.height_um is None else abs(section.height_um)
        rows.append((section.name, float(median), float(low), float(high), bool(limit > 0)))
    return pd.DataFrame(rows, columns=["name", "median_um", "low_um", "high_um", "learnt"])


def _statistics(names, observed, fit):
    import pandas as pd

    table = pd.DataFrame({"observed": observed}, index=pd.Index(names, name="statistic"))
    predicted = pd.Series(fit.predicted, fit.names).reindex(names)
    sd = pd.Series(fit.sd, fit.names).reindex(names)
    return table.assign(predicted=predicted, low=predicted - 1.96 * sd, high=predicted + 1.96 * sd)


def _warnings(table, fit, inflation, emulator, observed):
    found = []
    hidden = table.index[table["identifiable"] == "no"]
    if len(hidden):
        meant = "; ".join(WORDS[name] for name in hidden)
        found.append(f"these sections do not tell: {meant}. The prior stands there.")
    if fit.p < 0.01:
        named = ", ".join(name for name, _ in fit.worst) or "no single statistic"
        found.append(
            f"the sections look like no law of this family (p = {fit.p:.3f}; farthest off: {named}): intervals hold "
            "within the family only."
        )
    if inflation > 1.5:
        found.append(
            f"the sections scatter {np.sqrt(inflation):.1f} times more about the nearest law than laws do about "
            "themselves; intervals were widened by that."
        )
    if emulator.effective < ENOUGH * len(emulator.coefficients):
        found.append(
            f"the posterior rests on {emulator.effective:.0f} simulations for a polynomial of "
            f"{len(emulator.coefficients)} terms; raise the budget."
        )
    if not np.isfinite(observed).all():
        found.append("some rings of the sections hold fewer than six whole grains; their statistics were left out.")
    return tuple(found)


def _height_limits(sections, frames, heights, radius):
    """Largest distance of each plane from the centre, 0 where it is known."""
    limits = np.zeros(len(sections))
    if heights == "unknown":
        for k, (section, frame) in enumerate(zip(sections, frames, strict=True)):
            if section.height_um is None:
                limits[k] = np.sqrt(max(radius**2 - frame.radius_um**2, (0.05 * radius) ** 2))
    return limits


def _checked(sections, budget, heights, particle_radius_um, workers):
    if not sections:
        raise InputError("there are no sections to learn from: give at least one.")
    _checks.choice(heights, HEIGHTS, name="heights")
    if not (isinstance(budget, int | np.integer) and budget >= LEAST):
        raise InputError(f"`budget` must be a number of simulations from {LEAST}, got {budget!r}.")
    if not (isinstance(workers, int | np.integer) and workers >= 1):
        raise InputError(f"`workers` must be a whole number from 1 upwards, got {workers!r}.")
    if particle_radius_um is not None:
        _checks.positive(particle_radius_um, name="particle_radius_um")
    n = sum(s.n_grains for s in sections)
    if n < FEWEST_GRAINS:
        raise InputError(f"the sections hold {n} grains in all; {FEWEST_GRAINS} are the least to learn from.")
