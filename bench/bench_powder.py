"""How well `sem measure` sees a powder: against virtual powders it was not trained on, and against a peer in time.

    python bench/bench_powder.py                 accuracy, coverage (400 repeats) and time; about half an hour
    python bench/bench_powder.py --toy           the same in seconds, to see that it runs
    python bench/bench_powder.py --part coverage one part; --methods classical,sam --checkpoint FILE for others

Tables go to bench/results/ as CSV; docs/make_validation.py turns them into the validation page.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

RESULTS = Path(__file__).parent / "results"
HABITS = ("needle", "plate", "polyhedral")
UNSEEN = 40_000_000  # seeds of specimens; the network's training draws from other streams
FIRST = 100_000  # specimens below were looked at while thresholds were chosen


def draw_powder(rng):
    """Draw a powder as synthesis makes them, wider than the tour's and inside what 3000x can show."""
    from morpholith.specimens import Habit, Powder

    d50 = rng.uniform(1.8, 6.0)
    thickness = rng.uniform(0.05, 0.3)
    return Powder(
        d50_um=d50,
        geometric_sd=rng.uniform(1.15, 1.5),
        circularity_mean=rng.uniform(0.86, 0.96),
        circularity_sd=rng.uniform(0.008, 0.03),
        habit=Habit(str(rng.choice(HABITS)), thickness, max(thickness, min(thickness * rng.uniform(2, 7), 0.3 * d50))),
        coverage=rng.uniform(0.25, 0.6),
        clustering=rng.uniform(0, 0.6),
    )


def draw_microscope(rng, shape=(960, 1280)):
    """Draw the settings an operator might choose."""
    from morpholith.specimens import Microscope

    return Microscope(
        shape=shape,
        dose=rng.uniform(100, 350),
        background=rng.uniform(0.25, 0.7),
        contrast=rng.uniform(55, 95),
        brightness=rng.uniform(75, 115),
        charging=rng.uniform(0, 1.5),
        convergence_mrad=rng.uniform(2, 9),
        detector_azimuth_deg=rng.uniform(0, 360),
    )


def specimen(seed, shape=(960, 1280)):
    """Return powder, scene and micrograph of one unseen seed."""
    from morpholith.specimens import micrograph, scene

    rng = np.random.default_rng([UNSEEN, seed])
    powder, microscope = draw_powder(rng), draw_microscope(rng, shape)
    field = scene(powder, shape=shape, spacing=microscope.spacing, rng=rng)
    return powder, field, micrograph(field, microscope, rng=rng)


def look(image, spacing, method="learned", checkpoint=None):
    """Find and measure, as the workflow does."""
    from morpholith import measure, segment

    found = segment.particles(image, spacing=spacing, method=method, checkpoint=checkpoint)
    return found.labels, measure.field(image, found.labels, found.contacts, spacing=spacing, score=found.score)


def repeat(job):
    """One specimen: matching, and every interval against the population and against the field's own particles."""
    from morpholith import measure
    from morpholith.segment.matching import match

    seed, shape, method, checkpoint = job
    warnings.simplefilter("ignore")
    powder, field, image = specimen(seed, shape)
    start = time.perf_counter()
    labels, table = look(image, field.spacing, method, checkpoint)
    seconds = time.perf_counter() - start
    frame = tuple(n * s for n, s in zip(shape, field.spacing, strict=True))
    described = measure.describe(table.assign(image="a"), frames={"a": frame}, rng=seed)

    truth = field.truth
    pixels = np.bincount(field.labels.ravel(), minlength=len(truth) + 1)[1:]
    seen = pixels * field.spacing[0] ** 2 / truth.area_um2.to_numpy()
    visible = seen >= 0.5  # at least half of the particle is neither covered nor outside the field
    scrap = (seen < 0.5) & (pixels >= np.pi / 4 * 10**2)  # less of it, but over 10 px wide
    matched = match(field.labels, labels, iou=0.7)
    hit = np.isin(truth.index, matched.pairs["truth"])
    free = truth[~truth.touches_edge & (truth.hidden_fraction < 0.02)]
    mean, sd = powder.circularity_truth
    true = {
        **{f"d{int(100 * q)}_um": powder.diameter_quantile(q) for q in (0.1, 0.5, 0.9)},
        **{f"d{int(100 * q)}_volume_um": powder.diameter_quantile(q, basis="volume") for q in (0.5, 0.9)},
        "circularity_mean": mean,
        "circularity_sd": sd,
    }
    row = {
        "seed": seed, "method": method, "habit": powder.habit.kind, "coverage": powder.coverage,
        "n_true": len(truth), "n_visible": int(visible.sum()), "n_matched": int(hit[visible].sum()),
        "n_scraps": int(scrap.sum()), "n_scraps_matched": int(hit[scrap].sum()), "n_found": int(labels.max()),
        "n_false": matched.fp, "n_sizes": described["d50_um"].n, "seconds": seconds,
        "circularity_free_true": free.circularity.mean(),
    }  # fmt: skip
    for key, value in true.items():
        q = described[key]
        row |= {f"{key}": q.value, f"{key}_true": value, f"{key}_low": q.low, f"{key}_high": q.high}
        row |= {f"{key}_covers": np.nan if q.low is None else float(q.low <= value <= q.high)}
    return row


