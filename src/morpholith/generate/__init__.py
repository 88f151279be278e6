"""Parameters into structures: grains and shells."""

from .architecture import Architecture, GrainField
from .crystal_axes import CrystalAxes, crystal_axes
from .defects import Defects, intergranular_cracks, junction_pores
from .diagram_fit import DiagramFit, fit_diagram
from .harmonics import degrees_of, icosphere, real_harmonics
from .law_posterior import LawPosterior, learn_law
from .law_prediction import describe_grains, grains_of, predict_grains
from .law_prior import LawPrior, wide_prior
from .marker_law import MarkerLaw
from .marker_network import MarkerNetwork, untrained_network, with_reach
from .model import ParticleModel, load_model, model_files, save_model, shipped_models
from .nmc811 import nmc811_like
from .particle import Particle, draw_shell, fill_shell, inside_shell, mesh_particle, particle
from .pieces import Repaired, fragments, repaired
from .power_diagram import Work, label_grid, label_points, label_section, work_per_voxel
from .radial_fit import augmented, restricted
from .radial_frame import radial_frames, restricted_matrices
from .seed_surroundings import marker_inputs, neighbour_distance, poisson_seeds, surroundings
from .shell_families import LearntShells, learn_shells
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
from .shells_of_volume import VolumeShells, shells_of_volume
from .tet_mesh import TetMesh, tet_mesh
from .virtual_cut import cut_ball, cut_like

__all__ = [
    "Architecture",
    "CrystalAxes",
    "Defects",
    "DiagramFit",
    "Family",
    "GrainField",
    "LawPosterior",
    "LawPrior",
    "LearntShells",
    "MarkerLaw",
    "MarkerNetwork",
    "Particle",
    "ParticleModel",
    "Recentred",
    "Repaired",
    "ShellDraw",
    "ShellModel",
    "TetMesh",
    "VolumeShells",
    "Work",
    "are_shells",
    "augmented",
    "crystal_axes",
    "cut_ball",
    "cut_like",
    "degrees_of",
    "describe_grains",
    "draw_shell",
    "draw_shells",
    "fill_shell",
    "fit_diagram",
    "fit_shell",
    "fragments",
    "grains_of",
    "icosphere",
    "inside_shell",
    "intergranular_cracks",
    "junction_pores",
    "label_grid",
    "label_points",
    "label_section",
    "learn_law",
    "learn_shells",
    "load_model",
    "marker_inputs",
    "mesh_particle",
    "model_files",
    "neighbour_distance",
    "nmc811_like",
    "particle",
    "poisson_seeds",
    "predict_grains",
    "published_shell_model",
    "radial_frames",
    "radius_function",
    "random_rotations",
    "real_harmonics",
    "recentred",
    "repaired",
    "restricted",
    "restricted_matrices",
    "rotated",
    "save_model",
    "shell_centroid",
    "shell_power",
    "shell_radius",
    "shell_volume",
    "shells_of_volume",
    "shipped_models",
    "surroundings",
    "tet_mesh",
    "untrained_network",
    "wide_prior",
    "with_reach",
    "work_per_voxel",
]
