"""Series and pairs: who is who, how it moved, registered stacks."""

from .deformation import Deformation, decompose
from .follow import Followed, aligned_region, follow, from_arrays, to_arrays
from .join import Joined, cut, join, motion_of, outlines_in, particle_table
from .linking import detections, link, link_scans
from .match import match_particles
from .motion import motion_table, path_table
from .registration import Registered, register
from .similarity import series_ssim, ssim
from .smoothing import Smoothed, smooth_motion
from .volumes import Transform, register_volumes

__all__ = [
    "Deformation",
    "Followed",
    "Joined",
    "Registered",
    "Smoothed",
    "Transform",
    "aligned_region",
    "cut",
    "decompose",
    "detections",
    "follow",
    "from_arrays",
    "join",
    "link",
    "link_scans",
    "match_particles",
    "motion_of",
    "motion_table",
    "outlines_in",
    "particle_table",
    "path_table",
    "register",
    "register_volumes",
    "series_ssim",
    "smooth_motion",
    "ssim",
    "to_arrays",
]
