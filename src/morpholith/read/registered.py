"""What `xanes register` leaves on disk: a stack for each particle, its outline, and the table of its motion."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from .broken import guarded
from .energies import energies as read_energies
from .ome_zarr_scan import zarr_part

if TYPE_CHECKING:
    import pandas as pd

COMMAND = "xanes register"
MOTION_COLUMNS = (
    "particle", "scan", "frame", "energy_ev", "y_px", "x_px", "dy_px", "dx_px", "vy_px", "vx_px", "ay_px", "ax_px",
    "sigma_px", "angle_deg", "breathing", "status",
)  # fmt: skip
AGAIN = "run `morpholith xanes register` again"


@dataclass(frozen=True)
class Aligned:
    """One particle, registered: every frame shows it at the same place.

    Parameters
    ----------
    number : int
        From 1.
    stack : (t, e, y, x) float32 array
        Optical density; NaN where it was not seen.
    mask : (y, x) bool array
        Inside its outline.
    corner_px : (float, float)
        Where pixel (0, 0) of the region lies in the field of the reference frame, (y, x).
    """

    number: int
    stack: np.ndarray
    mask: np.ndarray
    corner_px: tuple[float, float]


@dataclass(frozen=True)
class Registered:
    """A folder that `xanes register` wrote.

    Parameters
    ----------
    folder : Path
    energies_ev : (e,) array
        eV, rising.
    particles : mapping of int to Aligned
        Each is read when it is asked for and not kept, so that going through all takes the memory of one.
    spacing : (float, float)
        (y, x) in um; (1, 1) where `scaled` is False: lengths are in pixels.
    scaled : bool
        Whether the size of a pixel is known.
    motion : DataFrame
        One row a particle and frame; see `MOTION_COLUMNS`.
    table : DataFrame
        ``particles.csv``, one row a particle; without rows where there is none.
    summary : mapping
        ``summary.json``.
    warnings : tuple of str
    """

    folder: Path
    energies_ev: np.ndarray
    particles: Mapping[int, Aligned]
    spacing: tuple[float, float]
    scaled: bool
    motion: pd.DataFrame
    table: pd.DataFrame
    summary: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class _OnDisk(Mapping[int, Aligned]):
    """The particles of a folder, read when they are asked for."""

    def __init__(self, heads: dict[int, dict[str, Any]]):
        self._heads = heads

    def __getitem__(self, number: int) -> Aligned:
        head = self._heads[int(number)]
        part, mask = head["part"], head["mask"]
        with guarded(part.path, "stack"):
            stack = part.source.read(tuple(slice(0, n) for n in part.source.shape))
        inside = _mask(mask, part.source.shape[-2:])
        return Aligned(int(number), np.ascontiguousarray(stack, np.float32), inside, head["corner"])

    def __iter__(self) -> Iterator[int]:
        return iter(self._heads)

    def __len__(self) -> int:
        return len(self._heads)


def registered(folder: str | Path) -> Registered:
    """Read what `xanes register` wrote.

    Parameters
    ----------
    folder : path

    Returns
    -------
    Registered
        Stacks stay on disk until their particle is asked for. A result without any particle gives an empty
        mapping, with a warning.

    Raises
    ------
    InputError
        For a folder that is no result of `xanes register`, one that was not written to the end, or files in it
        that are damaged, or do not belong together (the sentence says which).
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; give the one that `morpholith xanes register` wrote.")
    summary = _summary(folder)
    motion, found = _motion(folder), _table(folder)
    heads = _heads(folder)
    told = sorted({int(p) for p in found["particle"]} if "particle" in found else set())
    missing = [n for n in told if n not in heads] if (folder / "aligned").is_dir() or not heads else []
    if missing:
        raise InputError(
            f"{folder.name} lists {len(told)} particles, the stacks of {len(missing)} are missing "
            f"(aligned/particle_{missing[0]:03d}.zarr, ...): it was not copied or written to the end; {AGAIN}."
        )
    ev, spacing, scaled = _shared(folder, heads)
    warnings = () if heads else (f"{folder.name} holds no registered particle.",)
    return Registered(folder, ev, _OnDisk(heads), spacing, scaled, motion, found, summary, warnings)


