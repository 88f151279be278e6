"""The network of the condition-to-micrograph model: a small U-Net that says where noise flows to.

It never sees a field whole: it is trained on patches and has no attention and no statistics over a field, so that the
same weights draw a field of any size. Every block is shifted and scaled by the recipe (FiLM), the pixel size and the
time of the flow.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
from torch import nn
from torch.nn import functional

PATCHIFY = 2  # image pixels a side to one place of the network
EMBEDDED = 128
TIMES = 16  # frequencies of the time's features
WAVES = 2  # frequencies of a condition's features: low ones, so that recipes between known ones are between them


@dataclass(frozen=True)
class NetConfig:
    """Size of the network.

    Attributes
    ----------
    code : int
        Width of the code of a recipe.
    channels : tuple of int
        Of each level, the finest first.
    blocks : int
        A level and a way (down, up).
    """

    code: int
    channels: tuple[int, ...] = (48, 96, 144, 144)
    blocks: int = 1

    def to_json(self) -> dict:
        """Return what `NetConfig(**...)` takes."""
        return asdict(self)

    @property
    def step(self) -> int:
        """Sides of a field must be multiples of this many pixels."""
        return PATCHIFY * 2 ** (len(self.channels) - 1)


class Block(nn.Module):
    """Two convolutions about a residual, the second one moved by the embedding; at the start it changes nothing."""

    def __init__(self, wide: int, out: int):
        super().__init__()
        self.first, self.second = nn.Conv2d(wide, out, 3, padding=1), nn.Conv2d(out, out, 3, padding=1)
        self.film = nn.Linear(EMBEDDED, 2 * out)
        self.skip = nn.Conv2d(wide, out, 1) if wide != out else nn.Identity()
        for layer in (self.second, self.film):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """Return x moved: (n, out, h, w)."""
        h = self.first(functional.silu(evened(x)))
        scale, shift = self.film(embedding)[..., None, None].chunk(2, 1)
        return self.skip(x) + self.second(functional.silu(evened(h) * (1 + scale) + shift))


def evened(x: torch.Tensor) -> torch.Tensor:
    """Scale the channels of each place to a mean square of one: unlike a group's norm it knows nothing of the field."""
    return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-4)


class MicrographNet(nn.Module):
    """The velocity of the flow at (x, t) for a recipe."""

    def __init__(self, config: NetConfig):
        super().__init__()
        self.config = config
        widths = config.channels
        # the code, its waves, whether it was given, the pixel size and its waves, the time
        inputs = (config.code + 1) * (1 + 2 * WAVES) + 1 + 2 * TIMES
        self.embed = nn.Sequential(
            nn.Linear(inputs, EMBEDDED), nn.SiLU(), nn.Linear(EMBEDDED, EMBEDDED), nn.SiLU()
        )  # fmt: skip
        self.into = nn.Conv2d(PATCHIFY**2, widths[0], 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        skips, wide = [widths[0]], widths[0]
        for level, width in enumerate(widths):
            for _ in range(config.blocks):
                self.down.append(Block(wide, width))
                wide = width
                skips.append(wide)
            if level < len(widths) - 1:
                self.down.append(nn.Conv2d(wide, wide, 3, stride=2, padding=1))
                skips.append(wide)
        self.middle = Block(wide, wide)
        for level, width in reversed(list(enumerate(widths))):
            for _ in range(config.blocks + 1):
                self.up.append(Block(wide + skips.pop(), width))
                wide = width
            if level:
                self.up.append(nn.Upsample(scale_factor=2))
        self.out = nn.Conv2d(wide, PATCHIFY**2, 3, padding=1)

    def forward(
        self, x: torch.Tensor, time: torch.Tensor, code: torch.Tensor, scale: torch.Tensor, given: torch.Tensor
    ) -> torch.Tensor:
        """Return the velocity.

        Parameters
        ----------
        x : (n, 1, h, w) tensor
            Sides are multiples of `NetConfig.step`.
        time : (n,) tensor
            0 at the micrograph, 1 at the noise.
        code : (n, code) tensor
            Of the recipe, of the order of one.
        scale : (n,) tensor
            Logarithm of the pixel size.
        given : (n,) tensor
            1 where the recipe counts, 0 to draw from all of them.

        Returns
        -------
        (n, 1, h, w) tensor
        """
        embedding = self.embed(features(time, code * given[:, None], scale, given))
        h = self.into(functional.pixel_unshuffle(x, PATCHIFY))
        kept = [h]
        for part in self.down:
            h = part(h, embedding) if isinstance(part, Block) else part(h)
            kept.append(h)
        h = self.middle(h, embedding)
        for part in self.up:
            h = part(torch.cat([h, kept.pop()], 1), embedding) if isinstance(part, Block) else part(h)
        return functional.pixel_shuffle(self.out(evened(h)), PATCHIFY)


def features(time: torch.Tensor, code: torch.Tensor, scale: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
    """Return Fourier features of time, code and pixel size side by side, (n, features)."""
    values = torch.cat([code, scale[:, None]], 1)
    turns = math.pi / 2 * torch.arange(1, WAVES + 1, device=code.device, dtype=code.dtype)
    waves = (values[:, :, None] * turns).flatten(1)
    fast = math.pi * 2 ** torch.linspace(-1, 5, TIMES, device=time.device, dtype=time.dtype)
    beats = time[:, None] * fast
    return torch.cat([values, waves.sin(), waves.cos(), given[:, None], beats.sin(), beats.cos()], 1)
