"""Targets as they are typed."""

import numpy as np
import pytest

from morpholith import design
from morpholith.errors import InputError

RANGES = {"d50_um": (3.0, 8.0), "texture_mean": (0.2, 0.9), "circularity_mean": (0.85, 0.95), "dose": (-1.0, 1.0)}


@pytest.mark.parametrize(
    ("text", "value", "tolerance", "direction"),
    [
        ("d50_um=6", 6.0, 0.18, "at"),
        ("d50_um = 6 +- 0.5", 6.0, 0.5, "at"),
        ("d50_um=6±0.5", 6.0, 0.5, "at"),
        ("d50_um=6+/-5%", 6.0, 0.3, "at"),
        ("texture_mean=6e-1+-5e-2", 0.6, 0.05, "at"),
        ("circularity_mean=high", None, 0.01, "high"),
        ("circularity_mean=LOW+-0.02", None, 0.02, "low"),
        ("d50_um=high:7", 7.0, 0.21, "high"),
        ("d50_um=low:7+-10%", 7.0, 0.7, "low"),
        ("dose=0", 0.0, 0.2, "at"),
        ("dose=-0.5+-10%", -0.5, 0.05, "at"),
    ],
)
def test_targets_are_read(text, value, tolerance, direction):
    target = design.read_target(text, ranges=RANGES)
    assert target.value == value
    assert target.tolerance == pytest.approx(tolerance)
    assert target.direction == direction


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("d50_um", "'d50_um' has no NAME=VALUE"),
        ("d50_um=", "has no value"),
        ("=3", "has no NAME=VALUE"),
        ("d50=6", "no descriptor 'd50'; it has d50_um, texture_mean"),
        ("d50_um=six", "the value 'six' is neither a number nor high or low"),
        ("d50_um=nan", "the value 'nan'"),
        ("d50_um=6+-", "the tolerance '' is no number"),
        ("d50_um=6+-x%", "the tolerance 'x' is no number"),
        ("d50_um=6+-0", "the tolerance '0' must be above 0"),
        ("d50_um=6+-1+-2", "more than one tolerance"),
        ("d50_um=hihg:7", "'hihg' is no direction"),
        ("d50_um=high:x", "the number 'x' is no number"),
        ("d50_um=high+-5%", "no number to take 5% of"),
        ("texture_mean=1.2", "between 0 and 1, so 1.2 is out of any bound"),
        ("d50_um=-6", "above 0, so -6 is out of any bound"),
    ],
)
def test_errors_name_the_part(text, sentence):
    with pytest.raises(InputError, match="target") as error:
        design.read_target(text, ranges=RANGES)
    assert sentence in str(error.value)


def test_weights_reach_their_targets_and_twins_are_refused():
    targets = design.read_targets(["d50_um=6", "texture_mean=high"], ranges=RANGES, weights={"texture_mean": 2.5})
    assert [t.weight for t in targets] == [1.0, 2.5]
    with pytest.raises(InputError, match="'d50_um' has two targets"):
        design.read_targets(["d50_um=6", "d50_um=7"], ranges=RANGES)


def test_directions_weigh_by_what_the_training_spans():
    """Over the trained range every direction counts the same: ten tolerances."""
    goal = design.objective(design.read_targets(["texture_mean=high", "circularity_mean=low"], ranges=RANGES))
    low, high = (np.array([RANGES[n][end] for n in goal.descriptors]) for end in (0, 1))
    assert np.abs(goal.losses(high) - goal.losses(low)) == pytest.approx([10, 10])
