"""Shells: processor seconds a shell for each step, and the acceptance of the published model.

    python bench/bench_shells.py           20 000 shells
    python bench/bench_shells.py --toy     the same in seconds, to see that it runs

Drawing counts the shells that are kept; those rejected are paid for. The rest is a shell each. Best of the repeats.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from morpholith import generate

RESULTS = Path(__file__).parent / "results"


def seconds(function, repeats):
    """Return the best processor seconds of the repeats."""
    spent = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        spent.append(time.process_time() - start)
    return min(spent)


def main() -> None:
    """Time each step and print it."""
    import pandas as pd

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--toy", action="store_true")
    parser.add_argument("--shells", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    n, repeats = (200, 1) if options.toy else (options.shells, options.repeats)
    few = max(20, n // 100)
    model = generate.published_shell_model()
    shells = generate.draw_shells(model, n, rng=0).coefficients
    radii = generate.shell_radius(shells)
    line = (np.arange(44) - 21.3) ** 2
    ball = line[:, None, None] + line[:, None] + line <= 20**2
    generate.radius_function(ball, spacing=1.0)
    steps = {
        "draw": seconds(lambda: generate.draw_shells(model, n, rng=1), repeats) / n,
        "evaluate at 642 directions": seconds(lambda: generate.shell_radius(shells), repeats) / n,
        "fit": seconds(lambda: generate.fit_shell(radii), repeats) / n,
        "re-centre": seconds(lambda: generate.recentred(shells[:few]), repeats) / few,
        "radius function, 20 voxels": seconds(lambda: generate.radius_function(ball, spacing=1.0), repeats),
    }
    rows = [{"what": what, "seconds_a_shell": value} for what, value in steps.items()]
    for scale in (50.0, 60.0, 70.0, 80.0, 90.0, 100.0):
        draw = generate.draw_shells(generate.published_shell_model(scale=scale), n, rng=2)
        rows.append({"what": f"scale {scale:g}", "acceptance": draw.acceptance, "tried": draw.tried})
    table = pd.DataFrame(rows)
    print(table.to_string(index=False))
    options.results.mkdir(parents=True, exist_ok=True)
    table.to_csv(options.results / "shells.csv", index=False, float_format="%.4g")


if __name__ == "__main__":
    main()
