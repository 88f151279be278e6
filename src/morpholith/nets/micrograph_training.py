"""Training of the condition-to-micrograph network by flow matching, on patches, with or without recipes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from . import distributed, training
from .micrograph_flow import to_signal
from .micrograph_net import MicrographNet, NetConfig


@dataclass(frozen=True)
class Schedule:
    """How long and on what a network is trained.

    Attributes
    ----------
    steps : int
    batch : int
        Patches of 64 pixels a side in a step; patches of 128 take four times the room.
    learning_rate : float
    recipe_rate : float
        By what it is multiplied for the layers through which a recipe acts: the loss moves them little, since to know
        the recipe helps little where the picture can be seen already.
    average : float
        Decay of the running mean of the weights.
    dropped : float
        Share of patches whose recipe is withheld; 1 trains without recipes.
    jitter : float
        Standard deviation of noise on the code of a recipe, in its units (a range is 2).
    wide : float
        Share of the steps on patches of 128 pixels.
    noise : (float, float)
        Mean and standard deviation of the logit of the flow's time. A particle of 30 pixels is seen through noise that
        hides every one of its pixels: where it lies and what outline it has is decided at times above 0.9, which a
        mean of 0 hardly ever trains.
    """

    steps: int
    batch: int = 16
    learning_rate: float = 1e-3
    recipe_rate: float = 6.0
    average: float = 0.998
    dropped: float = 0.1
    jitter: float = 0.02
    wide: float = 0.4
    noise: tuple[float, float] = (1.0, 1.5)


@dataclass(frozen=True)
class Patches:
    """Micrographs to train on.

    Attributes
    ----------
    images : sequence of (h, w) uint8 arrays
    codes : (n, width) array
        Code of the recipe of each image.
    spread : (n, width) array
        Uncertainty of the code beyond the schedule's jitter.
    views : (n,) int array
        Number of the magnification; all of them are drawn equally often.
    scales : (views,) array
        Logarithm of the pixel size of each.
    """

    images: Sequence[np.ndarray]
    codes: np.ndarray
    spread: np.ndarray
    views: np.ndarray
    scales: np.ndarray

    def batch(self, rng: np.random.Generator, count: int, size: int, jitter: float):
        """Draw patches, each flipped and turned: (signal (n, 1, size, size), code (n, width), scale (n,))."""
        of_view = [np.flatnonzero(self.views == v) for v in range(len(self.scales))]
        rows = np.array([rng.choice(of_view[v]) for v in rng.integers(len(self.scales), size=count)])
        patches = np.stack([_patch(self.images[i], size, rng) for i in rows])
        codes = self.codes[rows] + rng.standard_normal((count, self.codes.shape[1])) * np.hypot(
            jitter, self.spread[rows]
        )
        return to_signal(patches)[:, None], codes.astype(np.float32), self.scales[self.views[rows]].astype(np.float32)


def _patch(image, size, rng):
    """Cut a patch from anywhere, turned by quarters and mirrored; a smaller image is continued by mirroring."""
    short = [max(0, size - n) for n in image.shape]
    if any(short):
        image = np.pad(image, [(0, n) for n in short], mode="symmetric")
    y, x = (rng.integers(n - size + 1) for n in image.shape)
    patch = np.rot90(image[y : y + size, x : x + size], rng.integers(4))
    return patch[:, ::-1] if rng.integers(2) else patch


def train(
    patches: Patches,
    schedule: Schedule,
    *,
    config: NetConfig,
    checkpoint: Path,
    seed: int,
    start: dict | None = None,
    device: str = "cpu",
    mixed: bool = False,
    label: str = "training",
    processes: int = 1,
) -> tuple[dict, list[float]]:
    r"""Train a network; return the averaged weights and the loss of every step.

    Flow matching (Lipman et al. 2023): with noise $\epsilon$ and $x_t=(1-t)x+t\epsilon$ the network's $v(x_t,t)$ is
    moved to $\epsilon-x$; $t$ is logit-normal. A resumed training goes on as the unbroken one would have.

    Parameters
    ----------
    patches : Patches
    schedule : Schedule
    config : NetConfig
    checkpoint : Path
        Written now and then; read first if it is there.
    seed : int
    start : dict, optional
        Weights to start from.
    device : str
    mixed : bool
        bfloat16 where it is safe.
    label : str
        Of the progress bar.
    processes : int
        That share the training, one a card; each draws `Schedule.batch` patches a step.

    Raises
    ------
    InputError
        There is no such device, or fewer cards than processes.
    """
    if processes > 1:
        part = partial(
            train, config=config, checkpoint=checkpoint, seed=seed, start=start, device=device, mixed=mixed, label=label
        )  # fmt: skip
        distributed.spread(part, (patches, schedule), processes=processes, device=device)
        # the group left it whole: nothing is trained here, it is only read
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = MicrographNet(config)
    if start is not None:
        net.load_state_dict(start)
    if schedule.steps == 0:
        return net.state_dict(), []

    def batch(step: int):
        rng = np.random.default_rng([seed, step, distributed.rank()[0]])
        # patches of one size at all processes, so that none waits for another
        wide = np.random.default_rng([seed, step]).random() < schedule.wide
        count, size = (max(1, schedule.batch // 4), 128) if wide else (schedule.batch, 64)
        x, codes, scales = patches.batch(rng, count, size, schedule.jitter)
        t = 1 / (1 + np.exp(-rng.normal(*schedule.noise, count)))
        epsilon = rng.standard_normal(x.shape, dtype=np.float32)
        t4 = t[:, None, None, None].astype(np.float32)
        given = (rng.random(count) >= schedule.dropped).astype(np.float32)
        inputs = (1 - t4) * x + t4 * epsilon, t.astype(np.float32), codes, scales, given
        return tuple(torch.from_numpy(np.ascontiguousarray(a)) for a in (*inputs, epsilon - x))

    return training.fit(
        net, batch, functional.mse_loss, inputs=5, steps=schedule.steps, checkpoint=checkpoint,
        learning_rate=schedule.learning_rate, average=schedule.average, device_name=device, mixed=mixed, label=label,
        rates={"film": schedule.recipe_rate, "embed": schedule.recipe_rate},
    )  # fmt: skip
