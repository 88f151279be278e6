"""Which bodies of a packing overlap, and the neck between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .solids import Bodies

if TYPE_CHECKING:
    import pandas as pd

    from .assembly import Packing


def necks(packing: Packing, low, high) -> pd.DataFrame:
    """Return the pairs of smooth particles that overlap, where their neck lies in a box.

    Parameters
    ----------
    packing : Packing
    low, high : (3,) arrays
        Corners of the box, um.

    Returns
    -------
    DataFrame
        One row a pair: ``label, neighbour`` (label < neighbour); ``overlap``: share of the distance at contact by which
        they interpenetrate, exact (Perram and Wertheim 1985); ``z_um, y_um, x_um`` of the middle of the neck; and for
        two spheres ``neck_um2``, the area of the disc between them, pi (r1^2 - a^2) with a = (d^2 + r1^2 - r2^2) / 2d;
        NaN for other bodies. Bumps are not seen: for lumpy particles the rows are those of their spheroids.
    """
    import pandas as pd

    from .exact import neighbours

    start, other = neighbours(packing.bodies, 0.0)
    own = np.repeat(np.arange(len(packing.bodies)), np.diff(start))
    pairs = np.stack([own, other], 1)[own < other]
    b = packing.bodies
    overlap, place = contact(b[pairs[:, 0]], b[pairs[:, 1]])
    area, middle = _disc(b[pairs[:, 0]], b[pairs[:, 1]])
    place = np.where(np.isnan(area)[:, None], place, middle)
    kept = (overlap > 0) & ((place >= low) & (place <= high)).all(1)
    label = np.sort(packing.label[pairs[kept]], axis=1)
    table = pd.DataFrame({"label": label[:, 0], "neighbour": label[:, 1], "overlap": overlap[kept]})
    for axis, name in enumerate(("z_um", "y_um", "x_um")):
        table[name] = place[kept, axis]
    return table.assign(neck_um2=area[kept]).sort_values(["label", "neighbour"], ignore_index=True)


def contact(first: Bodies, second: Bodies) -> tuple[np.ndarray, np.ndarray]:
    """Return 1 - sqrt(F) of pairs of ellipsoids, above 0 where they overlap, and the point where F is reached.

    F = max over l of l (1 - l) d^T S^-1 d with S = (1 - l) A + l B is concave in l: golden section.
    """
    a, b, d = first.shape_matrix, second.shape_matrix, second.centre - first.centre
    low, high = np.zeros(len(d)), np.ones(len(d))
    golden = 0.5 * (5**0.5 - 1)

    def value(t):
        s = (1 - t)[:, None, None] * a + t[:, None, None] * b
        solved = np.linalg.solve(s, d[..., None])[..., 0]
        return t * (1 - t) * np.einsum("ni,ni->n", d, solved), solved

    for _ in range(40):
        left, right = high - golden * (high - low), low + golden * (high - low)
        better = value(left)[0] > value(right)[0]
        low, high = np.where(better, low, left), np.where(better, right, high)
    t = 0.5 * (low + high)
    f, solved = value(t)
    return 1 - np.sqrt(f), first.centre + (1 - t)[:, None] * np.einsum("nij,nj->ni", a, solved)


def _disc(first: Bodies, second: Bodies) -> tuple[np.ndarray, np.ndarray]:
    """Area and middle of the disc in which two spheres meet; NaN where one is no sphere."""
    round_ = [np.isclose(b.semi, b.semi[:, :1], rtol=1e-9).all(1) & (b.rise == 0) for b in (first, second)]
    r1, r2 = first.semi[:, 0], second.semi[:, 0]
    line = second.centre - first.centre
    d = np.linalg.norm(line, axis=1)
    along = (d * d + r1**2 - r2**2) / (2 * np.maximum(d, 1e-12))
    area = np.where(round_[0] & round_[1], np.pi * np.maximum(r1**2 - along**2, 0), np.nan)
    return area, first.centre + line * (along / np.maximum(d, 1e-12))[:, None]
