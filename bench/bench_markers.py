"""Seeds and markers of grains from the marker network: time a grain, neighbours and network apart.

    python bench/bench_markers.py                 a box of 1e6 grains, and one training step at the paper's sizes
    python bench/bench_markers.py --toy           the same in seconds, to see that it runs

Paper 001 states 7.06e-6 s a grain on an RTX A4000, averaged over 1e6 grains; its network's widths are in a figure
only. Here: 12 neighbours of each Poisson seed, rotation into the radial frame, 63-128-128-4, matrices. Best of the
repeats. The time of a training step is that of Algorithm 2 with 64 + 128 drawn and 128 measured cutouts, and of 200 x
100 of them.
"""

from __future__ import annotations

import argparse
import platform
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from morpholith import generate

RESULTS = Path(__file__).parent / "results"
PAPER = 7.06e-6


def timed(function, repeats):
    """Return the best seconds of the clock and of the processor, and the last result."""
    clock, cpu = [], []
    for _ in range(repeats):
        start, used = time.perf_counter(), time.process_time()
        made = function()
        clock.append(time.perf_counter() - start)
        cpu.append(time.process_time() - used)
    return min(clock), min(cpu), made


def markers(grains, options) -> dict:
    """Draw a box of grains around the centre."""
    net = generate.untrained_network(rng=np.random.default_rng(options.seed))
    half = (grains / net.intensity_per_um3) ** (1 / 3) / 2
    net.draw([-1] * 3, [1] * 3, rng=np.random.default_rng(0), threads=options.threads)

    def draw():
        return net.draw([-half] * 3, [half] * 3, rng=np.random.default_rng(1), threads=options.threads)

    seconds, cpu, field = timed(draw, options.repeats)
    n = len(field.seeds)
    rng = np.random.default_rng(1)
    seeds, noise, gamma = generate.poisson_seeds([-50] * 3, [50] * 3, net.intensity, rng=rng)
    parts = {}
    _, part, x = timed(lambda: generate.surroundings(seeds, noise, gamma, np.arange(len(seeds)), net), options.repeats)
    parts["neighbours_cpu_seconds"] = part / len(seeds)
    parts["network_cpu_seconds"] = timed(lambda: net.markers(x), options.repeats)[1] / len(seeds)
    return {
        "grains": n, "threads": options.threads, "seconds_a_grain": seconds / n, "cpu_seconds_a_grain": cpu / n,
        "times_faster_than_paper": PAPER / (seconds / n), **parts,
    }  # fmt: skip


def step(options) -> dict:
    """Time steps of training at the paper's sizes, on sections drawn from a needle-like law."""
    import torch

    from morpholith.nets import stereo_training

    torch.set_num_threads(options.threads)
    law = generate.MarkerLaw(
        intensity_per_um3=12.0, radial_ratio=3.0, ratio_spread=0.2, ratio_slope=0.0, tangential_ratio=1.0,
        disorder=0.0, size_spread=0.2, regularity=0.0, size_slope=0.0, radius_um=3.0,
    )  # fmt: skip
    field = law.draw([-1.5, -4.5, -4.5], [1.5, 4.5, 4.5], rng=np.random.default_rng(options.seed))
    axes = np.array([[0, 1, 0], [0, 0, 1.0]])
    labels = generate.label_section(*field[:3], corner=(0, -3, -3), axes=axes, shape=(121, 121), spacing=0.05)
    line = np.arange(-60, 61) ** 2
    labels[line[:, None] + line > 60**2] = 0
    labels = np.unique(labels, return_inverse=True)[1].reshape(labels.shape)
    fit = generate.fit_diagram(labels, spacing=0.05, centre=(60, 60), inside=labels > 0)
    fit = generate.restricted(fit)
    steps = 3 if options.toy else 20
    schedule = replace(stereo_training.PAPER, epochs=1, steps=1, batch=16 if options.toy else 128)

    def train(steps):
        given = replace(schedule, steps=steps)
        return stereo_training.learn_architecture([fit], schedule=given, step_um=0.05, threads=options.threads)

    train(1)
    once, once_cpu, _ = timed(lambda: train(1), options.repeats)
    seconds, cpu, _ = timed(lambda: train(1 + steps), options.repeats)
    a_step, a_step_cpu = (seconds - once) / steps, (cpu - once_cpu) / steps
    return {
        "batch": schedule.batch, "threads": options.threads, "seconds_a_step": a_step, "cpu_seconds_a_step": a_step_cpu,
        "hours_of_200_x_100": a_step * 2e4 / 3600, "cpu_hours_of_200_x_100": a_step_cpu * 2e4 / 3600,
    }  # fmt: skip


def main() -> None:
    """Run both."""
    import pandas as pd

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--toy", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    print(f"python {platform.python_version()}, {options.threads} threads")
    for name, row in (("markers", markers(3000 if options.toy else 1_000_000, options)), ("gan_step", step(options))):
        table = pd.DataFrame([row])
        print(f"\n{name}\n{table.T.to_string(header=False)}")
        options.results.mkdir(parents=True, exist_ok=True)
        table.to_csv(options.results / f"{name}.csv", index=False)


if __name__ == "__main__":
    main()
