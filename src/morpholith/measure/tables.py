"""Tables that gather particles and conditions for files and reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from .. import columns as c
from ..image import Quantity
from .correlation import correlations
from .trend import trend

if TYPE_CHECKING:
    import pandas as pd

TRENDS = (
    "d50_um",
    "d50_volume_um",
    "span",
    "circularity_mean",
    "circularity_sd",
    "texture_mean",
    "anisotropy_mean",
)
FIRST = (
    c.IMAGE, c.Y, c.X, c.AREA, c.PERIMETER, c.DIAMETER, c.CIRCULARITY, c.TEXTURE, c.TOUCHES_EDGE,
    c.CONDITION, c.REJECTED, c.SIZE, c.HIDDEN,
)  # fmt: skip


def for_file(table: pd.DataFrame) -> pd.DataFrame:
    """Return the particle table with the contract's columns first and labels that start again in each image."""
    return table[[*FIRST, *(name for name in table.columns if name not in FIRST)]]


def condition_table(described: Mapping[str, Mapping[str, Quantity]], conditions: pd.DataFrame) -> pd.DataFrame:
    """Return one row a condition: its variables, then every descriptor with ``_low`` and ``_high``."""
    import pandas as pd

    rows = {}
    for name, quantities in described.items():
        row: dict[str, float] = {}
        for key, q in quantities.items():
            row[key] = q.value
            if q.low is not None and q.high is not None:
                row |= {f"{key}_low": q.low, f"{key}_high": q.high}
        rows[name] = row
    table = pd.DataFrame.from_dict(rows, orient="index")
    return conditions.join(table).rename_axis(c.CONDITION)


def trend_table(table: pd.DataFrame, variables: Sequence[str]) -> pd.DataFrame:
    """Return the slope of every descriptor against every process variable, with interval and warning.

    Conditions are the observations. Empty without variables.
    """
    import pandas as pd

    rows = []
    for name in variables:
        others = {v: table[v].to_numpy(float) for v in variables if v != name}
        for key in TRENDS:
            if key not in table:
                continue
            t = trend(table[name].to_numpy(float), table[key].to_numpy(float), others=others)
            rows.append(
                {
                    "variable": name, "descriptor": key, "slope": t.slope.value,
                    "slope_low": t.slope.low, "slope_high": t.slope.high,
                    "spearman": t.spearman.value, "spearman_low": t.spearman.low, "spearman_high": t.spearman.high,
                    "n": t.n, "warning": t.warning or "",
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def descriptor_correlations(particles: pd.DataFrame, by_condition: pd.DataFrame) -> pd.DataFrame:
    """Return Pearson's correlations between descriptors, over particles and (from three on) over conditions.

    Paper 000 (2.2) reports -0.38, -0.17 and 0.26 over conditions for D50 against circularity and texture, and
    circularity against texture.
    """
    import pandas as pd

    free = particles[particles[c.REJECTED] == ""]
    found = [correlations(free, columns=[c.DIAMETER, c.CIRCULARITY, c.TEXTURE]).assign(over="particles")]
    if len(by_condition) > 2:
        means = ["d50_um", "circularity_mean", "circularity_sd", "texture_mean"]
        found.append(correlations(by_condition, columns=means).assign(over="conditions"))
    return pd.concat(found, ignore_index=True)


def as_quantities(table: pd.DataFrame, over: str) -> dict[tuple[str, str], Quantity]:
    """Return the correlations `over` particles or conditions by pair of columns."""
    rows = table[table["over"] == over]

    def end(x):
        return None if np.isnan(x) else float(x)

    return {
        (r["first"], r["second"]): Quantity(r["r"], end(r["low"]), end(r["high"]), n=int(r["n"]), method="Pearson")
        for _, r in rows.iterrows()
    }
