"""Linear combinations of references: exact mixtures, constraints, the shift of the axis, and a measured stack."""

import numpy as np
import pytest
import tifffile
from _spectra import E0, ENERGIES, high, low, mixed
from scipy.optimize import nnls

from morpholith.errors import InputError
from morpholith.measure import combine, edge_ranges, find_e0, fit_axis, prepare_references, state_values, valence
from morpholith.measure.reference_fit import background_columns, fit_window

PAIR = np.array([low(ENERGIES), high(ENERGIES)])
LINE = background_columns(ENERGIES, E0, 1)
RANGES = edge_ranges(ENERGIES, E0)
DENSE = np.arange(8150.0, 8700.0, 0.5)
REFERENCES = {"NiO": (DENSE, low(DENSE), True), "LiNiO2": (DENSE, high(DENSE), True)}


def prepared(**more):
    return prepare_references(REFERENCES | more, e0_ev=E0, element="Ni")


# --- fits --------------------------------------------------------------------------------------------------


def test_exact_mixtures_on_any_background_are_recovered():
    state = np.linspace(0.05, 0.95, 7)
    found = combine(mixed(ENERGIES, state, step=0.4, offset=-0.2, slope=3e-4), PAIR, background=LINE)
    np.testing.assert_allclose(found.fractions, np.stack([1 - state, state], 1), atol=1e-9)
    np.testing.assert_allclose(found.weights.sum(1), 0.4, atol=1e-9)
    np.testing.assert_allclose(found.background, np.broadcast_to([-0.2, 0.015], (7, 2)), atol=1e-9)
    assert found.r_factor.max() < 1e-16
    np.testing.assert_allclose(found.mean_of([2, 3])[0], 2 + state, atol=1e-9)


def test_fractions_are_those_of_larch():
    # xraylarch 2026.3.1, lincombo_fit of `norm` from 8322 to 8392 eV, each end at the energy at or below
    use = (ENERGIES >= 8320) & (ENERGIES <= 8389)
    mu = 0.35 * PAIR[0] + 0.65 * PAIR[1] + 0.01 * np.sin(ENERGIES / 3)
    one = combine(mu[use], PAIR[:, use], sum_to_one=True)
    np.testing.assert_allclose(one.weights[0], [0.3501225359, 0.6498774641], atol=1e-6)
    free = combine(mu[use], PAIR[:, use])
    np.testing.assert_allclose(free.weights[0], [0.34914447942, 0.64943830827], atol=1e-6)
    assert one.r_factor[0] == pytest.approx(6.213782e-05, rel=1e-4)
    assert free.r_factor[0] == pytest.approx(6.014409e-05, rel=1e-4)


def test_non_negative_weights_are_the_least_squares_ones():
    rng = np.random.default_rng(1)
    references = np.vstack([PAIR, np.roll(PAIR, 7, axis=1)])
    mu = rng.uniform(-0.3, 1, (150, 4)) @ references + 0.1 * rng.standard_normal((150, len(ENERGIES)))
    found = combine(mu, references)
    oracle = np.array([nnls(references.T, row)[0] for row in mu])
    np.testing.assert_allclose(found.weights, oracle, atol=1e-8)
    assert (found.weights == 0).any(1).mean() > 0.3
    assert (combine(mu, references, bounded=False).weights < 0).any()


def test_a_sum_of_one_with_bounds_is_the_best_on_the_simplex():
    rng = np.random.default_rng(2)
    mu = rng.uniform(-0.5, 1.5, (60, 1)) * (PAIR[1] - PAIR[0]) + PAIR[0]
    found = combine(mu + 0.05 * rng.standard_normal(mu.shape), PAIR, sum_to_one=True)
    np.testing.assert_allclose(found.weights.sum(1), 1, atol=1e-12)
    assert found.weights.min() == 0
    assert found.weights.max() == pytest.approx(1)


@pytest.mark.parametrize("photons", [False, True])
def test_the_error_of_the_state_holds(photons):
    rng = np.random.default_rng(3)
    state = rng.uniform(0, 1, 4000)
    clean = mixed(ENERGIES, state)
    profile = np.where(ENERGIES > E0 + 8, 6.0, 0.5) if photons else np.ones(len(ENERGIES))
    profile /= profile.mean()
    sigma = rng.uniform(0.01, 0.04, 4000)
    noisy = clean + sigma[:, None] * np.sqrt(profile) * rng.standard_normal(clean.shape)
    found = combine(noisy, PAIR, background=LINE, bounded=False, sigma=sigma, profile=profile)
    mean, se = found.mean_of([2, 3])
    z = (mean - 2 - state) / se
    assert 0.95 < z.std() < 1.05
    assert abs(z.mean()) < 0.06


