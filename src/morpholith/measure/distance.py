"""Depth of voxels inside their phase or particle."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from . import _volumes


def depth(labels: np.ndarray, *, spacing: Sequence[float] | float) -> np.ndarray:
    """Distance of every labelled voxel to the nearest voxel of another label or of background.

    Parameters
    ----------
    labels : (z, y, x) int or bool array
        0 is background. All labels are treated in one pass.
    spacing : (float, float, float)
        Voxel edges in um; they may differ.

    Returns
    -------
    (z, y, x) float32 array
        In um, centre to centre, exact; 0 in the background. What lies outside the volume ends nothing; infinite
        where a label fills the whole volume.
    """
    from . import _edt

    volume = _volumes.labels(labels)
    out = _edt.squared(volume, _volumes.spacing(spacing))
    out[out >= _edt.FAR] = np.inf
    return np.sqrt(out, out=out)
