"""How a scan is read: its edge, the ranges of the normalisation, and the references on its own axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import InputError
from .edge_range import EdgeRanges, edge_ranges, find_e0
from .k_edges import K_EDGES_EV
from .normalise import normalise, steadied
from .reference_fit import Reference, background_columns, fit_axis, state_values
from .spectral_noise import spectral_noise

SIGNAL = 5.0  # an edge step counts from this many standard errors
GROUPS = 6
EDGE_SEARCH_EV = 25.0


@dataclass(frozen=True)
class Chemistry:
    """How spectra are read: the edge, the ranges of the normalisation, and the references on the scan's own axis.

    Parameters
    ----------
    element : str
    ranges : EdgeRanges
    references : tuple of Reference
        Those that are fitted; empty when there are none.
    values : (k,) array
        What each reference stands for.
    scale : str
        What the state is: ``"oxidation state"``, ``"fraction of NAME"`` or ``""``.
    tilt, shift_ev, shift_se, r_factor : float
        From `reference_fit.fit_axis`.
    background : int
        Order of the background in the fit.
    warnings : tuple of str
    """

    element: str
    ranges: EdgeRanges
    references: tuple[Reference, ...] = ()
    values: np.ndarray | None = None
    scale: str = ""
    tilt: float = 0.0
    shift_ev: float = 0.0
    shift_se: float = float("nan")
    r_factor: float = float("nan")
    background: int = 1
    warnings: tuple[str, ...] = ()

    def basis(self, energies_ev: np.ndarray) -> np.ndarray:
        """Return the references (k, e) as this scan would show them: shifted and tilted."""
        energy = np.asarray(energies_ev, float)
        x = background_columns(energy, self.ranges.e0_ev, 1)[:, 1]
        return np.array([r.at(energy + self.shift_ev) for r in self.references]) * (1 + self.tilt * x)

    @property
    def span(self) -> float:
        """Range of the states that the references cover; NaN without references."""
        return float(np.ptp(self.values)) if self.values is not None and len(self.values) > 1 else float("nan")


def edge_of_scan(
    energies_ev: np.ndarray, mean: np.ndarray, *, element: str, pre: tuple[float, float] | None = None,
    post: tuple[float, float] | None = None, order: int | None = None,
) -> Chemistry:  # fmt: skip
    """Find the edge of an element in the mean spectrum and choose the ranges of the normalisation.

    Parameters
    ----------
    energies_ev, mean : (e,) arrays
        Ascending energies, and the mean spectrum; NaN is left out.
    element : str
        Its K edge is looked for within 25 eV of the tabulated energy.
    pre, post, order
        As for `edge_ranges`.

    Raises
    ------
    InputError
        There is no rise near the element's edge, or too little around it.
    """
    energy, mean = np.asarray(energies_ev, float), np.asarray(mean, float)
    seen = np.isfinite(mean)
    if element not in K_EDGES_EV:
        raise InputError(f"the K edge of {element!r} is not known; known are {', '.join(K_EDGES_EV)}.")
    near = seen & (np.abs(energy - K_EDGES_EV[element]) <= EDGE_SEARCH_EV)
    e0 = find_e0(energy[near], mean[near])
    if not np.isfinite(e0):
        raise InputError(
            f"no absorption edge is seen near the K edge of {element} ({K_EDGES_EV[element]:.0f} eV) in the mean "
            f"spectrum ({int(near.sum())} energies there); is there {element} in the sample, and is this optical "
            "density?"
        )
    ranges = edge_ranges(energy[seen], e0, pre=pre, post=post, order=order)
    found = normalise(mean[None], energy, ranges)
    if not found.step[0] > 0:
        raise InputError(
            f"the absorption does not rise over the K edge of {element}: step {found.step[0]:.3g} at {e0:.1f} eV; "
            "optical density must be -ln(I / I0)."
        )
    return Chemistry(element, ranges, warnings=ranges.warnings)


def with_references(
    chemistry: Chemistry, spectra: np.ndarray, energies_ev: np.ndarray, references: Sequence[Reference], *,
    shift_ev: float | None = None, background: int = 1,
) -> Chemistry:  # fmt: skip
    """Add references to a `Chemistry`: which ones are needed, their shift, and what the state means.

    Parameters
    ----------
    chemistry : Chemistry
    spectra : (n, e) array
        Mean spectra of unlike regions, from `spectral_groups`; columns with NaN are left out.
    energies_ev : (e,) array
    references : sequence of Reference
    shift_ev : float, optional
        Of the energy axis where it is known.
    background : int
        Order of the background, -1 for none.
    """
    spectra = np.atleast_2d(spectra)
    whole = np.isfinite(spectra).all(0)
    energy = np.asarray(energies_ev, float)[whole]
    fit = fit_axis(
        spectra[:, whole], energy, references, chemistry.ranges, shift_ev=shift_ev, order=background
    )  # fmt: skip
    chosen = tuple(references[j] for j in fit.chosen)
    values, scale = state_values(chosen)
    warnings = [*chemistry.warnings, *fit.warnings]
    if len(chosen) < 2:
        warnings.append(f"With one reference ({chosen[0].name}) there is no state to tell: give at least two.")
    return replace(
        chemistry, references=chosen, values=values, scale=scale, shift_ev=fit.shift_ev,
        tilt=fit.tilt, shift_se=fit.shift_se,
        r_factor=fit.r_factor, background=background, warnings=tuple(warnings),
    )  # fmt: skip


def spectral_groups(mu: np.ndarray, energies_ev: np.ndarray, ranges: EdgeRanges, *, n: int = GROUPS) -> np.ndarray:
    """Return mean spectra (at most n, e) of pixels that differ most in the shape of their edge.

    Parameters
    ----------
    mu : (m, e) array
        Spectra of pixels with enough signal; NaN where a frame is missing.
    energies_ev : (e,) array
    ranges : EdgeRanges
    n : int
        Pixels are ordered along the first principal component of the normalised spectra and parted in n equal groups;
        fewer when a group would have less than 20 pixels.
    """
    mean = mean_spectrum(mu)
    n = int(min(n, len(mu) // 20))
    if n < 2:
        return mean[None]
    norm = normalise(mu, energies_ev, ranges).norm
    zone = (energies_ev > ranges.e0_ev - 15) & (energies_ev < ranges.e0_ev + 30)
    part = norm[:, zone]
    part = np.where(np.isfinite(part), part, mean_spectrum(part))
    part = np.nan_to_num(part - part.mean(0))
    axis = np.linalg.eigh(part.T @ part)[1][:, -1]
    order = np.argsort(part @ axis, kind="stable")
    return np.array([mean_spectrum(mu[rows]) for rows in np.array_split(order, n)])


def signal_mask(stack: np.ndarray, energies_ev: np.ndarray, ranges: EdgeRanges, *, least: float = 0.1) -> np.ndarray:
    """Return where (y, x) a stack (e, y, x) has an edge: a step of five standard errors and `least` of the largest.

    The largest is the 95th percentile of the steps that stand out of the noise.
    """
    mu = np.moveaxis(stack, 0, -1).reshape(-1, len(stack)).astype(float)
    noise = spectral_noise(mu, energies_ev, ranges.e0_ev)
    ranges = steadied(mu, energies_ev, ranges, sigma=noise.sigma)
    found = normalise(mu, energies_ev, ranges, profile=noise.profile)
    clear = found.step > SIGNAL * found.step_gain * noise.sigma
    if not clear.any():
        return np.zeros(stack.shape[1:], bool)
    clear &= found.step > least * np.percentile(found.step[clear], 95)
    return clear.reshape(stack.shape[1:])


def mean_spectrum(mu: np.ndarray) -> np.ndarray:
    """Return the mean (e,) of spectra (n, e) over those that were seen; NaN where none was."""
    values = np.atleast_2d(np.asarray(mu, float))
    there = np.isfinite(values)
    count = there.sum(0)
    return np.where(count > 0, np.where(there, values, 0.0).sum(0) / np.maximum(count, 1), np.nan)


def with_signal(mu: np.ndarray, energies_ev: np.ndarray, ranges: EdgeRanges) -> np.ndarray:
    """Return the spectra (m, e) of (n, e) whose edge step is five standard errors; all of them if none is."""
    noise = spectral_noise(mu, energies_ev, ranges.e0_ev)
    ranges = steadied(mu, energies_ev, ranges, sigma=noise.sigma)
    ranges = steadied(mu, energies_ev, ranges, sigma=noise.sigma)
    found = normalise(mu, energies_ev, ranges, profile=noise.profile)
    clear = found.step > SIGNAL * found.step_gain * noise.sigma
    return mu[clear] if clear.any() else mu


def connected_regions(mask: np.ndarray, *, least: int = 30) -> list[np.ndarray]:
    """Return the connected regions (8 neighbours) of at least `least` pixels of a mask, in reading order."""
    from scipy.ndimage import label

    labels, n = label(mask, np.ones((3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=n + 1)
    return [labels == k for k in range(1, n + 1) if sizes[k] >= least]
