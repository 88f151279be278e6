"""The ControlNet back end: a tiny one trained on powders of two grey levels, kept, interrupted, refused."""

import ast
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

from morpholith.errors import InputError  # noqa: E402
from morpholith.nets import control, control_base, control_parts, control_store, control_training  # noqa: E402

# two groups, so that the levels of grey survive the normalisation of so few channels
TINY = control.ControlConfig(
    patch=32, autoencoder_patch=32, batch=4, latent_channels=1, autoencoder_channels=(8, 8), channels=(16, 32),
    attention=(False, False), heads=2, token_width=8, groups=2, learning_rates=(1e-2, 4e-3, 6e-3), average=0.9,
)  # fmt: skip
STEPS = (80, 50, 110)
DARK, BRIGHT = np.full(4, -2.0), np.full(4, 2.0)


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def campaign(n=12):
    """Return images, codes and views: dark and bright powders in turn; in view 0 they have dots, in view 1 none."""
    rng = np.random.default_rng(3)
    bright, views = np.arange(n) % 2 == 1, np.arange(n) // 2 % 2
    images = []
    for is_bright, view in zip(bright, views, strict=True):
        grey = rng.normal(180 if is_bright else 70, 1, (40, 48))
        if view == 0:
            grey[4::12, 4::12] += 30
        images.append(np.clip(np.rint(grey), 0, 255).astype(np.uint8))
    return images, np.where(bright[:, None], BRIGHT, DARK), views


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return control.train_control(*campaign(), folder=folder, config=TINY, steps=STEPS, seed=1), folder


def same(one, two):
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


# ---- end to end ----


def test_what_is_drawn_follows_the_condition(trained):
    nets, _ = trained
    dark, bright = (
        control.draw_control(nets, code, 1, images=12, seed=5, shape=(32, 32), steps=10).mean((1, 2))
        for code in (DARK, BRIGHT)
    )
    assert 50 < dark.mean() < bright.mean() < 200
    assert (bright - dark).mean() > 8
    assert {name: len(curve) for name, curve in nets.curves.items()} == dict(zip(control.PHASES, STEPS, strict=True))


