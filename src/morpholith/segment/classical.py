"""Particles without a network: background, edges, watershed, and joining what belongs together."""

from __future__ import annotations

import heapq

import numpy as np

from .. import _checks
from ..errors import InputError
from .masks import fill_holes, largest_pieces, relabel_by_area, remove_small

# Irrational, so that the levels of an 8-bit image never fall half-way between two of these and the same picture
# in another numeric type is rounded alike.
LEVELS = 1024 / np.sqrt(2)
DEFAULT_DIAMETER_PX = 6.0
BORDER_SIGMA = 1.0  # px, against noise along a border
REACH = 3  # px to either side of a border at which its contrast is read
NO_CONTRAST = 0.1  # a region that stands out less from the background around it is background


def classical(
    array: np.ndarray,
    *,
    spacing: float | tuple[float, float],
    min_diameter: float | None = None,
    contrast: float = 0.18,
    edge: float = 0.23,
    join: float = 0.7,
) -> np.ndarray:
    """Segment the particles of a secondary-electron micrograph; no network, no size to give.

    What is brighter than a smooth, uneven background is foreground (`foreground`). It is cut along its strong
    edges (`strong_edges`) and flooded from the points that lie deepest between edges, which gives more pieces
    than particles at every scale at once. Pieces are then joined, best first, while that makes rounder regions or
    removes a border at which the grey values show nothing (`join_pieces`).

    Parameters
    ----------
    array : (y, x) array
        Micrograph, any numeric type; particles brighter than their background. Gain and offset do not matter.
    spacing : float or (float, float)
        Pixel size in um (y, x).
    min_diameter : float, optional
        Equivalent diameter in um below which regions are dropped; 6 px by default.
    contrast : float
        Foreground begins at this share of the way from the background to the particles' mean grey value.
    edge : float
        Least strength of a cut; see `strong_edges`. Lower finds more particles that lie on others, and more
        facets.
    join : float
        Weight of the grey evidence at a border against the shape of the two regions. Higher joins more.

    Returns
    -------
    (y, x) int32 array
        Labels 1..n by falling area; 0 is background. All 0 for a constant image. Particles cut by the frame are
        labelled too (see `masks.touches_edge`); of a particle that another one hides, the visible part is.

    Raises
    ------
    InputError
        When the image is no finite 2D image, or an option is out of range.
    """
    image = _checks.grey(array)
    pixel = _checks.spacing(spacing, 2)
    if min_diameter is not None and not min_diameter > 0:
        raise InputError(f"`min_diameter` must be a positive length in um, got {min_diameter!r}.")
    for name, value in (("contrast", contrast), ("edge", edge)):
        if not 0 < value < 1:
            raise InputError(f"`{name}` must lie between 0 and 1, got {value!r}.")
    if not join >= 0:
        raise InputError(f"`join` must not be negative, got {join!r}.")
    smallest = min_diameter**2 / (pixel[0] * pixel[1]) if min_diameter else DEFAULT_DIAMETER_PX**2
    min_area = np.pi / 4 * smallest
    grey = above_background(image, contrast=contrast)
    inside = _mask(grey, contrast, min_area)
    if not inside.any():
        return np.zeros(image.shape, np.int32)
    pieces = _flood(inside, strong_edges(grey, inside, threshold=edge))
    labels = _without_gaps(join_pieces(pieces, grey, weight=join), grey, contrast)
    labels = _to_half_height(_without_contrast(labels, grey), grey)
    return relabel_by_area(remove_small(fill_holes(largest_pieces(labels)), min_area_px=min_area))


def foreground(array: np.ndarray, *, contrast: float = 0.18) -> np.ndarray:
    """Return where a micrograph is brighter than its uneven background.

    Parameters
    ----------
    array : (y, x) array
        Micrograph, any numeric type; particles brighter than their background.
    contrast : float
        Threshold, as a share of the way from the background to the particles' mean grey value.

    Returns
    -------
    (y, x) bool array
        Specks below 6 px in diameter dropped, pits up to 3.5 px in radius filled; all False for a constant image.
    """
    grey = above_background(_checks.grey(array), contrast=contrast)
    return _mask(grey, contrast, np.pi / 4 * DEFAULT_DIAMETER_PX**2)


