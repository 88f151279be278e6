"""The true numbers of a packing: closed forms where there are any, else sampled until the error is negligible."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import columns
from . import solids
from .solids import Bodies

if TYPE_CHECKING:
    import pandas as pd

    from .assembly import Packing

LATTICES = 8
LATTICE_POINTS = 4_000_000
SURFACE_POINTS, SURFACE_POINTS_IN_ALL = 800, 100_000


def inside_fraction(bodies: Bodies, low, high, *, points: int = 4096) -> np.ndarray:
    """Return the share of each body's volume that lies in a box: a Fibonacci ball of `points` points, stretched."""
    n = solids.fibonacci(points)
    # radii by an irrational step of their own, so that shells are not aligned with the spiral of directions
    radius = (((np.arange(points) + 0.5) * 0.7548776662466927) % 1) ** (1 / 3)
    share = np.ones(len(bodies))
    for k in range(len(bodies)):
        c, r = bodies.centre[k], bodies.reach[k]
        if (c - r >= low).all() and (c + r <= high).all():
            continue
        h, _ = solids._heights(bodies, k, n)
        p = (((1 + h) * radius)[:, None] * n * bodies.semi[k]) @ bodies.rotation[k] + c
        weight = (1 + h) ** 3
        share[k] = weight[((p >= low) & (p <= high)).all(1)].sum() / weight.sum()
    return share


def reaches(bodies: Bodies, low, high) -> np.ndarray:
    """Return which bodies have points within a box; exact but for the corners of bumpy ones, judged on 4096 points."""
    near = ((bodies.centre + bodies.reach > low) & (bodies.centre - bodies.reach < high)).all(1)
    within = ((bodies.centre > low) & (bodies.centre < high)).all(1)
    found = within.copy()
    doubtful = np.flatnonzero(near & ~within)
    found[doubtful] = inside_fraction(bodies[doubtful], low, high) > 0
    return found


def particle_table(packing: Packing, low, high) -> pd.DataFrame:
    """Return the particles that reach into a box; columns as `Packing.table` says."""
    import pandas as pd

    share = inside_fraction(packing.bodies, low, high)
    outside = ~((packing.bodies.centre + packing.bodies.reach > low)
                & (packing.bodies.centre - packing.bodies.reach < high)).all(1)  # fmt: skip
    rows = np.flatnonzero((share > 0) & ~outside)
    b = packing.bodies[rows]
    volume, surface = solids.volume(b), solids.surface(b)
    semi = np.sort(b.semi, axis=1)
    table = {
        columns.Z: b.centre[:, 0],
        columns.Y: b.centre[:, 1],
        columns.X: b.centre[:, 2],
        columns.VOLUME: volume,
        columns.SURFACE: surface,
        columns.DIAMETER: np.cbrt(6 / np.pi * volume),
        columns.SPHERICITY: np.pi ** (1 / 3) * (6 * volume) ** (2 / 3) / surface,
        "semi_long_um": semi[:, 2],
        "semi_mid_um": semi[:, 1],
        "semi_short_um": semi[:, 0],
        "aspect": b.semi[:, 0] / b.semi[:, 1],
        "axis_z": b.rotation[:, 0, 0],
        "axis_y": b.rotation[:, 0, 1],
        "axis_x": b.rotation[:, 0, 2],
        "crack_volume_um3": solids.crack_volume(b),
        "crack_width_um": b.crack[:, 7],
        columns.TOUCHES_EDGE: ((b.centre - b.reach < low) | (b.centre + b.reach > high)).any(1),
        "inside_fraction": share[rows],
    }
    table.update({name: values[rows] for name, values in packing.extra.items()})
    return pd.DataFrame(table, index=pd.Index(packing.label[rows], name=columns.LABEL))


