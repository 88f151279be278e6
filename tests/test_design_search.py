"""Recipes for powders whose answer is known."""

import warnings

import numpy as np
import pandas as pd
import pytest

from morpholith import design
from morpholith.design.proposals import propose
from morpholith.errors import InputError, InputWarning
from morpholith.specimens.recipe_problems import diamond, precipitation, quarrel


@pytest.fixture(autouse=True)
def _few_recipes():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "only .* distinct recipes")
        yield


def _precipitation_space(problem, **more):
    kinds = dict(problem.conditions)
    kinds["time_min"] = design.Continuous(*kinds["time_min"], log=True)
    kinds["stirring_rpm"] = design.Integer(*kinds["stirring_rpm"])
    return design.Space(kinds, constraints=["naoh + 0.3*nh4oh <= 0.35"], **more)


def test_powders_that_exist_are_found():
    problem = precipitation()
    space = _precipitation_space(problem)
    hit, inside = [], []
    for seed in range(2):
        rng = np.random.default_rng(seed)
        targets = problem.truth(space.draw(1, rng=rng).to_dict("records")[0])
        found = design.search(problem, space, targets, rng=rng, calls=80)
        assert found.calls <= 80
        assert len(found.trajectory) == found.calls
        assert space.allows(found.recipes).all()
        assert space.allows(found.trajectory).all()
        assert found.reach.verdict == "reached"
        codes = space.encode(found.recipes)
        apart = space.distance(codes, codes)
        assert (apart[np.triu_indices(len(codes), 1)] >= 0.05).all()
        for row in found.recipes.to_dict("records"):
            truth = problem.truth(row)
            hit.append(max(abs(truth[n] / targets[n] - 1) for n in targets) <= 0.03)
            inside += [row[f"{n}_low"] <= truth[n] <= row[f"{n}_high"] for n in truth]
    assert len(hit) >= 6
    assert np.mean(hit) >= 0.9
    assert np.mean(inside) >= 0.85


@pytest.mark.parametrize(("off", "verdict"), [(0.0, "reached"), (3.0, "unreachable")])
def test_what_cannot_be_reached_is_called_so_with_the_nearest(off, verdict):
    """The nearest recipe to a target beyond an edge of the diamond is its projection, known exactly."""
    problem = diamond()
    space = design.Space(problem.conditions)
    tolerance = 0.06
    targets = [
        design.Target("a", 3.4 + off * tolerance, tolerance),
        design.Target("b", 2.6 + off * tolerance, tolerance),
    ]
    found = design.search(problem, space, targets, rng=1, calls=50)
    assert found.reach.verdict == verdict
    shortfall = found.reach.shortfall
    assert shortfall.low - 0.1 <= off <= shortfall.high + 0.1
    truth = problem.truth(found.recipes.iloc[0])
    assert np.hypot(truth["a"] - 3.4, truth["b"] - 2.6) < (1.0 if off == 0 else 0.3) * tolerance
    if verdict == "unreachable":
        assert found.reach.p_reachable <= 0.05
        assert "cannot be reached" in found.reach.sentence
        assert "nearest" in found.reach.sentence
        assert len(found.region) == 0
    else:
        assert found.calls < 50
        inside = [problem.truth(c) for c in found.region.to_dict("records")]
        assert np.mean([abs(t["a"] - 3.4) < 0.06 and abs(t["b"] - 2.6) < 0.06 for t in inside]) > 0.9


def test_process_windows_are_those_of_the_truth():
    problem = diamond(noise=0.005)
    space = design.Space(problem.conditions)
    found = design.search(
        problem, space, [design.Target("a", 3.0, 0.2), design.Target("b", 2.0, 0.2)], rng=2, calls=40, enough=None
    )
    row = found.recipes.iloc[0]
    # |x + y - 1| <= 0.2 and |x - y| <= 0.2, one moved at a time
    for name, other in (("x", "y"), ("y", "x")):
        assert row[f"{name}_low"] == pytest.approx(max(0.8 - row[other], row[other] - 0.2), abs=0.03)
        assert row[f"{name}_high"] == pytest.approx(min(1.2 - row[other], row[other] + 0.2), abs=0.03)


