"""What a person at a terminal sees of long work; nothing at all when no person is watching."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def progress(iterable: Iterable[T], *, total: int | None = None, label: str = "") -> Iterator[T]:
    """Pass `iterable` through, with a bar and the time left on stderr when that is a terminal.

    Parameters
    ----------
    iterable : iterable
        Left untouched: the same items, in the same order, one by one.
    total : int, optional
        Number of items where `iterable` does not know it; without it the bar counts up.
    label : str
        What is being done, as in ``"finding particles"``.

    Yields
    ------
    The items. Bars may be nested; the inner one goes when it is done. Work that ends within half a
    second draws none, and leaving the loop early (an exception, a ``break``) clears the bar.
    """
    if not sys.stderr.isatty():
        yield from iterable
        return
    from tqdm import tqdm

    with tqdm(iterable, total=total, desc=label, leave=False, delay=0.5, dynamic_ncols=True) as bar:
        yield from bar


def stage(text: str) -> None:
    """Say on stderr what begins now, above any bar, when stderr is a terminal; else say nothing."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        tqdm.write(f"{text} ...", file=sys.stderr)
