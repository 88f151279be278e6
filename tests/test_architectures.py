"""Virtual particles of grains: labels, shapes and orientations are what they say they are."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from morpholith import segment, specimens
from morpholith.errors import InputError
from morpholith.specimens._seeding import near_pairs
from morpholith.specimens.crystals import NMC, ROCK_SALT, angle_between, operators
from morpholith.specimens.cuts import rotation_to
from morpholith.specimens.grain_truth import shape_table
from morpholith.specimens.waves import Waves

SMALL = {"diameter_um": 2.6, "size_um": 0.5}


def made(kind, rng=1, **changes):
    return specimens.polycrystal(specimens.Interior.of(kind, **{**SMALL, **changes}), rng=rng)


@pytest.fixture(scope="module")
def needles():
    return made("needles", diameter_um=4.0)


@pytest.fixture(scope="module")
def plates():
    return made("plates", diameter_um=4.0)


def by_hand(particle, points):
    """Label points (k, 3) of the particle's frame by comparing all grains."""
    p, g = particle.params, particle.grains
    step = p.waviness * p.size_um * particle.wander.at(points)
    length = np.linalg.norm(step, axis=1, keepdims=True)
    most = 4 * p.waviness * p.size_um
    step *= np.minimum(1, most / np.maximum(length, 1e-300))
    value = np.full(len(points), np.inf)
    label = np.zeros(len(points), int)
    for i in range(len(g.seeds)):
        away = np.abs((points + step - g.seeds[i]) @ g.frames[i].T)
        here = (away**p.squareness).sum(1) ** (1 / p.squareness) - g.weights[i]
        label[here < value] = i + 1
        value = np.minimum(value, here)
    return label


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("equiaxed", {"squareness": 5.0, "regularity": 0.0, "size_spread": 0.4}),
        ("needles", {"surface": "cut", "gradient": 0.4}),
        ("plates", {"waviness": 0.2, "aspect_gradient": -0.5}),
    ],
)
def test_every_point_of_an_oblique_section_is_as_by_hand(kind, changes):
    particle = made(kind, diameter_um=1.8, **changes)
    seen = particle.section(0.3, 0.06, 25.0, normal=(0.4, -0.5, 0.8), offset_px=(0.3, -0.2))
    row, column = np.indices(seen.shape)
    y, x = ((at - c) * 0.06 for at, c in zip((row, column), seen.centre_px, strict=True))
    points = np.stack([np.full(seen.shape, 0.3), y, x], -1).reshape(-1, 3)
    points = points @ rotation_to((0.4, -0.5, 0.8), 25.0)
    expected = by_hand(particle, points)
    if particle.params.surface == "grains":
        expected[expected > particle.n_grains] = 0
        expected[np.linalg.norm(points, axis=1) > particle.reach_um] = 0
    else:
        u = points / np.linalg.norm(points, axis=1, keepdims=True)
        expected[np.linalg.norm(points, axis=1) > particle.radius(u)] = 0
    np.testing.assert_array_equal(seen.labels.ravel(), expected)
    assert seen.inside.sum() > 300
    assert seen.shape[0] < seen.shape[1]


def test_hexagonal_rows_are_shifted(needles):
    seen = needles.section(-0.2, 0.1, grid="hexagonal")
    assert seen.spacing == pytest.approx((0.1 * 3**0.5 / 2, 0.1))
    row, column = np.indices(seen.shape)
    y = (row - seen.centre_px[0]) * seen.spacing[0]
    x = (column - seen.centre_px[1] + 0.5 * (row % 2)) * 0.1
    points = np.stack([np.full(seen.shape, -0.2), y, x], -1)
    expected = by_hand(needles, points.reshape(-1, 3)).reshape(seen.shape)
    expected[expected > needles.n_grains] = 0
    expected[1::2, -1] = 0
    np.testing.assert_array_equal(seen.labels, expected)


