"""Which images belong to which sample: files are one sample, folders are conditions, a table is a campaign."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
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
        Columns ``path`` (Path) and ``condition`` (str), one row an image; ``magnification`` and ``lot`` (str, None
        where empty) if the table has them.
    conditions : DataFrame
        Index ``condition``; one numeric column for each process variable that is a number, NaN where missing; none
        for folders.
    source : tuple of Path
        The table the campaign was read from, if there was one.
    recipes : DataFrame
        Index ``condition``; every process variable, in the order of the table: the numbers of `conditions`, and
        words (str, None where missing), such as an atmosphere.
    warnings : tuple of str
        Sentences about the table: conditions with equal recipes, columns that are no process variable, images that
        the table does not name.
    """

    images: pd.DataFrame
    conditions: pd.DataFrame
    source: tuple[Path, ...] = ()
    recipes: pd.DataFrame = field(default=None)  # type: ignore[assignment]  # filled in below
    warnings: tuple[str, ...] = ()

    def __post_init__(self):
        if self.recipes is None:
            object.__setattr__(self, "recipes", self.conditions)


def campaign(paths: Sequence[Path]) -> Campaign:
    """Read what the user named.

    Parameters
    ----------
    paths : sequence of Path
        Image files (one sample together), folders of images (each a condition; a folder that holds only folders
        stands for those), or one table ``image,condition,...`` in CSV whose other columns are process variables:
        numbers or words, empty where unknown. Paths in a table are relative to it; without a ``condition`` column,
        equal variables are one condition. The columns ``magnification`` and ``lot`` say how an image was taken and
        of which batch; they are no process variables.

    Raises
    ------
    InputError
        A path is not there, a folder has no image, the table lacks a column, names a missing file or an image
        twice, one condition is given two values of a variable, or a cell among numbers is none (a decimal comma).
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
        from ._campaign_table import read_table

        return Campaign(**read_table(tables[0]))
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
