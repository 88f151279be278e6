"""First look at a volume that may not fit into memory: what is wrong with it, what was padded, a fair sample of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from ..errors import InputError

SLAB_VOXELS = 16_000_000
SAMPLE_VOXELS, BLOCK = 3_000_000, 48
FEW = 16  # grey values a segmented volume may have


@dataclass
class Survey:
    """Counts over a whole volume.

    Attributes
    ----------
    box : tuple of slice
        The part inside the field of view; everything else here is counted inside it.
    padding : float
        Share of the volume that is padding.
    low, high : float
        Least and greatest finite grey level.
    at_low, at_high : float
        Share of the voxels at them.
    values : tuple of float
        The grey values, if there are at most `FEW`; else empty.
    """

    box: tuple[slice, ...]
    padding: float
    low: float
    high: float
    at_low: float
    at_high: float
    values: tuple[float, ...] = field(default=())


def slabs(source, box: tuple[slice, ...]) -> Iterator[np.ndarray]:
    """Yield the planes of `box` a few at a time."""
    z, y, x = box
    thick = max(1, SLAB_VOXELS // max(1, (y.stop - y.start) * (x.stop - x.start)))
    for start in range(z.start, z.stop, thick):
        yield np.asarray(source[start : min(z.stop, start + thick), y, x])


def survey(source) -> Survey:
    """Look at every voxel once; refuse what cannot be segmented."""
    whole = tuple(slice(0, n) for n in source.shape)
    box, padding = _field_of_view(source, whole)
    size = int(np.prod([s.stop - s.start for s in box]))
    bad, first = 0, None
    low, high, n_low, n_high = np.inf, -np.inf, 0, 0
    values: set[float] | None = set()
    z0 = box[0].start
    for slab in slabs(source, box):
        if slab.dtype.kind == "f":
            finite = np.isfinite(slab)
            if not finite.all():
                bad += int(finite.size - finite.sum())
                if first is None:
                    first = tuple(int(i) for i in np.argwhere(~finite)[0] + (z0, box[1].start, box[2].start))
                slab = slab[finite]
        z0 += slab.shape[0]
        if slab.size == 0:
            continue
        a, b = float(slab.min()), float(slab.max())
        n_low = (n_low if a >= low else 0) + (int(np.count_nonzero(slab == slab.min())) if a <= low else 0)
        n_high = (n_high if b <= high else 0) + (int(np.count_nonzero(slab == slab.max())) if b >= high else 0)
        low, high = min(low, a), max(high, b)
        if values is not None:
            values = _few(values, slab)
    if bad:
        raise InputError(
            f"The volume has {bad} NaN or infinite voxels ({bad / size:.3g} of it), the first at voxel (z, y, x) = "
            f"{first}; crop them off, or fill them before it is segmented."
        )
    return Survey(box, padding, low, high, n_low / size, n_high / size, tuple(sorted(values)) if values else ())


def _few(values, slab):
    """Add the values of a slab to a set, or return None once there are too many."""
    if slab.dtype.kind in "bui" and slab.dtype.itemsize <= 2:
        flat = slab.ravel().astype(np.int64)
        offset = int(flat.min())
        found = np.flatnonzero(np.bincount(flat - offset)) + offset
    else:
        found = np.unique(slab.ravel()[:4096])
        if len(found) <= FEW:
            found = np.unique(slab)
    values = values | {float(v) for v in found[: FEW + 1]}
    return values if len(values) <= FEW else None


def _field_of_view(source, whole):
    """Largest box inside what was reconstructed, and the share that was not: a constant around a cylinder along z."""
    nz, ny, nx = source.shape
    if nz < 4 or min(ny, nx) < 16:
        return whole, 0.0
    middle = np.asarray(source[nz // 2])
    corners = [middle[0, 0], middle[0, -1], middle[-1, 0], middle[-1, -1]]
    constant = corners[0]
    same = [_is(np.asarray(c), constant) for c in corners]
    if sum(map(bool, same)) < 3 or not _is(middle, constant).mean() > 0.01:
        return whole, 0.0
    outside = np.ones((ny, nx), bool)
    empty = []
    for slab in slabs(source, whole):
        padded = _is(slab, constant)
        blank = padded.reshape(len(slab), -1).all(1)
        empty.extend(blank.tolist())
        if not blank.all():
            outside &= padded[~blank].all(0)
    full = np.flatnonzero(~np.array(empty))
    if full.size == 0 or not _is_cylinder(outside):
        return whole, 0.0
    y0, y1, x0, x1 = _largest_box(~outside)
    z = slice(int(full[0]), int(full[-1]) + 1)
    return (z, slice(y0, y1), slice(x0, x1)), float(outside.mean())


def _is_cylinder(outside):
    """Whether all that lies outside the ellipse within the slice is padding: dark air around a sample is not."""
    y, x = (2 * (np.arange(n) + 0.5) / n - 1 for n in outside.shape)
    corners = y[:, None] ** 2 + x**2 > 1.04**2
    return bool(outside[corners].mean() > 0.98)


def _is(array, constant):
    return np.isnan(array) if np.isnan(constant) else array == constant


def _largest_box(inside):
    """Largest upright rectangle of True, found on cells of a few pixels that are True throughout."""
    step = max(1, max(inside.shape) // 256)
    ny, nx = (n // step for n in inside.shape)
    cells = inside[: ny * step, : nx * step].reshape(ny, step, nx, step).all((1, 3))
    height = np.zeros(nx + 1, int)
    best, box = 0, (0, 0, 0, 0)
    for y in range(ny):
        height[:nx] = np.where(cells[y], height[:nx] + 1, 0)
        stack = [-1]
        for x in range(nx + 1):
            while stack[-1] >= 0 and height[stack[-1]] >= height[x]:
                h = int(height[stack.pop()])
                area = h * (x - stack[-1] - 1)
                if area > best:
                    best, box = area, (y + 1 - h, y + 1, stack[-1] + 1, x)
            stack.append(x)
    return tuple(int(v) * step for v in box)


def sample(source, box: tuple[slice, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return blocks that stand for the volume, stacked, and where they begin.

    Parameters
    ----------
    source : sliceable
    box : tuple of slice

    Returns
    -------
    blocks : (n, z, y, x) float32 array
        All of the box up to 3 million voxels, else 27 or so cubes of 48 voxels on a lattice: the same ones always.
    starts : (n, 3) int array
        First voxel of each, within `box`.
    """
    shape = tuple(s.stop - s.start for s in box)
    if np.prod(shape) <= SAMPLE_VOXELS:
        return np.asarray(source[box], np.float32)[None], np.zeros((1, 3), int)
    edge = [min(BLOCK, n) for n in shape]
    # as many blocks along each axis as the budget allows, in proportion to its length
    ratio = (SAMPLE_VOXELS / np.prod(shape, dtype=float)) ** (1 / 3)
    counts = [max(1, min(n // e, round(n * ratio / e))) for n, e in zip(shape, edge, strict=True)]
    places = [
        np.linspace(0, n - e, c + 2)[1:-1] if c < 2 else np.linspace(0, n - e, c)
        for n, e, c in zip(shape, edge, counts, strict=True)
    ]
    starts = np.array(
        [[round(float(v)) for v in p] for p in np.stack(np.meshgrid(*places, indexing="ij"), -1).reshape(-1, 3)]
    )
    blocks = [
        np.asarray(
            source[tuple(slice(b.start + s, b.start + s + e) for b, s, e in zip(box, start, edge, strict=True))],
            np.float32,
        )
        for start in starts
    ]
    return np.stack(blocks), starts
