"""Motion and deformation against exact truths, and their standard errors against repeats."""

import numpy as np
import pytest

from morpholith import track
from morpholith.errors import InputError
from morpholith.track.deformation import polar
from morpholith.track.motion import unbiased_length

ENERGIES = np.linspace(8300.0, 8400.0, 11)


def _table(place, **options):
    return track.motion_table(place, energies_ev=ENERGIES, **options)


def test_a_parabola_has_its_velocity_and_acceleration_in_every_frame():
    t = np.arange(22.0)
    place = np.stack([5 + 0.3 * t - 0.02 * t**2, 40 - 0.7 * t + 0.01 * t**2], axis=-1)[None]
    for window in (3, 5, 7):
        rows = _table(place, sigma_px=np.full((1, 22), 0.1), window=window)
        # at the ends of a scan a window of three holds two frames: a line and no parabola
        inner = ~rows["frame"].isin([0, 10, 11, 21] if window == 3 else [])
        np.testing.assert_allclose(rows["vy_px"][inner], (0.3 - 0.04 * t)[inner], atol=1e-9)
        np.testing.assert_allclose(rows["vx_px"][inner], (-0.7 + 0.02 * t)[inner], atol=1e-9)
        np.testing.assert_allclose(rows["ay_px"][inner], -0.04, atol=1e-9)
        np.testing.assert_allclose(rows["ax_px"][inner], 0.02, atol=1e-9)
    np.testing.assert_allclose(rows["dy_px"], 0.3 * t - 0.02 * t**2, atol=1e-12)
    assert rows["scan"].tolist() == [0] * 11 + [1] * 11
    assert rows["energy_ev"].tolist() == [*ENERGIES, *ENERGIES]


def test_window_3_is_central_differences_and_its_errors():
    place = np.random.default_rng(0).normal(0, 1, (3, 11, 2))
    sigma = np.random.default_rng(1).uniform(0.1, 0.3, (3, 11))
    rows = _table(place, sigma_px=sigma)
    v, a = (rows[[f"{k}y_px", f"{k}x_px"]].to_numpy().reshape(3, 11, 2) for k in "va")
    np.testing.assert_allclose(v[:, 1:-1], (place[:, 2:] - place[:, :-2]) / 2)
    np.testing.assert_allclose(a[:, 1:-1], place[:, 2:] - 2 * place[:, 1:-1] + place[:, :-2])
    sigma_v = rows["sigma_v_px"].to_numpy().reshape(3, 11)
    np.testing.assert_allclose(sigma_v[:, 1:-1], np.hypot(sigma[:, 2:], sigma[:, :-2]) / 2)
    sigma_a = rows["sigma_a_px"].to_numpy().reshape(3, 11)[:, 1:-1]
    np.testing.assert_allclose(sigma_a**2, sigma[:, 2:] ** 2 + 4 * sigma[:, 1:-1] ** 2 + sigma[:, :-2] ** 2)
    np.testing.assert_allclose(v[:, 0], place[:, 1] - place[:, 0])  # one neighbour: a line
    assert np.isnan(a[:, [0, -1]]).all()


def test_scans_are_not_differentiated_across_unless_asked():
    place = np.zeros((1, 22, 2))
    place[:, 11:] += [100.0, -50.0]
    apart = _table(place)
    assert (apart[["vy_px", "vx_px"]].abs().max() < 1e-9).all()
    joined = _table(place, across_scans=True)
    assert joined["vy_px"].iloc[[10, 11]].tolist() == [50.0, 50.0]
    assert joined["vx_px"].iloc[[10, 11]].tolist() == [-25.0, -25.0]


def test_gaps_are_bridged_and_said():
    t = np.arange(11.0)
    place = np.stack([2 * t, -t], axis=-1)[None].repeat(2, axis=0)
    status = np.full((2, 11), "measured", dtype=object)
    status[0, 4:7] = "predicted"
    status[1, :2] = "refused"
    place[0, 4:7] += 9.0  # what was not measured must not count
    place[1, 7] = np.nan
    rows = _table(place, status=status, window=5, sigma_px=0.2)
    assert np.flatnonzero(rows["vy_px"].isna()).tolist() == [11]  # one measurement within two frames
    np.testing.assert_allclose(rows["vy_px"].dropna(), 2.0, atol=1e-9)
    np.testing.assert_allclose(rows["vx_px"].dropna(), -1.0, atol=1e-9)
    first = rows[rows["particle"] == 1].set_index("frame")
    assert first["sigma_v_px"][5] < first["sigma_v_px"][4]  # ends of the gap on both sides against one
    assert first["sigma_v_px"][5] > 0
    second = rows[rows["particle"] == 2].set_index("frame")
    assert second["dy_px"][2] == 0.0  # displacement counts from the first measured frame
    assert second["dy_px"][10] == 16.0
    assert np.isnan(second["dy_px"][7])
    assert rows["status"].tolist() == status.ravel().tolist()
    alone = np.full((1, 11, 2), np.nan)
    alone[0, 3] = 1.0
    none = _table(alone)
    assert none[["vy_px", "ay_px"]].isna().all(axis=None)
    assert none["status"].value_counts().to_dict() == {"predicted": 10, "measured": 1}


