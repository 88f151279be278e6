"""Power diagrams: every voxel against brute force, sections against the closed form, radial frames, loose pieces."""

import subprocess
import sys

import numpy as np
import pytest

from morpholith import generate
from morpholith.errors import InputError
from morpholith.generate import _power_kernels
from morpholith.generate.pieces import ROUNDS


def grains(n, *, box, ratio=1.8, rng=0, spread=0.3):
    """Random seeds in a box and matrices of random orientation, axis ratios up to `ratio` squared."""
    rng = np.random.default_rng(rng)
    seeds = rng.uniform(-0.1, 1.1, (n, 3)) * box
    turn = np.linalg.qr(rng.standard_normal((n, 3, 3)))[0]
    m = turn * np.exp(rng.uniform(-2, 2, (n, 1, 3)) * np.log(ratio)) @ turn.swapaxes(1, 2)
    return seeds, (m + m.swapaxes(1, 2)) / 2, spread * np.mean(box) * rng.standard_normal(n) * n ** (-1 / 3)


def centres(shape, spacing, origin):
    grid = np.meshgrid(*[o + s * np.arange(n) for n, s, o in zip(shape, spacing, origin, strict=True)], indexing="ij")
    return np.stack(grid, -1).reshape(-1, len(shape))


def values(points, seeds, matrices, radii, power):
    """The definition, in the words of Eq. 8, as (points, grains)."""
    away = points[:, None] - seeds
    q = np.einsum("pni,nij,pnj->pn", away, matrices, away)
    return (np.sqrt(np.maximum(q, 0)) if power == 1 else q) - radii


CASES = [
    # n, shape, spacing, origin, ratio, spread
    (1, (5, 7, 9), (1, 1, 1), (0, 0, 0), 1.8, 0.3),
    (2, (33, 4, 40), (1, 1, 1), (0, 0, 0), 3.0, 0.3),
    (60, (37, 41, 50), (0.5, 0.4, 0.6), (-3.0, 2.0, 100.0), 1.8, 0.3),
    (300, (64, 30, 33), (0.3, 1.1, 0.2), (0, 0, 0), 1.0, 0.0),
    (200, (1, 70, 35), (1, 1, 1), (4.5, 0, 0), 1.8, 0.3),
    (200, (70, 3, 1), (2, 1, 1), (0, 0, 0), 1.8, 1.0),
    (80, (40, 36, 35), (1, 1, 1), (0, 0, 0), 30.0, 0.5),  # axes up to 900 : 1
    (500, (45, 34, 36), (1, 1, 1), (1e6, -1e6, 0), 2.5, 0.3),
    (150, (20, 140, 17), (1, 1, 1), (0, 0, 0), 1.8, 3.0),  # many grains without a voxel
    (400, (135, 5, 140), (1, 1, 1), (0, 0, 0), 1.8, 0.3),  # across groups of blocks
    (400, (5, 135, 140), (1, 1, 1), (0, 0, 0), 1.8, 0.3),
]


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("case", CASES)
def test_every_voxel_equals_brute_force(case, power):
    n, shape, spacing, origin, ratio, spread = case
    box = np.multiply(shape, spacing)
    seeds, matrices, radii = grains(n, box=box, ratio=ratio, rng=n, spread=spread)
    seeds += origin
    got = generate.label_grid(seeds, matrices, radii, shape=shape, spacing=spacing, origin=origin, power=power)
    points = centres(shape, spacing, origin)
    np.testing.assert_array_equal(got.ravel(), generate.label_points(points, seeds, matrices, radii, power=power))
    assert got.dtype == np.int32
    if n > 2 and spread <= 0.5:
        assert len(np.unique(got)) > n / 10


