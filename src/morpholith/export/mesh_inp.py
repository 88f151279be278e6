"""Meshes as Abaqus input files."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..generate import TetMesh
from ._orientation import axes_of

# corners of Abaqus' faces S1 to S4 of a C3D4, from 0
SIDES = np.array([[0, 1, 2], [0, 3, 1], [1, 3, 2], [2, 3, 0]])
ROWS = 20_000  # formatted at a time


def inp_chunks(mesh: TetMesh, quaternions: np.ndarray | None) -> Iterator[bytes]:
    """Yield the file; its contents are those of `write_mesh`."""
    yield b"*HEADING\nGrains of a particle, lengths in um\n*NODE, NSET=ALL\n"
    numbers = np.arange(1, len(mesh.points) + 1)
    yield from _rows("%d, %.9g, %.9g, %.9g\n", numbers, mesh.points)
    grains, order, cuts = _groups(mesh.grain)
    element = np.arange(1, len(mesh.tets) + 1)
    for grain, mine in zip(grains, np.split(order, cuts), strict=False):
        yield f"*ELEMENT, TYPE=C3D4, ELSET=GRAIN_{grain}\n".encode()
        yield from _rows("%d, %d, %d, %d, %d\n", element[mine], mesh.tets[mine] + 1)
    yield from _surfaces(mesh)
    axes = None if quaternions is None else axes_of(quaternions)
    for grain in grains:
        if axes is not None:
            words = ", ".join(f"{v:.9g}" for v in axes[grain - 1, :, :2].T.ravel())
            yield f"*ORIENTATION, NAME=ORIENTATION_{grain}, SYSTEM=RECTANGULAR\n{words}\n1, 0.\n".encode()
        turned = "" if axes is None else f", ORIENTATION=ORIENTATION_{grain}"
        yield f"*SOLID SECTION, ELSET=GRAIN_{grain}, MATERIAL=GRAIN{turned}\n,\n".encode()
    yield b"*MATERIAL, NAME=GRAIN\n** behaviour of the crystal goes here\n"


def _surfaces(mesh) -> Iterator[bytes]:
    """Yield the outer surface and both sides of every boundary between grains, as faces of elements."""
    first, second = sides_of(mesh)
    inner = mesh.face_grains[:, 1] > 0
    names = np.concatenate([mesh.face_grains, mesh.face_grains[inner][:, ::-1]])
    names[names[:, 1] == 0] = 0
    faces = np.concatenate([first, second[inner]])
    pairs, place = np.unique(names, axis=0, return_inverse=True)
    numbers, order, cuts = _groups(place.ravel())
    for k, mine in zip(numbers, np.split(order, cuts), strict=False):
        a, b = pairs[k]
        yield f"*SURFACE, TYPE=ELEMENT, NAME={f'GB_{a}_{b}' if b else 'OUTER'}\n".encode()
        yield from _rows("%d, S%d\n", faces[mine, 0] + 1, faces[mine, 1:] + 1)


def sides_of(mesh: TetMesh) -> tuple[np.ndarray, np.ndarray]:
    """Return tetrahedron and face, both from 0, behind each of the mesh's faces in its first and its second grain.

    (k, 2) each; the second is -1 at the outer surface.
    """
    at_face = np.zeros(len(mesh.points), bool)
    at_face[mesh.faces.ravel()] = True
    # a tetrahedron with fewer than three such points has no face among them
    near = np.flatnonzero(at_face[mesh.tets].sum(1) >= 3)
    all_faces = np.concatenate([mesh.faces, mesh.tets[near][:, SIDES].reshape(-1, 3)])
    all_faces = np.sort(all_faces, axis=1)
    n = len(mesh.points)
    _, front = np.unique(all_faces[:, 0] * n + all_faces[:, 1], return_inverse=True)
    _, name = np.unique(front * n + all_faces[:, 2], return_inverse=True)
    k = len(mesh.faces)
    face_of = np.full(int(name.max(initial=-1)) + 1, -1)
    face_of[name[:k]] = np.arange(k)
    face = face_of[name[k:]]
    hit = np.flatnonzero(face >= 0)
    face, tet = face[hit], near[hit // 4]
    out = np.full((2, k, 2), -1)
    other = (mesh.grain[tet] != mesh.face_grains[face, 0]).astype(int)
    out[other, face] = np.stack([tet, hit % 4], 1)
    return out[0], out[1]


def _groups(values):
    """Return the values that occur, an order that puts equal ones together, and where the next ones begin."""
    order = np.argsort(values, kind="stable")
    found, start = np.unique(values[order], return_index=True)
    return found, order, start[1:]


def _rows(row, *columns) -> Iterator[bytes]:
    """Yield lines of text, many at a time."""
    table = np.column_stack([np.asarray(c, float) for c in columns])
    for i in range(0, len(table), ROWS):
        part = table[i : i + ROWS]
        yield (row * len(part) % tuple(part.ravel().tolist())).encode()
