"""TinyViT, the image encoder of MobileSAM.

Wu et al., "TinyViT: Fast Pretraining Distillation for Small Vision Transformers", ECCV 2022;
Zhang et al., "Faster Segment Anything: Towards Lightweight SAM for Mobile Applications", arXiv 2306.14289.
Inference only. Names of the parameters are those of the published checkpoint.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from ._layers import join_windows, sam_neck, split_windows


class TinyViT(nn.Module):
    """Image (b, 3, size, size) to embedding (b, 256, size / 16, size / 16).

    Parameters
    ----------
    channels, depths, heads, windows : sequences of four int
        Width, number of blocks, attention heads and window edge of the four stages; the first stage is
        convolutional and uses neither heads nor window.
    size : int
        Edge length of the square input in pixels.
    out : int
        Channels of the embedding.
    classes : int
        Width of the unused classification head that the checkpoint carries.
    """

    def __init__(
        self,
        channels: Sequence[int] = (64, 128, 160, 320),
        depths: Sequence[int] = (2, 2, 6, 2),
        heads: Sequence[int] = (2, 4, 5, 10),
        windows: Sequence[int] = (7, 7, 14, 7),
        size: int = 1024,
        out: int = 256,
        classes: int = 1000,
    ):
        super().__init__()
        self.size = size
        # The last step widens without halving, so that the embedding is 1/16 of the image, not 1/32.
        strides = (2, 2, 1, None)
        wider = (*channels[1:], channels[-1])
        self.patch_embed = _PatchEmbed(channels[0])
        self.layers = nn.ModuleList(
            _Stage(
                [
                    _MBConv(channels[i]) if i == 0 else _Block(channels[i], heads[i], windows[i])
                    for _ in range(depths[i])
                ],
                None if stride is None else _Merge(channels[i], wider[i], stride),
            )
            for i, stride in enumerate(strides)
        )
        self.norm_head = nn.LayerNorm(channels[-1])
        self.head = nn.Linear(channels[-1], classes)
        self.neck = sam_neck(channels[-1], out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Embed a normalised image."""
        x = self.patch_embed(x)
        for stage in self.layers:
            x = stage(x)
        return self.neck(x)


class _ConvNorm(nn.Sequential):
    """Convolution without bias, then batch normalisation."""

    def __init__(self, a, b, size=1, stride=1, groups=1):
        super().__init__()
        self.c = nn.Conv2d(a, b, size, stride, size // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(b)


class _PatchEmbed(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.seq = nn.Sequential(_ConvNorm(3, channels // 2, 3, 2), nn.GELU(), _ConvNorm(channels // 2, channels, 3, 2))

    def forward(self, x):
        return self.seq(x)


class _Stage(nn.Module):
    def __init__(self, blocks, downsample):
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x if self.downsample is None else self.downsample(x)


class _MBConv(nn.Module):
    """Inverted bottleneck: widen fourfold, filter each channel, narrow, add."""

    def __init__(self, channels):
        super().__init__()
        wide = 4 * channels
        self.conv1 = _ConvNorm(channels, wide)
        self.conv2 = _ConvNorm(wide, wide, 3, groups=wide)
        self.conv3 = _ConvNorm(wide, channels)

    def forward(self, x):
        y = F.gelu(self.conv1(x))
        y = F.gelu(self.conv2(y))
        return F.gelu(x + self.conv3(y))


class _Merge(nn.Module):
    """Change the width and, at stride 2, halve the resolution."""

    def __init__(self, channels, out, stride):
        super().__init__()
        self.conv1 = _ConvNorm(channels, out)
        self.conv2 = _ConvNorm(out, out, 3, stride, groups=out)
        self.conv3 = _ConvNorm(out, out)

    def forward(self, x):
        return self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x)))))


class _Block(nn.Module):
    """Attention within windows, a 3 x 3 convolution of each channel, and a two-layer perceptron."""

    def __init__(self, channels, heads, window):
        super().__init__()
        self.window = window
        self.attn = _Attention(channels, heads, window)
        self.mlp = _Mlp(channels)
        self.local_conv = _ConvNorm(channels, channels, 3, groups=channels)

    def forward(self, x):
        y = x.permute(0, 2, 3, 1)
        windows = split_windows(y, self.window)
        tokens = self.attn(windows.flatten(1, 2))
        y = y + join_windows(tokens.view(windows.shape), (x.shape[2], x.shape[3]))
        x = self.local_conv(y.permute(0, 3, 1, 2).contiguous())
        y = x.permute(0, 2, 3, 1)
        return (y + self.mlp(y)).permute(0, 3, 1, 2).contiguous()


class _Attention(nn.Module):
    """Multi-head attention with a learnt bias for each distance |dy|, |dx| inside a window."""

    def __init__(self, channels, heads, window):
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.attention_biases = nn.Parameter(torch.zeros(heads, window * window))
        self.window = window

    def forward(self, x):
        b, n, c = x.shape
        # The checkpoint holds query, key and value of one head side by side, head after head.
        qkv = self.qkv(self.norm(x)).view(b, n, self.heads, 3, c // self.heads)
        q, k, v = qkv.permute(3, 0, 2, 1, 4)
        bias = self.attention_biases[:, _distance(self.window, x.device)]
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=bias[None])
        return self.proj(x.transpose(1, 2).reshape(b, n, c))


def _distance(window, device):
    """Return the index |dy| * window + |dx| of every pair of a window's patches."""
    i = torch.arange(window, device=device)
    apart = (i[:, None] - i).abs()
    pairs = apart[:, None, :, None] * window + apart[None, :, None, :]
    return pairs.reshape(window**2, window**2)


class _Mlp(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.fc1 = nn.Linear(channels, 4 * channels)
        self.fc2 = nn.Linear(4 * channels, channels)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(self.norm(x))))
