"""Particles of a nano-CT volume and their shells, on bodies that are known and on a real electrode."""

import numpy as np
import pytest
from scipy import ndimage as ndi

from morpholith import generate, segment
from morpholith.errors import InputError

SHAPE = (64, 80, 96)
CENTRES = np.array([[20, 20, 22], [19, 55, 25], [42, 24, 66], [40, 58, 60.5], [16, 40, 74], [2, 10, 90]], float)
RADII = np.array([11, 12, 13, 13, 9, 8], float)  # 4 and 3 touch; the last is cut


def shells():
    """Coefficients of six shells in voxels: balls with a lump of degrees 2 and 3."""
    rng = np.random.default_rng(3)
    a = np.zeros((6, 100))
    a[:, 0] = RADII * np.sqrt(4 * np.pi)
    a[:, 4:9] = 0.12 * RADII[:, None] * rng.standard_normal((6, 5))
    a[:, 9:16] = 0.06 * RADII[:, None] * rng.standard_normal((6, 7))
    return a


def drawn(coefficients, centres, shape):
    """Voxels whose centre lies within a shell, by the definition."""
    places = np.moveaxis(np.indices(shape), 0, -1)
    out = np.zeros(shape, np.int32)
    for k, (a, c) in enumerate(zip(coefficients, centres, strict=True), 1):
        away = places - c + 1e-9
        near = np.linalg.norm(away, axis=-1) < 30
        r = generate.shell_radius(a, away[near])
        inside = np.zeros(shape, bool)
        inside[near] = np.linalg.norm(away[near], axis=-1) <= r
        out[inside & (out == 0)] = k
    return out


@pytest.fixture(scope="module")
def truth():
    return drawn(shells(), CENTRES, SHAPE)


@pytest.fixture(scope="module")
def grey(truth):
    blurred = ndi.gaussian_filter(np.where(truth > 0, 130.0, 30.0), 1.0)
    return blurred + np.random.default_rng(1).normal(0, 25, SHAPE)


@pytest.fixture(scope="module")
def found(grey):
    return segment.shell_particles(grey)


def test_particles_are_found_and_those_at_the_border_dropped(truth, found):
    names = truth[tuple(np.rint(CENTRES[:5]).astype(int).T)]
    got = found.labels[tuple(np.rint(CENTRES[:5]).astype(int).T)]
    assert sorted(got) == [1, 2, 3, 4, 5]
    assert found.counts["kept"] == 5
    assert found.counts["dropped_cut"] == 1
    for a, b in zip(names, got, strict=True):
        both = np.count_nonzero((truth == a) & (found.labels == b))
        assert 2 * both / (np.count_nonzero(truth == a) + np.count_nonzero(found.labels == b)) > 0.95
    assert 60 < found.threshold < 90
    assert found.separation > 5


def test_coefficients_of_the_shells_come_back_from_the_grey_volume(found):
    """Powers of the degrees do not depend on the rotation; size, centre and share of the volume are known."""
    got = generate.shells_of_volume(found.labels, spacing=0.5, rng=0)
    assert len(got.coefficients) == 5
    assert got.warnings == ()
    want = shells()
    at = got.table[["z_um", "y_um", "x_um"]].to_numpy() / 0.5
    which = np.argmin(np.linalg.norm(at[:, None] - CENTRES, axis=2), axis=1)
    np.testing.assert_allclose(got.table["volume_um3"] / 0.125, generate.shell_volume(want[which]), rtol=0.06)
    np.testing.assert_allclose(got.table["captured_share"], 1, atol=0.02)
    np.testing.assert_allclose(got.table["shell_volume_um3"], got.table["volume_um3"], rtol=0.03)
    moved = generate.recentred(want[which]).coefficients
    power, known = generate.shell_power(got.coefficients / 0.5), generate.shell_power(moved)
    np.testing.assert_allclose(power[:, 0], known[:, 0], rtol=0.04)
    assert (np.abs(np.sqrt(power[:, 2]) - np.sqrt(known[:, 2])) < 0.05 * RADII[which]).all()
    assert np.corrcoef(power[:, 2], known[:, 2])[0, 1] > 0.95


