"""The pictures of a measured powder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from .. import columns as c
from ..results import ReportFigure

if TYPE_CHECKING:
    import pandas as pd

    from ..image import Quantity

MAX_PICTURES = 60
AXIS = {
    c.DIAMETER: "diameter (µm)",
    c.CIRCULARITY: "circularity",
    c.TEXTURE: "texture",
    "d50_um": "D50 by number (µm)",
    "d50_volume_um": "D50 by volume (µm)",
    "circularity_mean": "mean circularity",
    "circularity_sd": "SD of circularity",
    "texture_mean": "mean texture",
}


def figures(fields, table, curve, overall, described, conditions, correlations) -> dict[str, ReportFigure]:
    """Return every figure of the report by file name.

    Parameters
    ----------
    fields : sequence of workflows.sem.Field
        The micrographs with their labels and tables.
    table : DataFrame
        All particles.
    curve : DataFrame
        Cumulative size distribution, from `measure.size_curve`.
    overall : mapping of str to Quantity
        Descriptors of all images together.
    described : mapping of str to mapping of str to Quantity
        Descriptors of each condition.
    conditions : DataFrame
        Process variables of each condition.
    correlations : DataFrame
        From `measure.descriptor_correlations`.
    """
    pictures = _outlines(fields, table)
    if len(curve):
        pictures["size_distribution"] = ReportFigure(
            lambda: _sizes(curve, overall),
            "Size distribution of the particles, corrected for the frame and for what is hidden. The band holds the "
            "curve with 95 % probability at each diameter; upright lines are D10, D50 and D90.",
            "Size, shape and texture",
        )
    pictures["shape_and_texture"] = ReportFigure(
        lambda: _shapes(table),
        "Circularity (called sphericity in some papers) of the particles that lie free within the frame, and texture "
        "of all whose surface is resolved. The band is the 95 % interval of the mean.",
        "Size, shape and texture",
    )
    if (table[c.REJECTED] == "").sum() > 3:
        pictures["correlations"] = ReportFigure(
            lambda: _scatter(table, correlations),
            "Descriptors against one another, particle by particle, with Pearson's correlation and its interval.",
            "Size, shape and texture",
        )
    if len(described) > 1:
        pictures |= _trends(described, conditions)
    return pictures


def _outlines(fields, table) -> dict[str, ReportFigure]:
    sizes = table[c.DIAMETER][table[c.REJECTED] == ""]
    limits = tuple(np.quantile(sizes, [0.02, 0.98])) if len(sizes) > 1 else None
    reasons = sorted(r for r in table[c.REJECTED].unique() if r)
    chosen = fields if len(fields) <= MAX_PICTURES else [fields[i] for i in _spread(len(fields))]
    return {
        f"outlines_{k:03d}_{_safe(f.name)}": ReportFigure(
            partial(_outlined, f, limits, reasons),
            f"{f.name} ({f.condition}): outlines coloured by diameter; broken lines are kept out of shape statistics, "
            f"for the reason in the legend.",
            "What was found"
            if len(chosen) == len(fields)
            else f"What was found ({len(chosen)} of {len(fields)} images)",
            alt=f"micrograph {f.name} with {len(f.table)} outlined particles",
        )
        for k, f in enumerate(chosen)
    }


def _spread(n):
    return np.unique(np.linspace(0, n - 1, MAX_PICTURES).round().astype(int))


def _safe(name):
    bare = re.sub(r"\.(tiff?|png|jpe?g|bmp)$", "", name, flags=re.IGNORECASE)
    return re.sub(r"[^A-Za-z0-9._-]+", "_", bare).strip("._") or "image"


def _outlined(field, limits, reasons):
    from .style import micrograph, micrograph_figure, outlines

    figure = micrograph_figure(field.image.shape, width=9)
    ax = figure.subplots()
    micrograph(ax, field.image.array, spacing=field.image.spacing, title=field.name)
    outlines(
        ax,
        field.labels,
        field.table[c.DIAMETER],
        label=AXIS[c.DIAMETER],
        rejected=field.table[c.REJECTED],
        limits=limits,
        reasons=reasons,
    )
    return figure


def _sizes(curve: pd.DataFrame, overall: Mapping[str, Quantity]):
    from .style import PALETTE, distribution, figure, log_axis

    fig = figure(9, 3.6)
    axes = fig.subplots(1, 2)
    for ax, basis, colour in zip(axes, ("number", "volume"), PALETTE, strict=False):
        suffix = "_volume_um" if basis == "volume" else "_um"
        marks = {k: overall[k.lower() + suffix] for k in ("D10", "D50", "D90")}
        distribution(
            ax, curve[c.DIAMETER], 100 * curve[basis], 100 * curve[f"{basis}_low"], 100 * curve[f"{basis}_high"],
            colour=colour, marks=marks,
        )  # fmt: skip
        log_axis(ax)
        ax.set(xlabel=AXIS[c.DIAMETER], ylabel=f"% smaller, by {basis}", ylim=(0, 100))
    return fig


def _shapes(table: pd.DataFrame):
    from ..measure import mean_and_sd
    from .style import PALETTE, figure, histogram

    fig = figure(9, 3.2)
    axes = fig.subplots(1, 2)
    free = table[table[c.REJECTED] == ""]
    for ax, values, column, colour in (
        (axes[0], free[c.CIRCULARITY], c.CIRCULARITY, PALETTE[0]),
        (axes[1], table[c.TEXTURE], c.TEXTURE, PALETTE[2]),
    ):
        mean = mean_and_sd(values.to_numpy(), rng=0)["mean"]
        histogram(ax, values, bins=24, colour=colour, mean=mean)
        ax.set_xlabel(AXIS[column])
        if np.isfinite(values).any():
            ax.legend()
    return fig


def _scatter(table, correlations):
    from ..measure.tables import as_quantities
    from .style import scatter_matrix

    free = table[table[c.REJECTED] == ""]
    names = {k: AXIS[k] for k in (c.DIAMETER, c.CIRCULARITY, c.TEXTURE) if np.isfinite(free[k]).sum() > 2}
    return scatter_matrix(free, columns=names, correlations=as_quantities(correlations, "particles"))


def _trends(described, conditions) -> dict[str, ReportFigure]:
    variables = list(conditions.columns) or [None]
    return {
        f"trend_{_safe(v or 'condition')}": ReportFigure(
            partial(_trend, described, conditions, v),
            f"Descriptors against {v or 'the condition'}; bars are 95 % intervals of each condition.",
            "Trends",
        )
        for v in variables
    }


def _trend(described: Mapping[str, Mapping[str, Quantity]], conditions, variable):
    from .style import figure, trend

    keys = ["d50_um", "circularity_mean", "circularity_sd", "texture_mean"]
    fig = figure(9, 5.4)
    names = list(described)
    x = names if variable is None else conditions.loc[names, variable].to_numpy()
    for ax, key in zip(fig.subplots(2, 2).ravel(), keys, strict=True):
        q = [described[n][key] for n in names]
        low = [np.nan if a.low is None else a.low for a in q]
        high = [np.nan if a.high is None else a.high for a in q]
        trend(ax, x, [a.value for a in q], low, high, line=False)
        ax.set(ylabel=AXIS[key], xlabel=variable or "")
        if variable is None and max(map(len, names)) > 8:
            ax.tick_params(axis="x", rotation=30)
    return fig
