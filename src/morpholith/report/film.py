"""Films of a series before and after alignment: a GIF beside the report, an animated PNG within it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from .. import _checks
from ..errors import InputError
from ..results import ReportFigure

if TYPE_CHECKING:
    from PIL.Image import Image

GIF_BYTES = 6_000_000
PNG_BYTES = 240_000  # up to here a report takes a PNG in as it is, moving
SECONDS = 8.0
ENOUGH, MOST = 24, 72  # frames: pictures are made smaller until enough fit, and more than most are left out
WIDEST_PX, NARROWEST_PX = 640, 120  # of one picture
HEAD_PX = 22
_ORANGE, _PAPER, _INK, _UNSEEN = (230, 159, 0), (255, 255, 255), (34, 34, 34), (214, 222, 230)
_EXTRA = 4  # colours that are no grey level


def film(
    path: str | Path,
    before: ArrayLike,
    after: ArrayLike,
    *,
    energies_ev: ArrayLike | None = None,
    outlines: ArrayLike | None = None,
    max_bytes: int = GIF_BYTES,
) -> None:
    """Write a film of a series, before alignment on the left and after it on the right, as animated GIF.

    Parameters
    ----------
    path : path
        ``.gif``.
    before, after : (frame, y, x) array
        The same frames; NaN (not seen) is drawn pale blue. Each picture is stretched for itself, for the
        contrast changes at the edge.
    energies_ev : (energy,) array, optional
        Written above; repeated for each scan.
    outlines : (y, x) int array, optional
        Labels or mask, drawn at the same place in all frames of both: what moves under it is not aligned.
    max_bytes : int
        Pictures are made smaller until 24 frames fit, then frames are left out until the file is no larger.
    """
    data = _fitted(before, after, energies_ev, outlines, greys=40, kind="gif", max_bytes=max_bytes)
    Path(path).write_bytes(data)


def film_figure(
    before: ArrayLike,
    after: ArrayLike,
    *,
    energies_ev: ArrayLike | None = None,
    outlines: ArrayLike | None = None,
    section: str = "Film",
    max_bytes: int = PNG_BYTES,
) -> ReportFigure:
    """Return the same film as a small animated PNG that a report shows moving."""
    data = _fitted(before, after, energies_ev, outlines, greys=12, kind="png", max_bytes=max_bytes)
    text = "The series before alignment (left) and after it (right). "
    text += "The orange outlines stand still: what moves under them is not aligned. " if outlines is not None else ""
    return ReportFigure(data, text + "Each frame is stretched for itself.", section)


def montage(stacks: Mapping[int, np.ndarray]) -> np.ndarray:
    """Return stacks (frame, y, x) of several particles side by side as one (frame, y, x); NaN between them.

    They keep their size and stand in as many columns as rows, in the order of the mapping.
    """
    arrays = [np.asarray(s, np.float32) for s in stacks.values()]
    if not arrays:
        return np.zeros((0, 1, 1), np.float32)
    if len({len(a) for a in arrays}) != 1:
        raise InputError("stacks that stand side by side must have the same number of frames.")
    height, width = (max(a.shape[k] for a in arrays) + 4 for k in (1, 2))
    columns = math.ceil(math.sqrt(len(arrays) * height / width))
    rows = math.ceil(len(arrays) / columns)
    out = np.full((len(arrays[0]), rows * height, columns * width), np.nan, np.float32)
    for k, a in enumerate(arrays):
        y, x = (k // columns) * height + 2, (k % columns) * width + 2
        out[:, y : y + a.shape[1], x : x + a.shape[2]] = a
    return out


def _fitted(before, after, energies_ev, outlines, *, greys, kind, max_bytes):
    """Largest pictures of which enough go into the file, then as many frames as do."""
    before, after = _checked(before, after)
    energies = _checks.per_frame(energies_ev, len(before))
    edge = None if outlines is None else _edges(np.asarray(outlines))
    if edge is not None and edge.shape != before.shape[1:]:
        raise InputError(f"the outlines have {edge.shape} pixels, the frames {before.shape[1:]}.")

    def encoded(n, step):
        chosen = np.unique(np.linspace(0, len(before) - 1, n).round().astype(int))
        return _encoded([_picture(before[k], after[k], energies[k], edge, greys, step) for k in chosen], kind)

    wanted = min(ENOUGH, len(before))
    for step in range(max(1, math.ceil(before.shape[2] / WIDEST_PX)), max(2, before.shape[2] // NARROWEST_PX + 1)):
        n = int(0.95 * max_bytes * min(3, len(before)) / len(encoded(3, step)))
        if n >= wanted:
            break
    n = min(max(n, 2), MOST, len(before))
    while len(data := encoded(n, step)) > max_bytes and n > 2:
        n = max(2, int(0.95 * n * max_bytes / len(data)))
    return data


def _picture(before, after, energy, edge, greys, step) -> Image:
    """One frame of the film in a palette of `greys` levels and four colours."""
    from PIL import Image, ImageDraw

    panels = []
    for array in (before, after):
        index = _levels(array, greys)
        if edge is not None:
            index = np.where(edge, greys, index)
        panels.append(index.astype(np.uint8))
    ny, nx = before.shape[0] // step, before.shape[1] // step
    if step > 1:
        panels = [_smaller(a, p, step, greys) for a, p in zip((before, after), panels, strict=True)]
    canvas = np.full((ny + HEAD_PX, 2 * nx + 8), greys + 1, np.uint8)
    canvas[HEAD_PX:, :nx], canvas[HEAD_PX:, nx + 8 :] = panels[0][:ny, :nx], panels[1][:ny, :nx]
    picture = Image.fromarray(canvas)
    picture.putpalette(_palette(greys))
    draw = ImageDraw.Draw(picture)
    draw.fontmode = "1"  # without smoothing: its colours are not in the palette
    text = "before" if not np.isfinite(energy) else f"before   {energy:.1f} eV"
    for x, words in ((4, text), (nx + 12, "after")):
        draw.text((x, 3), words, fill=greys + 2, font=_font(min(14, max(9, nx // 14))))
    return picture


def _smaller(array, index, step, greys):
    """A picture averaged over blocks of step x step pixels, outlines kept."""
    ny, nx = array.shape[0] // step, array.shape[1] // step
    blocks = array[: ny * step, : nx * step].reshape(ny, step, nx, step)
    seen = np.isfinite(blocks)
    with np.errstate(invalid="ignore"):
        mean = np.where(seen, blocks, 0).sum(axis=(1, 3)) / seen.sum(axis=(1, 3))
    small = _levels(mean, greys)
    outlined = (index[: ny * step, : nx * step].reshape(ny, step, nx, step) == greys).any(axis=(1, 3))
    return np.where(outlined, greys, small).astype(np.uint8)


def _levels(array, greys):
    seen = np.isfinite(array)
    if not seen.any():
        return np.full(array.shape, greys + 3)
    low, high = np.percentile(array[seen], [0.5, 99.5])
    scaled = (np.nan_to_num(array) - low) / max(high - low, 1e-12)
    return np.where(seen, np.clip((scaled * greys).astype(int), 0, greys - 1), greys + 3)


def _palette(greys):
    levels = np.linspace(0, 255, greys).round().astype(int)
    return [int(v) for g in levels for v in (g, g, g)] + [v for c in (_ORANGE, _PAPER, _INK, _UNSEEN) for v in c]


def _encoded(pictures, kind):
    buffer = BytesIO()
    duration = int(np.clip(1000 * SECONDS / len(pictures), 60, 400))
    first, rest = pictures[0], pictures[1:]
    common = {"save_all": True, "append_images": rest, "duration": duration, "loop": 0}
    if kind == "gif":
        first.save(buffer, format="GIF", optimize=False, disposal=1, **common)
    else:
        first.save(buffer, format="PNG", compress_level=9, **common)
    return buffer.getvalue()


def _font(size):
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _edges(labels):
    """Pixels of a region that have a neighbour outside it."""
    labels = labels.astype(np.int64)
    padded = np.pad(labels, 1)
    edge = np.zeros(labels.shape, bool)
    for dy, dx in ((0, 1), (2, 1), (1, 0), (1, 2)):
        edge |= padded[dy : dy + labels.shape[0], dx : dx + labels.shape[1]] != labels
    return edge & (labels > 0)


def _checked(before, after):
    before, after = np.asarray(before, np.float32), np.asarray(after, np.float32)
    if before.ndim != 3 or before.shape != after.shape or len(before) == 0:
        raise InputError(
            f"a film needs the same frames (frame, y, x) before and after; these are {before.shape} and {after.shape}."
        )
    return before, after
