"""What an instrument loses of a section."""

import numpy as np
import pytest

from morpholith.measure import at_boundary, loss_rates, with_losses
from morpholith.segment import Section


def bricks(shape=(120, 180), height=12, width=18):
    y, x = np.indices(shape)
    labels = (y // height * 1000 + x // width + 1).astype(np.int32)
    inside = np.zeros(shape, bool)
    inside[6:-6, 9:-9] = True
    return np.where(inside, labels, 0), inside


def lost(labels, inside, boundary, elsewhere, seed):
    rng = np.random.default_rng(seed)
    gone = rng.random(labels.shape) < np.where(at_boundary(labels), boundary, elsewhere)
    return Section(np.where(gone, 0, labels).astype(np.int32), inside, 0.1, (60.0, 90.0))


@pytest.mark.parametrize(("boundary", "elsewhere"), [(0.0, 0.0), (0.3, 0.01), (0.6, 0.05)])
def test_rates_come_back(boundary, elsewhere):
    labels, inside = bricks()
    found = loss_rates(lost(labels, inside, boundary, elsewhere, 1))
    assert found == pytest.approx((boundary, elsewhere), abs=0.04)


def test_boundary_is_on_both_sides_and_at_the_outline():
    labels = np.zeros((5, 6), int)
    labels[1:4, 1:3], labels[1:4, 3:5] = 1, 2
    expected = labels > 0
    assert (at_boundary(labels) == expected).all()
    wide = np.zeros((7, 9), int)
    wide[1:6, 1:8] = 3
    assert at_boundary(wide).sum() == 2 * 7 + 2 * 3


def test_losses_part_grains_and_drop_specks():
    """Without loss nothing changes but numbers; with it grains shrink, part, and small pieces go."""
    labels, inside = bricks()
    rng = np.random.default_rng(3)
    same = with_losses(labels, inside, boundary=0.0, elsewhere=0.0, min_pixels=5, rng=rng)
    pairs = np.unique(np.stack([labels.ravel(), same.ravel()]), axis=1)
    assert len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]
    seen = with_losses(labels, inside, boundary=0.5, elsewhere=0.02, min_pixels=5, rng=rng)
    assert (seen[~inside] == 0).all()
    share = at_boundary(labels).sum() / inside.sum()
    assert (seen[inside] == 0).mean() == pytest.approx(0.5 * share + 0.02 * (1 - share), abs=0.03)
    assert np.bincount(seen.ravel())[1:][np.bincount(seen.ravel())[1:] > 0].min() >= 5


def test_thin_necks_break():
    labels = np.zeros((20, 60), int)
    labels[5:15, 2:25] = labels[5:15, 35:58] = 1
    labels[9:11, 25:35] = 1  # a neck of two pixels, all of them at the boundary
    seen = with_losses(labels, labels > 0, boundary=0.6, elsewhere=0.0, min_pixels=5, rng=np.random.default_rng(0))
    assert len(np.unique(seen[seen > 0])) >= 2


def test_no_grains():
    empty = Section(np.zeros((5, 5), np.int32), np.ones((5, 5), bool), 0.1, (2.0, 2.0))
    assert loss_rates(empty) == (0.0, 0.0)
