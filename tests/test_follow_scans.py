"""Particles followed through scans: found, linked, registered and joined, against poses that are exact."""

from dataclasses import replace

import numpy as np
import pytest
from _lumps import Lump, centres, drawn

from morpholith import specimens
from morpholith.errors import InputWarning
from morpholith.segment.monolayer import find_particles
from morpholith.track.follow import Pose, aligned_region, common_poses, follow, from_arrays, in_common_pose, to_arrays
from morpholith.track.join import cut, join, motion_of, particle_table

FIELD = (160, 220)  # not square: swapped axes cannot pass
BODIES = (
    Lump(radius=19), Lump(radius=23, phase=(0, 2.0, 0.3, 1.0)), Lump(radius=17, phase=(0, 1.1, 3.0, 2.0)),
    Lump(radius=21, phase=(0, -1.0, 0.5, 2.5)),
)  # fmt: skip
PLACES = np.array([[42.0, 50.0], [48.0, 150.0], [112.0, 100.0], [105.0, 180.0]])
N = 14


def _scan(rng, *, away=0.0, angle=0.0, breathing=0.0, noise=0.015, lost=(), missing=(), n=N):
    """One scan: frames, labels and truth; `away` (4, 2), `angle`, `breathing` (4,) move the bodies beforehand."""
    stage = rng.uniform(-3, 3, (n, 1, 2))
    places = PLACES + away + stage + rng.normal(0, 0.1, (n, 4, 2))
    angles = np.broadcast_to(angle, 4) + rng.normal(0, 0.5, (n, 4))
    sizes = np.broadcast_to(breathing, 4) + rng.normal(0, 0.002, (n, 4))
    contrast = np.linspace(0.15, 0.35, n)
    frames, labels = [], []
    for f in range(n):
        parts = [drawn(b, FIELD, places[f, k], angles[f, k], sizes[f, k]) for k, b in enumerate(BODIES)]
        parts = [p * (k not in missing) for k, p in enumerate(parts)]
        frames.append(0.1 + contrast[f] * np.sum(parts, 0) + rng.normal(0, noise, FIELD))
        # what is found in a frame: numbers in an order of its own
        names = rng.permutation(4) + 1
        labels.append(np.sum([names[k] * (p > 0.5) for k, p in enumerate(parts)], 0))
    frames = np.array(frames, np.float32)
    for f in lost:
        frames[f], labels[f] = np.nan, np.zeros(FIELD, int)
    truth = np.array([centres(b, places[:, k], angles[:, k], sizes[:, k]) for k, b in enumerate(BODIES)])
    return frames, labels, {"centre": truth, "angle": angles.T, "breathing": sizes.T}


def _who(found, truth):
    """Index of the body that each followed particle is."""
    middle = np.nanmedian(truth["centre"], axis=1)
    return [int(np.argmin(np.hypot(*(np.nanmedian(p.centre_px, axis=0) - middle).T))) for p in found.particles]


@pytest.fixture(scope="module")
def two_scans():
    """Two scans of the same bodies; in between each moved, turned and grew in its own way."""
    rng = np.random.default_rng(1)
    away = np.array([[9.0, -4.0], [-6.0, 5.0], [3.0, 8.0], [-5.0, -6.0]])
    angle, breathing = np.array([3.0, -2.0, 1.0, 4.0]), np.array([0.02, -0.01, 0.015, 0.0])
    first = _scan(rng, lost=(5,))
    second = _scan(rng, away=away, angle=angle, breathing=breathing)
    return first, second, [follow(frames, labels) for frames, labels, _ in (first, second)]


# --- one scan ----------------------------------------------------------------------------------------------------


def test_every_particle_is_followed(two_scans):
    (_, _, truth), _, (found, _) = two_scans
    who = _who(found, truth)
    assert sorted(who) == [0, 1, 2, 3]
    for p, k in zip(found.particles, who, strict=True):
        good = p.status == "measured"
        assert list(np.flatnonzero(~good)) == [5]
        error = p.centre_px - truth["centre"][k]
        error -= error[good].mean(0)
        assert np.abs(error[good]).max() < 0.12
        angle = p.angle_deg - truth["angle"][k]
        assert np.abs(angle[good] - angle[good].mean()).max() < 1.0
    first = [p.centre_px[0] for p in found.particles]
    assert first == sorted(first, key=tuple)  # numbered by y


