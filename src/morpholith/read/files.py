"""Which files are images, what lies beside them, and what their first bytes say."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from ..errors import InputError

SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp")
SIDECARS = (".txt", ".hdr")
SIDECAR_BYTES = 1_000_000  # a longer text is no list of microscope settings

SIGNATURES = {
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",  # BigTIFF
    b"MM\0+": "TIFF",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"BM": "BMP",
}
NAMES = {".tif": "TIFF", ".tiff": "TIFF", ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".bmp": "BMP"}


def images(paths: str | Path | Iterable[str | Path]) -> list[Path]:
    """Expand files and folders to a sorted list of image files.

    Parameters
    ----------
    paths : path or iterable of path
        A folder stands for the images directly in it (not in its sub-folders, which may be other
        conditions); hidden files are left out. A file is taken whatever its suffix, except a ``.txt`` or
        ``.hdr`` that belongs to an image in the list, so that ``folder/*`` works.

    Returns
    -------
    list of Path
        Each once, folders together and numbers in order (``a2`` before ``a10``).

    Raises
    ------
    InputError
        For a path that does not exist, a folder without any image, or no path at all.
    """
    if isinstance(paths, str | Path):
        paths = [paths]
    found: list[Path] = []
    for path in map(Path, paths):
        if not path.exists():
            raise InputError(f"{path} does not exist; check the spelling and the folder.")
        found += _in_folder(path) if path.is_dir() else [path]
    stems = {_stem_key(p) for p in found if p.suffix.lower() in SUFFIXES}
    found = [p for p in found if p.suffix.lower() not in SIDECARS or not (_owners(p) & stems)]
    if not found:
        raise InputError(f"no image was named; give files or folders with {', '.join(SUFFIXES)} files.")
    return sorted(set(found), key=_natural)


def _in_folder(folder):
    inside = [
        p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith(".") and p.is_file()
    ]
    if not inside:
        raise InputError(f"{folder} holds no image; looked for {', '.join(SUFFIXES)} files directly in it.")
    return inside


def _stem_key(path):
    return (path.parent, path.stem.casefold())


def _owners(sidecar):
    """Return the images a sidecar may belong to: name.txt, name-tif.hdr and name.tif.txt all to name.tif."""
    stem = sidecar.stem.casefold()
    names = {stem, re.sub(r"[-.](tiff?|png|jpe?g|bmp)$", "", stem)}
    return {(sidecar.parent, name) for name in names}


def _natural(path):
    parts = re.split(r"(\d+)", str(path).casefold())
    return [(int(p), "") if p.isdigit() else (-1, p) for p in parts]


def sidecars(path: Path) -> list[Path]:
    """Return the text files beside an image that may hold its microscope settings, in name order."""
    key = _stem_key(path)
    try:
        beside = sorted(path.parent.iterdir())
    except OSError:
        return []
    return [p for p in beside if p.suffix.lower() in SIDECARS and key in _owners(p) and _short(p)]


def _short(path):
    return path.is_file() and path.stat().st_size <= SIDECAR_BYTES


def kind(path: Path) -> str:
    """Return ``"TIFF"``, ``"PNG"``, ``"JPEG"`` or ``"BMP"`` from the first bytes, or say what is wrong.

    The suffix is not asked: microscopes and mail programs rename files.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist; check the spelling and the folder.")
    if path.is_dir():
        raise InputError(f"{path} is a folder; give an image file, or list the folder with `read.images`.")
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({error.strerror}); check its permissions.") from error
    if not head:
        raise InputError(f"{path} is empty (0 bytes); the copy or the export failed: copy it again.")
    for signature, name in SIGNATURES.items():
        if head.startswith(signature):
            return name
    what = "it is text" if _is_text(head) else f"it starts with the bytes {head[:4].hex(' ')}"
    raise InputError(f"{path} is not a TIFF, PNG, JPEG or BMP image: {what}; export it as TIFF.")


def _is_text(head):
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    return not (set(head) & (set(range(32)) - {9, 10, 12, 13}))


def misnamed(path: Path, found: str) -> list[str]:
    """Return a sentence if the suffix names another format than the one found."""
    if NAMES.get(path.suffix.lower(), found) == found:
        return []
    return [f"{path.name} is a {found} file although its name ends in {path.suffix}."]


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def text(raw: bytes) -> str:
    """Decode microscope text: UTF-8, UTF-16 (with or without mark), Latin-1 or Shift-JIS."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", errors="replace")
    if raw[1:200:2].count(0) > 0.4 * len(raw[1:200:2]) > 0:
        return raw.decode("utf-16-le", errors="replace")
    if b"\x83\xca" in raw:  # the micro sign of Japanese Windows
        return raw.decode("cp932", errors="replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")
