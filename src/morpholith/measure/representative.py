"""What one window says of the material it was cut from: the interval of a volume mean, and the window it needs.

The mean of a stationary field over a window of volume V scatters by Var = (1/V^2) integral C(h) gamma(h) dh: the
autocovariance C under the window's own overlap gamma, hence by the power spectrum near frequency zero. The image
gives the spectrum at the cosines that fit the window, F_k for k = (1, 0, 0), (0, 1, 0), (1, 1, 0), ... half a
period apart, but not at k = 0, where it holds the unknown mean. So ln E F_k^2 = a - b k^2 is fitted to the lowest
modes (F_k^2 is chi-squared with one degree of freedom; Fisher scoring of the gamma likelihood) and Var is read at
k = 0. The standard error of a gives the degrees of freedom, 2 / SE^2, of a Student interval. Cosines, unlike a
periodic transform, see no jump at the frame; a trend through the thickness is power at k = (1, 0, 0) and widens
the interval, as it should.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .. import _checks
from ..errors import InputError
from ..image import Quantity
from . import _volumes

N_MODES = 14  # cosines an axis, the constant one included
FEWEST, COUNTS = 8, (24, 36, 54, 80, 120)  # modes fitted: more while the spectrum changes over them by less than exp(1)
FLAT = 1.0
LEAST_SAMPLES = 50.0  # independent samples below which a window is not representative
LEAST_RARE = 5.0  # the same, of the rarer phase
FRACTION_METHOD = "voxels counted; interval of the material's fraction from the image's spectrum at low frequency"


@dataclass(frozen=True)
class Scatter:
    """How far the mean of a window may lie from that of the material.

    Parameters
    ----------
    mean, variance : float
        Mean of the field over the window, and the variance of that mean.
    dof : float
        Degrees of freedom of the variance; 0 where the window shows no low frequencies.
    size : int
        Voxels (or cells) of the window.
    """

    mean: float
    variance: float
    dof: float
    size: int

    def quantile(self, level: float) -> float:
        """Two-sided Student factor."""
        from scipy.special import stdtrit

        return float(stdtrit(self.dof, 0.5 + level / 2)) if self.dof > 0 else float("nan")


def phase_fraction(mask: np.ndarray, *, spacing: Sequence[float] | float, level: float = 0.95) -> Quantity:
    """Volume fraction of a phase, with the interval that one finite image leaves it.

    Parameters
    ----------
    mask : (z, y, x) bool array
        True in the phase, as in ``phases == 0``. A single slice works too.
    spacing : (float, float, float)
        Voxel edges in um.
    level : float

    Returns
    -------
    Quantity
        The interval is for the fraction of the material the image was cut from, taken to be stationary; it is
        not about thresholds. `n` is p (1 - p) / Var, the number of independent samples the image is worth. The
        warning says "not resolved" where that is below 50, or below 5 of the rarer phase. Where the volume holds
        one phase alone there is no interval; an empty one gives NaN.

    Notes
    -----
    Module `representative` has the argument. Student interval of the logit. Coverage of 95 % intervals in windows cut
    from large specimens of known fraction is in the measuring tests and the documentation: 93 to 98 % where the
    image is worth 50 samples or more.
    """
    volume = _volumes.mask(mask)
    pixel = _volumes.spacing(spacing)
    level = _volumes.level(level)
    if volume.size == 0:
        return fraction_quantity(Scatter(np.nan, np.nan, 0.0, 0), level=level, method=FRACTION_METHOD)
    scatter = scatter_of(low_modes(volume), window=volume.shape, spacing=pixel)
    exact = Scatter(np.count_nonzero(volume) / volume.size, scatter.variance, scatter.dof, scatter.size)
    return fraction_quantity(exact, level=level, method=FRACTION_METHOD)


def low_modes(field: np.ndarray, *, window: Sequence[int] | None = None, start: Sequence[int] | None = None):
    """Sums of a field times the lowest cosines of its window.

    Parameters
    ----------
    field : array
        Any number of axes; a block of the window, or all of it.
    window : sequence of int, optional
        Shape of the whole window; by default that of `field`.
    start : sequence of int, optional
        Where the block begins in the window.

    Returns
    -------
    float64 array, at most `N_MODES` along every axis. The sums of blocks add up to those of the window.
    """
    window = field.shape if window is None else tuple(window)
    start = (0,) * field.ndim if start is None else tuple(start)
    bases = []
    for n, total, at in zip(field.shape, window, start, strict=True):
        where = (np.arange(at, at + n) + 0.5) / total
        bases.append(np.cos(np.pi * np.outer(np.arange(min(N_MODES, total)), where)))
    modes = np.zeros([len(b) for b in bases])
    for low in range(0, field.shape[0], 16):  # slabs, so that the copy in floating point stays small
        part = np.asarray(field[low : low + 16], np.float32)
        for basis in bases[:0:-1]:
            part = np.tensordot(part, basis.astype(np.float32).T, axes=1)
            part = np.moveaxis(part, -1, 1)
        modes += np.tensordot(bases[0][:, low : low + 16], part.astype(np.float64), axes=1)
    return modes


def scatter_of(modes: np.ndarray, *, window: Sequence[int], spacing: Sequence[float] | None = None) -> Scatter:
    """Mean of a window and the variance of that mean, from its lowest cosines.

    Parameters
    ----------
    modes : array
        From `low_modes`, of a field of any meaning: 0 and 1, a density, or a residual.
    window : sequence of int
        Shape of the window.
    spacing : sequence of float, optional
        Edges of its voxels (or cells); by default equal.

    Returns
    -------
    Scatter
        Variance 0 where the field is constant; NaN where the window has fewer than `FEWEST` low modes.
    """
    window = tuple(window)
    size = int(np.prod(window))
    edges = np.array(window) * np.array(spacing if spacing is not None else [1.0] * len(window))
    index = np.stack(np.meshgrid(*[np.arange(n) for n in modes.shape], indexing="ij"))
    halves = (index > 0).sum(axis=0).ravel()
    power = modes.ravel() ** 2 * 2.0**halves / size
    mean = float(modes.ravel()[0]) / size
    # lowest frequencies first: across a thin axis all of them are alike to the mean, which is what is wanted
    q2 = ((index.reshape(len(window), -1).T / edges) ** 2).sum(axis=1)
    limit = min(((n / e) ** 2 for n, e, w in zip(modes.shape, edges, window, strict=True) if n < w), default=np.inf)
    order = np.argsort(q2, kind="stable")[1:]
    order = order[q2[order] < limit * (1 - 1e-9)]
    best = None
    for count in COUNTS:
        if len(order) < FEWEST or (best is not None and count > len(order)):
            break
        used = order[: min(count, len(order))]
        used = order[q2[order] <= q2[used[-1]] * (1 + 1e-9)]  # whole shells
        level, slope, error = _spectrum(power[used], q2[used] / q2[used[-1]])
        if best is not None and abs(slope) > FLAT:
            break
        best = level, error
    if best is None:
        return Scatter(mean, float("nan"), 0.0, size)
    level, error = best
    return Scatter(mean, float(np.exp(level)) / size, 2 / error**2, size)


def _spectrum(power, k2):
    """Fit ln E power = a - b k^2; return a, b and the standard error of a."""
    scale = power.mean()
    if scale <= 1e-14 or not np.isfinite(scale):
        return -np.inf, 0.0, 1.0
    design = np.column_stack([np.ones_like(k2), -k2])
    inverse = np.linalg.inv(design.T @ design)
    fit = np.array([np.log(scale), 0.0])
    for _ in range(50):
        step = inverse @ (design.T @ (power * np.exp(-(design @ fit)) - 1))
        step = np.clip(step, -1, 1)
        fit += step
        if np.abs(step).max() < 1e-7:
            break
    return fit[0], fit[1], float(np.sqrt(2 * inverse[0, 0]))


def fraction_quantity(scatter: Scatter, *, level: float, method: str) -> Quantity:
    """Turn the scatter of a field of zeros and ones into a `Quantity`: Student interval of the logit."""
    p, variance = scatter.mean, scatter.variance
    if not 0 < p < 1:
        why = "not resolved: the window holds one phase alone" if scatter.size else "empty volume"
        return Quantity(p if scatter.size else float("nan"), level=level, method=method, warning=why)
    if not (np.isfinite(variance) and variance > 0):
        why = "not resolved: the image does not show how the fraction varies"
        return Quantity(p, level=level, method=method, warning=why)
    samples = p * (1 - p) / variance
    half = scatter.quantile(level) * np.sqrt(variance) / (p * (1 - p))
    logit = np.log(p / (1 - p))
    low, high = (1 / (1 + np.exp(-(logit + s * half))) for s in (-1, 1))
    return Quantity(
        p, float(low), float(high), level=level, n=max(1, round(samples)), method=method, warning=_few(samples, p)
    )


def mean_quantity(scatter: Scatter, *, value: float, level: float, unit: str, method: str) -> Quantity:
    """Interval of a positive mean (Student, of its logarithm); `value` replaces the scatter's own mean."""
    if not (scatter.mean > 0 and np.isfinite(scatter.variance) and scatter.variance > 0):
        why = "not resolved: the image does not show how it varies" if value > 0 else None
        return Quantity(value, level=level, unit=unit, method=method, warning=why)
    relative = np.sqrt(scatter.variance) / scatter.mean
    factor = float(np.exp(scatter.quantile(level) * relative))
    wide = factor > 2
    return Quantity(
        value,
        value / factor,
        value * factor,
        level=level,
        unit=unit,
        method=method,
        warning="not resolved: the window holds too little of it" if wide else None,
    )


