"""Drawn micrographs measured as real ones: values, errors, correction, seeds."""

import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage as ndi

from morpholith import columns as c
from morpholith import design, measure, segment
from morpholith.errors import InputWarning
from morpholith.workflows._drawn import describe_drawn, describe_images, measure_images

COARSE, FINE = 0.2, 0.04
SIZES = ("d50_um", "circularity_mean", "circularity_sd")


def discs(diameter_um, pixel_um, rng, *, edge=112, count=4):
    """Bright discs with a relief on a dark ground, clear of one another."""
    image = rng.normal(40, 3, (edge, edge))
    relief = 80 * ndi.gaussian_filter(rng.standard_normal((edge, edge)), 1.5) + rng.normal(0, 2, (edge, edge))
    y, x = np.mgrid[:edge, :edge]
    grid = int(np.sqrt(count))
    for k in range(grid**2):
        r = 0.5 * diameter_um * rng.lognormal(0, 0.05) / pixel_um
        cy, cx = (np.array(divmod(k, grid)) + 0.5) * edge / grid + rng.uniform(-2, 2, 2)
        inside = np.hypot(y - cy, x - cx) < r
        image[inside] = 150 + relief[inside]
    return np.clip(image, 0, 255).astype(np.uint8)


class Fake:
    """A model that draws discs of the diameter asked for, 10 % too large."""

    views = (
        SimpleNamespace(name="3000x", pixel_um=COARSE, measures=SIZES),
        SimpleNamespace(name="15000x", pixel_um=FINE, measures=("texture_mean",)),
    )

    def __init__(self):
        self.seeds = []

    def draw(self, condition, *, view, images, seed, **_):
        self.seeds.append((view, seed))
        rng = np.random.default_rng(seed)
        if view == "3000x":
            return np.stack([discs(1.1 * condition["size"], COARSE, rng) for _ in range(images)])
        return np.stack([discs(3.6, FINE, rng, count=1) for _ in range(images)])

    def corrected(self, descriptor, values):
        return values / 1.1 if descriptor == "d50_um" else values


def test_values_are_those_of_sem_measure():
    rng = np.random.default_rng(0)
    arrays = [discs(6.0, COARSE, rng) for _ in range(3)]
    found = describe_images(arrays, pixel_um=COARSE, names=SIZES)
    tables = []
    for k, array in enumerate(arrays):
        s = segment.particles(array, spacing=(COARSE, COARSE))
        with pytest.warns(match="texture is not resolved"):
            one = measure.field(array, s.labels, s.contacts, spacing=(COARSE, COARSE))
        tables.append(one.assign(**{c.IMAGE: str(k)}))
    full = measure.describe(pd.concat(tables), frames={str(k): (22.4, 22.4) for k in range(3)})
    for name in SIZES:
        assert found[name].mean == pytest.approx(full[name].value, rel=1e-12)
        assert found[name].n == 3
    assert found["d50_um"].mean == pytest.approx(6.0, rel=0.05)


def test_a_condition_is_drawn_measured_and_corrected():
    model = Fake()
    described, drawn = describe_drawn(model, {"size": 6.0}, images=4, seed=5)
    assert list(described) == [*SIZES, "texture_mean"]
    assert described["d50_um"].mean == pytest.approx(6.0, rel=0.03)
    raw = describe_images(drawn["3000x"], pixel_um=COARSE, names=SIZES)
    assert described["d50_um"].se == pytest.approx(raw["d50_um"].se / 1.1)
    assert described["circularity_mean"] == pytest.approx(raw["circularity_mean"])
    assert 0 < described["d50_um"].se < 0.2
    assert 0.3 < described["texture_mean"].mean < 0.5
    assert described["texture_mean"].n == 4
    assert {k: v.shape for k, v in drawn.items()} == {"3000x": (4, 112, 112), "15000x": (4, 112, 112)}
    seeds = dict(model.seeds)
    assert seeds["3000x"] != seeds["15000x"]  # the views do not share their noise


def test_the_same_seed_gives_the_same_numbers_and_another_others():
    one, two, three = (describe_drawn(Fake(), {"size": 6.0}, images=2, seed=s)[0] for s in (1, 1, 2))
    assert one == two
    assert one["d50_um"] != three["d50_um"]


def test_empty_and_missing_images_give_nan():
    blank = [np.full((96, 96), 40, np.uint8)] * 2
    found = describe_images(blank, pixel_um=COARSE, names=SIZES)
    assert all(np.isnan(m.mean) and np.isnan(m.se) and m.n == 0 for m in found.values())
    none = describe_images([], pixel_um=COARSE, names=SIZES)
    assert all(np.isnan(m.mean) for m in none.values())
    mixed = describe_images([*blank, discs(6.0, COARSE, np.random.default_rng(3))], pixel_um=COARSE, names=["d50_um"])
    assert mixed["d50_um"].n == 1
    assert mixed["d50_um"].mean == pytest.approx(6.0, rel=0.05)
    assert len(measure_images(blank, pixel_um=COARSE)) == 0


def test_it_is_the_simulator_of_a_search():
    model = Fake()

    def evaluate(condition, *, seed):
        return describe_drawn(model, condition, images=1, seed=seed)[0]

    space = design.Space({"size": (4.0, 8.0)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)  # six calls are few for the other descriptors
        found = design.search(evaluate, space, {"d50_um": 6.0}, rng=0, calls=6, recipes=1)
    assert found.recipes["size"].iloc[0] == pytest.approx(6.0, rel=0.1)
    assert found.trajectory["d50_um_se"].notna().all()


def test_draws_count_for_as_much_as_the_model_is_worth():
    from morpholith.design import Measured
    from morpholith.workflows._drawn import as_powder

    class Known:
        left_out = pd.DataFrame(
            {
                "d50_um": [4.0, 5.0, 6.0, 7.0, 8.0, 9.0],
                "d50_um_drawn": [4.3, 4.6, 6.3, 6.6, 8.3, 8.6],
                "d50_um_drawn_se": 0.0,
            }
        )

    found = as_powder(Known, {"d50_um": Measured(5.0, 0.1, 4), "span": Measured(0.4, 0.02, 4)})
    assert found["d50_um"].se == pytest.approx(np.hypot(0.1, np.sqrt((3 * 0.3**2 + 3 * 0.4**2) / 6)))
    assert found["d50_um"].mean == 5.0
    assert found["span"] == Measured(0.4, 0.02, 4)
