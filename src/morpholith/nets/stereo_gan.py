"""The networks of the stereological GAN (paper 001, Fig. 5), and what they are shown: cutouts of sections.

The generator is a marker network over Poisson seeds, whose diagram is cut by a plane through the centre; the
discriminator judges cutouts of 32 x 32 pixels whose 12 channels are the most prominent grains.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from ..errors import InputError
from ..generate import (
    DiagramFit,
    MarkerNetwork,
    marker_inputs,
    neighbour_distance,
    poisson_seeds,
    radial_frames,
    restricted,
    surroundings,
)
from .soft_diagram import CHANNELS, SIZE, Plane, plane

FARTHEST = 80  # largest p of the paper, in steps
WITHIN = 0.98  # share of a cutout that lies in the particle
SPREAD = 0.2  # augmentation of D and r
GAUGE = 12.0  # 1 / step^2; the geometric mean of D that fitted diagrams are scaled to
MIDDLE = 5.5  # of the range of r
GRAIN = 8.0  # steps; mean diameter of the section's grains that the paper's ranges go with


class MarkerNet(nn.Module):
    """The fully connected network of the generator: rows of `generate.surroundings` to D (n, 3) and r (n,).

    Parameters
    ----------
    hidden : sequence of int
    paper_inputs : bool
        As in `generate.MarkerNetwork`.
    """

    def __init__(
        self,
        hidden: Sequence[int] = (128, 128),
        *,
        paper_inputs: bool = False,
        neighbours: int = 12,
        diagonal_range: tuple[float, float] = (0.5, 50.0),
        radius_range: tuple[float, float] = (1.0, 10.0),
    ):
        super().__init__()
        if not 0 < diagonal_range[0] < diagonal_range[1] or not radius_range[0] < radius_range[1]:
            raise InputError(
                f"D must be bounded by two positive numbers, low and high, got {diagonal_range!r}; r {radius_range!r}."
            )
        sizes = [marker_inputs(neighbours, paper_inputs), *hidden, 4]
        self.linear = nn.ModuleList(nn.Linear(n, m) for n, m in pairwise(sizes))
        self.paper_inputs, self.neighbours = paper_inputs, neighbours
        self.diagonal_range, self.radius_range = tuple(diagonal_range), tuple(radius_range)
        low, high = zip(*[diagonal_range] * 3, radius_range, strict=True)
        self.register_buffer("low", torch.tensor(low), persistent=False)
        self.register_buffer("high", torch.tensor(high), persistent=False)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return D (n, 3) and r (n,)."""
        for layer in self.linear[:-1]:
            x = torch.relu(layer(x))
        x = self.low + (self.high - self.low) * torch.sigmoid(self.linear[-1](x))
        return x[:, :3], x[:, 3]

    @torch.no_grad()
    def start_at(self, diagonal: Sequence[float], radius: float, *, calm: float = 0.3) -> None:
        """Set the biases of the outputs so that markers start around the values given, and weights to `calm`."""
        value = torch.tensor([*diagonal, radius], dtype=torch.float32)
        share = ((value - self.low) / (self.high - self.low)).clamp(0.01, 0.99)
        self.linear[-1].bias.copy_(torch.log(share / (1 - share)))
        self.linear[-1].weight.mul_(calm)

    def plain(self, *, intensity: float, step_um: float) -> MarkerNetwork:
        """Return the network for numpy, its reach not yet measured."""
        weights = tuple(layer.weight.detach().cpu().numpy().T.copy() for layer in self.linear)
        biases = tuple(layer.bias.detach().cpu().numpy().copy() for layer in self.linear)
        return MarkerNetwork(
            weights,
            biases,
            float(intensity),
            float(step_um),
            neighbours=self.neighbours,
            paper_inputs=self.paper_inputs,
            diagonal_range=self.diagonal_range,
            radius_range=self.radius_range,
        )


