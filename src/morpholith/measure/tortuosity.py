"""Tortuosity factor of one phase of a voxel image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .. import _checks
from ..errors import InputError
from ..image import Quantity

AXES = "zyx"


@dataclass(frozen=True)
class Tortuosity:
    """How one phase conducts between two opposite faces of the image.

    Parameters
    ----------
    tau : float
        ``fraction / effective``; infinite when no path of the phase joins the faces.
    effective : float
        D_eff / D_0; 0 when nothing percolates.
    fraction : float
        Of the whole phase in the image, paths that lead nowhere included.
    percolating : float
        Share of the phase that is joined to both faces.
    conducting : float
        Share of the phase that carries flux: where the flux density exceeds a hundredth of its mean. The rest of
        what percolates is dead end.
    imbalance : float
        Largest less smallest flux through the planes between slices, over the mean.
    iterations : int
    converged : bool
        Whether `imbalance` fell below the tolerance.
    axis : int
    potential : (z, y, x) float32 array or None
        Between 0 at the first face and 1 at the last, NaN outside the percolating part; on request.
    """

    tau: float
    effective: float
    fraction: float
    percolating: float
    conducting: float
    imbalance: float
    iterations: int
    converged: bool
    axis: int
    potential: np.ndarray | None = None

    def to_quantity(self) -> Quantity:
        """Return tau with the interval that the solver's error alone gives it."""
        method = (
            f"fraction * D0 / Deff along {AXES[self.axis]}, finite volumes on the voxels, faces at fixed potential;"
            f" fluxes equal to {self.imbalance:.1e} after {self.iterations} multigrid-preconditioned iterations"
        )
        if not np.isfinite(self.tau):
            return Quantity(self.tau, method=method, warning="no path joins the two faces: tau is infinite")
        if not self.converged:  # tau comes from the dissipation, which errs to one side only
            warning = f"the solver stopped at a flux imbalance of {self.imbalance:.1e}: tau is at least this"
            return Quantity(self.tau, self.tau, None, method=method, warning=warning)
        spread = self.tau * self.imbalance
        return Quantity(self.tau, max(1.0, self.tau - spread), self.tau + spread, method=method)


def tortuosity_factor(
    mask: np.ndarray,
    *,
    axis: int = 0,
    spacing: float | tuple[float, ...],
    tolerance: float = 1e-5,
    max_iterations: int = 500,
    keep_potential: bool = False,
    device: str = "cpu",
) -> Tortuosity:
    r"""Tortuosity factor of a phase along one axis.

    Steady diffusion, :math:`\nabla \cdot (D_0 \nabla \phi) = 0` in the phase, between two opposite faces of the image
    held at potentials 0 and 1, no flux through other faces and through the boundary of the phase. With
    :math:`D_\mathrm{eff}` from the flux, :math:`\tau = \varepsilon D_0 / D_\mathrm{eff}`.

    Parameters
    ----------
    mask : (z, y, x) bool array
        True in the phase.
    axis : {0, 1, 2}
        Direction of transport in `mask`.
    spacing : float or tuple of float
        Edge lengths of a voxel, um, in array order.
    tolerance : float
        On the flux balance: largest less smallest flux through the planes between slices, over the mean. tau is
        taken from the dissipation and is good to better than this.
    max_iterations : int
    keep_potential : bool
        Also return the potential (4 bytes a voxel).
    device : {"cpu", "cuda"}
        numba on the CPU or torch on a card.

    Returns
    -------
    Tortuosity
        `tau` is never below 1: the dissipation of any admissible potential bounds the flux from above, and the solver
        starts from one that gives 1. Infinite where no path joins the faces (6-connected), also for an empty phase.

    Raises
    ------
    InputError
        `mask` is not a three-dimensional mask; `axis` or `spacing` are not what they should be.

    Notes
    -----
    Conjugate gradients with one geometric multigrid cycle as preconditioner; the matrix is never stored. The
    discretisation error of the voxels is not in here: see `tortuosity_budget`.
    """
    mask = phase_mask(mask)
    voxel = _checks.spacing(spacing, 3)
    _checks.choice(axis, (0, 1, 2), name="axis")
    if not 0 < tolerance < 1:
        raise InputError(f"`tolerance` must lie between 0 and 1, got {tolerance!r}.")
    along = np.ascontiguousarray(np.moveaxis(mask, axis, 0))
    lengths = (voxel[axis], *(s for a, s in enumerate(voxel) if a != axis))
    fraction = float(mask.mean()) if mask.size else 0.0
    path = percolating(along)
    n = int(np.count_nonzero(path))
    if n == 0:
        return Tortuosity(np.inf, 0.0, fraction, 0.0, 0.0, 0.0, 0, True, axis)
    size = (lengths[0] * lengths[1] * lengths[2]) ** (1 / 3)
    conductance = tuple(size * size / s**2 for s in lengths)
    solution = _solver(device)(path, conductance=conductance, tolerance=tolerance, max_iterations=max_iterations)
    nz, ny, nx = along.shape
    effective = solution.flux * nz / (conductance[0] * ny * nx)
    potential = None
    if keep_potential:
        potential = np.moveaxis(np.where(path, solution.potential, np.nan).astype(np.float32), 0, axis)
    phase = np.count_nonzero(mask)
    return Tortuosity(
        max(1.0, fraction / effective),  # below 1 by rounding alone, see Returns
        effective, fraction, float(n / phase), float(solution.conducting / phase),
        solution.imbalance, solution.iterations, solution.converged, axis, potential,
    )  # fmt: skip


