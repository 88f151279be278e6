"""The virtual electrode must be what it says it is before it may judge anything."""

import dataclasses

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.spatial import ConvexHull

from morpholith import columns as c
from morpholith.errors import InputError
from morpholith.specimens import Electrode, Packing, Tomograph, cycled, electrode, exact, solids, tomogram
from morpholith.specimens.exact import spheres_union
from morpholith.specimens.necks import necks
from morpholith.specimens.raster import owners

UNEVEN = (0.5, 0.4, 0.3)


def packing(bodies, size, *, neck=0.0, **params):
    """Bodies put down by hand."""
    made = Electrode(size_um=size, **{"binder": 0.0, "aspect": 1.0, "aspect_sd": 0.0, **params})
    n = len(bodies)
    return Packing(made, bodies, np.arange(1, n + 1), neck, np.arange(n))


@pytest.fixture(autouse=True)
def fewer_points(monkeypatch):
    """An eighth of the points: the standard errors, on which the tolerances rest, follow."""
    monkeypatch.setattr(exact, "LATTICE_POINTS", 500_000)


@pytest.fixture(scope="module")
def made():
    return electrode(Electrode(size_um=(30.0, 36.0, 42.0), d50_um=8.0, cracked=0.3, crack_width_um=1.0), rng=5)


# --- bodies ----------------------------------------------------------------------------------------------


def spheroid_surface(along, across):
    """Surface of revolution by quadrature."""

    def ring(t):
        return 2 * np.pi * across * np.sin(t) * np.hypot(along * np.sin(t), across * np.cos(t))

    return quad(ring, 0, np.pi, epsabs=1e-12)[0]


@pytest.mark.parametrize("aspect", [0.4, 0.999999, 1.0, 1.3, 3.0])
def test_spheroid_has_the_volume_and_surface_of_its_formula(aspect):
    body = solids.spheroids([(0, 0, 0)], [7.0], aspect, [(1, 2, 3)])
    assert solids.volume(body)[0] == pytest.approx(np.pi / 6 * 7**3)
    assert body.semi[0, 0] / body.semi[0, 1] == pytest.approx(aspect)
    assert solids.surface(body)[0] == pytest.approx(spheroid_surface(*body.semi[0, :2]), rel=1e-9)


def test_bumpy_body_has_its_stated_volume_and_surface():
    bump, lobe = solids.bumps(1, 0.05, np.random.default_rng(1))
    body = solids.spheroids([(12.1, 11.3, 10.2)], [14.0], 1.4, [(1, -1, 2)], bump=bump, lobe=lobe)
    assert solids.volume(body)[0] == pytest.approx(np.pi / 6 * 14**3, rel=1e-9)
    counted = np.count_nonzero(owners(body, (100, 120, 140), spacing=(0.25, 0.2, 0.17))) * 0.25 * 0.2 * 0.17
    assert counted == pytest.approx(np.pi / 6 * 14**3, rel=1e-3)
    t, phi = 1 - (2 * np.arange(20000) + 1) / 20000, np.pi * (1 + 5**0.5) * np.arange(20000)
    n = np.stack([t, *(np.sqrt(1 - t * t) * (np.cos(phi), np.sin(phi)))], 1)
    points, _ = solids.surface_points(body, 0, n)
    corners = points[ConvexHull(n).simplices]
    facets = 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    assert solids.surface(body)[0] == pytest.approx(facets.sum(), rel=1e-3)
    bump, lobe = solids.bumps(12, 0.03, np.random.default_rng(2))
    reach = np.linalg.norm((points - body.centre) @ (body.rotation[0].T / body.semi[0]), axis=1)
    assert 1 + body.swing[0, 0] <= reach.min() < reach.max() <= 1 + body.swing[0, 1]
    assert np.ptp(reach) > 0.85 * np.ptp(body.swing[0])  # and the bounds are not idle
    lumps = solids.spheroids(np.zeros((12, 3)), 14.0, 1.0, np.tile([1.0, 0, 0], (12, 1)), bump=bump, lobe=lobe)
    # a bump of degree l adds e^2 (l - 1)(l + 2) / 2 to the surface at constant volume: 2 e^2 to 20 e^2
    excess = (solids.surface(lumps) / (np.pi * 14**2) - 1).mean()
    assert 2 * 0.03**2 < excess < 8 * 0.03**2


