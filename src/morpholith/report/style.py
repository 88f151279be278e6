"""Everything a figure needs, in one place: ``from morpholith.report.style import figure, micrograph, style``.

Draw in a function without arguments that returns a figure, and give it to a `results.ReportFigure`: it is
called within `style` when the report is written. Outside of that, draw within ``with style():``.
"""

from .look import PALETTE, colours, figure, style, to_png
from .pictures import contours, micrograph, micrograph_figure, outlines, scale_bar
from .plots import distribution, histogram, log_axis, scatter_matrix, trend

__all__ = [
    "PALETTE",
    "colours",
    "contours",
    "distribution",
    "figure",
    "histogram",
    "log_axis",
    "micrograph",
    "micrograph_figure",
    "outlines",
    "scale_bar",
    "scatter_matrix",
    "style",
    "to_png",
    "trend",
]
