"""Grey volumes into phases: unbiased, with intervals that hold the truth, the same block by block."""

import pickle
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage as ndi
from scipy.special import ndtr

from morpholith import specimens
from morpholith.errors import InputError
from morpholith.segment import _survey, apply_phases, estimate_phases, phases
from morpholith.segment._three_phases import halo as three_halo
from morpholith.segment._three_phases import label_three
from morpholith.segment.levels import blur_of, core_noise, gradient, mixture
from morpholith.segment.phases import Phases, _denoised, _label
from morpholith.segment.threshold import equal_posterior, minimum, otsu

SPACING = (0.5, 0.4, 0.4)


class Lazy:
    """A volume that gives slices and nothing else, as a file would."""

    def __init__(self, array):
        self._array, self.shape, self.dtype, self.ndim, self.read = array, array.shape, array.dtype, array.ndim, 0

    def __getitem__(self, key):
        found = self._array[key]
        self.read = max(self.read, found.size)
        return found


def electrode(difficulty, *, seed, shape=(52, 60, 64), spacing=SPACING, solid=0.5, d50_vox=22, binder=0.0, **tomograph):
    size = tuple(n * s for n, s in zip(shape, spacing, strict=True))
    packing = specimens.electrode(
        specimens.Electrode(size_um=size, solid=solid, d50_um=d50_vox * spacing[2], binder=binder, overlap=0.05),
        rng=seed,
    )
    instrument = specimens.Tomograph.of(difficulty, spacing=spacing, **tomograph)
    active, glue = packing.occupancy(spacing)
    return specimens.tomogram(packing, instrument, rng=seed), active, glue


@pytest.fixture(scope="module")
def typical():
    return electrode("typical", seed=1)


@pytest.fixture(scope="module")
def bound():
    return electrode("easy", seed=2, solid=0.45, binder=0.08)


def share(labels, phase):
    return float((labels == phase).mean())


def balls(shape=(56, 60, 64), *, blur=1.2, noise=0.1, seed=0, radius=(5, 9), n=40):
    """Grey of overlapping balls, 0 to 1, blurred and noisy, and their exact partial volumes."""
    rng = np.random.default_rng(seed)
    grid = np.ogrid[tuple(slice(m) for m in shape)]
    solid = np.zeros(shape, np.float32)
    for _ in range(n):
        centre, r = rng.random(3) * shape, rng.uniform(*radius)
        distance = np.sqrt(sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True))) - r
        np.maximum(solid, np.clip(0.5 - distance, 0, 1), out=solid)
    grey = ndi.gaussian_filter(solid, blur) + rng.normal(0, noise, shape)
    return grey.astype(np.float32), solid


# --- the numbers ---


@pytest.mark.parametrize(
    ("difficulty", "binder", "seed"),
    [("typical", 0.0, 3), ("typical", 0.06, 4), ("hard", 0.0, 5), ("hard", 0.06, 6), ("easy", 0.0, 7)],
)
def test_the_interval_holds_the_porosity(difficulty, binder, seed):
    grey, active, glue = electrode(difficulty, seed=seed, binder=binder)
    found = phases(grey, spacing=SPACING)
    truth = 1 - active.mean() - (glue.mean() if found.resolved else 0)
    low, high = (share(labels, 0) for labels in found.ends())
    assert low < truth < high
    assert high - low < {"easy": 0.04, "typical": 0.05, "hard": 0.08}[difficulty]
    assert share(found.labels, 0) == pytest.approx(truth, abs=0.005 + 0.25 * binder)


def test_two_phases_are_met_closely(typical):
    grey, active, _ = typical
    found = phases(grey, spacing=SPACING)
    assert share(found.labels, 1) == pytest.approx(active.mean(), abs=0.005)
    pure = (active < 0.001) | (active > 0.999)
    assert pure.mean() > 0.5
    assert (found.labels != np.rint(active))[pure].mean() < 0.01
    assert not found.resolved
    assert found.estimate.means == pytest.approx((12000, 38000), rel=0.06)
    assert found.estimate.blur_um == pytest.approx(0.8 * np.prod(SPACING) ** (1 / 3), rel=0.2)
    assert found.estimate.noise == pytest.approx(0.1 * 26000, rel=0.1)


