"""Pre-edge line and post-edge polynomial of absorption spectra: every pixel at once, missing frames allowed.

Everything here is linear in the spectrum, so one small matrix serves all pixels that were seen in the same
frames, and its rows say exactly how noise comes through.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from ..errors import InputError
from .edge_range import EdgeRanges

SCALE_EV = 50.0  # energies enter polynomials as (E - e0) / SCALE_EV, which keeps them well conditioned
AWAY_EV = (-12.0, 25.0)  # around e0: there spectra differ by their chemistry
MANY = 20  # spectra whose mean is worth more than each
STEADY = 0.03  # relative error of the edge step from which on a spectrum is normalised like its neighbours


@dataclass(frozen=True)
class Normalised:
    """Spectra with the pre-edge taken off and the edge step divided out.

    Parameters
    ----------
    norm : (n, e) array
        0 before the edge, about 1 after it; NaN where a frame is missing or the edge step is not positive.
    step : (n,) array
        Edge step at e0, in units of the input.
    step_gain : (n,) array
        Standard error of `step` for noise of standard deviation 1.
    pre, post : (n, order + 1) array
        Coefficients in powers of (E - e0) / 50 eV of the pre-edge, and of the post-edge less the pre-edge.
    ranges : EdgeRanges
    """

    norm: np.ndarray
    step: np.ndarray
    step_gain: np.ndarray
    pre: np.ndarray
    post: np.ndarray
    ranges: EdgeRanges = field(repr=False)


@dataclass(frozen=True)
class Operators:
    """The normalisation as matrices: for spectra mu of n energies, ``mu @ subtract.T`` and ``mu @ step``.

    `subtract` (e, e) takes the pre-edge off, `step` (e,) gives the edge step, `pre` and `post` (order + 1, e) the
    coefficients.
    """

    subtract: np.ndarray
    step: np.ndarray
    pre: np.ndarray
    post: np.ndarray


def operators(energies_ev: np.ndarray, ranges: EdgeRanges, *, seen: np.ndarray | None = None) -> Operators | None:
    """Return the normalisation of spectra at `energies_ev[seen]` as matrices over those energies.

    None where too few of the points of a range were seen to fit it.
    """
    energy = np.asarray(energies_ev, float)
    seen = np.ones(len(energy), bool) if seen is None else seen
    x = (energy - ranges.e0_ev) / SCALE_EV
    inside = [np.zeros(len(energy), bool) for _ in range(2)]
    inside[0][ranges.pre_points(energy)] = True
    inside[1][ranges.post_points(energy)] = True
    in_pre, in_post = (i[seen] for i in inside)
    x = x[seen]
    if in_pre.sum() < ranges.pre_order + 1 or in_post.sum() < ranges.post_order + 1:
        return None
    n = len(x)
    if ranges.shape is not None:
        return _like_shape(x, ranges, seen)
    pre = _fit(x, in_pre, ranges.pre_order)
    subtract = np.eye(n) - np.vander(x, ranges.pre_order + 1, increasing=True) @ pre
    post = _fit(x, in_post, ranges.post_order) @ subtract
    return Operators(subtract, post[0], pre, post)


def _like_shape(x, ranges, seen) -> Operators | None:
    """Normalisation by a spectrum of known background: offset and scale from the points away from the edge."""
    energy = ranges.e0_ev + SCALE_EV * x
    shape = np.asarray(ranges.shape, float)[seen]
    away = (energy < ranges.e0_ev + AWAY_EV[0]) | (energy > ranges.e0_ev + AWAY_EV[1])
    away &= np.isfinite(shape)
    before = away & (energy < ranges.e0_ev)
    own = operators(energy, EdgeRanges(ranges.e0_ev, ranges.pre, ranges.post, ranges.pre_order, ranges.post_order))
    if not before.any() or not (away & ~before).any() or own is None or not np.isfinite(shape).all():
        return None
    offset, scale = np.zeros((2, len(x)))
    two = np.linalg.pinv(np.column_stack([np.ones(away.sum()), shape[away]]))
    offset[away], scale[away] = two
    pre, post = np.outer(own.pre @ shape, scale), np.outer(own.post @ shape, scale)
    pre[0] += offset
    subtract = np.eye(len(x)) - np.vander(x, ranges.pre_order + 1, increasing=True) @ pre
    return Operators(subtract, float(own.step @ shape) * scale, pre, post)


def steadied(mu: np.ndarray, energies_ev: np.ndarray, ranges: EdgeRanges, *, sigma: np.ndarray) -> EdgeRanges:
    """Return ranges that normalise noisy spectra by the shape of their mean, where that is worth its bias.

    Parameters
    ----------
    mu : (n, e) array
        Of one particle or region; NaN where a frame is missing.
    energies_ev : (e,) array
    ranges : EdgeRanges
    sigma : (n,) array
        Standard deviation of their noise.

    Returns
    -------
    EdgeRanges
        `ranges` itself where the median spectrum determines its own edge step to 3 %, or there are fewer than 20
        spectra; else with the mean spectrum as `shape`. The step then is off by how much
        the fine structure of a spectrum differs from the mean's, a few per cent at most between oxides of one metal.
    """
    energy = np.asarray(energies_ev, float)
    there = np.isfinite(mu)
    seen = there.any(0)
    own = operators(energy, ranges, seen=seen) if len(mu) >= MANY else None
    if own is None or not np.isfinite(sigma).any():
        return ranges
    mean = np.full(len(energy), np.nan)
    mean[seen] = np.where(there, mu, 0.0).sum(0)[seen] / there.sum(0)[seen]
    step = float(own.step @ mean[seen])
    error = float(np.nanmedian(sigma)) * float(np.linalg.norm(own.step))
    return replace(ranges, shape=mean) if 0 < STEADY * step < error else ranges


def _fit(x, inside, order):
    """Matrix (order + 1, e) from a spectrum to its polynomial through the points `inside`."""
    matrix = np.zeros((order + 1, len(x)))
    matrix[:, inside] = np.linalg.pinv(np.vander(x[inside], order + 1, increasing=True))
    return matrix


def normalise(
    mu: np.ndarray, energies_ev: np.ndarray, ranges: EdgeRanges, *, profile: np.ndarray | None = None
) -> Normalised:
    """Normalise spectra: (mu - pre-edge line) / edge step.

    Parameters
    ----------
    mu : (n, e) or (e,) array
        Absorption or optical density; NaN where a frame is missing.
    energies_ev : (e,) array
        Ascending, eV.
    ranges : EdgeRanges
        From `edge_ranges`, the same for all spectra.
    profile : (e,) array, optional
        Relative variance of the noise at each energy, for `step_gain`.

    Returns
    -------
    Normalised
        Spectra of which too few frames were seen, or without a positive edge step, are NaN.

    Notes
    -----
    Conventions of larch's ``pre_edge``: the post-edge polynomial is fitted to the spectrum less its pre-edge line,
    both are extrapolated to e0, their difference there is the edge step. larch takes that difference at the
    measured energy nearest to e0, here it is taken at e0.
    """
    mu, energy = _spectra(mu, energies_ev)
    n = len(mu)
    profile = np.ones(len(energy)) if profile is None else np.asarray(profile, float)
    norm = np.full(mu.shape, np.nan)
    step, gain = np.full(n, np.nan), np.full(n, np.nan)
    pre, post = np.full((n, ranges.pre_order + 1), np.nan), np.full((n, ranges.post_order + 1), np.nan)
    for rows, seen in patterns(mu):
        found = operators(energy, ranges, seen=seen)
        if found is None:
            continue
        part = mu[np.ix_(rows, seen)]
        step[rows], gain[rows] = part @ found.step, np.sqrt(found.step**2 @ profile[seen])
        pre[rows], post[rows] = part @ found.pre.T, part @ found.post.T
        with np.errstate(invalid="ignore", divide="ignore"):
            good = np.where(step[rows] > 0, step[rows], np.nan)
        norm[np.ix_(rows, seen)] = part @ found.subtract.T / good[:, None]
    return Normalised(norm, step, gain, pre, post, ranges)


def _spectra(mu, energies_ev):
    mu, energy = np.atleast_2d(np.asarray(mu, float)), np.asarray(energies_ev, float)
    if energy.ndim != 1 or mu.shape[-1] != len(energy) or mu.ndim != 2:
        raise InputError(f"spectra must be (n, e) with one column an energy, got {mu.shape} for {energy.shape}.")
    if len(energy) > 1 and not (np.diff(energy) > 0).all():
        raise InputError("energies must ascend strictly; sort the frames first.")
    return mu, energy


def patterns(mu: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (rows, seen): the spectra that lack the same frames, and which frames (e,) they have."""
    seen = np.isfinite(mu)
    if len(mu) == 0:
        return
    if (seen == seen[0]).all():  # as a rule, also with dropped frames
        if seen[0].any():
            yield np.arange(len(mu)), seen[0]
        return
    packed = np.packbits(seen, axis=1)
    _, which = np.unique(packed, axis=0, return_inverse=True)
    order = np.argsort(which.reshape(-1), kind="stable")
    ends = np.cumsum(np.bincount(which.reshape(-1)))
    for rows in np.split(order, ends[:-1]):
        there = seen[rows[0]]
        if there.any():
            yield rows, there
