"""Pictures of chemistry: maps of the oxidation state with their errors, spectra with their fits, profiles, motion."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..image import Quantity
from .look import INK, MUTED, PALETTE, figure
from .pictures import round_length, scale_bar

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STATES, ERRORS = "viridis", "magma"
MOST_PANELS = 24
MOST_LINES = 12


@dataclass(frozen=True)
class Panel:
    """One particle's map.

    Parameters
    ----------
    number : int
    values, errors : (y, x) arrays
        NaN outside and where nothing is known.
    mask : (y, x) bool array
    corner_px : (float, float)
        Place of pixel (0, 0) in the field.
    title : str
        What is written over it.
    """

    number: int
    values: np.ndarray
    errors: np.ndarray
    mask: np.ndarray
    corner_px: tuple[float, float] = (0.0, 0.0)
    title: str = ""


def limits(panels: Sequence[Panel], *, share: float = 2.0) -> tuple[float, float]:
    """Return the range that all panels' values share, its outermost `share` per cent left out at both ends."""
    values = np.concatenate([p.values[np.isfinite(p.values)] for p in panels] or [np.zeros(0)])
    if values.size == 0:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(values, [share, 100 - share]))
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def state_maps(panels: Sequence[Panel], *, label: str, spacing: tuple[float, float] | None) -> Figure:
    """Draw the map of every particle, and below it the standard error, with one colour bar each.

    Parameters
    ----------
    panels : sequence of Panel
        Of more than 24 the first are drawn.
    label : str
        Of the colour bar, with unit.
    spacing : (float, float) or None
        Pixel size in um for scale bars; None where it is unknown: the axes then count pixels.
    """
    panels = list(panels)[:MOST_PANELS]
    across = min(len(panels), 6)
    rows = math.ceil(len(panels) / across)
    aspect = max(p.values.shape[0] / p.values.shape[1] for p in panels)
    cell = 2.1 if across > 3 else 2.8
    fig = figure(cell * across + 1.3, 2 * rows * (cell * min(aspect, 1.6) + 0.35))
    axes = fig.subplots(2 * rows, across, squeeze=False)
    low, high = limits(panels)
    top = limits([Panel(p.number, p.errors, p.errors, p.mask) for p in panels])[1]
    drawn: list[Any] = [None, None]
    for i, ax in enumerate(axes.flat):
        r, c = divmod(i, across)
        k = (r // 2) * across + c
        if k >= len(panels):
            ax.set_axis_off()
            continue
        p, lower = panels[k], r % 2
        array, cmap, ends = (p.errors, ERRORS, (0.0, top)) if lower else (p.values, STATES, (low, high))
        drawn[lower] = _map(ax, array, p.mask, cmap=cmap, ends=ends, spacing=spacing)
        ax.set_title("" if lower else p.title or f"{p.number}", fontsize=9)
    for half, text in ((0, label), (1, "standard error")):
        if drawn[half] is not None:
            fig.colorbar(drawn[half], ax=axes.ravel().tolist(), label=text, shrink=0.8, aspect=25, pad=0.02)
    return fig


def _map(ax: Axes, array, mask, *, cmap, ends, spacing):
    """Draw one map; the particle's pixels that tell nothing are grey."""
    blank = np.where(mask & ~np.isfinite(array), 0.82, np.nan)
    ax.imshow(np.where(mask, np.nan, 1.0), cmap="gray", vmin=0, vmax=1)
    ax.imshow(blank, cmap="gray", vmin=0, vmax=1)
    aspect = spacing[0] / spacing[1] if spacing else 1.0
    shown = ax.imshow(array, cmap=cmap, vmin=ends[0], vmax=ends[1], aspect=aspect, interpolation="nearest")
    _outline(ax, mask)
    ax.set(xlim=(-0.5, array.shape[1] - 0.5), ylim=(array.shape[0] - 0.5, -0.5))
    ax.spines[:].set_visible(False)
    ax.set(xticks=[], yticks=[])
    scale_bar(ax, spacing)
    return shown


def _outline(ax, mask, **look):
    if mask.any() and not mask.all():
        padded = np.pad(mask.astype(float), 1)
        y, x = np.arange(-1, mask.shape[0] + 1), np.arange(-1, mask.shape[1] + 1)
        ax.contour(x, y, padded, levels=[0.5], colors=look.get("color", INK), linewidths=0.7)


def state_spectra(
    energies_ev: np.ndarray,
    spectra: Mapping[str, np.ndarray],
    *,
    references: Mapping[str, np.ndarray],
    example: tuple[str, np.ndarray] | None = None,
    ends: tuple[float, float],
    shift: str = "",
) -> Figure:
    """Draw normalised mean spectra over the references, and how well one of them is fitted.

    Parameters
    ----------
    energies_ev : (e,) array
    spectra : mapping of name to (e,) array
        Normalised; of more than 12 the first are drawn.
    references : mapping of name to (e,) array
        On the same axis.
    example : (name, (e,) array), optional
        One of `spectra` and its fit; the residual is drawn below.
    ends : (float, float)
        Range of energies shown.
    shift : str
        Written under the axis: the shift between the scan's axis and the references'.
    """
    fig = figure(7.2, 5.2 if example else 4.0)
    if example:
        ax, below = fig.subplots(2, 1, sharex=True, height_ratios=(3.2, 1))
    else:
        ax, below = fig.subplots(), None
    for k, (name, values) in enumerate(references.items()):
        colour = (PALETTE[0], PALETTE[1], PALETTE[3])[k % 3]
        ax.plot(energies_ev, values, color=colour, linestyle=(0, (4, 2)), label=f"reference {name}")
    shown = dict(list(spectra.items())[:MOST_LINES])
    for name, values in shown.items():
        label = None if name != next(iter(shown)) else "all particles" if len(shown) > 1 else name
        if example is None or len(shown) > 1:
            ax.plot(energies_ev, values, color=INK, alpha=0.35, linewidth=0.9, label=label)
    if example and below is not None:
        name, fit = example
        ax.plot(energies_ev, spectra[name], "o", color=INK, markersize=2.6, label=name)
        ax.plot(energies_ev, fit, color=PALETTE[2], linewidth=1.1, label="its fit")
        below.axhline(0, color=MUTED, linewidth=0.8)
        below.plot(energies_ev, spectra[name] - fit, "o-", color=PALETTE[2], markersize=2, linewidth=0.8)
        below.set_ylabel("residual")
    (below or ax).set_xlabel(f"energy (eV){'; ' + shift if shift else ''}")
    ax.set(xlim=ends, ylabel="normalised absorption")
    ax.legend(fontsize=8)
    return fig


def radial_figure(profiles: Mapping[str, Mapping[str, np.ndarray]], *, label: str) -> Figure:
    """Draw the state from the middle to the outline of each particle, with a band of 1.96 standard errors.

    Parameters
    ----------
    profiles : mapping of name to mapping
        Arrays ``radius``, ``state`` and ``state_se``; of more than 12 the first are drawn.
    label : str
        Of the state, with unit.
    """
    fig = figure(6.4, 4.2)
    ax = fig.subplots()
    marks = "osD^vPX*"
    for k, (name, p) in enumerate(list(profiles.items())[:MOST_LINES]):
        colour = PALETTE[k % len(PALETTE)]
        half = 1.96 * p["state_se"]
        ax.fill_between(p["radius"], p["state"] - half, p["state"] + half, color=colour, alpha=0.2, linewidth=0)
        style = "-" if k < len(PALETTE) else (0, (4, 2))
        ax.plot(p["radius"], p["state"], marker=marks[k % 8], markersize=4, color=colour, linestyle=style, label=name)
    ax.set(xlim=(0, 1), xlabel="normalised radius (0 middle, 1 outline)", ylabel=label)
    ax.grid(axis="y", color="#e4e4e4", linewidth=0.6)
    ax.legend(fontsize=8, ncols=2 if len(profiles) > 6 else 1)
    return fig


def evolution(table, *, label: str) -> Figure:
    """Draw mean state and spread of every particle over the scans.

    Parameters
    ----------
    table : DataFrame
        Columns `particle`, `scan`, `state_mean`, `state_se`, `state_sd`.
    label : str
    """
    fig = figure(8.4, 3.8)
    mean, spread = fig.subplots(1, 2)
    for k, (number, own) in enumerate(table.groupby("particle")):
        colour, style = PALETTE[k % len(PALETTE)], "-" if k < len(PALETTE) else "--"
        half = 1.96 * own["state_se"].to_numpy()
        mean.errorbar(
            own["scan"], own["state_mean"], yerr=half, color=colour, linestyle=style, marker="o", markersize=3,
            linewidth=1.1, label=f"{number}" if k < MOST_LINES else None,
        )  # fmt: skip
        spread.plot(
            own["scan"], own["state_sd"], color=colour, linestyle=style, marker="o", markersize=3, linewidth=1.1
        )
    mean.set(xlabel="scan", ylabel=label, title="mean of each particle")
    spread.set(xlabel="scan", ylabel=f"spread within, {label}", title="heterogeneity within")
    spread.set_ylim(bottom=0)
    for ax in (mean, spread):
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.grid(axis="y", color="#e4e4e4", linewidth=0.6)
    mean.legend(fontsize=7, ncols=2, title="particle", title_fontsize=7)
    return fig


def states_in_place(
    panels: Sequence[Panel], moved: Mapping[int, tuple[float, float]], *, label: str,
    spacing: tuple[float, float] | None,
) -> Figure:  # fmt: skip
    """Draw the maps where the particles lie in the field, with arrows of how they moved against one another.

    Parameters
    ----------
    panels : sequence of Panel
        With their corners.
    moved : mapping of particle to (dy, dx)
        Displacement in px less that of the whole field; drawn larger when small, with its factor said.
    label : str
    spacing : (float, float) or None
    """
    low, high = limits(panels)
    corners = np.array([p.corner_px for p in panels])
    ends = corners + [p.values.shape for p in panels]
    (y0, x0), (y1, x1) = corners.min(0), ends.max(0)
    height, width = max(y1 - y0, 1.0), max(x1 - x0, 1.0)
    fig = figure(7.6, float(np.clip(6.6 * height / width, 3.0, 9.0)))
    ax = fig.subplots()
    drawn = None
    longest = max((float(np.hypot(*v)) for v in moved.values() if np.isfinite(v).all()), default=0.0)
    factor = round_length(0.12 * width / longest) if 0 < longest < 0.12 * width else 1.0
    for p in panels:
        y, x = p.corner_px
        extent = (x - 0.5, x + p.values.shape[1] - 0.5, y + p.values.shape[0] - 0.5, y - 0.5)
        drawn = ax.imshow(p.values, cmap=STATES, vmin=low, vmax=high, extent=extent, interpolation="nearest")
        inside = np.argwhere(p.mask)
        cy, cx = (inside.mean(0) if len(inside) else np.array(p.values.shape) / 2) + (y, x)
        dy, dx = moved.get(p.number, (np.nan, np.nan))
        if np.isfinite([dy, dx]).all() and longest > 0:
            ax.annotate(
                "", (cx + factor * dx, cy + factor * dy), (cx, cy),
                arrowprops={"arrowstyle": "-|>", "color": PALETTE[1], "linewidth": 1.6},
            )  # fmt: skip
        top = y + (inside[:, 0].min() if len(inside) else 0)
        ax.text(cx, top - 1, f"{p.number}", fontsize=9, weight="bold", color=INK, ha="center", va="bottom")
    ax.set(xlim=(x0 - 4, x1 + 4), ylim=(y1 + 4, y0 - 8))
    ax.set(aspect=spacing[0] / spacing[1] if spacing else "equal", xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    scale_bar(ax, spacing)
    if longest > 0:
        ax.set_title(f"arrows: motion against the field, {factor:g} times as long", fontsize=9)
    if drawn is not None:
        fig.colorbar(drawn, ax=ax, label=label, shrink=0.8, pad=0.01)
    return fig


def motion_and_state(table, correlations: Mapping[str, Quantity], *, columns: Mapping[str, str]) -> Figure:
    """Draw a property of every particle's chemistry against how much it moves.

    Parameters
    ----------
    table : DataFrame
        `particle`, `motion_rms_px` and the columns to draw, with their errors as `COLUMN_se` where known.
    correlations : mapping of column to Quantity
    columns : mapping of column to axis label
    """
    fig = figure(4.2 * len(columns), 3.8)
    axes = fig.subplots(1, len(columns), squeeze=False)[0]
    for ax, (column, label) in zip(axes, columns.items(), strict=True):
        error = f"{column.removesuffix('_mean')}_se"
        half = 1.96 * table[error] if error in table else None
        if column.endswith("_sd") and half is not None:  # a spread is not negative
            half = np.array([np.minimum(half, table[column]), half])
        ax.errorbar(table["motion_rms_px"], table[column], yerr=half, fmt="o", color=PALETTE[0], markersize=4)
        for row in table.itertuples():
            at = (row.motion_rms_px, getattr(row, column))
            if np.isfinite(at).all():
                ax.annotate(str(row.particle), at, xytext=(4, 3), textcoords="offset points", fontsize=7, color=MUTED)
        q = correlations[column]
        ax.set(xlabel="motion of its own, rms (px)", ylabel=label)
        ax.set_title(f"rank correlation {q}" if np.isfinite(q.value) else str(q.warning), fontsize=9)
    return fig
