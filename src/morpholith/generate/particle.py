"""One virtual particle: a shell and a grain architecture laid over each other (paper 001, Fig. 9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from .. import _checks
from ..errors import InputError
from .architecture import Architecture, GrainField
from .harmonics import degree_of, icosphere, real_harmonics
from .pieces import fragments, repaired
from .power_diagram import label_grid
from .shell_model import ShellModel, draw_shells
from .shells import recentred, shell_radius, shell_volume

if TYPE_CHECKING:
    from .model import ParticleModel
    from .tet_mesh import TetMesh

SURFACES = ("grains", "shell")
MOST_VOXELS = 2**31 - 1
LAYERS = (0.25, 0.5, 1.0)  # of the reach, around the shell
SEEDED = 2.1  # reaches around the shell that seeds are drawn in: the grid ends a voxel beyond one reach
COARSE = 4  # voxels a side of the blocks that are asked whether the shell is near
TRIES = 1000


@dataclass(frozen=True)
class Particle:
    """A virtual particle; its shell's or its grains' centre of mass lies at the origin of all lengths.

    Attributes
    ----------
    labels : (z, y, x) int32 array
        Grains from 1; 0 is outside.
    voxel_um : float
    origin_um : (3,) array
        Where the centre of voxel (0, 0, 0) lies.
    field : GrainField
        Generators of every grain in reach; the first `n_grains` are those of the labels, in their order.
    n_grains : int
    shell_um : ((L + 1)^2,) array
        Coefficients of the shell about its own centroid, in um.
    shell_centre_um : (3,) array
        Where that centroid lies.
    loose_pieces, loose_voxels : int
        Pieces of grains that did not hang together and were given to their neighbours, and their voxels.
    tried : int
        Shells drawn until one was a shell and large enough.
    surface : {"grains", "shell"}
        What it ends with.
    touches_rim : bool
        Whether a grain reaches the rim of what was labelled: it may be cut.
    """

    labels: np.ndarray
    voxel_um: float
    origin_um: np.ndarray
    field: GrainField
    n_grains: int
    shell_um: np.ndarray
    shell_centre_um: np.ndarray
    loose_pieces: int
    loose_voxels: int
    tried: int
    touches_rim: bool
    surface: str


def particle(
    model: ParticleModel,
    *,
    seed: int,
    number: int = 1,
    voxel_um: float | None = None,
    surface: Literal["grains", "shell"] = "grains",
    threads: int | None = None,
) -> Particle:
    """Draw a particle: the same from the same model, seed and number, whatever was drawn before it.

    Parameters
    ----------
    model : ParticleModel
    seed, number : int
        Of the library, and of the particle in it.
    voxel_um : float, optional
        Edge of a voxel; the model's own by default.
    surface : {"grains", "shell"}
        ``"grains"``: grains with their centre of mass inside the shell are kept whole, the others dropped whole, as in
        paper 001; the surface is then one of grain faces. ``"shell"``: all is cut at the shell.
    threads : int, optional

    Returns
    -------
    Particle

    Raises
    ------
    InputError
        A voxel size that is not positive, larger than the shell, or so small that the volume has more than 2^31 voxels;
        a shell model whose shells are all too small; a shell that holds no grain.
    """
    _checks.choice(surface, SURFACES, name="surface")
    voxel = model.voxel_um if voxel_um is None else _checks.positive(voxel_um, name="voxel_um")
    rng = np.random.default_rng([int(seed), int(number)])
    shell, tried = draw_shell(model.shells, voxel_um=model.shell_voxel_um, min_voxels=model.min_shell_voxels, rng=rng)
    return fill_shell(shell, model.architecture, voxel_um=voxel, surface=surface, rng=rng, tried=tried, threads=threads)


def draw_shell(
    model: ShellModel, *, voxel_um: float, min_voxels: float, rng: np.random.Generator
) -> tuple[np.ndarray, int]:
    """Draw one shell about its centroid, in um, and say how many draws it took.

    Parameters
    ----------
    model : ShellModel
        In voxels of `voxel_um`.
    voxel_um : float
    min_voxels : float
        Smaller shells are drawn anew: the segmentation that the model comes from leaves none below (10 in paper 001).
    rng : Generator

    Raises
    ------
    InputError
        A thousand shells were all smaller.
    """
    tried = 0
    for _ in range(TRIES):
        drawn = draw_shells(model, 1, rng=rng)
        tried += round(1 / drawn.acceptance) if drawn.accepted else drawn.tried
        if shell_volume(drawn.coefficients)[0] < min_voxels:
            continue
        centred = recentred(drawn.coefficients).coefficients
        if (shell_radius(centred) > 0).all():
            return centred[0] * voxel_um, tried
    raise InputError(
        f"none of {TRIES} shells has {min_voxels:g} voxels of {voxel_um:g} um: the shell model is of something "
        "smaller; look at its degree 0."
    )


def fill_shell(
    shell_um: np.ndarray,
    architecture: Architecture,
    *,
    voxel_um: float,
    rng: np.random.Generator,
    surface: str = "grains",
    tried: int = 1,
    threads: int | None = None,
) -> Particle:
    """Fill a shell with grains.

    Parameters
    ----------
    shell_um : ((L + 1)^2,) array
        Coefficients in um, about the origin, which is the centre of the architecture.
    architecture : Architecture
    voxel_um, surface, tried, threads
        As in `particle`.
    rng : Generator

    Returns
    -------
    Particle
        Moved so that the origin is the centre of mass of its voxels.

    Raises
    ------
    InputError
        The shell holds no grain, or the volume is too large.
    """
    reach = architecture.reach_um
    far = float(shell_radius(shell_um).max())
    # of the shell alone: the seeds must not change with the voxels
    if voxel_um > far:
        raise InputError(
            f"a particle of {2 * far:.3g} um has no shape on voxels of {voxel_um:g} um; ask for smaller voxels."
        )
    around = far + SEEDED * reach
    far += voxel_um
    field = architecture.draw((-around,) * 3, (around,) * 3, rng=rng)
    if not len(field.seeds):
        raise InputError("the architecture drew no seed around the shell: its intensity is too low for a particle.")
    if surface == "shell":
        labels, raw = _labelled(shell_um, field, voxel_um, far, 0.0, threads)
        labels = np.where(_exactly_inside(shell_um, labels > 0, voxel_um), labels, 0)
        keep = np.bincount(labels.ravel(), minlength=len(field.seeds) + 1)[1:] > 0
        touches = False
    else:
        # hardly a grain reaches as far as one might: a thin layer around the shell is tried first
        for share in LAYERS:
            labels, raw = _labelled(shell_um, field, voxel_um, far, share * reach, threads)
            keep = inside_shell(_centres(labels, len(field.seeds), voxel_um), shell_um)
            touches = bool((_at_rim(labels, len(keep)) & keep).any())
            if not touches:
                break
    if not keep.any():
        raise InputError("the shell holds no grain's centre: its size is below that of the grains.")
    loose = fragments(np.where(np.append(False, keep)[raw], raw, 0))
    return _cropped(labels, keep, field, voxel_um, shell_um, loose, tried, touches, surface)


def _labelled(shell_um, field, voxel_um, far, margin, threads):
    """Label the voxels within the shell or about `margin` around: with loose pieces repaired, and as they fell."""
    half = int(np.ceil((far + margin) / voxel_um))
    if (2 * half + 1) ** 3 > MOST_VOXELS:
        raise InputError(
            f"a particle of {2 * far:.3g} um takes {2 * half + 1}^3 voxels of {voxel_um:g} um, more than 2^31; ask for "
            "larger voxels."
        )
    near = near_shell(shell_um, voxel_um=voxel_um, half=half, margin_um=margin)
    grid = {"spacing": voxel_um, "origin": (-half * voxel_um,) * 3, "power": field.power}
    labels = label_grid(*field[:3], shape=near.shape, inside=near, threads=threads, **grid)
    return repaired(labels, *field[:3], **grid).labels, labels


def mesh_particle(particle: Particle, *, cell_um: float) -> TetMesh:
    """Mesh a particle by its analytic boundaries, with one tag a grain: see `tet_mesh`.

    Parameters
    ----------
    particle : Particle
        Kept grains whole, or cut at the shell, as it was made.
    cell_um : float
        Edge of the lattice.
    """
    from .tet_mesh import tet_mesh

    keep = np.arange(len(particle.field.seeds)) < particle.n_grains
    if particle.surface == "grains":
        return tet_mesh(particle.field, cell_um=cell_um, keep=keep)
    # the shell is about its own centre: mesh there and move back
    centre = particle.shell_centre_um
    moved = particle.field._replace(seeds=particle.field.seeds - centre)
    mesh = tet_mesh(moved, cell_um=cell_um, keep=keep, shell=particle.shell_um)
    return mesh._replace(points=mesh.points + centre[::-1])


def inside_shell(points_um: np.ndarray, shell_um: np.ndarray) -> np.ndarray:
    """Return which of (n, 3) points lie within a shell about the origin; NaN lies nowhere."""
    points = np.asarray(points_um, float)
    distance = np.linalg.norm(points, axis=1)
    good = np.isfinite(distance) & (distance > 0)
    inside = distance == 0
    directions = points[good] / distance[good, None]
    inside[good] = distance[good] <= real_harmonics(directions, degree=degree_of(shell_um)) @ shell_um
    return inside


def near_shell(shell_um: np.ndarray, *, voxel_um: float, half: int, margin_um: float) -> np.ndarray:
    """Mark the voxels within a shell or about `margin_um` outside it.

    Parameters
    ----------
    shell_um : ((L + 1)^2,) array
    voxel_um : float
    half : int
        The grid has 2 half + 1 voxels a side, the middle one on the origin.
    margin_um : float

    Returns
    -------
    (n, n, n) bool array
        In blocks of 4 voxels: none that lies nearer than the margin is missing.
    """
    n = 2 * half + 1
    blocks = -(-n // COARSE)
    centre = ((np.arange(blocks) + 0.5) * COARSE - 0.5 - half) * voxel_um
    points = np.stack(np.meshgrid(centre, centre, centre, indexing="ij"), -1).reshape(-1, 3)
    distance = np.linalg.norm(points, axis=1)
    # a block's corner, and the slope of the surface over a block
    slack = COARSE * voxel_um * np.sqrt(3) / 2
    u = icosphere()
    radius = shell_radius(shell_um)
    marked = distance <= radius.min() + margin_um
    open_ = np.flatnonzero(~marked & (distance <= radius.max() + margin_um + slack))
    from scipy.spatial import cKDTree

    # the highest radius of the directions around: 642 of them lie about 8 degrees apart
    _, around = cKDTree(u).query(points[open_] / distance[open_, None], k=7)
    marked[open_] = distance[open_] <= radius[around].max(1) + margin_um + 2 * slack
    cube = marked.reshape((blocks,) * 3)
    for axis in range(3):
        cube = np.repeat(cube, COARSE, axis)
    return np.ascontiguousarray(cube[:n, :n, :n])


def _exactly_inside(shell_um, near, voxel_um) -> np.ndarray:
    inside = near.copy()
    half = near.shape[0] // 2
    index = np.flatnonzero(near.ravel())
    for part in np.array_split(index, max(1, len(index) // 200_000)):
        points = (np.stack(np.unravel_index(part, near.shape), 1) - half) * voxel_um
        inside.ravel()[part] = inside_shell(points, shell_um)
    return inside


def _centres(labels, n, voxel_um) -> np.ndarray:
    """Centre of mass of labels 1..n, the origin in the middle of the grid; NaN of those without a voxel."""
    index = np.flatnonzero(labels.ravel())
    label = labels.ravel()[index]
    count = np.bincount(label, minlength=n + 1)[1:].astype(float)
    with np.errstate(invalid="ignore"):
        parts = [
            np.bincount(label, axis, minlength=n + 1)[1:] / count for axis in np.unravel_index(index, labels.shape)
        ]
    return (np.stack(parts, 1) - labels.shape[0] // 2) * voxel_um


def _at_rim(labels, n) -> np.ndarray:
    """Which grains 1..n touch a voxel that was not labelled, or the border of the grid."""
    from scipy.ndimage import binary_erosion

    near = labels > 0
    rim = near & ~binary_erosion(near, border_value=0)
    return np.bincount(labels[rim], minlength=n + 1)[1:] > 0


def _cropped(labels, keep, field, voxel_um, shell_um, loose, tried, touches_rim, surface) -> Particle:
    """Number the kept grains from 1, cut the volume to them and move the origin to their centre of mass."""
    origin = np.full(3, -(labels.shape[0] // 2) * voxel_um)
    order = np.concatenate([np.flatnonzero(keep), np.flatnonzero(~keep)])
    number = np.zeros(len(keep) + 1, np.int32)
    number[1:][keep] = np.arange(1, keep.sum() + 1)
    kept = number[labels]
    there = np.nonzero(kept)
    low = [int(axis.min()) for axis in there]
    high = [int(axis.max()) + 1 for axis in there]
    centre = np.array([axis.mean() for axis in there]) * voxel_um + origin
    cut = kept[tuple(slice(max(a - 1, 0), b + 1) for a, b in zip(low, high, strict=True))]
    start = origin + np.maximum(np.array(low) - 1, 0) * voxel_um
    moved = GrainField(field.seeds[order] - centre, field.matrices[order], field.radii[order], field.power)
    return Particle(
        labels=np.ascontiguousarray(cut),
        voxel_um=voxel_um,
        origin_um=start - centre,
        field=moved,
        n_grains=int(keep.sum()),
        shell_um=shell_um,
        shell_centre_um=-centre,
        loose_pieces=int((loose.pieces - 1).sum()),
        loose_voxels=int(loose.loose_voxels.sum()),
        tried=tried,
        touches_rim=touches_rim,
        surface=surface,
    )
