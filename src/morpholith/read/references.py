"""Reference spectra: what compounds of known oxidation state absorb, from the files beamlines and databases write."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from .energies import in_ev
from .files import text
from .slices import natural

SUFFIXES = (".nor", ".xdi", ".txt", ".csv", ".dat", ".xmu", ".prj.txt", ".asc")
CERTAIN = (".nor", ".xdi", ".xmu")  # a .txt beside references may be a licence or a list of energies
FEWEST = 5
MAX_BYTES = 50_000_000
NORMALISED = ("norm", "normtrans", "normfluor", "flat", "normrefer")
ABSORPTION = (
    "mutrans",
    "mufluor",
    "xmu",
    "mu",
    "mu(e)",
    "absorption",
    "absorbance",
    "od",
    "optical_density",
    "intensity",
    "y",
)
COUNTS = ("i0", "itrans", "ifluor", "irefer", "i1", "it", "if", "i2", "ir")
OTHERS = (
    "nbkg",
    "fbkg",
    "nder",
    "nsec",
    "bkg",
    "pre_edge",
    "post_edge",
    "der",
    "sec",
    "time",
    "angle",
    "murefer",
    "chie",
)


@dataclass(frozen=True)
class Spectrum:
    """A reference spectrum.

    Parameters
    ----------
    name : str
        Of the compound as the file has it: its column, its sample name, or the name of the file.
    energy_ev : (n,) float64 array
        Rising, without repeats.
    mu : (n,) float64 array
        Absorption in units of its own, unless `normalised`; finite.
    normalised : bool
        Whether the file says that it has an edge step of 1 already.
    source : str
        File, and how mu was obtained: ``"Ni.xdi: ln(i0 / itrans)"``.
    element : str or None
        Symbol in the header.
    notes : tuple of str
        What a reader should know: repeats averaged, points left out.
    """

    name: str
    energy_ev: np.ndarray
    mu: np.ndarray
    normalised: bool
    source: str
    element: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Table:
    path: Path
    columns: tuple[str, ...]  # "" where the file names none
    units: tuple[str, ...]
    values: np.ndarray
    header: dict[str, str]


def references(path: str | Path | Sequence[str | Path], element: str | None = None) -> dict[str, Spectrum]:
    """Read reference spectra.

    Parameters
    ----------
    path : path or sequence of paths
        Files, or a folder of them (not its sub-folders): two columns (energy, mu), CSV with a column for each
        reference, XDI 1.0, or what Athena writes (``.nor``, ``.xmu``). Energies in eV or keV, by the header or by
        size. In a folder, texts without a spectrum (licences, lists of energies) are passed over.
    element : str, optional
        Keep those of this element, and those that do not say.

    Returns
    -------
    dict of str to Spectrum
        By name, in the order of the files. Columns of intensities become absorption as the XDI dictionary has it:
        ln(i0 / itrans), else ifluor / i0; a column of normalised or raw absorption is preferred to them.
        A name that two files share is given the name of its file too.

    Raises
    ------
    InputError
        For a path that is missing, a file that holds no spectrum, fewer than 5 points, an angle where the energy
        should be, or an element that no reference is of.
    """
    named = [Path(path)] if isinstance(path, str | Path) else [Path(p) for p in path]
    found: dict[str, Spectrum] = {}
    for one in named:
        if not one.exists():
            raise InputError(f"{one} is not there; a file or a folder of reference spectra was expected.")
        for spectrum in _in_folder(one) if one.is_dir() else _spectra(one):
            name = spectrum.name
            if name in found:
                stem = spectrum.source.split(":")[0].rpartition(".")[0]
                name = f"{name} ({stem})" if stem != name else name
                k = 2
                while name in found:
                    name, k = f"{spectrum.name} ({k})", k + 1
            found[name] = Spectrum(**{**spectrum.__dict__, "name": name})
    if not found:
        raise InputError(
            f"{named[0] if named else 'an empty list'} holds no reference spectra; give two columns, energy and mu."
        )
    if element is None:
        return found
    kept = {k: s for k, s in found.items() if s.element in (None, element.strip().capitalize())}
    if not kept:
        there = ", ".join(sorted({s.element or "?" for s in found.values()}))
        raise InputError(f"no reference in {named[0].name} is of {element}; they are of {there}.")
    return kept


def _in_folder(folder: Path) -> list[Spectrum]:
    spectra: list[Spectrum] = []
    for path in sorted((p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file()), key=natural):
        try:
            spectra += _spectra(path)
        except InputError:
            if path.suffix.lower() in CERTAIN:
                raise
    return spectra


def _spectra(path: Path) -> list[Spectrum]:
    table = _read(path)
    names = [name.lower() for name in table.columns]
    at = next(
        (
            k
            for k, name in enumerate(names)
            if name.startswith(("energy", "e(ev", "e (ev")) or name in ("e", "ev", "kev")
        ),
        0,
    )
    if names[at] in ("angle", "theta"):
        raise InputError(f"{path.name} is over the angle of the monochromator, not the energy; convert it first.")
    if table.values.shape[1] < 2:
        raise InputError(f"{path.name} has one column; a reference needs two, energy and mu.")
    unit = table.units[at] or ("kev" if "kev" in names[at] else "ev" if "ev" in names[at].replace("energy", "") else "")
    keep = np.isfinite(table.values[:, at])
    if keep.sum() < FEWEST:
        raise InputError(f"{path.name} has {int(keep.sum())} points; a reference spectrum needs at least {FEWEST}.")
    energy, _ = in_ev(table.values[keep, at], name=path.name, unit=unit)
    values = table.values[keep]
    element = table.header.get("element.symbol", "").strip().capitalize() or None
    spectra = []
    for name, mu, normalised, how in _columns(table, at, values, names):
        found = _tidy(energy, mu, path)
        spectra.append(Spectrum(name, found[0], found[1], normalised, f"{path.name}: {how}", element, found[2]))
    return spectra


def _columns(table: _Table, at, values, names):
    """Yield name, mu, whether normalised, and how, for each reference in a table."""
    own = table.header.get("sample.name", "").split("  ")[0].strip() or table.path.stem
    known = {*NORMALISED, *ABSORPTION, *COUNTS, *OTHERS}
    place = {name: k for k, name in enumerate(names) if name and k != at}
    told = "normalized mu" in table.header.get("demeter.output_filetype", "").lower()
    unnamed = not any(names[k] for k in range(len(names)) if k != at)
    if unnamed:
        others = [k for k in range(values.shape[1]) if k != at]
        for k in others:
            yield (own if len(others) == 1 else f"{own}_{k}"), values[:, k], told, f"column {k + 1}"
        return
    if not set(place) & known or (told and not set(place) <= known):
        for k, name in enumerate(table.columns):
            if k != at and k < values.shape[1]:
                yield name or f"{own}_{k}", values[:, k], told, f"column {k + 1}"
        return
    for group, normalised in ((NORMALISED, True), (ABSORPTION, told)):
        for name in group:
            if name in place:
                yield own, values[:, place[name]], normalised, f"column {name}"
                return
    yield own, *_from_counts(table.path, values, place)


def _from_counts(path, values, place):
    """Return absorption from intensities, False, and how."""

    def first(*options):
        return next((name for name in options if name in place), None)

    i0, through, fluorescence = first("i0"), first("itrans", "i1", "it"), first("ifluor", "if")
    with np.errstate(divide="ignore", invalid="ignore"):
        if i0 and through:
            return np.log(values[:, place[i0]] / values[:, place[through]]), False, f"ln({i0} / {through})"
        if i0 and fluorescence:
            return values[:, place[fluorescence]] / values[:, place[i0]], False, f"{fluorescence} / {i0}"
    raise InputError(
        f"{path.name} has the columns {', '.join(place)}, of which no absorption can be made; expected mu, or i0 with "
        f"itrans or ifluor."
    )


def _tidy(energy, mu, path) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Return a spectrum rising in energy, each energy once, without points that are no numbers."""
    finite = np.isfinite(mu)
    notes: tuple[str, ...] = ()
    if not finite.all():
        notes += (f"{path.name}: {int((~finite).sum())} points are no numbers and are left out.",)
    if finite.sum() < FEWEST:
        raise InputError(
            f"{path.name} has {int(finite.sum())} points that are numbers; a reference needs at least {FEWEST}."
        )
    each, place, times = np.unique(energy[finite], return_inverse=True, return_counts=True)
    mean = np.bincount(place, mu[finite]) / times
    if (times > 1).any():
        notes += (f"{path.name}: {int((times > 1).sum())} energies occur more than once; their values are averaged.",)
    if len(each) < FEWEST or np.ptp(mean) == 0:
        raise InputError(
            f"{path.name} is no spectrum: {len(each)} energies, values from {mean.min():.4g} to {mean.max():.4g}."
        )
    return each, mean, notes


