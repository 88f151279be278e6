"""A recipe as the code that a network is conditioned on: the morphology that is expected of it.

Of each descriptor a Gaussian process over the training recipes says what to expect. The network is taught with what was
measured of the powders that it sees, so that it never knows a recipe: what links recipes to powders are the processes
alone, which say how sure they are and can leave a recipe out exactly.
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
class Unit:
    """In what a code counts a descriptor: from `centre` in steps of `scale`, of its logarithm where `log`."""

    log: bool
    centre: float
    scale: float


@dataclass(frozen=True)
class Expectation:
    """What is expected of recipes: a Gaussian process for each descriptor.

    Attributes
    ----------
    table : ProcessTable
    processes : dict of descriptor to Process or None
        None where too few training conditions have the descriptor for anything to be expected of it.
    units : dict of descriptor to Unit
        Of the codes: those of the processes, unless the network was taught with others.
    """

    table: ProcessTable
    processes: Mapping[str, Process | None]
    units: Mapping[str, Unit]

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
        for j, (name, p) in enumerate(self.processes.items()):
            if p is not None and name in self.units:
                means[:, j], errors[:, j] = _in_units(p, self.units[name], *p.at(inputs))
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
    return Expectation(table, processes, _units(processes))


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
    return Expectation(table, processes, _units(processes))


def _units(processes):
    return {name: Unit(bool(p.log), p.centre, p.scale) for name, p in processes.items() if p is not None}


def _in_units(p, unit, mean, sd):
    """Return what a process says in the units of a code, of which only one may be of the logarithm."""
    if p.log and not unit.log:
        mean = p.value(mean)
        sd = sd * mean
    elif unit.log and not p.log:
        mean = np.maximum(mean, 1e-9 * abs(unit.scale))
        sd, mean = sd / mean, np.log(mean)
    return (mean - unit.centre) / unit.scale, sd / unit.scale


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


def training_codes(beliefs: Expectation, measured: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return the codes of measured conditions and their standard errors: (n, descriptors) each.

    A network learns from what was measured of the very powders that it sees; recipes do not enter. A descriptor that
    a condition lacks counts as the mean over conditions, as uncertain as these vary.
    """
    codes, errors = np.zeros((2, len(measured), len(beliefs.processes)))
    for j, name in enumerate(beliefs.processes):
        if name not in beliefs.units:
            continue
        unit = beliefs.units[name]
        value = measured[name].to_numpy(float)
        se = measured[f"{name}_se"].to_numpy(float) if f"{name}_se" in measured else np.zeros(len(value))
        if unit.log:
            value, se = np.log(value), se / value
        known = np.isfinite(value)
        codes[known, j] = (value[known] - unit.centre) / unit.scale
        errors[:, j] = np.where(known, np.nan_to_num(se / unit.scale), 1.0)
    return codes, errors


def recipe_codes(
    beliefs: Expectation, condition: Mapping[str, Any], count: int, *, rng: np.random.Generator
) -> np.ndarray:
    """Return `count` codes of one recipe, (count, descriptors): what is expected of it.

    What the recipe lacks is drawn anew for each from the training.
    """
    table = beliefs.table
    rows = [dict(condition) for _ in range(count)]
    for name in table.names:
        if is_missing(condition.get(name)):
            known = table.conditions[name].dropna().to_numpy()
            for row, value in zip(rows, rng.choice(known, count), strict=True):
                row[name] = value
    return beliefs.at(rows)[0]
