"""Growth of matched particles on virtual electrodes that swelled by a known amount."""

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage as ndi

from morpholith import specimens
from morpholith.errors import InputError, InputWarning
from morpholith.measure import expansion, grey_volumes

SIZE, SPACING = (34.0, 38.0, 42.0), (0.5, 0.4, 0.45)
PORE, ACTIVE = 12000.0, 38000.0


def ball(radius=5.0, spacing=(0.5, 0.4, 0.3), centre=(7.13, 8.21, 7.94), blur=0.4, shape=(29, 41, 53)):
    """A grey ball on a grid: blurred partial volumes, pore 100 and active 300; and its mask at half height."""
    fine = 3
    grids = np.meshgrid(
        *((np.arange(n * fine) - 1) * s / fine for n, s in zip(shape, spacing, strict=True)), indexing="ij", sparse=True
    )
    inside = sum((g - c) ** 2 for g, c in zip(grids, centre, strict=True)) <= radius**2
    blocks = inside.reshape(shape[0], fine, shape[1], fine, shape[2], fine).mean(axis=(1, 3, 5))
    grey = 100 + 200 * ndi.gaussian_filter(blocks, [blur / s for s in spacing])
    return grey, (grey > 200).astype(np.int32)


def cycled_pair(seed=1, difficulty="typical", threshold=(0.5, 0.5), **change):
    """Tomograms, labels from a threshold and the true seeds, and the truth of an electrode before and after."""
    packing = specimens.electrode(specimens.Electrode(size_um=SIZE, solid=0.45, d50_um=7.5), rng=seed)
    packings = packing, specimens.cycled(packing, rng=seed + 9, **{"rotation_deg": 0.0, **change})
    pairs = []
    for k, (p, share) in enumerate(zip(packings, threshold, strict=True)):
        grey = specimens.tomogram(p, specimens.Tomograph.of(difficulty, spacing=SPACING), rng=seed + k)
        solid = ndi.gaussian_filter(grey.astype(np.float32), 0.8) > PORE + share * (ACTIVE - PORE)
        truth = p.labels(SPACING)
        # every solid voxel to the particle whose true body is nearest
        near = ndi.distance_transform_edt(truth == 0, sampling=SPACING, return_distances=False, return_indices=True)
        pairs.append((grey, np.where(solid, truth[tuple(near)], 0)))
    tables = [p.table(SPACING) for p in packings]
    whole = tables[0].index[~tables[0].touches_edge].intersection(tables[1].index[~tables[1].touches_edge])
    whole = [n for n in whole if all((labels == n).any() for _, labels in pairs)]
    matches = pd.DataFrame({"before": whole, "after": whole, "status": "matched"})
    return pairs, matches, tables[1].expansion[whole], tables[0].volume_um3[whole]


@pytest.fixture(scope="module")
def typical():
    return cycled_pair()


@pytest.fixture(scope="module")
def measured(typical):
    (before, after), matches, _, _ = typical
    return expansion(matches, before, after, spacing=SPACING)


# --- grey volumes --------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [150, 200, 250])
def test_the_volume_does_not_follow_the_threshold(cut):
    grey, _ = ball()
    table = grey_volumes(grey, (grey > cut).astype(np.int32), spacing=(0.5, 0.4, 0.3))
    exact = 4 / 3 * np.pi * 5.0**3
    assert table.volume_um3[1] == pytest.approx(exact, rel=0.004 if cut <= 200 else 0.012)
    if cut != 200:
        assert abs(table.volume_voxels_um3[1] / exact - 1) > 0.03
    np.testing.assert_allclose(table.loc[1, ["z_um", "y_um", "x_um"]].astype(float), (7.13, 8.21, 7.94), atol=0.02)


def test_two_touching_balls_share_their_border():
    one, _ = ball(centre=(7.1, 8.2, 5.2), radius=4.0, shape=(29, 41, 60))
    two, _ = ball(centre=(7.1, 8.2, 13.2), radius=4.0, shape=(29, 41, 60))
    grey = one + two - 100
    labels = np.where(grey > 200, 1, 0).astype(np.int32)
    labels[:, :, 31:] *= 2
    volume = grey_volumes(grey, labels, spacing=(0.5, 0.4, 0.3)).volume_um3
    np.testing.assert_allclose(volume, 4 / 3 * np.pi * 4.0**3, rtol=0.015)


