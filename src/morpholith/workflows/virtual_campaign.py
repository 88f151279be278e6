"""A virtual synthesis campaign: recipes, the micrographs of what they make, and the truth of both."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..image import Image, Quantity
from ..progress import progress
from ..results import ReportFigure, Result

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from ..specimens.reactor_lots import Lot

MAGNIFICATIONS = (3000.0, 15000.0)
SHOWN = 6  # recipes on the sheet of micrographs
MOST_IMAGES = 100_000


def campaign(
    recipes: Path | None = None,
    /,
    *,
    conditions: int = 55,
    images: int = 6,
    lots: int = 1,
    lot_scatter: float = 1.0,
    width: int = 640,
    seed: int = 0,
) -> Result:
    """Run a virtual co-precipitation campaign and image its powders, with the exact truth beside them.

    A virtual reactor makes a powder by every recipe (pH, NaOH, NH4OH, time, stirring, atmosphere) and a virtual
    microscope takes it at 3000x and 15000x. Writes ``campaign.csv``, which ``sem measure`` and ``sem learn`` read,
    ``images/``, ``truth.csv`` (what every recipe makes on average and how lots scatter), ``lots.csv`` (every lot as it
    is) and ``truth.json``.

    Parameters
    ----------
    recipes
        Table of recipes in CSV to make instead of the usual ones: columns ph, naoh, nh4oh, time_min, stirring_rpm,
        atmosphere (N2, air or O2) and, if wanted, condition; what it lacks is at its usual value.
    conditions
        Number of recipes when no table is given; 55 are series and factorials like the paper's, and fillings.
    images
        Images of each recipe at each magnification, shared among its lots.
    lots
        Syntheses of each recipe.
    lot_scatter
        Multiplies the scatter from lot to lot; 0 makes all lots of a recipe alike.
    width
        Pixels of an image across, 192 to 1280; the field stays the same.
    seed
        Same seed, same campaign.
    """
    import numpy as np

    from ..specimens import reactor_design, reactor_truth, synthesise
    from ..specimens.reactor_lots import WIDTHS

    if not WIDTHS[0] <= width <= WIDTHS[1]:
        raise InputError(f"--width must lie between {WIDTHS[0]} and {WIDTHS[1]} pixels, got {width}.")
    if images < 1 or lots < 1 or lots > images:
        raise InputError(f"--images and --lots must be at least 1, and no more lots than images: {images} and {lots}.")
    if seed < 0:
        raise InputError(f"--seed must not be negative, got {seed}.")
    streams = np.random.default_rng(seed).spawn(3)
    table = reactor_design(conditions, rng=streams[0]) if recipes is None else read_recipes(recipes)
    if len(table) * images * len(MAGNIFICATIONS) > MOST_IMAGES:
        raise InputError(f"{len(table)} recipes with {images} images at each magnification are over {MOST_IMAGES}.")
    plain = table.drop(columns="part", errors="ignore")
    truth = reactor_truth(plain)
    made = synthesise(plain, lots=lots, lot_scatter=lot_scatter, rng=streams[1])
    plan = image_plan(made, images=images, rng=streams[2])
    told = {"seed": seed, "images": images, "lots": lots, "lot_scatter": lot_scatter, "width_px": width}
    return campaign_result(table, truth, made, plan, width=width, told=told, inputs=[recipes] if recipes else [])


def read_recipes(path: Path) -> pd.DataFrame:
    """Read a table of recipes; a campaign table with its images does as well, and its rows are then merged.

    Raises
    ------
    InputError
        The table cannot be read, is empty, or the reactor cannot make what it asks for.
    """
    import pandas as pd

    from ..specimens import reactor_variables

    try:
        table = pd.read_csv(path, dtype={"condition": str}, skipinitialspace=True)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, IsADirectoryError) as error:
        raise InputError(f"{path} is not a readable table of recipes in CSV ({error}).") from error
    table.columns = [str(c).strip().lower() for c in table.columns]
    table = table.drop(columns=["image", "magnification", "lot", "part"], errors="ignore").drop_duplicates()
    if table.empty:
        raise InputError(f"{path} has no recipe; give one a row, with columns such as ph, naoh, nh4oh, time_min.")
    if "condition" in table and table["condition"].isna().any():
        raise InputError(f"{path} has a recipe without a name; fill the column `condition` or drop it.")
    if "condition" not in table:
        table.insert(0, "condition", [f"r{k + 1:0{max(2, len(str(len(table))))}d}" for k in range(len(table))])
    return reactor_variables(table)


def image_plan(lots: list[Lot], *, images: int, rng: np.random.Generator) -> list[dict]:
    """Return one row an image: which lot, at what magnification, its file and its seed.

    The images of a condition are shared among its lots in turn; those of the first lots are one more where they do
    not come out even.
    """
    by_condition: dict[str, list[Lot]] = {}
    for lot in lots:
        by_condition.setdefault(lot.condition, []).append(lot)
    stems = _stems(list(by_condition))
    plan: list[dict] = []
    seeds = rng.integers(2**62, size=len(by_condition) * images * len(MAGNIFICATIONS))
    for (condition, group), stem in zip(by_condition.items(), stems, strict=True):
        for magnification in MAGNIFICATIONS:
            for k in range(images):
                lot = group[k % len(group)]
                mark = f"_lot{lot.number + 1}" if len(group) > 1 else ""
                plan.append(
                    {
                        "image": f"images/{stem}{mark}_{magnification:.0f}x_{k + 1}.tif",
                        "condition": condition,
                        "magnification": magnification,
                        "lot": lot,
                        "seed": int(seeds[len(plan)]),
                    }
                )
    return plan


def _stems(names: list[str]) -> list[str]:
    """Return names that can stand in a path, all different."""
    clean = [re.sub(r"[^\w.=-]+", "_", name).strip("._") or "recipe" for name in names]
    return clean if len({c.lower() for c in clean}) == len(clean) else [f"{c}_{k}" for k, c in enumerate(clean)]


def campaign_table(recipes: pd.DataFrame, plan: list[dict]) -> pd.DataFrame:
    """Return the table `sem measure` and `sem learn` read: one row an image.

    Magnification ("3000x") and lot ("lot 1") are words, not process variables: they differ within a condition.
    """
    import pandas as pd

    rows = pd.DataFrame(
        {
            "image": [row["image"] for row in plan],
            "condition": [row["condition"] for row in plan],
            "magnification": [f"{row['magnification']:.0f}x" for row in plan],
            "lot": [f"lot {row['lot'].number + 1}" for row in plan],
        }
    )
    variables = recipes.drop(columns="part", errors="ignore")
    return rows.join(variables, on="condition")


def campaign_result(
    recipes: pd.DataFrame, truth: pd.DataFrame, lots: list[Lot], plan: list[dict], *, width: int, told: dict,
    inputs: list[Path],
) -> Result:  # fmt: skip
    """Gather table, truth, figures and the writers of the images; each image is made when it is written."""
    table = campaign_table(recipes, plan)
    of_lots = lot_table(lots)
    ticks = progress(range(len(plan)), total=len(plan), label="imaging")
    files: dict[str, Callable[[Path], object]] = {
        row["image"]: partial(_write_image, row=row, width=width, ticks=ticks) for row in plan
    }
    files["campaign.csv"] = lambda path: table.to_csv(path, index=False)
    files["truth.csv"] = lambda path: recipes.join(truth).to_csv(path)
    files["lots.csv"] = lambda path: of_lots.to_csv(path, index=False)
    files["truth.json"] = lambda path: path.write_text(json.dumps(told | _constants(), indent=2) + "\n")
    return Result(
        title="Virtual synthesis campaign",
        summary=quantities(truth, of_lots, plan),
        files=files,
        figures=_figures(recipes, truth, of_lots, plan, width),
        warnings=[
            "Virtual campaign: every powder is computed and so is every picture; no reactor and no microscope was used."
        ],
        inputs=inputs,
        text={"How to go on": "`morpholith sem measure campaign.csv` measures the images; `truth.csv` has what it "
                              "should find, under the same names."},
    )  # fmt: skip


def lot_table(lots: list[Lot]) -> pd.DataFrame:
    """Return one row a lot: its condition, its number and its true descriptors."""
    import pandas as pd

    return pd.DataFrame([{"condition": lot.condition, "lot": f"lot {lot.number + 1}", **lot.truth} for lot in lots])


def quantities(truth: pd.DataFrame, lots: pd.DataFrame, plan: list[dict]) -> dict[str, Quantity]:
    """Return what is in the campaign: counts, and over which range the descriptors run."""
    from ..specimens.reactor import DESCRIPTORS

    found = {
        "n_conditions": Quantity(len(truth), method="recipes"),
        "n_lots": Quantity(len(lots), method="syntheses"),
        "n_images": Quantity(len(plan), method="micrographs at 3000x and 15000x"),
    }
    for name in DESCRIPTORS:
        for which, value in (("min", truth[name].min()), ("max", truth[name].max())):
            found[f"{name.removesuffix('_um')}_{which}{'_um' * name.endswith('_um')}"] = Quantity(
                float(value), n=len(truth), unit="um" if name.endswith("_um") else "", method="true, over the recipes"
            )
    return found


def _constants() -> dict:
    from ..specimens import REACTOR_ATMOSPHERES, REACTOR_BASE, REACTOR_BOUNDS, ReactorLaw
    from ..specimens.reactor_texture import TEXTURE, THICKNESS_UM

    return {
        "magnifications": list(MAGNIFICATIONS),
        "bounds": REACTOR_BOUNDS,
        "atmospheres": list(REACTOR_ATMOSPHERES),
        "usual": REACTOR_BASE,
        "law": asdict(ReactorLaw()),
        "lamellae": {"thickness_um": THICKNESS_UM.tolist(), "texture": TEXTURE.tolist()},
    }


def _write_image(path: Path, *, row: dict, width: int, ticks: Iterator[int]) -> None:
    from ..read import write_tiff

    picture, spacing = _picture(row, width)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_tiff(path, Image(picture, "yx", spacing))
    next(ticks, None)


def _picture(row, width):
    from ..specimens import lot_micrograph

    picture, field = lot_micrograph(row["lot"], magnification=row["magnification"], width=width, rng=row["seed"])
    return picture, field.spacing


def _figures(recipes, truth, of_lots, plan, width) -> dict[str, ReportFigure]:
    from ..report.virtual_campaign import plan_figure, sheet_figure, spread_figure, trends_figure

    first = {(row["condition"], row["magnification"]): row for row in reversed(plan)}
    shown = {name: [first[name, m] for m in MAGNIFICATIONS] for name in _to_show(truth)}
    return {
        "micrographs": ReportFigure(
            lambda: sheet_figure(
                {name: [_picture(row, width) for row in rows] for name, rows in shown.items()}, recipes, truth
            ),
            "Powders from the finest texture to the coarsest, each at 3000x and 15000x.",
            "Micrographs",
        ),
        "truth_in_time": ReportFigure(
            partial(trends_figure, "time_min", _truth_of),
            "What the reactor makes by three recipes as time goes on: fine nuclei relax within two hours and coarsen "
            "slowly later, particles grow, become rounder and more alike.",
            "Trends of the truth",
        ),
        "truth_in_ph": ReportFigure(
            partial(trends_figure, "ph", _truth_of), "The same against the pH.", "Trends of the truth"
        ),
        "descriptors": ReportFigure(
            partial(spread_figure, truth, of_lots),
            "True descriptors: recipes as circles, their lots as dots.",
            "Trends of the truth",
        ),
        "recipes": ReportFigure(partial(plan_figure, recipes), "The recipes, variable against variable.", "Recipes"),
    }


def _to_show(truth):
    """Return a few recipes in the order of their texture, evenly spread from the finest to the coarsest."""
    import numpy as np

    order = truth["texture_mean"].sort_values(ascending=False).index
    return list(order[np.unique(np.linspace(0, len(order) - 1, min(SHOWN, len(order))).round().astype(int))])


def _truth_of(table):
    from ..specimens import reactor_truth

    return reactor_truth(table)
