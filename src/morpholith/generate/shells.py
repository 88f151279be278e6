"""Shells of particles: radius functions of volumes, their spherical harmonics, and what follows from those."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from .. import _checks
from ..errors import InputError
from .harmonics import degree_of, degrees_of, icosphere, real_harmonics, sphere_rule


class Recentred(NamedTuple):
    """Shells about their centroids.

    Attributes
    ----------
    coefficients : (n, (L + 1)^2) array
    moved : (n, 3) array
        Where the new centre lies, seen from the old one (z, y, x).
    residual : (n,) array
        Root mean square of what degree L cannot follow about the new centre, over the mean radius.
    """

    coefficients: np.ndarray
    moved: np.ndarray
    residual: np.ndarray


def radius_function(
    mask: np.ndarray,
    *,
    spacing: float | tuple[float, float, float],
    centre: tuple[float, float, float] | None = None,
    directions: np.ndarray | None = None,
    label: int | None = None,
) -> np.ndarray:
    """Distance from the centre of a particle to where a ray first leaves it (paper 001, Eq. 1, first exit).

    The mask is interpolated linearly between voxel centres and left where it falls below one half, so that distances
    are finer than a voxel. The printed maximum would jump over what is not star-shaped. A pore ends a ray too: fill
    it first. A particle cut by the frame ends there.

    Parameters
    ----------
    mask : (nz, ny, nx) bool or int array
        The particle, or labels with `label`.
    spacing : float or (z, y, x)
    centre : (z, y, x), optional
        In the unit of `spacing`, centre of voxel 0 at 0. The centroid of the voxels by default.
    directions : (k, 3) array, optional
        (z, y, x), of any length; the 642 of `icosphere` by default.
    label : int, optional
        Which of the labels is the particle; all that is not 0 by default.

    Returns
    -------
    (k,) array
        In the unit of `spacing`. On voxel balls of 5 to 30 voxels radius the mean is low by 0.04 to 0.01 voxels.

    Raises
    ------
    InputError
        No voxel, or a centre outside the particle.
    """
    from ._exit_kernel import _inside, first_exits

    mask = _checks.labels(mask, name="mask", ndim=(3,))
    mask = np.ascontiguousarray(mask != 0 if label is None else mask == label)
    edges = np.array(_checks.spacing(spacing, 3))
    if not mask.any():
        raise InputError("`mask` holds no voxel of the particle" + ("." if label is None else f" {label}."))
    middle = np.mean(np.nonzero(mask), axis=1) * edges if centre is None else np.asarray(centre, float)
    if middle.shape != (3,) or not np.isfinite(middle).all() or _inside(mask, *(middle / edges)) < 0.5:
        raise InputError(f"`centre` must lie inside the particle, got {middle.tolist()}; choose a point inside it.")
    u = icosphere() if directions is None else np.asarray(directions, float)
    if u.ndim != 2 or u.shape[1] != 3 or not (np.linalg.norm(u, axis=1) > 0).all():
        raise InputError(f"`directions` must be (k, 3) and longer than 0, got shape {u.shape}.")
    return first_exits(mask, middle, u / np.linalg.norm(u, axis=1, keepdims=True), edges)


def fit_shell(radii: np.ndarray, directions: np.ndarray | None = None, *, degree: int = 9) -> np.ndarray:
    """Least-squares coefficients of radius functions (paper 001, Eq. 3).

    To take the anisotropy of the voxels out of a population, as paper 001 does, sample along ``icosphere()`` and fit
    to ``icosphere() @ R.T`` with a random rotation R, or give the coefficients to `rotated`.

    Parameters
    ----------
    radii : (k,) or (n, k) array
        One shell or many at the same directions; these are factorised once.
    directions : (k, 3) array, optional
        The 642 of `icosphere` by default.
    degree : int

    Returns
    -------
    ((L + 1)^2,) or (n, (L + 1)^2) array
        See `real_harmonics` for the order.

    Raises
    ------
    InputError
        Radii that are not finite or do not go with the directions, or directions that leave coefficients open.
    """
    radii = np.asarray(radii, float)
    k = len(icosphere()) if directions is None else len(directions)
    if radii.ndim not in (1, 2) or radii.shape[-1] != k or not np.isfinite(radii).all():
        raise InputError(f"`radii` must be finite, ({k},) or (n, {k}) for {k} directions; got shape {radii.shape}.")
    if directions is None:
        return radii @ _solution_on_icosphere(degree).T
    return radii @ _solution(real_harmonics(directions, degree=degree)).T


def shell_radius(coefficients: np.ndarray, directions: np.ndarray | None = None) -> np.ndarray:
    """Radius of shells along directions.

    Parameters
    ----------
    coefficients : ((L + 1)^2,) or (n, (L + 1)^2) array
    directions : (k, 3) array, optional
        The 642 of `icosphere` by default.

    Returns
    -------
    (k,) or (n, k) array
        Negative where the coefficients describe no shell.
    """
    degree = degree_of(coefficients)
    basis = basis_on_icosphere(degree) if directions is None else real_harmonics(directions, degree=degree)
    return np.asarray(coefficients, float) @ basis.T


def shell_volume(coefficients: np.ndarray) -> np.ndarray:
    """Volume within shells, (...,): the integral of r^3 / 3, by a rule that is exact for it. Needs radii above 0."""
    basis, _, w = _rule(3, degree_of(coefficients))
    return (np.asarray(coefficients, float) @ basis.T) ** 3 @ w / 3


def shell_centroid(coefficients: np.ndarray) -> np.ndarray:
    """Centroid of shells, (..., 3) as (z, y, x): the integral of u r^4 / 4 over the volume, exactly. Radii above 0."""
    basis, u, w = _rule(4, degree_of(coefficients))
    r = np.asarray(coefficients, float) @ basis.T
    return r**4 @ (w[:, None] * u) / 4 / (r**3 @ w / 3)[..., None]


def shell_power(coefficients: np.ndarray) -> np.ndarray:
    """Sum of the squared coefficients of each degree, (..., L + 1): no rotation changes it."""
    degree = degree_of(coefficients)
    of = np.arange(degree + 1)[:, None] == degrees_of(degree)
    return np.square(np.asarray(coefficients, float)) @ of.T


def recentred(coefficients: np.ndarray, *, rounds: int = 2) -> Recentred:
    """Describe shells about their centroids, which takes out the translation that degree 1 mostly is.

    The surface at the 642 directions is seen from the centroid and fitted anew; two rounds leave less than 0.5 % of the
    displacement on 95 of 100 shells of the published model. A moved shape is no longer of degree L: `residual` says
    what is lost. About 1.5 ms a shell.

    Parameters
    ----------
    coefficients : (n, (L + 1)^2) array
        Of shells with radii above 0 that are star-shaped about their centroid too.
    rounds : int

    Returns
    -------
    Recentred

    Raises
    ------
    InputError
        A shell with a radius of 0 or less at one of the directions.
    """
    made = np.array(coefficients, float, ndmin=2)
    degree = degree_of(made)
    if not (shell_radius(made) > 0).all():
        raise InputError("shells must have radii above 0 everywhere before they have a centroid; reject the others.")
    u = icosphere()
    moved, residual = np.zeros((len(made), 3)), np.zeros(len(made))
    for i in range(len(made)):
        surface = shell_radius(made[i])[:, None] * u
        for _ in range(rounds):
            moved[i] += shell_centroid(made[i])
            away = surface - moved[i]
            r = np.linalg.norm(away, axis=1)
            basis = real_harmonics(away, degree=degree)
            made[i] = np.linalg.solve(basis.T @ basis, basis.T @ r)
            residual[i] = np.sqrt(np.mean((basis @ made[i] - r) ** 2)) / r.mean()
    return Recentred(made, moved, residual)


def rotated(coefficients: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Coefficients of turned shells: r'(u) = r(R' u), exact but for rounding.

    Parameters
    ----------
    coefficients : ((L + 1)^2,) or (n, (L + 1)^2) array
    rotation : (3, 3) or (n, 3, 3) array
        One for all, or one a shell; acts on (z, y, x).
    """
    given = np.asarray(coefficients, float)
    degree = degree_of(given)
    rotation = np.asarray(rotation, float)
    if rotation.shape[-2:] != (3, 3) or not np.allclose(rotation @ rotation.swapaxes(-1, -2), np.eye(3), atol=1e-9):
        raise InputError("`rotation` must be orthogonal, (3, 3) or one a shell (n, 3, 3).")
    u, w = sphere_rule(2 * degree)
    weighted = real_harmonics(u, degree=degree) * w[:, None]
    if rotation.ndim == 2:
        return given @ (weighted.T @ real_harmonics(u @ rotation, degree=degree)).T
    if given.ndim != 2 or len(rotation) != len(given):
        raise InputError(f"`rotation` must be one a shell: {len(rotation)} rotations for shape {given.shape}.")
    turned = (weighted.T @ (real_harmonics(u @ r, degree=degree) @ a) for r, a in zip(rotation, given, strict=True))
    return np.array(list(turned)).reshape(given.shape)


