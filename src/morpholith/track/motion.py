"""Displacement, velocity and acceleration of particles, each with what the noise of the positions makes of it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InputError

if TYPE_CHECKING:
    import pandas as pd

MEASURED, PREDICTED, REFUSED = "measured", "predicted", "refused"
STATUS = (MEASURED, PREDICTED, REFUSED)


def motion_table(
    positions: ArrayLike,
    *,
    energies_ev: ArrayLike,
    sigma_px: ArrayLike | None = None,
    status: ArrayLike | None = None,
    angle_deg: ArrayLike | None = None,
    breathing: ArrayLike | None = None,
    particles: ArrayLike | None = None,
    window: int = 3,
    across_scans: bool = False,
) -> pd.DataFrame:
    r"""Return the motion of every particle, one row a particle and frame.

    Parameters
    ----------
    positions : (particle, frame, 2) array
        y, x in pixels; NaN where unknown. Frames run over all energies of the first scan, then of the next.
    energies_ev : (energy,) array
        Of one scan; the number of frames is a multiple of theirs.
    sigma_px : (particle, frame) array, optional
        Standard error of a position along each axis. Unknown (NaN columns) unless given; positions then weigh alike.
    status : (particle, frame) array of str, optional
        "measured", "predicted" or "refused"; by default measured where the position is finite. Only measured
        positions enter velocities and accelerations.
    angle_deg, breathing : (particle, frame) array, optional
        Rotation and relative growth; NaN unless given.
    particles : (particle,) int array, optional
        Their numbers; 1, 2, ... unless given.
    window : int
        Odd number of frames, at least 3, that the local parabola is fitted to. 3 gives central differences:
        :math:`v = (x_{+1} - x_{-1})/2`, :math:`a = x_{+1} - 2x_0 + x_{-1}`.
    across_scans : bool
        Differentiate over the end of a scan too. The time between two scans is seldom that of two energies.

    Returns
    -------
    DataFrame
        ``particle, scan, frame, energy_ev, y_px, x_px, dy_px, dx_px`` (from the first measured frame of the
        particle), ``vy_px, vx_px`` (px a frame), ``ay_px, ax_px`` (px a frame squared), ``sigma_px``,
        ``sigma_v_px, sigma_a_px`` (standard errors per axis, from `sigma_px`), ``angle_deg``, ``breathing``,
        ``status``. By particle, then frame.

    Raises
    ------
    InputError
        Shapes that do not go together, a window that is even or too short.

    Notes
    -----
    Velocity and acceleration are those of a parabola fitted by least squares, weights
    :math:`1/\sigma^2`, to what was measured in the window about a frame (Savitzky-Golay with gaps). Their errors come
    from the inverse normal matrix, for errors of frames that are independent of each other. With two
    measurements in the window there is a velocity and no acceleration; with one neither. Where the
    window leaves the scan it is cut, and the error grows.
    """
    import pandas as pd

    place = _positions(positions)
    n, n_frames = place.shape[:2]
    energies, n_scans = _scans(energies_ev, n_frames)
    if window < 3 or window % 2 == 0:
        raise InputError(f"`window` must be an odd number of frames, at least 3; got {window}.")
    state = _status(status, place)
    good = np.asarray(state == MEASURED) & np.isfinite(place).all(axis=2)
    sigma = _per_frame(sigma_px, (n, n_frames), "sigma_px")
    scan = np.repeat(np.arange(n_scans), len(energies))
    v, a, sigma_v, sigma_a = derivatives(place, sigma, good, None if across_scans else scan, window=window)
    moved = place - first_seen(place, good)[:, None]
    columns = {
        "particle": np.repeat(np.arange(1, n + 1) if particles is None else np.asarray(particles), n_frames),
        "scan": np.tile(scan, n),
        "frame": np.tile(np.arange(n_frames), n),
        "energy_ev": np.tile(np.tile(energies, n_scans), n),
    }
    for name, values in (("{}_px", place), ("d{}_px", moved), ("v{}_px", v), ("a{}_px", a)):
        columns |= {name.format(axis): values[..., k].ravel() for k, axis in enumerate("yx")}
    columns |= {"sigma_px": sigma.ravel(), "sigma_v_px": sigma_v.ravel(), "sigma_a_px": sigma_a.ravel()}
    columns["angle_deg"] = _per_frame(angle_deg, (n, n_frames), "angle_deg").ravel()
    columns["breathing"] = _per_frame(breathing, (n, n_frames), "breathing").ravel()
    columns["status"] = state.ravel().astype(str)
    return pd.DataFrame(columns)


def first_seen(place: np.ndarray, good: np.ndarray) -> np.ndarray:
    """Return where each particle was measured first, (particle, 2); NaN for one that never was."""
    if place.shape[1] == 0:
        return np.full((len(place), 2), np.nan)
    first = place[np.arange(len(place)), np.argmax(good, axis=1)]
    return np.where(np.any(good, axis=1, keepdims=True), first, np.nan)


def derivatives(
    place: np.ndarray, sigma: np.ndarray, good: np.ndarray, scan: np.ndarray | None, *, window: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return velocity and acceleration (particle, frame, 2) and their standard errors (particle, frame).

    `sigma` NaN throughout means unknown: positions weigh alike and the errors are NaN. `scan` (frame,) keeps
    windows within one scan; None lets them run on.
    """
    known = np.isfinite(sigma) & (sigma > 0)
    unknown = not known.any()
    weight = np.where(good, 1.0, 0.0) if unknown else np.where(good & known, 1 / np.where(known, sigma, 1) ** 2, 0.0)
    value = np.where(weight[..., None] > 0, place, 0.0)
    moments, rights = _moments(value, weight, scan, window)
    count = _moments(value, (weight > 0).astype(float), scan, window)[0][0]
    velocity, acceleration = np.full(place.shape, np.nan), np.full(place.shape, np.nan)
    sigma_v, sigma_a = np.full(weight.shape, np.nan), np.full(weight.shape, np.nan)
    for terms, enough in ((3, count >= 3), (2, count == 2)):
        normal = np.moveaxis(np.array([[moments[i + j] for j in range(terms)] for i in range(terms)]), (0, 1), (-2, -1))
        if not enough.any():
            continue
        inverse = np.linalg.inv(normal[enough])
        fit = inverse @ np.moveaxis(np.array(rights[:terms]), 0, -2)[enough]
        velocity[enough], sigma_v[enough] = fit[:, 1], np.sqrt(inverse[:, 1, 1])
        if terms == 3:
            acceleration[enough], sigma_a[enough] = 2 * fit[:, 2], 2 * np.sqrt(inverse[:, 2, 2])
    if unknown:
        sigma_v[:], sigma_a[:] = np.nan, np.nan
    return velocity, acceleration, sigma_v, sigma_a


