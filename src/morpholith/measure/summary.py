"""Mean and standard deviation of a descriptor over the particles of a condition."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import InputError
from ..image import Quantity
from . import _bootstrap

LEAST = 5
FEW_IMAGES = 5
KERNEL = 0.75  # in units of Silverman's bandwidth


def mean_and_sd(
    values: Sequence[float] | np.ndarray,
    *,
    groups: Sequence | np.ndarray | None = None,
    unit: str = "",
    n_boot: int = 2000,
    rng: np.random.Generator | int = 0,
    level: float = 0.95,
) -> dict[str, Quantity]:
    """Mean and standard deviation over particles, with bootstrap intervals.

    Parameters
    ----------
    values : (n,) array
        One descriptor, say texture or circularity, of every particle. NaN (not resolved) is left out.
    groups : (n,) array, optional
        Which image each particle was seen in; images are resampled before particles.
    unit : str
    n_boot : int
    rng : Generator or int
    level : float

    Returns
    -------
    dict with `mean` and `sd`, each a Quantity. `n` counts the values that are not NaN. No value gives NaN;
    the standard deviation of one value is NaN; fewer than 5, or identical values, give no interval.

    Notes
    -----
    Percentiles of a smoothed bootstrap (three quarters of Silverman's bandwidth), widened as Student's t asks
    for n values (Hesterberg, Am. Stat. 69 (2015) 371). Of 95 % intervals, for normal and for left-skewed
    (circularity-like) values, 93 to 97 % cover the mean from n = 6 on; for the SD 84 to 86 % do at n = 6, 86
    to 91 at 10 and 90 to 96 from 20 on.
    """
    x = np.asarray(values if isinstance(values, np.ndarray) else list(values), float).reshape(-1)
    images = _images(groups, len(x))
    if np.isinf(x).any():
        raise InputError("`values` has infinite entries; NaN marks what is not resolved.")
    kept = np.isfinite(x)
    x, images = x[kept], None if images is None else np.unique(images[kept], return_inverse=True)[1]
    n = len(x)
    value = np.array([x.mean() if n else np.nan, x.std(ddof=1) if n > 1 else np.nan])
    low = high = [None, None]
    method = "over particles"
    if n >= LEAST and np.ptp(x) > 0:
        drawn = _bootstrap.bootstrap(
            _mean_and_sd,
            x,
            np.ones(n),
            images,
            kernel=KERNEL * _bootstrap.bandwidth(x),
            n_boot=n_boot,
            rng=np.random.default_rng(rng),
        )
        tail = _expanded(level, n)
        ends = np.quantile(drawn, [tail, 1 - tail], axis=0)
        low, high = np.minimum(ends[0], value).tolist(), np.maximum(ends[1], value).tolist()
        method += f"; smoothed bootstrap, {n_boot} resamples"
    warning = _warning(x, images)
    return {
        name: Quantity(float(v), a, b, level=level, n=n, unit=unit, method=f"{name} {method}", warning=warning)
        for name, v, a, b in zip(("mean", "sd"), value, low, high, strict=True)
    }


def _mean_and_sd(x, w):
    total = w.sum(axis=1)
    mean = (w * x).sum(axis=1) / total
    variance = (w * (x - mean[:, None]) ** 2).sum(axis=1) / (total - 1)
    return np.column_stack([mean, np.sqrt(variance)])


def _expanded(level, n):
    """Tail of the percentile interval that makes it as wide as Student's t for n values."""
    from scipy.special import ndtr, stdtrit

    return float(ndtr(-np.sqrt(n / (n - 1)) * stdtrit(n - 1, 0.5 + level / 2)))


def _images(groups, n):
    if groups is None:
        return None
    groups = np.asarray(groups if isinstance(groups, np.ndarray) else list(groups)).reshape(-1)
    if len(groups) != n:
        raise InputError(f"`groups` must name the image of each value: {len(groups)} names for {n} values.")
    return groups


def _warning(x, images):
    if len(x) < LEAST:
        return f"not resolved: an interval needs {LEAST} particles, here are {len(x)}" if len(x) else "no particles"
    if np.ptp(x) == 0:
        return "not resolved: all values are identical, which tells nothing of their spread"
    m = 0 if images is None else int(images.max()) + 1
    return f"the part of the interval that lies between images rests on {m} of them" if 1 < m < FEW_IMAGES else None
