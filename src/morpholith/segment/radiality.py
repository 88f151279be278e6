"""Radial order of the grains of sections, and what it tells about how far from the centre a section passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..image import Quantity
from .sections import Section, filled_labels

if TYPE_CHECKING:
    import pandas as pd

LEAST_PIXELS = 10  # a smaller grain has no shape to speak of
LEAST_GRAINS = 20  # of a section whose height is asked for
HEIGHTS = np.linspace(0.0, 0.96, 33)  # h / R: all heights of a plane through a particle alike, but for the last caps
LOG_ASPECTS = np.linspace(-1.8, 1.8, 49)
SLOPES = np.linspace(-0.9, 0.9, 7)  # change of ln(aspect) from the centre to the outline
SCATTERS = np.geomspace(0.15, 0.8, 7)  # of ln(extent along over extent across the radius) about its mean
TEMPER = 0.25  # power of the likelihood, as no grain is an ellipsoid: intervals then hold what they say
NO_ORDER = 0.03  # spread of ln(aspect) that counts as none
SLOPE_SPREAD = 0.4  # of the prior of the slopes
NEAR, FAR = 0.5, 0.3  # a section is near the centre if h / R is surely below NEAR, off it if surely above FAR
UNTOLD = 0.6  # width of the interval of h / R above which nothing was learnt
DENSITY_DEG = np.linspace(0.0, 90.0, 91)
VERDICTS = ("near the centre", "off the centre", "between", "cannot be told")


@dataclass(frozen=True)
class Radiality:
    """Radial order of sections.

    Parameters
    ----------
    sections : DataFrame
        One row a section, in their order, index `section`: `name`, `n_grains` (those used), `order` (mean of cos 2
        alpha: 1 all radial, 0 none, -1 all across) and `order_low`, `order_high`; `stretch` (geometric mean of the
        extent along over that across the radius) and `stretch_low`, `stretch_high`; `height_share` (h / R, median)
        and `height_share_low`, `height_share_high`; `height_um` and its interval; `verdict`, one of `VERDICTS`.
    angles_deg : (a,) array
    density : (s, a) array
        Densities of alpha per degree over `angles_deg`, one row a section (paper 001, Fig. 2); NaN without grains.
    order, stretch, aspect : Quantity
        Of all sections together; `aspect` is that of the model in the notes, halfway to the outline.
    verdict : {"radial", "tangential", "no radial structure"}
    warnings : tuple of str
    """

    sections: pd.DataFrame
    angles_deg: np.ndarray
    density: np.ndarray
    order: Quantity
    stretch: Quantity
    aspect: Quantity
    verdict: str
    warnings: tuple[str, ...] = ()


def radiality(
    sections: Sequence[Section], *, rng: np.random.Generator, level: float = 0.9, n_boot: int = 400
) -> Radiality:
    """Measure the radial order of the grains of sections, and how far from the centre each may pass.

    Parameters
    ----------
    sections : sequence of Section
        Of particles of one kind. Missing pixels are given to the nearest grain.
    rng : Generator
        For the bootstrap.
    level : float
        Of the intervals.
    n_boot : int

    Returns
    -------
    Radiality
        With NaN for sections without grains.

    Raises
    ------
    InputError
        No section, or a level outside 0 to 1.

    Notes
    -----
    alpha is that of Eq. 4. Its density is a kernel estimate with Gaussian kernels reflected at 0 and 90 degrees and
    Silverman's bandwidth. Intervals of `order` and `stretch` are percentiles of a bootstrap over grains.

    Heights: a grain whose extent along the radius is `a` times that across it, cut by a plane at height h at a distance
    rho from the section's centre, shows ln(stretch) = -1/2 ln(1 - (1 - 1/a^2) rho^2 / (rho^2 + h^2)), the section of an
    ellipsoid. ln a changes linearly with the distance from the centre of the particle, alike in all sections; scatter
    follows Student's t with 5 degrees of freedom; R^2 = h^2 + (radius of the section)^2. The posterior of each h / R on
    [0, 0.96] is computed on a grid, flat beforehand. Half of the prior of ln a (halfway to the outline) is at 0 within
    0.03, the other half normal with 0.6; its change is normal with 0.4. So a section that shows less order than the
    others, or order that grows outwards more than theirs, is off the centre. A single section off the centre can be
    taken for a central one of grains that get longer outwards; without radial order nothing can be told.
    Grains nearer to the centre than a mean diameter, with fewer than 10 pixels or at the outline are left out.
    """
    import pandas as pd

    sections = list(sections)
    if not sections:
        raise InputError("radial order needs at least one section, got none.")
    if not 0 < level < 1:
        raise InputError(f"`level` must lie between 0 and 1, got {level!r}.")
    tables = [_shapes(one) for one in sections]
    rows = []
    for one, table in zip(sections, tables, strict=True):
        turned = np.cos(2 * np.deg2rad(table["alpha_deg"].to_numpy()))
        order = _mean_interval(turned[np.isfinite(turned)], rng, n_boot, level)
        stretch = np.exp(_mean_interval(table["log_stretch"].to_numpy(), rng, n_boot, level))
        rows.append([one.name, len(table), *order, *stretch])
    names = ["name", "n_grains", *_three("order"), *_three("stretch")]
    summary = pd.DataFrame(rows, columns=names, index=pd.RangeIndex(len(sections), name="section"))
    density = np.stack([alpha_density(t["alpha_deg"].to_numpy(), DENSITY_DEG) for t in tables])
    everyone = pd.concat(tables)
    total = np.exp(_mean_interval(everyone["log_stretch"].to_numpy(), rng, n_boot, level))
    turned = np.cos(2 * np.deg2rad(everyone["alpha_deg"].to_numpy()))
    order = _mean_interval(turned[np.isfinite(turned)], rng, n_boot, level)
    shares, aspect = _heights(sections, tables, level)
    told = max(aspect[1], 1 / aspect[2]) > np.exp(2 * NO_ORDER)
    verdict = "no radial structure" if not told else "radial" if aspect[0] > 1 else "tangential"
    _add_heights(summary, sections, shares, told)
    words = [] if told else ["the grains show no radial structure: which sections are central cannot be told."]

    def quantity(three, method):
        value, low, high = (float(v) for v in three)
        return Quantity(value, low, high, level=level, n=len(everyone), method=method)

    return Radiality(
        summary,
        DENSITY_DEG,
        density,
        quantity(order, "mean of cos 2 alpha, bootstrap over grains"),
        quantity(total, "geometric mean, bootstrap over grains"),
        quantity(aspect, "posterior over sections, grains halfway out"),
        verdict,
        tuple(words),
    )


def alpha_density(alpha_deg: np.ndarray, at_deg: np.ndarray, *, bandwidth_deg: float | None = None) -> np.ndarray:
    """Return the density of angles between 0 and 90 degrees, with kernels reflected at both ends.

    Parameters
    ----------
    alpha_deg : (n,) array
        NaN is left out.
    at_deg : (a,) array
    bandwidth_deg : float, optional
        Silverman's 0.9 min(sd, IQR / 1.34) n^(-1/5) by default, at least 1 degree.

    Returns
    -------
    (a,) array
        Per degree; integrates to 1 over 0 to 90. NaN without angles.
    """
    alpha = np.asarray(alpha_deg, float)
    alpha = alpha[np.isfinite(alpha)]
    at = np.asarray(at_deg, float)
    if len(alpha) == 0:
        return np.full(len(at), np.nan)
    if bandwidth_deg is None:
        iqr = float(np.subtract(*np.quantile(alpha, [0.75, 0.25]))) / 1.34
        bandwidth_deg = max(1.0, 0.9 * min(float(alpha.std()), iqr) * len(alpha) ** -0.2)
    out = np.zeros(len(at))
    for image in (alpha, -alpha, 180.0 - alpha):
        out += np.exp(-0.5 * ((at[:, None] - image) / bandwidth_deg) ** 2).sum(1)
    return out / (len(alpha) * bandwidth_deg * np.sqrt(2 * np.pi))


def _three(name) -> list[str]:
    return [name, f"{name}_low", f"{name}_high"]


def _shapes(section) -> pd.DataFrame:
    """Shapes of the grains that can say something, with `log_stretch`."""
    from ..measure import grain_shapes

    labels, step = filled_labels(section), section.step_um
    centre = section.centre_px[0] * step, section.centre_px[1] * step
    table = grain_shapes(labels, spacing=step, centre_um=centre)
    away = table["distance_um"] > (table["diameter_um"].mean() if len(table) else 0.0)
    keep = away & (table["n_pixels"] >= LEAST_PIXELS) & ~table.index.isin(_at_outline(labels))
    table = table[keep].copy()
    alpha = np.deg2rad(table["alpha_deg"].fillna(45.0))
    along = table["elongation"] * np.cos(alpha) ** 2 + np.sin(alpha) ** 2
    across = table["elongation"] * np.sin(alpha) ** 2 + np.cos(alpha) ** 2
    table["log_stretch"] = np.log(along / across) / 2
    return table


def _at_outline(labels) -> np.ndarray:
    """Numbers of the grains with a pixel next to one outside, or at the edge of the image."""
    wide = np.pad(labels, 1)
    core = wide[1:-1, 1:-1]
    bare = (wide[:-2, 1:-1] == 0) | (wide[2:, 1:-1] == 0) | (wide[1:-1, :-2] == 0) | (wide[1:-1, 2:] == 0)
    return np.unique(core[bare & (core > 0)])


def _mean_interval(values, rng, n_boot, level) -> np.ndarray:
    """Mean and its bootstrap interval, NaN without values."""
    if len(values) == 0:
        return np.full(3, np.nan)
    if len(values) == 1:
        return np.array([values[0], np.nan, np.nan])
    means = [values[rng.integers(0, len(values), len(values))].mean() for _ in range(n_boot)]
    return np.array([values.mean(), *np.quantile(means, [(1 - level) / 2, (1 + level) / 2])])


def _heights(sections, tables, level) -> tuple[np.ndarray, np.ndarray]:
    """Median and interval of h / R of each section, (s, 3), and of the aspect, from a posterior on a grid."""
    logs = [
        _log_likelihood(t["log_stretch"].to_numpy(), t["distance_um"].to_numpy(), one.radius_um)
        for one, t in zip(sections, tables, strict=True)
    ]
    prior = 0.5 * _normal(LOG_ASPECTS, NO_ORDER) + 0.5 * _normal(LOG_ASPECTS, 0.6)
    prior = np.log(prior[:, None, None] * _normal(SLOPES, SLOPE_SPREAD)[:, None])
    heights = [np.logaddexp.reduce(one, axis=2) for one in logs]  # over (aspect, slope, scatter)
    together = np.sum(heights, axis=0) + prior
    shares = np.empty((len(sections), 3))
    cuts = [0.5, (1 - level) / 2, (1 + level) / 2]
    for k, one in enumerate(logs):
        joint = one + (together - heights[k])[:, :, None]
        shares[k] = _quantiles(HEIGHTS, np.exp(joint - joint.max()).sum((0, 1, 3)), cuts)
    weight = np.exp(together - together.max()).sum((1, 2))
    return shares, np.exp(_quantiles(LOG_ASPECTS, weight, cuts))


def _log_likelihood(stretch, distance, radius) -> np.ndarray:
    """Logarithm of the likelihood of a section over (aspect, slope, h / R, scatter), but for a constant."""
    out = np.zeros((len(LOG_ASPECTS), len(SLOPES), len(HEIGHTS), len(SCATTERS)))
    if len(stretch) < LEAST_GRAINS or not radius > 0:
        return out
    particle = radius / np.sqrt(1 - HEIGHTS**2)
    squared = distance**2 + (particle * HEIGHTS)[:, None] ** 2  # distance from the centre of the particle
    lying = distance**2 / squared
    outwards = np.sqrt(squared) / particle[:, None] - 0.5
    for i, log_aspect in enumerate(LOG_ASPECTS):
        for j, slope in enumerate(SLOPES):
            flat = np.exp(-2 * (log_aspect + slope * outwards))
            off = (stretch + 0.5 * np.log(1 - (1 - flat) * lying)) ** 2
            for k, scatter in enumerate(SCATTERS):
                out[i, j, :, k] = -3 * np.log1p(off / (5 * scatter**2)).sum(1) - len(stretch) * np.log(scatter)
    return TEMPER * out


def _normal(x, spread) -> np.ndarray:
    return np.exp(-0.5 * (x / spread) ** 2) / np.exp(-0.5 * (x / spread) ** 2).sum()


def _quantiles(values, weight, cuts) -> np.ndarray:
    """Quantiles of a density given on a grid of equal steps."""
    total = np.concatenate([[0.0], np.cumsum(weight)])
    half = (values[1] - values[0]) / 2
    edges = np.concatenate([values - half, [values[-1] + half]])
    return np.clip(np.interp(cuts, total / total[-1], edges), values[0], values[-1])


def _add_heights(summary, sections, shares, told) -> None:
    """Add the columns of heights and the verdicts to the table of sections."""
    radius = np.array([one.radius_um for one in sections])[:, None]
    heights = radius * shares / np.sqrt(1 - shares**2)
    summary[_three("height_share")] = shares
    summary[_three("height_um")] = heights
    wide = shares[:, 2] - shares[:, 1] > UNTOLD
    unknown = wide | (summary.n_grains < LEAST_GRAINS).to_numpy() | (not told)
    near, far = shares[:, 2] < NEAR, shares[:, 1] > FAR
    summary["verdict"] = np.select([unknown, near, far], [VERDICTS[3], VERDICTS[0], VERDICTS[1]], VERDICTS[2])
