"""Sub-pixel outlines of labelled particles: compiled kernels behind `morpholith.measure.shape`.

A particle's mask is blurred by a Gaussian of width sigma px; where the blurred mask passes one half runs
its outline. Three errors of that outline are known and removed:

- *Pixelation.* Rounding every pixel to in or out displaces the outline by noise of variance 1/12 px^2 a
  pixel of edge. Blurred along the edge, it has a mean square slope of 1 / (48 sqrt(pi) sigma^3), and the
  length is too long by half of that: EXCESS / sigma^3. (The constant is that value less what
  interpolating the outline linearly between pixels gives back.)
- *Curvature.* A circle of radius r shrinks by sigma^2 / (2 r), but stays a circle: ratios of area and
  squared length do not notice, so only ratios are taken from the outline.
- *Corners.* A corner is cut at a distance proportional to sigma. Two blurs, sigma and 2 sigma, and a
  straight line back to sigma = 0 remove that.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

EXCESS = 0.0053

# columns of the array that `outlines` returns
PIXELS, PIECES, ROW, COLUMN, YY, XX, YX, CIRCULARITY, SOLIDITY, FERET_MAX, FERET_MIN, SIGMA = range(12)
N_COLUMNS = 12


@njit(cache=True)
def boxes(labels, n):
    """First and last row and column of each label 1..n; first > last where it is absent."""
    out = np.empty((n + 1, 4), np.int64)
    out[:, 0], out[:, 1], out[:, 2], out[:, 3] = labels.shape[0], -1, labels.shape[1], -1
    for i in range(labels.shape[0]):
        for j in range(labels.shape[1]):
            k = labels[i, j]
            if k > 0:
                box = out[k]
                box[0], box[1] = min(box[0], i), max(box[1], i)
                box[2], box[3] = min(box[2], j), max(box[3], j)
    return out


@njit(cache=True)
def outlines(labels, present, box, sy, sx, smoothing):
    """Measure each label of `present`: an array (len(present), N_COLUMNS) in pixel and physical units.

    `smoothing` is sigma in px; zero or less lets it follow the particle, see `_sigma`.
    """
    out = np.full((len(present), N_COLUMNS), np.nan)
    for n in range(len(present)):
        k = present[n]
        pad = 2
        mask = _crop(labels, k, box[k], pad)
        if _one_run_a_row(mask):
            out[n, PIECES] = 1
        else:
            out[n, PIECES] = _keep_largest_piece(mask)
            _fill_holes(mask)
        _moments(mask, box[k, 0] - pad, box[k, 2] - pad, sy, sx, out[n])
        sigma = smoothing if smoothing > 0 else _sigma(out[n, PIXELS])
        out[n, SIGMA] = sigma
        _ratios(mask, out[n, PIXELS], sigma, sy, sx, out[n])
    return out


@njit(cache=True)
def _sigma(pixels):
    """Blur for the first outline: six hundredths of the radius, but 1 px at least and 2 px at most."""
    return min(2.0, max(1.0, 0.06 * np.sqrt(pixels / np.pi)))


@njit(cache=True)
def _ratios(mask, pixels, sigma, sy, sx, row):
    """Dimensionless shape at sigma and 2 sigma, extrapolated to no blur; NaN where the outline is lost."""
    area = pixels * sy * sx
    at = np.empty((2, 4))
    for m in range(2):
        s = sigma * (m + 1)
        points, length, enclosed = _half_level(_blur(mask, s), sy, sx, EXCESS / s**3)
        if len(points) < 8 or enclosed <= 0:
            return
        _sort(points)
        hull = _hull(points)
        widest, narrowest, hull_area = _calipers(hull)
        scale = np.sqrt(area / enclosed)
        at[m, 0] = 4 * np.pi * enclosed / length**2
        at[m, 1] = enclosed / hull_area
        at[m, 2] = widest * scale
        at[m, 3] = narrowest * scale
    row[CIRCULARITY] = 2 * at[0, 0] - at[1, 0]
    row[SOLIDITY] = 2 * at[0, 1] - at[1, 1]
    row[FERET_MAX] = 2 * at[0, 2] - at[1, 2]
    row[FERET_MIN] = 2 * at[0, 3] - at[1, 3]


@njit(cache=True)
def _crop(labels, k, box, pad):
    rows, cols = box[1] - box[0] + 1, box[3] - box[2] + 1
    mask = np.zeros((rows + 2 * pad, cols + 2 * pad), np.uint8)
    for i in range(rows):
        for j in range(cols):
            mask[i + pad, j + pad] = labels[box[0] + i, box[2] + j] == k
    return mask


@njit(cache=True)
def _one_run_a_row(mask):
    """Whether the mask is surely one piece without holes: one run in each row, touching the one before."""
    last_start, last_stop, ended = -1, -1, False
    for i in range(mask.shape[0]):
        start, stop = -1, -1
        for j in range(mask.shape[1]):
            if mask[i, j]:
                if start < 0:
                    start = j
                elif stop < j - 1:
                    return False
                stop = j
        if start >= 0 and last_start >= 0 and (start > last_stop + 1 or stop < last_start - 1):
            return False
        if start >= 0 and ended:
            return False
        ended = (start < 0 and last_start >= 0) or ended
        last_start, last_stop = start, stop
    return True


@njit(cache=True)
def _flood(mask, i, j, old, new, diagonal, stack):
    """Repaint the piece of `old` that holds (i, j); return its size."""
    rows, cols = mask.shape
    stack[0] = i * cols + j
    mask[i, j] = new
    top, count = 1, 0
    while top:
        top -= 1
        i, j = stack[top] // cols, stack[top] % cols
        count += 1
        for di in range(-1, 2):
            for dj in range(-1, 2):
                if not diagonal and di != 0 and dj != 0:
                    continue
                a, b = i + di, j + dj
                if 0 <= a < rows and 0 <= b < cols and mask[a, b] == old:
                    mask[a, b] = new
                    stack[top] = a * cols + b
                    top += 1
    return count


@njit(cache=True)
def _keep_largest_piece(mask):
    """Erase all but the largest 8-connected piece, in place; return how many pieces there were."""
    stack = np.empty(mask.size, np.int64)
    pieces, best, best_at = 0, 0, -1
    for i in range(mask.shape[0]):
        for j in range(mask.shape[1]):
            if mask[i, j] == 1:
                pieces += 1
                size = _flood(mask, i, j, 1, 2, True, stack)
                if size > best:
                    best, best_at = size, i * mask.shape[1] + j
    if pieces > 1:
        _flood(mask, best_at // mask.shape[1], best_at % mask.shape[1], 2, 3, True, stack)
    keep = 3 if pieces > 1 else 2
    for i in range(mask.shape[0]):
        for j in range(mask.shape[1]):
            mask[i, j] = mask[i, j] == keep
    return pieces


@njit(cache=True)
def _fill_holes(mask):
    """Set background that the particle encloses (4-connected) to particle, in place."""
    stack = np.empty(mask.size, np.int64)
    _flood(mask, 0, 0, 0, 2, False, stack)
    for i in range(mask.shape[0]):
        for j in range(mask.shape[1]):
            mask[i, j] = mask[i, j] != 2


@njit(cache=True)
def _moments(mask, top, left, sy, sx, row):
    """Count, centroid in px and central second moments in um^2 (each pixel a small rectangle)."""
    n, si, sj = 0, 0.0, 0.0
    for i in range(mask.shape[0]):
        for j in range(mask.shape[1]):
            if mask[i, j]:
                n, si, sj = n + 1, si + i, sj + j
    ci, cj = si / n, sj / n
    ii, jj, ij = 0.0, 0.0, 0.0
    for i in range(mask.shape[0]):
        for j in range(mask.shape[1]):
            if mask[i, j]:
                ii, jj, ij = ii + (i - ci) ** 2, jj + (j - cj) ** 2, ij + (i - ci) * (j - cj)
    row[PIXELS], row[ROW], row[COLUMN] = n, top + ci, left + cj
    row[YY], row[XX], row[YX] = (ii / n + 1 / 12) * sy * sy, (jj / n + 1 / 12) * sx * sx, ij / n * sy * sx


@njit(cache=True, fastmath=True)
def _blur(mask, sigma):
    """Gaussian blur of a mask, zero outside: along rows by differences of the summed kernel, run by run."""
    half = math.ceil(3.5 * sigma)
    kernel = np.empty(2 * half + 1, np.float32)
    total = 0.0
    for t in range(-half, half + 1):
        total += math.exp(-0.5 * (t / sigma) ** 2)
    for t in range(-half, half + 1):
        kernel[t + half] = math.exp(-0.5 * (t / sigma) ** 2) / total
    rows, cols = mask.shape
    summed = np.zeros(2 * (cols + half) + 3, np.float32)  # sum of the kernel up to an offset
    middle = cols + half + 1
    for t in range(1, len(summed)):
        inside = abs(t - middle) <= half
        summed[t] = summed[t - 1] + (kernel[t - middle + half] if inside else np.float32(0))
    wide = np.zeros((rows, cols), np.float32)
    for i in range(rows):
        start = -1
        for j in range(cols + 1):
            on = j < cols and mask[i, j]
            if on and start < 0:
                start = j
            elif not on and start >= 0:
                for c in range(cols):
                    wide[i, c] += summed[middle + j - 1 - c] - summed[middle + start - 1 - c]
                start = -1
    out = np.zeros((rows, cols), np.float32)
    for i in range(rows):
        for t in range(max(-half, -i), min(half, rows - 1 - i) + 1):
            w = kernel[t + half]
            for j in range(cols):
                out[i, j] += w * wide[i + t, j]
    return out


@njit(cache=True)
def _longer(points):
    out = np.empty((2 * len(points), 2))
    for m in range(len(points)):  # a loop, because a sliced copy takes seconds to compile
        out[m, 0], out[m, 1] = points[m, 0], points[m, 1]
    return out


@njit(cache=True)
def _half_level(f, sy, sx, excess):
    """Marching squares at 1/2: points (y, x) in um, length less `excess`, enclosed area.

    `excess` holds for square pixels; a stretched pixel turns a slope s into s * sy * sx / v, where v is
    the squared physical length of a unit step along the edge.
    """
    rows, cols = f.shape
    points = np.empty((2 * (rows + cols) + 64, 2))
    n, length, twice = 0, 0.0, 0.0
    edge = np.empty((4, 2))
    for i in range(rows - 1):
        for j in range(cols - 1):
            a, b, c, d = f[i, j], f[i, j + 1], f[i + 1, j + 1], f[i + 1, j]
            case = (a > 0.5) + 2 * (b > 0.5) + 4 * (c > 0.5) + 8 * (d > 0.5)
            if case in (0, 15):
                continue
            # where the level crosses the top, right, bottom and left side of this cell
            if (a > 0.5) != (b > 0.5):
                edge[0, 0], edge[0, 1] = i, j + (0.5 - a) / (b - a)
            if (b > 0.5) != (c > 0.5):
                edge[1, 0], edge[1, 1] = i + (0.5 - b) / (c - b), j + 1
            if (d > 0.5) != (c > 0.5):
                edge[2, 0], edge[2, 1] = i + 1, j + (0.5 - d) / (c - d)
            if (a > 0.5) != (d > 0.5):
                edge[3, 0], edge[3, 1] = i + (0.5 - a) / (d - a), j
            joined = a + b + c + d > 2
            for part in range(2):
                p, q = _sides(case, joined, part)
                if p < 0:
                    break
                dy, dx = edge[q, 0] - edge[p, 0], edge[q, 1] - edge[p, 1]
                step = dy * dy + dx * dx
                if step == 0:
                    continue
                v = (dy * dy * sy * sy + dx * dx * sx * sx) / step
                length += np.sqrt(v * step) * (1 - excess * (sy * sx / v) ** 2)
                twice += edge[p, 1] * edge[q, 0] - edge[q, 1] * edge[p, 0]
                if n == len(points):
                    points = _longer(points)
                points[n, 0], points[n, 1] = edge[p, 0] * sy, edge[p, 1] * sx
                n += 1
    return points[:n], length, 0.5 * twice * sy * sx


@njit(cache=True)
def _sides(case, joined, part):
    """From which side to which (top 0, right 1, bottom 2, left 3) the outline crosses a cell.

    The particle lies on the right of the step in array coordinates, so that the shoelace sum of x dy is
    positive. The two ambiguous cases follow the mean of the corners.
    """
    if case == 5:
        if joined:
            return (0, 1) if part == 0 else (2, 3)
        return (0, 3) if part == 0 else (2, 1)
    if case == 10:
        if joined:
            return (3, 0) if part == 0 else (1, 2)
        return (1, 0) if part == 0 else (3, 2)
    if part == 1:
        return -1, -1
    if case == 1:
        return 0, 3
    if case == 2:
        return 1, 0
    if case == 3:
        return 1, 3
    if case == 4:
        return 2, 1
    if case == 6:
        return 2, 0
    if case == 7:
        return 2, 3
    if case == 8:
        return 3, 2
    if case == 9:
        return 0, 2
    if case == 11:
        return 1, 2
    if case == 12:
        return 3, 1
    if case == 13:
        return 0, 1
    return 3, 0


@njit(cache=True)
def _sort(points):
    """Sort (y, x) points by y, ties by x, in place. They come nearly sorted, so insertion is quick."""
    for m in range(1, len(points)):
        y, x = points[m, 0], points[m, 1]
        n = m - 1
        while n >= 0 and (points[n, 0] > y or (points[n, 0] == y and points[n, 1] > x)):
            points[n + 1, 0], points[n + 1, 1] = points[n, 0], points[n, 1]
            n -= 1
        points[n + 1, 0], points[n + 1, 1] = y, x


@njit(cache=True)
def _hull(points):
    """Convex hull (monotone chain) of (y, x) points that are sorted by y."""
    hull = np.empty((2 * len(points) + 1, 2))
    n = 0
    for sweep in range(2):
        base = n
        for m in range(len(points)):
            k = m if sweep == 0 else len(points) - 1 - m
            y, x = points[k, 0], points[k, 1]
            while n - base >= 2:
                ay, ax = hull[n - 1, 0] - hull[n - 2, 0], hull[n - 1, 1] - hull[n - 2, 1]
                by, bx = y - hull[n - 2, 0], x - hull[n - 2, 1]
                if ay * bx - ax * by > 0:
                    break
                n -= 1
            hull[n, 0], hull[n, 1] = y, x
            n += 1
        n -= 1
    return hull[:n]


@njit(cache=True)
def _calipers(hull):
    """Largest and smallest distance of parallel tangents (Feret), and the hull's area."""
    n = len(hull)
    widest, narrowest, twice = 0.0, np.inf, 0.0
    for i in range(n):
        y0, x0 = hull[i]
        y1, x1 = hull[(i + 1) % n]
        twice += x0 * y1 - x1 * y0
        edge = np.sqrt((y1 - y0) ** 2 + (x1 - x0) ** 2)
        height = 0.0
        for j in range(n):
            y, x = hull[j]
            widest = max(widest, (y - y0) ** 2 + (x - x0) ** 2)
            height = max(height, abs((x1 - x0) * (y - y0) - (y1 - y0) * (x - x0)))
        if edge > 0:
            narrowest = min(narrowest, height / edge)
    return np.sqrt(widest), narrowest, 0.5 * abs(twice)
