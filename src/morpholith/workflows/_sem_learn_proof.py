"""What a learnt model of micrographs can do: its draws, measured, beside the real ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..progress import progress
from ._drawn import describe_drawn

if TYPE_CHECKING:
    import pandas as pd

    from ..checkpoint import Store
    from ..generate import Learnt, MicrographModel
    from ..measure import Adherence, Agreement, Comparison, Memorisation
    from .sem_learn import Ground

KEPT = 2  # drawn micrographs of each condition and view that are looked at for copies
ALONG, ACROSS = 7, 4  # values of one scanned variable, and of each of two


@dataclass(frozen=True)
class Proof:
    """The test of a model.

    Attributes
    ----------
    model : MicrographModel
        With the lines between drawn and real, and the conditions left out.
    drawn : DataFrame
        Of every condition, left out where the model was tested, not corrected: index `condition`, descriptors with
        `_se`.
    pictures : dict of condition to dict of view to (h, w) array
        The first drawn of each.
    agreements, baselines, comparisons : dict of descriptor
        On conditions left out: of the draws, of the Gaussian process, and one against the other; empty without folds.
    adherence : Adherence or None
    memorised : dict of view to Memorisation
    along, across : DataFrame or None
        Draws over one and over two process variables.
    scanned : tuple of str
        These variables.
    """

    model: MicrographModel
    drawn: pd.DataFrame
    pictures: dict[str, dict[str, np.ndarray]]
    agreements: dict[str, Agreement]
    baselines: dict[str, Agreement]
    comparisons: dict[str, Comparison]
    adherence: Adherence | None
    memorised: dict[str, Memorisation]
    along: pd.DataFrame | None
    across: pd.DataFrame | None
    scanned: tuple[str, ...]


def prove(
    learnt: Learnt, ground: Ground, *, kept: Store, draws: int, scan: tuple[str, ...] | None, seed: int, device: str
) -> Proof:
    """Draw, measure and compare."""
    from .. import measure

    how: dict[str, Any] = {"kept": kept, "draws": draws, "seed": seed, "device": device}
    rows = ground.table.conditions.loc[list(ground.images.conditions)]
    models = {name: model for names, model in learnt.folds for name in names}
    label = "conditions left out" if models else "conditions"
    drawn, seen = described(models or learnt.model, rows, label, **how)
    lines = {
        name: measure.bias_line(ground.measured[name], drawn[name], drawn_se=drawn[f"{name}_se"])
        for name in ground.names
    }
    left = _left_out(ground, drawn) if models else None
    model = replace(learnt.model, lines=lines, left_out=left)
    agreements, baselines, comparisons, followed = _tests(left, ground)
    scanned = scan or _telling(model, 2)
    along, across = _scans(model, scanned, how)
    return Proof(
        model, drawn, {k: {v: a[0] for v, a in own.items()} for k, own in seen.items()},
        agreements, baselines, comparisons, followed, _memorised(ground, seen, seed), along, across, scanned,
    )  # fmt: skip


def described(
    models: MicrographModel | Mapping[str, MicrographModel], rows: pd.DataFrame, label: str, *, kept: Store, draws: int,
    seed: int, device: str,
) -> tuple[pd.DataFrame, dict[str, dict[str, np.ndarray]]]:  # fmt: skip
    """Return descriptors of the draws of each row, with `_se`, and the first drawn micrographs of each view.

    One model for all rows, or one for each.
    """
    import pandas as pd

    numbers, pictures = {}, {}
    for k, (name, row) in enumerate(progress(rows.iterrows(), total=len(rows), label=f"drawing: {label}")):
        part = f"{label.replace(' ', '_')}-{k}-{draws}"
        own = int(np.random.default_rng([seed, 11, k]).integers(2**31))
        if not kept.has(part):
            model = models[name] if isinstance(models, Mapping) else models
            found, images = describe_drawn(model, row.to_dict(), images=draws, seed=own, device=device)
            values = {f"{d}{end}": np.array(v) for d, m in found.items() for end, v in (("", m.mean), ("_se", m.se))}
            kept.put(part, values | {f"image.{view}": a[:KEPT] for view, a in images.items()})
        got = kept.get(part)
        numbers[name] = {d: float(v) for d, v in got.items() if not d.startswith("image.")}
        pictures[name] = {d.removeprefix("image."): v for d, v in got.items() if d.startswith("image.")}
    table = pd.DataFrame.from_dict(numbers, orient="index")
    table.index.name = rows.index.name
    return table, pictures


def _left_out(ground, drawn):
    """Return measured values of conditions left out, their draws corrected, and the baseline's numbers."""
    from .. import generate, measure

    out = ground.measured.loc[drawn.index].copy()
    for name in ground.names:
        real, plain, se = (t.to_numpy(float) for t in (out[name], drawn[name], drawn[f"{name}_se"]))
        values, errors = plain.copy(), se.copy()
        for i in range(len(out)):
            others = np.arange(len(out)) != i  # the line must not know the condition that it corrects
            intercept, slope = measure.bias_line(real[others], plain[others], drawn_se=se[others])
            values[i], errors[i] = intercept + slope * plain[i], abs(slope) * se[i]
        out[f"{name}_drawn"], out[f"{name}_drawn_se"] = values, errors
        out[f"{name}_plain"] = plain
    return out.join(generate.baseline_left_out(ground.table, ground.measured, ground.names))


