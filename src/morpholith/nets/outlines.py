"""Particles in X-ray microscope frames: the trained Cycle-GAN, Dual U-Net and supervised U-Net, ready to use.

All take optical density, in which particles are brighter than what surrounds them. Gain, offset and slow background
drop out before a network sees anything, so that frames below and above an absorption edge are read alike. The
training is in `morpholith.nets.outlines_training`.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy import ndimage as ndi

from ..errors import InputError
from .store import SHIPPED, load

CYCLE_GAN, DUAL_UNET, SUPERVISED = (SHIPPED / f"outlines_{n}" for n in ("cycle_gan", "dual_unet", "supervised"))
CELL, WINDOW = 8, 15  # the background is found on cells of 8 half-resolution pixels, in windows of 15 cells
ROI_PX = 160  # larger regions of interest are reduced to at most this before the network sees them


# --- what the networks are shown ---------------------------------------------------------------------------------


def halve(frame: np.ndarray) -> np.ndarray:
    """Return means over 2 x 2 pixels, NaN left out; an odd last row or column is averaged over what there is.

    A (y, x) array gives ((y + 1) // 2, (x + 1) // 2).
    """
    seen = np.isfinite(frame)
    n = _blocks(seen.astype(np.float32), 2)
    with np.errstate(invalid="ignore"):
        return _blocks(np.where(seen, frame, 0), 2) / np.where(n > 0, n, np.nan).astype(np.float32)


def _blocks(array, size):
    """Sum blocks of `size` pixels; the last ones may be cut off by the frame."""
    array = np.add.reduceat(array, np.arange(0, array.shape[0], size), axis=0)
    return np.add.reduceat(array, np.arange(0, array.shape[1], size), axis=1)


def normalise(half: np.ndarray) -> np.ndarray:
    """Return the frame in units of its noise above its background, compressed into -1..1.

    The background is the 35th percentile over large windows, which particles covering up to half of them do not
    reach; the unit is the median absolute deviation from it, scaled to a standard deviation. With z the frame in
    this unit the result is asinh(z) / 6. A positive gain and an offset of the frame change nothing.

    Parameters
    ----------
    half : (y, x) float array
        Optical density at half resolution, see `halve`. NaN gives 0.
    """
    seen = np.isfinite(half)
    if not seen.any():
        return np.zeros(half.shape, np.float32)
    level = np.median(half[seen])
    flat = np.where(seen, half - level, 0).astype(np.float32)
    if not flat.any():
        return flat
    flat = flat - background(flat)
    flat = flat - np.median(flat[seen])
    unit = 1.4826 * np.median(np.abs(flat[seen]))
    if unit == 0:  # more than half of the frame is of one value: noise-free, or saturated
        unit = np.mean(np.abs(flat[seen])) or 1.0
    return np.where(seen, np.clip(np.arcsinh(flat / unit) / 6, -1, 1), 0).astype(np.float32)


def background(half: np.ndarray) -> np.ndarray:
    """Return the slow part of a frame (y, x): a parabola, and a smoothed running 35th percentile of what is left.

    Both are found on the medians of cells, the parabola without those that stand out upwards, which hold particles.
    """
    ny, nx = half.shape
    my, mx = (max(1, n // CELL) for n in (ny, nx))
    rows, columns = np.array_split(np.arange(ny), my), np.array_split(np.arange(nx), mx)
    if ny % my == 0 and nx % mx == 0:
        cells = np.median(half.reshape(my, ny // my, mx, nx // mx), axis=(1, 3))
    else:
        cells = np.array([[np.median(half[r[0] : r[-1] + 1, c[0] : c[-1] + 1]) for c in columns] for r in rows])
    slope = _parabola(cells)
    low = ndi.percentile_filter(cells - slope, 35, size=WINDOW, mode="nearest")
    low = slope + ndi.gaussian_filter(low, WINDOW / 4, mode="nearest")
    y = (np.arange(ny) + 0.5) * my / ny - 0.5
    x = (np.arange(nx) + 0.5) * mx / nx - 0.5
    return _linear(_linear(low, y).T, x).T.astype(np.float32)


def _parabola(cells, rounds=6):
    """Fit a parabola to (y, x) values, leaving out in turn what stands out upwards."""
    if min(cells.shape) < 3 or cells.size < 24:
        return np.full(cells.shape, np.median(cells))
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in cells.shape), indexing="ij")
    terms = np.stack([np.ones_like(y), y, x, y * y, x * y, x * x], -1).reshape(-1, 6)
    values, keep = cells.ravel(), np.ones(cells.size, bool)
    for _ in range(rounds):
        fit = terms @ np.linalg.lstsq(terms[keep], values[keep], rcond=None)[0]
        off = values - fit
        # the spread is read from below, where there are no particles
        keep = off < 1.5 * max(np.median(-off[off < 0]) if (off < 0).any() else 0.0, 1e-9 * np.ptp(values))
        if keep.sum() < 12:
            break
    return fit.reshape(cells.shape)


def _linear(array, at):
    """Interpolate rows at fractional positions, held at the ends."""
    at = np.clip(at, 0, len(array) - 1)
    i = np.minimum(at.astype(int), max(len(array) - 2, 0))
    j = np.minimum(i + 1, len(array) - 1)
    f = (at - i)[:, None]
    return array[i] * (1 - f) + array[j] * f


def normalise_roi(roi: np.ndarray) -> tuple[np.ndarray, float]:
    """Return a region of interest (y, x) with its rim at 0 and its bright end at 1, and the unit; NaN gives 0.

    The rim is the median of the outer tenth, the bright end the 98th percentile after smoothing by 3 x 3; what is
    between them is the unit, NaN where a region is all alike or all NaN (then the picture is 0).
    """
    seen = np.isfinite(roi)
    if not seen.any():
        return np.zeros(roi.shape, np.float32), float("nan")
    flat = np.where(seen, roi - np.median(roi[seen]), 0)
    rim = np.ones(roi.shape, bool)
    rim[tuple(slice(max(1, n // 10), -max(1, n // 10)) for n in roi.shape)] = False
    if (rim & seen).any():
        flat = flat - np.median(flat[rim & seen])
    low, high = np.percentile(ndi.uniform_filter(flat, 3)[seen], (2, 98))
    unit = high if high > 0.3 * (high - low) else high - low
    if unit <= 0:
        return np.zeros(roi.shape, np.float32), float("nan")
    return np.where(seen, np.clip(flat / unit, -2, 3), 0).astype(np.float32), float(unit)


def pointer(shape: tuple[int, int]) -> np.ndarray:
    """Return a bump (y, x) float32 over the middle: it tells the Dual U-Net which particle is meant."""
    y, x = (np.exp(-0.5 * ((np.arange(n) - (n - 1) / 2) / (0.2 * n)) ** 2) for n in shape)
    return np.outer(y, x).astype(np.float32)


# --- the networks ------------------------------------------------------------------------------------------------


def network(kind: str, architecture: dict):
    """Return an untrained network: "cycle_gan", "dual_unet" or "supervised", with the widths of a recipe."""
    from .cycle_gan import CycleGAN
    from .dual_unet import DualUNet
    from .unet import UNet

    return {"cycle_gan": CycleGAN, "dual_unet": DualUNet, "supervised": UNet}[kind](**architecture)


@lru_cache(maxsize=6)
def trained(weights: Path, device_name: str = "cpu"):
    """Return a stored network ready to predict; of a Cycle-GAN the forward generator alone.

    Raises
    ------
    InputError
        The weights are missing or damaged, or the device is absent.
    """
    import torch

    from .cycle_gan import CycleGAN
    from .training import device

    state, recipe = load(weights)
    model = network(recipe["kind"], recipe["architecture"])
    if isinstance(model, CycleGAN):
        model = model.to_mask
        model.load_state_dict({k.removeprefix("to_mask."): v for k, v in state.items() if k.startswith("to_mask.")})
    else:
        model.load_state_dict(state)
        model.eval().fused()
    return model.eval().to(device(device_name), memory_format=torch.channels_last)


def _run(model, stack):
    """Return the network's answer to one (c, y, x) float32 picture, padded as it needs and cut again."""
    import torch

    ny, nx = stack.shape[1:]
    # small pictures are also made large enough for the network's deepest layer to have two pixels to normalise
    pad = [(0, 0), *((0, max(-n % model.stride, 2 * model.stride - n)) for n in (ny, nx))]
    x = torch.from_numpy(np.pad(stack, pad, mode="symmetric"))[None]
    where = next(model.parameters()).device
    with torch.inference_mode():
        return model(x.to(where, memory_format=torch.channels_last))[0, :, :ny, :nx].float().cpu().numpy()


def _sigmoid(score):
    return 1 / (1 + np.exp(-np.clip(score, -40, 40)))


def _stack(frames, what):
    frames = np.asarray(frames)
    if frames.ndim != 3 or not np.issubdtype(frames.dtype, np.number):
        raise InputError(f"{what} are a (n, y, x) array of numbers; got shape {frames.shape} of {frames.dtype}.")
    return frames


def _each(frames, answer, n_maps=1):
    """Apply `answer` to the half-resolution picture of every frame; return (c, n, y, x) at full size, NaN kept."""
    frames = _stack(frames, "frames")
    ny, nx = frames.shape[1:]
    out = np.full((n_maps, *frames.shape), np.nan, np.float32)
    if frames.size == 0:
        return out
    if ny < 8 or nx < 8:
        raise InputError(f"frames need at least 8 x 8 pixels to find particles in; got {ny} x {nx}.")
    y, x = ((np.arange(n) - 0.5) / 2 for n in (ny, nx))
    for k, frame in enumerate(frames):
        seen = np.isfinite(frame)
        if seen.any():
            for full, half in zip(out, answer(normalise(halve(frame))), strict=True):
                full[k][seen] = _linear(_linear(half, y).T, x).T[seen]
    return out


def find(frames: np.ndarray, *, device: str = "cpu", weights: Path = CYCLE_GAN) -> np.ndarray:
    """Return the Cycle-GAN's picture of the particles, 0 outside to 1 inside; touching ones parted by a dark line.

    Parameters
    ----------
    frames : (n, y, x) float array
        Optical density, any gain and offset; at least 8 x 8 pixels. NaN = not seen.
    device : str
        "cpu", or "cuda" where there is one.
    weights : Path
        Stored Cycle-GAN; the shipped one is trained on virtual scans alone.

    Returns
    -------
    (n, y, x) float32 array
        NaN where a frame is. No frames give an empty array. The pictures are made at half resolution and
        interpolated.

    Raises
    ------
    InputError
        `frames` is no stack of numbers, or too small.
    """
    model = trained(weights, device)
    return _each(frames, lambda half: (_run(model, half[None]) + 1) / 2)[0]


def find_supervised(frames: np.ndarray, *, device: str = "cpu", weights: Path = SUPERVISED) -> np.ndarray:
    """Return the supervised U-Net's probability that a pixel is inside a particle and not between two; as `find`."""
    maps = predict_supervised(frames, device=device, weights=weights)
    return maps["particle"] * (1 - maps["border"])


def predict_supervised(frames: np.ndarray, *, device: str = "cpu", weights: Path = SUPERVISED) -> dict[str, np.ndarray]:
    """Return "particle" and "border" (between two particles), each (n, y, x) float32 in 0..1; as `find`."""
    model = trained(weights, device)
    particle, border = _each(frames, lambda half: _sigmoid(_run(model, half[None])), 2)
    return {"particle": particle, "border": border}


def refine(rois: np.ndarray, *, device: str = "cpu", weights: Path = DUAL_UNET) -> np.ndarray:
    """Return the probability that a pixel lies inside the particle in the middle of each region of interest.

    Parameters
    ----------
    rois : (n, h, w) float array
        Optical density about one particle each, which reaches over the middle and fills about a third to three
        quarters of the edge; any gain and offset. NaN = not seen. Regions larger than 160 pixels are reduced by a
        whole factor and the answer interpolated.

    Returns
    -------
    (n, h, w) float32 array
        NaN where a region is. No regions give an empty array.
    """
    return refine_both(rois, device=device, weights=weights)[1]


def refine_both(rois: np.ndarray, *, device: str = "cpu", weights: Path = DUAL_UNET) -> tuple[np.ndarray, np.ndarray]:
    """Return (clean picture, probability of being inside), each (n, h, w) float32; see `refine`.

    The clean picture is the particle alone: noise, background and neighbours removed, its bright end near 1.
    """
    rois = _stack(rois, "regions of interest")
    model = trained(weights, device)
    clean, inside = np.full(rois.shape, np.nan, np.float32), np.full(rois.shape, np.nan, np.float32)
    h, w = rois.shape[1:]
    factor = max(1, -(-max(h, w) // ROI_PX))
    for k, roi in enumerate(rois):
        seen = np.isfinite(roi)
        if not seen.any():
            continue
        n = _blocks(seen.astype(np.float32), factor)
        small = _blocks(np.where(seen, roi, 0), factor) / np.where(n > 0, n, np.nan)
        picture, score = _run(model, np.stack([normalise_roi(small)[0], pointer(small.shape)]))
        for out, maps in ((clean, picture), (inside, _sigmoid(score))):
            y, x = ((np.arange(n) - (factor - 1) / 2) / factor for n in (h, w))
            out[k][seen] = _linear(_linear(maps, y).T, x).T[seen] if factor > 1 else maps[seen]
    return clean, inside
