"""Grey levels that change slowly through a volume (cupping, beam hardening, drift along z), and their levelling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CELLS = 5  # cells along an axis of a volume held whole; 2 in each of many blocks
CLEAR, WORTH = 2.0, 0.015  # times its standard error; of the contrast
SCATTER, SPAN = 0.08, 1.0  # of the contrast: above them it is the material that varies


@dataclass(frozen=True)
class Drift:
    """Quadratic fields of the grey level of the dark and the bright phase.

    Attributes
    ----------
    dark, bright : tuple of 7 float
        Coefficients of 1, z, y, x, zz, yy, xx with z, y, x from -1 to 1 over `shape`.
    levels : (float, float)
        Grey levels that the two phases have after levelling.
    shape : (int, int, int)
        Voxels of the volume (inside its box).
    span : float
        Range of the grey level of the bright phase over the volume, as a share of the contrast.
    """

    dark: tuple[float, ...]
    bright: tuple[float, ...]
    levels: tuple[float, float]
    shape: tuple[int, int, int]
    span: float


def level(block: np.ndarray, drift: Drift | None, origin: tuple[int, ...]) -> np.ndarray:
    """Return a block as float32 with both phases at their levels; `origin` is its first voxel within the volume."""
    block = np.asarray(block, np.float32)
    if drift is None:
        return block
    z, y, x = ((2 * (np.arange(n) + o + 0.5) / m - 1) for n, o, m in zip(block.shape, origin, drift.shape, strict=True))
    dark = _field(drift.dark, z, y, x)
    contrast = _field(drift.bright, z, y, x) - dark
    low, high = drift.levels
    return (low + (block - dark) * ((high - low) / contrast)).astype(np.float32)


def slow_field(blocks: np.ndarray, starts: np.ndarray, shape) -> np.ndarray:
    """Return the quadratic field that stacked blocks follow as a whole, as stacked blocks."""
    cells = _cells(blocks, starts, np.ones(blocks.shape, bool), shape)
    if len(cells) < 20:
        return np.full((1, 1, 1, 1), blocks.mean(), np.float32)
    coefficients, _, _ = _fit(cells)
    return np.stack(
        [
            _field(
                coefficients, *(2 * (np.arange(n) + o + 0.5) / m - 1 for n, o, m in zip(b.shape, s, shape, strict=True))
            )
            for b, s in zip(blocks, starts, strict=True)
        ]
    ).astype(np.float32)


def _field(c, z, y, x):
    z, y, x = z[:, None, None], y[None, :, None], x[None, None, :]
    return c[0] + c[1] * z + c[4] * z * z + (c[2] * y + c[5] * y * y) + (c[3] * x + c[6] * x * x)


def find_drift(blocks, starts, cores, *, shape) -> Drift | None:
    """Fit both fields to the cores of the phases in stacked blocks; None where there is no drift worth levelling.

    The medians of the core voxels in cells through the volume are fitted by least squares. A field counts if its root
    mean square is over 1.5 % of the contrast and over 2 of its standard errors, as the scatter of the cells gives
    them, if that scatter is below 8 % of the contrast, and if the field spans no more than it: material that
    differs from place to place is no drift.
    """
    medians = [_cells(blocks, starts, core, shape) for core in cores]
    if min(len(m) for m in medians) < 1:
        return None
    low, high = (float(np.median(m[:, 3])) for m in medians)
    fields, clear = [], []
    for cells in medians:
        coefficients, spread, error = _fit(cells)
        scatter = error * np.sqrt(len(cells) / 6)
        ok = spread > max(WORTH * (high - low), CLEAR * error) and scatter < SCATTER * (high - low)
        clear.append(ok)
        fields.append(coefficients if ok else (float(np.median(cells[:, 3])), *(0.0,) * 6))
    if not any(clear) or not high > low:
        return None
    corners = np.linspace(-1, 1, 9)
    bright = _field(fields[1], corners, corners, corners)
    if not (bright - _field(fields[0], corners, corners, corners)).min() > 0.2 * (high - low):
        return None
    span = max(float(np.ptp(_field(f, corners, corners, corners))) for f in fields) / (high - low)
    if span > SPAN:
        return None
    return Drift(tuple(fields[0]), tuple(fields[1]), (low, high), (int(shape[0]), int(shape[1]), int(shape[2])), span)


def _cells(blocks, starts, core, shape):
    """Return (z, y, x, median) of every cell with at least 50 core voxels."""
    parts = CELLS if len(blocks) == 1 else 2
    rows = []
    for block, start, inside in zip(blocks, starts, core, strict=True):
        cuts = [np.linspace(0, n, min(parts, n) + 1).astype(int) for n in block.shape]
        for index in np.ndindex(*(len(c) - 1 for c in cuts)):
            where = tuple(slice(c[i], c[i + 1]) for c, i in zip(cuts, index, strict=True))
            values = block[where][inside[where]]
            if values.size >= 50:
                middle = [2 * (s + (w.start + w.stop) / 2) / n - 1 for s, w, n in zip(start, where, shape, strict=True)]
                rows.append([*middle, float(np.median(values))])
    return np.array(rows).reshape(-1, 4)


def _fit(cells):
    """Coefficients, root mean square of the field about its mean over the cells, and the standard error of that."""
    z, y, x, g = cells.T
    if len(cells) < 20:
        return (0.0,) * 7, 0.0, np.inf
    design = np.stack([np.ones_like(z), z, y, x, z * z, y * y, x * x], 1)
    coefficients, *_ = np.linalg.lstsq(design, g, rcond=None)
    fitted = design @ coefficients
    residual = g - fitted
    error = np.sqrt((residual**2).sum() / (len(g) - 7) * 6 / len(g))
    return tuple(float(c) for c in coefficients), float(fitted.std()), float(error)
