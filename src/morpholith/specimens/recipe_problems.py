"""Reactors in closed form, with known best recipes: what judges a search for recipes.

Each is called like a simulator, ``problem(conditions, *, seed) -> {descriptor: draws}``, and knows its truth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

GASES = ("N2", "air", "O2")


@dataclass(frozen=True)
class RecipeProblem:
    """A reactor whose truth is a formula.

    Attributes
    ----------
    truth : function
        Conditions to the expectation of each descriptor.
    spread : function
        Conditions to the standard deviation of one draw of each descriptor.
    conditions : mapping
        Name to (low, high), an integer range, or a tuple of words, as a search space takes them.
    draws : int
        In a call.
    """

    truth: Callable[[Mapping[str, Any]], dict[str, float]]
    spread: Callable[[Mapping[str, Any]], dict[str, float]]
    conditions: Mapping[str, Any]
    draws: int = 8

    def __call__(self, conditions: Mapping[str, Any], *, seed: int) -> dict[str, np.ndarray]:
        """Return `draws` noisy draws of each descriptor; the same seed gives the same noise at every recipe."""
        noise = np.random.default_rng(seed).standard_normal((len(self.truth(conditions)), self.draws))
        spread = self.spread(conditions)
        means = self.truth(conditions).items()
        return {name: value + spread[name] * z for (name, value), z in zip(means, noise, strict=True)}


def precipitation(*, draws: int = 8, noise: float = 1.0) -> RecipeProblem:
    """Return a co-precipitation in six conditions: curved, one on a log scale, one whole, one of words, noise uneven.

    Texture rises with NaOH and falls with NH4OH, pH and oxygen; D50 rises and circularity saturates with time; the
    spread of a draw is 2 to 6 % of the descriptor, and largest where the powder is young.
    """

    def truth(c):
        oxygen = {"N2": 0.0, "air": 0.45, "O2": 1.0}[c["atmosphere"]]
        ph, hours = c["ph"] - 10.4, np.log(c["time_min"] / 120.0)
        lean = 9.0 * (c["naoh"] - 0.16) - 5.0 * (c["nh4oh"] - 0.3) - 1.6 * ph - 1.3 * oxygen - 0.35 * hours
        stir = (c["stirring_rpm"] - 800.0) / 400.0
        d50 = 7.5 * np.exp(0.28 * hours - 0.35 * ph - 0.5 * (c["nh4oh"] - 0.3) - 0.12 * stir + 0.10 * oxygen * hours)
        ripe = 1.0 / (1.0 + np.exp(-1.1 * hours - 6.0 * (c["naoh"] - 0.16) - 0.5 * stir * (1.0 - 0.4 * stir)))
        return {
            "texture": 0.1 + 0.75 / (1.0 + np.exp(-lean)),
            "d50_um": d50,
            "circularity": 0.72 + 0.24 * ripe - 0.05 * oxygen,
        }

    def spread(c):
        young = 1.0 + 2.0 * np.exp(-c["time_min"] / 120.0)
        means = truth(c)
        share = {"texture": 0.03, "d50_um": 0.02, "circularity": 0.01}
        return {name: noise * share[name] * young * means[name] for name in means}

    conditions = {
        "ph": (9.8, 11.0), "naoh": (0.08, 0.25), "nh4oh": (0.09, 0.57), "time_min": (30.0, 1440.0),
        "stirring_rpm": (400, 1200), "atmosphere": GASES,
    }  # fmt: skip
    return RecipeProblem(truth, spread, conditions, draws)


def diamond(*, draws: int = 8, noise: float = 0.02) -> RecipeProblem:
    """Return ``a = 2 + x + y, b = 2 + x - y`` over the unit square: what can be reached is a square on its corner.

    Of a target (a, b) with equal tolerances, the nearest that can be reached is its projection on
    ``|a - 3| + |b - 2| <= 1``.
    """

    def truth(c):
        return {"a": 2.0 + c["x"] + c["y"], "b": 2.0 + c["x"] - c["y"]}

    def spread(c):
        return {"a": noise * (1.0 + c["x"]), "b": noise}

    return RecipeProblem(truth, spread, {"x": (0.0, 1.0), "y": (0.0, 1.0)}, draws)


def quarrel(*, draws: int = 8, noise: float = 0.01) -> RecipeProblem:
    """Return two descriptors that cannot both be high: with u = 0.3 and v good the front is ``a = x, b = 1 - x**2``."""

    def truth(c):
        loss = 0.5 * (c["u"] - 0.3) ** 2 + 0.2 * (c["v"] == "bad")
        return {"a": c["x"] - loss, "b": 1.0 - c["x"] ** 2 - loss}

    def spread(c):
        return {"a": noise, "b": noise * (1.0 + c["x"])}

    return RecipeProblem(truth, spread, {"x": (0.0, 1.0), "u": (0.0, 1.0), "v": ("good", "bad")}, draws)
