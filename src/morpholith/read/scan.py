"""A XANES scan: frames at rising energies, from whatever files a beamline wrote, as optical density on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..image import Image
from . import scale
from .beams import Flat, allot, same_size
from .density import Beam, OpticalDensity
from .scan_check import look
from .scan_energies import common, decide, given_energies
from .scan_files import Gathered, Series, gather, pictures
from .scan_flats import HELD, from_option


def scan(
    paths: str | Path | Sequence[str | Path],
    *,
    energies: str | Path | Sequence[float] | np.ndarray | None = None,
    flat: str | Path | Sequence[str | Path] | np.ndarray | None = None,
    dark: str | Path | Sequence[str | Path] | np.ndarray | None = None,
    dataset: str | None = None,
    pixel_size: float | Sequence[float] | None = None,
    crop: Sequence[int] | None = None,
) -> Image:
    """Open one scan, or several of the same energies, as a stack of optical densities that stays on disk.

    Parameters
    ----------
    paths : path or sequence of paths
        Zeiss ``.xrm`` (a folder or list with a file for each energy) or ``.txrm`` with an energy for each image;
        a TIFF stack or a folder of TIFFs; HDF5 (data-exchange and others); zarr; npy. A stack of four axes is
        (scan, energy, y, x). Several files or folders are several scans. In folders, files called ``ref_...``,
        ``flat...``, ``bkg...`` or ``white...`` are flats, ``dark...`` darks; frames are grouped into scans by their
        names without the energy.
    energies : path or sequence of float, optional
        A list, one a frame, in eV or keV; see `energies`. It wins over the file, and a difference over 1 eV is a
        warning. Without it: the header of Zeiss files, a dataset or attribute, labels of slices, or the names of
        the files (``..._8353_0eV.xrm``, ``8353.0eV``, ``8.353keV``).
    flat, dark : path, sequence of paths, or array, optional
        Pictures without sample, and without beam; else those beside or inside the files. Without flats
        the values must be optical densities already.
    dataset : str, optional
        Which array of an HDF5 file or a zarr store.
    pixel_size : float or pair (y, x), optional
        um. It wins over the file. Where neither says it, spacing is 1 and lengths are in pixels
        (``provenance["pixel_size_from"]`` is ``"none"``).
    crop : four ints, optional
        (y0, y1, x0, x1), in pixels; the last ones are not included.

    Returns
    -------
    Image
        Axes ``"eyx"``, or ``"teyx"`` for several scans. `array` is an `OpticalDensity`: float32, indexed with
        integers and slices, read frame by frame when it is. ``coordinates["e"]`` are eV, rising; frames taken
        at falling energies are turned round. `provenance` says where energies, pixel size, flats and darks came
        from. `warnings` count dropped frames and lost pixels (of all frames up to 256 MiB of counts, else of 16).

    Raises
    ------
    InputError
        For anything that cannot be a scan, in one sentence: no energies, or as many as do not fit; a single frame;
        counts without flats; flats of another size; scans of other energies; damaged files; colours.
    """
    given = given_energies(energies)
    found = gather(paths, dataset=dataset)
    n_given = None if given is None else len(given.ev)
    scans = [one for series in found.series for one in pictures(series, n_given)]
    name = found.name
    decided = [decide(one, given) for one in scans]
    size = _one_size(scans, name)
    ev, more = common(decided, scans, name)
    flats, darks = _beams(flat, dark, found, scans)
    beams, flats_from, flat_notes = _allotted(flats, scans, decided, size, name)
    darks_frames = tuple(f.frame for f in darks)
    same_size(darks_frames, size, what="dark")
    rising = [list(np.argsort(one.ev)) for one in decided]
    array = OpticalDensity(
        tuple(tuple(one.frames[k] for k in order) for one, order in zip(scans, rising, strict=True)),
        None if beams is None else tuple(tuple(b[k] for k in order) for b, order in zip(beams, rising, strict=True)),
        Beam(darks_frames) if darks_frames and beams is not None else None,
        None,
        _window(crop, size),
        several=len(scans) > 1,
    )
    array, seen = look(array, ev, name=name)
    spacing, origin, scale_notes = _pixel(pixel_size, found, name)
    provenance = {
        "path": "; ".join(found.paths),
        "format": found.format,
        "energies_from": decided[0].origin,
        "pixel_size_from": origin,
        "flats_from": flats_from,
        "darks_from": f"{len(darks)} dark{'s' * (len(darks) > 1)}, {darks[0].frame.path.name}" if darks else "none",
        **found.provenance,
    }
    if crop is not None:
        provenance["crop"] = ",".join(str(int(c)) for c in crop)
    notes = (
        *found.warnings,
        *dict.fromkeys(n for d in decided for n in d.notes),
        *more,
        *flat_notes,
        *seen,
        *scale_notes,
    )
    axes = "teyx" if array.several else "eyx"
    return Image(array, axes, spacing, {"e": ev}, provenance, tuple(dict.fromkeys(notes)))  # type: ignore[arg-type]


# --- frames, flats, scale ---------------------------------------------------------------------------------------


def _one_size(scans: list[Series], name) -> tuple[int, int]:
    size = scans[0].frames[0].shape
    for one in scans:
        for frame in one.frames:
            if frame.shape != size:
                raise InputError(
                    f"{frame.path.name} is {frame.shape[0]} x {frame.shape[1]} pixels, {scans[0].frames[0].path.name} "
                    f"is {size[0]} x {size[1]}; all frames of {name} must be of one size."
                )
    return size


def _beams(flat, dark, found: Gathered, scans) -> tuple[list[list[Flat]], list[Flat]]:
    """Return the flats of each scan and the darks of all: the user's, else those in the files, else those beside."""
    if flat is None:
        flats = [one.flats or found.flats_for(one) for one in scans]
    else:
        flats = from_option(flat, "flat", scans)
    if dark is None:
        darks = next((one.darks for one in scans if one.darks), []) or found.darks
    else:
        darks = [f for row in from_option(dark, "dark", scans)[:1] for f in row]
    return flats, darks


