"""Candidate masks to labels: constructed cases whose answer is known."""

import numpy as np
import pytest

from morpholith.errors import InputError
from morpholith.segment import masks
from morpholith.segment.masks import Mask, choose, cut, distinct, ellipticity, fill_holes, resolve, tidy

SHAPE = (180, 240)
Y, X = np.mgrid[: SHAPE[0], : SHAPE[1]]


def disc(y, x, r, shape=SHAPE):
    yy, xx = np.ogrid[: shape[0], : shape[1]]
    return (yy - y) ** 2 + (xx - x) ** 2 <= r * r


def resolved(*pairs, **options):
    """Resolve (mask, score) pairs and return the label image."""
    return resolve([cut(mask, score=score) for mask, score in pairs], shape=SHAPE, **options)


def assert_labels(labels, *wanted):
    """Assert that the labels are exactly the wanted masks, in any order."""
    assert labels.dtype == np.int32
    assert labels.max() == len(wanted)
    for mask in wanted:
        inside = np.unique(labels[mask])
        assert len(inside) == 1
        assert inside[0] > 0
        np.testing.assert_array_equal(labels == inside[0], mask)


def test_cut_keeps_every_pixel():
    mask = disc(50.3, 201.7, 30) | disc(100, 20, 4)
    m = cut(mask, score=0.7)
    back = np.zeros(SHAPE, bool)
    top, left, bottom, right = m.box
    back[top:bottom, left:right] = m.crop
    np.testing.assert_array_equal(back, mask)
    assert (m.area, m.score) == (mask.sum(), 0.7)
    assert all(side.any() for side in (m.crop[0], m.crop[-1], m.crop[:, 0], m.crop[:, -1]))
    assert cut(np.zeros((4, 5), bool)).area == 0


def test_duplicates_keep_the_most_confident():
    first, second, other = disc(60, 60, 30), disc(60, 61, 30), disc(120, 180, 20)
    assert_labels(resolved((first, 0.9), (second, 0.95), (other, 0.9), (first, 0.8)), second, other)
    kept = distinct([cut(first, score=0.9), cut(second, score=0.95), cut(other, score=0.5)])
    assert [m.score for m in kept] == [0.95, 0.5]


def test_equal_masks_at_equal_score_are_one():
    assert_labels(resolved(*[(disc(60, 60, 30), 0.9)] * 5), disc(60, 60, 30))


@pytest.mark.parametrize("facet_score", [0.8, 0.99])
def test_facets_belong_to_their_particle(facet_score):
    particle = disc(90, 100, 50)
    sector = np.arctan2(Y - 90, X - 100)
    facets = [particle & (sector >= a) & (sector < a + np.pi / 4) for a in np.arange(-np.pi, 0, np.pi / 4)]
    assert_labels(resolved((particle, 0.9), *[(f, facet_score) for f in facets]), particle)


def test_satellite_belongs_to_its_particle():
    particle = disc(90, 100, 50)
    satellite = disc(90, 100, 12)
    assert_labels(resolved((particle, 0.9), (satellite, 0.99)), particle)


def test_group_gives_way_to_its_three_particles():
    three = [disc(70, 70, 29.5), disc(70, 130, 29.5), disc(122, 100, 29.5)]
    group = np.any(three, axis=0)
    assert_labels(resolved((group, 0.98), *[(m, 0.9) for m in three]), *three)


def test_half_hidden_particle_and_the_one_before_it_are_two():
    front = disc(90, 130, 40)
    behind = disc(90, 84, 42) & ~front
    assert ellipticity(cut(behind)) < 0.9 < ellipticity(cut(front | behind))  # the pair looks more like one
    assert_labels(resolved((front | behind, 0.97), (front, 0.95), (behind, 0.95)), front, behind)


def test_group_of_groups_gives_way_too():
    four = [disc(60, 40 + 41 * k, 20) for k in range(4)]
    pairs = [four[0] | four[1], four[2] | four[3]]
    everything = np.any(four, axis=0)
    found = resolved((everything, 0.99), *[(m, 0.95) for m in pairs], *[(m, 0.9) for m in four])
    assert_labels(found, *four)


def test_group_stays_when_only_a_corner_of_it_was_found():
    pair = disc(60, 60, 30) | disc(60, 122, 30)
    assert resolved((pair, 0.9), (disc(60, 60, 12), 0.95)).max() == 1


