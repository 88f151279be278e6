"""What the phases of an electrode look like inside: distances, thickness, grey levels within particles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from .. import columns as c
from ..image import Quantity
from .electrode import ACTIVE, PORE, widen

if TYPE_CHECKING:
    import pandas as pd

NAMES = {"pore": PORE, "active": ACTIVE}
LARGEST = 300**3  # voxels beyond which local thickness and correlations are taken from the middle of the volume


@dataclass(frozen=True)
class Inner:
    """Numbers and curves of the phases.

    Parameters
    ----------
    numbers : dict of str to Quantity
        `chord_pore_z_um` and the like, `thickness_pore_um`, `thickness_active_um`, their D50.
    two_point : DataFrame
        Of the pore, see `two_point_correlation`.
    chords, thickness : mapping of str to DataFrame
        By phase: a length in um and the share of the phase per um.
    """

    numbers: dict[str, Quantity]
    two_point: pd.DataFrame
    chords: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    thickness: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """What is written as CSV."""
        import pandas as pd

        found = {"two_point": self.two_point}
        for name, curves in (("chords", self.chords), ("local_thickness", self.thickness)):
            found[name] = pd.concat([t.assign(phase=phase) for phase, t in curves.items()], ignore_index=True)
        return found


def inner(phases: np.ndarray, alternatives: Sequence[np.ndarray] = (), *, spacing: tuple[float, float, float]) -> Inner:
    """Chord lengths, two-point correlation and local thickness of pore and active material.

    Parameters
    ----------
    phases : (z, y, x) uint8 array
        0 pore, 1 active material, 2 carbon-binder.
    alternatives : sequence of (z, y, x) uint8 arrays
        The same at the ends of the threshold's interval.
    spacing : tuple of float
        um, in array order.

    Returns
    -------
    Inner
        Of volumes beyond `LARGEST` voxels local thickness and the correlation are those of the middle, and the
        method says so.
    """
    from .chords import chord_lengths
    from .thickness import local_thickness, thickness_summary
    from .two_point import two_point_correlation

    numbers: dict[str, Quantity] = {}
    chords, thick = {}, {}
    part = middle(phases.shape, largest=LARGEST)
    where = "" if part == middle(phases.shape, largest=phases.size) else "; of the middle of the volume"
    for name, phase in NAMES.items():
        for axis in range(3):
            at = [chord_lengths(p == phase, spacing=spacing, axis=axis) for p in (phases, *alternatives)]
            numbers[f"chord_{name}_{'zyx'[axis]}_um"] = widen(at[0].mean, [a.mean.value for a in at[1:]])
            if axis == 0:
                chords[name] = _per_um(at[0].table["length_um"], at[0].table["share"], spacing[0])
        fields = [local_thickness(p[part] == phase, spacing=spacing) for p in (phases, *alternatives)]
        summaries = [thickness_summary(t, spacing=spacing) for t in fields]
        for key, suffix in (("mean_um", ""), ("d50_um", "_d50")):
            q = widen(summaries[0][key], [s[key].value for s in summaries[1:]])
            numbers[f"thickness_{name}{suffix}_um"] = replace(q, method=q.method + where)
        thick[name] = _histogram(fields[0], max(spacing))
    return Inner(numbers, two_point_correlation(phases[part] == PORE, spacing=spacing), chords, thick)


def middle(shape: Sequence[int], *, largest: int) -> tuple[slice, ...]:
    """Return the slices of the middle part of a volume that holds about `largest` voxels; all of a smaller one.

    The first axis, through the thickness, is shortened last.
    """
    shape = list(shape)
    kept = list(shape)
    while np.prod(kept, dtype=float) > largest:
        axis = 1 + int(np.argmax(kept[1:])) if max(kept[1:]) > kept[0] / 4 else 0
        kept[axis] = max(1, int(kept[axis] * 0.9))
    return tuple(slice((n - k) // 2, (n - k) // 2 + k) for n, k in zip(shape, kept, strict=True))


def _per_um(lengths, share, step):
    import pandas as pd

    if len(lengths) == 0:
        return pd.DataFrame({"length_um": np.zeros(0), "share_per_um": np.zeros(0)})
    return pd.DataFrame({"length_um": np.asarray(lengths), "share_per_um": np.asarray(share) / step})


def _histogram(thickness, step):
    values = thickness[(thickness > 0) & np.isfinite(thickness)]
    if values.size == 0:
        return _per_um([], [], step)
    edges = np.arange(0, values.max() + 1.5 * step, step)
    counts, _ = np.histogram(values, edges)
    return _per_um((edges[:-1] + edges[1:]) / 2, counts / counts.sum(), step).rename(
        columns={"length_um": "thickness_um"}
    )


def crack_numbers(table: pd.DataFrame, *, rng: np.random.Generator | int = 0) -> dict[str, Quantity]:
    """Return the share of particles with a crack and the mean volume share of cracks, with bootstrap intervals.

    Parameters
    ----------
    table : DataFrame
        From `solid_particles` joined with `cracks`: `crack_fraction`, `n_cracks`, `touches_edge`.
    rng : Generator or int
    """
    from .summary import mean_and_sd

    whole = table[~table[c.TOUCHES_EDGE] & np.isfinite(table["crack_fraction"])]
    mean = mean_and_sd(whole["crack_fraction"].to_numpy(float), rng=rng)["mean"]
    return {"crack_fraction_mean": mean, "cracked_share": _share(int((whole["n_cracks"] > 0).sum()), len(whole))}


def _share(k: int, n: int, z: float = 1.96) -> Quantity:
    """Return the share k of n with Wilson's interval."""
    method = "whole particles with a crack, Wilson's interval"
    if n == 0:
        return Quantity(np.nan, n=0, method=method, warning="no particle is whole")
    p = k / n
    middle, half = (p + z * z / (2 * n)), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = ((middle + sign * half) / (1 + z * z / n) for sign in (-1, 1))
    return Quantity(p, float(max(low, 0)), float(min(high, 1)), n=n, method=method)


@dataclass(frozen=True)
class GreyLevels:
    """Histogram of a volume and the grey levels of its pure phases.

    Parameters
    ----------
    histogram : (edges, density)
    pore, active : float
    """

    histogram: tuple[np.ndarray, np.ndarray]
    pore: float
    active: float


def grey_levels(grey: np.ndarray, *, pore: float, active: float, bins: int = 256) -> GreyLevels:
    """Return the density of grey values, spanning the 0.05th to the 99.95th percentile.

    Parameters
    ----------
    grey : (z, y, x) array
        NaN are left out.
    pore, active : float
        Grey levels of the pure phases.
    bins : int
    """
    values = np.asarray(grey, np.float32).ravel()
    values = values[np.isfinite(values)]
    low, high = np.percentile(values[:: max(1, values.size // 2_000_000)], [0.05, 99.95])
    density, edges = np.histogram(values, bins=bins, range=(float(low), float(high) or 1.0), density=True)
    return GreyLevels((edges, density), float(pore), float(active))
