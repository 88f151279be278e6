"""Each particle of a series registered to one common picture of itself, to a few hundredths of a pixel.

What is wider than a few pixels is taken out of the frames first: the background lives there, and so does the chemistry,
which brightens one side, the core or the shell as the energy crosses the edge (a centre weighted by grey levels follows
it and fakes motion). What is left is the outline and the texture. A frame at energy E is then modelled as

    I_E(x) = plane_E + a_E T(u),    x = c + d_E + (1 + s_E) R(angle_E) (u - c)

with one template T for the whole series and, in every frame, a contrast a and a motion d, angle, s of its own. Template
and motion are refined in turn, every frame against what all frames have in common, so nothing adds up from frame to
frame; no picture is interpolated more than once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ..errors import InputError

BAND = 8  # pixels outside the outline that take part: where its foot ends
RIM_SEEN = 0.7  # share of the outline that must be in sight
NEAR = 2  # pixels kept away from neighbours
SPECK = 3  # pixels along an edge: a larger gap bends the mean around it
MARGIN = 6  # pixels a window reaches beyond the band
ROUNDS = 8
ENOUGH = 40  # frames for the first templates
CONVERGED = 0.2  # of a standard error, the mean move of a frame; the next move would be a fifth of it
ANGLE_SD = np.deg2rad(5.0)
BREATHING_SD = 0.03
MOTION = np.arange(4, 8)  # where the motion stands among the parameters
TEMPLATE_SMOOTH = 0.55  # pixels: noise of the template would pull frames to its own grid
FRAMES = 15  # over which inflation and shared errors are smoothed
TILE = 8  # pixels; noise is taken as independent between tiles this wide
STEP = np.array([1.5, 1.5, np.deg2rad(2.0), 0.02])  # the most that one pass moves
MEASURED, PREDICTED, REFUSED = "measured", "predicted", "refused"


@dataclass(frozen=True)
class Registered:
    """One particle through a series of F frames.

    Parameters
    ----------
    centre_px : (F, 2) float64
        Where the centre of the outline lies (y, x).
    angle_deg, breathing : (F,) float64
        Rotation and relative change of size against the template.
    sigma_px : (F, 2) float64
        Standard errors of the centre along y and x.
    shared_px : (F, 2) float64
        The part of them that neighbouring frames have in common: what no averaging over frames takes away.
    move_error_px : (F, 2) float64
        Standard error of the way from the frame before.
    sigma_angle_deg, sigma_breathing : (F,) float64
    contrast, noise : (F,) float64
        Optical density of the particle above its surroundings, and of the noise of a pixel.
    status : (F,) str
        ``"measured"``; ``"predicted"`` where nothing was seen; ``"refused"`` where the evidence was weak.
    reason : (F,) str
        Why a frame was refused; empty else.
    template : (h, w) float32
        The picture common to all frames, 1 on the plateau of the particle.
    mask : (h, w) bool
        Inside the outline of the template.
    centre : (2,) float64
        Where the centre of the outline lies in the template.
    """

    centre_px: np.ndarray
    angle_deg: np.ndarray
    breathing: np.ndarray
    sigma_px: np.ndarray
    shared_px: np.ndarray
    move_error_px: np.ndarray
    sigma_angle_deg: np.ndarray
    sigma_breathing: np.ndarray
    contrast: np.ndarray
    noise: np.ndarray
    status: np.ndarray
    reason: np.ndarray
    template: np.ndarray
    mask: np.ndarray
    centre: np.ndarray


def register(
    stack: np.ndarray,
    positions: np.ndarray,
    masks: Sequence[np.ndarray],
    *,
    found: np.ndarray | None = None,
    method: Literal["template", "mask"] = "template",
    search_px: float = 8.0,
    rotation: bool = True,
    breathing: bool = True,
    coarsest_px: float = 3.0,
) -> list[Registered]:
    """Register every particle of a series, each against the picture that all its frames have in common.

    Parameters
    ----------
    stack : (F, Y, X) float32
        Optical densities; NaN where nothing was seen.
    positions : (P, F, 2) float64
        First guess of the centres (y, x) in pixels; NaN where a particle is out of sight.
    masks : sequence of (h, w) bool arrays
        Outline of each particle, its centroid at the guessed centre.
    found : (P, F) bool, optional
        Where the guess comes from seeing the particle; elsewhere it is searched for within `search_px`.
    method : {"template", "mask"}
        "mask" takes the guesses, centres of mass of binary masks, as they are (the way of Su et al., J. Synchrotron
        Rad. 31, 2024); their errors are read from their scatter.
    search_px : float
        How far a guess may be off.
    rotation, breathing : bool
        Whether particles may turn and change their size.
    coarsest_px : float
        Structures wider than about this (standard deviation of a Gaussian) are taken out of the frames first: the
        background and the chemistry live there, the outline does not. 0 takes nothing out.

    Returns
    -------
    list of Registered

    Raises
    ------
    InputError
        Shapes that do not fit each other.
    """
    positions = np.asarray(positions, float)
    if stack.ndim != 3 or positions.shape[1:] != (len(stack), 2) or len(masks) != len(positions):
        raise InputError(
            f"positions must be (particles, {len(stack)}, 2) with one mask a particle for a stack of shape "
            f"{stack.shape}, got {positions.shape} and {len(masks)} masks."
        )
    found = np.isfinite(positions).all(2) if found is None else np.asarray(found, bool)
    if coarsest_px:
        from .._smooth import local_mean

        filtered = stack - local_mean(stack, coarsest_px)
        # a mean that lacks one side, at the rim of the field and beside gaps, would bend the particle
        filtered[_near_gaps(stack, round(2 * coarsest_px))] = np.nan
    else:
        filtered = stack
    freedom = np.array([True, True, rotation, breathing])
    others = _neighbours(positions, masks)
    return [
        _register(
            filtered, positions[p], masks[p], found[p], raw=stack, others=others[p], search_px=search_px,
            freedom=freedom, as_found=method == "mask",
        )
        for p in range(len(masks))
    ]  # fmt: skip


def _near_gaps(stack, reach) -> np.ndarray:
    """Return (F, Y, X) where the rim of the field or a gap is within reach.

    Wholly missing frames are no gap, nor are single dead pixels: a mean lacks no side for them.
    """
    from scipy import ndimage as ndi

    near = np.zeros(stack.shape, bool)
    near[:, :reach] = near[:, -reach:] = near[:, :, :reach] = near[:, :, -reach:] = True
    gaps = ~np.isfinite(stack)
    for f in np.flatnonzero(gaps.any((1, 2)) & ~gaps.all((1, 2))):
        wide = ndi.binary_opening(gaps[f], np.ones((SPECK + 1, SPECK + 1)))
        near[f] |= gaps[f] | ndi.maximum_filter(wide, 2 * reach + 1)
    return near


def _neighbours(positions, masks) -> list[list[tuple[np.ndarray, np.ndarray]]]:
    """Return for each particle the typical offset and the mask of those that come near it."""
    from warnings import catch_warnings, simplefilter

    found: list[list[tuple[np.ndarray, np.ndarray]]] = []
    for p, mask in enumerate(masks):
        near = []
        for k, other in enumerate(masks):
            if k == p:
                continue
            with catch_warnings():
                simplefilter("ignore", RuntimeWarning)  # particles that are never seen together
                offset = np.nanmedian(positions[k] - positions[p], axis=0)
            reach = (np.array(mask.shape) + other.shape) / 2 + BAND + MARGIN
            if np.isfinite(offset).all() and (np.abs(offset) < reach).all():
                near.append((offset, other))
        found.append(near)
    return found


def _register(stack, guess, mask, found, *, raw, others, search_px, freedom, as_found) -> Registered:
    """Register one particle."""
    mask, weight, centre = _window(mask, others)
    seen = np.isfinite(guess).all(1)
    corner = np.zeros((len(stack), 2), int)
    motion = np.zeros((len(stack), 4))
    corner[seen] = np.rint(guess[seen] - centre).astype(int)
    motion[seen, :2] = guess[seen] - centre - corner[seen]
    windows = windows_at(stack, corner, mask.shape, seen)
    seen &= np.isfinite(windows[:, mask]).mean(1) > 0.5
    state = _State(windows, mask, weight, centre, motion, seen, freedom)
    state.first_template(found & seen)
    if as_found:
        return _of_the_mask(state, corner, guess, found & seen, windows_at(raw, corner, mask.shape, seen))
    lost = seen & ~found
    if lost.any():
        moved = _search(stack, corner, lost, state, reach=int(np.ceil(search_px)))
        corner[lost] += moved[lost]
        state.windows[lost] = windows_at(stack, corner, mask.shape, lost)[lost]
    state.pull_in()
    for _ in range(ROUNDS):
        step = state.refine(smooth=TEMPLATE_SMOOTH)
        away = np.rint(state.motion[:, :2]).astype(int)
        if (away[seen] != 0).any():
            corner += away
            state.motion[:, :2] -= away
            state.windows = windows_at(stack, corner, mask.shape, seen)
        if step < CONVERGED:
            break
        state.update_template()
    return state.result(corner, windows_at(raw, corner, mask.shape, seen))


def _of_the_mask(state, corner, guess, found, windows) -> Registered:
    """Return the guesses as they are, with the error that their own scatter from frame to frame shows."""
    motion = state.motion.copy()
    state.refine(smooth=TEMPLATE_SMOOTH)
    state.motion = motion
    result = state.result(corner, windows)
    bend = np.diff(np.where(found[:, None], guess, np.nan), n=2, axis=0)
    bend = np.abs(bend - np.nanmedian(bend, axis=0)) if np.isfinite(bend).any() else bend
    # second differences of independent errors have six times their variance
    scatter = 1.4826 * np.nanmedian(bend, axis=0) / np.sqrt(6) if np.isfinite(bend).any() else np.full(2, np.nan)
    n = len(guess)
    return replace(
        result, centre_px=np.where(found[:, None], guess, np.nan), sigma_px=np.tile(scatter, (n, 1)),
        shared_px=np.zeros((n, 2)), move_error_px=np.tile(np.sqrt(2) * scatter, (n, 1)),
        angle_deg=np.zeros(n), breathing=np.zeros(n), sigma_angle_deg=np.full(n, np.nan),
        sigma_breathing=np.full(n, np.nan), status=np.where(found, MEASURED, PREDICTED).astype(object),
        reason=np.full(n, "", object), centre=state.centre,
    )  # fmt: skip


def _window(mask, others) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the mask with a border, which pixels count, and the centroid of the mask."""
    from scipy import ndimage as ndi

    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    if not len(rows):
        raise InputError("a particle to register has an empty outline.")
    mask = np.pad(mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], BAND + MARGIN)
    centre = np.array(ndi.center_of_mass(mask))
    weight = ndi.distance_transform_edt(~mask) <= BAND
    for offset, other in others:
        place = np.zeros_like(mask)
        middle = centre + offset - np.array(ndi.center_of_mass(other))
        where = np.argwhere(other) + np.rint(middle).astype(int)
        inside = ((where >= 0) & (where < mask.shape)).all(1)
        place[tuple(where[inside].T)] = True
        weight &= ~ndi.binary_dilation(place, iterations=NEAR)
    return mask, weight.astype(np.uint8), centre


