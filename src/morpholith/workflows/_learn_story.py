"""What `particles learn` tells: the model's files, numbers, tables and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..image import Quantity
from ..results import ReportFigure, Result

if TYPE_CHECKING:
    import pandas as pd

    from ..generate import DiagramFit, LearntShells, Particle, ParticleModel
    from ._particle_inputs import MeasuredSections, MeasuredShells
    from .particles_learn import LearntGrains

MODEL = "model"
EXPLAINED = 0.9  # least share of pixels of what looks like grains; maps of particles reach 0.95 and more
GRAINS = 3000  # that the numbers of a network are taken over
IN_3D = {
    "grain_d50_um": ("diameter_um_d50", "um", "median diameter of a ball of equal volume"),
    "grain_d10_um": ("diameter_um_d10", "um", "10 % of the grains are smaller"),
    "grain_d90_um": ("diameter_um_d90", "um", "10 % of the grains are larger"),
    "grain_axis_ratio": ("axis_ratio_3d_q50", "", "median of longest over shortest axis"),
    "grain_radial_ratio": ("radial_ratio_q50", "", "median of the extent along the radius over that across it"),
    "grain_alpha_deg": ("alpha_long_deg_mean", "deg", "mean angle of the longest axis to the radius"),
}


@dataclass(frozen=True)
class Story:
    """All that was learnt."""

    model: ParticleModel
    warnings: tuple[str, ...]
    volume: MeasuredShells | None
    outer: LearntShells | None
    maps: MeasuredSections | None
    fits: tuple[DiagramFit, ...]
    inner: LearntGrains | None
    method: str
    seed: int


def told(story: Story, *, inputs: Sequence[Path]) -> Result:
    """Return the result of learning."""
    grains = _grains_3d(story)
    sample, said = _sample(story)
    tables = _tables(story) | ({} if grains is None else {"grains_3d": grains})
    return Result(
        title=f"Model of particles: {story.model.name}",
        summary={**_numbers(story), **_predicted(grains)},
        tables=tables,
        figures=_figures(story, grains, sample),
        files={f"{MODEL}{suffix}": partial(_save, story.model, suffix) for suffix in (".safetensors", ".json")},
        warnings=[*story.warnings, *said],
        text={"How it was done": _method(story)},
        inputs=inputs,
    )


def _save(model: ParticleModel, suffix: str, path: Path) -> None:
    """Write one of the two files of a model."""
    from tempfile import TemporaryDirectory

    from ..generate import save_model

    with TemporaryDirectory(dir=path.parent) as folder:
        save_model(Path(folder) / MODEL, model)
        (Path(folder) / f"{MODEL}{suffix}").replace(path)


def _grains_3d(story: Story) -> pd.DataFrame | None:
    """What the grains are like in 3D: with intervals where there is a posterior, else as one simulation shows it."""
    import numpy as np
    import pandas as pd

    from .. import generate

    if story.inner is None or story.maps is None:
        return None
    rng = np.random.default_rng([story.seed, 4])
    radius = max(one.radius_um for one in story.maps.used)
    if story.inner.law is not None:
        return generate.predict_grains(story.inner.law, rng=rng, radius_um=radius)
    found = generate.describe_grains(
        generate.grains_of(story.inner.architecture, radius_um=radius, rng=rng, n_grains=GRAINS)
    )
    return pd.DataFrame({"median": found}).rename_axis("quantity")


def _predicted(table: pd.DataFrame | None) -> dict[str, Quantity]:
    """The main numbers of the grains in 3D."""
    if table is None:
        return {}
    numbers = {}
    for key, (row, unit, what) in IN_3D.items():
        own = table.loc[row]
        sure = "low" in table.columns
        told = own["identifiable"] if sure else "yes"
        numbers[key] = Quantity(
            float(own["median"]),
            low=float(own["low"]) if sure else None,
            high=float(own["high"]) if sure else None,
            unit=unit,
            method=f"{what}, of grains in 3D; "
            + ("posterior of the law" if sure else "one simulation of the network, which states no error"),
            warning=None if told != "no" else "the sections do not tell it: the interval is that of the prior",
        )
    return numbers


def _numbers(story: Story) -> dict[str, Quantity]:
    numbers: dict[str, Quantity] = {}
    if story.maps is not None:
        used = story.maps.used
        accuracy = min(f.accuracy for f in story.fits)
        numbers |= {
            "n_sections": Quantity(len(used), n=len(story.maps.sections), method="used, of those found"),
            "n_section_grains": Quantity(sum(s.n_grains for s in used), method="in the sections used"),
            "diagram_accuracy": Quantity(
                accuracy,
                n=len(story.fits),
                method="share of the pixels of the section that its diagram explains, the worst section",
                warning=None
                if accuracy >= EXPLAINED
                else "a section is not made of grains that a diagram can describe",
            ),
            "radial_order": story.maps.found.order,
            "radial_stretch": story.maps.found.stretch,
        }
    law = story.inner.law if story.inner is not None else None
    if law is not None:
        numbers["misfit_p"] = Quantity(
            law.misfit.p, n=law.n_simulations,
            method="share of the model's own sections that look at least as odd among them as the measured ones",
            warning=None if law.misfit.p >= 0.01 else "the law does not describe these sections",
        )  # fmt: skip
    if story.volume is not None and story.outer is not None:
        table = story.volume.shells.table
        numbers |= {
            "n_shells": Quantity(len(table), method="particles of the volume that gave a shell"),
            "captured_share": Quantity(
                float(table["captured_share"].mean()), n=len(table),
                method="volume within the radius function over that of the particle, mean",
            ),
            "shell_acceptance": story.outer.acceptance,
        }  # fmt: skip
    return numbers


def _tables(story: Story) -> dict[str, pd.DataFrame]:
    tables: dict[str, Any] = {}
    if story.maps is not None:
        found = story.maps.found.sections.assign(
            used=story.maps.kept,
            cut_share=[one.cut_share for one in story.maps.sections],
            diagram_accuracy=[f.accuracy for f in story.fits],
        )
        tables["sections"] = found
    if story.inner is not None and story.inner.law is not None:
        tables |= {"law": story.inner.law.table, "statistics": story.inner.law.statistics}
    if story.inner is not None and story.inner.network is not None:
        tables["curves"] = story.inner.network.curves
    if story.outer is not None and story.volume is not None:
        tables |= {
            "shells": story.volume.shells.table,
            "families": story.outer.families,
            "shell_parameters": story.outer.parameters,
            "dependence": story.outer.dependence,
        }
    return tables


def _figures(story: Story, grains: pd.DataFrame | None, sample: Particle | None) -> dict[str, ReportFigure]:
    from ..report.law import grains_figure
    from ..report.particles import cut_open

    figures: dict[str, ReportFigure] = {}
    if story.maps is not None:
        figures |= _section_figures(story)
    if story.outer is not None:
        figures |= _shell_figures(story)
    if grains is not None and "low" in grains.columns:
        figures["grains_3d"] = ReportFigure(
            lambda: grains_figure(grains),
            "Grains in 3D, which no section shows: what the law says, with 95 % intervals, within the prior.",
            section="The model",
        )
    if sample is not None:
        figures["particle"] = ReportFigure(
            lambda: cut_open(sample.labels, voxel_um=sample.voxel_um),
            "A particle of the model, cut open, and its surface.",
            section="The model",
        )
    return figures


def _section_figures(story: Story) -> dict[str, ReportFigure]:
    from ..report import law as law_pictures
    from ..report import sections as pictures

    maps, inner = story.maps, story.inner
    assert maps is not None
    figures = {
        "sections": ReportFigure(
            lambda: pictures.sections_figure(maps.sections, story.fits, maps.kept),
            "Sections as measured, missing pixels dark, and below the diagrams fitted to them, which fill those; the"
            " cross is what is taken for the centre.",
            section="Grains",
        ),
        "orientation": ReportFigure(
            lambda: pictures.alpha_figure(maps.found, maps.kept),
            "Left, orientation of the grains to the centre, one curve a section (grey: not used). Right, how far from "
            "the centre of its particle each section may pass, with 90 % intervals.",
            section="Grains",
        ),
    }
    if inner is not None and inner.law is not None:
        law = inner.law
        figures |= {
            "law": ReportFigure(
                lambda: law_pictures.posterior_figure(law.table),
                "What the sections tell of each number of the law: its 95 % interval within the range it might have "
                "had.",
                section="Grains",
            ),
            "statistics": ReportFigure(
                lambda: law_pictures.statistics_figure(law.statistics),
                "Statistics of the measured sections among those of sections that the model draws.",
                section="Grains",
            ),
        }
    if inner is not None and inner.network is not None:
        curves = inner.network.curves
        figures["curves"] = ReportFigure(
            lambda: law_pictures.curves_figure(curves),
            "The training: losses (0.25 each where the discriminator cannot tell), the intensity of the seeds, grains "
            "in a cutout, and how long the markers are along the radius.",
            section="Grains",
        )
    return figures


def _shell_figures(story: Story) -> dict[str, ReportFigure]:
    from ..report import shells as pictures

    assert story.outer is not None
    return pictures.learnt_figures(story.volume, story.outer)


def _sample(story: Story) -> tuple[Particle | None, list[str]]:
    """Draw one particle of the model; shells and grains that do not go together are said, and keep the model."""
    from ..generate import particle

    try:
        return particle(story.model, seed=story.seed, number=1), []
    except InputError as error:
        return None, [f"No particle could be drawn from this model: {error}"]


def _method(story: Story) -> str:
    words = []
    if story.maps is not None:
        words.append(
            "Grains of the maps were found by disorientation; a power diagram was fitted to each section to fill its"
            " missing pixels. Sections were judged by how radial their grains lie."
        )
    if story.method == "law" and story.inner is not None and story.inner.law is not None:
        words.append(
            f"The law of the grains was learnt by simulation: {story.inner.law.n_simulations} laws from a wide prior "
            "were cut in the outlines of the measured sections and compared by statistics of areas, axes, directions "
            "and boundaries (regression-adjusted approximate Bayesian computation, in rounds). Intervals were checked "
            "on simulations that took the place of the data, and widened where they did not hold."
        )
    elif story.inner is not None and story.inner.network is not None:
        words.append(
            "The grains' generator was trained by a discriminator that compares 32 x 32 cutouts of measured and drawn"
            " sections (stereological GAN, Fuchs et al. 2025). It states no uncertainty; `--method law` does."
        )
    if story.outer is not None and story.volume is not None:
        words.append(
            f"Shells: {len(story.volume.shells.table)} particles, spherical harmonics to degree 9 of their radius about"
            " the centre of mass, one distribution a degree chosen by likelihood."
        )
    return "\n\n".join(words) or "Nothing was learnt; the model is the published one."
