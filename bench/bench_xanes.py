"""Registration of XANES stacks, ours beside what is in use, on the same virtual scans and against their exact truth.

    python bench/bench_xanes.py                               four difficulties, every method
    python bench/bench_xanes.py --difficulties hard --seeds 1002,1003
    python bench/bench_xanes.py --toy                         the same in seconds, to see that it runs

"morpholith" is what `xanes register` does: `find_particles(pooled)`, `follow` (linked, registered, smoothed), nothing
of the truth going in. "single frames" is the same without smoothing, "mask centres" takes the centres of mass of the
same masks, and "paper 003" is the way of Su et al. (2024) with the weights that are shipped: Cycle-GAN, Dual U-Net,
centres of mass. What was followed is compared with the true particle that it lies on in the median, within a third of
a diameter; `found` of `there` particles have one, `false` is what lies on none. The rivals of `xanes_rivals.py` are
told where each particle is in the first frame and how far it goes; they run on the first seed alone, slow ones on the
first particles (`--slow-particles`).

Errors are those of the frames that are not dropped, in which the particle is whole and the method says that it saw
it: `measured` is their share. rmse_px is the root mean square error of a position per axis, the mean offset of each
particle taken off, because each method may put the particle's origin elsewhere; displacement_px that of the
displacement from the first frame. within_sigma is the share of errors of a position within one stated sigma, per axis
(0.68 is meant). ssim is the similarity of neighbouring aligned regions as the product states it
(`track.join.region_ssim`: smoothed by 2 px, over the region), the mean over pairs and particles; "true poses" is its
ceiling. Seconds are those of the processor; ms are per particle and frame. The seeds are used nowhere else.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from xanes_pictures import draw
from xanes_rivals import GLOBAL, METHODS, SLOW, best_frame, whole, windows_of

RESULTS = Path(__file__).parent / "results"
TOY = {"n_energies": 8, "shape": (110, 190), "n_particles": 2, "diameter_px": (30.0, 36.0), "drift_px": 1.0}
OURS = {
    "morpholith": ("pooled", {}),
    "morpholith, single frames": ("pooled", {"smooth": False}),
    "pooled, mask centres": ("pooled", {"align": "mask", "smooth": False}),
    "paper 003": ("cyclegan", {"align": "mask", "smooth": False}),
}


# --- what is judged: centre (frames, 2), angle, breathing, sigma, measured ---------------------------------------


def poses(centre, *, angle=None, breathing=None, sigma=None, measured=None):
    """Return one particle's motion as `aligned_region` takes it, with what is known about its errors."""
    zero, centre = np.zeros(len(centre)), np.asarray(centre, float)
    angle, breathing = (zero if one is None else one for one in (angle, breathing))
    seen = np.isfinite(centre).all(1) & (True if measured is None else measured)
    return SimpleNamespace(centre_px=centre, angle_deg=angle, breathing=breathing, sigma_px=sigma, measured=seen)


def followed(stack, labels, find, options):
    """Return what `follow` says of each particle it found."""
    from morpholith.track import follow

    made = follow(stack, labels, images=find != "pooled", **options)
    return [
        poses(p.centre_px, angle=p.angle_deg, breathing=p.breathing, sigma=p.sigma_px, measured=p.status == "measured")
        for p in made.particles
    ]


def true_poses(made):
    """Return the truth of every particle, and in which frames it is wholly in view and not dropped."""
    out = {}
    for i, rows in made.truth.groupby("particle"):
        kept = ((rows.visible == "whole") & ~rows.dropped).to_numpy()
        angle, breathing = rows.angle_deg.to_numpy(), rows.breathing.to_numpy()
        out[i] = poses(rows[["y_px", "x_px"]].to_numpy(), angle=angle, breathing=breathing, measured=kept)
    return out


