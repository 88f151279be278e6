"""Texture under detector gain, noise and magnification, beside the raw wavelet energy of paper 000.

python bench/bench_texture.py [--toy]
"""

import argparse
import os
import platform
import time
from importlib.metadata import version

import numpy as np

from morpholith.measure import texture, texture_energy_raw
from morpholith.specimens.shapes import discs
from morpholith.specimens.surfaces import Spectrum, gaussian_surface

PIXEL = 1 / 30  # um, 3000x on a JCM-6000
SURFACES = {
    "needles, 0.2 um": Spectrum(0.2),
    "plates, 0.4 um": Spectrum(0.4),
    "polyhedra, 0.8 um": Spectrum(0.8),
    "mixed": (Spectrum(0.2, sd=0.7), Spectrum(0.8, sd=0.7)),
}


def environment():
    names = ("numpy", "scipy", "PyWavelets", "morpholith")
    print(f"python {platform.python_version()}, {', '.join(f'{n} {version(n)}' for n in names)}")
    print(f"{platform.machine()}, {os.cpu_count()} cores, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS')}\n")


def view(surface, side_um, pixel=PIXEL):
    n = int(side_um / pixel)
    return 100 + 12 * surface.render((n, n), spacing=pixel, origin_um=(0.5, 0.5))


def changes(side_um):
    """Relative change of both measures when the picture of one surface is taken differently."""
    rng = np.random.default_rng(0)
    print(f"change of texture | change of raw energy; one surface of {side_um} um seen differently")
    for name, spectra in SURFACES.items():
        surface = gaussian_surface(spectra, extent_um=(side_um + 2, side_um + 2.5), rng=1)
        base = view(surface, side_um)
        t0 = texture(base, spacing=PIXEL).iloc[0]
        r0 = texture_energy_raw(base)
        views = {
            "gain 0.5": (0.5 * base, PIXEL),
            "gain 2": (2 * base, PIXEL),
            "offset +60": (base + 60, PIXEL),
            "gamma 0.8": (200 * (base / 200) ** 0.8, PIXEL),
            "gamma 1.25": (200 * (base / 200) ** 1.25, PIXEL),
            "8 bit, gain 0.5": (np.round(0.5 * base).clip(0, 255).astype(np.uint8), PIXEL),
            "noise SD 0.5 x": (base + rng.normal(0, 6, base.shape), PIXEL),
            "noise SD 1 x": (base + rng.normal(0, 12, base.shape), PIXEL),
            "pixel x 0.8": (view(surface, side_um, PIXEL * 0.8), PIXEL * 0.8),
            "pixel x 1.25": (view(surface, side_um, PIXEL * 1.25), PIXEL * 1.25),
            "15000x": (view(surface, side_um, PIXEL / 5), PIXEL / 5),
        }
        print(f"\n  {name}: texture {t0.texture:.3f} +- {t0.texture_se:.3f}, raw {r0:.3g}")
        for what, (image, pixel) in views.items():
            t, r = texture(image, spacing=pixel).iloc[0].texture, texture_energy_raw(image)
            print(f"    {what:18s} {t / t0.texture - 1:+8.4f}  |  {r / r0 - 1:+8.3f}")


def particles_of_all_sizes(repeats, diameters):
    """Bias on round particles with a bright limb, against the same surface without edges."""
    print("\nround particles under a bright limb on a dark ground: texture, mean of", repeats)
    rng = np.random.default_rng(2)
    for name, spectra in SURFACES.items():
        field = np.mean(
            [
                texture(view(gaussian_surface(spectra, extent_um=(15, 15), rng=k), 12.0), spacing=PIXEL).texture.iloc[0]
                for k in range(3)
            ]
        )
        line = f"  {name:20s} whole field {field:.3f};"
        for d in diameters:
            found = []
            for k in range(repeats):
                n = int(1.2 * d / PIXEL)
                c = n * PIXEL / 2
                s = discs((n, n), spacing=PIXEL, centres_um=[(c, c)], radii_um=[d / 2])
                y, x = np.mgrid[:n, :n] * PIXEL - c
                limb = np.clip(1 - (y**2 + x**2) / (d / 2) ** 2, 0.02, 1) ** -0.25
                surface = gaussian_surface(spectra, extent_um=(1.4 * d, 1.5 * d), rng=k)
                grey = 100 * limb + 12 * surface.render((n, n), spacing=PIXEL) + rng.normal(0, 4, (n, n))
                found.append(texture(np.where(s.labels > 0, grey, 20), s.labels, spacing=PIXEL).texture.iloc[0])
            line += f"  {d:g} um {np.mean(found):.3f} +- {np.std(found):.3f}"
        print(line)


def speed(shape, n):
    rng = np.random.default_rng(3)
    surface = gaussian_surface(Spectrum(0.3), extent_um=(shape[0] * PIXEL, shape[1] * PIXEL), rng=1, finest_um=0.1)
    image = 100 + 12 * surface.render(shape, spacing=PIXEL)
    centres = rng.uniform(0.1, 0.9, (n, 2)) * np.array(shape) * PIXEL
    s = discs(shape, spacing=PIXEL, centres_um=centres, radii_um=rng.uniform(1.5, 4, n))
    print(f"\nCPU time of {shape[1]} x {shape[0]} with {n} particles, best of 3")
    for name, run in (
        ("texture of every particle", lambda: texture(image, s.labels, spacing=PIXEL)),
        ("raw energy of the whole image", lambda: texture_energy_raw(image)),
    ):
        run()
        times = []
        for _ in range(3):
            start = time.process_time()
            run()
            times.append(time.process_time() - start)
        print(f"  {name:32s} {1e3 * min(times):7.1f} ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--toy", action="store_true", help="a few seconds' worth")
    toy = parser.parse_args().toy
    environment()
    changes(5.0 if toy else 16.0)
    particles_of_all_sizes(1 if toy else 20, (4.0,) if toy else (3.0, 4.0, 6.0, 10.0))
    speed(*((240, 320), 4) if toy else ((960, 1280), 40))


if __name__ == "__main__":
    main()
