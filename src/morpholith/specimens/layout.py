"""Where the particles of a monolayer lie: side by side, and some pairs touching or over each other."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from .monolayer import Body


def lay_out(bodies: list[Body], shape, rng, *, touching=0, overlapping=0, gap: float = 8.0, margin: float = 4.0):
    """Lay particles in a field, none over another but for the pairs that shall touch or overlap.

    Parameters
    ----------
    bodies : list of Body
    shape : (int, int)
    rng : Generator
    touching, overlapping : int
        Numbers of pairs: the first particles of the list, two by two, overlapping pairs first. Touching outlines are
        0 to 1 px apart, measured along the line of centres; overlapping ones lie over each other by a sixth to a
        third of the smaller diameter.
    gap, margin : float
        Least distance between other particles, and from the frame, px.

    Returns
    -------
    (n, 2) array
        Centres (y, x).

    Raises
    ------
    InputError
        Where they do not fit.
    """
    groups = [[2 * k, 2 * k + 1] for k in range(touching + overlapping)]
    groups += [[k] for k in range(2 * len(groups), len(bodies))]
    if len(groups) < touching + overlapping or any(i >= len(bodies) for pair in groups for i in pair):
        raise InputError(
            f"{touching + overlapping} pairs that touch or overlap need {2 * (touching + overlapping)} particles; "
            f"there are {len(bodies)}."
        )
    inner = [_inner(group, bodies, k < overlapping, rng) for k, group in enumerate(groups)]
    order = sorted(range(len(groups)), key=lambda k: -_extent(inner[k], groups[k], bodies))
    for _ in range(60):
        centres = _one_try(order, groups, inner, bodies, shape, rng, gap, margin)
        if centres is not None:
            return centres
        gap *= 0.95
    widest = max(b.diameter for b in bodies)
    raise InputError(
        f"{len(bodies)} particles up to {widest:.0f} px across do not fit into {shape[0]} x {shape[1]} px side by "
        "side; ask for fewer, smaller ones, or a larger field."
    )


def _inner(group, bodies, overlaps, rng):
    """Return the centres within a group of one or two, about its middle."""
    if len(group) == 1:
        return np.zeros((1, 2))
    a, b = (bodies[i] for i in group)
    angle = rng.uniform(0, 2 * np.pi)
    ray = np.array([np.cos(angle), np.sin(angle)])
    distance = _contact(a, b, ray)
    smaller = min(a.diameter, b.diameter)
    distance += -smaller * rng.uniform(1 / 6, 1 / 3) if overlaps else rng.uniform(0, 1)
    share = b.diameter / (a.diameter + b.diameter)
    return np.stack([-share * distance * ray, (1 - share) * distance * ray])


def _contact(a: Body, b: Body, ray) -> float:
    """Return the distance of the centres at which two outlines just meet, by bisection."""
    near, far = 0.0, a.reach + b.reach
    outline = b.outline()
    for _ in range(30):
        middle = 0.5 * (near + far)
        inside = a.evaluate(*(outline + middle * ray).T)[0].min() < 1
        near, far = (middle, far) if inside else (near, middle)
    return far


def _extent(inner, group, bodies):
    return max(np.hypot(*c) + bodies[i].reach for c, i in zip(inner, group, strict=True))


def _one_try(order, groups, inner, bodies, shape, rng, gap, margin):
    centres = np.full((len(bodies), 2), np.nan)
    placed: list[int] = []
    for k in order:
        reach = np.array([bodies[i].reach for i in groups[k]])
        low = (reach[:, None] + margin - inner[k]).max(0)
        high = (np.array(shape) - 1 - reach[:, None] - margin - inner[k]).min(0)
        if (high < low).any():
            return None
        for _ in range(200):
            here = rng.uniform(low, high) + inner[k]
            near = [np.hypot(*(here[a] - centres[j])) < reach[a] + bodies[j].reach + gap
                    for a in range(len(reach)) for j in placed]  # fmt: skip
            if not any(near):
                break
        else:
            return None
        centres[groups[k]] = here
        placed += groups[k]
    return centres
