"""Parameters into structures: grains and shells."""

from .harmonics import degrees_of, icosphere, real_harmonics
from .pieces import Repaired, fragments, repaired
from .power_diagram import Work, label_grid, label_points, label_section, work_per_voxel
from .radial_frame import radial_frames, restricted_matrices
from .shell_model import Family, ShellDraw, ShellModel, are_shells, draw_shells, published_shell_model
from .shells import (
    Recentred,
    fit_shell,
    radius_function,
    random_rotations,
    recentred,
    rotated,
    shell_centroid,
    shell_power,
    shell_radius,
    shell_volume,
)

__all__ = [
    "Family",
    "Recentred",
    "Repaired",
    "ShellDraw",
    "ShellModel",
    "Work",
    "are_shells",
    "degrees_of",
    "draw_shells",
    "fit_shell",
    "fragments",
    "icosphere",
    "label_grid",
    "label_points",
    "label_section",
    "published_shell_model",
    "radial_frames",
    "radius_function",
    "random_rotations",
    "real_harmonics",
    "recentred",
    "repaired",
    "restricted_matrices",
    "rotated",
    "shell_centroid",
    "shell_power",
    "shell_radius",
    "shell_volume",
    "work_per_voxel",
]
