"""What kind of volume came: grey levels, phases, particle labels, probabilities; and what its ends say."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..errors import InputError
from ._survey import FEW, Survey

SATURATED = 0.01  # share of the voxels at the last grey level
CLIPPED = 0.003  # share above which the last grey level is left out of the fits
LABELS_OF = {2: (0, 1), 3: (0, 2, 1)}  # darkest first


def about(seen: Survey, shape) -> list[str]:
    """Return the sentences that a survey gives rise to; refuse what has no grey levels."""
    if seen.low == seen.high or not np.isfinite(seen.low):
        raise InputError(
            f"The volume is constant (every voxel is {seen.low:g}): there is nothing to segment; was the right "
            "dataset or channel read?"
        )
    words: list[str] = []
    if seen.padding > 0:
        box = " x ".join(str(s.stop - s.start) for s in seen.box)
        whole = " x ".join(str(n) for n in shape)
        words.append(
            f"{seen.padding:.0%} of each slice is constant padding around the field of view; only the largest box "
            f"inside it is segmented ({box} of {whole} voxels)."
        )
    return words


def about_ends(seen: Survey) -> list[str]:
    """Return a sentence for each end of the grey scale at which voxels pile up."""
    words = []
    if seen.at_high > SATURATED:
        words.append(
            f"{seen.at_high:.1%} of the voxels are saturated at the greatest grey level {seen.high:g}: the grey level "
            "of the active material, and with it the threshold, is less certain; export with a wider range."
        )
    if seen.at_low > SATURATED:
        words.append(
            f"{seen.at_low:.1%} of the voxels are clipped at the least grey level {seen.low:g}: the grey level of "
            "the pore is less certain; export with a wider range."
        )
    return words


def valid_range(seen: Survey) -> tuple[float, float]:
    """Return the open interval of grey levels that the fits may use: a pile at either end of the range says nothing."""
    return (seen.low if seen.at_low > CLIPPED else -np.inf, seen.high if seen.at_high > CLIPPED else np.inf)


def segmented(
    seen: Survey, dtype: np.dtype, phases_of: Mapping[int, int] | None
) -> tuple[tuple[tuple[float, int], ...], str] | None:
    """Return the phase of every grey value, and a sentence, if the volume is segmented already; else None."""
    if phases_of is not None:
        return _by_mapping(seen, {float(g): int(p) for g, p in phases_of.items()})
    if dtype.kind not in "bui" and not (seen.values and all(v == int(v) for v in seen.values)):
        return None
    if not 2 <= len(seen.values) <= 3:
        return None
    values = tuple(int(v) for v in seen.values)
    if values == (0, 1, 2):
        return tuple((float(v), v) for v in values), (
            "The volume came segmented (values 0, 1, 2): it is used as it is, 0 pore, 1 active material, 2 "
            "carbon-binder; give another mapping if that is not so."
        )
    phase = LABELS_OF[len(values)]
    names = {0: "pore", 1: "active material", 2: "carbon-binder"}
    said = ", ".join(f"{v} {names[p]}" for v, p in zip(values, phase, strict=True))
    return tuple((float(v), p) for v, p in zip(values, phase, strict=True)), (
        f"The volume came segmented ({len(values)} grey values): it is used as it is, in the order of grey: {said}; "
        "give another mapping if that is not so."
    )


def _by_mapping(seen, mapping):
    if not set(mapping.values()) <= {0, 1, 2}:
        raise InputError(f"phases must be 0 (pore), 1 (active) or 2 (binder), got {sorted(set(mapping.values()))}.")
    if not seen.values:
        raise InputError(
            f"A mapping of grey values to phases needs a segmented volume; this one has more than {FEW} grey values, "
            f"from {seen.low:g} to {seen.high:g}."
        )
    missing = [v for v in seen.values if v not in mapping]
    if missing:
        raise InputError(
            f"The mapping of grey values to phases says nothing about {', '.join(f'{v:g}' for v in missing)}; the "
            f"volume has the values {', '.join(f'{v:g}' for v in seen.values)}."
        )
    return tuple((v, mapping[v]) for v in seen.values), "The volume came segmented; its values were mapped as asked."


def refuse_labels(blocks: np.ndarray) -> None:
    """Refuse particle labels: whole numbers, the same over patches even where they are neither of the two most common.

    An image that is black and white with grey rims also has equal neighbours nearly everywhere, but none in the rims.
    """
    if (blocks != np.rint(blocks)).any():
        return
    a, b = blocks[..., :-1], blocks[..., 1:]
    values, counts = np.unique(blocks, return_counts=True)
    if len(values) <= 3 or float((a == b).mean()) < 0.7:
        return
    common = values[np.argsort(counts)[-2:]]
    other = ~np.isin(a, common) & ~np.isin(b, common)
    if other.sum() >= 50 and float((a == b)[other].mean()) > 0.6:
        raise InputError(
            f"The volume looks like an image of labels ({len(values)} whole numbers, {(a == b).mean():.0%} of "
            "neighbouring voxels equal), not of grey levels; give the grey volume, or map its values to phases."
        )


def is_probability(blocks: np.ndarray, dtype: np.dtype) -> bool:
    """Whether a float volume within 0 to 1 has most of its voxels at the two ends."""
    if dtype.kind != "f" or blocks.min() < 0 or blocks.max() > 1 or blocks.min() > 0.02 or blocks.max() < 0.98:
        return False
    return float(((blocks < 0.05) | (blocks > 0.95)).mean()) > 0.6
