"""Pores and cracks between grains: where they lie, how wide they are, and their exact share."""

import numpy as np
import pytest
from scipy import ndimage as ndi
from scipy.spatial import cKDTree

from morpholith import generate
from morpholith.errors import InputError

SHAPE = (44, 50, 56)


@pytest.fixture(scope="module")
def grains():
    rng = np.random.default_rng(0)
    seeds = rng.uniform(0, 1, (90, 3)) * SHAPE
    places = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1).reshape(-1, 3)
    labels = (cKDTree(seeds).query(places)[1] + 1).reshape(SHAPE).astype(np.int32)
    labels[(np.square(places - np.array(SHAPE) / 2).sum(1) > 20**2).reshape(SHAPE)] = 0
    return labels


def meeting(labels, at, reach):
    """How many grains lie within `reach` voxels of a voxel."""
    box = tuple(slice(max(0, i - reach), i + reach + 1) for i in at)
    return len(set(np.unique(labels[box])) - {0})


@pytest.mark.parametrize(("at", "least"), [("lines", 3), ("points", 4)])
def test_pores_lie_where_grains_meet_and_have_the_share_asked_for(grains, at, least):
    got = generate.junction_pores(grains, spacing=0.1, fraction=0.02, rng=1, radius_um=0.2, spread=0.0, at=at)
    solid = np.count_nonzero(grains)
    assert np.count_nonzero(got.void) == round(0.02 * solid)
    assert got.fraction == np.count_nonzero(got.void) / solid
    np.testing.assert_array_equal(got.labels, np.where(got.void, 0, grains))
    assert not got.void[grains == 0].any()
    for place in np.argwhere(got.void)[::7]:
        assert meeting(grains, place, 3) >= least
    assert 3 < np.count_nonzero(got.void) / got.n < 36  # balls of two voxels: 33 at most
    again = generate.junction_pores(grains, spacing=0.1, fraction=0.02, rng=1, radius_um=0.2, spread=0.0, at=at)
    np.testing.assert_array_equal(again.void, got.void)
    assert (generate.junction_pores(grains, spacing=0.1, fraction=0.02, rng=2).void != got.void).any()


def test_pores_are_balls_in_um():
    """One junction line of three slabs, voxels of 1 : 2 : 0.5."""
    labels = np.ones((40, 30, 80), np.int32)
    labels[20:, :15] = 2
    labels[20:, 15:] = 3
    got = generate.junction_pores(labels, spacing=(1.0, 2.0, 0.5), fraction=0.001, rng=3, radius_um=4.0, spread=0.0)
    z, y, _ = np.nonzero(got.void)
    assert np.abs(z - 19.5).max() * 1.0 <= 4
    assert np.abs(y - 14.5).max() * 2.0 <= 4
    assert ndi.label(got.void)[1] <= got.n
    whole = 4 / 3 * np.pi * 4**3 / 1.0
    one = generate.junction_pores(labels, spacing=(1.0, 2.0, 0.5), fraction=whole / labels.size, rng=3, radius_um=4.0,
                                  spread=0.0)  # fmt: skip
    assert 0.8 * whole < np.count_nonzero(one.void) <= 1.01 * whole
    np.testing.assert_allclose(np.argwhere(one.void).mean(0)[:2], [19.5, 14.5], atol=0.2)  # about the line


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_a_crack_between_two_slabs_has_its_width(width):
    labels = np.ones((10, 24, 14), np.int32)
    labels[:, 12:] = 2
    labels[:, :2] = labels[:, 22:] = 0
    got = generate.intergranular_cracks(labels, spacing=0.5, fraction=0.05, width_um=0.5 * width, rng=0)
    assert got.n == 1
    assert (got.void.sum(1) == width).all()
    assert np.argwhere(got.void)[:, 1].min() == 12 - width // 2
    assert got.fraction == width / 20
    assert got.warnings == ()


