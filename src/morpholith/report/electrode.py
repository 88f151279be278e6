"""The pictures of an electrode measured from its tomogram."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from .. import columns as c
from ..results import ReportFigure

if TYPE_CHECKING:
    import pandas as pd

    from ..image import Quantity

PHASES = ("pore", "active", "binder")
PHASE_COLOURS = ("#56B4E9", "#E69F00", "#009E73")
AXES = "zyx"
TERM_COLOURS = ("#000000", "#0072B2", "#56B4E9", "#D55E00", "#009E73")


def slices(grey: np.ndarray, phases: np.ndarray, labels: np.ndarray, *, spacing) -> ReportFigure:
    """Three orthogonal slices through the middle, bare and with what was found in them."""
    return ReportFigure(
        lambda: _slices(grey, phases, labels, spacing),
        "Slices through the middle of the volume. Above the grey levels; below the same with the outline of every "
        "particle (each in its own colour), pore in blue"
        + (" and carbon-binder in green." if (phases == 2).any() else "."),
        "What was found",
        alt="orthogonal slices with the outlines of particles",
    )


def _slices(grey, phases, labels, spacing):
    from .style import figure, scale_bar

    middle = [n // 2 for n in phases.shape]
    extent = [n * s for n, s in zip(phases.shape, spacing, strict=True)]
    planes = [(0, (1, 2)), (1, (0, 2)), (2, (0, 1))]
    widths = [extent[p[1]] for _, p in planes]
    fig = figure(11, 1.0 + 2 * 10.4 * max(extent[p[0]] for _, p in planes) / sum(widths))
    axes = fig.subplots(2, 3, gridspec_kw={"width_ratios": widths})
    low, high = np.percentile(np.asarray(grey[middle[0]], float), [0.5, 99.5])
    for column, (axis, plane) in enumerate(planes):
        index = tuple(middle[a] if a == axis else slice(None) for a in range(3))
        pixel = tuple(spacing[a] for a in plane)
        shown = np.clip((np.asarray(grey[index], float) - low) / max(high - low, 1e-12), 0, 1)
        for row, picture in enumerate(
            (np.repeat(shown[..., None], 3, -1), overlay(shown, phases[index], labels[index]))
        ):
            ax = axes[row, column]
            ax.imshow(picture, aspect=pixel[0] / pixel[1], interpolation="nearest")
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
            scale_bar(ax, pixel)
        names = f"{AXES[plane[0]]}{AXES[plane[1]]}"
        axes[0, column].set_title(f"{names} at {AXES[axis]} = {middle[axis] * spacing[axis]:.3g} µm")
    return fig


def overlay(grey: np.ndarray, phases: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return an RGB picture: grey levels tinted by phase, with the border of every label drawn in its colour."""
    picture = np.repeat(grey[..., None], 3, -1)
    for phase, colour, weight in ((0, PHASE_COLOURS[0], 0.28), (2, PHASE_COLOURS[2], 0.45)):
        where = phases == phase
        picture[where] = (1 - weight) * picture[where] + weight * rgb(colour)
    edge = np.zeros(labels.shape, bool)
    for axis in (0, 1):
        for shift in (1, -1):
            edge |= (np.roll(labels, shift, axis) != labels) & (labels > 0)
    picture[edge] = label_colours(labels[edge])
    return picture


def rgb(colour: str) -> np.ndarray:
    """Return a hexadecimal colour as three numbers in 0..1."""
    return np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])


def label_colours(labels: np.ndarray) -> np.ndarray:
    """Return a bright colour for every label, far from those of the labels next to it in number."""
    hue = (labels.astype(np.int64) * 0.6180339887498949) % 1
    k = (np.array([5.0, 3.0, 1.0]) + 6 * hue[..., None]) % 6
    return 0.97 - 0.75 * 0.97 * np.clip(np.minimum(k, 4 - k), 0, 1)


def histogram(estimate) -> ReportFigure:
    """The grey levels with the threshold, and the interval of thresholds they support."""
    return ReportFigure(
        lambda: _histogram(estimate),
        "Histogram of the grey levels, before and after denoising, with each threshold and the interval that the "
        "histogram supports (band). Every number of this report carries that interval.",
        "Phases",
    )


