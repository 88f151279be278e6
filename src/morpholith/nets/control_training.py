"""Training of the autoencoder, the base and the ControlNet: one loop, three losses, on any number of processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import InputError
from ..progress import progress
from . import distributed
from .control_parts import encode, tokens
from .training import device as torch_device


class Patches:
    """Squares cut from images, flipped at random, and the noise they are trained with: a function of the step alone.

    Parameters
    ----------
    images : sequence of (h, w) uint8 arrays
    size : int
        Edge of a patch, pixels.
    batch : int
    seed : int
    """

    def __init__(self, images: Sequence[np.ndarray], *, size: int, batch: int, seed: int):
        self.images, self.size, self.batch, self.seed = images, size, batch, seed

    def cut(self, step: int) -> tuple[torch.Tensor, np.ndarray, np.random.Generator]:
        """Return patches (batch, 1, size, size) in -1..1, which images they are from, and the step's random stream."""
        rng = np.random.default_rng([self.seed, step])
        which = rng.integers(len(self.images), size=self.batch)
        patches = np.stack([self._one(self.images[i], rng) for i in which])
        return torch.from_numpy(patches[:, None] / np.float32(127.5) - 1), which, rng

    def _one(self, image, rng):
        y, x = (int(rng.integers(n - self.size + 1)) for n in image.shape)
        patch = image[y : y + self.size, x : x + self.size]
        flip_y, flip_x = rng.integers(2, size=2)
        return patch[:: 1 - 2 * flip_y, :: 1 - 2 * flip_x].astype(np.float32)


def normal(rng: np.random.Generator, *shape: int) -> torch.Tensor:
    """Return standard normal numbers, the same ones on every device."""
    return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))


class AutoencoderLoss(torch.nn.Module):
    """Absolute error of the grey levels and of their steps to the next pixels, and the pull towards a normal prior."""

    def __init__(self, autoencoder: Any, *, prior: float):
        super().__init__()
        self.autoencoder, self.prior = autoencoder, prior

    def forward(self, images, noise):
        """Return the loss of (n, 1, h, w) images; `noise` is of the latents' shape."""
        posterior = self.autoencoder.encode(images).latent_dist
        back = self.autoencoder.decode(posterior.mean + posterior.std * noise).sample.float()
        mean, variance = posterior.mean.float(), posterior.var.float()
        pull = 0.5 * (mean**2 + variance - 1 - posterior.logvar.float()).mean()
        steps = sum((torch.diff(back, dim=d) - torch.diff(images, dim=d)).abs().mean() for d in (2, 3))
        return (back - images).abs().mean() + 0.5 * steps + self.prior * pull


class NoiseLoss(torch.nn.Module):
    """Mean square error of the predicted noise (epsilon), with or without a ControlNet over a frozen base."""

    def __init__(self, autoencoder: Any, base: Any, control: Any, schedule: dict):
        super().__init__()
        from diffusers import DDPMScheduler

        self.autoencoder = autoencoder.requires_grad_(False).eval()
        self.base = base.requires_grad_(control is None)
        self.control = control
        self.scheduler = DDPMScheduler.from_config(schedule)

    def forward(self, images, posterior_noise, noise, times, *codes):
        """Return the loss of (n, 1, h, w) images at (n,) times; `codes`: (n, width) conditions for the ControlNet."""
        with torch.no_grad():
            latents = encode(self.autoencoder, images, posterior_noise)
        noisy = self.scheduler.add_noise(latents, noise, times)
        maps = codes[0][:, :, None, None].expand(-1, -1, *images.shape[2:]) if codes else None
        guess = predicted_noise(self.base, self.control, noisy, times, maps)
        return torch.nn.functional.mse_loss(guess.float(), noise)


def predicted_noise(base, control, latents, times, maps):
    """Return the noise in latents, steered by maps of the conditions where there is a ControlNet."""
    words = tokens(base, len(latents), latents)
    steered = {}
    if control is not None:
        down, middle = control(latents, times, words, maps, return_dict=False)
        steered = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
    return base(latents, times, words, **steered, return_dict=False)[0]


