"""F of section 4.4, scaled by tolerances; results as simulators give them."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from morpholith import design
from morpholith.design.measured import Measured, table_of
from morpholith.errors import InputError
from morpholith.image import Quantity


def test_f_is_the_weighted_sum_of_squares_in_tolerances():
    goal = design.objective([design.Target("d50_um", 9.0, 0.3), design.Target("texture", 0.5, 0.02, weight=2.0)])
    assert goal.f(np.array([9.6, 0.47])) == pytest.approx(2.0**2 + 2 * 1.5**2)
    np.testing.assert_allclose(goal.losses(np.array([[9.6, 0.47], [9.0, 0.5]])), [[2.0, 1.5], [0, 0]])
    assert goal.within(np.array([[9.29, 0.481], [9.29, 0.479], [9.31, 0.5]])).tolist() == [True, False, False]
    assert goal.limit == 3


def test_the_papers_f_has_tolerances_of_one():
    goal = design.objective([design.Target(n, v, 1.0, weight=w) for n, v, w in (("D", 9, 1.0), ("M", 0.9, 5.0))])
    assert goal.f(np.array([8.0, 0.8])) == pytest.approx(1.0 * 1 + 5 * 0.01)


def test_directions_count_the_wrong_side_alone():
    goal = design.objective(
        [
            design.Target("a", 2.0, 0.5, "high"),
            design.Target("b", 1.0, 0.5, "low"),
            design.Target("c", tolerance=2, direction="low"),
        ]
    )
    np.testing.assert_allclose(goal.losses(np.array([[3, 0, 4], [1, 2, -4.0]])), [[0, 0, 2], [2, 2, -2]])
    np.testing.assert_allclose(goal.f(np.array([[3, 0, 4], [1, 2, -4.0]])), [2, 8 - 2])
    assert goal.within(np.array([[1.6, 1.4, 99], [1.4, 1.4, 0]])).tolist() == [True, False]
    assert goal.targets[0].limits == (1.5, np.inf)
    assert goal.targets[2].limits == (-np.inf, np.inf)


def test_cost_is_scaled_to_its_range():
    goal = design.Objective((design.Target("a", 1.0),), cost_weight=2.0, cost_range=(10.0, 20.0))
    np.testing.assert_allclose(goal.f(np.array([[1.0], [1.03]]), np.array([15.0, 10.0])), [1.0, 1.0])


def test_a_mapping_has_three_per_cent():
    goal = design.objective({"a": -2.0})
    assert goal.targets[0].tolerance == pytest.approx(0.06)


def test_a_reference_is_aimed_at_no_better_than_it_is_known():
    made = design.targets_like({"a": 1.0, "b": (2.0, 0.1), "c": (3.0, 0.01)}, tolerances={"a": 0.5}, weights={"b": 3})
    assert [t.tolerance for t in made] == pytest.approx([0.5, 0.2, 0.09])
    assert [t.weight for t in made] == [1, 3, 1]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: design.Target("a"), "value, or a direction"),
        (lambda: design.Target("a", 0.0), "tolerance"),
        (lambda: design.Target("a", direction="high"), "tolerance"),
        (lambda: design.Target("a", 1.0, -1.0), "positive"),
        (lambda: design.Target("a", 1.0, weight=0.0), "weight"),
        (lambda: design.Target("a", np.nan), "finite"),
        (lambda: design.Target("a", 1.0, direction="up"), "direction"),
        (lambda: design.objective([]), "one target or more"),
        (lambda: design.objective([design.Target("a", 1.0), design.Target("a", 2.0)]), "two targets"),
        (lambda: design.targets_like({}), "no descriptors"),
    ],
)
def test_bad_targets_are_said(make, words):
    with pytest.raises(InputError, match=words):
        make()


def test_results_come_in_many_shapes():
    draws = np.array([1.0, 2.0, 3.0, np.nan])
    got = design.read_results(
        {
            "m": Measured(1.0, 0.1, 5),
            "t": (2.0, 0.2),
            "d": draws,
            "q": Quantity(3.0, 2.0, 4.0, n=7),
            "n": 4.0,
            "l": [1.0],
        }
    )
    assert got["m"] == (1.0, 0.1, 5)
    assert got["t"] == (2.0, 0.2, 0)
    assert got["d"] == pytest.approx((2.0, 1 / np.sqrt(3), 3))
    assert got["q"] == pytest.approx((3.0, 2 / 3.92, 7))
    assert got["n"] == pytest.approx((4.0, np.nan, 0), nan_ok=True)
    assert got["l"] == pytest.approx((1.0, np.nan, 1), nan_ok=True)
    table = design.read_results(pd.DataFrame({"a": [1.0, 3.0], "b": [2.0, 2.0]}))
    assert table["a"] == pytest.approx((2.0, 1.0, 2))
    assert np.isnan(design.read_results({"a": np.array([np.nan])})["a"].mean)


@pytest.mark.parametrize("given", [3.0, {}, {"a": (1.0, -1.0)}, {"a": np.zeros((2, 2))}])
def test_what_is_no_result_is_said(given):
    with pytest.raises(InputError):
        design.read_results(given)


def test_equal_draws_do_not_count_as_exact():
    rng = np.random.default_rng(0)
    records = [SimpleNamespace(results=design.read_results({"a": rng.normal(0, 1, 4)})) for _ in range(40)]
    records.append(SimpleNamespace(results=design.read_results({"a": np.ones(4)})))
    records.append(SimpleNamespace(results={}))
    mean, variance = table_of(records, "a")
    assert mean[-2] == 1
    assert variance[-2] == pytest.approx(0.25 * 4 / 7, rel=0.3)  # 4 of 7 parts are those of the others
    assert np.isnan(mean[-1])
    few = np.var([r.results["a"].se ** 2 for r in records[:-2]])
    assert np.var(variance[:-2]) < 0.5 * few