def _moments(value, weight, scan, window):
    """Sums of w t^k and of w t^k x over the window about each frame."""
    n_frames, half = weight.shape[1], window // 2
    moments = [np.zeros(weight.shape) for _ in range(5)]
    rights = [np.zeros(value.shape) for _ in range(3)]
    for t in range(-half, half + 1):
        here = np.arange(max(0, -t), min(n_frames, n_frames - t))
        if scan is not None:
            here = here[scan[here] == scan[here + t]]
        w = weight[:, here + t]
        for k in range(5):
            moments[k][:, here] += w * t**k
        for k in range(3):
            rights[k][:, here] += (w * t**k)[..., None] * value[:, here + t]
    return moments, rights


def path_table(
    motion: pd.DataFrame, deformation: pd.DataFrame | None = None, *, smoothed: bool = False
) -> pd.DataFrame:
    r"""Return how far each particle has gone in all by each frame, as measured and with the noise taken out.

    Parameters
    ----------
    motion : DataFrame
        As of `motion_table`. Over gaps the way is that of the predicted positions, which have no noise of their own;
        refused frames are passed over in a straight line.
    deformation : DataFrame, optional
        ``Deformation.frames``: paths beyond its shift are given besides.
    smoothed : bool
        The positions were combined over frames (`smooth_motion`), which has taken their noise out, and with it steps
        that are smaller: nothing more is taken off, and paths are rather too short.

    Returns
    -------
    DataFrame
        ``particle``, ``frame``, ``path_raw_px`` (sum of the lengths of the steps as measured), ``path_px`` (free of
        the noise, may fall), ``sigma_px`` (standard error of ``path_px`` from the noise of the positions; NaN, as
        is ``path_px``, where these have no sigma), and with a deformation ``path_beyond_raw_px, path_beyond_px,
        sigma_beyond_px``, steps over frames whose shift is not known left out. By particle, then frame; NaN before
        the first measurement.

    Notes
    -----
    Noise lengthens every step: at rest by :math:`s\sqrt{\pi/2}`, with :math:`s^2 = \sigma_k^2 + \sigma_{k+1}^2` per
    axis (the mean of a Rice distribution), so that the path of a particle at rest grows with each frame. The
    corrected step is :math:`r - s\,h(r/s)`, where :math:`h` is such that its mean is the true step to within 0.3
    :math:`s` at rest and 0.11 :math:`s` from a step of 0.2 :math:`s` on; single steps may then be negative.
    """
    import pandas as pd

    shift = None
    if deformation is not None:
        shift = deformation.set_index("frame")[["shift_y_px", "shift_x_px"]]
    parts = []
    for name, rows in motion.groupby("particle", sort=True):
        rows = rows.sort_values("frame")
        place = rows[["y_px", "x_px"]].to_numpy()
        measured = (rows["status"] == MEASURED).to_numpy() & np.isfinite(place).all(axis=1)
        sigma = np.where(measured, rows["sigma_px"], 0.0)
        usable = np.isfinite(place).all(axis=1) & (rows["status"] != REFUSED).to_numpy()
        usable &= np.cumsum(measured) > 0
        part = pd.DataFrame({"particle": name, "frame": rows["frame"].to_numpy()})
        part[["path_raw_px", "path_px", "sigma_px"]] = _path(place, sigma, usable, smoothed)
        if shift is not None:
            moved = shift.reindex(rows["frame"]).to_numpy()
            known = usable & np.isfinite(moved).all(axis=1)
            beyond = ["path_beyond_raw_px", "path_beyond_px", "sigma_beyond_px"]
            part[beyond] = _path(place - moved, sigma, known, smoothed)
        parts.append(part)
    if parts:
        return pd.concat(parts, ignore_index=True)
    return pd.DataFrame({k: np.zeros(0) for k in ("particle", "frame", "path_raw_px", "path_px", "sigma_px")})


