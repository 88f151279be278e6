"""Local means with gaps against box filters done the slow way, and against the Gaussian they stand for."""

import numpy as np
import pytest
from scipy import ndimage as ndi

from morpholith._smooth import local_mean

FIELD = (41, 67)  # not square: swapped axes cannot pass


def _slow(picture, radius):
    """Three boxes of what counts over three boxes of how much counts, in double precision."""
    good = np.isfinite(picture)
    parts = [np.where(good, picture, 0).astype(float), good.astype(float)]
    for _ in range(3):
        parts = [ndi.uniform_filter(p, 2 * radius + 1, mode="constant") for p in parts]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(parts[1] > 1e-6, parts[0] / parts[1], np.nan)


@pytest.mark.parametrize(("sigma", "radius"), [(1.5, 1), (3.0, 3), (5.0, 5), (20.0, 20), (60.0, 60)])
def test_it_is_three_boxes_over_what_counts(sigma, radius):
    rng = np.random.default_rng(1)
    frames = rng.normal(2, 1, (3, *FIELD)).astype(np.float32)
    frames[1, 5:20, 30:50] = np.nan
    frames[2, 0, 0], frames[2, 7, 9] = np.inf, -np.inf
    expected = np.stack([_slow(f, radius) for f in frames])
    np.testing.assert_allclose(local_mean(frames, sigma), expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("sigma", [1.5, 3.0, 5.0, 8.0, 15.0])
def test_a_spot_spreads_as_far_as_a_gaussian_of_that_width_would(sigma):
    spot = np.zeros((1, 201, 241), np.float32)
    spot[0, 100, 115] = 1
    out = local_mean(spot, sigma)[0].astype(float)
    y, x = np.indices(out.shape)
    assert np.unravel_index(out.argmax(), out.shape) == (100, 115)
    assert out.sum() == pytest.approx(1, abs=1e-4)
    for axis, at in ((y, 100), (x, 115)):
        assert (out * axis).sum() == pytest.approx(at, abs=1e-3)
        # boxes of odd width come in steps of one pixel
        assert np.sqrt((out * (axis - at) ** 2).sum()) == pytest.approx(sigma, abs=0.5)
    width = np.sqrt((out * (y - 100) ** 2).sum())
    gaussian = np.exp(-((y - 100) ** 2 + (x - 115) ** 2) / (2 * width**2))
    assert np.abs(out - gaussian / gaussian.sum()).max() < 0.35 * (gaussian / gaussian.sum()).max()


def test_constants_stay_at_the_rim_and_around_gaps():
    frames = np.full((2, *FIELD), 7.25, np.float32)
    frames[1, :, 10:14] = np.nan
    out = local_mean(frames, 4.0)
    np.testing.assert_allclose(out, 7.25, rtol=1e-5)


def test_a_plane_stays_one_away_from_the_rim():
    y, x = np.indices((61, 83))
    plane = (0.3 * y - 0.7 * x + 5).astype(np.float32)[None]
    out = local_mean(plane, 3.0)
    np.testing.assert_allclose(out[0, 12:-12, 12:-12], plane[0, 12:-12, 12:-12], atol=1e-4)
    assert np.abs(out[0, :, 0] - plane[0, :, 0]).min() > 0.5  # at the rim only what lies inside counts


def test_where_nothing_is_within_reach_nothing_is_told():
    frames = np.full((2, *FIELD), np.nan, np.float32)
    frames[1, :, :10] = 1.0
    out = local_mean(frames, 3.0)  # boxes of half width 3, three of them: reach 9
    assert np.isnan(out[0]).all()
    np.testing.assert_allclose(out[1, :, :14], 1.0, rtol=1e-5)
    assert np.isnan(out[1, :, 19:]).all()


def test_frames_do_not_mix_and_what_came_is_left_alone():
    rng = np.random.default_rng(2)
    frames = rng.normal(0, 1, (4, *FIELD)).astype(np.float32)
    frames[0, 3, 3] = np.nan
    kept = frames.copy()
    together = local_mean(frames, 2.5)
    np.testing.assert_array_equal(frames, kept)
    np.testing.assert_array_equal(together, np.concatenate([local_mean(frames[k : k + 1], 2.5) for k in range(4)]))
    assert together.dtype == np.float32
    np.testing.assert_array_equal(together, local_mean(frames.astype(float), 2.5))


def test_noise_falls_as_one_over_the_width():
    noise = np.random.default_rng(3).normal(0, 1, (1, 300, 340)).astype(np.float32)
    for sigma in (3.0, 6.0):
        inner = local_mean(noise, sigma)[0, 30:-30, 30:-30]
        assert inner.std() == pytest.approx(1 / (2 * np.sqrt(np.pi) * sigma), rel=0.15)


def test_a_level_does_not_drown_what_stands_on_it():
    """Counts of tens of thousands with ripples of ten: running sums must not lose the ripples."""
    x = np.arange(400)
    ripple = (10 * np.sin(x / 15)).astype(np.float32)
    frames = np.broadcast_to(50000 + ripple, (1, 200, 400))
    expected = local_mean(np.broadcast_to(ripple, (1, 200, 400)), 3.0) + 50000
    np.testing.assert_allclose(local_mean(frames, 3.0), expected, atol=0.1)


@pytest.mark.parametrize("shape", [(0, 5, 6), (2, 1, 9), (2, 9, 1), (1, 1, 1), (1, 3, 4)])
def test_small_and_empty_pictures(shape):
    out = local_mean(np.ones(shape, np.float32), 20.0)
    assert out.shape == shape
    np.testing.assert_allclose(out, 1, rtol=1e-5)
