"""Particles by Segment Anything: masks asked for at points, then one label image.

The user names a checkpoint file; none is shipped. Kirillov et al., "Segment Anything", ICCV 2023, section 5 and
appendix B ("fully automatic stage").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import _checks
from ..errors import InputError
from . import masks as _masks
from .classical import classical, foreground

if TYPE_CHECKING:
    from ..nets.sam import Sam

OVERLAP = 0.25  # of a tile with each neighbour, as a share of the tile's edge
SMALL_PX = 48.0  # particles below this diameter are asked for again in the tiles
DEFAULT_DIAMETER_PX = 6.0
PROMPTS = ("seeds", "grid")


def segment_anything(
    array: np.ndarray,
    *,
    spacing: float | tuple[float, float],
    checkpoint: str | Path | None,
    prompts: str = "seeds",
    points_per_side: int = 32,
    tiles: int = 1,
    pred_iou_threshold: float = 0.85,
    stability_threshold: float = 0.8,
    duplicate_iou: float = 0.8,
    min_diameter: float | None = None,
    batch: int = 4,
    device: str = "cpu",
    progress: Callable[[float], None] | None = None,
) -> np.ndarray:
    """Segment particles with Segment Anything's automatic masks.

    Points are put to the network, which draws up to three masks for each; those it trusts and that hold still
    when their threshold is moved are kept, and `masks.resolve` makes one label image of them. Masks of which
    less than half is brighter than the background (tape, gaps between particles) are dropped.

    Parameters
    ----------
    array : (y, x) array
        Secondary-electron micrograph; any numeric type, particles brighter than their background. Its grey
        values are stretched between the 0.1 and 99.9 percentiles, so gain and offset do not matter.
    spacing : float or (float, float)
        Pixel size in um (y, x).
    checkpoint : path
        MobileSAM (`mobile_sam.pt`) or an original ViT-B, -L or -H file; see `morpholith.nets.sam.load`.
    prompts : {"seeds", "grid"}
        ``"seeds"`` asks at the deepest point of every particle that `classical` finds, then at those points of
        the grid that lie on foreground which no mask of a single object covers yet. ``"grid"`` asks at every point of
        the grid and uses nothing but the network, as the publication does: slower, and blind to particles between the
        points.
    points_per_side : int
        Points along the longer side of the image, and of each tile.
    tiles : int
        1 asks about the whole image, which the network sees at 1024 px; 2 asks again about 2 x 2 overlapping
        tiles, where small particles are seen larger (with seeds: those below 48 px); and so on.
    pred_iou_threshold : float
        Least IoU that the network predicts for its mask.
    stability_threshold : float
        Least IoU of the mask with itself between the logit thresholds -1 and +1.
    duplicate_iou : float
        Two masks that agree to this IoU are one object.
    min_diameter : float, optional
        Equivalent diameter in um below which particles are dropped; 6 px by default.
    batch : int
        Points decoded together; memory is about 40 MB a point.
    device : str
        ``"cpu"``, ``"cuda"``, ...; one that is not there is an error.
    progress : callable, optional
        Called with the finished share, 0..1, after every batch.

    Returns
    -------
    (y, x) int32 array
        Labels 1..n by falling area; 0 is background. All 0 when no mask was trusted, or the image is constant.

    Raises
    ------
    InputError
        When the image is no finite 2D image, the checkpoint is missing or of no known kind, the device is
        absent, or an option is out of range.
    """
    image = _checks.grey(array)
    pixel = _checks.spacing(spacing, 2)
    _checks.choice(prompts, PROMPTS, name="prompts")
    _check_options(points_per_side, tiles, batch, min_diameter, pred_iou_threshold, stability_threshold)
    if checkpoint is None:
        raise InputError(
            "Segment Anything needs a checkpoint file, for instance mobile_sam.pt: name it with --checkpoint."
        )
    from ..nets import sam

    model = sam.load(checkpoint, device=device)
    image = stretch(image)
    if not image.any():
        return np.zeros(image.shape, np.int32)
    candidates = propose(
        model,
        image,
        prompts=prompts,
        points_per_side=points_per_side,
        tiles=tiles,
        pred_iou_threshold=pred_iou_threshold,
        stability_threshold=stability_threshold,
        duplicate_iou=duplicate_iou,
        batch=batch,
        progress=progress,
    )
    bright = foreground(image)
    smallest = min_diameter**2 / (pixel[0] * pixel[1]) if min_diameter else DEFAULT_DIAMETER_PX**2
    return _masks.resolve(
        (m for m in candidates if _share(bright, m) >= 0.5),
        shape=image.shape,
        duplicate_iou=duplicate_iou,
        min_area_px=int(np.ceil(np.pi / 4 * smallest)),
    )


def stretch(image: np.ndarray) -> np.ndarray:
    """Stretch grey values between the 0.1 and 99.9 percentiles to 0..255; all 0 for a constant image."""
    low, high = np.percentile(image, [0.1, 99.9])
    if high <= low:
        low, high = float(image.min()), float(image.max())
    if high <= low:
        return np.zeros(image.shape, np.float32)
    return np.clip((image - low) * (255 / (high - low)), 0, 255).astype(np.float32)


def point_grid(shape: tuple[int, int], points_per_side: int) -> np.ndarray:
    """Return a centred square grid of (y, x) pixel positions with `points_per_side` along the longer side."""
    step = max(shape) / points_per_side
    axes = []
    for n in shape:
        count = max(1, round(n / step))
        axes.append((np.arange(count) + 0.5) * n / count - 0.5)
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 2)


def tile_boxes(shape: tuple[int, int], tiles: int) -> list[tuple[int, int, int, int]]:
    """Return the whole image, then `tiles` x `tiles` parts that overlap by `OVERLAP`, as (top, left, bottom, right)."""
    boxes = [(0, 0, *shape)]
    if tiles > 1:
        spans = [_spans(n, tiles) for n in shape]
        boxes += [(top, left, bottom, right) for top, bottom in spans[0] for left, right in spans[1]]
    return boxes


def propose(
    model: Sam,
    image: np.ndarray,
    *,
    prompts: str = "seeds",
    points_per_side: int = 32,
    tiles: int = 1,
    pred_iou_threshold: float = 0.85,
    stability_threshold: float = 0.8,
    duplicate_iou: float = 0.8,
    batch: int = 4,
    progress: Callable[[float], None] | None = None,
) -> list[_masks.Mask]:
    """Return the masks that Segment Anything trusts, without repetitions; see `segment_anything`.

    Parameters
    ----------
    model : morpholith.nets.sam.Sam
        A loaded model.
    image : (y, x) array
        Grey values on the scale 0..255.

    Returns
    -------
    list of Mask
        At the image's resolution, scored by the predicted IoU. They still nest and overlap. Of the same mask
        seen at two magnifications the one from the tile stays.
    """
    ask = _Questions(model, pred_iou_threshold, stability_threshold, duplicate_iou, batch)
    boxes = tile_boxes(image.shape, tiles)
    seeds, diameters = seed_points(image) if prompts == "seeds" else (np.zeros((0, 2)), np.zeros(0))
    found: list[_masks.Mask] = []
    for k, box in enumerate(boxes):
        top, left, bottom, right = box
        view = image[top:bottom, left:right]
        grid = point_grid(view.shape, points_per_side)
        tell = _part_of(progress, k, len(boxes))
        if prompts == "grid":
            seen = ask(view, [grid], tell)
        elif k == 0:
            seen = ask(view, [seeds, lambda masks, g=grid, v=view: _uncovered(g, masks, v)], tell)
        else:
            inside = (seeds >= (top, left)).all(1) & (seeds <= (bottom - 1, right - 1)).all(1)
            seen = ask(view, [seeds[inside & (diameters < SMALL_PX)] - (top, left)], tell)
        moved = (replace(m, y=m.y + top, x=m.x + left) for m in seen if not _cut_by_tile(m, box, image.shape))
        # Finer views go first: the rank is taken off again below.
        found += [replace(m, score=m.score + (k > 0)) for m in moved]
    found = _masks.distinct(found, iou=duplicate_iou)
    return [replace(m, score=m.score - (m.score > 1)) for m in found]


def seed_points(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the deepest point of every particle that `classical` finds, and the particles' diameters.

    Parameters
    ----------
    image : (y, x) array
        Grey values.

    Returns
    -------
    points : (n, 2) float array
        (y, x) in px.
    diameters : (n,) float array
        Of the circle of equal area, in px.
    """
    from scipy import ndimage

    labels = classical(image, spacing=1.0)
    n = int(labels.max())
    if n == 0:
        return np.zeros((0, 2)), np.zeros(0)
    inner = labels.copy()
    for axis in (0, 1):  # a pixel beside another label is no longer inside
        a, b = (slice(None),) * axis + (slice(1, None),), (slice(None),) * axis + (slice(None, -1),)
        differ = labels[a] != labels[b]
        inner[a][differ] = inner[b][differ] = 0
    depth = ndimage.distance_transform_edt(inner)
    points = ndimage.maximum_position(depth, labels, np.arange(1, n + 1))
    return np.asarray(points, float), np.sqrt(4 / np.pi * np.bincount(labels.ravel())[1:])


