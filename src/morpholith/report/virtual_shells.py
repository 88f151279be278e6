"""Figures of a virtual tomogram of loose particles: slices, the particles in space, their shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .look import MUTED, PALETTE, figure
from .pictures import micrograph

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VirtualShells = Any  # of specimens, which this stage does not import


def slices_figure(made: VirtualShells) -> Figure:
    """Draw the middle slice across each axis, with the true outlines."""
    voxel = made.instrument.voxel_um
    grey, labels = made.grey, made.labels
    middle = [n // 2 for n in grey.shape]
    cuts = {"yx": np.s_[middle[0]], "zx": np.s_[:, middle[1]], "zy": np.s_[:, :, middle[2]]}
    fig = figure(13, 4.3)
    for ax, (name, cut) in zip(fig.subplots(1, 3), cuts.items(), strict=True):
        micrograph(ax, grey[cut], spacing=voxel, title=f"{name[0]} down, {name[1]} across")
        _outline(ax, labels[cut])
    return fig


def _outline(ax, labels) -> None:
    """Draw where neighbouring pixels belong to different particles."""
    from matplotlib.collections import LineCollection

    y, x = np.nonzero(labels[1:] != labels[:-1])
    lying = np.stack([np.stack([x - 0.5, y + 0.5], 1), np.stack([x + 0.5, y + 0.5], 1)], 1)
    y, x = np.nonzero(labels[:, 1:] != labels[:, :-1])
    upright = np.stack([np.stack([x + 0.5, y - 0.5], 1), np.stack([x + 0.5, y + 0.5], 1)], 1)
    ax.add_collection(LineCollection([*lying, *upright], colors=PALETTE[5], linewidths=0.7))


def particles_figure(made: VirtualShells) -> Figure:
    """Draw all particles in space, coloured by their sphericity, with the box."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    from .render3d import by_value, render, show, view

    look: dict[str, Any] = {"spacing": (made.instrument.voxel_um,) * 3, "size": 760}
    seen = view(made.labels.shape, **look)
    value = made.truth["sphericity"]
    limits = (float(value.min()), float(value.max())) if len(value) else (0.0, 1.0)
    limits = limits if limits[1] > limits[0] else (limits[0] - 0.05, limits[1] + 0.05)
    colours = by_value(value, limits=limits)
    fig = figure(7.6, 6.6 * seen.shape[0] / seen.shape[1] + 0.2)
    ax = fig.subplots()
    show(ax, render(made.labels, colours=colours, **look), seen, title="particles")
    fig.colorbar(ScalarMappable(Normalize(*limits), "viridis"), ax=ax, label="sphericity", shrink=0.6, pad=0.01)
    return fig


def shapes_figure(made: VirtualShells) -> Figure:
    """Draw the true coefficients by degree, and the sizes and shapes that they make."""
    a = made.coefficients
    degree = int(np.sqrt(a.shape[1])) - 1
    fig = figure(13, 3.6)
    spread, size, shape = fig.subplots(1, 3)
    for l in range(1, degree + 1):  # noqa: E741
        values = np.abs(a[:, l * l : (l + 1) ** 2]).ravel()
        if not len(values):
            break
        low, half, high = np.percentile(values, [10, 50, 90])
        spread.vlines(l, max(low, 1e-4), max(high, 1e-4), color=PALETTE[0], linewidth=5, alpha=0.4)
        spread.plot(l, max(half, 1e-4), "o", color=PALETTE[0])
    spread.set(yscale="log", xlabel="degree l", ylabel="|a| (µm): 10th, 50th, 90th percentile")
    size.hist(2 * made.truth["radius_um"], bins=24, color=PALETTE[0], alpha=0.7)
    size.set(xlabel="mean diameter (µm)", ylabel="particles")
    shape.plot(2 * made.truth["radius_um"], made.truth["sphericity"], "o", color=PALETTE[1], markersize=3.5)
    shape.axhline(1, color=MUTED, linewidth=0.9, linestyle="--")
    shape.set(xlabel="mean diameter (µm)", ylabel="sphericity")
    return fig
