"""Regions at the corners of the lattice that a mesh is cut from."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from .power_diagram import label_grid
from .shells import shell_radius

MARGIN = 2  # cells round the box
MOST_CELLS = 60_000_000


def codes_on_lattice(regions, matrices, low, high, cell):
    """Return the regions at the corners of the lattice, (2, nz, ny, nx) for corners and centres, and its origin."""
    shape = np.ceil((high - low) / cell - 1e-9).astype(np.int64) + 1 + 2 * MARGIN
    if shape.prod() > MOST_CELLS:
        raise InputError(f"{shape.prod():.3g} cells are more than {MOST_CELLS:.3g}; raise `cell_um` above {cell:g}.")
    origin = low - MARGIN * cell
    out = [_codes_of(regions, matrices, shape, origin + k * cell / 2, cell) for k in (0, 1)]
    return np.stack(out), origin


def _codes_of(regions, matrices, shape, origin, cell):
    axes = [o + cell * np.arange(m) for o, m in zip(origin, shape, strict=True)]
    best, code = _outside_box(regions, axes)
    if len(regions.coefficients):
        level = _shell_levels(regions, axes)
        beyond = level > best
        best, code = np.where(beyond, level, best), np.where(beyond, len(regions.seeds) + 1, code)
    inside = np.ascontiguousarray(best <= 0)
    labels = label_grid(
        regions.seeds, matrices, regions.radii, shape=tuple(shape.tolist()), spacing=cell, origin=tuple(origin),
        power=regions.power, inside=inside,
    )  # fmt: skip
    return np.where(inside, labels, code).astype(np.int32)


def _outside_box(regions, axes):
    """Return the largest level of the planes of the box, and whose it is."""
    shape = [len(line) for line in axes]
    best, code = np.full(shape, -np.inf), np.zeros(shape, np.int32)
    for axis, line in enumerate(axes):
        for side, far in enumerate((regions.box[0, axis] - line, line - regions.box[1, axis])):
            level = np.broadcast_to(np.expand_dims(far, [k for k in range(3) if k != axis]), shape)
            beyond = level > best
            best = np.where(beyond, level, best)
            code = np.where(beyond, len(regions.seeds) + 2 + 2 * axis + side, code)
    return best, code


def _shell_levels(regions, axes):
    """Return levels of the shell: right in sign everywhere, exact where its radius matters."""
    from ._tet_field import shell_levels

    z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
    radius = np.sqrt(z * z + y * y + x * x)
    smallest, largest = _range(regions.coefficients)
    level = radius - np.where(radius < smallest, smallest, largest)
    near = np.nonzero((radius >= smallest) & (radius <= largest))
    level[near] = shell_levels(regions, np.stack([line[k] for line, k in zip(axes, near, strict=True)], 1))
    return level


def _range(coefficients):
    """Return radii that no point of the shell lies below or above, with what lies between the directions."""
    radii = shell_radius(coefficients)
    slack = 0.05 * np.ptp(radii) + 1e-6 * radii.max()
    return max(0.0, radii.min() - slack), radii.max() + slack


def reaches_box(codes, kept, n) -> bool:
    """Say whether a kept grain has a corner next to one beyond the box."""
    inside, beyond = kept[codes], codes >= n + 2
    corner, centre = beyond
    near = np.zeros(corner.shape, bool)
    for shift in np.ndindex(2, 2, 2):
        # corners round a centre
        cut = tuple(slice(s, m - 1 + s) for s, m in zip(shift, corner.shape, strict=True))
        near[:-1, :-1, :-1] |= corner[cut] & inside[1][:-1, :-1, :-1]
        near[:-1, :-1, :-1] |= centre[:-1, :-1, :-1] & inside[0][cut]
    return bool(near.any())
