"""A model of particles beside the data: eight descriptors, and the orientation of grains against the cut's height."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..errors import InputError
from ..image import Quantity
from ..progress import progress, stage
from ..results import ReportFigure, Result
from ._particle_inputs import MeasuredSections, MeasuredShells, measured_sections, measured_shells

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from ..generate import ParticleModel
    from ..measure import Distance

SECTION = {
    "area_um2": "area of a section (um2)",
    "elongation": "elongation (Eq. 21, ratio of variances)",
    "alpha_deg": "orientation alpha (deg)",
    "chord_um": "chord length (um)",
}
SHELL = {
    "d_max_um": "largest diameter (um)",
    "compactness": "compactness",
    "aspect_ratio": "aspect ratio",
    "sphericity": "sphericity",
}
HEIGHTS = (0.0, 0.2, 0.4, 0.6, 0.8)


@dataclass(frozen=True)
class Sample:
    """Measured and simulated values of the descriptors of one half of the model, with the group each is from."""

    observed: dict[str, tuple[np.ndarray, np.ndarray]]
    simulated: dict[str, tuple[np.ndarray, np.ndarray]]


def validate(
    model: str,
    /,
    *,
    sections: list[Path] | None = None,
    shells: Path | None = None,
    count: int = 1000,
    repeats: int = 8,
    pixel_size: float | None = None,
    voxel_size: float | tuple[float, float, float] | None = None,
    grey_values: str | None = None,
    misorientation: float = 5.0,
    min_pixels: int = 5,
    min_confidence: float | None = None,
    phase: int | None = None,
    off_centre: Literal["exclude", "keep"] = "exclude",
    seed: int = 0,
) -> Result:
    """Compare a model of particles with measured sections and shells.

    Sections are drawn from the model in the outlines of the measured ones, and shells as many as asked for; the
    distributions of the eight descriptors of Fuchs et al. (2025) are compared, with the distance that samples of the
    data have among themselves beside that to the model.

    Parameters
    ----------
    model
        Folder or file that `morpholith particles learn` wrote, or the name of a shipped model: nmc811-like.
    sections
        EBSD maps (ang, ctf, h5, h5oina) or label images of sections of particles.
    shells
        Nano-CT volume of a powder, grey, or with its particles labelled.
    count
        Shells drawn from the model.
    repeats
        Sections drawn from the model for each measured one.
    pixel_size
        Step of the maps in um, when a file does not say it.
    voxel_size
        Edge of a voxel of the volume in um, one number or z,y,x, when the file does not say it.
    grey_values
        For a volume that is segmented already: its grey values as 0=pore,1=active,2=binder.
    misorientation
        Least disorientation between two grains, degrees.
    min_pixels
        Smaller grains count as missing pixels.
    min_confidence
        Pixels with a lower confidence index count as missing.
    phase
        Number of the phase whose grains are meant, in maps of several.
    off_centre
        Sections that seem to pass off the centre of their particle: left out (exclude) or taken as central (keep).
    seed
        Same input and seed, same numbers.
    """
    import numpy as np

    from .. import generate

    if sections is None and shells is None:
        raise InputError("there is nothing to compare the model with: give --sections, --shells or both.")
    if count < 10 or repeats < 1:
        raise InputError(f"--count must be at least 10 and --repeats at least 1, got {count} and {repeats}.")
    if seed < 0:
        raise InputError(f"--seed must not be negative, got {seed}.")
    known = generate.load_model(model)
    rng = np.random.default_rng([seed, 3])
    warnings = list(known.about.get("warnings", ()))
    samples: dict[str, Sample] = {}
    maps, angles = None, {}
    if sections is not None:
        stage("reading sections")
        maps = measured_sections(
            sections, pixel_size=pixel_size, misorientation=misorientation, min_pixels=min_pixels,
            min_confidence=min_confidence, phase=phase, off_centre=off_centre, rng=rng,
        )  # fmt: skip
        warnings += maps.warnings
        samples["sections"] = _section_sample(known, maps, repeats, min_pixels, rng)
        angles = _by_height(known, maps, repeats, rng)
    if shells is not None:
        stage("finding shells")
        volume = measured_shells(shells, voxel_size=voxel_size, grey_values=grey_values, rng=rng)
        warnings += volume.warnings
        samples["shells"] = _shell_sample(known, volume, count, rng)
    distances = _distances(samples, rng)
    return Result(
        title=f"The model {known.name} beside the data",
        summary=_numbers(distances, maps),
        tables=_tables(distances, angles, maps),
        figures=_figures(samples, angles, maps),
        warnings=[*warnings, *_verdicts(distances)],
        text={"How it was done": METHOD},
        inputs=[*generate.model_files(model), *(sections or []), *([shells] if shells is not None else [])],
    )


METHOD = (
    "Sections were drawn from the model with the step of the measured ones; grains with their centroid in the outline "
    "of one were kept whole, as at the surface of a particle. Pixels were lost as often as in the map, and missing "
    "ones filled from the nearest grain in both. Shells were drawn and those below the model's least size dropped. The "
    "distance of two distributions is the mean difference of their quantiles in standard deviations of the measured "
    "one (Wasserstein); its interval resamples whole sections, or particles. The floor is the distance that two "
    "samples of the data, as large as those compared, stay below 95 times in 100: a model at the floor cannot be told "
    "from the data by this descriptor. These descriptors are of the data the model may have been learnt from; they do "
    "not show that it holds in 3D."
)


# --- samples -----------------------------------------------------------------------------------------------------


def _section_sample(model: ParticleModel, maps: MeasuredSections, repeats: int, min_pixels: int, rng) -> Sample:
    from .. import generate

    jobs = [one for _ in range(repeats) for one in maps.used]
    drawn = [
        generate.cut_like(model.architecture, one, rng=rng, whole=True, min_pixels=min_pixels)
        for one in progress(jobs, total=len(jobs), label="cutting the model")
    ]
    return Sample(_section_values(maps.used, min_pixels), _section_values(drawn, min_pixels))


def _section_values(sections, min_pixels) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    from dataclasses import replace

    from .. import measure, segment

    # an instrument loses pixels at boundaries: those of a map and of a model are other ones
    sections = [replace(one, labels=segment.filled_labels(one)) for one in sections]
    table = measure.section_grains(sections, min_pixels=min_pixels)
    owner = table["section"].to_numpy()
    values = {name: (table[name].to_numpy(float), owner) for name in SECTION if name != "chord_um"}
    return {**values, "chord_um": measure.section_chords(sections)}


def _shell_sample(model: ParticleModel, volume: MeasuredShells, count: int, rng) -> Sample:
    import numpy as np

    from .. import generate, measure

    drawn = generate.draw_shells(model.shells, count, rng=rng).coefficients
    large = generate.shell_volume(drawn) >= model.min_shell_voxels
    centred = generate.recentred(drawn[large]).coefficients
    tables = [
        measure.shell_shapes(volume.shells.coefficients),
        measure.shell_shapes(centred, voxel_um=model.shell_voxel_um),
    ]
    first, second = ({name: (table[name].to_numpy(float), np.arange(len(table))) for name in SHELL} for table in tables)
    return Sample(first, second)


def _by_height(model: ParticleModel, maps: MeasuredSections, repeats: int, rng) -> dict[float, np.ndarray]:
    """Angles of the model's grains in planes at several heights through a ball."""
    from .. import generate, measure

    radius = max(one.radius_um for one in maps.used)
    step = min(one.step_um for one in maps.used)
    angles = {}
    for height in HEIGHTS:
        cuts = [
            generate.cut_ball(
                model.architecture, radius_um=radius, height_um=height * radius, step_um=step, rng=rng, whole=True
            )
            for _ in range(max(2, repeats // 2))
        ]  # fmt: skip
        angles[height] = measure.section_grains(cuts, min_pixels=10)["alpha_deg"].to_numpy(float)
    return angles


def _distances(samples: dict[str, Sample], rng) -> dict[str, Distance]:
    from .. import measure

    found = {}
    for kind, sample in samples.items():
        for name, (values, groups) in sample.observed.items():
            other, others = sample.simulated[name]
            # a dozen sections are alike within; a particle of the tomogram is one value
            grouped = {"first_groups": groups, "second_groups": others} if kind == "sections" else {}
            found[name] = measure.distribution_distance(values, other, rng=rng, **grouped)
    return found


# --- telling -----------------------------------------------------------------------------------------------------


def _numbers(distances: dict[str, Distance], maps: MeasuredSections | None) -> dict[str, Quantity]:
    import numpy as np

    numbers = {}
    if maps is not None:
        numbers["n_sections"] = Quantity(len(maps.used), n=len(maps.sections), method="used, of those found")
    for name, d in distances.items():
        known = np.isfinite(d.floor)
        numbers[f"distance_{name.removesuffix('_um2').removesuffix('_um').removesuffix('_deg')}"] = Quantity(
            d.wasserstein,
            low=d.low if known else None,
            high=d.high if known else None,
            n=d.n_first,
            method="mean difference of quantiles over the standard deviation of the data; "
            + (f"samples of the data: below {d.floor:.2g}" if known else "too few sections for an interval"),
        )
    return numbers


def _tables(distances, angles, maps) -> dict[str, pd.DataFrame]:
    import numpy as np
    import pandas as pd

    rows = {name: d._asdict() for name, d in distances.items()}
    tables = {"distances": pd.DataFrame.from_dict(rows, orient="index").rename_axis("descriptor")}
    if angles:
        means = {h: (np.nanmean(v), np.isfinite(v).sum()) for h, v in angles.items()}
        own = pd.DataFrame.from_dict(means, orient="index", columns=["alpha_mean_deg", "n"])
        tables["by_height"] = own.rename_axis("height_over_radius")
    if maps is not None:
        tables["sections"] = maps.found.sections.assign(used=maps.kept)
    return tables


def _verdicts(distances: dict[str, Distance]) -> list[str]:
    import numpy as np

    told = []
    apart = [name for name, d in distances.items() if np.isfinite(d.floor) and d.wasserstein > d.floor]
    unknown = [name for name, d in distances.items() if not np.isfinite(d.floor)]
    if apart:
        told.append(
            f"The model differs from the data in {', '.join(apart)} by more than samples of the data do among "
            "themselves."
        )
    if unknown:
        told.append(f"Three sections or particles are the least for an interval: {', '.join(unknown)} have none.")
    return told


def _figures(samples, angles, maps) -> dict[str, ReportFigure]:
    from ..report import sections as pictures

    figures: dict[str, Any] = {}
    titles = {"sections": ("grains", SECTION), "shells": ("outer shells", SHELL)}
    for kind, sample in samples.items():
        what, names = titles[kind]
        figures[f"descriptors_{kind}"] = ReportFigure(
            partial(pictures.compared, sample.observed, sample.simulated, names),
            f"Descriptors of the {what}, measured and of the model (Fig. 10 of Fuchs et al. 2025); the upper 0.5 % is"
            " drawn together.",
            section="Descriptors",
        )
    if angles and maps is not None:
        own = samples["sections"].observed["alpha_deg"][0]
        figures["by_height"] = ReportFigure(
            lambda: pictures.by_height_figure(angles, own),
            "Orientation of the model's grains in planes at several heights (Fig. 11 of Fuchs et al. 2025); the dashed"
            " line is no order.",
            section="Height of the cut",
        )
        figures["orientation"] = ReportFigure(
            lambda: pictures.alpha_figure(maps.found, maps.kept),
            "Orientation of the grains in the measured sections (grey: not used), and how far from the centre each may"
            " pass.",
            section="Height of the cut",
        )
    return figures
