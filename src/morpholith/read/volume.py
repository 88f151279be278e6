"""One volume: its format told by content, its axes put in order, its voxel size decided, its voxels left on disk."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from ..errors import InputError
from ..image import Image
from . import raw, slices, stack, voxel
from .broken import guarded
from .lazy import Found, Volume

CONTAINERS = ("HDF5", "zarr")
READERS = {  # signature -> format; the modules are imported when such a file comes
    b"\x89HDF\r\n\x1a\n": "HDF5",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "Zeiss",
    b"NRRD000": "NRRD",
    b"# AmiraMesh": "Amira",
    b"# Avizo": "Amira",
    b"\x93NUMPY": "npy",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
}
MODULES = {"NRRD": "nrrd", "Amira": "amira", "Zeiss": "zeiss", "MetaImage": "metaimage"}
PICTURES = {b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG", b"BM": "BMP"}
KNOWN = "TIFF, a folder of slices, OME-Zarr, HDF5, MetaImage, NRRD, npy, AmiraMesh or Zeiss txm"
ZARR_FILES = ("zarr.json", ".zgroup", ".zarray", ".zattrs", ".zmetadata")


def volume(
    path: str | Path,
    *,
    voxel_size: float | Sequence[float] | None = None,
    dataset: str | None = None,
    shape: Sequence[int] | None = None,
    dtype: str | None = None,
) -> Image:
    """Open a volume with the size of its voxels, and say where that came from. Voxels are read when asked for.

    Parameters
    ----------
    path : path
        TIFF stack (plain, ImageJ, OME, BigTIFF, compressed or not), a folder of slices or a pattern such as
        ``"scan/slice_#.tif"`` (``#`` is a number, ``*`` anything), OME-Zarr 0.4 and
        0.5, HDF5, MetaImage, NRRD, npy, AmiraMesh, Zeiss txm, txrm and xrm; and raw with `shape` and `dtype`.
        The format is told by content, not suffix.
    voxel_size : float or sequence of three floats, optional
        Micrometres along an edge, or (z, y, x). It wins over the file; a difference over 0.1 % is a warning.
    dataset : str, optional
        Which array of an HDF5 file or a zarr store. Without it: the only volume, or the largest with a
        warning that names the others; of an OME-Zarr the full resolution.
    shape, dtype : tuple of int, str, optional
        Of a raw file, (z, y, x) with x running fastest; ``"uint16"``, ``">f4"``.

    Returns
    -------
    Image
        Axes ``"zyx"``. `array` stays on disk: it has shape, dtype and ndim, is indexed with integers and
        slices, can be pickled, and ``numpy.asarray(image.array)`` is all of it. Integers come as stored (in
        the byte order of this machine), truth values as uint8, all others as float32. TIFF that stores 0 as
        white is turned round. NaN are not looked for. `provenance` has ``path``, ``format``,
        ``voxel_size_from`` and ``dataset`` where there is one.

    Raises
    ------
    MissingVoxelSize
        When an axis has no length, from the user or the file. It is never guessed: not z from x, not mm
        where no unit is written.
    InputError
        For a path that is no volume, one slice, a damaged or cut-off file, missing chunks, colours, complex
        numbers, several channels or times, or a voxel outside 0.0001 to 10 000 um.
    """
    given = voxel.option(voxel_size)
    path = Path(path)
    found = _open(path, dataset=dataset, shape=shape, dtype=dtype)
    array, notes = _in_order(found, path)
    spacing, origin, more = voxel.choose(given, found.claim, name=path.name)
    provenance = {"path": str(path), "format": found.format, "voxel_size_from": origin, **dict(found.provenance)}
    return Image(array, "zyx", spacing, provenance=provenance, warnings=(*found.warnings, *notes, *more))  # type: ignore[arg-type]


def _open(path, *, dataset, shape, dtype) -> Found:
    if set(path.name) & set("*#") and not path.exists():
        return slices.pattern(path)
    if not path.exists():
        raise InputError(f"{path} does not exist; check the spelling and the folder.")
    kind = _folder_kind(path) if path.is_dir() else _kind(path, raw_told=shape is not None or dtype is not None)
    if dataset is not None and kind not in CONTAINERS:
        raise InputError(f"`dataset` names an array inside HDF5 or zarr; {path.name} is {kind}: leave it out.")
    if (shape is not None or dtype is not None) and kind != "raw":
        raise InputError(f"{path.name} is {kind} and has its own shape and type; leave out `shape` and `dtype`.")
    with guarded(path, kind):
        return _read(path, kind, dataset=dataset, shape=shape, dtype=dtype)


def _read(path, kind, *, dataset, shape, dtype) -> Found:
    if kind == "raw":
        return raw.raw(path, shape=shape, dtype=dtype)
    if kind == "HDF5":
        return import_module(".hdf5", __package__).hdf5(path, dataset=dataset)
    if kind == "zarr":
        return import_module(".ome_zarr", __package__).ome_zarr(path, dataset=dataset)
    if kind == "folder":
        return slices.folder(path)
    if kind == "TIFF":
        return stack.tiff_stack(path)
    if kind == "npy":
        return raw.npy(path)
    module = MODULES[kind]
    return getattr(import_module(f".{module}", __package__), module)(path)


def _folder_kind(path: Path) -> str:
    if any((path / name).is_file() for name in ZARR_FILES) or path.suffix.lower() == ".zarr":
        return "zarr"
    return "folder"


def _kind(path: Path, *, raw_told: bool) -> str:
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({error.strerror}); check its permissions.") from error
    if not head:
        raise InputError(f"{path} is empty (0 bytes); the copy or the export failed: copy it again.")
    for signature, name in READERS.items():
        if head.startswith(signature):
            return name
    if _is_metaimage(head):
        return "MetaImage"
    if raw_told:
        return "raw"
    for signature, name in PICTURES.items():
        if head.startswith(signature):
            raise InputError(
                f"{path.name} is a single slice ({name}); a volume is needed: give the folder of all slices."
            )
    if head.startswith(b"PK"):
        raise InputError(f"{path.name} is a zip archive; unpack it and give the volume inside.")
    raise InputError(f"{path.name} is not a volume ({_what(head)}): expected {KNOWN}{_raw_hint(path, head)}.")


def _is_metaimage(head: bytes) -> bool:
    first = head.lstrip()[:40].split(b"=")[0].strip().lower()
    return first in (b"objecttype", b"ndims", b"comment") and b"dimsize" in head.lower()


def _is_text(head: bytes) -> bool:
    if set(head) & (set(range(32)) - {9, 10, 12, 13}):
        return False
    try:
        head[:-4].decode("utf-8")  # a character may be cut at the end
    except UnicodeDecodeError as error:
        return error.start > len(head) - 8
    return True


def _what(head: bytes) -> str:
    return "it is text" if _is_text(head) else f"it starts with the bytes {head[:4].hex(' ')}"


def _raw_hint(path: Path, head: bytes) -> str:
    if _is_text(head):
        return ""
    header = next((p.name for s in (".mhd", ".nhdr") for p in [path.with_suffix(s)] if p.is_file()), None)
    return f"; {header} beside it describes it: give that" if header else "; raw numbers need `shape` and `dtype`"


def _in_order(found: Found, path: Path) -> tuple[Volume, list[str]]:
    """Return the volume as (z, y, x), or say why what was found is none."""
    name = path.name
    shape, dtype = found.source.shape, found.source.dtype
    if dtype.kind not in "buif":
        kind = "complex numbers" if dtype.kind == "c" else f"{dtype}, no numbers"
        raise InputError(f"{name} holds {kind}; a volume of real grey levels or labels is needed.")
    if 0 in shape:
        raise InputError(f"{name} holds an array of zero size, {shape}; export it again.")
    sizes = dict(zip(found.axes, shape, strict=True))
    if sizes.get("s", 3) not in (1, 3, 4):
        raise InputError(f"{name} has {sizes['s']} channels a voxel; export one of them as a grey volume.")
    axes, notes = found.axes, []
    longer = {a: n for a, n in sizes.items() if a not in "yxs" and n > 1}
    if len(longer) > 1:
        raise InputError(f"{name} has several axes beside y and x, {_sizes(longer)}: export one volume of them.")
    if longer and "z" not in longer:
        axis = next(iter(longer))
        axes = axes.replace("z", "o").replace(axis, "z")
        called = {"t": "time points", "c": "channels"}.get(axis, f"axis {axis!r}")
        notes.append(f"{name}: its {longer[axis]} images are called {called}; they are taken as slices along z.")
    if not longer or min(sizes.get("y", 1), sizes.get("x", 1)) == 1:
        raise InputError(
            f"{name} is a single slice {tuple(n for n in shape if n > 1)}; a volume is needed: "
            f"give a stack or the folder of all slices."
        )
    if sizes.get("s") == 1:
        axes = axes.replace("s", "o")
    array = Volume(found.source, axes, path, top=found.top)
    if "s" in axes:
        for z in {0, array.shape[0] // 2, array.shape[0] - 1}:
            array[z]  # raises if coloured; the others are checked when they are read
        notes.append(f"{name} is stored in colour but is grey; one channel is used.")
    return array, notes


def _sizes(sizes: dict[str, int]) -> str:
    return ", ".join(f"{a} = {n}" for a, n in sizes.items())