def _histogram(estimate):
    from .style import PALETTE, figure

    fig = figure(7.5, 3.4)
    ax = fig.subplots()
    for (edges, counts), label, colour in (
        (_density(estimate.histogram), "as read", "#9a9a9a"),
        (_density(estimate.histogram_denoised), "denoised", PALETTE[0]),
    ):
        ax.stairs(counts, edges, color=colour, label=label, linewidth=1.4)
    for k, (t, (low, high)) in enumerate(zip(estimate.thresholds, estimate.intervals, strict=True)):
        ax.axvspan(low, high, color=PALETTE[1], alpha=0.22, linewidth=0, label="" if k else "threshold's interval")
        ax.axvline(t, color=PALETTE[1], linewidth=1.2, label="" if k else "threshold")
    top = _density(estimate.histogram_denoised)[1].max()
    for mean, name in zip(estimate.means, PHASES, strict=False):
        ax.annotate(name, (mean, top * 1.02), ha="center", va="bottom", fontsize=9, color="#444444")
    ax.set(xlabel="grey level", ylabel="density of voxels", ylim=(0, top * 1.15))
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return fig


def _density(histogram):
    edges, counts = (np.asarray(a, float) for a in histogram)
    return edges, counts / max(counts.sum(), 1) / np.diff(edges)


def budgets(found: Mapping[str, object]) -> ReportFigure:
    """The error budget of every tortuosity factor as bars."""
    return ReportFigure(
        lambda: _budgets(found),
        "Error budget of each tortuosity factor: how far each source reaches below and above the value (the grey band "
        "is all of them together). An arrow: the paths close within that interval.",
        "Transport",
    )


def _budgets(found):
    from .style import figure

    shown = {name: b for name, b in found.items() if np.isfinite(b.tau.value)}
    fig = figure(8.5, 1.1 + 0.66 * max(len(shown), 1))
    ax = fig.subplots()
    if not shown:
        ax.text(0.5, 0.5, "no phase percolates", transform=ax.transAxes, ha="center")
        ax.set_axis_off()
        return fig
    height = 0.16
    finite = [100 * abs(d) / b.tau.value for b in shown.values() for t in b.terms.values() for d in t if np.isfinite(d)]
    reach = 1.25 * max([*finite, 1.0])
    for row, b in enumerate(shown.values()):
        total = [100 * ((end if end is not None else np.inf) / b.tau.value - 1) for end in (b.tau.low, b.tau.high)]
        ends = np.clip(total, -reach, reach)
        ax.barh(row, ends[1] - ends[0], 0.86, left=ends[0], color="#e6e6e6", linewidth=0)
        for k, ((term, (low, high)), colour) in enumerate(zip(b.terms.items(), TERM_COLOURS, strict=True)):
            low, high = (100 * d / b.tau.value for d in (low, high))
            y = row + (k - 2) * height
            ends = np.clip([low, high], -reach, reach)
            ax.barh(y, ends[1] - ends[0], 0.8 * height, left=ends[0], color=colour, label="" if row else term)
            if high > reach:
                ax.annotate("", (reach * 1.04, y), (reach * 0.97, y), arrowprops={"arrowstyle": "->", "color": colour})
    ax.axvline(0, color="#444444", linewidth=0.8)
    texts = [f"{name}  {b.tau.value:.3g}" for name, b in shown.items()]
    ax.set_yticks(range(len(shown)), texts)
    ax.invert_yaxis()
    ax.set(xlabel="deviation from tau (%)", xlim=(-reach * 1.06, reach * 1.06))
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return fig


def voxel_sequence(found: Mapping[str, object]) -> ReportFigure:
    """tau against the size of the voxels it was computed on."""
    return ReportFigure(
        lambda: _sequence(found),
        "The tortuosity factor of the same image lumped to larger voxels. A curve that is still steep at the left end "
        "is a number that the scan does not resolve; the open mark is the extrapolation to vanishing voxels.",
        "Transport",
    )


def _sequence(found):
    from .style import PALETTE, figure

    fig = figure(6.0, 3.4)
    ax = fig.subplots()
    for (name, b), colour in zip(found.items(), PALETTE, strict=False):
        if not np.isfinite(b.tau.value):
            continue
        ax.plot(b.sequence["voxel_um"], b.sequence["tau"], "o-", color=colour, label=name, linewidth=1.3)
        ax.plot(0, b.extrapolated, "o", color=colour, markerfacecolor="white")
    ax.set(xlabel="voxel size along the axis (µm)", ylabel="tortuosity factor")
    ax.set_xlim(left=-0.02 * ax.get_xlim()[1])
    if ax.lines:
        ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return fig


def potential(solution, phases: np.ndarray, *, spacing) -> ReportFigure:
    """The potential along z in the pores of one slice."""
    return ReportFigure(
        lambda: _potential(solution, phases, spacing),
        "Potential in the pores between the two faces (z downwards), in the middle slice; lines join equal potential. "
        "Where they crowd, a throat takes the drop. Grey: solid; black: pore that no path joins to both faces.",
        "Transport",
    )


