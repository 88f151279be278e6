"""What lies around a particle is taken off its frames."""

import numpy as np
import pytest

from morpholith.measure import change_with_depth, without_surroundings


def _region(n=12, shape=(50, 64)):
    y, x = np.indices(shape)
    body = np.clip(1 - ((y - 24) ** 2 + (x - 30) ** 2) / 14**2, 0, None) ** 0.5
    mask = body > 0
    strength = np.linspace(0.1, 0.8, n)[:, None, None]
    return (strength * body).astype(np.float32), mask


def test_drift_of_the_frames_is_gone_and_the_particle_stays():
    clean, mask = _region()
    drift = np.random.default_rng(0).normal(0.4, 0.05, (12, 1, 1)).astype(np.float32)
    found = without_surroundings(clean + drift, mask)
    np.testing.assert_allclose(found, clean, atol=1e-6)


def test_a_neighbour_in_a_corner_does_not_shift_the_level():
    clean, mask = _region()
    crowded = clean + 0.4
    crowded[:, :14, 48:] += 1.0
    found = without_surroundings(crowded, mask)
    np.testing.assert_allclose(found[:, mask], clean[:, mask], atol=1e-6)


def test_several_scans_and_missing_frames():
    clean, mask = _region()
    stack = np.stack([clean + 0.3, clean + 0.5])
    stack[0, 3] = np.nan
    stack[1, 5][~mask] = np.nan
    found = without_surroundings(stack, mask)
    assert np.isnan(found[0, 3]).all()
    np.testing.assert_allclose(np.delete(found[0], 3, 0), np.delete(clean, 3, 0), atol=1e-6)
    # its surroundings were not seen: the usual level stands in, of which half the frames have 0.3 and half 0.5
    assert found[1, 5][mask].mean() == pytest.approx((clean[5][mask] + 0.5 - 0.5).mean(), abs=0.21)


def test_without_surroundings_to_speak_of_nothing_is_taken_off():
    clean, _ = _region()
    full = np.ones(clean.shape[1:], bool)
    np.testing.assert_array_equal(without_surroundings(clean + 0.4, full), clean + 0.4)
    empty = np.zeros_like(full)
    np.testing.assert_array_equal(without_surroundings(clean + 0.4, empty), clean + 0.4)


def test_the_mean_of_a_graded_particle_depends_on_its_outline():
    y, x = np.indices((41, 41))
    radius = np.hypot(y - 20, x - 20)
    inside, deeper = radius < 16, radius < 14
    values = np.where(radius < 18, radius / 16, np.nan)
    # the mean of r over a disc of radius R is 2 R / 3
    assert change_with_depth(values, inside, deeper) == pytest.approx(2 / 3 * 2 / 16, rel=0.05)
    assert change_with_depth(np.ones((41, 41)), inside, deeper) == 0
    assert change_with_depth(values, inside, np.zeros_like(inside)) == 0
