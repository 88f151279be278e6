"""A generator that returns its training images is caught; one that draws new powders is not."""

import numpy as np
import pytest
from scipy import ndimage as ndi

from morpholith.errors import InputError
from morpholith.measure import memorisation
from morpholith.measure._patch_search import Place, nearest_images, turned

EDGE, CONDITIONS, TRAINED = 96, 10, 3


def powder(radius, rng):
    """Overlapping lit balls on a dark ground, with a relief and noise."""
    image = np.full((EDGE, EDGE), 30.0)
    y, x = np.mgrid[:EDGE, :EDGE]
    for _ in range(int(0.5 * EDGE**2 / (np.pi * radius**2))):
        own = radius * rng.lognormal(0, 0.2)
        cy, cx = rng.uniform(-5, EDGE + 5, 2)
        squash, angle = rng.uniform(0.7, 1.0), rng.uniform(0, np.pi)
        u, v = (y - cy) * np.cos(angle) + (x - cx) * np.sin(angle), (x - cx) * np.cos(angle) - (y - cy) * np.sin(angle)
        r = np.hypot(u / squash, v) / own
        image = np.where(r < 1, 110 + 80 * r**4, image)
    relief = ndi.gaussian_filter(rng.standard_normal(image.shape), 2.0) * 60
    image = np.where(image > 60, image + relief, image) + rng.normal(0, 4, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def training():
    rng = np.random.default_rng(0)
    return [powder(9 + c, rng) for c in range(CONDITIONS) for _ in range(TRAINED)]


def honest(rng, each=2):
    return [powder(9 + c, rng) for c in range(CONDITIONS) for _ in range(each)]


def disguised(image, rng):
    """A training image shifted, turned, with another contrast, blurred and with noise."""
    y, x = rng.integers(0, 12, 2)
    part = ndi.gaussian_filter(turned(image[y : y + 84, x : x + 84], rng.integers(8)).astype(float), 0.8)
    return np.clip(0.7 * part + 40 + rng.normal(0, 8, part.shape), 0, 255).astype(np.uint8)


def judged(drawn, training, **options):
    return memorisation(drawn, training, per_condition=TRAINED, patches=3, rng=2, **options)


def test_new_powders_are_no_copies(training):
    found = judged(honest(np.random.default_rng(1)), training)
    assert found.verdict == "no sign of copying", found.sentence
    assert found.expected == pytest.approx(0.05 * 3 / 2)
    assert found.share.low <= found.expected <= found.share.high
    assert found.copied.value < 0.08
    assert "No sign of copying" in found.sentence


def test_disguised_copies_are_caught(training):
    rng = np.random.default_rng(3)
    found = judged([disguised(a, rng) for a in training[::2]], training)
    assert found.verdict == "copies its training images"
    assert found.copied.low > 0.6
    assert found.beyond >= 10
    assert found.drawn["relative"].median() < found.held_out["relative"].min()
    source = found.drawn["training"].to_numpy() == 2 * found.drawn["image"].to_numpy()
    assert source.mean() > 0.8  # it names the image that was copied
    one, two = found.pairs[0]
    assert np.corrcoef(one.ravel().astype(float), two.ravel().astype(float))[0, 1] > 0.8


def test_a_few_copies_among_new_powders_are_caught(training):
    rng = np.random.default_rng(4)
    drawn = honest(rng, each=3)
    drawn[::5] = [disguised(a, rng) for a in training[1::5]]
    found = judged(drawn, training)
    assert found.verdict == "copies its training images", found.sentence
    assert 0.08 < found.copied.value < 0.35


def test_smooth_new_powders_are_nearer_but_no_copies(training):
    drawn = [ndi.gaussian_filter(a, 1.5) for a in honest(np.random.default_rng(5))]
    assert judged(drawn, training).verdict == "no sign of copying"


def test_held_out_images_serve_as_the_measure(training):
    rng = np.random.default_rng(6)
    found = judged(honest(rng), training, held_out=honest(rng))
    assert found.verdict == "no sign of copying"
    assert found.expected == 0.05
    copies = judged([disguised(a, rng) for a in training[::2]], training, held_out=honest(rng))
    assert copies.verdict == "copies its training images"


def test_the_same_seed_gives_the_same_answer(training):
    drawn = honest(np.random.default_rng(7), each=1)
    one, two = judged(drawn, training), judged(drawn, training)
    assert one.sentence == two.sentence
    assert one.drawn.equals(two.drawn)


def test_too_little_says_so(training):
    found = judged(honest(np.random.default_rng(8))[:3], training)
    assert found.verdict == "cannot be said"
    assert "3 drawn" in found.sentence
    assert np.isnan(found.copied.value)
    blank = judged([np.full((EDGE, EDGE), 30, np.uint8)] * 6, training)
    assert blank.verdict == "cannot be said"
    assert len(blank.drawn) == 0


def test_bad_images_are_refused(training):
    drawn = training[:3]
    with pytest.raises(InputError, match="48 px or more"):
        memorisation([np.zeros((40, 90))], training)
    with pytest.raises(InputError, match="three training images"):
        memorisation(drawn, training[:2])
    with pytest.raises(InputError, match="all of one grey"):
        memorisation(drawn, [np.full((60, 60), 7)] * 4)


@pytest.mark.parametrize("turn", range(8))
def test_a_patch_is_found_where_it_was_cut_however_it_was_turned(training, turn):
    image = turned(training[4], turn)
    found = nearest_images([image], [Place(0, 21, 33)], training, patch_px=48, count=4)
    assert found.image[0, 0] == 4
    assert found.distance[0, 0] < 0.05 < 0.4 < found.distance[0, 1]
    row, column = found.row[0, 0], found.column[0, 0]
    cut = training[4][row : row + 48, column : column + 48]
    np.testing.assert_array_equal(turned(image[21:69, 33:81], int(found.turn[0, 0])), cut)


def test_its_own_image_can_be_left_out(training):
    found = nearest_images(training, [Place(4, 20, 30)], training, patch_px=48, count=40, own=True)
    assert found.distance.shape == (1, len(training) - 1)
    assert 4 not in found.image
    assert np.all(np.diff(found.distance[0]) >= 0)
