"""The data bar: a strip with text and a scale bar that microscopes draw under (rarely over) the micrograph.

What tells it from specimen: it is drawn. Its background is one grey level, exactly or within JPEG noise; it
starts at one image row, in every column at once; and it carries thin marks, many of one ink. A background
clipped to black shares the first property only, a straight cross-section the second at most.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

SMALLEST_PX = 64
HIGHEST = 0.25  # of the image: taller strips are not cut
SEARCHED = 0.35
LEVEL_TOLERANCE = 0.03  # of the grey range: JPEG ringing around text
FLAT, NOT_FLAT = 0.85, 0.5  # share of a segment's pixels at the strip's level, below and above its edge
TEXT_FLIPS = 12  # changes between mark and background along a row: six strokes of letters
INK = 0.2  # share of the marks at their commonest level; shaded particles have less
INK_ALONE = 0.35  # where nothing but the ink tells a text from particles


@dataclass(frozen=True)
class Strip:
    """A drawn strip at the top or bottom of an image.

    `rows` is its height, `width` the share of the image width it covers, `text` whether there are letters,
    `edge` whether it has a hard edge against the specimen.
    """

    side: str
    rows: int
    width: float = 1.0
    text: bool = True
    edge: bool = True

    @property
    def sure(self) -> bool:
        """Whether it may be cut."""
        return self.text and self.edge and self.width == 1


@dataclass(frozen=True)
class _Part:
    """The rows searched, seen as drawn background: `level` by column, `on` where a pixel has it.

    `flat` is the share of `on` by row and segment, `edges` the columns between segments.
    """

    grey: np.ndarray
    level: np.ndarray
    on: np.ndarray
    flat: np.ndarray
    edges: np.ndarray
    tolerance: float
    contrast: float


def find(image: np.ndarray, *, side: str = "bottom") -> Strip | None:
    """Find the data bar of a micrograph.

    Parameters
    ----------
    image : (y, x) array
        Finite grey levels.
    side : {"bottom", "top"}

    Returns
    -------
    Strip or None
        `Strip.sure` when it spans the full width, holds text, and takes 1.5 to 25 % of the height.
        Otherwise a strip with the same hard edge but without text, or over a part of the width only, or text
        on black under a specimen as black: it is to be reported, not cut. None for images under 64 px and
        where nothing is drawn. Not found: text printed straight onto the micrograph, boxes that do not reach
        the border, strips with a shaded background.
    """
    if min(image.shape) < SMALLEST_PX:
        return None
    part = _part(image if side == "bottom" else image[::-1])
    starts, below = _starts(part.flat)
    everywhere = (starts.mean(axis=1) >= 0.4) & (below.mean(axis=1) >= 0.75)
    in_line, after_gap = _ends_in_line(part.on)
    least, most = max(10, round(0.015 * len(image))), HIGHEST * len(image)

    def first(candidates, accept):
        """Return the height of the highest drawn strip among the candidates that is accepted."""
        for start in np.flatnonzero(candidates):
            rows = len(part.on) - int(start)
            if least <= rows <= most and _drawn(part.flat[start + 1 :]) and accept(start):
                return rows
        return 0

    if rows := first(everywhere | in_line, lambda y: _has_text(part, y, ink=0 if everywhere[y] else INK)):
        return Strip(side, len(part.on) - _first_row(part, len(part.on) - rows))
    framed = part.on[-2:].mean() >= 0.97  # letters do not touch the border of the image
    if framed and (rows := first(after_gap, lambda y: _has_text(part, y, ink=INK_ALONE))):
        return Strip(side, rows, edge=False)
    if rows := first(everywhere, lambda _: True):
        return Strip(side, len(part.on) - _first_row(part, len(part.on) - rows), text=False)
    return _partial(part, starts, side=side, least=least)


def flatness(strip: np.ndarray) -> float:
    """Return the share of pixels whose right-hand neighbour has the same level: high in a drawn strip."""
    steps = np.abs(np.diff(strip.astype(np.float32), axis=1))
    span = max(float(np.ptp(strip)), 1e-30)
    return float(np.mean(steps <= LEVEL_TOLERANCE * span)) if steps.size else 0.0


def _part(upright):
    rows, columns = upright.shape
    grey = upright[-int(SEARCHED * rows) :].astype(np.float32)
    sample = upright[:: max(1, rows // 500), :: max(1, columns // 500)]
    low, high = np.percentile(sample, [1, 99])
    tolerance = LEVEL_TOLERANCE * max(float(high - low), 1e-12)
    edges = np.linspace(0, columns, int(np.clip(columns // 48, 4, 24)) + 1).astype(int)
    window = grey[-max(6, round(0.03 * rows)) :]
    level = np.concatenate([np.full(b - a, _commonest(window[:, a:b])) for a, b in pairwise(edges)])
    on = np.abs(grey - level) <= tolerance
    flat = np.add.reduceat(on, edges[:-1], axis=1, dtype=np.float32) / np.diff(edges)
    return _Part(grey, level, on, flat, edges, tolerance, 0.25 * float(np.ptp(upright)))


def _commonest(values):
    found, counts = np.unique(values, return_counts=True)
    return found[counts.argmax()]


def _starts(flat):
    """Return, for each row and segment, whether a flat area starts there, and whether it is flat below."""
    three = (flat[:-2] + flat[1:-1] + flat[2:]) / 3  # rows y, y + 1, y + 2
    starts, below = np.zeros(flat.shape, bool), np.zeros(flat.shape, bool)
    inner = slice(4, len(flat) - 3)
    under, over = three[5:], three[: len(three) - 5]  # rows y + 1 .. y + 3 and y - 4 .. y - 2
    below[inner] = under >= FLAT
    starts[inner] = below[inner] & (over <= NOT_FLAT)
    return starts, below


def _ends_in_line(on):
    """Return the rows at which far more columns end than higher up, and those that begin a gap.

    Below both come empty lines of background. The first is how a black bar shows under particles on a black
    background: it cuts them all at one row. The second may also be the rim of such a background.
    """
    ends = np.zeros(len(on))
    ends[2:-1] = np.mean(~on[:-3] & ~on[1:-2] & on[2:-1] & on[3:], axis=1)  # rows y - 2, y - 1; y, y + 1
    empty = on.mean(axis=1) >= 0.97
    begins = np.zeros(len(on), bool)
    begins[1:-3] = ~empty[:-4] & empty[2:-2] & empty[3:-1] & empty[4:]  # row y - 1; y + 1, y + 2, y + 3
    found = np.zeros(len(on), bool)
    for y in np.flatnonzero((ends >= 0.04) & begins):
        found[y] = y > 30 and ends[y] >= 3 * np.quantile(ends[: y - 6], 0.98)
    return found, begins


def _drawn(flat):
    """Whether background dominates the strip, text lines and a few ruled lines apart."""
    return flat.mean() >= 0.5 and np.mean(flat.mean(axis=1) < 0.2) <= 0.2


def _has_text(part, start, columns=slice(None), *, ink):
    """Whether successive rows change between mark and background as often as letters do, in one ink."""
    grey = part.grey[start + 1 :, columns]
    marks = np.abs(grey - part.level[columns]) > part.contrast
    if not 0.002 <= marks.mean() <= 0.5:
        return False
    busy = np.count_nonzero(marks[:, 1:] != marks[:, :-1], axis=1) >= TEXT_FLIPS
    inked = grey[marks]
    alike = np.mean(np.abs(inked - _commonest(inked)) <= part.tolerance)
    return bool(np.convolve(busy, np.ones(4, int)).max(initial=0) >= 4 and alike >= ink)


def _first_row(part, start):
    """Return the exact first row of the strip, a ruled line on top of it included."""
    blank = part.on.mean(axis=1)
    sharp = np.diff(blank[start - 4 : start + 4])
    first = start - 3 + int(sharp.argmax())
    specimen = part.grey[max(first - 16, 0) : max(first - 8, 1)]
    while first > start - 8 and first > 0 and _ruled(part.grey[first - 1 : first], specimen, part.tolerance):
        first -= 1
    return int(first)


def _ruled(row, specimen, tolerance):
    """Whether a row is one level, and the specimen above is of another level or more varied."""

    def uniform(rows, within):
        return np.mean(np.abs(rows - np.median(rows, axis=1, keepdims=True)) <= within)

    apart = abs(np.median(row) - np.median(specimen)) > 2 * tolerance
    exact = uniform(row, tolerance / 6) >= max(0.9, uniform(specimen, tolerance / 6) + 0.25)
    return exact or (apart and uniform(row, tolerance) >= 0.9)


def _partial(part, starts, *, side, least):
    """Return a strip with text that starts in line over some neighbouring segments only, if there is one."""
    n = starts.shape[1]
    for start in np.flatnonzero(starts.sum(axis=1) >= max(3, 0.2 * n)):
        a, b = _longest_run(starts[start])
        columns = slice(part.edges[a], part.edges[b])
        wide = b - a >= max(3, 0.2 * n) and len(part.on) - start >= least
        if wide and _drawn(part.flat[start + 1 :, a:b]) and _has_text(part, start, columns, ink=0):
            width = float(part.edges[b] - part.edges[a]) / part.grey.shape[1]
            return Strip(side, len(part.on) - int(start), min(width, 0.99), text=True)
    return None


def _longest_run(flags):
    bounds = np.flatnonzero(np.diff(np.r_[False, flags, False].astype(int)))
    a, b = max(zip(bounds[::2], bounds[1::2], strict=True), key=lambda run: run[1] - run[0], default=(0, 0))
    return int(a), int(b)
