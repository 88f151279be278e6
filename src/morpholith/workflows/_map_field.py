"""What `xanes map` maps: particles that were registered, or one scan whose frames are aligned already."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..image import Image

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from ..measure.chemistry import Chemistry

SAMPLED_SCANS, SAMPLED_PIXELS = 4, 2000


@dataclass(frozen=True)
class Field:
    """Registered particles, from whichever source: their numbers, and how to get stack (t, e, y, x) and mask of one."""

    numbers: tuple[int, ...]
    get: Callable[[int], tuple[np.ndarray, np.ndarray, tuple[float, float]]]
    energies_ev: np.ndarray
    spacing: tuple[float, float] | None
    n_scans: int
    motion: pd.DataFrame | None = None
    warnings: tuple[str, ...] = ()
    inputs: tuple[Path, ...] = ()


def open_field(path: Path, *, energies, flat, dark, dataset, pixel_size, keep_background) -> Field | Image:
    """Open a folder of registered particles, or else a scan."""
    from .. import read

    if path.is_dir() and ((path / "motion.csv").exists() or (path / "aligned").is_dir()):
        given = {"--energies": energies, "--flat": flat, "--dark": dark, "--dataset": dataset}
        unwanted = [name for name, value in given.items() if value is not None]
        if unwanted:
            raise InputError(f"{path} is registered already: {', '.join(unwanted)} would change nothing; leave it out.")
        return _registered(path, pixel_size, keep_background)
    image = read.scan(path, energies=energies, flat=flat, dark=dark, dataset=dataset, pixel_size=pixel_size)
    if image.shape[image.axes.index("e")] < 2:
        raise InputError(f"{path} holds one frame; chemistry needs a scan over energies.")
    return image


def _registered(path: Path, pixel_size: float | None, keep_background: bool) -> Field:
    from .. import measure, read
    from .._checks import positive

    found = read.registered(path)
    if not found.particles:
        raise InputError(f"{path} holds no registered particle; there is nothing to map.")
    if found.motion is not None:
        stack = next(iter(found.particles.values())).stack
        rows, wanted = len(found.motion), len(found.particles) * stack.shape[0] * stack.shape[1]
        if rows != wanted:
            raise InputError(
                f"{path / 'motion.csv'} has {rows} rows, {wanted} belong to its particles and frames: it was not "
                "copied to the end; copy it again."
            )

    def get(number):
        one = found.particles[number]
        stack = one.stack if keep_background else measure.without_surroundings(one.stack, one.mask)
        return stack, one.mask, one.corner_px

    spacing = found.spacing if found.scaled else None
    if pixel_size is not None:
        spacing = (positive(pixel_size, name="--pixel-size"),) * 2
    numbers = tuple(sorted(found.particles))
    files = [path / "motion.csv", path / "summary.json"]
    return Field(
        numbers, get, found.energies_ev, spacing, get(numbers[0])[0].shape[0], found.motion, tuple(found.warnings),
        tuple(f for f in files if f.exists()),
    )  # fmt: skip


def one_field(image: Image, element, how, *, split: bool, given) -> tuple[Field, Chemistry]:
    """Find where a scan that is not in particles has signal: one particle, or the connected regions."""
    import numpy as np

    from .. import measure

    energies = np.asarray(image.coordinates["e"], float)
    stack = np.asarray(image.array[...], np.float32)
    stack = stack[None] if image.axes == "eyx" else stack
    mean = stack.reshape(len(stack), len(energies), -1)
    sample = np.moveaxis(mean, 1, -1).reshape(-1, len(energies))
    chemistry = find_edge(energies, sample, element, how)
    mask = measure.signal_mask(stack[-1], energies, chemistry.ranges)
    if not mask.any():
        raise InputError(
            f"no pixel of {image.provenance.get('path', 'the scan')} has an edge of {chemistry.element} that stands "
            "out of the noise; there is nothing to map."
        )
    regions = measure.connected_regions(mask) if split else [mask]
    if not regions:
        raise InputError("no connected region with signal is as large as 30 pixels; leave out --split.")
    inside = np.any(regions, axis=0)
    chemistry = find_edge(energies, np.moveaxis(stack[:, :, inside], 1, -1).reshape(-1, len(energies)), element, how)
    masks = dict(enumerate(regions, start=1))
    scaled = image.provenance.get("pixel_size_from", "none") != "none"

    def get(number):
        ys, xs = np.nonzero(masks[number])
        box = np.s_[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
        corner = (float(box[0].start), float(box[1].start))
        return stack[(..., *box)], masks[number][box], corner

    notes = (
        *image.warnings,
        "The frames were taken as aligned: pixels are compared over energies as they are. Particles that move need "
        "`morpholith xanes register` first.",
    )
    spacing = (image.spacing[0], image.spacing[1]) if scaled or given else None
    inputs = tuple(p for p in (Path(s) for s in image.provenance.get("path", "").split("; ") if s) if p.is_file())
    return Field(tuple(masks), get, energies, spacing, len(stack), None, notes, inputs), chemistry


def sample_of(found: Field, margin: float) -> np.ndarray:
    """Return spectra (n, e) of pixels of all particles in a few scans, for what is common to all."""
    import numpy as np

    from .. import measure

    parts = []
    scans = np.unique(np.linspace(0, found.n_scans - 1, SAMPLED_SCANS).round().astype(int))
    for number in found.numbers:
        stack, mask, _ = found.get(number)
        inner = mask & (measure.depth_within(mask)[0] >= margin)
        inner = inner if inner.any() else mask
        for scan in scans:
            spectra = np.moveaxis(np.asarray(stack[scan]), 0, -1)[inner]
            parts.append(spectra[:: max(1, len(spectra) // SAMPLED_PIXELS)].astype(float))
    if not parts or not np.isfinite(np.concatenate(parts)).any():
        raise InputError("no pixel of any particle was seen; there is nothing to map.")
    return np.concatenate(parts)


def find_edge(energies, sample, element, how) -> Chemistry:
    import numpy as np

    from .. import measure

    mean = measure.mean_spectrum(sample)
    energies = np.asarray(energies, float)
    if element is None:
        element = measure.element_of(energies, mean.tolist())
    else:
        element = element.strip().capitalize()
        inside = measure.edges_within(energies)
        if element in measure.K_EDGES_EV and element not in inside:
            fits = f"the K edge of {' and '.join(inside)} does" if inside else "no K edge of a battery metal does"
            raise InputError(
                f"the K edge of {element} ({measure.K_EDGES_EV[element]:.0f} eV) does not lie within the energies "
                f"({energies.min():.1f} to {energies.max():.1f} eV); {fits}."
            )
    return measure.edge_of_scan(energies, mean, element=element, **how)
