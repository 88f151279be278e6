"""A campaign on disk: every call and every powder that was made, a line each, safe from a kill."""

from __future__ import annotations

import json
import os
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError, InputWarning
from .measured import Measured, Record, read_results
from .space import Space, space_from_json

if TYPE_CHECKING:
    import pandas as pd

KIND, VERSION = "morpholith design campaign", 1


class Campaign:
    """A file of JSON lines that a search writes and goes on from.

    The first line holds the space and the seed; every other one a call or a measured powder, with a checksum. A line
    is written whole, in one piece and under a lock, and is on the disk before the search goes on. What a kill left of
    a last line is cut off and said.

    Parameters
    ----------
    path : path
    space : Space
    seed : int
        All randomness of the searches derives from it.
    records : list of Record
    warnings : tuple of str
        What was recovered.
    """

    def __init__(self, path: Path, space: Space, seed: int, records: list[Record], warnings: tuple[str, ...] = ()):
        self.path, self.space, self.seed, self.records, self.warnings = path, space, seed, records, warnings
        self._read_to = path.stat().st_size

    def add(self, record: Record) -> None:
        """Write a record down."""
        self.refresh()
        line = _line(_from_record(record))
        with _locked(self.path) as file:
            os.write(file, line)
            os.fsync(file)
        self.refresh()

    def refresh(self) -> None:
        """Read what another process wrote since."""
        with open(self.path, "rb") as file:
            file.seek(self._read_to)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        for line in whole.splitlines():
            content = _content(line)
            if content is not None and content.get("what") == "record":
                self.records.append(_to_record(content))
        self._read_to += len(whole)

    def tell(self, conditions: Mapping[str, Any], results: Any, *, note: str = "") -> Record:
        """Add a powder that was made and measured.

        Parameters
        ----------
        conditions : mapping of str to value
            Every condition of the space, as it was; it may lie outside the bounds.
        results : mapping
            As `search`'s `evaluate` returns them.
        note : str

        Raises
        ------
        InputError
            A condition is missing or unknown, or the results are none.
        """
        record = measured_record(self.space, conditions, results, note=note)
        self.add(record)
        return record

    @property
    def calls(self) -> int:
        """Calls of the simulator so far."""
        return sum(not r.real for r in self.records)

    def table(self) -> pd.DataFrame:
        """Return one row a record: `call`, `batch`, `phase`, conditions, each descriptor with `_se`, `_n`."""
        return records_table(self.records)


def campaign(path: str | Path, *, space: Space | None = None, seed: int | None = None) -> Campaign:
    """Open a campaign, or begin one where the file does not exist.

    Parameters
    ----------
    path : path
    space : Space, optional
        Needed to begin. For one that exists, it may have other bounds, fixed conditions and constraints than before,
        but must have the same conditions and words.
    seed : int, optional
        To begin with.

    Raises
    ------
    InputError
        The file is no campaign, is damaged before its last line, holds other conditions, or cannot be read or made.
    """
    path = Path(path)
    if not path.exists() or (space is not None and path.is_file() and path.stat().st_size == 0):
        if space is None:
            raise InputError(f"{path} does not exist; give a space to begin a campaign, or check the path.")
        return _begun(path, space, int(np.random.default_rng(seed).integers(2**62)) if seed is None else int(seed))
    head, records, said = _read(path)
    known = space_from_json(head["space"])
    if space is not None:
        _check_same(path, known, space)
    return Campaign(path, space or known, int(head["seed"]), records, said)


def measured_record(space: Space, conditions: Mapping[str, Any], results: Any, *, note: str = "") -> Record:
    """Return the record of a powder that was made, its conditions checked against the space's names and words."""
    unknown = [str(n) for n in conditions if n not in space.conditions]
    if unknown:
        raise InputError(f"{unknown[0]!r} is no condition of this campaign; there are {', '.join(space.conditions)}.")
    full = {**space.fixed, **conditions}
    space.encode([full])
    return Record({name: full[name] for name in space.conditions}, read_results(results), note=note)


