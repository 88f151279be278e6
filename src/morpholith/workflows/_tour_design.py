"""The tour's last stop: a powder is designed, made in the virtual reactor, and set beside what was predicted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..image import Quantity
from ..results import ReportFigure

if TYPE_CHECKING:
    import pandas as pd

    from ..generate import MicrographModel
    from ._virtual_lab import Made

MODEL = "virtual"
HIDDEN = {"ph": 10.4, "nh4oh": 0.15, "time_min": 300.0}  # the recipe whose powder is asked for
KNOWN: dict[str, float | str] = {"naoh": 0.15, "stirring_rpm": 800.0, "atmosphere": "N2"}
WANTED = ("texture_mean", "d50_um", "circularity_mean")
CALLS, DRAWN = 14, 1
SHOTS = {3000.0: 4, 15000.0: 2}  # micrographs taken of the powder that is made


@dataclass(frozen=True)
class Designed:
    """A design and what came of it.

    Attributes
    ----------
    table : DataFrame
        One row a descriptor: wanted, predicted with its interval, of the powder that was made as measured and as it is.
    recipe : dict
    figure : ReportFigure
    summary : dict of str to Quantity
    text : str
    """

    table: pd.DataFrame
    recipe: dict[str, float | str]
    figure: ReportFigure
    summary: dict[str, Quantity]
    text: str


def designed(*, seed: int) -> Designed:
    """Ask the shipped model for a recipe of a powder whose own recipe is known here, and make it."""
    import pandas as pd

    from .. import generate
    from ..specimens import reactor_truth
    from . import sem_design
    from ._virtual_lab import made

    model = generate.load_micrographs(MODEL)
    wanted = reactor_truth({**KNOWN, **HIDDEN})[list(WANTED)].iloc[0].to_dict()
    found = sem_design.design(
        MODEL, target=[f"{k}={v:.4g}" for k, v in wanted.items()], fix=[f"{k}={v}" for k, v in KNOWN.items()],
        calls=CALLS, images=DRAWN, recipes=1, seed=seed,
    )  # fmt: skip
    best = found.tables["recipes"].iloc[0]
    recipe: dict[str, float | str] = {**KNOWN, **{name: float(best[name]) for name in HIDDEN}}
    powder = made(recipe, images=SHOTS, rng=np.random.default_rng([seed, 5]))
    rows = [
        {
            "descriptor": name, "wanted": wanted[name], "predicted": best[name], "predicted_low": best[f"{name}_low"],
            "predicted_high": best[f"{name}_high"], "made_measured": powder.measured[name].mean,
            "made_measured_se": powder.measured[name].se, "made_truth": powder.truth[name],
        }
        for name in WANTED
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    off = (table["made_truth"] / table["wanted"] - 1).abs().max()
    return Designed(
        table, recipe, _figure(model, recipe, powder, seed),
        {"designed_powder_off": Quantity(float(off), n=len(table), method="largest relative departure of the made "
                                         "powder from what was wanted, by its truth")},
        _told(wanted, recipe, table),
    )  # fmt: skip


def _figure(model: MicrographModel, recipe, powder: Made, seed: int) -> ReportFigure:
    from ..report import micrograph_model as pictures

    pixels = {view.name: view.pixel_um for view in model.views}
    drawn = {name: model.draw(recipe, view=name, images=1, seed=seed)[0] for name in pixels}
    real = {name: _binned(powder.pictures[name], round(pixels[name] / powder.pixel_um[name])) for name in pixels}
    sheet = pictures.sample_sheet({"made": real}, {"made": drawn}, pixel_um=pixels, titles={"made": "designed powder"})
    return ReportFigure(
        sheet.picture,
        "The powder of the designed recipe: as it was made and imaged, and beside it as it was predicted.",
        "A powder designed",
    )


def _binned(grey: np.ndarray, times: int) -> np.ndarray:
    """Average blocks of pixels, as the model's training images were."""
    h, w = (n // times * times for n in grey.shape)
    blocks = grey[:h, :w].astype(float).reshape(h // times, times, w // times, times)
    return np.round(blocks.mean((1, 3))).astype(np.uint8)


def _told(wanted, recipe, table) -> str:
    asked = ", ".join(f"{k} {v:.3g}" for k, v in wanted.items())
    got = ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in recipe.items())
    came = ", ".join(f"{r.descriptor} {r.made_truth:.3g}" for r in table.itertuples())
    return (
        f"Asked for {asked}, the shipped model of the virtual reactor proposed {got} after {CALLS} draws. Made by that "
        f"recipe, the powder has {came}."
    )
