"""Learning a marker law from sections: what is known comes back, within intervals that hold; what is not is said."""

import numpy as np
import pytest

from morpholith.errors import InputError
from morpholith.generate import MarkerLaw, cut_ball, describe_grains, learn_law, predict_grains, wide_prior
from morpholith.generate import _law_checks as checks
from morpholith.generate._law_likelihood import emulate
from morpholith.generate._law_regression import weighted_quantile
from morpholith.generate._law_rounds import Proposal, Simulations, drawn
from morpholith.generate.law_prior import PARAMETERS
from morpholith.segment import Section

LAW = MarkerLaw(12.0, radial_ratio=2.6, disorder=0.1, size_spread=0.1, regularity=0.4, radius_um=2.4)


def cuts(law, n, *, seed, height=0.0, step=0.07):
    rng = np.random.default_rng(seed)
    return [cut_ball(law, radius_um=2.4, height_um=height, step_um=step, rng=rng) for _ in range(n)]


@pytest.fixture(scope="module")
def learnt():
    return learn_law(cuts(LAW, 2, seed=1), rng=np.random.default_rng(2), budget=260, n_calibration=30)


def test_sections_of_needles_say_needles_and_how_many(learnt):
    table = learnt.table
    assert table.loc["intensity_per_um3", "low"] < 12 < table.loc["intensity_per_um3", "high"]
    assert table.loc["radial_ratio", "low"] < 2.6 < table.loc["radial_ratio", "high"]
    assert table.loc["radial_ratio", "low"] > 1  # longer along the radius, without doubt
    assert table.loc["intensity_per_um3", "width"] < 0.5
    assert learnt.best.radial_ratio == pytest.approx(2.6, rel=0.5)
    assert learnt.misfit.p > 0.02


def test_what_sections_do_not_tell_keeps_the_width_of_the_prior_and_is_said(learnt):
    assert (learnt.table["identifiable"] != "yes").any()  # two small sections do not tell everything
    hidden = learnt.table.index[learnt.table["identifiable"] == "no"]
    for name in hidden:
        low, high = learnt.table.loc[name, ["low", "high"]]
        prior_low, prior_high = learnt.table.loc[name, ["prior_low", "prior_high"]]
        assert high - low > 0.4 * (prior_high - prior_low)
    assert any("do not tell" in text for text in learnt.warnings) == bool(len(hidden))


def test_draws_lie_in_the_prior_and_weights_sum_to_one(learnt):
    assert learnt.weights.sum() == pytest.approx(1)
    laws = learnt.draw(40, rng=np.random.default_rng(0))
    unit = np.array([learnt.prior.unit(law) for law in laws])
    assert ((unit > 0) & (unit < 1)).all()
    assert learnt.heights["learnt"].tolist() == [False, False]
    near = learnt.statistics.dropna()
    assert ((near["low"] < near["observed"]) & (near["observed"] < near["high"])).mean() > 0.7


def test_grains_in_3d_are_predicted_with_intervals(learnt):
    predicted = predict_grains(learnt, rng=np.random.default_rng(3), n_draws=25, n_prior=12, n_grains=100)
    assert list(predicted.index) == list(describe_grains(_few_grains()))
    assert (predicted["low"] <= predicted["median"]).all()
    assert (predicted["median"] <= predicted["high"]).all()
    true = describe_grains(_few_grains(400, 500))
    diameter = predicted.loc["diameter_um_d50"]
    # few simulations and grains: 5 % of slack
    assert 0.95 * diameter["low"] < true["diameter_um_d50"] < 1.05 * diameter["high"]
    assert diameter["width"] < 1
    assert predicted.loc["radial_ratio_q50", "median"] > 1.4


def _few_grains(n=20, voxels=60):
    from morpholith.generate import grains_of

    return grains_of(LAW, radius_um=2.4, rng=np.random.default_rng(1), n_grains=n, voxels_per_grain=voxels)


