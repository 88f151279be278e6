"""OME-Zarr 0.4 and 0.5, and plain zarr arrays. A store that lost some of its chunks is noticed."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .broken import AGAIN, cut_off, damaged
from .lazy import Found, Index
from .raw import named
from .voxel import Claim, length

SHOWN = 6
LOOKED_AT = 64  # missing chunks whose neighbours are looked at
MOSTLY, HARDLY = 0.5, 0.1  # shares of fill values beside chunks that are plausibly empty: on average, and at least


@dataclass(frozen=True)
class ZarrArray:
    """An array of a zarr store in a folder; opened where it is read."""

    path: Path
    key: str
    shape: tuple[int, ...]
    dtype: np.dtype

    def read(self, index: Index) -> np.ndarray:
        """Decode the chunks that the part touches."""
        array = _opened(self.path, self.key)
        try:
            return np.asarray(array[index])
        except Exception as error:
            raise damaged(self.path, f"zarr store: a chunk of {self.key or '/'} cannot be decoded", error) from error


def _opened(path: Path, key: str = "") -> Any:
    import zarr

    try:
        return zarr.open(store=str(path), path=key or None, mode="r")
    except Exception as error:
        raise damaged(path, "zarr store", error) from error


def ome_zarr(path: Path, *, dataset: str | None) -> Found:
    """Open one array of a store: the one named, else the full resolution of its only image.

    Raises
    ------
    InputError
        For a store without metadata, an ambiguous or absent `dataset`, or missing chunks that are not
        plausibly empty.
    """
    import zarr

    warnings: tuple[str, ...]
    root = _opened(path)
    if isinstance(root, zarr.Array):
        if dataset:
            raise InputError(f"{path.name} is one zarr array and has no `dataset` {dataset!r}; leave it out.")
        key, array, described, warnings = "", root, None, ()
    else:
        key, described, warnings = _find(path, root, (dataset or "").strip("/"))
        array = root[key]
    told, claim = _described(described)
    axes = told if len(told) == array.ndim else named(array.shape, name=f"{path.name}/{key}")
    warnings = (*warnings, *_check_chunks(path, key, array))
    source = ZarrArray(path, key, tuple(array.shape), np.dtype(array.dtype))
    called = "OME-Zarr" if described else "zarr"
    form = f"{called} (zarr v{array.metadata.zarr_format}), {array.dtype}"
    return Found(source, axes, form, claim, warnings, (("dataset", key or "/"),))


# --- which array ------------------------------------------------------------------------------------------------


def _multiscale(group) -> dict[str, Any] | None:
    attributes = dict(group.attrs)
    inside = attributes.get("ome", attributes)
    found = inside.get("multiscales") if isinstance(inside, dict) else None
    first = found[0] if isinstance(found, list) and found else None
    return first if isinstance(first, dict) and first.get("datasets") else None


def _find(path, root, dataset) -> tuple[str, dict[str, Any] | None, tuple[str, ...]]:
    """Return the key of the array, the multiscale metadata above it, and warnings."""
    import zarr

    if dataset:
        try:
            node = root[dataset]
        except KeyError as error:
            raise InputError(f"{path.name} has no array {dataset!r}; it has {_names(root)}.") from error
        if isinstance(node, zarr.Array):
            above, _, level = dataset.rpartition("/")
            multiscale = _multiscale(root[above] if above else root)
            return dataset, _level(multiscale, level), ()
        return _in_group(path, node, dataset + "/")
    return _in_group(path, root, "")


def _level(multiscale, level):
    """Return the metadata cut down to one level, if it is one of them."""
    if multiscale is None:
        return None
    kept = [one for one in multiscale["datasets"] if one.get("path") == level]
    return {**multiscale, "datasets": kept} if kept else None


def _in_group(path, group, prefix):
    multiscale = _multiscale(group)
    if multiscale is not None:
        key = str(multiscale["datasets"][0].get("path", "0"))
        if key not in group:
            raise cut_off(path, f"its metadata names an array {prefix + key}, which is missing")
        return prefix + key, multiscale, ()
    images = {k: _multiscale(g) for k, g in group.groups() if _multiscale(g)}
    if len(images) == 1:
        key = next(iter(images))
        return _in_group(path, group[key], f"{prefix}{key}/")
    if images:
        shown = ", ".join(sorted(images))
        raise InputError(f"{path.name} holds {len(images)} images ({shown}): choose one with `dataset`.")
    arrays = {k: a for k, a in _arrays(group) if sum(n > 1 for n in a.shape) >= 3 and a.dtype.kind in "buif"}
    if not arrays:
        raise InputError(f"{path.name} holds no volume; it has {_names(group)}.")
    key = max(sorted(arrays), key=lambda k: arrays[k].size)
    others = sorted(set(arrays) - {key})
    notes = (f"{path.name}: the largest array, {prefix}{key}, is read; there are also {', '.join(others[:SHOWN])}.",)
    return prefix + key, None, notes if others else ()


def _arrays(group, prefix="", depth=3) -> Iterator[tuple[str, Any]]:
    for key, array in group.arrays():
        yield prefix + key, array
    if depth:
        for key, inner in group.groups():
            yield from _arrays(inner, f"{prefix}{key}/", depth - 1)


def _names(group) -> str:
    names = [f"{k} {a.shape}" for k, a in _arrays(group)]
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "") if names else "no arrays at all"


# --- axes and scale ---------------------------------------------------------------------------------------------


def _described(multiscale) -> tuple[str, Claim]:
    """Return the letters of the axes and the scale of the level that a multiscale's metadata lists first."""
    if multiscale is None:
        return "", Claim(notes=("it is plain zarr, without OME metadata",))
    axes = multiscale.get("axes")
    if not isinstance(axes, list):
        return "", Claim(notes=("its OME-Zarr metadata has no axes",))
    named_axes = [axis if isinstance(axis, dict) else {"name": axis} for axis in axes]
    letters = "".join(str(axis.get("name", "?")).lower()[:1] or "?" for axis in named_axes)
    if len(set(letters)) < len(letters) or not set("yx") <= set(letters):
        return "", Claim(notes=(f"its OME-Zarr axes are {letters!r}",))
    scale, found = np.ones(len(letters)), False
    steps = [one.get("coordinateTransformations") or [] for one in (multiscale["datasets"][0], multiscale)]
    for transformation in [*steps[0], *steps[1]]:
        values = transformation.get("scale") if isinstance(transformation, dict) else None
        if isinstance(values, list) and len(values) == len(letters):
            scale *= np.array(values, float)
            found = True
    if not found:
        return letters, Claim(notes=("its OME-Zarr metadata has no scale",))
    spacing, missing = [], []
    for letter in "zyx":
        unit = named_axes[letters.index(letter)].get("unit") if letter in letters else None
        factor = length(unit)
        if letter in letters and factor is None:
            missing.append(f"its OME-Zarr axis {letter} has {f'the unit {unit!r}' if unit else 'no unit'}")
        spacing.append(None if factor is None else float(scale[letters.index(letter)]) * factor)
    z, y, x = spacing
    return letters, Claim("OME-Zarr coordinateTransformations", (z, y, x), notes=tuple(missing[:1]))