def test_a_dropped_frame_is_predicted_with_the_error_of_a_prediction(two_scans):
    (_, _, truth), _, (found, _) = two_scans
    for p, k in zip(found.particles, _who(found, truth), strict=True):
        assert p.status[5] == "predicted"
        assert p.reason[5] == ""
        assert np.isnan(p.contrast[5])
        assert (p.sigma_px[5] > 5 * np.nanmedian(p.sigma_px, axis=0)).all()
        assert (np.abs(p.centre_px[5] - truth["centre"][k][5]) < 4 * p.sigma_px[5] + 0.3).all()


def test_without_smoothing_every_frame_stands_for_itself(two_scans):
    (frames, labels, truth), _, (smooth, _) = two_scans
    raw = follow(frames, labels, smooth=False)
    assert raw.inflation == 1
    assert [p.status[5] for p in raw.particles] == ["predicted"] * 4
    assert all(np.isnan(p.centre_px[5]).all() for p in raw.particles)
    for p, q in zip(raw.particles, smooth.particles, strict=True):
        np.testing.assert_allclose(p.angle_deg, q.angle_deg)
        assert np.nanmax(np.abs(p.centre_px - q.centre_px)) < 0.15
    assert _who(raw, truth) == _who(smooth, truth)


def test_frames_without_contrast_are_refused_with_a_reason():
    rng = np.random.default_rng(2)
    frames, labels, truth = _scan(rng)
    for f in (3, 9):
        frames[f] = 0.1 + rng.normal(0, 0.015, FIELD)
        labels[f] = np.zeros(FIELD, int)
    found = follow(frames, labels)
    for p, k in zip(found.particles, _who(found, truth), strict=True):
        assert list(np.flatnonzero(p.status == "refused")) == [3, 9]
        assert all("contrast" in p.reason[f] for f in (3, 9))
        good = p.status == "measured"
        error = p.centre_px - truth["centre"][k]
        assert np.abs((error - error[good].mean(0))[good]).max() < 0.12


def test_centres_of_masks():
    rng = np.random.default_rng(3)
    frames, labels, truth = _scan(rng)
    found = follow(frames, labels, align="mask", smooth=False)
    for p, k in zip(found.particles, _who(found, truth), strict=True):
        for f in range(N):
            name = labels[f][tuple(np.rint(truth["centre"][k][f]).astype(int))]
            assert p.centre_px[f] == pytest.approx(np.argwhere(labels[f] == name).mean(0), abs=1e-6)
        assert not p.angle_deg.any()


def test_a_particle_that_the_field_cuts_keeps_its_whole_outline():
    rng = np.random.default_rng(4)
    body, n = BODIES[0], 16
    places = np.stack([np.linspace(50, 12, n), np.full(n, 60.0)], 1)
    frames = np.array([0.1 + 0.3 * drawn(body, FIELD, p) for p in places]) + rng.normal(0, 0.01, (n, *FIELD))
    labels = [(drawn(body, FIELD, p) > 0.5).astype(int) for p in places]
    found = follow(frames.astype(np.float32), labels, smooth=False)
    assert len(found.particles) == 1
    [p] = found.particles
    assert p.mask.sum() == pytest.approx(labels[0].sum(), rel=0.12)
    good = p.status == "measured"
    error = (p.centre_px - centres(body, places))[good]
    assert np.abs(error - error[:4].mean(0)).max() < 0.45
    cut = labels[-1].nonzero()
    assert abs(np.mean(cut[0]) - centres(body, places)[-1, 0]) > 2  # the centre of what is seen is far off


def test_nothing_found_is_nothing_followed():
    frames = np.zeros((6, *FIELD), np.float32)
    with pytest.warns(InputWarning, match="nothing to link"):
        none = follow(frames, [np.zeros(FIELD, int)] * 6)
    assert none.particles == []
    assert none.shape == FIELD
    assert len(none.table()) == 0
    assert list(none.table().columns) == ["y_px", "x_px", "area_px"]
    again = from_arrays(to_arrays(none))
    assert again.particles == []


