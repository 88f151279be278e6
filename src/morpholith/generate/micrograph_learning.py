"""Learning a condition-to-micrograph model, and the same with conditions left out, to be tested on these."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..progress import progress
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
        On the images alone.
    codes : int
        On images with what was measured of their condition, from the base.
    """

    base: int
    codes: int


@dataclass(frozen=True)
class Learnt:
    """A model and what came of it.

    Attributes
    ----------
    model : MicrographModel
    folds : tuple of (names, MicrographModel)
        Conditions left out, and the model that does not know what their recipes give.
    curves : dict of str to list of float
        Loss of every step: "base", "codes", ...
    """

    model: MicrographModel
    folds: tuple[tuple[tuple[str, ...], MicrographModel], ...]
    curves: dict[str, list[float]]


def parted(names: list[str], folds: int | None, *, rng: np.random.Generator) -> list[tuple[str, ...]]:
    """Part conditions into groups of nearly equal size at random, to be left out in turn; 0 folds, no group.

    Each condition is left out alone where `folds` is None.

    Raises
    ------
    InputError
        One fold, or so few conditions that too few stay when a group is left out.
    """
    if folds == 0:
        return []
    n = len(names)
    folds = n if folds is None else folds
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
    folds: int | None = None,
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
    folds : int, optional
        Groups of conditions that are left out in turn; each alone unless given.
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
    beliefs = expectation(table, measured, names)
    of_image = measured.loc[[images.conditions[k] for k in images.condition]]
    weights, settings = teacher.taught(*training_codes(beliefs, of_image))
    model = MicrographModel(table, images.views, beliefs, backend, weights, settings, measured)
    groups = parted(list(images.conditions), folds, rng=np.random.default_rng([seed, 7]))
    tested = tuple((group, _without(model, group, names)) for group in progress(groups, label="leaving out"))
    return Learnt(model, tested, teacher.curves)


def _without(model: MicrographModel, left: tuple[str, ...], names: list[str]) -> MicrographModel:
    """Return the model with expectations that do not know some conditions; its network knows no recipe anyway."""
    others = model.measured[~model.measured.index.isin(left)]
    own = expectation(model.table, others, names)
    # the network reads codes in the units that it was taught with
    return replace(model, expectation=replace(own, units=model.expectation.units))


class _Flow:
    """Trains the flow's network."""

    def __init__(self, images, steps, folder, seed, device, mixed, processes):
        self.images, self.folder = images, Path(folder)
        self.how = {"seed": seed, "device": device, "mixed": mixed, "processes": processes}
        self.steps, self.curves = steps, {}

    def taught(self, codes, errors) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        from ..nets import micrograph_store as store
        from ..nets.micrograph_net import NetConfig
        from ..nets.micrograph_training import Schedule

        config = NetConfig(codes.shape[1])
        base = self._trained(
            codes, errors, Schedule(self.steps.base, dropped=1.0, recipe_rate=1.0), config, "base", None
        )
        plan = Schedule(self.steps.codes, learning_rate=7e-4)
        return store.described(self._trained(codes, errors, plan, config, "codes", base), config)

    def _trained(self, codes, errors, plan, config, label, start):
        from ..nets.micrograph_store import scales_of
        from ..nets.micrograph_training import Patches, train

        scales = scales_of([view.pixel_um for view in self.images.views])
        # half of the error: it is in the measured values already
        patches = Patches(self.images.arrays, codes, 0.5 * errors, self.images.view, scales)
        state, self.curves[label] = train(
            patches, plan, config=config, checkpoint=self.folder / f"{label}.pt", start=start,
            label=f"training: {label}", **self.how,
        )  # fmt: skip
        return state


class _Control:
    """Trains the ControlNet over a base; one of our own is trained first."""

    def __init__(self, images, steps, folder, seed, device, mixed, base):
        self.images, self.folder, self.base = images, Path(folder), base
        self.how = {"seed": seed, "device": device, "mixed": mixed}
        self.steps, self.curves = steps, {}

    def taught(self, codes, errors) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        from ..nets import control, control_store

        del errors  # the paper's way has no noise on the conditions
        steps = (self.steps.base, self.steps.base, self.steps.codes)
        nets = control.train_control(
            self.images.arrays, codes, self.images.view, folder=self.folder, base=self.base, steps=steps, **self.how
        )  # fmt: skip
        self.curves |= {name: curve for name, curve in nets.curves.items() if curve}
        return control_store.described(nets)
