"""What frames tell about each other: the stage jumps from frame to frame, a particle's own motion is a slow walk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ROUNDS = 25
FREE = 1e4  # px^2: variance of what is not known at all
OUTLIER = 5.0
SPIKE = 6.0  # robust standard deviations from both sides
FEW = 8  # frames, below which a particle's own scatter is not judged
SMALLEST_STEP = 1e-3  # px


@dataclass(frozen=True)
class Smoothed:
    """Positions of P particles in F frames, each told by all frames.

    Parameters
    ----------
    centre_px : (P, F, 2) float64
    sigma_px : (P, F, 2) float64
        Standard errors along y and x.
    move_error_px : (P, F, 2) float64
        Standard error of the way from the frame before (of that to the frame after in the first).
    step_px : (P, 2) float64
        Standard deviation of a particle's own step from one frame to the next, learnt from the data.
    inflation : float
        By how much the standard errors that came were too small for the scatter of the positions; 1 at least.
    outlier : (P, F) bool
        Measurements more than five standard errors from what the other frames say; they were left out.
    """

    centre_px: np.ndarray
    sigma_px: np.ndarray
    move_error_px: np.ndarray
    step_px: np.ndarray
    inflation: float
    outlier: np.ndarray


def smooth_motion(centre_px: np.ndarray, sigma_px: np.ndarray) -> Smoothed:
    """Combine measured positions over frames and particles by a Kalman smoother whose steps are learnt.

    The position of particle p in frame f is taken as g_f + o_pf: g, the motion of the stage, is common to all, o is the
    particle's own. Both walk with independent normal steps, whose variances are learnt for the stage and for every
    particle (expectation maximisation): a stage that jumps, as a rule, is not smoothed, nor is a particle that does.
    So is one factor on all standard errors, for scatter that neither walk nor errors explain.

    Parameters
    ----------
    centre_px : (P, F, 2) float64
        NaN where nothing was measured; what is told there is a prediction, with its error.
    sigma_px : (P, F, 2) float64

    Returns
    -------
    Smoothed
        NaN throughout for a particle that was never measured.
    """
    centre, sigma = np.asarray(centre_px, float), np.asarray(sigma_px, float)
    seen = np.isfinite(centre).all(2) & np.isfinite(sigma).all(2) & (sigma > 0).all(2)
    position, error, move = (np.full_like(centre, np.nan) for _ in range(3))
    step = np.full((len(centre), 2), np.nan)
    outlier = np.zeros(seen.shape, bool)
    known = seen.any(1)
    if not known.any():
        return Smoothed(position, error, move, step, 1.0, outlier)
    inflation = [1.0, 1.0]
    for axis in (0, 1):
        y, s = centre[known, :, axis], sigma[known, :, axis]
        good = seen[known] & ~_spikes(y, s, seen[known])
        for _ in range(3):  # outliers are found with those of the round before left out
            q, inflation[axis] = _learn(y, s, good)
            mean, variance, _, moves = _smooth(y, inflation[axis] * s, good, q)
            with np.errstate(invalid="ignore"):
                # the mean contains the measurement itself, which takes its variance off that of the difference
                noise = (inflation[axis] * s) ** 2
                away = np.abs(y - mean) > OUTLIER * np.sqrt(np.maximum(noise - variance, 0.05 * noise))
            fresh = good & away
            if not fresh.any():
                break
            good = good & ~away
        position[known, :, axis], error[known, :, axis] = mean, np.sqrt(variance)
        move[known, :, axis] = np.sqrt(moves)
        step[known, axis] = np.sqrt(q[:-1])
        outlier[known] |= seen[known] & ~good
    return Smoothed(position, error, move, step, float(np.mean(inflation)), outlier)


def _learn(y, s, good) -> tuple[np.ndarray, float]:
    """Return the variances of the steps, of the stage last, and the scale of the errors (expectation maximisation)."""
    q, scale = _first_guess(y, s, good), 1.0
    for _ in range(ROUNDS):
        mean, variance, moved, _ = _smooth(y, scale * s, good, q)
        fresh = np.maximum(moved, SMALLEST_STEP**2)
        rest = ((y - mean) ** 2 + variance)[good] / s[good] ** 2
        # capped, so that a few outliers do not pass for noise
        before, scale = scale, max(1.0, float(np.sqrt(np.mean(np.minimum(rest, OUTLIER**2 * scale**2)))))
        if np.allclose(fresh, q, rtol=0.03) and abs(scale - before) < 0.01:
            break
        q = fresh
    return q, scale


def _common(y, good) -> tuple[np.ndarray, np.ndarray]:
    """Return each particle's steps (P, F - 1), and what is common to all of them: their median (F - 1,)."""
    jump = np.diff(np.where(good, y, np.nan), axis=1)
    filled = [j[np.isfinite(j)] for j in jump.T]
    return jump, np.array([np.median(j) if len(j) else np.nan for j in filled])


