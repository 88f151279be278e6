"""Structures of known transport: their exact answers against an independent solver and against limits."""

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import cg, spsolve

from morpholith.errors import InputError
from morpholith.specimens import inclined_channels, laminate, sphere_packing, straight_channels
from morpholith.specimens.channels import layered_diffusivity, sphere_array_diffusivity


def effective(pore, spacing):
    """Deff / D0 along z by finite volumes: five lines that share nothing with the package."""
    number = np.where(pore, np.cumsum(pore).reshape(pore.shape) - 1, -1)
    n, (dz, dy, dx) = int(pore.sum()), spacing
    rows, cols, g = [], [], []
    for axis, conductance in enumerate((dy * dx / dz, dz * dx / dy, dz * dy / dx)):
        a, b = (np.moveaxis(number, axis, 0)[s].ravel() for s in (np.s_[:-1], np.s_[1:]))
        ok = (a >= 0) & (b >= 0)
        rows, cols, g = [*rows, a[ok]], [*cols, b[ok]], [*g, np.full(ok.sum(), conductance)]
    rows, cols, g = (np.concatenate(v) for v in (rows, cols, g))
    face = 2 * dy * dx / dz
    first, last = (number[k][number[k] >= 0] for k in (0, -1))
    diagonal = np.bincount(rows, g, n) + np.bincount(cols, g, n) + face * np.bincount(first, minlength=n)
    diagonal += face * np.bincount(last, minlength=n)
    matrix = sparse.coo_matrix((-g, (rows, cols)), (n, n))
    matrix = (matrix + matrix.T + sparse.diags(np.where(diagonal > 0, diagonal, 1))).tocsr()
    source = face * np.bincount(last, minlength=n)
    if pore.shape[2] == 1:
        x = spsolve(matrix, source)
    else:
        x, info = cg(matrix, source, rtol=1e-8, M=sparse.diags(1 / matrix.diagonal()))
        assert info == 0
    flux = face * x[first].sum()
    return flux * pore.shape[0] * dz / (pore.shape[1] * dy * pore.shape[2] * dx)


def test_laminates_block_or_lead_straight():
    across = laminate((12, 6, 9), spacing=(1, 2, 3), pore_voxels=2, solid_voxels=1, axis=0)
    assert np.isinf(across.tau)
    assert across.relative_diffusivity == 0
    assert across.porosity == across.pore.mean() == pytest.approx(2 / 3)
    along = laminate((12, 6, 9), spacing=(1, 2, 3), pore_voxels=2, solid_voxels=1, axis=2)
    assert along.tau == 1
    assert along.pore[:, :, 2].sum() == 0
    assert effective(along.pore, along.spacing) == pytest.approx(along.relative_diffusivity, rel=1e-6)
    open_space = laminate((5, 5, 5), spacing=(1, 1, 1), pore_voxels=1, solid_voxels=0, axis=0)
    assert open_space.tau == 1
    assert open_space.porosity == 1


def test_layers_in_series_and_in_parallel():
    assert layered_diffusivity([1.0, 0.1], [1.0, 3.0]) == pytest.approx((4 / 31, 1.3 / 4))


def test_straight_channels_are_straight():
    c = straight_channels((7, 12, 15), spacing=(0.7, 1.1, 0.9), width_voxels=2, wall_voxels=1)
    assert c.porosity == pytest.approx(4 / 9)
    assert effective(c.pore, c.spacing) == pytest.approx(c.porosity, rel=1e-6)


@pytest.mark.parametrize(("angle", "width", "height"), [(30, 2.0, 8.0), (50, 3.0, 4.0), (20, 6.0, 3.0)])
def test_inclined_slit_against_finite_volumes(angle, width, height):
    """The staircase costs a term linear in the voxel: taken off by two grids."""
    side = width + height * np.tan(np.deg2rad(angle)) + 0.5
    found = []
    for n in (60, 120):
        spacing = (height / n, height / n * 0.8, 1.0)
        shape = (n, int(np.ceil(side / spacing[1])), 1)
        c = inclined_channels(shape, spacing=spacing, width_um=width, angle_deg=angle)
        found.append(width / (shape[1] * spacing[1]) / effective(c.pore, spacing))
        assert c.porosity == pytest.approx(c.pore.mean(), rel=0.02)
    assert 2 * found[1] - found[0] == pytest.approx(c.tau, rel=0.006)
    assert 1 < c.tau < 1 / np.cos(np.deg2rad(angle)) ** 2


