"""Tetrahedral meshes: what tiles what, exact volumes, tags, turned faces, and how good the tetrahedra are."""

from itertools import combinations

import numpy as np
import pytest

from morpholith import generate
from morpholith.errors import InputError, InputWarning
from morpholith.generate import GrainField, tet_mesh
from morpholith.generate._tet_table import FACE, INNER, PAIRS, cases, lattice

Y0 = np.sqrt(4 * np.pi)  # coefficient of the unit sphere


def grains(n, *, low, high, rng=0, ratio=1.5, spread=0.1):
    """Seeds in a box and metrics of random orientation, scaled so that neighbours lie about 1 apart."""
    rng = np.random.default_rng(rng)
    seeds = rng.uniform(low, high, (n, 3))
    turn = np.linalg.qr(rng.standard_normal((n, 3, 3)))[0]
    m = turn * np.exp(rng.uniform(-1, 1, (n, 1, 3)) * np.log(ratio)) @ turn.swapaxes(1, 2)
    size = (np.prod(np.subtract(high, low)) / n) ** (1 / 3)
    return GrainField(seeds, (m + m.swapaxes(1, 2)) / 2 / size**2, spread * rng.standard_normal(n))


def voronoi(seeds):
    return GrainField(np.asarray(seeds, float), np.repeat(np.eye(3)[None], len(seeds), 0), np.zeros(len(seeds)), 2)


def volumes(mesh):
    p = mesh.points[mesh.tets]
    return np.linalg.det(p[:, 1:] - p[:, :1]) / 6


def check_whole(mesh):
    """Positive tetrahedra that share whole faces, all points used, and faces that enclose every grain from outside."""
    v = volumes(mesh)
    assert (v > 0).all()
    assert np.array_equal(np.unique(mesh.tets), np.arange(len(mesh.points)))
    assert len(np.unique(np.sort(mesh.tets, 1), axis=0)) == len(mesh.tets)
    each = np.sort(np.concatenate([mesh.tets[:, list(c)] for c in combinations(range(4), 3)]), 1)
    found, of, count = np.unique(each, axis=0, return_inverse=True, return_counts=True)
    assert count.max() <= 2
    grain = np.tile(mesh.grain, 4)
    low, high = np.full(len(found), 1 << 30), np.zeros(len(found), int)
    np.minimum.at(low, of.ravel(), grain)
    np.maximum.at(high, of.ravel(), grain)
    wanted = {tuple(f): (a, b) for f, a, b in zip(found[count == 1], low[count == 1], 0 * low[count == 1], strict=True)}
    inner = (count == 2) & (low < high)
    wanted |= {tuple(f): (a, b) for f, a, b in zip(found[inner], low[inner], high[inner], strict=True)}
    made = {tuple(f): tuple(s) for f, s in zip(np.sort(mesh.faces, 1), mesh.face_grains, strict=True)}
    assert made == wanted
    assert len(made) == len(mesh.faces)
    # Gauss: faces turned out of the first grain give its volume
    a, b, c = np.moveaxis(mesh.points[mesh.faces], 1, 0)
    flux = np.einsum("ni,ni->n", a, np.cross(b, c)) / 6
    n = mesh.grain.max() + 1
    enclosed = np.bincount(mesh.face_grains[:, 0], flux, n) - np.bincount(mesh.face_grains[:, 1], flux, n)
    np.testing.assert_allclose(enclosed[1:], np.bincount(mesh.grain, v, n)[1:], atol=1e-9 * v.sum())
    np.testing.assert_allclose(mesh.grains.volume_um3, np.bincount(mesh.grain, v, n)[mesh.grains.index], rtol=1e-9)


def surface_edges(faces):
    edges = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), 1)
    return np.unique(edges, axis=0, return_counts=True)


@pytest.fixture(scope="module")
def ball():
    """A ball of 300 curved grains, meshed finely enough for most of them."""
    field = grains(700, low=(-5, -5, -5), high=(5, 5, 5))
    return field, tet_mesh(field, cell_um=0.35, shell=np.array([4 * Y0]))


@pytest.mark.parametrize("pattern", range(64))
def test_every_case_fills_the_tetrahedron(pattern):
    rng, case = np.random.default_rng(pattern), cases()
    p = np.zeros((15, 3))
    p[:4] = rng.standard_normal((4, 3))
    if np.linalg.det(p[1:4] - p[0]) < 0:
        p[[0, 1]] = p[[1, 0]]
    for k, (i, j) in enumerate(PAIRS):
        t = rng.uniform(0.1, 0.9)
        p[4 + k] = p[i] * t + p[j] * (1 - t)
    for k in range(4):
        p[FACE + k] = rng.dirichlet([3] * 3) @ p[[c for c in range(4) if c != k]]
    p[INNER] = rng.dirichlet([3] * 4) @ p[:4]
    parts = p[case.slots[pattern, : case.counts[pattern]]]
    v = np.linalg.det(parts[:, 1:] - parts[:, :1])
    assert (v > 0).all()
    np.testing.assert_allclose(v.sum(), np.linalg.det(p[1:4] - p[0]))
    # no point on an edge that is not cut, in a face that has not three cuts
    used = set(case.slots[pattern, : case.counts[pattern]].ravel().tolist())
    assert all(pattern >> k & 1 for k in range(6) if 4 + k in used)


