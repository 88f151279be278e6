"""Lots of a virtual reactor: one synthesis of a recipe each, and the micrographs that are taken of its powder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .. import _checks
from ..errors import InputError
from .microscope import PHOTO_WIDTH_UM, Microscope, micrograph
from .powder import Powder, Scene, scene
from .reactor import ReactorLaw, population_circularity, reactor_truth, reactor_variables
from .reactor_texture import lamellae

if TYPE_CHECKING:
    import pandas as pd

COVERAGE, CLUSTERING = 0.3, 0.0  # loosely strewn: few particles are hidden or run together
AIMED_FROM = 8000.0  # magnification from which a particle is looked for, as anybody would
SPARSE = 0.25  # coverage where it is looked for: a pile cannot be in focus from top to bottom
AIMS = 4  # fields that are looked at before one is taken
PREVIEW = (24, 32)
WIDTHS = (192, 1280)


@dataclass(frozen=True)
class Lot:
    """One synthesis of one recipe.

    Attributes
    ----------
    condition : str
        The recipe's name.
    number : int
        Which lot of it, from 0.
    recipe : mapping
        The process variables.
    truth : mapping of str to float
        True descriptors of this very powder, under the names that `sem measure` gives its estimates; its recipe's
        own, without the scatter from lot to lot, are those of `reactor_truth`.
    powder : Powder
    """

    condition: str
    number: int
    recipe: Mapping[str, float | str]
    truth: Mapping[str, float]
    powder: Powder


def synthesise(
    conditions: pd.DataFrame | Mapping, *, lots: int = 1, lot_scatter: float = 1.0, law: ReactorLaw | None = None,
    rng: np.random.Generator | int = 0,
) -> list[Lot]:  # fmt: skip
    """Make powders by recipes: each lot is a little different, as in a laboratory.

    Parameters
    ----------
    conditions : DataFrame or mapping
        As `reactor_truth` takes them.
    lots : int
        Syntheses of each recipe.
    lot_scatter : float
        Multiplies the standard deviations from lot to lot (`LotScatter`); 0 makes all lots alike.
    law : ReactorLaw, optional
    rng : Generator or int

    Returns
    -------
    list of Lot
        The lots of the first recipe, then of the second; empty for no recipe. Recipes made alone or in another
        company are made with other random numbers.
    """
    if lots < 1:
        raise InputError(f"`lots` must be at least 1, got {lots!r}.")
    if not 0 <= lot_scatter <= 10:
        raise InputError(f"`lot_scatter` multiplies the scatter between lots, 0 to 10; got {lot_scatter!r}.")
    law = law or ReactorLaw()
    recipes = reactor_variables(conditions)
    truth = reactor_truth(recipes, law=law)
    streams = np.random.default_rng(rng).spawn(len(recipes) * lots)
    made = []
    for k, (name, recipe) in enumerate(recipes.iterrows()):
        for number in range(lots):
            z = lot_scatter * streams[k * lots + number].standard_normal(4)
            powder, true = _powder(truth.loc[name], law, z)
            made.append(Lot(str(name), number, recipe.to_dict(), true, powder))
    return made


def _powder(true, law, z):
    """Return the powder of one lot and its true descriptors; `z` are its departures in standard deviations."""
    scatter = law.scatter
    lowest, highest = law.texture_range
    texture = float(np.clip(true["texture_mean"] + scatter.texture * z[0], lowest, highest))
    d50 = float(true["d50_um"] * np.exp(scatter.d50 * z[1]))
    mean = float(np.clip(true["outline_mean"] + scatter.circularity * z[2], 0.6, 0.98))
    sd = float(true["outline_sd"] * np.exp(scatter.circularity_sd * z[3]))
    powder = Powder(
        d50_um=d50, geometric_sd=float(true["geometric_sd"]), circularity_mean=mean, circularity_sd=sd,
        habit=lamellae(texture), coverage=COVERAGE, clustering=CLUSTERING,
    )  # fmt: skip
    mean, sd = map(float, population_circularity(mean, sd))
    told = {"texture_mean": texture, "d50_um": d50, "circularity_mean": mean, "circularity_sd": sd}
    return powder, told | {"thickness_um": powder.habit.thickness_um, "length_um": powder.habit.length_um}


def lot_micrographs(
    lot: Lot, *, magnification: float = 3000.0, images: int = 6, width: int = 640, rng: np.random.Generator | int = 0
) -> Iterator[tuple[np.ndarray, Scene]]:
    """Take micrographs of a lot, and yield each with the scene under it, which has the pixel size and the truth.

    The field is 128 mm over the magnification wide, whatever the pixels: 42.7 um at 3000x and 8.5 um at 15000x.
    From 8000x a sparse place is looked for, and of four fields that with the largest unhidden piece of a particle.

    Parameters
    ----------
    lot : Lot
    magnification : float
    images : int
    width : int
        Pixels across, 192 to 1280; three quarters of it down.
    rng : Generator or int
        Image k depends on it and k alone, not on how many are taken.

    Yields
    ------
    ((y, x) uint8 array, Scene)
    """
    _checks.positive(magnification, name="magnification")
    for stream in np.random.default_rng(rng).spawn(max(images, 0)):
        yield lot_micrograph(lot, magnification=magnification, width=width, rng=stream)


def lot_micrograph(
    lot: Lot, *, magnification: float = 3000.0, width: int = 640, rng: np.random.Generator | int = 0
) -> tuple[np.ndarray, Scene]:
    """Take one micrograph; see `lot_micrographs`."""
    if not WIDTHS[0] <= width <= WIDTHS[1]:
        raise InputError(f"`width` must lie between {WIDTHS[0]} and {WIDTHS[1]} pixels, got {width!r}.")
    rng = np.random.default_rng(rng)
    shape = (round(0.75 * width), int(width))
    spacing = PHOTO_WIDTH_UM / magnification / width
    powder, seed = lot.powder, int(rng.integers(2**31))
    if magnification >= AIMED_FROM:
        powder = replace(powder, coverage=SPARSE)
        seeds = [seed, *map(int, rng.integers(2**31, size=AIMS - 1))]
        seed = max(seeds, key=lambda s: _in_view(powder, shape, spacing, s))
    field = scene(powder, shape=shape, spacing=spacing, rng=seed)
    return micrograph(field, Microscope(magnification=magnification, shape=shape), rng=rng), field


def _in_view(powder, shape, spacing, seed):
    """Return how many pixels of a coarse look at the field the largest piece of a particle covers.

    The same seed lays the same particles down whatever the pixel size: they are drawn before their relief.
    """
    coarse = scene(powder, shape=PREVIEW, spacing=spacing * shape[1] / PREVIEW[1], rng=seed)
    return np.bincount(coarse.labels.ravel(), minlength=2)[1:].max()
