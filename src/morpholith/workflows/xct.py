"""Electrodes, from X-ray tomograms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .. import columns as c
from ..errors import InputError
from ..image import Image, Quantity
from ..progress import progress, stage
from ..results import ReportFigure, Result
from ._phase_names import phases_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from ..measure.tortuosity_budget import TortuosityBudget
    from ..segment import PhaseEstimate

EXPORTS = ("bpx", "pybamm")


@dataclass(frozen=True)
class Seen:
    """A tomogram with what was found in it, at the threshold and at both ends of the threshold's interval."""

    image: Image
    estimate: PhaseEstimate
    phases: np.ndarray
    labels: np.ndarray
    alternatives: tuple[np.ndarray, ...] = ()
    alternative_labels: tuple[np.ndarray, ...] = ()
    warnings: tuple[str, ...] = ()


def measure(
    volume: Path,
    /,
    *,
    voxel_size: float | tuple[float, float, float] | None = None,
    dataset: str | None = None,
    shape: tuple[int, int, int] | None = None,
    dtype: str | None = None,
    phases: Literal["auto", "2", "3"] = "auto",
    threshold: list[float] | None = None,
    grey_values: str | None = None,
    composition: str | None = None,
    density: float | None = None,
    loading: float | None = None,
    thickness: float | None = None,
    geometric: bool = False,
    export: str | None = None,
    discharge: bool = False,
    tiff: bool = False,
    workers: int = 1,
    scheduler: str | None = None,
    seed: int = 0,
    device: Literal["cpu", "cuda"] = "cpu",
) -> Result:
    """Measure an electrode from its tomogram: phases, particles and transport, each number with its error budget.

    The volume is denoised and segmented; the interval of thresholds that its histogram supports is carried into every
    number. z, the first axis, runs through the thickness.

    Parameters
    ----------
    volume
        TIFF stack, folder of slices, OME-Zarr, HDF5, MetaImage, NRRD, AmiraMesh, Zeiss txm, npy or raw file.
    voxel_size
        Edge of a voxel in um, or Z,Y,X; needed when the file does not say it.
    dataset
        Which array of an HDF5 file or zarr store.
    shape
        Of a raw file, Z Y X voxels.
    dtype
        Of a raw file, as uint16.
    phases
        Two phases, or three with carbon-binder; auto takes three when the grey levels resolve it.
    threshold
        Grey level above which a voxel is active material (repeat it for the two thresholds of three phases).
    grey_values
        For a volume that is segmented already: its grey values as 0=pore,1=active,2=binder.
    composition
        Parts by weight of the electrode, as NMC811:94,carbon:2,PTFE:4, for the mass balance.
    density
        Of the electrode without collector, g/cm3, for the mass balance.
    loading
        Of the electrode without collector, mg/cm2.
    thickness
        Of the whole electrode without collector, um; the height of the volume when it is not given.
    geometric
        Also the geometric tortuosity (shortest path over straight line), which no battery model wants.
    export
        Battery model files to write: bpx, pybamm or both with a comma between.
    discharge
        Simulate a discharge with PyBaMM, and the spread that the intervals put on it.
    tiff
        Write phases and particles as TIFF beside the OME-Zarr.
    workers
        Processes that share blockwise work; more than one works on blocks through Dask.
    scheduler
        Address of a running Dask scheduler to hand blocks to.
    seed
        Seed of the bootstrap.
    device
        Where the transport problem is solved.
    """
    from .. import read

    targets = _targets(export)
    if composition:
        _check_masses(composition, density, loading, thickness)
    opened = read.volume(volume, voxel_size=voxel_size, dataset=dataset, shape=shape, dtype=dtype)
    if any("projections" in w for w in opened.warnings):
        raise InputError(f"{volume} holds projections, not a reconstructed volume; reconstruct it first.")
    stage("finding phases and particles")
    seen = look(
        opened, n_phases=phases, threshold=threshold, grey_values=grey_values, workers=workers, scheduler=scheduler
    )
    numbers, tables, budgets, extra = assess(seen, geometric=geometric, seed=seed, device=device)
    seen_part = Result(
        summary=numbers,
        tables=tables,
        figures=_figures(seen, numbers, tables, budgets, extra),
        files=_volumes(seen, tiff=tiff),
        warnings=[*seen.warnings, *_cautions(seen, numbers)],
        text=_how(seen, budgets),
    )
    parts = [seen_part]
    if composition:
        parts.insert(0, audit(numbers, seen, composition, density=density, loading=loading, thickness=thickness))
    if targets or discharge:
        parts.append(
            hand_over(seen, numbers, tables, budgets, targets, thickness=thickness, discharge=discharge, seed=seed)
        )
    return _joined(parts, title="Electrode measured from its tomogram", inputs=_inputs(volume))


