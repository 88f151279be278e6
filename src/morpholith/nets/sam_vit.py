"""The plain vision transformer that encodes images in the original Segment Anything (ViT-B, -L, -H).

Kirillov et al., "Segment Anything", ICCV 2023; the backbone is that of Li et al., "Exploring Plain Vision
Transformer Backbones for Object Detection", ECCV 2022, with the decomposed relative positions of MViTv2.
Inference only. Names of the parameters are those of the published checkpoints.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import nn
from torch.nn import functional as F

from ._layers import join_windows, sam_neck, split_windows


class SamViT(nn.Module):
    """Image (b, 3, size, size) to embedding (b, out, size / patch, size / patch).

    Parameters
    ----------
    channels, depth, heads : int
        Width, number of blocks, attention heads.
    global_blocks : collection of int
        Blocks whose attention spans the image; the others attend within windows.
    window : int
        Edge of a window in patches.
    size, patch, out : int
        Edge of the square input and of a patch in pixels, channels of the embedding.
    """

    def __init__(
        self,
        channels: int,
        depth: int,
        heads: int,
        global_blocks: Collection[int],
        window: int = 14,
        size: int = 1024,
        patch: int = 16,
        out: int = 256,
    ):
        super().__init__()
        self.size = size
        grid = size // patch
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(3, channels, patch, patch)
        self.pos_embed = nn.Parameter(torch.zeros(1, grid, grid, channels))
        self.blocks = nn.ModuleList(
            _Block(channels, heads, None if i in global_blocks else window, grid) for i in range(depth)
        )
        self.neck = sam_neck(channels, out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Embed a normalised image."""
        x = self.patch_embed.proj(x).permute(0, 2, 3, 1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.neck(x.permute(0, 3, 1, 2))


class _Block(nn.Module):
    def __init__(self, channels, heads, window, grid):
        super().__init__()
        self.window = window
        self.norm1 = nn.LayerNorm(channels, eps=1e-6)
        self.attn = Attention(channels, heads, grid if window is None else window)
        self.norm2 = nn.LayerNorm(channels, eps=1e-6)
        self.mlp = _Mlp(channels)

    def forward(self, x):
        y = self.norm1(x)
        if self.window is None:
            y = self.attn(y)
        else:
            y = join_windows(self.attn(split_windows(y, self.window)), (x.shape[1], x.shape[2]))
        x = x + y
        return x + self.mlp(self.norm2(x))


class _Mlp(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.lin1 = nn.Linear(channels, 4 * channels)
        self.lin2 = nn.Linear(4 * channels, channels)

    def forward(self, x):
        return self.lin2(F.gelu(self.lin1(x)))


class Attention(nn.Module):
    """Attention over a square grid of patches, its logits shifted by decomposed relative positions.

    The logit of query i and key j is q.k / sqrt(d) + q.R_y[y_i - y_j] + q.R_x[x_i - x_j]. The two shifts
    depend on the key only through its row and its column, so they are further coordinates of the query that
    meet a one-hot row and column in the key: one scaled product, no (n, n) table beside the logits.
    """

    def __init__(self, channels: int, heads: int, grid: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * grid - 1, channels // heads))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * grid - 1, channels // heads))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Attend within (b, g, g, c); every window or image attends to itself alone."""
        b, g, _, c = x.shape
        d = c // self.heads
        q, k, v = self.qkv(x).view(b, g * g, 3, self.heads, d).permute(2, 0, 3, 1, 4)
        i = torch.arange(g, device=x.device)
        offset = i[:, None] - i + g - 1
        grid = q.reshape(b, self.heads, g, g, d)
        rows = torch.einsum("bhyxd,ykd->bhyxk", grid, self.rel_pos_h[offset])
        columns = torch.einsum("bhyxd,xkd->bhyxk", grid, self.rel_pos_w[offset])
        shifts = torch.cat([rows, columns], -1).reshape(b, self.heads, g * g, 2 * g)
        one = torch.eye(g, device=x.device, dtype=x.dtype)
        where = torch.cat([one.repeat_interleave(g, 0), one.repeat(g, 1)], 1)
        q = torch.cat([q * d**-0.5, shifts], -1)
        k = torch.cat([k, where.expand(b, self.heads, -1, -1)], -1)
        v = F.pad(v, (0, 2 * g))  # the fused kernel, which keeps no (n, n) table, wants one width
        y = F.scaled_dot_product_attention(q, k, v, scale=1.0)[..., :d]
        return self.proj(y.transpose(1, 2).reshape(b, g, g, c))
