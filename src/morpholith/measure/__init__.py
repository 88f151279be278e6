"""Labels and images into tables and quantities: shape, size, texture, correlation, trend."""

# These modules import nothing heavier than numpy; naming the functions here also keeps `measure.texture`
# the function, not the module of the same name.
from .chemistry import (
    Chemistry,
    connected_regions,
    edge_of_scan,
    mean_spectrum,
    signal_mask,
    spectral_groups,
    with_references,
    with_signal,
)
from .chords import Chords, chord_lengths
from .clustered import Estimate, clustered_descriptors
from .combination import Combination, combine
from .correlation import correlation, correlations
from .cracks import cracks
from .distance_correlation import distance_correlations
from .distribution_distance import Distance, distribution_distance
from .edge_energy import AbsorptionEdges, PeakWidths, absorption_edges, choose_widths
from .edge_range import EdgeRanges, edge_ranges, find_e0
from .electrode import electrode_cautions, in_order, particle_numbers, phase_numbers, whole_particles, widen
from .expansion import Expansion, expansion
from .form import form_circularity
from .generated import Adherence, Agreement, Comparison, adherence, agreement, bias_line, compared_with_baseline
from .grain_shape import grain_chords, grain_shapes
from .grains3d import grain_shapes_3d
from .grey_volume import grey_volumes
from .heterogeneity import StatePattern, depth_within, lagging, radial_states, spread_beyond_noise, state_pattern
from .inner import GreyLevels, Inner, crack_numbers, grey_levels, inner, middle
from .k_edges import K_EDGES_EV, edges_within, element_of, nearest_edges
from .layers import through_thickness
from .library_numbers import library_numbers, over_particles
from .mass_balance import COMPONENTS, MassBalance, composition, mass_balance
from .memorisation import Memorisation, memorisation
from .motion_chemistry import motion_amplitude, rank_correlation
from .normalise import Normalised, normalise
from .phases3d import Connectivity, connectivity, percolating
from .powder import cautions, describe, field, frame_weights
from .prediction_error import PredictionError, predicted, prediction_error
from .radial import mean_profile, radial_profiles
from .reference_fit import AxisFit, Reference, fit_axis, prepare_references, state_values
from .regression import LinearFit, equation, linear_fit
from .representative import phase_fraction, required_size
from .section_loss import at_boundary, loss_rates, with_losses
from .section_statistics import SectionFrame, frame_statistics, section_frame, section_statistics, statistic_names
from .section_tables import section_chords, section_grains
from .shape import particles
from .shell_shape import shell_shapes
from .size import iso13322_count, miles_lantuejoul_weights, size_curve, size_distribution
from .solid import contacts_3d, frame_weights_3d, solid_particles, whole_weights
from .spectral_noise import SpectralNoise, noise_area, spectral_noise
from .state_map import SpectrumState, StateMap, shift_error, spectrum_state, state_map
from .state_summary import motion_and_chemistry, state_numbers
from .summary import mean_and_sd
from .surface3d import specific_surface
from .surroundings import change_with_depth, without_surroundings
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
from .valence import valence

__all__ = [
    "COMPONENTS",
    "K_EDGES_EV",
    "AbsorptionEdges",
    "Adherence",
    "Agreement",
    "AxisFit",
    "Bands",
    "Chemistry",
    "Chords",
    "Combination",
    "Comparison",
    "Connectivity",
    "Distance",
    "EdgeRanges",
    "Estimate",
    "Expansion",
    "GreyLevels",
    "Inner",
    "LinearFit",
    "MassBalance",
    "Memorisation",
    "Normalised",
    "PeakWidths",
    "PredictionError",
    "Reference",
    "SectionFrame",
    "SpectralNoise",
    "SpectrumState",
    "StateMap",
    "StatePattern",
    "Tortuosity",
    "TortuosityBudget",
    "Trend",
    "absorption_edges",
    "adherence",
    "agreement",
    "at_boundary",
    "bias_line",
    "budget_table",
    "cautions",
    "change_with_depth",
    "choose_widths",
    "chord_lengths",
    "clustered_descriptors",
    "combine",
    "compared_with_baseline",
    "composition",
    "condition_table",
    "conduction_numbers",
    "connected_regions",
    "connectivity",
    "contacts_3d",
    "correlation",
    "correlations",
    "crack_numbers",
    "cracks",
    "depth_within",
    "describe",
    "describe_budget",
    "descriptor_correlations",
    "distance_correlations",
    "distribution_distance",
    "edge_of_scan",
    "edge_ranges",
    "edges_within",
    "electrode_cautions",
    "element_of",
    "equation",
    "expansion",
    "extrapolated",
    "field",
    "find_e0",
    "fit_axis",
    "for_file",
    "form_circularity",
    "frame_statistics",
    "frame_weights",
    "frame_weights_3d",
    "geometric_tortuosity",
    "grain_chords",
    "grain_shapes",
    "grain_shapes_3d",
    "grey_levels",
    "grey_volumes",
    "in_order",
    "inner",
    "iso13322_count",
    "lagging",
    "library_numbers",
    "linear_fit",
    "local_thickness",
    "loss_rates",
    "mass_balance",
    "mean_and_sd",
    "mean_profile",
    "mean_spectrum",
    "memorisation",
    "middle",
    "miles_lantuejoul_weights",
    "motion_amplitude",
    "motion_and_chemistry",
    "nearest_edges",
    "noise_area",
    "normalise",
    "over_particles",
    "particle_numbers",
    "particles",
    "percolating",
    "phase_fraction",
    "phase_numbers",
    "predicted",
    "prediction_error",
    "prepare_references",
    "radial_profiles",
    "radial_states",
    "rank_correlation",
    "required_size",
    "section_chords",
    "section_frame",
    "section_grains",
    "section_statistics",
    "shell_shapes",
    "shift_error",
    "signal_mask",
    "size_curve",
    "size_distribution",
    "solid_particles",
    "specific_surface",
    "spectral_groups",
    "spectral_noise",
    "spectrum_state",
    "spread_beyond_noise",
    "state_map",
    "state_numbers",
    "state_pattern",
    "state_values",
    "statistic_names",
    "texture",
    "texture_energy_raw",
    "thickness_summary",
    "through_thickness",
    "tortuosity_budget",
    "tortuosity_factor",
    "trend",
    "trend_table",
    "two_point_correlation",
    "valence",
    "whole_particles",
    "whole_weights",
    "widen",
    "with_losses",
    "with_references",
    "with_signal",
    "without_surroundings",
]
