"""A straight-line model over a handful of electrodes, and what so few of them can tell."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..image import Quantity

if TYPE_CHECKING:
    import pandas as pd

INTERCEPT = "intercept"
COLLINEAR = 10.0
"""Variance inflation from which two predictors cannot be told apart by rule of thumb."""

ILL_CONDITIONED = 30.0
"""Condition number of the scaled design (Belsley, Kuh and Welsch) that means strong collinearity."""

FEW_PER_COEFFICIENT = 10
EXACT_PERMUTATIONS = 8  # n! of them are all tried up to this many electrodes
RANDOM_PERMUTATIONS = 4999
TERM = re.compile(
    r"\s*(?P<signs>[+\s-]*)"
    r"(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?:\s*[*×·]\s*(?=[^\W\d]))?\s*)?"
    r"(?P<name>[^\W\d]\w*)?"
)


@dataclass(frozen=True)
class GivenEquation:
    """An equation from elsewhere, tried on the table.

    Attributes
    ----------
    coefficients : dict of str to float
    predicted : Series
        Its prediction for each row of the table.
    r2 : float
        One minus residual over total sum of squares; below 0 the mean of the table would do better.
    rmse : float
    agrees : bool
        No prediction is off by more than the residuals of the table's own fit allow (and 10 % of the target's range).
    sentence : str
    """

    coefficients: dict[str, float]
    predicted: pd.Series
    r2: float
    rmse: float
    agrees: bool
    sentence: str


@dataclass(frozen=True)
class LinearFit:
    """Least squares over several electrodes, with what it can and cannot tell.

    Attributes
    ----------
    coefficients : dict of str to Quantity
        ``"intercept"`` and one for each predictor, with Student's interval; no interval without degrees of freedom.
    target, predictors : str, tuple of str
    n, dof : int
        Electrodes used, and what is left of them after the coefficients.
    r2, r2_adjusted, q2 : float
        Explained share of the variance: of the points fitted; adjusted for the coefficients; of each point
        predicted from the others (leave-one-out).
    rmse, press_rmse : float
        Root mean square of the residuals and of the leave-one-out errors, unit of the target.
    p_permutation : float
        Share of the assignments of targets to electrodes that fit at least as well; NaN where r2 is.
    correlation : DataFrame
        Of the predictors with each other.
    vif : Series
        Variance inflation factor of each predictor.
    condition : float
        Condition number of the design matrix, columns (intercept included) scaled to unit length.
    points : DataFrame
        One row an electrode: ``observed``, ``fitted``, ``residual``, ``leverage``, ``predicted_without`` (from the
        other electrodes).
    leave_one_out : DataFrame
        Coefficients with each electrode left out; NaN where the others do not determine them.
    sign_stable : dict of str to bool
        Whether the predictor's coefficient keeps its sign whichever electrode is left out.
    r2_alone : dict of str to float
        Explained share by each predictor on its own.
    identifiable : bool
    sentences : tuple of str
        What a reader should know, the verdict first.
    given : GivenEquation or None
    """

    coefficients: dict[str, Quantity]
    target: str
    predictors: tuple[str, ...]
    n: int
    dof: int
    r2: float
    r2_adjusted: float
    q2: float
    rmse: float
    press_rmse: float
    p_permutation: float
    correlation: pd.DataFrame
    vif: pd.Series
    condition: float
    points: pd.DataFrame
    leave_one_out: pd.DataFrame
    sign_stable: dict[str, bool]
    r2_alone: dict[str, float]
    identifiable: bool
    sentences: tuple[str, ...]
    given: GivenEquation | None = None


def equation(text: str) -> dict[str, float]:
    """Read a linear equation such as ``"expansion = -0.05 + 0.73 * porosity - 0.09 * tortuosity"``.

    Parameters
    ----------
    text : str
        Terms are numbers or ``number * name`` (the sign of multiplication may be missing); what stands left of an
        equals sign is ignored.

    Returns
    -------
    dict of str to float
        Coefficient of each name, and ``"intercept"``.

    Raises
    ------
    InputError
        Something in it is no such term.
    """
    right = re.sub(r"[()\s]", " ", text.rpartition("=")[2])
    found = {INTERCEPT: 0.0}
    at, first = 0, True
    while right[at:].strip():
        match = TERM.match(right, at)
        if not match or not (match["number"] or match["name"]) or not (first or match["signs"]):
            raise InputError(
                f"an equation is written like '-0.05 + 0.73 * porosity - 0.09 * tortuosity'; got {text!r}."
            )
        value = float(match["number"] or 1) * (-1) ** match["signs"].count("-")
        name = match["name"] or INTERCEPT
        found[name] = found.get(name, 0.0) + value
        at, first = match.end(), False
    if first:
        raise InputError("the equation is empty; write it like '-0.05 + 0.73 * porosity - 0.09 * tortuosity'.")
    return found


def linear_fit(
    table: pd.DataFrame | Mapping[str, Sequence[float]],
    *,
    target: str,
    predictors: Sequence[str],
    given: Mapping[str, float] | str | None = None,
    level: float = 0.95,
    rng: np.random.Generator | int = 0,
) -> LinearFit:
    """Fit a straight-line model over electrodes and say what it is worth.

    Parameters
    ----------
    table : DataFrame or mapping of columns
        One row an electrode; the index names it. Rows with a NaN in a used column are left out, and said.
    target : str
        Column to explain.
    predictors : sequence of str
        Columns to explain it with; an intercept is always fitted.
    given : mapping or str, optional
        An equation to try on the table: coefficients by column, and ``"intercept"``; or its text, see `equation`.
    level : float
        Coverage of the intervals.
    rng : Generator or int
        Draws permutations when there are more than 8 electrodes; with up to 8 every permutation is tried.

    Returns
    -------
    LinearFit
        With fewer electrodes than coefficients, or predictors that depend on each other exactly, coefficients are
        NaN and the first sentence says why.

    Raises
    ------
    InputError
        A column is missing or holds no numbers, a predictor is named twice or is the target.

    Notes
    -----
    Ordinary least squares; Student's t intervals assume independent electrodes with equal scatter, which a
    handful of them cannot show. Leave-one-out errors are residual / (1 - leverage) (PRESS), and
    Q2 = 1 - PRESS / total sum of squares, infinite and minus infinite where an electrode alone carries a direction.
    Measurement errors of the predictors are ignored; they bias slopes towards zero.
    """
    columns = (target, *predictors)
    data, dropped = _numbers(table, columns)
    if not 0 < level < 1:
        raise InputError(f"`level` must lie between 0 and 1, got {level!r}.")
    y, x = data[target].to_numpy(), data[list(predictors)].to_numpy()
    n, k = len(y), len(predictors) + 1
    design = np.column_stack([np.ones(n), x])
    names = (INTERCEPT, *predictors)
    full = n >= k and np.linalg.matrix_rank(_unit_columns(design)) == k
    b = np.linalg.lstsq(design, y, rcond=None)[0] if full else np.full(k, np.nan)
    points = _points(design, y, b, data.index, full)
    loo = _left_out(design, y, data.index, names)
    score = _scores(points, n, k)
    fit = dict(
        coefficients=_coefficients(design, b, points["residual"].to_numpy(), names, n - k, level, full),
        target=target,
        predictors=tuple(predictors),
        n=n,
        dof=n - k,
        p_permutation=_permutation(design, y, score["r2"], rng) if full and n > k else math.nan,
        correlation=_correlation(data[list(predictors)]),
        vif=_inflation(data[list(predictors)]),
        condition=float(np.linalg.cond(_unit_columns(design))) if n else math.nan,
        points=points,
        leave_one_out=loo,
        sign_stable={p: _stable(b[i + 1], loo[p].to_numpy()) for i, p in enumerate(predictors)},
        r2_alone={p: _r2_alone(data[p].to_numpy(), y) for p in predictors},
        **score,
    )
    from ._regression_words import describe, judge_equation

    identifiable, sentences = describe(fit, full=full, dropped=dropped)
    return LinearFit(
        **fit,
        identifiable=identifiable,
        sentences=sentences,
        given=None if given is None else judge_equation(given, data, fit),
    )


def _numbers(table, columns):
    import pandas as pd

    table = pd.DataFrame(table)
    if len(set(columns)) < len(columns) or len(columns) < 2:
        raise InputError(f"`target` and at least one `predictors` must be different columns, got {', '.join(columns)}.")
    missing = [c for c in columns if c not in table.columns]
    if missing:
        raise InputError(
            f"the table has no column {', '.join(map(repr, missing))}; it has {', '.join(map(str, table.columns))}."
        )
    try:
        data = table[list(columns)].astype(float)
    except (TypeError, ValueError):
        raise InputError(f"the columns {', '.join(columns)} must hold numbers (one row an electrode).") from None
    whole = np.isfinite(data.to_numpy()).all(axis=1)
    return data[whole], [str(i) for i in data.index[~whole]]


def _unit_columns(a):
    return a / np.maximum(np.linalg.norm(a, axis=0), np.finfo(float).tiny)


def _points(design, y, b, index, full):
    import pandas as pd

    nothing = np.full(len(y), np.nan)
    fitted = design @ b if full else nothing
    leverage = (np.linalg.qr(design)[0] ** 2).sum(axis=1) if full else nothing
    with np.errstate(divide="ignore", invalid="ignore"):
        # an electrode of leverage 1 is met exactly, whatever it is: the others do not predict it at all
        away = np.where(leverage > 1 - 1e-9, np.inf, (y - fitted) / (1 - leverage))
    return pd.DataFrame(
        {
            "observed": y,
            "fitted": fitted,
            "residual": y - fitted,
            "leverage": leverage,
            "predicted_without": np.where(np.isfinite(away), y - away, np.nan),
        },
        index=index,
    )


def _scores(points, n, k):
    y, residual, leverage = (points[c].to_numpy() for c in ("observed", "residual", "leverage"))
    total = float(((y - y.mean()) ** 2).sum()) if n else 0.0
    rss = float((residual**2).sum())
    press = np.inf if (leverage > 1 - 1e-9).any() else float(((residual / (1 - leverage)) ** 2).sum())
    press = math.nan if not n or not np.isfinite(rss) else press
    constant = total <= 0 or not np.isfinite(rss)
    r2 = math.nan if constant else 1 - rss / total
    return {
        "r2": r2,
        "r2_adjusted": 1 - (1 - r2) * (n - 1) / (n - k) if n > k else math.nan,
        "q2": math.nan if constant else 1 - press / total,
        "rmse": math.sqrt(rss / n) if n else math.nan,
        "press_rmse": math.sqrt(press / n) if n else math.nan,
    }


def _coefficients(design, b, residual, names, dof, level, full):
    if not full or dof < 1:
        why = "the electrodes do not determine it" if not full else "no degrees of freedom are left for an interval"
        return {
            name: Quantity(float(v), level=level, n=len(residual), method="least squares", warning=why)
            for name, v in zip(names, b, strict=True)
        }
    from scipy.special import stdtrit

    # through QR, not the normal equations: collinear predictors are the rule here
    r = np.linalg.inv(np.linalg.qr(design)[1])
    se = np.sqrt((r**2).sum(axis=1) * (residual**2).sum() / dof)
    half = float(stdtrit(dof, 0.5 + level / 2)) * se
    return {
        name: Quantity(
            float(v), float(v - h), float(v + h), level=level, n=len(residual), method="least squares, Student's t"
        )
        for name, v, h in zip(names, b, half, strict=True)
    }


def _left_out(design, y, index, names):
    import pandas as pd

    rows = []
    for i in range(len(y)):
        keep = np.arange(len(y)) != i
        a = design[keep]
        full = len(a) >= a.shape[1] and np.linalg.matrix_rank(_unit_columns(a)) == a.shape[1]
        rows.append(np.linalg.lstsq(a, y[keep], rcond=None)[0] if full else np.full(a.shape[1], np.nan))
    return pd.DataFrame(np.reshape(rows, (len(y), len(names))), index=index, columns=list(names))


def _stable(value, without):
    return bool(np.isfinite(value) and len(without) and (np.sign(without) == np.sign(value)).all())


def _permutation(design, y, r2, rng):
    """Share of rearranged targets that the same predictors explain at least as well."""
    if not np.isfinite(r2):
        return math.nan
    q = np.linalg.qr(design)[0]
    n = len(y)
    if n <= EXACT_PERMUTATIONS:
        order = np.array(list(itertools.permutations(range(n))))
    else:
        order = np.random.default_rng(rng).permuted(np.tile(np.arange(n), (RANDOM_PERMUTATIONS, 1)), axis=1)
        order = np.concatenate([np.arange(n)[None], order])
    centred = y - y.mean()
    explained = ((centred[order] @ q) ** 2).sum(axis=1) / (centred**2).sum()
    return float((explained >= r2 - 1e-12).mean())


def _correlation(predictors):
    with np.errstate(invalid="ignore", divide="ignore"):
        return predictors.corr()


def _inflation(predictors):
    import pandas as pd

    factors = {}
    for name in predictors:
        others = predictors.drop(columns=name).to_numpy()
        x = predictors[name].to_numpy()
        a = np.column_stack([np.ones(len(x)), others])
        left = float(((x - a @ np.linalg.lstsq(a, x, rcond=None)[0]) ** 2).sum()) if len(x) else math.nan
        total = float(((x - x.mean()) ** 2).sum()) if len(x) else math.nan
        factors[name] = total / left if left > 1e-12 * total else math.inf
    return pd.Series(factors, name="vif", dtype=float)


def _r2_alone(x, y):
    if len(y) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return math.nan
    return float(np.corrcoef(x, y)[0, 1] ** 2)
