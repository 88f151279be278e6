"""Numbers into files that the next program runs: battery models."""

# Neither PyBaMM nor bpx is imported here: writing needs neither, and `discharge` says what to install.
from .bpx import bpx, write_bpx
from .discharge import Discharge, discharge
from .electrode import ElectrodeModel, area_weighted, resample_profile
from .pybamm import pybamm_parameters, write_pybamm

__all__ = [
    "Discharge",
    "ElectrodeModel",
    "area_weighted",
    "bpx",
    "discharge",
    "pybamm_parameters",
    "resample_profile",
    "write_bpx",
    "write_pybamm",
]
