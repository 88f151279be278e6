"""Textured surfaces whose power spectrum, and so the energy in any band of wavelengths, is known exactly.

A surface is a periodic Gaussian random field, kept as its Fourier coefficients. It can be rendered at any
pixel size, each pixel the exact mean over its own square, so that two magnifications see one and the same
surface. Energies from `Spectrum` are *analytic* (expected over all surfaces of that spectrum);
`Surface.energy_um` gives those *sampled* by the one at hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .. import _checks
from ..errors import InputError


@dataclass(frozen=True)
class Spectrum:
    """Power spectrum around one wavelength, log-normal in wavelength, with or without a direction.

    The density per unit area of the plane of frequencies f (cycles per um), over the whole plane, is

        S(f) = sd^2 * N(ln |f|; -ln wavelength, width) / |f|^2 * exp(kappa cos 2(t - t0)) / (2 pi I0(kappa))

    with t the direction of f and t0 across the grain. It integrates to sd^2.

    Parameters
    ----------
    wavelength_um : float
        Median wavelength. Needles of thickness d lying side by side have a wavelength near 2 d.
    width : float
        Standard deviation of ln(wavelength).
    sd : float
        Standard deviation of the surface's grey value.
    kappa : float
        Concentration of direction: 0 is isotropic, 3 a mat of nearly parallel needles.
    direction_deg : float
        Direction of the grain (along the needles), counter-clockwise from x as displayed.
    """

    wavelength_um: float
    width: float = 0.35
    sd: float = 1.0
    kappa: float = 0.0
    direction_deg: float = 0.0

    def __post_init__(self):
        if not (self.wavelength_um > 0 and self.width > 0 and self.sd > 0 and self.kappa >= 0):
            raise InputError("a spectrum needs positive wavelength, width and sd, and kappa of 0 or more.")

    def density(self, fy: np.ndarray, fx: np.ndarray) -> np.ndarray:
        """Power spectral density in um^2 at frequencies in cycles per um (array order, rows downwards)."""
        from scipy.special import i0e

        f = np.hypot(fy, fx)
        safe = np.where(f > 0, f, 1.0)
        radial = np.exp(-0.5 * (np.log(safe * self.wavelength_um) / self.width) ** 2)
        radial /= self.width * np.sqrt(2 * np.pi) * safe**2
        across = np.deg2rad(self.direction_deg + 90)
        turn = np.cos(2 * (np.arctan2(-fy, fx) - across)) - 1
        angular = np.exp(self.kappa * turn) / (2 * np.pi * i0e(self.kappa))
        return np.where(f > 0, self.sd**2 * radial * angular, 0.0)

    def energy(self, shortest_um: float, longest_um: float) -> float:
        """Expected variance carried by wavelengths between the two lengths."""
        from scipy.special import ndtr

        low, high = (np.log(np.array([shortest_um, longest_um])) - np.log(self.wavelength_um)) / self.width
        return float(self.sd**2 * (ndtr(high) - ndtr(low)))

    @property
    def coherence(self) -> float:
        """Mean of exp(2 i (t - t0)) over the energy, I1(kappa) / I0(kappa): 0 isotropic, 1 one direction.

        Also the coherence of the structure tensor, whatever isotropic filter is applied first.
        """
        from scipy.special import i0e, i1e

        return float(i1e(self.kappa) / i0e(self.kappa))


@dataclass(frozen=True)
class Surface:
    """One periodic Gaussian random field.

    Parameters
    ----------
    coefficients : (ky, kx) complex array
        Amplitudes of exp(2 pi i (fy y + fx x)), of which the real part is summed; fx >= 0.
    extent_um : (float, float)
        Period in y and x.
    spectra : tuple of Spectrum
        What it was drawn from; the powers add.
    """

    coefficients: np.ndarray
    extent_um: tuple[float, float]
    spectra: tuple[Spectrum, ...]

    @property
    def frequencies(self) -> tuple[np.ndarray, np.ndarray]:
        """Frequencies in cycles per um along y (both signs) and x (not negative)."""
        ky, kx = self.coefficients.shape
        return (np.arange(ky) - ky // 2) / self.extent_um[0], np.arange(kx) / self.extent_um[1]

    def energy_um(self, shortest_um: float, longest_um: float) -> float:
        """Variance that this very surface carries at wavelengths between the two lengths."""
        fy, fx = self.frequencies
        f = np.hypot(fy[:, None], fx[None, :])
        inside = (f <= 1 / shortest_um) & (f >= 1 / longest_um)
        return float(0.5 * (np.abs(self.coefficients[inside]) ** 2).sum())

    def render(
        self,
        shape: tuple[int, int],
        *,
        spacing: Sequence[float] | float,
        origin_um: tuple[float, float] = (0.0, 0.0),
        blur_um: float = 0.0,
    ) -> np.ndarray:
        """Picture of the surface: each pixel the exact mean over its rectangle.

        Parameters
        ----------
        shape : (int, int)
        spacing : (float, float)
            Pixel edges in um, in array order; any size, commensurate with the period or not.
        origin_um : (float, float)
            Position of the centre of pixel (0, 0).
        blur_um : float
            Standard deviation of a Gaussian probe, applied before the pixels integrate.

        Returns
        -------
        (y, x) float32 array, of zero mean over a whole period.
        """
        pixel = _checks.spacing(spacing, 2)
        waves = []
        for f, n, s, start in zip(self.frequencies, shape, pixel, origin_um, strict=True):
            seen = np.sinc(f * s) * np.exp(-2 * (np.pi * f * blur_um) ** 2)
            phase = 2 * np.pi * np.outer(start + s * np.arange(n), f)
            waves.append((seen * np.exp(1j * phase)).astype(np.complex64))
        return (waves[0] @ self.coefficients.astype(np.complex64) @ waves[1].T).real


def gaussian_surface(
    spectra: Spectrum | Sequence[Spectrum],
    *,
    extent_um: tuple[float, float],
    rng: np.random.Generator | int,
    finest_um: float | None = None,
) -> Surface:
    """Draw a Gaussian random field of given spectrum.

    Parameters
    ----------
    spectra : Spectrum or sequence of Spectrum
        Powers add.
    extent_um : (float, float)
        Period in y and x; choose it larger than the field that will be rendered.
    rng : Generator or int
    finest_um : float, optional
        Shortest wavelength kept; by default what leaves out 1e-3 of the energy.

    Returns
    -------
    Surface
    """
    spectra = (spectra,) if isinstance(spectra, Spectrum) else tuple(spectra)
    rng = np.random.default_rng(rng)
    if finest_um is None:
        finest_um = min(s.wavelength_um * np.exp(-3.1 * s.width) for s in spectra)
    ky, kx = (int(np.ceil(length / finest_um)) for length in extent_um)
    if 4 * ky * kx > 10**8:
        raise InputError(
            f"a surface of {extent_um} um down to {finest_um:.3g} um needs {2 * ky * kx:.2g} waves; "
            "ask for a smaller one or set `finest_um`."
        )
    fy = np.arange(-ky, ky + 1) / extent_um[0]
    fx = np.arange(kx + 1) / extent_um[1]
    density = sum(s.density(fy[:, None], fx[None, :]) for s in spectra)
    density = np.where(np.hypot(fy[:, None], fx[None, :]) <= 1 / finest_um, density, 0.0)
    noise = rng.standard_normal((2, *density.shape))
    power = 2 * density / (extent_um[0] * extent_um[1])  # the real part keeps half of it,
    power[:, 1:] *= 2  # and fx > 0 stands for both signs
    extent = (float(extent_um[0]), float(extent_um[1]))
    return Surface(np.sqrt(power / 2) * (noise[0] + 1j * noise[1]), extent, spectra)
