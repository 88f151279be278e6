"""What a model of the grain architecture is: something that draws the seeds and markers of a box."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np


class GrainField(NamedTuple):
    """Generators of a power diagram around the centre of a particle, which lies at the origin.

    Attributes
    ----------
    seeds : (n, 3) array
        In array order (z, y, x), in um.
    matrices : (n, 3, 3) array
        In 1 / um^2, so that the norm has no unit.
    radii : (n,) array
        Offsets r, without unit.
    power : int
        1 or 2, as in `label_grid`.
    """

    seeds: np.ndarray
    matrices: np.ndarray
    radii: np.ndarray
    power: int = 1


class Architecture(Protocol):
    """A stochastic model of grains around the centre of a particle.

    Attributes
    ----------
    power : int
        Of its diagrams.
    intensity_per_um3 : float
        Seeds a volume.
    reach_um : float
        How far from a seed its grain may reach, safely: seeds farther than this from a point do not matter there.
    """

    @property
    def power(self) -> int: ...  # noqa: D102

    @property
    def intensity_per_um3(self) -> float: ...  # noqa: D102

    @property
    def reach_um(self) -> float: ...  # noqa: D102

    def draw(self, low_um: Sequence[float], high_um: Sequence[float], *, rng: np.random.Generator) -> GrainField:
        """Draw the generators whose seeds lie in the box from `low_um` to `high_um` (z, y, x)."""
        ...