def test_a_box_off_square_is_described_in_um_with_its_axes_in_order():
    labels = np.zeros((30, 40, 50), np.uint16)
    labels[5:25, 10:18, 20:36] = 7  # 20 x 8 x 16 voxels of 0.5 x 1 x 0.25 um: 10 x 8 x 4 um
    got = generate.shells_of_volume(labels, spacing=(0.5, 1.0, 0.25), rng=0)
    row = got.table.loc[7]
    assert row["volume_um3"] == pytest.approx(320)
    assert row["n_voxels"] == 2560
    np.testing.assert_allclose(row[["z_um", "y_um", "x_um"]].astype(float), [7.25, 13.5, 6.875])
    assert row["frame_weight"] == pytest.approx(1 / ((1 - 20 / 30) * (1 - 8 / 40) * (1 - 16 / 50)))
    assert 0.97 < row["captured_share"] < 1.03
    again = generate.shells_of_volume(labels, spacing=(0.5, 1.0, 0.25), rng=0)
    np.testing.assert_array_equal(again.coefficients, got.coefficients)
    turned = generate.shells_of_volume(labels, spacing=(0.5, 1.0, 0.25), rng=1)
    assert np.abs(turned.coefficients - got.coefficients).max() > 0.1
    np.testing.assert_allclose(
        generate.shell_power(turned.coefficients), generate.shell_power(got.coefficients), rtol=1e-9, atol=1e-15
    )


def test_shells_from_a_store_read_by_slabs_are_those_of_the_array(found, monkeypatch, tmp_path):
    import zarr

    from morpholith.generate import shells_of_volume as module

    store = zarr.create_array(str(tmp_path / "labels"), shape=found.labels.shape, chunks=(16, 32, 32), dtype="i4")
    store[:] = found.labels
    want = generate.shells_of_volume(found.labels, spacing=1.0, rng=0)
    monkeypatch.setattr(__import__("sys").modules[module.__module__], "SLAB", 5 * 80 * 96)
    got = generate.shells_of_volume(store, spacing=1.0, rng=0)
    np.testing.assert_array_equal(got.coefficients, want.coefficients)
    assert got.table.equals(want.table)


def test_what_gives_no_shell_is_listed():
    labels = np.zeros((40, 40, 40), np.int32)
    z, y, x = np.indices(labels.shape)
    ring = np.hypot(y - 20, x - 20)
    labels[(np.abs(ring - 12) < 3) & (np.abs(z - 20) < 3)] = 1
    labels[0:4, 0:4, 0:4] = 2
    labels[35, 35, 35:38] = 3
    labels[28:36, 6:14, 4:12] = 5
    got = generate.shells_of_volume(labels, spacing=1.0, rng=0)
    assert "centre of mass outside" in got.warnings[0]
    assert got.table.index.tolist() == [5]
    assert got.rejected["why"].to_dict() == {
        1: "centre of mass outside the particle",
        2: "cut by a face of the volume",
        3: "too few voxels",
    }
    empty = generate.shells_of_volume(np.zeros((4, 5, 6), int), spacing=1.0, rng=0)
    assert empty.warnings == ("no particle gives a shell: the volume has no labels.",)
    assert empty.coefficients.shape == (0, 100)
    assert list(empty.table) == list(got.table)
    z, y, x = np.indices((24, 26, 80))  # two balls on a rod
    off = (z - 12) ** 2 + (y - 12) ** 2
    far = (off + np.minimum((x - 10) ** 2, (x - 70) ** 2) < 64) | ((off < 6) & (np.abs(x - 40) < 26))
    got = generate.shells_of_volume(far.astype(int), spacing=1.0, rng=0)
    assert "not star-shaped" in got.warnings[0]
    assert 0.1 < got.table["captured_share"].iloc[0] < 0.8


