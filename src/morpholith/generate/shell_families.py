"""Distributions of shell coefficients from the shells of real particles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .. import _checks
from ..errors import InputError
from ..image import Quantity
from ._family_fit import fitted, log_density, parameters, scores
from .harmonics import degree_of, degrees_of
from .shell_model import KINDS, Family, ShellModel, are_shells, draw_shells

if TYPE_CHECKING:
    import pandas as pd

FEWEST = 10
FEW = 100
SIMULATED = (4_000, 20_000)  # accepted shells drawn in each round of the correction, least and most
ROUNDS, SETTLE = 16, 8
STEP = 0.4  # the longest, of a logarithm or a spread
CLOSE = 0.25  # standard errors
HOPELESS = 0.02  # acceptance
SURELY = 0.01  # probability of a false alarm over all coefficients
SCREEN = 3.5  # standard deviations
COMPARED, DRAWN, BEYOND = 500, 9, 5  # particles, populations of the model, and standard deviations beyond these
LEAST_SHAPE = 0.01  # of a log-normal: nearer to normal than data can tell
NOTHING_LOST = 0.995  # acceptance above which there is nothing to correct


@dataclass(frozen=True)
class LearntShells:
    """A model of shells and how it was found.

    Attributes
    ----------
    model : ShellModel
        Of the families chosen; corrected for the rejection of draws that are no shells where `corrected`.
    parameters : DataFrame
        One row a degree: `kind`, `loc`, `scale`, `shape`, each with `_se`, `_low`, `_high` (95 %), and as
        `..._uncorrected` what the greatest likelihood alone gives. NaN where the family has no such parameter, and for
        the errors of one that was not fitted.
    families : DataFrame
        One row a degree and family: `kind`, `loc`, `scale`, `shape`, `log_likelihood`, `aic`, `delta_aic` (to the best
        of the degree), `chosen`. Without correction.
    dependence : DataFrame
        One row a coefficient but the first: `degree`, `order`, and `measure.distance_correlations` with the size
        coefficient (Fig. 3 of paper 001).
    acceptance : Quantity
        Share of the draws from `model` that are shells.
    corrected : bool
    n : int
        Shells learnt from.
    warnings : tuple of str
    """

    model: ShellModel
    parameters: pd.DataFrame
    families: pd.DataFrame
    dependence: pd.DataFrame
    acceptance: Quantity
    corrected: bool
    n: int
    warnings: tuple[str, ...] = ()


def learn_shells(
    coefficients: np.ndarray,
    *,
    weights: np.ndarray | None = None,
    families: Sequence[str] = KINDS,
    correct: bool = True,
    rng: np.random.Generator | int = 0,
) -> LearntShells:
    """Learn the distribution of shell coefficients, one family a degree (paper 001, Eqs. 5 to 7, Table 1).

    Coefficients of one degree are taken for independent draws of one distribution. From degree 1 on it is centred at 0:
    a population without preferred direction has no other mean. The family is that of the least AIC.

    Parameters
    ----------
    coefficients : (n, (L + 1)^2) array
        One row a particle, turned at random, in whatever unit the model is to have.
    weights : (n,) array, optional
        How often each particle counts, such as `frame_weight` of `shells_of_volume`; scaled to a mean of 1.
    families : sequence of str
        Of "normal", "log_normal", "student_t", those to choose from.
    correct : bool
        Account for the rejection of draws that are no shells, below. The paper does not.
    rng : Generator or int
        For the correction, the acceptance, and the choice of particles for `dependence` where there are many.

    Returns
    -------
    LearntShells

    Raises
    ------
    InputError
        Fewer than 10 shells, values that are not finite, weights that do not fit, or a degree without variation.

    Notes
    -----
    Real particles are shells, all of them; draws of the model are kept only if they are. A fit that overlooks it is
    truncated twice: its tails come out too thin, its shells too round. The likelihood of kept draws is
    f(a; p) / A(p) on shells, with A the acceptance; at its peak the mean score of the data equals the mean score of
    kept draws, E_p[d log f / dp | shell], and its information is the covariance of those scores. Both are taken from
    simulated shells and the equation solved by scoring. Standard errors are those of the sandwich with particles as
    units and hold the noise of the simulation.
    """
    a, w, said = _prepared(coefficients, weights)
    rng = np.random.default_rng(rng)
    for kind in families:
        _checks.choice(kind, KINDS, name="families")
    degree = degree_of(a)
    table = _table(a, w, degree, tuple(families))
    chosen = table[table["chosen"]]
    start = ShellModel(
        tuple(Family(k, s, m, h) for k, s, m, h in chosen[["kind", "scale", "loc", "shape"]].itertuples(index=False))
    )
    model, errors, corrected = start, _errors(start, a, w), False
    if correct and draw_shells(start, 2000, rng=rng).acceptance < NOTHING_LOST:
        model, errors, corrected = _corrected(start, a, w, rng, said)
    drawn = draw_shells(model, 5000, rng=rng)
    dependence = _dependence(a, model, rng, said)
    return LearntShells(
        model, _parameters(model, start, errors), table, dependence, _acceptance(drawn), corrected, len(a),
        tuple(said),
    )  # fmt: skip


def density(family: Family, x: np.ndarray) -> np.ndarray:
    """Return the probability density of a family at `x`."""
    return np.exp(log_density(family, np.asarray(x, float)))


def _prepared(coefficients, weights):
    a = np.array(coefficients, float, ndmin=2)
    degree_of(a)
    if a.ndim != 2 or not np.isfinite(a).all():
        raise InputError(f"`coefficients` must be finite, one row a shell; got shape {a.shape}.")
    w = np.ones(len(a)) if weights is None else np.asarray(weights, float)
    if w.shape != (len(a),) or not (np.isfinite(w).all() and (w >= 0).all()):
        raise InputError(f"`weights` must be {len(a)} finite numbers from 0 upwards, got shape {w.shape}.")
    said = []
    good = are_shells(a)
    if not good.all():
        said.append(f"{int((~good).sum())} of {len(a)} rows have a radius of 0 or less somewhere and are left out.")
    a, w = a[good & (w > 0)], w[good & (w > 0)]
    if len(a) < FEWEST:
        raise InputError(f"a distribution of shells needs {FEWEST} particles at least, got {len(a)}; add volumes.")
    if len(a) < FEW:
        said.append(f"{len(a)} particles say little about tails: look at the standard errors.")
    if (np.ptp(a, axis=0) == 0).all():
        raise InputError("all shells are the same: there is no distribution to learn.")
    return a, w / w.mean(), said


def _table(a, w, degree, kinds):
    """Fit every family to every degree."""
    import pandas as pd

    rows = []
    for l in range(degree + 1):  # noqa: E741
        x = a[:, l * l : (l + 1) ** 2].ravel()
        each = np.repeat(w, 2 * l + 1)
        if np.ptp(x) == 0:
            raise InputError(f"the coefficients of degree {l} do not vary: no distribution fits; lower the degree.")
        for kind in kinds:
            family = fitted(kind, x, each, shifted=l == 0)
            likelihood = float(each @ log_density(family, x))
            aic = 2 * len(parameters(kind, shifted=l == 0)) - 2 * likelihood
            rows.append((l, kind, family.loc, family.scale, family.shape, likelihood, aic))
    table = pd.DataFrame(rows, columns=["degree", "kind", "loc", "scale", "shape", "log_likelihood", "aic"])
    table["delta_aic"] = table["aic"] - table.groupby("degree")["aic"].transform("min")
    table["chosen"] = False
    table.loc[table.groupby("degree")["aic"].idxmin(), "chosen"] = True
    return table


def _scores(model, a):
    """Derivatives of the log density of each shell by all free parameters, (n, k)."""
    out = []
    for l, family in enumerate(model.families):  # noqa: E741
        out.append(scores(family, a[:, l * l : (l + 1) ** 2], shifted=l == 0).sum(-1).T)
    return np.concatenate(out, axis=1)


def _names(model):
    """Degree and name of every free parameter, in the order of `_scores`."""
    return [
        (l, name)
        for l, family in enumerate(model.families)  # noqa: E741
        for name in parameters(family.kind, shifted=l == 0)
    ]


def _errors(model, a, w):
    """Standard errors by log scale, log shape and loc at the greatest likelihood: sandwich, particles as units."""
    s = _scores(model, a)
    information = np.zeros((s.shape[1],) * 2)
    of = np.array([degree for degree, _ in _names(model)])
    for l in range(model.degree + 1):  # noqa: E741
        here = np.flatnonzero(of == l)
        information[np.ix_(here, here)] = _curvature(model.families[l], a[:, l * l : (l + 1) ** 2], w, l == 0)
    return _sandwich(information, s, w)


def _curvature(family, x, w, shifted):
    """Minus the second derivative of the log-likelihood of one degree, by differences of the scores."""
    names = parameters(family.kind, shifted=shifted)
    out = np.empty((len(names),) * 2)
    for j, name in enumerate(names):
        h = 1e-4 * (family.scale * 0.1 if name == "loc" else 1)
        ends = [scores(_moved(family, {name: d}), x, shifted=shifted).sum(-1) @ w for d in (-h, h)]
        out[:, j] = (ends[0] - ends[1]) / (2 * h)
    return 0.5 * (out + out.T)


def _sandwich(information, s, w):
    inverse = np.linalg.pinv(information)
    s = (s - np.average(s, axis=0, weights=w)) * w[:, None]
    return np.sqrt(np.maximum(np.diag(inverse @ (s.T @ s) @ inverse), 0))


def _moved(family, by):
    """Return the family with its parameters moved: scale and shape by logarithms, loc as it is."""
    return Family(
        family.kind,
        family.scale * float(np.exp(by.get("scale", 0))),
        family.loc + float(by.get("loc", 0)),
        family.shape * float(np.exp(by.get("shape", 0))),
    )


def _corrected(start, a, w, rng, said):
    """Solve for the parameters whose kept draws have the mean score of the data.

    Scoring with new simulations each round; from round `SETTLE` on with gains 1, 1/2, 1/3, ... which average the noise
    of the simulations out (Robbins and Monro).
    """
    model, n, names = start, len(a), _names(start)
    many = int(np.clip(10 * n, *SIMULATED))
    least = [float(a[:, l * l : (l + 1) ** 2].min()) for l in range(model.degree + 1)]  # noqa: E741
    moved = np.full(len(names), np.inf)
    errors, total = np.zeros(len(names)), 0
    for k in range(ROUNDS):
        drawn = _drawn(model, many, rng)
        if drawn is None:
            said.append(
                "the correction for rejected draws led to models that are hardly ever shells and is not made: the "
                "shells are as rough as the families of greatest likelihood, truncated, make them."
            )
            return start, _errors(start, a, w), False
        simulated, data = _scores(model, drawn), _scores(model, a)
        information = np.cov(simulated.T).reshape(len(names), -1)
        step = np.linalg.pinv(information) @ (np.average(data, axis=0, weights=w) - simulated.mean(0))
        gain = 1 / max(1, k + 1 - SETTLE)
        total += (k >= SETTLE) * len(drawn)
        errors = _sandwich(n * information, data, w) * np.sqrt(1 + n / max(total, len(drawn)))
        model = _stepped(model, names, gain * step, least)
        moved = np.abs(gain * step) / errors
    if (moved > CLOSE).any():
        at, name = names[int(np.argmax(moved))]
        said.append(
            f"the correction for rejected draws has not settled: in the last of {ROUNDS} rounds {name} of degree {at} "
            f"moved by {moved.max():.1f} standard errors."
        )
    return model, errors, True


def _drawn(model, n, rng):
    """Accepted shells, or None where too few are."""
    try:
        probe = draw_shells(model, 20, rng=rng)
        return draw_shells(model, n, rng=rng).coefficients if probe.acceptance > HOPELESS else None
    except InputError:
        return None


def _stepped(model, names, step, least):
    """Go a step, shortened as a whole where it is long, the shift of a log-normal kept below the `least` values."""
    moves: list[dict[str, float]] = [{"scale": 0.0, "shape": 0.0, "loc": 0.0} for _ in model.families]
    for (degree, name), by in zip(names, step, strict=True):
        moves[degree][name] = float(by)
    return ShellModel(
        tuple(_walked(f, by, least[k]) for k, (f, by) in enumerate(zip(model.families, moves, strict=True)))
    )


def _walked(family, by, least):
    """Move a log-normal by its median, spread and shape, which bear longer steps than shift and scale do."""
    if family.kind != "log_normal":
        longest = max(abs(by["scale"]), abs(by["shape"]), abs(by["loc"]) / max(family.scale, 1e-300))
        share = min(1.0, STEP / max(longest, 1e-300))
        return _moved(family, {k: share * v for k, v in by.items()})
    spread, median = family.scale * family.shape, family.loc + family.scale
    up, wide, skew = by["loc"] + family.scale * by["scale"], by["scale"] + by["shape"], by["shape"]
    share = min(1.0, STEP / max(abs(up) / spread, abs(wide), abs(skew), 1e-300))
    for _ in range(60):
        shape = max(family.shape * np.exp(share * skew), LEAST_SHAPE)
        scale = spread * np.exp(share * wide) / shape
        loc = median + share * up - scale
        if loc < least:
            return Family("log_normal", float(scale), float(loc), float(shape))
        share /= 2
    return family


def _parameters(model, start, errors):
    import pandas as pd

    error = dict(zip(_names(model), errors, strict=True))
    rows = []
    for l, (family, before) in enumerate(zip(model.families, start.families, strict=True)):  # noqa: E741
        row = {"degree": l, "kind": family.kind}
        for name in ("loc", "scale", "shape"):
            value, se = getattr(family, name), error.get((l, name), np.nan)
            if name == "shape" and family.kind == "normal":
                value = np.nan
            absolute = name == "loc"
            row[name] = value
            row[f"{name}_se"] = se if absolute else se * value
            row[f"{name}_low"] = value - 1.96 * se if absolute else value * np.exp(-1.96 * se)
            row[f"{name}_high"] = value + 1.96 * se if absolute else value * np.exp(1.96 * se)
            row[f"{name}_uncorrected"] = getattr(before, name) if np.isfinite(value) else np.nan
        rows.append(row)
    return pd.DataFrame(rows).set_index("degree")


def _dependence(a, model, rng, said):
    from ..measure.distance_correlation import distance_correlations

    found = distance_correlations(a[:, 0], a[:, 1:], rng=rng)
    l = degrees_of(degree_of(a))[1:]  # noqa: E741
    found.insert(0, "degree", l)
    found.insert(1, "order", np.arange(1, a.shape[1]) - l * l - l)
    if _looks_tied(found, len(a)):
        tied = _tied(a, model, rng)
        if tied:
            worst = found.loc[found["degree"].isin(tied), "distance_correlation"].max()
            said.append(
                f"coefficients of degree {', '.join(map(str, tied))} depend on the size of the particle (distance "
                f"correlation up to {worst:.2f}), more than the rejection of what is no shell explains; the model "
                "draws them independently, so that small and large particles come out equally rough in um."
            )
    return found


def _looks_tied(found, n):
    """Whether some degree depends on size: the mean over its orders beyond chance, or one of its coefficients."""
    by = found.groupby("degree")["squared_corrected"]
    beyond = by.mean() * n * np.sqrt(by.count() / 2) > SCREEN
    return bool(beyond.any() or (found["p_value"] < SURELY / max(1, len(found))).any())


def _tied(a, model, rng):
    """Degrees that depend on size more than in shells drawn from the model, where small ones must be smooth."""
    from ..measure.distance_correlation import distance_correlations

    n = min(len(a), COMPARED)
    some = a[np.sort(rng.choice(len(a), n, replace=False))]
    drawn = draw_shells(model, n * DRAWN, rng=rng).coefficients.reshape(DRAWN, n, -1)
    of = degrees_of(degree_of(a))[1:]
    at = [distance_correlations(x[:, 0], x[:, 1:])["squared_corrected"].groupby(of).mean() for x in (some, *drawn)]
    null = np.array(at[1:])
    beyond = at[0].to_numpy() > null.mean(0) + BEYOND * null.std(0, ddof=1)
    return [int(l) for l in at[0].index[beyond]]  # noqa: E741


def _acceptance(drawn):
    p, n = drawn.acceptance, drawn.tried
    middle, half = (p + 1.92 / n) / (1 + 3.84 / n), 1.96 * np.sqrt(p * (1 - p) / n + 0.96 / n**2) / (1 + 3.84 / n)
    return Quantity(
        p, float(middle - half), float(middle + half), n=n,
        method="draws with radii above 0 at 642 directions; Wilson interval",
    )  # fmt: skip
