"""Template and motion of one particle, refined in turn until neither moves."""

from __future__ import annotations

import numpy as np

from .windows import in_pose, posed

ENOUGH = 40  # frames for the first templates
ANGLE_SD = np.deg2rad(5.0)
BREATHING_SD = 0.03
MOTION = np.arange(4, 8)  # where the motion stands among the parameters
TEMPLATE_SMOOTH = 0.55  # pixels: noise of the template would pull frames to its own grid
FRAMES = 15  # over which inflation and shared errors are smoothed
TILE = 8  # pixels; noise is taken as independent between tiles this wide
STEP = np.array([1.5, 1.5, np.deg2rad(2.0), 0.02])  # the most that one pass moves


class Refinement:
    """What is refined in turn: the template, and every frame's motion, contrast and noise."""

    def __init__(self, windows, mask, weight, centre, motion, seen, freedom):
        self.windows, self.mask, self.weight, self.centre = windows, mask, weight, centre
        self.motion, self.seen, self.freedom = motion, seen, freedom
        n = len(windows)
        self.reach = float(np.sqrt(mask.sum() / np.pi))
        self.variance = np.ones(n)
        self.contrast = np.ones(n)
        self.plane = np.zeros((n, 3))
        self.template = np.zeros(mask.shape)
        self.pixels = np.argwhere(weight > 0)
        self.near = _grown(weight > 0, 3)
        columns = -(-mask.shape[1] // TILE)
        tiles = self.pixels[:, 0] // TILE * columns + self.pixels[:, 1] // TILE
        self.tiles = np.unique(tiles, return_inverse=True)[1]
        self.contrast_se = np.full(n, np.inf)
        self.count = np.zeros(n)

    # --- the template ---------------------------------------------------------------------------------------

    def first_template(self, found) -> None:
        """Average the frames in which the particle was seen, the clearest counting most."""
        if not found.any() or not len(self.pixels):
            self.template = self.mask - self.mask.mean()
            return
        near = (self.weight > 0) & np.isfinite(self.windows[found]).all(0)
        pictures = (
            self.windows[found][:, near] if near.any() else np.nan_to_num(self.windows[found][:, self.weight > 0])
        )
        pictures = pictures - pictures.mean(1, keepdims=True)
        like = pictures.mean(0)
        amplitude = pictures @ like / max(float(like @ like), 1e-30)
        self.contrast[found] = np.where(np.abs(amplitude) > 0.1, amplitude, 0.1)
        clear = found.copy()
        clear[found] = amplitude >= 0.5 * np.max(amplitude)
        self.update_template(clear)

    def update_template(self, which=None) -> None:
        """Set the template to the average of the frames in the reference pose, weighted by contrast over noise."""
        which = self.usable() if which is None else which
        if not which.any():
            return
        # values taken for the coefficients of the spline: a blur of 0.6 px, which the template needs anyway
        out = posed(self.windows[which], self.motion[which], self.centre, self.near)
        out -= _planes(self.plane[which], self.mask.shape, self.centre, self.reach)
        a, w = self.contrast[which].astype(np.float32), (1 / self.variance[which]).astype(np.float32)
        seen = np.isfinite(out).reshape(len(a), -1)
        power = (w * a * a) @ seen.astype(np.float32)
        mean = (w * a) @ np.where(seen, out.reshape(len(a), -1), 0)
        self.template = np.where(power > 0, mean / np.where(power > 0, power, 1), 0.0).reshape(self.mask.shape)

    def usable(self) -> np.ndarray:
        """Return the frames whose contrast stands out of the noise; those that do not would only blur the template."""
        clear = np.abs(self.contrast) > 5 * self.contrast_se
        return self.seen & (clear if clear[self.seen].any() else np.isfinite(self.contrast_se))

    def clearest(self, n) -> np.ndarray:
        """Return the `n` usable frames of the best contrast over noise: enough for a template that is smoothed."""
        which = self.usable()
        clear = np.where(which, np.abs(self.contrast) / np.sqrt(self.variance), -np.inf)
        return which & (clear >= np.sort(clear)[-min(n, len(clear))])

    # --- the motion -----------------------------------------------------------------------------------------

    def pull_in(self) -> None:
        """Move frames that may be pixels off: smooth templates pull from further away, a part of the pixels will do."""
        every = self.pixels
        self.pixels = every[(every.sum(1) % 2 == 0) & (every[:, 0] % 2 == 0)]
        for smooth in (2.5, 1.5, 1.0):
            self.refine(smooth=smooth)
            self.update_template(self.clearest(ENOUGH))
        self.pixels = every

    def refine(self, *, smooth: float) -> float:
        """Fit every frame to the template once; return how far the frames moved in the mean, in standard errors."""
        from scipy import ndimage as ndi

        from ._template_fit import N_PARAMETERS, normal_equations

        template = ndi.gaussian_filter(self.template, smooth) if smooth else self.template
        self.coefficients = ndi.spline_filter(template, order=3, mode="mirror")
        moments, self.count = normal_equations(
            self.windows, self.pixels, self.coefficients, self.centre, self.motion, self.contrast, self.reach
        )
        matrix, right = moments[:, :N_PARAMETERS, :N_PARAMETERS], moments[:, :N_PARAMETERS, -1]
        power = moments[:, -1, -1]
        self.fitted = self.seen & (self.count > 0.5 * len(self.pixels))
        fitted = self.fitted
        solution, inverse = np.zeros_like(right), np.full_like(matrix, np.nan)
        matrix, right = self._with_priors(matrix, right)
        inverse[fitted] = np.linalg.inv(matrix[fitted])
        solution[fitted] = np.einsum("fab,fb->fa", inverse[fitted], right[fitted])
        rest = (
            power - 2 * np.einsum("fa,fa->f", solution, right) + np.einsum("fa,fab,fb->f", solution, matrix, solution)
        )
        freedom = np.maximum(self.count - right.shape[1], 1)
        self.variance[fitted] = np.maximum(rest[fitted] / freedom[fitted], 1e-12)
        self.solution, self.inverse = solution, inverse
        previous = self.contrast.copy()
        self.plane[fitted] = solution[fitted, :3]
        self.contrast[fitted] = solution[fitted, 3]
        self.contrast_se = np.where(fitted, np.sqrt(np.abs(inverse[:, 3, 3]) * self.variance), np.inf)
        contrast = self.contrast
        # the derivatives were scaled with the contrast of the pass before
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = np.where(np.abs(contrast) > self.contrast_se, previous / contrast, 0.0)
        step = np.clip(np.nan_to_num(solution[:, -4:] * np.clip(scale, -3, 3)[:, None]), -STEP, STEP)
        step[~fitted] = 0
        self.motion += step
        error = np.sqrt(np.abs(np.diagonal(inverse, axis1=1, axis2=2)[:, 4:6]) * self.variance[:, None])
        moved = np.abs(step[fitted, :2]) / np.maximum(error[fitted], 1e-3)
        return float(moved.mean()) if moved.size else 0.0

    def _with_priors(self, matrix, right) -> tuple[np.ndarray, np.ndarray]:
        """Hold rotation and breathing near nothing where the pictures do not tell them."""
        matrix, right = matrix.copy(), right.copy()
        pull = self.variance[:, None] / np.where(self.freedom, [1e3, 1e3, ANGLE_SD, BREATHING_SD], 1e-9) ** 2
        matrix[:, MOTION, MOTION] += pull
        right[:, MOTION] -= pull * self.motion
        return matrix, right

    # --- what is told ---------------------------------------------------------------------------------------

    def standard_errors(self) -> tuple[np.ndarray, np.ndarray]:
        """Return (F, 4) standard errors of the motion, and the part of them that neighbouring frames share.

        The sandwich of tiles, its inflation over what white noise gives smoothed over frames. What the scores of a tile
        have in common over frames is no noise: background that moves along, a template that does not fit.
        """
        from ._template_fit import scores

        f = self.fitted
        every, shared = np.full((len(f), 4), np.nan), np.full((len(f), 4), np.nan)
        if not f.any():
            return every, shared
        tiles = scores(
            self.windows, self.pixels, self.tiles, self.coefficients, self.centre, self.motion, self.contrast,
            self.solution, self.reach,
        )[f]  # fmt: skip
        inverse = self.inverse[f]
        naive = np.diagonal(inverse, axis1=1, axis2=2)[:, MOTION] * self.variance[f, None]
        middle = np.einsum("fta,ftb->fab", tiles, tiles)
        common = _running_mean(tiles.reshape(len(tiles), -1), FRAMES).reshape(tiles.shape)
        among = np.minimum(FRAMES, len(tiles))
        noise = _running_mean(middle.reshape(len(middle), -1), FRAMES).reshape(middle.shape) / among
        steady = np.einsum("fta,ftb->fab", common, common) - noise
        total, part = (np.diagonal(inverse @ m @ inverse, axis1=1, axis2=2)[:, MOTION] for m in (middle, steady))
        ratio = np.maximum(_running_mean(total / naive, FRAMES), 1.0)
        kept = np.clip(_running_mean(part / naive, FRAMES), 0.0, ratio)
        every[f], shared[f] = np.sqrt(naive * ratio), np.sqrt(naive * kept)
        return every, shared

    def as_it_came(self, raw) -> tuple[np.ndarray, np.ndarray]:
        """Return the unfiltered template, 1 on the plateau and 0 around it, and every frame's optical density."""
        from scipy import ndimage as ndi

        rim = (ndi.distance_transform_edt(~self.mask) > 2) & (self.weight > 0)
        core = ndi.distance_transform_edt(self.mask) > min(3.0, 0.3 * self.reach)
        # a few pixels inside and outside of the outline, a part of a pixel of shift does not matter
        around = np.nan_to_num(_of_seen(np.nanmedian, raw[:, rim]))
        contrast = np.where(self.fitted, _of_seen(np.nanmean, raw[:, core]) - around, np.nan)
        which = self.clearest(2 * ENOUGH) & self.fitted & np.isfinite(contrast)
        if not which.any():
            return np.zeros(self.mask.shape), contrast
        out = in_pose(raw[which], self.motion[which], self.centre, self.mask.shape)
        height = contrast[which].astype(np.float32)
        w = height / self.variance[which].astype(np.float32)
        good = np.isfinite(out)
        total = np.einsum("f,fij->ij", w * height, good)
        mean = np.einsum("f,fij->ij", w, np.where(good, out - around[which, None, None].astype(np.float32), 0))
        return np.where(total > 0, mean / np.where(total > 0, total, 1), 0.0), contrast


def _of_seen(function, values) -> np.ndarray:
    """Return a function of the finite values in each row; NaN for rows without any."""
    out = np.full(len(values), np.nan)
    some = np.isfinite(values).any(1)
    if some.any():
        out[some] = function(values[some], axis=1)
    return out


def _grown(mask, reach) -> np.ndarray:
    from scipy import ndimage as ndi

    return ndi.distance_transform_edt(~mask) <= reach


def _planes(plane, shape, centre, reach) -> np.ndarray:
    """Return (F, h, w) of the planes fitted to the frames."""
    y = (np.arange(shape[0]) - centre[0]) / reach
    x = (np.arange(shape[1]) - centre[1]) / reach
    p = plane.astype(np.float32)
    return (
        p[:, 0, None, None]
        + p[:, 1, None, None] * y[:, None].astype(np.float32)
        + p[:, 2, None, None] * x.astype(np.float32)
    )


def _running_mean(values, width) -> np.ndarray:
    """Return means of rows over a window of rows, narrower at the ends."""
    from scipy import ndimage as ndi

    ones = ndi.uniform_filter1d(np.ones(len(values)), width, mode="constant")
    return ndi.uniform_filter1d(values, width, axis=0, mode="constant") / ones[:, None]