def test_errors_of_velocity_and_acceleration_cover():
    rng = np.random.default_rng(2)
    sigma = rng.uniform(0.05, 0.3, (400, 11))
    place = rng.normal(0, 1, (400, 11, 2)) * sigma[..., None]
    status = np.where(rng.random((400, 11)) < 0.2, "predicted", "measured")
    rows = _table(place, sigma_px=sigma, status=status, window=5)
    for kind in "va":
        z = (rows[f"{kind}y_px"] / rows[f"sigma_{kind}_px"]).dropna()
        assert len(z) > 3500
        assert 0.66 < (z.abs() < 1).mean() < 0.71
    assert _table(place)[["sigma_px", "sigma_v_px", "sigma_a_px"]].isna().all(axis=None)


def test_the_columns_are_those_of_the_contract():
    rows = _table(np.zeros((2, 11, 2)), angle_deg=np.ones((2, 11)), particles=[4, 9])
    contract = "particle scan frame energy_ev y_px x_px dy_px dx_px vy_px vx_px ay_px ax_px sigma_px".split()
    assert list(rows.columns) == [*contract, "sigma_v_px", "sigma_a_px", "angle_deg", "breathing", "status"]
    assert rows["particle"].unique().tolist() == [4, 9]
    assert (rows["angle_deg"] == 1).all()
    assert rows["breathing"].isna().all()
    assert len(_table(np.zeros((0, 11, 2)))) == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"window": 4}, "odd"),
        ({"window": 1}, "odd"),
        ({"sigma_px": np.ones((3, 3))}, "sigma_px"),
        ({"status": np.full((2, 11), "guessed")}, "guessed"),
        ({"status": np.full((1, 11), "measured")}, "status"),
    ],
)
def test_motion_of_what_does_not_fit_is_refused(options, words):
    with pytest.raises(InputError, match=words):
        _table(np.zeros((2, 11, 2)), **options)
    with pytest.raises(InputError, match="whole number of scans"):
        track.motion_table(np.zeros((2, 12, 2)), energies_ev=ENERGIES)
    with pytest.raises(InputError, match="particle, frame, 2"):
        _table(np.zeros((11, 2)))


# --- length of the path ---------------------------------------------------------------------------------------


def test_lengths_lose_what_noise_adds():
    rng = np.random.default_rng(3)
    for true in (0.0, 0.3, 1.0, 2.0, 4.0, 20.0):
        noisy = np.linalg.norm(np.array([true, 0]) + rng.normal(0, 0.5, (200_000, 2)), axis=1)
        bias = unbiased_length(noisy, np.full(noisy.shape, 0.5)).mean() - true
        assert abs(bias) < (0.16 if true == 0 else 0.06)
        assert abs(bias) < max(0.25 * (noisy.mean() - true), 0.06)
    assert unbiased_length(np.array([3.0]), np.array([0.0]))[0] == 3.0


def test_the_path_of_a_particle_at_rest_does_not_grow_with_the_noise():
    rng = np.random.default_rng(4)
    place = rng.normal(0, 0.2, (60, 143, 2)) + np.array([100.0, 50.0])
    place[30:] += np.cumsum(np.broadcast_to([0.5, -1.2], (30, 143, 2)), axis=1)  # 1.3 px a frame
    rows = track.motion_table(place, energies_ev=np.arange(143.0) + 8200, sigma_px=np.full((60, 143), 0.2))
    path = track.path_table(rows)
    end = path[path["frame"] == 142].set_index("particle")
    rest, moving = end.loc[:30], end.loc[31:]
    assert rest["path_raw_px"].mean() == pytest.approx(142 * 0.2 * np.sqrt(np.pi), rel=0.03)
    assert abs(rest["path_px"].mean()) < 0.25 * rest["path_raw_px"].mean()
    assert moving["path_px"].mean() == pytest.approx(142 * 1.3, rel=0.01)
    assert moving["path_raw_px"].mean() > 142 * 1.3 * 1.012
    z = (moving["path_px"] - moving["path_px"].mean()) / moving["sigma_px"]
    assert (z.abs() < 2).all()


