"""Micrographs as figures: grey levels, scale bar, and the outline of every object on top."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._checks import spacing as check_spacing
from .look import PALETTE, colours, figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure

_LARGEST_PX = 4096  # more pixels than that no report shows; reading them only takes memory
_REJECTED: tuple[tuple[str, Any], ...] = (
    (PALETTE[1], "dashed"),
    (PALETTE[3], "dotted"),
    (PALETTE[4], "dashdot"),
    (PALETTE[5], (0, (1, 3))),
)


def micrograph_figure(shape: tuple[int, ...], *, width: float = 8.0) -> Figure:
    """Return a figure for a picture of `shape` (y, x) pixels, with room for a colour bar and a legend.

    Its resolution follows the picture, so that up to 2400 pixels across none is lost.
    """
    ny, nx = shape[:2]
    inner = width - 1.0
    height = min(inner * ny / nx + 0.7, 2.5 * width)
    return figure(width, height, dpi=int(np.clip(math.ceil(nx / inner), 140, 340)))


def micrograph(ax: Axes, array: np.ndarray, *, spacing, title: str = "") -> None:
    """Draw a grey image with a scale bar; the axes' units are its pixels.

    Parameters
    ----------
    ax : Axes
    array : (y, x) array
        Grey values span from black to white between the 0.5th and the 99.5th percentile, so that a
        few charged pixels do not darken the rest. NaN is drawn white.
    spacing : float, (float, float) or None
        Pixel size in um, (y, x); None where it is not known: the scale bar then counts pixels.
    title : str
    """
    array = np.asarray(array)
    step = max(1, math.ceil(max(array.shape) / _LARGEST_PX))
    shown = _thinned(array, step)
    low, high = _grey_limits(shown)
    ny, nx = (n * step for n in shown.shape)
    dy, dx = (1.0, 1.0) if spacing is None else check_spacing(spacing, 2)
    ax.imshow(shown, cmap="gray", vmin=low, vmax=high, extent=(-0.5, nx - 0.5, ny - 0.5, -0.5), aspect=dy / dx)
    ax.set(xticks=[], yticks=[], xlim=(-0.5, array.shape[1] - 0.5), ylim=(array.shape[0] - 0.5, -0.5))
    ax.spines[:].set_visible(False)
    if title:
        ax.set_title(title)
    scale_bar(ax, spacing)


def _thinned(array: np.ndarray, step: int) -> np.ndarray:
    """Return means over blocks of `step` x `step` pixels; the last, incomplete ones are padded."""
    if step == 1:
        return array
    rows = range(0, array.shape[0], step)
    thin = [
        np.add.reduceat(array[r : r + step].mean(axis=0, dtype=np.float64), range(0, array.shape[1], step))
        for r in rows
    ]
    counts = np.diff([*range(0, array.shape[1], step), array.shape[1]])
    return np.asarray(thin) / counts


def _grey_limits(array: np.ndarray) -> tuple[float, float]:
    values = array[:: max(1, array.shape[0] // 1000), :: max(1, array.shape[1] // 1000)].astype(float)
    values = values[np.isfinite(values)]
    if values.size == 0:
        return 0.0, 1.0
    low, high = np.percentile(values, [0.5, 99.5])
    if high <= low:  # a constant image is drawn mid-grey
        low, high = low - 0.5, low + 0.5
    return float(low), float(high)


def scale_bar(ax: Axes, spacing, *, length_um: float | None = None, where: str = "lower right") -> float:
    """Draw a scale bar, white on a dark plate, that can be read on any background.

    Parameters
    ----------
    ax : Axes
        Its x axis counts pixels.
    spacing : float, (float, float) or None
        Pixel size in um, (y, x); None where it is not known: the bar then counts pixels.
    length_um : float, optional
        A round length (1, 2 or 5 times a power of ten) of up to a quarter of the width unless given.
    where : str
        Corner, as for a Matplotlib legend.

    Returns
    -------
    float
        Its length in um, or in pixels.
    """
    from matplotlib.font_manager import FontProperties
    from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

    dx = 1.0 if spacing is None else check_spacing(spacing, 2)[1]
    left, right = ax.get_xlim()
    width_px = abs(right - left)
    bottom, top = ax.get_ylim()
    length = round_length(width_px * dx / 4) if length_um is None else float(length_um)
    bar = AnchoredSizeBar(
        ax.transData,
        length / dx,
        f"{length:g} px" if spacing is None else length_text(length),
        where,
        pad=0.45,
        sep=3,
        borderpad=0.6,
        frameon=True,
        color="white",
        size_vertical=0.012 * abs(top - bottom),
        fontproperties=FontProperties(size=9, weight="bold"),
    )
    bar.patch.set(facecolor="black", alpha=0.65, linewidth=0)
    # its outline and the snapping to whole pixels would make it up to three pixels too long
    bar.size_bar.get_children()[0].set(linewidth=0, snap=False)
    bar.set_zorder(10)
    ax.add_artist(bar)
    return length


def round_length(at_most: float) -> float:
    """Return the largest 1, 2 or 5 times a power of ten that is not above `at_most`."""
    power = 10.0 ** math.floor(math.log10(at_most))
    # 1e-9: 0.5 arrives as 0.49999999999999994 from some pixel sizes
    return max(m * power for m in (1, 2, 5) if m * power <= at_most * (1 + 1e-9))


def length_text(length_um: float) -> str:
    """Return a length with the unit in which it is a handy number: nm, um or mm."""
    factor, unit = next(((f, u) for f, u in ((1e-3, "mm"), (1.0, "µm")) if length_um * f >= 1), (1e3, "nm"))
    return f"{length_um * factor:.6g} {unit}"


def outlines(
    ax: Axes,
    labels: np.ndarray,
    values: Mapping[int, float],
    *,
    label: str,
    rejected: Mapping[int, str] | None = None,
    limits: tuple[float, float] | None = None,
    reasons: Sequence[str] = (),
    linewidth: float = 1.2,
) -> LineCollection:
    """Draw the outline of every object, coloured by a value; rejected ones are broken lines, by reason.

    Parameters
    ----------
    ax : Axes
        Shows the micrograph, in pixels.
    labels : (y, x) int array
        0 is background.
    values : mapping (or Series) of label to float
        What colours each outline, as its diameter.
    label : str
        What the colour bar says, with unit: ``"diameter (µm)"``.
    rejected : mapping (or Series) of label to str, optional
        Why an object does not count; empty or missing: it does. Each reason has its line in the legend.
    limits : (low, high), optional
        Ends of the colour bar, so that several images share one; the range of `values` unless given.
    reasons : sequence of str
        Every reason of a run, so that one looks the same in all its images.
    linewidth : float
        In points.

    Returns
    -------
    LineCollection
        The coloured outlines. Objects with no value and no reason are drawn as "not measured".
    """
    from matplotlib.colors import Normalize
    from matplotlib.lines import Line2D

    paths = contours(labels)
    values = {k: float(v) for k, v in dict(values).items() if np.isfinite(v)}
    why = _reasons(paths, values, dict(rejected if rejected is not None else {}))
    counted = [k for k in paths if k not in why]
    low, high = limits if limits is not None else _range([values[k] for k in counted])
    drawn = _add_lines(
        ax,
        [line for k in counted for line in paths[k]],
        array=np.array([values[k] for k in counted for _ in paths[k]]),
        cmap=colours(),
        norm=Normalize(low, high),
        linewidths=linewidth,
    )
    handles = [Line2D([], [], color=colours()(0.6), linewidth=2, label=f"measured ({len(counted)})")]
    every = list(dict.fromkeys([*reasons, *sorted(why.values())]))
    for reason, (colour, dashes) in zip(every, itertools.cycle(_REJECTED), strict=False):
        members = [k for k in paths if why.get(k) == reason]
        if members:
            lines = [line for k in members for line in paths[k]]
            _add_lines(ax, lines, colors=colour, linestyles=dashes, linewidths=linewidth)
            handles.append(Line2D([], [], color=colour, linestyle=dashes, label=f"{reason} ({len(members)})"))
    ax.figure.colorbar(drawn, ax=ax, label=label, shrink=0.75, aspect=30, pad=0.015)
    if len(handles) > 1:
        ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(0, -0.01), ncols=4, borderaxespad=0)
    return drawn


def _reasons(paths: Mapping, values: Mapping[int, float], rejected: Mapping[int, str]) -> dict[int, str]:
    """Return why each object is not coloured; objects with no value have a reason too."""
    given = {k: str(v) for k, v in rejected.items() if isinstance(v, str) and v}
    return {k: given.get(k, "not measured") for k in paths if k in given or k not in values}


def _add_lines(ax: Axes, lines: list[np.ndarray], **look) -> LineCollection:
    """Draw lines over a darker, wider copy of themselves that sets them off from bright grey."""
    from matplotlib.collections import LineCollection

    width = 2.2 * look["linewidths"]
    ax.add_collection(LineCollection(lines, colors="black", alpha=0.4, linewidths=width, zorder=2), autolim=False)
    drawn = LineCollection(lines, zorder=3, **look)
    ax.add_collection(drawn, autolim=False)
    return drawn


def _range(values: list[float]) -> tuple[float, float]:
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5 * abs(low or 1), high + 0.5 * abs(high or 1))


def contours(labels: np.ndarray) -> dict[int, list[np.ndarray]]:
    """Return the closed outlines of every label as (n, 2) arrays of (x, y) in pixels, holes included."""
    from scipy import ndimage
    from skimage.measure import find_contours

    found = {}
    for k, box in enumerate(ndimage.find_objects(np.asarray(labels)), start=1):
        if box is None:
            continue
        mask = np.pad(labels[box] == k, 1)
        origin = np.array([box[1].start - 1, box[0].start - 1])
        found[k] = [line[:, ::-1] + origin for line in find_contours(mask, 0.5)]
    return found