def random_rotations(n: int, *, rng: np.random.Generator | int) -> np.ndarray:
    """Draw (n, 3, 3) rotations, uniform over all."""
    q = np.random.default_rng(rng).standard_normal((n, 4))
    w, x, y, z = (q / np.linalg.norm(q, axis=1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), -1, 0)


@lru_cache(maxsize=4)
def basis_on_icosphere(degree: int) -> np.ndarray:
    """Return the harmonics at the 642 directions, read-only."""
    basis = real_harmonics(icosphere(), degree=degree)
    basis.flags.writeable = False
    return basis


@lru_cache(maxsize=8)
def _rule(power, degree):
    """Harmonics, directions and weights that integrate `power` times a radius, times a direction, exactly."""
    u, w = sphere_rule(power * degree + 1)
    return real_harmonics(u, degree=degree), u, w


@lru_cache(maxsize=4)
def _solution_on_icosphere(degree: int) -> np.ndarray:
    return _solution(basis_on_icosphere(degree))


def _solution(basis):
    """Return the matrix from radii to coefficients."""
    rank = np.linalg.matrix_rank(basis, tol=1e-6 * np.sqrt(len(basis)))
    if rank < basis.shape[1]:
        raise InputError(
            f"{len(basis)} directions fix only {rank} of {basis.shape[1]} coefficients; give more, spread over the "
            "whole sphere, or a lower `degree`."
        )
    return np.linalg.pinv(basis)