def above_background(image: np.ndarray, *, contrast: float = 0.18) -> np.ndarray:
    """Subtract a smooth background and scale, so that background is about 0 and particles about 1.

    The background is a surface of second order through the pixels that are not foreground; surface and the two
    grey levels are found in turn. Its bending is held back a little, so that it stays tame where particles leave
    no background to see.

    Parameters
    ----------
    image : (y, x) array
        Grey values.
    contrast : float
        Pixels above this share of the way to the foreground's mean take no part in the surface.

    Returns
    -------
    (y, x) float32 array
        All 0 for an image that is constant, or holds nothing but noise on a smooth background.
    """
    from scipy import ndimage

    image = _rounded(image)
    step = max(1, min(image.shape) // 240)  # a smooth surface needs no more pixels than this
    thin = ndimage.gaussian_filter(image, 1.0)[::step, ::step].ravel().astype(np.float64)
    terms = _surface_terms(image.shape)
    basis = np.stack([np.broadcast_to(t, image.shape)[::step, ::step].ravel() for t in terms], 1)
    stiffness = thin.size * np.diag([0, 0.01, 0.01, 0.03, 0.03, 0.03])
    surface = np.zeros(thin.shape)
    dark, bright = _two_levels(thin)
    limit = (dark + bright) / 2
    for _ in range(6):
        low = thin - surface <= limit
        coefficients = np.linalg.solve(basis[low].T @ basis[low] + stiffness, basis[low].T @ thin[low])
        surface = basis @ coefficients
        dark, bright = _two_levels(thin - surface)
        limit = dark + contrast * (bright - dark)
    if not bright > dark:
        return np.zeros(image.shape, np.float32)
    background = dark + sum(c * t for c, t in zip(coefficients, terms, strict=True))
    return ((image - background) / (bright - dark)).astype(np.float32)


def strong_edges(
    grey: np.ndarray, inside: np.ndarray, *, threshold: float = 0.23, sigma: float = 2.3, min_length: int = 25
) -> np.ndarray:
    """Return the crests of the gradient that are strong and long enough to be outlines rather than texture.

    Parameters
    ----------
    grey : (y, x) float array
        From `above_background`.
    inside : (y, x) bool array
        Where edges are looked for.
    threshold : float
        Least gradient magnitude times sigma, which is 0.4 times the height of an ideal step.
    sigma : float
        Width of the Gaussian in px.
    min_length : int
        Shorter chains are dropped (pixels).

    Returns
    -------
    (y, x) bool array
    """
    from scipy import ndimage

    dy = ndimage.gaussian_filter(grey, sigma, order=(1, 0))
    dx = ndimage.gaussian_filter(grey, sigma, order=(0, 1))
    strength = sigma * np.hypot(dy, dx)
    across_y = ndimage.maximum_filter1d(strength, 3, axis=0)
    across_x = ndimage.maximum_filter1d(strength, 3, axis=1)
    crest = strength >= np.where(np.abs(dx) > np.abs(dy), across_x, across_y)
    chains, _ = ndimage.label(crest & inside & (strength > threshold), structure=np.ones((3, 3)))
    long = np.bincount(chains.ravel()) >= min_length
    long[0] = False
    return long[chains]


def join_pieces(pieces: np.ndarray, grey: np.ndarray, *, weight: float = 0.7, clear: float = 0.38) -> np.ndarray:
    """Join neighbouring regions, best pair first, while joining gains.

    Joining a and b gains ``worth(a + b) - worth(a) - worth(b) + weight L^2 u``. The worth of a region is its area
    squared over the area of the ellipse with its second moments, which is its area when it is an ellipse and
    less for everything else. L is the length of their border in px and u how little is seen there: 1 where the
    grey values show nothing, 0 from a clarity of `clear` on, and down to -1/2 from twice to three times that.
    Clarity is the larger of the mean step across the border and its mean depth as a valley: means along a border
    forget texture and remember outlines. So the shapes decide at a visible border; an invisible one counts for
    joining, and the more the longer it is beside the regions.

    Parameters
    ----------
    pieces : (y, x) int array
        Regions to join, numbered from 1; 0 is background.
    grey : (y, x) float array
        From `above_background`.
    weight, clear : float
        See above.

    Returns
    -------
    (y, x) int32 array
        Every region carries the number of one of its pieces.
    """
    from scipy import ndimage

    borders = _borders(pieces, ndimage.gaussian_filter(grey, BORDER_SIGMA))
    moments = _moments(pieces)
    return _join(borders, moments, weight, clear)[pieces].astype(np.int32)


def _rounded(image):
    """Scale the grey values' 0.1 to 99.9 percentiles to 0..LEVELS and round."""
    image = image.astype(np.float64)
    low, high = np.percentile(image, [0.1, 99.9])
    if high <= low:
        low, high = image.min(), image.max()
    if high <= low:
        return np.zeros(image.shape, np.float32)
    return np.clip(np.round((image - low) / (high - low) * LEVELS), -LEVELS, 2 * LEVELS).astype(np.float32)


def _two_levels(values):
    """Return the median of the dark class and the mean of the bright one; twice the median if there is but one.

    Otsu's threshold divides anything, noise too. Two classes are believed when they lie at least five standard
    deviations of the dark one apart; otherwise only what stands out by six is bright (few, small particles).
    """
    from skimage.filters import threshold_otsu

    if values.min() == values.max():
        return values[0], values[0]
    split = threshold_otsu(values)
    dark, bright = np.median(values[values <= split]), values[values > split].mean()
    noise = 1.4826 * np.median(np.abs(values[values <= split] - dark))
    if bright - dark >= 5 * noise:
        return dark, bright
    dark = np.median(values)
    outstanding = values > dark + 6 * 1.4826 * np.median(np.abs(values - dark))
    return dark, values[outstanding].mean() if outstanding.any() else dark


def _surface_terms(shape):
    y = np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, shape[1], dtype=np.float32)[None, :]
    return [np.ones((1, 1), np.float32), y, x, y * y, y * x, x * x]


