"""Texture against surfaces of known spectrum: the share that is fine, whatever the detector and the pixel."""

import numpy as np
import pytest
import pywt

from morpholith import columns
from morpholith.errors import InputError, InputWarning
from morpholith.measure import texture, texture_energy_raw
from morpholith.measure.texture import Bands, _low, _Waves
from morpholith.specimens.shapes import discs
from morpholith.specimens.surfaces import Spectrum, gaussian_surface

PIXEL = 1 / 30  # 3000x on a JCM-6000
MIXED = (Spectrum(0.2, sd=0.7), Spectrum(0.7, sd=0.7))


def view(spectra, pixel=PIXEL, side_um=12.0, rng=1, origin_um=(0.5, 0.7)):
    surface = gaussian_surface(spectra, extent_um=(side_um + 3.0, side_um + 4.0), rng=rng)
    n = int(side_um / pixel)
    return 100 + 10 * surface.render((n, n), spacing=pixel, origin_um=origin_um)


def field_texture(image, pixel=PIXEL):
    return texture(image, spacing=pixel)[columns.TEXTURE].iloc[0]


def expected_texture(spectra, bands):
    """Integrate the spectrum through the transfer of the common grid, the high-pass and the wavelets."""
    c, n = bands.pixel_um, 400
    f = np.fft.fftfreq(n, c)
    f2 = f[:, None] ** 2 + f[None, :] ** 2
    roll = np.cos(np.pi / 2 * np.clip((2 * c * np.abs(f) - 0.6) / 0.4, 0, 1)) ** 2
    seen = np.outer(roll, roll) * (1 - np.exp(-2 * np.pi**2 * bands.window_um**2 * f2))
    density = sum(s.density(f[:, None], f[None, :]) for s in spectra) * seen**2
    energy = -np.diff([a @ density @ a for a in _low(f, bands)])
    return energy[: bands.fine_levels].sum() / energy.sum()


def test_bands_are_those_of_the_stationary_wavelet_transform():
    image = np.random.default_rng(0).standard_normal((64, 96))
    bands = Bands()
    waves = _Waves(image.shape, bands)
    power = np.abs(np.fft.rfft2(image)) ** 2 / waves.size * waves.twice / image.size
    energy = -np.diff([a @ power @ b for a, b in zip(*waves.low, strict=True)])
    levels = pywt.swt2(image, bands.wavelet, 4, norm=True, trim_approx=True)[1:]
    by_pywt = [np.mean(sum(d**2 for d in level)) for level in levels[::-1]]
    np.testing.assert_allclose(energy, by_pywt, rtol=1e-3)


@pytest.mark.parametrize("wavelength", [0.2, 0.4, 0.8])
def test_texture_is_the_fine_share_of_a_known_spectrum(wavelength):
    spectrum = Spectrum(wavelength)
    got = texture(view(spectrum), spacing=PIXEL).iloc[0]
    truth = expected_texture([spectrum], Bands())
    assert got.texture == pytest.approx(truth, abs=3 * got.texture_se + 0.002)
    assert {0.2: got.texture > 0.9, 0.4: 0.35 < got.texture < 0.55, 0.8: got.texture < 0.1}[wavelength]


def test_band_energies_are_the_variance_of_the_surface():
    spectrum = Spectrum(0.33, width=0.25)
    got = texture(view(spectrum, rng=3), spacing=PIXEL)[Bands().names].iloc[0]
    assert list(got.index) == [
        "energy_0.1_0.2_um",
        "energy_0.2_0.4_um",
        "energy_0.4_0.8_um",
        "energy_0.8_1.6_um",
    ]
    assert got.sum() == pytest.approx(100, rel=0.1)
    assert got.idxmax() == "energy_0.2_0.4_um"


def test_gain_offset_and_eight_bits_change_nothing():
    image = view(MIXED)
    truth = field_texture(image)
    assert 0.4 < truth < 0.7
    for gain, offset in ((0.5, 0), (2.0, 0), (0.5, 60), (1.5, -20)):
        assert field_texture(gain * image + offset) == pytest.approx(truth, rel=0.01)
        eight_bit = np.clip(np.round(gain * image + offset), 0, 255).astype(np.uint8)
        assert field_texture(eight_bit) == pytest.approx(truth, rel=0.01)


@pytest.mark.parametrize("gamma", [0.8, 1.25])
def test_mild_gamma_changes_little(gamma):
    image = view(MIXED) / 200
    assert field_texture(image**gamma) == pytest.approx(field_texture(image), rel=0.01)


@pytest.mark.parametrize("factor", [0.8, 1.25])
@pytest.mark.parametrize("spectra", [Spectrum(0.2), MIXED, Spectrum(0.8)])
def test_magnification_changes_nothing(spectra, factor):
    here = field_texture(view(spectra))
    there = field_texture(view(spectra, PIXEL * factor), PIXEL * factor)
    assert there == pytest.approx(here, rel=0.02)


