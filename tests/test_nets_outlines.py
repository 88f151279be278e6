"""The networks that outline particles in X-ray microscope frames: structure, training that resumes, what they find."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scipy import ndimage as ndi  # noqa: E402

from morpholith.errors import InputError  # noqa: E402
from morpholith.nets import cycle_gan, dual_unet, outlines  # noqa: E402
from morpholith.nets import outlines_training as training  # noqa: E402
from morpholith.nets.store import load  # noqa: E402

WEIGHTS = {"cycle_gan": outlines.CYCLE_GAN, "dual_unet": outlines.DUAL_UNET, "supervised": outlines.SUPERVISED}

USES = {"cycle_gan": outlines.find, "dual_unet": outlines.refine, "supervised": outlines.find_supervised}


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    """Return a bank of four small scans, two of either kind."""
    bank = training.Scans(tmp_path_factory.mktemp("outlines") / "scans", 2)
    bank.fill(range(4))
    return bank


def _layers(module, kind):
    return [m for m in module.modules() if isinstance(m, kind)]


# --- structure ---------------------------------------------------------------------------------------------------


def test_each_half_of_the_dual_unet_is_the_one_of_the_paper():
    """18 feature convolutions of 3 x 3, four layers down, four up, one 1 x 1 head; both halves alike."""
    net = dual_unet.DualUNet((4, 5, 6, 7, 8)).eval()
    for half in (net.clean, net.outline):
        sizes = [c.kernel_size for c in _layers(half, torch.nn.Conv2d)]
        assert sizes.count((3, 3)) == 18
        assert sizes.count((1, 1)) == 1
        assert len(sizes) == 19
        assert len(half.down) - 1 == 4
        assert len(half.up) == 4
        assert half.stride == 16
        x, skips = torch.zeros(1, half.down[0][0].in_channels, 32, 48), []
        for block in half.down:  # stride 2 between blocks
            x = block(x if not skips else torch.nn.functional.max_pool2d(x, 2))
            skips.append(x)
        assert [tuple(s.shape[2:]) for s in skips] == [(32, 48), (16, 24), (8, 12), (4, 6), (2, 3)]
    with pytest.raises(ValueError, match="four down-sampling layers"):
        dual_unet.DualUNet((4, 5, 6))


def test_the_second_half_sees_the_clean_picture_alone():
    net = dual_unet.DualUNet((4, 4, 4, 4, 4)).eval()
    x = torch.randn(1, 2, 32, 32)
    both = net(x)
    torch.testing.assert_close(net.outline(both[:, :1]), both[:, 1:])


def test_cycle_gan_has_two_generators_and_two_discriminators():
    nets = cycle_gan.CycleGAN(4, 2, 4)
    assert len(_layers(nets, cycle_gan.Generator)) == 2
    assert len(_layers(nets, cycle_gan.Discriminator)) == 2
    assert len(_layers(nets.to_mask, cycle_gan.Residual)) == 2
    total = sum(p.numel() for p in nets.parameters())
    assert total == sum(p.numel() for p in nets.generators()) + sum(p.numel() for p in nets.judges())
    x = torch.randn(2, 1, 64, 48).clamp(-1, 1)
    made = nets(x)
    assert made.shape == x.shape
    assert made.abs().max() <= 1
    assert nets.judge_mask(made).shape == (2, 1, 6, 4)
    full = cycle_gan.Discriminator(4)
    patch = torch.zeros(1, 1, 128, 128, requires_grad=True)
    full.eval()(patch)[0, 0, 7, 7].backward()
    assert full.body[0].kernel_size == (4, 4)
    assert patch.grad.shape == patch.shape


def test_losses_of_the_cycle_gan_are_the_published_ones():
    """With generators that change nothing and judges that say 1/4, every term is known."""
    nets = cycle_gan.CycleGAN(4, 1, 4)
    nets.to_mask = nets.to_frame = torch.nn.Identity()
    del nets.judge_mask, nets.judge_frame
    nets.judge_mask = nets.judge_frame = lambda _: torch.full((1,), 0.25)
    frame, mask = torch.full((1, 1, 8, 8), 0.2), torch.full((1, 1, 8, 8), -0.7)
    value, _as_mask, _as_frame = cycle_gan.generator_losses(nets, frame, mask)
    assert value.item() == pytest.approx(2 * 0.75**2)  # going there and back changes nothing either
    del nets.to_mask
    nets.to_mask = lambda x: x + 0.1
    value, *_ = cycle_gan.generator_losses(nets, frame, mask, cycle=10, identity=0.5)
    assert value.item() == pytest.approx(2 * 0.75**2 + 10 * 0.2 + 5 * 0.1, rel=1e-5)


def test_replay_returns_older_pictures_and_keeps_new_ones():
    replay, rng = cycle_gan.Replay(4), np.random.default_rng(0)
    seen = torch.cat([replay(torch.full((1, 1, 2, 2), float(k)), rng) for k in range(60)])[:, 0, 0, 0].numpy()
    assert (seen[:4] == np.arange(4)).all()
    late = np.arange(60)[4:] - seen[4:]
    assert (late >= 0).all()
    assert 0.25 < (late > 0).mean() < 0.75
    assert len(set(seen)) == 60 - np.sum(np.bincount(seen.astype(int), minlength=60) == 0)
    assert len(replay.kept) == 4


# --- training ----------------------------------------------------------------------------------------------------


def _pictures(step):
    g = torch.Generator().manual_seed(step)
    frame = torch.randn(2, 1, 32, 32, generator=g).clamp(-1, 1)
    return frame, torch.where(torch.rand(2, 1, 32, 32, generator=g) > 0.5, 1.0, -1.0)


def _trained(path, *stops, steps=9):
    """Train in one go, or be cut at `stops` and go on."""
    for stop in (*stops, steps):
        torch.manual_seed(2)
        nets = cycle_gan.CycleGAN(4, 1, 4)

        def batch(step, stop=stop):
            if step == stop:
                raise KeyboardInterrupt
            return _pictures(step)

        if stop < steps:
            with pytest.raises(KeyboardInterrupt):
                cycle_gan.fit(nets, batch, steps=steps, checkpoint=path, save_every=2, replay=4)
    return (*cycle_gan.fit(nets, batch, steps=steps, checkpoint=path, save_every=2, replay=4), nets)


def test_cycle_gan_training_resumes_bit_for_bit(tmp_path):
    """Replay buffers, both optimisers, the falling rate and the averages go on where they were."""
    whole, curve, nets = _trained(tmp_path / "a.pt")
    again, resumed, other = _trained(tmp_path / "b.pt", 5, 8)
    assert curve == resumed
    assert len(curve) == 9
    for key, value in whole.items():
        assert torch.equal(again[key], value), key
    for key, value in nets.state_dict().items():
        assert torch.equal(other.state_dict()[key], value), key
    start = cycle_gan.CycleGAN(4, 1, 4)
    assert any(not torch.equal(whole[k], v) for k, v in start.state_dict().items())


def test_borders_lie_where_two_particles_meet_and_nowhere_else():
    labels = np.zeros((30, 41), np.int32)
    labels[5:25, 5:20], labels[5:25, 20:35] = 1, 7
    where = training.border(labels)
    assert where[10, 17:23].all()
    assert not where[10, :16].any()
    assert not where[10, 24:].any()
    labels[labels == 7] = 1
    assert not training.border(labels).any()


def test_patches_depend_on_the_step_alone_and_the_two_kinds_share_no_scan(bank):
    a, b = bank.unpaired(3, 2), training.Scans(bank.folder, bank.n).unpaired(3, 2)
    assert torch.equal(a[0], b[0])
    assert torch.equal(a[1], b[1])
    assert a[0].shape == a[1].shape == (2, 1, training.PATCH, training.PATCH)
    assert a[1].min() == -1
    assert a[1].max() == 1
    assert a[0].abs().max() <= 1
    seeds = []
    watched = training.Scans(bank.folder, bank.n)
    keep = watched.scan
    watched.scan = lambda seed: seeds.append(seed) or keep(seed)
    watched._patch(np.random.default_rng(0), 0)
    assert seeds
    assert all(s % 2 == 0 for s in seeds)
    seeds.clear()
    watched._patch(np.random.default_rng(0), 1)
    assert seeds
    assert all(s % 2 == 1 for s in seeds)
    assert max(range(2 * 10_000)) < training.VALIDATION


def test_regions_of_interest_show_their_particle_in_the_middle(bank):
    x, truth = bank.single(1, 4)
    assert x.shape == truth.shape
    assert x.shape[:2] == (4, 2)
    assert x.shape[2] in training.ROI_EDGES
    n = x.shape[2] // 2
    assert (truth[:, 1, n - 2 : n + 2, n - 2 : n + 2].mean((1, 2)) > 0.5).all()
    assert ((truth[:, 0] > 0) <= (truth[:, 1] > 0)).all()
    assert truth[:, 0].amax((1, 2)).min() > 0.5
    assert torch.equal(x, bank.single(1, 4)[0])


def test_training_command_stores_weights_that_load_and_predict(tmp_path, bank, monkeypatch):
    """Three steps of each network, from the command line to a map."""
    small = {
        "cycle_gan": {"width": 4, "blocks": 1, "judge": 4},
        "dual_unet": {"channels": (4, 4, 4, 4, 4)},
        "supervised": {"n_in": 1, "n_out": 2, "channels": (4, 4, 4, 4, 4)},
    }
    monkeypatch.setattr(training, "ARCHITECTURE", small)
    scratch = bank.folder.parent
    frames = np.random.default_rng(0).normal(size=(1, 45, 62)).astype(np.float32)
    for kind, use in USES.items():
        path = tmp_path / kind
        argv = ["x", kind, str(path), "--steps", "3", "--scans", str(bank.n), "--scratch", str(scratch)]
        monkeypatch.setattr("sys.argv", argv)
        training.main()
        recipe = json.loads(path.with_suffix(".json").read_text())
        assert recipe["kind"] == kind
        assert f"{kind} WEIGHTS --steps 3" in recipe["command"]
        assert all(len(c) == 3 for c in recipe["curve"].values())
        assert np.isfinite(use(frames, weights=path)).all()


# --- what a network is shown -------------------------------------------------------------------------------------


def test_gain_offset_and_a_slope_drop_out():
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:120, :170]
    half = rng.normal(0, 0.02, y.shape) + 0.3 * (np.hypot(y - 60, x - 80) < 15)
    a = outlines.normalise(half)
    np.testing.assert_allclose(outlines.normalise(3.7 * half + 11), a, atol=2e-5)
    sloped = outlines.normalise(half + 0.002 * x + 0.001 * y)
    assert np.abs(sloped - a).mean() < 0.03
    assert np.std(np.sinh(6 * a[:, 120:])) == pytest.approx(1, abs=0.15)  # in units of the noise
    assert np.sinh(6 * a[60, 80]) == pytest.approx(15, abs=5)
    roi, unit = outlines.normalise_roi(half[35:86, 50:111])
    again, wider = outlines.normalise_roi(4 * half[35:86, 50:111] - 2)
    np.testing.assert_allclose(again, roi, atol=1e-5)
    assert wider == pytest.approx(4 * unit)
    assert unit == pytest.approx(0.3, abs=0.05)


def test_background_follows_a_curve_under_particles():
    y, x = np.mgrid[:203, :310]
    slow = 0.4 * np.sin(x / 130) + 0.2 * np.cos(y / 110)
    with_particles = slow + 1.0 * (np.hypot(y - 100, x - 160) < 25)
    found = outlines.background(with_particles)
    off = found - slow
    assert found.shape == slow.shape
    assert off.std() < 0.08


def test_halving_averages_what_was_seen():
    frame = np.arange(15.0).reshape(3, 5)
    frame[0, 0], frame[2, 4] = np.nan, np.nan
    half = outlines.halve(frame)
    assert half.shape == (2, 3)
    assert half[0, 0] == pytest.approx((1 + 5 + 6) / 3)
    assert half[0, 1] == pytest.approx((2 + 3 + 7 + 8) / 4)
    assert half[1, 0] == pytest.approx(10.5)
    assert np.isnan(half[1, 2])


# --- the shipped weights -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", WEIGHTS)
def test_shipped_weights_are_those_of_their_recipe(kind):
    state, recipe = load(WEIGHTS[kind])
    assert recipe["kind"] == kind
    assert recipe["licence"] == "BSD-3-Clause"
    assert WEIGHTS[kind].with_suffix(".safetensors").stat().st_size < 3e6
    assert recipe["architecture"] == json.loads(json.dumps(training.ARCHITECTURE[kind]))
    first, *_, last = next(iter(recipe["curve"].values()))
    assert last < first
    assert all(torch.isfinite(v).all() for v in state.values() if v.is_floating_point())


@pytest.mark.parametrize("use", [outlines.find, outlines.find_supervised, outlines.refine])
def test_odd_sizes_nan_and_nothing(use):
    rng = np.random.default_rng(3)
    frames = rng.normal(size=(3, 67, 93)).astype(np.float32)
    frames[1] = np.nan
    frames[2, :10, 5:9] = np.nan
    out = use(frames)
    assert out.shape == frames.shape
    assert out.dtype == np.float32
    assert (np.isnan(out) == np.isnan(frames)).all()
    assert np.nanmin(out) >= 0
    assert np.nanmax(out) <= 1
    assert use(np.zeros((0, 40, 50))).shape == (0, 40, 50)
    zero = use(np.zeros((1, 40, 50)))
    assert np.isfinite(zero).all()
    with pytest.raises(InputError, match=r"\(n, y, x\) array"):
        use(np.zeros((40, 50)))


def test_a_frame_too_small_is_refused():
    with pytest.raises(InputError, match="8 x 8"):
        outlines.find(np.zeros((1, 5, 50)))


@pytest.fixture(scope="module")
def unseen():
    """Return frames of a virtual scan that no network has learned from, below and above the edge, and its truth."""
    from morpholith.specimens import Scan, scan

    params = Scan.of(
        "typical", shape=(230, 310), n_particles=5, energies_ev=(8250.0, 8353.0), diameter_px=(45, 80), contrast=0.65,
        pre_edge=0.3, counts=700.0,
    )  # fmt: skip
    made = scan(params, rng=training.VALIDATION + 7)
    return {
        "frames": np.stack([made.optical_density(0, e) for e in (0, 1)]),
        "labels": np.stack([made.labels(0, e) for e in (0, 1)]),
    }


def _overlap(inside, truth):
    return (inside & truth).sum() / (inside | truth).sum()


@pytest.mark.parametrize(("use", "below", "above"), [(outlines.find, 0.7, 0.8), (outlines.find_supervised, 0.88, 0.93)])
def test_particles_of_an_unseen_scan_are_found(unseen, use, below, above):
    """Each particle is one connected piece, and nothing else of its size is found; axes are not swapped."""
    found = use(unseen["frames"]) > 0.5
    for inside, labels, bound in zip(found, unseen["labels"], (below, above), strict=True):
        assert _overlap(inside, labels > 0) > bound
        pieces, n = ndi.label(inside)
        large = [k for k in range(1, n + 1) if (pieces == k).sum() >= 150]
        assert len(large) == labels.max() == 5
        for number in range(1, 6):
            assert max(_overlap(pieces == k, labels == number) for k in large) > bound - 0.15
    assert _overlap(found[1][:, ::-1], unseen["labels"][1] > 0) < 0.5


def test_the_particle_in_the_middle_is_outlined(unseen):
    """Also where another touches it, and with the whole region cleaned of noise and background."""
    for frame, labels, bound in zip(unseen["frames"], unseen["labels"], (0.88, 0.93), strict=True):
        for number, box in enumerate(ndi.find_objects(labels), start=1):
            size = max(s.stop - s.start for s in box)
            window = tuple(slice(max(0, s.start - size // 4), s.stop + size // 4) for s in box)
            clean, inside = outlines.refine_both(frame[window][None])
            own = labels[window] == number
            assert _overlap(inside[0] > 0.5, own) > bound
            assert np.abs(clean[0][~own]).mean() < 0.05
            assert clean[0][own].mean() > 0.3
            double = outlines.refine(np.kron(frame[window], np.ones((3, 3)))[None])[0] > 0.5
            assert _overlap(double, np.kron(own, np.ones((3, 3))) > 0) > bound - 0.06


def test_answers_do_not_change_with_gain_and_offset(unseen):
    frames = unseen["frames"]
    for use in (outlines.find, outlines.find_supervised):
        a, b = use(frames), use(2.5 * frames + 7)
        assert np.abs(a - b).mean() < 2e-3
        assert ((a > 0.5) != (b > 0.5)).mean() < 1e-3


def test_real_frames_below_and_above_the_edge_show_the_same_large_particles(data):
    """Four particles of 6 to 8 um: areas agree within 12 %, places but for the shift of the stage."""
    from morpholith import read

    stack = np.asarray(read.scan(data / "xanes" / "aps_nca").array)
    frames = np.stack([outlines.halve(frame) for frame in stack.reshape(-1, *stack.shape[-2:])])
    areas, places = [], []
    for inside in outlines.find_supervised(frames) > 0.5:
        pieces, n = ndi.label(inside)
        area = np.bincount(pieces.ravel(), minlength=n + 1)[1:]
        largest = np.argsort(area)[:-5:-1]
        centres = np.array(ndi.center_of_mass(inside, pieces, largest + 1))
        order = np.argsort(centres[:, 1])
        areas.append(area[largest][order])
        places.append(centres[order])
    assert areas[0].min() > 4000
    np.testing.assert_allclose(areas[1], areas[0], rtol=0.12)
    shift = places[1] - places[0]
    assert np.abs(shift - shift.mean(0)).max() < 2.0
