"""The error budget of a tortuosity factor: solver, voxel size, blur, threshold, finite volume."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from .. import _checks
from ..errors import InputError
from ..image import Quantity
from .tortuosity import AXES, Tortuosity, phase_mask, tortuosity_factor

if TYPE_CHECKING:
    import pandas as pd

TERMS = ("solver", "voxel size", "blur", "threshold", "finite volume")
SMALLEST = 8  # voxels along each axis below which an image is not lumped further
NOT_RESOLVED = 0.10  # of tau: a voxel-size error above this is no correction any more


@dataclass(frozen=True)
class TortuosityBudget:
    """A tortuosity factor with what makes it uncertain.

    Parameters
    ----------
    tau : Quantity
        Interval: voxel size and blur, which err the same way, are added, the rest in quadrature, each side for itself.
        The warning says when tau is not resolved.
    terms : dict of str to (float, float)
        Lower and upper deviation of tau (negative, positive) by source; see `TERMS`.
    sequence : DataFrame
        tau against voxel size: index ``factor`` (1, 2, 4), columns ``voxel_um`` (through the axis), ``fraction``,
        ``tau``.
    extrapolated : float
        tau at vanishing voxel size by Richardson's rule; NaN where the sequence does not allow it.
    solution : Tortuosity
        At full resolution, with the potential if asked for.
    """

    tau: Quantity
    terms: dict[str, tuple[float, float]]
    sequence: pd.DataFrame
    extrapolated: float
    solution: Tortuosity


def tortuosity_budget(
    mask: np.ndarray,
    *,
    axis: int = 0,
    spacing: float | tuple[float, ...],
    alternatives: tuple[np.ndarray, np.ndarray] | None = None,
    blur_um: float = 0.0,
    tolerance: float = 1e-5,
    limit: int = 3_000_000,
    keep_potential: bool = False,
    device: str = "cpu",
) -> TortuosityBudget:
    r"""Tortuosity factor of a phase with its error budget.

    - *solver*: the flux imbalance where the iterations stopped.
    - *voxel size*: the image is lumped 2 and 4 times, keeping the fraction of the phase; with
      :math:`\tau_h, \tau_{2h}, \tau_{4h}` the observed order is
      :math:`p = \log_2[(\tau_{4h}-\tau_{2h})/(\tau_{2h}-\tau_h)]`, held within [3/4, 5/4], and
      :math:`\delta = (\tau_{2h}-\tau_h)/(2^p-1)` is Richardson's estimate of :math:`\tau_h - \tau_0`. The term reaches
      from :math:`\delta/2` beyond :math:`\tau_h` on the one side to :math:`5\delta/2` on the
      other, which holds what arrays of spheres are off by.
    - *blur*: the phase is blurred once more by the standard deviation that the image has already, which makes that
      1.41 times larger; in proportion the first blur changed tau by 2.4 times as much as the second does. The term
      reaches from half the second change beyond tau on the one side to three times it on the other.
    - *threshold*: tau of the two `alternatives`, masks at the ends of the threshold's interval.
    - *finite volume*: from the scatter of tau between the eight octants, Student's t.

    Parameters
    ----------
    mask : (z, y, x) bool array
    axis : {0, 1, 2}
    spacing : float or tuple of float
        Edge lengths of a voxel, um, in array order.
    alternatives : pair of (z, y, x) bool arrays, optional
        The same phase at the lower and the upper end of the threshold's interval.
    blur_um : float
        Standard deviation of the blur of the image that `mask` was segmented from; 0 where it is not known.
    tolerance : float
        As `tortuosity_factor`.
    limit : int
        Blur, threshold and octants are computed on lumped images of at most this many voxels, as ratios.
    keep_potential : bool
    device : {"cpu", "cuda"}

    Returns
    -------
    TortuosityBudget
        Where nothing percolates tau is infinite and every term zero.
    """
    mask = phase_mask(mask)
    spacing = _checks.spacing(spacing, 3)

    def tau_of(m, s):
        return tortuosity_factor(m, axis=axis, spacing=s, tolerance=max(tolerance, 1e-5), device=device).tau

    full = tortuosity_factor(
        mask, axis=axis, spacing=spacing, tolerance=tolerance, keep_potential=keep_potential, device=device
    )
    sequence = _sequence(mask, spacing, full, axis, tau_of)
    if not np.isfinite(full.tau):
        return TortuosityBudget(full.to_quantity(), dict.fromkeys(TERMS, (0.0, 0.0)), sequence, np.nan, full)
    delta, said = _voxel_error(sequence["tau"].to_numpy())
    small, coarse = _below(mask, spacing, limit)
    reference = full.tau if small.shape == mask.shape else tau_of(small, coarse)
    blur, about_blur = _blur_term(small, coarse, blur_um, reference, tau_of)
    threshold, about = _threshold_term(alternatives, mask, spacing, limit, reference, tau_of)
    window, about_window = _window_term(small, coarse, tau_of)
    solver = full.tau * full.imbalance
    terms = {
        "solver": (-solver, solver),
        "voxel size": tuple(sorted((-2.5 * delta, 0.5 * delta))),
        "blur": tuple(d * full.tau for d in blur),
        "threshold": tuple(d * full.tau for d in threshold),
        "finite volume": (-window * full.tau, window * full.tau),
    }
    low, high = (_together(terms, k) for k in (0, 1))
    warning = "; ".join(filter(None, [full.to_quantity().warning, said, about_blur, about, about_window])) or None
    resolved = np.isfinite(high) and not said
    together = "voxel size and blur added, with solver, threshold and finite volume in quadrature"
    method = f"{full.to_quantity().method}; interval: {together}"
    tau = Quantity(
        full.tau, max(1.0, full.tau - low), full.tau + high if np.isfinite(high) else None, n=None,
        method=method, warning=warning if resolved or not warning else f"not resolved: {warning}",
    )  # fmt: skip
    return TortuosityBudget(tau, terms, sequence, max(1.0, full.tau - delta), full)


def lump(mask: np.ndarray, *, factor: int = 2) -> np.ndarray:
    """Coarsen a mask, keeping the fraction of the phase.

    Lumps are ranked by how many of their voxels lie in the phase, then by how many of the neighbouring lumps' do;
    as many as the fraction asks for become the phase. What does not fill a lump at the far faces is cut off.

    Parameters
    ----------
    mask : (z, y, x) bool array
    factor : int
        Voxels a lump along each axis.

    Returns
    -------
    (z // factor, y // factor, x // factor) bool array

    Raises
    ------
    InputError
        `mask` is smaller than one lump.
    """
    from scipy import ndimage

    shape = [n // factor for n in mask.shape]
    if min(shape) < 1:
        raise InputError(f"`mask` of shape {mask.shape} cannot be lumped {factor} times.")
    cut = mask[tuple(slice(n * factor) for n in shape)]
    blocks = cut.reshape(shape[0], factor, shape[1], factor, shape[2], factor)
    full = blocks.sum(axis=(1, 3, 5), dtype=np.float32)
    rank = full + 0.5 * ndimage.uniform_filter(full, 3) / factor**3
    wanted = round(float(cut.mean()) * rank.size)
    if wanted in (0, rank.size):
        return np.full(shape, wanted > 0)
    order = np.argsort(-rank, axis=None, kind="stable")
    out = np.zeros(rank.size, bool)
    out[order[:wanted]] = True
    return out.reshape(shape)


def _sequence(mask, spacing, full, axis, tau_of):
    import pandas as pd

    rows = [(1, spacing[axis], full.fraction, full.tau)]
    for factor in (2, 4):
        if min(mask.shape) < SMALLEST * factor or not np.isfinite(full.tau):
            break
        coarse = lump(mask, factor=factor)
        size = tuple(factor * s for s in spacing)
        rows.append((factor, size[axis], float(coarse.mean()), tau_of(coarse, size)))
    return pd.DataFrame(rows, columns=["factor", "voxel_um", "fraction", "tau"]).set_index("factor")


def _voxel_error(tau: np.ndarray) -> tuple[float, str]:
    """Return Richardson's estimate of tau(h) - tau(0), and what is wrong with it, if anything."""
    if len(tau) < 2:
        return 0.0, "the image is too small to see what its voxel size does to tau"
    first = tau[1] - tau[0]
    if not np.isfinite(first):
        return 0.5 * tau[0], "paths close when voxels are lumped in twos, so throats are about one voxel wide"
    order, least, most = 1.0, 0.75, 1.25  # staircases converge at first order; the rest is scatter
    if len(tau) > 2 and np.isfinite(tau[2]) and first != 0:
        ratio = (tau[2] - tau[1]) / first
        order = float(np.clip(np.log2(ratio), least, most)) if ratio > 0 else least
    delta = float(first / (2**order - 1))
    if abs(delta) > NOT_RESOLVED * tau[0]:
        return delta, f"tau changes by {abs(delta) / tau[0]:.0%} with the voxel size"
    return delta, ""


def _below(mask, spacing, limit):
    while mask.size > limit and min(mask.shape) >= 2 * SMALLEST:
        mask, spacing = lump(mask), tuple(2 * s for s in spacing)
    return mask, spacing


def blurred(mask: np.ndarray, *, sigma_um: float, spacing: tuple[float, ...]) -> np.ndarray:
    """Return a phase as an image with that much more blur would show it, cut at half height."""
    from scipy import ndimage

    return ndimage.gaussian_filter(mask.astype(np.float32), [sigma_um / s for s in spacing]) > 0.5


def _blur_term(mask, spacing, sigma_um, reference, tau_of):
    """Return the relative deviations that the blur of the image may have caused."""
    if sigma_um <= 0:
        return (0.0, 0.0), ""
    tau = tau_of(blurred(mask, sigma_um=sigma_um, spacing=spacing), spacing)
    if not np.isfinite(tau):
        return (-0.5, 0.0), "paths close when the image is blurred once more, so throats are as narrow as the blur"
    change = tau / reference - 1
    low, high = sorted((-3.0 * change, 0.5 * change))
    return (max(low, -1.0), high), ""


def _threshold_term(alternatives, mask, spacing, limit, reference, tau_of):
    """Return the relative deviations of tau at the ends of the threshold's interval."""
    if alternatives is None:
        return (0.0, 0.0), ""
    deviations = [0.0]
    for other in alternatives:
        other = phase_mask(other)
        if other.shape != mask.shape:
            raise InputError(f"`alternatives` must have the shape of `mask` {mask.shape}, got {other.shape}.")
        tau = tau_of(*_below(other, spacing, limit)) if other.any() else np.inf
        deviations.append(tau / reference - 1)
    closed = "" if np.isfinite(max(deviations)) else "within the threshold's interval the paths close"
    return (min(deviations), max(deviations)), closed


def _window_term(mask, spacing, tau_of):
    """Return the relative half-width that the scatter between octants gives the whole."""
    from scipy import stats

    if min(mask.shape) < 2 * SMALLEST:
        return 0.0, "the image is too small to be split into octants"
    halves = [(slice(n // 2), slice(n // 2, None)) for n in mask.shape]
    inverse = np.array([1 / tau_of(mask[part], spacing) for part in product(*halves)])
    if np.count_nonzero(inverse) < 6:
        return np.inf, f"only {np.count_nonzero(inverse)} of its 8 octants percolate"
    spread = inverse.std(ddof=1) / inverse.mean()
    return float(stats.t.ppf(0.975, 7) * spread / np.sqrt(8)), ""


def describe_budget(budget: TortuosityBudget) -> str:
    """Return one sentence on what limits the number."""
    q = budget.tau
    if not np.isfinite(q.value):
        return f"tau along {AXES[budget.solution.axis]} is infinite: no path joins the faces."
    width = {name: high - low for name, (low, high) in budget.terms.items()}
    worst = max(width, key=lambda name: width[name])
    return f"tau along {AXES[budget.solution.axis]} is {q}; most of its uncertainty is the {worst}."


def budget_table(budgets: Mapping[tuple[str, str], TortuosityBudget]) -> pd.DataFrame:
    """Return one row for each phase and axis: tau, its interval, its terms, the sequence and what the solver did.

    Parameters
    ----------
    budgets : mapping of (phase, axis) to TortuosityBudget

    Returns
    -------
    DataFrame
        Index ``case`` ("pore z"); ``tau``, ``low``, ``high``, ``extrapolated``, ``tau_2x``, ``tau_4x`` (lumped images),
        each term as ``voxel_size_low``, ``voxel_size_high``, ..., ``iterations``, ``flux_imbalance``, ``warning``.
    """
    import pandas as pd

    rows = {}
    for (phase, axis), b in budgets.items():
        row = {"tau": b.tau.value, "low": b.tau.low, "high": b.tau.high, "extrapolated": b.extrapolated}
        row |= {f"tau_{k}x": b.sequence["tau"].get(k, np.nan) for k in (2, 4)}
        for term, (low, high) in b.terms.items():
            name = term.replace(" ", "_")
            row |= {f"{name}_low": low, f"{name}_high": high}
        row |= {"iterations": b.solution.iterations, "flux_imbalance": b.solution.imbalance}
        rows[f"{phase} {axis}"] = row | {"warning": b.tau.warning or ""}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("case")


def _together(terms: Mapping[str, tuple[float, float]], side: int) -> float:
    """Return how far all terms together reach to one side."""
    size = {name: abs(t[side]) for name, t in terms.items()}
    return float(np.hypot(size.pop("voxel size") + size.pop("blur"), np.linalg.norm(list(size.values()))))


def extrapolated(budget: TortuosityBudget) -> Quantity:
    """Return tau extrapolated to vanishing voxels: what the material has, where tau itself is what its voxels have.

    Parameters
    ----------
    budget : TortuosityBudget

    Returns
    -------
    Quantity
        Its interval is the budget's, with a voxel-size term that reaches half of the extrapolation back and one and
        a half times it on. NaN where the sequence does not allow it.
    """
    method = "Richardson's extrapolation of tau over lumped voxels"
    if not np.isfinite(budget.extrapolated):
        return Quantity(np.nan, method=method, warning=budget.tau.warning)
    delta = budget.solution.tau - budget.extrapolated
    voxel = (min(-1.5 * delta, 0.5 * delta), max(-1.5 * delta, 0.5 * delta))
    low, high = (_together({**budget.terms, "voxel size": voxel}, k) for k in (0, 1))
    value = max(1.0, budget.extrapolated)
    top = value + high if np.isfinite(high) else None
    return Quantity(value, max(1.0, value - low), top, method=method, warning=budget.tau.warning)


def conduction_numbers(solution: Tortuosity, *, suffix: str) -> dict[str, Quantity]:
    """Return what a solution says of the phase beside tau: effective diffusivity, connected share, dead ends.

    Parameters
    ----------
    solution : Tortuosity
    suffix : str
        Of the keys: ``"z"``, ``"solid_y"``.
    """
    dead = solution.percolating - solution.conducting
    return {
        f"effective_diffusivity_{suffix}": Quantity(
            solution.effective, method="Deff / D0 between two faces, finite volumes on the voxels"
        ),
        f"connected_{suffix}": Quantity(
            solution.percolating, method="share of the phase joined to both faces, through faces of voxels"
        ),
        f"dead_end_{suffix}": Quantity(
            dead, method="share of the phase joined to both faces but with less than 1 % of the mean flux density"
        ),
    }
