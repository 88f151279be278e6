"""Pre-edge and post-edge against exact truth and against larch."""

import dataclasses

import numpy as np
import pytest
from _spectra import E0, ENERGIES, low, mixed

from morpholith.errors import InputError
from morpholith.measure import edge_ranges, find_e0, normalise, spectral_noise
from morpholith.measure.normalise import patterns, steadied

# xraylarch 2026.3.1, pre_edge with e0 = 8342 and defaults, on the spectra of `GRIDS`: edge step, pre1, pre2, norm1,
# norm2, nnorm, and norm at the energies nearest to e0 - 15, e0, e0 + 8 and e0 + 20 eV
LARCH = {
    "mixed": (0.5837427969521953, -105.0, -52.5, 25.0, 175.0, 1,
              [0.02313593609245026, 0.9801410365579261, 1.2993998640080016, 0.9897323745467962]),
    "long": (0.5904203319969648, -240.0, -120.0, 25.0, 655.0, 2,
             [0.026659585195840642, 0.9760582041800764, 1.2922104633479758, 0.9868015279625987]),
    "short": (0.5260358470463031, -20.0, -10.0, 10.0, 25.0, 0,
              [-0.001631170699514265, 1.0202496267796268, 1.3531400438835943, 0.9774141497990335]),
}  # fmt: skip
GRIDS = {"mixed": ENERGIES, "long": np.arange(8100.0, 9000.0, 2.0), "short": np.arange(8320.0, 8368.0, 1.0)}
# the same of measured references, e0 as larch found it (on the grid); norm at e0 - 20, e0, e0 + 10 and e0 + 40 eV
LARCH_MEASURED = (
    ("ref_NiO.txt", 8342.5, 0.9846501854322802, -140.0, -70.0, 25.0, 657.5, 2,
     [0.01302038801414435, 0.922459471950568, 1.16821685718766, 0.9340780345116438]),
    ("ref_LiNiO2.txt", 8347.0, 0.9643500107400311, -140.0, -70.0, 25.0, 653.0, 2,
     [0.017975507985299666, 1.2939412556014873, 1.0867434471648223, 0.9291931545516307]),
    ("xdi/Ni_metal_rt_01.xdi", 8331.5, 2.5261407224340124, -190.0, -95.0, 25.0, 1235.0, 2,
     [0.0031915453699943672, 0.17480366102506903, 0.5932271081834672, 0.9287754175935355]),
    ("xdi/co_metal_rt.xdi", 7709.0, 3.9537375087239646, -180.0, -90.0, 25.0, 1234.4349999999995, 2,
     [0.004328020979624456, 0.1807106319799845, 0.648408621140013, 0.9676844874108793]),
    ("xdi/MnO_rt_01.xdi", 6544.014, 0.12502786927567877, -24.011000000000422, -12.005500000000211, 25.0, 85.0, 1,
     [-0.0008795927135608754, 0.4893767770280267, 1.2735358517744624, 0.9348579389141796]),
    ("xdi/NiOH2_rt_01.xdi", 8346.0, 0.21946819865434986, -225.0, -112.5, 25.0, 1105.0, 2,
     [0.030054034149781413, 1.019836357611186, 1.1122672586889826, 1.0099252129014518]),
)  # fmt: skip


def measured(folder, name):
    """Energies in eV and absorption of a reference."""
    table = np.loadtxt(folder / "xanes" / "references" / name)
    if name.endswith(".txt"):
        return table[:, 0] * 1000, table[:, 1]
    return table[:, 0], np.log(table[:, 1] / table[:, 2])


def at(energy, e0, offsets):
    return [int(np.argmin(np.abs(energy - e0 - x))) for x in offsets]


@pytest.mark.parametrize("name", LARCH)
def test_ranges_and_norm_are_those_of_larch(name):
    energy = GRIDS[name]
    step, pre1, pre2, norm1, norm2, nnorm, norm = LARCH[name]
    ranges = edge_ranges(energy, 8342.0)
    assert ranges.pre == pytest.approx((pre1, pre2))
    assert ranges.post == pytest.approx((norm1, norm2))
    assert ranges.post_order == nnorm
    found = normalise(mixed(energy, 0.4), energy, ranges)
    assert found.step[0] == pytest.approx(step, rel=1e-9)
    np.testing.assert_allclose(found.norm[0, at(energy, 8342, (-15, 0, 8, 20))], norm, atol=1e-9)


