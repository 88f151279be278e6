"""Scans in zarr: (e, y, x) or (t, e, y, x), with energies in the attributes or in an array beside the frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .energies import in_ev
from .exchange import ENERGIES
from .frames import Part, from_found, unnamed
from .lazy import Found
from .ome_zarr import ZarrArray, _check_chunks, _described, _find, _opened

ATTRIBUTES = ("energies_ev", "energy_ev", "energies", "energy", "energies_kev", "energy_kev")


def zarr_part(path: Path, dataset: str | None) -> Part:
    """Open the frames of a zarr store: the array named, else the full resolution of its only image, else the largest.

    Energies are looked for in the attributes of the array and the groups above it (``energies_ev``, ``energies``,
    ``energy``; also inside ``morpholith``), then in one-dimensional arrays of such a name.

    Raises
    ------
    InputError
        For a store without metadata, an ambiguous or absent `dataset`, or missing chunks.
    """
    import zarr

    warnings: tuple[str, ...] = ()
    root = _opened(path)
    if isinstance(root, zarr.Array):
        key, array, described = "", root, None
    else:
        key, described, warnings = _find(path, root, (dataset or "").strip("/"))
        array = root[key]
    letters, claim = _described(described)
    axes = letters if len(letters) == array.ndim else unnamed(tuple(array.shape), name=f"{path.name}/{key}")
    warnings = (*warnings, *_check_chunks(path, key, array))
    source = ZarrArray(path, key, tuple(array.shape), np.dtype(array.dtype))
    form = f"zarr v{array.metadata.zarr_format}, {array.dtype}"
    part = from_found(path, Found(source, axes, form, claim, warnings, (("dataset", key or "/"),)))
    energies, origin = _energies(path, root, array, key)
    if energies is None:
        return part
    return Part(**{**part.__dict__, "energies": energies, "energies_from": origin})


def _energies(path, root, array, key) -> tuple[tuple[float, ...] | None, str]:
    import zarr

    nodes = [array]
    if not isinstance(root, zarr.Array):
        parts = key.split("/")[:-1]
        nodes += [*(root["/".join(parts[:k])] for k in range(len(parts), 0, -1)), root]
    for node in nodes:
        attributes = dict(node.attrs)
        inside = attributes.get("morpholith")
        for place in (attributes, inside if isinstance(inside, dict) else {}):
            for name in ATTRIBUTES:
                values = place.get(name)
                if isinstance(values, list) and values and all(isinstance(v, int | float) for v in values):
                    unit = "keV" if name.endswith("kev") else "eV" if name.endswith("_ev") else ""
                    ev, told = in_ev(values, name=f"{path.name}, attribute {name}", unit=unit)
                    return tuple(float(e) for e in ev), f"zarr attribute {name} in {told}"
    if isinstance(root, zarr.Group):
        for name, one in root.arrays():
            if one.ndim == 1 and ENERGIES.match(name) and one.dtype.kind in "uif":
                ev, told = in_ev(np.asarray(one[:]), name=f"{path.name}/{name}")
                return tuple(float(e) for e in ev), f"zarr array {name} in {told}"
    return None, ""
