"""From a recipe to its micrographs: a learnt generator, and the file it is kept in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import model_file
from ..errors import InputError
from .model import SHIPPED, shipped
from .process_table import ProcessTable, process_table_from_json
from .recipe_code import Expectation, expectation_from, recipe_codes

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 1
KIND = "micrograph model"
STORES = {"flow": "micrograph_store", "control": "control_store"}  # modules of `nets`
SMALLEST, LARGEST = 64, 4096  # pixels a side of what is drawn


@dataclass(frozen=True)
class View:
    """One magnification.

    Attributes
    ----------
    name : str
        As the user's table has it, ``3000x``.
    pixel_um : float
        Pixel size at which micrographs are learnt and drawn.
    measures : tuple of str
        Descriptors that are measured in it.
    """

    name: str
    pixel_um: float
    measures: tuple[str, ...]


@dataclass(frozen=True)
class MicrographModel:
    """A generator of micrographs for recipes of one campaign.

    Attributes
    ----------
    table : ProcessTable
        The process variables and the training conditions.
    views : tuple of View
    expectation : Expectation
        What is expected of a recipe, which is what the network is told of it.
    backend : {"flow", "control"}
    weights : mapping of str to array
        Of the network.
    settings : mapping
        Of the network, as JSON can write it.
    measured : DataFrame
        Index `condition`: descriptors of the training images, with `<descriptor>_se`.
    left_out : DataFrame or None
        Index `condition`: `<descriptor>`, `<descriptor>_drawn`, `_drawn_se`, `_gp`, `_gp_sd`, where the condition was
        left out of the training.
    lines : mapping of str to (intercept, slope)
        Of each descriptor, between what is measured in drawn and in real micrographs of the training conditions.
    about : mapping
        What it was learnt from and how.
    """

    table: ProcessTable
    views: tuple[View, ...]
    expectation: Expectation
    backend: str
    weights: Mapping[str, np.ndarray]
    settings: Mapping[str, Any]
    measured: pd.DataFrame
    left_out: pd.DataFrame | None = None
    lines: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)

    def view(self, name: str) -> View:
        """Return the view of that name."""
        for view in self.views:
            if view.name == name:
                return view
        raise InputError(f"the model has no view {name!r}; it has {', '.join(v.name for v in self.views)}.")

    def draw(
        self, condition: Mapping[str, Any], *, view: str, images: int, seed: int,
        shape: tuple[int, int] = (256, 256), device: str = "cpu", mixed: bool | None = None,
    ) -> np.ndarray:  # fmt: skip
        """Draw micrographs of a recipe.

        Parameters
        ----------
        condition : mapping of str to value
            As `ProcessTable.check` returns it; a variable that is missing is drawn from the training conditions, anew
            for each image.
        view : str
        images : int
        seed : int
            Same seed, same bytes on the same machine; image k of a seed begins with the same noise for every recipe
            (common random numbers), however many are drawn.
        shape : (h, w)
            Pixels of the view; multiples of 16.
        device : {"cpu", "cuda"}
        mixed : bool, optional
            Draw in bfloat16; by default where the device computes in it by itself, which is two to three times
            faster and changes no descriptor that can be told (bench/bench_micrographs.py).

        Returns
        -------
        (images, h, w) uint8 array

        Raises
        ------
        InputError
            Another shape, no such view or device, no image.
        """
        if images < 1:
            raise InputError(f"one micrograph or more can be drawn, got {images}.")
        _check_shape(shape)
        number = [v.name for v in self.views].index(self.view(view).name)
        codes = recipe_codes(self.expectation, condition, images, rng=np.random.default_rng([seed, 1]))
        return self._drawer(device)(codes, number, seed=seed, shape=shape, mixed=mixed)

    def _drawer(self, device):
        """Return the network on a device, ready to draw; kept while the model lives."""
        if device not in self._drawers:
            store = import_module(f"..nets.{STORES[self.backend]}", __package__)
            self._drawers[device] = store.drawer(self.weights, self.settings, self.views, device=device)
        return self._drawers[device]

    @cached_property
    def _drawers(self) -> dict[str, Any]:
        return {}

    def __getstate__(self) -> dict[str, Any]:
        """Leave the networks behind: another process makes its own."""
        return {k: v for k, v in self.__dict__.items() if k != "_drawers"}

    def corrected(self, descriptor: str, values: np.ndarray) -> np.ndarray:
        """Return what was measured in drawn micrographs as it would be in real ones: a straight line of it."""
        intercept, slope = self.lines.get(descriptor, (0.0, 1.0))
        return intercept + slope * np.asarray(values, float)

    def save(self, path: str | Path) -> None:
        """Write the model: ``NAME.safetensors`` beside ``NAME.json``."""
        from .. import __version__

        beliefs, settings = self.expectation.state()
        arrays = {f"weights.{k}": v for k, v in self.weights.items()} | {f"expected.{k}": v for k, v in beliefs.items()}
        recipe = {
            "kind": KIND, "format": FORMAT, "morpholith": __version__, "backend": self.backend,
            "table": self.table.to_json(),
            "views": [{"name": v.name, "pixel_um": v.pixel_um, "measures": list(v.measures)} for v in self.views],
            "expected": settings, "network": dict(self.settings),
            "measured": _frame_json(self.measured),
            "left_out": None if self.left_out is None else _frame_json(self.left_out),
            "lines": {k: list(v) for k, v in self.lines.items()}, "about": dict(self.about),
        }  # fmt: skip
        model_file.save(path, arrays, recipe)


def load_micrographs(path: str | Path) -> MicrographModel:
    """Read a model: a file or its folder, or the name of one that is shipped.

    Raises
    ------
    InputError
        There is none, it is damaged, of another kind, or written by a later version.
    """
    place = _place(path)
    arrays, recipe = model_file.load(place)
    if recipe.get("kind") != KIND:
        raise InputError(f"{place} is a {recipe.get('kind') or 'stored network'}, not a {KIND}: see `sem learn`.")
    if recipe.get("format") != FORMAT:
        raise InputError(
            f"{place} has format {recipe.get('format')} (Morpholith {recipe.get('morpholith', 'unknown')}); this "
            f"version reads format {FORMAT}: learn the model again, or use the version that wrote it."
        )
    try:
        return _built(arrays, recipe)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{place} lacks or garbles {error}: it is not a whole {KIND}; learn it again.") from error


def micrograph_files(path: str | Path) -> list[Path]:
    """Return the files of a model, as `load_micrographs` finds them."""
    place = _place(path)
    return [place.with_suffix(".safetensors"), place.with_suffix(".json")]


def shipped_micrographs() -> list[str]:
    """Return the names of the models that come with the package."""
    return shipped(KIND)


def _built(arrays, recipe):
    table = process_table_from_json(recipe["table"])
    beliefs = {k.removeprefix("expected."): v for k, v in arrays.items() if k.startswith("expected.")}
    return MicrographModel(
        table=table,
        views=tuple(View(v["name"], float(v["pixel_um"]), tuple(v["measures"])) for v in recipe["views"]),
        expectation=expectation_from(table, beliefs, recipe["expected"]),
        backend=recipe["backend"],
        weights={k.removeprefix("weights."): v for k, v in arrays.items() if k.startswith("weights.")},
        settings=recipe["network"],
        measured=_frame(recipe["measured"]),
        left_out=None if recipe["left_out"] is None else _frame(recipe["left_out"]),
        lines={k: (float(a), float(b)) for k, (a, b) in recipe["lines"].items()},
        about=recipe["about"],
    )


def _frame_json(frame):
    """Return a table of numbers; NaN, which JSON lacks, as null."""
    values = {c: [float(v) if np.isfinite(v) else None for v in frame[c].to_numpy(float)] for c in frame.columns}
    return {"index": [str(name) for name in frame.index], "columns": values}


def _frame(content):
    import pandas as pd

    columns = {
        name: np.array([np.nan if v is None else v for v in own], float) for name, own in content["columns"].items()
    }
    return pd.DataFrame(columns, index=pd.Index(content["index"], name="condition"))


def _place(path: str | Path) -> Path:
    """Return where a model lies: a shipped one, in a folder, or the file named, with any suffix."""
    path = Path(path)
    if path.is_dir():
        return path / "model"
    if path.with_suffix(".safetensors").is_file() or path.with_suffix(".json").is_file() or path.exists():
        return path
    if str(path) in shipped_micrographs():
        return SHIPPED / str(path)
    raise InputError(
        f"{path} is neither a model's file nor the folder of `sem learn`, nor one that is shipped "
        f"({', '.join(shipped_micrographs()) or 'none'}); check the path."
    )


def _check_shape(shape):
    sides = tuple(int(n) for n in shape)
    if len(sides) != 2 or any(n % 16 or not SMALLEST <= n <= LARGEST for n in sides):
        nearest = [int(np.clip(16 * round(n / 16), SMALLEST, LARGEST)) for n in sides]
        raise InputError(
            f"a micrograph is drawn {SMALLEST} to {LARGEST} pixels a side, in multiples of 16; got {shape}, the "
            f"nearest is {' x '.join(map(str, nearest))}."
        )
