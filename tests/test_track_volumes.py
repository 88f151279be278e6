"""Two volumes of one virtual electrode registered, and their particles matched, against what the specimen did."""

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.transform import Rotation

from morpholith import specimens, track
from morpholith.errors import InputError

SIZE, SPACING = (34.0, 38.0, 42.0), (0.55, 0.45, 0.5)
CENTRE = ["z_um", "y_um", "x_um"]


def electrode(seed=1):
    return specimens.electrode(specimens.Electrode(size_um=SIZE, solid=0.45, d50_um=7.0), rng=seed)


def image(packing, spacing=SPACING, difficulty="typical", seed=3):
    return specimens.tomogram(packing, specimens.Tomograph.of(difficulty, spacing=spacing), rng=seed)


def position_error(transform, before, after):
    """Root mean square error of the position of each particle, um."""
    here, there = before.particles, after.particles
    both = here.index.intersection(there.index[np.isfinite(there.expansion)])
    off = transform.apply(here.loc[both, CENTRE].to_numpy()) - there.loc[both, CENTRE].to_numpy()
    return np.sqrt((off**2).sum(1).mean())


@pytest.fixture(scope="module")
def pristine():
    return electrode()


@pytest.fixture(scope="module")
def pristine_image(pristine):
    return image(pristine)


@pytest.mark.parametrize(
    "change",
    [
        {"rotation_deg": 1.5},
        {"rotation_deg": 5.0, "shift_um": (4.0, -6.0, 3.0), "strain": (0.03, 0.005, -0.005)},
    ],
)
def test_position_is_found_to_a_tenth_of_a_voxel(pristine, pristine_image, change):
    after = specimens.cycled(pristine, wobble_um=0.0, lost=0.05, new=0.03, rng=2, **change)
    found = track.register_volumes(pristine_image, image(after, seed=4), spacing=SPACING)
    limit = 0.1 if "strain" not in change else 0.15  # two thirds of the volume are seen twice
    assert position_error(found, pristine, after) < limit * min(SPACING)
    assert found.correlation > 0.8
    assert found.rotation_deg == pytest.approx(change["rotation_deg"], abs=0.2)
    assert found.stretch == pytest.approx([1 + s for s in change.get("strain", (0.01, 0, 0))], abs=0.006)


def test_another_grid_and_other_grey_levels(pristine, pristine_image):
    after = specimens.cycled(pristine, wobble_um=0.0, rng=5)
    other = (0.45, 0.6, 0.5)
    moving = 20000 - 0.2 * image(after, other, seed=6).astype(float)[:, 5:-7]
    found = track.register_volumes(pristine_image, -moving, spacing=SPACING, moving_spacing=other)
    shifted = track.Transform(found.matrix, found.offset_um + np.array([0, 5 * 0.6, 0]))
    assert position_error(shifted, pristine, after) < 0.12
    assert found.overlap > 0.9


def test_masks_and_unseen_voxels_register_too(pristine, pristine_image):
    after = specimens.cycled(pristine, wobble_um=0.0, rng=2)
    moving = image(after, seed=4).astype(np.float32)
    moving[:20, :30, :25] = np.nan
    found = track.register_volumes(pristine_image > 25000, moving, spacing=SPACING)
    assert position_error(found, pristine, after) < 0.15


def test_models_differ_in_what_they_may_do(pristine, pristine_image):
    after = specimens.cycled(pristine, wobble_um=0.0, strain=(0.03, 0.0, 0.0), rotation_deg=1.0, rng=2)
    moving = image(after, seed=4)
    found = {m: track.register_volumes(pristine_image, moving, spacing=SPACING, model=m) for m in track.volumes.MODELS}
    assert found["rigid"].scale == pytest.approx(1, abs=1e-9)
    assert np.ptp(found["similarity"].stretch) < 1e-9 < abs(found["similarity"].scale - 1)
    errors = [position_error(found[m], pristine, after) for m in ("affine", "similarity", "rigid")]
    assert errors[0] < 0.2 * errors[1]
    assert errors[1] < errors[2]


def test_a_wrong_voxel_size_is_noticed(pristine, pristine_image):
    after = specimens.cycled(pristine, rng=2)
    wrong = tuple(1.03 * s for s in SPACING)
    found = track.register_volumes(pristine_image, image(after, seed=4), spacing=SPACING, moving_spacing=wrong)
    assert found.scale == pytest.approx(1.03 * 1.0033, abs=0.005)
    assert any("voxel size may be off" in w for w in found.warnings)


def test_another_place_is_refused(pristine_image):
    with pytest.raises(InputError, match="do not show the same place"):
        track.register_volumes(pristine_image, image(electrode(77)), spacing=SPACING, max_rotation_deg=0)