def _mask(grey, contrast, min_area, pit_radius=3.5):
    """Threshold the lightly smoothed image, drop specks and fill pits of the surface texture."""
    from scipy import ndimage

    inside = ndimage.gaussian_filter(grey, 0.75) > contrast
    specks, _ = ndimage.label(inside)
    small = np.bincount(specks.ravel()) < min_area
    small[0] = False
    inside &= ~small[specks]
    pits, n = ndimage.label(~inside)
    if n and inside.any():
        depth = ndimage.distance_transform_edt(~inside)
        narrow = ndimage.maximum(depth, pits, np.arange(1, n + 1)) <= pit_radius
        inside |= np.concatenate([[False], narrow])[pits]
    return inside


def _flood(inside, edges):
    """Return the catchment of every point of the foreground that lies deepest between edges."""
    from scipy import ndimage
    from skimage.segmentation import watershed

    depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(inside & ~edges), 0.7)
    # The distance to the background alone decides where the edges leave it open, on the edges themselves.
    depth = (depth + 1e-3 * ndimage.distance_transform_edt(inside)).astype(np.float32)
    depth[~inside] = 0
    tops = (depth == ndimage.maximum_filter(depth, 3)) & inside
    seeds, _ = ndimage.label(tops, structure=np.ones((3, 3)))
    return watershed(-depth, seeds, mask=inside)


def _moments(labels):
    """Return area, sums of y, x, y^2, x^2 and x y of every label, as (n + 1, 6)."""
    flat = labels.ravel()
    y, x = np.divmod(np.arange(flat.size, dtype=np.float64), labels.shape[1])
    n = int(flat.max()) + 1
    columns = [np.bincount(flat, weights, n) for weights in (None, y, x, y * y, x * x, y * x)]
    return np.stack(columns, 1).astype(np.float64)


def _worth(m):
    """Return area^2 / (area of the ellipse with these second moments), never more than the area."""
    area = m[0]
    y, x = m[1] / area, m[2] / area
    yy, xx, yx = m[3] / area - y * y + 1 / 12, m[4] / area - x * x + 1 / 12, m[5] / area - y * x
    return min(area, area * area / (4 * np.pi * max(yy * xx - yx * yx, 1e-9) ** 0.5))


def _borders(labels, grey):
    """Return label pairs a < b (0 included) with border length, summed step from a to b, summed valley depth.

    The step is read `REACH` px to either side of the border; a valley is what the border lies below both.
    """
    found = []
    for axis in (0, 1):
        n = labels.shape[axis]
        i = np.arange(n - 1)
        first, second = np.take(labels, i, axis), np.take(labels, i + 1, axis)
        pair = first != second
        before = np.take(grey, np.maximum(i - REACH, 0), axis)[pair]
        after = np.take(grey, np.minimum(i + 1 + REACH, n - 1), axis)[pair]
        at = np.minimum(np.take(grey, i, axis)[pair], np.take(grey, i + 1, axis)[pair])
        found.append((first[pair], second[pair], after - before, np.minimum(before, after) - at))
    first, second, step, valley = (np.concatenate(parts) for parts in zip(*found, strict=True))
    turned = first > second
    a, b = np.where(turned, second, first).astype(np.int64), np.where(turned, first, second)
    width = int(labels.max()) + 1
    keys, inverse = np.unique(a * width + b, return_inverse=True)
    per_px = np.pi / 4  # of border length a crossed pixel side, averaged over directions
    length = per_px * np.bincount(inverse)
    step = per_px * np.bincount(inverse, np.where(turned, -step, step))
    valley = per_px * np.bincount(inverse, valley)
    return keys // width, keys % width, length, step, valley


