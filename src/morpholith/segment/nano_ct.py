"""Particles of a nano-CT volume for the model of their shells: the steps of paper 001, as printed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .. import _checks
from ..errors import InputError
from .separate import cut_particles, separate_particles

BINS = 1024
LEAST_SEPARATION = 2.8
"""Distance of the mean grey levels on both sides of the threshold, over the standard deviation within the sides, below
which a volume has nothing in it. Gaussian noise alone has 2.65, phases that a threshold can tell apart 4 or more."""

FEW_VALUES = 3  # as many whole numbers at most: phases, not grey levels
FOUND, PIECES, MERGED_SMALL, MERGED_UNROUND = "found", "further_pieces", "merged_small", "merged_unround"
DROPPED_SMALL, DROPPED_UNROUND, DROPPED_CUT, KEPT = "dropped_small", "dropped_unround", "dropped_cut", "kept"


@dataclass(frozen=True)
class ShellParticles:
    """Whole particles of a nano-CT volume.

    Attributes
    ----------
    labels : (z, y, x) int32 array
        Particles 1..n in the order of their first voxels, without enclosed holes; 0 elsewhere.
    counts : dict of str to int
        `found` by the watershed, `further_pieces` that were not connected to theirs, `merged_small`, `merged_unround`
        with a neighbour, `dropped_small`, `dropped_unround` without a neighbour, `dropped_cut` by a face of the
        volume, `kept`.
    threshold : float
        Of the smoothed grey levels; NaN for a volume that came segmented.
    separation : float
        See `LEAST_SEPARATION`; NaN for a volume that came segmented.
    warnings : tuple of str
    """

    labels: np.ndarray
    counts: dict[str, int]
    threshold: float
    separation: float
    warnings: tuple[str, ...] = ()


def shell_particles(
    volume: np.ndarray,
    *,
    spacing: float | tuple[float, float, float] = 1.0,
    sigma: float = 1.8,
    min_voxels: int = 10,
    min_sphericity: float = 0.5,
    smoothing: float = 0.9,
    depth: float = 0.2,
    neck: float = 0.95,
    fill: bool = True,
    drop_cut: bool = True,
) -> ShellParticles:
    """Find the particles whose shells are to be modelled (paper 001, Preprocessing of nano-CT data).

    Gaussian of `sigma` voxels, Otsu's threshold, watershed, pieces that are not connected made particles of their own,
    small and non-spherical ones joined to a neighbour or, without one, dropped, and those at the border dropped.

    Parameters
    ----------
    volume : (z, y, x) array
        Grey levels, the particles bright. A boolean one is a segmentation: it is neither smoothed nor thresholded.
    spacing : float or (z, y, x)
        Voxel edges in um, for distances and surfaces on voxels that are not cubes; 1 for cubes of whatever size.
    sigma : float
        In voxels; 0 for none.
    min_voxels, min_sphericity :
        A component with fewer voxels, or of a lower sphericity (Wadell's, contacts counted as surface), joins the
        neighbour with which it shares most surface. The smallest go first, and what has grown by then is looked at as
        it is; the neighbour is not judged again. Without a neighbour it is dropped.
    smoothing, depth : float
        In mean voxel edges. The print does not say what the watershed runs on. Here: the distance to the pore, smoothed
        by a Gaussian of `smoothing`; peaks that rise less than `depth` above their highest pass count for nothing.
    neck : float
        Nor do peaks whose highest pass is above this share of their height; 1 cuts at the slightest neck.
    fill : bool
        Give holes that a single particle surrounds to it. Not in print, but a ray would end in them.
    drop_cut : bool
        Drop particles that touch a face of the volume. Large ones touch more often: see the `frame_weight` of
        `generate.shells_of_volume`.

    Returns
    -------
    ShellParticles
        Without a particle the labels are 0 and `warnings` says why.

    Raises
    ------
    InputError
        No volume, voxels that are not finite, phases or labels instead of grey levels, or a volume with nothing in it.

    Notes
    -----
    About 25 bytes a voxel. For more voxels than memory holds, threshold blockwise and use `separate_blockwise`.
    """
    edges = _checks.spacing(spacing, 3)
    if not (np.isfinite(sigma) and sigma >= 0):
        raise InputError(f"`sigma` must be a number of voxels from 0 upwards, got {sigma!r}.")
    volume = np.asarray(volume)
    if volume.ndim != 3 or volume.size == 0 or volume.dtype.kind not in "buif":
        raise InputError(f"`volume` must be a volume (z, y, x) of numbers, got {volume.dtype} {volume.shape}.")
    said: list[str] = []
    if volume.dtype == bool:
        solid, threshold, separation = volume, float("nan"), float("nan")
        if not solid.any():
            raise InputError("the volume has nothing in it: no voxel is True; was the right phase taken?")
    else:
        solid, threshold, separation = _thresholded(volume, sigma)
    edge = float(np.prod(edges)) ** (1 / 3)
    labels = separate_particles(
        solid,
        spacing=edges,
        smoothing_um=smoothing * edge,
        depth_um=depth * edge,
        neck=neck,
        min_voxels=0,
        min_sphericity=0,
        fill=fill,
    )
    counts = {FOUND: int(labels.max(initial=0))}
    n = _apart(labels)
    counts[PIECES] = n - counts[FOUND]
    if fill:
        _fill_holes(labels)
    labels, cleaned = _cleaned(labels, n, edges, min_voxels, min_sphericity)
    counts |= cleaned
    cut = cut_particles(labels)
    counts[DROPPED_CUT] = len(cut) if drop_cut else 0
    labels, counts[KEPT] = _renumbered(labels, cut if drop_cut else np.zeros(0, np.int64))
    if fill:  # those that merging closed
        _fill_holes(labels)
    if counts[KEPT] == 0:
        said.append(
            f"no particle is left: of {n} components {counts[DROPPED_SMALL]} are too small, {counts[DROPPED_UNROUND]} "
            f"not round enough, and {counts[DROPPED_CUT]} touch a face of the volume."
        )
    return ShellParticles(labels, counts, threshold, separation, tuple(said))


def _thresholded(volume, sigma):
    """Smooth, threshold by Otsu, and say how far the two sides of the threshold lie apart."""
    from .distance import smooth
    from .threshold import otsu

    if volume.dtype.kind in "ui" and len(np.unique(volume[:: max(1, len(volume) // 32)])) <= FEW_VALUES:
        values = np.unique(volume)
        if 1 < len(values) <= FEW_VALUES:
            raise InputError(
                f"the volume holds the {len(values)} values {', '.join(map(str, values))} and is segmented already; "
                f"pass the phase of the particles as a boolean volume, such as `volume == {values[-1]}`."
            )
    grey = np.array(volume, np.float32, order="C")
    low, high = float(grey.min()), float(grey.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InputError("the volume has voxels that are NaN or infinite; crop it to where it was reconstructed.")
    if low == high:
        raise InputError(f"the volume has nothing in it: every voxel is {low:g}; was the right dataset read?")
    if sigma:
        smooth(grey, sigma_um=float(sigma), spacing=(1.0, 1.0, 1.0))
        low, high = float(grey.min()), float(grey.max())
    counts = np.zeros(BINS)
    ends = np.linspace(low, max(high, np.nextafter(np.float32(low), np.float32(np.inf))), BINS + 1)
    for plane in grey:
        counts += np.histogram(plane, ends)[0]
    centres = 0.5 * (ends[1:] + ends[:-1])
    (threshold,) = otsu(centres, counts)
    separation = _separation(centres, counts, threshold)
    if separation < LEAST_SEPARATION:
        raise InputError(
            "the volume has nothing in it that a threshold tells apart: the grey levels on both sides of Otsu's "
            f"threshold lie {separation:.2g} of their own standard deviations apart, as those of noise do (2.7); "
            "smooth more, crop to where particles are, or segment it first and pass a boolean volume."
        )
    return grey > threshold, threshold, separation


def _separation(centres, counts, threshold):
    above = centres > threshold
    mean, variance = np.empty(2), 0.0
    for k, side in enumerate((~above, above)):
        mean[k] = np.average(centres[side], weights=counts[side])
        variance += counts[side] @ (centres[side] - mean[k]) ** 2
    return float((mean[1] - mean[0]) / np.sqrt(max(variance / counts.sum(), 1e-300)))


def _apart(labels):
    """Give every further piece of a label (connected over faces) a number of its own, in place; return how many are."""
    from scipy import ndimage as ndi

    boxes = ndi.find_objects(labels)
    n = len(boxes)
    for k, box in enumerate(boxes, 1):
        pieces, m = ndi.label(labels[box] == k)
        for j in range(2, m + 1):
            n += 1
            labels[box][pieces == j] = n
    return n


def _cleaned(labels, n, spacing, min_voxels, min_sphericity):
    """Join what is small or not round to a neighbour, drop it without one; return the labels and what was done."""
    from .adjacency import graph

    nothing = np.zeros(labels.shape, np.float32)
    found = graph(labels, nothing, np.ones(labels.shape, bool), n, low=(0, 0, 0), high=labels.shape)
    into, done = _join(found, spacing, min_voxels, min_sphericity)
    for z in range(len(labels)):
        labels[z] = into[labels[z]]
    return labels, done


def _join(found, spacing, min_voxels, min_sphericity):
    from .adjacency import areas

    into = np.arange(found.n + 1)
    voxels = found.volume.tolist()
    free = areas(found.surface, spacing=spacing)
    beside: list[dict[int, float]] = [{} for _ in voxels]
    for (a, b), area in zip(found.pair.tolist(), areas(found.contact, spacing=spacing).tolist(), strict=True):
        beside[a][b] = beside[b][a] = area
    voxel_um3 = float(np.prod(spacing))
    done = dict.fromkeys((MERGED_SMALL, MERGED_UNROUND, DROPPED_SMALL, DROPPED_UNROUND), 0)

    def flaw(k):
        """0 nothing, 1 small, 2 not round."""
        if voxels[k] < min_voxels:
            return 1
        surface = free[k] + sum(beside[k].values())
        return 2 * (np.pi ** (1 / 3) * (6 * voxels[k] * voxel_um3) ** (2 / 3) < min_sphericity * surface)

    for k in sorted((k for k in range(1, found.n + 1) if flaw(k)), key=lambda k: (voxels[k], k)):
        why = flaw(k)
        if not why:  # it has grown by a smaller one
            continue
        host = min(beside[k], key=lambda j: (-beside[k][j], j), default=0)
        into[k] = host
        done[((MERGED_SMALL, MERGED_UNROUND) if host else (DROPPED_SMALL, DROPPED_UNROUND))[why - 1]] += 1
        if host:
            voxels[host] += voxels[k]
            free[host] += free[k]
        for other, area in beside[k].items():
            del beside[other][k]
            if other != host:
                beside[other][host] = beside[host][other] = beside[host].get(other, 0.0) + area
        beside[k] = {}
    while (into[into] != into).any():
        into = into[into]
    return into.astype(np.int32), done


def _renumbered(labels, dropped):
    """Count the labels anew in the order of their first voxels, without those dropped; return them and their number."""
    seen = np.zeros(int(labels.max(initial=0)) + 1, np.int32)
    seen[0] = -1
    seen[dropped] = -1
    n = 0
    for plane in labels:
        names, first = np.unique(plane, return_index=True)
        for name in names[np.argsort(first)]:
            if seen[name] == 0:
                n += 1
                seen[name] = n
    seen[seen < 0] = 0
    for z in range(len(labels)):
        labels[z] = seen[labels[z]]
    return labels, n


def _fill_holes(labels):
    from scipy import ndimage as ndi

    for k, box in enumerate(ndi.find_objects(labels), 1):
        if box is not None:
            part = labels[box]
            part[(part == 0) & ndi.binary_fill_holes(part == k)] = k
