"""Seeds and metrics of the grains of a virtual particle, kept apart where they are to be regular."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..errors import InputError
from .architectures import AT_RANDOM_DEG, Interior
from .waves import Waves

APART = 0.8  # of the edge of the cube of a grain's volume, for regularity 1; denser than 0.9 cannot be reached
ROUNDS = 200
MOST_SEEDS = 2_000_000


class Grains(NamedTuple):
    """Generators of the grains: value of grain i at x is |frames_i (x - seeds_i)|_p - weights_i; the least one wins.

    `seeds` (n, 3) um, `frames` (n, 3, 3) 1/um with the grain's axes in its rows, `weights` (n,).
    """

    seeds: np.ndarray
    frames: np.ndarray
    weights: np.ndarray


class Marks(NamedTuple):
    """The fields that neighbours have in common."""

    weight: Waves
    aspect: Waves


def seeded(params: Interior, radius_um: float, *, rng: np.random.Generator) -> Grains:
    """Draw the generators within a ball around the centre."""
    common = Marks(*(Waves.drawn(1, params.correlation_um, rng=rng) for _ in range(2)))
    expected = _expected(params, radius_um)
    if expected > MOST_SEEDS:
        raise InputError(
            f"{expected:.0f} grains are more than the {MOST_SEEDS} that are possible; make them larger or the particle "
            "smaller."
        )
    wanted = int(rng.poisson(expected))
    found = _marked(params, _places(params, radius_um, wanted, rng), common, rng)
    distance = APART * params.regularity * (4 * np.pi / 3) ** (1 / 3)  # of seeds, in radii of a grain
    if distance == 0 or wanted < 2:
        return found
    for _ in range(ROUNDS):
        keep = ~_crowded(found, distance)
        if keep.all():
            return found
        fresh = _marked(params, _places(params, radius_um, int((~keep).sum()), rng), common, rng)
        found = Grains(*(np.concatenate([a[keep], b]) for a, b in zip(found, fresh, strict=True)))
    raise InputError(f"no place is left for all seeds at `regularity` {params.regularity:g}; ask for less of it.")


def reach_um(params: Interior) -> float:
    """Return how far grains reach from their seeds, safely: with seeds at random one in a million does not."""
    long = np.exp(max(params.stretch) * (np.log(params.aspect) * (1 + abs(params.aspect_gradient))))
    loose = 2.4 - 0.7 * params.regularity
    largest = params.size_um * (1 + abs(params.gradient))
    return float(0.5 * largest * (loose * long + 2 * params.size_spread) + 3 * params.waviness * params.size_um)


def _expected(params, radius_um) -> float:
    """Return the mean number of seeds in the ball: the integral of their density."""
    r = np.linspace(0, radius_um, 2001)
    density = 6 / (np.pi * params.size_at(r) ** 3)
    return float(np.trapezoid(4 * np.pi * r**2 * density, r))


def _places(params, radius_um, n, rng) -> np.ndarray:
    """Draw n places in the ball with the density of the seeds."""
    smallest = params.size_um * (1 - abs(params.gradient))
    found = np.empty((0, 3))
    while len(found) < n:
        m = 2 * (n - len(found)) + 16
        u = rng.standard_normal((m, 3))
        r = radius_um * rng.uniform(size=m) ** (1 / 3)
        if params.gradient:
            r = r[rng.uniform(size=m) < (smallest / params.size_at(r)) ** 3]
        found = np.concatenate([found, u[: len(r)] * (r / np.linalg.norm(u[: len(r)], axis=1))[:, None]])
    return found[:n]


def _marked(params, seeds, common: Marks, rng) -> Grains:
    """Give seeds their metrics and weights."""
    n = len(seeds)
    distance = np.linalg.norm(seeds, axis=1)
    share, own = np.sqrt(params.correlation), np.sqrt(1 - params.correlation)
    weight, aspect = (share * field.at(seeds)[:, 0] + own * rng.standard_normal(n) for field in common)
    log_aspect = np.maximum(params.log_aspect_at(distance) + params.aspect_spread * aspect, 0.0)
    axes = frames_about(seeds, params.disorder_deg, rng=rng)
    semi = 0.5 * params.size_at(distance)[:, None] * np.exp(log_aspect[:, None] * np.array(params.stretch))
    return Grains(seeds, axes / semi[:, :, None], np.clip(params.size_spread * weight, -0.9, 0.9))


def frames_about(points: np.ndarray, disorder_deg: float, *, rng: np.random.Generator) -> np.ndarray:
    """Draw right-handed frames (n, 3, 3), axes in rows, the first along the radius but for some disorder."""
    n = len(points)
    first = rng.standard_normal((n, 3))
    if disorder_deg < AT_RANDOM_DEG:
        away = np.where(np.linalg.norm(points, axis=1, keepdims=True) > 0, points, first)
        first = tilted(away, disorder_deg, rng=rng)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(first, rng.standard_normal((n, 3)))
    second /= np.linalg.norm(second, axis=1, keepdims=True)
    return np.stack([first, second, np.cross(first, second)], 1)


def tilted(directions: np.ndarray, spread_deg: float, *, rng: np.random.Generator) -> np.ndarray:
    """Turn directions (n, 3) by normal angles of two components; return unit vectors."""
    u = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    step = rng.standard_normal(u.shape)
    step -= (step * u).sum(1, keepdims=True) * u  # the two components across
    angle = np.deg2rad(spread_deg) * np.linalg.norm(step, axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        across = np.nan_to_num(step / np.linalg.norm(step, axis=1, keepdims=True))
    return np.cos(angle) * u + np.sin(angle) * across


def near_pairs(grains: Grains, distance: float) -> np.ndarray:
    """Return the pairs (k, 2) of seeds, the earlier one first, nearer than `distance` in the mean of their metrics."""
    from ._near_pairs import pairs_within

    if len(grains.seeds) < 2:
        return np.empty((0, 2), np.int64)
    lengths = 1 / np.linalg.norm(grains.frames, axis=2)
    reach = distance * float(lengths.max())
    low = grains.seeds.min(0)
    edge = max(reach, float((grains.seeds.max(0) - low).max()) / 400)
    cells = ((grains.seeds - low) / edge).astype(np.int64)
    n = int(cells.max()) + 1
    number = (cells[:, 0] * n + cells[:, 1]) * n + cells[:, 2]
    starts = np.concatenate([[0], np.cumsum(np.bincount(number, minlength=n**3))])
    order = np.argsort(number, kind="stable")
    return pairs_within(
        np.ascontiguousarray(grains.seeds), np.ascontiguousarray(grains.frames), order, starts, cells, n, reach,
        float(distance),
    )  # fmt: skip


def _crowded(grains: Grains, distance: float) -> np.ndarray:
    """Return which seeds are too near to an earlier one."""
    bad = np.zeros(len(grains.seeds), bool)
    bad[near_pairs(grains, distance)[:, 1]] = True
    return bad