def run(jobs, workers):
    """Run `repeat` on every job, on several processes of one thread each."""
    if workers == 1:
        return pd.DataFrame([repeat(j) for j in jobs])
    with ProcessPoolExecutor(workers) as pool:
        return pd.DataFrame(pool.map(repeat, jobs, chunksize=4))


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """Recall, mean deviations with their standard errors, and coverage, one row a method."""
    out = {}
    for method, r in rows.groupby("method"):
        line = {"specimens": len(r), "recall_iou70": r.n_matched.sum() / r.n_visible.sum()}
        line["recall_of_scraps"] = r.n_scraps_matched.sum() / max(r.n_scraps.sum(), 1)
        line["false_per_found"] = r.n_false.sum() / r.n_found.sum()
        for key in ("d50_um", "d50_volume_um", "d90_um"):
            deviation = np.log(r[key] / r[f"{key}_true"]).dropna()
            line |= {f"{key}_bias": deviation.mean(), f"{key}_bias_se": deviation.sem()}
        deviation = (r.circularity_mean - r.circularity_mean_true).dropna()
        line |= {"circularity_bias": deviation.mean(), "circularity_bias_se": deviation.sem()}
        line["circularity_within_0.01"] = (deviation.abs() < 0.01).mean()
        for key in ("d10_um", "d50_um", "d90_um", "d50_volume_um", "d90_volume_um", "circularity_mean"):
            line[f"{key}_coverage"] = r[f"{key}_covers"].mean()
        line["median_seconds"] = r.seconds.median()
        out[method] = line
    return pd.DataFrame(out).T.rename_axis("method")


def instances_by_border(maps):
    """Border-core alone: what is particle and no border, grown back."""
    from scipy import ndimage as ndi
    from skimage.segmentation import watershed

    inside = maps["particle"] > 0.5
    seeds, _ = ndi.label(inside & (maps["border"] < 0.4))
    return watershed(maps["border"], seeds, mask=inside).astype(np.int32)


def instances_by_depth(maps):
    """Normalised distance alone, as in distance and flow networks: peaks of the depth, then a watershed."""
    from scipy import ndimage as ndi
    from skimage.segmentation import watershed

    depth = ndi.gaussian_filter(maps["depth"], 0.7)
    inside = maps["particle"] > 0.5
    seeds, _ = ndi.label((depth > 0.4) & inside)
    return watershed(-depth, seeds, mask=inside).astype(np.int32)


def ablation(repeats, shape) -> pd.DataFrame:
    """Which of the network's answers finds the particles: border, depth, or both (the shipped way)."""
    from morpholith.nets import particle_net
    from morpholith.segment.learned import instances
    from morpholith.segment.matching import match

    ways = {"border alone": instances_by_border, "depth alone": instances_by_depth, "both": instances}
    rows = []
    for seed in range(repeats):
        _, field, image = specimen(FIRST + 1000 + seed, shape)
        maps = particle_net.predict(particle_net.reduce(image, 2))
        truth = particle_net.drop_slivers(field.labels[1::2, 1::2])
        for name, way in ways.items():
            m = match(truth, particle_net.drop_slivers(way(maps)), iou=0.7)
            rows.append({"seeds from": name, "tp": m.tp, "fp": m.fp, "fn": m.fn})
    table = pd.DataFrame(rows).groupby("seeds from", sort=False).sum()
    table["precision"] = table.tp / (table.tp + table.fp)
    table["recall"] = table.tp / (table.tp + table.fn)
    table["F1"] = 2 * table.tp / (2 * table.tp + table.fp + table.fn)
    return table


