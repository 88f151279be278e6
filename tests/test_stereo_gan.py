"""The stereological GAN: soft sections against their definition, networks with and without torch, training to truth."""

import json
import os
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.stats import energy_distance

from morpholith import generate, measure
from morpholith.errors import InputError
from morpholith.generate import MarkerNetwork

torch = pytest.importorskip("torch")

from morpholith.nets import stereo_gan, stereo_training  # noqa: E402
from morpholith.nets.soft_diagram import EPS, plane, soft_sections, weights  # noqa: E402

STEP = 0.05


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# ---- marker network ----


def scattered(n=900, rng=0):
    rng = np.random.default_rng(rng)
    return rng.uniform([-20, -35, -50], [60, 35, 50], (n, 3)), rng.random((n, 2)), rng.uniform(0, np.pi, n)


@pytest.mark.parametrize("paper", [True, False])
def test_surroundings_are_the_nearest_seeds_in_the_radial_frame(paper):
    seeds, noise, gamma = scattered()
    seeds[:3] = [[0, 0, 0], [-7.0, 0, 0], [7.0, 0, 0]]  # the centre, and both ends of e1
    wanted = np.r_[0:3, 3 : len(seeds) : 7]
    given = SimpleNamespace(intensity=0.0018, neighbours=12, paper_inputs=paper)
    x = generate.surroundings(seeds, noise, gamma, wanted, given)
    near = cKDTree(seeds).query(seeds[wanted], k=13)[1][:, 1:]
    q = generate.radial_frames(seeds[wanted], gamma[wanted])
    away = np.einsum("nij,nkj->nki", q, seeds[near] - seeds[wanted, None]) / (1 if paper else 8)
    expected = np.concatenate([away, noise[near]], -1).reshape(len(wanted), -1)
    np.testing.assert_allclose(x[:, :60], expected, atol=1e-5)
    assert x.shape[1] == (60 if paper else 63)
    if not paper:
        np.testing.assert_allclose(x[:, 60:62], noise[wanted], atol=1e-7)
        np.testing.assert_allclose(x[:, 62], np.linalg.norm(seeds[wanted], axis=1) / 80, rtol=1e-6)


@pytest.mark.parametrize("intensity", [1e-7, 10.0])
def test_the_nearest_are_found_whatever_the_cells(intensity):
    seeds, noise, gamma = scattered(60, 3)
    given = SimpleNamespace(intensity=intensity, neighbours=12, paper_inputs=True)
    x = generate.surroundings(seeds, noise, gamma, np.arange(60), given).reshape(60, 12, 5)
    found = np.linalg.norm(x[..., :3], axis=-1)
    np.testing.assert_allclose(found, cKDTree(seeds).query(seeds, k=13)[0][:, 1:], rtol=1e-5)


def test_missing_neighbours_are_zeros():
    seeds, noise, gamma = scattered(5)
    given = SimpleNamespace(intensity=0.0018, neighbours=12, paper_inputs=True)
    x = generate.surroundings(seeds, noise, gamma, np.arange(5), given).reshape(5, 12, 5)
    assert (x[:, :4, :3] != 0).any(-1).all()
    assert (x[:, 4:] == 0).all()
    assert generate.surroundings(seeds, noise, gamma, np.arange(0), given).shape == (0, 60)


@pytest.mark.parametrize("paper", [True, False])
def test_numpy_and_torch_give_the_same_markers(paper):
    torch.manual_seed(1)
    net = stereo_gan.MarkerNet((64, 32), paper_inputs=paper)
    plain = net.plain(intensity=0.0018, step_um=STEP)
    x = generate.surroundings(*scattered(), np.arange(900), plain)
    with torch.no_grad():
        d, r = net(torch.from_numpy(x))
    ours = plain.markers(x)
    # float32 against float64 in the last layer: the range of D is 50
    np.testing.assert_allclose(ours[0], d.numpy(), rtol=1e-5)
    np.testing.assert_allclose(ours[1], r.numpy(), rtol=1e-5)
    assert ours[0].std() > 1e-3
    assert ((ours[0] > 0.5) & (ours[0] < 50)).all()
    assert ((ours[1] > 1) & (ours[1] < 10)).all()


