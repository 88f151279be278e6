"""What `sem design` is given: the space, the targets and reference micrographs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError, InputWarning
from ._pairs import one_of, pairs

if TYPE_CHECKING:
    from ..design import Measured, Space, Target
    from ..generate import MicrographModel, ProcessTable, View

COARSER = 1.1  # an image may have pixels so much larger than those a view works at
COST = "cost"


@dataclass(frozen=True)
class Reference:
    """Micrographs of a powder, measured.

    Attributes
    ----------
    numbers : dict of descriptor to Measured
    images : dict of view to list of (array, pixel size in um)
        As they were measured.
    """

    numbers: dict[str, Measured]
    images: dict[str, list[tuple[np.ndarray, float]]]


def check_storage(storage: str | None) -> None:
    """Refuse an address with a password: it would be written into the recipe of the result."""
    if storage is not None and "://" in storage and ":" in storage.partition("://")[2].rpartition("@")[0]:
        raise InputError(
            "--storage must not hold a password, which would be written to recipe.toml; leave it to the environment "
            "(PGPASSWORD) or to a file of the database's (~/.pgpass)."
        )


# --- space and targets -------------------------------------------------------------------------------------------


def space_of(
    table: ProcessTable, *, fix: Sequence[str] | None = None, bounds: Sequence[str] | None = None,
    constraint: Sequence[str] | None = None, cost: str | None = None,
) -> Space:  # fmt: skip
    """Return the recipes that may be searched: the trained ranges, unless options say otherwise."""
    held = {n: v or None for n, v in pairs(fix or [], option="--fix").items()}
    ranges = {n: _range(n, v) for n, v in pairs(bounds or [], option="--bounds").items()}
    for option, names in (("--fix", held), ("--bounds", ranges)):
        for name in names:
            one_of(name, table.names, what=f"variable for {option}")
    return table.space(fixed=held, bounds=ranges, constraints=list(constraint or []), cost=_cost(cost))


def _range(name, text):
    low, colon, high = text.partition(":")
    if colon:
        try:
            return float(low), float(high)
        except ValueError:
            raise InputError(f"--bounds {name}={text} must have two numbers, as {name}=LOW:HIGH.") from None
    words = [w.strip() for w in text.split(",") if w.strip()]
    if not words or all(_is_number(w) for w in words):
        raise InputError(f"--bounds {name}={text} must be {name}=LOW:HIGH, or for words {name}=WORD,WORD.")
    return words


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


def _cost(text):
    """Return what a unit of each variable costs."""
    from .. import design

    if text is None:
        return None
    try:
        return dict(design.linear(f"{text} <= 0").coefficients)
    except InputError as error:
        raise InputError(f"--cost {text!r} cannot be read; write it like '3*naoh + nh4oh'.") from error


def weights_of(
    texts: Sequence[str] | None, model: MicrographModel, space: Space
) -> tuple[dict[str, float], float | None]:
    """Return the weights of descriptors, and that of the cost where it is given."""
    found = {}
    for name, text in pairs(texts or [], option="--weight").items():
        one_of(name, [*descriptors_of(model), *([COST] if space.cost is not None else [])], what="target for --weight")
        if not _is_number(text) or not 0 < float(text) < np.inf:
            raise InputError(f"--weight {name}={text} must be a number above 0.")
        found[name] = float(text)
    return {n: w for n, w in found.items() if n != COST}, found.get(COST)


def targets_of(
    texts: Sequence[str] | None, reference: Reference | None, model: MicrographModel, weights: Mapping[str, float]
) -> list[Target]:
    """Return what is wanted; a weight without a target is an error."""
    from .. import design

    if reference is not None:
        numbers = {name: (m.mean, m.se) for name, m in reference.numbers.items()}
        targets = design.targets_like(numbers, weights=weights)
    else:
        targets = design.read_targets(texts or [], ranges=trained_ranges(model), weights=weights)
    for name in weights:
        one_of(name, [t.descriptor for t in targets], what="target for --weight")
    return targets


def trained_ranges(model: MicrographModel) -> dict[str, tuple[float, float]]:
    """Return the least and the largest value of each descriptor over the training conditions."""
    found = {}
    for name in descriptors_of(model):
        values = model.measured[name].to_numpy(float) if name in model.measured else np.array([np.nan])
        values = values[np.isfinite(values)]
        found[name] = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
    return found


def descriptors_of(model: MicrographModel) -> list[str]:
    """Return what a model's views measure."""
    return list(dict.fromkeys(name for view in model.views for name in view.measures))


# --- micrographs -------------------------------------------------------------------------------------------------


def reference_of(paths: Sequence[Path], model: MicrographModel, *, pixel_size: float | None, device: str) -> Reference:
    """Measure micrographs of the powder that is to be made again, as those of the training were.

    Raises
    ------
    InputError
        An image cannot be read, its pixel size is not known or too coarse, or no particle can be measured.
    """
    images = seen(paths, model, pixel_size=pixel_size)
    numbers = measured(images, device)
    if not numbers:
        raise InputError(f"{_listed(paths)} {'has' if len(paths) == 1 else 'have'} no particle that can be measured; "
                         "give fields with whole particles.")  # fmt: skip
    _say_missing(numbers, images, model)
    return Reference(numbers, {view.name: own for view, own in images})


def seen(
    paths: Sequence[Path], model: MicrographModel, *, pixel_size: float | None
) -> list[tuple[View, list[tuple[np.ndarray, float]]]]:
    """Return the images of each view, brought to pixels near those the view works at."""
    from .. import generate, read

    found: dict[str, list] = {}
    for path in paths:
        image = read.image(path, pixel_size=pixel_size)
        pixel = float(np.sqrt(image.spacing[0] * image.spacing[1]))
        view = _view_of(path, pixel, model.views)
        factor = max(1, round(view.pixel_um / pixel))
        found.setdefault(view.name, []).append((generate.binned(image.array, factor), pixel * factor))
    return [(view, found[view.name]) for view in model.views if view.name in found]


def _view_of(path: Path, pixel: float, views: Sequence[View]) -> View:
    """Return the view that an image is of: the finest whose working pixels are no finer than the image's."""
    good = [view for view in views if pixel <= COARSER * view.pixel_um]
    if not good:
        coarsest = max(view.pixel_um for view in views)
        raise InputError(
            f"{path} has pixels of {pixel:.4g} um, coarser than the {coarsest:.4g} um that the model works at; give a "
            f"higher magnification, or check the pixel size."
        )
    return min(good, key=lambda view: view.pixel_um)


def measured(seen: Sequence[tuple[View, list[tuple[np.ndarray, float]]]], device: str) -> dict[str, Measured]:
    """Return the descriptors of the images of each view, those that could be measured."""
    from ._drawn import describe_images

    numbers: dict[str, Measured] = {}
    for view, images in seen:
        pixel = float(np.median([p for _, p in images]))
        found = describe_images([a for a, _ in images], pixel_um=pixel, names=view.measures, device=device)
        numbers |= {name: m for name, m in found.items() if np.isfinite(m.mean)}
    return numbers


def _say_missing(numbers, seen, model):
    import warnings

    missing = [name for name in descriptors_of(model) if name not in numbers]
    if missing:
        views = ", ".join(view.name for view, _ in seen)
        warnings.warn(
            f"the micrographs given ({views}) do not tell {', '.join(missing)}, which the design leaves open; give "
            f"images of {', '.join(v.name for v in model.views if set(v.measures) & set(missing))} for it.",
            InputWarning,
            stacklevel=2,
        )


def _listed(paths):
    return ", ".join(str(p) for p in paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
