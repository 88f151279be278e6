"""Volume fractions from one image: intervals that cover, sizes that suffice, and how a phase hangs together."""

import itertools

import numpy as np
import pytest
from _solids import gaussian_field
from scipy.special import ndtr

from morpholith.errors import InputError
from morpholith.measure import connectivity, percolating, phase_fraction, required_size
from morpholith.measure.representative import low_modes, scatter_of


def balls_at_random(n, radius, fraction, rng):
    """Overlapping balls at Poisson places in a periodic box: volume fraction 1 - exp(-density * volume)."""
    count = rng.poisson(-np.log(1 - fraction) * n**3 / (4 / 3 * np.pi * radius**3))
    out = np.zeros((n, n, n), bool)
    for centre in rng.uniform(0, n, (count, 3)):
        low = np.floor(centre - radius).astype(int)
        axes = [np.arange(a, a + int(2 * radius) + 3) for a in low]
        square = sum(np.meshgrid(*[(a - c) ** 2 for a, c in zip(axes, centre, strict=True)], indexing="ij"))
        out[np.ix_(*[a % n for a in axes])] |= square <= radius**2
    return out


def cover(volumes, true, shape, rng, n=200):
    """Share of windows whose interval holds the truth, and the mean number of independent samples."""
    covered, samples = [], []
    for k in range(n):
        big = volumes[k % len(volumes)]
        at = [rng.integers(0, m - s + 1) for m, s in zip(big.shape, shape, strict=True)]
        found = phase_fraction(big[tuple(slice(a, a + s) for a, s in zip(at, shape, strict=True))], spacing=0.5)
        if found.low is not None:
            covered.append(found.low <= true <= found.high)
            samples.append(found.n)
    assert len(covered) > 0.95 * n
    return np.mean(covered), np.mean(samples)


@pytest.fixture(scope="module")
def fields():
    rng = np.random.default_rng(0)
    return [gaussian_field((160, 160, 160), 3.0, rng) for _ in range(3)]


@pytest.mark.parametrize("level", [0.0, 1.0])
@pytest.mark.parametrize("shape", [(24, 24, 24), (40, 40, 40), (16, 60, 44), (1, 90, 100), (3, 80, 70)])
def test_intervals_cover_in_gaussian_fields(fields, shape, level):
    share, samples = cover([f > level for f in fields], ndtr(-level), shape, np.random.default_rng(1))
    assert 0.90 <= share <= 0.99, share
    assert samples > 50


@pytest.mark.parametrize("fraction", [0.05, 0.4])
@pytest.mark.parametrize("shape", [(40, 40, 40), (30, 70, 50)])
def test_intervals_cover_among_balls(fraction, shape):
    rng = np.random.default_rng(2)
    true = fraction  # of the process, not of these realisations
    volumes = [balls_at_random(130, 5.0, fraction, rng) for _ in range(12)]
    share, _ = cover(volumes, true, shape, rng)
    assert 0.90 <= share <= 0.995, share


def test_the_interval_is_that_of_the_variance_over_windows(fields):
    """Not only wide enough: the standard error matches the scatter of the windows' means."""
    rng = np.random.default_rng(3)
    means, variances = [], []
    for k in range(150):
        at = rng.integers(0, 120, 3)
        part = fields[k % 3][at[0] : at[0] + 40, at[1] : at[1] + 40, at[2] : at[2] + 40] > 0.5
        scatter = scatter_of(low_modes(part), window=part.shape)
        means.append(scatter.mean)
        variances.append(scatter.variance)
    assert np.sqrt(np.median(variances)) == pytest.approx(np.std(means), rel=0.25)


def test_voxels_without_correlation_count_one_each():
    rng = np.random.default_rng(4)
    mask = rng.random((40, 50, 60)) < 0.3
    found = phase_fraction(mask, spacing=(2.0, 1.0, 0.5))
    assert found.value == mask.mean()
    assert 0.2 < found.n / mask.size < 5
    assert found.warning is None


