"""Virtual specimens and the instruments that image them, each with its exact truth. Imports no stage."""

from importlib import import_module as _import_module

_WHERE = {
    "Specimen": "shapes",
    "discs": "shapes",
    "ellipses": "shapes",
    "polygons": "shapes",
    "rectangle": "shapes",
    "regular_polygon": "shapes",
    "Spectrum": "surfaces",
    "gaussian_surface": "surfaces",
    "Habit": "primary",
    "relief": "primary",
    "Powder": "powder",
    "Scene": "powder",
    "scene": "powder",
    "Microscope": "microscope",
    "micrograph": "microscope",
    "Electrode": "electrodes",
    "Packing": "assembly",
    "electrode": "electrodes",
    "cycled": "cycling",
    "Tomograph": "tomograph",
    "tomogram": "tomograph",
    "Channels": "channels",
    "laminate": "channels",
    "straight_channels": "channels",
    "inclined_channels": "channels",
    "sphere_packing": "channels",
    "Scan": "scan_params",
    "VirtualScan": "scans",
    "scan": "scans",
    "Chemistry": "nickel",
    "KEdge": "nickel",
    "energies": "nickel",
    "Interior": "architectures",
    "VirtualPolycrystal": "polycrystals",
    "polycrystal": "polycrystals",
    "one_grain": "polycrystals",
    "VirtualSection": "cuts",
    "EbsdScope": "ebsd_scope",
    "orientation_map": "ebsd_scope",
    "write_ang": "ebsd_files",
    "write_ctf": "ebsd_files",
    "Shells": "star_shapes",
    "NanoCt": "nano_ct",
    "VirtualShells": "nano_ct",
    "virtual_shells": "nano_ct",
    "ReactorLaw": "reactor",
    "LotScatter": "reactor",
    "REACTOR_ATMOSPHERES": "reactor",
    "REACTOR_BASE": "reactor",
    "REACTOR_BOUNDS": "reactor",
    "reactor_truth": "reactor",
    "reactor_variables": "reactor",
    "reactor_design": "reactor_recipes",
    "Lot": "reactor_lots",
    "synthesise": "reactor_lots",
    "lot_micrograph": "reactor_lots",
    "lot_micrographs": "reactor_lots",
}

__all__ = list(_WHERE)


def __getattr__(name):
    if name in _WHERE:
        return getattr(_import_module(f"{__name__}.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
