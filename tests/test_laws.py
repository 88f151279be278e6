"""Laws that every measure of a powder must keep, whatever the picture."""

import numpy as np
import pandas as pd
import pytest

from morpholith import measure, segment
from morpholith.specimens import Habit, Microscope, Powder, micrograph, scene

SPACING = (0.04, 0.05)


@pytest.fixture(scope="module")
def seen():
    """A field of 3000x with its true labels, on a grid that is not square."""
    powder = Powder(d50_um=3.0, coverage=0.5, habit=Habit("plate", 0.12, 0.6))
    field = scene(powder, shape=(420, 560), spacing=0.04, rng=21)
    image = micrograph(field, Microscope(magnification=2500, shape=(420, 560)), rng=21)
    return image.astype(np.float32), field.labels


def _table(image, labels, spacing=SPACING):
    return measure.field(image, labels, segment.contacts(labels), spacing=spacing)


def _sorted(table):
    return table.sort_values(["area_um2", "perimeter_um"]).reset_index(drop=True)


SHAPE = ["area_um2", "diameter_um", "circularity", "perimeter_um"]


@pytest.mark.parametrize(
    ("turn", "spacing"),
    [
        (lambda a: a.T, SPACING[::-1]),
        (lambda a: a[::-1], SPACING),
        (lambda a: a[:, ::-1], SPACING),
        (lambda a: np.rot90(a), SPACING[::-1]),
    ],
    ids=["transposed", "flipped", "mirrored", "turned"],
)
def test_how_the_sample_lay_does_not_matter(seen, turn, spacing):
    image, labels = seen
    here = _sorted(_table(image, labels))
    there = _sorted(_table(turn(image).copy(), turn(labels).copy(), spacing))
    np.testing.assert_allclose(there[SHAPE], here[SHAPE], rtol=5e-3)
    np.testing.assert_allclose(there.texture, here.texture, atol=0.02)
    assert (there.rejected == here.rejected).mean() > 0.97


def test_lengths_follow_the_pixel_size_and_ratios_do_not(seen):
    image, labels = seen
    one = measure.particles(labels, spacing=SPACING)
    two = measure.particles(labels, spacing=tuple(2 * s for s in SPACING))
    np.testing.assert_allclose(two.diameter_um, 2 * one.diameter_um)
    np.testing.assert_allclose(two.area_um2, 4 * one.area_um2)
    np.testing.assert_allclose(two.circularity, one.circularity)
    assert image.shape == labels.shape


def test_names_of_labels_do_not_matter(seen):
    image, labels = seen
    n = labels.max()
    order = np.random.default_rng(0).permutation(n) + 1
    renamed = np.concatenate([[0], order])[labels].astype(np.int32)
    here, there = _table(image, labels), _table(image, renamed)
    back = there.loc[order[here.index - 1]].set_axis(here.index)
    pd.testing.assert_frame_equal(back[SHAPE], here[SHAPE])
    np.testing.assert_allclose(back.size_um, here.size_um)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float64])
def test_the_type_of_pixels_does_not_matter(seen, dtype):
    image, labels = seen
    here, there = _table(image, labels), _table(image.astype(dtype), labels.astype(np.int64))
    np.testing.assert_allclose(there.texture, here.texture, rtol=1e-5)
    np.testing.assert_array_equal(there.size_um, here.size_um)


def test_inputs_are_left_as_they_were(seen):
    image, labels = (a.copy() for a in seen)
    _table(image, labels)
    np.testing.assert_array_equal(image, seen[0])
    np.testing.assert_array_equal(labels, seen[1])


def test_no_particles_give_an_empty_table_and_no_numbers():
    table = _table(np.random.default_rng(0).random((60, 80)), np.zeros((60, 80), int)).assign(image="a")
    assert len(table) == 0
    described = measure.describe(table, frames={"a": (2.4, 4.0)})
    assert described["n_particles"].value == 0
    assert np.isnan(described["d50_um"].value)
    assert described["d50_um"].low is None


def test_frame_weights_of_several_magnifications_pool():
    """A large particle can only be seen in the wide field; a small one in both."""
    table = pd.DataFrame({"size_um": [1.0, 10.0, np.nan], "height_um": [1.0, 10.0, 3.0], "width_um": [1.0, 10.0, 3.0]})
    w = measure.frame_weights(table, {"wide": (30.0, 40.0), "close": (6.0, 8.0)})
    assert w[0] == pytest.approx(1 / (29 * 39 + 5 * 7))
    assert w[1] == pytest.approx(1 / (20 * 30))
    assert w[2] == 0


def test_form_circularity_ignores_roughness_and_outline_does_not():
    angle = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    from skimage.draw import polygon2mask

    rough = 60 * (1 + 0.03 * np.cos(40 * angle))
    mask = polygon2mask((160, 170), np.stack([80 + rough * np.sin(angle), 84 + rough * np.cos(angle)], -1))
    labels = mask.astype(np.int32)
    assert measure.form_circularity(labels, spacing=(1.0, 1.0))[0] == pytest.approx(1, abs=0.004)
    assert measure.particles(labels, spacing=1.0).circularity.iloc[0] < 0.9


@pytest.mark.parametrize("radius", [5.3, 8.1, 20.7, 80.2, 160.4])
def test_form_circularity_of_a_disc_is_one(radius):
    from morpholith.specimens import discs

    n = int(2 * radius + 14)
    rng = np.random.default_rng(0)
    for _ in range(4):
        s = discs((n, n), spacing=1.0, centres_um=[tuple(n / 2 + rng.uniform(-0.5, 0.5, 2))], radii_um=[radius])
        assert measure.form_circularity(s.labels, spacing=(1.0, 1.0))[0] == pytest.approx(1, abs=0.004)