def windows_at(stack: np.ndarray, corner: np.ndarray, shape: tuple[int, ...], which: np.ndarray) -> np.ndarray:
    """Return windows of a stack, one a frame; NaN beyond its rim and in frames not asked for.

    Parameters
    ----------
    stack : (F, Y, X) float32
    corner : (F, 2) int
        Where pixel (0, 0) of each window lies; may be outside.
    shape : (int, int)
    which : (F,) bool

    Returns
    -------
    (F, h, w) float32
    """
    windows = np.full((len(stack), *shape), np.nan, np.float32)
    size = stack.shape[1:]
    for f in np.flatnonzero(which):
        low = np.clip(corner[f], 0, size)
        high = np.clip(corner[f] + shape, 0, size)
        if (low < high).all():
            (y0, x0), (y1, x1) = low - corner[f], high - corner[f]
            windows[f, y0:y1, x0:x1] = stack[f, low[0] : high[0], low[1] : high[1]]
    return windows


class _State:
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
        self.covariance = np.full((n, 4, 4), np.nan)
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
        out = _posed(self.windows[which], self.motion[which], self.centre, self.near)
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

    def _rim(self) -> np.ndarray:
        """Return the pixels within three of the outline."""
        from scipy import ndimage as ndi

        away = ndi.distance_transform_edt(self.mask) + ndi.distance_transform_edt(~self.mask)
        return (away <= 3) & (self.weight > 0)

    def result(self, corner, raw) -> Registered:
        """Gather everything; outline and contrast are those of the frames as they came, averaged in the same pose."""
        from scipy import ndimage as ndi

        errors, shared = self.standard_errors()
        status, reason = self._verdict(errors)
        template, contrast = self._as_it_came(raw)
        mask = outline(template, self.mask)
        offset = np.array(ndi.center_of_mass(mask)) - self.centre
        cos, sin = np.cos(self.motion[:, 2]), np.sin(self.motion[:, 2])
        size = 1 + self.motion[:, 3]
        turned = np.stack([cos * offset[0] - sin * offset[1], sin * offset[0] + cos * offset[1]], 1) * size[:, None]
        centre_px = corner + self.centre + self.motion[:, :2] + turned
        centre_px[~self.seen] = np.nan
        return Registered(
            centre_px=centre_px, angle_deg=np.rad2deg(self.motion[:, 2]), breathing=self.motion[:, 3].copy(),
            sigma_px=errors[:, :2], shared_px=shared[:, :2], move_error_px=_moves(errors, shared),
            sigma_angle_deg=np.rad2deg(errors[:, 2]),
            sigma_breathing=errors[:, 3],
            contrast=contrast, noise=np.where(self.fitted, np.sqrt(self.variance), np.nan), status=status,
            reason=reason, template=template.astype(np.float32), mask=mask, centre=self.centre + offset,
        )  # fmt: skip

    def _as_it_came(self, raw) -> tuple[np.ndarray, np.ndarray]:
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

    def _verdict(self, errors) -> tuple[np.ndarray, np.ndarray]:
        status = np.full(len(self.seen), MEASURED, dtype=object)
        reason = np.full(len(self.seen), "", dtype=object)
        status[~self.fitted] = PREDICTED
        weak = self.fitted & ~(np.abs(self.contrast) > 5 * self.contrast_se)
        status[weak], reason[weak] = REFUSED, "contrast below five times its error"
        wide = self.fitted & ~weak & ~(errors[:, :2].max(1) < 1.0)
        status[wide], reason[wide] = REFUSED, "standard error above one pixel"
        hidden = self.fitted & ~(np.isfinite(self.windows[:, self._rim()]).mean(1) > RIM_SEEN)
        status[hidden], reason[hidden] = REFUSED, "outline not in sight: cut by the field, or saturated around"
        return status, reason


