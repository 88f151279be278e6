"""The default campaign: series and factorial parts like paper 000's figures, and recipes that fill the rest."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from .reactor import REACTOR_BASE, REACTOR_BOUNDS, REACTOR_VARIABLES

if TYPE_CHECKING:
    import pandas as pd

USUAL = 55
TIMES_MIN = (15, 30, 60, 120, 240, 480, 960, 1440)
LOGARITHMIC = ("naoh", "nh4oh", "time_min", "stirring_rpm")
MOST = 2000
MOST_OPTIMISED = 200  # above, a plain Latin hypercube: choosing a better one takes long and gains little
GASES = ("N2", "N2", "N2", "N2", "air", "O2")  # of the recipes that fill the space, equally likely


def reactor_design(n: int = USUAL, *, rng: np.random.Generator | int = 0) -> pd.DataFrame:
    """Return the recipes of a campaign.

    The 55 of the default are: a series in time (Fig. 3), one in pH without 10.5 (Fig. S5), the corners of
    pH x NH4OH (Fig. S6), a factorial NaOH x NH4OH x pH at two levels each that holds both of the recipes the paper
    gives a texture for, oxygen and air, slow and fast stirring, and the rest fills the space (a Latin hypercube
    of low discrepancy), a third of it not in N2. Fewer are those of the 55 that lie farthest from each other, the
    two recipes just named first; more are filled up.

    Parameters
    ----------
    n : int
        Number of recipes, 2 to 2000.
    rng : Generator or int
        Of the recipes that fill the space.

    Returns
    -------
    DataFrame
        Index `condition` ("c01", ...), columns `REACTOR_VARIABLES` and `part` ("factorial", "time", "ph",
        "ph x nh4oh", "atmosphere", "stirring", "filling"). No two recipes are equal.
    """
    import pandas as pd

    if not 2 <= n <= MOST:
        raise InputError(f"a campaign has 2 to {MOST} recipes, got {n!r}.")
    rows = _planned()
    rng = np.random.default_rng(rng)
    rows += _filling(USUAL - len(rows), rng)
    rows += _filling(n - USUAL, rng) if n > USUAL else []
    table = pd.DataFrame(rows)[[*REACTOR_VARIABLES, "part"]]
    if n < USUAL:
        table = table.iloc[_far_apart(table, n)]
    digits = max(2, len(str(n)))
    table.index = pd.Index([f"c{k + 1:0{digits}d}" for k in range(n)], name="condition")
    return table


def _planned():
    """Return the recipes of the paper's figures, each once."""
    fine: dict[str, float | str] = {"ph": 10.0, "naoh": 0.25, "nh4oh": 0.09}
    coarse: dict[str, float | str] = {"ph": 11.0, "naoh": 0.08, "nh4oh": 0.29}
    asked: list[tuple[str, dict[str, float | str]]] = [("factorial", fine), ("factorial", coarse)]
    for ph, naoh, nh4oh in itertools.product((10.0, 11.0), (0.08, 0.25), (0.09, 0.29)):
        asked.append(("factorial", {"ph": ph, "naoh": naoh, "nh4oh": nh4oh}))
    asked += [("time", {"time_min": t}) for t in TIMES_MIN]
    asked += [("ph", {"ph": ph}) for ph in (9.8, 10.0, 10.7, 11.0)]
    asked += [("ph x nh4oh", {"ph": ph, "nh4oh": a}) for ph in (10.0, 11.0) for a in (0.29, 0.57)]
    asked += [("atmosphere", {"atmosphere": gas}) for gas in ("air", "O2")]
    asked += [("atmosphere", {**fine, "atmosphere": gas}) for gas in ("air", "O2")]
    asked += [("atmosphere", {**coarse, "atmosphere": "O2"}), ("atmosphere", {"atmosphere": "O2", "time_min": 60.0})]
    asked += [("stirring", {"stirring_rpm": rpm}) for rpm in (400.0, 1200.0)]
    rows, seen = [], set()
    for part, change in asked:
        recipe = {**REACTOR_BASE, **change}
        key = tuple(recipe.values())
        if key not in seen:
            seen.add(key)
            rows.append({**recipe, "part": part})
    return rows


def _filling(n, rng):
    """Return `n` recipes spread over the whole range, rounded as a person would set them."""
    from scipy.stats import qmc

    better = "random-cd" if n <= MOST_OPTIMISED else None
    points = qmc.LatinHypercube(6, rng=rng, optimization=better).random(n)
    rows = []
    for *point, gas in points.tolist():
        row = {name: _rounded(name, value) for name, value in zip(REACTOR_BOUNDS, point, strict=True)}
        rows.append({**row, "atmosphere": GASES[int(gas * len(GASES))], "part": "filling"})
    return rows


def _rounded(name, share):
    low, high = REACTOR_BOUNDS[name]
    value = low * (high / low) ** share if name in LOGARITHMIC else low + (high - low) * share
    step = {"ph": 0.01, "naoh": 0.001, "nh4oh": 0.001, "time_min": 1.0, "stirring_rpm": 10.0}[name]
    return float(np.clip(round(round(value / step) * step, 6), low, high))


def _unit(table):
    columns = []
    for name, (low, high) in REACTOR_BOUNDS.items():
        value = table[name].to_numpy(float)
        log = name in LOGARITHMIC
        columns.append(np.log(value / low) / np.log(high / low) if log else (value - low) / (high - low))
    columns.append(table["atmosphere"].map({"N2": 0.0, "air": 0.5, "O2": 1.0}).to_numpy())
    return np.stack(columns, 1)


def _far_apart(table, n):
    """Return the rows of `n` recipes: the first two, then always the one farthest from those taken."""
    at = _unit(table)
    taken = [0, 1]
    nearest = np.minimum(*(np.linalg.norm(at - at[k], axis=1) for k in taken))
    while len(taken) < n:
        taken.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(at - at[taken[-1]], axis=1))
    return taken
