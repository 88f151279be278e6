"""Descriptors of a powder with standard errors that need no bootstrap: for what is called thousands of times."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .. import columns as c
from ..errors import InputError
from ._bootstrap import bandwidth
from .powder import frame_weights

if TYPE_CHECKING:
    import pandas as pd

PRIOR_IMAGES = 4.0  # images' worth of belief that particles of one image are no more alike than those of two
PERCENTILE = re.compile(r"d(\d\d)_um")


class Estimate(NamedTuple):
    """A descriptor: its value, its standard error, and the number of images that it rests on."""

    value: float
    se: float
    images: int


def clustered_descriptors(
    table: pd.DataFrame, *, frames: Mapping[str, tuple[float, float]], names: Sequence[str]
) -> dict[str, Estimate]:
    r"""Return descriptors as `describe` computes them, each with its standard error, images being the unit.

    Parameters
    ----------
    table : DataFrame
        Particles of all fields (`field`) with a column ``image``.
    frames : mapping of image name to (H, W) in um
        Every field that was looked at.
    names : sequence of str
        ``d50_um`` or another percentile of the diameter by number; ``<column>_mean`` and ``<column>_sd`` of a column
        of the table, such as ``circularity_mean``. Circularity rests on particles that lie free and whole.

    Returns
    -------
    dict of str to Estimate
        NaN and 0 images where no particle can be used. The standard error is NaN for a single particle.

    Raises
    ------
    InputError
        A name is none of these.

    Notes
    -----
    With m images of n particles, the jackknife that leaves out an image has the variance
    $V_b = \frac{m-1}{m} \sum_g (\theta_{(g)} - \bar\theta)^2$, right however alike the particles of an image are, but
    it rests on m - 1 numbers; the jackknife that leaves out a particle, $V_w$, takes all particles as independent. The
    variance here is $((m - 1) V_b + 4 V_w) / (m + 3)$, so that a single image has an error as well. A percentile,
    for which leaving out one particle says little, is linearised: particle i moves it by
    $w_i (q - 1[x_i \le x_q]) / f(x_q)$, f the kernel density of ln d.

    On a virtual campaign, differences between two sets of one or three images of a condition are 0.9 to 1.2 times as
    wide as these errors say, 1.5 times for the texture of single images that show one to three particles.
    """
    image = table[c.IMAGE].to_numpy().astype(str)
    free = (table[c.REJECTED] == "").to_numpy()
    out = {}
    for name in names:
        percentile = PERCENTILE.fullmatch(name)
        if percentile:
            out[name] = _percentile(table, image, frames, int(percentile[1]) / 100)
            continue
        column, kind = _column(table, name)
        x = table[column].to_numpy(float)
        used = np.isfinite(x) & (free if column == c.CIRCULARITY else True)
        out[name] = _moment(x[used], image[used], kind)
    return out


def _column(table, name):
    column, _, kind = name.rpartition("_")
    if kind in ("mean", "sd") and column in table:
        return column, kind
    raise InputError(
        f"descriptor {name!r} is not known; give a percentile such as 'd50_um', or '<column>_mean' or '<column>_sd' "
        f"of a number of every particle, such as '{c.CIRCULARITY}_mean' or '{c.TEXTURE}_sd'."
    )


def _moment(x, image, kind):
    """Mean or SD of (n,) values with its jackknife error."""
    if len(x) == 0:
        return Estimate(np.nan, np.nan, 0)
    group = np.unique(image, return_inverse=True)[1]
    centred = x - x.mean()
    sums = np.stack([np.ones(len(x)), centred, centred**2])
    by_image = np.stack([np.bincount(group, s) for s in sums])
    whole = sums.sum(axis=1, keepdims=True)
    statistic = _sd if kind == "sd" else _mean
    value = float(statistic(whole)[0])
    within, between = (_jackknife(statistic(whole - s)) for s in (sums, by_image))
    m = by_image.shape[1]
    return Estimate(value + (float(x.mean()) if kind == "mean" else 0.0), _blended(within, between, m), m)


def _mean(sums):
    """Mean from (count, sum, sum of squares); NaN of nothing."""
    return np.where(sums[0] > 0, sums[1] / np.maximum(sums[0], 1), np.nan)


def _sd(sums):
    n = np.maximum(sums[0], 2)
    return np.where(sums[0] > 1, np.sqrt(np.maximum(sums[2] - sums[1] ** 2 / n, 0.0) / (n - 1)), np.nan)


def _jackknife(left_out):
    """Variance from the statistic with one unit left out; NaN where there is none without a unit."""
    m = len(left_out)
    return float((m - 1) / m * ((left_out - left_out.mean()) ** 2).sum()) if m > 1 else np.nan


def _percentile(table, image, frames, q):
    """Percentile of the diameter by number with its linearised error."""
    weights = frame_weights(table, frames)
    used = weights > 0
    if not used.any():
        return Estimate(np.nan, np.nan, 0)
    logs, w = np.log(table[c.SIZE].to_numpy()[used]), weights[used]
    order = np.argsort(logs, kind="stable")
    total = np.cumsum(w[order])
    middle = float(np.interp(q, (total - 0.5 * w[order]) / total[-1], logs[order]))
    group = np.unique(image[used], return_inverse=True)[1]
    n, m = len(logs), int(group.max()) + 1
    width = bandwidth(logs)
    if n < 2 or width == 0:
        return Estimate(float(np.exp(middle)), np.nan, m)
    density = (w * np.exp(-0.5 * ((logs - middle) / width) ** 2)).sum() / (np.sqrt(2 * np.pi) * width)
    moved = np.exp(middle) * w * (q - (logs <= middle)) / density
    within = n / (n - 1) * float((moved**2).sum())
    between = m / (m - 1) * float((np.bincount(group, moved) ** 2).sum()) if m > 1 else np.nan
    return Estimate(float(np.exp(middle)), _blended(within, between, m), m)


def _blended(within, between, m):
    """Standard error from the variance between `m` images and the one between particles."""
    if not np.isfinite(between):
        return float(np.sqrt(within))
    return float(np.sqrt(((m - 1) * between + PRIOR_IMAGES * within) / (m - 1 + PRIOR_IMAGES)))
