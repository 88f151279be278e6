"""Disorientations that are known exactly, grains of maps that were made, and the grain counts of published maps."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from morpholith import read, segment
from morpholith.errors import InputError

ORDERS = {
    "-1": 1, "2/m": 2, "112/m": 2, "2/m11": 2, "mmm": 4, "4/m": 4, "4/mmm": 8, "-3": 3, "-3m": 6, "-31m": 6,
    "6/m": 6, "6/mmm": 12, "m-3": 12, "m-3m": 24,
}  # fmt: skip
SAME = np.array([1.0, 0, 0, 0])


def turn(axis, degrees):
    """Return the quaternion of a rotation."""
    axis = np.asarray(axis, float)
    half = np.deg2rad(degrees) / 2
    return np.concatenate([[np.cos(half)], np.sin(half) * axis / np.linalg.norm(axis)])


def times(a, b):
    """Multiply quaternions, one by one, by their rotation matrices' group law."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    w = a[..., 0] * b[..., 0] - (a[..., 1:] * b[..., 1:]).sum(-1)
    v = a[..., :1] * b[..., 1:] + b[..., :1] * a[..., 1:] + np.cross(a[..., 1:], b[..., 1:])
    return np.concatenate([w[..., None], v], axis=-1)


def matrix(q):
    w, x, y, z = q
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def bunge(phi1, phi, phi2):
    """Return Bunge's matrix g as his book prints it."""
    (c1, s1), (c, s), (c2, s2) = ((np.cos(a), np.sin(a)) for a in (phi1, phi, phi2))
    return np.array(
        [
            [c1 * c2 - s1 * s2 * c, s1 * c2 + c1 * s2 * c, s2 * s],
            [-c1 * s2 - s1 * c2 * c, -s1 * s2 + c1 * c2 * c, c2 * s],
            [s1 * s, -c1 * s, c],
        ]
    )


def random_turns(n, seed):
    q = np.random.default_rng(seed).normal(size=(n, 4))
    return q / np.linalg.norm(q, axis=1, keepdims=True)


def made(labels, quaternions, *, laue="m-3m", grid="square", confidence=None, valid=None, phase=None, **more):
    """Return an orientation map whose pixel of label k has the orientation k - 1 of `quaternions`."""
    euler = segment.euler_angles(np.asarray(quaternions))[np.maximum(labels, 1) - 1]
    valid = labels > 0 if valid is None else valid
    phase = np.ones(labels.shape, np.int32) if phase is None else phase
    groups = (laue,) if isinstance(laue, str) else laue
    return read.OrientationMap(
        np.where(valid[..., None], euler, np.nan),
        np.where(valid, phase, 0).astype(np.int32),
        (0.05, 0.05),
        grid,
        tuple(read.CrystalPhase(f"phase {k}", g) for k, g in enumerate(groups)),
        valid,
        confidence=None if confidence is None else confidence.astype(np.float32),
        **more,
    )


# --- rotations -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("laue", "order"), ORDERS.items())
def test_operators_are_a_group_of_the_right_order(laue, order):
    for x_axis in ("a", "a*"):
        found = segment.laue_operators(laue, x_axis=x_axis)
        assert found.shape == (order, 4)
        assert np.array_equal(found[0], SAME)
        assert np.abs(np.linalg.norm(found, axis=1) - 1).max() < 1e-12
        products = times(found[:, None], found[None]).reshape(-1, 4)
        assert np.abs(np.abs(products @ found.T).max(axis=1) - 1).max() < 1e-12
        between = np.abs(found @ found.T) - np.eye(order)
        assert between.max() < 0.99


def test_quaternions_are_the_inverse_of_the_printed_matrix():
    for euler in np.random.default_rng(0).uniform(0, [6.28, 3.14, 6.28], (20, 3)):
        assert matrix(segment.quaternions(euler)) == pytest.approx(bunge(*euler).T, abs=1e-12)


