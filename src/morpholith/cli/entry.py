"""One way in, and every way out: what a person reads when something goes wrong, and the exit code."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    from cyclopts import CycloptsError

DONE, OUR_FAULT, WRONG_INPUT, INTERRUPTED = 0, 1, 2, 130
_FULL = {errno.ENOSPC: "the disk is full", getattr(errno, "EDQUOT", -1): "the disk quota is used up"}
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        What was typed after ``morpholith``; from the process unless given.

    Returns
    -------
    int
        0 done, 2 the input is wrong (one sentence on stderr), 1 an error of ours, 130 interrupted.
    """
    from .commands import application

    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words or os.environ.get("MORPHOLITH_DEBUG", "") not in ("", "0")
    return guarded(lambda: application()(words), debug=debug)


def guarded(action: Callable[[], object], *, debug: bool) -> int:
    """Run `action` and return the exit code, every exception told in one sentence."""
    try:
        action()
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output (`| head`) has enough
        _silence_stdout()
    except (Exception, KeyboardInterrupt) as error:
        if debug:
            traceback.print_exc()
        code, sentence = explained(error)
        sys.stderr.write(f"morpholith: {sentence}\n")
        return code
    return DONE


def explained(error: BaseException) -> tuple[int, str]:
    """Return the exit code for an exception and the sentence that a person reads."""
    from cyclopts import CycloptsError

    if isinstance(error, InputError):
        return WRONG_INPUT, str(error)
    if isinstance(error, CycloptsError):
        return WRONG_INPUT, _usage(error)
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED, f"interrupted; {error.args[0] if error.args else 'nothing was written'}"
    if isinstance(error, MemoryError):
        return (
            WRONG_INPUT,
            "this needs more memory than the machine has; give smaller images or fewer workers.",
        )
    if isinstance(error, OSError) and error.errno in _FULL:
        remedy = "nothing was written; make room or name a folder on another disk with --out."
        return WRONG_INPUT, f"{_FULL[error.errno]}; {remedy}"
    if isinstance(error, OSError) and error.errno in _FORBIDDEN and error.filename:
        return WRONG_INPUT, f"the system does not allow access to {error.filename} ({error.strerror})."
    what = f"{type(error).__name__}: {error}".split("\n")[0].removesuffix(": ")
    return OUR_FAULT, (
        f"internal error ({what}). This is a fault of Morpholith, not of your input;"
        " run the same again with --debug to see the traceback, and please report it."
    )


def _usage(error: CycloptsError) -> str:
    from cyclopts import MissingArgumentError

    command = " ".join(["morpholith", *(error.command_chain or ())])
    text = " ".join(str(error).split())
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        text = f"a value for {error.argument.name} is missing."
    return f"{text} See `{command} --help`."


def _silence_stdout() -> None:
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
