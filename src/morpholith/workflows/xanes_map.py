"""Chemistry of a working electrode, from registered XANES scans."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..image import Image, Quantity
from ..progress import progress, stage
from ..results import Result
from ._map_field import Field, find_edge, one_field, open_field, sample_of
from ._map_story import SECTION, cautions, figures, how_it_was_done

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from ..measure.chemistry import Chemistry
    from ..measure.state_map import StateMap

KEPT = ("state", "state_se", "edge", "edge_se", "white_line", "white_line_se")
WHITE_LINE_SPAN_EV = 2.0  # between the white lines of Ni(II) and Ni(III) oxides
OUTLINE_PX = 1.5


@dataclass
class Mapped:
    """What was found for all particles and scans."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    rings: list[pd.DataFrame] = field(default_factory=list)
    spectra: list[pd.DataFrame] = field(default_factory=list)
    maps: dict[int, dict[str, list[np.ndarray]]] = field(default_factory=dict)
    masks: dict[int, np.ndarray] = field(default_factory=dict)
    corners: dict[int, tuple[float, float]] = field(default_factory=dict)


def map_states(
    registered: Path,
    /,
    *,
    references: Path | None = None,
    element: str | None = None,
    valence: list[str] | None = None,
    shift: float | None = None,
    pre_edge: str | None = None,
    post_edge: str | None = None,
    order: int | None = None,
    margin: float = 2.0,
    keep_background: bool = False,
    split: bool = False,
    energies: Path | None = None,
    flat: list[Path] | None = None,
    dark: list[Path] | None = None,
    dataset: str | None = None,
    pixel_size: float | None = None,
    seed: int = 0,
) -> Result:
    """Map edge energy, white line and oxidation state of every pixel of registered particles, with standard errors.

    Each spectrum is normalised (pre-edge line, post-edge polynomial) and fitted with reference spectra; particles are
    described by their mean state, its spread, their radial profile and whether core and shell, or two sides, differ.

    Parameters
    ----------
    registered
        Folder that xanes register wrote, or one scan (TIFF, HDF5, Zeiss) whose frames are aligned already.
    references
        Folder or file of reference spectra; without them edges and white lines are mapped, but no oxidation state.
    element
        Whose K edge it is, as Ni; found from the energies unless given.
    valence
        Oxidation state of a reference whose name does not tell it, as NAME=3 (repeat for several).
    shift
        Known shift in eV to be added to the energies to put them on the references' axis; fitted unless given.
    pre_edge
        Range of the pre-edge line relative to E0 in eV, as --pre-edge=-120,-40; chosen from the energies unless given.
    post_edge
        Range of the post-edge polynomial relative to E0 in eV, as 50,250.
    order
        Of the post-edge polynomial, 0 to 2; chosen from its range unless given.
    margin
        Rim along the outline that enters no mean, px.
    keep_background
        Leave in every frame what lies around a particle; else its median is taken off, and with it drifts of the beam.
    split
        Of a scan that is not in particles: treat each connected region with signal as a particle.
    energies
        List of the energies of a scan that does not tell them, one a line, eV or keV.
    flat
        Flat field of a scan of counts.
    dark
        Dark field of a scan of counts.
    dataset
        Which array of an HDF5 file or zarr store.
    pixel_size
        Edge of a pixel in um, from the file unless given.
    seed
        Seed of the bootstrap.
    """
    import numpy as np

    if not (np.isfinite(margin) and margin >= 0):
        raise InputError(f"`--margin` must be zero or more pixels, got {margin!r}.")
    if seed < 0:
        raise InputError(f"`--seed` must not be negative, got {seed}.")
    if shift is not None and not np.isfinite(shift):
        raise InputError(f"`--shift` must be a number of eV, got {shift!r}.")
    opened = open_field(
        registered, energies=energies, flat=flat, dark=dark, dataset=dataset, pixel_size=pixel_size,
        keep_background=keep_background,
    )  # fmt: skip
    how = {"pre": _range(pre_edge, "--pre-edge"), "post": _range(post_edge, "--post-edge"), "order": order}
    stage("finding the edge")
    if isinstance(opened, Image):
        found, chemistry = one_field(opened, element, how, split=split, given=pixel_size)
    else:
        found, chemistry = opened, None
    sample = sample_of(found, margin)
    chemistry = chemistry or find_edge(found.energies_ev, sample, element, how)
    if references is not None:
        chemistry = _with_references(chemistry, sample, found, references, _valences(valence), shift)
    elif valence or shift is not None:
        raise InputError("`--valence` and `--shift` belong to reference spectra; give them with --references.")
    mapped = _map_all(found, chemistry, margin)
    return _result(found, chemistry, mapped, references, seed=seed)


# --- options ----------------------------------------------------------------------------------------------


