"""One training loop for every network: resumes from its checkpoint, averages the weights, keeps the curve."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from ..errors import InputError
from ..progress import progress
from . import distributed


def device(name: str) -> torch.device:
    """Return the device asked for; one that is absent is an error, never a silent fallback."""
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("`--device cuda` was asked for but no CUDA device is present; use `--device cpu`.")
    return torch.device(name)


def fast_bfloat16(name: str) -> bool:
    """Return whether a device computes in bfloat16 by itself, and so faster than in single precision."""
    if name == "cuda":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    known = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(known and known())


def fit(
    model: torch.nn.Module,
    batch: Callable[[int], tuple[torch.Tensor, ...]],
    loss: Callable[..., torch.Tensor],
    *,
    steps: int,
    checkpoint: Path,
    learning_rate: float = 2e-3,
    weight_decay: float = 1e-4,
    average: float = 0.995,
    device_name: str = "cpu",
    mixed: bool = False,
    save_every: int = 100,
    inputs: int = 1,
    label: str = "training",
    rates: Mapping[str, float] | None = None,
) -> tuple[dict, list[float]]:
    """Train with AdamW and a one-cycle rate; return the averaged weights and the loss of every step.

    In a group of processes (`distributed.spread`) gradients are averaged and the first one writes the checkpoint.

    Parameters
    ----------
    model : Module
        Trained in place.
    batch : callable
        ``batch(step)`` returns the tensors of that step, the inputs first; it depends on the step alone, so a
        resumed run sees what an unbroken one would.
    loss : callable
        ``loss(output, *targets)``.
    steps : int
    checkpoint : Path
        Written every `save_every` steps, whole or not at all; read first if it is there.
    average : float
        Decay of the exponential moving average of the weights.
    mixed : bool
        bfloat16 where it is safe.
    inputs : int
        How many of the tensors go into the model; the others go to the loss.
    label : str
        Of the progress bar.
    rates : mapping of str to float, optional
        By what the learning rate is multiplied for parameters in whose name a word occurs.
    """
    where = device(device_name)
    model = model.to(where, memory_format=torch.channels_last).train()
    groups = _groups(model, learning_rate, rates or {})
    optimiser = torch.optim.AdamW(groups, lr=learning_rate, weight_decay=weight_decay)
    peaks = [group["lr"] for group in groups]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, peaks, total_steps=steps, pct_start=0.1)
    mean = {k: v.detach().clone() for k, v in model.state_dict().items()}
    curve: list[float] = []
    if Path(checkpoint).is_file():
        kept = torch.load(checkpoint, map_location=where, weights_only=True)
        model.load_state_dict(kept["model"])
        optimiser.load_state_dict(kept["optimiser"])
        schedule.load_state_dict(kept["schedule"])
        mean, curve = kept["mean"], kept["curve"]
    taught = distributed.shared(model)
    first = distributed.rank()[0] == 0
    for step in progress(range(len(curve), steps), label=label):
        x, *others = (t.to(where) for t in batch(step))
        with torch.autocast(where.type, torch.bfloat16, enabled=mixed):
            output = taught(x.to(memory_format=torch.channels_last), *others[: inputs - 1])
        value = loss(output.float(), *others[inputs - 1 :])
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        _average(mean, model.state_dict(), min(average, (1 + step) / (10 + step)))
        curve.append(distributed.mean(value.item(), where))
        if first and ((step + 1) % save_every == 0 or step + 1 == steps):
            _save(checkpoint, model, optimiser, schedule, mean, curve)
    return mean, curve


def _groups(model, rate, rates):
    """Return parameters by learning rate; one group where all have the same."""
    found: dict[float, list] = {}
    for name, parameter in model.named_parameters():
        factor = next((f for word, f in rates.items() if word in name), 1.0)
        found.setdefault(factor, []).append(parameter)
    return [{"params": own, "lr": rate * factor} for factor, own in found.items()]


def _average(mean, now, decay):
    for key, value in now.items():
        if value.is_floating_point():
            mean[key].lerp_(value, 1 - decay)
        else:
            mean[key].copy_(value)


def _save(path, model, optimiser, schedule, mean, curve):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    torch.save(
        {
            "model": model.state_dict(),
            "optimiser": optimiser.state_dict(),
            "schedule": schedule.state_dict(),
            "mean": mean,
            "curve": curve,
        },
        part,
    )
    part.replace(path)
