"""Build validation.md and the pictures of the docs from bench/results and, where they are, the real micrographs.

python bench/bench_powder.py && python bench/bench_real.py && python docs/make_validation.py
"""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

DOCS = Path(__file__).resolve().parent
BENCH = DOCS.parent / "bench"
FIGURES = DOCS / "figures"
DATA = Path(os.environ.get("MORPHOLITH_DATA", DOCS.parents[1] / "shared" / "data"))
sys.path.insert(0, str(BENCH))

from bench_powder import look, specimen, summarise  # noqa: E402 - found through the line above

from morpholith import measure, segment  # noqa: E402
from morpholith.specimens import Habit, Microscope, Powder, discs, micrograph, scene  # noqa: E402


def markdown(table: pd.DataFrame, digits: int = 3) -> str:
    """Return a table in Markdown; numbers rounded, missing ones as a dash."""

    def cell(v):
        if isinstance(v, float):
            return "–" if np.isnan(v) else f"{v:.{digits}f}".rstrip("0").rstrip(".") or "0"
        return str(v)

    head = [str(c) for c in table.columns]
    rows = [[cell(v) for v in row] for row in table.itertuples(index=False)]
    lines = ["| " + " | ".join(r) + " |" for r in [head, ["---"] * len(head), *rows]]
    return "\n".join(lines)


def circularity_of_discs() -> pd.DataFrame:
    """Mean +- SD of 4 pi A / P^2 over discs at random sub-pixel centres, by estimator."""
    from skimage.measure import regionprops_table

    rng = np.random.default_rng(0)
    rows = []
    for r in (5, 8, 12, 20, 40, 80, 160):
        n, many = int(2 * r + 14), 24 if r < 80 else 8
        found: dict[str, list[float]] = {}
        for _ in range(many):
            s = discs((n, n), spacing=1.0, centres_um=[tuple(n / 2 + rng.uniform(-0.5, 0.5, 2))], radii_um=[r])
            p = regionprops_table(s.labels, properties=("area", "perimeter", "perimeter_crofton"))
            values = {
                "form (sem measure)": measure.form_circularity(s.labels, spacing=(1.0, 1.0))[0],
                "outline (measure.particles)": measure.particles(s.labels, spacing=1.0).circularity.iloc[0],
                "scikit-image perimeter": 4 * np.pi * p["area"][0] / p["perimeter"][0] ** 2,
                "scikit-image perimeter_crofton": 4 * np.pi * p["area"][0] / p["perimeter_crofton"][0] ** 2,
            }
            for k, v in values.items():
                found.setdefault(k, []).append(float(v))
        rows.append({"radius (px)": str(r)} | {k: f"{np.mean(v):.3f} ± {np.std(v):.3f}" for k, v in found.items()})
    return pd.DataFrame(rows)


def texture_views() -> pd.DataFrame:
    """Mean texture of one powder seen with other detector settings and magnifications, through the whole chain."""
    rows = []
    for habit in (Habit("needle", 0.08, 0.5), Habit("plate", 0.15, 0.7), Habit("polyhedral", 0.4, 0.7)):
        powder = Powder(d50_um=5.0, geometric_sd=1.2, habit=habit, coverage=0.4)
        images = {}
        for magnification in (2400, 3000, 3750):
            m = Microscope(magnification=magnification, probe_um=0.03)
            fields = [scene(powder, shape=m.shape, spacing=m.spacing, rng=k) for k in range(3)]
            images[magnification] = [(micrograph(f, m, rng=k).astype(float), f.spacing) for k, f in enumerate(fields)]
        base = images[3000]
        views = {
            "gain x0.5, offset +40": [(0.5 * a + 40, s) for a, s in base],
            "gain x2, offset -30": [(2 * a - 30, s) for a, s in base],
            "magnification x0.8": images[2400],
            "magnification x1.25": images[3750],
        }
        reference, spread = _texture(base)
        row = {"surface": f"{habit.kind}, {habit.thickness_um} um", "texture": f"{reference:.3f} ± {spread:.3f}"}
        rows.append(row | {k: f"{100 * (_texture(v)[0] / reference - 1):+.2f} %" for k, v in views.items()})
    return pd.DataFrame(rows)


