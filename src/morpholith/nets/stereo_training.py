"""Training of the stereological GAN (paper 001, Algorithm 2): resumes to the same curve, on one device or several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import _checks
from ..errors import InputError
from ..generate import MarkerNetwork, with_reach
from ..progress import progress
from ._stereo_run import Gan
from ._stereo_store import keep, place_of, resume
from .stereo_gan import measured, suitable_step
from .training import device

if TYPE_CHECKING:
    import pandas as pd

    from ..generate import DiagramFit


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train.

    Attributes
    ----------
    epochs, steps : int
        200 epochs of 100 steps in paper 001.
    batch : int
        Cutouts of either kind that the discriminator sees in a step; the generator sees half as many. 128 there.
    learning_rate, judge_rate : float
        Of the generator and the discriminator; 1e-4 for both there.
    decay : bool
        Let both fall to a tenth, evenly in the logarithm, over the second half.
    gate : float
        Loss of the discriminator below which it is not changed; 0.09 there.
    betas : (float, float)
        Of Adam.
    average : float
        Decay of the running average of the generator's weights that is handed out; 0 hands out the last ones.
    start : {"moments", "middle"}
        Markers start at the moments of the fitted sections, or in the middle of their ranges.
    intensity : float
        Seeds a cubic step at the start.
    joint_statistics : bool
        Batch normalisation over measured and drawn cutouts together, and its running mean for the generator. Apart,
        each batch is normalised by itself, and what differs by its mean alone is hidden from the discriminator.
    """

    epochs: int = 200
    steps: int = 100
    batch: int = 128
    learning_rate: float = 1e-4
    judge_rate: float = 1e-4
    decay: bool = False
    gate: float = 0.09
    betas: tuple[float, float] = (0.9, 0.999)
    average: float = 0.0
    start: str = "middle"
    intensity: float = 0.0018
    joint_statistics: bool = False


PAPER = Schedule()
USEFUL = Schedule(
    epochs=6, steps=50, batch=64, learning_rate=1.5e-4, judge_rate=6e-4, decay=True, betas=(0.5, 0.99), average=0.995,
    start="moments", joint_statistics=True,
)  # fmt: skip
SCHEDULES = {"paper": PAPER, "useful": USEFUL}


@dataclass(frozen=True)
class Learnt:
    """What training gives.

    Attributes
    ----------
    network : MarkerNetwork
        Draws grains without torch.
    curves : DataFrame
        One row an epoch (index `epoch`, from 1): mean `generator_loss` (D(drawn) - 1)^2 and `discriminator_loss`,
        `discriminator_steps` that were taken, `intensity` in seeds a cubic step, `grains_measured` and `grains_drawn`
        visible in a cutout, mean intercepts of the 12 grains that are shown along the radius (`radial_measured_um`,
        `radial_drawn_um`) and across it (`tangential_...`), `radial_ratio` (mean of the logarithm of the extent along
        the radius over that across it, from D) and its standard deviation, `neglected` probability of seeds beyond the
        margin.
    step_um : float
    """

    network: MarkerNetwork
    curves: pd.DataFrame
    step_um: float


def learn_architecture(
    fits: Sequence[DiagramFit],
    *,
    step_um: float | None = None,
    schedule: Schedule | str = "paper",
    checkpoint: str | Path | None = None,
    seed: int = 0,
    device_name: str = "cpu",
    paper_inputs: bool = False,
    hidden: Sequence[int] = (128, 128),
    threads: int = 1,
    on_epoch: Callable[[int, MarkerNetwork], None] | None = None,
) -> Learnt:
    """Learn a marker network from planar sections through the centres of particles (paper 001, Algorithm 2).

    In each step the generator's drawn cutouts are judged and its weights moved so that the discriminator takes them
    for measured ones, min (D(drawn) - 1)^2 on the soft images; then the discriminator is moved towards 1 on measured
    and 0 on drawn images, both rounded, unless its loss is below the gate. Gradients are scaled to length 1 before
    Adam. Once an epoch the intensity is multiplied by (1 + NG_measured / NG_drawn) / 2, NG the grains that are seen in
    a cutout.

    Within a process group of torch.distributed each process takes its share of the batch and gradients are averaged;
    start it with `torchrun`. Batch statistics are those of each share.

    Parameters
    ----------
    fits : sequence of DiagramFit
        Fitted central sections. Those that are not radially restricted, with power 1, are so fitted first.
    step_um : float, optional
        Pixel of the cutouts of 32 x 32; by default such that the mean grain is 8 steps wide, as in paper 001, where
        it was the 0.05 um of the maps.
    schedule : Schedule or {"paper", "useful"}
    checkpoint : path, optional
        A file NAME.safetensors, written every epoch, whole or not at all, and gone on from if it is there; the curves
        are those of an unbroken run. Or a folder, in which trainings of other sections or options do not meet.
    seed : int
        The same seed gives the same network on the same machine.
    device_name : {"cpu", "cuda"}
    paper_inputs : bool
        Show the network the neighbours alone, as the paper prints; by default the own noise and the distance from
        the centre as well.
    hidden : sequence of int
        Widths of the hidden layers.
    threads : int
        Of the compiled loops; torch has its own. Results do not depend on it.
    on_epoch : callable, optional
        Called with the epoch, from 1, and the network so far.

    Returns
    -------
    Learnt

    Raises
    ------
    InputError
        No sections, sections too small for a cutout, a device that is absent, a checkpoint of another training.
    """
    if not len(fits):
        raise InputError("the GAN learns from fitted sections, got none.")
    if isinstance(schedule, str):
        schedule = SCHEDULES[_checks.choice(schedule, tuple(SCHEDULES), name="schedule")]
    _checks.choice(schedule.start, ("moments", "middle"), name="start")
    device(device_name)
    step_um = suitable_step(fits) if step_um is None else _checks.positive(step_um, name="step_um")
    data = [measured(fit, step_um=step_um) for fit in fits]
    gan = Gan(data, schedule, seed, device_name, paper_inputs, hidden, threads, step_um)
    place = None if checkpoint is None else place_of(gan, Path(checkpoint))
    if place is not None and place.is_file():
        resume(gan, place)
    for epoch in progress(range(len(gan.curves), schedule.epochs), label="training"):
        gan.epoch(epoch)
        if place is not None and gan.rank == 0:
            keep(gan, place)
        if on_epoch is not None:
            on_epoch(epoch + 1, gan.network())
    network = with_reach(gan.network(), rng=np.random.default_rng([seed, 7]))
    return Learnt(network, gan.table(), step_um)
