"""One training of the stereological GAN: its networks, what moves them, and what is noted once an epoch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from ..generate import MarkerNetwork
from .soft_diagram import SIZE, soft_sections, weights
from .stereo_gan import Discriminator, MarkerNet, Measured, distances, drawn_cutouts, measured_cutouts
from .training import device

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "generator_loss", "discriminator_loss", "discriminator_steps", "intensity", "grains_measured", "grains_drawn",
    "radial_measured_um", "radial_drawn_um", "tangential_measured_um", "tangential_drawn_um",
    "radial_ratio", "radial_ratio_sd", "neglected",
)  # fmt: skip
BEYOND = 2e-3  # probability that may come from seeds outside the margin
FARTHEST = 60.0  # steps; the widest margin
CHECKED = 16  # cutouts that the margin is checked on, once an epoch


class Gan:
    """Both networks, their optimisers, the intensity and the curves so far."""

    def __init__(self, data: list[Measured], schedule, seed, device_name, paper_inputs, hidden, threads, step_um):
        self.data, self.schedule, self.seed, self.threads, self.step_um = data, schedule, seed, threads, step_um
        self.where = device(device_name)
        self.rank, self.world = _rank()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.maker = MarkerNet(hidden, paper_inputs=paper_inputs)
            self.judge = Discriminator()
        if schedule.start == "moments":
            self.maker.start_at(*_moments(data))
        self.mean = {k: v.detach().clone().to(self.where) for k, v in self.maker.state_dict().items()}
        self.maker, self.judge = self.maker.to(self.where), self.judge.to(self.where)
        self.adams = [
            torch.optim.Adam(self.maker.parameters(), lr=schedule.learning_rate, betas=schedule.betas),
            torch.optim.Adam(self.judge.parameters(), lr=schedule.judge_rate, betas=schedule.betas),
        ]
        self.intensity, self.margin = schedule.intensity, (8.0, 8.0)
        self.curves: list[list[float]] = []
        self.about = {
            "kind": "stereological GAN", "schedule": json.loads(json.dumps(asdict(schedule))), "seed": seed,
            "paper_inputs": paper_inputs, "hidden": list(hidden), "step_um": step_um, "processes": self.world,
            "sections": [[len(d.seeds), len(d.places)] for d in data],
        }  # fmt: skip

    def epoch(self, epoch: int) -> None:
        """Train through one epoch, then adapt the intensity."""
        neglected = self._widen(epoch)
        ratios: list[np.ndarray] = []
        counts: list[list[float]] = []
        sums, taken = np.zeros(2), 0
        for step in range(self.schedule.steps):
            self._set_rates(epoch + step / self.schedule.steps)
            rng = np.random.default_rng([self.seed, epoch, step, self.rank])
            loss = self._move_maker(rng, ratios)
            judged, moved, seen = self._move_judge(rng)
            sums += loss, judged
            taken += moved
            counts.append(seen)
        real, fake, *changes = self._all_mean(np.mean(counts, 0))
        ratio = np.concatenate(ratios)
        row = [*(sums / self.schedule.steps), taken, self.intensity, real, fake]
        row += [self.step_um / max(share, 1e-9) for share in changes]
        row += [ratio.mean(), ratio.std(), neglected]
        self.curves.append([float(v) for v in row])
        # Eq. 13
        self.intensity *= 0.5 + 0.5 * real / max(fake, 1e-9)

    def _move_maker(self, rng, ratios) -> float:
        """Move the generator (Algorithm 2, lines 7 to 9)."""
        images, _, diagonal = self._draw(self._share(self.schedule.batch // 2), rng)
        ratios.append(0.5 * torch.log(diagonal[:, 1:].detach().prod(1).sqrt() / diagonal[:, 0].detach()).cpu().numpy())
        joint = self.schedule.joint_statistics
        self.judge.train(not joint)
        self.judge.requires_grad_(False)
        loss = ((self._judged(images) - 1) ** 2).mean()
        self.judge.requires_grad_(True)
        self._step(self.maker, self.adams[0], loss)
        done = len(self.curves) * self.schedule.steps + len(ratios)
        decay = min(self.schedule.average, (1 + done) / (10 + done))
        for key, value in self.maker.state_dict().items():
            self.mean[key].lerp_(value, 1 - decay)
        return self._all_mean(loss.item())

    def _move_judge(self, rng) -> tuple[float, bool, list[float]]:
        """Move the discriminator unless it is good enough (lines 10 to 15); return (loss, moved, what is seen)."""
        count = self._share(self.schedule.batch)
        with torch.no_grad():
            real, n_real = self._measured(count, rng)
            fake, n_fake, _ = self._draw(count, rng, round_off=True)
        self.judge.train()
        if self.schedule.joint_statistics:
            said = self.judge(torch.cat([real, fake]))
            on_real, on_fake = said[:count], said[count:]
        else:
            on_real, on_fake = self.judge(real), self.judge(fake)
        loss = ((on_real - 1) ** 2).mean() + (on_fake**2).mean()
        value = self._all_mean(loss.item())
        moved = value > self.schedule.gate
        if moved:
            self._step(self.judge, self.adams[1], loss)
        seen = [n_real.float().mean().item(), n_fake.float().mean().item()]
        seen += [_changes(images, axis) for axis in (2, 3) for images in (real, fake)]
        return value, moved, seen

    def _judged(self, images):
        """Judge without a change to the running statistics."""
        norms = [m for m in self.judge.modules() if isinstance(m, nn.BatchNorm2d)]
        for norm in norms:
            norm.momentum = 0.0
        said = self.judge(images)
        for norm in norms:
            norm.momentum = 0.1
        return said

    def _draw(self, count, rng, *, round_off=False):
        """Images of drawn sections, the grains in each, and D of their seeds."""
        p = distances(self.data, count, rng=rng)
        shown = drawn_cutouts(self.maker, self.intensity, p, self.margin, rng=rng)
        diagonal, radii = self.maker(torch.from_numpy(shown.inputs).to(self.where))
        images, grains = soft_sections(shown.seen, diagonal, radii, round_off=round_off, threads=self.threads)
        return images, grains, diagonal

    def _measured(self, count, rng):
        """Rounded images of augmented measured sections, and the grains in each."""
        shown = measured_cutouts(self.data, count, rng=rng)
        given = (torch.from_numpy(part).to(self.where) for part in (shown.diagonal, shown.radii))
        return soft_sections(shown.seen, *given, round_off=True, threads=self.threads)

    def _widen(self, epoch) -> float:
        """Widen the margin of the seeds while those beyond it matter; return the probability they have."""
        while True:
            rng = np.random.default_rng([self.seed, epoch, 999_983])
            p = distances(self.data, CHECKED, rng=rng)
            along, across = beyond = _beyond(self.maker, self.intensity, p, self.margin, rng)
            wide = self.margin
            self.margin = tuple(
                min(1.25 * m, FARTHEST) if b > BEYOND / 2 else m for m, b in zip(wide, beyond, strict=True)
            )
            if self.margin == wide:
                return along + across

    def _set_rates(self, at) -> None:
        schedule = self.schedule
        fall = 10 ** -max(0.0, 2 * at / schedule.epochs - 1) if schedule.decay else 1.0
        for adam, rate in zip(self.adams, (schedule.learning_rate, schedule.judge_rate), strict=True):
            adam.param_groups[0]["lr"] = rate * fall

    def _step(self, net, adam, loss) -> None:
        """One step of Adam along the gradient scaled to length 1."""
        adam.zero_grad(set_to_none=True)
        loss.backward()
        slopes = [p.grad for p in net.parameters() if p.grad is not None]
        if self.world > 1:
            for slope in slopes:
                torch.distributed.all_reduce(slope)
        length = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(s) for s in slopes]))
        for slope in slopes:
            slope.div_(length.clamp_min(1e-12))
        adam.step()

    def _share(self, count) -> int:
        return max(2, count // self.world)

    def _all_mean(self, value):
        """Mean over the processes."""
        if self.world == 1:
            return value
        tensor = torch.as_tensor(value, dtype=torch.float64, device=self.where).clone()
        torch.distributed.all_reduce(tensor)
        mean = (tensor / self.world).cpu().numpy()
        return float(mean) if mean.ndim == 0 else mean

    def network(self) -> MarkerNetwork:
        """Return the generator for numpy, its weights averaged where the schedule says so."""
        net = MarkerNet(self.about["hidden"], paper_inputs=self.about["paper_inputs"])
        net.load_state_dict({k: v.cpu() for k, v in self.mean.items()})
        return net.plain(intensity=self.intensity, step_um=self.step_um)

    def table(self) -> pd.DataFrame:
        """Return the curves so far."""
        import pandas as pd

        curves = np.array(self.curves).reshape(-1, len(COLUMNS))
        return pd.DataFrame(curves, columns=list(COLUMNS), index=pd.RangeIndex(1, len(curves) + 1, name="epoch"))


@torch.no_grad()
def _beyond(net, intensity, p, margin, rng) -> tuple[float, float]:
    """Mean probability, over the pixels of cutouts, of seeds beyond either margin: along the rows, and across them."""
    wide = (1.6 * margin[0], 1.6 * margin[1])
    shown = drawn_cutouts(net, intensity, p, wide, rng=rng)
    diagonal, radii = net(torch.from_numpy(shown.inputs).to(net.low.device))
    weight = weights(shown.seen, diagonal, radii) / len(p)
    away = shown.seeds - np.array([1.0, 0, 0]) * np.repeat(p, np.diff(shown.seen.start))[:, None]
    along = (away[:, 0] < 1 - margin[0]) | (away[:, 0] > SIZE + margin[0])
    across = (np.abs(away[:, 1]) > (SIZE - 1) / 2 + margin[1]) | (np.abs(away[:, 2]) > margin[1])
    return float(weight[along].sum()), float(weight[across & ~along].sum())


def _changes(images, axis) -> float:
    """Share of neighbouring pixels along an axis that belong to different grains, of those the channels hold."""
    # from one grain to another two channels change, also where a pixel between them has no grain
    moved = images.diff(dim=axis).abs()
    return float(moved.sum() / (2 * moved[:, 0].numel()))


def _moments(data: Sequence[Measured]) -> tuple[list[float], float]:
    """D and r around which the grains of the sections lie: geometric means along and across the radius, median r."""
    along, across = np.exp(np.mean([np.log(section.diagonal).mean(0) for section in data], 0))
    return [along, across, across], float(np.median(np.concatenate([section.radii for section in data])))


def _rank() -> tuple[int, int]:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1
