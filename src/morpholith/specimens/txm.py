"""A full-field transmission X-ray microscope: illumination, background, blur, flat fields, counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage as ndi


@dataclass(frozen=True)
class Waves:
    """A random texture without end, a sum of plane waves: exact wherever it is moved to.

    Parameters
    ----------
    number : (w, 2) array
        Wave numbers along y and x, 1/px.
    phase : (w,) array
    amplitude : (w,) array
    """

    number: np.ndarray
    phase: np.ndarray
    amplitude: np.ndarray

    def on(self, shape, shift=(0.0, 0.0)) -> np.ndarray:
        """Return the texture (y, x), moved by `shift` px."""
        y, x = np.arange(shape[0]) - shift[0], np.arange(shape[1]) - shift[1]
        # cos(a + b) = cos a cos b - sin a sin b: two matrix products instead of a cosine for every wave and pixel
        a, b = y[:, None] * self.number[:, 0] + self.phase, self.number[:, 1:] * x
        rows = np.concatenate([self.amplitude * np.cos(a), -self.amplitude * np.sin(a)], 1)
        columns = np.concatenate([np.cos(b), np.sin(b)], 0)
        return rows.astype(np.float32) @ columns.astype(np.float32)


def draw_waves(rng, *, shortest: float, longest: float, rms: float, n: int = 32) -> Waves:
    """Draw a texture with features between `shortest` and `longest` px, the long ones stronger."""
    length = np.exp(rng.uniform(np.log(shortest), np.log(longest), n))
    angle = rng.uniform(0, 2 * np.pi, n)
    number = 2 * np.pi / length
    amplitude = length**0.5 * rng.uniform(0.5, 1.5, n)
    amplitude *= rms / np.sqrt(np.sum(amplitude**2) / 2)
    return Waves(np.stack([number * np.cos(angle), number * np.sin(angle)], 1), rng.uniform(0, 2 * np.pi, n), amplitude)


@dataclass(frozen=True)
class Txm:
    """What the instrument adds to a specimen, the same for every frame but for its slow drifts.

    Attributes
    ----------
    light : (y, x) array
        Illumination of the flats, mean 1.
    light_drift : (2, y, x) array
        Modes in which the illumination changes from energy to energy.
    residue : (y, x) array
        Dust and ripples fixed to the detector that the flats do not see, relative.
    residue_drift : (y, x) array
        A further mode of it.
    course : (5, f) array
        Course over the frames: gain, two light modes, residue mode, offset; unit standard deviation.
    dark : (y, x) uint16 array
    binder : Waves
        Optical density of the binder, with mean 0; moves with the stage.
    haze : (y, x) array
        More of it, fixed to the detector.
    """

    light: np.ndarray
    light_drift: np.ndarray
    residue: np.ndarray
    residue_drift: np.ndarray
    course: np.ndarray
    dark: np.ndarray
    binder: Waves
    haze: np.ndarray


def draw_txm(params, rng) -> Txm:
    """Draw the instrument for a `Scan`."""
    shape, size = params.shape, float(max(params.shape))
    y, x = (np.linspace(-1, 1, n) for n in shape)
    hump = np.exp(
        -0.5 * (((y[:, None] - rng.uniform(-0.4, 0.4)) / 1.3) ** 2 + ((x - rng.uniform(-0.4, 0.4)) / 1.3) ** 2)
    )
    ripples = draw_waves(rng, shortest=12, longest=60, rms=0.03).on(shape)
    light = hump * (1 + ripples + draw_waves(rng, shortest=100, longest=size + 100, rms=0.06).on(shape))
    modes = [draw_waves(rng, shortest=60, longest=size + 60, rms=1.0).on(shape) for _ in range(2)]
    residue = draw_waves(rng, shortest=10, longest=60, rms=0.6).on(shape) + _dust(shape, rng)
    residue_drift = draw_waves(rng, shortest=15, longest=120, rms=0.6).on(shape)
    frames = params.n_scans * params.n_energies
    course = ndi.gaussian_filter1d(rng.standard_normal((5, frames + 60)), 8, axis=1)[:, 30:-30] * 5.3
    dark = np.clip(np.rint(params.dark + 1.5 * rng.standard_normal(shape)), 0, 65535).astype(np.uint16)
    binder = draw_waves(rng, shortest=14, longest=150, rms=params.background)
    haze = draw_waves(rng, shortest=80, longest=size + 80, rms=0.5 * params.background).on(shape)
    return Txm(
        light / light.mean(), np.stack(modes), params.residue * residue, params.residue * residue_drift, course, dark,
        binder, haze,
    )  # fmt: skip


def _dust(shape, rng) -> np.ndarray:
    """Specks of 2 to 5 px, a few for a field of 460 x 460 px, as deep as -4."""
    dust = np.zeros(shape)
    n = rng.poisson(14 * shape[0] * shape[1] / 460**2)
    y, x = np.arange(shape[0])[:, None], np.arange(shape[1])
    for cy, cx, sd, depth in rng.uniform((0, 0, 1.0, 1.0), (*shape, 2.5, 4.0), (n, 4)):
        dust -= depth * np.exp(-0.5 * ((y - cy) ** 2 + (x - cx) ** 2) / sd**2)
    return dust


def flat_light(scope: Txm, params, energy: int) -> np.ndarray:
    """Return the expected counts (y, x) of a flat at an energy, without dark."""
    gain = params.counts * (1 + 0.05 * scope.course[0, energy])
    modes = np.tensordot(scope.course[1:3, energy], scope.light_drift, 1)
    return gain * scope.light * (1 + 0.01 * modes)


def exposure(scope: Txm, params, frame: int, optical_density: np.ndarray, stage) -> np.ndarray:
    """Return the expected counts (y, x) of a frame with the specimen, without dark.

    Parameters
    ----------
    scope : Txm
    params : Scan
    frame : int
    optical_density : (y, x) array
        Of particles alone, before blur.
    stage : (float, float)
        Rigid displacement of the specimen, px.
    """
    energy = frame % params.n_energies
    total = optical_density + scope.binder.on(params.shape, stage) + scope.haze
    seen = np.exp(-total)
    if params.blur_px > 0:
        # the light is blurred, not its logarithm
        seen = ndi.gaussian_filter(seen, params.blur_px, mode="nearest", truncate=5)
    offset = params.offset * (1 + 0.03 * scope.course[4, frame])
    residue = 1 + scope.residue + scope.course[3, frame] * scope.residue_drift
    return flat_light(scope, params, energy) * np.maximum(residue, 0.05) * np.exp(-offset) * seen
