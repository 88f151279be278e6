"""The default segmentation on virtual powders it was not trained on, and the laws it must keep."""

import numpy as np
import pytest

from morpholith import segment
from morpholith.errors import InputError
from morpholith.nets import particle_net
from morpholith.nets.store import load, save
from morpholith.segment.learned import enlarge
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
    visible = field.truth.index[field.truth.hidden_fraction < 0.5]
    big = [k for k in visible if (field.labels == k).sum() > 100]
    matched = set(match(field.labels, found.labels, iou=0.7).pairs["truth"])
    assert len(big) > 40
    assert np.mean([k in matched for k in big]) >= 0.93


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
    from morpholith.measure import particles

    assert particles(fine, spacing=0.25).circularity.to_numpy() == pytest.approx([1, 1], abs=0.02)


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