def percolating(mask: np.ndarray) -> np.ndarray:
    """Return the part of a mask that is joined to both the first and the last slice of axis 0 (6-connected)."""
    from scipy import ndimage

    labels, n = ndimage.label(mask)
    both = np.zeros(n + 1, bool)
    both[np.intersect1d(labels[0], labels[-1])] = True
    both[0] = False
    return both[labels]


def geometric_tortuosity(mask: np.ndarray, *, axis: int = 0, spacing: float | tuple[float, ...]) -> Quantity:
    """Geometric tortuosity: length of the shortest paths through a phase over the straight distance.

    This is what paper 002 calls tortuosity. It is not the tortuosity factor: it knows nothing of constrictions and a
    battery model must not be fed with it.

    Parameters
    ----------
    mask : (z, y, x) bool array
        True in the phase.
    axis : {0, 1, 2}
        Direction of the paths.
    spacing : float or tuple of float
        Edge lengths of a voxel, um, in array order.

    Returns
    -------
    Quantity
        Mean over the voxels of the last slice; ``low`` and ``high`` are the 2.5 % and 97.5 % quantiles of the paths, a
        spread and not an uncertainty. Paths step to any of 26 neighbours, so those along other directions are
        measured up to 8 % too long. Infinite where no path joins the faces.
    """
    from skimage.graph import MCP_Geometric

    mask = phase_mask(mask)
    voxel = _checks.spacing(spacing, 3)
    _checks.choice(axis, (0, 1, 2), name="axis")
    along = np.moveaxis(mask, axis, 0)
    lengths = (voxel[axis], *(s for a, s in enumerate(voxel) if a != axis))
    method = f"mean length of the shortest 26-connected paths along {AXES[axis]} over the thickness; range of the paths"
    starts, ends = np.argwhere(along[0]), np.argwhere(along[-1])
    costs = np.where(along, 1.0, -1.0)
    if len(starts) and len(ends):
        begin = np.c_[np.zeros(len(starts), int), starts]
        distance, _ = MCP_Geometric(costs, sampling=lengths).find_costs(begin)
        paths = distance[-1][tuple(ends.T)]
        paths = paths[np.isfinite(paths)] / (lengths[0] * (len(along) - 1)) if len(along) > 1 else np.ones(len(ends))
        if len(paths):
            low, high = np.quantile(paths, [0.025, 0.975])
            return Quantity(float(paths.mean()), float(low), float(high), n=len(paths), method=method)
    return Quantity(np.inf, n=0, method=method, warning="no path joins the two faces")


def phase_mask(mask: np.ndarray) -> np.ndarray:
    """Return a three-dimensional boolean mask, or say what came instead."""
    mask = np.asarray(mask)
    if mask.ndim != 3 or mask.size == 0:
        raise InputError(f"`mask` must be a volume (z, y, x), got shape {mask.shape}.")
    if mask.dtype != bool:
        values = np.unique(mask[:: max(1, len(mask) // 8)])
        if mask.dtype.kind not in "ui" or not set(values.tolist()) <= {0, 1}:
            raise InputError(
                f"`mask` must be True in one phase, got {mask.dtype} with values {values[:5].tolist()}; "
                "compare it with the phase you want, as in `phases == 0`."
            )
        mask = mask.astype(bool)
    return mask


def _solver(device: str):
    _checks.choice(device, ("cpu", "cuda"), name="device")
    if device == "cuda":
        from ..nets import diffusion as on_card

        return on_card.solve
    from . import _diffusion as on_cpu

    return on_cpu.solve
