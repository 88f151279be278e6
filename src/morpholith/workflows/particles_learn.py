"""A model of cathode particles, learnt from sections of grains and a tomogram of shells."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..errors import InputError
from ..progress import stage
from ..results import Result
from ._particle_inputs import MeasuredSections, measured_sections, measured_shells

if TYPE_CHECKING:
    from ..generate import Architecture, DiagramFit, LawPosterior, ParticleModel
    from ..nets.stereo_training import Learnt

DRAWS = 30  # of the posterior that travel with a model
PUBLISHED = "nmc811-like"


@dataclass(frozen=True)
class LearntGrains:
    """What the sections gave.

    Attributes
    ----------
    architecture : Architecture
    draws : tuple of Architecture
        Of the posterior; empty for the network, which has none.
    law : LawPosterior or None
    network : Learnt or None
    """

    architecture: Architecture
    draws: tuple[Architecture, ...]
    law: LawPosterior | None
    network: Learnt | None


def learn(
    *,
    sections: list[Path] | None = None,
    shells: Path | None = None,
    method: Literal["law", "gan"] = "law",
    pixel_size: float | None = None,
    voxel_size: float | tuple[float, float, float] | None = None,
    grey_values: str | None = None,
    misorientation: float = 5.0,
    min_pixels: int = 5,
    min_confidence: float | None = None,
    phase: int | None = None,
    off_centre: Literal["exclude", "unknown", "keep"] = "exclude",
    budget: int = 2000,
    schedule: Literal["useful", "paper"] = "useful",
    epochs: int | None = None,
    name: str = "particles",
    seed: int = 0,
    work: str | None = None,
    workers: int = 1,
    device: Literal["cpu", "cuda"] = "cpu",
) -> Result:
    """Learn a model of particles: their shells from a tomogram, their grains from planar sections alone.

    Writes the model (``model.safetensors`` and ``model.json``), to be given to `morpholith particles generate` and
    `validate`, with what was learnt and how sure it is.

    Parameters
    ----------
    sections
        EBSD maps (ang, ctf, h5, h5oina) or label images of sections of particles; the grains of the shipped NMC811-like
        model unless given.
    shells
        Nano-CT volume of a powder, grey, or with its particles labelled; the published NMC811 shells unless given.
    method
        How grains are learnt: a law of nine numbers with their uncertainty (law), or the stereological GAN (gan).
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
        Sections that seem to pass off the centre of their particle: left out (exclude), used with a height that is
        learnt as well (unknown; law only), or taken as central (keep).
    budget
        Simulations for the law.
    schedule
        For the GAN: a short one (useful) or that of the paper.
    epochs
        For the GAN, in place of those of the schedule.
    name
        Of the model.
    seed
        Same input and seed, same model.
    work
        Folder that keeps the GAN's checkpoints; the same command goes on from there after it was stopped.
    workers
        Processes that share the simulations.
    device
        Where the GAN is trained.
    """
    import numpy as np

    from .. import generate
    from ..generate.law_posterior import LEAST

    if sections is None and shells is None:
        raise InputError("there is nothing to learn from: give --sections, --shells or both.")
    if seed < 0:
        raise InputError(f"--seed must not be negative, got {seed}.")
    # before maps are read and diagrams fitted, which takes a while
    if method == "law" and budget < LEAST:
        raise InputError(f"--budget must be {LEAST} simulations at least, got {budget}.")
    if workers < 1:
        raise InputError(f"--workers must be at least 1, got {workers}.")
    if epochs is not None and epochs < 1:
        raise InputError(f"--epochs must be at least 1, got {epochs}.")
    if off_centre == "unknown" and method == "gan":
        raise InputError("--off-centre unknown needs --method law: the discriminator cannot be told a height it lacks.")
    rng = np.random.default_rng(seed)
    published = generate.load_model(PUBLISHED)
    warnings: list[str] = []
    volume, outer = None, None
    if shells is not None:
        stage("finding shells")
        volume = measured_shells(shells, voxel_size=voxel_size, grey_values=grey_values, rng=rng)
        coefficients, weights = volume.shells.coefficients / volume.voxel_um, volume.shells.table["frame_weight"]
        outer = generate.learn_shells(coefficients, weights=weights.to_numpy(float), rng=rng)
        warnings += [*volume.warnings, *outer.warnings]
    else:
        warnings.append("Shells are the published ones of NMC811 (Fuchs et al. 2025): no volume was given.")
    maps, fits, inner = None, [], None
    if sections is not None:
        stage("reading sections")
        maps = measured_sections(
            sections, pixel_size=pixel_size, misorientation=misorientation, min_pixels=min_pixels,
            min_confidence=min_confidence, phase=phase, off_centre=off_centre, rng=rng,
        )  # fmt: skip
        warnings += maps.warnings
        fits = _fits(maps)
        inner = _grains(maps, fits, method, off_centre, budget, schedule, epochs, seed, work, workers, device)
        warnings += inner.law.warnings if inner.law is not None else ()
    else:
        warnings += published.about["warnings"]
    model = _model(name, published, volume, outer, maps, inner)
    from ._learn_story import Story, told

    story = Story(model, tuple(warnings), volume, outer, maps, tuple(fits), inner, method, seed)
    return told(story, inputs=[*(sections or []), *([shells] if shells is not None else [])])


def _fits(maps: MeasuredSections) -> list[DiagramFit]:
    """Fit a diagram to every section, which fills its missing pixels."""
    from .. import generate
    from ..progress import progress

    return [
        generate.fit_diagram(
            one.labels, spacing=one.step_um, centre=one.centre_px, inside=one.inside
        )
        for one in progress(maps.sections, total=len(maps.sections), label="fitting diagrams")
    ]  # fmt: skip


def _grains(maps, fits, method, off_centre, budget, schedule, epochs, seed, work, workers, device) -> LearntGrains:
    import numpy as np

    from .. import generate

    if method == "law":
        stage("learning the law of the grains")
        posterior = generate.learn_law(
            maps.used,
            rng=np.random.default_rng([seed, 1]),
            budget=budget,
            heights="unknown" if off_centre == "unknown" else "central",
            workers=workers,
        )
        draws = tuple(posterior.draw(DRAWS, rng=np.random.default_rng([seed, 2])))
        return LearntGrains(posterior.best, draws, posterior, None)
    stage("training the stereological GAN")
    learnt = _trained(maps, fits, schedule, epochs, seed, work, device)
    return LearntGrains(learnt.network, (), None, learnt)


def _trained(maps, fits, schedule, epochs, seed, work, device) -> Learnt:
    from dataclasses import replace

    from .. import generate
    from ..nets import stereo_training as training

    plan = training.SCHEDULES[schedule]
    if epochs is not None:
        plan = replace(plan, epochs=epochs)
    used = [generate.restricted(fit) for fit, use in zip(fits, maps.kept, strict=True) if use]
    return training.learn_architecture(used, schedule=plan, checkpoint=work, seed=seed, device_name=device)


def _model(name, published, volume, outer, maps, inner) -> ParticleModel:
    from ..generate import ParticleModel

    about: dict[str, Any] = {"shells": "published", "grains": "published", "warnings": []}
    if volume is not None:
        about["shells"] = f"{len(volume.shells.table)} particles of a volume with voxels of {volume.voxel_um:g} um"
    if maps is not None:
        grains = sum(one.n_grains for one in maps.used)
        about["grains"] = f"{len(maps.used)} sections with {grains} grains"
        about["radius_um"] = max(one.radius_um for one in maps.used)
    if volume is None or maps is None:
        half = "shells" if volume is None else "grains"
        about["warnings"] = [f"The {half} of this model are those of the published NMC811 model, not learnt from data."]
    return ParticleModel(
        name=name,
        shells=published.shells if outer is None else outer.model,
        shell_voxel_um=published.shell_voxel_um if volume is None else volume.voxel_um,
        architecture=published.architecture if inner is None else inner.architecture,
        voxel_um=published.voxel_um if maps is None else min(one.step_um for one in maps.used),
        draws=() if inner is None else inner.draws,
        about=about,
    )
