"""What makes a particle of its own: one bundle for the in-memory and the blockwise way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import InputError

SMOOTHING, DEPTH = 0.9, 0.2  # defaults, in mean voxel edges


@dataclass(frozen=True)
class Rules:
    """Thresholds of `separate_particles`, checked; lengths in um."""

    smoothing_um: float
    depth_um: float
    neck: float
    min_voxels: int
    min_sphericity: float


def rules(
    spacing: tuple[float, float, float],
    smoothing_um: float | None,
    depth_um: float | None,
    neck: float,
    min_voxels: int,
    min_sphericity: float,
) -> Rules:
    """Fill in the defaults, or say which threshold makes no sense."""
    edge = float(np.prod(spacing)) ** (1 / 3)
    smoothing_um = SMOOTHING * edge if smoothing_um is None else smoothing_um
    depth_um = DEPTH * edge if depth_um is None else depth_um
    for name, value in (("smoothing_um", smoothing_um), ("depth_um", depth_um), ("min_voxels", min_voxels)):
        if not (np.isfinite(value) and value >= 0):
            raise InputError(f"`{name}` must be a number from 0 upwards, got {value!r}.")
    for name, value in (("neck", neck), ("min_sphericity", min_sphericity)):
        if not 0 <= value <= 1:
            raise InputError(f"`{name}` must lie between 0 and 1, got {value!r}.")
    return Rules(float(smoothing_um), float(depth_um), float(neck), int(min_voxels), float(min_sphericity))
