"""Allowed recipes: whether there are any, at random, evenly spread, and how far one can go in a direction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError

if TYPE_CHECKING:
    from .space import Space

SLACK = 1e-9
RARE = 0.02  # below this share of allowed recipes rejection is given up
TRIES = 4096
CHAINS, ROUNDS, STEPS = 64, 4, 12  # walks at least, and their length for each dimension


def contradiction(space: Space) -> None:
    """Raise an InputError that names the fewest constraints that cannot hold together, if any cannot."""
    rules = list(range(len(space.constraints)))
    if not rules or _feasible(space, rules):
        return
    for i in list(rules):
        rest = [r for r in rules if r != i]
        if not _feasible(space, rest):
            rules = rest
    names = dict.fromkeys(n for r in rules for n in space.constraints[r].coefficients)
    held = ", ".join(f"{n} = {space.fixed[n]:g}" if n in space.fixed else _range(space, n) for n in names)
    words = " and ".join(f"'{space.constraints[r]}'" for r in rules)
    if len(rules) == 1:
        raise InputError(f"no recipe can keep the constraint {words} with {held}; loosen it or the bounds.")
    raise InputError(f"the constraints {words} contradict each other with {held}; loosen one.")


def _range(space, name):
    kind = space.conditions[name]
    return f"{name} from {kind.low:g} to {kind.high:g}"


def _feasible(space, rules):
    """Return whether some recipe keeps the constraints numbered, whole numbers whole."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    rows, low, high = [], [], []
    for r in rules:
        rule = space.constraints[r]
        known = sum(v * float(space.fixed[n]) for n, v in rule.coefficients.items() if n in space.fixed)
        bound = rule.bound - known
        slack = SLACK * _size(np.array([*rule.coefficients.values()]), rule.bound)
        rows.append([rule.coefficients.get(n, 0.0) for n in space.names])
        low.append(bound - slack if rule.relation == "==" else -np.inf)
        high.append(bound + slack)
    if not rows:
        return True
    whole = (space.is_integer | space.is_category).astype(int)
    found = milp(
        np.zeros(len(space.names)), integrality=whole, bounds=Bounds(*space.bounds.T),
        constraints=LinearConstraint(np.array(rows), low, high),
    )  # fmt: skip
    return found.status == 0


def _size(coefficients, bound):
    return max(float(np.abs(coefficients).max(initial=0.0)), abs(bound), 1e-12)


def holds(space: Space, codes: np.ndarray) -> np.ndarray:
    """Return which codes keep every bound and constraint."""
    low, high = space.bounds.T
    a, b, e, f = space.rules()
    slack = SLACK * np.maximum(high - low, np.abs(high))
    good = ((codes >= low - slack) & (codes <= high + slack)).all(axis=1)
    whole = space.is_integer | space.is_category
    good &= (codes[:, whole] == np.round(codes[:, whole])).all(axis=1)
    size_a = SLACK * (np.abs(a) @ np.abs(space.bounds).max(axis=1) + np.abs(b))
    size_e = SLACK * (np.abs(e) @ np.abs(space.bounds).max(axis=1) + np.abs(f))
    good &= (codes @ a.T <= b + size_a).all(axis=1)
    return good & (np.abs(codes @ e.T - f) <= size_e).all(axis=1)


def _from_uniform(space, uniform):
    """Return codes of points of the unit cube, each word and each whole number equally likely."""
    codes = space.from_unit(np.where(space.is_category, 0.0, uniform))
    low, high = space.bounds.T
    whole = space.is_integer | space.is_category
    steps = np.minimum(np.floor(uniform * (high - low + 1)), high - low)
    return np.where(whole, low + steps, np.clip(codes, low, high))


