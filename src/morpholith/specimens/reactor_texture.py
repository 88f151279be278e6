"""Which lamellae show which texture: the descriptor that is measured, against the crystals that are drawn.

The numbers were measured once, with `measure.texture` on micrographs of known lamellae (15000x, field 8.5 um wide,
640 x 480 pixels), and are checked by the tests. They hold for the microscope of `microscope.Microscope`.
"""

from __future__ import annotations

import numpy as np
from scipy.interpolate import PchipInterpolator

from .primary import Habit

# thickness of the lamellae in um, and the mean texture of particles covered with them
THICKNESS_UM = np.array([0.05, 0.06, 0.075, 0.095, 0.12, 0.15, 0.19, 0.24, 0.30, 0.38, 0.48, 0.60])
TEXTURE = np.array([0.886, 0.858, 0.820, 0.776, 0.706, 0.620, 0.534, 0.436, 0.357, 0.280, 0.232, 0.190])
ROUNDING = 0.15  # of the thickness, by which the edges of the lamellae are rounded
TEXTURE_LIMITS = (float(TEXTURE[-1]), float(TEXTURE[0]))


def lamella_length(thickness_um):
    """Return the diameter in um of lamellae that are `thickness_um` thick: thicker ones are wider, less than in
    proportion (0.5 um across at 50 nm, 1.6 um at 0.6 um).
    """
    return np.maximum(0.55 * (np.asarray(thickness_um, float) / 0.06) ** 0.45, thickness_um)


def lamella_texture(thickness_um):
    """Return the texture that lamellae of this thickness show on average at 15000x."""
    x = np.log(np.clip(thickness_um, THICKNESS_UM[0], THICKNESS_UM[-1]))
    return PchipInterpolator(np.log(THICKNESS_UM), TEXTURE)(x)


def lamella_thickness(texture):
    """Return the thickness in um of the lamellae that show this texture; clipped to `TEXTURE_LIMITS`."""
    y = np.clip(texture, *TEXTURE_LIMITS)
    fine = np.linspace(np.log(THICKNESS_UM[0]), np.log(THICKNESS_UM[-1]), 2001)
    curve = PchipInterpolator(np.log(THICKNESS_UM), TEXTURE)(fine)
    return np.exp(np.interp(-y, -curve, fine))


def lamellae(texture) -> Habit:
    """Return the lamellae that show this texture."""
    thickness = float(lamella_thickness(texture))
    return Habit("plate", thickness, float(lamella_length(thickness)), ROUNDING * thickness)
