"""What `sem learn` tells: the model's file, its proof in numbers and pictures, and what to be careful of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..image import Quantity
from ..report import micrograph_model as pictures
from ..results import ReportFigure, Result

if TYPE_CHECKING:
    import pandas as pd

    from ..generate import Learnt, MicrographModel
    from ._sem_learn_proof import Proof
    from .sem_learn import Ground

POOR = 0.5  # R2 on conditions left out, below which a descriptor is said not to be predicted
SHOWN = 6  # conditions on the sheet


def told(
    learnt: Learnt, ground: Ground, proof: Proof, *, about: Mapping[str, Any], draws: int, inputs: Sequence[Path]
) -> Result:
    """Return the result."""
    warnings = _warnings(ground, proof)
    copied = {view: m.sentence for view, m in proof.memorised.items()}
    model = replace(proof.model, about={**about, "memorised": copied, "warnings": warnings})
    return Result(
        title="A model from conditions to micrographs",
        summary=_summary(learnt, ground, proof),
        tables=_tables(learnt, ground, proof),
        figures=_figures(learnt, ground, proof, draws),
        files={f"model{suffix}": partial(_save, model, suffix) for suffix in (".safetensors", ".json")},
        warnings=warnings,
        inputs=inputs,
        text=_text(ground, proof, about),
    )


def _save(model: MicrographModel, suffix: str, path: Path) -> None:
    """Write one of the two files of a model."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(dir=path.parent) as folder:
        model.save(Path(folder) / "model")
        (Path(folder) / f"model{suffix}").replace(path)


def _summary(learnt, ground, proof) -> dict[str, Quantity]:
    found = {}
    for name in ground.names:
        if name in proof.agreements:
            found[f"r2_{name}"] = replace(
                proof.agreements[name].r2, method="drawn against measured, conditions left out of the training"
            )
            found[f"r2_{name}_gp"] = replace(
                proof.baselines[name].r2, method="Gaussian process from the conditions, each left out"
            )
            found[f"relative_error_{name}"] = proof.agreements[name].relative
    if proof.adherence is not None:
        found["nearer"] = replace(
            proof.adherence.nearer,
            method="how often drawn is nearer to its own condition than to another; 0.5 by chance",
        )
    for view, m in proof.memorised.items():
        found[f"copied_{view}"] = replace(m.copied, method="share of drawn patches that copy a training image")
    found["n_conditions"] = Quantity(len(ground.table.conditions), method="conditions learnt from")
    found["n_images"] = Quantity(len(ground.images), method="micrographs learnt from")
    found["n_steps"] = Quantity(sum(map(len, learnt.curves.values())), method="steps of training")
    return found


def _tables(learnt, ground, proof) -> dict[str, pd.DataFrame]:
    import pandas as pd

    longest = max(len(curve) for curve in learnt.curves.values())
    curves = {k: np.r_[v, np.full(longest - len(v), np.nan)] for k, v in learnt.curves.items()}
    loss = pd.DataFrame(curves, index=pd.RangeIndex(1, longest + 1, name="step"))
    out = {"conditions": ground.table.conditions.join(ground.measured).join(proof.drawn.add_suffix("_drawn"))}
    if proof.model.left_out is not None:
        out["left_out"] = proof.model.left_out
    for table, name in ((proof.along, "scan"), (proof.across, "scan_two")):
        if table is not None:
            out[name] = table
    return out | {"training": loss}