@pytest.mark.parametrize("aspect", [0.5, 1.0, 2.2])
def test_rasteriser_marks_the_voxel_centres_inside_and_no_others(aspect):
    """Against the definition, on an uneven grid with an offset, the body cut by a face."""
    body = solids.spheroids([(1.3, 4.1, 6.9)], [6.0], aspect, [(3, 1, -2)])
    origin = (0.1, -0.2, 0.05)
    got = owners(body, (16, 22, 40), spacing=UNEVEN, origin=origin)
    grid = np.stack(np.meshgrid(*(o + s * np.arange(n) for o, s, n in zip(origin, UNEVEN, got.shape, strict=True)),
                                indexing="ij"), -1)  # fmt: skip
    axis = np.array([3, 1, -2]) / 14**0.5
    offset = grid - body.centre[0]
    along = offset @ axis
    across2 = (offset**2).sum(-1) - along**2
    np.testing.assert_array_equal(got > 0, along**2 / body.semi[0, 0] ** 2 + across2 / body.semi[0, 1] ** 2 <= 1)


def test_overlapping_spheres_part_at_the_radical_plane():
    centre, r = np.array([(5.0, 5, 4), (5, 5, 10)]), np.array([4.0, 3.0])
    bodies = solids.spheroids(centre, 2 * r, 1.0, np.tile([1.0, 0, 0], (2, 1)))
    label = packing(bodies, (10, 10, 15)).labels((0.5, 0.5, 0.1))
    last = int(np.flatnonzero(label[10, 10] == 1)[-1])
    d = 6.0
    plane = 4 + (d * d + 16 - 9) / (2 * d)
    assert label[10, 10, last + 1] == 2
    assert (last + 0.5) * 0.1 == pytest.approx(plane, abs=0.06)


# --- packing ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "params",
    [
        Electrode(size_um=(40, 44, 48), solid=0.3, aspect=1.0, aspect_sd=0.0),
        Electrode(size_um=(40, 44, 48), solid=0.62, aspect=1.4, binder=0.1),
        Electrode(size_um=(40, 44, 48), solid=0.5, periodic=True, d50_um=8),
    ],
    ids=["loose spheres", "dense spheroids", "periodic"],
)
def test_fractions_asked_for_are_reached(params):
    p = electrode(params, rng=2)
    assert p.truth["active_fraction"] == pytest.approx(params.solid, abs=0.01)
    assert p.truth["binder_fraction"] == pytest.approx(params.binder, abs=0.002)
    assert p.truth["porosity"] == pytest.approx(1 - p.truth["active_fraction"] - p.truth["binder_fraction"])
    assert p.truth["porosity_se"] < 1e-4
    assert p.excess < 0.01


def test_same_seed_same_electrode_and_another_seed_another(made):
    again = electrode(made.params, rng=5)
    np.testing.assert_array_equal(again.bodies.centre, made.bodies.centre)
    np.testing.assert_array_equal(again.phases(UNEVEN), made.phases(UNEVEN))
    other = electrode(made.params, rng=6)
    assert other.phases(UNEVEN).shape == made.phases(UNEVEN).shape == (60, 90, 140)
    assert (other.phases(UNEVEN) != made.phases(UNEVEN)).mean() > 0.2


def test_neighbours_overlap_no_more_than_allowed():
    p = electrode(Electrode(size_um=(40, 40, 40), aspect=1, aspect_sd=0, overlap=0.08, solid=0.6), rng=1)
    centre, r = p.bodies.centre, p.bodies.semi[:, 0]
    gap = np.linalg.norm(centre[:, None] - centre, axis=2) / (r[:, None] + r)
    np.fill_diagonal(gap, 9)
    assert 0.9 < gap.min() < 0.93
    assert ((gap < 1).sum() / len(r)) > 2  # and they do touch


