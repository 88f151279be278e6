"""What one call of a simulator, or one powder that was made, says of each descriptor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ..errors import InputError

SHRINK = 4.0  # draws' worth of belief that the spread is that of the other calls


class Measured(NamedTuple):
    """A descriptor: mean, its standard error (NaN where unknown) and the number of draws (0 where unknown)."""

    mean: float
    se: float = np.nan
    n: int = 0


@dataclass(frozen=True)
class Record:
    """One call, or one powder.

    Attributes
    ----------
    conditions : mapping of str to value
        Fixed ones too.
    results : mapping of str to Measured
        Every descriptor that came back.
    phase : str
        "start", "search", "confirm", "swarm", or "measured" for a powder that was made.
    batch, call : int
        Of the search; -1 for a measured powder.
    seed : int
    """

    conditions: Mapping[str, Any]
    results: Mapping[str, Measured]
    phase: str = "measured"
    batch: int = -1
    call: int = -1
    seed: int = -1
    note: str = field(default="", compare=False)

    @property
    def real(self) -> bool:
        """Whether this is a powder that was made."""
        return self.phase == "measured"


def read_results(given: Any) -> dict[str, Measured]:
    """Return each descriptor of what a simulator returned.

    Parameters
    ----------
    given : mapping or DataFrame
        Descriptor to `Measured`, a tuple (mean, standard error), a list or array of draws, a `Quantity`-like with
        `value`, `low` and `high` (95 %), or a number without a known error. A DataFrame holds a draw in each row.

    Raises
    ------
    InputError
        It is none of these, or a standard error is negative.
    """
    items = given.items() if hasattr(given, "items") else None
    if items is None:
        raise InputError(
            "`evaluate` must return a mapping of descriptor to (mean, standard error) or to its draws, "
            f"got {type(given).__name__}."
        )
    found = {str(name): _one(str(name), value) for name, value in items}
    if not found:
        raise InputError("`evaluate` returned no descriptor; return one or more, such as {'d50_um': draws}.")
    return found


def _one(name, value):
    if isinstance(value, Measured):
        mean, se, n = value
    elif hasattr(value, "value") and hasattr(value, "low"):
        known = value.low is not None and value.high is not None
        mean, se, n = value.value, (value.high - value.low) / 3.92 if known else np.nan, value.n or 0
    elif isinstance(value, tuple) and len(value) == 2:
        (mean, se), n = value, 0
    elif np.ndim(value) == 1:
        draws = np.asarray(value, float)
        draws = draws[np.isfinite(draws)]
        n = len(draws)
        mean = draws.mean() if n else np.nan
        se = draws.std(ddof=1) / np.sqrt(n) if n > 1 else np.nan
    elif np.ndim(value) == 0:
        mean, se, n = value, np.nan, 0
    else:
        raise InputError(f"descriptor {name!r} must be (mean, standard error), draws or a number; got {value!r}.")
    if se is not None and se < 0:
        raise InputError(f"descriptor {name!r} has a negative standard error, {se!r}.")
    return Measured(float(mean), float(np.nan if se is None else se), int(n))


def table_of(records: Sequence[Record], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return means and variances of the means of a descriptor, (n,); a variance is NaN where the error is unknown.

    Few draws give a poor standard error: the variance of a draw is shrunk towards the median of all calls as if 4
    more draws said that, so that a call with three equal draws does not count as exact.
    """
    found = [r.results.get(name, Measured(np.nan)) for r in records]
    mean = np.array([f.mean for f in found])
    se = np.array([f.se for f in found])
    n = np.array([f.n for f in found], float)
    variance = se**2
    few = (n > 1) & np.isfinite(se)
    if few.any():
        one = variance * n  # of a single draw
        typical = np.median(one[few])
        shrunk = ((n - 1) * one + SHRINK * typical) / (n - 1 + SHRINK)
        variance = np.where(few, shrunk / np.maximum(n, 1), variance)
    return mean, variance