def test_long_slit_tends_to_the_cosine_and_upright_to_one():
    long = inclined_channels((400, 260, 1), spacing=(1, 1, 1), width_um=2, angle_deg=30)
    assert long.tau == pytest.approx(4 / 3, rel=2e-3)
    assert long.tau < 4 / 3
    upright = inclined_channels((40, 26, 1), spacing=(1, 1, 1), width_um=7, angle_deg=0)
    assert upright.tau == pytest.approx(1, rel=1e-6)


def test_both_expressions_for_the_slit_meet():
    from morpholith.specimens.channels import _parallelogram_resistance as resistance

    below, above = (resistance(s * np.sin(np.pi * (0.5 - 40 / 180)), 1.0, 40) for s in (8 - 1e-6, 8 + 1e-6))
    assert above - below == pytest.approx(2e-6, abs=1e-6)


@pytest.mark.parametrize("lattice", ["sc", "fcc"])
def test_spheres_against_finite_volumes(lattice):
    """The voxel error is linear in the voxel and scatters with how the grid meets the spheres: a fit over grids.

    An eighth of the cell will do: its middle planes are mirrors.
    """
    half = np.array([20, 23, 26, 29, 32, 36])
    tau = []
    for n in half:
        c = sphere_packing(2 * n, solid=0.4, lattice=lattice)
        assert c.pore.mean() == pytest.approx(0.6, abs=0.01)
        eighth = c.pore[:n, :n, :n]
        tau.append(eighth.mean() / effective(eighth, c.spacing))
    assert np.polyfit(1 / half, tau, 1)[1] == pytest.approx(c.tau, rel=0.01)
    assert min(tau) > c.tau


def test_spheres_in_the_dilute_limit_and_below_the_bound():
    for lattice in ("sc", "fcc"):
        assert sphere_array_diffusivity(1e-3, lattice=lattice) == pytest.approx(1 - 1.5e-3, abs=1e-6)
        for solid in (0.2, 0.4):
            bound = (1 - solid) / (1 + solid / 2)  # Hashin and Shtrikman, from above
            value = sphere_array_diffusivity(solid, lattice=lattice)
            assert 0.95 * bound < value < bound


def test_multipoles_have_converged():
    for lattice, solid in (("sc", 0.45), ("fcc", 0.6)):
        low, high = (sphere_array_diffusivity(solid, lattice=lattice, order=k) for k in (17, 21))
        assert low == pytest.approx(high, rel=2e-7)
    # Sangani and Acrivos (1983) print 13 terms for sc; the first correction to Maxwell has 1.305 c^(10/3)
    c = 0.1
    series = 1 - 3 * c / (2 + c - 1.305 * 0.75 * c ** (10 / 3) / (1 + 0.405 * 0.75 * c ** (7 / 3)))
    assert sphere_array_diffusivity(c, lattice="sc") == pytest.approx(series, abs=1e-6)


def test_impossible_structures_are_refused():
    with pytest.raises(InputError, match="needs 12"):
        inclined_channels((10, 10, 1), spacing=(1, 1, 1), width_um=2, angle_deg=45)
    with pytest.raises(InputError, match="`angle_deg`"):
        inclined_channels((10, 10, 1), spacing=(1, 1, 1), width_um=2, angle_deg=89)
    with pytest.raises(InputError, match="`solid` must lie in"):
        sphere_packing(10, solid=0.6, lattice="sc")
    with pytest.raises(InputError, match="`lattice`"):
        sphere_packing(10, solid=0.2, lattice="bcc")
