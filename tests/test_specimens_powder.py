"""The virtual powder must be what it says it is before it may judge anything."""

import numpy as np
import pytest
from scipy import ndimage as ndi
from scipy import stats
from skimage.draw import polygon2mask

from morpholith.specimens import Habit, Microscope, Powder, micrograph, relief, scene
from morpholith.specimens.powder import _settle

SPACING = 0.05
POWDER = Powder(d50_um=3.0, geometric_sd=1.4, coverage=0.6)


@pytest.fixture(scope="module")
def field():
    return scene(POWDER, shape=(420, 560), spacing=SPACING, rng=3)


def _shoelace(p):
    y, x = p.T
    return 0.5 * abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))


def test_outlines_have_the_area_and_perimeter_of_the_table(field):
    for label, outline in field.outlines.items():
        row = field.truth.loc[label]
        perimeter = np.linalg.norm(outline - np.roll(outline, 1, 0), axis=1).sum()
        assert _shoelace(outline) == pytest.approx(row.area_um2, rel=1e-9)
        assert perimeter == pytest.approx(row.perimeter_um, rel=1e-9)
        assert row.area_um2 == pytest.approx(np.pi / 4 * row.diameter_um**2, rel=1e-9)
        assert 4 * np.pi * row.area_um2 / perimeter**2 == pytest.approx(row.circularity, rel=1e-9)


def test_masks_are_the_outlines_less_what_is_hidden(field):
    whole = {k: polygon2mask(field.labels.shape, v / SPACING) for k, v in field.outlines.items()}
    for label, mask in whole.items():
        seen = field.labels == label
        assert (seen & ~ndi.binary_dilation(mask)).sum() == 0
        if mask.sum() > 200:
            assert 1 - seen.sum() / mask.sum() == pytest.approx(field.truth.hidden_fraction[label], abs=0.02)
    assert (field.labels > 0).sum() == pytest.approx(np.any(list(whole.values()), axis=0).sum(), rel=0.01)


def test_the_frame_is_told(field):
    on_frame = np.unique(np.concatenate([field.labels[0], field.labels[-1], field.labels[:, 0], field.labels[:, -1]]))
    assert field.truth.touches_edge[on_frame[on_frame > 0]].all()
    inside = field.truth[~field.truth.touches_edge]
    assert len(inside) > 10
    half = inside.diameter_um / 2
    assert (inside.y_um > 0.6 * half).all()


def test_population_is_the_one_asked_for():
    table = POWDER.draw(40_000, np.random.default_rng(0))
    for q in (0.1, 0.5, 0.9):
        assert table.diameter_um.quantile(q) == pytest.approx(POWDER.diameter_quantile(q), rel=0.01)
    volume = np.sort(table.diameter_um)
    share = np.cumsum(volume**3) / np.sum(volume**3)
    assert volume[np.searchsorted(share, 0.5)] == pytest.approx(POWDER.diameter_quantile(0.5, basis="volume"), rel=0.02)
    mean, sd = POWDER.circularity_truth
    assert table.circularity.mean() == pytest.approx(mean, abs=5e-4)
    assert table.circularity.std() == pytest.approx(sd, rel=0.02)


def test_sizes_do_not_depend_on_the_frame():
    """Pooled over fields, particles whose centre lies inside follow the law they were drawn from."""
    d = np.concatenate(
        [
            t.diameter_um[(t.y_um > 0) & (t.x_um > 0) & (t.y_um < 15) & (t.x_um < 20)]
            for t in (scene(POWDER, shape=(150, 200), spacing=0.1, rng=k).truth for k in range(40))
        ]
    )
    law = stats.norm(np.log(POWDER.d50_um), np.log(POWDER.geometric_sd))
    assert len(d) > 700
    assert stats.kstest(np.log(d), law.cdf).pvalue > 0.005


def test_spheres_do_not_overlap_and_lie_on_something():
    rng = np.random.default_rng(1)
    radius = np.exp(0.3 * rng.standard_normal(150))
    placed = np.zeros((150, 3))
    _settle(placed, rng.uniform(0, 22, (150, 2)), radius, rng.random(150) < 0.8)
    for i in range(150):
        apart = np.linalg.norm(placed[:i] - placed[i], axis=1) - radius[:i] - radius[i]
        assert (apart > -1e-6).all()
        on_tape = abs(placed[i, 2] - radius[i]) < 1e-9
        assert on_tape or abs(apart.min()) < 1e-3


def test_same_seed_same_bytes(field):
    again = scene(POWDER, shape=(420, 560), spacing=SPACING, rng=3)
    assert np.array_equal(again.height, field.height)
    m = Microscope(shape=(420, 560))
    assert np.array_equal(micrograph(field, m, rng=5), micrograph(again, m, rng=5))
    assert not np.array_equal(micrograph(field, m, rng=5), micrograph(field, m, rng=6))


@pytest.mark.parametrize("kind", ["needle", "plate", "polyhedral"])
def test_relief_is_periodic_and_scales_with_the_crystals(kind):
    fine = relief(Habit(kind, 0.1, 0.5), spacing=0.02, size=256, rng=0)
    coarse = relief(Habit(kind, 0.3, 1.5), spacing=0.02, size=256, rng=0)
    step = np.abs(np.diff(fine, axis=0)).mean()
    assert np.abs(fine[0] - fine[-1]).mean() < 2 * step
    assert _correlation_length(coarse) > 1.8 * _correlation_length(fine)


def _correlation_length(height):
    power = np.abs(np.fft.fft2(height - height.mean())) ** 2
    correlation = np.fft.ifft2(power).real[0] / power.mean()
    return np.argmax(correlation < 0.5)


def test_micrograph_shows_what_secondary_electrons_show():
    one = Powder(d50_um=6, geometric_sd=1, circularity_mean=0.98, circularity_sd=0.001, coverage=0.25)
    field = scene(one, shape=(480, 640), spacing=SPACING, rng=2)
    quiet = {"charging": 0, "unevenness": 0, "shape": (480, 640), "dose": 1e5, "convergence_mrad": 0}
    image = micrograph(field, Microscope(**quiet), rng=0).astype(float)
    inner = ndi.distance_transform_edt(field.labels > 0)
    outer = ndi.distance_transform_edt(field.labels == 0)
    middle, rim = image[inner > 35].mean(), image[(inner > 2) & (inner < 8)].mean()
    far, near = image[outer > 60].mean(), image[(outer > 2) & (outer < 10)].mean()
    assert rim > 1.15 * middle  # edge brightening
    assert near < 0.9 * far < 0.9 * middle  # shadow beside a particle, dark tape
    noisy = micrograph(field, Microscope(**{**quiet, "dose": 50}), rng=0).astype(float)
    shot = (noisy - image)[outer > 60]
    assert shot.std() > 3 * (micrograph(field, Microscope(**quiet), rng=1) - image)[outer > 60].std()


@pytest.mark.parametrize("wrong", [{"d50_um": -1}, {"geometric_sd": 0.5}, {"circularity_mean": 1.2}])
def test_impossible_powders_are_refused(wrong):
    with pytest.raises(ValueError, match="needs|must lie"):
        Powder(**wrong)
