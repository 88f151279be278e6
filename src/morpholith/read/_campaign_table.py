"""The table of a campaign: one row an image; its condition, its process variables and how it was taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .._cells import ADVICE, has_comma, number_of, plain
from ..errors import InputError

IMAGE, CONDITION, PATH = "image", "condition", "path"
TAKEN = ("magnification", "lot")  # columns that say how an image was taken, and are no process variables
EMPTY = ("", "NA", "N/A", "n/a", "#N/A", "nan", "NaN", "NULL", "null", "<NA>")  # but not Na, which is sodium
NO_NUMBER = (*EMPTY, "None", "none", "-")  # of a column of numbers
MOSTLY = 0.5  # share of a column's cells that are numbers, above which the others are mistakes


def read_table(path: Path) -> dict[str, Any]:
    """Return the fields of a `Campaign` as a CSV table gives them.

    Raises
    ------
    InputError
        See `read.campaign`.
    """
    table = _cells(path)
    images = _images(path, table)
    given = table.drop(columns=[IMAGE, CONDITION, *TAKEN], errors="ignore")
    columns, notes = {}, []
    for name in given:
        column = _column(path, name, given[name])
        if column.isna().all():
            notes.append(f"{path.name}: column {name!r} is empty and is left out.")
        else:
            columns[name] = column
    variables = given[[]].assign(**columns)
    if CONDITION in table:
        images[CONDITION] = _filled(path, table, CONDITION).to_numpy()
    else:
        images[CONDITION] = _names(variables)
    recipes, said = _recipes(path, variables, images[CONDITION])
    notes += said + (_alike(recipes) if CONDITION in table else []) + _not_named(path, images)
    numbers = recipes.select_dtypes("number")
    order = [PATH, CONDITION, *(name for name in TAKEN if name in images)]
    return {
        "images": images[order], "conditions": numbers, "source": (path,), "recipes": recipes, "warnings": tuple(notes)
    }  # fmt: skip


def _cells(path):
    """Return the cells of the table as text."""
    import pandas as pd

    with path.open("rb") as file:
        first = file.readline()
    if first.count(b";") > first.count(b","):
        raise InputError(
            f"{path} is separated by semicolons; save it as CSV with commas between the columns and decimal points."
        )
    try:
        table = pd.read_csv(path, header=None, dtype=str, keep_default_na=False, skipinitialspace=True)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        why = str(error).strip().removeprefix("Error tokenizing data. C error: ")
        hint = "; a number with a decimal comma counts as two columns" if "saw" in why else ""
        raise InputError(
            f"{path} is not a readable CSV table ({why}{hint}); it should start image,condition,... ."
        ) from error
    table = table.fillna("").apply(lambda column: column.str.strip())
    header = [str(c).lstrip("\ufeff").strip() for c in table.iloc[0]]
    twice = next((c for c in header if header.count(c) > 1), None)
    if twice is not None:
        raise InputError(f"{path} has two columns {twice!r}; names must be different.")
    table = table.iloc[1:].reset_index(drop=True)
    table.columns = header
    if IMAGE not in table or len(table) == 0:
        raise InputError(f"{path} needs a column `image` and at least one row; it has columns {', '.join(header)}.")
    return table


def _images(path, table):
    """Return path, magnification and lot of every image."""
    import pandas as pd

    names = _filled(path, table, IMAGE)
    images = pd.DataFrame({PATH: [path.parent / name for name in names]}, index=table.index)
    missing = [str(p) for p in images[PATH] if not p.is_file()]
    if missing:
        raise InputError(
            f"{path} names {len(missing)} image(s) that are not there, first {missing[0]}; paths are relative to it."
        )
    twice = images.index[images[PATH].duplicated()]
    if len(twice):
        raise InputError(f"{path} names {names[twice[0]]} twice, again in row {twice[0] + 2}; remove one of the rows.")
    for name in TAKEN:
        if name in table:
            images[name] = table[name].astype(object).where(~table[name].isin(EMPTY), None)
    return images


def _filled(path, table, name):
    empty = table[name].isin(EMPTY)
    if empty.any():
        what = f"a row without {'an image' if name == IMAGE else 'a condition'} (row {int(empty.argmax()) + 2})"
        raise InputError(f"{path} has {what}; fill or remove it{'' if name == IMAGE else ', or drop the column'}.")
    return table[name]


def _column(path, name, cells):
    """Return a column as numbers or as words."""
    import numpy as np
    import pandas as pd

    number = np.array([number_of(cell) is not None for cell in cells])
    bad = ~number & ~cells.isin(NO_NUMBER).to_numpy()
    comma = bad & np.array([has_comma(cell) for cell in cells])
    meant = (number | comma).sum()
    if meant and not bad.any():
        return pd.to_numeric(cells.map(plain).where(number))
    if meant > MOSTLY * (meant + (bad & ~comma).sum()):
        raise _bad_cell(path, name, cells, comma if comma.any() else bad)
    return cells.astype(object).where(~cells.isin(EMPTY), None)


def _bad_cell(path, name, cells, bad):
    row = int(bad.argmax())
    where, cell = f"row {row + 2} of {path} gives {name!r} as {cells[row]!r}", cells[row]
    if has_comma(cell):
        return InputError(f"{where}, {ADVICE}.")
    return InputError(
        f"{where}, which is no number, but most of that column are; correct it, or leave it empty if it is unknown."
    )


def _names(variables):
    """Return names for rows without one: their numbers, and their words where words repeat (a remark does not)."""
    remarks = [n for n in variables if variables[n].dtype == object and variables[n].nunique() > len(variables) / 2]
    variables = variables.drop(columns=remarks)
    if variables.shape[1] == 0:
        return "sample"
    rows = variables.to_dict("records")
    return [", ".join(f"{k}={v if isinstance(v, str) else _short(v)}" for k, v in row.items()) for row in rows]


def _short(value):
    return "" if value is None else f"{value:g}"


def _recipes(path, variables, condition):
    """Return one row a condition, and what was left out because an image, not a condition, has it."""
    grouped = variables.groupby(condition.to_numpy(), sort=False, dropna=False)
    uneven = grouped.nunique(dropna=False).gt(1)
    left_out = []
    for name in uneven.columns[uneven.any()]:
        where = uneven.index[uneven[name]][0]
        if variables[name].dtype != object:
            raise InputError(
                f"{path} gives condition {where!r} more than one value of {name!r}; a condition is one recipe."
            )
        left_out.append(name)
    notes = [
        f"{path.name}: column {name!r} has several words in one condition and is taken for no process variable."
        for name in left_out
    ]
    kept = variables.drop(columns=left_out)
    recipes = kept.loc[~condition.duplicated().to_numpy()]
    return recipes.set_axis(condition[~condition.duplicated()].to_numpy(), axis=0).rename_axis(CONDITION), notes


def _alike(recipes):
    if recipes.shape[1] == 0 or not recipes.duplicated().any():
        return []
    groups = recipes.groupby(list(recipes.columns), sort=False, dropna=False).groups.values()
    same = [" = ".join(map(str, names)) for names in groups if len(names) > 1]
    more = f" and {len(same) - 3} more" if len(same) > 3 else ""
    return [f"conditions with the same recipe are kept apart: {'; '.join(same[:3])}{more}; is a variable missing?"]


def _not_named(path, images):
    """Say which image files lie beside those of the table without being named in it."""
    from .files import SUFFIXES

    named = {p.resolve() for p in images[PATH]}
    beside = [p for folder in sorted({p.parent for p in images[PATH]}) for p in sorted(folder.iterdir())]
    others = [
        p for p in beside
        if p.suffix.lower() in SUFFIXES and not p.name.startswith(".") and p.is_file() and p.resolve() not in named
    ]  # fmt: skip
    if not others:
        return []
    return [
        f"{len(others)} image(s) beside those of {path.name} are not named in it, first {others[0].name}: not used."
    ]
