"""Specific surface of bodies and planes whose area is known, on cubic and long voxels."""

import os
import subprocess
import sys

import numpy as np
import pytest
from _solids import ball, box, cylinder, ellipsoid, ellipsoid_surface, gaussian_field, turn

from morpholith.errors import InputError
from morpholith.measure import specific_surface
from morpholith.measure.surface3d import area_cells, areas_of_cells, surface_of_cells

CUBIC, LONG, ODD = (1.0, 1.0, 1.0), (2.0, 1.0, 1.0), (1.5, 1.0, 0.75)


def area(mask, spacing):
    return float(areas_of_cells(area_cells(mask, spacing=spacing), spacing=spacing))


@pytest.mark.parametrize("spacing", [CUBIC, LONG, ODD])
@pytest.mark.parametrize(("radius", "bias", "n"), [(3, 0.05, 12), (5, 0.015, 12), (10, 0.006, 4), (20, 0.004, 1)])
def test_balls(radius, bias, n, spacing):
    rng = np.random.default_rng(radius)
    found = [area(ball(radius, spacing, rng), spacing) / (4 * np.pi * radius**2) for _ in range(n)]
    assert np.mean(found) == pytest.approx(1, abs=bias)


@pytest.mark.parametrize("spacing", [CUBIC, LONG])
@pytest.mark.parametrize("semi", [(12, 6, 6), (6, 6, 12), (8, 8, 4), (15, 5, 5)])
def test_ellipsoids_upright_and_turned(semi, spacing):
    rng = np.random.default_rng(1)
    true = ellipsoid_surface(*semi)
    upright = [area(ellipsoid(semi, spacing, rng, np.eye(3)), spacing) / true for _ in range(4)]
    assert np.mean(upright) == pytest.approx(1, abs=0.015)
    turned = [area(ellipsoid(semi, spacing, rng, turn(rng)), spacing) / true for _ in range(4)]
    assert np.mean(turned) == pytest.approx(1, abs=0.015)


def test_sharp_edges_lose_little_and_never_gain():
    rng = np.random.default_rng(2)
    for half, least in ((6, -0.04), (20, -0.015)):
        lost = area(box((half,) * 3, CUBIC, rng, np.eye(3)), CUBIC) / (6 * round(2 * half) ** 2) - 1
        assert least < lost < 0
    turned = [area(box((10, 5, 8), CUBIC, rng, turn(rng)), CUBIC) / 1360 for _ in range(4)]
    assert np.mean(turned) == pytest.approx(1, abs=0.015)
    true = 2 * np.pi * 6 * (6 + 20)
    turned = [area(cylinder(6, 10, ODD, rng, turn(rng)), ODD) / true for _ in range(4)]
    assert np.mean(turned) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("spacing", [CUBIC, (3.0, 1.0, 1.0)])
@pytest.mark.parametrize("normal", [(1, 0, 0), (0, 1, 0), (1, 1, 0), (1, 1, 1), (2, 1, 0), (0.3, 0.9, -0.5)])
def test_planes_of_any_direction(normal, spacing):
    normal = np.array(normal) / np.linalg.norm(normal)
    shape = (24, 40, 44)
    centre = (np.array(shape) - 1) / 2 * spacing
    points = np.moveaxis(np.indices(shape), 0, -1) * np.array(spacing) - centre
    mask = points @ normal < 0.21
    # true area: a fine grid of points of the plane that lie within the frame of voxel centres
    one = np.linalg.svd(normal[None])[2]
    t = np.linspace(-90, 90, 1201)
    plane = 0.21 * normal + t[:, None, None] * one[1] + t[None, :, None] * one[2]
    true = (np.abs(plane) <= np.array(shape) / 2 * spacing).all(-1).sum() * (t[1] - t[0]) ** 2
    assert area(mask, spacing) == pytest.approx(true, rel=0.02 if spacing == CUBIC else 0.045)


