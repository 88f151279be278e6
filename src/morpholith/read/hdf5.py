"""HDF5: the dataset that is the volume, and the attributes that may say how large its voxels are."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .broken import damaged
from .lazy import Found, Index
from .raw import named
from .voxel import Claim, length

SHOWN = 6
NAMES = ("element_size", "voxel_size", "voxelsize", "pixel_size", "pixelsize")
SUFFIXES = {"_um": 1.0, "_nm": 1e-3, "_mm": 1e3, "_m": 1e6}


@dataclass(frozen=True)
class Dataset:
    """A dataset of an HDF5 file; the file is opened where it is read, and closed again."""

    path: Path
    key: str
    shape: tuple[int, ...]
    dtype: np.dtype

    def read(self, index: Index) -> np.ndarray:
        """Return a part of the dataset."""
        with _opened(self.path) as file:
            return np.asarray(file[self.key][index])


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    import h5py

    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except (OSError, RuntimeError, KeyError) as error:
        raise damaged(path, "HDF5 file", error) from error


def hdf5(path: Path, *, dataset: str | None) -> Found:
    """Open one dataset: the one named, else the only volume, else the largest with a warning.

    The scale is looked for in attributes of the dataset, then of the groups above it, then in small datasets
    beside it: ``element_size_um``, ``voxel_size``, ``pixel_size``, with ``_um``, ``_nm``, ``_mm`` in the name or
    a unit in ``<name>_unit(s)``, ``unit`` or ``units``; and in ``axistags``.

    Raises
    ------
    InputError
        For a damaged file, an absent `dataset`, none that is a volume, or one that this machine cannot decode.
    """
    with _opened(path) as file:
        key, warnings = _choose(path, file, (dataset or "").strip("/"))
        array = file[key]
        tags = _axistags(array)
        axes = "".join(tags) if len(tags) == array.ndim else named(array.shape, name=f"{path.name}/{key}")
        warnings = (*warnings, *_check(path, key, array))
        source = Dataset(path, key, tuple(array.shape), np.dtype(array.dtype))
        return Found(source, axes, f"HDF5, {array.dtype}", _claim(file, array, tags), warnings, (("dataset", key),))


def _choose(path, file, wanted) -> tuple[str, tuple[str, ...]]:
    import h5py

    start: Any = file
    if wanted:
        if wanted not in file:
            raise InputError(f"{path.name} has no dataset {wanted!r}; it has {_names(file)}.")
        start = file[wanted]
        if isinstance(start, h5py.Dataset):
            return wanted, ()
    volumes = {k: d for k, d in _datasets(start).items() if sum(n > 1 for n in d.shape) >= 3 and d.dtype.kind in "buif"}
    if not volumes:
        raise InputError(f"{path.name} holds no volume; it has {_names(start)}.")
    key = max(sorted(volumes), key=lambda k: volumes[k].size)
    others = sorted(set(volumes) - {key})
    if not others:
        return key, ()
    shown = ", ".join(f"{k} {volumes[k].shape}" for k in others[:SHOWN])
    return key, (f"{path.name}: the largest dataset, {key} {volumes[key].shape}, is read; there are also {shown}.",)


def _datasets(group) -> Mapping[str, Any]:
    import h5py

    found: dict[str, Any] = {}

    def visit(_, node):
        if isinstance(node, h5py.Dataset) and node.shape is not None:
            found[node.name.strip("/")] = node

    group.visititems(visit)
    return found


def _names(group) -> str:
    names = [f"{k} {d.shape}" for k, d in _datasets(group).items()]
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "") if names else "no datasets at all"


def _check(path, key, array) -> tuple[str, ...]:
    """Refuse what would be read as something else than was written; warn of chunks never written."""
    import h5py

    if array.dtype.kind not in "buifc" or array.shape is None:
        raise InputError(f"{path.name}: its dataset {key} holds {array.dtype}, not grey levels or labels.")
    plan = array.id.get_create_plist()
    for k in range(plan.get_nfilters()):
        code, _, _, name = plan.get_filter(k)
        if not h5py.h5z.filter_avail(code):
            raise InputError(
                f"{path.name}: its dataset {key} is compressed with {name.decode(errors='replace') or code}, which is "
                f"not installed here; repack it with gzip (h5repack -f GZIP=1)."
            )
    if array.is_virtual:
        gone = sorted({v.file_name for v in array.virtual_sources() if not _exists(path, v.file_name)})
        if gone:
            raise InputError(f"{path.name} takes {key} from other files; {gone[0]} ({len(gone)} in all) is missing.")
    if array.chunks is None:
        return ()
    n = math.prod(math.ceil(s / c) for s, c in zip(array.shape, array.chunks, strict=True))
    missing = n - array.id.get_num_chunks()
    if missing == n:
        raise InputError(f"{path.name}: nothing was ever written to its dataset {key}; export it again.")
    if missing > 0:
        said = f"{path.name}: {missing} of the {n} chunks of {key} were never written"
        return (f"{said}; they are read as {array.fillvalue}.",)
    return ()


def _exists(path, name) -> bool:
    return name == "." or (path.parent / name).is_file()


# --- scale ------------------------------------------------------------------------------------------------------


def _axistags(array) -> dict[str, dict[str, Any]]:
    """Return the axes that vigra and ilastik write beside a dataset, in its order: letter -> entry."""
    try:
        tags = json.loads(_plain(array.attrs["axistags"]))["axes"]
        return {str(tag["key"]).lower(): tag for tag in tags}
    except (KeyError, ValueError, TypeError):
        return {}


def _claim(file, array, tags) -> Claim:
    notes: list[str] = []
    for where, attributes in _places(file, array):
        for name in sorted(attributes, key=_rank):
            base, factor = _parts(name)
            if base is None:
                continue
            numbers = _numbers(attributes[name])
            factor = factor or _unit(attributes, name)
            if numbers is None:
                continue
            if factor is None:
                notes.append(f"its attribute {where}{name} has no unit")
                continue
            three = numbers * 3 if len(numbers) == 1 else numbers
            y, x = (v * factor for v in three[-2:])
            z = three[0] * factor if len(three) == 3 else None  # two are those of a picture
            return Claim(f"HDF5 {where}{name}", (z, y, x))
    steps = [tags.get(a, {}).get("resolution", 0) for a in "zyx"]
    if all(isinstance(s, int | float) and s > 0 for s in steps):
        notes.append("its axistags have a resolution without a unit")
    return Claim(notes=tuple(dict.fromkeys(notes)))


def _places(file, array) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield attributes and small datasets, the nearest to the array first."""
    yield "@", dict(array.attrs)
    group = array.parent
    while True:
        prefix = group.name.rstrip("/") + "/"
        yield f"{prefix}@", dict(group.attrs)
        beside: dict[str, Any] = {}
        for key in group:
            if _parts(key)[0] is not None and getattr(group.get(key), "size", None) in (1, 2, 3):
                beside[key] = group[key][()]
                unit = group[key].attrs.get("units", group[key].attrs.get("unit"))
                if unit is not None:
                    beside[f"{key}_units"] = unit
        yield prefix, beside
        if group.name == "/" or group == file:
            return
        group = group.parent


def _parts(name: str) -> tuple[str | None, float | None]:
    """Return the known name and the factor of a unit in it: ``element_size_um`` -> (element_size, 1)."""
    low = name.lower()
    for suffix, factor in SUFFIXES.items():
        if low.removesuffix(suffix) in NAMES and low.endswith(suffix):
            return low.removesuffix(suffix), factor
    return (low, None) if low in NAMES else (None, None)


def _rank(name: str) -> tuple[int, str]:
    base, _ = _parts(name)
    return (NAMES.index(base) if base else len(NAMES), name)


def _unit(attributes, name) -> float | None:
    for key in (f"{name}_units", f"{name}_unit", "units", "unit"):
        factor = length(_plain(attributes.get(key)))
        if factor is not None:
            return factor
    return None


def _plain(value) -> str:
    if isinstance(value, np.ndarray):
        value = value.flat[0] if value.size else ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value if value is not None else "")


def _numbers(value) -> tuple[float, ...] | None:
    try:
        numbers = tuple(float(v) for v in np.ravel(value))
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) in (1, 2, 3) else None
