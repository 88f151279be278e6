"""Threshold of two phases that keeps the volume of each, and how far it may be off."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.special import ndtr

from .levels import FLAT, Mixture, blur_of, gradient, histogram, mixture, sharpened

BINDER = 0.35  # grey level of carbon-binder above pore, of the contrast, where nothing better is known
LINED = 0.55  # share of the rim of active material that unseen binder may line


@dataclass(frozen=True)
class TwoPhases:
    """What a sample of a denoised volume says about its two phases.

    Attributes
    ----------
    levels : Mixture
        Of the flat voxels of the sharpened sample: the pure phases.
    seen : Mixture
        Of the flat voxels of the sample itself.
    blur : float
        Standard deviation, um.
    halfway, corrected, balance : float
        Dark volume fraction by the threshold half-way between the levels, by that of the sharpened sample, and by the
        mean grey level.
    unexplained : float
        Share of the dark cores that is brighter than the dark phase should be; NaN without cores.
    matter : float
        Median grey level of that share; NaN where there is none.
    threshold : float
        Grey level below which the fraction `corrected` of the sample lies.
    interval : (float, float)
        Thresholds that the grey levels support, at about 95 %.
    """

    levels: Mixture
    seen: Mixture
    blur: float
    halfway: float
    corrected: float
    balance: float
    unexplained: float
    matter: float
    threshold: float
    interval: tuple[float, float]


EVERYTHING = (-np.inf, np.inf)


def flat_levels(sample, slope, *, n=2, flat=FLAT, start=None, valid=EVERYTHING) -> Mixture:
    """Fit the phases to the voxels whose slope is below `flat` of the steepest percent, inside an open grey range."""
    return mixture(*histogram(flat_values(sample, slope, flat=flat, valid=valid)), n=n, start=start)


def flat_values(sample, slope, *, flat=FLAT, valid=EVERYTHING) -> np.ndarray:
    """Return the grey levels of those voxels."""
    chosen = slope <= (flat * np.percentile(slope, 99) if np.isfinite(flat) else np.inf)
    inside = chosen & (sample > valid[0]) & (sample < valid[1])
    return sample[inside if inside.sum() > 0.02 * chosen.sum() else chosen]


def two_phases(denoised: np.ndarray, raw: np.ndarray, *, steps, valid=EVERYTHING) -> TwoPhases:
    """Place the threshold between two phases in stacked blocks (n, z, y, x).

    Parameters
    ----------
    denoised, raw : (n, z, y, x) float32 arrays
    steps : tuple of float
        Voxel edge lengths, um.
    valid : (float, float)
        Grey levels between which the phases are sought; what lies outside was clipped.

    Returns
    -------
    TwoPhases
    """
    slope = gradient(denoised, steps)
    seen = flat_levels(denoised, slope, valid=valid)
    wider = flat_levels(denoised, slope, flat=FLAT / 0.6, valid=valid)
    blur = blur_of(denoised, slope, low=seen.means[0], high=seen.means[1], steps=steps)
    known = blur if np.isfinite(blur) else 0.0  # no edge: nothing to sharpen
    sigma = tuple(known / s if n > 1 else 0.0 for s, n in zip(steps, denoised.shape[1:], strict=True))
    sharp = sharpened(denoised, sigma)
    slope = gradient(sharp, steps)
    levels = flat_levels(sharp, slope, valid=valid)
    rough = flat_levels(sharp, slope, flat=FLAT / 0.6, valid=valid)

    halfway = float((denoised < seen.means.mean()).mean())
    corrected = float((sharp < levels.means.mean()).mean())
    balance = float((levels.means[1] - raw.mean(dtype=np.float64)) / levels.contrast)
    unexplained, matter = _dark_core(denoised, seen, sigma)
    # how far the levels move with the choice of what is flat, as a volume fraction
    moved = np.abs(levels.means - rough.means) + np.abs(seen.means - wider.means)
    level_error = float((moved[0] * corrected + moved[1] * (1 - corrected)) / levels.contrast)
    overlap = float(ndtr(-seen.separation / 2))
    half = 2 * float(np.sqrt(np.sum(np.square([0.5 * (halfway - corrected), 0.5 * level_error, overlap, 0.002]))))
    low, high = min(corrected - half, balance - half / 2), max(corrected + half, balance + half / 2)
    t, t0, t1 = (float(q) for q in np.quantile(denoised, np.clip([corrected, low, high], 1e-4, 1 - 1e-4)))
    interval = (t0, max(t1, t + _lining(levels, unexplained, matter)))
    return TwoPhases(levels, seen, blur, halfway, corrected, balance, unexplained, matter, t, interval)


def _dark_core(denoised, seen, sigma):
    """Share of the voxels far from anything bright that are grey all the same, and their median grey level."""
    bright = (denoised > seen.means.mean()).astype(np.float32)
    reach = tuple(1.3 * max(s, 0.8) if s else 0.0 for s in sigma)
    far = gaussian_filter(bright, (0, *reach), truncate=3) < 0.01
    if far.mean() < 0.01:
        return float("nan"), float("nan")
    values = denoised[far]
    grey = values > seen.means[0] + max(0.15 * seen.contrast, 4 * min(seen.sds))
    return float(grey.mean()), float(np.median(values[grey])) if grey.any() else float("nan")


def _lining(levels, unexplained, matter) -> float:
    """Return by how much the threshold may have to rise for unseen binder on the rim of the bright phase.

    Half-way between it and the bright phase lies higher. How much of the rim it lines is not known; how much of it
    lies in the open tells a little.
    """
    share = 0.5 if np.isnan(unexplained) else min(1.0, LINED + 10 * unexplained)
    usual = BINDER * levels.contrast
    above = usual if np.isnan(matter) else max(float(matter - levels.means[0]), usual)
    return share * above / 2