def test_arrays_and_back(two_scans, tmp_path):
    _, _, (found, _) = two_scans
    np.savez(tmp_path / "a.npz", allow_pickle=False, **to_arrays(found))
    with np.load(tmp_path / "a.npz", allow_pickle=False) as stored:
        back = from_arrays(stored)
    assert back.shape == found.shape == FIELD
    assert back.inflation == found.inflation
    assert len(back.particles) == 4
    for p, q in zip(back.particles, found.particles, strict=True):
        for name in p.__dataclass_fields__:
            one, two = getattr(p, name), getattr(q, name)
            assert one.dtype == two.dtype, name
            np.testing.assert_array_equal(one, two, err_msg=name)
    assert found.stacked("centre_px").shape == (4, N, 2)


# --- regions -----------------------------------------------------------------------------------------------------


def test_aligned_regions_show_the_same_thing_in_every_frame(two_scans):
    (frames, _, truth), _, (found, _) = two_scans
    for p, k in zip(found.particles, _who(found, truth), strict=True):
        region = aligned_region(frames, p, (81, 75))
        assert region.shape == (N, 81, 75)
        assert region.dtype == np.float32
        assert np.isnan(region[5]).all()
        pose = np.mean((truth["angle"][k] - p.angle_deg)[p.status == "measured"])
        size = np.mean((1 + truth["breathing"][k]) / (1 + p.breathing)) - 1
        offset = centres(BODIES[k], [np.zeros(2)], [pose], [size])[0]
        true = drawn(BODIES[k], (81, 75), np.array([40, 37]) - offset, pose, size)
        inner = np.s_[16:65, 14:61]
        for f in (0, 6, 13):
            like = np.corrcoef(region[f][inner].ravel(), true[inner].ravel())[0, 1]
            assert like > (0.95 if f == 0 else 0.985)


def test_regions_beyond_the_field_are_not_seen(two_scans):
    (frames, _, truth), _, (found, _) = two_scans
    p = found.particles[_who(found, truth).index(0)]
    region = aligned_region(frames, p, (141, 121))
    top = 70 - p.centre_px[0, 0]  # rows of the region above the field
    assert np.isnan(region[0, : int(top) - 2]).all()
    assert np.isfinite(region[0, int(top) + 5 : 100, 40:80]).all()


# --- two scans ---------------------------------------------------------------------------------------------------


def test_the_same_particles_have_the_same_numbers(two_scans):
    (_, _, one), (_, _, two), found = two_scans
    rng = np.random.default_rng(5)
    for order in (np.arange(4), rng.permutation(4), np.array([3, 2, 1, 0])):
        shuffled = replace(found[1], particles=[found[1].particles[k] for k in order])
        joined = join([found[0], shuffled])
        assert joined.numbers == [1, 2, 3, 4]
        for number in joined.numbers:
            a, b = (s[number].centre_px for s in joined.scans)
            who = [
                int(np.argmin(np.hypot(*(np.nanmedian(c, axis=0) - np.nanmedian(t["centre"], axis=1)).T)))
                for c, t in ((a, one), (b, two))
            ]
            assert who[0] == who[1]


def _pair(two_scans, number):
    """The two scans of a particle in one pose, its body, and the truth of both."""
    first, second, found = two_scans
    joined = join(found)
    parts = [s[number] for s in joined.scans]
    k = _who(found[0], first[2])[number - 1]
    return joined, parts, k, (first[2], second[2])


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_motion_between_scans_is_that_of_the_body(two_scans, number):
    _, parts, k, truth = _pair(two_scans, number)
    position, angle, size = [], [], []
    for p, t in zip(parts, truth, strict=True):
        good = p.status == "measured"
        position.append((p.centre_px - t["centre"][k])[good].mean(0))
        angle.append((p.angle_deg - t["angle"][k])[good].mean())
        size.append(((1 + p.breathing) / (1 + t["breathing"][k]))[good].mean())
    assert np.abs(position[1] - position[0]).max() < 0.1
    assert abs(angle[1] - angle[0]) < 0.4
    assert size[1] / size[0] == pytest.approx(1, abs=3e-3)