def look(
    image: Image, *, n_phases: str = "auto", threshold: list[float] | None = None, grey_values: str | None = None,
    workers: int = 1, scheduler: str | None = None,
) -> Seen:  # fmt: skip
    """Segment a volume into phases and particles, also at both ends of the threshold's interval."""
    import numpy as np

    from .. import segment

    spacing = _spacing(image)
    how: dict[str, Any] = {
        "spacing": spacing, "n_phases": n_phases if n_phases == "auto" else int(n_phases),
        "threshold": tuple(threshold) if threshold else None, "phases_of": phases_of(grey_values),
    }  # fmt: skip
    if workers > 1 or scheduler or not _fits(image.shape):
        estimate, volumes, labels = _in_blocks(image, how, workers=workers, scheduler=scheduler)
    else:
        found = segment.phases(image.array, **how)
        estimate = found.estimate
        volumes = [found.labels, *(found.ends() if _uncertain(estimate) else ())]
        labels = [
            segment.separate_particles(p == 1, spacing=spacing) for p in progress(volumes, label="separating particles")
        ]
    if threshold and not 0 < np.count_nonzero(volumes[0]) < volumes[0].size:
        raise InputError(
            f"`--threshold` {' '.join(f'{t:g}' for t in threshold)} leaves one phase only; the phases of this volume "
            f"have grey levels {' and '.join(f'{m:.4g}' for m in estimate.means)}."
        )
    grey = np.asarray(image.array[estimate.box])
    warnings = (*image.warnings, *estimate.warnings)
    return Seen(
        image.with_array(grey), estimate, volumes[0], labels[0], tuple(volumes[1:]), tuple(labels[1:]), warnings
    )  # fmt: skip


def _in_blocks(image: Image, how: Mapping, *, workers: int, scheduler: str | None):
    """Segment block by block, on several processes or a cluster; equal to the in-memory result in every voxel."""
    import tempfile

    import numpy as np

    from .. import blocks, segment

    with blocks.cluster(workers, scheduler) as client, tempfile.TemporaryDirectory(prefix="morpholith-") as scratch:
        estimate = segment.estimate_phases(image.array, **how)
        ends: list = [None]
        if _uncertain(estimate):
            ends += [tuple(i[k] for i in estimate.intervals) for k in (0, 1)]
        volumes, labels = [], []
        for k, thresholds in enumerate(ends):
            stored = segment.phases_blockwise(
                image.array, estimate, store=Path(scratch) / f"phases_{k}", thresholds=thresholds, client=client
            )
            found = segment.separate_blockwise(
                stored, spacing=how["spacing"], store=Path(scratch) / f"labels_{k}", client=client
            )
            volumes.append(np.asarray(stored[...]))
            labels.append(np.asarray(found[...]))
    return estimate, volumes, labels


def _uncertain(estimate: PhaseEstimate) -> bool:
    return any(low < high for low, high in estimate.intervals)


def _fits(shape: tuple[int, ...]) -> bool:
    """Return whether a volume can be worked on in memory as a whole."""
    import math

    return math.prod(shape) <= _affordable()


def _affordable(bytes_per_voxel: int = 60) -> int:
    """Return how many voxels half of the machine's memory holds while they are worked on."""
    import psutil

    return int(0.5 * psutil.virtual_memory().total / bytes_per_voxel)


def _middle(seen: Seen) -> Seen:
    """Return the part of a volume for which transport can be solved in memory; all of it as a rule."""
    from dataclasses import replace

    from .. import measure

    part = measure.middle(seen.phases.shape, largest=_affordable())
    return replace(
        seen, phases=seen.phases[part], labels=seen.labels[part], alternatives=tuple(a[part] for a in seen.alternatives)
    )


