"""Inner loops of the group-wise registration: a spline template against every frame, one pass over the pixels."""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

N_PARAMETERS = 8  # plane (1, y, x), contrast, shift (y, x), angle, breathing
BLOCK = 256  # pixels whose columns stay in the fastest cache


@njit(cache=True, inline="always")
def _weights(t, value, slope):
    """Fill the four cubic B-spline weights and their derivatives at the fraction `t` of a pixel."""
    u = 1 - t
    value[0] = u * u * u / 6
    value[1] = (4 - 6 * t * t + 3 * t * t * t) / 6
    value[2] = (4 - 6 * u * u + 3 * u * u * u) / 6
    value[3] = t * t * t / 6
    slope[0] = -u * u / 2
    slope[1] = (-4 * t + 3 * t * t) / 2
    slope[2] = (4 * u - 3 * u * u) / 2
    slope[3] = t * t / 2


@njit(cache=True, fastmath={"contract", "arcp", "nsz", "reassoc"})
def _fill(columns, window, pixels, template, centre, motion, contrast, reach):
    """Fill the columns of one frame's linear model, the data last; return how many pixels are seen.

    They are: plane (1, y, x), template, its derivatives along shift (y, x), angle and breathing.
    """
    wy, sy, wx, sx = np.empty(4), np.empty(4), np.empty(4), np.empty(4)
    cos, sin, s = math.cos(motion[2]), math.sin(motion[2]), 1 / (1 + motion[3])
    height, width = template.shape
    n_seen = 0
    for k in range(len(pixels)):
        i, j = pixels[k, 0], pixels[k, 1]
        if not math.isfinite(window[i, j]):
            columns[:, k] = 0.0
            continue
        n_seen += 1
        py, px = i - centre[0] - motion[0], j - centre[1] - motion[1]
        # inverse of x = (1 + s) R u, where R turns (y, x) by [[cos, -sin], [sin, cos]]
        uy, ux = (cos * py + sin * px) * s, (-sin * py + cos * px) * s
        y = min(max(uy + centre[0], 1.0), height - 3.001)
        x = min(max(ux + centre[1], 1.0), width - 3.001)
        iy, ix = math.floor(y), math.floor(x)
        _weights(y - iy, wy, sy)
        _weights(x - ix, wx, sx)
        value, dy, dx = 0.0, 0.0, 0.0
        for a in range(4):
            v, d = 0.0, 0.0
            for b in range(4):
                t = template[iy - 1 + a, ix - 1 + b]
                v += wx[b] * t
                d += sx[b] * t
            value += wy[a] * v
            dy += sy[a] * v
            dx += wy[a] * d
        g_y, g_x = contrast * dy, contrast * dx
        columns[0, k] = 1.0
        columns[1, k] = (i - centre[0]) / reach
        columns[2, k] = (j - centre[1]) / reach
        columns[3, k] = value
        columns[4, k] = -s * (cos * g_y - sin * g_x)
        columns[5, k] = -s * (sin * g_y + cos * g_x)
        columns[6, k] = g_y * ux - g_x * uy
        columns[7, k] = -s * (g_y * uy + g_x * ux)
        columns[8, k] = window[i, j]
    return n_seen


@njit(cache=True, fastmath=True)
def _products(columns, n, out):
    """Add up the products of columns, each a contiguous line of `n` numbers; lower triangle."""
    for a in range(N_PARAMETERS + 1):
        for b in range(a + 1):
            total = 0.0
            for k in range(n):
                total += columns[a, k] * columns[b, k]
            out[a, b] += total


