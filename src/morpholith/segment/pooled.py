"""Particles found in all frames of a scan together: shifted onto each other, then looked for one by one."""

from __future__ import annotations

import numpy as np

from ._bright import background, binned, bright, separated

BIN = 4  # pixels along an edge, for the shift of whole frames
REACH = 12  # pixels that a particle may be away from where the frame's shift puts it
LIKE = 0.35  # least correlation with its template at which a particle counts as seen


def pooled(frames: np.ndarray, min_diameter_px: float) -> np.ndarray:
    """Find the particles in the mean of the shifted frames, then each of them in each frame.

    Parameters
    ----------
    frames : (F, Y, X) float32
        Optical densities; NaN where nothing was seen.
    min_diameter_px : float
        Smaller things are not particles.

    Returns
    -------
    (F, Y, X) uint16
        0 is background; a particle of the mean has the same number in every frame.
    """
    from .._smooth import local_mean

    shift, strength = frame_shifts(frames)
    whole = np.rint(shift).astype(int)
    mean = _mean_shifted(frames, whole, strength)
    out = np.zeros(frames.shape, np.uint16)
    flat = mean[None] - background(mean[None], min_diameter_px)
    inside = bright(local_mean(flat, 1.5)[0], min_diameter_px)
    if inside is None:
        return out
    labels = separated(inside, min_diameter_px)
    band = local_mean(frames, 1.5) - local_mean(frames, 0.4 * min_diameter_px)
    template = local_mean(mean[None], 1.5)[0] - local_mean(mean[None], 0.4 * min_diameter_px)[0]
    for number in range(1, labels.max() + 1):
        _place(out, labels == number, number, band, template, whole, labels)
    _add_passing(out, frames, min_diameter_px, labels.max())
    return out


def _add_passing(out, frames, min_diameter, number) -> None:
    """Add what stands out of single frames and is no particle of the mean: what comes, goes or runs through the field.

    Found in coarse frames, since the registration puts it in place. Two thirds of the usual contrast are asked for, so
    that binder, which stands out of clear frames too, is not taken for particles.
    """
    from scipy import ndimage as ndi

    from .._smooth import local_mean

    coarse = binned(frames, BIN)
    level = coarse - background(coarse, min_diameter / BIN, block=8)
    smooth = local_mean(level, 1.0)
    known = np.zeros(coarse.shape, bool)
    part = out[:, BIN // 2 :: BIN, BIN // 2 :: BIN] > 0
    known[:, : part.shape[1], : part.shape[2]] = part
    for f in range(len(frames)):
        inside = bright(smooth[f], min_diameter / BIN) if known[f].any() else None
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

    from .._smooth import local_mean, threads

    coarse = binned(frames, BIN)
    band = np.nan_to_num(local_mean(coarse, 1.5) - local_mean(coarse, 8.0))
    noise = (
        np.array([_spread(step) for step in np.diff(coarse, axis=2)]) if coarse.shape[2] > 1 else np.ones(len(frames))
    )
    taper = np.outer(*(np.hanning(n + 2)[1:-1] ** 0.25 for n in band.shape[1:]))
    band = np.maximum(band, 0) * taper
    power = band.std((1, 2))
    strength = np.where(noise > 0, power / np.maximum(noise, 1e-9), 0.0)
    size = [fft.next_fast_len(2 * n, real=True) for n in band.shape[1:]]
    spectra = fft.rfft2((band - band.mean((1, 2), keepdims=True)).astype(np.float32), size, workers=threads())
    shift = np.zeros((len(frames), 2))
    freq = [np.fft.fftfreq(size[0]), np.fft.rfftfreq(size[1])]
    start = int(np.argmax(strength))
    reference = spectra[start]
    for _ in range(2):
        shift[:] = _peaks(fft.irfft2(spectra * np.conj(reference), size, workers=threads()))
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