def test_volume_and_sections_agree_and_so_do_the_shapes(plates):
    spacing = 0.08
    volume = plates.labels(spacing)
    middle = (np.array(volume.shape) - 1) // 2
    for plane in (0, 9):
        seen = plates.section(plane * spacing, spacing)
        y, x = (round(c) for c in seen.centre_px)
        part = volume[middle[0] + plane]
        top, left = middle[1] - y, middle[2] - x
        inside = np.argwhere(seen.labels)
        np.testing.assert_array_equal(
            part[inside[:, 0] + top, inside[:, 1] + left], seen.labels[inside[:, 0], inside[:, 1]]
        )
        assert (part > 0).sum() == (seen.labels > 0).sum()
    table = plates.shapes(spacing)
    z, y, x = np.nonzero(volume)
    labels = volume[z, y, x]
    np.testing.assert_array_equal(table["n_voxels"], np.bincount(labels)[table.index])
    some = table.index[::17]
    for label in some:
        at = (np.stack([z, y, x], 1)[labels == label] - middle) * spacing
        row = table.loc[label]
        np.testing.assert_allclose(at.mean(0), row[["z_um", "y_um", "x_um"]].astype(float), atol=1e-9)
        values, vectors = np.linalg.eigh(np.cov(at.T, bias=True) + np.eye(3) * spacing**2 / 12)
        np.testing.assert_allclose(
            2 * np.sqrt(5 * values[::-1]), row[["major_um", "middle_um", "minor_um"]].astype(float)
        )
        cosine = abs(vectors[:, 2] @ at.mean(0)) / np.linalg.norm(at.mean(0))
        assert row["alpha_long_deg"] == pytest.approx(np.rad2deg(np.arccos(min(cosine, 1))), abs=1e-4)
    assert len(some) > 10


def test_shapes_of_a_box_are_those_of_a_box(needles):
    spacing = 0.1
    box = np.stack(np.meshgrid(np.arange(12), np.arange(4), np.arange(6), indexing="ij"), -1).reshape(-1, 3) * spacing
    for away, alpha in (((5.0, 0, 0), (0, 90)), ((0, 5.0, 0), (90, 0)), ((0, 0, 5.0), (90, 90))):
        at = box - box.mean(0) + away
        sums = np.zeros((3, 10))
        pairs = [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]
        sums[2] = [len(at), *at.sum(0), *(np.sum(at[:, i] * at[:, j]) for i, j in pairs)]
        row = shape_table(needles, sums, np.array([0, 0, 3]), spacing).loc[2]
        assert row["at_surface"]
        assert row["volume_um3"] == pytest.approx(1.2 * 0.4 * 0.6)
        axes = np.array([1.2, 0.6, 0.4])
        np.testing.assert_allclose(
            row[["major_um", "middle_um", "minor_um"]].astype(float), axes * np.sqrt(5 / 3), rtol=1e-9
        )  # fmt: skip
        assert row[["elongation_3d", "flatness_3d", "axis_ratio_3d"]].tolist() == pytest.approx([2, 1.5, 3])
        assert row[["alpha_long_deg", "alpha_short_deg"]].tolist() == pytest.approx(list(alpha), abs=1e-4)
        along = {0: 1.2, 1: 0.4, 2: 0.6}[int(np.argmax(away))]
        across = np.sqrt((1.2**2 + 0.4**2 + 0.6**2 - along**2) / 2)
        assert row["radial_ratio"] == pytest.approx(along / across)
        assert row["distance_um"] == pytest.approx(5)


def test_kinds_have_the_order_that_they_are_named_for(needles, plates):
    n, p = needles.truth, plates.truth
    e = made("equiaxed", diameter_um=4.0).truth
    assert n["alpha_long_deg"].median() < 20
    assert n["elongation_3d"].mean() > 2.4 > 1.5 > n["flatness_3d"].mean()
    assert p["alpha_short_deg"].median() > 75
    assert p["flatness_3d"].mean() > 2 > 1.6 > p["elongation_3d"].mean()
    assert n["radial_ratio"].median() > 2.2 > 1.6 > p["radial_ratio"].median() > 1.15
    assert e["radial_ratio"].median() == pytest.approx(1.0, abs=0.05)
    # without order the cosine is uniform: its mean is 1 / 2, with a standard error of 0.29 / sqrt(n)
    cosine = np.cos(np.deg2rad(e["alpha_long_deg"]))
    assert abs(cosine.mean() - 0.5) < 4 * 0.289 / np.sqrt(len(e))
    lost = made("needles", diameter_um=4.0, disorder_deg=90.0).truth
    cosine = np.cos(np.deg2rad(lost["alpha_long_deg"]))
    assert abs(cosine.mean() - 0.5) < 4 * 0.289 / np.sqrt(len(lost))
    assert lost["elongation_3d"].mean() > 2