def test_faces_of_the_volume_are_no_surface():
    mask = np.zeros((12, 14, 16), bool)
    mask[:, :7] = True
    found = specific_surface(mask, spacing=(0.5, 0.4, 0.3))
    assert found.value == pytest.approx(1 / (14 * 0.4), rel=0.03)
    assert found.unit == "1/um"
    for alone in (mask | True, mask & False):
        nothing = specific_surface(alone, spacing=CUBIC)
        assert nothing.value == 0
        assert nothing.low is None


def test_blocks_add_up_to_the_whole():
    rng = np.random.default_rng(3)
    mask = gaussian_field((24, 32, 40), 3, rng) > 0.3
    whole = area_cells(mask, spacing=ODD, cell=(8, 8, 8))
    np.testing.assert_array_equal(whole[..., 5], 512)
    shifted = area_cells(
        mask[:, 8:], spacing=ODD, cell=(8, 8, 8), start=(0, 8, 0)
    )  # a block whose outermost cells are a halo
    np.testing.assert_array_equal(whole[:, 2:], shifted[:, 1:])
    q = surface_of_cells(whole, spacing=ODD)
    assert q == surface_of_cells(area_cells(mask, spacing=ODD, cell=(8, 8, 8)), spacing=ODD)
    assert q.value == pytest.approx(specific_surface(mask, spacing=ODD).value, rel=1e-12)


def test_axes_and_complement_and_scale():
    rng = np.random.default_rng(4)
    mask = gaussian_field((24, 30, 36), 3, rng) > 0.2
    here = specific_surface(mask, spacing=ODD)
    there = specific_surface(mask.transpose(2, 0, 1), spacing=(ODD[2], ODD[0], ODD[1]))
    assert there.value == pytest.approx(here.value, rel=0.01)
    assert specific_surface(~mask, spacing=ODD).value == pytest.approx(here.value, rel=0.01)
    assert specific_surface(mask, spacing=tuple(2 * s for s in ODD)).value == pytest.approx(here.value / 2)
    swapped = specific_surface(mask.transpose(2, 0, 1), spacing=ODD)
    assert abs(swapped.value / here.value - 1) > 0.03  # and a wrong order of the axes is seen


def test_interval_covers_the_surface_of_a_material():
    """Boundary of a Gaussian field at level u: S_v = 2 / (pi length) exp(-u^2 / 2) (Rice, Adler)."""
    rng = np.random.default_rng(5)
    true = 2 / np.pi / 4 * np.exp(-(0.3**2) / 2)
    big = gaussian_field((144, 144, 144), 4, rng) > 0.3
    covered = []
    for _ in range(60):
        z, y, x = rng.integers(0, 144 - 44, 3)
        q = specific_surface(big[z : z + 44, y : y + 40, x : x + 42], spacing=1.0)
        covered.append(q.low <= true <= q.high)
    assert 0.85 <= np.mean(covered) <= 1
    assert specific_surface(big, spacing=1.0).value == pytest.approx(true, rel=0.03)


def test_same_bits_for_any_number_of_threads():
    code = (
        "import numpy as np; from morpholith.measure.surface3d import area_cells;"
        "m = np.random.default_rng(0).random((40, 30, 20)) < 0.4;"
        "print(hash(area_cells(m, spacing=(1, 1, 2)).tobytes()))"
    )
    found = set()
    for n in ("1", "2"):
        environment = {**os.environ, "NUMBA_NUM_THREADS": n, "PYTHONHASHSEED": "0"}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
        found.add(done.stdout)
    assert len(found) == 1


def test_wrong_input_is_named():
    with pytest.raises(InputError, match="boolean"):
        specific_surface(np.full((4, 4, 4), 3), spacing=1.0)
    with pytest.raises(InputError, match="volume"):
        specific_surface(np.zeros((4, 4), bool), spacing=1.0)
    with pytest.raises(InputError, match="spacing"):
        specific_surface(np.zeros((4, 4, 4), bool), spacing=(1.0, 0.0, 1.0))
    with pytest.raises(InputError, match="level"):
        specific_surface(np.zeros((4, 4, 4), bool), spacing=1.0, level=95)
    assert np.isnan(specific_surface(np.zeros((0, 4, 4), bool), spacing=1.0).value)
    assert "single slice" in specific_surface(np.eye(9, dtype=bool)[None], spacing=1.0).warning