def test_the_same_seed_gives_the_same_posterior_and_heights_are_learnt():
    sections = [*cuts(LAW, 1, seed=4), *(_unknown(s) for s in cuts(LAW, 1, seed=5, height=1.6))]
    one, two = (
        learn_law(sections, rng=np.random.default_rng(6), budget=120, heights="unknown", n_calibration=10)
        for _ in range(2)
    )
    assert one.table.equals(two.table)
    assert one.heights["learnt"].tolist() == [False, True]
    row = one.heights.iloc[1]
    assert 0 <= row["low_um"] < row["median_um"] < row["high_um"] <= np.sqrt((1.3 * 2.4) ** 2 - 1.7**2)
    assert "order2_outer_section2" in one.statistics.index


def _unknown(section):
    from dataclasses import replace

    return replace(section, height_um=None)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sections": []}, "no sections"),
        ({"budget": 50}, "budget"),
        ({"heights": "somewhere"}, "heights"),
        ({"workers": 0}, "workers"),
        ({"particle_radius_um": -1.0}, "particle_radius_um"),
        ({"ranges": {"colour": (0, 1)}}, "colour"),
        ({"ranges": {"disorder": (1, 1)}}, "bound"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(change, words):
    given = {"sections": cuts(LAW, 1, seed=1, step=0.1), "budget": 200, **change}
    with pytest.raises(InputError, match=words):
        learn_law(given.pop("sections"), rng=np.random.default_rng(0), **given)


def test_a_section_of_few_grains_is_refused():
    labels = np.zeros((20, 24), np.int32)
    labels[2:10, 3:20], labels[10:18, 3:20] = 1, 2
    with pytest.raises(InputError, match="2 grains"):
        learn_law([Section(labels, labels > 0, 0.1, (9.5, 11.5))], rng=np.random.default_rng(0))


def test_the_prior_is_uniform_in_what_it_says():
    prior = wide_prior(4.0, radius_um=5.0, ranges={"disorder": (0.0, 0.4)})
    corners = prior.numbers(np.array([[0.0] * 9, [0.5] * 9, [1.0] * 9]))
    table = dict(zip(PARAMETERS, corners.T, strict=True))
    assert table["disorder"] == pytest.approx([0, 0.2, 0.4])
    assert table["intensity_per_um3"][1] == pytest.approx((4 / 1.458) ** 1.5)
    assert table["intensity_per_um3"][2] / table["intensity_per_um3"][0] == pytest.approx(25)
    assert table["radial_ratio"][1] == pytest.approx(np.sqrt(0.3 * 5))
    unit = np.random.default_rng(1).uniform(size=(5, 9))
    assert np.array([prior.unit(law) for law in prior.laws(unit)]) == pytest.approx(unit)


# --- the inference itself, where the answer is known ----------------------------------------------------------


def gaussian(n, rng, proposal=None):
    """Statistics of which the posterior of three numbers is known: two noisy copies of the first, one of the second."""
    z = proposal.draw(n, rng) if proposal else rng.standard_normal((n, 3))
    noise = rng.standard_normal((n, 3)) * [0.5, 0.5, 1.0]
    return z, np.stack([z[:, 0], z[:, 0], z[:, 1]], 1) + noise


OBSERVED = np.array([1.0, 0.6, -0.8])
MEAN = np.array([8 * 0.8 / 9, -0.4, 0.0])  # precision 1 + 2 / 0.25, and 1 + 1; the third is not seen
SD = np.sqrt([1 / 9, 1 / 2, 1.0])


def simulated(n, rng, proposal=None):
    z, statistics = gaussian(n, rng, proposal)
    return Simulations(z, statistics, np.sqrt([1.25, 1.25, 2.0]), 0)


@pytest.mark.parametrize("later", [False, True])
def test_the_posterior_of_normal_numbers_is_exact_whatever_was_simulated_from(later):
    rng = np.random.default_rng(7)
    made = simulated(2000, rng)
    if later:
        more = simulated(1000, rng, Proposal(np.array([1.0, -1.0, 0.5]), np.diag([0.6, 0.9, 1.2])))
        made = made._replace(
            z=np.vstack([made.z, more.z]), statistics=np.vstack([made.statistics, more.statistics])
        )  # fmt: skip
    _, draws = drawn(made, OBSERVED, 0.0, rng)
    assert draws.mean(0) == pytest.approx(MEAN, abs=0.12)
    assert draws.std(0) == pytest.approx(SD, rel=0.15)


def test_what_no_law_explains_widens_the_posterior():
    """A discrepancy of a standard deviation of the statistics adds to their noise."""
    rng = np.random.default_rng(8)
    made = simulated(2000, rng)
    _, draws = drawn(made, OBSERVED, 1.0, rng)
    precision = 1 + 2 / (0.25 + 1.25)
    assert draws.std(0)[0] == pytest.approx(precision**-0.5, rel=0.15)
    assert draws.std(0)[2] == pytest.approx(1, rel=0.15)


def test_two_peaks_are_both_found():
    """The statistic is the square of the parameter, so that its sign is not told."""
    rng = np.random.default_rng(9)
    z = rng.standard_normal((1500, 2))
    statistics = np.stack([z[:, 0] ** 2, z[:, 1]], 1) + 0.1 * rng.standard_normal((1500, 2))
    made = Simulations(z, statistics, np.array([1.0, 1.0]), 0)
    _, draws = drawn(made, np.array([1.0, 0.0]), 0.05, rng)
    assert 0.25 < (draws[:, 0] > 0).mean() < 0.75
    assert np.abs(draws[:, 0]).mean() == pytest.approx(1.0, abs=0.35)  # a polynomial is no square of a quantile
    assert (np.abs(draws[:, 0]) < 0.2).mean() < 0.1


def test_far_from_simulations_the_emulator_is_less_sure():
    rng = np.random.default_rng(10)
    z = np.column_stack([rng.uniform(-0.5, 0.5, 800), rng.standard_normal((800, 2))])
    made = gaussian(800, rng)[1] * 0 + np.stack([z[:, 0], z[:, 0], z[:, 1]], 1) + 0.3 * rng.standard_normal((800, 3))
    emulator = emulate(z, made, OBSERVED, widths=np.ones(3), discrepancy=0.0)
    near, far = emulator.mean(np.zeros((1, 3)))[1][0], emulator.mean(np.array([[2.0, 0, 0]]))[1][0]
    assert 1 < near < 1.1
    assert far > 2 * near


def test_intervals_hold_in_simulations():
    rng = np.random.default_rng(9)
    made = simulated(1500, rng)
    good = checks.calibrate(made, OBSERVED, around=(MEAN, SD), n=150, rng=rng)
    assert good.covered == pytest.approx(np.repeat([[0.5], [0.8], [0.95]], 3, axis=1), abs=0.12)
    assert good.widen.max() < 1.3


def test_data_that_no_simulation_looks_like_are_told():
    rng = np.random.default_rng(10)
    made = simulated(1500, rng)
    names = np.array(["first", "second", "third"])
    found = []
    for observed in (OBSERVED, np.array([2.5, -2.5, 0.0])):  # two copies of one number cannot be so far apart
        emulator, draws = drawn(made, observed, 0.0, rng)
        found.append(checks.misfit(emulator, draws, observed, names))
    assert found[0].p > 0.1
    assert found[0].worst == ()
    assert found[1].p < 0.01
    assert {"first", "second"} <= {name for name, _ in found[1].worst}


def test_weighted_quantiles_are_those_of_repeated_values():
    values, weights = np.array([3.0, 1.0, 2.0, 5.0]), np.array([0.1, 0.4, 0.4, 0.1])
    found = weighted_quantile(np.stack([values, -values], 1), weights, (0.2, 0.6, 0.95))
    assert found[:, 0] == pytest.approx([1.0, 2.0, 5.0])
    assert found[1, 1] == pytest.approx(-1.5)
