"""Volumes larger than memory: cut into blocks, worked on by one process, several, or a cluster (Dask)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from .errors import InputError
from .progress import progress

if TYPE_CHECKING:
    from distributed import Client

PATIENCE_S = 10
RETRIES = 3

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Block:
    """A box of a volume: [low, high) in voxels.

    Parameters
    ----------
    number : int
        Place in the list of all blocks, in the order of memory.
    low, high : tuple of int
    """

    number: int
    low: tuple[int, ...]
    high: tuple[int, ...]

    @property
    def slices(self) -> tuple[slice, ...]:
        """Where the block lies in the volume."""
        return tuple(slice(a, b) for a, b in zip(self.low, self.high, strict=True))

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis."""
        return tuple(b - a for a, b in zip(self.low, self.high, strict=True))

    def grown(self, halo: int | Sequence[int], shape: Sequence[int]) -> Block:
        """Return the block with a halo on all sides, as far as the volume of `shape` reaches."""
        halo = (halo,) * len(shape) if isinstance(halo, int) else halo
        low = tuple(max(a - h, 0) for a, h in zip(self.low, halo, strict=True))
        high = tuple(min(b + h, n) for b, h, n in zip(self.high, halo, shape, strict=True))
        return Block(self.number, low, high)

    def within(self, other: Block) -> tuple[slice, ...]:
        """Where the block lies in an array that holds `other`."""
        return tuple(slice(a - o, b - o) for a, b, o in zip(self.low, self.high, other.low, strict=True))


def cut(shape: Sequence[int], chunks: int | Sequence[int]) -> list[Block]:
    """Cut a volume into blocks of the size of the chunks it is stored in, in the order of memory.

    Parameters
    ----------
    shape : sequence of int
    chunks : int or sequence of int
        Edges in voxels; the last block along an axis may be smaller.
    """
    whole = Block(0, (0,) * len(shape), tuple(shape))
    return pieces(whole, shape, edges(shape, chunks))


def edges(shape: Sequence[int], chunks: int | Sequence[int]) -> tuple[int, ...]:
    """Return the edges of the blocks along each axis, none larger than the volume."""
    given = (chunks,) * len(shape) if isinstance(chunks, int) else tuple(chunks)
    if len(given) != len(shape) or not all(int(c) == c and c > 0 for c in given):
        raise InputError(f"`chunks` must be {len(shape)} positive numbers of voxels, got {chunks!r}.")
    return tuple(max(1, min(int(c), n)) for c, n in zip(given, shape, strict=True))


def offsets(counts: Sequence[int]) -> np.ndarray:
    """Return where the labels of each block begin when those of all blocks are counted on: (n + 1,) int64."""
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])


