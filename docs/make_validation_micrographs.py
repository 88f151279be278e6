"""Build validation_micrographs.md and its pictures from the shipped model and bench/results.

python bench/bench_sem_design.py && python bench/bench_micrographs.py && python docs/make_validation_micrographs.py
"""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
from make_validation import markdown
from make_validation_particles import DOCS, FIGURES, MISSING, bench
from PIL import Image as Picture

from morpholith import generate, measure
from morpholith.report import micrograph_model as pictures
from morpholith.report.look import to_png

NAMES = ("texture_mean", "d50_um", "circularity_mean", "circularity_sd")


def picture(name: str, drawn) -> None:
    """Write a picture of the page."""
    found = Picture.open(io.BytesIO(to_png(drawn.picture))).convert("RGB")
    found.thumbnail((1400, 1400))
    found.save(FIGURES / f"{name}.jpg", quality=85)


def left_out(model) -> str:
    """Conditions left out: drawn and the Gaussian process against what was measured."""
    table, rows = model.left_out, []
    for name in NAMES:
        ours = measure.agreement(table[name], table[f"{name}_drawn"], real_se=table[f"{name}_se"])
        base = measure.agreement(table[name], table[f"{name}_gp"], real_se=table[f"{name}_se"])
        versus = measure.compared_with_baseline(table[name], table[f"{name}_drawn"], table[f"{name}_gp"])
        rows.append({
            "descriptor": name, "R2 drawn": ours.r2.value, "low": ours.r2.low, "high": ours.r2.high,
            "relative error": ours.relative.value, "R2 Gaussian process": base.r2.value, "drawn are": versus.verdict,
            "most that R2 can be": ours.ceiling,
        })  # fmt: skip
    return markdown(pd.DataFrame(rows), 3)


def design() -> str:
    """Ten powders wanted, made and measured."""
    table = bench("sem_design")
    if table is None:
        return MISSING.format("sem_design")
    real = table[table["target"].str.startswith("powder")]
    rounds = range(1, int(real["round"].max()) + 1)
    rows = []
    for label, text in (("truth", "of the lot, as it truly is"), ("recipe", "of the recipe, without lots' scatter"),
                        ("measured", "as measured")):  # fmt: skip
        best = real.groupby(["target", "round"])[f"most_{label}"].min().groupby("target").cummin().unstack()
        best = best.ffill(axis=1)
        rows.append(
            {"largest departure": text}
            | {f"round {k}": f"{int((best[k] <= 0.03).sum())} of {len(best)}" for k in rounds}
        )
    other = table[~table["target"].str.startswith("powder") & (table["round"] == 1)]
    said = ", ".join(f"{r.target}: {r.verdict}" for r in other.itertuples())
    apart = {}
    for name in NAMES:
        off = real.groupby("round")[f"off_truth_{name}"].apply(lambda v: float(np.sqrt(np.mean(v**2))))
        apart[name] = {f"round {k}": off.get(k, np.nan) for k in rounds}
    spread = pd.DataFrame(apart).T.rename_axis("descriptor").reset_index()
    return (
        f"Within 3 % in every one of the four descriptors ({int(real['calls'].max())} generator calls at most, most of them "
        f"shared by all targets):\n\n{markdown(pd.DataFrame(rows), 3)}\n\nRelative departure (root mean square) of the lots "
        f"made in each round, of the targets that went on to it:\n\n{markdown(spread, 3)}\n\nPowders that do not exist: {said}."
    )


def speed() -> str:
    """Time of a draw, and what the number of steps changes."""
    tables = [bench("micrographs_speed"), bench("micrographs_steps")]
    if any(t is None for t in tables):
        return MISSING.format("micrographs")
    keep = [c for c in tables[0] if not c.endswith("_se")]
    return markdown(tables[0][keep], 3) + "\n\n" + markdown(tables[1][["steps", *keep]], 3)


def main() -> None:
    """Write the page."""
    model = generate.load_micrographs("virtual")
    table = model.left_out
    r2 = {name: measure.agreement(table[name], table[f"{name}_drawn"]).r2 for name in NAMES}
    base = {name: measure.agreement(table[name], table[f"{name}_gp"]).r2 for name in NAMES}
    picture("micrographs_left_out", pictures.parity(table, NAMES, r2=r2, baseline_r2=base))
    followed = measure.adherence(table[list(NAMES)], table[[f"{n}_drawn" for n in NAMES]].set_axis(list(NAMES), axis=1))
    copied = "\n".join(f"- {k}: {v}" for k, v in model.about.get("memorised", {}).items())
    page = f"""# Validation: micrographs of recipes, and design

Built by `docs/make_validation_micrographs.py` from the shipped model `virtual` and `bench/results`.

The shipped model was learnt from a virtual campaign ({model.about["campaign"]}) whose truth is known and was not used.

## Recipes left out

{left_out(model)}

"drawn are" compares the draws with a Gaussian process straight from the recipes, by a bootstrap over recipes; "most that R2
can be" is what the noise of the measured values leaves to a prediction without any error.

![drawn against measured, recipes left out](figures/micrographs_left_out.jpg)

The model {followed.verdict}: a drawn recipe is nearer to its own real one than to another in {followed.nearer.value:.1%}
of the comparisons (chance: 50 %).

## Memory

{copied}

## Design

{design()}

## Speed

{speed()}
"""
    (DOCS / "validation_micrographs.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
