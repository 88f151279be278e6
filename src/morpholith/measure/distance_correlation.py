"""Distance correlation: zero only where two quantities do not depend on each other at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError

if TYPE_CHECKING:
    import pandas as pd

MOST = 2000  # objects compared pair by pair
EDCC, CORRECTED, P_VALUE = "distance_correlation", "squared_corrected", "p_value"


def distance_correlations(x: np.ndarray, others: np.ndarray, *, rng: np.random.Generator | int = 0) -> pd.DataFrame:
    """Distance correlation of one quantity with each of others (Szekely, Rizzo and Bakirov 2007).

    Parameters
    ----------
    x : (n,) array
    others : (n, k) array
    rng : Generator or int
        Which 2000 objects are taken where there are more.

    Returns
    -------
    DataFrame
        One row a column of `others`: `distance_correlation` (the empirical coefficient, 0 to 1; above 0 for
        independent quantities too, by about the fourth root of 1/n^2), `squared_corrected` (the square without that
        bias, around 0 for independent quantities; Szekely and Rizzo 2013), `p_value` of independence (chi-square test
        of Shen, Panda and Vogelstein 2022: valid for any distribution, slightly conservative). NaN for fewer than 4
        objects, and 0, 0, 0.32 where a quantity is constant.

    Raises
    ------
    InputError
        Shapes do not fit, or values are not finite.
    """
    import pandas as pd
    from scipy.special import chdtrc

    x, others = np.asarray(x, float), np.asarray(others, float)
    if x.ndim != 1 or others.ndim != 2 or len(others) != len(x):
        raise InputError(f"`x` must be (n,) and `others` (n, k); got {x.shape} and {others.shape}.")
    if not (np.isfinite(x).all() and np.isfinite(others).all()):
        raise InputError("distance correlation needs finite values; leave out what is NaN.")
    if len(x) > MOST:
        some = np.sort(np.random.default_rng(rng).choice(len(x), MOST, replace=False))
        x, others = x[some], others[some]
    n = len(x)
    out = np.full((others.shape[1], 3), np.nan)
    if n >= 4:
        dx = np.abs(x[:, None] - x)
        rx, own = dx.sum(0), _covariances(dx, dx, dx.sum(0), dx.sum(0))
        for k, y in enumerate(others.T):
            dy = np.abs(y[:, None] - y)
            ry = dy.sum(0)
            both, self_ = _covariances(dx, dy, rx, ry), _covariances(dy, dy, ry, ry)
            plain, unbiased = (c / np.sqrt(s) if s > 0 else 0.0 for c, s in zip(both, own * self_, strict=True))
            out[k] = np.sqrt(max(plain, 0)), unbiased, chdtrc(1, max(n * unbiased + 1, 0))
    return pd.DataFrame(out, columns=[EDCC, CORRECTED, P_VALUE])


def _covariances(a, b, ra, rb):
    """Squared distance covariance from distances and their row sums: empirical, and without bias."""
    n = len(ra)
    together, rows, all_ = np.vdot(a, b), ra @ rb, ra.sum() * rb.sum()
    return np.array(
        [
            together / n**2 - 2 * rows / n**3 + all_ / n**4,
            (together - 2 * rows / (n - 2) + all_ / ((n - 1) * (n - 2))) / (n * (n - 3)),
        ]
    )
