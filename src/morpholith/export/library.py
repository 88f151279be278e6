"""A library of virtual particles as one zarr store: labels as OME-Zarr, and the generators they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..generate import GrainField, Particle
from ..image import Image

GENERATORS = "generators"
DIGITS = 6


def particle_name(number: int) -> str:
    """Return the name of a particle in the store: ``particle_000012``."""
    return f"particle_{number:0{DIGITS}d}"


def write_particle(
    library: str | Path, number: int, particle: Particle, *, extra: Mapping[str, np.ndarray] | None = None
) -> Path:
    """Write one particle into a library; it appears whole, or not at all.

    ``library/particle_000012`` is an OME-Zarr label volume (levels 0, 1, ...) with a group ``generators``: `seeds`
    (um), `matrices` (1/um^2), `radii`, `shell` (harmonic coefficients, um) and its centre; the first `n_grains` seeds
    are those of labels 1, 2, ... The origin of all lengths is the particle's centre of mass.

    Parameters
    ----------
    library : path
        Made where it is not there.
    number : int
    particle : Particle
    extra : mapping of str to array, optional
        Further arrays of the group, as `c_axis`.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        It cannot be written (disk full, no permission).
    """
    import zarr

    from ..read import write_zarr

    library = Path(library)
    place = library / particle_name(number)
    labels = particle.labels
    small = labels.astype(np.uint16) if particle.n_grains < 2**16 else labels
    spacing = (particle.voxel_um,) * 3
    try:
        library.mkdir(parents=True, exist_ok=True)
        if not (library / "zarr.json").exists():
            zarr.open_group(str(library), mode="a", zarr_format=3)
        # built under another name, so that a kill between volume and generators leaves no particle
        part = library / f".{place.name}.part"
        write_zarr(part, Image(small, "zyx", spacing), labels=True)
        group = zarr.open_group(str(part), mode="a").create_group(GENERATORS)
        arrays: dict[str, Any] = {
            "seeds": particle.field.seeds,
            "matrices": particle.field.matrices,
            "radii": particle.field.radii,
            "shell": particle.shell_um,
            "shell_centre": particle.shell_centre_um,
            **(extra or {}),
        }
        for name, array in arrays.items():
            group.create_array(name, data=np.ascontiguousarray(array))
        group.attrs.update(
            {
                "power": particle.field.power,
                "n_grains": particle.n_grains,
                "origin_um": [float(v) for v in particle.origin_um],
                "voxel_um": float(particle.voxel_um),
            }
        )
        import shutil

        shutil.rmtree(place, ignore_errors=True)
        part.replace(place)
    except OSError as error:
        raise InputError(
            f"{place} cannot be written ({error.strerror or error}); make room or choose another folder: with --work "
            "the same command goes on from the last whole particle."
        ) from error
    return place


def read_particle(library: str | Path, number: int) -> tuple[np.ndarray, GrainField, dict[str, Any]]:
    """Read a particle of a library back.

    Returns
    -------
    labels : (z, y, x) array
    field : GrainField
    rest : dict
        `n_grains`, `origin_um`, `voxel_um`, `shell`, `shell_centre` and what else was written.

    Raises
    ------
    InputError
        There is no such particle.
    """
    import zarr

    place = Path(library) / particle_name(number)
    if not (place / GENERATORS).is_dir():
        raise InputError(f"{library} holds no particle {number}; look at particles.csv for those it holds.")
    group: Any = zarr.open_group(str(place), mode="r")
    own = group[GENERATORS]
    arrays = {name: np.asarray(array[...]) for name, array in own.arrays()}
    field = GrainField(arrays.pop("seeds"), arrays.pop("matrices"), arrays.pop("radii"), int(own.attrs["power"]))
    rest = {key: own.attrs[key] for key in ("n_grains", "origin_um", "voxel_um")}
    return np.asarray(group["0"][...]), field, {**arrays, **rest}


def copy_particles(library: str | Path, to: str | Path, numbers: Sequence[int]) -> None:
    """Copy some particles of a library into a new one.

    Raises
    ------
    InputError
        It cannot be written.
    """
    import shutil

    import zarr

    source, to = Path(library), Path(to)
    try:
        zarr.open_group(str(to), mode="w", zarr_format=3)
        for number in numbers:
            shutil.copytree(source / particle_name(number), to / particle_name(number))
    except OSError as error:
        raise InputError(f"{to} cannot be written ({error}); make room or choose another folder.") from error
