"""The classical segmentation on drawn powders whose outlines are known."""

import time

import numpy as np
import pytest
from scipy import ndimage

from morpholith.errors import InputError
from morpholith.segment.classical import above_background, classical, foreground, join_pieces
from morpholith.segment.matching import match


def powder(shape, discs, *, seed=0, texture=0.0, noise=4.0, tilt=20.0, rim=60.0):
    """Draw discs (y, x, r), later ones on top, bright-rimmed on a tilted background; return image and labels.

    Grey levels: background 20 (plus the tilt across the frame), particles 100 to 130 in the order they are drawn,
    or as given, each casting a narrow shadow on what lies below. All is blurred by 0.8 px, so the outline stays
    at half height.
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    grey = 20 + tilt * (y / shape[0] + (x / shape[1]) ** 2)
    labels = np.zeros(shape, np.int32)
    grain = ndimage.gaussian_filter(rng.standard_normal(shape), 1.5)
    grain /= grain.std()
    for k, (cy, cx, r, *level) in enumerate(discs, start=1):
        distance = np.hypot(y - cy, x - cx)
        grey = np.where(distance < r + 3, 0.6 * grey, grey)
        inside = distance < r
        own = level[0] if level else 100 + 30 * k / len(discs)
        surface = own + rim * np.exp(-np.abs(r - distance) / 3) + texture * grain
        grey = np.where(inside, surface, grey)
        labels[inside] = k
    grey = ndimage.gaussian_filter(grey, 0.8) + noise * rng.standard_normal(shape)
    return np.clip(grey, 0, 255).astype(np.uint8), labels


def scattered(shape, radii, *, seed=0, gap=8):
    """Place discs at random without touching; those that find no room are left out."""
    rng = np.random.default_rng(seed)
    placed = []
    for r in sorted(radii, reverse=True):
        for _ in range(400):
            y, x = rng.uniform(r + 6, shape[0] - r - 6), rng.uniform(r + 6, shape[1] - r - 6)
            if all(np.hypot(y - a, x - b) > r + s + gap for a, b, s in placed):
                placed.append((y, x, r))
                break
    return placed


def test_sizes_from_8_to_400_px_in_one_image():
    discs = scattered((960, 1280), [200, 100, 60, 40, 25, 25, 15, 15, 10, 10, *[7] * 10, *[4] * 10], seed=3)
    image, truth = powder((960, 1280), discs)
    labels = classical(image, spacing=0.1)
    got = match(truth, labels, iou=0.8)
    assert len(discs) >= 28
    assert (got.fn, got.fp) == (0, 0)
    areas, found = np.bincount(truth.ravel()), np.bincount(labels.ravel())
    ratio = np.sqrt(found[got.pairs.label] / areas[got.pairs.truth])
    off = (ratio - 1) * np.sqrt(areas[got.pairs.truth] / np.pi)
    assert (np.abs(off) < 0.5).all(), "radii, in px, whatever the size"


def test_touching_discs_are_parted():
    discs = [(100, 100, 50), (100, 171, 20), (170, 100, 20), (160, 160, 30), (60, 220, 40), (130, 250, 35)]
    image, truth = powder((240, 320), discs, rim=0)
    got = match(truth, classical(image, spacing=0.1), iou=0.85)
    assert (got.tp, got.fp, got.fn) == (6, 0, 0)


def test_particle_lying_on_another():
    image, truth = powder((240, 320), [(120, 120, 70, 100), (95, 190, 40, 150)])
    got = match(truth, classical(image, spacing=0.1), iou=0.85)
    assert (got.tp, got.fp, got.fn) == (2, 0, 0)


def test_textured_particles_stay_whole():
    discs = [(120, 120, 80), (110, 290, 60), (250, 240, 45)]
    image, truth = powder((320, 380), discs, texture=25, seed=2)
    got = match(truth, classical(image, spacing=0.1), iou=0.9)
    assert (got.tp, got.fp, got.fn) == (3, 0, 0)


def test_join_weighs_shape_and_grey_evidence():
    y, x = np.mgrid[:60, :120]
    halves = np.where((y - 30) ** 2 + (x - 60) ** 2 < 25**2, 1 + (x > 60), 0)
    pair = np.where((y - 30) ** 2 + (x - 40) ** 2 < 22**2, 1, 0) + np.where((y - 30) ** 2 + (x - 80) ** 2 < 22**2, 2, 0)
    pair[pair == 3] = 1
    n_of = lambda pieces, grey, weight: len(np.unique(join_pieces(pieces, grey, weight=weight))) - 1  # noqa: E731
    for weight in (0, 0.7):
        assert n_of(halves, (halves > 0) * 1.0, weight) == 1  # half discs make a disc
    assert n_of(pair, (pair > 0) * 1.0, 0) == 2  # two discs do not
    assert n_of(pair, (pair > 0) * 1.0, 5) == 1  # unless nothing is seen where they meet, and that counts much
    gap = np.where(abs(x - 60) < 3, 0.2, 1.0) * (pair > 0)
    assert n_of(pair, gap, 5) == 2


@pytest.fixture(scope="module")
def crowd():
    radii = np.random.default_rng(1).lognormal(np.log(14), 0.5, 70)
    return powder((300, 400), scattered((300, 400), radii, gap=-3), texture=10, seed=1)


def test_crowd(crowd):
    image, truth = crowd
    got = match(truth, classical(image, spacing=0.1), iou=0.7)
    assert got.precision > 0.93
    assert got.recall > 0.93


@pytest.mark.parametrize(
    "same_picture",
    [
        lambda v: v.astype(np.uint16) * 257,
        lambda v: v.astype(np.int32) * -3 * -1 + 1000,
        lambda v: v / 255,
        lambda v: (0.37 * v - 55).astype(np.float32),
        lambda v: v * 1e6 + 3e7,
    ],
)
def test_gain_offset_and_type_do_not_matter(crowd, same_picture):
    image, _ = crowd
    want = classical(image, spacing=0.1)
    np.testing.assert_array_equal(classical(same_picture(image), spacing=0.1), want)


@pytest.mark.parametrize("turn", [np.flipud, np.fliplr, np.transpose, np.rot90])
def test_orientation_does_not_matter(crowd, turn):
    image, _ = crowd
    want = turn(classical(image, spacing=0.1))
    got = match(want, classical(np.ascontiguousarray(turn(image)), spacing=0.1), iou=0.8)
    assert got.fp + got.fn <= 2
    assert got.mean_iou > 0.99


def test_labels_are_one_piece_each_and_by_falling_area(crowd):
    labels = classical(crowd[0], spacing=0.1)
    assert labels.dtype == np.int32
    assert labels.shape == crowd[0].shape
    areas = np.bincount(labels.ravel())[1:]
    assert (areas > 0).all()
    assert (np.diff(areas) <= 0).all()
    for k in range(1, labels.max() + 1):
        assert ndimage.label(labels == k)[1] == 1


def test_min_diameter_is_in_um(crowd):
    image, _ = crowd
    for spacing, diameter in ((0.1, 2.0), (0.05, 1.0), ((0.2, 0.05), 2.0)):
        labels = classical(image, spacing=spacing, min_diameter=diameter)
        assert np.bincount(labels.ravel())[1:].min() >= np.pi / 4 * 20**2
    assert labels.max() < classical(image, spacing=0.1).max()


def test_uneven_background_is_flattened():
    image, truth = powder((300, 400), [(150, 200, 60), (60, 60, 20)], tilt=60)
    flat = ndimage.gaussian_filter(above_background(image.astype(np.float32)), 3)
    away = ndimage.distance_transform_edt(truth == 0) > 12
    assert np.abs(flat[away]).max() < 0.12
    assert abs(np.median(flat[ndimage.distance_transform_edt(truth > 0) > 12]) - 1) < 0.15
    inside = foreground(image)
    assert (inside & (truth > 0)).sum() / (inside | (truth > 0)).sum() > 0.95


@pytest.mark.parametrize("noise", [0, 8])
def test_nothing_there(noise):
    y, x = np.mgrid[:200, :300]
    grey = 40 + 0.1 * y + 0.05 * x + noise * np.random.default_rng(0).standard_normal((200, 300))
    for image in (grey, np.full((200, 300), 7), np.zeros((50, 60)), np.ones((1, 1))):
        labels = classical(image, spacing=0.1)
        assert labels.shape == image.shape
        assert labels.dtype == np.int32
        assert labels.max() == 0
        assert not foreground(image).any()


def test_a_single_small_particle():
    image, truth = powder((300, 400), [(150, 200, 8)])
    got = match(truth, classical(image, spacing=0.1), iou=0.7)
    assert (got.tp, got.fp) == (1, 0)


def test_the_image_is_left_alone(crowd):
    image = crowd[0].astype(np.float32)
    before = image.copy()
    classical(image, spacing=0.1)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(
    ("array", "options", "message"),
    [
        (np.zeros((3, 4, 3)), {}, r"2D grey image \(y, x\), got shape \(3, 4, 3\)"),
        (np.zeros((0, 4)), {}, "is empty"),
        (np.array([[1.0, np.nan]]), {}, "NaN or infinite"),
        (np.eye(5), {"spacing": -1}, "`spacing` must be 2 positive lengths"),
        (np.eye(5), {"min_diameter": 0}, "`min_diameter` must be a positive length in um, got 0"),
        (np.eye(5), {"contrast": 1.5}, "`contrast` must lie between 0 and 1, got 1.5"),
        (np.eye(5), {"join": -1}, "`join` must not be negative, got -1"),
        (np.eye(5), {"edge": 0}, "`edge` must lie between 0 and 1, got 0"),
    ],
)
def test_bad_input(array, options, message):
    with pytest.raises(InputError, match=message):
        classical(array, **{"spacing": 0.1, **options})


def test_fast_enough():
    discs = scattered((960, 1280), np.random.default_rng(0).lognormal(np.log(20), 0.5, 300), gap=0)
    image, _ = powder((960, 1280), [(0, 0, 1)])
    for y, x, r in discs:  # drawing each disc on its own patch keeps the test itself quick
        rows, columns = slice(int(y - r), int(y + r) + 2), slice(int(x - r), int(x + r) + 2)
        yy, xx = np.ogrid[rows, columns]
        image[rows, columns][(yy - y) ** 2 + (xx - x) ** 2 < r * r] = 130
    start = time.process_time()
    labels = classical(image, spacing=0.1)
    assert time.process_time() - start < 3, "0.8 s on a quiet core"
    assert labels.max() > 200


def test_hand_drawn_powder(data):
    import _ampis

    name = _ampis.names(data)[2]
    got = match(_ampis.labels(data, name), classical(_ampis.image(data, name), spacing=0.67), iou=0.5)
    assert got.precision > 0.8
    assert got.recall > 0.8