# --- chunks -----------------------------------------------------------------------------------------------------


def _check_chunks(path, key, array) -> tuple[str, ...]:
    """Compare the chunks on disk with those the shape needs: zarr reads an absent one as its fill value.

    An absent chunk is right when the writer leaves out chunks of nothing but the fill value, and a loss when a
    copy stopped half-way. The metadata do not say which. It is a loss where nothing is there at all, where this
    program wrote the store (it writes every chunk), or where the voxels that border on the gap are mostly other
    than the fill value. Else it is a warning.
    """
    folder = path / key if key else path
    written = tuple(array.shards or array.chunks)
    grid = tuple(math.ceil(n / c) for n, c in zip(array.shape, written, strict=True))
    present = _present(folder, array, len(grid))
    if present is None:
        return ()
    empty = sorted(index for index, size in present.items() if size == 0)
    here = {index for index in present if all(i < n for i, n in zip(index, grid, strict=True))} - set(empty)
    expected = math.prod(grid)
    n_missing = expected - len(here)
    if n_missing == 0:
        return ()
    said = f"{path.name} lacks {n_missing} of the {expected} chunks of its array {key or '/'!r}"
    if not here or empty or _always_written(folder, path) or not _plausibly_empty(array, written, grid, here):
        raise InputError(f"{said}: it is truncated, and would be read as {array.fill_value} there; {AGAIN}.")
    return (f"{said}; they are read as {array.fill_value}, which the voxels around them bear out.",)


