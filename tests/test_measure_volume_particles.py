"""Tables of labelled particles against bodies whose numbers are known."""

import numpy as np
import pandas as pd
import pytest
from _solids import ball, box, crowd, ellipsoid, ellipsoid_surface, frame, turn

from morpholith import columns as c
from morpholith.errors import InputError, InputWarning
from morpholith.measure import contacts_3d, frame_weights_3d, size_distribution, solid_particles, whole_weights
from morpholith.measure.solid import tally_labels

ODD = (1.5, 1.0, 0.75)


@pytest.fixture(scope="module")
def balls():
    rng = np.random.default_rng(1)
    labels, centres, radii = crowd(27, 66.0, (1.0, 0.8, 0.9), rng)
    grey = (labels * 10).astype(np.float32)
    return solid_particles(labels, spacing=(1.0, 0.8, 0.9), grey=grey), centres, radii, labels


def test_balls_are_recovered(balls):
    table, centres, radii, labels = balls
    np.testing.assert_array_equal(table.index, np.arange(1, 28))
    np.testing.assert_allclose(table[[c.Z, c.Y, c.X]], centres, atol=0.1)
    np.testing.assert_allclose(table[c.VOLUME], 4 / 3 * np.pi * radii**3, rtol=0.05)
    np.testing.assert_allclose(table[c.SURFACE], 4 * np.pi * radii**2, rtol=0.025)
    np.testing.assert_allclose(table[c.DIAMETER], 2 * radii, rtol=0.02)
    np.testing.assert_allclose(table["grey_mean"], 10.0 * table.index)
    assert table[c.SPHERICITY].mean() == pytest.approx(1, abs=0.004)
    assert not table[c.TOUCHES_EDGE].any()
    assert (table[c.N_CONTACTS] == 0).all()
    assert table["n_voxels"].sum() == (labels > 0).sum()
    np.testing.assert_allclose(table["bbox_z_um"], 2 * radii, atol=1.0)
    assert solid_particles(labels, spacing=1.0)["grey_mean"].isna().all()


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), ODD])
@pytest.mark.parametrize(("radius", "n", "bias"), [(3, 20, 0.03), (5, 12, 0.01), (8, 6, 0.006), (16, 2, 0.004)])
def test_sphericity_of_digitised_balls(radius, n, bias, spacing):
    rng = np.random.default_rng(radius)
    rows = [solid_particles(ball(radius, spacing, rng).astype(int), spacing=spacing).iloc[0] for _ in range(n)]
    error = np.array([r[c.SPHERICITY] - 1 for r in rows])
    assert abs(error.mean()) < bias
    assert (np.abs(error) < 3 * np.array([r["sphericity_se"] for r in rows])).all()
    if radius >= 8:
        assert error.max() < 0.015


@pytest.mark.parametrize("semi", [(14, 7, 7), (9, 9, 4.5), (12, 8, 5)])
def test_ellipsoids_have_their_axes_sphericity_and_direction(semi):
    rng = np.random.default_rng(2)
    for spacing in ((1.0, 1.0, 1.0), ODD):
        rotation = turn(rng)
        table = solid_particles(ellipsoid(semi, spacing, rng, rotation).astype(int), spacing=spacing)
        row = table.iloc[0]
        true = np.pi ** (1 / 3) * (8 * np.pi * np.prod(semi)) ** (2 / 3) / ellipsoid_surface(*semi)
        assert row[c.SPHERICITY] == pytest.approx(true, abs=0.012)
        found = row[["axis_major_um", "axis_median_um", "axis_minor_um"]].to_numpy(float)
        np.testing.assert_allclose(found, 2 * np.sort(semi)[::-1], rtol=0.03)
        if semi[0] > semi[1]:
            true = np.degrees(np.arccos(abs(rotation[0, 0])))
            assert row["angle_to_z_deg"] == pytest.approx(true, abs=2)


