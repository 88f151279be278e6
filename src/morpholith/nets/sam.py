"""Segment Anything: which model a checkpoint holds, how it is loaded, how it is asked.

Weights are never shipped: the user names a file. MobileSAM (`mobile_sam.pt`) and the original ViT-B, ViT-L and
ViT-H are recognised by their tensors. `.pt` and `.pth` files are read with ``weights_only=True``, so nothing is
unpickled; `.safetensors` files are read as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from ..errors import InputError
from .sam_decoder import MaskDecoder, PromptEncoder
from .sam_vit import SamViT
from .tiny_vit import TinyViT

MEAN = (123.675, 116.28, 103.53)  # of the photographs it was trained on, RGB, 0..255
STD = (58.395, 57.12, 57.375)
EXPECTED = (
    "a Segment Anything checkpoint (MobileSAM `mobile_sam.pt`, or `sam_vit_b`, `sam_vit_l`, `sam_vit_h` as "
    ".pth, .pt or .safetensors)"
)


class Sam(nn.Module):
    """Image encoder, prompt encoder and mask decoder under the names of the published checkpoints.

    Parameters
    ----------
    image_encoder : Module
        (1, 3, size, size) to (1, channels, size / 16, size / 16); has the attribute `size`.
    channels : int
        Width of the decoder.
    """

    def __init__(self, image_encoder: nn.Module, channels: int = 256):
        super().__init__()
        self.image_encoder = image_encoder
        self.prompt_encoder = PromptEncoder(channels)
        self.mask_decoder = MaskDecoder(channels)
        self.size: int = image_encoder.size  # type: ignore[assignment]

    @torch.inference_mode()
    def embed(self, image: np.ndarray) -> torch.Tensor:
        """Encode a grey image once for any number of prompts.

        Parameters
        ----------
        image : (y, x) array
            Grey values on the scale 0..255; resized so that its longest side is `size`, repeated to three
            channels, normalised with `MEAN` and `STD`, and padded with zeros below and on the right.

        Returns
        -------
        (1, channels, size / 16, size / 16) tensor
        """
        device = self.prompt_encoder.no_mask_embed.weight.device
        return self.image_encoder(preprocess(image, size=self.size).to(device))

    @torch.inference_mode()
    def decode(
        self, embedding: torch.Tensor, points: np.ndarray, shape: tuple[int, int]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return three masks for each point, as logits on the quarter-resolution grid of the padded square.

        Parameters
        ----------
        embedding : tensor
            From `embed`.
        points : (n, 2) array
            (y, x) in pixels of the image; a pixel's centre is its index.
        shape : (int, int)
            Shape of the image in pixels.

        Returns
        -------
        logits : (n, 3, size / 4, size / 4) float32 tensor
            Positive inside the mask. See `upsample` for where its pixels lie.
        iou : (n, 3) float32 tensor
            Predicted IoU of each mask.
        """
        device = embedding.device
        inside = torch.as_tensor(to_square(points, shape), dtype=torch.float32, device=device)
        prompts = self.prompt_encoder(inside)
        image = embedding + self.prompt_encoder.no_mask_embed.weight[..., None, None]
        position = self.prompt_encoder.grid(embedding.shape[-1])
        logits, iou = self.mask_decoder(image, position, prompts)
        return logits.float(), iou.float()


def resized(shape: tuple[int, int], *, size: int = 1024) -> tuple[int, int]:
    """Return the shape of an image scaled so that its longest side is `size`."""
    scale = size / max(shape)
    return max(1, int(shape[0] * scale + 0.5)), max(1, int(shape[1] * scale + 0.5))


def preprocess(image: np.ndarray, *, size: int = 1024) -> torch.Tensor:
    """Turn a grey image on the scale 0..255 into the normalised, padded (1, 3, size, size) input."""
    x = torch.as_tensor(np.ascontiguousarray(image, np.float32))[None, None]
    h, w = resized(image.shape, size=size)
    x = F.interpolate(x, (h, w), mode="bilinear", antialias=True)
    mean, std = (torch.tensor(c).view(1, 3, 1, 1) for c in (MEAN, STD))
    return F.pad((x - mean) / std, (0, size - w, 0, size - h))


