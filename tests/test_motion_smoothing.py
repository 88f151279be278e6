"""The Kalman smoother of many particles against walks whose steps and errors are exact."""

import numpy as np
import pytest

from morpholith.track.smoothing import smooth_motion

N, F = 6, 150


def _walks(rng, *, stage=2.0, own=0.1, error=0.3, n=N, n_frames=F, jitter=0.0):
    """True positions (P, F, 2), measured ones, and their standard errors; along x everything is half as large."""
    scale = np.array([1.0, 0.5])
    place = rng.uniform(0, 400, (n, 1, 2))
    together = rng.normal(0, stage, (1, n_frames, 2)).cumsum(1) * scale
    alone = rng.normal(0, 1, (n, n_frames, 2)).cumsum(1) * scale * np.reshape(own, (-1, 1, 1))
    true = place + together + alone + rng.normal(0, 1, (n, n_frames, 2)) * jitter * scale
    sigma = rng.uniform(0.7, 1.4, (n, n_frames, 1)) * error * scale
    return true, true + rng.normal(0, 1, true.shape) * sigma, sigma


def _rms(error):
    return np.sqrt(np.mean(np.square(error)))


def test_positions_get_better_and_their_errors_tell_by_how_much():
    rng = np.random.default_rng(1)
    true, seen, sigma = _walks(rng)
    out = smooth_motion(seen, sigma)
    assert out.centre_px.shape == out.sigma_px.shape == true.shape
    for axis in (0, 1):
        raw, better = _rms((seen - true)[..., axis]), _rms((out.centre_px - true)[..., axis])
        assert better < 0.65 * raw
        z = ((out.centre_px - true) / out.sigma_px)[..., axis]
        assert 0.85 < _rms(z) < 1.2
        assert 0.6 < (np.abs(z) < 1).mean() < 0.78
    assert (out.sigma_px < sigma).all()
    assert out.inflation == pytest.approx(1, abs=0.08)
    assert not out.outlier.any()


def test_steps_are_learnt_for_each_particle_and_axis():
    rng = np.random.default_rng(2)
    own = np.array([0.05, 0.1, 0.2, 0.4, 0.8, 1.6])
    true, seen, sigma = _walks(rng, own=own, error=0.15, n_frames=400)
    out = smooth_motion(seen, sigma)
    np.testing.assert_allclose(out.step_px[2:, 0], own[2:], rtol=0.25)
    np.testing.assert_allclose(out.step_px[2:, 1], own[2:] / 2, rtol=0.25)
    assert (out.step_px[:2, 0] < 0.16).all()
    assert _rms(out.centre_px - true) < _rms(seen - true)


def test_a_stage_that_jumps_is_not_smoothed():
    """Jumps of ten pixels from frame to frame, common to all: no lag."""
    rng = np.random.default_rng(3)
    true, seen, sigma = _walks(rng, stage=10.0, own=0.02, error=0.2)
    out = smooth_motion(seen, sigma)
    error = out.centre_px - true
    assert _rms(error) < 0.7 * _rms(seen - true)
    step = np.diff(true, axis=1)
    lag = (np.diff(error, axis=1) * step).sum() / (step**2).sum()
    assert abs(lag) < 0.005


def test_a_particle_that_moves_by_itself_is_not_smoothed_away():
    """One particle is white noise about its place, ten times its error: its frames must keep it."""
    rng = np.random.default_rng(4)
    true, seen, sigma = _walks(rng, own=0.02, error=0.1)
    true[2] += (shake := rng.normal(0, 1, (F, 2)))
    seen[2] += shake
    out = smooth_motion(seen, sigma)
    own = out.centre_px[2] - out.centre_px[[0, 1, 3, 4, 5]].mean(0)
    wanted = true[2] - true[[0, 1, 3, 4, 5]].mean(0)
    for axis in (0, 1):
        assert np.std(own[:, axis]) == pytest.approx(np.std(wanted[:, axis]), rel=0.1)
    kept = ~out.outlier[2]
    assert kept.mean() > 0.9
    assert _rms((out.centre_px[2] - true[2])[kept]) < 0.2
    others = [0, 1, 3, 4, 5]
    assert _rms((out.centre_px - true)[others]) < 0.8 * _rms((seen - true)[others])  # nor does it spoil the others