@pytest.mark.parametrize("power", [1, 2])
def test_many_small_random_diagrams(power):
    rng = np.random.default_rng(5 + power)
    for k in range(60):
        shape = tuple(rng.integers(1, 40, 3).tolist())
        spacing = tuple(rng.uniform(0.2, 2, 3).tolist())
        made = grains(
            int(rng.integers(1, 120)), box=np.multiply(shape, spacing), ratio=rng.uniform(1, 4), rng=k,
            spread=rng.choice([0, 0.2, 2.0]),
        )  # fmt: skip
        got = generate.label_grid(*made, shape=shape, spacing=spacing, power=power)
        truth = generate.label_points(centres(shape, spacing, (0, 0, 0)), *made, power=power)
        np.testing.assert_array_equal(got.ravel(), truth)


@pytest.mark.parametrize("power", [1, 2])
def test_the_plain_way_is_the_definition(power):
    made = grains(40, box=(20, 12, 30), rng=1)
    points = np.random.default_rng(2).uniform(-5, 35, (3000, 3))
    v = values(points, *made, power)
    sure = np.diff(np.sort(v, axis=1)[:, :2])[:, 0] > 1e-9
    assert sure.mean() > 0.99
    np.testing.assert_array_equal(generate.label_points(points, *made, power=power)[sure], v.argmin(1)[sure] + 1)


def test_ties_go_to_the_lower_number():
    eye = np.broadcast_to(np.eye(3), (5, 3, 3))
    seeds = np.array([[9.0, 9, 9], [3, 3, 3], [3, 3, 3], [9, 9, 9], [6, 6, 6]])
    got = generate.label_grid(seeds, eye, np.zeros(5), shape=(13, 13, 13))
    assert set(np.unique(got)) == {1, 2, 5}
    line = np.array([[0.0, 0, 0], [0, 0, 10]])
    for power in (1, 2):
        got = generate.label_grid(line[::-1], eye[:2], np.zeros(2), shape=(1, 1, 11), power=power)
        np.testing.assert_array_equal(got[0, 0], [2] * 5 + [1] * 6)


def test_a_mask_only_blanks_voxels():
    shape = (50, 41, 70)
    made = grains(120, box=shape, rng=3)
    z, y, x = np.ogrid[tuple(slice(n) for n in shape)]
    inside = (z - 20) ** 2 + (y - 25) ** 2 + (x - 40) ** 2 < 15**2
    whole = generate.label_grid(*made, shape=shape)
    masked = generate.label_grid(*made, shape=shape, inside=inside)
    np.testing.assert_array_equal(masked, np.where(inside, whole, 0))
    assert whole.min() == 1
    assert not generate.label_grid(*made, shape=shape, inside=np.zeros(shape, bool)).any()
    full, part = (generate.work_per_voxel(*made, shape=shape, inside=i).values for i in (None, inside))
    assert part < 0.4 * full


@pytest.mark.parametrize("inside", [False, True])
def test_the_number_of_threads_changes_nothing(inside):
    shape = (70, 66, 100)
    made = grains(400, box=shape, rng=4)
    mask = np.random.default_rng(0).random(shape) < 0.5 if inside else None
    one, two, seven, more = (generate.label_grid(*made, shape=shape, inside=mask, threads=t) for t in (1, 2, 7, 1000))
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(one, seven)
    np.testing.assert_array_equal(one, more)
    assert len(np.unique(one)) > 200


def test_voxels_need_few_distances():
    work = generate.work_per_voxel(*grains(2000, box=(96, 96, 96), rng=6), shape=(96, 96, 96))
    assert 2 < work.values + work.bounds < 25


def test_no_winner_is_ever_dropped_from_a_block():
    rng = np.random.default_rng(8)
    for k, power in enumerate([1, 2] * 30):
        seeds, matrices, radii = grains(30, box=(8, 8, 8), ratio=2.5, rng=k, spread=1.0)
        half, centre = rng.uniform(0, 3, 3), rng.uniform(-2, 10, 3)
        factor = np.linalg.cholesky(matrices).swapaxes(1, 2)[:, (0, 0, 0, 1, 1, 2), (0, 1, 2, 1, 2, 2)].copy()
        size = np.linalg.norm(factor, axis=1)
        reach = _power_kernels.reaches(factor, half)
        kept = _power_kernels.candidates(centre, reach, seeds, factor, size, radii, power)
        corners = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3), -1).reshape(-1, 3)
        points = centre + half * np.concatenate([corners, rng.uniform(-1, 1, (300, 3))])
        assert set(values(points, seeds, matrices, radii, power).argmin(1)) <= set(kept.tolist())
        np.testing.assert_allclose(
            reach, np.sqrt(np.einsum("pi,nij,pj->pn", half * corners, matrices, half * corners).max(0)), rtol=1e-9
        )


