"""What is believed of every descriptor at every recipe, and from that of F."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from ..errors import InputError
from .gaussian_process import Inputs, Process, fit_process
from .measured import Record, table_of
from .objective import Objective
from .space import Space

NODES = 7  # of 2^n points for means over the belief
FEWEST = 3


@dataclass(frozen=True)
class DescriptorModel:
    """One Gaussian process a descriptor, independent given the conditions.

    Attributes
    ----------
    space : Space
    objective : Objective
    processes : tuple of Process
        Of the objective's descriptors, in order, then of `others`.
    others : tuple of str
        Descriptors without a target.
    real : bool
        Whether it speaks of powders that are made (some were told) rather than of the simulator.
    """

    space: Space
    objective: Objective
    processes: tuple[Process, ...]
    others: tuple[str, ...] = ()
    real: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Of all descriptors, in the order of `processes`."""
        return (*self.objective.descriptors, *self.others)

    def inputs(self, codes: np.ndarray) -> Inputs:
        """Return codes as processes see them."""
        return inputs_of(self.space, codes, np.full(len(codes), self.real))

    def at(self, codes: np.ndarray, *, targets_only: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """Return means and standard deviations (n, k) of the transformed descriptors."""
        count = len(self.objective.targets) if targets_only else len(self.processes)
        found = [p.at(self.inputs(codes)) for p in self.processes[:count]]
        return np.stack([f[0] for f in found], 1), np.stack([f[1] for f in found], 1)

    def values(self, transformed: np.ndarray) -> np.ndarray:
        """Return descriptors (..., k) of transformed ones."""
        return np.stack([self.processes[k].value(transformed[..., k]) for k in range(transformed.shape[-1])], -1)

    def median(self, codes: np.ndarray) -> np.ndarray:
        """Return the predicted descriptors with a target, (n, k)."""
        return self.values(self.at(codes)[0])

    def interval(self, codes: np.ndarray, *, z: float = 1.959964) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return median, low and high (n, all descriptors) of the expectation of each descriptor, 95 %."""
        mean, sd = self.at(codes, targets_only=False)
        return self.values(mean), self.values(mean - z * sd), self.values(mean + z * sd)

    def possible(self, codes: np.ndarray) -> np.ndarray:
        """Return descriptors (s, n, k) spread over what is believed at each recipe, the same quantiles everywhere."""
        mean, sd = self.at(codes)
        return self.values(mean + sd * _nodes(mean.shape[1])[:, None])

    def expected_f(self, codes: np.ndarray) -> np.ndarray:
        """Return the expectation of F at each recipe, (n,)."""
        return self.objective.f(self.possible(codes), self.space.costs(codes)).mean(axis=0)

    def f_interval(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the 2.5 and 97.5 % quantiles of F at each recipe, (n,) each."""
        f = self.objective.f(self.possible(codes), self.space.costs(codes))
        return np.quantile(f, 0.025, axis=0), np.quantile(f, 0.975, axis=0)

    def p_within(self, codes: np.ndarray) -> np.ndarray:
        """Return the probability that every target with a value is within its tolerance, (n,)."""
        from scipy.special import ndtr

        mean, sd = self.at(codes)
        chance = np.ones(len(codes))
        for k, target in enumerate(self.objective.targets):
            if target.endless:
                continue
            low, high = (_transformed(self.processes[k], limit) for limit in target.limits)
            chance *= ndtr((high - mean[:, k]) / sd[:, k]) - ndtr((low - mean[:, k]) / sd[:, k])
        return chance

    def pending(self, codes: np.ndarray) -> DescriptorModel:
        """Return the model as if calls at `codes` had given what is expected of them."""
        if not len(codes):
            return self
        simulated = inputs_of(self.space, codes, np.zeros(len(codes), bool))
        return replace(self, processes=tuple(p.pending(simulated) for p in self.processes))

    def functions(self, codes: np.ndarray, n: int, *, rng: np.random.Generator) -> np.ndarray:
        """Return `n` joint draws of the descriptors with a target at all recipes, (n, m, k)."""
        draws = np.empty((n, len(codes), len(self.objective.targets)))
        for k, process in enumerate(self.processes[: draws.shape[2]]):
            mean, cov = process.joint(self.inputs(codes))
            cov = (cov + cov.T) / 2
            values, vectors = np.linalg.eigh(cov)
            root = vectors * np.sqrt(np.maximum(values, 0.0))
            draws[..., k] = process.value(mean + rng.standard_normal((n, len(codes))) @ root.T)
        return draws


def fit_model(
    space: Space, goal: Objective, records: Sequence[Record], *, others: Sequence[str] = ()
) -> DescriptorModel:
    """Fit the processes of an objective's descriptors, and of others, to records.

    Raises
    ------
    InputError
        A descriptor has fewer than three finite values.
    """
    codes = space.encode([r.conditions for r in records])
    real = np.array([r.real for r in records], bool)
    seeds = {r.seed for r in records if not r.real}
    common = len(seeds) == 1 < len(records) - int(real.sum())
    processes = []
    for name in (*goal.descriptors, *others):
        mean, variance = table_of(records, name)
        good = np.isfinite(mean)
        if good.sum() < FEWEST:
            raise InputError(
                f"{name!r} has {int(good.sum())} finite values in {len(records)} calls and powders, "
                f"{FEWEST} are needed; check what the simulator returns."
            )
        data = inputs_of(space, codes[good], real[good])
        process = fit_process(data, mean[good], variance[good])
        if common:
            relative = mean[good] if process.log else 1.0
            draws = np.median([r.results[name].n for r in records if name in r.results and not r.real])
            process = replace(process, shared=_shared(variance[good] / relative**2, draws))
        processes.append(process)
    return DescriptorModel(space, goal, tuple(processes), tuple(others), bool(real.any()))


def inputs_of(space: Space, codes: np.ndarray, real: np.ndarray) -> Inputs:
    """Return codes as a process sees them."""
    words = space.is_category
    scaled = space.unit(codes)
    return Inputs(scaled[:, ~words], scaled[:, words], np.asarray(real, bool))


def _shared(variance, draws):
    """Return the variance of each call, larger where few draws tell it (Student's t); None where none is known."""
    from scipy.special import stdtrit

    known = np.isfinite(variance)
    if not known.any():
        return None
    few = stdtrit(draws - 1, 0.975) / 1.959964 if draws > 1 else 1.0
    return few**2 * np.where(known, variance, variance[known].mean())


def _transformed(process, value):
    if not process.log:
        return value
    return np.log(value) if value > 0 else -np.inf


@cache
def _nodes(k):
    from scipy.special import ndtri
    from scipy.stats import qmc

    points = qmc.Sobol(k, rng=np.random.default_rng(12345)).random_base2(NODES)
    return ndtri(np.clip(points, 1e-6, 1 - 1e-6))
