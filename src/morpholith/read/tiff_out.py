"""A TIFF that Fiji opens with its scale, also of a volume that is on disk."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..image import Image

CLASSIC_BYTES = 2**31  # larger ones are BigTIFF


def write_tiff(path: str | Path, image: Image) -> Path:
    """Write an image as an ImageJ TIFF, which Fiji opens with its pixel size; a volume also when it lies on disk.

    Parameters
    ----------
    path : path
        Written under another name first and then renamed, so that no half file is ever seen.
    image : Image
        Axes ``"yx"``, ``"zyx"`` or ``"tyx"``. No scale is written where ``provenance["pixel_size_from"]`` is
        ``"none"``. ImageJ knows uint8, uint16 and float32: truth values become 0
        and 255, other integers uint16 where they fit (labels do) and else float32 where that is exact, and
        float64 loses digits to float32. Volumes and series are taken a slice at a time. Over 2 GB the file is
        a BigTIFF with an OME header, because ImageJ's own header ends there; Fiji opens it through
        Bio-Formats, with its scale.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    InputError
        For other axes, an empty array, integers beyond 16 777 216, or a place that cannot be written.
    """
    import tifffile

    path, array = Path(path), image.array
    if image.axes not in ("yx", "zyx", "tyx") or 0 in image.shape:
        raise InputError(
            f"`image` must have axes 'yx', 'zyx' or 'tyx' and at least a pixel to be written as TIFF; "
            f"got {image.axes!r} {image.shape}."
        )
    dtype = _imagej_type(array)
    big = math.prod(array.shape) * dtype.itemsize > CLASSIC_BYTES and array.ndim == 3
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    slices = (_imagej_values(one, dtype) for one in _slices(array))
    layout: dict[str, Any] = {"ome": True, "bigtiff": True} if big else {"imagej": True, "bigtiff": False}
    try:
        tifffile.imwrite(part, slices, shape=array.shape, dtype=dtype, **layout, **_scale_told(image, big=big))
        part.replace(path)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror or error}); choose another folder.") from error
    finally:
        part.unlink(missing_ok=True)
    return path


def _scale_told(image, *, big) -> dict[str, Any]:
    """Return the options of the writer that tell ImageJ, or OME, how large a voxel is, where that is known."""
    y, x = image.spacing[-2:]
    metadata: dict[str, Any] = {"axes": image.axes.upper()}
    if image.provenance.get("pixel_size_from") == "none":
        return {"metadata": metadata}
    if big:
        sizes = dict(zip([a for a in image.axes.upper() if a in "ZYX"], image.spacing, strict=True))
        for axis, size in sizes.items():
            metadata |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": "µm"}
        return {"metadata": metadata, "resolution": (1e4 / x, 1e4 / y), "resolutionunit": "CENTIMETER"}
    metadata["unit"] = "um"
    if image.axes[0] == "z":
        metadata["spacing"] = str(image.spacing[0])
    return {"metadata": metadata, "resolution": (1 / x, 1 / y)}


def _slices(array) -> Iterator[np.ndarray]:
    """Yield (y, x) arrays; of a lazy volume each is read, and let go."""
    if array.ndim == 2:
        yield np.asarray(array)
        return
    for k in range(array.shape[0]):
        yield np.asarray(array[k])


def _imagej_values(one, dtype):
    return one.astype(np.uint8) * np.uint8(255) if one.dtype == bool else one.astype(dtype)


def _imagej_type(array) -> np.dtype:
    """Return the type ImageJ can hold these values in."""
    if array.dtype in (bool, np.uint8):
        return np.dtype(np.uint8)
    if array.dtype == np.uint16 or array.dtype.kind == "f":
        return np.dtype(np.uint16 if array.dtype == np.uint16 else np.float32)
    if array.dtype.kind not in "iu":
        raise InputError(f"`image` must be numeric to be written as TIFF, got {array.dtype}.")
    ends = [(int(one.min()), int(one.max())) for one in _slices(array)]
    low, high = min(e[0] for e in ends), max(e[1] for e in ends)
    if low >= 0 and high < 2**16:
        return np.dtype(np.uint16)
    if max(-low, high) <= 2**24:
        return np.dtype(np.float32)
    raise InputError(f"`image` holds integers from {low} to {high}, which ImageJ TIFF cannot store exactly.")
