"""Tables of the tetrahedral mesh: the body-centred lattice, and how a lattice tetrahedron with cut edges is divided."""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations
from typing import NamedTuple

import numpy as np

PAIRS = tuple(combinations(range(4), 2))  # edges 01 02 03 12 13 23
CUT, FACE, INNER = 4, 10, 14  # slots: 4 corners, 6 cuts of edges, 4 points of faces (opposite corner k), 1 inside
MOST = 24  # tetrahedra that one is divided into, at most
WAYS = ((2, 0, 0), (0, 2, 0), (0, 0, 2), (1, 1, 1), (1, 1, -1), (1, -1, 1), (1, -1, -1))  # edges, in half cells


class Lattice(NamedTuple):
    """The tetrahedra that belong to a cell of the body-centred cubic lattice, in places relative to the cell.

    Attributes
    ----------
    kind, place : (12, 4) and (12, 4, 3) int64 arrays
        Corners: 0 corner or 1 centre of a cell, and which cell.
    edge : (12, 4, 4, 2) int64 array
        Of a pair of corners: which of the two the edge starts at, and its direction in `WAYS`.
    face : (12, 4, 4) int64 array
        Of the face opposite a corner: the cell (3) and the number, below 24, that all its tetrahedra know it by.
    around : (2, 14, 4) int64 array
        Neighbours of a corner and of a centre: kind and cell.
    """

    kind: np.ndarray
    place: np.ndarray
    edge: np.ndarray
    face: np.ndarray
    around: np.ndarray


class Cases(NamedTuple):
    """How the tetrahedron is divided for each of the 64 patterns of cut edges (bit k: edge k of `PAIRS`).

    Attributes
    ----------
    counts : (64,) int64 array
    slots : (64, 24, 4) int64 array
        Of each part. The part lies around its own corner, whose number is in `owner`.
    owner : (64, 24) int64 array
    inner : (64,) bool array
        Whether the pattern needs a point inside.
    """

    counts: np.ndarray
    slots: np.ndarray
    owner: np.ndarray
    inner: np.ndarray


@lru_cache(maxsize=1)
def lattice() -> Lattice:
    """Return the twelve tetrahedra of a cell, four round each line between neighbouring centres."""
    corners = []
    eye = np.eye(3, dtype=int)
    for axis in range(3):
        first, second = (eye[k] for k in range(3) if k != axis)
        ring = [eye[axis], eye[axis] + first, eye[axis] + first + second, eye[axis] + second]
        for k in range(4):
            tet = [(1, 0 * eye[0]), (1, eye[axis]), (0, ring[k]), (0, ring[(k + 1) % 4])]
            at = np.array([2 * place + kind for kind, place in tet])
            corners.append(tet if np.linalg.det(at[1:] - at[0]) < 0 else [tet[1], tet[0], tet[2], tet[3]])
    kind = np.array([[c[0] for c in tet] for tet in corners])
    place = np.array([[c[1] for c in tet] for tet in corners])
    at = 2 * place + kind[..., None]
    edge = np.zeros((12, 4, 4, 2), np.int64)
    for t in range(12):
        for i in range(4):
            for j in range(4):
                way = tuple((at[t, j] - at[t, i]).tolist())
                back = tuple((at[t, i] - at[t, j]).tolist())
                if i != j:
                    edge[t, i, j] = (i, WAYS.index(way)) if way in WAYS else (j, WAYS.index(back))
    around = np.array([[_step(kind, way, sign) for way in WAYS for sign in (1, -1)] for kind in (0, 1)])
    return Lattice(kind, place, edge, _faces(at), around)


