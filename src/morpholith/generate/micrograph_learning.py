"""Learning a condition-to-micrograph model, and the same with conditions left out, to be tested on these."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from .micrographs import MicrographModel
from .process_table import ProcessTable
from .recipe_code import expectation, training_codes
from .training_images import TrainingImages

if TYPE_CHECKING:
    import pandas as pd

LEAST_LEFT = 6  # conditions that a fold must still be trained on


@dataclass(frozen=True)
class Steps:
    """Steps of training.

    Attributes
    ----------
    base : int
        On all images without their recipes; what is learnt here is shared by the model and its folds.
    recipe : int
        On images with their recipes, from the base.
    fold : int
        The same for a model with conditions left out.
    """

    base: int
    recipe: int
    fold: int


@dataclass(frozen=True)
class Learnt:
    """A model and what came of it.

    Attributes
    ----------
    model : MicrographModel
    folds : tuple of (names, MicrographModel)
        Conditions left out, and the model that was never told their recipes.
    curves : dict of str to list of float
        Loss of every step: "base", "recipes", "fold 1", ...
    """

    model: MicrographModel
    folds: tuple[tuple[tuple[str, ...], MicrographModel], ...]
    curves: dict[str, list[float]]


def parted(names: list[str], folds: int, *, rng: np.random.Generator) -> list[tuple[str, ...]]:
    """Part conditions into groups of nearly equal size at random, to be left out in turn; 0 folds, no group.

    Raises
    ------
    InputError
        One fold, or so few conditions that too few stay when a group is left out.
    """
    if folds == 0:
        return []
    n = len(names)
    fewest = next((k for k in range(2, n + 1) if n - -(-n // k) >= LEAST_LEFT), None)
    if fewest is None:
        raise InputError(f"{n} conditions are too few to leave some out and learn from {LEAST_LEFT}; give 0 folds.")
    if not fewest <= folds <= n:
        raise InputError(
            f"{n} conditions can be left out in {fewest} to {n} folds, so that {LEAST_LEFT} or more stay to learn "
            f"from; got {folds}. Give 0 not to test the model."
        )
    order = rng.permutation(len(names))
    return [tuple(names[i] for i in sorted(order[k::folds])) for k in range(folds)]


def learn_micrographs(
    images: TrainingImages,
    table: ProcessTable,
    measured: pd.DataFrame,
    *,
    steps: Steps,
    folder: Path,
    backend: str = "flow",
    base: str | None = None,
    folds: int = 5,
    seed: int = 0,
    device: str = "cpu",
    mixed: bool = False,
    processes: int = 1,
) -> Learnt:
    """Learn to draw the micrographs of recipes.

    Parameters
    ----------
    images : TrainingImages
    table : ProcessTable
        Of the same conditions.
    measured : DataFrame
        Index `condition`; descriptors of the images with `<descriptor>_se`: those that the views measure.
    steps : Steps
    folder : Path
        Of checkpoints; a training that was stopped goes on from there.
    backend : {"flow", "control"}
        Flow matching in pixels, or paper 000's latent diffusion steered by a ControlNet.
    base : str, optional
        Folder or hub id of a latent diffusion model for "control".
    folds : int
        Groups of conditions that are left out in turn.
    seed : int
    device : {"cpu", "cuda"}
    mixed : bool
        bfloat16 where it is safe.
    processes : int
        That share the training of "flow", one a card.
    """
    names = [name for view in images.views for name in view.measures]
    teacher: _Flow | _Control = _Flow(images, steps, folder, seed, device, mixed, processes)
    if backend == "control":
        teacher = _Control(images, steps, folder, seed, device, mixed, base)
    rows = np.array([table.conditions.index.get_loc(name) for name in images.conditions])[images.condition]

    def learn(left: tuple[str, ...], label: str, count: int) -> MicrographModel:
        kept = ~table.conditions.index.isin(left)
        beliefs = expectation(table, measured[~measured.index.isin(left)], names)
        codes, spread = training_codes(beliefs)
        used = np.flatnonzero(kept[rows])
        weights, settings = teacher.taught(used, codes[rows[used]], spread[rows[used]], label, count)
        return MicrographModel(table, images.views, beliefs, backend, weights, settings, measured)

    model = learn((), "recipes", steps.recipe)
    groups = parted(list(images.conditions), folds, rng=np.random.default_rng([seed, 7]))
    tested = tuple((group, learn(group, f"fold {k + 1}", steps.fold)) for k, group in enumerate(groups))
    return Learnt(model, tested, teacher.curves)


class _Flow:
    """Trains the flow's network; the base is trained first."""

    def __init__(self, images, steps, folder, seed, device, mixed, processes):
        self.images, self.folder = images, Path(folder)
        self.how = {"seed": seed, "device": device, "mixed": mixed, "processes": processes}
        self.steps, self.base, self.curves = steps, None, {}

    def taught(self, used, codes, spread, label, count) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        from ..nets import micrograph_store as store
        from ..nets.micrograph_net import NetConfig
        from ..nets.micrograph_training import Schedule

        config = NetConfig(codes.shape[1])
        if self.base is None:
            everything, blank = np.arange(len(self.images)), np.zeros((len(self.images), codes.shape[1]))
            plan = Schedule(self.steps.base, dropped=1.0, recipe_rate=1.0)
            self.base = self._trained(everything, blank, blank, plan, config, "base", None)
        state = self._trained(used, codes, spread, Schedule(count, learning_rate=7e-4), config, label, self.base)
        return store.described(state, config)

    def _trained(self, used, codes, spread, plan, config, label, start):
        from ..nets.micrograph_store import scales_of
        from ..nets.micrograph_training import Patches, train

        scales = scales_of([view.pixel_um for view in self.images.views])
        arrays = [self.images.arrays[i] for i in used]
        patches = Patches(arrays, codes, spread, self.images.view[used], scales)
        state, self.curves[label] = train(
            patches, plan, config=config, checkpoint=self.folder / f"{label.replace(' ', '_')}.pt", start=start,
            label=f"training: {label}", **self.how,
        )  # fmt: skip
        return state


class _Control:
    """Trains the ControlNet over a base; one of our own is trained first, once, on all images."""

    def __init__(self, images, steps, folder, seed, device, mixed, base):
        self.images, self.folder, self.base, self.given = images, Path(folder), base, base is not None
        self.how = {"seed": seed, "device": device, "mixed": mixed}
        self.steps, self.curves = steps, {}

    def taught(self, used, codes, spread, label, count) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        from ..nets import control, control_store
        from ..nets.control_base import save_base

        del spread  # the paper's way has no noise on the conditions
        if self.base is None:
            everything = np.zeros((len(self.images), codes.shape[1]))
            own = control.train_control(
                self.images.arrays, everything, self.images.view, folder=self.folder / "base",
                steps=(self.steps.base, self.steps.base, 0), **self.how,
            )  # fmt: skip
            self.base = str(self.folder / "base" / "diffusers")
            save_base(self.base, own.autoencoder, own.base, own.schedule)
            self.curves |= {k: v for k, v in own.curves.items() if v}
        arrays = [self.images.arrays[i] for i in used]
        nets = control.train_control(
            arrays, codes, self.images.view[used], folder=self.folder / label.replace(" ", "_"), base=self.base,
            steps=(0, 0, count), **self.how,
        )  # fmt: skip
        self.curves[label] = next(reversed(nets.curves.values()))
        return control_store.described(nets, whole=not self.given or None)