def accelerator(name: str) -> Any:
    """Return what spreads training over the processes of `accelerate launch` or `distributed.spread`; one without."""
    import accelerate

    torch_device(name)
    rank, processes = distributed.rank()
    if processes > 1:  # a group that is already there: say it the way that accelerate reads it
        here = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}
        for variable, value in here.items():
            os.environ.setdefault(variable, str(value))
    try:
        found = accelerate.Accelerator(cpu=name == "cpu")
    except ValueError as error:
        raise InputError(f"training cannot begin on {name!r}: {error}") from error
    if found.device.type != name:  # accelerate keeps the first device of a process
        raise InputError(
            f"earlier training in this process was on {found.device.type!r}; train on {name!r} in another."
        )
    return found


def fit(
    module: torch.nn.Module,
    trained: torch.nn.Module,
    batch: Callable[[int], tuple[torch.Tensor, ...]],
    *,
    steps: int,
    checkpoint: Path,
    key: str,
    on: Any,
    learning_rate: float,
    average: float,
    mixed: bool = False,
    save_every: int = 100,
) -> list[float]:
    """Train with AdamW and a one-cycle rate; leave the averaged weights in `trained`, return every step's loss.

    Parameters
    ----------
    module : Module
        ``module(*batch(step))`` is the loss of one step.
    trained : Module
        The part of `module` whose weights move, and are kept.
    batch : callable
        ``batch(step)`` returns tensors with the patches along their first axis, of which each process takes its
        share; it depends on the step alone, so that a resumed run sees what an unbroken one would.
    checkpoint : Path
        Written every `save_every` steps, whole or not at all; read first if it is there.
    key : str
        Names the training: images, options and seed.
    on : Accelerator
    mixed : bool
        bfloat16 where it is safe.

    Raises
    ------
    InputError
        The checkpoint is damaged or of another training.
    """
    module.to(on.device, memory_format=torch.channels_last)
    trained.train()
    optimiser = torch.optim.AdamW(trained.parameters(), lr=learning_rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, learning_rate, total_steps=max(steps, 1), pct_start=0.1)
    mean = {k: v.detach().clone() for k, v in trained.state_dict().items()}
    curve: list[float] = []
    if Path(checkpoint).is_file():
        kept = _read(checkpoint, on.device, key)
        trained.load_state_dict(kept["model"])
        optimiser.load_state_dict(kept["optimiser"])
        schedule.load_state_dict(kept["schedule"])
        mean, curve = kept["mean"], kept["curve"]
    wrapped = on.prepare(module) if len(curve) < steps else module
    for step in progress(range(len(curve), steps), label=f"training the {Path(checkpoint).stem}"):
        tensors = [t[on.process_index :: on.num_processes].to(on.device) for t in batch(step)]
        with torch.autocast(on.device.type, torch.bfloat16, enabled=mixed):
            value = wrapped(*tensors)
        optimiser.zero_grad(set_to_none=True)
        on.backward(value)
        torch.nn.utils.clip_grad_norm_(trained.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        decay = min(average, (1 + step) / (10 + step))
        for name, now in trained.state_dict().items():
            mean[name].lerp_(now, 1 - decay)
        curve.append(float(on.reduce(value.detach(), "mean")))
        if on.is_main_process and ((step + 1) % save_every == 0 or step + 1 == steps):
            _write(checkpoint, key, trained, optimiser, schedule, mean, curve)
    on.wait_for_everyone()
    trained.load_state_dict(mean)
    trained.eval()
    return curve


def _read(path, where, key):
    try:
        kept = torch.load(path, map_location=where, weights_only=True)
        theirs = kept["key"]
    except Exception as error:  # torch raises what it likes on a damaged file
        raise InputError(f"the checkpoint {path} is damaged ({error}); remove it and train again.") from error
    if theirs != key:
        raise InputError(
            f"the checkpoint {path} is of a training on other images or with other options; "
            "name another folder, or remove it."
        )
    return kept


def _write(path, key, trained, optimiser, schedule, mean, curve):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    torch.save(
        {
            "key": key,
            "model": trained.state_dict(),
            "optimiser": optimiser.state_dict(),
            "schedule": schedule.state_dict(),
            "mean": mean,
            "curve": curve,
        },
        part,
    )
    part.replace(path)
