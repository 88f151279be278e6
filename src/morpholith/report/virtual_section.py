"""Figures of virtual sections: the true grains, what the instrument makes of them, the particle cut open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .look import MUTED, PALETTE, figure
from .pictures import micrograph, scale_bar

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VirtualSection = Any  # of specimens, which this stage does not import


def section_figure(made: VirtualSection) -> Figure:
    """Draw the true grains of a section, the orientations measured on it and their confidence index."""
    from .render3d import TONES

    ny, nx = made.shape
    height = ny * made.spacing[0] / (nx * made.spacing[1])
    fig = figure(13.5, 4.3 * height + 0.4)
    axes = fig.subplots(1, 3)
    tones = TONES[(np.arange(int(made.labels.max(initial=0)) + 1) * 7919) % len(TONES)] / 255
    tones[0] = 1.0
    pictures = {"true grains": tones[made.labels], "direction of the c axes, as measured": c_axis_colours(made)}
    for ax, (title, picture) in zip(axes, pictures.items(), strict=False):
        _show(ax, _straight(picture, made), made, title)
    axes[0].plot(made.centre_px[1], made.centre_px[0], "+", color="black", markersize=9, markeredgewidth=1.4)
    points = 2 if made.grid == "hexagonal" else 1
    pixel = made.spacing[0], made.spacing[1] / points
    micrograph(axes[2], np.clip(_straight(made.confidence, made), 0, 1), spacing=pixel, title="confidence index")
    return fig


def _straight(picture: np.ndarray, made) -> np.ndarray:
    """Move the odd rows of a hexagonal grid by half a point, as they lie: every point drawn twice along x."""
    if made.grid != "hexagonal":
        return picture
    wide = np.repeat(picture, 2, axis=1)
    wide[made.shifted_row :: 2, 1:] = wide[made.shifted_row :: 2, :-1].copy()
    return wide


def _show(ax, picture, made, title) -> None:
    ny, nx = made.shape
    ax.imshow(picture, interpolation="nearest", extent=(-0.5, nx - 0.5, ny - 0.5, -0.5),
              aspect=made.spacing[0] / made.spacing[1])  # fmt: skip
    ax.set(xticks=[], yticks=[], title=title)
    ax.spines[:].set_visible(False)
    scale_bar(ax, made.spacing)


def c_axis_colours(made: VirtualSection) -> np.ndarray:
    """Return colours (y, x, 3): hue for the direction of c in the plane, pale where it stands on it, dark where lost.

    The first phase only; others are grey.
    """
    from matplotlib.colors import hsv_to_rgb

    phi1, capital = made.euler_rad[..., 0], made.euler_rad[..., 1]
    known = made.phase == 1
    with np.errstate(invalid="ignore"):
        # c = (sin phi1 sin Phi, -cos phi1 sin Phi, cos Phi): its line in the plane repeats after half a turn
        hue = np.where(known, (phi1 / np.pi) % 1.0, 0.0)
        saturation = np.where(known, 0.75 * np.abs(np.sin(capital)), 0.0)
    value = np.where(known, 0.92, np.where(made.phase > 1, 0.6, 0.08))
    return hsv_to_rgb(np.stack([hue, saturation, value], -1))


def truth_figure(table: Any) -> Figure:
    """Draw size, axis ratios and orientation of all grains in 3D, with what no order would give."""
    fig = figure(13, 3.4)
    size, ratio, angle = fig.subplots(1, 3)
    size.hist(table["diameter_um"], bins=40, color=PALETTE[0], alpha=0.7)
    size.set(xlabel="diameter of the sphere of equal volume (µm)", ylabel="grains")
    edges = np.linspace(1, np.percentile(table["axis_ratio_3d"], 99), 40)
    for name, colour, text in (("elongation_3d", 0, "major / middle"), ("flatness_3d", 1, "middle / minor")):
        ratio.hist(table[name], bins=edges, histtype="step", color=PALETTE[colour], linewidth=1.6, label=text)
    ratio.set(xlabel="ratio of axes", ylabel="grains")
    ratio.legend()
    bins = np.linspace(0, 90, 31)
    for name, colour, text in (("alpha_long_deg", 0, "longest axis"), ("alpha_short_deg", 1, "shortest axis")):
        angle.hist(table[name], bins=bins, histtype="step", color=PALETTE[colour], linewidth=1.6, label=text)
    none = len(table) * -np.diff(np.cos(np.deg2rad(bins)))
    angle.plot(0.5 * (bins[1:] + bins[:-1]), none, color=MUTED, linewidth=1.1, linestyle="--", label="no order")
    angle.set(xlabel="angle to the radius (degrees)", ylabel="grains", xlim=(0, 90))
    angle.legend()
    return fig