def test_paths_go_over_gaps_and_beyond_the_field():
    t = np.arange(11.0)
    stage = np.stack([3 * (-1) ** t, 4 * (-1) ** t], axis=-1)
    place = np.array([[50.0, 60], [80.0, 300], [200.0, 90], [220.0, 280]])[:, None] + stage
    place[0, :, 1] += 2 * t
    status = np.full((4, 11), "measured", dtype=object)
    status[1, 0], status[2, 5], status[3, 5] = "refused", "predicted", "refused"
    rows = _table(place, status=status)
    found = track.decompose(place, energies_ev=ENERGIES)
    path = track.path_table(rows, found.frames).set_index(["particle", "frame"])
    raw = path["path_raw_px"]
    assert raw[2, 10] == pytest.approx(90.0)
    assert np.isnan(raw[2, 0])
    assert raw[3, 10] == pytest.approx(100.0)
    assert raw[4, 10] == pytest.approx(80.0)  # from frame 4 to 6 the stage came back to where it was
    assert path[["path_px", "sigma_px"]].isna().all(axis=None)  # without a sigma nobody knows the noise
    assert path["path_beyond_raw_px"][1, 10] > 10
    assert path["path_beyond_raw_px"][3, 10] < 12


# --- deformation ----------------------------------------------------------------------------------------------


def _field(rng, n=9):
    return rng.uniform([20, 20], [300, 620], (n, 2))


def _moved(base, centre, shift, strain, degrees):
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    stretch = np.eye(2) + np.array([[strain[0], strain[2]], [strain[2], strain[1]]])
    return centre + shift + (base - centre) @ (turn @ stretch).T


def test_shift_strain_and_rotation_are_exact_without_noise():
    rng = np.random.default_rng(5)
    base = _field(rng)
    centre = base.mean(axis=0)
    truth = [((0.0, 0.0), (0.0, 0.0, 0.0), 0.0), ((14.0, -3.0), (0.02, -0.01, 0.005), 7.0)]
    place = np.stack([_moved(base, centre, *t) for t in truth], axis=1)
    found = track.decompose(place, energies_ev=[8300.0, 8350.0])
    row = found.frames.iloc[1]
    assert row[["shift_y_px", "shift_x_px"]].tolist() == pytest.approx([14.0, -3.0])
    assert row[["strain_yy", "strain_xx", "strain_xy"]].tolist() == pytest.approx([0.02, -0.01, 0.005])
    assert row["rotation_deg"] == pytest.approx(7.0)
    assert (row["energy_ev"], row["n"], row["model"]) == (8350.0, 9, "affine")
    assert row["residual_rms_px"] < 1e-9
    np.testing.assert_allclose(found.centre, centre)
    np.testing.assert_allclose(found.reference, base)


def test_rotation_turns_y_towards_x():
    # +y goes to (cos, sin): a gradient whose x component grows with y
    angle = np.radians(2.0)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    np.testing.assert_allclose(polar(turn - np.eye(2)), [0, 0, 0, 2.0], atol=1e-12)
    assert (turn @ [1.0, 0.0])[1] > 0


def test_standard_errors_of_the_field_cover():
    rng = np.random.default_rng(6)
    base = _field(rng)
    centre = base.mean(axis=0)
    names = ["shift_y_px", "shift_x_px", "strain_yy", "strain_xx", "strain_xy", "rotation_deg"]
    n_frames = 400
    truth = np.column_stack(
        [rng.uniform(-15, 15, (n_frames, 2)), rng.normal(0, 0.01, (n_frames, 3)), rng.normal(0, 2, n_frames)]
    )
    place = np.stack([_moved(base, centre, t[:2], t[2:5], t[5]) for t in truth], axis=1)
    sigma = rng.uniform(0.05, 0.3, (9, n_frames))
    noisy = place + rng.normal(0, 1, place.shape) * sigma[..., None]
    for given in (sigma, None):
        error = sigma if given is not None else 0.2
        seen = noisy if given is not None else place + rng.normal(0, error, place.shape)
        found = track.decompose(seen, sigma_px=given, reference=base)
        z = (found.frames[names].to_numpy() - truth) / found.frames[[f"{k}_se" for k in names]].to_numpy()
        share = (np.abs(z) < 1).mean(axis=0)
        assert (share > 0.62).all()
        assert (share < 0.76).all()