class Discriminator(nn.Module):
    """A small convolutional judge: (b, 12, 32, 32) to (b,), 1 for measured sections.

    Convolutions, each followed by 2 x 2 max-pooling, batch normalisation and ReLU, then two dense layers. Pooling comes
    before the normalisation, which costs a quarter so. The widths of the paper's Fig. 5b are not in its text.

    Parameters
    ----------
    widths : sequence of int
        Features of the convolutions; each halves the image.
    """

    def __init__(self, widths: Sequence[int] = (24, 48, 64), *, channels: int = CHANNELS, size: int = SIZE):
        super().__init__()
        parts: list[nn.Module] = []
        for n_in, n_out in zip((channels, *widths[:-1]), widths, strict=True):
            parts += [nn.Conv2d(n_in, n_out, 3, padding=1, bias=False), nn.MaxPool2d(2)]
            parts += [nn.BatchNorm2d(n_out), nn.ReLU(inplace=True)]
        edge = size // 2 ** len(widths)
        parts += [nn.Flatten(), nn.Linear(widths[-1] * edge**2, 64), nn.ReLU(inplace=True), nn.Linear(64, 1)]
        self.body = nn.Sequential(*parts).to(memory_format=torch.channels_last)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Judge (b, 12, 32, 32)."""
        return self.body(x.contiguous(memory_format=torch.channels_last))[:, 0]


class Measured(NamedTuple):
    """A fitted planar diagram in steps, and where in it cutouts fit.

    Attributes
    ----------
    seeds : (n, 2) array
        From the centre.
    diagonal : (n, 2) array
        In 1 / step^2, along the radius and across it.
    radii : (n,) array
    places : (m, 2) array
        Distance p in steps and angle of every cutout that lies in the particle, on a grid of whole steps and 5 degrees.
    """

    seeds: np.ndarray
    diagonal: np.ndarray
    radii: np.ndarray
    places: np.ndarray


def suitable_step(fits: Sequence[DiagramFit]) -> float:
    """Return the step in um in which the mean grain of the sections is 8 steps wide, as in paper 001."""
    area = sum(np.count_nonzero(fit.labels) * np.prod(fit.spacing) for fit in fits)
    grains = sum(len(np.unique(fit.labels[fit.labels > 0])) for fit in fits)
    return float(np.sqrt(4 / np.pi * area / max(grains, 1)) / GRAIN)


def measured(fit: DiagramFit, *, step_um: float, size: int = SIZE) -> Measured:
    """Take a fitted diagram for training: radial, power 1, in steps.

    A diagram of power 1 stays the same when all D are multiplied by c^2 and all r by c, or a constant is added to all
    r. Only how soft its boundaries are depends on c: diagrams are scaled to a geometric mean of D of 12 / step^2 in
    space, and to a median r in the middle of the generator's range.

    Raises
    ------
    InputError
        No cutout lies in the section.
    """
    if fit.power != 1 or fit.diagonal is None:
        fit = restricted(fit)
    diagonal = np.asarray(fit.diagonal, float) * step_um**2
    scale = GAUGE / np.exp(np.log(diagonal).mean(0) @ [1 / 3, 2 / 3])
    radii = np.asarray(fit.radii, float) * np.sqrt(scale)
    radii = radii - np.median(radii) + MIDDLE
    places = _places(fit, step_um, size)
    if len(places) == 0:
        raise InputError(
            f"no cutout of {size} x {size} steps of {step_um:.3g} um lies in the section: it holds too few grains to "
            "learn from by the GAN; calibrate a marker law instead."
        )
    return Measured(np.asarray(fit.seeds, float) / step_um, diagonal * scale, radii, places)


def _places(fit, step_um, size):
    """Distances and angles at which a cutout lies in the particle."""
    p, angle = np.meshgrid(np.arange(1.0, FARTHEST + 1), np.radians(np.arange(0, 360, 5)), indexing="ij")
    line = np.linspace(0, size - 1, 9)
    i, j = np.meshgrid(line, line, indexing="ij")
    along = p[..., None, None] + 1 + i
    across = np.broadcast_to(1 + j - (size + 1) / 2, along.shape)
    cos, sin = np.cos(angle)[..., None, None], np.sin(angle)[..., None, None]
    row = np.rint((cos * along - sin * across) * step_um / fit.spacing[0] + fit.centre[0]).astype(int)
    column = np.rint((sin * along + cos * across) * step_um / fit.spacing[1] + fit.centre[1]).astype(int)
    shape = fit.labels.shape
    there = (row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1])
    there[there] = fit.labels[row[there], column[there]] > 0
    fits = there.mean((-1, -2)) >= WITHIN
    return np.stack([p[fits], angle[fits]], 1)


class Shown(NamedTuple):
    """Cutouts to be rendered: seeds seen from their planes, and what makes the markers.

    `inputs` are rows for the marker network, and `seeds` where they lie (drawn ones); `diagonal` and `radii` stand for
    themselves (measured ones).
    """

    seen: Plane
    inputs: np.ndarray | None = None
    seeds: np.ndarray | None = None
    diagonal: np.ndarray | None = None
    radii: np.ndarray | None = None


def distances(data: Sequence[Measured], count: int, *, rng: np.random.Generator) -> np.ndarray:
    """Draw distances p of cutouts: uniform in (0, 80] where some section has room for one (paper 001, Eq. 14)."""
    whole = np.unique(np.concatenate([section.places[:, 0] for section in data]))
    return rng.choice(whole, count) - rng.random(count)


def measured_cutouts(
    data: Sequence[Measured], count: int, *, rng: np.random.Generator, spread: float = SPREAD, size: int = SIZE
) -> Shown:
    """Draw augmented cutouts of measured sections (T_2D of paper 001).

    Entries of D and r are multiplied by independent uniform numbers within 1 -+ `spread`.
    """
    seeds, frames, diagonal, radii, lengths = [], [], [], [], []
    p = distances(data, count, rng=rng)
    places = [section.places for section in data]
    owner = np.repeat(np.arange(len(data)), [len(at) for at in places])
    together = np.concatenate(places)
    rows = {d: np.flatnonzero(together[:, 0] == d) for d in np.unique(np.ceil(p))}
    for distance in p:
        row = rng.choice(rows[np.ceil(distance)])
        section, angle = data[owner[row]], together[row, 1]
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        at = section.seeds @ turn.T
        near = np.flatnonzero((np.abs(at - [distance + size / 2, 0]) < 2.5 * size).all(1))
        at = at[near]
        out = np.linalg.norm(at, axis=1, keepdims=True)
        e = np.where(out > 0, at / np.where(out > 0, out, 1), [1.0, 0])
        frame = np.zeros((len(at), 3, 3))
        frame[:, 0, :2] = e
        frame[:, 1, 0], frame[:, 1, 1] = -e[:, 1], e[:, 0]
        seeds.append(np.pad(at, ((0, 0), (0, 1))))
        frames.append(frame)
        stretch = 1 + spread * rng.uniform(-1, 1, (len(at), 3))
        diagonal.append(np.pad(section.diagonal[near] * stretch[:, :2], ((0, 0), (0, 1)), constant_values=1.0))
        radii.append(section.radii[near] * stretch[:, 2])
        lengths.append(len(at))
    seen = plane(np.concatenate(seeds), np.concatenate(frames), np.cumsum([0, *lengths]), p, size=size)
    given = (np.concatenate(part).astype(np.float32) for part in (diagonal, radii))
    return Shown(seen, None, None, *given)


def drawn_cutouts(
    net: MarkerNet,
    intensity: float,
    distance: np.ndarray,
    margin: tuple[float, float],
    *,
    rng: np.random.Generator,
    size: int = SIZE,
) -> Shown:
    """Draw Poisson seeds around cutouts of sections through the centre (paper 001, Eq. 16).

    Parameters
    ----------
    net : MarkerNet
        For its inputs; markers are computed from `Shown.inputs`.
    intensity : float
        Seeds a cubic step.
    distance : (count,) array
        p of each cutout.
    margin : (along, across)
        Seeds farther than this from a cutout, in steps along its rows (away from the centre) and across them, are not
        kept: they are drawn only as far as the neighbours of kept ones lie.
    """
    pad = neighbour_distance(intensity, 2.0 * net.neighbours)
    given = _Given(intensity, net.neighbours, net.paper_inputs)
    half, (along, across) = (size - 1) / 2, margin
    inputs, seeds, turns, lengths = [], [], [], []
    for p in distance:
        low = np.array([p + 1 - along, -half - across, -across])
        high = np.array([p + size + along, half + across, across])
        points, noise, gamma = poisson_seeds(low - pad, high + pad, intensity, rng=rng)
        kept = np.flatnonzero(((points >= low) & (points < high)).all(1))
        inputs.append(surroundings(points, noise, gamma, kept, given))
        seeds.append(points[kept])
        turns.append(gamma[kept])
        lengths.append(len(kept))
    together = np.concatenate(seeds)
    frames = radial_frames(together, np.concatenate(turns))
    seen = plane(together, frames, np.cumsum([0, *lengths]), distance, size=size)
    return Shown(seen, np.concatenate(inputs), together)


class _Given(NamedTuple):
    intensity: float
    neighbours: int
    paper_inputs: bool