def _summary(folder: Path) -> dict[str, Any]:
    summary, recipe = folder / "summary.json", folder / "recipe.toml"
    motion = folder / "motion.csv"
    if not summary.is_file():
        if motion.is_file() or (folder / "aligned").is_dir():
            raise InputError(f"{folder.name} has no summary.json: it was not written to the end; {AGAIN}.")
        raise InputError(f"{folder.name} is no result of `morpholith xanes register` (it has no summary.json).")
    try:
        if recipe.is_file():
            command = str(tomllib.loads(recipe.read_text(encoding="utf-8")).get("command", COMMAND))
            if command != COMMAND:
                raise InputError(f"{folder.name} is a result of `{command}`, not of `{COMMAND}`.")
        content = json.loads(summary.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(
            f"{folder.name}: its summary or recipe is damaged ({str(error).splitlines()[0]}); {AGAIN}."
        ) from error
    if not motion.is_file():
        raise InputError(f"{folder.name} is no result of `morpholith xanes register`: it has no motion.csv.")
    return content if isinstance(content, dict) else {}


def _motion(folder: Path) -> pd.DataFrame:
    found = _csv(folder / "motion.csv")
    absent = [column for column in MOTION_COLUMNS if column not in found]
    if absent:
        raise InputError(f"{folder.name}: its motion.csv lacks the columns {', '.join(absent)}; {AGAIN}.")
    return found


def _table(folder: Path) -> pd.DataFrame:
    import pandas as pd

    path = folder / "particles.csv"
    return _csv(path) if path.is_file() else pd.DataFrame(columns=["particle"])


def _csv(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        return pd.read_csv(path)  # no particle gives a header and no row, which `table` refuses
    except (OSError, pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError(f"{path.name} is no readable table ({str(error).splitlines()[0]}); {AGAIN}.") from error


def _heads(folder: Path) -> dict[int, dict[str, Any]]:
    """Return the places of each particle's stack and mask, checked but not read."""
    heads: dict[int, dict[str, Any]] = {}
    for path in sorted((folder / "aligned").glob("particle_*.zarr")) if (folder / "aligned").is_dir() else []:
        match = re.fullmatch(r"particle_(\d+)\.zarr", path.name)
        if match is None:
            continue
        part = zarr_part(path, None)
        mask = path.with_name(path.name.removesuffix(".zarr") + "_mask.tif")
        if not mask.is_file():
            raise InputError(f"{folder.name}: {mask.name} is missing beside {path.name}; {AGAIN}.")
        if part.axes.replace("o", "") not in ("teyx", "eyx", "yx", "tyx") or len(part.source.shape) != 4:
            raise InputError(f"{path.name} has the axes {part.axes!r}, not (t, e, y, x); {AGAIN}.")
        if part.energies is None or len(part.energies) != part.source.shape[1]:
            raise InputError(
                f"{path.name} has {part.source.shape[1]} energies, {len(part.energies or ())} are told; {AGAIN}."
            )
        heads[int(match.group(1))] = {"part": part, "mask": mask, "corner": _corner(path)}
    return heads


def _corner(path: Path) -> tuple[float, float]:
    try:
        about = json.loads((path / "zarr.json").read_text(encoding="utf-8"))["attributes"]["morpholith"]
        y, x = (float(c) for c in about["corner_px"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path.name} does not say where its region lies (corner_px); {AGAIN}.") from error
    return y, x


def _mask(path: Path, size) -> np.ndarray:
    from .frames import open_part

    part = open_part(path, named=False)
    found = part.frames()[0][0].read()
    if found.shape != tuple(size):
        raise InputError(
            f"{path.name} is {found.shape[0]} x {found.shape[1]} pixels, its stack {size[0]} x {size[1]}; {AGAIN}."
        )
    return found > 0


def _shared(folder: Path, heads) -> tuple[np.ndarray, tuple[float, float], bool]:
    """Return energies and spacing, which must be the same for all particles."""
    listed = folder / "energies.txt"
    ev = read_energies(listed)[0] if listed.is_file() else None
    if ev is None and not heads:
        raise InputError(f"{folder.name} has neither energies.txt nor a registered particle; {AGAIN}.")
    pixels = set()
    scans = set()
    for head in heads.values():
        own = np.array(head["part"].energies, float)
        ev = own if ev is None else ev
        if len(own) != len(ev) or np.abs(own - ev).max() > 0.01:
            raise InputError(f"{head['part'].path.name} has other energies than the rest of {folder.name}; {AGAIN}.")
        pixels.add(head["part"].pixel_um)
        scans.add(head["part"].source.shape[0])
    if len(scans) > 1 or len(pixels) > 1:
        what = f"{sorted(scans)} scans" if len(scans) > 1 else "pixels of several sizes"
        raise InputError(f"the particles of {folder.name} have {what}: they are of several runs; {AGAIN}.")
    pixel = next(iter(pixels), None)
    assert ev is not None
    return ev, pixel or (1.0, 1.0), pixel is not None
