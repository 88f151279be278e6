"""Virtual orientation maps of sections through particles whose grains are known in 3D."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .._checks import positive
from ..errors import InputError
from ..image import Image, Quantity
from ..progress import progress
from ..results import ReportFigure, Result

if TYPE_CHECKING:
    import pandas as pd

    from ..specimens.architectures import Interior
    from ..specimens.cuts import VirtualSection
    from ..specimens.ebsd_scope import EbsdScope
    from ..specimens.polycrystals import VirtualPolycrystal

MOST_GRAINS = 200_000
SHOWN = 6  # sections in the report
DRAWN_GRAIN = 8  # voxels along a mean grain in the renderings
RESOLVED_PX = 4  # points of the smallest grain sections that a careful reading keeps


def section(
    *,
    kind: Literal["equiaxed", "needles", "plates"] = "needles",
    particles: int = 1,
    cuts: int = 1,
    diameter: float = 8.0,
    size: float = 0.5,
    spread: float | None = None,
    aspect: float | None = None,
    gradient: float = 0.0,
    disorder: float | None = None,
    regularity: float | None = None,
    correlation: float | None = None,
    waviness: float | None = None,
    cut_surface: bool = False,
    height: float = 0.0,
    step: float = 0.05,
    grid: Literal["square", "hexagonal"] = "square",
    ctf: bool = False,
    difficulty: Literal["exact", "clean", "typical", "hard"] = "typical",
    second_phase: float = 0.0,
    confidence: bool = True,
    volume: bool = False,
    seed: int = 0,
) -> Result:
    """Make virtual EBSD maps of sections through particles, with their grains in 3D beside them.

    Writes ``section_000.ang`` (the map; with ``--ctf`` as ``.ctf`` as well), ``section_000_labels.tif`` (the true grain
    of every point), ``sections.csv`` (where each section lies in which particle, and how many grains it cuts),
    ``truth.csv`` (size, shape and orientation of every grain in 3D, also of those that no section meets) and
    ``truth.json`` (what the particles were made with).

    Parameters
    ----------
    kind
        Grains without order, needles along the radius, or plates that contain the radius.
    particles
        Number of particles.
    cuts
        Sections of each particle, in random directions.
    diameter
        Mean diameter of the particles, um.
    size
        Diameter of a sphere of the mean volume of the grains, um.
    spread
        How unequal the grains are: standard deviation of their weights, in radii, 0 to 0.6.
    aspect
        Long over short axis of the grains' metric, from 1.
    gradient
        Growth of the grains from centre to surface, -0.8 to 0.8: 0.5 gives half the size at the centre and one and a
        half at the surface.
    disorder
        Root mean square angle of the grains to the radius, degrees; 90 is no order at all.
    regularity
        0 for seeds at random, 1 for seeds that keep their distance.
    correlation
        Share of the grains' differences that neighbours have in common, 0 to 1.
    waviness
        Root mean square displacement of the grain boundaries, in grain sizes, 0 to 0.3.
    cut_surface
        Cut the grains at the particle's outline. Otherwise grains are whole, and the surface is made of their faces.
    height
        Largest distance of a section from the centre, over the radius; 0 for central sections.
    step
        Distance of the points of a map, um.
    grid
        Square or hexagonal, as EDAX's maps may be.
    ctf
        Write the maps as .ctf as well (square grids).
    difficulty
        How many points are lost, mixed up and noisy.
    second_phase
        Share of the grains that are rock salt.
    confidence
        Without it every confidence index is written as 0, as in exports that lost it.
    volume
        Write the 3D labels of every particle as well, ``particle_000_labels.tif``.
    seed
        Same seed, same specimen.
    """
    import numpy as np

    from ..specimens import EbsdScope, Interior

    if particles < 1 or cuts < 1:
        raise InputError(f"--particles and --cuts must be at least 1, got {particles} and {cuts}.")
    if seed < 0:
        raise InputError(f"--seed must not be negative, got {seed}.")
    if not 0 <= height < 1:
        raise InputError(f"--height is a share of the radius, 0 to below 1; got {height:g}.")
    if ctf and grid != "square":
        raise InputError("--ctf needs --grid square: the format knows no hexagonal grid.")
    for name, value in {"--diameter": diameter, "--size": size, "--step": step}.items():
        positive(value, name=name)
    if size > diameter / 2:
        raise InputError(f"--size {size:g} um leaves no grains in a particle of {diameter:g} um; take smaller ones.")
    if (diameter / size) ** 3 > MOST_GRAINS:
        raise InputError(
            f"--diameter {diameter:g} and --size {size:g} make about {(diameter / size) ** 3:.0f} grains a particle; "
            f"at most {MOST_GRAINS} are possible."
        )
    changes = {"size_spread": spread, "aspect": aspect, "disorder_deg": disorder, "regularity": regularity,
               "correlation": correlation, "waviness": waviness}  # fmt: skip
    params = Interior.of(
        kind, diameter_um=diameter, size_um=size, gradient=gradient, surface="cut" if cut_surface else "grains",
        **{k: v for k, v in changes.items() if v is not None},
    )  # fmt: skip
    scope = EbsdScope.of(
        difficulty, second_phase=second_phase, **({} if confidence else {"confidence": 0.0}),
    )  # fmt: skip
    rngs = np.random.default_rng(seed).spawn(particles)
    return virtual_section(params, scope, rngs, cuts, off_centre=height, step=step, grid=grid, ctf=ctf,
                           volume=volume, seed=seed)  # fmt: skip


def virtual_section(
    params: Interior, scope: EbsdScope, rngs, sections: int, *, off_centre: float, step: float, grid: str, ctf: bool,
    volume: bool, seed: int,
) -> Result:  # fmt: skip
    """Make the particles, cut and map them, and gather maps, pictures and truth in a result."""
    import pandas as pd

    from ..specimens import polycrystal

    files: dict[str, Callable[[Path], object]] = {}
    figures: dict[str, ReportFigure] = {}
    grains: list[pd.DataFrame] = []
    rows: list[dict[str, Any]] = []
    for k, rng in enumerate(progress(rngs, total=len(rngs), label="cutting")):
        made = polycrystal(params, rng=rng)
        grains.append(made.truth.assign(particle=k))
        for mapped, where in _sections(made, scope, sections, off_centre, step, grid, rng):
            name = f"section_{len(rows):03d}"
            _add_section(files, name, mapped, ctf=ctf, confidence=scope.confidence > 0)
            rows.append({"file": f"{name}.ang", "particle": k, **where, **_counts(mapped)})
            if len(rows) <= SHOWN:
                figures[name] = _section_report(name, mapped, rows[-1])
        if volume:
            files[f"particle_{k:03d}_labels.tif"] = partial(_save_volume, made=made, spacing=step)
        if k == 0:
            figures |= _particle_report(made)
    table, truth = pd.DataFrame(rows).set_index("file"), pd.concat(grains)
    files["sections.csv"] = lambda path: table.to_csv(path)
    files["truth.csv"] = lambda path: truth.to_csv(path)
    told = {"seed": seed, "specimen": asdict(params), "instrument": asdict(scope), "grid": grid, "step_um": step}
    files["truth.json"] = lambda path: path.write_text(json.dumps(told, indent=2) + "\n")
    figures["grains_3d"] = _truth_report(truth)
    return Result(
        summary=section_quantities(truth, table), files=files, figures=figures, title="Virtual sections",
        warnings=["Virtual specimen: every map is computed, none was taken with a microscope."],
    )  # fmt: skip


def _sections(made: VirtualPolycrystal, scope, n: int, off_centre: float, step: float, grid: str, rng):
    """Yield the maps of n sections in random directions, and where they lie."""
    from ..specimens import orientation_map

    for _ in range(n):
        normal = rng.standard_normal(3)
        normal /= sum(v * v for v in normal) ** 0.5
        height = float(off_centre * 0.5 * made.params.diameter_um * rng.uniform(-1, 1))
        angle = float(rng.uniform(0, 360))
        off = tuple(rng.uniform(-0.5, 0.5, 2))
        cut = made.section(height, step, angle, normal=tuple(normal), grid=grid, offset_px=off)
        where = {"height_um": height, "normal_z": normal[0], "normal_y": normal[1], "normal_x": normal[2],
                 "angle_deg": angle, "centre_y_px": cut.centre_px[0], "centre_x_px": cut.centre_px[1]}  # fmt: skip
        yield orientation_map(cut, scope, rng=rng), where


def _counts(mapped: VirtualSection) -> dict[str, Any]:
    import numpy as np

    points = np.bincount(mapped.regions.ravel())[1:]
    return {
        "n_grains": len(np.unique(mapped.labels[mapped.inside])),
        "n_grain_sections": mapped.n_regions,
        "n_resolved": int((points >= RESOLVED_PX).sum()),
        "n_points_inside": int(mapped.inside.sum()),
        "n_indexed_inside": int((mapped.valid & mapped.inside).sum()),
    }


def _add_section(files, name: str, mapped: VirtualSection, *, ctf: bool, confidence: bool) -> None:
    from ..specimens import write_ang, write_ctf

    files[f"{name}.ang"] = partial(write_ang, section=mapped, confidence=confidence)
    if ctf:
        files[f"{name}.ctf"] = partial(write_ctf, section=mapped)
    files[f"{name}_labels.tif"] = partial(_save_labels, mapped=mapped)


def _save_labels(path: Path, *, mapped: VirtualSection) -> None:
    from ..read import write_tiff

    write_tiff(path, Image(mapped.labels, "yx", mapped.spacing))


def _save_volume(path: Path, *, made: VirtualPolycrystal, spacing: float) -> None:
    from ..read import write_tiff

    write_tiff(path, Image(made.labels(spacing), "zyx", (spacing,) * 3))


def section_quantities(truth: pd.DataFrame, table: pd.DataFrame) -> dict[str, Quantity]:
    """Return the true numbers of the grains in 3D, and of the sections, as quantities."""
    exact = "all grains in 3D, on voxels of a ninth of a mean grain"
    found = {
        "n_sections": Quantity(len(table), method="exact"),
        "n_grains": Quantity(len(truth), method="grains in 3D, counted"),
        "n_grain_sections": Quantity(int(table["n_grain_sections"].sum()), method="connected regions, counted"),
        "n_resolved": Quantity(int(table["n_resolved"].sum()), method=f"of these, with {RESOLVED_PX} points or more"),
    }
    means = {"diameter_mean_um": "diameter_um", "elongation_3d_mean": "elongation_3d",
             "flatness_3d_mean": "flatness_3d", "axis_ratio_3d_mean": "axis_ratio_3d",
             "radial_ratio_mean": "radial_ratio",
             "alpha_long_mean_deg": "alpha_long_deg", "alpha_short_mean_deg": "alpha_short_deg"}  # fmt: skip
    for key, column in means.items():
        unit = "um" if key.endswith("_um") else "deg" if key.endswith("_deg") else ""
        found[key] = Quantity(float(truth[column].mean()), n=len(truth), unit=unit, method=f"mean of {exact}")
    return found


def _section_report(name: str, mapped: VirtualSection, row: dict) -> ReportFigure:
    from ..report.virtual_section import section_figure

    return ReportFigure(
        partial(section_figure, mapped),
        f"{name}, particle {row['particle']}, {abs(row['height_um']):.2f} um from its centre (cross: foot of the "
        f"normal): {row['n_grains']} grains in {row['n_grain_sections']} pieces. Hue shows the direction of the c axis "
        "in the plane, pale colours stand on it, black points are not indexed.",
        section="Sections",
    )


def _particle_report(made: VirtualPolycrystal) -> dict[str, ReportFigure]:
    from ..report.particles import cut_open

    spacing = made.params.size_um / DRAWN_GRAIN

    def draw():
        return cut_open(
            made.labels(spacing), voxel_um=spacing, values=made.truth["alpha_long_deg"].to_dict(),
            name="longest axis to the radius (deg)",
        )  # fmt: skip

    return {
        "particle": ReportFigure(
            draw, "The first particle, a corner cut away: its grains, and how far they are from the radius.",
            section="Grains in 3D",
        )
    }  # fmt: skip


def _truth_report(truth: pd.DataFrame) -> ReportFigure:
    from ..report.virtual_section import truth_figure

    return ReportFigure(
        partial(truth_figure, truth),
        "True size, axis ratios and orientation of all grains in 3D. Dashed: what grains without order would have.",
        section="Grains in 3D",
    )
