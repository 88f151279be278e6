"""Structures whose transport is known: laminates, channels, arrays of spheres, each with its exact tortuosity factor.

tau = eps D0 / Deff along z, the first axis, between two faces of fixed concentration, with closed sides.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .. import _checks
from ..errors import InputError


@dataclass(frozen=True)
class Channels:
    """A pore space and its exact transport along z.

    Attributes
    ----------
    pore : (z, y, x) bool array
        What conducts; a voxel belongs to it when its centre does.
    spacing : (float, float, float)
        um.
    porosity : float
        Of the continuum structure, exact.
    tau : float
        Tortuosity factor along z of the continuum structure; infinite where nothing gets through.
    how : str
        Where the exact value comes from and how well it holds.
    """

    pore: np.ndarray
    spacing: tuple[float, float, float]
    porosity: float
    tau: float
    how: str

    @property
    def relative_diffusivity(self) -> float:
        """Deff / D0 = eps / tau."""
        return self.porosity / self.tau


def laminate(shape, *, spacing, pore_voxels: int, solid_voxels: int, axis: int) -> Channels:
    """Layers of pore and solid in turn, across `axis`.

    Parameters
    ----------
    shape : (int, int, int)
    spacing : (float, float, float)
    pore_voxels, solid_voxels : int
        Thickness of the layers.
    axis : int
        Axis that the layers are stacked along: 0 blocks transport along z (tau infinite), 1 and 2 leave it straight
        (tau 1).

    Returns
    -------
    Channels
        `porosity` is that of the voxels, which are the structure exactly.
    """
    spacing = _checks.spacing(spacing, 3)
    along = np.arange(shape[axis]) % (pore_voxels + solid_voxels) < pore_voxels
    pore = np.zeros(shape, bool)
    pore[:] = np.expand_dims(along, [a for a in range(3) if a != axis])
    blocked = axis == 0 and not along.all()
    return Channels(
        pore, spacing, float(along.mean()), float("inf") if blocked else 1.0,
        "layers in series block, layers in parallel are straight; exact on any grid",
    )  # fmt: skip


def layered_diffusivity(diffusivities, thicknesses) -> tuple[float, float]:
    """Return the effective diffusivity across and along conducting layers: harmonic and arithmetic mean."""
    d, t = np.asarray(diffusivities, float), np.asarray(thicknesses, float)
    return float(t.sum() / (t / d).sum()), float((t * d).sum() / t.sum())


def straight_channels(shape, *, spacing, width_voxels: int, wall_voxels: int) -> Channels:
    """Square channels along z: tau is 1 on any grid.

    Parameters
    ----------
    shape : (int, int, int)
    spacing : (float, float, float)
    width_voxels, wall_voxels : int
        Of channels and walls, along y and along x.
    """
    period = width_voxels + wall_voxels
    y, x = (np.arange(n) % period < width_voxels for n in shape[1:])
    pore = np.broadcast_to(y[:, None] & x[None], shape).copy()
    return Channels(pore, _checks.spacing(spacing, 3), float(pore.mean()), 1.0, "straight channels; exact on any grid")


def inclined_channels(shape, *, spacing, width_um: float, angle_deg: float) -> Channels:
    """One slit that climbs from the bottom to the top at an angle to z, in the y direction; wide along x.

    Parameters
    ----------
    shape : (int, int, int)
        The slit must fit: width + height * tan(angle) <= size along y.
    spacing : (float, float, float)
    width_um : float
        Along y, not across the slit.
    angle_deg : float
        Between slit and z, 0 <= angle < 80.

    Returns
    -------
    Channels
        `tau` of the continuum, its oblique ends included; a long slit (height >> width) tends to 1 / cos^2.

    Notes
    -----
    The slit is a parallelogram between two electrodes, whose conductance is a conformal invariant. The half plane maps
    onto it by Schwarz and Christoffel with angles a pi and (1 - a) pi, a = 1/2 - angle/180; its edge ratio is
    F(a, 1-a; 1; 1-m) / F(a, 1-a; 1; m), which gives m, and the resistance R is K(1-m) / K(m); tau = R width / height.
    """
    spacing = _checks.spacing(spacing, 3)
    height, size = shape[0] * spacing[0], shape[1] * spacing[1]
    if not 0 <= angle_deg < 80:
        raise InputError(f"`angle_deg` must lie in 0 .. 80, got {angle_deg!r}.")
    slope = np.tan(np.deg2rad(angle_deg))
    if width_um + height * slope > size * (1 + 1e-9):
        raise InputError(
            f"a slit of {width_um} um at {angle_deg} degrees needs {width_um + height * slope:.4g} um along y, "
            f"the volume has {size:.4g}; widen the shape or lower the angle."
        )
    # voxels cover (i - 1/2) .. (i + 1/2) spacing: the slit starts at the lower faces of the volume
    z, y = ((np.arange(n) + 0.5) * s for n, s in zip(shape[:2], spacing[:2], strict=True))
    start = 0.5 * (size - width_um - height * slope)
    low = start + slope * z[:, None]
    pore = np.broadcast_to(((y >= low) & (y < low + width_um))[:, :, None], shape).copy()
    tau = _parallelogram_resistance(height / np.cos(np.deg2rad(angle_deg)), width_um, angle_deg) * width_um / height
    return Channels(
        pore, spacing, width_um / size, float(tau),
        "conformal map of the parallelogram; voxels add an error of the order of spacing over width",
    )  # fmt: skip


def _parallelogram_resistance(slant: float, width: float, angle_deg: float) -> float:
    """Resistance between the two edges of length `width` of a parallelogram of unit conductivity and depth."""
    from scipy.optimize import brentq
    from scipy.special import digamma, ellipk, ellipkm1, hyp2f1

    a = 0.5 - angle_deg / 180
    straight = slant / (width * np.sin(np.pi * a))
    if straight > 8:
        # both functions by their logarithms at m -> 0; what is left out is of the order of exp(-pi * straight)
        ends = np.log(16) + digamma(a) + digamma(1 - a) + 2 * np.euler_gamma
        return float(straight + ends / np.pi)

    def misfit(u):  # in u = ln(m / (1 - m)), which gives both ends of the range of m their digits
        m, rest = 1 / (1 + np.exp(-u)), 1 / (1 + np.exp(u))
        return np.log(hyp2f1(a, 1 - a, 1, rest) / hyp2f1(a, 1 - a, 1, m)) - np.log(slant / width)

    m = 1 / (1 + np.exp(-brentq(misfit, -27, 27)))
    return float(ellipkm1(m) / ellipk(m))


def sphere_packing(n: int, *, spacing: float = 1.0, solid: float, lattice: str = "sc") -> Channels:
    """Unit cell of a cubic array of equal insulating spheres that do not overlap, between symmetry planes.

    Parameters
    ----------
    n : int
        Voxels along each edge of the cubic cell.
    spacing : float
        Voxel edge, um (the cell is n * spacing wide).
    solid : float
        Volume fraction of the spheres: up to 0.45 for "sc" and 0.6 for "fcc" (they touch at 0.524 and 0.740).
    lattice : {"sc", "fcc"}
        Simple cubic: one sphere in the middle. Face-centred: corners and face centres.

    Returns
    -------
    Channels
        `tau` from `sphere_array_diffusivity`.
    """
    limit = {"sc": 0.45, "fcc": 0.6}[_checks.choice(lattice, ("sc", "fcc"), name="lattice")]
    if not 0 < solid <= limit:
        raise InputError(f"`solid` must lie in 0 .. {limit} for {lattice!r}, got {solid!r}.")
    places = {
        "sc": [(0.5, 0.5, 0.5)],
        "fcc": [*np.ndindex(2, 2, 2), *((0.5, 0.5, a) for a in (0, 1)), *((0.5, a, 0.5) for a in (0, 1)),
                *((a, 0.5, 0.5) for a in (0, 1))],
    }[lattice]  # fmt: skip
    radius = (3 * solid / (4 * np.pi * {"sc": 1, "fcc": 4}[lattice])) ** (1 / 3)
    at = (np.arange(n) + 0.5) / n
    pore = np.ones((n, n, n), bool)
    for z, y, x in places:
        pore &= (at[:, None, None] - z) ** 2 + (at[:, None] - y) ** 2 + (at - x) ** 2 > radius**2
    relative = sphere_array_diffusivity(solid, lattice=lattice)
    return Channels(
        pore, (float(spacing),) * 3, 1 - solid, (1 - solid) / relative,
        "Rayleigh's multipole method for insulating spheres, to 1e-6; voxels add their own error",
    )  # fmt: skip


def sphere_array_diffusivity(solid: float, *, lattice: str, order: int = 17) -> float:
    """Return Deff / D0 of a cubic array of insulating spheres that do not overlap: Rayleigh's method.

    Parameters
    ----------
    solid : float
        Volume fraction of the spheres.
    lattice : {"sc", "fcc"}
    order : int
        Highest multipole, odd. 17 is good to 1e-6 up to `solid` 0.45 (sc) and 0.6 (fcc).

    Notes
    -----
    Around each sphere the potential is a sum of multipoles; the regular part at one sphere is the outer field plus what
    the multipoles of all others make there (Rayleigh 1892; McPhedran and McKenzie 1978), which gives a small linear
    system in lattice sums over I_LM(R) = (L-M)! P_LM(cos t) e^(iMp) / R^(L+1). With n spheres per volume and dipole
    moment B at mean gradient G + 4 pi n B / 3: Deff / D0 = 1 - 4 pi n B / (G + 4 pi n B / 3).
    """
    from math import factorial

    per_cell = {"sc": 1, "fcc": 4}[_checks.choice(lattice, ("sc", "fcc"), name="lattice")]
    a = (3 * solid / (4 * np.pi * per_cell)) ** (1 / 3)
    sums = _lattice_sums(2 * order, lattice)
    terms = [(k, m) for k in range(1, order + 1, 2) for m in range(-(k - k % 4 if k % 4 else k), k + 1) if m % 4 == 0]
    n = len(terms)
    matrix, outer = np.eye(n), np.zeros(n)
    # unknowns x = B_(l,-m) a^-(l+1) sqrt((l+m)! (l-m)!): of one size for all multipoles
    scale = [np.sqrt(float(factorial(k + m) * factorial(k - m))) for k, m in terms]
    for i, (k, m) in enumerate(terms):
        front = (-1) ** m * k / (k + 1) * a ** (2 * k + 1) / scale[i] ** 2
        row = scale[i] * a ** -(k + 1)
        outer[i] = row * front * (1.0 if (k, m) == (1, 0) else 0.0)
        for j, (kk, mm) in enumerate(terms):
            # x_j stands for the multipole (kk, -mm)
            value = sums.get((k + kk, m - mm), 0.0)
            matrix[i, j] += row * front * value / (scale[j] * a ** -(kk + 1))
    x = np.linalg.solve(matrix, outer)
    i = terms.index((1, 0))
    dipole = 4 * np.pi * per_cell * x[i] / (scale[i] * a**-2)
    return float(1 - dipole / (1 + dipole / 3))


@lru_cache(maxsize=4)
def _lattice_sums(highest: int, lattice: str) -> dict[tuple[int, int], float]:
    """Return the sums of I_LM over a cubic lattice of unit cell 1 without its origin: even L >= 4, M = 0, 4, 8, ..."""
    from scipy.special import gammaln, lpmv

    reach = 14 if lattice == "fcc" else 20
    grid = np.arange(-reach, reach + 1)
    r = np.stack(np.meshgrid(grid, grid, grid, indexing="ij"), -1).reshape(-1, 3).astype(float)
    if lattice == "fcc":
        r = (r[:, None] + [(0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)]).reshape(-1, 3)
    length = np.linalg.norm(r, axis=1)
    # a whole ball: what lies beyond averages out over the angles
    r, length = r[(length > 0) & (length <= reach)], length[(length > 0) & (length <= reach)]
    cosine, phi = r[:, 0] / length, np.arctan2(r[:, 2], r[:, 1])
    sums = {}
    for k in range(4, highest + 1, 2):
        near = length <= max(3.0, reach * (4 / k) ** 2)
        for m in range(0, k + 1, 4):
            # log of the factorials: P_LM grows as fast as they do
            value = lpmv(m, k, cosine[near]) * np.cos(m * phi[near]) * length[near] ** -(k + 1.0)
            sums[k, m] = float(value.sum() * np.exp(gammaln(k - m + 1)))
            # I_(L,-M) = (-1)^M conj(I_LM)
            sums[k, -m] = sums[k, m]
    return sums
