"""Maps of the state of a particle, what is said about their patterns, and how it goes with motion."""

import numpy as np
import pandas as pd
import pytest
from _spectra import E0, ENERGIES, disc, high, low, mixed, patterns
from scipy.ndimage import gaussian_filter

from morpholith.errors import InputError
from morpholith.measure import (
    depth_within,
    edge_of_scan,
    lagging,
    motion_amplitude,
    noise_area,
    prepare_references,
    radial_states,
    rank_correlation,
    spectral_groups,
    spectrum_state,
    spread_beyond_noise,
    state_map,
    state_pattern,
    with_references,
)

DENSE = np.arange(8150.0, 8700.0, 0.5)
MASK, STATES = patterns()


@pytest.fixture(scope="module")
def chemistry():
    references = prepare_references(
        {"NiO": (DENSE, low(DENSE), True), "LiNiO2": (DENSE, high(DENSE), True)}, e0_ev=E0, element="Ni"
    )
    spectra = mixed(ENERGIES, np.array([0.1, 0.5, 0.9]))
    return with_references(edge_of_scan(ENERGIES, spectra.mean(0), element="Ni"), spectra, ENERGIES, references)


def stack_of(state, *, sigma, seed=0, step=0.6):
    rng = np.random.default_rng(seed)
    clean = np.moveaxis(mixed(ENERGIES, state, step=step), -1, 0)
    return clean + sigma * rng.standard_normal(clean.shape)


# --- maps --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [0.005, 0.04])
def test_the_state_is_right_in_every_pixel_within_its_error(chemistry, sigma):
    found = state_map(stack_of(STATES["one-sided"], sigma=sigma), MASK, ENERGIES, chemistry)
    assert found.state.shape == MASK.shape
    np.testing.assert_array_equal(np.isfinite(found.free), MASK)
    z = ((found.free - 2 - STATES["one-sided"]) / found.state_se)[MASK]
    assert 0.9 < z.std() < 1.1
    assert abs(z.mean()) < 0.15
    assert found.resolved[MASK].all()
    assert not found.resolved[~MASK].any()
    np.testing.assert_allclose(found.fractions.sum(0)[MASK], 1)


def test_a_tilt_common_to_all_pixels_does_not_bias_the_state(chemistry):
    tilt = 1 - 6.0 * (ENERGIES - E0) / E0
    state = np.array([0.1, 0.5, 0.9])
    spectra = mixed(ENERGIES, state, offset=0.0, slope=0.0) * tilt
    plain = edge_of_scan(ENERGIES, spectra.mean(0), element="Ni")
    tilted = with_references(plain, spectra, ENERGIES, chemistry.references)
    assert tilted.tilt == pytest.approx(-6.0 * 50 / E0, abs=0.005)
    for s, spectrum in zip(state, spectra, strict=True):
        found = spectrum_state(spectrum, np.zeros(len(ENERGIES)), ENERGIES, tilted)
        assert found.state == pytest.approx(2 + s, abs=0.01)
        assert np.nanmax(np.abs(found.norm - found.fit)) < 0.01


def test_noise_and_dropped_frames_leave_pixels_resolved(chemistry):
    stack = stack_of(STATES["core-shell"], sigma=0.09)
    stack[[25, 70]] = np.nan
    found = state_map(stack, MASK, ENERGIES, chemistry)
    assert found.steadied
    assert found.resolved[MASK].mean() > 0.95
    z = ((found.free - 2 - STATES["core-shell"]) / found.state_se)[MASK]
    assert 0.85 < np.nanstd(z) < 1.15


def test_noisy_pixels_are_normalised_like_their_mean_and_stay_resolved(chemistry):
    quiet = state_map(stack_of(STATES["uniform"], sigma=0.005), MASK, ENERGIES, chemistry)
    noisy = state_map(stack_of(STATES["uniform"], sigma=0.08), MASK, ENERGIES, chemistry)
    assert not quiet.steadied
    assert noisy.steadied
    assert noisy.resolved[MASK].mean() > 0.95
    assert np.nanmean(noisy.step) == pytest.approx(np.nanmean(quiet.step), rel=0.02)
    z = (noisy.edge - np.nanmean(quiet.edge)) / noisy.edge_se
    assert 0.85 < 1.4826 * np.nanmedian(np.abs(z - np.nanmedian(z))) < 1.2