def test_euler_angles_come_back_also_at_the_poles():
    euler = np.random.default_rng(1).uniform([0, 0.01, 0], [6.28, 3.13, 6.28], (200, 3))
    assert segment.euler_angles(segment.quaternions(euler)) == pytest.approx(euler, abs=1e-9)
    for pole in (0.0, np.pi):
        q = segment.quaternions(np.array([0.7, pole, 0.4]))
        again = segment.euler_angles(q)
        assert again[2] == 0
        assert abs(segment.quaternions(again) @ q) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("laue", "axis", "degrees", "expected"),
    [
        ("m-3m", (1, 0, 0), 90, 0),
        ("m-3m", (1, 1, 1), 120, 0),
        ("m-3m", (0, 1, 0), 45, 45),
        ("m-3m", (1, 1, 1), 60, 60),  # twin of face-centred cubic metals
        ("m-3m", (1, 1, 0), 70.528779, 60),  # the same twin
        ("m-3m", (1, 1, 0), 90, 62.799430),  # the most there is: 2 arccos((1 + sqrt 2) / (2 sqrt 2))
        ("m-3m", (1, 0, 0), 1e-4, 1e-4),
        ("m-3", (0, 0, 1), 90, 90),
        ("m-3", (1, 1, 1), 120, 0),
        ("6/mmm", (1, 0, 0), 86.3, 86.3),  # extension twin of magnesium
        ("6/mmm", (1, 0, 0), 93.7, 86.3),
        ("6/mmm", (0, 0, 1), 60, 0),
        ("6/mmm", (0, 0, 1), 31, 29),
        ("6/m", (1, 0, 0), 180, 180),
        ("-3", (0, 0, 1), 100, 20),
        ("-3m", (0, 0, 1), 60, 60),
        ("-3m", (1, 0, 0), 180, 0),
        ("-3m", (0, 1, 0), 180, 60),
        ("-31m", (0, 1, 0), 180, 0),
        ("-31m", (1, 0, 0), 180, 60),
        ("4/m", (0, 0, 1), 91, 1),
        ("4/mmm", (1, 0, 0), 179, 1),
        ("4/m", (1, 0, 0), 179, 179),
        ("mmm", (1, 0, 0), 90, 90),
        ("mmm", (0, 1, 0), 178, 2),
        ("2/m", (0, 1, 0), 178, 2),
        ("2/m", (0, 0, 1), 178, 178),
        ("112/m", (0, 0, 1), 178, 2),
        ("2/m11", (1, 0, 0), 178, 2),
        ("-1", (1, 2, 3), 179, 179),
    ],
)
def test_disorientations_that_are_known(laue, axis, degrees, expected):
    other = turn(axis, degrees)
    assert segment.disorientation(SAME, other, laue=laue) == pytest.approx(expected, abs=1e-6)
    away = random_turns(1, 4)[0]  # the same pair in another place
    found = segment.disorientation(times(away, SAME), times(away, other), laue=laue)
    assert found == pytest.approx(expected, abs=1e-6)


def test_two_fold_axes_of_trigonal_crystals_follow_the_axis_along_x():
    about = {"x": turn((1, 0, 0), 180), "y": turn((0, 1, 0), 180)}
    for x_axis, none in (("a", "x"), ("a*", "y")):
        for name, q in about.items():
            found = segment.disorientation(SAME, q, laue="-3m", x_axis=x_axis)
            assert found == pytest.approx(0 if name == none else 60, abs=1e-6)


@pytest.mark.parametrize(("laue", "most"), [("m-3m", 62.7994), ("6/mmm", 93.8404), ("mmm", 120.0), ("m-3", 90.0)])
def test_no_disorientation_is_larger_than_the_group_allows(laue, most):
    found = segment.disorientation(random_turns(20000, 2), random_turns(20000, 3), laue=laue)
    assert 0.93 * most < found.max() <= most + 1e-4


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(list(ORDERS)), st.sampled_from(["a", "a*"]))
def test_disorientation_knows_no_difference_between_equivalent_crystals(seed, laue, x_axis):
    rng = np.random.default_rng(seed)
    a, b, c = random_turns(3, seed)
    s, t = rng.choice(segment.laue_operators(laue, x_axis=x_axis), 2)
    how = {"laue": laue, "x_axis": x_axis}
    angle = segment.disorientation(a, b, **how)
    assert segment.disorientation(times(a, s), -times(b, t), **how) == pytest.approx(angle, abs=1e-6)
    assert segment.disorientation(b, a, **how) == pytest.approx(angle, abs=1e-6)
    assert angle <= np.rad2deg(2 * np.arccos(min(abs(a @ b), 1))) + 1e-6
    assert segment.disorientation(a, c, **how) <= angle + segment.disorientation(b, c, **how) + 1e-6


