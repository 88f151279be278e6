"""Gaussian surfaces carry the energy they promise, at every pixel size."""

import numpy as np
import pytest

from morpholith.errors import InputError
from morpholith.specimens.surfaces import Spectrum, gaussian_surface

SPECTRUM = Spectrum(0.3, width=0.3, sd=2.0)


def gradient_tensor(field):
    gy, gx = np.gradient(field)
    return (gy * gy).mean(), (gx * gx).mean(), (gy * gx).mean()


def test_density_integrates_to_the_energy():
    s = Spectrum(0.3, width=0.4, sd=1.5, kappa=2.0, direction_deg=30)
    f = np.linspace(-40, 40, 2001)
    step = f[1] - f[0]
    density = s.density(f[:, None], f[None, :])
    assert density.sum() * step**2 == pytest.approx(1.5**2, rel=0.01)
    r = np.hypot(f[:, None], f[None, :])
    band = (r < 1 / 0.2) & (r >= 1 / 0.4)
    assert density[band].sum() * step**2 == pytest.approx(s.energy(0.2, 0.4), rel=0.01)
    assert s.energy(1e-9, 1e9) == pytest.approx(2.25)


def test_surface_has_the_spectrum_it_was_asked_for():
    surface = gaussian_surface(SPECTRUM, extent_um=(12.0, 13.0), rng=1)
    for low, high in ((0.1, 0.2), (0.2, 0.3), (0.3, 0.45), (0.45, 0.9)):
        assert surface.energy_um(low, high) == pytest.approx(SPECTRUM.energy(low, high), rel=0.1)
    rendered = surface.render((600, 650), spacing=0.02)
    assert rendered.dtype == np.float32
    assert rendered.var() == pytest.approx(4, rel=0.05)
    power = np.abs(np.fft.fft2(rendered) / rendered.size) ** 2
    fy, fx = np.fft.fftfreq(600, 0.02)[:, None], np.fft.fftfreq(650, 0.02)[None, :]
    band = (np.hypot(fy, fx) <= 1 / 0.2) & (np.hypot(fy, fx) >= 1 / 0.4)
    seen = (np.sinc(0.02 * fy) * np.sinc(0.02 * fx)) ** 2
    assert (power / seen)[band].sum() == pytest.approx(surface.energy_um(0.2, 0.4), rel=0.01)


def test_a_coarse_pixel_is_the_mean_of_fine_ones():
    surface = gaussian_surface(SPECTRUM, extent_um=(5.0, 6.0), rng=2)
    fine = surface.render((90, 160), spacing=(0.02, 0.015), origin_um=(0.3, 0.2))
    coarse = surface.render((30, 40), spacing=(0.06, 0.06), origin_um=(0.3 + 0.02, 0.2 + 0.0225))
    np.testing.assert_allclose(fine.reshape(30, 3, 40, 4).mean(axis=(1, 3)), coarse, atol=1e-3)


def test_a_shifted_view_is_the_same_surface():
    surface = gaussian_surface(SPECTRUM, extent_um=(5.0, 5.0), rng=3)
    whole = surface.render((60, 70), spacing=0.03)
    part = surface.render((20, 20), spacing=0.03, origin_um=(0.3, 0.6))
    np.testing.assert_allclose(whole[10:30, 20:40], part, atol=1e-3)
    np.testing.assert_allclose(surface.render((1, 70), spacing=0.03, origin_um=(5.0, 0.0))[0], whole[0], atol=1e-3)


def test_blur_removes_what_it_should():
    surface = gaussian_surface(Spectrum(0.3, width=0.02), extent_um=(9.0, 9.0), rng=4)
    sharp, soft = (surface.render((450, 450), spacing=0.02, blur_um=b) for b in (0.0, 0.05))
    assert soft.var() / sharp.var() == pytest.approx(np.exp(-4 * (np.pi * 0.05 / 0.3) ** 2), rel=0.03)


@pytest.mark.parametrize("direction", [0.0, 35.0, -60.0])
def test_grain_runs_where_it_says(direction):
    s = Spectrum(0.3, width=0.2, kappa=2.0, direction_deg=direction)
    field = gaussian_surface(s, extent_um=(15.0, 15.0), rng=5).render((750, 750), spacing=0.02)
    yy, xx, yx = gradient_tensor(field)
    across = 0.5 * np.rad2deg(np.arctan2(-2 * yx, xx - yy))
    turn = (across - 90 - direction + 90) % 180 - 90
    assert turn == pytest.approx(0, abs=2)
    coherence = np.hypot(xx - yy, 2 * yx) / (xx + yy)
    assert coherence == pytest.approx(s.coherence, abs=0.03)
    assert s.coherence == pytest.approx(0.6978, abs=1e-3)


def test_powers_add():
    both = (Spectrum(0.2, sd=1.0), Spectrum(1.0, width=0.2, sd=2.0))
    surface = gaussian_surface(both, extent_um=(20.0, 20.0), rng=6)
    assert surface.energy_um(0.01, 0.45) == pytest.approx(1, rel=0.1)
    assert surface.energy_um(0.45, 20.0) == pytest.approx(4, rel=0.15)


def test_same_seed_same_surface():
    one, two = (gaussian_surface(SPECTRUM, extent_um=(3.0, 3.0), rng=7) for _ in range(2))
    np.testing.assert_array_equal(one.coefficients, two.coefficients)


def test_wrong_input_is_told():
    with pytest.raises(InputError, match="positive wavelength"):
        Spectrum(-1.0)
    with pytest.raises(InputError, match="finest_um"):
        gaussian_surface(Spectrum(0.01), extent_um=(100.0, 100.0), rng=0)