def who_is_who(particles, truth, bodies):
    """Return which true particle each found one is, by the median distance, and how many are none."""
    from scipy.optimize import linear_sum_assignment

    far = np.full((len(particles), len(truth)), 1e3)
    for k, p in enumerate(particles):
        for i, t in truth.items():
            both = p.measured & t.measured
            if both.any():
                off = np.median(np.hypot(*(p.centre_px - t.centre_px)[both].T)) / bodies[i - 1].diameter
                far[k, i - 1] = off if off < 1 / 3 else 1e3
    found = {}
    for k, i in zip(*linear_sum_assignment(far), strict=True):
        if far[k, i] < 1e3:
            found[int(i) + 1] = particles[k]
    return found, len(particles) - len(found)


# --- judging -----------------------------------------------------------------------------------------------------


def judge(found, truth, bodies, stack):
    """Return the numbers of one method, and its aligned regions by particle."""
    from morpholith.track import aligned_region
    from morpholith.track.join import MARGIN, region_ssim

    off, first, inside, share, alike, regions = [], [], [], [], [], {}
    for i, p in found.items():
        t = truth[i]
        kept = t.measured & p.measured
        share.append(kept.sum() / max(t.measured.sum(), 1))
        size = 2 * (int(np.ceil(bodies[i - 1].reach)) + MARGIN) + 1
        regions[i] = aligned_region(stack, p, (size, size))
        alike.append(region_ssim(regions[i]))
        if not kept.any():
            continue
        error = (p.centre_px - t.centre_px)[kept]
        mean = error.mean(0)
        off.append(error - mean)
        first.append((error - error[0])[1:])
        if p.sigma_px is not None:
            inside.append(np.abs(error - mean) <= p.sigma_px[kept])

    def rms(parts):
        return float(np.sqrt((np.concatenate(parts) ** 2).mean())) if parts else np.nan

    where = np.hypot(*np.concatenate(off).T) if off else np.array([np.nan])
    alike = np.concatenate(alike) if alike else np.array([np.nan])
    numbers = {
        "rmse_px": rms(off), "displacement_px": rms(first), "median_px": float(np.median(where)),
        "max_px": float(where.max()), "within_sigma": float(np.concatenate(inside).mean()) if inside else None,
        "measured": float(np.mean(share)) if share else 0.0, "ssim": float(np.nanmean(alike)),
        "ssim_sd": float(np.nanstd(alike)),
    }  # fmt: skip
    return numbers, regions