def test_small_particles_keep_their_volume_where_half_way_and_otsu_lose_it():
    grey, solid = balls(blur=1.6, noise=0.05, radius=(4, 6), n=60)
    true = solid.mean()
    error = {m: share(phases(grey, spacing=(1, 1, 1), method=m).labels, 1) - true for m in ("auto", "halfway")}
    assert error["halfway"] < -0.005  # the blur shrinks what is convex
    assert abs(error["auto"]) < 0.8 * abs(error["halfway"])
    low, high = (share(labels, 1) for labels in phases(grey, spacing=(1, 1, 1)).ends())
    assert high < true < low


def test_otsu_is_pulled_to_the_larger_phase_and_half_way_is_not():
    along = np.arange(120)
    bright = ndtr((along - 20.5) / 2) - ndtr((along - 33.5) / 2)
    rng = np.random.default_rng(0)
    grey = (100 * bright + rng.normal(0, 4, (24, 30, 120))).astype(np.float32)
    true = 13 / 120
    found = {m: share(phases(grey, spacing=(1, 1, 1), method=m).labels, 1) for m in ("auto", "otsu")}
    assert found["auto"] == pytest.approx(true, abs=0.003)
    assert abs(found["otsu"] - true) > abs(found["auto"] - true)


def test_noise_that_neighbours_share_is_measured_and_taken_off():
    grey, solid = balls(noise=0.0)
    rng = np.random.default_rng(1)
    smooth = ndi.gaussian_filter(rng.normal(size=grey.shape), 1.0)
    grey = grey + (0.2 * smooth / smooth.std()).astype(np.float32)
    sd, cores = core_noise(grey[None])
    assert sd == pytest.approx(0.2, rel=0.15)
    assert (solid[cores[1][0]] > 0.5).mean() > 0.99
    assert (solid[cores[0][0]] < 0.5).mean() > 0.99
    found = phases(grey, spacing=(1, 1, 1))
    assert found.estimate.denoise_sd == pytest.approx(sd)
    assert share(found.labels, 1) == pytest.approx(solid.mean(), abs=0.03)


@pytest.mark.parametrize("steps", [(1.0, 1.0, 1.0), (0.8, 0.4, 0.5)])
def test_the_blur_of_tilted_planes(steps):
    z, y, x = (np.arange(n) * s for n, s in zip((30, 40, 44), steps, strict=True))
    normal = np.array([0.48, 0.6, 0.64])
    along = normal[0] * z[:, None, None] + normal[1] * y[None, :, None] + normal[2] * x
    for blur in (0.9, 1.6):
        grey = ndtr((along - along.mean()) / blur).astype(np.float32)[None]
        found = blur_of(grey, gradient(grey, steps), low=0.0, high=1.0, steps=steps)
        assert found == pytest.approx(blur, rel=0.08)


def test_drift_is_levelled_and_said():
    # cupping so strong that one threshold would lose the particles in the middle
    grey, active, _ = electrode("typical", seed=8, beam_hardening=0.3, drift=0.2, rings=0.0)
    found = phases(grey, spacing=SPACING)
    assert found.estimate.drift is not None
    assert any("levelled" in w for w in found.warnings)
    assert share(found.labels, 1) == pytest.approx(active.mean(), abs=0.01)
    inside = ndi.minimum_filter(active, 3) > 0.999
    ny, nx = grey.shape[1:]
    y, x = np.ogrid[-1 : 1 : ny * 1j, -1 : 1 : nx * 1j]
    out = np.broadcast_to(y**2 + x**2 > 0.8, grey.shape)
    bright = {k: [np.median(v[inside & w]) for w in (out, ~out)] for k, v in (("raw", grey), ("level", found.denoised))}
    assert bright["raw"][0] - bright["raw"][1] > 2000
    assert bright["level"][0] == pytest.approx(bright["level"][1], abs=700)


