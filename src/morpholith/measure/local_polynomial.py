"""Local polynomials through unequally spaced points, as matrices: smoothing, slopes and peaks of spectra."""

from __future__ import annotations

from functools import lru_cache

import numpy as np


def smoother(energies_ev: np.ndarray, width_ev: float, *, order: int, derivative: int = 0) -> np.ndarray:
    """Return the matrix (e, e) of local polynomials: the fit through the points within `width_ev`, at each energy.

    Parameters
    ----------
    energies_ev : (e,) array
        Ascending, eV; need not be equally spaced.
    width_ev : float
        Half width of the window; it grows until it holds order + 2 points.
    order, derivative : int
        Order of the polynomial, and which derivative of it is returned (per eV).
    """
    energy = np.ascontiguousarray(energies_ev, float)
    return _smoother(energy.tobytes(), float(width_ev), order, derivative)


@lru_cache(maxsize=64)
def _smoother(raw: bytes, width_ev: float, order: int, derivative: int) -> np.ndarray:
    """Build the matrix once for each set of energies; callers must not write to it."""
    energy = np.frombuffer(raw)
    n = len(energy)
    matrix = np.zeros((n, n))
    for i in range(n):
        near = nearby(energy, energy[i], width_ev, least=order + 2)
        coefficients = np.linalg.pinv(np.vander(energy[near] - energy[i], order + 1, increasing=True))
        matrix[i, near] = coefficients[derivative] * (1, 1, 2, 6)[derivative]
    matrix.setflags(write=False)
    return matrix


def nearby(energy: np.ndarray, centre: float, width: float, *, least: int) -> np.ndarray:
    """Return the indices within `width` of `centre`, or the `least` nearest ones if those are few."""
    distance = np.abs(energy - centre)
    near = np.flatnonzero(distance <= width * (1 + 1e-9))
    if len(near) >= least:
        return near
    return np.sort(np.argsort(distance, kind="stable")[: min(least, len(energy))])


def vertex(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where the parabola through three points has its vertex, and its derivative with respect to each y.

    Parameters
    ----------
    x : (3,) array
        Ascending.
    y : (n, 3) array

    Returns
    -------
    (n,) array
        NaN where the three do not curve downwards.
    (n, 3) array
    """
    inverse = np.linalg.inv(np.vander(x - x[1], 3, increasing=True))
    _, b, c = inverse @ np.asarray(y, float).T
    with np.errstate(invalid="ignore", divide="ignore"):
        at = np.where(c < 0, -b / (2 * c), np.nan)
        gradient = -inverse[1] / (2 * c[:, None]) + (b / (2 * c * c))[:, None] * inverse[2]
    return x[1] + at, gradient