def _potential(solution, phases, spacing):
    from .style import figure, scale_bar

    middle = phases.shape[1] // 2
    field, phase = solution.potential[:, middle], phases[:, middle]
    shown = 1.0 - field
    fig = figure(7.5, 1.2 + 6.2 * phase.shape[0] * spacing[0] / (phase.shape[1] * spacing[2]))
    ax = fig.subplots()
    aspect = spacing[0] / spacing[2]
    back = np.where(phase == 0, 0.0, 0.72 + 0.12 * (phase == 2))
    ax.imshow(back, cmap="gray", vmin=0, vmax=1, aspect=aspect, interpolation="nearest")
    drawn = ax.imshow(shown, cmap="viridis", vmin=0, vmax=1, aspect=aspect, interpolation="nearest")
    if np.isfinite(shown).sum() > 4:
        ax.contour(np.ma.masked_invalid(shown), levels=np.linspace(0.05, 0.95, 19), colors="white", linewidths=0.5)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    scale_bar(ax, (spacing[0], spacing[2]))
    fig.colorbar(drawn, ax=ax, label="potential", shrink=0.8, aspect=30, pad=0.02)
    return fig


def profiles(layers: pd.DataFrame) -> ReportFigure:
    """What changes through the thickness."""
    return ReportFigure(
        lambda: _profiles(layers),
        "Through the thickness, layer by layer; bands are 95 % intervals from the layer's own statistics.",
        "Through the thickness",
    )


def _profiles(layers):
    from .style import PALETTE, figure

    names = {
        "porosity": "porosity", "active_fraction": "active fraction", "binder_fraction": "carbon-binder fraction",
        "surface_um2_per_um3": "surface (1/µm)", "diameter_um": "mean diameter (µm)",
    }  # fmt: skip
    kept = [
        n for n in names if n in layers and np.isfinite(layers[n]).any() and (n != "binder_fraction" or layers[n].any())
    ]
    fig = figure(2.3 * len(kept) + 0.6, 3.4)
    axes = np.atleast_1d(fig.subplots(1, len(kept), sharey=True))
    z = layers["position_um"]
    for ax, name, colour in zip(axes, kept, PALETTE, strict=False):
        if f"{name}_low" in layers:
            ax.fill_betweenx(z, layers[f"{name}_low"], layers[f"{name}_high"], color=colour, alpha=0.22, linewidth=0)
        ax.plot(layers[name], z, color=colour)
        ax.set(xlabel=names[name])
        ax.margins(y=0)
    axes[0].set(ylabel="depth z (µm)")
    axes[0].invert_yaxis()
    return fig


def sizes(curve: pd.DataFrame, table: pd.DataFrame, numbers: Mapping[str, Quantity]) -> ReportFigure:
    """Size distribution by number and volume, and the shape of the particles."""
    return ReportFigure(
        lambda: _sizes(curve, table, numbers),
        "Size distribution of the particles by number and by volume (bands: 95 % at each diameter; only particles that "
        "the volume holds whole, weighted by the chance of that), and Wadell's sphericity of those.",
        "Particles",
    )


def _sizes(curve, table, numbers):
    from .style import PALETTE, distribution, figure, histogram, log_axis

    fig = figure(10.5, 3.3)
    axes = fig.subplots(1, 3)
    for ax, basis, colour in zip(axes, ("number", "volume"), PALETTE, strict=False):
        suffix = "_volume_um" if basis == "volume" else "_um"
        marks = {k: numbers[k.lower() + suffix] for k in ("D10", "D50", "D90") if k.lower() + suffix in numbers}
        if len(curve):
            distribution(
                ax, curve[c.DIAMETER], 100 * curve[basis], 100 * curve[f"{basis}_low"], 100 * curve[f"{basis}_high"],
                colour=colour, marks=marks,
            )  # fmt: skip
            log_axis(ax)
        ax.set(xlabel="diameter (µm)", ylabel=f"% smaller, by {basis}", ylim=(0, 100))
    whole = table[~table[c.TOUCHES_EDGE]]
    histogram(axes[2], whole[c.SPHERICITY], bins=24, colour=PALETTE[2])
    axes[2].set_xlabel("sphericity (Wadell)")
    return fig


def distances(
    two_point: pd.DataFrame, chords: Mapping[str, pd.DataFrame], thickness: Mapping[str, pd.DataFrame]
) -> ReportFigure:
    """Two-point correlation, chord lengths and local thickness."""
    return ReportFigure(
        lambda: _distances(two_point, chords, thickness),
        "Left: two-point correlation of the pore, the chance that two points at a distance both lie in it (broken: "
        "the square of the porosity, where the image has forgotten). Middle: chord lengths along z. Right: local "
        "thickness, the diameter of the largest sphere that holds the point and fits in its phase.",
        "Sizes in the phases",
    )