def test_white_jitter_of_every_particle_is_kept():
    rng = np.random.default_rng(5)
    true, seen, sigma = _walks(rng, own=0.0, jitter=0.8, error=0.1)
    out = smooth_motion(seen, sigma)
    assert _rms(out.centre_px - true) < 0.2
    relative = true - true.mean(0)
    found = out.centre_px - out.centre_px.mean(0)
    share = (np.diff(found, axis=1) * np.diff(relative, axis=1)).sum() / (np.diff(relative, axis=1) ** 2).sum()
    assert share > 0.9


def test_a_wrong_measurement_is_left_out_and_said():
    rng = np.random.default_rng(6)
    true, seen, sigma = _walks(rng, own=0.05)
    wrong = [(0, 10), (3, 80), (5, 149), (1, 0)]
    moved = np.array([[6, 0], [0, -5], [4, 4], [-20, 3.0]])
    for (p, f), away in zip(wrong, moved, strict=True):
        seen[p, f] += away
    out = smooth_motion(seen, sigma)
    assert sorted(map(tuple, np.argwhere(out.outlier).tolist())) == sorted(wrong)
    for (p, f), away in zip(wrong, moved, strict=True):
        assert np.abs(out.centre_px[p, f] - true[p, f]).max() < 0.7
        assert (out.sigma_px[p, f] > np.median(out.sigma_px[p], axis=0))[away != 0].all()
    assert (out.step_px < 0.2).all()  # nor does it pass for steps
    assert out.inflation < 1.3


def test_a_true_jump_of_one_particle_stays():
    """A particle slips by five pixels once and stays there: that is motion, whatever one frame alone may look like."""
    rng = np.random.default_rng(7)
    true, seen, sigma = _walks(rng, own=0.05, error=0.2)
    true[1, 70:, 0] += 5
    seen[1, 70:, 0] += 5
    out = smooth_motion(seen, sigma)
    far = np.r_[0:60, 80:F]
    assert _rms((out.centre_px[1] - true[1])[far]) < 0.25
    assert np.abs((out.centre_px[1] - true[1])[far]).max() < 0.9
    assert _rms((out.centre_px - true)[[0, 2, 3, 4, 5]]) < 0.2
    assert out.step_px[1, 0] > 2 * np.median(out.step_px[[0, 2, 3, 4, 5], 0])


def test_gaps_are_filled_with_errors_that_grow_into_them():
    rng = np.random.default_rng(8)
    own = 0.3
    true, seen, sigma = _walks(rng, own=own, error=0.2)
    seen[2, 60:90] = np.nan
    sigma[4, :20] = np.nan
    seen[0, 120:, 1] = np.nan  # one axis missing: not seen
    out = smooth_motion(seen, sigma)
    assert np.isfinite(out.centre_px).all()
    s = out.sigma_px
    assert (s[2, 74] > 2 * s[2, 50]).all()
    assert (s[2, 74] > s[2, 61]).all()
    assert (s[4, 0] > s[4, 15]).all()
    assert (s[0, F - 1] > 2 * s[0, 100]).all()
    for p, gap in ((2, np.s_[60:90]), (4, np.s_[:20]), (0, np.s_[120:])):
        z = (out.centre_px[p, gap] - true[p, gap]) / s[p, gap]
        assert np.abs(z).max() < 4
        # carried by what the others did: far closer than the stage's own way
        assert _rms(out.centre_px[p, gap] - true[p, gap]) < 0.3 * np.ptp(true[p, gap], axis=0).max()


def test_a_frame_in_which_nothing_was_seen():
    rng = np.random.default_rng(9)
    true, seen, sigma = _walks(rng, stage=1.0)
    seen[:, 70] = np.nan
    out = smooth_motion(seen, sigma)
    assert (out.sigma_px[:, 70, 0] > 0.4).all()  # the stage's step is in it
    assert (np.abs(out.centre_px[:, 70] - true[:, 70]) < 4 * out.sigma_px[:, 70]).all()


def test_errors_that_were_given_too_small_are_found_out():
    rng = np.random.default_rng(10)
    true, seen, sigma = _walks(rng, own=0.02)
    out = smooth_motion(seen, sigma / 2)
    assert out.inflation > 1.3
    assert out.inflation == pytest.approx(2, rel=0.25)
    z = (out.centre_px - true) / out.sigma_px
    assert 0.75 < _rms(z) < 1.35
    assert smooth_motion(seen, 2 * sigma).inflation == pytest.approx(1, abs=0.05)


