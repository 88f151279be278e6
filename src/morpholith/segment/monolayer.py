"""Particles of a monolayer in the frames of a scan: one function, four ways to find them."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ..errors import InputError

Method = Literal["pooled", "classical", "cyclegan", "supervised"]
METHODS = ("pooled", "classical", "cyclegan", "supervised")
BIN = 4  # pixels along an edge, for the shift of whole frames
REACH = 12  # pixels that a particle may be away from where the frame's shift puts it
LIKE = 0.35  # least correlation with its template at which a particle counts as seen
CLEAR = 4.0  # standard deviations of the smoothed background that a threshold must exceed


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
        return _pooled(frames, min_diameter_px)
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
            inside = _bright(picture[f], min_diameter)
            if inside is not None:
                out[f] = separated(inside, min_diameter)
                break
    return out


def background(frames: np.ndarray, min_diameter_px: float, *, block: int = 16) -> np.ndarray:
    """Return what lies under the particles: low percentiles of coarse pixels around, smoothed.

    Parameters
    ----------
    frames : (F, Y, X) float32
    min_diameter_px : float
    block : int
        Edge of a coarse pixel.

    Returns
    -------
    (F, Y, X) float32
    """
    from scipy import ndimage as ndi

    coarse = _binned(frames, block)
    width = max(3, round(12 * min_diameter_px / block) | 1)
    out = np.empty_like(frames)
    grid = [(np.arange(n) + 0.5) / block - 0.5 for n in frames.shape[1:]]
    y, x = (np.clip(g, 0, n - 1) for g, n in zip(grid, coarse.shape[1:], strict=True))
    for f in range(len(frames)):
        good = np.isfinite(coarse[f])
        if not good.any():
            out[f] = 0
            continue
        picture = np.where(good, coarse[f], np.median(coarse[f][good]))
        low = ndi.percentile_filter(picture, 30, size=width, mode="nearest")
        low = ndi.gaussian_filter(low, width / 4, mode="nearest")
        out[f] = _bilinear(low, y, x)
    return out


def _bilinear(picture, y, x):
    iy, ix = (np.minimum(np.floor(v).astype(int), n - 2).clip(0) for v, n in zip((y, x), picture.shape, strict=True))
    picture = np.pad(picture, ((0, 1), (0, 1)), mode="edge")
    ty, tx = (y - iy)[:, None], (x - ix)[None]
    rows = picture[iy] * (1 - ty) + picture[iy + 1] * ty
    return rows[:, ix] * (1 - tx) + rows[:, ix + 1] * tx


def _binned(frames, block) -> np.ndarray:
    """Return means over blocks; the last ones may be smaller. NaN does not count."""
    n_frames, height, width = frames.shape
    pad = [(0, 0), (0, -height % block), (0, -width % block)]
    good = np.isfinite(frames)
    gaps = not good.all()
    values = np.pad(np.where(good, frames, 0) if gaps else frames, pad)
    shape = (n_frames, values.shape[1] // block, block, values.shape[2] // block, block)
    if gaps:
        count = np.pad(good, pad).reshape(shape).sum((2, 4), dtype=np.float32)
    else:
        rows, columns = (np.minimum(block, n - np.arange(0, n, block)) for n in (height, width))
        count = np.broadcast_to(np.outer(rows, columns).astype(np.float32), (n_frames, shape[1], shape[3]))
    total = values.reshape(shape).sum((2, 4), dtype=np.float32)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _bright(picture, min_diameter) -> np.ndarray | None:
    """Return what stands out of a smoothed, flattened picture; None where nothing does clearly."""
    from skimage.filters import threshold_otsu

    good = np.isfinite(picture)
    if good.mean() < 0.2:
        return None
    values = picture[good][::7]
    middle = np.median(values)
    below = values[values <= middle]
    noise = 1.4826 * np.median(middle - below) if len(below) else 0.0
    if not noise > 0 or not np.ptp(values) > 0:
        return None
    high = values[values > middle + 2 * noise]
    if len(high) < 0.002 * len(values):
        return None
    level = max(threshold_otsu(values), middle + CLEAR * noise)
    plateau = np.median(values[values > level]) if (values > level).any() else middle
    # Otsu lies between the means of both classes; the outline of a rounded body lies lower
    level = max(min(level, middle + 0.4 * (plateau - middle)), middle + CLEAR * noise)
    inside = np.where(good, picture, -np.inf) > level
    if inside.sum() < 0.5 * np.pi / 4 * min_diameter**2:
        return None
    return inside


def separated(inside: np.ndarray, min_diameter_px: float) -> np.ndarray:
    """Return particles of a mask, parted where they touch: watershed of the smoothed distance to the outside.

    Parameters
    ----------
    inside : (Y, X) bool
    min_diameter_px : float

    Returns
    -------
    (Y, X) uint16
    """
    from scipy import ndimage as ndi
    from skimage.morphology import h_maxima
    from skimage.segmentation import watershed

    inside = ndi.binary_fill_holes(ndi.binary_opening(inside, ndi.generate_binary_structure(2, 1), iterations=2))
    labels = ndi.label(inside)[0]
    least = np.pi / 4 * min_diameter_px**2
    out = np.zeros(inside.shape, np.uint16)
    count = 0
    for k, box in enumerate(ndi.find_objects(labels), start=1):
        one = labels[box] == k
        if one.sum() < 0.5 * least:
            continue
        distance = ndi.gaussian_filter(ndi.distance_transform_edt(np.pad(one, 1))[1:-1, 1:-1], 1.5)
        tops = h_maxima(distance, 0.08 * distance.max())
        markers = ndi.label(tops, np.ones((3, 3)))[0]
        parts = watershed(-distance, markers, mask=one) if markers.max() > 1 else one.astype(np.int32)
        for p in range(1, parts.max() + 1):
            if (parts == p).sum() >= least:
                count += 1
                out[box][parts == p] = count
    return out


# --- all frames together -----------------------------------------------------------------------------------------


def _pooled(frames, min_diameter) -> np.ndarray:
    """Find the particles in the mean of the shifted frames, then each of them in each frame."""
    from .._smooth import local_mean

    shift, strength = frame_shifts(frames)
    whole = np.rint(shift).astype(int)
    pooled = _mean_shifted(frames, whole, strength)
    out = np.zeros(frames.shape, np.uint16)
    flat = pooled[None] - background(pooled[None], min_diameter)
    inside = _bright(local_mean(flat, 1.5)[0], min_diameter)
    if inside is None:
        return out
    labels = separated(inside, min_diameter)
    band = local_mean(frames, 1.5) - local_mean(frames, 0.4 * min_diameter)
    template = local_mean(pooled[None], 1.5)[0] - local_mean(pooled[None], 0.4 * min_diameter)[0]
    for number in range(1, labels.max() + 1):
        _place(out, labels == number, number, band, template, whole, labels)
    _add_passing(out, frames, min_diameter, labels.max())
    return out


def _add_passing(out, frames, min_diameter, number) -> None:
    """Add what stands out of single frames and is no particle of the mean: what comes, goes or runs through the field.

    Found in coarse frames, since the registration puts it in place. Two thirds of the usual contrast are asked for, so
    that binder, which stands out of clear frames too, is not taken for particles.
    """
    from scipy import ndimage as ndi

    from .._smooth import local_mean

    coarse = _binned(frames, BIN)
    level = coarse - background(coarse, min_diameter / BIN, block=4)
    smooth = local_mean(level, 1.0)
    known = np.zeros(coarse.shape, bool)
    part = out[:, BIN // 2 :: BIN, BIN // 2 :: BIN] > 0
    known[:, : part.shape[1], : part.shape[2]] = part
    for f in range(len(frames)):
        inside = _bright(smooth[f], min_diameter / BIN) if known[f].any() else None
        if inside is None:
            continue
        pieces, _ = ndi.label(inside)
        pieces[np.isin(pieces, np.unique(pieces[known[f]]))] = 0
        usual = np.nanmedian(level[f][known[f]])
        here = separated(pieces > 0, min_diameter / BIN) if pieces.any() else pieces
        for k in range(1, here.max() + 1):
            if np.nanmean(level[f][here == k]) > usual * 2 / 3:
                large = np.kron(here == k, np.ones((BIN, BIN), bool))[: out.shape[1], : out.shape[2]]
                out[f][large & (out[f] == 0)] = number + k


def frame_shifts(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the shift (F, 2) in pixels of whole frames against their common mean, and how clear each of them is.

    Parameters
    ----------
    frames : (F, Y, X) float32

    Returns
    -------
    shift : (F, 2) float64
    strength : (F,) float64
        Of the structures of the frame on the scale of particles, over its noise; 0 for frames without values.
    """
    from scipy import fft

    from .._smooth import local_mean

    coarse = _binned(frames, BIN)
    band = np.nan_to_num(local_mean(coarse, 1.5) - local_mean(coarse, 8.0))
    noise = (
        np.array([_spread(step) for step in np.diff(coarse, axis=2)]) if coarse.shape[2] > 1 else np.ones(len(frames))
    )
    taper = np.outer(*(np.hanning(n + 2)[1:-1] ** 0.25 for n in band.shape[1:]))
    band = np.maximum(band, 0) * taper
    power = band.std((1, 2))
    strength = np.where(noise > 0, power / np.maximum(noise, 1e-9), 0.0)
    size = [fft.next_fast_len(2 * n, real=True) for n in band.shape[1:]]
    spectra = fft.rfft2((band - band.mean((1, 2), keepdims=True)).astype(np.float32), size)
    shift = np.zeros((len(frames), 2))
    freq = [np.fft.fftfreq(size[0]), np.fft.rfftfreq(size[1])]
    start = int(np.argmax(strength))
    reference = spectra[start]
    for _ in range(2):
        shift[:] = _peaks(fft.irfft2(spectra * np.conj(reference), size))
        shift -= shift[start]
        weight = strength / np.maximum(power, 1e-12)
        # the turn of a shift is the product of one along each axis
        turn = [np.exp(2j * np.pi * f * shift[:, k, None]).astype(np.complex64) for k, f in enumerate(freq)]
        reference = np.einsum("f,fij,fi,fj->ij", weight.astype(np.float32), spectra, *turn)
    return shift * BIN, strength