def test_the_lattice_has_twelve_equal_tetrahedra_a_cell():
    table = lattice()
    at = table.place + table.kind[..., None] / 2
    np.testing.assert_allclose(np.linalg.det(at[:, 1:] - at[:, :1]) / 6, -1 / 12)  # (z, y, x): left-handed
    assert table.face[..., 3].max() == 23


@pytest.mark.parametrize("power", [1, 2])
def test_grains_in_a_shell_are_whole(power):
    field = grains(90, low=(-3, -4, -5), high=(3, 4, 5), rng=power)
    shell = np.array([3 * Y0, 0.4, 0.3, -0.5, 0.6, -0.3, 0.5, 0.2, 0.7])
    mesh = tet_mesh(field, cell_um=0.6, shell=shell, power=power)
    check_whole(mesh)
    assert abs(mesh.quality["volume_um3"] / generate.shell_volume(shell) - 1) < 0.013


def test_kept_grains_alone_are_whole_and_the_box_need_not_be_given():
    field = grains(200, low=(-4, -3, -5), high=(4, 3, 5), rng=3)
    keep = np.linalg.norm(field.seeds / [1, 0.7, 1.2], axis=1) < 2
    mesh = tet_mesh(field, cell_um=0.4, keep=keep)
    check_whole(mesh)
    assert set(mesh.grain) <= set(np.flatnonzero(keep) + 1)
    step = 0.08
    axes = [np.arange(-h, h, step) for h in (6, 5, 7)]
    labels = generate.label_grid(*field[:3], shape=[len(a) for a in axes], spacing=step, origin=[a[0] for a in axes])
    count = np.bincount(labels.ravel(), minlength=201)[1:] * step**3
    assert abs(mesh.quality["volume_um3"] / count[keep].sum() - 1) < 0.005
    each = mesh.grains.volume_um3.reindex(np.flatnonzero(keep) + 1, fill_value=0)
    assert np.abs(each - count[keep]).max() < 0.05 * count[keep].mean()


def test_half_spaces_in_a_box_meet_in_a_plane():
    low, high = np.array([-1.0, -2.0, -3.1]), np.array([1.3, 2.0, 3.0])
    mesh = tet_mesh(
        voronoi([[0.13, 0.3, -0.6], [0.13, 0.3, 1.0]]), cell_um=0.37, low_um=low, high_um=high
    )  # x = 0.2 between them
    check_whole(mesh)
    np.testing.assert_allclose(mesh.grains.volume_um3, [2.3 * 4 * 3.3, 2.3 * 4 * 2.8], rtol=5e-4)
    outer = mesh.points[np.unique(mesh.faces[mesh.face_grains[:, 1] == 0])]
    beyond = np.maximum(outer - high[::-1], low[::-1] - outer).max(1)
    assert (np.abs(beyond) < 1e-9).mean() > 0.995  # corners of the box are hard
    assert np.abs(beyond).max() < 0.1
    between = mesh.points[mesh.faces[mesh.face_grains[:, 1] > 0]]
    np.testing.assert_allclose(between[..., 0], 0.2, atol=1e-9)
    assert (np.cross(between[:, 1] - between[:, 0], between[:, 2] - between[:, 0])[:, 0] > 0).all()  # 1 towards 2
    assert mesh.quality["cut_by_box"] == 1


def test_voronoi_cells_have_their_volumes():
    from scipy.spatial import ConvexHull, Voronoi

    rng = np.random.default_rng(2)
    seeds = rng.uniform(-3, 3, (150, 3)) * [1, 1.2, 0.8]
    keep = (np.abs(seeds) < 1.2).all(1)
    cells = Voronoi(seeds)
    regions = [cells.regions[cells.point_region[i]] for i in np.flatnonzero(keep)]
    assert not any(-1 in r for r in regions)
    truth = np.array([ConvexHull(cells.vertices[r]).volume for r in regions])
    mesh = tet_mesh(voronoi(seeds), cell_um=0.25, keep=keep)
    check_whole(mesh)
    np.testing.assert_allclose(mesh.grains.volume_um3, truth, rtol=0.02)
    assert abs(mesh.quality["volume_um3"] / truth.sum() - 1) < 0.002


