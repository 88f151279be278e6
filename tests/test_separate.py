"""Touching particles told apart: exact distances, necks, cracks, specks, seeds, and the same voxels block by block."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage as ndi

from morpholith import segment
from morpholith.errors import InputError, InputWarning
from morpholith.segment.matching import match
from morpholith.specimens import Electrode, electrode

SPACINGS = [(1.0, 1.0, 1.0), (0.25, 0.25, 0.25), (0.9, 0.5, 0.35), (0.37, 1.1, 0.6)]


def ellipsoids(shape, *, spacing, bodies):
    """Label ellipsoids (centre, semi-axes in um); where two overlap, the one that is deeper there owns the voxel."""
    grid = np.stack(np.meshgrid(*[np.arange(n) * s for n, s in zip(shape, spacing, strict=True)], indexing="ij"), -1)
    level = np.stack([np.linalg.norm((grid - np.array(c)) / a, axis=-1) for c, a in bodies])
    return np.where(level.min(axis=0) <= 1, level.argmin(axis=0) + 1, 0).astype(np.int32)


PAIR = [((5.3, 6.2, 5.7), (4.1,) * 3), ((5.9, 6.8, 12.4), (4.6,) * 3)]


@pytest.fixture(scope="module")
def rough():
    """Rough ellipsoids with necks on an anisotropic grid, and their true labels."""
    params = Electrode(
        size_um=(26, 24, 28), solid=0.54, d50_um=9, aspect=1.5, aspect_sd=0.25, roughness=0.06, overlap=0.12, binder=0
    )
    truth = electrode(params, rng=5).labels((0.4, 0.3, 0.25))
    return truth, (0.4, 0.3, 0.25)


def blobs(shape, rng, sigma=4.0, threshold=0.0):
    return ndi.gaussian_filter(np.random.default_rng(rng).normal(size=shape), sigma) > threshold


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("kind", ["blobs", "few pores", "noise"])
def test_distance_is_exact(kind, spacing):
    from morpholith.segment.distance import distance

    shape = (37, 70, 81)
    solid = {
        "blobs": blobs(shape, 1),
        "few pores": np.random.default_rng(2).random(shape) < 0.9999,  # long lines: the envelope, not the walk
        "noise": np.random.default_rng(3).random(shape) < 0.7,
    }[kind]
    got = distance(solid, spacing=spacing)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, ndi.distance_transform_edt(solid, sampling=spacing), rtol=5e-7)


def test_distance_has_the_same_bits_for_any_threads_and_any_crop(monkeypatch):
    from morpholith.segment.distance import distance

    spacing, solid = (0.9, 0.5, 0.35), blobs((40, 50, 60), 4)
    whole = distance(solid, spacing=spacing)
    reach = np.ceil(whole.max() / np.array(spacing)).astype(int)
    crop = tuple(slice(6, n - 3) for n in solid.shape)
    inner = tuple(slice(r + 1, -(r + 1)) for r in reach)
    np.testing.assert_array_equal(distance(solid[crop], spacing=spacing)[inner], whole[crop][inner])
    monkeypatch.setattr("numba.get_num_threads", lambda: 5)
    np.testing.assert_array_equal(distance(solid, spacing=spacing), whole)


def test_smoothing_is_a_gaussian():
    from morpholith.segment.distance import smooth

    field = np.random.default_rng(0).random((20, 31, 27)).astype(np.float32)
    want = ndi.gaussian_filter(field, (0.8, 1.6, 2.4), mode="nearest", truncate=3.2)
    np.testing.assert_allclose(smooth(field.copy(), sigma_um=1.2, spacing=(1.5, 0.75, 0.5)), want, atol=0.02)
    np.testing.assert_allclose(smooth(np.full((5, 6, 7), 3, np.float32), sigma_um=2, spacing=(1, 1, 1)), 3, rtol=1e-6)
    np.testing.assert_array_equal(smooth(field.copy(), sigma_um=0.0, spacing=(1, 1, 1)), field)


@pytest.mark.parametrize(("shape", "spacing"), [((24, 26, 40), (0.5, 0.5, 0.5)), ((16, 52, 45), (0.75, 0.25, 0.4))])
def test_two_spheres_part_at_their_neck(shape, spacing):
    truth = ellipsoids(shape, spacing=spacing, bodies=PAIR)
    labels = segment.separate_particles(truth > 0, spacing=spacing)
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels > 0, truth > 0)
    found = match(truth, labels, iou=0.95)
    assert (found.tp, found.fp, found.fn) == (2, 0, 0)


def test_no_ellipsoid_is_split_and_no_shallow_neck_cut():
    spacing = (0.3, 0.2, 0.25)
    long = [((4.1, 4.3, 8.2), (3.0, 2.7, 7.1)), ((4.0, 12.0, 7.9), (3.4, 3.1, 3.2))]
    truth = ellipsoids((28, 80, 66), spacing=spacing, bodies=long)
    assert segment.separate_particles(truth > 0, spacing=spacing).max() == 2
    near = [((4, 4, 5.0), (3.0,) * 3), ((4, 4, 6.3), (3.0,) * 3)]  # neck at 0.976 of the radius
    dumbbell = ellipsoids((28, 42, 50), spacing=spacing, bodies=near) > 0
    assert segment.separate_particles(dumbbell, spacing=spacing).max() == 1
    assert segment.separate_particles(dumbbell, spacing=spacing, depth_um=0, smoothing_um=0).max() == 1
    assert segment.separate_particles(dumbbell, spacing=spacing, neck=0.999, depth_um=0, smoothing_um=0).max() == 2


def test_rough_ellipsoids_are_recovered(rough):
    truth, spacing = rough
    labels = segment.separate_particles(truth > 0, spacing=spacing)
    large = np.bincount(truth.ravel()) > 300
    large[0] = False
    seen = np.where(large[truth], truth, 0)
    assert match(seen, labels, iou=0.5).recall > 0.95
    assert match(seen, labels, iou=0.75).recall > 0.93
    assert match(truth, labels, iou=0.5).precision > 0.8  # small pieces are cut corners


def test_result_does_not_depend_on_the_unit_of_length(rough):
    truth, spacing = rough
    solid = truth[:30, :40] > 0
    once, twice = (segment.separate_particles(solid, spacing=tuple(k * s for s in spacing)) for k in (1.0, 2.0))
    np.testing.assert_array_equal(once, twice)


def test_result_turns_with_the_volume(rough):
    truth, spacing = rough
    axes = (2, 0, 1)
    straight = segment.separate_particles(truth > 0, spacing=spacing)
    solid = np.ascontiguousarray(truth.transpose(axes)[::-1, :, ::-1] > 0)
    turned = segment.separate_particles(solid, spacing=tuple(spacing[a] for a in axes))
    # not the same bits: level ground is broken by the order in memory
    assert match(straight.transpose(axes)[::-1, :, ::-1], turned, iou=0.9).f1 > 0.97


def test_labels_count_in_the_order_of_first_voxels(rough):
    truth, spacing = rough
    labels = segment.separate_particles(truth > 0, spacing=spacing)
    numbers, first = np.unique(labels, return_index=True)
    np.testing.assert_array_equal(numbers, np.arange(labels.max() + 1))
    assert (np.diff(first[1:]) > 0).all()
    assert (np.bincount(labels.ravel())[1:] >= 10).all()


def test_a_crack_inside_does_not_split_a_particle():
    spacing = (0.25, 0.25, 0.3)
    truth = ellipsoids(
        (48, 44, 60), spacing=spacing, bodies=[((5.5, 5.3, 5.1), (4.6,) * 3), ((6, 5.6, 13), (4.2,) * 3)]
    )
    solid = truth > 0
    solid[20:23, 12:32, 10:25] = False
    labels = segment.separate_particles(solid, spacing=spacing)
    np.testing.assert_array_equal(labels > 0, solid)
    assert match(np.where(solid, truth, 0), labels, iou=0.95).tp == labels.max() == 2
    assert segment.separate_particles(solid, spacing=spacing, fill=False).max() > 2
    through = solid.copy()
    through[20:23, 20:22, :15] = False  # now the crack is open to the outside
    assert segment.separate_particles(through, spacing=spacing).max() > 2


def test_specks_join_a_neighbour_or_go():
    spacing = (0.5, 0.4, 0.6)
    solid = np.zeros((30, 36, 40), bool)
    solid[8:20, 8:20, 8:20] = True
    solid[13, 13, 20:23] = True  # a hair, 3 voxels
    solid[25, 30, 30:39] = True  # alone, 9 voxels: too small
    solid[25, 5, 30:40] = True  # alone, 10 voxels, cut by a face
    labels = segment.separate_particles(solid, spacing=spacing)
    assert labels.max() == 2
    assert labels[13, 13, 22] == labels[13, 13, 13] == 1
    assert labels[25, 30, 30] == 0
    assert labels[25, 5, 30] == 2
    np.testing.assert_array_equal(segment.cut_particles(labels), [2])
    every = segment.separate_particles(solid, spacing=spacing, min_voxels=0, min_sphericity=0)
    assert every[25, 30, 30] > 0


def test_flat_pieces_join_what_they_lie_on_unless_cut_or_larger():
    from morpholith.segment._rules import rules
    from morpholith.segment.adjacency import graph
    from morpholith.segment.merge import clean

    spacing = (0.5, 0.3, 0.4)
    labels = np.zeros((40, 40, 44), np.int32)
    labels[5:18, 8:30, 8:34] = 1
    labels[18:19, 8:30, 8:34] = 2  # a sheet on the block
    labels[22:23, 8:30, 8:34] = 3  # a sheet alone
    labels[4:5, 8:30, 20:44] = 4  # a sheet on the block that goes on beyond the face
    labels[30:31, 5:35, 5:35] = 5  # a sheet
    labels[31:36, 18:24, 18:24] = 6  # and something smaller on it
    g = graph(labels, np.ones(labels.shape, np.float32), labels > 0, 6, low=(0, 0, 0), high=labels.shape)
    strict = rules(spacing, None, None, 0.95, 10, 0.5)
    np.testing.assert_array_equal(clean(g, spacing=spacing, rules=strict), [0, 1, 1, 3, 4, 5, 6])
    loose = rules(spacing, None, None, 0.95, 10, 0.0)
    np.testing.assert_array_equal(clean(g, spacing=spacing, rules=loose), [0, 1, 2, 3, 4, 5, 6])


@pytest.mark.parametrize("spacing", [(0.5, 0.5, 0.5), (1.0, 0.4, 0.5)])
def test_areas_of_digitised_spheres(spacing):
    from morpholith.segment.adjacency import areas, graph

    shape = tuple(int(14 / s) for s in spacing)
    labels = ellipsoids(shape, spacing=spacing, bodies=[((6.6, 6.9, 7.1), (5.0,) * 3)])
    g = graph(labels, labels.astype(np.float32), labels > 0, 1, low=(0, 0, 0), high=labels.shape)
    assert g.volume[1] == labels.sum()
    assert not g.cut[1]
    assert areas(g.surface, spacing=spacing)[1] == pytest.approx(4 * np.pi * 25, rel=0.03)


def test_graph_of_two_labels():
    from morpholith.segment.adjacency import collapse, graph

    labels = np.zeros((4, 5, 6), np.int32)
    labels[1:3, 1:3, 1:3], labels[1:3, 1:3, 3:5] = 2, 1
    height = np.arange(labels.size, dtype=np.float32).reshape(labels.shape)
    g = graph(labels, height, labels > 0, 2, low=(0, 0, 0), high=labels.shape)
    np.testing.assert_array_equal(g.pair, [[1, 2]])
    np.testing.assert_array_equal(g.volume[1:], [8, 8])
    np.testing.assert_array_equal(g.first[1:], [39, 37])
    np.testing.assert_array_equal(g.cut[1:], [False, False])
    assert g.saddle[0] == height[2, 2, 2]  # touching voxels (2, 2, 2) and (2, 2, 3): the lower of the two
    assert g.contact[0, 0] == 4  # straight along x
    one = collapse(replace(g, cut=np.array([False, True, False])), np.array([0, 1, 1]))
    assert one.cut[1]
    assert (one.n, len(one.pair), one.volume[1], one.first[1]) == (1, 0, 16, 37)
    np.testing.assert_array_equal(one.surface[1], g.surface[1:].sum(axis=0))


def test_seeds_decide_where_there_is_no_neck():
    spacing = (0.4, 0.5, 0.3)
    solid = np.zeros((24, 30, 70), bool)
    solid[6:18, 8:20, 6:64] = True  # a bar without a neck
    solid[20:23, 25:28, 50:60] = True  # a piece that nobody saw
    seeds = np.zeros(solid.shape, int)
    seeds[11, 13, 16], seeds[12, 14, 52] = 70_000, 3
    labels = segment.separate_particles(solid, spacing=spacing, seeds=seeds)
    np.testing.assert_array_equal(labels > 0, solid)
    assert labels.max() == 3
    assert labels[11, 13, 16] == 1
    assert labels[12, 14, 52] == 2
    assert labels[21, 26, 55] == 3
    share = (labels[solid] == 1).sum() / (12 * 12 * 58)
    assert 0.35 < share < 0.65


def test_flooding_from_true_seeds_finds_the_same_necks(rough):
    truth, spacing = rough
    solid = truth > 0
    free = segment.separate_particles(solid, spacing=spacing)
    peaks = np.zeros(truth.shape, np.int32)
    depth = ndi.distance_transform_edt(solid, sampling=spacing)
    numbers = np.arange(1, free.max() + 1)
    peaks[tuple(np.array(ndi.maximum_position(depth, free, numbers)).T)] = numbers
    assert match(free, segment.separate_particles(solid, spacing=spacing, seeds=peaks), iou=0.75).f1 > 0.97


def test_limits():
    spacing = (1.0, 0.5, 0.7)
    with pytest.warns(InputWarning, match="no solid voxel"):
        assert segment.separate_particles(np.zeros((3, 4, 5), bool), spacing=spacing).max() == 0
    with pytest.warns(InputWarning, match="no solid voxel"):
        assert segment.separate_particles(np.zeros((0, 4, 5), bool), spacing=spacing).shape == (0, 4, 5)
    np.testing.assert_array_equal(segment.separate_particles(np.ones((3, 4, 5), bool), spacing=spacing), 1)
    one = np.zeros((3, 4, 5), bool)
    one[1, 1, 1] = True
    assert segment.separate_particles(one, spacing=spacing).max() == 0
    assert segment.separate_particles(one, spacing=spacing, min_voxels=1).max() == 1
    assert segment.cut_particles(np.zeros((0, 2, 2), int)).size == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"solid": np.ones((4, 4), bool)}, "must be a volume"),
        ({"solid": np.ones((4, 4, 4), np.uint8)}, "phases == 1"),
        ({"spacing": (1.0, 0.0, 1.0)}, "3 positive lengths"),
        ({"neck": 1.2}, "`neck` must lie between 0 and 1"),
        ({"smoothing_um": -1}, "`smoothing_um` must be a number from 0 upwards"),
        ({"seeds": np.ones((4, 4, 5), int)}, "`seeds` must be integer labels of the shape"),
        ({"seeds": np.full((4, 4, 4), -2)}, "`seeds` must be 0 or positive"),
    ],
)
def test_bad_input(change, words):
    given = {"solid": np.ones((4, 4, 4), bool), "spacing": (1.0, 1.0, 1.0), **change}
    with pytest.raises(InputError, match=words):
        segment.separate_particles(given.pop("solid"), **given)


@pytest.mark.parametrize("fill", [True, False])
@pytest.mark.parametrize("chunks", [(30, 41, 26), (65, 17, 200)])
def test_blockwise_is_equal(rough, chunks, fill, tmp_path):
    truth, spacing = rough
    solid = truth > 0
    solid[20:22, 15:65, 10:90] = False  # cracks that cross blocks, some enclosed
    whole = segment.separate_particles(solid, spacing=spacing, fill=fill)
    out = segment.separate_blockwise(solid, spacing=spacing, store=tmp_path / "a.zarr", chunks=chunks, fill=fill)
    assert (out.dtype, out.chunks) == (np.int32, tuple(min(c, n) for c, n in zip(chunks, solid.shape, strict=True)))
    np.testing.assert_array_equal(out[...], whole)
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]  # no scratch is left


def test_blockwise_steps_give_what_the_whole_gives(rough, tmp_path, monkeypatch):
    from morpholith import blocks
    from morpholith.segment import blockwise
    from morpholith.segment._block_basins import Measure, together
    from morpholith.segment.adjacency import collapse, graph, numbered
    from morpholith.segment.basins import directions, follow
    from morpholith.segment.separate import landscape

    monkeypatch.setattr("morpholith.segment._block_basins.HALO", 3)  # so that it has to be widened
    truth, spacing = rough
    solid = truth > 0
    work = blockwise._Work(solid.shape, (18, 80, 33), tmp_path, None)
    height, basins = blockwise._basins(work, solid, spacing, 0.3, True)
    got = together(blocks.run(Measure(solid, height, basins), work.blocks()))

    whole = landscape(solid, spacing=spacing, smoothing_um=0.3)
    np.testing.assert_array_equal(height[...], whole)
    labels, roots = follow(directions(whole, spacing=spacing), (0, 0, 0), solid.shape)
    want = graph(labels, whole, solid, len(roots) - 1, low=(0, 0, 0), high=solid.shape)
    got, want = (collapse(g, numbered(g.first, np.arange(g.n + 1))) for g in (got, want))
    assert want.n > 40
    for key, value in vars(want).items():
        after = 0 if key in ("pair", "saddle", "contact") else 1  # label 0 means nothing
        np.testing.assert_array_equal(getattr(got, key)[after:], value[after:], err_msg=key)


def test_blockwise_takes_phases_and_long_distances(tmp_path):
    spacing = (0.5, 0.4, 0.3)
    bodies = [((13, 12, 14), (12.0, 11.0, 13.0)), ((13, 26, 14), (5.0, 4.5, 5.5))]
    solid = ellipsoids((52, 79, 95), spacing=spacing, bodies=bodies) > 0  # distances of 30 voxels
    phases = np.where(solid, 1, 2).astype(np.uint8)
    out = segment.separate_blockwise(phases, spacing=spacing, store=tmp_path / "labels", chunks=(18, 79, 33))
    whole = segment.separate_particles(solid, spacing=spacing)
    assert whole.max() == 2
    np.testing.assert_array_equal(out[...], whole)


def test_blockwise_limits(tmp_path):
    given = {"spacing": (1, 1, 1), "store": tmp_path / "c.zarr", "chunks": 4}
    np.testing.assert_array_equal(segment.separate_blockwise(np.ones((9, 8, 7), bool), **given)[...], 1)
    with pytest.warns(InputWarning, match="no solid voxel"):
        np.testing.assert_array_equal(segment.separate_blockwise(np.zeros((9, 8, 7), bool), **given)[...], 0)
    with pytest.raises(InputError, match="`source` must be a volume"):
        segment.separate_blockwise(np.ones((4, 4)), spacing=(1, 1, 1), store=tmp_path / "d.zarr")
    with pytest.raises(InputError, match="`chunks` must be 3 positive numbers"):
        segment.separate_blockwise(np.ones((4, 4, 4), bool), spacing=(1, 1, 1), store=tmp_path / "d.zarr", chunks=0)
    assert [p.name for p in tmp_path.iterdir()] == ["c.zarr"]
