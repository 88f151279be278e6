"""A base for a ControlNet in diffusers' layout: read from a folder or a hub, written, and told apart by its hash."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path
from typing import Any

import torch

from ..errors import InputError
from .control_parts import library


def load_base(name: str | Path) -> tuple[Any, Any, dict[str, Any]]:
    """Return (autoencoder, base, noise schedule) from a folder in diffusers' layout or a hub id.

    Parameters
    ----------
    name : str or path
        A folder with ``vae``, ``unet`` and ``scheduler``, or the id of such a repository, as in ``"owner/name"``.
        Only safetensors are read.

    Raises
    ------
    InputError
        There is no such folder or id, or the hub cannot be reached; or it is no base that a ControlNet of this kind
        can steer: it predicts something else than epsilon, or asks for more than tokens.
    """
    diffusers, where = library(), _where(name)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="huggingface_hub")  # tells diffusers about its own changes
            autoencoder = diffusers.AutoencoderKL.from_pretrained(where, subfolder="vae", use_safetensors=True)
            base = diffusers.UNet2DConditionModel.from_pretrained(where, subfolder="unet", use_safetensors=True)
            schedule = diffusers.DDPMScheduler.load_config(where, subfolder="scheduler")
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise InputError(
            f"no base was found at {name}: a folder with vae, unet and scheduler as diffusers writes them, or the id "
            f"of such a repository that this machine has or can fetch, was expected ({_reason(error)}); for a machine "
            "without a network fetch the repository elsewhere and give its folder."
        ) from error
    _check(name, autoencoder, base, schedule)
    return autoencoder, base, {k: v for k, v in schedule.items() if not k.startswith("_")}


def _where(name):
    text = str(name)
    if Path(text).is_dir():
        return text
    if isinstance(name, Path) or text.startswith((".", "/", "~")) or text.count("/") > 1 or "\\" in text:
        raise InputError(f"{text} is no folder; give a folder in diffusers' layout or a hub id such as owner/name.")
    return text


def _reason(error: BaseException) -> str:
    """Return the first line of what went wrong and of what that was for, if it is another thing."""
    first = deepest = error
    while deepest.__cause__ or deepest.__context__:
        deepest = deepest.__cause__ or deepest.__context__
    lines = [str(e).strip().split("\n")[0] or type(e).__name__ for e in (first, deepest)]
    return "; ".join(dict.fromkeys(lines))


def _check(name, autoencoder, base, schedule):
    predicts = schedule.get("prediction_type", "epsilon")
    if predicts != "epsilon":
        raise InputError(f"{name} predicts {predicts!r}; a base that predicts 'epsilon' was expected.")
    config = base.config
    if config.get("addition_embed_type") or config.get("class_embed_type") or config.get("encoder_hid_dim"):
        raise InputError(
            f"the base {name} asks for more than tokens beside the latents; one that does not was expected."
        )
    if not isinstance(config.cross_attention_dim, int):
        raise InputError(f"the base {name} takes tokens of several widths; one with a single width was expected.")
    if config.in_channels != autoencoder.config.latent_channels:
        raise InputError(
            f"the base {name} takes {config.in_channels} channels but its autoencoder makes "
            f"{autoencoder.config.latent_channels}; one that goes with its autoencoder was expected."
        )


def save_base(folder: str | Path, autoencoder: Any, base: Any, schedule: dict[str, Any]) -> None:
    """Write a base in diffusers' layout, for `load_base`."""
    folder = Path(folder)
    autoencoder.save_pretrained(folder / "vae", safe_serialization=True)
    base.save_pretrained(folder / "unet", safe_serialization=True)
    library().DDPMScheduler.from_config(schedule).save_pretrained(folder / "scheduler")


def digest(*networks: torch.nn.Module) -> str:
    """Return the SHA-256 of the weights of networks, whatever file they came in."""
    total = hashlib.sha256()
    for network in networks:
        for key, tensor in sorted(network.state_dict().items()):
            total.update(key.encode())
            total.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()
