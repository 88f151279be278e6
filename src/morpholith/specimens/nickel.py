"""X-ray absorption at the nickel K edge: spectra of two end members, parametric or measured, and their mixtures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .. import _checks
from ..errors import InputError

K_EDGE_EV = 8333.0  # tabulated, metal
WAVE = 0.2624683  # k^2 in 1/A^2 per eV above the edge


@dataclass(frozen=True)
class KEdge:
    """A normalised K-edge spectrum: step, white line and its satellites, pre-edge peak, EXAFS.

    Parameters
    ----------
    edge_ev, width_ev : float
        Middle and half width of the arctangent step.
    peaks : tuple of (height, position_ev, sd_ev)
        Gaussian peaks: the white line first, then multiple scattering and the pre-edge peak.
    exafs : tuple of (amplitude, distance_A, phase)
        Waves sin(2 R k + phase) under exp(-damping k^2).
    damping : float
        A^2.
    """

    edge_ev: float
    width_ev: float
    peaks: tuple[tuple[float, float, float], ...]
    exafs: tuple[tuple[float, float, float], ...] = ()
    damping: float = 0.12

    def mu(self, energy_ev) -> np.ndarray:
        """Return the absorption at energies in eV: 0 far below the edge, 1 on average far above."""
        e = np.asarray(energy_ev, float)
        mu = 0.5 + np.arctan((e - self.edge_ev) / self.width_ev) / np.pi
        for height, position, sd in self.peaks:
            mu += height * np.exp(-0.5 * ((e - position) / sd) ** 2)
        k = np.sqrt(WAVE * np.maximum(e - self.edge_ev, 0))
        wave = sum(a * np.sin(2 * r * k + phase) for a, r, phase in self.exafs)
        # scattering theory of single shells fails below some 2.5 1/A; the peaks stand for it there
        return mu + (1 - np.exp(-((k / 2.5) ** 4))) * np.exp(-self.damping * k * k) * wave


# close to measured NiO and LiNiO2: half height, steepest rise and white line at 8340.9, 8342 and 8347.8 eV, and at
# 8343.1, 8347 and 8349.8 eV
NIO = KEdge(
    8341.2, 1.75, ((0.66, 8347.1, 2.6), (0.19, 8363.6, 2.4), (-0.094, 8389.0, 4.4), (0.02, 8332.8, 1.2)),
    ((1.0, 1.444, 3.289), (0.537, 2.651, -0.268)), 0.124,
)  # fmt: skip
LINIO2 = KEdge(
    8343.2, 2.18, ((0.61, 8349.3, 2.35), (0.21, 8366.8, 3.4), (0.057, 8404.7, 3.8), (0.02, 8333.2, 1.2)),
    ((1.0, 1.160, -2.055), (0.293, 2.476, -0.181)), 0.163,
)  # fmt: skip


@dataclass(frozen=True)
class Chemistry:
    """Absorption of a material between two states, over its mean above the edge.

    mu(E; s) = (E / 8333)^-2.8 (r + (1 - r) ((1 - s) m0(E) + s m1(E))): state s from 0 (reduced) to 1 (oxidised), r what
    the other elements and shells absorb. The mixture is linear, so that s is also the share of the second end member
    in a linear-combination fit.

    Parameters
    ----------
    pre_edge : float
        r, absorption below the edge over that above.
    reduced, oxidised : KEdge or (energy_ev, mu)
        End members: parametric, or measured and normalised arrays (interpolated linearly; constant beyond their ends).
    """

    pre_edge: float = 0.3
    reduced: KEdge | tuple = NIO
    oxidised: KEdge | tuple = LINIO2

    def __post_init__(self):
        if not 0 <= self.pre_edge < 1:
            raise InputError(f"`pre_edge` must be at least 0 and below 1, got {self.pre_edge!r}.")
        for name in ("reduced", "oxidised"):
            given = getattr(self, name)
            if isinstance(given, KEdge):
                continue
            e, mu = (np.asarray(a, float) for a in given)
            if e.ndim != 1 or e.shape != mu.shape or e.size < 2 or not (np.diff(e) > 0).all():
                raise InputError(
                    f"`{name}` must be a KEdge or two 1D arrays of one length, ascending energies in eV and mu; "
                    f"got shapes {e.shape} and {mu.shape}."
                )

    def end_members(self, energy_ev) -> np.ndarray:
        """Return the normalised spectra m0 and m1 (2, e) at energies in eV."""
        e = np.asarray(energy_ev, float)
        return np.stack([m.mu(e) if isinstance(m, KEdge) else np.interp(e, m[0], m[1]) for m in self._members()])

    def _members(self):
        return (self.reduced, self.oxidised)

    def mu(self, energy_ev, state=0.0) -> np.ndarray:
        """Return the absorption (\\*state shape, e): 1 on average some way above the edge."""
        e = np.asarray(energy_ev, float)
        m0, m1 = self.end_members(e)
        s = np.asarray(state, float)[..., None]
        return (e / K_EDGE_EV) ** -2.8 * (self.pre_edge + (1 - self.pre_edge) * ((1 - s) * m0 + s * m1))

    def edge_energy(self, state=0.0, *, kind: str = "half") -> np.ndarray:
        """Return the edge energy in eV of the normalised spectrum of each state, to 0.01 eV.

        Parameters
        ----------
        state : float or array
        kind : {"half", "derivative", "white line"}
            First energy at which the spectrum reaches one half; steepest rise; highest point.
        """
        _checks.choice(kind, ("half", "derivative", "white line"), name="kind")
        e = np.arange(8320.0, 8370.0, 0.01)
        m0, m1 = self.end_members(e)
        found = []
        for s in np.ravel(np.asarray(state, float)):
            mu = (1 - s) * m0 + s * m1
            if kind == "half":
                i = int(np.argmax(mu >= 0.5))
                found.append(e[i - 1] + 0.01 * (0.5 - mu[i - 1]) / (mu[i] - mu[i - 1]))
            else:
                found.append(e[np.argmax(np.gradient(mu, e) if kind == "derivative" else mu)])
        return np.reshape(found, np.shape(state))


# knots in eV, and points per eV between them
KNOTS = np.array([8200.0, 8310.0, 8326.0, 8366.0, 8400.0, 8450.0, 8600.0])
DENSITY = np.array([0.09, 0.5, 1.8, 0.7, 0.2, 0.08])


def energies(n: int = 143, *, low: float = 8200.0, high: float = 8600.0) -> np.ndarray:
    """Return `n` ascending energies (eV) for a Ni K-edge scan: sparse far from the edge, finer than 1 eV through it.

    Parameters
    ----------
    n : int
        143 as in published scans of this kind; 1 gives an energy above the edge.
    low, high : float
        Ends of the scan, eV.
    """
    if n < 1:
        raise InputError(f"`n` must be at least 1, got {n}.")
    if not 0 < low < high:
        raise InputError(f"`low` and `high` must be ascending energies in eV, got {low!r} and {high!r}.")
    if n == 1:
        return np.array([min(8400.0, high)])
    count = np.concatenate([[0], np.cumsum(np.diff(KNOTS) * DENSITY)])
    knots = np.concatenate([[KNOTS[0] - 1e4], KNOTS, [KNOTS[-1] + 1e4]])  # as sparse beyond the ends
    count = np.concatenate([[-1e4 * DENSITY[0]], count, [count[-1] + 1e4 * DENSITY[-1]]])
    ends = np.interp([low, high], knots, count)
    return np.round(np.interp(np.linspace(ends[0], ends[1], n), count, knots), 3)
