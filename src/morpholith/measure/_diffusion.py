"""Steady diffusion through the voxels of a phase on the CPU."""

from __future__ import annotations

from contextlib import contextmanager

import numba
import numpy as np

from . import _lumps
from . import _multigrid as mg
from ._cycle import Cycle
from .steady import HIGH, LOW, Solution, iterate

ENDS = LOW, HIGH


class Voxels:
    """The equations of a phase, and the state of the iterations, see `steady.System`.

    About 26 bytes a voxel where half of the image is phase: the potential in double precision, four vectors over the
    red half in single, one byte of neighbours, and the lumps.
    """

    def __init__(self, mask: np.ndarray, conductance):
        self.fine = fine = mg.fine_level(mask, conductance)
        self.shape, self.conductance = mask.shape, tuple(float(g) for g in conductance)
        self.codes, self.tables = (fine.red, fine.black), (fine.diagonal, fine.inverse)
        self.levels, self.into = _lumps.hierarchy(mask, conductance)
        self.cycle = Cycle(self.levels)
        self.x, self.y = _linear(fine), fine.zeros(np.float64)
        self.r, self.z, self.p, self.t = (fine.zeros(np.float32) for _ in range(4))
        self._single = fine.inverse.astype(np.float32), tuple(np.float32(g) for g in conductance)

    def restart(self) -> tuple[np.ndarray, float]:
        """Compute r from x in double precision; return its sums over slices, and the flux through the first face."""
        layers = mg.true_residual(self.x, self.y, self.codes, self.tables, self.conductance, ENDS, self.r)
        ends = ((v[1], c[1] > 0) for v, c in zip((self.x, self.y), self.codes, strict=True))
        return layers, 2 * self.conductance[0] * float(sum(np.sum(v[c] - LOW) for v, c in ends))

    def dissipation(self) -> float:
        """Return the sum over faces of conductance times drop squared."""
        return float(mg.dissipation(self.x, self.y, self.codes, self.conductance, ENDS).sum())

    def precondition(self) -> float:
        """Write one cycle applied to r to z; return r . z."""
        inverse, g = self._single
        mg.descend(self.r, self.z, self.t, self.codes, inverse, g, self.into, self.cycle.b[0])
        self.cycle.solve()
        dots = mg.ascend(self.r, self.z, self.t, self.codes, inverse, g, self.into, self.cycle.x[0])
        return float(dots.sum())

    def advance(self, beta: float) -> float:
        """Make z + beta p the new p, and S p the new z; return p . S p."""
        dots = mg.advance(self.p, self.z, np.float32(beta), self.y, self.codes, self.tables, self.conductance)
        return float(dots.sum())

    def step(self, alpha: float) -> np.ndarray:
        """Move x along p and r against S p; return the sums of r over slices."""
        return mg.step(self.x, self.r, self.p, self.z, alpha)

    def conducting(self, flux: float) -> int:
        """Return how many voxels carry more than a hundredth of the mean flux density."""
        least = 0.01 * flux / (self.shape[1] * self.shape[2])
        red = mg.conducting(self.x, self.y, self.codes, 0, self.conductance, ENDS, least)
        black = mg.conducting(self.y, self.x, self.codes[::-1], 1, self.conductance, ENDS, least)
        return int(red.sum() + black.sum())


def solve(mask: np.ndarray, *, conductance, tolerance: float = 1e-6, max_iterations: int = 200) -> Solution:
    """Solve for the potential in a phase between electrodes at the first and the last slice of axis 0.

    Parameters
    ----------
    mask : (nz, ny, nx) bool array, contiguous
        Every piece must touch both electrodes.
    conductance : (gz, gy, gx)
        Of a face across each axis: area over distance, in any unit.
    tolerance : float
        Flux imbalance to stop at, see `Solution`. Down to 1e-10 for any phase, 1e-12 for most.
    max_iterations : int
    """
    with _threads(mask.size // 150_000):
        voxels = Voxels(mask, conductance)
        imbalance, iterations = iterate(voxels, tolerance=tolerance, max_iterations=max_iterations)
        flux = voxels.dissipation()
        conducting, x, y = voxels.conducting(flux), voxels.x, voxels.y
    del voxels  # the potential of all voxels takes room
    return Solution(mg.whole(x, y, mask.shape), flux, imbalance, iterations, imbalance < tolerance, conducting)


@contextmanager
def _threads(worthwhile: int):
    """Let no more threads work than have something to do: on a busy machine the rest would wait for each other."""
    before = numba.get_num_threads()
    numba.set_num_threads(max(1, min(before, worthwhile)))
    try:
        yield
    finally:
        numba.set_num_threads(before)


def _linear(fine: mg.Fine) -> np.ndarray:
    """Return the potential of red voxels that falls linearly through the phase."""
    nz = fine.shape[0]
    z = (np.arange(-1, nz + 1) + 0.5) / nz * (HIGH - LOW) + LOW
    return np.where(fine.red > 0, z[:, None, None], 0.0)
