"""Circularity of a particle's form: its outline without the roughness that crystals or a segmentation give it."""

from __future__ import annotations

import numpy as np

HARMONICS = 16
SHORTEST_PX = 9.0  # no wavelength along the outline is kept that the pixels do not carry
POINTS = 512
BLUR_PX = 1.0


def form_circularity(labels: np.ndarray, *, spacing: tuple[float, float], harmonics: int = HARMONICS) -> np.ndarray:
    """Return 4 pi A / P^2 of every outline, low-passed to its first harmonics.

    The perimeter of a rough outline grows without bound as pixels shrink, so a circularity that takes every
    crystal at the limb into account depends on magnification. Here the outline, as a closed curve z(s) = x + iy of
    its arc length, keeps its Fourier harmonics up to `harmonics` (fewer for particles of few pixels): details
    shorter than a sixteenth of the circumference belong to texture, not to form (the macro- and mesoshape of
    ISO 9276-6).

    Parameters
    ----------
    labels : (y, x) int array
    spacing : tuple of float
        Pixel size (y, x) in um.
    harmonics : int

    Returns
    -------
    (n,) array
        For labels 1..n; NaN for labels that are absent or under 12 pixels. On discs of 5 to 160 px radius it is
        within 0.002 of 1; squares read 0.04 too round, since their corners are details.
    """
    from scipy import ndimage as ndi

    boxes = ndi.find_objects(labels)
    out = np.full(len(boxes), np.nan)
    for k, box in enumerate(boxes):
        if box is not None:
            out[k] = _one(labels[box] == k + 1, spacing, harmonics)
    return out


def _one(mask, spacing, harmonics):
    from scipy import ndimage as ndi
    from skimage.measure import find_contours

    if mask.sum() < 12:
        return np.nan
    soft = ndi.gaussian_filter(np.pad(mask, 4).astype(np.float32), BLUR_PX)
    contours = find_contours(soft, 0.5)
    if not contours:
        return np.nan
    outline = max(contours, key=len)
    wavelengths = np.linalg.norm(np.diff(outline, axis=0), axis=1).sum() / SHORTEST_PX
    kept = max(2, min(harmonics, int(wavelengths)))
    z = outline[:-1, 1] * spacing[1] + 1j * outline[:-1, 0] * spacing[0]
    for _ in range(2):  # the second time along the arc length of the smooth curve
        z = _low_pass(_by_arc_length(z), kept)
    perimeter = np.abs(z - np.roll(z, 1)).sum()
    area = 0.5 * abs(np.sum((np.conj(z) * np.roll(z, -1)).imag))
    return 4 * np.pi * area / perimeter**2


def _by_arc_length(z):
    closed = np.append(z, z[0])
    s = np.concatenate([[0], np.cumsum(np.abs(np.diff(closed)))])
    t = np.linspace(0, s[-1], POINTS, endpoint=False)
    return np.interp(t, s, closed.real) + 1j * np.interp(t, s, closed.imag)


def _low_pass(z, kept):
    spectrum = np.fft.fft(z)
    spectrum[np.abs(np.fft.fftfreq(POINTS, 1 / POINTS)) > kept] = 0
    return np.fft.ifft(spectrum)
