"""Chords, two-point correlation and local thickness against geometry."""

import numpy as np
import pytest
from _solids import ball, cylinder, frame, gaussian_field, turn

from morpholith.errors import InputError
from morpholith.measure import (
    chord_lengths,
    local_thickness,
    specific_surface,
    thickness_summary,
    two_point_correlation,
)

ODD = (1.5, 1.0, 0.7)


@pytest.fixture(scope="module")
def field():
    return gaussian_field((72, 96, 84), 3.0, np.random.default_rng(0)) > 0.4


def test_chords_of_drawn_lines():
    mask = np.zeros((1, 2, 12), bool)
    mask[0, 0, [0, 1, 4, 5, 6, 9]] = True  # cut 2, whole 3, whole 1
    mask[0, 1] = True  # cut at both ends
    chords = chord_lengths(mask, spacing=(1.0, 1.0, 0.5), axis="x")
    np.testing.assert_allclose(chords.table.length_um, [0.5, 1.0, 1.5, 6.0])
    np.testing.assert_array_equal(chords.table.n_whole, [1, 0, 1, 0])
    np.testing.assert_array_equal(chords.table.n_cut, [0, 1, 0, 1])
    np.testing.assert_allclose(chords.table.share, np.array([1 / 10, 0, 1 / 8, 0]) / (1 / 10 + 1 / 8))
    assert chords.table.cumulative.iloc[-1] == pytest.approx(1)
    assert chords.cut_share == pytest.approx(14 / 18)
    assert chords.mean.value == pytest.approx(0.5 * (18 / 24) / (5 / 22 / 2))
    assert "not resolved" in chords.mean.warning


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_mean_chord_is_four_fractions_over_surface(field, axis):
    """And neither small windows nor the order of axes change it."""
    spacing = (1.0, 1.0, 1.0)
    true = 4 * 0.3446 / (2 / np.pi / 3 * np.exp(-(0.4**2) / 2))
    chords = chord_lengths(field, spacing=spacing, axis=axis)
    assert chords.mean.low < true < chords.mean.high
    assert chords.mean.value == pytest.approx(true, rel=0.08)
    longer = chord_lengths(field, spacing=ODD, axis=axis)
    assert longer.mean.value == pytest.approx(chords.mean.value * ODD[axis])
    pieces = [chord_lengths(field[i : i + 18, j : j + 24, k : k + 21], spacing=spacing, axis=axis).mean.value
              for i in range(0, 72, 18) for j in range(0, 96, 24) for k in range(0, 84, 21)]  # fmt: skip
    assert np.mean(pieces) == pytest.approx(chords.mean.value, rel=0.06)


def test_chord_distribution_is_not_shortened_by_the_faces():
    """Slabs 6 thick, 10 apart, at random: a window of 17 sees few whole gaps, yet weighs them right."""
    rng = np.random.default_rng(1)
    lines = np.zeros((1, 4000, 17), bool)
    for row, start in zip(lines[0], rng.integers(0, 16, 4000), strict=True):
        row[:] = (np.arange(17) + start) % 16 >= 6
    lines[0, :2000] = (np.arange(17) + rng.integers(0, 5, 2000)[:, None]) % 5 >= 3  # chords of 2
    table = chord_lengths(lines, spacing=1.0, axis=2).table.set_index("length_um")
    # 2000 lines hold 17/5 chords of 2 each, as many others 17/16 of 10
    assert table.share[10.0] / table.share[2.0] == pytest.approx(5 / 16, rel=0.1)
    assert table.n_whole[10.0] / table.n_whole[2.0] < 0.2


def test_no_chord_gives_nan():
    empty = chord_lengths(np.zeros((4, 4, 4), bool), spacing=1.0, axis=0)
    assert len(empty.table) == 0
    assert np.isnan(empty.mean.value)
    full = chord_lengths(np.ones((4, 4, 4), bool), spacing=1.0, axis=0)
    assert np.isnan(full.mean.value)
    assert full.cut_share == 1


def test_correlation_equals_counting_pairs():
    mask = np.random.default_rng(2).random((7, 9, 8)) < 0.4
    table = two_point_correlation(mask, spacing=ODD, r_max_um=3.0)
    both, pairs, far = np.zeros(99), np.zeros(99), np.zeros(99)
    for dz in range(-2, 3):
        for dy in range(-3, 4):
            for dx in range(-4, 5):
                r = np.linalg.norm(np.array([dz, dy, dx]) * ODD)
                if r > 3.0 or (dx, dy, dz) < (0, 0, 0):
                    continue
                one = mask[max(-dz, 0) : 7 - max(dz, 0), max(-dy, 0) : 9 - max(dy, 0), max(-dx, 0) : 8 - max(dx, 0)]
                two = mask[max(dz, 0) : 7 - max(-dz, 0), max(dy, 0) : 9 - max(-dy, 0), max(dx, 0) : 8 - max(-dx, 0)]
                k = round(r / 0.7)
                both[k], pairs[k], far[k] = both[k] + (one & two).sum(), pairs[k] + one.size, far[k] + r * one.size
    seen = pairs > 0
    np.testing.assert_allclose(table.s2, both[seen] / pairs[seen], atol=1e-6)
    np.testing.assert_allclose(table.r_um, far[seen] / pairs[seen], atol=1e-6)


def test_correlation_of_a_known_field(field):
    table = two_point_correlation(field, spacing=1.0)
    assert table.s2[0] == pytest.approx(field.mean(), abs=1e-6)
    far = table[table.r_um.between(15, 25)]
    np.testing.assert_allclose(far.s2, field.mean() ** 2, atol=0.02)
    near = table[table.r_um < 2.5]
    slope = np.polyfit(near.r_um, near.s2, 2)[1]  # curvature and next order drop out
    surface = specific_surface(field, spacing=1.0).value
    assert -4 * slope == pytest.approx(surface, rel=0.1)
    assert (table.sd >= 0).all()
    assert table.r_um.max() <= 32 + 1e-9


