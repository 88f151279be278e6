"""The flow's network between its file, its training and its use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from . import training
from .micrograph_flow import drawn
from .micrograph_net import MicrographNet, NetConfig


def scales_of(pixels_um: Sequence[float]) -> np.ndarray:
    """Return what tells the network of a pixel size: its logarithm, 0 at the geometric mean of the views."""
    logs = np.log(np.asarray(pixels_um, float))
    return logs - logs.mean()


def described(state: Mapping[str, torch.Tensor], config: NetConfig) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return weights and settings for a file. Weights are kept in half precision, which drawing does not notice."""
    return {k: v.detach().cpu().half().numpy() for k, v in state.items()}, config.to_json()


def drawer(
    weights: Mapping[str, np.ndarray], settings: Mapping[str, Any], views: Sequence[Any], *, device: str
) -> Callable[..., np.ndarray]:
    """Return ``draw(codes, view, *, seed, shape, mixed)`` of stored weights."""
    where = training.device(device)
    config = NetConfig(**{**settings, "channels": tuple(settings["channels"])})
    net = MicrographNet(config)
    net.load_state_dict({k: torch.from_numpy(np.array(v, np.float32)) for k, v in weights.items()})
    net = net.to(where, memory_format=torch.channels_last).eval()
    scales = scales_of([view.pixel_um for view in views])

    def draw(
        codes: np.ndarray, view: int, *, seed: int, shape: tuple[int, int], mixed: bool | None = None
    ) -> np.ndarray:
        mixed = training.fast_bfloat16(device) if mixed is None else mixed
        return drawn(
            net, codes, scales[view], images=len(codes), seed=seed, shape=shape, device=device, mixed=mixed
        )  # fmt: skip

    return draw