def truth(packing: Packing, low, high) -> dict[str, float]:
    """Return the true numbers of a packing within a box.

    Parameters
    ----------
    packing : Packing
    low, high : (3,) arrays
        Corners of the box, um.

    Returns
    -------
    dict
        ``porosity, active_fraction, binder_fraction, crack_fraction`` (cracks are part of the pore) and their
        ``..._se``: counted on 4 pairs of lattices of 4 million points, shifted at random, the standard error from
        their scatter. ``surface_um2_per_um3``: area between active material and all else per volume of the box, cut
        faces of the box not counted, crack walls included; ``surface_pore_um2_per_um3``: the part that binder does
        not cover. Both from at least 800 points a particle in 8 random turns, with ``_se``. ``n_particles`` (that
        reach into the box) and ``n_whole`` (that no face cuts): counted. ``d10_um, d50_um, d90_um, d50_volume_um``:
        exact, of the population (after cycling: times the median growth); ``d50_whole_um``: median of the particles
        that no face cuts.
    """
    fractions = _fractions(packing, low, high, points=LATTICE_POINTS)
    mean, se = fractions.mean(0), fractions.std(0, ddof=1) / np.sqrt(len(fractions))
    area, covered, area_se = _surface(packing, low, high)
    table = particle_table(packing, low, high)
    whole = ~table[columns.TOUCHES_EDGE]
    p = packing.params
    return {
        "porosity": float(mean[0]),
        "porosity_se": float(se[0]),
        "active_fraction": float(mean[1]),
        "active_fraction_se": float(se[1]),
        "binder_fraction": float(mean[2]),
        "binder_fraction_se": float(se[2]),
        "crack_fraction": float(mean[3]),
        "crack_fraction_se": float(se[3]),
        "surface_um2_per_um3": area,
        "surface_um2_per_um3_se": area_se,
        "surface_pore_um2_per_um3": area - covered,
        "n_particles": len(table),
        "n_whole": int(whole.sum()),
        "d10_um": packing.growth * p.diameter_quantile(0.1),
        "d50_um": packing.growth * p.diameter_quantile(0.5),
        "d90_um": packing.growth * p.diameter_quantile(0.9),
        "d50_volume_um": packing.growth * p.diameter_quantile(0.5, basis="volume"),
        "d50_whole_um": float(table.loc[whole, columns.DIAMETER].median()) if whole.any() else float("nan"),
        "sphericity_mean": float(table[columns.SPHERICITY].mean()) if len(table) else float("nan"),
        "neck_um": packing.neck_um,
    }