def _path(place, sigma, usable, smoothed):
    """Raw path, corrected path and its error (frame, 3), NaN before the first usable position."""
    step = np.linalg.norm(np.diff(place[usable], axis=0), axis=1)
    noise = np.hypot(sigma[usable][1:], sigma[usable][:-1])
    if smoothed:
        clean, variance = np.where(np.isnan(noise), np.nan, step), noise**2
    else:
        clean, variance = unbiased_length(step, noise), length_variance(step, noise)
    sums = np.stack([np.cumsum(step), np.cumsum(clean), np.sqrt(np.cumsum(variance))], axis=1)
    start = np.zeros((1, 3))
    start[:, 1:] = np.nan if len(noise) and np.isnan(noise).all() else 0.0
    sums = np.concatenate([start, sums])
    reached = np.cumsum(usable) - 1  # the last position at or before each frame
    return np.where((reached >= 0)[:, None], sums[np.maximum(reached, 0)], np.nan)


def unbiased_length(length: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Return lengths of 2D vectors without what Gaussian noise (standard deviation per axis) adds on average."""
    length, noise = np.asarray(length, float), np.asarray(noise, float)
    with np.errstate(invalid="ignore", divide="ignore"):
        short = np.where(noise > 0, length / noise, np.inf)
    return np.where(np.isnan(noise), np.nan, length - np.nan_to_num(noise) * _surplus(short))


def length_variance(length: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Return the variance of `unbiased_length`: one axis for a long step, more for one within the noise."""
    with np.errstate(invalid="ignore", divide="ignore"):
        short = np.where(noise > 0, length / noise, np.inf)
    return noise**2 * (1 + 3.75 * np.exp(-0.25 * short**2))


def _surplus(short):
    """h of `path_table`: what noise adds to a length, as a function of the noisy length over the noise."""
    widths, factors = _surplus_terms()
    return sum(f * np.exp(-(np.minimum(short, 1e6) ** 2) / (2 * w)) for w, f in zip(widths, factors, strict=True))


@lru_cache(maxsize=1)
def _surplus_terms():
    """Gaussians whose mean under noise is the bias of a Rice distribution, for every true length.

    The mean of exp(-r^2 / 2w) over 2D noise of unit variance about a point at distance d is
    w / (1 + w) exp(-d^2 / 2(1 + w)): the bias is written as a sum of these by damped least squares.
    """
    from scipy.special import i0e, i1e

    true = np.linspace(0, 12, 241)
    q = true**2 / 4
    mean = np.sqrt(np.pi / 2) * ((1 + 2 * q) * i0e(q) + 2 * q * i1e(q))
    widths = np.array([0.5, 1, 2, 4, 8, 16, 64, 256])
    design = widths / (1 + widths) * np.exp(-(true[:, None] ** 2) / (2 * (1 + widths)))
    damping = 0.03 * np.eye(len(widths))
    factors = np.linalg.lstsq(
        np.concatenate([design, damping]), np.concatenate([mean - true, np.zeros(len(widths))]), rcond=None
    )[0]
    return widths, factors


def _positions(positions):
    place = np.asarray(positions, float)
    if place.ndim != 3 or place.shape[2] != 2:
        raise InputError(f"positions have the axes (particle, frame, 2); these have the shape {place.shape}.")
    return place


def _scans(energies_ev, n_frames):
    energies = np.asarray(energies_ev, float)
    if energies.ndim != 1 or len(energies) == 0 or n_frames % len(energies):
        raise InputError(f"{n_frames} frames are not a whole number of scans of {energies.size} energies.")
    return energies, n_frames // len(energies)


def _status(status, place):
    if status is None:
        return np.where(np.isfinite(place).all(axis=2), MEASURED, PREDICTED).astype(object)
    state = np.asarray(status).astype(object)
    if state.shape != place.shape[:2]:
        raise InputError(f"`status` must be (particle, frame) = {place.shape[:2]}, got {state.shape}.")
    odd = sorted({str(s) for s in np.unique(state.astype(str))} - set(STATUS))
    if odd:
        raise InputError(f"a status is one of {', '.join(STATUS)}; got {', '.join(odd)}.")
    return state


def _per_frame(values, shape, name):
    if values is None:
        return np.full(shape, np.nan)
    values = np.asarray(values, float)
    if values.shape not in (shape, ()):
        raise InputError(f"`{name}` must be (particle, frame) = {shape}, got {values.shape}.")
    return np.broadcast_to(values, shape)