def _allotted(flats, scans, decided, size, name):
    """Return the beams of each scan; None without flats."""
    if not any(flats):
        return None, "none: the values are taken as optical densities", ()
    all_beams: list[tuple[Beam, ...]] = []
    notes: list[str] = []
    how = ""
    for own, one, energies in zip(flats, scans, decided, strict=True):
        if not own:
            raise InputError(f"{one.name} has no flats, other scans of {name} have; give them with --flat.")
        same_size([f.frame for f in own], size, what="flat")
        exposures = one.exposures if len(one.exposures) == len(one.frames) else [None] * len(one.frames)
        beams, how, more = allot(own, energies.ev, exposures, name=one.name)
        all_beams.append(beams)
        notes += more
    origin = flats[0][0].frame.path.name
    return all_beams, how if origin == HELD.name else f"{how}, {origin}", tuple(notes)


def _pixel(pixel_size, found: Gathered, name) -> tuple[tuple[float, float], str, list[str]]:
    given = scale.option(pixel_size)
    try:
        return scale.choose(given, found.scales, name=name, resolution="")
    except scale.MissingPixelSize:
        said = f"{name} does not say how large its pixels are: lengths are in pixels (--pixel-size UM)."
        return (1.0, 1.0), "none", [said]


def _window(crop, size) -> tuple[int, int, int, int]:
    if crop is None:
        return 0, size[0], 0, size[1]
    try:
        y0, y1, x0, x1 = (int(c) for c in crop)
    except (TypeError, ValueError):
        raise InputError(f"`crop` must be four whole numbers (y0, y1, x0, x1), got {crop!r}.") from None
    if not (0 <= y0 < y1 <= size[0] and 0 <= x0 < x1 <= size[1]):
        raise InputError(
            f"`crop` {y0} {y1} {x0} {x1} does not lie in the frames, {size[0]} x {size[1]} pixels (y0 y1 x0 x1)."
        )
    return y0, y1, x0, x1
