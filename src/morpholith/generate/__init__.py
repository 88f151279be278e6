"""Parameters into structures: grains and shells."""

from ._training_grey import binned
from .architecture import Architecture, GrainField
from .crystal_axes import CrystalAxes, crystal_axes
from .defects import Defects, intergranular_cracks, junction_pores
from .descriptor_baseline import baseline_left_out, descriptor_baseline
from .diagram_fit import DiagramFit, fit_diagram
from .harmonics import degrees_of, icosphere, real_harmonics
from .law_posterior import LawPosterior, learn_law
from .law_prediction import describe_grains, grains_of, predict_grains
from .law_prior import LawPrior, wide_prior
from .marker_law import MarkerLaw
from .marker_network import MarkerNetwork, untrained_network, with_reach
from .micrograph_learning import Learnt, Steps, learn_micrographs, parted
from .micrographs import MicrographModel, View, load_micrographs, micrograph_files, shipped_micrographs
from .model import ParticleModel, load_model, model_files, save_model, shipped_models
from .nmc811 import nmc811_like
from .particle import Particle, draw_shell, fill_shell, inside_shell, mesh_particle, particle
from .pieces import Repaired, fragments, repaired
from .power_diagram import Work, label_grid, label_points, label_section, work_per_voxel
from .process_table import ProcessTable, Variable, process_table, process_table_from_json
from .radial_fit import augmented, restricted
from .radial_frame import radial_frames, restricted_matrices
from .recipe_code import Expectation, expectation, recipe_codes, training_codes
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
from .training_images import TrainingImages, training_images
from .virtual_cut import cut_ball, cut_like

__all__ = [
    "Architecture",
    "CrystalAxes",
    "Defects",
    "DiagramFit",
    "Expectation",
    "Family",
    "GrainField",
    "LawPosterior",
    "LawPrior",
    "Learnt",
    "LearntShells",
    "MarkerLaw",
    "MarkerNetwork",
    "MicrographModel",
    "Particle",
    "ParticleModel",
    "ProcessTable",
    "Recentred",
    "Repaired",
    "ShellDraw",
    "ShellModel",
    "Steps",
    "TetMesh",
    "TrainingImages",
    "Variable",
    "View",
    "VolumeShells",
    "Work",
    "are_shells",
    "augmented",
    "baseline_left_out",
    "binned",
    "crystal_axes",
    "cut_ball",
    "cut_like",
    "degrees_of",
    "describe_grains",
    "descriptor_baseline",
    "draw_shell",
    "draw_shells",
    "expectation",
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
    "learn_micrographs",
    "learn_shells",
    "load_micrographs",
    "load_model",
    "marker_inputs",
    "mesh_particle",
    "micrograph_files",
    "model_files",
    "neighbour_distance",
    "nmc811_like",
    "parted",
    "particle",
    "poisson_seeds",
    "predict_grains",
    "process_table",
    "process_table_from_json",
    "published_shell_model",
    "radial_frames",
    "radius_function",
    "random_rotations",
    "real_harmonics",
    "recentred",
    "recipe_codes",
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
    "shipped_micrographs",
    "shipped_models",
    "surroundings",
    "tet_mesh",
    "training_codes",
    "training_images",
    "untrained_network",
    "wide_prior",
    "with_reach",
    "work_per_voxel",
]
