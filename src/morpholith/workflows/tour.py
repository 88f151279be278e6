"""The whole chain on virtual specimens, in one report."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..image import Quantity
from ..progress import progress, stage
from ..results import ReportFigure, Result

if TYPE_CHECKING:
    import pandas as pd

# A campaign in reaction time: the agglomerates grow and round off while their lamellae thicken.
TIMES_MIN = (30, 120, 360, 720)
FIELDS = ((3000.0, 2), (15000.0, 1))  # magnification, images of each condition


def tour(*, seed: int = 0) -> Result:
    """Make a virtual powder campaign, measure it as a user would, and compare with the truth.

    Four reaction times, each imaged at 3000x and 15000x by a virtual microscope, are written as image files with a
    campaign table, measured from those files alone with `sem measure`, and set beside the population they were
    drawn from. Then a recipe is designed for a wanted powder, made in the virtual reactor, and set beside what was
    predicted.

    Parameters
    ----------
    seed
        Seed of the specimens and of the bootstrap.
    """
    from . import sem
    from ._tour_design import designed

    with tempfile.TemporaryDirectory(prefix="morpholith-tour-") as scratch:
        stage("making a virtual campaign")
        table, truth = _campaign(Path(scratch), seed)
        measured = sem.measure([table], seed=seed)
        images = {p.name: p.read_bytes() for p in Path(scratch).iterdir()}
    compared = compare(measured.tables["conditions"], truth)
    stage("designing a powder")
    powder = designed(seed=seed)
    return Result(
        title="Morpholith tour: a virtual powder, measured and compared with its truth",
        summary=_verdict(compared) | powder.summary | dict(measured.summary),
        tables={"compared_with_truth": compared, "designed_powder": powder.table, **measured.tables},
        figures={
            "compared_with_truth": ReportFigure(
                lambda: _figure(compared),
                "Measured (points with 95 % intervals) against the truth of the population (line of equality).",
                "Measured against truth",
            ),
            "designed_powder": powder.figure,
            **measured.figures,
        },
        files={f"campaign/{name}": partial(_write, raw=raw) for name, raw in images.items()},
        warnings=[
            "Virtual specimens: every picture is computed, none was taken with a microscope.",
            *measured.warnings,
        ],
        text={**measured.text, "A powder designed": powder.text},
    )


def _write(path: Path, raw: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(raw)


def population(time_min: float):
    """Return the virtual powder after a reaction time, and what is known of it."""
    import numpy as np

    from ..specimens import Habit, Powder

    grown = 1 - np.exp(-time_min / 240)
    thickness = 0.06 + 0.22 * grown
    return Powder(
        d50_um=2.2 + 2.6 * grown,
        geometric_sd=1.42 - 0.12 * grown,
        circularity_mean=0.9 + 0.05 * grown,
        circularity_sd=0.03 - 0.015 * grown,
        habit=Habit("plate", thickness, 5 * thickness),
        coverage=0.4,
    )


def _campaign(folder: Path, seed: int) -> tuple[Path, pd.DataFrame]:
    """Write the images and the table; return its path and the truth of every condition."""
    import numpy as np
    import pandas as pd

    from ..image import Image
    from ..read import write_tiff
    from ..specimens import Microscope, micrograph, scene
    from .virtual import population_truth

    rows, truth = [], {}
    jobs = [(t, mag, k) for t in TIMES_MIN for mag, n in FIELDS for k in range(n)]
    streams = np.random.default_rng(seed).spawn(len(jobs))
    for (time, magnification, k), rng in progress(list(zip(jobs, streams, strict=True)), label="imaging"):
        powder, microscope = population(time), Microscope(magnification=magnification)
        field = scene(powder, shape=microscope.shape, spacing=microscope.spacing, rng=rng)
        name = f"t{time:04d}_x{magnification:.0f}_{k}.tif"
        write_tiff(folder / name, Image(micrograph(field, microscope, rng=rng), "yx", field.spacing))
        rows.append({"image": name, "condition": f"{time} min", "time_min": time})
        truth[f"{time} min"] = population_truth(powder)
    table = folder / "campaign.csv"
    pd.DataFrame(rows).to_csv(table, index=False)
    return table, pd.DataFrame.from_dict(truth, orient="index")


def compare(conditions: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Return measured, interval, truth and deviation of every descriptor whose truth is exact."""
    import pandas as pd

    rows = []
    for condition, row in conditions.iterrows():
        for key in ("d10_um", "d50_um", "d90_um", "d50_volume_um", "circularity_mean", "circularity_sd"):
            true, low, high = truth.loc[condition, key], row.get(f"{key}_low"), row.get(f"{key}_high")
            rows.append(
                {
                    "condition": condition, "descriptor": key, "measured": row[key], "low": low, "high": high,
                    "truth": true, "relative_deviation": row[key] / true - 1, "covered": low <= true <= high,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def _verdict(compared: pd.DataFrame) -> dict[str, Quantity]:
    d50 = compared[compared["descriptor"] == "d50_um"]
    shape = compared[compared["descriptor"] == "circularity_mean"]
    return {
        "intervals_that_cover_the_truth": Quantity(
            float(compared["covered"].mean()),
            n=len(compared),
            method="of all descriptors and conditions; 0.95 is nominal",
        ),
        "d50_mean_deviation": Quantity(
            float(d50["relative_deviation"].mean()), n=len(d50), method="relative, against the population"
        ),
        "circularity_mean_deviation": Quantity(
            float((shape["measured"] - shape["truth"]).mean()), n=len(shape), method="against the population"
        ),
    }


def _figure(compared: pd.DataFrame):
    from ..report.powder import AXIS
    from ..report.style import figure

    keys = ["d50_um", "d50_volume_um", "circularity_mean", "circularity_sd"]
    fig = figure(9, 7.4)
    for ax, key in zip(fig.subplots(2, 2).ravel(), keys, strict=True):
        rows = compared[compared["descriptor"] == key]
        bars = [rows["measured"] - rows["low"], rows["high"] - rows["measured"]]
        ax.errorbar(rows["truth"], rows["measured"], yerr=bars, fmt="o")
        ends = [rows["truth"].min(), rows["truth"].max()]
        pad = 0.2 * (ends[1] - ends[0])
        ax.plot([ends[0] - pad, ends[1] + pad], [ends[0] - pad, ends[1] + pad], color="0.5", linewidth=1)
        ax.set(xlabel=f"true {AXIS[key]}", ylabel=f"measured {AXIS[key]}")
    return fig


__all__ = ["compare", "population", "tour"]
