"""The marker law: seeds and markers are what its numbers say, wherever the box lies."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from morpholith.errors import InputError
from morpholith.generate import MarkerLaw, cut_ball, describe_grains, grains_of, label_grid, label_points


def far_box(distance=40.0, half=3.0):
    """Low and high corner of a box far from the centre along x, where all radii are nearly parallel."""
    low = np.array([-half, -half * 0.8, distance])
    return low, -low * [1, 1, -1] + [0, 0, 2 * half]


def test_seeds_have_the_density_also_where_it_changes_with_distance():
    law = MarkerLaw(20.0, size_slope=0.8, regularity=0.7, radius_um=4.0, radial_ratio=1.5)
    field = law.draw((-6, -6, -6), (6, 6, 6), rng=np.random.default_rng(1))
    distance = np.linalg.norm(field.seeds, axis=1)
    edges = np.array([0.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    counts = np.histogram(distance, edges)[0]
    middle = (edges[1:] + edges[:-1]) / 2
    density = 20.0 * np.exp(-3 * 0.8 * (np.minimum(middle / 4, 1) - 0.5))
    expected = density * 4 / 3 * np.pi * np.diff(edges**3)
    assert counts[1:] == pytest.approx(expected[1:], rel=0.12)
    assert counts[0] > 1.25 * 20 * 4 / 3 * np.pi * 8


@pytest.mark.parametrize("regularity", [0.3, 0.9])
def test_regular_seeds_keep_their_distance_and_their_number(regularity):
    law = MarkerLaw(6.0, regularity=regularity)
    seeds = law.draw((-4, -5, -3), (4, 5, 6), rng=np.random.default_rng(2)).seeds
    core = np.cbrt(3 * regularity / (4 * np.pi)) * law.edge_um
    assert cKDTree(seeds).query(seeds, k=2)[0][:, 1].min() >= core
    assert len(seeds) == pytest.approx(6.0 * 8 * 10 * 9, rel=0.04)


def test_the_core_is_drawn_out_along_the_radius():
    law = MarkerLaw(4.0, regularity=0.8, radial_ratio=2.5, radius_um=5.0)
    low, high = far_box()
    seeds = law.draw(low, high, rng=np.random.default_rng(3)).seeds
    pairs = cKDTree(seeds).query_pairs(0.65 * law.edge_um, output_type="ndarray")
    apart = np.abs(seeds[pairs[:, 0]] - seeds[pairs[:, 1]])
    # near ones lie beside each other, none in line along x (the radius)
    assert len(pairs) > 50
    assert apart[:, 2].mean() < 0.75 * apart[:, :2].mean()


def test_markers_have_the_ratios_of_the_law():
    law = MarkerLaw(5.0, radial_ratio=3.0, ratio_slope=0.6, ratio_spread=0.2, tangential_ratio=1.8, size_spread=0.3,
                    radius_um=5.0)  # fmt: skip
    field = law.draw((-7, -7, -7), (7, 7, 7), rng=np.random.default_rng(4))
    out = field.seeds / np.linalg.norm(field.seeds, axis=1, keepdims=True)
    length = 1 / np.sqrt(np.linalg.eigvalsh(field.matrices))
    along = 1 / np.sqrt(np.einsum("ni,nij,nj->n", out, field.matrices, out))
    assert np.prod(length, axis=1) == pytest.approx(np.full(len(length), 1 / 5.0))
    across = np.sqrt(1 / 5.0 / along)  # geometric mean of the other two
    ratio = np.log(along / across)
    distance = np.linalg.norm(field.seeds, axis=1)
    mean = np.log(3) + 0.6 * (np.minimum(distance / 5, 1) - 0.5)
    assert (ratio - mean).mean() == pytest.approx(0, abs=0.01)
    # normal draws are held within two standard deviations
    assert (ratio - mean).std() == pytest.approx(0.2 * 0.96, rel=0.08)
    flat = np.log(np.sort(length, axis=1)[:, 1] / np.sort(length, axis=1)[:, 0])[ratio > np.log(2.5)]
    assert np.median(flat) == pytest.approx(np.log(1.8), rel=0.1)
    assert field.radii.std() == pytest.approx(0.3 * 0.96, rel=0.05)
    assert np.abs(field.radii).max() <= 0.6


def test_disorder_turns_axes_off_the_radius():
    angles = []
    for disorder in (0.0, 0.2, 50.0):
        law = MarkerLaw(5.0, radial_ratio=2.0, disorder=disorder)
        field = law.draw((-4, -4, -4), (4, 4, 4), rng=np.random.default_rng(5))
        axis = np.linalg.eigh(field.matrices)[1][:, :, 0]
        out = field.seeds / np.linalg.norm(field.seeds, axis=1, keepdims=True)
        angles.append(np.rad2deg(np.arccos(np.minimum(np.abs((axis * out).sum(1)), 1))).mean())
    assert angles[0] < 1e-5
    assert angles[1] == pytest.approx(np.rad2deg(0.2 * np.sqrt(np.pi / 2)), rel=0.1)
    assert angles[2] == pytest.approx(57.3, abs=1.5)


@pytest.mark.parametrize("power", [1, 2])
def test_no_grain_reaches_farther_than_stated(power):
    law = MarkerLaw(10.0, radial_ratio=2.0, ratio_spread=0.3, size_spread=0.2, regularity=0.4, power=power)
    rng = np.random.default_rng(6)
    reach = law.reach_um
    field = law.draw((-reach - 0.6,) * 3, (reach + 0.6,) * 3, rng=rng)
    assert field.power == power
    points = rng.uniform(-0.6, 0.6, (4000, 3))
    owner = label_points(points, *field[:3], power=power) - 1
    assert np.linalg.norm(points - field.seeds[owner], axis=1).max() < reach


def test_a_law_comes_back_from_its_state_and_draws_the_same():
    law = MarkerLaw(9.0, radial_ratio=1.4, regularity=0.5, power=2)
    again = MarkerLaw.from_state(*law.state())
    assert again == law
    one, two = (x.draw((0, 0, 0), (1, 2, 3), rng=np.random.default_rng(8)) for x in (law, again))
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


def test_an_empty_box_has_no_seeds():
    field = MarkerLaw(5.0, regularity=0.5).draw((1, 1, 1), (1, 2, 2), rng=np.random.default_rng(0))
    assert field.seeds.shape == (0, 3)
    assert field.matrices.shape == (0, 3, 3)
    with pytest.raises(InputError):
        MarkerLaw(5.0).draw((1, 1, 1), (0, 2, 2), rng=np.random.default_rng(0))


@pytest.mark.parametrize(
    "wrong",
    [
        {"intensity_per_um3": 0}, {"intensity_per_um3": np.nan}, {"radial_ratio": -1}, {"tangential_ratio": 0.5},
        {"disorder": -0.1}, {"regularity": 1.0}, {"power": 3}, {"ratio_slope": np.inf}, {"radius_um": 0},
    ],
)  # fmt: skip
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        MarkerLaw(**{"intensity_per_um3": 5.0, **wrong})


def test_no_seed_that_a_section_meets_is_left_out():
    """Whoever owns a pixel, drawn in full, is among the seeds that simulated sections draw."""
    from morpholith.generate._law_simulation import _near_plane
    from morpholith.measure import section_frame

    law = MarkerLaw(9.0, radial_ratio=2.5, ratio_spread=0.3, tangential_ratio=2.0, disorder=0.3, size_spread=0.2,
                    size_slope=0.4, radius_um=2.0)  # fmt: skip
    missed = pixels = 0
    for seed, height in enumerate((0.0, 0.0, 1.2)):
        rng = np.random.default_rng(seed)
        section = cut_ball(law, radius_um=2.0, height_um=height, step_um=0.08, rng=rng)
        frame = section_frame(section)
        far = 2.0 + law.reach_um
        field = law.draw((-far, -far, -far), (far, far, far), rng=rng)
        kept = _near_plane(law, frame, height)(field.seeds, 0.0)
        assert kept.mean() < 0.5
        row, column = np.nonzero(frame.known)
        points = np.stack([np.full(len(row), height), frame.y_um[row], frame.x_um[column]], 1)
        missed += (~kept[label_points(points, *field[:3]) - 1]).sum()
        pixels += len(points)
    assert missed < 0.002 * pixels


# --- grains of a law -----------------------------------------------------------------------------------------


def test_a_cone_of_grains_stands_for_the_ball():
    """Whole grains of a cone have the sizes, directions and density of those of the whole ball."""
    law, rng = MarkerLaw(8.0, radial_ratio=2.0, size_slope=0.5, radius_um=2.5), np.random.default_rng(9)
    ball = grains_of(law, radius_um=2.5, rng=rng, n_grains=1e6, voxels_per_grain=250)
    cones = [grains_of(law, radius_um=2.5, rng=rng, n_grains=60, voxels_per_grain=250) for _ in range(12)]
    assert len(ball) == pytest.approx(8 * 4 / 3 * np.pi * 2.5**3, rel=0.3)  # fewer: most volume lies outside
    together = [describe_grains(one) for one in cones]
    whole = describe_grains(ball)
    for name in ("diameter_um_d50", "radial_ratio_q50", "volume_um3_mean"):
        values = np.array([one[name] for one in together])
        assert values.mean() == pytest.approx(
            whole[name], abs=4 * values.std() / np.sqrt(len(values)) + 0.03 * whole[name]
        )
    assert ball["distance_um"].max() <= 2.5
    # centred: the mean direction of centroids vanishes
    assert np.abs(ball[["z_um", "y_um", "x_um"]].mean()).max() < 0.12


def test_needles_are_told_from_round_grains():
    rng = np.random.default_rng(10)
    needles = describe_grains(grains_of(MarkerLaw(8.0, radial_ratio=3.5), radius_um=3.0, rng=rng, n_grains=200))
    round_ = describe_grains(grains_of(MarkerLaw(8.0), radius_um=3.0, rng=rng, n_grains=200))
    assert needles["alpha_long_deg_mean"] < 15
    assert round_["alpha_long_deg_mean"] == pytest.approx(57.3, abs=5)
    assert needles["radial_ratio_q50"] > 2.5 > 1.3 > round_["radial_ratio_q50"]
    assert needles["volume_um3_mean"] == pytest.approx(1 / 8, rel=0.15)


def test_no_grains_are_described_by_nan():
    table = grains_of(MarkerLaw(1e-9), radius_um=1.0, rng=np.random.default_rng(0), n_grains=1e-8)
    assert len(table) == 0
    assert all(np.isnan(v) for v in describe_grains(table).values())


def test_labels_of_the_particle_do_not_depend_on_threads():
    law = MarkerLaw(8.0, radial_ratio=2.0)
    field = law.draw((-2, -2, -2), (2, 2, 2), rng=np.random.default_rng(1))
    one, two = (label_grid(*field[:3], shape=(20, 22, 24), spacing=0.1, threads=n) for n in (1, 2))
    assert np.array_equal(one, two)
