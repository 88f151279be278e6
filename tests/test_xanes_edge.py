"""Edge energies and white lines: known positions, tabulated compounds, and errors that hold."""

import numpy as np
import pytest
from _spectra import E0, ENERGIES, high, low, mixed

from morpholith.measure import absorption_edges, choose_widths, edge_ranges, find_e0
from morpholith.measure.edge_energy import PeakWidths
from morpholith.measure.local_polynomial import smoother, vertex

FINE = np.arange(8200.0, 8600.0, 0.25)
RANGES = edge_ranges(ENERGIES, E0)
# The table's E0 is the first derivative's (of foils the first of two peaks), its white line the maximum. Half height as
# such lies lower: at 8339.9 eV in NiO and at 8341.5 eV, on the shoulder, in LiNiO2.
TABULATED = (
    ("ref_NiO.txt", 8342.5, 8347.5), ("ref_LiNiO2.txt", 8347.0, 8349.5), ("xdi/Ni_metal_rt_01.xdi", 8331.5, None),
    ("xdi/Ni_metal_rt_02.xdi", 8331.5, None), ("xdi/co_metal_rt.xdi", 7709.0, None),
    ("xdi/MnO_rt_01.xdi", 6544.0, None),
    ("xdi/MnO_rt_02.xdi", 6544.0, None), ("xdi/MnO_rt_03.xdi", 6544.0, None), ("xdi/Mn3O4_rt_01.xdi", 6546.3, None),
    ("xdi/Mn3O4_rt_02.xdi", 6546.3, None), ("xdi/Mn3O4_rt_03.xdi", 6546.3, None),
    ("xdi/Fe_Foil_rt_2016Foils.xdi", 7110.8, None), ("xdi/Fe_metal_rt_01.xdi", 7111.25, None),
    ("xdi/Fe_metal_rt_02.xdi", 7111.7, None), ("xdi/Fe_metal_rt_03.xdi", 7111.25, None),
)  # fmt: skip


def measured(folder, name):
    table = np.loadtxt(folder / "xanes" / "references" / name)
    if name.endswith(".txt"):
        return table[:, 0] * 1000, table[:, 1]
    i0, transmitted = (2, 1) if "2016" in name else (1, 2)
    return table[:, 0], np.log(table[:, i0] / table[:, transmitted])


@pytest.mark.parametrize("row", TABULATED, ids=lambda row: row[0])
def test_tabulated_edges_and_white_lines(data, row):
    name, e0, white = row
    energy, mu = measured(data, name)
    ranges = edge_ranges(energy, find_e0(energy, mu))
    found = absorption_edges(mu, energy, ranges)
    assert find_e0(energy, mu) == pytest.approx(e0, abs=0.3)
    assert found.derivative_ev[0] == pytest.approx(e0, abs=0.3)
    if white:
        assert found.white_line_ev[0] == pytest.approx(white, abs=0.3)


def test_half_height_of_measured_oxides_is_that_of_linear_interpolation(data):
    for name, expected in (("ref_NiO.txt", 8339.95), ("ref_LiNiO2.txt", 8341.54)):
        energy, mu = measured(data, name)
        found = absorption_edges(mu, energy, edge_ranges(energy, find_e0(energy, mu)))
        assert found.half_height_ev[0] == pytest.approx(expected, abs=0.05)


def test_known_positions_between_the_energies():
    ranges = edge_ranges(FINE, E0, post=(60, 250))
    for spectrum in (low, high):
        dense = np.arange(8300.0, 8380.0, 0.01)
        truth = spectrum(dense)
        found = absorption_edges(0.7 * spectrum(FINE) + 0.2, FINE, ranges)
        assert found.white_line_ev[0] == pytest.approx(dense[truth.argmax()], abs=0.05)
        assert found.derivative_ev[0] == pytest.approx(dense[np.gradient(truth).argmax()], abs=0.2)
        assert found.half_height_ev[0] == pytest.approx(dense[np.argmax(truth > 0.5)], abs=0.05)
        assert found.height[0] == pytest.approx(truth.max(), rel=0.02)


