"""Tables of numbers in texts of a million lines, with sentences about lines that are broken."""

from __future__ import annotations

import io
import math

import numpy as np

from ..errors import InputError

NOT_FINITE = ("nan", "inf", "infinity")


def numbers(body: bytes, *, name: str, first_line: int, fewest: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the numbers of a table without header, and what had to be left out.

    Parameters
    ----------
    body : bytes
        Lines of numbers with spaces or tabs between them.
    name : str
        Of the file.
    first_line : int
        Number of the body's first line in the file.
    fewest : int
        Columns that must be there.

    Returns
    -------
    (n, k) float64 array, tuple of str
        A last line with fewer columns than the first (a file cut off) is left out with a warning.

    Raises
    ------
    InputError
        For another line that is shorter or longer than the first, or a word that is no number.
    """
    import pandas as pd

    lines = body.strip().split(b"\n")
    n_columns = len(lines[0].split())
    if n_columns == 0:
        return np.zeros((0, fewest)), ()
    if n_columns < fewest:
        raise InputError(f"{name}: line {first_line} has {n_columns} columns; at least {fewest} were expected.")
    warnings: tuple[str, ...] = ()
    last = len(lines[-1].split())
    if len(lines) > 1 and last < n_columns:
        warnings = (f"{name} is cut off: its last line has {last} of {n_columns} columns and is left out.",)
        lines = lines[:-1]
    try:
        frame = pd.read_csv(io.BytesIO(b"\n".join(lines)), header=None, sep=r"\s+", skip_blank_lines=False)
        table = frame.to_numpy(np.float64)
    except (ValueError, pd.errors.ParserError):
        table = np.empty((0, 0))
    if table.shape != (len(lines), n_columns) or not np.isfinite(table[:, [*range(fewest), -1]]).all():
        _complain(lines, n_columns, fewest, name, first_line)
    return table, warnings


def _complain(lines, n_columns, fewest, name, first_line) -> None:
    """Say which line is broken; return where all are whole, only not a number here or there in a column of extras."""
    for k, line in enumerate(lines):
        cells = line.split()
        if len(cells) != n_columns:
            raise InputError(f"{name}: line {first_line + k} has {len(cells)} columns, the first has {n_columns}.")
        for at, cell in enumerate(cells):
            word = cell.decode("ascii", "replace")
            if one_float(word) is None and (at < fewest or word.lower().lstrip("+-") not in NOT_FINITE):
                raise InputError(f"{name}: line {first_line + k} has {word[:20]!r} where a number was expected.")


def one_float(said: str) -> float | None:
    """Return the first word as a finite number, a comma read as a point; None where it is none."""
    words = said.split()
    if not words:
        return None
    try:
        value = float(words[0].replace(",", "."))
    except ValueError:
        return None
    return value if math.isfinite(value) else None
