"""Group-wise registration against bodies whose pose in every frame is exact, and against virtual scans."""

import numpy as np
import pytest
from _lumps import Lump, centres, drawn, grey_centres, series

from morpholith import specimens
from morpholith.errors import InputError
from morpholith.track.outline import outline
from morpholith.track.registration import register
from morpholith.track.windows import in_pose

FIELD = (84, 112)  # not square: swapped axes cannot pass
LUMP = Lump()
MASK = drawn(LUMP, (61, 67), (30, 33)) > 0.5
N = 40


def _motion(rng, n=N, *, wander=0.8, turn=2.0, grow=0.01):
    """Places, angles (deg) and breathing: a bounded walk, turns and sizes of their own in every frame."""
    steps = np.cumsum(rng.normal(0, wander, (n, 2)), 0)
    return np.array([41.0, 55.0]) + steps.clip(-7, 7), rng.normal(0, turn, n), rng.normal(0, grow, n)


def _register(frames, truth, **options):
    """Register with guesses rounded to whole pixels; `truth` is centres of the outline."""
    [found] = register(frames, np.rint(truth)[None], [MASK], **options)
    return found


def _off(found, truth):
    """Errors of the displacements (F, 2): a constant part is the choice of the centre."""
    error = found.centre_px - truth
    return error - np.nanmean(error[found.status == "measured"], axis=0)


# --- accuracy ----------------------------------------------------------------------------------------------------


def test_clear_frames_are_told_to_a_hundredth_of_a_pixel():
    rng = np.random.default_rng(1)
    pose = _motion(rng)
    truth = centres(LUMP, *pose)
    frames = series(LUMP, FIELD, *pose, noise=0.003, rng=rng)
    found = _register(frames, truth)
    assert set(found.status) == {"measured"}
    assert np.abs(_off(found, truth)).max() < 0.02
    angle = found.angle_deg - pose[1]
    assert np.abs(angle - angle.mean()).max() < 0.1
    size = (1 + found.breathing) / (1 + pose[2])
    assert np.abs(size / size.mean() - 1).max() < 1e-3
    assert np.abs(found.centre_px - truth).max() < 0.2  # the centre is that of the outline, not only up to a constant
    assert found.contrast == pytest.approx(np.full(N, 0.3), rel=0.05)
    assert found.mask.sum() == pytest.approx((drawn(LUMP, FIELD, (42, 55)) > 0.5).sum(), rel=0.03)
    # whole pixels, which the guesses were, are far worse
    assert np.abs(np.rint(truth) - truth).max() > 0.4


def test_the_template_is_the_body_itself():
    rng = np.random.default_rng(2)
    pose = _motion(rng)
    found = _register(series(LUMP, FIELD, *pose, noise=0.02, rng=rng), centres(LUMP, *pose))
    place = found.centre - LUMP.middle()
    truth = drawn(
        LUMP, found.template.shape, place, np.mean(-found.angle_deg + pose[1]), np.mean(pose[2] - found.breathing)
    )
    near = np.abs(np.indices(found.template.shape) - found.centre[:, None, None]).max(0) < 25
    assert np.corrcoef(found.template[near], truth[near])[0, 1] > 0.998
    assert found.template[near].mean() == pytest.approx(truth[near].mean(), rel=0.05)
    assert found.centre == pytest.approx(np.argwhere(found.mask).mean(0))


@pytest.mark.parametrize("noise", [0.06, 0.15])
def test_standard_errors_cover(noise):
    """Over many noisy frames, half to nine tenths of the errors are within one standard error."""
    rng = np.random.default_rng(3)
    pose = _motion(rng, 250)
    truth = centres(LUMP, *pose)
    found = _register(series(LUMP, FIELD, *pose, noise=noise, rng=rng), truth)
    good = found.status == "measured"
    assert good.mean() > 0.95
    within = np.abs(_off(found, truth)) < found.sigma_px
    assert 0.55 < within[good].mean() < 0.9
    angle = found.angle_deg - pose[1]
    assert 0.5 < (np.abs(angle - angle[good].mean()) < found.sigma_angle_deg)[good].mean() < 0.97
    assert found.noise[good].mean() == pytest.approx(noise, rel=0.05)


