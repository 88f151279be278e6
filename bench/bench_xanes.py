"""Registration of XANES stacks, ours beside what is in use, on the same virtual scans and against their exact truth.

    python bench/bench_xanes.py                               four difficulties, every method
    python bench/bench_xanes.py --difficulties hard --seeds 901,902
    python bench/bench_xanes.py --toy                         the same in seconds, to see that it runs

Every method is given the same windows: around where each particle lies in the first frame, wide enough for it to stay
inside. Those that take a reference take the frame of strongest contrast, which suits them best ("first" and "previous"
say otherwise). "whole frame" methods see everything at once and give one displacement for all particles.

rmse_px is the root mean square error of a displacement per axis over all frames that are not dropped, the mean offset
of each particle taken off, because each method may put the particle's origin elsewhere; max_px the largest distance.
A frame in which a method finds nothing keeps the displacement of the frame before it; `found` is the share of the
others. within_sigma is the share of errors within one stated sigma, per axis, and rmse_measured_px the error, both over
the frames that a method calls measured. ssim is the mean structural similarity of aligned windows of neighbouring
frames as measured, noise included, ssim_clean the same of frames without noise and background, and ssim_sd its standard
deviation over pairs. Slow methods (SIFT, optical flow) see only the first particles (--slow-particles). Seconds are
those of the processor, for the particles seen; per particle and frame in `ms`. The seeds are used nowhere else.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy import ndimage as ndi

RESULTS = Path(__file__).parent / "results"
SLOW = ("SIFT", "optical flow")


# --- windows ---------------------------------------------------------------------------------------------


class Window:
    """The stack around one particle, and what may be known about it beforehand."""

    def __init__(self, density, corner, size, half, best, *, pad=0):
        y, x = np.add(corner, pad)
        self.stack = density[:, y : y + size, x : x + size]
        self.corner, self.half, self.best = np.array(corner), half, best

    @property
    def start(self):
        """Middle of the window: the particle in the first frame, to a pixel."""
        return self.stack.shape[1] // 2


def windows_of(made, density, margin):
    """Return particle numbers and their windows, for those that stay wholly in the field."""
    truth, out = made.truth, {}
    pad = 2 * margin
    padded = np.pad(density, ((0, 0), (pad, pad), (pad, pad)), mode="edge")
    for i, body in enumerate(made.bodies, start=1):
        place = truth.loc[truth.particle == i, ["y_px", "x_px"]].to_numpy()
        half = int(np.ceil(body.reach)) + margin
        corner = np.rint(place[0]).astype(int) - half
        size = 2 * half + 1
        if (truth.visible[truth.particle == i] == "whole").all():
            out[i] = Window(padded, corner, size, int(np.ceil(body.reach)) + 3, best_frame(made), pad=pad)
    return out


def best_frame(made):
    """Return the frame after the white line, where particles stand out and the light has settled."""
    seen = [e for e in range(made.params.n_energies) if e not in made.lost | made.overexposed]
    return seen[int(np.argmin(np.abs(made.energies_ev[seen] - 8352)))]


# --- the rivals: each returns displacements (frames, 2), NaN where it found nothing ----------------------------


def match(picture, template):
    """Return where a template fits best by normalised cross-correlation, to a fraction of a pixel by parabolas."""
    from skimage.feature import match_template

    score = match_template(picture, template)
    top = np.unravel_index(np.argmax(score), score.shape)
    place = np.array(top, float)
    for axis in (0, 1):
        if 0 < top[axis] < score.shape[axis] - 1:
            step = np.eye(2, dtype=int)[axis]
            a, b, c = (score[tuple(np.array(top) + k * step)] for k in (-1, 0, 1))
            if a + c < 2 * b:
                place[axis] += 0.5 * (a - c) / (a - 2 * b + c)
    return place


def absolute_template(w, reference=None):
    reference = w.best if reference is None else reference
    m, h = w.start, w.half
    at = np.array([m, m])
    if reference != 0:  # where the particle lies in the reference is itself a guess: its mask
        at = np.rint(centre_of_mask(w.stack[reference])[0]).astype(int)
        at = np.clip(at, h, w.stack.shape[1] - h - 1)
    template = w.stack[reference][at[0] - h : at[0] + h + 1, at[1] - h : at[1] + h + 1]
    return np.array([match(frame, template) - at + h for frame in w.stack])


def absolute_template_first(w):
    return absolute_template(w, 0)


def relative_template(w):
    h, size = w.half, w.stack.shape[1]
    moved, last = [np.zeros(2)], np.array([w.start, w.start])
    for before, frame in zip(w.stack[:-1], w.stack[1:], strict=True):
        last = np.clip(np.rint(w.start + moved[-1]).astype(int), h, size - h - 1)
        template = before[last[0] - h : last[0] + h + 1, last[1] - h : last[1] + h + 1]
        moved.append(moved[-1] + match(frame, template) - (last - h))
    return np.array(moved)


def phase_best(w, reference=None, **options):
    from skimage.registration import phase_cross_correlation

    reference = w.best if reference is None else reference
    return np.array([
        -phase_cross_correlation(w.stack[reference], frame, upsample_factor=20, **options)[0] for frame in w.stack
    ])  # fmt: skip


def phase_first(w):
    return phase_best(w, 0)


def cross_best(w):
    return phase_best(w, normalization=None)


def phase_previous(w):
    from skimage.registration import phase_cross_correlation

    steps = [
        -phase_cross_correlation(a, b, upsample_factor=20)[0] for a, b in zip(w.stack[:-1], w.stack[1:], strict=True)
    ]
    return np.concatenate([np.zeros((1, 2)), np.cumsum(steps, 0)]) if steps else np.zeros((1, 2))


def grey8(frame):
    low, high = np.percentile(frame, (1, 99))
    return np.clip((frame - low) / max(high - low, 1e-6), 0, 1)


def sift(w):
    from skimage.feature import SIFT, match_descriptors
    from skimage.measure import ransac
    from skimage.transform import EuclideanTransform

    def features(frame):
        found = SIFT()
        try:
            found.detect_and_extract(grey8(frame))
        except RuntimeError:
            return None
        return found.keypoints, found.descriptors

    reference = features(w.stack[w.best])
    middle = np.array([[w.start, w.start]], float)
    moved = np.full((len(w.stack), 2), np.nan)
    for k, frame in enumerate(w.stack):
        here = features(frame)
        if reference is None or here is None:
            continue
        pairs = match_descriptors(reference[1], here[1], max_ratio=0.8, cross_check=True)
        if len(pairs) < 4:
            continue
        a, b = reference[0][pairs[:, 0]], here[0][pairs[:, 1]]
        model, inliers = ransac((a, b), EuclideanTransform, min_samples=2, residual_threshold=2, max_trials=200, rng=0)
        if model is not None and inliers is not None and inliers.sum() >= 3:
            moved[k] = (model(middle) - middle)[0]
    return moved


def optical_flow(w):
    from skimage.registration import optical_flow_ilk

    inside = centre_of_mask(w.stack[w.best])[1]
    reference = grey8(w.stack[w.best])
    moved = []
    for frame in w.stack:
        v, u = optical_flow_ilk(reference, grey8(frame), radius=9, num_warp=8)
        moved.append((np.median(v[inside]), np.median(u[inside])))
    return np.array(moved)


def centre_of_mask(frame):
    """Return centroid and mask of the largest bright region: smoothing, Otsu's threshold, holes filled."""
    from skimage.filters import threshold_otsu

    smooth = ndi.gaussian_filter(frame, 2)
    labels, n = ndi.label(ndi.binary_fill_holes(smooth > threshold_otsu(smooth)))
    if n == 0:
        return np.full(2, np.nan), np.zeros(frame.shape, bool)
    mask = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
    return np.array(ndi.center_of_mass(mask)), mask


