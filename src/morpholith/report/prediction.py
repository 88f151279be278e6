"""Curves and maps of what a model predicts: sizes, and descriptors over recipes, with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .look import INK, MUTED, PALETTE, figure
from .plots import distribution, log_axis, trend

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..generate import Variable
    from ..image import Quantity

AXIS = {
    "texture_mean": "mean texture",
    "d50_um": "D50 by number (µm)",
    "circularity_mean": "mean circularity",
    "circularity_sd": "SD of circularity",
}
BANDS = 3  # conditions whose bands can be told apart


def axis_name(descriptor: str) -> str:
    """Return what an axis of a descriptor is called."""
    return AXIS.get(descriptor, descriptor.replace("_um", " (µm)").replace("_", " "))


def spread(n: int, most: int) -> np.ndarray:
    """Return the places of up to `most` of `n` things, evenly spread, both ends among them."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int))


def sizes(curves: Mapping[Any, pd.DataFrame], d50: Mapping[Any, Quantity]) -> Figure:
    """Draw the cumulative size distribution of each condition, of up to three with bands, of one with its D50.

    Parameters
    ----------
    curves : mapping of condition to DataFrame
        `measure.size_curve`.
    d50 : mapping of condition to Quantity
    """
    fig = figure(7, 3.6)
    ax = fig.subplots()
    for (name, curve), colour in zip(curves.items(), PALETTE, strict=False):
        band = [100 * curve[f"number_{end}"] for end in ("low", "high")] if len(curves) <= BANDS else []
        distribution(
            ax, curve["diameter_um"], 100 * curve["number"], *band, colour=colour, label=str(name),
            marks={"D50": d50[name]} if len(curves) == 1 else None,
        )  # fmt: skip
    log_axis(ax)
    ax.set(xlabel="diameter (µm)", ylabel="% smaller, by number", ylim=(0, 100))
    if len(curves) > 1:
        ax.legend()
    return fig


def curves(
    table: pd.DataFrame, variable: Variable, descriptors: Sequence[str], *, by: Sequence[str] | None = None
) -> Figure:
    """Draw each descriptor over a number with its band, and where the model extrapolates.

    Parameters
    ----------
    table : DataFrame
        `predictions.csv`: the variable, descriptors with ``_low`` and ``_high``.
    variable : Variable
        Its trained range is the white ground.
    descriptors : sequence of str
    by : sequence of str, optional
        What else differs, in words, one for each row: a curve for each.
    """
    fig, axes = _panels(len(descriptors))
    groups = np.array(["" for _ in range(len(table))] if by is None else list(by))
    names = list(dict.fromkeys(groups))
    for ax, descriptor in zip(axes, descriptors, strict=True):
        for k, name in enumerate(names):
            own = table[groups == name].sort_values(variable.name, kind="stable")
            x, colour = own[variable.name].to_numpy(float), PALETTE[k % len(PALETTE)]
            low, high = (own[f"{descriptor}_{end}"].to_numpy(float) for end in ("low", "high"))
            if len(own) > 1:
                ax.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
                ax.plot(x, own[descriptor], "o-", color=colour, markersize=3, label=name)
            else:
                trend(ax, x, own[descriptor], low, high, colour=colour, label=name)
        _shade_beyond(ax, table[variable.name], variable)
        ax.set(xlabel=variable.name, ylabel=axis_name(descriptor))
    if len(names) > 1:
        axes[0].legend(fontsize=7)
    return fig


