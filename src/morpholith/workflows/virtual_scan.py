"""A virtual XANES scan on disk, with its truth beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .._checks import positive
from ..errors import InputError
from ..image import Image, Quantity
from ..progress import progress
from ..results import ReportFigure, Result

if TYPE_CHECKING:
    import numpy as np

    from ..specimens.scans import VirtualScan

MOST_BYTES = 64e9
KEPT_BYTES = 1e9  # scans up to this size are rendered once and kept; larger ones are written frame by frame
SHOWN_EV = (8250.0, 8335.0, 8343.0, 8350.0, 8420.0)


def scan(
    *,
    difficulty: Literal["easy", "typical", "hard", "faint"] = "typical",
    shape: float | tuple[float, float] = 460,
    n_energies: int = 143,
    scans: int = 1,
    particles: int = 9,
    diameter: float | tuple[float, float] = (60.0, 110.0),
    pixel_size: float | None = None,
    counts: float | None = None,
    contrast: float | None = None,
    jitter: float | None = None,
    drift: float | None = None,
    walk: float | None = None,
    rotation: float | None = None,
    breathing: float | None = None,
    strain: float | None = None,
    background: float | None = None,
    debris: int | None = None,
    touching: int | None = None,
    overlapping: int = 0,
    entering: int = 0,
    leaving: int = 0,
    dropped: int | None = None,
    saturated: int = 0,
    references: Path | None = None,
    tiff: bool = False,
    labels: bool = False,
    seed: int = 0,
) -> Result:
    """Make a virtual XANES scan of a monolayer of particles at the Ni K edge, with the exact truth beside it.

    Writes ``scan.h5`` (frames, flats and dark in counts, energies and pixel size, as data exchange), ``truth.csv``
    (where each particle is in each frame, how far it has turned and grown), ``truth_particles.csv`` (size, pattern
    and mean state of each particle), ``states/particle_001.tif`` (its state in each scan, in its own frame of
    reference), ``references/state_0.txt`` and ``state_1.txt`` (spectra of the end members) and ``truth.json``. With
    ``--tiff`` the optical density as well, ``scan.tif`` and ``energies.txt``; with ``--labels`` ``scan_labels.tif``.

    Parameters
    ----------
    difficulty
        Noise, contrast below the edge, background and motion; the options below replace parts of it.
    shape
        Pixels of a frame, one number or y,x.
    n_energies
        Number of energies, from 8200 to 8600 eV, dense through the edge.
    scans
        Number of scans while the electrode is charged.
    particles
        Number of particles.
    diameter
        Diameter of the particles in pixels, one number or smallest,largest.
    pixel_size
        Edge of a pixel in um, 0.0389 unless given.
    counts
        Mean counts of a pixel in a flat exposure.
    contrast
        Optical density above the edge at the centre of a particle 85 pixels across.
    jitter
        Standard deviation of the stage from frame to frame, pixels.
    drift
        Slow drift of the stage over a scan, standard deviation, pixels.
    walk
        Step of each particle for itself from frame to frame, standard deviation, pixels.
    rotation
        Turn of each particle over a scan, standard deviation, degrees.
    breathing
        Change of size of each particle over a scan, standard deviation, as a ratio.
    strain
        Strain of the electrode over a scan, standard deviation of each component.
    background
        Root mean square optical density of the binder.
    debris
        Number of small bits of active material, which are no particles of the truth.
    touching
        Pairs of particles that touch.
    overlapping
        Pairs of particles that lie over each other.
    entering
        Particles that come into the field.
    leaving
        Particles that go out of it.
    dropped
        Frames of each scan that are all zero.
    saturated
        Overexposed frames of each scan.
    references
        Folder with two measured spectra, in place of the computed ones: the end members of the chemistry, that of the
        lower edge first.
    tiff
        Write the optical density as well.
    labels
        Write the exact label image of every frame.
    seed
        Same seed, same scan.
    """
    from ..specimens import Scan
    from ..specimens import scan as draw

    size = _pixels(shape)
    if min(size) < 16 or scans < 1 or n_energies < 1:
        raise InputError(
            f"a scan needs --shape of at least 16 pixels, --scans and --n-energies of at least 1; got {shape}, {scans} "
            f"and {n_energies}."
        )
    if seed < 0:
        raise InputError(f"--seed must not be negative, got {seed}.")
    if 2.0 * size[0] * size[1] * scans * n_energies > MOST_BYTES:
        raise InputError(
            f"{scans} scans of {n_energies} energies of {size[0]} x {size[1]} pixels take more than "
            f"{MOST_BYTES / 1e9:.0f} GB; ask for fewer or smaller frames."
        )
    changes = {
        "counts": counts, "contrast": contrast, "jitter_px": jitter, "drift_px": drift, "walk_px": walk,
        "rotation_deg": rotation, "breathing": breathing, "strain": strain, "background": background,
        "debris": debris, "touching": touching, "dropped": dropped,
    }  # fmt: skip
    for name, value in changes.items():
        if value is not None and value < 0:
            raise InputError(f"--{name.removesuffix('_px').removesuffix('_deg')} must not be negative, got {value}.")
    pixel = 0.0389 if pixel_size is None else positive(pixel_size, name="--pixel-size")
    members = None if references is None else end_members(references)
    params = Scan.of(
        difficulty, shape=size, n_energies=n_energies, n_scans=scans, n_particles=particles, pixel_um=pixel,
        diameter_px=(diameter, diameter) if isinstance(diameter, int | float) else tuple(diameter),
        overlapping=overlapping, entering=entering, leaving=leaving, saturated=saturated, references=members,
        **{k: v for k, v in changes.items() if v is not None},
    )  # fmt: skip
    return virtual_scan(draw(params, rng=seed), tiff=tiff, labels=labels)


def _pixels(shape: float | tuple[float, float]) -> tuple[int, int]:
    y, x = (shape, shape) if isinstance(shape, int | float) else shape
    if y % 1 or x % 1 or not (abs(y) < 1e9 and abs(x) < 1e9):
        raise InputError(f"--shape must be whole numbers of pixels, got {y:g},{x:g}.")
    return int(y), int(x)


def end_members(folder: Path) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Read two measured spectra and normalise them: energies in eV and absorption, the lower edge first."""
    import numpy as np

    from .. import measure, read

    spectra = read.references(folder)
    if len(spectra) != 2:
        raise InputError(
            f"--references must hold the spectra of the two end members; {folder} holds {len(spectra)} "
            f"({', '.join(spectra)})."
        )
    found = []
    for one in spectra.values():
        edge = measure.find_e0(one.energy_ev, one.mu)
        if not edge == edge:
            raise InputError(f"{one.source} shows no absorption edge; give the spectrum of an end member.")
        flat = one.mu
        if not one.normalised:
            ranges = measure.edge_ranges(one.energy_ev, edge)
            flat = np.ravel(measure.normalise(one.mu, one.energy_ev, ranges).norm)
        found.append((edge, (one.energy_ev, flat)))
    low, high = sorted(found, key=lambda pair: pair[0])
    return low[1], high[1]


