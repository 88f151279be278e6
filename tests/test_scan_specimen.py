"""The virtual XANES scan: places, outlines, states and counts are those it states."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage as ndi
from skimage.draw import polygon2mask

from morpholith.errors import InputError
from morpholith.specimens import Chemistry, Scan, energies, scan
from morpholith.specimens.drifting import Motion
from morpholith.specimens.monolayer import add_body, draw_body, in_own_frame
from morpholith.specimens.txm import draw_waves, exposure

SMALL = {"shape": (150, 210), "n_particles": 3, "diameter_px": (36.0, 50.0), "n_energies": 12}


def small(difficulty="typical", **changes):
    return scan(Scan.of(difficulty, **{**SMALL, **changes}), rng=changes.pop("seed", 5))


@pytest.fixture(scope="module")
def typical():
    return small()


def centre_of_mass(picture):
    return np.array(ndi.center_of_mass(picture))


def area_and_centroid(outline):
    """Of a polygon of points (y, x), by the shoelace formula."""
    y, x = outline.T
    cross = y * np.roll(x, -1) - np.roll(y, -1) * x
    area = cross.sum() / 2
    return abs(area), np.array([((a + np.roll(a, -1)) * cross).sum() / (6 * area) for a in (y, x)])


# --- particles -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flat", [False, True])
def test_outline_has_its_diameter_and_its_centroid_at_the_origin(flat):
    body = draw_body(61.0, np.random.default_rng(4), peak=0.5, flat=flat, lumpiness=2.0)
    area, centroid = area_and_centroid(body.outline())
    assert area == pytest.approx(np.pi * 30.5**2, rel=1e-4)
    assert body.diameter == pytest.approx(61.0)
    np.testing.assert_allclose(centroid, 0, atol=1e-3)
    assert np.hypot(*body.origin) > 0.05  # else the centroid would not have been tested


def test_a_round_body_is_a_sphere():
    body = replace(
        draw_body(40.0, np.random.default_rng(0), peak=2.0, lumpiness=0.0), exponent=2.0, lumps=np.zeros((0, 4))
    )
    v, u = np.mgrid[-25:26, -25:26]
    rho, thickness, _ = body.evaluate(v, u)
    np.testing.assert_allclose(rho, np.hypot(v, u) / 20, atol=1e-6)
    np.testing.assert_allclose(thickness, 2 * np.sqrt(np.maximum(1 - (v**2 + u**2) / 400, 0)), atol=1e-6)
    total, charged = np.zeros((2, 60, 80))
    add_body(total, charged, body, (27.3, 41.8, 0.3, 0.02), (0.25, 0.25, 0, 0, 0, 0))
    assert total.sum() == pytest.approx(2 * 2 / 3 * np.pi * (20 * 1.02) ** 2, rel=1e-3)
    np.testing.assert_allclose(charged, 0.25 * total)
    np.testing.assert_allclose(centre_of_mass(total), (27.3, 41.8), atol=2e-3)


def test_turn_and_breathing_follow_the_transform():
    """x_frame = c + d + (1 + s) R x_ref with R = [[cos, -sin], [sin, cos]] on (y, x)."""
    body = draw_body(50.0, np.random.default_rng(8), peak=1.0, flat=True, lumpiness=2.0)
    pose = (40.25, 61.5, np.deg2rad(30.0), 0.05)
    matrix = np.array([[np.cos(pose[2]), -np.sin(pose[2])], [np.sin(pose[2]), np.cos(pose[2])]])
    moved = pose[:2] + 1.05 * body.outline() @ matrix.T
    np.testing.assert_allclose(np.stack(in_own_frame(pose, *moved.T), 1), body.outline(), atol=1e-9)
    total, charged = np.zeros((2, 90, 120))
    add_body(total, charged, body, pose, (0, 1, 0, 0, 0.05, 0))
    inside = polygon2mask((90, 120), moved)
    assert (total[inside] > 0).all()
    assert not total[~ndi.binary_dilation(inside, iterations=2)].any()
    turned_back = polygon2mask((90, 120), pose[:2] + 1.05 * body.outline() @ matrix)
    assert (total[turned_back] == 0).sum() > 50  # else the sense of the turn would not have been tested
    # the state rises along u of the particle, that is along R (0, 1) in the frame
    y, x = np.nonzero(ndi.binary_erosion(inside, iterations=6))
    state = (charged / np.maximum(total, 1e-9))[y, x]
    state = np.log(state / (1 - state))  # of the sigmoid: a plane
    slope = np.linalg.lstsq(np.stack([y, x, np.ones_like(y)], 1), state, rcond=None)[0][:2]
    assert np.rad2deg(np.arctan2(*slope[::-1])) == pytest.approx(120, abs=0.01)


# --- motion ----------------------------------------------------------------------------------------------


def test_masks_lie_where_the_truth_says(typical):
    off = []
    for row in typical.truth[typical.truth.frame.isin([0, 4, 11])].itertuples():
        mask = typical.mask(row.particle, 0, row.frame)
        assert mask.shape == (150, 210)
        area = typical.bodies[row.particle - 1].area * (1 + row.breathing) ** 2
        assert mask.sum() == pytest.approx(area, rel=0.01)
        off.append(centre_of_mass(mask) - (row.y_px, row.x_px))
    assert np.sqrt(np.mean(np.square(off))) < 0.03
    assert np.ptp(typical.truth.x_px) > 60


def test_rendered_particles_move_by_exactly_the_stated_displacement():
    made = small(n_particles=1, debris=0, rotation_deg=0.0, breathing=0.0, patterns=("uniform",), jitter_px=2.0)
    truth = made.truth[["y_px", "x_px"]].to_numpy()
    seen = np.array([centre_of_mass(made.absorption(0, e)) for e in range(12)])
    assert np.ptp(truth, axis=0).min() > 2
    np.testing.assert_allclose(seen - seen[0], truth - truth[0], atol=3e-3)


def test_labels_are_the_masks_and_states_are_in_the_particles_frame(typical):
    labels = typical.labels(0, 7)
    assert labels.dtype == np.int32
    assert labels.shape == (150, 210)
    for i in (1, 2, 3):
        np.testing.assert_array_equal(labels == i, typical.mask(i, 0, 7))
    field = typical.state_field(0, 7)
    y, x = np.nonzero(labels == 2)
    inner = typical._rho(2, 7)[y, x] < 0.95
    v, u = in_own_frame(typical.poses(7)[1], y, x)
    np.testing.assert_allclose(field[y, x][inner], typical.state_at(2, 0, v, u)[inner], atol=1e-6)
    state = typical.states[2, 0]
    h = state.shape[0] // 2
    assert state[h, h] == pytest.approx(typical.state_at(2, 0, 0.0, 0.0), abs=1e-6)
    assert state[h + 3, h - 6] == pytest.approx(typical.state_at(2, 0, 3.0, -6.0), abs=1e-6)
    assert np.isnan(state[0, 0])


def test_motion_is_stage_plus_field_plus_own(typical):
    motion: Motion = typical.motion
    for f in (0, 5, 11):
        place = typical.centres + motion.stage[f] + motion.field(typical.centres, f) + motion.own[:, f]
        np.testing.assert_allclose(typical.truth[typical.truth.frame == f][["y_px", "x_px"]], place)
    np.testing.assert_array_equal(typical.poses(0)[:, :2], typical.centres)
    still = small(jitter_px=0.0, drift_px=0.0, walk_px=0.0, strain=0.02, field_px=0.0)
    field = still.motion.field([(0.0, 0.0), (149.0, 0.0), (0.0, 209.0), (74.5, 104.5)], 11)
    np.testing.assert_allclose(field[3], 0, atol=1e-12)  # strain is about the middle
    np.testing.assert_allclose((field[1] - field[0]) / 149, still.motion.strain[11][:, 0], atol=1e-12)
    np.testing.assert_allclose((field[2] - field[0]) / 209, still.motion.strain[11][:, 1], atol=1e-12)


@pytest.mark.parametrize(
    ("name", "value", "measured"),
    [
        ("jitter_px", 2.0, lambda m: np.diff(m.stage, axis=0).std() / np.sqrt(2)),
        ("walk_px", 0.3, lambda m: np.diff(m.motion.own, axis=1).std()),
    ],
)
def test_motion_has_the_stated_size(name, value, measured):
    still = {"jitter_px": 0.0, "drift_px": 0.0, "walk_px": 0.0, "n_energies": 150}
    assert measured(small(**{**still, name: value})) == pytest.approx(value, rel=0.15)


def test_particles_enter_and_leave():
    made = small(entering=1, leaving=1, n_energies=40, jitter_px=0.5)
    seen = made.truth.set_index(["particle", "frame"]).visible
    assert set(seen[1]) == {"whole"}
    assert seen[3, 0] == "whole"
    assert seen[3, 39] == "out"
    assert "part" in set(seen[3])
    assert seen[2, 0] == "out"
    assert seen[2, 39] == "whole"
    assert set(np.unique(made.labels(0, 0))) == {0, 1, 3}
    assert set(np.unique(made.labels(0, 39))) == {0, 1, 2}
    for row in made.truth[made.truth.particle > 1].itertuples():
        whole = made.bodies[row.particle - 1].area * (1 + row.breathing) ** 2
        share = made.mask(row.particle, 0, row.frame).sum() / whole
        assert {"whole": share > 0.98, "part": share < 1.01, "out": share == 0}[row.visible], row


def test_pairs_touch_or_overlap():
    made = scan(
        Scan(shape=(220, 260), n_particles=5, touching=1, overlapping=1, diameter_px=(40, 50), n_energies=2), rng=2
    )
    body, place = made.bodies, made.centres

    def nearest(i, j):
        a, b = (body[k].outline() + place[k] for k in (i, j))
        return np.sqrt(((a[:, None] - b[None]) ** 2).sum(-1)).min()

    assert made.mask(1, 0, 0)[made.mask(2, 0, 0)].sum() > 50
    assert not made.mask(3, 0, 0)[made.mask(4, 0, 0)].any()
    assert nearest(2, 3) < 1.1
    assert nearest(0, 4) > 4
    both = np.argwhere(made.mask(1, 0, 0) & made.mask(2, 0, 0))
    assert set(made.labels(0, 0)[tuple(both.T)]) == {1, 2}
    assert made.absorption(0, 0)[tuple(both.T)].min() > 0


# --- chemistry -------------------------------------------------------------------------------------------


def test_edge_moves_with_the_state():
    chemistry = Chemistry()
    half, steep, white = (chemistry.edge_energy([0.0, 0.5, 1.0], kind=k) for k in ("half", "derivative", "white line"))
    assert (np.diff(half) > 0.5).all()
    assert 8340 < half[0] < half[2] < 8344
    assert steep[0] == pytest.approx(8342, abs=1)
    assert steep[2] == pytest.approx(8347, abs=0.5)
    assert white[0] == pytest.approx(8347.5, abs=0.3)
    assert white[2] == pytest.approx(8349.75, abs=0.3)
    for state, e in zip((0.0, 0.5, 1.0), half, strict=True):  # of what is rendered
        mu = chemistry.mu([e], state) * (e / 8333) ** 2.8
        assert mu == pytest.approx(0.3 + 0.7 * 0.5, abs=1e-5)


def test_rendered_spectra_are_the_mixture_of_their_state():
    made = small(n_energies=60, jitter_px=0.0, drift_px=0.0, walk_px=0.0, rotation_deg=0.0, breathing=0.0,
                 strain=0.0, field_px=0.0, debris=0)  # fmt: skip
    stack = np.stack([made.absorption(0, e) for e in range(60)])
    y, x = np.nonzero(np.min([made._rho(i, 0) for i in (1, 2, 3)], 0) < 0.95)
    ends = made.spectrum([0.0, 1.0])
    share = np.linalg.lstsq(ends.T, stack[:, y, x], rcond=None)[0]
    state = share[1] / share.sum(0)
    np.testing.assert_allclose(state, made.state_field(0, 0)[y, x], atol=1e-6)
    assert np.ptp(state) > 0.8
    np.testing.assert_allclose(share.T @ ends, stack[:, y, x].T, atol=1e-9)
    # the stated contrast: centre of a particle 85 px across, above the edge
    peak = [b.peak * 85 / b.diameter / (0.7 if b.exponent > 2.5 else 1) for b in made.bodies]
    np.testing.assert_allclose(peak, 0.8, rtol=0.11)
    above, below = (made.spectrum(0.5)[np.abs(made.energies_ev - e).argmin()] for e in (8450, 8250))
    assert below / above == pytest.approx(0.16, abs=0.04)


def test_states_progress_and_deactivated_particles_stay_behind():
    made = small(n_scans=4, n_energies=2, n_particles=4, patterns=("core-shell", "one-sided", "deactivated", "uniform"),
                 diameter_px=(30.0, 40.0))  # fmt: skip
    table = made.particles.set_index("pattern")
    means = table[[f"state_{t}" for t in range(4)]].to_numpy()
    assert (np.diff(means, axis=1) > 0).all()
    assert table.loc["deactivated", "state_3"] < 0.15
    assert (table.drop("deactivated").state_3 > 0.75).all()
    shell = made.states[int(table.loc["core-shell", "particle"]), 1]
    h = shell.shape[0] // 2
    assert np.nanmax(shell) - shell[h, h] > 0.2
    side = int(table.loc["one-sided", "particle"])
    ray = 12 * np.array([np.cos(made.bodies[side - 1].direction), np.sin(made.bodies[side - 1].direction)])
    assert made.state_at(side, 1, *ray) - made.state_at(side, 1, *-ray) > 0.5


def test_measured_references_take_the_place_of_the_parametric_ones():
    e = np.array([8000.0, 8330.0, 8350.0, 9000.0])
    chemistry = Scan(references=((e, np.array([0, 0, 1, 1.0])), (e + 4, np.array([0, 0, 1, 1.0])))).chemistry
    np.testing.assert_allclose(chemistry.edge_energy([0, 1.0]), [8340, 8344], atol=0.01)
    with pytest.raises(InputError, match=r"`reduced` must be .* shapes \(4,\) and \(3,\)"):
        Scan(references=((e, e[:3]), (e, e))).chemistry.mu(e)


def test_energies_are_dense_through_the_edge():
    e = energies()
    assert e.size == 143
    assert (e[0], e[-1]) == (8200, 8600)
    assert (np.diff(e) > 0).all()
    through = e[(e > 8328) & (e < 8365)]
    assert np.diff(through).max() < 1
    assert np.diff(e[e < 8300]).min() > 5
    assert energies(1) > 8360
    assert (np.diff(energies(2000)) > 0).all()
    inner = energies(20, low=8320, high=8400)
    assert (inner[0], inner[-1]) == (8320, 8400)


# --- the instrument --------------------------------------------------------------------------------------


def test_counts_are_poisson_about_the_expected_ones(typical):
    expected = exposure(typical.scope, typical.params, 6, typical.absorption(0, 6), typical.motion.stage[6])
    off = (typical.frame(0, 6) - expected - typical.dark.astype(float)) / np.sqrt(expected)
    assert off.mean() == pytest.approx(0, abs=0.02)
    assert off.std() == pytest.approx(1, abs=0.02)
    assert np.median(expected) == pytest.approx(3000 * np.exp(-0.4), rel=0.25)
    assert (off[:-1] * off[1:]).mean() == pytest.approx(0, abs=0.02)


def test_flat_field_and_offset_leave_the_particles(typical):
    """Above the edge the density, less that of the background, is the particles' own, blurred."""
    e = int(np.abs(typical.energies_ev - 8380).argmin())
    density = typical.optical_density(0, e)
    assert density.dtype == np.float32
    ground = ndi.binary_erosion(typical.labels(0, e) == 0, iterations=8)
    assert np.median(density[ground]) == pytest.approx(0.4, abs=0.06)
    assert density[ground].std() < 0.09
    body = ndi.binary_erosion(typical.labels(0, e) > 0, iterations=4)
    own = density[body] - np.median(density[ground])
    assert own.mean() == pytest.approx(typical.absorption(0, e)[body].mean(), abs=0.03)


