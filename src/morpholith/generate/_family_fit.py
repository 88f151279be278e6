"""Likelihood of one family: where it is greatest, and its derivative by each parameter."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import digamma, gammaln

from .shell_model import Family

NU = (0.5, 500.0)  # degrees of freedom looked at
FARTHEST = 8.0  # shift of a log-normal below the least value, natural logarithm in standard deviations
LEAST = 1e-12


def log_density(family: Family, x: np.ndarray) -> np.ndarray:
    """Natural logarithm of the density at `x`; -inf outside the support."""
    z = (x - family.loc) / family.scale
    if family.kind == "normal":
        return -0.5 * z * z - np.log(family.scale) - 0.5 * np.log(2 * np.pi)
    if family.kind == "student_t":
        nu = family.shape
        norm = gammaln((nu + 1) / 2) - gammaln(nu / 2) - 0.5 * np.log(nu * np.pi) - np.log(family.scale)
        return norm - (nu + 1) / 2 * np.log1p(z * z / nu)
    with np.errstate(divide="ignore", invalid="ignore"):
        y = np.log(z) / family.shape
        out = -0.5 * y * y - np.log(x - family.loc) - np.log(family.shape) - 0.5 * np.log(2 * np.pi)
    return np.where(z > 0, out, -np.inf)


def parameters(kind: str, *, shifted: bool) -> tuple[str, ...]:
    """Names of the parameters of a family that are free, in the order of `scores`."""
    shape = () if kind == "normal" else ("shape",)
    return ("scale", *shape, *(("loc",) if shifted or kind == "log_normal" else ()))


def scores(family: Family, x: np.ndarray, *, shifted: bool) -> np.ndarray:
    """Derivatives of the log density by log scale, log shape and loc, those of `parameters`: (k, ...)."""
    scale, nu = family.scale, family.shape
    z = (x - family.loc) / scale
    if family.kind == "normal":
        rows = [z * z - 1, z / scale]
    elif family.kind == "student_t":
        pull = (nu + 1) * z / (nu + z * z)
        by_nu = digamma((nu + 1) / 2) - digamma(nu / 2) - 1 / nu - np.log1p(z * z / nu) + pull * z / nu
        rows = [pull * z - 1, 0.5 * nu * by_nu, pull / scale]
    else:
        z = np.maximum(z, LEAST)
        y = np.log(z) / nu
        return np.stack([y / nu, y * y - 1, (1 + y / nu) / (scale * z)])
    return np.stack(rows if shifted else rows[:-1])


def fitted(kind: str, x: np.ndarray, weights: np.ndarray, *, shifted: bool) -> Family:
    """Family of greatest likelihood for values `x`, each counted `weights` times.

    Parameters
    ----------
    kind : str
    x, weights : (n,) arrays
    shifted : bool
        Whether `loc` is free; it is for the log-normal in any case. Otherwise 0.
    """
    if kind == "log_normal":
        return _log_normal(x, weights)
    loc = float(np.average(x, weights=weights)) if shifted else 0.0
    scale = float(np.sqrt(np.average((x - loc) ** 2, weights=weights)))
    if kind == "normal" or scale == 0:
        return Family(kind, scale, loc, 1.0 if kind == "normal" else NU[1])
    start = (float(np.average(np.abs(x - loc), weights=weights)), loc)

    def given(log_nu):
        nu = float(np.exp(log_nu))
        scale, middle = _t_of(x, weights, nu, start, shifted)
        family = Family("student_t", scale, middle, nu)
        return -float(weights @ log_density(family, x)), family

    best = minimize_scalar(lambda t: given(t)[0], bounds=np.log(NU), method="bounded", options={"xatol": 1e-5})
    return given(best.x)[1]


def _t_of(x, weights, nu, start, shifted):
    """Scale and centre of greatest likelihood at `nu` degrees of freedom (iteratively reweighted)."""
    scale, loc = start
    for _ in range(200):
        pull = weights * (nu + 1) / (nu + ((x - loc) / scale) ** 2)
        middle = float(pull @ x / pull.sum()) if shifted else 0.0
        new = float(np.sqrt(pull @ (x - middle) ** 2 / pull.sum()))  # by the sum of pulls it settles sooner
        done = abs(new - scale) < 1e-9 * scale and abs(middle - loc) < 1e-9 * scale
        scale, loc = max(new, LEAST), middle
        if done:
            break
    return scale, loc


def _log_normal(x, weights):
    """Three-parameter log-normal: the highest inner peak over the shift, as the likelihood has none at its end.

    Towards the least value the likelihood grows without bound, which means nothing; without an inner peak the shift
    farthest off is taken, where the family is all but normal.
    """
    middle = np.average(x, weights=weights)
    least, spread = float(x.min()), float(np.sqrt(np.average((x - middle) ** 2, weights=weights)))
    if spread == 0:
        return Family("log_normal", 0.0, least)

    def at(t):
        loc = least - spread * np.exp(t)
        y = np.log(x - loc)
        mean = float(np.average(y, weights=weights))
        shape = max(float(np.sqrt(np.average((y - mean) ** 2, weights=weights))), LEAST)
        family = Family("log_normal", float(np.exp(mean)), loc, shape)
        return float(weights @ log_density(family, x)), family

    grid = np.linspace(-6, FARTHEST, 57)
    value = np.array([at(t)[0] for t in grid])
    peaks = np.flatnonzero((value[1:-1] > value[:-2]) & (value[1:-1] >= value[2:])) + 1
    if len(peaks) == 0:
        return at(grid[-1])[1]
    k = peaks[np.argmax(value[peaks])]
    best = minimize_scalar(lambda t: -at(t)[0], bounds=(grid[k - 1], grid[k + 1]), method="bounded")
    return at(best.x)[1]
