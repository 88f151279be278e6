"""Pictures of virtual particles: cut open, side by side, in section, and what they measure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .look import INK, MUTED, PALETTE, figure
from .pictures import length_text, round_length
from .plots import histogram
from .render3d import NO_VALUE, TONES, by_value, render, show, view

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

CUT = (0.5, 0.5, 0.5)
COLUMNS = 4


def cut_open(
    labels: np.ndarray, *, voxel_um: float, values: Mapping[int, float] | None = None, name: str = ""
) -> Figure:
    """Return a figure of one particle with a corner taken off: its grains in colours, and by a number of theirs.

    Parameters
    ----------
    labels : (z, y, x) int array
        Grains from 1; 0 is outside.
    voxel_um : float
    values : mapping of label to float, optional
        Colours the picture on the right, angles (``deg`` in `name`) from 0 to 90; without it there is the whole
        particle.
    name : str
        What the colour bar says, with unit.
    """
    look: dict[str, Any] = {"spacing": (voxel_um,) * 3, "size": 800, "walls": False}
    first = render(labels, **look, cut=CUT)
    if values is None:
        second, title, limits = render(labels, **look), "Whole", None
    else:
        known = np.array([v for v in values.values() if np.isfinite(v)])
        own = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
        limits = (0.0, 90.0) if "deg" in name else own
        n = int(labels.max(initial=0)) + 1
        colours = by_value(values, limits=limits)
        colours = np.vstack([colours, np.full((max(n - len(colours), 0), 3), NO_VALUE)])
        second, title = render(labels, **look, cut=CUT, colours=colours), name
    part = _drawn(first, second)
    fig = figure(11, 5.0 * (part[0].stop - part[0].start) / (part[1].stop - part[1].start) + 0.6)
    axes = fig.subplots(1, 2)
    for ax, picture, text in zip(axes, (first, second), ("Grains, cut open", title), strict=True):
        ax.imshow(picture[part])
        ax.set(xticks=[], yticks=[], title=text, ylim=(1.06 * (part[0].stop - part[0].start), -0.5))
        ax.spines[:].set_visible(False)
    pixel = view(labels.shape, spacing=(voxel_um,) * 3, size=800, cut=CUT).pixel_um
    bar(axes[0], (part[0].stop - part[0].start, part[1].stop - part[1].start), pixel, below=True)
    if limits is not None:
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        fig.colorbar(ScalarMappable(Normalize(*limits), "viridis"), ax=axes[1], label=name, shrink=0.6, pad=0.01)
    return fig


def _drawn(*pictures) -> tuple[slice, slice]:
    """The part of pictures of one size that is not white in all of them."""
    there = np.any([(p < 250).any(-1) for p in pictures], axis=0)
    if not there.any():
        return slice(0, there.shape[0]), slice(0, there.shape[1])
    rows, columns = np.flatnonzero(there.any(1)), np.flatnonzero(there.any(0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def sheet(volumes: Sequence[np.ndarray], *, voxel_um: float, names: Sequence[str]) -> Figure:
    """Return a figure of particles side by side, all to one scale.

    Parameters
    ----------
    volumes : sequence of (z, y, x) int arrays
    voxel_um : float
    names : sequence of str
    """
    most = np.max([v.shape for v in volumes], axis=0)
    columns = min(COLUMNS, len(volumes))
    rows = -(-len(volumes) // columns)
    fig = figure(10, 2.6 * rows + 0.2)
    axes = np.atleast_1d(fig.subplots(rows, columns, squeeze=False)).ravel()
    for k, ax in enumerate(axes):
        if k >= len(volumes):
            ax.set_axis_off()
            continue
        look: dict[str, Any] = {"spacing": (voxel_um,) * 3, "size": 360}
        padded = _centred(volumes[k], most)
        show(ax, render(padded, **look, walls=False), view(padded.shape, **look), bar=k == 0)
        for lines in list(ax.collections):  # edges of the box: a particle has none
            lines.remove()
        ax.set_title(names[k], fontsize=8.5, fontweight="normal", color=MUTED)
    return fig


def _centred(volume, shape) -> np.ndarray:
    before = [(n - m) // 2 for n, m in zip(shape, volume.shape, strict=True)]
    after = [n - m - b for n, m, b in zip(shape, volume.shape, before, strict=True)]
    return np.pad(volume, list(zip(before, after, strict=True)))


def central_sections(volumes: Sequence[np.ndarray], *, voxel_um: float, names: Sequence[str]) -> Figure:
    """Return a figure of the middle planes of particles, grains in colours, boundaries dark, one scale for all."""
    height = max(v.shape[1] for v in volumes)
    width = max(v.shape[2] for v in volumes)
    columns = min(COLUMNS, len(volumes))
    rows = -(-len(volumes) // columns)
    fig = figure(10, 10 / columns * rows * height / width + 0.3 * rows)
    axes = fig.subplots(rows, columns, squeeze=False).ravel()
    for k, ax in enumerate(axes):
        ax.set_axis_off()
        if k < len(volumes):
            plane = _centred(volumes[k], (volumes[k].shape[0], height, width))[volumes[k].shape[0] // 2]
            ax.imshow(coloured_grains(plane), interpolation="nearest")
            ax.set_title(names[k], fontsize=8.5, fontweight="normal", color=MUTED)
    bar(axes[0], (height, width), voxel_um)
    return fig


def coloured_grains(labels: np.ndarray, *, boundaries: bool = True) -> np.ndarray:
    """Return (y, x, 3) uint8 colours of a label image: muted tones, 0 white, boundaries of grains darker.

    Parameters
    ----------
    labels : (y, x) int array
    boundaries : bool
    """
    labels = np.asarray(labels)
    picture = TONES[labels % len(TONES)].astype(float)
    if boundaries:
        edge = np.zeros(labels.shape, bool)
        edge[:, 1:] |= labels[:, 1:] != labels[:, :-1]
        edge[1:] |= labels[1:] != labels[:-1]
        picture[edge] *= 0.45
    picture[labels == 0] = 255.0
    return picture.astype(np.uint8)


def bar(ax: Axes, shape: tuple[int, int], pixel_um: float, *, below: bool = False) -> None:
    """Draw a scale bar at the lower right of an image of that shape, or under it."""
    length = round_length(shape[1] * pixel_um / 4)
    end, row = shape[1] * 0.97, shape[0] * (1.04 if below else 0.97)
    middle = end - 0.5 * length / pixel_um
    line: dict[str, Any] = {"color": INK, "linewidth": 2.5, "solid_capstyle": "butt", "clip_on": False}
    ax.plot([end - length / pixel_um, end], [row, row], **line)
    ax.text(middle, row - 0.012 * shape[0], length_text(length), ha="center", va="bottom", fontsize=8.5, color=INK)


def library_figure(particles: DataFrame, grains: DataFrame) -> Figure:
    """Return histograms of what a library holds: sizes and forms of particles, sizes, axes and directions of grains.

    Parameters
    ----------
    particles, grains : DataFrame
        Tables as `particles generate` writes them.
    """
    fig = figure(10, 5.4)
    axes = fig.subplots(2, 4)
    # of grains at the surface too: they are whole
    cells = [
        (particles["diameter_um"], "particle diameter (um)"),
        (particles["sphericity"], "sphericity"),
        (particles["aspect"], "aspect ratio"),
        (particles["n_grains"], "grains a particle"),
        (grains["diameter_um"], "grain diameter (um)"),
        (grains["axis_ratio_3d"], "longest over shortest axis"),
        (grains["radial_ratio"], "extent along over across the radius"),
        (grains["alpha_long_deg"], "longest axis to radius (deg)"),
    ]
    for ax, (values, name) in zip(axes.ravel(), cells, strict=True):
        finite = values[np.isfinite(values)]
        top = float(np.quantile(finite, 0.995)) if len(finite) else 1.0
        histogram(ax, np.minimum(finite, top), bins=min(30, max(6, len(finite) // 4)))
        ax.set_xlabel(name)
    random_axes(axes[1, 3], int(np.isfinite(grains["alpha_long_deg"]).sum()))
    return fig


def random_axes(ax: Axes, n: int) -> None:
    """Add to a histogram of angles in 3D what axes of random direction would give."""
    low, high = ax.get_xlim()
    bins = len(ax.patches) or 1
    edges = np.linspace(max(low, 0), min(high, 90), bins + 1)
    expected = n * -np.diff(np.cos(np.deg2rad(edges)))
    ax.plot(0.5 * (edges[1:] + edges[:-1]), expected, color=PALETTE[1], linewidth=1.2, label="random")
    ax.legend(loc="upper right")