def test_a_drawn_field_has_the_intensity_and_the_markers_of_its_seeds():
    net = replace(generate.untrained_network(rng=np.random.default_rng(0)), step_um=0.1)
    field = net.draw([-2, -1, 1], [2, 3, 4], rng=np.random.default_rng(1))
    expected = net.intensity_per_um3 * 4 * 4 * 3
    assert net.intensity_per_um3 == pytest.approx(1.8)
    assert abs(len(field.seeds) - expected) < 4 * np.sqrt(expected)
    assert (field.seeds >= [-2, -1, 1]).all()
    assert (field.seeds < [2, 3, 4]).all()
    value = np.linalg.eigvalsh(field.matrices) * 0.1**2
    assert (value > 0.5).all()
    assert (value < 50).all()
    again = net.draw([-2, -1, 1], [2, 3, 4], rng=np.random.default_rng(1), threads=3)
    assert all(np.array_equal(a, b) for a, b in zip(field[:3], again[:3], strict=True))
    # the first axis of each metric is the radius
    out = field.seeds / np.linalg.norm(field.seeds, axis=1, keepdims=True)
    along = np.einsum("nij,nj->ni", field.matrices, out)
    np.testing.assert_allclose(np.cross(along, out), 0, atol=1e-6 * np.abs(along).max())


def test_markers_do_not_depend_on_the_box_they_are_drawn_in():
    seeds, noise, gamma = scattered(4000, 5)
    net = generate.untrained_network(rng=np.random.default_rng(0))
    inner = np.flatnonzero((np.abs(seeds) < 10).all(1))
    near = np.flatnonzero((np.abs(seeds) < 10 + generate.neighbour_distance(0.0071, 36)).all(1))
    few = np.searchsorted(near, inner)
    a = generate.surroundings(seeds, noise, gamma, inner, net)
    b = generate.surroundings(seeds[near], noise[near], gamma[near], few, net)
    assert len(near) < len(seeds)
    assert np.array_equal(a, b)


def test_state_goes_through_json_and_back():
    net = generate.untrained_network(rng=np.random.default_rng(0), paper_inputs=True)
    arrays, settings = net.state()
    back = MarkerNetwork.from_state(arrays, json.loads(json.dumps(settings)))
    assert back.state()[1] == settings
    one, two = (n.draw([-1, -1, -1], [1, 1, 1], rng=np.random.default_rng(2)) for n in (net, back))
    assert np.array_equal(one.matrices, two.matrices)
    with pytest.raises(InputError, match="learn it again"):
        MarkerNetwork.from_state(arrays, {**settings, "flavour": 3})
    with pytest.raises(InputError, match="should take 60 numbers"):
        MarkerNetwork.from_state({**arrays, "weight_0": np.zeros((7, 128), np.float32)}, settings)
    with pytest.raises(InputError, match="box"):
        net.draw([0, 0, 0], [1, -1, 1], rng=np.random.default_rng(0))


def test_no_grain_reaches_beyond_the_reach():
    net = generate.with_reach(generate.untrained_network(rng=np.random.default_rng(0)), rng=np.random.default_rng(1))
    field = net.draw([-2, -2, 0], [2, 2, 4], rng=np.random.default_rng(2))
    labels = generate.label_grid(*field[:3], shape=(30, 30, 30), spacing=0.05, origin=(-0.75, -0.75, 1.25))
    at = np.stack(np.meshgrid(*[o + 0.05 * np.arange(30) for o in (-0.75, -0.75, 1.25)], indexing="ij"), -1)
    far = np.linalg.norm(at - field.seeds[labels - 1], axis=-1).max()
    assert 0.4 * net.reach_um < far < net.reach_um


# ---- soft sections ----


