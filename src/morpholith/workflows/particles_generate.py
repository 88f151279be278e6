"""Virtual particles drawn from a model: a library on disk, and meshes that simulators read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..errors import InputError
from ..progress import stage
from ..results import Result

if TYPE_CHECKING:
    from ..checkpoint import Store
    from ..generate import Particle, ParticleModel

MESHES = ("vtu", "msh", "inp")
SURFACES = ("stl", "vtp")
VOLUMES = ("tiff",)
QUALITY = ("tets", "points", "volume_um3", "min_dihedral_deg", "mean_min_dihedral_deg", "mean_radius_ratio")
LIBRARY, EXPORTS = "library.zarr", "exports"


@dataclass(frozen=True)
class Plan:
    """What all particles of one library have in common."""

    model: ParticleModel
    seed: int
    voxel_um: float
    surface: Literal["grains", "shell"]
    exports: tuple[str, ...]
    cell_um: float
    c_axes: str
    c_spread_deg: float
    pores: float
    cracks: float


def generate(
    model: str,
    /,
    *,
    count: int = 10,
    first: int = 1,
    voxel_size: float | tuple[float, float, float] | None = None,
    surface: Literal["grains", "shell"] = "grains",
    export: str | None = None,
    cell_size: float | None = None,
    c_axes: Literal["none", "radial", "tangential", "random"] = "none",
    c_spread: float = 20.0,
    pores: float = 0.0,
    cracks: float = 0.0,
    seed: int = 0,
    work: str | None = None,
    workers: int = 1,
    scheduler: str | None = None,
) -> Result:
    """Draw virtual particles with their grains from a model: volumes, tables and conforming meshes.

    Writes ``library.zarr`` (a label volume a particle as OME-Zarr, with the generators it comes from),
    ``particles.csv`` (one row a particle), ``grains.csv`` (one row a grain) and ``exports/``. Particle 7 of seed 3 is
    the same whether it is drawn alone or among a thousand.

    Parameters
    ----------
    model
        Folder or file that `morpholith particles learn` wrote, or the name of a shipped model: nmc811-like.
    count
        Number of particles.
    first
        Number of the first one.
    voxel_size
        Edge of a voxel in um, one number; that of the model unless given.
    surface
        Grains whose centre lies in the shell are kept whole (grains), or all are cut at the shell (shell).
    export
        Files for each particle: vtu, msh and inp (conforming tetrahedra with a tag a grain), stl and vtp (surface),
        tiff (labels); several with commas between.
    cell_size
        Edge of the mesh's lattice in um; two voxels unless given.
    c_axes
        Directions of the crystals' c axes: none, along the radius, across it, or random.
    c_spread
        Standard deviation of the c axes around their mean direction, degrees.
    pores
        Volume share of pores at junctions of grains, in volumes.
    cracks
        Volume share of cracks along boundaries of grains, in volumes.
    seed
        Same model, seed and number: same particle.
    work
        Folder that keeps finished particles; the same command goes on from there after it was stopped.
    workers
        Processes that share the particles.
    scheduler
        Address of a running Dask scheduler to hand particles to.
    """
    from .. import __version__, blocks, checkpoint
    from ..generate import load_model, model_files
    from ..recipe import sha256

    known = load_model(model)
    plan = _plan(known, seed, voxel_size, surface, export, cell_size, c_axes, c_spread, pores, cracks)
    if count < 1 or first < 1:
        raise InputError(f"--count and --first must be at least 1, got {count} and {first}.")
    files = model_files(model)
    key = {
        "model": [sha256(path) for path in files],
        "version": __version__,
        **{name: value for name, value in vars(plan).items() if name != "model"},
    }
    kept = checkpoint.store(work, key=key)
    numbers = range(first, first + count)
    stage("drawing particles")
    with blocks.cluster(workers, scheduler) as client:
        blocks.run(partial(_once, plan=plan, kept=kept), numbers, client=client, label="drawing particles")
    stage("gathering numbers")
    from ._generate_story import told

    return told(plan, numbers, kept, inputs=files)


def _plan(model, seed, voxel, surface, export, cell, c_axes, c_spread, pores, cracks) -> Plan:
    """Check the options before any particle is drawn."""
    from .._checks import positive

    if seed < 0:
        raise InputError(f"--seed must not be negative, got {seed}.")
    targets = tuple(dict.fromkeys(t.strip().lower().lstrip(".") for t in (export or "").split(",") if t.strip()))
    every = (*MESHES, *SURFACES, *VOLUMES)
    for target in targets:
        if target not in every:
            raise InputError(f"`--export` takes {', '.join(every)}, with commas between; got {target!r}.")
    for name, value in (("--pores", pores), ("--cracks", cracks)):
        if not 0 <= value < 1:
            raise InputError(f"{name} is a share from 0 to below 1, got {value!r}.")
    if not 0 <= c_spread <= 90:
        raise InputError(f"--c-spread must lie between 0 and 90 degrees, got {c_spread!r}.")
    if isinstance(voxel, tuple):
        if len(set(voxel)) > 1:
            raise InputError(f"--voxel-size: particles are drawn on cubes; give one number, not {voxel}.")
        voxel = voxel[0]
    edge = model.voxel_um if voxel is None else positive(voxel, name="--voxel-size")
    return Plan(
        model=model,
        seed=seed,
        voxel_um=edge,
        surface=surface,
        exports=targets,
        cell_um=2 * edge if cell is None else positive(cell, name="--cell-size"),
        c_axes=c_axes,
        c_spread_deg=c_spread,
        pores=pores,
        cracks=cracks,
    )


# --- one particle ------------------------------------------------------------------------------------------------


def _once(number: int, *, plan: Plan, kept: Store) -> None:
    """Draw, measure and write one particle, unless that was done before."""
    from .. import export

    name = export.particle_name(number)
    if kept.has(name) and (kept.folder / LIBRARY / name).is_dir():
        return
    kept.put(name, _drawn(number, name, plan, kept.folder))


def _drawn(number: int, name: str, plan: Plan, folder: Path) -> dict[str, Any]:
    """Return the tables of one particle as arrays; volume and meshes are written on the way."""
    import numpy as np

    from .. import export, generate, measure

    particle = generate.particle(
        plan.model, seed=plan.seed, number=number, voxel_um=plan.voxel_um, surface=plan.surface
    )
    # another stream than the particle's own, so that options do not change its grains
    rng = np.random.default_rng([plan.seed, number, 1])
    centre = tuple(-particle.origin_um)
    grains = measure.grain_shapes_3d(particle.labels, spacing=plan.voxel_um, centre_um=centre)
    axes = None
    if plan.c_axes != "none":
        axes = generate.crystal_axes(
            grains[["z_um", "y_um", "x_um"]].to_numpy() - np.array(centre), kind=plan.c_axes,
            spread_deg=plan.c_spread_deg, rng=rng,
        )  # fmt: skip
    particle, flaws, said = _with_flaws(particle, plan, rng)
    extra = {} if axes is None else {"c_axes": axes.c_axes, "quaternions": axes.quaternions}
    export.write_particle(folder / LIBRARY, number, particle, extra=extra)
    quality = _export(particle, name, plan, folder / EXPORTS, axes)
    row = _row(particle, plan, flaws, measure.shell_shapes(particle.shell_um[None], voxel_um=1.0).iloc[0]) | quality
    table = grains.reset_index().assign(**_places(grains, centre))
    if axes is not None:
        table = table.assign(**_orientations(axes))
    return {
        **{f"particle.{key}": np.asarray(value) for key, value in row.items()},
        **{f"grain.{key}": table[key].to_numpy() for key in table.columns},
        "said": np.array(said, dtype=str),
    }


def _places(grains, centre) -> dict[str, Any]:
    """Centroids seen from the centre of mass of the particle."""
    return {f"{a}_um": grains[f"{a}_um"].to_numpy() - c for a, c in zip("zyx", centre, strict=True)}


def _orientations(axes) -> dict[str, Any]:
    """Columns of the crystals: Bunge angles in degrees, c axes in array order."""
    import numpy as np

    angles = np.rad2deg(axes.euler_rad)
    named = {name: angles[:, k] for k, name in enumerate(("phi1_deg", "capital_phi_deg", "phi2_deg"))}
    return named | {f"c_{a}": axes.c_axes[:, k] for k, a in enumerate("zyx")}


def _with_flaws(particle: Particle, plan: Plan, rng) -> tuple[Particle, dict[str, float], list[str]]:
    """Pores and cracks in the volume, how large they turned out, and what deserves a word."""
    from dataclasses import replace

    from .. import generate

    labels, found = particle.labels, {"pores": 0.0, "cracks": 0.0}
    said: list[str] = []
    whole = int((labels > 0).sum())
    how = {"spacing": plan.voxel_um, "rng": rng}
    if plan.cracks:
        centre = tuple(-particle.origin_um)
        made = generate.intergranular_cracks(labels, fraction=plan.cracks, centre_um=centre, **how)
        labels, said = made.labels, [*said, *made.warnings]
        found["cracks"] = 1 - int((labels > 0).sum()) / whole
    if plan.pores:
        made = generate.junction_pores(labels, fraction=plan.pores, **how)
        labels, said = made.labels, [*said, *made.warnings]
        found["pores"] = 1 - int((labels > 0).sum()) / whole - found["cracks"]
    return replace(particle, labels=labels), found, said


def _export(particle: Particle, name: str, plan: Plan, folder: Path, axes) -> dict[str, float]:
    """Write the files asked for, each whole or not at all, and say how good the mesh is."""
    quality: dict[str, float] = {}
    if not plan.exports:
        return quality
    from .. import export, generate, read
    from ..image import Image

    try:
        folder.mkdir(parents=True, exist_ok=True)
        if "tiff" in plan.exports:
            read.write_tiff(folder / f"{name}.tif", Image(particle.labels, "zyx", (particle.voxel_um,) * 3))
        wanted = [t for t in plan.exports if t in (*MESHES, *SURFACES)]
        if wanted:
            mesh = generate.mesh_particle(particle, cell_um=plan.cell_um)
            quality = {f"mesh_{key}": mesh.quality[key] for key in QUALITY}
            for target in wanted:
                path = folder / f"{name}.{target}"
                if target in MESHES:
                    export.write_mesh(path, mesh, orientations=None if axes is None else axes.quaternions)
                else:
                    export.write_surface(path, mesh)
    except OSError as error:
        raise InputError(
            f"{folder} cannot be written ({error.strerror or error}); make room or choose another folder: with --work "
            "the same command goes on from the last whole particle."
        ) from error
    return quality


def _row(particle: Particle, plan: Plan, flaws: dict[str, float], shell) -> dict[str, float]:
    import numpy as np

    voxels = int((particle.labels > 0).sum())
    volume = voxels * plan.voxel_um**3
    return {
        "n_grains": particle.n_grains,
        "volume_um3": volume,
        "diameter_um": float(np.cbrt(6 * volume / np.pi)),
        "d_max_um": float(shell["d_max_um"]),
        "compactness": float(shell["compactness"]),
        "aspect": float(shell["aspect_ratio"]),
        "sphericity": float(shell["sphericity"]),
        "shell_volume_um3": float(shell["volume_um3"]),
        "fragments": particle.loose_pieces,
        "fragment_share": particle.loose_voxels / max(voxels, 1),
        "pores": flaws["pores"],
        "cracks": flaws["cracks"],
        "shells_tried": particle.tried,
        "grain_cut": float(particle.touches_rim),
    }
