"""From the particles of single micrographs to the descriptors of a powder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from .. import columns as c
from ..image import Quantity
from .size import iso13322_count, size_distribution
from .summary import mean_and_sd

if TYPE_CHECKING:
    import pandas as pd

CUT, HIDDEN, TINY = "cut by the frame", "hidden by another", "too small for its shape"
REASONS = (CUT, HIDDEN, TINY)
MIN_CONTACT_PX = 6
MIN_HIDDEN = 0.02  # a particle hidden less than this still shows its shape
MIN_DIAMETER_PX = 10
# What a bootstrap over particles cannot see: outlines that are all drawn a little too wide or too round. Standard
# deviations between virtual powders and micrographs (bench/bench_powder.py), with the shipped network.
OUTLINE_ERROR = 0.015  # of any diameter, relative
FORM_ERROR = 0.002  # of a mean circularity


def field(
    array: np.ndarray, labels: np.ndarray, contacts: pd.DataFrame, *, spacing: tuple[float, float],
    score: np.ndarray | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Measure every particle of one micrograph and say which ones count for what.

    Parameters
    ----------
    array : (y, x) array
    labels : (y, x) int array
    contacts : DataFrame
        Who lies behind whom (`segment.contacts`).
    spacing : tuple of float
        Pixel size (y, x) in um.
    score : (n + 1,) array, optional

    Returns
    -------
    DataFrame
        The columns of `measure.particles` with texture, where ``circularity`` and ``perimeter_um`` are those of the
        form (`measure.form_circularity`), ``circularity_outline`` that of the outline as segmented, and

        - ``rejected``: why the particle is kept out of shape statistics (cut by the frame, hidden by another,
          too small); empty when it is not;
        - ``hidden_fraction``: of its area, from the completed outline; 0 for one that lies free;
        - ``size_um``: the diameter for the size distribution: that of the completed outline where another
          particle hides part of it; NaN where it cannot be known (cut, or more than about half hidden, or
          under 10 pixels).
    """
    from .form import form_circularity
    from .hidden import complete
    from .shape import particles

    table = particles(labels, spacing=spacing, image=array)
    table[c.CIRCULARITY_OUTLINE] = table[c.CIRCULARITY]
    table[c.CIRCULARITY] = form_circularity(labels, spacing=spacing)[table.index - 1]
    table[c.PERIMETER] = np.sqrt(4 * np.pi * table[c.AREA] / table[c.CIRCULARITY])
    lower = contacts[(contacts["behind"] > 0.5) & (contacts["pixels"] >= MIN_CONTACT_PX)]
    completed = complete(labels, lower, spacing=spacing).reindex(table.index)
    is_lower = table.index.isin(lower["label"])
    hidden = is_lower & ~(completed[c.HIDDEN] < MIN_HIDDEN)
    tiny = table[c.DIAMETER] < MIN_DIAMETER_PX * np.sqrt(spacing[0] * spacing[1])

    table[c.HIDDEN] = completed[c.HIDDEN].where(is_lower, 0.0)
    table[c.SIZE] = table[c.DIAMETER].where(~hidden, completed[c.DIAMETER]).mask(table[c.TOUCHES_EDGE] | tiny)
    table["height_um"] = table.pop(c.HEIGHT_PX) * spacing[0]
    table["width_um"] = table.pop(c.WIDTH_PX) * spacing[1]
    table[c.SCORE] = np.nan if score is None else score[table.index]
    table[c.REJECTED] = np.select([table[c.TOUCHES_EDGE], hidden, tiny], REASONS, "")
    return table


def frame_weights(table: pd.DataFrame, frames: Mapping[str, tuple[float, float]]) -> np.ndarray:
    """Weights in 1/um2 that undo the frame's preference for small particles, over several fields together.

    A particle h high and w wide is wholly seen only if it falls into (H - h)(W - w) of a field of H x W
    (Miles 1974, Lantuejoul 1980). Over fields of any magnifications these areas add up.

    Parameters
    ----------
    table : DataFrame
        From `field`: ``size_um``, ``height_um``, ``width_um``.
    frames : mapping of image name to (H, W)
        Every field that was looked at, in um, whether it held particles or not.

    Returns
    -------
    (n,) array
        0 where `size_um` is NaN.
    """
    # a completed particle is larger than what is seen of it
    h = np.maximum(table["height_um"], table[c.SIZE])
    w = np.maximum(table["width_um"], table[c.SIZE])
    seen = np.zeros(len(table))
    for height, width in frames.values():
        seen += np.clip(height - h, 0, None) * np.clip(width - w, 0, None)
    good = np.isfinite(table[c.SIZE]) & (seen > 0)
    return np.where(good, 1 / np.where(good, seen, 1.0), 0.0)


