"""K-edge energies of the 3d metals in battery electrodes, and which of them a scan covers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import InputError

K_EDGES_EV: dict[str, float] = {
    "Ti": 4966.0,
    "V": 5465.0,
    "Cr": 5989.0,
    "Mn": 6539.0,
    "Fe": 7112.0,
    "Co": 7709.0,
    "Ni": 8333.0,
    "Cu": 8979.0,
    "Zn": 9659.0,
}
"""Tabulated K-edge energies of the elements in eV (J. A. Bearden and A. F. Burr, Rev. Mod. Phys. 39, 125 (1967))."""

MARGIN_EV = 10.0  # oxidised metals have their edge up to 15 eV above the element's, and a shift of the axis is usual


def edges_within(energies_ev: Sequence[float] | np.ndarray) -> list[str]:
    """Return the elements whose K edge lies within a scan, in order of energy.

    Parameters
    ----------
    energies_ev : (e,) array
        eV, in any order. NaN are left out.

    Returns
    -------
    list of str
        Symbols. Empty when the scan crosses none of `K_EDGES_EV`, or holds no energy.
    """
    found = np.asarray(energies_ev, float).ravel()
    found = found[np.isfinite(found)]
    if found.size == 0:
        return []
    low, high = float(found.min()), float(found.max())
    return [symbol for symbol, edge in K_EDGES_EV.items() if low <= edge <= high]


def element_of(energies_ev: Sequence[float] | np.ndarray, mean_spectrum: Sequence[float] | None = None) -> str:
    """Return the element whose K edge a scan crosses.

    Parameters
    ----------
    energies_ev : (e,) array
        eV, in any order.
    mean_spectrum : (e,) array, optional
        Mean optical density at those energies. It decides where the scan covers several edges (a Mn scan of an
        NMC may reach Fe): the one with the largest rise of the median 10 to 35 eV below the edge
        to 10 to 35 eV above it.

    Returns
    -------
    str
        Symbol.

    Raises
    ------
    InputError
        When no edge, or several and no spectrum to tell them apart, lie in the range; the sentence names the
        nearest edges.
    """
    energies = np.asarray(energies_ev, float).ravel()
    inside = edges_within(energies)
    if len(inside) == 1:
        return inside[0]
    finite = energies[np.isfinite(energies)]
    span = f"{finite.min():.1f} to {finite.max():.1f} eV" if finite.size else "no energy at all"
    if not inside:
        raise InputError(f"no K edge lies within the scan ({span}); the nearest are {nearest_edges(finite)}.")
    if mean_spectrum is None:
        shown = ", ".join(f"{s} {K_EDGES_EV[s]:.0f} eV" for s in inside)
        raise InputError(f"the scan ({span}) crosses {len(inside)} K edges ({shown}); say which with --element.")
    spectrum = np.asarray(mean_spectrum, float).ravel()
    if spectrum.shape != energies.shape:
        raise InputError(
            f"`mean_spectrum` has {spectrum.size} values for {energies.size} energies; one each is needed."
        )
    return max(inside, key=lambda symbol: _rise(energies, spectrum, K_EDGES_EV[symbol]))


def nearest_edges(energies_ev: Sequence[float] | np.ndarray, n: int = 2) -> str:
    """Return the `n` edges nearest to a scan in words: ``"Ni 8333 eV, Co 7709 eV"``."""
    finite = np.asarray(energies_ev, float).ravel()
    finite = finite[np.isfinite(finite)]
    middle = float(np.mean([finite.min(), finite.max()])) if finite.size else 0.0
    ordered = sorted(K_EDGES_EV, key=lambda symbol: abs(K_EDGES_EV[symbol] - middle))
    return ", ".join(f"{symbol} {K_EDGES_EV[symbol]:.0f} eV" for symbol in ordered[:n])


def _rise(energies, spectrum, edge) -> float:
    """Return by how much the spectrum rises over an edge; -inf where one side has no value."""
    seen = np.isfinite(spectrum) & np.isfinite(energies)
    below = seen & (energies < edge - MARGIN_EV) & (energies > edge - MARGIN_EV - 25)
    above = seen & (energies > edge + MARGIN_EV) & (energies < edge + MARGIN_EV + 25)
    if not below.any() or not above.any():
        return -np.inf
    return float(np.median(spectrum[above]) - np.median(spectrum[below]))