def virtual_scan(made: VirtualScan, *, tiff: bool = False, labels: bool = False) -> Result:
    """Gather frames, pictures and truth of a virtual scan in a result; large ones are rendered while written."""
    p = made.params
    files: dict[str, Callable[[Path], object]] = {
        "scan.h5": partial(_write_exchange, made=made),
        "truth.csv": lambda path: made.truth.to_csv(path, index=False),
        "truth_particles.csv": lambda path: made.particles.to_csv(path, index=False),
        "truth.json": lambda path: path.write_text(json.dumps(scan_truth(made), indent=2) + "\n"),
        "references/state_0.txt": partial(_write_reference, made=made, state=0.0),
        "references/state_1.txt": partial(_write_reference, made=made, state=1.0),
    }
    for i in range(1, p.n_particles + 1):
        files[f"states/particle_{i:03d}.tif"] = partial(_write_states, made=made, particle=i)
    ends = [""] if p.n_scans == 1 else [f"_{t:03d}" for t in range(p.n_scans)]
    for t, end in enumerate(ends):
        if tiff:
            files[f"scan{end}.tif"] = partial(_write_series, made=made, one=made.optical_density, scan=t)
        if labels:
            files[f"scan_labels{end}.tif"] = partial(_write_series, made=made, one=made.labels, scan=t)
    if tiff:
        files["energies.txt"] = lambda path: path.write_text("".join(f"{e:.3f}\n" for e in made.energies_ev))
    return Result(
        summary=scan_quantities(made), files=files, figures=_figures(made), title="Virtual XANES scan",
        warnings=["Virtual specimen: every frame is computed, none was taken at a beamline."],
    )  # fmt: skip


def scan_quantities(made: VirtualScan) -> dict[str, Quantity]:
    """Return the true numbers of a scan as quantities."""
    import numpy as np

    p, truth = made.params, made.truth
    exact = "exact"
    path = truth.groupby("particle")[["y_px", "x_px"]].agg(lambda v: float(v.iloc[-1] - v.iloc[0]))
    start, end = made.params.chemistry.edge_energy([0.0, 1.0])
    own = path.to_numpy() - (made.stage[-1] - made.stage[0])
    found = {
        "n_particles": Quantity(p.n_particles, method=exact),
        "n_frames": Quantity(p.n_scans * p.n_energies, method=exact),
        "stage_jitter_px": Quantity(p.jitter_px, unit="px", method="standard deviation per axis, as asked for"),
        "own_motion_px": Quantity(
            float(np.sqrt((own**2).sum(1).mean())) if len(own) else float("nan"), unit="px", n=len(own) or None,
            method="root mean square displacement of the particles, first to last frame, without the stage; exact",
            warning="" if len(own) else "there is no particle.",
        ),
        "edge_reduced_ev": Quantity(float(start), unit="eV", method="half height of the reduced end member, exact"),
        "edge_oxidised_ev": Quantity(float(end), unit="eV", method="half height of the oxidised end member, exact"),
    }  # fmt: skip
    return found