def _texture(views):
    values = np.concatenate([look(a, s)[1].texture.dropna() for a, s in views])
    return values.mean(), values.std() / np.sqrt(len(values))


def draw_outlined(array, spacing, path, *, method="learned", checkpoint=None, label="diameter (µm)", width=9):
    """Save a micrograph with the outlines a method finds."""
    from morpholith.report.style import micrograph as show
    from morpholith.report.style import micrograph_figure, outlines, style, to_png

    found = segment.particles(array, spacing=spacing, method=method, checkpoint=checkpoint)
    table = measure.field(array, found.labels, found.contacts, spacing=spacing, score=found.score)
    with style():
        figure = micrograph_figure(array.shape, width=width)
        ax = figure.subplots()
        show(ax, array, spacing=spacing)
        if spacing == (1.0, 1.0):  # no scale is known: a bar in um would be a lie
            for bar in list(ax.artists):
                bar.remove()
        outlines(ax, found.labels, table.diameter_um, label=label, rejected=table.rejected)
        path.write_bytes(_smaller(to_png(figure)))


def _smaller(png: bytes, width: int = 1100) -> bytes:
    """Return the picture as JPEG at a size fit for a page."""
    import io

    from PIL import Image

    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture = picture.resize((width, round(width * picture.height / picture.width)), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=85, optimize=True)
    return out.getvalue()