def _distances(two_point, chords, thickness):
    from .style import PALETTE, figure

    fig = figure(10.5, 3.2)
    axes = fig.subplots(1, 3)
    r, s2 = two_point["r_um"], two_point["s2"]
    axes[0].plot(r, s2, color=PALETTE[0])
    axes[0].axhline(s2.iloc[0] ** 2, color="#888888", linestyle=(0, (4, 2)), linewidth=1)
    axes[0].set(xlabel="distance (µm)", ylabel="S2 of the pore")
    for ax, tables, label in ((axes[1], chords, "chord (µm)"), (axes[2], thickness, "local thickness (µm)")):
        for (name, table), colour in zip(tables.items(), PALETTE, strict=False):
            ax.plot(table.iloc[:, 0], table.iloc[:, 1], color=colour, label=name, drawstyle="steps-mid", linewidth=1.3)
        ax.set(xlabel=label, ylabel="share per µm")
        ax.set_xlim(left=0)
        ax.set_ylim(bottom=0)
        if tables:
            ax.legend()
    return fig


def radial(profile: pd.DataFrame) -> ReportFigure:
    """Grey level from the surface of the particles to their core."""
    return ReportFigure(
        lambda: _radial(profile),
        "Grey level of the particles against the distance from their surface (0) to their deepest point (1): mean over "
        "the whole particles and its 95 % interval. The outermost shells are blurred with what lies outside.",
        "Particles",
    )


def _radial(profile):
    from .style import PALETTE, figure

    fig = figure(5.2, 3.2)
    ax = fig.subplots()
    ax.fill_between(profile["depth"], profile["low"], profile["high"], color=PALETTE[4], alpha=0.3, linewidth=0)
    ax.plot(profile["depth"], profile["grey"], "o-", color=PALETTE[0])
    ax.set(xlabel="depth (0 surface, 1 core)", ylabel="grey level")
    return fig


def rendering(phases: np.ndarray, labels: np.ndarray, particles: pd.DataFrame, *, spacing) -> ReportFigure:
    """The particles and the pore space in three dimensions."""
    from .render3d import electrode_figure

    return ReportFigure(
        lambda: electrode_figure(phases, labels, spacing=spacing, values=particles[c.DIAMETER], name="diameter (µm)"),
        "The particles, coloured by diameter, and the pore space, a corner of the volume cut away.",
        "What was found",
        alt="three-dimensional rendering of particles and pores",
    )


def audit(image: Mapping[str, Quantity], balance) -> ReportFigure:
    """Porosity from the image beside what the mass of the electrode leaves."""
    return ReportFigure(
        lambda: _audit(image, balance),
        "Porosity of the image beside what composition and density leave, counting carbon and binder as solid or as "
        "pore. Numbers that do not overlap cannot both be right.",
        "Mass balance",
    )


def _audit(image, balance):
    from .style import PALETTE, figure

    rows = {**image, **balance}
    fig = figure(7.5, 0.9 + 0.5 * len(rows))
    ax = fig.subplots()
    for k, (name, q) in enumerate(rows.items()):
        low, high = (q.value if end is None else end for end in (q.low, q.high))
        colour = PALETTE[0] if name in image else PALETTE[1]
        ax.plot([low, high], [k, k], color=colour, linewidth=6, alpha=0.35, solid_capstyle="butt")
        ax.plot(q.value, k, "o", color=colour)
    ax.set_yticks(range(len(rows)), list(rows))
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set(xlabel="porosity", xlim=(0, 1))
    return fig


def discharge(run) -> ReportFigure:
    """A simulated discharge with the band that the intervals put on it."""
    return ReportFigure(
        lambda: _discharge(run),
        f"Discharge at {run.c_rate:g}C simulated with PyBaMM from the measured numbers; the band holds the curves of "
        "draws from their intervals.",
        "Battery model",
    )


def _discharge(run):
    from .style import PALETTE, figure

    fig = figure(6.5, 3.6)
    ax = fig.subplots()
    if len(run.band):
        ax.fill_between(
            run.band["capacity_mah_cm2"],
            run.band["low_v"],
            run.band["high_v"],
            color=PALETTE[0],
            alpha=0.22,
            linewidth=0,
        )
    ax.plot(run.curve["capacity_mah_cm2"], run.curve["voltage_v"], color=PALETTE[0])
    ax.set(xlabel="capacity (mAh/cm²)", ylabel="voltage (V)")
    return fig
