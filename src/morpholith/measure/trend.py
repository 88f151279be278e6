"""How a descriptor moves with a synthesis condition, over the conditions that were made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..image import Quantity
from .correlation import correlation

LEAST = 4


@dataclass(frozen=True)
class Trend:
    """A descriptor against one numeric condition variable.

    Parameters
    ----------
    slope : Quantity
        Change of the descriptor per unit of the variable, ordinary least squares, Student's interval.
    spearman : Quantity
        Rank correlation: does it rise or fall at all, straight or not.
    intercept : float
        Descriptor of the fitted line where the variable is 0.
    n : int
        Conditions used.
    warning : str or None
        Why the trend is not identifiable.
    """

    slope: Quantity
    spearman: Quantity
    intercept: float
    n: int
    warning: str | None = None


def trend(
    variable: np.ndarray,
    descriptor: np.ndarray,
    *,
    others: dict[str, np.ndarray] | None = None,
    unit: str = "",
    level: float = 0.95,
) -> Trend:
    """Straight-line trend of a descriptor over conditions.

    Parameters
    ----------
    variable : (n,) array
        Value of the condition variable, say pH, of each condition.
    descriptor : (n,) array
        Descriptor of each condition (say mean texture); a NaN leaves the condition out.
    others : dict of str to (n,) array, optional
        Other condition variables. They are not fitted; if one of them moves along with `variable` (absolute
        correlation of 0.95 or more) the warning says that the two cannot be told apart.
    unit : str
        Unit of the slope.
    level : float

    Returns
    -------
    Trend
        With fewer than 4 conditions, or fewer than 3 different values of the variable, the trend is not
        identifiable: the slope of what there is (NaN without two different values) has no interval,
        and `warning` says why.

    Notes
    -----
    The interval treats the conditions as independent and the scatter about the line as equal; it
    contains the measurement error of the descriptors and whatever the line does not explain. A slope is not
    a cause.
    """
    x, y = (np.asarray(v, float).reshape(-1) for v in (variable, descriptor))
    if len(x) != len(y):
        raise InputError(f"`variable` and `descriptor` must have the same length, got {len(x)} and {len(y)}.")
    if not 0 < level < 1:
        raise InputError(f"`level` must lie between 0 and 1, got {level!r}.")
    both = np.isfinite(x) & np.isfinite(y)
    x, y, n = x[both], y[both], int(both.sum())
    warning = _unidentifiable(x)
    rank = correlation(x, y, method="spearman", level=level)
    if n < 2 or np.ptp(x) == 0:
        nothing = Quantity(np.nan, level=level, n=n, unit=unit, method="least squares", warning=warning)
        return Trend(nothing, rank, np.nan, n, warning)
    slope, half = _least_squares(x, y, level)
    low, high = (None, None) if warning else (slope - half, slope + half)
    warning = warning or _confounded(x, both, others)
    quantity = Quantity(
        slope, low, high, level=level, n=n, unit=unit, method="least squares, Student's t", warning=warning
    )
    return Trend(quantity, rank, float(y.mean() - slope * x.mean()), n, warning)


def _least_squares(x, y, level):
    from scipy.special import stdtrit

    dx = x - x.mean()
    slope = float((dx * y).sum() / (dx**2).sum())
    if len(x) < 3:
        return slope, np.inf
    residual = y - y.mean() - slope * dx
    error = np.sqrt((residual**2).sum() / (len(x) - 2) / (dx**2).sum())
    return slope, float(stdtrit(len(x) - 2, 0.5 + level / 2) * error)


def _unidentifiable(x):
    values = len(np.unique(x))
    if len(x) < LEAST:
        return f"not identifiable: {len(x)} condition(s); a slope with an interval needs {LEAST}"
    if values < 3:
        return f"not identifiable: the variable takes only {values} value(s); a trend needs three"
    return None


def _confounded(x, both, others):
    for name, values in (others or {}).items():
        z = np.asarray(values, float).reshape(-1)
        if len(z) != len(both):
            raise InputError(f"`others[{name!r}]` must have one value for each condition, got {len(z)}.")
        z = z[both]
        if np.isfinite(z).all() and np.ptp(z) > 0 and abs(np.corrcoef(x, z)[0, 1]) >= 0.95:
            return f"not identifiable: {name} moves along with this variable, so the two cannot be told apart"
    return None