def test_grains_of_different_grey_are_no_drift():
    rng = np.random.default_rng(3)
    which = np.kron(rng.integers(0, 9, (4, 4, 4)), np.ones((12, 12, 12), int))
    grey = np.array([0, 0, 0, 0, 0.8, 0.9, 1.0, 1.1, 1.2])[which]
    grey = ndi.gaussian_filter(grey, 1.0) + rng.normal(0, 0.05, which.shape)
    assert estimate_phases(grey, spacing=(1, 1, 1)).drift is None


# --- three phases ---


def test_binder_is_found_where_it_is_resolved(bound):
    grey, active, glue = bound
    found = phases(grey, spacing=SPACING)
    assert found.resolved
    assert share(found.labels, 1) == pytest.approx(active.mean(), abs=0.006)
    assert share(found.labels, 2) == pytest.approx(glue.mean(), abs=0.012)
    assert found.estimate.means == pytest.approx((12000, 38000, 23000), rel=0.03)
    assert found.estimate.blur_um == pytest.approx(np.hypot(0.5, 12**-0.5) * np.prod(SPACING) ** (1 / 3), rel=0.15)
    low, high = (share(labels, 0) for labels in found.ends())
    assert low < 1 - active.mean() - glue.mean() < high


def test_the_rim_of_a_particle_is_no_binder():
    grey, active, glue = electrode("easy", seed=2, solid=0.4, binder=0.1, d50_vox=28, blur_um=0.5)
    found = phases(grey, spacing=SPACING)
    assert found.resolved
    rim = (ndi.maximum_filter(active, 3) > 0) & (ndi.minimum_filter(active, 3) < 1)
    bare = rim & (ndi.maximum_filter(glue, 7) == 0)
    low, high = found.thresholds
    plain = (found.denoised >= low) & (found.denoised < high)
    assert plain[bare].mean() > 0.1  # two plain thresholds paint every particle with it
    assert (found.labels[bare] == 2).mean() < 0.01


@pytest.mark.parametrize("blur", [0.8, 2.0])
def test_a_blurred_edge_is_no_third_phase(blur):
    grey, _ = balls(blur=blur, noise=0.03)
    found = phases(grey, spacing=(1, 1, 1))
    assert len(found.thresholds) == 1
    assert not (found.labels == 2).any()


def test_two_phases_as_asked_count_the_binder_as_pore(bound):
    grey, active, _ = bound
    found = phases(grey, spacing=SPACING, n_phases=2)
    assert len(found.thresholds) == 1
    assert not found.resolved
    assert set(np.unique(found.labels)) == {0, 1}
    assert share(found.labels, 1) == pytest.approx(active.mean(), abs=0.006)
    assert any("counted as pore" in w for w in found.warnings)


def test_three_phases_forced_on_two_say_so_and_invent_little():
    grey, _ = balls()
    found = phases(grey, spacing=(1, 1, 1), n_phases=3)
    assert len(found.thresholds) == 2
    assert not found.resolved
    assert any("not resolved" in w for w in found.warnings)
    assert share(found.labels, 2) < 0.05


# --- thresholds ---


def test_other_thresholds_and_those_of_the_user(typical):
    grey, _, _ = typical
    found = phases(grey, spacing=SPACING)
    (low, high), t = found.intervals[0], found.thresholds[0]
    assert low < t < high
    np.testing.assert_array_equal(found.at(t), found.labels)
    assert (found.at(low) >= found.labels).all()
    assert (found.at(high) <= found.labels).all()
    given = phases(grey, spacing=SPACING, threshold=high + 2000)
    assert given.thresholds == (high + 2000,)
    assert given.intervals[0] == pytest.approx((low, high + 2000))
    assert any("outside the interval" in w for w in given.warnings)
    np.testing.assert_array_equal(given.labels, found.at(high + 2000))