def mask_centre(w):
    return np.array([centre_of_mask(frame)[0] for frame in w.stack])


METHODS = {
    "absolute template": absolute_template, "absolute template, first": absolute_template_first,
    "relative template": relative_template, "phase correlation": phase_best,
    "phase correlation, first": phase_first, "phase correlation, previous": phase_previous,
    "cross-correlation": cross_best, "SIFT": sift, "optical flow": optical_flow, "mask centre": mask_centre,
}  # fmt: skip
GLOBAL = {"whole frame, phase": phase_best, "whole frame, template": absolute_template}


def ours(density, windows, dropped):
    """Return displacements, sigma and status by particle: `register_particles`, guesses from thresholded windows."""
    from morpholith.track.register import register_particles

    masks, centres, found = [], [], []
    for w in windows.values():
        places, shapes = zip(*(centre_of_mask(frame) for frame in w.stack), strict=True)
        area = np.array([s.sum() for s in shapes])
        masks.append(shapes[w.best])
        found.append((np.abs(area / max(area[w.best], 1) - 1) < 0.2) & ~dropped)
        centres.append(np.array(places) + w.corner)
    centres, found = np.array(centres), np.array(found)
    # what all particles have in common tells where to look for those whose mask fails
    home = centres[:, [next(iter(windows.values())).best]]
    moved = np.where(found[..., None], centres - home, np.nan)
    common = filled(np.nanmedian(moved, axis=0))[0]
    found &= np.hypot(*np.moveaxis(centres - home - common, -1, 0)) < 5
    positions = np.where(found[..., None], centres, home + common)
    seen = density.copy()
    seen[dropped] = np.nan
    made_of = register_particles(seen, positions, masks, found=found, search_px=6.0)
    return {
        i: (one.centre_px - one.centre_px[np.isfinite(one.centre_px).all(1)][:1], one.sigma_px, np.asarray(one.status))
        for i, one in zip(windows, made_of, strict=True)
    }


