"""Stored models: `NAME.safetensors` beside `NAME.json`, the recipe it was trained by. Nothing is unpickled."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from ..errors import InputError

SHIPPED = Path(__file__).parent / "weights"


def save(path: Path, state: dict, recipe: dict) -> None:
    """Write the weights and their recipe; the recipe records the weights' SHA-256."""
    from safetensors.torch import save_file

    path = Path(path).with_suffix(".safetensors")
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous().cpu() for k, v in state.items()}, path)
    recipe = {**recipe, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    path.with_suffix(".json").write_text(json.dumps(recipe, indent=2) + "\n", encoding="utf-8")


def load(path: Path) -> tuple[dict, dict]:
    """Return (state, recipe), checked against the recipe's hash.

    Raises
    ------
    InputError
        A file is missing, or the weights are not those of the recipe.
    """
    from safetensors.torch import load as load_bytes

    path = Path(path).with_suffix(".safetensors")
    if not path.is_file() or not path.with_suffix(".json").is_file():
        raise InputError(f"a stored model is {path.name} beside {path.stem}.json; not both are in {path.parent}.")
    recipe = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    raw = path.read_bytes()
    if hashlib.sha256(raw).hexdigest() != recipe.get("sha256"):
        raise InputError(f"{path.name} is damaged or not the file its recipe describes: the SHA-256 differs.")
    return load_bytes(raw), recipe
