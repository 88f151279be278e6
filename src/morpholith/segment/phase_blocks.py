"""Phases of a volume larger than memory, block by block."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import blocks
from .phases import PhaseEstimate, Thresholds, apply_phases


def phases_blockwise(
    source: Any,
    estimate: PhaseEstimate,
    *,
    store: str | Path,
    thresholds: Thresholds | None = None,
    chunks: int | tuple[int, int, int] = 192,
    client: Any = None,
) -> Any:
    """Label the phases of a volume block by block, in bounded memory.

    Parameters
    ----------
    source : array-like
        Grey volume (z, y, x) with ``shape`` and slices that give numpy arrays. Picklable with a client.
    estimate : PhaseEstimate
        From `estimate_phases` of the same volume.
    store : path
        Folder of the Zarr array to be made.
    thresholds : float or tuple of float, optional
        In place of those of the estimate.
    chunks : int or tuple of int
        Edges of blocks and chunks in voxels.
    client : distributed.Client, optional
        From `morpholith.blocks.cluster`; without one the blocks are worked on here.

    Returns
    -------
    zarr.Array
        (z, y, x) uint8 of ``estimate.box`` of the volume; equal to what `phases` gives in every voxel.
    """
    ranges = [s.indices(n) for s, n in zip(estimate.box, source.shape, strict=True)]
    shape = tuple(stop - start for start, stop, _ in ranges)
    out = blocks.create(store, shape=shape, chunks=chunks, dtype=np.uint8)
    task = _Labelled(source, estimate, thresholds, tuple(start for start, _, _ in ranges), out)
    blocks.run(task, blocks.cut(shape, chunks), client=client, label="finding phases")
    return out


@dataclass(frozen=True)
class _Labelled:
    """One block of `phases_blockwise`, as something that can be pickled."""

    source: Any
    estimate: PhaseEstimate
    thresholds: Thresholds | None
    corner: tuple[int, ...]
    out: Any

    def __call__(self, block: blocks.Block) -> None:
        outer = block.grown(self.estimate.halo, self.out.shape)
        place = tuple(slice(s.start + c, s.stop + c) for s, c in zip(outer.slices, self.corner, strict=True))
        grey = np.asarray(self.source[place])
        labels = apply_phases(grey, self.estimate, thresholds=self.thresholds, origin=outer.low)
        self.out[block.slices] = labels[block.within(outer)]
