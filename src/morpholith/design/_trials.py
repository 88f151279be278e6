"""A record as an optuna trial, and back, with a checksum over what it says."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import InputError
from .measured import Measured, Record
from .space import Categorical, Space

RECORD, CLAIM = "record", "claim"


def written(record: Record) -> dict[str, Any]:
    """Return what a trial says of a record, with a checksum."""
    content = plain(
        {
            "conditions": dict(record.conditions),
            "results": {k: [_finite(m.mean), _finite(m.se), m.n] for k, m in record.results.items()},
            "phase": record.phase, "batch": record.batch, "call": record.call, "seed": record.seed,
            "note": record.note,
        }
    )  # fmt: skip
    return {**content, "checksum": _sum(content)}


def read(trial: Any, place: str) -> Record | None:
    """Return the record of a trial; None where it has none yet.

    Raises
    ------
    InputError
        It is not what was written.
    """
    content = dict(trial.user_attrs.get(RECORD, {}))
    if not content:
        return None
    if content.pop("checksum", None) != _sum(content):
        raise InputError(
            f"{place} is damaged in trial {trial.number}; what it says is not what was written; use a copy."
        )
    results = {k: Measured(_number(m), _number(s), n) for k, (m, s, n) in content["results"].items()}
    return Record(
        content["conditions"], results, content["phase"], content["batch"], content["call"], content["seed"],
        content["note"],
    )  # fmt: skip


def parameters(optuna: Any, space: Space, conditions: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return `params` and `distributions` of a trial, for other programs that read the storage.

    Numbers have a range that holds them even where the recipe lies outside the bounds, and no scale, which optuna
    would not let change later. What is neither a number nor one of the words is left out.
    """
    params, ranges = {}, {}
    for name, kind in space.conditions.items():
        value = plain(conditions.get(name))
        if isinstance(kind, Categorical):
            if value in kind.options:
                params[name], ranges[name] = value, optuna.distributions.CategoricalDistribution(kind.options)
        elif isinstance(value, (int, float)) and np.isfinite(value):
            low, high = min(float(kind.low), value), max(float(kind.high), value)
            params[name], ranges[name] = float(value), optuna.distributions.FloatDistribution(low, high)
    return {"params": params, "distributions": ranges}


def plain(value: Any) -> Any:
    """Return a value as JSON gives it back."""
    return json.loads(json.dumps(value, allow_nan=False, default=_item))


def _item(value):
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} cannot be written down.")


def _sum(content):
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return f"{zlib.crc32(text.encode()):08x}"


def _finite(value):
    return value if np.isfinite(value) else None


def _number(value):
    return float("nan") if value is None else value