def test_blur_is_that_of_the_point_spread():
    made = small("easy", blur_px=2.0, background=0.0, residue=0.0, n_particles=1, debris=0)
    light = small("easy", blur_px=0.0, background=0.0, residue=0.0, n_particles=1, debris=0)
    sharp, soft = (
        exposure(m.scope, m.params, 9, m.absorption(0, 9), m.motion.stage[9]) / m.scope.light for m in (light, made)
    )
    np.testing.assert_allclose(soft[20:-20, 20:-20], ndi.gaussian_filter(sharp, 2.0)[20:-20, 20:-20], rtol=0.01)
    assert np.abs(sharp - soft).max() > 0.05 * sharp.max()


def test_texture_moves_by_a_fraction_of_a_pixel():
    wave = draw_waves(np.random.default_rng(1), shortest=20, longest=80, rms=0.7)
    at = wave.on((90, 110))
    np.testing.assert_allclose(wave.on((90, 110), (3.0, -2.0))[3:, :-2], at[:-3, 2:], atol=1e-4)
    slope = (wave.on((90, 110), (0.0, 0.01)) - at) / 0.01
    np.testing.assert_allclose(slope[:, 1:-1], -(at[:, 2:] - at[:, :-2]) / 2, atol=0.03)
    assert np.abs(slope).max() > 0.1
    assert wave.on((400, 500)).std() == pytest.approx(0.7, rel=0.25)


