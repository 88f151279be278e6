"""Finished parts of long work kept on disk, so that a run that was stopped goes on from there."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from .errors import InputError


class Store:
    """A folder of finished parts; picklable, so that workers can write to it.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def has(self, name: str) -> bool:
        """Return whether a part is there, whole."""
        return (self.folder / f"{name}.npz").is_file()

    def put(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Write a part; a kill on the way leaves no file that looks whole."""
        objects = [key for key, array in arrays.items() if np.asarray(array).dtype.hasobject]
        if objects:
            raise ValueError(f"parts are plain arrays; {', '.join(objects)} of {name} holds objects.")
        path = self.folder / f"{name}.npz"
        part = None
        try:
            handle, part = tempfile.mkstemp(dir=self.folder, suffix=".part")
            with os.fdopen(handle, "wb") as file:
                np.savez(file, **dict(arrays))  # type: ignore[arg-type]
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        except OSError as error:
            raise InputError(f"{path} cannot be written ({error.strerror or error}); choose another folder.") from error
        finally:
            if part is not None:
                Path(part).unlink(missing_ok=True)

    def get(self, name: str, keys: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """Read a part back: all its arrays, or those of `keys` that it has."""
        path = self.folder / f"{name}.npz"
        try:
            # opened here: np.load leaves a damaged file open
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as found:
                return {key: found[key] for key in (found.files if keys is None else keys) if key in found.files}
        except (OSError, ValueError, EOFError, BadZipFile) as error:
            raise InputError(f"{path} is damaged ({error}); remove it and run the same again.") from error

    def once(self, name: str, make: Callable[[], Mapping[str, np.ndarray]]) -> None:
        """Make a part unless it is there."""
        if not self.has(name):
            self.put(name, make())


class Scratch(Store):
    """A temporary store, gone with the last reference to it."""

    def __init__(self):
        super().__init__(Path(tempfile.mkdtemp(prefix="morpholith-")))
        # TemporaryDirectory would warn when it goes without being asked to
        self._keeper = weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    def __reduce__(self):
        return Store, (self.folder,)


def store(folder: str | Path | None, *, key: Any) -> Store:
    """Return the folder for the parts of one piece of work; a temporary one unless one is given.

    Parameters
    ----------
    folder : path or None
        Parts stay in a subfolder named after `key`, so that work on other inputs or with other options finds none.
    key
        What the parts depend on, as JSON can write it.

    Raises
    ------
    InputError
        The folder cannot be made.
    """
    if folder is None:
        return Scratch()
    digest = hashlib.sha256(json.dumps(key, sort_keys=True, default=str).encode()).hexdigest()[:16]
    place = Path(folder) / digest
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{place} cannot be made ({error.strerror or error}); name another folder.") from error
    return Store(place)