def test_the_condition_of_an_image_explains_its_noise_better_than_another(trained):
    nets, _ = trained
    images, codes, views = campaign()
    loss = control_training.NoiseLoss(nets.autoencoder, nets.base, nets.control, nets.schedule)
    x = torch.from_numpy(np.stack([i[:32, :32] for i in images])[:, None] / np.float32(127.5) - 1).repeat(5, 1, 1, 1)
    noise = torch.randn(2, 60, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    times = torch.linspace(0, 990, 60).long()[torch.randperm(60, generator=torch.Generator().manual_seed(0))]
    value = []
    for sign in (1, -1):
        own = np.hstack([sign * codes, np.eye(2)[views]]).astype(np.float32)
        with torch.inference_mode():
            value.append(float(loss(x, *noise, times, torch.from_numpy(own).repeat(5, 1))))
    assert value[0] < value[1] - 0.004


def test_a_seed_is_a_picture(trained):
    nets, _ = trained
    draw = lambda **how: control.draw_control(nets, BRIGHT / 2, 0, steps=3, **how)  # noqa: E731
    one = draw(images=3, seed=7, shape=(30, 45))
    assert one.shape == (3, 30, 45)
    assert one.dtype == np.uint8
    np.testing.assert_array_equal(one, draw(images=3, seed=7, shape=(30, 45)))
    assert (one != draw(images=3, seed=8, shape=(30, 45))).mean() > 0.5
    alone = draw(images=2, seed=7, shape=(30, 45), batch=1).astype(int)
    assert np.abs(alone - one[:2]).max() <= 1  # picture k does not depend on how many are drawn
    assert draw(images=0).shape == (0, 256, 256)
    rough = draw(images=3, seed=7, shape=(30, 45), mixed=True).astype(int)
    assert np.abs(rough - one).mean() < 3


def test_kept_and_read_again_it_draws_the_same(trained, tmp_path):
    nets, _ = trained
    control.save_control(tmp_path / "model", nets)
    again = control.load_control(tmp_path / "model")
    assert (again.config, again.width, again.views, again.base_name) == (TINY, 4, 2, None)
    how = {"images": 2, "seed": 2, "shape": (32, 32), "steps": 3}
    drawn = [control.draw_control(n, BRIGHT, 0, **how) for n in (nets, again)]
    np.testing.assert_array_equal(*drawn)
    for name, curve in nets.curves.items():
        np.testing.assert_allclose(again.curves[name], curve, atol=1e-6)


def test_a_drawer_gives_each_image_its_own_code(trained):
    nets, _ = trained
    weights, settings = control_store.described(nets)
    draw = control_store.drawer(weights, json.loads(json.dumps(settings)), ("3000x", "15000x"), device="cpu")
    codes = np.stack([DARK, BRIGHT])
    drawn = draw(codes, 1, seed=3, shape=(32, 32))
    for k, code in enumerate(codes):
        alone = control.draw_control(nets, code, 1, images=2, seed=3, shape=(32, 32))
        assert np.abs(drawn[k].astype(int) - alone[k]).max() <= 1
    with pytest.raises(InputError, match="2 views"):
        control_store.drawer(weights, settings, ("3000x",), device="cpu")


# ---- the parts ----


def test_a_new_control_adds_nothing_and_leaves_the_base_alone(trained):
    nets, _ = trained
    fresh = control_parts.new_control(nets.autoencoder, nets.base, 6).eval()
    latents, times = torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(0)), torch.tensor([10, 900])
    maps = torch.tensor([[0.3] * 4 + [1, 0], [-1] * 4 + [0, 1.0]])[:, :, None, None].expand(-1, -1, 32, 32)
    with torch.inference_mode():
        alone = control_training.predicted_noise(nets.base, None, latents, times, None)
        led = control_training.predicted_noise(nets.base, fresh, latents, times, maps)
        taught = control_training.predicted_noise(nets.base, nets.control, latents, times, maps)
    torch.testing.assert_close(led, alone, atol=1e-5, rtol=0)
    assert (taught - alone).abs().max() > 0.01


def test_the_autoencoder_gives_back_what_it_saw_in_latents_of_variance_one(trained):
    nets, _ = trained
    images = np.stack([image[:32, :32] for image in campaign()[0]])
    x = torch.from_numpy(images[:, None] / np.float32(127.5) - 1)
    with torch.inference_mode():
        latents = control_parts.encode(nets.autoencoder, x, torch.zeros(12, 1, 16, 16))
        back = control_parts.decode(nets.autoencoder, latents)
    assert (back - x).abs().mean() * 127.5 < 10
    assert 0.7 < latents.std() < 1.3
    assert control_parts.stride(nets.autoencoder, nets.base) == 4


def test_the_noise_schedule_is_that_of_epsilon_prediction(trained):
    nets, _ = trained
    betas = np.linspace(1e-4, 0.02, 1000)
    left = np.sqrt(np.cumprod(1 - betas)[499])
    loss = control_training.NoiseLoss(nets.autoencoder, nets.base, nets.control, nets.schedule)
    latents, noise = torch.ones(1, 4, 8, 8), torch.zeros(1, 4, 8, 8)
    noisy = loss.scheduler.add_noise(latents, noise, torch.tensor([499]))
    np.testing.assert_allclose(noisy.numpy(), left, rtol=1e-4)


# ---- checkpoints ----


def test_interrupted_training_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    steps, small = (3, 3, 4), replace(TINY, batch=2)

    def train(name):
        return control.train_control(*campaign(), folder=tmp_path / name, config=small, steps=steps, seed=4)

    whole = train("whole")
    cut, fit, calls = control_training.Patches.cut, control.fit, []

    def stopping(self, step):
        calls.append(step)
        if len(calls) == 3 + 16 + 3 + 3:  # autoencoder, its scale, base, and the third step of the ControlNet
            raise KeyboardInterrupt
        return cut(self, step)

    monkeypatch.setattr(control, "fit", lambda *a, **k: fit(*a, **k, save_every=1))
    monkeypatch.setattr(control_training.Patches, "cut", stopping)
    with pytest.raises(KeyboardInterrupt):
        train("broken")
    calls.append(None)
    after = len(calls)
    broken = train("broken")
    assert calls[after:][16:] == [2, 3]  # what was done is not done again
    assert same(whole.control, broken.control)
    assert same(whole.base, broken.base)
    assert whole.curves == broken.curves


