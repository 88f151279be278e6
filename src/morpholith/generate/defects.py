"""Pores and cracks between the grains of a label volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .. import _checks
from ..errors import InputError

JUNCTIONS = {"lines": 3, "points": 4}
STARTS = ("inside", "surface", "anywhere")
LEAST_ODDS = 0.01  # of a facet that stands across the crack's plane; its square for one far from it


@dataclass(frozen=True)
class Defects:
    """A label volume with defects cut out.

    Attributes
    ----------
    labels : (z, y, x) int32 array
        As given, 0 in the defects.
    void : (z, y, x) bool array
        The defects.
    fraction : float
        Voxels of the defects over voxels of the grains before, exactly; NaN without grains.
    n : int
        Pores, or facets between two grains that cracked.
    lost : tuple of int
        Grains of which nothing is left.
    warnings : tuple of str
    """

    labels: np.ndarray
    void: np.ndarray
    fraction: float
    n: int
    lost: tuple[int, ...]
    warnings: tuple[str, ...] = ()


def junction_pores(
    labels: np.ndarray,
    *,
    spacing: float | tuple[float, float, float],
    fraction: float,
    rng: np.random.Generator | int,
    radius_um: float | None = None,
    spread: float = 0.3,
    at: str = "lines",
) -> Defects:
    """Cut ball-shaped pores where three or four grains meet.

    Parameters
    ----------
    labels : (z, y, x) int array
        Grains; 0 is outside.
    spacing : float or (z, y, x)
        In um.
    fraction : float
        Of the volume of the grains that is to be pore; 0 to below 1. Pores are added until it is reached, the last one
        made smaller to come near: to half a voxel where junctions suffice.
    rng : Generator or int
    radius_um : float, optional
        Median radius; two voxels by default. Log-normal with `spread` as standard deviation of the logarithm.
    spread : float
    at : {"lines", "points"}
        Junctions of three or more grains, or of four or more: places where so many labels meet in 2 x 2 x 2 voxels.
        Every such place is as likely as another and has one pore at most.

    Returns
    -------
    Defects
        Pores may overlap and reach the surface.

    Raises
    ------
    InputError
        Labels, spacing, a fraction or a radius that make no sense.
    """
    labels, edges = _grains(labels, spacing, fraction)
    _checks.choice(at, tuple(JUNCTIONS), name="at")
    median = 2 * float(np.prod(edges)) ** (1 / 3) if radius_um is None else radius_um
    _checks.positive(median, name="radius_um")
    if not (np.isfinite(spread) and spread >= 0):
        raise InputError(f"`spread` must be 0 or more, got {spread!r}.")
    rng = np.random.default_rng(rng)
    places = rng.permutation(np.argwhere(_meeting(labels) >= JUNCTIONS[at]))
    solid = int(np.count_nonzero(labels))
    wanted, void, n, cut = round(fraction * solid), np.zeros(labels.shape, bool), 0, 0
    said: list[str] = []
    for place in places:
        if cut >= wanted:
            break
        radius = median * np.exp(spread * rng.standard_normal())
        box, square = _around((place + 0.5) * edges, radius, labels.shape, edges)
        new = np.flatnonzero((square < np.inf) & (labels[box] > 0) & ~void[box])
        if len(new) > wanted - cut:
            new = new[np.argsort(square.ravel()[new], kind="stable")[: wanted - cut]]
        part = void[box]
        part[np.unravel_index(new, part.shape)] = True
        cut, n = cut + len(new), n + bool(len(new))
    if cut < wanted:
        said.append(
            f"a pore at each of {len(places)} places where {JUNCTIONS[at]} grains meet makes {cut / solid:.2%} of the "
            f"volume, not {fraction:.2%}; a larger `radius_um` makes more."
        )
    return _defects(labels, void, solid, n, said)


def intergranular_cracks(
    labels: np.ndarray,
    *,
    spacing: float | tuple[float, float, float],
    fraction: float,
    rng: np.random.Generator | int,
    width_um: float | None = None,
    n_cracks: int = 3,
    start: str = "inside",
    centre_um: tuple[float, float, float] | None = None,
) -> Defects:
    """Open cracks along the facets between grains.

    A crack starts at one facet (the boundary between two grains) and grows from facet to facet round common edges,
    preferring those near the plane of the first (Gaussian, half a grain) that lie as it does (square of the cosine),
    until all cracks together have the wanted volume.

    Parameters
    ----------
    labels, spacing, rng :
        As for `junction_pores`.
    fraction : float
        Of the volume of the grains that is to be crack. Whole facets are opened, so that it is exceeded by one at most.
    width_um : float, optional
        Opening; a voxel by default, and at least.
    n_cracks : int
        Cracks that grow side by side.
    start : {"inside", "surface", "anywhere"}
        Of the facets, the third nearest to the centre, the third farthest from it, or all.
    centre_um : (z, y, x), optional
        The particle's centre, centre of voxel 0 at 0; the centre of mass of the grains by default.

    Returns
    -------
    Defects
        Openings are measured across voxels: on facets along the axes exactly `width_um` rounded to voxels, on oblique
        ones up to about half a voxel wider.

    Raises
    ------
    InputError
        Labels, spacing, a fraction or a width that make no sense.
    """
    labels, edges = _grains(labels, spacing, fraction)
    _checks.choice(start, STARTS, name="start")
    if n_cracks < 1:
        raise InputError(f"`n_cracks` must be 1 or more, got {n_cracks!r}.")
    width = max(float(min(edges)) if width_um is None else _checks.positive(width_um, name="width_um"), min(edges))
    rng = np.random.default_rng(rng)
    facets = _facets(labels, edges)
    solid = int(np.count_nonzero(labels))
    wanted, void, said = fraction * solid, np.zeros(labels.shape, bool), []
    if len(facets.pairs) == 0:
        if wanted:
            said.append("there are no boundaries between grains: no crack is made.")
        return _defects(labels, void, solid, 0, said)
    middle = np.mean(np.nonzero(labels), axis=1) * edges if centre_um is None else np.asarray(centre_um, float)
    distance = np.linalg.norm(facets.centres - middle, axis=1)
    near = np.argsort(distance, kind="stable")
    third = -(-len(near) // 3)
    begin = {"inside": near[:third], "surface": near[-third:], "anywhere": near}[start]
    cut = n = 0
    grain_um = float(np.cbrt(solid * np.prod(edges) / max(1, len(np.unique(facets.pairs)))))
    for k in _growth(facets, begin, n_cracks, grain_um, rng):
        if cut >= wanted:
            break
        cut += _open(void, labels, facets, k, width, edges)
        n += 1
    if cut < wanted:
        said.append(
            f"with every boundary open cracks make {cut / solid:.2%} of the volume, not {fraction:.2%}; a larger "
            "`width_um` makes more."
        )
    return _defects(labels, void, solid, n, said)


def _grains(labels, spacing, fraction):
    labels = _checks.labels(labels, ndim=(3,))
    if labels.size and labels.min() < 0:
        raise InputError(f"`labels` must be 0 or more, got {labels.min()}.")
    if not 0 <= fraction < 1:
        raise InputError(f"`fraction` must lie between 0 and 1, got {fraction!r}.")
    return labels, np.array(_checks.spacing(spacing, 3))


def _defects(labels, void, solid, n, said):
    left = np.where(void, 0, labels).astype(np.int32)
    top = int(labels.max(initial=0)) + 1
    gone = (np.bincount(labels.ravel(), minlength=top) > 0) & (np.bincount(left.ravel(), minlength=top) == 0)
    share = float(np.count_nonzero(void) / solid) if solid else float("nan")
    return Defects(left, void, share, n, tuple(int(k) for k in np.flatnonzero(gone) if k), tuple(said))


def _meeting(labels):
    """How many grains meet at the common corner of 2 x 2 x 2 voxels, slab by slab; one less along each axis."""
    nz, ny, nx = (max(0, k - 1) for k in labels.shape)
    out = np.zeros((nz, ny, nx), np.uint8)
    for z in range(nz):
        corner = np.stack(
            [labels[z + a, b : b + ny, c : c + nx] for a in (0, 1) for b in (0, 1) for c in (0, 1)], axis=-1
        )
        corner.sort(axis=-1)
        out[z] = (np.diff(corner, axis=-1, prepend=0) > 0).sum(-1)
    return out


def _around(place, radius, shape, edges):
    """Box around a ball, and the squared distance of its voxels to the centre; infinite outside the ball."""
    low = np.maximum(np.ceil((place - radius) / edges).astype(int), 0)
    high = np.minimum(np.floor((place + radius) / edges).astype(int) + 1, shape)
    square = np.zeros((1, 1, 1))
    for axis in range(3):
        line = (np.arange(low[axis], high[axis]) * edges[axis] - place[axis]) ** 2
        square = square + line.reshape([-1 if a == axis else 1 for a in range(3)])
    return tuple(slice(a, b) for a, b in zip(low, high, strict=True)), np.where(square <= radius**2, square, np.inf)


@dataclass(frozen=True)
class _Facets:
    """Boundaries between two grains: `places` (voxel of the lower label's side first) sorted by facet."""

    pairs: np.ndarray  # (m, 2) labels
    first: np.ndarray  # (m + 1,) where the faces of each begin
    voxel: np.ndarray  # (k, 3) lower voxel of each face
    axis: np.ndarray  # (k,)
    centres: np.ndarray  # (m, 3) um
    normals: np.ndarray  # (m, 3)


def _facets(labels, edges):
    keys, voxels, axes, signs = [], [], [], []
    for axis in range(3):
        a, b = np.moveaxis(labels, axis, 0)[:-1], np.moveaxis(labels, axis, 0)[1:]
        here = np.nonzero((a != b) & (a > 0) & (b > 0))
        p, q = a[here].astype(np.int64), b[here].astype(np.int64)
        keys.append(np.minimum(p, q) << 32 | np.maximum(p, q))
        voxels.append(np.insert(np.stack(here[1:], 1), axis, here[0], axis=1))
        axes.append(np.full(len(p), axis))
        signs.append(np.where(p < q, 1, -1))
    order = np.argsort(np.concatenate(keys), kind="stable")
    key, voxel, across, sign = (np.concatenate(v)[order] for v in (keys, voxels, axes, signs))
    first = np.flatnonzero(np.diff(key, prepend=-1))
    pairs = np.stack([key[first] >> 32, key[first] & (2**32 - 1)], 1)
    place = (voxel + 0.5 * np.eye(3)[across]) * edges
    area = np.prod(edges) / edges
    m = len(first)
    of = np.repeat(np.arange(m), np.diff(np.append(first, len(key))))
    centres, normals = np.zeros((m, 3)), np.zeros((m, 3))
    np.add.at(centres, of, place)
    np.add.at(normals, of, np.eye(3)[across] * (sign * area[across])[:, None])
    count = np.bincount(of, minlength=m)[:, None]
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    centres, normals = centres / np.maximum(count, 1), normals / np.maximum(length, 1e-12)
    return _Facets(pairs, np.append(first, len(key)), voxel, across, centres, normals)


def _growth(facets, begin, n_cracks, grain_um, rng):
    """Yield facets in the order in which cracks open them; new cracks begin where none can go on."""
    number = {(int(a), int(b)): k for k, (a, b) in enumerate(facets.pairs)}
    beside: dict[int, set[int]] = {}
    for a, b in facets.pairs.tolist():
        beside.setdefault(a, set()).add(b)
        beside.setdefault(b, set()).add(a)
    opened: set[int] = set()
    waiting = [int(k) for k in rng.permutation(begin)]
    waiting += [int(k) for k in rng.permutation(len(facets.pairs))]
    fronts: list[dict[int, float]] = []
    firsts: list[int] = []
    turn = 0
    while len(opened) < len(facets.pairs):
        if len(fronts) < n_cracks or not any(fronts):
            k = next(j for j in waiting if j not in opened)
            fronts.append({})
            firsts.append(k)
            turn = len(fronts) - 1
        else:
            turn = (turn + 1) % len(fronts)
            if not fronts[turn]:
                continue
            some, odds = list(fronts[turn]), np.array(list(fronts[turn].values()))
            k = some[int(rng.choice(len(some), p=odds / odds.sum()))]
        yield k
        opened.add(k)
        for front in fronts:
            front.pop(k, None)
        a, b = facets.pairs[k].tolist()
        for c in sorted(beside[a] & beside[b]):
            for pair in ((min(a, c), max(a, c)), (min(b, c), max(b, c))):
                if number[pair] not in opened:
                    fronts[turn][number[pair]] = _odds(facets, number[pair], firsts[turn], grain_um)


def _odds(facets, k, first, grain_um):
    """How readily a crack takes a facet: near the plane of its first one, and as it lies."""
    normal = facets.normals[first]
    off = float((facets.centres[k] - facets.centres[first]) @ normal) / grain_um
    return (float(facets.normals[k] @ normal) ** 2 + LEAST_ODDS) * np.exp(-2 * off * off) + LEAST_ODDS**2


def _open(void, labels, facets, k, width, edges):
    """Cut one facet open; return how many voxels that are new."""
    here = slice(facets.first[k], facets.first[k + 1])
    place = facets.voxel[here] + 0.5 * np.eye(3)[facets.axis[here]]
    reach = np.ceil(width / 2 / edges).astype(int)
    a, b = facets.pairs[k]
    new = 0
    steps = np.stack(np.meshgrid(*[np.arange(-r, r + 2) for r in reach], indexing="ij"), -1).reshape(-1, 3)
    for step in steps:
        at = facets.voxel[here] + step
        far = np.sqrt((((at - place) * edges) ** 2).sum(1))
        ok = ((at >= 0) & (at < labels.shape)).all(1) & (far <= width / 2 * (1 + 1e-9))
        at, far = at[ok], far[ok]
        grain = labels[tuple(at.T)]
        ok = (grain == b) | ((grain == a) & (far < width / 2 * (1 - 1e-9)))
        at = np.unique(at[ok], axis=0)
        new += int(np.count_nonzero(~void[tuple(at.T)]))
        void[tuple(at.T)] = True
    return new
