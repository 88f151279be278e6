"""Steady diffusion between two faces of a voxel image: conjugate gradients under a multigrid cycle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import _lumps, _multigrid as mg
from ._multigrid import HIGH, LOW


@dataclass(frozen=True)
class Solution:
    """Potential between two faces held at 0 and 1.

    Parameters
    ----------
    potential : (nz, ny, nx) float32
        0 outside the percolating phase.
    flux : float
        Through any plane, from the dissipation; its error is second order in that of the potential.
    imbalance : float
        Largest less smallest flux through a plane, over the mean.
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


def solve(mask: np.ndarray, *, conductance, tolerance: float = 1e-6, max_iterations: int = 200) -> Solution:
    """Solve for the potential in a phase that percolates from the first to the last slice of axis 0."""
    fine = mg.fine_level(mask, conductance)
    levels, into = _lumps.hierarchy(mask, conductance)
    cycle = _lumps.Cycle(levels)
    codes, tables = (fine.red, fine.black), (fine.diagonal, fine.inverse)
    x, y = _linear(fine), fine.zeros(np.float64)
    r, z, p, t = (fine.zeros(np.float32) for _ in range(4))
    args32 = (*codes, fine.inverse.astype(np.float32), *(np.float32(g) for g in conductance))
    ends = LOW, HIGH

    def restart():
        layers = mg.true_residual(x, y, *codes, *tables, *conductance, *ends, r)
        first = 2 * conductance[0] * sum(np.sum(v[1][c[1] > 0] - LOW) for v, c in zip((x, y), codes, strict=True))
        return first + np.concatenate([[0], np.cumsum(layers)])

    fluxes = restart()
    flux = mg.dissipation(x, y, *codes, *conductance, *ends)
    imbalance = float(np.ptp(fluxes) / fluxes.mean())
    trusted = estimate = imbalance
    rho_before, k = 1.0, 0
    while imbalance >= tolerance and k < max_iterations:
        mg.descend(r, z, t, *args32, into, cycle.b[0])
        cycle.solve()
        rho = mg.ascend(r, z, t, *args32, into, cycle.x[0])
        beta = np.float32(rho / rho_before if k else 0.0)
        curvature = mg.advance(p, z, beta, y, *codes, *tables, *conductance)
        if not (rho > 0 and curvature > 0):
            break
        layers = mg.step(x, r, p, z, rho / curvature)
        flux -= rho * rho / curvature  # what the step takes off the dissipation
        rho_before, k = rho, k + 1
        estimate = float(np.ptp(np.concatenate([[0], np.cumsum(layers)])) / flux)
        if estimate < max(tolerance, 1e-3 * trusted):
            fluxes = restart()
            imbalance = trusted = float(np.ptp(fluxes) / fluxes.mean())
    del r, z, p, t, cycle, levels, into
    fluxes_args = (*codes, *conductance, *ends)
    flux = mg.dissipation(x, y, *fluxes_args)
    least = 0.01 * flux / (mask.shape[1] * mask.shape[2])
    n = mg.conducting(x, y, *codes, 0, *conductance, *ends, least)
    n += mg.conducting(y, x, *codes[::-1], 1, *conductance, *ends, least)
    potential = mg.whole(x.astype(np.float32), y.astype(np.float32), mask.shape)
    return Solution(potential, float(flux), imbalance, k, imbalance < tolerance, int(n))


def _linear(fine: mg.Fine) -> np.ndarray:
    """Return the potential of red voxels that falls linearly through the phase."""
    nz = fine.shape[0]
    z = (np.arange(-1, nz + 1) + 0.5) / nz * (HIGH - LOW) + LOW
    return np.where(fine.red > 0, z[:, None, None], 0.0)