def _with_references(chemistry, sample, found: Field, path: Path, valences, shift) -> Chemistry:
    from .. import measure, read

    stage("fitting references")
    spectra = read.references(path, element=chemistry.element)
    prepared = measure.prepare_references(
        {name: (s.energy_ev, s.mu, s.normalised) for name, s in spectra.items()},
        e0_ev=chemistry.ranges.e0_ev, element=chemistry.element, valences=valences,
    )  # fmt: skip
    clear = measure.with_signal(sample, found.energies_ev, chemistry.ranges)
    groups = measure.spectral_groups(clear, found.energies_ev, chemistry.ranges)
    return measure.with_references(chemistry, groups, found.energies_ev, prepared, shift_ev=shift)


def _range(text: str | None, name: str) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(
            f"`{name}` must be two energies relative to E0 with a comma, as 50,250; got {text!r}."
        ) from None
    return low, high


def _valences(given: list[str] | None) -> dict[str, float]:
    found = {}
    for text in given or []:
        name, equals, value = text.rpartition("=")
        try:
            found[name] = float(value)
        except ValueError:
            equals = ""
        if not equals or not name:
            raise InputError(f"`--valence` must be NAME=STATE, as LiNiO2=3; got {text!r}.")
    return found


# --- mapping ---------------------------------------------------------------------------------------------


def _map_all(found: Field, chemistry: Chemistry, margin: float) -> Mapped:
    """Map every particle in every scan; one particle's stack at a time."""
    import numpy as np

    from .. import measure

    mapped = Mapped()
    for number in progress(found.numbers, total=len(found.numbers), label="mapping particles"):
        stack, mask, corner = found.get(number)
        mapped.masks[number], mapped.corners[number] = mask, corner
        kept = mapped.maps[number] = {name: [] for name in KEPT}
        for scan in range(found.n_scans):
            maps = measure.state_map(np.asarray(stack[scan]), mask, found.energies_ev, chemistry, margin_px=margin)
            for name in KEPT:
                kept[name].append(getattr(maps, name).astype(np.float32))
            last = scan == found.n_scans - 1
            _describe(mapped, maps, number, scan, found, chemistry, margin, spectra=last)
    return mapped


def _describe(mapped: Mapped, maps: StateMap, number, scan, found: Field, chemistry, margin, *, spectra: bool) -> None:
    """Add one particle in one scan to the tables."""
    import numpy as np
    import pandas as pd

    from .. import measure

    mask = mapped.masks[number]
    whole = measure.spectrum_state(maps.spectrum, maps.spectrum_se, found.energies_ev, chemistry)
    states = bool(np.isfinite(chemistry.span))
    values, errors = (maps.free, maps.state_se) if states else (maps.white_line, maps.white_line_se)
    span = chemistry.span if states else WHITE_LINE_SPAN_EV
    shape = measure.state_pattern(values, errors, mask, span=span, margin_px=margin, noise_px=maps.noise_px)
    depth = measure.depth_within(mask)[0]
    inner = mask & (depth >= margin)
    edge_sd, _ = measure.spread_beyond_noise(maps.edge[inner], maps.edge_se[inner], noise_px=maps.noise_px)
    white_sd, _ = measure.spread_beyond_noise(maps.white_line[inner], maps.white_line_se[inner], noise_px=maps.noise_px)
    e = whole.edges
    y, x = np.argwhere(mask).mean(0) + mapped.corners[number] if mask.any() else (np.nan, np.nan)
    blank = float("nan")
    # the outline is known to a pixel or so: what that changes in the mean of a heterogeneous particle is an error too
    rim = measure.change_with_depth(values, mask & (depth >= margin), mask & (depth >= margin + OUTLINE_PX))
    mapped.rows.append(
        {
            "particle": number, "scan": scan, "y_px": float(y), "x_px": float(x),
            "edge_ev": float(e.half_height_ev[0]), "edge_se_ev": float(e.half_height_se[0]), "edge_sd_ev": edge_sd,
            "derivative_ev": float(e.derivative_ev[0]), "derivative_se_ev": float(e.derivative_se[0]),
            "white_line_ev": float(e.white_line_ev[0]), "white_line_se_ev": float(e.white_line_se[0]),
            "white_line_sd_ev": white_sd, "white_line_height": float(e.height[0]),
            "state_mean": shape.mean if states else blank,
            "state_se": float(np.hypot(max(shape.mean_se, whole.state_se), rim)) if states else blank,
            "state_sd": shape.sd if states else blank, "state_sd_se": shape.sd_se if states else blank,
            "state_bulk": whole.state, "state_bulk_se": whole.state_se, "r_factor": whole.r_factor,
            "core_shell": shape.core_shell, "core_shell_se": shape.core_shell_se, "one_sided": shape.one_sided,
            "one_sided_se": shape.one_sided_se, "direction_deg": shape.direction_deg, "n_px": shape.n,
            "resolved_share": float(maps.resolved[mask].mean()) if mask.any() else blank,
            "edge_step": float(np.nanmean(maps.step[inner])) if np.isfinite(maps.step[inner]).any() else blank,
            "pattern": shape.verdict,
        }
    )  # fmt: skip
    for k, r in enumerate(chemistry.references):
        mapped.rows[-1][f"fraction_{r.name}"] = float(whole.fractions[k])
    rings = measure.radial_states(values, errors, mask, margin_px=margin, noise_px=maps.noise_px)
    if not states:
        rings = {k.replace("state", "white_line_ev"): v for k, v in rings.items()}
    ring = pd.DataFrame(rings)
    mapped.rings.append(ring.assign(particle=number, scan=scan, ring=range(1, len(ring) + 1)))
    if spectra:
        mapped.spectra.append(
            pd.DataFrame(
                {
                    "particle": number, "energy_ev": found.energies_ev, "optical_density": maps.spectrum,
                    "optical_density_se": maps.spectrum_se, "normalised": whole.norm, "fit": whole.fit,
                }
            )
        )  # fmt: skip


