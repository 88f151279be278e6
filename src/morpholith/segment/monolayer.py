"""Particles of a monolayer in the frames of a scan: one function, four ways to find them."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ..errors import InputError
from ._bright import background, bright, separated
from .pooled import pooled

Method = Literal["pooled", "classical", "cyclegan", "supervised"]
ROI = 1.6  # edge of the square around a particle that the Dual U-Net is shown, in sizes of the particle
METHODS = ("pooled", "classical", "cyclegan", "supervised")


def find_particles(
    frames: np.ndarray, *, method: Method = "pooled", min_diameter_px: float = 25.0, device: str = "cpu"
) -> np.ndarray:
    """Return the particles of every frame of a scan.

    Parameters
    ----------
    frames : (F, Y, X) float32
        Optical densities; particles are brighter than what is around them. NaN where nothing was seen.
    method : {"pooled", "classical", "cyclegan", "supervised"}
        "classical" takes every frame for itself: background, smoothing as strong as its noise demands, threshold,
        watershed. "pooled" shifts the frames onto each other, finds the particles in their mean, and looks for each of
        them in each frame: faint frames profit from clear ones. "cyclegan" is the way of Su et al. (J. Synchrotron Rad.
        31, 2024), a Cycle-GAN for the frame and a Dual U-Net for each particle; "supervised" is one U-Net.
    min_diameter_px : float
        Smaller things are not particles.
    device : {"cpu", "cuda"}
        Where networks run.

    Returns
    -------
    (F, Y, X) uint16
        0 is background. A particle has the same number in every frame with "pooled" only; link the others.

    Raises
    ------
    InputError
        For a method that is not known and frames that are no series of pictures.
    """
    frames = np.asarray(frames, np.float32)
    if frames.ndim != 3 or 0 in frames.shape:
        raise InputError(f"particles are found in a series of frames (F, Y, X), got an array of shape {frames.shape}.")
    if method == "pooled":
        return pooled(frames, min_diameter_px)
    if method == "classical":
        return _classical(frames, min_diameter_px)
    if method in METHODS:
        return _learned(frames, min_diameter_px, method, device)
    raise InputError(f"particles are found by {', '.join(METHODS)}; {method!r} is none of them.")


# --- every frame for itself --------------------------------------------------------------------------------------


def _classical(frames, min_diameter) -> np.ndarray:
    from .._smooth import local_mean

    out = np.zeros(frames.shape, np.uint16)
    flat = frames - background(frames, min_diameter)
    smooth = {sigma: local_mean(flat, sigma) for sigma in (1.5, 3.0)}
    for f in range(len(frames)):
        for picture in smooth.values():
            inside = bright(picture[f], min_diameter)
            if inside is not None:
                out[f] = separated(inside, min_diameter)
                break
    return out


# --- learned -----------------------------------------------------------------------------------------------------


def _learned(frames, min_diameter, method, device) -> np.ndarray:
    """Find particles by networks: the Cycle-GAN and Dual U-Net of the paper, or one supervised U-Net."""
    from ..nets import outlines

    find = outlines.find if method == "cyclegan" else outlines.find_supervised
    probability = np.nan_to_num(find(frames, device=device))
    out = np.zeros(frames.shape, np.uint16)
    for f in range(len(frames)):
        out[f] = separated(probability[f] > 0.5, min_diameter)
    return _refined(frames, out, device) if method == "cyclegan" else out


def _refined(frames, labels, device) -> np.ndarray:
    """Draw each particle's outline anew by the Dual U-Net, in a square around it as it was trained on."""
    from scipy import ndimage as ndi

    out = np.zeros_like(labels)
    for f in range(len(frames)):
        boxes = ndi.find_objects(labels[f].astype(np.int32))
        for number, box in enumerate(boxes, start=1):
            if box is not None:
                inside = _outlined_anew(frames[f], box, device) & (out[f] == 0)
                pieces, _ = ndi.label(inside)
                here = pieces[(labels[f] == number) & inside]
                if len(here):
                    out[f][pieces == np.argmax(np.bincount(here))] = number
    return out


def _outlined_anew(frame, box, device) -> np.ndarray:
    """Return (Y, X) bool, where the Dual U-Net sees the particle in the middle of a box; what lies beyond is unseen."""
    from ..nets import outlines

    edge = round(ROI * max(s.stop - s.start for s in box))
    low = [(s.start + s.stop - edge) // 2 for s in box]
    kept = tuple(slice(max(a, 0), min(a + edge, n)) for a, n in zip(low, frame.shape, strict=True))
    within = tuple(slice(s.start - a, s.stop - a) for s, a in zip(kept, low, strict=True))
    region = np.full((edge, edge), np.nan, np.float32)
    region[within] = frame[kept]
    out = np.zeros(frame.shape, bool)
    out[kept] = (np.nan_to_num(outlines.refine(region[None], device=device)[0]) > 0.5)[within]
    return out
