"""Figures of a virtual XANES scan: its frames, its motion, its states."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .look import PALETTE, figure
from .pictures import micrograph, scale_bar

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VirtualScan = Any  # of specimens, which this stage does not import


def frames_figure(made: VirtualScan, shown: list[int]) -> Figure:
    """Draw the frames at the energies `shown` with outlines in the last, over the spectra of the end members."""
    from matplotlib.collections import LineCollection

    ny, nx = made.params.shape
    fig = figure(13, 2.9 + 13 / len(shown) * ny / nx)
    parts = fig.subfigures(2, 1, height_ratios=[13 / len(shown) * ny / nx, 2.7])
    top, bottom = np.ravel(np.asarray(parts))
    row = np.atleast_1d(top.subplots(1, len(shown)))
    for ax, e in zip(row, shown, strict=True):
        micrograph(ax, made.optical_density(0, e), spacing=made.params.pixel_um, title=f"{made.energies_ev[e]:.1f} eV")
    outlines = [moved_outline(body, pose)[:, ::-1]
                for body, pose in zip(made.bodies, made.poses(shown[-1]), strict=True)]  # fmt: skip
    row[-1].add_collection(LineCollection(outlines, colors=PALETTE[5], linewidths=0.9))
    ax = bottom.subplots()
    grid = np.linspace(made.params.energies[0] - 10, made.params.energies[-1] + 10, 1600)
    for state, colour in ((0.0, PALETTE[0]), (1.0, PALETTE[1])):
        ax.plot(grid, made.params.chemistry.mu(grid, state), color=colour, label=f"state {state:g}")
        ax.plot(made.params.energies[shown], made.spectrum(state)[shown], "o", color=colour)
    ax.set(xlabel="energy (eV)", ylabel="absorption (relative)")
    ax.legend()
    return fig


def moved_outline(body, pose) -> np.ndarray:
    """Return the outline (n, 2) of a particle in a frame, y and x in px."""
    v, u = (1 + pose[3]) * body.outline().T
    c, s = np.cos(pose[2]), np.sin(pose[2])
    return np.stack([pose[0] + c * v - s * u, pose[1] + s * v + c * u], 1)


def motion_figure(made: VirtualScan) -> Figure:
    """Draw displacements of particles and stage over the frames, and the paths of the particles less the stage."""
    p = made.params
    n_frames = p.n_scans * p.n_energies
    place = made.truth[["y_px", "x_px"]].to_numpy().reshape(p.n_particles, n_frames, 2)
    fig = figure(13, 4.2)
    axes = fig.subplots(1, 3)
    for axis, name in enumerate("yx"):
        ax = axes[axis]
        for i in range(p.n_particles):
            ax.plot(place[i, :, axis] - place[i, 0, axis], color=PALETTE[i % 6], linewidth=0.8, alpha=0.9)
        ax.plot(made.stage[:, axis] - made.stage[0, axis], color="black", linewidth=1.1, label="stage")
        ax.set(xlabel="frame", ylabel=f"displacement along {name} (px)")
        for t in range(1, p.n_scans):
            ax.axvline(t * p.n_energies - 0.5, color="0.8", linewidth=0.6, zorder=0)
        ax.legend()
    own = place - place[:, :1] - (made.stage - made.stage[0])
    inside = np.hypot(*np.moveaxis(own[: p.n_particles - p.entering - p.leaving], -1, 0)).max(initial=0.0)
    enlarged = float(np.clip(np.floor(0.08 * min(p.shape) / max(inside, 1e-6)), 1, 20))
    ax = axes[2]
    for i, body in enumerate(made.bodies):
        line = moved_outline(body, made.poses(0)[i])
        ax.fill(line[:, 1], line[:, 0], facecolor="0.92", edgecolor="0.7", linewidth=0.7)
        path = place[i, 0] + enlarged * own[i]
        ax.plot(path[:, 1], path[:, 0], color=PALETTE[i % 6], linewidth=0.9)
        ax.plot(*path[-1, ::-1], "o", color=PALETTE[i % 6], markersize=3.5)
    ax.set(xlim=(0, p.shape[1]), ylim=(p.shape[0], 0), aspect="equal", xlabel="x (px)", ylabel="y (px)")
    ax.set_title(f"own paths, {enlarged:.0f} times" if enlarged > 1 else "own paths")
    return fig


def states_figure(made: VirtualScan, energy: int) -> Figure:
    """Draw the true states in up to four scans, at the places of an energy."""
    p = made.params
    shown = np.unique(np.linspace(0, p.n_scans - 1, min(p.n_scans, 4)).astype(int))
    ny, nx = p.shape
    width = 3.6 if len(shown) > 1 else 5.0
    fig = figure(width * len(shown) + 1.2, width * ny / nx + 0.5)
    axes = np.atleast_1d(fig.subplots(1, len(shown)))
    for ax, t in zip(axes, shown, strict=True):
        picture = ax.imshow(made.state_field(int(t), energy), cmap="viridis", vmin=0, vmax=1, interpolation="nearest")
        ax.set(xticks=[], yticks=[], facecolor="0.93")
        ax.spines[:].set_visible(False)
        ax.set_title(f"scan {t}" if p.n_scans > 1 else f"{p.n_particles} particles")
        scale_bar(ax, (p.pixel_um, p.pixel_um))
    fig.colorbar(picture, ax=list(axes), label="state (0 reduced, 1 oxidised)", shrink=0.8)
    return fig
