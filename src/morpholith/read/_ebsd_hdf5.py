"""Orientation maps in HDF5: Oxford's ``.h5oina`` and EDAX's, both ``<scan>/EBSD/Data`` and ``Header``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ._ebsd_grid import Points
from ._laue_names import BY_NAME, edax, oxford
from .broken import guarded
from .ebsd import CrystalPhase


def points(path: Path) -> Points:
    """Read the first EBSD scan of a file; others are named in the warnings.

    Angles are in radians unless the attribute ``Unit`` says degrees. Where there are no coordinates, points are taken
    in the order of rows of the header's grid.
    """
    import h5py

    with guarded(path, "HDF5 file"), h5py.File(path, "r", locking=False) as file:
        scans: list[str] = []

        def keep(name, item):
            if isinstance(item, h5py.Group) and name.split("/")[-1] == "EBSD" and "Data" in item and "Header" in item:
                scans.append(name)

        file.visititems(keep)
        if not scans:
            raise InputError(
                f"{path.name} has no group EBSD with Data and Header; it is no file of Oxford's or EDAX's."
            )
        scans.sort()
        warnings: tuple[str, ...] = ()
        if len(scans) > 1:
            warnings = (f"{path.name} has {len(scans)} scans ({', '.join(scans)}); the first is read.",)
        data, header = file[scans[0]]["Data"], file[scans[0]]["Header"]
        read = _oxford if "Euler" in data else _edax if "Phi1" in data else None
        if read is None:
            raise InputError(f"{path.name} has no Euler angles in {scans[0]}/Data (Euler, or Phi1, Phi and Phi2).")
        return read(path.name, data, header, warnings)


def _oxford(name, data, header, warnings) -> Points:
    euler = np.asarray(data["Euler"], np.float64).reshape(-1, 3)
    if "deg" in _string(data["Euler"].attrs.get("Unit", "rad")).lower():
        euler = np.deg2rad(euler)
    step = (_number(header, "Y Step"), _number(header, "X Step"))
    rows, columns = int(_number(header, "Y Cells") or 0), int(_number(header, "X Cells") or 0)
    phases = []
    group = header.get("Phases", {})
    for key in sorted(group, key=int):
        laue = int(_number(group[key], "Laue Group") or 0)
        space = int(_number(group[key], "Space Group") or 0)
        phases.append(CrystalPhase(_text(group[key], "Phase Name"), oxford(laue, space), str(laue), "a*"))
    phase = np.asarray(data["Phase"], np.int64).ravel()
    quality = _column(data, "Band Contrast")
    return _points("h5oina", name, data, ("X", "Y"), euler, phase, quality, None, phases, step, rows, columns, warnings)


def _edax(name, data, header, warnings) -> Points:
    euler = np.stack([np.asarray(data[k], np.float64).ravel() for k in ("Phi1", "Phi", "Phi2")], axis=1)
    step = (_number(header, "Step Y"), _number(header, "Step X"))
    rows, columns = int(_number(header, "nRows") or 0), int(_number(header, "nColumns") or 0)
    phases = []
    group = header.get("Phase", {})
    for key in sorted(group, key=int):
        said = _text(group[key], "Symmetry") or _text(group[key], "Point Group")
        laue = edax(said) or BY_NAME.get(
            _text(group[key], "Point Group").split("[")[-1].rstrip("]").replace(" ", ""), ""
        )
        phases.append(CrystalPhase(_text(group[key], "MaterialName"), laue, said, "a"))
    phase = np.asarray(data["Phase"], np.int64).ravel() if "Phase" in data else np.ones(len(euler), np.int64)
    if len(phases) <= 1 and len(phase) and not phase.any():
        phase = np.ones_like(phase)
    confidence = _column(data, "CI")
    phase[(np.abs(euler) > 4 * np.pi - 0.01).all(axis=1)] = 0
    if confidence is not None:
        phase[confidence < 0] = 0
    places = ("X Position", "Y Position")
    hexagonal = "hex" in _text(header, "Grid Type").lower()
    return _points(
        "EDAX HDF5", name, data, places, euler, phase, _column(data, "IQ"), confidence, phases, step, rows, columns,
        warnings, hexagonal,
    )  # fmt: skip


def _points(
    kind, name, data, places, euler, phase, quality, confidence, phases, step, rows, columns, warnings, hexagonal=False
) -> Points:
    n = len(euler)
    short = [len(c) for c in (phase, quality, confidence) if c is not None and len(c) != n]
    if short:
        raise InputError(f"{name} has {n} Euler angles but {short[0]} values beside them; export it again.")
    most = float(np.nanmax(np.abs(euler), initial=0.0))
    if most > 4 * np.pi + 0.01:
        raise InputError(f"{name} has Euler angles up to {most:.4g}; radians were expected.")
    known = (step[0], step[1]) if step[0] and step[1] else None
    x, y = (_column(data, place) for place in places)
    if x is None or y is None or len(x) != n or len(y) != n:
        if hexagonal or known is None or rows * columns != n:
            raise InputError(
                f"{name} has no coordinates, and {n} points for a grid of {rows} x {columns} in its header."
            )
        row, column = np.divmod(np.arange(n), columns)
        x, y = column * known[1], row * known[0]
    grid = "hexagonal" if hexagonal else ""
    even = 0 if hexagonal else columns
    rows, widths = (0, (0, 0)) if hexagonal else (rows, (columns, even))
    return Points(
        kind, x, y, euler, phase, quality, confidence, tuple(phases), grid, known, rows, widths, warnings
    )  # fmt: skip


def _column(data, key) -> np.ndarray | None:
    return np.asarray(data[key], np.float64).ravel() if key in data else None


def _number(group, key) -> float | None:
    if key not in group:
        return None
    values = np.asarray(group[key]).ravel()
    return float(values[0]) if len(values) and values.dtype.kind in "iuf" else None


def _text(group, key) -> str:
    return _string(np.asarray(group[key]).ravel()[0]) if key in group and np.asarray(group[key]).size else ""


def _string(value: Any) -> str:
    return value.decode("utf-8", "replace").strip() if isinstance(value, bytes) else str(value).strip()
