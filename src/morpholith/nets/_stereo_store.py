"""Checkpoints of the stereological GAN: one safetensors file, with all that training goes on from."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ..errors import InputError

if TYPE_CHECKING:
    from ._stereo_run import Gan


def place_of(gan: Gan, path: Path) -> Path:
    """Return the file of a checkpoint: the one given, or in a folder one named after what is trained."""
    if path.suffix == ".safetensors":
        return path
    digest = hashlib.sha256(json.dumps(gan.about, sort_keys=True).encode()).hexdigest()[:16]
    return path / f"stereo-gan-{digest}.safetensors"


def keep(gan: Gan, path: Path) -> None:
    """Write all that training goes on from, whole or not at all."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    state = {f"maker.{k}": v for k, v in gan.maker.state_dict().items()}
    state |= {f"judge.{k}": v for k, v in gan.judge.state_dict().items()}
    state |= {f"mean.{k}": v for k, v in gan.mean.items()}
    for k, adam in enumerate(gan.adams):
        for place, parts in adam.state_dict()["state"].items():
            state |= {f"adam.{k}.{place}.{name}": torch.as_tensor(part) for name, part in parts.items()}
    recipe = {"about": gan.about, "intensity": gan.intensity, "margin": gan.margin, "curves": gan.curves}
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        plain = {k: v.detach().cpu().contiguous() for k, v in state.items()}
        save_file(plain, part, metadata={"recipe": json.dumps(recipe)})
        part.replace(path)
    except (OSError, SafetensorError) as error:
        if part.is_file():
            part.unlink()
        raise InputError(f"{path} cannot be written ({error}); name another folder.") from error


def resume(gan: Gan, path: Path) -> None:
    """Go on from what `keep` wrote."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt", device=str(gan.where)) as file:
            recipe = json.loads((file.metadata() or {})["recipe"])
            state = {key: file.get_tensor(key) for key in file.keys()}
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise InputError(f"{path} is no checkpoint of this training ({error}); remove it to begin anew.") from error
    differ = [k for k, v in gan.about.items() if recipe["about"].get(k) != json.loads(json.dumps(v))]
    if differ:
        raise InputError(
            f"{path} is a checkpoint of another training: {', '.join(differ)} differ; name another, or remove it."
        )

    def part(prefix):
        return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}

    gan.maker.load_state_dict(part("maker."))
    gan.judge.load_state_dict(part("judge."))
    gan.mean = {k: v.clone() for k, v in part("mean.").items()}
    for k, adam in enumerate(gan.adams):
        kept = adam.state_dict()
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for key, value in part(f"adam.{k}.").items():
            place, name = key.split(".")
            moments.setdefault(int(place), {})[name] = value
        adam.load_state_dict({"state": moments, "param_groups": kept["param_groups"]})
    gan.intensity, gan.margin, gan.curves = recipe["intensity"], tuple(recipe["margin"]), recipe["curves"]
