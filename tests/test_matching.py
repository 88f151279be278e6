"""Matching scores: counted by hand, then the laws they obey."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from morpholith.errors import InputError
from morpholith.segment.matching import average_precision, iou_table, match


def boxes(*spans, shape=(9, 40)):
    """Return labels 1.. as boxes of rows 2..6 between the given columns."""
    out = np.zeros(shape, int)
    for k, (start, stop) in enumerate(spans, start=1):
        out[2:7, start:stop] = k
    return out


def test_iou_table_is_counted():
    truth = boxes((0, 10), (20, 30))
    labels = boxes((5, 25))
    table = iou_table(truth, labels)
    np.testing.assert_array_equal(table[["truth", "label"]], [[1, 1], [2, 1]])
    np.testing.assert_array_equal(table.intersection_px, [25, 25])
    np.testing.assert_allclose(table.iou, [25 / 125, 25 / 125])


def test_scores_by_hand():
    truth = boxes((0, 10), (12, 22), (24, 30))
    labels = boxes((0, 8), (12, 15), (33, 39), (24, 30))  # IoU 0.8, 0.3, false, 1
    got = match(truth, labels, iou=0.5)
    assert (got.tp, got.fp, got.fn) == (2, 2, 1)
    assert got.precision == pytest.approx(2 / 4)
    assert got.recall == pytest.approx(2 / 3)
    assert got.f1 == pytest.approx(4 / 7)
    assert got.mean_iou == pytest.approx(0.9)
    assert got.panoptic_quality == pytest.approx(1.8 / 3.5)
    np.testing.assert_array_equal(got.pairs[["truth", "label"]], [[1, 1], [3, 4]])
    np.testing.assert_allclose(got.pairs.iou, [0.8, 1.0])


def test_threshold_is_inclusive():
    truth, labels = boxes((0, 10)), boxes((0, 5))
    assert match(truth, labels, iou=0.5).tp == 1
    assert match(truth, labels, iou=0.51).tp == 0


def test_more_pairs_beat_a_better_pair():
    # Truth 1 fits label 1 at 0.82; to pair truth 2 as well, which only meets label 1, it has to take label 2.
    truth = np.zeros((1, 100), int)
    labels = np.zeros((1, 100), int)
    truth[0, :80], truth[0, 80:90] = 1, 2
    labels[0, 8:88], labels[0, :8] = 1, 2
    table = iou_table(truth, labels)
    np.testing.assert_allclose(table.iou, [72 / 88, 8 / 80, 8 / 82])
    got = match(truth, labels, iou=0.09)
    assert got.tp == 2
    np.testing.assert_array_equal(got.pairs[["truth", "label"]], [[1, 2], [2, 1]])
    assert match(truth, labels, iou=0.5).mean_iou == pytest.approx(72 / 88)


def test_average_precision_by_hand():
    truth = boxes((0, 10), (12, 22))
    labels = boxes((0, 8), (12, 22))  # IoU 0.8 and 1
    got = average_precision(truth, labels, iou=(0.5, 0.75, 0.9))
    np.testing.assert_allclose(got, [1, 1, 1 / 3])
    assert average_precision(truth, labels).shape == (10,)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64])
def test_nothing_on_either_side(dtype):
    nothing, one = np.zeros((5, 6), dtype), np.ones((5, 6), dtype)
    missed = match(one, nothing)
    assert (missed.tp, missed.fp, missed.fn) == (0, 0, 1)
    assert np.isnan(missed.precision)
    assert missed.recall == missed.f1 == missed.panoptic_quality == 0
    invented = match(nothing, one)
    assert (invented.tp, invented.fp, invented.fn) == (0, 1, 0)
    assert np.isnan(invented.recall)
    assert invented.precision == invented.f1 == 0
    silent = match(nothing, nothing)
    assert np.isnan([silent.precision, silent.recall, silent.f1, silent.mean_iou, silent.panoptic_quality]).all()
    assert list(silent.pairs.columns) == list(missed.pairs.columns) == ["truth", "label", "iou"]
    assert np.isnan(average_precision(nothing, nothing)).all()
    np.testing.assert_array_equal(average_precision(one, nothing), 0)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.1, 0.3, 0.5, 0.7]))
def test_numbering_and_orientation_do_not_matter(seed, iou):
    rng = np.random.default_rng(seed)
    truth = np.kron(rng.integers(0, 5, (4, 5)), np.ones((3, 4), int))
    labels = np.where(rng.random(truth.shape) < 0.8, truth, rng.integers(0, 5, truth.shape))
    want = match(truth, labels, iou=iou)
    numbers = np.concatenate([[0], rng.choice(np.arange(1, 2_000_000_000, 7919), 5, replace=False)])
    renumbered = match(truth, numbers[labels].astype(np.int32), iou=iou)
    turned = match(truth.T, labels.T, iou=iou)
    swapped = match(labels, truth, iou=iou)
    for got in (renumbered, turned):
        assert (got.tp, got.fp, got.fn) == (want.tp, want.fp, want.fn)
        assert got.panoptic_quality == pytest.approx(want.panoptic_quality, nan_ok=True)
    assert (swapped.tp, swapped.fp, swapped.fn) == (want.tp, want.fn, want.fp)
    assert want.tp <= min(truth.max(), labels.max())
    assert match(truth, truth).panoptic_quality == pytest.approx(1)


def test_more_labels_than_a_dense_table_could_hold():
    truth = np.arange(1, 3601).reshape(60, 60)
    got = match(truth, truth[::-1, ::-1])
    assert got.tp == 3600


def test_negative_numbers_are_labels_too():
    truth = boxes((0, 10), (12, 22))
    labels = -3 * truth
    got = match(truth, labels)
    assert got.tp == 2
    np.testing.assert_array_equal(got.pairs.label, [-3, -6])


@pytest.mark.parametrize("iou", [0, -0.5, 1.01, float("nan"), (0.5, 0.7)])
def test_bad_threshold(iou):
    with pytest.raises(InputError, match=r"`iou` must be a number in \(0, 1\]"):
        match(np.ones((3, 3), int), np.ones((3, 3), int), iou=iou)


def test_bad_images():
    with pytest.raises(InputError, match=r"one shape, got \(3, 4\) and \(4, 3\)"):
        match(np.ones((3, 4), int), np.ones((4, 3), int))
    with pytest.raises(InputError, match="`labels` must be a 2D array of integer labels"):
        match(np.ones((3, 4), int), np.ones((3, 4)))


def test_fast_enough_for_a_micrograph():
    y, x = np.mgrid[:960, :1280]
    truth = (y // 43) * 24 + x // 54 + 1  # 552 boxes
    labels = np.roll(truth, 4, axis=1)
    match(truth[:9, :9], labels[:9, :9])  # pandas and scipy are imported here, not in the time below
    times = []
    for _ in range(5):
        start = time.perf_counter()
        got = match(truth, labels, iou=0.3)
        times.append(time.perf_counter() - start)
    assert got.tp > 500
    assert min(times) < 0.2, f"{min(times):.3f} s; 0.03 s on a quiet core"
