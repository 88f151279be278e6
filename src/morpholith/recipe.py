"""How a result was made: command, options, versions and hashes, as a file that can do it again."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import tomllib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .errors import InputError

RECIPE = "recipe.toml"
# the libraries whose version can move a number, by the name they are imported under
_LIBRARIES = {
    "numpy": "numpy",
    "scipy": "scipy",
    "skimage": "scikit-image",
    "pywt": "PyWavelets",
    "numba": "numba",
    "pandas": "pandas",
    "tifffile": "tifffile",
    "PIL": "pillow",
    "torch": "torch",
    "matplotlib": "matplotlib",
}


def describe(
    out: Path,
    *,
    command: str,
    options: Mapping[str, Any],
    inputs: Iterable[Path] = (),
    line: str = "",
    duration_s: float | None = None,
) -> dict[str, Any]:
    """Return the recipe of a result that goes to the folder `out`, but for its outputs.

    Parameters
    ----------
    out : path
        Inputs are noted as given and as seen from here, so that a recipe works from any folder.
    command : str
        ``"sem measure"``.
    options : mapping
        Every option's value, defaults included. TOML knows no None: those go to ``not_given``.
    inputs : iterable of Path
        Files that were read beyond those among the options.
    line : str
        The command line.
    duration_s : float, optional

    Raises
    ------
    InputError
        An input is no longer there.
    """
    recipe = {
        "command": command,
        "line": line,
        "date": datetime.now(UTC).replace(microsecond=0),
        "duration_s": None if duration_s is None else round(duration_s, 2),
        "not_given": [key for key, value in options.items() if value is None],
        "options": _plain(options),
        "versions": versions(),
        "inputs": _inputs(paths_in(options), list(inputs), out),
    }
    return {key: value for key, value in recipe.items() if value is not None}


def versions() -> dict[str, str]:
    """Return the versions of Morpholith, Python, the platform and the libraries in use that move numbers."""
    libraries = {dist: version(dist) for module, dist in _LIBRARIES.items() if module in sys.modules}
    return {
        "morpholith": version("morpholith"),
        "python": platform.python_version(),
        **libraries,
        "platform": f"{platform.system()} {platform.machine()}",
    }


def paths_in(values: Any) -> list[Path]:
    """Return every Path in nested lists, tuples and mappings, in order."""
    if isinstance(values, Path):
        return [values]
    if isinstance(values, Mapping):
        values = values.values()
    elif isinstance(values, str) or not hasattr(values, "__iter__"):
        return []
    return [path for value in values for path in paths_in(value)]


def _inputs(given: list[Path], read: list[Path], out: Path) -> list[dict[str, str]]:
    """Return each input as given, as seen from the recipe, and with its hash.

    A folder on the command line is only a place to look in: the files read from it have the hashes. A folder
    that was read as one thing (a zarr volume) has one.
    """
    entries = []
    for path in dict.fromkeys(map(Path, [*given, *read])):
        if not path.exists():
            raise InputError(f"{path} is no longer there; keep the inputs in place during a run.")
        entry = {"path": str(path), "relative": _relative(path, out)}
        if path.is_file() or path in read:
            entry["sha256"] = sha256(path)
        entries.append(entry)
    return entries


def _relative(path: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive
        return path.as_posix()


def sha256(path: Path) -> str:
    """Return the hash of a file, or of the names and contents of all files of a folder."""
    if path.is_file():
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    digest = hashlib.sha256()
    for member in sorted(p for p in path.rglob("*") if p.is_file()):
        digest.update(f"{member.relative_to(path).as_posix()}\0{sha256(member)}\n".encode())
    return digest.hexdigest()


def _plain(value: Any) -> Any:
    """Return `value` as something TOML can hold."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items() if v is not None}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(v) for v in value]
    if hasattr(value, "item") and not isinstance(value, (str, bytes)):  # a numpy scalar
        return value.item()
    return value


def write_recipe(content: Mapping[str, Any], path: Path) -> None:
    """Write a recipe as TOML."""
    import tomli_w

    path.write_text(tomli_w.dumps(content), encoding="utf-8", newline="\n")


def read_recipe(path: str | Path) -> dict[str, Any]:
    """Return the content of a ``recipe.toml``, or say in one sentence why it is none."""
    path = Path(path)
    if path.is_dir():
        path = path / RECIPE
    try:
        recipe = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"there is no recipe at {path}.") from None
    except OSError as error:
        raise InputError(f"cannot read {path} ({error.strerror}).") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a recipe: it is not valid TOML ({error}).") from error
    needed = {"command": str, "options": dict, "versions": dict, "inputs": list, "outputs": dict}
    if not all(isinstance(recipe.get(key), kind) for key, kind in needed.items()):
        raise InputError(f"{path} is not a recipe of Morpholith: it must hold {', '.join(needed)}.")
    return recipe