def test_sizes_are_those_of_the_population():
    p = electrode(Electrode(size_um=(48, 48, 48), d50_um=4.5, geometric_sd=1.4, solid=0.4), rng=4)
    # where the centre falls does not depend on the size; what reaches into the box does
    central = ((p.bodies.centre >= 0) & (p.bodies.centre < 48)).all(1)
    d = np.cbrt(6 / np.pi * solids.volume(p.bodies[central]))
    assert np.median(d) == pytest.approx(4.5, rel=0.05)
    assert np.log(d).std() == pytest.approx(0.955 * np.log(1.4), rel=0.08)  # the cut at 2.5 SD takes 4.5 %
    order = np.sort(d)
    by_volume = order[np.searchsorted(np.cumsum(order**3), 0.5 * (order**3).sum())]
    assert by_volume == pytest.approx(p.params.diameter_quantile(0.5, basis="volume"), rel=0.06)


def test_periodic_electrode_continues_at_the_opposite_face():
    p = electrode(Electrode(size_um=(30, 33, 36), periodic=True, d50_um=6), rng=3)
    step = (0.6, 0.55, 0.5)
    for axis, length in enumerate(p.size_um):
        shape = [40, 40, 40]
        shape[axis] = 1
        far = np.zeros(3)
        far[axis] = length
        here, there = (p._owner(step, tuple(shape), origin) for origin in ((0.0, 0.0, 0.0), far))
        np.testing.assert_array_equal(here > 0, there > 0)
        assert 0.2 < (here > 0).mean() < 0.8


def test_gradient_runs_along_z():
    p = electrode(Electrode(size_um=(56, 40, 40), solid=0.45, gradient=0.8, d50_um=6, binder=0.04), rng=2)
    active = p.profile(4)["active_fraction"]
    assert active.iloc[3] - active.iloc[0] == pytest.approx(0.75 * 0.8 * 0.45, abs=0.08)
    across = p.profile(4, axis=1)["active_fraction"]
    assert np.ptp(across) < 0.12
    assert active.mean() == pytest.approx(p.truth["active_fraction"], abs=1e-3)


# --- truth -----------------------------------------------------------------------------------------------


def test_sampled_truth_agrees_with_lenses_and_caps():
    """Periodic spheres with pairwise overlaps: volume and surface of the union in closed form."""
    params = Electrode(size_um=(40, 44, 50), periodic=True, aspect=1, aspect_sd=0, solid=0.35, overlap=0.03)
    p = electrode(params, rng=8)
    volume, surface = spheres_union(p)
    box = np.prod(p.size_um)
    t = p.truth
    assert t["active_fraction"] == pytest.approx(volume / box, abs=5 * t["active_fraction_se"] + 1e-6)
    assert t["surface_um2_per_um3"] == pytest.approx(surface / box, abs=5 * t["surface_um2_per_um3_se"])
    assert t["surface_um2_per_um3_se"] < 3e-4 * t["surface_um2_per_um3"]
    r = p.bodies.semi[np.unique(p.origin, return_index=True)[1], 0]
    assert volume < 4 / 3 * np.pi * (r**3).sum() * 0.9999  # overlaps were there to be taken off


def test_closed_form_is_refused_where_three_spheres_meet():
    centre = np.array([(10.0, 10, 10), (10, 10, 13), (10, 12.6, 11.5)])
    bodies = solids.spheroids(centre, [4.0] * 3, 1.0, np.tile([1.0, 0, 0], (3, 1)))
    p = packing(bodies, (20, 20, 20), periodic=True, d50_um=4)
    assert spheres_union(p) is None
    volume, _ = spheres_union(packing(bodies[[0, 1]], (20, 20, 20), periodic=True, d50_um=4))
    lens = np.pi * (4 * 2 + 3) * (2 * 2 - 3) ** 2 / 12  # equal balls, r = 2, d = 3
    assert volume == pytest.approx(2 * 32 / 3 * np.pi - lens, rel=1e-12)


