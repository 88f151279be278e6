"""Run one workflow for the command line: check, compute, write, tell."""

from __future__ import annotations

import contextlib
import math
import shlex
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import results
from ..errors import InputError, InputWarning
from ..progress import stage
from ..recipe import paths_in
from .options import not_default, parameters, words

_TOLD = 16  # numbers on the terminal; the rest is in the report


def run(command: str, workflow: Callable, values: Mapping[str, Any], *, out: Path | None, debug: bool = False) -> Path:
    """Run a workflow and write its result to `out`.

    Parameters
    ----------
    command : str
        ``"sem measure"``.
    workflow : callable
        Returns a `results.Result`.
    values : mapping
        Its arguments by name, defaults included.
    out : Path or None
        None: a folder named after the command, and a new one each time.
    debug : bool
        Let the warnings of other libraries through.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    InputError
        An input is not there or `out` cannot be used, before any work is done; whatever the workflow says.
    """
    check_inputs(paths_in(values))
    out = results.fresh(command.replace(" ", "-")) if out is None else out
    own = parameters(workflow)
    line = ["morpholith", *command.split(), *words(own, not_default(own, values)), "--out", str(out)]
    release = results.claim(out, command=command)
    start = time.perf_counter()
    try:
        with collected_warnings(debug=debug) as told:
            result = _call(workflow, own, values)
            result = replace(result, warnings=list(dict.fromkeys([*result.warnings, *told])))
            told[:] = result.all_warnings()
            stage("writing the results")
            results.write(
                result,
                out,
                command=command,
                options=values,
                line=shlex.join(line),
                duration_s=time.perf_counter() - start,
            )
    except BaseException:
        release()
        raise
    _tell(result, out)
    return out


def check_inputs(paths: list[Path]) -> None:
    """Raise InputError unless every path is there."""
    for path in paths:
        if not path.exists():
            hint = "; no file matches the pattern" if any(c in str(path) for c in "*?[") else ""
            raise InputError(f"there is no file or folder {path}{hint}; check the spelling and the folder.")


def _call(workflow: Callable, own, values: Mapping[str, Any]) -> results.Result:
    positional = [values[p.name] for p in own if p.kind is p.POSITIONAL_ONLY]
    named = {p.name: values[p.name] for p in own if p.kind is not p.POSITIONAL_ONLY}
    result = workflow(*positional, **named)
    if not isinstance(result, results.Result):
        raise TypeError(f"the workflow returned {type(result).__name__}, not a Result")
    return result


@contextlib.contextmanager
def collected_warnings(*, debug: bool) -> Iterator[list[str]]:
    """Collect each InputWarning once and say it on stderr at the end; those of other libraries are not told.

    Yields
    ------
    list of str
        Grows as warnings come.
    """
    told: list[str] = []

    def show(message, category, filename, lineno, _file=None, line=None):
        if issubclass(category, InputWarning):
            told.append(str(message))
        else:
            sys.stderr.write(warnings.formatwarning(message, category, filename, lineno, line))

    with warnings.catch_warnings():
        if not debug:
            warnings.simplefilter("ignore")
        warnings.simplefilter("always", InputWarning)
        warnings.showwarning = show
        try:
            yield told
        finally:
            for text in dict.fromkeys(told):
                warn(text)


def warn(text: str) -> None:
    """Write one warning to stderr."""
    sys.stderr.write(f"morpholith: warning: {text}\n")


def say(text: str) -> None:
    """Write one line to stdout."""
    sys.stdout.write(f"{text}\n")


def _tell(result: results.Result, out: Path) -> None:
    """Say the numbers and where the rest is."""
    shown = dict(list(result.summary.items())[:_TOLD])
    width = max(map(len, shown), default=0)
    for key, quantity in shown.items():
        say(f"  {key:<{width}}  {quantity if math.isfinite(quantity.value) else 'not resolved'}")
    if len(result.summary) > len(shown):
        say(f"  and {len(result.summary) - len(shown)} more in {out / results.SUMMARY}")
    say(f"written to {out}; look at {out / results.REPORT}")
