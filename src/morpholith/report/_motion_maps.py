"""Maps of a registered series: outlines, ways, differences and what is left over, drawn in the field."""

from __future__ import annotations

import numpy as np

from ._motion_look import MEASURED, colour_of, nothing


def overlay(frames, spacing):
    from .style import contours, figure, micrograph

    n = max(len(frames), 1)
    columns = min(n, 3)
    rows = -(-n // columns)
    shapes = [np.shape(image) for image, _ in frames.values()] or [(1, 1)]
    ratio = shapes[0][0] / shapes[0][1]
    wide = 10 / columns
    fig = figure(10, rows * (wide * ratio + 0.35))
    axes = fig.subplots(rows, columns, squeeze=False)
    numbers = sorted({int(k) for _, labels in frames.values() for k in np.unique(labels) if k > 0})
    place = {k: i for i, k in enumerate(numbers)}
    for ax in axes.flat[len(frames) :]:
        ax.set_axis_off()
    for ax, (title, (image, labels)) in zip(axes.flat, frames.items(), strict=False):
        labels = np.asarray(labels)
        micrograph(ax, np.asarray(image, float), spacing=spacing, title=title)
        for k, lines in contours(labels).items():
            colour = colour_of(place[k], len(numbers), on_dark=True)
            for line in lines:
                ax.plot(line[:, 0], line[:, 1], color="black", linewidth=1.9, alpha=0.45)
                ax.plot(line[:, 0], line[:, 1], color=colour, linewidth=1.0)
            y, x = np.argwhere(labels == k).mean(axis=0)
            _number(ax, x, y, k)
    return fig


def _number(ax, x, y, k):
    from matplotlib.patheffects import withStroke

    rim = [withStroke(linewidth=2.2, foreground="black")]
    ax.text(x, y, str(k), color="white", ha="center", va="center", size=8.5, weight="bold", path_effects=rim)


def trajectories(motion, deformation, image, spacing, magnified):
    from .style import figure, micrograph

    fig = figure(10, 0.4 + 4.9 * image.shape[0] / image.shape[1])
    axes = fig.subplots(1, 2)
    ways = _ways(motion, deformation)
    for ax, which, title in ((axes[0], 0, "as measured"), (axes[1], 1, "beyond the field as a whole")):
        factor = magnified or _factor([w[which] for w in ways.values()], _spacing(ways))
        micrograph(ax, image, spacing=spacing, title=f"{title}, × {factor:g}")
        for i, (k, (*moves, start, sigma)) in enumerate(ways.items()):
            way = start + factor * moves[which]
            colour = colour_of(i, len(ways))
            _discs(ax, way, factor * sigma, colour)
            ax.plot(way[:, 1], way[:, 0], color=colour, linewidth=1.2)
            ax.plot(*way[0, ::-1], "o", markerfacecolor="white", markeredgecolor=colour, markersize=5)
            ax.plot(*way[-1, ::-1], "o", color=colour, markersize=5, markeredgecolor="white", markeredgewidth=0.6)
            _number(ax, start[1] + 9, start[0] - 9, k)
    return fig


def _ways(motion, deformation):
    """For each particle: displacement as measured and beyond the field, its start and the standard errors."""
    shift: dict[int, np.ndarray] = {}
    if deformation is not None:
        moved = np.nan_to_num(deformation[["shift_y_px", "shift_x_px"]].to_numpy())
        shift |= dict(zip(deformation["frame"], moved, strict=True))
    out = {}
    for k, rows in motion[motion["status"] == MEASURED].sort_values("frame").groupby("particle"):
        rows = rows.dropna(subset=["y_px", "x_px"])
        if len(rows) == 0:
            continue
        place = rows[["y_px", "x_px"]].to_numpy()
        field = np.array([shift.get(f, np.zeros(2)) for f in rows["frame"]])
        out[k] = (place - place[0], place - field - (place[0] - field[0]), place[0], rows["sigma_px"].to_numpy())
    return out


def _spacing(ways):
    from scipy.spatial import cKDTree

    places = np.array([w[2] for w in ways.values()])
    return float(np.median(cKDTree(places).query(places, k=2)[0][:, 1])) if len(places) > 1 else 100.0


def _factor(moves, spacing):
    """Round factor that makes the longest way 0.35 of the spacing."""
    longest = max((np.percentile(np.linalg.norm(m, axis=1), 98) for m in moves if len(m)), default=0.0)
    ideal = 0.35 * spacing / max(longest, 1e-9)
    rounds = np.array([0.2, 0.5, 1, 2, 3, 5, 8, 10, 15, 20, 30, 50, 80, 100, 200])
    return float(rounds[rounds <= max(ideal, 0.2)].max())


def _discs(ax, way, radius, colour):
    from matplotlib.collections import EllipseCollection

    good = np.isfinite(radius)
    if good.any():
        size = 2 * radius[good]
        discs = EllipseCollection(
            size, size, np.zeros(good.sum()), units="xy", offsets=way[good, ::-1], offset_transform=ax.transData,
            facecolor=colour, alpha=0.12, linewidth=0,
        )  # fmt: skip
        ax.add_collection(discs, autolim=False)


def differences(stacks, masks):
    from .style import figure

    n = max(len(stacks), 1)
    columns = min(n, 9)
    rows = 2 * -(-n // columns)
    fig = figure(10, rows * (9.2 / columns) + 0.5)
    axes = fig.subplots(rows, columns, squeeze=False)
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    drawn = None
    for i, (k, pair) in enumerate(stacks.items()):
        mask = np.asarray(masks[k], bool) if k in masks else None
        for down, stack in enumerate(pair):
            ax = axes[2 * (i // columns) + down, i % columns]
            drawn = ax.imshow(_difference(np.asarray(stack, float), mask), cmap="RdBu_r", vmin=-2, vmax=2)
            if mask is not None:
                ax.contour(mask, [0.5], colors="#444444", linewidths=0.5)
        axes[2 * (i // columns), i % columns].set_title(str(k), fontsize=9)
    for row in range(0, rows, 2):
        axes[row, 0].set_ylabel("before")
        axes[row + 1, 0].set_ylabel("after")
    if drawn is None:
        nothing(axes[0, 0])
    else:
        fig.colorbar(drawn, ax=axes, label="difference (standard deviations)", shrink=0.8, aspect=30, pad=0.01)
    return fig


def _difference(stack, mask):
    seen = np.flatnonzero(np.isfinite(stack).any(axis=(1, 2)))
    if len(seen) < 2:
        return np.full(stack.shape[1:], np.nan)
    first, last = (_scaled(stack[k], mask) for k in (seen[0], seen[-1]))
    return last - first


def _scaled(frame, mask):
    inside = frame[mask & np.isfinite(frame)] if mask is not None else frame[np.isfinite(frame)]
    if inside.size == 0:
        return np.full(frame.shape, np.nan)
    # about the background, in units of the whole frame's contrast: a particle's rim is where shifts show
    whole = frame[np.isfinite(frame)]
    return (frame - whole.mean()) / max(whole.std(), 1e-12)


def residual_map(motion, particles, image, spacing, frames):
    from matplotlib.lines import Line2D

    from .style import PALETTE, figure, micrograph

    fig = figure(6.4, 0.4 + 6.2 * image.shape[0] / image.shape[1])
    ax = fig.subplots()
    if frames is None:
        last = int(particles["frame"].max()) + 1 if len(particles) else 1
        frames = range(last - max(1, last // 10), last)
    # where the fit follows every particle nothing can be left, however they move
    chosen = particles[particles["frame"].isin(frames)].dropna(subset=["loo_y_px"])
    columns = ["residual_y_px", "residual_x_px", "smooth_y_px", "smooth_x_px", "sigma_px"]
    means = chosen.groupby("particle")[columns].mean()
    means["sigma_px"] /= np.sqrt(chosen.groupby("particle").size())
    places = motion.dropna(subset=["y_px"]).drop_duplicates("particle").set_index("particle")[["y_px", "x_px"]]
    rows = means.join(places, how="inner")
    all_moves = [rows[["residual_y_px", "residual_x_px"]].to_numpy()] if len(rows) else []
    factor = _factor(all_moves, _spacing({k: (0, 0, p) for k, p in enumerate(places.to_numpy())}))
    names = ("common to its neighbours", "all that is left")
    handles = [
        Line2D([], [], color=PALETTE[k], linewidth=w, label=n) for k, w, n in zip((4, 5), (3, 1.4), names, strict=True)
    ]
    span = f"frame {frames[0]}" if len(frames) == 1 else f"frames {frames[0]} to {frames[-1]}"
    title = f"{span}, × {factor:g}" if len(rows) else f"{span}: not determined, four particles are needed"
    micrograph(ax, image, spacing=spacing, title=title)
    for k, r in rows.iterrows():
        tip = (r["x_px"] + factor * r["residual_x_px"], r["y_px"] + factor * r["residual_y_px"])
        part = (r["x_px"] + factor * r["smooth_x_px"], r["y_px"] + factor * r["smooth_y_px"])
        for end, colour, width in ((part, PALETTE[4], 3.0), (tip, PALETTE[5], 1.4)):
            look = {"arrowstyle": "-|>", "color": colour, "linewidth": width, "shrinkA": 0, "shrinkB": 0}
            ax.annotate("", end, (r["x_px"], r["y_px"]), arrowprops=look)
        _discs(ax, np.array([tip[::-1]]), np.array([2 * factor * r["sigma_px"]]), PALETTE[5])
        _number(ax, r["x_px"] - 9, r["y_px"] - 9, k)
    if len(rows):
        ax.legend(handles=handles, loc="upper left", ncols=2)
    return fig
