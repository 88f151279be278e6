"""Radial order of sections of particles cut at known heights, and of grains without any order."""

import numpy as np
import pandas as pd
import pytest

from morpholith import generate, segment
from morpholith.errors import InputError
from morpholith.segment import Section

RADIUS, STEP = 4.5, 0.06


def section(seed, aspect, share, *, outer=None, disorder_deg=12.0):
    """Return the section of a sphere of radial grains at a height of `share` radii.

    Seeds are a Poisson process; the metric's long axis goes from `aspect` at the centre to `outer` at the outline, to
    within some degrees along the radius; a fifth of the pixels at boundaries is missing. The map is not square.
    """
    rng = np.random.default_rng(seed)
    wide = RADIUS + 1.2
    seeds = rng.uniform(-wide, wide, (rng.poisson((2 * wide) ** 3 / 0.5**3), 3))
    away = np.minimum(np.linalg.norm(seeds, axis=1) / RADIUS, 1)
    longer = np.log(aspect) + away * (np.log(outer or aspect) - np.log(aspect)) + rng.normal(0, 0.15, len(seeds))
    axes = np.exp(np.stack([2 * longer, -longer, -longer], 1) / 3) * 0.3
    tilt = np.zeros((len(seeds), 3, 3))
    y, x = np.deg2rad(disorder_deg) * rng.normal(size=(2, len(seeds)))
    tilt[:, 1, 0], tilt[:, 0, 1], tilt[:, 2, 0], tilt[:, 0, 2] = y, -y, x, -x
    frames = np.linalg.qr(np.eye(3) + tilt)[0] @ generate.radial_frames(seeds, rng.uniform(0, np.pi, len(seeds)))
    matrices = frames.swapaxes(1, 2) @ (axes[:, :, None] ** -2 * frames)
    matrices = (matrices + matrices.swapaxes(1, 2)) / 2
    height = share * RADIUS
    shape = (int(2 * RADIUS / STEP) + 6, int(2 * RADIUS / STEP) + 20)
    centre = (shape[0] / 2 - 1.0, shape[1] / 2 + 3.0)
    labels = generate.label_section(
        seeds, matrices, rng.normal(0, 0.15, len(seeds)), axes=np.eye(3)[1:], shape=shape, spacing=STEP,
        corner=(height, -centre[0] * STEP, -centre[1] * STEP),
    )  # fmt: skip
    y, x = np.indices(shape)
    inside = np.hypot(y - centre[0], x - centre[1]) * STEP < np.sqrt(RADIUS**2 - height**2)
    edge = np.zeros(shape, bool)
    edge[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    edge[1:] |= labels[1:] != labels[:-1]
    seen = np.where(inside & ~(edge & (rng.random(shape) < 0.2)), labels, 0).astype(np.int32)
    return Section(seen, inside, STEP, centre, name=f"{share:g}")


def found(sections, seed=0):
    return segment.radiality(sections, rng=np.random.default_rng(seed), n_boot=100)


def test_heights_of_sections_of_needles_are_found():
    shares = [0.0, 0.3, 0.6, 0.85]
    out = found([section(k, 3.5, share) for k, share in enumerate(shares)])
    assert out.verdict == "radial"
    table = out.sections
    assert table.name.tolist() == ["0", "0.3", "0.6", "0.85"]
    assert table.height_share.to_numpy() == pytest.approx(shares, abs=0.12)
    assert (table.height_share_low <= np.add(shares, 0.05)).all()
    assert (table.height_share_high >= shares).all()
    assert table.height_um.iloc[:3].to_numpy() == pytest.approx(np.multiply(shares[:3], RADIUS), abs=0.7)
    assert table.verdict.tolist()[:1] == ["near the centre"]
    assert table.verdict.tolist()[2:] == ["off the centre"] * 2
    assert table.order.is_monotonic_decreasing
    assert table.order[0] > 0.7
    assert (table.stretch_low <= table.stretch).all()
    assert out.stretch.low < out.stretch.value < out.stretch.high
    assert out.order.n == table.n_grains.sum()
    assert out.aspect.low > 1.5
    # paper 001, Fig. 2: a peak at 0 for the central section, none for the last
    assert out.density.shape == (4, len(out.angles_deg))
    assert out.density[0, 0] > 3 * out.density[3, 0]
    assert out.density[0, -1] < 0.2 / 90


def test_a_gradient_of_the_aspect_is_not_taken_for_height():
    outwards = found([section(10 + k, 1.0, share, outer=3.5) for k, share in enumerate((0.0, 0.3, 0.7))]).sections
    assert outwards.verdict[0] == "near the centre"
    assert outwards.height_share_low[0] < 0.1
    assert outwards.verdict[2] == "off the centre"
    inwards = found([section(10 + k, 3.5, share, outer=1.0) for k, share in enumerate((0.0, 0.3, 0.7))]).sections
    assert inwards.height_share_low[1] < 0.3 < inwards.height_share[1] + 0.1
    assert inwards.height_share[1] < 0.5
    assert inwards.verdict[2] == "off the centre"


def test_grains_across_the_radius_are_tangential():
    out = found([section(20, 0.4, 0.0), section(21, 0.4, 0.7)])
    assert out.verdict == "tangential"
    assert out.order.value < -0.4
    assert out.aspect.high < 0.8
    assert out.sections.verdict[1] == "off the centre"


def test_without_radial_order_nothing_is_told():
    out = found([section(30 + k, 1.0, share) for k, share in enumerate((0.0, 0.3, 0.6, 0.85))])
    assert out.verdict == "no radial structure"
    assert (out.sections.verdict == "cannot be told").all()
    assert "no radial structure" in out.warnings[0]
    assert (out.sections.height_share_high - out.sections.height_share_low > 0.7).all()
    assert out.aspect.low < 1 < out.aspect.high


def test_a_section_of_few_grains_is_measured_but_not_placed():
    whole = section(40, 3.5, 0.0)
    y, x = np.indices(whole.labels.shape)
    small = (np.abs(y - whole.centre_px[0] - 40) < 14) & (np.abs(x - whole.centre_px[1]) < 14)
    part = Section(np.where(small, whole.labels, 0), small & whole.inside, STEP, whole.centre_px)
    empty = Section(np.zeros((9, 12), np.int32), np.zeros((9, 12), bool), STEP, (4.0, 5.0))
    out = found([whole, part, empty])
    assert out.sections.verdict.tolist() == ["near the centre", "cannot be told", "cannot be told"]
    assert out.sections.n_grains[2] == 0
    assert np.isnan(out.sections.stretch[2])
    assert np.isnan(out.density[2]).all()
    alone = found([empty])
    assert alone.verdict == "no radial structure"
    assert np.isnan(alone.order.value)


def test_intervals_follow_the_seed_and_the_level():
    one = [section(50, 2.0, 0.2)]
    pd.testing.assert_frame_equal(found(one).sections, found(one).sections)
    wide = segment.radiality(one, rng=np.random.default_rng(0), n_boot=100, level=0.99).sections
    narrow = segment.radiality(one, rng=np.random.default_rng(0), n_boot=100, level=0.5).sections
    for name in ("order", "stretch", "height_share"):
        assert wide[f"{name}_high"][0] - wide[f"{name}_low"][0] > narrow[f"{name}_high"][0] - narrow[f"{name}_low"][0]
    with pytest.raises(InputError, match="at least one section"):
        segment.radiality([], rng=np.random.default_rng(0))
    with pytest.raises(InputError, match="level"):
        segment.radiality(one, rng=np.random.default_rng(0), level=1.0)


def test_the_density_of_angles_keeps_its_mass_at_both_ends():
    at = np.linspace(0, 90, 901)
    uniform = segment.alpha_density(np.linspace(0.05, 89.95, 900), at)
    assert uniform == pytest.approx(np.full(901, 1 / 90), rel=0.02)
    for alpha in (np.zeros(40), np.full(40, 90.0), np.r_[np.nan, 12.0, 30.0]):
        density = segment.alpha_density(alpha, at, bandwidth_deg=5.0)
        assert np.trapezoid(density, at) == pytest.approx(1, abs=1e-3)
    assert segment.alpha_density(np.zeros(3), at)[0] == pytest.approx(2 / np.sqrt(2 * np.pi), rel=1e-6)
    assert np.isnan(segment.alpha_density(np.array([np.nan]), at)).all()
