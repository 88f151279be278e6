"""Wavelet texture of particle surfaces: how much of the relief is fine, and whether it has a grain."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from .. import _checks, columns
from ..errors import InputError, InputWarning
from ._labels import compact

if TYPE_CHECKING:
    import pandas as pd

TEXTURE_SE = "texture_se"
ALIGNMENT = "alignment"  # coherence of the grain over the whole particle
DIRECTION = "direction_deg"  # along the grain, counter-clockwise from x as displayed, -90..90
NOISE = "noise_share"  # of the detail energy, subtracted
AREA = "texture_area_um2"  # effective area the estimate rests on
RESOLVED = "resolved"

SHADING = 0.25  # width of the local mean, in longest wavelengths
RIM_STEPS = 12  # steps of depth over which a particle's limb brightening is averaged
FIELD_MARGIN_UM = 0.5  # faded out at the frame where no particles are given
LEAST_AREA = 1.5  # in squares of the longest wavelength
MOST_NOISE = 0.9  # share of the energy beyond which detail is not resolved


@dataclass(frozen=True)
class Bands:
    """Which wavelengths count as texture, and which of them as fine.

    Parameters
    ----------
    finest_um : float
        Shortest wavelength. The image is resampled to pixels of half of it, so that every magnification is
        analysed on the same grid; it must not be shorter than two pixels.
    levels : int
        Number of dyadic bands: [finest, 2 finest], ..., up to finest * 2^levels.
    fine_levels : int
        How many of them, from the finest, are called fine.
    wavelet : str
        An orthogonal wavelet of PyWavelets. Long filters separate the bands better: with haar, coarse
        surfaces look finer by 0.1.
    """

    finest_um: float = 0.1
    levels: int = 4
    fine_levels: int = 2
    wavelet: str = "db4"

    def __post_init__(self):
        if not self.finest_um > 0:
            raise InputError(f"`finest_um` must be a positive wavelength in um, got {self.finest_um!r}.")
        if not 0 < self.fine_levels < self.levels:
            raise InputError(f"`fine_levels` must lie between 1 and levels - 1, got {self.fine_levels!r}.")

    @property
    def edges_um(self) -> np.ndarray:
        """The `levels` + 1 wavelengths that bound the bands."""
        return self.finest_um * 2.0 ** np.arange(self.levels + 1)

    @property
    def pixel_um(self) -> float:
        """Pixel size of the common grid."""
        return self.finest_um / 2

    @property
    def window_um(self) -> float:
        """Width (Gaussian sigma) of the local mean, and of the window of local anisotropy."""
        return SHADING * float(self.edges_um[-1])

    @property
    def names(self) -> list[str]:
        """Column names of the bands' energies, finest first."""
        return [f"energy_{a:g}_{b:g}_um" for a, b in zip(self.edges_um[:-1], self.edges_um[1:], strict=True)]