def test_facets_inside_particles_inside_a_group():
    two = [disc(60, 70, 30), disc(60, 132, 30)]
    facets = [disc(55, 60, 9), disc(70, 125, 11), disc(50, 140, 8)]
    found = resolved((two[0] | two[1], 0.99), *[(m, 0.9) for m in two], *[(m, 0.97) for m in facets])
    assert_labels(found, *two)


def test_background_is_dropped():
    particles = [disc(60, 70, 30), disc(120, 180, 25)]
    tape = ~np.any(particles, axis=0)
    everything = np.ones(SHAPE, bool)
    assert_labels(resolved((everything, 1.0), (tape, 1.0), *[(m, 0.9) for m in particles]), *particles)
    assert masks.is_background(cut(X < 150), shape=SHAPE)  # three sides, more than half of the rim
    assert not masks.is_background(cut(X < 60), shape=SHAPE)
    assert not masks.is_background(cut(disc(90, 100, 60)), shape=SHAPE)


def test_particle_at_the_frame_is_no_background():
    cut_off = disc(0, 100, 60) | disc(5, 90, 40)
    assert_labels(resolved((cut_off, 0.9)), cut_off)


def test_ring_becomes_a_disc():
    assert_labels(resolved((disc(90, 100, 40) & ~disc(90, 100, 30), 0.9)), disc(90, 100, 40))


def test_ring_round_a_particle_is_the_particle_seen_twice():
    halo = disc(90, 100, 43) & ~disc(90, 100, 40)
    assert_labels(resolved((halo, 0.86), (disc(90, 100, 40), 0.95)), disc(90, 100, 40))


def test_loose_bits_go_and_so_do_specks():
    particle, crumb, speck = disc(90, 100, 40), disc(20, 20, 5), disc(150, 200, 3)
    assert_labels(resolved((particle | crumb, 0.9), (speck, 0.99), min_area_px=40), particle)


def test_what_overlaps_a_little_is_shared_with_the_smaller_on_top():
    large, small = disc(90, 80, 40), disc(90, 130, 15)
    assert (large & small).any()
    assert_labels(resolved((large, 0.9), (small, 0.9)), large & ~small, small)


def test_half_covered_masks_are_no_objects():
    large, small = (
        disc(90, 80, 20),
        disc(90, 93, 19),
    )  # neither is inside the other, but most of one is hidden
    assert 0.5 < (large & small).sum() / large.sum() < 0.6
    assert_labels(resolved((large, 0.9), (small, 0.9), contained=0.9), small)


def test_order_of_the_candidates_does_not_matter():
    rng = np.random.default_rng(0)
    pairs = [(disc(*rng.uniform((10, 10), (170, 230)), rng.uniform(5, 40)), rng.uniform(0.8, 1)) for _ in range(40)]
    want = resolved(*pairs)
    for _ in range(3):
        np.testing.assert_array_equal(resolved(*[pairs[k] for k in rng.permutation(40)]), want)


def test_no_masks_no_labels():
    for found in (resolve([], shape=SHAPE), resolved((np.zeros(SHAPE, bool), 0.9))):
        assert found.shape == SHAPE
        assert found.dtype == np.int32
        assert found.max() == 0
    assert choose([]) == distinct([]) == []


def test_resolve_gives_disjoint_labels_by_falling_area():
    rng = np.random.default_rng(1)
    found = resolved(*[(disc(*rng.uniform((10, 10), (170, 230)), rng.uniform(5, 40)), 0.9) for _ in range(60)])
    areas = np.bincount(found.ravel())[1:]
    assert len(areas) > 5
    assert (np.diff(areas) <= 0).all()


def test_resolve_leaves_its_masks_alone():
    crop = disc(20, 20, 15, (41, 41)) & ~disc(20, 20, 5, (41, 41))
    mask = Mask(crop.copy(), 3, 4, 0.9)
    resolve([mask], shape=SHAPE)
    np.testing.assert_array_equal(mask.crop, crop)


@pytest.mark.parametrize(
    ("mask", "value", "tolerance"),
    [
        (disc(90, 100, 40), 1, 0.002),
        (((Y - 90) / 20) ** 2 + ((X - 100) / 60) ** 2 + (Y - 90) * (X - 100) / 1500 <= 1, 1, 0.002),
        ((abs(Y - 90) <= 10) & (abs(X - 100) <= 50), 9 / np.pi**2, 1e-3),
        (disc(90, 60, 40) | disc(90, 140, 40), 0.8, 0.005),
        (disc(90, 100, 40) & (X <= 100), 0.8943, 0.01),
    ],
)
def test_ellipticity_of_known_shapes(mask, value, tolerance):
    assert ellipticity(cut(mask)) == pytest.approx(value, abs=tolerance)
    assert ellipticity(cut(mask.T)) == pytest.approx(ellipticity(cut(mask)))


