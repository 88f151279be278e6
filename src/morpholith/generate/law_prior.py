"""What is believed of a marker law before any section is seen: wide, and stated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from .marker_law import MarkerLaw

FACTOR = 5.0  # of the number of grains per volume, either way
VORONOI = 1.458  # grains met by a unit area of a Poisson-Voronoi diagram of unit intensity
LOGARITHMIC = ("intensity_per_um3", "radial_ratio", "tangential_ratio")
WORDS = {
    "intensity_per_um3": "number of grains per volume",
    "radial_ratio": "elongation along the radius",
    "ratio_spread": "spread of the elongation over grains",
    "ratio_slope": "change of the elongation with the distance from the centre",
    "tangential_ratio": "flatness across the radius",
    "disorder": "scatter of the long axes around the radius",
    "size_spread": "spread of the offsets (of grain sizes)",
    "regularity": "regularity of the seeds",
    "size_slope": "change of the grain size with the distance from the centre",
}
RANGES = {
    "radial_ratio": (0.3, 5.0),
    "ratio_spread": (0.0, 0.45),
    "ratio_slope": (-0.8, 0.8),
    "tangential_ratio": (1.0, 5.0),
    "disorder": (0.0, 1.2),
    "size_spread": (0.0, 0.45),
    "regularity": (0.0, 0.9),
    "size_slope": (-0.8, 0.8),
}
PARAMETERS = tuple(WORDS)


@dataclass(frozen=True)
class LawPrior:
    """Independent uniform distributions of the parameters of a `MarkerLaw`.

    Parameters
    ----------
    low, high : tuple of float
        In the order of `PARAMETERS`. The number of grains per volume and the two ratios are uniform in their logarithm.
    radius_um : float
        Distance from the centre that slopes refer to.
    power : {1, 2}
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    radius_um: float
    power: int = 1

    def __post_init__(self):
        if not len(self.low) == len(self.high) == len(PARAMETERS) or not np.less(self.low, self.high).all():
            raise InputError(f"a prior needs a lower and a higher bound for each of {', '.join(PARAMETERS)}.")

    def numbers(self, unit: np.ndarray) -> np.ndarray:
        """Return the parameters (n, 9) at quantiles (n, 9) of the prior."""
        low, high = self._scaled()
        return np.where(_logs(), np.exp(low + unit * (high - low)), low + unit * (high - low))

    def laws(self, unit: np.ndarray) -> list[MarkerLaw]:
        """Return the laws at quantiles (n, 9) of the prior."""
        rows = self.numbers(np.atleast_2d(unit)).tolist()
        return [MarkerLaw(**dict(zip(PARAMETERS, row, strict=True)), **self._fixed()) for row in rows]

    def unit(self, law: MarkerLaw) -> np.ndarray:
        """Return the quantiles (9,) of a law, below 0 or above 1 where it lies outside."""
        low, high = self._scaled()
        value = np.array([getattr(law, name) for name in PARAMETERS])
        return (np.where(_logs(), np.log(np.maximum(value, 1e-300)), value) - low) / (high - low)

    def _fixed(self):
        return {"radius_um": self.radius_um, "power": self.power}

    def _scaled(self):
        low, high = np.array(self.low), np.array(self.high)
        return np.where(_logs(), np.log(np.where(_logs(), low, 1)), low), np.where(
            _logs(), np.log(np.where(_logs(), high, 1)), high
        )


def wide_prior(
    grains_per_um2: float,
    *,
    radius_um: float,
    ranges: Mapping[str, Sequence[float]] | None = None,
    power: int = 1,
) -> LawPrior:
    """Return the prior that `learn_law` takes by default.

    The number of grains per volume lies within a factor of 5 around (grains per area / 1.458)^1.5, which a
    Poisson-Voronoi diagram would have; round grains, needles, plates and layers, ordered and not, are all within the
    other ranges (`RANGES`).

    Parameters
    ----------
    grains_per_um2 : float
        Of the sections.
    radius_um : float
        Of the particles.
    ranges : mapping of str to (low, high), optional
        Bounds of single parameters, by name, in place of the default ones.
    power : {1, 2}

    Raises
    ------
    InputError
        An unknown parameter, or bounds that enclose nothing.
    """
    around = (grains_per_um2 / VORONOI) ** 1.5
    chosen: dict[str, Sequence[float]] = {"intensity_per_um3": (around / FACTOR, around * FACTOR), **RANGES}
    for name, bounds in (ranges or {}).items():
        if name not in chosen:
            raise InputError(f"there is no parameter {name!r} to bound; there are {', '.join(PARAMETERS)}.")
        chosen[name] = bounds
    low, high = zip(*(map(float, chosen[name]) for name in PARAMETERS), strict=True)
    return LawPrior(low, high, radius_um, power)


def _logs():
    return np.isin(PARAMETERS, LOGARITHMIC)
