"""Steady diffusion through the voxels of a phase on a card: the equations and iterations of `measure.steady` in torch.

Voxels are stored by colour, (z, y, x) at ``[z + 1, y + 1, x // 2 + 1]``, with padding that stays zero. The cycle runs
in single precision; potentials, products with the matrix and sums are double. Sums over lumps are atomic on a card, so
the last digits of two runs may differ.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import torch

from ..measure.steady import HIGH, LOW, Solution, iterate
from ._lumps import Level, hierarchy
from .training import device as torch_device

INNER = (slice(1, -1),) * 3


def solve(
    mask: np.ndarray, *, conductance, tolerance: float = 1e-6, max_iterations: int = 200, device: str = "cuda"
) -> Solution:
    """Solve for the potential in a phase between electrodes at the first and the last slice of axis 0.

    Parameters
    ----------
    mask : (nz, ny, nx) bool array
        Every piece must touch both electrodes.
    conductance : (gz, gy, gx)
        Of a face across each axis: area over distance, in any unit.
    tolerance : float
        Flux imbalance to stop at, see `Solution`.
    max_iterations : int
    device : {"cuda", "cpu"}

    Raises
    ------
    InputError
        There is no such device.
    """
    with torch.inference_mode():
        voxels = Voxels(torch.as_tensor(mask, device=torch_device(device)), tuple(float(g) for g in conductance))
        imbalance, iterations = iterate(voxels, tolerance=tolerance, max_iterations=max_iterations)
        flux = voxels.dissipation()
        potential = whole(voxels.x.float(), voxels.y.float(), mask.shape).cpu().numpy()
        return Solution(potential, flux, imbalance, iterations, imbalance < tolerance, voxels.conducting(flux))


class Voxels:
    """The equations of a phase, and the state of the iterations, see `steady.System`."""

    def __init__(self, mask: torch.Tensor, conductance: tuple[float, float, float]):
        nz, ny, nx = mask.shape
        self.g, self.area, device = conductance, ny * nx, mask.device
        k, j = torch.arange(nz, device=device), torch.arange(ny, device=device)
        even = ((k[:, None] + j) % 2 == 0)[..., None]
        self.even = {"red": even, "black": ~even}  # where rows of a colour start at x = 0
        filled = split(mask)
        ends = torch.zeros((nz, 1, 1), dtype=torch.float64, device=device)
        ends[0] += 2 * self.g[0] * LOW
        ends[-1] += 2 * self.g[0] * HIGH
        self.source = ends
        half = torch.zeros_like(ends)
        half[0] += 2 * self.g[0]
        half[-1] += 2 * self.g[0]
        self.half, self.filled = half, dict(zip(("red", "black"), (f[INNER] for f in filled), strict=True))
        self.diagonal = {
            colour: torch.where(self.filled[colour], self._around(other.double(), colour) + half, 0)
            for colour, other in (("red", filled[1]), ("black", filled[0]))
        }
        self.inverse = {c: torch.where(d > 0, 1 / d, 0) for c, d in self.diagonal.items()}
        self.inverse32 = {c: d.float() for c, d in self.inverse.items()}
        self.levels, lumps = hierarchy(mask, conductance)
        # voxels outside the phase point to lumps here and there, so that their zeros do not all queue at one place
        into = split(lumps.to(torch.int32))[0][INNER].reshape(-1).long()
        outside = torch.arange(len(into), device=device) % len(self.levels[0])
        self.into = torch.where(self.filled["red"].reshape(-1), into, outside)
        falling = (torch.arange(nz, dtype=torch.float64, device=device) + 0.5) / nz * (HIGH - LOW) + LOW
        self.x, self.y = (torch.zeros_like(filled[0], dtype=torch.float64) for _ in range(2))
        self.x[INNER] = torch.where(self.filled["red"], falling[:, None, None], 0)
        self.z, self.p, self.t = (torch.zeros_like(filled[0], dtype=torch.float32) for _ in range(3))
        self.r = torch.zeros_like(self.diagonal["red"], dtype=torch.float32)

    def _around(self, other: torch.Tensor, colour: str) -> torch.Tensor:
        """Sum conductance times value over the six neighbours of one colour, which are of the other."""
        c, (gz, gy, gx) = slice(1, -1), self.g
        s = gz * (other[:-2, c, c] + other[2:, c, c]) + gy * (other[c, :-2, c] + other[c, 2:, c])
        return s + gx * (other[INNER] + torch.where(self.even[colour], other[c, c, :-2], other[c, c, 2:]))

    def restart(self) -> tuple[np.ndarray, float]:
        """Compute r from x in double precision; return its sums over slices, and the flux through the first face."""
        self.y[INNER] = (self._around(self.x, "black") + self.source) * self.inverse["black"]
        r = self._around(self.y, "red") + self.source - self.diagonal["red"] * self.x[INNER]
        r = torch.where(self.filled["red"], r, 0)
        self.r = r.float()
        first = sum(((v[1, 1:-1, 1:-1] - LOW) * self.filled[c][0]).sum() for v, c in self._colours())
        return r.sum((1, 2)).cpu().numpy(), 2 * self.g[0] * float(first)

    def _colours(self):
        return (self.x, "red"), (self.y, "black")

    def dissipation(self) -> float:
        """Return the sum over faces of conductance times drop squared."""
        faces = self._flow(self.x, self.y, "red", lambda drop: drop**2).sum()
        for v, c in self._colours():
            for k, held in ((0, LOW), (-1, HIGH)):
                faces = faces + 2 * self.g[0] * ((v[INNER][k] - held) ** 2 * self.filled[c][k]).sum()
        return float(faces)

    def _flow(self, own: torch.Tensor, other: torch.Tensor, colour: str, of) -> torch.Tensor:
        """Sum conductance times a function of the drop over the faces of one colour."""
        c, (gz, gy, gx) = slice(1, -1), self.g
        v, inside = own[INNER], self.filled[colour]
        filled = torch.nn.functional.pad(self.filled["black" if colour == "red" else "red"], (1,) * 6)
        even, total = self.even[colour], torch.zeros_like(own[INNER])
        for g, at in ((gz, (slice(None, -2), c, c)), (gz, (slice(2, None), c, c)), (gy, (c, slice(None, -2), c)),
                      (gy, (c, slice(2, None), c)), (gx, INNER)):  # fmt: skip
            total += torch.where(filled[at], g * of(v - other[at]), 0)
        side, there = (torch.where(even, a[c, c, :-2], a[c, c, 2:]) for a in (other, filled))
        total += torch.where(there, gx * of(v - side), 0)
        return torch.where(inside, total, 0)

    def precondition(self) -> float:
        """Write one cycle applied to r to z; return r . z."""
        inverse = self.inverse32
        self.z[INNER] = self.r * inverse["red"]
        self.t[INNER] = self._around(self.z, "black") * inverse["black"]
        left = torch.where(self.filled["red"], self._around(self.t, "red"), 0)
        b = left.new_zeros(len(self.levels[0])).index_add_(0, self.into, left.reshape(-1))
        correction = cycle(self.levels, 0, b)[self.into].reshape(left.shape)
        self.z[INNER] += torch.where(self.filled["red"], correction, 0)
        self.t[INNER] = self._around(self.z, "black") * inverse["black"]
        self.z[INNER] = (self.r + self._around(self.t, "red")) * inverse["red"]
        return float((self.r.double() * self.z[INNER]).sum())

    def advance(self, beta: float) -> float:
        """Make z + beta p the new p, and S p the new z; return p . S p."""
        self.p.mul_(beta).add_(self.z)
        p = self.p.double()
        self.y[INNER] = self._around(p, "black") * self.inverse["black"]
        q = self.diagonal["red"] * p[INNER] - self._around(self.y, "red") * self.filled["red"]
        self.z[INNER] = q.float()
        return float((p[INNER] * q).sum())

    def step(self, alpha: float) -> np.ndarray:
        """Move x along p and r against S p; return the sums of r over slices."""
        self.x.add_(self.p.double(), alpha=alpha)
        self.r.sub_(self.z[INNER], alpha=alpha)
        return self.r.sum((1, 2), dtype=torch.float64).cpu().numpy()

    def conducting(self, flux: float) -> int:
        """Return how many voxels carry more than a hundredth of the mean flux density."""
        least, count = 0.01 * flux / self.area, 0
        for (own, colour), (other, _) in zip(self._colours(), self._colours()[::-1], strict=True):
            flow = self._flow(own, other, colour, torch.abs)
            for k, held in ((0, LOW), (-1, HIGH)):
                flow[k] += 2 * self.g[0] * (own[INNER][k] - held).abs() * self.filled[colour][k]
            count += int((flow > 2 * least).sum())
        return count


def cycle(levels: list[Level], n: int, b: torch.Tensor) -> torch.Tensor:
    """Return what one W-cycle makes of a right-hand side: two rounds on every level, see `measure._cycle`."""
    level = levels[n]
    if n == len(levels) - 1:
        return b * level.inverse if level.bottom is None else level.bottom @ b
    red, black = slice(None, level.reds), slice(level.reds, None)
    inverse, upper, lower = level.inverse, level.to_red, level.to_black
    x = b[red] * inverse[red]
    for _ in range(2):
        y = (b[black] + lower @ x) * inverse[black]
        left = b[red] - x / inverse[red] + upper @ y
        below = left.new_zeros(len(levels[n + 1])).index_add_(0, level.into, left)
        x = x + cycle(levels, n + 1, below)[level.into]
        y = (b[black] + lower @ x) * inverse[black]
        x = (b[red] + upper @ y) * inverse[red]
    return torch.cat([x, y])


def _rows(shape):
    """Yield, for the four parities of z and y and both colours, where they lie in a volume and in a colour's array."""
    nz, ny, nx = shape
    for z, y in product((0, 1), (0, 1)):
        for colour in (0, 1):
            first = (z + y + colour) % 2
            n = len(range(first, nx, 2))
            yield colour, np.s_[z::2, y::2, first::2], np.s_[z + 1 : nz + 1 : 2, y + 1 : ny + 1 : 2, 1 : n + 1]


def split(volume: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the red and the black voxels of a volume, padded with zeros."""
    nz, ny, nx = volume.shape
    parts = volume.new_zeros((nz + 2, ny + 2, (nx + 1) // 2 + 2)), volume.new_zeros((nz + 2, ny + 2, (nx + 1) // 2 + 2))
    for colour, there, here in _rows(volume.shape):
        parts[colour][here] = volume[there]
    return parts


def whole(red: torch.Tensor, black: torch.Tensor, shape) -> torch.Tensor:
    """Return a volume from its colours."""
    volume = red.new_zeros(shape)
    for colour, there, here in _rows(shape):
        volume[there] = (red, black)[colour][here]
    return volume
