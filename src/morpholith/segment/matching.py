"""How well one label image agrees with another: who is who, counts, precision, recall, panoptic quality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .. import _checks
from ..errors import InputError

if TYPE_CHECKING:
    import pandas as pd

THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


@dataclass(frozen=True)
class Matching:
    """One-to-one agreement of found labels with true ones at one IoU threshold.

    A ratio with nothing below the bar is NaN: `precision` when nothing was found, `recall` when there was
    nothing to find, `f1` and `panoptic_quality` when both are empty, `mean_iou` when nothing matched.

    Parameters
    ----------
    iou : float
        Threshold a pair has to reach.
    tp, fp, fn : int
        Matched pairs, found labels without a true one, true labels without a found one.
    precision, recall, f1 : float
        tp / (tp + fp), tp / (tp + fn), 2 tp / (2 tp + fp + fn).
    mean_iou : float
        Mean IoU of the matched pairs.
    panoptic_quality : float
        Sum of matched IoU / (tp + fp/2 + fn/2) (Kirillov et al., CVPR 2019, Eq. 1).
    pairs : DataFrame
        Matched pairs: ``truth``, ``label``, ``iou``; sorted by ``truth``.
    """

    iou: float
    tp: int
    fp: int
    fn: int
    precision: float
    recall: float
    f1: float
    mean_iou: float
    panoptic_quality: float
    pairs: pd.DataFrame


def iou_table(truth: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    """Return every overlapping pair of a true and a found label with its intersection over union.

    Parameters
    ----------
    truth, labels : (y, x) or (z, y, x) int array
        Label images of one shape; 0 is background and belongs to no pair. Numbers need not be consecutive.

    Returns
    -------
    DataFrame
        One row a pair that shares at least a pixel: ``truth``, ``label``, ``intersection_px``, ``iou``;
        sorted by ``truth`` and ``label``. Empty when nothing overlaps.

    Raises
    ------
    InputError
        When the images differ in shape or are no label images.
    """
    import pandas as pd

    overlap = _overlap(truth, labels)
    return pd.DataFrame(
        {
            "truth": overlap.truth_ids[overlap.rows],
            "label": overlap.label_ids[overlap.columns],
            "intersection_px": overlap.intersection,
            "iou": overlap.iou,
        }
    )


def match(truth_labels: np.ndarray, labels: np.ndarray, *, iou: float = 0.5) -> Matching:
    """Pair found labels with true ones, each at most once: as many pairs as possible, then the best of them.

    Above IoU 0.5 the pairing is unique; at 0.5 and below the optimal assignment is solved.

    Parameters
    ----------
    truth_labels, labels : (y, x) or (z, y, x) int array
        Label images of one shape; 0 is background. Their numbering does not matter.
    iou : float
        A pair counts when its intersection over union is at least this, in (0, 1].

    Returns
    -------
    Matching

    Raises
    ------
    InputError
        When the images differ in shape or are no label images, or `iou` is outside (0, 1].
    """
    overlap = _overlap(truth_labels, labels)
    return _matching(overlap, _threshold(iou))


def average_precision(truth_labels: np.ndarray, labels: np.ndarray, *, iou: Sequence[float] = THRESHOLDS) -> np.ndarray:
    """Return tp / (tp + fp + fn) at each IoU threshold; its mean is the usual single figure.

    Without confidences there is no precision-recall curve: this is the form common for instance
    segmentation in microscopy (Caicedo et al., Nat. Methods 16, 1247 (2019)).

    Parameters
    ----------
    truth_labels, labels : (y, x) or (z, y, x) int array
        Label images of one shape; 0 is background.
    iou : sequence of float
        Thresholds, each in (0, 1].

    Returns
    -------
    (n,) float array
        One value a threshold; NaN throughout when both images are empty.

    Raises
    ------
    InputError
        As `match`.
    """
    overlap = _overlap(truth_labels, labels)
    scores = (_matching(overlap, _threshold(t)) for t in iou)
    return np.array([_ratio(m.tp, m.tp + m.fp + m.fn) for m in scores], float)


@dataclass(frozen=True)
class _Overlap:
    """Sparse table of the pairs that share pixels: indices into the two lists of label numbers."""

    truth_ids: np.ndarray
    label_ids: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    intersection: np.ndarray
    iou: np.ndarray


def _overlap(truth, labels):
    truth = _checks.labels(truth, name="truth_labels", ndim=(2, 3))
    labels = _checks.labels(labels, ndim=(2, 3))
    if truth.shape != labels.shape:
        raise InputError(
            f"`truth_labels` and `labels` must have one shape, got {truth.shape} and {labels.shape}; "
            "compare label images of the same field."
        )
    truth_ids, t = _consecutive(truth)  # int64, so that the joint key cannot overflow
    label_ids, k = _consecutive(labels)
    width = len(label_ids) + 1
    pairs, counts = _counts((t * width + k).ravel(), (len(truth_ids) + 1) * width)
    rows, columns = pairs // width, pairs % width
    truth_area = np.bincount(rows, counts, len(truth_ids) + 1).astype(np.int64)[1:]
    label_area = np.bincount(columns, counts, width).astype(np.int64)[1:]
    both = (rows > 0) & (columns > 0)
    rows, columns, intersection = rows[both] - 1, columns[both] - 1, counts[both]
    union = truth_area[rows] + label_area[columns] - intersection
    return _Overlap(truth_ids, label_ids, rows, columns, intersection, intersection / union)


def _counts(keys, n):
    """Return the keys in use and how often; a table is faster than sorting but must not outgrow the image."""
    if n > max(2**22, keys.size):
        return np.unique(keys, return_counts=True)
    counts = np.bincount(keys, minlength=n)
    used = np.flatnonzero(counts)
    return used, counts[used]


def _consecutive(labels):
    """Return the label numbers in use and the image renumbered 1..n (0 stays background)."""
    low, high = (int(labels.min()), int(labels.max())) if labels.size else (0, 0)
    if low >= 0 and high <= 4 * labels.size:  # a table is faster than sorting the pixels
        used = np.bincount(labels.ravel(), minlength=1) > 0
        used[0] = False
        numbers = np.cumsum(used) * used
        return np.flatnonzero(used), numbers[labels]
    ids = np.unique(labels[labels != 0])
    return ids, np.where(labels == 0, 0, np.searchsorted(ids, labels) + 1)


def _threshold(iou):
    if not (isinstance(iou, int | float | np.number) and 0 < iou <= 1):
        raise InputError(f"`iou` must be a number in (0, 1], got {iou!r}.")
    return float(iou)


def _matching(overlap, iou):
    import pandas as pd

    chosen = _assign(overlap, iou)
    tp = len(chosen)
    fp, fn = len(overlap.label_ids) - tp, len(overlap.truth_ids) - tp
    pairs = pd.DataFrame(
        {
            "truth": overlap.truth_ids[overlap.rows[chosen]],
            "label": overlap.label_ids[overlap.columns[chosen]],
            "iou": overlap.iou[chosen],
        }
    )
    total = float(overlap.iou[chosen].sum())
    return Matching(
        iou=iou,
        tp=tp,
        fp=fp,
        fn=fn,
        precision=_ratio(tp, tp + fp),
        recall=_ratio(tp, tp + fn),
        f1=_ratio(2 * tp, 2 * tp + fp + fn),
        mean_iou=_ratio(total, tp),
        panoptic_quality=_ratio(2 * total, 2 * tp + fp + fn),
        pairs=pairs,
    )


def _ratio(part, whole):
    return part / whole if whole else float("nan")


def _assign(overlap, iou):
    """Return the indices of the chosen pairs, in the order of the true labels."""
    from scipy.optimize import linear_sum_assignment

    fit = np.flatnonzero(overlap.iou >= iou)
    rows, columns = overlap.rows[fit], overlap.columns[fit]
    rivals = np.bincount(rows, minlength=1)[rows] * np.bincount(columns, minlength=1)[columns] > 1
    chosen = fit[~rivals]
    contested = fit[rivals]
    if len(contested):
        r, row = np.unique(overlap.rows[contested], return_inverse=True)
        c, column = np.unique(overlap.columns[contested], return_inverse=True)
        gain = np.zeros((len(r), len(c)))
        # A pair weighs more than all the IoU there is, so their number comes first.
        gain[row, column] = overlap.iou[contested] + min(len(r), len(c))
        which = np.full(gain.shape, -1)
        which[row, column] = contested
        best = which[linear_sum_assignment(gain, maximize=True)]
        chosen = np.concatenate([chosen, best[best >= 0]])
    return np.sort(chosen)
