"""Means, correlations and trends with intervals, and what a few values cannot say."""

import numpy as np
import pandas as pd
import pytest

from morpholith.errors import InputError
from morpholith.measure import correlation, correlations, mean_and_sd, trend


def pair(n, r, seed=0):
    """Two columns whose sample correlation is exactly r."""
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((2, n))
    a = (a - a.mean()) / a.std()
    b = b - b.mean() - (b * a).mean() * a
    return a, r * a + np.sqrt(1 - r * r) * b / b.std()


def test_mean_and_sd_of_known_values():
    x = np.random.default_rng(0).normal(0.6, 0.1, 200)
    got = mean_and_sd([*x, np.nan], unit="")
    assert got["mean"].value == pytest.approx(x.mean())
    assert got["sd"].value == pytest.approx(x.std(ddof=1))
    assert got["mean"].n == 200
    half = (got["mean"].high - got["mean"].low) / 2
    assert half == pytest.approx(1.97 * x.std() / np.sqrt(200), rel=0.12)
    assert got["mean"].warning is None


def test_mean_interval_covers():
    hits = np.zeros(2)
    for k in range(150):
        got = mean_and_sd(np.random.default_rng(k).beta(8, 2, 20), n_boot=300, rng=k)
        hits += [got["mean"].low <= 0.8 <= got["mean"].high, got["sd"].low <= 0.1206 <= got["sd"].high]
    assert hits[0] / 150 > 0.9
    assert hits[1] / 150 > 0.83


def test_images_widen_the_mean():
    rng = np.random.default_rng(1)
    image = np.repeat(np.arange(8), 20)
    x = rng.normal(0, 0.2, 8)[image] + rng.normal(0, 0.1, 160)
    alone, clustered = (mean_and_sd(x, groups=g, n_boot=400)["mean"] for g in (None, image))
    assert clustered.high - clustered.low > 2 * (alone.high - alone.low)
    assert "rests on 2" in mean_and_sd(x[:40], groups=image[:40])["mean"].warning


def test_few_values_give_no_interval():
    for x, text in (
        ([], "no particles"),
        ([np.nan], "no particles"),
        ([1.0, 2.0], "needs 5"),
        ([1.0] * 6, "ident"),
    ):
        for q in mean_and_sd(x).values():
            assert q.low is None
            assert text in q.warning
    assert np.isnan(mean_and_sd([2.0])["sd"].value)
    with pytest.raises(InputError, match="infinite"):
        mean_and_sd([np.inf])
    with pytest.raises(InputError, match="groups"):
        mean_and_sd([1.0, 2.0], groups=[1])


@pytest.mark.parametrize(("r", "low", "high"), [(0.26, -0.006, 0.491), (-0.38, -0.586, -0.128), (-0.17, -0.416, 0.100)])
def test_correlations_of_paper_000_at_55_conditions(r, low, high):
    """Textbook values of Fisher's interval: of the paper's three only -0.38 is distinct from none."""
    q = correlation(*pair(55, r))
    assert q.value == pytest.approx(r)
    assert (q.low, q.high) == pytest.approx((low, high), abs=0.002)


def test_spearman_follows_ranks_only():
    x = np.arange(12.0)
    q = correlation(x, np.exp(x) * [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0.1], method="spearman")
    assert 0.8 < q.value < 1
    assert q.low < q.value < q.high
    perfect = correlation(x, np.exp(x), method="spearman")
    assert perfect.value == 1
    assert perfect.low is None


@pytest.mark.parametrize("method", ["pearson", "spearman"])
def test_correlation_interval_covers(method):
    truth = 0.5 if method == "pearson" else 6 / np.pi * np.arcsin(0.25)
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(400):
        a, e = rng.standard_normal((2, 25))
        q = correlation(a, 0.5 * a + np.sqrt(0.75) * e, method=method)
        hits += q.low <= truth <= q.high
    assert hits / 400 == pytest.approx(0.95, abs=0.035)


def test_few_pairs_say_so():
    assert np.isnan(correlation([1, 2], [2, 1]).value)
    three = correlation([1, 2, 3], [1, 3, 2.5])
    assert three.low is None
    assert "3 pairs" in three.warning
    assert "does not vary" in correlation([1, 1, 1, 1], [1, 2, 3, 4]).warning
    assert correlation(*pair(6, 0.5)).warning
    assert correlation(*pair(60, 0.5)).warning is None
    gaps = correlation([1, 2, 3, 4, np.nan], [1, 3, 2, 5, 9])
    assert gaps.n == 4


def test_table_of_pairs():
    a, b = pair(40, 0.7)
    table = pd.DataFrame({"d50_um": a, "texture_mean": b, "constant": 1.0, "name": "x"})
    got = correlations(table)
    assert got[["first", "second"]].values.tolist() == [
        ["d50_um", "texture_mean"],
        ["d50_um", "constant"],
        ["texture_mean", "constant"],
    ]
    assert got.r.iloc[0] == pytest.approx(0.7)
    assert got.distinct.tolist() == [True, False, False]
    assert np.isnan(got.r.iloc[1])
    assert len(correlations(table, columns=["d50_um"])) == 0
    assert list(correlations(table, columns=[])) == list(got)
    with pytest.raises(InputError, match="no column"):
        correlations(table, columns=["d50"])
    with pytest.raises(InputError, match="method"):
        correlation(a, b, method="kendall")
    with pytest.raises(InputError, match="same length"):
        correlation(a, b[1:])


def test_trend_is_the_regression_line():
    x = np.array([10.0, 10.2, 10.5, 10.7, 11.0])
    y = 3 - 0.2 * x + np.array([0.01, -0.02, 0.015, -0.01, 0.005])
    got = trend(x, y, unit="1/pH")
    slope, intercept = np.polyfit(x, y, 1)
    assert got.slope.value == pytest.approx(slope)
    assert got.intercept == pytest.approx(intercept)
    residual = y - slope * x - intercept
    error = np.sqrt((residual**2).sum() / 3 / ((x - x.mean()) ** 2).sum())
    assert got.slope.high - got.slope.low == pytest.approx(2 * 3.182446 * error)
    assert got.slope.unit == "1/pH"
    assert got.spearman.value == pytest.approx(-1)
    assert got.warning is None


def test_trend_interval_covers():
    rng = np.random.default_rng(0)
    x = np.linspace(0, 1, 6)
    hits = 0
    for _ in range(400):
        q = trend(x, 2 * x + rng.normal(0, 0.3, 6)).slope
        hits += q.low <= 2 <= q.high
    assert hits / 400 == pytest.approx(0.95, abs=0.03)


@pytest.mark.parametrize(
    ("x", "text"),
    [([1, 2, 3], "3 condition"), ([1, 1, 2, 2, 2], "2 value"), ([1, 1, 1, 1], "1 value"), ([], "0 cond")],
)
def test_trend_says_when_it_is_not_identifiable(x, text):
    got = trend(x, np.sin(np.arange(len(x))))
    assert got.slope.low is None
    assert "not identifiable" in got.warning
    assert text in got.warning
    assert got.n == len(x)


def test_variables_that_move_together_are_told():
    ph = np.array([9.8, 10.1, 10.4, 10.7, 11.0])
    got = trend(ph, ph**2, others={"stirring": [3, 1, 4, 1, 5], "NH4OH": 0.3 * ph + 0.01 * np.arange(5)})
    assert "NH4OH" in got.warning
    assert got.slope.low is not None
    with pytest.raises(InputError, match="one value for each condition"):
        trend(ph, ph, others={"a": [1]})
    with pytest.raises(InputError, match="same length"):
        trend(ph, ph[1:])
