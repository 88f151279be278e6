"""What a grain architecture is like in 3D: sizes, axes and directions of its grains, by simulation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..measure import grain_shapes_3d
from ..progress import progress
from . import _law_regression as regression
from .architecture import Architecture
from .power_diagram import label_grid

if TYPE_CHECKING:
    import pandas as pd

    from .law_posterior import LawPosterior

MOST_VOXELS = 4_000_000
QUANTILES = {
    "diameter_um": (10, 50, 90),
    "axis_ratio_3d": (10, 50, 90),
    "elongation_3d": (50,),
    "flatness_3d": (50,),
    "radial_ratio": (10, 50, 90),
    "alpha_long_deg": (25, 50, 75),
    "alpha_short_deg": (25, 50, 75),
}


def grains_of(
    architecture: Architecture,
    *,
    radius_um: float,
    rng: np.random.Generator,
    n_grains: float = 800,
    voxels_per_grain: float = 500,
) -> pd.DataFrame:
    """Draw whole grains of a particle and measure them.

    The grains of a cone from the centre to the surface, so that every distance has its share of the volume; those
    whose centroid lies in it, whole.

    Parameters
    ----------
    architecture : Architecture
    radius_um : float
        Of the particle, a ball.
    rng : Generator
    n_grains : float
        Grains that the cone holds, about; the cone is no wider than the ball.
    voxels_per_grain : float
        Of a grain of average volume; raised where grains are thin.

    Returns
    -------
    DataFrame
        As `grain_shapes_3d`, the centre of the particle at 0. Grains of fewer than 8 voxels are left out. Empty where
        the architecture has no grain.
    """
    volume = n_grains / architecture.intensity_per_um3
    cosine = max(-1.0, 1 - 3 * volume / (2 * np.pi * radius_um**3))
    margin = min(0.7 * architecture.reach_um, 2.0 * radius_um)
    low, high = _box(cosine, radius_um, margin)
    voxel = np.cbrt(1 / architecture.intensity_per_um3 / voxels_per_grain)
    voxel = max(voxel, np.cbrt(np.prod(high - low) / MOST_VOXELS))
    shape = tuple(np.maximum(np.ceil((high - low) / voxel), 1).astype(int))
    z, y, x = (a + voxel * (np.arange(n) + 0.5) for a, n in zip(low, shape, strict=True))
    inside = _in_cone(z[:, None, None], y[:, None], x, cosine, radius_um, margin)
    reach = architecture.reach_um
    seeds, matrices, radii, power = architecture.draw(tuple(low - reach), tuple(high + reach), rng=rng)
    if len(seeds) == 0:
        return grain_shapes_3d(np.zeros((0, 0, 0), int), spacing=voxel, centre_um=(0, 0, 0))
    origin = (z[0], y[0], x[0])
    labels = label_grid(
        seeds, matrices, radii, shape=shape, spacing=voxel, origin=origin, power=power, inside=inside, threads=1
    )
    table = grain_shapes_3d(labels, spacing=voxel, centre_um=tuple(-np.array(origin)))
    for name, at in zip(("z_um", "y_um", "x_um"), origin, strict=True):
        table[name] += at
    centroid = table[["z_um", "y_um", "x_um"]].to_numpy().T
    mine = _in_cone(centroid[0], centroid[1], centroid[2], cosine, radius_um, 0.0)
    return table[mine & (table["n_voxels"].to_numpy() >= 8)]


def describe_grains(table: pd.DataFrame) -> dict[str, float]:
    """Return the numbers by which grains in 3D are compared.

    Parameters
    ----------
    table : DataFrame
        As `grain_shapes_3d` returns it.

    Returns
    -------
    dict of str to float
        Quantiles over grains, each counting once (`diameter_um_d50`, `axis_ratio_3d_q90`, ...), the median diameter
        over their volume (`diameter_um_d50_by_volume`), `volume_um3_mean`, `alpha_long_deg_mean` and the share of the
        grains whose longest axis lies within 30 degrees of the radius. NaN without grains.
    """
    found = {}
    for column, percents in QUANTILES.items():
        values = table[column].to_numpy(float)
        values = values[np.isfinite(values)]
        for percent in percents:
            letter = "d" if column == "diameter_um" else "q"
            found[f"{column}_{letter}{percent}"] = float(np.percentile(values, percent)) if len(values) else np.nan
    alpha = table["alpha_long_deg"].dropna().to_numpy(float)
    order = np.argsort(table["diameter_um"].to_numpy())
    diameter, volume = table["diameter_um"].to_numpy()[order], table["volume_um3"].to_numpy()[order]
    half = np.searchsorted(np.cumsum(volume), volume.sum() / 2)
    found["diameter_um_d50_by_volume"] = float(diameter[half]) if len(diameter) else np.nan
    found["volume_um3_mean"] = float(volume.mean()) if len(volume) else np.nan
    found["alpha_long_deg_mean"] = float(alpha.mean()) if len(alpha) else np.nan
    found["share_alpha_long_below_30"] = float((alpha < 30).mean()) if len(alpha) else np.nan
    return found


def predict_grains(
    posterior: LawPosterior,
    *,
    rng: np.random.Generator,
    radius_um: float | None = None,
    n_draws: int = 50,
    n_prior: int = 25,
    n_grains: float = 500,
) -> pd.DataFrame:
    """Predict the grains in 3D from what sections say, with intervals.

    The numbers of `describe_grains` for draws of the posterior, each of which is a particle of its own; a regression
    on the parameters takes the chance of the single simulation out and gives them for all draws.

    Parameters
    ----------
    posterior : LawPosterior
    rng : Generator
    radius_um : float, optional
        Of the particle; by default that of the prior.
    n_draws, n_prior : int
        Laws that are simulated, of the posterior and of the prior.
    n_grains : float
        In each simulation.

    Returns
    -------
    DataFrame
        Index `quantity`: `median`, `low`, `high` (95 %), `prior_low`, `prior_high` (95 % of the prior), `width`
        (share of the prior's interval that is left open), `identifiable` ("yes" below 0.5, "weakly" below 0.85, else
        "no").
    """
    import pandas as pd
    from scipy.special import ndtri

    radius = radius_um or posterior.prior.radius_um
    chosen = rng.choice(len(posterior.unit), size=n_draws, p=posterior.weights)
    unit = np.vstack([posterior.unit[chosen], rng.uniform(size=(n_prior, posterior.unit.shape[1]))])
    made = [
        describe_grains(grains_of(law, radius_um=radius, rng=rng, n_grains=n_grains if k < n_draws else n_grains / 4))
        for k, law in enumerate(progress(posterior.prior.laws(unit), total=len(unit), label="simulating grains in 3D"))
    ]
    table = pd.DataFrame(made)
    values = table.to_numpy(float)
    own = np.nan_to_num(values[:n_draws], nan=np.nanmedian(values[:n_draws]))
    z = ndtri(unit[:n_draws])
    middle, width = z.mean(0), z.std(0) + 1e-9

    def features(at):
        x = (ndtri(at) - middle) / width
        return np.hstack([x, x**2 / 2])

    emulated = regression.ridge(features(unit[:n_draws]), own)(features(posterior.unit))
    # as sure as the simulations, no farther than they reach
    emulated = np.clip(emulated, own.min(0), own.max(0))
    low, median, high = regression.weighted_quantile(emulated, posterior.weights, (0.025, 0.5, 0.975))
    prior_low, prior_high = np.nanquantile(values[n_draws:], (0.025, 0.975), axis=0)
    # of the prior's range, what the interval leaves open: nothing where it lies beyond
    left = np.minimum(high, prior_high) - np.maximum(low, prior_low)
    share = np.maximum(left, 0) / np.maximum(prior_high - prior_low, 1e-12)
    words = np.where(share < 0.5, "yes", np.where(share < 0.85, "weakly", "no"))
    columns = {
        "median": median, "low": low, "high": high, "prior_low": prior_low, "prior_high": prior_high, "width": share,
        "identifiable": words,
    }  # fmt: skip
    return pd.DataFrame(columns, index=pd.Index(table.columns, name="quantity"))


def _box(cosine, radius, margin):
    """Corners of the box around the cone and its margin; its axis is the first one."""
    across = radius if cosine <= 0 else radius * np.sqrt(1 - cosine**2)
    low = np.array([min(0.0, radius * cosine), -across, -across]) - margin
    return low, np.array([radius, across, across]) + margin


def _in_cone(z, y, x, cosine, radius, margin):
    """Tell which places lie in the cone or within the margin of it."""
    if not np.isfinite([cosine, radius]).all() or radius <= 0:
        raise InputError(f"`radius_um` must be a positive number, got {radius!r}.")
    across = np.hypot(y, x)
    sine = np.sqrt(max(0.0, 1 - cosine**2))
    within = z**2 + across**2 <= (radius + margin) ** 2
    if cosine <= -1:
        return within
    return within & ((across * cosine - z * sine <= margin) | (z**2 + across**2 <= margin**2))
