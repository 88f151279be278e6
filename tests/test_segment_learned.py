"""The default segmentation on virtual powders it was not trained on, and the laws it must keep."""

import numpy as np
import pytest

from morpholith import segment
from morpholith.errors import InputError
from morpholith.measure import form_circularity
from morpholith.nets import particle_net
from morpholith.nets.store import load, save
from morpholith.segment.learned import cut_tails, enlarge
from morpholith.segment.matching import match
from morpholith.specimens import Habit, Microscope, Powder, discs, micrograph, scene

UNSEEN = 5_000_000  # training seeds are below 1200 and drawn through another stream


@pytest.fixture(scope="module")
def powder():
    microscope = Microscope()
    field = scene(Powder(d50_um=3.0, habit=Habit("plate", 0.1, 0.5)), spacing=microscope.spacing, rng=UNSEEN)
    return field, micrograph(field, microscope, rng=UNSEEN)


@pytest.fixture(scope="module")
def found(powder):
    field, image = powder
    return segment.particles(image, spacing=field.spacing)


def test_visible_particles_are_found(powder, found):
    field, _ = powder
    seen = np.bincount(field.labels.ravel(), minlength=len(field.truth) + 1)[1:] * field.spacing[0] ** 2
    visible = field.truth.index[seen > 0.5 * field.truth.area_um2]  # neither covered nor outside the field
    matched = set(match(field.labels, found.labels, iou=0.7).pairs["truth"])
    assert len(visible) > 40
    assert np.mean([k in matched for k in visible]) >= 0.95


def test_gain_and_offset_change_nothing(powder, found):
    field, image = powder
    other = segment.particles(300.0 * image.astype(float) - 1234, spacing=field.spacing)
    assert match(found.labels, other.labels, iou=0.95).f1 > 0.99


def test_flipped_image_gives_the_flipped_outlines(powder, found):
    field, image = powder
    other = segment.particles(image[::-1, ::-1], spacing=field.spacing)
    assert match(found.labels, other.labels[::-1, ::-1], iou=0.7).f1 > 0.93


def test_tiles_equal_the_whole(powder, monkeypatch):
    image = particle_net.reduce(powder[1], 2)
    whole = particle_net.predict(image)
    monkeypatch.setattr(particle_net, "TILE_EDGE", 256)
    tiled = particle_net.predict(image)
    away = np.abs(whole["particle"] - tiled["particle"])
    assert away.mean() < 2e-3
    assert np.quantile(away, 0.99) < 0.02


def test_nothing_is_found_where_nothing_is():
    noise = np.random.default_rng(0).normal(100, 3, (300, 400))
    assert segment.particles(noise, spacing=(0.03, 0.03)).labels.max() <= 2


def test_enlarging_keeps_discs_round_and_their_area():
    coarse = discs((120, 150), spacing=1.0, centres_um=[(40.3, 50.1), (80.7, 100.2)], radii_um=[20.3, 12.6])
    fine = enlarge(coarse.labels, np.ones(coarse.labels.shape), 4, (480, 600))
    area = np.bincount(fine.ravel())[1:] / 16
    np.testing.assert_allclose(area, coarse.truth.area_um2, rtol=0.02)
    assert form_circularity(fine, spacing=(0.25, 0.25)) == pytest.approx([1, 1], abs=0.012)


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((5, 5, 3)), "2D grey"),
        (np.zeros((0, 4)), "empty"),
        (np.full((8, 8), np.nan), "NaN"),
    ],
)
def test_what_is_no_micrograph_is_refused(array, says):
    with pytest.raises(InputError, match=says):
        segment.particles(array, spacing=(1, 1))


def test_unknown_method_and_missing_checkpoint_are_named():
    image = np.zeros((64, 64))
    with pytest.raises(InputError, match="'learned', 'classical', 'sam'"):
        segment.particles(image, spacing=(1, 1), method="magic")
    with pytest.raises(InputError, match="--checkpoint"):
        segment.particles(image, spacing=(1, 1), method="sam")


def test_damaged_weights_are_refused(tmp_path):
    import torch

    save(tmp_path / "w", {"a": torch.ones(3)}, {"what": "test"})
    assert torch.equal(load(tmp_path / "w")[0]["a"], torch.ones(3))
    raw = bytearray((tmp_path / "w.safetensors").read_bytes())
    raw[-1] ^= 1
    (tmp_path / "w.safetensors").write_bytes(raw)
    with pytest.raises(InputError, match="damaged"):
        load(tmp_path / "w")


def test_fused_network_answers_the_same():
    import torch

    from morpholith.nets.unet import UNet

    torch.manual_seed(0)
    plain = UNet(1, 2, channels=(4, 6, 8)).train()
    plain(torch.randn(4, 1, 16, 16))  # gives the normalisations something to remember
    plain.eval()
    x = torch.randn(1, 1, 16, 24)
    with torch.inference_mode():
        before = plain(x)
        after = plain.fused()(x)
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)
    assert before.shape == (1, 2, 16, 24)