@pytest.mark.parametrize("kind", ["equiaxed", "needles", "plates"])
def test_mean_volume_is_that_of_the_size(kind):
    # whole grains by their seeds: the mean of a Poisson number of cells, known to about 1 / sqrt(n)
    truth = made(kind, diameter_um=4.0, rng=5).truth
    expected = np.pi / 6 * 0.5**3
    assert truth["volume_um3"].mean() == pytest.approx(expected, rel=2.5 / np.sqrt(len(truth)))
    assert truth["volume_um3"].std() > 0.1 * expected


def test_gradients_go_from_centre_to_surface():
    larger = made("equiaxed", diameter_um=4.0, gradient=0.5, size_um=0.55).shapes(0.1)
    inner, outer = (larger[m]["diameter_um"].mean() for m in (larger.distance_um < 1, larger.distance_um > 1.5))
    assert outer / inner > 1.5
    longer = made("needles", diameter_um=4.0, aspect_gradient=0.9).shapes(0.1)
    inner, outer = (longer[m]["elongation_3d"].mean() for m in (longer.distance_um < 1, longer.distance_um > 1.5))
    assert outer / inner > 1.4


def test_regular_seeds_keep_their_distance_and_make_even_grains():
    loose, even = (made("plates", regularity=r, size_spread=0.0, waviness=0.0, rng=3) for r in (0.0, 0.95))
    distance = 0.8 * 0.95 * (4 * np.pi / 3) ** (1 / 3)
    assert len(near_pairs(even.grains, distance)) == 0
    assert len(near_pairs(loose.grains, distance)) > 0.4 * len(loose.grains.seeds)
    spread = [m.truth["volume_um3"].std() / m.truth["volume_um3"].mean() for m in (loose, even)]
    assert spread[0] > 1.6 * spread[1]


def test_near_pairs_are_all_pairs():
    g = made("needles", regularity=0.3).grains
    found = {tuple(pair) for pair in near_pairs(g, 2.0).tolist()}
    expected = set()
    for i in range(len(g.seeds)):
        between = g.seeds - g.seeds[i]
        both = np.linalg.norm(between @ g.frames[i].T, axis=1) + np.linalg.norm(
            np.einsum("kab,kb->ka", g.frames, between), axis=1
        )
        expected |= {(i, int(j)) for j in np.flatnonzero(both < 4.0) if j > i}
    assert found == expected
    assert len(expected) > 500


def test_neighbours_are_alike_where_asked():
    def likeness(correlation):
        g = made("equiaxed", diameter_um=3.5, correlation=correlation, correlation_um=1.0, size_spread=0.2).grains
        pairs = near_pairs(g, 1.7)
        return np.corrcoef(*g.weights[pairs.T])[0, 1]

    assert likeness(0.9) > 0.5
    assert abs(likeness(0.0)) < 0.1


def test_a_cut_surface_follows_the_outline(needles):
    cut = made("needles", surface="cut", lumpiness=0.08, diameter_um=3.0)
    volume = cut.labels(0.06)
    assert (volume > 0).sum() * 0.06**3 == pytest.approx(np.pi / 6 * 27, rel=0.2)
    at = (np.stack(np.indices(volume.shape), -1) - (np.array(volume.shape) - 1) / 2) * 0.06
    distance = np.linalg.norm(at, axis=-1)
    rim = cut.radius(at / np.maximum(distance, 1e-9)[..., None])
    np.testing.assert_array_equal(volume > 0, distance < rim)
    assert np.ptp(rim[volume > 0]) > 0.2
    truth = cut.truth
    assert 0.2 < truth["at_surface"].mean() < 0.95
    padded = np.pad(volume, 1)
    bare = np.zeros(volume.shape, bool)
    for axis in range(3):
        for way in (-1, 1):
            bare |= np.roll(padded, way, axis)[1:-1, 1:-1, 1:-1] == 0
    shapes = cut.shapes(0.06)
    np.testing.assert_array_equal(shapes.index[shapes["at_surface"]], np.unique(volume[bare & (volume > 0)]))
    # whole grains reach out of the outline
    assert (np.linalg.norm(needles.truth[["z_um", "y_um", "x_um"]], axis=1) > 1.9).any()


