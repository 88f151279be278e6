"""Particles of a working electrode, found in XANES scans, followed and registered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from ..errors import InputError, InputWarning
from ..image import Image, Quantity
from ..progress import stage
from ..results import ReportFigure, Result

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from ..checkpoint import Store
    from ..track import Deformation, Joined

SHOWN = 5  # frames in the overlay
FILM_FRAMES = 60


def register(
    scans: list[Path],
    /,
    *,
    energies: Path | None = None,
    flat: list[Path] | None = None,
    dark: list[Path] | None = None,
    dataset: str | None = None,
    pixel_size: float | None = None,
    crop: tuple[int, int, int, int] | None = None,
    find: Literal["pooled", "classical", "cyclegan", "supervised"] = "pooled",
    min_diameter: float = 25.0,
    align: Literal["template", "mask"] = "template",
    single_frames: bool = False,
    tiff: bool = False,
    work: str | None = None,
    workers: int = 1,
    scheduler: str | None = None,
    device: Literal["cpu", "cuda"] = "cpu",
) -> Result:
    """Find the particles of an electrode in XANES scans, follow them through all frames and register each of them.

    Every particle is registered for itself, against what all its frames have in common: rotation and breathing
    included, with a standard error in every frame, interpolated once. ``motion.csv`` says where each was,
    ``aligned/`` holds the registered stacks for `morpholith xanes map`.

    Parameters
    ----------
    scans
        Zeiss xrm files or their folder, txrm, HDF5 (data-exchange), a TIFF stack or folder, zarr, npy; several scans as
        several files or folders, or along the first axis.
    energies
        File with the energy of each frame, one a line, eV or keV, when the scan does not say it.
    flat
        Frames without sample, when they are not beside or inside the scan.
    dark
        Frames without beam.
    dataset
        Which array of an HDF5 file or zarr store.
    pixel_size
        Edge of a pixel in um, when the file does not say it; without it lengths are in pixels only.
    crop
        Part of the frames to use: y0, y1, x0, x1 in pixels.
    find
        How particles are found: in the frames pooled (pooled), frame by frame (classical), by Cycle-GAN and Dual U-Net
        (cyclegan), or by one U-Net (supervised).
    min_diameter
        Smallest particle, in pixels.
    align
        Register to a common template, or by the centre of mass of the mask in each frame.
    single_frames
        Take every frame for itself: positions are not smoothed over frames.
    tiff
        Write the registered stacks as TIFF beside the OME-Zarr.
    work
        Folder that keeps finished scans; the same command goes on from there after it was stopped.
    workers
        Processes that share the scans.
    scheduler
        Address of a running Dask scheduler to hand scans to.
    device
        Where networks run.
    """
    from .. import __version__, blocks, checkpoint, read, track

    image = read.scan(
        scans, energies=energies, flat=flat, dark=dark, dataset=dataset, pixel_size=pixel_size, crop=crop
    )  # fmt: skip
    if not min_diameter >= 5:
        raise InputError(f"`--min-diameter` must be at least 5 pixels, got {min_diameter:g}.")
    how = {"find": find, "min_diameter": min_diameter, "align": align, "smooth": not single_frames, "device": device}
    files = _inputs(scans, energies, flat, dark)
    key = {
        **how,
        "version": __version__,
        "energies": image.coordinates["e"].tolist(),
        "files": _stamps(files),
        "crop": crop,
        "dataset": dataset,
    }
    kept = checkpoint.store(work, key=key)
    every = range(image.shape[0] if image.axes == "teyx" else 1)
    with blocks.cluster(workers, scheduler) as client:
        stage("following particles")
        one = partial(_follow_scan, image=image, how=how, kept=kept)
        blocks.run(one, every, client=client, label="following particles")
        followed = [track.from_arrays(kept.get(f"scan_{t:04d}")) for t in every]
        if not any(one.particles for one in followed):
            raise InputError(
                f"no particle of at least {min_diameter:g} pixels was found in {image.provenance['path']}; try "
                "--min-diameter or another --find, and see whether particles are brighter than their surroundings and "
                "lie whole in the field."
            )
        found = track.join(followed)
        region = partial(_cut_scan, image=image, found=found, kept=kept)
        blocks.run(region, every, client=client, label="aligning")
    stage("gathering numbers")
    result = _result(found, image, kept, inflation=[f.inflation for f in followed], smooth=not single_frames, tiff=tiff)
    return replace(result, inputs=files)


# --- one scan ----------------------------------------------------------------------------------------------------


def _follow_scan(t: int, *, image: Image, how: dict, kept: Store) -> None:
    """Find, link and register the particles of one scan, unless that was done before."""

    def make():
        from warnings import catch_warnings, simplefilter

        import numpy as np

        from .. import segment, track

        stack = _scan_of(image, t)
        labels = segment.find_particles(
            stack, method=how["find"], min_diameter_px=how["min_diameter"], device=how["device"]
        )
        pooled = how["find"] == "pooled"
        with catch_warnings():
            simplefilter("ignore", InputWarning)  # scans without a particle are told of at the end, together
            followed = track.follow(
                stack, labels, align=how["align"], smooth=how["smooth"], images=not pooled,
                min_area_px=0.8 * np.pi / 4 * how["min_diameter"] ** 2,
            )  # fmt: skip
        return track.to_arrays(followed)

    kept.once(f"scan_{t:04d}", make)


def _cut_scan(t: int, *, image: Image, found: Joined, kept: Store) -> None:
    """Cut every particle out of one scan, aligned and as it was, unless that was done before."""
    from .. import track

    kept.once(f"regions_{t:04d}", lambda: track.cut(_scan_of(image, t), found, t))


def _scan_of(image: Image, t: int) -> np.ndarray:
    import numpy as np

    return np.asarray(image.array[t] if image.axes == "teyx" else image.array[...], np.float32)


@dataclass(frozen=True)
class _Region:
    """The registered stack of one particle, (t, e, y, x), taken from what was kept a scan at a time."""

    kept: Store
    number: int
    shape: tuple[int, int, int, int]
    ndim: int = 4

    def __getitem__(self, t: int) -> np.ndarray:
        import numpy as np

        found = self.kept.get(f"regions_{t:04d}", [f"{self.number}"])
        return found.get(f"{self.number}", np.full(self.shape[1:], np.nan, np.float32))


# --- what is told ------------------------------------------------------------------------------------------------


def _result(found: Joined, image: Image, kept: Store, *, inflation: list[float], smooth: bool, tiff: bool) -> Result:
    """Gather numbers, tables, aligned stacks and pictures."""
    import numpy as np

    from .. import read, track

    energies = image.coordinates["e"]
    motion = track.motion_of(found, energies)
    measured = np.where(found.gathered("status") == "measured", 1.0, np.nan)
    sigma = np.sqrt((found.gathered("sigma_px") ** 2).mean(-1)) * measured
    deformation = track.decompose(
        found.gathered("centre_px") * measured[..., None], sigma_px=sigma, energies_ev=energies
    )
    paths = _paths(motion, deformation, smooth)
    before, after = (_similarities(found, kept, kind) for kind in ("_before", ""))
    particles = track.particle_table(found, motion, after)
    files: dict[str, Callable[[Path], object]] = {}
    for number in found.numbers:
        mask = found.masks[number]
        files |= read.aligned_files(
            number, cast(Any, _Region(kept, number, (len(found.scans), len(energies), *mask.shape))), mask,
            corner_px=found.corner_px(number), spacing=_spacing(image),
            energies_ev=energies, tiff=tiff,
        )  # fmt: skip
    files["energies.txt"] = lambda path: np.savetxt(path, energies, fmt="%.4f", header="eV")
    files["film.gif"] = lambda path: _film(path, found, kept, energies)
    return Result(
        summary=_numbers(motion, deformation, before, after, image),
        tables={
            "motion": motion,
            "particles": particles,
            "paths": paths,
            "deformation": deformation.frames,
            "deformation_particles": deformation.particles,
        },
        figures=_figures(found, image, kept, motion, paths, deformation, before, after),
        files=files,
        warnings=[*image.warnings, *_empty_scans(found), *_cautions(motion, inflation)],
        text={"How it was done": _how(image, inflation)},
        title="Particles of a working electrode, registered",
    )


def _spacing(image: Image) -> tuple[float, ...] | None:
    """Return the pixel size; None where nobody told it."""
    return None if image.provenance["pixel_size_from"] == "none" else image.spacing


def _similarities(found: Joined, kept: Store, kind: str) -> dict[int, np.ndarray]:
    """Return the similarity of neighbouring frames of every particle, all scans in a row."""
    import numpy as np

    out: dict[int, np.ndarray] = {}
    for number in found.numbers:
        name = f"{number}_ssim{kind}"
        parts = [kept.get(f"regions_{t:04d}", [name]).get(name) for t in range(len(found.scans))]
        out[number] = np.concatenate([p for p in parts if p is not None])
    return out


def _numbers(motion: pd.DataFrame, deformation: Deformation, before, after, image: Image) -> dict[str, Quantity]:
    import numpy as np

    good = motion[motion["status"] == "measured"]
    n = motion["particle"].nunique()
    sigma = good["sigma_position_px"]
    both = {name: _mean_of(parts) for name, parts in (("after", after), ("before", before))}
    residual = float(np.sqrt((sigma**2).mean())) if len(sigma) else float("nan")
    told = (
        "neighbouring frames of each region after a Gaussian of 2 px, mean over particles; interval: Student over them"
    )
    moved = good.groupby("particle")[["dy_px", "dx_px"]].apply(lambda d: float(np.hypot(d.dy_px, d.dx_px).max()))
    frames, energies = deformation.frames, image.coordinates["e"]
    strain = float(frames[["strain_yy", "strain_xx", "strain_xy"]].abs().max().max())
    own = float(frames["residual_rms_px"].max())
    lying = "no frame shows {} particles that are not in a line"
    return {
        "n_particles": Quantity(n, n=n, method="followed through at least one scan"),
        "n_frames": Quantity(len(motion) // max(n, 1), method="energies times scans"),
        "n_measured": Quantity(len(good), n=len(motion), method="particle and frame pairs that were measured"),
        "n_refused": Quantity(int((motion["status"] == "refused").sum()), n=len(motion), method="evidence too weak"),
        "residual_px": Quantity(
            residual, low=float(sigma.quantile(0.025)) if len(sigma) else None,
            high=float(sigma.quantile(0.975)) if len(sigma) else None, n=len(sigma), unit="px",
            method="root mean square standard error of the positions per axis; interval: 95 % of the frames",
        ),
        "ssim_mean": _interval(both["after"], f"SSIM of {told}"),
        "ssim_before": _interval(both["before"], f"the same of regions that stay in place: {told}"),
        "largest_displacement_px": Quantity(
            float(moved.max()) if len(moved) else float("nan"), n=n, unit="px", method="from the first frame, any"
        ),
        "largest_strain": Quantity(
            strain, n=len(frames), method="of the field as a whole, any component and frame",
            warning=None if strain == strain else f"not resolved: {lying.format('three')}",
        ),
        "own_motion_px": Quantity(
            own, n=len(frames), unit="px", warning=None if own == own else f"not resolved: {lying.format('four')}",
            method="what single particles did beyond shift, rotation and strain: root mean square per axis, any frame",
        ),
        "energy_low_ev": Quantity(float(energies[0]), unit="eV", method=image.provenance["energies_from"]),
        "energy_high_ev": Quantity(float(energies[-1]), unit="eV", method=image.provenance["energies_from"]),
    }  # fmt: skip


def _mean_of(parts) -> np.ndarray:
    import numpy as np

    means = [np.mean(p[np.isfinite(p)]) for p in parts.values() if np.isfinite(p).any()]
    return np.array(means)


def _interval(values, method) -> Quantity:
    from scipy import stats

    if len(values) < 2:
        return Quantity(float(values[0]) if len(values) else float("nan"), n=len(values), method=method)
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    mean = float(values.mean())
    return Quantity(mean, low=mean - float(half), high=min(mean + float(half), 1.0), n=len(values), method=method)


def _empty_scans(found: Joined) -> list[str]:
    empty = [str(t) for t, scan in enumerate(found.scans) if not scan]
    return [f"No particle was found in {len(empty)} of {len(found.scans)} scans ({', '.join(empty)})."] if empty else []


def _cautions(motion: pd.DataFrame, inflation: list[float]) -> list[str]:
    """Return what a reader of the numbers has to know."""
    told = []
    wide = motion[(motion["status"] == "measured") & (motion["sigma_position_px"] > 0.1)]
    n = len(motion)
    if len(wide) > 0.02 * n:
        low, high = wide["energy_ev"].min(), wide["energy_ev"].max()
        told.append(
            f"In {len(wide) / n:.0%} of the frames a position is known to no better than 0.1 px (worst "
            f"{wide['sigma_position_px'].max():.2f} px), between {low:.1f} and {high:.1f} eV: see motion.csv."
        )
    refused = motion[motion["status"] == "refused"]
    if len(refused):
        told.append(
            f"{len(refused)} of {n} positions were refused, the evidence in the frame being too weak, and are "
            f"predicted from the others ({refused['energy_ev'].min():.1f} to {refused['energy_ev'].max():.1f} eV)."
        )
    if max(inflation) > 1.3:
        told.append(
            f"Positions scatter {max(inflation):.1f} times more than the frames alone explain; standard errors were "
            "enlarged by that."
        )
    if motion["particle"].nunique() < 3:
        told.append("Strain of the field is not identifiable from fewer than three particles.")
    return told


def _how(image: Image, inflation: list[float]) -> str:
    where = image.provenance
    return (
        f"Energies: {where['energies_from']}. Flats: {where['flats_from']}. Pixel size: {where['pixel_size_from']}.\n\n"
        "Each particle is registered to one template made of all its frames, after what is wider than a few pixels "
        "was taken out of them, with shift, rotation and breathing of its own in every frame. Standard errors come "
        "from the residuals of the frame, summed over tiles of 8 px so that correlated noise counts, times "
        f"{max(inflation):.2f} so that they agree with the scatter of the positions."
    )


# --- pictures ----------------------------------------------------------------------------------------------------


def _figures(
    found: Joined, image: Image, kept: Store, motion, paths, deformation, before, after
) -> dict[str, ReportFigure]:
    import numpy as np

    from ..report import motion as draw

    first = np.asarray(image.array[0, -1] if image.axes == "teyx" else image.array[-1], np.float32)
    ends = _ends(found, kept)
    masks = {number: found.masks[number] for number in ends}
    spacing = _spacing(image)
    told = motion.assign(sigma_px=motion["sigma_position_px"])
    figures = {
        "particles": draw.overlay(_outlined(found, image), spacing=spacing),
        "paths": draw.paths(told, paths, deformation.frames),
        "velocities": draw.velocities(told, deformation.frames),
        "similarity": draw.similarity(before, after),
        "differences": draw.differences(ends, masks),
        "sigma": draw.sigmas(told),
        "trajectories": draw.trajectories(told, deformation.frames, image=first, spacing=spacing),
        "deformation": draw.strains(deformation.frames),
        "residuals": draw.residual_map(told, deformation.particles, image=first, spacing=spacing),
    }
    figures["film"] = _moving(found, kept, image.coordinates["e"])
    return figures


def _paths(motion, deformation, smooth):
    from .. import track

    # a path is a sum of moves: its noise is theirs
    moves = motion.assign(sigma_px=motion["sigma_move_px"] / 2**0.5)
    return track.path_table(moves, deformation.frames, smoothed=smooth)


def _outlined(found: Joined, image: Image) -> dict:
    """Return frames across the scan, each with the outlines where the particles were found in it."""
    import numpy as np

    from .. import track

    energies = image.coordinates["e"]
    out = {}
    for e in np.unique(np.linspace(0, len(energies) - 1, SHOWN).round().astype(int)):
        frame = np.asarray(image.array[0, e] if image.axes == "teyx" else image.array[e], np.float32)
        out[f"{energies[e]:.1f} eV"] = (frame, track.outlines_in(found, frame.shape, 0, int(e)))
    return out


def _ends(found: Joined, kept: Store) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Return a particle's first scan before and after alignment, (e, y, x) each, for a dozen particles at most."""
    out = {}
    for number in found.numbers[:12]:
        t = next(t for t, scan in enumerate(found.scans) if number in scan)
        parts = kept.get(f"regions_{t:04d}", [f"{number}_before", f"{number}"])
        out[number] = (parts[f"{number}_before"], parts[f"{number}"])
    return out


