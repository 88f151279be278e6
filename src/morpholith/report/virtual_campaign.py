"""Figures of a virtual synthesis campaign: micrographs over recipes, trends of the truth, the plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from .look import MUTED, PALETTE, figure
from .pictures import micrograph

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

NAMES = {
    "ph": "pH", "naoh": "NaOH (×)", "nh4oh": "NH$_4$OH (×)", "time_min": "time (min)",
    "stirring_rpm": "stirring (1/min)", "atmosphere": "atmosphere", "texture_mean": "texture",
    "d50_um": "D50 by number (µm)", "circularity_mean": "circularity", "circularity_sd": "SD of circularity",
}  # fmt: skip
DESCRIPTORS = ("texture_mean", "d50_um", "circularity_mean", "circularity_sd")
GASES = {"N2": (PALETTE[0], "o"), "air": (PALETTE[2], "^"), "O2": (PALETTE[1], "s")}
RECIPES: dict[str, dict[str, float | str]] = {
    "NaOH ×0.25, NH$_4$OH ×0.09, pH 10": {"ph": 10.0, "naoh": 0.25, "nh4oh": 0.09},
    "the same in O$_2$": {"ph": 10.0, "naoh": 0.25, "nh4oh": 0.09, "atmosphere": "O2"},
    "NaOH ×0.08, NH$_4$OH ×0.29, pH 11": {"ph": 11.0, "naoh": 0.08, "nh4oh": 0.29},
}
RANGES = {"time_min": (15.0, 1440.0), "ph": (9.8, 11.0)}


def sheet_figure(
    pictures: Mapping[str, list[tuple[np.ndarray, tuple[float, float]]]], recipes: pd.DataFrame, truth: pd.DataFrame
) -> Figure:
    """Draw one column a recipe, one row a magnification; `pictures` has array and spacing of each."""
    n = len(pictures)
    fig = figure(2.7 * n, 2 * 2.05 + 1.1)
    axes = fig.subplots(2, n, squeeze=False)
    for column, (name, views) in zip(axes.T, pictures.items(), strict=True):
        for ax, (array, spacing) in zip(column, views, strict=True):
            micrograph(ax, array, spacing=spacing)
        column[0].set_title(f"{name}\n{_recipe(recipes.loc[name])}", fontsize=7.5)
        true = truth.loc[name]
        column[1].set_xlabel(
            f"texture {true['texture_mean']:.2f}, D50 {true['d50_um']:.1f} µm\n"
            f"circularity {true['circularity_mean']:.3f} ± {true['circularity_sd']:.3f}",
            fontsize=7.5,
        )
    return fig


def _recipe(row) -> str:
    return (
        f"pH {row['ph']:.4g}, NaOH ×{row['naoh']:.3g}, NH$_4$OH ×{row['nh4oh']:.3g}\n"
        f"{row['time_min']:.0f} min, {row['stirring_rpm']:.0f}/min, {row['atmosphere']}"
    )


def trends_figure(variable: str, truth_of: Callable[[pd.DataFrame], pd.DataFrame]) -> Figure:
    """Draw the true descriptors of three recipes against one variable, which is `time_min` or `ph`."""
    import pandas as pd

    x = np.linspace(*RANGES[variable], 121)
    fig = figure(13, 3.3)
    axes = fig.subplots(1, 4)
    for k, (label, recipe) in enumerate(RECIPES.items()):
        table = pd.DataFrame([{**recipe, variable: v} for v in x])
        found = truth_of(table)
        for ax, name in zip(axes, DESCRIPTORS, strict=True):
            ax.plot(x, found[name], color=PALETTE[k], label=label)
    for ax, name in zip(axes, DESCRIPTORS, strict=True):
        ax.set(xlabel=NAMES[variable], ylabel=NAMES[name])
        if variable == "time_min":
            ax.axvline(120, color=MUTED, linewidth=0.8, linestyle=":")
    axes[0].set_ylim(0, 1)
    axes[0].legend(fontsize=7, loc="upper right")
    return fig


def spread_figure(truth: pd.DataFrame, lots: pd.DataFrame) -> Figure:
    """Draw the true descriptors against each other: recipes as circles, lots as dots."""
    fig = figure(13, 3.5)
    pairs = (("d50_um", "texture_mean"), ("circularity_mean", "texture_mean"), ("circularity_mean", "circularity_sd"))
    for ax, (x, y) in zip(fig.subplots(1, 3), pairs, strict=True):
        ax.plot(truth[x], truth[y], "o", markerfacecolor="none", color=PALETTE[0], label="recipe, mean of lots")
        ax.plot(lots[x], lots[y], ".", markersize=3, color=PALETTE[1], label="lot")
        ax.set(xlabel=NAMES[x], ylabel=NAMES[y])
    ax.legend()
    return fig


def plan_figure(recipes: pd.DataFrame) -> Figure:
    """Draw the recipes: three pairs of variables, the atmosphere by colour and mark."""
    fig = figure(13, 3.5)
    for ax, (x, y) in zip(fig.subplots(1, 3), (("ph", "nh4oh"), ("naoh", "nh4oh"), ("time_min", "ph")), strict=True):
        for gas, (colour, mark) in GASES.items():
            own = recipes[recipes["atmosphere"] == gas]
            ax.plot(own[x], own[y], mark, color=colour, alpha=0.7, label=gas)
        ax.set(xlabel=NAMES[x], ylabel=NAMES[y])
        if x == "time_min":
            ax.set_xscale("log")
    ax.legend()
    return fig
