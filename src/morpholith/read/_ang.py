"""``.ang``: EDAX's text, and that of others who write it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ..errors import InputError
from ._ebsd_grid import Points
from ._ebsd_text import numbers, one_float
from ._laue_names import edax
from .ebsd import MOST_PHASES, CrystalPhase
from .files import text

MOST_RAD = 4 * np.pi + 0.01  # 4 pi is what EDAX writes for a pattern that was not indexed
FEWEST_COLUMNS = 5
PLACES = {"quality": 5, "confidence": 6, "phase": 7}
NAMES = {"iq": "quality", "ci": "confidence", "phase": "phase", "phase index": "phase", "phase id": "phase"}


def points(path: Path) -> Points:
    """Read the points of an .ang file.

    Columns are phi1, Phi, phi2 (rad), x, y (um), image quality, confidence index, phase, whatever follows; a line
    ``COLUMN_HEADERS`` moves the last three. Points with a confidence index below 0 were not indexed. A file of one
    phase numbers it 0 or 1; among several, 0 was not indexed.
    """
    raw = path.read_bytes()
    if b"\0" in raw[:2000]:
        raise InputError(f"{path.name} is no text; an .ang file begins with lines that start with #.")
    lines = raw.split(b"\n")
    head = [text(line).strip() for line in lines if line.startswith(b"#")]
    skipped = next((k for k, line in enumerate(lines) if line.strip() and not line.startswith(b"#")), len(lines))
    body = b"\n".join(line for line in lines[skipped:] if not line.startswith(b"#"))
    table, warnings = numbers(body, name=path.name, first_line=skipped + 1, fewest=FEWEST_COLUMNS)
    fields, phases, from_0 = _header(head, path.name)
    where = {**PLACES, **_column_places(head)}
    column = {k: table[:, at] if at < table.shape[1] else None for k, at in where.items()}
    euler = table[:, :3].copy()
    if len(euler) and np.abs(euler).max() > MOST_RAD:
        raise InputError(
            f"{path.name} has Euler angles up to {np.abs(euler).max():.4g}; an .ang file has radians, up to 2 pi; "
            f"if these are degrees, export it again."
        )
    phase = _phase(column["phase"], phases, from_0, len(table))
    phase[(np.abs(euler) > 4 * np.pi - 0.01).all(axis=1)] = 0
    if column["confidence"] is not None:
        phase[column["confidence"] < 0] = 0
    return Points(
        "ang", table[:, 3], table[:, 4], euler, phase, column["quality"], column["confidence"], phases,
        warnings=warnings, **_grid(fields, path.name),
    )  # fmt: skip


def _header(head, name) -> tuple[dict[str, str], tuple[CrystalPhase, ...], bool]:
    """Return the fields of the grid, the phases in the order of their numbers, and whether these begin at 0."""
    fields: dict[str, str] = {}
    found: dict[int, dict[str, str]] = {}
    current: dict[str, str] = {}
    for line in head:
        match = re.match(r"#\s*([A-Za-z_]+)\s*:?\s*(.*)$", line)
        if not match:
            continue
        key, value = match.group(1).lower(), match.group(2).strip()
        if key == "phase" and value.split()[:1] and value.split()[0].isdigit():
            current = found.setdefault(int(value.split()[0]), {})
        elif key in ("materialname", "symmetry", "pointgroup"):
            current.setdefault(key, value)
        else:
            fields.setdefault(key, value)
    if not found and current:
        found[1] = current
    if max(found, default=0) > MOST_PHASES:
        raise InputError(f"{name} has a phase {max(found)} in its header; at most {MOST_PHASES} were expected.")
    phases = []
    for number in range(0 if 0 in found else 1, max(found, default=0) + 1):
        one = found.get(number, {})
        said = one.get("symmetry", "") or one.get("pointgroup", "")
        phases.append(CrystalPhase(one.get("materialname") or f"phase {number}", edax(said), said, "a"))
    return fields, tuple(phases), 0 in found


def _column_places(head) -> dict[str, int]:
    for line in head:
        match = re.match(r"#\s*COLUMN_HEADERS\s*:\s*(.*)$", line)
        if match:
            names = [cell.strip().lower() for cell in match.group(1).split(",")]
            return {NAMES[name]: k for k, name in enumerate(names) if name in NAMES}
    return {}


def _phase(column, phases, from_0, n) -> np.ndarray:
    if column is None:
        return np.ones(n, np.int64)
    phase = np.clip(np.rint(np.nan_to_num(column, nan=-1.0)), -1, 2 * MOST_PHASES).astype(np.int64)
    if from_0:
        return phase + 1
    phase = np.maximum(phase, 0)
    if len(phases) <= 1 and n and not phase.any():
        phase[:] = 1
    return phase


def _grid(fields, name) -> dict:
    """Return what the header says about grid, step and numbers of points."""
    said = fields.get("grid", "").lower()
    step = (one_float(fields.get("ystep", "")), one_float(fields.get("xstep", "")))
    n_odd, n_even, rows = (one_float(fields.get(k, "")) for k in ("ncols_odd", "ncols_even", "nrows"))
    if any(v is not None and not 0 <= v < 1e7 for v in (*step, n_odd, n_even, rows)):
        raise InputError(f"{name} has a header without sense (XSTEP, YSTEP, NCOLS, NROWS); export it again.")
    return {
        "grid": "hexagonal" if said.startswith("hex") else "square" if said.startswith("sq") else "",
        "step": (step[0], step[1]) if step[0] and step[1] else None,
        "rows": int(rows or 0),
        "columns": (int(n_odd or 0), int(n_even or 0)),
    }
