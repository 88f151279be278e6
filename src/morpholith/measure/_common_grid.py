"""One pixel size for every micrograph: band-limited resampling that undoes the native pixel, and its noise.

Along an axis, a pixel of edge p sees a wave of frequency f with the response sinc(f p). Pixels of edge c
are made with a kernel whose response is T(f) / sinc(f p), T a low-pass that ends at the Nyquist frequency
1 / (2 c). Whatever p was, the result has seen the surface through T alone.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import sparse

REACH = 8  # half width of the kernel in pixels of the common grid
ROLL_OFF = 0.6  # T is 1 up to this share of the Nyquist frequency, then a quarter cosine squared
FOURTH_DIFFERENCE = np.array([1.0, -4.0, 6.0, -4.0, 1.0], np.float32)


def transfer(f: np.ndarray, c: float) -> np.ndarray:
    """Response T of the common grid of pixel `c` um along one axis, at `f` cycles per um."""
    beyond = np.clip((np.abs(f) * 2 * c - ROLL_OFF) / (1 - ROLL_OFF), 0, 1)
    return np.cos(np.pi / 2 * beyond) ** 2


def noise_response(f: np.ndarray, p: float, c: float) -> np.ndarray:
    """Power spectrum, along one axis, that unit white noise of pixels `p` leaves on the grid `c`."""
    return p * (transfer(f, c) / np.sinc(f * p)) ** 2


def resample(image: np.ndarray, pixel: tuple[float, float], c: float) -> np.ndarray:
    """Image on square pixels of `c` um, aligned at the outer corner; at the frame the kernel is cut short."""
    rows, cols = (_kernel(n, p, c) for n, p in zip(image.shape, pixel, strict=True))
    return (cols @ (rows @ image).T).T


def local_noise(image: np.ndarray, pixel: tuple[float, float], c: float) -> np.ndarray:
    """Variance of white noise per native pixel, averaged over each pixel of the common grid.

    From fourth differences along both axes: their response is largest where both frequencies are near
    Nyquist, and falls with the eighth power below.
    """
    from scipy.ndimage import correlate1d

    rough = correlate1d(correlate1d(image, FOURTH_DIFFERENCE, 0), FOURTH_DIFFERENCE, 1)
    rough *= rough
    rough /= float((FOURTH_DIFFERENCE**2).sum()) ** 2
    rows, cols = (_overlap(n, p, c) for n, p in zip(image.shape, pixel, strict=True))
    return (cols @ (rows @ rough).T).T


def nearest(labels: np.ndarray, pixel: tuple[float, float], c: float) -> np.ndarray:
    """Labels at the centres of the common grid."""
    picks = [
        np.minimum(((np.arange(_length(n, p, c)) + 0.5) * c / p).astype(int), n - 1)
        for n, p in zip(labels.shape, pixel, strict=True)
    ]
    return labels[np.ix_(*picks)]


def _length(n, p, c):
    return max(int(np.floor(n * p / c + 1e-6)), 1)


def _kernel(n, p, c):
    """Resampling matrix of one axis, (new, old), rows of sum 1."""
    new = _length(n, p, c)
    offset, kernel = _profile(p, c)
    centre = ((np.arange(new) + 0.5) * c - 0.5 * p) / p  # in native pixels
    reach = int(np.ceil(REACH * c / p))
    source = np.round(centre).astype(int)[:, None] + np.arange(-reach, reach + 1)
    distance = np.abs(source - centre[:, None]) * p
    weight = np.interp(distance, offset, kernel) * (distance <= REACH * c) * ((source >= 0) & (source < n))
    return _matrix(weight, source, n)


@lru_cache(maxsize=16)
def _profile(p, c, steps=128, samples=1024):
    """Kernel of one axis against distance in um: the inverse transform of T(f) / sinc(f p)."""
    f = (np.arange(steps) + 0.5) / steps * 0.5 / c
    response = transfer(f, c) / np.sinc(f * p)
    offset = np.linspace(0, REACH * c + p, samples)
    return offset, (np.cos(2 * np.pi * np.outer(offset, f)) * response).sum(axis=1)


def _overlap(n, p, c):
    """Averaging matrix of one axis: each new pixel the mean of the old ones it covers."""
    edge = np.minimum(np.arange(_length(n, p, c) + 1) * c / p, n)
    source = np.floor(edge[:-1]).astype(int)[:, None] + np.arange(int(np.ceil(c / p)) + 2)
    cover = np.minimum(source + 1, edge[1:, None]) - np.maximum(source, edge[:-1, None])
    return _matrix(np.clip(cover, 0, None) * (source < n), source, n)


def _matrix(weight, source, n):
    weight = weight / weight.sum(axis=1, keepdims=True)
    row = np.repeat(np.arange(len(weight)), weight.shape[1])
    flat = weight.ravel().astype(np.float32)
    return sparse.csr_matrix((flat, (row, np.clip(source, 0, n - 1).ravel())), shape=(len(weight), n))
