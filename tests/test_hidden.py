"""Who lies over whom, and what the lower one would measure if it lay free."""

import numpy as np
import pytest

from morpholith.measure.hidden import complete
from morpholith.segment import contacts


def _pair(offset, *, r_top=30, r_low=40, shape=(160, 200), spacing=(1.0, 1.0)):
    """A disc (label 1) lying over another (label 2), `offset` px apart."""
    y, x = np.indices(shape)
    low = np.hypot((y - 80) * spacing[0], (x - 70) * spacing[1]) < r_low
    top = np.hypot((y - 80) * spacing[0], (x - 70 - offset) * spacing[1]) < r_top
    return np.where(top, 1, np.where(low, 2, 0)).astype(np.int32)


@pytest.mark.parametrize("offset", [35, 45, 55])
def test_the_bulging_one_lies_on_top(offset):
    table = contacts(_pair(offset)).set_index("label")
    assert table.behind[1] < 0.3
    assert table.behind[2] > 0.7


def test_two_that_only_touch_hide_nothing():
    table = contacts(_pair(70.5, r_top=30, r_low=40))
    assert len(table) == 2
    assert (table.behind < 0.5).all()


def test_a_map_overrules_the_geometry():
    labels = _pair(50)
    says = (labels == 1).astype(np.float32)
    table = contacts(labels, says).set_index("label")
    assert table.behind[1] == pytest.approx(1)
    assert table.behind[2] == pytest.approx(0)


def test_no_contact_gives_an_empty_table():
    labels = np.zeros((20, 20), int)
    labels[2:6, 2:6] = 1
    table = contacts(labels)
    assert list(table.columns) == ["label", "neighbour", "pixels", "behind"]
    assert len(table) == 0
    assert len(complete(labels, table, spacing=(1.0, 1.0))) == 0


@pytest.mark.parametrize("offset", [30, 40, 50])
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.8, 1.1)])
def test_a_half_hidden_disc_is_completed(offset, spacing):
    labels = _pair(offset / spacing[1], spacing=spacing)
    table = contacts(labels)
    done = complete(labels, table[table.behind > 0.5], spacing=spacing)
    assert list(done.index) == [2]
    assert done.diameter_um[2] == pytest.approx(80, rel=0.02)
    seen = (labels == 2).sum() * spacing[0] * spacing[1]
    assert done.hidden_fraction[2] == pytest.approx(1 - seen / (np.pi * 40**2), abs=0.03)


def test_what_is_mostly_hidden_is_not_guessed():
    y, x = np.indices((160, 200))
    labels = np.where(np.hypot(y - 80, x - 90) < 45, 1, np.where(np.hypot(y - 80, x - 112) < 30, 2, 0))
    table = contacts(labels.astype(np.int32), (labels == 2).astype(np.float32))
    done = complete(labels.astype(np.int32), table[table.behind > 0.5], spacing=(1.0, 1.0))
    assert np.isnan(done.diameter_um[2])


def test_a_crescent_left_to_be_seen_is_behind_whatever_the_map_says():
    labels = _pair(12, r_top=38, r_low=40)
    table = contacts(labels, np.zeros(labels.shape, np.float32)).set_index("label")
    assert table.behind[2] == 1
    assert table.behind[1] < 0.5


def test_a_satellite_on_a_large_particle_lies_on_top():
    labels = _pair(10, r_top=12, r_low=60)
    table = contacts(labels).set_index("label")
    assert table.behind[1] < 0.5