@pytest.mark.parametrize("grid", ["square", "hexagonal"])
def test_an_exact_map_falls_into_its_true_regions(plates, grid):
    seen = plates.section(0.1, 0.05, 10.0, normal=(1, 1, 0.2), grid=grid)
    grains = segment.grains(seen, threshold_deg=5)
    assert grains.labels.max() == seen.n_regions > len(np.unique(seen.labels)) - 1 > 50
    np.testing.assert_array_equal(grains.labels, seen.regions)
    again = np.unique(seen.regions[seen.inside])
    np.testing.assert_array_equal(again, np.arange(1, seen.n_regions + 1))


def test_regions_of_a_hexagonal_grid_touch_across_the_shift():
    labels = np.array([[0, 4, 0, 0], [4, 0, 4, 0], [0, 0, 4, 0], [0, 4, 0, 0]], np.int32)
    seen = made("equiaxed").section()
    from dataclasses import replace

    seen = replace(seen, labels=labels, inside=labels > 0, grid="hexagonal")
    # row 1 lies half a point to the right: (1, 0) touches (0, 1), (1, 2) does not touch (0, 1) but (2, 2)
    assert seen.regions[0, 1] == seen.regions[1, 0]
    assert seen.regions[1, 2] == seen.regions[2, 2] != seen.regions[0, 1]
    assert seen.regions[2, 2] != seen.regions[3, 1] or seen.n_regions == 2
    assert replace(seen, grid="square").n_regions == 4


def test_crystals_turn_with_the_map(plates):
    normal, angle = (0.3, 0.5, -0.8), 40.0
    seen = plates.section(0.0, 0.1, angle, normal=normal)
    truth = plates.truth
    r = rotation_to(normal, angle)
    assert np.linalg.det(r) == pytest.approx(1)
    np.testing.assert_allclose(r @ np.array(normal) / np.linalg.norm(normal), [1, 0, 0], atol=1e-12)
    turn = Rotation.from_matrix(r[::-1, ::-1])  # for (x, y, z)
    labels, first = np.unique(seen.labels, return_index=True)
    for label, at in list(zip(labels, first, strict=True))[1:40]:
        row = truth.loc[label]
        body = Rotation.from_euler("ZXZ", row[["phi1_deg", "capital_phi_deg", "phi2_deg"]].astype(float), degrees=True)
        measured = Rotation.from_euler("ZXZ", seen.euler_rad.reshape(-1, 3)[at])
        assert ((turn * body).inv() * measured).magnitude() < 1e-6
        # c axes of plates lie along their shortest axis, to within their spread
    c = Rotation.from_euler(
        "ZXZ", truth[["phi1_deg", "capital_phi_deg", "phi2_deg"]].to_numpy(), degrees=True
    ).apply([0, 0, 1])[:, ::-1]  # fmt: skip
    out = truth[["z_um", "y_um", "x_um"]].to_numpy()
    from_radius = np.rad2deg(np.arccos(np.abs((c * out).sum(1)) / np.linalg.norm(out, axis=1)))
    assert np.median(from_radius) > 70


def test_neighbours_never_look_like_one_grain(needles):
    seen = needles.section(0.0, 0.05)
    pairs = [(seen.labels[1:], seen.labels[:-1]), (seen.labels[:, 1:], seen.labels[:, :-1])]
    a, b = (np.concatenate([p[k].ravel() for p in pairs]) for k in (0, 1))
    meet = (a != b) & (a > 0) & (b > 0)
    angle = angle_between(needles.quaternions[a[meet] - 1], needles.quaternions[b[meet] - 1], "-3m")
    assert angle.min() > 5
    assert angle.max() < 110