def assess(seen: Seen, *, geometric: bool, seed: int, device: str):
    """Turn phases and particles into numbers, tables and error budgets."""
    import numpy as np

    from .. import measure

    spacing = _spacing(seen.image)
    frame = tuple(n * s for n, s in zip(seen.phases.shape, spacing, strict=True))
    rng = np.random.default_rng(seed)
    grey = seen.image.array
    stage("measuring phases and particles")
    numbers = measure.phase_numbers(seen.phases, seen.alternatives, spacing=spacing, blur_um=seen.estimate.blur_um)
    particles = measure.solid_particles(seen.labels, spacing=spacing, grey=grey)
    others = [measure.solid_particles(a, spacing=spacing) for a in seen.alternative_labels]
    numbers |= measure.particle_numbers(particles, others, frame_um=frame, rng=rng)
    inside = {}
    if seen.estimate.thresholds:  # a volume that came segmented shows nothing inside its particles
        particles = with_cracks(particles, seen)
        numbers |= measure.crack_numbers(particles, rng=rng)
        profiles = measure.radial_profiles(grey, seen.labels, spacing=spacing)
        inside = {"radial": profiles, "radial_mean": measure.mean_profile(profiles)}
    extra = measure.inner(seen.phases, seen.alternatives, spacing=spacing)
    numbers |= extra.numbers
    stage("solving for transport")
    budgets = transport(seen, device=device)
    for (phase, axis), b in budgets.items():
        suffix = axis if phase == "pore" else f"{phase}_{axis}"
        numbers[f"tau_{suffix}"] = b.tau
        numbers[f"tau_extrapolated_{suffix}"] = measure.extrapolated(b)
        numbers |= measure.conduction_numbers(b.solution, suffix=suffix)
        if geometric and phase == "pore":
            numbers[f"tortuosity_geometric_{axis}"] = measure.geometric_tortuosity(
                seen.phases == 0, axis="zyx".index(axis), spacing=spacing
            )
    d, weights = measure.whole_particles(particles, frame_um=frame)
    tables = {
        "particles": measure.in_order(particles),
        "contacts": measure.contacts_3d(seen.labels, spacing=spacing),
        "layers": measure.through_thickness(seen.phases, spacing=spacing, particles=particles),
        **inside,
        "size_distribution": measure.size_curve(d, weights=weights, rng=rng),
        "tortuosity": measure.budget_table(budgets),
        **extra.tables,
    }
    return _ordered(numbers, seen), tables, budgets, extra


def with_cracks(particles: pd.DataFrame, seen: Seen) -> pd.DataFrame:
    """Add what is cracked to a table of particles."""
    from .. import measure

    if not seen.estimate.thresholds:
        raise InputError("cracks are read from grey levels, and this volume came segmented; give the tomogram itself.")
    pore = seen.estimate.means[0]
    found = measure.cracks(seen.image.array, seen.labels, spacing=_spacing(seen.image), pore_grey=pore)
    return particles.join(found[["crack_fraction", "crack_se", "crack_volume_um3", "n_cracks"]])


def transport(seen: Seen, *, device: str = "cpu") -> dict[tuple[str, str], TortuosityBudget]:
    """Tortuosity factor with its error budget of pore and solid along z, y and x."""
    from .. import measure

    spacing, seen = _spacing(seen.image), _middle(seen)
    found = {}
    wanted = [(phase, k) for phase in ("pore", "solid") for k in range(3)]
    for phase, k in progress(wanted, label="solving for transport"):
        masks = [(p == 0) == (phase == "pore") for p in (seen.phases, *seen.alternatives)]
        found[phase, "zyx"[k]] = measure.tortuosity_budget(
            masks[0], axis=k, spacing=spacing, alternatives=tuple(masks[1:]) or None, device=device,
            blur_um=seen.estimate.blur_um,
            keep_potential=(phase, k) == ("pore", 0),
        )  # fmt: skip
    return found


def audit(
    numbers: Mapping[str, Quantity], seen: Seen, composition: str, *, density: float | None, loading: float | None,
    thickness: float | None,
) -> Result:  # fmt: skip
    """Hold the porosity of the image against what the mass of the electrode leaves."""
    from .. import measure
    from ..report import electrode as pictures

    binder = "solid" if (seen.phases == 2).any() else "pore"
    balance = measure.mass_balance(
        porosity=numbers["porosity"], composition=measure.composition(composition), density_g_cm3=density,
        loading_mg_cm2=loading, thickness_um=thickness, carbon_binder=binder,
    )  # fmt: skip
    allowed = {
        "mass balance, carbon and binder solid": balance.binder_as_solid,
        "mass balance, carbon and binder pore": balance.binder_as_pore,
    }
    return Result(
        summary={"porosity_mass_balance": balance.expected},
        figures={"mass_balance": pictures.audit({"image": numbers["porosity"]}, allowed)},
        warnings=[*([balance.sentence] if balance.verdict != "agrees" else []), *balance.warnings],
        text={"Mass balance": balance.sentence},
    )