def _tests(left, ground):
    """Return agreement of draws and of the baseline, their comparison, and whether draws follow the conditions."""
    from .. import measure

    if left is None:
        return {}, {}, {}, None
    agree: dict[str, Any] = {}
    base: dict[str, Any] = {}
    versus: dict[str, Any] = {}
    for name in ground.names:
        real, se = left[name], left[f"{name}_se"]
        unit = "um" if name.endswith("_um") else ""
        agree[name] = measure.agreement(real, left[f"{name}_drawn"], real_se=se, unit=unit)
        base[name] = measure.agreement(real, left[f"{name}_gp"], real_se=se, unit=unit)
        versus[name] = measure.compared_with_baseline(real, left[f"{name}_drawn"], left[f"{name}_gp"])
    drawn = left[[f"{name}_drawn" for name in ground.names]].set_axis(ground.names, axis=1)
    return agree, base, versus, measure.adherence(left[ground.names], drawn)


def _memorised(ground, seen, seed) -> dict[str, Memorisation]:
    from .. import measure

    images, found = ground.images, {}
    for k, view in enumerate(images.views):
        training = [a for a, v in zip(images.arrays, images.view, strict=True) if v == k]
        drawn = [a for own in seen.values() for a in own[view.name]]
        count = round(len(training) / max(len(images.conditions), 1))
        found[view.name] = measure.memorisation(
            drawn, training, per_condition=count, rng=np.random.default_rng([seed, 13, k])
        )  # fmt: skip
    return found


def _telling(model: MicrographModel, count: int) -> tuple[str, ...]:
    """Return the numbers that move what is expected most from one end of their range to the other."""
    middle, effect = reference(model), {}
    for v in model.table.variables:
        if v.kind == "number":
            ends = model.expectation.at([{**middle, v.name: v.low}, {**middle, v.name: v.high}])[0]
            effect[v.name] = float(np.abs(ends[1] - ends[0]).max(initial=0.0))
    return tuple(sorted(effect, key=lambda name: -effect[name])[:count])


def reference(model: MicrographModel) -> dict[str, Any]:
    """Return the middle of the training conditions: medians of numbers, the most frequent words."""
    rows = model.table.conditions
    return {
        v.name: float(rows[v.name].median()) if v.kind == "number" else rows[v.name].mode().iloc[0]
        for v in model.table.variables
    }


def _values(variable, count: int) -> np.ndarray:
    if variable.log:
        return np.geomspace(variable.low, variable.high, count)
    return np.linspace(variable.low, variable.high, count)


def _scans(model, scanned: Sequence[str], how: Mapping[str, Any]):
    import pandas as pd

    tables: list[Any] = [None, None]
    middle = reference(model)
    for k, (names, count) in enumerate(((scanned[:1], ALONG), (scanned[:2], ACROSS))):
        if len(names) != k + 1:
            continue
        grids = np.meshgrid(*[_values(model.table.variable(n), count) for n in names], indexing="ij")
        flat = [g.ravel() for g in grids]
        rows = [{**middle, **dict(zip(names, point, strict=True))} for point in zip(*flat, strict=True)]
        asked = pd.DataFrame(rows, index=pd.Index([f"scan {i + 1}" for i in range(len(rows))], name="condition"))
        label = "scan " + " ".join(names)
        some = how if k == 0 else {**how, "draws": max(3, how["draws"] // 2)}
        found, _ = described(model, asked, label, **some)
        known = model.table.conditions
        trained = [bool((known == row).all(axis=1).any()) for _, row in asked.iterrows()]
        tables[k] = asked.join(found).assign(trained=trained)
        mean, sd = _expected(model, asked)
        for name in mean:
            tables[k][f"{name}_gp"], tables[k][f"{name}_gp_sd"] = mean[name], sd[name]
    return tables


def _expected(model, rows):
    """Return what the Gaussian processes expect, in the descriptors' units, with standard deviations."""
    mean, sd = model.expectation.at(rows)
    values, errors = {}, {}
    for j, (name, p) in enumerate(model.expectation.processes.items()):
        if p is None:
            continue
        moved = p.centre + p.scale * mean[:, j]
        values[name] = p.value(moved)
        errors[name] = p.scale * sd[:, j] * (values[name] if p.log else 1.0)
    return values, errors
