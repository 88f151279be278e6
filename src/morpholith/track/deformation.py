"""Motion of a monolayer taken apart: rigid shift, rotation and strain, a smooth field, and each particle's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from .. import _checks
from ..errors import InputError
from ._field_fit import AFFINE, NONE, RIGID, TERMS, fit_frame

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Deformation:
    """How a field of particles moved as a whole, and each beyond that.

    Parameters
    ----------
    frames : DataFrame
        One row a frame: ``frame``, ``energy_ev``, ``shift_y_px, shift_x_px`` (of the centre), ``strain_yy,
        strain_xx, strain_xy`` (ratios; symmetric part of the polar decomposition, less 1), ``rotation_deg``
        (from +y towards +x), each with ``_se``; ``residual_rms_px`` (per axis, over the degrees
        of freedom), ``n``, ``model`` ("affine",
        "rigid", "shift", "none": what the particles of the frame determine; the rest is NaN).
    particles : DataFrame
        One row a particle and frame: ``particle``, ``frame``, ``residual_y_px, residual_x_px`` (beyond shift,
        rotation and strain), ``smooth_y_px, smooth_x_px`` (what its neighbours do there), ``own_y_px, own_x_px``
        (the difference of both), ``loo_y_px, loo_x_px`` (residual where the particle had no say in the fit),
        ``sigma_px`` (standard error of the residual per axis), ``weight`` (1, less for an outlier).
    reference : (particle, 2) array
        Undeformed positions.
    centre : (2,) array
        Strain and rotation are about it.
    """

    frames: pd.DataFrame
    particles: pd.DataFrame
    reference: np.ndarray
    centre: np.ndarray


def decompose(
    positions: ArrayLike,
    *,
    sigma_px: ArrayLike | None = None,
    energies_ev: ArrayLike | None = None,
    reference: ArrayLike | None = None,
    reference_sigma_px: ArrayLike | None = None,
    neighbourhood_px: float | None = None,
) -> Deformation:
    r"""Take the motion of a field of particles apart, frame by frame.

    Parameters
    ----------
    positions : (particle, frame, 2) array
        y, x in pixels; NaN where not measured.
    sigma_px : (particle, frame) array, optional
        Standard error of a position per axis. Without it particles weigh alike and errors come from the scatter.
    energies_ev : (energy,) or (frame,) array, optional
        For the table; repeated for each scan.
    reference : (particle, 2) array, optional
        Undeformed positions, to which all refers. By default where each particle is in the first frame that has
        at least as many as the usual frame; those that are not in it are placed by the frames that they are in.
    reference_sigma_px : (particle,) array, optional
        Standard error of `reference`; that of the reference frame by default, 0 where `reference` is given.
    neighbourhood_px : float, optional
        Standard deviation of the window of the smooth field: the usual spacing unless given.

    Returns
    -------
    Deformation
        With as many rows as there are frames (and particles), also where nothing can be said.

    Raises
    ------
    InputError
        Shapes that do not go together.

    Notes
    -----
    :math:`x_{if} = c + d_f + F_f (X_i - c) + r_{if}`, fitted by least squares with weights
    :math:`1/(\sigma_{if}^2 + \sigma_{i}^2)` (frame and reference) and Huber's down-weighting of particles that move on
    their own; :math:`F = R U`, strain :math:`U - 1`. Standard errors are enlarged by the scatter where that
    exceeds the errors of the positions. Strain needs three particles that do not lie on one line, rotation two.
    """
    place = np.asarray(positions, float)
    if place.ndim != 3 or place.shape[2] != 2:
        raise InputError(f"positions have the axes (particle, frame, 2); these have the shape {place.shape}.")
    n, n_frames = place.shape[:2]
    sigma = _matching(sigma_px, (n, n_frames), "sigma_px")
    base, base_sigma = _reference(place, sigma, reference, reference_sigma_px)
    usable = np.isfinite(base).all(axis=1)
    centre = base[usable].mean(axis=0) if usable.any() else np.full(2, np.nan)
    spread = np.hypot(sigma, base_sigma[:, None]) if sigma is not None else None
    fits = [fit_frame(base - centre, place[:, k], None if spread is None else spread[:, k]) for k in range(n_frames)]
    spacing = _spacing(base[usable])
    width = neighbourhood_px if neighbourhood_px is not None else spacing
    return Deformation(
        _frame_table(fits, centre, _checks.per_frame(energies_ev, n_frames)),
        _particle_table(fits, base, spread, width),
        base,
        centre,
    )


def polar(gradient: np.ndarray) -> np.ndarray:
    """Return (strain_yy, strain_xx, strain_xy, rotation_deg) of a displacement gradient (2, 2), y before x."""
    f = np.eye(2) + gradient
    angle = np.arctan2(f[1, 0] - f[0, 1], f[0, 0] + f[1, 1])
    c, s = np.cos(angle), np.sin(angle)
    stretch = np.array([[c, s], [-s, c]]) @ f
    return np.array([stretch[0, 0] - 1, stretch[1, 1] - 1, 0.5 * (stretch[0, 1] + stretch[1, 0]), np.degrees(angle)])


def _polar_errors(gradient, covariance):
    step = 1e-6
    slopes = [
        (polar(gradient + step * unit.reshape(2, 2)) - polar(gradient - step * unit.reshape(2, 2))) / (2 * step)
        for unit in np.eye(4)
    ]
    jacobian = np.stack(slopes, axis=1)
    return np.sqrt(np.maximum(np.diag(jacobian @ covariance @ jacobian.T), 0))


def _reference(place, sigma, reference, reference_sigma):
    n = len(place)
    if reference is not None:
        base = np.asarray(reference, float)
        if base.shape != (n, 2):
            raise InputError(f"`reference` must be (particle, 2) = {(n, 2)}, got {base.shape}.")
        error = np.zeros(n) if reference_sigma is None else np.asarray(reference_sigma, float)
        return base, np.broadcast_to(error, (n,))
    seen = np.isfinite(place).all(axis=2)
    count = seen.sum(axis=0)
    if not count.any():
        return np.full((n, 2), np.nan), np.zeros(n)
    first = int(np.argmax(count >= np.median(count[count > 0])))
    base = place[:, first].copy()
    error = np.zeros(n) if sigma is None else np.where(seen[:, first], sigma[:, first], np.nan)
    for i in np.flatnonzero(~seen[:, first] & seen.any(axis=1)):
        base[i], error[i] = _placed(i, base, place, sigma, seen, first)
    return base, np.nan_to_num(error)


def _placed(i, base, place, sigma, seen, first):
    """Where a particle that is not in the reference frame would be in it: from up to five frames that have it."""
    start = seen[:, first]
    centre = base[start].mean(axis=0)
    found = []
    for k in np.flatnonzero(seen[i])[:5]:
        now = np.where(start[:, None], place[:, k], np.nan)
        fit = fit_frame(base - centre, now, None)
        if fit.model != NONE:
            back = np.linalg.solve(np.eye(2) + fit.gradient, place[i, k] - fit.shift)
            found.append(centre + back)
    if not found:
        return place[i, np.argmax(seen[i])], np.nan
    own = 0.0 if sigma is None else np.nanmedian(sigma[i]) / np.sqrt(len(found))
    return np.mean(found, axis=0), own


def _frame_table(fits, centre, energies):
    import pandas as pd

    rows = []
    for k, fit in enumerate(fits):
        values = np.full(6, np.nan)
        errors = np.full(6, np.nan)
        if fit.model != NONE:
            # the motion of the centre itself
            values[:2] = fit.shift - centre
            errors[:2] = np.sqrt(np.diag(fit.covariance)[:2])
        if fit.model in (AFFINE, RIGID):
            strain, se = polar(fit.gradient), _polar_errors(fit.gradient, fit.covariance[2:, 2:])
            values[5], errors[5] = strain[3], se[3]
            if fit.model == AFFINE:
                values[2:5], errors[2:5] = strain[:3], se[:3]
        seen = np.isfinite(fit.weight)
        # what the fit took up of it is put back; nothing is left to see where it fits exactly
        freedom = 2 * seen.sum() - TERMS[fit.model]
        rms = np.sqrt(np.sum(fit.residual[seen] ** 2) / freedom) if freedom > 0 else np.nan
        rows.append([k, energies[k], *values, *errors, rms, int(seen.sum()), fit.model])
    names = ["shift_y_px", "shift_x_px", "strain_yy", "strain_xx", "strain_xy", "rotation_deg"]
    columns = ["frame", "energy_ev", *names, *(f"{name}_se" for name in names), "residual_rms_px", "n", "model"]
    return pd.DataFrame(rows, columns=columns)


def _particle_table(fits, base, spread, width):
    import pandas as pd

    n, n_frames = len(base), len(fits)
    residual = np.stack([f.residual for f in fits], axis=1) if n_frames else np.zeros((n, 0, 2))
    leverage = np.stack([f.leverage for f in fits], axis=1) if n_frames else np.zeros((n, 0))
    weight = np.stack([f.weight for f in fits], axis=1) if n_frames else np.zeros((n, 0))
    error = spread if spread is not None else np.array([[f.scale for f in fits]] * n).reshape(n, n_frames)
    kept = np.sqrt(np.maximum(1 - leverage, 0))
    smooth = _smooth(residual, base, error, weight, width)
    with np.errstate(invalid="ignore", divide="ignore"):
        loo = np.where(leverage[..., None] < 0.99, residual / (1 - leverage[..., None]), np.nan)
    columns: dict[str, np.ndarray] = {"particle": np.repeat(np.arange(1, n + 1), n_frames)}
    columns["frame"] = np.tile(np.arange(n_frames), n)
    for name, values in (("residual", residual), ("smooth", smooth), ("own", residual - smooth), ("loo", loo)):
        columns |= {f"{name}_y_px": values[..., 0].ravel(), f"{name}_x_px": values[..., 1].ravel()}
    return pd.DataFrame(columns | {"sigma_px": (error * kept).ravel(), "weight": weight.ravel()})


def _smooth(residual, base, error, weight, width):
    """Mean residual of the neighbours in a Gaussian window, shrunk where few are near; never of the particle itself."""
    seen = np.isfinite(residual).all(axis=2)
    say = np.where(seen & (error > 0), weight / np.where(error > 0, error, 1) ** 2, 0.0)
    usual = np.median(say[say > 0]) if (say > 0).any() else 1.0
    apart = np.nan_to_num(((base[:, None] - base[None]) ** 2).sum(axis=2), nan=np.inf)
    near = np.exp(-0.5 * apart / max(width, 1e-9) ** 2)
    np.fill_diagonal(near, 0.0)
    total = near @ say
    # a neighbour in the middle of the window for the zero field
    smooth = np.einsum("ij,jfa->ifa", near, say[..., None] * np.nan_to_num(residual)) / (total + usual)[..., None]
    return np.where(seen[..., None], smooth, np.nan)


def _spacing(base):
    from scipy.spatial import cKDTree

    if len(base) < 2:
        return 1.0
    return float(np.median(cKDTree(base).query(base, k=2)[0][:, 1]))


def _matching(sigma, shape, name):
    if sigma is None:
        return None
    sigma = np.asarray(sigma, float)
    if sigma.shape not in (shape, ()):
        raise InputError(f"`{name}` must be (particle, frame) = {shape}, got {sigma.shape}.")
    return np.broadcast_to(sigma, shape)