def _check_masses(composition, density, loading, thickness) -> None:
    """Refuse a mass balance that cannot be made before any work is done."""
    from .. import measure

    measure.composition(composition)
    if density is None and (loading is None or thickness is None):
        raise InputError(
            "the mass balance needs `--density`, or `--loading` with `--thickness`, beside `--composition`."
        )


def hand_over(
    seen: Seen, numbers: Mapping[str, Quantity], tables: Mapping[str, pd.DataFrame],
    budgets: Mapping[tuple[str, str], TortuosityBudget], targets: list[str], *, thickness: float | None,
    discharge: bool, seed: int,
) -> Result:  # fmt: skip
    """Write what a battery model needs, and simulate a discharge with it."""
    from .. import export
    from ..report import electrode as pictures

    model = _model(seen, numbers, tables, budgets, thickness)
    files: dict[str, Callable[[Path], object]] = {}
    said = list(model.warnings)
    if "bpx" in targets:
        files["electrode_bpx.json"] = lambda path: export.write_bpx(path, model)
    if "pybamm" in targets:
        files["pybamm"] = lambda path: export.write_pybamm(path, model)
    if not discharge:
        return Result(files=files, warnings=said)
    stage("simulating a discharge")
    run = export.discharge(model, samples=12, rng=seed)
    return Result(
        summary={"capacity_mah_cm2": run.capacity_mah_cm2, "energy_mwh_cm2": run.energy_mwh_cm2},
        tables={"discharge": run.curve, "discharge_samples": run.samples, "discharge_band": run.band},
        figures={"discharge": pictures.discharge(run)},
        files=files,
        warnings=list(dict.fromkeys([*said, *run.warnings])),
    )


def _model(seen, numbers, tables, budgets, thickness):
    """Gather the numbers a battery model needs."""
    from .. import export

    spacing = _spacing(seen.image)
    height = seen.phases.shape[0] * spacing[0]
    layers = tables["layers"]
    whole = tables["particles"][~tables["particles"][c.TOUCHES_EDGE]]
    said = () if thickness else (f"Thickness of the electrode taken as the height of the volume, {height:.4g} um.",)
    scale = (thickness or height) / height
    return export.ElectrodeModel(
        thickness_um=Quantity(thickness or height, unit="um", method="given" if thickness else "height of the volume"),
        porosity=numbers["porosity"],
        active_fraction=numbers["active_fraction"],
        surface_per_um=numbers["surface_um2_per_um3"],
        tau_pore={axis: _best(b) for (phase, axis), b in budgets.items() if phase == "pore"},
        tau_solid={axis: _best(b) for (phase, axis), b in budgets.items() if phase == "solid"},
        sizes=export.area_weighted(whole[c.DIAMETER].to_numpy() / 2),
        profiles=export.resample_profile(
            layers["position_um"].to_numpy() * scale,
            layers["porosity"].to_numpy(),
            layers["active_fraction"].to_numpy(),
        ),
        name=Path(seen.image.provenance.get("path", "electrode")).stem,
        warnings=said,
    )


def _best(budget: TortuosityBudget) -> Quantity:
    """Return tau as the material has it, extrapolated to vanishing voxels where that can be done."""
    from .. import measure

    free = measure.extrapolated(budget)
    return free if free.value == free.value else budget.tau


# --- files, pictures, words ------------------------------------------------------------------------------


def _volumes(seen: Seen, *, tiff: bool):
    """Return writers of the segmented volumes."""
    import numpy as np

    from .. import read

    spacing = _spacing(seen.image)
    kinds = {"phases": seen.phases, "particles_labels": seen.labels}
    files = {}
    for name, array in kinds.items():
        image = Image(array, "zyx", spacing)
        files[f"{name}.zarr"] = partial(read.write_zarr, image=image, labels=True)
        if tiff:
            narrow = array.astype(np.uint16) if array.max(initial=0) < 65536 else array.astype(np.float32)
            files[f"{name}.tif"] = partial(read.write_tiff, image=Image(narrow, "zyx", spacing))
    return files