def test_process_windows_end_at_constraints():
    problem = diamond(noise=0.005)
    space = design.Space(problem.conditions, constraints=["x + y <= 1.05"])
    targets = [design.Target("a", 3.0, 0.2), design.Target("b", 2.0, 0.2)]
    found = design.search(problem, space, targets, rng=2, calls=30, recipes=3)
    for row in found.recipes.to_dict("records"):
        assert row["x_high"] <= 1.05 - row["y"] + 1e-6
        assert row["y_high"] <= 1.05 - row["x"] + 1e-6
        assert row["x_low"] <= row["x"] <= row["x_high"]


def test_a_gap_in_the_training_is_extrapolation():
    space = design.Space({"x": (0, 10)})
    training = pd.DataFrame({"x": [0.0, 0.5, 1.0, 9.0, 9.5, 10.0]})
    got = design.training_distance(pd.DataFrame({"x": [0.7, 5.0]}), training, space=space)
    assert got["extrapolates"].tolist() == [False, True]
    assert got["extrapolation"].tolist() == pytest.approx([0.4, 8.0])
    assert got["beyond"].tolist() == ["", ""]


def test_the_pareto_front_is_found():
    problem = quarrel()
    space = design.Space(problem.conditions)
    targets = [
        design.Target("a", direction="high", tolerance=0.02),
        design.Target("b", direction="high", tolerance=0.02),
    ]
    found = design.search(problem, space, targets, rng=3, calls=50)
    truth = [problem.truth(c) for c in found.pareto.to_dict("records")]
    got = -np.array([[t["a"], t["b"]] for t in truth])
    x = np.linspace(0, 1, 400)
    reference = np.array([0.1, 0.1])
    assert design.hypervolume(got, reference) > 0.95 * design.hypervolume(np.c_[-x, x**2 - 1], reference)
    assert (found.pareto["v"] == "good").all()
    assert found.reach.verdict == "no end"
    assert len(found.pareto) > 10


def test_proposals_spread_over_the_trade_off_where_targets_conflict():
    problem = quarrel()
    space = design.Space(problem.conditions)
    rows = space.decode(space.spread_codes(14, rng=np.random.default_rng(0))).to_dict("records")
    records = [design.Record(c, design.read_results(problem(c, seed=i)), "start", 0, i, i) for i, c in enumerate(rows)]
    goal = design.objective([design.Target(n, direction="high", tolerance=0.02) for n in "ab"])
    model = design.fit_model(space, goal, records)
    known = space.encode(rows)
    spread = {}
    for conflict in (True, False):
        new = propose(model, known, 8, rng=np.random.default_rng(1), conflict=conflict)
        spread[conflict] = np.ptp(new[1::2, 0])
        assert (space.distance(new, new) + np.eye(8)).min() > 0.003
    # the best sum is at x = 1/2
    assert spread[True] > 0.4
    assert spread[True] > 1.5 * spread[False]


def test_targets_that_agree_have_one_row():
    problem = diamond()
    found = design.search(problem, design.Space(problem.conditions), {"a": 3.0, "b": 2.0}, rng=0, calls=30)
    assert len(found.pareto) == 1
    assert found.pareto[["loss_a", "loss_b"]].iloc[0].tolist() == [1.0, 1.0]


def test_the_swarm_finds_what_it_should():
    problem = diamond(noise=0.002)
    space = design.Space(problem.conditions)
    found = design.search(problem, space, {"a": 3.1, "b": 2.2}, rng=4, method="swarm", calls=300, particles=12)
    assert found.calls == 300
    assert found.trajectory["batch"].max() == 24
    least = found.trajectory.loc[found.trajectory["objective"].idxmin()]
    assert least["x"] == pytest.approx(0.65, abs=0.01)
    assert least["y"] == pytest.approx(0.45, abs=0.01)
    assert found.trajectory["best"].is_monotonic_decreasing


def test_common_seeds_make_the_swarm_see_one_function():
    problem = diamond(noise=0.3)
    space = design.Space(problem.conditions)
    seeds, draws = {}, {}
    for common in (True, False):
        seeds[common] = []

        def evaluate(conditions, *, seed, common=common):
            seeds[common].append(seed)
            return problem(conditions, seed=seed)

        made = design.search(
            evaluate, space, {"a": 3.1, "b": 2.2}, rng=4, method="swarm", calls=240, particles=12, common_seeds=common
        )
        draws[common] = made.trajectory["objective"].min() / made.trajectory["objective"].median()
    assert len(set(seeds[True])) == 1
    assert len(set(seeds[False])) == 240
    # the fixed function has its own zero, which the swarm finds; luck does not go as deep
    assert draws[True] < 0.3 * draws[False]