def texture(
    image: np.ndarray,
    labels: np.ndarray | None = None,
    *,
    spacing: Sequence[float] | float,
    bands: Bands | None = None,
    limb: float = 0.3,
) -> pd.DataFrame:
    r"""Texture of every particle: the share of its surface detail that is fine, from 0 to 1.

    Paper 000 takes the mean square of the wavelet coefficients (`texture_energy_raw`). That grows with the
    square of the detector's gain and changes with magnification. Here the energy E_j of each band of
    wavelengths is found on a grid common to all magnifications, freed of noise N_j, and

    .. math::
       \mathrm{texture} = \frac{\sum_{j \le \mathrm{fine}} (E_j - N_j)}{\sum_{j} (E_j - N_j)},
       \qquad E_j = \frac{1}{n \sum_x w^2} \sum_f |\hat u(f)|^2\, W_j(f).

    Gain and offset cancel. On virtual micrographs thin needles and lamellae (up to 0.1 um) give 0.75 to
    0.87, 0.15 um gives 0.62 to 0.65, plates of 0.4 um and more 0.42, coarse polyhedra 0.29.

    Parameters
    ----------
    image : (y, x) array
        Grey micrograph of any numeric type.
    labels : (y, x) int array, optional
        Particles; 0 is background. None takes the whole field as one surface, label 1, as paper 000 does at
        15000x.
    spacing : (float, float)
        Pixel edges in um, in array order.
    bands : Bands, optional
        Default: four octaves from 0.1 to 1.6 um, of which 0.1 to 0.4 um are fine.
    limb : float
        Depth of the rim that is faded out, as a share of the particle's inscribed radius: there the surface
        is foreshortened. Not used without `labels`.

    Returns
    -------
    DataFrame
        Index `label`, columns

        - `texture`, and `texture_se`, its standard error from the finite area (right for a Gaussian surface;
          where few crystals carry the contrast the scatter is larger);
        - `anisotropy`: coherence of the structure tensor within windows of a quarter of the longest
          wavelength, 0 for an isotropic Gaussian surface, 1 where all lines run parallel; `alignment`: the
          same over the whole particle, and `direction_deg`, the direction of the grain;
        - `noise_share` (subtracted), `texture_area_um2`, `resolved`;
        - the energies E_j - N_j in squared grey levels, `Bands.names`.

        Where `resolved` is False the numbers are NaN: the pixel is too coarse for the finest band (with a
        warning), the particle offers less than 1.5 squares of the longest wavelength (it is smaller than
        about 2.6 um across), or noise makes up more than 90 % of the detail. No particles give no rows.

    Notes
    -----
    1. *Common grid.* Pixels of finest/2, as if seen through one transfer function whatever the native
       pixel (`_common_grid`).
    2. *Shading.* From each particle its mean at every depth below the rim (limb brightening) and then its
       local mean (Gaussian, a quarter of the longest wavelength) are subtracted; u is the rest times a
       window w that falls to zero at the rim, so that neither neighbours nor background leak in.
    3. *Bands.* W_j is the squared response of the undecimated wavelet transform at level j, its three
       orientations together: on a field that fills the grid, E_j is the mean square of the details of
       `pywt.swt2(..., norm=True)`. By Parseval's theorem the coefficients need not be computed.
    4. *Noise.* The variance of white noise per native pixel is read from fourth differences along both
       axes, where a surface seen through a probe has next to nothing, and is sent through the same chain.

    Measured on Gaussian surfaces (`bench/bench_texture.py`), relative change of texture: gain 0.5 to 2 and
    offset below 0.05 %, gamma 0.8 to 1.25 below 0.2 %, pixels 0.8 to 1.25 times as large below 0.2 %, 15000x
    against 3000x below 0.1 %, white noise as strong as the relief below 0.005 absolute. Bias on round particles
    under a bright limb: up to 0.04 at 3 um, 0.03 at 4 um, 0.02 at 6 um and 0.01 at 10 um, since little area
    holds little of the longest waves.

    What remains: blur counts as coarseness. A particle out of focus loses its fine detail first (0.87 becomes
    0.4 to 0.5 on virtual micrographs), and a wider probe lowers all. Edges of crystals are coherent by
    themselves: `anisotropy` grows with their size and does not by itself tell needles from plates on edge.
    """
    bands = bands or Bands()
    pixel = _checks.spacing(spacing, 2)
    image = _checks.grey(image)
    whole = labels is None
    labels = np.ones(image.shape, np.int32) if whole else _checks.labels(labels)
    if labels.shape != image.shape:
        raise InputError(f"`image` {image.shape} and `labels` {labels.shape} must have the same shape.")
    labels, names = compact(labels)
    rows = np.full((len(names), len(_NUMBERS) + bands.levels), np.nan)
    if max(pixel) > bands.pixel_um * (1 + 1e-6):
        warnings.warn(
            f"texture is not resolved: its finest band begins at {bands.finest_um:g} um, which needs pixels "
            f"of {bands.pixel_um:g} um or less, and these are {max(pixel):.3g} um.",
            InputWarning,
            stacklevel=2,
        )
    elif len(names):
        _measure(image, labels, pixel, bands, None if whole else limb, rows)
    return _table(names, rows, bands)