@pytest.mark.parametrize("row", LARCH_MEASURED, ids=lambda row: row[0])
def test_measured_references_are_normalised_as_larch_does(data, row):
    name, e0, step, pre1, pre2, norm1, norm2, nnorm, norm = row
    energy, mu = measured(data, name)
    ranges = edge_ranges(energy, e0)
    assert ranges.pre == pytest.approx((pre1, pre2), abs=1e-6)
    assert ranges.post == pytest.approx((norm1, norm2), abs=1e-6)
    assert ranges.post_order == nnorm
    found = normalise(mu, energy, ranges)
    assert found.step[0] == pytest.approx(step, rel=1e-6)
    np.testing.assert_allclose(found.norm[0, at(energy, e0, (-20, 0, 10, 40))], norm, atol=1e-6)


def test_larch_itself_agrees():
    larch = pytest.importorskip("larch.xafs")
    from larch import Group

    group = Group(energy=ENERGIES, mu=mixed(ENERGIES, 0.2))
    larch.pre_edge(group, e0=8341.0)
    found = normalise(group.mu, ENERGIES, edge_ranges(ENERGIES, 8341.0))
    assert found.step[0] == pytest.approx(group.edge_step, rel=1e-9)
    np.testing.assert_allclose(found.norm[0], group.norm, atol=1e-9)


def test_a_step_on_a_line_under_a_parabola_is_recovered_exactly():
    energy = np.arange(8000.0, 8800.0, 4.0)
    x = energy - 8400.0
    jump = np.where(x >= 0, 1.3 - 4e-4 * x + 2e-7 * x**2, 0.0)
    found = normalise(0.2 - 1e-3 * x + jump, energy, edge_ranges(energy, 8400.0))
    assert found.step[0] == pytest.approx(1.3, abs=1e-9)
    np.testing.assert_allclose(found.norm[0], jump / 1.3, atol=1e-9)
    np.testing.assert_allclose(found.pre[0], [0.2, -0.05], atol=1e-9)
    np.testing.assert_allclose(found.post[0], [1.3, -0.02, 5e-4], atol=1e-9)


def test_the_error_of_the_step_is_that_of_the_noise():
    rng = np.random.default_rng(1)
    ranges = edge_ranges(ENERGIES, E0)
    profile = np.where(ENERGIES > E0, 1.6, 0.4)
    clean = mixed(ENERGIES, 0.5)
    noisy = clean + 0.03 * np.sqrt(profile) * rng.standard_normal((4000, len(ENERGIES)))
    found = normalise(noisy, ENERGIES, ranges, profile=profile)
    truth = normalise(clean, ENERGIES, ranges).step[0]
    assert 0.95 < np.std((found.step - truth) / (0.03 * found.step_gain)) < 1.05


def test_missing_frames_are_as_if_never_taken():
    ranges = edge_ranges(ENERGIES, E0)
    mu = mixed(ENERGIES, np.array([0.1, 0.5, 0.9, 0.3]))
    gone = [3, 40, 41, 88]
    mu[1, gone] = mu[3, gone] = np.nan
    mu[2, 5] = np.nan
    found = normalise(mu, ENERGIES, ranges)
    assert np.isnan(found.norm[1, gone]).all()
    assert np.isfinite(np.delete(found.norm[1], gone)).all()
    alone = [normalise(row, ENERGIES, ranges) for row in mu]
    np.testing.assert_allclose(found.norm, [a.norm[0] for a in alone], atol=1e-12)
    assert found.step_gain[1] == found.step_gain[3] > found.step_gain[0]
    assert sorted(len(rows) for rows, _ in patterns(mu)) == [1, 1, 2]


def test_a_pixel_without_pre_edge_or_step_is_nan():
    ranges = edge_ranges(ENERGIES, E0)
    mu = mixed(ENERGIES, np.array([0.1, 0.5]))
    mu[0, E0 - 45 > ENERGIES] = np.nan
    found = normalise(np.vstack([mu, -mu[1]]), ENERGIES, ranges)
    assert np.isnan(found.norm[0]).all()
    assert np.isnan(found.step[0])
    assert np.isfinite(found.norm[1]).all()
    assert np.isnan(found.norm[2]).all()


def test_a_noisy_pixel_normalised_like_its_neighbours_has_a_steadier_step():
    rng = np.random.default_rng(2)
    state = rng.random(600)
    scale = 0.5 + rng.random(600)
    offset = 0.3 * rng.standard_normal(600)
    clean = scale[:, None] * (mixed(ENERGIES, state) - 0.3) + offset[:, None]
    noisy = clean + 0.05 * rng.standard_normal(clean.shape)
    ranges = edge_ranges(ENERGIES, E0)
    like = steadied(noisy, ENERGIES, ranges, sigma=np.full(600, 0.05))
    assert like.shape is not None
    own, shared = (normalise(noisy, ENERGIES, r).step / normalise(clean, ENERGIES, ranges).step for r in (ranges, like))
    assert np.std(shared) < 0.5 * np.std(own)
    assert abs(shared.mean() - 1) < 0.01
    alone, alike = (normalise(clean, ENERGIES, r).norm for r in (ranges, like))
    assert np.abs(alike - alone).max() < 0.06
    assert np.abs(alike - alone)[:, ENERGIES < E0 - 20].max() < 0.01
    assert steadied(noisy, ENERGIES, ranges, sigma=np.full(600, 1e-4)) is ranges
    assert steadied(noisy[:5], ENERGIES, ranges, sigma=np.full(5, 0.05)) is ranges


