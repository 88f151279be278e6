"""Regression over electrodes: paper 002's Table 2, closed forms, and tables that determine nothing."""

import numpy as np
import pandas as pd
import pytest

from morpholith.errors import InputError
from morpholith.measure import equation, linear_fit

# Shojaei et al., J. Mater. Chem. A 14 (2026) 1063, Table 2 (pristine state; expansion after 100 cycles)
TABLE_2 = pd.DataFrame(
    {
        "porosity": [0.49, 0.46, 0.51, 0.85],
        "tortuosity": [2.653, 2.743, 2.623, 1.236],
        "expansion": [0.07, 0.05, 0.08, 0.26],
    },
    index=["Dry coated 1", "Dry coated 2", "Dry coated 3", "DIT"],
)
EQUATION_1 = "Expansion = -0.0491 + (0.7286 × porosity) + (-0.0902 × tortuosity)"


@pytest.fixture(scope="module")
def paper():
    return linear_fit(TABLE_2, target="expansion", predictors=["porosity", "tortuosity"], given=EQUATION_1)


def planted(n=40, noise=0.01, seed=3):
    rng = np.random.default_rng(seed)
    x = pd.DataFrame({"a": rng.uniform(0, 1, n), "b": rng.uniform(2, 5, n)})
    return x.assign(y=0.3 + 0.5 * x.a - 0.1 * x.b + noise * rng.standard_normal(n))


def test_least_squares_of_table_2(paper):
    got = [paper.coefficients[c].value for c in ("intercept", "porosity", "tortuosity")]
    np.testing.assert_allclose(got, [-0.364, 0.680, 0.037], atol=5e-4)
    assert paper.r2 == pytest.approx(0.9998, abs=5e-5)
    assert paper.dof == 1


def test_the_printed_equation_is_contradicted(paper):
    given = paper.given
    assert not given.agrees
    assert given.predicted["DIT"] == pytest.approx(0.459, abs=5e-4)
    assert given.r2 == pytest.approx(-0.39, abs=5e-3)
    assert "DIT" in given.sentence
    assert "contradicts" in given.sentence
    assert "tortuosity the other sign" in given.sentence


def test_four_points_identify_nothing_in_words(paper):
    assert not paper.identifiable
    text = " ".join(paper.sentences)
    assert paper.sentences[0].startswith("Four points with these predictors identify nothing")
    for said in ("one degree of freedom", "correlation -0.999", "leverage", "DIT", "sign of tortuosity is not stable"):
        assert said in text, said
    assert "porosity alone explains as much" in text


def test_diagnostics_of_table_2(paper):
    assert paper.correlation.loc["porosity", "tortuosity"] == pytest.approx(-0.999, abs=5e-4)
    assert paper.vif.min() > 500
    assert paper.condition > 300
    assert paper.points.leverage["DIT"] > 0.999
    assert paper.points.leverage.sum() == pytest.approx(3)
    assert not paper.sign_stable["tortuosity"]
    low, high = paper.coefficients["tortuosity"].low, paper.coefficients["tortuosity"].high
    assert low < -0.4 < 0.5 < high
    assert paper.q2 < 0.8 < 0.99 < paper.r2
    assert paper.p_permutation == pytest.approx(1 / 24)


def test_percent_against_fraction_is_suspected():
    table = TABLE_2.assign(expansion=TABLE_2.expansion * 100)
    fit = linear_fit(table, target="expansion", predictors=["porosity", "tortuosity"], given=EQUATION_1)
    assert "percent" in fit.given.sentence


def test_leave_one_out_is_what_it_says():
    table = planted(12)
    fit = linear_fit(table, target="y", predictors=["a", "b"])
    for i in table.index:
        rest = table.drop(index=i)
        design = np.column_stack([np.ones(len(rest)), rest.a, rest.b])
        b = np.linalg.lstsq(design, rest.y, rcond=None)[0]
        np.testing.assert_allclose(fit.leave_one_out.loc[i], b, rtol=1e-9)
        assert fit.points.predicted_without[i] == pytest.approx(b @ [1, table.a[i], table.b[i]], rel=1e-9)
    errors = fit.points.observed - fit.points.predicted_without
    assert fit.press_rmse == pytest.approx(np.sqrt((errors**2).mean()))
    assert fit.q2 == pytest.approx(1 - (errors**2).sum() / ((table.y - table.y.mean()) ** 2).sum())


def test_a_planted_equation_is_found_and_confirmed():
    fit = linear_fit(planted(), target="y", predictors=["a", "b"], given={"intercept": 0.3, "a": 0.5, "b": -0.1})
    assert fit.identifiable
    assert fit.sentences[0].startswith("The 40 electrodes determine")
    assert all(fit.sign_stable.values())
    assert fit.given.agrees
    assert "agrees" in fit.given.sentence
    for name, truth in (("intercept", 0.3), ("a", 0.5), ("b", -0.1)):
        q = fit.coefficients[name]
        assert q.low < truth < q.high
    assert fit.p_permutation < 0.001