def describe(
    table: pd.DataFrame, *, frames: Mapping[str, tuple[float, float]], rng: np.random.Generator | int = 0
) -> dict[str, Quantity]:
    """Descriptors of one sample: size distribution, circularity, texture, each with its interval.

    Parameters
    ----------
    table : DataFrame
        Particles of all its fields (`field`), with a column ``image``.
    frames : mapping of image name to (H, W) in um
    rng : Generator or int

    Returns
    -------
    dict of str to Quantity
        Sizes (``d10_um``, ``d50_um``, ..., by number; ``d50_volume_um``, ``d50_area_um``) rest on every particle
        whose whole size is known, weighted for the frame; circularity on particles that lie free and whole;
        texture on every surface that is resolved. ``n_particles`` counts what was found.
    """
    rng = np.random.default_rng(rng)
    used = np.isfinite(table[c.SIZE].to_numpy())
    weights = frame_weights(table, frames)[used]
    several = table[c.IMAGE].to_numpy() if len(frames) > 1 else None
    sample = {
        "diameters_um": table[c.SIZE].to_numpy()[used],
        "weights": weights,
        "groups": None if several is None else several[used],
    }
    out = {"n_particles": Quantity(len(table), n=len(frames), method=f"found, of them sizes known for {used.sum()}")}
    number = size_distribution(**sample, rng=rng)
    out |= {k: number[k] for k in ("d10_um", "d50_um", "d90_um", "span")}
    for basis in ("volume", "area"):
        by = size_distribution(**sample, basis=basis, rng=rng)
        out |= {f"{k}_{basis}_um": by[f"{k}_um"] for k in ("d10", "d50", "d90")}
        out |= {f"span_{basis}": by["span"]}
    free = (table[c.REJECTED] == "").to_numpy()
    for name, column, kept in (("circularity", c.CIRCULARITY, free), ("texture", c.TEXTURE, slice(None)),
                               ("anisotropy", c.ANISOTROPY, slice(None))):  # fmt: skip
        groups = None if several is None else several[kept]
        found = mean_and_sd(table[column].to_numpy()[kept], groups=groups, rng=rng)
        out |= {f"{name}_mean": found["mean"], f"{name}_sd": found["sd"]}
    out |= {k: number[k] for k in ("d43_um", "d32_um", "geometric_sd")}
    out = {key: _with_outline_error(key, q) for key, q in out.items()}
    out["share_hidden"] = _share(table[c.REJECTED] == HIDDEN, "particles partly hidden by another, of those found")
    out["share_cut"] = _share(table[c.TOUCHES_EDGE], "particles cut by the frame, of those found")
    spread = number["geometric_sd"].value
    if np.isfinite(spread):
        out["iso13322_count"] = Quantity(
            iso13322_count(max(spread, 1.0)),
            method="particles ISO 13322-1 asks for: volume mean within 5 % at 95 %",
        )
    return out


def _with_outline_error(key, q):
    """Widen an interval by what outlines may be off together."""
    if q.low is None or q.high is None or not (key.endswith("_um") or key == "circularity_mean"):
        return q
    error = FORM_ERROR if key == "circularity_mean" else OUTLINE_ERROR * q.value
    low, high = (q.value + sign * np.hypot(end - q.value, 1.96 * error) for sign, end in ((-1, q.low), (1, q.high)))
    text = f"{FORM_ERROR:g}" if key == "circularity_mean" else f"{OUTLINE_ERROR:.1%}"
    return replace(q, low=float(low), high=float(high), method=f"{q.method}; widened by {text} for the outlines")


def _share(mask, method):
    """A share with Wilson's interval."""
    n, k = len(mask), int(np.sum(mask))
    if n == 0:
        return Quantity(np.nan, n=0, method=method)
    z = 1.96
    middle, half = (k + z * z / 2) / (n + z * z), z * np.sqrt(k * (n - k) / n + z * z / 4) / (n + z * z)
    return Quantity(k / n, middle - half, middle + half, n=n, method=f"{method}; Wilson interval")


def cautions(table: pd.DataFrame, described: Mapping[str, Quantity], frames) -> list[str]:
    """Return what a reader should know before quoting these numbers, in sentences."""
    said = []
    n = int(np.isfinite(table[c.SIZE]).sum())
    if len(table) == 0:
        return [
            "No particle was found; every descriptor is empty. Check the outlines, the contrast and the pixel size."
        ]
    asked = described.get("iso13322_count")
    if asked is not None and n < asked.value:
        said.append(
            f"{n} particles have a known size; ISO 13322-1 asks for about {int(asked.value)} for a volume mean within "
            f"5 %. Sizes by volume are the weaker ones; take more fields."
        )
    if described["share_hidden"].value > 0.35:
        said.append(
            f"{described['share_hidden'].value:.0%} of the particles are partly hidden. Sizes come from completed "
            f"outlines, and what lies wholly underneath is not counted; strew the powder thinner."
        )
    widest = max(min(f) for f in frames.values())
    largest = np.nanmax(table[c.SIZE]) if n else np.nan
    if largest > 0.5 * widest:
        said.append(
            f"The largest particle ({largest:.3g} um) is over half as wide as the largest field ({widest:.3g} um): "
            f"large ones are rarely seen whole, and the frame correction rests on few. Use a lower magnification."
        )
    if (table[c.REJECTED] == TINY).mean() > 0.05:
        said.append(
            f"{(table[c.REJECTED] == TINY).mean():.0%} of the particles are under {MIN_DIAMETER_PX} px and left out; "
            f"the small end of the distribution is cut off. Use a higher magnification."
        )
    if not np.isfinite(table[c.TEXTURE]).any():
        said.append("Texture is not resolved: pixels over 50 nm, or too little surface. Use a higher magnification.")
    return said
