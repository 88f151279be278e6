"""From a wanted morphology to recipes for it, with a learnt model of micrographs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..errors import InputError
from ..progress import progress, stage
from ..results import Result

if TYPE_CHECKING:
    import numpy as np

    from ..design import Campaign, Found, Measured, Record, Space, Target
    from ..generate import MicrographModel
    from ._design_inputs import Reference

See = Callable[..., "tuple[Mapping[str, Measured], Mapping[str, np.ndarray]]"]


@dataclass(frozen=True)
class Plan:
    """What is wanted and how it is looked for.

    Attributes
    ----------
    model : MicrographModel
    space : Space
    targets : sequence of Target
    method : {"bayesian", "swarm"}
    calls : int or None
    images : int
        Drawn in each view at each call.
    recipes : int
    seed : int
    cost_weight : float or None
    reference : Reference or None
        The micrographs that were given as the target.
    told : sequence of Record
        Powders that were made.
    trained : sequence of Record
        Those that the model was trained on.
    storage : str or None
    key : str
        Which model this is.
    inputs : sequence of Path
    """

    model: MicrographModel
    space: Space
    targets: Sequence[Target]
    method: str = "bayesian"
    calls: int | None = None
    images: int = 4
    recipes: int = 5
    seed: int = 0
    cost_weight: float | None = None
    reference: Reference | None = None
    told: Sequence[Record] = ()
    trained: Sequence[Record] = ()
    storage: str | None = None
    key: str = ""
    inputs: Sequence[Path] = ()


@dataclass(frozen=True)
class Outcome:
    """What was found, drawn once more to be looked at.

    Attributes
    ----------
    found : Found
    drawn : list of (dict of descriptor to Measured, dict of view to (images, h, w) array)
        Of each recipe, by draws that the search did not see.
    campaign : Campaign
    journal : bytes
        The campaign's file, where no storage was given.
    """

    found: Found
    drawn: list[tuple[Mapping[str, Measured], Mapping[str, np.ndarray]]]
    campaign: Campaign
    journal: bytes


def design(
    model: str,
    /,
    *,
    target: list[str] | None = None,
    like: list[Path] | None = None,
    weight: list[str] | None = None,
    bounds: list[str] | None = None,
    fix: list[str] | None = None,
    constraint: list[str] | None = None,
    cost: str | None = None,
    method: Literal["bayesian", "swarm"] = "bayesian",
    calls: int | None = None,
    images: int = 4,
    recipes: int = 5,
    storage: str | None = None,
    tell: Path | None = None,
    pixel_size: float | None = None,
    seed: int = 0,
    device: Literal["cpu", "cuda"] = "cpu",
) -> Result:
    """Find recipes for a wanted morphology, with intervals, and draw what they would make.

    Says whether the targets can be reached at all, how far each recipe is from what was trained, and what the powder
    would measure. The powders that the model was trained on count as made and measured; powders that are then made are
    told with --tell, and the next design rests on them as well.

    Parameters
    ----------
    model
        Folder or file that `morpholith sem learn` wrote, or the name of a shipped model: virtual.
    target
        What is wanted, with blanks between: d50_um=6 (3 % tolerance), texture_mean=0.6+-0.05 or 0.6+-5%,
        circularity_mean=high, circularity_sd=low, d50_um=high:7 (more than 7 is of no use).
    like
        Instead of targets: micrographs of the powder that is to be made again, at any of the model's magnifications.
    weight
        How much a target counts, as NAME=2; cost=0.5 for the cost.
    bounds
        Another range than the trained one, as NAME=LOW:HIGH, or fewer words, as NAME=WORD,WORD.
    fix
        What is not to be searched, as NAME=VALUE; NAME= without a value draws it as unknown.
    constraint
        What must hold, as "naoh + nh4oh <= 0.5"; several in quotes of their own.
    cost
        What a recipe costs, as "3*naoh + nh4oh"; the cheaper of two equally good recipes is then preferred.
    method
        Bayesian optimisation, or paper 000's particle swarm, which needs 2000 calls.
    calls
        Times that the model is asked, at most; 150 for bayesian, 2000 for swarm. Those in the storage count.
    images
        Micrographs drawn in each view at each call.
    recipes
        Recipes returned, at most.
    storage
        File or database (sqlite:///FILE, postgresql://USER@HOST/NAME) that keeps every call: the same command goes on
        from there, and several at the same time share the work. Without it, campaign.journal lies among the results.
    tell
        Table in CSV of powders that were made: a column for each variable, and d50_um, ... as measured; or a column
        image, and they are measured.
    pixel_size
        Pixel size in um of the images given, needed when the files do not say it.
    seed
        Same model, options and seed: same recipes.
    device
        Where micrographs are drawn and particles are found.
    """
    from ..generate import load_micrographs, micrograph_files
    from ..recipe import sha256
    from . import _design_inputs as given
    from ._design_told import told_in, trained_powders
    from ._drawn import describe_drawn

    if bool(target) == bool(like):
        raise InputError(
            "give --target or --like, not both: the micrographs given are the target."
            if target
            else "no target was given; give --target d50_um=6 ..., or --like with micrographs of the wanted powder."
        )
    for name, number in (("--images", images), ("--recipes", recipes)):
        if number < 1:
            raise InputError(f"{name} must be 1 or more, got {number}.")
    if calls is not None and calls < 5:
        raise InputError(f"--calls must be 5 or more, got {calls}: fewer say nothing of a recipe.")
    if seed < 0:
        raise InputError(f"--seed must not be negative, got {seed}.")
    given.check_storage(storage)
    known = load_micrographs(model)
    files = micrograph_files(model)
    space = given.space_of(known.table, fix=fix, bounds=bounds, constraint=constraint, cost=cost)
    weights, cost_weight = given.weights_of(weight, known, space)
    reference = given.reference_of(like, known, pixel_size=pixel_size, device=device) if like else None
    targets = given.targets_of(target, reference, known, weights)
    told = told_in(tell, known, space, pixel_size=pixel_size, device=device) if tell else []
    plan = Plan(
        model=known, space=space, targets=targets, method=method, calls=calls, images=images, recipes=recipes,
        seed=seed, cost_weight=cost_weight, reference=reference, told=told, storage=storage,
        trained=trained_powders(known, space),
        key=" ".join(sha256(path) for path in files), inputs=[*files, *(like or []), *([tell] if tell else [])],
    )  # fmt: skip

    def see(condition, *, images, seed):
        return describe_drawn(known, condition, images=images, seed=seed, device=device)

    return carried_out(plan, see)


def carried_out(plan: Plan, see: See) -> Result:
    """Search, look at what was found, and tell.

    Parameters
    ----------
    plan : Plan
    see : function
        ``see(condition, *, images, seed)`` returns descriptors and micrographs, as `describe_drawn`.
    """
    from ._design_story import story

    if plan.storage is not None:
        return story(plan, _outcome(plan, see, plan.storage, keep=False))
    with tempfile.TemporaryDirectory(prefix="morpholith-") as folder:
        return story(plan, _outcome(plan, see, str(Path(folder) / "campaign.journal"), keep=True))


def _outcome(plan: Plan, see: See, place: str, *, keep: bool) -> Outcome:
    import numpy as np

    from .. import design as designs

    kept = designs.campaign(place, space=plan.space, seed=plan.seed, about=plan.key)
    _tell(kept, plan.told)
    total = plan.calls or designs.CALLS[plan.method]
    stage("searching recipes")
    ticks = progress(range(max(total - kept.calls, 0)), label="drawing and measuring")
    found = designs.search(
        partial(_evaluated, plan, see), plan.space, plan.targets, rng=plan.seed, method=plan.method, calls=total,
        storage=kept, recipes=plan.recipes, cost_weight=plan.cost_weight, told=plan.trained,
        on_step=lambda _: next(ticks, None),
    )  # fmt: skip
    stage("drawing what the recipes would make")
    seeds = np.random.default_rng([plan.seed, 77]).integers(2**31, size=len(found.recipes))
    rows = found.recipes[list(plan.space.conditions)].to_dict("records")
    drawn = [
        see(row, images=plan.images, seed=int(seed))
        for row, seed in progress(list(zip(rows, seeds, strict=True)), label="drawing")
    ]
    return Outcome(found, drawn, kept, Path(place).read_bytes() if keep else b"")


def _evaluated(plan: Plan, see: See, condition: Mapping[str, object], *, seed: int) -> Mapping[str, Measured]:
    """Return what a call says: of the powder that would be made, where measured powders are in the belief too."""
    from ._drawn import as_powder

    described = see(condition, images=plan.images, seed=seed)[0]
    return as_powder(plan.model, described) if plan.trained else described


def _tell(kept: Campaign, told: Sequence[Record]) -> None:
    """Add the powders that the campaign does not hold yet: the same command may be given again."""
    for record in told:
        if not any(r.real and r.conditions == record.conditions and r.results == record.results for r in kept.records):
            kept.add(record)