def stability(logits, *, offset: float = 1.0):
    """Return the IoU of each mask with itself between the thresholds -offset and +offset.

    Parameters
    ----------
    logits : (..., y, x) array or tensor
        Positive inside the mask.
    offset : float
        In logits.

    Returns
    -------
    (...) array or tensor
        0 where nothing lies above -offset.
    """
    inner = (logits > offset).sum((-1, -2))
    outer = (logits > -offset).sum((-1, -2))
    return inner / (outer + (outer == 0))


@dataclass(frozen=True)
class _Questions:
    """Everything about asking the network that does not depend on the view."""

    model: Sam
    least_iou: float
    least_stability: float
    duplicate_iou: float
    batch: int

    def __call__(self, view, rounds, progress):
        """Return the distinct trusted masks of a view, asked for in rounds.

        A round is an array of points, or a function from the masks found so far to one.
        """
        embedding = self.model.embed(view)
        masks: list[_masks.Mask] = []
        for k, points in enumerate(rounds):
            points = points(masks) if callable(points) else points
            drafts = []
            for start in range(0, len(points), self.batch):
                drafts += self._drafts(embedding, points[start : start + self.batch], view.shape)
                progress((k + (start + self.batch) / len(points)) / len(rounds))
            logits = {id(draft): values for draft, values in drafts}
            distinct = _masks.distinct([draft for draft, _ in drafts], iou=self.duplicate_iou)
            enlarged = (_enlarge(draft, logits[id(draft)], view.shape, self.model.size) for draft in distinct)
            masks += [m for m in enlarged if m.area]
        progress(1.0)
        return masks

    def _drafts(self, embedding, points, shape):
        """Return the trusted masks of a batch of points on the network's own coarse grid, with their logits.

        The logits kept are those of the mask's bounding box and one pixel around it.
        """
        from ..nets.sam import resized

        logits, iou = self.model.decode(embedding, points, shape)
        good = (iou >= self.least_iou) & (stability(logits) >= self.least_stability)
        h, w = (n // 4 for n in resized(shape, size=self.model.size))  # beyond lies padding
        out = []
        for values, score in zip(logits[good].cpu().numpy(), iou[good].cpu().numpy(), strict=True):
            draft = _masks.cut(values > 0, score=float(min(score, 1.0)))
            if draft.area and not _masks.is_background(_masks.cut(values[:h, :w] > 0), shape=(h, w)):
                top, left, bottom, right = draft.box
                kept = values[max(top - 1, 0) : bottom + 1, max(left - 1, 0) : right + 1]
                out.append((draft, kept.astype(np.float16)))
        return out


def _uncovered(grid, masks, view):
    """Return the points of a grid that lie on foreground where no mask of a single object lies."""
    free = foreground(view)
    for mask in _masks.single(masks):
        if not _masks.is_background(mask, shape=view.shape):
            top, left, bottom, right = mask.box
            free[top:bottom, left:right] &= ~mask.crop
    y, x = np.round(grid).astype(int).T
    return grid[free[y, x]]


def _part_of(progress, k, n):
    """Return a progress function for the k-th of n equal parts."""
    if progress is None:
        return lambda _: None
    return lambda share: progress((k + min(share, 1.0)) / n)


def _enlarge(draft, logits, shape, size):
    """Return a coarse mask at the resolution of the view: logits interpolated linearly at its pixel centres."""
    from ..nets.sam import resized

    grid = size // 4
    first = (max(draft.y - 1, 0), max(draft.x - 1, 0))
    for axis in (0, 1):
        pixels = np.arange(shape[axis])
        # In the coarse grid: pixel centres of the view, pixel centres of the square, one in four of them.
        at = (pixels + 0.5) / shape[axis] * resized(shape, size=size)[axis] / size * grid - 0.5
        at = np.clip(at, 0, grid - 1) - first[axis]
        n = logits.shape[axis]
        inside = np.flatnonzero((at >= 0) & (at <= n - 1))
        if inside.size == 0:
            return _masks.cut(np.zeros((1, 1), bool), score=draft.score)
        at = at[inside]
        low = np.minimum(at.astype(int), max(n - 2, 0))
        weight = (at - low).astype(np.float32)
        weight = weight[:, None] if axis == 0 else weight
        below = np.take(logits, low, axis).astype(np.float32)
        logits = below + weight * (np.take(logits, np.minimum(low + 1, n - 1), axis) - below)
        first = (inside[0], first[1]) if axis == 0 else (first[0], inside[0])
    return _masks.cut(logits > 0, score=draft.score, y=int(first[0]), x=int(first[1]))


def _cut_by_tile(mask, tile, image_shape):
    """Tell whether a mask reaches a side of its tile that is no side of the image: another tile sees it whole."""
    height, width = tile[2] - tile[0], tile[3] - tile[1]
    top, left, bottom, right = mask.box
    reaches = (top == 0, left == 0, bottom == height, right == width)
    on_frame = (tile[0] == 0, tile[1] == 0, tile[2] == image_shape[0], tile[3] == image_shape[1])
    return any(r and not f for r, f in zip(reaches, on_frame, strict=True))


def _spans(n, tiles):
    """Return the (start, stop) of overlapping equal parts of n pixels."""
    length = int(np.ceil(n / (tiles - (tiles - 1) * OVERLAP)))
    starts = np.linspace(0, n - length, tiles).round().astype(int)
    return [(int(s), int(s) + length) for s in starts]


def _share(bright, mask):
    """Return the share of a mask that is foreground."""
    top, left, bottom, right = mask.box
    return np.count_nonzero(bright[top:bottom, left:right] & mask.crop) / max(mask.area, 1)


def _check_options(points_per_side, tiles, batch, min_diameter, pred_iou_threshold, stability_threshold):
    for name, value in (("points_per_side", points_per_side), ("tiles", tiles), ("batch", batch)):
        if int(value) != value or value < 1:
            raise InputError(f"`{name}` must be a whole number of at least 1, got {value!r}.")
    if min_diameter is not None and not min_diameter > 0:
        raise InputError(f"`min_diameter` must be a positive length in um, got {min_diameter!r}.")
    for name, value in (
        ("pred_iou_threshold", pred_iou_threshold),
        ("stability_threshold", stability_threshold),
    ):
        if not 0 <= value <= 1:
            raise InputError(f"`{name}` must lie between 0 and 1, got {value!r}.")
