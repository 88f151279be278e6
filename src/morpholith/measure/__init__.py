"""Labels and images into tables and quantities: shape, size, texture, correlation, trend."""

# These modules import nothing heavier than numpy; naming the functions here also keeps `measure.texture`
# the function, not the module of the same name.
from .correlation import correlation, correlations
from .form import form_circularity
from .powder import cautions, describe, field, frame_weights
from .shape import particles
from .size import iso13322_count, miles_lantuejoul_weights, size_curve, size_distribution
from .summary import mean_and_sd
from .tables import condition_table, descriptor_correlations, for_file, trend_table
from .texture import Bands, texture, texture_energy_raw
from .trend import Trend, trend

__all__ = [
    "Bands",
    "Trend",
    "cautions",
    "condition_table",
    "correlation",
    "correlations",
    "describe",
    "descriptor_correlations",
    "field",
    "for_file",
    "form_circularity",
    "frame_weights",
    "iso13322_count",
    "mean_and_sd",
    "miles_lantuejoul_weights",
    "particles",
    "size_curve",
    "size_distribution",
    "texture",
    "texture_energy_raw",
    "trend",
    "trend_table",
]
