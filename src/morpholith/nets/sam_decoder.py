"""Prompt encoder and mask decoder of Segment Anything (Kirillov et al., ICCV 2023, section 3 and appendix A).

Inference only, point prompts only: boxes and masks as prompts are not used, their weights are carried so that
the published checkpoints load strictly.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from ._layers import LayerNorm2d


class PromptEncoder(nn.Module):
    """Points in the padded square image to tokens."""

    def __init__(self, channels: int = 256):
        super().__init__()
        self.pe_layer = _Fourier(channels // 2)
        # Background point, point on the object, two corners of a box.
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, channels) for _ in range(4))
        self.not_a_point_embed = nn.Embedding(1, channels)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, 4, 2, 2),
            LayerNorm2d(4),
            nn.GELU(),
            nn.Conv2d(4, 16, 2, 2),
            LayerNorm2d(16),
            nn.GELU(),
            nn.Conv2d(16, channels, 1),
        )
        self.no_mask_embed = nn.Embedding(1, channels)

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        """Embed one positive point a prompt.

        Parameters
        ----------
        points : (n, 2) tensor
            (y, x) as fractions of the padded square, 0 at its upper left corner.

        Returns
        -------
        (n, 2, channels) tensor
            The point, and the padding token that stands where a box would.
        """
        point = self.pe_layer(points.flip(-1)) + self.point_embeddings[1].weight
        return torch.stack([point, self.not_a_point_embed.weight.expand_as(point)], 1)

    def grid(self, size: int) -> torch.Tensor:
        """Return the positions of the (size, size) embedding, as (size * size, channels)."""
        at = (torch.arange(size, device=self.no_mask_embed.weight.device) + 0.5) / size
        y, x = torch.meshgrid(at, at, indexing="ij")
        return self.pe_layer(torch.stack([x, y], -1).flatten(0, 1))


class _Fourier(nn.Module):
    """Sines and cosines of random frequencies that the checkpoint fixes (Tancik et al., NeurIPS 2020)."""

    def __init__(self, n):
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.zeros(2, n))

    def forward(self, xy):
        phase = 2 * math.pi * (2 * xy - 1) @ self.positional_encoding_gaussian_matrix
        return torch.cat([phase.sin(), phase.cos()], -1)


class MaskDecoder(nn.Module):
    """Image embedding and prompt tokens to mask logits with their predicted IoU."""

    def __init__(self, channels: int = 256, masks: int = 3):
        super().__init__()
        self.transformer = _TwoWayTransformer(channels)
        self.iou_token = nn.Embedding(1, channels)
        self.mask_tokens = nn.Embedding(masks + 1, channels)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(channels, channels // 4, 2, 2),
            LayerNorm2d(channels // 4),
            nn.GELU(),
            nn.ConvTranspose2d(channels // 4, channels // 8, 2, 2),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(_Mlp3(channels, channels // 8) for _ in range(masks + 1))
        self.iou_prediction_head = _Mlp3(channels, masks + 1)

    def forward(
        self, image: torch.Tensor, position: torch.Tensor, prompts: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Decode the three masks (part, object, group, in no fixed order) of each prompt.

        Parameters
        ----------
        image : (1, channels, g, g) tensor
            Embedding of one image, the no-mask embedding already added.
        position : (g * g, channels) tensor
            Positional encoding of the embedding.
        prompts : (n, m, channels) tensor
            Prompt tokens.

        Returns
        -------
        logits : (n, 3, 4 g, 4 g) tensor
            Positive inside the mask.
        iou : (n, 3) tensor
            The IoU with the true object that the network predicts for itself.
        """
        g = image.shape[-1]
        own = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        tokens = torch.cat([own.expand(len(prompts), -1, -1), prompts], 1)
        tokens, pixels = self.transformer(tokens, image[0].flatten(1).T, position)
        # The first mask token is for prompts without ambiguity, of several points or a box.
        kernels = [mlp(tokens[:, k + 1]) for k, mlp in enumerate(self.output_hypernetworks_mlps) if k > 0]
        logits = self._upscale(pixels) @ torch.stack(kernels, -1)
        # Each of the g * g pixels has become 2 x 2, and each of those 2 x 2 again.
        logits = logits.view(-1, g, g, 2, 2, 2, 2, len(kernels)).permute(0, 7, 1, 3, 5, 2, 4, 6)
        iou = self.iou_prediction_head(tokens[:, 0])
        return logits.reshape(-1, len(kernels), 4 * g, 4 * g), iou[:, 1:]

    def _upscale(self, pixels):
        """Refine every pixel (n, p, c) into 4 x 4 of fewer channels (n, 16 p, c / 8).

        Transposed convolutions with kernel = stride are one matrix product a pixel, so channels stay last.
        """
        first, norm, _, second, _ = self.output_upscaling
        x = _refine(pixels, first)
        x = F.gelu(F.layer_norm(x, norm.weight.shape, norm.weight, norm.bias, norm.eps))
        return F.gelu(_refine(x, second))


def _refine(x, conv):
    """Apply a 2 x 2 transposed convolution of stride 2: (n, p, a) to (n, 4 p, b), new pixels in row order."""
    weight = conv.weight.permute(2, 3, 1, 0).flatten(0, 2)
    return F.linear(x, weight, conv.bias.repeat(4)).view(len(x), -1, len(conv.bias))


