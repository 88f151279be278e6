"""Crystals of virtual grains: what they are and how they lie."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ._seeding import Grains, near_pairs, tilted

if TYPE_CHECKING:
    from .architectures import Interior

ROUNDS = 60
NEIGHBOURS = 3.4  # mean length, in radii of a grain, up to which two seeds may be of neighbours


@dataclass(frozen=True)
class Crystal:
    """A phase, under the names that orientation maps have for it.

    Parameters
    ----------
    name : str
    laue : str
        Laue group: "-3m" or "m-3m".
    lattice : tuple of float
        a, b, c in angstrom, then alpha, beta, gamma in degrees.
    space_group : int
    formula : str
    """

    name: str
    laue: str
    lattice: tuple[float, float, float, float, float, float]
    space_group: int
    formula: str

    @property
    def x_axis(self) -> str:
        """Axis of the cell along x of the crystal's frame, here as in EDAX's files."""
        return "a"

    @property
    def said(self) -> str:
        """EDAX's number of the symmetry."""
        return {"-3m": "32", "m-3m": "43"}[self.laue]

    @property
    def oxford(self) -> int:
        """Oxford's number of the Laue group."""
        return {"-3m": 7, "m-3m": 11}[self.laue]


NMC = Crystal("NMC811", "-3m", (2.872, 2.872, 14.199, 90.0, 90.0, 120.0), 166, "LiNiMnCoO2")
ROCK_SALT = Crystal("rock salt", "m-3m", (4.17, 4.17, 4.17, 90.0, 90.0, 90.0), 225, "NiO")


def crystal_orientations(
    grains: Grains, params: Interior, crystal: Crystal, *, n_seen: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw the orientation of every grain, neighbours among the first `n_seen` turned against each other.

    Returns
    -------
    (n, 4) array
        Unit quaternions, scalar first, that turn directions of the crystal into those of the particle, both (x, y, z).
    """
    seeds, frames, _ = grains
    q = _drawn(seeds, frames, params, rng)
    if params.least_turn_deg == 0:
        return q
    pairs = near_pairs(Grains(*(a[:n_seen] for a in grains)), NEIGHBOURS)
    for _ in range(ROUNDS):
        close = angle_between(q[pairs[:, 0]], q[pairs[:, 1]], crystal.laue) < params.least_turn_deg
        again = np.unique(pairs[close, 1])
        if not len(again):
            break
        q[again] = _drawn(seeds[again], frames[again], params, rng)
        touched = np.zeros(len(seeds), bool)
        touched[again] = True
        pairs = pairs[touched[pairs].any(1) | close]
    return q


def _drawn(seeds, frames, params, rng) -> np.ndarray:
    n = len(seeds)
    if params.c_axis == "random":
        q = rng.standard_normal((n, 4))
        return q / np.linalg.norm(q, axis=1, keepdims=True)
    along = seeds if params.c_axis == "radial" else frames[:, 2]
    along = np.where(np.linalg.norm(along, axis=1, keepdims=True) > 0, along, [1.0, 0.0, 0.0])
    c = tilted(along, params.c_spread_deg, rng=rng)[:, ::-1]
    half = rng.uniform(0, np.pi, n)
    about = np.stack([np.cos(half), 0 * half, 0 * half, np.sin(half)], 1)
    return product(_onto(c), about)


def _onto(c: np.ndarray) -> np.ndarray:
    """Return the quaternions of the shortest turns of z onto directions (n, 3), in (x, y, z)."""
    q = np.stack([1 + c[:, 2], -c[:, 1], c[:, 0], 0 * c[:, 0]], 1)
    q[q[:, 0] < 1e-9] = [0.0, 1.0, 0.0, 0.0]
    return q / np.linalg.norm(q, axis=1, keepdims=True)


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Multiply quaternions (..., 4): first `b`, then `a`."""
    aw, ax, ay, az = np.moveaxis(np.asarray(a), -1, 0)
    bw, bx, by, bz = np.moveaxis(np.asarray(b), -1, 0)
    parts = [
        aw * bw - ax * bx - ay * by - az * bz,
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
    ]
    return np.stack(parts, -1)


@lru_cache(maxsize=4)
def operators(laue: str) -> np.ndarray:
    """Return the rotations (n, 4) of a Laue group, -3m or m-3m; two-fold axes of -3m along a, here x."""
    third, quarter = np.pi / 3, np.pi / 4
    z3, x2 = [np.cos(third), 0, 0, np.sin(third)], [0.0, 1.0, 0.0, 0.0]
    z4, diagonal = [np.cos(quarter), 0, 0, np.sin(quarter)], [0.5, 0.5, 0.5, 0.5]
    group = [np.array([1.0, 0, 0, 0])]
    generators = [np.array(g) for g in ((z3, x2) if laue == "-3m" else (z4, diagonal))]
    for one in group:  # grows while it is walked
        for generator in generators:
            new = product(one, generator)
            if np.abs(np.array(group) @ new).max() < 1 - 1e-9:
                group.append(new)
    return np.array(group)


def angle_between(a: np.ndarray, b: np.ndarray, laue: str) -> np.ndarray:
    """Return the smallest angle (...) in degrees that turns crystals of orientation a into those of b."""
    between = product(np.asarray(a) * np.array([1.0, -1, -1, -1]), b)
    cosine = np.abs(between @ operators(laue).T).max(-1)  # scalar part of s^-1 between: the dot product
    return np.rad2deg(2 * np.arccos(np.clip(cosine, 0, 1)))


def from_matrix(rotation: np.ndarray) -> np.ndarray:
    """Return the quaternion of a rotation given for (z, y, x)."""
    from scipy.spatial.transform import Rotation

    x, y, z, w = Rotation.from_matrix(np.asarray(rotation)[::-1, ::-1]).as_quat()
    return np.array([w, x, y, z])


def bunge(q: np.ndarray) -> np.ndarray:
    """Return Bunge angles (..., 3) in rad, phi1 and phi2 from 0 to 2 pi."""
    w, x, y, z = np.moveaxis(np.asarray(q, float), -1, 0)
    along, across = np.hypot(w, z), np.hypot(x, y)
    total, difference = np.arctan2(z, w), np.arctan2(y, x)
    angles = [(total + difference) % (2 * np.pi), 2 * np.arctan2(across, along), (total - difference) % (2 * np.pi)]
    return np.stack(angles, -1)


def turned_a_little(q: np.ndarray, spread_deg: float, *, rng: np.random.Generator) -> np.ndarray:
    """Turn crystals (n, 4) about random axes by normal angles of three components."""
    vector = rng.standard_normal((len(q), 3)) * np.deg2rad(spread_deg) / 2
    length = np.linalg.norm(vector, axis=1, keepdims=True)
    step = np.concatenate([np.cos(length), np.sinc(length / np.pi) * vector], 1)
    return product(q, step)