def _tables(mapped: Mapped, chemistry: Chemistry) -> dict[str, pd.DataFrame]:
    """Tables of states, with those that lag behind the others marked."""
    import pandas as pd

    from .. import measure

    states = pd.DataFrame(mapped.rows)
    states["lag_z"], states["verdict"] = float("nan"), states["pattern"]
    for _, rows in states.groupby("scan").groups.items():
        own = states.loc[rows]
        z, lags = measure.lagging(own["state_mean"], own["state_se"], span=chemistry.span)
        states.loc[rows, "lag_z"] = z
        states.loc[own.index[lags], "verdict"] = "deactivated"
    states = states.sort_values(["particle", "scan"], ignore_index=True)
    rings = pd.concat(mapped.rings, ignore_index=True)
    front = ["particle", "scan", "ring"]
    first = ["particle", "scan", "edge_ev", "edge_sd_ev", "white_line_ev", "state_mean", "state_sd", "verdict"]
    states = states[[*first, *(c for c in states if c not in first)]]
    return {
        "particles": states[states["scan"] == states["scan"].max()].reset_index(drop=True),
        "states": states,
        "radial_profiles": rings[[*front, *(c for c in rings if c not in front)]],
        "spectra": pd.concat(mapped.spectra, ignore_index=True),
    }


# --- results ---------------------------------------------------------------------------------------------


def _result(found: Field, chemistry: Chemistry, mapped: Mapped, references, *, seed: int) -> Result:
    import numpy as np

    from .. import measure

    tables = _tables(mapped, chemistry)
    rng = np.random.default_rng(seed)
    numbers = measure.state_numbers(tables["states"], chemistry)
    spectra = [own["optical_density"].to_numpy() for _, own in tables["spectra"].groupby("particle")]
    moved = measure.shift_error(np.array(spectra), found.energies_ev, chemistry)
    if np.isfinite(moved):
        numbers["state_shift_error"] = Quantity(
            moved, method="change of the mean state with one standard error of the energy shift"
        )
    relation: dict[str, Quantity] = {}
    if found.motion is not None:
        table, relation = measure.motion_and_chemistry(tables["particles"], found.motion, rng=rng)
        tables["particles"] = table
        of_states = ("state", "spread") if not np.isfinite(chemistry.span) else ()
        numbers |= {f"motion_{name}_correlation": q for name, q in relation.items() if name not in of_states}
    return Result(
        summary=numbers,
        tables=tables,
        figures=dict(figures(found, chemistry, mapped, tables, relation)),
        files=_files(found, mapped),
        warnings=[*found.warnings, *chemistry.warnings, *cautions(found, chemistry, tables)],
        inputs=[*found.inputs, *_reference_files(references)],
        text={SECTION: how_it_was_done(found, chemistry)},
        title=f"Chemistry at the {chemistry.element} K edge",
    )  # fmt: skip


def _files(found: Field, mapped: Mapped) -> dict[str, Callable[[Path], object]]:
    import numpy as np

    files: dict[str, Callable[[Path], object]] = {}
    for number, kept in mapped.maps.items():
        for name, scans in kept.items():
            array = np.stack(scans)
            if np.isfinite(array).any():
                files[f"maps/particle_{number:03d}_{name}.tif"] = partial(_save, array=array, spacing=found.spacing)
    return files


def _save(path: Path, *, array, spacing) -> None:
    from ..read import write_tiff

    one = len(array) == 1
    origin = {} if spacing else {"pixel_size_from": "none"}
    image = Image(array[0] if one else array, "yx" if one else "tyx", spacing or (1.0, 1.0), provenance=origin)
    write_tiff(path, image)


def _reference_files(references: Path | None) -> list[Path]:
    if references is None:
        return []
    return sorted(p for p in references.iterdir() if p.is_file()) if references.is_dir() else [references]
