"""Particle swarm optimisation, as in paper 000: 40 particles, 50 iterations."""

from __future__ import annotations

import numpy as np

from .calls import Calls
from .space import Space

INERTIA, PULL = 0.7298, 1.49618  # constriction of Clerc and Kennedy (2002); paper 000 gives none
FASTEST = 0.5  # of a range, in one iteration


def search_swarm(calls: Calls, *, particles: int) -> None:
    """Spend the calls on a swarm.

    Every particle is drawn to the best recipe that it met and to the best that any met, by F as it was called. With
    one seed for all calls (common random numbers) F is one fixed function; with a seed for each, as the paper has it,
    the bests are partly luck. Words are places on axes of their own, the highest wins; a step out of the allowed
    recipes ends at their border and loses its speed.

    Parameters
    ----------
    calls : Calls
        Recorded calls of the same swarm are replayed, not made again.
    particles : int
    """
    rng = calls.rng(3)
    space = calls.space
    codes = space.spread_codes(particles, rng=rng)
    place = _to_axes(space, codes)
    speed = rng.uniform(-0.1, 0.1, place.shape)
    own, own_f = place.copy(), np.full(particles, np.inf)
    iteration = 0
    while True:
        records = calls.run(codes, phase="swarm", batch=iteration)
        if len(records) < particles:
            return
        f = np.nan_to_num(calls.f(records), nan=np.inf)
        better = f < own_f
        own[better], own_f[better] = place[better], f[better]
        best = own[int(own_f.argmin())]
        mine, all_ = rng.random(place.shape), rng.random(place.shape)
        speed = INERTIA * speed + PULL * (mine * (own - place) + all_ * (best - place))
        speed = np.clip(speed, -FASTEST, FASTEST)
        wanted = np.clip(place + speed, 0.0, 1.0)
        codes = space.moved(codes, _to_codes(space, wanted))
        place, hit = _settled(space, wanted, codes)
        speed[hit | (wanted != place)] = 0.0
        iteration += 1


def _to_axes(space: Space, codes: np.ndarray) -> np.ndarray:
    """Return places: scaled numbers, then an axis for each word, 1 at the word that is meant and 0 at the others."""
    words = space.is_category
    parts = [space.unit(codes)[:, ~words]]
    for j in np.flatnonzero(words):
        parts.append((codes[:, [j]] == np.arange(len(space.free[j].options))).astype(float))  # type: ignore[union-attr]
    return np.concatenate(parts, axis=1)


def _to_codes(space, place):
    words = space.is_category
    scaled = np.zeros((len(place), len(words)))
    scaled[:, ~words] = place[:, : int((~words).sum())]
    codes = space.from_unit(scaled)
    at = int((~words).sum())
    for j in np.flatnonzero(words):
        count = len(space.free[j].options)
        codes[:, j] = place[:, at : at + count].argmax(axis=1)
        at += count
    return codes


def _settled(space, wanted, codes):
    """Return the places that particles really have, and which of them were stopped by a constraint."""
    words = space.is_category
    numbers = int((~words).sum())
    real = space.unit(codes)[:, ~words]
    asked = _to_codes(space, wanted)
    same = np.isclose(np.where(space.is_integer, np.round(asked), asked), codes)[:, ~words]
    place = wanted.copy()
    place[:, :numbers] = np.where(same, wanted[:, :numbers], real)
    hit = np.zeros(place.shape, bool)
    hit[:, :numbers] = ~same
    return place, hit
