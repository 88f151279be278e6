"""Curves of a registered series: paths, velocities, strain, similarity and standard errors against energy."""

from __future__ import annotations

import numpy as np

from ._motion_look import MEASURED, REFUSED, colour_of, frame_axis, legend, nothing


def paths(motion, path, deformation, many):
    from .style import figure

    beyond = "path_beyond_px" in path and path["path_beyond_px"].notna().any()
    fig = figure(10 if beyond else 7, 4.0)
    axes = fig.subplots(1, 2 if beyond else 1, squeeze=False)[0]
    numbers = sorted(path["particle"].unique())
    columns = [("path_raw_px", "path_px", "sigma_px"), ("path_beyond_raw_px", "path_beyond_px", "sigma_beyond_px")]
    for ax, (raw, clean, sigma) in zip(axes, columns, strict=False):
        for i, k in enumerate(numbers):
            one, colour = path[path["particle"] == k], colour_of(i, len(numbers))
            known = one[clean].notna().any()
            if not np.array_equal(one[raw], one[clean], equal_nan=True):
                ax.plot(one["frame"], one[raw], color=colour, linewidth=0.9, linestyle=":" if known else "-", alpha=0.8)
            ax.plot(one["frame"], one[clean], color=colour, linewidth=1.4, label=f"particle {k}")
            low, high = one[clean] - one[sigma], one[clean] + one[sigma]
            ax.fill_between(one["frame"], low, high, color=colour, alpha=0.18, linewidth=0)
        frame_axis(ax, motion)
        ax.set(xlabel="frame", ylabel="cumulative displacement (px)")
    if deformation is not None and len(numbers):
        shift = deformation.dropna(subset=["shift_y_px", "shift_x_px"])
        steps = np.linalg.norm(np.diff(shift[["shift_y_px", "shift_x_px"]].to_numpy(), axis=0), axis=1)
        if len(shift):
            axes[0].plot(shift["frame"], np.r_[0, np.cumsum(steps)], color="black", linewidth=2.0, label="field")
    if beyond:
        axes[0].set_title("as measured")
        axes[1].set_title("beyond the field as a whole")
    if not len(numbers):
        nothing(axes[0])
    legend(axes[0], len(numbers), many)
    return fig


def velocities(motion, deformation, many):
    from .style import figure

    fig = figure(10, 5.8)
    axes = fig.subplots(2, 2, sharex=True, sharey="row")
    numbers = sorted(motion["particle"].unique())
    shift, velocity = _field(motion, deformation)
    for column, axis in enumerate("xy"):
        for i, k in enumerate(numbers):
            one = motion[motion["particle"] == k].sort_values("frame")
            seen = (one["status"] == MEASURED).to_numpy()
            place = np.where(seen, one[f"{axis}_px"] - shift[axis].reindex(one["frame"]).to_numpy(), np.nan)
            rows = (
                (np.where(seen, one[f"v{axis}_px"], np.nan), one["sigma_v_px"].to_numpy()),
                (_central(place, one["scan"].to_numpy()), _central_error(one["sigma_px"].to_numpy())),
            )
            for row, (value, sigma) in enumerate(rows):
                look = {"color": colour_of(i, len(numbers)), "linewidth": 0.9}
                axes[row, column].plot(one["frame"], value, **look, label=f"particle {k}")
                look |= {"alpha": 0.2, "linewidth": 0}
                axes[row, column].fill_between(one["frame"], value - sigma, value + sigma, **look)
        axes[0, column].plot(velocity.index, velocity[axis], color="black", linewidth=1.2, label="field")
        axes[0, column].set_title(("horizontal", "vertical")[column])
        axes[1, column].set_xlabel("frame")
        for row in (0, 1):
            frame_axis(axes[row, column], motion, top=row == 0)
    axes[0, 0].set_ylabel("velocity (px / frame)")
    axes[1, 0].set_ylabel("beyond the field (px / frame)")
    legend(axes[0, 1], len(numbers), many)
    return fig


def _field(motion, deformation):
    """Shift of the field (y, x) by frame, and its velocity: zero and NaN where not known."""
    import pandas as pd

    frames = np.arange(int(motion["frame"].max()) + 1 if len(motion) else 0)
    shift = pd.DataFrame({axis: np.nan for axis in "yx"}, index=frames)
    if deformation is None:
        return shift.fillna(0.0), shift
    scan = motion.drop_duplicates("frame").set_index("frame")["scan"].reindex(frames).to_numpy()
    for axis in "yx":
        shift[axis] = deformation.set_index("frame")[f"shift_{axis}_px"].reindex(frames)
    return shift, pd.DataFrame({axis: _central(shift[axis].to_numpy(), scan) for axis in "yx"}, index=frames)


def _central(place, scan):
    """Central differences within scans; NaN at their ends and beside what is not known."""
    out = np.full(len(place), np.nan)
    if len(place) > 2:
        out[1:-1] = np.where(scan[2:] == scan[:-2], (place[2:] - place[:-2]) / 2, np.nan)
    return out


def _central_error(sigma):
    out = np.full(len(sigma), np.nan)
    if len(sigma) > 2:
        out[1:-1] = np.hypot(sigma[2:], sigma[:-2]) / 2
    return out


