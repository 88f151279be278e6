"""The virtual reactor as a laboratory: a recipe is made, imaged and measured as a real powder would be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..design import Measured
from ._drawn import describe_images

DESCRIPTORS = ("texture_mean", "d50_um", "circularity_mean", "circularity_sd")
VIEWS = {3000.0: DESCRIPTORS[1:], 15000.0: DESCRIPTORS[:1]}


@dataclass(frozen=True)
class Made:
    """A powder that was made by a recipe.

    Attributes
    ----------
    measured : dict of descriptor to Measured
        From its micrographs.
    truth : dict of descriptor to float
        Of this lot.
    expected : dict of descriptor to float
        Of the recipe: of a lot without scatter.
    pictures : dict of str to (h, w) uint8 array
        The first micrograph at "3000x" and "15000x".
    pixel_um : dict of str to float
    """

    measured: dict[str, Measured]
    truth: dict[str, float]
    expected: dict[str, float]
    pictures: dict[str, np.ndarray]
    pixel_um: dict[str, float]


def made(recipe: Mapping[str, Any], *, images: Mapping[float, int], rng: np.random.Generator) -> Made:
    """Make a powder in the virtual reactor, take micrographs of it and measure them as `sem measure` does.

    Parameters
    ----------
    recipe : mapping of process variable to value
        Within the reactor's bounds.
    images : mapping of magnification to int
        3000 and 15000.
    rng : Generator
    """
    from ..specimens import lot_micrographs, reactor_truth, synthesise

    lot = synthesise(recipe, rng=rng)[0]
    expected = reactor_truth(recipe)[list(DESCRIPTORS)].iloc[0].to_dict()
    measured: dict[str, Measured] = {}
    pictures, pixels = {}, {}
    for magnification, names in VIEWS.items():
        shots = list(lot_micrographs(lot, magnification=magnification, images=images[magnification], rng=rng))
        pixel_um, name = shots[0][1].spacing[0], f"{magnification:.0f}x"
        measured |= describe_images([grey for grey, _ in shots], pixel_um=pixel_um, names=names)
        pictures[name], pixels[name] = shots[0][0], pixel_um
    return Made(measured, {name: float(lot.truth[name]) for name in DESCRIPTORS}, expected, pictures, pixels)
