"""A grain architecture of few parameters: how many grains, how long along the radius, how flat, how well ordered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..errors import InputError
from .architecture import GrainField
from .power_diagram import POWERS
from .radial_frame import restricted_matrices

Near = Callable[[np.ndarray, float], np.ndarray]
CLIP = 2.0  # standard deviations at which every normal draw ends, so that no grain reaches farther than `reach_um`
COVERED = 1.4  # norm within which a point has a seed, but for one point in 100 000: exp(-4/3 pi 1.4^3)
CORE_RATIO = 3.0  # most that the core in which a seed admits no other is drawn out


@dataclass(frozen=True)
class MarkerLaw:
    """Seeds and markers of a generalised balanced power diagram, by nine numbers.

    A grain's metric has the half axes l_r along its first axis and l_1, l_2 across it, in units of the edge of the cube
    that a seed has for itself at its distance from the centre, with l_r l_1 l_2 = 1: `ln(l_r / sqrt(l_1 l_2))` is
    normal, with a mean that changes linearly with the distance from the centre; `ln(l_1 / l_2)` is normal too. The
    first axis is the radius, or scattered around it.

    Parameters
    ----------
    intensity_per_um3 : float
        Seeds a volume, at half of `radius_um` where `size_slope` is not 0.
    radial_ratio : float
        Median of l_r / sqrt(l_1 l_2) at half of `radius_um`: above 1 grains are long along the radius.
    ratio_spread : float
        Standard deviation of the logarithms of that ratio, and of `tangential_ratio`.
    ratio_slope : float
        Change of the mean logarithm from the centre to `radius_um`; held beyond.
    tangential_ratio : float
        Median of l_1 / l_2, 1 or more: plates that hold the radius have it above 1. Their direction across the radius
        is random.
    disorder : float
        First axes are along e + disorder * (standard normal vector), e the radius: 0 exactly radial, 1 hardly ordered.
    size_spread : float
        Standard deviation of the offsets r, in units of the norm (of its square for `power` 2).
    regularity : float
        0 for Poisson seeds, up to 0.95: intensity times the volume in which a seed admits no other (in the metric of
        its place, drawn out 3 times at most), by dependent thinning (Matern's second process).
    size_slope : float
        Change of the logarithm of the edge of that cube from the centre to `radius_um`; held beyond.
    radius_um : float
        Distance that the slopes refer to, about the radius of the particle.
    power : {1, 2}
        As in `label_grid`.

    Raises
    ------
    InputError
        For numbers that are out of range.
    """

    intensity_per_um3: float
    radial_ratio: float = 1.0
    ratio_spread: float = 0.0
    ratio_slope: float = 0.0
    tangential_ratio: float = 1.0
    disorder: float = 0.0
    size_spread: float = 0.0
    regularity: float = 0.0
    size_slope: float = 0.0
    radius_um: float = 5.0
    power: int = 1

    def __post_init__(self):
        positive = ("intensity_per_um3", "radial_ratio", "radius_um")
        for name in positive:
            _inside(getattr(self, name), 0, np.inf, name, open_low=True)
        for name in ("ratio_spread", "disorder", "size_spread"):
            _inside(getattr(self, name), 0, np.inf, name)
        for name in ("ratio_slope", "size_slope"):
            _inside(getattr(self, name), -np.inf, np.inf, name)
        _inside(self.tangential_ratio, 1, np.inf, "tangential_ratio")
        _inside(self.regularity, 0, 0.95, "regularity")
        if self.power not in POWERS:
            raise InputError(f"`power` must be 1 or 2, got {self.power!r}.")

    @property
    def edge_um(self) -> float:
        """Edge of the cube that holds one seed on average, at half of `radius_um`."""
        return float(self.intensity_per_um3 ** (-1 / 3))

    @property
    def reach_um(self) -> float:
        """How far from a seed its grain may reach."""
        mean = np.log(self.radial_ratio) + np.array([-0.5, 0.5]) * self.ratio_slope
        far = CLIP * self.ratio_spread
        across = np.log(self.tangential_ratio) + far
        longest = max((mean.max() + far) * 2 / 3, -(mean.min() - far) / 3 + across / 2)
        offset = CLIP * self.size_spread
        norm = COVERED + offset if self.power == 1 else np.sqrt(COVERED**2 + offset)
        widest = self.edge_um * np.exp(np.abs(self.size_slope) / 2)
        return float(widest * np.exp(longest) * norm)

    def draw(self, low_um: Sequence[float], high_um: Sequence[float], *, rng: np.random.Generator) -> GrainField:
        """Draw the seeds in a box and their markers.

        Parameters
        ----------
        low_um, high_um : (z, y, x)
            Corners of the box; the centre of the particle is the origin.
        rng : Generator

        Returns
        -------
        GrainField
            Empty (no seeds) where the box holds none.

        Raises
        ------
        InputError
            For a box that is none.
        """
        low, high = np.asarray(low_um, float), np.asarray(high_um, float)
        if low.shape != (3,) or high.shape != (3,) or not np.isfinite([low, high]).all() or (high < low).any():
            raise InputError(f"a box has two finite corners (z, y, x), low then high; got {low_um!r}, {high_um!r}.")
        return self.drawn(low, high, rng, None)

    def drawn(self, low: np.ndarray, high: np.ndarray, rng: np.random.Generator, near: Near | None) -> GrainField:
        """Draw the seeds of a box of which `near` says that they matter: near(points, margin) for those within it."""
        seeds = self._seeds(low, high, rng, near)
        matrices, radii = self._markers(seeds, rng)
        return GrainField(seeds, matrices, radii, self.power)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return the arrays of the model, which has none, and its numbers by name."""
        return {}, asdict(self)

    @classmethod
    def from_state(cls, arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> MarkerLaw:
        """Return the model that `state` described."""
        del arrays  # it has none
        return cls(**settings)

    def _markers(self, seeds, rng):
        n = len(seeds)
        if n == 0:
            return np.zeros((0, 3, 3)), np.zeros(0)
        noise = np.clip(rng.standard_normal((n, 3)), -CLIP, CLIP)
        distance = np.linalg.norm(seeds, axis=1)
        ratio = self._mean_log_ratio(distance) + self.ratio_spread * noise[:, 0]
        across = np.log(self.tangential_ratio) + self.ratio_spread * noise[:, 1] * (self.tangential_ratio > 1)
        logs = np.stack([2 / 3 * ratio, -ratio / 3 + across / 2, -ratio / 3 - across / 2], 1)
        out = seeds / np.maximum(distance, 1e-300)[:, None]
        first = out + self.disorder * rng.standard_normal((n, 3)) if self.disorder else out
        gamma = rng.uniform(0, np.pi, n)
        diagonal = np.exp(-2 * logs) / np.square(self._edges(distance))[:, None]
        return restricted_matrices(first, diagonal, gamma), self.size_spread * noise[:, 2]

    def _mean_log_ratio(self, distance):
        return np.log(self.radial_ratio) + self.ratio_slope * (np.minimum(distance / self.radius_um, 1) - 0.5)

    def half_axes(self, distance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return how long the first half axis and those across it are at most, at distances from the centre, um."""
        mean, far = self._mean_log_ratio(distance), CLIP * self.ratio_spread
        across = np.log(self.tangential_ratio) + far * (self.tangential_ratio > 1)
        edges = self._edges(distance)
        return edges * np.exp(2 / 3 * (mean + far)), edges * np.exp(-(mean - far) / 3 + across / 2)

    def _edges(self, distance):
        """Edge of the cube of a seed at each distance from the centre."""
        return self.edge_um * np.exp(self.size_slope * (np.minimum(distance / self.radius_um, 1) - 0.5))

    def _seeds(self, low, high, rng, near):
        """Return the seeds of the box."""
        # Matern II: a point stays where no earlier one lies within the core; density (1 - exp(-dense * core)) / core
        core = self.regularity / self.intensity_per_um3
        dense = -np.log1p(-self.regularity) / core if core else self.intensity_per_um3
        shrink = 1 / (1 + self.disorder**2)  # scattered axes: the mean metric is rounder
        extreme = (np.abs(np.log(self.radial_ratio)) + 0.5 * np.abs(self.ratio_slope)) * shrink
        finest, widest = np.exp(np.array([-0.5, 0.5]) * np.abs(self.size_slope))
        radius = np.cbrt(3 * self.regularity / (4 * np.pi))  # of the core, in the metric
        reach = radius * self.edge_um * widest * np.exp(2 / 3 * min(extreme, np.log(CORE_RATIO)))
        n = rng.poisson(dense / finest**3 * np.prod(high - low + 2 * reach))
        points = rng.uniform(low - reach, high + reach, (n, 3))
        if near:
            points = points[near(points, reach)]
        if self.size_slope:
            edges = self._edges(np.linalg.norm(points, axis=1))
            points = points[rng.uniform(size=len(points)) < (finest * self.edge_um / edges) ** 3]
        stays = ((points >= low) & (points <= high)).all(1)
        if near and core:
            stays &= near(points, 0.0)
        if core:
            stays &= ~self._crowded(points, reach, radius, shrink)
        return points[stays]

    def _crowded(self, points, reach, radius, shrink):
        """Tell which points have an earlier one in their core; cells of the edge of `reach` say what is near."""
        from ._core_kernel import crowded

        if len(points) < 2:
            return np.zeros(len(points), bool)
        low = points.min(0)
        edge = max(reach, (points.max(0) - low).max() / 200)  # no more than 200 cells along an axis
        cell = ((points - low) / edge).astype(np.int64) + 1
        shape = cell.max(0) + 3
        number = np.ravel_multi_index(tuple(cell.T), tuple(shape))
        start = np.concatenate([[0], np.cumsum(np.bincount(number, minlength=int(shape.prod())))])[:-1]
        members = np.argsort(number, kind="stable")
        return crowded(
            points, cell, start.reshape(shape), members, reach, radius, self.edge_um, float(self.size_slope),
            float(np.log(self.radial_ratio)), float(self.ratio_slope), shrink, np.log(CORE_RATIO), self.radius_um,
        )  # fmt: skip


def _inside(value, low, high, name, *, open_low=False):
    # comparisons with NaN are false
    if not (low <= value <= high and np.isfinite(value) and not (open_low and value == low)):
        least = "above" if open_low else "from"
        raise InputError(f"`{name}` must be a finite number {least} {low:g} to {high:g}, got {value!r}.")
