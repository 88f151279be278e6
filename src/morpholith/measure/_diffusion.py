"""Steady diffusion between two faces of a voxel image: conjugate gradients under a multigrid cycle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import _multigrid as mg

LOW, HIGH = 0.0, 1.0  # potential at the first and the last face


@dataclass(frozen=True)
class Solution:
    """Potential between two faces held at 0 and 1.

    Parameters
    ----------
    potential : (nz, ny, nx) float64
        0 outside the percolating phase.
    flux : float
        Through any plane, from the dissipation; its error is second order in that of the potential.
    imbalance : float
        Largest less smallest flux through a plane, over the mean.
    iterations : int
    converged : bool
    """

    potential: np.ndarray
    flux: float
    imbalance: float
    iterations: int
    converged: bool
    conducting: int


class Cycle:
    """One multigrid W-cycle as a symmetric preconditioner, in single precision."""

    def __init__(self, fine: mg.Fine):
        self.fine = fine
        self.levels = mg.hierarchy(fine)
        with np.errstate(divide="ignore"):
            inverse = np.where(fine.diagonal > 0, 1 / fine.diagonal, 0)
        self._inverse = inverse.astype(np.float32)
        self._inverse[0] = 0
        self._diagonal = fine.diagonal.astype(np.float32)
        self._g = tuple(np.float32(g) for g in fine.conductance)
        self._b = [np.zeros(level.shape, np.float32) for level in self.levels]
        self._x = [np.zeros(level.shape, np.float32) for level in self.levels]
        self._r = [np.zeros(level.shape, np.float32) for level in self.levels]
        if self.levels:
            self._where, self._factor = _factorise(self.levels[-1])

    def __call__(self, b: np.ndarray, x: np.ndarray) -> None:
        """Write an approximation of the solution of A x = b to `x`."""
        code = self.fine.code
        mg.first_smooth_fine(x, b, code, self._inverse, *self._g)
        if self.levels:
            top = self.levels[0]
            mg.restrict_fine(x, b, code, self._diagonal, *self._g, *top.factors, self._b[0])
            self._x[0][:] = 0
            self._solve(0)
            mg.prolong_fine(x, code, self._x[0], *top.factors)
        mg.smooth_fine(x, b, code, self._inverse, *self._g, 1)
        mg.smooth_fine(x, b, code, self._inverse, *self._g, 0)

    def _solve(self, n: int) -> None:
        """Improve the correction of level `n`, which starts as it is."""
        level, x, b = self.levels[n], self._x[n], self._b[n]
        if n == len(self.levels) - 1:
            from scipy.linalg import cho_solve

            x[self._where] = cho_solve(self._factor, b[self._where], check_finite=False)
            return
        g = level.gz, level.gy, level.gx
        below = self.levels[n + 1]
        for _ in range(2):  # a W-cycle: on lumps this costs little and keeps the count of iterations flat
            mg.smooth_coarse(x, b, *g, level.inverse, 0)
            mg.smooth_coarse(x, b, *g, level.inverse, 1)
            mg.residual_coarse(x, b, *g, level.inverse, self._r[n])
            mg.restrict_coarse(self._r[n], *below.factors, self._b[n + 1])
            self._x[n + 1][:] = 0
            self._solve(n + 1)
            mg.prolong_coarse(x, level.inverse, self._x[n + 1], *below.factors)
            mg.smooth_coarse(x, b, *g, level.inverse, 1)
            mg.smooth_coarse(x, b, *g, level.inverse, 0)


def _factorise(level: mg.Coarse):
    """Return where the coarsest level has unknowns, and its Cholesky factor."""
    from scipy.linalg import cho_factor

    where = level.inverse > 0
    number = np.full(level.shape, -1)
    number[where] = np.arange(where.sum())
    matrix = np.diag(1 / level.inverse[where].astype(float))
    for axis, g in enumerate((level.gz, level.gy, level.gx)):
        here = np.nonzero(g > 0)
        there = tuple(h + (a == axis) for a, h in enumerate(here))
        i, j = number[here], number[there]
        matrix[i, j] = matrix[j, i] = -g[here]
    return np.nonzero(where), cho_factor(matrix)


def solve(mask: np.ndarray, *, conductance, tolerance: float = 1e-6, max_iterations: int = 200) -> Solution:
    """Solve for the potential in a phase that percolates from the first to the last slice of axis 0."""
    fine = mg.fine_level(mask, conductance)
    g = fine.conductance
    precondition = Cycle(fine)
    x = _linear_start(fine)
    r, z, p, q = (np.zeros(fine.shape, np.float32) for _ in range(4))
    diagonal = fine.diagonal.astype(np.float32)
    g32 = tuple(np.float32(a) for a in g)
    args = (fine.code, fine.diagonal, *g, LOW, HIGH)
    replaced = norm = mg.true_residual(x, *args, r)
    rho_before, imbalance, k = 1.0, np.inf, 0
    while k < max_iterations and norm > 0:
        precondition(r, z)
        rho = mg.dot(r, z)
        mg.combine(p, z, np.float32(rho / rho_before if k else 0.0))
        alpha = rho / mg.apply_fine(p, fine.code, diagonal, *g32, q)
        norm = mg.step(x, r, p, q, alpha)
        rho_before, k = rho, k + 1
        if norm < 1e-6 * replaced:  # single precision has drifted from the true residual: start from that again
            replaced = norm = mg.true_residual(x, *args, r)
        fluxes = mg.layer_fluxes(x, fine.code, g[0], LOW, HIGH)
        imbalance = float(np.ptp(fluxes) / fluxes.mean())
        if imbalance < tolerance:
            break
    flux = mg.dissipation(x, fine.code, *g, LOW, HIGH)
    inner = x[1:-1, 1:-1, 1:-1]
    conducting = mg.conducting(x, fine.code, *g, LOW, HIGH, 0.01 * flux / np.prod(inner.shape[1:]))
    return Solution(inner, float(flux), imbalance, k, imbalance < tolerance, int(conducting))


def _linear_start(fine: mg.Fine) -> np.ndarray:
    """Return a potential that falls linearly through the phase."""
    nz = fine.shape[0] - 2
    z = (np.arange(-1, nz + 1) + 0.5) / nz * (HIGH - LOW) + LOW
    return np.where(fine.code > 0, z[:, None, None], 0.0)
