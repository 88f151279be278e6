r"""A virtual co-precipitation reactor: from a recipe to the powder it makes, with the trends of paper 000.

The law is smooth and explicit, so the truth of any recipe can be asked for. It is no chemistry: it has the direction
and size of what paper 000 reports (2.2, 2.3, Figs. 2, 3, S5, S6), and nothing is claimed beyond.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr

from ..errors import InputError
from .powder import CIRCULARITY_RANGE
from .reactor_texture import lamella_length, lamella_thickness

if TYPE_CHECKING:
    import pandas as pd

# what the reactor can be set to; NaOH and NH4OH as in paper 000, as multiples written x0.25
REACTOR_BOUNDS = {
    "ph": (9.8, 11.0),
    "naoh": (0.06, 0.30),
    "nh4oh": (0.07, 0.57),
    "time_min": (15.0, 1440.0),
    "stirring_rpm": (400.0, 1200.0),
}
OXYGEN = {"N2": 0.0, "air": 0.45, "O2": 1.0}
REACTOR_ATMOSPHERES = tuple(OXYGEN)
REACTOR_BASE = {"ph": 10.4, "naoh": 0.15, "nh4oh": 0.20, "time_min": 480.0, "stirring_rpm": 800.0, "atmosphere": "N2"}
REACTOR_VARIABLES = tuple(REACTOR_BASE)
TENTH = 1.2815515655446004  # quantile of the normal law at 0.9
DESCRIPTORS = ("texture_mean", "d50_um", "circularity_mean", "circularity_sd")


@dataclass(frozen=True)
class LotScatter:
    """Standard deviation from lot to lot: absolute for texture and circularity, relative for D50 and circularity's SD.

    Those of circularity are of its law before truncation.
    """

    texture: float = 0.006
    d50: float = 0.01
    circularity: float = 0.002
    circularity_sd: float = 0.015


@dataclass(frozen=True)
class ReactorLaw:
    r"""What a recipe makes.

    With :math:`p = (\mathrm{pH} - 10.4)/0.6`, :math:`n = \ln([\mathrm{NaOH}]/0.15)`,
    :math:`a = \ln([\mathrm{NH_4OH}]/0.20)`, :math:`s = \ln(\mathrm{rpm}/800)`, the oxygen :math:`o` (0 in N2, 0.45
    in air, 1 in O2), the time t in minutes and :math:`\sigma(u) = 1/(1 + e^{-u})`:

    - texture :math:`= T_0 + (T_1 - T_0)\,(1 - 0.85\,o)\,\sigma(-0.21 + 0.85 n - 0.7 a - 1.2 p + 0.15 s
      + 1.4 e^{-t/45} - 0.15 \ln\frac{1 + t/480}{2})`: nuclei are fine, relax within about two hours and then
      coarsen slowly; oxygen thickens the lamellae;
    - :math:`\ln D_{50} = \ln 5.2 - 0.16 p - 0.11 a - 0.07 n - 0.12 s + 0.03 o + \ln(1 - 0.4 e^{-t/120})
      + 0.05 \ln(1 + t/480)`;
    - circularity, mean :math:`= 0.975 - 0.2\,\sigma(-1.4 - 0.5 n - 0.4 p + 0.8 a + 0.8 o - 0.1 s + 1.2 e^{-t/180}
      - 0.1 \ln(1 + t/480))`;
    - circularity, SD :math:`= 0.008 + 0.05\,\sigma(-1.3 + 1.4 e^{-t/200} - 0.08 \ln(1 + t/480) - 0.6 a - 0.25 n
      + 0.3 o - 0.9 s)`. Mean and SD are those of a normal law; the population is that law between 0.55 and 0.985
      (`Powder`), and what is reported as truth is the population's;
    - geometric SD of the diameters :math:`= 1.2 + 0.1 e^{-t/200} + 0.03 o`.

    Attributes
    ----------
    texture_range : tuple of float
        T0 and T1.
    scatter : LotScatter
    """

    texture_range: tuple[float, float] = (0.20, 0.86)
    scatter: LotScatter = field(default_factory=LotScatter)

    def texture(self, x: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the measured texture of scaled variables (`scaled`)."""
        t = x["t"]
        u = -0.21 + 0.85 * x["n"] - 0.7 * x["a"] - 1.2 * x["p"] + 0.15 * x["s"]
        u = u + 1.4 * np.exp(-t / 45) - 0.15 * np.log((1 + t / 480) / 2)
        low, high = self.texture_range
        return low + (high - low) * (1 - 0.85 * x["o"]) * _sigmoid(u)

    def d50_um(self, x: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the median diameter by number in um."""
        y = np.log(5.2) - 0.16 * x["p"] - 0.11 * x["a"] - 0.07 * x["n"] - 0.12 * x["s"] + 0.03 * x["o"]
        return np.exp(y + 0.05 * np.log1p(x["t"] / 480)) * (1 - 0.4 * np.exp(-x["t"] / 120))

    def outline_mean(self, x: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the mean circularity before its law is truncated."""
        v = -1.4 - 0.5 * x["n"] - 0.4 * x["p"] + 0.8 * x["a"] + 0.8 * x["o"] - 0.1 * x["s"]
        return 0.975 - 0.2 * _sigmoid(v + 1.2 * np.exp(-x["t"] / 180) - 0.1 * np.log1p(x["t"] / 480))

    def outline_sd(self, x: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the SD of the circularity before its law is truncated."""
        w = -1.3 - 0.6 * x["a"] - 0.25 * x["n"] + 0.3 * x["o"] - 0.9 * x["s"]
        return 0.008 + 0.05 * _sigmoid(w + 1.4 * np.exp(-x["t"] / 200) - 0.08 * np.log1p(x["t"] / 480))

    def geometric_sd(self, x: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the geometric SD of the diameters."""
        return 1.2 + 0.1 * np.exp(-x["t"] / 200) + 0.03 * x["o"]


def _sigmoid(u):
    return 1 / (1 + np.exp(-u))


def scaled(recipes: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return the law's variables p, n, a, s, o and t (minutes) of recipes from `reactor_variables`."""
    return {
        "p": (recipes["ph"].to_numpy() - 10.4) / 0.6,
        "n": np.log(recipes["naoh"].to_numpy() / 0.15),
        "a": np.log(recipes["nh4oh"].to_numpy() / 0.20),
        "s": np.log(recipes["stirring_rpm"].to_numpy() / 800),
        "o": np.array([OXYGEN[name] for name in recipes["atmosphere"]], float),
        "t": recipes["time_min"].to_numpy(),
    }


def reactor_variables(conditions: pd.DataFrame | Mapping) -> pd.DataFrame:
    """Return recipes as a table with all six variables, checked.

    Parameters
    ----------
    conditions : DataFrame or mapping
        One row a recipe, or one recipe as a mapping. Columns `ph`, `naoh`, `nh4oh`, `time_min`, `stirring_rpm` and
        `atmosphere` ("N2", "air" or "O2"), in any case and order; one that is not there, or NaN, is at its usual
        value (`REACTOR_BASE`). A column `condition` names the recipes, else the index does.

    Returns
    -------
    DataFrame
        Index `condition` (str), columns `REACTOR_VARIABLES`; no row for an empty table.

    Raises
    ------
    InputError
        A column the reactor does not know, a value that is no number or outside `REACTOR_BOUNDS`, two recipes of
        one name.
    """
    import pandas as pd

    table = pd.DataFrame([dict(conditions)]) if isinstance(conditions, Mapping) else pd.DataFrame(conditions).copy()
    table.columns = [str(c).strip().lower() for c in table.columns]
    if "condition" in table:
        table = table.set_index("condition")
    unknown = [c for c in table.columns if c not in REACTOR_BASE]
    if unknown:
        raise InputError(f"the reactor has no {', '.join(map(repr, unknown))}; it has {', '.join(REACTOR_BASE)}.")
    out = pd.DataFrame(index=pd.Index([str(i) for i in table.index], name="condition"))
    if out.index.has_duplicates:
        raise InputError(f"two recipes are called {out.index[out.index.duplicated()][0]!r}; give each its own name.")
    for name, usual in REACTOR_BASE.items():
        values = table[name] if name in table else pd.Series([usual] * len(table))
        out[name] = _atmosphere(values, out.index) if name == "atmosphere" else _number(name, values, out.index)
    return out


def _number(name, values, names):
    import pandas as pd

    given = values.fillna(REACTOR_BASE[name])
    numbers = pd.to_numeric(given, errors="coerce").to_numpy(float)
    low, high = REACTOR_BOUNDS[name]
    # a hair of tolerance: a search that stops at a bound may overstep it by rounding
    bad = ~((numbers >= low * (1 - 1e-9)) & (numbers <= high * (1 + 1e-9)))
    if bad.any():
        k = int(bad.argmax())
        raise InputError(
            f"recipe {names[k]!r} has {name} = {given.iloc[k]}; the reactor runs from {low:g} to {high:g}."
        )
    return np.clip(numbers, low, high)


def _atmosphere(values, names):
    known = {name.lower(): name for name in REACTOR_ATMOSPHERES}
    given = [str(v).strip().lower() for v in values.fillna(REACTOR_BASE["atmosphere"])]
    for name, value in zip(names, given, strict=True):
        if value not in known:
            raise InputError(
                f"recipe {name!r} has the atmosphere {value!r}; choose from {', '.join(REACTOR_ATMOSPHERES)}."
            )
    return [known[value] for value in given]


def population_circularity(mean, sd):
    """Return mean and SD of a normal law of circularity once it is truncated, as `powder.Powder` does it."""
    a, b = ((edge - mean) / sd for edge in CIRCULARITY_RANGE)
    share = ndtr(b) - ndtr(a)
    at_a, at_b = (np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi) / share for z in (a, b))
    return mean + sd * (at_a - at_b), sd * np.sqrt(1 + a * at_a - b * at_b - (at_a - at_b) ** 2)


def _circularity_scatter(mean, sd, scatter):
    """Return how mean and SD of the population scatter from lot to lot, to first order.

    Lots differ in the law before truncation; near its upper edge the population follows less.
    """
    step = 1e-5
    by_mean = [population_circularity(mean + k * step, sd) for k in (-1, 1)]
    by_sd = [population_circularity(mean, sd * np.exp(k * step)) for k in (-1, 1)]
    change = [[(up - down) / (2 * step) for down, up in zip(*pair, strict=True)] for pair in (by_mean, by_sd)]
    return tuple(np.hypot(scatter.circularity * m, scatter.circularity_sd * s) for m, s in zip(*change, strict=True))


def reactor_truth(conditions: pd.DataFrame | Mapping, *, law: ReactorLaw | None = None) -> pd.DataFrame:
    """Return what recipes truly make, on average over lots.

    Parameters
    ----------
    conditions : DataFrame or mapping
        As `reactor_variables` takes them: one recipe or many.
    law : ReactorLaw, optional

    Returns
    -------
    DataFrame
        Index `condition`, one row a recipe. `texture_mean`, `d50_um`, `circularity_mean` and `circularity_sd` are the
        true values of what `sem measure` estimates under these names: the texture is that which `measure.texture`
        gives on average at 15000x (`reactor_texture`), the others are exact of the population. The same with
        `_lot_sd` appended: standard deviation from lot to lot. Then `geometric_sd`, `d10_um`, `d90_um`, `span`,
        `d50_volume_um`, the lamellae's `thickness_um` and `length_um`, and `outline_mean` and `outline_sd`, the normal
        law of circularity before truncation.
    """
    import pandas as pd

    law = law or ReactorLaw()
    recipes = reactor_variables(conditions)
    x = scaled(recipes)
    texture, d50 = law.texture(x), law.d50_um(x)
    mean, sd, wide = law.outline_mean(x), law.outline_sd(x), law.geometric_sd(x)
    circularity, circularity_sd = population_circularity(mean, sd)
    scatter_mean, scatter_sd = _circularity_scatter(mean, sd, law.scatter)
    low, high = (d50 * wide**z for z in (-TENTH, TENTH))
    volume = d50 * np.exp(3 * np.log(wide) ** 2)
    thickness = lamella_thickness(texture)
    found = {
        "texture_mean": texture, "d50_um": d50,
        "circularity_mean": circularity, "circularity_sd": circularity_sd,
        "texture_mean_lot_sd": law.scatter.texture + 0 * d50, "d50_um_lot_sd": law.scatter.d50 * d50,
        "circularity_mean_lot_sd": scatter_mean, "circularity_sd_lot_sd": scatter_sd,
        "geometric_sd": wide, "d10_um": low, "d90_um": high, "span": (high - low) / d50, "d50_volume_um": volume,
        "thickness_um": thickness, "length_um": lamella_length(thickness),
        "outline_mean": mean, "outline_sd": sd,
    }  # fmt: skip
    return pd.DataFrame(found, index=recipes.index)
