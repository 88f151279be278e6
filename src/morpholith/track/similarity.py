"""Structural similarity of pictures, over a region or in Gaussian windows, with pixels that were not seen left out."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InputError

K1, K2 = 0.01, 0.03
WINDOW_PX = 1.5  # standard deviation of the usual Gaussian window
TRUNCATE = 3.5  # the window ends there, in standard deviations: 11 x 11 pixels


def ssim(
    a: ArrayLike, b: ArrayLike, *, data_range: float, mask: ArrayLike | None = None, window_px: float | None = None
) -> np.ndarray:
    r"""Structural similarity of pictures: 1 for equal ones, about 0 for unrelated ones, negative for opposite ones.

    Parameters
    ----------
    a, b : (..., y, x) array
        Pictures or stacks of them; leading axes broadcast. NaN was not seen and does not count.
    data_range : float
        :math:`L`, the range that grey values can span: what makes a difference large or small. The result
        depends on it, so it has to be stated with it.
    mask : (y, x) bool array, optional
        The region that counts; the whole picture by default.
    window_px : float, optional
        None: one value from the means, variances and covariance over the whole region (Eq. 1 of the paper as it
        is printed). A number: mean over the region of the similarity in Gaussian windows of that standard
        deviation (usually 1.5), which may see pixels outside the region.

    Returns
    -------
    (...) array
        NaN where no pixel of the region was seen in both pictures.

    Raises
    ------
    InputError
        Shapes that do not go together, or a range that is not positive.

    Notes
    -----
    :math:`l c s` with :math:`l = (2\mu_a\mu_b + c_1)/(\mu_a^2 + \mu_b^2 + c_1)`,
    :math:`c = (2\sigma_a\sigma_b + c_2)/(\sigma_a^2 + \sigma_b^2 + c_2)`,
    :math:`s = (\sigma_{ab} + c_3)/(\sigma_a\sigma_b + c_3)`, :math:`c_1 = (0.01 L)^2`, :math:`c_2 = (0.03 L)^2`,
    :math:`c_3 = c_2/2` (Su et al. 2024, Eq. 1; the paper prints :math:`l` and :math:`c` with slips). Variances
    are those of the population.
    """
    a, b, region = _checked(a, b, mask, data_range)
    seen = np.isfinite(a) & np.isfinite(b)
    a, b = np.where(seen, a, 0.0), np.where(seen, b, 0.0)
    if window_px is None:
        return _over_region(a, b, seen & region, data_range)
    return _in_windows(a, b, seen, region, data_range, float(window_px))


def series_ssim(
    stack: ArrayLike, mask: ArrayLike | None = None, *, data_range: float | None = None, window_px: float | None = None
) -> np.ndarray:
    """Similarity of each frame of an aligned stack with the next: near 1 and even when nothing moves.

    Parameters
    ----------
    stack : (frame, y, x) array
        Aligned pictures of one particle; NaN was not seen. Gain and offset stay in: the step of the absorption
        edge itself lowers the value a little.
    mask : (y, x) bool array, optional
        The particle; the whole picture by default.
    data_range : float, optional
        :math:`L`; by default `dynamic_range` of the whole series, so that all its pairs share one scale.
    window_px : float, optional
        As for `ssim`.

    Returns
    -------
    (frames - 1,) array
        NaN where one of the two was not seen; empty with fewer than two frames.
    """
    stack = np.asarray(stack)
    if stack.ndim != 3:
        raise InputError(f"a series has the axes (frame, y, x); this one has {stack.ndim}.")
    if len(stack) < 2:
        return np.zeros(0)
    if data_range is None:
        data_range = dynamic_range(stack, mask)
    if not np.isfinite(data_range):
        return np.full(len(stack) - 1, np.nan)
    # a few frames at a time: in double precision a long stack would be held several times over
    step = max(1, 4_000_000 // max(stack[0].size, 1))
    parts = []
    for k in range(0, len(stack) - 1, step):
        end = min(k + step, len(stack) - 1)
        parts.append(ssim(stack[k:end], stack[k + 1 : end + 1], data_range=data_range, mask=mask, window_px=window_px))
    return np.concatenate(parts)


def dynamic_range(stack: ArrayLike, mask: ArrayLike | None = None) -> float:
    """Range of grey values that a series spans within a region: its 0.1st to its 99.9th percentile.

    NaN when nothing was seen; 1 for a series without contrast, of which every picture is alike.
    """
    stack = np.asarray(stack)
    values = stack[..., np.asarray(mask, bool)] if mask is not None else stack.ravel()
    values = values[np.isfinite(values)]
    if values.size == 0:
        return float("nan")
    low, high = np.percentile(values, [0.1, 99.9])
    return float(high - low) if high > low else 1.0


def _checked(a, b, mask, data_range):
    a, b = np.asarray(a, float), np.asarray(b, float)
    if a.ndim < 2 or b.ndim < 2 or a.shape[-2:] != b.shape[-2:]:
        raise InputError(f"pictures that are compared must have one size; these have {a.shape} and {b.shape}.")
    if not (np.isfinite(data_range) and data_range > 0):
        raise InputError(f"`data_range` must be a positive number, got {data_range!r}.")
    region = np.ones(a.shape[-2:], bool) if mask is None else np.asarray(mask, bool)
    if region.shape != a.shape[-2:]:
        raise InputError(f"the mask has {region.shape} pixels, the pictures {a.shape[-2:]}.")
    a, b = np.broadcast_arrays(a, b)
    return a, b, region


def _over_region(a, b, counts, data_range):
    n = counts.sum(axis=(-2, -1))
    with np.errstate(invalid="ignore", divide="ignore"):

        def mean(values):
            return np.where(counts, values, 0).sum(axis=(-2, -1)) / n

        mean_a, mean_b = mean(a), mean(b)
        off_a, off_b = a - mean_a[..., None, None], b - mean_b[..., None, None]
        return _formula(mean_a, mean_b, mean(off_a**2), mean(off_b**2), mean(off_a * off_b), data_range)


def _in_windows(a, b, seen, region, data_range, window_px):
    from scipy.ndimage import gaussian_filter

    if not window_px > 0:
        raise InputError(f"`window_px` must be positive, got {window_px!r}.")
    width = (0,) * (a.ndim - 2) + (window_px, window_px)

    def blurred(values):
        return gaussian_filter(values, width, truncate=TRUNCATE, mode="constant")

    weight = blurred(seen.astype(float))
    weight = np.where(seen, weight, 1.0)  # there the value is not used
    # about a common level: squares of a large offset would swallow the variance
    level = (a.sum() + b.sum()) / max(2 * seen.sum(), 1)
    a0, b0 = np.where(seen, a - level, 0), np.where(seen, b - level, 0)
    mean_a, mean_b = blurred(a0) / weight, blurred(b0) / weight
    var_a = np.maximum(blurred(a0**2) / weight - mean_a**2, 0)
    var_b = np.maximum(blurred(b0**2) / weight - mean_b**2, 0)
    both = blurred(a0 * b0) / weight - mean_a * mean_b
    value = _formula(mean_a + level, mean_b + level, var_a, var_b, both, data_range)
    counts = seen & region
    with np.errstate(invalid="ignore"):
        return np.where(counts, value, 0).sum(axis=(-2, -1)) / counts.sum(axis=(-2, -1))


def _formula(mean_a, mean_b, var_a, var_b, both, data_range):
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    # c times s: with c3 = c2 / 2 the product of the standard deviations cancels
    light = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return light * (2 * both + c2) / (var_a + var_b + c2)