def scan_truth(made: VirtualScan) -> dict[str, Any]:
    """Return what the scan was made with, as plain numbers."""
    import numpy as np

    p = made.params
    chemistry = p.chemistry
    given = {k: v for k, v in asdict(p).items() if k not in ("references", "energies_ev")}
    state = [0.0, 0.25, 0.5, 0.75, 1.0]
    return {
        **given,
        "dropped_frames": sorted(made.lost),
        "saturated_frames": sorted(made.overexposed),
        "state": state,
        "edge_half_height_ev": np.round(chemistry.edge_energy(state), 3).tolist(),
        "edge_derivative_ev": np.round(chemistry.edge_energy(state, kind="derivative"), 3).tolist(),
        "white_line_ev": np.round(chemistry.edge_energy(state, kind="white line"), 3).tolist(),
    }


def _write_exchange(path: Path, *, made: VirtualScan) -> None:
    """Write counts, flats and dark frame by frame."""
    import h5py
    import numpy as np

    p = made.params
    lead = (p.n_scans, p.n_energies) if p.n_scans > 1 else (p.n_energies,)
    with h5py.File(path, "w", libver="latest") as file:
        file.attrs["implements"] = "exchange"
        group = file.create_group("exchange")
        chunk = (1,) * len(lead)
        data = group.create_dataset("data", (*lead, *p.shape), np.uint16, chunks=(*chunk, *p.shape))
        white = group.create_dataset("data_white", (p.n_energies, *p.shape), np.uint16, chunks=(1, *p.shape))
        for array in (data, white):
            array.attrs["units"] = "counts"
        data.attrs["pixel_size_um"] = np.array([p.pixel_um, p.pixel_um])
        data.attrs["axes"] = ":".join(["scan", "energy", "y", "x"][-data.ndim :])
        group.create_dataset("data_dark", data=made.dark[None])
        energy = group.create_dataset("energy", data=made.energies_ev)
        energy.attrs["units"] = "eV"
        for e in progress(range(p.n_energies), label="flats"):
            white[e] = made.flat(e)
        if 2.0 * np.prod(data.shape) <= KEPT_BYTES:
            data[...] = made.counts.reshape(data.shape)
            return
        for t, e, frame in progress(made.frames(), total=p.n_scans * p.n_energies, label="imaging"):
            data[(t, e)[-len(lead) :]] = frame


def _write_series(path: Path, *, made: VirtualScan, one: Callable, scan: int) -> None:
    """Write a picture of every energy of a scan, density or labels."""
    import numpy as np

    from ..read import write_tiff

    p = made.params
    stack = np.stack([one(scan, e) for e in progress(range(p.n_energies), label=path.stem)])
    if stack.dtype.kind == "i":
        stack = stack.astype(np.uint16)
    write_tiff(path, Image(stack, "tyx", (p.pixel_um, p.pixel_um)))


def _write_states(path: Path, *, made: VirtualScan, particle: int) -> None:
    import numpy as np

    from ..read import write_tiff

    path.parent.mkdir(exist_ok=True)
    p = made.params
    maps = np.stack([made.states[particle, t] for t in range(p.n_scans)])
    write_tiff(path, Image(maps, "tyx", (p.pixel_um, p.pixel_um)))


def _write_reference(path: Path, *, made: VirtualScan, state: float) -> None:
    """Write the normalised spectrum of an end member: eV and mu."""
    import numpy as np

    path.parent.mkdir(exist_ok=True)
    e = np.arange(8200.0, 8600.05, 0.5)
    mu = made.params.chemistry.end_members(e)[int(state)]
    lines = "".join(f"{a:.1f} {b:.6f}\n" for a, b in zip(e, mu, strict=True))
    path.write_text(f"# end member of state {state:g} of a virtual scan\n# energy_ev mu\n{lines}")


def _figures(made: VirtualScan) -> dict[str, ReportFigure]:
    from ..report.virtual_scan import frames_figure, motion_figure, states_figure

    p = made.params
    figures = {
        "frames": ReportFigure(
            partial(frames_figure, made, _shown(made)),
            "Optical density of frames across the edge, each on its own grey scale, with the exact outlines in the "
            "last one; below, the spectra of the two end members, with the energies shown above as dots.",
        )
    }
    if p.n_particles and p.n_scans * p.n_energies > 1:
        figures["motion"] = ReportFigure(
            partial(motion_figure, made),
            "True displacement of every particle (colours) and of the stage (black), and the paths of the particles "
            "less the stage, enlarged.",
        )
    if p.n_particles:
        figures["states"] = ReportFigure(
            partial(states_figure, made, _shown(made, (8420.0,))[0]),
            "True state of the particles, from 0 (reduced) to 1 (oxidised).",
        )
    return figures


def _shown(made: VirtualScan, wanted=SHOWN_EV) -> list[int]:
    """Return the seen energies nearest to those wanted, each once."""
    import numpy as np

    seen = [e for e in range(made.params.n_energies) if e not in made.lost | made.overexposed] or [0]
    ev = made.energies_ev[seen]
    return sorted({seen[int(np.argmin(np.abs(ev - w)))] for w in wanted})
