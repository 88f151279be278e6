"""The numbers of an electrode from its phases and particles, each with every uncertainty that is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from .. import columns as c
from ..image import Quantity
from .size import size_distribution
from .summary import mean_and_sd
from .tortuosity_budget import blurred

if TYPE_CHECKING:
    import pandas as pd

PORE, ACTIVE, BINDER = 0, 1, 2


def widen(q: Quantity, others: Iterable[float], *, why: str = "threshold") -> Quantity:
    """Widen an interval by what a number becomes under other, equally possible, choices.

    Parameters
    ----------
    q : Quantity
        With the interval of its sampling, or none.
    others : iterable of float
        The same number at the ends of the threshold's interval. NaN: it could not be had there.
    why : str
        What was varied, for the method's line.

    Returns
    -------
    Quantity
        Deviations below and above are added in quadrature to the interval's own; without others unchanged.
    """
    others = [float(o) for o in others]
    if not others or not np.isfinite(q.value):
        return q
    known = [o for o in others if np.isfinite(o)]
    down = q.value - min([q.value, *known])
    up = max([q.value, *known]) - q.value
    low = q.value - np.hypot(down, 0 if q.low is None else q.value - q.low)
    high = q.value + np.hypot(up, 0 if q.high is None else q.high - q.value)
    lost = None if len(known) == len(others) else f"not to be had at an end of the {why}'s interval"
    warning = "; ".join(w for w in (q.warning, lost) if w) or None
    return replace(q, low=float(low), high=float(high), method=f"{q.method}; {why} in quadrature", warning=warning)


def phase_numbers(
    phases: np.ndarray,
    alternatives: Sequence[np.ndarray] = (),
    *,
    spacing: tuple[float, float, float],
    blur_um: float = 0.0,
) -> dict[str, Quantity]:
    """Fractions and surfaces of the phases.

    Parameters
    ----------
    phases : (z, y, x) uint8 array
        0 pore, 1 active material, 2 carbon-binder.
    alternatives : sequence of (z, y, x) uint8 arrays
        The same at the ends of the threshold's interval.
    spacing : tuple of float
        um, in array order.
    blur_um : float
        Standard deviation of the blur the phases were segmented from; 0 where it is not known. Surfaces are
        extrapolated to none, see `without_blur`.

    Returns
    -------
    dict of str to Quantity
        `porosity`, `active_fraction`, `binder_fraction` (only where there is one), `surface_um2_per_um3` (of the
        active material, against pore and binder), `surface_pore_um2_per_um3` (the part of it that the pores reach) and
        `porosity_edge_um` (edge of the cube whose porosity would be known to 1 %).
    """
    from .representative import phase_fraction, required_size
    from .surface3d import specific_surface

    found = {}
    names = {"porosity": PORE, "active_fraction": ACTIVE}
    if any((p == BINDER).any() for p in (phases, *alternatives)):
        names["binder_fraction"] = BINDER
    for key, phase in names.items():
        others = [float((a == phase).mean()) for a in alternatives]
        found[key] = widen(phase_fraction(phases == phase, spacing=spacing), others)
    surfaces = [_surfaces(p, spacing) for p in (phases, *alternatives)]
    again = None
    if blur_um:
        again = specific_surface(blurred(phases == ACTIVE, sigma_um=blur_um, spacing=spacing), spacing=spacing).value
    for key in surfaces[0]:
        found[key] = widen(surfaces[0][key], [s[key].value for s in surfaces[1:]])
        if again is not None:
            found[key] = without_blur(found[key], share_lost=1 - again / surfaces[0]["surface_um2_per_um3"].value)
    found["porosity_edge_um"] = required_size(phases == PORE, spacing=spacing, relative_error=0.01)
    return found


def without_blur(q: Quantity, *, share_lost: float) -> Quantity:
    """Extrapolate a surface to an image without blur.

    Blur closes the crevices where particles meet; the area lost grows in proportion to the blur's standard deviation
    (two spheres of radius R lose about 2 pi R sigma each). Blurring the segmented phase once more by the same amount
    makes that 1.41 times larger, and costs a further ``share_lost``; what the first blur cost is then 1 / 0.41 = 2.4
    times that by proportion, and was 2.0 times on virtual electrodes.

    Parameters
    ----------
    q : Quantity
    share_lost : float
        Relative loss under the second blur; below 0 nothing is done.

    Returns
    -------
    Quantity
        Twice the loss added; the interval reaches, beside its own, from the value as segmented to three and a half
        times the loss.
    """
    loss = max(0.0, share_lost) * q.value
    if not np.isfinite(loss) or loss == 0:
        return q
    value = q.value + 2 * loss
    down = np.hypot(2 * loss, 0 if q.low is None else q.value - q.low)
    up = np.hypot(1.5 * loss, 0 if q.high is None else q.high - q.value)
    method = f"{q.method}; {2 * share_lost:.0%} added for crevices that the blur closed"
    return replace(q, value=float(value), low=float(value - down), high=float(value + up), method=method)


def _surfaces(phases, spacing) -> dict[str, Quantity]:
    """Surface of the active material, and the part of it that the pores reach."""
    from .surface3d import specific_surface

    active = specific_surface(phases == ACTIVE, spacing=spacing)
    if not (phases == BINDER).any():
        return {"surface_um2_per_um3": active, "surface_pore_um2_per_um3": active}
    pore, binder = (specific_surface(phases == p, spacing=spacing).value for p in (PORE, BINDER))
    # each interface bounds two phases: active|pore = (active + pore - binder) / 2
    shared = (active.value + pore - binder) / 2
    share = shared / active.value if active.value > 0 else np.nan
    low, high = (None if end is None else end * share for end in (active.low, active.high))
    how = f"{active.method}; half of (active + pore - binder)"
    reached = replace(active, value=shared, low=low, high=high, method=how)
    return {"surface_um2_per_um3": active, "surface_pore_um2_per_um3": reached}


def particle_numbers(
    table: pd.DataFrame, alternatives: Sequence[pd.DataFrame] = (), *, frame_um: tuple[float, float, float], rng=0
) -> dict[str, Quantity]:
    """Sizes and shapes of the particles that the volume holds whole.

    Parameters
    ----------
    table : DataFrame
        From `solid_particles`.
    alternatives : sequence of DataFrame
        The same at the ends of the threshold's interval.
    frame_um : (float, float, float)
        Edges of the volume: a large particle is less often held whole and counts for more.
    rng : Generator or int

    Returns
    -------
    dict of str to Quantity
        `n_particles`, `d10_um`, `d50_um`, `d90_um`, `span`, `d50_volume_um`, `d50_area_um`, `d32_um`,
        `sphericity_mean`, `sphericity_sd`, `coordination_mean`.
    """
    rng = np.random.default_rng(rng)
    found = _sizes(table, frame_um, rng, n_boot=2000)
    others = [_sizes(t, frame_um, rng, n_boot=2) for t in alternatives]
    found = {key: widen(q, [o[key].value for o in others]) for key, q in found.items()}
    whole = table[~table[c.TOUCHES_EDGE]]
    shape = mean_and_sd(whole[c.SPHERICITY].to_numpy(), rng=rng)
    touching = mean_and_sd(whole[c.N_CONTACTS].to_numpy(float), rng=rng)
    found |= {"sphericity_mean": shape["mean"], "sphericity_sd": shape["sd"], "coordination_mean": touching["mean"]}
    count = Quantity(
        len(table), n=len(table), method=f"labels; {len(table) - len(whole)} of them are cut by a face of the volume"
    )
    return {"n_particles": widen(count, [len(t) for t in alternatives])} | found


def whole_particles(table: pd.DataFrame, *, frame_um: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Return diameter (um) and weight of the particles that no face of the volume cuts."""
    from .solid import whole_weights

    return table[c.DIAMETER][~table[c.TOUCHES_EDGE]].to_numpy(), whole_weights(table, frame_um=frame_um)


