"""Conforming tetrahedral meshes of the grains of a particle, from the equations of the diagram and not from voxels."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .. import _checks
from ..columns import LABEL
from ..errors import InputError, InputWarning
from ._tet_codes import codes_on_lattice, reaches_box
from ._tet_table import cases, lattice
from .architecture import GrainField
from .harmonics import degree_of
from .power_diagram import POWERS, checked_grains
from .shells import shell_radius

if TYPE_CHECKING:
    import pandas as pd

REACH = 0.3  # of a cell: how far a corner of the lattice may be moved onto a boundary
LEAST = 0.35  # shape (volume over rms edge cubed, 1 when regular) that a moved tetrahedron of the lattice must keep
NEAR, NEAR_FACE = 0.15, 0.05  # share of an edge, or of a face or tetrahedron, that a point on it keeps from the ends
ROUNDS = 2  # of putting points onto their boundary and moving them along it
FLOOR = 0.12  # shape that putting a point onto its boundary may cost
GOOD = 0.4  # shape from which on a tetrahedron is left alone
GIVE = 0.2  # of a cell: how far a point may leave its boundary for the sake of a shape below `BAD`
BAD, WORSE = 0.25, 0.2  # the same but for the outer surface, and for that too
OFF = 0.01  # of a cell: distance from which on a point counts as off its boundary
SLIVER_DEG = 10.0
TRIES = 6  # boxes for grains whose extent is not known


class TetMesh(NamedTuple):
    """A conforming mesh of grains, one tag a grain.

    Attributes
    ----------
    points : (n, 3) float array
        In um as (x, y, z), the order that mesh files and simulators use; everything else in `generate` is (z, y, x).
    tets : (m, 4) int64 array
        Points of each tetrahedron, from 0; right-handed: (p1 - p0) x (p2 - p0) . (p3 - p0) > 0.
    grain : (m,) int32 array
        Number of the grain, from 1, as in the labels of the diagram.
    faces : (k, 3) int64 array
        Triangles between two grains and at the outer surface; their normal leaves the first grain.
    face_grains : (k, 2) int32 array
        The two grains, lower number first; (grain, 0) at the outer surface.
    quality : dict
        Numbers about the mesh, see `tet_mesh`.
    grains : DataFrame
        One row a grain that has tetrahedra, index `label`: `volume_um3`, `tets`, `min_dihedral_deg`.
    """

    points: np.ndarray
    tets: np.ndarray
    grain: np.ndarray
    faces: np.ndarray
    face_grains: np.ndarray
    quality: dict[str, float]
    grains: pd.DataFrame


def tet_mesh(
    field: GrainField | tuple[np.ndarray, np.ndarray, np.ndarray],
    *,
    cell_um: float,
    keep: np.ndarray | None = None,
    shell: np.ndarray | None = None,
    low_um: Sequence[float] | None = None,
    high_um: Sequence[float] | None = None,
    power: int | None = None,
    sweeps: int = 2,
) -> TetMesh:
    """Mesh the grains of a particle with tetrahedra that share their faces.

    On a body-centred cubic lattice the grain of each corner is exact (`label_grid`). Corners near a boundary are moved
    onto it, onto lines and points too where three or four regions meet (as isosurface stuffing does for one surface,
    Labelle and Shewchuk 2007, and lattice cleaving for many, Bronson, Levine and Whitaker 2014). Where an edge still
    joins two regions it is cut at the root of the difference of their values; triangles with three regions and
    tetrahedra with four get the point where these meet, by Newton steps. A fixed table for the 64 patterns of cut edges
    divides the tetrahedra; neighbours agree by construction. Points on boundaries, lines and corners of grains are then
    put exactly there unless that spoils a tetrahedron, and points are moved within their grain, boundary or line where
    that makes the worst tetrahedron round them better.

    Parameters
    ----------
    field : GrainField or (seeds, matrices, radii)
        In um, (z, y, x), around the particle's centre.
    cell_um : float
        Edge of the cubic cells of the lattice; the tetrahedra have edges of 0.87 to 1 of it, 12 a cell.
    keep : (n,) bool array, optional
        The grains of the particle; all others are outside. All by default, which needs a shell or a box.
    shell : ((L + 1)^2,) array, optional
        Coefficients in um about the origin; what lies beyond is outside.
    low_um, high_um : (z, y, x), optional
        A box that cuts everything. By default as large as shell or kept grains ask for.
    power : {1, 2}, optional
        As in `label_grid`; a `GrainField` brings its own, else 1.
    sweeps : int
        Rounds of moving points for better shapes, 0 for none (and nothing put back exactly).

    Returns
    -------
    TetMesh
        `quality` holds `tets`, `points`, `grains`, `volume_um3`;

        - `min_dihedral_deg`, `percentile_1_dihedral_deg`, `mean_min_dihedral_deg` of the least dihedral angle in each
          tetrahedron, `max_dihedral_deg`; `min_radius_ratio`, `mean_radius_ratio` (1 for regular); `slivers` (least
          angle below 10 degrees);
        - `off_boundary`, the share of the points on boundaries that lie more than 0.01 cells from one of their regions,
          and `rms_off_um` of all of them;
        - `unmoved`, corners put back because they spoilt a tetrahedron; `kept_without_tets`, grains outside the shell
          or box, or below the lattice's resolution; `pinched_edges`, where four or more faces of the outer surface
          meet, so that the particle hangs together by an edge alone; `cut_by_box`, 1 where a kept grain reaches it.

        No kept grain in the box gives an empty mesh and a warning.

    Raises
    ------
    InputError
        As `label_grid`; `keep` or `shell` that do not fit, kept grains that end nowhere, or too many cells.
    """
    regions, kept, low, high, open_box = _checked(field, keep, shell, low_um, high_um, power, cell_um)
    for turn in range(TRIES if open_box else 1):
        codes, origin = codes_on_lattice(regions._replace(box=np.array([low, high])), field[1], low, high, cell_um)
        cut_by_box = reaches_box(codes, kept, len(regions.seeds))
        if not open_box or not cut_by_box:
            break
        if turn == TRIES - 1:
            raise InputError(
                "kept grains reach far beyond their seeds and do not end there: seeds must surround the grains that "
                "are kept, or a `shell` or the box `low_um` to `high_um` must cut them."
            )
        middle, half = (low + high) / 2, (high - low) / 2 * 1.35
        low, high = middle - half, middle + half
    if cut_by_box and low_um is None:
        cut_by_box = False  # rounding at a shell
    regions = regions._replace(box=np.array([low, high]))
    points, parts, code, known = _parts(regions, kept, codes, origin, float(cell_um), int(sweeps))
    return _finished(points, parts, code, kept, known | {"cut_by_box": int(cut_by_box)})


def _parts(regions, kept, codes, origin, cell, sweeps):
    """Return places (z, y, x), all parts near kept grains, their regions, and how far they lie off the boundaries."""
    from . import _tet_cut, _tet_relax, _tet_snap

    table, case = lattice(), cases()
    shape = codes.shape[1:]
    axes = [o + cell * np.arange(n) for o, n in zip(origin, shape, strict=True)]
    corners = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    still = np.concatenate([corners, corners + cell / 2])
    points, sets, count = still.copy(), np.zeros((len(still), 4), np.int32), np.zeros(len(still), np.int32)
    _tet_snap.snap(regions, codes, kept, shape, table.around, points, sets, count, cell, REACH)
    tets = _tet_snap.lattice_tets(sets, count, kept, shape, table.kind, table.place)
    back = _tet_snap.unsnap(tets, points, still, sets, count, codes.ravel(), LEAST)
    parts, owner, edges, faces, inner = _tet_cut.divide(
        tets, sets, count, shape, table.edge, table.face, case.counts, case.slots, case.owner, case.inner
    )
    n, new = len(points), len(edges) + len(faces) + len(inner)
    points = np.concatenate([points, np.zeros((new, 3))])
    _tet_cut.place(regions, kept, sets, count, edges, faces, inner, points, n, NEAR, NEAR_FACE)
    code = _tet_cut.regions_of(regions, tets, parts, owner, sets, count, points)
    points, parts = _without_unused(points, parts)
    wanted = kept[code]
    used = np.zeros(len(points), bool)
    used[parts[wanted].ravel()] = True
    start, of = _tet_relax.stars(parts, len(points))
    at, many = _tet_relax.regions_at(code, start, of, len(points), 4)
    if sweeps > 0:
        awake = np.ones(len(points), bool)
        star = (kept, points, parts, wanted, start, of, at, many, cell, awake)
        for _ in range(ROUNDS):
            _tet_relax.settle(regions, *star, FLOOR)
            _tet_relax.relax(regions, *star, GOOD, sweeps, 0.0, True)
        awake[:] = True
        _tet_relax.relax(regions, *star, BAD, sweeps, GIVE, True)
        awake[:] = True
        _tet_relax.relax(regions, *star, WORSE, sweeps, GIVE, False)
    off = _tet_relax.offsets(regions, points, at, many, cell)[(many > 1) & used]
    known = {
        "off_boundary": float((off > OFF).mean()) if len(off) else float("nan"),
        "rms_off_um": float(np.sqrt(np.mean(off**2)) * cell) if len(off) else float("nan"),
        "unmoved": back,
    }
    return points, parts, code, known


def _finished(points, parts, code, kept, known) -> TetMesh:
    """Keep the parts of kept grains, find their faces, and say how good they are."""
    import pandas as pd

    from ._tet_faces import angles_and_ratios, boundary_faces, pinched_edges

    inside = kept[code]
    points, tets = _without_unused(np.ascontiguousarray(points[:, ::-1]), parts[inside])
    grain = np.ascontiguousarray(code[inside], np.int32)
    if len(tets) == 0:
        warnings.warn("no kept grain lies inside: the mesh is empty.", InputWarning, stacklevel=3)
    faces, sides, crowded = boundary_faces(tets, grain, len(points))
    assert crowded == 0, "a face belongs to three tetrahedra"
    known["pinched_edges"] = pinched_edges(faces[sides[:, 1] == 0])
    measures = angles_and_ratios(points, tets)
    table = pd.DataFrame({LABEL: grain, "volume_um3": measures[:, 3], "min_dihedral_deg": measures[:, 0]})
    grouped = table.groupby(LABEL)
    grains = pd.DataFrame({"volume_um3": grouped.volume_um3.sum(), "tets": grouped.size(),
                           "min_dihedral_deg": grouped.min_dihedral_deg.min()})  # fmt: skip
    return TetMesh(points, tets, grain, faces, sides, _quality(measures, points, grains, kept, known), grains)


def _quality(measures, points, grains, kept, known) -> dict[str, float]:
    least, most, ratio, volume = measures.T if len(measures) else np.full((4, 1), np.nan)
    return {
        "tets": len(measures),
        "points": len(points),
        "grains": len(grains),
        "volume_um3": float(np.nansum(volume)),
        "min_dihedral_deg": float(least.min()),
        "percentile_1_dihedral_deg": float(np.percentile(least, 1)),
        "mean_min_dihedral_deg": float(least.mean()),
        "max_dihedral_deg": float(most.max()),
        "min_radius_ratio": float(ratio.min()),
        "mean_radius_ratio": float(ratio.mean()),
        "slivers": int((least < SLIVER_DEG).sum()),
        "kept_without_tets": int(kept.sum() - len(grains)),
        **known,
    }


def _without_unused(points, cells):
    """Drop points that no cell has."""
    used = np.zeros(len(points), bool)
    used[cells.ravel()] = True
    return points[used], (np.cumsum(used) - 1)[cells]


def _checked(field, keep, shell, low_um, high_um, power, cell_um):
    """Return the regions, which of them are kept, the box, and whether the box may grow."""
    from ._tet_field import Regions, recurrence

    own = field.power if isinstance(field, GrainField) else 1
    power = int(_checks.choice(own if power is None else power, POWERS, name="power"))
    if len(field) not in (3, 4):
        raise InputError("`field` must be a GrainField or (seeds, matrices, radii).")
    seeds, factor, radii = checked_grains(*field[:3])
    n = len(seeds)
    wanted = np.ones(n, bool) if keep is None else np.asarray(keep)
    if wanted.dtype != bool or wanted.shape != (n,):
        raise InputError(f"`keep` must be a bool for each of the {n} grains, got {wanted.dtype} {wanted.shape}.")
    _checks.positive(cell_um, name="cell_um")
    coefficients = np.zeros(0) if shell is None else np.ascontiguousarray(shell, float)
    degree = 0
    if shell is not None:
        degree = degree_of(coefficients)
        if coefficients.ndim != 1 or not np.isfinite(coefficients).all() or not (shell_radius(coefficients) > 0).all():
            raise InputError("`shell` must be the finite coefficients, in um, of one shell with radii above 0.")
    recur, first = recurrence(degree)
    if (low_um is None) != (high_um is None):
        raise InputError("give both `low_um` and `high_um`, or neither.")
    low, high, open_box = _box(seeds, wanted, coefficients, low_um, high_um, cell_um, keep is not None)
    box = np.array([low, high])
    kept = np.concatenate([[False], wanted, np.zeros(7, bool)])
    return Regions(seeds, factor, radii, power, coefficients, recur, first, box), kept, low, high, open_box


def _box(seeds, wanted, coefficients, low_um, high_um, cell_um, chosen):
    """Return the box and whether it is a guess that may grow."""
    if low_um is not None:
        low, high = np.array(low_um, float), np.array(high_um, float)
        if low.shape != (3,) or high.shape != (3,) or not (np.isfinite([low, high]).all() and (high > low).all()):
            raise InputError(f"the box must go from (z, y, x) up to larger (z, y, x), got {low_um!r} to {high_um!r}.")
        return low, high, False
    if len(coefficients):
        # between the directions a radius can exceed those at them by little; a cell more covers it
        largest = 1.02 * shell_radius(coefficients).max() + cell_um
        return np.full(3, -largest), np.full(3, largest), False
    if not chosen or wanted.all():
        raise InputError("all grains are kept and nothing bounds them: give `keep`, a `shell`, or `low_um`, `high_um`.")
    near = seeds[wanted] if wanted.any() else seeds
    size = np.prod(np.maximum(np.ptp(seeds, axis=0), cell_um)) / len(seeds)
    pad = size ** (1 / 3) + cell_um
    return near.min(0) - pad, near.max(0) + pad, True
