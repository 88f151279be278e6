"""Surfaces as binary STL."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..generate import TetMesh


def stl_chunks(mesh: TetMesh, boundaries: bool) -> Iterator[bytes]:
    """Yield the file; its contents are those of `write_surface`. Coordinates in um, 4 bytes each."""
    faces = mesh.faces if boundaries else mesh.faces[mesh.face_grains[:, 1] == 0]
    corners = mesh.points[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    rows = np.zeros(len(faces), [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("extra", "<u2")])
    rows["normal"] = normal / np.where(length > 0, length, 1)
    rows["corners"] = corners
    # a text that begins with "solid" would be taken for the readable kind
    yield b"surface of a particle, lengths in um".ljust(80) + np.array([len(faces)], "<u4").tobytes()
    yield rows.tobytes()
