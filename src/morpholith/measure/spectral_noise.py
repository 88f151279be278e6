"""The noise of every pixel's spectrum, from the spectra themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

EDGE_ZONE_EV = (-10.0, 30.0)  # around e0, where spectra curve more than noise lets one see
LEAST_POINTS = 8
MANY = 20  # spectra from which on the mean spectrum's own curvature is taken off
STEPS = 12
MOST_SLOPE = 1.5  # of ln variance with optical density; 1 for photon noise


@dataclass(frozen=True)
class SpectralNoise:
    """Noise of n spectra: variance at energy e of spectrum i is ``sigma[i]**2 * profile[e]``.

    Parameters
    ----------
    sigma : (n,) array
        Standard deviation over all energies (root mean square); NaN where it cannot be told.
    profile : (e,) array
        Relative variance of the frames, mean 1: dim frames and those behind the edge are noisier.
    residual : (n, e) array
        What each frame departs from the line through its neighbours, in units that make its variance that of a
        frame; NaN where a neighbour is missing or the spectrum curves too much there.
    """

    sigma: np.ndarray
    profile: np.ndarray
    residual: np.ndarray


def spectral_noise(mu: np.ndarray, energies_ev: np.ndarray, e0_ev: float) -> SpectralNoise:
    """Estimate the noise of each spectrum and of each frame from second differences over energy.

    Parameters
    ----------
    mu : (n, e) array
        Absorption or optical density; NaN where a frame is missing.
    energies_ev : (e,) array
        Ascending, eV; at least three.
    e0_ev : float
        The edge: energies from 10 eV below to 30 eV above it do not count where enough others remain.

    Returns
    -------
    SpectralNoise

    Notes
    -----
    Each frame is compared with the line between its two neighbours; the difference has 1 + a^2 + b^2 times the
    variance of a frame, a and b being the weights of the neighbours. From 20 spectra on the mean of the differences,
    scaled to each spectrum, is taken off, so that structure which all spectra share is not taken for noise. The
    profile over energies is solved for, since each difference mixes three frames; across the edge its logarithm is
    continued in proportion to the mean optical density, as photon noise has it.
    """
    mu, energy = np.atleast_2d(np.asarray(mu, float)), np.asarray(energies_ev, float)
    n, m = mu.shape
    if m < 3 or n == 0:
        return SpectralNoise(np.full(n, np.nan), np.ones(m), np.full(mu.shape, np.nan))
    right = (energy[1:-1] - energy[:-2]) / (energy[2:] - energy[:-2])
    scale = 1 + right**2 + (1 - right) ** 2
    residual = np.full(mu.shape, np.nan)
    residual[:, 1:-1] = (mu[:, 1:-1] - (1 - right) * mu[:, :-2] - right * mu[:, 2:]) / np.sqrt(scale)
    if n >= MANY:
        residual = _less_common(residual)
    zone = (energy < e0_ev + EDGE_ZONE_EV[0]) | (energy > e0_ev + EDGE_ZONE_EV[1])
    zone[[0, -1]] = False
    if zone.sum() < LEAST_POINTS:
        zone[1:-1] = True
    residual[:, ~zone] = np.nan
    profile = _profile(residual, _mean(mu, axis=0), right, zone) if n >= MANY else np.ones(m)
    # a difference mixes the profile of three frames
    mixed = np.ones(m)
    mixed[1:-1] = (profile[1:-1] + (1 - right) ** 2 * profile[:-2] + right**2 * profile[2:]) / scale
    return SpectralNoise(np.sqrt(_mean(residual**2 / mixed, axis=1)), profile, residual)


def _less_common(residual):
    """Take the part that is common to all spectra off, scaled to each; keep the variance right."""
    mean = _mean(residual, axis=0)
    known = np.isfinite(mean)
    both = np.where(np.isfinite(residual[:, known]), residual[:, known], 0.0)
    there = np.isfinite(residual[:, known])
    with np.errstate(invalid="ignore", divide="ignore"):
        factor = both @ mean[known] / (there @ mean[known] ** 2)
    lost = 1 + 1 / max(len(residual), 1) + 1 / max(known.sum(), 1)
    return (residual - np.nan_to_num(factor)[:, None] * mean) * np.sqrt(lost)


def _profile(residual, mean, right, zone):
    """Relative variance at each energy: solved for from that of the differences, multiplicatively."""
    n, m = residual.shape
    with np.errstate(invalid="ignore", divide="ignore"):
        squares = residual**2 / _mean(residual**2, axis=1)[:, None]
    seen = _mean(squares, axis=0)
    use = zone & np.isfinite(seen)
    if use.sum() < LEAST_POINTS:
        return np.ones(m)
    mix = np.zeros((m, m))
    scale = 1 + right**2 + (1 - right) ** 2
    inner = np.arange(1, m - 1)
    mix[inner, inner], mix[inner, inner - 1], mix[inner, inner + 1] = (
        1 / scale,
        (1 - right) ** 2 / scale,
        right**2 / scale,
    )
    mix = mix[use]
    told = mix.sum(0) > 0
    profile = np.ones(m)
    for _ in range(STEPS):
        ratio = mix.T @ (seen[use] / (mix @ profile))
        profile[told] *= ratio[told] / mix.sum(0)[told]
    # at the edge: photons are the fewer the higher the absorption, so ln variance goes with optical density
    log, dark = np.log(profile[use]), mean[use] - mean[use].mean()
    slope = float(np.clip(dark @ (log - log.mean()) / max(dark @ dark, 1e-12), 0.0, MOST_SLOPE))
    other = ~use & np.isfinite(mean)
    profile[other] = profile[use].mean() * np.exp(slope * (mean[other] - mean[use].mean()))
    profile[~use & ~other] = profile[use].mean()
    keep = n / (n + 30.0)
    profile = np.clip(keep * profile / profile.mean() + 1 - keep, 0.2, 5.0)
    return profile / profile.mean()


def noise_area(residual: np.ndarray, mask: np.ndarray, *, reach: int = 2) -> float:
    """Return over how many pixels noise is correlated: 1 for independent pixels.

    Parameters
    ----------
    residual : (n, e) array
        Of the pixels of `mask`, in its order; from `spectral_noise`.
    mask : (y, x) bool array
        n pixels.
    reach : int
        Largest lag, px.

    Returns
    -------
    float
        Sum of the autocorrelation over all lags up to `reach`, at least 1: by this factor the variance of a mean over
        pixels is larger than that of independent ones.
    """
    good = np.isfinite(residual).any(0)
    if not good.any() or mask.sum() < 9:
        return 1.0
    maps = np.full((*mask.shape, int(good.sum())), np.nan)
    maps[mask] = residual[:, good] - _mean(residual[:, good], axis=0)
    power = float(np.nanmean(maps**2))
    if not power > 0:
        return 1.0
    total = 1.0
    ny, nx = mask.shape
    for dy in range(reach + 1):
        for dx in range(-reach, reach + 1):
            if (dy == 0 and dx <= 0) or dy >= ny or abs(dx) >= nx:
                continue
            a = maps[dy:, max(dx, 0) : nx + min(dx, 0)]
            b = maps[: ny - dy, max(-dx, 0) : nx + min(-dx, 0)]
            product = a * b
            if np.isfinite(product).any():
                total += 2 * float(np.nanmean(product)) / power
    return max(total, 1.0)


def _mean(values, *, axis):
    """Mean of what is finite; NaN where nothing is, without a warning."""
    there = np.isfinite(values)
    count = there.sum(axis)
    total = np.where(there, values, 0.0).sum(axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
