"""How often the 95 % intervals of a size distribution cover the truth, beside the plain percentile bootstrap.

python bench/bench_size_coverage.py [--toy] [--repeats N]
"""

import argparse
import os
import platform
import time
from importlib.metadata import version

import numpy as np

from morpholith.measure import miles_lantuejoul_weights, size, size_distribution

Z90 = 1.2815515655446004
NAMES = ("d10_um", "d50_um", "d90_um", "span")


def environment():
    print(f"python {platform.python_version()}, numpy {version('numpy')}, morpholith {version('morpholith')}")
    print(f"{platform.machine()}, {os.cpu_count()} cores, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS')}\n")


def truth(sigma, power):
    """Quantiles, span, geometric SD and moment means of a log-normal law of median 1."""
    z = np.array([-Z90, 0, Z90])
    d10, d50, d90 = np.exp(power * sigma**2 + sigma * z)
    means = {
        "geometric_sd": np.exp(sigma),
        "d43_um": np.exp(3.5 * sigma**2),
        "d32_um": np.exp(2.5 * sigma**2),
    }
    return {"d10_um": d10, "d50_um": d50, "d90_um": d90, "span": (d90 - d10) / d50, **means}


def coverage(draw, right, repeats, *, plain=False, n_boot=500, **options):
    """Share of repeats in which each interval holds its truth; `plain` leaves out the smoothing."""
    kept = dict(size.KERNEL)
    if plain:
        size.KERNEL.update(dict.fromkeys(size.KERNEL, 0.0))
    hits = dict.fromkeys(right, 0)
    flagged = 0
    for k in range(repeats):
        diameters, more = draw(k)
        got = size_distribution(diameters, n_boot=n_boot, rng=k, **more, **options)
        flagged += bool(got["d90_um"].warning)
        for name, value in right.items():
            hits[name] += got[name].low <= value <= got[name].high
    size.KERNEL.update(kept)
    return {name: 100 * h / repeats for name, h in hits.items()}, 100 * flagged / repeats


def by_count(repeats, counts, sigmas):
    print(
        f"coverage in % of {repeats} repeats (aim 95): d10 d50 d90 span | gsd d43 d32;"
        " plain percentiles after the stroke"
    )
    for sigma in sigmas:
        for n in counts:

            def draw(k, n=n, s=sigma):
                return np.exp(s * np.random.default_rng(k).standard_normal(n)), {}

            for basis, power in (("number", 0), ("volume", 3)):
                right = truth(sigma, power)
                ours, flagged = coverage(draw, right, repeats, basis=basis)
                plain, _ = coverage(draw, right, repeats, basis=basis, plain=True)
                text = "  ".join(f"{ours[k]:3.0f}/{plain[k]:3.0f}" for k in NAMES)
                more = "  ".join(f"{ours[k]:3.0f}" for k in ("geometric_sd", "d43_um", "d32_um"))
                print(
                    f"  sigma {sigma} n {n:4d} {basis:7s} {text}  | {more}   D90 flagged in {flagged:.0f} %",
                    flush=True,
                )


def by_images(repeats):
    print("\nseveral images that differ by sigma_b in ln(median): coverage of number D50, with images / without")
    for images, each in ((3, 20), (5, 15), (10, 15)):
        for between in (0.0, 0.05, 0.15):

            def draw(k, m=images, n=each, b=between, *, told=True):
                rng = np.random.default_rng(k)
                image = np.repeat(np.arange(m), n)
                d = np.exp(rng.normal(0, b, m)[image] + rng.normal(0, 0.3, m * n))
                return d, {"groups": image} if told else {}

            with_images, _ = coverage(draw, {"d50_um": 1.0}, repeats, n_boot=300)
            without, _ = coverage(lambda k, f=draw: f(k, told=False), {"d50_um": 1.0}, repeats, n_boot=300)
            pair = f"{with_images['d50_um']:.0f} / {without['d50_um']:.0f}"
            print(f"  {images} x {each}, sigma_b {between}: {pair}", flush=True)


def field(k, sigma=0.3, frame=(32.0, 42.7), density=0.03, margin=8.0):
    """Discs of median 5 um about one field of 1280 x 960 at 3000x: diameters, and which the frame cuts."""
    rng = np.random.default_rng(k)
    n = rng.poisson(density * (frame[0] + 2 * margin) * (frame[1] + 2 * margin))
    d = 5 * np.exp(sigma * rng.standard_normal(n))
    y, x = (rng.uniform(-margin, side + margin, n) for side in frame)
    touches = (np.minimum(y, frame[0] - y) < d / 2) | (np.minimum(x, frame[1] - x) < d / 2)
    seen = (np.minimum(y, frame[0] - y) > -d / 2) & (np.minimum(x, frame[1] - x) > -d / 2)
    return d[seen], touches[seen], frame


def by_frame(repeats):
    print("\nframe correction: mean D50 over the truth, and coverage, of single fields of about 40 particles")
    for basis, power in (("number", 0), ("volume", 3)):
        right = 5 * np.exp(power * 0.3**2)
        for corrected in (True, False):
            values, hits = [], 0
            for k in range(repeats):
                d, cut, frame = field(k)
                w = miles_lantuejoul_weights(d, d, frame_um=frame, touches_edge=cut)
                w = w if corrected else (~cut).astype(float)
                q = size_distribution(d, weights=w, basis=basis, n_boot=300, rng=k)["d50_um"]
                values.append(q.value)
                hits += q.low <= right <= q.high
            name = "Miles-Lantuejoul" if corrected else "uncorrected"
            print(
                f"  {basis:7s} {name:17s} {np.mean(values) / right:.3f}   {100 * hits / repeats:.0f} %",
                flush=True,
            )


def speed(counts):
    print("\nCPU time of one call with 2000 resamples")
    for n in counts:
        d = np.exp(0.3 * np.random.default_rng(0).standard_normal(n))
        start = time.process_time()
        size_distribution(d)
        print(f"  n {n:6d} {time.process_time() - start:.2f} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--toy", action="store_true", help="a second's worth")
    parser.add_argument("--repeats", type=int, default=400)
    options = parser.parse_args()
    repeats = 4 if options.toy else options.repeats
    environment()
    by_count(
        repeats,
        (20,) if options.toy else (20, 50, 100, 200, 500),
        (0.35,) if options.toy else (0.2, 0.35, 0.5),
    )
    by_images(repeats)
    by_frame(repeats)
    speed((100,) if options.toy else (100, 1000, 10_000))


if __name__ == "__main__":
    main()
