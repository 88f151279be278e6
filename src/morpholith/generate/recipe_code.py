"""A recipe as the vector that a network is conditioned on: its variables, and the descriptors expected of it.

The descriptors expected (of a Gaussian process of each over the training conditions) tell the network in one number
what it would have to find out of a few dozen recipes: how large, how round, how finely textured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..design import Inputs, Process, fit_process
from ._process_columns import is_missing
from .process_table import CATEGORY, ProcessTable

if TYPE_CHECKING:
    import pandas as pd

FEWEST = 8  # conditions with a value, for a descriptor to be expected
NUMBERS = ("theta", "factor", "alpha", "variance")


@dataclass(frozen=True)
class Expectation:
    """What is expected of recipes: a Gaussian process for each descriptor.

    Attributes
    ----------
    table : ProcessTable
    processes : dict of descriptor to Process or None
        None where too few training conditions have the descriptor for anything to be expected of it.
    """

    table: ProcessTable
    processes: Mapping[str, Process | None]

    @property
    def names(self) -> tuple[str, ...]:
        """The descriptors."""
        return tuple(self.processes)

    def at(self, rows: pd.DataFrame | Sequence[Mapping[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
        """Return what is expected and its standard deviation, in training standard deviations: (n, descriptors) each.

        A missing number counts as the middle of its range. Of what cannot be expected both are 0.
        """
        inputs = process_inputs(self.table, rows)
        means, errors = (np.zeros((len(inputs), len(self.processes))) for _ in range(2))
        for j, p in enumerate(self.processes.values()):
            if p is not None:
                mean, sd = p.at(inputs)
                means[:, j], errors[:, j] = (mean - p.centre) / p.scale, sd / p.scale
        return means, errors

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return arrays and settings for a file; `expectation_from` reads them."""
        arrays: dict[str, np.ndarray] = {}
        settings: dict[str, Any] = {}
        for name, p in self.processes.items():
            if p is None:
                settings[name] = None
                continue
            arrays |= {f"{name}.{key}": getattr(p, key) for key in NUMBERS}
            arrays |= {f"{name}.x": p.data.x, f"{name}.words": p.data.words}
            settings[name] = {
                "log": p.log, "centre": p.centre, "scale": p.scale, "widen": p.widen, "evidence": p.evidence,
            }  # fmt: skip
        return arrays, settings


def expectation_from(table: ProcessTable, arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> Expectation:
    """Return what `Expectation.state` described."""
    processes: dict[str, Process | None] = dict.fromkeys(settings)
    for name, own in settings.items():
        if own is None:
            continue
        x = arrays[f"{name}.x"]
        data = Inputs(x, arrays[f"{name}.words"], np.zeros(len(x), bool))
        numbers: dict[str, Any] = {key: arrays[f"{name}.{key}"] for key in NUMBERS}
        processes[name] = Process(data=data, **numbers, **own)
    return Expectation(table, processes)


def expectation(table: ProcessTable, measured: pd.DataFrame, names: Sequence[str]) -> Expectation:
    """Fit what is expected of recipes to what was measured of some.

    Parameters
    ----------
    table : ProcessTable
    measured : DataFrame
        Index `condition`, each one of the table's; columns of descriptors, with `<descriptor>_se` where known. NaN
        where a condition lacks one. Conditions of the table that it lacks are not learnt from.
    names : sequence of str
        Descriptors; nothing is expected of those with fewer than 8 values.
    """
    processes: dict[str, Process | None] = dict.fromkeys(names)
    for name in names:
        own = measured[np.isfinite(measured[name].to_numpy(float))]
        if len(own) < FEWEST or np.ptp(own[name].to_numpy(float)) == 0:
            continue
        se = own[f"{name}_se"].to_numpy(float) if f"{name}_se" in own else np.full(len(own), np.nan)
        inputs = process_inputs(table, table.conditions.loc[own.index])
        processes[name] = fit_process(inputs, own[name].to_numpy(float), se**2)
    return Expectation(table, processes)


def process_inputs(table: ProcessTable, rows: pd.DataFrame | Sequence[Mapping[str, Any]]) -> Inputs:
    """Return recipes as a Gaussian process takes them: numbers scaled to 0..1, words by number, -1 where missing."""
    codes, at = table.encode(rows), 0
    numbers, words = [], []
    for v in table.variables:
        part = codes[:, at : at + v.width]
        at += v.width
        if v.kind == CATEGORY:
            words.append(np.where(part[:, -1] > 0, -1, part[:, :-1].argmax(1)))
        else:
            numbers.append((part[:, 0] + 1) / 2)
    n = len(codes)
    x = np.stack(numbers, 1) if numbers else np.zeros((n, 0))
    return Inputs(x, np.stack(words, 1) if words else np.zeros((n, 0), int), np.zeros(n, bool))


def training_codes(beliefs: Expectation) -> tuple[np.ndarray, np.ndarray]:
    """Return the codes of all conditions of the table and how uncertain each part is: (n, width) each.

    Where a condition lacks a value, its code is the mean over the conditions that have one, as uncertain as those
    vary.
    """
    table = beliefs.table
    codes = table.encode(table.conditions)
    spread = np.zeros_like(codes)
    for columns, flag in _parts(table):
        missing = codes[:, flag] > 0
        if missing.any():
            codes[np.ix_(missing, columns)] = codes[np.ix_(~missing, columns)].mean(0)
            spread[np.ix_(missing, columns)] = codes[np.ix_(~missing, columns)].std(0)
    kept = [i for columns, _ in _parts(table) for i in columns]
    mean, sd = beliefs.at(table.conditions)
    return np.hstack([codes[:, kept], mean]), np.hstack([spread[:, kept], sd])


def recipe_codes(
    beliefs: Expectation, condition: Mapping[str, Any], count: int, *, rng: np.random.Generator
) -> np.ndarray:
    """Return `count` codes of one recipe, (count, width); what it lacks is drawn anew for each from the training."""
    table = beliefs.table
    rows = [dict(condition) for _ in range(count)]
    for name in table.names:
        if is_missing(condition.get(name)):
            known = table.conditions[name].dropna().to_numpy()
            for row, value in zip(rows, rng.choice(known, count), strict=True):
                row[name] = value
    kept = [i for columns, _ in _parts(table) for i in columns]
    return np.hstack([table.encode(rows)[:, kept], beliefs.at(rows)[0]])


def _parts(table):
    """Return, for each variable, its columns of the code and the one of its flag."""
    found, at = [], 0
    for v in table.variables:
        found.append((list(range(at, at + v.width - 1)), at + v.width - 1))
        at += v.width
    return found