def test_pixels_without_signal_are_left_out(chemistry):
    thin = np.where(disc(radius=9.0)[0], 0.6, 0.0)
    rng = np.random.default_rng(1)
    stack = np.moveaxis(mixed(ENERGIES, STATES["uniform"], step=1.0) - 0.3, -1, 0) * thin
    found = state_map(stack + 0.02 * rng.standard_normal(stack.shape), MASK, ENERGIES, chemistry)
    assert found.resolved[thin > 0].all()
    assert found.resolved[(thin == 0) & MASK].mean() < 0.01
    assert np.isnan(found.state[thin == 0]).mean() > 0.99
    buried = state_map(0.3 * rng.standard_normal(stack.shape), MASK, ENERGIES, chemistry)
    assert np.isfinite(buried.free[MASK]).mean() < 0.02
    assert state_pattern(buried.free, buried.state_se, MASK, span=1.0).verdict == "not resolved"


def test_missing_frames_and_an_empty_mask(chemistry):
    stack = stack_of(STATES["core-shell"], sigma=0.01)
    stack[30] = np.nan
    stack[60:, :, :24] = np.nan
    found = state_map(stack, MASK, ENERGIES, chemistry)
    assert np.isfinite(found.free[:, 25:][MASK[:, 25:]]).all()
    assert np.isnan(found.spectrum[30])
    z = ((found.free - 2 - STATES["core-shell"]) / found.state_se)[MASK & np.isfinite(found.free)]
    assert 0.85 < z.std() < 1.15
    empty = state_map(stack, np.zeros_like(MASK), ENERGIES, chemistry)
    assert np.isnan(empty.state).all()
    assert np.isnan(empty.spectrum).all()
    with pytest.raises(InputError, match="does not fit"):
        state_map(stack[:-1], MASK, ENERGIES, chemistry)


def test_without_references_only_edges_are_mapped():
    plain = edge_of_scan(ENERGIES, mixed(ENERGIES, 0.5), element="Ni")
    found = state_map(stack_of(STATES["one-sided"], sigma=0.005), MASK, ENERGIES, plain)
    assert np.isnan(found.state).all()
    assert np.isfinite(found.white_line[MASK]).all()
    right, left = found.white_line[:, 38:], found.white_line[:, :22]
    assert np.nanmean(right) > np.nanmean(left) + 0.3
    assert np.isnan(plain.span)


def test_the_mean_spectrum_gives_the_state_and_its_misfit_widens_the_error(chemistry):
    rng = np.random.default_rng(2)
    clean = mixed(ENERGIES, 0.3)
    se = np.full(len(ENERGIES), 0.001)
    good = spectrum_state(clean + se * rng.standard_normal(len(se)), se, ENERGIES, chemistry)
    assert good.state == pytest.approx(2.3, abs=4 * good.state_se)
    wobble = 0.01 * rng.standard_normal(len(se))  # what all pixels share, and their noise does not tell
    bad = spectrum_state(clean + wobble, se, ENERGIES, chemistry)
    assert bad.state_se > 5 * good.state_se
    assert abs(bad.state - 2.3) < 4 * bad.state_se
    assert np.nanmax(np.abs(good.norm - good.fit)) < 0.01


def test_edges_of_other_elements_and_inverted_contrast_are_told():
    with pytest.raises(InputError, match="no absorption edge is seen near the K edge of Fe"):
        edge_of_scan(ENERGIES, mixed(ENERGIES, 0.5), element="Fe")
    with pytest.raises(InputError, match="not known"):
        edge_of_scan(ENERGIES, mixed(ENERGIES, 0.5), element="Xx")
    with pytest.raises(InputError, match=r"rise|no absorption edge"):
        edge_of_scan(ENERGIES, -mixed(ENERGIES, 0.5), element="Ni")


