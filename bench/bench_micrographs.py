"""How fast micrographs are drawn, and what fewer steps change.

python bench/bench_micrographs.py                    the shipped model, one and two threads
python bench/bench_micrographs.py --peer FILE        beside a ControlNet of `sem learn --method diffusers`
python bench/bench_micrographs.py --toy              the same in seconds, to see that it runs
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from morpholith import generate
from morpholith.workflows._drawn import describe_images

RESULTS = Path(__file__).parent / "results"
SIDE = 256


def timed(model, name, threads, options) -> dict:
    """Draw with so many threads; return seconds a micrograph and what is measured in them."""
    import torch

    torch.set_num_threads(threads)
    recipe = model.table.conditions.iloc[options.recipe].to_dict()
    row = {"model": name, "threads": threads, "bfloat16": options.bfloat16, "images": options.images}
    for view in model.views:
        how = {"view": view.name, "shape": (SIDE, SIDE), "mixed": options.bfloat16}
        model.draw(recipe, images=1, seed=0, **how)
        start = time.perf_counter()
        drawn = model.draw(recipe, images=options.images, seed=1, **how)
        row[f"s_per_image_{view.name}"] = (time.perf_counter() - start) / options.images
        found = describe_images(drawn, pixel_um=view.pixel_um, names=view.measures)
        row |= {k: v.mean for k, v in found.items()} | {f"{k}_se": v.se for k, v in found.items()}
    return row


def steps_of(model, options) -> list[dict]:
    """Draw the same noise in fewer and more steps."""
    from morpholith.nets import micrograph_flow

    rows, before = [], micrograph_flow.STEPS
    for steps in options.steps:
        micrograph_flow.STEPS = steps
        rows.append({"steps": steps, **timed(model, "flow", options.threads[-1], options)})
    micrograph_flow.STEPS = before
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="virtual")
    parser.add_argument("--peer", type=Path)
    parser.add_argument("--recipe", type=int, default=0)
    parser.add_argument("--images", type=int, default=6)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--steps", type=int, nargs="*", default=[6, 8, 12, 20])
    parser.add_argument("--bfloat16", action="store_true")
    parser.add_argument("--toy", action="store_true")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    if options.toy:
        options.images, options.threads, options.steps = 1, [1], [2]
    warnings.simplefilter("ignore")
    models = {"flow": generate.load_micrographs(options.model)}
    if options.peer:
        models["diffusers"] = generate.load_micrographs(options.peer)
    rows = [timed(model, name, n, options) for name, model in models.items() for n in options.threads]
    for table, name in ((rows, "micrographs_speed"), (steps_of(models["flow"], options), "micrographs_steps")):
        frame = pd.DataFrame(table)
        if not options.toy or options.results != RESULTS:
            options.results.mkdir(parents=True, exist_ok=True)
            frame.to_csv(options.results / f"{name}.csv", index=False)
        print(frame.to_string(float_format=lambda v: f"{v:.4g}"))
    rates = [1 / np.mean([row[k] for k in row if k.startswith("s_per_image")]) for row in rows]
    print(
        "micrographs a second:",
        ", ".join(f"{r['model']} {r['threads']} threads {v:.2f}" for r, v in zip(rows, rates, strict=True)),
    )


if __name__ == "__main__":
    main()
