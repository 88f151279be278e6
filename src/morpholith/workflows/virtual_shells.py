"""A virtual nano-CT volume of particles whose outer shapes are known."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from .._checks import positive
from .._checks import spacing as check_spacing
from ..errors import InputError
from ..image import Image, Quantity
from ..results import ReportFigure, Result

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from ..specimens.nano_ct import VirtualShells

MOST_VOXELS = 400_000_000


def shells(
    *,
    particles: int = 120,
    radius: float = 1.5,
    geometric_sd: float = 1.3,
    roughness: float = 1.0,
    tails: float = 4.0,
    coupling: float = 0.0,
    size: float | tuple[float, float, float] = (20.0, 24.0, 28.0),
    voxel_size: float | tuple[float, float, float] | None = None,
    touching: float = 0.2,
    whole: bool = False,
    difficulty: Literal["easy", "typical", "hard"] = "typical",
    seed: int = 0,
) -> Result:
    """Make a virtual nano-CT volume of loose particles, with their exact shapes beside it.

    Every particle is star-shaped: its radius is a sum of spherical harmonics up to degree 9. Writes ``shells.tif`` (the
    volume, voxel size inside), ``shells_labels.tif`` (the true particle of every voxel), ``coefficients.csv`` (of the
    harmonics, um, about the centroid), ``truth.csv`` (place, size and shape of every particle) and ``truth.json`` (what
    they were drawn from).

    Parameters
    ----------
    particles
        Number of particles, those included that a face of the volume cuts.
    radius
        Median of the particles' mean radius, um.
    geometric_sd
        Geometric standard deviation of the radius; 1 for particles of one size.
    roughness
        How far shapes are from spheres; 1 is about what is printed for NMC811, 0 gives spheres.
    tails
        Degrees of freedom of Student's t that the coefficients are drawn from: few make odd shapes; 0 for normal ones.
    coupling
        0 for coefficients that do not know the size, 1 for such that grow with it.
    size
        Edges of the volume in um, one number or z,y,x.
    voxel_size
        Edge of a voxel in um, one number; 0.128 unless given.
    touching
        Share of the particles that are put against another one.
    whole
        No particle is cut by the faces of the volume.
    difficulty
        How blurred and noisy the volume is.
    seed
        Same seed, same specimen.
    """
    import numpy as np

    from ..specimens import NanoCt, Shells, virtual_shells

    positive(radius, name="--radius")
    if isinstance(voxel_size, tuple):
        if len(set(voxel_size)) > 1:
            raise InputError(f"--voxel-size: virtual shells are drawn on cubes; give one number, not {voxel_size}.")
        voxel_size = voxel_size[0]
    voxel = 0.128 if voxel_size is None else positive(voxel_size, name="--voxel-size")
    edges = check_spacing(size, 3, name="--size")
    if particles < 0 or seed < 0:
        raise InputError(f"--particles and --seed must not be negative, got {particles} and {seed}.")
    if np.prod(np.array(edges) / voxel) > MOST_VOXELS:
        raise InputError(f"--size {edges} um at --voxel-size {voxel:g} um makes more than {MOST_VOXELS:.0e} voxels.")
    params = Shells(n_particles=particles, radius_um=radius, geometric_sd=geometric_sd, roughness=roughness,
                    tails=tails, coupling=coupling)  # fmt: skip
    instrument = NanoCt.of(difficulty, size_um=edges, voxel_um=voxel, touching=touching, cut=not whole)
    return shells_result(virtual_shells(params, instrument, rng=seed), seed=seed)


def shells_result(made: VirtualShells, *, seed: int) -> Result:
    """Gather volume, pictures and truth in a result."""
    voxel = (made.instrument.voxel_um,) * 3
    told = {"seed": seed, "specimen": asdict(made.params), "instrument": asdict(made.instrument)}
    coefficients = coefficient_table(made.coefficients)
    files: dict[str, Callable[[Path], object]] = {
        "shells.tif": partial(_save, array=made.grey, spacing=voxel),
        "shells_labels.tif": partial(_save, array=made.labels, spacing=voxel),
        "coefficients.csv": lambda path: coefficients.to_csv(path),
        "truth.csv": lambda path: made.truth.to_csv(path),
        "truth.json": lambda path: path.write_text(json.dumps(told, indent=2) + "\n"),
    }
    return Result(
        summary=shell_quantities(made), files=files, figures=_figures(made), title="Virtual shells",
        warnings=["Virtual specimen: the volume is computed, it was not taken with a tomograph."],
    )  # fmt: skip


def coefficient_table(coefficients: np.ndarray) -> pd.DataFrame:
    """Return one row a particle, one column a coefficient, named by degree and order: `a_2_-1`."""
    import numpy as np
    import pandas as pd

    degree = int(np.sqrt(coefficients.shape[1])) - 1
    names = [f"a_{of}_{m}" for of in range(degree + 1) for m in range(-of, of + 1)]
    return pd.DataFrame(coefficients, index=pd.RangeIndex(1, len(coefficients) + 1, name="label"), columns=names)


def shell_quantities(made: VirtualShells) -> dict[str, Quantity]:
    """Return the true numbers of the particles as quantities."""
    table = made.truth
    n = len(table)
    none = "" if n else "there is no particle."
    found = {
        "n_particles": Quantity(n, method="exact"),
        "n_whole": Quantity(int((~table["touches_edge"]).sum()), method="not cut by a face of the volume, counted"),
        "n_touching": Quantity(int((table["n_contacts"] > 0).sum()), method="voxels beside another one's, counted"),
        "solid_fraction": Quantity(float((made.labels > 0).mean()), method="voxels, counted"),
    }
    for key, column in {"radius_mean_um": "radius_um", "volume_mean_um3": "volume_um3", "d_max_mean_um": "d_max_um",
                        "sphericity_mean": "sphericity"}.items():  # fmt: skip
        unit = next((u for u in ("um3", "um") if key.endswith(f"_{u}")), "")
        found[key] = Quantity(float(table[column].mean()), n=n or None, unit=unit, warning=none,
                              method="mean of all particles, from their coefficients")  # fmt: skip
    return found


def _save(path: Path, *, array, spacing) -> None:
    from ..read import write_tiff

    write_tiff(path, Image(array, "zyx", spacing))


def _figures(made: VirtualShells) -> dict[str, ReportFigure]:
    from ..report.virtual_shells import particles_figure, shapes_figure, slices_figure

    figures = {
        "slices": ReportFigure(
            partial(slices_figure, made), "Middle slices of the volume with the true outlines of the particles."
        )
    }
    if len(made.truth):
        figures["particles"] = ReportFigure(
            partial(particles_figure, made), "All particles in the volume, by their true sphericity."
        )
        figures["shapes"] = ReportFigure(
            partial(shapes_figure, made),
            "Left: size of the coefficients of each degree (degree 1 only keeps the centroid at the origin). "
            "Middle and right: sizes and sphericity of the particles.",
        )
    return figures
