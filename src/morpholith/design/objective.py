"""What is wanted of a powder, and how far a powder is from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _checks
from ..errors import InputError

DIRECTIONS = ("at", "high", "low")
SHARE = 0.03  # of the value: the tolerance of a target that has none


@dataclass(frozen=True)
class Target:
    """What is wanted of one descriptor.

    Parameters
    ----------
    descriptor : str
    value : float, optional
        The number wanted; with a direction, the number from which on more is of no use. Without it the direction has
        no end.
    tolerance : float, optional
        The deviation that is still good, in the descriptor's unit: what scales the term in F. 3 % of `value` unless
        given; needed where there is no value or it is 0.
    direction : {"at", "high", "low"}
        At the value, as high or as low as can be.
    weight : float
        Of the term in F.
    """

    descriptor: str
    value: float | None = None
    tolerance: float = np.nan
    direction: str = "at"
    weight: float = 1.0

    def __post_init__(self):
        name = self.descriptor
        _checks.choice(self.direction, DIRECTIONS, name="direction")
        if self.value is None and self.direction == "at":
            raise InputError(f"the target {name!r} needs a value, or a direction 'high' or 'low'.")
        if self.value is not None and not np.isfinite(self.value):
            raise InputError(f"the target {name!r} must be a finite number, got {self.value!r}.")
        if np.isnan(self.tolerance):
            if not self.value:
                raise InputError(f"the target {name!r} needs a tolerance: there is no value to take 3 % of.")
            object.__setattr__(self, "tolerance", SHARE * abs(self.value))
        for number, what in ((self.tolerance, "tolerance"), (self.weight, "weight")):
            if not (np.isfinite(number) and number > 0):
                raise InputError(f"the {what} of target {name!r} must be a positive number, got {number!r}.")

    @property
    def endless(self) -> bool:
        """Whether more is always better."""
        return self.value is None

    @property
    def limits(self) -> tuple[float, float]:
        """Lowest and highest value that is still good."""
        if self.value is None:
            return -np.inf, np.inf
        low = -np.inf if self.direction == "low" else self.value - self.tolerance
        return low, np.inf if self.direction == "high" else self.value + self.tolerance

    def __str__(self) -> str:
        if self.endless:
            return f"{self.descriptor} {self.direction}"
        words = {"at": "", "high": "at least ", "low": "at most "}[self.direction]
        return f"{self.descriptor} {words}{self.value:g} ± {self.tolerance:g}"


def targets_like(
    reference: Mapping[str, Any],
    *,
    tolerances: Mapping[str, float] | None = None,
    weights: Mapping[str, float] | None = None,
) -> list[Target]:
    """Return the targets of a powder that is to be made again.

    Parameters
    ----------
    reference : mapping of descriptor to number or (mean, standard error)
        Measured on the reference, from its images for instance.
    tolerances, weights : mapping of descriptor to float
        Of those named. The others have a tolerance of 3 %, or of two standard errors of the reference if that is more:
        one cannot aim better than one knows where.
    """
    if not reference:
        raise InputError("the reference has no descriptors; measure one or more of it.")
    found = []
    for name, given in reference.items():
        value, error = given if isinstance(given, tuple) else (given, 0.0)
        wide = 2 * float(error) if np.isfinite(error) else 0.0
        tolerance = (tolerances or {}).get(name) or max(SHARE * abs(float(value)), wide) or np.nan
        found.append(Target(name, float(value), tolerance, weight=(weights or {}).get(name, 1.0)))
    return found


@dataclass(frozen=True)
class Objective:
    r"""F of paper 000, section 4.4, each term scaled by its tolerance.

    $F = \sum_k w_k l_k^2$ with the loss $l_k = (d_k - t_k)/\tau_k$; with a direction and a value only the wrong side
    counts; with a direction alone the term is $w_k l_k$, $l_k = \mp d_k/\tau_k$. A cost adds `cost_weight` times the
    cost, scaled to 0..1 by `cost_range`. The paper's own F, of unlike units, has all tolerances 1.

    Parameters
    ----------
    targets : tuple of Target
    cost_weight : float
    cost_range : (float, float)
    """

    targets: tuple[Target, ...]
    cost_weight: float = 0.0
    cost_range: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self):
        names = self.descriptors
        if not names:
            raise InputError("a design needs one target or more, such as Target('d50_um', 9.0); got none.")
        if len(set(names)) < len(names):
            twice = next(n for n in names if names.count(n) > 1)
            raise InputError(f"the descriptor {twice!r} has two targets; give it one.")

    @property
    def descriptors(self) -> tuple[str, ...]:
        """Those with a target, in order."""
        return tuple(t.descriptor for t in self.targets)

    @property
    def weights(self) -> np.ndarray:
        """Of the terms, (k,)."""
        return np.array([t.weight for t in self.targets])

    @property
    def endless(self) -> np.ndarray:
        """Which targets have a direction and no value, (k,) bool."""
        return np.array([t.endless for t in self.targets])

    def losses(self, values: np.ndarray) -> np.ndarray:
        """Return the distance of descriptors (..., k) from their targets, in tolerances; 1 or less is good."""
        values = np.asarray(values, float)
        found = np.empty(values.shape)
        for k, target in enumerate(self.targets):
            off = (values[..., k] - (target.value or 0.0)) / target.tolerance
            if target.endless:
                found[..., k] = -off if target.direction == "high" else off
            elif target.direction == "at":
                found[..., k] = np.abs(off)
            else:
                found[..., k] = np.maximum(0.0, -off if target.direction == "high" else off)
        return found

    def f(self, values: np.ndarray, cost: np.ndarray | float = 0.0) -> np.ndarray:
        """Return F of descriptors (..., k); NaN where one is."""
        losses = self.losses(values)
        terms = np.where(self.endless, losses, losses**2)
        low, high = self.cost_range
        return terms @ self.weights + self.cost_weight * (cost - low) / max(high - low, 1e-300)

    def within(self, values: np.ndarray) -> np.ndarray:
        """Return whether descriptors (..., k) are all within tolerance; directions without a value always are."""
        return ((self.losses(values) <= 1.0) | self.endless).all(axis=-1)

    @property
    def limit(self) -> float:
        """F where every target with a value is just within its tolerance."""
        return float(self.weights[~self.endless].sum())


def objective(targets: Sequence[Target] | Mapping[str, float] | Objective) -> Objective:
    """Return the objective of targets; a mapping of descriptor to number takes 3 % as tolerance."""
    if isinstance(targets, Objective):
        return targets
    if isinstance(targets, Mapping):
        targets = [Target(name, float(value)) for name, value in targets.items()]
    return Objective(tuple(targets))
