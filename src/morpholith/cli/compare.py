"""Where two results of one recipe differ, in words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..recipe import RECIPE, read_recipe, sha256
from ..results import FIGURES, REPORT, SUMMARY


def differences(old: Path, new: Path, *, recipe: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Compare the results in `new` with those that `recipe` lists.

    Parameters
    ----------
    old : Path
        The recipe's folder. Where a file is no longer there, or no longer what the recipe lists, only its
        hash can be compared: it then differs by an unknown amount.
    new : Path
    recipe : mapping
        The old one.

    Returns
    -------
    numbers, others : list of str
        Sentences on the summary and the tables; names of pictures and other files.
    """
    then, now = recipe["outputs"], read_recipe(new / RECIPE)["outputs"]
    numbers: list[str] = []
    others: list[str] = []
    for name in dict.fromkeys([*then, *now]):
        if name == REPORT or then.get(name) == now.get(name):  # a report carries its date
            continue
        if name != SUMMARY and not name.endswith(".csv"):
            others.append(name)
        elif name not in now or name not in then:
            numbers.append(f"{name} is {'missing' if name not in now else 'new'}")
        elif not (old / name).is_file() or sha256(old / name) != then[name]:
            numbers.append(f"{name} differs (the earlier one is gone or was edited, so by how much is unknown)")
        elif name == SUMMARY:
            numbers += _summaries(old / name, new / name)
        else:
            numbers += _tables(old / name, new / name)
    return numbers, sorted(others, key=lambda name: (name.startswith(FIGURES), name))


def _summaries(old: Path, new: Path) -> list[str]:
    """Return a sentence for each number or warning that differs."""
    a, b = (json.loads(path.read_text(encoding="utf-8")) for path in (old, new))
    warned = [f"warnings: {a.pop('warnings')} -> {b.pop('warnings')}"] if a["warnings"] != b["warnings"] else []
    a.pop("warnings", None), b.pop("warnings", None)
    found = [f"{key}: {_number(a.get(key))} -> {_number(b.get(key))}" for key in {**a, **b} if a.get(key) != b.get(key)]
    return [*found, *warned]


def _number(entry: Mapping[str, Any] | None) -> str:
    if entry is None:
        return "absent"
    if entry["low"] is None or entry["high"] is None:
        return f"{entry['value']}"
    return f"{entry['value']} [{entry['low']}, {entry['high']}]"


def _tables(old: Path, new: Path) -> list[str]:
    """Return a sentence for each column that differs, compared as written."""
    import pandas as pd

    a, b = (pd.read_csv(path, dtype=str, keep_default_na=False) for path in (old, new))
    if len(a) != len(b) or list(a.columns) != list(b.columns):
        return [f"{new.name}: {len(a)} rows, {len(a.columns)} columns -> {len(b)} rows, {len(b.columns)} columns"]
    found = []
    for column in a.columns[(a != b).any()]:
        rows = f"{int((a[column] != b[column]).sum())} of {len(a)} rows"
        gaps = (pd.to_numeric(a[column], errors="coerce") - pd.to_numeric(b[column], errors="coerce")).abs()
        by = f", by at most {gaps.max():.3g}" if gaps.notna().any() else ""
        found.append(f"{new.name}: {column} differs in {rows}{by}")
    return found
