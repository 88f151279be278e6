"""The Dual U-Net: one network cleans the picture of a particle, a second of the same structure outlines it."""

from __future__ import annotations

import torch
from torch import nn

from .unet import UNet

CHANNELS = (12, 16, 24, 32, 48)


class DualUNet(nn.Module):
    """Two U-Nets in a row (paper 003, section 2.2.1; Su et al. 2022).

    Each has four down-sampling layers of stride 2, four up-sampling layers (bilinear interpolation), 18 feature
    convolutions of 3 x 3, and a 1 x 1 convolution as its head, which is what "one fully connected layer" can mean in
    a network that answers for every pixel. The first removes noise, background and neighbours; the second sees its
    answer alone and draws the outline.

    Parameters
    ----------
    channels : sequence of five int
        Width at each resolution, the same for both.
    """

    def __init__(self, channels=CHANNELS):
        super().__init__()
        if len(channels) != 5:
            raise ValueError(f"four down-sampling layers join five resolutions; got {len(channels)} widths.")
        self.clean = UNet(2, 1, channels)
        self.outline = UNet(1, 1, channels)
        self.stride = self.clean.stride

    def fused(self) -> DualUNet:
        """Fold every batch normalisation into its convolution, for inference; in place."""
        self.clean.fused()
        self.outline.fused()
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (batch, 2, y, x), picture and pointer, to (batch, 2, y, x): clean picture, score of being inside.

        The pointer is a bump over the middle of the picture: it says which of several touching particles is meant.
        """
        clean = self.clean(x)
        return torch.cat([clean, self.outline(clean)], 1)


def loss(output: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Errors of the clean picture, cross entropy and Dice loss of the outline; truth is (b, 2, y, x).

    Inside the particle the clean picture counts five times: the plain absolute error is content with no picture at all.
    """
    off = output[:, 0] - truth[:, 0]
    clean = ((off.abs() + 2 * off**2) * (0.2 + 0.8 * truth[:, 1])).mean()
    return 5 * clean + overlap_loss(output[:, 1], truth[:, 1])


def overlap_loss(score: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Return cross entropy plus one minus the Dice overlap of (b, y, x) scores and shares."""
    entropy = nn.functional.binary_cross_entropy_with_logits(score, truth)
    p = score.sigmoid()
    dice = (2 * (p * truth).sum((1, 2)) + 1) / (p.sum((1, 2)) + truth.sum((1, 2)) + 1)
    return entropy + 1 - dice.mean()
