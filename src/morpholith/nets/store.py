"""Stored networks: `model_file` with tensors in the place of arrays."""

from __future__ import annotations

from pathlib import Path

from .. import model_file

SHIPPED = Path(__file__).parent / "weights"


def save(path: Path, state: dict, recipe: dict) -> None:
    """Write the weights and their recipe; the recipe records the weights' SHA-256."""
    model_file.save(path, {name: tensor.detach().cpu().numpy() for name, tensor in state.items()}, recipe)


def load(path: Path) -> tuple[dict, dict]:
    """Return (state, recipe), checked against the recipe's hash.

    Raises
    ------
    InputError
        A file is missing, or the weights are not those of the recipe.
    """
    import torch

    arrays, recipe = model_file.load(path)
    return {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}, recipe