def test_errors_grow_with_the_noise_of_a_frame():
    rng = np.random.default_rng(4)
    pose = _motion(rng, 60)
    frames = series(LUMP, FIELD, *pose, noise=0.03, rng=rng)
    frames[30:] += rng.normal(0, 0.12, frames[30:].shape).astype(np.float32)
    truth = centres(LUMP, *pose)
    found = _register(frames, truth)
    off = np.abs(_off(found, truth))
    assert np.median(found.sigma_px[34:]) > 2 * np.median(found.sigma_px[:26])
    assert np.median(off[30:]) > 1.5 * np.median(off[:30])
    assert np.sqrt((off[:30] ** 2).mean()) < 0.06  # noisy frames do not spoil the clear ones


def test_nothing_adds_up_over_a_long_series():
    """Turning and growing steadily through 500 frames, the last ones are as right as the first ones."""
    rng = np.random.default_rng(5)
    n = 500
    places, _, _ = _motion(rng, n, wander=0.4)
    pose = places, np.linspace(-4, 4, n), np.linspace(-0.015, 0.015, n)
    truth = centres(LUMP, *pose)
    found = _register(series(LUMP, FIELD, *pose, noise=0.04, rng=rng), truth)
    off = _off(found, truth)
    blocks = off.reshape(10, 50, 2)
    assert np.abs(blocks.mean(1)).max() < 0.03
    rms = np.sqrt((blocks**2).mean((1, 2)))
    assert rms.max() < 1.4 * rms.min()
    slope = np.polyfit(np.arange(n), found.angle_deg, 1)[0] * n
    assert slope == pytest.approx(8.0, abs=0.25)
    assert np.polyfit(np.arange(n), found.breathing, 1)[0] * n == pytest.approx(0.03, abs=0.002)


# --- what must not matter ----------------------------------------------------------------------------------------


def test_gain_offset_and_planes_of_frames_do_not_matter():
    rng = np.random.default_rng(6)
    pose = _motion(rng)
    truth = centres(LUMP, *pose)
    frames = series(LUMP, FIELD, *pose, noise=0.003, rng=rng)
    plain = _register(frames, truth)
    gain, level = rng.uniform(0.3, 3, (N, 1, 1)), rng.uniform(-2, 2, (N, 1, 1))
    y, x = np.indices(FIELD)
    tilt = rng.normal(0, 0.004, (N, 1, 1)) * y + rng.normal(0, 0.004, (N, 1, 1)) * x
    other = _register((gain * frames + level + tilt).astype(np.float32), truth)
    assert np.abs(_off(other, truth)).max() < 0.03
    assert np.abs(_off(other, truth) - _off(plain, truth)).max() < 0.03
    assert np.abs((other.angle_deg - plain.angle_deg) - np.mean(other.angle_deg - plain.angle_deg)).max() < 0.1
    np.testing.assert_allclose(other.contrast, gain.ravel() * 0.3, rtol=0.15)


def _one_sided(share):
    return lambda f, y, x: 1 + share[f] * np.tanh((0.6 * y + 0.8 * x) / 8)


def _one_sided_edge(share):
    return lambda f, y, x: 1 + share[f] * (0.6 * y + 0.8 * x) / 25


@pytest.mark.parametrize("chemistry", [_one_sided, _one_sided_edge])
def test_chemistry_on_one_side_fakes_no_motion(chemistry):
    """Crossing the edge, one side brightens and the other fades; a centre of grey levels follows, the outline stays."""
    rng = np.random.default_rng(7)
    pose = _motion(rng)
    truth = centres(LUMP, *pose)
    share = np.linspace(-0.25, 0.25, N)
    frames = series(LUMP, FIELD, *pose, noise=0.003, colour=chemistry(share), rng=rng)
    found = _register(frames, truth)
    grey = grey_centres(frames, pose[0], 30) - truth
    assert np.ptp(grey, axis=0).max() > 1.5
    bias = np.polyfit(share, _off(found, truth), 1)[0] * 0.5  # from the first frame to the last
    assert np.abs(bias).max() < 0.15
    assert np.abs(_off(found, truth)).max() < 0.1
    raw = _register(frames, truth, coarsest_px=0.0)  # without taking out what is wide, it is worse
    assert np.abs(np.polyfit(share, _off(raw, truth), 1)[0] * 0.5).max() > 2 * np.abs(bias).max()


