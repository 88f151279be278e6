"""Two phases or three, where their thresholds lie, and how far they may be off."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..errors import InputError
from . import threshold as _threshold
from ._three_phases import label_three, three_levels
from ._two_phases import BINDER, TwoPhases, flat_levels, two_phases
from .levels import FLAT, Mixture, blur_of, gradient, histogram, sharpened

METHODS = ("auto", "halfway", "otsu", "minimum", "mixture")
SEPARATE = 2.5  # standard deviations between two phases that are two
NOT_RESOLVED = "The carbon-binder phase is not resolved: it is counted as pore where it is dark."


@dataclass(frozen=True)
class Answer:
    """Thresholds, what they rest on, and what has to be said about them: see `PhaseEstimate` for the fields."""

    two: TwoPhases
    blur: float
    thresholds: tuple[float, ...]
    intervals: tuple[tuple[float, float], ...]
    means: tuple[float, ...]
    sds: tuple[float, ...]
    rule: str
    resolved: bool = False
    model: tuple[float, ...] | None = None
    binder_threshold: float = float("nan")
    words: list[str] = field(default_factory=list)


def place(denoised, raw, *, steps, valid, quantum, n_phases, method, wanted) -> Answer:
    """Decide on two or three phases in stacked blocks (n, z, y, x), and place the thresholds."""
    two = two_phases(denoised, raw, steps=steps, valid=valid)
    slope = gradient(denoised, steps)
    smooth = max(0.7 * min(two.seen.sds), quantum)
    three, flat = three_levels(denoised, slope, noise=smooth, valid=valid) or (None, FLAT)
    asked = n_phases if wanted is None else len(wanted) + 1
    if asked not in ("auto", 2, 3):
        raise InputError(f"`threshold` must be one or two grey levels, got {len(wanted)}.")
    answer = None
    if asked == 3 or three is not None:
        answer = _of_three(denoised, two, three, flat, slope, steps, valid, method, asked)
        if asked != 3 and not _apart(answer):
            answer = None
    if answer is None:
        answer = _of_two(denoised, two, valid, method)
    return answer if wanted is None else _as_wanted(answer, wanted)


def _of_two(denoised, two: TwoPhases, valid, method) -> Answer:
    words = []
    t, (low, high) = two.threshold, two.interval
    c = two.levels.contrast
    if two.seen.separation < SEPARATE:
        words.append(
            "The grey levels show no two separate phases: the threshold is not resolved, and its interval is wide."
        )
        middle = float(two.seen.means.mean())
        low, high = min(low, middle - 0.25 * c), max(high, middle + 0.25 * c)
    elif not np.isnan(two.unexplained) and two.unexplained > 0.004:
        words.append(
            f"{NOT_RESOLVED} {two.unexplained:.1%} of the voxels far from active material are brighter than pore; the "
            "interval of the threshold holds what that may mean."
        )
    # a level that was clipped lies further out than it seems
    low -= 0.05 * c if np.isfinite(valid[0]) else 0.0
    high += 0.05 * c if np.isfinite(valid[1]) else 0.0
    rule = "threshold half-way between the phases, moved so that curved edges keep their volume under the blur"
    if method != "auto":
        t, rule = _by_method(denoised, two, method)
        low, high = min(low, t), max(high, t)
    rule += ", no third phase resolved (carbon-binder, if there is any, counts as pore where it is darker)"
    means, sds = (tuple(float(v) for v in values) for values in (two.levels.means, two.seen.sds))
    return Answer(two, two.blur, (t,), ((low, high),), means, sds, rule, words=words)


def _by_method(denoised, two: TwoPhases, method):
    """Return the threshold of a stated method, and its name."""
    centres, counts = histogram(denoised)
    low, high = (float(m) for m in two.seen.means)
    if method == "halfway":
        return (low + high) / 2, "threshold half-way between the phases"
    if method == "otsu":
        return _threshold.otsu(centres, counts)[0], "Otsu's threshold"
    if method == "minimum":
        t = _threshold.minimum(centres, counts, low=low, high=high, smooth=min(two.seen.sds))
        return t, "threshold at the emptiest grey level between the phases"
    return _threshold.equal_posterior(two.seen), "threshold of equal probability in a mixture of Gaussians"


def _of_three(denoised, two: TwoPhases, three: Mixture | None, flat, slope, steps, valid, method, asked) -> Answer:
    """Pore, binder, active; with `asked` 2 the binder is told apart but counted as pore."""
    words = []
    resolved = three is not None
    if three is None:
        three = wider = _supposed(two)
        words.append(
            "Three phases were asked for, but the grey levels show two: what is called carbon-binder is whatever is "
            "grey between them away from their edges; it is not resolved."
        )
    else:
        wider = flat_levels(denoised, slope, n=3, flat=flat / 0.6, start=_cuts(three), valid=valid)
    pore, binder, active = (float(m) for m in three.means)
    first, second = (pore + binder) / 2, (binder + active) / 2
    first = min(max(first, pore + 2.5 * float(three.sds[0])), 0.2 * pore + 0.8 * binder)
    but = (binder - 3 * float(three.sds[1]), binder + 3 * float(three.sds[1]))
    blur = blur_of(denoised, slope, low=pore, high=active, steps=steps, but=but, percentile=90)
    blur = blur if np.isfinite(blur) else (two.blur if np.isfinite(two.blur) else 0.0)
    sigma = tuple(blur / s if n > 1 else 0.0 for s, n in zip(steps, denoised.shape[1:], strict=True))
    shift, curvature = _curvature(denoised, three, sigma, (first, second)) if method == "auto" else (0.0, 0.0)
    second += shift
    moved = np.abs(three.means - wider.means)
    half = []
    for k in (0, 1):
        gap = float(three.means[k + 1] - three.means[k])
        overlap = float(three.sds[k : k + 2].max()) * 0.3
        parts = [0.5 * moved[k], 0.5 * moved[k + 1], 0.1 * gap, overlap, (0.0, 0.5 * curvature)[k]]
        half.append(2 * float(np.sqrt(np.sum(np.square(parts)))))
    if not resolved:
        half[0] = max(half[0], 0.4 * (binder - pore))
    intervals = ((first - half[0], first + half[0]), (second - half[1], second + half[1]))
    rule = "thresholds half-way between three phases that are flat somewhere, partial volume taken off at active rims"
    means, sds = (pore, active, binder), tuple(float(three.sds[k]) for k in (0, 2, 1))
    model = (pore, binder, active)
    if asked == 2:
        words.append("The grey levels resolve a third phase between pore and active; as asked, it is counted as pore.")
        return Answer(two, blur, (second,), (intervals[1],), means[:2], sds[:2], rule, False, model, first, words)
    return Answer(two, blur, (first, second), intervals, means, sds, rule, resolved, model, float("nan"), words)


def _apart(answer: Answer) -> bool:
    """Whether the thresholds of three phases are known well enough to leave room between them."""
    pore, _, active = answer.model or (0.0, 0.0, 0.0)
    edges = [low_high for pair in answer.intervals for low_high in pair]
    return edges == sorted(edges) and pore < edges[0] and edges[-1] < active


def _supposed(two: TwoPhases) -> Mixture:
    """Three phases where two are seen: a binder of the grey that lies about in the dark phase, or of a usual one."""
    dark, bright = two.seen.means
    middle = two.matter if dark < two.matter < (dark + bright) / 2 else dark + BINDER * (bright - dark)
    sds = np.array([two.seen.sds[0], two.seen.sds.max(), two.seen.sds[1]])
    shares = np.array([two.seen.shares[0], 0.0, two.seen.shares[1]])
    return Mixture(np.array([dark, middle, bright]), sds, shares, np.zeros(2), float("nan"))


def _cuts(three: Mixture):
    m = three.means
    return (float(m[0] + m[1]) / 2, float(m[1] + m[2]) / 2)


def _curvature(denoised, three: Mixture, sigma, cuts):
    """Return by how much the upper threshold moves so that active keeps its volume under blur, and the size of that."""
    few = denoised[:: max(1, len(denoised) // 9)]
    levels = tuple(float(m) for m in three.means)
    gap = levels[2] - levels[1]
    sharp = sharpened(few, sigma)

    def share(blocks, moved):
        at = (cuts[0], cuts[1] + moved)
        return float(np.mean([(label_three(b, thresholds=at, levels=levels, sigma=sigma) == 1).mean() for b in blocks]))

    here, there = share(few, -0.05 * gap), share(few, 0.05 * gap)
    if not here > there:
        return 0.0, 0.05 * gap
    wanted = share(sharp, 0.0)
    shift = 0.05 * gap - 0.1 * gap * (wanted - there) / (here - there)
    return float(np.clip(shift, -0.3 * gap, 0.3 * gap)), abs(float(shift))


def _as_wanted(answer: Answer, wanted) -> Answer:
    """Put in the thresholds that the user gave; the intervals stay, widened to hold them."""
    words = list(answer.words)
    intervals = []
    for t, (low, high) in zip(wanted, answer.intervals, strict=True):
        if not low <= t <= high:
            words.append(
                f"The threshold given, {t:.5g}, lies outside the interval that the grey levels support "
                f"({low:.5g} to {high:.5g})."
            )
        intervals.append((min(low, t), max(high, t)))
    return Answer(
        answer.two, answer.blur, tuple(wanted), tuple(intervals), answer.means, answer.sds,
        "threshold given by the user", answer.resolved, answer.model, answer.binder_threshold, words,
    )  # fmt: skip