class _Mlp3(nn.Module):
    """Three linear layers with ReLU between."""

    def __init__(self, channels, out):
        super().__init__()
        self.layers = nn.ModuleList(
            [nn.Linear(channels, channels), nn.Linear(channels, channels), nn.Linear(channels, out)]
        )

    def forward(self, x):
        first, second, third = self.layers
        return third(F.relu(second(F.relu(first(x)))))


class _TwoWayTransformer(nn.Module):
    def __init__(self, channels, depth=2):
        super().__init__()
        self.layers = nn.ModuleList(_TwoWayBlock(channels, first=i == 0) for i in range(depth))
        self.final_attn_token_to_image = _Attention(channels, channels // 2)
        self.norm_final_attn = nn.LayerNorm(channels)

    def forward(self, tokens, pixels, position):
        """Tokens (n, m, c) and the pixels (p, c) of one image to those tokens and (n, p, c) pixels."""
        asked = tokens  # the tokens as they came are their own positional encoding
        for layer in self.layers:
            tokens, pixels = layer(tokens, pixels, asked, position)
        found = self.final_attn_token_to_image.read(tokens + asked, pixels, position)
        return self.norm_final_attn(tokens + found), pixels


class _TwoWayBlock(nn.Module):
    """Tokens attend to each other, then to the image; then the image attends to the tokens."""

    def __init__(self, channels, *, first):
        super().__init__()
        self.first = first
        self.self_attn = _Attention(channels, channels)
        self.norm1 = nn.LayerNorm(channels)
        self.cross_attn_token_to_image = _Attention(channels, channels // 2)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = _Mlp2(channels)
        self.norm3 = nn.LayerNorm(channels)
        self.norm4 = nn.LayerNorm(channels)
        self.cross_attn_image_to_token = _Attention(channels, channels // 2)

    def forward(self, tokens, pixels, asked, position):
        if self.first:
            tokens = self.self_attn(tokens, tokens, tokens)
        else:
            q = tokens + asked
            tokens = tokens + self.self_attn(q, q, tokens)
        tokens = self.norm1(tokens)
        tokens = self.norm2(tokens + self.cross_attn_token_to_image.read(tokens + asked, pixels, position))
        tokens = self.norm3(tokens + self.mlp(tokens))
        written = self.cross_attn_image_to_token.write(pixels, position, tokens + asked, tokens)
        return tokens, self.norm4(written)


class _Mlp2(nn.Module):
    def __init__(self, channels, hidden=2048):
        super().__init__()
        self.lin1 = nn.Linear(channels, hidden)
        self.lin2 = nn.Linear(hidden, channels)

    def forward(self, x):
        return self.lin2(F.relu(self.lin1(x)))


class _Attention(nn.Module):
    """Multi-head attention at reduced width, in three forms that give the same result.

    A prompt has a handful of tokens (m) but thousands of pixels (p). Projecting every pixel to keys, queries
    and values costs p c w products for each; `read` and `write` put the small token side through those
    projections instead (p c m heads), and pixels that all prompts share stay one (p, c) matrix.
    """

    def __init__(self, channels, width, heads=8):
        super().__init__()
        self.heads = heads
        self.scale = (width // heads) ** -0.5
        self.q_proj = nn.Linear(channels, width)
        self.k_proj = nn.Linear(channels, width)
        self.v_proj = nn.Linear(channels, width)
        self.out_proj = nn.Linear(width, channels)

    def forward(self, q, k, v):
        """Attend as it is written in every book: (n, m, c) each."""
        q, k, v = (self._split(part) for part in (self.q_proj(q), self.k_proj(k), self.v_proj(v)))
        return self.out_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))

    def read(self, tokens, pixels, position):
        """Let tokens (n, m, c) attend to pixels (p, c) or (n, p, c), keyed by pixels + position (p, c)."""
        q = self._split(self.q_proj(tokens)) * self.scale
        weights = self._logits(q, pixels, self.k_proj, position).softmax(-1)
        seen = (weights.flatten(1, 2) @ pixels).unflatten(1, (self.heads, -1))
        values = seen @ self.v_proj.weight.unflatten(0, (self.heads, -1)).mT
        return self.out_proj(values.transpose(1, 2).flatten(2) + self.v_proj.bias)

    def write(self, pixels, position, keys, values):
        """Let pixels (p, c) or (n, p, c), at position (p, c), attend to tokens (n, m, c); add what they get."""
        k = self._split(self.k_proj(keys)) * self.scale
        weights = self._logits(k, pixels, self.q_proj, position).softmax(2)
        out = self.out_proj.weight.unflatten(1, (self.heads, -1)).permute(1, 2, 0)
        # The weights of a head sum to one, so the bias may ride on what is brought.
        brought = self._split(self.v_proj(values)) @ out + self.out_proj.bias / self.heads
        return (weights.flatten(1, 2).mT @ brought.flatten(1, 2)).add_(pixels)

    def _logits(self, side, pixels, proj, position):
        """Return side . proj(pixels + position) as (n, heads, m, p), without projecting the pixels."""
        absorbed = side @ proj.weight.unflatten(0, (self.heads, -1))
        at_pixels = absorbed.flatten(1, 2) @ pixels.mT
        at_position = side.transpose(0, 1).flatten(1, 2) @ self._split(proj(position)).mT
        at_position = at_position.unflatten(1, (len(side), -1)).transpose(0, 1)
        return at_pixels.unflatten(1, (self.heads, -1)).add_(at_position)

    def _split(self, x):
        return x.unflatten(-1, (self.heads, -1)).transpose(-3, -2)
