"""Meshes as gmsh's .msh files, version 4.1, binary."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..generate import TetMesh
from ._orientation import fields_of

TETRA, TRIANGLE = 4, 2
OUTER = 1  # physical tag of the outer surface; those of pairs follow


def msh_chunks(mesh: TetMesh, quaternions: np.ndarray | None) -> Iterator[bytes]:
    """Yield the file; its contents are those of `write_mesh`."""
    pairs, entity = np.unique(mesh.face_grains, axis=0, return_inverse=True)
    entity = entity.ravel() + 1  # of each face; surfaces count from 1
    physical = np.where(pairs[:, 1] == 0, OUTER, OUTER + np.cumsum(pairs[:, 1] > 0))
    grains = np.unique(mesh.grain)
    yield b"$MeshFormat\n4.1 1 8\n" + np.array([1], "<i4").tobytes() + b"\n$EndMeshFormat\n"
    yield _names(pairs, physical, grains)
    yield from _entities(mesh, pairs, physical, grains)
    yield from _nodes(mesh, entity)
    order = np.argsort(entity, kind="stable"), np.argsort(mesh.grain, kind="stable")
    yield from _elements(mesh, entity, order)
    if quaternions is not None and len(mesh.tets):
        grain = np.concatenate([mesh.face_grains[order[0], 0], mesh.grain[order[1]]])
        for name, values in fields_of(quaternions).items():
            yield from _element_data(name, values[grain - 1])


def _names(pairs, physical, grains) -> bytes:
    lines = [f'2 {OUTER} "outer"'] if (pairs[:, 1] == 0).any() else []
    lines += [f'2 {tag} "grains_{a}_{b}"' for (a, b), tag in zip(pairs, physical, strict=True) if b]
    lines += [f'3 {g} "grain_{g}"' for g in grains]
    return "\n".join(["$PhysicalNames", str(len(lines)), *lines, "$EndPhysicalNames", ""]).encode()


def _entities(mesh, pairs, physical, grains) -> Iterator[bytes]:
    """Surfaces and volumes, each in the box of the whole mesh, with the surfaces that bound a volume."""
    low, high = (mesh.points.min(0), mesh.points.max(0)) if len(mesh.points) else (np.zeros(3), np.zeros(3))
    box = np.concatenate([low, high]).astype("<f8").tobytes()
    yield b"$Entities\n" + _sizes(0, 0, len(pairs), len(grains))
    for k, tag in enumerate(physical, 1):
        yield _ints(k) + box + _sizes(1) + _ints(tag) + _sizes(0)
    bounds: dict[int, list[int]] = {int(g): [] for g in grains}
    for k, (a, b) in enumerate(pairs.tolist(), 1):
        bounds[a].append(k)  # its normal leaves a
        if b:
            bounds[b].append(-k)
    for g, surfaces in bounds.items():
        yield _ints(g) + box + _sizes(1) + _ints(g) + _sizes(len(surfaces)) + _ints(*surfaces)
    yield b"\n$EndEntities\n"


def _nodes(mesh, entity) -> Iterator[bytes]:
    """Points by what they lie on: a surface, of several the first, or else the volume of their grain."""
    place = np.zeros((len(mesh.points), 2), np.int64)
    place[mesh.tets.ravel()] = np.stack([np.full(4 * len(mesh.tets), 3), np.repeat(mesh.grain, 4)], 1)
    place[mesh.faces[::-1].ravel()] = np.stack([np.full(3 * len(entity), 2), np.repeat(entity[::-1], 3)], 1)
    order = np.lexsort(place.T[::-1])
    blocks, start = np.unique(place[order], axis=0, return_index=True)
    n = len(order)
    yield b"$Nodes\n" + _sizes(len(blocks), n, min(n, 1), n)
    for (dimension, tag), mine in zip(blocks, np.split(order, start[1:]), strict=False):
        yield _ints(dimension, tag, 0) + _sizes(len(mine))
        yield (mine + 1).astype("<u8").tobytes() + mesh.points[mine].astype("<f8").tobytes()
    yield b"\n$EndNodes\n"


def _elements(mesh, entity, order) -> Iterator[bytes]:
    """Triangles by surface, then tetrahedra by grain, numbered in this order."""
    kinds = ((2, TRIANGLE, mesh.faces, entity, order[0]), (3, TETRA, mesh.tets, mesh.grain, order[1]))
    total = len(mesh.faces) + len(mesh.tets)
    blocks = sum(len(np.unique(tags)) for *_, tags, _ in kinds)
    yield b"$Elements\n" + _sizes(blocks, total, min(total, 1), total)
    number = 1
    for dimension, kind, cells, tags, mine in kinds:
        rows = np.column_stack([number + np.arange(len(mine)), cells[mine] + 1]).astype("<u8")
        values, start = np.unique(tags[mine], return_index=True)
        for tag, block in zip(values, np.split(rows, start[1:]), strict=False):
            yield _ints(dimension, tag, kind) + _sizes(len(block)) + block.tobytes()
        number += len(mine)
    yield b"\n$EndElements\n"


def _element_data(name, values) -> Iterator[bytes]:
    yield f'$ElementData\n1\n"{name}"\n1\n0.0\n3\n0\n3\n{len(values)}\n'.encode()
    rows = np.empty(len(values), [("number", "<i4"), ("value", "<f8", 3)])
    rows["number"], rows["value"] = np.arange(1, len(values) + 1), values
    yield rows.tobytes() + b"\n$EndElementData\n"


def _ints(*values) -> bytes:
    return np.array(values, "<i4").tobytes()


def _sizes(*values) -> bytes:
    return np.array(values, "<u8").tobytes()