def test_what_lies_between_two_is_shared_without_loss():
    labels = np.zeros((12, 14, 19), np.int32)
    labels[:, :, :8], labels[:, :, 11:] = 1, 2
    between = np.random.default_rng(2).uniform(0, 1, (12, 14, 3))
    grey = np.where(labels > 0, 1.0, 0.0)
    grey[:, :, 8:11] = between
    volume = grey_volumes(grey, labels, spacing=1, levels=(0, 1)).volume_um3
    assert volume.sum() == pytest.approx(12 * 14 * 16 + between.sum())
    # the plane in the middle is as near to both
    assert volume[1] == pytest.approx(12 * 14 * 8 + between[..., 0].sum() + between[..., 1].sum() / 2)


def test_a_crack_inside_belongs_to_the_particle():
    grey, labels = ball()
    whole = grey_volumes(grey, labels, spacing=(0.5, 0.4, 0.3)).volume_um3[1]
    grey[12:17, 20, 18:36], labels[12:17, 20, 18:36] = 100, 0
    assert grey_volumes(grey, labels, spacing=(0.5, 0.4, 0.3)).volume_um3[1] == pytest.approx(whole, rel=1e-3)


def test_shading_is_followed():
    grey, labels = ball()
    z = np.linspace(-1, 1, grey.shape[0])[:, None, None]
    shaded = grey * (1 + 0.1 * z)
    volume = grey_volumes(shaded, labels, spacing=(0.5, 0.4, 0.3)).volume_um3[1]
    assert volume == pytest.approx(4 / 3 * np.pi * 5.0**3, rel=0.01)


def test_noise_makes_the_error_it_says():
    grey, labels = ball(shape=(29, 41, 53))
    rng = np.random.default_rng(4)
    tables = [
        grey_volumes(grey + 30 * rng.standard_normal(grey.shape), labels, spacing=(0.5, 0.4, 0.3), levels=(100, 300))
        for _ in range(30)
    ]
    volumes = np.array([t.volume_um3[1] for t in tables])
    claimed = np.mean([t.volume_se_um3[1] for t in tables])
    assert volumes.std(ddof=1) == pytest.approx(claimed, rel=0.4)


def test_no_labels_give_an_empty_table():
    table = grey_volumes(np.zeros((9, 9, 9)), np.zeros((9, 9, 9), int), spacing=1)
    assert len(table) == 0
    assert "volume_um3" in table
    assert table.index.name == "label"


@pytest.mark.parametrize(
    ("grey", "labels", "change", "said"),
    [
        (ball()[0][:-1], ball()[1], {}, "must have the same shape"),
        (400 - ball()[0], ball()[1], {}, "must be brighter than pore"),
        (ball()[0], ball()[1], {"reach_um": 0.1}, "a voxel at least"),
        (ball()[0], ball()[1].astype(float), {}, "integer labels"),
        (ball()[0], np.ones_like(ball()[1]), {}, "give `levels`"),
    ],
)
def test_bad_grey_volumes(grey, labels, change, said):
    with pytest.raises(InputError, match=said):
        grey_volumes(grey, labels, spacing=(0.5, 0.4, 0.3), **change)


# --- expansion -----------------------------------------------------------------------------------


def test_a_single_growing_ball():
    spacing = (0.5, 0.4, 0.3)
    first = ball(radius=4.5)
    second = ball(radius=4.5 * 1.07 ** (1 / 3), centre=(7.31, 8.05, 8.1))
    matches = pd.DataFrame({"before": [1], "after": [1], "status": ["matched"]})
    row = expansion(matches, first, second, spacing=spacing).particles.loc[0]
    assert row.expansion == pytest.approx(0.07, abs=0.002)
    assert row.low < 0.07 < row.high
    assert row.expansion_grey == pytest.approx(0.07, abs=0.003)
    assert row.free_surface == 1.0


def test_mean_expansion_is_met_and_covered(typical, measured):
    _, matches, truth, volume = typical
    got = measured
    mean = np.average(truth, weights=volume)
    assert got.matched.value == pytest.approx(mean, abs=0.01)
    assert got.matched.low < mean < got.matched.high
    assert got.matched.high - got.matched.low < 0.03
    assert got.matched_median.low < np.median(truth) < got.matched_median.high
    assert got.n_matched == len(matches)
    assert got.particles.free_surface.between(0, 1).all()


