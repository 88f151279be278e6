"""Micrographs of a condition by the paper's way: latent diffusion with a frozen base, steered by a ControlNet.

Section 4.3 of the inverse-design paper (Stable Diffusion's parts: autoencoder, latent diffusion, ControlNet on maps of
the process conditions, epsilon-prediction), at a size that trains on two processor cores. Needs the extra
``morpholith[diffusers]``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from ..errors import InputError
from . import control_parts as parts
from .control_base import digest, load_base, save_base
from .control_draw import draw_control
from .control_parts import ControlConfig, ControlNets
from .control_store import load_control, save_control
from .control_training import AutoencoderLoss, NoiseLoss, Patches, accelerator, fit, normal

__all__ = ["ControlConfig", "ControlNets", "draw_control", "load_control", "save_base", "save_control", "train_control"]

PHASES = ("autoencoder", "base", "control")
AUTOENCODER, BASE, CONTROL = range(3)
STEPS = (3000, 2500, 2200)
SMALLEST = 32  # pixels


def train_control(
    images: Sequence[np.ndarray],
    codes: np.ndarray,
    views: np.ndarray,
    *,
    folder: str | Path,
    config: ControlConfig | None = None,
    base: str | Path | None = None,
    steps: tuple[int, int, int] = STEPS,
    seed: int = 0,
    device: str = "cpu",
    mixed: bool = False,
) -> ControlNets:
    """Train autoencoder and base on the images alone, freeze them, and train the ControlNet on images and conditions.

    Parameters
    ----------
    images : sequence of (h, w) uint8 arrays
        All views mixed; each at its view's working pixel.
    codes : (n_images, width) float array
        The condition of each image, numbers of about -1..1.
    views : (n_images,) int array
        The view of each image, from 0.
    folder : path
        Keeps a checkpoint of each phase; training goes on from them.
    config : ControlConfig, optional
    base : str or path, optional
        Folder in diffusers' layout or hub id to take autoencoder and base from; trained on the images when None.
    steps : (autoencoder, base, control)
        The first two do not count where `base` is given.
    seed : int
    device : {"cpu", "cuda"}
    mixed : bool
        bfloat16 where it is safe.

    Returns
    -------
    ControlNets
        On the processor, in float32. Under ``accelerate launch`` every process returns the same.

    Raises
    ------
    InputError
        Images, codes and views do not go together, images are too small, the extra or the device is absent, the base
        cannot be used, or the folder holds the checkpoints of another training.
    """
    parts.library()
    config = config or ControlConfig()
    whole = _codes(images, codes, views)
    if len(steps) != len(PHASES) or min(steps) < 0:
        raise InputError(f"three numbers of steps, 0 or more, were expected ({', '.join(PHASES)}), got {steps}.")
    on = accelerator(device)
    if config.batch % on.num_processes:
        raise InputError(f"a batch of {config.batch} cannot be shared by {on.num_processes} processes evenly.")
    named = None if base is None else load_base(base)
    given = None if named is None else digest(*named[:2])
    key = _key(images, whole, config, given, steps, seed)
    curves: dict[str, list[float]] = {}

    def train(phase, loss, trained, batch):
        name = PHASES[phase]
        curves[name] = fit(
            loss, trained, batch, steps=steps[phase], checkpoint=Path(folder) / f"{name}.pt", key=key, on=on,
            learning_rate=config.learning_rates[phase], average=config.average, mixed=mixed,
        )  # fmt: skip

    autoencoder, unet, schedule = named or _own_base(train, images, config, seed)
    control = _seeded(seed, parts.new_control, autoencoder, unet, whole.shape[1])
    batch = _noise_batches(images, whole, autoencoder, unet, schedule, config, seed)
    train(CONTROL, NoiseLoss(autoencoder, unet, control, schedule), control, batch)
    for network in (autoencoder, unet, control):
        network.to("cpu").eval().requires_grad_(False)
    n_views = whole.shape[1] - np.shape(codes)[1]
    name = None if base is None else str(base)
    width = whole.shape[1] - n_views
    return ControlNets(autoencoder, unet, control, schedule, config, width, n_views, name, given, curves)


def _own_base(train, images, config, seed):
    """Return autoencoder, base and noise schedule, trained on the images without their conditions."""
    autoencoder = _seeded(seed, parts.new_autoencoder, config)
    batch = _autoencoder_batches(images, autoencoder, config, seed)
    train(AUTOENCODER, AutoencoderLoss(autoencoder, prior=config.prior), autoencoder, batch)
    _rescale(autoencoder, batch)
    unet = _seeded(seed, parts.new_base, config)
    batch = _noise_batches(images, None, autoencoder, unet, parts.NOISE, config, seed)
    train(BASE, NoiseLoss(autoencoder, unet, None, parts.NOISE), unet, batch)
    return autoencoder, unet, parts.NOISE


def _codes(images, codes, views):
    """Return (n, width + views) float32: the codes with the view spelt out beside them."""
    codes, views = np.asarray(codes, np.float32), np.asarray(views)
    if not len(images):
        raise InputError("no images: a ControlNet is trained on the micrographs of a campaign.")
    if codes.ndim != 2 or views.ndim != 1 or not len(images) == len(codes) == len(views):
        raise InputError(
            f"one code and one view an image were expected, got {len(images)} images, codes of shape {codes.shape} "
            f"and views of shape {views.shape}."
        )
    if not np.issubdtype(views.dtype, np.integer) or views.min() < 0:
        raise InputError("views are whole numbers from 0, one for each magnification.")
    if not np.isfinite(codes).all():
        raise InputError("a code holds NaN or infinity; missing values are encoded by a flag.")
    wrong = [i for i, image in enumerate(images) if image.ndim != 2 or image.dtype != np.uint8]
    if wrong:
        image = images[wrong[0]]
        raise InputError(f"image {wrong[0]} is {image.dtype} of shape {image.shape}; (h, w) uint8 was expected.")
    return np.hstack([codes, np.eye(int(views.max()) + 1, dtype=np.float32)[views]])


def _key(images, codes, config, given, steps, seed):
    total = hashlib.sha256(json.dumps([config.to_json(), given, list(steps), seed]).encode())
    for array in (codes, *images):
        total.update(repr(array.shape).encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


def _seeded(seed, make, *what):
    """Return a network whose first weights depend on the seed; torch's own random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make(*what)