def test_chemistry_of_the_core_fakes_no_breathing():
    rng = np.random.default_rng(8)
    pose = _motion(rng)
    share = np.linspace(-0.4, 0.4, N)
    frames = series(
        LUMP,
        FIELD,
        *pose,
        noise=0.003,
        rng=rng,
        colour=lambda f, y, x: 1 + share[f] / (1 + np.exp(np.hypot(y, x) - 10)),
    )
    found = _register(frames, centres(LUMP, *pose))
    assert abs(np.polyfit(share, found.breathing - pose[2], 1)[0] * 0.8) < 4e-3
    assert np.abs(_off(found, centres(LUMP, *pose))).max() < 0.06


def test_a_neighbour_that_moves_otherwise_does_not_pull():
    rng = np.random.default_rng(9)
    pose = _motion(rng, wander=0.3)
    shape = (84, 150)
    other = Lump(radius=17, amount=(0.0, 0.05, 0.1), phase=(0, 1.0, 2.0))
    at = pose[0] + [0, 42] + np.stack([np.linspace(-2, 2, N), np.zeros(N)], 1)
    frames = series(LUMP, shape, *pose, noise=0.005, rng=rng) + series(other, shape, at, level=0.0)
    truth = centres(LUMP, *pose), centres(other, at)
    masks = [MASK, drawn(other, (51, 51), (25, 25)) > 0.5]
    found = register(frames, np.rint(truth), masks)
    for one, true in zip(found, truth, strict=True):
        assert np.abs(_off(one, true)).max() < 0.06
    assert found[1].mask.sum() == pytest.approx(masks[1].sum(), rel=0.1)


# --- frames that say less ----------------------------------------------------------------------------------------


def test_lost_frames_missing_pixels_and_wrong_guesses():
    rng = np.random.default_rng(10)
    n = 30
    places = np.array([41.0, 55.0]) + rng.uniform(-6, 6, (n, 2))
    contrast = np.full(n, 0.3)
    contrast[7:9] = 0.0
    frames = series(LUMP, FIELD, places, contrast=contrast, noise=0.02, rng=rng)
    frames[12] = np.nan
    frames[15, 30:36, 50:58] = np.nan
    frames[20] = 0.5
    truth = centres(LUMP, places)
    guess, found = np.rint(truth), np.ones((1, n), bool)
    guess[17] += (6, -5)
    found[0, 17] = False
    guess[25] = np.nan
    [one] = register(frames, guess[None], [MASK], found=found)
    assert list(np.flatnonzero(one.status == "predicted")) == [12, 25]
    assert list(np.flatnonzero(one.status == "refused")) == [7, 8, 20]
    assert np.isnan(one.centre_px[[12, 25]]).all()
    assert all(("contrast" in r) == (s == "refused") for r, s in zip(one.reason, one.status, strict=True))
    assert all((r == "") == (s != "refused") for r, s in zip(one.reason, one.status, strict=True))
    off = _off(one, truth)
    good = one.status == "measured"
    assert np.abs(off[good]).max() < 0.1  # the one with a hole and the one that was guessed 8 px away among them
    assert (one.sigma_px[[7, 8, 20]].max(1) > 1).all()


def test_a_guess_that_was_not_seen_is_searched_for_as_far_as_asked():
    rng = np.random.default_rng(11)
    places = np.array([41.0, 55.0]) + rng.uniform(-2, 2, (12, 2))
    frames = series(LUMP, FIELD, places, noise=0.01, rng=rng)
    truth = centres(LUMP, places)
    guess, found = np.rint(truth), np.ones((1, 12), bool)
    guess[4] += (-10, 9)
    found[0, 4] = False
    [near] = register(frames, guess[None], [MASK], found=found, search_px=4)
    [far] = register(frames, guess[None], [MASK], found=found, search_px=14)
    assert np.abs(_off(far, truth)[4]).max() < 0.06
    assert near.status[4] != "measured" or np.abs(_off(near, truth)[4]).max() > 0.5