def planes(cutouts=3, each=90, rng=0):
    rng = np.random.default_rng(rng)
    p = rng.uniform(0, 80, cutouts)
    start = np.arange(cutouts + 1) * each
    seeds = rng.uniform([-8, -24, -12], [42, 24, 12], (cutouts * each, 3))
    seeds[:, 0] += np.repeat(p, each)
    gamma = rng.uniform(0, np.pi, len(seeds))
    diagonal = rng.uniform(0.5, 25, (len(seeds), 3))
    return seeds, gamma, start, p, diagonal, rng.uniform(1, 10, len(seeds))


def defined(seeds, gamma, p, diagonal, radii, power):
    """Probabilities of all grains at the pixels of one cutout, from Eqs. 8, 11 and 16: (grain, 32, 32)."""
    m = generate.restricted_matrices(seeds, diagonal, gamma)
    x = np.arange(1, 33)
    at = np.stack(np.meshgrid(x + p, x - 16.5, [0.0], indexing="ij"), -1)[:, :, 0]
    away = at - seeds[:, None, None]
    value = np.einsum("nabi,nij,nabj->nab", away, m, away)
    value = (np.sqrt(value) if power == 1 else value) - radii[:, None, None]
    share = np.exp(value.min(0) - value)
    return share / share.sum(0)


def seen_of(seeds, gamma, start, p):
    return plane(seeds, generate.radial_frames(seeds, gamma), start, p)


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("engine", ["compiled", "torch"])
def test_soft_sections_equal_their_definition_within_eps(power, engine):
    seeds, gamma, start, p, diagonal, radii = planes()
    diagonal *= 0.05 if power == 2 else 1
    given = (torch.tensor(v, dtype=torch.float32) for v in (diagonal, radii))
    images, grains = soft_sections(seen_of(seeds, gamma, start, p), *given, power=power, engine=engine)
    for c in range(3):
        own = slice(start[c], start[c + 1])
        whole = defined(seeds[own], gamma[own], p[c], diagonal[own], radii[own], power)
        order = np.argsort(-whole.sum((1, 2)), kind="stable")[:12]
        np.testing.assert_allclose(images[c].numpy(), whole[order], atol=EPS + 2e-5)
        assert grains[c] == len(np.unique(whole.argmax(0)))
    assert images.sum(1).max() <= 1 + 1e-5
    assert (images.sum((2, 3)).diff(dim=1) <= 1e-3).all()


def test_what_is_neglected_stays_below_the_stated_bound():
    # wide bounds, so that culling has much to leave out, and a bound that can be seen to bind
    seeds, gamma, start, p, diagonal, radii = planes(2, 400, 4)
    given = [torch.tensor(v, dtype=torch.float32) for v in (0.02 * diagonal, radii)]
    seen = seen_of(seeds, gamma, start, p)
    exact, _ = soft_sections(seen, *given, eps=1e-7, channels=400)
    for eps in (0.3, 1e-2):
        rough, _ = soft_sections(seen, *given, eps=eps, channels=400)
        order = (v.sort(1).values for v in (exact, rough))
        off = (next(order) - next(order)).abs().sum(1) / 2
        assert off.max() < eps
    assert off.max() > 1e-6


def test_slopes_equal_those_of_torch_and_of_differences():
    seeds, gamma, start, p, diagonal, radii = planes(2)
    seen = seen_of(seeds, gamma, start, p)
    weight = torch.from_numpy(np.random.default_rng(1).standard_normal((2, 12, 32, 32)).astype(np.float32))
    slopes = []
    for engine in ("compiled", "torch"):
        d, r = (torch.tensor(v, dtype=torch.float32, requires_grad=True) for v in (diagonal, radii))
        images, _ = soft_sections(seen, d, r, engine=engine)
        (images * weight).sum().backward()
        slopes.append((d.grad, r.grad))
    for a, b in zip(*slopes, strict=True):
        assert (a - b).abs().max() < 1e-4 * b.abs().max()
        assert b.abs().max() > 0.01

    def total(dd, rr):
        kept = [v for c in range(2) for v in [slice(start[c], start[c + 1])]]
        out = 0.0
        for c, own in enumerate(kept):
            whole = defined(seeds[own], gamma[own], p[c], dd[own], rr[own], 1)
            order = np.argsort(-defined(seeds[own], gamma[own], p[c], diagonal[own], radii[own], 1).sum((1, 2)))[:12]
            out += (whole[order] * weight[c].numpy()).sum()
        return out

    move = np.random.default_rng(2).standard_normal((len(radii), 4))
    h = 1e-4
    ends = [total(diagonal + s * h * move[:, :3], radii + s * h * move[:, 3]) for s in (1, -1)]
    expected = (slopes[0][0].numpy() * move[:, :3]).sum() + (slopes[0][1].numpy() * move[:, 3]).sum()
    assert (ends[0] - ends[1]) / (2 * h) == pytest.approx(expected, rel=2e-2)