def test_operators_are_those_of_the_segmenter():
    for crystal, n in ((NMC, 6), (ROCK_SALT, 24)):
        own = operators(crystal.laue)
        assert len(own) == n
        theirs = segment.laue_operators(crystal.laue)
        assert np.abs(own @ theirs.T).max(1) == pytest.approx(np.ones(n))
    q = Rotation.random(50, random_state=3).as_quat()[:, [3, 0, 1, 2]]
    np.testing.assert_allclose(
        angle_between(q[:25], q[25:], "-3m"), segment.disorientation(q[:25], q[25:], laue="-3m"), atol=1e-6
    )


def test_waves_are_one_field_of_the_stated_length():
    rng = np.random.default_rng(2)
    found = np.array([
        field.at(np.array([[0.0, 0, 0], [0.5, 0, 0], [0, 1.0, 0]]))[:, 0]
        for field in (Waves.drawn(1, 0.5, rng=rng) for _ in range(1500))
    ])  # fmt: skip
    assert found.std(0) == pytest.approx(np.ones(3), abs=0.08)
    r = np.corrcoef(found.T)
    assert r[0, 1] == pytest.approx(np.exp(-0.5), abs=0.08)
    assert r[0, 2] == pytest.approx(np.exp(-2.0), abs=0.08)
    field = Waves.drawn(2, 0.4, rng=rng)
    y, x = np.linspace(-1, 1, 5), np.linspace(0, 2, 7)
    grid = np.stack([np.full((5, 7), 0.3), *np.meshgrid(y, x, indexing="ij")], -1)
    np.testing.assert_allclose(field.on_grid(0.3, y, x), field.at(grid), atol=1e-12)
    r = rotation_to((0.2, 1, 0.4), 10)
    np.testing.assert_allclose(field.turned(r).at(grid @ r.T), field.at(grid), atol=1e-12)


def test_same_seed_same_particle():
    one, two, other = (made("plates", rng=k).section(0.1, 0.1) for k in (4, 4, 5))
    np.testing.assert_array_equal(one.labels, two.labels)
    np.testing.assert_array_equal(one.euler_rad, two.euler_rad)
    assert one.shape != other.shape or (one.labels != other.labels).any()


def test_a_single_grain_and_a_plane_that_misses():
    single = specimens.one_grain(3.0, rng=2)
    assert len(single.truth) == 1
    assert single.truth["diameter_um"].iloc[0] == pytest.approx(3, rel=0.1)
    seen = single.section(0.2, 0.1)
    assert seen.n_regions == 1
    assert segment.grains(seen).labels.max() == 1
    off = single.section(5.0, 0.1)
    assert off.n_regions == 0
    assert not off.inside.any()
    assert np.isnan(off.euler_rad).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "cubes"}, "kind"),
        ({"aspect": 0.5}, "`aspect` must lie between 1 and 12"),
        ({"regularity": 1.2}, "`regularity`"),
        ({"size_um": 0.0}, "size_um"),
        ({"disorder_deg": float("nan")}, "`disorder_deg`"),
        ({"surface": "rough"}, "surface"),
        ({"gradient": 0.9}, "`gradient`"),
    ],
)
def test_impossible_interiors_say_why(changes, message):
    with pytest.raises(InputError, match=message):
        specimens.Interior(**changes)


def test_impossible_cuts_say_why(needles):
    for wrong, message in (
        ({"step_um": 0.0}, "step_um"),
        ({"grid": "triangular"}, "grid"),
        ({"normal": (0.0, 0.0, 0.0)}, "normal"),
        ({"step_um": 1e-4}, "too large"),
    ):
        with pytest.raises(InputError, match=message):
            needles.section(**wrong)
    with pytest.raises(InputError, match="more than"):
        specimens.polycrystal(specimens.Interior(diameter_um=40, size_um=0.1), rng=0)
