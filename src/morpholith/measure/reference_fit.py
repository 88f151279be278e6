"""Reference spectra on the axis of a scan: the shift between the two axes, and which references are needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ..errors import InputError
from .edge_range import EdgeRanges, edge_ranges, find_e0
from .normalise import normalise

FIT_EV = (-30.0, 60.0)  # of a fit, relative to e0
REACH_EV = 6.0  # largest shift that is looked for
STEP_EV = 0.25
NORMALISED = 0.06  # a spectrum this close to 0 before and 1 after the edge counts as normalised already
MOST = 3  # references of a sparse combination
SHORTLIST = 10
BACKGROUND_SCALE_EV = 50.0


@dataclass(frozen=True)
class Reference:
    """A normalised reference spectrum.

    Parameters
    ----------
    name : str
    energies_ev, norm : (m,) arrays
        Ascending energies, and 0 before and 1 far behind the edge.
    e0_ev : float
        Steepest rise, eV.
    valence : float
        Oxidation state; NaN when unknown.
    """

    name: str
    energies_ev: np.ndarray
    norm: np.ndarray
    e0_ev: float
    valence: float = float("nan")

    def at(self, energies_ev: np.ndarray) -> np.ndarray:
        """Return the spectrum at other energies, by monotone cubics; its end values beyond its range."""
        from scipy.interpolate import PchipInterpolator

        inside = np.clip(energies_ev, self.energies_ev[0], self.energies_ev[-1])
        return PchipInterpolator(self.energies_ev, self.norm)(inside)


@dataclass(frozen=True)
class AxisFit:
    """References that describe a set of spectra, and by how much the energy axis is shifted.

    Parameters
    ----------
    chosen : tuple of int
        Which references.
    shift_ev, shift_se : float
        To be added to the energies of the spectra to put them on the references' axis, and its standard error.
    r_factor : float
        Of all spectra together, background taken off.
    tilt : float
        By how much the spectra rise over the references, relative, in 50 eV.
    warnings : tuple of str
    """

    chosen: tuple[int, ...]
    shift_ev: float
    shift_se: float
    r_factor: float
    tilt: float = 0.0
    warnings: tuple[str, ...] = ()


def reference(
    name: str, energies_ev: np.ndarray, mu: np.ndarray, *, e0_ev: float, valence: float, normalised: bool = False
) -> Reference:
    """Normalise one reference over all it covers.

    Parameters
    ----------
    name : str
    energies_ev, mu : (m,) arrays
        eV, ascending, and absorption; raw or normalised.
    e0_ev : float
        About where the edge is; its own is looked for within 20 eV.
    valence : float
    normalised : bool
        Its edge step is 1 already; found out where it is not said.

    Raises
    ------
    InputError
        It does not cover the edge.
    """
    energy, mu = np.asarray(energies_ev, float), np.asarray(mu, float)
    good = np.isfinite(mu)
    energy, mu = energy[good], mu[good]
    near = np.abs(energy - e0_ev) <= 20
    own = find_e0(energy[near], mu[near]) if near.sum() >= 6 else float("nan")
    if not np.isfinite(own):
        span = f"{energy[0]:.0f} to {energy[-1]:.0f} eV" if len(energy) else "no energy"
        raise InputError(f"the reference {name} ({span}) has no edge near {e0_ev:.0f} eV; is it of another element?")
    before, after = energy < own - 15, energy > own + 30
    known = before.any() and after.any()
    if normalised or (known and abs(mu[before].mean()) < NORMALISED and abs(mu[after].mean() - 1) < NORMALISED):
        return Reference(name, energy, mu, own, valence)
    norm = normalise(mu, energy, edge_ranges(energy, own)).norm[0]
    if not np.isfinite(norm).all():
        raise InputError(f"the reference {name} has no positive edge step at {own:.0f} eV.")
    return Reference(name, energy, norm, own, valence)


def fit_window(energies_ev: np.ndarray, ranges: EdgeRanges, references: Sequence[Reference], *, shift_ev: float = 0.0):
    """Return which energies (e,) enter a fit: from 30 eV before to 60 eV after the edge, within all references."""
    energy = np.asarray(energies_ev, float)
    low = max([ranges.e0_ev + FIT_EV[0], *(r.energies_ev[0] - shift_ev for r in references)])
    high = min([ranges.e0_ev + FIT_EV[1], *(r.energies_ev[-1] - shift_ev for r in references)])
    return (energy >= low - 1e-6) & (energy <= high + 1e-6)


def background_columns(energies_ev: np.ndarray, e0_ev: float, order: int) -> np.ndarray:
    """Return the columns (e, order + 1) of a free background; none for order -1."""
    x = (np.asarray(energies_ev, float) - e0_ev) / BACKGROUND_SCALE_EV
    return np.vander(x, order + 1, increasing=True) if order >= 0 else np.zeros((len(x), 0))


def fit_axis(
    spectra: np.ndarray,
    energies_ev: np.ndarray,
    references: Sequence[Reference],
    ranges: EdgeRanges,
    *,
    order: int = 1,
    shift_ev: float | None = None,
    most: int = MOST,
) -> AxisFit:
    """Find which references describe spectra, and the shift of the energy axis common to all of them.

    Parameters
    ----------
    spectra : (n, e) array
        A few mean spectra of unlike regions, optical density; finite.
    energies_ev : (e,) array
    references : sequence of Reference
        Up to `most` of them are all taken; of more, the best set is chosen.
    ranges : EdgeRanges
    order : int
        Of the free background: 1 a line, 0 a constant, -1 none.
    shift_ev : float, optional
        Known shift; fitted within 6 eV unless given.
    most : int
        Largest number of references chosen; two at least, where there are two.

    Returns
    -------
    AxisFit

    Notes
    -----
    For each shift every spectrum is fitted with weights of at least zero; the sum of squares over all spectra is
    minimal at the shift. Its standard error follows from the curvature there, s^2 from the residual with its
    correlation along energy. With a background line each spectrum may also be tilted, mu (1 + tilt (E - e0) / 50 eV):
    references come flattened or not, and detectors and other elements bend spectra; without it the shift would make
    up for that. Sets of references are compared by BIC, with as many observations as the residual has independent
    ones.
    """
    spectra = np.atleast_2d(np.asarray(spectra, float))
    energy = np.asarray(energies_ev, float)
    if not references:
        raise InputError("there are no reference spectra to fit.")
    if shift_ev is None:
        shifts = np.arange(-REACH_EV, REACH_EV + STEP_EV / 2, STEP_EV)
    else:
        shifts = np.array([float(shift_ev)])
    inside = fit_window(energy, ranges, references, shift_ev=float(shifts.mean()))
    if inside.sum() < 8:
        raise InputError(
            f"only {int(inside.sum())} energies lie where all references are known "
            f"({', '.join(r.name for r in references[:6])}); a fit needs eight."
        )
    energy, spectra = energy[inside], spectra[:, inside]
    columns = background_columns(energy, ranges.e0_ev, order)
    stack = np.array([[r.at(energy + s) for r in references] for s in shifts])
    chosen = _choose(spectra, stack, columns, most=most)

    def loss(shift):
        basis = np.array([references[j].at(energy + shift) for j in chosen])
        return sum(_nnls(s, basis, columns)[0] for s in spectra)

    coarse = np.array([sum(_nnls(s, b[list(chosen)], columns)[0] for s in spectra) for b in stack])
    best, warnings = int(coarse.argmin()), []
    shift, se = float(shifts[best]), float("nan")
    if shift_ev is None:
        if best in (0, len(shifts) - 1):
            warnings.append(
                f"The energy axis fits the references best at the largest shift tried ({shift:+.1f} eV): check the "
                "energies and that the references are of this element and edge."
            )
        else:
            shift, se = _refine(loss, shift, spectra, energy, references, chosen, columns)
    r_factor = loss(shift) / _signal(spectra, energy + shift, references, chosen, columns)
    tilt = _tilt(spectra, energy + shift, references, chosen, columns)
    return AxisFit(chosen, shift, se, float(r_factor), tilt, tuple(warnings))


def _free(basis, columns):
    """Columns of what is free beside the weights: the background, and with a line also a tilt of the spectrum."""
    if columns.shape[1] < 2:
        return columns
    return np.column_stack([columns, columns[:, 1] * basis.mean(0)])


def _nnls(spectrum, basis, columns):
    """Sum of squares and weights (k,) of at least zero, the background free."""
    from scipy.optimize import nnls

    columns = _free(basis, columns)
    free = np.linalg.qr(columns)[0] if columns.shape[1] else columns
    y, a = spectrum - free @ (free.T @ spectrum), basis.T - free @ (free.T @ basis.T)
    weights, norm = nnls(a, y, maxiter=100 * a.shape[1])
    return norm**2, weights


def _choose(spectra, stack, columns, *, most):
    """The set of references with the smallest BIC, over sets of two to `most`."""
    k = stack.shape[1]
    if k <= most:
        return tuple(range(k))
    n, m = spectra.shape
    whole = [sum(_nnls(s, basis, columns)[0] for s in spectra) for basis in stack]
    at = int(np.argmin(whole))
    weights = np.array([_nnls(s, stack[at], columns)[1] for s in spectra]).sum(0)
    near = stack[max(0, at - 8) : at + 9 : 2]
    alone = np.min([[sum(_nnls(s, b[[j]], columns)[0] for s in spectra) for j in range(k)] for b in near], axis=0)
    rank = np.argsort(np.where(weights > 0.002 * weights.sum(), alone - 1e6, alone))
    short = sorted(rank[:SHORTLIST])
    losses = {}
    for size in range(min(2, k), most + 1):
        for group in combinations(short, size):
            losses[group] = min(sum(_nnls(s, b[list(group)], columns)[0] for s in spectra) for b in near)
    best = min(losses, key=losses.__getitem__)
    independent = n * max(_independent(spectra, near, best, columns), 4.0)
    bic = {g: independent * np.log(v / (n * m)) + n * len(g) * np.log(independent) for g, v in losses.items()}
    return tuple(int(j) for j in min(bic, key=bic.__getitem__))


def _independent(spectra, stack, group, columns):
    """How many independent residuals one spectrum has, from their correlation along energy."""
    shift = min(range(len(stack)), key=lambda i: sum(_nnls(s, stack[i][list(group)], columns)[0] for s in spectra))
    rho = _lag_one(_residuals(spectra, stack[shift][list(group)], columns))
    return spectra.shape[1] * (1 - rho) / (1 + rho)


def _residuals(spectra, basis, columns):
    rest = []
    free = _free(basis, columns)
    for s in spectra:
        weights = _nnls(s, basis, columns)[1]
        left = s - weights @ basis
        rest.append(left - free @ np.linalg.lstsq(free, left, rcond=None)[0] if free.shape[1] else left)
    return np.array(rest)


def _lag_one(residuals):
    power = float((residuals**2).sum())
    return float(np.clip((residuals[:, 1:] * residuals[:, :-1]).sum() / power, 0, 0.95)) if power > 0 else 0.0


def _refine(loss, start, spectra, energy, references, chosen, columns):
    """Shift to a hundredth of an eV and its standard error."""
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(loss, bounds=(start - STEP_EV, start + STEP_EV), method="bounded", options={"xatol": 1e-3})
    shift, least = float(found.x), float(found.fun)
    h = STEP_EV
    curvature = (loss(shift + h) + loss(shift - h) - 2 * least) / h**2
    if not curvature > 0:
        return shift, float("nan")
    basis = np.array([references[j].at(energy + shift) for j in chosen])
    rho = _lag_one(_residuals(spectra, basis, columns))
    n, m = spectra.shape
    free = n * m * (1 - rho) / (1 + rho) - n * (len(chosen) + columns.shape[1]) - 1
    variance = least / (n * m) * (n * m / max(free, 1.0))
    return shift, float(np.sqrt(2 * variance / curvature))


def _tilt(spectra, energy, references, chosen, columns):
    """Tilt common to all spectra: the sum of theirs over the sum of their edge steps."""
    if columns.shape[1] < 2:
        return 0.0
    basis = np.array([references[j].at(energy) for j in chosen])
    free, total, steps = _free(basis, columns), 0.0, 0.0
    for s in spectra:
        weights = _nnls(s, basis, columns)[1]
        total += float(np.linalg.lstsq(free, s - weights @ basis, rcond=None)[0][-1]) * len(chosen)
        steps += float(weights.sum()) * len(chosen)
    return total / steps if steps > 0 else 0.0


def _signal(spectra, energy, references, chosen, columns):
    basis = np.array([references[j].at(energy) for j in chosen])
    rest = _residuals(spectra, basis, columns)
    fits = np.array([_nnls(s, basis, columns)[1] @ basis for s in spectra])
    return float(((rest + fits) ** 2).sum())


def state_values(references: Sequence[Reference]) -> tuple[np.ndarray, str]:
    """Return the value (k,) that each reference stands for, and what they are.

    Returns
    -------
    (k,) array
        Oxidation states where all are known and not all alike; else 0, and 1 for the reference with the highest edge.
    str
        ``"oxidation state"``, or ``"fraction of NAME"``.
    """
    valences = np.array([r.valence for r in references])
    if len(valences) > 1 and np.isfinite(valences).all() and np.ptp(valences) > 0:
        return valences, "oxidation state"
    top = int(np.argmax([r.e0_ev for r in references]))
    return (np.arange(len(references)) == top).astype(float), f"fraction of {references[top].name}"


def prepare_references(
    spectra: Mapping[str, tuple[np.ndarray, np.ndarray, bool]], *, e0_ev: float, element: str,
    valences: Mapping[str, float] | None = None,
) -> list[Reference]:  # fmt: skip
    """Return the normalised references with the oxidation states that their names, or `valences`, give.

    Parameters
    ----------
    spectra : mapping of name to (energies in eV, absorption, whether it is normalised)
    e0_ev : float
    element : str
    valences : mapping of name to float, optional
        Outranks what the name says.

    Raises
    ------
    InputError
        `valences` names a reference that does not exist, or a reference has no edge there.
    """
    from .valence import valence

    given = dict(valences or {})
    unknown = [n for n in given if n not in spectra]
    if unknown:
        raise InputError(f"there is no reference named {unknown[0]!r}; there are {', '.join(spectra)}.")
    return [
        reference(name, energy, mu, e0_ev=e0_ev, valence=given.get(name, valence(name, element)), normalised=normalised)
        for name, (energy, mu, normalised) in spectra.items()
    ]