def test_checkpoints_of_another_training_are_refused(trained):
    _, folder = trained
    with pytest.raises(InputError, match="another"):
        control.train_control(*campaign(), folder=folder, config=TINY, steps=STEPS, seed=2)


def test_a_damaged_checkpoint_is_refused(tmp_path):
    (tmp_path / "autoencoder.pt").write_bytes(b"no checkpoint")
    with pytest.raises(InputError, match="damaged"):
        control.train_control(*campaign(), folder=tmp_path, config=TINY, steps=STEPS)


# ---- a base that is given ----


@pytest.fixture(scope="module")
def base(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    nets, _ = trained
    control.save_base(folder, nets.autoencoder, nets.base, nets.schedule)
    return folder


def test_a_base_from_a_folder_stays_frozen_and_is_kept_by_name(trained, base, tmp_path):
    nets = control.train_control(*campaign(), folder=tmp_path, config=TINY, base=base, steps=(0, 0, 3))
    own, _ = trained
    assert same(nets.base, own.base)
    assert same(nets.autoencoder, own.autoencoder)
    assert nets.base_sha256 == control_base.digest(own.autoencoder, own.base)
    assert list(nets.curves) == ["control"]
    control.save_control(tmp_path / "model", nets)
    from safetensors.numpy import load_file

    assert all(name.startswith("control.") for name in load_file(tmp_path / "model.safetensors"))
    moved = base.rename(base.parent / "moved")
    with pytest.raises(InputError, match="no folder"):
        control.load_control(tmp_path / "model")
    again = control.load_control(tmp_path / "model", base=moved)
    how = {"images": 1, "shape": (32, 32), "steps": 2}
    drawn = [control.draw_control(n, DARK, 1, **how) for n in (nets, again)]
    moved.rename(base)
    np.testing.assert_array_equal(*drawn)


def test_a_model_can_hold_the_base_it_was_given(trained, base, tmp_path):
    nets = control.train_control(*campaign(), folder=tmp_path, config=TINY, base=base, steps=(0, 0, 0))
    weights, settings = control_store.described(nets, whole=True)
    again = control_store.networks(weights, {**settings, "base": {"name": "gone", "sha256": nets.base_sha256}})
    assert same(again.base, trained[0].base)
    assert again.autoencoder.config.scaling_factor == nets.autoencoder.config.scaling_factor


def test_another_base_than_the_one_trained_over_is_refused(trained, base, tmp_path):
    nets = control.train_control(*campaign(), folder=tmp_path, config=TINY, base=base, steps=(0, 0, 1))
    control.save_control(tmp_path / "model", nets)
    own, _ = trained
    other = control_parts.new_base(TINY)
    control.save_base(tmp_path / "other", own.autoencoder, other, own.schedule)
    with pytest.raises(InputError, match="SHA-256"):
        control.load_control(tmp_path / "model", base=tmp_path / "other")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"schedule": {"prediction_type": "v_prediction"}}, "epsilon"),
        ({"base": {"latent_channels": 8}}, "channels"),
    ],
)
def test_a_base_that_cannot_be_steered_is_refused(trained, tmp_path, change, match):
    own, _ = trained
    other = control_parts.new_base(replace(TINY, **change.get("base", {})))
    control.save_base(tmp_path, own.autoencoder, other, {**own.schedule, **change.get("schedule", {})})
    with pytest.raises(InputError, match=match):
        control_base.load_base(tmp_path)