def test_a_section_of_power_two_is_the_diagram_of_the_plane_in_closed_form():
    """In a plane, |x - s|_M^2 is a quadratic form of the plane about another seed, plus a constant."""
    seeds, matrices, radii = grains(80, box=(30, 30, 30), rng=9)
    axes = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 2)))[0].T
    corner = np.array([14.0, 15.0, 17.0]) - axes.T @ [13, 12]
    got = generate.label_section(
        seeds, matrices, radii, corner=corner, axes=axes, shape=(37, 52), spacing=(0.7, 0.5), power=2
    )
    flat = axes @ matrices @ axes.T
    away = seeds - corner
    pull = np.einsum("ai,nij,nj->na", axes, matrices, away)
    seed = np.linalg.solve(flat, pull[..., None])[..., 0]
    offset = radii - np.einsum("ni,nij,nj->n", away, matrices, away) + (pull * seed).sum(1)
    pixels = centres((37, 52), (0.7, 0.5), (0, 0))
    gap = pixels[:, None] - seed
    v = np.einsum("pni,nij,pnj->pn", gap, flat, gap) - offset
    sure = np.diff(np.sort(v, axis=1)[:, :2])[:, 0] > 1e-9
    assert sure.mean() > 0.99
    assert len(np.unique(got)) > 10
    np.testing.assert_array_equal(got.ravel()[sure], v.argmin(1)[sure] + 1)


@pytest.mark.parametrize("power", [1, 2])
def test_sections_are_those_of_the_volume(power):
    shape = (24, 30, 41)
    made = grains(90, box=shape, rng=10)
    volume = generate.label_grid(*made, shape=shape, power=power)
    level = {"corner": (7, 0, 0), "axes": [[0, 1, 0], [0, 0, 1]], "shape": (30, 41)}
    np.testing.assert_array_equal(generate.label_section(*made, **level, power=power), volume[7])
    upright = {"corner": (0, 0, 11), "axes": [[0, 1, 0], [1, 0, 0]], "shape": (30, 24)}
    np.testing.assert_array_equal(generate.label_section(*made, **upright, power=power), volume[:, :, 11].T)
    tilted = np.array([[0.6, 0.8, 0], [0, 0, 1]])
    got = generate.label_section(*made, corner=(2, 3, 4), axes=tilted, shape=(25, 60), spacing=(0.7, 0.4), power=power)
    ij = centres((25, 60), (0.7, 0.4), (0, 0))
    np.testing.assert_array_equal(got.ravel(), generate.label_points(ij @ tilted + [2, 3, 4], *made, power=power))


def test_empty_grids_and_points_stay_empty():
    made = grains(3, box=(4, 4, 4))
    assert generate.label_grid(*made, shape=(0, 4, 4)).shape == (0, 4, 4)
    assert generate.label_points(np.zeros((0, 3)), *made).shape == (0,)
    assert np.isnan(generate.work_per_voxel(*made, shape=(0, 4, 4)).values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": np.zeros((0, 3)), "matrices": np.zeros((0, 3, 3)), "radii": []}, "at least one seed"),
        ({"seeds": np.zeros((3, 2))}, "must have the shape"),
        ({"seeds": np.full((3, 3), np.nan)}, "must be finite"),
        ({"matrices": np.zeros((2, 3, 3))}, "must have the shape"),
        ({"matrices": np.array([np.eye(3), np.diag([1.0, 0, 1]), np.eye(3)])}, "grain 2"),
        ({"matrices": np.triu(np.ones((3, 3, 3)))}, "symmetric"),
        ({"radii": np.zeros(4)}, "`radii` must have the shape"),
        ({"power": 3}, "`power` must be one of 1, 2"),
        ({"spacing": (1, 0, 1)}, "`spacing`"),
        ({"shape": (4, 4)}, "three numbers of voxels"),
        ({"inside": np.ones((4, 4, 4), np.uint8)}, "`inside` must be a bool array"),
    ],
)
def test_bad_input_is_said(change, message):
    given = {"seeds": np.eye(3), "matrices": np.broadcast_to(np.eye(3), (3, 3, 3)), "radii": np.zeros(3)}
    with pytest.raises(InputError, match=message):
        generate.label_grid(**(given | {"shape": (4, 4, 4)} | change))


