"""Stored models: `NAME.safetensors` beside `NAME.json`, the recipe it was made by. Nothing is unpickled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .errors import InputError


def save(path: str | Path, arrays: Mapping[str, np.ndarray], recipe: Mapping[str, Any]) -> None:
    """Write arrays and their recipe, which records the SHA-256 of the arrays.

    Parameters
    ----------
    path : path
        With or without a suffix.
    arrays : mapping of str to array
    recipe : mapping
        As JSON can write it.
    """
    from safetensors.numpy import save as as_bytes

    path = Path(path).with_suffix(".safetensors")
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = as_bytes({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    path.write_bytes(raw)
    text = json.dumps({**recipe, "sha256": hashlib.sha256(raw).hexdigest()}, indent=2)
    path.with_suffix(".json").write_text(text + "\n", encoding="utf-8")


def load(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return (arrays, recipe), checked against the recipe's hash.

    Raises
    ------
    InputError
        A file is missing or unreadable, or the arrays are not those of the recipe.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    path = Path(path).with_suffix(".safetensors")
    beside = path.with_suffix(".json")
    if not path.is_file() or not beside.is_file():
        raise InputError(f"a stored model is {path.name} beside {beside.name}; not both are in {path.parent}.")
    try:
        recipe = json.loads(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{beside} is damaged ({error}); take it from where the model was made.") from error
    if not isinstance(recipe, dict):
        raise InputError(f"{beside} is no recipe of a model: a JSON object was expected, got {type(recipe).__name__}.")
    raw = path.read_bytes()
    if hashlib.sha256(raw).hexdigest() != recipe.get("sha256"):
        raise InputError(f"{path.name} is damaged or not the file its recipe describes: the SHA-256 differs.")
    try:
        return from_bytes(raw), recipe
    except SafetensorError as error:
        raise InputError(f"{path.name} is no safetensors file ({error}).") from error