def in_pose(windows: np.ndarray, motion: np.ndarray, centre: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the windows of a particle brought into its reference pose by cubic splines, interpolated once.

    Parameters
    ----------
    windows : (F, H, W) float32
        NaN where nothing was seen.
    motion : (F, 4) float64
        Shift (y, x) in pixels, angle in radians, breathing.
    centre : (2,) float64
        Of the particle in the windows, before its shift, and in what is returned.
    shape : tuple of int

    Returns
    -------
    (F, h, w) float32
        NaN where a missing pixel has a share, and where a window does not reach.
    """
    coefficients, holes = _coefficients(windows)
    every = np.ones(shape, bool)
    out = _posed(coefficients, motion, centre, every)
    if holes.any():
        out[_posed(holes.astype(np.float32), motion, centre, every) > 0.01] = np.nan
    return out


def _posed(coefficients, motion, centre, wanted) -> np.ndarray:
    """Return splines evaluated in the reference pose, at the pixels wanted; NaN where a coefficient is."""
    from ._template_fit import aligned

    out = np.empty((len(coefficients), *wanted.shape), np.float32)
    aligned(coefficients, centre, motion, wanted, out)
    return out


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


def _moves(errors, shared) -> np.ndarray:
    """Return the standard error of the way from the frame before: what both share does not count."""
    own = np.maximum(errors**2 - shared**2, 0)[:, :2]
    return np.sqrt(own + np.roll(own, 1, axis=0))


def _coefficients(windows) -> tuple[np.ndarray, np.ndarray]:
    """Return cubic spline coefficients of each window, and where values were missing."""
    from scipy import ndimage as ndi

    holes = ~np.isfinite(windows)
    if holes.any():
        level = np.nanmedian(windows, axis=(1, 2), keepdims=True)
        windows = np.where(holes, np.nan_to_num(level), windows)
        holes = ndi.binary_dilation(holes, np.ones((1, 3, 3), bool))
    out = ndi.spline_filter1d(windows, 3, axis=1, output=np.float32, mode="mirror")
    return ndi.spline_filter1d(out, 3, axis=2, output=np.float32, mode="mirror"), holes


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


def outline(template: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the inside of a particle: the level set of its template that runs where the template is steepest.

    Parameters
    ----------
    template : (h, w) float
        1 on the plateau, about 0 around it.
    mask : (h, w) bool
        Roughly the inside.
    """
    from scipy import ndimage as ndi

    near = ndi.binary_dilation(mask, iterations=BAND)
    smooth = ndi.gaussian_filter(template, 0.7)
    slope = np.hypot(*np.gradient(smooth))
    levels = np.linspace(0.15, 0.7, 12)
    steepness = []
    for level in levels:
        inside = smooth > level
        # the pixels on both sides of the contour
        rim = near & ndi.binary_dilation(inside) & ~ndi.binary_erosion(inside)
        steepness.append(slope[rim].mean() if rim.sum() > 8 else 0.0)
    inside = near & (smooth > levels[int(np.argmax(steepness))])
    whole = ndi.binary_fill_holes(_largest(inside, mask))
    # what hangs on by a neck is no part of the particle
    radius = max(1, round(0.2 * np.sqrt(whole.sum() / np.pi)))
    distance = ndi.distance_transform_edt(np.pad(whole, 1))[1:-1, 1:-1]
    core = distance > radius
    opened = whole & (ndi.distance_transform_edt(~core) <= radius + 0.5) if core.any() else whole
    return _largest(opened, mask)


def _largest(inside, mask) -> np.ndarray:
    """Return the largest piece; the mask where there is none."""
    from scipy import ndimage as ndi

    labels, n = ndi.label(inside)
    return labels == np.argmax(np.bincount(labels[labels > 0])) if n else mask


def _search(stack, corner, which, state, *, reach) -> np.ndarray:
    """Return by how many whole pixels each frame asked for must move to match the template best."""
    from .._match import best_offsets

    shape = state.mask.shape
    moved = np.zeros((len(stack), 2), int)
    large = windows_at(stack, corner - reach, (shape[0] + 2 * reach, shape[1] + 2 * reach), which)
    moved[which] = best_offsets(large[which], state.template, state.weight.astype(float))[0] - reach
    return moved
