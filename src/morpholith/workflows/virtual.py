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
    import numpy as np

    from ..specimens.assembly import Packing
    from ..specimens.electrodes import Electrode
    from ..specimens.powder import Powder, Scene
    from ..specimens.tomograph import Tomograph

MOST_VOXELS = 400_000_000
STUDENT = 3.18  # 97.5 % quantile for four independent samples, the fewest behind a sampled truth


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


def electrode(
    *,
    size: float | tuple[float, float, float] = 64.0,
    voxel_size: float | tuple[float, float, float] | None = None,
    solid: float = 0.5,
    d50: float = 9.0,
    geometric_sd: float = 1.3,
    aspect: float = 1.15,
    roughness: float = 0.0,
    overlap: float = 0.05,
    binder: float = 0.06,
    cracked: float = 0.0,
    gradient: float = 0.0,
    difficulty: Literal["easy", "typical", "hard"] = "typical",
    expansion: float | None = None,
    expansion_sd: float = 0.02,
    newly_cracked: float = 0.1,
    lost: float = 0.0,
    seed: int = 0,
) -> Result:
    """Make a virtual tomogram of an electrode, with the exact truth beside it.

    Writes ``electrode.tif`` (the tomogram, voxel size inside), ``electrode_phases.tif`` (0 pore, 1 active, 2 binder),
    ``electrode_labels.tif`` (every particle), ``truth.csv`` (exact size, shape and place of every particle) and
    ``truth.json`` (porosity, surface and the rest under the names that ``xct measure`` gives its estimates). With
    ``--expansion`` the same electrode after cycling as well: ``electrode_cycled.tif``, its phases and labels,
    ``truth_cycled.csv`` and ``truth_cycled.json``; a particle has the same label before and after.

    Parameters
    ----------
    size
        Edges of the specimen in um, one number or z,y,x; z runs through the thickness.
    voxel_size
        Edges of a voxel in um, one number or z,y,x; 0.4 unless given.
    solid
        Volume fraction of the active particles.
    d50
        Median diameter by number, um.
    geometric_sd
        Geometric standard deviation of the log-normal diameters; 1 for particles of one size.
    aspect
        Median ratio of long to short axis of the particles; 1 for nearly round ones.
    roughness
        Lumps: root mean square departure of the radius from a spheroid, relative, up to 0.12.
    overlap
        By which share of their distance neighbours may interpenetrate.
    binder
        Volume fraction of the carbon-binder that bridges the particles.
    cracked
        Share of the particles that have a crack from the start.
    gradient
        Change of the solid fraction from bottom to top, over its mean, -1 to 1.
    difficulty
        How blurred, noisy and ringed the tomogram is.
    expansion
        Mean growth of the particles' volume on cycling, as 0.07; without it the electrode is not cycled.
    expansion_sd
        Standard deviation of that growth over the particles.
    newly_cracked
        Share of the particles that crack on cycling.
    lost
        Share of the particles that are gone after cycling.
    seed
        Same seed, same specimen.
    """
    import numpy as np

    from .. import _checks
    from ..specimens import Electrode, Tomograph

    positive(d50, name="--d50")
    spacing = _checks.spacing(0.4 if voxel_size is None else voxel_size, 3, name="--voxel-size")
    edges = _checks.spacing(size, 3, name="--size")
    shape = [round(e / s) for e, s in zip(edges, spacing, strict=True)]
    if min(shape) < 8 or np.prod(shape, dtype=float) > MOST_VOXELS:
        raise InputError(
            f"--size {edges} um at --voxel-size {spacing} um makes {' x '.join(map(str, shape))} voxels; "
            f"at least 8 on each edge and at most {MOST_VOXELS:.0e} in all are possible."
        )
    if not 0 <= lost < 1 or not 0 <= newly_cracked <= 1:
        raise InputError(f"--lost and --newly-cracked are shares, 0 to 1; got {lost} and {newly_cracked}.")
    params = Electrode(
        size_um=edges, solid=solid, d50_um=d50, geometric_sd=geometric_sd, aspect=aspect, roughness=roughness,
        aspect_sd=0.08 if aspect > 1 else 0.0, overlap=overlap, binder=binder, cracked=cracked, gradient=gradient,
    )  # fmt: skip
    cycling = None if expansion is None else {
        "expansion": expansion, "expansion_sd": expansion_sd, "crack_fraction": newly_cracked, "lost": lost,
    }  # fmt: skip
    return virtual_electrode(params, Tomograph.of(difficulty, spacing=spacing), cycling, seed)