def test_an_error_of_the_reference_is_in_the_errors():
    rng = np.random.default_rng(7)
    base = _field(rng)
    z = []
    for _ in range(150):
        place = np.repeat(base[:, None], 3, axis=1) + rng.normal(0, 0.2, (9, 3, 2))
        found = track.decompose(place, sigma_px=np.full((9, 3), 0.2))
        row = found.frames.iloc[2]
        z.append([row[k] / row[f"{k}_se"] for k in ("shift_x_px", "strain_xx", "rotation_deg")])
    share = (np.abs(z) < 1).mean(axis=0)
    assert (share > 0.6).all()
    assert (share < 0.82).all()
    # of a residual: the noise of both frames, less what three parameters an axis take of nine particles
    rms = np.sqrt((found.particles.query("frame == 2")["sigma_px"] ** 2).mean())
    assert rms == pytest.approx(0.2 * np.sqrt(2) * np.sqrt(1 - 3 / 9))


def test_one_particle_that_goes_its_own_way_does_not_drag_the_field():
    rng = np.random.default_rng(8)
    base = _field(rng)
    place = np.repeat(base[:, None], 2, axis=1)
    place[:, 1] += np.array([5.0, -7.0]) + rng.normal(0, 0.05, (9, 2))
    place[3, 1] += [6.0, 3.0]
    found = track.decompose(place, sigma_px=np.full((9, 2), 0.05), reference=base)
    row = found.frames.iloc[1]
    assert abs(row["shift_y_px"] - 5) < 0.2
    assert abs(row["shift_x_px"] + 7) < 0.2
    alone = found.particles[(found.particles["frame"] == 1) & (found.particles["particle"] == 4)].iloc[0]
    assert alone["weight"] < 0.2
    assert alone["loo_y_px"] == pytest.approx(6.0, abs=0.6)
    assert alone["loo_x_px"] == pytest.approx(3.0, abs=0.6)


def test_leave_one_out_residuals_are_those_of_the_fit_without_the_particle():
    rng = np.random.default_rng(9)
    base = np.array([[20, 30], [60, 500], [280, 90], [230, 410.0]])  # of fewer than five nobody is called an outlier
    place = np.repeat(base[:, None], 2, axis=1)
    place[:, 1] += rng.normal(0, 0.5, (4, 2))
    found = track.decompose(place, sigma_px=np.full((4, 2), 0.5), reference=base).particles
    for i in range(4):
        others = np.arange(4) != i
        design = np.column_stack([np.ones(3), base[others]])
        predicted = np.r_[1, base[i]] @ np.linalg.solve(design, place[others, 1])
        row = found[(found["frame"] == 1) & (found["particle"] == i + 1)].iloc[0]
        assert [row["loo_y_px"], row["loo_x_px"]] == pytest.approx((place[i, 1] - predicted).tolist())


def test_a_smooth_field_is_told_from_single_motion():
    y, x = np.mgrid[40:400:6j, 40:640:9j]
    base = np.column_stack([y.ravel(), x.ravel()])
    bend = np.column_stack([2.0 * np.sin(base[:, 1] / 110), np.zeros(len(base))])
    place = np.stack([base, base + bend], axis=1)
    place[20, 1, 1] += 4.0
    rng = np.random.default_rng(10)
    place[:, 1] += rng.normal(0, 0.05, base.shape)
    rows = track.decompose(place, sigma_px=np.full(place.shape[:2], 0.05), reference=base).particles
    rows = rows[rows["frame"] == 1].set_index("particle")
    ordinary = rows.drop(index=21)
    assert np.corrcoef(ordinary["smooth_y_px"], ordinary["residual_y_px"])[0, 1] > 0.8
    assert ordinary["own_y_px"].std() < 0.75 * ordinary["residual_y_px"].std()
    assert rows.loc[21, "own_x_px"] == pytest.approx(4.0, abs=0.5)


def test_what_neighbours_do_is_never_read_from_the_particle_itself():
    base = np.array([[20, 30], [60, 500], [280, 90], [230, 410.0]])
    place = np.repeat(base[:, None], 2, axis=1)
    place[:, 1] += np.random.default_rng(12).normal(0, 0.5, (4, 2))
    found = track.decompose(place, sigma_px=np.full((4, 2), 0.5), reference=base, neighbourhood_px=300.0).particles
    found = found[found["frame"] == 1]
    near = np.exp(-0.5 * ((base[1] - base) ** 2).sum(axis=1) / 300.0**2)
    near[1] = 0.0
    expected = near @ found["residual_y_px"].to_numpy() / (near.sum() + 1)  # and one more that did not move
    assert found["smooth_y_px"].iloc[1] == pytest.approx(expected)
    np.testing.assert_allclose(found["own_y_px"], found["residual_y_px"] - found["smooth_y_px"])