def _patches(images, edge, multiple, config, seed):
    smallest = min(min(image.shape) for image in images)
    size = min(edge, smallest) // multiple * multiple
    if size < max(SMALLEST, multiple):
        raise InputError(f"images are {max(SMALLEST, multiple)} pixels or more a side, got one of {smallest}.")
    return Patches(images, size=size, batch=config.batch, seed=seed)


def _autoencoder_batches(images, autoencoder, config, seed) -> Callable[[int], tuple[torch.Tensor, ...]]:
    """Return what makes the batch of a step: patches, and noise for their latents."""
    factor, channels = parts.reduction(autoencoder), autoencoder.config.latent_channels
    patches = _patches(images, config.autoencoder_patch, factor, config, seed * 3 + AUTOENCODER)
    shape = (config.batch, channels, patches.size // factor, patches.size // factor)

    def batch(step):
        cut, _, rng = patches.cut(step)
        return cut, normal(rng, *shape)

    return batch


def _noise_batches(
    images, codes, autoencoder, unet, schedule, config, seed
) -> Callable[[int], tuple[torch.Tensor, ...]]:
    """Return what makes the batch of a step: patches, two noises for their latents, times, and codes if there are."""
    factor, channels = parts.reduction(autoencoder), autoencoder.config.latent_channels
    stream = seed * 3 + (BASE if codes is None else CONTROL)
    patches = _patches(images, config.patch, parts.stride(autoencoder, unet), config, stream)
    shape = (config.batch, channels, patches.size // factor, patches.size // factor)

    def batch(step):
        cut, which, rng = patches.cut(step)
        first = normal(rng, *shape)
        times = torch.from_numpy(rng.integers(schedule["num_train_timesteps"], size=config.batch))
        tensors = (cut, first, normal(rng, *shape), times)
        return tensors if codes is None else (*tensors, torch.from_numpy(codes[which]))

    return batch


def _rescale(autoencoder, batch):
    """Give latents mean 0 and variance 1, over a few batches of patches."""
    autoencoder.register_to_config(scaling_factor=1.0, shift_factor=0.0)
    where = next(autoencoder.parameters()).device
    with torch.inference_mode():
        latents = torch.cat([parts.encode(autoencoder, *(t.to(where) for t in batch(k))) for k in range(16)])
    autoencoder.register_to_config(scaling_factor=float(1 / latents.std()), shift_factor=float(latents.mean()))
