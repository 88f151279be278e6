"""Build validation_particles.md and the pictures of the particle pages from bench/results and the shipped model.

python bench/bench_particles_truth.py && python bench/bench_diagram_fit.py && python bench/bench_markers.py
python bench/bench_mesh.py && python bench/bench_power_diagram.py && python docs/make_validation_particles.py
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
from make_validation import markdown
from PIL import Image as Picture

from morpholith import generate, measure
from morpholith.report.law import QUANTITIES
from morpholith.report.look import to_png
from morpholith.report.particles import cut_open

DOCS = Path(__file__).resolve().parent
RESULTS = DOCS.parent / "bench" / "results"
FIGURES = DOCS / "figures"
MISSING = "*Not run: `bench/bench_{}.py`.*"


def bench(name: str) -> pd.DataFrame | None:
    """Return the table of a bench, or None where it was not run."""
    path = RESULTS / f"{name}.csv"
    return pd.read_csv(path) if path.exists() else None


def truth() -> str:
    """Hidden 3D truth beside what sections told: how many intervals hold, and the main numbers."""
    rows, runs = bench("particles_truth"), bench("particles_truth_runs")
    if rows is None or runs is None:
        return MISSING.format("particles_truth")
    first = runs.iloc[0]
    told = (
        f"{len(runs)} sets of {first.sections} maps (particles of {first.diameter_um:g} um, grains of {first.size_um:g} um, "
        f"steps of 0.05 um, a typical instrument), {first.budget} simulations each. Numbers are {len(rows) // len(runs)} "
        "quantiles and means of the grains in 3D."
    )
    share = [
        {
            "architecture": kind, "sets": len(part), "within 95 %": part.held.mean(),
            "p of misfit, least": part.misfit_p.min(), "effective simulations": part.effective.mean(),
        }
        for kind, part in runs.groupby("kind", sort=False)
    ]  # fmt: skip
    parts = [told, markdown(pd.DataFrame(share), 3)]
    for kind, part in rows.groupby("kind", sort=False):
        table = []
        for name, text in QUANTITIES.items():
            own = part[part.quantity == name]
            ratio = own["median"] / own["truth"]
            table.append({
                "number": text, "true": own["truth"].mean(), "told, median": own["median"].mean(),
                "told / true": ratio.mean(), "interval, mean width / true": ((own.high - own.low) / own.truth).mean(),
                "within": f"{int(own.held.sum())} of {len(own)}", "told at all": ", ".join(sorted(set(own.identifiable))),
            })  # fmt: skip
        parts.append(f"### {str(kind).capitalize()}\n\n{markdown(pd.DataFrame(table), 3)}")
    return "\n\n".join(parts)


def fits() -> str:
    """Pixels that planar diagrams meet, and how long they take."""
    rows = bench("diagram_fit")
    return MISSING.format("diagram_fit") if rows is None else markdown(rows, 3)


def speed() -> str:
    """Seconds of drawing, labelling and meshing."""
    parts = []
    diagrams = bench("power_diagram")
    if diagrams is not None:
        columns = [
            "grains",
            "side",
            "ball",
            "power",
            "threads",
            "seconds",
            "cpu_seconds",
            "brute_seconds",
            "compared",
            "equal",
        ]
        peer = [c for c in ("pyapd_seconds", "pyapd_alike") if c in diagrams]
        parts.append("### Power diagrams\n\n" + markdown(diagrams[[*columns, *peer]], 3))
    for name, title in (
        ("shells", "Shells"),
        ("markers", "Markers of the network"),
        ("gan_step", "Training of the GAN"),
    ):
        rows = bench(name)
        if rows is not None:
            parts.append(f"### {title}\n\n{markdown(rows, 8)}")
    mesh = bench("mesh")
    if mesh is not None:
        columns = ["what", "cell_um", "seconds", "tets", "grains", "min_dihedral_deg", "percentile_1_dihedral_deg",
                   "volume_error", "area_error", "grain_volume_error"]  # fmt: skip
        parts.append("### Meshes\n\n" + markdown(mesh[columns], 4))
    return "\n\n".join(parts)


def picture() -> None:
    """A particle of the shipped model, cut open."""
    model = generate.load_model("nmc811-like")
    many = [generate.particle(model, seed=0, number=k, voxel_um=0.1) for k in range(1, 9)]
    largest = int(np.argmax([p.n_grains for p in many])) + 1
    one = generate.particle(model, seed=0, number=largest, voxel_um=0.035)
    grains = measure.grain_shapes_3d(one.labels, spacing=one.voxel_um, centre_um=tuple(-one.origin_um))
    png = to_png(
        lambda: cut_open(
            one.labels, voxel_um=one.voxel_um, values=grains["alpha_long_deg"].to_dict(),
            name="longest axis to the radius (deg)",
        )
    )  # fmt: skip
    Picture.open(io.BytesIO(png)).convert("RGB").save(FIGURES / "particle_cut_open.jpg", quality=88)


def main() -> None:
    """Write the page and the picture."""
    picture()
    page = f"""# Validation: particles

Built by `docs/make_validation_particles.py` from `bench/results`.

## The truth test

Virtual particles with known grains are cut through their centres and mapped by a virtual EBSD instrument. The model sees nothing
but the maps; the truth is every whole grain of the same particles in 3D. The particles are no diagrams of the fitted family:
boundaries wander, neighbours share their sizes, seeds keep a distance. What the law allows for that was set on seeds 100 and 101;
these are others.

{truth()}

"told at all": whether the interval is narrower than the prior's (yes, weakly, no).

## Diagrams fitted to sections

Share of pixels that a planar diagram meets; `filled`: of missing pixels, where the truth is known.

{fits()}

## Speed

{speed()}
"""
    (DOCS / "validation_particles.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
