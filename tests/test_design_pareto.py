"""What none betters, and how much it holds."""

import itertools

import numpy as np
import pytest

from morpholith import design


def test_what_none_betters():
    losses = np.array([[1, 3], [2, 2], [3, 1], [2, 3], [2, 2], [np.nan, 0], [3, 3]])
    assert design.is_pareto(losses).tolist() == [True, True, True, False, False, False, False]
    assert design.is_pareto(np.empty((0, 2))).tolist() == []


def test_against_every_pair():
    losses = np.random.default_rng(0).integers(0, 6, (80, 3)).astype(float)
    kept = losses[design.is_pareto(losses)]
    assert len(np.unique(kept, axis=0)) == len(kept)
    best = [
        x for x in losses if not any((y <= x).all() and (y < x).any() for y in losses)
    ]  # fmt: skip
    assert {tuple(x) for x in best} == {tuple(x) for x in kept}


def test_volume_of_boxes():
    reference = np.array([3.0, 4.0])
    assert design.hypervolume(np.array([[1.0, 2.0]]), reference) == pytest.approx(4)
    assert design.hypervolume(np.array([[1.0, 2.0], [2.0, 1.0], [2.5, 2.5]]), reference) == pytest.approx(4 + 1)
    assert design.hypervolume(np.array([[3.0, 1.0], [9.0, 0.0]]), reference) == 0
    assert design.hypervolume(np.empty((0, 2)), reference) == 0
    assert design.hypervolume(np.array([[1.0], [2.0]]), np.array([5.0])) == 4


@pytest.mark.parametrize("k", [3, 4])
def test_volume_by_inclusion_and_exclusion(k):
    points = np.random.default_rng(k).random((5, k))
    reference = np.full(k, 1.1)
    volume = 0.0
    for size in range(1, 6):
        for some in itertools.combinations(points, size):
            volume -= (-1) ** size * np.prod(reference - np.max(some, axis=0))
    assert design.hypervolume(points, reference) == pytest.approx(volume)
