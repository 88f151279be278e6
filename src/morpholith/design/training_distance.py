"""How far a recipe is from the conditions that a model was trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from .space import Categorical, Space

if TYPE_CHECKING:
    import pandas as pd


def training_distance(recipes: pd.DataFrame, training: pd.DataFrame, *, space: Space) -> pd.DataFrame:
    """Return for each recipe how far it is from the nearest training condition, and whether that is extrapolation.

    Parameters
    ----------
    recipes, training : DataFrame
        With a column for each condition of the space, fixed ones too. Training rows with a missing value are left out.
    space : Space
        Its bounds scale the distance: root mean square over all conditions, a different word counting 1.

    Returns
    -------
    DataFrame
        `training_distance`; `extrapolation`, that distance over the one below which 95 % of the training conditions
        have a neighbour; `extrapolates`, whether it is above 1 or a condition is outside the range, or is a word, that
        was never trained; `beyond`, the names of those conditions.

    Raises
    ------
    InputError
        Fewer than two different training conditions without missing values, or a condition without a column.
    """
    whole = Space(dict(space.conditions))
    missing = [n for n in whole.names if n not in training.columns]
    if missing:
        raise InputError(f"the training conditions lack {', '.join(missing)}; they have {', '.join(training.columns)}.")
    rows = whole.encode(training[list(whole.names)].dropna().drop_duplicates())
    if len(rows) < 2:
        raise InputError(f"a distance needs two or more different training conditions, got {len(rows)}.")
    codes = whole.encode(recipes)
    own = whole.distance(rows, rows)
    np.fill_diagonal(own, np.inf)
    usual = float(np.quantile(own.min(axis=1), 0.95))
    table = recipes[[]].copy()
    table["training_distance"] = whole.distance(codes, rows).min(axis=1)
    table["extrapolation"] = table["training_distance"] / usual
    beyond = [_beyond(whole, code, rows) for code in codes]
    table["extrapolates"] = (table["extrapolation"].to_numpy() > 1) | np.array([bool(b) for b in beyond], bool)
    table["beyond"] = beyond
    return table


def _beyond(space, code, rows):
    slack = 1e-9 * np.diff(space.bounds, axis=1)[:, 0]
    outside = (code < rows.min(axis=0) - slack) | (code > rows.max(axis=0) + slack)
    for j, kind in enumerate(space.free):
        if isinstance(kind, Categorical):
            outside[j] = code[j] not in rows[:, j]
    return ", ".join(np.array(space.names)[outside])


def projection(
    recipes: pd.DataFrame, training: pd.DataFrame, *, space: Space
) -> tuple[pd.DataFrame, pd.DataFrame, float]:
    """Return recipes and training conditions in the plane of the training's first two principal components.

    Returns
    -------
    recipes, training : DataFrame
        Columns `first` and `second`.
    share : float
        Of the training's variance that the plane holds.
    """
    import pandas as pd

    whole = Space(dict(space.conditions))
    rows = _spread_words(whole, whole.encode(training[list(whole.names)].dropna()))
    centre = rows.mean(axis=0)
    _, size, axes = np.linalg.svd(rows - centre, full_matrices=False)
    axes = axes[:2]
    # a fixed sign, so that the same campaign always looks the same
    axes = axes * np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]
    tables = []
    for table, found in ((recipes, _spread_words(whole, whole.encode(recipes))), (training, rows)):
        index = table.index if len(table) == len(found) else None
        flat = np.zeros((len(found), 2))
        flat[:, : len(axes)] = (found - centre) @ axes.T
        tables.append(pd.DataFrame(flat, columns=["first", "second"], index=index))
    total = float((size**2).sum())
    return tables[0], tables[1], float((size[:2] ** 2).sum() / total) if total > 0 else 1.0


def _spread_words(space, codes):
    """Return scaled conditions with each word a column of its own."""
    scaled = space.unit(codes)
    columns = []
    for j, kind in enumerate(space.free):
        if isinstance(kind, Categorical):
            columns += [(codes[:, j] == w) / np.sqrt(2) for w in range(len(kind.options))]
        else:
            columns.append(scaled[:, j])
    return np.stack(columns, axis=1).astype(float)
