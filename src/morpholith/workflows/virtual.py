"""Virtual specimens on disk, each with its truth beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from .._checks import positive
from ..errors import InputError
from ..image import Image, Quantity
from ..progress import progress
from ..results import ReportFigure, Result

if TYPE_CHECKING:
    from ..specimens.powder import Powder, Scene


def powder(
    *,
    d50: float = 5.0,
    geometric_sd: float = 1.35,
    circularity: float = 0.93,
    circularity_sd: float = 0.02,
    habit: Literal["needle", "plate", "polyhedral"] = "plate",
    thickness: float = 0.1,
    length: float = 0.6,
    coverage: float = 0.45,
    magnification: float = 3000.0,
    images: int = 1,
    data_bar: bool = False,
    seed: int = 0,
) -> Result:
    """Make virtual micrographs of a powder, with the exact truth beside them.

    Writes ``powder_000.tif`` (the micrograph, pixel size inside), ``powder_000_labels.tif`` (the visible mask of
    every particle), ``truth.csv`` (exact size and shape of every particle and how much of it is hidden) and
    ``truth.json`` (the population they were drawn from).

    Parameters
    ----------
    d50
        Median diameter by number, um.
    geometric_sd
        Geometric standard deviation of the log-normal diameters; 1 for particles of one size.
    circularity
        Mean of 4 pi A / P^2 of the outlines, between 0.55 and 0.985.
    circularity_sd
        Standard deviation of the circularity.
    habit
        Shape of the primary particles.
    thickness
        Thickness of a primary particle, um.
    length
        Length of a primary particle, um.
    coverage
        Projected area of all particles over that of the field; above about 0.8 they pile up.
    magnification
        3000 gives 33.3 nm a pixel on 1280 x 960 pixels, 15000 gives 6.7 nm.
    images
        Number of fields.
    data_bar
        Draw the instrument's data bar under the picture.
    seed
        Same seed, same specimen.
    """
    from ..specimens import Habit, Microscope, Powder

    positive(d50, name="--d50")
    positive(magnification, name="--magnification")
    if images < 1:
        raise InputError(f"`--images` must be at least 1, got {images}.")
    try:
        population = Powder(
            d50_um=d50, geometric_sd=geometric_sd, circularity_mean=circularity, circularity_sd=circularity_sd,
            habit=Habit(habit, thickness, length), coverage=coverage,
        )  # fmt: skip
    except ValueError as error:
        raise InputError(str(error)) from error
    return virtual_powder(population, Microscope(magnification=magnification), images, data_bar, seed)


def virtual_powder(population: Powder, microscope, images: int, data_bar: bool, seed: int) -> Result:
    """Image a population `images` times and gather pictures and truth in a result."""
    import numpy as np
    import pandas as pd

    from ..specimens import micrograph, scene
    from ..specimens.microscope import with_data_bar

    files: dict[str, Callable[[Path], object]] = {}
    figures, tables = {}, []
    for k, rng in enumerate(progress(np.random.default_rng(seed).spawn(images), total=images, label="imaging")):
        name = f"powder_{k:03d}"
        field = scene(population, shape=microscope.shape, spacing=microscope.spacing, rng=rng)
        picture = micrograph(field, microscope, rng=rng)
        shown = with_data_bar(picture, microscope) if data_bar else picture
        spacing = field.spacing
        files[f"{name}.tif"] = partial(_save, array=shown, spacing=spacing)
        files[f"{name}_labels.tif"] = partial(_save, array=field.labels.astype(np.uint16), spacing=spacing)
        tables.append(field.truth.assign(image=f"{name}.tif"))
        if k < 3:
            figures[name] = ReportFigure(
                partial(_truth_figure, picture, field),
                f"{name}: the micrograph and its exact outlines.",
            )
    truth = pd.concat(tables)
    files["truth.csv"] = lambda path: truth.to_csv(path)
    files["truth.json"] = lambda path: path.write_text(json.dumps(population_truth(population), indent=2) + "\n")
    summary = {
        key: Quantity(value, n=None, unit="um" if key.endswith("_um") else "", method="exact, of the population")
        for key, value in population_truth(population).items()
        if isinstance(value, float)
    }
    summary["n_particles"] = Quantity(len(truth), unit="", method="particles that reach into the fields, counted")
    summary["hidden_fraction_mean"] = Quantity(
        float(truth["hidden_fraction"].mean()), n=len(truth), method="counted on the grid"
    )
    return Result(
        summary=summary, files=files, figures=figures, title="Virtual powder",
        warnings=["Virtual specimen: every picture is computed, none was taken with a microscope."],
    )  # fmt: skip


def _save(path: Path, *, array, spacing) -> None:
    from ..read import write_tiff

    write_tiff(path, Image(array, "yx", spacing))


def population_truth(population: Powder) -> dict[str, float | str]:
    """Return the exact descriptors of a population under the keys that `sem measure` gives its estimates."""
    d10, d50, d90 = (population.diameter_quantile(q) for q in (0.1, 0.5, 0.9))
    mean, sd = population.circularity_truth
    return {
        "d10_um": d10,
        "d50_um": d50,
        "d90_um": d90,
        "span": (d90 - d10) / d50,
        "d50_volume_um": population.diameter_quantile(0.5, basis="volume"),
        "circularity_mean": mean,
        "circularity_sd": sd,
        "habit": population.habit.kind,
        "thickness_um": population.habit.thickness_um,
        "length_um": population.habit.length_um,
    }


def _truth_figure(picture, field: Scene):
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure

    from ..report.style import micrograph, style

    with style():
        figure = Figure(figsize=(11, 4.4))
        axes = figure.subplots(1, 2)
        for ax in axes:
            micrograph(ax, picture, spacing=field.spacing)
        lines = [p[:, ::-1] / field.spacing[0] for p in field.outlines.values()]
        axes[1].add_collection(LineCollection(lines, colors="#E69F00", linewidths=0.8))
    return figure