def test_intervals_cover():
    inside = np.array(
        [
            [q.low < t < q.high for q, t in zip(fit.coefficients.values(), (0.3, 0.5, -0.1), strict=True)]
            for fit in (linear_fit(planted(9, seed=s), target="y", predictors=["a", "b"]) for s in range(200))
        ]
    )
    assert inside.mean() == pytest.approx(0.95, abs=0.02)


def test_scale_and_order_change_nothing():
    table = planted(10)
    one = linear_fit(table, target="y", predictors=["a", "b"])
    two = linear_fit(table.assign(b=table.b * 1e3).iloc[::-1], target="y", predictors=["b", "a"])
    assert two.coefficients["b"].value * 1e3 == pytest.approx(one.coefficients["b"].value)
    assert two.coefficients["a"].high == pytest.approx(one.coefficients["a"].high)
    assert (two.r2, two.condition) == pytest.approx((one.r2, one.condition))


def test_too_few_points_fit_nothing():
    fit = linear_fit(TABLE_2.iloc[:2], target="expansion", predictors=["porosity", "tortuosity"])
    assert not fit.identifiable
    assert all(np.isnan(q.value) for q in fit.coefficients.values())
    assert "two electrode(s) for three coefficients" in fit.sentences[0]
    assert np.isnan(fit.r2)


def test_as_many_points_as_coefficients():
    fit = linear_fit(TABLE_2.iloc[1:], target="expansion", predictors=["porosity", "tortuosity"])
    assert fit.r2 == pytest.approx(1)
    assert fit.q2 == -np.inf
    assert fit.coefficients["porosity"].low is None
    assert not fit.identifiable


def test_an_empty_table_and_a_constant():
    empty = linear_fit(TABLE_2.iloc[:0], target="expansion", predictors=["porosity"], given="0.5*porosity")
    assert empty.n == 0
    assert not empty.identifiable
    assert "no electrode" in empty.given.sentence
    flat = linear_fit(TABLE_2.assign(porosity=0.5), target="expansion", predictors=["porosity"])
    assert "do not vary" in flat.sentences[0]
    level = linear_fit(TABLE_2.assign(expansion=0.1), target="expansion", predictors=["porosity"])
    assert np.isnan(level.r2)


def test_predictors_that_are_one():
    fit = linear_fit(TABLE_2.assign(solid=1 - TABLE_2.porosity), target="expansion", predictors=["porosity", "solid"])
    assert np.isnan(fit.coefficients["solid"].value)
    assert np.isinf(fit.vif).all()
    assert "depend on each other" in fit.sentences[0]


def test_rows_without_numbers_are_left_out_and_said():
    table = pd.concat([planted(12), pd.DataFrame({"a": [0.5], "b": [np.nan], "y": [0.2]}, index=["torn"])])
    fit = linear_fit(table, target="y", predictors=["a", "b"])
    assert fit.n == 12
    assert "torn" in fit.sentences[-1]


def test_random_permutations_are_reproducible():
    table = planted(15, noise=0.4)
    values = [linear_fit(table, target="y", predictors=["a"], rng=7).p_permutation for _ in range(2)]
    assert values[0] == values[1]
    assert 0 < values[0] <= 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (EQUATION_1, {"intercept": -0.0491, "porosity": 0.7286, "tortuosity": -0.0902}),
        ("y = 1e-3 - 2e+2 x1 + z - .5*w", {"intercept": 0.001, "x1": -200.0, "z": 1.0, "w": -0.5}),
        ("2*a + 3*a - 1", {"intercept": -1.0, "a": 5.0}),
    ],
)
def test_equations_are_read(text, expected):
    assert equation(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "y =", "1 + * x", "a b", "1 +", "2x*y", "x ** 2", "sin(x)", "x / 2"])
def test_bad_equations_are_refused(text):
    with pytest.raises(InputError, match="equation"):
        equation(text)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"target": "swelling"}, "no column 'swelling'; it has porosity"),
        ({"predictors": ["porosity", "porosity"]}, "different columns"),
        ({"predictors": []}, "different columns"),
        ({"given": "0.1 + 2 * thickness"}, "'thickness', which is no predictor"),
        ({"given": 3.0}, "equation as text"),
        ({"table": TABLE_2.assign(porosity="high")}, "must hold numbers"),
        ({"level": 95}, "between 0 and 1"),
    ],
)
def test_bad_input(change, said):
    arguments = {"table": TABLE_2, "target": "expansion", "predictors": ["porosity"], **change}
    with pytest.raises(InputError, match=said):
        linear_fit(arguments.pop("table"), **arguments)
