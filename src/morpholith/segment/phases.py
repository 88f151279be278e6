"""Grey volume into phases, with the thresholds that its grey levels support."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from .. import _checks
from ..errors import InputError
from ._estimate import DENOISE, PhaseEstimate, estimate
from ._place import METHODS
from ._survey import slabs

__all__ = ["DENOISE", "METHODS", "PhaseEstimate", "Phases", "apply_phases", "estimate_phases", "phases"]

Thresholds = float | tuple[float, ...]


@dataclass(frozen=True)
class Phases:
    """Phases of a volume, and how sure they are.

    Attributes
    ----------
    labels : (z, y, x) uint8 array
        0 pore, 1 active material, 2 carbon-binder; of `estimate.box` of the volume.
    estimate : PhaseEstimate
        Thresholds, their intervals, grey levels, histograms, method, warnings.
    denoised : (z, y, x) float32 array
        What the thresholds were put to; for a volume that came segmented, its labels.
    """

    labels: np.ndarray
    estimate: PhaseEstimate
    denoised: np.ndarray = field(repr=False)

    @property
    def thresholds(self) -> tuple[float, ...]:
        """Grey levels between the phases, darkest first; empty for a volume that came segmented."""
        return self.estimate.thresholds

    @property
    def intervals(self) -> tuple[tuple[float, float], ...]:
        """The interval of each threshold that the grey levels support, at about 95 %."""
        return self.estimate.intervals

    @property
    def means(self) -> tuple[float, ...]:
        """Grey level of pore, active material and, if resolved, binder: in the order of the labels."""
        return self.estimate.means

    @property
    def box(self) -> tuple[slice, ...]:
        """The part of the volume that `labels` covers."""
        return self.estimate.box

    @property
    def resolved(self) -> bool:
        """Whether the carbon-binder is a phase of its own here."""
        return self.estimate.resolved

    @property
    def method(self) -> str:
        """How the phases were told apart, in a sentence."""
        return self.estimate.method

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences a reader of the result should see."""
        return self.estimate.warnings

    def at(self, thresholds: Thresholds) -> np.ndarray:
        """Return the labels that other thresholds give: carry the ends of `intervals` into every number.

        Parameters
        ----------
        thresholds : float or tuple of float
            As many as `self.thresholds`. A volume that came segmented has none: its labels come back.
        """
        return _label(self.denoised, self.estimate, _as_tuple(thresholds))

    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the labels with all thresholds at the low, and at the high ends of their intervals."""
        low, high = (tuple(i[k] for i in self.intervals) for k in (0, 1))
        return self.at(low), self.at(high)


def phases(
    volume,
    *,
    spacing,
    n_phases: int | str = "auto",
    threshold: Thresholds | None = None,
    method: str = "auto",
    denoise: str = "auto",
    phases_of: Mapping[int, int] | None = None,
) -> Phases:
    """Tell pore, active material and, where it is resolved, carbon-binder apart.

    Parameters
    ----------
    volume : (z, y, x) array, or anything with shape, dtype and slices that gives one
        Grey levels, 8 or 16 bits or float. The brightest phase is the active material. A volume of at most three
        integer values is taken as segmented. A constant margin around a cylindrical field of view is cut away, down to
        the largest box inside. NaN or infinity inside the field of view is refused.
    spacing : tuple of float
        Voxel edge lengths (z, y, x), um.
    n_phases : {"auto", 2, 3}
        "auto" takes three if voxels away from any edge show three peaks.
    threshold : float or (float, float), optional
        Used as it is; its interval still is what the grey levels support, widened to hold it.
    method : {"auto", "halfway", "otsu", "minimum", "mixture"}
        "auto" keeps the volume of the phases under blur: see `estimate_phases`.
    denoise : {"auto", "none", "nlm"}
        Non-local means at the strength of the measured noise; "auto" leaves it where the noise is under 1/30 of the
        contrast.
    phases_of : mapping of int to int, optional
        Grey value to phase (0, 1, 2) of a volume that is segmented already.

    Returns
    -------
    Phases

    Raises
    ------
    InputError
        Not a volume, empty, constant, NaN inside, one phase only, particle labels in place of grey levels, thresholds
        out of order.
    """
    found = estimate_phases(
        volume, spacing=spacing, n_phases=n_phases, threshold=threshold, method=method, denoise=denoise,
        phases_of=phases_of,
    )  # fmt: skip
    return _all(volume, found)


def estimate_phases(
    source,
    *,
    spacing,
    n_phases: int | str = "auto",
    threshold: Thresholds | None = None,
    method: str = "auto",
    denoise: str = "auto",
    phases_of: Mapping[int, int] | None = None,
) -> PhaseEstimate:
    """Return what has to be known of a whole volume before its blocks can be segmented one by one.

    Parameters
    ----------
    source, spacing, n_phases, threshold, method, denoise, phases_of
        As for `phases`. `source` is read once, a few planes at a time, and sampled on a fixed lattice of blocks: the
        estimate of a volume is the same however it is stored.

    Returns
    -------
    PhaseEstimate
        For `apply_phases`.
    """
    source = _volume(source)
    spacing = _checks.spacing(spacing, 3)
    if n_phases not in ("auto", 2, 3):
        raise InputError(f"`n_phases` must be 'auto', 2 or 3; got {n_phases!r}.")
    _checks.choice(method, METHODS, name="method")
    _checks.choice(denoise, DENOISE, name="denoise")
    wanted = None if threshold is None else _as_tuple(threshold)
    return estimate(
        source, spacing=spacing, n_phases=n_phases, wanted=wanted, method=method, denoise=denoise, phases_of=phases_of
    )


def apply_phases(
    block: np.ndarray,
    found: PhaseEstimate,
    *,
    thresholds: Thresholds | None = None,
    origin: tuple[int, ...] = (0, 0, 0),
) -> np.ndarray:
    """Return the labels of a block.

    Parameters
    ----------
    block : (z, y, x) array
        Grey levels, with `found.halo` voxels more than wanted on each side where the volume (inside `found.box`) goes
        on, and none where it ends. The labels of that margin are to be thrown away; those inside equal, bit by bit,
        the ones that `phases` gives.
    found : PhaseEstimate
    thresholds : float or tuple of float, optional
        In place of `found.thresholds`.
    origin : tuple of int
        First voxel of `block` (margin included) within `found.box`; needed only where `found.drift` is not None.

    Returns
    -------
    (z, y, x) uint8 array
        As large as `block`.
    """
    used = found.thresholds if thresholds is None else _as_tuple(thresholds)
    return _label(_denoised(block, found, origin), found, used)


def _all(source, found: PhaseEstimate) -> Phases:
    """Segment a volume that fits into memory."""
    source = _volume(source)
    grey = np.concatenate(list(slabs(source, found.box)))
    denoised = _denoised(grey, found, (0, 0, 0))
    return Phases(_label(denoised, found, found.thresholds), found, denoised)


def _denoised(block, found, origin):
    """Grey levels that the thresholds are put to; for a segmented volume the phases."""
    if found.lookup:
        out = np.full(block.shape, 255, np.uint8)
        for grey, phase in found.lookup:
            out[block == grey] = phase
        return out
    from .denoise import nonlocal_means
    from .drift import level

    return nonlocal_means(level(block, found.drift, origin), sd=found.denoise_sd)


def _label(grey, found, thresholds):
    if found.lookup:
        return grey
    if len(thresholds) != len(found.thresholds):
        raise InputError(
            f"`thresholds` must be {len(found.thresholds)} grey level(s), one between each two of the phases here; "
            f"got {len(thresholds)}."
        )
    if list(thresholds) != sorted(thresholds):
        raise InputError(f"`thresholds` must rise from dark to bright, got {thresholds!r}.")
    if found.model is None:
        return (grey >= np.float32(thresholds[0])).astype(np.uint8)
    from ._three_phases import label_three

    between = thresholds if len(thresholds) == 2 else (found.binder_threshold, *thresholds)
    labels = label_three(grey, thresholds=between, levels=found.model, sigma=found.sigma)
    return labels if len(thresholds) == 2 else (labels == 1).astype(np.uint8)


def _as_tuple(thresholds):
    values = tuple(float(t) for t in np.atleast_1d(thresholds))
    if not np.isfinite(values).all():
        raise InputError(f"thresholds must be finite grey levels, got {values!r}.")
    return values


def _volume(source):
    """Return something with shape, dtype and slices that is a volume, or say what came instead."""
    if not (hasattr(source, "shape") and hasattr(source, "dtype")):
        source = np.asarray(source)
    shape = tuple(source.shape)
    if len(shape) == 2 or (len(shape) == 3 and shape[0] == 1):
        raise InputError(
            f"`volume` must be a stack of slices (z, y, x), got a single slice of shape {shape}; give the whole "
            "stack, or a folder of slices."
        )
    if len(shape) != 3:
        raise InputError(f"`volume` must have three axes (z, y, x), got shape {shape}.")
    if 0 in shape:
        raise InputError(f"`volume` is empty (shape {shape}).")
    if min(shape) < 8:
        raise InputError(f"`volume` must be at least 8 voxels along each axis to be segmented, got shape {shape}.")
    if np.dtype(source.dtype).kind not in "buif":
        raise InputError(f"`volume` must hold grey levels, got {source.dtype}.")
    return source