@pytest.mark.parametrize("method", ["halfway", "otsu", "minimum", "mixture"])
def test_every_method_is_named_and_inside_its_interval(typical, method):
    grey, active, _ = typical
    found = phases(grey, spacing=SPACING, method=method)
    (low, high), t = found.intervals[0], found.thresholds[0]
    assert low <= t <= high
    assert {"halfway": "half-way", "otsu": "Otsu", "minimum": "emptiest", "mixture": "mixture"}[method] in found.method
    assert share(found.labels, 1) == pytest.approx(active.mean(), abs=0.03)


def test_gain_offset_type_and_axes_change_nothing(typical):
    grey, _, _ = typical
    found = phases(grey, spacing=SPACING)
    scaled = phases(grey.astype(np.float64) * 0.01 - 500, spacing=SPACING)
    assert (scaled.labels != found.labels).mean() < 1e-4
    assert scaled.thresholds[0] == pytest.approx(found.thresholds[0] * 0.01 - 500, rel=1e-3)
    turned = phases(grey.transpose(2, 0, 1), spacing=(SPACING[2], SPACING[0], SPACING[1]))
    assert (turned.labels.transpose(1, 2, 0) != found.labels).mean() < 0.002
    assert share(phases((grey // 257).astype(np.uint8), spacing=SPACING).labels, 1) == pytest.approx(
        share(found.labels, 1), abs=0.003
    )


def test_otsu_and_minimum_of_a_histogram_by_hand():
    x = np.arange(10.0)
    counts = np.array([0, 5, 5, 0, 0, 0, 0, 5, 5, 0.0])
    assert 2 < otsu(x, counts)[0] <= 7
    low, high = otsu(x, np.array([9, 0, 0, 9, 0, 0, 0, 0, 9, 9.0]), n=3)
    assert 0 < low <= 3 < high <= 8
    assert minimum(x, np.array([9, 8, 7, 6, 5, 1, 5, 6, 7, 8.0]), low=1, high=8, smooth=0.1) == 5


def test_a_mixture_recovers_what_it_was_made_of():
    x = np.linspace(-1, 2, 600)
    made = 0.5 * np.exp(-0.5 * (x / 0.1) ** 2) / 0.1 + 0.3 * np.exp(-0.5 * ((x - 1) / 0.15) ** 2) / 0.15
    bridge = 0.2 * (ndtr(x / 0.125) - ndtr((x - 1) / 0.125)) * np.sqrt(2 * np.pi)
    fit = mixture(x, made + bridge, n=2)
    np.testing.assert_allclose(fit.means, [0, 1], atol=0.02)
    np.testing.assert_allclose(fit.sds, [0.1, 0.15], rtol=0.1)
    np.testing.assert_allclose([*fit.shares, *fit.bridges], [0.5, 0.3, 0.2], atol=0.03)
    t = equal_posterior(fit)
    density = fit.shares / fit.sds * np.exp(-0.5 * ((t - fit.means) / fit.sds) ** 2)
    assert density[0] == pytest.approx(density[1], rel=0.05)


# --- blocks ---


@pytest.mark.parametrize("which", ["typical", "bound", "drifting"])
def test_block_by_block_gives_the_same_labels(which, typical, bound):
    grey = {"typical": typical[0], "bound": bound[0]}.get(which)
    if grey is None:
        grey, _, _ = electrode("typical", seed=8, beam_hardening=0.15, drift=0.1, rings=0.0)
    whole = phases(grey, spacing=SPACING)
    assert (whole.estimate.drift is not None) == (which == "drifting")
    assert whole.resolved == (which == "bound")
    source = Lazy(grey)
    found = pickle.loads(pickle.dumps(estimate_phases(source, spacing=SPACING)))
    assert found.thresholds == whole.thresholds
    out = np.full(grey.shape, 9, np.uint8)
    edges = [[0, 29, n] for n in grey.shape]
    for index in np.ndindex(2, 2, 2):
        core = [slice(e[i], e[i + 1]) for e, i in zip(edges, index, strict=True)]
        around = [
            slice(max(0, c.start - h), min(n, c.stop + h)) for c, h, n in zip(core, found.halo, grey.shape, strict=True)
        ]
        labels = apply_phases(source[tuple(around)], found, origin=tuple(a.start for a in around))
        out[tuple(core)] = labels[
            tuple(slice(c.start - a.start, c.stop - a.start) for c, a in zip(core, around, strict=True))
        ]
    np.testing.assert_array_equal(out, whole.labels)


def test_a_large_volume_is_sampled_the_same_way_however_it_is_stored(monkeypatch):
    monkeypatch.setattr(_survey, "SAMPLE_VOXELS", 300_000)
    monkeypatch.setattr(_survey, "BLOCK", 24)
    monkeypatch.setattr(_survey, "SLAB_VOXELS", 100_000)
    grey, solid = balls((48, 50, 52))
    large = np.tile(grey, (2, 2, 2))[:90, :95, :100]
    source = Lazy(large)
    found = estimate_phases(source, spacing=(1, 1, 1))
    assert source.read <= 110_000  # never all of it
    assert 100_000 < found.histogram[1].sum() <= 400_000
    assert found.thresholds[0] == pytest.approx(0.5, abs=0.05)
    again = estimate_phases(large, spacing=(1, 1, 1))
    assert again.thresholds == found.thresholds
    assert again.intervals == found.intervals
    assert share(apply_phases(grey, found), 1) == pytest.approx(solid.mean(), abs=0.02)


def test_the_sample_spans_the_volume(monkeypatch):
    monkeypatch.setattr(_survey, "SAMPLE_VOXELS", 300_000)
    monkeypatch.setattr(_survey, "BLOCK", 24)
    volume = np.arange(90 * 95 * 100, dtype=np.float32).reshape(90, 95, 100)
    box = (slice(5, 90), slice(0, 95), slice(7, 99))
    blocks, starts = _survey.sample(Lazy(volume), box)
    assert blocks.shape[1:] == (24, 24, 24)
    assert starts.min(0).tolist() == [0, 0, 0]
    assert (starts.max(0) + 24).tolist() == [85, 95, 92]
    for block, (z, y, x) in zip(blocks, starts, strict=True):
        np.testing.assert_array_equal(block, volume[box][z : z + 24, y : y + 24, x : x + 24])


def test_the_margin_of_three_phases_is_wide_enough():
    grey = np.random.default_rng(0).normal(0.5, 0.5, (70, 70, 70)).astype(np.float32)
    options = {"thresholds": (0.2, 0.7), "levels": (0.0, 0.4, 1.0), "sigma": (1.0, 1.4, 0.8)}
    whole = label_three(grey, **options)
    cut = tuple(slice(30 - h, 40 + h) for h in three_halo(options["sigma"]))
    inner = tuple(slice(h, h + 10) for h in three_halo(options["sigma"]))
    np.testing.assert_array_equal(label_three(grey[cut], **options)[inner], whole[30:40, 30:40, 30:40])
    assert len(np.unique(whole)) == 3


# --- what is no grey volume, or only part of one ---


def test_padding_around_the_field_of_view_is_cut_away(typical):
    grey, _, _ = typical
    ny, nx = grey.shape[1:]
    y, x = (2 * (np.arange(n) + 0.5) / n - 1 for n in (ny, nx))
    padded = np.maximum(grey, 1)
    padded[:, y[:, None] ** 2 + x**2 > 0.98] = 0
    padded[:4] = 0
    found = phases(padded, spacing=SPACING)
    box = found.estimate.box
    assert box[0] == slice(4, grey.shape[0])
    assert (padded[box] > 0).all()
    assert 0.44 < (box[1].stop - box[1].start) * (box[2].stop - box[2].start) / (ny * nx) < 0.52
    assert found.labels.shape == padded[box].shape
    assert any("padding" in w for w in found.warnings)
    as_nan = np.where(padded == 0, np.nan, padded.astype(np.float32))
    assert estimate_phases(as_nan, spacing=SPACING).box == box


def test_dark_air_in_the_corners_is_not_padding():
    grey, _ = balls()
    eight = np.clip(40 + 150 * grey, 0, 255).astype(np.uint8)
    eight[:, :10, :10] = eight[:, -10:, -10:] = eight[:, :10, -10:] = 0
    assert estimate_phases(eight, spacing=(1, 1, 1)).box == tuple(slice(0, n) for n in eight.shape)


def test_a_segmented_volume_is_used_as_it_is(bound):
    _, active, glue = bound
    truth = np.where(active > 0.5, 1, np.where(glue > 0.5, 2, 0)).astype(np.uint8)
    found = phases(truth, spacing=SPACING)
    np.testing.assert_array_equal(found.labels, truth)
    assert found.thresholds == ()
    assert any("came segmented" in w for w in found.warnings)
    np.testing.assert_array_equal(found.ends()[0], truth)
    grey = np.array([10, 200, 90], np.uint8)[truth]  # the binder between, as in a grey volume
    np.testing.assert_array_equal(phases(grey, spacing=SPACING).labels, truth)
    np.testing.assert_array_equal(phases(truth == 1, spacing=SPACING).labels, truth == 1)
    turned = phases(grey, spacing=SPACING, phases_of={10: 1, 200: 0, 90: 0})
    np.testing.assert_array_equal(turned.labels, truth == 0)
    np.testing.assert_array_equal(apply_phases(grey[:9], turned.estimate), (truth == 0)[:9])


def test_saturated_and_clipped_ends_are_said_and_widen_the_interval():
    grey, _ = balls()
    eight = np.clip(70 + 110 * grey, 0, 255)
    free = phases(eight.astype(np.uint8), spacing=(1, 1, 1))
    cut = phases(np.clip(eight, 72, 178).astype(np.uint8), spacing=(1, 1, 1))
    assert not any("saturated" in w or "clipped" in w for w in free.warnings)
    assert sum("saturated" in w or "clipped" in w for w in cut.warnings) == 2
    assert np.ptp(cut.intervals[0]) > np.ptp(free.intervals[0])
    assert cut.intervals[0][0] < free.thresholds[0] < cut.intervals[0][1]


def test_a_map_of_volume_fractions_is_halved():
    _, solid = balls()
    found = phases(solid, spacing=(1, 1, 1))
    assert any("probabilities" in w for w in found.warnings)
    assert found.estimate.denoise_sd == 0
    assert share(found.labels, 1) == pytest.approx(solid.mean(), abs=0.002)


def test_what_does_not_come_apart_says_so_with_a_wide_interval():
    rng = np.random.default_rng(0)
    grey = ndi.gaussian_filter(rng.normal(size=(48, 52, 56)), 3).astype(np.float32)
    found = phases(grey, spacing=(1, 1, 1))
    assert any("not resolved" in w for w in found.warnings)
    low, high = (share(labels, 0) for labels in found.ends())
    assert high - low > 0.3


RNG = np.random.default_rng(9)
SOLID = balls()[1] > 0.5


@pytest.mark.parametrize(
    ("volume", "said"),
    [
        (np.zeros((40, 50)), "single slice"),
        (np.zeros((1, 40, 50)), "single slice"),
        (np.zeros((2, 9, 9, 9)), "three axes"),
        (np.zeros((0, 9, 9)), "empty"),
        (np.zeros((5, 30, 30)), "at least 8"),
        (np.full((20, 20, 20), 7, np.uint8), "constant"),
        (np.full((20, 20, 20), np.nan), "NaN"),
        (np.where(np.arange(8000).reshape(20, 20, 20) % 99, RNG.normal(size=(20, 20, 20)), np.nan), "81 NaN"),
        (RNG.normal(100, 5, (40, 40, 40)), "one phase only"),
        (RNG.normal(100, 5, (40, 40, 40)) + np.arange(40), "one phase only"),
        (
            ndi.label(np.kron(RNG.random((6, 6, 6)) > 0.5, np.ones((7, 7, 7))), np.zeros((3, 3, 3)) + 0)[0] * 0 + 3,
            "constant",
        ),
        (np.kron(RNG.integers(0, 99, (6, 6, 6)), np.ones((7, 7, 7), int)), "image of labels"),
        (np.kron(RNG.integers(0, 99, (6, 6, 6)), np.ones((7, 7, 7))), "image of labels"),
        (SOLID + 1j, "must hold grey levels"),
    ],
)
def test_bad_volumes_get_one_sentence(volume, said):
    with pytest.raises(InputError, match=said):
        phases(volume, spacing=(1, 1, 1))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"n_phases": 4}, "`n_phases`"),
        ({"method": "kmeans"}, "`method`"),
        ({"denoise": "median"}, "`denoise`"),
        ({"spacing": (1, 1)}, "`spacing`"),
        ({"threshold": (3, 2)}, "must rise"),
        ({"threshold": np.nan}, "finite"),
        ({"threshold": (1, 2, 3)}, "one or two"),
        ({"phases_of": {0: 0}}, "mapping of grey values"),
    ],
)
def test_bad_options_get_one_sentence(options, said):
    grey, _ = balls()
    with pytest.raises(InputError, match=said):
        phases(grey, **{"spacing": (1, 1, 1), **options})


