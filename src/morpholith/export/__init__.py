"""Numbers into files that the next program runs: battery models, meshes, libraries of particles."""

# Neither PyBaMM nor bpx is imported here: writing needs neither, and `discharge` says what to install.
from .bpx import bpx, write_bpx
from .discharge import Discharge, discharge
from .electrode import ElectrodeModel, area_weighted, resample_profile
from .library import copy_particles, particle_name, read_particle, write_particle
from .mesh import write_mesh, write_surface
from .pybamm import pybamm_parameters, write_pybamm

__all__ = [
    "Discharge",
    "ElectrodeModel",
    "area_weighted",
    "bpx",
    "copy_particles",
    "discharge",
    "particle_name",
    "pybamm_parameters",
    "read_particle",
    "resample_profile",
    "write_bpx",
    "write_mesh",
    "write_particle",
    "write_pybamm",
    "write_surface",
]