# --- judging ---------------------------------------------------------------------------------------------


def filled(moved):
    """Return displacements with every gap closed by the frame before it, and the share that was found."""
    ok = np.isfinite(moved).all(1)
    index = np.maximum.accumulate(np.where(ok, np.arange(len(ok)), 0))
    return np.nan_to_num(moved[index]), ok.mean()


def errors(moved, true, kept):
    off = (moved - true)[kept]
    return off - off.mean(0)


def aligned(frame, moved, corner, size):
    """Return the window of a whole frame at a displaced place, interpolated once."""
    low = np.floor(moved).astype(int)
    padded = np.pad(frame, 60, mode="edge")
    y, x = np.clip(corner + low + 60 - 3, 0, np.array(padded.shape) - size - 6)
    cut = padded[y : y + size + 6, x : x + size + 6]
    return ndi.shift(cut, -(moved - low), order=3, mode="nearest")[3:-3, 3:-3]


def similarity(frames, moves, w, pairs):
    """Return the structural similarity of aligned windows for pairs of neighbouring frames."""
    from skimage.metrics import structural_similarity

    size, out = w.stack.shape[1], []
    for a, b in pairs:
        one, two = (aligned(frames[k], moves[k], w.corner, size) for k in (a, b))
        span = max(np.ptp(one), np.ptp(two), 1e-6)
        out.append(structural_similarity(one, two, data_range=span))
    return out


def judge(method, results, made, windows, density, clean, pairs, kept, seconds):
    """Return one row of the table."""
    truth = made.truth
    off, share, noisy, bare, inside, sure = [], [], [], [], [], []
    for i, (moved, sigma, status) in results.items():
        true = truth.loc[truth.particle == i, ["y_px", "x_px"]].to_numpy()
        moved, found = filled(np.asarray(moved, float))
        off.append(errors(moved, true - true[0], kept))
        share.append(found if status is None else (status[kept] == "measured").mean())
        anchor = moved - moved[kept][0]
        noisy += similarity(density, anchor, windows[i], pairs)
        bare += similarity(clean, anchor, windows[i], pairs)
        if sigma is not None:
            measured = (status == "measured")[kept]
            sure.append(errors(moved, true - true[0], kept & (status == "measured")))
            inside.append((np.abs(off[-1]) <= np.asarray(sigma)[kept])[measured])
    off = np.concatenate(off)
    return {
        "method": method, "particles": len(results), "rmse_px": float(np.sqrt((off**2).mean())),
        "rmse_measured_px": float(np.sqrt((np.concatenate(sure) ** 2).mean())) if sure else None,
        "median_px": float(np.median(np.hypot(*off.T))), "max_px": float(np.hypot(*off.T).max()),
        "found": float(np.mean(share)),
        "within_sigma": float(np.concatenate(inside).mean()) if inside else None,
        "ssim": float(np.mean(noisy)), "ssim_clean": float(np.mean(bare)), "ssim_sd": float(np.std(bare)),
        "seconds": seconds, "ms": 1e3 * seconds / (len(results) * len(density)),
    }  # fmt: skip


