"""Build validation_xct.md and the pictures of the electrode pages from bench/results and from virtual electrodes.

python bench/bench_electrode.py && python bench/bench_tortuosity.py && python bench/bench_particles3d.py
python bench/bench_phases.py && python bench/bench_radial.py && python docs/make_validation_xct.py
"""

from __future__ import annotations

import io
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from make_validation import markdown
from PIL import Image as Picture

from morpholith import measure
from morpholith.image import Image
from morpholith.read import write_tiff
from morpholith.report.look import to_png
from morpholith.specimens import Electrode, Tomograph, cycled, electrode, tomogram
from morpholith.workflows import xct

DOCS = Path(__file__).resolve().parent
RESULTS = DOCS.parent / "bench" / "results"
FIGURES = DOCS / "figures"


def closed_forms() -> pd.DataFrame:
    """tau where it is known exactly, by voxels along the edge."""
    from morpholith.specimens import inclined_channels, laminate, sphere_packing, straight_channels

    rows = []
    block = np.ones((20, 30, 40), bool)
    cases = [("full block", block, (0.3, 0.5, 0.9), 1.0)]
    box = {"shape": (40, 42, 44), "spacing": (1.0, 0.8, 0.6)}
    for name, made in (
        ("straight channels", straight_channels(**box, width_voxels=4, wall_voxels=3)),
        ("laminate along the layers", laminate(**box, pore_voxels=3, solid_voxels=4, axis=1)),
        ("inclined slit, 35 degrees", inclined_channels((80, 80, 20), spacing=0.5, width_um=10.0, angle_deg=35.0)),
        ("simple cubic spheres, 0.4 solid, 48 voxels an edge", sphere_packing(48, solid=0.4)),
        ("simple cubic spheres, 0.4 solid, 96 voxels an edge", sphere_packing(96, solid=0.4)),
    ):
        cases.append((name, made.pore, made.spacing, made.tau))
    for name, pore, spacing, truth in cases:
        found = measure.tortuosity_budget(pore, axis=0, spacing=spacing)
        rows.append(
            {
                "specimen": name, "shape": " x ".join(map(str, pore.shape)), "exact": truth, "tau": found.solution.tau,
                "extrapolated": found.extrapolated, "low": found.tau.low, "high": found.tau.high,
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def spheres() -> pd.DataFrame:
    """Surface and sphericity of digitised spheres at random places, cubic and flat voxels."""
    rng = np.random.default_rng(0)
    rows = []
    for r in (3, 5, 8, 12, 20, 40):
        for spacing in ((1.0, 1.0, 1.0), (2.0, 1.0, 1.0)):
            area, shape = [], []
            for _ in range(8):
                n = [int(2 * r / s) + 7 for s in spacing]
                centre = [(k / 2 + rng.uniform(-0.5, 0.5)) * s for k, s in zip(n, spacing, strict=True)]
                grid = np.meshgrid(*[np.arange(k) * s for k, s in zip(n, spacing, strict=True)], indexing="ij")
                mask = sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)) < r * r
                volume = mask.size * np.prod(spacing)
                area.append(measure.specific_surface(mask, spacing=spacing).value * volume / (4 * np.pi * r * r))
                shape.append(measure.solid_particles(mask.astype(np.int32), spacing=spacing)["sphericity"].iloc[0])
            rows.append(
                {
                    "r": r, "voxel": " x ".join(f"{s:g}" for s in spacing), "area over exact": np.mean(area),
                    "SD": np.std(area), "sphericity": np.mean(shape),
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def pictures(folder: Path) -> None:
    """Measure and compare a virtual electrode and keep the pictures of its reports."""
    spacing = (0.4, 0.4, 0.4)
    before = electrode(Electrode(size_um=(56.0, 56.0, 56.0), binder=0.0, cracked=0.15), rng=1)
    after = cycled(before, expansion=0.1, expansion_sd=0.03, rotation_deg=1.0, crack_fraction=0.2, rng=2)
    paths = []
    for name, packing, seed in (("pristine", before, 1), ("cycled", after, 2)):
        grey = tomogram(packing, Tomograph.of("typical", spacing=spacing), rng=seed)
        paths.append(write_tiff(folder / f"{name}.tif", Image(grey, "zyx", spacing)))
    measured = xct.measure(paths[0], composition="NMC811:94,carbon:2,PTFE:4", density=3.42, discharge=True)
    compared = xct.compare(*paths)
    wanted = {
        "xct_slices": measured.figures["slices"], "xct_rendering": measured.figures["rendering"],
        "xct_budget": measured.figures["tortuosity_budget"], "xct_potential": measured.figures["potential"],
        "xct_histogram": measured.figures["histogram"], "xct_layers": measured.figures["layers"],
        "xct_discharge": measured.figures["discharge"], "xct_mass_balance": measured.figures["mass_balance"],
        "xct_pairs": compared.figures["who_is_who"], "xct_expansion": compared.figures["expansion"],
        "xct_grey_levels": compared.figures["grey_levels"],
    }  # fmt: skip
    for name, figure in wanted.items():
        picture = Picture.open(io.BytesIO(to_png(figure.picture))).convert("RGB")
        picture.thumbnail((1400, 1400))
        picture.save(FIGURES / f"{name}.jpg", quality=82)


def table(name: str, note: str) -> str:
    """Return a bench's table in Markdown, or how to make it."""
    path, printed = RESULTS / f"{name}.csv", RESULTS / f"{name}.txt"
    if path.exists():
        body = markdown(pd.read_csv(path))
    else:
        body = (
            f"```\n{printed.read_text().strip()}\n```" if printed.exists() else f"*Not run: `bench/bench_{name}.py`.*"
        )
    return f"{body}\n\n{note}"


PAGE = """# Validation: electrodes

Built by `docs/make_validation_xct.py` from `bench/results` and from specimens with exact truth.

## Every number against its truth

{electrode}

![Slices of a virtual electrode with what was found](figures/xct_slices.jpg)

## Transport where it is known exactly

{closed}

Voxels make curved pores too tortuous: at first order in the voxel size, and by more than the solver's error by orders of
magnitude. `extrapolated` is what the budget makes of it.

![Error budget of the tortuosity factors](figures/xct_budget.jpg)

![Potential in the pores](figures/xct_potential.jpg)

## Surface and shape of spheres

{spheres}

## The solver against its peers

{tortuosity}

## Particles against peers

{particles}

## Phases of real nano-CT slices

{phases}

## Radial grey profiles

{radial}

## Expansion over cycling

![The same slice before and after](figures/xct_pairs.jpg)

![Expansion of each particle](figures/xct_expansion.jpg)

## Battery model

![Discharge with the spread that the intervals put on it](figures/xct_discharge.jpg)
"""


def main() -> None:
    """Build the page."""
    FIGURES.mkdir(exist_ok=True)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        pictures(Path(folder))
        page = PAGE.format(
            electrode=table(
                "electrode",
                "Virtual electrodes of random packing, size, shape and voxel (`bench/bench_electrode.py`). Porosity, active "
                "fraction and surface are held against the volume itself, though their intervals are for the material and so "
                "wider than needed for that; diameters against the population; tau against the same electrode on finer "
                "voxels, extrapolated.",
            ),
            closed=markdown(closed_forms(), 4),
            spheres=markdown(spheres(), 4),
            tortuosity=table(
                "tortuosity", "Whole solves on one machine at the stated tolerance (`bench/bench_tortuosity.py`)."
            ),
            particles=table(
                "particles3d", "Rough ellipsoids as in `bench/bench_particles3d.py`; each method in its own process."
            ),
            phases=table("phases", "Labels made by a machine and noisy: about 0.8 to 0.9 is what they allow."),
            radial=table("radial", "One pass over all particles (`bench/bench_radial.py`)."),
        )
    (DOCS / "validation_xct.md").write_text(page)


if __name__ == "__main__":
    main()