def virtual_electrode(params: Electrode, tomograph: Tomograph, cycling: dict | None, seed: int) -> Result:
    """Pack an electrode, image it (before and after cycling) and gather pictures and truth in a result."""
    import numpy as np

    from ..specimens import cycled
    from ..specimens import electrode as pack

    pack_rng, image_rng, cycle_rng, again_rng = np.random.default_rng(seed).spawn(4)
    states = {"": (pack(params, rng=pack_rng), image_rng)}
    if cycling is not None:
        states["_cycled"] = (cycled(states[""][0], rng=cycle_rng, **cycling), again_rng)
    files: dict[str, Callable[[Path], object]] = {}
    figures: dict[str, ReportFigure] = {}
    summary: dict[str, Quantity] = {}
    for end, (packing, rng) in progress(states.items(), total=len(states), label="imaging"):
        truth = packing.exact(tomograph.spacing)
        figures |= _add_electrode(files, packing, tomograph, truth, end=end, rng=rng)
        summary.update({f"{key}{end}": q for key, q in truth_quantities(truth).items()})
    if cycling is not None:
        pair = [states[end][0].table(tomograph.spacing) for end in ("", "_cycled")]
        summary.update(expansion_truth(*pair))
    return Result(
        summary=summary, files=files, figures=figures, title="Virtual electrode",
        warnings=["Virtual specimen: every volume is computed, none was taken with a tomograph.",
                  *_packing_warnings(states[""][0])],
    )  # fmt: skip


def _add_electrode(files, packing: Packing, tomograph: Tomograph, truth: dict, *, end: str, rng) -> dict:
    """Add the volumes and tables of one state of the electrode to `files`; return its figures."""
    import numpy as np

    from ..specimens import tomogram

    spacing = tomograph.spacing
    grey = tomogram(packing, tomograph, rng=rng)
    labels, phases = packing.labels(spacing), packing.phases(spacing)
    kept = np.uint16 if labels.max(initial=0) < 65536 else np.float32
    volumes = {"": grey, "_phases": phases, "_labels": labels.astype(kept)}
    for kind, array in volumes.items():
        files[f"electrode{end}{kind}.tif"] = partial(_save_volume, array=array, spacing=spacing)
    table = packing.table(spacing)
    files[f"truth{end}.csv"] = lambda path: table.to_csv(path)
    files[f"truth{end}.json"] = lambda path: path.write_text(_as_json(truth))
    when = "after cycling" if end else "as made"
    from ..report.render3d import electrode_figure

    look = {"spacing": spacing, "values": table["diameter_um"], "name": "diameter (µm)"}
    return {
        f"electrode{end}": ReportFigure(
            partial(_slices_figure, grey, phases, labels, spacing),
            f"Middle slices of the electrode {when}: the tomogram, the phases (active light, binder orange) and the "
            "particles. The z axis runs through the thickness, upwards.",
        ),
        f"electrode{end}_3d": ReportFigure(
            partial(electrode_figure, phases, labels, **look),
            f"The electrode {when}, a corner cut away: particles by their diameter, and the pore space.",
        ),
    }