def test_a_particle_that_the_field_cuts():
    """Up to half of it out of the field: what the rim cuts off pulls by less than a tenth of a pixel."""
    rng = np.random.default_rng(12)
    n = 40
    places = np.stack([np.linspace(45, 9, n), np.full(n, 50.3)], 1)
    truth = centres(LUMP, places)
    found = _register(series(LUMP, FIELD, places, noise=0.003, rng=rng), truth)
    inside = places[:, 0] > 32
    error = found.centre_px - truth
    error -= error[inside].mean(0)
    assert np.abs(error[inside]).max() < 0.03
    assert set(found.status) <= {"measured", "refused"}
    assert (found.status[inside] == "measured").all()
    good = found.status == "measured"
    assert good[places[:, 0] > 22].all()
    assert all(found.reason[~good])
    assert np.abs(error).max() < 0.1
    assert (np.abs(error) < 3 * found.sigma_px).all()
    assert found.sigma_px[-1].max() > 1.3 * found.sigma_px[0].max()
    gone = np.stack([np.linspace(45, -30, n), np.full(n, 50.3)], 1)
    truth = centres(LUMP, gone)
    found = _register(series(LUMP, FIELD, gone, noise=0.003, rng=rng), truth)
    assert (found.status[gone[:, 0] < -5] == "predicted").all()
    assert np.isnan(found.centre_px[-1]).all()


def test_a_stack_in_which_nothing_is_seen():
    frames = np.full((6, *FIELD), np.nan, np.float32)
    found = _register(frames, np.full((6, 2), 40.0))
    assert set(found.status) == {"predicted"}
    assert np.isnan(found.centre_px).all()
    noise = np.random.default_rng(13).normal(0, 1, (40, *FIELD)).astype(np.float32)
    found = _register(noise, np.full((40, 2), 42.0))
    assert (found.status == "refused").mean() > 0.75
    assert np.median(found.sigma_px) > 1


# --- options -----------------------------------------------------------------------------------------------------


def test_what_may_not_move_does_not():
    rng = np.random.default_rng(14)
    pose = _motion(rng)
    frames = series(LUMP, FIELD, *pose, noise=0.01, rng=rng)
    truth = centres(LUMP, *pose)
    stiff = _register(frames, truth, rotation=False, breathing=False)
    assert np.ptp(stiff.angle_deg) < 1e-6
    assert np.ptp(stiff.breathing) < 1e-6
    turning = _register(frames, truth, breathing=False)
    assert np.ptp(turning.breathing) < 1e-6
    assert np.std(turning.angle_deg - pose[1]) < 0.3
    assert np.std(stiff.angle_deg - pose[1]) > 1.5


def test_rotation_of_a_disc_is_not_told():
    """A round, smooth body has no angle: none is made up, and its error says so."""
    rng = np.random.default_rng(15)
    disc = Lump(amount=(), phase=(), texture=0.0)
    pose = _motion(rng, turn=5.0)
    truth = centres(disc, *pose)
    mask = drawn(disc, (51, 51), (25, 25)) > 0.5
    frames = series(disc, FIELD, *pose, noise=0.03, rng=rng)
    [found] = register(frames, np.rint(truth)[None], [mask])
    assert np.abs(_off(found, truth)).max() < 0.12
    lumpy = _register(series(LUMP, FIELD, *pose, noise=0.03, rng=rng), centres(LUMP, *pose))
    assert np.median(found.sigma_angle_deg) > 2 * np.median(lumpy.sigma_angle_deg)
    assert np.abs(found.angle_deg).max() < 15


def test_masks_are_taken_as_they_are():
    rng = np.random.default_rng(16)
    n = 120
    places = np.stack([np.linspace(36, 47, n), np.linspace(60, 50, n)], 1)
    frames = series(LUMP, FIELD, places, noise=0.02, rng=rng)
    truth = centres(LUMP, places)
    guess = truth + rng.normal(0, (0.3, 0.6), (n, 2))
    seen = np.ones((1, n), bool)
    seen[0, 50] = False
    [found] = register(frames, guess[None], [MASK], found=seen, method="mask")
    kept = seen[0]
    np.testing.assert_allclose(found.centre_px[kept], guess[kept])
    assert list(np.flatnonzero(found.status == "predicted")) == [50]
    assert np.isnan(found.centre_px[50]).all()
    assert found.sigma_px[0] == pytest.approx((0.3, 0.6), rel=0.3)
    assert not found.angle_deg.any()
    assert not found.breathing.any()
    template = _register(frames, truth)
    assert np.abs(_off(template, truth)).std() < 0.1 * np.abs(guess - truth).std()


