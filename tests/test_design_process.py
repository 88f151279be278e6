"""The belief: exact where it can be checked, honest where it cannot."""

import numpy as np
import pytest

from morpholith import design
from morpholith.design import gaussian_process as gp
from morpholith.errors import InputError
from morpholith.specimens.recipe_problems import precipitation


def _inputs(n, rng, *, real=0):
    flag = np.zeros(n, bool)
    flag[:real] = True
    return gp.Inputs(rng.random((n, 3)), rng.integers(0, 3, (n, 1)).astype(float), flag)


def _wave(inputs):
    x = inputs.x
    return np.sin(3 * x[:, 0]) + x[:, 1] ** 2 + 0.5 * inputs.words[:, 0] * x[:, 0]


def test_the_slope_of_the_posterior_is_that_of_finite_differences():
    rng = np.random.default_rng(0)
    data = _inputs(25, rng, real=8)
    y = rng.standard_normal(25)
    apart = [(data.x[:, None, j] - data.x[None, :, j]) ** 2 for j in range(3)]
    other = [data.words[:, None, 0] != data.words[None, :, 0]]
    prior = gp._prior(3, 1, True)
    theta = prior[0] + 0.3 * rng.standard_normal(7)
    rest = (y, np.full(25, 0.05), data, apart, other, gp._steady(data, data), prior)
    value, slope = gp._negative(theta, *rest)
    for j in range(7):
        step = np.zeros(7)
        step[j] = 1e-5
        numeric = (gp._negative(theta + step, *rest)[0] - gp._negative(theta - step, *rest)[0]) / 2e-5
        assert slope[j] == pytest.approx(numeric, rel=1e-4, abs=1e-6)
    full = gp.covariance(theta, data, data) + np.diag(0.05 + np.exp(theta[-2]) + np.full(25, 1e-9))
    sign, log = np.linalg.slogdet(full)
    off = (theta - prior[0]) / prior[1]
    assert value == pytest.approx(0.5 * y @ np.linalg.solve(full, y) + 0.5 * sign * log + 0.5 * off @ off)


def test_prediction_is_the_textbook_formula():
    rng = np.random.default_rng(1)
    data, new = _inputs(30, rng), _inputs(7, rng)
    made = gp.fit_process(data, _wave(data), np.full(30, 1e-4))
    full = gp.covariance(made.theta, data, data) + np.diag(made.variance + 1e-9)
    cross = gp.covariance(made.theta, data, new)
    y = (_wave(data) - made.centre) / made.scale
    mean, sd = made.at(new)
    np.testing.assert_allclose(mean, made.centre + made.scale * cross.T @ np.linalg.solve(full, y), rtol=1e-6)
    own = gp.covariance(made.theta, new, new) - cross.T @ np.linalg.solve(full, cross)
    np.testing.assert_allclose(sd, made.widen * made.scale * np.sqrt(np.diag(own)), rtol=1e-4)
    np.testing.assert_allclose(np.sqrt(np.diag(made.joint(new)[1])), sd, rtol=1e-6)
    np.testing.assert_allclose(np.diag(gp.covariance(made.theta, new, new)), gp.own_variance(made.theta, new))


def test_a_smooth_descriptor_is_learnt_over_numbers_and_words():
    rng = np.random.default_rng(2)
    data, new = _inputs(60, rng), _inputs(200, rng)
    made = gp.fit_process(data, _wave(data), np.full(60, 1e-6))
    mean, _ = made.at(new)
    assert 1 - np.var(mean - _wave(new)) / np.var(_wave(new)) > 0.99


def test_what_is_pending_is_less_uncertain_and_not_moved():
    rng = np.random.default_rng(3)
    data, new = _inputs(30, rng), _inputs(5, rng)
    made = gp.fit_process(data, _wave(data), np.full(30, 1e-3))
    later = made.pending(new.take([0, 1]))
    np.testing.assert_allclose(later.at(new)[0], made.at(new)[0])
    assert (later.at(new)[1][:2] < 0.8 * made.at(new)[1][:2]).all()
    # as if refitted with what was expected
    both = gp.joined(data, new.take([0, 1]))
    full = gp.covariance(made.theta, both, both) + np.diag(later.variance)
    cross = gp.covariance(made.theta, both, new)
    own = np.diag(gp.covariance(made.theta, new, new) - cross.T @ np.linalg.solve(full, cross))
    np.testing.assert_allclose(later.at(new)[1], made.widen * made.scale * np.sqrt(own), rtol=1e-4)
    assert made.pending(new.take([])) is made


def test_the_logarithm_is_taken_where_it_fits_better():
    rng = np.random.default_rng(4)
    data = _inputs(50, rng)
    wave = np.exp(3 * data.x[:, 0] + data.x[:, 1])
    assert gp.fit_process(data, wave, (0.02 * wave) ** 2).log
    line = 3 + data.x[:, 0] + 4 * data.x[:, 1]
    assert not gp.fit_process(data, line, np.full(50, 1e-4)).log
    assert not gp.fit_process(data, line - 5, np.full(50, 1e-4)).log


