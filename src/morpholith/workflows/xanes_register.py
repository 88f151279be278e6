"""Particles of a working electrode, found in XANES scans, followed and registered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from ..errors import InputError, InputWarning
from ..image import Image
from ..progress import stage
from ..results import Result
from ._register_story import cautions, empty_scans, figures, how_it_was_done, numbers, spacing_of, write_film

if TYPE_CHECKING:
    import numpy as np

    from ..checkpoint import Store
    from ..track import Joined


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
            corner_px=found.corner_px(number), spacing=spacing_of(image),
            energies_ev=energies, tiff=tiff,
        )  # fmt: skip
    files["energies.txt"] = lambda path: np.savetxt(path, energies, fmt="%.4f", header="eV")
    files["film.gif"] = lambda path: write_film(path, found, kept, energies)
    return Result(
        summary=numbers(motion, deformation, before, after, image),
        tables={
            "motion": motion,
            "particles": particles,
            "paths": paths,
            "deformation": deformation.frames,
            "deformation_particles": deformation.particles,
        },
        figures=figures(found, image, kept, motion, paths, deformation, before, after),
        files=files,
        warnings=[*image.warnings, *empty_scans(found), *cautions(motion, inflation)],
        text={"How it was done": how_it_was_done(image, inflation)},
        title="Particles of a working electrode, registered",
    )


def _similarities(found: Joined, kept: Store, kind: str) -> dict[int, np.ndarray]:
    """Return the similarity of neighbouring frames of every particle, all scans in a row."""
    import numpy as np

    out: dict[int, np.ndarray] = {}
    for number in found.numbers:
        name = f"{number}_ssim{kind}"
        parts = [kept.get(f"regions_{t:04d}", [name]).get(name) for t in range(len(found.scans))]
        out[number] = np.concatenate([p for p in parts if p is not None])
    return out


def _paths(motion, deformation, smooth):
    from .. import track

    # a path is a sum of moves: its noise is theirs
    moves = motion.assign(sigma_px=motion["sigma_move_px"] / 2**0.5)
    return track.path_table(moves, deformation.frames, smoothed=smooth)


# --- what the work depends on ------------------------------------------------------------------------------------


def _inputs(*given) -> list[Path]:
    """Return every file that was named, those of folders included."""
    named = [p for g in given if g is not None for p in (g if isinstance(g, list) else [g])]
    return sorted({f for p in named for f in (p.rglob("*") if p.is_dir() else [p]) if f.is_file()})


def _stamps(files: list[Path]) -> list[tuple[str, int, int]]:
    """Return name, size and time of each file: kept scans of other files are not taken for these."""
    return [(str(f.resolve()), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
