"""Non-local means: what it takes off, what it leaves where it was, and that blocks give the whole."""

import numba
import numpy as np
import pytest
from scipy import ndimage as ndi
from scipy.special import ndtr

from morpholith.segment.denoise import SEARCH, halo, noise, nonlocal_means


def slabs(shape, edges, *, blur, levels=(10.0, 50.0), tilt=0.0):
    """Return slabs of two levels with Gaussian-blurred edges at exact places along x, tilted towards y and z."""
    z, y, x = np.ogrid[: shape[0], : shape[1], : shape[2]]
    along = x + tilt * (y - shape[1] / 2) + 0.618 * tilt * (z - shape[0] / 2)
    inside = sum((-1) ** k * ndtr((along - e) / blur) for k, e in enumerate(edges))
    return (levels[0] + (levels[1] - levels[0]) * inside).astype(np.float32)


def by_hand(volume, sd):
    """Non-local means written from its definition, without any of the short cuts."""
    r = SEARCH
    padded = np.pad(volume.astype(float), r + 1, mode="symmetric")
    total, weight = volume.astype(float).copy(), np.ones(volume.shape)
    cut = (slice(r + 1, -r - 1),) * 3
    for shift in np.ndindex(*(2 * r + 1,) * 3):
        shift = tuple(s - r for s in shift)
        if shift == (0, 0, 0):
            continue
        moved = np.roll(padded, [-s for s in shift], (0, 1, 2))
        distance = ndi.uniform_filter((padded - moved) ** 2, 3)[cut]
        w = np.clip(1 - np.maximum(distance - 2 * sd**2, 0) / (2 * sd**2), 0, None) ** 4
        total, weight = total + w * moved[cut], weight + w
    return total / weight


def test_equals_its_definition():
    rng = np.random.default_rng(0)
    clean = slabs((17, 12, 21), (6.3, 15.1), blur=1.0)
    noisy = clean + rng.normal(0, 6, clean.shape).astype(np.float32)
    np.testing.assert_allclose(nonlocal_means(noisy, sd=6.0), by_hand(noisy, 6.0), atol=1e-3)


def test_takes_off_the_noise_and_leaves_the_levels():
    rng = np.random.default_rng(1)
    clean = slabs((40, 44, 48), (16.0, 32.0), blur=0.7)
    found = nonlocal_means(clean + rng.normal(0, 8, clean.shape), sd=8.0)
    bright, dark = found[..., 20:28], found[..., 38:46]
    assert max(bright.std(), dark.std()) < 0.2 * 8
    assert bright.mean() == pytest.approx(50, abs=0.1)
    assert dark.mean() == pytest.approx(10, abs=0.1)


@pytest.mark.parametrize("sd", [2.0, 8.0])
@pytest.mark.parametrize("blur", [0.6, 1.4])
def test_an_edge_stays_where_it_is(sd, blur):
    rng = np.random.default_rng(2)
    clean = slabs((48, 48, 72), (15.3, 26.8, 42.2, 57.6), blur=blur, tilt=0.2371)
    noisy = clean + rng.normal(0, sd, clean.shape).astype(np.float32)
    bright = (26.8 - 15.3 + 57.6 - 42.2) / 72
    assert (clean > 30).mean() == pytest.approx(bright, abs=0.001)
    assert (nonlocal_means(noisy, sd=sd) > 30).mean() == pytest.approx(bright, abs=0.002)


def test_a_ball_keeps_the_volume_that_its_blurred_image_has():
    z, y, x = np.ogrid[:40, :44, :48]
    distance = np.sqrt((z - 19.3) ** 2 + (y - 22.1) ** 2 + (x - 23.6) ** 2) - 13.2
    clean = ndi.gaussian_filter(np.clip(0.5 - distance, 0, 1).astype(np.float32), 1.0)
    rng = np.random.default_rng(3)
    found = nonlocal_means(clean + rng.normal(0, 0.1, clean.shape), sd=0.1)
    assert (found > 0.5).mean() == pytest.approx((clean > 0.5).mean(), abs=0.002)


def test_blocks_with_their_halo_give_the_same_bits():
    rng = np.random.default_rng(4)
    volume = rng.normal(0, 1, (31, 37, 41)).astype(np.float32)
    volume[:, :, 17:] += 5
    whole = nonlocal_means(volume, sd=1.0)
    h = halo(volume.shape)
    assert h == (3, 3, 3)
    for lo, hi in (((5, 9, 11), (19, 30, 29)), ((0, 0, 20), (13, 37, 41)), ((14, 3, 0), (31, 8, 9))):
        around = tuple(slice(max(0, a - m), min(n, b + m)) for a, b, m, n in zip(lo, hi, h, volume.shape, strict=True))
        inner = tuple(slice(a - s.start, b - s.start) for a, b, s in zip(lo, hi, around, strict=True))
        kept = tuple(slice(a, b) for a, b in zip(lo, hi, strict=True))
        np.testing.assert_array_equal(nonlocal_means(volume[around], sd=1.0)[inner], whole[kept])


def test_threads_do_not_change_a_bit():
    rng = np.random.default_rng(5)
    volume = rng.normal(0, 1, (40, 20, 22)).astype(np.float32)
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        one = nonlocal_means(volume, sd=1.0)
    finally:
        numba.set_num_threads(before)
    np.testing.assert_array_equal(one, nonlocal_means(volume, sd=1.0))


def test_a_single_slice_is_averaged_within_itself():
    rng = np.random.default_rng(6)
    plane = rng.normal(0, 1, (1, 60, 62)).astype(np.float32)
    found = nonlocal_means(plane, sd=1.0)
    assert found.shape == plane.shape
    assert 0.15 < found.std() < 0.4
    assert halo(plane.shape) == (0, 3, 3)


def test_no_noise_changes_nothing_and_the_input_is_left_alone():
    volume = np.random.default_rng(7).normal(0, 1, (9, 9, 9))
    kept = volume.copy()
    np.testing.assert_array_equal(nonlocal_means(volume, sd=0.0), volume.astype(np.float32))
    nonlocal_means(volume, sd=1.0)
    np.testing.assert_array_equal(volume, kept)


@pytest.mark.parametrize("shape", [(30, 32, 34), (1, 90, 95)])
def test_noise_is_measured_on_shading_and_edges(shape):
    rng = np.random.default_rng(8)
    clean = slabs(shape, (10.0, 22.0), blur=1.0)
    shaded = clean + 0.5 * np.arange(shape[1])[None, :, None]
    assert noise(shaded + rng.normal(0, 3, shape)) == pytest.approx(3, rel=0.05)


def test_noise_of_next_to_nothing_is_unknown():
    assert np.isnan(noise(np.zeros((1, 2, 2))))
