"""How far a powder may lie from its prediction: errors over conditions left out, intervals that cover."""

import numpy as np
import pandas as pd
import pytest

from morpholith.measure import PredictionError, predicted, prediction_error


def left_out(real, drawn, se=None):
    columns = {"d50_um": real, "d50_um_drawn": drawn} | ({} if se is None else {"d50_um_drawn_se": se})
    return pd.DataFrame(columns)


def test_error_and_r2_by_hand():
    real, drawn = np.array([1.0, 2.0, 3.0, 4.0, 5.0]), np.array([1.5, 2.0, 2.5, 4.5, 5.0])
    found = prediction_error(left_out(real, drawn), "d50_um")
    assert found.n == 5
    assert found.sd == pytest.approx(np.sqrt(0.75 / 5))
    assert found.r2 == pytest.approx(1 - 0.75 / 10)
    assert not found.poor


def test_a_bias_is_an_error_and_the_draws_own_noise_is_not():
    rng = np.random.default_rng(0)
    real = rng.uniform(3, 7, 4000)
    se = np.full(4000, 0.3)
    drawn = real + 0.1 + 0.2 * rng.standard_normal(4000) + se * rng.standard_normal(4000)
    found = prediction_error(left_out(real, drawn, se), "d50_um")
    assert found.sd == pytest.approx(np.hypot(0.1, 0.2), rel=0.05)
    assert prediction_error(left_out(real, drawn), "d50_um").sd == pytest.approx(np.sqrt(0.14), rel=0.05)


def test_noise_alone_leaves_no_error():
    found = prediction_error(left_out(np.arange(6.0), np.arange(6.0) + 0.1, np.full(6, 0.2)), "d50_um")
    assert found.sd == 0


@pytest.mark.parametrize(
    "table", [None, pd.DataFrame({"other": [1.0]}), left_out([1, 2, np.nan, 4, 5, 6], [1, np.nan, 3, 4, 5, 6])]
)
def test_too_few_left_out_say_nothing(table):
    found = prediction_error(table, "d50_um")
    assert np.isnan(found.sd)
    assert np.isnan(found.r2)
    assert found.n < 5
    assert not found.poor


def test_a_descriptor_that_does_not_vary_has_no_r2():
    found = prediction_error(left_out(np.ones(6), np.ones(6) + 0.1), "d50_um")
    assert np.isnan(found.r2)
    assert found.sd == pytest.approx(0.1)


@pytest.mark.parametrize(("n_left", "images", "noise"), [(8, 16, 0.1), (55, 4, 0.4), (55, 16, 0.1), (8, 2, 0.4)])
def test_intervals_hold_the_powder_that_is_made(n_left, images, noise):
    """Model error 0.2, draws' standard error `noise`: 95 % of powders lie within."""
    rng, inside, tries = np.random.default_rng(5), 0, 3000
    real = np.linspace(3, 8, n_left)
    for _ in range(tries):
        se = noise * np.sqrt(rng.chisquare(images + 3) / (images + 3))
        small = np.full(n_left, 0.02)
        drawn = real + 0.2 * rng.standard_normal(n_left) + small * rng.standard_normal(n_left)
        error = prediction_error(left_out(real, drawn, small), "d50_um")
        q = predicted("d50_um", 5 + noise * rng.standard_normal(), se, images, error=error)
        inside += q.low < 5 + 0.2 * rng.standard_normal() < q.high
    assert 0.935 < inside / tries < 0.965


def test_intervals_stay_where_values_can_be():
    error = PredictionError(0.2, 0.9, 20)
    assert predicted("texture_mean", 0.9, 0.01, 8, error=error).high == 1
    assert predicted("texture_mean", 0.1, 0.01, 8, error=error).low == 0
    assert predicted("circularity_sd", 0.02, 0.01, 8, error=error).low == 0
    assert predicted("d50_um", 5, 0.01, 8, error=error, unit="um").high > 5.4


def test_what_is_not_known_is_said():
    unknown = PredictionError(np.nan, np.nan, 0)
    q = predicted("d50_um", 5.0, 0.1, 8, error=unknown)
    assert "not tested" in q.warning
    assert q.low == pytest.approx(5 - 0.1 * 2.2, abs=0.01)
    q = predicted("d50_um", np.nan, np.nan, 0, error=unknown)
    assert np.isnan(q.value)
    assert q.low is None
    assert "could not be measured" in q.warning
    q = predicted("d50_um", 5.0, np.nan, 1, error=PredictionError(0.1, 0.9, 20))
    assert q.low is None
    assert "too few draws" in q.warning
    assert (
        "R2 over conditions left out is 0.30" in predicted("d", 1.0, 0.1, 8, error=PredictionError(1, 0.3, 9)).warning
    )
    assert predicted("d", 1.0, 0.1, 8, error=PredictionError(1, 0.8, 9)).warning is None


def test_exact_draws_of_an_exact_model_have_no_width():
    q = predicted("d50_um", 5.0, 0.0, 8, error=PredictionError(0.0, 1.0, 20))
    assert q.low == q.high == 5.0