@pytest.mark.parametrize("engine", ["compiled", "torch"])
def test_longer_lists_of_other_cutouts_change_no_pixel(engine):
    seeds, gamma, start, p, diagonal, radii = planes(3)
    given = [torch.tensor(v, dtype=torch.float32) for v in (diagonal, radii)]
    together, _ = soft_sections(seen_of(seeds, gamma, start, p), *given, engine=engine)
    # the middle cutout keeps 7 seeds, fewer than there are channels; the others their lists
    few = np.r_[0:90, 90:97, 180:270]
    one = seen_of(seeds[few], gamma[few], np.array([0, 90, 97, 187]), p)
    uneven, grains = soft_sections(one, *(v[few] for v in given), engine=engine)
    assert torch.equal(uneven[[0, 2]], together[[0, 2]])
    assert (uneven[1, 7:] == 0).all()
    torch.testing.assert_close(uneven[1].sum(0), torch.ones(32, 32))
    assert 1 <= grains[1] <= 7


def test_rounding_and_weights():
    seeds, gamma, start, p, diagonal, radii = planes(2)
    given = [torch.tensor(v, dtype=torch.float32) for v in (diagonal, radii)]
    seen = seen_of(seeds, gamma, start, p)
    soft, hard = (soft_sections(seen, *given, round_off=flag)[0] for flag in (False, True))
    assert torch.equal(hard, (soft > 0.5).float())
    weight = weights(seen, *given)
    assert weight.reshape(2, 90).sum(1) == pytest.approx(1, abs=1e-4)
    assert np.sort(weight[:90])[::-1][:12] == pytest.approx(soft[0].mean((1, 2)).numpy(), abs=1e-5)
    with pytest.raises(InputError, match="positive"):
        soft_sections(seen, given[0] * 0, given[1])
    with pytest.raises(InputError, match="eps"):
        soft_sections(seen, *given, eps=0.0)
    with pytest.raises(InputError, match="180 seeds take"):
        soft_sections(seen, given[0][:-1], given[1])


# ---- measured sections ----


