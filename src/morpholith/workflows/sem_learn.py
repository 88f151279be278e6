"""From a campaign of conditions and micrographs to a model that draws the micrographs of other conditions."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from .. import columns as c
from ..errors import InputError, InputWarning
from ..progress import progress, stage
from ..results import Result

if TYPE_CHECKING:
    import pandas as pd

    from ..generate import ProcessTable, TrainingImages
    from ..read import Campaign

BACKENDS = {"flow": "flow", "diffusers": "control"}


@dataclass(frozen=True)
class Ground:
    """What is learnt from.

    Attributes
    ----------
    plan : Campaign
    table : ProcessTable
    images : TrainingImages
    measured : DataFrame
        Index `condition`: descriptors as `sem measure` gives them, with `<descriptor>_se`.
    """

    plan: Campaign
    table: ProcessTable
    images: TrainingImages
    measured: pd.DataFrame

    @property
    def names(self) -> list[str]:
        """The descriptors, in the order of the views that measure them."""
        return [name for view in reversed(self.images.views) for name in view.measures]


def learn(
    campaign: Path,
    *,
    pixel_size: float | None = None,
    page: int | None = None,
    method: Literal["flow", "diffusers"] = "flow",
    base: str | None = None,
    base_steps: int = 2000,
    steps: int = 6000,
    folds: int | None = None,
    draws: int = 10,
    scan: list[str] | None = None,
    seed: int = 0,
    work: str | None = None,
    workers: int = 1,
    device: Literal["cpu", "cuda"] = "cpu",
) -> Result:
    """Learn to draw the micrographs of conditions that were never made, and test it on conditions left out.

    Writes the model (``model.safetensors`` and ``model.json``), to be given to `morpholith sem predict` and
    `sem design`, with the proof of what it can do.

    Parameters
    ----------
    campaign
        Table image,condition,magnification,... in CSV; its other columns are the process variables.
    pixel_size
        Pixel size in um, needed when the files do not say it; it wins when they say otherwise.
    page
        Which image of multi-page files, from 0; needed when a file has several of one size.
    method
        Flow matching on patches (flow), or latent diffusion steered by a ControlNet (diffusers).
    base
        For method diffusers: folder or hub id of a latent diffusion model that stays frozen; one of our own is trained
        on the campaign's images unless given.
    base_steps
        Steps of training on the images alone.
    steps
        Steps of training with what was measured of each condition.
    folds
        Groups of conditions that are left out in turn, each condition alone unless given; 0 to leave the model
        untested.
    draws
        Micrographs drawn for each condition and magnification, to be measured.
    scan
        One or two process variables over which the model is shown; those that matter most unless given.
    seed
        Same input and seed, same model.
    work
        Folder that keeps checkpoints; the same command goes on from there after it was stopped.
    workers
        Processes that share the training, one a card; for method flow.
    device
        Where the network is trained and draws.
    """
    from .. import checkpoint, generate
    from ..nets.training import fast_bfloat16
    from ._sem_learn_proof import prove
    from ._sem_learn_story import told

    _check(base_steps, steps, folds, draws, seed, workers, method, base)
    ground = _ground(campaign, pixel_size, page, folds, seed, device)
    variables = _scanned(ground.table, scan)
    key = {"table": ground.table.to_json(), "names": ground.images.names, "views": str(ground.images.views),
           "measured": ground.measured.to_json(), "method": method, "base": base, "seed": seed,
           "steps": [base_steps, steps], "folds": folds}  # fmt: skip
    kept = checkpoint.store(work, key=key)
    mixed = fast_bfloat16(device)
    learnt = generate.learn_micrographs(
        ground.images, ground.table, ground.measured, steps=generate.Steps(base_steps, steps),
        folder=kept.folder, backend=BACKENDS[method], base=base, folds=folds, seed=seed, device=device, mixed=mixed,
        processes=workers,
    )  # fmt: skip
    proof = prove(learnt, ground, kept=kept, draws=draws, scan=variables, seed=seed, device=device)
    about = {
        "campaign": f"{len(ground.table.conditions)} conditions, {len(ground.images)} micrographs",
        "steps": {"base": base_steps, "codes": steps}, "folds": folds, "seed": seed,
        "bfloat16": mixed,
    }  # fmt: skip
    return told(learnt, ground, proof, about=about, draws=draws, inputs=[campaign, *ground.plan.images["path"]])


def _check(base_steps, steps, folds, draws, seed, workers, method, base):
    for value, name, least in (
        (base_steps, "base-steps", 0), (steps, "steps", 1), (folds or 0, "folds", 0),
        (draws, "draws", 3), (seed, "seed", 0), (workers, "workers", 1),
    ):  # fmt: skip
        if value < least:
            raise InputError(f"--{name} must be {least} or more, got {value}.")
    if base is not None and method != "diffusers":
        raise InputError(
            "--base is a latent diffusion model, which --method diffusers takes; leave out one of the two."
        )
    if workers > 1 and method == "diffusers":
        raise InputError("--workers shares the training of --method flow; start the other with `accelerate launch`.")


def _ground(campaign, pixel_size, page, folds, seed, device) -> Ground:
    import numpy as np

    from .. import generate, read

    if campaign.suffix.lower() != ".csv":
        raise InputError(
            f"{campaign} is no table; give a CSV file image,condition,magnification,... whose other columns are the "
            f"process variables."
        )
    stage("reading the campaign")
    plan = read.campaign([campaign])
    table = generate.process_table(plan)
    images = generate.training_images(plan, pixel_size=pixel_size, page=page)
    # known to fail before an hour of training
    generate.parted(list(images.conditions), folds, rng=np.random.default_rng(seed))
    return Ground(plan, table, images, measured_conditions(plan, images, pixel_size, page, device))


def measured_conditions(
    plan: Campaign, images: TrainingImages, pixel_size: float | None, page: int | None, device: str
) -> pd.DataFrame:
    """Measure every condition as `sem measure` does, on the images as they are in the files."""
    import pandas as pd

    from .. import measure
    from .sem import _frame_um, _named, look

    names = [name for view in images.views for name in view.measures]
    tables: dict[str, list[pd.DataFrame]] = {}
    frames: dict[str, dict[str, tuple[float, float]]] = {}
    for path, condition, name in progress(_named(plan), label="measuring"):
        with warnings.catch_warnings():
            # a coarse view is there for sizes; that its texture is not resolved is meant so
            warnings.filterwarnings("ignore", message="texture is not resolved", category=InputWarning)
            field = look(path, condition, name=name, pixel_size=pixel_size, page=page, device=device)
        tables.setdefault(condition, []).append(field.table.assign(**{c.IMAGE: name}))
        frames.setdefault(condition, {})[name] = _frame_um(field.image)
    rows = {}
    for condition in images.conditions:
        found = measure.clustered_descriptors(pd.concat(tables[condition]), frames=frames[condition], names=names)
        rows[condition] = {k: v for name, e in found.items() for k, v in ((name, e.value), (f"{name}_se", e.se))}
    out = pd.DataFrame.from_dict(rows, orient="index")
    out.index.name = c.CONDITION
    return out


def _scanned(table: ProcessTable, scan: list[str] | None) -> tuple[str, ...] | None:
    numbers = [v.name for v in table.variables if v.kind == "number"]
    if scan is None:
        return None
    wrong = [name for name in scan if name not in numbers]
    if wrong or not 1 <= len(set(scan)) == len(scan) <= 2:
        raise InputError(f"--scan takes one or two of {', '.join(numbers)}; got {' '.join(scan)}.")
    return tuple(scan)
