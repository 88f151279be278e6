"""The Cycle-GAN: frames turned into pictures of clean particles, learned from the two kinds without pairs.

Two generators translate either way; two discriminators judge whether a picture is a real one of its kind. What
goes there and back must come back the same (Zhu et al. 2017), with least-squares judgements (Mao et al. 2017) and
a replay buffer of earlier translations (Shrivastava et al. 2017).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ..progress import progress
from .training import device


def _convolution(n_in: int, n_out: int, size: int, stride: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(n_in, n_out, size, stride, size // 2, padding_mode="reflect", bias=False),
        nn.InstanceNorm2d(n_out, affine=True),
        nn.ReLU(inplace=True),
    ]


class Residual(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut."""

    def __init__(self, channels: int):
        super().__init__()
        self.body = nn.Sequential(*_convolution(channels, channels, 3), *_convolution(channels, channels, 3)[:2])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add what the convolutions find to their input."""
        return x + self.body(x)


class Generator(nn.Module):
    """Translate pictures (b, 1, y, x) in -1..1 of one kind into the other; edges must be multiples of four.

    A 7 x 7 convolution, two of stride 2, residual blocks, two up-samplings by interpolation, a 7 x 7 convolution.

    Parameters
    ----------
    width : int
        Channels at full resolution; 64 in Zhu et al. 2017.
    blocks : int
        Residual blocks at a quarter of the resolution; 9 there.
    """

    stride = 4

    def __init__(self, width: int = 64, blocks: int = 9):
        super().__init__()
        self.body = nn.Sequential(
            *_convolution(1, width, 7),
            *_convolution(width, 2 * width, 3, 2),
            *_convolution(2 * width, 4 * width, 3, 2),
            *(Residual(4 * width) for _ in range(blocks)),
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
            *_convolution(4 * width, 2 * width, 3),
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
            *_convolution(2 * width, width, 3),
            nn.Conv2d(width, 1, 7, padding=3, padding_mode="reflect"),
            nn.Tanh(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Translate (b, 1, y, x)."""
        return self.body(x)


