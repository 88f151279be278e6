"""Wanted properties into recipes."""

from .calls import Calls, Step
from .campaign import Campaign, campaign
from .constraints import Linear, linear
from .descriptor_model import DescriptorModel, fit_model
from .measured import Measured, Record, read_results
from .objective import Objective, Target, objective, targets_like
from .pareto import hypervolume, is_pareto
from .recipes import Reach
from .search import Found, conclude, powder, search, suggest
from .space import Categorical, Continuous, Integer, Space, space_from_json
from .training_distance import projection, training_distance

__all__ = [
    "Calls",
    "Campaign",
    "Categorical",
    "Continuous",
    "DescriptorModel",
    "Found",
    "Integer",
    "Linear",
    "Measured",
    "Objective",
    "Reach",
    "Record",
    "Space",
    "Step",
    "Target",
    "campaign",
    "conclude",
    "fit_model",
    "hypervolume",
    "is_pareto",
    "linear",
    "objective",
    "powder",
    "projection",
    "read_results",
    "search",
    "space_from_json",
    "suggest",
    "targets_like",
    "training_distance",
]