def test_shapes_that_do_not_fit_are_said():
    frames = np.zeros((5, *FIELD), np.float32)
    with pytest.raises(InputError, match="positions must be"):
        register(frames, np.zeros((1, 4, 2)), [MASK])
    with pytest.raises(InputError, match="1 masks"):
        register(frames, np.zeros((2, 5, 2)), [MASK])
    with pytest.raises(InputError, match="empty outline"):
        register(frames, np.zeros((1, 5, 2)), [np.zeros((9, 9), bool)])
    assert register(frames, np.zeros((0, 5, 2)), []) == []


# --- parts -------------------------------------------------------------------------------------------------------


def test_in_pose_undoes_a_motion_exactly_once():
    rng = np.random.default_rng(17)
    shape = (71, 63)
    centre = np.array([35.0, 31.0])
    motion = np.array([[0.3, -0.4, 0.05, 0.02], [-1.2, 0.7, -0.1, -0.03], [0, 0, 0, 0]])
    windows = series(LUMP, shape, centre + motion[:, :2], np.rad2deg(motion[:, 2]), motion[:, 3], level=0.0)
    out = in_pose(windows, motion, centre, shape)
    true = 0.3 * drawn(LUMP, shape, centre)
    inner = np.s_[6:-6, 6:-6]
    for picture in out:
        assert np.abs(picture - true)[inner].max() < 0.004
    np.testing.assert_allclose(out[2][inner], windows[2][inner], atol=1e-5)
    holed = windows.copy()
    holed[0, 20:23, 40:43] = np.nan
    gap = in_pose(holed, motion, centre, shape)
    # the missing pixel at offset (21, 41) from the motion's centre goes where the transform says
    p = np.array([21.0, 41.0]) - centre - motion[0, :2]
    c, s = np.cos(motion[0, 2]), np.sin(motion[0, 2])
    u = np.array([c * p[0] + s * p[1], -s * p[0] + c * p[1]]) / (1 + motion[0, 3]) + centre
    assert np.isnan(gap[0][tuple(np.rint(u).astype(int))])
    missing = np.isnan(gap[0][inner])
    assert 9 <= missing.sum() <= 64
    assert np.argwhere(missing).mean(0) + 6 == pytest.approx(u, abs=0.6)
    assert not np.isnan(gap[1:, 6:-6, 6:-6]).any()
    assert rng is not None


def test_the_outline_runs_where_the_picture_is_steepest():
    soft = Lump(edge=1.5, texture=0.15)
    picture = drawn(soft, (71, 81), (34.3, 40.8))
    y, x = np.mgrid[:71, :81]
    rough = np.hypot(y - 36, x - 40) < 18
    inside = outline(picture, rough)
    area = (drawn(Lump(edge=1.5, texture=0.0), (71, 81), (34.3, 40.8)) > 0.5).sum()
    assert inside.sum() == pytest.approx(area, rel=0.02)
    assert np.argwhere(inside).mean(0) == pytest.approx(soft.middle() + np.array([34.3, 40.8]), abs=0.15)
    np.testing.assert_array_equal(outline(np.zeros((71, 81)), rough), rough)  # a picture of nothing: what was known


# --- a virtual scan ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("difficulty", "limit"), [("easy", 0.08), ("typical", 0.35)])
def test_a_virtual_scan(difficulty, limit):
    made = specimens.scan(
        specimens.Scan.of(
            difficulty, shape=(170, 230), n_particles=4, diameter_px=(36, 50), n_energies=30, flat_share=0.0
        ),
        rng=3,
    )
    frames = made.optical_density()[0]
    table = made.truth.sort_values(["particle", "frame"])
    truth = table[["y_px", "x_px"]].to_numpy().reshape(4, 30, 2)
    masks = [m[np.ix_(m.any(1), m.any(0))] for m in (made.mask(k + 1, 0, 0) for k in range(4))]
    found = register(frames, np.rint(truth), masks)
    off = np.array([_off(f, t) for f, t in zip(found, truth, strict=True)])
    good = np.array([f.status == "measured" for f in found])
    assert good.mean() > 0.9
    assert np.sqrt((off[good] ** 2).mean()) < limit
    if difficulty == "easy":
        angle = np.array([f.angle_deg for f in found]) - table["angle_deg"].to_numpy().reshape(4, 30)
        assert np.std(angle - angle.mean(1, keepdims=True)) < 0.6