def test_a_mirrored_volume_is_refused(pristine_image):
    with pytest.raises(InputError, match="order of the axes"):
        track.register_volumes(pristine_image, pristine_image[:, ::-1], spacing=SPACING, max_rotation_deg=0)


def test_a_start_replaces_the_search(pristine, pristine_image):
    after = specimens.cycled(pristine, rotation_deg=14.0, shift_um=(2, 3, -2), wobble_um=0.0, rng=8)
    moving = image(after, seed=4)
    body = after.bodies.rotation[0] @ pristine.bodies.rotation[0].T
    middle = np.array(SIZE) / 2
    near = Rotation.from_rotvec([0.02, -0.02, 0.01]).as_matrix() @ body
    start = track.Transform(near, middle + np.array([2.4, 2.7, -2.2]) - near @ middle)
    found = track.register_volumes(pristine_image, moving, spacing=SPACING, start=start)
    assert found.rotation_deg == pytest.approx(14.0, abs=0.2)
    assert position_error(found, pristine, after) < 0.1


def test_transform_there_and_back():
    matrix = 1.02 * Rotation.from_rotvec([0.1, -0.2, 0.05]).as_matrix()
    t = track.Transform(matrix, np.array([1.0, -2.0, 3.0]))
    points = np.random.default_rng(0).normal(size=(5, 3)) * 10
    np.testing.assert_allclose(t.inverse().apply(t.apply(points)), points, atol=1e-12)
    assert t.scale == pytest.approx(1.02)
    assert t.rotation_deg == pytest.approx(np.rad2deg(np.linalg.norm([0.1, -0.2, 0.05])))
    assert track.Transform.identity().apply(points) == pytest.approx(points)


def test_resampling_brings_the_moving_volume_home():
    z, y, x = np.meshgrid(np.arange(20) * 0.5, np.arange(24) * 0.4, np.arange(28) * 0.3, indexing="ij")
    t = track.Transform(np.eye(3), np.array([0.6, -0.8, 0.5]))
    moving = z + 10 * y + 100 * x  # a ramp: the value says where it was read
    home = t.resample(moving, moving_spacing=(0.5, 0.4, 0.3), shape=(10, 12, 14), spacing=(0.6, 0.6, 0.5))
    expected = (2 * 0.6 + 0.6) + 10 * (5 * 0.6 - 0.8) + 100 * (4 * 0.5 + 0.5)
    assert home[2, 5, 4] == pytest.approx(expected, rel=1e-5)
    assert np.isnan(home[0, 0, 0])
    labels = t.resample(
        np.ones((20, 24, 28), np.int32),
        moving_spacing=(0.5, 0.4, 0.3),
        shape=(10, 12, 14),
        spacing=(0.6, 0.6, 0.5),
        order=0,
    )
    assert labels.dtype == np.int32
    assert (labels[0, 0, 0], labels[2, 5, 4]) == (0, 1)


@pytest.mark.parametrize(
    ("fixed", "moving", "spacing", "said"),
    [
        (np.ones((20, 20)), np.ones((20, 20, 20)), SPACING, "fixed` must be a grey volume"),
        (np.ones((20, 20, 20)), np.ones((4, 20, 20)), SPACING, "moving` is too thin"),
        (np.ones((20, 20, 20)), np.ones((20, 20, 20)), SPACING, "single grey value"),
        (np.full((20, 20, 20), np.nan), np.ones((20, 20, 20)), SPACING, "single grey value"),
        (np.ones((20, 20, 20)), np.ones((20, 20, 200)), SPACING, "cannot show the same place"),
        (np.ones((20, 20, 20)), np.ones((20, 20, 20)), (0, 1, 1), "positive lengths"),
    ],
)
def test_what_cannot_be_registered_is_said(fixed, moving, spacing, said):
    with pytest.raises(InputError, match=said):
        track.register_volumes(fixed, moving, spacing=spacing)


# --- matching ------------------------------------------------------------------------------------


def measured(packing, seed, rough=0.04):
    """The particles of a packing as a segmentation would measure them."""
    table, rng = packing.table(SPACING), np.random.default_rng(seed)
    table = table[table.inside_fraction > 0.05].copy()
    for name in CENTRE:
        table[name] += rng.normal(0, 0.1, len(table))
    table["volume_um3"] *= np.exp(rng.normal(0, rough, len(table)))
    return table.sample(frac=1, random_state=seed)  # the order of the rows says nothing