def test_the_volume_of_a_ball_converges_with_the_square_of_the_cell():
    one = voronoi([[0.3, 0.1, -0.2]])
    truth = 4 / 3 * np.pi * 2**3
    errors = [
        tet_mesh(one, cell_um=cell, shell=np.array([2 * Y0])).quality["volume_um3"] / truth - 1
        for cell in (0.8, 0.4, 0.2)
    ]
    assert abs(errors[2]) < 0.003
    ratio = np.array(errors[:2]) / errors[1:]
    assert (ratio > 3).all()
    assert (ratio < 5).all()


def test_grain_volumes_agree_with_voxels(ball):
    field, mesh = ball
    step = 0.05
    line = np.arange(-4, 4 + step / 2, step)
    inside = np.square(line)[:, None, None] + np.square(line)[:, None] + np.square(line) < 16
    labels = generate.label_grid(*field[:3], shape=inside.shape, spacing=step, origin=(-4,) * 3, inside=inside)
    count = np.bincount(labels.ravel(), minlength=701)[1:] * step**3
    made = mesh.grains.volume_um3.reindex(np.arange(1, 701), fill_value=0).to_numpy()
    assert np.abs(made - count).sum() < 0.05 * count.sum()
    assert np.corrcoef(made, count)[0, 1] > 0.998
    assert abs(made.sum() / (4 / 3 * np.pi * 64) - 1) < 0.003
    # where a voxel's centre lies deep in a grain, so do the points of the mesh
    centres = mesh.points[mesh.tets].mean(1)[:, ::-1]
    assert (generate.label_points(centres, *field[:3]) == mesh.grain).mean() > 0.97


def test_tags_go_beyond_255_and_all_is_whole(ball):
    _, mesh = ball
    check_whole(mesh)
    assert mesh.grain.max() > 600
    assert len(np.unique(mesh.grain)) > 260
    assert mesh.quality["grains"] == len(mesh.grains) == len(np.unique(mesh.grain))


def test_the_outer_surface_is_one_sphere(ball):
    _, mesh = ball
    outer = mesh.faces[mesh.face_grains[:, 1] == 0]
    edges, count = surface_edges(outer)
    assert (count == 2).all()
    assert len(np.unique(outer)) - len(edges) + len(outer) == 2
    radius = np.linalg.norm(mesh.points[np.unique(outer)], axis=1)
    assert (np.abs(radius - 4) < 1e-6).mean() > 0.97
    a, b, c = np.moveaxis(mesh.points[outer], 1, 0)
    normal = np.cross(b - a, c - a)
    assert abs(np.linalg.norm(normal, axis=1).sum() / 2 / (4 * np.pi * 16) - 1) < 0.005  # no steps
    assert (np.einsum("ni,ni->n", normal, a + b + c) > 0).mean() > 0.999
    assert np.abs(radius - 4).max() < 0.5 * 0.35


def test_boundaries_lie_where_the_values_are_equal(ball):
    field, mesh = ball
    # where three meet, a coarse mesh may claim more regions than there are
    claims = np.unique(np.column_stack([np.repeat(mesh.face_grains, 3, 0), mesh.faces.ravel()]), axis=0)
    plain = np.bincount(claims[:, 2], minlength=len(mesh.points)) == 1
    inner = (mesh.face_grains[:, 1] > 0) & plain[mesh.faces].all(1)
    assert inner.sum() > 1000
    x = mesh.points[mesh.faces[inner]][..., ::-1]
    value = []
    for side in (0, 1):
        i = mesh.face_grains[inner, side] - 1
        away = x - field.seeds[i][:, None]
        value.append(np.sqrt(np.einsum("npi,nij,npj->np", away, field.matrices[i], away)) - field.radii[i][:, None])
    assert (np.abs(value[0] - value[1]) < 1e-7).mean() > 0.94


def test_quality_is_stated_and_good(ball):
    _, mesh = ball
    q = mesh.quality
    p = mesh.points[mesh.tets]
    normal = np.stack([
        np.cross(p[:, b] - p[:, a], p[:, c] - p[:, a]) for a, b, c in ((1, 2, 3), (0, 3, 2), (0, 1, 3), (0, 2, 1))
    ], 1)  # fmt: skip
    normal /= np.linalg.norm(normal, axis=2, keepdims=True)
    angles = np.degrees(
        np.stack([np.arccos(np.clip(-(normal[:, a] * normal[:, b]).sum(1), -1, 1)) for a, b in PAIRS], 1)
    )
    np.testing.assert_allclose(q["min_dihedral_deg"], angles.min(), rtol=1e-4)
    np.testing.assert_allclose(q["max_dihedral_deg"], angles.max(), rtol=1e-4)
    np.testing.assert_allclose(q["mean_min_dihedral_deg"], angles.min(1).mean(), rtol=1e-6)
    assert q["slivers"] == (angles.min(1) < 10).sum()
    assert q["slivers"] < 1e-3 * q["tets"]
    assert q["percentile_1_dihedral_deg"] > 14
    assert q["mean_radius_ratio"] > 0.7
    assert q["off_boundary"] < 0.25
    assert 0 < q["min_radius_ratio"] <= q["mean_radius_ratio"] <= 1