def test_free_weights_leave_the_mean_unbiased_where_bounds_do_not():
    rng = np.random.default_rng(4)
    noisy = mixed(ENERGIES, np.zeros(3000)) + 0.05 * rng.standard_normal((3000, len(ENERGIES)))
    free = combine(noisy, PAIR, background=LINE, bounded=False).mean_of([2, 3])[0]
    bounded = combine(noisy, PAIR, background=LINE).mean_of([2, 3])[0]
    assert abs(free.mean() - 2) < 0.006
    assert bounded.mean() > 2.015


def test_bad_combinations_are_told():
    mu = mixed(ENERGIES, 0.5)
    with pytest.raises(InputError, match="cannot be told apart"):
        combine(mu, np.array([PAIR[0], PAIR[0]]))
    with pytest.raises(InputError, match="at most 5"):
        combine(mu, np.vstack([PAIR, PAIR, PAIR]))
    with pytest.raises(InputError, match="do not determine"):
        combine(mu[:3], PAIR[:, :3], background=LINE[:3])


# --- axis and choice ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("shift", [-1.3, 0.0, 0.37, 2.1])
def test_the_shift_of_the_axis_is_found_with_its_error(shift):
    rng = np.random.default_rng(5)
    spectra = mixed(ENERGIES + shift, np.array([0.1, 0.4, 0.8])) + 0.003 * rng.standard_normal((3, len(ENERGIES)))
    found = fit_axis(spectra, ENERGIES, prepared(), RANGES)
    assert found.chosen == (0, 1)
    assert 0.002 < found.shift_se < 0.05
    assert abs(found.shift_ev - shift) < 3.5 * found.shift_se
    assert found.r_factor < 1e-3
    assert found.warnings == ()


def test_errors_of_the_shift_hold():
    rng = np.random.default_rng(6)
    clean = mixed(ENERGIES + 0.6, np.array([0.2, 0.7]))
    z = []
    for _ in range(40):
        found = fit_axis(clean + 0.01 * rng.standard_normal(clean.shape), ENERGIES, prepared(), RANGES)
        z.append((found.shift_ev - 0.6) / found.shift_se)
    assert 0.7 < np.std(z) < 1.3
    assert abs(np.mean(z)) < 0.5


def test_a_tilted_spectrum_does_not_move_the_shift():
    tilt = 1 - 2.8 * (ENERGIES - E0) / E0
    spectra = (mixed(ENERGIES, np.array([0.2, 0.8]), offset=0.0, slope=0.0)) * tilt
    found = fit_axis(spectra, ENERGIES, prepared(), RANGES)
    assert found.shift_ev == pytest.approx(0.0, abs=0.02)
    assert found.tilt == pytest.approx(-2.8 * 50 / E0, abs=0.003)
    assert abs(fit_axis(spectra, ENERGIES, prepared(), RANGES, order=0).shift_ev) > 0.03


def test_a_given_shift_is_kept_and_one_beyond_reach_is_said():
    spectra = mixed(ENERGIES + 1.0, np.array([0.5]))
    assert fit_axis(spectra, ENERGIES, prepared(), RANGES, shift_ev=1.0).shift_ev == 1.0
    assert np.isnan(fit_axis(spectra, ENERGIES, prepared(), RANGES, shift_ev=1.0).shift_se)
    far = fit_axis(mixed(ENERGIES + 9.0, np.array([0.5])), ENERGIES, prepared(), RANGES)
    assert "largest shift" in far.warnings[0]


def test_of_a_library_only_what_is_needed_is_chosen():
    rng = np.random.default_rng(7)
    others = {
        f"other{k}": (DENSE, low(DENSE + 2 * k) + 0.3 * np.exp(-0.5 * ((DENSE - E0 - 5 * k) / 3) ** 2), True)
        for k in (-2, -1, 1, 2)
    }
    spectra = mixed(ENERGIES + 0.8, np.array([0.15, 0.5, 0.9])) + 0.003 * rng.standard_normal((3, len(ENERGIES)))
    found = fit_axis(spectra, ENERGIES, prepared(**others), RANGES)
    assert found.chosen == (0, 1)
    assert found.shift_ev == pytest.approx(0.8, abs=0.05)