class Discriminator(nn.Module):
    """Judge patches of a picture: (b, 1, y, x) to scores (b, 1, y', x'), 1 for real ones and 0 for translations.

    Parameters
    ----------
    width : int
        Channels of the first layer; 64 in Zhu et al. 2017.
    layers : int
        Layers of stride 2; three see patches of 70 x 70.
    """

    def __init__(self, width: int = 64, layers: int = 3):
        super().__init__()
        parts: list[nn.Module] = [nn.Conv2d(1, width, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
        for k in range(1, layers + 1):
            n_in, n_out = width * min(2 ** (k - 1), 8), width * min(2**k, 8)
            parts += [
                nn.Conv2d(n_in, n_out, 4, 2 if k < layers else 1, 1, bias=False),
                nn.InstanceNorm2d(n_out, affine=True),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        self.body = nn.Sequential(*parts, nn.Conv2d(n_out, 1, 4, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Score every patch of (b, 1, y, x)."""
        return self.body(x)


class CycleGAN(nn.Module):
    """The four networks: frame to mask and back, and a judge of either kind.

    Parameters
    ----------
    width, blocks : int
        Of the two generators.
    judge : int
        Width of the two discriminators.
    """

    def __init__(self, width: int = 64, blocks: int = 9, judge: int = 64):
        super().__init__()
        self.to_mask, self.to_frame = Generator(width, blocks), Generator(width, blocks)
        self.judge_mask, self.judge_frame = Discriminator(judge), Discriminator(judge)

    def generators(self):
        """Return the parameters of the two generators."""
        return chain(self.to_mask.parameters(), self.to_frame.parameters())

    def judges(self):
        """Return the parameters of the two discriminators."""
        return chain(self.judge_mask.parameters(), self.judge_frame.parameters())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Translate frames (b, 1, y, x) to masks."""
        return self.to_mask(x)


class Replay:
    """Up to `size` earlier translations; every second one shown to a judge comes from here."""

    def __init__(self, size: int = 50, kept: torch.Tensor | None = None):
        self.size = size
        self.kept: list[torch.Tensor] = [] if kept is None else list(kept)

    def __call__(self, pictures: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        """Return (b, 1, y, x): each picture, or an older one in whose place it is kept."""
        out = []
        for picture in pictures.detach():
            if len(self.kept) < self.size:
                self.kept.append(picture)
            elif rng.random() < 0.5:
                k = int(rng.integers(self.size))
                self.kept[k], picture = picture, self.kept[k]
            out.append(picture)
        return torch.stack(out)


def _real(score):
    return ((score - 1) ** 2).mean()


def _translated(score):
    return (score**2).mean()


def generator_losses(nets: CycleGAN, frame, mask, *, cycle: float = 10.0, identity: float = 0.5):
    """Return (loss, translated mask, translated frame) of one unpaired batch.

    The loss is least-squares judgement + `cycle` (there and back) + `cycle` `identity` (what is of a kind stays).
    """
    as_mask, as_frame = nets.to_mask(frame), nets.to_frame(mask)
    loss = _real(nets.judge_mask(as_mask)) + _real(nets.judge_frame(as_frame))
    back = (nets.to_frame(as_mask) - frame).abs().mean() + (nets.to_mask(as_frame) - mask).abs().mean()
    loss = loss + cycle * back
    if identity > 0:
        same = (nets.to_mask(mask) - mask).abs().mean() + (nets.to_frame(frame) - frame).abs().mean()
        loss = loss + cycle * identity * same
    return loss, as_mask, as_frame


def fit(
    nets: CycleGAN,
    batch: Callable[[int], tuple[torch.Tensor, torch.Tensor]],
    *,
    steps: int,
    checkpoint: Path,
    learning_rate: float = 2e-4,
    cycle: float = 10.0,
    identity: float = 0.5,
    average: float = 0.995,
    replay: int = 50,
    device_name: str = "cpu",
    save_every: int = 50,
    seed: int = 0,
) -> tuple[dict, list[list[float]]]:
    """Train all four networks; return the averaged weights and (generators', judges') loss of every step.

    Parameters
    ----------
    nets : CycleGAN
        Trained in place.
    batch : callable
        ``batch(step)`` returns frames and masks, (b, 1, y, x) in -1..1, which belong to different specimens; it
        depends on the step alone, so that a resumed run goes on exactly as an unbroken one.
    checkpoint : Path
        Written every `save_every` steps, whole or not at all; read first if it is there.
    learning_rate : float
        Constant over the first half of the steps, then falling linearly to nothing.
    average : float
        Decay of the exponential moving average of the weights.
    replay : int
        Earlier translations of either kind that are kept.
    """
    where = device(device_name)
    nets = nets.to(where).train()
    makers = torch.optim.Adam(nets.generators(), lr=learning_rate, betas=(0.5, 0.999))
    judges = torch.optim.Adam(nets.judges(), lr=learning_rate, betas=(0.5, 0.999))
    mean = {k: v.detach().clone() for k, v in nets.state_dict().items()}
    old_masks, old_frames = Replay(replay), Replay(replay)
    curve: list[list[float]] = []
    if Path(checkpoint).is_file():
        kept = torch.load(checkpoint, map_location=where, weights_only=True)
        nets.load_state_dict(kept["nets"])
        makers.load_state_dict(kept["makers"])
        judges.load_state_dict(kept["judges"])
        mean, curve = kept["mean"], kept["curve"]
        old_masks, old_frames = (Replay(replay, kept[name]) for name in ("old_masks", "old_frames"))
    for step in progress(range(len(curve), steps), label="training"):
        for optimiser in (makers, judges):
            optimiser.param_groups[0]["lr"] = learning_rate * min(1.0, 2 * (1 - step / steps))
        rng = np.random.default_rng([step, seed])
        frame, mask = (t.to(where) for t in batch(step))
        nets.judge_mask.requires_grad_(False)
        nets.judge_frame.requires_grad_(False)
        loss, as_mask, as_frame = generator_losses(nets, frame, mask, cycle=cycle, identity=identity)
        _step(makers, loss)
        nets.judge_mask.requires_grad_(True)
        nets.judge_frame.requires_grad_(True)
        judged = _real(nets.judge_mask(mask)) + _translated(nets.judge_mask(old_masks(as_mask, rng)))
        judged = judged + _real(nets.judge_frame(frame)) + _translated(nets.judge_frame(old_frames(as_frame, rng)))
        _step(judges, judged / 2)
        for key, value in nets.state_dict().items():
            mean[key].lerp_(value, 1 - min(average, (1 + step) / (10 + step)))
        curve.append([loss.item(), judged.item() / 2])
        if (step + 1) % save_every == 0 or step + 1 == steps:
            state: dict[str, object] = {
                "nets": nets.state_dict(),
                "makers": makers.state_dict(),
                "judges": judges.state_dict(),
            }
            state |= {"mean": mean, "curve": curve}
            state |= {"old_masks": torch.stack(old_masks.kept), "old_frames": torch.stack(old_frames.kept)}
            _save(state, Path(checkpoint))
    return mean, curve


def _step(optimiser, loss):
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()


def _save(state, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)