def test_a_constant_descriptor_is_constant():
    data = _inputs(12, np.random.default_rng(5))
    mean, _ = gp.fit_process(data, np.full(12, 4.0), np.full(12, np.nan)).at(data)
    np.testing.assert_allclose(mean, 4.0)


def _precipitation(draws=8, seed=0, n=50):
    problem = precipitation(draws=draws)
    space = design.Space({**problem.conditions, "time_min": design.Continuous(30, 1440, log=True)})
    rng = np.random.default_rng(seed)
    table = space.spread_codes(n, rng=rng)
    rows = space.decode(table).to_dict("records")
    records = [
        design.Record(c, design.read_results(problem(c, seed=int(rng.integers(1 << 30)))), "start", 0, i, i)
        for i, c in enumerate(rows)
    ]
    return problem, space, records


def test_intervals_hold_the_truth_as_often_as_they_say():
    inside = {n: [] for n in ("texture", "d50_um", "circularity")}
    for seed in range(12):
        problem, space, records = _precipitation(seed=seed, draws=4)
        model = design.fit_model(space, design.objective({n: 1.0 for n in inside}), records)
        new = space.draw_codes(60, rng=np.random.default_rng(1000 + seed))
        _, low, high = model.interval(new)
        for i, c in enumerate(space.decode(new).to_dict("records")):
            truth = problem.truth(c)
            for k, n in enumerate(model.names):
                inside[n].append(low[i, k] <= truth[n] <= high[i, k])
    shares = {n: np.mean(v) for n, v in inside.items()}
    # 720 each, alike within a repeat: 95 % give or take what 12 repeats allow
    assert all(0.89 <= s <= 0.995 for s in shares.values()), shares


def test_probability_of_being_within_is_that_of_the_draws():
    _, space, records = _precipitation()
    goal = design.objective(
        [
            design.Target("texture", 0.5, 0.1),
            design.Target("d50_um", 7.0, 1.0, "high"),
            design.Target("circularity", 0.9, 0.03, "low"),
        ]
    )
    model = design.fit_model(space, goal, records)
    codes = space.draw_codes(30, rng=np.random.default_rng(2))
    draws = model.functions(codes, 4000, rng=np.random.default_rng(3))
    np.testing.assert_allclose(goal.within(draws).mean(axis=0), model.p_within(codes), atol=0.03)
    f = goal.f(draws).mean(axis=0)
    np.testing.assert_allclose(model.expected_f(codes), f, rtol=0.1, atol=0.05)


def test_common_seeds_do_not_make_certain():
    """With one seed all calls share their noise, which no number of calls averages away."""
    problem = precipitation(draws=8)
    space = design.Space(problem.conditions)
    rows = space.decode(space.spread_codes(40, rng=np.random.default_rng(0))).to_dict("records")
    new = space.draw_codes(40, rng=np.random.default_rng(1))
    truth = [problem.truth(c)["d50_um"] for c in space.decode(new).to_dict("records")]
    inside, naive = [], []
    for seed in range(20):
        made = [design.read_results(problem(c, seed=seed)) for c in rows]
        for seeds, into in ((np.full(40, 5), inside), (np.arange(40), naive)):
            records = [design.Record(c, m, "start", 0, 0, s) for c, m, s in zip(rows, made, seeds, strict=True)]
            _, low, high = design.fit_model(space, design.objective({"d50_um": 7.0}), records).interval(new)
            into.append((low[:, 0] <= truth) & (truth <= high[:, 0]))
    assert np.mean(inside) > 0.88
    assert np.mean(naive) < np.mean(inside) - 0.08


def test_powders_that_were_made_move_the_prediction_to_what_is_made():
    problem, space, records = _precipitation(n=40)
    rng = np.random.default_rng(5)
    made = []
    for c in space.draw(8, rng=rng).to_dict("records"):
        truth = problem.truth(c)
        made.append(design.powder(space, c, {"d50_um": (1.2 * truth["d50_um"], 0.05)}))
    new = space.draw_codes(40, rng=rng)
    truth = np.array([problem.truth(c)["d50_um"] for c in space.decode(new).to_dict("records")])
    simulated = design.fit_model(space, design.objective({"d50_um": 7.0}), records)
    real = design.fit_model(space, design.objective({"d50_um": 7.0}), records + made)
    assert not simulated.real
    assert real.real
    assert np.median(simulated.median(new)[:, 0] / truth) == pytest.approx(1.0, abs=0.03)
    assert np.median(real.median(new)[:, 0] / truth) == pytest.approx(1.2, abs=0.04)


def test_too_few_values_are_said():
    _, space, records = _precipitation(n=4)
    with pytest.raises(InputError, match="'ash' has 0 finite values"):
        design.fit_model(space, design.objective({"ash": 1.0}), records)
