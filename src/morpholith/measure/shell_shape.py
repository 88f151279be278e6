"""Size and form of shells from the coefficients of their radius."""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from .. import _checks, columns
from ..errors import InputError, InputWarning

if TYPE_CHECKING:
    import pandas as pd

D_MAX, D_MIN = "d_max_um", "d_min_um"
FERET_MAX, FERET_MIN = "feret_max_um", "feret_min_um"
COMPACTNESS, ASPECT, ASPECT_FERET = "compactness", "aspect_ratio", "aspect_ratio_feret"
BATCH = 256
RULE = 48  # degree of the rule that surfaces are summed by
TILT = 1e-5  # rad, of the differences that give slopes


def shell_shapes(coefficients: np.ndarray, *, voxel_um: float = 1.0) -> pd.DataFrame:
    """Describe shells (paper 001, Eqs. 17 to 20, and what is measured with callipers).

    Parameters
    ----------
    coefficients : (n, (L + 1)^2) array
        See `generate.real_harmonics` for the order.
    voxel_um : float
        Micrometres of the unit the coefficients are in; 1 where that is um.

    Returns
    -------
    DataFrame
        One row a shell. `volume_um3`; `diameter_um` of the ball of equal volume; `surface_um2`; `d_max_um`, `d_min_um`
        (longest and shortest chord through the star point, Eqs. 17 and 19, over 1281 axes); `feret_max_um`,
        `feret_min_um` (greatest distance of two points, least distance of two parallel planes); `aspect_ratio` (d_max
        over d_min), `aspect_ratio_feret`; `compactness` (volume over that of the convex hull, Eq. 18); `sphericity`
        (Eq. 20). NaN, with a warning, where a radius is 0 or less. Empty without shells.

    Raises
    ------
    InputError
        Coefficients that belong to no degree, or a scale that is not positive.

    Notes
    -----
    Volume is exact. The surface is the sum of r sqrt(r^2 + |slope|^2) over directions, within 0.03 % for shells of
    degree 9. Chords and callipers are within 0.5 % on balls and ellipsoids. The hull and the volume it is compared with
    belong to the polyhedron over the 642 directions, so that a convex shell has a compactness of 1.
    """
    import pandas as pd

    from ..generate import are_shells, shell_volume
    from ..generate.harmonics import degree_of

    a = np.array(coefficients, float, ndmin=2)
    degree = degree_of(a)
    _checks.positive(voxel_um, name="voxel_um")
    if a.ndim != 2 or not np.isfinite(a).all():
        raise InputError(f"`coefficients` must be finite, one row a shell; got shape {a.shape}.")
    good = are_shells(a)
    if not good.all():
        warnings.warn(
            f"{int((~good).sum())} of {len(a)} rows have a radius of 0 or less somewhere and describe no shell.",
            InputWarning,
            stacklevel=2,
        )
    out = np.full((len(a), 7), np.nan)
    rows = np.flatnonzero(good)
    for start in range(0, len(rows), BATCH):
        some = rows[start : start + BATCH]
        out[some, 0] = shell_volume(a[some])
        out[some, 1] = _surface(a[some], degree)
        out[some, 2:4] = _through_centre(a[some], degree)
        out[some, 4:] = [_hull(row) for row in a[some]]
    volume, surface, longest, shortest, feret_max, feret_min, compactness = out.T
    return pd.DataFrame(
        {
            columns.VOLUME: volume * voxel_um**3,
            columns.DIAMETER: np.cbrt(6 * volume / np.pi) * voxel_um,
            columns.SURFACE: surface * voxel_um**2,
            D_MAX: longest * voxel_um,
            D_MIN: shortest * voxel_um,
            FERET_MAX: feret_max * voxel_um,
            FERET_MIN: feret_min * voxel_um,
            ASPECT: longest / shortest,
            ASPECT_FERET: feret_max / feret_min,
            COMPACTNESS: compactness,
            columns.SPHERICITY: np.cbrt(np.pi) * np.cbrt(6 * volume) ** 2 / surface,
        }
    )


def _surface(a, degree):
    basis, across, w = _slopes(degree)
    r = a @ basis.T
    steep = (a @ across[0].T) ** 2 + (a @ across[1].T) ** 2
    return (r * np.sqrt(r * r + steep)) @ w


def _through_centre(a, degree):
    """Longest and shortest chord through the star point."""
    basis = _even(degree)
    both = 2 * (a @ basis.T)  # r(u) + r(-u): odd degrees cancel
    return np.stack([both.max(1), both.min(1)], 1)


def _hull(a):
    """Greatest and least calliper, and share of the convex hull that the shell fills."""
    from scipy.spatial import ConvexHull
    from scipy.spatial.distance import pdist

    from ..generate import icosphere, shell_radius

    points = shell_radius(a)[:, None] * icosphere()
    hull = ConvexHull(points)
    corners = points[hull.vertices]
    along = corners @ hull.equations[:, :3].T
    width = along.max(0) - along.min(0)
    p, q, r = (points[_faces()[:, k]] for k in range(3))
    inside = np.abs(np.einsum("ij,ij->i", p, np.cross(q, r))).sum() / 6
    return pdist(corners).max(), width.min(), inside / hull.volume


@lru_cache(maxsize=1)
def _faces():
    """Triangles over the 642 directions."""
    from scipy.spatial import ConvexHull

    from ..generate import icosphere

    return ConvexHull(icosphere()).simplices


@lru_cache(maxsize=4)
def _even(degree):
    """Harmonics of even degree, 0 for odd ones, at one of each two opposite of 2562 directions."""
    from ..generate import degrees_of, icosphere, real_harmonics

    u = icosphere(4)
    first = u[(u @ np.array([1.0, 1e-3, 1e-6])) > 0]
    return real_harmonics(first, degree=degree) * (degrees_of(degree) % 2 == 0)


@lru_cache(maxsize=4)
def _slopes(degree):
    """Harmonics, their derivatives along two directions across, and the weights of the rule."""
    from ..generate import real_harmonics
    from ..generate.harmonics import sphere_rule

    u, w = sphere_rule(RULE)
    away = np.where(np.abs(u[:, :1]) < 0.9, [[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]])
    first = np.cross(u, away)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    across = [
        (real_harmonics(u + TILT * e, degree=degree) - real_harmonics(u - TILT * e, degree=degree)) / (2 * TILT)
        for e in (first, np.cross(u, first))
    ]
    return real_harmonics(u, degree=degree), across, w
