"""The figure of `bench_xanes.py`: differential maps of one particle, errors, and similarity over energy."""

from __future__ import annotations

import numpy as np
from scipy import ndimage as ndi

MAPS = (
    "true poses", "morpholith", "paper 003", "pooled, mask centres", "absolute template", "relative template", "SIFT",
    "optical flow", "phase correlation", "whole frame, template",
)  # fmt: skip
CURVES = ("true poses", "morpholith", "paper 003", "absolute template", "relative template", "SIFT")


def differential(region, first, last, gain=None):
    """Return last less first frame, this scaled to the contrast of that, and the scale."""
    one, two = (ndi.gaussian_filter(f - np.nanmedian(f), 1.2) for f in (region[first], region[last]))
    if gain is None:
        gain = np.nansum(one * two) / np.nansum(one * one)
    return two - gain * one, gain


def draw(table, numbers, path):
    """Draw maps and similarity of one particle of a stack, and the errors of all stacks.

    Parameters
    ----------
    table : bench_xanes.Table
        With the aligned regions of one particle by method.
    numbers : DataFrame
        The whole table of the bench.
    path : Path
        Of the picture.
    """
    from morpholith.report.style import PALETTE, figure, style
    from morpholith.track.join import region_ssim

    named = [m for m in MAPS if m in table.regions]
    particle, regions = table.shown, table.regions
    first, last = np.flatnonzero(table.truth[particle].measured)[[0, -1]]
    methods = [m for m in dict.fromkeys(numbers.method) if m != "true poses"]
    with style():
        fig = figure(12, 2 * 2.7 + 4.4)
        top, bottom = np.ravel(fig.subfigures(2, 1, height_ratios=[2 * 2.7, 4.4]))
        axes = np.ravel(top.subplots(2, 5))
        shown, gain = differential(regions["true poses"], first, last)
        span = 4 * np.nanstd(shown)
        for ax in axes:
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        for ax, name in zip(axes, named, strict=False):
            if not np.isfinite(regions[name][[first, last]]).any((1, 2)).all():
                ax.set_title(f"{name}: not found", fontsize=9)
                continue
            picture, _ = differential(regions[name], first, last, gain)
            ax.imshow(picture, cmap="RdBu_r", vmin=-span, vmax=span)
            ax.set_title(name, fontsize=9)
        about = f"particle {particle}, {table.about['difficulty']}, seed {table.about['seed']}"
        title = f"Last less first frame, this scaled to the contrast of that, smoothed by 1.2 px; {about}"
        top.suptitle(title, fontsize=10, x=0.01, ha="left")
        left, right = bottom.subplots(1, 2, width_ratios=[1.1, 1])
        levels = list(dict.fromkeys(numbers.difficulty))
        for k, level in enumerate(levels):
            part = numbers[numbers.difficulty == level].groupby("method").rmse_px.mean().reindex(methods)
            at = np.arange(len(methods)) + (k - (len(levels) - 1) / 2) * 0.18
            left.plot(part, at, "o", color=PALETTE[k], markersize=4, label=level)
        left.axvline(0.1, color="0.6", linewidth=0.8)
        left.set(xscale="log", xlabel="RMSE of a position (px per axis)")
        left.set_yticks(range(len(methods)), methods)
        left.invert_yaxis()
        left.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False)
        for k, name in enumerate(m for m in CURVES if m in regions):
            alike = region_ssim(regions[name])
            told = f"{name}: {np.nanmean(alike):.4f} ± {np.nanstd(alike):.4f}"
            right.plot(alike, color=PALETTE[k], linewidth=1, label=told)
        right.set(xlabel="frame", ylabel="SSIM of neighbouring aligned frames")
        right.legend(loc="lower right", fontsize=8)
        path.parent.mkdir(parents=True, exist_ok=True)
        fig.savefig(path, dpi=100)
