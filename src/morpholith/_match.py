"""Where a small picture fits best in larger ones: normalised cross-correlation of many frames at once."""

from __future__ import annotations

import numpy as np


def best_offsets(windows: np.ndarray, template: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the whole-pixel offset at which a weighted template is most like each window.

    Parameters
    ----------
    windows : (F, H, W) float
        NaN counts as the frame's mean.
    template : (h, w) float
        Not larger than a window.
    weight : (h, w) float
        Not negative; 0 where the template says nothing.

    Returns
    -------
    offset : (F, 2) int64
        Of the template's first pixel within the window (y, x).
    likeness : (F,) float64
        The correlation coefficient there, -1 to 1; 0 where a window is constant or empty.
    """
    from scipy import fft

    from ._smooth import threads

    if not len(windows) or not weight.sum() > 0:
        return np.zeros((len(windows), 2), np.int64), np.zeros(len(windows))
    shape = windows.shape[1:]
    valid = tuple(n - m + 1 for n, m in zip(shape, template.shape, strict=True))
    size = [fft.next_fast_len(n, real=True) for n in shape]
    w = weight / weight.sum()
    centred = w * (template - (w * template).sum())
    power = (w * (template - (w * template).sum()) ** 2).sum()
    pictures = _filled(np.asarray(windows, np.float32))
    seen, squares = (fft.rfft2(p, size, workers=threads()) for p in (pictures, pictures**2))
    kernel, mask = (np.conj(fft.rfft2(k.astype(np.float32), size)) for k in (centred, w))

    def correlated(spectrum, with_):
        return fft.irfft2(spectrum * with_, size, workers=threads())[:, : valid[0], : valid[1]].astype(float)

    mean = correlated(seen, mask)
    variance = correlated(squares, mask) - mean**2
    # below this share of a frame's power, what is left of a variance is rounding
    clear = variance > 1e-5 * (pictures**2).mean((1, 2), keepdims=True)
    scale = np.where(clear & (power > 0), variance * power, np.inf)
    likeness = correlated(seen, kernel) / np.sqrt(scale)
    best = likeness.reshape(len(windows), -1).argmax(1)
    offset = np.stack(np.unravel_index(best, valid), 1)
    return offset, np.clip(likeness.reshape(len(windows), -1)[np.arange(len(windows)), best], -1.0, 1.0)


def _filled(windows):
    """Return windows less their means, gaps at zero."""
    good = np.isfinite(windows)
    filled = np.where(good, windows, 0)
    count = np.maximum(good.sum((1, 2), keepdims=True), 1)
    return np.where(good, filled - filled.sum((1, 2), keepdims=True, dtype=np.float64) / count, 0).astype(np.float32)