def test_small_and_poor_images_say_so(fields):
    assert "not resolved" in phase_fraction(fields[0][:12, :12, :12] > 0, spacing=1.0).warning
    assert "rarer" in phase_fraction(fields[0][:30, :30, :30] > 2.4, spacing=1.0).warning
    alone = phase_fraction(np.ones((9, 9, 9), bool), spacing=1.0)
    assert alone.value == 1
    assert alone.low is None
    assert "one phase" in alone.warning
    empty = phase_fraction(np.zeros((0, 9, 9), bool), spacing=1.0)
    assert np.isnan(empty.value)
    assert "not resolved" in phase_fraction(np.array([[[True, False]]]), spacing=1.0).warning


def test_a_trend_through_the_thickness_widens_the_interval():
    rng = np.random.default_rng(5)
    field = gaussian_field((48, 48, 48), 2.0, rng)
    flat = phase_fraction(field > 0, spacing=1.0)
    tilted = phase_fraction(field > np.linspace(-0.8, 0.8, 48)[:, None, None], spacing=1.0)
    assert tilted.high - tilted.low > 1.3 * (flat.high - flat.low)


def test_modes_of_blocks_add_up(fields):
    part = fields[0][:30, :40, :50] > 0
    whole = low_modes(part)
    sums = np.zeros_like(whole)
    for z, y in itertools.product((0, 13), (0, 21)):
        block = part[z : (13 if z == 0 else 30), y : (21 if y == 0 else 40)]
        sums += low_modes(block, window=part.shape, start=(z, y, 0))
    np.testing.assert_allclose(sums, whole, atol=0.05)


def test_required_size_is_the_size_that_is_required(fields):
    """The width promised for a larger window is the one that the larger window has."""
    rng = np.random.default_rng(6)
    at = rng.integers(0, 100, (24, 3))
    parts = [fields[k % 3][z : z + 60, y : y + 60, x : x + 60] > 0 for k, (z, y, x) in enumerate(at)]
    small = [required_size(part, spacing=0.5, half_width=0.02) for part in parts]
    assert all(q.low < q.value < q.high and q.unit == "um" for q in small)
    # integral of the covariance of a field cut at 0: arcsin(rho) / 2 pi over all lags
    h = np.linspace(0, 20, 2001)
    integral = np.trapezoid(4 * np.pi * h**2 * np.arcsin(np.exp(-(h**2) / 18)) / (2 * np.pi), h)
    true = 0.5 * ((1.96 / 0.02) ** 2 * integral) ** (1 / 3)
    assert np.mean([q.value for q in small]) == pytest.approx(true, rel=0.12)
    assert np.mean([q.low <= true <= q.high for q in small]) > 0.8
    relative = required_size(parts[0], spacing=0.5, relative_error=0.02 / parts[0].mean())
    assert relative.value == pytest.approx(small[0].value)
    with pytest.raises(InputError, match="either"):
        required_size(fields[0] > 0, spacing=1.0)
    with pytest.raises(InputError, match="half_width"):
        required_size(fields[0] > 0, spacing=1.0, half_width=-1.0)
    assert np.isnan(required_size(np.ones((5, 5, 5), bool), spacing=1.0, half_width=0.1).value)


def test_connectivity_of_a_drawn_phase():
    mask = np.zeros((6, 7, 8), bool)
    mask[:, 1, 1] = True  # through along z: 6
    mask[:3, 4, 4] = True  # on the first face only: 3
    mask[2, 6, 5:] = True  # on no z face, one x face, one y face: 3
    mask[4, 2, 2] = True  # corner to corner with nothing: 1
    z = connectivity(mask, axis="z")
    assert (z.percolating, z.dead_end, z.isolated) == pytest.approx((6 / 13, 3 / 13, 4 / 13))
    assert z.n_pieces == 4
    x = connectivity(mask, axis=2)
    assert (x.percolating, x.dead_end, x.isolated) == pytest.approx((0, 3 / 13, 10 / 13))
    assert percolating(mask, axis=0).sum() == 6
    assert percolating(mask, axis=0)[:, 1, 1].all()
    assert not percolating(mask, axis=1).any()
    nothing = connectivity(mask & False, axis=1)
    assert np.isnan(nothing.percolating)
    assert nothing.n_pieces == 0
    with pytest.raises(InputError, match="axis"):
        connectivity(mask, axis=3)
