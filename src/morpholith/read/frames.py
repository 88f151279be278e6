"""Pictures of a scan in files of any format: how many a file holds, along which axes, and what it says about them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ..errors import InputError
from .broken import guarded
from .density import Frame
from .energies import in_name
from .lazy import Found, Source
from .raw import npy_array
from .scale import plausible

FORMATS = "Zeiss xrm or txrm, TIFF, HDF5, zarr or npy"


@dataclass(frozen=True)
class Part:
    """What one file holds.

    Parameters
    ----------
    path : Path
        The file.
    source : Source
        The array in it.
    axes : str
        A letter for each axis: y, x; t and e where the file says so; any other for what it does not say, o where
        the length is 1.
    format : str
        In words.
    energies : tuple of float or None
        eV, one a picture (along e), as the file or its name says.
    energies_from : str
        Where they were read.
    pixel_um : tuple of float or None
        (y, x) in um.
    pixel_from : str
        Which tag said so.
    exposure_s : tuple of float
        One a picture, where known.
    flats, darks : tuple of Part
        Those in the same file.
    top : int or None
        Largest level where 0 is white.
    warnings : tuple of str
    """

    path: Path
    source: Source
    axes: str
    format: str
    energies: tuple[float, ...] | None = None
    energies_from: str = ""
    pixel_um: tuple[float, float] | None = None
    pixel_from: str = ""
    exposure_s: tuple[float, ...] = ()
    flats: tuple[Part, ...] = ()
    darks: tuple[Part, ...] = ()
    top: int | None = None
    warnings: tuple[str, ...] = ()
    provenance: tuple[tuple[str, str], ...] = field(default=())

    @property
    def lengths(self) -> dict[str, int]:
        """Letter -> length of the axes beside y and x that are longer than 1, slowest first."""
        return {a: n for a, n in zip(self.axes, self.source.shape, strict=True) if a not in "yxo" and n > 1}

    @property
    def n(self) -> int:
        """Number of pictures."""
        return int(np.prod([n for n in self.lengths.values()], dtype=int))

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of a picture."""
        y, x = (self.source.shape[self.axes.index(a)] for a in "yx")
        return y, x

    def frames(self, slow: str = "") -> list[list[Frame]]:
        """Return the pictures as lists along the axis that is not `slow`, one list for each step of `slow`."""
        lengths = self.lengths
        letters = [a for a in self.axes if a not in "yx"]
        fast = next((a for a in lengths if a != slow), "")
        return [
            [
                Frame(self.source, self.axes, tuple({slow: i, fast: j}.get(a, 0) for a in letters), self.top)
                for j in range(lengths.get(fast, 1))
            ]
            for i in range(lengths.get(slow, 1) if slow else 1)
        ]


def open_part(path: Path, *, dataset: str | None = None, named: bool = True) -> Part:
    """Open one file of pictures; its format is told by content.

    Parameters
    ----------
    path : Path
    dataset : str, optional
        Of an HDF5 file or a zarr store.
    named : bool
        Whether a single picture may have its energy in the name of its file.

    Raises
    ------
    InputError
        For a missing, damaged or cut-off file, one of another kind, colours, or complex numbers.
    """
    from .volume import _folder_kind, _kind

    if not path.exists():
        raise InputError(f"{path} does not exist; check the spelling and the folder.")
    kind = _folder_kind(path) if path.is_dir() else _kind(path, raw_told=False)
    if dataset is not None and kind not in ("HDF5", "zarr"):
        raise InputError(f"`dataset` names an array inside HDF5 or zarr; {path.name} is {kind}: leave it out.")
    opener = _opener(kind)
    if opener is None:
        raise InputError(f"{path.name} is {kind}; the frames of a scan come as {FORMATS}.")
    with guarded(path, kind):
        part = opener(path, dataset)
    _check(part)
    if named and part.energies is None and part.n == 1:
        energy, _ = in_name(path.name)
        if energy is not None:
            part = replace(part, energies=(energy,), energies_from="file names")
    return part


