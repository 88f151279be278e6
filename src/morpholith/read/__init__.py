"""Files to images: arrays with their pixel size in micrometres, and where that pixel size was read."""

from .campaign import Campaign, campaign
from .files import SUFFIXES, images
from .micrograph import image, pages
from .scale import MissingPixelSize
from .table import table
from .tiff import Page
from .tiff_out import write_tiff
from .volume import volume
from .voxel import MissingVoxelSize
from .zarr_out import write_zarr

__all__ = [
    "SUFFIXES",
    "Campaign",
    "MissingPixelSize",
    "MissingVoxelSize",
    "Page",
    "campaign",
    "image",
    "images",
    "pages",
    "table",
    "volume",
    "write_tiff",
    "write_zarr",
]
