"""Small pictures of particles, and how alike they are: what chooses between two candidates for one track."""

from __future__ import annotations

import numpy as np

from .similarity import K2

PATCH = 16  # pixels of a compared picture, after averaging


def patches(image, place, diameter):
    """Small pictures about each place, mean 0 and standard deviation 1: the contrast turns over at the edge.

    In half precision: they are noisy, and there is one for every detection of a series.
    """
    image = np.asarray(image, np.float32)
    bin_px = max(1, round(1.5 * diameter / PATCH))
    half = PATCH * bin_px // 2
    corner = np.rint(place).astype(int) - half
    y = np.clip(corner[:, :1] + np.arange(PATCH * bin_px), 0, image.shape[0] - 1)
    x = np.clip(corner[:, 1:] + np.arange(PATCH * bin_px), 0, image.shape[1] - 1)
    cut = np.nan_to_num(image[y[:, :, None], x[:, None, :]])
    return _unit(cut.reshape(len(y), PATCH, bin_px, PATCH, bin_px).mean(axis=(2, 4))).astype(np.float16)


def likeness(tracks, patches):
    """SSIM of every track with every detection; without a picture of the track all are alike."""
    if patches is None:
        return None
    known = np.isfinite(tracks.looks).all(axis=(1, 2))
    out = np.zeros((len(tracks.area), len(patches)))
    if known.any():
        # `ssim` of pictures of mean 0 and standard deviation 1, with a range of four of these, for all pairs at once
        a, b = _unit(tracks.looks[known]).reshape(-1, PATCH**2), patches.reshape(-1, PATCH**2)
        c2 = (K2 * 4) ** 2
        out[known] = (2 * a @ b.T / PATCH**2 + c2) / (2 + c2)
    return out


def _unit(pictures):
    centred = pictures - pictures.mean(axis=(1, 2), keepdims=True)
    return centred / np.maximum(centred.std(axis=(1, 2), keepdims=True), 1e-12)
