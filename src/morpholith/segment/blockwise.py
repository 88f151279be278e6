"""Touching particles told apart in a volume larger than memory; voxel for voxel what `separate_particles` gives.

Each step writes whole chunks of Zarr arrays and may be repeated, so that a worker can die at any time:

1. pores   label the pore of each block; join pieces across faces; fill what is enclosed
2. basins  distance with a halo as wide as the greatest distance found, smoothing, steepest ascent; where a way leaves
           its block, look up where it goes on, until it ends in a peak
3. names   sizes, surfaces, contacts and saddles of each block, with the neighbouring blocks one voxel deep, added up;
           the table from basins to particles that follows from them is applied
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _checks, blocks
from ..blocks import Block
from ..errors import InputError, InputWarning
from ._rules import Rules, rules

if TYPE_CHECKING:
    from distributed import Client

Spacing = tuple[float, float, float]


def separate_blockwise(
    source: Any,
    *,
    spacing: Spacing,
    store: str | Path,
    chunks: int | tuple[int, int, int] = 192,
    smoothing_um: float | None = None,
    depth_um: float | None = None,
    neck: float = 0.95,
    min_voxels: int = 10,
    min_sphericity: float = 0.5,
    fill: bool = True,
    client: Client | None = None,
) -> Any:
    """Separate touching particles block by block, in bounded memory.

    Parameters
    ----------
    source : array-like
        Volume (z, y, x) with ``shape``, ``dtype`` and slices that give numpy arrays: boolean, or phases of which 1 is
        the active material. Picklable with a client.
    spacing : tuple of float
        Voxel edge lengths in um, in array order.
    store : path
        Folder of the Zarr array to be made; it appears when it is complete. Scratch arrays (about 18 bytes a voxel
        before compression) lie beside it meanwhile.
    chunks : int or tuple of int
        Edges of blocks and chunks in voxels. A worker holds a block with its halo, about 25 bytes a voxel.
    smoothing_um, depth_um, neck, min_voxels, min_sphericity, fill :
        As for `separate_particles`.
    client : distributed.Client, optional
        From `morpholith.blocks.cluster`; without one the blocks are worked on here.

    Returns
    -------
    zarr.Array
        (z, y, x) int32, equal to ``separate_particles(source[...], ...)`` in every voxel.

    Raises
    ------
    InputError
        `source` is no volume, or an argument makes no sense.
    """
    import zarr

    if len(source.shape) != 3 or np.dtype(source.dtype).kind not in "bui":
        raise InputError(
            f"`source` must be a volume (z, y, x) of booleans or integer phases, got {source.dtype} {source.shape}."
        )
    spacing = _checks.spacing(spacing, 3)
    limits = rules(spacing, smoothing_um, depth_um, neck, min_voxels, min_sphericity)
    edges = blocks.edges(source.shape, chunks)
    store = Path(store)
    store.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{store.name}.", dir=store.parent))
    try:
        work = _Work(tuple(source.shape), edges, scratch, client)
        solid, whole, bounded = _solid(work, source, fill)
        height, basins = _basins(work, whole, spacing, limits.smoothing_um, bounded)
        _name(work, solid, height, basins, spacing, limits)
        if store.is_dir():
            shutil.rmtree(store)
        (scratch / "labels").rename(store)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return zarr.open_array(str(store), mode="r")


@dataclass(frozen=True)
class _Work:
    """What every step needs: the blocks, where the arrays lie, and who works."""

    shape: tuple[int, ...]
    edges: tuple[int, ...]
    scratch: Path
    client: Client | None

    def blocks(self) -> list[Block]:
        return blocks.cut(self.shape, self.edges)

    def array(self, name: str, dtype: Any, *, compress: bool = True) -> Any:
        """Make a scratch array, its chunks a part of a block, so that a thin halo costs no whole neighbours."""
        inner = tuple(next(e // k for k in (2, 1) if e % k == 0) for e in self.edges)
        return blocks.create(self.scratch / name, shape=self.shape, chunks=inner, dtype=dtype, compress=compress)

    def run(self, function: Callable[[Any], Any], jobs: Iterable[Any], label: str) -> list[Any]:
        return blocks.run(function, list(jobs), client=self.client, label=label)


def _solid(work: _Work, source: Any, fill: bool) -> tuple[Any, Any, bool]:
    """Return the solid, the solid with enclosed pores filled, and whether that leaves any pore."""
    from . import _block_pores as pores

    if work.client is not None and isinstance(source, np.ndarray):  # too much to travel with every task
        staged = work.array("source", source.dtype)
        staged[...] = source
        source = staged
    solid = work.array("solid", bool)
    piece = work.array("pores", np.int32) if fill else None
    found = work.run(partial(pores.label, source, solid, piece), work.blocks(), "reading solid")
    if not any(mass for *_, mass in found):
        warnings.warn("there is no solid voxel, so there are no particles.", InputWarning, stacklevel=3)
    if not fill:
        return solid, solid, any(pore for _, _, pore, _ in found)
    offset = blocks.offsets([n for n, *_ in found])
    links = work.run(partial(pores.links, piece, work.edges, offset), work.blocks(), "joining pores")
    closed = pores.enclosed(offset, [out for _, out, *_ in found], links)
    whole = work.array("filled", bool)
    work.run(partial(pores.fill, piece, whole), zip(work.blocks(), closed, strict=True), "filling pores")
    return solid, whole, not all(table.all() for table in closed)


def _basins(work: _Work, solid: Any, spacing: Spacing, smoothing_um: float, bounded: bool) -> tuple[Any, Any]:
    """Return the height map and its basins, counted on over all blocks."""
    from . import _block_basins as steps

    height, own = work.array("height", np.float32, compress=False), work.array("own", np.int32)
    rise = steps.Rise(solid, height, own, work.scratch, spacing, smoothing_um, bounded)
    found = work.run(rise, work.blocks(), "finding basins")
    peaks, ways = (blocks.offsets(counts) for counts in zip(*found, strict=True))
    traced = work.run(steps.Trace(own, work.scratch, work.edges, peaks, ways), work.blocks(), "following ascents")
    end = steps.ends(traced)
    for block, (a, b), (c, d) in zip(work.blocks(), pairwise(peaks), pairwise(ways), strict=True):
        table = np.concatenate([[0], np.arange(a + 1, b + 1), end[c + 1 : d + 1]])
        np.save(steps.table_of(work.scratch, block), table.astype(np.int32))
    basins = work.array("basins", np.int32)
    work.run(partial(steps.resolve, own, basins, work.scratch), work.blocks(), "joining basins")
    return height, basins


def _name(work: _Work, solid: Any, height: Any, basins: Any, spacing: Spacing, limits: Rules) -> None:
    """Write the particles to the array "labels"."""
    from . import _block_basins as steps
    from .merge import particles

    parts = work.run(steps.Measure(solid, height, basins), work.blocks(), "measuring basins")
    table = work.scratch / "table.npy"
    np.save(table, particles(steps.together(parts), spacing=spacing, rules=limits))
    labels = blocks.create(work.scratch / "labels", shape=work.shape, chunks=work.edges, dtype=np.int32)
    work.run(partial(steps.name, basins, solid, labels, table), work.blocks(), "naming particles")