def test_same_seed_same_bytes():
    one, again, other = small(), small(), scan(Scan(**SMALL), rng=6)
    np.testing.assert_array_equal(one.counts, again.counts)
    np.testing.assert_array_equal(one.flats, again.flats)
    assert one.truth.equals(again.truth)
    assert not np.array_equal(one.counts, other.counts)
    np.testing.assert_array_equal(again.frame(0, 3), one.counts[0, 3])  # alone as in the stack
    assert [(t, e) for t, e, _ in small(n_scans=2, n_energies=2).frames()] == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_density_of_one_frame_and_of_all_agree():
    made = small(n_scans=2, n_energies=3, dropped=1)
    density = made.optical_density()
    assert density.shape == (2, 3, 150, 210)
    assert made.counts.dtype == np.uint16
    assert made.flats.shape == (3, 150, 210)
    np.testing.assert_array_equal(density[1, 2], made.optical_density(1, 2))


def test_dropped_and_saturated_frames():
    made = small(dropped=2, saturated=1, n_scans=2)
    dropped = [f for f in range(24) if not made.counts.reshape(24, 150, 210)[f].any()]
    assert dropped == sorted(made.lost)
    assert len(dropped) == 4
    assert 0 not in dropped
    assert sorted(set(made.truth.frame[made.truth.dropped])) == dropped
    density = made.optical_density().reshape(24, -1)
    assert np.flatnonzero(np.isnan(density).all(1)).tolist() == dropped
    (over,) = [f for f in made.overexposed if f < 12]
    assert made.frame(0, over).max() == 4095
    assert (made.frame(0, over) == 4095).mean() > 0.3