def test_particles_in_the_voxel_image_have_their_true_volume_and_place(made):
    spacing = (0.3, 0.25, 0.2)
    labels, table = made.labels(spacing), made.table(spacing)
    assert set(np.unique(labels)[1:]) <= set(table.index)
    alone = solids.spheroids([(15.3, 14.2, 21.1)], [9.0], 1.3, [(1, 2, 0.5)])
    p = packing(alone, (30, 36, 42))
    at = np.argwhere(p.labels(spacing)) * spacing
    row = p.table(spacing).iloc[0]
    np.testing.assert_allclose(at.mean(0), row[[c.Z, c.Y, c.X]].to_numpy(float), atol=0.01)
    assert len(at) * np.prod(spacing) == pytest.approx(row[c.VOLUME], rel=2e-3)
    assert not row[c.TOUCHES_EDGE]
    assert row[c.SPHERICITY] < 1


def test_phases_counted_on_a_grid_agree_with_the_truth_of_its_box(made):
    truth = made.exact(UNEVEN)
    share = np.bincount(made.phases(UNEVEN).ravel(), minlength=3) / np.prod(made.shape(UNEVEN))
    expected = [truth[k] for k in ("porosity", "active_fraction", "binder_fraction")]
    np.testing.assert_allclose(share, expected, atol=1.5e-3)
    np.testing.assert_array_equal(made.phases(UNEVEN) == 1, made.labels(UNEVEN) > 0)


def test_inside_fraction_is_the_share_in_the_image():
    """A sphere of radius 4 cut at a third of its diameter, by hand."""
    ball = solids.spheroids([(10.0, -4 / 3, 10)], [8.0], 1.0, [(1, 0, 0)])
    row = packing(ball, (20, 20, 20)).particles.iloc[0]
    h = 4 - 4 / 3
    assert row["inside_fraction"] == pytest.approx(np.pi * h * h * (12 - h) / 3 / (4 / 3 * np.pi * 64), abs=2e-3)
    assert row[c.TOUCHES_EDGE]


def test_cracks_have_their_stated_volume_and_belong_to_the_pore(made):
    spacing = (0.2, 0.15, 0.18)
    ball = solids.spheroids([(8.0, 8, 8)], [12.0], 1.2, [(0, 1, 1)])
    split = solids.with_cracks(ball, [0], width_um=1.1, extent=0.8, rng=3)
    whole, broken = (packing(b, (16, 16, 16)) for b in (ball, split))
    gap = whole.phases(spacing).astype(int) - broken.phases(spacing)
    assert gap.min() == 0
    stated = broken.particles["crack_volume_um3"].iloc[0]
    assert gap.sum() * np.prod(spacing) == pytest.approx(stated, rel=0.01)
    assert broken.truth["crack_fraction"] * 16**3 == pytest.approx(stated, rel=0.01)
    assert broken.truth["surface_um2_per_um3"] > 1.2 * whole.truth["surface_um2_per_um3"]
    assert 0.1 < (made.particles["crack_volume_um3"] > 0).mean() < 0.5


def test_surface_counts_faces_of_material_and_not_of_the_box():
    """Half a ball in the box: half of its sphere, without the cut."""
    ball = solids.spheroids([(0.0, 10, 10)], [10.0], 1.0, [(1, 0, 0)])
    truth = packing(ball, (20, 20, 20)).truth
    assert truth["surface_um2_per_um3"] * 8000 == pytest.approx(2 * np.pi * 25, rel=2e-3)


def test_binder_is_what_lies_near_two_spheres_at_once():
    centre = np.array([(8.0, 8, 5), (8, 8, 11.5)])
    bodies = solids.spheroids(centre, [6.0, 6.0], 1.0, np.tile([1.0, 0, 0], (2, 1)))
    p = packing(bodies, (16, 16, 17), neck=1.2)
    phases = p.phases(UNEVEN)
    grid = np.stack(np.meshgrid(*(s * np.arange(n) for s, n in zip(UNEVEN, phases.shape, strict=True)),
                                indexing="ij"), -1)  # fmt: skip
    d = np.sort(np.linalg.norm(grid[..., None, :] - centre, axis=-1) - 3, axis=-1)
    clear = (np.abs(d.sum(-1) - 1.2) > 1e-5) & (np.abs(d[..., 0]) > 1e-9)  # distances are kept as float32
    np.testing.assert_array_equal((phases == 2)[clear], ((d[..., 0] > 0) & (d.sum(-1) < 1.2))[clear])
    assert (phases == 2).sum() > 50