def drawn_fit(ratio, *, radius=3.2, rng=0, shift=(0.0, 0.0)):
    """A planar radial diagram, as a fit of it would be: D along the radius is D across it over ratio^2."""
    rng = np.random.default_rng(rng)
    n = rng.poisson(np.pi * (radius + 0.5) ** 2 * 6.0)
    at, angle = (radius + 0.5) * np.sqrt(rng.random(n)), rng.uniform(0, 2 * np.pi, n)
    seeds = at[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    diagonal = np.array([12 / ratio**1.33, 12 * ratio**0.67]) / STEP**2 * rng.uniform(0.8, 1.25, (n, 2))
    radii = rng.uniform(4.5, 6.5, n)
    out = seeds / at[:, None]
    across = np.stack([-out[:, 1], out[:, 0]], 1)
    m = sum(d[:, None, None] * v[:, :, None] * v[:, None] for d, v in zip(diagonal.T, (out, across), strict=True))
    side = round(2 * (radius + 0.2) / STEP)
    centre = ((side - 1) / 2 + shift[0], (side - 1) / 2 + 9 + shift[1])
    y, x = (STEP * (np.arange(k) - c) for k, c in zip((side, side + 18), centre, strict=True))
    solid = np.zeros((n, 3, 3))
    solid[:, 1:, 1:], solid[:, 0, 0] = m, 1.0
    flat = np.pad(seeds, ((0, 0), (1, 0)))
    inside = (y[:, None] ** 2 + x**2 < radius**2)[None]
    labels = generate.label_grid(
        flat, solid, radii, shape=inside.shape, spacing=(1.0, STEP, STEP), origin=(0.0, y[0], x[0]), inside=inside
    )[0]
    return generate.DiagramFit(seeds, m, radii, 1, np.arange(1, n + 1), labels, 1.0, (), (STEP, STEP), centre, diagonal)


def test_measured_cutouts_show_the_section():
    fit = drawn_fit(2.0, shift=(3.0, -2.0))
    section = stereo_gan.measured(fit, step_um=STEP)
    section = section._replace(places=section.places[section.places[:, 0] == 20])
    shown = stereo_gan.measured_cutouts([section], 1, rng=np.random.default_rng(8), spread=0.0)
    given = [torch.from_numpy(part) for part in (shown.diagonal, shown.radii)]
    images, _ = soft_sections(shown.seen, *given)
    # the same place in the labels: draw the numbers again, in the same order
    rng = np.random.default_rng(8)
    p = stereo_gan.distances([section], 1, rng=rng)[0]
    angle = section.places[rng.choice(len(section.places)), 1]
    x = np.arange(1, 33)
    along, across = np.meshgrid(x + p, x - 16.5, indexing="ij")
    row = np.rint(np.cos(angle) * along - np.sin(angle) * across + fit.centre[0]).astype(int)
    column = np.rint(np.sin(angle) * along + np.cos(angle) * across + fit.centre[1]).astype(int)
    there = fit.labels[row, column]
    labels, counts = np.unique(there, return_counts=True)
    best = there == labels[counts.argmax()]
    first = images[0, 0].numpy() > 0.5
    assert (best == first).mean() > 0.95
    assert images[0].argmax(0).unique().numel() >= min(len(labels), 12) - 2


def test_augmentation_is_within_its_spread_and_scaling_changes_no_grain():
    fit = drawn_fit(2.0)
    a = stereo_gan.measured(fit, step_um=STEP)
    scaled = replace(fit, diagonal=fit.diagonal * 9.0, radii=fit.radii * 3 + 2.0)
    b = stereo_gan.measured(scaled, step_um=STEP)
    np.testing.assert_allclose(a.diagonal, b.diagonal)
    np.testing.assert_allclose(a.radii, b.radii)
    plain, moved = (stereo_gan.measured_cutouts([a], 4, rng=np.random.default_rng(3), spread=s) for s in (0.0, 0.2))
    first = slice(0, plain.seen.start[1])
    ratio = moved.diagonal[first, :2] / plain.diagonal[first, :2]
    assert 0.8 <= ratio.min() < 0.83
    assert 1.17 < ratio.max() <= 1.2
    assert not np.allclose(ratio[:, 0], ratio[:, 1])


def test_sections_too_small_or_absent_are_refused():
    with pytest.raises(InputError, match="too few grains"):
        stereo_gan.measured(drawn_fit(1.0, radius=0.7), step_um=STEP)
    with pytest.raises(InputError, match="got none"):
        stereo_training.learn_architecture([])
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="no CUDA device"):
            stereo_training.learn_architecture([drawn_fit(1.0)], device_name="cuda")
    with pytest.raises(InputError, match="D must be bounded"):
        stereo_gan.MarkerNet(diagonal_range=(0.0, 50.0))


# ---- training ----

QUICK = replace(stereo_training.PAPER, epochs=3, steps=2, batch=4)
TWO = replace(QUICK, epochs=2)


@pytest.fixture(scope="module")
def needles():
    return drawn_fit(3.0)