def texture_energy_raw(image: np.ndarray, *, levels: int = 4, wavelet: str = "db4") -> float:
    """Mean square of the wavelet coefficients of an image: texture energy as paper 000 prints it (4.2).

    It grows with the square of the detector's gain, includes the noise, and its bands follow the pixel size;
    use `texture` to compare micrographs.

    Parameters
    ----------
    image : (y, x) array
    levels : int
        Decimated levels whose details, of all three orientations, are pooled.
    wavelet : str

    Returns
    -------
    float, in squared grey levels
    """
    import pywt

    image = _checks.grey(image)
    deepest = pywt.dwt_max_level(min(image.shape), pywt.Wavelet(wavelet).dec_len)
    if levels > deepest:
        raise InputError(f"an image of {image.shape} px allows {deepest} levels of {wavelet}, not {levels}.")
    details = [d for level in pywt.wavedec2(image, wavelet, level=levels)[1:] for d in level]
    return float(sum((d.astype(float) ** 2).sum() for d in details) / sum(d.size for d in details))


_NUMBERS = (columns.TEXTURE, TEXTURE_SE, columns.ANISOTROPY, ALIGNMENT, DIRECTION, NOISE, AREA)


def _table(names, rows, bands):
    import pandas as pd

    table = dict(zip(_NUMBERS, rows.T[: len(_NUMBERS)], strict=True))
    table[RESOLVED] = np.isfinite(rows[:, 0])
    table |= dict(zip(bands.names, rows.T[len(_NUMBERS) :], strict=True))
    return pd.DataFrame(table, index=pd.Index(names, name=columns.LABEL, dtype=np.int64))


def _measure(image, labels, pixel, bands, limb, rows):
    """Fill `rows`, one a particle."""
    from scipy import ndimage as ndi

    from . import _common_grid as grid

    common = grid.resample(image, pixel, bands.pixel_um)
    noise = grid.local_noise(image, pixel, bands.pixel_um)
    index = grid.nearest(labels, pixel, bands.pixel_um)
    depth = _depth(index)
    response = _noise_bands(pixel, bands)
    rounding = (3e-6 * float(np.abs(image).max())) ** 2
    for k, box in enumerate(ndi.find_objects(index, max_label=len(rows))):
        if box is None:
            continue
        inside = np.where(index[box] == k + 1, depth[box], 0)
        window = _window(inside, bands, limb)
        square = float((window**2).sum())
        area = square**2 / max(float((window**4).sum()), 1e-30) * bands.pixel_um**2
        if area >= LEAST_AREA * bands.edges_um[-1] ** 2:
            grey = common[box] if limb is None else _without_limb(common[box], inside)
            variance = window**2 * noise[box] / square
            found = _numbers(grey, inside > 0, window / np.sqrt(square), variance, response, area, bands)
            if found[len(_NUMBERS) :].sum() > rounding:
                rows[k] = found


def _depth(index):
    """Distance in pixels of the common grid to the nearest other label or the frame."""
    from scipy.ndimage import distance_transform_edt

    padded = np.pad(index, 1)
    ny, nx = index.shape
    border = np.zeros(index.shape, bool)
    for dy, dx in ((0, 1), (2, 1), (1, 0), (1, 2)):
        border |= padded[dy : dy + ny, dx : dx + nx] != index
    if not border.any():
        return np.full(index.shape, np.inf)
    return distance_transform_edt(~border) + 0.5


def _window(inside, bands, limb):
    """0 at the rim, rising as sin^2 to 1 at the depth where the surface is used in full."""
    full = FIELD_MARGIN_UM / bands.pixel_um if limb is None else limb * inside.max()
    return np.sin(np.pi / 2 * np.clip(inside / max(full, 1e-9), 0, 1)) ** 2


