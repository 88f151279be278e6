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
from .outline import outline
from .refinement import TEMPLATE_SMOOTH, Refinement
from .windows import turned, windows_at

BAND = 8  # pixels outside the outline that take part: where its foot ends
RIM_SEEN = 0.7  # share of the outline that must be in sight
NEAR = 2  # pixels kept away from neighbours
SPECK = 3  # pixels along an edge: a larger gap bends the mean around it
MARGIN = 6  # pixels a window reaches beyond the band
ROUNDS = 8
CONVERGED = 0.2  # of a standard error, the mean move of a frame; the next move would be a fifth of it
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
    state = Refinement(windows, mask, weight, centre, motion, seen, freedom)
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
    return _told(state, corner, windows_at(raw, corner, mask.shape, seen))


def _of_the_mask(state, corner, guess, found, windows) -> Registered:
    """Return the guesses as they are, with the error that their own scatter from frame to frame shows."""
    motion = state.motion.copy()
    state.refine(smooth=TEMPLATE_SMOOTH)
    state.motion = motion
    result = _told(state, corner, windows)
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


def _told(state: Refinement, corner, raw) -> Registered:
    """Gather everything; outline and contrast are those of the frames as they came, averaged in the same pose."""
    from scipy import ndimage as ndi

    errors, shared = state.standard_errors()
    status, reason = _verdict(state, errors)
    template, contrast = state.as_it_came(raw)
    mask = outline(template, state.mask)
    offset = np.array(ndi.center_of_mass(mask)) - state.centre
    angle, breathing = np.rad2deg(state.motion[:, 2]), state.motion[:, 3].copy()
    centre_px = corner + state.centre + state.motion[:, :2] + turned(offset, angle, breathing)
    centre_px[~state.seen] = np.nan
    return Registered(
        centre_px=centre_px, angle_deg=angle, breathing=breathing, sigma_px=errors[:, :2], shared_px=shared[:, :2],
        move_error_px=_moves(errors, shared), sigma_angle_deg=np.rad2deg(errors[:, 2]), sigma_breathing=errors[:, 3],
        contrast=contrast, noise=np.where(state.fitted, np.sqrt(state.variance), np.nan), status=status, reason=reason,
        template=template.astype(np.float32), mask=mask, centre=state.centre + offset,
    )  # fmt: skip


def _verdict(state: Refinement, errors) -> tuple[np.ndarray, np.ndarray]:
    """Return which frames are measured and which refused, and why."""
    status = np.full(len(state.seen), MEASURED, dtype=object)
    reason = np.full(len(state.seen), "", dtype=object)
    status[~state.fitted] = PREDICTED
    in_sight = np.isfinite(state.windows[:, _rim(state.mask, state.weight)]).mean(1)
    grounds = {
        "contrast below five times its error": ~(np.abs(state.contrast) > 5 * state.contrast_se),
        "standard error above one pixel": ~(errors[:, :2].max(1) < 1.0),
        "outline not in sight: cut by the field, or saturated around": ~(in_sight > RIM_SEEN),
    }
    for why, here in grounds.items():
        fresh = state.fitted & here & (status == MEASURED)
        status[fresh], reason[fresh] = REFUSED, why
    return status, reason


def _rim(mask, weight) -> np.ndarray:
    """Return the pixels within three of the outline."""
    from scipy import ndimage as ndi

    away = ndi.distance_transform_edt(mask) + ndi.distance_transform_edt(~mask)
    return (away <= 3) & (weight > 0)


def _moves(errors, shared) -> np.ndarray:
    """Return the standard error of the way from the frame before: what both share does not count."""
    own = np.maximum(errors**2 - shared**2, 0)[:, :2]
    return np.sqrt(own + np.roll(own, 1, axis=0))


def _search(stack, corner, which, state, *, reach) -> np.ndarray:
    """Return by how many whole pixels each frame asked for must move to match the template best."""
    from .._match import best_offsets

    shape = state.mask.shape
    moved = np.zeros((len(stack), 2), int)
    large = windows_at(stack, corner - reach, (shape[0] + 2 * reach, shape[1] + 2 * reach), which)
    moved[which] = best_offsets(large[which], state.template, state.weight.astype(float))[0] - reach
    return moved