class Table:
    """Rows of one stack, told as they come; keeps the regions of one particle, always in view, for the figure."""

    def __init__(self, difficulty, seed, made, stack):
        self.about = {"difficulty": difficulty, "seed": seed, "frames": len(stack), "there": len(made.bodies)}
        self.truth, self.bodies, self.stack = true_poses(made), made.bodies, stack
        self.rows, self.regions = [], {}
        whole = (made.truth.visible == "whole").groupby(made.truth.particle).all()
        self.shown = int(whole.index[whole.argmax()])

    def add(self, method, found, seconds, *, false=None, of=None):
        """Judge a method and add its row."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # means over particles that were never seen
            numbers, regions = judge(found, self.truth, self.bodies, self.stack)
        n = max(1, (len(found) if of is None else of) * len(self.stack))
        row = self.about | {"method": method, "found": len(found), "false": false} | numbers
        row |= {"seconds": seconds, "ms": None if seconds is None else 1e3 * seconds / n}
        self.rows.append(row)
        if self.shown in regions:
            self.regions[method] = regions[self.shown]
        sigma = "" if row["within_sigma"] is None else f"{row['within_sigma']:.2f}"
        print(
            f"  {method:28s} {row['found']:3d} {'' if false is None else false:>3} {row['rmse_px']:8.3f}"
            f" {row['displacement_px']:8.3f} {row['max_px']:8.2f} {row['measured']:6.3f} {sigma:>5s} {row['ssim']:7.4f}"
            f" {seconds or 0:8.1f}",
            flush=True,
        )


def run_ours(table, stack):
    from morpholith.segment import find_particles

    kept = {}
    for method, (find, options) in OURS.items():
        start = time.process_time()
        if find not in kept:
            labels = find_particles(stack, method=find)
            kept[find] = labels, time.process_time() - start
        labels, finding = kept[find]
        start = time.process_time()
        particles = followed(stack, labels, find, options)
        seconds = finding + time.process_time() - start
        found, false = who_is_who(particles, table.truth, table.bodies)
        table.add(method, found, seconds, false=false, of=len(particles))


def run_rivals(table, made, stack, slow_particles):
    density = stack.copy()
    for k in np.flatnonzero(np.isnan(density).all((1, 2))):  # they know no gaps: the frame before stands in
        density[k] = density[k - 1]
    places = [t.centre_px for t in table.truth.values()]
    margin = int(np.ceil(max(np.abs(p - p[0]).max() for p in places))) + 3
    windows = windows_of(made, density, margin)
    for method, work in (METHODS | GLOBAL).items():
        chosen = dict(list(windows.items())[: slow_particles if method in SLOW else None])
        start = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if method in GLOBAL:
                moved = whole(work, density, chosen, best_frame(made))
            else:
                moved = {i: work(w) for i, w in chosen.items()}
        seconds = time.process_time() - start
        table.add(method, {i: poses(m + windows[i].corner + windows[i].start) for i, m in moved.items()}, seconds)


def one_stack(difficulty, seed, *, rivals=True, slow_particles=3, **changes):
    """Run the methods on one virtual scan."""
    from morpholith.specimens import Scan, scan

    made = scan(Scan.of(difficulty, **changes), rng=seed)
    stack = made.optical_density()[0]
    print(f"\n{difficulty}, seed {seed}, {len(stack)} frames of {stack.shape[1]} x {stack.shape[2]}, "
          f"{len(made.bodies)} particles")  # fmt: skip
    print("  method                      found false   rmse   displ.      max measured sigma    ssim  seconds")
    table = Table(difficulty, seed, made, stack)
    table.add("true poses", table.truth, None)
    run_ours(table, stack)
    if rivals:
        run_rivals(table, made, stack, slow_particles)
    return table


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--toy", action="store_true", help="seconds' worth")
    parser.add_argument("--difficulties", default="easy,typical,hard,faint")
    parser.add_argument("--seeds", default="1001,1002,1003", help="rivals run on the first")
    parser.add_argument("--frames", type=int, default=143)
    parser.add_argument("--slow-particles", type=int, default=3)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    import pandas as pd

    print(f"python {platform.python_version()}, numpy {np.__version__}, {platform.machine()}, {os.cpu_count()} cores, "
          f"OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS')}, load {os.getloadavg()[0]:.1f}")  # fmt: skip
    options.results.mkdir(parents=True, exist_ok=True)
    rows, pictured = [], {}
    if options.toy:
        jobs = [("typical", 1000, {"slow_particles": 1, **TOY})]
    else:
        with open(os.devnull, "w") as quiet:  # what is compiled on first use is compiled before the clock runs
            warm_up(quiet)
        how = {"n_energies": options.frames, "slow_particles": options.slow_particles}
        jobs = [
            (difficulty, seed, how | {"rivals": not k})
            for difficulty in options.difficulties.split(",")
            for k, seed in enumerate(map(int, options.seeds.split(",")))
        ]
    for difficulty, seed, how in jobs:
        table = one_stack(difficulty, seed, **how)
        rows += table.rows
        if difficulty not in pictured and len(table.rows) > len(OURS) + 1:
            table.stack = None
            pictured[difficulty] = table
        pd.DataFrame(rows).to_csv(options.results / "xanes_registration.csv", index=False)
    table = pd.DataFrame(rows)
    shown = "typical" if "typical" in pictured else next(iter(pictured))
    draw(pictured[shown], table, options.results / "xanes_registration.png")
    print("\nmean RMSE, px per axis")
    print(table.pivot_table(index="method", columns="difficulty", values="rmse_px", sort=False).round(3).to_string())


def warm_up(quiet):
    import contextlib

    with contextlib.redirect_stdout(quiet):
        one_stack("typical", 999, rivals=False, **TOY)


if __name__ == "__main__":
    main()
