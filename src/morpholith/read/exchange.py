"""Scans in HDF5: data-exchange and its relatives, with energies, flats and darks beside the frames."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .energies import in_ev
from .frames import Part, unnamed
from .hdf5 import Dataset, _check, _claim, _datasets, _names, _opened, _plain
from .scale import plausible

PREFERRED = ("exchange/data", "img_xanes", "entry/data/data", "entry1/data/data")
FLATS = re.compile(
    r"(data_white|img_bkg\w*|(mean_?)?(flats?|white|bkg|background|ref|reference)(_?(field|image|data)s?)?)$", re.I
)
DARKS = re.compile(r"(data_dark|img_dark\w*|(mean_?)?(darks?)(_?(field|image|data)s?)?)$", re.I)
ENERGIES = re.compile(r"(x(ray)?_?)?(photon_?)?(energy|energies|eng|ev)(_?list)?(_?k?ev)?$", re.I)
EXPOSURES = re.compile(r"(exposure_?(time|period)s?|count_?time)$", re.I)


def hdf5_part(path: Path, dataset: str | None) -> Part:
    """Open the frames of an HDF5 file, with what lies beside them.

    The frames are `dataset`; else ``exchange/data`` or another usual name; else the largest array of pictures that
    is no flat or dark by its name. Flats (``data_white``, ``img_bkg``, ``flat...``), darks
    (``data_dark``, ``img_dark``, ``dark...``) and energies (``energy``, ``energies``, ``eng_list``, ``X_eng``, ...;
    one for each frame; eV or keV by the attribute ``units``, the name, or the values) are looked for in the group
    of the frames first, then in those above it, then anywhere.

    Raises
    ------
    InputError
        For a damaged file, an absent `dataset`, or no array of pictures.
    """
    with _opened(path) as file:
        found = dict(_datasets(file))
        key, warnings = _chosen(path, file, found, (dataset or "").strip("/"))
        array = file[key]
        warnings += _check(path, key, array)
        axes = unnamed(tuple(array.shape), name=f"{path.name}/{key}")
        near = _by_nearness(found, key)
        energies, energies_from = _energies(path, near, array.shape, axes)
        claim = _claim(file, array, {})
        pixel = plausible(claim.spacing[1:])
        return Part(
            path,
            Dataset(path, key, tuple(array.shape), np.dtype(array.dtype)),
            axes,
            f"HDF5, {array.dtype}",
            energies,
            energies_from,
            pixel,
            claim.source if pixel else "",
            flats=_pictures(path, near, key, FLATS),
            darks=_pictures(path, near, key, DARKS),
            exposure_s=_exposures(near, array.shape),
            warnings=warnings,
            provenance=(("dataset", key),),
        )


def _chosen(path, file, found, wanted) -> tuple[str, tuple[str, ...]]:
    import h5py

    if wanted:
        if wanted not in file:
            raise InputError(f"{path.name} has no dataset {wanted!r}; it has {_names(file)}.")
        if isinstance(file[wanted], h5py.Dataset):
            return wanted, ()
        found = {k: d for k, d in found.items() if k.startswith(wanted + "/")}
    for key in PREFERRED:
        if key in found and _is_picture(found[key]):
            return key, ()
    pictures = {k: d for k, d in found.items() if _is_picture(d)}
    samples = {k: d for k, d in pictures.items() if not FLATS.match(_last(k)) and not DARKS.match(_last(k))}
    if not samples:
        raise InputError(f"{path.name} holds no frames, arrays of (energy, y, x); it has {_names(file)}.")
    key = max(sorted(samples), key=lambda k: samples[k].size)
    alike = [k for k in samples if k != key and samples[k].size == samples[key].size]
    others = sorted(set(samples) - {key})
    if not others:
        return key, ()
    if alike:
        shown = ", ".join(sorted([key, *alike])[:6])
        raise InputError(
            f"{path.name} holds {len(alike) + 1} stacks of one size ({shown}); choose with `dataset` (--dataset)."
        )
    shown = ", ".join(f"{k} {samples[k].shape}" for k in others[:6])
    return key, (f"{path.name}: the largest stack, {key} {samples[key].shape}, is read; there are also {shown}.",)


def _is_picture(node) -> bool:
    return node.dtype.kind in "buif" and node.ndim >= 2 and min(node.shape[-2:]) > 1 and node.size >= 64


def _last(key: str) -> str:
    return key.rpartition("/")[2]


def _by_nearness(found, key) -> list[tuple[str, Any]]:
    """Return the datasets sorted by how many groups lie between them and the frames."""
    home = key.split("/")[:-1]

    def distance(other):
        there = other.split("/")[:-1]
        common = next(
            (k for k, (a, b) in enumerate(zip(home, there, strict=False)) if a != b), min(len(home), len(there))
        )
        return len(home) - common + len(there) - common, other

    return sorted(found.items(), key=lambda item: distance(item[0]))


def _energies(path, near, shape, axes) -> tuple[tuple[float, ...] | None, str]:
    """Return the nearest list of energies that is as long as an axis before y and x, else the nearest of all."""
    lists = [(k, d) for k, d in near if ENERGIES.match(_last(k)) and d.ndim <= 1 and d.dtype.kind in "uif" and d.size]
    before = [n for n, a in zip(shape, axes, strict=True) if a not in "yx"] or [1]
    fitting = [(k, d) for k, d in lists if d.size in before] or lists
    if not fitting:
        return None, ""
    key, node = fitting[0]
    said = _plain(node.attrs.get("units", node.attrs.get("unit")))
    unit = said or ("keV" if key.lower().endswith("kev") else "eV" if key.lower().endswith("_ev") else "")
    values = np.ravel(node[()]).astype(float)
    ev, told = in_ev(values, name=f"{path.name}/{key}", unit=unit)
    return tuple(float(e) for e in ev), f"HDF5 {key} in {told}"


def _pictures(path, near, key, pattern) -> tuple[Part, ...]:
    """Return the nearest dataset of pictures with such a name."""
    home = key.rpartition("/")[0]
    for other, node in near:
        if other != key and pattern.match(_last(other)) and _is_picture(node):
            _check(path, other, node)
            axes = unnamed(tuple(node.shape), name=f"{path.name}/{other}")
            source = Dataset(path, other, tuple(node.shape), np.dtype(node.dtype))
            energies = None
            for name, one in near:  # energy_white, flat_energies: the energies of the flats themselves
                last = _last(name).lower()
                if one.ndim == 1 and re.search(r"energ|_eng|eng_", last) and re.search(r"white|flat|bkg|ref", last):
                    energies = tuple(float(e) for e in in_ev(one[()], name=f"{path.name}/{name}")[0])
                    break
            if (
                home
                and other.rpartition("/")[0] != home
                and "/" in other
                and not home.startswith(other.rpartition("/")[0])
            ):
                continue  # of another measurement in the same file
            return (Part(path, source, axes, f"HDF5 {other}", energies if pattern is FLATS else None),)
    return ()


def _exposures(near, shape) -> tuple[float, ...]:
    for key, node in near:
        if EXPOSURES.match(_last(key)) and node.dtype.kind in "uif" and node.ndim == 1 and node.size == shape[0] > 1:
            return tuple(float(v) for v in node[()])
    return ()