def test_binder_covers_the_surface_it_is_said_to():
    """Two touching balls: binder hides the caps where the distance to the other is under the length."""
    bodies = solids.spheroids([(8.0, 8, 5), (8, 8, 11)], [6.0, 6.0], 1.0, np.tile([1.0, 0, 0], (2, 1)))
    truth = packing(bodies, (16, 16, 16), neck=1.0).truth
    # |p - c2| = 4 on the sphere of radius 3 about c1, d = 6: cos t = (9 + 36 - 16) / 36
    cap = 2 * np.pi * 9 * (1 - 29 / 36)
    covered = truth["surface_um2_per_um3"] - truth["surface_pore_um2_per_um3"]
    assert covered * 16**3 == pytest.approx(2 * cap, rel=0.02)


def test_partial_volumes_add_up():
    ball = solids.spheroids([(6.1, 7.3, 8.2)], [8.0], 1.3, [(1, 1, 0)])
    p = packing(ball, (14, 15, 16))
    active, binder = p.occupancy((1.0, 0.75, 0.8), supersample=5)
    assert active.sum() * 0.6 == pytest.approx(solids.volume(ball)[0], rel=2e-3)
    assert binder.max() == 0
    assert active.max() == 1
    assert 0.2 < (active > 0).mean() / (active == 1).mean() - 1
    # the centre of mass does not move by half a fine voxel
    place = (np.argwhere(active >= 0) * (1.0, 0.75, 0.8) * active.reshape(-1, 1)).sum(0) / active.sum()
    np.testing.assert_allclose(place, (6.1, 7.3, 8.2), atol=0.01)


def test_necks_of_spheres_are_discs():
    centre = np.array([(5.0, 5, 4), (5, 5, 10), (5, 12.5, 4)])
    bodies = solids.spheroids(centre, [8.0, 6.0, 7.0], 1.0, np.tile([1.0, 0, 0], (3, 1)))
    (row,) = packing(bodies, (10, 20, 15)).contacts().itertuples()
    along = (36 + 16 - 9) / 12
    assert (row.label, row.neighbour) == (1, 2)
    assert row.neck_um2 == pytest.approx(np.pi * (16 - along**2))
    assert row.overlap == pytest.approx(1 - 6 / 7, abs=1e-6)
    assert (row.z_um, row.y_um, row.x_um) == pytest.approx((5, 5, 4 + along))


def test_contacts_of_spheroids_are_those_that_share_points():
    """Against points: two bodies overlap when a point lies in both, which a fine grid finds unless it is a graze."""
    p = electrode(Electrode(size_um=(20, 20, 20), d50_um=7, aspect=1.8, aspect_sd=0.1, overlap=0.1, solid=0.6), rng=3)
    table = necks(p, np.full(3, -np.inf), np.full(3, np.inf))
    said = {(a, b) for a, b, o in table[["label", "neighbour", "overlap"]].to_numpy() if o > 0.02}
    points = np.random.default_rng(0).uniform(-4, 24, (60_000, 3))
    stretched = [(points - c0) @ (r.T / s) for c0, r, s in
                 zip(p.bodies.centre, p.bodies.rotation, p.bodies.semi, strict=True)]  # fmt: skip
    inside = np.stack([(q**2).sum(1) < 1 for q in stretched]).astype(np.float32)
    found = {tuple(sorted(p.label[[i, j]])) for i, j in np.argwhere(np.triu(inside @ inside.T, 1) > 0)}
    assert len(found) > 30
    assert found <= {tuple(r) for r in table[["label", "neighbour"]].to_numpy()}
    near = ((p.bodies.centre > 0) & (p.bodies.centre < 20)).all(1)
    within = {pair for pair in said if near[np.isin(p.label, pair)].all()}
    assert len(within - found) <= 0.1 * len(within)
    inner = p.contacts()
    assert 0 < len(inner) < len(table)
    assert inner[["z_um", "y_um", "x_um"]].to_numpy().max() <= 20


# --- cycling ---------------------------------------------------------------------------------------------


