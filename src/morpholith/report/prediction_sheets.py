"""Drawn micrographs: beside their numbers and the nearest that was made, along one variable, over two."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .look import INK, MUTED, PALETTE, figure
from .pictures import micrograph
from .prediction import axis_name, spread

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..image import Quantity

Images = Callable[[Any, str], np.ndarray]
"""Condition and view to the (n, h, w) images drawn."""

SHORT = {"texture_mean": "texture", "d50_um": "D50 (µm)", "circularity_mean": "circularity", "circularity_sd": "its SD"}
ACROSS = 4  # micrographs of a condition side by side
STRIP = 6
GRID = 6  # rows and columns of micrographs over two variables


@dataclass(frozen=True)
class Entry:
    """One condition of a sheet.

    Attributes
    ----------
    images : (n, h, w) array
    title : str
    recipe : mapping of variable to value
    numbers : mapping of descriptor to Quantity
    extrapolates : bool
    nearest : str
        The trained condition nearest to it.
    nearest_recipe, nearest_numbers : mapping
        Its values, and what was measured of it.
    """

    images: np.ndarray
    title: str
    recipe: Mapping[str, Any]
    numbers: Mapping[str, Quantity]
    extrapolates: bool
    nearest: str
    nearest_recipe: Mapping[str, Any]
    nearest_numbers: Mapping[str, float]


def sheet(entries: Sequence[Entry], *, pixel_um: float) -> Figure:
    """Draw micrographs of each condition in a row (one alone: in two), beside its numbers and its nearest neighbour's.

    Parameters
    ----------
    entries : sequence of Entry
        One or more.
    pixel_um : float
    """
    alone = len(entries) == 1
    rows = min(2, -(-len(entries[0].images) // ACROSS)) if alone else 1
    across = min(ACROSS, max(len(e.images) for e in entries))
    height = 2.15 * max(rows * len(entries), 1) + 0.1
    if alone:
        height = max(height, 3.1)
    fig = figure(3.6 + 2.15 * across, height)
    grid = fig.add_gridspec(rows * len(entries), across + 1, width_ratios=[3.6 / 2.15, *[1.0] * across])
    for k, entry in enumerate(entries):
        _told(fig.add_subplot(grid[k * rows : (k + 1) * rows, 0]), entry)
        for i in range(min(rows * across, len(entry.images))):
            ax = fig.add_subplot(grid[k * rows + i // across, 1 + i % across])
            micrograph(ax, entry.images[i], spacing=(pixel_um, pixel_um))
    return fig


def _told(ax: Axes, entry: Entry) -> None:
    """Write what was asked and predicted, and beside it the nearest trained condition."""
    ax.axis("off")
    head = entry.title + (" (extrapolated)" if entry.extrapolates else "")
    rows = [("", head, entry.nearest)]
    rows += [(name, _value(value), _value(entry.nearest_recipe.get(name))) for name, value in entry.recipe.items()]
    rows += [
        (_short(d), _with_interval(q), _number(entry.nearest_numbers.get(d, np.nan))) for d, q in entry.numbers.items()
    ]
    step = min(0.14, 0.97 / (len(rows) + 1))
    for k, row in enumerate([("", "predicted", "nearest that was made"), *rows]):
        for x, text, at in zip((0.0, 0.3, 0.7), row, range(3), strict=True):
            ax.text(
                x, 1.0 - k * step, text, transform=ax.transAxes, va="top", fontsize=7, clip_on=False,
                fontweight="bold" if k == 1 else "normal",
                color=PALETTE[1] if k == 1 and at == 1 and entry.extrapolates else MUTED if k == 0 or at == 0 else INK,
            )  # fmt: skip


def _short(descriptor):
    return SHORT.get(descriptor, axis_name(descriptor))


def _with_interval(q: Quantity) -> str:
    if not np.isfinite(q.value) or q.low is None or q.high is None:
        return _number(q.value)
    return f"{q.value:.3g} [{q.low:.3g}, {q.high:.3g}]"


def _number(value: float) -> str:
    return f"{value:.3g}" if np.isfinite(value) else "not resolved"


def _value(value):
    if value is None or value != value:
        return "not given"
    return f"{value:.4g}" if isinstance(value, (int, float, np.number)) else str(value)


def strip(table: pd.DataFrame, variable: str, images: Images, *, view: str, pixel_um: float) -> Figure:
    """Draw the first micrograph of up to six conditions in the order of a variable, as Fig. S5 of paper 000.

    Parameters
    ----------
    table : DataFrame
        Index condition, with the column `variable`.
    variable : str
    images : callable
        ``images(condition, view)``.
    view : str
    pixel_um : float
    """
    ordered = table[variable].sort_values(kind="stable").index
    chosen = [ordered[i] for i in spread(len(ordered), STRIP)]
    fig = figure(2.1 * len(chosen), 2.5)
    for ax, name in zip(fig.subplots(1, len(chosen), squeeze=False)[0], chosen, strict=True):
        micrograph(ax, images(name, view)[0], spacing=(pixel_um, pixel_um))
        ax.set_title(f"{variable} = {_value(table.loc[name, variable])}", fontsize=8)
    return fig


def grid(table: pd.DataFrame, x: str, y: str, images: Images, *, view: str, pixel_um: float) -> Figure:
    """Draw the first micrograph of conditions over two variables, as Fig. S6 of paper 000; empty where there is none.

    Parameters
    ----------
    table : DataFrame
        Index condition, with the columns `x` and `y`.
    x, y : str
    images, view, pixel_um
        As for `strip`.
    """
    across, up = (np.unique(table[v]) for v in (x, y))
    across, up = across[spread(len(across), GRID)], up[spread(len(up), GRID)][::-1]
    fig = figure(1.75 * len(across) + 0.5, 1.75 * len(up) + 0.5)
    axes = fig.subplots(len(up), len(across), squeeze=False)
    for i, j in np.ndindex(axes.shape):
        ax: Any = axes[i, j]
        there = table.index[(table[x] == across[j]) & (table[y] == up[i])]
        if len(there):
            micrograph(ax, images(there[0], view)[0], spacing=(pixel_um, pixel_um))
        else:
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        if i == len(up) - 1:
            ax.set_xlabel(f"{x} = {across[j]:.4g}", fontsize=8)
        if j == 0:
            ax.set_ylabel(f"{y} = {up[i]:.4g}", fontsize=8)
    return fig
