"""Meshes and surfaces as VTK's XML files, binary and compressed."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator

import numpy as np

from ..generate import TetMesh
from ._orientation import fields_of

TETRA, TRIANGLE = 10, 5
BLOCK = 1 << 20
TYPES = {"f8": "Float64", "i8": "Int64", "i4": "Int32", "u1": "UInt8"}
HEAD = (
    '<?xml version="1.0"?>\n<VTKFile type="{kind}" version="1.0" byte_order="LittleEndian" header_type="UInt64" '
    'compressor="vtkZLibDataCompressor">\n<{kind}>\n'
)


def vtu_chunks(mesh: TetMesh, quaternions: np.ndarray | None) -> Iterator[bytes]:
    """Yield the file of an unstructured grid; its contents are those of `write_mesh`."""
    n, k = len(mesh.tets), len(mesh.faces)
    grain = np.concatenate([mesh.grain, mesh.face_grains[:, 0]]).astype("<i4")
    data = {"grain": grain, "neighbour": np.concatenate([np.full(n, -1), mesh.face_grains[:, 1]]).astype("<i4")}
    if quaternions is not None:
        of_grain = {"quaternion": quaternions, **fields_of(quaternions)}
        data |= {name: values[grain - 1].astype("<f8") for name, values in of_grain.items()}
    yield HEAD.format(kind="UnstructuredGrid").encode()
    yield f'<Piece NumberOfPoints="{len(mesh.points)}" NumberOfCells="{n + k}">\n'.encode()
    yield from _points(mesh.points)
    yield b"<Cells>\n"
    yield _array("connectivity", np.concatenate([mesh.tets.ravel(), mesh.faces.ravel()]).astype("<i8"))
    yield _array("offsets", np.concatenate([4 * np.arange(1, n + 1), 4 * n + 3 * np.arange(1, k + 1)]).astype("<i8"))
    yield _array("types", np.repeat(np.array([TETRA, TRIANGLE], "u1"), [n, k]))
    yield b"</Cells>\n"
    yield from _cell_data(data)
    yield b"</Piece>\n</UnstructuredGrid>\n</VTKFile>\n"


def vtp_chunks(mesh: TetMesh, boundaries: bool) -> Iterator[bytes]:
    """Yield the file of a surface; its contents are those of `write_surface`."""
    wanted = slice(None) if boundaries else mesh.face_grains[:, 1] == 0
    faces, sides = mesh.faces[wanted], mesh.face_grains[wanted]
    used, faces = np.unique(faces, return_inverse=True)
    faces = faces.reshape(-1, 3)
    yield HEAD.format(kind="PolyData").encode()
    yield f'<Piece NumberOfPoints="{len(used)}" NumberOfPolys="{len(faces)}">\n'.encode()
    yield from _points(mesh.points[used])
    yield b"<Polys>\n"
    yield _array("connectivity", faces.ravel().astype("<i8"))
    yield _array("offsets", 3 * np.arange(1, len(faces) + 1, dtype="<i8"))
    yield b"</Polys>\n"
    yield from _cell_data({"grain": sides[:, 0].astype("<i4"), "neighbour": sides[:, 1].astype("<i4")})
    yield b"</Piece>\n</PolyData>\n</VTKFile>\n"


def _points(points):
    yield b"<Points>\n"
    yield _array("Points", points.astype("<f8"))
    yield b"</Points>\n"


def _cell_data(data):
    yield b'<CellData Scalars="grain">\n'
    for name, values in data.items():
        yield _array(name, values)
    yield b"</CellData>\n"


def _array(name, values) -> bytes:
    """Return a DataArray: base64 of the sizes of the packed blocks, then of the blocks."""
    raw = np.ascontiguousarray(values).tobytes()
    packed = [zlib.compress(raw[i : i + BLOCK], 1) for i in range(0, len(raw), BLOCK)]
    sizes = np.array([len(packed), BLOCK, len(raw) % BLOCK, *map(len, packed)], "<u8")
    columns = f' NumberOfComponents="{values.shape[1]}"' if values.ndim == 2 else ""
    head = f'<DataArray type="{TYPES[values.dtype.str[1:]]}" Name="{name}"{columns} format="binary">\n'
    body = base64.b64encode(sizes.tobytes()) + base64.b64encode(b"".join(packed))
    return head.encode() + body + b"\n</DataArray>\n"
