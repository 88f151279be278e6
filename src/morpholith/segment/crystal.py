"""Rotations of crystals: quaternions from Euler angles, the operators of the Laue groups, disorientations."""

from __future__ import annotations

import numpy as np

from .. import _checks
from ..errors import InputError

_THIRD, _QUARTER, _SIXTH = 2 * np.pi / 3, np.pi / 2, np.pi / 3
_X, _Y, _Z, _DIAGONAL = (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1)
_TWO_X, _TWO_Y, _TWO_Z = (_X, np.pi), (_Y, np.pi), (_Z, np.pi)
_GENERATORS: dict[str, tuple] = {
    "-1": (),
    "2/m": (_TWO_Y,),  # two-fold axis along b
    "112/m": (_TWO_Z,),
    "2/m11": (_TWO_X,),
    "mmm": (_TWO_Z, _TWO_X),
    "4/m": ((_Z, _QUARTER),),
    "4/mmm": ((_Z, _QUARTER), _TWO_X),
    "-3": ((_Z, _THIRD),),
    "-3m": ((_Z, _THIRD), _TWO_X),  # two-fold axes along a, here along x
    "-31m": ((_Z, _THIRD), _TWO_Y),
    "6/m": ((_Z, _SIXTH),),
    "6/mmm": ((_Z, _SIXTH), _TWO_X),
    "m-3": (_TWO_Z, (_DIAGONAL, _THIRD)),
    "m-3m": ((_Z, _QUARTER), (_DIAGONAL, _THIRD)),
}
LAUE_GROUPS = tuple(_GENERATORS)


def quaternions(euler_rad: np.ndarray) -> np.ndarray:
    """Return unit quaternions of Bunge Euler angles.

    Parameters
    ----------
    euler_rad : (..., 3) array
        phi1, Phi, phi2.

    Returns
    -------
    (..., 4) float64 array
        q with q v the direction in the sample's frame of a direction v of the crystal's; scalar part first. NaN where
        an angle is NaN.

    Notes
    -----
    q = z(phi1) x(Phi) z(phi2): the inverse of Bunge's matrix g, which turns sample into crystal coordinates.
    """
    euler = np.asarray(euler_rad, np.float64)
    if euler.shape[-1:] != (3,):
        raise InputError(f"`euler_rad` must have three angles along its last axis, got shape {euler.shape}.")
    total, difference = (euler[..., 0] + euler[..., 2]) / 2, (euler[..., 0] - euler[..., 2]) / 2
    c, s = np.cos(euler[..., 1] / 2), np.sin(euler[..., 1] / 2)
    return np.stack([c * np.cos(total), s * np.cos(difference), s * np.sin(difference), c * np.sin(total)], axis=-1)


def euler_angles(quaternion: np.ndarray) -> np.ndarray:
    """Return Bunge Euler angles in rad, phi1 and phi2 in 0 to 2 pi; phi2 is 0 where Phi is 0 or pi."""
    w, x, y, z = np.moveaxis(np.asarray(quaternion, np.float64), -1, 0)
    along, across = np.hypot(w, z), np.hypot(x, y)
    total, difference = np.arctan2(z, w), np.arctan2(y, x)
    pole = np.minimum(along, across) < 1e-9
    half = np.where(across < along, total, difference)
    first = np.where(pole, 2 * half, total + difference)
    last = np.where(pole, 0.0, total - difference)
    return np.stack([first % (2 * np.pi), 2 * np.arctan2(across, along), last % (2 * np.pi)], axis=-1)


def laue_operators(laue: str, *, x_axis: str = "a") -> np.ndarray:
    """Return the rotations of a Laue group as unit quaternions.

    Parameters
    ----------
    laue : str
        One of `LAUE_GROUPS`.
    x_axis : {"a", "a*"}
        Axis of a trigonal cell along x of the crystal's frame (EDAX: a, Oxford: a*). The two-fold axes of -3m are the
        a axes, so that they lie along x for "a" and along y for "a*". Other groups do not depend on it.

    Returns
    -------
    (n, 4) float64 array
        The identity first; n = 1, 2, 4, 4, 8, 3, 6, 6, 12, 12, 24 for -1, 2/m, mmm, 4/m, 4/mmm, -3, -3m, 6/m, 6/mmm,
        m-3 and m-3m. Inversion changes no rotation and is left out.
    """
    _checks.choice(laue, LAUE_GROUPS, name="laue")
    _checks.choice(x_axis, ("a", "a*"), name="x_axis")
    if x_axis == "a*" and laue in ("-3m", "-31m"):
        laue = "-31m" if laue == "-3m" else "-3m"
    group = [np.array([1.0, 0.0, 0.0, 0.0])]
    for axis, angle in _GENERATORS[laue]:
        unit = np.array(axis) / np.linalg.norm(axis)
        group.append(np.concatenate([[np.cos(angle / 2)], np.sin(angle / 2) * unit]))
    grown = True
    while grown:
        grown = False
        for a in list(group):
            for b in list(group):
                product = _product(a, b)
                if np.abs(np.array(group) @ product).max() < 1 - 1e-9:
                    group.append(product)
                    grown = True
    return np.array(group)


def disorientation(first: np.ndarray, second: np.ndarray, *, laue: str, x_axis: str = "a") -> np.ndarray:
    """Return the smallest angle that turns one crystal into another one of the same kind.

    Parameters
    ----------
    first, second : (..., 4) array
        Unit quaternions as of `quaternions`; shapes are broadcast.
    laue, x_axis : str
        As for `laue_operators`.

    Returns
    -------
    (...) float64 array
        Degrees, 0 to at most 62.8 for cubic and 93.8 for hexagonal crystals. NaN where a quaternion is.

    Notes
    -----
    With q1^-1 q2 the rotation between the crystals in the frame of the first, the angle is the smallest over all
    operators s of |s^-1 q1^-1 q2|: an operator on the other side changes nothing, because the angle of a product does
    not change when its factors are turned round. Angles come from both parts of the quaternion, and are as exact near 0
    as anywhere.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    for one in (a, b):
        if one.shape[-1:] != (4,):
            raise InputError(f"quaternions have four numbers along the last axis; got shape {one.shape}.")
    between = _product(a * np.array([1.0, -1.0, -1.0, -1.0]), b)
    operators = laue_operators(laue, x_axis=x_axis)
    least = np.full(between.shape[:-1], np.inf)
    for s in operators:
        turned = _product(s, between)
        angle = 2 * np.arctan2(np.linalg.norm(turned[..., 1:], axis=-1), np.abs(turned[..., 0]))
        least = np.minimum(least, angle)
    return np.rad2deg(least)


def _product(a, b):
    """Multiply quaternions."""
    aw, ax, ay, az = np.moveaxis(a, -1, 0)
    bw, bx, by, bz = np.moveaxis(b, -1, 0)
    return np.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        axis=-1,
    )
