"""Training by several processes, one a card, that average their gradients: torch's own DistributedDataParallel."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import distributed, nn

from ..errors import InputError


def rank() -> tuple[int, int]:
    """Return (number of this process, number of processes); (0, 1) outside of a group."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def shared(net: nn.Module) -> nn.Module:
    """Return the network, its gradients averaged over the processes if there are several."""
    if rank()[1] == 1:
        return net
    where = next(net.parameters()).device
    return nn.parallel.DistributedDataParallel(net, device_ids=[where] if where.type == "cuda" else None)


def mean(value: float, device: torch.device) -> float:
    """Return the mean of a number over the processes."""
    if rank()[1] == 1:
        return value
    total = torch.tensor(value, dtype=torch.float64, device=device)
    distributed.all_reduce(total)
    return float(total) / rank()[1]


def spread(function: Callable[..., object], arguments: tuple, *, processes: int, device: str) -> None:
    """Run ``function(*arguments)`` in so many processes that form a group, one a card on ``cuda``.

    Parameters
    ----------
    function : callable
        Of a module; what it makes it leaves on the disk.
    arguments : tuple
        Picklable.
    processes : int
    device : str

    Raises
    ------
    InputError
        There are fewer cards than processes.
    """
    if device == "cuda" and torch.cuda.device_count() < processes:
        raise InputError(f"{processes} processes need as many cards, and {torch.cuda.device_count()} are present.")
    with tempfile.TemporaryDirectory() as folder:
        meet = (Path(folder) / "meet").as_uri()
        torch.multiprocessing.spawn(_member, (function, arguments, processes, device, meet), nprocs=processes)


def _member(number, function, arguments, processes, device, meet):
    torch.set_num_threads(max(1, torch.get_num_threads() // processes))
    if device == "cuda":
        torch.cuda.set_device(number)
    backend = "nccl" if device == "cuda" else "gloo"
    distributed.init_process_group(backend, init_method=meet, rank=number, world_size=processes)
    try:
        function(*arguments)
    finally:
        distributed.destroy_process_group()