def _join(borders, moments, weight, clear):
    """Join greedily by falling gain a pixel of the smaller region; return the new number of each label."""
    n = len(moments)
    neighbours: list[dict[int, tuple[float, float, float]]] = [{} for _ in range(n)]
    for a, b, length, step, valley in zip(*(column.tolist() for column in borders), strict=True):
        if a:
            neighbours[a][b] = (length, step, valley)
            neighbours[b][a] = (length, -step, valley)
    sums = [tuple(row) for row in moments.tolist()]
    worth = [_worth(m) if m[0] else 0.0 for m in sums]
    owner, version = list(range(n)), [0] * n

    def gain(a, b):
        length, step, valley = neighbours[a][b]
        clarity = max(abs(step), valley) / (length * clear)
        unseen = 1 - min(clarity, 1.0) - 0.5 * min(max(clarity - 2, 0.0), 1.0)
        union = tuple(p + q for p, q in zip(sums[a], sums[b], strict=True))
        won = _worth(union) - worth[a] - worth[b] + weight * length * length * unseen
        return won / min(sums[a][0], sums[b][0])

    def consider(a, b):
        won = gain(a, b)
        if won > 0:
            heapq.heappush(queue, (-won, a, b, version[a], version[b]))

    queue: list[tuple[float, int, int, int, int]] = []
    for a in range(1, n):
        for b in neighbours[a]:
            if a < b:
                consider(a, b)
    while queue:
        _, a, b, seen_a, seen_b = heapq.heappop(queue)
        if (version[a], version[b]) != (seen_a, seen_b):
            continue  # one of them has changed since
        owner[b] = a
        sums[a] = tuple(p + q for p, q in zip(sums[a], sums[b], strict=True))
        worth[a] = _worth(sums[a])
        version[a] += 1
        version[b] += 1
        del neighbours[a][b], neighbours[b][a]
        for c, (length, step, valley) in neighbours[b].items():
            del neighbours[c][b]
            before = neighbours[a].get(c, (0.0, 0.0, 0.0))
            length, step, valley = length + before[0], step + before[1], valley + before[2]
            neighbours[a][c], neighbours[c][a] = (length, step, valley), (length, -step, valley)
        neighbours[b] = {}
        for c in neighbours[a]:
            consider(a, c)
    for a in range(n):  # a piece's owner may itself have been joined to another
        while owner[a] != owner[owner[a]]:
            owner[a] = owner[owner[a]]
    return np.array(owner)


def _without_gaps(labels, grey, contrast):
    """Drop regions that are dark themselves: gaps between particles, too narrow not to have been filled as pits."""
    from scipy import ndimage

    used = np.unique(labels[labels > 0])
    dark = np.zeros(int(labels.max()) + 1, bool)
    dark[used] = ndimage.median(grey, labels, used) < contrast
    return np.where(dark[labels], 0, labels)


def _without_contrast(labels, grey):
    """Drop regions that hardly stand out from the background along the border they share with it."""
    from scipy import ndimage

    a, b, length, step, _ = _borders(labels, ndimage.gaussian_filter(grey, BORDER_SIGMA))
    outer = a == 0
    mean = np.full(int(labels.max()) + 1, np.inf)
    mean[b[outer]] = step[outer] / length[outer]
    return np.where(mean[labels] < NO_CONTRAST, 0, labels)


def _to_half_height(labels, grey, *, band=2):
    """Move outlines that lie against the background inwards to half the grey level of the edge, by `band` px at most.

    The threshold that finds dim particles lies below the middle of a bright one's blurred edge. Further in a
    dark pixel is shadow or texture, not edge.
    """
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(grey, 0.75)
    top = ndimage.maximum_filter(np.where(labels > 0, smooth, 0), 2 * band + 3)
    rim = (labels > 0) & ndimage.binary_dilation(labels == 0, ndimage.generate_binary_structure(2, 2), band)
    return np.where(rim & (smooth < 0.5 * top), 0, labels)
