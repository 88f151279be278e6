"""Do particles that move more differ in their chemistry? Rank correlations with honest intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..image import Quantity

if TYPE_CHECKING:
    import pandas as pd

LEAST = 5
TELLING = 10
MEASURED = "measured"


def motion_amplitude(motion: pd.DataFrame) -> pd.DataFrame:
    """How much each particle moves by itself, the motion common to all taken off.

    Parameters
    ----------
    motion : DataFrame
        Columns `particle`, `frame`, `dy_px`, `dx_px` and, where known, `sigma_px` and `status` (only "measured"
        counts).

    Returns
    -------
    DataFrame
        Index `particle`; `motion_rms_px`: root mean square distance from the particle's own mean place, after the
        median displacement over particles of each frame is taken off and the variance of the position error with it;
        `path_px`: length of the way from frame to frame; `n_frames`.
    """
    import pandas as pd

    table = motion[motion["status"] == MEASURED] if "status" in motion else motion
    table = table[np.isfinite(table["dy_px"]) & np.isfinite(table["dx_px"])]
    d = table[["dy_px", "dx_px"]] - table.groupby("frame")[["dy_px", "dx_px"]].transform("median")
    d = d.assign(particle=table["particle"], frame=table["frame"])
    d["sigma"] = table["sigma_px"] if "sigma_px" in table else 0.0
    rows = []
    for particle, own in d.sort_values("frame").groupby("particle"):
        yx = own[["dy_px", "dx_px"]].to_numpy()
        noise = 2 * float(np.nanmean(own["sigma"] ** 2)) if own["sigma"].notna().any() else 0.0
        square = float(((yx - yx.mean(0)) ** 2).sum(1).mean())
        path = float(np.hypot(*np.diff(yx, axis=0).T).sum()) if len(yx) > 1 else 0.0
        rows.append((particle, np.sqrt(max(square - noise, 0.0)), path, len(own)))
    return pd.DataFrame(rows, columns=["particle", "motion_rms_px", "path_px", "n_frames"]).set_index("particle")


def rank_correlation(
    x: np.ndarray, y: np.ndarray, *, rng: np.random.Generator, n_boot: int = 2000, level: float = 0.95
) -> Quantity:
    """Spearman's correlation of two properties of particles with a bootstrap interval.

    Parameters
    ----------
    x, y : (n,) arrays
        Pairs with a NaN are left out.
    rng : Generator
    n_boot : int
        Resamples of particles.
    level : float

    Returns
    -------
    Quantity
        NaN with fewer than 5 particles or when one side does not vary; a warning below 10.
    """
    from scipy.stats import rankdata

    x, y = (np.asarray(v, float).reshape(-1) for v in (x, y))
    both = np.isfinite(x) & np.isfinite(y)
    x, y, n = x[both], y[both], int(both.sum())
    how = "Spearman, bootstrap over particles"
    if n < LEAST or np.ptp(x) == 0 or np.ptp(y) == 0:
        why = (
            f"not resolved: {n} particles, five are needed" if n < LEAST else "not resolved: one of the two is constant"
        )
        return Quantity(np.nan, level=level, n=n, method=how, warning=why)
    r = float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])
    pick = rng.integers(0, n, (n_boot, n))
    a, b = rankdata(x[pick], axis=1), rankdata(y[pick], axis=1)
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        rs = (a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1))
    low, high = np.quantile(rs[np.isfinite(rs)], [(1 - level) / 2, (1 + level) / 2])
    warning = f"{n} particles say little about a correlation" if n < TELLING else None
    return Quantity(r, float(low), float(high), level=level, n=n, method=how, warning=warning)
