"""Curves and clouds with their uncertainty drawn in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..image import Quantity
from .look import INK, MUTED, PALETTE, figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike
    from pandas import DataFrame


def distribution(
    ax: Axes,
    grid: ArrayLike,
    curve: ArrayLike,
    low: ArrayLike | None = None,
    high: ArrayLike | None = None,
    *,
    label: str = "",
    colour: str = PALETTE[0],
    marks: Mapping[str, Quantity] | None = None,
) -> None:
    """Draw a distribution with its band, and quantiles as upright lines with theirs.

    Parameters
    ----------
    ax : Axes
        May hold other distributions; axis labels and scale are the caller's.
    grid, curve : (n,) array
        The abscissa and the density (or cumulative fraction) there.
    low, high : (n,) array, optional
        Ends of its interval at each point; NaN leaves a gap.
    label : str
        For the legend, which the caller draws.
    colour : str
    marks : mapping of str to Quantity, optional
        Text (``"D50"``) and value on the abscissa. What is not resolved is left out.
    """
    if low is not None and high is not None:
        ax.fill_between(grid, low, high, color=colour, alpha=0.22, linewidth=0)
    ax.plot(grid, curve, color=colour, label=label)
    for i, (text, q) in enumerate((marks or {}).items()):
        if not np.isfinite(q.value):
            continue
        if q.low is not None and q.high is not None:
            ax.axvspan(q.low, q.high, color=colour, alpha=0.12, linewidth=0)
        ax.axvline(q.value, color=colour, linewidth=0.9, linestyle=(0, (4, 2)))
        ax.annotate(
            text,
            (q.value, 1.0 - 0.07 * (i % 3)),
            xycoords=("data", "axes fraction"),
            xytext=(3, -2),
            textcoords="offset points",
            va="top",
            fontsize=8,
            color=colour,
        )
    ax.margins(x=0)
    ax.set_ylim(bottom=0)


def log_axis(ax: Axes) -> None:
    """Make the x axis logarithmic with plain numbers at 1, 2 and 5 times the powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def histogram(
    ax: Axes,
    values: ArrayLike,
    *,
    bins: int | list[float] = 30,
    label: str = "",
    colour: str = PALETTE[0],
    mean: Quantity | None = None,
) -> None:
    """Draw how many objects have which value, and the mean with its interval.

    NaN is left out; with nothing left the axes say so.
    """
    finite = np.asarray(values, float)
    finite = finite[np.isfinite(finite)]
    if finite.size == 0:
        ax.text(0.5, 0.5, "no objects", transform=ax.transAxes, ha="center", va="center", color=MUTED)
        return
    ax.hist(finite, bins=bins, color=colour, alpha=0.55, edgecolor="white", linewidth=0.5, label=label)
    if mean is not None and np.isfinite(mean.value):
        if mean.low is not None and mean.high is not None:
            ax.axvspan(mean.low, mean.high, color=PALETTE[1], alpha=0.25, linewidth=0)
        ax.axvline(mean.value, color=PALETTE[1], linewidth=1.2, label=f"mean {mean.value:.3g}")
    ax.set_ylabel("count")


def trend(
    ax: Axes,
    x: ArrayLike,
    y: ArrayLike,
    low: ArrayLike | None = None,
    high: ArrayLike | None = None,
    *,
    label: str = "",
    colour: str = PALETTE[0],
    line: bool = True,
) -> None:
    """Draw a descriptor against a condition with error bars, ordered by the condition.

    Parameters
    ----------
    ax : Axes
    x : (n,) array
        Numbers, or names: those stand side by side, unconnected.
    y, low, high : (n,) array
        Values and the ends of their intervals; a NaN end draws no bar on that side.
    label, colour : str
    line : bool
        Connect the points.
    """
    at, value = np.asarray(x), np.asarray(y, float)
    named = at.dtype.kind not in "buif"
    order = np.arange(len(at)) if named else np.argsort(at, kind="stable")
    bars = None
    if low is not None and high is not None:
        ends = np.array([value - np.asarray(low, float), np.asarray(high, float) - value])
        bars = np.nan_to_num(np.clip(ends, 0, None))[:, order]
    fmt = "o-" if line and not named else "o"
    ax.errorbar(at[order], value[order], yerr=bars, fmt=fmt, color=colour, label=label, linewidth=1.2)
    ax.margins(x=0.08)
    ax.grid(axis="y", color="#e4e4e4", linewidth=0.6)


def scatter_matrix(
    table: DataFrame,
    *,
    columns: Mapping[str, str],
    correlations: Mapping[tuple[str, str], Quantity] | None = None,
    size: float = 2.0,
) -> Figure:
    """Return a figure of every descriptor against every other, with their correlations.

    Parameters
    ----------
    table : DataFrame
        One row an object; NaN is left out pair by pair.
    columns : mapping of str to str
        Column and how its axis is to be called, unit included.
    correlations : mapping of (column, column) to Quantity, optional
        Written above the diagonal with their intervals, in colour where the interval leaves out zero.
    size : float
        Inches a panel.
    """
    names = list(columns)
    n = len(names)
    fig = figure(size * n + 0.6, size * n + 0.4)
    axes = fig.subplots(n, n, squeeze=False)
    shared = dict(correlations or {})
    shared |= {(b, a): q for (a, b), q in shared.items()}
    for i, row in enumerate(names):
        for j, column in enumerate(names):
            ax = axes[i, j]
            if i == j:
                _diagonal(ax, table[row])
            elif i > j:
                ax.scatter(table[column], table[row], s=5, color=PALETTE[0], alpha=0.35, linewidths=0)
            else:
                _correlation(ax, shared.get((row, column)))
            _frame(ax, i, j, n, x=columns[column], y=columns[row])
            if i >= j:
                ax.set_xlim(_limits(table[column]))
            if i > j:
                ax.set_ylim(_limits(table[row]))
    return fig


def _limits(values) -> tuple[float, float]:
    finite = np.asarray(values, float)
    finite = finite[np.isfinite(finite)]
    if finite.size == 0:
        return 0.0, 1.0
    low, high = finite.min(), finite.max()
    room = 0.06 * (high - low) or 0.5
    return float(low - room), float(high + room)


def _diagonal(ax: Axes, values) -> None:
    finite = np.asarray(values, float)
    finite = finite[np.isfinite(finite)]
    if finite.size:
        ax.hist(finite, bins=24, color=MUTED, alpha=0.6)
    ax.set_yticks([])


def _correlation(ax: Axes, q: Quantity | None) -> None:
    ax.set_axis_off()
    if q is None or not np.isfinite(q.value):
        return
    text = f"{q.value:+.2f}"
    clear = False
    if q.low is not None and q.high is not None:
        clear = q.low > 0 or q.high < 0
        ax.text(
            0.5,
            0.34,
            f"[{q.low:+.2f}, {q.high:+.2f}]",
            transform=ax.transAxes,
            ha="center",
            color=MUTED,
            size=8,
        )
    colour = (PALETTE[0] if q.value > 0 else PALETTE[1]) if clear else INK
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", size=14, weight="bold", color=colour)


def _frame(ax: Axes, i: int, j: int, n: int, *, x: str, y: str) -> None:
    ax.tick_params(labelsize=7)
    if i == n - 1:
        ax.set_xlabel(x)
    else:
        ax.tick_params(labelbottom=False)
    if j == 0:
        ax.set_ylabel(y)
    else:
        ax.tick_params(labelleft=False)
