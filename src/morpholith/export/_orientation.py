"""What mesh files say of the orientation of a grain."""

from __future__ import annotations

import numpy as np


def axes_of(quaternions: np.ndarray) -> np.ndarray:
    """Return the crystal's x, y and z in the frame of the sample (x, y, z) as columns, (n, 3, 3)."""
    w, x, y, z = np.asarray(quaternions, float).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), -1, 0)


def fields_of(quaternions: np.ndarray) -> dict[str, np.ndarray]:
    """Return what is written of each grain: Bunge's angles in degrees, and the c axis (x, y, z)."""
    from ..segment import crystal

    return {"euler_deg": np.degrees(crystal.euler_angles(quaternions)), "c_axis": axes_of(quaternions)[:, :, 2]}