def side_by_side(real, path) -> None:
    """Save a real micrograph beside virtual ones: what a microscopist should not tell apart at a glance."""
    from PIL import Image

    tiles = [Image.fromarray(real[:640, :853]).resize((640, 480))]
    cases = [
        (Powder(d50_um=2.6, geometric_sd=1.5, circularity_mean=0.96, habit=Habit("polyhedral", 0.1, 0.3)), 3000, 11),
        (Powder(d50_um=4.5, geometric_sd=1.3, habit=Habit("plate", 0.1, 0.7), coverage=0.55), 3000, 4),
        (Powder(d50_um=7.0, habit=Habit("needle", 0.09, 0.8), coverage=0.9), 15000, 2),
    ]
    for powder, magnification, seed in cases:
        m = Microscope(magnification=magnification)
        s = scene(powder, shape=m.shape, spacing=m.spacing, rng=seed)
        tiles.append(Image.fromarray(micrograph(s, m, rng=seed)).resize((640, 480)))
    sheet = Image.new("L", (1290, 970), 255)
    for k, tile in enumerate(tiles):
        sheet.paste(tile, (650 * (k % 2), 490 * (k // 2)))
    sheet.save(path, quality=88, optimize=True)


def pictures() -> None:
    """Save every picture of the docs."""
    FIGURES.mkdir(exist_ok=True)
    _, field, image = specimen(4)
    draw_outlined(image, field.spacing, FIGURES / "virtual_outlines.jpg")
    folder = DATA / "sem" / "ampis"
    if not folder.is_dir():
        return
    from morpholith import read

    real = read.image(folder / "Sc1Tile_001-001-000_0-000.png", pixel_size=1.0).array
    side_by_side(real, FIGURES / "side_by_side.jpg")
    for method in ("learned", "classical", "sam"):
        checkpoint = DATA / "weights" / "mobile_sam.pt" if method == "sam" else None
        path = FIGURES / f"real_{method}.jpg"
        draw_outlined(real, (1.0, 1.0), path, method=method, checkpoint=checkpoint, label="diameter (px)")


NAMES = {
    "specimens": "specimens",
    "recall_iou70": "particles at least half seen, found at IoU 0.7",
    "recall_of_scraps": "less than half seen but over 10 px, found at IoU 0.7",
    "false_per_found": "found without a true partner",
    "d50_um_bias": "D50, mean log deviation",
    "d50_um_bias_se": "its standard error",
    "d50_volume_um_bias": "D50 by volume, mean log deviation",
    "d50_volume_um_bias_se": "its standard error ",
    "d90_um_bias": "D90, mean log deviation",
    "d90_um_bias_se": "its standard error  ",
    "circularity_bias": "mean circularity, mean deviation",
    "circularity_bias_se": "its standard error   ",
    "circularity_within_0.01": "specimens with circularity within 0.01",
    "d10_um_coverage": "95 % interval of D10 covers",
    "d50_um_coverage": "95 % interval of D50 covers",
    "d90_um_coverage": "95 % interval of D90 covers",
    "d50_volume_um_coverage": "95 % interval of D50 by volume covers",
    "d90_volume_um_coverage": "95 % interval of D90 by volume covers",
    "circularity_mean_coverage": "95 % interval of mean circularity covers",
    "median_seconds": "seconds an image (one thread)",
}


def powder_table(name: str) -> str:
    """Return the summary of one results file, methods as columns."""
    table = summarise(pd.read_csv(BENCH / "results" / name)).T.reset_index(names="")
    table[""] = table[""].map(NAMES)
    return markdown(table, 4)


def page() -> str:
    """Return the text of the page."""
    results = BENCH / "results"
    real = pd.read_csv(results / "real.csv")
    metal = real[real.set == "metal powder"].drop(columns=["set", "image", "dice"]).groupby("method").mean()
    metal = metal.loc[["learned", "classical", "sam"]].T.reset_index(names="")
    ceramic = real[real.set == "porous ceramic"].groupby("method")["dice"].mean()
    spent = pd.read_csv(results / "powder_time.csv")
    coverage = pd.read_csv(results / "powder_coverage.csv").d50_um_covers.mean()
    return f"""# Validation

Built by `docs/make_validation.py` from `bench/results`; every number comes from the code path a user runs, on specimens
and images the network has not seen.

Of 400 single micrographs, the 95 % interval of D50 covers the population's D50 in {coverage:.1%}.

## Virtual powders: truth known exactly

One micrograph of 1280 x 960 at 3000x for each specimen; D50 1.8 to 6 um, geometric SD 1.15 to 1.5, circularity 0.86 to 0.96,
all habits, coverage 0.25 to 0.6, and detector settings drawn anew for each (`bench/bench_powder.py`). Truth of sizes and
circularity is the *population's*, not the image's, so a single image scatters about it; coverage asks whether the interval
says by how much.

{powder_table("powder_coverage.csv")}

The methods side by side, on the same specimens (the first of the above):

{powder_table("powder_methods.csv")}

What the network's answers are worth: seeds from the border (border-core), from the depth (a distance or flow network's way), or
from both, which is what ships. All visible remains over 12 working pixels count, at IoU 0.7.

{markdown(pd.read_csv(results / "powder_ablation.csv"))}

![Outlines on a virtual powder](figures/virtual_outlines.jpg)

## Real micrographs

Gas-atomised metal powder with hand-drawn polygons (AMPIS, Cohn et al. 2021, MIT licence; three images), never used in training.
Polygons leave out some satellites and particles in the background, so precision is a lower bound. Pixel sizes are not known:
everything is in pixels, and the pictures have no scale bar. `d50_ratio`,
`diameter_bias` and `circularity_difference` are found against hand-drawn, on matched particles wholly in the frame.

{markdown(metal)}

The shipped network, the classical method and Segment Anything (MobileSAM):

![Learned](figures/real_learned.jpg)

![Classical](figures/real_classical.jpg)

![Segment Anything](figures/real_sam.jpg)

Porous ceramic (3D-SEM-Segmentation, MIT licence; three sections with hand-drawn masks) is a solid with pores and no powder: no
method is made for it. Share of area agreed on (Dice): {", ".join(f"{m} {v:.2f}" for m, v in ceramic.items())}.

## Virtual beside real

A real micrograph (upper left) and three virtual ones: polyhedral and plates at 3000x, needles at 15000x.

![Real and virtual micrographs](figures/side_by_side.jpg)

## Circularity of discs

Exact value 1; mean and SD over random sub-pixel centres.

{markdown(circularity_of_discs())}

## Texture under other settings of the microscope

One powder each, imaged again: detector gain and offset changed, or the magnification. Change of the mean over particles; the
fields at other magnifications are other fields of the same powder, so their change includes sampling (the ± is one standard
error of the mean).

{markdown(texture_views())}

## Time and memory

Whole processes on one micrograph of 1280 x 960, median of five, ours and a peer's in turn. The peer is what a scikit-image user
would write: Otsu, distance transform, watershed, regionprops; it knows nothing of texture, occlusion or intervals.

{markdown(spent, 2)}
"""


def main() -> None:
    """Write the page and its pictures."""
    warnings.simplefilter("ignore")
    pictures()
    (DOCS / "validation.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