# --- grains ----------------------------------------------------------------------------------------------------


def cells(shape, n, seed):
    """Return a Voronoi diagram whose every cell is in one piece."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, shape, (n, 2))
    y, x = np.indices(shape)
    nearest = ((y[..., None] - points[:, 0]) ** 2 + (x[..., None] - points[:, 1]) ** 2).argmin(-1)
    number, labels = np.unique(nearest, return_inverse=True)
    return labels.reshape(shape) + 1, len(number)


def same_partition(a, b):
    """True if two label images differ in their numbers alone."""
    pairs = np.unique(np.stack([a.ravel(), b.ravel()]), axis=1).shape[1]
    return pairs == len(np.unique(a)) == len(np.unique(b))


def apart(n, laue, seed, least=12.0):
    """Return n orientations, each at least so many degrees from all others."""
    kept = [random_turns(1, seed)[0]]
    for q in random_turns(4000, seed + 1):
        if segment.disorientation(np.array(kept), q, laue=laue).min() > least:
            kept.append(q)
        if len(kept) == n:
            return np.array(kept)
    raise AssertionError("too many orientations asked for")


@pytest.mark.parametrize("grid", ["square", "hexagonal"])
@pytest.mark.parametrize("laue", ["m-3m", "-3m"])
def test_grains_that_were_made_are_found_under_noise_and_symmetry(grid, laue):
    truth, n = cells((60, 91), 25, 5)
    q = apart(n, laue, 7)
    rng = np.random.default_rng(8)
    noise = np.concatenate([np.ones((*truth.shape, 1)), rng.normal(0, 0.004, (*truth.shape, 3))], axis=-1)
    operators = segment.laue_operators(laue)[rng.integers(0, ORDERS[laue], truth.shape)]
    pixels = times(times(q[truth - 1], noise / np.linalg.norm(noise, axis=-1, keepdims=True)), operators)
    one = made(truth, q, laue=laue, grid=grid)
    one = dataclasses.replace(one, euler_rad=segment.euler_angles(pixels))
    found = segment.grains(one, threshold_deg=5)
    assert same_partition(found.labels, truth)
    assert found.labels[0, 0] == 1
    assert (np.diff([np.flatnonzero(found.labels.ravel() == k)[0] for k in found.table.index]) > 0).all()
    assert np.array_equal(found.table["n_pixels"], np.bincount(found.labels.ravel())[1:])
    of_truth = [truth[found.labels == k][0] - 1 for k in found.table.index]
    mean = found.table[["q0", "q1", "q2", "q3"]].to_numpy()
    off = segment.disorientation(mean, q[of_truth], laue=laue)
    limit = np.rad2deg(2 * 0.004) * np.sqrt(3 / found.table["n_pixels"])
    assert (off < 3 * limit).all()
    assert found.table["spread_deg"].median() == pytest.approx(np.rad2deg(2 * 0.004 * np.sqrt(8 / np.pi)), rel=0.05)
    euler = np.deg2rad(found.table[["phi1_deg", "capital_phi_deg", "phi2_deg"]].to_numpy())
    assert segment.disorientation(segment.quaternions(euler), mean, laue="-1").max() < 1e-6


def test_the_threshold_decides():
    truth = np.ones((4, 9), int)
    truth[:, 5:] = 2
    q = np.array([SAME, turn((1, 2, 3), 6.0)])
    assert len(segment.grains(made(truth, q), threshold_deg=5.99).table) == 2
    assert len(segment.grains(made(truth, q), threshold_deg=6.01).table) == 1


def test_a_grain_may_bend_by_more_than_the_threshold():
    q = np.array([turn((0, 0, 1), 2.0 * k) for k in range(20)])
    bent = np.tile(np.arange(1, 21), (3, 1))
    found = segment.grains(made(bent, q), threshold_deg=3)
    assert len(found.table) == 1
    assert (
        segment.disorientation(found.table[["q0", "q1", "q2", "q3"]].to_numpy()[0], turn((0, 0, 1), 19), laue="m-3m")
        < 0.1
    )
    assert found.table["spread_deg"].item() == pytest.approx(10.0, rel=0.01)


def test_neighbours_are_four_on_a_square_and_six_on_a_hexagonal_grid():
    truth = np.array([[1, 2, 2], [2, 1, 2], [1, 2, 2]])
    q = np.array([SAME, turn((0, 0, 1), 30)])
    square = segment.grains(made(truth, q)).labels
    assert np.array_equal(square, [[1, 2, 2], [3, 4, 2], [5, 2, 2]])
    # odd rows half a step to the right: (1, 1) touches (0, 1), (0, 2), (2, 1) and (2, 2); (1, 0) touches (0, 0), (0, 1)
    odd = segment.grains(made(truth, q, grid="hexagonal")).labels
    assert np.array_equal(odd, [[1, 2, 2], [2, 3, 2], [4, 2, 2]])
    # even rows to the right: (1, 1) touches (0, 0), (0, 1), (2, 0) and (2, 1)
    even = segment.grains(made(truth, q, grid="hexagonal", shifted_row=0)).labels
    assert np.array_equal(even, [[1, 2, 2], [3, 1, 2], [1, 2, 2]])


def test_angles_to_neighbours_lie_where_they_belong():
    truth = np.array([[1, 2, 3], [4, 5, 6]])
    q = np.array([turn((0, 0, 1), a) for a in (0, 1, 3, 7, 15, 31)])
    right, below = segment.neighbour_angles(made(truth, q))
    assert right[:, :2] == pytest.approx(np.array([[1, 2], [8, 16]]), abs=1e-4)
    assert np.isnan(right[:, 2]).all()
    assert below[0] == pytest.approx([7, 14, 28], abs=1e-4)
    assert np.isnan(below[1]).all()
    _, left, right_below = segment.neighbour_angles(made(truth, q, grid="hexagonal"))
    assert left[0, 1:] == pytest.approx([6, 12], abs=1e-4)
    assert np.isnan(left[0, 0])
    assert right_below[0] == pytest.approx([7, 14, 28], abs=1e-4)


@pytest.mark.parametrize("laue", ["m-3m", "-3m", "-1"])
def test_the_mean_is_one_and_the_same_of_all_equivalents(laue):
    truth = np.ones((3, 5), int)
    operators = segment.laue_operators(laue)
    q = random_turns(1, 12)[0]
    columns = ["q0", "q1", "q2", "q3"]
    means = [segment.grains(made(truth, [times(q, s)], laue=laue)).table[columns].to_numpy()[0] for s in operators]
    assert np.array(means) == pytest.approx(np.tile(means[0], (len(operators), 1)), abs=1e-9)
    assert means[0][0] == pytest.approx(np.abs(times(q, operators)[:, 0]).max())
    assert segment.disorientation(means[0], q, laue=laue) < 1e-6


def test_phases_and_missing_points_part_grains():
    truth = np.ones((5, 8), int)
    phase = np.ones((5, 8), int)
    phase[:, 4:] = 2
    valid = np.ones((5, 8), bool)
    valid[2, :4] = False
    found = segment.grains(made(truth, [SAME], laue=("m-3m", "6/mmm"), phase=phase, valid=valid))
    assert found.table["phase"].tolist() == [1, 2, 1]
    assert (found.labels[2, :4] == 0).all()
    assert found.table["n_pixels"].tolist() == [8, 20, 8]


def test_small_grains_are_dropped_or_given_to_their_neighbours():
    truth = np.ones((6, 10), int)
    truth[:, 6:] = 2
    truth[2:4, 2] = 3
    q = apart(3, "m-3m", 3)
    dropped = segment.grains(made(truth, q), min_pixels=3)
    assert len(dropped.table) == 2
    assert (dropped.labels[2:4, 2] == 0).all()
    filled = segment.grains(made(truth, q), min_pixels=3, fill_pixels=2)
    assert np.array_equal(filled.labels, np.where(truth == 3, 1, truth))
    assert filled.table["n_pixels"].tolist() == [36, 24]
    assert filled.table["n_measured"].tolist() == [34, 24]
    assert filled.table["spread_deg"].max() < 1e-4  # pixels filled in do not enter the mean
    assert (segment.grains(made(truth, q), min_pixels=3, fill_pixels=1).labels[2:4, 2] == 0).all()


@pytest.mark.parametrize("grid", ["square", "hexagonal"])
def test_holes_go_to_most_of_their_neighbours_and_surroundings_stay(grid):
    truth, _ = cells((40, 57), 9, 2)
    q = apart(int(truth.max()), "m-3m", 3)
    y, x = np.indices(truth.shape)
    disc = (y - 20) ** 2 + (x - 28) ** 2 < 17**2
    rng = np.random.default_rng(4)
    missing = rng.random(truth.shape) < 0.05
    found = segment.grains(made(truth, q, grid=grid, valid=disc & ~missing), fill_pixels=12)
    inside = (y - 20) ** 2 + (x - 28) ** 2 < 14**2
    assert (found.labels[inside] > 0).all()
    assert (found.labels[(y - 20) ** 2 + (x - 28) ** 2 > 19**2] == 0).all()
    of_truth = {k: np.bincount(truth[found.labels == k]).argmax() for k in found.table.index}
    right = np.array([of_truth[k] for k in found.labels[inside & missing]]) == truth[inside & missing]
    assert right.mean() > 0.85
    assert (found.labels[disc & ~missing] > 0).all()


def test_a_single_hole_takes_the_label_of_the_majority():
    truth = np.array([[1, 2, 2], [1, 3, 2], [1, 2, 2]])
    q = apart(3, "m-3m", 3)
    found = segment.grains(made(truth, q, valid=truth != 3), fill_pixels=1)
    assert found.labels[1, 1] == found.labels[0, 1]
    truth = np.array([[1, 1, 1], [1, 3, 2], [2, 2, 2]])
    assert segment.grains(made(truth, q, valid=truth != 3), fill_pixels=1).labels[1, 1] == 1


@pytest.mark.parametrize("shifted", [0, 1])
def test_a_hole_of_a_hexagonal_grid_has_six_neighbours(shifted):
    # the hole touches orientation 1 twice in the row above, and 2, 3, 4 and 5 once each
    truth = np.array([[2, 1, 1], [2, 6, 3], [6, 4, 5]]) if shifted else np.array([[1, 1, 2], [3, 6, 2], [4, 5, 6]])
    q = apart(6, "m-3m", 3)
    one = made(truth, q, grid="hexagonal", shifted_row=shifted, valid=np.arange(9).reshape(3, 3) != 4)
    found = segment.grains(one, fill_pixels=1).labels
    assert found[1, 1] == found[0, 1]
    below = segment.grains(dataclasses.replace(one, **flipped(one)), fill_pixels=1).labels
    assert below[1, 1] == below[2, 1]


def flipped(one):
    """Return the fields of a map with its rows the other way up."""
    return {name: getattr(one, name)[::-1].copy() for name in ("euler_rad", "phase", "valid")}


def test_the_missing_end_of_short_rows_is_no_hole():
    valid = np.ones((4, 5), bool)
    valid[1::2, -1] = False
    found = segment.grains(made(np.ones((4, 5), int), [SAME], grid="hexagonal", valid=valid), fill_pixels=3)
    assert np.array_equal(found.labels > 0, valid)


def test_confidence_of_pixels_and_of_grains():
    truth = np.repeat([[1, 2, 3]], 4, axis=0).repeat(3, axis=1)
    q = apart(3, "m-3m", 3)
    confidence = np.array([0.0, 0.9, 0.2, 0.6])[truth]
    confidence[0, 0] = 0.05
    one = made(truth, q, confidence=confidence)
    pixels = segment.grains(one, min_confidence=0.1)
    assert pixels.table["n_pixels"].tolist() == [11, 12, 12]
    assert pixels.labels[0, 0] == 0
    whole = segment.grains(one, min_grain_confidence=0.3)
    assert whole.table["n_pixels"].tolist() == [12, 12]
    assert whole.table["confidence"].tolist() == pytest.approx([(11 * 0.9 + 0.05) / 12, 0.6])
    assert set(np.unique(truth[whole.labels == 0])) == {2}


def test_no_confidence_anywhere_and_nothing_indexed():
    truth = np.ones((3, 4), int)
    none = segment.grains(made(truth, [SAME], confidence=np.zeros((3, 4))), min_confidence=0.1)
    assert not none.labels.any()
    assert len(none.table) == 0
    assert "highest is 0" in none.warnings[0]
    empty = segment.grains(made(truth, [SAME], valid=np.zeros((3, 4), bool)), fill_pixels=4)
    assert len(empty.table) == 0
    assert "indexed" in empty.warnings[0]
    small = segment.grains(made(truth, [SAME]), min_pixels=13)
    assert len(small.table) == 0
    assert "no grain is left" in small.warnings[0]
    assert list(small.table.columns) == list(segment.grains(made(truth, [SAME])).table.columns)


def test_what_cannot_be_asked():
    one = made(np.ones((3, 4), int), [SAME])
    with pytest.raises(InputError, match="no confidence index"):
        segment.grains(one, min_confidence=0.1)
    with pytest.raises(InputError, match="threshold_deg"):
        segment.grains(one, threshold_deg=0)
    with pytest.raises(InputError, match="min_pixels"):
        segment.grains(one, min_pixels=0)
    with pytest.raises(InputError, match="`laue` must be one of"):
        segment.laue_operators("cubic")
    with pytest.raises(InputError, match="three angles"):
        segment.quaternions(np.zeros((3, 4)))
    with pytest.raises(InputError, match="four numbers"):
        segment.disorientation(np.zeros(3), np.zeros(3), laue="m-3m")


def test_an_unknown_laue_group_must_be_given():
    unknown = made(np.ones((3, 4), int), [SAME], laue="")
    with pytest.raises(InputError, match=r"phase 1 \(phase 0\) has no known Laue group .* `laue=\{1: 'm-3m'\}`"):
        segment.grains(unknown)
    assert len(segment.grains(unknown, laue={1: "6/mmm"}).table) == 1


# --- published maps --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("least", "count"), [(1, 141), (10, 109), (100, 76)])
def test_the_superalloy_has_its_published_grains_pixel_for_pixel(data, least, count):
    folder = data / "ebsd" / "defdap"
    found = segment.grains(read.orientations(folder / "testDataEBSD.ctf"), min_pixels=least)
    assert len(found.table) == count
    published = np.load(folder / f"ebsd_grains_5deg_{0 if least == 1 else least}.npz")["grains"]
    assert same_partition(found.labels, np.maximum(published, 0))


def test_half_the_boundaries_of_the_magnesium_are_twins(data):
    angles = segment.neighbour_angles(read.orientations(data / "ebsd" / "mtex" / "twins.ctf"))
    high = angles[angles > 15]
    assert ((high >= 84) & (high <= 89)).mean() == pytest.approx(0.51, abs=0.02)


def test_the_duplex_steel_has_grains_of_both_phases(data):
    found = segment.grains(
        read.orientations(data / "ebsd" / "duplex_steel" / "sdss_ferrite_austenite.ang"), min_pixels=5
    )
    share = found.table.groupby("phase")["n_pixels"].sum()
    assert set(share.index) == {1, 2}
    assert share[1] / share.sum() == pytest.approx(0.484, abs=0.02)
