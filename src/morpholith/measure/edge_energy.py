"""Where an absorption edge and its white line lie: of every pixel, between the measured energies, with errors.

Three definitions, because tables mix them: *half height* (half of the edge step), *first derivative* (steepest
rise), *white line* (the first maximum after the edge). All start from a local polynomial through the points within
a few eV, so that a noisy pixel does not pick its noisiest frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .edge_range import EdgeRanges
from .local_polynomial import nearby, smoother, vertex
from .normalise import Operators, operators, patterns

CERTAIN = 3.0  # standard errors by which a peak must curve down to have a place
CLEAR = 8.0  # and those that the windows are chosen for
DERIVATIVE_WIDTHS_EV, WHITE_LINE_WIDTHS_EV = (2.0, 3.0, 4.0, 5.0, 6.0), (1.5, 2.0, 3.0, 4.0, 5.0)
DERIVATIVE_REACH_EV = 6.0  # the steepest rise is looked for within this of e0: metals have a second one
WHITE_LINE_REACH_EV = 30.0  # the white line is looked for up to this far above e0
LEVEL = 0.5
FOLLOW = 4


@dataclass(frozen=True)
class PeakWidths:
    """Half widths in eV of the windows in which local polynomials are fitted; five points are taken at least."""

    half_height: float = 2.0
    derivative: float = 2.0
    white_line: float = 1.5


@dataclass(frozen=True)
class AbsorptionEdges:
    """Edge energies of n spectra and their standard errors, eV; NaN where there is none.

    `height` is the white line's normalised height. Standard errors are those of noise with the standard deviation
    that was given.
    """

    half_height_ev: np.ndarray
    half_height_se: np.ndarray
    derivative_ev: np.ndarray
    derivative_se: np.ndarray
    white_line_ev: np.ndarray
    white_line_se: np.ndarray
    height: np.ndarray
    height_se: np.ndarray


def absorption_edges(
    mu: np.ndarray,
    energies_ev: np.ndarray,
    ranges: EdgeRanges,
    *,
    sigma: np.ndarray | float = 0.0,
    profile: np.ndarray | None = None,
    level: float = LEVEL,
    widths: PeakWidths = PeakWidths(),
) -> AbsorptionEdges:
    """Half-height energy, steepest rise and white line of spectra, with standard errors.

    Parameters
    ----------
    mu : (n, e) array
        Absorption or optical density, not normalised; NaN where a frame is missing.
    energies_ev : (e,) array
        Ascending, eV.
    ranges : EdgeRanges
        Of the normalisation.
    sigma : (n,) array or float
        Standard deviation of the noise of each spectrum.
    profile : (e,) array, optional
        Variance of the noise at each energy over its mean; 1 everywhere unless given.
    level : float
        Share of the edge step that defines the half height.
    widths : PeakWidths
        From `choose_widths` for noisy spectra.

    Returns
    -------
    AbsorptionEdges
        NaN also where a peak curves down by less than three standard errors: it then has no place.

    Notes
    -----
    *White line*: maximum, between e0 - 5 and e0 + 30 eV, of the spectrum smoothed by local parabolas, refined to the
    vertex of the parabola through the points within 1.5 eV of it (five points at least). *Half height*: going down
    from the white line, the first energy at which the smoothed spectrum (local parabolas of 2 eV half width) falls
    below `level` of the edge step, interpolated; this is the last crossing before the white line, so that pre-edge
    peaks do not count. *First derivative*: the largest slope of the local cubics (half width 2 eV) within 6 eV of e0,
    refined by the parabola through three of them. Errors follow from the rows of the matrices, pre-edge and edge step
    included, to first order in the noise.
    """
    mu, energy = np.atleast_2d(np.asarray(mu, float)), np.asarray(energies_ev, float)
    sigma = np.broadcast_to(np.asarray(sigma, float), (len(mu),))
    profile = np.ones(len(energy)) if profile is None else np.asarray(profile, float)
    out = [np.full(len(mu), np.nan) for _ in range(8)]
    for rows, seen in patterns(mu):
        found = operators(energy, ranges, seen=seen)
        if found is None or seen.sum() < 6:
            continue
        parts = _edges(
            mu[np.ix_(rows, seen)], energy[seen], found, ranges.e0_ev, sigma[rows], profile[seen], level,
            widths,
        )  # fmt: skip
        for whole, part in zip(out, parts, strict=True):
            whole[rows] = part
    return AbsorptionEdges(*out)


def _edges(mu, energy, ops: Operators, e0, sigma, profile, level, widths):
    """Edges of spectra that lack no frame."""
    flat = mu @ ops.subtract.T
    step = mu @ ops.step
    good = step > 0
    at = _white_line_index(flat, energy, e0, widths.white_line)
    white, white_se, top, height_se = _white_line(mu, energy, ops, at, step, sigma, profile, widths.white_line)
    half, half_se = _half_height(mu, energy, ops, at, step, sigma, profile, level, widths.half_height)
    steep, steep_se = _steepest(flat, energy, e0, sigma, profile, widths.derivative)
    blank = np.where(good, 0.0, np.nan)
    found = (half, half_se, steep, steep_se, white, white_se, top, height_se)
    return [v + blank for v in found]


def _white_line_index(flat, energy, e0, width):
    """Index of the largest value of the smoothed spectra near the edge."""
    zone = np.flatnonzero((energy > e0 - 5) & (energy < e0 + WHITE_LINE_REACH_EV))
    if len(zone) == 0:
        zone = np.arange(len(energy))
    smooth = flat @ smoother(energy, width, order=2)[zone].T
    return zone[np.argmax(smooth, axis=1)]


def _half_height(mu, energy, ops, at, step, sigma, profile, level, width):
    """Last upward crossing of `level` below the white line."""
    # rows of `excess` give smoothed spectrum less the level, still in units of mu: linear, so its noise is exact
    excess = smoother(energy, width, order=2) @ ops.subtract - level * ops.step
    value = mu @ excess.T
    below = (value < 0) & (np.arange(len(energy)) <= at[:, None])
    i = len(energy) - 1 - np.argmax(below[:, ::-1], axis=1)
    found = below.any(1) & (i < at)
    i = np.clip(i, 0, len(energy) - 2)
    row = np.arange(len(mu))
    low, high = value[row, i], value[row, i + 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        t = np.clip(-low / (high - low), 0, 1)
    crossing = energy[i] + t * (energy[i + 1] - energy[i])
    here = (excess * excess) @ profile
    both = (excess[:-1] * excess[1:]) @ profile
    gain = (1 - t) ** 2 * here[i] + 2 * t * (1 - t) * both[i] + t**2 * here[i + 1]
    slope = _slope(value, energy, i)
    se = sigma * np.sqrt(np.maximum(gain, 0)) / slope
    missing = np.where(found & (step > 0), 0.0, np.nan)
    return crossing + missing, se + missing


def _slope(value, energy, i):
    """Slope at the crossing from the three intervals around it: one interval alone is too noisy to divide by."""
    row = np.arange(len(value))
    left, right = np.clip(i - 1, 0, None), np.clip(i + 2, None, len(energy) - 1)
    wide = (value[row, right] - value[row, left]) / (energy[right] - energy[left])
    near = (value[row, i + 1] - value[row, i]) / (energy[i + 1] - energy[i])
    return np.maximum(0.5 * (wide + near), 1e-12)


def _white_line(mu, energy, ops, at, step, sigma, profile, width):
    """Vertex of the parabola around the maximum, its height over the edge step, and both errors."""
    n = len(mu)
    position, position_se, height, height_se = (np.full(n, np.nan) for _ in range(4))
    centre, todo = at.copy(), np.ones(n, bool)
    fits: dict[int, np.ndarray] = {}
    for _ in range(FOLLOW):  # the window follows the vertex
        for i in np.unique(centre[todo]):
            rows = np.flatnonzero(todo & (centre == i))
            a, b, c = (mu[rows] @ _parabola(energy, ops, i, width, fits).T).T
            with np.errstate(invalid="ignore", divide="ignore"):
                position[rows] = energy[i] + np.where(c < 0, -b / (2 * c), np.nan)
        nearest = np.abs(energy[:, None] - np.nan_to_num(position)).argmin(0)
        todo = np.isfinite(position) & (nearest != centre) & (np.abs(position - energy[centre]) <= width)
        if not todo.any():
            break
        centre = np.where(todo, nearest, centre)
    for i in np.unique(centre):
        rows = np.flatnonzero(centre == i)
        local = _parabola(energy, ops, i, width, fits)
        a, b, c = (mu[rows] @ local.T).T
        cov = (local * profile) @ local.T
        with np.errstate(invalid="ignore", divide="ignore"):
            x = np.where(-c > CERTAIN * sigma[rows] * np.sqrt(cov[2, 2]), -b / (2 * c), np.nan)
            x = np.where(np.abs(x) <= max(width, energy[min(i + 2, len(energy) - 1)] - energy[i]), x, np.nan)
            gradient = np.stack([-1 / (2 * c), b / (2 * c * c)])
        pulled = _pull(lambda k: _vertex_of(mu[rows].mean(0), energy, ops, k, width, fits), energy, i)  # noqa: B023
        position[rows] = energy[i] + x
        position_se[rows] = sigma[rows] * np.sqrt(np.einsum("in,ij,jn->n", gradient, cov[1:, 1:], gradient)) * pulled
        height[rows] = (a + b * x + c * x * x) / step[rows]
        # at the vertex the slope is zero: d top = da + x db + x^2 dc, less height times d step
        row = local[0] + x[:, None] * local[1] + (x**2)[:, None] * local[2] - height[rows][:, None] * ops.step
        height_se[rows] = sigma[rows] * np.sqrt((row**2) @ profile) / np.abs(step[rows])
    missing = np.where(np.isfinite(position), 0.0, np.nan)
    return position, position_se + missing, height, height_se


def _parabola(energy, ops, i, width, fits):
    """Matrix (3, e) from spectra to the coefficients of the parabola about point i; kept in `fits`."""
    if i not in fits:
        near = nearby(energy, energy[i], width, least=5)
        fits[i] = np.linalg.pinv(np.vander(energy[near] - energy[i], 3, increasing=True)) @ ops.subtract[near]
    return fits[i]


def _vertex_of(spectrum, energy, ops, i, width, fits):
    _, b, c = _parabola(energy, ops, i, width, fits) @ spectrum
    return energy[i] - b / (2 * c) if c < 0 else np.nan


def _pull(vertex_at, energy, i):
    """By how much more a vertex moves under noise because its window moves with it.

    In a skewed peak the vertex depends on where the window stands, v(w); with the window on the vertex,
    dv = noise + v' dv, hence the factor 1 / (1 - v').
    """
    low, high = max(i - 1, 0), min(i + 1, len(energy) - 1)
    drift = (vertex_at(high) - vertex_at(low)) / (energy[high] - energy[low])
    return 1 / (1 - float(np.clip(drift, 0.0, 0.7))) if np.isfinite(drift) else 1.0


def _steepest(flat, energy, e0, sigma, profile, width):
    """Steepest rise near e0: vertex of the parabola through three slopes of local cubics."""
    matrix = smoother(energy, width, order=3, derivative=1)
    slope = flat @ matrix.T
    near = np.abs(energy - e0) <= DERIVATIVE_REACH_EV
    peak = np.zeros(slope.shape, bool)
    peak[:, 1:-1] = (slope[:, 1:-1] >= slope[:, :-2]) & (slope[:, 1:-1] > slope[:, 2:]) & near[1:-1]
    centre = np.where(peak, slope, -np.inf).argmax(1)
    position, se = np.full(len(flat), np.nan), np.full(len(flat), np.nan)
    for i in np.unique(centre[peak.any(1)]):
        rows = np.flatnonzero((centre == i) & peak.any(1))
        three = _around(energy, i, width)
        found, gradient = vertex(energy[three], slope[np.ix_(rows, three)])
        cov = (matrix[three] * profile) @ matrix[three].T  # the pre-edge line adds a constant to slopes: no shift
        bend = np.linalg.inv(np.vander(energy[three] - energy[i], 3, increasing=True))[2]
        curve, curve_se = slope[np.ix_(rows, three)] @ bend, np.sqrt(bend @ cov @ bend)
        inside = (found >= energy[three[0]]) & (found <= energy[three[2]])
        inside &= -curve > CERTAIN * sigma[rows] * curve_se
        mean = slope[rows].mean(0)
        pulled = _pull(lambda k: _rise_of(mean, energy, k, width), energy, i)  # noqa: B023
        position[rows] = np.where(inside, found, np.nan)
        error = sigma[rows] * np.sqrt(np.einsum("ni,ij,nj->n", gradient, cov, gradient)) * pulled
        se[rows] = np.where(inside, error, np.nan)
    return position, se


def _rise_of(slope, energy, i, width):
    three = _around(energy, int(np.clip(i, 1, len(energy) - 2)), width)
    return float(vertex(energy[three], slope[None, three])[0][0])


def _around(energy, i, width):
    """Points for a parabola about point i: its neighbours, or those half a window away where the grid is finer."""
    reach = 0.5 * width
    first = min(int(np.searchsorted(energy, energy[i] - reach)), i - 1)
    last = max(int(np.searchsorted(energy, energy[i] + reach, side="right")) - 1, i + 1)
    return [max(first, 0), i, min(last, len(energy) - 1)]


def choose_widths(
    mean: np.ndarray,
    energies_ev: np.ndarray,
    ranges: EdgeRanges,
    *,
    sigma: float,
    profile: np.ndarray | None = None,
) -> PeakWidths:
    """Choose windows just wide enough that noise does not make up peaks.

    Parameters
    ----------
    mean : (e,) array
        A spectrum like those to be measured but with little noise; NaN is left out.
    energies_ev : (e,) array
    ranges : EdgeRanges
    sigma : float
        Standard deviation of the noise of those to be measured.
    profile : (e,) array, optional

    Returns
    -------
    PeakWidths
        The narrowest windows in which slope and white line of `mean` curve down by 8 standard errors of such noise,
        or else the widest, 6 and 5 eV.
    """
    energy, mean = np.asarray(energies_ev, float), np.asarray(mean, float)
    scaled = sigma * CLEAR / CERTAIN if np.isfinite(sigma) else 0.0

    def first(field, widths):
        for width in widths:
            tried = PeakWidths(**{field: width})
            found = absorption_edges(mean[None], energy, ranges, sigma=scaled, profile=profile, widths=tried)
            if np.isfinite(getattr(found, f"{field}_ev")[0]):
                return width
        return widths[-1]

    return PeakWidths(
        derivative=first("derivative", DERIVATIVE_WIDTHS_EV), white_line=first("white_line", WHITE_LINE_WIDTHS_EV)
    )
