"""Sections drawn from an architecture."""

import numpy as np
import pytest

from morpholith.errors import InputError
from morpholith.generate import GrainField, MarkerLaw, cut_ball, cut_like
from morpholith.segment import Section


class Lattice:
    """Seeds on a cubic lattice of 0.5 um with a fixed offset: every section is known."""

    power = 1
    intensity_per_um3 = 8.0
    reach_um = 1.0

    def draw(self, low_um, high_um, *, rng):  # noqa: ARG002
        ends = zip(low_um, high_um, strict=True)
        axes = [np.arange(np.ceil(a / 0.5), np.floor(b / 0.5) + 1) * 0.5 for a, b in ends]
        seeds = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
        return GrainField(seeds, np.tile(np.eye(3), (len(seeds), 1, 1)), np.zeros(len(seeds)))


def squares(shape, step, centre):
    """Where the cells of the lattice lie: round to the nearest multiple of 0.5 um from the centre."""
    y = np.round((np.arange(shape[0]) - centre[0]) * step / 0.5)
    x = np.round((np.arange(shape[1]) - centre[1]) * step / 0.5)
    return y[:, None] * 1000 + x


def same_partition(a, b):
    pairs = np.unique(np.stack([a.ravel(), b.ravel()]), axis=1)
    return len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]


def test_cut_like_lies_where_the_section_lies():
    inside = np.ones((40, 63), bool)
    inside[:3] = False
    labels = np.where(inside, 1, 0).astype(np.int32)
    labels[10:12, 20:30] = 0
    section = Section(labels, inside, 0.09, (17.3, 30.2), name="a")
    made = cut_like(Lattice(), section, rng=np.random.default_rng(0))
    known = labels > 0
    assert (made.labels[~known] == 0).all()
    assert same_partition(made.labels[known], squares(labels.shape, 0.09, (17.3, 30.2))[known])
    assert made.height_um == 0.0


def test_height_moves_the_plane():
    """At h = 0.3 um the lattice plane above is nearest: the same squares, other seeds; at a tie of planes too."""
    section = Section(np.ones((20, 31), np.int32), np.ones((20, 31), bool), 0.09, (9.7, 15.2), height_um=0.3)
    made = cut_like(Lattice(), section, rng=np.random.default_rng(0))
    assert made.height_um == 0.3
    assert same_partition(made.labels, squares((20, 31), 0.09, (9.7, 15.2)))


def test_needles_point_to_the_centre_in_central_cuts_only():
    """Fig. 11 of paper 001: far from the centre, needles are cut across."""
    from morpholith.measure import grain_shapes

    law = MarkerLaw(15.0, radial_ratio=3.0, size_spread=0.05, radius_um=4)
    means = []
    for height in (0.0, 3.4):
        cut = cut_ball(law, radius_um=4, height_um=height, step_um=0.05, rng=np.random.default_rng(1))
        table = grain_shapes(cut.labels, spacing=cut.step_um, centre_um=tuple(c * cut.step_um for c in cut.centre_px))
        means.append(table["alpha_deg"][table["n_pixels"] > 10].mean())
    assert means[0] < 20
    assert means[1] > means[0] + 8


def test_ball_is_a_disc():
    cut = cut_ball(Lattice(), radius_um=2.0, height_um=1.2, step_um=0.02, rng=np.random.default_rng(0))
    assert cut.inside.sum() * 0.02**2 == pytest.approx(np.pi * 1.6**2, rel=2e-3)
    assert ((cut.labels > 0) == cut.inside).all()
    with pytest.raises(InputError, match="below the radius"):
        cut_ball(Lattice(), radius_um=2.0, height_um=2.0, step_um=0.02, rng=np.random.default_rng(0))


def test_whole_grains_are_those_with_their_centroid_in_the_outline():
    """A lattice of squares of 0.5 um under an outline that cuts some of them off their middles."""
    inside = np.zeros((62, 90), bool)
    inside[5:47, 4:71] = True
    section = Section(inside.astype(np.int32), inside, 0.05, (25.2, 36.7))
    made = cut_like(Lattice(), section, rng=np.random.default_rng(0), whole=True)
    # in um from the centre: rows -1.01 to 1.09, columns -1.635 to 1.715, middles at multiples of 0.5
    assert made.n_grains == 5 * 7
    counts = np.bincount(made.labels.ravel())[1:]
    assert set(counts[counts > 0]) == {100}
    rows, columns = np.nonzero(made.labels)
    places = [(at - c) * 0.05 for at, c in zip((rows, columns), made.centre_px, strict=True)]
    assert places[0].min() == pytest.approx(-1.25, abs=0.05)
    assert places[1].max() == pytest.approx(1.75, abs=0.05)
    assert ((made.labels > 0) == made.inside).all()


def test_whole_grains_lose_pixels_as_the_measured_ones_do():
    rng = np.random.default_rng(3)
    shape, step, centre = (121, 160), 0.05, (60.2, 79.7)
    cells = np.unique(squares(shape, step, centre), return_inverse=True)[1].reshape(shape).astype(np.int32) + 1
    edge = np.zeros(shape, bool)
    for axis in (0, 1):
        differs = np.diff(cells, axis=axis) != 0
        edge |= np.pad(differs, [(0, 1) if a == axis else (0, 0) for a in (0, 1)])
        edge |= np.pad(differs, [(1, 0) if a == axis else (0, 0) for a in (0, 1)])
    lost = rng.random(shape) < np.where(edge, 0.5, 0.04)
    measured = Section(np.where(lost, 0, cells), np.ones(shape, bool), step, centre)
    made = cut_like(Lattice(), measured, rng=rng, whole=True)
    # losses at boundaries move some of these when filled; within grains they are known
    assert made.missing == pytest.approx(measured.missing, abs=0.03)
    assert 0.15 < made.missing < 0.3
    none = cut_like(Lattice(), measured, rng=rng, whole=True, min_pixels=10_000)
    assert none.n_grains == 0
    assert none.inside.any()


def test_whole_balls_have_grains_beyond_the_disc():
    cut = cut_ball(Lattice(), radius_um=1.3, height_um=0.0, step_um=0.05, rng=np.random.default_rng(0), whole=True)
    assert set(np.bincount(cut.labels.ravel())[1:]) - {0} == {100}
    assert cut.n_grains == sum(
        a * a + b * b <= 1.3**2 for a in np.arange(-2, 2.1, 0.5) for b in np.arange(-2, 2.1, 0.5)
    )