@pytest.mark.parametrize(
    ("mapping", "said"),
    [({0: 0}, "says nothing about 1"), ({0: 0, 1: 5}, "phases must be"), ({0: 1, 1: 1}, "one phase")],
)
def test_bad_mappings_get_one_sentence(mapping, said):
    with pytest.raises(InputError, match=said):
        phases(SOLID.astype(np.uint8), spacing=(1, 1, 1), phases_of=mapping)


def test_thresholds_must_be_as_many_as_there_are(typical):
    found = phases(typical[0], spacing=SPACING)
    with pytest.raises(InputError, match="1 grey level"):
        found.at((1.0, 2.0))


# --- real slices ---


@pytest.mark.parametrize(("name", "least"), [("394", 0.90), ("470", 0.88), ("510", 0.88), ("546", 0.82)])
def test_active_material_of_real_nano_ct_slices(data, name, least):
    tifffile = pytest.importorskip("tifffile")
    from morpholith.segment._estimate import estimate

    grey = tifffile.imread(data / "xct" / "nmc_nanoct" / f"{name}.tif")[None]
    truth = tifffile.imread(data / "xct" / "nmc_nanoct" / f"{name}_label.tif")[None] == 0
    found = estimate(
        grey, spacing=(1.0, 1.0, 1.0), n_phases="auto", wanted=None, method="auto", denoise="auto", phases_of=None
    )
    denoised = _denoised(grey, found, (0, 0, 0))
    labels = Phases(_label(denoised, found, found.thresholds), found, denoised).labels
    assert 2 * (labels == 1)[truth].sum() / ((labels == 1).sum() + truth.sum()) > least


def test_the_bench_runs_as_a_toy(monkeypatch, capsys):
    bench = Path(__file__).resolve().parents[1] / "bench" / "bench_phases.py"
    monkeypatch.setattr(sys, "argv", [str(bench), "--toy"])
    runpy.run_path(str(bench), run_name="__main__")
    out = capsys.readouterr().out
    assert "covered" in out
    assert "nan" not in out
