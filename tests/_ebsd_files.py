"""Orientation maps written as the vendors write them."""

import h5py
import numpy as np

SYMMETRY = {"m-3m": "43", "-3m": "32", "6/mmm": "62"}


def square(shape, step):
    """Return y and x (um) of a square grid in the order of rows."""
    row, column = np.indices(shape).reshape(2, -1)
    return row * step[0], column * step[1]


def hexagonal(rows, columns, step, *, short=True, shifted=1):
    """Return y and x (um) of a hexagonal grid, its shifted rows a point shorter or not."""
    y, x = [], []
    for row in range(rows):
        n = columns - (short and row % 2 == shifted)
        y += [row * step * np.sqrt(3) / 2] * n
        x += [(k + 0.5 * (row % 2 == shifted)) * step for k in range(n)]
    return np.array(y), np.array(x)


def ang_header(*, grid="SqrGrid", step=(1.0, 1.0), columns=(0, 0), rows=0, phases=(("nickel", "43"),), more=()):
    """Return the lines of an .ang header."""
    lines = ["# TEM_PIXperUM          1.000000", "# WorkingDistance        14.0", "#"]
    for number, (name, symmetry) in enumerate(phases, start=1):
        lines += [f"# Phase {number}", f"# MaterialName  \t{name}", "# Formula     \tX", "# Info"]
        lines += [f"# Symmetry              {symmetry}", "# LatticeConstants      3.6 3.6 3.6  90 90 90", "#"]
    lines += [f"# GRID: {grid}", f"# XSTEP: {step[1]:.6f}", f"# YSTEP: {step[0]:.6f}"]
    lines += [f"# NCOLS_ODD: {columns[0]}", f"# NCOLS_EVEN: {columns[1]}", f"# NROWS: {rows}", *more, "#"]
    return lines


def ang_rows(y, x, euler_rad, *, confidence=None, phase=None, extra=2):
    """Return the lines of points: angles, x, y, IQ, CI, phase, and `extra` columns more."""
    confidence = np.full(len(y), 0.5) if confidence is None else confidence
    phase = np.ones(len(y), int) if phase is None else phase
    rows = zip(euler_rad, x, y, confidence, phase, strict=True)
    tail = "  1 0.531 0.0 7.5e20"[: [0, 3, 9, 13, 20][extra]]
    return [
        f"  {e[0]:.5f}   {e[1]:.5f}   {e[2]:.5f}  {a:12.5f} {b:12.5f} {100 + k % 7:.1f} {c:6.3f}  {p}{tail}"
        for k, (e, a, b, c, p) in enumerate(rows)
    ]


def write(path, lines, end="\n"):
    """Write lines; return the path."""
    path.write_bytes((end.join(lines) + end).encode())
    return path


def ctf_lines(shape, step, euler_deg, *, phase=None, laue=11, space_group=225, comma=False, cells=None, said_step=None):
    """Return the lines of a .ctf file."""
    y, x = square(shape, step)
    rows, columns = cells or shape
    step = said_step or step
    phase = np.ones(len(y), int) if phase is None else phase
    lines = ["Channel Text File", "Prj\tmap.cpr", "Author\t", "JobMode\tGrid", f"XCells\t{columns}", f"YCells\t{rows}"]
    lines += [f"XStep\t{step[1]:g}", f"YStep\t{step[0]:g}", "AcqE1\t0", "AcqE2\t0", "AcqE3\t0"]
    lines += ["Euler angles refer to Sample Coordinate system (CS0)!\tMag\t400", "Phases\t1"]
    lines += [f"3.2;3.2;5.2\t90;90;120\tmetal\t{laue}\t{space_group}\t\t\tsomebody"]
    lines += ["Phase\tX\tY\tBands\tError\tEuler1\tEuler2\tEuler3\tMAD\tBC\tBS"]
    points = [
        f"{p}\t{a:.4f}\t{b:.4f}\t8\t0\t{e[0]:.4f}\t{e[1]:.4f}\t{e[2]:.4f}\t0.5\t{50 + k % 9}\t60"
        for k, (p, a, b, e) in enumerate(zip(phase, x, y, euler_deg, strict=True))
    ]
    if comma:
        points = [line.replace(".", ",") for line in points]
        lines = [line.replace(".", ",") if line.startswith(("XStep", "YStep", "3.2;")) else line for line in lines]
    return lines + points


def write_h5oina(path, shape, step, euler_rad, *, laue=7, space_group=166, coordinates=True, scans=1):
    """Write Oxford's HDF5."""
    y, x = square(shape, step)
    with h5py.File(path, "w") as file:
        for scan in range(1, scans + 1):
            data, header = file.create_group(f"{scan}/EBSD/Data"), file.create_group(f"{scan}/EBSD/Header")
            data["Euler"] = np.asarray(euler_rad, np.float32)
            data["Euler"].attrs["Unit"] = "rad"
            data["Phase"] = np.ones(len(y), np.uint8)
            data["Band Contrast"] = (np.arange(len(y)) % 200).astype(np.uint8)
            if coordinates:
                data["X"], data["Y"] = x.astype(np.float32), y.astype(np.float32)
            for key, value in {"X Cells": shape[1], "Y Cells": shape[0]}.items():
                header[key] = np.array([value], np.int32)
            header["X Step"], header["Y Step"] = np.float32([step[1]]), np.float32([step[0]])
            phase = header.create_group("Phases/1")
            phase["Phase Name"] = np.array([b"NMC811"])
            phase["Laue Group"], phase["Space Group"] = np.int32([laue]), np.int32([space_group])
    return path


def write_edax_h5(path, y, x, euler_rad, *, grid, rows, columns, step, confidence):
    """Write EDAX's HDF5."""
    with h5py.File(path, "w") as file:
        data, header = file.create_group("Scan 1/EBSD/Data"), file.create_group("Scan 1/EBSD/Header")
        for key, column in zip(("Phi1", "Phi", "Phi2"), np.asarray(euler_rad, np.float32).T, strict=True):
            data[key] = column
        data["X Position"], data["Y Position"] = x.astype(np.float32), y.astype(np.float32)
        data["CI"], data["IQ"] = confidence.astype(np.float32), np.ones(len(y), np.float32)
        data["Phase"] = np.zeros(len(y), np.int8)
        header["Grid Type"] = np.array([grid.encode()])
        header["nRows"], header["nColumns"] = np.int32([rows]), np.int32([columns])
        header["Step X"], header["Step Y"] = np.float32([step[1]]), np.float32([step[0]])
        phase = header.create_group("Phase/1")
        phase["MaterialName"], phase["Symmetry"] = np.array([b"NMC811"]), np.int32([32])
    return path
