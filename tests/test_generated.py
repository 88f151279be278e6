"""Agreement of drawn with real descriptors: R2, the line that mends a bias, the baseline, the conditions."""

import numpy as np
import pandas as pd
import pytest

from morpholith.errors import InputError
from morpholith.measure import adherence, agreement, bias_line, compared_with_baseline


def test_r2_is_that_of_the_prediction_itself():
    real = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    found = agreement(real, real + 0.5)
    assert found.r2.value == pytest.approx(1 - 5 * 0.25 / 10)
    assert found.bias.value == pytest.approx(0.5)
    assert found.rmse.value == pytest.approx(0.5)
    assert found.relative.value == pytest.approx(np.sqrt(np.mean((0.5 / real) ** 2)))


def test_the_interval_of_r2_covers():
    rng = np.random.default_rng(1)
    truth = 1 - 0.3**2 / (1 + 0.0)  # error variance over the variance of real values
    inside = []
    for _ in range(100):
        real = rng.standard_normal(50)
        q = agreement(real, real + 0.3 * rng.standard_normal(50), rng=rng).r2
        inside.append(q.low <= truth <= q.high)
    assert 0.86 <= np.mean(inside) <= 1.0


def test_what_noise_of_the_measurement_leaves_possible():
    rng = np.random.default_rng(2)
    truth = rng.standard_normal(400)
    real = truth + 0.5 * rng.standard_normal(400)
    found = agreement(real, truth, real_se=np.full(400, 0.5))
    assert found.ceiling == pytest.approx(found.r2.value, abs=0.05)


def test_nan_is_left_out_and_too_little_says_so():
    real = [1.0, 2.0, np.nan, 4.0, 5.0, 6.0]
    assert agreement(real, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).r2.value == 1.0
    few = agreement(real[:4], real[:4])
    assert np.isnan(few.r2.value)
    assert "5 are needed" in few.r2.warning
    assert np.isnan(agreement([2.0] * 6, [1.0] * 6).r2.value)
    assert np.isnan(agreement([0.0, 1, 2, 3, 4], [0.0, 1, 2, 3, 4]).relative.value)
    with pytest.raises(InputError, match="one number a condition"):
        agreement([1.0, 2.0], [1.0])


def test_the_line_mends_a_bias_and_is_not_flattened_by_noise():
    rng = np.random.default_rng(3)
    truth = rng.normal(5, 1, 400)
    se = np.full(400, 0.6)
    drawn = (truth - 0.4) / 1.2 + 0.6 * rng.standard_normal(400)
    intercept, slope = bias_line(truth, drawn, drawn_se=se)
    assert slope == pytest.approx(1.2, abs=0.12)
    assert np.mean(intercept + slope * drawn) == pytest.approx(truth.mean())
    assert bias_line(truth, drawn)[1] < 0.85  # what is undone


def test_the_line_is_a_shift_where_a_slope_would_say_nothing():
    rng = np.random.default_rng(4)
    assert bias_line([1.0, 2.0, 4.0], [2.0, 3.0, 5.0]) == (-1.0, 1.0)
    unrelated = bias_line(rng.normal(5, 1, 50), rng.normal(3, 1, 50))
    assert unrelated[1] == 1.0
    assert unrelated[0] == pytest.approx(2.0, abs=0.6)
    assert bias_line([np.nan], [1.0]) == (0.0, 1.0)


def test_the_baseline_is_beaten_or_not():
    rng = np.random.default_rng(5)
    real = rng.standard_normal(60)
    near, far = (real + s * rng.standard_normal(60) for s in (0.1, 0.6))
    assert compared_with_baseline(real, near, far).verdict == "better"
    worse = compared_with_baseline(real, far, near)
    assert worse.verdict == "worse"
    assert worse.gain.high < 0
    assert compared_with_baseline(real, far, real + 0.6 * rng.standard_normal(60)).verdict == "no difference seen"
    assert compared_with_baseline(real[:3], near[:3], far[:3]).verdict == "cannot be said"


def _tables(noise, n=40, seed=6):
    rng = np.random.default_rng(seed)
    names = [f"c{k}" for k in range(n)]
    real = pd.DataFrame(rng.standard_normal((n, 3)) * [1, 10, 0.1], index=names, columns=["a", "b", "c"])
    return real, real + noise * rng.standard_normal((n, 3)) * [1, 10, 0.1]


def test_a_model_that_follows_the_conditions_is_told_from_one_that_does_not():
    real, drawn = _tables(0.3)
    found = adherence(real, drawn)
    assert found.verdict == "follows the conditions"
    assert found.nearer.low > 0.9
    assert found.correlation["a"].value > 0.8
    assert found.chance["a"] <= 0.002
    shuffled = drawn.set_index(np.roll(drawn.index, 7))
    other = adherence(real, shuffled)
    assert other.verdict == "does not follow the conditions"
    assert other.nearer.low < 0.5 < other.nearer.high
    assert other.chance["b"] > 0.01


def test_adherence_is_rarely_seen_where_there_is_none():
    seen = 0
    for seed in range(60):
        real, _ = _tables(0.0, n=15, seed=seed)
        drawn, _ = _tables(0.0, n=15, seed=1000 + seed)
        seen += adherence(real, drawn, shuffles=199).verdict == "follows the conditions"
    assert seen <= 3


def test_adherence_of_the_same_average_powder_everywhere_and_of_gaps():
    real, drawn = _tables(0.3)
    average = drawn * 0 + real.mean()
    found = adherence(real, average)
    assert found.verdict == "does not follow the conditions"
    assert np.isnan(found.correlation["a"].value)
    drawn.loc["c3", "a"] = np.nan
    gaps = adherence(real, drawn.drop(index="c5"))
    assert gaps.nearer.n == 38
    assert gaps.correlation["b"].n == 39
    assert adherence(real.iloc[:3], drawn).verdict == "cannot be said"
    with pytest.raises(InputError, match="no column in common"):
        adherence(real, drawn.rename(columns=str.upper))