def to_square(points: np.ndarray, shape: tuple[int, int], *, size: int = 1024) -> np.ndarray:
    """Map (y, x) pixel positions of an image to fractions of the padded square.

    The centre of pixel `i` of `n` lies at (i + 1/2) / n of the image, and the image covers ``resized(shape)``
    of the square.
    """
    n = np.asarray(shape, float)
    return (np.asarray(points, float) + 0.5) / n * np.asarray(resized(shape, size=size)) / size


def from_square(points: np.ndarray, shape: tuple[int, int], *, size: int = 1024) -> np.ndarray:
    """Map fractions of the padded square back to (y, x) pixel positions of the image (undoes `to_square`)."""
    n = np.asarray(shape, float)
    return np.asarray(points, float) * size / np.asarray(resized(shape, size=size)) * n - 0.5


def load(path: str | Path, *, device: str = "cpu") -> Sam:
    """Load a Segment Anything checkpoint, its architecture read off the tensors.

    Parameters
    ----------
    path : path
        `.pt` or `.pth` (a plain state dict, or one under ``"model"`` or ``"state_dict"``), or `.safetensors`.
    device : str
        ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``, ...

    Returns
    -------
    Sam
        In evaluation mode.

    Raises
    ------
    InputError
        When the file is absent, no checkpoint of a known model, or damaged, or the device is not there.
    """
    where = torch_device(device)
    state = _read(Path(path))
    model = build(state, name=str(path))
    return model.eval().to(where)


def build(state: Mapping[str, torch.Tensor], *, name: str = "the state dict") -> Sam:
    """Return the model that a state dict belongs to, loaded strictly.

    Raises
    ------
    InputError
        When the tensors are those of no known model, or some are missing, superfluous or of a wrong shape.
    """
    # Built without memory behind it: every tensor is the checkpoint's own.
    with torch.device("meta"):
        encoder = _encoder(state, name)
        model = Sam(encoder, state["image_encoder.neck.0.weight"].shape[0])
    wanted = model.state_dict()
    missing, extra = wanted.keys() - state.keys(), state.keys() - wanted.keys()
    wrong = [k for k in wanted.keys() & state.keys() if wanted[k].shape != state[k].shape]
    if missing or extra or wrong:
        raise InputError(
            f"{name} looks like {EXPECTED} but {len(missing)} of its tensors are missing, {len(extra)} unknown and "
            f"{len(wrong)} of a wrong shape (for instance {sorted([*missing, *extra, *wrong])[0]!r}); "
            "download it again."
        )
    model.load_state_dict(state, assign=True)
    return model


def torch_device(device: str) -> torch.device:
    """Return the device by that name, or say that this machine has no such device."""
    try:
        where = torch.device(device)
        torch.empty(1, device=where)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"`device` {device!r} is not available here ({reason}); use --device cpu or install a build of "
            "PyTorch for it."
        ) from error
    return where


def _read(path):
    if not path.is_file():
        raise InputError(f"no Segment Anything checkpoint at {str(path)!r}; give {EXPECTED} with --checkpoint FILE.")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # every reader fails in its own way on a damaged or foreign file
        raise InputError(f"{path} could not be read as {EXPECTED}; give another --checkpoint.") from error
    for key in ("model", "state_dict"):
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    if not isinstance(state, Mapping) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise InputError(f"{path} holds no tensors by name; expected {EXPECTED}.")
    return dict(state)


def _encoder(state, name):
    """Read the image encoder's dimensions off the shapes of its tensors."""
    if "image_encoder.patch_embed.seq.0.c.weight" in state:
        return TinyViT()
    try:
        position = state["image_encoder.pos_embed"]
        head_width = state["image_encoder.blocks.0.attn.rel_pos_h"].shape[1]
        patch = state["image_encoder.patch_embed.proj.weight"].shape[-1]
        out = state["image_encoder.neck.0.weight"].shape[0]
        depth = 1 + max(int(k.split(".")[2]) for k in state if k.startswith("image_encoder.blocks."))
        spans = [state[f"image_encoder.blocks.{i}.attn.rel_pos_h"].shape[0] for i in range(depth)]
    except (KeyError, ValueError, IndexError) as error:
        raise InputError(f"{name} is not {EXPECTED}; its first tensor is {next(iter(state), None)!r}.") from error
    grid, channels = position.shape[1], position.shape[-1]
    return SamViT(
        channels,
        depth,
        channels // head_width,
        global_blocks=[i for i, span in enumerate(spans) if span == 2 * grid - 1],
        window=(min(spans) + 1) // 2,
        size=grid * patch,
        patch=patch,
        out=out,
    )