def draw(space: Space, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return `n` allowed codes at random."""
    if not len(space.rules()[2]):
        tried = _from_uniform(space, rng.random((max(TRIES, n), len(space.names))))
        kept = tried[holds(space, tried)]
        while len(kept) < n and len(kept) > RARE * len(tried):
            more = _from_uniform(space, rng.random((int(1.2 * n * len(tried) / len(kept)), len(space.names))))
            kept, tried = np.concatenate([kept, more[holds(space, more)]]), np.concatenate([tried, more])
        if len(kept) >= n:
            return kept[:n]
    return _walked(space, n, rng)


def spread(space: Space, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return `n` allowed codes that fill the space evenly; at random where few of the even points are allowed."""
    from scipy.stats import qmc

    if not len(space.rules()[2]):
        points = qmc.Sobol(len(space.names), rng=rng).random_base2(max(6, int(np.ceil(np.log2(max(n, 1) / RARE)))))
        codes = _from_uniform(space, points)
        kept = codes[holds(space, codes)]
        if len(kept) >= n:
            return kept[:n]
    return _thinned(space, draw(space, 20 * n, rng), n)


def _thinned(space, codes, n):
    """Return `n` of the codes, each as far as possible from those before."""
    chosen = [0]
    nearest = space.distance(codes, codes[:1])[:, 0]
    while len(chosen) < n:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, space.distance(codes, codes[chosen[-1:]])[:, 0])
    return codes[chosen]


def _walked(space, n, rng):
    """Return `n` allowed codes by hit-and-run: whole numbers are drawn first, then the rest uniformly."""
    a, _, e, _ = space.rules()
    whole = space.is_integer | space.is_category
    tied = whole & (np.abs(np.concatenate([a, e])) > 0).any(axis=0)
    codes, centres = _whole_parts(space, n, rng, whole, tied)
    bounds = space.bounds[~whole]
    for key, centre in centres.items():
        rows = (codes[:, tied] == key).all(axis=1)
        held = _held(space, centre, whole)
        codes[np.ix_(rows, ~whole)] = _hit_and_run(centre[~whole], int(rows.sum()), held, bounds, rng)
    return codes


def _whole_parts(space, n, rng, whole, tied):
    """Return `n` codes whose whole numbers leave room for the rest, and an inner point for each set of tied ones."""
    centres: dict[tuple, np.ndarray | None] = {}
    rows: list[np.ndarray] = []
    tries = 0
    while len(rows) < n:
        code = _from_uniform(space, rng.random((1, len(space.names))))[0]
        tries += 1
        if tries > 50 * (len(rows) + 1):
            code = _any_whole(space, rng, whole, tied, code)
        key = tuple(code[tied])
        if key not in centres:
            centres[key] = _centre(space, code, whole)
        if centres[key] is not None:
            rows.append(code)
    return np.array(rows), {key: centre for key, centre in centres.items() if centre is not None}


def _held(space, code, whole):
    """Return the constraints left on the continuous conditions where the others are held."""
    a, b, e, f = space.rules()
    return a[:, ~whole], b - a[:, whole] @ code[whole], e[:, ~whole], f - e[:, whole] @ code[whole]


