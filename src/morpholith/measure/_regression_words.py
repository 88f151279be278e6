"""What a fit over electrodes is worth, in sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from ..errors import InputError
from .regression import COLLINEAR, FEW_PER_COEFFICIENT, ILL_CONDITIONED, INTERCEPT, GivenEquation, equation

HIGH_LEVERAGE = 0.9
COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def describe(fit, *, full, dropped):
    """Return whether the coefficients are identifiable, and the sentences, the verdict first."""
    if not full:
        return False, (_underdetermined(fit), *_dropped(dropped))
    against = [s for s in (_freedom(fit), _collinear(fit), _carried(fit)) if s]
    # a sign that changes is no charge by itself: where there is no effect it must
    words = [*_signs(fit), *_intervals(fit), *_leave_one_out(fit), *_permutation(fit), *_alone(fit), *_dropped(dropped)]
    identifiable = not against
    return identifiable, (_verdict(fit, identifiable), *against, *words)


def _number(n):
    return COUNTS[n] if n < len(COUNTS) else str(n)


def _names(predictors):
    return " and ".join([", ".join(predictors[:-1]), predictors[-1]]) if len(predictors) > 1 else predictors[0]


def _underdetermined(fit):
    k = len(fit["predictors"]) + 1
    if fit["n"] < k:
        return (
            f"Nothing is fitted: {_number(fit['n'])} electrode(s) for {_number(k)} coefficients of {fit['target']}; "
            f"at least {FEW_PER_COEFFICIENT * k} would be needed for coefficients worth reading."
        )
    return (
        f"Nothing is fitted: over these electrodes {_names(fit['predictors'])} depend on each other (or do not vary), "
        "so their coefficients cannot be told apart."
    )


def _verdict(fit, identifiable):
    n, who = fit["n"], _names(fit["predictors"])
    if identifiable:
        return f"The {n} electrodes determine how {fit['target']} moves with {who}, within the intervals."
    return (
        f"{_number(n).capitalize()} points with these predictors identify nothing: the coefficients of {who} are not "
        f"determined by this table, and R2 = {fit['r2']:.4f} is no evidence for them."
    )


def _freedom(fit):
    k = len(fit["predictors"]) + 1
    if fit["dof"] >= 2 * k:
        return None
    left = "degree of freedom is" if fit["dof"] == 1 else "degrees of freedom are"
    return (
        f"{_number(fit['n']).capitalize()} electrodes and {_number(k)} coefficients: {_number(fit['dof'])} {left} "
        f"left, and predictors drawn at random would reach an R2 of {(k - 1) / (fit['n'] - 1):.2f} on average."
    )


def _collinear(fit):
    worst = fit["vif"].max()
    if not worst > COLLINEAR and not (fit["condition"] > ILL_CONDITIONED and len(fit["predictors"]) > 1):
        return None
    c = fit["correlation"].to_numpy()
    pairs = np.argwhere(np.triu(np.ones_like(c, bool), 1))
    if not len(pairs) or not worst > COLLINEAR:
        return None
    i, j = pairs[np.argmax([abs(c[i, j]) for i, j in pairs])]
    names = fit["correlation"].columns
    return (
        f"{names[i]} and {names[j]} move together over these electrodes (correlation {c[i, j]:.3f}, variance inflation "
        f"{worst:.0f}, condition number {fit['condition']:.0f}): an effect of one cannot be told from one of the other."
    )


def _carried(fit):
    leverage = fit["points"]["leverage"]
    if not leverage.max() > HIGH_LEVERAGE:
        return None
    who = [str(i) for i in leverage.index[leverage > HIGH_LEVERAGE]]
    verb = "carries" if len(who) == 1 else "carry"
    return (
        f"{_names(who)} {verb} the fit (leverage {leverage.max():.4f} of at most 1): the line goes through such a "
        "point whatever was measured there."
    )


def _signs(fit):
    loose = [p for p in fit["predictors"] if not fit["sign_stable"][p]]
    if not loose:
        return []
    return [
        f"The sign of {_names(loose)} is not stable: it changes, or is not determined, when one electrode is left out."
    ]


def _intervals(fit):
    wide = [
        f"{p} {q.value:+.3g} [{q.low:+.3g}, {q.high:+.3g}]"
        for p, q in fit["coefficients"].items()
        if q.low is not None and q.low < 0 < q.high
    ]
    return [f"Intervals that hold zero: {'; '.join(wide)}."] if wide else []


def _leave_one_out(fit):
    if not np.isfinite(fit["press_rmse"]):
        return ["Left out, an electrode of leverage 1 cannot be predicted from the others at all."]
    away = fit["points"]["observed"] - fit["points"]["predicted_without"]
    who = away.abs().idxmax()
    return [
        f"Predicted from the other electrodes the error is {fit['press_rmse']:.3g} (root mean square; residuals "
        f"{fit['rmse']:.3g}) and Q2 = {fit['q2']:.3g}; the worst is {who}: "
        f"{fit['points'].loc[who, 'predicted_without']:.3g} against {fit['points'].loc[who, 'observed']:.3g}."
    ]


def _permutation(fit):
    p, n = fit["p_permutation"], fit["n"]
    if n <= 4 and np.isfinite(p):
        return [f"With {_number(n)} electrodes no permutation test can fall below 1/{math.factorial(n)}; here {p:.3f}."]
    if not p > 0.05:
        return []
    return [
        f"Targets dealt out at random to the electrodes are explained as well in {100 * p:.0f} % of the cases: the fit "
        "is not distinguishable from chance."
    ]


def _alone(fit):
    if len(fit["predictors"]) < 2:
        return []
    name, best = max(fit["r2_alone"].items(), key=lambda item: np.nan_to_num(item[1], nan=-1))
    if not best > fit["r2"] - 0.02:
        return []
    return [f"{name} alone explains as much (R2 = {best:.4f} against {fit['r2']:.4f})."]


def _dropped(dropped):
    if not dropped:
        return []
    return [f"{len(dropped)} row(s) without all numbers were left out: {', '.join(dropped)}."]


def judge_equation(given, data, fit):
    """Try an equation from elsewhere on the table."""
    coefficients = equation(given) if isinstance(given, str) else {INTERCEPT: 0.0, **_plain(given)}
    names = [c for c in coefficients if c != INTERCEPT]
    missing = [c for c in names if c not in data.columns or c == fit["target"]]
    if missing:
        raise InputError(
            f"the given equation uses {', '.join(map(repr, missing))}, which is no predictor here "
            f"({', '.join(fit['predictors'])})."
        )
    y = data[fit["target"]]
    predicted = coefficients[INTERCEPT] + sum((coefficients[c] * data[c] for c in names), 0 * y)
    predicted = predicted.rename("predicted")
    rss, total = float(((y - predicted) ** 2).sum()), float(((y - y.mean()) ** 2).sum())
    r2 = 1 - rss / total if total > 0 else np.nan
    rmse = float(np.sqrt(rss / len(y))) if len(y) else np.nan
    off = (y - predicted).abs()
    allowed = max(3 * fit["rmse"], 0.1 * float(np.ptp(y))) if len(y) and np.isfinite(fit["rmse"]) else np.nan
    agrees = bool(len(y) and off.max() <= allowed)
    sentence = _about_equation(y, predicted, off, r2, agrees, coefficients, fit)
    return GivenEquation(dict(coefficients), predicted, float(r2), rmse, agrees, sentence)


def _plain(given):
    if not isinstance(given, Mapping):
        raise InputError("`given` must be an equation as text, or its coefficients by column name.")
    return {str(k): float(v) for k, v in given.items()}


def _about_equation(y, predicted, off, r2, agrees, coefficients, fit):
    if not len(y):
        return "There is no electrode to try the given equation on."
    who = off.idxmax()
    if agrees:
        return f"The given equation agrees with this table (R2 = {r2:.4f}; worst {who}, off by {off[who]:.3g})."
    flipped = [
        p
        for p in fit["predictors"]
        if p in coefficients and np.sign(coefficients[p]) * np.sign(fit["coefficients"][p].value) < 0
    ]
    tail = f" The table's own least squares gives {_names(flipped)} the other sign." if flipped else ""
    scale = float(np.median(y.abs()) / max(np.median(predicted.abs()), 1e-300))
    if 30 < scale < 300 or 30 < 1 / scale < 300:
        tail += " The two differ by a factor near 100: is one in percent and the other a fraction?"
    worse = ", worse than the mean of the column" if r2 < 0 else ""
    return (
        f"The given equation contradicts this table: for {who} it predicts {predicted[who]:.3g} where {y[who]:.3g} "
        f"was measured (R2 = {r2:.2f}{worse}).{tail}"
    )