def test_a_cube_is_less_round_than_a_ball():
    rng = np.random.default_rng(3)
    table = solid_particles(box((8, 8, 8), (1.0,) * 3, rng, turn(rng)).astype(int), spacing=1.0)
    assert table[c.SPHERICITY].iloc[0] == pytest.approx(0.806, abs=0.02)


@pytest.mark.parametrize(("radius", "bias"), [(6, 0.12), (14, 0.04)])
def test_plane_contacts_have_their_area_in_any_direction(radius, bias):
    rng = np.random.default_rng(4)
    found = []
    for _ in range(6):
        points = frame(2 * radius, ODD, rng, turn(rng))
        near = [((points - (s * 0.7 * radius, 0, 0)) ** 2).sum(-1) for s in (-1, 1)]
        labels = np.where(near[0] <= np.minimum(near[1], radius**2), 9, np.where(near[1] <= radius**2, 4, 0))
        pairs = contacts_3d(labels, spacing=ODD)
        assert pairs[["label_a", "label_b"]].to_numpy().tolist() == [[4, 9]]
        found.append(pairs.area_um2[0] / (np.pi * radius**2 * (1 - 0.7**2)))
    assert np.mean(found) == pytest.approx(1, abs=bias)
    table = solid_particles(labels, spacing=ODD)
    np.testing.assert_array_equal(table.index, [4, 9])
    np.testing.assert_array_equal(table[c.N_CONTACTS], [1, 1])
    np.testing.assert_allclose(table["contact_area_um2"], pairs.area_um2[0])
    cap = 2 * np.pi * radius**2 * 1.7 + np.pi * radius**2 * (1 - 0.7**2)
    np.testing.assert_allclose(table[c.SURFACE], cap, rtol=0.03)


def test_axes_of_a_block_are_those_of_a_solid_block():
    labels = np.zeros((12, 14, 20), int)
    labels[3:7, 4:9, 5:15] = 1
    row = solid_particles(labels, spacing=ODD).iloc[0]
    edges = np.sort(np.array([4, 5, 10]) * ODD)[::-1]
    found = row[["axis_major_um", "axis_median_um", "axis_minor_um"]].to_numpy(float)
    np.testing.assert_allclose(found, 2 * np.sqrt(5 * edges**2 / 12))
    assert row["angle_to_z_deg"] == pytest.approx(90)
    assert row[[c.Z, c.Y, c.X]].tolist() == pytest.approx([4.5 * 1.5, 6.0, 9.5 * 0.75])


def test_upright_contacts_are_exact_and_a_dent_changes_nothing():
    labels = np.zeros((12, 14, 20), int)
    labels[2:5, 2:6, 2:9] = 1
    labels[5:8, 2:6, 2:9] = 2  # on top of 1: 4 x 7 voxels
    labels[2:5, 6:9, 2:9] = 3  # beside 1 along y: 3 x 7
    labels[2:5, 2:6, 9:12] = 4  # beside 1 along x: 3 x 4
    labels[5, 3, 4] = 1  # a voxel of 1 pokes into 2
    pairs = contacts_3d(labels, spacing=ODD).set_index(["label_a", "label_b"]).area_um2
    assert pairs[1, 2] == pytest.approx(28 * 0.75)
    assert pairs[1, 3] == pytest.approx(21 * 1.5 * 0.75)
    assert pairs[1, 4] == pytest.approx(12 * 1.5)
    assert len(pairs) == 3
    assert solid_particles(labels, spacing=ODD)[c.N_CONTACTS].tolist() == [3, 1, 1, 1]


