"""Weighted normalised cross-correlation against the same done pixel by pixel, and against known places."""

import numpy as np
import pytest

from morpholith._match import best_offsets

WINDOW, TEMPLATE = (37, 52), (19, 24)


def _slow(window, template, weight):
    """Every offset in turn, in double precision."""
    window = np.where(np.isfinite(window), window, np.nanmean(window)).astype(float)
    w = weight / weight.sum()
    t = template - (w * template).sum()
    out = np.zeros([a - b + 1 for a, b in zip(window.shape, template.shape, strict=True)])
    for i, j in np.ndindex(*out.shape):
        part = window[i : i + template.shape[0], j : j + template.shape[1]]
        part = part - (w * part).sum()
        out[i, j] = (w * part * t).sum() / np.sqrt((w * part**2).sum() * (w * t**2).sum())
    return out


def _body(shape, rng):
    y, x = np.indices(shape)
    cy, cx = (n / 2 for n in shape)
    inside = np.hypot((y - cy) / (0.32 * shape[0]), (x - cx) / (0.38 * shape[1])) < 1
    return inside * (1 + 0.3 * rng.normal(size=shape))


def _placed(template, at, rng, *, noise=0.05):
    window = rng.normal(0, noise, WINDOW)
    window[at[0] : at[0] + template.shape[0], at[1] : at[1] + template.shape[1]] += template
    return window


def test_it_is_the_weighted_correlation_coefficient():
    rng = np.random.default_rng(1)
    template, weight = _body(TEMPLATE, rng), rng.uniform(0, 1, TEMPLATE)
    weight[:, :6] = 0
    windows = np.stack([_placed(template, at, rng, noise=0.8) for at in ((0, 0), (18, 28), (7, 21), (3, 2))])
    windows[2, 10:14, 30:36] = np.nan
    offset, likeness = best_offsets(windows, template, weight)
    for k, window in enumerate(windows):
        slow = _slow(window, template, weight)
        assert tuple(offset[k]) == np.unravel_index(slow.argmax(), slow.shape)
        assert likeness[k] == pytest.approx(slow.max(), abs=1e-4)


def test_known_places_are_found_through_gain_and_offset():
    rng = np.random.default_rng(2)
    template = _body(TEMPLATE, rng)
    places = np.array([[0, 0], [18, 28], [18, 0], [5, 17], [11, 3]])
    windows = np.stack([_placed(template, at, rng) for at in places])
    gains = np.array([1.0, 0.02, 30.0, 1e-4, 1e3])[:, None, None]
    offset, likeness = best_offsets(gains * windows + 100 * gains, template, np.ones(TEMPLATE))
    np.testing.assert_array_equal(offset, places)
    assert offset.dtype == np.int64
    assert (likeness > 0.98).all()
    plain = best_offsets(windows, template, np.ones(TEMPLATE))[1]
    np.testing.assert_allclose(likeness, plain, atol=1e-3)


def test_the_unit_of_the_template_does_not_matter():
    """Optical densities of a thousandth are no less alike than those of one."""
    rng = np.random.default_rng(3)
    template = _body(TEMPLATE, rng)
    windows = np.stack([_placed(template, (9, 20), rng, noise=0.3)])
    reference = best_offsets(windows, template, np.ones(TEMPLATE))
    for unit in (1e-5, 1e-3, 1e4):
        offset, likeness = best_offsets(unit * windows, unit * template, np.ones(TEMPLATE))
        np.testing.assert_array_equal(offset, reference[0])
        assert likeness == pytest.approx(reference[1], abs=1e-3)


def test_a_weight_of_zero_hides_a_neighbour():
    rng = np.random.default_rng(4)
    template = _body(TEMPLATE, rng)
    with_neighbour = template.copy()
    with_neighbour[:, :5] = 5.0
    weight = np.ones(TEMPLATE)
    weight[:, :5] = 0
    windows = _placed(template, (6, 13), rng)[None]
    offset, likeness = best_offsets(windows, with_neighbour, weight)
    np.testing.assert_array_equal(offset[0], (6, 13))
    assert likeness[0] > 0.98
    assert best_offsets(windows, with_neighbour, np.ones(TEMPLATE))[1][0] < 0.9


def test_the_negative_is_not_like_it():
    rng = np.random.default_rng(5)
    template = _body(TEMPLATE, rng)
    windows = np.stack([_placed(template, (6, 13), rng), -_placed(template, (6, 13), rng)])
    offset, likeness = best_offsets(windows, template, np.ones(TEMPLATE))
    assert likeness[0] > 0.98
    assert likeness[1] < 0.6
    assert tuple(offset[1]) != (6, 13)


def test_windows_without_anything_in_them():
    rng = np.random.default_rng(6)
    template = _body(TEMPLATE, rng)
    windows = np.stack(
        [np.full(WINDOW, 3.5), np.full(WINDOW, np.nan), np.zeros(WINDOW), _placed(template, (2, 4), rng)]
    )
    offset, likeness = best_offsets(windows, template, np.ones(TEMPLATE))
    np.testing.assert_array_equal(likeness[:3], 0)
    assert likeness[3] > 0.98
    np.testing.assert_array_equal(offset[3], (2, 4))
    none = best_offsets(windows[:0], template, np.ones(TEMPLATE))
    assert none[0].shape == (0, 2)
    assert none[1].shape == (0,)


def test_a_hot_pixel_beside_flat_ground_makes_nothing_alike():
    """Where a window is flat, rounding must not pass for likeness."""
    rng = np.random.default_rng(7)
    template = _body(TEMPLATE, rng)
    window = np.zeros((60, 90))
    window[1, 1] = 1e4
    window[30 : 30 + TEMPLATE[0], 50 : 50 + TEMPLATE[1]] = template
    slow = _slow(window[8:] + rng.normal(0, 1e-9, (52, 90)), template, np.ones(TEMPLATE)).max()
    assert slow == pytest.approx(1)
    _, likeness = best_offsets(window[None], template, np.ones(TEMPLATE))
    assert likeness[0] <= 1
    empty = np.zeros((1, 60, 90))
    empty[0, 1, 1] = 1e4
    assert best_offsets(empty, template, np.ones(TEMPLATE))[1][0] < 0.5


def test_a_template_as_large_as_the_window_has_one_place():
    rng = np.random.default_rng(8)
    template = _body(TEMPLATE, rng)
    offset, likeness = best_offsets((2 * template + 1)[None], template, np.ones(TEMPLATE))
    np.testing.assert_array_equal(offset, [[0, 0]])
    assert likeness[0] == pytest.approx(1, abs=1e-4)
