"""Images into labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from .. import _checks
from ..errors import InputError
from .blockwise import separate_blockwise
from .contacts import contacts
from .crystal import LAUE_GROUPS, disorientation, euler_angles, laue_operators, quaternions
from .grains import Grains, grains, neighbour_angles
from .monolayer import find_particles
from .nano_ct import ShellParticles, shell_particles
from .phase_blocks import phases_blockwise
from .phases import PhaseEstimate, Phases, apply_phases, estimate_phases, phases
from .radiality import Radiality, alpha_density, radiality
from .sections import Section, filled_labels, sections
from .separate import cut_particles, separate_particles

__all__ = [
    "LAUE_GROUPS",
    "METHODS",
    "Grains",
    "PhaseEstimate",
    "Phases",
    "Radiality",
    "Section",
    "Segmentation",
    "ShellParticles",
    "alpha_density",
    "apply_phases",
    "contacts",
    "cut_particles",
    "disorientation",
    "estimate_phases",
    "euler_angles",
    "filled_labels",
    "find_particles",
    "grains",
    "laue_operators",
    "neighbour_angles",
    "particles",
    "phases",
    "phases_blockwise",
    "quaternions",
    "radiality",
    "sections",
    "separate_blockwise",
    "separate_particles",
    "shell_particles",
]

METHODS = ("learned", "classical", "sam")


@dataclass(frozen=True)
class Segmentation:
    """Particles found in one micrograph.

    Attributes
    ----------
    labels : (y, x) int32 array
        The visible part of each particle; 0 is background.
    score : (n + 1,) array
        Confidence of each label, 0 to 1; NaN where the method gives none, and for label 0.
    contacts : DataFrame
        Who touches whom and who lies behind: see `contacts`.
    method : str
    """

    labels: np.ndarray
    score: np.ndarray
    contacts: pd.DataFrame
    method: str


def particles(
    array: np.ndarray,
    *,
    spacing: tuple[float, float],
    method: str = "learned",
    checkpoint: Path | None = None,
    device: str = "cpu",
) -> Segmentation:
    """Find the particles of a powder in a micrograph.

    Parameters
    ----------
    array : (y, x) array
        Grey micrograph, any gain and offset, without data bar. NaN is refused.
    spacing : tuple of float
        Pixel size (y, x) in um.
    method : {"learned", "classical", "sam"}
        The shipped network; background, multi-scale seeds and watershed; Segment Anything with automatic masks.
    checkpoint : Path, optional
        For "sam" the checkpoint file (MobileSAM or SAM), required; for "learned" other weights than the shipped
        ones.
    device : {"cpu", "cuda"}

    Returns
    -------
    Segmentation
        Empty labels where there is no particle.

    Raises
    ------
    InputError
        The image is not a finite grey image, the method is unknown, or a checkpoint is missing or of another kind.
    """
    _checks.choice(method, METHODS, name="method")
    array = _checks.grey(array)
    spacing = _checks.spacing(spacing, 2)
    behind = None
    if method == "learned":
        from .learned import learned

        labels, score, behind = learned(array, weights=checkpoint, device=device)
    elif method == "classical":
        from .classical import classical

        labels = classical(array, spacing=spacing)
    else:
        from .sam import segment_anything

        if checkpoint is None:
            raise InputError(
                "method 'sam' needs a checkpoint file: give `--checkpoint mobile_sam.pt` (or another SAM)."
            )
        labels = segment_anything(array, spacing=spacing, checkpoint=checkpoint, device=device)
    if method != "learned":
        score = np.full(int(labels.max()) + 1, np.nan)
    return Segmentation(labels, score, contacts(labels, behind), method)
