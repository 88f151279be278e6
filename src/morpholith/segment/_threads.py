"""Slabs of a volume on several threads: compiled kernels that release the interpreter lock, and no other machinery."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def slabs(function: Callable[[int, int], T], n: int, *, least: int = 1) -> list[T]:
    """Call ``function(first, last)`` on contiguous parts of ``range(n)``, one a thread; return the results in order.

    As many threads as numba would take (``NUMBA_NUM_THREADS``, else the cores), but no part under `least` long.
    """
    import numba

    parts = max(1, min(numba.get_num_threads(), n // max(least, 1)))
    cuts = [round(k * n / parts) for k in range(parts + 1)]
    if parts == 1:
        return [function(0, n)]
    with ThreadPoolExecutor(parts) as pool:
        return list(pool.map(function, cuts[:-1], cuts[1:]))