def test_pre_edge_peak_and_ripples_behind_do_not_move_the_half_height():
    plain = low(FINE)
    pre_peak = 0.65 * np.exp(-0.5 * ((FINE - 8325) / 1.2) ** 2)
    ranges = edge_ranges(FINE, E0, pre=(-120, -40))
    a, b = (absorption_edges(mu, FINE, ranges).half_height_ev[0] for mu in (plain, plain + pre_peak))
    assert b == pytest.approx(a, abs=0.02)
    dip = -0.8 * np.exp(-0.5 * ((FINE - 8362) / 1.5) ** 2)
    assert absorption_edges(plain + dip, FINE, ranges).half_height_ev[0] == pytest.approx(a, abs=0.02)


@pytest.mark.parametrize("sigma", [0.003, 0.012, 0.03])
@pytest.mark.parametrize("photons", [False, True])
def test_standard_errors_hold(sigma, photons):
    rng = np.random.default_rng(7)
    clean = mixed(ENERGIES, 0.1 + 0.8 * rng.random(3000))
    profile = np.exp(2 * (clean.mean(0) - clean.mean())) if photons else np.ones(len(ENERGIES))
    profile /= profile.mean()
    noisy = clean + sigma * np.sqrt(profile) * rng.standard_normal(clean.shape)
    widths = choose_widths(noisy.mean(0), ENERGIES, RANGES, sigma=sigma, profile=profile)
    truth = absorption_edges(clean, ENERGIES, RANGES, widths=widths)
    found = absorption_edges(noisy, ENERGIES, RANGES, sigma=sigma, profile=profile, widths=widths)
    for name, most in (("half_height", 1.1), ("white_line", 1.1), ("derivative", 1.1)):
        z = (getattr(found, f"{name}_ev") - getattr(truth, f"{name}_ev")) / getattr(found, f"{name}_se")
        assert np.isfinite(z).mean() > 0.95
        assert 0.9 < 1.4826 * np.nanmedian(np.abs(z)) < most, name
    z = (found.height - truth.height) / found.height_se
    assert 0.9 < np.nanstd(z) < 1.1


def test_windows_grow_with_the_noise():
    clean = mixed(ENERGIES, 0.5)
    chosen = [choose_widths(clean, ENERGIES, RANGES, sigma=s) for s in (0.0, 0.01, 0.05)]
    assert chosen[0] == PeakWidths()
    white, slope = ([getattr(w, field) for w in chosen] for field in ("white_line", "derivative"))
    assert white[0] < white[1] < white[2] == 5.0
    assert slope[0] < slope[1] <= slope[2] == 6.0


def test_what_noise_buries_has_no_place():
    rng = np.random.default_rng(8)
    noise = 0.3 * rng.standard_normal((200, len(ENERGIES)))
    found = absorption_edges(mixed(ENERGIES, 0.5) + noise, ENERGIES, RANGES, sigma=0.3)
    assert np.isnan(found.white_line_ev).mean() > 0.5
    np.testing.assert_array_equal(np.isnan(found.white_line_ev), np.isnan(found.white_line_se))


def test_missing_frames_away_from_the_edge_change_little_and_all_missing_is_nan():
    mu = mixed(ENERGIES, np.full(3, 0.3))
    mu[1, [2, 7, 80]] = np.nan
    mu[2] = np.nan
    found = absorption_edges(mu, ENERGIES, RANGES)
    assert found.half_height_ev[1] == pytest.approx(found.half_height_ev[0], abs=0.05)
    assert np.isnan(found.half_height_ev[2])
    assert absorption_edges(mu[:0], ENERGIES, RANGES).half_height_ev.shape == (0,)


def test_local_polynomials_reproduce_what_they_are_made_of():
    energy = np.sort(np.random.default_rng(9).uniform(0, 30, 50))
    cubic = 1 + 2 * energy - 0.3 * energy**2 + 0.01 * energy**3
    np.testing.assert_allclose(smoother(energy, 4.0, order=3) @ cubic, cubic, atol=1e-6)
    slope = 2 - 0.6 * energy + 0.03 * energy**2
    np.testing.assert_allclose(smoother(energy, 4.0, order=3, derivative=1) @ cubic, slope, atol=1e-5)


def test_vertex_and_its_gradient():
    x = np.array([1.0, 2.5, 3.0])
    y = np.array([[-((v - 2.2) ** 2) for v in x], [1.0, 0.0, 1.0]])
    at, gradient = vertex(x, y)
    assert at[0] == pytest.approx(2.2)
    assert np.isnan(at[1])
    step = 1e-6
    numeric = [(vertex(x, y + step * np.eye(3)[k])[0][0] - at[0]) / step for k in range(3)]
    np.testing.assert_allclose(gradient[0], numeric, atol=1e-4)
