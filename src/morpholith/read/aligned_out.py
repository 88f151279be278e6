"""Registered particles written to disk: OME-Zarr, outline and TIFF of each."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .zarr_out import COMPLETE

CHUNK_BYTES = 2**24
IMAGEJ_BYTES = 2**31


def write_aligned(
    folder: str | Path,
    number: int,
    stack: np.ndarray,
    mask: np.ndarray,
    *,
    corner_px: Sequence[float],
    spacing: Sequence[float] | None,
    energies_ev: Sequence[float] | np.ndarray,
    tiff: bool = True,
) -> list[Path]:
    """Write one registered particle: OME-Zarr, its mask, and the stack as TIFF.

    Parameters
    ----------
    folder : path
        Of the result; the files go into ``aligned/`` in it.
    number : int
        From 1.
    stack : (t, e, y, x) or (e, y, x) array
        Optical density, NaN where not seen; may be lazy: it is taken a scan at a time.
    mask : (y, x) array
        True inside the outline.
    corner_px : (float, float)
        Place of pixel (0, 0) in the field, (y, x).
    spacing : (float, float) or None
        (y, x) in um; None where it is not known.
    energies_ev : (e,) array
        Rising.
    tiff : bool
        Write the TIFF too.

    Returns
    -------
    list of Path
        The files, the OME-Zarr last: where it is, the others are whole.

    Raises
    ------
    InputError
        For shapes that do not fit, energies that do not rise, or a place that cannot be written.
    """
    files = aligned_files(number, stack, mask, corner_px=corner_px, spacing=spacing, energies_ev=energies_ev, tiff=tiff)
    written = []
    for name, writer in files.items():
        path = Path(folder) / name
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            writer(part)
            if path.is_dir():
                shutil.rmtree(path)
            part.replace(path)
        except OSError as error:
            raise InputError(f"{path} cannot be written ({error.strerror or error}); choose another folder.") from error
        finally:
            if part.is_dir():
                shutil.rmtree(part, ignore_errors=True)
            elif part.exists():
                part.unlink()
        written.append(path)
    return written


def aligned_files(
    number: int,
    stack: np.ndarray,
    mask: np.ndarray,
    *,
    corner_px: Sequence[float],
    spacing: Sequence[float] | None,
    energies_ev: Sequence[float] | np.ndarray,
    tiff: bool = True,
) -> dict[str, Callable[[Path], object]]:
    """Return the files of one particle as ``name -> function that writes it``, for ``Result.files``.

    Parameters are those of `write_aligned`.
    """
    ev = np.asarray(energies_ev, float).ravel()
    inside = np.asarray(mask, bool)
    shape = tuple(stack.shape)
    if len(shape) not in (3, 4) or shape[-3:] != (len(ev), *inside.shape) or 0 in shape:
        raise InputError(
            f"`stack` must be (t, e, y, x) or (e, y, x) with {len(ev)} energies and the size of `mask` {inside.shape}; "
            f"got {shape}."
        )
    if np.any(np.diff(ev) <= 0) or not np.all(np.isfinite(ev)):
        raise InputError("`energies_ev` must rise.")
    if int(number) < 1:
        raise InputError(f"`number` of a particle starts at 1, got {number}.")
    corner = tuple(float(c) for c in corner_px)
    pixel = None if spacing is None else tuple(float(s) for s in spacing)
    name = f"aligned/particle_{int(number):03d}"
    files: dict[str, Callable[[Path], object]] = {f"{name}_mask.tif": partial(_write_mask, mask=inside, pixel=pixel)}
    if tiff:
        files[f"{name}.tif"] = partial(_write_stack, stack=stack, ev=ev, pixel=pixel)
    about = {**COMPLETE, "particle": int(number), "energies_ev": ev.tolist(), "corner_px": list(corner)}
    files[f"{name}.zarr"] = partial(_write_zarr, stack=stack, pixel=pixel, corner=corner, about=about)
    return files


def _scans(stack) -> Iterator[np.ndarray]:
    for t in range(stack.shape[0]) if len(stack.shape) == 4 else (None,):
        one = stack if t is None else stack[t]
        yield np.asarray(one[...] if t is None else one, np.float32)


def _write_zarr(path: Path, *, stack, pixel, corner, about) -> None:
    import zarr

    t, e, y, x = (1, *stack.shape)[-4:]
    group = zarr.open_group(str(path), mode="w", zarr_format=3)
    out = group.create_array(
        "0",
        shape=(t, e, y, x),
        dtype=np.float32,
        chunks=(1, max(1, min(e, CHUNK_BYTES // (4 * y * x))), y, x),
        dimension_names=["t", "e", "y", "x"],
        fill_value=float("nan"),
        config={"write_empty_chunks": True},
    )
    for k, one in enumerate(_scans(stack)):
        out[k] = one
    unit = {} if pixel is None else {"unit": "micrometer"}
    steps = pixel or (1.0, 1.0)
    # a custom type, not "channel": viewers then give the energies a slider, and not a layer each
    axes: list[dict[str, str]] = [{"name": "t", "type": "time"}, {"name": "e", "type": "energy"}]
    axes += [{"name": a, "type": "space", **unit} for a in "yx"]
    moves = [
        {"type": "scale", "scale": [1.0, 1.0, *steps]},
        {"type": "translation", "translation": [0.0, 0.0, *(c * s for c, s in zip(corner, steps, strict=True))]},
    ]
    multiscale = {
        "name": f"particle {about['particle']}",
        "axes": axes,
        "datasets": [{"path": "0", "coordinateTransformations": moves}],
    }
    ome: Any = {"version": "0.5", "multiscales": [multiscale]}
    group.attrs.update({"ome": ome, "morpholith": about})


def _write_mask(path: Path, *, mask, pixel) -> None:
    import tifffile

    tifffile.imwrite(path, mask.astype(np.uint8), imagej=True, **_resolution(pixel, axes="YX"))


def _write_stack(path: Path, *, stack, ev, pixel) -> None:
    import tifffile

    t, e, y, x = (1, *stack.shape)[-4:]
    pages = (page for one in _scans(stack) for page in one)
    options = _resolution(pixel, axes="TZYX")
    shape = (t, e, y, x)
    if 4 * t * e * y * x < IMAGEJ_BYTES:
        options["metadata"]["Labels"] = [f"{energy:.3f} eV" for energy in ev] * t
        tifffile.imwrite(path, pages, shape=shape, dtype=np.float32, imagej=True, **options)
    else:  # ImageJ's own header ends there
        tifffile.imwrite(path, pages, shape=shape, dtype=np.float32, bigtiff=True, metadata={"axes": "TZYX"})


def _resolution(pixel, *, axes) -> dict[str, Any]:
    if pixel is None:
        return {"metadata": {"axes": axes}}
    return {"metadata": {"axes": axes, "unit": "um"}, "resolution": (1 / pixel[1], 1 / pixel[0])}