def test_groups_part_pixels_by_their_chemistry():
    rng = np.random.default_rng(3)
    state = np.repeat([0.0, 1.0], 200)
    mu = mixed(ENERGIES, state) + 0.02 * rng.standard_normal((400, len(ENERGIES)))
    found = spectral_groups(mu, ENERGIES, edge_of_scan(ENERGIES, mu.mean(0), element="Ni").ranges, n=4)
    near = [np.abs(g - mixed(ENERGIES, s)).max() for g, s in zip(found, (0, 0, 1, 1), strict=True)]
    flipped = [np.abs(g - mixed(ENERGIES, s)).max() for g, s in zip(found, (1, 1, 0, 0), strict=True)]
    assert min(max(near), max(flipped)) < 0.02
    assert len(spectral_groups(mu[:30], ENERGIES, edge_of_scan(ENERGIES, mu.mean(0), element="Ni").ranges)) == 1


# --- patterns ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STATES)
def test_patterns_are_named_and_measured(name):
    rng = np.random.default_rng(4)
    se = np.full(MASK.shape, 0.08)
    noisy = np.where(MASK, STATES[name] + se * rng.standard_normal(MASK.shape), np.nan)
    found = state_pattern(noisy, se, MASK, span=1.0)
    assert found.verdict == name
    inner = MASK & (depth_within(MASK)[0] >= 2)
    assert found.n == inner.sum()
    assert found.mean == pytest.approx(STATES[name][inner].mean(), abs=4 * found.mean_se)
    assert found.sd == pytest.approx(STATES[name][inner].std(), abs=4 * found.sd_se)
    if name == "core-shell":
        assert found.core_shell == pytest.approx(0.4, abs=4 * found.core_shell_se + 0.02)
    if name == "one-sided":
        assert found.one_sided == pytest.approx(0.5 * np.sqrt(inner.sum() / np.pi) / 19, rel=0.1)
        assert found.direction_deg == pytest.approx(360 - 36.87, abs=5)


def test_the_verdict_is_wrong_as_rarely_as_it_says():
    rng = np.random.default_rng(5)
    se = np.full(MASK.shape, 0.1)
    verdicts = [state_pattern(0.1 * rng.standard_normal(MASK.shape), se, MASK, span=1.0).verdict for _ in range(150)]
    assert verdicts.count("uniform") >= 147


def test_correlated_noise_does_not_make_patterns():
    rng = np.random.default_rng(6)
    verdicts, factor = [], []
    for _ in range(60):
        noise = gaussian_filter(rng.standard_normal(MASK.shape), 2.0)
        noise *= 0.1 / noise.std()
        verdicts.append(state_pattern(noise, np.full(MASK.shape, 0.1), MASK, span=1.0).verdict)
        factor.append(state_pattern(noise, np.full(MASK.shape, 0.1), MASK, span=1.0).core_shell / 1.0)
    named = sum(v in ("core-shell", "one-sided") for v in verdicts)
    assert named <= 6


