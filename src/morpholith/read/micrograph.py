"""One micrograph: read, its data bar cut, its colours and grey levels checked, its pixel size decided."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..image import Image
from . import banner, files, grey, raster, scale, tiff, vendors
from .scale import Header
from .tiff import Decoded, Page

MAX_PIXELS = 400e6
BYTES_A_PIXEL = 4  # of the float32 every later stage works in


def image(
    path: str | Path,
    *,
    pixel_size: float | Sequence[float] | None = None,
    page: int | None = None,
    cut_banner: bool = True,
    max_pixels: float = MAX_PIXELS,
) -> Image:
    """Read a micrograph with its pixel size, and say where that came from.

    Parameters
    ----------
    path : path
        TIFF (plain, tiled, multi-page, compressed, BigTIFF), PNG, JPEG or BMP, told by content, not suffix.
    pixel_size : float or pair of float, optional
        Micrometres a pixel, or (y, x). It wins over the file; a disagreement over 2 % is a warning.
    page : int, optional
        Which image of a multi-page file, from 0. Needed when there are several of the same size.
    cut_banner : bool
        Cut the data bar; its height comes from the header where that says it, and else from the pixels.
    max_pixels : float
        Larger images are refused before they are decoded.

    Returns
    -------
    Image
        Axes ``"yx"``; uint8 and uint16 as stored, everything else as float32; 0 is dark. `spacing` is (y, x)
        in um. `provenance` has ``path``, ``sha256``, ``format``, ``pixel_size_from``, ``banner`` and, where
        the file says so, ``instrument``, ``magnification``, ``voltage_kv``. `warnings` are sentences for the
        report.

    Raises
    ------
    MissingPixelSize
        When neither the user nor the file says how large a pixel is. It is never guessed: a resolution in
        dpi is for printers, a magnification depends on the size of a print.
    InputError
        For a path that is no image, a damaged or cut-off file, a coloured photograph, NaN, a constant or
        saturated image, an ambiguous page, or one over `max_pixels`.
    """
    path, given = Path(path), scale.option(pixel_size)
    found = files.kind(path)
    decoded, chosen, warnings = _decode(path, found, page=page, max_pixels=max_pixels)
    warnings += [*files.misnamed(path, found), *decoded.warnings]
    headers = [*decoded.headers, *_sidecars(path, decoded.array.shape[:2])]
    array, bar = decoded.array, ""
    if cut_banner:
        array, bar, notes = _without_banner(array, headers, path.name)
        warnings += notes
    array, notes = grey.to_grey(array, name=path.name)
    warnings += notes
    array = grey.native(array)
    warnings += grey.check(array, name=path.name)
    spacing, origin, notes = scale.choose(given, headers, name=path.name, resolution=decoded.resolution)
    warnings += notes
    provenance = {
        "path": str(path),
        "sha256": files.sha256(path),
        "format": decoded.format + (f", page {chosen}" if chosen else ""),
        "pixel_size_from": origin,
        "banner": bar or "none cut",
    }
    for key in ("instrument", "magnification", "voltage_kv"):
        value = next((getattr(h, key) for h in headers if getattr(h, key)), "")
        if value:
            provenance[key] = value
    return Image(array, "yx", spacing, provenance=provenance, warnings=tuple(warnings))


def pages(path: str | Path) -> list[Page]:
    """List the images in a file: number from 0, (rows, columns), pixel type.

    Raises
    ------
    InputError
        As `image` does for a path that is no image.
    """
    path = Path(path)
    found = files.kind(path)
    return tiff.pages(path) if found == "TIFF" else raster.pages(path, found)


def _decode(path, found, *, page, max_pixels) -> tuple[Decoded, int, list[str]]:
    def check_size(one):
        _check_size(path.name, one, max_pixels=max_pixels)

    if found != "TIFF":
        chosen, warnings = _choose_page(path.name, [Page(0, (0, 0), "")], page)
        return raster.decode(path, found, max_bytes_check=check_size), chosen, warnings
    chosen, warnings = _choose_page(path.name, tiff.pages(path), page)
    return tiff.decode(path, page=chosen, max_bytes_check=check_size), chosen, warnings


def _check_size(name, page, *, max_pixels):
    if page.size > max_pixels:
        raise InputError(
            f"{name} is {page.shape[0]} x {page.shape[1]} px ({page.size / 1e6:.0f} million, "
            f"{page.size * BYTES_A_PIXEL / 1e9:.1f} GB in memory), over the limit of "
            f"{max_pixels / 1e6:.0f} million; crop it, or raise `max_pixels`."
        )


def _choose_page(name, listed, page):
    """Return the page to read: the one asked for, the only one, or the first if the others are smaller."""
    if page is not None:
        if not 0 <= page < len(listed):
            raise InputError(f"{name} has {len(listed)} page(s), counted from 0; there is no page {page}.")
        return page, []
    others = [p for p in listed[1:] if p.size >= listed[0].size]
    if others:
        shown = "; ".join(map(str, listed[:6])) + ("; ..." if len(listed) > 6 else "")
        raise InputError(f"{name} holds {len(listed)} images ({shown}): choose one with `page`, from 0.")
    if len(listed) == 1:
        return 0, []
    rest = "; ".join(map(str, listed[1:4]))
    return 0, [f"{name}: the first of {len(listed)} images is read; the others are smaller (thumbnails?): {rest}."]


def _sidecars(path, shape) -> list[Header]:
    read = [vendors.sidecar(files.text(p.read_bytes()), shape, name=p.name) for p in files.sidecars(path)]
    return [h for h in read if h is not None]


def _without_banner(array, headers, name):
    """Cut the data bar, as the header describes it or else as the pixels show it.

    Returns the array, what was cut in words (empty if nothing), and warnings.
    """
    rows, source = _rows_told(array, headers)
    if rows:
        cut = f"{rows} rows at the bottom, {source}"
        return array[:-rows], cut, [f"{name}: the data bar ({cut}) was cut."]
    light = array if array.ndim == 2 else array[..., :3].mean(axis=-1) if array.shape[-1] > 2 else array[..., 0]
    if light.dtype.kind == "f" and not np.isfinite(light).all():
        return array, "", []
    cuts, warnings = [], []
    for side in ("bottom", "top"):
        strip = banner.find(light, side=side)
        if strip is not None and strip.sure:
            array = array[: -strip.rows] if side == "bottom" else array[strip.rows :]
            cuts.append(f"{strip.rows} rows at the {side}, found in the pixels")
            warnings.append(f"{name}: the data bar ({cuts[-1]}) was cut.")
        elif strip is not None:
            warnings.append(_unsure(strip, name))
    return array, "; ".join(cuts), warnings


def _unsure(strip, name):
    if strip.width < 1:
        what = f"a strip with text covers {strip.width:.0%} of the width"
    elif not strip.edge:
        what = "there seems to be text, but no edge to cut at,"
    else:
        what = "there is a strip of one grey level, with a hard edge but without text,"
    return f"{name}: {what} in {strip.rows} rows at the {strip.side}; not cut: crop it if it is no specimen."


def _rows_told(array, headers):
    """Return the rows of data bar that a header tells of, if they look drawn; 0 where none does."""
    rows, columns = array.shape[:2]
    for header in headers:
        scanned = header.scan_shape and header.scan_shape[1] == columns
        more = rows - header.scan_shape[0] if scanned else 0
        for told, source in ((more, "scan height"), (header.bar_rows or 0, "bar height")):
            if 0 < told <= rows / 2:
                strip = array[-told:].reshape(told, columns, -1)[..., 0]
                if banner.flatness(strip) >= 0.5:
                    return told, f"{source} of {header.source}"
    return 0, ""
