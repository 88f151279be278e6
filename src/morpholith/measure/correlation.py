"""Correlations between descriptors, with intervals that say how little a few conditions tell."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from .. import _checks
from ..errors import InputError
from ..image import Quantity

if TYPE_CHECKING:
    import pandas as pd

METHODS = ("pearson", "spearman")
LEAST = 4  # Fisher's z has variance 1 / (n - 3)
TELLING = 10  # below, an interval spans more than half of the scale


def correlation(x: np.ndarray, y: np.ndarray, *, method: str = "pearson", level: float = 0.95) -> Quantity:
    """Correlation coefficient of two descriptors with Fisher's interval.

    Parameters
    ----------
    x, y : (n,) arrays
        One value a condition (or a particle); pairs with a NaN are left out.
    method : {"pearson", "spearman"}
    level : float

    Returns
    -------
    Quantity from -1 to 1. NaN where fewer than 3 pairs are left or one side does not vary; fewer than 4 pairs
    give no interval; fewer than 10 a warning.

    Notes
    -----
    tanh(atanh r +- u s), with s^2 = 1 / (n - 3) for Pearson (normal data) and (1 + r^2 / 2) / (n - 3) for
    Spearman (Bonett and Wright 2000). With 55 conditions, as in paper 000, a correlation of 0.26 has the
    interval -0.01 to 0.49: not distinguishable from none.
    """
    _checks.choice(method, METHODS, name="method")
    x, y = (np.asarray(v, float).reshape(-1) for v in (x, y))
    if len(x) != len(y):
        raise InputError(f"`x` and `y` must have the same length, got {len(x)} and {len(y)}.")
    if not 0 < level < 1:
        raise InputError(f"`level` must lie between 0 and 1, got {level!r}.")
    both = np.isfinite(x) & np.isfinite(y)
    x, y, n = x[both], y[both], int(both.sum())
    if n < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        reason = f"not resolved: {n} pairs" if n < 3 else "not resolved: one of the two does not vary"
        return Quantity(np.nan, level=level, n=n, method=method, warning=reason)
    if method == "spearman":
        from scipy.stats import rankdata

        x, y = rankdata(x), rankdata(y)
    r = float(np.clip(np.corrcoef(x, y)[0, 1], -1, 1))
    low, high = _fisher(r, n, method, level)
    return Quantity(r, low, high, level=level, n=n, method=f"{method}, Fisher's z", warning=_few(n))


def correlations(
    table: pd.DataFrame, *, columns: list[str] | None = None, method: str = "pearson", level: float = 0.95
) -> pd.DataFrame:
    """Correlations of every pair of columns.

    Parameters
    ----------
    table : DataFrame
        Descriptors: one row a condition (or a particle).
    columns : list of str, optional
        Which; by default every numeric column.
    method : {"pearson", "spearman"}
    level : float

    Returns
    -------
    DataFrame
        One row a pair: `first`, `second`, `r`, `low`, `high`, `n`, `distinct` (the interval leaves out 0) and
        `warning` (empty where there is none). The intervals are each for itself: of 20 pairs of unrelated
        columns one is distinct by chance.
    """
    import pandas as pd

    columns = list(table.select_dtypes("number").columns if columns is None else columns)
    missing = [c for c in columns if c not in table]
    if missing:
        raise InputError(f"the table has no column {missing[0]!r}; it has {', '.join(map(str, table.columns))}.")
    rows = []
    for a, b in combinations(columns, 2):
        q = correlation(table[a].to_numpy(), table[b].to_numpy(), method=method, level=level)
        low, high = (np.nan if v is None else v for v in (q.low, q.high))
        rows.append((a, b, q.value, low, high, q.n, bool(low > 0 or high < 0), q.warning or ""))
    kinds = {"r": float, "low": float, "high": float, "n": int, "distinct": bool}
    return pd.DataFrame(rows, columns=["first", "second", "r", "low", "high", "n", "distinct", "warning"]).astype(kinds)


def _fisher(r, n, method, level):
    if n < LEAST or abs(r) == 1:
        return None, None
    from scipy.special import ndtri

    variance = (1 + (r * r / 2 if method == "spearman" else 0)) / (n - 3)
    half = ndtri(0.5 + level / 2) * np.sqrt(variance)
    return float(np.tanh(np.arctanh(r) - half)), float(np.tanh(np.arctanh(r) + half))


def _few(n):
    return f"{n} pairs say little about a correlation" if n < TELLING else None