def peer(path: str) -> None:
    """Do what a scikit-image user would: Otsu, distance transform, watershed, regionprops."""
    import tifffile
    from scipy import ndimage as ndi
    from skimage.feature import peak_local_max
    from skimage.filters import gaussian, threshold_otsu
    from skimage.measure import regionprops_table
    from skimage.segmentation import watershed

    image = gaussian(tifffile.imread(path), 2)
    mask = ndi.binary_fill_holes(image > threshold_otsu(image))
    distance = gaussian(ndi.distance_transform_edt(mask), 2)
    seeds = np.zeros(mask.shape, int)
    peaks = peak_local_max(distance, min_distance=15, labels=mask.astype(int))
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    labels = watershed(-distance, seeds, mask=mask)
    regionprops_table(
        labels, properties=("area", "perimeter", "equivalent_diameter_area", "solidity", "feret_diameter_max")
    )


def timing(shape, runs) -> pd.DataFrame:
    """Whole processes on one image, ours and the peer's in turn: seconds and peak memory."""
    from morpholith.image import Image
    from morpholith.read import write_tiff

    rows = []
    with tempfile.TemporaryDirectory() as folder:
        _, field, image = specimen(0, shape)
        path = str(write_tiff(Path(folder) / "a.tif", Image(image, "yx", field.spacing)))
        ours = [sys.executable, "-c", f"from bench_powder import ours; ours({path!r})"]
        theirs = [sys.executable, "-c", f"from bench_powder import peer; peer({path!r})"]
        command = [sys.executable, "-m", "morpholith.cli", "sem", "measure", path, "--out", str(Path(folder) / "out")]
        for _ in range(runs):
            for name, what in (("morpholith", ours), ("scikit-image", theirs), ("morpholith sem measure", command)):
                rows.append({"what": name, **spent(what)})
    table = pd.DataFrame(rows).groupby("what").median()
    table["ratio_to_peer"] = table.seconds / table.seconds["scikit-image"]
    return table


def ours(path: str) -> None:
    """Read, find and measure one image."""
    from morpholith import read

    image = read.image(path)
    look(image.array, image.spacing)


def spent(command) -> dict[str, float]:
    """Wall seconds and peak resident memory of a child process."""
    start = time.perf_counter()
    child = subprocess.Popen(command, cwd=Path(__file__).parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise RuntimeError(f"{command} ended with {status}")
    return {"seconds": time.perf_counter() - start, "peak_mb": usage.ru_maxrss / 1024}


def main() -> None:
    """Run the parts and print what they found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--toy", action="store_true")
    parser.add_argument("--part", choices=("coverage", "methods", "ablation", "time"))
    parser.add_argument("--repeats", type=int, default=400)
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--methods", default="learned,classical")
    parser.add_argument("--few", type=int, default=40, help="specimens for the comparison of methods")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    shape = (240, 320) if options.toy else (960, 1280)
    repeats = 2 if options.toy else options.repeats
    workers = 1 if options.toy else options.workers
    options.results.mkdir(parents=True, exist_ok=True)
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")

    if options.part in (None, "coverage"):
        rows = run([(FIRST + k, shape, "learned", None) for k in range(repeats)], workers)
        rows.to_csv(options.results / "powder_coverage.csv", index=False)
        print(summarise(rows).T.to_string())
    if options.part in (None, "methods"):
        methods = options.methods.split(",")
        few = 2 if options.toy else min(repeats, options.few)
        jobs = [(FIRST + k, shape, m, options.checkpoint if m == "sam" else None) for m in methods for k in range(few)]
        rows = run(jobs, workers)
        rows.to_csv(options.results / "powder_methods.csv", index=False)
        print(summarise(rows).T.to_string())
    if options.part in (None, "ablation"):
        table = ablation(min(repeats, 40), shape)
        table.to_csv(options.results / "powder_ablation.csv")
        print(table.round(3).to_string())
    if options.part in (None, "time"):
        table = timing(shape, 1 if options.toy else 5)
        table.to_csv(options.results / "powder_time.csv")
        print(table.to_string())
    print(f"peak memory of this process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
