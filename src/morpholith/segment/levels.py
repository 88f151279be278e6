"""Grey levels of the pure phases, read where the volume is flat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.special import ndtr

FLAT = 0.15  # of the steepest edges; a blurred edge is within 3 % of the pure level there
BINS = 512


@dataclass(frozen=True)
class Mixture:
    """Gaussian phases, in rising order of grey, and partial-volume bridges between neighbours.

    Attributes
    ----------
    means, sds, shares : (k,) arrays
    bridges : (k - 1,) array
        Share of the voxels that belong to no phase but lie between two.
    log_likelihood : float
        Per voxel.
    """

    means: np.ndarray
    sds: np.ndarray
    shares: np.ndarray
    bridges: np.ndarray
    log_likelihood: float

    @property
    def contrast(self) -> float:
        """Grey level of the brightest phase above that of the darkest."""
        return float(self.means[-1] - self.means[0])

    @property
    def separation(self) -> float:
        """Smallest distance of two neighbouring phases in pooled standard deviations (Ashman's D)."""
        s = np.sqrt((self.sds[1:] ** 2 + self.sds[:-1] ** 2) / 2)
        return float(np.min(np.diff(self.means) / s))


def mixture(
    centres: np.ndarray, counts: np.ndarray, *, n: int, start: tuple[float, ...] | None = None, iterations: int = 200
) -> Mixture:
    """Fit `n` Gaussians, and a uniform bridge blurred by the noise between each two, to a histogram.

    Parameters
    ----------
    centres, counts : (b,) arrays
        Equal bins in rising order.
    n : {2, 3}
    start : tuple of float, optional
        Thresholds to start from; without it those of Otsu.

    Returns
    -------
    Mixture
        Expectation maximisation; the bridge takes the voxels of partial volume, which would draw the means inwards.
    """
    from .threshold import otsu

    p = counts / counts.sum()
    step = centres[1] - centres[0]
    cuts = otsu(centres, counts, n=n) if start is None else start
    part = np.digitize(centres, cuts)
    shares = np.array([p[part == k].sum() for k in range(n)])
    shares = np.maximum(shares, 1e-9)
    means = np.array([(p * centres)[part == k].sum() for k in range(n)]) / shares
    variance = np.array([(p * (centres - means[k]) ** 2)[part == k].sum() for k in range(n)]) / shares
    sds = np.maximum(0.7 * np.sqrt(variance), step / 2)
    shares, bridges = 0.8 * shares, np.full(n - 1, 0.2 / (n - 1))
    x = centres[:, None]
    for _ in range(iterations):
        phase = shares * np.exp(-0.5 * ((x - means) / sds) ** 2) / (sds * np.sqrt(2 * np.pi))
        edge = ndtr((x - means) / sds)
        bridge = bridges * np.maximum(edge[:, :-1] - edge[:, 1:], 0) / np.maximum(np.diff(means), step)
        density = phase.sum(1) + bridge.sum(1) + 1e-300
        mine = p[:, None] * phase / density[:, None]
        shares = np.maximum(mine.sum(0), 1e-12)
        bridges = (p[:, None] * bridge / density[:, None]).sum(0)
        means = (mine * x).sum(0) / shares
        sds = np.sqrt((mine * (x - means) ** 2).sum(0) / shares + step**2 / 12)
    order = np.argsort(means)
    return Mixture(means[order], sds[order], shares[order], bridges, float((p * np.log(density)).sum()))


def gradient(sample: np.ndarray, steps: tuple[float, ...]) -> np.ndarray:
    """Return the length of the grey gradient of stacked blocks (n, z, y, x), per unit of `steps` (z, y, x)."""
    total = np.zeros(sample.shape, np.float32)
    for axis, step in zip((1, 2, 3), steps, strict=True):
        if sample.shape[axis] >= 3:
            total += np.square(np.gradient(sample, np.float32(step), axis=axis), dtype=np.float32)
    return np.sqrt(total)


def histogram(values: np.ndarray, *, bins: int = BINS) -> tuple[np.ndarray, np.ndarray]:
    """Return centres and counts over the range of `values` but for the outermost 1 in 10 000 at each end."""
    low, high = np.percentile(values, [0.01, 99.99])
    counts, edges = np.histogram(values, bins, (low, high if high > low else low + 1))
    return (edges[1:] + edges[:-1]) / 2, counts.astype(float)


def blur_of(sample, slope, *, low, high, steps: tuple[float, ...], but=None, percentile: float = 75) -> float:
    """Return the standard deviation of the blur, in the unit of `steps`, from the slope of the steeper edges.

    A Gaussian-blurred plane of contrast c and normal n has, half-way between its two levels, the central differences
    c (Phi(n h / s) - Phi(-n h / s)) / 2h along each axis. The upper quartile of the slopes found there is compared
    with that of planes in all directions: edges that face each other are less steep, and so are levels of another
    phase, which `but` (from, to) leaves out.
    """
    halfway = np.abs(sample - (low + high) / 2) < 0.1 * (high - low)
    halfway &= slope > FLAT * np.percentile(slope, 99)  # a third phase may lie there, and be flat
    if but is not None:
        halfway &= (sample < but[0]) | (sample > but[1])
    if halfway.sum() < 100:
        return float("nan")
    found = np.percentile(slope[halfway], percentile) / (high - low)
    h = np.array([step for step, n in zip(steps, sample.shape[1:], strict=True) if n >= 3])
    k = np.arange(200) + 0.5
    polar, turn = np.arccos(1 - k / 200), np.pi * (1 + 5**0.5) * k
    normal = np.stack([np.cos(polar), np.sin(polar) * np.sin(turn), np.sin(polar) * np.cos(turn)], 1)[:, -len(h) :]
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    s = np.geomspace(0.2, 20, 200) * h.mean()
    rise = (ndtr(normal * h / s[:, None, None]) - 0.5) / h
    expected = np.percentile(np.sqrt((rise**2).sum(-1)), percentile, axis=1)
    return float(np.interp(-found, -expected, s))


def sharpened(sample: np.ndarray, sigma: tuple[float, ...]) -> np.ndarray:
    """Return stacked blocks after two steps of van Cittert's deconvolution for a blur of `sigma` voxels.

    With G the blur, ``g + (1 - G) g + (1 - G)^2 g`` is ``(1 - (1 - G)^3)`` of the unblurred image: what a blur does to
    the place of a curved edge in first order (by sigma^2 times the mean curvature) is undone, and in second order.
    """
    once = 2 * sample - gaussian_filter(sample, (0, *sigma), truncate=3)
    return once + sample - gaussian_filter(once, (0, *sigma), truncate=3)


def core_noise(sample: np.ndarray) -> tuple[float, tuple[np.ndarray, np.ndarray]]:
    """Return the noise inside the phases, and the masks of their cores in stacked blocks (n, z, y, x).

    Noise that neighbouring voxels share (every reconstruction does so) hides from a high-pass filter. Here the blocks
    are smoothed, halved, and the scatter (1.4826 times the median absolute deviation) is taken of the raw voxels that
    lie over two or three voxels inside dark or bright; the smaller of the two counts, as texture or a third phase
    widens either. NaN where neither phase has 500 such voxels.
    """
    smooth = gaussian_filter(sample, _widths(sample, 1.2), truncate=3)
    fit = mixture(*histogram(smooth), n=2, iterations=50)
    bright = (smooth > fit.means.mean()).astype(np.float32)
    near = gaussian_filter(bright, _widths(sample, 1.5), truncate=3)
    cores = (near < 0.005, near > 0.995)
    scatter = [float("nan")]
    for core in cores:
        values = sample[core]
        if values.size >= 500:
            scatter.append(1.4826 * float(np.median(np.abs(values - np.median(values)))))
    return (float(np.nanmin(scatter)) if len(scatter) > 1 else float("nan")), cores


def _widths(sample, sigma):
    """Sigma for stacked blocks, none along an axis of one voxel."""
    return (0, *(sigma if n > 1 else 0 for n in sample.shape[1:]))
