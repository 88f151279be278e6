"""How far a powder that is made may lie from what a model predicts of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..image import Quantity

if TYPE_CHECKING:
    import pandas as pd

FEWEST = 5  # left-out conditions below which they say nothing of the error
POOR_R2 = 0.5
BOUNDS = {"texture_mean": (0.0, 1.0), "circularity_mean": (0.0, 1.0)}


@dataclass(frozen=True)
class PredictionError:
    """What conditions that were left out of the training say of a descriptor's prediction.

    Attributes
    ----------
    sd : float
        Root mean square of measured less predicted, the noise of the predictions' own draws taken off. A constant
        bias counts as error. NaN where fewer than 5 conditions were left out.
    r2 : float
        1 - sum of squares of measured less predicted over that of measured less its mean; NaN where nothing varies.
    n : int
        Conditions left out.
    """

    sd: float
    r2: float
    n: int

    @property
    def poor(self) -> bool:
        """Whether the model explains less than half of how the descriptor varies over the conditions."""
        return self.r2 < POOR_R2


def prediction_error(left_out: pd.DataFrame | None, descriptor: str) -> PredictionError:
    """Return the error of a descriptor over the conditions that were left out.

    Parameters
    ----------
    left_out : DataFrame or None
        One row a condition: columns `descriptor` (measured), ``<descriptor>_drawn`` and, where it is known,
        ``<descriptor>_drawn_se``. Rows with a missing value do not count.
    descriptor : str

    Returns
    -------
    PredictionError
        NaN and 0 conditions where nothing was left out.
    """
    if left_out is None or not {descriptor, f"{descriptor}_drawn"} <= set(left_out.columns):
        return PredictionError(np.nan, np.nan, 0)
    real, drawn = left_out[descriptor].to_numpy(float), left_out[f"{descriptor}_drawn"].to_numpy(float)
    known = np.isfinite(real) & np.isfinite(drawn)
    real, apart, n = real[known], (real - drawn)[known], int(known.sum())
    if n < FEWEST:
        return PredictionError(np.nan, np.nan, n)
    noise = np.zeros(n)
    if f"{descriptor}_drawn_se" in left_out:
        noise = np.nan_to_num(left_out[f"{descriptor}_drawn_se"].to_numpy(float)[known])
    square = float(np.mean(apart**2))
    # what the draws scatter is asked for again with every prediction, and its share here may be all there is
    sd = float(np.sqrt(max(square - float(np.mean(noise**2)), 0.0)))
    spread = float(np.sum((real - real.mean()) ** 2))
    return PredictionError(sd, 1 - n * square / spread if spread > 0 else np.nan, n)


def predicted(
    descriptor: str, mean: float, se: float, n: int, *, error: PredictionError, level: float = 0.95, unit: str = ""
) -> Quantity:
    """Return a prediction with the interval in which a powder that is made and measured lies.

    Parameters
    ----------
    descriptor : str
        Texture and mean circularity stay within 0 to 1, everything else above 0.
    mean, se : float
        Of the drawn micrographs.
    n : int
        Drawn images.
    error : PredictionError
        Where it is not known the interval is that of the draws alone, and the warning says so.
    level : float
    unit : str

    Returns
    -------
    Quantity
        No interval where the standard error is not known; NaN where the mean is not.

    Notes
    -----
    mean ± t sqrt(se^2 + sd^2), with the degrees of freedom of Welch and Satterthwaite: n + 3 for the standard error
    between n images (`measure.clustered_descriptors`), and one for each condition left out.
    """
    from scipy import stats

    if not np.isfinite(mean):
        return Quantity(np.nan, n=n, unit=unit, method="drawn micrographs, measured",
                        warning="could not be measured in the drawn micrographs")  # fmt: skip
    if not np.isfinite(se):
        return Quantity(mean, n=n, unit=unit, method="drawn micrographs, measured",
                        warning="too few draws for an interval")  # fmt: skip
    known = np.isfinite(error.sd)
    width = float(np.hypot(se, error.sd) if known else se)
    freedom = n + 3.0
    if known and width > 0:
        freedom = width**4 / (se**4 / freedom + error.sd**4 / error.n)
    half = width * float(stats.t.ppf(0.5 + level / 2, freedom))
    low, high = BOUNDS.get(descriptor, (0.0, np.inf))
    told = (
        f"standard error of the draws {se:.3g} and error on {error.n} conditions left out {error.sd:.3g}"
        if known
        else f"standard error of the draws {se:.3g} alone"
    )
    return Quantity(
        mean,
        max(mean - half, low) if mean >= low else mean - half,
        min(mean + half, high) if mean <= high else mean + half,
        level=level,
        n=n,
        unit=unit,
        method=f"drawn micrographs, measured; {told}",
        warning=_cautioned(error, known),
    )


def _cautioned(error: PredictionError, known: bool) -> str | None:
    if not known:
        return "the model was not tested on conditions left out, so the interval holds the scatter of the draws alone"
    if error.poor:
        return f"the model predicts this poorly: R2 over conditions left out is {error.r2:.2f}"
    return None