def test_axes_of_a_section_must_be_perpendicular():
    with pytest.raises(InputError, match="right angle"):
        generate.label_section(*grains(3, box=(4, 4, 4)), corner=(0, 0, 0), axes=[[1, 0, 0], [1, 0, 0]], shape=(3, 3))


def test_the_radial_frame_is_a_rotation_that_turns_the_radius_into_the_first_axis():
    rng = np.random.default_rng(0)
    tiny = 10.0 ** -np.arange(1, 200, 7)
    special = [[0, 0, 0], [-2.0, 0, 0], [3, 0, 0], [0, 1, 0], [0, 0, -1]]
    near_the_pole = np.stack([-np.ones_like(tiny), tiny, -2 * tiny], 1)
    near_the_centre = np.stack([tiny, tiny, 0 * tiny], 1)
    seeds = np.concatenate([rng.standard_normal((50, 3)), special, near_the_pole, near_the_centre])
    gamma = rng.uniform(0, np.pi, len(seeds))
    q = generate.radial_frames(seeds, gamma)
    np.testing.assert_allclose(q @ q.swapaxes(1, 2), np.broadcast_to(np.eye(3), q.shape), atol=1e-14)
    np.testing.assert_allclose(np.linalg.det(q), 1, atol=1e-13)
    largest = np.abs(seeds).max(1, keepdims=True)
    s = np.where(largest > 0, seeds / np.where(largest > 0, largest, 1), [1.0, 0, 0])
    s /= np.linalg.norm(s, axis=1, keepdims=True)
    np.testing.assert_allclose(np.einsum("nij,nj->ni", q, s), np.tile([1.0, 0, 0], (len(s), 1)), atol=1e-13)
    moved = generate.radial_frames(seeds[:50] + np.array([5, 6, 7]), gamma[:50], centre=(5, 6, 7))
    np.testing.assert_allclose(moved, q[:50], atol=1e-12)


def test_the_frame_is_the_paper_s_and_gamma_turns_about_the_radius():
    s = np.array([[1.0, 2, 2]]) / 3
    a = s[0] + [1, 0, 0]
    half_turn = 2 * np.outer(a, a) / (a @ a) - np.eye(3)
    c, d = np.cos(0.7), np.sin(0.7)
    q = generate.radial_frames(3 * s, 0.7)[0]
    np.testing.assert_allclose(q, np.array([[1, 0, 0], [0, c, -d], [0, d, c]]) @ half_turn, atol=1e-15)


