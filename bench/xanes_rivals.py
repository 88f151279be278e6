"""Ways to register a XANES stack that are in use, from scikit-image; `bench_xanes.py` runs them beside ours.

Each is given the window around one particle: where it lies in the first frame, to a pixel, and wide enough for it to
stay inside. Those that take a reference take the frame after the white line, which suits them best ("first" and
"previous" say otherwise). Each returns displacements (frames, 2), NaN where it found nothing.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage as ndi

SLOW = ("SIFT", "optical flow")


# --- windows ---------------------------------------------------------------------------------------------


class Window:
    """The stack around one particle, and what may be known about it beforehand."""

    def __init__(self, density, corner, size, half, best, *, pad=0):
        y, x = np.add(corner, pad)
        self.stack = density[:, y : y + size, x : x + size]
        self.corner, self.half, self.best = np.array(corner), half, best

    @property
    def start(self):
        """Middle of the window: the particle in the first frame, to a pixel."""
        return self.stack.shape[1] // 2


def windows_of(made, density, margin):
    """Return particle numbers and their windows, for those that stay wholly in the field."""
    truth, out = made.truth, {}
    pad = 2 * margin
    padded = np.pad(density, ((0, 0), (pad, pad), (pad, pad)), mode="edge")
    for i, body in enumerate(made.bodies, start=1):
        place = truth.loc[truth.particle == i, ["y_px", "x_px"]].to_numpy()
        half = int(np.ceil(body.reach)) + margin
        corner = np.rint(place[0]).astype(int) - half
        size = 2 * half + 1
        if (truth.visible[truth.particle == i] == "whole").all():
            out[i] = Window(padded, corner, size, int(np.ceil(body.reach)) + 3, best_frame(made), pad=pad)
    return out


def best_frame(made):
    """Return the frame after the white line, where particles stand out and the light has settled."""
    seen = [e for e in range(made.params.n_energies) if e not in made.lost | made.overexposed]
    return seen[int(np.argmin(np.abs(made.energies_ev[seen] - 8352)))]


# --- the rivals: each returns displacements (frames, 2), NaN where it found nothing ----------------------------


def match(picture, template):
    """Return where a template fits best by normalised cross-correlation, to a fraction of a pixel by parabolas."""
    from skimage.feature import match_template

    score = match_template(picture, template)
    top = np.unravel_index(np.argmax(score), score.shape)
    place = np.array(top, float)
    for axis in (0, 1):
        if 0 < top[axis] < score.shape[axis] - 1:
            step = np.eye(2, dtype=int)[axis]
            a, b, c = (score[tuple(np.array(top) + k * step)] for k in (-1, 0, 1))
            if a + c < 2 * b:
                place[axis] += 0.5 * (a - c) / (a - 2 * b + c)
    return place


def absolute_template(w, reference=None):
    reference = w.best if reference is None else reference
    m, h = w.start, w.half
    at = np.array([m, m])
    if reference != 0:  # where the particle lies in the reference is itself a guess: its mask
        at = np.rint(centre_of_mask(w.stack[reference])[0]).astype(int)
        at = np.clip(at, h, w.stack.shape[1] - h - 1)
    template = w.stack[reference][at[0] - h : at[0] + h + 1, at[1] - h : at[1] + h + 1]
    return np.array([match(frame, template) - at + h for frame in w.stack])


def absolute_template_first(w):
    return absolute_template(w, 0)


def relative_template(w):
    h, size = w.half, w.stack.shape[1]
    moved, last = [np.zeros(2)], np.array([w.start, w.start])
    for before, frame in zip(w.stack[:-1], w.stack[1:], strict=True):
        last = np.clip(np.rint(w.start + moved[-1]).astype(int), h, size - h - 1)
        template = before[last[0] - h : last[0] + h + 1, last[1] - h : last[1] + h + 1]
        moved.append(moved[-1] + match(frame, template) - (last - h))
    return np.array(moved)


def phase_best(w, reference=None, **options):
    from skimage.registration import phase_cross_correlation

    reference = w.best if reference is None else reference
    return np.array([
        -phase_cross_correlation(w.stack[reference], frame, upsample_factor=20, **options)[0] for frame in w.stack
    ])  # fmt: skip


def phase_first(w):
    return phase_best(w, 0)


def cross_best(w):
    return phase_best(w, normalization=None)


def phase_previous(w):
    from skimage.registration import phase_cross_correlation

    steps = [
        -phase_cross_correlation(a, b, upsample_factor=20)[0] for a, b in zip(w.stack[:-1], w.stack[1:], strict=True)
    ]
    return np.concatenate([np.zeros((1, 2)), np.cumsum(steps, 0)]) if steps else np.zeros((1, 2))


def grey8(frame):
    low, high = np.percentile(frame, (1, 99))
    return np.clip((frame - low) / max(high - low, 1e-6), 0, 1)


def sift(w):
    from skimage.feature import SIFT, match_descriptors
    from skimage.measure import ransac
    from skimage.transform import EuclideanTransform

    def features(frame):
        found = SIFT()
        try:
            found.detect_and_extract(grey8(frame))
        except RuntimeError:
            return None
        return found.keypoints, found.descriptors

    reference = features(w.stack[w.best])
    middle = np.array([[w.start, w.start]], float)
    moved = np.full((len(w.stack), 2), np.nan)
    for k, frame in enumerate(w.stack):
        here = features(frame)
        if reference is None or here is None:
            continue
        pairs = match_descriptors(reference[1], here[1], max_ratio=0.8, cross_check=True)
        if len(pairs) < 4:
            continue
        a, b = reference[0][pairs[:, 0]], here[0][pairs[:, 1]]
        model, inliers = ransac((a, b), EuclideanTransform, min_samples=2, residual_threshold=2, max_trials=200, rng=0)
        if model is not None and inliers is not None and inliers.sum() >= 3:
            moved[k] = (model(middle) - middle)[0]
    return moved


def optical_flow(w):
    from skimage.registration import optical_flow_ilk

    inside = centre_of_mask(w.stack[w.best])[1]
    reference = grey8(w.stack[w.best])
    moved = []
    for frame in w.stack:
        v, u = optical_flow_ilk(reference, grey8(frame), radius=9, num_warp=8)
        moved.append((np.median(v[inside]), np.median(u[inside])))
    return np.array(moved)


def centre_of_mask(frame):
    """Return centroid and mask of the largest bright region: smoothing, Otsu's threshold, holes filled."""
    from skimage.filters import threshold_otsu

    smooth = ndi.gaussian_filter(frame, 2)
    labels, n = ndi.label(ndi.binary_fill_holes(smooth > threshold_otsu(smooth)))
    if n == 0:
        return np.full(2, np.nan), np.zeros(frame.shape, bool)
    mask = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
    return np.array(ndi.center_of_mass(mask)), mask


def mask_centre(w):
    return np.array([centre_of_mask(frame)[0] for frame in w.stack])


METHODS = {
    "absolute template": absolute_template, "absolute template, first": absolute_template_first,
    "relative template": relative_template, "phase correlation": phase_best,
    "phase correlation, first": phase_first, "phase correlation, previous": phase_previous,
    "cross-correlation": cross_best, "SIFT": sift, "optical flow": optical_flow, "mask centre": mask_centre,
}  # fmt: skip
GLOBAL = {"whole frame, template": absolute_template, "whole frame, phase": phase_best}


def whole(work, density, windows, best):
    """Return one displacement for all particles from whole frames."""
    size = min(density.shape[1:]) // 2 * 2 - 1
    w = Window(density, (0, 0), size, size // 2 - 24, best)
    if work is absolute_template:
        m, h = size // 2, size // 2 - 24
        template = w.stack[best][m - h : m + h + 1, m - h : m + h + 1]
        moved = np.array([match(frame, template) - m + h for frame in w.stack])
    else:
        moved = work(w)
    return dict.fromkeys(windows, moved)