@lru_cache(maxsize=1)
def cases() -> Cases:
    """Return the parts for every pattern of cut edges, corners in the order of their rank.

    Each of the 24 parts of the barycentric subdivision is a chain corner - edge - face - inside. A point that the
    pattern does not call for falls onto another of its own edge, face or tetrahedron, and parts with a point twice
    vanish. What a face does depends on the cuts of its own edges and the rank of its corners alone, so that
    neighbours agree; wherever points lie on their edge, in their face and inside, the parts fill the tetrahedron.
    """
    count, inner = np.zeros(64, np.int64), np.zeros(64, bool)
    slots, owner = np.zeros((64, MOST, 4), np.int64), np.zeros((64, MOST), np.int64)
    for pattern in range(64):
        edges = {pair: CUT + k if pattern >> k & 1 else pair[0] for k, pair in enumerate(PAIRS)}
        faces = {k: _face_point(tuple(c for c in range(4) if c != k), edges, k) for k in range(4)}
        used = sorted({*range(4), *edges.values(), *faces.values()})
        options = [(parts, t) for t in used if not _flat(parts := _parts(edges, faces, t))]
        if pattern == 63 or not options:  # four grains meet in a point, which has a place of its own
            options = [(_parts(edges, faces, INNER), INNER)]
        parts, at = min(options, key=lambda o: len(o[0]))
        count[pattern], inner[pattern] = len(parts), at == INNER
        for k, (corner, chain) in enumerate(parts):
            slots[pattern, k], owner[pattern, k] = chain, corner
    return Cases(count, slots, owner, inner)


def _step(kind, way, sign):
    """Return kind and cell of the neighbour of a corner or centre in one direction."""
    at = sign * np.array(way) + kind
    other = int(at[0] % 2)
    return [other, *((at - other) // 2).tolist()]


def _faces(at):
    """Return the cell and number by which each face is known, the least of those that it has in its tetrahedra."""
    seen: dict[frozenset, list] = {}
    for shift in np.ndindex(3, 3, 3):
        cell = np.array(shift) - 1
        for t in range(12):
            for k in range(4):
                key = frozenset(tuple((at[t, c] + 2 * cell).tolist()) for c in range(4) if c != k)
                seen.setdefault(key, []).append((*cell.tolist(), t, k))
    least = {(t, k): min(seen[frozenset(tuple(at[t, c].tolist()) for c in range(4) if c != k)])
             for t in range(12) for k in range(4)}  # fmt: skip
    numbers = sorted({name[3:] for name in least.values()})
    out = np.zeros((12, 4, 4), np.int64)
    for (t, k), name in least.items():
        out[t, k] = (*name[:3], numbers.index(name[3:]))
    return out


def _face_point(corners, edges, k):
    """Return the slot that the point of a face falls onto: three cuts keep it, two and one name a cut of its own."""
    cut = [pair for pair in combinations(corners, 2) if edges[pair] >= CUT]
    if len(cut) == 3:
        return FACE + k
    if not cut:
        return corners[0]
    if len(cut) == 1:
        return edges[cut[0]]
    (apex,) = set(cut[0]) & set(cut[1])
    return edges[max(cut, key=lambda pair: sum(pair) - apex)]


def _parts(edges, faces, inside):
    """Return (corner, chain) of the parts whose four points differ, turned as the whole."""
    out = []
    for pair, e in edges.items():
        for k in set(range(4)) - set(pair):
            for corner in pair:
                chain = (corner, e, faces[k], inside)
                if len(set(chain)) == 4:
                    (third,) = set(range(4)) - {*pair, k}
                    order = (corner, sum(pair) - corner, third, k)
                    even = sum(a > b for a, b in combinations(order, 2)) % 2 == 0
                    out.append((corner, chain if even else (e, corner, *chain[2:])))
    return out


def _flat(parts):
    """Say whether a part has all its points in one face."""
    return any(len(set().union(*(_carrier(slot) for slot in chain))) < 4 for _, chain in parts)


def _carrier(slot):
    if slot < CUT:
        return {slot}
    return set(PAIRS[slot - CUT]) if slot < FACE else set(range(4)) - {slot - FACE}
