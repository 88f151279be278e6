"""The sentences about files that are not whole, the same for every format."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import InputError

AGAIN = "copy or export it again"
MOST = 50_000  # no codec shrinks a slice further: a header that asks for more lies, and memory is not taken for it
LIBRARY = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    RuntimeError,
    AttributeError,
    AssertionError,
    struct.error,
    zlib.error,
)


def cut_off(path: Path, why: str) -> InputError:
    """Return the error for a file that ends too early."""
    return InputError(f"{path.name} is cut off: {why}; {AGAIN}.")


def damaged(path: Path, kind: str, error: Exception) -> InputError:
    """Return the error for a file that a parser gave up on, with the first line of its reason."""
    return InputError(f"{path.name} is a damaged or incomplete {kind} ({first_line(error)}); {AGAIN}.")


def first_line(error: Exception) -> str:
    """Return what an exception says, at most a line of it, or its name."""
    said = str(error).strip()
    return said.splitlines()[0][:160] if said else type(error).__name__


@contextmanager
def guarded(path: Path, kind: str) -> Iterator[None]:
    """Turn whatever a parser raises about a file into a sentence; our own sentences pass."""
    try:
        yield
    except InputError:
        raise
    except LIBRARY as error:
        raise damaged(path, kind, error) from error
