"""The instrument that images a virtual electrode: blur, noise, rings, beam hardening, grey levels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage as ndi

from .. import _checks
from ..errors import InputError

if TYPE_CHECKING:
    from .assembly import Packing

DIFFICULTIES = ("easy", "typical", "hard")


@dataclass(frozen=True)
class Tomograph:
    """How a tomogram is taken.

    Lengths in um; strengths are shares of the contrast between pore and active material.

    Parameters
    ----------
    spacing : (float, float, float)
        Voxel edges (z, y, x).
    blur_um : float
        Standard deviation of the Gaussian point spread, the same in all directions.
    noise : float
        Standard deviation of the noise.
    noise_length_um : float
        Correlation length (standard deviation of a Gaussian kernel) of half of the noise power; the rest is white.
    rings : float
        Standard deviation of the ring artefacts about an axis along z.
    beam_hardening : float
        By how much the middle of the volume is darker than its rim, as a share of its grey value.
    drift : float
        Change of the grey values from bottom to top, as a share.
    fresnel : float
        Edge enhancement by phase contrast: overshoot at an edge.
    pore, binder, active : float
        Grey values on the scale of `bits`.
    bits : int
        16 gives uint16, 8 uint8 (grey values divided by 257).
    supersample : int
        Points along each edge of a voxel for its partial volumes.
    """

    spacing: tuple[float, float, float] = (0.4, 0.4, 0.4)
    blur_um: float = 0.35
    noise: float = 0.1
    noise_length_um: float = 0.5
    rings: float = 0.02
    beam_hardening: float = 0.03
    drift: float = 0.02
    fresnel: float = 0.05
    pore: float = 12000.0
    binder: float = 19000.0
    active: float = 38000.0
    bits: int = 16
    supersample: int = 3

    def __post_init__(self):
        object.__setattr__(self, "spacing", _checks.spacing(self.spacing, 3))
        if self.bits not in (8, 16):
            raise InputError(f"`bits` must be 8 or 16, got {self.bits!r}.")
        for name in ("blur_um", "noise", "noise_length_um", "rings", "fresnel"):
            if not getattr(self, name) >= 0:
                raise InputError(f"`{name}` must not be negative, got {getattr(self, name)!r}.")

    @classmethod
    def of(cls, difficulty: str, *, spacing, **changes) -> Tomograph:
        """Return a tomograph of a stated difficulty, whose blur follows the voxel.

        Parameters
        ----------
        difficulty : {"easy", "typical", "hard"}
            Easy resolves all three phases in the histogram; typical two, with the binder as a shoulder; hard has
            modes that overlap, rings and cupping that are plain to see.
        spacing : (float, float, float)
        **changes
            Fields that differ from the preset.
        """
        _checks.choice(difficulty, DIFFICULTIES, name="difficulty")
        spacing = _checks.spacing(spacing, 3)
        voxel = float(np.prod(spacing) ** (1 / 3))
        blur, noise, rings, cupping, drift, fresnel, binder = {
            "easy": (0.5, 0.03, 0.005, 0.0, 0.0, 0.0, 23000.0),
            "typical": (0.8, 0.10, 0.02, 0.03, 0.02, 0.04, 19000.0),
            "hard": (1.2, 0.22, 0.06, 0.08, 0.05, 0.08, 17000.0),
        }[difficulty]
        made = cls(
            spacing=spacing, blur_um=blur * voxel, noise=noise, noise_length_um=1.0 * voxel, rings=rings,
            beam_hardening=cupping, drift=drift, fresnel=fresnel, binder=binder,
        )  # fmt: skip
        return replace(made, **changes)


def tomogram(packing: Packing, tomograph: Tomograph, *, rng=0) -> np.ndarray:
    """Image a packing.

    Partial volumes of each voxel, point spread, phase-contrast edge, beam hardening and drift, noise, rings, then
    rounding and clipping to the range of the detector, in this order.

    Parameters
    ----------
    packing : Packing
    tomograph : Tomograph
    rng : Generator or int

    Returns
    -------
    (z, y, x) uint16 array
        uint8 for 8 bits.
    """
    rng = np.random.default_rng(rng)
    t = tomograph
    active, binder = packing.occupancy(t.spacing, supersample=t.supersample)
    contrast = t.active - t.pore
    grey = active
    grey *= contrast
    grey += (t.binder - t.pore) * binder
    grey += t.pore
    del binder
    spread = [t.blur_um / s for s in t.spacing]
    grey = _blurred(grey, spread)
    if t.fresnel:
        # the contact image and its edge: I - k (blur(I) - I), a Laplacian on the scale of the point spread
        wide = [1.5 * max(t.blur_um, min(t.spacing)) / s for s in t.spacing]
        grey += 2 * t.fresnel * (grey - _blurred(grey, wide))
    _shade(grey, t)
    if t.noise:
        grey += _noise(grey.shape, t, rng) * np.float32(contrast * t.noise)
    if t.rings:
        _add_rings(grey, t, contrast, rng)
    if t.bits == 8:
        grey /= 257
    np.rint(grey, out=grey)
    np.clip(grey, 0, 2**t.bits - 1, out=grey)
    return grey.astype(np.uint16 if t.bits == 16 else np.uint8)


def _blurred(array: np.ndarray, sigma) -> np.ndarray:
    return ndi.gaussian_filter(array, sigma, mode="nearest", truncate=4) if max(sigma) > 0 else array


def _shade(grey: np.ndarray, t: Tomograph) -> None:
    """Darken the middle (cupping about the axis of rotation along z) and let the level drift with z, in place."""
    nz, ny, nx = grey.shape
    y, x = (np.linspace(-1, 1, n)[:, None] if k == 0 else np.linspace(-1, 1, n)[None] for k, n in enumerate((ny, nx)))
    cup = 1 - t.beam_hardening * np.clip(1 - (y * y + x * x) / 2, 0, None)
    level = 1 + t.drift * np.linspace(-0.5, 0.5, nz)
    grey *= cup.astype(np.float32)[None]
    grey *= level.astype(np.float32)[:, None, None]


def _noise(shape, t: Tomograph, rng) -> np.ndarray:
    """Noise of unit variance, half of its power smooth over `noise_length_um`."""
    white = rng.standard_normal(shape, dtype=np.float32)
    if t.noise_length_um == 0:
        return white
    smooth = _blurred(rng.standard_normal(shape, dtype=np.float32), [t.noise_length_um / s for s in t.spacing])
    smooth /= smooth.std() or 1.0
    white += smooth
    white *= np.float32(0.5**0.5)
    return white


def _add_rings(grey: np.ndarray, t: Tomograph, contrast: float, rng) -> None:
    """Rings about an axis near the middle: one amplitude for each radius, kept over some slices, in place."""
    nz, ny, nx = grey.shape
    step = min(t.spacing[1:])
    axis_y, axis_x = (0.5 + rng.uniform(-0.15, 0.15, 2)) * (ny * t.spacing[1], nx * t.spacing[2])
    y, x = np.arange(ny)[:, None] * t.spacing[1] - axis_y, np.arange(nx)[None] * t.spacing[2] - axis_x
    radius = np.rint(np.hypot(y, x) / step).astype(np.int32)
    gain = rng.standard_normal((nz, int(radius.max()) + 1), dtype=np.float32)
    gain = ndi.gaussian_filter(gain, (max(nz / 12, 1), 0.4), mode="nearest")
    # a detector has a few bad channels among many fair ones
    gain *= rng.gamma(0.5, 2.0, gain.shape[1]).astype(np.float32)
    gain *= np.float32(t.rings * contrast / (gain.std() or 1.0))
    for z in range(nz):
        grey[z] += gain[z][radius]
