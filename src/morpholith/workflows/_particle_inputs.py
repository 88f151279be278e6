"""What users bring to learn particles from, or to compare a model with: maps of grains and tomograms of powders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ._phase_names import PHASES, phases_of

if TYPE_CHECKING:
    import numpy as np

    from ..generate import VolumeShells
    from ..segment import Radiality, Section, ShellParticles

MAPS = (".ang", ".ctf", ".h5", ".hdf5", ".h5oina", ".oh5")
CUT = 0.05  # share of a section's outline at the edge of the map, beyond which its centre is not known
ACTIVE = PHASES.index("active")
SCATTERED = 10  # pieces a label of what cannot be grains; a few are usual, cut by cracks or small


@dataclass(frozen=True)
class MeasuredSections:
    """Sections of the maps given, and which of them pass near the centre.

    Attributes
    ----------
    sections : list of Section
    kept : list of bool
    found : Radiality
    warnings : list of str
    """

    sections: list[Section]
    kept: list[bool]
    found: Radiality
    warnings: list[str]

    @property
    def used(self) -> list[Section]:
        """Those that count."""
        return [s for s, use in zip(self.sections, self.kept, strict=True) if use]


@dataclass(frozen=True)
class MeasuredShells:
    """Shells of the particles of a tomogram.

    Attributes
    ----------
    shells : VolumeShells
        Coefficients in um.
    labels : (z, y, x) array
    middle : (y, x) array
        The middle slice as it came.
    voxel_um : float
        Edge of the cube of a voxel's volume.
    found : ShellParticles or None
        None where the volume came labelled.
    warnings : list of str
    """

    shells: VolumeShells
    labels: np.ndarray
    middle: np.ndarray
    voxel_um: float
    spacing: tuple[float, float, float]
    found: ShellParticles | None
    warnings: list[str]


def measured_sections(
    paths: Sequence[Path],
    *,
    pixel_size: float | None,
    misorientation: float,
    min_pixels: int,
    min_confidence: float | None,
    phase: int | None,
    off_centre: str,
    rng: np.random.Generator,
) -> MeasuredSections:
    """Read the maps, find their sections and judge which pass near the centre."""
    from .. import segment

    options: dict[str, Any] = {"threshold_deg": misorientation, "min_pixels": min_pixels, "phase": phase}
    every: list[Section] = []
    warnings: list[str] = []
    for path in paths:
        source, own, said = _map_or_labels(path, pixel_size)
        warnings += [f"{path.name}: {text}" for text in said]
        found = segment.sections(source, name=path.stem, min_confidence=min_confidence, **own, **options)
        warnings += [f"{one.name}: {text}" for one in found for text in one.warnings]
        every += found
    steps = [one.step_um for one in every]
    if max(steps) > 1.01 * min(steps):
        warnings.append(
            f"the sections have different steps, {min(steps):g} to {max(steps):g} um: each is compared at its own, but "
            "fine grains show in some of them only."
        )
    judged = segment.radiality(every, rng=rng)
    far = list(judged.sections["verdict"] == "off the centre")
    cut = [one.cut_share > CUT for one in every]
    kept = [True] * len(every)
    if off_centre == "exclude" and not all(a or b for a, b in zip(far, cut, strict=True)):
        kept = [not (a or b) for a, b in zip(far, cut, strict=True)]
        names = [one.name or "a section" for one, is_cut in zip(every, cut, strict=True) if is_cut]
        if names:
            warnings.append(
                f"left out, cut by the edge of the map so that the centre is not known: {', '.join(names)}."
            )
    for one, is_far in zip(every, far, strict=True):
        if is_far:
            fate = {"exclude": "left out", "unknown": "used with its height unknown", "keep": "used all the same"}
            warnings.append(
                f"{one.name or 'a section'} seems to pass off the centre of its particle: {fate[off_centre]}."
            )
    return MeasuredSections(every, kept, judged, [*warnings, *judged.warnings])


def _map_or_labels(path: Path, pixel_size: float | None) -> tuple[Any, dict[str, Any], list[str]]:
    """Return an orientation map, or labels with their step, and what the reader had to say."""
    import numpy as np

    from .. import read

    if path.suffix.lower() in MAPS:
        found = read.orientations(path, step_um=pixel_size)
        return found, {}, [] if pixel_size is None else _other_step(path, found.spacing)
    image = read.image(path, pixel_size=pixel_size, cut_banner=False)
    array = np.asarray(image.array)
    if array.dtype.kind not in "iu":
        if not np.array_equal(array, np.rint(array)):
            raise InputError(
                f"{path.name} is neither an orientation map ({', '.join(MAPS)}) nor labels: its pixels are no whole "
                "numbers."
            )
        array = array.astype(np.int32)
    if _looks_grey(array):
        raise InputError(
            f"{path.name} looks like a grey image: its values lie scattered, where labels of grains make connected "
            f"areas; give an orientation map ({', '.join(MAPS)}) or an image with one number a grain and 0 elsewhere."
        )
    # what a detector does at its lowest level says nothing of labels
    said = [text.removeprefix(f"{path.name}: ") for text in image.warnings if "saturated" not in text]
    return array.astype(np.int32), {"step_um": (image.spacing[0], image.spacing[1])}, said


def _other_step(path: Path, asked: tuple[float, float]) -> list[str]:
    """Say where the file has another step than the one asked for."""
    from .. import read

    try:
        own = read.orientations(path).spacing
    except InputError:  # it tells none, or none that can be
        return []
    if all(abs(a - b) <= 0.01 * b for a, b in zip(asked, own, strict=True)):
        return []
    return [f"the file says a step of {own[1]:.4g} um; the {asked[1]:.4g} um of --pixel-size are used."]


def _looks_grey(array) -> bool:
    """Whether the values of an image lie in so many pieces that they can be no grains."""
    import numpy as np
    from skimage.measure import label

    pieces = int(label(array, connectivity=2).max())
    return pieces > SCATTERED * max(len(np.unique(array[array != 0])), 1)


def measured_shells(
    path: Path, *, voxel_size, rng: np.random.Generator, grey_values: str | None = None
) -> MeasuredShells:
    """Read a tomogram, find its particles and describe their shells."""
    import numpy as np

    from .. import generate, read, segment

    phases = phases_of(grey_values)
    image = read.volume(path, voxel_size=voxel_size)
    z, y, x = image.spacing
    array = np.asarray(image.array)
    values = np.unique(array[:: max(1, len(array) // 16)]) if array.size else np.zeros(0)
    found = None
    if phases is not None:
        array = np.isin(array, [value for value, phase in phases.items() if phase == ACTIVE])
    elif array.dtype.kind in "iu" and len(values) <= 2 and array.size and array.max() > 0:
        array = array > 0
    if _looks_labelled(array):
        labels = array.astype(np.int32)
    else:
        found = segment.shell_particles(array, spacing=(z, y, x))
        labels = found.labels
    shells = generate.shells_of_volume(labels, spacing=(z, y, x), rng=rng)
    warnings = [*image.warnings, *(found.warnings if found is not None else ()), *shells.warnings]
    if len(shells.table) == 0:
        why = " ".join(w[0].upper() + w[1:] for w in warnings)
        raise InputError(f"{path.name} shows no particle whose shell could be learnt or compared. {why}".strip())
    middle = np.asarray(array[len(array) // 2])
    edge = float((z * y * x) ** (1 / 3))
    return MeasuredShells(shells, labels, middle, edge, (z, y, x), found, warnings)


def _looks_labelled(array) -> bool:
    """Whether a volume holds labels: whole numbers, most neighbours alike, 0 around."""
    import numpy as np

    if array.dtype.kind not in "iu" or array.size == 0 or array.max() <= 2:
        return False
    alike = float(np.mean(array[:, :, 1:] == array[:, :, :-1]))
    return alike > 0.8 and bool((array == 0).any())