def test_cracks_run_along_boundaries_and_reach_the_share(grains):
    got = generate.intergranular_cracks(grains, spacing=0.1, fraction=0.04, rng=1, n_cracks=2)
    solid = np.count_nonzero(grains)
    assert 0.04 <= got.fraction < 0.05
    assert got.fraction == np.count_nonzero(got.void) / solid
    for place in np.argwhere(got.void)[::11]:
        assert meeting(grains, place, 1) >= 2
    pieces = ndi.label(got.void, np.ones((3, 3, 3)))[1]
    assert pieces <= 2 + 4  # two cracks; where a facet is a sliver they may part
    assert 3 < got.n < 150


def test_a_crack_is_flat(grains):
    """Least principal variance over all of them: a third for a ball, 0 for a plane."""
    flat = []
    for seed in range(6):
        got = generate.intergranular_cracks(grains, spacing=0.1, fraction=0.03, rng=seed, n_cracks=1, start="inside")
        assert got.n > 5
        spread = np.linalg.eigvalsh(np.cov(np.argwhere(got.void).T))
        flat.append(spread[0] / spread.sum())
    assert np.mean(flat) < 0.14  # 0.17 where any facet is as good


@pytest.mark.parametrize(("start", "inner"), [("inside", True), ("surface", False)])
def test_cracks_begin_where_they_should(grains, start, inner):
    got = generate.intergranular_cracks(grains, spacing=0.1, fraction=0.004, rng=5, n_cracks=8, start=start)
    far = np.linalg.norm(np.argwhere(got.void) - np.array(SHAPE) / 2, axis=1)
    middle = np.linalg.norm(np.argwhere(grains) - np.array(SHAPE) / 2, axis=1).mean()
    assert (far.mean() < middle) == inner


def test_what_cannot_be_reached_is_said(grains):
    got = generate.intergranular_cracks(grains, spacing=0.1, fraction=0.9, rng=0)
    assert "with every boundary open" in got.warnings[0]
    a, b = grains[:, :-1], grains[:, 1:]
    split = (a != b) & (a > 0) & (b > 0)
    assert (got.void[:, :-1] | got.void[:, 1:])[split].all()
    got = generate.junction_pores(grains, spacing=0.1, fraction=0.9, rng=0, radius_um=0.1)
    assert "a pore at each of" in got.warnings[0]
    assert got.fraction < 0.3
    one = (grains > 0).astype(int)
    none = generate.intergranular_cracks(one, spacing=0.1, fraction=0.1, rng=0)
    assert none.fraction == 0
    assert "no boundaries" in none.warnings[0]
    none = generate.junction_pores(one, spacing=0.1, fraction=0.1, rng=0)
    assert not none.void.any()
    assert "each of 0 places" in none.warnings[0]


def test_nothing_asked_nothing_cut_and_lost_grains_are_named(grains):
    for cut in (generate.junction_pores, generate.intergranular_cracks):
        got = cut(grains, spacing=0.1, fraction=0.0, rng=0)
        assert got.fraction == 0
        assert got.n == 0
        np.testing.assert_array_equal(got.labels, grains)
        assert np.isnan(cut(np.zeros((4, 5, 6), int), spacing=0.1, fraction=0.0, rng=0).fraction)
    small = np.ones((12, 12, 12), int)
    small[6:, :6], small[6:, 6:], small[5, 5, 5] = 2, 3, 9
    assert generate.junction_pores(small, spacing=1.0, fraction=0.5, rng=0, radius_um=4.0).lost == (9,)


@pytest.mark.parametrize("cut", [generate.junction_pores, generate.intergranular_cracks])
@pytest.mark.parametrize(
    ("change", "message"),
    [({"labels": np.zeros((4, 4))}, "`labels`"), ({"fraction": 1.0}, "`fraction`"), ({"spacing": 0}, "`spacing`"),
     ({"labels": -np.ones((4, 4, 4), int)}, "`labels`")],
)  # fmt: skip
def test_bad_wishes_are_said(cut, change, message):
    with pytest.raises(InputError, match=message):
        cut(**({"labels": np.ones((4, 4, 4), int), "spacing": 1.0, "fraction": 0.1, "rng": 0} | change))
