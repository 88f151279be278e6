"""Sets that grow together: the root of an element, its path shortened on the way."""

from __future__ import annotations

from numba import njit


@njit(cache=True)
def root(parent, i):
    """Return the root of element `i` of a forest of parents; an element that is its own parent is a root."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i
