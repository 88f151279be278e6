"""Wanted properties into recipes."""

from .calls import Calls, Step
from .campaign import Campaign, campaign
from .constraints import Linear, linear
from .descriptor_model import DescriptorModel, fit_model
from .gaussian_process import Inputs, Process, fit_process
from .measured import Measured, Record, read_results
from .objective import Objective, Target, objective, targets_like
from .pareto import hypervolume, is_pareto
from .recipes import Reach
from .search import CALLS, Found, conclude, powder, search, suggest
from .space import Categorical, Continuous, Integer, Space, space_from_json
from .target_text import read_target, read_targets
from .training_distance import projection, training_distance

__all__ = [
    "CALLS",
    "Calls",
    "Campaign",
    "Categorical",
    "Continuous",
    "DescriptorModel",
    "Found",
    "Inputs",
    "Integer",
    "Linear",
    "Measured",
    "Objective",
    "Process",
    "Reach",
    "Record",
    "Space",
    "Step",
    "Target",
    "campaign",
    "conclude",
    "fit_model",
    "fit_process",
    "hypervolume",
    "is_pareto",
    "linear",
    "objective",
    "powder",
    "projection",
    "read_results",
    "read_target",
    "read_targets",
    "search",
    "space_from_json",
    "suggest",
    "targets_like",
    "training_distance",
]
