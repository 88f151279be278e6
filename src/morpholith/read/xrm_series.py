"""Zeiss transmission X-ray microscopes: the energy, exposure and reference image in the header of .xrm and .txrm."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from .broken import cut_off
from .energies import TOP_EV, in_name
from .frames import Part
from .lazy import Index, mapped
from .scale import plausible
from .zeiss import TYPES, _opened, found_in, lies_at

AGREE_EV = 1.0  # the header holds what the encoder read, the name what was asked for
LOW_EV = 100.0
TURNED_DEG = 0.5


@dataclass(frozen=True)
class Reference:
    """The reference image (flat) inside a Zeiss file."""

    path: Path
    shape: tuple[int, int]
    dtype: np.dtype

    def read(self, index: Index) -> np.ndarray:
        """Return a part of it."""
        with _opened(self.path) as ole:
            raw = ole.openstream("ReferenceData/Image").read()
        n = self.shape[0] * self.shape[1]
        if len(raw) < n * self.dtype.itemsize:
            raise cut_off(self.path, "its reference image is incomplete")
        return np.frombuffer(raw, self.dtype, n).reshape(self.shape)[index]


def xrm(path: Path) -> Part:
    """Open a Zeiss file: one picture at one energy (.xrm), or one picture for each energy (.txrm).

    The energy is ``ImageInfo/Energy`` (eV), compared with the one in the name of the file where it has one; the
    pixel size is ``ImageInfo/PixelSize`` (um); the flat is ``ReferenceData/Image`` where there is one.

    Raises
    ------
    InputError
        For a damaged or cut-off file; projections at several angles and one energy; images that the microscope
        has corrected already.
    """
    with _opened(path) as ole:
        found = found_in(path, ole)
        n, height, width = found.source.shape
        # a series holds thousands of files: the directory of each is read once, and not for every frame again
        offset = lies_at(ole, "ImageData1/Image1") if n == 1 else None
        energies, angles, exposures, pixel, corrected = (
            _floats(ole, name) for name in ("Energy", "Angles", "ExpTimes", "PixelSize", "OriginalDataRefCorrected")
        )
        flats, notes = _reference(path, ole, (height, width))
    if corrected.size and corrected.view("<i4")[0] == 1:
        raise InputError(
            f"{path.name} was divided by its reference in the microscope already; export the images as they were "
            f"taken, or the optical density as float TIFF."
        )
    told, origin, more = _energy(path, energies, n)
    if n > 1 and told is None and angles.size >= n and np.ptp(angles[:n]) > TURNED_DEG:
        raise InputError(
            f"{path.name} holds {n} projections at {angles[:n].min():.4g} to {angles[:n].max():.4g} degrees and one "
            f"energy{f' ({energies[0]:.1f} eV)' if energies.size and energies[0] > 0 else ''}, not a frame for each "
            f"energy: it is a tomogram, not a scan."
        )
    edge = float(pixel[0]) if pixel.size else 0.0
    spacing = plausible((edge, edge))
    source = found.source if offset is None else mapped(path, found.source.shape, found.source.dtype, offset=offset)
    return Part(
        path,
        source,
        "eyx" if n > 1 else "oyx",
        found.format,
        told,
        origin,
        spacing,
        "Zeiss ImageInfo/PixelSize" if spacing else "",
        tuple(float(t) for t in exposures[:n]) if exposures.size >= n and (exposures[:n] > 0).all() else (),
        flats=flats,
        warnings=(*more, *notes),
    )


def _floats(ole, name) -> np.ndarray:
    if not ole.exists(f"ImageInfo/{name}"):
        return np.zeros(0, "<f4")
    raw = ole.openstream(f"ImageInfo/{name}").read()
    return np.frombuffer(raw[: len(raw) // 4 * 4], "<f4")


def _energy(path, header, n) -> tuple[tuple[float, ...] | None, str, tuple[str, ...]]:
    """Return one energy an image, from the header where it can be believed, else from the name of the file."""
    named = in_name(path.name)[0] if n == 1 else None
    values = header[:n].astype(float)
    believed = values.size == n and bool(np.all(np.isfinite(values) & (values >= LOW_EV) & (values <= TOP_EV)))
    if believed and (n == 1 or len(set(values)) > 1):
        notes: tuple[str, ...] = ()
        if named is not None and abs(named - values[0]) > AGREE_EV:
            notes = (
                f"{path.name}: its header says {values[0]:.1f} eV, its name {named:.1f} eV; the header is used, which "
                f"holds what the monochromator read.",
            )
        return tuple(float(e) for e in values), "Zeiss ImageInfo/Energy", notes
    if named is not None:
        said = f"says {values[0]:.4g}" if values.size else "has none"
        return (named,), "file names", (f"{path.name}: the energy is taken from its name; its header {said}.",)
    return None, "", ()


def _reference(path, ole, size) -> tuple[tuple[Part, ...], tuple[str, ...]]:
    if not ole.exists("ReferenceData/Image"):
        return (), ()
    code = ole.openstream("ReferenceData/DataType").read(4) if ole.exists("ReferenceData/DataType") else b""
    kind = TYPES.get(int.from_bytes(code, "little"), "") if len(code) == 4 else ""
    n_bytes = ole.get_size("ReferenceData/Image")
    if not kind or n_bytes != size[0] * size[1] * np.dtype(kind).itemsize:
        return (), (
            f"{path.name}: its reference image is not of the size of its image ({n_bytes} bytes); it is not used.",
        )
    raw = ole.openstream("ReferenceData/ExpTime").read(4) if ole.exists("ReferenceData/ExpTime") else b""
    seconds = float(np.frombuffer(raw, "<f4")[0]) if len(raw) == 4 else 0.0
    source = Reference(path, size, np.dtype("<" + kind))
    exposure = (seconds,) if np.isfinite(seconds) and seconds > 0 else ()
    return (Part(path, source, "yx", "Zeiss ReferenceData/Image", exposure_s=exposure),), ()
