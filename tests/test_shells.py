"""Shells: harmonics against scipy, radii of bodies whose surface is known, moments and acceptance of draws."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import sph_harm_y

from morpholith import generate
from morpholith.errors import InputError
from morpholith.generate.harmonics import sphere_rule

BALL = np.sqrt(4 * np.pi)  # a00 of the unit ball


def body(test, *, shape, spacing):
    """Voxels whose centre passes `test`, coordinates in the unit of `spacing`."""
    z, y, x = np.meshgrid(*[np.arange(n) * s for n, s in zip(shape, spacing, strict=True)], indexing="ij")
    return test(z, y, x)


def ellipsoid(semi, centre):
    return lambda z, y, x: (
        ((z - centre[0]) / semi[0]) ** 2 + ((y - centre[1]) / semi[1]) ** 2 + ((x - centre[2]) / semi[2]) ** 2 <= 1
    )


def ellipsoid_radius(semi, u):
    return 1 / np.linalg.norm(u / np.asarray(semi), axis=1)


def test_harmonics_are_those_of_scipy_with_the_condon_shortley_phase():
    u = np.random.default_rng(0).standard_normal((50, 3)) * 3
    z, y, x = u.T
    theta, phi = np.arccos(z / np.linalg.norm(u, axis=1)), np.arctan2(y, x)
    got = generate.real_harmonics(u, degree=9)
    for l in range(10):  # noqa: E741
        for m in range(-l, l + 1):
            value = sph_harm_y(l, abs(m), theta, phi)
            want = value.real if m == 0 else np.sqrt(2) * (value.real if m > 0 else value.imag)
            np.testing.assert_allclose(got[:, l * l + l + m], want, atol=1e-13)
    # the phase, by hand: Y_11 falls along +x, the last axis
    np.testing.assert_allclose(
        generate.real_harmonics([[0, 0, 2.0], [0, 1, 0], [1, 0, 0]], degree=1)[:, 1:],
        np.sqrt(3 / (4 * np.pi)) * np.array([[0, 0, -1], [-1, 0, 0], [0, 1, 0]]),
        atol=1e-15,
    )


@pytest.mark.parametrize("degree", [0, 3, 9])
def test_harmonics_are_orthonormal(degree):
    u, w = sphere_rule(2 * degree)
    basis = generate.real_harmonics(u, degree=degree)
    np.testing.assert_allclose(basis.T @ (w[:, None] * basis), np.eye((degree + 1) ** 2), atol=1e-13)
    assert w.sum() == pytest.approx(4 * np.pi, rel=1e-14)


def test_the_addition_theorem_holds_at_the_poles_too():
    u = np.array([[1.0, 0, 0], [-1, 0, 0], [0, 0, 1], [0.3, -0.2, 0.9]])
    of = generate.degrees_of(9)
    for l in range(10):  # noqa: E741
        total = np.square(generate.real_harmonics(u)[:, of == l]).sum(1)
        np.testing.assert_allclose(total, (2 * l + 1) / (4 * np.pi), rtol=1e-12)


@pytest.mark.parametrize(("subdivisions", "n"), [(0, 12), (1, 42), (2, 162), (3, 642)])
def test_directions_are_even(subdivisions, n):
    u = generate.icosphere(subdivisions)
    assert u.shape == (n, 3)
    np.testing.assert_allclose(np.linalg.norm(u, axis=1), 1, rtol=1e-14)
    np.testing.assert_allclose(u.sum(0), 0, atol=1e-11)
    apart = np.linalg.norm(u[:, None] - u, axis=2) + 9 * np.eye(n)
    nearest = apart.min(1)
    assert nearest.max() / nearest.min() < 1.2
    assert np.linalg.norm(u[:, None] + u, axis=2).min(1).max() < 1e-12  # each has its opposite
    np.testing.assert_array_equal(u[:12], generate.icosphere(0))


def test_a_ball_has_one_coefficient():
    radii = np.array([np.full(642, 2.5), np.full(642, 1.0)])
    a = generate.fit_shell(radii)
    np.testing.assert_allclose(a[:, 0], np.array([2.5, 1]) * BALL, rtol=1e-12)
    np.testing.assert_allclose(a[:, 1:], 0, atol=1e-12)
    np.testing.assert_allclose(generate.shell_volume(a), 4 / 3 * np.pi * np.array([2.5**3, 1]), rtol=1e-12)
    np.testing.assert_allclose(generate.shell_centroid(a), 0, atol=1e-13)


@pytest.mark.parametrize("own", [False, True])
def test_coefficients_come_back(own):
    rng = np.random.default_rng(1)
    a = rng.standard_normal((7, 100))
    u = rng.standard_normal((300, 3)) if own else None
    back = generate.fit_shell(generate.shell_radius(a, u), u)
    np.testing.assert_allclose(back, a, atol=1e-10)
    np.testing.assert_allclose(generate.fit_shell(generate.shell_radius(a[0], u), u), a[0], atol=1e-10)
    single = np.eye(100)[37]
    np.testing.assert_allclose(generate.fit_shell(generate.shell_radius(single)), single, atol=1e-10)


def test_volume_and_centroid_of_a_shell_are_exact():
    """Against sums over ten times as many directions."""
    a = generate.published_shell_model().coefficients(40, np.random.default_rng(2))
    a = a[generate.are_shells(a)]
    u, w = sphere_rule(120)
    r = generate.shell_radius(a, u)
    volume = r**3 @ w / 3
    np.testing.assert_allclose(generate.shell_volume(a), volume, rtol=1e-12)
    want = r**4 @ (w[:, None] * u) / 4 / volume[:, None]
    np.testing.assert_allclose(generate.shell_centroid(a), want, atol=1e-11)
    assert np.abs(want).max() > 1
    assert generate.shell_volume(a[0]).shape == ()


@pytest.mark.parametrize(
    ("shape", "spacing", "semi", "centre"),
    [
        ((40, 46, 52), (1, 1, 1), (12.3, 12.3, 12.3), (18.2, 25.7, 20.4)),
        ((60, 50, 40), (0.5, 0.6, 0.7), (8.0, 11.0, 10.0), (13.1, 14.2, 13.3)),
        ((30, 61, 64), (1.0, 0.5, 0.25), (9.0, 12.0, 6.0), (14.9, 15.2, 8.1)),
    ],
)
def test_radii_of_ellipsoids_are_found_within_a_fraction_of_a_voxel(shape, spacing, semi, centre):
    u = generate.icosphere()
    mask = body(ellipsoid(semi, centre), shape=shape, spacing=spacing)
    got = generate.radius_function(mask, spacing=spacing, centre=centre)
    error = got - ellipsoid_radius(semi, u)
    assert np.sqrt(np.mean(error**2)) < 0.35 * max(spacing)
    assert -0.06 * max(spacing) < error.mean() < 0.02 * max(spacing)
    own = generate.radius_function(mask, spacing=spacing)  # about the centroid of its voxels
    assert np.abs(own - got).max() < 0.6 * max(spacing)
    labels = np.where(mask, 5, 2)
    np.testing.assert_array_equal(generate.radius_function(labels, spacing=spacing, centre=centre, label=5), got)
    a = generate.fit_shell(got)
    assert generate.shell_volume(a) == pytest.approx(4 / 3 * np.pi * np.prod(semi), rel=0.02)
    np.testing.assert_allclose(generate.shell_centroid(a), 0, atol=0.1 * max(spacing))


def test_axes_are_not_swapped():
    semi, spacing = (5.0, 8.0, 12.0), (1.0, 1.0, 1.0)
    mask = body(ellipsoid(semi, (7, 10, 15)), shape=(15, 22, 30), spacing=spacing)
    got = generate.radius_function(mask, spacing=1.0, centre=(7, 10, 15), directions=np.eye(3) * 4)
    np.testing.assert_allclose(got, np.add(semi, 0.5), atol=0.01)  # the last centre on an axis lies on the surface
    assert generate.radius_function(np.ones((1, 1, 1), bool), spacing=2.0, directions=np.eye(3)) == pytest.approx(1)


def test_a_ray_ends_at_its_first_exit():
    mask = np.zeros((9, 9, 30), bool)
    mask[:, :, :12] = mask[:, :, 20:] = True
    got = generate.radius_function(mask, spacing=(1, 1, 0.5), centre=(4, 4, 1.5), directions=[[0, 0, 1], [0, 0, -1]])
    np.testing.assert_allclose(got, [(11.5 - 3) * 0.5, 3.5 * 0.5], atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mask": np.zeros((4, 4, 4), bool)}, "no voxel"),
        ({"label": 9}, "no voxel of the particle 9"),
        ({"centre": (0, 0, 0)}, "inside the particle"),
        ({"centre": (np.nan, 0, 0)}, "inside the particle"),
        ({"directions": np.zeros((3, 3))}, "`directions`"),
        ({"mask": np.ones((4, 4))}, "3D array of integer labels"),
        ({"spacing": 0}, "`spacing`"),
    ],
)
def test_bad_volumes_are_said(change, message):
    mask = np.zeros((8, 8, 8), int)
    mask[2:6, 2:6, 2:6] = 1
    with pytest.raises(InputError, match=message):
        generate.radius_function(**({"mask": mask, "spacing": 1.0} | change))


def test_few_directions_and_bad_radii_are_said():
    with pytest.raises(InputError, match="directions fix only 40 of 100"):
        generate.fit_shell(np.ones(40), np.random.default_rng(0).standard_normal((40, 3)))
    half = np.abs(np.random.default_rng(0).standard_normal((50, 3))) * [0, 1, 1]
    with pytest.raises(InputError, match="whole sphere"):
        generate.fit_shell(np.ones(50), half, degree=3)
    with pytest.raises(InputError, match="`radii`"):
        generate.fit_shell(np.full(642, np.nan))
    with pytest.raises(InputError, match="`radii`"):
        generate.fit_shell(np.ones(641))
    with pytest.raises(InputError, match="last axis"):
        generate.shell_radius(np.ones(99))
    with pytest.raises(InputError, match="longer than 0"):
        generate.real_harmonics(np.zeros((1, 3)))
    with pytest.raises(InputError, match="`degree`"):
        generate.real_harmonics(np.ones((1, 3)), degree=-1)


def test_rotations_turn_the_shape_and_keep_the_power_of_each_degree():
    rng = np.random.default_rng(3)
    a = rng.standard_normal((5, 100))
    r = generate.random_rotations(5, rng=4)
    np.testing.assert_allclose(r @ r.swapaxes(1, 2), np.broadcast_to(np.eye(3), r.shape), atol=1e-14)
    np.testing.assert_allclose(np.linalg.det(r), 1, rtol=1e-13)
    u = rng.standard_normal((30, 3))
    each, one = generate.rotated(a, r), generate.rotated(a, r[2])
    for k in range(5):
        np.testing.assert_allclose(
            generate.shell_radius(each[k], u @ r[k].T), generate.shell_radius(a[k], u), atol=1e-11
        )
    np.testing.assert_allclose(one[2], each[2], atol=1e-12)
    np.testing.assert_allclose(generate.rotated(a[2], r[2]), each[2], atol=1e-12)
    np.testing.assert_allclose(generate.shell_power(each), generate.shell_power(a), rtol=1e-11)
    np.testing.assert_allclose(generate.shell_power(a).sum(1), np.square(a).sum(1), rtol=1e-12)
    assert np.abs(each - a).max() > 1
    # turning the sampled directions is the same thing
    u = generate.icosphere()
    np.testing.assert_allclose(generate.fit_shell(generate.shell_radius(a), u @ r[1].T)[1], each[1], atol=1e-10)
    for wrong in (2 * r, r[:3], np.eye(2)):
        with pytest.raises(InputError, match="`rotation`"):
            generate.rotated(a, wrong)


def test_random_rotations_are_uniform():
    r = generate.random_rotations(20_000, rng=0)
    for column in range(3):
        assert stats.kstest(r[:, column, 0], stats.uniform(-1, 2).cdf).pvalue > 1e-3
    np.testing.assert_allclose(np.trace(r, axis1=1, axis2=2).mean(), 0, atol=0.03)
    np.testing.assert_array_equal(r[:5], generate.random_rotations(20_000, rng=0)[:5])


def test_a_shifted_ellipsoid_finds_its_centre():
    u, semi, shift = generate.icosphere(), np.array([5.0, 5.6, 6.2]), np.array([0.6, -0.4, 0.5])
    # seen from `shift`: |(shift + r u) / semi| = 1
    a, b, c = ((u / semi) ** 2).sum(1), (u * shift / semi**2).sum(1), ((shift / semi) ** 2).sum() - 1
    shell = generate.fit_shell((-b + np.sqrt(b * b - a * c)) / a)
    np.testing.assert_allclose(generate.shell_centroid(shell), -shift, atol=1e-5)
    got = generate.recentred(shell)
    np.testing.assert_allclose(got.moved, [-shift], atol=1e-4)
    np.testing.assert_allclose(generate.shell_centroid(got.coefficients), 0, atol=1e-4)
    np.testing.assert_allclose(generate.shell_radius(got.coefficients)[0], ellipsoid_radius(semi, u), rtol=1e-4)
    assert generate.shell_volume(got.coefficients)[0] == pytest.approx(generate.shell_volume(shell), rel=1e-5)
    assert got.residual[0] < 1e-4
    assert generate.shell_power(got.coefficients)[0, 1] < 1e-3 * generate.shell_power(shell)[1]
    with pytest.raises(InputError, match="reject"):
        generate.recentred(-shell)
    assert generate.recentred(np.zeros((0, 100))).coefficients.shape == (0, 100)


def test_families_have_the_moments_they_name():
    rng = np.random.default_rng(0)
    normal = generate.Family("normal", 2.0, loc=1.0).draw(200_000, rng)
    assert (normal.mean(), normal.std()) == (pytest.approx(1, abs=0.02), pytest.approx(2, rel=0.01))
    log_normal = generate.Family("log_normal", 70.0, loc=-29.83, shape=0.4).draw(200_000, rng)
    truth = stats.lognorm(0.4, -29.83, 70.0)
    assert log_normal.mean() == pytest.approx(truth.mean(), rel=0.005)
    assert log_normal.std() == pytest.approx(truth.std(), rel=0.02)
    for nu, tau in ((2.22, 3.51), (4.64, 2.79)):
        drawn = generate.Family("student_t", tau, shape=nu).draw(100_000, rng)
        assert stats.kstest(drawn, stats.t(nu, scale=tau).cdf).pvalue > 1e-3
        assert stats.kstest(drawn, stats.t(nu, scale=0.9 * tau).cdf).pvalue < 1e-6


@pytest.mark.parametrize(
    "wrong", [{"kind": "cauchy"}, {"scale": -1.0}, {"shape": 0.0}, {"loc": np.nan}, {"scale": np.inf}]
)
def test_bad_families_are_said(wrong):
    with pytest.raises(InputError):
        generate.Family(**({"kind": "normal", "scale": 1.0} | wrong))


def test_coefficients_of_a_degree_share_a_family_and_no_other():
    model = generate.published_shell_model()
    a = model.coefficients(20_000, np.random.default_rng(1))
    assert model.degree == 9
    # Table 1 with the printed 0.021 of degree 7 read as 0.21, as its neighbours demand
    tau = [family.scale for family in model.families[1:]]
    assert tau == sorted(tau, reverse=True) == [3.51, 2.79, 0.98, 0.56, 0.37, 0.28, 0.21, 0.17, 0.15]
    assert [family.shape for family in model.families] == [0.4, 2.22, 4.64, 2.84, 2.43, 2.28, 2.26, 2.20, 2.17, 2.22]
    quartiles = np.percentile(np.abs(a), 50, axis=0)
    for l, family in enumerate(model.families[1:], start=1):  # noqa: E741
        want = family.scale * stats.t(family.shape).ppf(0.75)
        np.testing.assert_allclose(quartiles[l * l : (l + 1) ** 2], want, rtol=0.05)
    assert quartiles[0] == pytest.approx(70 - 29.83, rel=0.02)
    ranks = stats.spearmanr(a[:, :16]).statistic - np.eye(16)
    assert np.abs(ranks).max() < 0.05


def test_shells_are_those_with_radii_above_zero():
    a = generate.published_shell_model().coefficients(3000, np.random.default_rng(5))
    want = (generate.shell_radius(a) > 0).all(1)
    np.testing.assert_array_equal(generate.are_shells(a), want)
    assert 0.3 < want.mean() < 0.9
    assert generate.are_shells(np.array([[1.0], [-1.0]])).tolist() == [True, False]
    # a radius below zero at one direction alone is seen
    u = generate.icosphere()
    for k in (0, 100, 641):
        peak = generate.real_harmonics(u[k : k + 1])[0]
        shape = -peak / (peak @ peak)
        shape[0] += BALL * 0.99
        assert not generate.are_shells(shape[None])[0]
        assert generate.are_shells((shape + 0.02 * BALL * np.eye(100)[0])[None])[0]


@pytest.mark.parametrize(("scale", "low", "high"), [(70.0, 0.55, 0.62), (80.0, 0.67, 0.72), (100.0, 0.82, 0.86)])
def test_acceptance_of_the_published_model(scale, low, high):
    draw = generate.draw_shells(generate.published_shell_model(scale=scale), 4000, rng=2)
    assert low < draw.acceptance < high
    assert draw.tried > draw.accepted >= len(draw.coefficients) == 4000
    assert (generate.shell_radius(draw.coefficients) > 0).all()


def test_draws_repeat_and_may_be_none():
    model = generate.published_shell_model()
    one, two = (generate.draw_shells(model, 50, rng=7) for _ in range(2))
    np.testing.assert_array_equal(one.coefficients, two.coefficients)
    assert not np.array_equal(one.coefficients, generate.draw_shells(model, 50, rng=8).coefficients)
    none = generate.draw_shells(model, 0, rng=0)
    assert none.coefficients.shape == (0, 100)
    assert np.isnan(none.acceptance)
    ball = generate.draw_shells(generate.ShellModel((generate.Family("normal", 0.0, loc=5.0),)), 3, rng=0)
    np.testing.assert_array_equal(ball.coefficients, [[5.0]] * 3)
    assert ball.acceptance == 1


def test_hopeless_models_are_said():
    wild = generate.ShellModel((generate.Family("normal", 0.0, loc=-1.0), generate.Family("normal", 1.0)))
    with pytest.raises(InputError, match="too wide"):
        generate.draw_shells(wild, 1, rng=0)
    with pytest.raises(InputError, match="`n`"):
        generate.draw_shells(wild, -1, rng=0)
    with pytest.raises(InputError, match="degree 0"):
        generate.ShellModel(())
    with pytest.raises(InputError, match="`scale`"):
        generate.published_shell_model(scale=0)
