"""Steady diffusion between two electrodes: what the solvers for CPU and GPU share.

Both solve the same equations by the same iterations: conjugate gradients on the red half of a chequerboard of voxels,
preconditioned by one multigrid W-cycle over lumps of connected voxels. How they store and sum things is their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

LOW, HIGH = 0.0, 1.0  # potential at the first and the last face
SHRINK = 1.8  # lumps of a level over those of the next, at least: two rounds on every level must not cost more and more
CORNERS = 8  # voxels of a block of 2 x 2 x 2, numbered 4 z + 2 y + x


@dataclass(frozen=True)
class Solution:
    """Potential between two faces held at 0 and 1.

    Parameters
    ----------
    potential : (nz, ny, nx) float32 array
        0 outside the phase.
    flux : float
        Through any plane, in units of conductance times potential, from the dissipation; its error is of second order
        in that of the potential.
    imbalance : float
        Largest less smallest flux through the planes between slices, over the mean.
    iterations : int
    converged : bool
    conducting : int
        Voxels through which more than a hundredth of the mean flux density goes.
    """

    potential: np.ndarray
    flux: float
    imbalance: float
    iterations: int
    converged: bool
    conducting: int


class System(Protocol):
    """What a solver brings to `iterate`: red unknowns x, residual r, direction p and preconditioned residual z."""

    def restart(self) -> tuple[np.ndarray, float]:
        """Compute r from x in double precision; return its sums over slices, and the flux through the first face."""

    def dissipation(self) -> float:
        """Return the sum over faces of conductance times drop squared."""

    def precondition(self) -> float:
        """Write one cycle applied to r to z; return r . z."""

    def advance(self, beta: float) -> float:
        """Make z + beta p the new p; return p . S p."""

    def step(self, alpha: float) -> np.ndarray:
        """Move x along p and r against S p by `alpha`; return the sums of r over slices."""


def iterate(system: System, *, tolerance: float, max_iterations: int) -> tuple[float, int]:
    """Run conjugate gradients until the fluxes through all planes agree; return their imbalance and the iterations.

    What enters a slice and does not leave it is the sum of its residuals, so the imbalance comes for nothing with every
    step. It is trusted only after `restart` has confirmed it in double precision. Iterations end when it lies below
    `tolerance`, after `max_iterations`, or when restarts improve on nothing any more: rounding is reached.
    """
    imbalance = _restart(system)
    flux = system.dissipation()
    rho_before, k, idle = np.inf, 0, 0
    while imbalance >= tolerance and k < max_iterations and idle < 3:
        rho = system.precondition()
        curvature = system.advance(rho / rho_before) if 0 < rho < np.inf else 0.0
        if not 0 < curvature < np.inf:
            return _restart(system), k
        layers = system.step(rho / curvature)
        flux -= rho * rho / curvature  # what the step takes off the dissipation
        rho_before, k = rho, k + 1
        estimate = _imbalance(layers, flux)
        if not estimate > max(tolerance, 1e-3 * imbalance) or k == max_iterations:
            before, imbalance = imbalance, _restart(system)
            idle = idle + 1 if imbalance > 0.5 * before else 0
            if imbalance > 2 * estimate:
                rho_before = np.inf  # the old direction belongs to a residual that was not the true one
    return imbalance, k


def _restart(system: System) -> float:
    layers, first = system.restart()
    mean = first + np.concatenate([[0], np.cumsum(layers)]).mean()
    return _imbalance(layers, mean)


def _imbalance(layers: np.ndarray, mean: float) -> float:
    """Return the spread of the fluxes through all planes over their mean, from the residuals of the slices between."""
    spread = np.ptp(np.concatenate([[0], np.cumsum(layers)]))
    return float(spread / mean) if mean > 0 else np.inf


def coarsening(shape: tuple[int, ...], conductance: tuple[float, ...]) -> Iterator[tuple[int, int, int]]:
    """Yield by how much to lump each axis, 1 or 2, once and again until one block is left.

    Only axes along which blocks conduct best are lumped, so that flat voxels become cubes first.
    """
    left, size = np.array(shape), 1 / np.sqrt(conductance)
    while (left > 1).any():
        chosen = (left > 1) & (size <= 1.5 * size[left > 1].min())
        fz, fy, fx = (2 if c else 1 for c in chosen)
        yield fz, fy, fx
        size = size * (fz, fy, fx)
        left = -(-left // (fz, fy, fx))


def pieces_of_blocks() -> tuple[np.ndarray, np.ndarray]:
    """Return what hangs together inside a block of voxels.

    Returns
    -------
    count : (256,) uint8 array
        Number of pieces by filling: bit c is set where corner c (4 z + 2 y + x) is filled.
    piece : (256, 8) uint8 array
        The piece of each corner.
    """
    count, piece = np.zeros(256, np.uint8), np.zeros((256, CORNERS), np.uint8)
    for bits in range(256):
        left = {c for c in range(CORNERS) if bits >> c & 1}
        while left:
            front = [min(left)]
            while front:
                c = front.pop()
                left.discard(c)
                piece[bits, c] = count[bits]
                front += [n for n in (c ^ 1, c ^ 2, c ^ 4) if n in left]
            count[bits] += 1
    return count, piece
