"""Shapes of grains in 3D: size, axes, and how they point to the centre of the particle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .. import _checks, columns
from ..errors import InputError

if TYPE_CHECKING:
    import pandas as pd

ROUND = 1e-6  # relative difference of two variances below which the axis between them has no direction


def grain_shapes_3d(
    labels: np.ndarray, *, spacing: Sequence[float] | float, centre_um: Sequence[float] | None = None
) -> pd.DataFrame:
    """Measure every grain of a volume.

    Parameters
    ----------
    labels : (z, y, x) int array
        Grains from 1; 0 is no grain. Numbers may be missing.
    spacing : float or (float, float, float)
        Voxel edges in um.
    centre_um : (float, float, float), optional
        Centre of the particle (z, y, x) in um, the first voxel's centre at 0; by default the centroid of all grains.

    Returns
    -------
    DataFrame
        One row a grain, index `label`: `z_um`, `y_um`, `x_um` (centroid), `n_voxels`, `volume_um3`, `diameter_um`
        (ball of equal volume), `major_um`, `middle_um`, `minor_um` (axes of the ellipsoid of equal second moments, the
        extent of the voxels included), `elongation_3d` (major over middle), `flatness_3d` (middle over minor),
        `axis_ratio_3d` (major over minor), `radial_ratio` (root mean square extent along the radius over that across
        it, per direction across: 1 for a ball, more for needles that point to the centre), `alpha_long_deg`,
        `alpha_short_deg` (angle of the longest and of the shortest axis to the radius, 0 to 90), `distance_um` (of the
        centroid from the centre), `touches_edge` (of the volume), `at_surface` (a face of it lies against 0 or the
        edge of the volume). Angles are NaN for axes without direction; they and `radial_ratio` are NaN within half a
        voxel of the centre. Empty for no grain.

    Raises
    ------
    InputError
        For labels that are no 3D integer array.

    Notes
    -----
    Angles of axes of random direction are no uniform ones: their cosines are, and the mean is 57.3 degrees (1 rad).
    The axes of a grain of few voxels are biased: 30 voxels make a ball's `axis_ratio_3d` up to 1.2.
    """
    import pandas as pd

    labels = _checks.labels(labels, ndim=(3,))
    step = np.array(_checks.spacing(spacing, 3))
    number, n, centroid, spread = _moments(labels, step)
    if centre_um is None:
        centre = (n @ centroid) / n.sum() if len(n) else np.full(3, np.nan)
    else:
        centre = np.asarray(centre_um, float)
        if centre.shape != (3,) or not np.isfinite(centre).all():
            raise InputError(f"`centre_um` must be three finite numbers (z, y, x), got {centre_um!r}.")
    variance, axes = np.linalg.eigh(spread)  # ascending
    away = centroid - centre
    distance = np.linalg.norm(away, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        out = np.where((distance > 0.5 * step.min())[:, None], away / distance[:, None], np.nan)
        along = np.einsum("ni,nij,nj->n", out, spread, out)
        radial = np.sqrt(along / ((variance.sum(1) - along) / 2))
    volume = n * step.prod()
    minor, middle, major = 2 * np.sqrt(5 * variance.T)
    table = {
        columns.Z: centroid[:, 0],
        columns.Y: centroid[:, 1],
        columns.X: centroid[:, 2],
        "n_voxels": n,
        columns.VOLUME: volume,
        columns.DIAMETER: np.cbrt(6 * volume / np.pi),
        "major_um": major,
        "middle_um": middle,
        "minor_um": minor,
        "elongation_3d": major / middle,
        "flatness_3d": middle / minor,
        "axis_ratio_3d": major / minor,
        "radial_ratio": radial,
        "alpha_long_deg": _angle(axes[:, :, 2], out, variance[:, 2], variance[:, 1]),
        "alpha_short_deg": _angle(axes[:, :, 0], out, variance[:, 1], variance[:, 0]),
        "distance_um": distance,
        columns.TOUCHES_EDGE: np.isin(number, _at_edge(labels)),
        "at_surface": np.isin(number, _against_nothing(labels)),
    }
    return pd.DataFrame(table, index=pd.Index(number, name=columns.LABEL))


def _moments(labels, step):
    """Numbers, voxels, centroids (n, 3) and covariances (n, 3, 3) of the grains, in um."""
    flat = labels.ravel()
    place = np.flatnonzero(flat > 0)
    number, which = np.unique(flat[place], return_inverse=True)
    n = np.bincount(which, minlength=len(number)).astype(np.int64)
    at = [s * k for s, k in zip(step, np.unravel_index(place, labels.shape), strict=True)]
    centroid = np.stack([np.bincount(which, a, len(number)) for a in at], 1) / np.maximum(n, 1)[:, None]
    spread = np.empty((len(number), 3, 3))
    off = [a - centroid[which, k] for k, a in enumerate(at)]
    for i in range(3):
        for j in range(i, 3):
            spread[:, i, j] = spread[:, j, i] = np.bincount(which, off[i] * off[j], len(number)) / np.maximum(n, 1)
    spread[:, range(3), range(3)] += step**2 / 12  # of the voxel itself: one alone is a block, no point
    return number, n, centroid, spread


def _angle(axis, out, larger, smaller):
    """Angle of an axis to the radius in degrees, NaN where the two variances around it are equal."""
    cosine = np.abs(np.einsum("ni,ni->n", axis, out))
    sine = np.linalg.norm(np.cross(axis, out), axis=1)
    return np.where(larger - smaller > ROUND * larger, np.rad2deg(np.arctan2(sine, cosine)), np.nan)


def _at_edge(labels):
    faces = [labels[i].ravel() for i in (0, -1)] if labels.size else []
    if labels.size:
        faces += [f.ravel() for i in (0, -1) for f in (labels[:, i], labels[:, :, i])]
    return np.unique(np.concatenate(faces)) if faces else np.zeros(0, np.int32)


def _against_nothing(labels):
    """Labels with a voxel whose neighbour through a face is 0, or that lies at the edge of the volume."""
    met = [_at_edge(labels)]
    for axis in range(3):
        along = np.moveaxis(labels, axis, 0)
        low, high = along[:-1], along[1:]
        met += [np.unique(low[high == 0]), np.unique(high[low == 0])]
    return np.unique(np.concatenate(met))
