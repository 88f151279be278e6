"""Build validation_xanes.md and the pictures of the scan pages from bench/results and from a virtual scan.

python bench/bench_xanes.py && python bench/bench_xanes_outlines.py && python bench/bench_xanes_chemistry.py
OMP_NUM_THREADS=2 NUMBA_NUM_THREADS=2 python bench/bench_xanes_speed.py && python docs/make_validation_xanes.py
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

from morpholith import results
from morpholith.report.look import to_png
from morpholith.specimens import Scan, scan
from morpholith.workflows.virtual_scan import virtual_scan
from morpholith.workflows.xanes_map import map_states
from morpholith.workflows.xanes_register import register

DOCS = Path(__file__).resolve().parent
RESULTS = DOCS.parent / "bench" / "results"
FIGURES = DOCS / "figures"
OURS = ("morpholith", "morpholith, single frames", "pooled, mask centres", "paper 003")
MISSING = "*Not run: `bench/bench_{}.py`.*"


def bench(name: str) -> pd.DataFrame | None:
    """Return the table of a bench, or None where it was not run."""
    path = RESULTS / f"{name}.csv"
    return pd.read_csv(path) if path.exists() else None


def registration() -> str:
    """Errors by method and difficulty: ours and the paper's over all scans, the others on the first of each."""
    rows = bench("xanes_registration")
    if rows is None:
        return MISSING.format("xanes")
    parts = []
    for difficulty, own in rows.groupby("difficulty", sort=False):
        table = []
        for method, part in own.groupby("method", sort=False):
            if method == "true poses":
                continue
            # scans count alike: squares are averaged over them
            told = {n: np.sqrt((part[n] ** 2).mean()) for n in ("rmse_px", "displacement_px")}
            found = f"{part.found.sum()} of {part.there.sum()}" if method in OURS else "told"
            table.append({
                "method": method, "scans": len(part), "found": found, "false": part.false.sum() if method in OURS else "",
                "RMSE (px)": told["rmse_px"], "of displacement": told["displacement_px"],
                "largest (px)": part.max_px.max(), "measured": part.measured.mean(),
                "within one sigma": part.within_sigma.mean() if method in OURS else float("nan"),
                "SSIM": f"{part.ssim.mean():.4f}", "ms": f"{part.ms.mean():.1f}",
            })  # fmt: skip
        ceiling = own[own.method == "true poses"].ssim.mean()
        head = f"### {str(difficulty).capitalize()}"
        parts.append(f"{head}\n\n{markdown(pd.DataFrame(table))}\n\nSSIM with the true poses: {ceiling:.4f}.")
    return "\n\n".join(parts)


def speed() -> str:
    """Seconds of the clock."""
    rows = bench("xanes_speed")
    if rows is None:
        return MISSING.format("xanes_speed")
    shown = rows[["method", "what", "best_s", "median_s", "processor_s", "read", "find", "follow", "motion", "load"]]
    head = rows.iloc[0]
    told = f"{head.machine}; {head.threads} threads. `load`: processes that wanted a core; more than two slow the clock down."
    return f"{markdown(shown, 2)}\n\n{told}"


def outlines() -> str:
    """Recall, precision and overlap by method, difficulty and side of the edge."""
    rows = bench("xanes_outlines")
    if rows is None:
        return MISSING.format("xanes_outlines")
    rows["found"] = [
        f"{r:.3f}, {p:.3f}, {i:.3f}".replace("nan", "–") for r, p, i in rows[["recall", "precision", "iou"]].to_numpy()
    ]
    wide = rows.pivot_table(index=["difficulty", "side"], columns="method", values="found", aggfunc="first", sort=False)
    wide.index = [f"{difficulty}, {side}" for difficulty, side in wide.index]
    return markdown(wide.rename_axis("", axis=0).reset_index().rename(columns={"index": ""}))


def chemistry() -> str:
    """States of registered virtual scans, edges of measured spectra, and a measured stack."""
    rows = bench("xanes_chemistry")
    if rows is None:
        return MISSING.format("xanes_chemistry")
    states = rows[rows.what.str.startswith("state")].copy()
    states["scan"] = states.specimen.str.extract(r"^(.*), particle", expand=False)
    table = []
    for (what, name), part in states.groupby(["what", "scan"], sort=False):
        table.append({
            "": what, "scan": name, "particles": len(part), "RMSE": np.sqrt((part.off**2).mean()), "mean": part.off.mean(),
            "scatter": part.off.std(), "largest": part.off.abs().max(),
            "RMSE, same area": np.sqrt((part.off_same_area**2).mean()), "standard error": part.standard_error.mean(),
            "of the shift": part.common_error.mean(), "within one": part.within.astype(float).mean(),
            "with that of the shift": part.within_with_common.astype(float).mean(),
        })  # fmt: skip
    rest = rows[~rows.what.str.startswith("state")][["what", "specimen", "truth", "found", "off"]]
    return f"{markdown(pd.DataFrame(table))}\n\n{markdown(rest)}"