def test_single_intervals_cover(typical, measured):
    _, matches, truth, _ = typical
    table = measured.particles.dropna()
    true = truth[table.before].to_numpy()
    assert len(table) > 0.6 * len(matches)
    assert ((table.low < true) & (true < table.high)).mean() > 0.85


def test_the_threshold_moves_counted_volumes_and_not_the_expansion():
    (before, after), matches, truth, volume = cycled_pair(threshold=(0.5, 0.58))
    got = expansion(matches, before, after, spacing=SPACING)
    assert got.matched.value == pytest.approx(np.average(truth, weights=volume), abs=0.015)
    counted = [np.bincount(labels.ravel(), minlength=1 + max(matches.before)) for _, labels in (before, after)]
    ratio = counted[1][matches.before].sum() / counted[0][matches.before].sum() - 1
    assert ratio < got.matched.value - 0.05


def test_nothing_grew():
    (before, after), matches, _, _ = cycled_pair(4, expansion=0.0, expansion_sd=0.0, strain=(0, 0, 0), wobble_um=0.0)
    got = expansion(matches, before, after, spacing=SPACING)
    assert got.matched.value == pytest.approx(0, abs=0.006)
    assert got.matched.low < 0.003
    assert got.matched.high > -0.003


def test_the_population_knows_less(measured):
    width = [q.high - q.low for q in (measured.population, measured.matched)]
    assert width[0] > 5 * width[1]
    assert measured.population.low < measured.matched.value < measured.population.high


def test_an_identical_volume_and_a_turned_one():
    packing = specimens.electrode(specimens.Electrode(size_um=SIZE, solid=0.4, d50_um=8.0), rng=3)
    grey = specimens.tomogram(packing, specimens.Tomograph.of("easy", spacing=SPACING), rng=1)
    pair = grey, packing.labels(SPACING)
    table = packing.table(SPACING)
    whole = [n for n in table.index[~table.touches_edge] if (pair[1] == n).any()]
    matches = pd.DataFrame({"before": whole, "after": whole, "status": "matched"})
    same = expansion(matches, pair, pair, spacing=SPACING).particles.expansion.dropna()
    np.testing.assert_allclose(same, 0, atol=1e-6)
    # a quarter turn about z swaps y and x; the matrix says so
    turned = tuple(np.ascontiguousarray(np.rot90(a, axes=(1, 2))) for a in pair)
    spacing = (SPACING[0], SPACING[2], SPACING[1])
    matrix = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    got = expansion(matches, pair, turned, spacing=SPACING, moving_spacing=spacing, matrix=matrix).particles
    np.testing.assert_allclose(got.expansion.dropna(), 0, atol=1e-3)  # rays fall on ties of voxels


def test_nothing_matched(typical):
    (before, after), matches, _, _ = typical
    with pytest.warns(InputWarning, match="no particle"):
        got = expansion(matches.assign(status="lost"), before, after, spacing=SPACING)
    assert np.isnan(got.matched.value)
    assert got.matched.warning
    assert got.n_matched == len(got.particles) == 0
    assert np.isfinite(got.population.value)


def test_little_free_surface_falls_back_on_grey_volumes():
    spacing = (0.5, 0.4, 0.3)
    grey, labels = ball(radius=4.5)
    near = ndi.distance_transform_edt(labels == 0, sampling=spacing) < 1.2
    labels = np.where(near & (labels == 0), 2, labels)  # something else all around
    matches = pd.DataFrame({"before": [1], "after": [1], "status": ["matched"]})
    got = expansion(matches, (grey, labels), (grey, labels), spacing=spacing)
    assert np.isnan(got.particles.expansion[0])
    assert got.matched.value == 0
    assert "rests on grey volumes" in got.warnings[0]
    assert got.matched.warning == got.warnings[0]


def test_labels_that_are_not_there(typical):
    (before, after), matches, _, _ = typical
    with pytest.raises(InputError, match="names particles"):
        expansion(matches.assign(after=matches.after + 5000), before, after, spacing=SPACING)