@njit(cache=True, parallel=True)
def normal_equations(windows, pixels, template, centre, motion, contrast, reach):
    """Accumulate the normal equations of every frame.

    Parameters
    ----------
    windows : (F, h, w) float32
        NaN where nothing was seen.
    pixels : (N, 2) int64
        Which pixels count.
    template : (h, w) float64
        Cubic B-spline coefficients.
    centre : (2,) float64
    motion : (F, 4) float64
        Shift (y, x) in pixels, a few at most, angle in radians, breathing.
    contrast : (F,) float64
        What the template is multiplied by, from the pass before.
    reach : float
        Length in pixels by which coordinates are divided.

    Returns
    -------
    moments : (F, 9, 9) float64
        Products of the 8 columns, and with the data in the last.
    count : (F,) float64
        Pixels seen.
    """
    n_frames = len(windows)
    moments = np.zeros((n_frames, N_PARAMETERS + 1, N_PARAMETERS + 1))
    count = np.zeros(n_frames)
    for f in prange(n_frames):
        columns = np.empty((N_PARAMETERS + 1, BLOCK))
        for start in range(0, len(pixels), BLOCK):
            part = pixels[start : start + BLOCK]
            count[f] += _fill(columns, windows[f], part, template, centre, motion[f], contrast[f], reach)
            _products(columns, len(part), moments[f])
        for a in range(N_PARAMETERS + 1):
            for b in range(a):
                moments[f, b, a] = moments[f, a, b]
    return moments, count


@njit(cache=True, parallel=True)
def scores(windows, pixels, tiles, template, centre, motion, contrast, solution, reach):
    """Return the scores (columns times residual) of every frame, summed over tiles.

    Noise of one frame is correlated over a few pixels (detector, blur, structures of the background); sums over tiles
    may be taken as independent.

    Parameters
    ----------
    tiles : (N,) int64
        Number of the tile that each pixel belongs to.
    solution : (F, 8) float64
        What the normal equations gave, motion increments included.

    Returns
    -------
    (F, tiles, 8) float64
    """
    n_frames = len(windows)
    n_tiles = tiles.max() + 1 if len(tiles) else 0
    summed = np.zeros((n_frames, n_tiles, N_PARAMETERS))
    for f in prange(n_frames):
        columns = np.empty((N_PARAMETERS + 1, len(pixels)))
        _fill(columns, windows[f], pixels, template, centre, motion[f], contrast[f], reach)
        for k in range(len(pixels)):
            rest = columns[N_PARAMETERS, k]
            for a in range(N_PARAMETERS):
                rest -= columns[a, k] * solution[f, a]
            for a in range(N_PARAMETERS):
                summed[f, tiles[k], a] += columns[a, k] * rest
    return summed


@njit(cache=True, parallel=True)
def aligned(coefficients, centre, motion, wanted, out):
    """Evaluate each frame's spline where its particle lies in the reference pose: the one interpolation there is.

    Parameters
    ----------
    coefficients : (F, H, W) float32
        Spline coefficients of each window.
    motion : (F, 4) float64
    wanted : (h, w) bool
        Pixels that are evaluated; the others stay NaN.
    out : (F, h, w) float32
        Filled; it has the particle's centre at `centre` as the windows have. NaN where a window does not reach.
    """
    n_frames, height, width = out.shape
    for f in prange(n_frames):
        wy, sy, wx, sx = np.empty(4), np.empty(4), np.empty(4), np.empty(4)
        cos, sin, s = math.cos(motion[f, 2]), math.sin(motion[f, 2]), 1 + motion[f, 3]
        for i in range(height):
            for j in range(width):
                if not wanted[i, j]:
                    out[f, i, j] = np.nan
                    continue
                uy, ux = i - centre[0], j - centre[1]
                y = s * (cos * uy - sin * ux) + centre[0] + motion[f, 0]
                x = s * (sin * uy + cos * ux) + centre[1] + motion[f, 1]
                if not (1 <= y < coefficients.shape[1] - 2 and 1 <= x < coefficients.shape[2] - 2):
                    out[f, i, j] = np.nan
                    continue
                iy, ix = math.floor(y), math.floor(x)
                _weights(y - iy, wy, sy)
                _weights(x - ix, wx, sx)
                value = 0.0
                for a in range(4):
                    row = 0.0
                    for b in range(4):
                        row += wx[b] * coefficients[f, iy - 1 + a, ix - 1 + b]
                    value += wy[a] * row
                out[f, i, j] = value
