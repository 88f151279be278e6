"""A calibrated model of particles, and the file it is kept in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .. import _checks, model_file
from ..errors import InputError
from .architecture import Architecture
from .marker_law import MarkerLaw
from .marker_network import MarkerNetwork
from .shell_model import Family, ShellModel

FORMAT = 1
KIND = "particle model"
FILE = "model"
ARCHITECTURES: dict[str, Any] = {"marker law": MarkerLaw, "marker network": MarkerNetwork}
SHIPPED = Path(__file__).parent / "models"


@dataclass(frozen=True)
class ParticleModel:
    """Shells and grains, ready to draw particles from.

    Attributes
    ----------
    name : str
    shells : ShellModel
        In voxels of `shell_voxel_um`.
    shell_voxel_um : float
    architecture : MarkerLaw or MarkerNetwork
    voxel_um : float
        Voxel of the particles drawn, unless another is asked for: the step of the sections that were learnt from.
    min_shell_voxels : float
        Shells below this volume are drawn anew.
    draws : tuple of Architecture
        Of the posterior, where the architecture has one: what it may be as well, given its sections.
    about : mapping
        What it was learnt from and how, as JSON can write it.
    """

    name: str
    shells: ShellModel
    shell_voxel_um: float
    architecture: Architecture
    voxel_um: float
    min_shell_voxels: float = 10.0
    draws: tuple[Architecture, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)


def shipped_models() -> list[str]:
    """Return the names of the models that come with the package."""
    return shipped(KIND)


def shipped(kind: str) -> list[str]:
    """Return the names of the models of one kind that come with the package."""
    return sorted(p.stem for p in SHIPPED.glob("*.json") if f'"kind": "{kind}"' in p.read_text(encoding="utf-8")[:200])


def save_model(path: str | Path, model: ParticleModel) -> None:
    """Write a model: ``NAME.safetensors`` and ``NAME.json``."""
    from .. import __version__

    arrays: dict[str, np.ndarray] = {}

    def described(architecture: Any, prefix: str) -> dict[str, Any]:
        kind = next(k for k, cls in ARCHITECTURES.items() if isinstance(architecture, cls))
        own, settings = architecture.state()
        arrays.update({f"{prefix}.{name}": array for name, array in own.items()})
        return {"kind": kind, "settings": settings}

    families = [{"kind": f.kind, "scale": f.scale, "loc": f.loc, "shape": f.shape} for f in model.shells.families]
    recipe = {
        "kind": KIND,
        "format": FORMAT,
        "morpholith": __version__,
        "name": model.name,
        "shells": {"families": families, "voxel_um": model.shell_voxel_um, "min_voxels": model.min_shell_voxels},
        "architecture": described(model.architecture, "architecture"),
        "draws": [described(one, f"draws.{k}") for k, one in enumerate(model.draws)],
        "voxel_um": model.voxel_um,
        "about": dict(model.about),
    }
    # a file of arrays is never empty
    arrays["format"] = np.array([FORMAT])
    model_file.save(path, arrays, recipe)


def load_model(path: str | Path) -> ParticleModel:
    """Read a model: a file or its folder, or the name of one that is shipped.

    Raises
    ------
    InputError
        There is none, it is damaged, of another kind, or written by a later version.
    """
    place = _place(path)
    arrays, recipe = model_file.load(place)
    if recipe.get("kind") != KIND:
        raise InputError(f"{place} is a {recipe.get('kind') or 'stored network'}, not a {KIND}: see `particles learn`.")
    if recipe.get("format") != FORMAT:
        raise InputError(
            f"{place} has format {recipe.get('format')} (Morpholith {recipe.get('morpholith', 'unknown')}); this "
            f"version reads format {FORMAT}: learn the model again, or use the version that wrote it."
        )
    try:
        return _built(arrays, recipe)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{place} lacks or garbles {error}: it is not a whole {KIND}; learn it again.") from error


def model_files(path: str | Path) -> list[Path]:
    """Return the files of a model, as `load_model` finds them."""
    place = _place(path)
    return [place.with_suffix(".safetensors"), place.with_suffix(".json")]


def _place(path: str | Path) -> Path:
    place = Path(path)
    if str(path) in shipped_models() and not place.exists():
        return SHIPPED / str(path)
    if place.is_dir():
        return place / FILE
    if not place.with_suffix(".json").is_file():
        raise InputError(
            f"there is no model {path}: give the folder or file `particles learn` wrote, or one of those that are "
            f"shipped ({', '.join(shipped_models())})."
        )
    return place


def _built(arrays: dict[str, np.ndarray], recipe: dict[str, Any]) -> ParticleModel:
    def architecture(described: Mapping[str, Any], prefix: str) -> Architecture:
        start = f"{prefix}."
        own = {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}
        return ARCHITECTURES[described["kind"]].from_state(own, described["settings"])

    shells = recipe["shells"]
    if not isinstance(recipe["about"], dict):
        raise TypeError("`about`, which is no JSON object")
    return ParticleModel(
        name=str(recipe["name"]),
        shells=ShellModel(tuple(Family(**family) for family in shells["families"])),
        shell_voxel_um=_checks.positive(float(shells["voxel_um"]), name="shells.voxel_um"),
        architecture=architecture(recipe["architecture"], "architecture"),
        voxel_um=_checks.positive(float(recipe["voxel_um"]), name="voxel_um"),
        min_shell_voxels=float(shells["min_voxels"]),
        draws=tuple(architecture(one, f"draws.{k}") for k, one in enumerate(recipe["draws"])),
        about=recipe["about"],
    )
