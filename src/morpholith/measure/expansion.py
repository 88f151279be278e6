"""How much particles grew between two volumes: the same particles, matched, beside the shift of the population."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .. import columns
from ..errors import InputError, InputWarning
from ..image import Quantity
from . import _volumes
from ._growth import DIRECTIONS, GRID_ERROR, directions, growth, radii, rotation_of
from .grey_volume import VOLUME_SE, fill_holes, grey_volumes

if TYPE_CHECKING:
    import pandas as pd

BOOTSTRAPS = 2000
FEW = 10
EXPANSION, EXPANSION_SE = "expansion", "expansion_se"
BY_GREY = "expansion_grey"
FREE = "free_surface"


@dataclass(frozen=True)
class Expansion:
    """Change of particle volume between two volumes, over the volume before.

    Attributes
    ----------
    particles : DataFrame
        One row a matched particle: ``before``, ``after`` (labels), ``volume_um3``, ``volume_after_um3``,
        ``expansion``, ``expansion_se``, ``low``, ``high``, ``expansion_grey`` (ratio of the grey volumes less one),
        ``free_surface`` (share of the surface that was used). NaN where too little of the surface is free.
    matched : Quantity
        Volume-weighted mean over matched particles.
    matched_median : Quantity
    matched_grey : Quantity
        Volume-weighted, from the grey volumes alone, which cannot see growth into a neighbour.
    population : Quantity
        From the two size distributions, whoever the particles are: cube of the ratio of the median diameters, less
        one.
    n_matched : int
    warnings : tuple of str
    """

    particles: pd.DataFrame
    matched: Quantity
    matched_median: Quantity
    matched_grey: Quantity
    population: Quantity
    n_matched: int
    warnings: tuple[str, ...] = ()


def expansion(
    matches: pd.DataFrame,
    before: tuple[np.ndarray, np.ndarray],
    after: tuple[np.ndarray, np.ndarray],
    *,
    spacing: Sequence[float],
    moving_spacing: Sequence[float] | None = None,
    matrix: np.ndarray | None = None,
    level: float = 0.95,
    rng: np.random.Generator | int = 0,
) -> Expansion:
    """Measure how much each matched particle grew, and the mean with its interval.

    Parameters
    ----------
    matches : DataFrame
        From `track.match_particles`: ``before``, ``after``, ``status``; rows with status "matched" are used.
    before, after : (grey, labels)
        The two volumes, (z, y, x), and their particles.
    spacing, moving_spacing : (float, float, float)
        Voxel edges (z, y, x) in um of the first and of the second volume; the same where one is given.
    matrix : (3, 3) array, optional
        How the second volume is turned against the first (`Transform.matrix`; stretch in it is ignored).
    level : float
    rng : Generator or int

    Returns
    -------
    Expansion
        Without a matched particle the quantities are NaN with a warning, and the table is empty.

    Raises
    ------
    InputError
        Labels and grey volumes do not fit together, or `matches` names particles that are not there.

    Notes
    -----
    Particles in an electrode touch, and what grows into a neighbour cannot be seen: volumes of segmented particles,
    counted or summed from grey levels, understate growth. So growth is read from the free surface. From the middle
    of a particle 320 rays go out; each finds where the smoothed grey level falls through the middle between the
    levels of pore and active material there, to a fraction of a voxel. Rays count where no other particle lies
    within 4.5 voxels of the surface, in both volumes. With r before and r' after, r' - r is fitted by
    g (r + r') / 2 + d . n (d the error of the middle, n the direction, the mean radius smoothed over direction) with
    Huber's weights; expansion is s^3 - 1 with s = (1 + g/2) / (1 - g/2), its error the cluster-robust one over 26
    sectors of direction, times 1.7 (so that the intervals of single particles cover on virtual electrodes). Blur
    and threshold move both radii alike and cancel.

    The mean weighs particles by their volume after shrinking each value to the mean as far as its error exceeds the
    spread between particles. Its interval joins the bootstrap over particles with half the difference between this
    estimate and that of the grey volumes, which errs to the other side.

    The population shift compares other particles before and after: its interval is a bootstrap over particles, and
    it is as wide as their number allows.
    """
    level = _volumes.level(level)
    first, second = _prepared(before, spacing), _prepared(after, spacing if moving_spacing is None else moving_spacing)
    rows = matches[matches["status"] == "matched"]
    _known(rows, first.table, second.table)
    generator = np.random.default_rng(rng)
    population = _population(first.table, second.table, level, generator)
    if len(rows) == 0:
        warnings.warn("no particle of one volume was matched in the other.", InputWarning, stacklevel=2)
        return _nothing(population, level)
    table = _each(rows, first, second, matrix, level)
    matched, median, grey, said = _means(table, level, generator)
    return Expansion(table, matched, median, grey, population, len(rows), said)


@dataclass(frozen=True)
class _Prepared:
    grey: np.ndarray
    labels: np.ndarray
    spacing: tuple[float, float, float]
    table: pd.DataFrame


def _prepared(pair, spacing):
    grey, labels = pair
    voxel = _volumes.spacing(spacing)
    labels = fill_holes(_volumes.labels(labels))
    grey = _volumes.grey(grey, labels.shape)
    return _Prepared(grey, labels, voxel, grey_volumes(grey, labels, spacing=voxel))


def _known(rows, first, second):
    for which, table in (("before", first), ("after", second)):
        missing = sorted(set(rows[which]) - set(table.index))
        if missing:
            raise InputError(
                f"`matches` names particles that the labels {which} do not have ({missing[:5]}); match the tables of "
                "these labels."
            )


def _each(rows, first, second, matrix, level):
    """One row a matched particle."""
    import pandas as pd
    from scipy.special import ndtri

    a, b = first.table.loc[rows["before"]], second.table.loc[rows["after"]]
    ways = directions(DIRECTIONS)
    r0 = radii(first, a, np.eye(3), ways)
    r1 = radii(second, b, rotation_of(matrix), ways)
    fits = np.array([growth(r0[k], r1[k], ways) for k in range(len(rows))]).reshape(len(rows), 3)
    va, vb = a[columns.VOLUME].to_numpy(), b[columns.VOLUME].to_numpy()
    edge = max(np.prod(v.spacing) ** (1 / 3) for v in (first, second))
    grid = GRID_ERROR * edge / np.cbrt(3 / (4 * np.pi) * np.maximum(va, 1e-30))
    grown, error = fits[:, 0] ** 3 - 1, 3 * fits[:, 0] ** 2 * np.hypot(fits[:, 1], grid)
    half = ndtri(0.5 + level / 2) * error
    return pd.DataFrame(
        {
            "before": rows["before"].to_numpy(),
            "after": rows["after"].to_numpy(),
            columns.VOLUME: va,
            "volume_after_um3": vb,
            EXPANSION: grown,
            EXPANSION_SE: error,
            "low": grown - half,
            "high": grown + half,
            BY_GREY: vb / va - 1,
            "expansion_grey_se": np.hypot(a[VOLUME_SE].to_numpy() / va, b[VOLUME_SE].to_numpy() / vb),
            FREE: fits[:, 2] / DIRECTIONS,
        }
    )


def _means(table, level, rng):
    values, error = table[EXPANSION].to_numpy(), table[EXPANSION_SE].to_numpy()
    volume, grey = table[columns.VOLUME].to_numpy(), table[BY_GREY].to_numpy()
    good = np.isfinite(values) & np.isfinite(error)
    by_grey = _weighted(grey, volume, level, rng, "partial-volume corrected volumes; bootstrap over particles")
    if good.sum() < 3:
        said = (
            f"Only {int(good.sum())} of {len(values)} matched particles show enough free surface; the expansion rests "
            "on grey volumes, which understate growth where particles touch."
        )
        median = Quantity(float(np.median(grey)), level=level, n=len(grey), method=by_grey.method, warning=said)
        return _warned(by_grey, said), median, by_grey, (said,)
    values, error, volume, grey = values[good], error[good], volume[good], grey[good]
    how = "free surface of matched particles; bootstrap over particles, and half the difference to grey volumes"
    mean, median = _shrunken(values, error, volume, level, rng, how)
    other = abs(mean.value - float(np.average(grey, weights=volume))) / 2
    mean, median = _widened(mean, other), _widened(median, other)
    cautions = []
    if len(values) < FEW:
        cautions.append(f"Only {len(values)} matched particles; the interval of the expansion is a rough one.")
    if other > 0.02:
        cautions.append(
            f"Free surface and grey volumes differ by {200 * other:.1f} points: particles touch over much of their "
            "surface, or one of the segmentations puts their borders elsewhere."
        )
    return mean, median, by_grey, tuple(cautions)


def _shrunken(values, error, volume, level, rng, method):
    """Volume-weighted mean and median of values drawn to their centre as far as their errors exceed their spread."""
    _, spread, weight = _between(values, error)
    keep = spread**2 / (spread**2 + error**2)

    def both(v, k, w, vol):
        middle = (w * v).sum(-1, keepdims=True) / w.sum(-1, keepdims=True)
        drawn = middle + k * (v - middle)
        return (drawn * vol).sum(-1) / vol.sum(-1), np.median(drawn, axis=-1)

    n = len(values)
    found = both(values, keep, weight, volume)
    draws = rng.integers(0, n, (BOOTSTRAPS, n))
    again = both(values[draws], keep[draws], weight[draws], volume[draws])
    ends = [np.quantile(a, [(1 - level) / 2, (1 + level) / 2]) for a in again]
    return tuple(
        Quantity(float(f), float(e[0]), float(e[1]), level=level, n=n, method=method)
        for f, e in zip(found, ends, strict=True)
    )


def _between(values, error):
    """Robust centre, the spread between particles beyond their errors, and the weights that give the centre."""
    centre = float(np.median(values))
    total = 1.4826 * float(np.median(np.abs(values - centre)))
    spread = np.sqrt(max(total**2 - float(np.median(error**2)), (0.3 * total) ** 2, 1e-8))
    weight = 1 / (spread**2 + error**2)
    for _ in range(10):
        robust = weight * np.minimum(1, 2.5 / np.maximum(np.abs(values - centre) * np.sqrt(weight), 1e-9))
        centre = float(np.average(values, weights=robust))
    return centre, spread, robust


def _weighted(values, weights, level, rng, method):
    """Weighted mean with its bootstrap interval."""
    value = float(np.average(values, weights=weights))
    if len(values) < 2:
        return Quantity(value, level=level, n=len(values), method=method)
    draws = rng.integers(0, len(values), (BOOTSTRAPS, len(values)))
    means = (values[draws] * weights[draws]).sum(1) / weights[draws].sum(1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Quantity(value, float(low), float(high), level=level, n=len(values), method=method)


def _widened(q, by):
    if q.low is None:
        return q
    low, high = q.value - np.hypot(q.value - q.low, by), q.value + np.hypot(q.high - q.value, by)
    return Quantity(q.value, float(low), float(high), q.level, q.n, q.unit, q.method, q.warning)


def _warned(q, said):
    return Quantity(q.value, q.low, q.high, q.level, q.n, q.unit, q.method, said)


def _population(first, second, level, rng):
    """Cube of the ratio of the median diameters, less one."""
    sizes = [np.cbrt(t.loc[~t[columns.TOUCHES_EDGE], columns.VOLUME].to_numpy()) for t in (first, second)]
    sizes = [s[s > 0] for s in sizes]
    method = "cube of the ratio of median diameters of the two populations; bootstrap over particles"
    n = min(map(len, sizes))
    if n < 3:
        said = f"only {n} whole particles in one of the volumes"
        return Quantity(np.nan, level=level, n=n, method=method, warning=said)
    value = (np.median(sizes[1]) / np.median(sizes[0])) ** 3 - 1
    medians = [np.median(s[rng.integers(0, len(s), (BOOTSTRAPS, len(s)))], axis=1) for s in sizes]
    low, high = np.quantile((medians[1] / medians[0]) ** 3 - 1, [(1 - level) / 2, (1 + level) / 2])
    return Quantity(float(value), float(low), float(high), level=level, n=n, method=method)


def _nothing(population, level):
    import pandas as pd

    names = ["before", "after", columns.VOLUME, "volume_after_um3", EXPANSION, EXPANSION_SE, "low", "high", BY_GREY]
    table = pd.DataFrame({n: np.zeros(0) for n in [*names, "expansion_grey_se", FREE]})
    table = table.astype({"before": np.int64, "after": np.int64})
    said = "no particle was matched"
    nothing = Quantity(np.nan, level=level, n=0, method="matched particles", warning=said)
    return Expansion(table, nothing, nothing, nothing, population, 0, (said,))