def test_every_particle_grows_by_its_own_known_factor(made):
    after = cycled(made, expansion=0.1, expansion_sd=0.03, rng=1)
    a, b = made.particles, after.particles
    both = a.index.intersection(b.index)
    np.testing.assert_allclose(b.volume_um3[both] / a.volume_um3[both] - 1, b.expansion[both], rtol=1e-9)
    assert b.expansion.mean() == pytest.approx(0.1, abs=0.02)
    assert b.expansion.std() == pytest.approx(0.03, abs=0.01)
    place = [c.Z, c.Y, c.X]
    move = b.loc[both, ["dz_um", "dy_um", "dx_um"]].to_numpy()
    np.testing.assert_allclose((b.loc[both, place] - a.loc[both, place]).to_numpy(), move, atol=1e-9)
    np.testing.assert_allclose(b.sphericity[both], a.sphericity[both], rtol=1e-9)
    assert after.truth["d50_um"] == pytest.approx(1.1 ** (1 / 3) * made.truth["d50_um"], rel=0.01)


def test_motion_is_the_rigid_one_asked_for(made):
    after = cycled(made, expansion=0.0, expansion_sd=0.0, rotation_deg=2.0, shift_um=(0.5, -0.4, 0.3),
                   strain=(0, 0, 0), wobble_um=0.0, rng=7)  # fmt: skip
    before = made.bodies.centre - np.array(made.size_um) / 2
    moved = after.bodies.centre - np.array(made.size_um) / 2 - (0.5, -0.4, 0.3)
    turn, *_ = np.linalg.lstsq(before, moved, rcond=None)
    np.testing.assert_allclose(turn.T @ turn, np.eye(3), atol=1e-9)
    assert np.rad2deg(np.arccos((np.trace(turn) - 1) / 2)) == pytest.approx(2.0, abs=1e-6)
    q = np.einsum("nij,nj->ni", made.bodies.rotation, np.ones((len(before), 3)) @ turn.T)
    np.testing.assert_allclose(np.abs(after.bodies.rotation @ np.ones(3)), np.abs(q), atol=1e-9)


def test_lost_cracked_and_new_particles_are_told(made):
    after = cycled(made, lost=0.2, crack_fraction=0.5, new=0.05, rng=2)
    gone = set(made.label) - set(after.label)
    assert len(gone) == pytest.approx(0.2 * len(made.label), rel=0.5)
    assert not gone & set(np.unique(after.labels(UNEVEN)))
    fresh = after.label > made.label.max()
    assert 0 < fresh.sum() <= 0.05 * len(made.label) + 1
    assert np.isnan(after.extra["expansion"][fresh]).all()
    assert not np.isnan(after.extra["expansion"][~fresh]).any()
    old = np.isin(made.label, after.label)
    more = (after.bodies.crack[: old.sum(), 7] > 0).mean() - (made.bodies.crack[old, 7] > 0).mean()
    assert 0.15 < more < 0.6


# --- imaging ---------------------------------------------------------------------------------------------


PLAIN = {"blur_um": 0.0, "noise": 0.0, "rings": 0.0, "beam_hardening": 0.0, "drift": 0.0, "fresnel": 0.0}


def test_without_faults_the_grey_values_are_the_phases(made):
    t = Tomograph(spacing=UNEVEN, supersample=1, **PLAIN)
    levels = np.array([t.pore, t.active, t.binder])
    np.testing.assert_array_equal(tomogram(made, t), levels[made.phases(UNEVEN)])


def test_blur_is_the_same_length_along_each_axis():
    ball = solids.spheroids([(12.0, 12, 12)], [0.9], 1.0, [(1, 0, 0)])
    t = Tomograph(spacing=(0.8, 0.5, 0.4), **{**PLAIN, "blur_um": 1.5}, pore=0, active=6e5)
    grey = tomogram(packing(ball, (24, 24, 24)), t).astype(float)
    at = np.argwhere(grey >= 0) * t.spacing
    weight = grey.ravel() / grey.sum()
    centre = weight @ at
    np.testing.assert_allclose(np.sqrt(weight @ (at - centre) ** 2), 1.5, rtol=0.06)
    np.testing.assert_allclose(centre, 12, atol=0.02)


