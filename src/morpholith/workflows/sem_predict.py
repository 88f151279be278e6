"""What micrographs of conditions look like that were never made, and what would be measured in them."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..errors import InputError, InputWarning
from ..progress import progress, stage
from ..results import Result

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from ..generate import MicrographModel, ProcessTable, View

STEP_PX, SMALLEST_PX, LARGEST_PX = 16, 64, 2048
MOST_BYTES = 2**30  # of the images of one condition in one view
NOT_VARIABLES = ("image", "magnification", "lot")  # columns of a campaign's table that say nothing of a recipe
ONE = "predicted"  # what a condition without a name is called


@dataclass(frozen=True)
class Plan:
    """What all conditions of one run have in common."""

    model: MicrographModel
    views: tuple[View, ...]
    images: int
    size: int
    seed: int
    device: str


def predict(
    model: str,
    /,
    *,
    condition: list[str] | None = None,
    conditions: Path | None = None,
    images: int = 16,
    size: int = 256,
    view: list[str] | None = None,
    seed: int = 0,
    device: Literal["cpu", "cuda"] = "cpu",
    work: str | None = None,
) -> Result:
    """Draw the micrographs of conditions that were never made and measure them, each number with its interval.

    Writes `predictions.csv` (one row a condition) and `images/`, which `morpholith sem measure` can measure again. The
    interval is that of a powder that would be made by the recipe and measured; outside the trained conditions it does
    not hold, and the report says so first.

    Parameters
    ----------
    model
        Folder or file that `morpholith sem learn` wrote, or the name of a shipped model: virtual.
    condition
        The recipe as NAME=VALUE, with blanks between: ph=10.5 naoh=0.15 atmosphere=N2. With --conditions: values of
        what the table has no column for.
    conditions
        Table in CSV with a row for each recipe and a column for each variable; a column condition names them.
    images
        Micrographs drawn in each view.
    size
        Their width and height in pixels, a multiple of 16.
    view
        Views to draw, such as 3000x; all unless given.
    seed
        Same model, condition and seed: same micrographs.
    device
        Where they are drawn and the particles are found.
    work
        Folder that keeps finished conditions; the same command goes on from there after it was stopped.
    """
    from .. import __version__, checkpoint
    from ..generate import load_micrographs, micrograph_files
    from ..recipe import sha256
    from ._predict_story import told

    known = load_micrographs(model)
    plan = _plan(known, images, size, view, seed, device)
    rows = recipes(known.table, condition, conditions)
    files = micrograph_files(model)
    key = {
        "model": [sha256(path) for path in files],
        "version": __version__,
        "views": [v.name for v in plan.views],
        **{name: value for name, value in vars(plan).items() if name not in ("model", "views")},
    }
    kept = checkpoint.store(work, key=key)
    stage("drawing and measuring micrographs")
    for _, row in progress(rows.iterrows(), total=len(rows), label="drawing micrographs"):
        kept.once(part_of(row), partial(_looked_at, plan, row))
    stage("gathering numbers")
    inputs = [*files, *([conditions] if conditions is not None else [])]
    return told(plan, rows, kept, inputs=inputs)


def _plan(model, images, size, view, seed, device) -> Plan:
    """Check the options before anything is drawn."""
    from ._pairs import one_of

    if images < 1:
        raise InputError(f"--images must be 1 or more micrographs of each view, got {images}.")
    if seed < 0:
        raise InputError(f"--seed must not be negative, got {seed}.")
    if not SMALLEST_PX <= size <= LARGEST_PX or size % STEP_PX:
        nearest = min(max(STEP_PX * round(size / STEP_PX), SMALLEST_PX), LARGEST_PX)
        raise InputError(
            f"--size must be a multiple of {STEP_PX} from {SMALLEST_PX} to {LARGEST_PX} pixels, got {size}; the "
            f"nearest is {nearest}."
        )
    if images * size**2 > MOST_BYTES:
        raise InputError(
            f"{images} micrographs of {size} x {size} pixels take {images * size**2 / 2**30:.1f} GB for each view; "
            f"draw {MOST_BYTES // size**2} or fewer at once, and more with another --seed."
        )
    names = [v.name for v in model.views]
    wanted = [one_of(name, names, what="view") for name in (view or names)]
    return Plan(model, tuple(v for v in model.views if v.name in wanted), images, size, seed, device)


# --- the recipes -------------------------------------------------------------------------------------------------


def recipes(known: ProcessTable, given: Sequence[str] | None, path: Path | None) -> pd.DataFrame:
    """Return one row a recipe, index `condition`, with every variable; NaN or None where one is not said.

    Raises
    ------
    InputError
        No recipe, an unknown name or word, a value that is no number, or one name for two recipes.
    """
    import pandas as pd

    from ._pairs import one_of, pairs

    typed = pairs(given or [], option="--condition")
    for name in typed:
        one_of(name, _names(known), what="variable")
    if path is None:
        if not typed:
            raise InputError(
                "no condition was given; give --condition NAME=VALUE ... or --conditions TABLE.csv. The model knows "
                f"{', '.join(known.names)}."
            )
        listed = {ONE: typed}
    else:
        listed = _listed(path, known)
        twice = [name for name in typed if any(name in row for row in listed.values())]
        if twice:
            raise InputError(f"--condition gives {twice[0]!r}, which {path} has a column for; give it in one place.")
        listed = {name: row | typed for name, row in listed.items()}
    values = {name: _valued(row, known, name if path is not None else None) for name, row in listed.items()}
    table = pd.DataFrame.from_dict(values, orient="index", columns=list(known.names)).rename_axis("condition")
    return table.astype({v.name: float if v.kind == "number" else object for v in known.variables})


def _names(known: ProcessTable) -> list[str]:
    """Return what a recipe may name: variables, and what was the same throughout the training."""
    return [*known.names, *known.constants]


def _listed(path: Path, known: ProcessTable) -> dict[str, dict[str, str]]:
    """Return the rows of a table of recipes by their names, as texts."""
    import pandas as pd

    from ._pairs import one_of

    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, skipinitialspace=True)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, OSError) as error:
        raise InputError(f"{path} is not a readable CSV table ({error}); its first row names variables.") from error
    table.columns = [str(name).strip() for name in table.columns]
    variables = [name for name in table.columns if name not in (*NOT_VARIABLES, "condition")]
    for name in variables:
        one_of(name, _names(known), what=f"variable for the column of {path}")
    if not variables or table.empty:
        raise InputError(f"{path} has no recipe: a row for each and columns of {', '.join(known.names)} are needed.")
    if "condition" not in table:
        width = len(str(len(table)))
        table["condition"] = [f"row{k + 1:0{width}d}" for k in range(len(table))]
    table = table[["condition", *variables]].drop_duplicates()
    again = table["condition"].duplicated()
    if again.any():
        raise InputError(f"{path} gives condition {table['condition'][again].iloc[0]!r} twice, with different values.")
    if (table["condition"].str.strip() == "").any():
        raise InputError(f"{path} has a row without a name in `condition`; fill it or drop the column.")
    return {row.pop("condition").strip(): row for row in table.to_dict("records")}


def _valued(row: Mapping[str, str], known: ProcessTable, name: str | None) -> dict[str, Any]:
    """Return the values of one recipe, checked; an empty text is a missing value."""
    given = {variable: text for variable, text in row.items() if text.strip().casefold() not in ("", "nan", "na")}
    try:
        with warnings.catch_warnings():
            # what is missing is said once, for all conditions together
            warnings.simplefilter("ignore", InputWarning)
            return known.check(given)
    except InputError as error:
        raise InputError(f"condition {name!r}: {error}" if name else str(error)) from error


# --- one recipe --------------------------------------------------------------------------------------------------


def condition_of(row: pd.Series) -> dict[str, Any]:
    """Return the condition of a row of `recipes`, as plain values; None where one is missing."""
    plain = {name: getattr(value, "item", lambda v=value: v)() for name, value in row.items()}
    return {name: None if value is None or value != value else value for name, value in plain.items()}


def part_of(row: pd.Series) -> str:
    """Return the name that the part of a recipe has among what is kept: that of its values."""
    return hashlib.sha256(json.dumps(condition_of(row), sort_keys=True).encode()).hexdigest()[:16]


def _looked_at(plan: Plan, row: pd.Series) -> dict[str, np.ndarray]:
    """Draw and measure one condition: images, particles found in each, descriptors, and sizes with their weights."""
    import numpy as np

    from .. import columns as c
    from .. import measure
    from ._drawn import corrected, measure_images

    part: dict[str, np.ndarray] = {}
    order = [v.name for v in plan.model.views]
    for view in plan.views:
        own = int(np.random.default_rng([plan.seed, order.index(view.name)]).integers(2**31))
        drawn = plan.model.draw(
            dict(row), view=view.name, images=plan.images, seed=own, shape=(plan.size, plan.size), device=plan.device
        )
        table = measure_images(drawn, pixel_um=view.pixel_um, device=plan.device)
        images = table[c.IMAGE].to_numpy().astype(int)
        part[f"image.{view.name}"] = drawn
        part[f"found.{view.name}"] = np.bincount(images, minlength=plan.images)
        frames = {str(k): (plan.size * view.pixel_um,) * 2 for k in range(plan.images)}
        for name, found in measure.clustered_descriptors(table, frames=frames, names=view.measures).items():
            part[f"value.{name}"] = np.array([*corrected(plan.model, name, _measured(found)), found.value])
        if "d50_um" in view.measures:
            weights = measure.frame_weights(table, frames)
            used = weights > 0
            part |= {"size_um": table[c.SIZE].to_numpy(float)[used], "size_weight": weights[used]}
            part["size_image"] = images[used]
    return part


def _measured(found):
    from ..design import Measured

    return Measured(*found)