def test_holes_are_filled_and_pieces_told_apart():
    solid = np.zeros((40, 44, 60), bool)
    z, y, x = np.indices(solid.shape)
    ball = (z - 20) ** 2 + (y - 20) ** 2 + (x - 16) ** 2
    solid[(ball < 144) & (ball > 9)] = True
    solid[30:34, 30:34, 40:44] = True
    got = segment.shell_particles(solid)
    assert got.counts["kept"] == 2
    assert got.labels[20, 20, 16] == got.labels[20, 20, 26] == 1
    open_ = segment.shell_particles(solid, fill=False)
    assert open_.labels[20, 20, 16] == 0
    assert np.isnan(got.threshold)


def test_small_and_flat_components_join_a_neighbour_or_go():
    from morpholith.segment.nano_ct import _cleaned

    labels = np.zeros((30, 34, 50), np.int32)
    z, y, x = np.indices(labels.shape)
    labels[(z - 14) ** 2 + (y - 14) ** 2 + (x - 14) ** 2 < 100] = 1
    labels[14, 14, 24:28] = 2  # 4 voxels at the ball
    labels[2:28, 24, 30:48] = 3  # a sheet of its own
    labels[3, 3, 3] = 4  # a speck of its own
    labels[14:16, 14, 1:5] = 5  # 8 voxels
    got, done = _cleaned(labels.copy(), 5, (1.0, 1.0, 1.0), 10, 0.5)
    assert set(np.unique(got)) == {0, 1}
    assert (got[14, 14, 24:28] == 1).all()
    assert (got[14:16, 14, 1:5] == 1).all()
    assert done == {"merged_small": 2, "merged_unround": 0, "dropped_small": 1, "dropped_unround": 1}
    labels[2:28, 24, 22:48] = 3
    labels[10:18, 20:24, 30:34] = 6  # now the sheet has a neighbour
    got, done = _cleaned(labels.copy(), 6, (1.0, 1.0, 1.0), 10, 0.5)
    assert done["merged_unround"] == 1
    assert got[2, 24, 40] == got[12, 22, 32] != 0


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        (np.full((9, 10, 11), 3.0), "nothing in it: every voxel is 3"),
        (np.random.default_rng(0).normal(0, 1, (40, 50, 60)), "nothing in it that a threshold tells apart"),
        (np.zeros((8, 9, 10), bool), "nothing in it: no voxel is True"),
        (np.random.default_rng(0).integers(0, 3, (9, 9, 9)), "segmented already"),
        (np.full((9, 9, 9), np.nan), "NaN or infinite"),
        (np.zeros((9, 9)), "must be a volume"),
    ],
)
def test_a_volume_with_nothing_in_it_is_said_in_one_sentence(volume, message):
    with pytest.raises(InputError, match=message):
        segment.shell_particles(volume)


def test_only_cut_particles_leave_none():
    solid = np.zeros((20, 22, 24), bool)
    solid[:12, 4:18, 5:19] = True
    got = segment.shell_particles(solid)
    assert "no particle is left" in got.warnings[0]
    assert got.counts["dropped_cut"] == 1
    assert not got.labels.any()
    assert segment.shell_particles(solid, drop_cut=False).counts["kept"] == 1


@pytest.mark.parametrize("labels", [np.zeros((4, 4)), np.zeros((4, 4, 4)), -np.ones((4, 4, 4), int)])
def test_bad_labels_are_said(labels):
    with pytest.raises(InputError, match="`labels`"):
        generate.shells_of_volume(labels, spacing=1.0, rng=0)


def test_a_real_electrode_gives_star_shaped_particles(data):
    import tifffile

    path = data / "xct" / "nrel_nmc" / "nmc-1-cal_generatedCBD_bridge.tif"
    solid = tifffile.imread(path)[60:200, 60:240, 60:250] == 1
    found = segment.shell_particles(solid)
    assert found.counts["kept"] > 150
    got = generate.shells_of_volume(found.labels, spacing=0.398, rng=0)
    assert 0.96 < got.table["captured_share"].mean() < 1.01
    assert 4 < np.median(2 * generate.shell_radius(got.coefficients).mean(1)) < 12
