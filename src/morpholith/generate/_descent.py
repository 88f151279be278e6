"""Limited-memory BFGS without bounds: for fits of many parameters, where bookkeeping would cost more than the loss."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

MEMORY = 12
SHRINKS = 20  # halvings of a step before it is given up


def descended(loss: Callable[[np.ndarray], tuple[float, np.ndarray]], start: np.ndarray, steps: int) -> np.ndarray:
    """Return the parameters after some steps downhill (Nocedal and Wright, Algorithm 7.5, with Armijo's condition).

    Parameters
    ----------
    loss : callable
        Returns the value and its slopes, of the shape of `start`. Not finite counts as too far.
    start : array
    steps : int

    Returns
    -------
    array
        Never worse than `start`.
    """
    x = start.copy()
    value, slope = loss(x)
    moves: list[np.ndarray] = []
    turns: list[np.ndarray] = []
    for _ in range(steps):
        direction = _direction(slope, moves, turns)
        down = float((direction * slope).sum())
        if down >= 0:
            moves, turns = [], []
            direction, down = -slope, -float((slope * slope).sum())
        if down > -1e-12 * (1 + abs(value)):
            break
        size = 1.0 if moves else min(1.0, 1.0 / np.abs(slope).max())
        for _ in range(SHRINKS):
            new = x + size * direction
            new_value, new_slope = loss(new)
            if np.isfinite(new_value) and new_value <= value + 1e-4 * size * down:
                break
            size *= 0.5
        else:
            break
        move, turn = new - x, new_slope - slope
        if float((move * turn).sum()) > 1e-10 * float((turn * turn).sum()):
            moves, turns = [*moves[-MEMORY + 1 :], move], [*turns[-MEMORY + 1 :], turn]
        x, value, slope = new, new_value, new_slope
    return x


def _direction(slope, moves, turns) -> np.ndarray:
    """Minus the approximate inverse Hessian times the slope."""
    out = slope.copy()
    shares = []
    for move, turn in zip(reversed(moves), reversed(turns), strict=True):
        inverse = 1 / float((move * turn).sum())
        share = inverse * float((move * out).sum())
        out -= share * turn
        shares.append((share, inverse))
    if moves:
        out *= float((moves[-1] * turns[-1]).sum()) / float((turns[-1] * turns[-1]).sum())
    for move, turn, (share, inverse) in zip(moves, turns, reversed(shares), strict=True):
        out += (share - inverse * float((turn * out).sum())) * move
    return -out