def test_constraints_words_and_fixed_conditions_are_kept_by_both():
    problem = precipitation()
    space = _precipitation_space(problem, fixed={"time_min": 600.0})
    targets = problem.truth(
        {"ph": 10.2, "naoh": 0.2, "nh4oh": 0.2, "time_min": 600, "stirring_rpm": 700, "atmosphere": "air"}
    )
    for method, calls in (("bayesian", 40), ("swarm", 200)):
        found = design.search(problem, space, targets, rng=5, method=method, calls=calls, particles=20)
        assert space.allows(found.trajectory).all()
        assert (found.recipes["time_min"] == 600).all()
        assert "time_min_low" not in found.recipes
        assert "atmosphere_also" in found.recipes


def test_the_cheaper_of_two_good_recipes_is_taken():
    """a = x + y can be had from any x: only the cost decides."""

    def evaluate(conditions, *, seed):
        rng = np.random.default_rng(seed)
        return {"a": conditions["x"] + conditions["y"] + 0.005 * rng.standard_normal(6)}

    space = design.Space({"x": (0, 1), "y": (0, 1)}, cost={"x": 1.0, "y": 5.0})
    found = design.search(evaluate, space, [design.Target("a", 0.9, 0.05)], rng=6, calls=40)
    best = found.recipes.iloc[0]
    assert best["y"] < 0.03
    assert best["cost"] == pytest.approx(best["x"] + 5 * best["y"])
    free = design.search(evaluate, space, [design.Target("a", 0.9, 0.05)], rng=6, calls=40, cost_weight=0.0)
    assert len(free.recipes) == 5
    assert np.ptp(free.recipes["x"]) > 0.4


def test_descriptors_without_a_target_are_predicted_too():
    problem = precipitation()
    space = _precipitation_space(problem)
    found = design.search(problem, space, {"d50_um": 8.0}, rng=7, calls=40)
    truth = problem.truth(found.recipes.iloc[0])
    assert found.recipes["texture"].iloc[0] == pytest.approx(truth["texture"], rel=0.25)
    assert (
        found.recipes["texture_low"].iloc[0] < found.recipes["texture"].iloc[0] < found.recipes["texture_high"].iloc[0]
    )


def test_calls_that_fail_are_left_out_and_counted():
    problem = diamond()

    def evaluate(conditions, *, seed):
        made = problem(conditions, seed=seed)
        return {**made, "a": np.full(8, np.nan)} if conditions["x"] > 0.9 else made

    space = design.Space(problem.conditions)
    with pytest.warns(InputWarning, match="not finite"):
        found = design.search(evaluate, space, {"a": 3.0, "b": 2.0}, rng=8, calls=30, enough=None)
    truth = problem.truth(found.recipes.iloc[0])
    assert truth["a"] == pytest.approx(3.0, abs=0.06)


def test_a_simulator_without_errors_is_used_and_said():
    problem = diamond()

    def evaluate(conditions, *, seed):
        return {n: float(np.mean(v)) for n, v in problem(conditions, seed=seed).items()}

    with pytest.warns(InputWarning, match="no standard error"):
        found = design.search(evaluate, design.Space(problem.conditions), {"a": 3.0, "b": 2.0}, rng=9, calls=30)
    truth = problem.truth(found.recipes.iloc[0])
    assert (truth["a"], truth["b"]) == pytest.approx((3.0, 2.0), rel=0.03)


