"""Circularity of shapes with known answers, and the time it takes, beside scikit-image's two perimeters.

python bench/bench_circularity.py [--toy]
"""

import argparse
import os
import platform
import time
from importlib.metadata import version

import numpy as np
from skimage.measure import regionprops_table

from morpholith.measure import particles
from morpholith.specimens.shapes import discs, ellipses, polygons, rectangle, regular_polygon


def environment():
    names = ("numpy", "numba", "scikit-image", "morpholith")
    print(f"python {platform.python_version()}, {', '.join(f'{n} {version(n)}' for n in names)}")
    print(f"{platform.machine()}, {os.cpu_count()} cores, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS')}\n")


def crowd(draw, n, reach_px, rng, spacing=(1.0, 1.0)):
    """`n` shapes on a lattice at random sub-pixel places; `draw(frame, centres)` makes the specimen."""
    pitch = int(2 * reach_px + 8)
    side = int(np.ceil(np.sqrt(n)))
    cell = np.stack(np.divmod(np.arange(n), side), axis=-1)
    centres = (pitch * (cell + 0.5) + rng.random((n, 2))) * spacing
    return draw((side * pitch + 2, side * pitch + 2), centres)


def peers(labels):
    table = regionprops_table(labels, properties=("area", "perimeter", "perimeter_crofton"))
    return [4 * np.pi * table["area"] / table[p] ** 2 for p in ("perimeter", "perimeter_crofton")]


def row(name, specimen):
    truth = specimen.truth.circularity.to_numpy()
    ours = particles(specimen.labels, spacing=specimen.spacing).circularity.to_numpy()
    errors = [ours - truth]
    if specimen.spacing[0] == specimen.spacing[1]:
        errors += [c - truth for c in peers(specimen.labels)]
    print(f"{name:28s}", "   ".join(f"{e.mean():+.4f} +- {e.std():.4f}" for e in errors))


def accuracy(n, radii):
    rng = np.random.default_rng(0)
    print("error of circularity: mean +- SD of", n, "shapes (fewer above 50 px)")
    print(f"{'':28s} {'morpholith':18s}  {'perimeter':18s}  perimeter_crofton")
    for r in radii:
        m = n if r <= 50 else max(4, n // 8)

        def turned(make, c, rng=rng):
            return [make(centre, rng.uniform(0, 180)) for centre in c]

        cases = {
            f"disc r={r}": lambda f, c, r=r, m=m: discs(f, spacing=1, centres_um=c, radii_um=np.full(m, float(r))),
            f"square of equal area r={r}": lambda f, c, r=r: polygons(
                f,
                spacing=1,
                vertices_um=turned(lambda p, a: rectangle(1.77 * r, 1.77 * r, centre_um=p, angle_deg=a), c),
            ),
            f"rectangle 3:1 r={r}": lambda f, c, r=r: polygons(
                f,
                spacing=1,
                vertices_um=turned(lambda p, a: rectangle(3.07 * r, 1.02 * r, centre_um=p, angle_deg=a), c),
            ),
        }
        for k in (5, 7, 9):
            cases[f"{k}-gon r={r}"] = lambda f, c, r=r, k=k: polygons(
                f,
                spacing=1,
                vertices_um=turned(lambda p, a: regular_polygon(k, radius_um=r, centre_um=p, angle_deg=a), c),
            )
        for aspect in (1.5, 3.0):
            cases[f"ellipse {aspect}:1 r={r}"] = lambda f, c, r=r, a=aspect, m=m: ellipses(
                f,
                spacing=1,
                centres_um=c,
                semi_axes_um=np.tile([r * a**0.5, r * a**-0.5], (m, 1)),
                angles_deg=rng.uniform(0, 180, m),
            )
        for name, draw in cases.items():
            row(name, crowd(draw, m, 1.8 * r, rng))
        for ratio in (1.25, 2.0):
            spacing = (ratio**-0.5, ratio**0.5)
            draw = lambda f, c, r=r, m=m, s=spacing: discs(  # noqa: E731
                f, spacing=s, centres_um=c, radii_um=np.full(m, float(r))
            )
            row(f"disc r={r}, pixels 1:{ratio}", crowd(draw, m, r / min(spacing), rng, spacing))


def speed(side, n):
    rng = np.random.default_rng(1)
    pitch = side / np.ceil(np.sqrt(n))
    cell = np.stack(np.divmod(np.arange(n), int(np.ceil(np.sqrt(n)))), axis=-1)
    s = discs(
        (side, side),
        spacing=1,
        centres_um=pitch * (cell + 0.5),
        radii_um=rng.uniform(0.17, 0.47, n) * pitch,
    )
    print(f"\nCPU time of {n} particles in {side} x {side}, best of 3")
    for name, run in (
        ("morpholith particles, 17 columns", lambda: particles(s.labels, spacing=1)),
        (
            "regionprops area, perimeter",
            lambda: regionprops_table(s.labels, properties=("area", "perimeter")),
        ),
        (
            "regionprops area, perimeter_crofton",
            lambda: regionprops_table(s.labels, properties=("area", "perimeter_crofton")),
        ),
        (
            "regionprops + solidity, Feret",
            lambda: regionprops_table(
                s.labels,
                properties=("area", "perimeter", "solidity", "feret_diameter_max", "axis_major_length"),
            ),
        ),
    ):
        run()
        times = []
        for _ in range(3):
            start = time.process_time()
            run()
            times.append(time.process_time() - start)
        print(f"  {name:38s} {1e3 * min(times):7.1f} ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--toy", action="store_true", help="a second's worth")
    toy = parser.parse_args().toy
    environment()
    accuracy(9 if toy else 100, (8,) if toy else (5, 8, 12, 20, 40, 80, 160))
    speed(*(256, 16) if toy else (2048, 500))


if __name__ == "__main__":
    main()
