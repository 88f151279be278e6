"""Putting bodies side by side in a periodic box: random places, then overlaps relaxed. Imported lazily (numba)."""

from __future__ import annotations

import numpy as np
from numba import njit
from scipy.spatial import cKDTree

from .solids import Bodies

SKIN = 0.15  # of the largest diameter: how far pairs are listed beyond contact
TOLERANCE = 0.002  # of the contact distance
SPREAD, PULL, REACH = 0.06, 0.25, 0.15


def settle(bodies: Bodies, box_um, *, overlap: float) -> tuple[Bodies, float]:
    """Pack bodies: first spread them out evenly, then let near neighbours draw together, then relax.

    Random places alone leave holes of several particle diameters; bodies spread out alone hardly touch. Arguments and
    results as for `relax`.
    """
    bodies, _ = relax(bodies, box_um, overlap=-SPREAD, steps=120)
    bodies, _ = relax(bodies, box_um, overlap=overlap, pull=PULL, steps=60)
    return relax(bodies, box_um, overlap=overlap)


def relax(bodies: Bodies, box_um, *, overlap: float, pull: float = 0.0, steps: int = 600) -> tuple[Bodies, float]:
    """Push bodies apart in a periodic box until none lie deeper in each other than allowed.

    Parameters
    ----------
    bodies : Bodies
        Centres anywhere; they come back within the box. Orientations stay.
    box_um : (3,) array
        Period along z, y, x.
    overlap : float
        By which share of their contact distance two bodies may interpenetrate; below 0 they keep apart.
    pull : float
        Bodies that miss each other by less than 0.15 of their contact distance move together by this share of the gap.
    steps : int
        At most; all of them where there is a pull.

    Returns
    -------
    Bodies
    float
        Largest remaining excess over the allowed overlap, as a share of the contact distance; above 0.002
        when the box is too full.

    Notes
    -----
    The contact distance of two ellipsoids along the line of their centres is |d| / sqrt(F) with F = l (1 - l) d^T
    ((1 - l) A_i + l A_j)^-1 d at l = r_i / (r_i + r_j): Perram and Wertheim (1985) with l at its value for
    spheres instead of the maximum, so exact for spheres and slightly generous for others.
    """
    box = np.asarray(box_um, float)
    centre = bodies.centre % box
    shape = np.ascontiguousarray(bodies.shape_matrix)
    radius = bodies.semi.prod(1) ** (1 / 3)
    bound = bodies.reach.max(1)
    excess, travelled, pairs = 0.0, np.inf, None
    skin = SKIN * 2 * radius.max(initial=0.0)
    for _ in range(steps):
        if pairs is None or travelled > 0.5 * skin:
            centre %= box
            pairs, travelled = _pairs(centre, bound, box, skin), 0.0
        excess, step = _push(centre, pairs, shape, radius, box, 1 - overlap, pull)
        travelled += step
        if excess < TOLERANCE and not pull:
            break
    return bodies.replace(centre=centre % box), float(excess)


def _pairs(centre, bound, box, skin):
    """Pairs whose bounding spheres come within `skin` of each other."""
    reach = min(2 * bound.max(initial=0.0) + skin, 0.499 * box.min())
    tree = cKDTree(np.minimum(centre, np.nextafter(box, 0)), boxsize=box)
    pairs = tree.query_pairs(reach, output_type="ndarray")
    d = centre[pairs[:, 1]] - centre[pairs[:, 0]]
    d -= box * np.round(d / box)
    near = np.linalg.norm(d, axis=1) < bound[pairs].sum(1) + skin
    pairs = pairs[near]
    return np.ascontiguousarray(pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))])


@njit(cache=True)
def _push(centre, pairs, shape, radius, box, allowed, pull):
    """One sweep: each pair moves along its centres, apart where it overlaps too much or together by the pull."""
    move = np.zeros_like(centre)
    worst = 0.0
    d = np.zeros(3)
    for m in range(len(pairs)):
        i, j = pairs[m]
        for a in range(3):
            d[a] = centre[j, a] - centre[i, a]
            d[a] -= box[a] * np.round(d[a] / box[a])
        t = radius[i] / (radius[i] + radius[j])
        s = (1 - t) * shape[i] + t * shape[j]
        # d^T s^-1 d by cofactors of the symmetric 3 x 3 matrix
        c00 = s[1, 1] * s[2, 2] - s[1, 2] ** 2
        c11 = s[0, 0] * s[2, 2] - s[0, 2] ** 2
        c22 = s[0, 0] * s[1, 1] - s[0, 1] ** 2
        c01 = s[0, 2] * s[1, 2] - s[0, 1] * s[2, 2]
        c02 = s[0, 1] * s[1, 2] - s[0, 2] * s[1, 1]
        c12 = s[0, 1] * s[0, 2] - s[1, 2] * s[0, 0]
        det = s[0, 0] * c00 + s[0, 1] * c01 + s[0, 2] * c02
        form = c00 * d[0] ** 2 + c11 * d[1] ** 2 + c22 * d[2] ** 2
        form += 2 * (c01 * d[0] * d[1] + c02 * d[0] * d[2] + c12 * d[1] * d[2])
        f = np.sqrt(max(t * (1 - t) * form / det, 1e-6))
        if f < allowed:
            worst = max(worst, allowed - f)
            # 0.6 on either side: a little too far, which settles crowds sooner than exactly half
            push = 0.6 * min(allowed / f - 1, 0.5)
        elif f < allowed + REACH:
            push = 0.5 * pull * (allowed / f - 1)
        else:
            continue
        for a in range(3):
            move[i, a] -= push * d[a]
            move[j, a] += push * d[a]
    largest = 0.0
    for i in range(len(centre)):
        length = np.sqrt(move[i, 0] ** 2 + move[i, 1] ** 2 + move[i, 2] ** 2)
        limit = 0.3 * radius[i]
        scale = limit / length if length > limit else 1.0
        largest = max(largest, scale * length)
        for a in range(3):
            centre[i, a] += scale * move[i, a]
    return worst, largest
