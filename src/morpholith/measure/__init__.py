"""Labels and images into tables and quantities: shape, size, texture, correlation, trend."""

# These modules import nothing heavier than numpy; naming the functions here also keeps `measure.texture`
# the function, not the module of the same name.
from .correlation import correlation, correlations
from .form import form_circularity
from .mass_balance import COMPONENTS, MassBalance, composition, mass_balance
from .phases3d import Connectivity, connectivity, percolating
from .powder import cautions, describe, field, frame_weights
from .regression import LinearFit, equation, linear_fit
from .representative import phase_fraction, required_size
from .shape import particles
from .size import iso13322_count, miles_lantuejoul_weights, size_curve, size_distribution
from .solid import contacts_3d, frame_weights_3d, solid_particles, whole_weights
from .summary import mean_and_sd
from .surface3d import specific_surface
from .tables import condition_table, descriptor_correlations, for_file, trend_table
from .texture import Bands, texture, texture_energy_raw
from .trend import Trend, trend

__all__ = [
    "COMPONENTS",
    "Bands",
    "Connectivity",
    "LinearFit",
    "MassBalance",
    "Trend",
    "cautions",
    "composition",
    "condition_table",
    "connectivity",
    "contacts_3d",
    "correlation",
    "correlations",
    "describe",
    "descriptor_correlations",
    "equation",
    "field",
    "for_file",
    "form_circularity",
    "frame_weights",
    "frame_weights_3d",
    "iso13322_count",
    "linear_fit",
    "mass_balance",
    "mean_and_sd",
    "miles_lantuejoul_weights",
    "particles",
    "percolating",
    "phase_fraction",
    "required_size",
    "size_curve",
    "size_distribution",
    "solid_particles",
    "specific_surface",
    "texture",
    "texture_energy_raw",
    "trend",
    "trend_table",
    "whole_weights",
]
