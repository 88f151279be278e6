"""From many overlapping candidate masks to one label image, and small repairs of label images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from .. import _checks
from ..errors import InputError


@dataclass(frozen=True)
class Mask:
    """One candidate object: its bounding box cut out of the image, to save memory.

    Parameters
    ----------
    crop : (h, w) bool array
        True inside the object.
    y, x : int
        Position of the crop's first pixel in the image.
    score : float
        Confidence, 0..1.
    """

    crop: np.ndarray
    y: int
    x: int
    score: float = 1.0

    @property
    def area(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.crop))

    @property
    def box(self) -> tuple[int, int, int, int]:
        """First row, first column, and one past the last row and column."""
        return self.y, self.x, self.y + self.crop.shape[0], self.x + self.crop.shape[1]


def cut(mask: np.ndarray, *, score: float = 1.0, y: int = 0, x: int = 0) -> Mask:
    """Cut a boolean image down to the bounding box of its true pixels.

    Parameters
    ----------
    mask : (h, w) bool array
        An image or a part of one.
    score : float
        Confidence, 0..1.
    y, x : int
        Position of `mask` in the image.

    Returns
    -------
    Mask
        With a crop of shape (0, 0) when nothing is true.
    """
    mask = np.asarray(mask, bool)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if rows.size == 0:
        return Mask(np.zeros((0, 0), bool), y, x, score)
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    return Mask(mask[top:bottom, left:right].copy(), y + int(top), x + int(left), score)


def resolve(
    masks: Iterable[Mask],
    *,
    shape: tuple[int, int],
    duplicate_iou: float = 0.8,
    contained: float = 0.75,
    min_area_px: int = 20,
) -> np.ndarray:
    """Decide which of many overlapping masks are the particles, and draw them as labels.

    Each mask is tidied (largest piece, holes filled); the background is dropped; of duplicates the most
    confident stays. A mask inside another one is either a part of it (a facet, a satellite) or one of several
    particles that the other one lumps together. Both readings are weighed by area x score x ellipticity (to the
    power 1/4, 1 or 2 for a mask with none, one or several inside): the parts win when together they explain the
    outer mask better than it does as one particle. On a tree of nested masks that choice has an exact optimum,
    found from the smallest mask up (as Arteta et al., MICCAI 2012, choose among extremal regions); ellipticity
    is that of Rosin, Mach. Vis. Appl. 14, 172 (2003). Where chosen masks still overlap a little, the smaller one
    lies on top.

    Parameters
    ----------
    masks : iterable of Mask
        Candidates in any order; they may overlap, nest and repeat.
    shape : (int, int)
        Shape of the image.
    duplicate_iou : float
        Two masks of at least this intersection over union are the same object.
    contained : float
        A mask is inside a larger one when at least this share of its area is.
    min_area_px : int
        Smaller masks are dropped, as are labels of which less, or less than half, remains visible.

    Returns
    -------
    (y, x) int32 array
        Labels 1..n by falling area; 0 where no mask was kept. All 0 when there are no masks.
    """
    tidied = (tidy(m) for m in masks)
    kept = [m for m in tidied if m.area >= min_area_px and not is_background(m, shape=shape)]
    chosen = choose(distinct(kept, iou=duplicate_iou), contained=contained)
    labels = fill_holes(largest_pieces(_draw(chosen, shape)))
    return relabel_by_area(remove_small(labels, min_area_px=min_area_px))


def tidy(mask: Mask) -> Mask:
    """Keep the largest 4-connected piece of a mask and fill its holes."""
    from scipy import ndimage

    pieces, n = ndimage.label(mask.crop)
    if n == 0:
        return mask
    crop = mask.crop
    if n > 1:
        crop = pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])
    return cut(ndimage.binary_fill_holes(crop), score=mask.score, y=mask.y, x=mask.x)


def is_background(mask: Mask, *, shape: tuple[int, int]) -> bool:
    """Tell whether a mask reaches all four sides of the frame, or covers more than half of the frame's rim.

    A particle that does so has no outline to measure.
    """
    top, left, bottom, right = mask.box
    sides = [
        (top == 0, mask.crop[:1]),
        (left == 0, mask.crop[:, :1]),
        (bottom == shape[0], mask.crop[-1:]),
        (right == shape[1], mask.crop[:, -1:]),
    ]
    on_rim = sum(int(np.count_nonzero(pixels)) for there, pixels in sides if there)
    return all(there for there, _ in sides) or on_rim > shape[0] + shape[1]


def distinct(masks: Sequence[Mask], *, iou: float = 0.8) -> list[Mask]:
    """Drop every mask that repeats a more confident one: greedy suppression by the IoU of the masks themselves.

    Parameters
    ----------
    masks : sequence of Mask
        Candidates.
    iou : float
        Least intersection over union of a repetition.

    Returns
    -------
    list of Mask
        By falling score; of equal scores the larger mask comes first.
    """
    order = sorted(masks, key=lambda m: (-m.score, -m.area, m.y, m.x))
    areas = np.array([m.area for m in order])
    boxes = np.array([m.box for m in order]).reshape(-1, 4)
    kept: list[int] = []
    for i in range(len(order)):
        near = [kept[k] for k in np.flatnonzero(_meet(boxes[i], boxes[kept]))]
        overlaps = ((j, _intersection(order[i], order[j])) for j in near)
        if not any(n >= iou * (areas[i] + areas[j] - n) for j, n in overlaps):
            kept.append(i)
    return [order[i] for i in kept]


def choose(masks: Sequence[Mask], *, contained: float = 0.75) -> list[Mask]:
    """Choose, among nested masks, either the outer one or those inside it; see `resolve`.

    Parameters
    ----------
    masks : sequence of Mask
        Without duplicates and without background.
    contained : float
        A mask is inside a larger one when at least this share of its area is.

    Returns
    -------
    list of Mask
        None of them inside another one, by rising area.
    """
    masks = sorted(masks, key=lambda m: (m.area, m.y, m.x))
    parents = _parents(masks, contained)
    children: list[list[int]] = [[] for _ in masks]
    for i, parent in enumerate(parents):
        if parent >= 0:
            children[parent].append(i)
    worth = np.zeros(len(masks))
    best: list[list[int]] = [[] for _ in masks]
    for i, mask in enumerate(masks):  # a parent is larger than its children, so they are settled before it
        # A particle half hidden is no ellipse; but what holds several others has to look like one particle.
        shape = ellipticity(mask) ** (0.25, 1, 2)[min(len(children[i]), 2)]
        own = mask.area * mask.score * shape
        parts = [j for child in children[i] for j in best[child]]
        together = sum(worth[child] for child in children[i]) - _shared(masks, parts)
        worth[i], best[i] = (together, parts) if together > own else (own, [i])
    chosen = [j for i in range(len(masks)) if parents[i] < 0 for j in best[i]]
    return [masks[i] for i in sorted(chosen)]


def single(masks: Sequence[Mask], *, contained: float = 0.75, share: float = 0.15) -> list[Mask]:
    """Return the masks inside which no other one makes up more than a `share` of the area, by rising area.

    What is left out may be several particles of which only some have a mask of their own.
    """
    masks = sorted(masks, key=lambda m: (m.area, m.y, m.x))
    several = {j for i, j in enumerate(_parents(masks, contained)) if j >= 0 and masks[i].area > share * masks[j].area}
    return [mask for i, mask in enumerate(masks) if i not in several]


def ellipticity(mask: Mask) -> float:
    """Return how much of an ellipse a mask is, from its moments: 1 for every ellipse, less for all else.

    The area to the power four over 16 pi^2 times the determinant of the second central moments, at most 1
    (Rosin 2003): 0.91 for a rectangle, 0.80 for two equal touching discs, 0.67 for three in a triangle.
    A pixel counts as a square, not as a point. NaN for an empty mask.
    """
    y, x = np.nonzero(mask.crop)
    if y.size == 0:
        return float("nan")
    yy, xx, yx = y.var() + 1 / 12, x.var() + 1 / 12, np.mean((y - y.mean()) * (x - x.mean()))
    return float(min(1.0, y.size**2 / (16 * np.pi**2 * (yy * xx - yx**2))))


def relabel_sequential(labels: np.ndarray) -> np.ndarray:
    """Renumber labels 1..n in the order of their old numbers; 0 stays background."""
    labels = _checks.labels(labels)
    ids = np.unique(labels)
    ids = ids[ids != 0]
    return _renumber(labels, ids)


def relabel_by_area(labels: np.ndarray) -> np.ndarray:
    """Renumber labels 1..n by falling area, ties by their old numbers; 0 stays background."""
    labels = _checks.labels(labels)
    ids, areas = np.unique(labels, return_counts=True)
    ids, areas = ids[ids != 0], areas[ids != 0]
    return _renumber(labels, ids[np.argsort(-areas, kind="stable")])


def touches_edge(labels: np.ndarray) -> np.ndarray:
    """Tell which labels reach the outermost pixels of the frame.

    Parameters
    ----------
    labels : (y, x) int array
        Labels from 0 up.

    Returns
    -------
    (max + 1,) bool array
        Indexed by label; entry 0 (background) is False, as are numbers that do not occur.
    """
    labels = _not_negative(labels)
    out = np.zeros(int(labels.max(initial=0)) + 1, bool)
    for rim in (labels[:1], labels[-1:], labels[:, :1], labels[:, -1:]):
        out[rim] = True
    out[0] = False
    return out


def remove_small(labels: np.ndarray, *, min_area_px: float) -> np.ndarray:
    """Set labels of fewer than `min_area_px` pixels to background; the others keep their numbers."""
    labels = _not_negative(labels)
    small = np.bincount(labels.ravel()) < min_area_px
    if small.size:
        small[0] = False
    return np.where(small[labels], 0, labels).astype(np.int32) if labels.size else labels


def largest_pieces(labels: np.ndarray) -> np.ndarray:
    """Keep the largest 4-connected piece of each label; the rest becomes background."""
    from skimage.measure import label as components

    labels = _not_negative(labels)
    pieces = components(labels, connectivity=1, background=0)
    areas = np.bincount(pieces.ravel())
    owner = np.zeros(len(areas), np.int64)
    owner[pieces.ravel()] = labels.ravel()
    largest = np.zeros(len(areas), bool)
    order = np.lexsort((-areas[1:], owner[1:])) + 1
    largest[order[np.unique(owner[order], return_index=True)[1]]] = True
    largest[0] = False
    return np.where(largest[pieces], labels, 0).astype(np.int32)


def fill_holes(labels: np.ndarray, *, max_area_px: float = np.inf) -> np.ndarray:
    """Give each patch of background that a single label encloses to that label.

    Parameters
    ----------
    labels : (y, x) int array
        Labels from 0 up.
    max_area_px : float
        Larger holes stay open.

    Returns
    -------
    (y, x) int32 array
        A patch that reaches the frame, or borders on two labels, stays background.
    """
    from scipy import ndimage

    labels = _not_negative(labels)
    holes, n = ndimage.label(labels == 0, structure=np.ones((3, 3)))
    if n == 0:
        return labels
    low = np.full(n + 1, np.iinfo(np.int32).max)
    high = np.zeros(n + 1, np.int32)
    for hole, label in _neighbours(holes, labels):
        np.minimum.at(low, hole, label)
        np.maximum.at(high, hole, label)
    single = (low == high) & ~touches_edge(holes) & (np.bincount(holes.ravel()) <= max_area_px)
    single[0] = False
    return np.where(single[holes], high[holes], labels).astype(np.int32)


def _neighbours(holes, labels):
    """Yield (hole, label) of all 4-connected pixel pairs of a hole and a label, one array pair a direction."""
    for axis in (0, 1):
        for first, second in ((0, 1), (1, 0)):
            n = labels.shape[axis] - 1
            hole = np.take(holes, range(first, first + n), axis)
            label = np.take(labels, range(second, second + n), axis)
            pair = (hole > 0) & (label > 0)
            yield hole[pair], label[pair]


def _renumber(labels, ids):
    """Give the label numbers `ids` the numbers 1, 2, ... in that order."""
    order = np.argsort(ids, kind="stable")
    at = np.searchsorted(ids[order], labels)
    at = np.minimum(at, max(len(ids) - 1, 0))
    if len(ids) == 0:
        return np.zeros_like(labels)
    return np.where(labels == 0, 0, order[at] + 1).astype(np.int32)


def _not_negative(labels):
    labels = _checks.labels(labels)
    if labels.size and labels.min() < 0:
        raise InputError("`labels` must not be negative; renumber them with `relabel_sequential`.")
    return labels


def _draw(masks, shape):
    """Paint masks from large to small; what is then more than half covered was no object of its own."""
    masks = sorted(masks, key=lambda m: -m.area)
    labels = np.zeros(shape, np.int32)
    for k, mask in enumerate(masks, start=1):
        top, left, bottom, right = mask.box
        labels[top:bottom, left:right][mask.crop] = k
    visible = np.bincount(labels.ravel(), minlength=len(masks) + 1)
    covered = visible < 0.5 * np.array([0, *(m.area for m in masks)])
    return np.where(covered[labels], 0, labels)


def _meet(box, boxes):
    """Tell which boxes share pixels with one box."""
    height = np.minimum(box[2], boxes[:, 2]) - np.maximum(box[0], boxes[:, 0])
    width = np.minimum(box[3], boxes[:, 3]) - np.maximum(box[1], boxes[:, 1])
    return (height > 0) & (width > 0)


def _intersection(a, b):
    """Return the number of pixels two masks share."""
    top, left = max(a.y, b.y), max(a.x, b.x)
    bottom, right = min(a.box[2], b.box[2]), min(a.box[3], b.box[3])
    if bottom <= top or right <= left:
        return 0
    in_a = a.crop[top - a.y : bottom - a.y, left - a.x : right - a.x]
    in_b = b.crop[top - b.y : bottom - b.y, left - b.x : right - b.x]
    return int(np.count_nonzero(in_a & in_b))


def _parents(masks, contained):
    """Return for each mask, sorted by area, the index of the smallest one it lies inside, or -1."""
    boxes = np.array([m.box for m in masks]).reshape(-1, 4)
    parents = np.full(len(masks), -1)
    for i, mask in enumerate(masks):
        for j in i + 1 + np.flatnonzero(_meet(boxes[i], boxes[i + 1 :])):
            if _intersection(mask, masks[j]) >= contained * mask.area:
                parents[i] = j
                break
    return parents


def _shared(masks, parts):
    """Return the worth counted twice where chosen parts overlap each other."""
    total = 0.0
    for k, i in enumerate(parts):
        for j in parts[:k]:
            score = min(masks[i].score, masks[j].score)
            total += score * _intersection(masks[i], masks[j])
    return total