def _any_whole(space, rng, whole, tied, code):
    """Return allowed whole numbers found by an integer programme in a random direction, for when chance finds none."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    a, b, e, f = space.rules()
    rows = np.concatenate([a, e])
    low = np.concatenate([np.full(len(a), -np.inf), f])
    found = milp(
        rng.standard_normal(len(code)) * tied, integrality=whole.astype(int), bounds=Bounds(*space.bounds.T),
        constraints=LinearConstraint(rows, low, np.concatenate([b, f])),
    )  # fmt: skip
    code = code.copy()
    code[tied] = np.round(found.x[tied])
    return code


def _centre(space, code, whole):
    """Return an inner point where the whole numbers are those of `code` (largest ball, in scaled conditions)."""
    from scipy.optimize import linprog

    a, b, e, f = _held(space, code, whole)
    low, high = space.bounds[~whole].T
    if not len(low):
        return code if holds(space, code[None])[0] else None
    width = high - low
    eye = np.diag(1.0 / width)
    rows = np.concatenate([a, eye, -eye])
    right = np.concatenate([b, high / width, -low / width])
    reach = np.concatenate([np.linalg.norm(a * width, axis=1), np.ones(2 * len(low))])
    found = linprog(
        np.r_[np.zeros(len(low)), -1.0], A_ub=np.c_[rows, reach], b_ub=right,
        A_eq=np.c_[e, np.zeros(len(e))] if len(e) else None, b_eq=f if len(e) else None,
        bounds=[*zip(low, high, strict=True), (0, None)],
    )  # fmt: skip
    if found.status != 0:
        return None
    point = code.copy()
    point[~whole] = found.x[:-1]
    return point


def _hit_and_run(centre, n, rules, bounds, rng):
    """Return `n` points of a polytope, each the end of a walk of its own along random chords.

    The directions take the shape of the polytope from where the walks are, so that thin ones are filled as well.
    """
    basis = _null_space(rules[2], bounds)
    p = basis.shape[1]
    if not p:
        return np.tile(centre, (n, 1))
    flat = np.linalg.pinv(basis)
    x = np.tile(centre, (max(n, CHAINS), 1))
    shape = np.eye(p)
    for _ in range(ROUNDS):
        for _ in range(STEPS * p):
            way = rng.standard_normal((len(x), p)) @ shape.T @ basis.T
            back, ahead = _chords(x, -way, rules, bounds), _chords(x, way, rules, bounds)
            x = x + rng.uniform(-back, ahead)[:, None] * way
        spread = np.atleast_2d(np.cov(x @ flat.T, rowvar=False))
        shape = np.linalg.cholesky(spread + (1e-9 * np.trace(spread) / p + 1e-300) * np.eye(p))
    return np.clip(x[:n], *bounds.T)


def _null_space(e, bounds):
    """Return directions that keep the equalities, as columns, in units of the widths."""
    from scipy.linalg import null_space

    width = np.diff(bounds, axis=1)
    return width * (null_space(e * width.T) if len(e) else np.eye(len(bounds)))


def _chords(x, way, rules, bounds):
    """Return how many times each `way` fits before a bound or constraint ends it, (n,)."""
    a, b = rules[:2]
    rate = np.concatenate([way @ a.T, way, -way], axis=1)
    room = np.concatenate([b - x @ a.T, bounds[:, 1] - x, x - bounds[:, 0]], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(rate > 1e-15, np.maximum(room, 0.0) / rate, np.inf).min(axis=1)


def moved(space: Space, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return the last allowed codes on the straight ways from allowed ones; where rounding breaks, whole ones stay."""
    low, high = space.bounds.T
    whole = space.is_integer | space.is_category
    end = np.clip(end, low, high)
    end[:, whole] = np.round(end[:, whole])
    e = space.rules()[2]
    if len(e):
        tied = whole & (np.abs(e) > 0).any(axis=0)
        end[:, tied] = start[:, tied]
        end = _kept_equal(space, start, end, whole)
    jump = np.where(whole, end, start)  # whole ones at once, the rest along the way
    usable = holds(space, jump)
    base = np.where(usable[:, None], jump, start)
    last = _clipped(space, base, np.where(whole, base, end), whole)
    return np.where(holds(space, last)[:, None], last, base)


def _kept_equal(space, start, end, whole):
    e = space.rules()[2][:, ~whole]
    basis = _null_space(e, space.bounds[~whole])
    width = np.diff(space.bounds[~whole], axis=1).T
    way = (end - start)[:, ~whole] / width
    flat = basis / width.T
    end = end.copy()
    end[:, ~whole] = start[:, ~whole] + (way @ flat) @ flat.T * width
    return end


def _clipped(space, start, end, whole):
    """Return the points on the ways where the first bound or inequality ends them."""
    way = np.where(whole, 0.0, end - start)
    share = np.minimum(_chords(start, way, space.rules(), space.bounds), 1.0)
    return np.clip(start + share[:, None] * way, *space.bounds.T)