def similarity(before, after):
    from .style import PALETTE, figure

    fig = figure(10, 3.6)
    left, right = fig.subplots(1, 2)
    rows = [(before, PALETTE[1], "before", -0.14), (after, PALETTE[0], "after", 0.14)]
    every = [_finite(v) for data, *_ in rows for v in data.values()]
    values = np.concatenate(every) if every else np.zeros(0)
    if values.size == 0:
        nothing(left)
        nothing(right)
        return fig
    bins = np.linspace(min(np.percentile(values, 0.5), 0.98), 1.0, 50)
    for data, colour, name, offset in rows:
        own = np.concatenate([_finite(v) for v in data.values()] or [np.zeros(0)])
        if own.size:
            text = f"{name}: {own.mean():.4f} ± {own.std():.4f}"
            left.hist(np.maximum(own, bins[0]), bins, color=colour, alpha=0.55, label=text)
        for i, (_, v) in enumerate(sorted(data.items())):
            v = _finite(v)
            if v.size:
                # not the standard deviation: a similarity is never above 1
                ends = np.percentile(v, [16, 84])
                right.plot([i + offset] * 2, ends, color=colour, linewidth=1.4)
                right.plot(i + offset, np.median(v), "o", color=colour, markersize=4)
    left.set(xlabel="SSIM of neighbouring frames", ylabel="pairs of frames", xlim=(bins[0], 1))
    left.legend(loc="upper left")
    names = sorted(set(before) | set(after))
    right.set(xlabel="particle", ylabel="SSIM", xticks=range(len(names)))
    right.set_xticklabels(names, fontsize=8 if len(names) < 25 else 5)
    return fig


def _finite(values):
    values = np.asarray(values, float).ravel()
    return values[np.isfinite(values)]


def strains(deformation):
    from .style import PALETTE, figure

    fig = figure(10, 5.6)
    axes = fig.subplots(2, 2, sharex=True)
    x = deformation["energy_ev"].to_numpy()
    single = np.isfinite(x).all() and len(np.unique(x)) == len(x)
    if not single:
        x = deformation["frame"].to_numpy()
    panels = (
        (axes[0, 0], (("shift_y_px", "down"), ("shift_x_px", "across")), 1, "shift (px)"),
        (axes[0, 1], tuple((f"strain_{k}", f"$e_{{{k}}}$") for k in ("yy", "xx", "xy")), 100, "strain (%)"),
        (axes[1, 0], (("rotation_deg", ""),), 1, "rotation (°)"),
    )
    for ax, names, factor, label in panels:
        for (name, text), colour in zip(names, PALETTE, strict=False):
            value, se = factor * deformation[name].to_numpy(), factor * deformation[f"{name}_se"].to_numpy()
            ax.plot(x, value, color=colour, linewidth=1.0, label=text)
            ax.fill_between(x, value - se, value + se, color=colour, alpha=0.22, linewidth=0)
        if not np.isfinite(deformation[[n for n, _ in names]].to_numpy()).any():
            nothing(ax, "not determined by these particles")
        elif len(names) > 1:
            ax.legend(ncols=3)
        ax.set_ylabel(label)
    axes[1, 1].plot(x, deformation["residual_rms_px"], color=PALETTE[2], linewidth=1.0)
    if not deformation["residual_rms_px"].notna().any():
        nothing(axes[1, 1], "not determined by these particles")
        axes[1, 1].set_yticks([])
    axes[1, 1].set_ylabel("left to single particles (px)")
    axes[1, 1].set_ylim(bottom=0)
    for ax in axes[1]:
        ax.set_xlabel("energy (eV)" if single else "frame")
    for ax in axes.flat:
        ax.margins(x=0.01)
    return fig


def sigmas(motion):
    from matplotlib.ticker import FuncFormatter

    from .style import PALETTE, figure

    fig = figure(8, 4.8)
    ax, below = fig.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [3, 1]})
    key = "energy_ev" if motion["energy_ev"].notna().any() else "frame"
    numbers = sorted(motion["particle"].unique())
    good = motion[(motion["status"] == MEASURED) & motion["sigma_px"].notna() & (motion["sigma_px"] > 0)]
    for i, k in enumerate(numbers):
        one = good[good["particle"] == k].groupby(key)["sigma_px"].median()
        ax.plot(one.index, one, color=colour_of(i, len(numbers)), linewidth=0.8, alpha=0.8, label=f"particle {k}")
    if len(good):
        middle = good.groupby(key)["sigma_px"].median()
        ax.plot(middle.index, middle, color="black", linewidth=1.8, label="median")
        ax.set_yscale("log")
        for ticks in (ax.yaxis.set_major_formatter, ax.yaxis.set_minor_formatter):
            ticks(FuncFormatter(lambda v, _: f"{v:g}" if str(f"{v:.0e}")[0] in "125" else ""))
        ax.axhline(0.1, color="#888888", linewidth=0.8, linestyle=(0, (4, 2)))
    else:
        nothing(ax, "no position with a standard error")
    refused = motion[motion["status"] == REFUSED]
    if len(refused) and len(good):
        top = ax.get_ylim()[1]
        ax.plot(
            refused[key],
            np.full(len(refused), top),
            "x",
            color=PALETTE[1],
            markersize=4,
            label="refused",
            clip_on=False,
        )
        ax.set_ylim(top=top)
    share = (motion["status"] == MEASURED).astype(float).groupby(motion[key]).mean()
    below.fill_between(share.index, 0, 100 * share, step="mid", color=PALETTE[0], alpha=0.5, linewidth=0)
    below.set(ylim=(0, 105), ylabel="measured (%)", xlabel="energy (eV)" if key == "energy_ev" else "frame")
    ax.set_ylabel("standard error (px)")
    ax.margins(x=0.01)
    legend(ax, len(numbers))
    return fig