@pytest.fixture(scope="module", params=[{}, {"lost": 0.12, "new": 0.12}, {"wobble_um": 0.5, "expansion": 0.26}])
def pair(request, pristine):
    after = specimens.cycled(pristine, rng=12, **request.param)
    here, there = pristine.particles, after.particles
    both = here.index.intersection(there.index[np.isfinite(there.expansion)])
    design = np.c_[here.loc[both, CENTRE], np.ones(len(both))]
    fit = np.linalg.lstsq(design, there.loc[both, CENTRE], rcond=None)[0]
    return measured(pristine, 5), measured(after, 6), track.Transform(fit[:3].T, fit[3])


def test_every_whole_particle_is_matched_and_none_falsely(pair):
    before, after, transform = pair
    found = track.match_particles(before, after, transform=transform)
    matched = found[found.status == "matched"]
    whole = before.index[~before.touches_edge].intersection(after.index[~after.touches_edge])
    assert (matched.before == matched.after).all()
    assert len(matched) > 0.95 * len(whole)
    assert set(matched.before) <= set(whole)
    assert matched.distance_um.median() < 0.6


def test_the_lost_and_the_new_are_told(pair):
    before, after, transform = pair
    found = track.match_particles(before, after, transform=transform)
    gone = before.index[~before.touches_edge].difference(after.index)
    told = found.set_index("before").status
    assert set(told[gone]) <= {"lost", "outside"}
    fresh = after.index[~after.touches_edge].difference(before.index)
    assert set(found[found.after.isin(fresh)].status) <= {"new", "outside", "cut"}
    assert sorted(found[found.before >= 0].before) == sorted(before.index)
    assert sorted(found[found.after >= 0].after) == sorted(after.index)
    assert set(found.status) <= set(track.match.STATUS)
    assert found[found.status.isin(["lost", "new"])].volume_ratio.isna().all()


def test_a_split_particle_is_not_taken_for_a_shrunken_one(pair):
    before, after, transform = pair
    whole = before.index[~before.touches_edge].intersection(after.index[~after.touches_edge])
    victim = before.loc[whole, "volume_um3"].idxmax()
    halves = pd.concat([after.loc[[victim]], after.loc[[victim]].rename(index={victim: 9999})])
    halves["volume_um3"] *= [0.5, 0.5]
    halves["x_um"] += [-1.5, 1.5]
    found = track.match_particles(before, pd.concat([after.drop(index=victim), halves]), transform=transform)
    assert found.set_index("before").status[victim] == "lost"
    assert (found[found.after.isin([victim, 9999])].status == "new").all()


def test_two_that_were_merged_are_not_taken_for_a_swollen_one(pair):
    before, after, transform = pair
    whole = before.index[~before.touches_edge].intersection(after.index[~after.touches_edge])
    merged = after.copy()
    merged.loc[whole[0], "volume_um3"] *= 1.8
    found = track.match_particles(before, merged, transform=transform).set_index("before")
    assert found.status[whole[0]] == "lost"
    assert (found.status[whole[1:]] == "matched").mean() > 0.95


def test_motion_beyond_the_transform_is_reported(pristine):
    before = pristine.table(SPACING)
    after = before.copy()
    after[CENTRE] += [0.3, -0.2, 0.1]
    after["volume_um3"] *= 1.1
    found = track.match_particles(before, after)
    matched = found[found.status == "matched"]
    np.testing.assert_allclose(matched[["dz_um", "dy_um", "dx_um"]] - [0.3, -0.2, 0.1], 0, atol=1e-9)
    np.testing.assert_allclose(matched.volume_ratio, 1.1)
    assert matched.confidence.min() > 0.9


def test_nothing_to_match():
    empty = pd.DataFrame({n: np.zeros(0) for n in [*CENTRE, "volume_um3"]}, index=pd.Index([], dtype=int))
    one = pd.DataFrame([[1.0, 2.0, 3.0, 50.0]], columns=[*CENTRE, "volume_um3"], index=[4])
    assert len(track.match_particles(empty, empty)) == 0
    assert track.match_particles(empty, one).after.tolist() == [4]
    assert track.match_particles(one, empty).before.tolist() == [4]
    assert (track.match_particles(one, empty).after == -1).all()
    both = track.match_particles(one, one)
    assert list(both.columns) == list(track.match_particles(empty, empty).columns)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.drop(columns="y_um"), "needs the columns y_um"),
        (lambda t: t.assign(volume_um3=0.0), "positive volumes"),
        (lambda t: t.assign(z_um=np.nan), "finite positions"),
        (lambda t: pd.concat([t, t]), "names a particle twice"),
    ],
)
def test_bad_tables(pristine, change, said):
    table = pristine.particles
    with pytest.raises(InputError, match=said):
        track.match_particles(change(table), table)