def truth_quantities(truth: dict[str, float]) -> dict[str, Quantity]:
    """Return true numbers as quantities; those that are sampled with the interval of their standard error."""
    population = ("d10_um", "d50_um", "d90_um", "d50_volume_um")
    found = {}
    for key, value in truth.items():
        if key.endswith("_se"):
            continue
        se = truth.get(f"{key}_se")
        unit = "um2/um3" if key.endswith("_um2_per_um3") else "um" if key.endswith("_um") else ""
        how = "sampled on randomly shifted point sets" if se is not None else "counted"
        found[key] = Quantity(
            value, unit=unit, method="exact, of the population" if key in population else how,
            low=None if se is None else value - STUDENT * se, high=None if se is None else value + STUDENT * se,
        )  # fmt: skip
    return found


def expansion_truth(before, after) -> dict[str, Quantity]:
    """Return the true numbers of `xct compare` from the particle tables before and after."""
    whole = before.index[~before["touches_edge"]].intersection(after.index[~after["touches_edge"]])
    growth = after.loc[whole, "expansion"]
    d0, d1 = (t.loc[~t["touches_edge"], "diameter_um"].median() for t in (before, after))
    return {
        "expansion_matched": Quantity(
            float(growth.mean()), n=len(whole), method="mean of the particles that no face cuts before or after, exact"
        ),
        "expansion_population": Quantity(
            float((d1 / d0) ** 3 - 1), n=len(whole), method="cube of the ratio of the median diameters, less 1, exact"
        ),
        "n_matched": Quantity(len(whole), method="particles that no face cuts before or after, counted"),
    }


def _packing_warnings(packing: Packing) -> list[str]:
    if packing.excess < 0.01:
        return []
    reached = packing.params.overlap + packing.excess
    return [
        f"The particles are packed so densely that neighbours overlap by up to {reached:.0%} of their distance, more "
        "than --overlap; the truth takes it into account."
    ]


def _as_json(truth: dict[str, float]) -> str:
    import math

    # a packing without a whole particle has no median; JSON knows no NaN
    known = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in truth.items()}
    return json.dumps(known, indent=2) + "\n"


def _save_volume(path: Path, *, array, spacing) -> None:
    from ..read import write_tiff

    write_tiff(path, Image(array, "zyx", spacing))


def _slices_figure(grey: np.ndarray, phases: np.ndarray, labels: np.ndarray, spacing):
    """Draw middle slices (z up the page, then y) of the tomogram, the phases and the particles."""
    import numpy as np
    from matplotlib.figure import Figure

    from ..report.style import micrograph, style

    nz, ny, _ = grey.shape
    colours = _particle_colours(int(labels.max(initial=0)))
    paint = np.array([[0.10, 0.11, 0.13], [0.86, 0.86, 0.84], [0.90, 0.62, 0.0]])
    cuts = {"across the thickness (zx)": (np.s_[::-1, ny // 2], (spacing[0], spacing[2])),
            "in the plane (yx)": (np.s_[nz // 2], spacing[1:])}  # fmt: skip
    with style():
        figure = Figure(figsize=(11, 7.6), layout="constrained")
        axes = figure.subplots(2, 3)
        for row, (name, (cut, pixel)) in zip(axes, cuts.items(), strict=True):
            micrograph(row[0], grey[cut], spacing=pixel, title=f"tomogram, {name}")
            painted = {"phases": paint[phases[cut]], "particles": colours[labels[cut]]}
            for ax, (title, picture) in zip(row[1:], painted.items(), strict=True):
                ax.imshow(picture, aspect=pixel[0] / pixel[1], interpolation="nearest")
                ax.set(xticks=[], yticks=[], title=title)
                ax.spines[:].set_visible(False)
    return figure


def _particle_colours(n: int) -> np.ndarray:
    """Return (n + 1, 3) muted colours, neighbours in number far apart in hue; 0 is dark."""
    import numpy as np
    from matplotlib.colors import hsv_to_rgb

    hue = (np.arange(n) * 0.61803398875) % 1
    tone = np.stack([hue, 0.32 + 0.18 * ((np.arange(n) * 0.41) % 1), 0.72 + 0.2 * ((np.arange(n) * 0.73) % 1)], 1)
    return np.vstack([[[0.10, 0.11, 0.13]], hsv_to_rgb(tone)])
