"""Orientation maps of electron backscatter diffraction: Euler angles, phases and step from the files of the vendors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import InputError

MOST_PHASES = 100
EBSD_SUFFIXES = (".ang", ".ctf", ".h5oina", ".h5", ".hdf5", ".oh5", ".edaxh5")


@dataclass(frozen=True)
class CrystalPhase:
    """A phase of an orientation map.

    Parameters
    ----------
    name : str
    laue : str
        Laue group, one of ``-1 2/m mmm 4/m 4/mmm -3 -3m 6/m 6/mmm m-3 m-3m`` (and ``112/m``, ``2/m11``, ``-31m`` for
        other settings); empty where the file does not say, or says something unknown.
    said : str
        What the file has in its place.
    x_axis : {"a", "a*"}
        Which axis of a trigonal or hexagonal cell lies along x of the crystal frame: a for EDAX, a* for Oxford. Only
        -3m and -31m depend on it.
    """

    name: str
    laue: str
    said: str = ""
    x_axis: str = "a"


@dataclass(frozen=True)
class OrientationMap:
    """Orientations on a grid.

    Parameters
    ----------
    euler_rad : (y, x, 3) float64 array
        Bunge angles phi1, Phi, phi2 that turn the frame of the sample into that of the crystal; NaN where not `valid`.
    phase : (y, x) int32 array
        0 where not indexed; k is ``phases[k - 1]``.
    spacing : (float, float)
        Distance of rows and of points within a row in um.
    grid : {"square", "hexagonal"}
        Hexagonal: every other row lies half a step further along x.
    phases : tuple of CrystalPhase
    valid : (y, x) bool array
        True where the file has an indexed point. The last place of a shorter row of a hexagonal grid is never valid.
    quality, confidence : (y, x) float32 array or None
        Quality of the pattern (IQ, band contrast) and confidence index; NaN where there is no point; None where the
        file has none. Oxford's files have no confidence index.
    shifted_row : {0, 1}
        Whether even (0) or odd (1) rows, counted from 0, are those further along x.
    provenance : mapping of str to str
    warnings : tuple of str
    """

    euler_rad: np.ndarray
    phase: np.ndarray
    spacing: tuple[float, float]
    grid: str
    phases: tuple[CrystalPhase, ...]
    valid: np.ndarray
    quality: np.ndarray | None = None
    confidence: np.ndarray | None = None
    shifted_row: int = 1
    provenance: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.phase.shape[0], self.phase.shape[1]


def orientations(path: str | Path, *, step_um: float | tuple[float, float] | None = None) -> OrientationMap:
    """Read an orientation map.

    Parameters
    ----------
    path : path
        ``.ang`` (EDAX and those who write like it: square or hexagonal grid, any number of columns from five),
        ``.ctf`` (Oxford, decimal points or commas), ``.h5oina`` (Oxford) or the HDF5 of EDAX.
    step_um : float or (float, float), optional
        Step along y and x in um where the file is wrong about it; the coordinates then only say which point lies where.

    Returns
    -------
    OrientationMap
        Points lie where their coordinates put them, whatever their order in the file. Where the header's numbers of
        rows and columns disagree with the coordinates, the coordinates hold, and `warnings` says so; the same for
        points that are missing, out of order, or a last line cut off. A step that header and coordinates do not
        agree on is an error, never a guess.

    Raises
    ------
    InputError
        For a file that is missing, of another kind, without points, with broken lines, with coordinates off any grid
        or used twice, with Euler angles in another unit, or with two different steps.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} is not there; an orientation map ({', '.join(EBSD_SUFFIXES)}) was expected.")
    suffix = path.suffix.lower()
    if suffix not in EBSD_SUFFIXES:
        raise InputError(f"{path.name} is no orientation map by its name; expected one of {', '.join(EBSD_SUFFIXES)}.")
    from . import _ang, _ctf, _ebsd_grid, _ebsd_hdf5

    if suffix == ".ang":
        points = _ang.points(path)
    elif suffix == ".ctf":
        points = _ctf.points(path)
    else:
        points = _ebsd_hdf5.points(path)
    if len(points.x) == 0:
        raise InputError(f"{path.name} holds no points; export the map again.")
    placed = _ebsd_grid.place(points, name=path.name, step_um=step_um)
    return _fill(points, placed, path)


def _fill(points, placed, path: Path) -> OrientationMap:
    """Put the points' values on the grid."""
    shape = placed.shape

    def spread(values, empty, dtype):
        out = np.full((*shape, *values.shape[1:]), empty, dtype)
        out[placed.row, placed.column] = values
        return out

    indexed = (points.phase > 0) & np.isfinite(points.euler_rad).all(axis=1)
    phase = spread(np.where(indexed, points.phase, 0), 0, np.int32)
    euler = np.where(indexed[:, None], points.euler_rad, np.nan)
    warnings = [*points.warnings, *placed.warnings]
    if not indexed.any():
        warnings.append(f"{path.name}: no point is indexed.")
    phases = list(points.phases)
    if phase.max(initial=0) > len(phases) + MOST_PHASES:
        raise InputError(f"{path.name} has points of a phase {phase.max()}, but {len(phases)} phases in its header.")
    for number in range(len(phases) + 1, int(phase.max(initial=0)) + 1):
        phases.append(CrystalPhase(f"phase {number}", ""))
        warnings.append(f"{path.name}: phase {number} has {int((phase == number).sum())} points, but no header.")
    for number, one in enumerate(phases, start=1):
        if not one.laue and (phase == number).any():
            warnings.append(f"{path.name}: the Laue group of phase {number} ({one.name}) is unknown ({one.said!r}).")
    return OrientationMap(
        spread(euler, np.nan, np.float64),
        phase,
        placed.spacing,
        placed.grid,
        tuple(phases),
        phase > 0,
        None if points.quality is None else spread(points.quality, np.nan, np.float32),
        None if points.confidence is None else spread(points.confidence, np.nan, np.float32),
        placed.shifted_row,
        {"path": path.name, "format": points.kind, "step_from": placed.step_from},
        tuple(warnings),
    )