def test_references_raw_or_normalised_come_out_the_same():
    raw = 3 * low(DENSE) + 0.5 - 1e-3 * (DENSE - E0)
    one, other = prepare_references(
        {"a": (DENSE, raw, False), "b": (DENSE, low(DENSE), False)}, e0_ev=E0, element="Ni"
    )  # fmt: skip
    near = np.abs(DENSE - E0) < 60
    np.testing.assert_allclose(one.norm[near], other.norm[near], atol=0.03)
    assert one.at(np.array([0.0]))[0] == one.norm[0]


def test_bad_references_are_told():
    with pytest.raises(InputError, match="has no edge near 8340 eV"):
        prepare_references({"Fe": (DENSE - 1221, low(DENSE), True)}, e0_ev=E0, element="Ni")
    with pytest.raises(InputError, match="no reference named 'Ni2O3'"):
        prepare_references(REFERENCES, e0_ev=E0, element="Ni", valences={"Ni2O3": 3})
    with pytest.raises(InputError, match="a fit needs eight"):
        fit_axis(mixed(ENERGIES, 0.5)[None, :6], ENERGIES[:6], prepared(), RANGES)
    with pytest.raises(InputError, match="no reference spectra"):
        fit_axis(mixed(ENERGIES, 0.5), ENERGIES, [], RANGES)


@pytest.mark.parametrize(
    ("name", "element", "state"),
    [
        ("ref_NiO", "Ni", 2), ("LiNiO2", "Ni", 3), ("NiOH2_rt_01", "Ni", 2), ("Ni_metal_rt_02", "Ni", 0),
        ("Ni foil", "Ni", 0), ("LiFe(II)PO4", "Fe", 2), ("Fe(III)PO4", "Fe", 3), ("Magnetite", "Fe", 8 / 3),
        ("Hematite_NP", "Fe", 3), ("MnO_rt_01", "Mn", 2), ("LiMn2O4", "Mn", 3.5),
    ],
)  # fmt: skip
def test_names_tell_oxidation_states(name, element, state):
    assert valence(name, element) == pytest.approx(state)


@pytest.mark.parametrize(("name", "element"), [("sample7", "Ni"), ("Fe3P", "Fe"), ("NiO", "Co"), ("", "Ni")])
def test_names_that_tell_nothing(name, element):
    assert np.isnan(valence(name, element))


def test_what_the_state_means():
    values, scale = state_values(prepared())
    assert scale == "oxidation state"
    assert values.tolist() == [2, 3]
    values, scale = state_values(
        prepare_references({"a": REFERENCES["LiNiO2"], "b": REFERENCES["NiO"]}, e0_ev=E0, element="Ni")
    )
    assert scale == "fraction of a"
    assert values.tolist() == [1, 0]


# --- a measured stack --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lfp(data):
    folder = data / "xanes" / "lfp_stack"
    energy = np.loadtxt(folder / "test_energy.txt")
    mean = tifffile.imread(folder / "test_stack.tiff").astype(float).mean((1, 2))
    header = (folder / "Fe_library.nor").read_text().splitlines()
    names = [line.split(": ", 1)[1].strip() for line in header if line.startswith("# Column.")][1:]
    table = np.loadtxt(folder / "Fe_library.nor")
    spectra = {name: (table[:, 0], table[:, k + 1], True) for k, name in enumerate(names)}
    return energy, mean, prepare_references(spectra, e0_ev=7120.0, element="Fe")


def test_the_lfp_stack_is_about_94_per_cent_lifepo4_at_a_shift_of_two_ev(lfp):
    energy, mean, references = lfp
    assert len(references) == 11
    basis = np.array([r.at(energy + 2.0) for r in references])
    weights = nnls(basis.T, mean)[0]
    share = weights / weights.sum()
    assert references[int(share.argmax())].name == "LiFe(II)PO4"
    assert share.max() == pytest.approx(0.944, abs=0.01)


def test_the_lfp_shift_is_found_by_itself(lfp):
    energy, mean, references = lfp
    ranges = edge_ranges(energy, find_e0(energy, mean))
    for order in (-1, 0, 1):
        found = fit_axis(mean, energy, references, ranges, order=order)
        assert found.shift_ev == pytest.approx(1.8, abs=0.1)
        assert found.shift_se < 0.25
        assert found.r_factor < 1e-3
        assert len(found.chosen) in (2, 3)
        use = fit_window(energy, ranges, references, shift_ev=found.shift_ev)
        basis = np.array([references[k].at(energy[use] + found.shift_ev) for k in found.chosen])
        fit = combine(mean[use], basis, background=background_columns(energy[use], ranges.e0_ev, order))
        share = dict(zip([references[k].name for k in found.chosen], fit.fractions[0], strict=True))
        assert share["LiFe(II)PO4"] > 0.94
