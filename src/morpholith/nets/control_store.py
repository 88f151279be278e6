"""A trained ControlNet, and its base unless that was given by name, between its file and its use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import model_file
from ..errors import InputError
from . import control_parts as parts
from .control_base import digest, load_base
from .control_draw import draw_control
from .control_parts import ControlConfig, ControlNets
from .training import fast_bfloat16


def described(nets: ControlNets, *, whole: bool | None = None) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return weights and settings for a file.

    Parameters
    ----------
    nets : ControlNets
    whole : bool, optional
        Keep autoencoder and base too, rather than refer to them by name and SHA-256. By default those that were
        given by name are referred to.
    """
    whole = nets.base_name is None if whole is None else whole
    stored = {"control": nets.control} | ({"autoencoder": nets.autoencoder, "base": nets.base} if whole else {})
    weights = {
        f"{part}.{key}": tensor.detach().cpu().numpy()
        for part, network in stored.items()
        for key, tensor in network.state_dict().items()
    }
    settings = {
        "config": nets.config.to_json(),
        "width": nets.width,
        "views": nets.views,
        "schedule": dict(nets.schedule),
        "networks": {part: parts.described(network) for part, network in stored.items()},
        "base": None if nets.base_name is None else {"name": nets.base_name, "sha256": nets.base_sha256},
    }
    return weights, settings


def networks(
    weights: Mapping[str, np.ndarray], settings: Mapping[str, Any], *, base: str | Path | None = None
) -> ControlNets:
    """Return the networks of `described`, on the processor.

    Parameters
    ----------
    weights, settings : mapping
    base : str or path, optional
        Where the base is now, if it is referred to and has moved.

    Raises
    ------
    InputError
        The base is not found, or is not the one that the ControlNet was trained over.
    """
    diffusers = parts.library()
    classes = {
        "autoencoder": diffusers.AutoencoderKL,
        "base": diffusers.UNet2DConditionModel,
        "control": diffusers.ControlNetModel,
    }
    found: dict[str, Any] = {}
    for part, config in settings["networks"].items():
        found[part] = classes[part].from_config(config)
        own = {k.removeprefix(f"{part}."): v for k, v in weights.items() if k.startswith(f"{part}.")}
        found[part].load_state_dict({k: torch.from_numpy(np.array(v, np.float32)) for k, v in own.items()})
    schedule, origin = settings["schedule"], settings["base"] or {"name": None, "sha256": None}
    if "base" not in found:
        name = base or origin["name"]
        found["autoencoder"], found["base"], schedule = load_base(name)
        if digest(found["autoencoder"], found["base"]) != origin["sha256"]:
            raise InputError(f"{name} is not the base that the ControlNet was trained over: the SHA-256 differs.")
    for network in found.values():
        network.eval().requires_grad_(False)
    return ControlNets(
        **found, schedule=schedule, config=ControlConfig(**settings["config"]), width=settings["width"],
        views=settings["views"], base_name=origin["name"], base_sha256=origin["sha256"],
    )  # fmt: skip


def drawer(
    weights: Mapping[str, np.ndarray], settings: Mapping[str, Any], views: Sequence[Any], *, device: str
) -> Callable[..., np.ndarray]:
    """Return ``draw(codes, view, *, seed, shape, mixed)`` of stored weights, one image a code."""
    nets = networks(weights, settings)
    if len(views) != nets.views:
        raise InputError(f"the networks draw {nets.views} views, and the model names {len(views)}.")

    def draw(
        codes: np.ndarray, view: int, *, seed: int, shape: tuple[int, int], mixed: bool | None = None
    ) -> np.ndarray:
        mixed = fast_bfloat16(device) if mixed is None else mixed
        return draw_control(nets, codes, view, images=len(codes), seed=seed, shape=shape, device=device, mixed=mixed)

    return draw


def save_control(path: str | Path, nets: ControlNets) -> None:
    """Write NAME.safetensors beside NAME.json; a base that was given is referred to by its name and SHA-256."""
    weights, settings = described(nets)
    curves = {phase: [round(value, 6) for value in curve] for phase, curve in nets.curves.items()}
    what = "micrographs of process conditions: latent diffusion steered by a ControlNet"
    model_file.save(path, weights, {"what": what, **settings, "curves": curves})


def load_control(path: str | Path, *, base: str | Path | None = None) -> ControlNets:
    """Read what `save_control` wrote.

    Parameters
    ----------
    path : path
    base : str or path, optional
        Where the base is now, if it was given by name and has moved.

    Raises
    ------
    InputError
        Files are missing or damaged or of another kind, or the base is not the one that the ControlNet was trained
        over.
    """
    weights, recipe = model_file.load(path)
    if "control" not in recipe.get("networks", {}):
        raise InputError(f"{path} holds no ControlNet; a file that `save_control` wrote was expected.")
    return replace(networks(weights, recipe, base=base), curves=recipe["curves"])
