"""Volumes written as OME-Zarr, a block at a time, with coarser copies for viewers."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..image import Image

SMALLEST = 64  # a level below this edge helps no viewer
COMPLETE = {"empty_chunks": "stored"}  # every chunk is on disk: one that is not was lost


def write_zarr(
    path: str | Path,
    image: Image,
    *,
    chunks: int | Sequence[int] = 128,
    labels: bool = False,
    levels: int = 3,
) -> Path:
    """Write a volume as OME-Zarr 0.5 (zarr v3), which napari, Fiji and other zarr readers open with its scale.

    Parameters
    ----------
    path : path
        A folder, ``name.zarr``. It appears only when complete; a store of that name is replaced.
    image : Image
        Axes ``"zyx"``. Its array may be on disk, or lazy: it is taken a block at a time, of `chunks` voxels
        where the block matters (level 0) and at most eight times that for the levels.
    chunks : int or three ints
        Voxels of a chunk along z, y, x.
    labels : bool
        Labels: the levels take one voxel in two along each axis, and never mix values. Grey values are
        averaged over 2 x 2 x 2 voxels (fewer at an odd end), and integers rounded.
    levels : int
        At most so many, the full resolution included; fewer where the volume is small.

    Returns
    -------
    Path
        The folder written. Every chunk is stored, also those of zeros, so that a loss shows.

    Raises
    ------
    InputError
        For other axes, no voxel, values that are no numbers, labels that are no integers, or a place that cannot
        be written.
    """
    path, array = Path(path), image.array
    if image.axes != "zyx" or 0 in image.shape or array.dtype.kind not in "buif":
        raise InputError(
            f"`image` must be numbers with axes 'zyx' and at least a voxel to be written as OME-Zarr; "
            f"got {array.dtype} with axes {image.axes!r} {image.shape}."
        )
    if labels and array.dtype.kind == "f":
        raise InputError(f"`labels` must be integers to be written as labels, got {array.dtype}.")
    edges = (int(chunks),) * 3 if np.isscalar(chunks) else tuple(int(c) for c in chunks)  # type: ignore[union-attr,arg-type]
    if len(edges) != 3 or min(edges) < 1 or levels < 1:
        raise InputError(
            f"`chunks` must be one or three positive numbers and `levels` at least 1; got {chunks!r}, {levels!r}."
        )
    if path.exists() and not _is_store(path):
        raise InputError(f"{path} exists and is no zarr store; choose another name.")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        _write(part, image, edges, labels=labels, levels=levels, name=path.name.removesuffix(".zarr"))
        if path.exists():
            shutil.rmtree(path)
        part.replace(path)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror or error}); choose another folder.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return path


def _is_store(path):
    return path.is_dir() and any((path / name).is_file() for name in ("zarr.json", ".zgroup", ".zarray"))


def _write(part: Path, image: Image, edges, *, labels, levels, name) -> None:
    import zarr

    group = zarr.open_group(str(part), mode="w", zarr_format=3)
    dtype = np.dtype(np.uint8) if image.array.dtype.kind == "b" else image.array.dtype.newbyteorder("=")
    shapes = [image.shape]
    while len(shapes) < levels and max(shapes[-1]) > SMALLEST:
        shapes.append(tuple(-(-n // 2) for n in shapes[-1]))
    finer: Any = image.array
    for level, shape in enumerate(shapes):
        kept = tuple(min(c, n) for c, n in zip(edges, shape, strict=True))
        out = group.create_array(
            str(level),
            shape=shape,
            dtype=dtype,
            chunks=kept,
            dimension_names=list("zyx"),
            config={"write_empty_chunks": True},
        )
        for block in blocks(shape, kept):
            out[block] = np.asarray(finer[block], dtype) if level == 0 else _halved(finer, block, dtype, labels=labels)
        finer = out
    group.attrs.update(_metadata(image.spacing, len(shapes), labels=labels, name=name))


def blocks(shape: Sequence[int], edges: Sequence[int]) -> Iterator[tuple[slice, ...]]:
    """Yield the slices of each block of a volume, those at the end cut to fit."""
    for start in itertools.product(*(range(0, n, c) for n, c in zip(shape, edges, strict=True))):
        yield tuple(slice(s, min(s + c, n)) for s, c, n in zip(start, edges, shape, strict=True))


def _halved(finer, block, dtype, *, labels) -> np.ndarray:
    """Return a block of the next level: one voxel in two for labels, else the mean of what the finer level has."""
    source = tuple(slice(2 * s.start, min(2 * s.stop, n)) for s, n in zip(block, finer.shape, strict=True))
    fine = np.asarray(finer[source])
    if labels:
        return fine[::2, ::2, ::2]
    fine = fine.astype(np.float64 if dtype.itemsize > 2 and dtype.kind in "iu" else np.float32)
    for axis in range(3):
        if fine.shape[axis] % 2:  # the last voxel has no partner: its mean is itself
            fine = np.concatenate([fine, fine.take([-1], axis)], axis)
        shape = (*fine.shape[:axis], fine.shape[axis] // 2, 2, *fine.shape[axis + 1 :])
        fine = fine.reshape(shape).mean(axis + 1)
    return np.rint(fine).astype(dtype) if dtype.kind in "iu" else fine.astype(dtype)


def _metadata(spacing, n_levels, *, labels, name) -> dict[str, Any]:
    datasets = []
    for level in range(n_levels):
        factor = 2**level
        steps: list[dict[str, Any]] = [{"type": "scale", "scale": [float(s * factor) for s in spacing]}]
        if level and not labels:  # the centre of a mean lies between the voxels it is of
            steps.append({"type": "translation", "translation": [float(s * (factor - 1) / 2) for s in spacing]})
        datasets.append({"path": str(level), "coordinateTransformations": steps})
    axes = [{"name": a, "type": "space", "unit": "micrometer"} for a in "zyx"]
    ome: dict[str, Any] = {
        "version": "0.5",
        "multiscales": [{"name": name, "type": "nearest" if labels else "mean", "axes": axes, "datasets": datasets}],
    }
    if labels:
        ome["image-label"] = {}
    return {"ome": ome, "morpholith": COMPLETE}