def records_table(records: list[Record]) -> pd.DataFrame:
    """Return one row a record: `call`, `batch`, `phase`, the conditions, and of each descriptor mean, `_se`, `_n`."""
    import pandas as pd

    rows = []
    for r in records:
        row = {"call": r.call, "batch": r.batch, "phase": r.phase, **r.conditions}
        for name, m in r.results.items():
            row |= {name: m.mean, f"{name}_se": m.se, f"{name}_n": m.n}
        rows.append(row)
    return pd.DataFrame(rows, columns=None if rows else ["call", "batch", "phase"])


def _begun(path, space, seed):
    head = {"what": "head", "kind": KIND, "version": VERSION, "seed": seed, "space": space.to_json()}
    part = path.with_name(path.name + f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "wb") as file:
            file.write(_line(head))
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        if part.is_file():
            part.unlink()
        raise InputError(f"{path} cannot be written ({error.strerror or error}); name another file.") from error
    return Campaign(path, space, seed, [])


def _read(path):
    try:
        text = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}); check the path.") from error
    lines = text.split(b"\n")
    tail = lines.pop()
    contents = [_content(line) for line in lines]
    if not contents or contents[0] is None or contents[0].get("kind") != KIND:
        raise InputError(f"{path} is no design campaign; name another file or remove it.")
    if contents[0]["version"] > VERSION:
        raise InputError(f"{path} was written by a newer version; update the program.")
    bad = [i for i, content in enumerate(contents) if content is None]
    if bad and bad != [len(contents) - 1]:
        raise InputError(f"{path} is damaged in line {bad[0] + 1}; remove that line and run the same again.")
    if not bad and not tail:
        return contents[0], [_to_record(c) for c in contents[1:]], ()
    with _locked(path) as file:
        # another process may have ended its line meanwhile: cut only what is still no line
        size = os.fstat(file).st_size
        if size == len(text):
            os.ftruncate(file, sum(len(line) + 1 for line in lines[: len(lines) - len(bad)]))
            os.fsync(file)
    said = f"{path.name} ended in a line that was not whole, as after a kill; it was cut off and that call is lost."
    warnings.warn(said, InputWarning, stacklevel=3)
    return contents[0], [_to_record(c) for c in contents[1:] if c is not None], (said,)


def _check_same(path, known, space):
    old, new = known.conditions, space.conditions
    if list(old) != list(new):
        raise InputError(
            f"{path} is a campaign over {', '.join(old)}, not over {', '.join(new)}; name another file for those."
        )
    for name in old:
        a, b = getattr(old[name], "options", None), getattr(new[name], "options", None)
        if a != b:
            raise InputError(f"{path} has the condition {name!r} with words {a}, not {b}; name another file.")


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """Open a file to append, alone among processes where the system has locks."""
    try:
        file = os.open(path, os.O_RDWR | os.O_APPEND)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror or error}); check its rights.") from error
    try:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        except ImportError:  # no such locks here; one process a file, then
            pass
        yield file
    finally:
        os.close(file)


def _line(content):
    text = json.dumps(content, separators=(",", ":"), allow_nan=False, default=_plain)
    return f"{zlib.crc32(text.encode()):08x} {text}\n".encode()


def _plain(value):
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} cannot be written down.")


def _content(line):
    """Return what a line says, None if it is not what was written."""
    try:
        check, text = line[:8].decode(), line[9:]
        return json.loads(text) if int(check, 16) == zlib.crc32(text) else None
    except (ValueError, UnicodeDecodeError):
        return None


def _from_record(r):
    results = {k: [m.mean if np.isfinite(m.mean) else None, m.se if np.isfinite(m.se) else None, m.n]
               for k, m in r.results.items()}  # fmt: skip
    return {
        "what": "record", "conditions": dict(r.conditions), "results": results, "phase": r.phase, "batch": r.batch,
        "call": r.call, "seed": r.seed, "note": r.note,
    }  # fmt: skip


def _to_record(content):
    nan = float("nan")
    results = {k: Measured(nan if m is None else m, nan if s is None else s, n)
               for k, (m, s, n) in content["results"].items()}  # fmt: skip
    return Record(
        content["conditions"], results, content["phase"], content["batch"], content["call"], content["seed"],
        content["note"],
    )  # fmt: skip