def test_energies_may_be_recorded_wrongly():
    made = small(energies_ev=(8300.0, 8340.0, 8400.0), energy_error_ev=2.0)
    np.testing.assert_array_equal(made.energies_ev, [8302, 8342, 8402])
    np.testing.assert_allclose(made.spectrum(0.0), Chemistry(0.16).mu([8300.0, 8340.0, 8400.0]))
    right = small(energies_ev=(8300.0, 8340.0, 8400.0))
    np.testing.assert_array_equal(made.absorption(0, 1), right.absorption(0, 1))


def test_harder_scans_are_harder():
    def signal_to_noise(difficulty):
        made = scan(Scan.of(difficulty, shape=(200, 260), n_particles=3, n_energies=10, dropped=0, touching=0), rng=1)
        ground = ndi.binary_erosion(made.labels(0, 0) == 0, iterations=6)
        return made.absorption(0, 0).max() / made.optical_density(0, 0)[ground].std()

    easy, typical, hard, faint = map(signal_to_noise, ("easy", "typical", "hard", "faint"))
    assert easy > 3 * typical > 3 * hard > 4 * faint


def test_no_particle_and_one_energy():
    made = scan(Scan(shape=(40, 50), n_particles=0, n_energies=1, debris=0), rng=0)
    assert made.counts.shape == (1, 1, 40, 50)
    assert len(made.truth) == 0
    assert "y_px" in made.truth
    assert not made.labels(0, 0).any()
    assert np.isnan(made.state_field(0, 0)).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shape": (8, 200)}, "`shape` must be"),
        ({"n_scans": 0}, "`n_scans` must be at least 1"),
        ({"energies_ev": (8400.0, 8300.0)}, "ascending energies"),
        ({"diameter_px": (50, 20)}, "ascending pair"),
        ({"counts": 0}, "`counts` must be a positive"),
        ({"patterns": ("spotted",)}, "must be one of"),
        ({"entering": 2, "leaving": 2}, "more than the 3"),
        ({"dropped": 13}, "exceed 12"),
        ({"pre_edge": 1.0}, "`pre_edge` must be"),
        ({"touching": 2}, "need 4 particles"),
        ({"diameter_px": (100, 120)}, "do not fit into 150 x 210 px"),
    ],
)
def test_impossible_scans_say_why(changes, message):
    with pytest.raises(InputError, match=message):
        scan(Scan(**{**SMALL, **changes}), rng=0).frame(0, 0)


def test_frames_that_are_not_there_are_named(typical):
    with pytest.raises(InputError, match="1 scans of 12 energies"):
        typical.frame(1, 0)
    with pytest.raises(InputError, match="difficulty"):
        Scan.of("impossible")