def test_patches_too_few_pixels_and_too_much_noise():
    y, x = np.indices(MASK.shape)
    patches = 0.4 * (((y // 6) + (x // 6)) % 2)
    assert state_pattern(patches, np.full(MASK.shape, 0.05), MASK, span=1.0).verdict == "patchy"
    small = np.zeros_like(MASK)
    small[3:9, 4:11] = True
    assert state_pattern(patches, np.full(MASK.shape, 0.05), small, span=1.0).verdict == "not resolved"
    rng = np.random.default_rng(7)
    loud = state_pattern(6 * rng.standard_normal(MASK.shape), np.full(MASK.shape, 6.0), MASK, span=1.0)
    assert loud.verdict == "not resolved"


def test_the_radius_of_a_disc_and_rings_of_equal_area():
    mask, dy, dx = disc(radius=20.0, centre=(22.0, 30.0))
    inside, radius = depth_within(mask)
    r = np.hypot(dy, dx)
    assert np.abs(radius - r)[mask].mean() < 0.03
    assert inside[22, 30] == pytest.approx(20, abs=1)
    profile = radial_states(r**2, np.full(mask.shape, 0.1), mask, rings=5, margin_px=0)
    assert profile["n"].sum() == mask.sum()
    assert np.ptp(profile["n"]) < 0.12 * mask.sum()
    np.testing.assert_allclose(profile["state"], [0.1, 0.3, 0.5, 0.7, 0.9], atol=0.04)
    np.testing.assert_allclose(profile["state_se"], 0.1 / np.sqrt(profile["n"]))
    assert radial_states(r, r, np.zeros_like(mask))["n"].sum() == 0


def test_spread_beyond_noise():
    rng = np.random.default_rng(8)
    found = [
        spread_beyond_noise(rng.normal(0, 0.2, 500) + rng.normal(0, 0.3, 500), np.full(500, 0.3)) for _ in range(200)
    ]
    sd, se = np.array(found).T
    assert sd.mean() == pytest.approx(0.2, abs=0.01)
    assert 0.8 < sd.std() / se.mean() < 1.25
    assert spread_beyond_noise(rng.normal(0, 0.1, 50), np.full(50, 0.3))[0] == 0
    assert np.isnan(spread_beyond_noise(np.array([1.0, 2.0]), np.ones(2))).all()


def test_noise_area_counts_pixels_that_share_noise():
    rng = np.random.default_rng(9)
    white = rng.standard_normal((*MASK.shape, 40))
    assert noise_area(white[MASK], MASK) == pytest.approx(1.0, abs=0.1)
    mean = (white + np.roll(white, 1, 0) + np.roll(white, 1, 1) + np.roll(white, (1, 1), (0, 1))) / 4
    assert noise_area(mean[MASK], MASK) == pytest.approx(4.0, rel=0.1)


def test_lagging_particles():
    means = [2.8, 2.82, 2.79, 2.25, 2.81, np.nan]
    z, lags = lagging(means, [0.01] * 6, span=1.0)
    assert lags.tolist() == [False, False, False, True, False, False]
    assert z[3] < -10
    assert np.isnan(z[5])
    assert not lagging([2.8, 2.2, 2.8], [0.01] * 3, span=1.0)[1].any()
    assert not lagging([2.8, 2.81, 2.79, 3.4], [0.01] * 4, span=1.0)[1].any()
    assert not lagging([2.80, 2.81, 2.79, 2.75], [0.001] * 4, span=1.0)[1].any()


# --- motion ------------------------------------------------------------------------------------------------


def test_motion_amplitude_leaves_the_common_motion_out():
    rng = np.random.default_rng(10)
    frame = np.arange(400)
    common = np.cumsum(rng.standard_normal((400, 2)), axis=0)
    rows = []
    for particle, size in ((1, 0.0), (2, 0.0), (3, 0.0), (4, 0.5)):
        own = size * np.stack([np.sin(frame / 9), np.cos(frame / 9)], 1) + 0.1 * rng.standard_normal((400, 2))
        d = common + own
        rows.append(
            pd.DataFrame(
                {
                    "particle": particle,
                    "frame": frame,
                    "dy_px": d[:, 0],
                    "dx_px": d[:, 1],
                    "sigma_px": 0.1,
                    "status": "measured",
                }
            )
        )
    table = pd.concat(rows)
    table.loc[(table["particle"] == 1) & (table["frame"] == 7), ["dy_px", "status"]] = [1e3, "predicted"]
    found = motion_amplitude(table)
    assert found.loc[4, "motion_rms_px"] == pytest.approx(0.5, abs=0.05)
    assert found.loc[1:3, "motion_rms_px"].max() < 0.08
    assert found.loc[1, "n_frames"] == 399


def test_rank_correlation_says_what_it_does_not_know():
    rng = np.random.default_rng(11)
    x = rng.standard_normal(40)
    close = rank_correlation(x, x**3 + 0.2 * rng.standard_normal(40), rng=rng)
    assert close.low > 0.5
    assert close.value > 0.8
    none = rank_correlation(x, rng.standard_normal(40), rng=rng)
    assert none.low < 0 < none.high
    few = rank_correlation(x[:4], x[:4], rng=rng)
    assert np.isnan(few.value)
    assert "five are needed" in few.warning
    assert "say little" in rank_correlation(x[:7], x[:7] + x[7:14], rng=rng).warning
    assert "constant" in rank_correlation(x, np.ones(40), rng=rng).warning


def test_intervals_of_the_rank_correlation_cover_zero_when_there_is_none():
    rng = np.random.default_rng(12)
    covered = 0
    for _ in range(150):
        q = rank_correlation(*rng.standard_normal((2, 20)), rng=rng, n_boot=300)
        covered += q.low <= 0 <= q.high
    assert covered >= 130