def _figures(seen: Seen, numbers, tables, budgets, extra) -> dict[str, ReportFigure]:
    from ..report import electrode as pictures

    spacing = _spacing(seen.image)
    named = {f"{phase} {axis}": b for (phase, axis), b in budgets.items()}
    found = {
        "slices": pictures.slices(seen.image.array, seen.phases, seen.labels, spacing=spacing),
        "rendering": pictures.rendering(seen.phases, seen.labels, tables["particles"], spacing=spacing),
        "tortuosity_budget": pictures.budgets(named),
        "tortuosity_voxel_size": pictures.voxel_sequence(named),
        "sizes": pictures.sizes(tables["size_distribution"], tables["particles"], numbers),
        "distances": pictures.distances(tables["two_point"], extra.chords, extra.thickness),
        "layers": pictures.profiles(tables["layers"]),
    }
    if seen.estimate.thresholds:
        found["histogram"] = pictures.histogram(seen.estimate)
        found["radial"] = pictures.radial(tables["radial_mean"])
    solution = budgets["pore", "z"].solution
    if solution.potential is not None:
        found["potential"] = pictures.potential(solution, _middle(seen).phases, spacing=spacing)
    return found


def _cautions(seen: Seen, numbers) -> list[str]:
    from .. import measure

    spacing = _spacing(seen.image)
    said = measure.electrode_cautions(numbers, thickness_um=seen.phases.shape[0] * spacing[0], voxel_um=max(spacing))
    if seen.estimate.thresholds and not seen.estimate.resolved:
        said.append(
            "Carbon-binder is not resolved in the grey levels: what there is of it counts as pore, in narrow necks as "
            "active material."
        )
    part = _middle(seen).phases.shape
    if part != seen.phases.shape:
        said.append(f"Transport was solved in the middle of the volume, {part} of {seen.phases.shape} voxels (memory).")
    return said


def _how(seen: Seen, budgets) -> dict[str, str]:
    from .. import measure

    spacing = " x ".join(f"{s:.4g}" for s in _spacing(seen.image))
    shape = " x ".join(str(n) for n in seen.phases.shape)
    origin = seen.image.provenance.get("voxel_size_from", "given")
    return {
        "What was found": f"{shape} voxels of {spacing} um (z, y, x), from {origin}. {seen.estimate.method}. "
        "Check the outlines first: every number below rests on them.",
        "Transport": " ".join(measure.describe_budget(b) for b in budgets.values()),
    }


def _joined(parts: list[Result], *, title: str, inputs) -> Result:
    """Return one result from several, in order."""
    merged: dict[str, dict] = {name: {} for name in ("summary", "tables", "figures", "files", "text")}
    for part in parts:
        for name, into in merged.items():
            into |= getattr(part, name)
    return Result(title=title, inputs=inputs, warnings=[w for part in parts for w in part.warnings], **merged)


def _ordered(numbers: dict[str, Quantity], seen: Seen) -> dict[str, Quantity]:
    """Return the numbers with those first that head the report."""
    first = (
        "porosity", "active_fraction", "binder_fraction", "tau_z", "tau_y", "tau_x", "surface_um2_per_um3",
        "n_particles", "d50_um", "d50_volume_um", "sphericity_mean",
    )  # fmt: skip
    spacing = _spacing(seen.image)
    origin = seen.image.provenance.get("voxel_size_from", "given")
    sizes = {f"voxel_size_{a}_um": Quantity(s, unit="um", method=origin) for a, s in zip("zyx", spacing, strict=True)}
    return {k: numbers[k] for k in first if k in numbers} | numbers | sizes


def _spacing(image: Image) -> tuple[float, float, float]:
    z, y, x = image.spacing
    return z, y, x


def _targets(export: str | None) -> list[str]:
    """Return the file formats named in ``bpx,pybamm``."""
    targets = [t.strip().lower() for t in (export or "").split(",") if t.strip()]
    for target in targets:
        if target not in EXPORTS:
            raise InputError(f"`--export` takes {' and '.join(EXPORTS)}, with a comma between; got {target!r}.")
    return targets


def _inputs(volume: Path) -> list[Path]:
    """Return the files whose hashes go into the recipe."""
    return [volume]


# --- compare ---------------------------------------------------------------------------------------------


