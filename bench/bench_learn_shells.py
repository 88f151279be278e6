"""Learning shells: how often the stated intervals hold the parameters that the shells were drawn with.

python bench/bench_learn_shells.py           40 populations of 500 particles, 12 of 1590
python bench/bench_learn_shells.py --toy     the same in seconds, to see that it runs
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from morpholith import generate

RESULTS = Path(__file__).parent / "results"
CASES = ((500, 70.0, 40), (1590, 90.0, 12))  # particles, scale of degree 0, populations


def population(model, n, seed):
    """Return one row a parameter: truth, what was learnt with and without correction, error, and whether it holds."""
    start = time.process_time()
    found = generate.learn_shells(generate.draw_shells(model, n, rng=seed).coefficients, rng=seed)
    spent = time.process_time() - start
    rows = []
    for degree, family in enumerate(model.families):
        row = found.parameters.loc[degree]
        for name in ("loc", "scale", "shape")[degree > 0 :]:
            true = getattr(family, name)
            same = row["kind"] == family.kind
            rows.append(
                {
                    "particles": n, "degree": degree, "name": name, "true": true, "right_family": same,
                    "holds": row[f"{name}_low"] <= true <= row[f"{name}_high"] if same else np.nan,
                    "off_se": (row[name] - true) / row[f"{name}_se"] if same else np.nan,
                    "off_uncorrected_se": (row[f"{name}_uncorrected"] - true) / row[f"{name}_se"] if same else np.nan,
                    "seconds": spent,
                }
            )  # fmt: skip
    return rows


def main() -> None:
    """Repeat, count and print."""
    import pandas as pd

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--toy", action="store_true")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    rows = []
    for n, scale, repeats in ((60, 100.0, 2),) if options.toy else CASES:
        model = generate.published_shell_model(scale=scale)
        for seed in range(repeats):
            rows += population(model, n, seed)
    table = pd.DataFrame(rows)
    columns = ["right_family", "holds", "off_se", "off_uncorrected_se", "seconds"]
    out = (
        table.astype({c: float for c in columns}).groupby(["particles", "degree", "name"])[columns].mean().reset_index()
    )
    print(out.to_string(index=False, float_format="%.2f"))
    for n, part in table.groupby("particles"):
        print(f"{n} particles: {part['holds'].astype(float).mean():.1%} of the 95 % intervals hold")
    options.results.mkdir(parents=True, exist_ok=True)
    out.to_csv(options.results / "learn_shells.csv", index=False, float_format="%.4g")


if __name__ == "__main__":
    main()
