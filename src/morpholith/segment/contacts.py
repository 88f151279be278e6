"""Which particle lies over which: judged contact by contact."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import ndimage as ndi

REACH_PX = 2
LONG, SLIVER, ENCLOSED = 0.3, 0.35, 0.75  # of the outline


def contacts(labels: np.ndarray, behind: np.ndarray | None = None) -> pd.DataFrame:
    """Return one row for each side of each contact between two particles.

    Parameters
    ----------
    labels : (y, x) int array
    behind : (y, x) array, optional
        Probability that a pixel's particle dips under its neighbour. Without it, and besides it where a contact takes
        over 0.3 of the outline, the line of contact decides: of two roundish particles, the one that bulges into the
        other lies on top; a straight line hides nothing. Where it takes over 0.35 and the smaller one does not bulge,
        that one is a remainder which the larger one leaves to be seen.

    Returns
    -------
    DataFrame
        ``label``, ``neighbour``, ``pixels`` (of `label` within two pixels of `neighbour`), and ``behind``: 0..1,
        how far `label` is the lower one. Empty when nothing touches.
    """
    own, other, y, x = _sides(labels)
    columns = ["label", "neighbour", "pixels", "behind"]
    if own.size == 0:
        return pd.DataFrame({c: np.zeros(0, float if c == "behind" else int) for c in columns})
    key = own.astype(np.int64) * (int(labels.max()) + 1) + other
    pair, row, pixels = np.unique(key, return_inverse=True, return_counts=True)
    first, second = pair // (int(labels.max()) + 1), pair % (int(labels.max()) + 1)
    sagitta = _sagitta(labels, first, row, pixels, y.astype(float), x.astype(float))
    value = np.where(pixels < 8, 0.0, np.clip(0.5 + (sagitta - 0.06) / 0.12, 0, 1))
    area = np.bincount(labels.ravel())
    share = pixels / np.maximum(_rim(labels)[first], 1)
    if behind is not None:
        seen = np.bincount(row, behind[y, x]) / pixels
        value = np.where(share > LONG, np.maximum(seen, value), seen)
    # a remainder has a long contact that does not bulge outwards, and is not enclosed as one lying on top is
    remainder = (share > SLIVER) & (share < ENCLOSED) & (sagitta > -0.05) & (area[first] < area[second])
    value = np.where(remainder, 1.0, value)
    return pd.DataFrame({"label": first, "neighbour": second, "pixels": pixels, "behind": value})


def _sides(labels):
    """Return every (own label, other label, y, x) with the two within `REACH_PX` along a row, column or diagonal."""
    found = []
    ny, nx = labels.shape
    for r in range(1, REACH_PX + 1):
        for dy, dx in ((0, r), (r, 0), (r, r), (r, -r)):
            a = labels[: ny - dy, max(-dx, 0) : nx - max(dx, 0)]
            b = labels[dy:, max(dx, 0) : nx + min(dx, 0)]
            y, x = np.nonzero((a != b) & (a > 0) & (b > 0))
            one, two = a[y, x], b[y, x]
            x = x + max(-dx, 0)
            found += [(one, two, y, x), (two, one, y + dy, x + dx)]
    own, other, y, x = (np.concatenate(part).astype(np.int64) for part in zip(*found, strict=True))
    # a pixel meets the same neighbour in several directions; count it once
    key = (other * ny + y) * nx + x
    _, once = np.unique(key, return_index=True)
    return own[once], other[once], y[once], x[once]


def _rim(labels):
    """Return how many pixels of each label lie within `REACH_PX` of anything else."""
    window = 2 * REACH_PX + 1
    same = ndi.minimum_filter(labels, window) == ndi.maximum_filter(labels, window)
    return np.bincount(labels[~same], minlength=int(labels.max()) + 1)


def _sagitta(labels, first, row, pixels, y, x):
    """Sagitta of each contact line towards the own centre over its length: positive where the other bulges in."""
    area = np.maximum(np.bincount(labels.ravel()), 1)
    yy, xx = np.indices(labels.shape)
    cy = np.bincount(labels.ravel(), yy.ravel()) / area
    cx = np.bincount(labels.ravel(), xx.ravel()) / area

    my, mx = np.bincount(row, y) / pixels, np.bincount(row, x) / pixels
    ny, nx = cy[first] - my, cx[first] - mx  # towards the own centre
    norm = np.hypot(ny, nx) + 1e-9
    ny, nx = ny / norm, nx / norm
    along = (x - mx[row]) * ny[row] - (y - my[row]) * nx[row]
    inward = (y - my[row]) * ny[row] + (x - mx[row]) * nx[row]
    # inward = a + b along + c along^2 over each contact; c < 0: the middle lies nearer the own centre
    m = [np.bincount(row, along**k) for k in range(5)]
    t = [np.bincount(row, inward * along**k) for k in range(3)]
    normal = np.array([[m[i + j] for j in range(3)] for i in range(3)]).transpose(2, 0, 1)
    normal += 1e-3 * np.eye(3)
    curvature = np.linalg.solve(normal, np.array(t).T[..., None])[:, 2, 0]
    half = np.sqrt(3 * m[2] / pixels)
    return -curvature * half**2 / np.maximum(2 * half, 1)
