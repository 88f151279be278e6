"""What a covered particle would measure if it lay free."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .. import columns as c

HARMONICS = 4
STIFFNESS = 0.02
MIN_FREE = 0.4  # share of the outline that must be seen for a completion to count


def complete(labels: np.ndarray, lower: pd.DataFrame, *, spacing: tuple[float, float]) -> pd.DataFrame:
    """Complete the outlines of particles that others cover.

    The part of the outline that is the particle's own (not the edge of one lying over it, not the frame) is
    fitted with a radius function of a few harmonics, the stiffer the less of it is seen; the area within is the
    particle's whole projected area.

    Parameters
    ----------
    labels : (y, x) int array
        Visible masks.
    lower : DataFrame
        Contacts at which ``label`` lies under ``neighbour`` (see `segment.contacts`), whatever else it carries.
    spacing : tuple of float
        Pixel size (y, x) in um.

    Returns
    -------
    DataFrame
        Index `label`, one row for each label in `lower`: ``diameter_um`` of the completed particle (NaN where
        under 40 % of the outline is seen), ``hidden_fraction`` of its area, ``seen`` share of its outline.
    """
    from scipy import ndimage as ndi

    boxes = ndi.find_objects(labels)
    rows = {}
    for label, group in lower.groupby("label"):
        box = tuple(slice(max(s.start - 3, 0), s.stop + 3) for s in boxes[label - 1])
        rows[label] = _complete_one(labels[box], box, label, group["neighbour"].to_numpy(), labels.shape, spacing)
    table = pd.DataFrame.from_dict(rows, orient="index", columns=[c.DIAMETER, c.HIDDEN, "seen"], dtype=float)
    table.index.name = c.LABEL
    return table


def _complete_one(window, box, label, over, shape, spacing):
    from scipy import ndimage as ndi
    from skimage.measure import find_contours

    own = np.pad(window == label, 1).astype(float)
    outline = max(find_contours(own, 0.5), key=len) - 1
    visible = (window == label).sum() * spacing[0] * spacing[1]
    pixel = np.rint(outline).astype(int).clip(0, np.array(window.shape) - 1)
    covered = ndi.binary_dilation(np.isin(window, over), iterations=2)[pixel[:, 0], pixel[:, 1]]
    place = outline + [s.start for s in box]
    cut = ((place < 0.6) | (place > np.array(shape) - 1.6)).any(1)
    free = ~covered & ~cut
    seen = free.mean()
    if free.sum() < 12 or seen < 0.15:
        return np.nan, np.nan, seen
    points = place[free] * spacing
    area, reach = _area_within(points)
    if area is None or reach < MIN_FREE:
        return np.nan, np.nan, min(seen, reach or 0)
    area = max(area, visible)
    return np.sqrt(4 / np.pi * area), 1 - visible / area, reach


def _area_within(points):
    """Fit a stiff radius function to part of an outline; return its area and the share of angles seen."""
    centre, radius = _circle(points)
    if not np.isfinite(radius):
        return None, None
    for _ in range(3):
        d = points - centre
        angle, r = np.arctan2(d[:, 0], d[:, 1]), np.hypot(d[:, 0], d[:, 1]) / radius
        bins = np.floor((angle + np.pi) / (2 * np.pi) * 90).astype(int) % 90
        weight = 1 / np.bincount(bins, minlength=90)[bins]
        k = np.arange(1, HARMONICS + 1)
        basis = np.hstack([np.ones((r.size, 1)), np.cos(np.outer(angle, k)), np.sin(np.outer(angle, k))])
        stiff = np.concatenate([[0], *(2 * [STIFFNESS * k**2.0])]) * weight.sum()
        normal = (basis * weight[:, None]).T @ basis + np.diag(stiff)
        a = np.linalg.solve(normal, basis.T @ (weight * r))
        reach = np.unique(bins).size / 90
        shift = radius * np.array([a[1 + HARMONICS], a[1]])
        centre = centre + shift
        if np.hypot(*shift) < 1e-3 * radius:
            break
    return np.pi * radius**2 * (a[0] ** 2 + 0.5 * np.sum(a[1:] ** 2)), reach


def _circle(points):
    """Return centre and radius of the least-squares circle (Kasa 1976)."""
    mean = points.mean(0)
    p = points - mean
    system = np.column_stack([p, np.ones(len(p))])
    solution, *_ = np.linalg.lstsq(system, (p**2).sum(1), rcond=None)
    centre = solution[:2] / 2
    return centre + mean, np.sqrt(max(solution[2] + centre @ centre, 0.0))
