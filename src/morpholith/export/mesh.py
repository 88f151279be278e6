"""Meshes of grains into the files that simulators read: VTU, gmsh .msh 4.1, Abaqus .inp, and surfaces as STL or VTP."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import InputError
from ..generate import TetMesh
from .mesh_inp import inp_chunks
from .mesh_msh import msh_chunks
from .mesh_vtu import vtp_chunks, vtu_chunks
from .surface import stl_chunks

WRITERS = {".vtu": vtu_chunks, ".msh": msh_chunks, ".inp": inp_chunks}
SURFACES = {".stl": stl_chunks, ".vtp": vtp_chunks}


def write_mesh(path: str | Path, mesh: TetMesh, *, orientations: np.ndarray | None = None) -> Path:
    """Write tetrahedra and the faces between grains; the suffix says which format.

    ``.vtu`` (ParaView, PyVista, meshio): tetrahedra, then triangles of the faces, in one grid. Cell data `grain`,
    `neighbour` (-1 for tetrahedra; the other grain of a face, 0 at the outer surface) and, with orientations,
    `quaternion`, `euler_deg` (Bunge) and `c_axis`; a face carries those of its first grain. Binary and compressed.

    ``.msh`` (gmsh 4.1, binary; FEniCS and MOOSE read it): a volume entity and physical group ``grain_12`` with the
    grain's number as tag, a surface entity and physical group ``grains_3_7`` for every pair of neighbours, and
    ``outer`` (tag 1) for the outer surface, which is one entity a grain. Element data `euler_deg` and `c_axis`.

    ``.inp`` (Abaqus; CalculiX too): nodes, C3D4 elements in one set ``GRAIN_12`` a grain, surfaces ``OUTER``,
    ``GB_3_7`` (faces of the elements of grain 3 towards 7) and ``GB_7_3``, and one solid section a grain with a
    material ``GRAIN`` that the user has to fill and, with orientations, an ``*ORIENTATION`` by the crystal's x and y.

    Parameters
    ----------
    path : path
        Whole or not at all; numbers of points and elements count from 1 in ``.msh`` and ``.inp``.
    mesh : TetMesh
        Lengths stay um.
    orientations : (n, 4) array, optional
        Unit quaternions of grains 1..n, scalar first, that turn crystal into sample directions (x, y, z), as
        `crystal_axes` returns them.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        Another suffix, or orientations that do not fit.
    """
    return _written(path, WRITERS, mesh, _checked(orientations, mesh))


def write_surface(path: str | Path, mesh: TetMesh, *, boundaries: bool = False) -> Path:
    """Write the outer surface, its normals outwards, as binary ``.stl`` or ``.vtp``, whole or not at all.

    ``.vtp`` has the cell data `grain` and `neighbour` (0 at the outer surface).

    Parameters
    ----------
    path : path
    mesh : TetMesh
    boundaries : bool
        The faces between grains too; their normals leave the first grain.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        Another suffix.
    """
    return _written(path, SURFACES, mesh, boundaries)


def _written(path, writers, mesh, option) -> Path:
    path = Path(path)
    if path.suffix.lower() not in writers:
        raise InputError(f"the file must end in {' or '.join(writers)}; got {path.name!r}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(path.name + ".part")
    with half.open("wb") as file:
        for chunk in writers[path.suffix.lower()](mesh, option):
            file.write(chunk)
    half.replace(path)
    return path


def _checked(orientations, mesh):
    if orientations is None:
        return None
    q = np.asarray(orientations, float)
    most = int(mesh.grain.max(initial=0))
    if q.ndim != 2 or q.shape[1] != 4 or len(q) < most:
        raise InputError(f"`orientations` must be quaternions of grains 1 to {most}, (n, 4); got shape {q.shape}.")
    if not np.allclose(np.linalg.norm(q[:most], axis=1), 1, atol=1e-6):
        raise InputError("`orientations` must be unit quaternions, scalar first.")
    return q
