"""Generalised balanced power diagrams on grids, planes and points: exact, and fast."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from .. import _checks
from ..errors import InputError

POWERS = (1, 2)
GROUP = 4  # largest blocks along an edge of the groups that the first lists of candidates are made for


class Work(NamedTuple):
    """What a diagram cost, per voxel of the grid: distances at voxels, and bounds at blocks."""

    values: float
    bounds: float


def label_grid(
    seeds: np.ndarray,
    matrices: np.ndarray,
    radii: np.ndarray,
    *,
    shape: tuple[int, int, int],
    spacing: float | tuple[float, float, float] = 1.0,
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
    power: int = 1,
    inside: np.ndarray | None = None,
    threads: int | None = None,
) -> np.ndarray:
    """Label each voxel of a grid with the grain it belongs to (paper 001, Eq. 8).

    A voxel at `x` belongs to the grain of least g(|x - s_i|_M_i) - r_i with g(t) = t or t^2. Blocks of 32, 16, 8 and 4
    voxels a side keep only the grains that can win somewhere in them, by a lower and an upper bound that no voxel
    escapes; the result equals that of `label_points` in every voxel.

    Parameters
    ----------
    seeds : (n, 3) array
        In array order (z, y, x) and in the unit of `spacing`. Seeds may coincide, and lie outside the grid.
    matrices : (n, 3, 3) array
        Symmetric and positive definite, axes in array order.
    radii : (n,) array
        Offsets r, in the unit of the norm (`power` 1) or its square (2).
    shape : (nz, ny, nx)
    spacing : float or (z, y, x)
        Edge lengths of a voxel; 1 where lengths are in voxels, as in paper 001.
    origin : (z, y, x)
        Where the centre of voxel (0, 0, 0) lies.
    power : {1, 2}
        1 as paper 001 prints, 2 as the literature has it (Alpers et al. 2015).
    inside : (nz, ny, nx) bool array, optional
        The particle; voxels outside it are 0 and cost nothing.
    threads : int, optional
        As many as numba would take by default. The labels do not depend on it.

    Returns
    -------
    (nz, ny, nx) int32 array
        0 outside, else the grain's place in `seeds` plus 1; equal distances go to the lower number. A grain that wins
        nowhere on the grid has no voxel. Empty where the shape is.

    Raises
    ------
    InputError
        No seeds, arrays that do not fit together, not finite, not symmetric, not positive definite.
    """
    return _labelled(seeds, matrices, radii, shape, spacing, origin, power, inside, threads)[0]


def work_per_voxel(seeds, matrices, radii, *, shape, spacing=1.0, origin=(0.0, 0.0, 0.0), power=1, inside=None) -> Work:
    """Return how many distances and bounds `label_grid` computes per voxel of the grid (brute force: n and 0).

    Parameters and errors are those of `label_grid`. NaN for a grid without voxels.
    """
    labels, values, bounds = _labelled(seeds, matrices, radii, shape, spacing, origin, power, inside, None)
    return Work(values / labels.size, bounds / labels.size) if labels.size else Work(np.nan, np.nan)


def label_points(points: np.ndarray, seeds, matrices, radii, *, power: int = 1, threads: int | None = None):
    """Label points with the grain they belong to, by comparing every point with every grain.

    The plain way, against which `label_grid` is tested; 1e9 to 3e9 pairs a second and thread.

    Parameters
    ----------
    points : (m, 3) array
    seeds, matrices, radii, power, threads
        As in `label_grid`.

    Returns
    -------
    (m,) int32 array
        1..n; empty without points.

    Raises
    ------
    InputError
        As `label_grid`, or points that are not finite (m, 3).
    """
    from ._power_kernels import label_all

    points = _finite(points, (None, 3), "points")
    seeds, factor, radii = checked_grains(seeds, matrices, radii)
    _checks.choice(power, POWERS, name="power")
    labels = np.empty(len(points), np.int32)
    parts = min(_threads(threads), max(1, len(points) // 64))
    cuts = [round(k * len(points) / parts) for k in range(parts + 1)]
    _together(lambda k: label_all(points, seeds, factor, radii, power, labels, cuts[k], cuts[k + 1]), parts)
    return labels


def label_section(
    seeds: np.ndarray,
    matrices: np.ndarray,
    radii: np.ndarray,
    *,
    corner: tuple[float, float, float],
    axes: np.ndarray,
    shape: tuple[int, int],
    spacing: float | tuple[float, float] = 1.0,
    power: int = 1,
    threads: int | None = None,
) -> np.ndarray:
    """Label the pixels of a plane through a diagram.

    Pixel (i, j) lies at corner + i * spacing[0] * axes[0] + j * spacing[1] * axes[1]. Seeds and matrices are turned
    into the frame of the plane and a grid of one layer is labelled there, so that the same bounds apply. Labels equal
    those of `label_points` at the pixels but for ties within rounding.

    Parameters
    ----------
    seeds, matrices, radii, power, threads
        As in `label_grid`.
    corner : (z, y, x)
        Centre of pixel (0, 0).
    axes : (2, 3) array
        Directions of rows and columns, of length 1 and perpendicular to each other (to 1e-6).
    shape : (rows, columns)
    spacing : float or (row, column)

    Returns
    -------
    shape int32 array
        1..n.

    Raises
    ------
    InputError
        As `label_grid`, or axes that span no rectangular grid.
    """
    axes = _finite(axes, (2, 3), "axes")
    if not np.allclose(axes @ axes.T, np.eye(2), atol=1e-6):
        raise InputError("`axes` must be two directions of length 1 at a right angle: the rows' and the columns'.")
    if len(shape) != 2:
        raise InputError(f"`shape` must be (rows, columns) of the section, got {tuple(shape)!r}.")
    first = axes[0] / np.linalg.norm(axes[0])
    second = axes[1] - first * (first @ axes[1])
    second /= np.linalg.norm(second)
    frame = np.stack([np.cross(first, second), first, second])
    seeds = _finite(seeds, (None, 3), "seeds")
    matrices = _finite(matrices, (len(seeds), 3, 3), "matrices")
    rows, columns = _checks.spacing(spacing, 2)
    local = (seeds - _finite(corner, (3,), "corner")) @ frame.T
    turned = frame @ matrices @ frame.T
    turned = (turned + turned.swapaxes(1, 2)) / 2 if _symmetric(matrices) else turned
    return label_grid(
        local, turned, radii, shape=(1, *shape), spacing=(1.0, rows, columns), power=power, threads=threads
    )[0]


def checked_grains(seeds, matrices, radii) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return seeds, the upper triangular factors (n, 6) of the matrices and radii, or say what is wrong with them."""
    seeds = _finite(seeds, (None, 3), "seeds")
    n = len(seeds)
    if n == 0:
        raise InputError("a diagram needs at least one seed, got none; draw again or raise the intensity.")
    matrices = _finite(matrices, (n, 3, 3), "matrices")
    radii = _finite(radii, (n,), "radii")
    if not _symmetric(matrices):
        raise InputError("`matrices` must be symmetric; a metric has no other part.")
    try:
        lower = np.linalg.cholesky(matrices)
    except np.linalg.LinAlgError:
        worst = int(np.argmin(np.linalg.eigvalsh(matrices)[:, 0]))
        raise InputError(
            f"`matrices` must be positive definite; that of grain {worst + 1} has the eigenvalues "
            f"{np.round(np.linalg.eigvalsh(matrices[worst]), 12).tolist()}."
        ) from None
    upper = lower.swapaxes(1, 2)
    return seeds, np.ascontiguousarray(upper[:, (0, 0, 0, 1, 1, 2), (0, 1, 2, 1, 2, 2)]), radii


