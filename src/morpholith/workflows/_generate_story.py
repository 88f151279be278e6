"""What `particles generate` tells: tables, numbers, pictures and files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..results import ReportFigure, Result

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from ..checkpoint import Store
    from .particles_generate import Plan

SHOWN = 12
FEW_VOXELS = 200  # a grain of fewer has axes that the grid decides


def told(plan: Plan, numbers: Sequence[int], kept: Store, *, inputs: Sequence[Path]) -> Result:
    """Return the result of a library that lies finished in `kept`."""
    from .. import measure

    particles, grains = tables(numbers, kept)
    return Result(
        title="Virtual particles",
        summary=measure.library_numbers(particles, grains),
        tables={"particles": particles, "grains": grains},
        figures=_figures(plan, particles, grains, kept),
        files=_files(plan, numbers, kept),
        warnings=[*_cautions(plan, particles, grains), *_said(numbers, kept)],
        text={"How it was done": _method(plan, particles)},
        inputs=inputs,
    )


def tables(numbers: Sequence[int], kept: Store) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return one row a particle and one row a grain."""
    import pandas as pd

    from .. import export

    rows, grains = [], []
    for number in numbers:
        part = kept.get(export.particle_name(number))
        own = {k.partition(".")[2]: v for k, v in part.items() if k.startswith("particle.")}
        rows.append({"particle": number, **{k: v.item() for k, v in own.items()}})
        cells = {k.partition(".")[2]: v for k, v in part.items() if k.startswith("grain.")}
        table = pd.DataFrame(cells).rename(columns={"label": "grain"})
        table.insert(0, "particle", number)
        grains.append(table)
    return pd.DataFrame(rows).set_index("particle"), pd.concat(grains, ignore_index=True)


def _said(numbers: Sequence[int], kept: Store) -> list[str]:
    """What was said of single particles, with their numbers."""
    from .. import export

    said: dict[str, list[str]] = {}
    for number in numbers:
        for text in kept.get(export.particle_name(number), ["said"])["said"].tolist():
            said.setdefault(text, []).append(str(number))
    return [f"Particles {', '.join(who[:10])}{' and others' if len(who) > 10 else ''}: {t}" for t, who in said.items()]


def _volume(kept: Store, number: int) -> np.ndarray:
    from .. import export
    from .particles_generate import LIBRARY

    return export.read_particle(kept.folder / LIBRARY, number)[0].astype("int32")


def _figures(plan: Plan, particles, grains, kept) -> dict[str, ReportFigure]:
    from ..report import particles as pictures

    numbers = list(particles.index[:SHOWN])
    names = [f"{k}: {int(particles.n_grains[k])} grains" for k in numbers]
    # the one of median size stands for the others
    middle = int(particles.index[(particles.volume_um3 - particles.volume_um3.median()).abs().argmin()])
    angles = grains[grains.particle == middle].set_index("grain").alpha_long_deg.to_dict()
    # read once: figures are drawn when the report is written
    shown: dict[int, Any] = {}

    def volumes():
        shown.update({k: _volume(kept, k) for k in numbers if k not in shown})
        return [shown[k] for k in numbers]

    look = {"voxel_um": plan.voxel_um}
    return {
        "cut_open": ReportFigure(
            lambda: pictures.cut_open(
                _volume(kept, middle), values=angles, name="longest axis to the radius (deg)", **look
            ),
            f"Particle {middle}, of median volume, with a corner taken off: its grains, and how their longest axes lie "
            "to the radius.",
            section="Particles",
        ),
        "particles": ReportFigure(
            lambda: pictures.sheet(volumes(), names=names, **look),
            f"The first {len(numbers)} particles, to one scale.",
            section="Particles",
        ),
        "sections": ReportFigure(
            lambda: pictures.central_sections(volumes(), names=names, **look),
            "Middle planes of the same particles.",
            section="Particles",
        ),
        "distributions": ReportFigure(
            lambda: pictures.library_figure(particles, grains),
            "What the library holds, the upper 0.5 % drawn together. Directions of axes: random ones would lie on the"
            " line.",
            section="Numbers",
        ),
    }


def _files(plan: Plan, numbers: Sequence[int], kept: Store) -> dict[str, Callable[[Path], object]]:
    """Return writers that copy the particles asked for; the work folder may hold others, and keeps its own."""
    from .. import export
    from .particles_generate import EXPORTS, LIBRARY

    names = [export.particle_name(k) for k in numbers]

    def library(path: Path) -> None:
        export.copy_particles(kept.folder / LIBRARY, path, numbers)

    files: dict[str, Callable[[Path], object]] = {LIBRARY: library}
    suffix = {"tiff": "tif"}
    for target in plan.exports:
        for name in names:
            file = f"{name}.{suffix.get(target, target)}"
            files[f"{EXPORTS}/{file}"] = _copier(kept.folder / EXPORTS / file)
    return files


def _copier(source: Path) -> Callable[[Path], object]:
    import shutil

    return lambda path: shutil.copyfile(source, path)


def _cautions(plan: Plan, particles, grains) -> list[str]:
    words = list(plan.model.about.get("warnings", ()))
    small = float((grains.n_voxels < FEW_VOXELS).mean()) if len(grains) else 0.0
    if small > 0.25:
        words.append(
            f"{small:.0%} of the grains have fewer than {FEW_VOXELS} voxels: their axes and angles are those of the "
            "grid in part; ask for a smaller --voxel-size."
        )
    if particles.grain_cut.any():
        words.append(
            f"{int(particles.grain_cut.sum())} particles have a grain that reaches farther than the model says grains "
            "do; it may be cut."
        )
    if (plan.pores or plan.cracks) and set(plan.exports) - {"tiff"}:
        words.append("Pores and cracks are in the volumes only: meshes and surfaces are of the sound particle.")
    return words


def _method(plan: Plan, particles) -> str:
    kept = {
        "grains": "grains with their centre of mass inside the shell were kept whole, the others left out",
        "shell": "grains were cut at the shell",
    }[plan.surface]
    words = (
        f"Each particle is a shell and a grain architecture of the model {plan.model.name!r}, drawn from the seed "
        f"{plan.seed} and its own number; {kept} (Fuchs et al. 2025, Fig. 9). Labels lie on voxels of "
        f"{plan.voxel_um:g} um, each with the grain of least distance, exactly. Loose pieces of grains "
        f"({int(particles.fragments.sum())} in {int(particles.n_grains.sum())} grains) were given to the grains around "
        "them. Diameter is that of a ball of equal volume; sphericity, aspect, compactness and d_max are of the shell."
    )
    if set(plan.exports) & {"vtu", "msh", "inp", "stl", "vtp"}:
        words += (
            f"\n\nMeshes follow the analytic boundaries on a lattice of {plan.cell_um:g} um, one tag a grain and one a "
            "pair of grains that touch; the coordinates are x, y, z in um."
        )
    return words
