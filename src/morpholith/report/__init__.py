"""Reports, and in `report.style` the figures that go into them."""

from .html import render
from .look import to_png

__all__ = ["render", "to_png"]
