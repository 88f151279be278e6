"""What sections say of a marker law, and what it means in 3D, with what is not known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from .look import MUTED, PALETTE, figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

LOGARITHMIC = ("intensity_per_um3", "radial_ratio", "tangential_ratio")
COLOURS = {"yes": PALETTE[2], "weakly": PALETTE[5], "no": MUTED}


def posterior_figure(table: DataFrame) -> Figure:
    """Return every parameter's interval within the range it might have had.

    Parameters
    ----------
    table : DataFrame
        `LawPosterior.table`.
    """
    fig = figure(9.5, 0.52 * len(table) + 1.0)
    ax = fig.subplots()
    for k, (name, row) in enumerate(table.iterrows()):
        low, median, high = _within(name, row, ("low", "median", "high"))
        colour = COLOURS[row["identifiable"]]
        ax.plot([0, 1], [k, k], color="#DDDDDD", linewidth=7, solid_capstyle="butt", zorder=1)
        ax.plot([low, high], [k, k], color=colour, linewidth=7, solid_capstyle="butt", zorder=2)
        ax.plot(median, k, "|", color="black", markersize=13, markeredgewidth=1.8, zorder=3)
        told = f"{row['median']:.3g} [{row['low']:.3g}, {row['high']:.3g}]"
        ax.text(1.02, k, told, va="center", fontsize=8.5)
        ax.text(0.0, k - 0.42, f"{row['prior_low']:.2g}", fontsize=7, color=MUTED, va="center")
        ax.text(1.0, k - 0.42, f"{row['prior_high']:.2g}", fontsize=7, color=MUTED, va="center", ha="right")
    ax.set(
        yticks=range(len(table)),
        yticklabels=list(table["meaning"]),
        xticks=[],
        xlim=(0, 1.32),
        ylim=(len(table) - 0.4, -0.8),
    )
    ax.spines[:].set_visible(False)
    _legend(ax)
    return fig


def _legend(ax, prior: str | None = None) -> None:
    """Say above the bars what their colours mean."""
    from matplotlib.lines import Line2D

    words = {"yes": "told by the sections", "weakly": "told weakly", "no": "not told"}
    marks = [Line2D([], [], color=COLOURS[k], linewidth=7, label=text) for k, text in words.items()]
    if prior is not None:
        marks.append(Line2D([], [], color="#DDDDDD", linewidth=7, label=prior))
    ax.legend(handles=marks, loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=len(marks))


def _within(name, row, ends):
    """Places between the ends of the prior, 0 to 1, on the scale it is even on."""
    scale = np.log if name in LOGARITHMIC else np.asarray
    low, high = scale(row["prior_low"]), scale(row["prior_high"])
    return [(float(scale(row[end])) - low) / (high - low) for end in ends]


QUANTITIES = {
    "diameter_um_d10": "diameter, D10 (um)",
    "diameter_um_d50": "diameter, D50 (um)",
    "diameter_um_d90": "diameter, D90 (um)",
    "axis_ratio_3d_q50": "longest over shortest axis, median",
    "elongation_3d_q50": "longest over middle axis, median",
    "flatness_3d_q50": "middle over shortest axis, median",
    "radial_ratio_q50": "extent along over across the radius, median",
    "alpha_long_deg_mean": "longest axis to the radius, mean (deg)",
    "alpha_short_deg_q50": "shortest axis to the radius, median (deg)",
    "share_alpha_long_below_30": "share of grains with it below 30 deg",
}


def grains_figure(table: DataFrame, truth: Mapping[str, float] | None = None) -> Figure:
    """Return the predicted numbers of the grains in 3D with their intervals, within what the prior allows.

    Parameters
    ----------
    table : DataFrame
        As `generate.predict_grains` returns it.
    truth : mapping of quantity to float, optional
        True numbers, where they are known; drawn as crosses.
    """
    names = [name for name in QUANTITIES if name in table.index]
    fig = figure(9.5, 0.5 * len(names) + 0.9)
    ax = fig.subplots()
    for k, name in enumerate(names):
        row = table.loc[name]
        # room for what lies outside the prior's simulations
        ends = [row["prior_low"], row["prior_high"], row["low"], row["high"], (truth or {}).get(name, np.nan)]
        low, high = np.nanmin(ends), np.nanmax(ends)
        scale = (high - low) or 1.0
        place = {key: (row[key] - low) / scale for key in ("prior_low", "prior_high", "low", "median", "high")}
        ax.plot([place["prior_low"], place["prior_high"]], [k, k], color="#DDDDDD", linewidth=7, solid_capstyle="butt")
        colour = COLOURS[row["identifiable"]]
        ax.plot([place["low"], place["high"]], [k, k], color=colour, linewidth=7, solid_capstyle="butt")
        ax.plot(place["median"], k, "|", color="black", markersize=13, markeredgewidth=1.8)
        if truth is not None and np.isfinite(truth.get(name, np.nan)):
            ax.plot((truth[name] - low) / scale, k, "x", color=PALETTE[3], markersize=8, markeredgewidth=2)
        ax.text(1.03, k, f"{row['median']:.3g} [{row['low']:.3g}, {row['high']:.3g}]", va="center", fontsize=8.5)
    ax.set(yticks=range(len(names)), yticklabels=[QUANTITIES[n] for n in names], xticks=[], xlim=(-0.02, 1.32))
    ax.invert_yaxis()
    ax.spines[:].set_visible(False)
    _legend(ax, "95 % of the prior")
    return fig


def statistics_figure(table: DataFrame) -> Figure:
    """Return each statistic of the sections beside what the posterior predicts, in units of its interval.

    Parameters
    ----------
    table : DataFrame
        `LawPosterior.statistics`.
    """
    known = table[np.isfinite(table).all(axis=1)]
    half = np.maximum((known["high"] - known["low"]) / 2, 1e-12)
    off = ((known["observed"] - known["predicted"]) / half).to_numpy()
    fig = figure(9.5, 0.17 * len(known) + 1.0)
    ax = fig.subplots()
    place = np.arange(len(known))
    ax.axvspan(-1, 1, color=PALETTE[2], alpha=0.15, linewidth=0, label="95 % of the model's sections")
    ax.axvline(0, color=MUTED, linewidth=0.8)
    ax.plot(np.clip(off, -3, 3), place, "o", color=PALETTE[0], markersize=4, label="measured")
    ax.set(
        yticks=place,
        xlim=(-3.1, 3.1),
        ylim=(len(known) - 0.5, -0.5),
        xlabel="difference from the model's median, in half intervals",
    )
    ax.set_yticklabels(list(known.index), fontsize=6.5)
    ax.legend(loc="lower right")
    return fig


def curves_figure(curves: DataFrame) -> Figure:
    """Return how a training of the stereological GAN went, epoch by epoch.

    Parameters
    ----------
    curves : DataFrame
        As `nets.learn_architecture` gives them, index `epoch`.
    """
    fig = figure(10, 3.0)
    axes = fig.subplots(1, 4)
    x = curves.index
    axes[0].plot(x, curves["generator_loss"], label="generator")
    axes[0].plot(x, curves["discriminator_loss"], label="discriminator")
    axes[0].set_ylabel("loss")
    axes[0].legend()
    axes[1].plot(x, curves["intensity"])
    axes[1].set_ylabel("seeds a cubic step")
    axes[2].plot(x, curves["grains_measured"], label="measured")
    axes[2].plot(x, curves["grains_drawn"], label="drawn")
    axes[2].set_ylabel("grains in a cutout")
    axes[2].legend()
    ratio, spread = np.exp(curves["radial_ratio"]), curves["radial_ratio_sd"]
    axes[3].fill_between(x, ratio * np.exp(-spread), ratio * np.exp(spread), alpha=0.2, linewidth=0)
    axes[3].plot(x, ratio)
    axes[3].set_ylabel("markers: along over across")
    for ax in axes:
        ax.set_xlabel("epoch")
        ax.margins(x=0)
    return fig