def compare(
    pristine: Path | None = None,
    cycled: Path | None = None,
    /,
    *,
    voxel_size: float | tuple[float, float, float] | None = None,
    voxel_size_cycled: float | tuple[float, float, float] | None = None,
    phases: Literal["auto", "2", "3"] = "auto",
    table: Path | None = None,
    target: str = "expansion",
    predictors: list[str] | None = None,
    equation: str | None = None,
    tiff: bool = False,
    seed: int = 0,
) -> Result:
    """Compare an electrode before and after cycling: same-particle and population expansion, cracks, grey levels.

    The second volume is registered to the first, particles are matched one to one, and each one's change in volume is
    measured from its grey levels. A table of several electrodes, with or without volumes, is regressed.

    Parameters
    ----------
    pristine
        Volume before cycling.
    cycled
        Volume after cycling, of the same place.
    voxel_size
        Edge of a voxel in um, or Z,Y,X; needed when the files do not say it.
    voxel_size_cycled
        The same of the second volume, in um, where it differs.
    phases
        Two phases, or three with carbon-binder; auto takes three when the grey levels resolve it.
    table
        CSV with one row an electrode, to regress the target on the predictors.
    target
        Column of the table to explain.
    predictors
        Columns to explain it with; porosity and tortuosity where they are not named.
    equation
        An equation to try on the table, as "expansion = -0.05 + 0.73 * porosity - 0.09 * tortuosity".
    tiff
        Write the registered volume as TIFF beside the OME-Zarr.
    seed
        Seed of the bootstrap.
    """
    if (pristine is None) != (cycled is None):
        raise InputError("two volumes are compared, PRISTINE and CYCLED; only one was given.")
    if pristine is None and table is None:
        raise InputError("give two volumes, PRISTINE and CYCLED, or a `--table` of electrodes, or both.")
    parts = []
    if pristine is not None and cycled is not None:
        parts.append(_compared(pristine, cycled, voxel_size, voxel_size_cycled or voxel_size, phases, tiff, seed))
    if table is not None:
        parts.append(regress(table, target, predictors or ["porosity", "tortuosity"], equation, seed=seed))
    inputs = [p for p in (pristine, cycled, table) if p is not None]
    return _joined(parts, title="Electrode before and after cycling", inputs=inputs)


def _compared(pristine, cycled, voxel_size, voxel_size_cycled, n_phases, tiff, seed) -> Result:
    """Register, match and measure two volumes of one electrode."""
    import numpy as np

    from .. import measure, read, track
    from ..report import compare as pictures

    images = [read.volume(pristine, voxel_size=voxel_size), read.volume(cycled, voxel_size=voxel_size_cycled)]
    stage("finding phases and particles")
    seen = [look(image, n_phases=n_phases) for image in images]
    spacings = [_spacing(image) for image in images]
    greys = [one.image.array for one in seen]
    stage("registering")
    transform = track.register_volumes(*greys, spacing=spacings[0], moving_spacing=spacings[1])
    particles = [
        measure.solid_particles(s.labels, spacing=p, grey=g) for s, p, g in zip(seen, spacings, greys, strict=True)
    ]
    matches = track.match_particles(*particles, transform=transform)
    rng = np.random.default_rng(seed)
    pairs = [(g, one.labels) for g, one in zip(greys, seen, strict=True)]
    found = measure.expansion(
        matches, *pairs, spacing=spacings[0], moving_spacing=spacings[1], matrix=transform.matrix, rng=rng
    )
    frames = [tuple(n * w for n, w in zip(s.phases.shape, p, strict=True)) for s, p in zip(seen, spacings, strict=True)]
    cracked = [with_cracks(p, one) for p, one in zip(particles, seen, strict=True)]
    numbers = {
        "expansion_matched": found.matched,
        "expansion_population": found.population,
        "n_matched": Quantity(found.n_matched, n=found.n_matched, method="particles whole in both volumes"),
        "expansion_matched_median": found.matched_median,
        "expansion_matched_grey": found.matched_grey,
    }
    numbers |= _registration(transform) | _status(matches)
    for name, one, t in zip(("pristine", "cycled"), seen, cracked, strict=True):
        fractions = measure.phase_numbers(
            one.phases, one.alternatives, spacing=_spacing(one.image), blur_um=one.estimate.blur_um
        )
        numbers[f"porosity_{name}"] = fractions["porosity"]
        numbers |= {f"{k}_{name}": q for k, q in measure.crack_numbers(t, rng=rng).items()}
    aligned = transform.resample(greys[1], moving_spacing=spacings[1], shape=greys[0].shape, spacing=spacings[0])
    labels_after = transform.resample(
        seen[1].labels, moving_spacing=spacings[1], shape=greys[0].shape, spacing=spacings[0], order=0
    )
    curves = [
        measure.size_curve(d, weights=w, rng=rng)
        for d, w in (measure.whole_particles(p, frame_um=f) for p, f in zip(particles, frames, strict=True))
    ]
    levels = [measure.grey_levels(s.image.array, pore=s.estimate.means[0], active=s.estimate.means[1]) for s in seen]
    registered = Image(_as_stored(aligned, greys[1]), "zyx", spacings[0])
    files = {"cycled_registered.zarr": partial(read.write_zarr, image=registered)}
    if tiff:
        files["cycled_registered.tif"] = partial(read.write_tiff, image=registered)
    return Result(
        summary=numbers,
        tables={
            "expansion": found.particles, "matches": matches.set_index("before"), "particles_pristine": cracked[0],
            "particles_cycled": cracked[1],
        },
        figures={
            "who_is_who": pictures.pairs(
                greys[0], aligned, seen[0].labels, labels_after, matches, spacing=spacings[0]
            ),
            "expansion": pictures.expansion(found.particles, found.matched, found.population),
            "size_shift": pictures.sizes(*curves),
            "grey_levels": pictures.grey_levels(*levels),
        },
        files=files,
        warnings=[*_both(seen), *transform.warnings, *found.warnings],
        text={"What was compared": f"Registered with a correlation of {transform.correlation:.2f} over "
              f"{transform.overlap:.0%} of the volume; {found.n_matched} particles are whole in both."},
    )  # fmt: skip