def _sizes(table, frame_um, rng, *, n_boot):
    d, weights = whole_particles(table, frame_um=frame_um)
    how = {"weights": weights, "rng": rng, "n_boot": n_boot}
    number = size_distribution(d, **how)
    found = {k: number[k] for k in ("d10_um", "d50_um", "d90_um", "span", "d32_um", "d43_um")}
    for basis in ("area", "volume"):
        found[f"d50_{basis}_um"] = size_distribution(d, basis=basis, quantiles=(0.5,), **how)["d50_um"]
    return found


def in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of particles with the columns first that other programs rely on."""
    first = [c.Z, c.Y, c.X, c.VOLUME, c.DIAMETER, c.SPHERICITY, c.TOUCHES_EDGE]
    return table[[*first, *(name for name in table.columns if name not in first)]]


def electrode_cautions(numbers: Mapping[str, Quantity], *, thickness_um: float, voxel_um: float) -> list[str]:
    """Return what a referee would object to in these numbers."""
    said = []
    d50, porosity = numbers.get("d50_um"), numbers.get("porosity")
    if d50 is not None and np.isfinite(d50.value) and d50.value < 8 * voxel_um:
        said.append(
            f"The median particle is {d50.value / voxel_um:.1f} voxels across: sizes, surfaces and shapes of so few "
            "voxels are not resolved."
        )
    if d50 is not None and np.isfinite(d50.value) and thickness_um < 5 * d50.value:
        said.append(
            f"The volume is only {thickness_um / d50.value:.1f} median particles thick: its numbers are those of this "
            "piece, not of the electrode."
        )
    if porosity is not None and porosity.low is not None and porosity.high is not None:
        if porosity.high - porosity.low > 0.1:
            said.append("The porosity is uncertain by more than +-0.05; nothing that rests on it can be sharper.")
    return said