def _montages(found: Joined, kept: Store, energies):
    """Return the regions of particles in their first scan, side by side, before and after, in at most sixty frames."""
    import numpy as np

    from ..report.film import montage

    chosen = np.unique(np.linspace(0, len(energies) - 1, min(FILM_FRAMES, len(energies))).round().astype(int))
    ends = _ends(found, kept)
    before, after = (montage({n: pair[k][chosen] for n, pair in ends.items()}) for k in (0, 1))
    masks = montage({n: np.where(found.masks[n][None], 1.0, 0.0) for n in ends})[0]
    return before, after, np.nan_to_num(masks).astype(int), energies[chosen]


def _film(path: Path, found: Joined, kept: Store, energies) -> None:
    from ..report.film import film

    before, after, masks, shown = _montages(found, kept, energies)
    film(path, before, after, energies_ev=shown, outlines=masks)


def _moving(found: Joined, kept: Store, energies) -> ReportFigure:
    from ..report.film import film_figure

    before, after, masks, shown = _montages(found, kept, energies)
    return film_figure(before, after, energies_ev=shown, outlines=masks)


# --- what the work depends on ------------------------------------------------------------------------------------


def _inputs(*given) -> list[Path]:
    """Return every file that was named, those of folders included."""
    named = [p for g in given if g is not None for p in (g if isinstance(g, list) else [g])]
    return sorted({f for p in named for f in (p.rglob("*") if p.is_dir() else [p]) if f.is_file()})


def _stamps(files: list[Path]) -> list[tuple[str, int, int]]:
    """Return name, size and time of each file: kept scans of other files are not taken for these."""
    return [(str(f.resolve()), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
