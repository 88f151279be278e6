"""The radial frame of a seed, and matrices that are diagonal in it."""

from __future__ import annotations

import numpy as np

from ..errors import InputError


def radial_frames(seeds: np.ndarray, gamma: np.ndarray | float = 0.0, *, centre=(0.0, 0.0, 0.0)) -> np.ndarray:
    """Return the rotation Q of each seed that turns its radial direction into the first axis (paper 001, Eq. 12).

    Q = R(e1, gamma) R(s + e1, 180 degrees), with s the direction from `centre` to the seed and e1 the first axis of
    the array. The axis of the half turn is undefined where the seed lies on the centre, whose direction is then taken
    as e1, and where s = -e1, where the half turn goes about the second axis.

    Parameters
    ----------
    seeds : (n, 3) array
    gamma : (n,) array or float
        Turn about the radial direction, in radians, as drawn with the seed; 0 to pi in paper 001.
    centre : (3,)
        Centre of the particle.

    Returns
    -------
    (n, 3, 3) array
        From the world into the radial frame: ``Q @ s`` is e1. Empty without seeds.

    Raises
    ------
    InputError
        Seeds that are not finite (n, 3), or angles that do not go with them.
    """
    seeds = np.asarray(seeds, float).reshape(-1, 3) if np.size(seeds) == 0 else np.asarray(seeds, float)
    if seeds.ndim != 2 or seeds.shape[1] != 3 or not np.isfinite(seeds).all():
        raise InputError(f"`seeds` must be a finite (n, 3) array, got shape {seeds.shape}.")
    gamma = np.asarray(gamma, float)
    if gamma.shape not in ((), (len(seeds),)) or not np.isfinite(gamma).all():
        raise InputError(f"`gamma` must be one finite angle or one a seed ({len(seeds)}), got shape {gamma.shape}.")
    away = seeds - np.asarray(centre, float)
    # scaled first, so that the square of a tiny distance does not vanish
    largest = np.abs(away).max(axis=1, keepdims=True, initial=0)
    s = np.where(largest > 0, away / np.where(largest > 0, largest, 1), [1.0, 0, 0])
    s /= np.linalg.norm(s, axis=1, keepdims=True)
    across = s[:, 1] ** 2 + s[:, 2] ** 2
    axis = s.copy()
    # 1 + s1 without cancellation next to -e1
    axis[:, 0] = np.where(s[:, 0] > 0, 1 + s[:, 0], across / (1 + np.abs(s[:, 0])))
    axis[across == 0] = np.where(s[across == 0, :1] > 0, [1.0, 0, 0], [0.0, 1, 0])
    axis /= np.abs(axis).max(axis=1, keepdims=True)
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    half_turn = 2 * axis[:, :, None] * axis[:, None, :] - np.eye(3)
    gamma = np.broadcast_to(gamma, len(seeds))
    turn = np.zeros((len(seeds), 3, 3))
    turn[:, 0, 0] = 1
    turn[:, 1, 1] = turn[:, 2, 2] = np.cos(gamma)
    turn[:, 2, 1] = np.sin(gamma)
    turn[:, 1, 2] = -turn[:, 2, 1]
    return turn @ half_turn


def restricted_matrices(
    seeds: np.ndarray, diagonal: np.ndarray, gamma: np.ndarray | float = 0.0, *, centre=(0.0, 0.0, 0.0)
) -> np.ndarray:
    """Return M = Q' D Q of each seed, diagonal in its radial frame (paper 001, Algorithm 1, line 7).

    A grain reaches farther along an axis the smaller its entry of D: needles that point at the centre have the
    smallest first. The text of the paper prints Q D Q', which for gamma other than 0 turns the wrong way.

    Parameters
    ----------
    seeds, gamma, centre
        As in `radial_frames`.
    diagonal : (n, 3) array
        Entries of D: along the radius, then across it. Positive; the paper's range [0, 50] begins with no metric.

    Returns
    -------
    (n, 3, 3) array
        Symmetric to the last bit.

    Raises
    ------
    InputError
        As `radial_frames`, or a diagonal that is not finite and positive.
    """
    q = radial_frames(seeds, gamma, centre=centre)
    diagonal = np.asarray(diagonal, float)
    if diagonal.shape != (len(q), 3) or not (np.isfinite(diagonal) & (diagonal > 0)).all():
        raise InputError(
            f"`diagonal` must be ({len(q)}, 3) positive numbers, got shape {diagonal.shape}"
            f" with the least {diagonal.min(initial=np.inf):g}; 0 would be no metric: bound it from below."
        )
    m = q.swapaxes(1, 2) @ (diagonal[:, :, None] * q)
    return (m + m.swapaxes(1, 2)) / 2
