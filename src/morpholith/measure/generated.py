"""How well descriptors of drawn images follow those of real ones, condition by condition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..image import Quantity

if TYPE_CHECKING:
    import pandas as pd

FEWEST = 5  # conditions
FEW_FOR_SLOPE = 8
N_BOOT = 4000
ALARM = 0.01
BETTER, WORSE, ALIKE, UNKNOWN = "better", "worse", "no difference seen", "cannot be said"


@dataclass(frozen=True)
class Agreement:
    """Drawn against real values of a descriptor over conditions.

    Attributes
    ----------
    r2 : Quantity
        1 - sum of (real - drawn)^2 over sum of (real - mean)^2: no line is fitted, so a bias costs.
    ceiling : float
        R2 of a prediction of the true values, given the standard errors of the real ones; NaN where they are unknown.
    rmse : Quantity
        In the descriptor's unit.
    relative : Quantity
        Root mean square of (drawn - real) / real; NaN where a real value is 0.
    bias : Quantity
        Mean of drawn less real.
    """

    r2: Quantity
    ceiling: float
    rmse: Quantity
    relative: Quantity
    bias: Quantity


def agreement(
    real: Sequence[float] | np.ndarray,
    drawn: Sequence[float] | np.ndarray,
    *,
    real_se: Sequence[float] | np.ndarray | None = None,
    unit: str = "",
    rng: np.random.Generator | int = 0,
) -> Agreement:
    """Compare predicted with measured values of a descriptor.

    Parameters
    ----------
    real, drawn : (n,) arrays
        One value a condition; pairs with NaN are left out.
    real_se : (n,) array, optional
        Standard errors of the measured values.
    unit : str
    rng : Generator or int
        Of the bootstrap over conditions that gives the 95 % intervals.

    Returns
    -------
    Agreement
        NaN with a warning for fewer than 5 pairs, or where the real values do not vary.
    """
    (x, y), kept = _pairs(real, drawn)
    n = len(x)
    rng = np.random.default_rng(rng)
    warning = None
    if n < FEWEST:
        warning = f"not resolved: {n} conditions, {FEWEST} are needed"
    elif np.ptp(x) == 0:
        warning = "not resolved: the real values are all the same"
    if warning:
        none = Quantity(np.nan, n=n, warning=warning)
        return Agreement(none, np.nan, none, none, none)
    picks = rng.integers(0, n, (N_BOOT, n))
    off, share = y - x, (y - x) / np.where(x == 0, np.nan, x)

    def told(values, statistic, unit):
        drawn_again = statistic(values[picks])
        low, high = np.nanquantile(drawn_again, [0.025, 0.975]) if np.isfinite(drawn_again).any() else (np.nan,) * 2
        here = float(statistic(values))
        if not np.isfinite(here):
            return Quantity(np.nan, n=n, unit=unit, warning="not defined: a real value is 0")
        return Quantity(here, float(min(low, here)), float(max(high, here)), n=n, unit=unit,
                        method="over conditions; bootstrap of conditions")  # fmt: skip

    both = np.stack([x, y], axis=-1)
    se = None if real_se is None else np.asarray(real_se, float)[kept]
    ceiling = 1 - float(np.mean(se**2) / np.var(x)) if se is not None and np.isfinite(se).all() else np.nan
    return Agreement(
        told(both, _r2, ""), ceiling, told(off, _rms, unit), told(share, _rms, ""),
        told(off, lambda v: v.mean(axis=-1), unit),
    )  # fmt: skip


def _rms(values):
    return np.sqrt((values**2).mean(axis=-1))


def _r2(pairs):
    """R2 of (..., n, 2) pairs (real, drawn)."""
    x, y = pairs[..., 0], pairs[..., 1]
    spread = ((x - x.mean(axis=-1, keepdims=True)) ** 2).sum(axis=-1)
    error = ((x - y) ** 2).sum(axis=-1)
    return np.where(spread > 0, 1 - error / np.where(spread > 0, spread, 1.0), np.nan)


def bias_line(
    real: Sequence[float] | np.ndarray,
    drawn: Sequence[float] | np.ndarray,
    *,
    drawn_se: Sequence[float] | np.ndarray | None = None,
) -> tuple[float, float]:
    """Return (intercept, slope) of the straight line that turns drawn values into real ones.

    Parameters
    ----------
    real, drawn : (n,) arrays
        One value a condition; pairs with NaN are left out.
    drawn_se : (n,) array, optional
        Standard errors of the drawn values: noise in them flattens a fitted line, which is undone here.

    Returns
    -------
    (float, float)
        (0, 1), no correction, where there is no pair. The mean difference with slope 1 where there are fewer than 8
        pairs, where noise is over half of how the drawn values vary, or where the slope would leave 1/2 to 2: such a
        generator does not follow the conditions, and no line mends that.
    """
    (x, y), kept = _pairs(real, drawn)
    if len(x) == 0:
        return 0.0, 1.0
    shift = float(x.mean() - y.mean()), 1.0
    spread = float(np.var(y, ddof=1)) if len(x) > 1 else 0.0
    noise = 0.0
    if drawn_se is not None:
        noise = float(np.mean(np.nan_to_num(np.asarray(drawn_se, float)[kept]) ** 2))
    if len(x) < FEW_FOR_SLOPE or not spread > 2 * noise:
        return shift
    slope = float(np.cov(x, y)[0, 1] / (spread - noise))
    if not 0.5 <= slope <= 2:
        return shift
    return float(x.mean() - slope * y.mean()), slope


@dataclass(frozen=True)
class Comparison:
    """An image model beside a baseline that knows the conditions only.

    Attributes
    ----------
    verdict : str
        Of the image model: "better", "worse", "no difference seen" or "cannot be said".
    gain : Quantity
        R2 of the image model less R2 of the baseline.
    """

    verdict: str
    gain: Quantity


def compared_with_baseline(
    real: Sequence[float] | np.ndarray,
    drawn: Sequence[float] | np.ndarray,
    baseline: Sequence[float] | np.ndarray,
    *,
    rng: np.random.Generator | int = 0,
) -> Comparison:
    """Tell whether drawn values or a baseline lie nearer to the real ones.

    Parameters
    ----------
    real, drawn, baseline : (n,) arrays
        One value a condition; where one of the three is NaN the condition is left out.
    rng : Generator or int
        Of the paired bootstrap over conditions.

    Returns
    -------
    Comparison
        "better" or "worse" where the 95 % interval of the difference leaves out 0.
    """
    given = np.stack([np.asarray(list(v), float) for v in (real, drawn, baseline)], axis=-1)
    given = given[np.isfinite(given).all(axis=1)]
    n = len(given)
    if n < FEWEST or np.ptp(given[:, 0]) == 0:
        return Comparison(UNKNOWN, Quantity(np.nan, n=n, warning=f"not resolved: {n} conditions"))

    def gain(values):
        return _r2(values[..., [0, 1]]) - _r2(values[..., [0, 2]])

    here = float(gain(given))
    again = gain(given[np.random.default_rng(rng).integers(0, n, (N_BOOT, n))])
    low, high = (float(v) for v in np.nanquantile(again, [0.025, 0.975]))
    verdict = BETTER if low > 0 else WORSE if high < 0 else ALIKE
    return Comparison(
        verdict, Quantity(here, min(low, here), max(high, here), n=n, method="difference in R2; paired bootstrap")
    )


@dataclass(frozen=True)
class Adherence:
    """Whether what is drawn for a condition is of that condition.

    Attributes
    ----------
    verdict : str
        "follows the conditions", "does not follow the conditions" or "cannot be said".
    correlation : dict of descriptor to Quantity
        Pearson's, drawn against real over the conditions; `low`, `high` by Fisher's z.
    chance : dict of descriptor to float
        Share of random assignments of drawn to real conditions that correlate as well.
    nearer : Quantity
        How often a drawn condition lies nearer to its own real one than to another, over all others and all
        descriptors together: 0.5 for a generator that ignores the conditions, 1 for one that tells every two apart.
    """

    verdict: str
    correlation: dict[str, Quantity]
    chance: dict[str, float]
    nearer: Quantity


def adherence(
    real: pd.DataFrame, drawn: pd.DataFrame, *, rng: np.random.Generator | int = 0, shuffles: int = 999
) -> Adherence:
    """Test whether drawn images follow their conditions, against conditions that are shuffled.

    Parameters
    ----------
    real, drawn : DataFrame
        Index `condition`; the same columns, one a descriptor. Conditions that only one has are left out, and so are
        those with a NaN, descriptor by descriptor (for `nearer`: in any descriptor).
    rng : Generator or int
    shuffles : int

    Returns
    -------
    Adherence
        It follows the conditions where, of 999 shuffles, fewer than 1 % give as large a `nearer`.

    Raises
    ------
    InputError
        The two have no column in common.
    """
    names = [name for name in real.columns if name in drawn.columns]
    if not names:
        raise InputError("real and drawn descriptors have no column in common; give tables of the same descriptors.")
    both = real.index.intersection(drawn.index)
    one, two = (t.loc[both, names].to_numpy(float) for t in (real, drawn))
    rng = np.random.default_rng(rng)
    found = {name: _correlated(one[:, k], two[:, k], rng, shuffles) for k, name in enumerate(names)}
    whole = np.isfinite(one).all(axis=1) & np.isfinite(two).all(axis=1)
    nearer, chance = _nearer(one[whole], two[whole], rng, shuffles)
    verdict = UNKNOWN
    if np.isfinite(nearer.value):
        verdict = "follows the conditions" if chance < ALARM else "does not follow the conditions"
    return Adherence(verdict, {k: v[0] for k, v in found.items()}, {k: v[1] for k, v in found.items()}, nearer)


def _correlated(real, drawn, rng, shuffles):
    """Correlation with its interval, and the chance of one as large."""
    from .correlation import correlation

    (x, y), _ = _pairs(real, drawn)
    if len(x) < FEWEST or np.ptp(x) == 0 or np.ptp(y) == 0:
        return Quantity(np.nan, n=len(x), warning=f"not resolved: {len(x)} conditions, or one value only"), np.nan
    own = correlation(x, y)
    standard = (y - y.mean()) / y.std()
    shuffled = np.array([rng.permutation(x) @ standard for _ in range(shuffles)])
    return own, float((1 + np.sum(shuffled >= x @ standard)) / (1 + shuffles))


def _nearer(real, drawn, rng, shuffles):
    n = len(real)
    if n < FEWEST:
        return Quantity(np.nan, n=n, warning=f"not resolved: {n} conditions, {FEWEST} are needed"), np.nan
    scale = real.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    apart = (((drawn[:, None] - real[None]) / scale) ** 2).sum(axis=-1)  # drawn by real

    def of_each(order):
        own = apart[np.arange(n), order]
        better = (own[:, None] < apart).sum(axis=1) + 0.5 * ((own[:, None] == apart).sum(axis=1) - 1)
        return better / (n - 1)

    each = of_each(np.arange(n))
    value = float(each.mean())
    low, high = np.quantile(each[rng.integers(0, n, (N_BOOT, n))].mean(axis=1), [0.025, 0.975])
    shuffled = np.array([of_each(rng.permutation(n)).mean() for _ in range(shuffles)])
    chance = float((1 + np.sum(shuffled >= value)) / (1 + shuffles))
    told = Quantity(value, float(min(low, value)), float(max(high, value)), n=n,
                    method="share of other conditions that are further away; bootstrap of conditions")  # fmt: skip
    return told, chance


def _pairs(real, drawn):
    """Return both without pairs that have a NaN, and which were kept."""
    x, y = np.asarray(list(real), float), np.asarray(list(drawn), float)
    if x.shape != y.shape or x.ndim != 1:
        raise InputError(f"`real` and `drawn` must be one number a condition each; got {x.shape} and {y.shape}.")
    kept = np.isfinite(x) & np.isfinite(y)
    return (x[kept], y[kept]), kept