def test_training_resumes_where_it_was_cut(tmp_path):
    """Forty steps in one go and in two give the same weights."""
    import torch

    from morpholith.nets.training import fit
    from morpholith.nets.unet import UNet

    def batch(step):
        g = torch.Generator().manual_seed(step)
        x = torch.randn(2, 1, 8, 8, generator=g)
        return x, 2 * x

    def loss(y, target):
        return ((y - target) ** 2).mean()

    def run(name, *steps):
        for n in steps:
            torch.manual_seed(1)
            model = UNet(1, 1, channels=(4, 6))
            options = {"steps": 40, "checkpoint": tmp_path / name, "save_every": 10}
            if n < 40:
                with pytest.raises(KeyboardInterrupt):
                    fit(model, _cut(batch, n), loss, **options)
            else:
                return fit(model, batch, loss, **options)

    whole, curve = run("a.pt", 40)
    again, resumed = run("b.pt", 27, 40)
    assert curve[:20] == resumed[:20]
    np.testing.assert_allclose(curve, resumed, rtol=1e-4)
    for key, value in whole.items():
        torch.testing.assert_close(again[key], value, rtol=1e-4, atol=1e-6)


def _cut(batch, after):
    """Raise a Ctrl-C at step `after`."""

    def cut(step):
        if step == after:
            raise KeyboardInterrupt
        return batch(step)

    return cut


def test_a_missing_device_is_an_error():
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(InputError, match="no CUDA device"):
        segment.particles(np.random.default_rng(0).random((64, 64)), spacing=(1, 1), device="cuda")


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_targets_say_what_is_there(factor):
    """Two discs, the first lying over the second: border between them, depth 1 inside, behind on the lower one."""
    s = discs((60, 80), spacing=1.0, centres_um=[(30, 25), (30, 52)], radii_um=[15, 15])
    y, x = np.indices((60, 80))
    labels = np.where(np.hypot(y - 30, x - 30) < 16, 1, s.labels * (s.labels == 2)).astype(np.int32)
    body = np.where(labels == 1, 20.0, np.where(labels == 2, 10.0, 0.0)) * factor
    particle, border, depth, behind = particle_net.targets(labels, body, 1.0)
    assert (particle == (labels > 0)).all()
    assert border[30, 44:48].any()
    assert border[:, :30].sum() == border[:, 60:].sum() == 0
    for k in (1, 2):
        assert depth[labels == k].max() == pytest.approx(1)
    assert (behind[(labels == 2) & (behind >= 0)] == 1).all()
    assert (behind[(labels == 1) & (behind >= 0)] == 0).all()
    assert (behind[labels == 0] == -1).all()


def test_tails_and_what_hangs_by_a_neck_are_cut():
    y, x = np.indices((120, 160))
    disc = np.hypot(y - 60, x - 50) < 30
    tail = (abs(y - 60) < 3) & (x > 50) & (x < 120)
    blob = np.hypot(y - 60, x - 125) < 12
    labels = (disc | tail | blob).astype(np.int32)
    cut = cut_tails(labels)
    assert (cut[blob] == 0).all()
    assert (cut[60, 90:110] == 0).all()
    assert cut[disc].mean() > 0.99
    assert (cut_tails(disc.astype(np.int32)) > 0).sum() == pytest.approx(disc.sum(), rel=0.01)


def test_a_particle_at_the_frame_is_not_rounded_off():
    y, x = np.indices((80, 100))
    half = (np.hypot(y - 0, x - 50) < 30).astype(np.int32)
    assert (cut_tails(half) != half).mean() < 0.002


def test_what_the_network_doubts_is_dropped(monkeypatch):
    """Two discs in the maps, one of them neither surely particle nor deep: one label comes out, with its score."""
    y, x = np.indices((100, 160))
    first, second = np.hypot(y - 50, x - 45), np.hypot(y - 50, x - 115)
    sure, unsure = np.clip(1 - first / 30, 0, 1), np.clip(1 - second / 30, 0, 1)
    maps = {
        "particle": np.where(sure > 0, 0.98, np.where(unsure > 0, 0.56, 0.02)),
        "border": np.zeros(y.shape),
        "depth": np.maximum(sure, 0.5 * unsure),
        "behind": np.zeros(y.shape),
    }
    answers = {k: v.astype(np.float32) for k, v in maps.items()}
    monkeypatch.setattr(particle_net, "predict", lambda *_, **__: answers)
    found = segment.particles(y.astype(float) % 7, spacing=(1.0, 1.0))
    assert found.labels.max() == 1
    assert (found.labels[first < 25] == 1).all()
    assert found.score[1] > 0.9
