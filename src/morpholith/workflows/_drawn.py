"""Drawn micrographs, measured as real ones are."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import columns as c
from ..design import Measured

if TYPE_CHECKING:
    import pandas as pd

    from ..generate import MicrographModel


def describe_drawn(
    model: MicrographModel, condition: Mapping[str, Any], *, images: int, seed: int, device: str = "cpu"
) -> tuple[dict[str, Measured], dict[str, np.ndarray]]:
    """Draw every view of a condition and measure it.

    Parameters
    ----------
    model : MicrographModel
    condition : mapping of variable to value
    images : int
        Drawn in each view.
    seed : int
        The same seed, the same images.
    device : {"cpu", "cuda"}
        Where the images are drawn and the particles are found.

    Returns
    -------
    described : dict of descriptor to Measured
        Corrected for the model's constant bias; mean, standard error (between images) and images that hold particles.
        NaN and 0 where nothing could be measured.
    drawn : dict of view name to (images, h, w) uint8 array
    """
    described: dict[str, Measured] = {}
    drawn: dict[str, np.ndarray] = {}
    for k, view in enumerate(model.views):
        own = int(np.random.default_rng([seed, k]).integers(2**31))
        drawn[view.name] = model.draw(condition, view=view.name, images=images, seed=own, device=device)
        raw = describe_images(drawn[view.name], pixel_um=view.pixel_um, names=view.measures, device=device)
        described |= {name: corrected(model, name, found) for name, found in raw.items()}
    return described, drawn


def as_powder(model: MicrographModel, described: Mapping[str, Measured]) -> dict[str, Measured]:
    """Return what draws say of the powder that would be made: with the model's error on conditions left out.

    For beliefs that rest on measured powders as well: draws count there for as much as they are worth, and nearly
    nothing where the model does not follow a descriptor.
    """
    from .. import measure

    errors = {name: measure.prediction_error(model.left_out, name).sd for name in described}
    return {
        # an error of the recipe, which no number of draws makes smaller: none goes with it
        name: Measured(found.mean, float(np.hypot(found.se, errors[name]))) if np.isfinite(errors[name]) else found
        for name, found in described.items()
    }


def describe_images(
    arrays: Sequence[np.ndarray] | np.ndarray, *, pixel_um: float, names: Sequence[str], device: str = "cpu"
) -> dict[str, Measured]:
    """Measure micrographs of one sample at one pixel size, drawn or real, as `sem measure` does.

    Parameters
    ----------
    arrays : sequence of (h, w) arrays
    pixel_um : float
    names : sequence of str
        Descriptors wanted (`measure.clustered_descriptors`).
    device : {"cpu", "cuda"}

    Returns
    -------
    dict of descriptor to Measured
        Not corrected. The standard error is that between images.
    """
    from .. import measure

    if not len(names) or not len(arrays):
        return {name: Measured(np.nan) for name in names}
    table = measure_images(arrays, pixel_um=pixel_um, device=device)
    frames = {str(k): (a.shape[0] * pixel_um, a.shape[1] * pixel_um) for k, a in enumerate(arrays)}
    found = measure.clustered_descriptors(table, frames=frames, names=names)
    return {name: Measured(*estimate) for name, estimate in found.items()}


def measure_images(arrays: Sequence[np.ndarray] | np.ndarray, *, pixel_um: float, device: str = "cpu") -> pd.DataFrame:
    """Find and measure the particles of micrographs; `measure.field` with ``image`` "0", "1", ..."""
    import pandas as pd

    from .. import measure, segment
    from ..errors import InputWarning

    spacing = (pixel_um, pixel_um)
    tables = []
    with warnings.catch_warnings():
        # a coarse view is drawn for sizes; that its texture is not resolved is meant so
        warnings.filterwarnings("ignore", message="texture is not resolved", category=InputWarning)
        for k, array in enumerate(arrays):
            found = segment.particles(array, spacing=spacing, device=device)
            one = measure.field(array, found.labels, found.contacts, spacing=spacing, score=found.score)
            tables.append(one.assign(**{c.IMAGE: str(k)}))
    kept = [t for t in tables if len(t)] or tables[:1]
    return pd.concat(kept)


def corrected(model: MicrographModel, name: str, found: Measured) -> Measured:
    """Return what was measured on drawn images as it would be on real ones, with its error scaled alike."""
    half = found.se if np.isfinite(found.se) else 0.0
    low, mean, high = (
        float(v) for v in model.corrected(name, np.array([found.mean - half, found.mean, found.mean + half]))
    )
    return Measured(mean, abs(high - low) / 2 if np.isfinite(found.se) else np.nan, found.n)