def one_stack(difficulty, seed, options, **changes):
    """Run every method on one virtual scan; return rows, and what the figure needs."""
    from morpholith.specimens import Scan, scan

    made = scan(Scan.of(difficulty, **changes), rng=seed)
    density = made.optical_density()[0]
    dropped = np.isnan(density).all((1, 2))
    for k in np.flatnonzero(dropped):  # the rivals know no gaps: the frame before stands in, and is not judged
        density[k] = density[k - 1]
    kept = ~dropped
    truth = made.truth
    reach = max(np.abs(g[["y_px", "x_px"]].to_numpy() - g[["y_px", "x_px"]].to_numpy()[0]).max()
                for _, g in truth.groupby("particle"))  # fmt: skip
    windows = windows_of(made, density, int(np.ceil(reach)) + 3)
    seen = np.flatnonzero(kept)
    pairs = list(pairwise(seen))[:: max(1, len(seen) // 16)]
    clean = {}
    for k in sorted({k for pair in pairs for k in pair}):
        clean[k] = ndi.gaussian_filter(made.absorption(0, int(k)), made.params.blur_px)
    rows, moves = [], {}

    def run(method, work):
        start = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results = work()
        seconds = time.process_time() - start
        row = {"difficulty": difficulty, "seed": seed, "margin_px": int(np.ceil(reach)) + 3}
        row |= judge(method, results, made, windows, density, clean, pairs, kept, seconds)
        rows.append(row)
        moves[method] = {i: filled(np.asarray(r[0], float))[0] for i, r in results.items()}
        sigma = "" if row["within_sigma"] is None else f"{row['within_sigma']:.2f}"
        print(
            f"  {method:28s} {row['rmse_px']:8.3f} {row['median_px']:8.3f} {row['max_px']:8.2f} {row['found']:6.2f}"
            f" {sigma:>6s} {row['ssim']:7.4f} {row['ssim_clean']:7.4f} {row['seconds']:8.1f} {row['ms']:8.2f}",
            flush=True,
        )

    print(f"\n{difficulty}, seed {seed}, {len(density)} frames of {density.shape[1]} x {density.shape[2]}, "
          f"{len(windows)} of {len(made.bodies)} particles stay in the field")  # fmt: skip
    print("  method                           rmse   median      max  found  sigma    ssim   clean  seconds       ms")
    for method, work in METHODS.items():
        if options.methods and method not in options.methods:
            continue
        chosen = list(windows.items())[: options.slow_particles if method in SLOW else None]
        run(method, lambda work=work, chosen=chosen: {i: (work(w), None, None) for i, w in chosen})
    for method, work in GLOBAL.items():
        if options.methods and method not in options.methods:
            continue
        run(method, lambda work=work: whole(work, density, windows, best_frame(made)))
    try:
        run("morpholith", lambda: ours(density, windows, dropped))
    except ImportError as error:
        print(f"  morpholith: not run ({error})")
    return rows, (made, density, windows, moves, kept)


def whole(work, density, windows, best):
    """Return one displacement for all particles from whole frames."""
    size = min(density.shape[1:]) // 2 * 2 - 1
    w = Window(density, (0, 0), size, size // 2 - 24, best)
    if work is absolute_template:
        m, h = size // 2, size // 2 - 24
        template = w.stack[best][m - h : m + h + 1, m - h : m + h + 1]
        moved = np.array([match(frame, template) - m + h for frame in w.stack])
    else:
        moved = work(w)
    return {i: (moved, None, None) for i in windows}


# --- figure ----------------------------------------------------------------------------------------------


def draw(kept_of, table, path, difficulty):
    """Draw differential maps of one particle for each method, and errors and similarity of all."""
    from morpholith.report.style import PALETTE, figure, style

    made, density, windows, moves, kept = kept_of
    particle = next(iter(windows))
    w, size = windows[particle], windows[particle].stack.shape[1]
    first, last = np.flatnonzero(kept)[[0, -1]]
    names = [m for m in moves if particle in moves[m]]
    with style():
        columns = 5
        rows = -(-(len(names) + 1) // columns)
        fig = figure(12, 2.6 * rows + 3.6)
        top, bottom = np.ravel(fig.subfigures(2, 1, height_ratios=[2.6 * rows, 3.6]))
        axes = np.ravel(top.subplots(rows, columns))
        truth = made.truth.loc[made.truth.particle == particle, ["y_px", "x_px"]].to_numpy()
        shown = {"truth": truth - truth[0]} | {m: moves[m][particle] for m in names}
        offset = {m: (s - (truth - truth[0]))[kept].mean(0) for m, s in shown.items()}
        maps, gain = {}, None
        for name, moved in shown.items():
            one, two = (aligned(density[k], (moved - offset[name])[k], w.corner, size) for k in (first, last))
            one, two = (ndi.gaussian_filter(f - np.median(f), 1.2) for f in (one, two))
            if gain is None:  # the truth comes first: the contrast of the last frame over that of the first
                gain = (one * two).sum() / (one * one).sum()
            maps[name] = two - gain * one
        span = 4 * maps["truth"].std()
        for ax, (name, picture) in zip(axes, maps.items(), strict=False):
            ax.imshow(picture, cmap="RdBu_r", vmin=-span, vmax=span)
            ax.set_title(name, fontsize=9)
        for ax in axes:
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        top.suptitle(
            f"last less first frame, this scaled to the same contrast; particle {particle}, {difficulty}",
            fontsize=10,
            x=0.01,
            ha="left",
        )
        left, right = bottom.subplots(1, 2)
        methods = list(dict.fromkeys(table.method))
        levels = list(dict.fromkeys(table.difficulty))
        for k, level in enumerate(levels):
            part = table[table.difficulty == level].groupby("method").mean(numeric_only=True).reindex(methods)
            at = np.arange(len(methods)) + (k - (len(levels) - 1) / 2) * 0.18
            left.plot(part.rmse_px, at, "o", color=PALETTE[k], label=level)
            right.errorbar(part.ssim_clean, at, xerr=part.ssim_sd, fmt="o", color=PALETTE[k], linewidth=0.9)
        left.axvline(0.1, color="0.6", linewidth=0.8)
        left.set(xscale="log", xlabel="RMSE (px per axis)", yticks=range(len(methods)), yticklabels=methods)
        right.set(xlabel="SSIM of aligned neighbours, mean and SD", yticks=range(len(methods)), yticklabels=[])
        for ax in (left, right):
            ax.invert_yaxis()
        left.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        fig.savefig(path, dpi=100)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--toy", action="store_true", help="seconds' worth")
    parser.add_argument("--difficulties", default="easy,typical,hard,faint")
    parser.add_argument("--seeds", default="901")
    parser.add_argument("--frames", type=int, default=143)
    parser.add_argument("--methods", default="", help=f"of {', '.join([*METHODS, *GLOBAL])}; ours always runs")
    parser.add_argument("--slow-particles", type=int, default=3)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    options.methods = [m for m in options.methods.split(";") if m]
    import pandas as pd

    print(f"python {platform.python_version()}, numpy {np.__version__}, {platform.machine()}, {os.cpu_count()} cores, "
          f"OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS')}, load {os.getloadavg()[0]:.1f}")  # fmt: skip
    rows, pictured = [], {}
    if options.toy:
        options.slow_particles = 1
        found, pictured["typical"] = one_stack(
            "typical", 900, options, n_energies=8, shape=(110, 190), n_particles=2, diameter_px=(30.0, 36.0),
            drift_px=1.0, debris=0,
        )  # fmt: skip
        rows += found
    else:
        for difficulty in options.difficulties.split(","):
            for seed in map(int, options.seeds.split(",")):
                found, kept = one_stack(difficulty, seed, options, n_energies=options.frames)
                rows += found
                pictured.setdefault(difficulty, kept)
                pd.DataFrame(rows).to_csv(ready(options.results) / "xanes_registration.csv", index=False)
    table = pd.DataFrame(rows)
    table.to_csv(ready(options.results) / "xanes_registration.csv", index=False)
    shown = "typical" if "typical" in pictured else next(iter(pictured))
    draw(pictured[shown], table, options.results / "xanes_registration.png", shown)
    print("\nmean RMSE, px per axis")
    print(table.pivot_table(index="method", columns="difficulty", values="rmse_px", sort=False).round(3).to_string())


def ready(folder):
    folder.mkdir(parents=True, exist_ok=True)
    return folder


if __name__ == "__main__":
    main()
