"""Where a campaign is kept: a journal file or a database, opened through optuna, and what can be wrong with it."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import InputError, InputWarning

STUDY = "morpholith design"
WAIT_S = 60  # for another process that writes to the same SQLite file


def is_url(place: str | Path) -> bool:
    """Return whether a place is a database and not a file."""
    return isinstance(place, str) and "://" in place


def split_url(url: str) -> tuple[str, str]:
    """Return the database and the name of the campaign in it, which may follow a ``#``."""
    base, _, name = url.partition("#")
    return base, f"{STUDY} {name}" if name else STUDY


def shown(place: str | Path) -> str:
    """Return a place as it may be told: without a password."""
    if not is_url(place):
        return str(place)
    scheme, _, rest = str(place).partition("://")
    account, at, host = rest.rpartition("@")
    return f"{scheme}://{account.partition(':')[0]}{at}{host}"


def open_study(place: str | Path, *, make: bool) -> tuple[Any, tuple[str, ...]]:
    """Return the optuna study of a place, and what was recovered on the way.

    Parameters
    ----------
    place : path or URL
    make : bool
        Whether it may be made where it is not there.

    Raises
    ------
    InputError
        There is none, it is something else, it is damaged, or it cannot be read or written.
    """
    said: tuple[str, ...] = ()
    begins = make
    with told(place), quiet() as optuna:
        if is_url(place):
            storage, name = _database(optuna, str(place), make), split_url(str(place))[1]
        else:
            path = Path(place)
            said = _mended(path) if path.exists() else ()
            # a database may hold other studies, a file that does is somebody else's
            begins = make and not (path.exists() and path.stat().st_size)
            storage, name = _journal(path, make), STUDY
        try:
            if begins:
                return optuna.create_study(storage=storage, study_name=name, load_if_exists=True), said
            return optuna.load_study(storage=storage, study_name=name, sampler=optuna.samplers.RandomSampler()), said
        except KeyError:
            raise InputError(f"{shown(place)} is no design campaign; name another file or remove it.") from None


@contextmanager
def quiet() -> Iterator[Any]:
    """Give optuna, its messages silenced meanwhile."""
    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    try:
        yield optuna
    finally:
        optuna.logging.set_verbosity(level)


@contextmanager
def told(place: str | Path) -> Iterator[None]:
    """Say in one sentence what a file or a database objects to."""
    try:
        yield
    except InputError:
        raise
    except OSError as error:
        raise InputError(
            f"{shown(place)} cannot be read or written ({error.strerror or error}); check it, or name another file."
        ) from error
    except (ImportError, ModuleNotFoundError) as error:
        if not is_url(place):
            raise
        raise InputError(
            f"{shown(place)} needs a database driver that is not installed; install it, or use sqlite:///FILE."
        ) from error
    except Exception as error:
        if not _of_storage(error):
            raise
        reason = str(error.__cause__ or error).splitlines()[0]
        raise InputError(
            f"{shown(place)} cannot be used ({reason}); check the address, or name another storage."
        ) from error


def _of_storage(error):
    """Return whether optuna or the database raised it."""
    return type(error).__module__.split(".")[0] in ("optuna", "sqlalchemy", "sqlite3", "psycopg2", "psycopg", "alembic")


# --- database ------------------------------------------------------------------------------------------------------


def _database(optuna, url, make):
    base, _ = split_url(url)
    options: dict[str, Any] = {}
    if base.startswith("sqlite"):
        from sqlalchemy.pool import NullPool

        path = Path(base.partition(":///")[2].partition("?")[0])
        if not make and not path.exists():
            raise InputError(f"{path} does not exist; give a space to begin a campaign, or check the path.")
        if make:
            path.parent.mkdir(parents=True, exist_ok=True)
        # no connection stays open, so that the file may be moved when nobody works on it
        options = {"poolclass": NullPool, "connect_args": {"timeout": WAIT_S}}
    for attempt in range(5):
        try:
            return optuna.storages.RDBStorage(base, engine_kwargs=options)
        except Exception as error:
            # two workers that make the tables at the same time: one of them fails and then finds them
            if attempt == 4 or ("already exists" not in str(error) and "UNIQUE constraint" not in str(error)):
                raise
    raise AssertionError("not reached")


# --- journal file --------------------------------------------------------------------------------------------------


def _journal(path, make):
    from optuna.storages.journal import JournalFileBackend, JournalStorage

    if not path.exists():
        if not make:
            raise InputError(f"{path} does not exist; give a space to begin a campaign, or check the path.")
        path.parent.mkdir(parents=True, exist_ok=True)
    # absolute: the program may change its folder
    place = path.absolute()
    if make and not path.exists():
        place.touch()
    return JournalStorage(JournalFileBackend(str(place), lock_obj=_lock(place)))


def _lock(path):
    """Return a lock that goes with the process that holds it, where the system has such; optuna's own elsewhere.

    Optuna's is a file: one that a kill left behind is waited for for half a minute.
    """
    try:
        import fcntl  # noqa: F401
    except ImportError:
        from optuna.storages.journal import JournalFileOpenLock

        return JournalFileOpenLock(str(path))
    return FileLock(path)


class FileLock:
    """An exclusive lock on a file, as optuna's journal asks for one; the system lifts it when the process ends."""

    def __init__(self, path: Path):
        self.path, self.file = path, -1

    def acquire(self) -> bool:
        """Wait for the lock."""
        import fcntl

        self.file = os.open(self.path, os.O_RDWR)
        fcntl.flock(self.file, fcntl.LOCK_EX)
        return True

    def release(self) -> None:
        """Give it back."""
        os.close(self.file)


def _mended(path: Path) -> tuple[str, ...]:
    """Cut off what a kill left of a last line, and say so; optuna would write its next line onto it.

    Raises
    ------
    InputError
        The file is no journal, or is damaged before its last line.
    """
    lines = path.read_bytes().split(b"\n")
    bad = _bad(lines)
    if lines == [b""]:
        return ()
    if bad and bad[0] == 0:
        raise InputError(f"{path} is no design campaign; name another file or remove it.")
    if not bad:
        return ()
    # look again alone: another process may have been writing the line
    lock = _lock(path)
    lock.acquire()
    try:
        lines = path.read_bytes().split(b"\n")
        bad = _bad(lines)
        last = len(lines) - 1 - (not lines[-1])
        if not bad:
            return ()
        if bad[0] != last:
            raise InputError(f"{path} is damaged in line {bad[0] + 1}; use a copy.")
        with open(path, "r+b") as file:
            file.truncate(sum(len(line) + 1 for line in lines[: bad[0]]))
            os.fsync(file.fileno())
    finally:
        lock.release()
    said = f"{path.name} ended in a line that was not whole, as after a kill; it was cut off and what it said is lost."
    warnings.warn(said, InputWarning, stacklevel=6)
    return (said,)


def _bad(lines):
    """Return the numbers of the lines that are no entries of a journal; the last one has no end."""
    whole = [_entry(line) for line in lines[:-1]]
    return [i for i, good in enumerate(whole) if not good] + ([len(lines) - 1] if lines[-1] else [])


def _entry(line):
    try:
        return "op_code" in json.loads(line)
    except (ValueError, TypeError):
        return False