def test_the_axes_and_the_order_of_particles_say_nothing():
    rng = np.random.default_rng(11)
    _, seen, sigma = _walks(rng)
    seen[1, 30:40] = np.nan
    out = smooth_motion(seen, sigma)
    turned = smooth_motion(seen[..., ::-1], sigma[..., ::-1])
    np.testing.assert_allclose(turned.centre_px[..., ::-1], out.centre_px, atol=1e-6)
    order = rng.permutation(N)
    other = smooth_motion(seen[order], sigma[order])
    np.testing.assert_allclose(other.centre_px, out.centre_px[order], atol=2e-2)
    far = np.array([1000.0, -300.0])
    moved = smooth_motion(seen + far, sigma)
    np.testing.assert_allclose(moved.centre_px - far, out.centre_px, atol=1e-4)


def test_one_particle_alone():
    rng = np.random.default_rng(12)
    true, seen, sigma = _walks(rng, n=1, stage=0.1, own=0.1)
    out = smooth_motion(seen, sigma)
    assert _rms(out.centre_px - true) < 0.8 * _rms(seen - true)
    jumpy = _walks(rng, n=1, stage=5.0, own=0.1)
    out = smooth_motion(jumpy[1], jumpy[2])
    assert _rms(out.centre_px - jumpy[0]) < 1.1 * _rms(jumpy[1] - jumpy[0])


def test_particles_never_seen_and_nothing_at_all():
    rng = np.random.default_rng(13)
    _, seen, sigma = _walks(rng)
    without = smooth_motion(seen, sigma)
    seen = np.concatenate([seen, np.full((1, F, 2), np.nan)])
    sigma = np.concatenate([sigma, np.ones((1, F, 2))])
    out = smooth_motion(seen, sigma)
    assert np.isnan(out.centre_px[N]).all()
    assert np.isnan(out.sigma_px[N]).all()
    assert np.isnan(out.step_px[N]).all()
    np.testing.assert_allclose(out.centre_px[:N], without.centre_px)
    none = smooth_motion(np.full((2, 9, 2), np.nan), np.ones((2, 9, 2)))
    assert np.isnan(none.centre_px).all()
    assert none.inflation == 1
    assert smooth_motion(np.zeros((0, 9, 2)), np.zeros((0, 9, 2))).centre_px.shape == (0, 9, 2)
    one = smooth_motion(np.array([[[3.0, 4.0]]]), np.array([[[0.1, 0.2]]]))
    np.testing.assert_allclose(one.centre_px, [[[3, 4]]], atol=1e-6)
    np.testing.assert_allclose(one.sigma_px, [[[0.1, 0.2]]], rtol=1e-3)


def test_a_single_sighting_is_carried_by_the_others():
    rng = np.random.default_rng(14)
    true, seen, sigma = _walks(rng, own=0.05)
    seen[3] = np.where(np.arange(F)[:, None] == 75, seen[3], np.nan)
    out = smooth_motion(seen, sigma)
    z = (out.centre_px[3] - true[3]) / out.sigma_px[3]
    assert np.abs(z).max() < 4
    assert _rms(out.centre_px[3] - true[3]) < 0.2 * np.ptp(true[3], axis=0).max()


def test_moves_have_errors_of_their_own():
    """The way from one frame to the next is told better than by two positions: their errors have much in common."""
    rng = np.random.default_rng(15)
    true, seen, sigma = _walks(rng)
    seen[1, 40:60] = np.nan
    out = smooth_motion(seen, sigma)
    error = np.diff(out.centre_px - true, axis=1)
    z = error / out.move_error_px[:, 1:]
    assert 0.85 < _rms(z) < 1.2
    assert 0.6 < (np.abs(z) < 1).mean() < 0.78
    apart = np.hypot(out.sigma_px[:, 1:], out.sigma_px[:, :-1])
    assert (out.move_error_px[:, 1:] < apart).mean() > 0.99
    assert (out.move_error_px[1, 50] < 0.65 * apart[1, 49]).all()  # amid a gap, the others tell the move
    np.testing.assert_allclose(out.move_error_px[:, 0], out.move_error_px[:, 1])


def test_lesser_wrong_measurements_are_found_by_what_all_frames_say():
    """Nine standard errors off: one does not stick out from neighbouring frames, but does against all of them."""
    rng = np.random.default_rng(16)
    true, seen, sigma = _walks(rng, own=0.02)
    wrong = [(p, 20 * p + 15) for p in range(N)]
    for p, f in wrong:
        seen[p, f, 0] = true[p, f, 0] + 9 * sigma[p, f, 0]
    out = smooth_motion(seen, sigma)
    found = set(map(tuple, np.argwhere(out.outlier).tolist()))
    assert found == set(wrong)