def regress(table: Path, target: str, predictors: list[str], equation: str | None, *, seed: int) -> Result:
    """Regress a target on predictors over several electrodes, and judge what the fit is worth."""
    from .. import measure
    from ..read import table as read_table
    from ..report import compare as pictures

    fit = measure.linear_fit(read_table(table), target=target, predictors=predictors, given=equation, rng=seed)
    numbers = {f"coefficient_{name}": q for name, q in fit.coefficients.items()}
    for key, value, how in (
        ("r2", fit.r2, "explained share of the variance of the points fitted"),
        ("q2", fit.q2, "explained share of each point predicted from the others (leave-one-out)"),
        ("press_rmse", fit.press_rmse, "root mean square of the leave-one-out errors"),
    ):
        numbers[f"regression_{key}"] = Quantity(value, n=fit.n, method=how)
    if fit.given is not None:
        numbers["given_equation_r2"] = Quantity(fit.given.r2, n=fit.n, method=f"of {equation} on the table")
    return Result(
        summary=numbers,
        tables={
            "regression_points": fit.points.rename_axis("electrode"),
            "regression_without": fit.leave_one_out.rename_axis("electrode"),
        },
        figures={"regression": pictures.regression(fit)},
        warnings=list(fit.sentences),
        text={"Regression": " ".join(fit.sentences)},
    )


def _registration(transform) -> dict[str, Quantity]:
    how = "of the affine map between the volumes"
    return {
        "registration_correlation": Quantity(transform.correlation, method="of the grey levels once registered"),
        "rotation_deg": Quantity(transform.rotation_deg, unit="deg", method=how),
    } | {f"stretch_{a}": Quantity(s, method=how) for a, s in zip("zyx", transform.stretch, strict=True)}


def _status(matches: pd.DataFrame) -> dict[str, Quantity]:
    counts = matches["status"].value_counts()
    meant = {
        "lost": "in the first volume alone", "new": "in the second alone", "cut": "cut by a face in either",
        "outside": "its place lies outside the other volume",
    }  # fmt: skip
    return {f"n_{k}": Quantity(int(counts.get(k, 0)), method=f"particles {how}") for k, how in meant.items()}


def _as_stored(aligned, like):
    """Return a resampled volume in the type of the one it was read from; what was not seen becomes 0."""
    import numpy as np

    filled = np.nan_to_num(aligned)
    return (
        filled if like.dtype.kind == "f" else np.clip(np.rint(filled), 0, np.iinfo(like.dtype).max).astype(like.dtype)
    )


def _both(seen: list[Seen]) -> list[str]:
    return [f"{name}: {w}" for name, one in zip(("pristine", "cycled"), seen, strict=True) for w in one.warnings]