def _figures(learnt, ground, proof, draws) -> dict[str, ReportFigure]:
    views = {view.name: view.pixel_um for view in ground.images.views}
    found = {}
    names = _spread(ground)
    real = {name: {view: ground.images.of(name, view=view) for view in views} for name in names}
    first = {name: {view: own[0] for view, own in of.items() if own} for name, of in real.items()}
    drawn = {name: proof.pictures[name] for name in names}
    left = list(proof.model.left_out.index) if proof.model.left_out is not None else []
    found["real_and_drawn"] = pictures.sample_sheet(
        first, drawn, pixel_um=views, titles={n: _titled(ground, n) for n in names}, left_out=left
    )
    if proof.model.left_out is not None:
        found["left_out"] = pictures.parity(
            proof.model.left_out, ground.names, r2={k: a.r2 for k, a in proof.agreements.items()},
            baseline_r2={k: a.r2 for k, a in proof.baselines.items()}, images=draws,
        )  # fmt: skip
    if proof.memorised:
        found["memorisation"] = pictures.memorisation(proof.memorised)
    variables = proof.scanned
    if proof.along is not None:
        found[f"over_{variables[0]}"] = pictures.over_one(
            proof.model,
            proof.along,
            variables[0],
            ground.names,
            views=views,
            shown=[int(k) for k in np.unique(np.linspace(0, len(proof.along) - 1, 5).round())],
        )
    if proof.across is not None:
        coarse = ground.images.views[0]
        found[f"over_{variables[0]}_and_{variables[1]}"] = pictures.over_two(
            proof.model, proof.across, (variables[0], variables[1]), ground.names, view=coarse.name,
            pixel_um=coarse.pixel_um,
        )  # fmt: skip
    for name, curve in learnt.curves.items():
        found[f"training_{name}"] = pictures.training_curve(curve)
    return found


def _spread(ground) -> list[str]:
    """Return conditions from one end of the first descriptor to the other."""
    order = ground.measured[ground.names[0]].sort_values().dropna().index
    picks = np.unique(np.linspace(0, len(order) - 1, min(SHOWN, len(order))).round().astype(int))
    return [order[i] for i in picks]


def _titled(ground, name) -> str:
    row = ground.table.conditions.loc[name]
    return f"{name}: " + ", ".join(
        f"{k} {v:g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items() if v == v and v is not None
    )


def _warnings(ground, proof) -> list[str]:
    said = [*ground.plan.warnings, *ground.table.notes, *ground.images.warnings]
    if proof.model.left_out is None:
        said.append("No condition was left out (--folds 0): nothing is known of how well the model predicts new ones.")
    poor = [k for k, a in proof.agreements.items() if not a.r2.value >= POOR]
    if poor:
        said.append(
            f"{', '.join(poor)}: not predicted for conditions left out (R2 below {POOR:g}); do not design by it."
        )
    for name, versus in proof.comparisons.items():
        if versus.verdict == "worse":
            ours, theirs = proof.agreements[name].r2.value, proof.baselines[name].r2.value
            said.append(
                f"{name}: the drawn micrographs predict conditions left out worse than a Gaussian process from the "
                f"conditions alone (R2 {ours:.3f} against {theirs:.3f})."
            )
    if proof.adherence is not None and proof.adherence.verdict != "follows the conditions":
        said.append(f"The model {proof.adherence.verdict}: train it longer.")
    said += [f"{view}: {m.sentence}" for view, m in proof.memorised.items() if m.verdict != "no sign of copying"]
    return said


def _text(ground, proof, about) -> dict[str, str]:
    views = "; ".join(f"{v.name} at {v.pixel_um:g} um a pixel for {', '.join(v.measures)}" for v in ground.images.views)
    variables = "; ".join(str(v) for v in ground.table.variables)
    said = {
        "What was learnt": f"{about['campaign']}. Process variables: {variables}. Views: {views}.\n\nA network "
        "learnt to draw powders from what was measured of them; it never saw a recipe. What a recipe gives is said "
        "by a Gaussian process of each descriptor."
    }
    if proof.model.left_out is not None:
        versus = "; ".join(
            f"{name}: {proof.agreements[name].r2.value:.3f} drawn, {proof.baselines[name].r2.value:.3f} Gaussian "
            f"process ({c.verdict})"
            for name, c in proof.comparisons.items()
        )
        alone = "alone" if about["folds"] is None else f"in {about['folds']} groups"
        said["What it can do"] = (
            f"Conditions were left out {alone}: the processes were fitted anew without them, what they expect was "
            f"drawn, and the draws were measured. The network had seen micrographs of the conditions left out, with "
            f"what was measured of them, among all others. A straight line from the other conditions corrects what is "
            f"measured in drawn micrographs. R2 on conditions left out: {versus}.\n\nThe model "
            f"{proof.adherence.verdict}. " + " ".join(f"{view}: {m.sentence}" for view, m in proof.memorised.items())
        )
    return said
