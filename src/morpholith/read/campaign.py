"""Which images belong to which sample: files are one sample, folders are conditions, a table is a campaign."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Campaign:
    """Images grouped into samples.

    Attributes
    ----------
    images : DataFrame
        Columns ``path`` (Path) and ``condition`` (str), one row an image.
    conditions : DataFrame
        Index ``condition``; one numeric column for each process variable the table gave, none for folders.
    source : tuple of Path
        The table the campaign was read from, if there was one.
    """

    images: pd.DataFrame
    conditions: pd.DataFrame
    source: tuple[Path, ...] = ()


def campaign(paths: Sequence[Path]) -> Campaign:
    """Read what the user named.

    Parameters
    ----------
    paths : sequence of Path
        Image files (one sample together), folders of images (each a condition; a folder that holds only folders
        stands for those), or one table ``image,condition,...`` in CSV whose other columns are process variables.
        Paths in a table are relative to it; without a ``condition`` column, equal variables are one condition.

    Raises
    ------
    InputError
        A path is not there, a folder has no image, the table lacks a column or names a missing file, or one
        condition is given two values of a variable.
    """
    paths = [Path(p) for p in paths]
    if not paths:
        raise InputError("no image was named; give image files, folders of images, or a table image,condition,... .")
    for path in paths:
        if not path.exists():
            raise InputError(f"{path} does not exist; check the path.")
    tables = [p for p in paths if p.suffix.lower() == ".csv"]
    if tables and len(paths) > 1:
        raise InputError(
            f"give either one campaign table or images, not both; got {tables[0]} among {len(paths)} paths."
        )
    if tables:
        return _from_table(tables[0])
    return _from_paths(paths)


def _from_paths(paths):
    import pandas as pd

    from .files import images

    folders = [f for p in paths if p.is_dir() for f in _conditions_in(p)]
    files = [p for p in paths if not p.is_dir()]
    if files and folders:
        raise InputError("give either image files (one sample) or folders (one condition each), not both.")
    groups = [(f.name, [f]) for f in folders] if len(folders) > 1 else [(_name(paths), files or folders)]
    names = [name for name, _ in groups]
    if len(set(names)) < len(names):
        groups = [(str(f[0]), f) for _, f in groups]
    rows = [{"path": path, "condition": name} for name, group in groups for path in images(group)]
    return Campaign(pd.DataFrame(rows), pd.DataFrame(index=pd.Index([n for n, _ in groups], name="condition")))


def _name(paths):
    return paths[0].resolve().name if len(paths) == 1 and paths[0].is_dir() else "sample"


def _conditions_in(folder):
    """Return the folder, or the folders in it when it holds no image itself."""
    inside = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    below = [p for p in inside if p.is_dir()]
    return below if below and not any(p.is_file() and _is_image(p) for p in inside) else [folder]


def _is_image(path):
    from .files import SUFFIXES

    return path.suffix.lower() in SUFFIXES


def _from_table(path):
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype={"condition": str, "image": str}, skipinitialspace=True)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} is not a readable CSV table ({error}); it should start image,condition,... ."
        ) from error
    table.columns = [str(c).strip() for c in table.columns]
    if "image" not in table or len(table) == 0:
        raise InputError(
            f"{path} needs a column `image` and at least one row; it has columns {', '.join(table.columns)}."
        )
    if table["image"].isna().any():
        raise InputError(
            f"{path} has a row without an image (row {int(table['image'].isna().argmax()) + 2}); fill or remove it."
        )
    table["path"] = [path.parent / str(name).strip() for name in table["image"]]
    missing = [str(p) for p in table["path"] if not p.is_file()]
    if missing:
        raise InputError(
            f"{path} names {len(missing)} image(s) that are not there, first {missing[0]}; paths are relative to it."
        )
    numeric = table.drop(columns=["image", "path", "condition"], errors="ignore").select_dtypes("number")
    if "condition" not in table:
        table["condition"] = _names(numeric)
    if table["condition"].isna().any():
        raise InputError(f"{path} has a row without a condition; fill it or drop the column.")
    return Campaign(table[["path", "condition"]], _variables(path, table, numeric), (path,))


def _names(numeric):
    if numeric.shape[1] == 0:
        return "sample"
    return [", ".join(f"{k}={v:g}" for k, v in row.items()) for row in numeric.to_dict("records")]


def _variables(path, table, numeric):
    grouped = numeric.groupby(table["condition"], sort=False)
    uneven = grouped.nunique(dropna=False).gt(1)
    if uneven.any(axis=None):
        condition, column = next((i, c) for i in uneven.index for c in uneven.columns if uneven.loc[i, c])
        raise InputError(
            f"{path} gives condition {condition!r} more than one value of {column!r}; a condition is one recipe."
        )
    return grouped.first()