def test_regions_of_both_scans_coincide(two_scans):
    first, second, found = two_scans
    joined = join(found)
    regions = [cut(s[0], joined, t) for t, s in enumerate((first, second))]
    for number in joined.numbers:
        mask = joined.masks[number]
        # mean pictures of both scans, registered to each other: nothing is left to move
        pictures = np.stack([np.nanmean(np.delete(r[str(number)], 5, 0), 0) for r in regions])
        middle = (np.array(mask.shape) - 1) / 2
        one, two = common_poses(pictures, np.stack([middle, middle]), mask)
        assert np.abs(one.centre_px - two.centre_px).max() < 0.1
        assert abs(one.angle_deg - two.angle_deg) < 0.4
        assert abs(one.breathing - two.breathing) < 3e-3
        assert np.argwhere(mask).mean(0) == pytest.approx(middle, abs=0.75)
        assert mask.shape[0] % 2 == mask.shape[1] % 2 == 1


def test_alignment_makes_neighbouring_frames_more_alike(two_scans):
    first, _, found = two_scans
    joined = join(found)
    parts = cut(first[0], joined, 0)
    for number in joined.numbers:
        after, before = parts[f"{number}_ssim"], parts[f"{number}_ssim_before"]
        assert after.shape == before.shape == (N - 1,)
        assert np.isnan(after[4:6]).all()  # both pairs with the dropped frame
        assert np.nanmean(after) > np.nanmean(before) + 0.02
        assert parts[str(number)].shape == parts[f"{number}_before"].shape == (N, *joined.masks[number].shape)


def test_a_particle_that_one_scan_lacks():
    rng = np.random.default_rng(6)
    first, second = _scan(rng), _scan(rng, missing=(2,))
    found = [follow(s[0], s[1]) for s in (first, second)]
    assert [len(f.particles) for f in found] == [4, 3]
    joined = join(found)
    assert joined.numbers == [1, 2, 3, 4]
    lacking = [n for n in joined.numbers if n not in joined.scans[1]]
    assert len(lacking) == 1
    row = joined.numbers.index(lacking[0])
    where = np.nanmean(joined.gathered("centre_px")[row, :N], axis=0)
    assert where == pytest.approx(first[2]["centre"][2].mean(0), abs=0.5)
    assert np.isnan(joined.gathered("centre_px")[row, N:]).all()
    assert (joined.gathered("status", missing="predicted")[row, N:] == "predicted").all()
    energies = np.linspace(8200, 8600, N)
    motion = motion_of(joined, energies)
    rows = motion[(motion["particle"] == lacking[0]) & (motion["scan"] == 1)]
    assert rows["y_px"].isna().all()
    assert (rows["reason"] == "not found in this scan").all()


def test_the_table_of_motion(two_scans):
    _, _, found = two_scans
    joined = join(found)
    energies = np.linspace(8200, 8600, N)
    motion = motion_of(joined, energies)
    assert len(motion) == 4 * 2 * N
    assert motion["frame"].max() == 2 * N - 1
    np.testing.assert_allclose(motion["energy_ev"], np.tile(energies, 8))
    np.testing.assert_array_equal(motion["scan"], np.tile(np.repeat([0, 1], N), 4))
    for number in joined.numbers:
        rows = motion[motion["particle"] == number]
        _, _, k, truth = _pair(two_scans, number)
        true = np.concatenate([t["centre"][k] for t in truth])
        moved = rows[["dy_px", "dx_px"]].to_numpy()
        good = (rows["status"] == "measured").to_numpy()
        assert good.sum() == 2 * N - 1
        assert np.abs(moved - (true - true[0]))[good].max() < 0.25
        z = (moved - (true - true[0]))[good][1:] / rows["sigma_px"].to_numpy()[good][1:, None]
        assert np.sqrt((z**2).mean()) < 4
        # the error of a displacement holds that of the frame it counts from
        own = rows["sigma_position_px"].to_numpy()
        np.testing.assert_allclose(rows["sigma_px"].to_numpy()[1:], np.hypot(own[1:], own[0]))
        assert set(rows["reason"]) == {""}
        assert joined.corner_px(number) == pytest.approx(
            tuple(rows[["y_px", "x_px"]].to_numpy()[0] - (np.array(joined.masks[number].shape) - 1) / 2)
        )


