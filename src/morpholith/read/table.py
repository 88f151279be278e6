"""Tables of numbers from CSV."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    import pandas as pd


def table(path: str | Path) -> pd.DataFrame:
    """Read a CSV table; a first column of names becomes the index.

    Parameters
    ----------
    path : path

    Returns
    -------
    DataFrame
        Column names without spaces around them.

    Raises
    ------
    InputError
        The file is missing, is no CSV table, or has no rows.
    """
    import pandas as pd

    path = Path(path)
    try:
        found = pd.read_csv(path, skipinitialspace=True)
    except FileNotFoundError:
        raise InputError(f"{path} is not there; a table in CSV was expected.") from None
    except (OSError, pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a readable CSV table ({str(error).splitlines()[0]}).") from error
    found.columns = [str(c).strip() for c in found.columns]
    if len(found) == 0:
        raise InputError(f"{path} has no rows; one row an electrode was expected.")
    first = found.columns[0]
    return found if pd.api.types.is_numeric_dtype(found[first]) else found.set_index(first)
