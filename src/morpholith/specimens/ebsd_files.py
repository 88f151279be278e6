"""Orientation maps of virtual sections, written as the vendors' programs write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import InputError
from .cuts import VirtualSection
from .ebsd_scope import TRUSTED

NOT_INDEXED_RAD = 4 * np.pi  # what EDAX writes for the angles of a point that was not indexed


def write_ang(path: str | Path, section: VirtualSection, *, confidence: bool = True) -> None:
    """Write a map as EDAX's ``.ang``, square or hexagonal.

    Parameters
    ----------
    path : path
    section : VirtualSection
    confidence : bool
        False writes 0 for every confidence index, as exports do that lost it.
    """
    y, x, there = _places(section)
    euler = section.euler_rad[there]
    indexed = section.phase[there] > 0
    table = np.column_stack([
        np.where(indexed[:, None], euler, NOT_INDEXED_RAD), x, y, section.quality[there],
        section.confidence[there] if confidence else np.zeros(len(x)), section.phase[there],
        np.ones(len(x)), np.where(indexed, 0.6, 0.0),
    ])  # fmt: skip
    rows, columns = section.shape
    short = columns - 1 if section.grid == "hexagonal" else columns
    lines = ["# TEM_PIXperUM          1.000000", "# x-star                 0.500000",
             "# y-star                 0.700000", "# z-star                 0.650000",
             "# WorkingDistance        15.000000", "#"]  # fmt: skip
    for number, one in enumerate(section.phases, start=1):
        lengths, angles = one.lattice[:3], one.lattice[3:]
        lattice = " ".join(f"{v:.3f}" for v in lengths) + "  " + " ".join(f"{v:.3f}" for v in angles)
        lines += [f"# Phase {number}", f"# MaterialName  \t{one.name}", f"# Formula     \t{one.formula}",
                  "# Info \t\tvirtual specimen", f"# Symmetry              {one.said}",
                  f"# LatticeConstants      {lattice}", "# NumberFamilies        0", "#"]  # fmt: skip
    lines += [
        f"# GRID: {'HexGrid' if section.grid == 'hexagonal' else 'SqrGrid'}",
        f"# XSTEP: {section.spacing[1]:.6f}", f"# YSTEP: {section.spacing[0]:.6f}",
        f"# NCOLS_ODD: {columns}", f"# NCOLS_EVEN: {short}", f"# NROWS: {rows}", "#",
    ]  # fmt: skip
    with open(path, "w", encoding="ascii", newline="\n") as file:
        file.write("\n".join(lines) + "\n")
        np.savetxt(file, table, "  %8.5f  %8.5f  %8.5f  %12.5f %12.5f %7.1f %6.3f  %d %6d %6.3f")


def write_ctf(path: str | Path, section: VirtualSection, *, least_confidence: float = TRUSTED) -> None:
    """Write a map as Oxford's ``.ctf``.

    Parameters
    ----------
    path : path
    section : VirtualSection
        On a square grid.
    least_confidence : float
        The format has no confidence index: points of a lower one are written as not indexed, unless it is 0
        everywhere.

    Notes
    -----
    Oxford takes x of a hexagonal or trigonal cell along a*, here a (as in EDAX's files): phi2 differs by 30 degrees.
    """
    if section.grid != "square":
        raise InputError("a .ctf file has a square grid; write a hexagonal one as .ang.")
    y, x, there = _places(section)
    indexed = section.phase[there] > 0
    if (section.confidence > 0).any():
        indexed &= section.confidence[there] >= least_confidence
    phase = np.where(indexed, section.phase[there], 0)
    turn = np.array([0.0, *(30.0 if one.lattice[5] == 120 else 0.0 for one in section.phases)])
    degrees = np.rad2deg(np.where(indexed[:, None], section.euler_rad[there], 0.0))
    degrees[:, 2] = (degrees[:, 2] + turn[phase]) % 360
    error = np.where(indexed, 0.5, 0.0)
    bands = np.where(indexed, 9, 0)
    contrast = np.clip(np.rint(section.quality[there]), 0, 255)
    table = np.column_stack([phase, x, y, bands, 0 * bands, degrees, error, contrast, contrast])
    rows, columns = section.shape
    step = section.spacing
    lines = ["Channel Text File", "Prj\tvirtual specimen", "Author\t", "JobMode\tGrid", f"XCells\t{columns}",
             f"YCells\t{rows}", f"XStep\t{step[1]:.6g}", f"YStep\t{step[0]:.6g}", "AcqE1\t0", "AcqE2\t0", "AcqE3\t0",
             "Euler angles refer to Sample Coordinate system (CS0)!\tMag\t5000\tCoverage\t100\tDevice\t0\tKV\t20",
             f"Phases\t{len(section.phases)}"]  # fmt: skip
    for one in section.phases:
        lengths, angles = (";".join(f"{v:g}" for v in part) for part in (one.lattice[:3], one.lattice[3:]))
        lines.append(f"{lengths}\t{angles}\t{one.name}\t{one.oxford}\t{one.space_group}\t\t\tvirtual specimen")
    lines.append("Phase\tX\tY\tBands\tError\tEuler1\tEuler2\tEuler3\tMAD\tBC\tBS")
    with open(path, "w", encoding="ascii", newline="\r\n") as file:
        file.write("\n".join(lines) + "\n")
        form = ["%d", "%.4f", "%.4f", "%d", "%d", "%.4f", "%.4f", "%.4f", "%.4f", "%d", "%d"]
        np.savetxt(file, table, "\t".join(form))


def _places(section: VirtualSection) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return y and x (um) of the points in the order of the file, and where these are on the map."""
    rows, columns = section.shape
    there = np.ones((rows, columns), bool)
    shift = np.zeros(rows)
    if section.grid == "hexagonal":
        there[section.shifted_row :: 2, -1] = False
        shift[section.shifted_row :: 2] = 0.5
    y = np.broadcast_to(np.arange(rows)[:, None] * section.spacing[0], there.shape)
    x = (np.arange(columns) + shift[:, None]) * section.spacing[1]
    return y[there], x[there], there
