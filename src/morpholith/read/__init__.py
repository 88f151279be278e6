"""Files to images: arrays with their pixel size in micrometres, and where that pixel size was read."""

from .campaign import Campaign, campaign
from .files import SUFFIXES, images
from .micrograph import image, pages
from .scale import MissingPixelSize
from .tiff import Page, write_tiff

__all__ = [
    "SUFFIXES",
    "Campaign",
    "MissingPixelSize",
    "Page",
    "campaign",
    "image",
    "images",
    "pages",
    "write_tiff",
]
