"""What a library of particles measures as a whole, with the scatter between particles as its error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..image import Quantity

if TYPE_CHECKING:
    import pandas as pd

N_BOOT = 500
FEW = 5  # particles, below which there is no interval


def over_particles(
    values: np.ndarray,
    particle: np.ndarray,
    *,
    statistic: str = "mean",
    unit: str = "",
    rng: np.random.Generator | int = 0,
) -> Quantity:
    """Mean or median over grains, with an interval from resampling whole particles.

    Parameters
    ----------
    values : (n,) array
        One number a grain; NaN is left out.
    particle : (n,) array
        Which particle each belongs to: grains of one particle are not independent.
    statistic : {"mean", "median"}
    unit : str
    rng : Generator or int

    Returns
    -------
    Quantity
        NaN without values; no interval below five particles.
    """
    if statistic not in ("mean", "median"):
        raise InputError(f'`statistic` must be "mean" or "median", got {statistic!r}.')
    values, particle = np.asarray(values, float), np.asarray(particle)
    good = np.isfinite(values)
    order = np.argsort(values[good], kind="stable")
    sorted_, (names, which) = values[good][order], np.unique(particle[good][order], return_inverse=True)
    n = len(names)
    said = f"{statistic} over grains; interval: bootstrap over {n} particles"
    if not n:
        return Quantity(float("nan"), n=0, unit=unit, method=said, warning="there is no grain with this number")

    def weighed(weight):
        if statistic == "mean":
            return float(np.sum(weight * sorted_) / np.sum(weight))
        return float(sorted_[min(np.searchsorted(np.cumsum(weight), weight.sum() / 2), len(sorted_) - 1)])

    value = weighed(np.ones(len(sorted_)))
    if n < FEW:
        return Quantity(value, n=n, unit=unit, method=f"{statistic} over grains; {n} particles give no interval")
    rng = np.random.default_rng(rng)
    draws = [weighed(np.bincount(rng.integers(0, n, n), minlength=n)[which].astype(float)) for _ in range(N_BOOT)]
    # percentiles are too narrow for few particles: as Student's t asks for n (Hesterberg 2015)
    low, high = np.quantile(draws, _expanded(n))
    return Quantity(value, low=float(low), high=float(high), n=n, unit=unit, method=said)


def _expanded(n: int) -> tuple[float, float]:
    from scipy import stats

    tail = float(stats.norm.cdf(-np.sqrt(n / (n - 1)) * stats.t.ppf(0.975, n - 1)))
    return tail, 1 - tail


def library_numbers(particles: pd.DataFrame, grains: pd.DataFrame) -> dict[str, Quantity]:
    """Return the numbers of a library.

    Parameters
    ----------
    particles, grains : DataFrame
        One row a particle (index `particle`) and one a grain (with a column `particle`), as `particles generate`
        writes them.
    """
    n = len(particles)
    own = particles.index.to_numpy()

    def particle(column, statistic="mean", unit=""):
        q = over_particles(particles[column].to_numpy(), own, statistic=statistic, unit=unit)
        return Quantity(
            q.value, q.low, q.high, n=n, unit=unit, method=q.method.replace("over grains", "over particles")
        )

    def grain(column, statistic="mean", unit=""):
        return over_particles(grains[column].to_numpy(), grains["particle"].to_numpy(), statistic=statistic, unit=unit)

    voxels = particles["volume_um3"].sum()
    loose = float((particles["fragment_share"] * particles["volume_um3"]).sum() / voxels) if voxels else float("nan")
    tried = int(particles["shells_tried"].sum())
    return {
        "n_particles": Quantity(n, n=n, method="drawn from the model"),
        "n_grains": Quantity(len(grains), n=n, method="in all particles"),
        "d50_um": particle("diameter_um", "median", "um"),
        "volume_um3": particle("volume_um3", unit="um3"),
        "sphericity": particle("sphericity"),
        "aspect": particle("aspect"),
        "compactness": particle("compactness"),
        "grains_per_particle": particle("n_grains"),
        "grain_d50_um": grain("diameter_um", "median", "um"),
        "grain_axis_ratio": grain("axis_ratio_3d"),
        "grain_radial_ratio": grain("radial_ratio", "median"),
        "grain_alpha_deg": grain("alpha_long_deg", unit="deg"),
        "shell_acceptance": Quantity(
            n / tried if tried else float("nan"), n=tried, method="shells kept of those drawn"
        ),
        "fragment_share": Quantity(
            loose, n=n, method="share of the voxels in loose pieces of grains, given to the grains around them"
        ),
    }
