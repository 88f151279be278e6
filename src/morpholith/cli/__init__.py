"""The command line: `morpholith GROUP COMMAND`, read off the signatures of the workflows."""

from .entry import main

__all__ = ["main"]