def _opener(kind: str) -> Callable[[Path, str | None], Part] | None:
    from . import exchange, xrm_series
    from .ome_zarr_scan import zarr_part

    return {
        "TIFF": lambda path, _: _tiff(path),
        "npy": lambda path, _: _npy(path),
        "HDF5": exchange.hdf5_part,
        "zarr": zarr_part,
        "Zeiss": lambda path, _: xrm_series.xrm(path),
    }.get(kind)


def unnamed(shape: tuple[int, ...], *, name: str) -> str:
    """Name the axes of an array that does not: the last two are y and x, any longer than 1 before are a, b."""
    longer = [k for k, n in enumerate(shape) if n > 1]
    if (
        len(shape) < 2
        or len(longer) > 4
        or (len(shape) > 2 and not set(longer) & set(range(len(shape) - 2, len(shape))))
    ):
        raise InputError(
            f"{name} holds an array of shape {tuple(shape)}; expected (energy, y, x) or (scan, energy, y, x)."
        )
    before = [k for k in longer if k < len(shape) - 2]
    if len(before) > 2:
        raise InputError(
            f"{name} holds an array of shape {tuple(shape)}; expected (energy, y, x) or (scan, energy, y, x)."
        )
    letters = ["o"] * (len(shape) - 2) + ["y", "x"]
    for letter, k in zip("ab", before, strict=False):
        letters[k] = letter
    return "".join(letters)


def from_found(path: Path, found: Found, axes: str = "") -> Part:
    """Return what a reader of volumes found as pictures; colours that are equal are refused too: a scan is grey."""
    axes = axes or found.axes
    sizes = dict(zip(axes, found.source.shape, strict=True))
    if sizes.get("s", 1) > 1:
        raise InputError(
            f"{path.name} is in colour ({sizes['s']} channels a pixel); a scan is grey: export the counts or the "
            f"optical density as grey TIFF."
        )
    _, y, x = found.claim.spacing
    pixel = plausible((y, x))
    return Part(
        path,
        found.source,
        axes,
        found.format,
        pixel_um=pixel,
        pixel_from=found.claim.source if pixel else "",
        top=found.top,
        warnings=found.warnings,
        provenance=found.provenance,
    )


def _tiff(path) -> Part:
    from . import stack, tiff

    found = stack.tiff_stack(path)
    part = from_found(path, found)
    with tiff.opened(path) as file:
        labels = (file.imagej_metadata or {}).get("Labels") if file.is_imagej else None
    if isinstance(labels, list) and len(labels) == part.n > 1:
        told = [e for e in (in_name(str(label))[0] for label in labels) if e is not None]
        once = list(dict.fromkeys(told))
        if len(told) == part.n and told == once * (len(told) // len(once)):  # several scans repeat the energies
            part = replace(part, energies=tuple(once), energies_from="ImageJ slice labels")
    return part


def _npy(path) -> Part:
    source = npy_array(path)
    return Part(path, source, unnamed(source.shape, name=path.name), f"npy, {source.dtype}")


def _check(part: Part) -> None:
    dtype, shape = part.source.dtype, part.source.shape
    if dtype.kind not in "buif":
        kind = "complex numbers" if dtype.kind == "c" else f"{dtype}, no numbers"
        raise InputError(f"{part.path.name} holds {kind}; frames of counts or optical densities are needed.")
    if 0 in shape:
        raise InputError(f"{part.path.name} holds an array of zero size, {shape}; export it again.")
    if len(part.lengths) > 2:
        said = ", ".join(f"{a} = {n}" for a, n in part.lengths.items())
        raise InputError(f"{part.path.name} has too many axes beside y and x ({said}); export one stack of them.")
    if min(part.size) < 2:
        raise InputError(f"{part.path.name} holds lines of {part.size[0]} x {part.size[1]} pixels, not pictures.")


def series_name(path: Path) -> str:
    """Return the name of the scan a picture belongs to: without its energy, else without its last number."""
    energy, rest = in_name(path.name)
    if energy is not None:
        return rest
    match = re.search(r"(\d+)(?=\D*$)", path.stem)
    return path.name if match is None else f"{path.stem[: match.start()]}#{path.stem[match.end() :]}{path.suffix}"
