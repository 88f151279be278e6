"""A U-Net."""

from __future__ import annotations

import torch
from torch import nn


def _block(n_in: int, n_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(n_out),
        nn.ReLU(inplace=True),
        nn.Conv2d(n_out, n_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(n_out),
        nn.ReLU(inplace=True),
    )


class UNet(nn.Module):
    """Encoder and decoder joined at every resolution (Ronneberger et al. 2015), with batch normalisation.

    Parameters
    ----------
    n_in, n_out : int
        Channels of the input and of the output (raw scores).
    channels : sequence of int
        Width at each resolution; each further one halves the grid. Input edges must be multiples of
        ``2 ** (len(channels) - 1)``.
    """

    def __init__(self, n_in: int, n_out: int, channels=(16, 32, 48, 64, 96, 128)):
        super().__init__()
        channels = tuple(channels)
        self.down = nn.ModuleList(_block(a, b) for a, b in zip((n_in, *channels[:-1]), channels, strict=True))
        self.up = nn.ModuleList(
            _block(deep + wide, wide) for deep, wide in zip(channels[:0:-1], channels[-2::-1], strict=True)
        )
        self.head = nn.Conv2d(channels[0], n_out, 1)
        self.stride = 2 ** (len(channels) - 1)

    def fused(self) -> UNet:
        """Fold every batch normalisation into its convolution, for inference; in place."""
        for block in [*self.down, *self.up]:
            for k in (0, 3):
                block[k] = nn.utils.fusion.fuse_conv_bn_eval(block[k], block[k + 1])
                block[k + 1] = nn.Identity()
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (batch, n_in, y, x) to scores (batch, n_out, y, x)."""
        skips = []
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else nn.functional.max_pool2d(x, 2))
            skips.append(x)
        skips.pop()
        for block in self.up:
            x = nn.functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = block(torch.cat([x, skips.pop()], 1))
        return self.head(x)
