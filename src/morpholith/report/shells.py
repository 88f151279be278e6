"""Pictures of shells: the volume they come from, what was learnt of them, and measured beside drawn ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..results import ReportFigure
from .look import MUTED, PALETTE, figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike
    from pandas import DataFrame

    from ..generate import LearntShells, ShellModel

SECTION = "Shells"
SHOWN = 6  # shells a row
TILE = 60  # voxels across the largest shell that is shown
FORMS = {
    "d_max_um": "d_max through the star point (µm)",
    "compactness": "compactness",
    "aspect_ratio": "aspect ratio",
    "sphericity": "sphericity",
}
KINDS = {"normal": "normal", "log_normal": "log-normal", "student_t": "Student's t"}


def learnt_figures(volume: Any, learnt: LearntShells, *, seed: int = 0) -> dict[str, ReportFigure]:
    """Return the figures of what was learnt of shells, by file name.

    Parameters
    ----------
    volume : workflows._particle_inputs.MeasuredShells or None
        With `shells`, `labels`, `middle`, `spacing`, `voxel_um`; without it there are no pictures of the data.
    learnt : LearntShells
        In voxels of `volume.voxel_um`.
    seed : int
        Of the shells that are drawn to stand beside the measured ones.
    """
    figures: dict[str, ReportFigure] = {}
    if volume is not None and len(volume.shells.table):
        a = volume.shells.coefficients / volume.voxel_um
        figures["shell_volume"] = ReportFigure(
            lambda: volume_figure(volume.middle, volume.labels, spacing=volume.spacing),
            "Left, the middle slice with the particles found in it; right, all of them, a corner of the volume cut "
            "away. Those cut by a face of the volume are left out.",
            SECTION,
        )
        figures["shells_drawn"] = ReportFigure(
            lambda: beside_figure(a, learnt.model, voxel_um=volume.voxel_um, seed=seed),
            "Above, measured particles as their harmonics show them, from small to large; below, shells drawn from the "
            "model at the same ranks of size.",
            SECTION,
        )
        figures["shell_families"] = ReportFigure(
            lambda: families_figure(a, learnt, weights=volume.shells.table["frame_weight"].to_numpy(float)),
            "Coefficients of each degree (bars; particles weighted for those lost at the border) and the distribution "
            "chosen for them (line). The broken line is the distribution before the correction for draws that are no "
            "shells: bars show shells only, so that the line may have longer tails than they.",
            SECTION,
        )
    figures["shell_dependence"] = ReportFigure(
        lambda: dependence_figure(learnt.dependence, n=learnt.n),
        "Distance correlation of each coefficient with the size coefficient. The model takes them for independent, for "
        "which the expected value is not 0 but the one marked in the bar.",
        SECTION,
    )
    return figures


def volume_figure(middle: np.ndarray, labels: np.ndarray, *, spacing: tuple[float, float, float]) -> Figure:
    """Draw the middle slice with the outlines of the particles, and all particles from outside (Fig. 1 of paper 001).

    Parameters
    ----------
    middle : (y, x) array
        Middle slice, as it came.
    labels : (z, y, x) int array
    spacing : (z, y, x)
    """
    from .pictures import contours, micrograph
    from .render3d import render, show, view

    look: dict[str, Any] = {"spacing": spacing, "size": 700, "cut": (0.5, 0.5, 0.5)}
    seen = view(labels.shape, **look)
    fig = figure(10, 5 * seen.shape[0] / seen.shape[1] + 0.3)
    left, right = fig.subplots(1, 2)
    micrograph(left, np.asarray(middle, float), spacing=spacing[1:])
    found = contours(np.ascontiguousarray(labels[len(labels) // 2]))
    for k, (_, lines) in enumerate(sorted(found.items())):
        for line in lines:
            left.plot(line[:, 0], line[:, 1], color=PALETTE[k % 6], linewidth=1.1)
    show(right, render(labels, **look), seen)
    return fig


def beside_figure(measured: np.ndarray, model: ShellModel, *, voxel_um: float, seed: int = 0) -> Figure:
    """Draw measured shells and shells of the model of the same ranks of size, to one scale.

    Parameters
    ----------
    measured : (n, (L + 1)^2) array
        In voxels.
    model : ShellModel
        In voxels.
    voxel_um : float
    seed : int
    """
    from ..generate import draw_shells, recentred, shell_volume
    from .render3d import render, show, view

    drawn = draw_shells(model, max(64, len(measured)), rng=seed).coefficients
    rows = []
    for a in (measured, drawn):
        order = np.argsort(shell_volume(a), kind="stable")
        rows.append(a[order[np.round(np.linspace(0.1, 0.97, SHOWN) * (len(a) - 1)).astype(int)]])
    rows[1] = recentred(rows[1]).coefficients
    scale = TILE / (2 * max(_reach(a) for row in rows for a in row))
    labels = np.concatenate(
        [np.concatenate([_ball(scale * a) * (1 + i * SHOWN + k) for k, a in enumerate(row[::-1])], axis=2) for i, row in
         enumerate(rows)][::-1], axis=0,
    )  # fmt: skip
    look: dict[str, Any] = {"spacing": (voxel_um / scale,) * 3, "size": 1100, "azimuth": 0.0, "elevation": 0.0}
    seen = view(labels.shape, **look)
    fig = figure(10, 10 * seen.shape[0] / seen.shape[1] + 0.2)
    ax = fig.subplots()
    show(ax, render(labels, **look, walls=False), seen)
    for lines in list(ax.collections):
        lines.remove()
    for y, text in ((0.97, "measured"), (0.49, "drawn from the model")):
        ax.text(0.01, y, text, transform=ax.transAxes, va="top", color=MUTED)
    return fig


def _reach(a):
    from ..generate import shell_radius

    return float(shell_radius(a).max())


def _ball(a):
    """Voxels of a shell in a cube a little wider than the largest one."""
    from ..generate import shell_radius

    half = TILE // 2 + 2
    line = np.arange(-half, half + 1) + 1e-9
    y, x = np.meshgrid(line, line, indexing="ij")
    planes = []
    for z in line:
        places = np.stack([np.full(x.size, z), y.ravel(), x.ravel()], 1)
        planes.append((np.linalg.norm(places, axis=1) <= shell_radius(a, places)).reshape(x.shape))
    return np.array(planes).astype(np.int32)


def families_figure(coefficients: np.ndarray, learnt: LearntShells, *, weights: np.ndarray | None = None) -> Figure:
    """Draw the coefficients of each degree as histograms with the distribution chosen (Fig. 4 of paper 001).

    Parameters
    ----------
    coefficients : (n, (L + 1)^2) array
        In the unit of the model.
    learnt : LearntShells
    weights : (n,) array, optional
        Of the particles, as they were learnt with.
    """
    from ..generate import Family

    n = len(learnt.model.families)
    columns = min(5, n)
    rows = -(-n // columns)
    fig = figure(10, 2.1 * rows + 0.2)
    axes = np.atleast_1d(fig.subplots(rows, columns)).ravel()
    for l, (ax, family) in enumerate(zip(axes, learnt.model.families, strict=False)):  # noqa: E741
        x = coefficients[:, l * l : (l + 1) ** 2].ravel()
        low, high = np.quantile(x, [0.005, 0.995])
        own = None if weights is None else np.repeat(weights, 2 * l + 1)
        ax.hist(x, bins=40, range=(low, high), density=True, weights=own, color=PALETTE[0], alpha=0.55)
        t = np.linspace(low, high, 300)
        row = learnt.parameters.loc[l]
        if learnt.corrected:
            before = Family(
                family.kind,
                row["scale_uncorrected"],
                row["loc_uncorrected"],
                family.shape if np.isnan(row["shape"]) else row["shape_uncorrected"],
            )
            ax.plot(t, _density(before, t), color=MUTED, linewidth=1.0, linestyle=(0, (4, 2)))
        ax.plot(t, _density(family, t), color=PALETTE[1], linewidth=1.5)
        ax.set_title(f"degree {l}: {KINDS[family.kind]}", fontsize=8.5, fontweight="normal")
        ax.set(yticks=[])
    for ax in axes[n:]:
        ax.set_axis_off()
    return fig


def _density(family, x):
    from ..generate.shell_families import density

    return density(family, x)


def dependence_figure(dependence: DataFrame, *, n: int) -> Figure:
    """Draw the distance correlations with the size, by degree and order (Fig. 3 of paper 001).

    Parameters
    ----------
    dependence : DataFrame
        From `generate.learn_shells`.
    n : int
        Shells behind it.
    """
    degree, order = dependence["degree"].to_numpy(), dependence["order"].to_numpy()
    top = int(degree.max())
    field = np.full((top, 2 * top + 1), np.nan)
    field[degree - 1, order + top] = dependence["distance_correlation"]
    fig = figure(7.5, 0.33 * top + 1.3)
    ax = fig.subplots()
    picture = ax.imshow(
        field, cmap="viridis", vmin=0, vmax=max(0.3, float(np.nanmax(field))), aspect="auto", interpolation="nearest",
        extent=(-top - 0.5, top + 0.5, top + 0.5, 0.5),
    )  # fmt: skip
    ax.set(xlabel="order m", ylabel="degree ℓ", yticks=range(1, top + 1), xticks=range(-(top // 3) * 3, top + 1, 3))
    ax.spines[:].set_visible(False)
    bar = fig.colorbar(picture, ax=ax, label="distance correlation with $a_{00}$")
    free = _independent(dependence, n)
    if np.isfinite(free):
        bar.ax.axhline(free, color="white", linewidth=2)
        bar.ax.axhline(free, color="black", linewidth=1)
    return fig


def _independent(dependence, n):
    """Mean distance correlation that independent quantities of these spreads would have."""
    square = dependence["distance_correlation"] ** 2
    own = square - dependence["squared_corrected"]
    return float(np.sqrt(max(own.mean(), 0))) if n >= 4 else float("nan")


def forms_figure(measured: DataFrame, drawn: DataFrame) -> Figure:
    """Draw size and form of measured and drawn shells over each other (Fig. 10a of paper 001).

    Parameters
    ----------
    measured, drawn : DataFrame
        From `measure.shell_shapes`.
    """
    fig = figure(10, 2.8)
    for ax, (column, name) in zip(fig.subplots(1, 4), FORMS.items(), strict=True):
        both: list[ArrayLike] = [t[column].to_numpy()[np.isfinite(t[column])] for t in (measured, drawn)]
        together = np.concatenate(both) if any(len(np.asarray(v)) for v in both) else np.array([0.0, 1.0])
        low, high = np.quantile(together, [0.0, 0.99] if column != "aspect_ratio" else [0.0, 0.96])
        bins = np.linspace(low, high if high > low else low + 1, 31)
        for values, label, colour in zip(both, ("measured", "drawn"), PALETTE, strict=False):
            if len(np.asarray(values)):
                ax.hist(values, bins=bins.tolist(), density=True, color=colour, alpha=0.5, label=label)
        ax.set(xlabel=name, yticks=[])
        if column == "d_max_um":
            ax.legend()
    return fig
