"""Labelled volumes as pictures in three dimensions: rays cast through the voxels, no graphics card asked for.

The box stands on its face z = 0, seen from `azimuth` (0: from the far end of y, 90: from the far end of x) and
`elevation` above the horizon, without perspective, so that lengths can be compared. The corner towards the viewer can
be cut away; cut faces are flat and pale, surfaces rounded and shaded. Through pores the walls behind are seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _checks
from ..errors import InputError
from .pictures import length_text, round_length

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARGIN = 0.03  # of the picture, on each side
COARSE = 48  # cells of the grid of shadows along the longest edge
# muted tones of like lightness; neighbours in the list lie far apart in hue
TONES = np.array([
    (122, 158, 190), (214, 160, 120), (140, 176, 132), (196, 140, 160), (205, 187, 120), (150, 142, 188),
    (110, 172, 170), (208, 142, 130), (168, 190, 150), (176, 150, 176), (222, 182, 146), (128, 150, 160),
])  # fmt: skip
PORE = (86, 140, 190)
NO_VALUE = 190.0


@dataclass(frozen=True)
class View:
    """Where everything lies in a picture.

    Attributes
    ----------
    size_um : (3,) array
        Edges (z, y, x) of the box.
    right, up, into : (3,) arrays
        Directions (z, y, x) of the picture's axes and of the view.
    pixel_um : float
        Edge of a pixel.
    shape : (int, int)
        Rows and columns.
    corner : (2, 3) array
        Lowest and highest point of the corner that is cut away, um; equal where none is.
    """

    size_um: np.ndarray
    right: np.ndarray
    up: np.ndarray
    into: np.ndarray
    pixel_um: float
    shape: tuple[int, int]
    corner: np.ndarray

    def project(self, points_um) -> np.ndarray:
        """Return the (column, row) of points (z, y, x) in um from the corner of the box, not of its first centre."""
        p = np.asarray(points_um, float) - 0.5 * self.size_um
        rows, columns = self.shape
        return np.stack(
            [0.5 * (columns - 1) + p @ self.right / self.pixel_um, 0.5 * (rows - 1) - p @ self.up / self.pixel_um], -1
        )

    def edges(self) -> list[np.ndarray]:
        """Return the visible edges of the box, and of the cut, as (2, 3) arrays of points in um."""
        front = self.into < 0  # faces that look at the viewer
        found = []
        for axis in range(3):
            others = [a for a in range(3) if a != axis]
            for side in np.ndindex(2, 2):
                faces = [bool(s) == bool(front[a]) for s, a in zip(side, others, strict=True)]
                if not any(faces):
                    continue
                ends = np.zeros((2, 3))
                ends[1, axis] = self.size_um[axis]
                ends[:, others] = [self.size_um[a] * s for s, a in zip(side, others, strict=True)]
                if all(faces):  # it ends where the cut begins
                    ends[int(front[axis]), axis] = self.corner[0 if front[axis] else 1, axis]
                found.append(ends)
        return found + self._cut_edges(front)

    def _cut_edges(self, front) -> list[np.ndarray]:
        low, high = self.corner
        if not (high > low).all():
            return []
        outer, inner = np.where(front, high, low), np.where(front, low, high)
        found = []
        for axis in range(3):
            for fixed in range(8):
                start = np.where([(fixed >> a) & 1 for a in range(3)], outer, inner)
                kept = [a for a in range(3) if a != axis and start[a] == outer[a]]
                # edges of the removed box but those that lay on the edges of the whole one
                if start[axis] == inner[axis] and len(kept) < 2:
                    end = start.copy()
                    end[axis] = outer[axis]
                    found.append(np.stack([start, end]))
        return found


def view(shape, *, spacing, size: int = 700, azimuth: float = 35.0, elevation: float = 28.0, cut=None) -> View:
    """Return the view that `render` takes of a volume.

    Parameters
    ----------
    shape : (int, int, int)
    spacing : (float, float, float)
    size : int
        Larger edge of the picture in pixels.
    azimuth, elevation : float
        Degrees; elevation within -89 .. 89.
    cut : (float, float, float), optional
        Share of each edge (z, y, x) that is taken off at the corner towards the viewer.
    """
    edges = np.array(shape) * _checks.spacing(spacing, 3)
    if not -89 <= elevation <= 89:
        raise InputError(f"`elevation` must lie in -89 .. 89 degrees, got {elevation!r}.")
    a, e = np.deg2rad([azimuth, elevation])
    towards = np.array([np.sin(e), np.cos(e) * np.cos(a), np.cos(e) * np.sin(a)])
    right = np.array([0.0, np.sin(a), -np.cos(a)])  # (x, y, z) is right-handed: nothing is mirrored
    up = np.array([np.cos(e), -np.sin(e) * np.cos(a), -np.sin(e) * np.sin(a)])
    width, height = (np.abs(axis) @ edges for axis in (right, up))
    pixel = max(width, height) / (size * (1 - 2 * MARGIN))
    rows, columns = (max(16, round(length / pixel / (1 - 2 * MARGIN))) for length in (height, width))
    share = np.zeros(3) if cut is None else np.asarray(cut, float)
    if share.shape != (3,) or (share < 0).any() or (share >= 1).any():
        raise InputError(f"`cut` must be three shares (z, y, x) of the edges, 0 to below 1; got {cut!r}.")
    front = towards > 0
    low = np.where(front, edges * (1 - share), 0)
    corner = np.stack([low, np.where(front, edges, edges * share)])
    return View(edges, right, up, -towards, pixel, (rows, columns), corner)


def render(
    labels: np.ndarray,
    *,
    spacing,
    colours=None,
    phase: int | None = None,
    size: int = 700,
    azimuth: float = 35.0,
    elevation: float = 28.0,
    cut=None,
    background=(255, 255, 255),
    walls: bool = True,
) -> np.ndarray:
    """Draw a labelled volume.

    Parameters
    ----------
    labels : (z, y, x) int array
        0 is empty.
    spacing : (float, float, float)
        Voxel edges in um.
    colours : (n + 1, 3) array, optional
        Colour of each label, 0 to 255 (row 0 is not used): one of twelve muted tones unless given. See `by_value`.
    phase : int, optional
        Draw the voxels of this value as one body; 0 may be asked for.
    size, azimuth, elevation, cut
        As for `view`.
    background : (int, int, int)
    walls : bool
        Draw the far walls of the box, which show through pores; a single particle stands better without.

    Returns
    -------
    (rows, columns, 3) uint8 array
        Empty volumes give an empty picture.

    Notes
    -----
    Where the smoothed indicator of all labels (binomial, 3 x 3 x 3) crosses one half, the ray stops; the normal is the
    gradient of the hit label's own indicator under a Gaussian, so that particles keep their roundness at contacts.
    Light: a lamp at the upper left behind the viewer with shadows through a coarse grid, the sky, and the closeness of
    other material (ambient occlusion). Pixels at edges are cast four times.
    """
    from . import _rays

    labels, colours = _prepared(labels, colours, phase)
    seen = view(labels.shape, spacing=spacing, size=size, azimuth=azimuth, elevation=elevation, cut=cut)
    voxel = np.array(_checks.spacing(spacing, 3))
    paper = np.asarray(background, float) / 255.0
    picture = _rays.cast(
        labels, voxel, seen, palette=colours / 255.0, background=paper, coarse=COARSE, walls=bool(walls)
    )
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)


def by_value(values: Any, *, cmap: str = "viridis", limits: tuple[float, float] | None = None) -> np.ndarray:
    """Return colours for `render` by a number of each label.

    Parameters
    ----------
    values : mapping or Series of label to float
        Labels without a finite value are drawn grey.
    cmap : str
        A Matplotlib colour map.
    limits : (low, high), optional
        Values at the ends of the map; the smallest and largest unless given.

    Returns
    -------
    (largest label + 1, 3) array
    """
    import matplotlib as mpl

    pairs = list(values.items())
    number = np.array([int(k) for k, _ in pairs], dtype=int)
    value = np.array([float(v) for _, v in pairs], float)
    table = np.full((int(number.max(initial=0)) + 1, 3), NO_VALUE)
    known = np.isfinite(value)
    if known.any():
        low, high = limits if limits is not None else (value[known].min(), value[known].max())
        place = np.clip((value[known] - low) / ((high - low) or 1.0), 0, 1)
        table[number[known]] = mpl.colormaps[cmap](place)[:, :3] * 255
    return table


def electrode_figure(
    phases: np.ndarray, labels: np.ndarray, *, spacing, values=None, name: str = "", size: int = 760
) -> Figure:
    """Return a figure with the particles on the left and the pore space on the right, a corner cut away.

    Parameters
    ----------
    phases : (z, y, x) int array
        0 pore.
    labels : (z, y, x) int array
        Particles; 0 is none.
    spacing : (float, float, float)
    values : mapping or Series of label to float, optional
        Colours the particles (as their diameter); muted tones unless given.
    name : str
        What the colour bar says, with unit.
    size : int
        Pixels along the longer edge of each picture.
    """
    from .look import figure

    look: dict[str, Any] = {"spacing": spacing, "size": size, "cut": (0.5, 0.5, 0.5)}
    seen = view(labels.shape, **look)
    fig = figure(10, 5 * seen.shape[0] / seen.shape[1] + 0.4)
    left, right = fig.subplots(1, 2)
    limits = None if values is None else _limits(values)
    colours = None if values is None else _padded(by_value(values, limits=limits), int(labels.max(initial=0)) + 1)
    show(left, render(labels, colours=colours, **look), seen, title="Particles")
    show(right, render(phases, phase=0, **look), seen, title="Pores", bar=False)
    if limits is not None:
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        fig.colorbar(ScalarMappable(Normalize(*limits), "viridis"), ax=left, label=name, shrink=0.6, pad=0.01)
    return fig


def _limits(values) -> tuple[float, float]:
    """2nd and 98th percentile: one giant must not make all others look alike."""
    known = np.array([float(v) for _, v in values.items()], float)
    known = known[np.isfinite(known)]
    low, high = np.percentile(known, [2, 98]) if known.size else (0.0, 1.0)
    return (float(low), float(high)) if high > low else (float(low) - 0.5, float(low) + 0.5)


def _padded(colours: np.ndarray, n: int) -> np.ndarray:
    """Give labels without a value the grey that `by_value` gives those without a finite one."""
    return np.vstack([colours, np.full((max(n - len(colours), 0), 3), NO_VALUE)])


def show(ax: Axes, picture: np.ndarray, seen: View, *, title: str = "", bar: bool = True) -> None:
    """Draw a rendering with the edges of its box and a scale bar.

    Parameters
    ----------
    ax : Axes
    picture : (rows, columns, 3) uint8 array
        From `render`.
    seen : View
        From `view` with the same arguments.
    title : str
    bar : bool
        Without perspective one bar holds for the whole picture, for lengths across the view.
    """
    from matplotlib.collections import LineCollection

    ax.imshow(picture, interpolation="antialiased")
    lines = [seen.project(ends) for ends in seen.edges()]
    ax.add_collection(LineCollection(lines, colors="#444444", linewidths=0.9, capstyle="round"), autolim=False)
    ax.set(xticks=[], yticks=[], xlim=(-0.5, seen.shape[1] - 0.5), ylim=(seen.shape[0] - 0.5, -0.5))
    ax.spines[:].set_visible(False)
    if title:
        ax.set_title(title)
    if bar:
        length = round_length(seen.shape[1] * seen.pixel_um / 4)
        end = seen.shape[1] * (1 - MARGIN)
        start, row = end - length / seen.pixel_um, seen.shape[0] * (1 - MARGIN)
        ax.plot([start, end], [row, row], color="#222222", linewidth=2.5, solid_capstyle="butt", clip_on=False)
        ax.text(0.5 * (start + end), row - 6, length_text(length), ha="center", va="bottom", fontsize=9)


def _prepared(labels, colours, phase):
    """Labels as contiguous int32 and a colour for each of them."""
    labels = np.asarray(labels)
    if labels.ndim != 3 or labels.dtype.kind not in "bui" or labels.size == 0:
        raise InputError(f"`labels` must be a 3D array (z, y, x) of integers, got {labels.dtype} {labels.shape}.")
    if phase is not None:
        labels = labels == phase
        colours = np.array([(0, 0, 0), PORE]) if colours is None else colours
    labels = np.ascontiguousarray(labels, dtype=np.int32)
    highest = int(labels.max())
    if labels.min() < 0:
        raise InputError("`labels` must not be negative; 0 is empty.")
    if colours is None:
        # by a multiplicative hash: labels in a row are often neighbours
        colours = TONES[(np.arange(highest + 1, dtype=np.uint64) * np.uint64(2654435761) >> np.uint64(16)) % len(TONES)]
    colours = np.asarray(colours, float)
    if colours.ndim != 2 or colours.shape[1] != 3 or len(colours) <= highest:
        raise InputError(f"`colours` must be ({highest + 1}, 3): one row for each label and 0, got {colours.shape}.")
    return labels, colours
