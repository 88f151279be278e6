"""Where an absorption edge lies, and where the background and the plateau beside it are fitted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from ..errors import InputError
from .local_polynomial import smoother, vertex

FIRST_PEAK = 0.9  # of the steepest slope
LEAST_PRE, LEAST_POST = 3, 3
LEAST_PRE_EV, LEAST_POST_EV = 10.0, 75.0  # a first wave of fine structure is about so long


@dataclass(frozen=True)
class EdgeRanges:
    """Where the background and the plateau of an absorption edge are fitted.

    Parameters
    ----------
    e0_ev : float
        Origin of the relative energies, eV.
    pre, post : (float, float)
        Ends of the pre-edge and the post-edge range, eV relative to `e0_ev`.
    pre_order : int
        1 for a line, 0 for a constant.
    post_order : int
        Order of the polynomial through the spectrum less its pre-edge, 0 to 2.
    warnings : tuple of str
        What makes the normalisation doubtful.
    shape : (e,) array, optional
        Spectrum with little noise at all energies of the scan. With it background and step of a noisy spectrum are
        those of `shape`, scaled and offset to match it away from the edge: two unknowns in place of four or five.
    """

    e0_ev: float
    pre: tuple[float, float]
    post: tuple[float, float]
    pre_order: int = 1
    post_order: int = 1
    warnings: tuple[str, ...] = ()
    shape: np.ndarray | None = field(default=None, repr=False, compare=False)

    def pre_points(self, energies_ev: np.ndarray) -> slice:
        """Return which energies enter the pre-edge fit."""
        return _window(energies_ev - self.e0_ev, *self.pre)

    def post_points(self, energies_ev: np.ndarray) -> slice:
        """Return which energies enter the post-edge fit."""
        return _window(energies_ev - self.e0_ev, *self.post)

    def text(self) -> str:
        """Return the ranges as a sentence."""
        kind = ("a constant", "a line", "a parabola")
        return (
            f"E0 {self.e0_ev:.1f} eV; pre-edge {kind[self.pre_order]} from {self.pre[0]:+.0f} to {self.pre[1]:+.0f} "
            f"eV, post-edge {kind[self.post_order]} from {self.post[0]:+.0f} to {self.post[1]:+.0f} eV."
        )


def find_e0(energies_ev: np.ndarray, mu: np.ndarray, *, width_ev: float = 2.0) -> float:
    """Return the energy of the first steep rise of one spectrum, the usual E0.

    Parameters
    ----------
    energies_ev : (e,) array
        Ascending, eV.
    mu : (e,) array
        Absorption; NaN is left out.
    width_ev : float
        Half width of the local cubics whose slopes are compared (five points at least).

    Returns
    -------
    float
        The lowest peak of the slope that reaches 0.9 of the steepest (metals have two almost equal ones, and the
        first is the edge), between the energies by a parabola. NaN with fewer than 6 energies or without any rise.
        The first and last 2 % of the points do not count.
    """
    seen = np.isfinite(mu)
    energy, mu = np.asarray(energies_ev, float)[seen], np.asarray(mu, float)[seen]
    n = len(energy)
    if n < 6:
        return float("nan")
    slope = smoother(energy, width_ev, order=3, derivative=1) @ mu
    skip = max(1, int(0.02 * n))
    inner = np.arange(skip, n - skip)
    peaks = inner[(slope[inner] >= slope[inner - 1]) & (slope[inner] > slope[inner + 1]) & (slope[inner] > 0)]
    if len(peaks) == 0:
        return float("nan")
    i = peaks[slope[peaks] >= FIRST_PEAK * slope[peaks].max()][0]
    return float(vertex(energy[i - 1 : i + 2], slope[None, i - 1 : i + 2])[0][0])


def edge_ranges(
    energies_ev: np.ndarray,
    e0_ev: float,
    *,
    pre: tuple[float, float] | None = None,
    post: tuple[float, float] | None = None,
    order: int | None = None,
) -> EdgeRanges:
    """Choose where to fit pre-edge and post-edge from the energies present.

    Parameters
    ----------
    energies_ev : (e,) array
        Ascending, eV.
    e0_ev : float
        Of the edge, eV.
    pre, post : (float, float), optional
        Ranges relative to e0, eV. By default, as larch has it, the pre-edge reaches from the second energy (rounded
        to 5 eV; to 2 eV when at most 20 points lie below the edge) to half that distance, and the post-edge from
        a fifteenth of the reach of the data (rounded to 5 eV, at most 25 eV) to the end.
    order : int, optional
        Of the post-edge polynomial; by default 2 when its range is 300 eV or longer, 1 from 30 eV, 0 below.

    Returns
    -------
    EdgeRanges
        With a warning where the range before the edge is shorter than 10 eV or that after it than 75 eV.

    Raises
    ------
    InputError
        E0 lies outside the energies or so close to an end that nothing can be fitted there.
    """
    energy = np.asarray(energies_ev, float)
    if not (len(energy) > 4 and energy[1] < e0_ev < energy[-2]):
        span = f"{energy[0]:.1f} to {energy[-1]:.1f} eV" if len(energy) else "none"
        raise InputError(f"an edge at {e0_ev:.1f} eV cannot be normalised with the energies present ({span}).")
    if order is not None and order not in (0, 1, 2):
        raise InputError(f"the post-edge polynomial must be of order 0, 1 or 2, got {order!r}.")
    pre = _pre_range(energy, e0_ev) if pre is None else _ordered(pre, name="pre-edge")
    post = _post_range(energy, e0_ev) if post is None else _ordered(post, name="post-edge")
    pre = (max(pre[0], energy[0] - e0_ev), pre[1])
    post = (post[0], min(post[1], energy[-1] - e0_ev))
    relative = energy - e0_ev
    n_pre, n_post = (len(relative[_window(relative, *r)]) for r in (pre, post))
    empty = "pre" if n_pre < 1 or pre[0] >= pre[1] else "post" if n_post < 1 or post[0] >= post[1] else ""
    if empty or pre[1] >= post[0]:
        raise InputError(
            f"no energies are left for the {empty or 'post'}-edge of an edge at {e0_ev:.1f} eV; "
            f"there are {len(energy)} from {energy[0]:.1f} to {energy[-1]:.1f} eV."
        )
    length = post[1] - post[0]
    chosen = (2 if length >= 300 else 1 if length >= 30 else 0) if order is None else order
    chosen = 0 if n_post < 2 else min(chosen, 1) if n_post < 5 else chosen
    found = EdgeRanges(float(e0_ev), pre, post, 1 if n_pre >= LEAST_PRE else 0, chosen)
    return EdgeRanges(found.e0_ev, pre, post, found.pre_order, chosen, tuple(_doubts(energy, found, n_pre, n_post)))


def _pre_range(energy, e0):
    grid = 5.0 if np.argmin(np.abs(energy - e0)) > 20 else 2.0
    pre1 = max(grid * np.round((energy[1] - e0) / grid), energy[0] - e0)
    return (float(pre1), float(0.5 * pre1))


def _post_range(energy, e0):
    norm2 = min(5.0 * np.round((energy[-1] - e0) / 5.0), energy[-1] - e0)
    norm1 = min(25.0, 5.0 * np.round(norm2 / 15.0), norm2 - 2)
    return (float(norm1), float(norm2))


def _ordered(ends, *, name):
    low, high = sorted(float(v) for v in ends)
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise InputError(f"the {name} range must be two different energies relative to E0, got {ends!r}.")
    return low, high


def _window(relative: np.ndarray, low: float, high: float) -> slice:
    """Return the slice larch takes: from the last energy at or below `low` up to, not with, that nearest to `high`."""
    first = max(int(np.searchsorted(relative, low, side="right")) - 1, 0)
    last = int(np.argmin(np.abs(relative - high)))
    return slice(first, max(last, min(first + 2, len(relative))))


def _doubts(energy, ranges, n_pre, n_post) -> Iterator[str]:
    before, after = ranges.e0_ev - energy[0], energy[-1] - ranges.e0_ev
    if before < LEAST_PRE_EV or n_pre < LEAST_PRE:
        yield (
            f"Only {before:.0f} eV ({n_pre} energies) lie before the edge: the pre-edge background is not determined, "
            "and edge step and edge energy depend on it."
        )
    if after < LEAST_POST_EV or n_post < LEAST_POST:
        yield (
            f"Only {after:.0f} eV ({n_post} energies) lie after the edge, less than a wave of fine structure: "
            "the post-edge is not determined, and normalised heights and half-height energies may be off."
        )