@pytest.mark.parametrize("joint", [False, True])
def test_a_resumed_run_has_the_same_curve(tmp_path, needles, joint):
    schedule = replace(QUICK, joint_statistics=joint, average=0.9, start="moments")
    whole = stereo_training.learn_architecture([needles], schedule=schedule, seed=4)
    path = tmp_path / "gan.safetensors"

    def stop(epoch, network):
        assert isinstance(network, MarkerNetwork)
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stereo_training.learn_architecture([needles], schedule=schedule, seed=4, checkpoint=path, on_epoch=stop)
    resumed = stereo_training.learn_architecture([needles], schedule=schedule, seed=4, checkpoint=path)
    assert resumed.curves.equals(whole.curves)
    assert all(np.array_equal(a, b) for a, b in zip(whole.network.weights, resumed.network.weights, strict=True))
    assert list(whole.curves.index) == [1, 2, 3]
    with pytest.raises(InputError, match="seed differ"):
        stereo_training.learn_architecture([needles], schedule=schedule, seed=5, checkpoint=path)
    folder = tmp_path / "work"
    short = replace(schedule, epochs=1, steps=1)
    for seed in (4, 5, 4):
        stereo_training.learn_architecture([needles], schedule=short, seed=seed, checkpoint=folder)
    assert len(list(folder.iterdir())) == 2
    (tmp_path / "taken.safetensors.part").mkdir()  # stands for a disk that takes no more
    with pytest.raises(InputError, match="cannot be written"):
        stereo_training.learn_architecture([needles], schedule=short, checkpoint=tmp_path / "taken.safetensors")
    path.write_bytes(b"no safetensors")
    with pytest.raises(InputError, match="no checkpoint"):
        stereo_training.learn_architecture([needles], schedule=schedule, seed=4, checkpoint=path)


def test_the_gate_and_the_intensity_follow_their_rules(needles):
    shut = replace(QUICK, gate=1e9, learning_rate=0.0)
    curves = stereo_training.learn_architecture([needles], schedule=shut, step_um=STEP).curves
    assert (curves["discriminator_steps"] == 0).all()
    open_ = stereo_training.learn_architecture([needles], schedule=replace(shut, gate=0.0), step_um=STEP).curves
    assert (open_["discriminator_steps"] == shut.steps).all()
    # Eq. 13 from one epoch to the next
    expected = curves["intensity"] * (0.5 + 0.5 * curves["grains_measured"] / curves["grains_drawn"])
    np.testing.assert_allclose(curves["intensity"].to_numpy()[1:], expected.to_numpy()[:-1])
    assert curves["intensity"].iloc[0] == 0.0018


def test_the_start_from_moments_has_their_axis_ratio(needles):
    schedule = replace(QUICK, epochs=1, start="moments", learning_rate=0.0)
    curves = stereo_training.learn_architecture([needles], schedule=schedule, step_um=STEP).curves
    assert curves["radial_ratio"].iloc[0] == pytest.approx(np.log(3.0), abs=0.1)
    middle = stereo_training.learn_architecture([needles], schedule=replace(schedule, start="middle")).curves
    assert abs(middle["radial_ratio"].iloc[0]) < 0.1


def shapes(labels, centre):
    """Logarithm of the elongation, and alpha, of grains that the edge of the section does not cut."""
    table = measure.grain_shapes(labels, spacing=STEP, centre_um=tuple(STEP * c for c in centre))
    away = np.hypot(table["y_um"] - STEP * centre[0], table["x_um"] - STEP * centre[1])
    table = table[(away < STEP * np.sqrt((labels > 0).sum() / np.pi) - 0.4) & (table["area_um2"] > 6 * STEP**2)]
    return np.log(table["elongation"]), table["alpha_deg"]


def section_of(network, *, side=111, seed=0):
    """A central section, a disc of diameter `side` pixels, of grains that the network draws."""
    half = STEP * (side - 1) / 2
    low = np.array([0, half, half]) + network.reach_um
    field = network.draw(-low, low, rng=np.random.default_rng(seed))
    plane = np.array([[0, 1.0, 0], [0, 0, 1]])
    labels = generate.label_section(*field[:3], corner=(0, -half, -half), axes=plane, shape=(side, side), spacing=STEP)
    line = (np.arange(side) - (side - 1) / 2) ** 2
    return np.where(line[:, None] + line < (side / 2) ** 2, labels, 0), ((side - 1) / 2,) * 2