def test_two_particles_tell_the_rotation():
    base = np.array([[20, 30], [60, 500.0]])
    place = np.stack([base, _moved(base, base.mean(axis=0), (3.0, -2.0), (0, 0, 0), 1.5)], axis=1)
    row = track.decompose(place, sigma_px=np.full((2, 2), 0.1), reference=base).frames.iloc[1]
    assert row["rotation_deg"] == pytest.approx(1.5)
    assert row["rotation_deg_se"] == pytest.approx(np.degrees(0.1 * np.sqrt(2) / np.hypot(40, 470)), rel=0.01)


@pytest.mark.parametrize(
    ("base", "model"),
    [
        ([[10, 10], [200, 400], [90, 30.0]], "affine"),
        ([[10, 10], [20, 100], [30, 190.0], [40, 280]], "rigid"),  # on one line
        ([[10, 10], [200, 400.0]], "rigid"),
        ([[10, 10.0]], "shift"),
    ],
)
def test_what_the_particles_do_not_determine_is_not_given(base, model):
    base = np.array(base, float)
    centre = base.mean(axis=0)
    place = np.stack([base, _moved(base, centre, (3.0, -2.0), (0, 0, 0), 0.0)], axis=1)
    row = track.decompose(place, sigma_px=np.full(place.shape[:2], 0.1), reference=base).frames.iloc[1]
    assert row["model"] == model
    assert row[["shift_y_px", "shift_x_px"]].tolist() == pytest.approx([3.0, -2.0])
    assert np.isfinite(row["shift_y_px_se"])
    assert np.isnan(row["strain_xx"]) == (model != "affine")
    assert np.isnan(row["strain_xy_se"]) == (model != "affine")
    assert np.isnan(row["rotation_deg"]) == (model == "shift")


def test_frames_without_particles_and_particles_that_come_later():
    rng = np.random.default_rng(11)
    base = _field(rng, 6)
    place = np.repeat(base[:, None], 8, axis=1) + rng.uniform(-9, 9, (1, 8, 2))
    truth = place[0] - place[0, 1]
    place[:, 3] = np.nan
    place[5, :4] = np.nan  # enters the field
    place[:4, 0] = np.nan  # two only: no frame to refer to
    found = track.decompose(place)
    assert found.frames["n"].tolist() == [1, 5, 5, 0, 6, 6, 6, 6]
    assert found.frames["model"].tolist() == ["shift", "affine", "affine", "none", *["affine"] * 4]
    assert len(found.particles) == 48
    assert found.frames.iloc[3][["shift_y_px", "strain_yy", "residual_rms_px"]].isna().all()
    for k in (1, 2, 4, 7):
        got = found.frames.iloc[k][["shift_y_px", "shift_x_px"]].to_numpy(float)
        np.testing.assert_allclose(
            got - found.frames.iloc[1][["shift_y_px", "shift_x_px"]].to_numpy(float), truth[k] - truth[1], atol=1e-6
        )
    assert found.frames["residual_rms_px"].max() < 1e-6
    nothing = track.decompose(np.full((3, 4, 2), np.nan))
    assert set(nothing.frames["model"]) == {"none"}
    assert len(track.decompose(np.zeros((0, 4, 2))).frames) == 4
    with pytest.raises(InputError, match="particle, frame, 2"):
        track.decompose(np.zeros((3, 2)))
    with pytest.raises(InputError, match="reference"):
        track.decompose(place, reference=np.zeros((2, 2)))


def test_smoothed_positions_lose_no_noise_twice():
    """Positions without noise left in them: their path is that of the positions, its error that of the moves."""
    place = np.array([[[3.0 * f, 4.0 * f] for f in range(6)]])
    rows = track.motion_table(place, energies_ev=np.arange(6.0), sigma_px=np.full((1, 6), 0.5))
    path = track.path_table(rows, smoothed=True)
    np.testing.assert_allclose(path["path_px"], 5.0 * np.arange(6))
    np.testing.assert_allclose(path["sigma_px"], 0.5 * np.sqrt(2 * np.arange(6)))
    assert (track.path_table(rows.assign(sigma_px=3.0))["path_px"].iloc[-1]) < 24
    assert track.path_table(rows.assign(sigma_px=3.0), smoothed=True)["path_px"].iloc[-1] == pytest.approx(25)
