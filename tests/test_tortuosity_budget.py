"""The error budget of tau covers what is known exactly, and how uncertainties come together."""

import numpy as np
import pytest

from morpholith import measure
from morpholith.errors import InputError
from morpholith.image import Quantity
from morpholith.measure.electrode import without_blur
from morpholith.measure.tortuosity_budget import TERMS, lump
from morpholith.specimens import sphere_packing


def _field(n, fraction, seed=0, sigma=2.5):
    from scipy import ndimage

    values = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((n, n + 4, n + 8)), sigma)
    return values < np.quantile(values, fraction)


@pytest.mark.parametrize("fraction", [0.05, 0.4, 0.77])
def test_lumping_keeps_the_fraction(fraction):
    mask = _field(40, fraction)
    for factor in (2, 4):
        coarse = lump(mask, factor=factor)
        assert coarse.shape == tuple(n // factor for n in mask.shape)
        assert coarse.mean() == pytest.approx(mask.mean(), abs=1.5 / coarse.size + 0.5 / coarse.size)


def test_lumping_a_coarse_pattern_gives_it_back():
    coarse = _field(12, 0.5, sigma=1.0)
    fine = coarse.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    np.testing.assert_array_equal(lump(fine), coarse)
    with pytest.raises(InputError, match="cannot be lumped"):
        lump(np.ones((1, 4, 4), bool))


@pytest.mark.parametrize("n", [32, 48])
def test_the_budget_covers_an_array_of_spheres_and_extrapolation_comes_nearer(n):
    made = sphere_packing(n, solid=0.4)
    found = measure.tortuosity_budget(made.pore, axis=0, spacing=made.spacing)
    assert found.tau.low <= made.tau <= found.tau.high
    assert found.solution.tau > made.tau  # staircases err upwards
    assert abs(found.extrapolated - made.tau) < 0.6 * abs(found.solution.tau - made.tau)
    assert set(found.terms) == set(TERMS)
    assert found.terms["voxel size"][0] < 0 < found.terms["voxel size"][1]


def test_threshold_and_blur_are_in_the_interval():
    mask = _field(40, 0.5)
    wide, narrow = _field(40, 0.56), _field(40, 0.44)
    plain = measure.tortuosity_budget(mask, axis=1, spacing=1.0)
    more = measure.tortuosity_budget(mask, axis=1, spacing=1.0, alternatives=(wide, narrow), blur_um=1.2)
    assert plain.terms["threshold"] == plain.terms["blur"] == (0.0, 0.0)
    low, high = more.terms["threshold"]
    tau = [measure.tortuosity_factor(m, axis=1, spacing=1.0).tau for m in (mask, wide, narrow)]
    assert (low, high) == pytest.approx((tau[1] - tau[0], tau[2] - tau[0]), rel=1e-3)
    assert more.tau.high > plain.tau.high
    assert more.tau.low < plain.tau.low


def test_throats_of_one_voxel_are_not_resolved():
    pore = np.ones((32, 32, 32), bool)
    pore[::8] = False
    pore[::8, 5::8, 5::8] = True
    found = measure.tortuosity_budget(pore, axis=0, spacing=1.0)
    assert found.tau.warning.startswith("not resolved")


def test_no_path_is_infinite_and_has_no_terms():
    pore = np.ones((20, 20, 20), bool)
    pore[9] = False
    found = measure.tortuosity_budget(pore, axis=0, spacing=1.0)
    assert np.isinf(found.tau.value)
    assert all(t == (0.0, 0.0) for t in found.terms.values())
    assert "infinite" in measure.describe_budget(found)
    assert np.isnan(measure.extrapolated(found).value)


def test_what_other_thresholds_give_joins_in_quadrature():
    q = Quantity(1.0, 0.97, 1.03, method="m")
    wide = measure.widen(q, [0.96, 1.08])
    assert (wide.low, wide.high) == pytest.approx((1 - 0.05, 1 + np.hypot(0.03, 0.08)))
    assert measure.widen(q, []) == q
    one_sided = measure.widen(q, [1.05, 1.1])
    assert one_sided.low == pytest.approx(0.97)
    assert "not to be had" in measure.widen(q, [np.nan, 1.0]).warning


def test_a_surface_is_extrapolated_to_no_blur():
    q = Quantity(0.25, 0.24, 0.26, unit="1/um", method="m")
    better = without_blur(q, share_lost=0.05)
    assert better.value == pytest.approx(0.275)
    assert better.low < 0.25
    assert better.high > 0.29
    assert without_blur(q, share_lost=-0.01) == q