def test_training_brings_sections_towards_needles_it_did_not_start_from(needles):
    schedule = replace(
        stereo_training.USEFUL, epochs=6, steps=15, batch=12, learning_rate=3e-3, judge_rate=2e-3, start="middle",
        decay=False, average=0.9,
    )  # fmt: skip
    first = []
    learnt = stereo_training.learn_architecture(
        [needles], schedule=schedule, step_um=STEP, seed=1, on_epoch=lambda _, net: first.append(net)
    )
    curves = learnt.curves
    assert abs(curves["radial_ratio"].iloc[0]) < 0.3
    # ln 3 = 1.1; a generator that runs away ends at its bounds, ln 10 = 2.3, without spread
    assert 0.6 < curves["radial_ratio"].iloc[-3:].mean() < 1.6
    assert (curves["radial_ratio_sd"].iloc[-3:] > 0.1).all()
    drawn, seen = curves["grains_drawn"].iloc[-1], curves["grains_measured"].iloc[-1]
    assert drawn == pytest.approx(seen, rel=0.3)
    # needles: longer intercepts along the radius, in the data from the start and in what is drawn at the end
    ratio = curves["radial_drawn_um"] / curves["tangential_drawn_um"]
    assert (curves["radial_measured_um"] > 1.8 * curves["tangential_measured_um"]).all()
    assert ratio.iloc[0] < 1.4
    assert ratio.iloc[-1] > 1.6
    truth = shapes(needles.labels, needles.centre)
    before, after = (
        [energy_distance(a, b) for a, b in zip(shapes(*section_of(net)), truth, strict=True)]
        for net in (generate.with_reach(first[0], rng=np.random.default_rng(0)), learnt.network)
    )
    assert after[0] < before[0] / 2
    assert after[1] < before[1] / 2


PARALLEL = """
import sys, json, pickle
import numpy as np, torch
sys.path.insert(0, {tests!r})
from test_stereo_gan import TWO, drawn_fit
from morpholith.nets import stereo_training
torch.set_num_threads(1)
torch.distributed.init_process_group("gloo", init_method="file://{meet}", rank=int(sys.argv[1]), world_size=2)
made = stereo_training.learn_architecture([drawn_fit(3.0)], schedule=TWO, seed=4, step_um=0.05)
sums = [float(w.sum()) for w in made.network.weights]
json.dump([sums, made.curves["intensity"].tolist()], open({out!r} + sys.argv[1], "w"))
torch.distributed.destroy_process_group()
"""


def test_two_processes_stay_together(tmp_path):
    code = PARALLEL.format(tests=os.path.dirname(__file__), meet=tmp_path / "meet", out=str(tmp_path / "out"))
    runs = [subprocess.Popen([sys.executable, "-c", code, str(k)]) for k in range(2)]
    assert [run.wait(120) for run in runs] == [0, 0]
    one, two = (json.loads((tmp_path / f"out{k}").read_text()) for k in range(2))
    assert one == two
    alone = stereo_training.learn_architecture([drawn_fit(3.0)], schedule=TWO, seed=4, step_um=STEP)
    assert one[0] != [float(w.sum()) for w in alone.network.weights]


def test_importing_generate_loads_no_torch():
    code = "import sys, morpholith.generate; sys.exit(sum(m in sys.modules for m in ('torch', 'numba')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_bench_runs_as_a_toy(monkeypatch, capsys, tmp_path):
    script = Path(__file__).resolve().parents[1] / "bench" / "bench_markers.py"
    monkeypatch.setattr(
        sys, "argv", ["bench_markers.py", "--toy", "--threads", "1", "--repeats", "1", "--results", str(tmp_path)]
    )
    runpy.run_path(str(script), run_name="__main__")
    out = capsys.readouterr().out
    assert "seconds_a_grain" in out
    assert "hours_of_200_x_100" in out
    assert "nan" not in out
