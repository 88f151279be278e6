"""Volumes written by hand in the formats that have no writer here, byte by byte after their descriptions."""

import bz2
import gzip
import json
import struct
import zlib
from pathlib import Path

import h5py
import numpy as np
import tifffile
import zarr

from morpholith import read
from morpholith.image import Image

SHAPE = (5, 7, 9)
SPACING = (0.5, 0.25, 0.125)


def grey(shape=SHAPE, dtype=np.uint16, seed=0):
    """Return a volume in which no two slices along any axis are alike."""
    return np.random.default_rng(seed).integers(1, 120, shape).astype(dtype)


def _xyz(values):
    return " ".join(f"{v:g}" for v in values[::-1])


MET = {"u1": "MET_UCHAR", "u2": "MET_USHORT", "i2": "MET_SHORT", "f4": "MET_FLOAT", "f8": "MET_DOUBLE", "i4": "MET_INT"}
NRRD = {"u1": "uchar", "u2": "unsigned short", "i2": "short", "f4": "float", "f8": "double", "i4": "int"}
AMIRA = {"u1": "byte", "u2": "ushort", "i2": "short", "f4": "float", "f8": "double", "i4": "int"}


def metaimage(path, array, spacing=SPACING, *, unit="um", big=False, packed=False, text=False, extra="", header_size=0):
    """Write .mha (numbers inside) or .mhd (numbers in .raw or .zraw beside)."""
    values = array.astype(array.dtype.newbyteorder(">" if big else "<"))
    data = zlib.compress(values.tobytes()) if packed else values.tobytes()
    if text:
        data = " ".join(map(str, array.ravel().tolist())).encode()
    data = bytes(header_size) + data
    local = path.suffix == ".mha"
    other = path.with_suffix(".zraw" if packed else ".raw")
    lines = [
        "ObjectType = Image",
        "NDims = 3",
        f"BinaryData = {not text}",
        f"BinaryDataByteOrderMSB = {big}",
        f"CompressedData = {packed}",
        *([f"CompressedDataSize = {len(data)}"] if packed else []),
        *([f"DistanceUnits = {unit}"] if unit else []),
        f"ElementSpacing = {_xyz(spacing)}",
        *([f"HeaderSize = {header_size}"] if header_size else []),
        f"DimSize = {_xyz(array.shape)}",
        *([extra] if extra else []),
        f"ElementType = {MET[array.dtype.str[1:]]}",
        f"ElementDataFile = {'LOCAL' if local else other.name}",
    ]
    head = ("\n".join(lines) + "\n").encode()
    path.write_bytes(head + data if local else head)
    if not local:
        other.write_bytes(data)
    return path


def nrrd(path, array, spacing=SPACING, *, unit="um", encoding="raw", big=False, directions=False, extra=()):
    """Write .nrrd (numbers inside) or .nhdr (numbers beside)."""
    values = array.astype(array.dtype.newbyteorder(">" if big else "<")).tobytes()
    words = " ".join(map(str, array.ravel().tolist())).encode()
    data = {"raw": values, "gzip": gzip.compress(values), "bzip2": bz2.compress(values), "text": words}
    beside = path.suffix == ".nhdr"
    lines = ["NRRD0004", "# by hand", f"type: {NRRD[array.dtype.str[1:]]}", f"dimension: {array.ndim}"]
    lines += [f"sizes: {_xyz(array.shape)}", f"encoding: {encoding}", f"endian: {'big' if big else 'little'}"]
    if directions:
        rows = np.diag(spacing[::-1])
        lines += ["space dimension: 3", "space directions: " + " ".join(f"({a:g},{b:g},{c:g})" for a, b, c in rows)]
        lines += [f'space units: "{unit}" "{unit}" "{unit}"'] if unit else []
    else:
        lines += [f"spacings: {_xyz(spacing)}", *([f'units: "{unit}" "{unit}" "{unit}"'] if unit else [])]
    lines += [*extra, *([f"data file: {path.stem}.bin"] if beside else [])]
    head = ("\n".join(lines) + "\n\n").encode()
    path.write_bytes(head if beside else head + data[encoding])
    if beside:
        path.with_suffix(".bin").write_bytes(data[encoding])
    return path


def run_lengths(raw):
    """Pack bytes as pairs (count, value) where they repeat, else as literal runs."""
    out, at = bytearray(), 0
    while at < len(raw):
        n = 1
        while at + n < len(raw) and n < 127 and raw[at + n] == raw[at]:
            n += 1
        if n > 2:
            out += bytes([n, raw[at]])
        else:
            n = min(5, len(raw) - at)
            out += bytes([128 | n]) + raw[at : at + n]
        at += n
    return bytes(out)