def _without_limb(grey, inside):
    """Subtract the particle's mean grey at each depth below its rim."""
    own = inside > 0
    depth = inside[own] / inside.max()
    step = np.minimum((depth * RIM_STEPS).astype(int), RIM_STEPS - 1)
    count = np.bincount(step, minlength=RIM_STEPS)
    used = count > 0
    mean = np.bincount(step, grey[own], RIM_STEPS)[used] / count[used]
    at = np.bincount(step, depth, RIM_STEPS)[used] / count[used]
    flat = np.zeros_like(grey)
    flat[own] = grey[own] - np.interp(depth, at, mean)
    return flat


def _numbers(grey, own, window, variance, noise, area, bands):
    """One row of the table; `window` has unit energy, `variance` is the white noise under it."""
    from scipy import fft

    shape = [fft.next_fast_len(n + int(4 * bands.window_um / bands.pixel_um), real=True) for n in grey.shape]
    waves = _Waves(shape, bands)
    relief = _relief(grey, own, waves) * window
    spectrum = fft.rfft2(relief, shape)
    power = np.abs(spectrum) ** 2 / waves.size  # of one wave; waves.twice counts it and its mirror image
    passed = np.array([a @ (power * waves.twice) @ b for a, b in zip(*waves.low, strict=True)])
    energy, grain = -np.diff(passed), _grain(power, waves)
    white = variance.sum()
    detail = energy - white * noise[:-1]
    total = detail.sum()
    if not total > (1 - MOST_NOISE) * energy.sum():
        return np.full(len(_NUMBERS) + bands.levels, np.nan)
    share = detail[: bands.fine_levels].sum() / total
    spread = waves.size * (window**4).sum()  # neighbouring waves are not independent under a window
    error = np.sqrt(spread * (waves.twice * (waves.contrast(share) * power) ** 2).sum()) / total
    alignment, direction = _alignment(grain, white * noise[-1], spread, waves)
    anisotropy = _anisotropy(spectrum, grain, variance * noise[-1], waves, grey.shape, bands)
    first = (np.clip(share, 0, 1), error, anisotropy, alignment, direction, 1 - total / energy.sum(), area)
    return np.concatenate([first, detail])


class _Waves:
    """The half plane of frequencies of one grid: responses of the wavelets and of the structure tensor."""

    def __init__(self, shape, bands):
        c = bands.pixel_um
        self.fy, self.fx = np.fft.fftfreq(shape[0], c), np.fft.rfftfreq(shape[1], c)
        self.shape, self.size = shape, shape[0] * shape[1]
        self.twice = np.full(len(self.fx), 2.0)
        self.twice[0] = 1
        if shape[1] % 2 == 0:
            self.twice[-1] = 1
        self.low = _low(self.fy, bands), _low(self.fx, bands)
        self.f2 = self.fy[:, None] ** 2 + self.fx[None, :] ** 2
        self.shading = _gaussian(self.f2, bands.window_um)
        self.derivative = _gaussian(self.f2, _derivative_um(bands))
        self.fine_levels = bands.fine_levels

    def contrast(self, share):
        """Weight of each wave in (fine - share * total)."""
        y, x = self.low
        fine = np.outer(y[self.fine_levels], x[self.fine_levels])
        return (1 - share) * np.outer(y[0], x[0]) - fine + share * np.outer(y[-1], x[-1])


def _gaussian(f2, sigma):
    return np.exp(-2 * np.pi**2 * sigma**2 * f2)


def _derivative_um(bands):
    """Width of the Gaussian derivative behind the structure tensor: it sees waves of about 2.5 finest."""
    return 0.8 * bands.pixel_um


def _low(f, bands):
    """Squared response left after 0, 1, ... levels of the transform's low-pass, (levels + 1, f)."""
    at, left = _low_table(bands)
    return np.array([np.interp(np.abs(f), at, row) for row in left])