def test_faults_are_of_the_strength_asked_for():
    empty = packing(solids.spheroids(np.zeros((0, 3)), [], 1.0, np.zeros((0, 3))), (30, 40, 50))
    spacing = (0.5, 0.5, 0.5)

    def image(**faults):
        t = Tomograph(spacing=spacing, pore=10000, active=30000, **{**PLAIN, **faults})
        return tomogram(empty, t).astype(float)

    noise = image(noise=0.1, noise_length_um=0.8)
    assert noise.std() == pytest.approx(2000, rel=0.03)
    assert np.corrcoef(noise[:, :, 1:].ravel(), noise[:, :, :-1].ravel())[0, 1] == pytest.approx(0.5 * 0.907, abs=0.03)
    drift = image(drift=0.1).mean((1, 2))
    assert drift[-1] / drift[0] == pytest.approx(1.05 / 0.95, rel=1e-3)
    cup = image(beam_hardening=0.2)
    assert cup[30, 40, 50] == pytest.approx(8000, rel=0.01)
    assert cup[30, 0, 0] == pytest.approx(10000, rel=0.01)
    rings = image(rings=0.05)
    assert rings.std() == pytest.approx(1000, rel=0.35)
    assert (tomogram(empty, Tomograph(spacing=spacing, bits=8, pore=25700, **PLAIN)) == 100).all()


def test_harder_presets_leave_less_contrast_between_the_phases(made):
    spacing = (0.6, 0.6, 0.6)
    phases = made.phases(spacing)

    def contrast(difficulty):
        grey = tomogram(made, Tomograph.of(difficulty, spacing=spacing), rng=1)
        assert grey.dtype == np.uint16
        pore, active = grey[phases == 0], grey[phases == 1]
        return (active.mean() - pore.mean()) / np.hypot(active.std(), pore.std())

    easy, typical, hard = (contrast(d) for d in ("easy", "typical", "hard"))
    assert easy > 1.15 * typical > 1.3 * hard
    assert hard > 1


def test_same_seed_same_tomogram(made):
    t = Tomograph(spacing=(1.0, 0.9, 0.8))
    np.testing.assert_array_equal(tomogram(made, t, rng=3), tomogram(made, t, rng=3))
    assert (tomogram(made, t, rng=3) != tomogram(made, t, rng=4)).mean() > 0.9


# --- bad input -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"solid": 0.9}, "`solid` must lie in"),
        ({"size_um": (10, 10)}, "`size_um` must be 3 positive lengths"),
        ({"d50_um": -1.0}, "`d50_um` must be a positive number"),
        ({"gradient": 0.5, "periodic": True}, "cannot be `periodic`"),
        ({"solid": 0.7, "binder": 0.25}, "at least 0.1 of pore"),
    ],
)
def test_impossible_parameters_are_refused(change, says):
    with pytest.raises(InputError, match=says):
        dataclasses.replace(Electrode(), **change)


def test_impossible_electrodes_and_images_are_refused(made):
    with pytest.raises(InputError, match="periodic electrode must be at least"):
        electrode(Electrode(size_um=(12, 12, 12), periodic=True))
    with pytest.raises(InputError, match="larger than the specimen"):
        made.labels((100.0, 1, 1))
    with pytest.raises(InputError, match="without volume"):
        cycled(made, expansion=-1.0)
    with pytest.raises(InputError, match="`lost` must lie in"):
        cycled(made, lost=1.5)
    with pytest.raises(InputError, match="`difficulty` must be one of"):
        Tomograph.of("impossible", spacing=UNEVEN)
    with pytest.raises(InputError, match="`bits` must be 8 or 16"):
        Tomograph(bits=12)


def test_an_electrode_of_a_single_particle_and_of_none():
    one = electrode(Electrode(size_um=(4, 4, 4), d50_um=9, binder=0.0, solid=0.4), rng=1)
    assert one.truth["n_whole"] == 0
    assert np.isnan(one.truth["d50_whole_um"])
    none = packing(solids.spheroids(np.zeros((0, 3)), [], 1.0, np.zeros((0, 3))), (5, 6, 7))
    assert none.truth["porosity"] == 1
    assert len(none.particles) == 0
    assert list(none.particles.columns) == list(one.particles.columns)
    assert none.labels((1, 1, 1)).max() == 0