def profile(packing: Packing, low, high, *, n: int, axis: int) -> pd.DataFrame:
    """Return the true fractions in `n` slabs of equal thickness across `axis`.

    Returns
    -------
    DataFrame
        ``low_um, high_um, porosity, active_fraction, binder_fraction``, counted on about 8 million points in all.
    """
    import pandas as pd

    size = (np.asarray(high) - low).copy()
    size[axis] /= n
    rows = []
    for k in range(n):
        corner = np.array(low, float)
        corner[axis] += k * size[axis]
        f = _fractions(packing, corner, corner + size, points=max(LATTICE_POINTS // (4 * n), 50_000)).mean(0)
        rows.append((corner[axis], corner[axis] + size[axis], *f[:3]))
    return pd.DataFrame(rows, columns=["low_um", "high_um", "porosity", "active_fraction", "binder_fraction"])


def spheres_union(packing: Packing) -> tuple[float, float] | None:
    """Return active volume and surface of a periodic packing of smooth spheres, in closed form.

    Spheres less the lens and the two caps of each overlapping pair; None where the packing is not periodic, has other
    bodies or cracks, or where three spheres share a point, for then this is not exact.

    Returns
    -------
    (float, float) or None
        um3 and um2 in one period.
    """
    b, box = packing.bodies, np.array(packing.size_um)
    smooth = np.allclose(b.semi, b.semi[:, :1]) and not b.rise.any() and not b.crack[:, 7].any()
    if not (packing.params.periodic and smooth):
        return None
    _, first = np.unique(packing.origin, return_index=True)
    r, c = b.semi[first, 0], b.centre[first]
    volume, surface = 4 / 3 * np.pi * (r**3).sum(), 4 * np.pi * (r**2).sum()
    rows = _overlapping(c, r, box)
    for i, j, d in rows:
        lens = np.pi * (r[i] + r[j] - d) ** 2 / (12 * d)
        volume -= lens * (d * d + 2 * d * (r[i] + r[j]) - 3 * (r[i] - r[j]) ** 2)
        surface -= 2 * np.pi * r[i] * (r[i] - (d * d + r[i] ** 2 - r[j] ** 2) / (2 * d))
        surface -= 2 * np.pi * r[j] * (r[j] - (d * d + r[j] ** 2 - r[i] ** 2) / (2 * d))
    return (volume, surface) if _no_three_meet(c, r, box, rows) else None


def _overlapping(c, r, box):
    found = []
    for i in range(len(r)):
        d = c[i + 1 :] - c[i]
        d -= box * np.round(d / box)
        length = np.linalg.norm(d, axis=1)
        found += [(i, i + 1 + int(j), float(length[j])) for j in np.flatnonzero(length < r[i] + r[i + 1 :])]
    return found


def _no_three_meet(c, r, box, rows) -> bool:
    """True if no third sphere reaches the lens of any pair: tested against the ball that holds the lens."""
    for i, j, d in rows:
        along = (d * d + r[i] ** 2 - r[j] ** 2) / (2 * d)
        rim = np.sqrt(max(r[i] ** 2 - along**2, 0.0))
        e = c[j] - c[i]
        middle = c[i] + (e - box * np.round(e / box)) * along / d
        far = c - middle
        gap = np.linalg.norm(far - box * np.round(far / box), axis=1) - r
        gap[[i, j]] = np.inf
        if gap.min() < max(rim, r[i] - along, r[j] - (d - along)):
            return False
    return True


def _fractions(packing: Packing, low, high, *, points: int) -> np.ndarray:
    """Pore (cracks included), active, binder and cracks on lattices shifted at random, one row a pair of lattices."""
    size = np.asarray(high, float) - low
    shape = np.maximum(np.round(size * (points / size.prod()) ** (1 / 3)).astype(int), 4)
    spacing = size / shape
    # a fixed stream of its own: truth does not depend on what was drawn before
    rng = np.random.default_rng(20240613)
    rows = []
    for _ in range(LATTICES // 2):
        shift = rng.uniform(0, 1, 3)
        # a shift and its mirror: what the box's faces do to the count cancels to first order
        rows.append(np.mean([_count(packing, low + spacing * u, spacing, shape) for u in (shift, 1 - shift)], axis=0))
    return np.array(rows)


def _count(packing, origin, spacing, shape):
    """Shares of pore (cracks included), active, binder and cracks among the points of one lattice."""
    owner = packing._owner(spacing, tuple(shape), origin)
    phase = packing._phases(owner, spacing=spacing, origin=origin)
    count = np.bincount(phase.ravel(), minlength=3) / phase.size
    return [*count, np.count_nonzero(owner < 0) / owner.size]


def _surface(packing: Packing, low, high) -> tuple[float, float, float]:
    """Active surface per volume within a box, the part of it that binder covers, and the standard error."""
    b = packing.bodies
    near = ((b.centre + b.reach > low) & (b.centre - b.reach < high)).all(1)
    start, neighbour = neighbours(b, packing.neck_um)
    rng = np.random.default_rng(20240614)
    points = max(SURFACE_POINTS, SURFACE_POINTS_IN_ALL // max(int(near.sum()), 1))
    results = np.array([_one_turn(packing, np.flatnonzero(near), points, start, neighbour, low, high, rng)
                        for _ in range(LATTICES)])  # fmt: skip
    results /= np.prod(np.asarray(high) - low)
    return float(results[:, 0].mean()), float(results[:, 1].mean()), float(results[:, 0].std(ddof=1) / LATTICES**0.5)


def _one_turn(packing, rows, points_each, start, neighbour, low, high, rng):
    """Area exposed and area under binder from one randomly turned set of points on each body."""
    from .raster import clearance

    b = packing.bodies
    parts = [(np.zeros((0, 3)), np.zeros(0), np.zeros(0, int))]
    for k in rows:
        n = solids.fibonacci(points_each) @ np.linalg.qr(rng.standard_normal((3, 3)))[0]
        p, per = solids.surface_points(b, k, n)
        free = ((p >= low) & (p <= high)).all(1)
        parts.append((p[free], 4 * np.pi * per[free] / len(n), np.full(int(free.sum()), k)))
    p, area, own = (np.concatenate(part) for part in zip(*parts, strict=True))
    gap = clearance(p, own, start, neighbour, b, within_um=packing.neck_um)
    within = ((b.centre >= low) & (b.centre <= high)).all(1)
    walls = solids.crack_surface(b)[within].sum()
    return area[gap >= 0].sum() + walls, area[(gap >= 0) & (gap < packing.neck_um)].sum()


def neighbours(b: Bodies, gap: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the bodies whose bounding boxes come within `gap` of each other, as offsets and a flat list."""
    from scipy.spatial import cKDTree

    bound = b.reach.max(1)
    pairs = cKDTree(b.centre).query_pairs(2 * bound.max(initial=0.0) + gap, output_type="ndarray")
    apart = np.abs(b.centre[pairs[:, 0]] - b.centre[pairs[:, 1]])
    pairs = pairs[(apart < b.reach[pairs].sum(1) + gap).all(1)]
    both = np.concatenate([pairs, pairs[:, ::-1]])
    both = both[np.argsort(both[:, 0], kind="stable")]
    start = np.searchsorted(both[:, 0], np.arange(len(b) + 1))
    return start, np.ascontiguousarray(both[:, 1])
