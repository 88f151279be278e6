"""What a micrograph model draws between the conditions that it was trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..results import ReportFigure
from .look import INK, PALETTE, figure
from .pictures import scale_bar
from .powder import AXIS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BETWEEN = "Between the conditions"
REAL, DRAWN, BASELINE = INK, PALETTE[0], PALETTE[1]
SHOWN = 5


def over_one(
    draw: Any,
    table: pd.DataFrame,
    variable: str,
    descriptors: Sequence[str],
    *,
    views: Mapping[str, float],
    shown: Sequence[int] | None = None,
    real: pd.DataFrame | None = None,
    seed: int = 0,
) -> ReportFigure:
    """Show micrographs and descriptors along one process variable (Fig. S5 of paper 000).

    Parameters
    ----------
    draw : MicrographModel, or callable
        With `draw`, or itself called, as ``draw(condition, view=..., images=1, seed=...)``, giving (1, h, w).
    table : DataFrame
        One row a condition in the order of `variable`: every process variable, `<descriptor>` and `<descriptor>_se`
        of drawn images, and where there are `<descriptor>_gp`, `<descriptor>_gp_sd`; `trained` (bool) where it is
        known whether the very condition was trained on.
    variable : str
    descriptors : sequence of str
    views : mapping of view to pixel size in um
    shown : sequence of int, optional
        Rows whose pictures are shown; up to 5, evenly, unless given.
    real : DataFrame, optional
        Measured conditions that differ in `variable` only: its column, `<descriptor>`, `<descriptor>_se`.
    seed : int
        Of the pictures: the same for all, so that what changes is the condition.
    """
    rows = _spread(len(table), 5) if shown is None else list(shown)
    return ReportFigure(
        lambda: _over_one(_function(draw), table, variable, descriptors, views, rows, real, seed),
        f"Drawn micrographs along {variable} from one seed, everything else the same, and what is measured in drawn "
        "ones: the band is twice the standard error of the draws, not how far a made powder may lie off. "
        + _marked(table)
        + ("Black: measured in real micrographs, with 95 % intervals. " if real is not None else "")
        + ("Dashed: a Gaussian process straight from the conditions, with two standard deviations." if any(
            f"{d}_gp" in table for d in descriptors) else ""),
        BETWEEN,
    )  # fmt: skip


def _over_one(draw, table, variable, descriptors, views, rows, real, seed) -> Figure:
    across = max(len(rows), 1)
    conditions = [_condition(table, row, descriptors) for row in rows]
    arrays = [[np.asarray(draw(c, view=view, images=1, seed=seed))[0] for c in conditions] for view in views]
    width = max(1.75 * across, 2.3 * len(descriptors)) + 0.5
    heights = [width / across * (a[0].shape[0] / a[0].shape[1] if a else 1.0) for a in arrays]
    fig = figure(width, sum(heights) + 3.0)
    top, bottom = fig.subfigures(2, 1, squeeze=False, height_ratios=(sum(heights) + 0.2, 2.8))[:, 0]
    axes = top.subplots(len(views), across, squeeze=False)
    for j, row in enumerate(rows):
        for i, pixel in enumerate(views.values()):
            picture(axes[i, j], arrays[i][j], pixel, bar=j == 0)
        mark = "" if _trained(table)[row] else " (not trained)"
        axes[0, j].set_title(f"{variable} {_short(table[variable].iloc[row])}{mark}", fontsize=8)
    for ax, name in zip(bottom.subplots(1, len(descriptors), squeeze=False)[0], descriptors, strict=True):
        _curve(ax, table, variable, name, real)
        ax.set(xlabel=variable)
        ax.set_title(AXIS.get(name, name), fontsize=9)
    handles, labels = ax.get_legend_handles_labels()
    bottom.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=8)
    return fig


def _curve(ax, table, variable, name, real, *, colour=DRAWN, label="drawn"):
    """A descriptor along a variable with its bands."""
    words = table[variable].to_numpy().dtype.kind not in "buif"
    x = np.arange(len(table)) if words else table[variable].to_numpy(float)
    y, se = (table[c].to_numpy(float) for c in (name, f"{name}_se"))
    ax.fill_between(x, y - 2 * se, y + 2 * se, color=colour, alpha=0.22, linewidth=0)
    ax.plot(x, y, color=colour, linewidth=1.4, label=label)
    trained = _trained(table)
    ax.plot(x[trained], y[trained], "o", color=colour, markersize=4.5)
    ax.plot(x[~trained], y[~trained], "o", color=colour, markerfacecolor="white", markersize=4.5)
    if f"{name}_gp" in table:
        gp, sd = (table[c].to_numpy(float) for c in (f"{name}_gp", f"{name}_gp_sd"))
        ax.plot(x, gp, color=BASELINE, linewidth=1.2, linestyle=(0, (4, 2)), label="Gaussian process")
        ax.fill_between(x, gp - 2 * sd, gp + 2 * sd, color=BASELINE, alpha=0.12, linewidth=0)
    if real is not None and len(real):
        at = [list(table[variable]).index(v) for v in real[variable]] if words else real[variable].to_numpy(float)
        se_real = 1.96 * np.nan_to_num(real[f"{name}_se"].to_numpy(float)) if f"{name}_se" in real else None
        ax.errorbar(at, real[name], yerr=se_real, fmt="s", color=REAL, markersize=4, capsize=2, label="real")
    if words:
        ax.set_xticks(x, [str(v) for v in table[variable]])
    ax.margins(x=0.05)


def over_two(
    draw: Any,
    table: pd.DataFrame,
    variables: tuple[str, str],
    descriptors: Sequence[str],
    *,
    view: str,
    pixel_um: float,
    seed: int = 0,
) -> ReportFigure:
    """Show micrographs and descriptors over two process variables (Fig. S6 of paper 000).

    Parameters
    ----------
    draw : MicrographModel, or callable
        As for `over_one`.
    table : DataFrame
        As for `over_one`, every combination of up to about five values of each variable.
    variables : (str, str)
        Across and upwards.
    descriptors : sequence of str
    view : str
        Of the pictures.
    pixel_um : float
    seed : int
    """
    return ReportFigure(
        lambda: _over_two(_function(draw), table, variables, descriptors, view, pixel_um, seed),
        f"Drawn micrographs ({view}) over {variables[0]} and {variables[1]} from one seed, everything else the "
        "same. Right: what is measured in drawn micrographs; bands are twice the standard error of the draws. "
        + (_marked(table) and _marked(table) + "A frame marks the pictures of the former."),
        BETWEEN,
    )


def _over_two(draw, table, variables, descriptors, view, pixel_um, seed) -> Figure:
    across, upwards = (sorted(table[v].unique()) for v in variables)
    arrays = [np.asarray(draw(_condition(table, k, descriptors), view=view, images=1, seed=seed))[0]
              for k in range(len(table))]  # fmt: skip
    high = 1.5 * len(upwards) * arrays[0].shape[0] / arrays[0].shape[1]
    columns = 1 if len(descriptors) < 3 else 2
    deep = -(-len(descriptors) // columns)
    fig = figure(1.5 * len(across) + 2.6 * columns + 0.5, max(high, 2.1 * deep) + 0.5)
    left, right = fig.subfigures(1, 2, squeeze=False, width_ratios=(1.5 * len(across), 2.6 * columns))[0]
    axes = left.subplots(len(upwards), len(across), squeeze=False)
    trained = _trained(table)
    for row in range(len(table)):
        one, two = (table[v].iloc[row] for v in variables)
        ax = axes[len(upwards) - 1 - upwards.index(two), across.index(one)]
        picture(ax, arrays[row], pixel_um, bar=row == 0)
        if trained[row] and "trained" in table:
            ax.spines[:].set(visible=True, color=BASELINE, linewidth=2.0)
    for j, value in enumerate(across):
        axes[-1, j].set_xlabel(f"{variables[0]} {_short(value)}", fontsize=8)
    for i, value in enumerate(reversed(upwards)):
        axes[i, 0].set_ylabel(f"{variables[1]} {_short(value)}", fontsize=8)
    panels = right.subplots(deep, columns, squeeze=False)
    for ax in panels.flat[len(descriptors) :]:
        ax.set_axis_off()
    for ax, name in zip(panels.flat, descriptors, strict=False):
        for k, value in enumerate(upwards):
            own = table[table[variables[1]] == value].sort_values(variables[0])
            _curve(ax, own.drop(columns=[c for c in own if c.endswith("_gp")]), variables[0], name, None,
                   colour=PALETTE[k % len(PALETTE)], label=_short(value))  # fmt: skip
        ax.set_title(AXIS.get(name, name), fontsize=9)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    right.legend(handles, labels, title=variables[1], loc="outside lower center", ncols=len(labels), fontsize=7.5,
                 title_fontsize=7.5)  # fmt: skip
    for ax in panels[-1]:
        ax.set_xlabel(variables[0])
    return fig


def picture(ax: Axes, array: np.ndarray | None, pixel_um: float, *, title: str = "", bar: bool = False) -> None:
    """Draw a micrograph, uint8 from black to white as it is, so that pictures compare; None leaves the place empty."""
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    ax.set_title(title, fontsize=8.5)
    if array is None:
        return
    low, high = (0, 255) if array.dtype == np.uint8 else (np.nanmin(array), np.nanmax(array))
    ax.imshow(array, cmap="gray", vmin=low, vmax=high)
    if bar:
        scale_bar(ax, pixel_um)


def _function(draw) -> Callable[..., np.ndarray]:
    return draw.draw if hasattr(draw, "draw") else draw


def _condition(table, row, descriptors) -> dict[str, Any]:
    """Return the process variables of one row."""
    own = [c for c in table.columns if c != "trained" and not any(c == d or c.startswith(f"{d}_") for d in descriptors)]
    return {c: table[c].iloc[row] for c in own}


def _trained(table) -> np.ndarray:
    return table["trained"].to_numpy(bool) if "trained" in table else np.ones(len(table), bool)


def _marked(table) -> str:
    """Return the sentence on filled and open points, where conditions are told apart."""
    if "trained" not in table:
        return ""
    return "Filled points are conditions that were trained on, open ones lie between or beyond. "


def _spread(n, most):
    return sorted({round(v) for v in np.linspace(0, n - 1, min(n, most))}) if n else []


def _short(value) -> str:
    return f"{value:.3g}" if isinstance(value, (int, float, np.number)) else str(value)