def test_both_magnifications_of_the_instrument_agree():
    surface = gaussian_surface(MIXED, extent_um=(12.0, 13.0), rng=5)
    fine = surface.render((960, 1280), spacing=1 / 150, origin_um=(1.0, 1.0))
    coarse = surface.render((192, 256), spacing=1 / 30, origin_um=(1.0 + 2 / 150, 1.0 + 2 / 150))
    assert field_texture(coarse) == pytest.approx(field_texture(fine, 1 / 150), rel=0.02)


def test_oblong_pixels():
    surface = gaussian_surface(MIXED, extent_um=(15.0, 16.0), rng=1)
    image = surface.render((500, 300), spacing=(0.024, 0.04), origin_um=(0.5, 0.7))
    assert texture(image, spacing=(0.024, 0.04)).texture.iloc[0] == pytest.approx(field_texture(view(MIXED)), rel=0.02)


@pytest.mark.parametrize("noise", [5.0, 10.0])
def test_noise_is_subtracted(noise):
    """Unsubtracted, noise as strong as the relief would add 0.2 to the texture of this coarse surface."""
    image = view(Spectrum(0.8))
    noisy = image + np.random.default_rng(0).normal(0, noise, image.shape)
    got = texture(noisy, spacing=PIXEL).iloc[0]
    assert got.texture == pytest.approx(field_texture(image), abs=0.01)
    assert 0.05 < got.noise_share < 0.4


def test_stated_standard_error_is_the_scatter():
    got = [texture(view(MIXED, side_um=5.0, rng=k), spacing=PIXEL).iloc[0] for k in range(40)]
    scatter = np.std([g.texture for g in got], ddof=1)
    assert 0.7 < np.mean([g.texture_se for g in got]) / scatter < 1.4


def ball(spectrum, diameter_um, rng, gap_px=25, background=20.0):
    """A round particle under a bright limb, on a dark ground."""
    n = int(diameter_um / PIXEL) + 2 * gap_px
    centre = n * PIXEL / 2
    s = discs((n, n), spacing=PIXEL, centres_um=[(centre, centre)], radii_um=[diameter_um / 2])
    y, x = np.mgrid[:n, :n] * PIXEL - centre
    cosine = np.sqrt(np.clip(1 - (y**2 + x**2) / (diameter_um / 2) ** 2, 0.02, 1))
    surface = gaussian_surface(spectrum, extent_um=(14.0, 14.0), rng=rng).render((n, n), spacing=PIXEL)
    return np.where(s.labels > 0, 100 * cosine**-0.5 + 12 * surface, background), s.labels


@pytest.mark.parametrize("diameter", [4.0, 9.0])
@pytest.mark.parametrize("wavelength", [0.2, 0.4, 0.8])
def test_particles_of_any_size_have_the_texture_of_their_surface(diameter, wavelength):
    spectrum = Spectrum(wavelength)
    got = [texture(*ball(spectrum, diameter, k), spacing=PIXEL).iloc[0] for k in range(4)]
    truth = expected_texture([spectrum], Bands())
    error = 3 * np.mean([g.texture_se for g in got]) / 2
    assert np.mean([g.texture for g in got]) == pytest.approx(truth, abs=error + 0.012)


def test_background_and_neighbours_do_not_leak():
    image, labels = ball(Spectrum(0.6), 5.0, 1)
    other, _ = ball(Spectrum(0.6), 5.0, 1, background=220.0)
    rng = np.random.default_rng(0)
    wild = np.where(labels > 0, image, 255 * (rng.random(image.shape) > 0.5))
    crowded = np.where(labels == 0, 7, labels)
    base = texture(image, labels, spacing=PIXEL).loc[1]
    for changed, names in ((other, labels), (wild, labels), (wild, crowded)):
        assert texture(changed, names, spacing=PIXEL).loc[1].texture == pytest.approx(base.texture, abs=0.005)


@pytest.mark.parametrize("direction", [0.0, 50.0, -30.0])
@pytest.mark.parametrize("kappa", [0.8, 3.0])
def test_anisotropy_and_direction_of_parallel_needles(kappa, direction):
    spectrum = Spectrum(0.25, kappa=kappa, direction_deg=direction)
    got = texture(view(spectrum), spacing=PIXEL).iloc[0]
    assert got.anisotropy == pytest.approx(spectrum.coherence, abs=0.04)
    assert got.alignment == pytest.approx(spectrum.coherence, abs=0.04)
    assert (got.direction_deg - direction + 90) % 180 - 90 == pytest.approx(0, abs=3)