def test_recipes_away_from_training_are_flagged():
    problem = diamond()
    space = design.Space(problem.conditions)
    rng = np.random.default_rng(0)
    training = pd.DataFrame({"x": rng.uniform(0, 0.5, 40), "y": rng.uniform(0, 1, 40)})
    for target, expected in ((2.9, False), (3.95, True)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = design.search(problem, space, {"a": target}, rng=9, calls=24, training=training, recipes=1)
        assert bool(found.recipes["extrapolates"].iloc[0]) is expected
        assert any("extrapolates" in str(w.message) for w in caught) is expected
        assert (found.recipes["beyond"].iloc[0] == "x") is expected


def test_each_call_is_told():
    problem = diamond()
    steps = []
    found = design.search(
        problem,
        design.Space(problem.conditions),
        {"a": 3.0, "b": 2.0},
        rng=0,
        calls=20,
        on_step=steps.append,
        enough=None,
    )
    assert [s.done for s in steps] == list(range(1, 21))
    assert steps[-1].total == 20
    np.testing.assert_allclose([s.best for s in steps], found.trajectory["best"])
    np.testing.assert_allclose([s.objective for s in steps], found.trajectory["objective"])
    assert [s.phase for s in steps] == list(found.trajectory["phase"])


def test_the_same_seed_gives_the_same_recipes():
    problem = diamond()
    space = design.Space(problem.conditions)
    one, two, other = (design.search(problem, space, {"a": 3.1}, rng=seed, calls=20).recipes for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(one, two)
    assert not np.allclose(one["x"].iloc[0], other["x"].iloc[0])


def test_recipes_are_suggested_without_a_simulator():
    problem = quarrel()
    space = design.Space(problem.conditions)
    records, seed = [], 0
    for _ in range(7):
        asked = design.suggest(records, space, [design.Target("a", 0.9, 0.02)], 4, rng=np.random.default_rng(seed))
        assert space.allows(asked).all()
        for c in asked.to_dict("records"):
            seed += 1
            records.append(design.powder(space, c, problem(c, seed=seed)))
    assert min(abs(problem.truth(r.conditions)["a"] - 0.9) for r in records[-4:]) < 0.02


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"calls": 4}, "5 calls or more"),
        ({"method": "anneal"}, "bayesian"),
        ({"enough": 1.5}, "probability"),
        ({"batch": 0}, "batch"),
        ({"cost_weight": 1.0}, "cost"),
    ],
)
def test_bad_options_are_said(more, words):
    problem = diamond()
    with pytest.raises(InputError, match=words):
        design.search(problem, design.Space(problem.conditions), {"a": 3.0}, rng=0, **{"calls": 10, **more})


def test_a_simulator_that_does_not_know_the_target_is_said():
    problem = diamond()
    space = design.Space(problem.conditions)
    with pytest.raises(InputError, match="returned a, b but there are targets for texture"):
        design.search(problem, space, {"texture": 0.5}, rng=0, calls=10)
    with pytest.raises(InputError, match="mapping of descriptor"):
        design.search(lambda c, *, seed: c["x"] + seed, space, {"a": 0.5}, rng=0, calls=10)
    with pytest.raises(InputError, match="both a condition and a descriptor"):
        design.search(lambda c, *, seed: {"x": c["x"] + seed, "a": 1.0}, space, {"a": 0.5}, rng=0, calls=10)


def test_training_that_does_not_fit_is_said():
    space = design.Space({"x": (0, 1), "y": (0, 1)})
    recipes = space.draw(2, rng=np.random.default_rng(0))
    with pytest.raises(InputError, match="lack y"):
        design.training_distance(recipes, recipes[["x"]], space=space)
    with pytest.raises(InputError, match="two or more"):
        design.training_distance(recipes, recipes.iloc[[0, 0]], space=space)


def test_distance_to_training_is_the_nearest():
    space = design.Space({"x": (0, 10), "y": (0, 1), "g": ["p", "q", "r"]}, fixed={"y": 0.5})
    training = pd.DataFrame({"x": [0.0, 2.0, 4.0], "y": [0.5, 0.5, 0.5], "g": ["p", "p", "q"]})
    recipes = pd.DataFrame({"x": [1.0, 4.0, 2.0, 9.0], "y": 0.5, "g": ["p", "q", "r", "p"]}, index=[1, 2, 3, 4])
    got = design.training_distance(recipes, training, space=space)
    np.testing.assert_allclose(got["training_distance"], np.sqrt(np.array([0.01, 0, 1, 0.49]) / 3))
    assert got["beyond"].tolist() == ["", "", "g", "x"]
    assert got["extrapolates"].tolist() == [False, False, True, True]
    flat, shown, share = design.projection(recipes, training, space=space)
    assert share == pytest.approx(1.0)
    # the plane of three points keeps their distances
    code = np.c_[training["x"] / 10, (training["g"] == "p") / np.sqrt(2), (training["g"] == "q") / np.sqrt(2)]
    assert np.hypot(*(shown.iloc[0] - shown.iloc[2])) == pytest.approx(np.linalg.norm(code[0] - code[2]))
    np.testing.assert_allclose(flat.loc[2], shown.iloc[2], atol=1e-12)
