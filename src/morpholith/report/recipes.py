"""Figures of a design: what recipes would make, their windows, the way to them, and what was traded for what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .look import INK, MUTED, PALETTE, figure
from .pictures import micrograph
from .prediction import axis_name

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..design import Space, Target
    from ..image import Quantity

TRAINED, CALLED, CHOSEN, WANTED = MUTED, PALETTE[4], PALETTE[1], PALETTE[2]
EACH = 2  # micrographs of each view on the sheet
PANEL = 3.1


@dataclass(frozen=True)
class Row:
    """One row of the sheet.

    Attributes
    ----------
    title : str
    lines : sequence of (str, str)
        What stands beside the micrographs.
    pictures : mapping of view to list of (array, pixel size in um)
    """

    title: str
    lines: Sequence[tuple[str, str]]
    pictures: Mapping[str, Sequence[tuple[np.ndarray, float]]]


def sheet(rows: Sequence[Row], views: Sequence[str]) -> Figure:
    """Draw up to two micrographs of each view in a row for each recipe, beside its conditions and its numbers."""
    across = EACH * len(views)
    tall = max(2.1, 0.17 * max(len(r.lines) for r in rows) + 0.35)
    fig = figure(3.2 + 2.1 * across, tall * len(rows))
    grid = fig.add_gridspec(len(rows), across + 1, width_ratios=[3.2 / 2.1, *[1.0] * across])
    for k, row in enumerate(rows):
        _beside(fig.add_subplot(grid[k, 0]), row, tall)
        for j, view in enumerate(views):
            for i in range(EACH):
                ax = fig.add_subplot(grid[k, 1 + EACH * j + i])
                shown = row.pictures.get(view, ())
                if i < len(shown):
                    array, pixel = shown[i]
                    micrograph(ax, array, spacing=(pixel, pixel))
                else:
                    ax.axis("off")
                if k == 0 and i == 0:
                    ax.set_title(view, fontsize=9)
    return fig


def _beside(ax: Axes, row: Row, tall: float) -> None:
    ax.axis("off")
    step = 0.165 / tall
    ax.text(0, 1.0, row.title, transform=ax.transAxes, va="top", fontsize=8.5, fontweight="bold")
    for i, (name, text) in enumerate(row.lines, start=1):
        y = 1.0 - (i + 0.25) * step
        ax.text(0, y, name, transform=ax.transAxes, va="top", fontsize=7, color=MUTED)
        ax.text(0.42, y, text, transform=ax.transAxes, va="top", fontsize=7, color=INK)


def predicted(
    targets: Sequence[Target], numbers: Sequence[Mapping[str, Quantity]], recipes: pd.DataFrame, measured: pd.DataFrame,
    again: pd.DataFrame,
) -> Figure:  # fmt: skip
    """Draw each target with what every recipe is predicted to make.

    Parameters
    ----------
    targets : sequence of Target
    numbers : sequence of mapping of descriptor to Quantity
        One for each recipe: intervals of a powder that is made.
    recipes : DataFrame
        Index recipe; descriptors with `_low` and `_high` as the model believes them.
    measured : DataFrame
        Of the training conditions; their values stand at the left edge.
    again : DataFrame
        Index recipe: `descriptor`, `drawn`, of draws that the search did not see.
    """
    fig, axes = _panels(len(targets), 2.9)
    at = np.arange(1, len(recipes) + 1)
    for ax, t in zip(axes, targets, strict=True):
        d = t.descriptor
        value = np.array([own[d].value for own in numbers])
        wide = [np.array([_end(own[d], end) for own in numbers]) for end in ("low", "high")]
        _band(ax, t)
        if d in measured:
            known = measured[d].to_numpy(float)
            ax.plot(np.full(len(known), 0.35), known, "_", color=TRAINED, markersize=6, alpha=0.6,
                    label="measured in the training")  # fmt: skip
        ax.errorbar(at, value, yerr=_bars(value, *wide), fmt="none", color=CHOSEN, linewidth=1.0, label="powder made")
        narrow = [recipes[f"{d}_{end}"].to_numpy(float) for end in ("low", "high")]
        ax.errorbar(at, value, yerr=_bars(value, *narrow), fmt="o", color=CHOSEN, linewidth=3, capsize=0,
                    label="model's expectation")  # fmt: skip
        own = again[again["descriptor"] == d]
        places = [list(recipes.index).index(k) + 1.18 for k in own.index]
        ax.plot(places, own["drawn"], "x", color=INK, markersize=4, label="drawn once more")
        ax.set(ylabel=axis_name(d), xticks=at, xticklabels=[str(k) for k in recipes.index], xlim=(0.1, len(at) + 0.7))
        ax.set_xlabel("recipe")
    _legend(fig, axes[0])
    return fig


def _band(ax, target):
    if target.value is None:
        side, y = ("higher is better ↑", 0.97) if target.direction == "high" else ("lower is better ↓", 0.03)
        ax.text(0.98, y, side, transform=ax.transAxes, ha="right", va="top" if y > 0.5 else "bottom", fontsize=8,
                color=WANTED)  # fmt: skip
        return
    low, high = target.limits
    if np.isfinite(low) and np.isfinite(high):
        ax.axhspan(low, high, color=WANTED, alpha=0.2, linewidth=0)
    ax.axhline(target.value, color=WANTED, linewidth=1.0, linestyle=(0, (4, 2)), label="wanted, with its tolerance")


def _end(q: Quantity, end: str) -> float:
    value = getattr(q, end)
    return q.value if value is None else value


def _bars(value, low, high):
    return np.clip(np.nan_to_num([value - low, high - value]), 0, None)


def windows(recipes: pd.DataFrame, space: Space, training: pd.DataFrame) -> Figure:
    """Draw each condition of every recipe with its window, over the bounds and the trained conditions."""
    names = list(space.names)
    fig, axes = _panels(len(names), 2.4)
    at = np.arange(len(recipes), 0, -1)
    for ax, name, kind in zip(axes, names, space.free, strict=True):
        if hasattr(kind, "options"):
            _words(ax, recipes, name, kind.options, training, at)
        else:
            ax.axvspan(kind.low, kind.high, color=MUTED, alpha=0.10, linewidth=0, label="searched")
            ax.plot(training[name], np.full(len(training), 0.25), "|", color=TRAINED, label="trained")
            low, high = (recipes[f"{name}_{end}"].to_numpy(float) for end in ("low", "high"))
            ax.hlines(at, low, high, color=CHOSEN, linewidth=3, alpha=0.4, label="window")
            ax.plot(recipes[name], at, "o", color=CHOSEN, label="recipe")
            if getattr(kind, "log", False):
                from .plots import log_axis

                log_axis(ax)
        ax.set(xlabel=name, yticks=at, yticklabels=[str(k) for k in recipes.index], ylim=(0, len(at) + 0.6))
    axes[0].set_ylabel("recipe")
    first = next((ax for ax, kind in zip(axes, space.free, strict=True) if not hasattr(kind, "options")), axes[0])
    _legend(fig, first)
    return fig


def _words(ax, recipes, name, options, training, at):
    share = [float((training[name] == word).mean()) for word in options]
    for j, part in enumerate(share):
        ax.text(j, 0.25, f"{part:.0%}", ha="center", va="center", fontsize=7, color=TRAINED)
    for y, (_, row) in zip(at, recipes.iterrows(), strict=True):
        ax.plot(options.index(row[name]), y, "o", color=CHOSEN)
        also = [w for w in str(row[f"{name}_also"]).split(", ") if w in options]
        ax.plot([options.index(w) for w in also], [y] * len(also), "o", color=CHOSEN, alpha=0.3)
    ax.set(xticks=range(len(options)), xticklabels=list(options), xlim=(-0.6, len(options) - 0.4))


def projection(recipes: pd.DataFrame, training: pd.DataFrame, share: float, *, extrapolates: Sequence[bool]) -> Figure:
    """Draw recipes among the trained conditions in the plane of these' variance, as Fig. S9 of paper 000.

    Parameters
    ----------
    recipes, training : DataFrame
        Columns `first` and `second` (`design.projection`).
    share : float
        Of the variance that the plane holds.
    extrapolates : sequence of bool
        Of each recipe.
    """
    fig = figure(5.4, 4.2)
    ax = fig.subplots()
    ax.plot(training["first"], training["second"], "o", color=TRAINED, alpha=0.6, label="trained conditions")
    far = np.asarray(extrapolates, bool)
    for kept, mark, label in ((~far, "D", "recipes"), (far, "X", "recipes that extrapolate")):
        own = recipes[kept]
        if len(own):
            ax.plot(own["first"], own["second"], mark, color=CHOSEN, markersize=7, label=label)
    for k, row in recipes.iterrows():
        ax.annotate(str(k), (row["first"], row["second"]), xytext=(5, 4), textcoords="offset points", fontsize=8)
    ax.set(xlabel="first principal component", ylabel=f"second ({share:.0%} of the variance in this plane)")
    ax.legend()
    return fig


def progress(trajectory: pd.DataFrame, limit: float) -> Figure:
    """Draw F of every call and the least so far; `limit` is F where all targets are just within tolerance, or NaN."""
    from matplotlib.ticker import MaxNLocator

    fig = figure(6.4, 3.4)
    ax = fig.subplots()
    calls = np.arange(1, len(trajectory) + 1)
    for k, phase in enumerate(dict.fromkeys(trajectory["phase"])):
        own = (trajectory["phase"] == phase).to_numpy()
        ax.plot(calls[own], trajectory["objective"].to_numpy()[own], "o", markersize=3.5, color=PALETTE[k], alpha=0.7,
                label=phase)  # fmt: skip
    ax.step(calls, trajectory["best"], where="post", color=INK, linewidth=1.0, label="least so far")
    if np.isfinite(limit):
        ax.axhline(limit, color=WANTED, linewidth=1.0, linestyle=(0, (4, 2)), label="all just within tolerance")
    values = trajectory["objective"].to_numpy(float)
    if (values[np.isfinite(values)] > 0).all():
        ax.set_yscale("log")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="call of the model", ylabel="F")
    ax.legend()
    return fig


def way(
    trajectory: pd.DataFrame, measured: pd.DataFrame, best: Mapping[str, float], targets: Mapping[str, float],
    names: Sequence[str],
) -> Figure:  # fmt: skip
    """Draw the calls among the measured powders in the space of descriptors, as Fig. 4(a) of paper 000.

    Parameters
    ----------
    trajectory : DataFrame
        Descriptors of every call.
    measured : DataFrame
        Descriptors of the training conditions.
    best : mapping
        Of the first recipe.
    targets : mapping of descriptor to number
        Where the broken lines meet; a descriptor without a number has none.
    names : sequence of str
        The colour, then two or three axes.
    """
    colour, *axes = names
    fig = figure(7.2, 5.4)
    solid = len(axes) == 3
    ax: Any = fig.add_subplot(projection="3d") if solid else fig.add_subplot()
    values = np.concatenate([t[colour].to_numpy(float) for t in (trajectory, measured) if colour in t])
    low, high = np.nanquantile(values, [0.02, 0.98]) if np.isfinite(values).any() else (0.0, 1.0)
    style = {"cmap": "plasma", "vmin": low, "vmax": high}
    if set(names) <= set(measured.columns):
        ax.scatter(*(measured[a] for a in axes), c=measured[colour], marker="s", s=26, alpha=0.8,
                   label="measured in the training", **style)  # fmt: skip
    called = ax.scatter(*(trajectory[a] for a in axes), c=trajectory[colour], marker="o", s=12, label="calls", **style)
    _cross(ax, axes, targets, measured, trajectory)
    ax.scatter(*([best[a]] for a in axes), marker="*", s=170, color=WANTED, edgecolor=INK, label="recipe 1")
    for axis, name in zip("xyz", axes, strict=False):
        getattr(ax, f"set_{axis}label")(axis_name(name))
    fig.colorbar(called, ax=ax, label=axis_name(colour), shrink=0.7, pad=0.12 if solid else 0.02)
    ax.legend(loc="upper left")
    return fig


def _cross(ax, axes, targets, *tables):
    """Draw lines through the target along each axis, where it has a number for the others."""
    spans = {}
    for a in axes:
        seen = np.concatenate([t[a].to_numpy(float) for t in tables if a in t] + [[targets.get(a, np.nan)]])
        spans[a] = (np.nanmin(seen), np.nanmax(seen))
    for a in axes:
        others = [o for o in axes if o != a]
        if all(o in targets for o in others):
            line = [spans[a] if o == a else (targets[o], targets[o]) for o in axes]
            ax.plot(*line, color=WANTED, linewidth=1.2, linestyle=(0, (4, 2)))


def pareto(front: pd.DataFrame, trajectory: pd.DataFrame, recipes: pd.DataFrame, targets: Sequence[Target]) -> Figure:
    """Draw what can be had together, target against target: the front, the calls and the recipes."""
    names = [t.descriptor for t in targets]
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]][:6]
    fig, axes = _panels(len(pairs), 3.0)
    for ax, (x, y) in zip(axes, pairs, strict=True):
        ax.plot(trajectory[x], trajectory[y], ".", color=CALLED, markersize=4, alpha=0.6, label="calls")
        ax.plot(front[x], front[y], "o", color=PALETTE[0], label="none betters these")
        ax.plot(recipes[x], recipes[y], "D", color=CHOSEN, label="recipes")
        wanted = {t.descriptor: t.value for t in targets}
        for value, draw in ((wanted[x], ax.axvline), (wanted[y], ax.axhline)):
            if value is not None:
                draw(value, color=WANTED, linewidth=1.0, linestyle=(0, (4, 2)))
        ax.set(xlabel=axis_name(x), ylabel=axis_name(y))
    _legend(fig, axes[0])
    return fig


def _panels(n: int, height: float) -> tuple[Figure, list[Axes]]:
    """Return a figure of n panels, up to four in a row."""
    across = min(n, 4)
    down = -(-n // across)
    fig = figure(PANEL * across + 0.4, height * down + 0.35)
    axes = list(np.atleast_1d(fig.subplots(down, across, squeeze=False)).ravel())
    for ax in axes[n:]:
        ax.axis("off")
    return fig, axes[:n]


def _legend(fig: Figure, ax: Axes) -> None:
    handles, labels = ax.get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=min(5, len(labels)))