def test_isotropic_surface_has_no_anisotropy():
    got = texture(view(MIXED), spacing=PIXEL).iloc[0]
    assert got.anisotropy < 0.1
    assert got.alignment < 0.06


def test_bundles_are_seen_locally():
    """Needles parallel within a quarter of the field, four directions in all: local, not global."""
    quarters = [view(Spectrum(0.25, kappa=4.0, direction_deg=45.0 * k), side_um=6.0, rng=k) for k in range(4)]
    got = texture(np.block([quarters[:2], quarters[2:]]), spacing=PIXEL).iloc[0]
    assert got.alignment < 0.15
    assert got.anisotropy > 0.7


def test_unresolved_is_said():
    image, labels = ball(Spectrum(0.4), 4.0, 0)
    small, small_labels = ball(Spectrum(0.4), 1.6, 0)
    assert texture(image, labels, spacing=PIXEL).resolved.iloc[0]
    row = texture(small, small_labels, spacing=PIXEL).iloc[0]
    assert not row.resolved
    assert np.isnan(row.texture)
    with pytest.warns(InputWarning, match=r"needs pixels of 0.05 um or less"):
        coarse = texture(image, labels, spacing=0.06)
    assert not coarse.resolved.any()
    assert coarse.index.tolist() == [1]
    assert not texture(np.full((300, 300), 7), spacing=PIXEL).resolved.any()
    grain = np.random.default_rng(0).normal(0, 10, (300, 300))
    assert not texture(grain, spacing=PIXEL).resolved.any()


def test_coarser_bands_resolve_a_coarser_pixel():
    image = view(Spectrum(0.4), pixel=0.08, side_um=14.0)
    got = texture(image, spacing=0.08, bands=Bands(finest_um=0.2)).iloc[0]
    assert got.texture == pytest.approx(expected_texture([Spectrum(0.4)], Bands(finest_um=0.2)), abs=0.02)


def test_no_particles_no_rows_and_labels_kept():
    image, labels = ball(Spectrum(0.4), 4.0, 0)
    full = texture(image, labels * 41, spacing=PIXEL)
    assert full.index.tolist() == [41]
    empty = texture(image, labels * 0, spacing=PIXEL)
    assert len(empty) == 0
    assert empty.dtypes.to_dict() == full.dtypes.to_dict()


def test_particles_take_the_texture_along():
    from morpholith.measure import particles

    image, labels = ball(Spectrum(0.4, kappa=2.0), 4.0, 0)
    table = particles(labels, spacing=PIXEL, image=image)
    alone = texture(image, labels, spacing=PIXEL)
    assert table.texture.iloc[0] == alone.texture.iloc[0]
    assert table.anisotropy.iloc[0] == alone.anisotropy.iloc[0]


def test_raw_energy_is_the_papers_and_has_its_faults():
    image = view(MIXED)
    raw = texture_energy_raw(image)
    details = pywt.wavedec2(image, "db4", level=4)[1:]
    assert raw == pytest.approx(np.mean(np.concatenate([d.ravel() for level in details for d in level]) ** 2), rel=1e-3)
    assert texture_energy_raw(2 * image) == pytest.approx(4 * raw, rel=1e-3)


def test_wrong_input_is_told():
    with pytest.raises(InputError, match="same shape"):
        texture(np.zeros((5, 5)), np.zeros((4, 5), int), spacing=PIXEL)
    with pytest.raises(InputError, match="finest_um"):
        Bands(finest_um=0)
    with pytest.raises(InputError, match="fine_levels"):
        Bands(fine_levels=4)
    with pytest.raises(InputError, match="NaN"):
        texture(np.full((5, 5), np.nan), spacing=PIXEL)
    with pytest.raises(InputError, match="levels"):
        texture_energy_raw(np.zeros((20, 20)))


@pytest.mark.parametrize(
    ("habit", "low", "high"), [(("plate", 0.06, 0.6), 0.7, 1.0), (("polyhedral", 0.6, 1.2), 0.0, 0.45)]
)
def test_thin_lamellae_are_fine_and_polyhedra_coarse(habit, low, high):
    """Virtual micrographs with everything on them: limb, shadows, probe, shot noise, 8 bits.

    The sharpest particle counts: those out of focus lose their fine detail.
    """
    from morpholith.specimens import Habit, Microscope, Powder, micrograph, scene

    microscope = Microscope(shape=(480, 640))
    specimen = scene(Powder(habit=Habit(*habit)), shape=(480, 640), spacing=microscope.spacing, rng=2)
    got = texture(micrograph(specimen, microscope, rng=2), specimen.labels, spacing=microscope.spacing)
    assert got.resolved.sum() >= 3
    assert low < got.texture.max() < high