def _present(folder: Path, array, ndim) -> dict[tuple[int, ...], int] | None:
    """Return the index of every chunk (or shard) on disk with its size; None for a layout not known here."""
    metadata = array.metadata
    if metadata.zarr_format == 2:
        separator, prefix = metadata.dimension_separator, ""
    else:
        encoding = metadata.chunk_key_encoding
        separator, kind = getattr(encoding, "separator", None), getattr(encoding, "name", "")
        if separator is None or kind not in ("default", "v2"):
            return None
        prefix = f"c{separator}" if kind == "default" else ""
    key = re.compile(re.escape(prefix) + re.escape(separator).join([r"(\d+)"] * ndim) + "$")
    found = {}
    for file in folder.rglob("*"):
        match = key.match(file.relative_to(folder).as_posix())
        if match and file.is_file():
            found[tuple(map(int, match.groups()))] = file.stat().st_size
    return found


def _always_written(folder: Path, root: Path) -> bool:
    """Return whether the writer said that it leaves out no chunk."""
    for place in dict.fromkeys((folder, folder.parent, root)):
        for name in ("zarr.json", ".zattrs"):
            try:
                metadata = json.loads((place / name).read_text())
                attributes = metadata.get("attributes", metadata)
                if attributes.get("morpholith", {}).get("empty_chunks") == "stored":
                    return True
            except (OSError, ValueError, AttributeError):
                continue
    return False


def _plausibly_empty(array, written, grid, here) -> bool:
    """Return whether the voxels that border on missing chunks are fill values, mostly, and at none hardly ever."""
    beside = _borders(grid, here)
    if not beside or array.fill_value is None:
        return False
    shares = []
    for missing in sorted(beside)[:: max(1, len(beside) // LOOKED_AT)]:
        try:
            faces = [_filled(array, written, *border) for border in beside[missing]]
        except Exception:
            return False
        shares.append(float(np.mean(faces)))
    return min(shares) >= HARDLY and float(np.mean(shares)) >= MOSTLY


def _filled(array, written, index, axis, side) -> float:
    """Return the share of fill values in the outermost voxels of a chunk on one side."""
    part = [slice(i * c, min((i + 1) * c, n)) for i, c, n in zip(index, written, array.shape, strict=True)]
    at = part[axis].start if side < 0 else part[axis].stop - 1
    part[axis] = slice(at, at + 1)
    face, fill = np.asarray(array[tuple(part)]), array.fill_value
    return float(np.mean(np.isnan(face) if fill != fill else face == fill))


def _borders(grid, here) -> dict[tuple[int, ...], list[tuple[tuple[int, ...], int, int]]]:
    """Return for each missing chunk the present ones beside it: (chunk, axis, side the missing one is on)."""
    found: dict[tuple[int, ...], list[tuple[tuple[int, ...], int, int]]] = {}
    for index in sorted(here):
        for axis, side in itertools.product(range(len(grid)), (-1, 1)):
            beside = (*index[:axis], index[axis] + side, *index[axis + 1 :])
            if 0 <= beside[axis] < grid[axis] and beside not in here:
                found.setdefault(beside, []).append((index, axis, side))
    return found