# --- text ------------------------------------------------------------------------------------------------------


def _read(path: Path) -> _Table:
    """Return a table of numbers with what its comments say."""
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path.name} is {path.stat().st_size / 1e6:.0f} MB; a reference spectrum is a short table.")
    raw = path.read_bytes()
    if b"\0" in raw[:2000] and not raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{path.name} is no text; a table of energy and mu was expected.")
    header: dict[str, str] = {}
    titles: list[str] = []
    rows: list[list[float]] = []
    for number, line in enumerate(text(raw).splitlines(), start=1):
        stripped = line.strip()
        if not stripped:
            continue
        if stripped[0] in "#%;":
            match = re.match(r"[#%;]+\s*([\w]+\.[\w]+)\s*:\s*(.*)$", stripped)
            if match:
                header[match.group(1).lower()] = match.group(2).strip()
            elif not rows and re.search(r"[A-Za-z]", stripped):
                titles = _cells(stripped.lstrip("#%; "))
            continue
        cells = _cells(stripped)
        numbers = [_number(cell) for cell in cells]
        if any(v is None for v in numbers):
            if rows or len(cells) < 2 or any(v is not None for v in numbers[:1]):
                raise InputError(f"{path.name}: line {number} ({stripped[:30]!r}) is not a row of numbers.")
            titles = cells
            continue
        if rows and len(numbers) != len(rows[0]):
            raise InputError(
                f"{path.name}: line {number} has {len(numbers)} columns, the lines above have {len(rows[0])}."
            )
        rows.append([float(v) for v in numbers if v is not None])
    if not rows:
        raise InputError(f"{path.name} holds no numbers; a table of energy and mu was expected.")
    return _with_columns(path, header, titles, np.array(rows))


def _with_columns(path, header, titles, values) -> _Table:
    n = values.shape[1]
    columns, units = [""] * n, [""] * n
    for k in range(n):
        said = header.get(f"column.{k + 1}", "").split("||")[0].strip()
        if said:
            words = said.split()
            columns[k] = (
                words[0] if words[0].lower() in ("energy", "angle", *COUNTS, *ABSORPTION, *NORMALISED) else said
            )
            units[k] = words[1] if words[0].lower() in ("energy", "angle") and len(words) > 1 else ""
    if not any(columns) and len(titles) == n:
        columns = list(titles)
    return _Table(path, tuple(columns), tuple(units), values, header)


def _cells(line: str) -> list[str]:
    for mark in ("\t", ";", ","):
        if mark in line:
            return [cell.strip() for cell in next(csv.reader([line.strip(mark)], delimiter=mark))]
    return line.split()


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return float("nan") if cell.lower() in ("", "na", "null", "none") else None
