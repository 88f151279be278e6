"""Crystal orientations for the grains of a particle: c axes along the radius, across it, anyhow, or as measured."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .. import _checks
from ..errors import InputError
from .shells import random_rotations

KINDS = ("radial", "tangential", "random", "measured")


class CrystalAxes(NamedTuple):
    """Orientations of grains.

    Attributes
    ----------
    quaternions : (n, 4) array
        As `segment.quaternions`: turn crystal into sample directions (x, y, z); scalar part first, not negative.
    euler_rad : (n, 3) array
        Bunge's phi1, Phi, phi2.
    c_axes : (n, 3) array
        Unit vectors in array order (z, y, x). Their sign means nothing.
    """

    quaternions: np.ndarray
    euler_rad: np.ndarray
    c_axes: np.ndarray


def crystal_axes(
    centres_um: np.ndarray,
    *,
    rng: np.random.Generator | int,
    kind: str = "radial",
    spread_deg: float = 0.0,
    measured_euler_rad: np.ndarray | None = None,
    measured_radius: np.ndarray | None = None,
    weights: np.ndarray | None = None,
) -> CrystalAxes:
    """Draw an orientation for every grain.

    Parameters
    ----------
    centres_um : (n, 3) array
        Centres of the grains (z, y, x), the particle's at the origin. A grain at the origin gets any orientation.
    rng : Generator or int
        Grains are drawn independently of one another.
    kind : {"radial", "tangential", "random", "measured"}
        c axis along the radius; across it, in any direction (layers then run along the radius, as in rod-like NMC); of
        any direction; or drawn from measured orientations. About its c axis a grain is turned at random, but for
        "measured".
    spread_deg : float
        Scatter about the radius or the direction across it, as the standard deviation along each of the two directions
        aside: von Mises-Fisher with concentration 1 / spread^2, which leaves no order from about 180 degrees on.
    measured_euler_rad : (m, 3) array, optional
        Bunge angles of measured grains, such as those of `segment.grains` in rad.
    measured_radius : (m, 3) array, optional
        Direction from the particle's centre to each measured grain (z, y, x), in the frame of the angles. Then the
        crystal keeps its attitude to the radius, and is turned at random about it; without it the measured
        orientations are used as they are.
    weights : (m,) array, optional
        How likely each measured one is drawn, such as the areas of the grains.

    Returns
    -------
    CrystalAxes
        Empty without grains.

    Raises
    ------
    InputError
        An unknown kind, a scatter below 0, centres or angles that are not finite or do not fit.
    """
    from ..segment.crystal import euler_angles

    _checks.choice(kind, KINDS, name="kind")
    if not (np.isfinite(spread_deg) and spread_deg >= 0):
        raise InputError(f"`spread_deg` must be 0 or more degrees, got {spread_deg!r}.")
    centres = np.asarray(centres_um, float).reshape(-1, 3) if np.size(centres_um) else np.zeros((0, 3))
    if np.ndim(centres_um) != 2 or centres.shape != np.shape(centres_um) or not np.isfinite(centres).all():
        raise InputError(f"`centres_um` must be finite, (n, 3); got shape {np.shape(centres_um)}.")
    rng = np.random.default_rng(rng)
    n = len(centres)
    radius = _unit(centres[:, ::-1], rng)  # (x, y, z) from here on
    if kind == "measured":
        matrices = _measured(radius, measured_euler_rad, measured_radius, weights, rng)
    elif kind == "random":
        matrices = random_rotations(n, rng=rng)
    else:
        axis = radius
        if kind == "tangential":
            axis = _unit(np.cross(radius, _unit(rng.standard_normal((n, 3)), rng)), rng)
        matrices = _about(_scattered(axis, np.deg2rad(spread_deg), rng), rng)
    q = _quaternions(matrices)
    return CrystalAxes(q, euler_angles(q) if n else np.zeros((0, 3)), matrices[:, ::-1, 2].copy())


def _measured(radius, euler, towards, weights, rng):
    from ..segment.crystal import quaternions

    euler = np.zeros((0, 3)) if euler is None else np.asarray(euler, float)
    if euler.ndim != 2 or euler.shape[1] != 3 or len(euler) == 0 or not np.isfinite(euler).all():
        raise InputError(f"kind 'measured' needs `measured_euler_rad`, finite and (m, 3); got shape {euler.shape}.")
    w = np.ones(len(euler)) if weights is None else np.asarray(weights, float)
    if w.shape != (len(euler),) or not (np.isfinite(w).all() and (w >= 0).all() and w.sum() > 0):
        raise InputError(f"`weights` must be {len(euler)} numbers from 0 on, not all 0; got shape {w.shape}.")
    which = rng.choice(len(euler), len(radius), p=w / w.sum())
    crystal = _matrices(quaternions(euler[which]))
    if towards is None:
        return crystal
    towards = np.asarray(towards, float)
    if towards.shape != euler.shape or not np.isfinite(towards).all():
        raise InputError(f"`measured_radius` must be finite, {euler.shape}; got shape {towards.shape}.")
    before, after = _about(_unit(towards[which, ::-1], rng), rng), _about(radius, rng)
    return after @ before.swapaxes(1, 2) @ crystal


def _unit(v, rng):
    """Unit vectors; any direction in the place of 0."""
    length = np.linalg.norm(v, axis=1, keepdims=True)
    none = length[:, 0] < 1e-12
    if none.any():
        v = v.copy()
        v[none] = rng.standard_normal((int(none.sum()), 3))
        length = np.linalg.norm(v, axis=1, keepdims=True)
    return v / length


def _scattered(axis, spread, rng):
    """Draw directions about axes, von Mises-Fisher."""
    n = len(axis)
    turned, u = 2 * np.pi * rng.random(n), rng.random(n)
    if spread == 0:
        return axis
    k = 1 / spread**2
    cos = np.clip(1 + np.log(u + (1 - u) * np.exp(-2 * k)) / k, -1, 1)
    sin = np.sqrt(1 - cos * cos)
    local = np.stack([sin * np.cos(turned), sin * np.sin(turned), cos], 1)
    return np.einsum("nij,nj->ni", _about(axis, None), local)


def _about(axis, rng):
    """Rotations that take z to the axes, turned about these at random, or not without `rng`."""
    away = np.where(np.abs(axis[:, 2:]) < 0.9, [[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]])
    x = np.cross(away, axis)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    y = np.cross(axis, x)
    if rng is not None:
        angle = 2 * np.pi * rng.random((len(axis), 1))
        x, y = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    return np.stack([x, y, axis], axis=2)


def _quaternions(m):
    """Unit quaternions of rotations, scalar part first and not negative."""
    from scipy.spatial.transform import Rotation

    if len(m) == 0:
        return np.zeros((0, 4))
    q = Rotation.from_matrix(m).as_quat()[:, [3, 0, 1, 2]]
    return np.where(q[:, :1] < 0, -q, q)


def _matrices(q):
    from scipy.spatial.transform import Rotation

    return Rotation.from_quat(q[:, [1, 2, 3, 0]]).as_matrix() if len(q) else np.zeros((0, 3, 3))
