"""Grains whose markers a small network draws from the seeds around them (paper 001, Algorithm 1), with numpy alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import _checks
from ..errors import InputError
from .architecture import GrainField
from .seed_surroundings import (
    NEIGHBOURS,
    cells_of,
    describe_rows,
    marker_inputs,
    neighbour_distance,
    poisson_seeds,
    thread_count,
    write_metrics,
)

DIAGONAL = (0.5, 50.0)  # 1 / step^2; the paper prints [0, 50], and 0 is no metric
RADIUS = (1.0, 10.0)
PUBLISHED_INTENSITY = 0.0018  # seeds a cubic step where training starts
PUBLISHED_STEP_UM = 0.05  # of the paper's maps
CHUNK = 4096  # seeds that go through the network at once
ENOUGH = 36.0  # seeds expected in the ball that must hold the neighbours; fewer than 12 in 2e-6 of cases


@dataclass(frozen=True, eq=False)
class MarkerNetwork:
    """A fully connected network from the surroundings of a seed to its marker, and the intensity of the seeds.

    Implements `Architecture`. Everything learnt is kept in steps, the pixels of the maps it was learnt from; `draw`
    turns it into um.

    Attributes
    ----------
    weights : tuple of (n_in, n_out) float32 arrays
    biases : tuple of (n_out,) float32 arrays
        Hidden layers are rectified; the four outputs are scaled sigmoids: D along the radius and twice across it, r.
    intensity : float
        Seeds a cubic step.
    step_um : float
    reach : float
        Steps from a seed beyond which its grain does not go, as found by `measured_reach`.
    neighbours : int
        Nearest seeds that are looked at: 12.
    paper_inputs : bool
        The neighbours alone, in steps, as the paper prints; otherwise the own noise and the distance from the centre
        follow them, and lengths are scaled.
    diagonal_range, radius_range : (low, high)
        Of the outputs, in 1 / step^2 (of a norm) and without unit.
    power : int
        1 (paper 001) or 2.
    """

    weights: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]
    intensity: float
    step_um: float
    reach: float = 40.0
    neighbours: int = NEIGHBOURS
    paper_inputs: bool = False
    diagonal_range: tuple[float, float] = DIAGONAL
    radius_range: tuple[float, float] = RADIUS
    power: int = 1

    def __post_init__(self):
        wide = marker_inputs(self.neighbours, self.paper_inputs)
        for w, b in zip(self.weights, self.biases, strict=True):
            if w.ndim != 2 or w.shape[0] != wide or b.shape != w.shape[1:]:
                raise InputError(f"a layer of the marker network should take {wide} numbers, its weights are {w.shape}")
            if not (np.isfinite(w).all() and np.isfinite(b).all()):
                raise InputError("weights of the marker network are not finite; train again at a smaller rate.")
            wide = w.shape[1]
        if wide != 4:
            raise InputError(f"a marker network ends in 4 outputs (D three times, r), got {wide}.")
        _checks.positive(self.intensity, name="intensity")
        _checks.positive(self.step_um, name="step_um")
        _checks.positive(self.reach, name="reach")
        _checks.choice(self.power, (1, 2), name="power")

    @property
    def intensity_per_um3(self) -> float:
        """Seeds a volume."""
        return self.intensity / self.step_um**3

    @property
    def reach_um(self) -> float:
        """How far from a seed its grain may reach."""
        return self.reach * self.step_um

    def draw(
        self,
        low_um: Sequence[float],
        high_um: Sequence[float],
        *,
        rng: np.random.Generator,
        threads: int | None = None,
    ) -> GrainField:
        """Draw the generators whose seeds lie in the box from `low_um` to `high_um` (z, y, x).

        Seeds are a homogeneous Poisson process in a box wider by as much as the twelve nearest seeds may lie away, so
        that markers next to the wall see seeds on both sides of it; those outside are then dropped.

        Parameters
        ----------
        low_um, high_um : (3,)
        rng : Generator
        threads : int, optional
            For neighbours and matrices; as many as numba would take by default. The field does not depend on it.

        Returns
        -------
        GrainField
            Of no seeds where the process draws none.

        Raises
        ------
        InputError
            A box that is not one.
        """
        low, high = np.asarray(low_um, float) / self.step_um, np.asarray(high_um, float) / self.step_um
        if low.shape != (3,) or high.shape != (3,) or not (np.isfinite([low, high]).all() and (high >= low).all()):
            raise InputError(f"a box has a low and a high corner (z, y, x) in um, got {low_um!r} and {high_um!r}.")
        pad = neighbour_distance(self.intensity, ENOUGH)
        seeds, noise, gamma = poisson_seeds(low - pad, high + pad, self.intensity, rng=rng)
        cells = cells_of(seeds, self.intensity)
        # neighbours next to each other in memory
        seeds, noise, gamma = (np.ascontiguousarray(part[cells.order]) for part in (seeds, noise, gamma))
        cells = cells._replace(order=np.arange(len(seeds)))
        wanted = np.flatnonzero(((seeds >= low) & (seeds < high)).all(1))
        threads = thread_count(threads)
        matrices, radii = np.empty((len(wanted), 3, 3)), np.empty(len(wanted))
        x = np.empty((CHUNK, marker_inputs(self.neighbours, self.paper_inputs)), np.float32)
        for at in range(0, len(wanted), CHUNK):
            part = wanted[at : at + CHUNK]
            rows = x[: len(part)]
            describe_rows(seeds, noise, gamma, part, self, cells, rows, threads)
            diagonal, radii[at : at + CHUNK] = self.markers(rows)
            write_metrics(seeds[part], gamma[part], diagonal, self.step_um**-2, matrices[at : at + CHUNK], threads)
        return GrainField(seeds[wanted] * self.step_um, matrices, radii, self.power)

    def markers(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Turn rows of `surroundings` (n, n_in) into D (n, 3) in 1 / step^2 and r (n,), both float64."""
        out = np.empty((len(x), 4))
        for at in range(0, len(x), CHUNK):
            y = x[at : at + CHUNK]
            for k, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
                y = y @ w
                y += b
                if k < len(self.weights) - 1:
                    np.maximum(y, 0, out=y)
            out[at : at + CHUNK] = y
        np.clip(out, -60, 60, out=out)  # beyond, a sigmoid is flat and its exponential overflows
        low = np.array([self.diagonal_range[0]] * 3 + [self.radius_range[0]])
        high = np.array([self.diagonal_range[1]] * 3 + [self.radius_range[1]])
        out = low + (high - low) / (1 + np.exp(-out))
        return np.ascontiguousarray(out[:, :3]), np.ascontiguousarray(out[:, 3])

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return the weights and biases by name, and all else as JSON can write it."""
        arrays = {f"weight_{k}": w for k, w in enumerate(self.weights)}
        arrays |= {f"bias_{k}": b for k, b in enumerate(self.biases)}
        names = ("intensity", "step_um", "reach", "neighbours", "paper_inputs", "power")
        settings = {name: getattr(self, name) for name in names}
        settings |= {name: list(getattr(self, name)) for name in ("diagonal_range", "radius_range")}
        return arrays, settings

    @classmethod
    def from_state(cls, arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> MarkerNetwork:
        """Build a network from what `state` returned."""
        n = sum(name.startswith("weight_") for name in arrays)
        try:
            weights = tuple(np.asarray(arrays[f"weight_{k}"], np.float32) for k in range(n))
            biases = tuple(np.asarray(arrays[f"bias_{k}"], np.float32) for k in range(n))
            given = {**settings, **{k: tuple(settings[k]) for k in ("diagonal_range", "radius_range")}}
            return cls(weights, biases, **given)
        except (KeyError, TypeError) as error:
            raise InputError(f"this is no stored marker network of this version ({error}); learn it again.") from error


def untrained_network(
    *, step_um: float = PUBLISHED_STEP_UM, hidden=(128, 128), paper_inputs: bool = False, rng: np.random.Generator
) -> MarkerNetwork:
    """Return a network of the paper's size with random weights, as training would start from it."""
    sizes = (marker_inputs(NEIGHBOURS, paper_inputs), *hidden, 4)
    bound = [1 / np.sqrt(n) for n in sizes[:-1]]
    weights = [
        rng.uniform(-b, b, (n, m)).astype(np.float32) for b, n, m in zip(bound, sizes[:-1], sizes[1:], strict=True)
    ]
    biases = [rng.uniform(-b, b, m).astype(np.float32) for b, m in zip(bound, sizes[1:], strict=True)]
    return MarkerNetwork(
        tuple(weights), tuple(biases), PUBLISHED_INTENSITY, step_um, paper_inputs=paper_inputs
    )  # fmt: skip


def with_reach(network: MarkerNetwork, *, rng: np.random.Generator, safety: float = 1.25) -> MarkerNetwork:
    """Return the network with `reach` measured: how far its grains go from their seeds, times `safety`.

    Cubes at the centre and at 40 and 90 steps from it are filled with grains and labelled at 64^3 points each.
    """
    from .power_diagram import label_grid

    edge = 5 * network.intensity ** (-1 / 3)
    far = 0.0
    for away in (0.0, 40.0, 90.0):
        middle = np.array([away, 0, 0])
        u = network.step_um
        field = network.draw((middle - 1.5 * edge) * u, (middle + 1.5 * edge) * u, rng=rng)
        if not len(field.seeds):
            continue
        n, origin = 48, (middle - edge / 2) * u
        spacing = edge * u / (n - 1)
        labels = label_grid(*field[:3], shape=(n, n, n), spacing=spacing, origin=tuple(origin), power=network.power)
        at = np.stack(np.meshgrid(*[o + spacing * np.arange(n) for o in origin], indexing="ij"), -1)
        far = max(far, float(np.linalg.norm(at - field.seeds[labels - 1], axis=-1).max()) / u)
    return replace(network, reach=safety * max(far, 1.0))