def amira(path, array, spacing=SPACING, *, unit="µm", packing="", big=False, text=False):
    """Write an AmiraMesh lattice: a little- or big-endian header, numbers plain, packed or as text."""
    first = "3D ASCII 2.0" if text else "BINARY 2.0" if big else "BINARY-LITTLE-ENDIAN 2.1"
    values = array.astype(array.dtype.newbyteorder(">" if big else "<")).tobytes()
    data = {"": values, "HxZip": zlib.compress(values), "HxByteRLE": run_lengths(values)}[packing]
    if text:
        data = "\n".join(map(str, array.ravel().tolist())).encode()
    box = " ".join(
        f"{end:g}" for n, s in zip(array.shape[::-1], spacing[::-1], strict=True) for end in (3, 3 + (n - 1) * s)
    )
    units = f'    Units {{\n        Coordinates "{unit}"\n    }}\n' if unit else ""
    head = (
        f"# AmiraMesh {first}\n\n\ndefine Lattice {_xyz(array.shape)}\n\nParameters {{\n{units}"
        f'    Content "a volume, uniform coordinates",\n    BoundingBox {box},\n    CoordType "uniform"\n}}\n\n'
        f"Lattice {{ {AMIRA[array.dtype.str[1:]]} Data }} @1{f'({packing},{len(data)})' if packing else ''}\n\n"
        f"# Data section follows\n@1\n"
    )
    path.write_bytes(head.encode() + data + b"\n")
    return path


SECTOR = 512
END, FREE, FAT = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD


def ole(path, streams):
    """Write an OLE container of streams (``"a/b" -> bytes``); short ones are padded past the small-stream limit."""
    folders = sorted({name.split("/")[0] for name in streams}, key=lambda n: (len(n), n.upper()))
    names = ["", *folders, *streams]
    data = {name: raw.ljust(4096, b"\0") for name, raw in streams.items()}
    n_directory = -(-len(names) * 128 // SECTOR)
    counts = [-(-len(data[name]) // SECTOR) for name in streams]
    total = n_directory + sum(counts)
    n_fat = 1
    while n_fat * 128 < total + n_fat:
        n_fat += 1
    table, starts, body = [FAT] * n_fat, {}, b""
    for name, count in [("", n_directory), *zip(streams, counts, strict=True)]:
        starts[name] = len(table)
        table += [*range(len(table) + 1, len(table) + count), END]
    table += [FREE] * (n_fat * 128 - len(table))
    for name in streams:
        body += data[name].ljust(-(-len(data[name]) // SECTOR) * SECTOR, b"\0")
    entries = b""
    for index, name in enumerate(names):
        inside = [k for k, other in enumerate(names) if "/" in other and other.split("/")[0] == name] if name else []
        siblings = (
            names[1 : 1 + len(folders)]
            if name in folders
            else [s for s in streams if s.split("/")[0] == name.split("/")[0]]
        )
        siblings = sorted(siblings, key=lambda n: (len(n.split("/")[-1]), n.upper())) if name else []
        after = siblings[siblings.index(name) + 1] if name and siblings.index(name) + 1 < len(siblings) else None
        first = min(inside, key=lambda k: (len(names[k]), names[k].upper())) if inside else FREE
        label = (name.split("/")[-1] or "Root Entry").encode("utf-16-le")
        kind = 5 if index == 0 else 1 if name in folders else 2
        entries += label.ljust(64, b"\0") + struct.pack(
            "<HBBIII16sIQQIQ", len(label) + 2, kind, 1, FREE, names.index(after) if after else FREE,
            1 if index == 0 else first, b"", 0, 0, 0, starts.get(name, 0) if kind == 2 else END if kind == 5 else 0,
            len(data[name]) if kind == 2 else 0,
        )  # fmt: skip
    entries = entries.ljust(n_directory * SECTOR, b"\0")
    head = struct.pack(
        "<8s16sHHHHH6sIIIIIIIII", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"", 0x3E, 3, 0xFFFE, 9, 6, b"", 0, n_fat,
        starts[""], 0, 4096, END, 0, END, 0,
    )  # fmt: skip
    head += struct.pack("<109I", *range(n_fat), *[FREE] * (109 - n_fat))
    path.write_bytes(head + struct.pack(f"<{len(table)}I", *table) + entries + body)
    return path


def zeiss(path, array, edge=0.125, *, angles=None, code=None, extra=None):
    """Write a .txm: ImageInfo and one stream a slice, 100 a folder."""
    codes = {"u1": 3, "u2": 5, "f4": 10}
    info = {
        "ImageInfo/ImageWidth": struct.pack("<i", array.shape[2]),
        "ImageInfo/ImageHeight": struct.pack("<i", array.shape[1]),
        "ImageInfo/NoOfImages": struct.pack("<i", len(array)),
        "ImageInfo/DataType": struct.pack("<i", code or codes[array.dtype.str[1:]]),
        **({"ImageInfo/PixelSize": struct.pack("<f", edge)} if edge is not None else {}),
        **({"ImageInfo/Angles": np.asarray(angles, "<f4").tobytes()} if angles is not None else {}),
        **(extra or {}),
    }
    images = {f"ImageData{k // 100 + 1}/Image{k + 1}": one.tobytes() for k, one in enumerate(array)}
    return ole(path, {**info, **images})


def hdf5(path, array, spacing=SPACING, *, key="exchange/data", attribute="element_size_um", **options):
    """Write a dataset with its scale in an attribute."""
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset(key, data=array, **options)
        if attribute:
            dataset.attrs[attribute] = spacing
    return path


def ome_zarr4(path, array, spacing=SPACING, *, axes="zyx", unit="micrometer", chunks=4, **options):
    """Write OME-Zarr 0.4 (zarr v2), axes in any order and number."""
    group = zarr.open_group(str(path), mode="w", zarr_format=2)
    out = group.create_array("0", shape=array.shape, dtype=array.dtype, chunks=(chunks,) * array.ndim, **options)
    out[...] = array
    scale = [dict(zip("zyx", spacing, strict=True)).get(a, 1.0) for a in axes]
    kinds = {"t": "time", "c": "channel"}
    group.attrs["multiscales"] = [
        {
            "version": "0.4",
            "axes": [
                {"name": a, "type": kinds.get(a, "space"), **({"unit": unit} if a in "zyx" and unit else {})}
                for a in axes
            ],
            "datasets": [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}],
        }
    ]
    return path


def ome_zarr5(path, array, spacing=SPACING):
    """Write OME-Zarr 0.5 with this package's own writer."""
    return read.write_zarr(path, Image(array, "zyx", spacing), chunks=4)


def tiff_imagej(path, array, spacing=SPACING):
    """Write a stack with ImageJ's scale: one directory, numbers in a row."""
    z, y, x = spacing
    metadata = {"unit": "um", "spacing": str(z), "axes": "ZYX"}
    tifffile.imwrite(path, array, imagej=True, resolution=(1 / x, 1 / y), metadata=metadata)
    return path


def tiff_ome(path, array, spacing=SPACING, **options):
    """Write an OME-TIFF, a page a slice."""
    sizes = {f"PhysicalSize{a}": v for a, v in zip("ZYX", spacing, strict=True)}
    tifffile.imwrite(path, array, ome=True, metadata={"axes": "ZYX", **sizes}, **options)
    return path


def slices(folder, array, *, suffix=".tif", start=1, **options):
    """Write a folder of slices, numbered without leading zeros."""
    folder.mkdir()
    for k, one in enumerate(array):
        tifffile.imwrite(folder / f"slice_{k + start}{suffix}", one, **options)
    return folder


FORMATS = {
    "tiff-imagej": (".tif", tiff_imagej),
    "tiff-ome": (".ome.tif", tiff_ome),
    "tiff-lzw": (".tif", lambda p, a, s=SPACING: tiff_ome(p, a, s, compression="lzw", rowsperstrip=2)),
    "tiff-big": (".tif", lambda p, a, s=SPACING: tiff_ome(p, a, s, bigtiff=True, byteorder=">")),
    "mha": (".mha", metaimage),
    "mha-zlib": (".mha", lambda p, a, s=SPACING: metaimage(p, a, s, packed=True)),
    "mha-text": (".mha", lambda p, a, s=SPACING: metaimage(p, a, s, text=True)),
    "mhd-big": (".mhd", lambda p, a, s=SPACING: metaimage(p, a, s, big=True, header_size=17)),
    "nrrd": (".nrrd", nrrd),
    "nrrd-gzip": (".nrrd", lambda p, a, s=SPACING: nrrd(p, a, s, encoding="gzip")),
    "nrrd-text": (".nrrd", lambda p, a, s=SPACING: nrrd(p, a, s, encoding="text")),
    "nhdr-big": (".nhdr", lambda p, a, s=SPACING: nrrd(p, a, s, big=True, directions=True)),
    "amira": (".am", amira),
    "amira-zip": (".am", lambda p, a, s=SPACING: amira(p, a, s, packing="HxZip")),
    "amira-text": (".am", lambda p, a, s=SPACING: amira(p, a, s, text=True)),
    "amira-big": (".am", lambda p, a, s=SPACING: amira(p, a, s, big=True)),
    "hdf5": (".h5", hdf5),
    "hdf5-gzip": (".h5", lambda p, a, s=SPACING: hdf5(p, a, s, chunks=(2, 3, 4), compression="gzip")),
    "zarr4": (".zarr", ome_zarr4),
    "zarr5": (".zarr", ome_zarr5),
    "txm": (".txm", lambda p, a, s=SPACING: zeiss(p, a, s[2])),
}
CUBIC = ("txm",)


def written(name, folder: Path, array=None, spacing=SPACING) -> Path:
    """Write a volume in one of `FORMATS`."""
    suffix, write = FORMATS[name]
    return write(folder / f"volume{suffix}", grey() if array is None else array, spacing)


def truncated(path: Path, share: float) -> Path:
    """Cut a file to a share of its bytes."""
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * share)])
    return path


def vigra_tags(axes):
    """Return the axis tags that ilastik writes."""
    return json.dumps({"axes": [{"key": a, "typeFlags": 2, "resolution": 0, "description": ""} for a in axes]})
