"""Configuration of the documentation: `sphinx-build docs docs/_build`."""

project = "Morpholith"
copyright = "2026, The Morpholith developers"
extensions = ["myst_parser"]
html_theme = "furo"
exclude_patterns = ["_build"]
myst_enable_extensions = ["dollarmath"]