def _panels(n: int) -> tuple[Figure, list[Axes]]:
    across = min(n, 2)
    down = -(-n // across)
    fig = figure(4.3 * across, 2.75 * down)
    axes = list(fig.subplots(down, across, squeeze=False).ravel())
    for ax in axes[n:]:
        ax.set_visible(False)
    return fig, axes[:n]


def _shade_beyond(ax: Axes, values, variable: Variable) -> None:
    """Grey the ground outside the trained range, as far as there are values."""
    if variable.log:
        log_axis(ax)
    low, high = float(np.min(values)), float(np.max(values))
    if low < variable.low:
        ax.axvspan(low, min(variable.low, high), color=MUTED, alpha=0.18, linewidth=0)
    if high > variable.high:
        ax.axvspan(max(variable.high, low), high, color=MUTED, alpha=0.18, linewidth=0)


def maps(table: pd.DataFrame, x: Variable, y: Variable, descriptors: Sequence[str]) -> Figure:
    """Draw each descriptor over two numbers as coloured cells, and half the width of its interval below.

    Where conditions do not fill a grid they are points of that colour.

    Parameters
    ----------
    table : DataFrame
        As for `curves`.
    x, y : Variable
        Their trained ranges are a broken frame.
    descriptors : sequence of str
    """
    fig = figure(3.1 * len(descriptors), 5.2)
    axes = fig.subplots(2, len(descriptors), squeeze=False)
    for column, descriptor in zip(axes.T, descriptors, strict=True):
        half = (table[f"{descriptor}_high"].to_numpy(float) - table[f"{descriptor}_low"].to_numpy(float)) / 2
        drawn = (table[descriptor].to_numpy(float), half)
        for ax, values, name in zip(column, drawn, (axis_name(descriptor), "± (95 %)"), strict=True):
            shown = _cells(ax, table[x.name].to_numpy(float), table[y.name].to_numpy(float), values, x.log, y.log)
            fig.colorbar(shown, ax=ax, label=name, pad=0.02)
            _frame(ax, x, y)
            ax.set(xlabel=x.name, ylabel=y.name)
    return fig


def _cells(ax, x, y, values, log_x, log_y):
    """Draw values over a full grid as cells, otherwise as points."""
    across, up = np.unique(x), np.unique(y)
    full = len(across) * len(up) == len(values) and len(set(zip(x, y, strict=True))) == len(values)
    if log_x:
        log_axis(ax)
    if log_y:
        _log_upright(ax)
    if not full:
        return ax.scatter(x, y, c=values, s=60, cmap="viridis")
    table = np.full((len(up), len(across)), np.nan)
    table[np.searchsorted(up, y), np.searchsorted(across, x)] = values
    return ax.pcolormesh(_edges(across, log_x), _edges(up, log_y), table, cmap="viridis")


def _log_upright(ax) -> None:
    """Make the y axis logarithmic with plain numbers, as `log_axis` does the x axis."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())


def _edges(centres: np.ndarray, log: bool) -> np.ndarray:
    c = np.log(centres) if log else centres
    middle = (c[1:] + c[:-1]) / 2
    edges = np.concatenate([[c[0] - (middle[0] - c[0])], middle, [c[-1] + (c[-1] - middle[-1])]])
    return np.exp(edges) if log else edges


def _frame(ax, x: Variable, y: Variable) -> None:
    """Draw the trained range, keeping the limits of what is shown."""
    limits = ax.get_xlim(), ax.get_ylim()
    corners = [(x.low, y.low), (x.high, y.low), (x.high, y.high), (x.low, y.high), (x.low, y.low)]
    ax.plot(*zip(*corners, strict=True), color="white", linewidth=2.4)
    ax.plot(*zip(*corners, strict=True), color=INK, linewidth=1.0, linestyle=(0, (4, 2)))
    ax.set(xlim=limits[0], ylim=limits[1])


def side_by_side(table: pd.DataFrame, descriptors: Sequence[str]) -> Figure:
    """Draw each descriptor of every condition with its interval; hollow where the model extrapolates.

    Parameters
    ----------
    table : DataFrame
        As for `curves`, with ``extrapolates``.
    descriptors : sequence of str
    """
    fig, axes = _panels(len(descriptors))
    at = np.arange(len(table))
    for ax, descriptor in zip(axes, descriptors, strict=True):
        value, low, high = (table[f"{descriptor}{end}"].to_numpy(float) for end in ("", "_low", "_high"))
        bars = np.nan_to_num(np.clip([value - low, high - value], 0, None))
        for far, face in ((False, PALETTE[0]), (True, "white")):
            own = table["extrapolates"].to_numpy(bool) == far
            if own.any():
                ax.errorbar(at[own], value[own], yerr=bars[:, own], fmt="o", color=PALETTE[0], markerfacecolor=face)
        ax.set_ylabel(axis_name(descriptor))
        ax.set_xlim(-0.6, len(table) - 0.4)
        ticks = spread(len(table), 20)
        ax.set_xticks(at[ticks], [str(table.index[i]) for i in ticks], rotation=40 if len(table) > 5 else 0, ha="right"
                      if len(table) > 5 else "center", fontsize=7)  # fmt: skip
        ax.grid(axis="y", color="#e4e4e4", linewidth=0.6)
    return fig