def _spread(values) -> float:
    """Return the standard deviation of what is finite; 0 where nothing is."""
    good = values[np.isfinite(values)]
    return float(good.std()) if good.size else 0.0


def _peaks(likeness) -> np.ndarray:
    """Return the place of the maximum of each periodic correlation (F, Y, X), between pixels by parabolas."""
    n = np.array(likeness.shape[1:])
    every = np.arange(len(likeness))
    at = np.stack(np.unravel_index(likeness.reshape(len(likeness), -1).argmax(1), likeness.shape[1:]), 1)
    fraction = np.zeros((len(likeness), 2))
    for axis, step in enumerate(np.eye(2, dtype=int)):
        left, centre, right = (likeness[(every, *((at + k * step) % n).T)].astype(float) for k in (-1, 0, 1))
        curve = left - 2 * centre + right
        fraction[:, axis] = np.where(curve < 0, 0.5 * (left - right) / np.where(curve < 0, curve, -1.0), 0.0)
    return np.where(at > n // 2, at - n, at) + fraction


def _mean_shifted(frames, whole, strength) -> np.ndarray:
    """Return the mean of frames moved back by whole pixels, the clear ones counting most."""
    total, weight = (np.zeros(frames.shape[1:], np.float64) for _ in range(2))
    for f, (dy, dx) in enumerate(whole):
        if not strength[f] > 0:
            continue
        (to_y, from_y), (to_x, from_x) = (_overlap(n, d) for n, d in zip(frames.shape[1:], (dy, dx), strict=True))
        part = frames[f, from_y, from_x]
        good = np.isfinite(part)
        level = np.median(part[good]) if good.any() else 0.0
        total[to_y, to_x] += np.where(good, part - level, 0) * strength[f] ** 2
        weight[to_y, to_x] += good * strength[f] ** 2
    return np.where(weight > 0.05 * weight.max(), total / np.maximum(weight, 1e-12), np.nan).astype(np.float32)


def _overlap(n, d) -> tuple[slice, slice]:
    low, high = max(0, -d), min(n, n - d)
    return slice(low, max(low, high)), slice(low + d, max(low, high) + d)


def _place(out, mask, number, band, template, whole, labels) -> None:
    """Write one particle into every frame in which something like it is near where it is expected."""
    from scipy import ndimage as ndi

    from .._match import best_offsets

    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    edge = 6
    low = np.array([rows[0], columns[0]]) - edge
    high = np.array([rows[-1], columns[-1]]) + 1 + edge
    low, high = np.maximum(low, 0), np.minimum(high, mask.shape)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    near = ndi.binary_dilation(mask[box], iterations=edge) & ((labels[box] == 0) | mask[box])
    cut = np.full((len(band), *(high - low + 2 * REACH)), np.nan, np.float32)
    for f, d in enumerate(whole):
        start = low + d - REACH
        a, b = np.clip(start, 0, mask.shape), np.clip(start + cut.shape[1:], 0, mask.shape)
        if (a < b).all():
            (y0, x0), (y1, x1) = a - start, b - start
            cut[f, y0:y1, x0:x1] = band[f, a[0] : b[0], a[1] : b[1]]
    offset, likeness = best_offsets(cut, np.nan_to_num(template[box]), near.astype(float))
    where = np.argwhere(mask[box])
    for k in np.flatnonzero(likeness > LIKE):
        at = where + low + whole[k] + offset[k] - REACH
        inside = ((at >= 0) & (at < mask.shape)).all(1)
        if inside.mean() > 0.5:
            rows_, columns_ = at[inside].T
            out[k, rows_, columns_] = number


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
    """Draw each particle's outline anew by the Dual U-Net, in a window around it."""
    from scipy import ndimage as ndi

    from ..nets import outlines

    out = np.zeros_like(labels)
    for f in range(len(frames)):
        for number, box in enumerate(ndi.find_objects(labels[f].astype(np.int32)), start=1):
            if box is None:
                continue
            grown = tuple(
                slice(max(s.start - 12, 0), min(s.stop + 12, n)) for s, n in zip(box, frames.shape[1:], strict=True)
            )
            inside = np.nan_to_num(outlines.refine(frames[(f, *grown)][None], device=device)[0]) > 0.5
            parts, _ = ndi.label(inside)
            here = parts[labels[(f, *grown)] == number]
            if not (here > 0).any():
                continue
            largest = np.argmax(np.bincount(here[here > 0]))
            free = out[(f, *grown)] == 0
            out[(f, *grown)][(parts == largest) & free] = number
    return out