def _few(samples, p):
    if samples < LEAST_SAMPLES:
        return (
            f"not resolved: the image is worth only {samples:.0f} independent samples, {LEAST_SAMPLES:.0f} are "
            "needed; it is few correlation lengths across"
        )
    if samples * min(p, 1 - p) < LEAST_RARE:
        return f"not resolved: only {samples * min(p, 1 - p):.1f} independent samples hold the rarer phase"
    return None


def required_size(
    mask: np.ndarray,
    *,
    spacing: Sequence[float] | float,
    half_width: float | None = None,
    relative_error: float | None = None,
    level: float = 0.95,
) -> Quantity:
    """How large an image must be for its volume fraction to be known that well.

    Parameters
    ----------
    mask : (z, y, x) bool array
        True in the phase. The image at hand, which must itself be a few correlation lengths across.
    spacing : (float, float, float)
        Voxel edges in um.
    half_width, relative_error : float
        One of them: wanted half width of the interval of the fraction, or that over the fraction.
    level : float
        Coverage of the wanted interval, and of the interval of the answer.

    Returns
    -------
    Quantity
        Edge in um of a cube of that volume; its interval is that of the autocovariance's integral. A window of
        another shape needs the same volume as long as every edge is long against the structure. `n` counts
        the independent samples in the image at hand.

    Notes
    -----
    V = (u / half width)^2 * integral C(h) dh, the integral (the integral range times p (1 - p)) being estimated
    as for `phase_fraction` (Lantuejoul 1991; Kanit et al. 2003).
    """
    volume = _volumes.mask(mask)
    pixel = _volumes.spacing(spacing)
    level = _volumes.level(level)
    if (half_width is None) == (relative_error is None):
        raise InputError("give either `half_width` or `relative_error`, and not both.")
    wanted = _checks.positive(
        half_width if half_width is not None else relative_error,
        name="half_width" if half_width is not None else "relative_error",
    )
    method = "cube edge; spectrum of the image at low frequency"
    scatter = (
        scatter_of(low_modes(volume), window=volume.shape, spacing=pixel)
        if volume.size
        else Scatter(np.nan, np.nan, 0.0, 0)
    )
    found = fraction_quantity(scatter, level=level, method=method)
    if not np.isfinite(scatter.variance) or scatter.variance <= 0 or not 0 < scatter.mean < 1:
        return Quantity(float("nan"), level=level, unit="um", method=method, warning=found.warning)
    from scipy.special import chdtri, ndtri

    wanted *= scatter.mean if half_width is None else 1.0
    integral = scatter.variance * scatter.size * float(np.prod(pixel))
    needed = (ndtri(0.5 + level / 2) / wanted) ** 2 * integral
    ends = [scatter.dof / chdtri(scatter.dof, q) for q in ((1 - level) / 2, (1 + level) / 2)]
    low, high = (float((needed * e) ** (1 / 3)) for e in ends)
    return Quantity(
        float(needed ** (1 / 3)), low, high, level=level, n=found.n, unit="um", method=method, warning=found.warning
    )