def _first_guess(y, s, good) -> np.ndarray:
    """Return variances of steps from differences of neighbouring frames: what is common is the stage's."""
    jump, common = _common(y, good)
    rest = jump - common
    own = np.empty(len(y))
    for p in range(len(y)):
        # one that moves otherwise than the rest must start near its own steps: learning goes to the nearest optimum
        mine = rest[p][np.isfinite(rest[p])]
        which = mine if len(mine) >= FEW else rest[np.isfinite(rest)]
        noise = 2 * np.median(s[p][good[p]]) ** 2 if good[p].any() else 2 * np.median(s[good]) ** 2
        own[p] = max(_robust(which) - noise, 0.01 * noise, SMALLEST_STEP**2)
    stage = max(_robust(common[np.isfinite(common)]), float(np.median(own)))
    return np.append(own, stage)


def _spikes(y, s, good) -> np.ndarray:
    """Return measurements far from those before and from those after, on the same side: no step explains them.

    Steps are learnt without them; one gross outlier else passes for steps so large that it is never found.
    """
    common = np.nan_to_num(_common(y, good)[1])
    rest = np.where(good, y, np.nan) - np.concatenate([[0.0], np.cumsum(common)])
    sides = []
    for row in (rest, rest[:, ::-1]):
        past = np.pad(row, ((0, 0), (3, 0)), constant_values=np.nan)[:, :-1]
        near = np.lib.stride_tricks.sliding_window_view(past, 3, axis=1)
        count = np.isfinite(near).sum(2)
        middle = np.full(count.shape, np.nan)
        some = count > 0
        middle[some] = np.nanmedian(near[some], axis=1)
        sides.append(row - middle)
    before, after = sides[0], sides[1][:, ::-1]
    before, after = np.where(np.isnan(before), after, before), np.where(np.isnan(after), before, after)
    least = np.where(before * after > 0, np.minimum(np.abs(before), np.abs(after)), 0.0)
    out = np.zeros(good.shape, bool)
    for p in range(len(y)):
        if good[p].sum() >= FEW:
            both = np.concatenate([before[p][good[p]], after[p][good[p]]])
            scale = max(np.sqrt(_robust(both[np.isfinite(both)])), np.median(s[p][good[p]]))
            out[p] = good[p] & (least[p] > SPIKE * scale)
    return out


def _robust(values) -> float:
    return float(np.median(np.abs(values)) / 0.6745) ** 2 if len(values) else 1.0


def _smooth(y, s, good, q) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Run a Kalman filter and smoother (Rauch, Tung and Striebel) along one axis.

    Returns
    -------
    mean, variance : (P, F)
        Of the positions g + o.
    moved : (P + 1,)
        Mean square of the steps, given everything; the stage's last.
    moves : (P, F)
        Variance of the way from the frame before.
    """
    n, n_frames = y.shape
    start = np.array([np.mean(row[ok]) for row, ok in zip(y, good, strict=True)])
    z = y - start[:, None]
    fresh = np.diag(q)
    means, covariances = np.empty((n_frames, n + 1)), np.empty((n_frames, n + 1, n + 1))
    before_m, before_c = np.empty_like(means), np.empty_like(covariances)
    m, c = np.zeros(n + 1), np.diag(np.append(np.full(n, FREE), 0.0))  # the stage's place is told from frame 0
    for f in range(n_frames):
        if f:
            c = c + fresh
        before_m[f], before_c[f] = m, c
        rows = np.flatnonzero(good[:, f])
        if len(rows):
            h = np.zeros((len(rows), n + 1))
            h[np.arange(len(rows)), rows] = 1
            h[:, n] = 1
            noise = np.diag(s[rows, f] ** 2)
            gain = np.linalg.solve(h @ c @ h.T + noise, h @ c).T
            m = m + gain @ (z[rows, f] - h @ m)
            rest = np.eye(n + 1) - gain @ h
            c = rest @ c @ rest.T + gain @ noise @ gain.T
        means[f], covariances[f] = m, c
    moved = np.zeros(n + 1)
    moves = np.zeros((n, n_frames))
    both = np.eye(n + 1)[:n] + np.eye(n + 1)[n]
    for f in range(n_frames - 2, -1, -1):
        gain = np.linalg.solve(before_c[f + 1], covariances[f]).T
        after_c = covariances[f + 1]
        means[f] += gain @ (means[f + 1] - before_m[f + 1])
        covariances[f] += gain @ (after_c - before_c[f + 1]) @ gain.T
        cross = gain @ after_c  # covariance of the state here with the state after
        step = means[f + 1] - means[f]
        moves[:, f + 1] = np.einsum("pi,ij,pj->p", both, after_c + covariances[f] - cross - cross.T, both)
        spread = np.diag(after_c) + np.diag(covariances[f]) - 2 * np.diag(cross)
        moved += step**2 + np.maximum(spread, 0)
    mean = means[:, :n] + means[:, n:]
    variance = (
        np.diagonal(covariances, axis1=1, axis2=2)[:, :n] + covariances[:, n, n][:, None] + 2 * covariances[:, :n, n]
    )
    if n_frames > 1:
        moves[:, 0] = moves[:, 1]
    moves = np.maximum(moves, 1e-12)
    return mean.T + start[:, None], np.maximum(variance.T, 1e-12), moved / max(n_frames - 1, 1), moves