def test_ellipticity_of_one_pixel_and_none():
    assert ellipticity(cut(np.ones((1, 1), bool))) == pytest.approx(9 / np.pi**2)
    assert np.isnan(ellipticity(cut(np.zeros((2, 2), bool))))


def test_single_leaves_out_what_holds_others():
    particle, satellite, twin = disc(90, 70, 40), disc(70, 60, 8), disc(90, 150, 38)
    got = masks.single([cut(particle), cut(satellite), cut(particle | twin), cut(twin)])
    assert [m.area for m in got] == [satellite.sum(), twin.sum(), particle.sum()]
    assert masks.single([]) == []


def test_tidy_keeps_position_and_score():
    m = tidy(cut((disc(90, 100, 20) & ~disc(90, 100, 5)) | disc(30, 30, 4), score=0.83))
    assert m.box == (70, 80, 111, 121)
    assert m.score == 0.83
    assert m.area == disc(90, 100, 20).sum()


def test_relabelling():
    labels = np.zeros((6, 8), int)
    labels[:2, :2], labels[2:4, :8], labels[5, :5] = 7, 900, 3
    np.testing.assert_array_equal(np.unique(masks.relabel_sequential(labels)), [0, 1, 2, 3])
    np.testing.assert_array_equal(masks.relabel_sequential(labels)[[5, 0, 2], 0], [1, 2, 3])
    np.testing.assert_array_equal(masks.relabel_by_area(labels)[[2, 5, 0], 0], [1, 2, 3])
    full = np.full((2, 2), 5)
    np.testing.assert_array_equal(masks.relabel_sequential(full), 1)
    for function in (masks.relabel_sequential, masks.relabel_by_area, masks.largest_pieces, fill_holes):
        empty = function(np.zeros((3, 4), np.uint8))
        assert empty.dtype == np.int32
        np.testing.assert_array_equal(empty, 0)


def test_touches_edge():
    labels = np.zeros((20, 30), int)
    labels[5:8, 5:8] = 1  # inside
    labels[0, 20] = labels[10, 29] = 2
    labels[19, 3] = 4
    labels[12, 0] = 5
    labels[1:18, 1:29][labels[1:18, 1:29] == 0] = 6
    np.testing.assert_array_equal(masks.touches_edge(labels), [False, False, True, False, True, True, False])
    np.testing.assert_array_equal(masks.touches_edge(np.zeros((3, 3), int)), [False])
    np.testing.assert_array_equal(masks.touches_edge(np.zeros((0, 3), int)), [False])


def test_remove_small():
    labels = np.zeros((10, 10), int)
    labels[0, :3], labels[5, :4] = 1, 2
    np.testing.assert_array_equal(np.unique(masks.remove_small(labels, min_area_px=4)), [0, 2])
    np.testing.assert_array_equal(masks.remove_small(labels, min_area_px=3), labels)


def test_largest_pieces():
    labels = np.zeros((10, 12), int)
    labels[1:4, 1:4] = labels[6:8, 1:3] = 5
    labels[4, 4] = 5  # meets the large piece by a corner only
    labels[6:9, 6:9] = 2
    got = masks.largest_pieces(labels)
    want = np.zeros_like(labels)
    want[1:4, 1:4], want[6:9, 6:9] = 5, 2
    np.testing.assert_array_equal(got, want)


def test_fill_holes():
    labels = np.zeros((30, 40), int)
    labels[2:12, 2:12] = 1
    labels[4:6, 4:6] = 0  # a hole in 1
    labels[8, 2] = 0  # a bay of 1, open to the outside
    labels[15:25, 5:15], labels[15:25, 15:25] = 2, 3
    labels[19:21, 14:16] = 0  # between 2 and 3
    labels[0:8, 30:40] = 4
    labels[0:4, 33:36] = 0  # open to the frame
    want = labels.copy()
    want[4:6, 4:6] = 1
    np.testing.assert_array_equal(fill_holes(labels), want)
    np.testing.assert_array_equal(fill_holes(labels, max_area_px=3), labels)


def test_helpers_say_what_is_wrong():
    for function in (masks.touches_edge, fill_holes, masks.largest_pieces):
        with pytest.raises(InputError, match="must not be negative"):
            function(np.full((3, 3), -1))
    with pytest.raises(InputError, match="2D array of integer labels"):
        masks.relabel_by_area(np.zeros((3, 3)))