def test_radius_ratio_of_a_known_tetrahedron():
    from morpholith.generate._tet_faces import angles_and_ratios

    regular = np.array([[0, 0, 0], [1, 0, 0], [0.5, 3**0.5 / 2, 0], [0.5, 3**0.5 / 6, (2 / 3) ** 0.5]])
    corner = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    got = angles_and_ratios(np.concatenate([regular, corner]), np.arange(8).reshape(2, 4))
    np.testing.assert_allclose(got[0], [70.528779, 70.528779, 1, 2**0.5 / 12], rtol=1e-6)
    # inner radius (3 - 3^.5) / 6, outer 3^.5 / 2
    np.testing.assert_allclose(got[1], [54.735610, 90, (3 - 3**0.5) / 3**0.5, 1 / 6], rtol=1e-6)


def test_the_mesh_is_given_as_x_y_z():
    # a shell long along z, the first axis
    shell = np.zeros(9)
    shell[0], shell[6] = 2 * Y0, 1.0
    mesh = tet_mesh(voronoi([[1.0, 0, 0], [-1.0, 0, 0]]), cell_um=0.3, shell=shell)
    reach = generate.shell_radius(shell, np.eye(3))
    np.testing.assert_allclose(mesh.points.max(0), reach[::-1], rtol=0.01)
    assert reach[0] > 1.2 * reach[2]
    z = mesh.points[mesh.tets].mean(1)[:, 2]
    assert ((z > 0) == (mesh.grain == 1)).mean() > 0.999
    between = mesh.points[mesh.faces[mesh.face_grains[:, 1] > 0]]
    assert (np.abs(between[..., 2]) < 1e-9).mean() > 0.98


def test_moving_points_helps_and_keeps_the_count():
    field = grains(60, low=(-3, -3, -3), high=(3, 3, 3), rng=8)
    raw, better = (tet_mesh(field, cell_um=0.5, shell=np.array([2.5 * Y0]), sweeps=k) for k in (0, 2))
    assert len(raw.tets) == len(better.tets)
    assert better.quality["min_dihedral_deg"] > raw.quality["min_dihedral_deg"]
    assert better.quality["slivers"] < 0.2 * raw.quality["slivers"]
    assert better.quality["off_boundary"] < raw.quality["off_boundary"]
    check_whole(raw)
    again = tet_mesh(field, cell_um=0.5, shell=np.array([2.5 * Y0]))
    np.testing.assert_array_equal(again.points, better.points)
    np.testing.assert_array_equal(again.tets, better.tets)


def test_nothing_kept_is_an_empty_mesh():
    field = grains(20, low=(-2, -2, -2), high=(2, 2, 2))
    with pytest.warns(InputWarning, match="no kept grain"):
        mesh = tet_mesh(field, cell_um=0.5, keep=np.zeros(20, bool), shell=np.array([Y0]))
    assert mesh.tets.shape == (0, 4)
    assert mesh.faces.shape == (0, 3)
    assert mesh.face_grains.shape == (0, 2)
    assert np.isnan(mesh.quality["min_dihedral_deg"])
    assert mesh.quality["volume_um3"] == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cell_um": 0}, "cell_um"),
        ({"cell_um": 0.001, "shell": np.array([2 * Y0])}, "raise `cell_um`"),
        ({"keep": np.ones(3, bool)}, "each of the 20 grains"),
        ({"shell": np.array([-Y0])}, "radii above 0"),
        ({"shell": np.ones(5)}, "in the last axis"),
        ({}, "nothing bounds them"),
        ({"low_um": (0, 0, 0)}, "both"),
        ({"low_um": (0, 0, 0), "high_um": (1, 1, 0)}, "the box"),
        ({"power": 3, "shell": np.array([Y0])}, "power"),
    ],
)
def test_bad_input_is_said(change, words):
    with pytest.raises(InputError, match=words):
        tet_mesh(grains(20, low=(-2, -2, -2), high=(2, 2, 2)), **{"cell_um": 0.5, **change})


def test_grains_without_an_end_are_refused():
    with pytest.raises(InputError, match="surround"):
        tet_mesh(voronoi([[0, 0, 0], [0, 0, 1.0]]), cell_um=0.5, keep=np.array([True, False]))
