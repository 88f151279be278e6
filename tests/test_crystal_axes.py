"""Crystal orientations of grains: directions and spreads that are known, in frames that are not swapped."""

import numpy as np
import pytest

from morpholith import generate, segment
from morpholith.errors import InputError

RNG = np.random.default_rng(0)
CENTRES = RNG.standard_normal((4000, 3)) * [3, 2, 1]
RADIUS = CENTRES / np.linalg.norm(CENTRES, axis=1, keepdims=True)


def c_of(q):
    """The c axis of quaternions in array order, by turning (0, 0, 1)."""
    w, x, y, z = q.T
    return np.stack([1 - 2 * (x * x + y * y), 2 * (y * z - w * x), 2 * (x * z + w * y)], 1)


@pytest.mark.parametrize("kind", ["radial", "tangential", "random"])
def test_quaternions_angles_and_axes_agree(kind):
    got = generate.crystal_axes(CENTRES, kind=kind, spread_deg=10, rng=1)
    np.testing.assert_allclose(np.linalg.norm(got.quaternions, axis=1), 1)
    np.testing.assert_allclose(c_of(got.quaternions), got.c_axes, atol=1e-12)
    again = segment.quaternions(got.euler_rad)
    np.testing.assert_allclose(np.abs((again * got.quaternions).sum(1)), 1, atol=1e-12)
    same = generate.crystal_axes(CENTRES, kind=kind, spread_deg=10, rng=1)
    np.testing.assert_array_equal(same.quaternions, got.quaternions)


def test_radial_axes_lie_along_the_radius_and_scatter_as_asked():
    straight = generate.crystal_axes(CENTRES, rng=1)
    np.testing.assert_allclose(straight.c_axes, RADIUS, atol=1e-9)
    spread = generate.crystal_axes(CENTRES, rng=1, spread_deg=8).c_axes
    angle = np.rad2deg(np.arccos(np.clip((spread * RADIUS).sum(1), -1, 1)))
    assert np.sqrt(np.mean(angle**2) / 2) == pytest.approx(8, rel=0.04)
    away = spread - (spread * RADIUS).sum(1)[:, None] * RADIUS
    assert np.linalg.norm(away.mean(0)) < 0.01  # to all sides alike
    turned = np.rad2deg(straight.euler_rad[:, 2])
    assert np.histogram(turned, 8, (0, 360))[0].min() > 400  # about the c axis at random


def test_tangential_axes_lie_across():
    straight = generate.crystal_axes(CENTRES, kind="tangential", rng=2).c_axes
    np.testing.assert_allclose((straight * RADIUS).sum(1), 0, atol=1e-9)
    one = generate.crystal_axes(np.tile([[0.0, 0, 2]], (4000, 1)), kind="tangential", rng=2).c_axes
    assert np.histogram(np.arctan2(one[:, 0], one[:, 1]), 8, (-np.pi, np.pi))[0].min() > 400
    spread = generate.crystal_axes(CENTRES, kind="tangential", spread_deg=6, rng=2).c_axes
    assert np.rad2deg(np.std(np.arcsin((spread * RADIUS).sum(1)))) == pytest.approx(6, rel=0.05)


def test_random_axes_and_the_middle_have_no_order():
    for c in (
        generate.crystal_axes(CENTRES, kind="random", rng=3).c_axes,
        generate.crystal_axes(np.zeros((4000, 3)), rng=3).c_axes,
        generate.crystal_axes(np.tile([[0.0, 0, 2]], (4000, 1)), spread_deg=2000, rng=3).c_axes,
    ):
        np.testing.assert_allclose(c.T @ c / len(c), np.eye(3) / 3, atol=0.025)
        assert np.abs(c.mean(0)).max() < 0.05


def test_measured_orientations_are_drawn_by_weight():
    euler = np.array([[0.3, 0.8, 1.0], [2.0, 1.2, 0.1]])
    got = generate.crystal_axes(CENTRES, kind="measured", measured_euler_rad=euler, weights=[3, 1], rng=4)
    first = np.abs(got.quaternions @ segment.quaternions(euler[0])) > 1 - 1e-9
    second = np.abs(got.quaternions @ segment.quaternions(euler[1])) > 1 - 1e-9
    assert (first ^ second).all()
    assert first.mean() == pytest.approx(0.75, abs=0.03)


def test_measured_orientations_keep_their_attitude_to_the_radius():
    rng = np.random.default_rng(5)
    made = generate.crystal_axes(rng.standard_normal((50, 3)), kind="random", rng=5)
    towards = rng.standard_normal((50, 3))
    unit = towards / np.linalg.norm(towards, axis=1, keepdims=True)
    got = generate.crystal_axes(
        CENTRES, kind="measured", measured_euler_rad=made.euler_rad, measured_radius=towards, rng=6
    )
    before = np.sort((made.c_axes * unit).sum(1))
    after = (got.c_axes * RADIUS).sum(1)
    nearest = np.abs(after[:, None] - before).min(1)
    assert nearest.max() < 1e-9
    assert len(np.unique(np.round(after, 9))) == 50


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "axial"}, "`kind`"),
        ({"spread_deg": -1}, "`spread_deg`"),
        ({"centres_um": np.zeros(3)}, "`centres_um`"),
        ({"centres_um": np.full((2, 3), np.nan)}, "`centres_um`"),
        ({"kind": "measured"}, "`measured_euler_rad`"),
        ({"kind": "measured", "measured_euler_rad": np.zeros((2, 3)), "weights": [1]}, "`weights`"),
        ({"kind": "measured", "measured_euler_rad": np.zeros((2, 3)), "measured_radius": [[1, 0, 0]]}, "`measured_rad"),
    ],
)
def test_bad_wishes_are_said(change, message):
    with pytest.raises(InputError, match=message):
        generate.crystal_axes(**({"centres_um": CENTRES[:2], "rng": 0} | change))


def test_no_grains_no_axes():
    got = generate.crystal_axes(np.zeros((0, 3)), rng=0)
    assert got.quaternions.shape == (0, 4)
    assert got.euler_rad.shape == got.c_axes.shape == (0, 3)
