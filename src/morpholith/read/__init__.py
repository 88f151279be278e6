"""Files to images: arrays with their pixel size in micrometres, and where that pixel size was read."""

from .aligned_out import aligned_files, write_aligned
from .campaign import Campaign, campaign
from .density import OpticalDensity
from .ebsd import EBSD_SUFFIXES, CrystalPhase, OrientationMap, orientations
from .energies import energies
from .files import SUFFIXES, images
from .micrograph import image, pages
from .references import Spectrum, references
from .registered import Aligned, Registered, registered
from .scale import MissingPixelSize
from .scan import scan
from .scan_check import frame_faults
from .table import table
from .tiff import Page
from .tiff_out import write_tiff
from .volume import volume
from .voxel import MissingVoxelSize
from .zarr_out import write_zarr

__all__ = [
    "EBSD_SUFFIXES",
    "SUFFIXES",
    "Aligned",
    "Campaign",
    "CrystalPhase",
    "MissingPixelSize",
    "MissingVoxelSize",
    "OpticalDensity",
    "OrientationMap",
    "Page",
    "Registered",
    "Spectrum",
    "aligned_files",
    "campaign",
    "energies",
    "frame_faults",
    "image",
    "images",
    "orientations",
    "pages",
    "references",
    "registered",
    "scan",
    "table",
    "volume",
    "write_aligned",
    "write_tiff",
    "write_zarr",
]
