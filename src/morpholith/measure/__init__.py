"""Labels and images into tables and quantities: shape, size, texture, correlation, trend."""

# These modules import nothing heavier than numpy; naming the functions here also keeps `measure.texture`
# the function, not the module of the same name.
from .chords import Chords, chord_lengths
from .correlation import correlation, correlations
from .cracks import cracks
from .electrode import electrode_cautions, in_order, particle_numbers, phase_numbers, whole_particles, widen
from .expansion import Expansion, expansion
from .form import form_circularity
from .grey_volume import grey_volumes
from .inner import GreyLevels, Inner, crack_numbers, grey_levels, inner, middle
from .layers import through_thickness
from .mass_balance import COMPONENTS, MassBalance, composition, mass_balance
from .phases3d import Connectivity, connectivity, percolating
from .powder import cautions, describe, field, frame_weights
from .radial import mean_profile, radial_profiles
from .regression import LinearFit, equation, linear_fit
from .representative import phase_fraction, required_size
from .shape import particles
from .size import iso13322_count, miles_lantuejoul_weights, size_curve, size_distribution
from .solid import contacts_3d, frame_weights_3d, solid_particles, whole_weights
from .summary import mean_and_sd
from .surface3d import specific_surface
from .tables import condition_table, descriptor_correlations, for_file, trend_table
from .texture import Bands, texture, texture_energy_raw
from .thickness import local_thickness, thickness_summary
from .tortuosity import Tortuosity, geometric_tortuosity, tortuosity_factor
from .tortuosity_budget import (
    TortuosityBudget,
    budget_table,
    conduction_numbers,
    describe_budget,
    extrapolated,
    tortuosity_budget,
)
from .trend import Trend, trend
from .two_point import two_point_correlation

__all__ = [
    "COMPONENTS",
    "Bands",
    "Chords",
    "Connectivity",
    "Expansion",
    "GreyLevels",
    "Inner",
    "LinearFit",
    "MassBalance",
    "Tortuosity",
    "TortuosityBudget",
    "Trend",
    "budget_table",
    "cautions",
    "chord_lengths",
    "composition",
    "condition_table",
    "conduction_numbers",
    "connectivity",
    "contacts_3d",
    "correlation",
    "correlations",
    "crack_numbers",
    "cracks",
    "describe",
    "describe_budget",
    "descriptor_correlations",
    "electrode_cautions",
    "equation",
    "expansion",
    "extrapolated",
    "field",
    "for_file",
    "form_circularity",
    "frame_weights",
    "frame_weights_3d",
    "geometric_tortuosity",
    "grey_levels",
    "grey_volumes",
    "in_order",
    "inner",
    "iso13322_count",
    "linear_fit",
    "local_thickness",
    "mass_balance",
    "mean_and_sd",
    "mean_profile",
    "middle",
    "miles_lantuejoul_weights",
    "particle_numbers",
    "particles",
    "percolating",
    "phase_fraction",
    "phase_numbers",
    "radial_profiles",
    "required_size",
    "size_curve",
    "size_distribution",
    "solid_particles",
    "specific_surface",
    "texture",
    "texture_energy_raw",
    "thickness_summary",
    "through_thickness",
    "tortuosity_budget",
    "tortuosity_factor",
    "trend",
    "trend_table",
    "two_point_correlation",
    "whole_particles",
    "whole_weights",
    "widen",
]
