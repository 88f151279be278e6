"""Pictures of sections of grains: as measured, as fitted, and how radial they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from .look import MUTED, PALETTE, figure
from .particles import bar, coloured_grains

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..generate import DiagramFit
    from ..segment import Radiality, Section

Values = Mapping[str, "tuple[np.ndarray, np.ndarray]"]
MOST = 6
GREY = "#B0B0B0"


def sections_figure(sections: Sequence[Section], fits: Sequence[DiagramFit], kept: Sequence[bool]) -> Figure:
    """Return a figure of sections above the diagrams fitted to them.

    Parameters
    ----------
    sections : sequence of Section
        Missing pixels are drawn dark.
    fits : sequence of DiagramFit
        One a section; filled where pixels are missing.
    kept : sequence of bool
        Whether each was learnt from.
    """
    n = min(len(sections), MOST)
    tall = max(s.labels.shape[0] / s.labels.shape[1] for s in sections[:n])
    width = 10 / max(n, 3)
    fig = figure(width * n, 2 * width * tall + 0.7)
    axes = fig.subplots(2, n, squeeze=False)
    for k in range(n):
        section, fit = sections[k], fits[k]
        seen = coloured_grains(section.labels)
        seen[section.inside & (section.labels == 0)] = (40, 40, 40)
        drawn = coloured_grains(fit.labels)
        for ax, picture in zip(axes[:, k], (seen, drawn), strict=True):
            ax.imshow(picture, interpolation="nearest")
            ax.set_axis_off()
            ax.plot(*section.centre_px[::-1], "+", color="black", markersize=7)
        bar(axes[0, k], section.labels.shape, section.step_um)
        used = "" if kept[k] else " (not used)"
        axes[0, k].set_title(f"{section.name or k + 1}: {section.n_grains} grains{used}", fontsize=8.5)
        axes[1, k].set_title(f"diagram: {fit.accuracy:.1%} of pixels", fontsize=8.5, fontweight="normal", color=MUTED)
    return fig


def alpha_figure(found: Radiality, kept: Sequence[bool]) -> Figure:
    """Return the distributions of the grains' orientation in each section, and how far off the centre each may pass.

    Parameters
    ----------
    found : Radiality
    kept : sequence of bool
        Sections that were left out are drawn grey, as in Fig. 2 of paper 001.
    """
    fig = figure(9.5, 3.8)
    left, right = fig.subplots(1, 2)
    colours = [PALETTE[k % len(PALETTE)] if use else GREY for k, use in enumerate(kept)]
    for curve, colour, name in zip(found.density, colours, found.sections["name"], strict=True):
        left.plot(found.angles_deg, curve, color=colour, label=str(name) or None)
    left.axhline(1 / 90, color=MUTED, linestyle=(0, (4, 2)), linewidth=1, label="no order")
    left.set(
        xlabel="angle of the long axis to the centre (deg)", ylabel="density (1/deg)", xlim=(0, 90), ylim=(0, None)
    )
    if len(kept) <= 10:
        left.legend()
    table = found.sections
    place = np.arange(len(table))
    low, middle, high = (table[f"height_share{end}"].to_numpy(float) for end in ("_low", "", "_high"))
    for k in place:
        right.plot([low[k], high[k]], [k, k], color=colours[k], linewidth=3, solid_capstyle="round", alpha=0.5)
        right.plot(middle[k], k, "o", color=colours[k])
    names = [
        f"{name or k + 1}: {verdict}"
        for k, (name, verdict) in enumerate(zip(table["name"], table["verdict"], strict=True))
    ]
    right.set(yticks=place, yticklabels=names, xlim=(0, 1), xlabel="height of the plane over the particle's radius")
    right.invert_yaxis()
    return fig


def compared(observed: Values, simulated: Values, names: Mapping[str, str]) -> Figure:
    """Return histograms of measured and simulated values of several quantities, each to an area of 1.

    Parameters
    ----------
    observed, simulated : mapping of name to (values, groups)
    names : mapping of name to what the axis says
    """
    columns = 4
    rows = -(-len(names) // columns)
    fig = figure(10, 2.7 * rows + 0.2)
    axes = fig.subplots(rows, columns, squeeze=False).ravel()
    for ax, (column, name) in zip(axes, names.items(), strict=False):
        pair(ax, observed[column][0], simulated[column][0])
        ax.set_xlabel(name)
    for ax in axes[len(names) :]:
        ax.set_axis_off()
    axes[0].legend()
    return fig


def pair(ax, observed, simulated) -> None:
    """Draw two histograms over each other on common bins; the upper 0.5 % is drawn together."""
    a, b = (np.asarray(v, float)[np.isfinite(v)] for v in (observed, simulated))
    if not len(a) or not len(b):
        ax.text(0.5, 0.5, "no values", transform=ax.transAxes, ha="center", va="center", color=MUTED)
        return
    top = max(np.quantile(a, 0.995), np.quantile(b, 0.995))
    low = min(a.min(), b.min())
    edges = _edges(low, top, np.unique(np.round(np.concatenate([a, b]), 9)))
    for values, colour, label in ((a, PALETTE[0], "measured"), (b, PALETTE[1], "model")):
        ax.hist(np.minimum(values, top), edges, density=True, color=colour, alpha=0.5, label=label)
    ax.set_yticks([])


def _edges(low, top, values, n: int = 26) -> np.ndarray:
    """Edges of bins; whole numbers of steps wide where values lie on a lattice (lengths in pixels)."""
    wide = (top - low) / (n - 1) if top > low else 1.0
    step = float(np.diff(values).min()) if 1 < len(values) < 200 else 0.0
    if step > 0.05 * wide and np.allclose((values - values[0]) / step, np.rint((values - values[0]) / step), atol=1e-3):
        wide = step * max(1, round(wide / step))
        low = low - step / 2
    return low + wide * np.arange(int(np.ceil((top - low) / wide)) + 1)


def by_height_figure(angles: dict[float, np.ndarray], observed: np.ndarray | None = None) -> Figure:
    """Return the orientation of the grains against the height of the cut (Fig. 11 of paper 001).

    Parameters
    ----------
    angles : dict of height over radius to (n,) array
        Angles alpha of the model's sections, degrees.
    observed : (n,) array, optional
        Of the measured sections.
    """
    fig = figure(10, 3.2)
    axes = fig.subplots(1, len(angles), sharey=True, squeeze=False)[0]
    edges = np.linspace(0, 90, 19)
    for ax, (height, values) in zip(axes, angles.items(), strict=True):
        values = values[np.isfinite(values)]
        ax.hist(values, edges, density=True, color=PALETTE[1], alpha=0.55, label="model")
        ax.axhline(1 / 90, color=MUTED, linestyle=(0, (4, 2)), linewidth=1)
        ax.set_title(f"h / R = {height:g}")
        ax.set_xlabel("alpha (deg)")
        ax.text(0.96, 0.94, f"mean {values.mean():.0f}°" if len(values) else "", transform=ax.transAxes, ha="right")
    if observed is not None and len(observed):
        axes[0].hist(observed, edges, density=True, histtype="step", color=PALETTE[0], linewidth=1.5, label="measured")
        axes[0].legend()
    axes[0].set_ylabel("density (1/deg)")
    return fig