def test_the_table_of_particles(two_scans):
    first, second, found = two_scans
    joined = join(found)
    motion = motion_of(joined, np.linspace(8200, 8600, N))
    ssim = {}
    parts = [cut(s[0], joined, t) for t, s in enumerate((first, second))]
    for number in joined.numbers:
        ssim[number] = np.concatenate([p[f"{number}_ssim"] for p in parts])
    table = particle_table(joined, motion, ssim)
    assert list(table.index) == [1, 2, 3, 4]
    assert (table["n_frames"] == 2 * N - 1).all()
    assert (table["n_refused"] == 0).all()
    for number in joined.numbers:
        _, _, k, truth = _pair(two_scans, number)
        row = table.loc[number]
        assert row["diameter_px"] == pytest.approx(2 * BODIES[k].radius, rel=0.06)
        both = np.concatenate([t["angle"][k] for t in truth])
        assert row["rotation_deg"] == pytest.approx(np.ptp(both), abs=1.2)
        size = np.concatenate([t["breathing"][k] for t in truth])
        assert row["breathing"] == pytest.approx(np.ptp(size), abs=6e-3)
        assert 0.5 < row["ssim_mean"] <= 1
        assert 0.003 < row["residual_px"] < 0.15


def test_no_particles_in_any_scan():
    with pytest.warns(InputWarning, match="nothing to link"):
        none = follow(np.zeros((6, *FIELD), np.float32), [np.zeros(FIELD, int)] * 6)
    one = join([none])
    assert one.numbers == []
    with pytest.warns(InputWarning, match="nothing to link"):
        assert join([none, none]).numbers == []


def test_one_template_alone_is_its_own_pose():
    [pose] = common_poses([np.zeros((20, 30))], np.array([[9.5, 14.0]]), np.ones((20, 30), bool))
    np.testing.assert_allclose(pose.centre_px, [9.5, 14.0])
    assert pose.angle_deg == pose.breathing == 0


def test_poses_follow_one_another(two_scans):
    """A pose put on top of a motion: angles add, sizes multiply, and the centre moves with the turned offset."""
    _, _, (found, _) = two_scans
    p = found.particles[0]
    q = in_common_pose(p, Pose(p.centre + np.array([3.0, -2.0]), 5.0, 0.1))
    np.testing.assert_allclose(q.angle_deg, p.angle_deg + 5)
    np.testing.assert_allclose(1 + q.breathing, (1 + p.breathing) * 1.1)
    t, s = np.deg2rad(p.angle_deg), 1 + p.breathing
    np.testing.assert_allclose(q.centre_px[:, 0], p.centre_px[:, 0] + s * (np.cos(t) * 3 + np.sin(t) * 2))
    np.testing.assert_allclose(q.centre_px[:, 1], p.centre_px[:, 1] + s * (np.sin(t) * 3 - np.cos(t) * 2))


# --- a virtual scan ----------------------------------------------------------------------------------------------


def test_a_virtual_scan_from_frames_to_motion():
    """Found, linked, registered, smoothed: better than centres of masks, with errors that cover."""
    params = specimens.Scan.of(
        "typical", shape=(170, 230), n_particles=4, diameter_px=(36, 50), n_energies=40, flat_share=0.0, dropped=1
    )
    made = specimens.scan(params, rng=3)
    frames = made.optical_density()[0]
    labels = find_particles(frames)
    truth = made.truth.sort_values(["particle", "frame"])[["y_px", "x_px"]].to_numpy().reshape(4, 40, 2)
    error, within = {}, None
    for align in ("template", "mask"):
        found = follow(frames, labels, align=align, smooth=align == "template")
        who = _who(found, {"centre": truth})
        assert sorted(who) == [0, 1, 2, 3]
        good = found.stacked("status") == "measured"
        assert good.mean() > 0.85
        off = found.stacked("centre_px") - truth[who]
        off -= np.array([o[g].mean(0) for o, g in zip(off, good, strict=True)])[:, None]
        error[align] = np.sqrt((off[good] ** 2).mean())
        if align == "template":
            within = (np.abs(off) < found.stacked("sigma_px"))[good].mean()
            [dropped] = made.lost
            assert (found.stacked("status")[:, dropped] == "predicted").all()
    assert error["template"] < 0.3
    assert error["template"] < 0.6 * error["mask"]
    assert 0.35 < within < 0.9
