"""Grains and chords of many sections in one table each, as distributions are compared by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .grain_shape import grain_chords, grain_shapes

if TYPE_CHECKING:
    import pandas as pd

    from ..segment import Section


def section_grains(sections: Sequence[Section], *, min_pixels: int = 5) -> pd.DataFrame:
    """Measure the grains of sections (paper 001, Fig. 10b).

    Parameters
    ----------
    sections : sequence of Section
    min_pixels : int
        Smaller grains are left out.

    Returns
    -------
    DataFrame
        One row a grain: `section` (place in the sequence), `name`, and the columns of `grain_shapes`. Empty without
        sections.
    """
    import pandas as pd

    tables = []
    for k, one in enumerate(sections):
        centre = (one.centre_px[0] * one.step_um, one.centre_px[1] * one.step_um)
        table = grain_shapes(one.labels, spacing=one.step_um, centre_um=centre).reset_index()
        table.insert(0, "section", k)
        table.insert(1, "name", one.name)
        tables.append(table[table["n_pixels"] >= min_pixels])
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def section_chords(sections: Sequence[Section]) -> tuple[np.ndarray, np.ndarray]:
    """Return the lengths of all chords along rows and columns in um, and the section each is from.

    Parameters
    ----------
    sections : sequence of Section

    Returns
    -------
    length_um, section : (n,) arrays
    """
    lengths, owner = [np.zeros(0)], [np.zeros(0, int)]
    for k, one in enumerate(sections):
        for axis in ("x", "y"):
            own = grain_chords(one.labels, spacing=one.step_um, axis=axis)["length_um"].to_numpy(float)
            lengths.append(own)
            owner.append(np.full(len(own), k))
    return np.concatenate(lengths), np.concatenate(owner)
