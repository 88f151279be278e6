"""Particles of two volumes matched one to one: where each one went, and which have no counterpart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .. import columns
from ..errors import InputError
from .volumes import Transform

if TYPE_CHECKING:
    import pandas as pd

CENTRE = [columns.Z, columns.Y, columns.X]
MATCHED, LOST, NEW, CUT, OUTSIDE = "matched", "lost", "new", "cut", "outside"
STATUS = (MATCHED, LOST, NEW, CUT, OUTSIDE)
FIRST_GATE = 0.5  # of the diameter: how far a particle may lie from its prediction before the local motion is known
LEAST_GATE = 0.12  # of the diameter, once it is: rough labels move a centre by some per cent
SIZE_GATE = 0.45  # in ln(volume), about the median change
SPREADS = 5.0  # robust standard deviations that a pair may be off
NEIGHBOURS = 12
ROUNDS = 8
SHAPE_WEIGHT = 0.5


def match_particles(before: pd.DataFrame, after: pd.DataFrame, *, transform: Transform | None = None) -> pd.DataFrame:
    """Find the counterpart of each particle in a second volume of the same electrode.

    Parameters
    ----------
    before, after : DataFrame
        Index `label`; ``z_um``, ``y_um``, ``x_um``, ``volume_um3``, and ``touches_edge`` and ``sphericity`` where
        there are such columns.
    transform : Transform, optional
        From the first volume to the second; identity by default.

    Returns
    -------
    DataFrame
        One row for each particle of either volume: first those of `before` in their order, then those of `after`
        without counterpart. ``before``, ``after`` (labels, -1 for none), ``status``, ``distance_um`` (from where its
        neighbours say it should be), ``dz_um``, ``dy_um``, ``dx_um`` (motion beyond the transform, in the second
        frame), ``volume_ratio`` (after over before), ``confidence`` (0 to 1). NaN where there is no counterpart.
        Status is "matched"; "lost" (in the first alone), "new" (in the second alone), "cut" (it or its counterpart is
        cut by the faces, so its volume is not known), "outside" (its place lies outside the other volume). Only
        "matched" rows are whole particles on both sides.

    Raises
    ------
    InputError
        A column is missing, or positions and volumes are no finite positive numbers.

    Notes
    -----
    A pair costs the squared distance between predicted and found centre, in units of its gate, plus the squared
    difference in ln(volume) about the median change, plus the difference in sphericity. The cheapest one-to-one
    assignment (scipy's linear_sum_assignment) of the pairs within the gates is found; the motion that the transform
    leaves over is read from each particle's nearest matched neighbours, never from itself, as a straight-line trend
    fitted with robust weights; then gates narrow to the spread that is seen, and the assignment is made again until
    it stands. A particle that is gone leaves a hole of its own size, wider than the gate, so its neighbours are
    not taken for it.
    """
    a, b = _Particles.of(before, "before"), _Particles.of(after, "after")
    transform = transform or Transform.identity()
    predicted = transform.apply(a.centre)
    growth = abs(float(np.linalg.det(transform.matrix)))
    pairs = _Pairs.none()
    drift, gate, centre_of_size = np.zeros_like(predicted), FIRST_GATE, np.log(growth)
    for _ in range(ROUNDS):
        new = _assigned(a, b, predicted + drift, gate=gate, size=centre_of_size)
        same = new.same_as(pairs)
        pairs = _without_outliers(a, b, predicted, new)
        if same and gate < FIRST_GATE:
            break
        if len(pairs.first) >= 4:
            drift = _local_motion(predicted, b.centre, pairs)
            gate, centre_of_size = _narrowed(a, b, predicted + drift, pairs)
    return _table(a, b, predicted, drift, pairs)


@dataclass(frozen=True)
class _Particles:
    label: np.ndarray
    centre: np.ndarray
    volume: np.ndarray
    cut: np.ndarray
    sphericity: np.ndarray

    @classmethod
    def of(cls, table, name):
        missing = [c for c in (*CENTRE, columns.VOLUME) if c not in table.columns]
        if missing:
            raise InputError(f"`{name}` needs the columns {', '.join(missing)}; see `measure.solid_particles`.")
        centre, volume = table[CENTRE].to_numpy(float), table[columns.VOLUME].to_numpy(float)
        if not (np.isfinite(centre).all() and np.isfinite(volume).all() and (volume > 0).all()):
            raise InputError(f"`{name}` must hold finite positions and positive volumes.")
        if not table.index.is_unique:
            raise InputError(f"`{name}` names a particle twice; its index must be the label.")
        cut = (
            table[columns.TOUCHES_EDGE].to_numpy(bool) if columns.TOUCHES_EDGE in table else np.zeros(len(table), bool)
        )
        shape = (
            table[columns.SPHERICITY].to_numpy(float) if columns.SPHERICITY in table else np.full(len(table), np.nan)
        )
        return cls(table.index.to_numpy(), centre, volume, cut, shape)

    @property
    def diameter(self):
        return np.cbrt(6 * self.volume / np.pi)


@dataclass(frozen=True)
class _Pairs:
    first: np.ndarray  # rows of `before`
    second: np.ndarray  # rows of `after`
    cost: np.ndarray

    @classmethod
    def none(cls):
        return cls(np.zeros(0, int), np.zeros(0, int), np.zeros(0))

    def kept(self, which):
        return _Pairs(self.first[which], self.second[which], self.cost[which])

    def same_as(self, other):
        return np.array_equal(self.first, other.first) and np.array_equal(self.second, other.second)


def _assigned(a, b, place, *, gate, size):
    """Cheapest one-to-one assignment of the pairs within the gates; `gate` in diameters."""
    first, second = _near(place, b.centre, gate * a.diameter)
    distance = np.linalg.norm(place[first] - b.centre[second], axis=1) / (gate * a.diameter[first])
    swollen = np.log(b.volume[second] / a.volume[first]) - size
    # the part that is in view says neither where the middle is nor how large it is
    either_cut = a.cut[first] | b.cut[second]
    fits = (np.abs(swollen) < SIZE_GATE) | either_cut
    shape = np.nan_to_num(a.sphericity[first] - b.sphericity[second]) / 0.1
    cost = distance**2 + np.where(either_cut, 1.0, (swollen / SIZE_GATE) ** 2) + SHAPE_WEIGHT * np.minimum(shape**2, 1)
    return _cheapest(first[fits], second[fits], cost[fits], len(a.label), len(b.label))


def _near(place, centre, radius):
    from scipy.spatial import cKDTree

    if len(place) == 0 or len(centre) == 0:
        return np.zeros(0, int), np.zeros(0, int)
    found = cKDTree(centre).query_ball_point(place, radius)
    return np.repeat(np.arange(len(place)), [len(f) for f in found]), np.concatenate(found).astype(int)


def _cheapest(first, second, cost, n, m):
    """Best assignment in each connected group of candidates; to stay alone costs more than any pair."""
    from scipy.optimize import linear_sum_assignment
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if len(first) == 0:
        return _Pairs.none()
    graph = coo_array((np.ones(len(first)), (first, second + n)), shape=(n + m, n + m))
    group = connected_components(graph, directed=False)[1][first]
    order = np.argsort(group, kind="stable")
    out = []
    for rows in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        i, at_i = np.unique(first[rows], return_inverse=True)
        j, at_j = np.unique(second[rows], return_inverse=True)
        alone = 2 * float(cost[rows].max()) + 10.0
        table = np.full((len(i), len(j)), alone * (len(i) + len(j)))
        table[at_i, at_j] = cost[rows]
        p, q = linear_sum_assignment(table)
        real = table[p, q] < alone
        out.append(np.stack([i[p[real]], j[q[real]], table[p[real], q[real]]]))
    found = np.concatenate(out, axis=1)
    found = found[:, np.argsort(found[0])]
    return _Pairs(found[0].astype(int), found[1].astype(int), found[2])


def _without_outliers(a, b, predicted, pairs):
    """Take out pairs that move otherwise than their neighbours do."""
    if len(pairs.first) < 8:
        return pairs
    own = b.centre[pairs.second] - predicted[pairs.first]
    off = np.linalg.norm(own - _trend(predicted, pairs, own)[pairs.first], axis=1)
    whole = ~(a.cut[pairs.first] | b.cut[pairs.second])
    usual = np.median(off[whole]) if whole.any() else np.median(off)
    limit = np.maximum(SPREADS * usual, LEAST_GATE * a.diameter[pairs.first])
    # the centre of a part moves by up to a radius when more of it comes into view
    limit = np.where(whole, limit, np.maximum(limit, FIRST_GATE * a.diameter[pairs.first]))
    return pairs.kept(off <= limit)


def _local_motion(predicted, centre, pairs):
    own = centre[pairs.second] - predicted[pairs.first]
    return _trend(predicted, pairs, own)


def _trend(predicted, pairs, own):
    """Motion of the matched neighbours of each particle, as a robust straight-line trend at its place."""
    from scipy.spatial import cKDTree

    k = min(NEIGHBOURS + 1, len(pairs.first))
    distance, near = cKDTree(predicted[pairs.first]).query(predicted, k=k)
    distance, near = distance.reshape(len(predicted), k), near.reshape(len(predicted), k)
    weight = 1 / (1 + (distance / np.maximum(np.median(distance, axis=1, keepdims=True), 1e-9)) ** 2)
    weight[pairs.first[near] == np.arange(len(predicted))[:, None]] = 0  # never from itself
    move = own[near]
    middle = _weighted_median(move, weight)
    spread = np.median(np.linalg.norm(move - middle[:, None], axis=2), axis=1, keepdims=True) + 1e-9
    weight = weight / (1 + (np.linalg.norm(move - middle[:, None], axis=2) / (2 * spread)) ** 2) ** 2
    if k < 8:
        return middle
    relative = predicted[pairs.first][near] - predicted[:, None]
    scale = np.sqrt((weight[..., None] * relative**2).sum((1, 2)) / weight.sum(1))[:, None, None] + 1e-9
    design = np.concatenate([np.ones((*near.shape, 1)), relative / scale], axis=2)
    normal = np.einsum("nki,nk,nkj->nij", design, weight, design)
    # a little ridge on the slopes: neighbours that lie in one plane determine no slope across it
    normal += np.diag([0, 1, 1, 1]) * (0.1 * weight.sum(1))[:, None, None]
    return np.linalg.solve(normal, np.einsum("nki,nk,nkd->nid", design, weight, move))[:, 0]


def _weighted_median(values, weight):
    """Median along axis 1 of (n, k, 3) values with weights (n, k)."""
    order = np.argsort(values, axis=1)
    sorted_values = np.take_along_axis(values, order, 1)
    running = np.cumsum(np.take_along_axis(weight[..., None] + 0 * values, order, 1), axis=1)
    at = (running >= 0.5 * running[:, -1:]).argmax(axis=1)
    return np.take_along_axis(sorted_values, at[:, None], 1)[:, 0]


def _narrowed(a, b, place, pairs):
    """Gate in diameters and the usual change of ln(volume), from the pairs of whole particles."""
    whole = ~(a.cut[pairs.first] | b.cut[pairs.second])
    if whole.sum() < 4:
        return FIRST_GATE, 0.0
    first, second = pairs.first[whole], pairs.second[whole]
    off = np.linalg.norm(place[first] - b.centre[second], axis=1) / a.diameter[first]
    usual = float(np.median(np.log(b.volume[second] / a.volume[first])))
    return float(np.clip(SPREADS * np.median(off) / 1.54, LEAST_GATE, FIRST_GATE)), usual


def _table(a, b, predicted, drift, pairs):
    import pandas as pd

    n = len(a.label)
    partner = np.full(n, -1)
    partner[pairs.first] = pairs.second
    alone = np.setdiff1d(np.arange(len(b.label)), pairs.second)
    status = np.array([MATCHED if p >= 0 else LOST for p in partner], dtype=object)
    paired = partner >= 0
    cut = a.cut.copy()
    cut[paired] |= b.cut[partner[paired]]
    status[cut] = CUT
    place = predicted + drift
    low, high = _view(b)
    status[~paired & ~((place > low) & (place < high)).all(axis=1)] = OUTSIDE
    off = np.where(paired[:, None], b.centre[partner] - place, np.nan) if len(b.label) else np.full((n, 3), np.nan)
    move = off + drift
    ratio = np.where(paired, b.volume[partner] / a.volume, np.nan) if len(b.label) else np.full(n, np.nan)
    confidence = np.full(n, np.nan)
    confidence[pairs.first] = np.exp(-0.5 * pairs.cost)
    rows = pd.DataFrame(
        {
            "before": a.label,
            "after": np.where(paired, b.label[partner], -1) if len(b.label) else -1,
            "status": status,
            "distance_um": np.linalg.norm(off, axis=1),
            "dz_um": move[:, 0],
            "dy_um": move[:, 1],
            "dx_um": move[:, 2],
            "volume_ratio": ratio,
            "confidence": confidence,
        }
    )
    more = pd.DataFrame(
        {"before": -1, "after": b.label[alone], "status": _alone(b, alone, place)},
        columns=["before", "after", "status"],
    )
    both = pd.concat([rows, more], ignore_index=True) if len(more) else rows
    return both.astype({"before": np.int64, "after": np.int64, "status": str})


def _view(b):
    """Box that the centres of the second volume fill: what lies outside was not in view."""
    if len(b.label) == 0:
        return np.full(3, np.inf), np.full(3, -np.inf)
    return b.centre.min(axis=0), b.centre.max(axis=0)


def _alone(b, alone, place):
    """Status of particles of the second volume that have no counterpart."""
    if len(alone) == 0:
        return np.zeros(0, dtype=object)
    status = np.full(len(alone), NEW, dtype=object)
    if len(place):
        low, high = place.min(axis=0), place.max(axis=0)
        status[~((b.centre[alone] > low) & (b.centre[alone] < high)).all(axis=1)] = OUTSIDE
    status[b.cut[alone]] = CUT
    return status
