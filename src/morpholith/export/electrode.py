"""What a battery model needs to know about a measured electrode, gathered and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from .. import _checks
from ..errors import InputError
from ..image import Quantity

if TYPE_CHECKING:
    import pandas as pd

FRACTIONS_TOLERANCE = 0.005
"""How far porosity, active material and binder may sum away from one before it is no rounding any more."""

COLLECTOR_SIDES = ("unknown", "first", "last")
RADIUS, AREA_DENSITY = "radius_um", "area_density_per_um"
DEPTH = "depth_um"


@dataclass(frozen=True)
class ElectrodeModel:
    """A positive electrode as its image shows it. Plain numbers are taken as quantities without interval.

    Parameters
    ----------
    thickness_um : Quantity or float
        Of the whole coating, not of the part in view.
    porosity, active_fraction : Quantity or float
        Volume fractions of pore and of active material.
    surface_per_um : Quantity or float
        Surface of the active material per volume of electrode, 1/um.
    tau_pore : mapping of "z", "y", "x" to Quantity or float
        Tortuosity factors of the pore, tau = porosity D0 / Deff. ``"z"``, through the thickness, is required; a
        single number is taken for it.
    binder_fraction : Quantity or float, optional
        Carbon and binder (with the pores inside them that the image does not resolve); without it what the other
        two leave.
    tau_solid : mapping or Quantity or float, optional
        The same of the solid (active material with carbon and binder).
    sizes : DataFrame, optional
        Area-weighted distribution of particle radii: `radius_um`, `area_density_per_um` (see `area_weighted`).
    profiles : DataFrame, optional
        Through the thickness: `depth_um` (distance from the first plane of the volume), `porosity` and
        `active_fraction`; 2 rows or more, see `resample_profile`.
    collector : {"unknown", "first", "last"}
        Which end of the profiles the current collector is at. "unknown" is taken as "last", with a warning.
    name : str
        What the files call it.
    warnings : tuple of str
        Carried into every file.

    Raises
    ------
    InputError
        The fractions do not sum to one (to 0.005), the pores do not percolate through the thickness, or a number
        is missing or impossible.
    """

    thickness_um: Quantity
    porosity: Quantity
    active_fraction: Quantity
    surface_per_um: Quantity
    tau_pore: Mapping[str, Quantity]
    binder_fraction: Quantity | None = None
    tau_solid: Mapping[str, Quantity] = field(default_factory=dict)
    sizes: pd.DataFrame | None = None
    profiles: pd.DataFrame | None = None
    collector: str = "unknown"
    name: str = "electrode"
    warnings: tuple[str, ...] = ()

    def __post_init__(self):
        def put(name, value):
            object.__setattr__(self, name, value)

        for name, unit in (
            ("thickness_um", "um"),
            ("porosity", ""),
            ("active_fraction", ""),
            ("surface_per_um", "1/um"),
        ):
            put(name, _quantity(getattr(self, name), unit))
            _checks.positive(getattr(self, name).value, name=name)
        for name in ("tau_pore", "tau_solid"):
            put(name, _axes(getattr(self, name)))
        put("binder_fraction", _rest(self))
        _check_fractions(self)
        _check_tau(self.tau_pore.get("z"))
        _checks.choice(self.collector, COLLECTOR_SIDES, name="collector")
        if self.sizes is not None:
            put("sizes", _checked_sizes(self.sizes))
        if self.profiles is not None:
            put("profiles", _checked_profiles(self.profiles))
            if self.collector == "unknown":
                said = "Which side the current collector is on is not known; the profiles take it to be the last plane."
                put("warnings", (*self.warnings, said))

    @property
    def radius_um(self) -> Quantity:
        """Radius of the spheres that have the volume and the surface of the active material: R = 3 eps_s / a."""
        return _combined(self.active_fraction, self.surface_per_um, scale=3, unit="um", method="3 eps_s / a")

    @property
    def transport_efficiency(self) -> Quantity:
        """Deff / D0 of the pores through the thickness: porosity / tau (B of PyBaMM, one over MacMullin's number)."""
        return _combined(self.porosity, self.tau_pore["z"], scale=1, unit="", method="porosity / tau")

    @property
    def bruggeman(self) -> float:
        """Exponent b with porosity^b equal to the transport efficiency."""
        return float(np.log(self.transport_efficiency.value) / np.log(self.porosity.value))

    def measured(self) -> dict[str, dict]:
        """Return every measured number as it is written to ``summary.json``, with its interval."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        plain = {k: v for k, v in found.items() if isinstance(v, Quantity)}
        plain |= {"radius_um": self.radius_um, "transport_efficiency": self.transport_efficiency}
        plain |= {f"{which}_{a}": q for which in ("tau_pore", "tau_solid") for a, q in found[which].items()}
        return {name: q.to_json() | {"warning": q.warning} for name, q in plain.items()}

    def moved(
        self, *, porosity: float, active_fraction: float, tau_z: float, thickness_um: float, surface_per_um: float
    ) -> ElectrodeModel:
        """Return the electrode with these values; the profiles keep their shape, carbon and binder take the rest."""
        profiles = self.profiles
        if profiles is not None:
            depth = profiles[DEPTH] * (thickness_um / self.thickness_um.value)
            pore = (profiles["porosity"] * (porosity / self.porosity.value)).clip(upper=1)
            active = profiles["active_fraction"] * (active_fraction / self.active_fraction.value)
            # a layer that was nearly full may not hold more than all
            active = np.minimum(active, 1 - pore)
            profiles = profiles.assign(**{DEPTH: depth}, porosity=pore, active_fraction=active)
        return replace(
            self,
            thickness_um=_quantity(thickness_um, "um"),
            porosity=_quantity(porosity, ""),
            active_fraction=_quantity(active_fraction, ""),
            binder_fraction=None,
            surface_per_um=_quantity(surface_per_um, "1/um"),
            tau_pore={**self.tau_pore, "z": _quantity(tau_z, "")},
            profiles=profiles,
        )


def area_weighted(
    radius_um: np.ndarray, *, surface_um2: np.ndarray | None = None, weights: np.ndarray | None = None, points: int = 40
) -> pd.DataFrame:
    """Area-weighted distribution of particle radii, as a many-particle model wants it.

    Parameters
    ----------
    radius_um : (n,) array
        Radius of each particle (half its equivalent diameter); NaN and cut particles left out beforehand.
    surface_um2 : (n,) array, optional
        Surface of each particle; by default that of the sphere.
    weights : (n,) array, optional
        Particles that each one stands for (edge correction).
    points : int
        Rows of the table.

    Returns
    -------
    DataFrame
        `radius_um`, ascending and evenly spaced, and `area_density_per_um`, which integrates to one (trapezoids).
        Empty when there are fewer than 2 particles.

    Notes
    -----
    Share of surface f_a(R) dR carried by particles between R and R + dR: the number distribution times surface.
    Its mean over spheres is the Sauter radius, sum R^3 / sum R^2 = 3 V / A. Smoothed with a Gaussian kernel in
    ln R, of Silverman's width for the effective number of particles.
    """
    import pandas as pd

    r = np.asarray(radius_um, float).reshape(-1)
    w = 4 * np.pi * r**2 if surface_um2 is None else np.asarray(surface_um2, float).reshape(-1)
    w = w if weights is None else w * np.asarray(weights, float).reshape(-1)
    if w.shape != r.shape or (len(r) and not (np.isfinite(r).all() and (r > 0).all() and (w >= 0).all())):
        raise InputError("`radius_um` must be positive lengths, one surface and weight each where those are given.")
    if len(r) < 2 or w.sum() <= 0:
        return pd.DataFrame({RADIUS: np.zeros(0), AREA_DENSITY: np.zeros(0)})
    logs, w = np.log(r), w / w.sum()
    spread = np.sqrt(max(float(w @ (logs - w @ logs) ** 2), 1e-4))
    width = spread * (1 / float((w**2).sum())) ** -0.2
    grid = np.linspace(np.exp(logs.min() - 2.5 * width), np.exp(logs.max() + 2.5 * width), max(int(points), 5))
    kernel = np.exp(-0.5 * ((np.log(grid)[:, None] - logs) / width) ** 2)
    density = (kernel @ w) / grid
    density[[0, -1]] = 0.0  # a density that ends does not jump
    return pd.DataFrame({RADIUS: grid, AREA_DENSITY: density / np.trapezoid(density, grid)})


def resample_profile(
    depth_um: np.ndarray, porosity: np.ndarray, active_fraction: np.ndarray, *, points: int = 30
) -> pd.DataFrame:
    """Thin a plane-by-plane profile to slabs, each the mean of its planes.

    Parameters
    ----------
    depth_um, porosity, active_fraction : (n,) arrays
        One value for each plane, evenly spaced.
    points : int
        Slabs wanted, 20 to 50 for a battery model; fewer when there are fewer planes.

    Returns
    -------
    DataFrame
        `depth_um` (centres of the slabs), `porosity`, `active_fraction`. The mean over slabs of equal thickness is
        the mean over the planes; slabs differ by at most one plane.
    """
    import pandas as pd

    columns = {DEPTH: depth_um, "porosity": porosity, "active_fraction": active_fraction}
    arrays = {k: np.asarray(v, float).reshape(-1) for k, v in columns.items()}
    n = len(arrays[DEPTH])
    if any(len(a) != n for a in arrays.values()) or n < 2:
        raise InputError("a profile needs depth, porosity and active fraction for the same planes, two or more.")
    parts = np.array_split(np.arange(n), min(int(points), n))
    return pd.DataFrame({k: [a[p].mean() for p in parts] for k, a in arrays.items()})


def _quantity(value, unit):
    return value if isinstance(value, Quantity) else Quantity(float(value), unit=unit, method="given")


def _axes(value):
    value = value if isinstance(value, Mapping) else {"z": value}
    wrong = set(value) - set("zyx")
    if wrong:
        raise InputError(f"tortuosity factors are given for the axes z, y and x, got {', '.join(map(repr, wrong))}.")
    return MappingProxyType({a: _quantity(v, "") for a, v in value.items()})


def _combined(top, bottom, *, scale, unit, method):
    """Scaled quotient of two quantities, their relative errors added in squares."""
    value = scale * top.value / bottom.value
    half = [_relative(q) for q in (top, bottom)]
    if all(h is None for h in half):
        return Quantity(value, unit=unit, method=method)
    down = np.hypot(half[0][0] if half[0] else 0, half[1][1] if half[1] else 0)
    up = np.hypot(half[0][1] if half[0] else 0, half[1][0] if half[1] else 0)
    return Quantity(value, value * (1 - min(down, 1)), value * (1 + up), unit=unit, method=method)


def _relative(q):
    if q.low is None or q.high is None or not (np.isfinite(q.low) and np.isfinite(q.high)):
        return None
    return max(1 - q.low / q.value, 0), max(q.high / q.value - 1, 0)


def _rest(model):
    if model.binder_fraction is not None:
        return _quantity(model.binder_fraction, "")
    rest = 1 - model.porosity.value - model.active_fraction.value
    return Quantity(0.0 if -FRACTIONS_TOLERANCE <= rest < 0 else rest, method="1 - porosity - active fraction")


def _check_fractions(model):
    parts = {"porosity": model.porosity, "active": model.active_fraction, "binder": model.binder_fraction}
    values = {k: q.value for k, q in parts.items()}
    total = sum(values.values())
    if not np.isfinite(total) or min(values.values()) < -1e-12 or abs(total - 1) > FRACTIONS_TOLERANCE:
        said = " + ".join(f"{k} {v:.4g}" for k, v in values.items())
        raise InputError(
            f"the volume fractions must sum to one, got {said} = {total:.4g}; take them from one segmentation."
        )


def _check_tau(tau):
    if tau is None:
        raise InputError("`tau_pore` needs the tortuosity factor through the thickness, 'z'.")
    if np.isinf(tau.value):
        raise InputError(
            "the pores do not percolate through the thickness (tau is infinite), so no battery model can be run; "
            "check the threshold, or take a larger volume."
        )
    if not tau.value >= 1:
        raise InputError(f"the tortuosity factor of the pores must be 1 or more, got {tau.value!r}.")


def _checked_sizes(sizes):
    missing = {RADIUS, AREA_DENSITY} - set(sizes.columns)
    if missing:
        raise InputError(f"`sizes` needs the columns {RADIUS} and {AREA_DENSITY}; see `export.area_weighted`.")
    if len(sizes) == 0:
        return None
    r, f = sizes[RADIUS].to_numpy(float), sizes[AREA_DENSITY].to_numpy(float)
    area = float(np.trapezoid(f, r)) if len(r) > 1 else 0.0
    if not ((np.diff(r) > 0).all() and r[0] > 0 and np.isfinite(f).all() and (f >= 0).all() and area > 0):
        raise InputError("`sizes` must hold ascending positive radii and a density of 0 or more.")
    return sizes[[RADIUS, AREA_DENSITY]].assign(**{AREA_DENSITY: f / area})


def _checked_profiles(profiles):
    wanted = [DEPTH, "porosity", "active_fraction"]
    if set(wanted) - set(profiles.columns) or len(profiles) < 2:
        raise InputError(f"`profiles` needs the columns {', '.join(wanted)} and two rows or more.")
    a = profiles[wanted].to_numpy(float)
    inside = (a[:, 1:] >= 0).all() and (a[:, 1] + a[:, 2] <= 1 + FRACTIONS_TOLERANCE).all()
    if not (np.isfinite(a).all() and (np.diff(a[:, 0]) > 0).all() and inside):
        raise InputError(
            "`profiles` must hold ascending depths, and porosity and active fraction that sum to one at most."
        )
    return profiles[wanted].reset_index(drop=True)
