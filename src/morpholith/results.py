"""What a workflow returns, and the folder it becomes on disk: whole, or not there at all.

A folder of results is whole when it holds ``summary.json``: everything is written to a hidden folder beside
its place, flushed to the disk, then renamed into place with ``summary.json`` last.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import signal
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from .errors import InputError, InputWarning
from .image import Quantity
from .recipe import RECIPE, describe, read_recipe, sha256, write_recipe

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

SUMMARY, REPORT = "summary.json", "report.html"
FIGURES = "figures"
_RESERVED = (SUMMARY, RECIPE, REPORT)
_STAGING = ".morpholith-staging"
_STALE_AFTER_S = 7 * 86400.0


@dataclass(frozen=True)
class ReportFigure:
    """A picture of the report.

    Parameters
    ----------
    picture : bytes, Figure or callable
        A PNG, a Matplotlib ``Figure``, or a function without arguments that draws one when it is needed
        (many large figures then never lie in memory together).
    caption : str
        What is shown and what to look for.
    section : str
        Heading it stands under; sections appear in the order they are first named.
    alt : str
        What a person who cannot see the picture is told; the caption when empty.
    """

    picture: bytes | Figure | Callable[[], Figure]
    caption: str
    section: str = "Figures"
    alt: str = ""


@dataclass(frozen=True)
class Result:
    """What a workflow found, before anything is written.

    Parameters
    ----------
    summary : mapping of str to Quantity
        The numbers; keys carry their unit (``d50_um``). The first ones head the report.
    tables : mapping of str to DataFrame
        By file name without ``.csv``. The index is written when it has a name.
    figures : mapping of str to ReportFigure
        By file name without ``.png``; they go to ``figures/`` and into the report.
    files : mapping of str to callable
        By path within the folder: ``writer(path)`` writes a file (or a folder: OME-Zarr) there.
    warnings : sequence of str
        Sentences; they stand first in the report.
    inputs : sequence of Path
        Every file that was read; their hashes go into the recipe.
    text : mapping of str to str
        Paragraphs (parted by empty lines) that open a section of the report.
    title : str
        Heads the report.
    """

    summary: Mapping[str, Quantity] = field(default_factory=dict)
    tables: Mapping[str, DataFrame] = field(default_factory=dict)
    figures: Mapping[str, ReportFigure] = field(default_factory=dict)
    files: Mapping[str, Callable[[Path], object]] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    inputs: Sequence[Path] = ()
    text: Mapping[str, str] = field(default_factory=dict)
    title: str = ""

    def all_warnings(self) -> list[str]:
        """Return the warnings and what single quantities have to say, each once."""
        about: dict[str, list[str]] = {}
        for key, q in self.summary.items():
            if q.warning:
                about.setdefault(q.warning, []).append(key)
        unresolved = [f"{_listed(keys)}: {text}" for text, keys in about.items()]
        return list(dict.fromkeys([*self.warnings, *unresolved]))


def _listed(keys: list[str]) -> str:
    return ", ".join(keys) if len(keys) < 5 else f"{', '.join(keys[:3])} and {len(keys) - 3} more"


# --- before the work -------------------------------------------------------------------------------------


def claim(out: str | Path, *, command: str) -> Callable[[], None]:
    """Make the folder `out` and make sure that the result of `command` may be written there.

    Parameters
    ----------
    out : path
        Need not exist. May hold an earlier result of the same command (it will be replaced) and other
        files (they stay).
    command : str
        ``"sem measure"``.

    Returns
    -------
    callable
        Takes back the folders made here, as far as they are still empty: for runs that fail.

    Raises
    ------
    InputError
        `out` is a file, cannot be written to, or holds something that must not be overwritten.
    """
    out = Path(out)
    missing = [p for p in (out, *out.parents) if not p.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"--out must be a folder, but {_first_file(out)} is a file; name another.") from None
    except OSError as error:
        reason = f"cannot write to {out} ({error.strerror})"
        raise InputError(f"{reason}; name another folder with --out.") from error

    def release():
        for folder in missing:
            with contextlib.suppress(OSError):
                folder.rmdir()

    try:
        _check_replaceable(out, command=command)
    except InputError:
        release()
        raise
    _remove_stale(out)
    return release


def fresh(folder: str | Path) -> Path:
    """Return `folder`, or the first of ``folder-2``, ``folder-3``, ... that does not exist or is empty."""
    folder = Path(folder)
    candidate, k = folder, 1
    while candidate.exists() and (not candidate.is_dir() or any(candidate.iterdir())):
        k += 1
        candidate = folder.with_name(f"{folder.name}-{k}")
    return candidate


def _first_file(out: Path) -> Path:
    return next((p for p in (*reversed(out.parents), out) if p.exists() and not p.is_dir()), out)


def _check_replaceable(out: Path, *, command: str) -> None:
    """Raise InputError unless `out` holds no result, or an earlier one of the same command."""
    there = [name for name in _RESERVED if (out / name).exists()]
    if not there:
        return
    if RECIPE not in there:
        raise InputError(
            f"{out / there[0]} is in the way and not of Morpholith's making; name another folder with --out."
        )
    earlier = read_recipe(out / RECIPE)["command"]
    if earlier != command:
        raise InputError(
            f"{out} holds the result of `morpholith {earlier}` and this is `morpholith {command}`;"
            " name another folder with --out."
        )


def _remove_stale(out: Path) -> None:
    """Remove what killed runs left behind; a folder whose run still lives stays."""
    for folder in out.glob(f"{_STAGING}-*"):
        host, _, rest = folder.name.removeprefix(f"{_STAGING}-").rpartition("-")[0].rpartition("-")
        dead = host == _host() and rest.isdigit() and not _alive(int(rest))
        with contextlib.suppress(OSError):
            if dead or time.time() - folder.stat().st_mtime > _STALE_AFTER_S:
                shutil.rmtree(folder)


def _host() -> str:
    return platform.node() or "here"


def _alive(pid: int) -> bool:
    if os.name != "posix":  # elsewhere signal 0 is not a question: leave it to the age
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


# --- writing ---------------------------------------------------------------------------------------------


def write(
    result: Result,
    out: str | Path,
    *,
    command: str,
    options: Mapping[str, Any],
    line: str = "",
    duration_s: float | None = None,
) -> Path:
    """Write `result` to the folder `out`, so that a kill at any moment leaves no folder that looks whole.

    Parameters
    ----------
    result : Result
    out : path
        As for `claim`.
    command : str
        ``"sem measure"``.
    options : mapping
        Every option's value, defaults included; None for what was not given.
    line : str
        The command line that repeats this, for the reader of the report.
    duration_s : float, optional
        How long the work took.

    Returns
    -------
    Path
        The folder: ``summary.json``, ``recipe.toml``, ``report.html``, tables, ``figures/`` and files.

    Raises
    ------
    InputError
        As `claim`, or an input vanished meanwhile.
    """
    out = Path(out)
    claim(out, command=command)
    stage = Path(tempfile.mkdtemp(prefix=f"{_STAGING}-{_host()}-{os.getpid()}-", dir=out))
    try:
        _write_tables(result.tables, stage)
        figures = _write_figures(result.figures, stage)
        _write_files(result.files, stage)
        (stage / SUMMARY).write_text(_summary(result), encoding="utf-8", newline="\n")
        recipe = describe(out, command=command, options=options, inputs=result.inputs, line=line, duration_s=duration_s)
        _write_report(result, stage, recipe=recipe, figures=figures)
        recipe["outputs"] = _manifest(stage, volumes=[n for n in result.files if (stage / n).is_dir()])
        write_recipe(recipe, stage / RECIPE)
        _sync(stage)
        with _no_interrupts():
            _commit(stage, out, names=list(recipe["outputs"]))
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return out


def _write_tables(tables: Mapping[str, DataFrame], stage: Path) -> None:
    for name, table in tables.items():
        path = _place(stage, f"{name}.csv")
        # repr of a float is its shortest text that reads back to the same bits: readable and lossless
        table.to_csv(path, index=table.index.name is not None, encoding="utf-8", lineterminator="\n")


def _write_figures(figures: Mapping[str, ReportFigure], stage: Path) -> dict[str, bytes]:
    """Write the full-size pictures and return them as PNG bytes."""
    from .progress import progress

    pngs = {}
    for name, figure in progress(figures.items(), total=len(figures), label="drawing figures"):
        pngs[name] = _png(figure.picture)
        _place(stage, f"{FIGURES}/{name}.png").write_bytes(pngs[name])
    return pngs


def _png(picture: bytes | Figure | Callable[[], Figure]) -> bytes:
    if isinstance(picture, bytes):
        return picture
    from .report import to_png

    return to_png(picture)


def _write_files(files: Mapping[str, Callable[[Path], object]], stage: Path) -> None:
    for name, writer in files.items():
        path = _place(stage, name)
        writer(path)
        if not path.exists():
            raise RuntimeError(f"the writer of {name!r} wrote nothing")


def _place(stage: Path, name: str) -> Path:
    """Return the path for `name` in the staging folder, its parents made."""
    path = stage / _within(name)
    if name in _RESERVED or path.exists():
        raise ValueError(f"two outputs want the name {name!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _within(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or not path.parts or ".." in path.parts or "\\" in name or ":" in name:
        raise ValueError(f"an output must be named by a path within the folder, got {name!r}")
    return path


def _summary(result: Result) -> str:
    if "warnings" in result.summary:
        raise ValueError("the key 'warnings' of a summary is taken")
    content: dict[str, Any] = {key: q.to_json() for key, q in result.summary.items()}
    content["warnings"] = result.all_warnings()
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _manifest(stage: Path, *, volumes: Sequence[str]) -> dict[str, str]:
    """Return the hash of each output; a folder that is one output (a zarr volume) is one entry."""
    files = (p for p in stage.rglob("*") if p.is_file())
    names = [p.relative_to(stage) for p in files]
    loose = [n.as_posix() for n in names if not any(n.is_relative_to(v) for v in volumes)]
    return {name: sha256(stage / name) for name in sorted([*loose, *volumes])}


def _write_report(result: Result, stage: Path, *, recipe: dict, figures: dict[str, bytes]) -> None:
    from .report import render

    page = render(result, recipe=recipe, figures=figures)
    (stage / REPORT).write_text(page, encoding="utf-8", newline="\n")


def _commit(stage: Path, out: Path, *, names: Sequence[str]) -> None:
    """Move everything into place: the summary goes first and comes last.

    The new recipe comes before the files it lists, so that after a kill in between the next run knows
    which ones are its to replace.
    """
    mine = _owned(out)
    (out / SUMMARY).unlink(missing_ok=True)
    for name in mine:
        _remove(out, name)
    os.replace(stage / RECIPE, out / RECIPE)
    for name in [n for n in names if n != SUMMARY]:
        target = out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        _keep_aside(target)
        os.replace(stage / name, target)
    _sync_folder(out)
    os.replace(stage / SUMMARY, out / SUMMARY)
    _sync_folder(out)


def _owned(out: Path) -> list[str]:
    """Return the names that the recipe in `out` lists; a recipe edited to point elsewhere lists nothing."""
    if not (out / RECIPE).exists():
        return []
    names = list(read_recipe(out / RECIPE)["outputs"])
    try:
        return [str(_within(name)) for name in names]
    except ValueError:
        return []


def _remove(out: Path, name: str) -> None:
    path = out / name
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    for folder in list(path.relative_to(out).parents)[:-1]:
        with contextlib.suppress(OSError):  # not empty: the user keeps things there
            (out / folder).rmdir()


def _keep_aside(path: Path) -> None:
    """Rename a file of the user's that stands where an output must go."""
    if path.exists():
        aside = fresh(path.with_name(path.name + ".yours"))
        os.replace(path, aside)
        warnings.warn(f"{path} was there before and is now {aside.name}.", InputWarning, stacklevel=2)


@contextlib.contextmanager
def _no_interrupts() -> Iterator[None]:
    """Hold Ctrl-C off for the few renames that must not be parted."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _sync(folder: Path) -> None:
    """Flush every file below `folder` to the disk, so that a power cut cannot leave an empty one renamed."""
    for path in folder.rglob("*"):
        if path.is_file():
            with open(path, "r+b") as file:
                os.fsync(file.fileno())
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
