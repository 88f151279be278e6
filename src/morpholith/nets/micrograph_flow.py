"""Drawing micrographs: from white noise along the flow that the network has learnt."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch

from .micrograph_net import MicrographNet

STEPS = 12  # of Heun's method; see docs/methods_micrographs.md for what fewer and more of them change
LAYOUT, DETAIL = 3.5, -3.0  # logits of the times of the first and the last step between noise and micrograph
BATCH = 2**21  # pixels drawn together at most


def to_signal(grey: np.ndarray) -> np.ndarray:
    """Scale uint8 grey values to -1..1."""
    return grey.astype(np.float32) / 127.5 - 1


def to_grey(signal: torch.Tensor) -> np.ndarray:
    """Undo `to_signal`, rounded and clipped."""
    return ((signal + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).cpu().numpy()


def noise(seed: int, first: int, count: int, shape: tuple[int, int]) -> torch.Tensor:
    """Return the noise that images `first`, ... of a seed begin with, (count, 1, h, w): each image has a stream."""
    images = [
        np.random.default_rng([seed, k]).standard_normal(shape, dtype=np.float32) for k in range(first, first + count)
    ]
    return torch.from_numpy(np.stack(images))[:, None]


@torch.inference_mode()
def drawn(
    net: MicrographNet,
    code: np.ndarray,
    scale: float,
    *,
    images: int,
    seed: int,
    shape: tuple[int, int] = (256, 256),
    steps: int | None = None,
    guidance: float = 1.0,
    device: str = "cpu",
    mixed: bool = False,
) -> np.ndarray:
    """Draw micrographs of one recipe.

    Parameters
    ----------
    net : MicrographNet
        On its device.
    code : (width,) or (images, width) array
        One for all images, or one for each.
    scale : float
        Logarithm of the pixel size, as the network was trained with.
    images : int
    seed : int
        The same seed begins with the same noise whatever the recipe, and image k has the same noise however many are
        drawn.
    shape : (h, w)
        Multiples of the network's step.
    steps : int, optional
        Of Heun's method, 12 unless given; the network is asked 2 steps - 1 times.
    guidance : float
        1 draws what was learnt. More exaggerates what is special to the recipe, at twice the cost, and biases sizes.
    mixed : bool
        bfloat16 where it is safe.

    Returns
    -------
    (images, h, w) uint8 array
    """
    net.eval()
    at = times(STEPS if steps is None else steps)
    at_once = max(1, BATCH // (shape[0] * shape[1]))
    codes = torch.as_tensor(code, dtype=torch.float32, device=device).expand(images, -1)
    greys = [np.empty((0, *shape), np.uint8)]
    for first in range(0, images, at_once):
        count = min(at_once, images - first)
        x = noise(seed, first, count, shape).to(device, memory_format=torch.channels_last)
        c = codes[first : first + count]
        s = torch.full((count,), float(scale), device=device)

        def velocity(x, t, c=c, s=s, count=count):
            time, one = torch.full((count,), t, device=device), torch.ones(count, device=device)
            with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=mixed):
                v = net(x, time, c, s, one).float()
                if guidance != 1:
                    v = torch.lerp(net(x, time, c, s, 0 * one).float(), v, guidance)
            return v

        greys.append(to_grey(_along(velocity, x, at)[:, 0]))
    return np.concatenate(greys)


def times(steps: int) -> np.ndarray:
    """Return the times between the steps, from 1 to 0: evenly in their logit, as structures form at every scale."""
    between = 1 / (1 + np.exp(-np.linspace(LAYOUT, DETAIL, steps - 1))) if steps > 1 else np.empty(0)
    return np.r_[1.0, between, 0.0]


def _along(velocity, x, at):
    """Integrate from the first to the last of the times: Heun's method, whose last step is Euler's."""
    for now, then in pairwise(at):
        step = float(then - now)
        v = velocity(x, float(now))
        ahead = x + step * v
        x = ahead if then == 0 else x + step / 2 * (v + velocity(ahead, float(then)))
    return x
