"""``.ctf``: Oxford's channel text file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ._ebsd_grid import Points
from ._ebsd_text import numbers, one_float
from ._laue_names import oxford
from .ebsd import MOST_PHASES, CrystalPhase
from .files import text

COLUMNS = ("phase", "x", "y", "euler1", "euler2", "euler3")
HEADER_LINES = 300


def points(path: Path) -> Points:
    """Read the points of a .ctf file: Euler angles in degrees, phase 0 for points that were not indexed.

    Decimal commas, as European settings write them, are read as points. Quality is the band contrast ``BC``; there
    is no confidence index.
    """
    raw = path.read_bytes()
    lines = raw.split(b"\n")
    at = next((k for k, line in enumerate(lines[:HEADER_LINES]) if line.strip().lower().startswith(b"phase\t")), None)
    if at is None:
        raise InputError(f"{path.name} has no line 'Phase X Y ...' that names its columns; it is no whole .ctf file.")
    head = [text(line).rstrip("\r") for line in lines[:at]]
    names = [cell.strip().lower() for cell in text(lines[at]).split("\t") if cell.strip()]
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise InputError(f"{path.name} lacks the columns {', '.join(missing)}; export the map with them.")
    body = b"\n".join(lines[at + 1 :]).replace(b",", b".")
    table, warnings = numbers(body, name=path.name, first_line=at + 2, fewest=len(COLUMNS))
    if len(table) == 0:
        table = np.zeros((0, len(names)))
    if table.shape[1] < len(names):
        raise InputError(f"{path.name} names {len(names)} columns, its lines have {table.shape[1]}.")
    column = {name: table[:, k] for k, name in enumerate(names)}
    euler = np.stack([column[f"euler{k}"] for k in (1, 2, 3)], axis=1)
    if len(euler) and not 0 <= np.abs(euler).max() <= 360.5:
        raise InputError(f"{path.name} has Euler angles up to {np.abs(euler).max():.4g}; degrees were expected.")
    indexed = column["phase"] > 0
    if indexed.any() and np.abs(euler[indexed]).max() <= 2 * np.pi + 0.01:
        warnings += (f"{path.name}: no Euler angle is above 6.29, read as degrees; are they radians?",)
    phase = np.clip(np.rint(column["phase"]), 0, 2 * MOST_PHASES).astype(np.int64)
    return Points(
        "ctf", column["x"], column["y"], np.deg2rad(euler), phase, column.get("bc"), None, _phases(head, path.name),
        warnings=warnings, **_grid(head, path.name),
    )  # fmt: skip


def _grid(head, name) -> dict:
    said: dict[str, Any] = {}
    for line in head:
        key, _, value = line.partition("\t")
        said[key.strip().lower()] = one_float(value)
    step = (said.get("ystep"), said.get("xstep"))
    if any(said.get(k) is not None and not 0 <= said[k] < 1e7 for k in ("xstep", "ystep", "xcells", "ycells")):
        raise InputError(f"{name} has a header without sense (XStep, YStep, XCells, YCells); export it again.")
    columns = int(said.get("xcells") or 0)
    return {
        "grid": "",  # the format has square grids only, and coordinates say
        "step": step if step[0] and step[1] else None,
        "rows": int(said.get("ycells") or 0),
        "columns": (columns, columns),
    }


def _phases(head, name) -> tuple[CrystalPhase, ...]:
    """Return the phases: lengths, angles, name, Laue group 1 to 11, space group, between tabs."""
    at = next((k for k, line in enumerate(head) if line.lower().startswith("phases\t")), None)
    if at is None:
        return ()
    count = int(one_float(head[at].partition("\t")[2]) or 0)
    phases = []
    for line in head[at + 1 : at + 1 + count]:
        cells = line.split("\t")
        if len(cells) < 4:
            raise InputError(f"{name} announces {count} phases, but {line[:30]!r} describes none.")
        laue = int(one_float(cells[3]) or 0)
        group = int((one_float(cells[4]) if len(cells) > 4 else 0) or 0)
        phases.append(CrystalPhase(cells[2].strip(), oxford(laue, group), cells[3].strip(), "a*"))
    return tuple(phases)
