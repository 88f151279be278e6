"""Allowed recipes: drawn and checked exactly, contradictions named."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from morpholith import design
from morpholith.errors import InputError


def _mixed(**more):
    kinds = {
        "ph": (9.8, 11.0), "time_min": design.Continuous(30, 1440, log=True), "rpm": design.Integer(3, 7),
        "gas": ["N2", "air", "O2"], "naoh": (0.08, 0.25),
    }  # fmt: skip
    return design.Space(kinds, **more)


def test_recipes_are_drawn_uniformly_over_every_kind():
    space = _mixed()
    table = space.draw(6000, rng=np.random.default_rng(0))
    assert list(table.columns) == ["ph", "time_min", "rpm", "gas", "naoh"]
    assert space.allows(table).all()
    assert table["ph"].mean() == pytest.approx(10.4, abs=0.02)
    assert np.log(table["time_min"]).mean() == pytest.approx(np.log(30 * 1440) / 2, rel=0.01)
    assert table["rpm"].value_counts(normalize=True).to_dict() == pytest.approx(
        dict.fromkeys(range(3, 8), 0.2), abs=0.02
    )
    assert table["gas"].value_counts(normalize=True).to_dict() == pytest.approx(
        dict.fromkeys(["N2", "air", "O2"], 1 / 3), abs=0.02
    )


def test_a_wide_pair_of_numbers_has_a_log_scale():
    space = design.Space({"a": (1, 10), "b": (1, 9), "c": (0, 10), "d": design.Continuous(1, 100)})
    assert [kind.log for kind in space.free] == [True, False, False, False]


def test_codes_and_recipes_are_one():
    space = _mixed(fixed={"gas": "air"})
    codes = space.draw_codes(50, rng=np.random.default_rng(1))
    table = space.decode(codes)
    assert (table["gas"] == "air").all()
    np.testing.assert_array_equal(space.encode(table), codes)
    np.testing.assert_allclose(space.from_unit(space.unit(codes)), codes)
    unit = space.unit(codes)
    assert unit.min() >= 0
    assert unit.max() <= 1


@pytest.mark.parametrize("bound", [1.0, 0.1])  # by rejection; by hit-and-run, where 1 in 200 is allowed
def test_a_triangle_is_filled_uniformly(bound):
    space = design.Space({"a": (0, 1), "b": (0, 1), "c": (5, 9)}, constraints=[f"a + b <= {bound}"])
    x = space.draw_codes(1500, rng=np.random.default_rng(2))
    assert space.holds(x).all()
    np.testing.assert_allclose(x[:, :2].mean(axis=0), bound / 3, atol=4 * bound * np.sqrt(1 / 18 / 1500))
    assert x[:, 2].mean() == pytest.approx(7, abs=0.12)
    # the distance from the far edge of a triangle has the distribution u**2
    share = (x[:, 0] + x[:, 1]) / bound
    assert np.mean(share < 0.5) == pytest.approx(0.25, abs=0.05)


def test_compositions_that_sum_to_one_are_uniform_on_the_simplex():
    space = design.Space({"ni": (0, 1), "mn": (0, 1), "co": (0, 1)}, constraints=["ni + mn + co == 1"])
    for codes in (
        space.draw_codes(1500, rng=np.random.default_rng(3)),
        space.spread_codes(40, rng=np.random.default_rng(3)),
    ):
        np.testing.assert_allclose(codes.sum(axis=1), 1, atol=1e-9)
        np.testing.assert_allclose(codes.mean(axis=0), 1 / 3, atol=0.08 if len(codes) < 100 else 0.03)
    walk = space.moved(codes, np.random.default_rng(4).random(codes.shape) * 3 - 1)
    assert space.holds(walk).all()
    assert np.abs(walk - codes).max(axis=1).min() > 1e-3


def test_whole_numbers_are_tied_to_an_equality():
    space = design.Space({"n": design.Integer(0, 4), "x": (0.0, 1.0), "y": (0, 10)}, constraints=["n + x + y == 4.5"])
    codes = space.draw_codes(400, rng=np.random.default_rng(5))
    np.testing.assert_allclose(codes.sum(axis=1), 4.5)
    assert set(codes[:, 0]) == {0, 1, 2, 3, 4}


def test_rare_whole_numbers_are_found():
    kinds = {f"n{i}": design.Integer(0, 99) for i in range(4)}
    space = design.Space({**kinds, "x": (0, 1)}, constraints=["n0 + n1 + n2 + n3 >= 395"])
    codes = space.draw_codes(5, rng=np.random.default_rng(6))
    assert space.holds(codes).all()
    assert codes[:, :4].sum(axis=1).min() >= 395


def test_even_points_are_more_even_than_chance():
    space = _mixed(constraints=["naoh + 0.1*ph <= 1.25"])
    even, chance = (
        space.spread_codes(60, rng=np.random.default_rng(7)),
        space.draw_codes(60, rng=np.random.default_rng(7)),
    )
    assert space.holds(even).all()

    def nearest(codes):
        apart = space.distance(codes, codes)
        np.fill_diagonal(apart, 9)
        return apart.min(axis=1).mean()

    assert nearest(even) > 1.05 * nearest(chance)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_a_step_never_leaves_what_is_allowed(seed):
    space = _mixed(constraints=["naoh + 0.1*ph <= 1.25", "rpm + 3*ph >= 34"])
    rng = np.random.default_rng(seed)
    start = space.draw_codes(8, rng=rng)
    end = start + rng.standard_normal(start.shape) * np.diff(space.bounds, axis=1).T
    end[:, space.is_category] = rng.integers(0, 3, (8, 1))
    moved = space.moved(start, end)
    assert space.holds(moved).all()


def test_a_step_that_is_allowed_is_taken_whole_and_one_that_is_not_ends_at_the_border():
    space = design.Space({"a": (0, 1), "b": (0, 2)}, constraints=["a + b <= 1"])
    start = np.array([[0.1, 0.1], [0.1, 0.1]])
    moved = space.moved(start, np.array([[0.3, 0.6], [0.6, 1.1]]))
    np.testing.assert_allclose(moved, [[0.3, 0.6], [0.1 + 0.5 * 0.8 / 1.5, 0.1 + 1.0 * 0.8 / 1.5]])


def test_the_fewest_contradicting_constraints_are_named():
    kinds = {"naoh": (0, 1), "nh4oh": (0, 1), "ph": (9, 11)}
    rules = ["ph <= 10.5", "naoh + nh4oh <= 0.5", "naoh >= 0.4", "nh4oh >= 0.2"]
    with pytest.raises(InputError) as error:
        design.Space(kinds, constraints=rules)
    words = str(error.value)
    assert all(f"'{rule}'" in words for rule in rules[1:])
    assert "ph" not in words
    assert "contradict" in words
    assert "naoh from 0 to 1" in words


def test_one_constraint_outside_the_bounds_is_named_with_them():
    with pytest.raises(InputError, match=r"no recipe can keep the constraint 'a \+ b >= 5' with a from 0 to 1, b = 2;"):
        design.Space({"a": (0, 1), "b": (1, 3)}, fixed={"b": 2}, constraints=["a + b >= 5"])


def test_whole_numbers_can_contradict_where_real_ones_would_not():
    with pytest.raises(InputError, match="no recipe"):
        design.Space({"n": design.Integer(0, 9), "x": (0, 1)}, constraints=["2*n == 3"])
    assert design.Space({"n": (0, 9), "x": (0, 1)}, constraints=["2*n == 3"]).draw(3, rng=np.random.default_rng(0))[
        "n"
    ].tolist() == pytest.approx([1.5] * 3)


@pytest.mark.parametrize(
    ("text", "coefficients", "bound", "relation"),
    [
        ("naoh + 2*nh4oh <= 1.5", {"naoh": 1, "nh4oh": 2}, 1.5, "<="),
        ("naoh>=0.1", {"naoh": -1}, -0.1, "<="),
        ("2 a - 3e-1*b == c + 4", {"a": 2, "b": -0.3, "c": -1}, 4, "=="),
        ("1 - a <= -b", {"a": -1, "b": 1}, -1, "<="),
    ],
)
def test_constraints_are_read(text, coefficients, bound, relation):
    rule = design.linear(text)
    assert dict(rule.coefficients) == pytest.approx(coefficients)
    assert rule.bound == pytest.approx(bound)
    assert rule.relation == relation
    assert str(rule) == text


@pytest.mark.parametrize("text", ["a + b", "a * b <= 1", "a < 1", "a b <= 1", "<= 1", "a <= 1 <= 2", "a^2 <= 1"])
def test_what_is_no_constraint_is_said(text):
    with pytest.raises(InputError, match="constraint"):
        design.Space({"a": (0, 1), "b": (0, 1)}, constraints=[text])


@pytest.mark.parametrize(
    ("conditions", "more", "words"),
    [
        ({}, {}, "one condition or more"),
        ({"a": (1, 0)}, {}, "low < high"),
        ({"a": (0, np.inf)}, {}, "low < high"),
        ({"a": design.Continuous(0, 1, log=True)}, {}, "log scale"),
        ({"a": design.Integer(0.5, 3)}, {}, "whole numbers"),
        ({"a": ["N2"]}, {}, "two or more different words"),
        ({"a": 3}, {}, "must be"),
        ({"a": (0, 1)}, {"fixed": {"b": 1}}, "no condition"),
        ({"a": (0, 1), "b": (0, 1)}, {"fixed": {"b": 2}}, "outside its bounds"),
        ({"a": (0, 1)}, {"fixed": {"a": 1}}, "every condition is fixed"),
        ({"a": (0, 1), "g": ["x", "y"]}, {"constraints": ["g <= 1"]}, "words"),
        ({"a": (0, 1)}, {"constraints": ["z <= 1"]}, "no condition"),
        ({"a": (0, 1)}, {"cost": {"z": 1}}, "cost"),
        ({"a": (0, 1), "g": ["x", "y"]}, {"cost": {"g": {"x": 1}}}, "lacks y"),
    ],
)
def test_bad_spaces_are_one_sentence(conditions, more, words):
    with pytest.raises(InputError, match=words) as error:
        design.Space(conditions, **more)
    assert "\n" not in str(error.value)


def test_recipes_that_do_not_fit_are_said():
    space = _mixed()
    good = space.draw(1, rng=np.random.default_rng(0)).to_dict("records")[0]
    assert space.allows([good, {**good, "ph": 11.5}]).tolist() == [True, False]
    for change, words in (
        ({"gas": "He"}, "one of N2"),
        ({"ph": "high"}, "number"),
        ({"ph": np.nan}, "number"),
        ({"time_min": 0}, "above 0"),
    ):
        with pytest.raises(InputError, match=words):
            space.encode([{**good, **change}])
    del good["rpm"]
    with pytest.raises(InputError, match="lacks the condition 'rpm'"):
        space.encode([good])


def test_costs():
    recipes = [{"a": 2.0, "g": "y"}, {"a": 0.5, "g": "x"}]
    kinds = {"a": (0, 3), "g": ["x", "y"]}
    space = design.Space(kinds, cost={"a": 10, "g": {"x": 0, "y": 4}})
    np.testing.assert_allclose(space.costs(space.encode(recipes)), [24, 5])
    space = design.Space(kinds, cost=lambda c: c["a"] ** 2)
    np.testing.assert_allclose(space.costs(space.encode(recipes)), [4, 0.25])


def test_a_space_comes_back_from_json():
    import json

    space = _mixed(fixed={"rpm": 5}, constraints=["naoh + 0.1*ph <= 1.25"], cost={"naoh": 2.0})
    again = design.space_from_json(json.loads(json.dumps(space.to_json())))
    assert again == space