@contextmanager
def cluster(workers: int = 1, scheduler: str | None = None) -> Iterator[Client | None]:
    """Provide the processes that blocks are handed to.

    Parameters
    ----------
    workers : int
        Processes of one thread each, on this machine. With 1 there is no cluster: blocks are worked on here, one
        after the other.
    scheduler : str, optional
        Address of a running Dask scheduler, ``tcp://host:8786``; `workers` then does not count. Its workers must see
        the files under the same paths.

    Yields
    ------
    distributed.Client or None
        To be passed to `run`. Everything that was started is stopped on leaving, by an exception or Ctrl-C too.

    Raises
    ------
    InputError
        `workers` is no positive number, or nobody answers under the address within ten seconds.
    """
    if not isinstance(workers, int) or workers < 1:
        raise InputError(f"`workers` must be a whole number from 1 upwards, got {workers!r}.")
    if scheduler is None and workers == 1:
        yield None
        return
    import dask
    import distributed  # noqa: F401  (its settings must be there before ours are laid over them)

    # a worker's compiled loops and BLAS run on one thread each: the processes fill the cores
    threads = dict.fromkeys(("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), 1)
    settings = {"distributed.nanny.pre-spawn-environ": threads, "distributed.comm.timeouts.connect": PATIENCE_S}
    with dask.config.set(settings), _connected(workers, scheduler) as client:
        yield client


@contextmanager
def _connected(workers, scheduler):
    import logging

    from distributed import Client, LocalCluster

    if scheduler is not None:
        with _client(Client, scheduler) as client:
            yield client
        return
    local = LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        memory_limit=0,  # blocks are sized by us; a limit would pause or kill workers
        silence_logs=logging.CRITICAL,
        preload=[__name__],
    )
    with local, Client(local, set_as_default=False) as client:
        yield client


@contextmanager
def _client(kind, address):
    try:
        # one that fails would else stay Dask's default for the rest of the process
        client = kind(address, timeout=PATIENCE_S, set_as_default=False)
    except Exception as error:  # whatever answers, if anything does, may be no scheduler at all
        raise InputError(
            f"no Dask scheduler answers at {address!r} ({type(error).__name__}); start one with `dask scheduler` "
            "and give its address, as in tcp://host:8786."
        ) from error
    with client:
        if not client.scheduler_info()["workers"]:
            raise InputError(f"the Dask scheduler at {address!r} has no workers; start some with `dask worker`.")
        yield client


def dask_setup(worker) -> None:  # noqa: ARG001  (called by Dask when a worker of ours starts)
    """Leave Ctrl-C to the process that started the worker: it stops its workers itself."""
    import signal
    import threading

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def run(
    function: Callable[[Item], Result], items: Sequence[Item], *, client: Client | None = None, label: str = ""
) -> list[Result]:
    """Call a function on every item and return the results in order.

    Parameters
    ----------
    function : callable
        With a client it travels to the workers, so it has to be picklable: a function of a module, or
        `functools.partial` of one. It may be called again on an item whose worker has died, so what it writes must not
        depend on how often.
    items : sequence
    client : distributed.Client, optional
        From `cluster`; without one the items are worked on here, one after the other.
    label : str
        What is being done, for the progress bar.
    """
    if client is None:
        return [function(item) for item in progress(items, total=len(items), label=label)]
    from distributed import as_completed

    futures = client.map(function, items, retries=RETRIES, pure=False)
    try:
        for _ in progress(as_completed(futures, loop=client.loop), total=len(items), label=label):
            pass
        return client.gather(futures)  # waits again for results that were lost with a worker
    finally:
        client.cancel(futures, force=True)


def pieces(box: Block, shape: Sequence[int], chunks: Sequence[int]) -> list[Block]:
    """Return the parts of a box that lie in different blocks of `cut`, each with the number of its block."""
    counts = [-(-n // c) for n, c in zip(shape, chunks, strict=True)]
    spans = [
        [(k, max(a, k * c), min(b, (k + 1) * c)) for k in range(a // c, -(-b // c))]
        for a, b, c in zip(box.low, box.high, chunks, strict=True)
    ]
    return [
        Block(
            int(np.ravel_multi_index([part[0] for part in parts], counts)),
            tuple(part[1] for part in parts),
            tuple(part[2] for part in parts),
        )
        for parts in itertools.product(*spans)
    ]


def create(
    path: str | Path, *, shape: Sequence[int], chunks: int | Sequence[int], dtype: Any, compress: bool = True
) -> Any:
    """Create a Zarr array of zeros whose chunks are the blocks that `cut` gives; what lay there is replaced."""
    import zarr

    codec: Any = "auto" if compress else None
    return zarr.create_array(
        str(path),
        shape=tuple(shape),
        chunks=edges(shape, chunks),
        dtype=dtype,
        fill_value=0,
        overwrite=True,
        compressors=codec,
    )


def map_blocks(
    function: Callable[[np.ndarray], np.ndarray],
    source: Any,
    *,
    store: str | Path,
    dtype: Any,
    chunks: int | Sequence[int],
    halo: int | Sequence[int] = 0,
    client: Client | None = None,
    label: str = "",
) -> Any:
    """Apply a function to every block of a volume, with a halo around it, and write the results to a Zarr array.

    Parameters
    ----------
    function : callable
        Gets the block with its halo (less of it at the faces of the volume) and returns an array of the same shape, of
        which the halo is cut off. Picklable, as for `run`.
    source : array-like
        Anything with ``shape`` that gives a numpy array when sliced; picklable with a client.
    store : path
        Folder of the Zarr array to be made.
    dtype : dtype
        Of the result.
    chunks : int or sequence of int
        Edges of blocks and chunks, in voxels. Each block is one chunk, written whole by one call.
    halo : int or sequence of int
    client, label :
        As for `run`.

    Returns
    -------
    zarr.Array
    """
    out = create(store, shape=source.shape, chunks=chunks, dtype=dtype)
    task = _Mapped(function, source, out, halo)
    run(task, cut(source.shape, chunks), client=client, label=label)
    return out


@dataclass(frozen=True)
class _Mapped:
    """One call of `map_blocks`, as something that can be pickled."""

    function: Callable[[np.ndarray], np.ndarray]
    source: Any
    out: Any
    halo: int | Sequence[int]

    def __call__(self, block: Block) -> None:
        outer = block.grown(self.halo, self.source.shape)
        result = self.function(np.asarray(self.source[outer.slices]))
        self.out[block.slices] = result[block.within(outer)]
