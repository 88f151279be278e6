"""A scanning electron microscope for virtual powders: from a surface to a secondary-electron micrograph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage as ndi

from .powder import Scene

PHOTO_WIDTH_UM = 128_000.0  # magnifications refer to a print 128 mm wide


@dataclass(frozen=True)
class Microscope:
    """Settings of a bench-top instrument like the JEOL JCM-6000 (1280 x 960 pixels).

    Parameters
    ----------
    magnification : float
        3000 gives 33.3 nm a pixel, 15000 gives 6.7 nm.
    shape : tuple of int
        Pixels (y, x).
    dose : float
        Electrons counted in a pixel of medium brightness: shot noise.
    probe_um : float
        Diameter of the probe with its interaction volume: blur.
    convergence_mrad : float
        Half angle of the beam: depth of focus.
    detector_azimuth_deg : float
        Side from which the detector collects.
    shadowing, edge_brightness, charging, unevenness : float
        Strength of each artefact; 0 switches it off, 1 is what such an instrument shows.
    background : float
        Brightness of the tape over that of a flat particle surface.
    brightness, contrast : float
        Detector offset and gain on the 8-bit scale (grey level of a flat surface, grey levels per unit signal).
    """

    magnification: float = 3000.0
    shape: tuple[int, int] = (960, 1280)
    dose: float = 220.0
    probe_um: float = 0.03
    convergence_mrad: float = 7.0
    detector_azimuth_deg: float = 135.0
    shadowing: float = 1.0
    edge_brightness: float = 1.0
    charging: float = 1.0
    unevenness: float = 1.0
    background: float = 0.45
    brightness: float = 92.0
    contrast: float = 80.0

    @property
    def spacing(self) -> float:
        """Pixel size in um."""
        return PHOTO_WIDTH_UM / self.magnification / 1280


def micrograph(scene: Scene, microscope: Microscope, *, rng=0) -> np.ndarray:
    """Image a scene with secondary electrons.

    The signal is the yield of a tilted surface (edge brightening), the visibility of the detector and of the open
    sky (shadowing between particles and crystals), a bright rim where electrons leave through the flank,
    particles that charge, defocus with height, probe blur, shot noise and line jitter.

    Parameters
    ----------
    scene : Scene
    microscope : Microscope
    rng : Generator or int

    Returns
    -------
    (y, x) uint8 array
    """
    rng = np.random.default_rng(rng)
    m = microscope
    height = scene.height + _tape(scene, m, rng)
    signal = _yield(height, scene, m) * _visibility(height, scene, m)
    signal *= _material(scene, m, rng)
    signal = _charge(signal, scene, m, rng)
    signal = _defocus(signal, height, scene, m, rng)
    signal = signal + m.unevenness * 0.05 * _smooth_field(signal.shape, 0.4, rng)
    return _detect(signal, m, rng)


def _gaussian(image, sigma):
    """Gaussian filter that works on a coarser grid when the kernel is wide: same result, bounded time."""
    step = int(sigma // 4)
    if step < 2:
        return ndi.gaussian_filter(image, sigma, mode="nearest", truncate=3)
    ny, nx = (-(-n // step) * step for n in image.shape)
    padded = np.pad(image, ((0, ny - image.shape[0]), (0, nx - image.shape[1])), mode="edge")
    small = padded.reshape(ny // step, step, nx // step, step).mean((1, 3))
    small = ndi.gaussian_filter(small, np.sqrt(max(sigma**2 - step**2 / 6, 1)) / step, mode="nearest", truncate=3)
    y = (np.arange(image.shape[0]) + 0.5) / step - 0.5
    x = (np.arange(image.shape[1]) + 0.5) / step - 0.5
    return _bilinear(small, y, x)


def _bilinear(small, y, x):
    def weights(t, n):
        i = np.clip(np.floor(t).astype(int), 0, max(n - 2, 0))
        return i, np.minimum(i + 1, n - 1), np.clip(t - i, 0, 1).astype(np.float32)

    i0, i1, f = weights(y, small.shape[0])
    rows = small[i0] * (1 - f)[:, None] + small[i1] * f[:, None]
    j0, j1, g = weights(x, small.shape[1])
    return rows[:, j0] * (1 - g) + rows[:, j1] * g


def _smooth_field(shape, scale, rng):
    """Gaussian random field of unit SD with a correlation length of `scale` times the field."""
    n = 24
    coarse = ndi.gaussian_filter(rng.standard_normal((n, n)), scale * n / 2, mode="reflect")
    coarse /= coarse.std() + 1e-12
    return _bilinear(coarse.astype(np.float32), np.linspace(0, n - 1, shape[0]), np.linspace(0, n - 1, shape[1]))


def _tape(scene, m, rng):
    """Relief of the carbon tape in um: waves, and a fine grain; nothing where a particle lies."""
    shape, spacing = scene.labels.shape, scene.spacing[0]
    waves = 0.25 * _smooth_field(shape, 0.15, rng)
    grain = _gaussian(rng.standard_normal(shape).astype(np.float32), max(0.08 / spacing, 0.7))
    grain *= 0.008 * m.unevenness / (grain.std() + 1e-9)
    return np.where(scene.labels == 0, waves + grain, 0).astype(np.float32)


def _yield(height, scene, m):
    """Secondary yield of a tilted surface, bounded by the escape depth, with the detector's asymmetry.

    The tilt of the crystals and that of the agglomerate are seen apart: electrons from deeper down average over
    the crystals and follow the agglomerate's round shape.
    """
    spacing = scene.spacing[0]
    crystals, towards = _tilt(height, spacing, m)
    body, towards_body = _tilt(scene.body, spacing, m)
    yield_ = 1 + m.edge_brightness * (0.22 * crystals + 0.5 * body)
    return yield_ * (1 + 0.16 * towards + 0.18 * towards_body)


def _tilt(height, spacing, m):
    """Return the yield above that of a level surface, and the cosine towards the detector."""
    gy, gx = np.gradient(height, spacing)
    cosine = 1 / np.sqrt(1 + gy**2 + gx**2)
    azimuth = np.deg2rad(m.detector_azimuth_deg)
    return 1.25 / (cosine + 0.25) - 1, -(gx * np.cos(azimuth) - gy * np.sin(azimuth)) * cosine


def _visibility(height, scene, m):
    """Dark crevices and bright rims from how far the surface lies under or over its surroundings."""
    spacing, powder = scene.spacing[0], scene.powder
    fine = powder.habit.thickness_um
    scales = (0.7 * fine, 2.0 * fine, 0.12 * powder.d50_um, 0.45 * powder.d50_um)
    dark, bright = (0.55, 0.5, 0.4, 0.6), (0.3, 0.1, 0.0, 0.0)
    log_visible = np.zeros_like(height)
    for scale, d, b in zip(scales, dark, bright, strict=True):
        sigma = max(scale / spacing, 0.8)
        depth = (_gaussian(height, sigma) - height) / (sigma * spacing)
        log_visible -= d * m.shadowing * np.log1p(np.maximum(depth, 0) * 1.4)
        log_visible += b * m.edge_brightness * np.tanh(np.maximum(-depth, 0))
    return np.exp(log_visible)


def _material(scene, m, rng):
    """Tape is dark and uneven; particles differ a little from one another."""
    n = len(scene.truth)
    factor = np.exp(0.08 * rng.standard_normal(n + 1)).astype(np.float32)
    factor[0] = m.background
    tape = np.exp(0.18 * m.unevenness * _smooth_field(scene.labels.shape, 0.25, rng))
    return np.where(scene.labels == 0, factor[0] * tape, factor[scene.labels])


def _charge(signal, scene, m, rng):
    """A few particles glow, and leave a dark trail along the scan line after them."""
    n = len(scene.truth)
    if n == 0 or m.charging == 0:
        return signal
    gain = np.zeros(n + 1, np.float32)
    chosen = rng.random(n + 1) < 0.06 * m.charging
    chosen[0] = False
    gain[chosen] = rng.uniform(0.15, 0.5, chosen.sum())
    glow = gain[scene.labels]
    trail = ndi.uniform_filter1d(glow, int(0.12 * signal.shape[1]) | 1, axis=1, origin=-int(0.06 * signal.shape[1]) + 1)
    line = 1 + 0.012 * m.charging * ndi.gaussian_filter1d(rng.standard_normal(signal.shape[0]), 1.5)
    return signal * (1 + glow) * (1 - 0.45 * np.where(glow > 0, 0, trail)) * line[:, None]


def _defocus(signal, height, scene, m, rng):
    """Blur by the probe, and with the distance from the plane of focus."""
    spacing = scene.spacing[0]
    probe = 0.42 * m.probe_um / spacing
    top = np.quantile(height[scene.labels > 0], 0.7) if (scene.labels > 0).any() else 0.0
    focus = top * rng.uniform(0.8, 1.1)
    sigma = np.hypot(probe, 0.5e-3 * m.convergence_mrad * np.abs(height - focus) / spacing)
    levels = np.array([0.45, 0.9, 1.6, 2.8, 5.0, 9.0])
    levels = levels[: max(2, int(np.searchsorted(levels, sigma.max())) + 1)]
    stack = [ndi.gaussian_filter(signal, s, truncate=3) for s in levels]
    out = stack[0].copy()
    for lower, upper, a, b in zip(levels[:-1], levels[1:], stack[:-1], stack[1:], strict=True):
        w = np.clip((sigma - lower) / (upper - lower), 0, 1)
        out = np.where(sigma > lower, a * (1 - w) + b * w, out)
    return out


def _detect(signal, m, rng):
    signal = np.maximum(signal, 0)
    signal = signal / np.sqrt(1 + (signal / 3.2) ** 2)  # the detector saturates softly
    counted = rng.poisson(signal * m.dose) / m.dose
    level = m.brightness + m.contrast * (counted - 1) + rng.normal(0, 1.2, signal.shape)
    level += rng.normal(0, 0.5, (signal.shape[0], 1))
    return np.clip(np.rint(level), 0, 255).astype(np.uint8)


def with_data_bar(picture: np.ndarray, microscope: Microscope) -> np.ndarray:
    """Return the micrograph with a data bar under it, as the instrument saves it: settings and a scale bar."""
    from PIL import Image, ImageDraw, ImageFont

    ny, nx = picture.shape
    height = max(24, ny // 16)
    bar = Image.new("L", (nx, height), 0)
    draw = ImageDraw.Draw(bar)
    font = ImageFont.load_default(size=0.55 * height)
    draw.text((0.02 * nx, 0.2 * height), f"SED  15.0kV  x{microscope.magnification:,.0f}", fill=255, font=font)
    length = nice_length(0.2 * nx * microscope.spacing)
    x1, y = 0.97 * nx, 0.72 * height
    draw.rectangle((x1 - length / microscope.spacing, y, x1, y + max(2, height // 14)), fill=255)
    draw.text((x1 - 0.16 * nx, 0.08 * height), f"{length:g} um", fill=255, font=font)
    return np.vstack([picture, np.asarray(bar)])


def nice_length(target_um: float) -> float:
    """Return the largest of 1, 2, 5 x 10^k that is not over `target_um`."""
    decade = 10.0 ** np.floor(np.log10(target_um))
    return float(decade * max(k for k in (1, 2, 5) if k * decade <= target_um * (1 + 1e-9)))