def test_e0_is_the_steepest_rise_between_the_energies():
    energy = np.arange(8300.0, 8400.0, 0.7)
    assert find_e0(energy, low(energy)) == pytest.approx(find_e0(energy + 0.0, 3 * low(energy) + 1), abs=1e-9)
    for e0 in (8338.1, 8339.7, 8342.25):
        step = 0.5 + np.arctan((energy - e0) / 2.0) / np.pi
        assert find_e0(energy, step) == pytest.approx(e0, abs=0.05)

    def steps(first, second):
        return first * np.arctan(energy - 8333) + second * np.arctan(energy - 8345)

    assert find_e0(energy, steps(1.0, 1.05)) == pytest.approx(8333, abs=0.1)  # a metal: the first of two alike
    assert find_e0(energy, steps(1.0, 1.4)) == pytest.approx(8345, abs=0.1)
    assert np.isnan(find_e0(energy, np.full(len(energy), np.nan)))
    assert np.isnan(find_e0(energy, -energy))


def test_noise_is_found_with_its_profile_over_energy():
    rng = np.random.default_rng(3)
    clean = mixed(ENERGIES, rng.random(3000))
    profile = np.exp(clean.mean(0))
    profile /= profile.mean()
    sigma = rng.uniform(0.01, 0.04, 3000)
    noisy = clean + sigma[:, None] * np.sqrt(profile) * rng.standard_normal(clean.shape)
    found = spectral_noise(noisy, ENERGIES, E0)
    assert np.median(found.sigma / sigma) == pytest.approx(1.0, abs=0.03)
    assert np.abs(found.profile - profile).max() < 0.2
    flat = spectral_noise(clean + 0.02 * rng.standard_normal(clean.shape), ENERGIES, E0)
    assert np.abs(flat.profile - 1).max() < 0.2


def test_noise_of_a_spectrum_with_missing_frames_and_of_too_few():
    rng = np.random.default_rng(4)
    mu = mixed(ENERGIES, np.full(40, 0.5)) + 0.02 * rng.standard_normal((40, len(ENERGIES)))
    mu[0, 10] = np.nan
    found = spectral_noise(mu, ENERGIES, E0)
    assert np.isfinite(found.sigma).all()
    assert np.isnan(spectral_noise(mu[:, :2], ENERGIES[:2], E0).sigma).all()
    assert spectral_noise(mu[:0], ENERGIES, E0).sigma.shape == (0,)


@pytest.mark.parametrize(
    ("energy", "word"), [(np.arange(8334.0, 8500.0, 1.0), "pre-edge"), (np.arange(8200.0, 8390.0, 1.0), "post-edge")]
)
def test_too_little_before_or_after_the_edge_is_said(energy, word):
    ranges = edge_ranges(energy, E0)
    assert len(ranges.warnings) == 1
    assert f"{word} " in ranges.warnings[0]
    assert "not determined" in ranges.warnings[0]
    assert edge_ranges(ENERGIES, E0).warnings == ()


def test_bad_input_is_one_sentence():
    with pytest.raises(InputError, match=r"8230\.0 to 8517\.0 eV"):
        edge_ranges(ENERGIES, 7112.0)
    with pytest.raises(InputError, match="order 0, 1 or 2"):
        edge_ranges(ENERGIES, E0, order=3)
    with pytest.raises(InputError, match="pre-edge range"):
        edge_ranges(ENERGIES, E0, pre=(-40, -40))
    with pytest.raises(InputError, match="one column an energy"):
        normalise(np.zeros((3, 4)), ENERGIES, edge_ranges(ENERGIES, E0))
    with pytest.raises(InputError, match="ascend"):
        normalise(np.zeros((1, len(ENERGIES))), ENERGIES[::-1], edge_ranges(ENERGIES, E0))


def test_given_ranges_are_kept_and_told():
    ranges = edge_ranges(ENERGIES, E0, pre=(-20, -90), post=(40, 1000), order=0)
    assert ranges.pre == (-90, -20)
    assert ranges.post == (40, ENERGIES[-1] - E0)
    assert ranges.post_order == 0
    assert "from -90 to -20 eV" in ranges.text()
    assert dataclasses.replace(ranges, pre_order=0).text().count("a constant") == 2