def _labelled(seeds, matrices, radii, shape, spacing, origin, power, inside, threads):
    """Labels, and how many values and bounds they took."""
    from ._power_kernels import EDGES, candidates, label_blocks, reaches

    seeds, factor, radii = checked_grains(seeds, matrices, radii)
    spacing = np.array(_checks.spacing(spacing, 3))
    origin = _finite(origin, (3,), "origin")
    _checks.choice(power, POWERS, name="power")
    shape = tuple(int(n) for n in shape)
    if len(shape) != 3 or min(shape) < 0:
        raise InputError(f"`shape` must be three numbers of voxels (z, y, x), got {shape!r}.")
    masked = inside is not None
    inside = np.ones((1, 1, 1), bool) if inside is None else np.ascontiguousarray(inside)
    if masked and (inside.shape != shape or inside.dtype != bool):
        raise InputError(f"`inside` must be a bool array of shape {shape}, got {inside.dtype} {inside.shape}.")
    labels = np.zeros(shape, np.int32)
    if labels.size == 0:
        return labels, 0, 0

    edges = np.array([[min(edge, n) for n in shape] for edge in EDGES])
    grid = -(-np.array(shape) // edges[0])
    groups = -(-grid // GROUP)
    # centres of the voxels; blocks at the far sides are counted whole
    lines = [o + s * np.arange(g * GROUP * e) for o, s, g, e in zip(origin, spacing, groups, edges[0], strict=True)]
    size = np.sqrt(np.square(factor).sum(1))
    reach = np.stack([reaches(factor, (edge - 1) / 2 * spacing) for edge in edges])
    wide = reaches(factor, (edges[0] * GROUP - 1) / 2 * spacing)
    places = np.stack(np.unravel_index(np.arange(groups.prod()), groups), 1)
    middle = (places + 0.5) * (edges[0] * GROUP) - 0.5
    lists = [candidates(origin + spacing * m, wide, seeds, factor, size, radii, power) for m in middle]
    start = np.cumsum([0, *map(len, lists)])
    together = np.concatenate(lists)
    parts = min(_threads(threads), int(grid.prod()))
    # one thread takes every so many-th block: the outside of a particle is shared out evenly
    counts = _together(
        lambda k: label_blocks(
            lines[0], lines[1], lines[2], seeds, factor, size, radii, power, reach, edges, together, start, grid,
            GROUP, inside, masked, labels, k, parts,
        ),
        parts,
    )  # fmt: skip
    values, bounds = np.sum(counts, axis=0).tolist()
    return labels, values, bounds + len(lists) * len(seeds)


def _finite(array, shape, name) -> np.ndarray:
    array = np.ascontiguousarray(array, float)
    fits = array.ndim == len(shape) and all(n in (None, m) for n, m in zip(shape, array.shape, strict=True))
    if not fits and not (array.size == 0 and shape[0] in (None, 0)):
        words = ", ".join("n" if n is None else str(n) for n in shape)
        raise InputError(f"`{name}` must have the shape ({words}), got {array.shape}.")
    if not np.isfinite(array).all():
        raise InputError(f"`{name}` must be finite; {int((~np.isfinite(array)).sum())} values are not.")
    return array if fits else array.reshape([n or 0 for n in shape])


def _symmetric(matrices) -> bool:
    return bool(np.allclose(matrices, matrices.swapaxes(1, 2), rtol=1e-9, atol=1e-9 * np.abs(matrices).max(initial=0)))


def _threads(threads) -> int:
    import numba

    return max(1, int(threads)) if threads is not None else numba.get_num_threads()


def _together(function, parts):
    if parts == 1:
        return [function(0)]
    with ThreadPoolExecutor(parts) as pool:
        return list(pool.map(function, range(parts)))
