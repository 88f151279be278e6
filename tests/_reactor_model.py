"""A stand-in for a learnt model of micrographs: it draws what the virtual reactor would make."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from morpholith import generate
from morpholith.generate import ProcessTable, View, process_table
from morpholith.specimens import (
    REACTOR_BOUNDS,
    Microscope,
    micrograph,
    reactor_design,
    reactor_truth,
    scene,
    synthesise,
)

DESCRIPTORS = ("texture_mean", "d50_um", "circularity_mean", "circularity_sd")
VIEWS = (View("3000x", 0.2, DESCRIPTORS[1:]), View("15000x", 0.04, DESCRIPTORS[:1]))
RECIPE = {"ph": 10.5, "naoh": 0.15, "nh4oh": 0.2, "time_min": 120, "stirring_rpm": 800, "atmosphere": "N2"}
TYPED = [f"{k}={v}" for k, v in RECIPE.items()]
PHOTO_UM = 128_000.0  # width of a print, which defines the magnification


def training_conditions(n=12):
    return reactor_design(n, rng=3).drop(columns="part", errors="ignore")


def _within(name, value):
    """Return a value that the reactor has: it makes nothing beyond its bounds, a learnt model draws on."""
    return float(np.clip(value, *REACTOR_BOUNDS[name])) if name in REACTOR_BOUNDS else value


def _discs(shape, radius, rng):
    y, x = np.mgrid[: shape[0], : shape[1]]
    picture = np.full(shape, 50.0)
    for _ in range(max(2, int(0.3 * shape[0] * shape[1] / (np.pi * radius**2)))):
        cy, cx = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        depth = 1 - ((y - cy) ** 2 + (x - cx) ** 2) / (radius * rng.lognormal(0, 0.1)) ** 2
        picture = np.where(depth > 0, 140 + 70 * (1 - np.clip(depth, 0, 1)), picture)
    return np.clip(picture + 4 * rng.standard_normal(shape), 0, 255).astype(np.uint8)


@dataclass
class ReactorModel:
    """Draws by the law of the reactor, with what was measured and left out made up as asked.

    `error` is the standard deviation of measured less predicted on conditions left out, as a share of how the
    descriptor varies; `bias` multiplies every diameter drawn.
    """

    table: ProcessTable = field(default_factory=lambda: process_table(training_conditions()))
    views: tuple = VIEWS
    error: dict = field(default_factory=dict)
    bias: float = 1.0
    tested: bool = True
    blank: tuple = ()  # views in which nothing is drawn
    plain: bool = False  # discs of the reactor's D50 instead of its powders: quick
    backend: str = "flow"
    calls: list = field(default_factory=list)

    @property
    def measured(self):
        return reactor_truth(self.table.conditions)[list(DESCRIPTORS)]

    @property
    def left_out(self):
        if not self.tested:
            return None
        rng, columns = np.random.default_rng(0), {}
        for name in DESCRIPTORS:
            real = self.measured[name].to_numpy()
            z = rng.standard_normal(len(real))
            apart = self.error.get(name, 0.05) * real.std() * z / np.sqrt(np.mean(z**2))
            columns |= {name: real, f"{name}_drawn": real - apart, f"{name}_drawn_se": 0.0 * real}
        return pd.DataFrame(columns, index=self.table.conditions.index)

    def draw(self, condition, *, view, images, seed, shape=(256, 256), device="cpu"):
        self.calls.append((view, images, device))
        own = next(v for v in self.views if v.name == view)
        rng = np.random.default_rng(seed)
        if view in self.blank:
            return rng.integers(58, 62, (images, *shape)).astype(np.uint8)
        given = {k: _within(k, v) for k, v in condition.items() if v is not None and v == v}
        if self.plain:
            radius = float(reactor_truth(given)["d50_um"].iloc[0]) / 2 / own.pixel_um
            return np.stack([_discs(shape, radius, stream) for stream in rng.spawn(images)])
        powder = synthesise(given, lot_scatter=0.0)[0].powder
        out = []
        for stream in rng.spawn(images):
            drawn = own.pixel_um / (self.bias if "d50_um" in own.measures else 1.0)
            field = scene(powder, shape=shape, spacing=drawn, rng=int(stream.integers(2**31)))
            microscope = Microscope(magnification=PHOTO_UM / (drawn * shape[1]), shape=shape)
            out.append(micrograph(field, microscope, rng=stream))
        return np.stack(out)

    def corrected(self, descriptor, values):
        return np.asarray(values, float) / (self.bias if descriptor == "d50_um" else 1.0)


def in_the_place_of_every_model(model, patch):
    """Make whatever model is named be `model`, and return it."""
    patch.setattr(generate, "load_micrographs", lambda _: model)
    patch.setattr(generate, "micrograph_files", lambda _: [])
    return model
