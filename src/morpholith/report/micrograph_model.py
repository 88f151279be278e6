"""The pictures of a micrograph model: what it draws beside what is real, and the proof that it does not copy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..image import Quantity
from ..results import ReportFigure
from .look import INK, MUTED, PALETTE, figure
from .micrograph_scans import over_one, over_two, picture
from .powder import AXIS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from ..measure import Memorisation

PROOF, SAMPLES, TRAINING = "Conditions left out", "Real and drawn", "Training"
__all__ = ["memorisation", "over_one", "over_two", "parity", "sample_sheet", "training_curve"]

DRAWN, BASELINE = PALETTE[0], PALETTE[1]
MOST_ROWS = 8
SMOOTH = 0.02  # of the steps: window of the training curve


def parity(
    table: pd.DataFrame,
    descriptors: Sequence[str],
    *,
    r2: Mapping[str, Quantity] | None = None,
    baseline_r2: Mapping[str, Quantity] | None = None,
    images: int | None = None,
) -> ReportFigure:
    """Show predicted against measured descriptors of conditions that were left out, beside the baseline's.

    Parameters
    ----------
    table : DataFrame
        One row a condition: `<descriptor>` measured and `_se`, `<descriptor>_drawn` and `_drawn_se`, `<descriptor>_gp`
        and `_gp_sd`; what is lacking is left out.
    descriptors : sequence of str
    r2, baseline_r2 : mapping of descriptor to Quantity, optional
        Written into the panels.
    images : int, optional
        Drawn a condition. With it bars are the standard deviation over drawn images (standard error times its root),
        as in Fig. 3(d) of paper 000; without it, standard errors.
    """
    spread = "standard deviations over drawn images" if images else "standard errors"
    return ReportFigure(
        lambda: _parity(table, descriptors, r2 or {}, baseline_r2 or {}, images),
        f"Each point is a condition that was left out of the training. Top: from drawn micrographs, measured as real "
        f"ones are; upright bars are {spread}, level bars standard errors of what was measured in the real ones. "
        f"Bottom: a Gaussian process straight from the conditions, with its standard deviations. On the line, "
        f"predicted and real agree.",
        PROOF,
    )


def _parity(table, descriptors, r2, baseline_r2, images) -> Figure:
    fig = figure(2.75 * len(descriptors) + 0.3, 5.6)
    axes = fig.subplots(2, len(descriptors), squeeze=False)
    factor = np.sqrt(images) if images else 1.0
    for k, name in enumerate(descriptors):
        rows = (("_drawn", "_drawn_se", factor, DRAWN, r2), ("_gp", "_gp_sd", 1.0, BASELINE, baseline_r2))
        shown = [table[c].to_numpy(float) for c in (name, f"{name}_drawn", f"{name}_gp") if c in table]
        limits = _limits(np.concatenate(shown))
        for ax, (value, error, times, colour, quality) in zip(axes[:, k], rows, strict=True):
            ax.plot(limits, limits, color=MUTED, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1)
            if f"{name}{value}" in table:
                ax.errorbar(
                    table[name], table[f"{name}{value}"], xerr=_column(table, f"{name}_se"),
                    yerr=_column(table, f"{name}{error}", times), fmt="o", color=colour, markersize=3.5,
                    elinewidth=0.6, capsize=0, alpha=0.8,
                )  # fmt: skip
            ax.set(xlim=limits, ylim=limits)
            ax.set_aspect("equal")
            _tell(ax, quality.get(name))
    axes[0, 0].set_ylabel("drawn micrographs")
    axes[1, 0].set_ylabel("Gaussian process")
    for k, name in enumerate(descriptors):
        axes[0, k].set_title(AXIS.get(name, name), fontsize=9.5)
        axes[1, k].set_xlabel("measured in real micrographs")
    return fig


def _tell(ax, q):
    if q is None or not np.isfinite(q.value):
        return
    ends = "" if q.low is None else f"\n[{q.low:.2f}, {q.high:.2f}]"
    ax.text(0.05, 0.95, f"R² {q.value:.2f}{ends}", transform=ax.transAxes, va="top", fontsize=8)


def _column(table, name, times=1.0):
    return np.nan_to_num(table[name].to_numpy(float)) * times if name in table else None


def _limits(values):
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    room = 0.07 * (high - low) or 0.5
    return low - room, high + room


def sample_sheet(
    real: Mapping[str, Mapping[str, np.ndarray]],
    drawn: Mapping[str, Mapping[str, np.ndarray]],
    *,
    pixel_um: Mapping[str, float],
    titles: Mapping[str, str] | None = None,
    left_out: Sequence[str] = (),
) -> ReportFigure:
    """Show real and drawn micrographs of conditions side by side, every view.

    Parameters
    ----------
    real, drawn : mapping of condition to mapping of view to (h, w) array
        The first 8 conditions of `drawn` are shown, cut to the size of the smaller picture; what is lacking stays
        empty.
    pixel_um : mapping of view to float
        In the order of the columns.
    titles : mapping of condition to str, optional
        What a row says instead of the condition's name.
    left_out : sequence of str
        Conditions that were not trained on, marked so.
    """
    names = list(drawn)[:MOST_ROWS]
    return ReportFigure(
        lambda: _sheet(names, real, drawn, pixel_um, titles or {}, left_out),
        "Real micrographs, and beside them drawn ones of the same condition: the first that came, none chosen. They "
        "must not be the same picture, only of the same powder."
        + (" Conditions marked as left out were not trained on." if set(names) & set(left_out) else ""),
        SAMPLES,
    )


def _sheet(names, real, drawn, pixel_um, titles, left_out) -> Figure:
    views = list(pixel_um)
    pairs = {(n, v): _same_size(real.get(n, {}).get(v), drawn[n].get(v)) for n in names for v in views}
    tall = max((a.shape[0] / a.shape[1] for pair in pairs.values() for a in pair if a is not None), default=1.0)
    fig = figure(2.1 * 2 * len(views) + 0.6, 2.15 * tall * len(names) + 0.3, dpi=140)
    axes = fig.subplots(len(names), 2 * len(views), squeeze=False)
    for i, name in enumerate(names):
        for j, view in enumerate(views):
            for ax, array, what in zip(axes[i, 2 * j :], pairs[name, view], ("real", "drawn"), strict=False):
                picture(ax, array, pixel_um[view], title=f"{what}, {view}" if i == 0 else "", bar=i == 0)
        text = titles.get(name, name) + (" (left out)" if name in left_out else "")
        axes[i, 0].set_ylabel(text, fontsize=6.5)
    return fig


def _same_size(*arrays):
    """Cut arrays to the size of the smallest; None stays."""
    there = [a for a in arrays if a is not None]
    edge = [min((a.shape[k] for a in there), default=0) for k in (0, 1)]
    return [None if a is None else a[: edge[0], : edge[1]] for a in arrays]


def memorisation(found: Mapping[str, Memorisation]) -> ReportFigure:
    """Show how near drawn and unseen real patches lie to the training images, and the suspicious pairs.

    Parameters
    ----------
    found : mapping of view to Memorisation
    """
    said = " ".join(f"{view}: {m.sentence}" for view, m in found.items())
    return ReportFigure(
        lambda: _memorisation(found),
        "Distance of a patch to the nearest patch of the training images (over all shifts, turns and reflections), "
        "relative to the images that are next nearest: a copy is near to one image only and lies far on the left. "
        f"Below, the drawn patches that are most suspicious (top) with what they may be copies of (bottom). {said}",
        PROOF,
    )


def _memorisation(found) -> Figure:
    fig = figure(4.6 * len(found) + 0.2, 4.6)
    outer = fig.subfigures(1, len(found), squeeze=False)[0]
    for part, (view, m) in zip(outer, found.items(), strict=True):
        top, bottom = part.subfigures(2, 1, height_ratios=(1.45, 1.0))
        ax = top.subplots()
        both = [t["relative"].dropna() for t in (m.held_out, m.drawn)]
        low = min([v.min() for v in both if len(v)], default=0.0)
        bins = np.linspace(min(0.5, low), 1.0, 41)
        for values, colour, label in zip(both, (MUTED, DRAWN), ("unseen real", "drawn"), strict=True):
            if len(values):
                ax.hist(values, bins=bins, weights=np.full(len(values), 1 / len(values)), color=colour, alpha=0.5,
                        label=label)  # fmt: skip
        if len(both[0]):
            ax.axvline(float(np.quantile(both[0], 0.05)), color=INK, linewidth=0.9, linestyle=(0, (4, 2)),
                       label="nearest 5 % of unseen")  # fmt: skip
        ax.set(xlabel="relative distance to the nearest training patch", ylabel="share of patches")
        ax.set_title(f"{view}: {m.verdict}", fontsize=9.5)
        ax.legend(fontsize=7.5)
        _pairs(bottom, m.pairs)
    return fig


def _pairs(part, pairs):
    if not pairs:
        return
    axes = part.subplots(2, len(pairs), squeeze=False)
    for column, pair in enumerate(pairs):
        for row, patch in enumerate(pair):
            ax = axes[row, column]
            ax.imshow(patch, cmap="gray")
            ax.set(xticks=[], yticks=[])
    for row, text in enumerate(("drawn", "training")):
        axes[row, 0].set_ylabel(text, fontsize=8)


def training_curve(loss: Sequence[float] | np.ndarray, *, checks: Mapping[int, float] | None = None) -> ReportFigure:
    """Show the loss of every training step, smoothed, and of held-out images where it was looked at.

    Parameters
    ----------
    loss : (steps,) array
    checks : mapping of step to loss, optional
        On images that were not trained on.
    """
    return ReportFigure(
        lambda: _training(np.asarray(loss, float), checks or {}),
        "Loss of the training steps, averaged over 2 % of them. Still falling at the end: more steps would help."
        + (" Points: on images that were not trained on; where they rise again, it begins to learn by heart." if checks
           else ""),
        TRAINING,
    )  # fmt: skip


def _training(loss, checks) -> Figure:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    fig = figure(6.0, 3.0)
    ax = fig.subplots()
    if len(loss) == 0:
        ax.text(0.5, 0.5, "no steps", transform=ax.transAxes, ha="center", color=MUTED)
        return fig
    window = max(1, round(SMOOTH * len(loss)))
    smooth = np.convolve(loss, np.full(window, 1 / window), mode="valid")
    ax.plot(np.arange(len(smooth)) + window / 2 + 0.5, smooth, color=DRAWN, label="training")
    if checks:
        ax.plot(list(checks), list(checks.values()), "o", color=BASELINE, label="not trained on")
        ax.legend()
    if smooth.min() > 0 and smooth.max() > 5 * smooth.min():
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set(xlabel="step", ylabel="loss")
    return fig
