"""From a sample of a grey volume to its thresholds, their intervals and the sentences that go with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter

from ..errors import InputError
from . import _grey_or_not, _survey
from ._place import SEPARATE, Answer, place
from .drift import Drift, find_drift, level, slow_field
from .levels import BINS, core_noise

DENOISE = ("auto", "none", "nlm")
QUIET = 30.0  # contrast over noise above which "auto" does not denoise


@dataclass(frozen=True)
class PhaseEstimate:
    """What has to be known of a whole volume before any block of it can be segmented. Picklable, a few kilobytes.

    Attributes
    ----------
    thresholds : tuple of float
        Grey levels between the phases, after levelling: one, or two (pore to binder, binder to active); empty for a
        volume that came segmented.
    intervals : tuple of (float, float)
        What the grey levels support of each, at about 95 %.
    means, sds : tuple of float
        Grey level of pore, active and, if resolved, binder, in the order of the labels; standard deviation inside
        each after denoising.
    noise : float
        Standard deviation of the raw grey levels inside a phase.
    denoise_sd : float
        Noise that non-local means was told to remove; 0 if it was left out.
    blur_um : float
        Standard deviation of the blur, from the slope of the edges, after denoising.
    histogram, histogram_denoised : (edges, counts)
        Of the sample.
    resolved : bool
        Whether carbon-binder is a phase of its own.
    method : str
    warnings : tuple of str
    spacing : tuple of float
        Voxel edge lengths, um.
    halo : tuple of int
        Voxels of margin that a block needs on each side.
    box : tuple of slice
        The part of the volume that is segmented.
    drift : Drift or None
        Slow change of the grey levels that is taken off first.
    balance : float
        Volume fraction of the dark phase from the mean grey level, if there were only two phases; NaN with three.
    unexplained : float
        Share of the voxels far from active material that are too bright for pore; NaN where there are too few.
    model : tuple of float or None
        Grey levels pore, binder, active where three phases are told apart inside.
    binder_threshold : float
        The lower threshold where the binder is told apart but counted as pore.
    sigma : tuple of float
        Blur in voxels.
    lookup : tuple of (grey, phase)
        For a volume that came segmented.
    """

    thresholds: tuple[float, ...]
    intervals: tuple[tuple[float, float], ...]
    means: tuple[float, ...]
    sds: tuple[float, ...]
    noise: float
    denoise_sd: float
    blur_um: float
    histogram: tuple[np.ndarray, np.ndarray] = field(repr=False)
    histogram_denoised: tuple[np.ndarray, np.ndarray] = field(repr=False)
    resolved: bool
    method: str
    warnings: tuple[str, ...]
    spacing: tuple[float, ...]
    halo: tuple[int, ...]
    box: tuple[slice, ...]
    drift: Drift | None = None
    balance: float = float("nan")
    unexplained: float = float("nan")
    model: tuple[float, ...] | None = None
    binder_threshold: float = float("nan")
    sigma: tuple[float, ...] = (0.0, 0.0, 0.0)
    lookup: tuple[tuple[float, int], ...] = ()


class Prepared(NamedTuple):
    """A sample, levelled and denoised."""

    raw: np.ndarray
    denoised: np.ndarray
    noise: float
    denoise_sd: float
    drift: Drift | None


def estimate(
    source, *, spacing, n_phases, wanted, method, denoise, phases_of: Mapping[int, int] | None
) -> PhaseEstimate:
    """Return the estimate of a checked volume: see `phases.estimate_phases`."""
    dtype = np.dtype(source.dtype)
    seen = _survey.survey(source)
    words = _grey_or_not.about(seen, source.shape)
    given = _grey_or_not.segmented(seen, dtype, phases_of)
    if given is not None:
        return _as_it_is(seen, source, given, words, spacing)
    blocks, starts = _survey.sample(source, seen.box)
    _grey_or_not.refuse_labels(blocks)
    whole = bool((blocks == np.rint(blocks)).all())
    shape = tuple(s.stop - s.start for s in seen.box)
    if _grey_or_not.is_probability(blocks, dtype):
        words.append(
            "The volume looks like a map of probabilities or volume fractions (0 to 1, most voxels near the ends): it "
            "is not denoised."
        )
        denoise = "none"
    else:
        words += _grey_or_not.about_ends(seen)
    ready = _prepare(blocks, starts, shape, denoise)
    answer = place(
        ready.denoised, ready.raw, steps=spacing, valid=_grey_or_not.valid_range(seen),
        quantum=1.0 if whole else 0.0,
        n_phases=n_phases, method=method, wanted=wanted,
    )  # fmt: skip
    _refuse_one_phase(ready, starts, shape, answer)
    if ready.drift is not None:
        words.append(
            f"Grey levels change slowly through the volume (by {ready.drift.span:.0%} of the contrast: cupping, beam "
            "hardening or drift); they were levelled by a quadratic field before thresholding."
        )
    sigma = tuple(
        answer.blur / s if n > 1 and np.isfinite(answer.blur) else 0.0 for s, n in zip(spacing, shape, strict=True)
    )
    return PhaseEstimate(
        thresholds=answer.thresholds,
        intervals=answer.intervals,
        means=answer.means,
        sds=answer.sds,
        noise=ready.noise,
        denoise_sd=ready.denoise_sd,
        blur_um=answer.blur,
        histogram=_edges_counts(ready.raw, whole=whole and ready.drift is None),
        histogram_denoised=_edges_counts(ready.denoised),
        resolved=answer.resolved,
        method=_method(answer, ready),
        warnings=(*words, *answer.words),
        spacing=spacing,
        halo=_reach(ready, answer, sigma, shape),
        box=seen.box,
        drift=ready.drift,
        balance=answer.two.balance if answer.model is None else float("nan"),
        unexplained=answer.two.unexplained,
        model=answer.model,
        binder_threshold=answer.binder_threshold,
        sigma=sigma,
    )


def _as_it_is(seen, source, given, words, spacing) -> PhaseEstimate:
    """Estimate of a volume that came segmented."""
    lookup, sentence = given
    if len({phase for _, phase in lookup}) < 2:
        raise InputError("The volume has one phase only: there is nothing to segment.")
    means = {phase: grey for grey, phase in lookup}
    blocks, _ = _survey.sample(source, seen.box)
    counts = _edges_counts(blocks, whole=True)
    return PhaseEstimate(
        thresholds=(), intervals=(), means=tuple(means[k] for k in sorted(means)), sds=(0.0,) * len(means), noise=0.0,
        denoise_sd=0.0, blur_um=0.0, histogram=counts, histogram_denoised=counts, resolved=2 in means,
        method="segmented already; values taken as they are", warnings=(*words, sentence), spacing=spacing,
        halo=(0, 0, 0), box=seen.box, lookup=lookup,
    )  # fmt: skip


def _prepare(blocks, starts, shape, denoise) -> Prepared:
    """Level, measure the noise, denoise."""
    from .denoise import noise as white_noise
    from .denoise import nonlocal_means

    raw = blocks
    noise, cores = core_noise(raw)
    drift = None
    for _ in range(2):  # the second time with phases told apart in a level volume
        drift = find_drift(blocks, starts, cores, shape=shape)
        if drift is None:
            raw = blocks
            break
        raw = np.stack([level(b, drift, tuple(s)) for b, s in zip(blocks, starts, strict=True)])
        noise, cores = core_noise(raw)
    if not np.isfinite(noise):
        noise = float(np.median([white_noise(b) for b in raw]))
    sd = 0.0 if denoise == "none" else noise
    rough = gaussian_filter(raw, (0, *(1.2 if n > 1 else 0 for n in shape)), truncate=3)
    low, high = np.percentile(rough, [5, 95])
    if denoise == "auto" and high - low > QUIET * noise:
        sd = 0.0
    return Prepared(raw, np.stack([nonlocal_means(b, sd=sd) for b in raw]), noise, sd, drift)


def _refuse_one_phase(ready, starts, shape, answer: Answer) -> None:
    """Refuse a volume whose grey levels vary from voxel to voxel, as noise does, and slowly, but not in between."""
    raw = ready.raw
    rough = gaussian_filter(raw, (0, *(3 if n > 1 else 0 for n in raw.shape[1:])), truncate=3)
    slow = slow_field(rough, starts, shape)
    left = float((rough - slow).std())
    # noise loses over three quarters of its standard deviation in such an average; phases lose little
    noise_alone = left < 0.22 * float((raw - slow).std())
    if noise_alone and (answer.two.seen.separation < SEPARATE or left < 0.4 * float(rough.std())):
        raise InputError(
            f"The volume shows one phase only: its grey levels (mean {raw.mean():.4g}, standard deviation "
            f"{raw.std():.3g}) vary from voxel to voxel, as noise does, and slowly, but not in between; crop to where "
            "both pore and solid are, or scan with more contrast."
        )


def _reach(ready, answer: Answer, sigma, shape):
    """Voxels that a block must carry around it."""
    from ._three_phases import halo as three
    from .denoise import halo as averaged

    reach = averaged(shape) if ready.denoise_sd > 0 else (0, 0, 0)
    if answer.model is not None:
        reach = tuple(a + b for a, b in zip(reach, three(sigma), strict=True))
    return reach


def _edges_counts(sample, *, whole=False):
    """Edges and counts of at most 512 bins; of whole numbers each bin holds as many."""
    low, high = (float(v) for v in np.percentile(sample, [0.005, 99.995]))
    if not whole:
        counts, edges = np.histogram(sample, BINS, (low, high if high > low else low + 1))
        return edges, counts
    step = int(np.ceil((high - low + 1) / BINS))
    edges = np.arange(np.floor(low), high + 1 + step, step) - 0.5
    return edges, np.histogram(sample, edges)[0]


def _method(answer: Answer, ready: Prepared) -> str:
    filtered = (
        f"non-local means (3x3x3 patches, 5x5x5 window, noise {ready.denoise_sd:.3g})" if ready.denoise_sd > 0
        else "no denoising"
    )  # fmt: skip
    levelled = ", slow drift of the grey levels taken off" if ready.drift is not None else ""
    return f"{filtered}{levelled}; {answer.rule}; the brightest phase is the active material"
