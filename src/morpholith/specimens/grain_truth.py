"""The table of the grains of a virtual particle, from the sums over their voxels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import columns
from .crystals import bunge

if TYPE_CHECKING:
    import pandas as pd

    from .polycrystals import VirtualPolycrystal

ROUND = 1e-6  # relative difference of variances below which there is no longest (or shortest) axis


def shape_table(made: VirtualPolycrystal, moments: np.ndarray, bare: np.ndarray, spacing: float) -> pd.DataFrame:
    """Return one row a grain from its sums n, z, y, x, zz, yy, xx, zy, zx, yx.

    Parameters
    ----------
    made : VirtualPolycrystal
    moments : (n + 1, 10) array
        By label; lengths in um from the centre of the particle.
    bare : (n + 1,) int array
        Voxels of each label beside a voxel of no grain.
    spacing : float
        Edge of the voxels, whose own extent is added to the variances.

    Returns
    -------
    DataFrame
        Index `label`. `z_um`, `y_um`, `x_um` (centroid seen from the centre of the particle), `n_voxels`,
        `volume_um3`, `diameter_um` (sphere of equal volume), `major_um`, `middle_um`, `minor_um` (axes of the
        ellipsoid of equal second moments), `elongation_3d` (major over middle), `flatness_3d` (middle over minor),
        `axis_ratio_3d` (major over minor), `radial_ratio` (rms extent along the radius over that along a direction
        across it), `alpha_long_deg`, `alpha_short_deg` (angle of the longest and the shortest axis to the radius,
        0 to 90), `distance_um`, `touches_edge` (False: the particle is whole), `phi1_deg`, `capital_phi_deg`,
        `phi2_deg` (Bunge angles in the frame of the particle),
        `at_surface` (has voxels beside the outside: with a cut surface it is cut).
    """
    import pandas as pd

    there = np.flatnonzero(moments[:, 0] > 0)
    there = there[there > 0]
    m = moments[there]
    n = m[:, 0]
    centre = m[:, 1:4] / n[:, None]
    covariance = _covariances(m, centre, spacing)
    values, vectors = np.linalg.eigh(covariance)
    distance = np.linalg.norm(centre, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        out = centre / distance[:, None]
    along = np.einsum("ni,nij,nj->n", out, covariance, out)
    across = (np.trace(covariance, axis1=1, axis2=2) - along) / 2
    major, middle, minor = 2 * np.sqrt(5 * values.T[::-1])
    volume = n * spacing**3
    angles = np.rad2deg(bunge(made.quaternions[there - 1]))
    table = {
        columns.Z: centre[:, 0],
        columns.Y: centre[:, 1],
        columns.X: centre[:, 2],
        "n_voxels": n.astype(np.int64),
        columns.VOLUME: volume,
        columns.DIAMETER: np.cbrt(6 * volume / np.pi),
        "major_um": major,
        "middle_um": middle,
        "minor_um": minor,
        "elongation_3d": major / middle,
        "flatness_3d": middle / minor,
        "axis_ratio_3d": major / minor,
        "radial_ratio": np.sqrt(along / across),
        "alpha_long_deg": _angle(vectors[:, :, 2], out, values[:, 2] - values[:, 1] > ROUND * values[:, 2]),
        "alpha_short_deg": _angle(vectors[:, :, 0], out, values[:, 1] - values[:, 0] > ROUND * values[:, 2]),
        "distance_um": distance,
        columns.TOUCHES_EDGE: np.zeros(len(n), bool),
        "phi1_deg": angles[:, 0],
        "capital_phi_deg": angles[:, 1],
        "phi2_deg": angles[:, 2],
        "at_surface": bare[there] > 0,
    }
    return pd.DataFrame(table, index=pd.Index(there, name=columns.LABEL))


def _covariances(m, centre, spacing) -> np.ndarray:
    second = np.empty((len(m), 3, 3))
    for k, (i, j) in enumerate([(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]):
        second[:, i, j] = second[:, j, i] = m[:, 4 + k] / m[:, 0] - centre[:, i] * centre[:, j]
    return second + np.eye(3) * spacing**2 / 12


def _angle(axis, out, known) -> np.ndarray:
    """Return the angle (deg, 0 to 90) of axes to the radius; NaN where either has no direction."""
    cosine = np.abs((axis * out).sum(1))
    return np.where(known, np.rad2deg(np.arccos(np.clip(cosine, 0, 1))), np.nan)