def test_correlation_is_in_um_and_in_the_order_of_axes(field):
    here = two_point_correlation(field, spacing=ODD)
    there = two_point_correlation(field.transpose(1, 2, 0), spacing=(ODD[1], ODD[2], ODD[0]))
    np.testing.assert_allclose(here.s2, there.s2, atol=1e-5)
    np.testing.assert_allclose(here.r_um, there.r_um)
    wrong = two_point_correlation(field, spacing=ODD[::-1])
    assert not np.allclose(wrong.s2[:5], here.s2[:5], atol=1e-3)
    assert len(two_point_correlation(np.zeros((0, 3, 3), bool), spacing=1.0)) == 0
    with pytest.raises(InputError, match="r_max_um"):
        two_point_correlation(field, spacing=1.0, r_max_um=0)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0)])
def test_thickness_of_slabs(spacing):
    rng = np.random.default_rng(3)
    for width in (4, 7):
        mask = np.zeros((16, 24, 22), bool)
        mask[:, 6 : 6 + width] = True
        found = local_thickness(mask, spacing=spacing)
        assert (found[~mask] == 0).all()
        np.testing.assert_allclose(found[mask], width, atol=0.2 * max(spacing))
        turned = np.abs(frame(14, spacing, rng, turn(rng))[..., 0]) <= width / 2
        middle = tuple(slice(n // 3, 2 * n // 3) for n in turned.shape)
        values = local_thickness(turned, spacing=spacing)[middle][turned[middle]]
        assert values.mean() == pytest.approx(width, abs=0.35 * max(spacing))


@pytest.mark.parametrize(("spacing", "bias"), [((1.0, 1.0, 1.0), 0.75), ((2.0, 1.0, 1.0), 1.2)])
@pytest.mark.parametrize("radius", [6, 13])
def test_thickness_of_balls_and_cylinders(radius, spacing, bias):
    rng = np.random.default_rng(4)
    mask = ball(radius, spacing, rng)
    values = local_thickness(mask, spacing=spacing)[mask]
    assert np.median(values) == pytest.approx(2 * radius - bias / 2, abs=bias / 2 + 0.1)
    assert np.ptp(values[values > 1]) < 2 or np.quantile(values, 0.02) > 2 * radius - 2 * bias
    rotation = turn(rng)
    rod = cylinder(radius, 2 * radius, spacing, rng, rotation)
    values = local_thickness(rod, spacing=spacing)[rod]
    assert np.quantile(values, 0.6) == pytest.approx(2 * radius, abs=bias)


def test_thickness_is_the_largest_sphere_and_not_the_nearest():
    """Every voxel of a dumbbell's ends has their diameter; the bar keeps its own."""
    z, y, x = np.indices((30, 30, 70))
    bar = ((z - 15) ** 2 + (y - 15) ** 2 <= 9) & (x > 14) & (x < 55)
    ends = [((z - 15) ** 2 + (y - 15) ** 2 + (x - c) ** 2 <= 100) for c in (14, 55)]
    found = local_thickness(bar | ends[0] | ends[1], spacing=(0.5, 0.5, 0.5))
    np.testing.assert_allclose(np.quantile(found[ends[0]], [0.05, 0.5, 1]), 10, atol=0.4)
    np.testing.assert_allclose(found[15, 15, 30:40], 3.2, atol=0.35)


def test_thickness_beside_brute_force():
    """All spheres that fit, one by one, on the same distances."""
    from scipy import ndimage

    mask = gaussian_field((20, 22, 24), 2.5, np.random.default_rng(5)) > 0
    found = local_thickness(mask, spacing=1.0)
    away = ndimage.distance_transform_edt(mask)
    low, high = np.zeros(mask.shape), np.zeros(mask.shape)
    grid = np.indices(mask.shape)
    for place in np.argwhere(mask):
        square = ((grid - place[:, None, None, None]) ** 2).sum(0)
        # the interface lies up to half a voxel nearer than the next voxel's centre, the best centre half a voxel off
        for into, r in ((low, away[tuple(place)] - 0.5), (high, away[tuple(place)] + 0.5)):
            np.maximum(into, np.where(square <= r * r, 2 * r, 0), out=into)
    inside = (low - 0.4 <= found) & (found <= high + 0.4)
    assert inside[mask].mean() > 0.97
    assert low[mask].mean() + 0.5 < found[mask].mean() < high[mask].mean() - 0.5


def test_thickness_of_nothing_and_of_everything():
    assert (local_thickness(np.zeros((4, 5, 6), bool), spacing=1.0) == 0).all()
    assert np.isinf(local_thickness(np.ones((4, 5, 6), bool), spacing=1.0)).all()
    assert local_thickness(np.zeros((0, 5, 6), bool), spacing=1.0).shape == (0, 5, 6)
    nothing = thickness_summary(np.zeros((4, 5, 6)), spacing=1.0)
    assert np.isnan(nothing["mean_um"].value)


def test_summary_weighs_by_volume(field):
    thickness = np.where(field, 2.0, 0.0).astype(np.float32)
    thickness[:36][field[:36]] = 4.0
    found = thickness_summary(thickness, spacing=1.0)
    share = field[:36].sum() / field.sum()
    assert found["mean_um"].value == pytest.approx(4 * share + 2 * (1 - share))
    assert found["mean_um"].low < found["mean_um"].value < found["mean_um"].high
    assert (found["d10_um"].value, found["d90_um"].value) == (2, 4)
    assert found["sd_um"].value == pytest.approx(1, abs=0.05)