def test_restricted_matrices_have_the_radius_as_an_axis():
    rng = np.random.default_rng(3)
    seeds, d, gamma = rng.standard_normal((40, 3)), rng.uniform(0.1, 50, (40, 3)), rng.uniform(0, np.pi, 40)
    m = generate.restricted_matrices(seeds, d, gamma)
    np.testing.assert_array_equal(m, m.swapaxes(1, 2))
    s = seeds / np.linalg.norm(seeds, axis=1, keepdims=True)
    np.testing.assert_allclose(np.einsum("nij,nj->ni", m, s), d[:, :1] * s, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(np.linalg.eigvalsh(m), np.sort(d, axis=1), rtol=1e-9)
    # the second axis of the frame, seen from the world, is an eigenvector of the second entry
    second = generate.radial_frames(seeds, gamma)[:, 1]
    np.testing.assert_allclose(np.einsum("nij,nj->ni", m, second), d[:, 1:2] * second, rtol=1e-9, atol=1e-9)
    assert generate.restricted_matrices(np.zeros((0, 3)), np.zeros((0, 3))).shape == (0, 3, 3)


@pytest.mark.parametrize(
    ("seeds", "diagonal", "gamma", "message"),
    [
        (np.ones((2, 3)), np.array([[1, 1, 0.0], [1, 1, 1]]), 0.0, "bound it from below"),
        (np.ones((2, 3)), np.ones((3, 3)), 0.0, "positive numbers"),
        (np.ones((2, 3)), np.ones((2, 3)), np.zeros(3), "`gamma`"),
        (np.ones((2, 2)), np.ones((2, 3)), 0.0, "`seeds`"),
        (np.full((2, 3), np.inf), np.ones((2, 3)), 0.0, "`seeds`"),
    ],
)
def test_bad_frames_are_said(seeds, diagonal, gamma, message):
    with pytest.raises(InputError, match=message):
        generate.restricted_matrices(seeds, diagonal, gamma)


def test_pieces_are_counted():
    labels = np.zeros((4, 5, 9), int)
    labels[0, 0, :3] = 7
    labels[0, 0, 4:6] = 7
    labels[1, 1, 6] = 7  # touches the last by an edge alone
    labels[2:, :, 8] = 3
    table = generate.fragments(labels)
    assert table.index.tolist() == [3, 7]
    assert table.loc[7].to_dict() == {"voxels": 6, "pieces": 3, "loose_voxels": 3}
    assert table.loc[3].to_dict() == {"voxels": 10, "pieces": 1, "loose_voxels": 0}
    assert len(generate.fragments(np.zeros((3, 3, 3), int))) == 0
    assert generate.fragments(np.zeros((0, 3, 3), int)).columns.tolist() == ["voxels", "pieces", "loose_voxels"]


def _torn(rng, shape=(44, 40, 52)):
    """Random markers in the printed ranges, which tear many grains."""
    rng = np.random.default_rng(rng)
    seeds = rng.uniform(0, 1, (150, 3)) * shape
    d, gamma = rng.uniform(0.5, 50, (150, 3)), rng.uniform(0, np.pi, 150)
    m = generate.restricted_matrices(seeds, d, gamma, centre=np.divide(shape, 2))
    return seeds, m, rng.uniform(1, 10, 150)


@pytest.mark.parametrize("power", [1, 2])
def test_loose_pieces_go_to_the_best_grain_they_touch(power):
    made = _torn(1)
    z, y, x = np.ogrid[:44, :40, :52]
    inside = ((z - 22) / 21) ** 2 + ((y - 20) / 19) ** 2 + ((x - 26) / 25) ** 2 < 1
    labels = generate.label_grid(*made, shape=(44, 40, 52), inside=inside, power=power)
    before = generate.fragments(labels)
    given = labels.copy()
    done = generate.repaired(labels, *made, power=power)
    after = generate.fragments(done.labels)
    np.testing.assert_array_equal(labels, given)
    assert (before.pieces > 1).mean() > 0.1
    assert (after.pieces == 1).all()
    assert after.index.tolist() == before.index.tolist()
    assert (done.pieces, done.left) == (int((before.pieces - 1).sum()), 0)
    changed = done.labels != labels
    assert done.voxels == int(changed.sum()) >= int(before.loose_voxels.sum()) * 0.99
    np.testing.assert_array_equal(done.labels == 0, ~inside)
    assert int((changed & (labels > 0)).sum()) <= int(before.loose_voxels.sum())
    again = generate.repaired(done.labels, *made, power=power)
    assert (again.pieces, again.voxels, again.left) == (0, 0, 0)


def test_each_voxel_of_a_loose_piece_goes_to_the_best_of_its_neighbours():
    """Grain 1 in two pieces: between 2 and 3 its loose voxels go to the nearer one."""
    seeds = np.array([[1.0, 1, 0], [1, 1, 6], [1, 1, 12]])
    eye = np.broadcast_to(np.eye(3), (3, 3, 3))
    labels = np.broadcast_to([1, 1, 1, 1, 1, 2, 2, 1, 1, 1, 1, 3, 3], (3, 3, 13)).astype(int)
    done = generate.repaired(labels, seeds, eye, np.zeros(3))
    np.testing.assert_array_equal(done.labels[1, 1], [1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3, 3, 3])
    assert (done.pieces, done.voxels, done.left) == (1, 36, 0)


def test_rounds_end_where_voxels_go_in_circles(monkeypatch):
    monkeypatch.setattr("morpholith.generate.pieces.ROUNDS", 0)
    made = _torn(2)
    labels = generate.label_grid(*made, shape=(44, 40, 52))
    done = generate.repaired(labels, *made)
    assert ROUNDS > 0
    assert (generate.fragments(done.labels).pieces == 1).all()
    assert done.left == 0
    assert done.pieces > 10


def test_a_repair_does_not_depend_on_the_unit_or_the_origin():
    seeds, matrices, radii = _torn(3)
    labels = generate.label_grid(seeds, matrices, radii, shape=(44, 40, 52))
    spacing, origin = np.array([0.5, 0.25, 2.0]), np.array([64.0, -8, 16])
    scaled = (origin + spacing * seeds, matrices / np.multiply.outer(spacing, spacing), radii)
    given = {"spacing": tuple(spacing), "origin": tuple(origin)}
    np.testing.assert_array_equal(generate.label_grid(*scaled, shape=(44, 40, 52), **given), labels)
    got = generate.repaired(labels, *scaled, **given)
    want = generate.repaired(labels, seeds, matrices, radii)
    np.testing.assert_array_equal(got.labels, want.labels)
    assert got.voxels == want.voxels > 100


def test_only_pieces_that_stay_take_others_in():
    """The loose voxel of 1 lies beside a loose one of 2, its better grain, and beside 3: both end in 3."""
    seeds = np.array([[0, 0, 1.0], [0, 0, 5], [0, 0, 30]])
    labels = np.array([[[1, 1, 1, 2, 2, 2, 0, 2, 1, 3, 3, 3]]])
    done = generate.repaired(labels, seeds, np.broadcast_to(np.eye(3), (3, 3, 3)), np.zeros(3))
    np.testing.assert_array_equal(done.labels, [[[1, 1, 1, 2, 2, 2, 0, 3, 3, 3, 3, 3]]])
    assert (done.pieces, done.voxels, done.left) == (2, 2, 0)


@pytest.mark.parametrize(("rounds", "taker"), [(8, 2), (0, 3)])
def test_in_the_end_pieces_go_where_they_share_most_faces(rounds, taker, monkeypatch):
    monkeypatch.setattr("morpholith.generate.pieces.ROUNDS", rounds)
    labels = np.array([[[1, 1, 2, 2, 3, 3], [1, 1, 2, 1, 3, 3], [1, 1, 3, 3, 3, 3]]])
    labels[0, 0, 3] = 3
    seeds = np.array([[0, 1, 0.0], [0, 1, 2.5], [0, 1, 9]])
    done = generate.repaired(labels, seeds, np.broadcast_to(np.eye(3), (3, 3, 3)), np.zeros(3))
    assert done.labels[0, 1, 3] == taker
    assert (done.pieces, done.voxels) == (1, 1)


def test_an_island_stays():
    labels = np.zeros((1, 1, 9), int)
    labels[0, 0, [0, 1, 4]] = 1
    labels[0, 0, 8] = 2
    eye = np.broadcast_to(np.eye(3), (2, 3, 3))
    done = generate.repaired(labels, np.zeros((2, 3)), eye, np.zeros(2))
    assert (done.pieces, done.voxels, done.left) == (0, 0, 1)
    np.testing.assert_array_equal(done.labels, labels)
    with pytest.raises(InputError, match="number of seeds"):
        generate.repaired(labels, np.zeros((1, 3)), eye[:1], np.zeros(1))


def test_importing_the_stage_loads_nothing_heavy():
    code = (
        "import sys, morpholith.generate;"
        "print([m for m in ('torch', 'matplotlib', 'skimage.measure', 'dask', 'numba') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
