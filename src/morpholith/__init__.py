"""Microscope data of battery electrodes into numbers with error bars, virtual structures and recipes.

Importing the package loads nothing; each stage is loaded when it is first used.
"""

from importlib import import_module as _import_module

_STAGES = ("measure", "nets", "read", "report", "segment", "specimens", "workflows")

__all__ = ["Image", "Quantity", "__version__", *_STAGES]


def __getattr__(name):
    if name in _STAGES:
        return _import_module(f"{__name__}.{name}")
    if name in ("Image", "Quantity"):
        return getattr(_import_module(f"{__name__}.image"), name)
    if name == "__version__":
        return _import_module("importlib.metadata").version("morpholith")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