def test_a_base_of_colour_images_gets_grey_ones(trained, tmp_path):
    own, _ = trained
    colour = diffusers.AutoencoderKL(
        in_channels=3, out_channels=3, latent_channels=1, block_out_channels=(8, 8), layers_per_block=1,
        norm_num_groups=8, down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    )  # fmt: skip
    control.save_base(tmp_path / "base", colour, own.base, own.schedule)
    nets = control.train_control(
        *campaign(), folder=tmp_path / "c", config=TINY, base=tmp_path / "base", steps=(0, 0, 1)
    )
    assert control.draw_control(nets, DARK, 0, shape=(16, 20), steps=1).shape == (1, 16, 20)


def test_without_a_network_a_hub_id_is_refused_with_what_to_do(monkeypatch):
    def offline(*_, **__):
        raise OSError("We couldn't connect to the hub.\nCheck your connection.")

    monkeypatch.setattr(diffusers.AutoencoderKL, "from_pretrained", offline)
    with pytest.raises(InputError, match=r"someone/some-base.*give its folder"):
        control_base.load_base("someone/some-base")


def test_a_folder_that_is_not_there_is_not_looked_for_on_the_hub():
    with pytest.raises(InputError, match="no folder"):
        control_base.load_base("./nowhere/at/all")


# ---- refused ----


@pytest.mark.parametrize(
    ("images", "codes", "views", "match"),
    [
        ([], np.zeros((0, 1)), np.zeros(0, int), "no images"),
        (campaign()[0], np.zeros((3, 1)), np.zeros(12, int), "one code and one view"),
        (campaign()[0], np.full((12, 1), np.nan), np.zeros(12, int), "NaN"),
        (campaign()[0], np.zeros((12, 1)), np.full(12, 0.5), "whole numbers"),
        ([i[..., None] for i in campaign()[0]], np.zeros((12, 1)), np.zeros(12, int), "uint8"),
        ([i[:20, :20] for i in campaign()[0]], np.zeros((12, 1)), np.zeros(12, int), "32 pixels"),
    ],
)
def test_what_does_not_go_together_is_refused(images, codes, views, match, tmp_path):
    with pytest.raises(InputError, match=match):
        control.train_control(images, codes, views, folder=tmp_path, config=TINY, steps=(1, 1, 1))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
def test_a_card_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(InputError, match="CUDA"):
        control.train_control(*campaign(), folder=tmp_path, config=TINY, device="cuda")


@pytest.mark.parametrize("wrong", [{"attention": (True,)}, {"channels": (15, 21)}])
def test_sizes_that_do_not_go_together_are_refused(wrong):
    with pytest.raises(InputError, match="levels|multiples"):
        replace(TINY, **wrong)


@pytest.mark.parametrize(
    ("code", "view", "how", "match"),
    [
        (np.zeros(2), 0, {}, "4 finite"),
        (np.full(4, np.nan), 0, {}, "finite"),
        (BRIGHT, 2, {}, "views 0 to 1"),
        (BRIGHT, 0, {"steps": 0}, "1 step"),
    ],
)
def test_what_was_not_trained_cannot_be_drawn(trained, code, view, how, match):
    with pytest.raises(InputError, match=match):
        control.draw_control(trained[0], code, view, **how)


def test_a_model_of_another_kind_is_refused(tmp_path):
    from morpholith.nets.store import save

    save(tmp_path / "other", {"a": torch.zeros(1)}, {"what": "something else"})
    with pytest.raises(InputError, match="no ControlNet"):
        control.load_control(tmp_path / "other")


def test_without_the_extra_its_name_is_said(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(InputError, match=r"morpholith\[diffusers\]"):
        control.train_control(*campaign(), folder=tmp_path, config=TINY)


def test_importing_it_needs_no_extra():
    files = sorted(Path(control.__file__).parent.glob("control*.py"))
    assert len(files) == 6
    for path in files:
        for node in ast.parse(path.read_text()).body:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else [getattr(node, "module", "")]
            assert not {n.split(".")[0] for n in names if n} & {"diffusers", "accelerate"}, path