def test_cut_and_tiny_particles_say_nothing_of_shape():
    labels = np.zeros((30, 32, 34), int)
    z, y, x = np.indices(labels.shape)
    labels[(z - 1) ** 2 + (y - 15) ** 2 + (x - 16) ** 2 <= 64] = 70_000_000
    labels[(z - 20) ** 2 + (y - 15) ** 2 + (x - 16) ** 2 <= 4] = 8
    table = solid_particles(labels, spacing=1.0)
    np.testing.assert_array_equal(table.index, [8, 70_000_000])
    np.testing.assert_array_equal(table[c.TOUCHES_EDGE], [False, True])
    assert table[[c.SPHERICITY, "axis_major_um", "angle_to_z_deg", "sphericity_se"]].isna().all(axis=None)
    assert (table[c.VOLUME] > 0).all()


def test_the_frame_is_corrected_for():
    """Windows cut from a large crowd of two sizes see too few of the large ones; weighted, they do not."""
    rng = np.random.default_rng(5)
    low, high = np.array([5, 5, 5]), np.array([45, 50, 55])
    radii = np.where(np.arange(4000) % 2, 3.0, 9.0)
    centres = rng.uniform(low - 10, high + 10, (4000, 3))
    edge = ((centres - radii[:, None] < low) | (centres + radii[:, None] > high)).any(axis=1)
    inside = ((centres > low) & (centres < high)).all(axis=1)
    diameters = 2 * radii[inside]
    table = pd.DataFrame(dict.fromkeys(("bbox_z_um", "bbox_y_um", "bbox_x_um"), diameters))
    table[c.TOUCHES_EDGE] = edge[inside]
    frame_um = tuple(float(a) for a in high - low)
    weights = frame_weights_3d(table, frame_um=frame_um)
    large = diameters > 10
    assert weights[large].sum() / weights.sum() == pytest.approx(0.5, abs=0.04)
    assert (~edge[inside] & large).sum() / (~edge[inside]).sum() < 0.4
    whole = whole_weights(table, frame_um=frame_um)
    np.testing.assert_array_equal(whole, weights[~edge[inside]])
    found = size_distribution(diameters[~edge[inside]], weights=whole, basis="area", n_boot=50)
    assert found["d50_um"].value == pytest.approx(18, rel=0.01)
    with pytest.warns(InputWarning, match="nearly fill"):
        frame_weights_3d(table, frame_um=(18.5, 40.0, 40.0))
    with pytest.raises(InputError, match="frame_um"):
        frame_weights_3d(table)


def test_the_table_knows_its_frame(balls):
    assert balls[0].attrs["frame_um"] == pytest.approx((66, 65.6, 65.7))
    assert (frame_weights_3d(balls[0]) > 1).all()


def test_tallies_of_blocks_add_up(balls):
    labels = balls[3]
    whole = tally_labels(labels, 27, spacing=ODD)
    parts = [tally_labels(labels, 27, spacing=ODD, rows=r) for r in ((0, 17), (17, 40), (40, labels.shape[0]))]
    np.testing.assert_array_equal(whole[:, :15], sum(p[:, :15] for p in parts))
    np.testing.assert_array_equal(whole[:, 15], np.min([p[:, 15] for p in parts], axis=0))
    np.testing.assert_array_equal(whole[:, 16], np.max([p[:, 16] for p in parts], axis=0))


def test_nothing_gives_empty_tables():
    table = solid_particles(np.zeros((5, 6, 7), np.uint8), spacing=1.0)
    assert len(table) == 0
    assert {c.Z, c.SPHERICITY, c.TOUCHES_EDGE, "contact_area_um2"} <= set(table.columns)
    assert len(contacts_3d(np.ones((5, 6, 7), int), spacing=1.0)) == 0
    with pytest.raises(InputError, match="integer labels"):
        solid_particles(np.zeros((5, 6, 7)), spacing=1.0)
    with pytest.raises(InputError, match="between 0"):
        contacts_3d(np.full((5, 6, 7), -1), spacing=1.0)
    with pytest.raises(InputError, match="same shape"):
        solid_particles(np.zeros((5, 6, 7), int), spacing=1.0, grey=np.zeros((5, 6, 8)))