@lru_cache(maxsize=16)
def _low_table(bands, samples=4096):
    import pywt

    taps = np.array(pywt.Wavelet(bands.wavelet).dec_lo)
    turn = np.linspace(0, np.pi, samples)
    left = [np.ones(samples)]
    for j in range(bands.levels):
        once = np.abs(np.exp(-1j * np.outer(turn * 2**j, np.arange(len(taps)))) @ taps) ** 2 / 2
        left.append(left[-1] * once)
    return turn / (2 * np.pi * bands.pixel_um), np.array(left)


def _noise_bands(pixel, bands, n=256):
    """What unit white noise per native pixel leaves in each band and, last, in the gradient's energy."""
    from . import _common_grid as grid

    c = bands.pixel_um
    f = np.fft.fftfreq(n, c)
    f2 = f[:, None] ** 2 + f[None, :] ** 2
    y, x = (grid.noise_response(f, p, c) for p in pixel)
    density = np.outer(y, x) * (1 - _gaussian(f2, bands.window_um)) ** 2 / (n * c) ** 2
    low = _low(f, bands)
    bandwise = -np.diff([a @ density @ a for a in low])
    tensor = (density * f2 * _gaussian(f2, _derivative_um(bands)) ** 2).sum()
    return np.append(bandwise, tensor)


def _relief(grey, own, waves):
    """Grey value less its local mean over the particle's own pixels (normalised convolution)."""
    from scipy import fft

    def smooth(a):
        return fft.irfft2(fft.rfft2(a, waves.shape) * waves.shading, waves.shape)[: a.shape[0], : a.shape[1]]

    grey = grey - grey[own].mean()
    return grey - smooth(np.where(own, grey, 0)) / np.maximum(smooth(own.astype(float)), 1e-3)


def _grain(power, waves):
    """Energy of the gradient carried by each wave."""
    return power * waves.f2 * waves.derivative**2


def _alignment(grain, noise, spread, waves):
    """Coherence over the whole window, less what an isotropic surface of this area would show; direction."""
    turn = (waves.fx[None, :] - 1j * waves.fy[:, None]) ** 2 / np.where(waves.f2 > 0, waves.f2, 1)
    total = (grain * waves.twice).sum()
    z = (turn * grain * waves.twice).sum()
    chance = spread * (waves.twice * grain**2).sum() / total**2
    squared = (abs(z) / total) ** 2 - chance
    across = np.rad2deg(np.angle(z)) / 2
    direction = (across + 180) % 180 - 90
    return min(np.sqrt(max(squared, 0)) * total / max(total - noise, 1e-30), 1.0), direction


def _anisotropy(spectrum, grain, noise, waves, shape, bands, block=4):
    """Coherence within Gaussian windows, weighted by energy, less what an isotropic surface would show.

    For windows of width s an isotropic Gaussian field has chance = (sum of squares) / (4 pi s^2 (sum)^2) of
    the gradient's spectrum; then A^2 = (true^2 + chance) / (1 + chance).
    """
    from scipy import fft
    from scipy.ndimage import gaussian_filter

    c = bands.pixel_um
    filtered = spectrum * waves.derivative
    gx, gy = (
        fft.irfft2(1j * f * filtered, waves.shape)[: shape[0], : shape[1]]
        for f in (waves.fx[None, :], -waves.fy[:, None])
    )

    def pooled(a):
        ny, nx = (n // block for n in shape)
        a = a[: ny * block, : nx * block].reshape(ny, block, nx, block).mean(axis=(1, 3))
        return gaussian_filter(a, bands.window_um / c / block, mode="constant", truncate=3)

    along, diagonal, energy = pooled(gx**2 - gy**2), pooled(2 * gx * gy), pooled(gx**2 + gy**2 - noise)
    total = (grain * waves.twice).sum()
    chance = waves.size * c**2 * (waves.twice * grain**2).sum() / (4 * np.pi * bands.window_um**2 * total**2)
    seen = ((along**2 + diagonal**2).sum()) / max((energy**2).sum(), 1e-30)
    return min(np.sqrt(max(seen * (1 + chance) - chance, 0.0)), 1.0)
