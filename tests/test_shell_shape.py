"""Form of shells: bodies whose volume, surface, hull and callipers are known."""

import numpy as np
import pytest
from scipy.special import ellipeinc, ellipkinc

from morpholith import generate, measure
from morpholith.errors import InputError, InputWarning

BALL = np.sqrt(4 * np.pi)


def spheroid(a, c):
    """Coefficients, to degree 14, of a spheroid with half axes c along z and a across."""
    u = generate.icosphere(4)
    r = 1 / np.sqrt((u[:, 0] / c) ** 2 + (u[:, 1] / a) ** 2 + (u[:, 2] / a) ** 2)
    return generate.fit_shell(r, u, degree=14)


def test_balls_are_balls_in_um():
    a = np.zeros((2, 100))
    a[:, 0] = [10 * BALL, 20 * BALL]
    got = measure.shell_shapes(a, voxel_um=0.128)
    r = np.array([1.28, 2.56])
    np.testing.assert_allclose(got["volume_um3"], 4 / 3 * np.pi * r**3)
    np.testing.assert_allclose(got["surface_um2"], 4 * np.pi * r**2, rtol=1e-9)
    for name in ("diameter_um", "d_max_um", "d_min_um", "feret_max_um"):
        np.testing.assert_allclose(got[name], 2 * r, rtol=1e-9)
    np.testing.assert_allclose(got["feret_min_um"], 2 * r, rtol=0.006)
    for name in ("sphericity", "compactness", "aspect_ratio"):
        np.testing.assert_allclose(got[name], 1, rtol=1e-9)


@pytest.mark.parametrize(("a", "c"), [(1.0, 1.5), (1.3, 0.9)])
def test_spheroids_have_the_surface_and_callipers_of_the_book(a, c):
    got = measure.shell_shapes(spheroid(a, c)).iloc[0]
    e = np.sqrt(1 - min(a, c) ** 2 / max(a, c) ** 2)
    surface = 2 * np.pi * a**2 * ((1 + c / a * np.arcsin(e) / e) if c > a else (1 + (1 - e**2) / e * np.arctanh(e)))
    assert got["surface_um2"] == pytest.approx(surface, rel=2e-4)
    assert got["volume_um3"] == pytest.approx(4 / 3 * np.pi * a * a * c, rel=2e-4)
    for name in ("d_max_um", "feret_max_um"):
        assert got[name] == pytest.approx(2 * max(a, c), rel=3e-3)
    for name in ("d_min_um", "feret_min_um"):
        assert got[name] == pytest.approx(2 * min(a, c), rel=6e-3)
    assert got["compactness"] == pytest.approx(1, abs=1e-4)
    wadell = np.pi ** (1 / 3) * (6 * got["volume_um3"]) ** (2 / 3) / surface
    assert got["sphericity"] == pytest.approx(wadell, rel=3e-4)


def test_a_three_axial_ellipsoid_too():
    s = np.array([0.8, 1.0, 1.3])  # z, y, x
    u = generate.icosphere(4)
    got = measure.shell_shapes(generate.fit_shell(1 / np.linalg.norm(u / s, axis=1), u, degree=14)).iloc[0]
    c, b, a = s
    phi = np.arccos(c / a)
    k2 = a**2 * (b**2 - c**2) / (b**2 * (a**2 - c**2))
    surface = 2 * np.pi * c**2 + 2 * np.pi * a * b / np.sin(phi) * (
        ellipeinc(phi, k2) * np.sin(phi) ** 2 + ellipkinc(phi, k2) * np.cos(phi) ** 2
    )
    assert got["surface_um2"] == pytest.approx(surface, rel=2e-4)
    assert got["aspect_ratio"] == pytest.approx(1.3 / 0.8, rel=5e-3)
    assert got["aspect_ratio_feret"] == pytest.approx(1.3 / 0.8, rel=8e-3)


def test_a_ball_seen_off_its_centre_keeps_its_callipers_and_not_its_chords():
    """The star point is not the centre: chords through it tell another story than Feret diameters."""
    u = generate.icosphere(4)
    along = 0.5 * u[:, 2]
    a = generate.fit_shell(along + np.sqrt(along**2 - 0.25 + 1), u, degree=14)
    got = measure.shell_shapes(a).iloc[0]
    assert got["feret_max_um"] == pytest.approx(2, rel=3e-3)
    assert got["feret_min_um"] == pytest.approx(2, rel=8e-3)
    assert got["d_max_um"] == pytest.approx(2, rel=3e-3)
    assert got["d_min_um"] == pytest.approx(2 * np.sqrt(0.75), rel=3e-3)
    assert got["sphericity"] == pytest.approx(1, abs=1e-3)


def test_dents_lower_compactness_as_the_hull_says():
    """r = 1 + P2-like: against a hull and a volume computed on a finer mesh."""
    from scipy.spatial import ConvexHull

    a = np.zeros(100)
    a[0], a[6], a[20] = BALL, 0.7, -0.5
    got = measure.shell_shapes(a).iloc[0]
    u = generate.icosphere(5)
    hull = ConvexHull(generate.shell_radius(a, u)[:, None] * u)
    assert got["compactness"] == pytest.approx(generate.shell_volume(a) / hull.volume, rel=4e-3)
    assert got["compactness"] < 0.97
    assert got["feret_max_um"] >= got["d_max_um"] * (1 - 2e-3)
    turned = measure.shell_shapes(generate.rotated(a, generate.random_rotations(1, rng=1)[0])).iloc[0]
    np.testing.assert_allclose(turned, got, rtol=0.01)


def test_what_is_no_shell_is_nan_and_said():
    a = np.zeros((3, 16))
    a[:, 0] = [BALL, BALL, 2 * BALL]
    a[1, 2] = 9
    with pytest.warns(InputWarning, match="1 of 3 rows"):
        got = measure.shell_shapes(a)
    assert got.loc[1].isna().all()
    assert got["diameter_um"][2] == pytest.approx(4)
    assert len(measure.shell_shapes(np.zeros((0, 100)))) == 0
    with pytest.raises(InputError, match="last axis"):
        measure.shell_shapes(np.ones((2, 15)))
    with pytest.raises(InputError, match="voxel_um"):
        measure.shell_shapes(a, voxel_um=0)
