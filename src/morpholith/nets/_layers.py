"""Small layers that several networks share."""

from __future__ import annotations

import torch
from torch import nn


class LayerNorm2d(nn.Module):
    """Layer normalisation over the channels of (b, c, y, x), one scale and shift a channel."""

    def __init__(self, channels: int, eps: float = 1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise each pixel's channel vector to zero mean and unit variance, then scale and shift."""
        variance, mean = torch.var_mean(x, dim=1, keepdim=True, correction=0)
        x = (x - mean) * torch.rsqrt(variance + self.eps)
        return x * self.weight[:, None, None] + self.bias[:, None, None]


def split_windows(x: torch.Tensor, window: int) -> torch.Tensor:
    """Cut (b, y, x, c) into square windows, zeros appended below and right where they do not fit.

    Returns (b * rows * columns, window, window, c), windows in row order.
    """
    b, h, w, c = x.shape
    x = nn.functional.pad(x, (0, 0, 0, -w % window, 0, -h % window))
    rows, columns = x.shape[1] // window, x.shape[2] // window
    x = x.view(b, rows, window, columns, window, c).transpose(2, 3)
    return x.reshape(b * rows * columns, window, window, c)


def join_windows(windows: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Undo `split_windows`: put the windows back into (b, y, x, c) of the given (y, x) size."""
    window, c = windows.shape[1], windows.shape[3]
    rows, columns = -(-size[0] // window), -(-size[1] // window)
    x = windows.view(-1, rows, columns, window, window, c).transpose(2, 3)
    x = x.reshape(-1, rows * window, columns * window, c)
    return x[:, : size[0], : size[1]]


def sam_neck(channels: int, out: int) -> nn.Sequential:
    """Return the projection that ends every Segment Anything encoder: (b, channels, y, x) to (b, out, y, x)."""
    return nn.Sequential(
        nn.Conv2d(channels, out, 1, bias=False),
        LayerNorm2d(out),
        nn.Conv2d(out, out, 3, padding=1, bias=False),
        LayerNorm2d(out),
    )
