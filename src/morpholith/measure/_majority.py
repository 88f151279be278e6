"""Labels smoothed by the majority around each pixel."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def majority(labels):
    """Give each labelled pixel the label that most of the nine around it have, its own or the first where they tie."""
    rows, columns = labels.shape
    out = labels.copy()
    near = np.empty(9, labels.dtype)
    for i in range(rows):
        for j in range(columns):
            own = labels[i, j]
            if own == 0:
                continue
            n, most = 0, 0
            same = True
            for a in range(max(i - 1, 0), min(i + 2, rows)):
                for b in range(max(j - 1, 0), min(j + 2, columns)):
                    if labels[a, b] != 0:
                        near[n] = labels[a, b]
                        same &= near[n] == own
                        n += 1
            if same:
                continue
            for k in range(n):
                votes = 0
                for m in range(n):
                    votes += near[m] == near[k]
                if votes > most or (votes == most and near[k] == own):
                    most = votes
                    out[i, j] = near[k]
    return out