def pictures(folder: Path) -> None:
    """Register and map a virtual scan and keep the pictures of its reports; and the figure of the bench."""
    made = scan(Scan.of("typical"), rng=1401)
    drawn = results.write(virtual_scan(made), folder / "scan", command="virtual scan", options={})
    registered = register([drawn / "scan.h5"])
    wanted = {f"xanes_{n}": registered.figures[n] for n in ("particles", "paths", "velocities", "differences", "sigma")}
    wanted |= {f"xanes_{n}": registered.figures[n] for n in ("trajectories", "deformation")}
    where = results.write(registered, folder / "registered", command="xanes register", options={})
    found = map_states(where, references=drawn / "references")
    wanted |= {"xanes_maps": found.figures["maps"], "xanes_radial": found.figures["radial"]}
    for name, figure in wanted.items():
        keep(Picture.open(io.BytesIO(to_png(figure.picture))), name)
    if (RESULTS / "xanes_registration.png").exists():
        keep(Picture.open(RESULTS / "xanes_registration.png"), "xanes_registration")


def keep(picture, name: str) -> None:
    picture = picture.convert("RGB")
    picture.thumbnail((1400, 1400))
    picture.save(FIGURES / f"{name}.jpg", quality=82)


PAGE = """# Validation: scans

Built by `docs/make_validation_xanes.py` from `bench/results` and from virtual scans with exact truth
([what they are](methods_specimens_scan.md)). Seeds are used nowhere else; no threshold was set on them and no network saw them.

## Positions against the truth

`bench/bench_xanes.py`: 143 energies, 460 x 460 pixels, nine particles. *morpholith* is what `xanes register` does by default;
*single frames* leaves out the smoothing over frames; *mask centres* takes the centres of mass of the same masks; *paper 003* is
the way of the paper (Cycle-GAN, Dual U-Net, centres of mass, every frame for itself) with the weights that are shipped. None of
these is told anything. The others are told where each particle is in the first frame and how far it goes, and see the
frame after the white line as reference; the slow ones (SIFT, optical flow) see three particles.

RMSE is that of a position per axis, the mean offset of each particle taken off, in frames in which the method says that it saw
the particle (`measured`); "of displacement" is that of the displacement from the first frame. 0.68 of the errors should lie within one sigma. SSIM is the similarity of neighbouring aligned frames as the
report states it. It is high for every method that does not fail outright, which is why errors in pixels come first. ms are
milliseconds of the processor for a particle and frame.

{registration}

![Differential maps of one particle, errors of all methods, similarity over the frames](figures/xanes_registration.jpg)

## Seconds

`bench/bench_xanes_speed.py`: 100 energies, 460 x 460, nine particles, from the file of counts to `motion.csv` (*stages*),
with the start of Python (*process*), and the whole command with aligned stacks, figures, film and report (*command*). Paper 003
states less than 10 s for 100 such frames. The others return displacements alone, from windows in memory.

{speed}

## Outlines

`bench/bench_xanes_outlines.py`: recall, precision and median overlap (IoU) of particles in single frames, three below the edge and
three above it in each of four scans. A particle is found where the overlap exceeds one half. In every other scan, and in all `hard`
ones, a pair touches.

{outlines}

![Outlines in frames across the edge](figures/xanes_particles.jpg)

## Chemistry

`bench/bench_xanes_chemistry.py`: typical scans through `xanes register` and `xanes map`; the mean state of each particle (0 to 1)
against its true projected state, with the shift of the energy axis fitted and with it given (`--shift`); *scatter* is the
standard deviation of the errors within a scan, *same area* the error against the truth of as many pixels as were counted, the
deepest ones, because the outlines of `pooled` are tight and a core weighs more in them, *within one* the share of particles
within their standard error, and beside it the same with the error added that the shift puts on all of them. Standard errors
of the mean state are far too small: they do not know of tight outlines, and of what all particles of a scan share. Then the
energy shift (0 is true), edges and white lines of measured reference spectra against tabulated values, and a measured stack of LiFePO4 with a library of eleven references, whose "truth" is what a fit with
non-negative weights gives at a fixed shift.

{chemistry}

![States of the particles of a virtual scan](figures/xanes_maps.jpg)

![From the middle to the outline](figures/xanes_radial.jpg)

## What the report shows

![Ways of the particles](figures/xanes_paths.jpg)

![Velocities](figures/xanes_velocities.jpg)

![Last less first frame, before and after](figures/xanes_differences.jpg)

![Standard errors over energy](figures/xanes_sigma.jpg)

![Trajectories in the field](figures/xanes_trajectories.jpg)

![Deformation of the field](figures/xanes_deformation.jpg)
"""


def main() -> None:
    """Build the page."""
    FIGURES.mkdir(exist_ok=True)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        pictures(Path(folder))
    page = PAGE.format(registration=registration(), speed=speed(), outlines=outlines(), chemistry=chemistry())
    (DOCS / "validation_xanes.md").write_text(page)


if __name__ == "__main__":
    main()
