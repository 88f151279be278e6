"""The pictures of an electrode before and after cycling."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import columns as c
from ..results import ReportFigure
from .electrode import label_colours

if TYPE_CHECKING:
    import pandas as pd

    from ..image import Quantity

BEFORE, AFTER = "#0072B2", "#D55E00"
INK_GREY = "#bdbdbd"


def pairs(before, after, labels, labels_after, matches: pd.DataFrame, *, spacing) -> ReportFigure:
    """The same slices of both volumes, every matched particle in one colour."""
    return ReportFigure(
        lambda: _pairs(before, after, labels, labels_after, matches, spacing),
        "The same slice before (left) and after (right, brought into register): a particle and its counterpart have "
        "one colour; grey outlines are without counterpart or cut by a face.",
        "Who is who",
    )


def _pairs(before, after, labels, labels_after, matches, spacing):
    from .style import figure, scale_bar

    known = matches[matches["status"] == "matched"]
    table_a, table_b = (np.zeros(int(x.max(initial=0)) + 1, np.int64) for x in (labels, labels_after))
    table_a[known["before"].to_numpy(int)] = known["before"]
    table_b[known["after"].to_numpy(int)] = known["before"]
    planes = [(0, (1, 2)), (1, (0, 2))]
    height = [labels.shape[p[0]] * spacing[p[0]] / (labels.shape[p[1]] * spacing[p[1]]) for _, p in planes]
    fig = figure(10, 0.6 + 4.9 * sum(height))
    axes = fig.subplots(2, 2, gridspec_kw={"height_ratios": height})
    for row, (axis, plane) in enumerate(planes):
        index = tuple(labels.shape[axis] // 2 if a == axis else slice(None) for a in range(3))
        pixel = tuple(spacing[a] for a in plane)
        for ax, grey, found, colour_of in (
            (axes[row, 0], before, labels, table_a), (axes[row, 1], after, labels_after, table_b)
        ):  # fmt: skip
            ax.imshow(_coloured(np.asarray(grey[index], float), found[index], colour_of), aspect=pixel[0] / pixel[1])
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
            scale_bar(ax, pixel)
    axes[0, 0].set_title("pristine")
    axes[0, 1].set_title("cycled")
    return fig


def _coloured(grey, labels, colour_of):
    finite = grey[np.isfinite(grey)]
    low, high = np.percentile(finite, [0.5, 99.5]) if finite.size else (0, 1)
    shown = np.clip((np.nan_to_num(grey, nan=low) - low) / max(high - low, 1e-12), 0, 1)
    picture = np.repeat(shown[..., None], 3, -1)
    edge = np.zeros(labels.shape, bool)
    for axis in (0, 1):
        for shift in (1, -1):
            edge |= (np.roll(labels, shift, axis) != labels) & (labels > 0)
    identity = colour_of[labels]
    inside = (identity > 0) & ~edge
    picture[inside] = 0.72 * picture[inside] + 0.28 * label_colours(identity[inside])
    picture[edge] = np.where((identity[edge] > 0)[:, None], label_colours(identity[edge]), 0.55)
    return picture


def expansion(table: pd.DataFrame, matched: Quantity, population: Quantity) -> ReportFigure:
    """Expansion particle by particle, and the two ways to sum it up."""
    return ReportFigure(
        lambda: _expansion(table, matched, population),
        "Left: change in volume of the matched particles with the mean of the matched and the shift of the population "
        "(what paper 002 uses); bands are 95 % intervals. Right: the same against size, each with its interval.",
        "Expansion",
    )


def _expansion(table, matched, population):
    from .style import figure, histogram

    fig = figure(10, 3.5)
    axes = fig.subplots(1, 2)
    values = 100 * table["expansion"].to_numpy()
    histogram(axes[0], values, bins=24, colour=INK_GREY)
    for q, colour, name in ((matched, BEFORE, "matched"), (population, AFTER, "population")):
        if np.isfinite(q.value):
            if q.low is not None and q.high is not None:
                axes[0].axvspan(100 * q.low, 100 * q.high, color=colour, alpha=0.18, linewidth=0, zorder=0)
            axes[0].axvline(100 * q.value, color=colour, label=f"{name} {100 * q.value:.1f} %")
    axes[0].set_xlabel("change in volume (%)")
    if axes[0].get_legend_handles_labels()[0]:
        axes[0].legend()
    low, high = (100 * table[end].to_numpy() for end in ("low", "high"))
    bars = np.nan_to_num(np.clip([values - low, high - values], 0, None))
    axes[1].errorbar(
        np.cbrt(6 / np.pi * table[c.VOLUME]),
        values,
        yerr=bars,
        fmt="o",
        color=BEFORE,
        markersize=3,
        linewidth=0.7,
        capsize=0,
    )
    axes[1].axhline(0, color="#888888", linewidth=0.8)
    axes[1].set(xlabel="diameter before (µm)", ylabel="change in volume (%)")
    return fig


def sizes(before: pd.DataFrame, after: pd.DataFrame) -> ReportFigure:
    """Size distributions of all whole particles before and after."""
    return ReportFigure(
        lambda: _curves(before, after),
        "Size distribution by number and by volume of all whole particles, matched or not. Its shift is what the "
        "population says of the expansion; particles entering and leaving the volume are in it.",
        "Expansion",
    )


def _curves(before, after):
    from .style import distribution, figure, log_axis

    fig = figure(9, 3.3)
    axes = fig.subplots(1, 2)
    for ax, basis in zip(axes, ("number", "volume"), strict=True):
        for curve, colour, name in ((before, BEFORE, "pristine"), (after, AFTER, "cycled")):
            if len(curve):
                low, high = (100 * curve[f"{basis}_{end}"] for end in ("low", "high"))
                distribution(ax, curve[c.DIAMETER], 100 * curve[basis], low, high, colour=colour, label=name)
        log_axis(ax)
        ax.set(xlabel="diameter (µm)", ylabel=f"% smaller, by {basis}", ylim=(0, 100))
    axes[0].legend()
    return fig


def grey_levels(before, after) -> ReportFigure:
    """Grey levels before and after, of everything and of the active material (Fig. 10 of paper 002)."""
    return ReportFigure(
        lambda: _grey_levels(before, after),
        "Grey levels before and after, as read (left) and after the second volume was brought to the first one's "
        "scale by its pore and its active level (right). Only a shift that is left on the right says something of the "
        "electrode; one on the left alone is the scanner's.",
        "Grey levels",
    )


def _grey_levels(before, after):
    from .style import figure

    fig = figure(9, 3.2)
    axes = fig.subplots(1, 2)
    for seen, colour, name in ((before, BEFORE, "pristine"), (after, AFTER, "cycled")):
        edges, density = seen.histogram
        axes[0].stairs(density, edges, color=colour, label=name)
        scale = (edges - seen.pore) / (seen.active - seen.pore)
        axes[1].stairs(density * (seen.active - seen.pore), scale, color=colour, label=name)
    axes[0].set(xlabel="grey level", ylabel="density of voxels")
    axes[1].set(xlabel="grey level (0 pore, 1 active material)", xlim=(-0.5, 1.6))
    axes[0].legend()
    return fig


def regression(fit) -> ReportFigure:
    """Measured against fitted, and against what the fit says of an electrode it has not seen."""
    return ReportFigure(
        lambda: _regression(fit),
        "The target as measured against the fit (filled), against the fit made without that electrode (open), and "
        "against a given equation (crosses). Points on the line are described; only open ones on it are predicted.",
        "Regression",
    )


def _regression(fit):
    from .style import figure

    points = fit.points
    series = {"fit": points["fitted"], "from the other electrodes": points["predicted_without"]}
    if fit.given is not None:
        series["given equation"] = fit.given.predicted
    looks = {"fit": ("o", BEFORE), "from the other electrodes": ("o", "white"), "given equation": ("x", AFTER)}
    fig = figure(6.2, 4.2)
    ax = fig.subplots()
    y = points["observed"]
    everything = np.concatenate([y, *(np.asarray(s, float) for s in series.values())])
    ends = np.nanmin(everything), np.nanmax(everything)
    ax.plot(ends, ends, color="#888888", linewidth=0.9)
    for label, values in series.items():
        marker, face = looks[label]
        colour = AFTER if marker == "x" else BEFORE
        ax.plot(y, values, marker, color=colour, markerfacecolor=face, label=label, linestyle="none")
    for name, yy, ff in zip(points.index, y, points["fitted"], strict=True):
        ax.annotate(str(name), (yy, ff), xytext=(5, -9), textcoords="offset points", fontsize=8)
    ax.set(xlabel=f"{fit.target}, measured", ylabel=f"{fit.target}, predicted")
    ax.legend()
    return fig
